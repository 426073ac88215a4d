//! MLD on the wire, between two stacks, as an independent decoder sees it: who reports, from which address, to whom,
//! and which queries are believed.
#![cfg(feature = "ipv6")]

mod common;
use common::{Heard, Host, OUR_MAC, PEER_MAC, Setup};

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use coracle::wire::membership::QueryDetails;
use coracle::wire::mld::{self, MldMessage, MldQuery};
use coracle::*;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

const GROUP: &str = "ff02::fb";
const SECOND: Duration = Duration::from_secs(1);
const DETAILS: QueryDetails = QueryDetails { suppress: false, robustness: 2, interval_s: 125 };
const QUERIER: &str = "fe80::9";

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host_with(mac: MacAddr, addresses: &[&str]) -> Host {
    let mut setup = Setup { netif: NetifConfig::ethernet(mac), ..Setup::default() };
    setup.limits.ipv6_addresses = 8;
    let mut host = setup.host();
    for text in addresses {
        host.stack.netif(host.netif).unwrap().ipv6_add(ip(text), 64).unwrap();
    }
    host
}

/// A host whose reports are all out.
fn quiet(addresses: &[&str]) -> Host {
    let mut host = host_with(OUR_MAC, addresses);
    host.advance(10 * SECOND);
    host.discard_sent();
    host
}

/// A message that left: from where, to where, what.
struct Said {
    from: Ipv6Addr,
    to: Ipv6Addr,
    message: Vec<u8>,
}

/// Holds a frame against an independent decoder.
fn judge(frame: &[u8]) -> Said {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv6(net)) = &packet.net else { panic!("{frame:02x?}") };
    let header = net.header().to_header();
    assert_eq!(usize::from(header.payload_length) + 54, frame.len());
    // [3810-1] Hop limit 1, and a hop-by-hop header with a router alert.
    assert_eq!((header.hop_limit, header.next_header.0), (1, 0));
    assert_eq!(frame[54..62], [58, 0, 5, 2, 0, 0, 1, 0]);
    let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else { panic!("{frame:02x?}") };
    assert!(icmp.is_checksum_valid(header.source, header.destination));
    assert_eq!(frame[..2], [0x33, 0x33]);
    assert_eq!(frame[2..6], header.destination[12..]);
    Said { from: header.source.into(), to: header.destination.into(), message: icmp.slice().to_vec() }
}

fn said(host: &mut Host) -> Vec<Said> {
    let netif = host.netif;
    host.sent_raw(netif).iter().map(|frame| judge(frame)).collect()
}

/// The records of the one report that left, sorted: kind, group, sources.
fn report(host: &mut Host, from: &str) -> Vec<(u8, String, Vec<String>)> {
    let said = said(host);
    let [one] = &said[..] else { panic!("{} messages", said.len()) };
    assert_eq!((one.from, one.to, one.message[0]), (ip(from), ip("ff02::16"), 143));
    let mut records: Vec<_> = mld::read_report(&one.message)
        .unwrap()
        .map(|record| record.unwrap())
        .map(|record| {
            let text = |bytes: &[u8; 16]| Ipv6Addr::from(*bytes).to_string();
            (record.kind, text(&record.group), record.sources.iter().map(text).collect())
        })
        .collect();
    records.sort();
    records
}

