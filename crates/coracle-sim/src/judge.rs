//! A strict judge of frames that a stack sends, built on decoders that are not ours.
//!
//! What a stack receives may be anything; what it sends has to be right in every length, every checksum and every
//! address. [`etherparse`] takes the frame apart; the sums it does not know are added up here, one word after the
//! other.

mod igmp;
mod ipv6;

use std::net::Ipv4Addr;

use etherparse::{
    ArpPacketSlice, Icmpv4Slice, IpNumber, Ipv4Slice, LinkSlice, NetSlice, SlicedPacket, TcpOptionElement,
    TcpOptionReadError, TcpSlice, TransportSlice, UdpSlice,
};

use crate::pcap::LinkType;

/// Looks at a frame that a stack sent.
///
/// # Errors
///
/// What is wrong with it, in words.
///
/// ```
/// use coracle_sim::judge;
/// use coracle_sim::pcap::LinkType;
/// assert!(judge::check(&[0x45, 0, 0, 20], LinkType::Ip).is_err());
/// ```
pub fn check(frame: &[u8], link: LinkType) -> Result<(), String> {
    let sliced = match link {
        LinkType::Ethernet => SlicedPacket::from_ethernet(frame),
        LinkType::Ip => SlicedPacket::from_ip(frame),
    };
    let packet = sliced.map_err(|error| format!("malformed: {error}"))?;
    if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
        let source = ethernet.source();
        ensure(source[0] & 1 == 0 && source != [0; 6], "the source station is not one station")?;
    }
    match &packet.net {
        Some(NetSlice::Arp(arp)) => check_arp(arp, packet.link.as_ref()),
        Some(NetSlice::Ipv4(ipv4)) => check_ipv4(ipv4, frame, packet.transport.as_ref()),
        Some(NetSlice::Ipv6(ipv6)) => ipv6::check(ipv6, frame, packet.transport.as_ref()),
        _ => Err("neither ARP nor IP".to_owned()),
    }
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn check_arp(arp: &ArpPacketSlice<'_>, link: Option<&LinkSlice<'_>>) -> Result<(), String> {
    ensure(arp.slice().len() == 28, "an ARP packet of another length than 28")?;
    ensure(arp.slice()[..6] == [0, 1, 8, 0, 6, 4], "ARP for something else than IPv4 over Ethernet")?;
    ensure(matches!(arp.operation().0, 1 | 2), "an ARP operation that is neither request nor reply")?;
    if let Some(LinkSlice::Ethernet2(ethernet)) = link {
        ensure(arp.sender_hw_addr() == ethernet.source(), "the ARP sender is not the frame's source")?;
    }
    Ok(())
}

fn check_ipv4(
    ipv4: &Ipv4Slice<'_>,
    frame: &[u8],
    transport: Option<&TransportSlice<'_>>,
) -> Result<(), String> {
    let header = ipv4.header();
    let start = header.slice().as_ptr() as usize - frame.as_ptr() as usize;
    let len = frame.len() - start;
    ensure(usize::from(header.total_len()) == len, "bytes behind the packet")?;
    let sum = header.to_header().calc_header_checksum();
    ensure(header.header_checksum() == sum, "a wrong IPv4 header checksum")?;
    ensure(header.ttl() > 0, "a time-to-live of zero")?;
    let source = header.source_addr();
    ensure(!source.is_multicast() && !source.is_broadcast(), "a source that is not one host")?;
    if ipv4.is_payload_fragmented() {
        return Ok(());
    }
    let payload = ipv4.payload().payload;
    let (source, destination) = (source, header.destination_addr());
    match transport {
        Some(TransportSlice::Icmpv4(icmp)) => check_icmp(icmp),
        Some(TransportSlice::Igmp(igmp)) => igmp::check(igmp, &header),
        Some(TransportSlice::Tcp(tcp)) => {
            let right = tcp.calc_checksum_ipv4(source.octets(), destination.octets());
            check_tcp(tcp, right.map_err(|error| error.to_string())?)
        }
        Some(TransportSlice::Udp(udp)) => check_udp(udp, payload, source, destination),
        None if header.protocol() == IpNumber(136) => check_udp_lite(payload, source, destination),
        _ => Ok(()),
    }
}

