//! TIME-WAIT: connections that are over, but whose last segments may still be on the way [RFC 9293 §3.6.1].
//!
//! Nothing is left of such a connection but what answers a late segment. All of them wait equally long, so the order
//! in which they came is the order in which they leave, and one timer serves all.

#[cfg(test)]
mod tests;

use coracle_buf::{Arena, Error, Table};
use coracle_wire::tcp::TcpFlags;

use super::flow::Flow;
use super::sequence::{Seq, time_before};
use crate::random::HashKey;
use crate::table::{Index, NONE};

/// The longest wait, so that times of a connection stay comparable: 17 minutes, where RFC 9293 asks for four.
const MAX_WAIT: u32 = 1 << 30;

/// The mark that the connection had timestamps, in a bit of the type of service that acknowledgments never have:
/// they are not ECN-capable [RFC 3168 §6.1.4].
const TIMESTAMPS: u8 = 1;
const DSCP: u8 = !3;

/// What is left of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) flow: Flow,
    pub(crate) snd_nxt: Seq,
    pub(crate) rcv_nxt: Seq,
    ts_recent: u32,
    /// As announced in segments, scaled already.
    pub(crate) window: u16,
    pub(crate) ttl: u8,
    tos: u8,
}

/// What to do about a segment for such a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimeWaitAction {
    Ignore,
    /// It is answered with an acknowledgment.
    Acknowledge {
        /// It was the peer's FIN again: the wait begins anew.
        restart: bool,
    },
    /// It was none of this connection's, or old: answered as far as challenges are let out [RFC 5961 §7].
    Challenge,
    /// It opens the connection again, if anyone listens; else it counts as a [`Challenge`](Self::Challenge).
    Reopen {
        /// The new initial sequence number lies after this one.
        after: Seq,
    },
}

/// The parts of a segment that matter here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LateSegment {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: TcpFlags,
    /// Bytes of data.
    pub(crate) len: u32,
    /// The value of the timestamps option; none where timestamps are turned off.
    pub(crate) timestamp: Option<u32>,
}

impl Waiting {
    /// `ts_recent` is the peer's last timestamp, if the connection had timestamps.
    pub(crate) fn new(
        flow: Flow,
        snd_nxt: Seq,
        rcv_nxt: Seq,
        window: u16,
        ts_recent: Option<u32>,
        (ttl, tos): (u8, u8),
    ) -> Self {
        let marks = if ts_recent.is_some() { TIMESTAMPS } else { 0 };
        let ts_recent = ts_recent.unwrap_or(0);
        Self { flow, snd_nxt, rcv_nxt, ts_recent, window, ttl, tos: tos & DSCP | marks }
    }

    /// The type of service of an answer.
    pub(crate) fn tos(&self) -> u8 {
        self.tos & DSCP
    }

    /// The timestamp that an answer echoes, if the connection had timestamps.
    pub(crate) fn ts_recent(&self) -> Option<u32> {
        (self.tos & TIMESTAMPS != 0).then_some(self.ts_recent)
    }

    /// Judges a segment as RFC 9293 §3.10.7.4 does in TIME-WAIT.
    pub(crate) fn judge(&mut self, segment: &LateSegment) -> TimeWaitAction {
        let flags = segment.flags;
        if flags.intersects(TcpFlags::RST) {
            // [1337-1] An old reset must not end the wait.
            return TimeWaitAction::Ignore;
        }
        if flags.intersects(TcpFlags::SYN) {
            let opens = !flags.intersects(TcpFlags::ACK | TcpFlags::FIN) && self.may_reopen(segment);
            return if opens {
                TimeWaitAction::Reopen { after: self.snd_nxt }
            } else {
                TimeWaitAction::Challenge
            };
        }
        if !self.is_recent(segment) {
            return TimeWaitAction::Challenge;
        }
        if self.ts_recent().is_some() && segment.timestamp.is_none() {
            // [7323-5]
            return TimeWaitAction::Ignore;
        }
        let fin = flags.intersects(TcpFlags::FIN);
        let end = segment.seq + segment.len + u32::from(fin);
        if !flags.intersects(TcpFlags::ACK) {
            return if self.is_acceptable(segment.seq, end) {
                TimeWaitAction::Ignore
            } else {
                TimeWaitAction::Challenge
            };
        }
        if fin && end == self.rcv_nxt && segment.ack.at_or_before(self.snd_nxt) {
            if let Some(timestamp) = segment.timestamp {
                // [7323-7]
                self.ts_recent = timestamp;
            }
            return TimeWaitAction::Acknowledge { restart: true };
        }
        if self.is_acceptable(segment.seq, end) && segment.ack.at_or_before(self.snd_nxt) {
            // After a FIN nothing can follow.
            return TimeWaitAction::Ignore;
        }
        TimeWaitAction::Challenge
    }

    /// [MAY-2, SHLD-4] Whether a SYN is surely newer than the old connection: by its timestamp, else by its sequence
    /// number [RFC 6191 §2].
    fn may_reopen(&self, segment: &LateSegment) -> bool {
        let follows = segment.seq.at_or_after(self.rcv_nxt);
        match (self.ts_recent(), segment.timestamp) {
            (Some(old), Some(new)) => time_before(old, new) || old == new && follows,
            (None, Some(_)) => true,
            (_, None) => follows,
        }
    }

    /// [7323-8]
    fn is_recent(&self, segment: &LateSegment) -> bool {
        match (self.ts_recent(), segment.timestamp) {
            (Some(old), Some(new)) => !time_before(new, old),
            _ => true,
        }
    }

    /// Whether any part of it is in the window; `end` is the number after its last.
    fn is_acceptable(&self, seq: Seq, end: Seq) -> bool {
        let edge = self.rcv_nxt + u32::from(self.window).max(1);
        seq.between(self.rcv_nxt, edge) || (seq != end && (end - 1).between(self.rcv_nxt, edge))
    }
}

