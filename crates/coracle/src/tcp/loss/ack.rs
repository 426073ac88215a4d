//! What an acknowledgment does: the short way of one in order while nothing is wrong, and the long way of all others.

use super::recovery::Start;
use super::segments::By;
use super::types::{AckInput, AckReport, Control, Flags, Phase, Rack, TIMESTAMP_TICK};
use super::{Loss, RecordFlags, Segments, elapsed};
use crate::table::NONE;
use crate::tcp::congestion::AckSample;
use crate::tcp::rtt::samples_in_flight;
use crate::tcp::sequence::{Seq, time_before};

/// What became known to be delivered by one acknowledgment.
#[derive(Default)]
pub(super) struct Delivery {
    /// Sequence numbers delivered, cumulatively or selectively, that were not known to be before.
    pub(super) delivered: u32,
    /// Those of them that are delivered selectively.
    pub(super) sacked: u32,
    /// The first record delivered that was sent once: when, and its end.
    pub(super) sampled: Option<(u32, Seq)>,
    /// Whether a record that was sent again is acknowledged: which sending arrived is not known.
    pub(super) ambiguous: bool,
    /// Whether the left edge moved by a first sending, though it was repeated [RFC 3522 §3.2].
    pub(super) original: bool,
    /// Whether something arrived that was sent before the last timeout, and never again.
    pub(super) untouched: bool,
    /// Records that are gone, and segments that are gone from one that stays.
    pub(super) records: u16,
    /// SYN and FIN, if they are acknowledged.
    flags: RecordFlags,
}

/// What an acknowledgment is measured by.
#[derive(Clone, Copy)]
struct Limits {
    /// What arrives sooner than that after a retransmission answers what was sent before.
    min_rtt: u32,
    /// The data of a full segment.
    segment: u16,
}

impl Loss {
    /// Takes an acknowledgment: frees what it covers, finds what was lost, and moves the window.
    ///
    /// One in order, while nothing is lost, probed or selectively acknowledged, costs a constant time for each record
    /// that it frees, and any other one a bounded time besides.
    #[inline]
    pub(crate) fn acknowledged(
        &mut self,
        pool: &mut Segments,
        input: &AckInput<'_>,
        mut control: Control<'_>,
    ) -> AckReport {
        self.flags.set(Flags::SACK, input.sack_in_use);
        let plain = self.phase == Phase::Open
            && self.sacked == 0
            && self.lost == NONE
            && input.sack.is_empty()
            && !(input.duplicate || input.ece || self.flags.any(Flags::ON_ACK));
        if !plain {
            return self.acknowledged_slowly(pool, input, control);
        }
        if input.ack == input.una {
            return AckReport::default();
        }
        self.recover = input.una;
        self.sought = NONE;
        let mut delivery = Delivery::default();
        let limits = Limits { min_rtt: control.rtt.min(), segment: control.window.segment };
        self.advance(pool, input, limits, &mut delivery);
        let rtt = self.measure(input, &delivery, &mut control);
        let sample = self.sample(input, rtt, &control);
        control.algorithm.acknowledged(control.window, &sample);
        delivery.report(input, rtt)
    }

    /// Frees everything that is acknowledged.
    #[inline]
    fn advance(&mut self, pool: &mut Segments, input: &AckInput<'_>, limits: Limits, to: &mut Delivery) {
        self.advance_plainly(pool, input, to);
        if self.first != NONE && pool.record(self.first).seq.before(input.ack) {
            self.advance_slowly(pool, input, limits, to);
        }
    }

    /// Frees records as long as each was sent once, is in flight, and is the oldest of those too.
    #[inline]
    fn advance_plainly(&mut self, pool: &mut Segments, input: &AckInput<'_>, to: &mut Delivery) {
        if self.first == NONE || self.first != self.oldest {
            return;
        }
        let (mut id, mut last, mut count, mut newest) = (self.first, NONE, 0, (0, Seq(0)));
        loop {
            let record = pool.record_mut(id);
            let end = record.end();
            let marked = record.flags.intersects(RecordFlags::SACKED.with(RecordFlags::LOST));
            if end.after(input.ack) || marked || record.transmissions != 1 {
                break;
            }
            record.data = None;
            newest = (record.sent_at, end);
            to.sampled = to.sampled.or(Some(newest));
            to.delivered += record.len;
            to.flags = to.flags.with(record.flags);
            (last, count) = (id, count + 1);
            id = record.link(By::Sequence).next;
            if id == self.first || id != record.link(By::Turn).next {
                break;
            }
        }
        if last != NONE {
            to.records = count as u16;
            to.untouched = to.sampled.is_some_and(|(_, end)| end.at_or_before(self.recover));
            self.pipe -= to.delivered;
            pool.release_front(&mut self.first, &mut self.oldest, last, count);
            // The last is the newest, as they were sent in the order of their numbers.
            self.rack_update(newest.0, newest.1, input.now);
        }
    }