/// A frame around a message of MLD, with its checksum put right.
fn frame(from: &str, to: Ipv6Addr, hop_limit: u8, alert: bool, mut message: Vec<u8>) -> Vec<u8> {
    message[2..4].fill(0);
    let mut pseudo = [ip(from).octets(), to.octets()].concat();
    pseudo.extend((message.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    let sum = common::internet_checksum(&[&pseudo, &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let options: &[u8] = if alert { &[58, 0, 5, 2, 0, 0, 1, 0] } else { &[58, 0, 1, 4, 0, 0, 0, 0] };
    let [.., a, b, c, d] = to.octets();
    let mut frame = vec![0x33, 0x33, a, b, c, d, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend(((8 + message.len()) as u16).to_be_bytes());
    frame.extend([0, hop_limit]);
    frame.extend(ip(from).octets());
    frame.extend(to.octets());
    frame.extend(options);
    frame.extend(message);
    frame
}

fn message(query: &MldQuery<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1_400];
    let len = query.write(&mut bytes, ip(QUERIER), ip("ff02::1")).unwrap();
    bytes.truncate(len);
    bytes
}

fn general(response_ms: u32) -> MldQuery<'static> {
    MldQuery { response_ms, group: Ipv6Addr::UNSPECIFIED, details: Some(DETAILS), sources: &[] }
}

fn ask(host: &mut Host, query: &MldQuery<'_>) {
    let to = if query.group.is_unspecified() { ip("ff02::1") } else { query.group };
    host.input(frame(QUERIER, to, 1, true, message(query)));
}

/// [RFC 4291 §2.8] The groups in which our addresses are solicited are reported, from the address of the link.
#[test]
fn solicited_node_groups_are_reported_and_all_nodes_is_not() {
    let mut host = host_with(OUR_MAC, &["fe80::2"]);
    assert_eq!(report(&mut host, "fe80::2"), [(4, "ff02::1:ff00:2".into(), vec![])]);
    host.advance(SECOND);
    assert_eq!(report(&mut host, "fe80::2"), [(4, "ff02::1:ff00:2".into(), vec![])]);
    host.advance(100 * SECOND);
    host.stack.netif(host.netif).unwrap().ipv6_add(ip("2001:db8::7"), 64).unwrap();
    assert_eq!(report(&mut host, "fe80::2"), [(4, "ff02::1:ff00:7".into(), vec![])]);
    host.advance(SECOND);
    host.discard_sent();
    host.stack.netif(host.netif).unwrap().ipv6_remove(ip("2001:db8::7")).unwrap();
    assert_eq!(report(&mut host, "fe80::2"), [(3, "ff02::1:ff00:7".into(), vec![])]);
    host.advance(SECOND);
    host.discard_sent();
    ask(&mut host, &general(1));
    host.advance(SECOND);
    assert_eq!(report(&mut host, "fe80::2"), [(2, "ff02::1:ff00:2".into(), vec![])]);
    assert_eq!((host.stack.next_deadline(), host.memory_used()), (None, (0, 0, 0)));
}

/// [RFC 3590 §4] [RFC 3590 §5] [3810-1] [4862-2]
#[test]
fn without_an_address_of_the_link_reports_come_from_none_and_are_sent_again_later() {
    let mut host = host_with(OUR_MAC, &["2001:db8::7"]);
    assert_eq!(report(&mut host, "::"), [(4, "ff02::1:ff00:7".into(), vec![])]);
    host.advance(10 * SECOND);
    host.discard_sent();
    host.stack.netif(host.netif).unwrap().ipv6_add(ip("fe80::2"), 64).unwrap();
    let both = [(4, "ff02::1:ff00:2".into(), vec![]), (4, "ff02::1:ff00:7".into(), vec![])];
    assert_eq!(report(&mut host, "fe80::2"), both);
    host.advance(SECOND);
    assert_eq!(report(&mut host, "fe80::2"), both);
    host.advance(10 * SECOND);
    assert_eq!(said(&mut host).len(), 0);
}

#[test]
fn an_old_querier_is_answered_group_by_group() {
    let mut host = quiet(&["fe80::2"]);
    host.stack.netif(host.netif).unwrap().join_group(address(GROUP)).unwrap();
    host.advance(10 * SECOND);
    host.discard_sent();
    ask(&mut host, &MldQuery { details: None, ..general(1_000) });
    host.advance(SECOND);
    let mut groups: Vec<_> = said(&mut host)
        .iter()
        .map(|one| {
            let group = MldMessage::read(&one.message).unwrap().group();
            assert_eq!((one.message[0], one.to, one.from), (131, group, ip("fe80::2")));
            group
        })
        .collect();
    groups.sort();
    assert_eq!(groups, [ip(GROUP), ip("ff02::1:ff00:2")]);
    host.stack.netif(host.netif).unwrap().leave_group(address(GROUP)).unwrap();
    let done = said(&mut host);
    assert_eq!((done.len(), done[0].message[0], done[0].to), (1, 132, ip("ff02::2")));
    let counters = host.stack.counters().mld;
    assert_eq!((counters.queries, counters.leaves_sent), (1, 1));
}

/// [RFC 2710 §4] Of two hosts in a group one answers an old querier, each hearing the other.
#[test]
fn two_hosts_in_a_group_answer_an_old_querier_once() {
    let [mut first, mut second] =
        [(OUR_MAC, "fe80::2", 1), (PEER_MAC, "fe80::5", 2)].map(|(mac, own, seed)| {
            let mut setup = Setup { netif: NetifConfig::ethernet(mac), ..Setup::default() };
            setup.limits.ipv6_addresses = 2;
            setup.config.seed = [seed; 16];
            let mut host = setup.host();
            host.stack.netif(host.netif).unwrap().ipv6_add(ip(own), 64).unwrap();
            host.stack.netif(host.netif).unwrap().join_group(address(GROUP)).unwrap();
            host.advance(10 * SECOND);
            host.discard_sent();
            host
        });
    let query = MldQuery { group: ip(GROUP), details: None, ..general(10_000) };
    let old = MldQuery { details: None, ..general(1_000) };
    let (mut one, mut other) = (0, 0);
    for query in [old, query] {
        for host in [&mut first, &mut second] {
            ask(host, &query);
        }
        for _ in 0..2_000 {
            for host in [&mut first, &mut second] {
                host.advance(Duration::from_millis(10));
            }
            for (from, to, count) in [(0, 1, &mut one), (1, 0, &mut other)] {
                let hosts = [&mut first, &mut second];
                for frame in hosts[from].sent_raw(hosts[from].netif) {
                    let message = judge(&frame).message;
                    *count += usize::from(MldMessage::read(&message).unwrap().group() == ip(GROUP));
                    hosts[to].input(&frame);
                }
            }
        }
    }
    assert_eq!(one + other, 2, "one for each query: {one} and {other}");
}

#[test]
fn datagrams_to_a_group_go_to_who_listens_to_their_source() {
    let mut host = quiet(&["fe80::2", "2001:db8::2"]);
    let app = host.app("udp");
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().bind("[::]:5000".parse().unwrap()).unwrap();
    let netif = host.netif;
    let (group, source) = (address("ff05::77"), address("2001:db8::9"));
    host.stack.udp(udp).unwrap().join_source(group, source, Some(netif)).unwrap();
    assert_eq!(report(&mut host, "fe80::2"), [(5, "ff05::77".into(), vec!["2001:db8::9".into()])]);
    for last in [9, 8] {
        let own = format!("2001:db8::{last}");
        let mut peer = host_with(PEER_MAC, &[&own]);
        let app = peer.app("peer");
        let sender = peer.stack.udp_new(app).unwrap();
        peer.advance(10 * SECOND);
        peer.discard_sent();
        peer.stack.udp(sender).unwrap().set_multicast_netif(Some(peer.netif)).unwrap();
        let to: SocketAddr = "[ff05::77]:5000".parse().unwrap();
        peer.stack.udp(sender).unwrap().send_bytes_to(&[last], to).unwrap();
        for frame in peer.sent_raw(peer.netif) {
            host.input(&frame);
        }
    }
    let heard = host.heard();
    assert!(matches!(&heard[..], [Heard::Datagram { data, .. }] if data == &[9]), "{heard:?}");
}

/// [3810-3] and the CVE rows on MLD: what is not from this link, shows no address of it, or lies about its length.
#[test]
fn forged_and_malformed_messages_are_dropped_and_counted() {
    let all = ip("ff02::1");
    let lies = |count: u16| {
        let mut bytes = message(&MldQuery { group: ip(GROUP), ..general(100) });
        bytes[26..28].copy_from_slice(&count.to_be_bytes());
        bytes
    };
    let cases = [
        (frame(QUERIER, all, 2, true, message(&general(100))), (1, 0)),
        (frame(QUERIER, all, 255, true, message(&general(100))), (1, 0)),
        (frame("2001:db8::9", all, 1, true, message(&general(100))), (1, 0)),
        (frame("::", all, 1, true, message(&general(100))), (1, 0)),
        (frame(QUERIER, all, 1, false, message(&general(100))), (1, 0)),
        (frame(QUERIER, all, 1, true, lies(0xffff)), (0, 1)),
        (frame(QUERIER, all, 1, true, lies(1)), (0, 1)),
        (frame(QUERIER, all, 1, true, message(&general(100))[..8].to_vec()), (0, 1)),
        (frame(QUERIER, all, 1, true, message(&general(100))[..26].to_vec()), (0, 1)),
    ];
    for (number, (frame, expected)) in cases.into_iter().enumerate() {
        let mut host = quiet(&["fe80::2"]);
        host.input(&frame);
        host.advance(20 * SECOND);
        assert_eq!(said(&mut host).len(), 0, "case {number}");
        let counters = host.stack.counters().mld;
        assert_eq!((counters.forged, counters.malformed), expected, "case {number}");
    }
}

/// A query with a maximum response code of zero, once a panic elsewhere.
#[test]
fn a_query_with_a_maximum_delay_of_zero_is_answered_at_once() {
    let mut host = quiet(&["fe80::2"]);
    for details in [Some(DETAILS), None] {
        host.advance(SECOND);
        ask(&mut host, &MldQuery { details, ..general(0) });
        assert_eq!(said(&mut host).len(), 1);
    }
}

/// [3810-4] Sources that were asked for, of a group that is heard from all but some.
#[test]
fn a_query_for_sources_is_answered_for_them() {
    let mut host = quiet(&["fe80::2"]);
    let app = host.app("udp");
    let udp = host.stack.udp_new(app).unwrap();
    let netif = Some(host.netif);
    let (one, two) = (address("2001:db8::1"), address("2001:db8::2"));
    host.stack.udp(udp).unwrap().set_filter(address(GROUP), netif, FilterMode::Exclude, &[one]).unwrap();
    host.advance(10 * SECOND);
    host.discard_sent();
    let sources = [one, two].map(|source| match source {
        IpAddr::V6(source) => source.octets(),
        IpAddr::V4(_) => unreachable!(),
    });
    ask(&mut host, &MldQuery { group: ip(GROUP), sources: &sources, ..general(1_000) });
    host.advance(SECOND);
    assert_eq!(report(&mut host, "fe80::2"), [(1, GROUP.into(), vec!["2001:db8::2".into()])]);
}
