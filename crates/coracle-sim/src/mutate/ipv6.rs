//! The field tables and the seeds of IPv6, its ICMP, neighbour discovery and MLD.

use std::net::Ipv6Addr;
use std::ops::Range;

use coracle::MacAddr;
use coracle::wire::EtherType;
use coracle::wire::icmpv6;
use coracle::wire::ipv4::protocol;
use coracle::wire::ipv6::group::{ALL_MLDV2_ROUTERS, ALL_NODES, solicited_node};
use coracle::wire::ipv6::next_header::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};

use super::engine::{Layer, Seed};
use super::field::{Field, OptionRules, Table};
use super::protocols::{ETHERNET, UDP};
use crate::frames::{Ipv6, ethernet, icmp, udp};
use crate::rig::{ECHO_PORT, PEER_STATION, Port, STATION};

/// The link-local address of the stack that seeds are meant for.
pub const ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The link-local address of its peer, which is a router too.
pub const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// A prefix that the peer advertises.
pub const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);

/// First words of addresses that a packet from the wire must not have, or that mean more than one host.
const SCOPES: &[u32] = &[0x0000, 0x2001, 0xfc00, 0xfe80, 0xfec0, 0xff01, 0xff02, 0xff05, 0xff0e];

/// An IPv6 header; addresses by their first and their last part.
pub static IPV6: Table = Table {
    name: "IPv6",
    fields: &[
        Field::bits("version", 0, 1, 0xf0).also(&[4]),
        Field::bits("traffic class", 0, 2, 0x0ff0),
        Field::bits("flow label", 0, 4, 0x000f_ffff),
        Field::word("payload length", 4).total().also(&[7, 8, 40]),
        Field::byte("next header", 6).also(&[0, 1, 4, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 135, 136, 253]),
        Field::byte("hop limit", 7).also(&[1, 64, 254, 255]),
        Field::word("source, first 16 bits", 8).also(SCOPES),
        Field::long("source, last 32 bits", 20).also(&[1, 2]),
        Field::word("destination, first 16 bits", 24).also(SCOPES),
        Field::long("destination, last 32 bits", 36).also(&[1, 2, 0xff00_0001]),
    ],
    options: None,
};

/// A header of hop-by-hop or destination options.
pub static OPTIONS: Table = Table {
    name: "IPv6 options",
    fields: &[
        Field::byte("next header", 0).also(&[0, 6, 17, 43, 44, 50, 51, 58, 59, 60]),
        Field::byte("length", 1).length(),
    ],
    options: Some(OptionRules {
        samples: &[
            &[0],
            &[1, 0],
            &[1, 4, 0, 0, 0, 0],
            &[1, 5, 0, 0, 0, 0, 0],
            &[1, 255, 0],
            &[5, 2, 0, 0],
            &[5, 1, 0],
            &[0xc2, 4, 0, 1, 0, 0],
            &[0xc2, 4, 0, 0, 0, 1],
            &[0x3e, 0],
            &[0x7e, 0],
            &[0xbe, 0],
            &[0xfe, 0],
            &[0xfe, 200, 1],
            &[0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e, 0],
        ],
        area: header_option_area,
        split: split_header_options,
        replace: replace_header_options,
    }),
};

fn header_option_area(header: &[u8]) -> Range<usize> {
    let end = header.get(1).map_or(2, |&len| (usize::from(len) + 1) * 8);
    2..end.clamp(2, header.len().max(2))
}

fn split_header_options(mut options: &[u8]) -> Vec<&[u8]> {
    let mut each = Vec::new();
    while let Some(&kind) = options.first() {
        let said = options.get(1).map_or(0, |&len| usize::from(len));
        let len = if kind == 0 { 1 } else { (said + 2).min(options.len()) };
        let (one, rest) = options.split_at(len);
        each.push(one);
        options = rest;
    }
    each
}

fn replace_header_options(frame: &mut Vec<u8>, at: usize, options: &[u8]) -> bool {
    let area = header_option_area(&frame[at..]);
    let mut new = options.to_vec();
    new.resize((new.len() + 2).next_multiple_of(8) - 2, 0);
    frame[at + 1] = (new.len() / 8) as u8;
    frame.splice(at + area.start..at + area.end, new);
    true
}

