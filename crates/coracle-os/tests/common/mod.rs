//! A machine in virtual time, and wires.

#![allow(dead_code, unreachable_pub, reason = "no test uses everything")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use coracle::{
    Arena, Config, Error, Handler, Ipv4Settings, Kind, Layer, Limits, MacAddr, Memory, MemoryLimits,
    NetifHandle, Pbuf, Stack, Udp,
};
use coracle_os::{Core, CoreLimits, Driver, Port, Properties, Wake};

/// A clock that stands still but in sleep.
#[derive(Clone, Debug, Default)]
pub struct VirtualPort {
    pub micros: Arc<AtomicU64>,
    pub called: Arc<AtomicBool>,
    pub sleeps: Arc<AtomicU64>,
}

impl Wake for VirtualPort {
    fn wake(&self) {
        self.called.store(true, Ordering::SeqCst);
    }
}

impl Port for VirtualPort {
    type Waker = Self;

    fn now(&mut self) -> coracle::Instant {
        coracle::Instant::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let start = self.micros.fetch_add(1, Ordering::SeqCst) as u8;
        bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = start.wrapping_add(i as u8 * 3));
        Ok(())
    }

    fn sleep(&mut self, until: Option<coracle::Instant>) {
        self.sleeps.fetch_add(1, Ordering::SeqCst);
        if !self.called.swap(false, Ordering::SeqCst)
            && let Some(until) = until
        {
            self.micros.fetch_max(until.as_micros(), Ordering::SeqCst);
        }
    }

    fn waker(&self) -> Self {
        self.clone()
    }
}

/// Frames on their way, and what the device is doing.
#[derive(Clone, Default)]
pub struct Wire {
    pub frames: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl Wire {
    pub fn push(&self, frame: Vec<u8>) {
        self.frames.lock().unwrap().push_back(frame);
    }

    pub fn pop(&self) -> Option<Vec<u8>> {
        self.frames.lock().unwrap().pop_front()
    }

    pub fn len(&self) -> usize {
        self.frames.lock().unwrap().len()
    }
}

/// A device at the end of two wires.
#[derive(Clone)]
pub struct Cable {
    pub station: MacAddr,
    pub incoming: Wire,
    pub outgoing: Wire,
    /// How many frames it takes before it is full.
    pub room: Arc<AtomicU64>,
    pub link_up: Arc<AtomicBool>,
}

impl Cable {
    pub fn new(number: u8, incoming: &Wire, outgoing: &Wire) -> Self {
        Self {
            station: MacAddr::new(2, 0, 0, 0, 0, number),
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
            room: Arc::new(AtomicU64::new(u64::MAX)),
            link_up: Arc::new(AtomicBool::new(true)),
        }
    }
}

impl Driver for Cable {
    fn properties(&self) -> Properties {
        Properties::ethernet(self.station)
    }

    fn is_link_up(&mut self) -> bool {
        self.link_up.load(Ordering::SeqCst)
    }

    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
        let mut frames = self.incoming.frames.lock().unwrap();
        let Some(bytes) = frames.front() else { return Ok(None) };
        let mut frame = memory.alloc(Layer::Raw, bytes.len(), Kind::Pool)?;
        frame.payload_mut()?.copy_from_slice(bytes);
        frames.pop_front();
        Ok(Some(frame))
    }

    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
        if self.room.load(Ordering::SeqCst) == 0 {
            return Err(frame);
        }
        self.room.fetch_sub(1, Ordering::SeqCst);
        self.outgoing.push(frame.segments().flatten().copied().collect());
        Ok(())
    }
}

/// Sends datagrams back.
#[derive(Debug, Default)]
pub struct Echo;

impl Handler for Echo {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        drop(udp.send_to(data, from));
    }
}

pub const MEMORY: MemoryLimits =
    MemoryLimits { pool_buffers: 8, pool_buffer_size: 1_536, small_buffers: 8, references: 8, heap_bytes: 0 };

/// A stack with the memory of a small device.
pub fn stack<H: Handler>(arena: &mut Arena) -> Stack<H> {
    let memory = Memory::new(arena, MEMORY).unwrap();
    Stack::new(arena, Limits::SMALL, memory, Config::new([7; 16])).unwrap()
}

/// A core at 192.0.2.`number`, up.
pub fn core<H: Handler, P: Port>(
    port: P,
    cable: Cable,
    number: u8,
    posts: usize,
) -> (Core<H, P, Cable>, NetifHandle) {
    let mut arena = Arena::heap();
    let stack = stack(&mut arena);
    let limits = CoreLimits { posts, ..CoreLimits::SMALL };
    let mut core = Core::new(&mut arena, stack, port, limits).unwrap();
    let address = Ipv4Settings::new([192, 0, 2, number].into(), 24);
    let netif = core.attach(cable, |config| config.ipv4(address)).unwrap();
    core.stack().netif(netif).unwrap().set_up(true).unwrap();
    (core, netif)
}

/// An ARP request for 192.0.2.`to`, from a station of 192.0.2.9.
pub fn arp_request(to: u8) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 9, 192, 0, 2, 9]);
    frame.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, to]);
    frame
}

/// Whether a frame is an answer to [`arp_request`].
pub fn is_arp_reply(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 2])
}
