//! The field tables and the seeds of the protocols that the stack speaks, addressed to a [`Rig`](crate::rig::Rig).

use std::ops::Range;

use coracle::MacAddr;
use coracle::wire::EtherType;
use coracle::wire::ipv4::protocol;

use super::engine::{Layer, Seed};
use super::field::{Field, OptionRules, Table};
use super::ipv6;
use crate::frames::{Ipv4, arp, ethernet, icmp, udp, udp_lite};
use crate::rig::{
    ADDRESS, CONNECTED_PORT, ECHO_PORT, GROUP, PEER, PEER_STATION, Port, STATION, TAG, TUNNEL_ADDRESS,
    TUNNEL_PEER, VLAN_ADDRESS, VLAN_PEER, VLAN_STATION,
};

/// Addresses that a packet from the wire must not have, or that mean more than one host.
const ADDRESSES: &[u32] = &[
    u32::from_be_bytes(ADDRESS),
    u32::from_be_bytes(VLAN_ADDRESS),
    u32::from_be_bytes(GROUP),
    0x7f00_0001,
    0xe000_0001,
    0xf000_0001,
    0xc000_02ff,
    0xc000_0200,
    0xa9fe_0101,
    0x0a00_0001,
];

/// The header of an Ethernet frame; addresses in two parts.
pub static ETHERNET: Table = Table {
    name: "Ethernet",
    fields: &[
        Field::word("destination, first 16 bits", 0),
        Field::long("destination, last 32 bits", 2),
        Field::word("source, first 16 bits", 6),
        Field::long("source, last 32 bits", 8),
        Field::word("type", 12)
            .also(&[45, 46, 1_500, 1_535, 1_536, 0x0800, 0x0806, 0x8035, 0x8100, 0x88a8, 0x86dd]),
    ],
    options: None,
};

/// An 802.1Q tag.
pub static VLAN: Table = Table {
    name: "VLAN",
    fields: &[
        Field::bits("priority", 0, 2, 0xe000),
        Field::bits("drop eligible", 0, 2, 0x1000),
        Field::bits("identifier", 0, 2, 0x0fff),
        Field::word("type", 2).also(&[0x0800, 0x0806, 0x8100, 0x88a8]),
    ],
    options: None,
};

/// An ARP packet.
pub static ARP: Table = Table {
    name: "ARP",
    fields: &[
        Field::word("hardware type", 0).also(&[6]),
        Field::word("protocol type", 2).also(&[0x86dd]),
        Field::byte("hardware length", 4).length(),
        Field::byte("protocol length", 5).length(),
        Field::word("operation", 6).also(&[1, 2, 3, 4, 8, 9]),
        Field::word("sender station, first 16 bits", 8).also(&[0x0100]),
        Field::long("sender station, last 32 bits", 10),
        Field::long("sender address", 14).also(ADDRESSES),
        Field::word("target station, first 16 bits", 18),
        Field::long("target station, last 32 bits", 20),
        Field::long("target address", 24).also(ADDRESSES),
    ],
    options: None,
};

