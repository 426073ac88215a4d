//! A stack with its devices: the loop that every hosted program would otherwise write itself.

mod port;
mod thread;

pub use port::{Nic, PortCounters};
pub use thread::Running;

use crate::clock::Clock;
use crate::entropy::entropy;
use crate::error::Error;
use crate::waiter::{Source, Waiter, Waker, Woke};
use coracle::{
    Arena, Config, Handler, Instant, Limits, Medium, Memory, MemoryLimits, NetifConfig, NetifHandle, Stack,
};
use coracle_sim::pcap::LinkType;
use port::Port;
use std::io::{self, Write};
use std::time::Duration;

/// A stack and the devices of its interfaces.
///
/// [`turn`](Self::turn) is one round of the loop: it takes in what the devices have, runs what is due, hands out what is
/// ready, and sleeps until there is more to do. Callbacks run within it, on the caller's thread. A frame is read into a
/// buffer of the stack's pool and goes up to the application in it; a frame is written from where its parts lie.
///
/// What limits a round: as many frames as [`Nic`]s give in a batch of 32, so that a flood from one device starves neither
/// timers nor other devices. What happens when something is short:
///
/// * no free buffer in the pool: the heap gives one, so that acknowledgments come in that may free the pool's;
/// * none in the heap either: frames stay in the device, the shortage is counted, and a millisecond later it is tried
///   again;
/// * a full device: frames stay in the stack's queue until there is room;
/// * a device that refuses a frame (the kernel's side is down): the frame is dropped and counted.
///
/// ```no_run
/// use coracle::{Boxed, Ipv4Settings, MacAddr, NetifConfig};
/// use coracle_host::{Host, Tap};
///
/// let mut host = Host::<Boxed>::new()?;
/// let address = Ipv4Settings::new("192.0.2.2".parse()?, 24);
/// let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2)).ipv4(address);
/// let netif = host.attach(Tap::open("tap0")?, config)?;
/// host.stack().netif(netif)?.set_up(true)?;
/// loop {
///     host.turn(None)?; // the stack answers pings
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Host<H> {
    stack: Stack<H>,
    waiter: Waiter,
    ports: Vec<Port>,
}

/// Frames taken from one device before others, timers and output get their turn. Interfaces queue more than that, so
/// that an answer to each finds room.
const BATCH: usize = 32;
/// How long frames stay in a device when there is no buffer for them.
const SHORTAGE: Duration = Duration::from_millis(1);

impl<H: Handler> Host<H> {
    /// A host with a stack of the default size, seeded by the operating system.
    ///
    /// # Errors
    /// The system has no memory, no descriptor or no randomness to give.
    pub fn new() -> Result<Self, Error> {
        let random = entropy().map_err(|error| Error::from_io("get a random seed", error))?;
        let mut seed = [0; 16];
        seed.copy_from_slice(&random[..16]);
        let mut arena = Arena::heap();
        let stack = Memory::new(&mut arena, MemoryLimits::default())
            .and_then(|memory| Stack::new(&mut arena, Limits::default(), memory, Config::new(seed)));
        Self::with_stack(stack.map_err(|error| Error::from_stack("start", error))?)
    }

    /// A host with a stack of the caller's making. Time starts now: the stack must not have been told a time yet.
    ///
    /// # Errors
    /// Too many descriptors are open.
    pub fn with_stack(stack: Stack<H>) -> Result<Self, Error> {
        let waiter = Waiter::new(Clock::start()).map_err(|error| Error::from_io("make a waiter", error))?;
        Ok(Self { stack, waiter, ports: Vec::new() })
    }

    /// Adds an interface for a device. Its MTU is that of the device at this moment, whatever the configuration says; it is
    /// down, as interfaces are at first.
    ///
    /// # Errors
    /// Those of [`Stack::netif_add`], [`coracle::Error::Argument`] among them when the configuration's medium is
    /// not what the device carries; or the device's when asked for its MTU.
    pub fn attach(&mut self, nic: impl Nic + 'static, config: NetifConfig) -> Result<NetifHandle, Error> {
        let refused = |error| Error::from_stack("add an interface", error);
        let carried = match config.medium {
            Medium::Ethernet(_) => Some(LinkType::Ethernet),
            Medium::Ip => Some(LinkType::Ip),
            Medium::Loopback => None,
        };
        if carried != Some(nic.link_type()) {
            return Err(refused(coracle::Error::Argument));
        }
        let asked = |error| Error::from_io("ask a device for its MTU", error);
        let mtu = nic.mtu().map_err(asked)?.min(u16::MAX.into()) as u16;
        let frame_size = nic.frame_size().map_err(asked)?;
        let netif = self.stack.netif_add(&config.mtu(mtu)).map_err(refused)?;
        self.ports.push(Port::new(netif, Box::new(nic), frame_size, self.stack.memory()));
        Ok(netif)
    }