/// A routing header.
pub static ROUTE: Table = Table {
    name: "IPv6 routing",
    fields: &[
        Field::byte("next header", 0).also(&[0, 17, 44, 58, 59, 60]),
        Field::byte("length", 1).length(),
        Field::byte("routing type", 2).also(&[0, 2, 3, 4]),
        Field::byte("segments left", 3),
    ],
    options: None,
};

/// A fragment header.
pub static PART: Table = Table {
    name: "IPv6 fragment",
    fields: &[
        Field::byte("next header", 0).also(&[0, 17, 44, 58, 59, 60]),
        Field::byte("reserved", 1),
        Field::bits("offset", 2, 2, 0xfff8).also(&[0x1fff, 0x1ffe, 2, 180]),
        Field::bits("more", 2, 2, 1),
        Field::long("identification", 4),
    ],
    options: None,
};

/// A header of ICMP for IPv6.
pub static ICMPV6: Table = Table {
    name: "ICMPv6",
    fields: &[
        Field::byte("type", 0)
            .also(&[1, 2, 3, 4, 5, 100, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143]),
        Field::byte("code", 1).also(&[2, 3, 4, 7]),
        Field::word("checksum", 2).checksum(),
        Field::long("rest", 4).also(&[40, 68, 1_279, 1_280, 1_281, 1_500, 9_000]),
    ],
    options: None,
};

