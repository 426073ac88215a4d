//! What the receiver has beyond the left edge: SACK blocks, and the duplicate acknowledgments that stand in for them.
//!
//! Records next to each other that are selectively acknowledged make a run. The first of a run knows the last and the
//! last the first, so a search steps over a run at once.

use super::ack::Delivery;
use super::segments::By;
use super::types::{AckInput, Phase};
use super::{Loss, RecordFlags, Segments};
use crate::table::NONE;
use crate::tcp::sequence::Seq;

/// Steps from record to record, or over a run, that the blocks of one acknowledgment may cost to be found. What is
/// further away is told again by the next one, and the search goes on from where it stopped.
const MAX_STEPS: u32 = 256;

/// A block of sequence numbers, the right one not in it.
pub(super) type Block = (Seq, Seq);

impl Loss {
    /// Takes the blocks of an acknowledgment, or a duplicate one without; the left edge has moved already. Returns the
    /// block that tells of a duplicate, if there is one.
    pub(super) fn read_blocks(
        &mut self,
        pool: &mut Segments,
        input: &AckInput<'_>,
        segment: u16,
        min_rtt: u32,
        to: &mut Delivery,
    ) -> Option<Block> {
        if !input.sack_in_use {
            self.count_duplicate(input, segment, to);
            return None;
        }
        let duplicate = duplicate_block(input);
        let mut search = Search { at: self.oldest, steps: MAX_STEPS, segment: u32::from(segment).max(1) };
        for (left, right) in input.sack.iter().skip(usize::from(duplicate.is_some())) {
            let (left, right) = (Seq(left), Seq(right));
            // [own-SB]
            let valid = left.before(right)
                && left.at_or_after(input.ack)
                && left.before(input.nxt)
                && !right.after(input.nxt);
            if valid && self.first != NONE {
                self.mark_block(pool, (left, right), &mut search, input, min_rtt, to);
            }
        }
        duplicate
    }

    /// Without SACK each duplicate acknowledgment tells of one segment that arrived, whichever [RFC 5681 §3.2].
    fn count_duplicate(&mut self, input: &AckInput<'_>, segment: u16, to: &mut Delivery) {
        if input.ack != input.una {
            let counted = u32::from(self.sacked) * u32::from(segment);
            to.delivered = to.delivered.saturating_sub(counted).max(u32::from(segment).min(to.delivered));
            let full =
                input.ack.since(input.una).div_ceil(u32::from(segment).max(1)).min(u32::from(u16::MAX));
            self.sacked = if self.phase == Phase::Recovery {
                self.sacked.saturating_sub(to.records.max(full as u16).saturating_sub(1))
            } else {
                0
            };
        } else if input.duplicate {
            // A peer may send more of them than it received segments: in recovery those of one window count. After a
            // timeout they answer to what was sent needlessly.
            let counts = match self.phase {
                Phase::Open | Phase::Reduced => true,
                Phase::Recovery => self.delivered < self.flight,
                Phase::Timeout => false,
            };
            if counts {
                self.sacked = self.sacked.saturating_add(1);
                to.delivered = u32::from(segment);
            }
        }
    }

    /// Marks the records that a block covers [RFC 2018 §5].
    fn mark_block(
        &mut self,
        pool: &mut Segments,
        (left, right): Block,
        search: &mut Search,
        input: &AckInput<'_>,
        min_rtt: u32,
        to: &mut Delivery,
    ) {
        let Some(mut id) = self.find(pool, left, search) else { return };
        while id != NONE && pool.record(id).seq.before(right) {
            let record = pool.record(id);
            if record.flags.intersects(RecordFlags::SACKED) {
                id = self.after(pool, run_end(pool, id));
                continue;
            }
            let (seq, end) = (record.seq, record.end());
            if seq.before(left) || end.after(right) {
                let Some(part) = Self::cut_edge(pool, id, (left, right), search.segment) else {
                    id = self.after(pool, id);
                    continue;
                };
                if part != id {
                    id = part;
                    continue;
                }
            }
            let begin = self.mark(pool, id, input, min_rtt, to);
            search.at = begin;
            id = self.after(pool, run_end(pool, begin));
        }
    }

    /// A block covers a part of a record. If that has whole segments, they become a record of their own: the returned
    /// one, which may still be too long at the other edge.
    fn cut_edge(pool: &mut Segments, id: u32, (left, right): Block, segment: u32) -> Option<u32> {
        let record = pool.record(id);
        let seq = record.seq;
        if seq.before(left) {
            let before = left.since(seq).div_ceil(segment) * segment;
            return pool.split(id, before).ok();
        }
        let within = right.since(seq);
        pool.split(id, within - within % segment).ok().map(|_| id)
    }

