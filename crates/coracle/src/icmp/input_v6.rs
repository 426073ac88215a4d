//! ICMPv6 in: echo requests are answered in the buffer that they came in; errors go to whom they concern.

use coracle_buf::{Kind, Layer, Pbuf};
use coracle_wire::icmpv6::{self, Icmpv6Header, Quoted, unreachable};
use coracle_wire::ipv6::extension::Limits;
use coracle_wire::ipv6::next_header;

use super::Sender;
use crate::address::{Address, Endpoint};
use crate::counters::count;
use crate::engine::Engine;
use crate::event::{Event, IcmpError, IcmpErrorKind};
use crate::ip::sum::{add_part, pseudo};
use crate::ip::{Cast, Received};
use crate::netif::Checksums;

/// The bytes of a message that are made contiguous: what is quoted, or all options of neighbour discovery, or all
/// sources of a query.
const LOOKED_AT: usize = 1_500;

impl Engine {
    pub(crate) fn icmpv6_input(&mut self, info: &Received, mut packet: Pbuf) -> Option<Event> {
        count!(self.counters.icmp6.received);
        let netif = info.netif.slot();
        let header_len = usize::from(info.header_len);
        let wanted = (header_len + LOOKED_AT).min(packet.len());
        if packet.payload().len() < wanted && packet.pull_up(wanted).is_err() {
            count!(self.counters.ip6.memory);
            return None;
        }
        let Ok(&header) = Icmpv6Header::read(packet.payload().get(header_len..).unwrap_or_default()) else {
            count!(self.counters.icmp6.truncated);
            return self.drop_malformed(netif);
        };
        // [4443-1]
        if self.checks.contains(Checksums::CHECK_ICMP) {
            let len = packet.len() - header_len;
            let sum = pseudo(info.source, info.destination, next_header::ICMPV6, len);
            if !add_part(sum, &packet, header_len, len).verifies() {
                count!(self.counters.icmp6.bad_checksum);
                return self.drop_malformed(netif);
            }
        }
        count!(self.counters.ip6.delivered);
        match header.kind {
            icmpv6::ECHO_REQUEST if header.code == 0 => self.icmpv6_echo(info, packet),
            icmpv6::ROUTER_SOLICITATION..=icmpv6::REDIRECT => {
                self.nd_input(info, header.kind, &packet);
            }
            icmpv6::MULTICAST_LISTENER_QUERY
            | icmpv6::MULTICAST_LISTENER_REPORT
            | icmpv6::MULTICAST_LISTENER_DONE
            | icmpv6::MULTICAST_LISTENER_REPORT_V2 => self.mld_input(info, header.kind, &packet),
            kind if icmpv6::is_error(kind) => {
                return self.icmpv6_error_input(info, &packet, error_kind(header));
            }
            _ => count!(self.counters.icmp6.unhandled),
        }
        None
    }

    /// Answers with the data unchanged, from the address that was asked [RFC 4443 §4.2].
    fn icmpv6_echo(&mut self, info: &Received, packet: Pbuf) {
        if !info.source.is_one_host() {
            count!(self.counters.icmp6.unhandled);
            return;
        }
        // One packet to a group must not make a storm of answers.
        if info.cast != Cast::Unicast && !self.icmp_errors.take(self.now) {
            count!(self.counters.icmp6.rate_limited);
            return;
        }
        if self.icmpv6_try_echo(info, packet).is_none() {
            count!(self.counters.icmp6.send_failed);
        }
    }

    fn icmpv6_try_echo(&mut self, info: &Received, mut packet: Pbuf) -> Option<()> {
        packet.remove_header(usize::from(info.header_len)).ok()?;
        if packet.payload_mut().is_err() {
            packet = packet.duplicate(Layer::Ip, Kind::Ram).ok()?;
        }
        *packet.payload_mut().ok()?.first_mut()? = icmpv6::ECHO_REPLY;
        let hop = self.route_to(info.source, Some(info.netif)).ok()?;
        let source = if info.cast == Cast::Unicast { info.destination } else { hop.source };
        self.icmpv6_send(source, info.source, packet, self.config.default_ttl).ok()?;
        count!(self.counters.icmp6.sent);
        count!(self.counters.icmp6.echo_replies);
        Some(())
    }

