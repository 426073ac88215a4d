//! What an impairer has done so far.

use core::fmt;

/// Counts of frames. At any moment
/// `pushed + duplicated == delivered + dropped() + in flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handed to the wire.
    pub pushed: u64,
    /// Copies that the wire added.
    pub duplicated: u64,
    /// Handed out at the other end, copies included.
    pub delivered: u64,
    /// Lost by [`loss`](super::Impairment::loss) or [`burst`](super::Impairment::burst).
    pub lost: u64,
    /// Dropped because the queue before the link was full, or because too many frames were under way.
    pub queue_drops: u64,
    /// Dropped because they were longer than the wire's MTU.
    pub oversized: u64,
    /// Dropped because the wire was cut.
    pub partitioned: u64,
    /// Went on with one bit inverted.
    pub corrupted: u64,
    /// Delivered after a frame that had been pushed later.
    pub reordered: u64,
    /// Bytes handed out.
    pub delivered_bytes: u64,
    /// Duplications or corruptions that did not happen because the frame had no memory for them.
    pub no_memory: u64,
}

impl Counters {
    /// Frames that never arrive, for whatever reason.
    pub const fn dropped(&self) -> u64 {
        self.lost + self.queue_drops + self.oversized + self.partitioned
    }
}

/// One line in plain words, naming only what happened.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in, {} delivered", self.pushed, self.delivered)?;
        let rest = [
            (self.lost, "lost"),
            (self.queue_drops, "dropped by the queue"),
            (self.oversized, "too long"),
            (self.partitioned, "cut off"),
            (self.duplicated, "duplicated"),
            (self.reordered, "reordered"),
            (self.corrupted, "corrupted"),
            (self.no_memory, "without memory"),
        ];
        for (count, what) in rest {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