    /// Marks one record, and returns the first of the run that it is in now.
    fn mark(
        &mut self,
        pool: &mut Segments,
        id: u32,
        input: &AckInput<'_>,
        min_rtt: u32,
        to: &mut Delivery,
    ) -> u32 {
        let record = pool.record(id);
        let (sent_at, end, len) = (record.sent_at, record.end(), record.len);
        if record.transmissions == 1 {
            to.sampled = to.sampled.or(Some((sent_at, end)));
            to.untouched |= end.at_or_before(self.recover);
            self.rack_update(sent_at, end, input.now);
        } else {
            self.deliver_again(pool, id, input, min_rtt, to);
        }
        to.delivered += len;
        to.sacked += len;
        self.withdraw(pool, id);
        self.sacked = self.sacked.saturating_add(1);
        self.join_run(pool, id)
    }

    /// Marks a record that is in no list of its turn, and joins it with the runs on both sides. Returns the first of the
    /// run.
    fn join_run(&mut self, pool: &mut Segments, id: u32) -> u32 {
        let record = pool.record_mut(id);
        record.flags = record.flags.with(RecordFlags::SACKED);
        let (mut begin, mut end) = (id, id);
        if id != self.first {
            let before = pool.previous(By::Sequence, id);
            if is_sacked(pool, before) {
                begin = pool.previous(By::Turn, before);
            }
        }
        let after = self.after(pool, id);
        if after != NONE && is_sacked(pool, after) {
            end = run_end(pool, after);
        }
        pool.set_next(By::Turn, begin, end);
        pool.set_previous(By::Turn, end, begin);
        begin
    }

    /// The first of all records goes, which is the first of a run.
    #[cold]
    pub(super) fn shorten_run(&mut self, pool: &mut Segments, id: u32) {
        self.sacked = self.sacked.saturating_sub(1);
        let end = run_end(pool, id);
        if end != id {
            let begin = pool.next(By::Sequence, id);
            pool.set_next(By::Turn, begin, end);
            pool.set_previous(By::Turn, end, begin);
        }
    }

    /// The record that holds a sequence number, or the first of the run that holds it.
    fn find(&mut self, pool: &Segments, seq: Seq, search: &mut Search) -> Option<u32> {
        let run_begin = |id: u32| if is_sacked(pool, id) { pool.previous(By::Turn, id) } else { id };
        let before = |id: u32| {
            if id == self.first { id } else { run_begin(pool.previous(By::Sequence, id)) }
        };
        let away = |id: u32| (pool.record(id).seq - seq).unsigned_abs();
        let mut id = self.first;
        let mut try_from = |near: u32| {
            if away(near) < away(id) {
                id = near;
            }
        };
        try_from(run_begin(pool.previous(By::Sequence, self.first)));
        if search.at != NONE {
            try_from(search.at);
            // What came last grows at the end of the run before that, which may be long.
            try_from(before(search.at));
        }
        if self.sought != NONE && !is_sacked(pool, self.sought) {
            try_from(self.sought);
        }
        loop {
            // Here `id` is not in a run, or the first of one.
            let next = if seq.before(pool.record(id).seq) {
                if id == self.first {
                    return None;
                }
                before(id)
            } else {
                let end = if is_sacked(pool, id) { run_end(pool, id) } else { id };
                if seq.before(pool.record(end).end()) {
                    return Some(id);
                }
                self.after(pool, end)
            };
            if next == NONE {
                return None;
            }
            let Some(left) = search.steps.checked_sub(1) else {
                // Between two runs there is a record that is in none.
                self.sought =
                    if is_sacked(pool, next) { self.after(pool, run_end(pool, next)) } else { next };
                return None;
            };
            search.steps = left;
            id = next;
        }
    }

    /// [2018-5] Forgets what the receiver had beyond the left edge: it may have dropped it. All of it is lost then.
    pub(super) fn forget_blocks(&mut self, pool: &mut Segments) {
        let mut id = if self.sacked > 0 { self.first } else { NONE };
        while id != NONE {
            let record = pool.record_mut(id);
            if record.flags.intersects(RecordFlags::SACKED) {
                record.flags = record.flags.without(RecordFlags::SACKED);
                let len = record.len;
                pool.push(By::Turn, &mut self.oldest, id);
                self.pipe += len;
                self.mark_lost(pool, id);
            }
            id = self.after(pool, id);
        }
        self.sacked = 0;
    }
}

fn is_sacked(pool: &Segments, id: u32) -> bool {
    pool.record(id).flags.intersects(RecordFlags::SACKED)
}

/// The last record of a run, by its first.
fn run_end(pool: &Segments, id: u32) -> u32 {
    pool.next(By::Turn, id)
}

/// Where the search for blocks stands.
struct Search {
    /// A record that is not in a run, or the first of one.
    at: u32,
    steps: u32,
    segment: u32,
}

/// The first block if it tells of a duplicate: it lies below the left edge, or within the second [RFC 2883 §4].
fn duplicate_block(input: &AckInput<'_>) -> Option<Block> {
    let mut blocks = input.sack.iter().map(|(left, right)| (Seq(left), Seq(right)));
    let (left, right) = blocks.next().filter(|(left, right)| left.before(*right))?;
    let below = !right.after(input.ack);
    let within = blocks.next().is_some_and(|(outer, end)| left.at_or_after(outer) && right.at_or_before(end));
    (below || within).then_some((left, right))
}
