//! A stack, as the network drives it.

use coracle::{Handler, Instant, Kind, Layer, NetifHandle, Stack};

/// A stack and what the network remembers of it.
pub(super) struct Station<H> {
    pub(super) stack: Stack<H>,
    /// When it wants to be polled.
    pub(super) deadline: Option<Instant>,
    /// Something was done with it since it was last polled.
    pub(super) touched: bool,
    /// Frames that its counter has to show.
    given: u32,
}

impl<H: Handler> Station<H> {
    pub(super) fn new(stack: Stack<H>) -> Self {
        let given = stack.counters().link.received;
        Self { stack, deadline: None, touched: true, given }
    }

    /// Copies a frame into the stack's buffers and hands it over; without buffers it is lost.
    pub(super) fn receive(&mut self, netif: NetifHandle, frame: &[u8], now: Instant) {
        let Ok(mut buffer) = self.stack.memory().alloc(Layer::Raw, frame.len(), Kind::Pool) else { return };
        buffer.take(frame).expect("a fresh buffer is writable and long enough");
        self.touched = true;
        if self.stack.input(netif, buffer, now).is_ok() {
            self.given = self.given.wrapping_add(1);
        }
    }

    pub(super) fn poll(&mut self, now: Instant) {
        self.deadline = self.stack.poll(now);
        self.touched = false;
    }

    /// What holds at any time.
    pub(super) fn check(&self, now: Instant) {
        assert!(self.deadline.is_none_or(|deadline| deadline >= now), "a deadline in the past is never met");
        let stats = self.stack.memory().stats();
        for pool in [stats.pool, stats.small, stats.references, stats.heap] {
            assert!(
                pool.used <= pool.peak && pool.peak <= pool.capacity,
                "a pool beyond its bounds: {pool:?}"
            );
        }
        let counters = self.stack.counters();
        assert_eq!(counters.link.received, self.given, "frames given and frames counted");
        assert!(counters.ip.delivered <= counters.ip.received, "more packets delivered than received");
    }
}
