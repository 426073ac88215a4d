//! Fragments of IPv4 in and out [RFC 791 §3.2] [RFC 1122 §3.3.2].

mod common;
use common::*;

use std::time::Duration;

use coracle::*;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ at >> 8) as u8).collect()
}

fn listening() -> Host {
    let mut host = host();
    host.meet_peer();
    host.udp("server", 7);
    host
}

fn long_datagram(len: usize, identification: u16) -> Packet {
    let mut packet = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", &pattern(len));
    packet.header.identification = identification;
    packet
}

/// [1122-IP-7] [pitfalls: fragments]
#[test]
fn a_datagram_in_fragments_is_delivered_once_it_is_whole() {
    let mut host = listening();
    let used = host.memory_used();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let fragments = long_datagram(5_000, order[0] as u16).fragments(1_480);
        assert_eq!(fragments.len(), 4);
        for (count, &at) in order.iter().enumerate() {
            assert!(host.heard().is_empty(), "{count} of 4");
            host.input(fragments[at].frame());
        }
        let heard = host.heard();
        let [Heard::Datagram { data, packet, from, .. }] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(*data, pattern(5_000));
        assert_eq!(from.port(), 5_000);
        assert_eq!((packet.total_len, packet.header_len), (5_028, 20));
    }
    let ip = host.stack.counters().ip;
    assert_eq!((ip.fragments, ip.reassembled, ip.reassembly_failed), (16, 4, 0));
    assert_eq!(host.memory_used(), used);
    assert_eq!(host.stack.next_deadline().map(|at| at > host.now), Some(true), "the neighbour's timer");
}

#[test]
fn fragments_of_two_datagrams_do_not_mix() {
    let mut host = listening();
    let (one, two) = (long_datagram(2_000, 1), long_datagram(2_500, 2));
    let (one, two) = (one.fragments(1_480), two.fragments(1_480));
    host.input(one[0].frame());
    host.input(two[1].frame());
    assert!(host.heard().is_empty());
    host.input(two[0].frame());
    assert_eq!(host.datagrams(), [pattern(2_500)]);
    host.input(one[1].frame());
    assert_eq!(host.datagrams(), [pattern(2_000)]);
}

/// The largest ping there is comes back, cut to the MTU of the link [1122-ICMP-6].
#[test]
fn a_ping_of_65507_bytes_is_answered_in_fragments() {
    let mut host = host();
    host.meet_peer();
    let used = host.memory_used();
    for (sequence, len) in [(1, 1_473), (2, 1_480), (3, 8_000), (4, 65_507)] {
        let mut ping = Packet::ping(7, sequence, &pattern(len));
        ping.header.identification = sequence;
        for fragment in ping.fragments(1_480) {
            assert!(host.sent().is_empty());
            host.input(fragment.frame());
        }
        let answer = host.sent();
        assert_eq!(answer.len(), (len + 8_usize).div_ceil(1_480));
        assert!(
            answer.iter().all(|fragment| (fragment.to, fragment.ip().dont_fragment) == (PEER_MAC, false))
        );
        let (kind, _, rest, data) = {
            let whole = assemble(&answer);
            let (a, b, c, d) = whole.icmp();
            (a, b, c, d.to_vec())
        };
        assert_eq!((kind, rest, data), (0, [0, 7, 0, sequence as u8], pattern(len)));
    }
    drop(host.sent());
    assert_eq!(host.memory_used(), used);
}

#[test]
fn raw_control_blocks_get_the_whole_packet_under_a_whole_ones_header() {
    let mut host = host();
    host.meet_peer();
    let app = host.app("raw");
    host.stack.raw_new(17, app).unwrap();
    for fragment in long_datagram(3_000, 9).options(&[1, 1, 1, 0]).fragments(1_480) {
        host.input(fragment.frame());
    }
    let heard = host.heard();
    let [Heard::Packet { packet, .. }] = &heard[..] else { panic!("{heard:?}") };
    let seen = Seen::packet(packet);
    assert_eq!(seen.udp_data(), pattern(3_000));
    assert!(!seen.ip().more_fragments);
    assert_eq!(seen.ip().options.as_slice(), [1, 1, 1, 0]);
}

