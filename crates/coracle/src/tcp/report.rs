//! What the application hears of a connection, in order; and the end of control blocks.

use coracle_buf::{Error, Pbuf};

use super::Flow;
use super::arrive::Verdict;
use super::pcb::{TcpPcb, ticks};
use super::sequence::Seq;
use super::state::{Flags, TcpState};
use super::time_wait::Waiting;
use crate::counters::count;
use crate::engine::Engine;
use crate::event::Trouble;
use crate::table::Key;
use crate::time::Instant;

/// After data was refused it is offered again in this many microseconds.
const OFFER_AGAIN: u32 = 10_000;

/// Something for the handler of a connection.
pub(crate) enum Report {
    /// A SYN that the application of a listener decides upon.
    Incoming(Key),
    /// A connection that a listener took.
    Accept(Key),
    /// The connection that we asked for stands.
    Connected,
    /// This much of what was written is acknowledged.
    Sent(u32),
    /// More data is urgent.
    Urgent,
    /// Data in order.
    Data(Pbuf),
    /// The peer closed its direction.
    Finished,
    /// The poll timer.
    Poll,
    /// Something is wrong on the way; the connection lives.
    Trouble(Trouble),
    /// It is over, by an error or in good order.
    End(Option<Error>),
}

impl Engine {
    /// What the next connection in line has to report.
    #[inline]
    pub(crate) fn tcp_next_report(&mut self) -> Option<(u32, Report)> {
        while let Some(position) = self.tcp.ready.first() {
            let report = self.tcp_report_of(position);
            // What was the last report leaves the line at once: whoever looks for more finds it empty.
            let more = self.tcp.slots.at(position as usize).is_some_and(TcpPcb::has_report);
            if report.is_none() || !more {
                self.tcp.ready.take();
            }
            if let Some(report) = report {
                return Some((position, report));
            }
        }
        None
    }

    /// What a connection has to report next, if it is the first in line.
    #[inline]
    pub(crate) fn tcp_next_report_of(&mut self, position: u32) -> Option<Report> {
        if self.tcp.ready.first() != Some(position) {
            return None;
        }
        let report = self.tcp_report_of(position);
        let more = self.tcp.slots.at(position as usize).is_some_and(TcpPcb::has_report);
        if report.is_none() || !more {
            self.tcp.ready.take();
        }
        report
    }

    /// What a connection has to report next: what happened to what it sent comes before what it received, and its
    /// end comes last.
    #[inline]
    fn tcp_report_of(&mut self, position: u32) -> Option<Report> {
        let pcb = self.tcp.slots.at_mut(position as usize)?;
        if pcb.flags.has(Flags::TELL_OPEN.union(Flags::TELL_SYN)) {
            // Without a handler it waits for one; a listener that is gone is another matter.
            let unheard = match pcb.listener {
                Some(listener) => self.tcp.listeners.get(listener).is_some_and(|door| !door.heard),
                None => !pcb.flags.has(Flags::HEARD),
            };
            return if unheard { None } else { Some(pcb.report_opening()) };
        }
        if !pcb.flags.has(Flags::HEARD) {
            // Nobody is there to listen: everything waits, but an end, which nobody will ever ask about.
            return pcb.flags.has(Flags::DEAD).then_some(Report::End(pcb.end));
        }
        if pcb.acked > 0 {
            return Some(Report::Sent(core::mem::take(&mut pcb.acked)));
        }
        if pcb.flags.has(Flags::TELL_URGENT) {
            pcb.flags.clear(Flags::TELL_URGENT);
            return Some(Report::Urgent);
        }
        if pcb.inbox.is_some() && !pcb.flags.has(Flags::REFUSED) {
            return pcb.inbox.take().map(Report::Data);
        }
        pcb.report_rest()
    }

    /// Data that the application refused is kept, and offered again before any newer.
    #[cold]
    pub(crate) fn tcp_refused(&mut self, key: Key, mut data: Pbuf) {
        if self.tcp.get(key).is_none() {
            return;
        }
        let position = key.index;
        let Some(conn) = self.tcp_conn(position) else { return };
        let now = conn.micros();
        let pcb = conn.pcb;
        if pcb.flags.has(Flags::NO_MORE_DATA) {
            // In the very call that gave it back, the application said so.
            pcb.unread = pcb.unread.saturating_sub(data.len() as u32);
            return;
        }
        if let Some(newer) = pcb.inbox.take()
            && data.cat(newer).is_err()
        {
            // Never: newer data came behind what was on offer only if it could be joined to it, and both are one
            // connection's; but if it did, the stream would have a hole.
            debug_assert!(false, "what was refused is put before what came since");
        }
        pcb.inbox = Some(data);
        pcb.flags.set(Flags::REFUSED);
        pcb.offer_at = now.wrapping_add(OFFER_AGAIN);
        self.tcp_rearm(position);
    }

