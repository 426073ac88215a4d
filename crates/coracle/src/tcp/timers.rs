//! What is due: acknowledgments, retransmissions, probes, and the ends of states.
//!
//! A connection has one timer in the wheel, for the first of its deadlines. A deadline that moves on leaves the
//! wheel alone: when the timer comes too early, it is set again.

use coracle_buf::Error;

use super::arrive::Verdict;
use super::conn::Conn;
use super::emit::Outgoing;
use super::loss::{Control, TimerAction, TimerKind};
use super::pcb::{TcpPcb, Ticks, ticks, ticks_in};
use super::sequence::time_before;
use super::state::{Flags, TcpState};
use crate::counters::count;
use crate::engine::Engine;
use crate::event::Trouble;
use crate::table::Key;
use crate::time::Instant;

/// After this many timeouts in a row the application hears of it (R1) [RFC 9293 SHLD-10].
const R1: u8 = 3;

/// After so many attempts without memory, which take seven minutes, a connection ends: what it holds itself may be
/// what is missing.
const MEMORY_TRIES: u8 = 30;

impl Engine {
    /// A connection's timer came.
    pub(crate) fn tcp_timer(&mut self, position: u32) {
        let Some(mut conn) = self.tcp_conn(position) else { return };
        let (verdict, probe) = conn.due();
        if let Some(probe) = probe
            && self.tcp_emit(position, probe).is_err()
        {
            count!(self.counters.tcp.send_failed);
        }
        self.tcp_conclude(position, verdict, None);
        self.tcp_rearm(position);
    }

    /// Keep-alive was switched, or its times were changed.
    pub(crate) fn tcp_keep_alive_changed(&mut self, key: Key) {
        let position = key.index;
        if self.tcp.get(key).is_some()
            && let Some(mut conn) = self.tcp_conn(position)
        {
            conn.restart_keep_alive();
            self.tcp_rearm(position);
        }
    }

    /// Has the wheel wake the connection up no later than its first deadline.
    #[inline]
    pub(crate) fn tcp_rearm(&mut self, position: u32) {
        let Some(pcb) = self.tcp.slots.at(position as usize) else { return };
        let Some(earliest) = pcb.earliest(self.now) else { return };
        let timer = self.timers.tcp(position as usize);
        if self.wheel.deadline(timer).is_none_or(|set| set > earliest) {
            self.wheel.set(timer, earliest);
        }
    }
}

impl TcpPcb {
    /// The first of its deadlines.
    #[inline]
    fn earliest(&self, now: Instant) -> Option<Instant> {
        let micros = now.as_micros() as u32;
        let mut first = u32::MAX;
        let mut fast = |set: bool, at: u32| {
            if set {
                first = first.min(left(at, micros));
            }
        };
        fast(self.flags.has(Flags::REXMIT_TIMER), self.rexmit_at);
        fast(self.flags.has(Flags::ACK_LATER), self.ack_at);
        fast(self.flags.has(Flags::REFUSED), self.offer_at);
        let fast = (first != u32::MAX).then(|| Instant::from_micros(now.as_micros() + u64::from(first)));
        if self.poll_interval == 0 && !self.flags.has(Flags::LONG) && self.held.is_empty() {
            return fast;
        }
        let slow = self.earliest_slow(ticks(now));
        let slow = slow.map(|left| Instant::from_micros(((now.as_micros() >> 10) + u64::from(left)) << 10));
        match (fast, slow) {
            (Some(fast), Some(slow)) => Some(fast.min(slow)),
            (fast, slow) => fast.or(slow),
        }
    }

    /// The ticks to the first of its slow deadlines.
    fn earliest_slow(&self, now: Ticks) -> Option<Ticks> {
        let long = self.flags.has(Flags::LONG).then(|| left(self.long_at, now));
        let poll = (self.poll_interval > 0).then(|| left(self.poll_at, now));
        let held = (!self.held.is_empty()).then(|| left(self.held_until, now));
        long.into_iter().chain(poll).chain(held).min()
    }
}

/// How far a time lies ahead of another; nothing, if it has passed. Both count modulo 2³².
#[inline]
fn left(at: u32, now: u32) -> u32 {
    if time_before(now, at) { at.wrapping_sub(now) } else { 0 }
}