    /// An error about a packet that this host is said to have sent.
    fn icmpv6_error_input(
        &mut self,
        info: &Received,
        packet: &Pbuf,
        kind: Option<IcmpErrorKind>,
    ) -> Option<Event> {
        let Some(kind) = kind else {
            count!(self.counters.icmp6.unhandled);
            return None;
        };
        let start = usize::from(info.header_len) + icmpv6::HEADER_LEN;
        let quoted = packet.payload().get(start..);
        let quoted = quoted.and_then(|bytes| icmpv6::read_quoted(bytes, Limits::default()).ok());
        let Some(quoted) = quoted else {
            count!(self.counters.icmp6.bad_quote);
            return None;
        };
        let netif = info.netif.slot();
        let source = Address::v6(*quoted.header.source_octets(), netif);
        let ours = self.owner_of(source).is_some()
            || self.netifs.at(netif).is_some_and(|interface| interface.accept_any);
        if !ours {
            count!(self.counters.icmp6.bad_quote);
            return None;
        }
        let error = IcmpError { kind, reporter: Some(info.source.to_ip()) };
        let destination = Address::v6(*quoted.header.destination_octets(), netif);
        self.error_to_sender(&Sender::v6(&quoted, source, destination), error)
    }

    /// The report of a packet whose neighbour does not answer.
    pub(super) fn report_unreachable_v6(&mut self, packet: &[u8]) -> Option<Event> {
        let quoted = icmpv6::read_quoted(packet, Limits::default()).ok()?;
        // The zone of a link-local destination is that of the source, which was ours on the same link.
        let plain = Address::v6(*quoted.header.source_octets(), 0);
        let local = self.addresses.v6.iter().find(|(_, entry)| entry.address.wire_v6() == plain.wire_v6());
        let netif = local.map_or(0, |(_, entry)| entry.netif as usize);
        let source = Address::v6(*quoted.header.source_octets(), netif);
        let destination = Address::v6(*quoted.header.destination_octets(), netif);
        let sender = Sender::v6(&quoted, source, destination);
        self.error_to_sender(&sender, IcmpError::NEIGHBOUR_UNREACHABLE)
    }
}

impl<'a> Sender<'a> {
    fn v6(quoted: &Quoted<'a>, source: Address, destination: Address) -> Self {
        let (from_port, to_port) = quoted.ports().unwrap_or((0, 0));
        Self {
            protocol: quoted.protocol,
            local: Endpoint::new(source, from_port),
            remote: Endpoint::new(destination, to_port),
            has_ports: quoted.ports().is_some(),
            len: quoted.header.total_len(),
            transport: quoted.transport,
        }
    }
}

fn error_kind(header: Icmpv6Header) -> Option<IcmpErrorKind> {
    match (header.kind, header.code) {
        (icmpv6::DESTINATION_UNREACHABLE, code) => match code {
            unreachable::PROHIBITED | unreachable::ADDRESS => Some(IcmpErrorKind::HostUnreachable),
            unreachable::PORT => Some(IcmpErrorKind::PortUnreachable),
            // [4443-2] An unknown code still says that the destination cannot be reached.
            _ => Some(IcmpErrorKind::NetUnreachable),
        },
        (icmpv6::PACKET_TOO_BIG, _) => {
            Some(IcmpErrorKind::FragmentationNeeded { mtu: header.mtu().min(u32::from(u16::MAX)) as u16 })
        }
        (icmpv6::TIME_EXCEEDED, icmpv6::time_exceeded::HOP_LIMIT) => Some(IcmpErrorKind::TimeExceeded),
        (icmpv6::TIME_EXCEEDED, icmpv6::time_exceeded::REASSEMBLY) => {
            Some(IcmpErrorKind::ReassemblyTimeExceeded)
        }
        (icmpv6::PARAMETER_PROBLEM, icmpv6::parameter_problem::NEXT_HEADER) => {
            Some(IcmpErrorKind::ProtocolUnreachable)
        }
        (icmpv6::PARAMETER_PROBLEM, _) => Some(IcmpErrorKind::ParameterProblem { pointer: header.pointer() }),
        _ => None,
    }
}