/// [1122-IP-8] Time exceeded, code 1, with the first fragment quoted; nothing where that one is missing.
#[test]
fn what_is_not_whole_in_time_is_given_up() {
    let mut host = listening();
    let used = host.memory_used();
    let first = long_datagram(3_000, 1).fragments(1_480);
    host.input(first[0].frame());
    host.input(long_datagram(3_000, 2).fragments(1_480)[1].frame());
    host.advance(Duration::from_millis(59_999));
    assert!(host.sent().iter().all(Seen::is_arp));
    host.meet_peer();
    host.advance(Duration::from_millis(1));
    let error = host.sent_one();
    let (kind, code, _, quote) = error.icmp();
    assert_eq!((kind, code, error.destination()), (11, 1, PEER));
    assert_eq!(quote[..28], first[0].packet()[..28]);
    assert_eq!(host.memory_used(), used);
    // The rest is too late now.
    host.input(first[1].frame());
    host.input(first[2].frame());
    assert!(host.heard().is_empty());
    assert_eq!(host.stack.counters().ip.reassembly_failed, 2);
}

/// [5722/3128] [pitfalls: fragments] Overlaps, lengths that are not multiples of eight, datagrams beyond 65,535 bytes,
/// first fragments too short for TCP's flags, and second ones that reach into them.
#[test]
fn hostile_fragments_are_dropped() {
    let mut host = listening();
    let used = host.memory_used();
    let piece =
        |offset: usize, more, len| Packet::new(PEER, OURS, UDP, vec![7; len]).fragment(offset as u16, more);
    let tcp = |offset, more, len| Packet::new(PEER, OURS, 6, vec![7; len]).fragment(offset, more);
    let alone = [
        piece(0, true, 7),
        piece(0, true, 0),
        piece(8, false, 0),
        piece(65_528, false, 1),
        piece(65_504, true, 16),
        tcp(0, true, 8),
        tcp(8, false, 8),
        tcp(8, true, 800),
    ];
    for (number, hostile) in alone.iter().enumerate() {
        host.input(hostile.frame());
        assert_eq!(host.stack.counters().ip.reassembly_failed as usize, number + 1, "{hostile:?}");
    }
    let pairs = [
        [piece(0, true, 40), piece(32, false, 40)],
        [piece(0, true, 80), piece(16, true, 8)],
        [piece(80, false, 8), piece(88, false, 8)],
    ];
    for pair in pairs {
        let before = host.stack.counters().ip.reassembly_failed;
        host.input(pair[0].frame());
        host.input(pair[1].frame());
        assert_eq!(host.stack.counters().ip.reassembly_failed, before + 1);
    }
    assert_eq!(host.memory_used(), used);
    assert!(host.sent().is_empty() && host.heard().is_empty());
    assert_eq!(host.stack.netif(host.netif).unwrap().counters().unwrap().in_errors, 11);
}

/// [pitfalls: fragments] One that never completes anything holds its share and no more.
#[test]
fn a_peer_that_sends_first_fragments_only_keeps_nobody_out() {
    let mut host = listening();
    for identification in 0..200 {
        let source = [198, 51, 100, 7].into();
        host.input(long_datagram(3_000, identification).source(source).fragments(1_480)[0].frame());
    }
    for fragment in long_datagram(3_000, 1).fragments(1_480) {
        host.input(fragment.frame());
    }
    assert_eq!(host.datagrams(), [pattern(3_000)]);
    assert!(host.memory_used().0 <= 8, "{:?}", host.memory_used());
}

#[test]
fn an_interface_that_is_removed_takes_its_fragments_along() {
    let mut host = listening();
    let used = host.memory_used();
    host.input(long_datagram(3_000, 1).fragments(1_480)[0].frame());
    assert_ne!(host.memory_used(), used);
    host.stack.netif_remove(host.netif).unwrap();
    assert_eq!(host.memory_used(), used);
}

#[test]
fn a_datagram_beyond_the_mtu_leaves_in_fragments() {
    let mut host = listening();
    let udp = host.udp("client", 5);
    let used = host.memory_used();
    for len in [1_473, 1_480, 2_952, 2_953, 5_000, 65_507] {
        let data = host.data(&pattern(len));
        host.stack.udp(udp).unwrap().send_to(data, "192.0.2.9:9".parse().unwrap()).unwrap();
        let sent = host.sent();
        assert_eq!(sent.len(), (len + 8).div_ceil(1_480));
        assert!(sent.iter().all(|fragment| fragment.payload.len() <= 1_480 && fragment.to == PEER_MAC));
        assert_eq!(assemble(&sent).udp_data(), pattern(len));
        assert_eq!(host.memory_used(), used);
    }
    let ip = host.stack.counters().ip;
    assert_eq!((ip.fragmented, ip.fragments_sent), (6, 2 + 2 + 2 + 3 + 4 + 45));
}

