//! What a sender has in flight: finding what was lost, saying what goes out again, and how much may leave.
//!
//! One [`Loss`] belongs to each connection; the records that it lists are in the [`Segments`] of all. The connection
//! calls it so:
//!
//! * [`Loss::sent`] for each new segment that leaves (SYN and FIN too; never for a pure ACK),
//! * [`Loss::acknowledged`] for each acceptable ACK,
//! * before sending: [`Loss::allowance`], then as long as that suffices [`Loss::next_lost`] with [`Loss::sent_again`],
//!   and new data after that,
//! * [`Loss::deadline`] after each of these, to set the one timer, and [`Loss::timed_out`] when it runs out,
//! * [`Loss::clear`] when the connection ends: its records are not given back otherwise.
//!
//! Times are microseconds modulo 2³². A record's data is dropped as soon as all of it is acknowledged.

mod ack;
mod prr;
mod rack;
mod recovery;
mod scoreboard;
mod segments;
mod timer;
mod types;

pub(crate) use segments::{RecordFlags, Segments};
pub(crate) use types::{AckInput, Control, Counts, NewSegment, TimerAction, TimerKind};

use crate::table::NONE;
use crate::tcp::congestion::CongestionWindow;
use crate::tcp::sequence::{Seq, time_before};
use segments::By;
use types::{Flags, Phase, Rack};

/// Duplicate acknowledgments, or segments selectively acknowledged, that tell of a loss [RFC 5681 §3.2; RFC 6675 §2].
const DUP_THRESH: u16 = 3;

/// How far a record that is lost once more is carried forward among those that wait, so that they go out in the order
/// of their numbers. The order is a courtesy to the receiver; a bound on the work is none.
const MAX_SORT: u32 = 16;

/// A connection's records in flight, and what is known of them.
pub(crate) struct Loss {
    /// All records, by sequence.
    first: u32,
    /// Those in flight, by time: neither lost nor selectively acknowledged.
    oldest: u32,
    /// Those lost and not sent again, in the order to send them.
    lost: u32,
    /// Where the last search for a block stopped before it was found; none if it was.
    sought: u32,
    /// Sequence numbers of those in flight [RFC 6675 §2].
    pipe: u32,
    rack: Rack,
    /// Recovery, or the repair after a timeout, is over when all before this is acknowledged.
    recover: Seq,
    /// In recovery: bytes delivered since it began. While a probe is out: the end of what it probes.
    delivered: u32,
    /// In recovery: bytes sent since it began.
    out: u32,
    /// In recovery: bytes in flight when it began.
    flight: u32,
    /// Until this is acknowledged, further duplicates do not widen the reordering window.
    round: Seq,
    /// From where on a report of a duplicate tells that a retransmission was needless.
    undo_from: Seq,
    /// When the retransmission timer was started.
    armed_at: u32,
    flags: Flags,
    phase: Phase,
    /// The reordering window is this many quarters of the shortest round-trip time.
    reorder_steps: u8,
    /// Recoveries until it shrinks again.
    reorder_rounds: u8,
    /// Retransmissions that were not proved needless yet; 255 if they were too many to count.
    undo_left: u8,
    /// Records selectively acknowledged; without SACK, duplicate acknowledgments that stand for them.
    sacked: u16,
}

const _: () = assert!(size_of::<Loss>() <= 68);

impl Loss {
    /// Nothing in flight.
    pub(crate) const fn new() -> Self {
        Self {
            first: NONE,
            oldest: NONE,
            lost: NONE,
            sought: NONE,
            pipe: 0,
            rack: Rack { sent_at: 0, end: Seq(0), rtt: 0 },
            recover: Seq(0),
            delivered: 0,
            out: 0,
            flight: 0,
            round: Seq(0),
            undo_from: Seq(0),
            armed_at: 0,
            flags: Flags::NONE,
            phase: Phase::Open,
            reorder_steps: 1,
            reorder_rounds: 0,
            undo_left: 0,
            sacked: 0,
        }
    }

    /// Takes note of a new segment that leaves now; its numbers follow on those before.
    ///
    /// # Errors
    ///
    /// The segment, if no record is free: then it must not be sent.
    #[inline]
    pub(crate) fn sent(
        &mut self,
        pool: &mut Segments,
        segment: NewSegment,
        now: u32,
    ) -> Result<(), NewSegment> {
        let (seq, len) = (segment.seq, segment.len);
        let idle = self.first == NONE;
        let floor = if idle { now } else { later(now, self.rack.sent_at) };
        pool.append(&mut self.first, &mut self.oldest, segment, floor)?;
        if idle {
            // [6298-6] The timer starts; and what is known of the last delivery is of no use, being older than all that
            // will be in flight.
            self.armed_at = now;
            (self.rack.sent_at, self.rack.end) = (now, seq);
        }
        self.pipe += len;
        self.flags.remove(Flags::LIMITED);
        if self.phase != Phase::Open || self.flags.any(Flags::PROBE_DUE) {
            self.note_sent(seq + len, len, now);
        }
        Ok(())
    }

