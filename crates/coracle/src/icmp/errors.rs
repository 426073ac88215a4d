//! ICMP errors out: about whom, how often, and how much of the packet they quote.

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::ipv4::{self, Ipv4Header, protocol};
use coracle_wire::{checksum, icmpv4};
#[cfg(feature = "ipv6")]
use coracle_wire::{
    icmpv6::{self, parameter_problem},
    ipv6::{self, next_header},
};

use crate::address::{Address, Family};
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::output::Send;
use crate::ip::{Cast, Received};

/// An IPv4 error is as long as 576 bytes at the most [RFC 1812 §4.3.2.3], of which this many are quoted.
const MAX_QUOTE_V4: usize = 576 - ipv4::HEADER_LEN - icmpv4::HEADER_LEN;

/// What is wrong with a packet, told to who sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Complaint {
    /// Nobody takes the protocol of an IPv4 packet.
    NoProtocol,
    /// Nobody listens on the port.
    NoPort,
    /// The time-to-live ran out here.
    TimeExceeded,
    /// Fragments were missing when their time was over.
    ReassemblyTime,
    /// No way leads there.
    NoRoute,
    /// The neighbour does not answer.
    NoNeighbour,
    /// The packet is longer than the next link takes, and must not be cut.
    TooBig { mtu: u16 },
    /// There is a shorter way for IPv4 packets to their destination.
    Redirect { gateway: Address },
    /// The header is wrong at this byte.
    BadHeader { pointer: u32 },
    /// A header of IPv6 that nobody takes is named at this byte [8200-3].
    #[cfg(feature = "ipv6")]
    UnknownHeader { pointer: u32 },
    /// The headers of an IPv6 packet are not all in its first fragment.
    #[cfg(feature = "ipv6")]
    IncompleteChain,
    /// An option of IPv6 that nobody knows is at this byte, and wants this to be said, even of a packet to a group.
    #[cfg(feature = "ipv6")]
    UnknownOption { pointer: u32 },
}

impl Complaint {
    fn v4(self) -> (u8, u8, [u8; 4]) {
        let unreachable = |code, mtu: u16| {
            let [high, low] = mtu.to_be_bytes();
            (icmpv4::DESTINATION_UNREACHABLE, code, [0, 0, high, low])
        };
        match self {
            Self::NoProtocol => unreachable(icmpv4::unreachable::PROTOCOL, 0),
            Self::NoPort => unreachable(icmpv4::unreachable::PORT, 0),
            Self::TimeExceeded => (icmpv4::TIME_EXCEEDED, icmpv4::time_exceeded::TTL, [0; 4]),
            Self::ReassemblyTime => (icmpv4::TIME_EXCEEDED, icmpv4::time_exceeded::REASSEMBLY, [0; 4]),
            Self::NoRoute => unreachable(icmpv4::unreachable::NET, 0),
            Self::NoNeighbour => unreachable(icmpv4::unreachable::HOST, 0),
            Self::TooBig { mtu } => unreachable(icmpv4::unreachable::FRAGMENTATION_NEEDED, mtu),
            Self::Redirect { gateway } => (icmpv4::REDIRECT, icmpv4::redirect::HOST, gateway.low().octets()),
            Self::BadHeader { pointer } => (icmpv4::PARAMETER_PROBLEM, 0, [pointer as u8, 0, 0, 0]),
            #[cfg(feature = "ipv6")]
            Self::UnknownHeader { pointer } | Self::UnknownOption { pointer } => {
                (icmpv4::PARAMETER_PROBLEM, 0, [pointer as u8, 0, 0, 0])
            }
            #[cfg(feature = "ipv6")]
            Self::IncompleteChain => (icmpv4::PARAMETER_PROBLEM, 0, [0; 4]),
        }
    }

