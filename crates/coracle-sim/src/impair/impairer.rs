//! The machine: frames in with the time they came, frames out at the time they are due.

use super::config::{Impairment, Rate};
use super::counters::Counters;
use super::frame::Frame;
use super::random::{CopyDraws, Draws, Random, below};
use core::cmp::Ordering;
use std::collections::BinaryHeap;

/// One direction of a wire. See the [module's page](super) for an example.
///
/// All times are microseconds on any clock that does not run backwards; a time earlier than one already given counts as
/// that one.
#[derive(Debug)]
pub struct Impairer<F> {
    config: Impairment,
    random: Random,
    counters: Counters,
    in_flight: BinaryHeap<InFlight<F>>,
    burst_bad: bool,
    link: Link,
    /// Latest time that was given.
    now: u64,
    /// When the last frame that took no detour is due: nothing behind it may be earlier.
    last_due: u64,
    /// Number of the next frame or copy, to keep the order of those due at the same time.
    next_number: u64,
    /// Highest `pushed` number that was delivered.
    newest_delivered: u64,
}

impl<F: Frame> Impairer<F> {
    /// A wire that does what `config` says, with decisions fixed by `seed`.
    pub fn new(config: Impairment, seed: u64) -> Self {
        Self {
            config,
            random: Random::new(seed),
            counters: Counters::default(),
            in_flight: BinaryHeap::new(),
            burst_bad: false,
            link: Link::default(),
            now: 0,
            last_due: 0,
            next_number: 0,
            newest_delivered: 0,
        }
    }

    /// Puts a frame on the wire at time `now`. What becomes of it is decided at once and counted.
    pub fn push(&mut self, now: u64, frame: F) {
        self.advance(now);
        self.counters.pushed += 1;
        let draws = self.random.draw();
        let lost = self.loses(&draws);
        if self.config.partition {
            self.counters.partitioned += 1;
        } else if self.config.mtu.is_some_and(|mtu| frame.byte_len() > mtu) {
            self.counters.oversized += 1;
        } else if lost {
            self.counters.lost += 1;
        } else {
            let copy = self.duplicate(&frame, draws.duplicate);
            self.carry(frame, draws.copies[0]);
            if let Some(copy) = copy {
                self.carry(copy, draws.copies[1]);
            }
        }
    }

    /// Takes the next frame that is due at time `now`, if there is one. Call it until it gives `None`.
    pub fn pop_due(&mut self, now: u64) -> Option<F> {
        self.advance(now);
        if self.in_flight.peek()?.due > self.now {
            return None;
        }
        let InFlight { frame, pushed_as, .. } = self.in_flight.pop()?;
        self.counters.delivered += 1;
        self.counters.delivered_bytes += frame.byte_len() as u64;
        if pushed_as < self.newest_delivered {
            self.counters.reordered += 1;
        }
        self.newest_delivered = self.newest_delivered.max(pushed_as);
        Some(frame)
    }

    /// When [`pop_due`](Self::pop_due) will next have a frame; `None` while nothing is under way.
    pub fn next_deadline(&self) -> Option<u64> {
        self.in_flight.peek().map(|next| next.due)
    }

    /// Frames under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the wire does to frames.
    pub fn config(&self) -> &Impairment {
        &self.config
    }

    /// Changes what the wire does to frames pushed from now on; those under way keep the time at which they are due.
    pub fn set_config(&mut self, config: Impairment) {
        self.config = config;
    }

    /// Cuts the wire, or mends it. Frames under way still arrive.
    pub fn set_partition(&mut self, cut: bool) {
        self.config.partition = cut;
    }

    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    fn loses(&mut self, draws: &Draws) -> bool {
        let mut lost = self.config.loss.happens(draws.loss);
        if let Some(burst) = self.config.burst {
            let change = if self.burst_bad { burst.leave } else { burst.enter };
            self.burst_bad ^= change.happens(draws.burst_change);
            let loss = if self.burst_bad { burst.loss_bad } else { burst.loss_good };
            lost |= loss.happens(draws.burst_loss);
        }
        lost
    }

