//! Drivers of xarxa's kind, with traffic. The one over a TAP interface knows of xarxa's crate alone, as a driver of a chip
//! would.

#[path = "../../coracle-os/tests/linux/mod.rs"]
mod linux;

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use coracle::{Arena, Checksums, Error, Kind, Layer, Medium, Memory, MemoryLimits};
use coracle_host::{Clock, Source, Tap, Waiter};
use coracle_os::{Driver, Event, waker};
use coracle_xarxa::XarxaDriver;
use xarxa_driver::{Capabilities, ChecksumOffload, HardwareAddress, LinkState, NotSupported, PacketBuf};

/// A driver of a TAP interface, with a thread that does what a chip's interrupt does.
struct TapDriver {
    tap: Arc<Tap>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl TapDriver {
    fn open(name: &str) -> Self {
        let tap = Arc::new(Tap::open(name).unwrap());
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let (watched, called) = (Arc::downgrade(&tap), Arc::clone(&waker));
        std::thread::spawn(move || {
            let waiter = Waiter::new(Clock::start()).unwrap();
            while let Some(tap) = watched.upgrade() {
                let fd = tap.as_fd();
                let until = waiter.clock().now() + 20_000;
                waiter.wait(&mut [Source::readable(&fd)], Some(until)).unwrap();
                if let Some(waker) = called.lock().unwrap().take() {
                    waker.wake();
                }
            }
        });
        Self { tap, waker }
    }
}

impl xarxa_driver::Driver for TapDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([2, 0, 0, 0, 0, 2])
    }

    fn register_waker(&mut self, waker: &Waker) -> Result<(), NotSupported> {
        *self.waker.lock().unwrap() = Some(waker.clone());
        Ok(())
    }

    fn receive(&mut self) -> Option<PacketBuf> {
        let mut buffer = PacketBuf::try_new()?;
        let len = self.tap.recv(buffer.storage_mut()).unwrap()?;
        buffer.set_len(len);
        Some(buffer)
    }

    fn can_transmit(&mut self) -> bool {
        true
    }

    fn transmit(&mut self, buffer: PacketBuf) -> Result<(), PacketBuf> {
        if self.tap.send(&buffer).unwrap() { Ok(()) } else { Err(buffer) }
    }
}

#[test]
fn a_tap_driver_carries_pings_datagrams_and_a_stream() {
    let counters =
        linux::exchange(|waker| XarxaDriver::new(TapDriver::open("tap0"), Some(waker.into())).ok().unwrap());
    let Some(counters) = counters else { return };
    assert!(counters.received > 1_000 && counters.sent > 1_000, "{counters:?}");
    assert_eq!((counters.failures, counters.refused), (0, 0));
}

/// A driver that sends to itself, and holds as much as it is told.
#[derive(Default)]
struct Mirror {
    frames: std::collections::VecDeque<PacketBuf>,
    room: usize,
    waker: Option<Waker>,
    link_down: bool,
    capabilities: Capabilities,
}

impl xarxa_driver::Driver for Mirror {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }
    fn hardware_address(&self) -> HardwareAddress {
        match self.capabilities.medium {
            xarxa_driver::Medium::Ethernet => HardwareAddress::Ethernet([2, 0, 0, 0, 0, 2]),
            xarxa_driver::Medium::Ip => HardwareAddress::Ip,
            _ => HardwareAddress::Ieee802154([0; 8]),
        }
    }
    fn link_state(&mut self) -> LinkState {
        if self.link_down { LinkState::Down } else { LinkState::Up }
    }
    fn register_waker(&mut self, waker: &Waker) -> Result<(), NotSupported> {
        self.waker = Some(waker.clone());
        Ok(())
    }
    fn receive(&mut self) -> Option<PacketBuf> {
        self.frames.pop_front()
    }
    fn can_transmit(&mut self) -> bool {
        self.frames.len() < self.room
    }
    fn transmit(&mut self, buffer: PacketBuf) -> Result<(), PacketBuf> {
        self.frames.push_back(buffer);
        self.waker.take().unwrap().wake();
        Ok(())
    }
}

#[test]
fn frames_come_back_and_the_waker_is_registered_each_time() {
    static EVENT: Event = Event::new();
    let limits = MemoryLimits {
        pool_buffers: 4,
        pool_buffer_size: 1_536,
        small_buffers: 4,
        heap_bytes: 0,
        ..MemoryLimits::SMALL
    };
    let memory = Memory::new(&mut Arena::heap(), limits).unwrap();
    let mirror = Mirror { room: 1, ..Mirror::default() };
    let mut driver = XarxaDriver::new(mirror, Some(waker(&EVENT))).ok().unwrap();
    assert!(driver.is_link_up());
    driver.driver().link_down = true;
    assert!(!driver.is_link_up());
    for byte in 0..3 {
        let frame = |len| memory.alloc_copy(Layer::Raw, &vec![byte; len], Kind::Pool).unwrap();
        driver.transmit(frame(1_514)).unwrap();
        assert!(EVENT.take());
        assert_eq!(driver.transmit(frame(60)).unwrap_err().len(), 60, "full");
        let held: Vec<_> = core::iter::from_fn(|| memory.alloc(Layer::Raw, 1_000, Kind::Pool).ok()).collect();
        assert_eq!(driver.receive(&memory).err(), Some(Error::Memory));
        drop(held);
        assert_eq!(driver.receive(&memory).unwrap().unwrap().payload(), [byte; 1_514]);
        assert!(driver.receive(&memory).unwrap().is_none());
    }
    assert_eq!(driver.poll_interval(), None);
    assert_eq!(memory.stats().pool.used, 0);
}

#[test]
fn what_the_driver_says_is_what_the_stack_is_told() {
    let mut mirror = Mirror::default();
    mirror.capabilities.medium = xarxa_driver::Medium::Ip;
    mirror.capabilities.max_transmission_unit = 1_280;
    mirror.capabilities.checksum.ipv4 = ChecksumOffload::BOTH;
    mirror.capabilities.checksum.udp.tx = true;
    mirror.capabilities.checksum.tcp.rx = true;
    let driver = XarxaDriver::new(mirror, None).ok().unwrap();
    let properties = driver.properties();
    assert_eq!((properties.medium, properties.mtu), (Medium::Ip, 1_280));
    let left_out =
        [Checksums::GENERATE_IP, Checksums::CHECK_IP, Checksums::GENERATE_UDP, Checksums::CHECK_TCP];
    assert_eq!(properties.checksums, left_out.into_iter().fold(Checksums::ALL, Checksums::without));
    assert!(driver.poll_interval().is_some(), "nobody to wake");

    let mut radio = Mirror::default();
    radio.capabilities.medium = xarxa_driver::Medium::Ieee802154;
    assert!(XarxaDriver::new(radio, None).is_err(), "no medium of ours");
}