    /// Frees records one by one.
    #[inline(never)]
    fn advance_slowly(
        &mut self,
        pool: &mut Segments,
        input: &AckInput<'_>,
        limits: Limits,
        to: &mut Delivery,
    ) {
        while self.first != NONE {
            let id = self.first;
            let record = pool.record(id);
            let (sent_at, end, len, flags) = (record.sent_at, record.end(), record.len, record.flags);
            if end.after(input.ack) {
                if record.seq.before(input.ack) {
                    self.trim(pool, input, limits.segment, to);
                }
                break;
            }
            if flags.intersects(RecordFlags::SACKED) {
                self.shorten_run(pool, id);
            } else {
                if record.transmissions == 1 {
                    to.sampled = to.sampled.or(Some((sent_at, end)));
                    to.untouched |= end.at_or_before(self.recover);
                    self.rack_update(sent_at, end, input.now);
                } else {
                    self.deliver_again(pool, id, input, limits.min_rtt, to);
                }
                to.delivered += len;
                self.withdraw(pool, id);
            }
            to.flags = to.flags.with(flags);
            to.records = to.records.saturating_add(1);
            pool.unlink(By::Sequence, &mut self.first, id);
            pool.release(id);
        }
    }

    /// Takes the acknowledged part from the first record, as a rule whole segments of several that left at once. If its
    /// data cannot be cut for lack of memory it stays whole: a retransmission then begins with what the receiver has.
    fn trim(&mut self, pool: &mut Segments, input: &AckInput<'_>, segment: u16, to: &mut Delivery) {
        let (ack, record) = (input.ack, pool.record_mut(self.first));
        let cut = ack.since(record.seq);
        let syn = record.flags.intersects(RecordFlags::SYN);
        if let Some(data) = &mut record.data
            && data.advance((cut - u32::from(syn)) as usize).is_err()
        {
            return;
        }
        record.seq = ack;
        record.len -= cut;
        if syn {
            to.flags = to.flags.with(RecordFlags::SYN);
            record.flags = record.flags.without(RecordFlags::SYN);
        }
        if record.flags.intersects(RecordFlags::SACKED) {
            return;
        }
        to.delivered += cut;
        to.records = to.records.saturating_add((cut / u32::from(segment)) as u16);
        if !record.flags.intersects(RecordFlags::LOST) {
            self.pipe -= cut;
        }
        if record.transmissions == 1 {
            let sent_at = record.sent_at;
            to.sampled = to.sampled.or(Some((sent_at, ack)));
            to.untouched |= ack.at_or_before(self.recover);
            self.rack_update(sent_at, ack, input.now);
        }
    }

    /// A record that was sent more than once has arrived. Which sending it was decides what it tells [8985-2].
    #[cold]
    pub(super) fn deliver_again(
        &mut self,
        pool: &Segments,
        id: u32,
        input: &AckInput<'_>,
        min_rtt: u32,
        to: &mut Delivery,
    ) {
        let record = pool.record(id);
        to.ambiguous = true;
        let since = elapsed(record.sent_at, input.now);
        if input.echo.is_some_and(|echo| echo >= since.saturating_add(TIMESTAMP_TICK)) {
            // What the receiver echoes was sent before the retransmission. It echoes what moved its left edge, so only
            // the first record counts; and what was repeated twice may have arrived the second time [RFC 3522 §3.2].
            to.original |= id == self.first && record.transmissions == 2 && input.ack != input.una;
        } else if since >= min_rtt {
            self.rack_update(record.sent_at, record.end(), input.now);
        }
    }

    /// [8985-2] Remembers the latest sent of what is delivered.
    #[inline]
    pub(super) fn rack_update(&mut self, sent_at: u32, end: Seq, now: u32) {
        if sent_after(sent_at, end, self.rack.sent_at, self.rack.end) {
            self.rack = Rack { sent_at, end, rtt: elapsed(sent_at, now).max(1) };
        }
    }

