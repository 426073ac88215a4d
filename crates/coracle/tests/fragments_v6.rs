//! IPv6 in fragments [RFC 8200 §4.5], and packets to others.
#![cfg(feature = "ipv6")]

mod common;
use common::*;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use coracle::*;
use etherparse::{IpNumber, Ipv6FlowLabel, Ipv6Header};

const OUR_IP: &str = "2001:db8::2";
const PEER_IP: &str = "2001:db8::9";
const FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;
const DESTINATION: u8 = 60;

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ at >> 8) as u8).collect()
}

fn host_with(mac: MacAddr, address: &str, neighbour: (&str, MacAddr)) -> Host {
    // Reports of groups would be among what the tests look at.
    let mut setup = Setup { netif: NetifConfig::ethernet(mac).group_reports(false), ..Setup::default() };
    setup.limits.ipv6_addresses = 8;
    let mut host = setup.host();
    let mut netif = host.stack.netif(host.netif).unwrap();
    netif.ipv6_add(ip(address), 64).unwrap();
    netif.set_neighbour(IpAddr::V6(ip(neighbour.0)), neighbour.1).unwrap();
    host.poll();
    host.discard_sent();
    host.heard();
    host
}

fn host() -> Host {
    host_with(OUR_MAC, OUR_IP, (PEER_IP, PEER_MAC))
}

fn listen(host: &mut Host) {
    let app = host.app("server");
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().bind("[::]:7".parse().unwrap()).unwrap();
}

/// A packet from one address to another, hop limit 64.
fn packet(from: &str, to: &str, next: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: payload.len() as u16,
        next_header: IpNumber(next),
        hop_limit: 64,
        source: ip(from).octets(),
        destination: ip(to).octets(),
    };
    [&header.to_bytes()[..], payload].concat()
}

fn frame_of(packet: &[u8]) -> Vec<u8> {
    [&OUR_MAC.0[..], &PEER_MAC.0, &[0x86, 0xdd], packet].concat()
}

fn fragment_header(next: u8, offset: usize, more: bool, identification: u32) -> Vec<u8> {
    let place = (offset as u16 & !7 | u16::from(more)).to_be_bytes();
    [&[next, 0][..], &place, &identification.to_be_bytes()].concat()
}

/// A fragment from the peer to us.
fn fragment(next: u8, offset: usize, more: bool, identification: u32, data: &[u8]) -> Vec<u8> {
    let payload = [fragment_header(next, offset, more, identification), data.to_vec()].concat();
    frame_of(&packet(PEER_IP, OUR_IP, FRAGMENT, &payload))
}

fn checksum(from: &str, to: &str, protocol: u8, message: &[u8]) -> u16 {
    let len = (message.len() as u32).to_be_bytes();
    internet_checksum(&[&ip(from).octets(), &ip(to).octets(), &len, &[0, 0, 0, protocol], message])
}