/// An IPv4 header.
pub static IPV4: Table = Table {
    name: "IPv4",
    fields: &[
        Field::bits("version", 0, 1, 0xf0).also(&[6]),
        Field::bits("header length", 0, 1, 0x0f).length(),
        Field::byte("type of service", 1),
        Field::word("total length", 2).total().also(&[19, 20, 21, 28, 60]),
        Field::word("identification", 4),
        Field::bits("flags", 6, 2, 0xe000).also(&[1, 2, 3, 4, 5]),
        Field::bits("fragment offset", 6, 2, 0x1fff).also(&[0x1fff, 0x1ffe, 2, 100]),
        Field::byte("time to live", 8),
        Field::byte("protocol", 9).also(&[1, 2, 4, 6, 17, 41, 58, 136, 253]),
        Field::word("checksum", 10).checksum(),
        Field::long("source", 12).also(ADDRESSES),
        Field::long("destination", 16).also(ADDRESSES),
    ],
    options: Some(OptionRules {
        samples: &[
            &[0],
            &[1, 1, 1, 1],
            &[0x94, 4, 0, 0],
            &[0x94, 3, 0],
            &[7, 7, 4, 0, 0, 0, 0, 1],
            &[7, 3, 4, 1],
            &[7, 7, 0, 0, 0, 0, 0, 1],
            &[7, 40, 4, 1],
            &[7, 39, 255, 1],
            &[0x83, 7, 4, 192, 0, 2, 9, 1],
            &[0x83, 3, 4, 1],
            &[0x89, 7, 8, 192, 0, 2, 9, 1],
            &[0x89, 0, 4, 1],
            &[0x83, 7, 4, 192, 0, 2, 9, 1, 0x89, 7, 4, 192, 0, 2, 9, 1],
            &[0x44, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x44, 4, 5, 0xf3],
            &[0x44, 3, 5, 1],
            &[0x9e, 0, 1, 1],
            &[0x9e, 1, 1, 1],
            &[0x9e, 255, 1, 1],
            &[0x9e, 4, 1, 1],
            &[1, 1, 1, 0x9e],
        ],
        area: ipv4_option_area,
        split: split_options,
        replace: ipv4_replace_options,
    }),
};

fn ipv4_option_area(header: &[u8]) -> Range<usize> {
    let end = header.first().map_or(0, |&first| usize::from(first & 15) * 4);
    20..end.clamp(20, header.len().max(20))
}

/// The options of an IPv4 or TCP header, which are built alike.
pub(super) fn split_options(mut options: &[u8]) -> Vec<&[u8]> {
    let mut each = Vec::new();
    while let Some(&kind) = options.first() {
        let said = options.get(1).map_or(1, |&len| usize::from(len));
        let len = if kind < 2 { 1 } else { said.max(2).min(options.len()) };
        let (one, rest) = options.split_at(len);
        each.push(one);
        options = rest;
    }
    each
}

fn ipv4_replace_options(frame: &mut Vec<u8>, at: usize, options: &[u8]) -> bool {
    let area = ipv4_option_area(&frame[at..]);
    let padded = options.len().next_multiple_of(4);
    if padded > 40 {
        return false;
    }
    let mut new = options.to_vec();
    new.resize(padded, 0);
    frame.splice(at + area.start..at + area.end, new);
    frame[at] = frame[at] & 0xf0 | (5 + padded / 4) as u8;
    true
}

/// An option of an IPv4 header that has a pointer, such as record route.
pub static IPV4_ROUTE: Table = Table {
    name: "IPv4 route option",
    fields: &[
        Field::byte("kind", 0).also(&[7, 0x44, 0x83, 0x89, 0x94]),
        Field::byte("length", 1).length().also(&[2, 3, 4, 7, 39, 40, 41]),
        Field::byte("pointer", 2).length().also(&[3, 4, 5, 8]),
    ],
    options: None,
};

/// An ICMP header.
pub static ICMP: Table = Table {
    name: "ICMP",
    fields: &[
        Field::byte("type", 0)
            .also(&[3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 30, 40, 128, 129, 135, 136]),
        Field::byte("code", 1).also(&[2, 3, 4, 5, 13, 15]),
        Field::word("checksum", 2).checksum(),
        Field::word("rest, first half", 4),
        Field::word("rest, second half", 6).also(&[68, 67, 576, 1_500]),
    ],
    options: None,
};

/// The three times of an ICMP timestamp message.
pub static ICMP_TIMES: Table = Table {
    name: "ICMP timestamp",
    fields: &[Field::long("originate", 0), Field::long("receive", 4), Field::long("transmit", 8)],
    options: None,
};

/// A packet quoted in an ICMP error, whose checksum nobody looks at.
pub static QUOTED: Table = Table {
    name: "quoted IPv4",
    fields: &[
        Field::bits("version", 0, 1, 0xf0),
        Field::bits("header length", 0, 1, 0x0f).length(),
        Field::word("total length", 2).length(),
        Field::word("flags and fragment offset", 6),
        Field::byte("protocol", 9).also(&[1, 6, 17, 136, 253]),
        Field::long("source", 12).also(ADDRESSES),
        Field::long("destination", 16).also(ADDRESSES),
    ],
    options: None,
};