/// Options of neighbour discovery, right ones and wrong ones.
const DISCOVERY_SAMPLES: &[&[u8]] = &[
    &[1, 1, 2, 0, 0, 0, 0, 9],
    &[1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[2, 1, 2, 0, 0, 0, 0, 9],
    &[2, 0, 2, 0, 0, 0, 0, 9],
    &[1, 2, 2, 0, 0, 0, 0, 9],
    &[1, 255, 2, 0, 0, 0, 0, 9],
    &[5, 1, 0, 0, 0, 0, 5, 0],
    &[5, 1, 0, 0, 0, 0, 4, 0xff],
    &[5, 1, 0, 0, 0xff, 0xff, 0xff, 0xff],
    &[14, 1, 1, 2, 3, 4, 5, 6],
    &[200, 1, 0, 0, 0, 0, 0, 0],
    &[3, 1, 0, 0, 0, 0, 0, 0],
    &[24, 1, 0, 0, 0, 0, 0, 60],
    &[25, 1, 0, 0, 0, 0, 0, 60],
    &[31, 2, 0, 0, 0, 0, 0, 60, 1, b'a', 0, 0, 0, 0, 0, 0],
    &[31, 2, 0, 0, 0, 0, 0, 60, 0xc0, 0x0c, 0, 0, 0, 0, 0, 0],
    &[4, 1, 0, 0, 0, 0, 0, 0],
    &[1],
];

const DISCOVERY_OPTIONS: Option<OptionRules> = Some(OptionRules {
    samples: DISCOVERY_SAMPLES,
    area: discovery_option_area,
    split: split_discovery_options,
    replace: replace_discovery_options,
});

/// A router solicitation.
pub static ROUTER_SOLICITATION: Table =
    Table { name: "router solicitation", fields: ICMPV6.fields, options: DISCOVERY_OPTIONS };

/// A router advertisement.
pub static ROUTER_ADVERTISEMENT: Table = Table {
    name: "router advertisement",
    fields: &[
        Field::byte("type", 0).also(&[133, 135, 136, 137]),
        Field::byte("code", 1),
        Field::word("checksum", 2).checksum(),
        Field::byte("hop limit", 4),
        Field::byte("flags", 5).also(&[0x08, 0x10, 0x18, 0x40]),
        Field::word("lifetime", 6).also(&[1_800, 9_000, 9_001]),
        Field::long("reachable time", 8).also(&[1, 3_600_000]),
        Field::long("retransmission timer", 12).also(&[1, 1_000]),
    ],
    options: DISCOVERY_OPTIONS,
};

/// A neighbour solicitation or advertisement, or the start of a redirect.
pub static NEIGHBOUR: Table = Table {
    name: "neighbour discovery",
    fields: &[
        Field::byte("type", 0).also(&[133, 134, 135, 136, 137]),
        Field::byte("code", 1),
        Field::word("checksum", 2).checksum(),
        Field::bits("flags", 4, 1, 0xe0),
        Field::bits("reserved", 4, 4, 0x1fff_ffff),
        Field::word("target, first 16 bits", 8).also(SCOPES),
        Field::long("target, last 32 bits", 20).also(&[1, 2]),
    ],
    options: DISCOVERY_OPTIONS,
};

/// The destination of a redirect.
pub static REDIRECTED: Table = Table {
    name: "redirect",
    fields: &[
        Field::word("destination, first 16 bits", 24).also(SCOPES),
        Field::long("destination, last 32 bits", 36).also(&[1, 2]),
    ],
    options: None,
};

/// An option about a prefix.
pub static PREFIX_OPTION: Table = Table {
    name: "prefix information",
    fields: &[
        Field::byte("type", 0),
        Field::byte("length", 1).length(),
        Field::byte("prefix length", 2).also(&[1, 48, 63, 64, 65, 127, 128, 129]),
        Field::byte("flags", 3).also(&[0x40, 0x80, 0xc0]),
        Field::long("valid lifetime", 4).also(&[1, 60, 7_199, 7_200, 7_201]),
        Field::long("preferred lifetime", 8).also(&[1, 60, 7_200]),
        Field::word("prefix, first 16 bits", 16).also(SCOPES),
        Field::long("prefix, last 32 bits", 28),
    ],
    options: None,
};

/// Where options begin, which depends on the kind of message; they go on to the end of the frame.
fn discovery_option_area(message: &[u8]) -> Range<usize> {
    let start = match message.first() {
        Some(&icmpv6::ROUTER_ADVERTISEMENT) => 16,
        Some(&icmpv6::NEIGHBOUR_SOLICITATION | &icmpv6::NEIGHBOUR_ADVERTISEMENT) => 24,
        Some(&icmpv6::REDIRECT) => 40,
        _ => 8,
    };
    start.min(message.len())..message.len()
}

fn split_discovery_options(mut options: &[u8]) -> Vec<&[u8]> {
    let mut each = Vec::new();
    while !options.is_empty() {
        let said = options.get(1).map_or(0, |&len| usize::from(len) * 8);
        let (one, rest) = options.split_at(said.max(8).min(options.len()));
        each.push(one);
        options = rest;
    }
    each
}

fn replace_discovery_options(frame: &mut Vec<u8>, at: usize, options: &[u8]) -> bool {
    let area = discovery_option_area(&frame[at..]);
    frame.truncate(at + area.start);
    frame.extend(options);
    true
}

/// A query, or a message of version 1 of MLD.
pub static LISTENER: Table = Table {
    name: "MLD",
    fields: &[
        Field::byte("type", 0).also(&[130, 131, 132, 143]),
        Field::byte("code", 1),
        Field::word("checksum", 2).checksum(),
        Field::word("maximum response code", 4),
        Field::word("group, first 16 bits", 8).also(SCOPES),
        Field::long("group, last 32 bits", 20),
        Field::byte("flags and robustness", 24),
        Field::byte("interval code", 25),
        Field::word("sources", 26).length(),
    ],
    options: None,
};

/// A report of version 2 of MLD with its first record.
pub static LISTENER_REPORT: Table = Table {
    name: "MLDv2 report",
    fields: &[
        Field::byte("type", 0),
        Field::word("checksum", 2).checksum(),
        Field::word("records", 6).length(),
        Field::byte("record type", 8).also(&[1, 2, 3, 4, 5, 6, 7]),
        Field::byte("auxiliary length", 9).length(),
        Field::word("sources", 10).length(),
    ],
    options: None,
};

/// A packet quoted in an error.
pub static QUOTED: Table = Table {
    name: "quoted IPv6",
    fields: &[
        Field::bits("version", 0, 1, 0xf0),
        Field::word("payload length", 4).length(),
        Field::byte("next header", 6).also(&[0, 6, 17, 44, 58, 59, 60]),
        Field::word("source, first 16 bits", 8).also(SCOPES),
        Field::word("destination, first 16 bits", 24).also(SCOPES),
    ],
    options: None,
};

/// A valid frame for each kind of message.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = packet_seeds();
    seeds.extend(error_seeds());
    seeds.extend(discovery_seeds());
    seeds.extend(listener_seeds());
    seeds
}

