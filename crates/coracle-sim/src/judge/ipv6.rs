//! The rules for IPv6 packets.

use std::net::Ipv6Addr;

use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionsIterator};
use etherparse::{Icmpv6Slice, IpNumber, Ipv6ExtensionSlice, Ipv6HeaderSlice, Ipv6Slice, TransportSlice};

use super::{check_tcp, ensure, ones_sum};

pub(super) fn check(
    ipv6: &Ipv6Slice<'_>,
    frame: &[u8],
    transport: Option<&TransportSlice<'_>>,
) -> Result<(), String> {
    let header = ipv6.header();
    let start = header.slice().as_ptr() as usize - frame.as_ptr() as usize;
    ensure(usize::from(header.payload_length()) == frame.len() - start - 40, "bytes behind the packet")?;
    ensure(header.hop_limit() > 0, "a hop limit of zero")?;
    let (source, destination) = (header.source_addr(), header.destination_addr());
    ensure(!source.is_multicast(), "a source that is not one host")?;
    ensure(!destination.is_unspecified(), "a destination that is none")?;
    let mapped = |address: Ipv6Addr| address.to_ipv4_mapped().is_some();
    ensure(!mapped(source) && !mapped(destination), "an IPv4 address in an IPv6 header")?;
    if ipv6.is_payload_fragmented() {
        return check_fragment(ipv6);
    }
    let payload = ipv6.payload().payload;
    match transport {
        Some(TransportSlice::Icmpv6(icmp)) => check_icmp(icmp, &header, ipv6),
        Some(TransportSlice::Tcp(tcp)) => {
            let right = tcp.calc_checksum_ipv6(source.octets(), destination.octets());
            check_tcp(tcp, right.map_err(|error| error.to_string())?)
        }
        Some(TransportSlice::Udp(udp)) => {
            ensure(usize::from(udp.length()) == payload.len(), "a UDP length that is not the packet's")?;
            ensure(udp.checksum() != 0, "UDP without a checksum")?;
            ensure(pseudo_sum(&header, 17, payload.len(), payload) == 0xffff, "a wrong UDP checksum")
        }
        None if ipv6.payload().ip_number == IpNumber(136) => check_udp_lite(payload, &header),
        _ => Ok(()),
    }
}

fn check_fragment(ipv6: &Ipv6Slice<'_>) -> Result<(), String> {
    for extension in ipv6.extensions().clone() {
        if let Ipv6ExtensionSlice::Fragment(fragment) = extension {
            let whole = ipv6.payload().payload.len().is_multiple_of(8);
            ensure(!fragment.more_fragments() || whole, "a fragment that does not end at eights")?;
        }
    }
    Ok(())
}

fn check_udp_lite(datagram: &[u8], header: &Ipv6HeaderSlice<'_>) -> Result<(), String> {
    ensure(datagram.len() >= 8, "a UDP-Lite datagram without a header")?;
    let coverage = match usize::from(u16::from_be_bytes([datagram[4], datagram[5]])) {
        0 => datagram.len(),
        coverage => coverage,
    };
    ensure((8..=datagram.len()).contains(&coverage), "a UDP-Lite coverage of less or more than there is")?;
    ensure(datagram[6..8] != [0, 0], "UDP-Lite without a checksum")?;
    let sum = pseudo_sum(header, 136, datagram.len(), &datagram[..coverage]);
    ensure(sum == 0xffff, "a wrong UDP-Lite checksum")
}

/// The sum of the pseudo-header for so many bytes of this protocol, and of `covered`.
fn pseudo_sum(header: &Ipv6HeaderSlice<'_>, protocol: u8, len: usize, covered: &[u8]) -> u16 {
    let len = (len as u32).to_be_bytes();
    let pseudo = [&header.source()[..], &header.destination(), &len, &[0, 0, 0, protocol]].concat();
    ones_sum(&[&pseudo, covered])
}

fn check_icmp(
    icmp: &Icmpv6Slice<'_>,
    header: &Ipv6HeaderSlice<'_>,
    ipv6: &Ipv6Slice<'_>,
) -> Result<(), String> {
    ensure(icmp.is_checksum_valid(header.source(), header.destination()), "a wrong ICMPv6 checksum")?;
    match icmp.type_u8() {
        0..=127 => check_error(icmp, ipv6),
        130..=132 | 143 => check_listener(icmp, header, ipv6),
        133..=137 => check_discovery(icmp, header),
        _ => Ok(()),
    }
}

fn check_error(icmp: &Icmpv6Slice<'_>, ipv6: &Ipv6Slice<'_>) -> Result<(), String> {
    let whole = 40 + usize::from(ipv6.header().payload_length());
    ensure(whole <= 1280, "an ICMPv6 error that makes a packet of more than 1280 bytes")?;
    ensure(icmp.payload().len() >= 40, "an ICMPv6 error that quotes less than a header")?;
    ensure(!ipv6.header().source_addr().is_unspecified(), "an ICMPv6 error from nobody")?;
    let (number, kind) = (icmp.payload()[6], icmp.payload().get(40));
    let about_error = number == 58 && kind.is_none_or(|&kind| kind < 128 || kind == 137);
    ensure(!about_error, "an ICMPv6 error about an ICMPv6 error")
}

