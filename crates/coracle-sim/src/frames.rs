//! Frames made by hand, for tests that play the peer of a stack.
//!
//! ```
//! use coracle_sim::frames::{Ipv4, ethernet, udp};
//! use coracle::{MacAddr, wire::EtherType};
//! let packet = Ipv4::new([192, 0, 2, 2], [192, 0, 2, 1]).packet(17, &udp(40_000, 7, b"hello"));
//! let (to, from) = (MacAddr::new(2, 0, 0, 0, 0, 1), MacAddr::new(2, 0, 0, 0, 0, 2));
//! assert_eq!(ethernet(to, from, None, EtherType::IPV4, &packet).len(), 14 + 20 + 8 + 5);
//! ```

mod ipv6;

use std::net::Ipv4Addr;

use coracle::MacAddr;
use coracle::wire::EtherType;
use coracle::wire::arp::{self, ArpPacket};
use coracle::wire::ethernet::{EthernetHeader, HEADER_LEN, Tci, VLAN_TAG_LEN, VlanTag};
use coracle::wire::icmpv4;
use coracle::wire::ipv4::{Ipv4Fields, MAX_HEADER_LEN, write_header_with_options};
use coracle::wire::tcp::{self, TcpFields, TcpOptions};
use coracle::wire::udp::{HEADER_LEN as UDP_LEN, UdpHeader};

use crate::repair::repair_ipv4;

pub use ipv6::Ipv6;

/// An Ethernet frame, with an 802.1Q tag if there is one.
pub fn ethernet(
    destination: MacAddr,
    source: MacAddr,
    tag: Option<Tci>,
    ether_type: EtherType,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = [0; HEADER_LEN];
    let outer = if tag.is_some() { EtherType::VLAN } else { ether_type };
    EthernetHeader::write(&mut header, destination, source, outer);
    let mut frame = header.to_vec();
    if let Some(tci) = tag {
        let mut tag = [0; VLAN_TAG_LEN];
        VlanTag::write(&mut tag, tci, ether_type);
        frame.extend(tag);
    }
    frame.extend(payload);
    frame
}

/// An ARP packet.
pub fn arp(operation: u16, sender: (MacAddr, [u8; 4]), target: (MacAddr, [u8; 4])) -> Vec<u8> {
    let mut packet = [0; arp::LEN];
    ArpPacket::write(&mut packet, operation, (sender.0, sender.1.into()), (target.0, target.1.into()));
    packet.to_vec()
}

/// What goes into an IPv4 header.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Where the packet comes from.
    pub source: Ipv4Addr,
    /// Where it goes.
    pub destination: Ipv4Addr,
    /// Time-to-live.
    pub ttl: u8,
    /// Offset of the fragment in bytes, a multiple of 8.
    pub fragment_offset: u16,
    /// Whether more fragments follow.
    pub more_fragments: bool,
    /// Options, up to 40 bytes; padded with zeros.
    pub options: Vec<u8>,
}

impl Ipv4 {
    /// A header without options, of a whole packet, with a time-to-live of 64.
    pub fn new(source: impl Into<Ipv4Addr>, destination: impl Into<Ipv4Addr>) -> Self {
        Self {
            source: source.into(),
            destination: destination.into(),
            ttl: 64,
            fragment_offset: 0,
            more_fragments: false,
            options: Vec::new(),
        }
    }

    /// The packet with this payload; its checksum and the payload's are made right.
    ///
    /// # Panics
    ///
    /// More than 40 bytes of options.
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.options.len().next_multiple_of(4);
        let fields = Ipv4Fields {
            tos: 0,
            total_len: (header_len + payload.len()) as u16,
            identification: 0x1d0f,
            dont_fragment: false,
            more_fragments: self.more_fragments,
            fragment_offset: self.fragment_offset,
            ttl: self.ttl,
            protocol,
            source: self.source,
            destination: self.destination,
        };
        let mut header = [0; MAX_HEADER_LEN];
        let written = write_header_with_options(&mut header, &fields, &self.options);
        let mut packet = header[..written.expect("up to 40 bytes of options")].to_vec();
        packet.extend(payload);
        repair_ipv4(&mut packet);
        packet
    }
}

/// An ICMP message; its checksum is made right when it is put into a packet.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut header = [0; icmpv4::HEADER_LEN];
    icmpv4::write(&mut header, kind, code, rest);
    [&header[..], data].concat()
}

/// A TCP segment with these options, whose length need not be in `fields`; its checksum is made right when it is put into
/// a packet.
pub fn tcp(fields: &TcpFields, options: &TcpOptions, data: &[u8]) -> Vec<u8> {
    let options_len = tcp::options_len(options);
    let mut segment = vec![0; tcp::HEADER_LEN + options_len];
    let fields = TcpFields { header_len: segment.len(), ..*fields };
    if let Some((header, behind)) = segment.split_first_chunk_mut() {
        tcp::write_header(header, &fields);
        tcp::write_options(behind, options);
    }
    segment.extend(data);
    segment
}

/// A UDP datagram, with a checksum that is made right when it is put into a packet.
pub fn udp(source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
    udp_lite(source, destination, (UDP_LEN + data.len()) as u16, data)
}

/// A UDP-Lite datagram whose checksum covers so many bytes; as [`udp`] otherwise.
pub fn udp_lite(source: u16, destination: u16, coverage: u16, data: &[u8]) -> Vec<u8> {
    let mut header = [0; UDP_LEN];
    UdpHeader::write(&mut header, source, destination, coverage, 0xffff);
    [&header[..], data].concat()
}