fn check_icmp(icmp: &Icmpv4Slice<'_>) -> Result<(), String> {
    ensure(ones_sum(&[icmp.slice()]) == 0xffff, "a wrong ICMP checksum")?;
    let kind = icmp.type_u8();
    if matches!(kind, 3 | 4 | 5 | 11 | 12) {
        ensure(icmp.slice().len() <= 556, "an ICMP error that makes a packet of more than 576 bytes")?;
        ensure(icmp.payload().len() >= 20, "an ICMP error that quotes less than a header")?;
        let quoted = &icmp.payload()[usize::from(icmp.payload()[0] & 15) * 4..];
        let about_icmp = icmp.payload()[9] == 1;
        let about_error =
            about_icmp && quoted.first().is_none_or(|&kind| matches!(kind, 3 | 4 | 5 | 11 | 12));
        ensure(!about_error, "an ICMP error about an ICMP error")?;
    }
    Ok(())
}

fn check_tcp(tcp: &TcpSlice<'_>, right: u16) -> Result<(), String> {
    ensure(tcp.checksum() == right, "a wrong TCP checksum")?;
    ensure(tcp.header_slice()[12] & 0x0e == 0, "reserved bits of TCP that are set")?;
    let (syn, rst, ack) = (tcp.syn(), tcp.rst(), tcp.ack());
    ensure(!(syn && (tcp.fin() || rst)), "a SYN that ends the connection too")?;
    ensure(syn || rst || ack, "a segment of a connection without ACK")?;
    ensure(ack || tcp.acknowledgment_number() == 0, "an acknowledgment number without ACK")?;
    ensure(tcp.urg() || tcp.urgent_pointer() == 0, "an urgent pointer without URG")?;
    for option in tcp.options_iterator() {
        use TcpOptionElement::{
            MaximumSegmentSize, SelectiveAcknowledgement, SelectiveAcknowledgementPermitted, WindowScale,
        };
        let option = match option {
            // The user timeout, which this decoder does not know; it is the last but for blocks.
            Err(TcpOptionReadError::UnknownId(28)) => break,
            option => option.map_err(|error| error.to_string())?,
        };
        match option {
            MaximumSegmentSize(_) => ensure(syn, "an MSS option without SYN")?,
            WindowScale(shift) => ensure(syn && shift <= 14, "a window scale without SYN, or above 14")?,
            SelectiveAcknowledgementPermitted => ensure(syn, "SACK permitted without SYN")?,
            SelectiveAcknowledgement(..) => ensure(ack && !syn, "SACK where nothing is acknowledged")?,
            _ => {}
        }
    }
    Ok(())
}

fn check_udp(
    udp: &UdpSlice<'_>,
    payload: &[u8],
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> Result<(), String> {
    ensure(usize::from(udp.length()) == payload.len(), "a UDP length that is not the packet's")?;
    let right = udp.to_header().calc_checksum_ipv4_raw(source.octets(), destination.octets(), udp.payload());
    let right = right.map_err(|error| error.to_string())?;
    ensure(udp.checksum() == 0 || udp.checksum() == right, "a wrong UDP checksum")
}

fn check_udp_lite(datagram: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Result<(), String> {
    ensure(datagram.len() >= 8, "a UDP-Lite datagram without a header")?;
    let coverage = match usize::from(u16::from_be_bytes([datagram[4], datagram[5]])) {
        0 => datagram.len(),
        coverage => coverage,
    };
    ensure((8..=datagram.len()).contains(&coverage), "a UDP-Lite coverage of less or more than there is")?;
    ensure(datagram[6..8] != [0, 0], "UDP-Lite without a checksum")?;
    let len = (datagram.len() as u16).to_be_bytes();
    let pseudo = [&source.octets()[..], &destination.octets()[..], &[0, 136], &len].concat();
    ensure(ones_sum(&[&pseudo, &datagram[..coverage]]) == 0xffff, "a wrong UDP-Lite checksum")
}

/// The ones' complement sum of 16-bit words, as RFC 1071 describes it; every part but the last has an even length.
fn ones_sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests;