    #[cfg(feature = "ipv6")]
    fn v6(self) -> (u8, u8, [u8; 4]) {
        let problem = |code, pointer: u32| (icmpv6::PARAMETER_PROBLEM, code, pointer.to_be_bytes());
        let unreachable = |code| (icmpv6::DESTINATION_UNREACHABLE, code, [0; 4]);
        match self {
            Self::NoProtocol => problem(parameter_problem::NEXT_HEADER, ipv6::NEXT_HEADER_OFFSET as u32),
            Self::NoPort => unreachable(icmpv6::unreachable::PORT),
            Self::TimeExceeded => (icmpv6::TIME_EXCEEDED, icmpv6::time_exceeded::HOP_LIMIT, [0; 4]),
            Self::ReassemblyTime => (icmpv6::TIME_EXCEEDED, icmpv6::time_exceeded::REASSEMBLY, [0; 4]),
            // Redirects of IPv6 are neighbour discovery's.
            Self::NoRoute | Self::Redirect { .. } => unreachable(icmpv6::unreachable::NO_ROUTE),
            Self::NoNeighbour => unreachable(icmpv6::unreachable::ADDRESS),
            Self::TooBig { mtu } => (icmpv6::PACKET_TOO_BIG, 0, u32::from(mtu).to_be_bytes()),
            Self::IncompleteChain => problem(parameter_problem::INCOMPLETE_CHAIN, 0),
            Self::BadHeader { pointer } => problem(parameter_problem::HEADER_FIELD, pointer),
            Self::UnknownHeader { pointer } => problem(parameter_problem::NEXT_HEADER, pointer),
            Self::UnknownOption { pointer } => problem(parameter_problem::OPTION, pointer),
        }
    }

    /// Whether it may be about a packet to a group, or in a frame to one [4443-4].
    fn even_to_groups(self) -> bool {
        match self {
            #[cfg(feature = "ipv6")]
            Self::UnknownOption { .. } | Self::TooBig { .. } => true,
            _ => false,
        }
    }
}

impl Engine {
    /// Sends an error about a packet, which begins with its IP header, unless that is forbidden [1122-ICMP-3]
    /// [1122-ICMP-4] [4443-4] or there were too many [4443-5].
    #[cold]
    #[inline(never)]
    pub(crate) fn icmp_complain(&mut self, info: &Received, packet: &Pbuf, complaint: Complaint) {
        let answerable = (info.cast == Cast::Unicast || complaint.even_to_groups())
            && info.source.is_one_host()
            && match info.source.family() {
                Family::V4 => !is_later_fragment(packet) && !is_icmpv4_error(info, packet),
                #[cfg(feature = "ipv6")]
                Family::V6 => !is_icmpv6_error(info, packet),
            };
        if !answerable {
            return;
        }
        if !self.icmp_errors.take(self.now) {
            count!(self.counters.icmp_of(info.source).rate_limited);
            return;
        }
        let sent = match info.source.family() {
            Family::V4 => self.complain_v4(info, packet, complaint.v4()),
            #[cfg(feature = "ipv6")]
            Family::V6 => self.complain_v6(info, packet, complaint.v6()),
        };
        match sent {
            Ok(()) => count!(self.counters.icmp_of(info.source).sent),
            Err(_) => count!(self.counters.icmp_of(info.source).send_failed),
        }
    }