    /// Notes what a connection has to report and to send.
    #[inline]
    pub(crate) fn tcp_settle(&mut self, position: u32) {
        let Some(pcb) = self.tcp.slots.at(position as usize) else { return };
        if pcb.has_report() {
            self.tcp.ready.add(position);
        }
        if !pcb.flags.has(Flags::DEAD) && pcb.wants_output(pcb.loss.next_lost().is_some()) {
            self.tcp.output.add(position);
        }
    }

    /// Settles after a segment; the first thing to report, which need not wait in line if nobody else does.
    #[inline]
    pub(super) fn tcp_settle_and_report(&mut self, position: u32) -> Option<(u32, Report)> {
        let pcb = self.tcp.slots.at(position as usize)?;
        if !pcb.flags.has(Flags::DEAD) && pcb.wants_output(pcb.loss.next_lost().is_some()) {
            // Its timer is set after that.
            self.tcp.output.add(position);
        } else {
            self.tcp_rearm(position);
        }
        if !self.tcp.ready.is_empty() {
            self.tcp_settle(position);
            return self.tcp_next_report();
        }
        let report = self.tcp_report_of(position)?;
        if self.tcp.slots.at(position as usize).is_some_and(TcpPcb::has_report) {
            self.tcp.ready.add(position);
        }
        Some((position, report))
    }

    /// Does what a step of the protocol decided. The flow and numbers are those of the segment that led to it.
    #[inline]
    pub(super) fn tcp_conclude(&mut self, position: u32, verdict: Verdict, cause: Option<&Cause>) {
        if verdict == Verdict::Live {
            self.tcp_settle(position);
        } else {
            self.tcp_conclude_otherwise(position, verdict, cause);
        }
    }

    #[cold]
    fn tcp_conclude_otherwise(&mut self, position: u32, verdict: Verdict, cause: Option<&Cause>) {
        match verdict {
            Verdict::Live => {}
            Verdict::Refuse => {
                if let Some(cause) = cause {
                    self.tcp_refuse(cause);
                }
                self.tcp_settle(position);
            }
            Verdict::End(error) => self.tcp_end(position, Some(error)),
            Verdict::Abort(error) => {
                self.tcp_reset_peer(position);
                self.tcp_end(position, Some(error));
            }
            Verdict::Over => {
                // The last acknowledgment may be owed still.
                self.tcp_output(position);
                self.tcp_end_well(position);
            }
            Verdict::TimeWait => self.tcp_time_wait(position),
            Verdict::Forget => self.tcp_forget(position),
        }
    }

    /// Tells the peer that the connection is gone, from where it expects us.
    pub(super) fn tcp_reset_peer(&mut self, position: u32) {
        let Some(pcb) = self.tcp.slots.at(position as usize) else { return };
        if pcb.state == TcpState::SynReceived || pcb.state.is_synchronized() {
            let (flow, seq, ack) = (pcb.flow, pcb.nxt, pcb.rcv_nxt);
            // [7323-4] So that it is told from an old one.
            let clock = ticks(self.now).wrapping_add(pcb.ts_offset);
            let times = pcb.flags.has(Flags::TIMESTAMPS).then_some((clock, pcb.ts_recent));
            self.tcp_send_reset(&flow, seq, Some(ack), times);
        }
    }

    /// Ends a connection: what it holds is free, and its handler hears of it.
    pub(crate) fn tcp_end(&mut self, position: u32, error: Option<Error>) {
        self.tcp_release(position);
        if let Some(pcb) = self.tcp.slots.at_mut(position as usize)
            && !pcb.flags.has(Flags::DEAD)
        {
            self.tcp.living -= 1;
            pcb.flags.set(Flags::DEAD);
            pcb.state = TcpState::Closed;
            pcb.end = error;
            pcb.inbox = None;
            pcb.acked = 0;
            pcb.trouble = None;
            pcb.flags.clear(Flags::TELL.union(Flags::REFUSED));
            self.tcp.ready.add(position);
        }
    }

    /// Lets go of what a connection holds, except for what it has to report.
    fn tcp_release(&mut self, position: u32) {
        self.tcp_leave_backlog(position);
        self.tcp.unindex(&self.hash_key, position);
        let Some(conn) = self.tcp_conn(position) else { return };
        let pcb = conn.pcb;
        pcb.loss.clear(conn.segments);
        pcb.held.clear(conn.held);
        pcb.unsent.clear();
        pcb.queued = 0;
        pcb.poll_interval = 0;
        pcb.flags.clear(Flags::LONG.union(Flags::REXMIT_TIMER).union(Flags::ACK_NOW).union(Flags::ACK_LATER));
        self.wheel.cancel(self.timers.tcp(position as usize));
    }