/// The ports of a quoted datagram.
pub static QUOTED_PORTS: Table = Table {
    name: "quoted UDP",
    fields: &[
        Field::word("source port", 0),
        Field::word("destination port", 2),
        Field::word("length", 4).length(),
    ],
    options: None,
};

/// A UDP header.
pub static UDP: Table = Table {
    name: "UDP",
    fields: &[
        Field::word("source port", 0),
        Field::word("destination port", 2).also(&[7, 9]),
        Field::word("length", 4).length().also(&[7, 8, 9]),
        Field::word("checksum", 6).checksum(),
    ],
    options: None,
};

/// A UDP-Lite header.
pub static UDP_LITE: Table = Table {
    name: "UDP-Lite",
    fields: &[
        Field::word("source port", 0),
        Field::word("destination port", 2).also(&[7, 9]),
        Field::word("coverage", 4).length().also(&[7, 8, 9]),
        Field::word("checksum", 6).checksum(),
    ],
    options: None,
};

/// A query or report of IGMP; what lies behind eight bytes is that of a query of version 3.
pub static IGMP: Table = Table {
    name: "IGMP",
    fields: &[
        Field::byte("type", 0).also(&[0x11, 0x12, 0x16, 0x17, 0x22]),
        Field::byte("maximum response code", 1),
        Field::word("checksum", 2).checksum(),
        Field::long("group", 4).also(ADDRESSES),
        Field::byte("flags and robustness", 8),
        Field::byte("interval code", 9),
        Field::word("sources", 10).length(),
    ],
    options: None,
};

/// A valid frame for each kind of message.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = arp_seeds();
    seeds.extend(ipv4_seeds());
    seeds.extend(icmp_seeds());
    seeds.extend(icmp_error_seeds());
    seeds.extend(udp_seeds());
    seeds.extend(tagged_seeds());
    seeds.extend(igmp_seeds());
    seeds.extend(ipv6::seeds());
    seeds
}

fn arp_seeds() -> Vec<Seed> {
    let seed = |name, destination, packet: Vec<u8>| Seed {
        name,
        port: Port::Ethernet,
        frame: ethernet(destination, PEER_STATION, None, EtherType::ARP, &packet),
        layers: layers(&[(0, &ETHERNET), (14, &ARP)]),
    };
    let peer = (PEER_STATION, PEER);
    vec![
        seed("ARP request", MacAddr::BROADCAST, arp(1, peer, (MacAddr::ZERO, ADDRESS))),
        seed("ARP reply", STATION, arp(2, peer, (STATION, ADDRESS))),
        seed("gratuitous ARP", MacAddr::BROADCAST, arp(1, peer, (MacAddr::ZERO, PEER))),
        seed("ARP probe", MacAddr::BROADCAST, arp(1, (PEER_STATION, [0; 4]), (MacAddr::ZERO, ADDRESS))),
    ]
}

/// A packet of the peer on Ethernet; inner layers are placed behind a header of 20 bytes.
fn seed(name: &'static str, number: u8, payload: &[u8], inner: &[(usize, &'static Table)]) -> Seed {
    seed_of(name, &Ipv4::new(PEER, ADDRESS), number, payload, inner)
}