    /// How many bytes may leave now, new or again, as far as congestion goes. A segment goes if it is no longer than
    /// this. After a timeout or before a probe it is one segment at least, whatever is in flight.
    ///
    /// Segments that duplicate acknowledgments stand for are not in flight any more, so the first two let a new segment
    /// out each [5681-7].
    #[inline]
    pub(crate) fn allowance(&self, window: &CongestionWindow) -> u32 {
        let room = window.window.saturating_sub(self.in_flight(window.segment));
        if self.flags.any(Flags::FORCED | Flags::PROBE_DUE) {
            room.max(u32::from(window.segment))
        } else {
            room
        }
    }

    /// Sequence numbers in flight: neither acknowledged in any way nor taken for lost.
    #[inline]
    pub(crate) fn pipe(&self) -> u32 {
        self.pipe
    }

    /// Whether everything is acknowledged.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Whether nothing is wrong, so that no segment needs a look of its own.
    #[inline]
    pub(crate) fn is_calm(&self) -> bool {
        self.phase == Phase::Open && self.lost == NONE && !self.flags.any(Flags::PROBE_DUE)
    }

    /// Whether a loss is being repaired, by fast recovery or after a timeout.
    #[inline]
    pub(crate) fn in_recovery(&self) -> bool {
        matches!(self.phase, Phase::Recovery | Phase::Timeout)
    }

    /// The record to send again before anything else, if any; they come in the order of their sequence numbers. Send it
    /// if [`allowance`](Self::allowance) is no less than its length, then call [`sent_again`](Self::sent_again). One
    /// that is too long for a segment must be [`split`](Segments::split) before.
    #[inline]
    pub(crate) fn next_lost(&self) -> Option<u32> {
        // [RFC 5682 §2.1] After a timeout that may be false, new data goes first.
        if self.lost == NONE || self.flags.any(Flags::FRTO_NEW) { None } else { Some(self.lost) }
    }

    /// The record with the highest numbers: what a probe sends when there is no new data.
    #[inline]
    pub(crate) fn last(&self, pool: &Segments) -> Option<u32> {
        if self.first == NONE { None } else { Some(pool.previous(By::Sequence, self.first)) }
    }

    /// The record with the lowest numbers: what is not acknowledged for longest.
    #[inline]
    pub(crate) fn first(&self) -> Option<u32> {
        if self.first == NONE { None } else { Some(self.first) }
    }

    /// Takes note that a record leaves once more.
    pub(crate) fn sent_again(&mut self, pool: &mut Segments, id: u32, now: u32) {
        self.withdraw(pool, id);
        let sent_at = self.stamp(pool, now);
        let end = pool.record(id).end();
        let mut tie = self.rack.sent_at == sent_at && self.rack.end.after(end);
        if self.oldest != NONE {
            let newest = pool.record(pool.previous(By::Turn, self.oldest));
            tie |= newest.sent_at == sent_at && newest.end().after(end);
        }
        let record = pool.record_mut(id);
        record.sent_at = sent_at.wrapping_add(u32::from(tie));
        record.transmissions = record.transmissions.saturating_add(1);
        let len = record.len;
        pool.push(By::Turn, &mut self.oldest, id);
        self.pipe += len;
        self.undo_left = self.undo_left.saturating_add(1);
        if id == self.first && self.phase == Phase::Recovery {
            // [RFC 6675 §6] What repairs the loss takes a round trip of its own.
            self.armed_at = now;
        }
        if self.flags.any(Flags::PROBE_DUE) {
            self.flags.insert(Flags::PROBE_AGAIN);
        }
        self.flags.remove(Flags::FORCED);
        self.note_sent(end, len, now);
    }

    /// The time to note for a transmission. Of two at the same time the one with higher numbers counts as the later
    /// [RFC 8985 §6.1], so a retransmission that follows on new data gets a microsecond more, and nothing after it less:
    /// several segments leave at once, and some clocks are coarse.
    fn stamp(&self, pool: &Segments, now: u32) -> u32 {
        let mut at = later(now, self.rack.sent_at);
        if self.oldest != NONE {
            at = later(at, pool.record(pool.previous(By::Turn, self.oldest)).sent_at);
        }
        at
    }

