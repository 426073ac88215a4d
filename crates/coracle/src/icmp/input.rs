//! ICMP in: echo requests are answered in the buffer that they came in; errors go to whom they concern.

use coracle_buf::{Kind, Layer, Pbuf};
use coracle_wire::checksum::{Sum, update};
use coracle_wire::icmpv4::{self, IcmpHeader, unreachable};
use coracle_wire::ipv4::protocol;

use super::Sender;
use crate::counters::count;
use crate::engine::Engine;
use crate::event::{Event, IcmpError, IcmpErrorKind};
use crate::ip::output::Send;
use crate::ip::sum::add_part;
use crate::ip::{Cast, Received};
use crate::netif::Checksums;

/// A received packet's longest part that a quoted header and its ports take: 60 bytes of header and 8 of transport.
const QUOTE: usize = 68;

impl Engine {
    pub(crate) fn icmp_input(&mut self, info: &Received, mut packet: Pbuf) -> Option<Event> {
        count!(self.counters.icmp.received);
        let netif = info.netif.slot();
        let header_len = usize::from(info.header_len);
        let wanted = (header_len + icmpv4::HEADER_LEN + QUOTE).min(packet.len());
        if packet.payload().len() < wanted && packet.pull_up(wanted).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        let Ok(header) = IcmpHeader::read(&packet.payload()[header_len..]) else {
            count!(self.counters.icmp.truncated);
            return self.drop_malformed(netif);
        };
        let (kind, code, mtu, pointer) = (header.kind, header.code, header.mtu(), header.pointer());
        if self.checks.contains(Checksums::CHECK_ICMP)
            && !add_part(Sum::new(), &packet, header_len, packet.len() - header_len).verifies()
        {
            count!(self.counters.icmp.bad_checksum);
            return self.drop_malformed(netif);
        }
        count!(self.counters.ip.delivered);
        match kind {
            icmpv4::ECHO_REQUEST if code == 0 => {
                self.icmp_echo(info, packet);
                None
            }
            icmpv4::DESTINATION_UNREACHABLE | icmpv4::TIME_EXCEEDED | icmpv4::PARAMETER_PROBLEM => {
                let kind = error_kind(kind, code, mtu, pointer);
                self.icmp_error_input(info, &packet, kind)
            }
            icmpv4::REDIRECT if code <= icmpv4::redirect::HOST_SERVICE => {
                self.icmp_redirect(info, &packet);
                None
            }
            // Replies are the raw control blocks'. Source quench [RFC 6633 §3], timestamps and address masks change nothing [1122-ICMP-1] [1122-ICMP-11] [6633-1] [RFC 9293 MUST-55].
            _ => {
                count!(self.counters.icmp.unhandled);
                None
            }
        }
    }

    /// [1122-ICMP-6] Answers with the data unchanged, from the address that was asked.
    fn icmp_echo(&mut self, info: &Received, packet: Pbuf) {
        // [1122-ICMP-7]
        if info.cast != Cast::Unicast && !self.config.broadcast_echo {
            count!(self.counters.icmp.broadcast_echo);
            return;
        }
        if self.icmp_try_echo(info, packet).is_none() {
            count!(self.counters.icmp.send_failed);
        }
    }

    fn icmp_try_echo(&mut self, info: &Received, mut packet: Pbuf) -> Option<()> {
        packet.remove_header(usize::from(info.header_len)).ok()?;
        if packet.payload_mut().is_err() {
            packet = packet.duplicate(Layer::Ip, Kind::Ram).ok()?;
        }
        let netif = info.netif.slot();
        let generate = self.netifs.at(netif)?.checksums.contains(Checksums::GENERATE_ICMP);
        let message = packet.payload_mut().ok()?;
        let [kind, _, high, low, ..] = message else { return None };
        // Only the type changes, from 8 to 0, so the checksum is brought up to date rather than made anew [RFC 1624].
        // Of the two zeros, all ones is also right for a message of zeros.
        let checksum = match update(u16::from_be_bytes([*high, *low]), 0x0800, 0) {
            _ if !generate => 0,
            0 => 0xffff,
            checksum => checksum,
        };
        *kind = icmpv4::ECHO_REPLY;
        [*high, *low] = checksum.to_be_bytes();
        self.route_to(info.source, None).ok()?;
        let source = match info.cast {
            Cast::Unicast => info.destination,
            Cast::Broadcast | Cast::Multicast => self.netifs.at(netif)?.ipv4.address.into(),
        };
        let send = Send::new(source, info.source, protocol::ICMP, (self.config.default_ttl, info.tos));
        self.ip_send(Some(&send), packet).ok()?;
        count!(self.counters.icmp.sent);
        count!(self.counters.icmp.echo_replies);
        Some(())
    }