impl Conn<'_> {
    /// Does what is due now; what becomes of the connection, and a probe that is to leave.
    fn due(&mut self) -> (Verdict, Option<Outgoing>) {
        let (now, tick) = (self.micros(), self.ticks());
        let pcb = &mut *self.pcb;
        if pcb.flags.has(Flags::ACK_LATER) && !time_before(now, pcb.ack_at) {
            pcb.flags.clear(Flags::ACK_LATER);
            pcb.flags.set(Flags::ACK_NOW);
        }
        if pcb.flags.has(Flags::REFUSED) && !time_before(now, pcb.offer_at) {
            pcb.flags.clear(Flags::REFUSED);
        }
        if pcb.poll_interval > 0 && !time_before(tick, pcb.poll_at) {
            pcb.flags.set(Flags::TELL_POLL);
            pcb.poll_at = tick.wrapping_add(pcb.poll_interval);
        }
        if !pcb.held.is_empty() && !time_before(tick, pcb.held_until) {
            self.give_up_held();
        }
        let pcb = &mut *self.pcb;
        if pcb.flags.has(Flags::LONG) && !time_before(tick, pcb.long_at) {
            let (verdict, probe) = self.long_due();
            if verdict != Verdict::Live || probe.is_some() {
                return (verdict, probe);
            }
        }
        let pcb = &mut *self.pcb;
        if !pcb.flags.has(Flags::REXMIT_TIMER) || time_before(now, pcb.rexmit_at) {
            return (Verdict::Live, None);
        }
        if pcb.flags.has(Flags::REXMIT) {
            self.retransmission_due()
        } else if pcb.flags.take(Flags::NO_MEMORY) {
            pcb.probes = pcb.probes.saturating_add(1);
            let hopeless = pcb.probes >= MEMORY_TRIES;
            (if hopeless { Verdict::Abort(Error::Memory) } else { Verdict::Live }, None)
        } else {
            self.probe_due()
        }
    }

    /// Something in flight was not acknowledged in time.
    fn retransmission_due(&mut self) -> (Verdict, Option<Outgoing>) {
        let now = self.micros();
        if self.gave_up() {
            return (Verdict::Abort(Error::Timeout), None);
        }
        let pcb = &mut *self.pcb;
        let timer = pcb.loss.deadline(self.segments, &pcb.rtt, pcb.congestion.segment);
        let Some(timer) = timer.filter(|timer| !time_before(now, timer.at)) else {
            self.arm_retransmission();
            return (Verdict::Live, None);
        };
        if timer.kind == TimerKind::Rto {
            let verdict = self.timeout_verdict();
            if verdict != Verdict::Live {
                return (verdict, None);
            }
        }
        let pcb = &mut *self.pcb;
        let control = Control {
            window: &mut pcb.congestion,
            algorithm: pcb.algorithm,
            rtt: &mut pcb.rtt,
            rto_limits: self.times.rto,
        };
        let action = pcb.loss.timed_out(self.segments, timer.kind, control, now, pcb.nxt);
        let probe = match action {
            TimerAction::Nothing => None,
            TimerAction::SendLost { .. } => {
                pcb.ecn.reduced();
                None
            }
            TimerAction::Probe => self.tail_probe(),
        };
        self.arm_retransmission();
        (Verdict::Live, probe)
    }

    /// What a retransmission timeout means for the connection, or for one that is being opened
    /// [RFC 9293 §3.8.3, MUST-22].
    fn timeout_verdict(&mut self) -> Verdict {
        count!(self.counters.timeouts);
        // Those since the last progress, not since the last measurement of the round-trip time.
        let first = self.pcb.loss.first().map(|first| self.segments.record(first));
        let timeouts = first.map_or(0, |first| first.transmissions - 1);
        let most = match self.pcb.state {
            TcpState::SynSent => self.config.syn_retries,
            TcpState::SynReceived => self.config.syn_ack_retries,
            _ => self.config.retries,
        };
        // What cannot even be sent, for lack of memory, does not wait for ever either.
        let unsent = self.pcb.rtt.backoffs() / 2;
        // [MUST-20]
        if timeouts.max(unsent) >= most {
            return match self.pcb.state {
                TcpState::SynReceived if self.pcb.flags.has(Flags::PASSIVE) => Verdict::Forget,
                TcpState::SynSent | TcpState::SynReceived => Verdict::End(Error::Timeout),
                _ => Verdict::Abort(Error::Timeout),
            };
        }
        // Timeouts in a row, fast retransmissions not counted: many of those say that the path is bad, not that it is dead.
        let in_a_row = self.pcb.rtt.backoffs() + 1;
        if in_a_row == R1 && timeouts + 1 >= R1 {
            // [SHLD-9]
            self.pcb.trouble = Some(Trouble::Unanswered);
            self.suspect_black_hole();
        }
        Verdict::Live
    }

    /// Whether the application's own limit is over [MUST-21] [RFC 5482].
    fn gave_up(&self) -> bool {
        let (limit, since) = (self.pcb.user_timeout, self.pcb.progress_at);
        limit > 0 && self.ticks().wrapping_sub(since) >= limit
    }

    /// A segment that draws an acknowledgment when the last ones may be lost: new data if some may leave.
    fn tail_probe(&mut self) -> Option<Outgoing> {
        let pcb = &*self.pcb;
        let len = pcb.unsent.bytes().min(usize::from(pcb.mss)) as u32;
        count!(self.counters.tail_probes);
        if len > 0 && pcb.usable() >= len && pcb.state.may_send() {
            return self.fresh(len, false).ok();
        }
        // [RFC 8985 §7.3] New data is a better probe than old data.
        let last = self.pcb.loss.last(self.segments)?;
        let segment = self.last_segment_of(last);
        self.again(segment).ok()
    }

    /// The last segment of a record that has several.
    fn last_segment_of(&mut self, record: u32) -> u32 {
        let (len, mss) = (self.segments.record(record).len, u32::from(self.pcb.mss));
        let before = len.saturating_sub(1) / mss * mss;
        if before == 0 { record } else { self.segments.split(record, before).unwrap_or(record) }
    }

    /// The peer's window keeps what was written from leaving for so long that it is asked again
    /// [RFC 9293 MUST-36, MUST-37].
    fn probe_due(&mut self) -> (Verdict, Option<Outgoing>) {
        if self.pcb.keep_alive.sent >= self.config.retries || (self.pcb.keep_alive.sent > 0 && self.gave_up())
        {
            return (Verdict::Abort(Error::Timeout), None);
        }
        let pcb = &mut *self.pcb;
        pcb.probes = pcb.probes.saturating_add(1);
        pcb.keep_alive.sent = pcb.keep_alive.sent.saturating_add(1);
        if pcb.keep_alive.sent == 1 {
            pcb.progress_at = ticks(self.now);
        }
        let len = (pcb.unsent.bytes().min(usize::from(pcb.mss)) as u32).min(pcb.usable());
        count!(self.counters.window_probes);
        if len > 0 {
            // [RFC 9293 MUST-38] A small window that stays small is used at last.
            let outgoing = self.fresh(len, false).ok();
            if outgoing.is_none() {
                self.arm_probe();
            }
            return (Verdict::Live, outgoing);
        }
        let probe = self.probe();
        self.arm_probe();
        (Verdict::Live, Some(probe))
    }

    /// What the state waited for did not come.
    fn long_due(&mut self) -> (Verdict, Option<Outgoing>) {
        match self.pcb.state {
            TcpState::Established | TcpState::CloseWait => self.keep_alive_due(),
            TcpState::FinWait2 => (Verdict::End(Error::Timeout), None),
            _ => {
                self.pcb.flags.clear(Flags::LONG);
                (Verdict::Live, None)
            }
        }
    }

    /// [RFC 9293 §3.8.4] Only a connection on which nothing is outstanding is probed [MUST-26], and one probe
    /// without an answer says nothing [MUST-29].
    fn keep_alive_due(&mut self) -> (Verdict, Option<Outgoing>) {
        let now = self.ticks();
        let pcb = &mut *self.pcb;
        let silent = now.wrapping_sub(pcb.heard_at);
        if silent < pcb.keep_alive.idle {
            pcb.long_at = pcb.heard_at.wrapping_add(pcb.keep_alive.idle);
            return (Verdict::Live, None);
        }
        if !pcb.loss.is_empty() || pcb.flags.has(Flags::PERSIST) {
            // What is outstanding asks the peer already.
            pcb.long_at = now.wrapping_add(ticks_in(core::time::Duration::from_secs(1)));
            return (Verdict::Live, None);
        }
        if pcb.keep_alive.sent >= pcb.keep_alive.count {
            return (Verdict::Abort(Error::Timeout), None);
        }
        pcb.keep_alive.sent += 1;
        pcb.long_at = now.wrapping_add(pcb.keep_alive.interval);
        count!(self.counters.keep_alives);
        // [SHLD-12] Without data, from before what the peer expects.
        (Verdict::Live, Some(self.probe()))
    }
}