    /// What a transmission means for a recovery or a probe that goes on.
    #[cold]
    fn note_sent(&mut self, end: Seq, len: u32, now: u32) {
        if matches!(self.phase, Phase::Recovery | Phase::Reduced) {
            self.out = self.out.saturating_add(len);
        }
        if self.flags.any(Flags::PROBE_DUE) {
            self.flags.remove(Flags::PROBE_DUE);
            self.flags.insert(Flags::PROBE_OUT);
            self.delivered = end.0;
            self.armed_at = now;
        }
    }

    /// The path takes no segments as long as some in flight: all longer ones are lost, but congestion is not the cause
    /// [RFC 1191 §6.5]. `segment` is the most data that one may have now.
    pub(crate) fn mtu_lowered(&mut self, pool: &mut Segments, segment: u16) {
        let mut id = self.first;
        while id != NONE {
            if pool.record(id).len > u32::from(segment) {
                self.mark_lost(pool, id);
            }
            id = self.after(pool, id);
        }
    }

    /// Gives all records back, and forgets everything.
    pub(crate) fn clear(&mut self, pool: &mut Segments) {
        while self.first != NONE {
            let id = self.first;
            pool.unlink(By::Sequence, &mut self.first, id);
            pool.release(id);
        }
        *self = Self::new();
    }

    /// How many segments are lost, selectively acknowledged, and sent more than once. Looks at each record.
    pub(crate) fn counts(&self, pool: &Segments, segment: u16) -> Counts {
        let mut counts = Counts::default();
        let mut id = self.first;
        while id != NONE {
            let record = pool.record(id);
            let segments = record.len.div_ceil(u32::from(segment).max(1));
            counts.segments += segments;
            counts.lost += if record.is(RecordFlags::LOST) { segments } else { 0 };
            counts.sacked += if record.is(RecordFlags::SACKED) { segments } else { 0 };
            counts.retransmitted += if record.transmissions > 1 { segments } else { 0 };
            id = self.after(pool, id);
        }
        counts
    }

    /// The record after this one in the sequence, or `NONE`.
    #[inline]
    fn after(&self, pool: &Segments, id: u32) -> u32 {
        let next = pool.next(By::Sequence, id);
        if next == self.first { NONE } else { next }
    }

    /// What is in flight, less what duplicate acknowledgments stand for.
    #[inline]
    fn in_flight(&self, segment: u16) -> u32 {
        if self.flags.any(Flags::SACK) || self.sacked == 0 {
            return self.pipe;
        }
        // [5681-7] Limited transmit: two segments before recovery.
        let counted =
            if self.phase == Phase::Recovery { self.sacked } else { self.sacked.min(DUP_THRESH - 1) };
        self.pipe.saturating_sub(u32::from(counted) * u32::from(segment))
    }

    /// Takes a record out of flight, or from among the lost.
    fn withdraw(&mut self, pool: &mut Segments, id: u32) {
        let record = pool.record_mut(id);
        let (len, was) = (record.len, record.flags);
        record.flags = was.without(RecordFlags::LOST);
        debug_assert!(!was.intersects(RecordFlags::SACKED), "what was delivered is in neither list");
        if was.intersects(RecordFlags::LOST) {
            pool.unlink(By::Turn, &mut self.lost, id);
        } else {
            pool.unlink(By::Turn, &mut self.oldest, id);
            self.pipe -= len;
        }
    }

    /// Takes a record in flight for lost.
    fn mark_lost(&mut self, pool: &mut Segments, id: u32) {
        let record = pool.record_mut(id);
        if record.is(RecordFlags::LOST.with(RecordFlags::SACKED)) {
            return;
        }
        self.withdraw(pool, id);
        let record = pool.record_mut(id);
        record.flags = record.flags.with(RecordFlags::LOST);
        let seq = record.seq;
        if self.lost == NONE || seq.after(pool.record(pool.previous(By::Turn, self.lost)).seq) {
            pool.push(By::Turn, &mut self.lost, id);
            return;
        }
        let mut at = self.lost;
        for _ in 0..MAX_SORT {
            if seq.before(pool.record(at).seq) {
                break;
            }
            at = pool.next(By::Turn, at);
        }
        pool.insert_before(By::Turn, at, id);
        if at == self.lost {
            self.lost = id;
        }
    }
}

/// The later of two times.
#[inline]
fn later(time: u32, other: u32) -> u32 {
    if time_before(time, other) { other } else { time }
}

/// The time from one moment to a later one; see [`Loss::stamp`] for why a moment may be in the future.
#[inline]
fn elapsed(from: u32, now: u32) -> u32 {
    if time_before(now, from) { 0 } else { now.wrapping_sub(from) }
}

#[cfg(test)]
mod tests;
