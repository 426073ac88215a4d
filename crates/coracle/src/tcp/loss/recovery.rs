//! Entering and leaving recovery, the end of a probe, and taking back what proved needless.

use super::ack::Delivery;
use super::scoreboard::Block;
use super::segments::By;
use super::types::{AckInput, Control, Flags, Phase};
use super::{Loss, Segments};
use crate::table::NONE;
use crate::tcp::congestion::AckSample;
use crate::tcp::sequence::Seq;

/// What a recovery begins with.
pub(super) struct Start {
    pub(super) una: Seq,
    pub(super) nxt: Seq,
    /// Bytes in flight before anything was found lost.
    pub(super) flight: u32,
}

impl Loss {
    /// Recovery begins, or the network asks for less. The window is reduced once for what is in flight now
    /// [6675-2, 3168-2].
    pub(super) fn enter(
        &mut self,
        phase: Phase,
        start: &Start,
        sample: &AckSample,
        control: &mut Control<'_>,
    ) -> bool {
        let reduce = self.phase == Phase::Open;
        self.phase = phase;
        self.recover = start.nxt;
        self.flags.remove(Flags::PROBE | Flags::GUARD);
        if reduce {
            // What is selectively acknowledged is not on the way any more: where one recovery follows another, that may
            // be more than the window, which then would grow by its reduction.
            let in_flight = sample.in_flight.min(control.window.window);
            control.algorithm.congested(control.window, &AckSample { in_flight, ..*sample });
            self.begin_pacing(start.flight);
        }
        // A reduction that the network asked for is not undone.
        self.begin_undo(start.una, reduce && phase == Phase::Recovery);
        reduce
    }

    /// From now on retransmissions are counted that may prove needless.
    pub(super) fn begin_undo(&mut self, una: Seq, possible: bool) {
        self.undo_from = una;
        self.undo_left = 0;
        self.flags.set(Flags::UNDO, possible);
    }

    /// Recovery ends when all that was in flight at its begin is acknowledged [6675-4].
    pub(super) fn leave(
        &mut self,
        input: &AckInput<'_>,
        sample: &AckSample,
        control: &mut Control<'_>,
    ) -> bool {
        if self.phase == Phase::Open || input.ack.before(self.recover) {
            return false;
        }
        control.algorithm.recovered(control.window, sample);
        if self.phase == Phase::Recovery {
            self.narrow();
        }
        if !input.sack_in_use {
            self.sacked = 0;
            self.flags.insert(Flags::GUARD);
        }
        self.phase = Phase::Open;
        self.flags.remove(Flags::FRTO | Flags::FORCED);
        // Until here reports of duplicates may come that belong to it.
        self.flight = input.nxt.0;
        true
    }

    /// [8985-10] Whether what a probe asked for is answered, and whether the probe repaired a loss: then the window is
    /// reduced as if the loss had been found otherwise.
    pub(super) fn end_probe(
        &mut self,
        input: &AckInput<'_>,
        duplicate: Option<Block>,
        sample: &AckSample,
        control: &mut Control<'_>,
    ) -> bool {
        if !self.flags.any(Flags::PROBE_OUT) {
            return false;
        }
        let end = Seq(self.delivered);
        let again = self.flags.any(Flags::PROBE_AGAIN);
        let needless = duplicate.is_some_and(|(_, right)| right == end);
        let unsaid = input.duplicate && input.sack.is_empty();
        let reached = input.ack.at_or_after(end);
        let repaired = again && !needless && input.ack.after(end);
        if reached && (!again || needless || repaired || unsaid) {
            self.flags.remove(Flags::PROBE);
        }
        if repaired && self.phase == Phase::Open {
            let in_flight = sample.in_flight.min(control.window.window);
            control.algorithm.congested(control.window, &AckSample { in_flight, ..*sample });
            control.algorithm.recovered(control.window, sample);
        }
        repaired
    }

    /// Takes a reduction back if all that was sent again was not lost: the receiver echoes an older time than that of the
    /// retransmission [RFC 3522, RFC 4015], or had everything twice [RFC 3708], or after a timeout acknowledges what was
    /// not sent again [RFC 5682].
    pub(super) fn judge_undo(
        &mut self,
        pool: &mut Segments,
        input: &AckInput<'_>,
        delivery: &Delivery,
        duplicate: Option<Block>,
        control: &mut Control<'_>,
    ) -> bool {
        let mut proved = false;
        if let Some(block) = duplicate {
            proved = self.count_needless(input, block, control.window.segment);
        }
        let false_timeout = self.phase == Phase::Timeout && self.judge_timeout(input, delivery);
        if !self.flags.any(Flags::UNDO) || !(delivery.original || proved || false_timeout) {
            return false;
        }
        if self.phase == Phase::Recovery {
            self.flags.insert(Flags::REORDERED);
        }
        control.algorithm.undo(control.window);
        self.flags.remove(Flags::UNDO | Flags::FRTO | Flags::FORCED);
        self.phase = Phase::Open;
        self.restore_lost(pool);
        true
    }

    /// A duplicate was reported: as many retransmissions as it covers were needless. Returns whether all were.
    fn count_needless(&mut self, input: &AckInput<'_>, (left, right): Block, segment: u16) -> bool {
        let late = self.phase == Phase::Open && input.ack.after(Seq(self.flight));
        if late || self.undo_left == u8::MAX {
            self.flags.remove(Flags::UNDO);
        }
        if self.undo_left == 0 || left.before(self.undo_from) || right.after(input.nxt) {
            return false;
        }
        let segments = right.since(left).div_ceil(u32::from(segment).max(1));
        self.undo_left = self.undo_left.saturating_sub(segments.min(255) as u8);
        self.undo_left == 0
    }

    /// Whether a timeout was false, by what is acknowledged after it [RFC 5682 §2.1, §3.1].
    fn judge_timeout(&mut self, input: &AckInput<'_>, delivery: &Delivery) -> bool {
        let moved = input.ack != input.una && input.ack.before(self.recover);
        if self.flags.any(Flags::FRTO_FIRST) {
            self.flags.remove(Flags::FRTO_FIRST);
            // Step 2: new data goes out instead of what may only be late.
            self.flags.set(Flags::FRTO_NEW, moved && input.more);
            return false;
        }
        if !self.flags.any(Flags::FRTO_NEW) {
            return false;
        }
        // Step 3: what was sent once before the timeout arrives, so that was only late.
        self.flags.remove(Flags::FRTO_NEW);
        delivery.untouched && (input.ack != input.una || delivery.sacked > 0)
    }

    /// What was taken for lost is in flight after all.
    fn restore_lost(&mut self, pool: &mut Segments) {
        while self.lost != NONE {
            // The last first, so that they come to be in their order, before what was sent later.
            let id = pool.previous(By::Turn, self.lost);
            self.withdraw(pool, id);
            self.pipe += pool.record(id).len;
            pool.push(By::Turn, &mut self.oldest, id);
            self.oldest = id;
        }
    }
}