struct Slot {
    waiting: Waiting,
    /// When the wait began, in microseconds modulo 2³².
    since: u32,
    older: u32,
    /// The next younger one, or the next free slot.
    younger: u32,
}

const _: () = assert!(size_of::<Slot>() <= 64);

/// All connections in TIME-WAIT, in the order in which they came.
pub(crate) struct TimeWaitTable {
    slots: Table<Slot>,
    index: Index,
    oldest: u32,
    youngest: u32,
    free: u32,
    used: u32,
    wait: u32,
}

impl TimeWaitTable {
    /// A table for so many connections, each of which waits for `wait` microseconds, which is twice the maximum
    /// segment lifetime [MUST-13].
    pub(crate) fn new(arena: &mut Arena, capacity: usize, wait: u32) -> Result<Self, Error> {
        let count = u32::try_from(capacity).map_err(|_| Error::Memory)?;
        let nobody = crate::address::Endpoint::NONE;
        let flow = Flow { local: nobody, remote: nobody };
        let waiting = Waiting::new(flow, Seq(0), Seq(0), 0, None, (0, 0));
        let slots = arena.table(capacity, |position| {
            let next = position as u32 + 1;
            Slot { waiting, since: 0, older: NONE, younger: if next < count { next } else { NONE } }
        })?;
        Ok(Self {
            slots,
            index: Index::new(arena, capacity)?,
            oldest: NONE,
            youngest: NONE,
            free: if capacity == 0 { NONE } else { 0 },
            used: 0,
            wait: wait.min(MAX_WAIT),
        })
    }

    /// How many there may be.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The connection in a place, if one waits there.
    pub(crate) fn flow_at(&self, key: &HashKey, place: usize) -> Option<Flow> {
        let flow = self.slots.get(place)?.waiting.flow;
        // What left a place may still be written there, but is not found.
        (self.find(key, &flow) == Some(place as u32)).then_some(flow)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.used as usize
    }

    /// Takes a connection in. If none is free, the oldest gives way; returns it. A table for none gives the
    /// connection itself back.
    pub(crate) fn insert(&mut self, key: &HashKey, waiting: Waiting, now: u32) -> Option<Waiting> {
        let mut displaced = self.find(key, &waiting.flow).map(|same| self.remove(key, same));
        if self.free == NONE {
            if self.oldest == NONE {
                return Some(waiting);
            }
            displaced = Some(self.remove(key, self.oldest));
        }
        let position = self.free;
        let slot = &mut self.slots[position as usize];
        self.free = slot.younger;
        slot.waiting = waiting;
        self.index.insert(waiting.flow.hash(key), position);
        self.append(position, now);
        self.used += 1;
        displaced
    }

    /// The position of a connection; good until it is removed.
    #[inline]
    pub(crate) fn find(&self, key: &HashKey, flow: &Flow) -> Option<u32> {
        if self.used == 0 {
            return None;
        }
        let mut at = self.index.first(flow.hash(key));
        while at != NONE && self.slots[at as usize].waiting.flow != *flow {
            at = self.index.next(at);
        }
        (at != NONE).then_some(at)
    }

    pub(crate) fn get(&self, position: u32) -> &Waiting {
        &self.slots[position as usize].waiting
    }

    pub(crate) fn get_mut(&mut self, position: u32) -> &mut Waiting {
        &mut self.slots[position as usize].waiting
    }

    /// Lets the wait of a connection begin anew.
    pub(crate) fn restart(&mut self, position: u32, now: u32) {
        self.unlink(position);
        self.append(position, now);
    }

    /// Takes a connection out.
    pub(crate) fn remove(&mut self, key: &HashKey, position: u32) -> Waiting {
        self.unlink(position);
        let slot = &mut self.slots[position as usize];
        slot.younger = self.free;
        self.free = position;
        self.used -= 1;
        let waiting = slot.waiting;
        self.index.remove(waiting.flow.hash(key), position);
        waiting
    }

    /// The position of the one that has waited longest.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// When the first wait is over, in microseconds modulo 2³².
    pub(crate) fn next_deadline(&self) -> Option<u32> {
        self.oldest().map(|oldest| self.slots[oldest as usize].since.wrapping_add(self.wait))
    }

    /// Takes out all whose wait is over; returns how many they were.
    pub(crate) fn expire(&mut self, key: &HashKey, now: u32) -> usize {
        let before = self.used;
        while self.next_deadline().is_some_and(|deadline| !time_before(now, deadline)) {
            self.remove(key, self.oldest);
        }
        (before - self.used) as usize
    }

    /// All of them, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        core::iter::successors(self.slots.get(self.oldest as usize), |slot| {
            self.slots.get(slot.younger as usize)
        })
        .map(|slot| &slot.waiting)
    }

    fn append(&mut self, position: u32, now: u32) {
        let older = self.youngest;
        let slot = &mut self.slots[position as usize];
        slot.since = now;
        slot.older = older;
        slot.younger = NONE;
        self.youngest = position;
        *self.younger_than(older) = position;
    }

    fn unlink(&mut self, position: u32) {
        let (older, younger) = {
            let slot = &self.slots[position as usize];
            (slot.older, slot.younger)
        };
        *self.younger_than(older) = younger;
        match self.slots.get_mut(younger as usize) {
            Some(slot) => slot.older = older,
            None => self.youngest = older,
        }
    }

    /// The link to the one that came after `older`, or to the first of all.
    fn younger_than(&mut self, older: u32) -> &mut u32 {
        match self.slots.get_mut(older as usize) {
            Some(slot) => &mut slot.younger,
            None => &mut self.oldest,
        }
    }
}