    /// The round-trip time that an acknowledgment gives: by the records that it delivers, if none was sent twice, else
    /// by the timestamp that it echoes [6298-4]. If the left edge moved, the timer starts anew [6298-6].
    #[inline]
    fn measure(
        &mut self,
        input: &AckInput<'_>,
        delivery: &Delivery,
        control: &mut Control<'_>,
    ) -> Option<u32> {
        let moved = input.ack != input.una;
        if moved {
            self.armed_at = input.now;
        }
        let rtt = match delivery.sampled {
            Some((sent_at, _)) if !delivery.ambiguous => Some(elapsed(sent_at, input.now)),
            _ if moved => input.echo,
            _ => None,
        };
        if let Some(rtt) = rtt {
            let samples = samples_in_flight(input.nxt.since(input.una), control.window.segment);
            control.rtt.sample(rtt, samples, input.now, control.rto_limits);
        }
        rtt
    }

    /// What the algorithm of congestion control is told.
    #[inline]
    fn sample(&mut self, input: &AckInput<'_>, rtt: Option<u32>, control: &Control<'_>) -> AckSample {
        let in_flight = input.nxt.since(input.una);
        // Of several acknowledgments between two transmissions the first sees the window as full as it was.
        let window_limited = self.flags.any(Flags::LIMITED) || control.window.is_limiting(in_flight);
        self.flags.set(Flags::LIMITED, window_limited);
        AckSample {
            now: input.now,
            acked: input.ack.since(input.una),
            in_flight,
            rtt,
            smoothed_rtt: control.rtt.smoothed(),
            min_rtt: control.rtt.min(),
            window_limited,
        }
    }

    /// The long way.
    #[inline(never)]
    fn acknowledged_slowly(
        &mut self,
        pool: &mut Segments,
        input: &AckInput<'_>,
        mut control: Control<'_>,
    ) -> AckReport {
        let segment = control.window.segment;
        let (flight, before) = (self.in_flight(segment), self.rack);
        let mut delivery = Delivery::default();
        let min_rtt = control.rtt.min();
        if self.sought != NONE && !pool.record(self.sought).end().after(input.ack) {
            self.sought = NONE;
        }
        self.advance(pool, input, Limits { min_rtt, segment }, &mut delivery);
        let duplicate = self.read_blocks(pool, input, segment, min_rtt, &mut delivery);
        self.weigh_blocks(input, segment);
        if let Some((sent_at, end)) = delivery.sampled
            && sent_after(before.sent_at, before.end, sent_at, end)
        {
            // [8985-4] What was sent later arrived earlier.
            self.flags.insert(Flags::REORDERED);
        }
        let rtt = self.measure(input, &delivery, &mut control);
        let mut report = delivery.report(input, rtt);
        report.newly_sacked = delivery.sacked;
        if let Some(block) = duplicate {
            report.duplicate = true;
            self.widen(input, block);
        }
        let sample = self.sample(input, rtt, &control);
        report.reduced = self.end_probe(input, duplicate, &sample, &mut control);
        report.undone = self.judge_undo(pool, input, &delivery, duplicate, &mut control);
        let left = self.leave(input, &sample, &mut control);
        report.newly_lost = self.detect(pool, input, &delivery, &control);
        let start = Start { una: input.ack, nxt: input.nxt, flight };
        if report.newly_lost > 0 && matches!(self.phase, Phase::Open | Phase::Reduced) {
            report.reduced |= self.enter(Phase::Recovery, &start, &sample, &mut control);
        } else if input.ece && self.phase == Phase::Open && input.ack.after(self.recover) {
            report.reduced |= self.enter(Phase::Reduced, &start, &sample, &mut control);
        }
        match self.phase {
            Phase::Open | Phase::Timeout => {
                // What ended a repair, or proved it needless, has set the window already.
                if input.ack != input.una && !(report.undone || left) {
                    control.algorithm.acknowledged(control.window, &sample);
                }
            }
            Phase::Recovery | Phase::Reduced => {
                let safe = input.ack != input.una && report.newly_lost == 0;
                self.pace(delivery.delivered, safe, control.window);
            }
        }
        report
    }
}

impl Delivery {
    #[inline]
    fn report(&self, input: &AckInput<'_>, rtt: Option<u32>) -> AckReport {
        let syn_acked = self.flags.intersects(RecordFlags::SYN);
        let fin_acked = self.flags.intersects(RecordFlags::FIN);
        let numbers = input.ack.since(input.una);
        let acked = numbers.saturating_sub(u32::from(syn_acked) + u32::from(fin_acked));
        AckReport { acked, syn_acked, fin_acked, rtt, ..AckReport::default() }
    }
}

/// Whether the first of two segments was sent after the second; at the same time the one with higher numbers was
/// [RFC 8985 §6.1].
#[inline]
pub(super) fn sent_after(time: u32, end: Seq, other: u32, other_end: Seq) -> bool {
    time_before(other, time) || (time == other && end.after(other_end))
}