/// [RFC 3810 §5.1.14] [RFC 3810 §5.2.13]
fn check_listener(
    icmp: &Icmpv6Slice<'_>,
    header: &Ipv6HeaderSlice<'_>,
    ipv6: &Ipv6Slice<'_>,
) -> Result<(), String> {
    ensure(header.hop_limit() == 1, "MLD with another hop limit than 1")?;
    let source = header.source_addr();
    ensure(source.is_unicast_link_local() || source.is_unspecified(), "MLD from another scope")?;
    ensure(header.next_header() == IpNumber(0), "MLD without hop-by-hop options")?;
    ensure(ipv6.extensions().slice()[2..6] == [5, 2, 0, 0], "MLD without a router alert")?;
    ensure(icmp.code_u8() == 0, "MLD with a code")?;
    if icmp.type_u8() == 143 {
        let routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
        ensure(header.destination_addr() == routers, "a report that does not go to its routers")?;
        return check_records(icmp.slice());
    }
    ensure(icmp.slice().len() >= 24, "MLD that is cut")
}

fn check_records(message: &[u8]) -> Result<(), String> {
    let count = u16::from_be_bytes([message[6], message[7]]);
    ensure(count > 0, "a report of nothing")?;
    let mut rest = &message[8..];
    for _ in 0..count {
        ensure(rest.len() >= 20 && (1..=6).contains(&rest[0]), "a record that is cut or unknown")?;
        let scope = rest[5] & 0x0f;
        ensure(rest[4] == 0xff && scope > 1, "a record of no group that is to be reported")?;
        ensure(rest[5..20] != [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "a record of all nodes")?;
        let len = 20 + usize::from(rest[1]) * 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]])) * 16;
        rest = rest.get(len..).ok_or("a record that is cut")?;
    }
    ensure(rest.is_empty(), "bytes behind the records")
}

/// [RFC 4861 §4]
fn check_discovery(icmp: &Icmpv6Slice<'_>, header: &Ipv6HeaderSlice<'_>) -> Result<(), String> {
    ensure(header.hop_limit() == 255, "neighbour discovery with another hop limit than 255")?;
    ensure(icmp.code_u8() == 0, "neighbour discovery with a code")?;
    let (source, destination) = (header.source_addr(), header.destination_addr());
    let payload = icmp.payload_slice().map_err(|error| format!("malformed: {error}"))?;
    let (options, addresses_right) = match &payload {
        Icmpv6PayloadSlice::RouterSolicitation(message) => (message.options(), true),
        Icmpv6PayloadSlice::RouterAdvertisement(message) => {
            (message.options(), source.is_unicast_link_local())
        }
        Icmpv6PayloadSlice::NeighborSolicitation(message) => {
            let target = message.target_address();
            let group = is_solicited_node(destination, target);
            let to_whom = if source.is_unspecified() { group } else { group || destination == target };
            (message.options(), to_whom && !target.is_multicast())
        }
        Icmpv6PayloadSlice::NeighborAdvertisement(message) => {
            let solicited = icmp.slice()[4] & 0x40 != 0;
            let wrong = source.is_unspecified() || destination.is_multicast() && solicited;
            (message.options(), !wrong && !message.target_address().is_multicast())
        }
        Icmpv6PayloadSlice::Redirect(message) => {
            let right = source.is_unicast_link_local() && !message.destination_address().is_multicast();
            (message.options(), right)
        }
        _ => return Err("another message than its type says".to_owned()),
    };
    ensure(addresses_right, "neighbour discovery with addresses that are wrong")?;
    ensure(
        icmp.slice()[4..8] == reserved_cleared(icmp),
        "reserved bits of neighbour discovery that are set",
    )?;
    for option in NdpOptionsIterator::from_slice(options) {
        let option = option.map_err(|error| format!("malformed: {error:?}"))?;
        let of_source = option.option_type().0 == 1;
        ensure(!(of_source && source.is_unspecified()), "the link-layer address of no source")?;
    }
    Ok(())
}

/// Bytes 4 to 7 with those bits cleared that are reserved.
fn reserved_cleared(icmp: &Icmpv6Slice<'_>) -> [u8; 4] {
    let [a, b, c, d] = [4, 5, 6, 7].map(|at: usize| icmp.slice()[at]);
    match icmp.type_u8() {
        134 => [a, b & 0xf8, c, d],
        136 => [a & 0xe0, 0, 0, 0],
        _ => [0; 4],
    }
}

fn is_solicited_node(group: Ipv6Addr, target: Ipv6Addr) -> bool {
    let low = &target.octets()[13..];
    let prefix = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];
    group.octets()[..13] == prefix && &group.octets()[13..] == low
}

#[cfg(test)]
#[path = "ipv6_tests.rs"]
mod tests;