/// Behind the extension headers of `header`, which are layers too.
fn seed(
    name: &'static str,
    header: &Ipv6,
    number: u8,
    payload: &[u8],
    inner: &[(usize, &'static Table)],
) -> Seed {
    let mut layers = vec![Layer { at: 0, table: &ETHERNET }, Layer { at: 14, table: &IPV6 }];
    let mut at = 54;
    for (number, behind) in &header.extensions {
        let table = match *number {
            ROUTING => &ROUTE,
            FRAGMENT => &PART,
            _ => &OPTIONS,
        };
        layers.push(Layer { at, table });
        at += 1 + behind.len();
    }
    layers.extend(inner.iter().map(|&(offset, table)| Layer { at: at + offset, table }));
    let station =
        if header.destination.is_multicast() { MacAddr::multicast_v6(header.destination) } else { STATION };
    let packet = header.packet(number, payload);
    let frame = ethernet(station, PEER_STATION, None, EtherType::IPV6, &packet);
    Seed { name, port: Port::Ethernet, frame, layers }
}

fn packet_seeds() -> Vec<Seed> {
    let plain = Ipv6::new(PEER, ADDRESS);
    let echo = icmp(icmpv6::ECHO_REQUEST, 0, [1, 2, 0, 1], b"sixteen bytes of");
    let datagram = udp(40_000, ECHO_PORT, b"data of a datagram");
    let padding = [0, 1, 4, 0, 0, 0, 0];
    let part = |offset: u16, more: bool| {
        let [a, b] = (offset | u16::from(more)).to_be_bytes();
        plain.clone().extension(FRAGMENT, &[0, a, b, 0, 0, 0, 7])
    };
    let chain = plain
        .clone()
        .extension(HOP_BY_HOP, &padding)
        .extension(DESTINATION_OPTIONS, &padding)
        .extension(ROUTING, &[0, 4, 0, 0, 0, 0, 0])
        .extension(FRAGMENT, &[0, 0, 0, 0, 0, 0, 7]);
    let to_all = Ipv6::new(PEER, ALL_NODES);
    let number = protocol::ICMPV6;
    vec![
        seed("ICMPv6 echo request", &plain, number, &echo, &[(0, &ICMPV6)]),
        seed("ICMPv6 echo request to all nodes", &to_all, number, &echo, &[(0, &ICMPV6)]),
        seed("UDP over IPv6", &plain, protocol::UDP, &datagram, &[(0, &UDP)]),
        seed("UDP over IPv6 to a closed port", &plain, protocol::UDP, &udp(40_000, 1, b"data"), &[(0, &UDP)]),
        seed("all extension headers", &chain, protocol::UDP, &datagram, &[(0, &UDP)]),
        seed("first IPv6 fragment", &part(0, true), number, &echo, &[(0, &ICMPV6)]),
        seed("middle IPv6 fragment", &part(24, true), number, &[0x11; 24], &[]),
        seed("last IPv6 fragment", &part(48, false), number, &[0x22; 5], &[]),
        seed("an unknown next header", &plain, 200, b"payload of it", &[]),
    ]
}

fn error_seeds() -> Vec<Seed> {
    let quoted = Ipv6::new(ADDRESS, PEER).packet(protocol::UDP, &udp(ECHO_PORT, 4_000, b"data"));
    let header = Ipv6::new(PEER, ADDRESS);
    let one = |name, kind, code, rest: u32| {
        let message = icmp(kind, code, rest.to_be_bytes(), &quoted);
        seed(name, &header, protocol::ICMPV6, &message, &[(0, &ICMPV6), (8, &QUOTED)])
    };
    vec![
        one("IPv6 port unreachable", icmpv6::DESTINATION_UNREACHABLE, 4, 0),
        one("packet too big", icmpv6::PACKET_TOO_BIG, 0, 1_400),
        one("IPv6 time exceeded", icmpv6::TIME_EXCEEDED, 0, 0),
        one("IPv6 parameter problem", icmpv6::PARAMETER_PROBLEM, 1, 40),
    ]
}

fn discovery_seeds() -> Vec<Seed> {
    let own = [&[1, 1][..], &PEER_STATION.0].concat();
    let target = [&[2, 1][..], &PEER_STATION.0].concat();
    let prefix = [&[3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 7, 8, 0, 0, 0, 0][..], &PREFIX.octets()].concat();
    let servers = [&[25, 3, 0, 0, 0, 0, 1, 44][..], &PEER.octets()].concat();
    let search = [&[31, 3, 0, 0, 0, 0, 1, 44][..], b"\x07example\x04test\x00\x00\x00"].concat();
    let route = [&[24, 2, 48, 8, 0, 0, 2, 88][..], &PREFIX.octets()[..8]].concat();
    let router = [&[0, 0, 0x75, 0x30, 0, 0, 3, 0xe8][..], &own, &prefix, &servers, &search, &route].concat();
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let to = |destination| Ipv6::new(PEER, destination).hop_limit(255);
    let from_none = Ipv6::new(Ipv6Addr::UNSPECIFIED, solicited_node(ADDRESS)).hop_limit(255);
    let far: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
    let one = |name, header: &Ipv6, kind, rest, body: &[&[u8]], inner: &[(usize, &'static Table)]| {
        seed(name, header, protocol::ICMPV6, &icmp(kind, 0, rest, &body.concat()), inner)
    };
    let neighbour: &[(usize, &'static Table)] = &[(0, &NEIGHBOUR)];
    let advertisement: &[(usize, &'static Table)] = &[(0, &ROUTER_ADVERTISEMENT), (24, &PREFIX_OPTION)];
    let (solicit, advertise) = (icmpv6::NEIGHBOUR_SOLICITATION, icmpv6::NEIGHBOUR_ADVERTISEMENT);
    let (all, mine) = (to(ALL_NODES), ADDRESS.octets());
    let (router_kind, redirect) = (icmpv6::ROUTER_ADVERTISEMENT, icmpv6::REDIRECT);
    vec![
        one(
            "router solicitation",
            &to(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2)),
            icmpv6::ROUTER_SOLICITATION,
            [0; 4],
            &[&own],
            &[(0, &ROUTER_SOLICITATION)],
        ),
        one("router advertisement v6", &all, router_kind, [64, 0, 7, 8], &[&router], advertisement),
        one(
            "neighbour solicitation",
            &to(solicited_node(ADDRESS)),
            solicit,
            [0; 4],
            &[&mine, &own],
            neighbour,
        ),
        one("neighbour solicitation to one", &to(ADDRESS), solicit, [0; 4], &[&mine, &own], neighbour),
        one("duplicate address detection", &from_none, solicit, [0; 4], &[&mine, &nonce], neighbour),
        one(
            "neighbour advertisement",
            &to(ADDRESS),
            advertise,
            [0xe0, 0, 0, 0],
            &[&PEER.octets(), &target],
            neighbour,
        ),
        one("claim of an address", &all, advertise, [0x20, 0, 0, 0], &[&mine, &target], neighbour),
        one(
            "IPv6 redirect",
            &to(ADDRESS),
            redirect,
            [0; 4],
            &[&Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3).octets(), &far.octets(), &target],
            &[(0, &NEIGHBOUR), (0, &REDIRECTED)],
        ),
    ]
}

fn listener_seeds() -> Vec<Seed> {
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    let alert = [0, 5, 2, 0, 0, 1, 0];
    let to = |destination| Ipv6::new(PEER, destination).hop_limit(1).extension(HOP_BY_HOP, &alert);
    let query = icmpv6::MULTICAST_LISTENER_QUERY;
    let one = |name, header: &Ipv6, kind, rest, body: &[&[u8]], table: &'static Table| {
        seed(name, header, protocol::ICMPV6, &icmp(kind, 0, rest, &body.concat()), &[(0, table)])
    };
    let details = [2, 125, 0, 0];
    let with_source = [2, 125, 0, 1];
    let record = [4, 0, 0, 0];
    let allowed = [5, 0, 0, 1];
    let (octets, peer, none) = (group.octets(), PEER.octets(), [0; 16]);
    vec![
        one("MLDv1 general query", &to(ALL_NODES), query, [0x03, 0xe8, 0, 0], &[&none], &LISTENER),
        one("MLDv1 query", &to(group), query, [0x03, 0xe8, 0, 0], &[&octets], &LISTENER),
        one("MLDv2 general query", &to(ALL_NODES), query, [0x03, 0xe8, 0, 0], &[&none, &details], &LISTENER),
        one("MLDv2 query", &to(group), query, [0x80, 0, 0, 0], &[&octets, &with_source, &peer], &LISTENER),
        one("MLDv1 report", &to(group), icmpv6::MULTICAST_LISTENER_REPORT, [0; 4], &[&octets], &LISTENER),
        one(
            "MLDv2 report",
            &to(ALL_MLDV2_ROUTERS),
            icmpv6::MULTICAST_LISTENER_REPORT_V2,
            [0, 0, 0, 2],
            &[&record, &octets, &allowed, &octets, &peer],
            &LISTENER_REPORT,
        ),
    ]
}
