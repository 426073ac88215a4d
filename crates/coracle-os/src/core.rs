//! The core: a stack with its port and its drivers.

use ::core::fmt;

use coracle::buf::Table;
use coracle::{Arena, Error, Handler, Instant, NetifConfig, NetifHandle, Stack};

use crate::driver::Driver;
use crate::link::{Link, LinkCounters};
use crate::port::Port;
use crate::remote::{Inbox, Remote};

/// How much of each thing a core holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreLimits {
    /// Drivers.
    pub drivers: usize,
    /// Work that was posted and is not done yet, rounded up to a power of two, and at least two. lwIP: `TCPIP_MBOX_SIZE`.
    pub posts: usize,
    /// Frames taken from one device before others, timers and output have their turn; so a flood starves nobody.
    pub frames_at_a_time: usize,
}

impl CoreLimits {
    /// For a small device: one driver, and eight posts.
    pub const SMALL: Self = Self { drivers: 1, posts: 8, frames_at_a_time: 8 };
    /// For a hosted program: eight drivers, and 256 posts.
    pub const HOST: Self = Self { drivers: 8, posts: 256, frames_at_a_time: 32 };
}

/// The limits of a hosted program, [`CoreLimits::HOST`].
impl Default for CoreLimits {
    fn default() -> Self {
        Self::HOST
    }
}

/// A stack, the machine it runs on, and the devices of its interfaces: lwIP's core thread, or its main loop.
///
/// [`turn`](Self::turn) is one round of the loop: timers, posted work, frames in, frames out, and sleep until there is more
/// to do. Callbacks run within it. Without an allocator `D` is the one type of driver, a `&'static mut dyn Driver`, or an
/// enum of several; with one it may be a `Box<dyn Driver>`.
///
/// ```no_run
/// use coracle::{Arena, Config, Ipv4Settings, Limits, Memory, MemoryLimits, Stack};
/// use coracle_os::{Core, CoreLimits, Driver, Threads, seed};
///
/// # fn my_driver() -> Box<dyn Driver> { unimplemented!() }
/// let mut port = Threads::new();
/// let mut arena = Arena::heap();
/// let memory = Memory::new(&mut arena, MemoryLimits::default())?;
/// let config = Config::new(seed(&mut port)?);
/// let stack = Stack::<coracle::Boxed>::new(&mut arena, Limits::default(), memory, config)?;
/// let mut core = Core::new(&mut arena, stack, port, CoreLimits::default())?;
///
/// let address = Ipv4Settings::new("192.0.2.2".parse().unwrap(), 24);
/// let netif = core.attach(my_driver(), |config| config.ipv4(address))?;
/// core.stack().netif(netif)?.set_up(true)?;
/// loop {
///     core.turn(); // answers pings
/// }
/// # Ok::<(), coracle::Error>(())
/// ```
pub struct Core<H: Handler + 'static, P, D> {
    stack: Stack<H>,
    port: P,
    links: Table<Option<Link<D>>>,
    inbox: Inbox<Stack<H>>,
    frames_at_a_time: usize,
}

impl<H: Handler + 'static, P: Port, D: Driver> Core<H, P, D> {
    /// A core without devices.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when the arena is too small; [`Error::Argument`] when no frame may be taken at a time.
    pub fn new(arena: &mut Arena, stack: Stack<H>, port: P, limits: CoreLimits) -> Result<Self, Error> {
        if limits.frames_at_a_time == 0 {
            return Err(Error::Argument);
        }
        let links = arena.table(limits.drivers, |_| None)?;
        let inbox = Inbox::new(arena, limits.posts)?;
        Ok(Self { stack, port, links, inbox, frames_at_a_time: limits.frames_at_a_time })
    }

    /// Adds an interface for a driver; `configure` completes what the driver says of its device. The interface is down, as
    /// interfaces are at first.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::netif_add`]; [`Error::Memory`] when there are as many drivers as the limits allow.
    pub fn attach(
        &mut self,
        driver: D,
        configure: impl FnOnce(NetifConfig) -> NetifConfig,
    ) -> Result<NetifHandle, Error> {
        let place = self.links.iter_mut().find(|link| link.is_none()).ok_or(Error::Memory)?;
        let link = Link::attach(&mut self.stack, driver, configure)?;
        let netif = link.netif();
        *place = Some(link);
        Ok(netif)
    }

    /// Removes an interface, and gives its driver back.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when no driver works for it.
    pub fn detach(&mut self, netif: NetifHandle) -> Result<D, Error> {
        let is_it = |link: &&mut Option<Link<D>>| link.as_ref().is_some_and(|link| link.netif() == netif);
        let link = self.links.iter_mut().find(is_it).and_then(Option::take).ok_or(Error::Closed)?;
        // The application may have removed the interface itself.
        let _ = self.stack.netif_remove(netif);
        Ok(link.into_driver())
    }

    /// A handle for other threads and for interrupts.
    pub fn remote(&self) -> Remote<Stack<H>, P::Waker> {
        self.inbox.remote(self.port.waker())
    }

    /// The stack, to use and to change between rounds.
    pub fn stack(&mut self) -> &mut Stack<H> {
        &mut self.stack
    }

    /// The port.
    pub fn port(&mut self) -> &mut P {
        &mut self.port
    }

    /// The driver of an interface.
    pub fn driver(&mut self, netif: NetifHandle) -> Option<&mut D> {
        let mut links = self.links.iter_mut().flatten();
        links.find(|link| link.netif() == netif).map(Link::driver)
    }

    /// What the driver of an interface did.
    pub fn counters(&self, netif: NetifHandle) -> Option<LinkCounters> {
        self.links.iter().flatten().find(|link| link.netif() == netif).map(Link::counters)
    }

    /// Runs what is due, does what was posted, receives, sends, and then sleeps until there is more to do.
    pub fn turn(&mut self) {
        let until = self.work();
        self.sleep(until);
    }

    /// Turn after turn, until `done` says so. It is asked before each sleep, so that work which was posted can end the loop.
    pub fn run_until(&mut self, mut done: impl FnMut(&mut Stack<H>) -> bool) {
        loop {
            let until = self.work();
            if done(&mut self.stack) {
                return;
            }
            self.sleep(until);
        }
    }

    fn sleep(&mut self, until: Option<Instant>) {
        if until.is_none_or(|until| until > self.stack.now()) {
            self.port.sleep(until);
        }
    }

    /// The part of [`turn`](Self::turn) before the sleep: for loops that have more to do. Says when the next is wanted, if
    /// nothing happens; a time that has come: at once.
    pub fn work(&mut self) -> Option<Instant> {
        #[cfg(feature = "std")]
        let _serving = self.inbox.serve();
        let now = self.port.now();
        // First of all the time, so that posted work and callbacks know it.
        self.stack.poll(now);
        // What is posted meanwhile has its turn in the next round.
        for _ in 0..self.inbox.capacity() {
            let Some(work) = self.inbox.next() else { break };
            work.run(&mut self.stack);
        }
        let mut more = !self.inbox.is_empty();
        for link in self.links.iter_mut().flatten() {
            more |= link.receive(&mut self.stack, now, self.frames_at_a_time);
        }
        for link in self.links.iter_mut().flatten() {
            link.transmit(&mut self.stack);
        }
        if more {
            return Some(now);
        }
        let polls = self.links.iter().flatten().filter_map(|link| link.next_poll(now));
        polls.chain(self.stack.next_deadline()).min()
    }
}

impl<H: Handler + 'static, P: fmt::Debug, D> fmt::Debug for Core<H, P, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("port", &self.port).field("inbox", &self.inbox).finish_non_exhaustive()
    }
}
