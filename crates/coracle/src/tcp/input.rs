//! Segments in: what is wrong with one, and whose it is.

use coracle_buf::Pbuf;
use coracle_wire::ipv4::protocol;
use coracle_wire::tcp::{HEADER_LEN, MAX_HEADER_LEN, TcpFields, TcpFlags, TcpHeader, TcpOptions};

use super::arrive::Verdict;
use super::pcb::ticks;
use super::report::Cause;
use super::segment::Segment;
use super::sequence::Seq;
use super::time_wait::{LateSegment, TimeWaitAction};
use super::{Flow, Report};
use crate::address::Endpoint;
use crate::counters::count;
use crate::engine::Engine;
use crate::event::Event;
use crate::ip::sum::{add_part, pseudo};
use crate::ip::{Cast, Received};
use crate::netif::Checksums;

impl Engine {
    /// Takes an IP packet that carries a segment.
    #[inline]
    pub(crate) fn tcp_input(&mut self, info: &Received, mut packet: Pbuf) -> Option<Event> {
        count!(self.counters.tcp.segments_received);
        let netif = info.netif.slot();
        let ip_len = usize::from(info.header_len);
        let first = packet.payload().len();
        if first < packet.len() && first < ip_len + MAX_HEADER_LEN && !self.tcp_pull_up(ip_len, &mut packet) {
            return self.drop_malformed(netif);
        }
        let bytes = packet.payload().get(ip_len..).unwrap_or_default();
        let Ok(header) = TcpHeader::read(bytes) else {
            count!(self.counters.tcp.malformed);
            return self.drop_malformed(netif);
        };
        let header_len = header.header_len();
        let len = packet.len() - ip_len - header_len;
        // [RFC 9293 MUST-3]
        if self.checks.contains(Checksums::CHECK_TCP) {
            let all = packet.len() - ip_len;
            let sum = pseudo(info.source, info.destination, protocol::TCP, all);
            if !add_part(sum, &packet, ip_len, all).verifies() {
                count!(self.counters.tcp.bad_checksum);
                return self.drop_malformed(netif);
            }
        }
        // [RFC 9293 MUST-57]
        if info.cast != Cast::Unicast {
            count!(self.counters.tcp.not_unicast);
            return None;
        }
        count!(self.counters.ip_of(info.destination).delivered);
        let options = header.options(bytes);
        let options = match TcpOptions::read_timestamps_only(options) {
            Some(times) => TcpOptions { timestamps: Some(times), ..TcpOptions::default() },
            None if options.is_empty() => TcpOptions::default(),
            None => TcpOptions::read(options),
        };
        let segment = Segment::new(header, len as u32, info.tos);
        let flow = Flow {
            local: Endpoint::new(info.destination, header.destination_port()),
            remote: Endpoint::new(info.source, header.source_port()),
        };
        if packet.remove_header(ip_len + header_len).is_err() {
            count!(self.counters.ip_of(info.destination).memory);
            return None;
        }
        if let Some(position) = self.tcp.find(&self.hash_key, &flow) {
            let report = self.tcp_deliver(position, &segment, &options, packet);
            return report.map(|(pcb, report)| Event::Tcp { pcb, report });
        }
        self.tcp_stranger(info, &flow, segment, &options, packet);
        None
    }

    /// Makes the header contiguous, options and all; `false` when there is not even a header.
    #[cold]
    fn tcp_pull_up(&mut self, ip_len: usize, packet: &mut Pbuf) -> bool {
        if packet.len() < ip_len + HEADER_LEN {
            count!(self.counters.tcp.malformed);
            return false;
        }
        let wanted = packet.len().min(ip_len + MAX_HEADER_LEN);
        if packet.pull_up(wanted).is_err() {
            count!(self.counters.ip.memory);
            return false;
        }
        true
    }

    /// Hands a segment to its connection; what there is to report then.
    #[inline]
    pub(super) fn tcp_deliver(
        &mut self,
        position: u32,
        segment: &Segment,
        options: &TcpOptions,
        data: Pbuf,
    ) -> Option<(u32, Report)> {
        let mut conn = self.tcp_conn(position)?;
        let verdict = conn.arrives(*segment, options, data);
        if verdict == Verdict::Live {
            return self.tcp_settle_and_report(position);
        }
        let flow = conn.pcb.flow;
        self.tcp_conclude(position, verdict, Some(&Cause::new(flow, segment)));
        self.tcp_rearm(position);
        self.tcp_next_report()
    }

