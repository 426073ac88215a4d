//! The one timer of a sender: the reordering window, the probe, and the retransmission timeout.

use super::recovery::Start;
use super::segments::By;
use super::types::{Control, Flags, LossTimer, Phase, TimerAction, TimerKind};
use super::{Loss, RecordFlags, Segments, later};
use crate::table::NONE;
use crate::tcp::congestion::AckSample;
use crate::tcp::rtt::Rtt;
use crate::tcp::sequence::{Seq, time_before};

/// How long a receiver may delay its acknowledgment of a single segment [RFC 8985 §7.2: `WCDelAckT`].
const MAX_ACK_DELAY: u32 = 200_000;

/// How long a probe waits while no round trip was measured [RFC 8985 §7.2].
const UNMEASURED_PROBE: u32 = 1_000_000;

/// How long a probe waits at least, for clocks and polls that are coarse.
const MIN_PROBE: u32 = 2_000;

impl Loss {
    /// When to call [`timed_out`](Self::timed_out), and for what; none while nothing is in flight. `segment` is the data
    /// of a full segment.
    pub(crate) fn deadline(&self, pool: &Segments, rtt: &Rtt, segment: u16) -> Option<LossTimer> {
        if self.first == NONE {
            return None;
        }
        let rto = LossTimer { at: self.armed_at.wrapping_add(rtt.rto()), kind: TimerKind::Rto };
        if let Some(at) = self.overtaken(pool, rtt) {
            return Some(if time_before(at, rto.at) {
                LossTimer { at, kind: TimerKind::Reorder }
            } else {
                rto
            });
        }
        if !self.may_probe(pool) {
            return Some(rto);
        }
        // [8985-7]
        let at = self.probe_at(pool, rtt, segment);
        Some(LossTimer { at: if time_before(at, rto.at) { at } else { rto.at }, kind: TimerKind::Probe })
    }

    /// [8985-8] A probe goes out if nothing is known to be missing and no other one is out.
    fn may_probe(&self, pool: &Segments) -> bool {
        self.phase == Phase::Open
            && self.sacked == 0
            && self.lost == NONE
            && self.flags.any(Flags::SACK)
            && !self.flags.any(Flags::PROBE)
            && !pool.record(self.first).flags.intersects(RecordFlags::SYN)
    }

    fn probe_at(&self, pool: &Segments, rtt: &Rtt, segment: u16) -> u32 {
        let newest = pool.record(pool.previous(By::Turn, self.oldest)).sent_at;
        let since = later(self.armed_at, newest);
        let single = pool.next(By::Sequence, self.first) == self.first
            && pool.record(self.first).len <= u32::from(segment);
        let wait = match rtt.smoothed() {
            0 => UNMEASURED_PROBE,
            smoothed => (2 * smoothed).max(MIN_PROBE) + if single { MAX_ACK_DELAY } else { 0 },
        };
        since.wrapping_add(wait)
    }

    /// The timer of [`deadline`](Self::deadline) ran out. `nxt` is `SND.NXT`.
    pub(crate) fn timed_out(
        &mut self,
        pool: &mut Segments,
        kind: TimerKind,
        mut control: Control<'_>,
        now: u32,
        nxt: Seq,
    ) -> TimerAction {
        if self.first == NONE {
            return TimerAction::Nothing;
        }
        match kind {
            TimerKind::Rto => self.retransmission_timeout(pool, &mut control, now, nxt),
            TimerKind::Probe => {
                if !self.may_probe(pool) {
                    return TimerAction::Nothing;
                }
                self.flags.insert(Flags::PROBE_DUE);
                // Whether or not it leaves, the retransmission timer is next.
                self.armed_at = now;
                TimerAction::Probe
            }
            TimerKind::Reorder => self.reorder_timeout(pool, &mut control, now, nxt),
        }
    }

    fn reorder_timeout(
        &mut self,
        pool: &mut Segments,
        control: &mut Control<'_>,
        now: u32,
        nxt: Seq,
    ) -> TimerAction {
        let flight = self.pipe;
        if self.detect_by_time(pool, control.rtt, now) == 0 {
            return TimerAction::Nothing;
        }
        if matches!(self.phase, Phase::Open | Phase::Reduced) {
            let (una, sample) = (pool.record(self.first).seq, self.quiet_sample(pool, control, now, nxt));
            self.enter(Phase::Recovery, &Start { una, nxt, flight }, &sample, control);
            // As if one segment had been delivered: the first retransmission goes out.
            self.pace(u32::from(control.window.segment), false, control.window);
        }
        TimerAction::SendLost { attempts: self.attempts(pool) }
    }

    /// [6298-7] Nothing came for too long.
    fn retransmission_timeout(
        &mut self,
        pool: &mut Segments,
        control: &mut Control<'_>,
        now: u32,
        nxt: Seq,
    ) -> TimerAction {
        let sample = self.quiet_sample(pool, control, now, nxt);
        let una = pool.record(self.first).seq;
        let attempts = self.attempts(pool);
        // [5681-5]
        let in_flight = sample.in_flight.min(control.window.window);
        control.algorithm.timed_out(control.window, &AckSample { in_flight, ..sample });
        let first = self.phase != Phase::Timeout;
        if first {
            self.begin_undo(una, true);
        }
        // [RFC 5682 §2.1 step 1] Only if the first segment was not sent again before.
        self.flags.set(Flags::FRTO_FIRST, first && attempts == 1);
        self.phase = Phase::Timeout;
        self.recover = nxt;
        self.flags.remove(Flags::PROBE | Flags::FRTO_NEW | Flags::MANY);
        self.flags.insert(Flags::FORCED);
        self.forget_blocks(pool);
        // [8985-6] The first, and all that were sent long enough ago. Without SACK all were.
        self.mark_lost(pool, self.first);
        while self.oldest != NONE {
            let sent_at = pool.record(self.oldest).sent_at;
            let young = self.flags.any(Flags::SACK) && time_before(now, sent_at.wrapping_add(self.rack.rtt));
            if young {
                break;
            }
            self.mark_lost(pool, self.oldest);
        }
        control.rtt.back_off(control.rto_limits);
        self.armed_at = now;
        TimerAction::SendLost { attempts }
    }

    /// How often the first record was sent.
    fn attempts(&self, pool: &Segments) -> u8 {
        pool.record(self.first).transmissions
    }

    /// What the algorithm of congestion control is told when nothing came.
    fn quiet_sample(&self, pool: &Segments, control: &Control<'_>, now: u32, nxt: Seq) -> AckSample {
        AckSample {
            now,
            in_flight: nxt.since(pool.record(self.first).seq),
            smoothed_rtt: control.rtt.smoothed(),
            min_rtt: control.rtt.min(),
            ..AckSample::default()
        }
    }
}