/// [6864-2] Each datagram has an identification of its own.
#[test]
fn datagrams_have_different_identifications() {
    let mut host = listening();
    let udp = host.udp("client", 5);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let data = host.data(&[1; 2_000]);
        host.stack.udp(udp).unwrap().send_to(data, "192.0.2.9:9".parse().unwrap()).unwrap();
        assert!(seen.insert(host.sent()[0].ip().identification));
    }
}

#[test]
fn more_than_a_packet_holds_is_refused_and_comes_back() {
    let mut host = listening();
    let udp = host.udp("client", 5);
    let data = host.data(&pattern(65_508));
    let to = "192.0.2.9:9".parse().unwrap();
    let rejected = host.stack.udp(udp).unwrap().send_to(data, to).unwrap_err();
    assert_eq!((rejected.error, rejected.data.len()), (Error::Value, 65_508));
    assert!(host.sent().is_empty());
}

/// All fragments or none: there is room for fewer in the queue.
#[test]
fn without_room_for_all_fragments_none_is_sent() {
    let mut host = Host::configured(|setup| setup.netif.queue = 3);
    host.meet_peer();
    let udp = host.udp("client", 5);
    let used = host.memory_used();
    let to = "192.0.2.9:9".parse().unwrap();
    for (len, fits) in [(4_433, false), (4_432, true)] {
        let data = host.data(&pattern(len));
        match host.stack.udp(udp).unwrap().send_to(data, to) {
            Ok(()) => assert!(fits),
            Err(rejected) => {
                assert!(!fits);
                assert_eq!(rejected.error, Error::WouldBlock);
                assert_eq!(bytes_of(&rejected.data), pattern(len));
            }
        }
        assert_eq!(host.sent().len(), if fits { 3 } else { 0 });
    }
    assert_eq!(host.memory_used(), used);
}

/// Views need references; without enough of them the data comes back as it was.
#[test]
fn without_references_nothing_is_sent_and_the_data_comes_back() {
    let mut host = Host::configured(|setup| setup.memory.references = 2);
    host.meet_peer();
    let udp = host.udp("client", 5);
    let data = host.data(&pattern(5_000));
    let to = "192.0.2.9:9".parse().unwrap();
    let rejected = host.stack.udp(udp).unwrap().send_to(data, to).unwrap_err();
    assert_eq!((rejected.error, bytes_of(&rejected.data)), (Error::Memory, pattern(5_000)));
    assert!(host.sent().is_empty());
}

/// A datagram counts once while it waits for its neighbour, however many fragments it has.
#[test]
fn a_long_datagram_waits_for_its_neighbour_as_one() {
    let mut host = host();
    let udp = host.udp("client", 5);
    let data = host.data(&pattern(9_000));
    host.stack.udp(udp).unwrap().send_to(data, "192.0.2.9:9".parse().unwrap()).unwrap();
    assert!(host.sent_one().is_arp());
    host.input(Arp::reply(PEER_MAC, PEER).frame());
    let sent = host.sent();
    assert_eq!(sent.len(), 7);
    assert!(sent.iter().all(|fragment| fragment.to == PEER_MAC));
    assert_eq!(assemble(&sent).udp_data(), pattern(9_000));
}

#[test]
fn raw_packets_are_cut_unless_their_header_forbids_it() {
    let mut host = listening();
    let app = host.app("raw");
    let raw = host.stack.raw_new(17, app).unwrap();
    host.stack.raw(raw).unwrap().set_header_included(true).unwrap();
    let mut packet = Packet::udp("192.0.2.2:5", "192.0.2.9:9", &pattern(3_000));
    for (dont_fragment, fragments) in [(false, 3), (true, 0)] {
        packet.header.dont_fragment = dont_fragment;
        let data = host.data(&packet.packet());
        let sent = host.stack.raw(raw).unwrap().send_to(data, PEER.into());
        assert_eq!(sent.is_ok(), !dont_fragment);
        let sent = host.sent();
        assert_eq!(sent.len(), fragments);
        if fragments > 0 {
            assert_eq!(assemble(&sent).udp_data(), pattern(3_000));
        }
    }
    assert_eq!(host.stack.counters().ip.too_big, 1);
}

/// What comes back crosses no link, so that nothing is cut.
#[test]
fn what_is_sent_to_ourselves_is_not_cut() {
    let mut host = listening();
    let udp = host.udp("client", 5);
    let data = host.data(&pattern(60_000));
    host.stack.udp(udp).unwrap().send_to(data, "192.0.2.2:7".parse().unwrap()).unwrap();
    host.poll();
    assert_eq!(host.datagrams(), [pattern(60_000)]);
    assert_eq!(host.stack.counters().ip.fragments, 0);
}