    /// Drops a connection that no application knows of.
    pub(super) fn tcp_forget(&mut self, position: u32) {
        self.tcp_release(position);
        self.tcp_remove(position);
    }

    /// Frees the slot of a connection that is over.
    pub(crate) fn tcp_remove(&mut self, position: u32) {
        let Some(key) = self.tcp.slots.key_at(position as usize) else { return };
        if let Some(pcb) = self.tcp.slots.remove(key)
            && !pcb.flags.has(Flags::DEAD)
        {
            self.tcp.living -= 1;
        }
    }

    /// What is left of a connection goes to the table of those in TIME-WAIT; the application hears what it has not
    /// heard yet.
    fn tcp_time_wait(&mut self, position: u32) {
        self.tcp_output(position);
        if let Some(pcb) = self.tcp.slots.at(position as usize) {
            let window = (pcb.edge.since(pcb.rcv_nxt) >> pcb.receive_scale) as u16;
            let ts_recent = pcb.flags.has(Flags::TIMESTAMPS).then_some(pcb.ts_recent);
            let (nxt, rcv_nxt, marks) = (pcb.nxt, pcb.rcv_nxt, (pcb.ttl, pcb.tos));
            let waiting = Waiting::new(pcb.flow, nxt, rcv_nxt, window, ts_recent, marks);
            // One that gives way has waited longest.
            self.tcp.time_waits.insert(&self.hash_key, waiting, self.now.as_micros() as u32);
            count!(self.counters.tcp.time_waits);
            self.tcp_rearm_time_wait();
        }
        self.tcp_end_well(position);
    }

    /// Both sides closed: a shell stays for what the application has not heard yet, and goes when it has.
    fn tcp_end_well(&mut self, position: u32) {
        self.tcp_release(position);
        if let Some(pcb) = self.tcp.slots.at_mut(position as usize) {
            pcb.state = TcpState::TimeWait;
        }
        self.tcp.ready.add(position);
    }

    /// Has the wheel wake the table up when its oldest entry has waited long enough.
    pub(super) fn tcp_rearm_time_wait(&mut self) {
        let timer = self.timers.time_wait();
        let now = self.now.as_micros();
        match self.tcp.time_waits.next_deadline() {
            Some(at) => {
                let left = at.wrapping_sub(now as u32).cast_signed().max(0);
                self.wheel.set(timer, Instant::from_micros(now + u64::from(left.cast_unsigned())));
            }
            None => self.wheel.cancel(timer),
        }
    }

    /// The oldest entries of the table have waited long enough.
    pub(crate) fn tcp_time_wait_timer(&mut self) {
        self.tcp.time_waits.expire(&self.hash_key, self.now.as_micros() as u32);
        self.tcp_rearm_time_wait();
    }
}

/// The segment that led to a decision, as far as its answer needs it.
pub(super) struct Cause {
    pub(super) flow: Flow,
    /// What it acknowledged, if anything.
    pub(super) ack: Option<Seq>,
    pub(super) end: Seq,
}

impl TcpPcb {
    #[inline]
    fn has_report(&self) -> bool {
        self.acked > 0
            || (self.inbox.is_some() && !self.flags.has(Flags::REFUSED))
            || self.flags.has(Flags::TELL.union(Flags::DEAD))
            || self.trouble.is_some()
            || self.state == TcpState::TimeWait
    }

    #[cold]
    fn report_opening(&mut self) -> Report {
        match self.listener {
            Some(listener) if self.flags.take(Flags::TELL_SYN) => Report::Incoming(listener),
            Some(listener) => {
                self.flags.clear(Flags::TELL_OPEN);
                Report::Accept(listener)
            }
            None => {
                self.flags.clear(Flags::TELL_OPEN.union(Flags::TELL_SYN));
                Report::Connected
            }
        }
    }

    /// What comes after all data.
    #[inline]
    fn report_rest(&mut self) -> Option<Report> {
        if let Some(error) = self.trouble.take() {
            return Some(Report::Trouble(error));
        }
        if self.inbox.is_none() && self.flags.take(Flags::TELL_FIN) {
            return Some(Report::Finished);
        }
        if self.flags.take(Flags::TELL_POLL) {
            return Some(Report::Poll);
        }
        let over = self.flags.has(Flags::DEAD) || self.state == TcpState::TimeWait;
        (over && self.inbox.is_none()).then_some(Report::End(self.end))
    }
}