    /// A segment of no connection: one in TIME-WAIT, a listener's, or nobody's.
    #[cold]
    fn tcp_stranger(
        &mut self,
        info: &Received,
        flow: &Flow,
        segment: Segment,
        options: &TcpOptions,
        data: Pbuf,
    ) {
        let used = match self.tcp.time_waits.find(&self.hash_key, flow) {
            Some(entry) => match self.tcp_late(entry, info, &segment, options) {
                Some(used) => Some(used),
                None => return,
            },
            None => None,
        };
        self.tcp_knock(info, flow, &segment, options, data, used);
    }

    /// A segment of a connection in TIME-WAIT. The last sequence number of that, if a new connection begins.
    fn tcp_late(
        &mut self,
        entry: u32,
        info: &Received,
        segment: &Segment,
        options: &TcpOptions,
    ) -> Option<Seq> {
        let late = LateSegment {
            seq: segment.seq,
            ack: segment.ack,
            flags: segment.flags,
            len: segment.len,
            timestamp: options.timestamps.filter(|_| self.config.tcp.timestamps).map(|(value, _)| value),
        };
        let local = self.tcp.time_waits.get(entry).flow.local;
        let mut action = self.tcp.time_waits.get_mut(entry).judge(&late);
        let reopens = matches!(action, TimeWaitAction::Reopen { .. });
        if reopens && self.tcp.find_listener(&self.hash_key, local, info.netif).is_none() {
            // Nobody would take the new connection; the old one's wait is not ended for that.
            action = TimeWaitAction::Challenge;
        }
        match action {
            TimeWaitAction::Ignore => None,
            TimeWaitAction::Acknowledge { restart } => {
                if restart {
                    self.tcp.time_waits.restart(entry, self.now.as_micros() as u32);
                    self.tcp_rearm_time_wait();
                }
                self.tcp_answer_late(entry);
                None
            }
            TimeWaitAction::Challenge => {
                if self.tcp.challenges.take_unowned(&mut self.random, self.now) {
                    count!(self.counters.tcp.challenges_sent);
                    self.tcp_answer_late(entry);
                } else {
                    count!(self.counters.tcp.challenges_limited);
                }
                None
            }
            TimeWaitAction::Reopen { after } => {
                self.tcp.time_waits.remove(&self.hash_key, entry);
                self.tcp_rearm_time_wait();
                Some(after)
            }
        }
    }

    /// Acknowledges on behalf of a connection in TIME-WAIT.
    fn tcp_answer_late(&mut self, entry: u32) {
        let waiting = *self.tcp.time_waits.get(entry);
        let fields = bare_acknowledgment(&waiting.flow, waiting.snd_nxt, waiting.rcv_nxt, waiting.window);
        let clock = ticks(self.now).wrapping_add(self.tcp.numbers.timestamp_offset(&waiting.flow));
        let options =
            TcpOptions { timestamps: waiting.ts_recent().map(|echo| (clock, echo)), ..TcpOptions::default() };
        self.tcp_send_bare(&waiting.flow, fields, &options, (waiting.ttl, waiting.tos()));
    }

    /// Refuses a segment: nobody wants it [RFC 9293 §3.10.7.1].
    pub(super) fn tcp_refuse(&mut self, cause: &Cause) {
        if !self.tcp.resets.take(self.now) {
            count!(self.counters.tcp.resets_limited);
            return;
        }
        match cause.ack {
            Some(ack) => self.tcp_send_reset(&cause.flow, ack, None, None),
            None => self.tcp_send_reset(&cause.flow, Seq(0), Some(cause.end), None),
        }
    }
}

impl Cause {
    #[inline]
    pub(super) fn new(flow: Flow, segment: &Segment) -> Self {
        let ack = segment.has(TcpFlags::ACK).then_some(segment.ack);
        Self { flow, ack, end: segment.end() }
    }
}

/// What an answer from TIME-WAIT says.
pub(super) fn bare_acknowledgment(flow: &Flow, seq: Seq, ack: Seq, window: u16) -> TcpFields {
    TcpFields {
        source_port: flow.local.port,
        destination_port: flow.remote.port,
        sequence: seq.0,
        acknowledgment: ack.0,
        flags: TcpFlags::ACK,
        window,
        ..TcpFields::default()
    }
}
