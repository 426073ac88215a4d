//! ICMP: echo, errors out and about what, errors in and to whom [RFC 792, RFC 1122 §3.2.2].

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::*;

/// Type and code of every message that leaves, after the peer is known.
fn answers(host: &mut Host, frame: Vec<u8>) -> Vec<(u8, u8)> {
    host.input(frame);
    host.sent().iter().map(|sent| (sent.icmp().0, sent.icmp().1)).collect()
}

fn met() -> Host {
    let mut host = host();
    host.meet_peer();
    host
}

/// [1122-ICMP-6] Data unchanged, identifier and sequence too, from the address that was asked.
#[test]
fn echo_requests_of_every_length_are_answered_with_the_same_data() {
    let mut host = met();
    for len in [0_u16, 1, 2, 3, 7, 8, 55, 56, 57, 1_000, 1_471, 1_472] {
        let data: Vec<u8> = (0..len).map(|index| (index * 7) as u8).collect();
        host.input(Packet::ping(0x1234, len, &data).frame());
        let reply = host.sent_one();
        let (kind, code, rest, echoed) = reply.icmp();
        assert_eq!((kind, code, echoed), (0, 0, &data[..]));
        assert_eq!(rest, [0x12, 0x34, (len >> 8) as u8, len as u8]);
        assert_eq!((reply.source(), reply.destination(), reply.to), (OURS, PEER, PEER_MAC));
        assert_eq!(reply.ip().time_to_live, 64);
    }
    assert_eq!(host.stack.counters().icmp.echo_replies, 12);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// The checksum is brought up to date from 0xf7ff, 0xffff and their neighbours without an error [RFC 1624 §3].
#[test]
fn the_checksum_of_a_reply_is_right_for_every_checksum_of_a_request() {
    let mut host = met();
    for word in (0..=u16::MAX).step_by(257).chain([0xf7fd, 0xf7fe, 0xf7ff, 0xf800, 0xfffe]) {
        host.input(Packet::ping(0, 0, &word.to_be_bytes()).frame());
        assert_eq!(host.sent_one().icmp().3, word.to_be_bytes());
    }
}

#[test]
fn a_reply_to_a_frame_in_pieces_is_whole() {
    let mut host = met();
    let bytes = Packet::ping(1, 2, &[9; 150]).frame();
    for piece in [1, 14, 15, 33, 34, 35, 41, 42, 43, 100] {
        let mut pieces = bytes.chunks(piece).map(|piece| host.frame(piece));
        let mut frame = pieces.next().unwrap();
        pieces.for_each(|piece| frame.cat(piece).unwrap());
        host.stack.input(host.netif, frame, host.now).unwrap();
        assert_eq!(host.sent_one().icmp().3, [9; 150]);
    }
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// The type of service of a reply is that of its request [RFC 1122 §3.2.2.6].
#[test]
fn a_reply_has_the_type_of_service_of_its_request() {
    let mut host = met();
    let request = Packet::ping(1, 1, b"").with_header(|header| {
        header.dscp = etherparse::IpDscp::try_new(8).unwrap();
        header.header_checksum = header.calc_header_checksum();
    });
    host.input(request.frame());
    assert_eq!(host.sent_one().tos(), 8 << 2);
}

/// [1122-ICMP-7] Echo requests to many are not answered unless the owner of the stack wants that.
#[test]
fn echo_requests_to_broadcast_and_multicast_are_ignored_unless_asked_for() {
    let many = [Ipv4Addr::BROADCAST, BROADCAST, Ipv4Addr::new(224, 0, 0, 1)];
    let request = |to: Ipv4Addr| {
        let mut packet = Packet::ping(1, 1, b"all");
        packet.header.destination = to.octets();
        packet.addressed_to(if to.is_multicast() {
            MacAddr::new(1, 0, 0x5e, 0, 0, 1)
        } else {
            MacAddr::BROADCAST
        })
    };
    let mut host = met();
    for to in many {
        assert_eq!(answers(&mut host, request(to).frame()), []);
    }
    assert_eq!(host.stack.counters().icmp.broadcast_echo, 3);
    let mut host = Host::configured(|setup| setup.config.broadcast_echo = true);
    host.meet_peer();
    for to in many {
        host.input(request(to).frame());
        assert_eq!(host.sent_one().source(), OURS, "an answer from {to}");
    }
}

#[test]
fn a_wrong_checksum_a_short_message_and_an_odd_code_are_dropped() {
    let mut host = met();
    for at in 0..12 {
        let wrong = Packet::ping(1, 1, b"data").with_payload(|message| message[at] ^= 0x10);
        assert_eq!(answers(&mut host, wrong.frame()), []);
    }
    assert_eq!(host.stack.counters().icmp.bad_checksum, 12);
    for len in 0..8 {
        let short = Packet::ping(1, 1, b"").with_payload(|message| message.truncate(len));
        assert_eq!(answers(&mut host, short.frame()), []);
    }
    assert_eq!(host.stack.counters().icmp.truncated, 8);
    assert_eq!(answers(&mut host, Packet::icmp(8, 1, [0; 4], b"odd code").frame()), []);
    let no_check = Checksums::ALL.without(Checksums::CHECK_ICMP);
    host.stack.netif(host.netif).unwrap().set_checksums(no_check).unwrap();
    let wrong = Packet::ping(1, 1, b"data").with_payload(|message| message[8] ^= 1).frame();
    host.input(wrong);
    assert_eq!(host.sent_raw(host.netif).len(), 1, "the device is trusted");
}

/// [1122-ICMP-1, 1122-ICMP-9, 1122-ICMP-11, 6633-1] Unknown types, source quench, redirects, timestamps, address
/// masks and router advertisements change nothing and are not answered.
#[test]
fn messages_that_we_do_not_act_on_change_nothing() {
    let mut host = met();
    let udp = host.udp("sender", 5_000);
    let quoted = Packet::udp("192.0.2.2:5000", "192.0.2.9:9", b"quoted").packet();
    let route = host.stack.route(PEER.into()).unwrap();
    let mut count = 0;
    for kind in (0..=255).filter(|kind| ![3, 8, 11, 12].contains(kind)) {
        for code in [0, 1, 255] {
            let message = Packet::icmp(kind, code, GATEWAY.octets(), &quoted);
            assert_eq!(answers(&mut host, message.frame()), [], "type {kind}");
            count += 1;
        }
    }
    assert!(host.heard().is_empty());
    let icmp = host.stack.counters().icmp;
    assert_eq!((icmp.unhandled, icmp.bad_quote), (count - 2, 2), "the gateway is not who redirects");
    assert_eq!(host.stack.route(PEER.into()), Ok(route));
    host.stack.udp(udp).unwrap().send_bytes_to(b"as before", (PEER, 9).into()).unwrap();
    assert_eq!(host.sent_one().to, PEER_MAC);
}

/// [1122-UDP-1, 1122-ICMP-2] Port unreachable, quoting what it is about.
#[test]
fn a_datagram_to_a_closed_port_is_answered_with_port_unreachable() {
    let mut host = met();
    for (len, quote) in [(0, 28), (8, 36), (520, 548), (521, 548), (1_400, 548)] {
        let packet = Packet::udp("192.0.2.9:5000", "192.0.2.2:99", &vec![5; len]);
        host.input(packet.frame());
        let error = host.sent_one();
        let (kind, code, rest, quoted) = error.icmp();
        assert_eq!((kind, code, rest), (3, 3, [0; 4]));
        assert_eq!(quoted, &packet.packet()[..quote], "[RFC 1812 §4.3.2.3] as much as fits into 576");
        assert!(error.ip().total_len <= 576);
        assert_eq!((error.source(), error.destination()), (OURS, PEER));
    }
    let lite = Packet::udp_lite("192.0.2.9:5000", "192.0.2.2:99", b"lite", 12, 0);
    assert_eq!(answers(&mut host, lite.frame()), [(3, 3)]);
    assert_eq!(host.stack.counters().udp.no_port, 5);
}

#[test]
fn an_unknown_protocol_is_answered_with_protocol_unreachable() {
    let mut host = met();
    for protocol in [0, 3, 47, 50, 255] {
        let packet = Packet::new(PEER, OURS, protocol, vec![1; 40]);
        assert_eq!(answers(&mut host, packet.frame()), [(3, 2)], "protocol {protocol}");
    }
    assert_eq!(host.stack.counters().ip.unknown_protocol, 5);
}

/// [RFC 792] The pointer says at which byte the header is wrong.
#[test]
fn malformed_options_are_answered_with_the_place_where_they_are_wrong() {
    let mut host = met();
    for (options, pointer) in [
        (&[0x44, 1, 0, 0][..], 20),
        (&[1, 0x44, 0, 0], 21),
        (&[1, 1, 1, 0x44], 23),
        (&[0x44, 9, 5, 0], 20),
        (&[0x88, 4, 0, 0, 0x44, 5, 0, 0], 24),
    ] {
        let packet = Packet::udp("192.0.2.9:5000", "192.0.2.2:99", b"x").options(options);
        host.input(packet.frame());
        let error = host.sent_one();
        let (kind, code, rest, quoted) = error.icmp();
        assert_eq!((kind, code, rest), (12, 0, [pointer, 0, 0, 0]), "{options:?}");
        assert_eq!(quoted, packet.packet());
    }
}

/// [1122-ICMP-3, 1122-ICMP-4] Never an error about an ICMP error, a broadcast, a multicast, a non-first fragment,
/// or a source that is not one host.
#[test]
fn no_error_is_sent_about_what_must_not_be_answered() {
    let mut host = met();
    host.stack.netif(host.netif).unwrap().join_group(Ipv4Addr::new(239, 1, 1, 1).into()).unwrap();
    host.discard_sent();
    let closed = Packet::udp("192.0.2.9:5000", "192.0.2.2:99", b"x");
    let bad_options = closed.clone().options(&[0x44, 1, 0, 0]);
    let quoted = closed.packet();
    let no_protocol = Packet::new(PEER, OURS, 200, vec![0; 8]);
    let mut silent = vec![
        ("to the limited broadcast", Packet::udp("192.0.2.9:5", "255.255.255.255:99", b"x")),
        ("to the network's broadcast", Packet::udp("192.0.2.9:5", "192.0.2.255:99", b"x")),
        ("to all systems", Packet::udp("192.0.2.9:5", "224.0.0.1:99", b"x")),
        ("to a group", Packet::udp("192.0.2.9:5", "239.1.1.1:99", b"x")),
        ("in a broadcast frame", closed.clone().addressed_to(MacAddr::BROADCAST)),
        ("in a multicast frame", closed.clone().addressed_to(MacAddr::new(1, 0, 0x5e, 0, 0, 1))),
        ("broadcast with bad options", bad_options.clone().destination(BROADCAST)),
        ("a first fragment", no_protocol.clone().fragment(0, true)),
        ("a later fragment", no_protocol.clone().fragment(16, false)),
        ("a later fragment with bad options", bad_options.clone().fragment(8, true)),
        ("a source route", closed.clone().options(&[0x83, 7, 4, 10, 0, 0, 1, 0])),
        ("a strict source route", closed.clone().options(&[0x89, 7, 4, 10, 0, 0, 1, 0])),
        ("an error with bad options", Packet::icmp(3, 3, [0; 4], &quoted).options(&[0x44, 1, 0, 0])),
        ("a redirect with bad options", Packet::icmp(5, 0, [0; 4], &quoted).options(&[0x44, 1, 0, 0])),
        ("an empty ICMP message", Packet::new(PEER, OURS, 1, Vec::new()).options(&[0x44, 1, 0, 0])),
    ];
    let no_hosts = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "192.0.2.255", "192.0.2.2", "224.0.0.1", "240.0.0.1"];
    for source in no_hosts {
        silent.push(("from a source that is no host", closed.clone().source(source.parse().unwrap())));
    }
    for kind in [3, 11, 12, 4, 5] {
        silent.push(("about an error", Packet::icmp(kind, 0, [0; 4], &quoted)));
    }
    for (what, packet) in silent {
        assert_eq!(answers(&mut host, packet.frame()), [], "{what}");
    }
    assert_eq!(answers(&mut host, bad_options.fragment(0, true).frame()), [(12, 0)], "a first one may");
    assert_eq!(answers(&mut host, closed.frame()), [(3, 3)]);
}

/// [own-RL] A token bucket limits errors; echo replies are not errors.
#[test]
fn errors_are_limited_by_rate_and_burst() {
    let mut host = Host::configured(|setup| {
        (setup.config.icmp_errors_per_second, setup.config.icmp_error_burst) = (10, 5);
    });
    host.meet_peer();
    let closed = Packet::udp("192.0.2.9:5000", "192.0.2.2:99", b"x").frame();
    let flood = |host: &mut Host| (0..50).map(|_| answers(host, closed.clone()).len()).sum::<usize>();
    assert_eq!(flood(&mut host), 5);
    assert_eq!(host.stack.counters().icmp.rate_limited, 45);
    host.advance(Duration::from_millis(300));
    assert_eq!(flood(&mut host), 3);
    host.advance(Duration::from_mins(3));
    assert_eq!(flood(&mut host), 5, "no more than a burst, however long it was quiet");
    assert_eq!(answers(&mut host, Packet::ping(1, 1, b"").frame()), [(0, 0)]);
}

fn error_about(kind: u8, code: u8, rest: [u8; 4], quoted: &Packet) -> Packet {
    Packet::icmp(kind, code, rest, &quoted.packet()[..28])
}

/// [1122-ICMP-5, 1122-UDP-2] Every kind of error reaches the control block that sent the datagram.
#[test]
fn errors_come_to_the_control_block_that_they_concern() {
    let mut host = met();
    host.udp("sender", 5_000);
    host.udp("other", 5_001);
    let sent = Packet::udp("192.0.2.2:5000", "198.51.100.9:53", b"quoted");
    let router: Ipv4Addr = "203.0.113.1".parse().unwrap();
    let kinds = [
        (3, 0, IcmpErrorKind::NetUnreachable, Error::Route),
        (3, 1, IcmpErrorKind::HostUnreachable, Error::Route),
        (3, 2, IcmpErrorKind::ProtocolUnreachable, Error::Reset),
        (3, 3, IcmpErrorKind::PortUnreachable, Error::Reset),
        (3, 4, IcmpErrorKind::FragmentationNeeded { mtu: 1_280 }, Error::Value),
        (3, 5, IcmpErrorKind::SourceRouteFailed, Error::Route),
        (3, 6, IcmpErrorKind::NetUnreachable, Error::Route),
        (3, 7, IcmpErrorKind::HostUnreachable, Error::Route),
        (3, 9, IcmpErrorKind::NetUnreachable, Error::Route),
        (3, 10, IcmpErrorKind::HostUnreachable, Error::Route),
        (3, 11, IcmpErrorKind::NetUnreachable, Error::Route),
        (3, 12, IcmpErrorKind::HostUnreachable, Error::Route),
        (3, 13, IcmpErrorKind::HostUnreachable, Error::Route),
        (11, 0, IcmpErrorKind::TimeExceeded, Error::Timeout),
        (11, 1, IcmpErrorKind::ReassemblyTimeExceeded, Error::Timeout),
        (12, 0, IcmpErrorKind::ParameterProblem { pointer: 0 }, Error::Value),
    ];
    for (kind, code, expected, amounts_to) in kinds {
        host.input(error_about(kind, code, [0, 0, 5, 0], &sent).source(router).frame());
        let error = IcmpError { kind: expected, reporter: Some(router.into()) };
        let to = SocketAddr::from(([198, 51, 100, 9], 53));
        assert_eq!(host.heard(), [Heard::DatagramError { who: "sender", to, error }], "{kind}/{code}");
        assert_eq!(error.error(), amounts_to);
    }
    host.input(error_about(12, 0, [20, 0, 0, 0], &sent).frame());
    let Some(Heard::DatagramError { error, .. }) = host.heard().pop() else { panic!("no error") };
    assert_eq!(error.kind, IcmpErrorKind::ParameterProblem { pointer: 20 });
    host.input(error_about(3, 99, [0; 4], &sent).frame());
    assert!(host.heard().is_empty() && host.sent().is_empty());
    assert_eq!(host.stack.counters().icmp.errors_reported, 17);
}

/// [1122-ICMP-8] An error is a hint: the control block lives on, and sends as before.
#[test]
fn a_connected_control_block_hears_errors_about_its_peer_only_and_lives_on() {
    let mut host = met();
    let udp = host.udp("client", 5_000);
    host.stack.udp(udp).unwrap().connect((PEER, 9).into()).unwrap();
    host.input(error_about(3, 3, [0; 4], &Packet::udp("192.0.2.2:5000", "192.0.2.9:9", b"x")).frame());
    assert_eq!(host.who_heard(), ["client"]);
    for stranger in ["192.0.2.9:10", "192.0.2.8:9"] {
        host.input(error_about(3, 3, [0; 4], &Packet::udp("192.0.2.2:5000", stranger, b"x")).frame());
    }
    assert!(host.heard().is_empty());
    let data = host.data(b"still here");
    host.stack.udp(udp).unwrap().send(data).unwrap();
    assert_eq!(host.sent_one().udp_data(), b"still here");
}

/// [pitfalls: ICMP] Quotes that are short, not ours, fragments, nested or of other protocols, without recursion.
#[test]
fn quotes_that_prove_nothing_are_ignored() {
    let mut host = met();
    host.udp("sender", 5_000);
    let sent = Packet::udp("192.0.2.2:5000", "192.0.2.9:53", b"quoted");
    let whole = sent.packet();
    for len in 0..24 {
        host.input(Packet::icmp(3, 3, [0; 4], &whole[..len]).frame());
    }
    let nested = Packet::icmp(3, 3, [0; 4], &whole).source(OURS).destination(PEER);
    let nested_twice = Packet::icmp(3, 3, [0; 4], &nested.packet()).source(OURS).destination(PEER);
    for wrong in [
        sent.clone().source(Ipv4Addr::new(192, 0, 2, 3)),
        sent.clone().source(BROADCAST),
        sent.clone().fragment(8, false),
        sent.clone().with_header(|header| header.protocol = etherparse::IpNumber(6)),
        Packet::udp("192.0.2.2:5999", "192.0.2.9:53", b"no such port"),
        nested,
        nested_twice,
    ] {
        host.input(Packet::icmp(3, 3, [0; 4], &wrong.packet()).frame());
    }
    for (at, byte) in [(0, 0x65), (0, 0x44), (0, 0x4f)] {
        let mut odd = whole.clone();
        odd[at] = byte;
        host.input(Packet::icmp(3, 3, [0; 4], &odd[..28]).frame());
    }
    assert!(host.heard().is_empty() && host.sent().is_empty());
    host.input(Packet::icmp(3, 3, [0; 4], &whole[..28]).frame());
    assert_eq!(host.who_heard(), ["sender"]);
}

#[test]
fn errors_about_raw_packets_and_pings_of_ours_come_to_the_raw_control_block() {
    let mut host = met();
    let app = host.app("pinger");
    let raw = host.stack.raw_new(1, app).unwrap();
    host.stack.raw(raw).unwrap().connect(PEER.into()).unwrap();
    let ping = Packet::ping(7, 1, b"").source(OURS).destination(PEER);
    host.input(Packet::icmp(3, 1, [0; 4], &ping.packet()).source(GATEWAY).frame());
    let error = IcmpError { kind: IcmpErrorKind::HostUnreachable, reporter: Some(GATEWAY.into()) };
    let expected = Heard::PacketError { who: "pinger", to: IpAddr::V4(PEER), error };
    assert_eq!(host.heard(), [expected]);
    let elsewhere = Packet::ping(7, 1, b"").source(OURS).destination(Ipv4Addr::new(192, 0, 2, 8));
    host.input(Packet::icmp(3, 1, [0; 4], &elsewhere.packet()).source(GATEWAY).frame());
    assert!(host.heard().is_empty());
}