    fn complain_v4(
        &mut self,
        info: &Received,
        packet: &Pbuf,
        (kind, code, rest): (u8, u8, [u8; 4]),
    ) -> Result<(), Error> {
        let quote = packet.len().min(MAX_QUOTE_V4);
        let mut message = small_pbuf(&self.memory, Layer::Ip, icmpv4::HEADER_LEN + quote)?;
        let bytes = message.payload_mut()?;
        icmpv4::write(bytes.first_chunk_mut().ok_or(Error::Buffer)?, kind, code, rest);
        packet.copy_to(0, &mut bytes[icmpv4::HEADER_LEN..]);
        let sum = checksum::checksum(bytes).to_be_bytes();
        bytes[icmpv4::CHECKSUM_OFFSET..icmpv4::CHECKSUM_OFFSET + 2].copy_from_slice(&sum);
        let hop = self.route_to(info.source, None)?;
        let way_out = hop.source;
        // From the address that the packet was sent to, if it is ours [RFC 1812 §4.3.2.4].
        let ours = self.owner_of(info.destination).is_some()
            || self.netifs.get(info.netif.0).is_some_and(|interface| interface.accept_any);
        let source = if ours { info.destination } else { way_out };
        // Errors are network control traffic [RFC 1812 §4.3.2.5].
        let (ttl, tos) = (self.config.default_ttl, 0xc0);
        let send = Send::new(source, info.source, protocol::ICMP, (ttl, tos));
        Ok(self.ip_send(Some(&send), message)?)
    }

    #[cfg(feature = "ipv6")]
    fn complain_v6(
        &mut self,
        info: &Received,
        packet: &Pbuf,
        (kind, code, rest): (u8, u8, [u8; 4]),
    ) -> Result<(), Error> {
        // [4443-3]
        let quote = packet.len().min(icmpv6::MAX_QUOTED);
        let mut message = small_pbuf(&self.memory, Layer::Ip, icmpv6::HEADER_LEN + quote)?;
        let bytes = message.payload_mut()?;
        icmpv6::write(bytes.first_chunk_mut().ok_or(Error::Buffer)?, kind, code, rest);
        packet.copy_to(0, &mut bytes[icmpv6::HEADER_LEN..]);
        let hop = self.route_to(info.source, Some(info.netif))?;
        // From the address that the packet was sent to, if it is ours [RFC 4443 §2.2].
        let way_out = hop.source;
        let ours = info.cast == Cast::Unicast && self.owner_of(info.destination).is_some();
        let source = if ours { info.destination } else { way_out };
        self.icmpv6_send(source, info.source, message, self.config.default_ttl)
    }

    /// Sends a message of ICMPv6 where the last call of [`route_to`](Self::route_to) found that it goes; its checksum is
    /// made here.
    #[cfg(feature = "ipv6")]
    pub(crate) fn icmpv6_send(
        &mut self,
        source: Address,
        destination: Address,
        mut message: Pbuf,
        hop_limit: u8,
    ) -> Result<(), Error> {
        message.take_at(icmpv6::CHECKSUM_OFFSET, &[0, 0])?;
        let sum = crate::ip::sum::pseudo(source, destination, next_header::ICMPV6, message.len());
        let sum = sum.add_chain(message.segments()).finish();
        message.take_at(icmpv6::CHECKSUM_OFFSET, &sum.to_be_bytes())?;
        let send = Send::new(source, destination, next_header::ICMPV6, (hop_limit, 0));
        Ok(self.ip_send(Some(&send), message)?)
    }
}

/// Whether a packet is a fragment other than the first.
fn is_later_fragment(packet: &Pbuf) -> bool {
    Ipv4Header::read(packet.payload()).is_ok_and(|header| header.fragment_offset() != 0)
}

/// Whether a packet is an ICMP error itself, or ICMP so short that it might be.
fn is_icmpv4_error(info: &Received, packet: &Pbuf) -> bool {
    info.protocol == protocol::ICMP && packet.get_at(info.header_len.into()).is_none_or(icmpv4::is_error)
}

/// The same for ICMPv6, behind whatever extension headers there are.
#[cfg(feature = "ipv6")]
fn is_icmpv6_error(info: &Received, packet: &Pbuf) -> bool {
    let Ok(quoted) = icmpv6::read_quoted(packet.payload(), ipv6::extension::Limits::default()) else {
        return true;
    };
    let icmp = info.protocol == next_header::ICMPV6 || quoted.protocol == next_header::ICMPV6;
    icmp && quoted.transport.first().is_none_or(|&kind| icmpv6::provokes_no_error(kind))
}
