//! A driver at work for an interface.

use ::core::time::Duration;

use coracle::{Error, Handler, Instant, NetifConfig, NetifHandle, Stack};

use crate::driver::Driver;

/// How long frames stay in a device when there is no buffer for them, unless something happens earlier.
const SHORTAGE: Duration = Duration::from_millis(1);

/// What a driver did, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Frames received.
    pub received: u32,
    /// Frames sent.
    pub sent: u32,
    /// Rounds in which frames had to stay in the device because no buffer was free.
    pub shortages: u32,
    /// Rounds in which frames had to stay in the stack because the device was full.
    pub full: u32,
    /// Rounds in which the device had failed.
    pub failures: u32,
    /// Frames that came for an interface which the application has removed.
    pub refused: u32,
}

/// A driver, and the interface that it works for: moves frames between both. [`Core`](crate::Core) is made of these; a
/// loop of one's own may be too.
#[derive(Debug)]
pub struct Link<D> {
    netif: NetifHandle,
    driver: D,
    up: bool,
    short: bool,
    counters: LinkCounters,
}

impl<D: Driver> Link<D> {
    /// Adds an interface for a driver. `configure` completes what the driver says of its device, with an address, say. The
    /// interface is down, as interfaces are at first.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::netif_add`].
    pub fn attach<H: Handler>(
        stack: &mut Stack<H>,
        driver: D,
        configure: impl FnOnce(NetifConfig) -> NetifConfig,
    ) -> Result<Self, Error> {
        let netif = stack.netif_add(&configure(driver.properties().config()))?;
        Ok(Self { netif, driver, up: true, short: false, counters: LinkCounters::default() })
    }

    /// The interface.
    pub fn netif(&self) -> NetifHandle {
        self.netif
    }

    /// The driver.
    pub fn driver(&mut self) -> &mut D {
        &mut self.driver
    }

    /// The driver, without its interface, which stays.
    pub fn into_driver(self) -> D {
        self.driver
    }

    /// What it did.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// Hands the frames of the device to the stack, up to `most`, and tells it of a change of the link. Says whether there
    /// may be more.
    pub fn receive<H: Handler>(&mut self, stack: &mut Stack<H>, now: Instant, most: usize) -> bool {
        let up = self.driver.is_link_up();
        if up != self.up {
            self.up = up;
            self.refused_if(stack.netif(self.netif).and_then(|mut netif| netif.set_link_up(up)).is_err());
        }
        self.short = false;
        for _ in 0..most {
            match self.driver.receive(stack.memory()) {
                Ok(Some(frame)) => {
                    self.counters.received = self.counters.received.wrapping_add(1);
                    self.refused_if(stack.input(self.netif, frame, now).is_err());
                }
                Ok(None) => return false,
                Err(Error::Memory) => {
                    self.counters.shortages = self.counters.shortages.wrapping_add(1);
                    self.short = true;
                    return false;
                }
                Err(_) => {
                    self.counters.failures = self.counters.failures.wrapping_add(1);
                    return false;
                }
            }
        }
        true
    }

    /// Hands the frames of the stack to the device, as many as it takes.
    pub fn transmit<H>(&mut self, stack: &mut Stack<H>) {
        let Self { driver, counters, .. } = self;
        let mut full = false;
        let sent =
            stack.transmit_with(self.netif, |frame| driver.transmit(frame).inspect_err(|_| full = true));
        counters.sent = counters.sent.wrapping_add(sent as u32);
        counters.full = counters.full.wrapping_add(u32::from(full));
    }

    /// When the driver wants to be asked again, even if nothing happens.
    pub fn next_poll(&self, now: Instant) -> Option<Instant> {
        let shortage = self.short.then_some(SHORTAGE);
        self.driver.poll_interval().into_iter().chain(shortage).min().map(|after| now + after)
    }

    fn refused_if(&mut self, refused: bool) {
        self.counters.refused = self.counters.refused.wrapping_add(u32::from(refused));
    }
}