pub(super) fn seed_of(
    name: &'static str,
    header: &Ipv4,
    number: u8,
    payload: &[u8],
    inner: &[(usize, &'static Table)],
) -> Seed {
    let start = 34 + header.options.len().next_multiple_of(4);
    let mut all = layers(&[(0, &ETHERNET), (14, &IPV4)]);
    if !header.options.is_empty() {
        all.push(Layer { at: 34, table: &IPV4_ROUTE });
    }
    all.extend(inner.iter().map(|&(at, table)| Layer { at: start + at, table }));
    let destination = if header.destination.is_multicast() {
        MacAddr::multicast_v4(header.destination)
    } else if header.destination.octets()[3] == 255 {
        MacAddr::BROADCAST
    } else {
        STATION
    };
    let packet = header.packet(number, payload);
    Seed {
        name,
        port: Port::Ethernet,
        frame: ethernet(destination, PEER_STATION, None, EtherType::IPV4, &packet),
        layers: all,
    }
}

fn layers(list: &[(usize, &'static Table)]) -> Vec<Layer> {
    list.iter().map(|&(at, table)| Layer { at, table }).collect()
}

fn ipv4_seeds() -> Vec<Seed> {
    let whole = Ipv4::new(PEER, ADDRESS);
    let echo = icmp(8, 0, [1, 2, 0, 1], b"sixteen bytes of");
    let recorded = Ipv4 { options: vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..whole.clone() };
    let stamped = Ipv4 { options: vec![0x44, 8, 5, 0, 0, 0, 0, 0], ..whole.clone() };
    let first = Ipv4 { more_fragments: true, ..whole.clone() };
    let middle = Ipv4 { fragment_offset: 24, ..first.clone() };
    let last = Ipv4 { fragment_offset: 48, ..whole.clone() };
    vec![
        seed_of("echo with a recorded route", &recorded, protocol::ICMP, &echo, &[(0, &ICMP)]),
        seed_of("UDP with timestamps", &stamped, protocol::UDP, &udp(40_000, 7, b"data"), &[(0, &UDP)]),
        seed_of("first fragment", &first, protocol::ICMP, &echo, &[(0, &ICMP)]),
        seed_of("middle fragment", &middle, protocol::ICMP, &[0x11; 24], &[]),
        seed_of("last fragment", &last, protocol::ICMP, &[0x22; 5], &[]),
        seed("an unknown protocol", 200, b"payload of it", &[]),
        seed("a raw protocol", 253, b"payload of it", &[]),
    ]
}

fn icmp_seeds() -> Vec<Seed> {
    let one = |name, kind, data: &[u8]| {
        seed(name, protocol::ICMP, &icmp(kind, 0, [0x12, 0x34, 0, 1], data), &[(0, &ICMP)])
    };
    let timed = |name, kind| {
        seed(name, protocol::ICMP, &icmp(kind, 0, [1, 2, 0, 1], &[0; 12]), &[(0, &ICMP), (8, &ICMP_TIMES)])
    };
    vec![
        one("echo request", 8, b"data of an echo"),
        one("echo request without data", 8, b""),
        one("echo reply", 0, b"data of an echo"),
        one("router advertisement", 9, &[1, 2, 7, 8, 192, 0, 2, 254, 0, 0, 0, 0]),
        one("router solicitation", 10, b""),
        timed("timestamp request", 13),
        timed("timestamp reply", 14),
        one("information request", 15, b""),
        one("address mask request", 17, &[0; 4]),
        one("address mask reply", 18, &[255, 255, 0, 0]),
    ]
}

fn icmp_error_seeds() -> Vec<Seed> {
    // A datagram that the rig's connected socket might have sent.
    let quoted = Ipv4::new(ADDRESS, PEER).packet(protocol::UDP, &udp(CONNECTED_PORT, 4_000, b"data"));
    let one = |name, kind, code, rest| {
        let message = icmp(kind, code, rest, &quoted);
        seed(name, protocol::ICMP, &message, &[(0, &ICMP), (8, &QUOTED), (28, &QUOTED_PORTS)])
    };
    vec![
        one("port unreachable", 3, 3, [0; 4]),
        one("fragmentation needed", 3, 4, [0, 0, 5, 0]),
        one("source quench", 4, 0, [0; 4]),
        one("redirect", 5, 1, [192, 0, 2, 3]),
        one("time exceeded", 11, 0, [0; 4]),
        one("parameter problem", 12, 0, [20, 0, 0, 0]),
    ]
}

fn udp_seeds() -> Vec<Seed> {
    let to = |name, destination, data: &[u8]| {
        seed_of(name, &Ipv4::new(PEER, destination), protocol::UDP, data, &[(0, &UDP)])
    };
    let mut unsummed = udp(40_000, ECHO_PORT, b"no checksum");
    unsummed[6..8].fill(0);
    let lite = udp_lite(40_000, ECHO_PORT, 12, b"covered in part");
    vec![
        to("UDP to the echo server", ADDRESS, &udp(40_000, ECHO_PORT, b"data of a datagram")),
        to("UDP without data", ADDRESS, &udp(40_000, ECHO_PORT, b"")),
        to("UDP without a checksum", ADDRESS, &unsummed),
        to("UDP to a closed port", ADDRESS, &udp(40_000, 1_234, b"data")),
        to("UDP to a connected socket", ADDRESS, &udp(4_000, CONNECTED_PORT, b"data")),
        to("UDP broadcast", [192, 0, 2, 255], &udp(40_000, 9, b"data")),
        to("UDP to a group", GROUP, &udp(40_000, 9, b"data")),
        seed("UDP-Lite, part of it covered", protocol::UDP_LITE, &lite, &[(0, &UDP_LITE)]),
        seed(
            "UDP-Lite, all covered",
            protocol::UDP_LITE,
            &udp_lite(40_000, ECHO_PORT, 0, b"all"),
            &[(0, &UDP_LITE)],
        ),
    ]
}

fn igmp_seeds() -> Vec<Seed> {
    let [a, b, c, d] = GROUP;
    let one = |name, destination: [u8; 4], message: &[u8]| {
        let header = Ipv4 { ttl: 1, options: vec![0x94, 4, 0, 0], ..Ipv4::new(PEER, destination) };
        seed_of(name, &header, protocol::IGMP, message, &[(0, &IGMP)])
    };
    let all = [224, 0, 0, 1];
    vec![
        one("IGMPv1 query", all, &[0x11, 0, 0, 0, 0, 0, 0, 0]),
        one("IGMPv2 query", all, &[0x11, 100, 0, 0, 0, 0, 0, 0]),
        one("IGMPv2 query for a group", GROUP, &[0x11, 10, 0, 0, a, b, c, d]),
        one("IGMPv3 query", all, &[0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]),
        one("IGMPv3 query for a source", GROUP, &[0x11, 10, 0, 0, a, b, c, d, 2, 125, 0, 1, 192, 0, 2, 2]),
        one("IGMPv2 report", GROUP, &[0x16, 0, 0, 0, a, b, c, d]),
        one("IGMPv3 report", [224, 0, 0, 22], &[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, a, b, c, d]),
    ]
}

fn tagged_seeds() -> Vec<Seed> {
    let header = Ipv4::new(VLAN_PEER, VLAN_ADDRESS);
    let tagged = |name, ether_type, payload: &[u8], list: &[(usize, &'static Table)]| Seed {
        name,
        port: Port::Vlan,
        frame: ethernet(VLAN_STATION, PEER_STATION, Some(TAG), ether_type, payload),
        layers: layers(list),
    };
    let question = arp(1, (PEER_STATION, VLAN_PEER), (MacAddr::ZERO, VLAN_ADDRESS));
    let echo = header.packet(protocol::ICMP, &icmp(8, 0, [1, 2, 0, 1], b"data"));
    let datagram = header.packet(protocol::UDP, &udp(40_000, ECHO_PORT, b"data"));
    let over_tunnel =
        Ipv4::new(TUNNEL_PEER, TUNNEL_ADDRESS).packet(protocol::UDP, &udp(40_000, ECHO_PORT, b"data"));
    vec![
        tagged("tagged ARP request", EtherType::ARP, &question, &[(0, &ETHERNET), (14, &VLAN), (18, &ARP)]),
        tagged(
            "tagged echo",
            EtherType::IPV4,
            &echo,
            &[(0, &ETHERNET), (14, &VLAN), (18, &IPV4), (38, &ICMP)],
        ),
        tagged(
            "tagged UDP",
            EtherType::IPV4,
            &datagram,
            &[(0, &ETHERNET), (14, &VLAN), (18, &IPV4), (38, &UDP)],
        ),
        Seed {
            name: "UDP without a link header",
            port: Port::Tunnel,
            frame: over_tunnel,
            layers: layers(&[(0, &IPV4), (20, &UDP)]),
        },
    ]
}