    fn duplicate(&mut self, frame: &F, word: u32) -> Option<F> {
        if !self.config.duplicate.happens(word) {
            return None;
        }
        let copy = frame.duplicate();
        match copy {
            Some(_) => self.counters.duplicated += 1,
            None => self.counters.no_memory += 1,
        }
        copy
    }

    fn carry(&mut self, mut frame: F, draws: CopyDraws) {
        if self.in_flight.len() >= self.config.limit {
            self.counters.queue_drops += 1;
            return;
        }
        let Some(sent) = self.link.send(self.now, frame.byte_len(), self.config.rate.as_ref()) else {
            self.counters.queue_drops += 1;
            return;
        };
        if self.config.corrupt.happens(draws.corrupt) {
            self.corrupt(&mut frame, draws.corrupt_place);
        }
        let due = self.due(sent, draws);
        let number = self.next_number;
        self.next_number += 1;
        self.in_flight.push(InFlight { due, number, pushed_as: self.counters.pushed, frame });
    }

    fn corrupt(&mut self, frame: &mut F, word: u32) {
        let bits = frame.byte_len() * 8;
        if bits == 0 {
            return;
        }
        if frame.flip_bit(below(word, bits as u64) as usize) {
            self.counters.corrupted += 1;
        } else {
            self.counters.no_memory += 1;
        }
    }

    fn due(&mut self, sent: u64, draws: CopyDraws) -> u64 {
        let jitter = below(draws.jitter, self.config.jitter.saturating_add(1));
        let due = sent.saturating_add(self.config.delay).saturating_add(jitter).max(self.last_due);
        if self.config.reorder.happens(draws.reorder) {
            return due.saturating_add(self.config.reorder_delay);
        }
        self.last_due = due;
        due
    }
}

/// The narrow link: when the last bit of what it has taken will have left it.
#[derive(Debug, Default)]
struct Link {
    /// Nanoseconds, because a small frame on a fast link takes less than a microsecond.
    busy_until: u64,
    /// What rounding to nanoseconds left over, in parts of a nanosecond of size 1 / rate, so that a long run keeps the
    /// exact rate.
    remainder: u64,
}

impl Link {
    const NANOS: u64 = 1_000_000_000;

    /// Takes a frame of `len` bytes at `now` and gives the microsecond in which its last bit leaves, or `None` when the queue has no
    /// room for it.
    fn send(&mut self, now: u64, len: usize, rate: Option<&Rate>) -> Option<u64> {
        let Some(rate) = rate else { return Some(now) };
        let now = now.saturating_mul(1000);
        if rate.bits_per_second == 0 {
            return None;
        }
        if self.busy_until <= now {
            (self.busy_until, self.remainder) = (now, 0);
        } else {
            let backlog_bits = u128::from(self.busy_until - now) * u128::from(rate.bits_per_second);
            let backlog = backlog_bits.div_ceil(8 * u128::from(Self::NANOS));
            if backlog + len as u128 > u128::from(rate.queue) {
                return None;
            }
        }
        let work = len as u128 * 8 * u128::from(Self::NANOS) + u128::from(self.remainder);
        let nanos = u64::try_from(work / u128::from(rate.bits_per_second)).unwrap_or(u64::MAX);
        self.remainder = (work % u128::from(rate.bits_per_second)) as u64;
        self.busy_until = self.busy_until.saturating_add(nanos);
        Some(self.busy_until.div_ceil(1000))
    }
}

#[derive(Debug)]
struct InFlight<F> {
    due: u64,
    number: u64,
    /// The count of pushed frames when this one (or its original) was pushed.
    pushed_as: u64,
    frame: F,
}

/// Reversed, since the heap's top is its greatest and the earliest frame comes first.
impl<F> Ord for InFlight<F> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl<F> PartialOrd for InFlight<F> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<F> PartialEq for InFlight<F> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<F> Eq for InFlight<F> {}
