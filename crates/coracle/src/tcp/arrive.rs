//! What a connection does with a segment: the steps of RFC 9293 §3.10.7.4, in their order.

use coracle_buf::{Error, Pbuf};
use coracle_wire::tcp::{TcpFlags, TcpOptions};

use super::congestion::CongestionWindow;
use super::conn::Conn;
use super::segment::Segment;
use super::state::{Flags, TcpState};

/// What becomes of a connection after a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It goes on.
    Live,
    /// The segment is answered with RST; the connection goes on.
    Refuse,
    /// The connection ends with an error for the application.
    End(Error),
    /// The same, and the peer is told by RST.
    Abort(Error),
    /// It ended in good order.
    Over,
    /// It ended in good order on our side first.
    TimeWait,
    /// It never came to be, and the application does not know of it.
    Forget,
}

impl Conn<'_> {
    /// Takes a segment for this connection.
    #[inline]
    pub(super) fn arrives(&mut self, segment: Segment, options: &TcpOptions, data: Pbuf) -> Verdict {
        if self.pcb.state == TcpState::SynSent {
            return self.arrives_in_syn_sent(segment, options, data);
        }
        self.pcb.heard_at = self.ticks();
        self.pcb.keep_alive.sent = 0;
        let segment = match self.acceptable(segment, options) {
            Ok(segment) => segment,
            Err(verdict) => return verdict,
        };
        if segment.has(TcpFlags::RST) {
            return self.reset_arrives(&segment);
        }
        if segment.has(TcpFlags::SYN) {
            if self.pcb.state == TcpState::SynReceived && self.pcb.flags.has(Flags::PASSIVE) {
                // [RFC 9293 §3.10.7.4] The peer begins anew; its next SYN finds the listener.
                return Verdict::Forget;
            }
            // [RFC 5961 §4.2] Whatever the sequence number: the peer may have restarted, or somebody guesses.
            self.challenge();
            return Verdict::Live;
        }
        if !segment.has(TcpFlags::ACK) {
            return Verdict::Live;
        }
        self.remember_timestamp(&segment, options);
        self.pcb.ecn.arrived(segment.flags, segment.tos);
        if self.pcb.state == TcpState::SynReceived {
            if !(segment.ack.after(self.pcb.una) && segment.ack.at_or_before(self.pcb.nxt)) {
                return Verdict::Refuse;
            }
            self.opened(&segment);
            let acknowledged = self.acknowledgment(&segment, options);
            self.pcb.rtt.established(self.times.rto);
            if let Err(verdict) = acknowledged {
                return verdict;
            }
        } else if let Err(verdict) = self.acknowledgment(&segment, options) {
            return verdict;
        }
        if segment.has(TcpFlags::URG) {
            self.urgent_arrives(&segment);
        }
        if segment.span() == 0 { self.after_acknowledgment() } else { self.text(&segment, data) }
    }

    /// The first step: whether a segment is acceptable, and what is done about one that is not.
    #[inline]
    fn acceptable(&mut self, mut segment: Segment, options: &TcpOptions) -> Result<Segment, Verdict> {
        let pcb = &mut *self.pcb;
        // Both sides opened at once: the peer's SYN is known, what counts is its acknowledgment of ours.
        if pcb.state == TcpState::SynReceived
            && segment.has(TcpFlags::SYN)
            && segment.has(TcpFlags::ACK)
            && segment.seq + 1 == pcb.rcv_nxt
        {
            segment.flags = segment.flags.without(TcpFlags::SYN);
            segment.seq += 1;
        }
        let window = pcb.edge.since(pcb.rcv_nxt);
        let from_next = segment.seq.since(pcb.rcv_nxt);
        let span = segment.span();
        let in_window = if segment.seq.at_or_after(pcb.rcv_nxt) {
            // What lies exactly at the edge has an acknowledgment to tell, if no data: a peer that filled our
            // window sends from there.
            from_next < window || (span == 0 && from_next == window)
        } else {
            span > 0 && segment.end().after(pcb.rcv_nxt) && window > 0
        };
        if !in_window {
            return self.unacceptable(segment, window);
        }
        if pcb.flags.has(Flags::TIMESTAMPS) && !segment.has(TcpFlags::RST) && !self.timestamp_ok(options) {
            self.counters.old_timestamp = self.counters.old_timestamp.wrapping_add(1);
            if options.timestamps.is_some() {
                // [7323-7] Answered, and dropped.
                self.note_duplicate(&segment);
                self.pcb.flags.set(Flags::ACK_NOW);
            }
            return Err(Verdict::Live);
        }
        Ok(segment)
    }

    #[cold]
    fn unacceptable(&mut self, segment: Segment, window: u32) -> Result<Segment, Verdict> {
        if segment.has(TcpFlags::RST) {
            return Err(Verdict::Live);
        }
        // [RFC 9293 MUST-66] A closed window takes no data; what else such a segment says still counts.
        if window == 0 && segment.seq == self.pcb.rcv_nxt && !segment.has(TcpFlags::SYN) {
            self.pcb.flags.set(Flags::ACK_NOW);
            let without_text = Segment { len: 0, flags: segment.flags.without(TcpFlags::FIN), ..segment };
            return Ok(without_text);
        }
        self.counters.out_of_window = self.counters.out_of_window.wrapping_add(1);
        let syn = segment.has(TcpFlags::SYN);
        if syn && self.pcb.state == TcpState::SynReceived && segment.seq + 1 == self.pcb.rcv_nxt {
            // The peer has not seen our answer.
            self.pcb.flags.set(Flags::ACK_NOW);
        } else if segment.span() == 0 || syn {
            // Two sides that disagree could answer each other for ever.
            self.challenge();
        } else {
            self.note_duplicate(&segment);
            self.pcb.flags.set(Flags::ACK_NOW);
        }
        Err(Verdict::Live)
    }

    /// The second step [5961-1]: only the very next sequence number resets. What text a RST may have is of no use
    /// [RFC 9293 SHLD-2].
    #[cold]
    fn reset_arrives(&mut self, segment: &Segment) -> Verdict {
        if segment.seq != self.pcb.rcv_nxt {
            self.challenge();
            return Verdict::Live;
        }
        self.counters.resets_received = self.counters.resets_received.wrapping_add(1);
        match self.pcb.state {
            TcpState::SynReceived if self.pcb.flags.has(Flags::PASSIVE) => Verdict::Forget,
            _ => Verdict::End(Error::Reset),
        }
    }

    /// SYN-SENT [RFC 9293 §3.10.7.3].
    fn arrives_in_syn_sent(&mut self, segment: Segment, options: &TcpOptions, data: Pbuf) -> Verdict {
        let pcb = &mut *self.pcb;
        let acknowledges = segment.has(TcpFlags::ACK);
        let ack_ok = acknowledges && segment.ack.after(pcb.una) && segment.ack.at_or_before(pcb.nxt);
        if acknowledges && !ack_ok {
            return if segment.has(TcpFlags::RST) { Verdict::Live } else { Verdict::Refuse };
        }
        if segment.has(TcpFlags::RST) {
            // [5961-5]
            return if ack_ok { Verdict::End(Error::Reset) } else { Verdict::Live };
        }
        if !segment.has(TcpFlags::SYN) {
            return Verdict::Live;
        }
        self.learn_peer(&segment, options);
        if !ack_ok {
            // [RFC 9293 MUST-10] Both sides opened at once: our SYN goes out again, with an acknowledgment.
            self.pcb.state = TcpState::SynReceived;
            self.pcb.flags.set(Flags::ACK_NOW);
            return Verdict::Live;
        }
        self.pcb.heard_at = self.ticks();
        self.opened(&segment);
        self.pcb.flags.set(Flags::ACK_NOW);
        let acknowledged = self.acknowledgment(&segment, options);
        self.pcb.rtt.established(self.times.rto);
        if let Err(verdict) = acknowledged {
            return verdict;
        }
        if segment.len == 0 && !segment.has(TcpFlags::FIN) {
            return Verdict::Live;
        }
        let text = Segment { seq: segment.seq + 1, flags: segment.flags.without(TcpFlags::SYN), ..segment };
        self.text(&text, data)
    }

    /// The connection stands.
    fn opened(&mut self, segment: &Segment) {
        let pcb = &mut *self.pcb;
        pcb.state = if pcb.flags.has(Flags::FIN_QUEUED) { TcpState::FinWait1 } else { TcpState::Established };
        pcb.flags.set(Flags::TELL_OPEN);
        pcb.flags.clear(Flags::LONG);
        // [7323-2] The window of a segment with SYN is never scaled.
        let scale = if segment.has(TcpFlags::SYN) { 0 } else { pcb.send_scale };
        pcb.window = segment.window << scale;
        pcb.window_max = pcb.window;
        pcb.wl1 = segment.seq;
        pcb.wl2 = segment.ack;
        // [RFC 5681 §3.1] After a lost SYN the network is taken to be full.
        let initial = if pcb.rtt.backoffs() > 0 { 1 } else { self.config.initial_window };
        pcb.congestion = CongestionWindow::new(pcb.mss, initial);
        self.counters.opened = self.counters.opened.wrapping_add(1);
        self.restart_keep_alive();
    }

    /// What the states after our FIN make of an acknowledgment: whether our FIN was in it.
    #[inline]
    pub(super) fn after_acknowledgment(&mut self) -> Verdict {
        let pcb = &mut *self.pcb;
        if !pcb.flags.has(Flags::FIN_SENT) || pcb.una != pcb.nxt {
            return Verdict::Live;
        }
        match pcb.state {
            TcpState::FinWait1 => {
                pcb.state = TcpState::FinWait2;
                self.start_fin_wait_2();
                Verdict::Live
            }
            TcpState::Closing => Verdict::TimeWait,
            TcpState::LastAck => Verdict::Over,
            _ => Verdict::Live,
        }
    }
}