    /// A router names another for a destination of ours.
    fn icmp_redirect(&mut self, info: &Received, packet: &Pbuf) {
        let header_len = usize::from(info.header_len);
        let bytes = packet.payload().get(header_len..).unwrap_or_default();
        let rest = IcmpHeader::read(bytes).map(|header| header.rest);
        let quoted = bytes.get(icmpv4::HEADER_LEN..).map(icmpv4::read_quoted);
        let (Ok(gateway), Some(Ok(quoted))) = (rest, quoted) else {
            count!(self.counters.icmp.bad_quote);
            return;
        };
        let ours = self.owner_of(quoted.header.source().into()).is_some();
        if ours && self.learn_redirect(info, quoted.header.destination(), gateway.into()) {
            count!(self.counters.icmp.redirects);
        } else {
            count!(self.counters.icmp.bad_quote);
        }
    }

    /// An error about a packet that this host is said to have sent [1122-ICMP-5].
    fn icmp_error_input(
        &mut self,
        info: &Received,
        packet: &Pbuf,
        kind: Option<IcmpErrorKind>,
    ) -> Option<Event> {
        let Some(kind) = kind else {
            count!(self.counters.icmp.unhandled);
            return None;
        };
        let start = usize::from(info.header_len) + icmpv4::HEADER_LEN;
        let Some(quoted) = packet.payload().get(start..).and_then(|bytes| icmpv4::read_quoted(bytes).ok())
        else {
            count!(self.counters.icmp.bad_quote);
            return None;
        };
        let error = IcmpError { kind, reporter: Some(info.source.to_ip()) };
        let netif = info.netif.slot();
        let ours = self.owner_of(quoted.header.source().into()).is_some()
            || self.netifs.at(netif).is_some_and(|interface| interface.accept_any);
        if !ours || quoted.header.fragment_offset() != 0 {
            count!(self.counters.icmp.bad_quote);
            return None;
        }
        self.error_to_sender(&Sender::v4(&quoted), error)
    }
}

fn error_kind(kind: u8, code: u8, mtu: u16, pointer: u8) -> Option<IcmpErrorKind> {
    match (kind, code) {
        (icmpv4::DESTINATION_UNREACHABLE, code) => match code {
            unreachable::NET
            | unreachable::NET_UNKNOWN
            | unreachable::NET_PROHIBITED
            | unreachable::NET_SERVICE => Some(IcmpErrorKind::NetUnreachable),
            unreachable::HOST
            | unreachable::HOST_UNKNOWN
            | unreachable::HOST_PROHIBITED
            | unreachable::HOST_SERVICE
            | unreachable::PROHIBITED => Some(IcmpErrorKind::HostUnreachable),
            unreachable::PROTOCOL => Some(IcmpErrorKind::ProtocolUnreachable),
            unreachable::PORT => Some(IcmpErrorKind::PortUnreachable),
            unreachable::FRAGMENTATION_NEEDED => Some(IcmpErrorKind::FragmentationNeeded { mtu }),
            unreachable::SOURCE_ROUTE_FAILED => Some(IcmpErrorKind::SourceRouteFailed),
            _ => None,
        },
        (icmpv4::TIME_EXCEEDED, icmpv4::time_exceeded::TTL) => Some(IcmpErrorKind::TimeExceeded),
        (icmpv4::TIME_EXCEEDED, icmpv4::time_exceeded::REASSEMBLY) => {
            Some(IcmpErrorKind::ReassemblyTimeExceeded)
        }
        (icmpv4::PARAMETER_PROBLEM, _) => Some(IcmpErrorKind::ParameterProblem { pointer: pointer.into() }),
        _ => None,
    }
}