/// A UDP datagram from the peer's port 5000 to our port 7.
fn udp(data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len()) as u16;
    let mut datagram = [&[0x13, 0x88, 0, 7][..], &len.to_be_bytes(), &[0, 0], data].concat();
    let sum = checksum(PEER_IP, OUR_IP, UDP, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// The ICMPv6 message in the only frame that left: type, code, the four bytes behind the checksum, and what is quoted.
fn complaint(host: &mut Host, netif: NetifHandle) -> (u8, u8, [u8; 4], Vec<u8>) {
    let sent = host.sent_raw(netif);
    let [frame] = &sent[..] else { panic!("{sent:02x?}") };
    let (header, message) = Ipv6Header::from_slice(&frame[14..]).unwrap();
    assert_eq!((header.next_header.0, usize::from(header.payload_length)), (ICMPV6, message.len()));
    assert!(message.len() <= 1_240);
    let (from, to) =
        (Ipv6Addr::from(header.source).to_string(), Ipv6Addr::from(header.destination).to_string());
    assert_eq!(checksum(&from, &to, ICMPV6, message), 0);
    (message[0], message[1], message[4..8].try_into().unwrap(), message[8..].to_vec())
}

/// Carries the frames of one stack to another; the lengths of what was carried.
fn carry(from: &mut Host, to: &mut Host) -> Vec<usize> {
    let frames = from.sent_raw(from.netif);
    for frame in &frames {
        let (header, payload) = Ipv6Header::from_slice(&frame[14..]).unwrap();
        assert_eq!(usize::from(header.payload_length), payload.len());
        to.input(frame);
    }
    frames.iter().map(|frame| frame.len() - 14).collect()
}

#[test]
fn datagrams_of_every_size_cross_in_fragments() {
    let mut client = host();
    let mut server = host_with(PEER_MAC, PEER_IP, (OUR_IP, OUR_MAC));
    let app = server.app("echo").on_datagram(|udp, from, data| udp.send_to(data, from).unwrap());
    let echo = server.stack.udp_new(app).unwrap();
    server.stack.udp(echo).unwrap().bind("[::]:7".parse().unwrap()).unwrap();
    let app = client.app("client");
    let udp = client.stack.udp_new(app).unwrap();
    let used = (client.memory_used(), server.memory_used());
    for len in [1_452, 1_453, 1_460, 2_888, 2_889, 9_000, 65_527] {
        let data = client.data(&pattern(len));
        client.stack.udp(udp).unwrap().send_to(data, "[2001:db8::9]:7".parse().unwrap()).unwrap();
        let lens = carry(&mut client, &mut server);
        assert!(lens.iter().all(|&len| len <= 1_500));
        assert_eq!(lens.len(), if len <= 1_452 { 1 } else { (len + 8 - 1_452).div_ceil(1_448) + 1 });
        assert_eq!(carry(&mut server, &mut client), lens);
        assert_eq!(client.datagrams(), [pattern(len)]);
        server.heard();
    }
    assert_eq!((client.memory_used(), server.memory_used()), used);
    let counters = client.stack.counters().ip6;
    assert_eq!((counters.fragmented, counters.reassembled), (6, 6));
    let data = client.data(&pattern(65_528));
    let refused = client.stack.udp(udp).unwrap().send_to(data, "[2001:db8::9]:7".parse().unwrap());
    assert_eq!(refused.map_err(|rejected| rejected.error), Err(Error::Value));
}

/// [8200-13] Identifications are no counter.
#[test]
fn identifications_tell_nothing_of_the_next() {
    let mut host = host();
    let app = host.app("client");
    let udp = host.stack.udp_new(app).unwrap();
    let mut seen = Vec::new();
    for _ in 0..50 {
        let data = host.data(&[1; 2_000]);
        host.stack.udp(udp).unwrap().send_to(data, "[2001:db8::9]:7".parse().unwrap()).unwrap();
        let sent = host.sent_raw(host.netif);
        let identification = |frame: &[u8]| u32::from_be_bytes(frame[58..62].try_into().unwrap());
        assert_eq!(identification(&sent[0]), identification(&sent[1]));
        seen.push(identification(&sent[0]));
    }
    seen.sort_unstable();
    assert!(seen.windows(2).all(|pair| pair[1] - pair[0] > 1));
}

#[test]
fn fragments_behind_other_headers_are_put_together() {
    let mut host = host();
    listen(&mut host);
    let datagram = udp(&pattern(3_000));
    let options = [FRAGMENT, 0, 1, 4, 0, 0, 0, 0];
    // The options of the first fragment are the datagram's; that the second has none does not matter.
    let behind = |next, offset, more, data: &[u8]| {
        let payload = [&options[..], &fragment_header(next, offset, more, 5), data].concat();
        frame_of(&packet(PEER_IP, OUR_IP, DESTINATION, &payload))
    };
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let pieces = [
            behind(UDP, 0, true, &datagram[..1_000]),
            fragment(59, 1_000, true, 5, &datagram[1_000..2_000]),
            behind(6, 2_000, false, &datagram[2_000..]),
        ];
        for at in order {
            assert!(host.heard().is_empty());
            host.input(&pieces[at]);
        }
        let heard = host.heard();
        let [Heard::Datagram { data, packet, .. }] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!((data, packet.header_len, packet.protocol), (&pattern(3_000), 48, UDP));
        assert_eq!(packet.total_len, 48 + 3_008);
    }
}