    /// Removes an interface and closes its device; a capture of it is complete then. `false` when there is no such.
    pub fn detach(&mut self, netif: NetifHandle) -> bool {
        let Some(position) = self.ports.iter().position(|port| port.netif == netif) else { return false };
        let port = self.ports.swap_remove(position);
        // The application may have removed the interface itself.
        let _ = self.stack.netif_remove(netif);
        drop(port);
        true
    }

    /// Captures the frames of an interface, both ways, from now on; see [`coracle_sim::pcap`]. It is complete whenever
    /// the host sleeps. A capture that was under way ends.
    ///
    /// # Errors
    /// Those of the writer, or [`NotFound`](io::ErrorKind::NotFound) for an interface without a device. A writer that fails
    /// later ends the capture, not the host; see [`end_capture`](Self::end_capture).
    pub fn capture(&mut self, netif: NetifHandle, out: impl Write + Send + 'static) -> io::Result<()> {
        let now = self.waiter.clock().now();
        self.port(netif).ok_or(io::ErrorKind::NotFound)?.capture(Box::new(out), now)
    }

    /// Ends a capture, and says how many frames are in it.
    ///
    /// # Errors
    /// What the writer failed with, now or earlier.
    pub fn end_capture(&mut self, netif: NetifHandle) -> io::Result<u64> {
        self.port(netif).ok_or(io::ErrorKind::NotFound)?.end_capture()
    }

    /// The stack, to use and to change between rounds.
    pub fn stack(&mut self) -> &mut Stack<H> {
        &mut self.stack
    }

    /// The time, on the stack's clock.
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.waiter.clock().now())
    }

    /// What an interface's device did.
    pub fn counters(&self, netif: NetifHandle) -> Option<PortCounters> {
        self.ports.iter().find(|port| port.netif == netif).map(|port| port.counters)
    }

    /// A handle with which another thread ends the sleep of [`turn`](Self::turn).
    pub fn waker(&self) -> Waker {
        self.waiter.waker()
    }

    /// Receives, runs what is due, sends, and then sleeps: until a device has frames or room, a timer of the stack is
    /// due, `until` has come, or a [`Waker`] calls; whichever is first.
    ///
    /// # Errors
    /// A device failed, as when it was removed. The others go on after it is [detached](Self::detach).
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<Woke> {
        self.work()?;
        self.sleep(until)
    }

    /// The part of [`turn`](Self::turn) before the sleep.
    ///
    /// # Errors
    /// As for [`turn`](Self::turn).
    pub fn work(&mut self) -> io::Result<()> {
        let clock = self.waiter.clock();
        for position in 0..self.ports.len() {
            self.ports[position].receive(&mut self.stack, clock, BATCH)?;
            self.transmit(clock);
        }
        self.stack.poll(Instant::from_micros(clock.now()));
        self.transmit(clock);
        Ok(())
    }

    fn transmit(&mut self, clock: Clock) {
        for port in &mut self.ports {
            port.transmit(&mut self.stack, clock);
        }
    }

    fn sleep(&mut self, until: Option<Instant>) -> io::Result<Woke> {
        let mut deadline = [self.stack.next_deadline(), until].into_iter().flatten().min();
        if self.ports.iter().any(Port::is_short) {
            let retry = self.now() + SHORTAGE;
            deadline = Some(deadline.map_or(retry, |deadline| deadline.min(retry)));
        }
        for port in &mut self.ports {
            port.flush_capture();
        }
        let deadline = deadline.map(Instant::as_micros);
        // One device is the rule, and needs no list.
        if let [port] = self.ports.as_mut_slice() {
            let mut source = port.source();
            let woke = self.waiter.wait(core::slice::from_mut(&mut source), deadline)?;
            let room = source.is_writable();
            port.found_room(room);
            return Ok(woke);
        }
        let mut sources: Vec<Source<'_>> = self.ports.iter().map(Port::source).collect();
        let woke = self.waiter.wait(&mut sources, deadline)?;
        let rooms: Vec<bool> = sources.iter().map(Source::is_writable).collect();
        for (port, room) in self.ports.iter_mut().zip(rooms) {
            port.found_room(room);
        }
        Ok(woke)
    }

    fn port(&mut self, netif: NetifHandle) -> Option<&mut Port> {
        self.ports.iter_mut().find(|port| port.netif == netif)
    }
}

impl<H> core::fmt::Debug for Host<H> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Host").field("ports", &self.ports).finish_non_exhaustive()
    }
}
