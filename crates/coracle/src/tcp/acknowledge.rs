//! Acknowledgments in: what they free, what they open, what they say is missing.

use coracle_wire::tcp::{TcpFlags, TcpOptions};

use super::arrive::Verdict;
use super::conn::Conn;
use super::loss::{AckInput, Control};
use super::pcb::{TcpPcb, ticks};
use super::segment::Segment;
use super::sequence::time_before;
use super::state::Flags;
use crate::counters::count;
use crate::time::Instant;

impl Conn<'_> {
    /// The fifth step of RFC 9293 §3.10.7.4; `Err` ends the segment's way.
    #[inline]
    pub(super) fn acknowledgment(&mut self, segment: &Segment, options: &TcpOptions) -> Result<(), Verdict> {
        let pcb = &*self.pcb;
        let ack = segment.ack;
        // [5961-3] [RFC 9293 MAY-12] Neither for what was never sent nor from an age long past.
        let oldest = pcb.una - pcb.window_max;
        if ack.after(pcb.nxt) || ack.before(oldest) {
            count!(self.counters.bad_acknowledgment);
            self.challenge();
            return Err(Verdict::Live);
        }
        if ack.before(pcb.una) {
            // It came late; what it says of later data still counts.
            if !options.sack.is_empty() {
                self.account(&Segment { ack: pcb.una, ..*segment }, options, false);
            }
            return Ok(());
        }
        let window = pcb.window;
        self.update_window(segment);
        let pcb = &*self.pcb;
        let advanced = ack != pcb.una;
        // With nothing in flight a report of a duplicate may still tell that a retransmission was needless.
        if !advanced && pcb.loss.is_empty() && options.sack.is_empty() {
            return Ok(());
        }
        let duplicate = !advanced && segment.span() == 0 && pcb.window == window;
        if advanced || duplicate || !options.sack.is_empty() || segment.has(TcpFlags::ECE) {
            self.account(segment, options, duplicate);
        }
        Ok(())
    }

    /// [RFC 9293 §3.10.7.4] Only a segment newer than the last one that did so changes the window.
    #[inline]
    fn update_window(&mut self, segment: &Segment) {
        let pcb = &mut *self.pcb;
        if segment.has(TcpFlags::SYN) {
            return;
        }
        let newer =
            pcb.wl1.before(segment.seq) || (pcb.wl1 == segment.seq && pcb.wl2.at_or_before(segment.ack));
        if newer {
            pcb.window = segment.window << pcb.send_scale;
            pcb.window_max = pcb.window_max.max(pcb.window);
            pcb.wl1 = segment.seq;
            pcb.wl2 = segment.ack;
            if pcb.window > 0 {
                pcb.probes = 0;
            }
        }
    }

    /// Takes what is acknowledged out of what is in flight.
    #[inline]
    fn account(&mut self, segment: &Segment, options: &TcpOptions, duplicate: bool) {
        let (now, ticks, echo) = (self.micros(), self.ticks(), self.echoed(options));
        let pcb = &mut *self.pcb;
        let input = AckInput {
            ack: segment.ack,
            una: pcb.una,
            nxt: pcb.nxt,
            sack: &options.sack,
            duplicate,
            ece: pcb.ecn.is_echo(segment.flags),
            more: pcb.has_more_to_send(),
            echo,
            now,
            sack_in_use: pcb.flags.has(Flags::SACK),
        };
        let control = Control {
            window: &mut pcb.congestion,
            algorithm: pcb.algorithm,
            rtt: &mut pcb.rtt,
            rto_limits: self.times.rto,
        };
        let report = pcb.loss.acknowledged(self.segments, &input, control);
        if report.reduced {
            pcb.ecn.reduced();
        }
        if segment.ack != pcb.una {
            pcb.una = segment.ack;
            pcb.progress_at = ticks;
            pcb.queued = pcb.queued.saturating_sub(report.acked);
            pcb.acked += report.acked;
            pcb.counters.acked = pcb.counters.acked.wrapping_add(report.acked);
            pcb.urgent_sent = pcb.urgent_sent.max(pcb.una);
            pcb.small_end = pcb.small_end.max(pcb.una);
        }
        self.arm_retransmission();
    }

    /// Sets the timer for what is in flight.
    #[inline]
    pub(super) fn arm_retransmission(&mut self) {
        let pcb = &mut *self.pcb;
        match pcb.loss.deadline(self.segments, &pcb.rtt, pcb.congestion.segment) {
            Some(timer) => {
                pcb.rexmit_at = timer.at;
                if pcb.user_timeout > 0 {
                    pcb.heed_user_timeout(self.now);
                }
                pcb.flags.clear(Flags::REXMIT_TIMER);
                pcb.flags.set(Flags::REXMIT);
            }
            None => pcb.flags.clear(Flags::REXMIT),
        }
    }
}

impl TcpPcb {
    /// The application gives up no later than it said [RFC 9293 MUST-21].
    #[cold]
    fn heed_user_timeout(&mut self, now: Instant) {
        let waited = ticks(now).wrapping_sub(self.progress_at);
        let left = self.user_timeout.saturating_sub(waited).min(1 << 20) << 10;
        let latest = (now.as_micros() as u32).wrapping_add(left);
        if time_before(latest, self.rexmit_at) {
            self.rexmit_at = latest;
        }
    }
}