#[test]
fn a_long_ping_is_answered_in_fragments() {
    let mut host = host();
    let mut message = [&[128, 0, 0, 0, 0, 7, 0, 1][..], &pattern(60_000)].concat();
    let sum = checksum(PEER_IP, OUR_IP, ICMPV6, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    for (number, piece) in message.chunks(1_448).enumerate() {
        let offset = number * 1_448;
        host.input(fragment(ICMPV6, offset, offset + piece.len() < message.len(), 1, piece));
    }
    let sent = host.sent_raw(host.netif);
    let answer: Vec<u8> = sent.iter().flat_map(|frame| frame[62..].to_vec()).collect();
    assert_eq!((answer[0], &answer[4..]), (129, &message[4..]));
    assert_eq!(checksum(OUR_IP, PEER_IP, ICMPV6, &answer), 0);
}

/// [8200-8] [8200-9] [7112-1]
#[test]
fn what_is_wrong_with_fragments_is_told() {
    let mut host = host();
    let netif = host.netif;
    let cases = [
        (fragment(UDP, 0, true, 1, &udp(&[1; 9])), (4, 0, 4)),
        (fragment(UDP, 65_528, true, 2, &[1; 8]), (4, 0, 42)),
        (fragment(UDP, 65_528, false, 3, &[1; 9]), (4, 0, 42)),
        (fragment(6, 0, true, 4, &[1; 16]), (4, 3, 0)),
        (fragment(DESTINATION, 0, true, 5, &[UDP, 1, 1, 4, 0, 0, 0, 0]), (4, 3, 0)),
    ];
    for (number, (frame, (kind, code, pointer))) in cases.iter().enumerate() {
        host.input(frame);
        let (seen_kind, seen_code, rest, quoted) = complaint(&mut host, netif);
        assert_eq!((seen_kind, seen_code, u32::from_be_bytes(rest)), (*kind, *code, *pointer), "{number}");
        assert_eq!(quoted, frame[14..]);
    }
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [5722-1] In silence, and so is whatever comes of the same datagram later.
#[test]
fn overlapping_fragments_drop_the_datagram() {
    let mut host = host();
    listen(&mut host);
    let datagram = udp(&pattern(100));
    host.input(fragment(UDP, 0, true, 1, &datagram[..48]));
    host.input(fragment(UDP, 40, true, 1, &datagram[40..56]));
    host.input(fragment(UDP, 48, false, 1, &datagram[48..]));
    host.input(fragment(UDP, 0, true, 1, &datagram[..48]));
    assert!(host.heard().is_empty() && host.sent_raw(host.netif).is_empty());
    assert_eq!(host.memory_used(), (0, 0, 0));
    // The same fragment again is no overlap.
    for _ in 0..2 {
        host.input(fragment(UDP, 0, true, 2, &datagram[..48]));
    }
    host.input(fragment(UDP, 48, false, 2, &datagram[48..]));
    assert_eq!(host.datagrams(), [pattern(100)]);
}

/// [6946-1] Whole in one fragment, whatever is held under the same identification.
#[test]
fn atomic_fragments_stand_alone() {
    let mut host = host();
    listen(&mut host);
    let datagram = udp(&pattern(100));
    host.input(fragment(UDP, 0, true, 1, &datagram[..48]));
    host.input(fragment(UDP, 0, false, 1, &udp(b"alone")));
    assert_eq!(host.datagrams(), [b"alone"]);
    host.input(fragment(UDP, 48, false, 1, &datagram[48..]));
    assert_eq!(host.datagrams(), [pattern(100)]);
}

/// [6980-1]
#[test]
fn neighbour_discovery_is_never_in_fragments() {
    let mut host = host();
    let target = ip(OUR_IP).octets();
    let mut solicitation = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target, &[1, 1, 2, 0, 0, 0, 0, 9]].concat();
    let sum = checksum(PEER_IP, OUR_IP, ICMPV6, &solicitation).to_be_bytes();
    solicitation[2..4].copy_from_slice(&sum);
    let last_hop = |mut frame: Vec<u8>| {
        frame[14 + 7] = 255;
        frame
    };
    host.input(last_hop(fragment(ICMPV6, 0, true, 1, &solicitation[..24])));
    host.input(last_hop(fragment(ICMPV6, 24, false, 1, &solicitation[24..])));
    assert!(host.sent_raw(host.netif).is_empty());
    assert_eq!(host.stack.counters().ip6.reassembly_failed, 1);
}

/// A fragment in a fragment could go round in circles.
#[test]
fn fragments_in_fragments_are_dropped() {
    let mut host = host();
    listen(&mut host);
    let inner = [fragment_header(UDP, 0, true, 2), udp(&pattern(32))].concat();
    host.input(fragment(FRAGMENT, 0, true, 1, &inner));
    host.input(fragment(FRAGMENT, inner.len(), false, 1, &[1; 8]));
    assert!(host.heard().is_empty());
    host.advance(Duration::from_secs(61));
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [8200-7]
#[test]
fn what_is_not_whole_in_time_is_reported_if_its_first_fragment_came() {
    let mut host = host();
    let first = fragment(UDP, 0, true, 1, &udp(&pattern(992)));
    host.input(&first);
    host.input(fragment(UDP, 1_000, true, 2, &[1; 80]));
    host.advance(Duration::from_millis(59_999));
    assert!(host.sent_raw(host.netif).is_empty());
    host.advance(Duration::from_millis(1));
    let netif = host.netif;
    let (kind, code, _, quoted) = complaint(&mut host, netif);
    assert_eq!((kind, code), (3, 1));
    assert_eq!(quoted, first[14..]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

const FAR_IP: &str = "2001:db8:1::7";
const FAR_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 1, 7);

/// A router between `2001:db8::/64` and `2001:db8:1::/64`.
fn router(far_mtu: u16) -> (Host, NetifHandle) {
    let mut host = host();
    let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 1, 1)).mtu(far_mtu);
    let far = host.add(&config);
    host.stack.netif(host.netif).unwrap().set_forwarding(true).unwrap();
    let mut netif = host.stack.netif(far).unwrap();
    netif.ipv6_add(ip("2001:db8:1::1"), 64).unwrap();
    netif.set_neighbour(IpAddr::V6(ip(FAR_IP)), FAR_MAC).unwrap();
    host.poll();
    host.sent_raw(far);
    host.discard_sent();
    (host, far)
}

#[test]
fn packets_to_others_go_on_with_a_hop_less() {
    let (mut host, far) = router(1_500);
    let sent = packet(PEER_IP, FAR_IP, UDP, &pattern(1_460));
    host.input(frame_of(&sent));
    let frames = host.sent_raw(far);
    let [frame] = &frames[..] else { panic!("{frames:02x?}") };
    assert_eq!(frame[..6], FAR_MAC.0);
    assert_eq!(frame[14 + 7], 63);
    assert_eq!((&frame[14..21], &frame[22..]), (&sent[..7], &sent[8..]));
    assert_eq!(host.memory_used(), (0, 0, 0));
    host.stack.netif(host.netif).unwrap().set_forwarding(false).unwrap();
    host.input(frame_of(&sent));
    assert!(host.sent_raw(far).is_empty());
}

/// [4443-9] A router never cuts IPv6 packets.
#[test]
fn what_cannot_go_on_is_told() {
    let (mut host, far) = router(1_280);
    let near = host.netif;
    let long = packet(PEER_IP, FAR_IP, UDP, &pattern(1_241));
    let mut last_hop = packet(PEER_IP, FAR_IP, UDP, &pattern(10));
    last_hop[7] = 1;
    let nowhere = packet(PEER_IP, "2001:db8:2::1", UDP, &pattern(10));
    for (sent, (kind, code, rest)) in [(long, (2, 0, 1_280)), (last_hop, (3, 0, 0)), (nowhere, (1, 0, 0))] {
        host.input(frame_of(&sent));
        let (seen_kind, seen_code, seen_rest, quoted) = complaint(&mut host, near);
        assert_eq!((seen_kind, seen_code, u32::from_be_bytes(seen_rest)), (kind, code, rest));
        assert_eq!(quoted, sent[..quoted.len()]);
        assert!(host.sent_raw(far).is_empty());
    }
    host.input(frame_of(&packet(PEER_IP, FAR_IP, UDP, &pattern(1_240))));
    assert_eq!(host.sent_raw(far).len(), 1);
}

#[test]
fn what_must_stay_on_its_link_is_not_forwarded() {
    let (mut host, far) = router(1_500);
    let cases = [
        ("fe80::9", FAR_IP),
        (PEER_IP, "fe80::7"),
        (PEER_IP, "ff0e::1"),
        (PEER_IP, "::1"),
        (PEER_IP, "::"),
        ("::1", FAR_IP),
        ("::", FAR_IP),
        ("ff0e::1", FAR_IP),
        ("2001:db8:1::1", FAR_IP),
        ("::ffff:192.0.2.9", FAR_IP),
    ];
    for (from, to) in cases {
        host.input(frame_of(&packet(from, to, UDP, &pattern(10))));
        assert!(host.sent_raw(far).is_empty() && host.sent_raw(host.netif).is_empty(), "{from} to {to}");
    }
    let mut broadcast = frame_of(&packet(PEER_IP, FAR_IP, UDP, &pattern(10)));
    broadcast[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    host.input(broadcast);
    assert!(host.sent_raw(far).is_empty());
    assert_eq!(host.stack.counters().ip6.forwarded, 0);
}
