//! A hierarchical timing wheel: setting, moving and cancelling a timer take constant time, and an idle wheel asks
//! for no tick.
//!
//! Time is cut into granules of 1,024 µs. A timer lies in the level at which its granule first differs from the
//! present one, counted in groups of five bits: level 0 holds what is due within the present 32 granules, level 1
//! what is due within the present 1,024, and so on. All timers of a level are due before all timers of the next, so
//! the earliest deadline is the minimum of one slot's list. Timers further away than the last level (12 days) wait
//! in a list of their own. Deadlines are kept to the microsecond: no timer is early, none is rounded up to a tick.

use coracle_buf::{Arena, Error, Table};

use super::Instant;

const GRANULE_BITS: u32 = 10;
const SLOT_BITS: u32 = 5;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
const LEVELS: usize = 6;
/// The list of timers beyond the last level.
const FAR: usize = LEVELS * SLOTS;
const NONE: u32 = u32::MAX;
const UNSET: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Node {
    deadline: Instant,
    previous: u32,
    next: u32,
    /// The list that the node is in, or `UNSET`.
    list: u16,
}

/// Timers numbered from zero; each is set or not, and has one deadline.
pub(crate) struct Wheel {
    nodes: Table<Node>,
    /// The first node of each list; its `previous` is the last, so that lists keep the order of arrival.
    heads: [u32; FAR + 1],
    /// One bit for each slot of a level that holds timers.
    occupied: [u32; LEVELS],
    /// The granule up to which everything was taken out.
    elapsed: u64,
    /// The earliest deadline, while it is known.
    earliest: Option<Instant>,
}

impl Wheel {
    pub(crate) fn new(arena: &mut Arena, timers: usize) -> Result<Self, Error> {
        let idle = Node { deadline: Instant::ZERO, previous: NONE, next: NONE, list: UNSET };
        Ok(Self {
            nodes: arena.table(timers, |_| idle)?,
            heads: [NONE; FAR + 1],
            occupied: [0; LEVELS],
            elapsed: 0,
            earliest: None,
        })
    }

    /// The deadline of a timer that is set.
    #[inline]
    pub(crate) fn deadline(&self, timer: usize) -> Option<Instant> {
        let node = self.nodes.get(timer)?;
        (node.list != UNSET).then_some(node.deadline)
    }

    /// Sets a timer, or moves one that is set.
    pub(crate) fn set(&mut self, timer: usize, deadline: Instant) {
        self.cancel(timer);
        let earlier_known = self.earliest.is_some_and(|earliest| earliest <= deadline);
        if !earlier_known {
            self.earliest = if self.is_empty() || self.earliest.is_some() { Some(deadline) } else { None };
        }
        self.nodes[timer].deadline = deadline;
        self.link(timer);
    }

    /// Takes a timer out; nothing happens when it is not set.
    pub(crate) fn cancel(&mut self, timer: usize) {
        if self.nodes[timer].list == UNSET {
            return;
        }
        self.unlink(timer);
        if self.earliest == Some(self.nodes[timer].deadline) {
            self.earliest = None;
        }
    }

    /// The earliest deadline of all timers that are set.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        if self.earliest.is_none() {
            self.earliest = self.find_earliest();
        }
        self.earliest
    }

    /// Takes out one timer whose deadline has come. Within a granule those set first come first.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<usize> {
        if self.next_deadline()? > now {
            return None;
        }
        let target = now.as_micros() >> GRANULE_BITS;
        while let Some((list, start)) = self.first_list() {
            if start > target {
                break;
            }
            self.elapsed = self.elapsed.max(start);
            if list >= SLOTS {
                self.cascade(list);
                continue;
            }
            let mut timer = self.heads[list];
            while timer != NONE {
                let node = self.nodes[timer as usize];
                if node.deadline <= now {
                    self.unlink(timer as usize);
                    self.earliest = None;
                    return Some(timer as usize);
                }
                timer = node.next;
            }
            break;
        }
        None
    }

    fn is_empty(&self) -> bool {
        self.occupied == [0; LEVELS] && self.heads[FAR] == NONE
    }

    /// The list that holds the earliest deadline, and the first granule that it covers.
    fn first_list(&self) -> Option<(usize, u64)> {
        for (level, &occupied) in self.occupied.iter().enumerate() {
            if occupied != 0 {
                let shift = level as u32 * SLOT_BITS;
                let slot = u64::from(occupied.trailing_zeros());
                let window = self.elapsed >> shift & !SLOT_MASK;
                return Some((level * SLOTS + slot as usize, (window | slot) << shift));
            }
        }
        let far_start = ((self.elapsed >> (LEVELS as u32 * SLOT_BITS)) + 1) << (LEVELS as u32 * SLOT_BITS);
        (self.heads[FAR] != NONE).then_some((FAR, far_start))
    }

    fn find_earliest(&self) -> Option<Instant> {
        let (list, _) = self.first_list()?;
        let mut earliest = Instant::MAX;
        let mut timer = self.heads[list];
        while timer != NONE {
            let node = &self.nodes[timer as usize];
            earliest = earliest.min(node.deadline);
            timer = node.next;
        }
        Some(earliest)
    }

    /// Spreads a list over the levels below, as its time has come.
    fn cascade(&mut self, list: usize) {
        let mut timer = self.heads[list];
        self.heads[list] = NONE;
        if list < FAR {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
        while timer != NONE {
            let next = self.nodes[timer as usize].next;
            self.link(timer as usize);
            timer = next;
        }
    }

    fn list_for(&self, deadline: Instant) -> usize {
        let granule = (deadline.as_micros() >> GRANULE_BITS).max(self.elapsed);
        let differing = (granule ^ self.elapsed) | 1;
        let level = (differing.ilog2() / SLOT_BITS) as usize;
        if level >= LEVELS {
            return FAR;
        }
        level * SLOTS + (granule >> (level as u32 * SLOT_BITS) & SLOT_MASK) as usize
    }

    fn link(&mut self, timer: usize) {
        let list = self.list_for(self.nodes[timer].deadline);
        let head = self.heads[list];
        if head == NONE {
            self.heads[list] = timer as u32;
            self.nodes[timer].previous = timer as u32;
            if list < FAR {
                self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
            }
        } else {
            let last = self.nodes[head as usize].previous;
            self.nodes[last as usize].next = timer as u32;
            self.nodes[timer].previous = last;
            self.nodes[head as usize].previous = timer as u32;
        }
        self.nodes[timer].next = NONE;
        self.nodes[timer].list = list as u16;
    }

    fn unlink(&mut self, timer: usize) {
        let Node { previous, next, list, .. } = self.nodes[timer];
        let list = list as usize;
        let head = self.heads[list];
        if head == timer as u32 {
            self.heads[list] = next;
            if next == NONE {
                if list < FAR {
                    self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
                }
            } else {
                self.nodes[next as usize].previous = previous;
            }
        } else {
            self.nodes[previous as usize].next = next;
            let after = if next == NONE { head } else { next };
            self.nodes[after as usize].previous = previous;
        }
        self.nodes[timer].list = UNSET;
    }
}
