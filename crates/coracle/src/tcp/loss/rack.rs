//! What is lost: by time, with SACK [RFC 8985]; by counting duplicates, without [RFC 5681, RFC 6582].

use super::ack::{Delivery, sent_after};
use super::scoreboard::Block;
use super::types::{AckInput, Control, Flags, Phase};
use super::{DUP_THRESH, Loss, Segments};
use crate::table::NONE;
use crate::tcp::rtt::Rtt;
use crate::tcp::sequence::time_before;

/// Recoveries after which the reordering window is as narrow as at first [8985-5].
const PERSISTENCE: u8 = 16;

impl Loss {
    /// Finds what is lost after an acknowledgment. Returns how many sequence numbers.
    pub(super) fn detect(
        &mut self,
        pool: &mut Segments,
        input: &AckInput<'_>,
        delivery: &Delivery,
        control: &Control<'_>,
    ) -> u32 {
        if self.flags.any(Flags::SACK) {
            return self.detect_by_time(pool, control.rtt, input.now);
        }
        let partial = self.phase == Phase::Recovery && delivery.records > 0;
        let enough =
            self.phase != Phase::Timeout && self.phase != Phase::Recovery && self.sacked >= DUP_THRESH;
        // [6582-1] Duplicates of what was sent before the last recovery tell nothing.
        let guarded = self.flags.any(Flags::GUARD) && !input.ack.after(self.recover);
        if self.first == NONE || !(partial || (enough && !guarded)) {
            return 0;
        }
        // [5681-6, 6582-1] The hole begins at the left edge, and is one segment as far as is known.
        let (before, segment) = (self.pipe, u32::from(control.window.segment));
        if pool.record(self.first).len > segment {
            // Without memory to tell it apart, all that left with it goes again.
            pool.split(self.first, segment).ok();
        }
        self.mark_lost(pool, self.first);
        before - self.pipe
    }

    /// [8985-3] Takes for lost what was sent well before something that is delivered. Each record looked at is lost, but
    /// for the last.
    pub(super) fn detect_by_time(&mut self, pool: &mut Segments, rtt: &Rtt, now: u32) -> u32 {
        let before = self.pipe;
        while let Some(due) = self.overtaken(pool, rtt) {
            if time_before(now, due) {
                break;
            }
            self.mark_lost(pool, self.oldest);
        }
        before - self.pipe
    }

    /// When the oldest record in flight is to be taken for lost: never unless something sent after it is delivered.
    #[inline]
    pub(super) fn overtaken(&self, pool: &Segments, rtt: &Rtt) -> Option<u32> {
        if self.oldest == NONE || !self.flags.any(Flags::SACK) {
            return None;
        }
        let record = pool.record(self.oldest);
        sent_after(self.rack.sent_at, self.rack.end, record.sent_at, record.end())
            .then(|| record.sent_at.wrapping_add(self.rack.rtt).wrapping_add(self.reorder_window(rtt)))
    }

    /// [8985-4] How much later than others a segment may arrive, in microseconds.
    fn reorder_window(&self, rtt: &Rtt) -> u32 {
        if !self.flags.any(Flags::REORDERED) && (self.in_recovery() || self.flags.any(Flags::MANY)) {
            return 0;
        }
        (rtt.min() / 4).saturating_mul(u32::from(self.reorder_steps)).min(rtt.smoothed())
    }

    /// [6675-1] Remembers whether enough is selectively acknowledged to tell of a loss without waiting: three records, or
    /// as many bytes as three segments have.
    pub(super) fn weigh_blocks(&mut self, input: &AckInput<'_>, segment: u16) {
        let bytes = input.nxt.since(input.ack).saturating_sub(self.pipe);
        let long = self.lost == NONE && bytes >= u32::from(DUP_THRESH) * u32::from(segment);
        self.flags.set(Flags::MANY, self.sacked >= DUP_THRESH || (self.sacked > 0 && long));
    }

    /// [8985-4] The receiver had something twice: the reordering window was too narrow, unless a probe was the cause.
    pub(super) fn widen(&mut self, input: &AckInput<'_>, (_, right): Block) {
        let probe = self.flags.any(Flags::PROBE_AGAIN) && right.0 == self.delivered;
        if probe || (self.flags.any(Flags::ROUND) && input.ack.before(self.round)) {
            return;
        }
        self.flags.insert(Flags::ROUND);
        self.round = input.nxt;
        self.reorder_steps = self.reorder_steps.saturating_add(1);
        self.reorder_rounds = PERSISTENCE;
    }

    /// [8985-5] A recovery is over.
    pub(super) fn narrow(&mut self) {
        self.reorder_rounds = self.reorder_rounds.saturating_sub(1);
        if self.reorder_rounds == 0 {
            self.reorder_steps = 1;
        }
    }
}
