//! UDP: binding, connecting, who gets a datagram, what is refused and why.

mod common;
use common::*;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use coracle::*;

fn at(endpoint: &str) -> SocketAddr {
    endpoint.parse().unwrap()
}

/// An unbound control block.
fn unbound(host: &mut Host, who: &'static str) -> UdpHandle {
    let app = host.app(who);
    host.stack.udp_new(app).unwrap()
}

fn bound(host: &mut Host, who: &'static str, to: &str) -> UdpHandle {
    let udp = unbound(host, who);
    host.stack.udp(udp).unwrap().bind(at(to)).unwrap();
    udp
}

fn from_peer(to: &str) -> Vec<u8> {
    Packet::udp("192.0.2.9:5000", to, b"data").frame()
}

/// [1122-UDP-7] The application learns where a datagram was sent to, and how it came.
#[test]
fn a_datagram_comes_with_all_that_its_headers_say() {
    let mut host = host();
    host.udp("server", 7);
    let packet = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"hello").with_header(|header| {
        header.time_to_live = 3;
        header.dscp = etherparse::IpDscp::try_new(46).unwrap();
        header.header_checksum = header.calc_header_checksum();
    });
    host.input(packet.frame());
    let expected = PacketInfo {
        netif: host.netif,
        source: PEER.into(),
        destination: OURS.into(),
        source_port: 5_000,
        destination_port: 7,
        cast: Cast::Unicast,
        protocol: 17,
        ttl: 3,
        tos: 46 << 2,
        header_len: 20,
        total_len: 33,
    };
    let data = b"hello".to_vec();
    let heard = Heard::Datagram { who: "server", from: at("192.0.2.9:5000"), data, packet: expected };
    assert_eq!(host.heard(), [heard]);
    assert_eq!(host.stack.counters().udp.delivered, 1);
}

/// [1122-UDP-7] TTL and type of service are the application's to choose.
#[test]
fn a_datagram_leaves_with_the_addresses_ttl_and_tos_that_were_chosen() {
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("client", 4_000);
    let mut pcb = host.stack.udp(udp).unwrap();
    pcb.send_bytes_to(b"plain", at("192.0.2.9:53")).unwrap();
    pcb.set_ttl(5).unwrap();
    pcb.set_tos(0xb8).unwrap();
    pcb.send_bytes_to(b"marked", at("192.0.2.9:53")).unwrap();
    let sent = host.sent();
    let (header, data) = sent[0].udp();
    assert_eq!((header.source_port, header.destination_port, data), (4_000, 53, &b"plain"[..]));
    assert_eq!((sent[0].source(), sent[0].destination()), (OURS, PEER));
    assert_eq!((sent[0].from, sent[0].to), (OUR_MAC, PEER_MAC));
    assert_eq!((sent[0].ip().time_to_live, sent[0].tos()), (64, 0));
    assert_eq!((sent[1].ip().time_to_live, sent[1].tos()), (5, 0xb8));
    assert_ne!(sent[0].ip().identification, sent[1].ip().identification);
}

/// [1122-UDP-4] A checksum is sent by default, also when it is left to chance what it is.
#[test]
fn a_checksum_that_computes_to_zero_goes_out_as_all_ones() {
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("client", 4_000);
    let header = Packet::new(OURS, PEER, 17, Vec::new()).header;
    let probe = etherparse::UdpHeader::with_ipv4_checksum(4_000, 53, &header, &[0, 0]).unwrap();
    // Data that is the checksum of the rest makes the sum zero.
    let data = probe.checksum.to_be_bytes();
    host.stack.udp(udp).unwrap().send_bytes_to(&data, at("192.0.2.9:53")).unwrap();
    let sent = host.sent_one();
    assert_eq!(sent.udp().0.checksum, 0xffff);
}

#[test]
fn the_checksum_is_left_out_where_the_application_or_the_device_says_so() {
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("client", 4_000);
    host.stack.udp(udp).unwrap().set_no_checksum(true).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"a", at("192.0.2.9:53")).unwrap();
    assert_eq!(host.sent_one().udp().0.checksum, 0);
    host.stack.udp(udp).unwrap().set_no_checksum(false).unwrap();
    let offload = Checksums::ALL.without(Checksums::GENERATE_UDP.union(Checksums::GENERATE_IP));
    host.stack.netif(host.netif).unwrap().set_checksums(offload).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"a", at("192.0.2.9:53")).unwrap();
    let frame = &host.sent_raw(host.netif)[0];
    assert_eq!((&frame[24..26], &frame[40..42]), (&[0, 0][..], &[0, 0][..]));
}

/// [1122-UDP-3] A non-zero checksum is verified, a zero one means none.
#[test]
fn a_wrong_checksum_is_dropped_in_silence_and_a_missing_one_is_no_fault() {
    let mut host = host();
    host.meet_peer();
    host.udp("server", 7);
    let wrong = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"odd").with_payload(|udp| udp[8] ^= 1);
    host.input(wrong.frame());
    let closed = Packet::udp("192.0.2.9:5000", "192.0.2.2:99", b"x").with_payload(|udp| udp[6] ^= 1);
    host.input(closed.frame());
    assert!(host.heard().is_empty() && host.sent().is_empty());
    assert_eq!(host.stack.counters().udp.bad_checksum, 2);
    let none = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"none").with_payload(|udp| udp[6..8].fill(0));
    host.input(none.frame());
    assert_eq!(host.datagrams(), [b"none"]);
    host.stack
        .netif(host.netif)
        .unwrap()
        .set_checksums(Checksums::ALL.without(Checksums::CHECK_UDP))
        .unwrap();
    host.input(wrong.frame());
    assert_eq!(host.datagrams().len(), 1, "the device is trusted to have checked");
}

/// [1122-UDP-6] The UDP length is held against the bytes that came: below 8 or beyond them is dropped, less trims.
#[test]
fn the_udp_length_field_is_held_against_the_ip_payload() {
    let mut host = host();
    host.udp("server", 7);
    let with_length = |length: u16| {
        Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"ten bytes!").with_payload(|udp| {
            udp[4..6].copy_from_slice(&length.to_be_bytes());
            udp[6..8].fill(0);
        })
    };
    for length in [0, 1, 4, 7, 19, 1_992, u16::MAX] {
        host.input(with_length(length).frame());
    }
    assert!(host.heard().is_empty());
    assert_eq!(host.stack.counters().udp.bad_length, 7);
    for length in [8, 9, 18] {
        host.input(with_length(length).frame());
    }
    assert_eq!(host.datagrams(), [&b""[..], b"t", b"ten bytes!"]);
    for cut in 0..8 {
        let cut = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"").with_payload(|udp| udp.truncate(cut));
        host.input(cut.frame());
    }
    assert_eq!(host.stack.counters().udp.truncated, 8);
    assert!(host.heard().is_empty());
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [RFC 3828 §3.1] The coverage is 0 or 8 to the length of the datagram; the checksum is never left out.
#[test]
fn udp_lite_checks_what_the_coverage_says_and_no_more() {
    let mut host = host();
    let app = host.app("lite");
    let lite = host.stack.udp_lite_new(app).unwrap();
    host.stack.udp(lite).unwrap().bind(at("0.0.0.0:7")).unwrap();
    host.udp("udp of the same port", 7);
    let datagram = |covered: usize, field: u16| {
        Packet::udp_lite("192.0.2.9:5000", "192.0.2.2:7", b"0123456789", covered, field)
    };
    for (covered, field) in [(18, 0), (8, 8), (9, 9), (18, 18)] {
        host.input(datagram(covered, field).frame());
        assert_eq!(host.who_heard(), ["lite"], "coverage {field}");
    }
    for field in [1, 7, 19, u16::MAX] {
        host.input(datagram(18, field).frame());
    }
    assert_eq!(host.stack.counters().udp_lite.bad_length, 4);
    let damaged = datagram(10, 10).with_payload(|bytes| bytes[17] ^= 0xff);
    host.input(damaged.frame());
    assert_eq!(host.datagrams().len(), 1, "damage behind the coverage is the application's to judge");
    host.input(datagram(10, 10).with_payload(|bytes| bytes[9] ^= 0xff).frame());
    host.input(datagram(18, 0).with_payload(|bytes| bytes[6..8].fill(0)).frame());
    assert_eq!(host.stack.counters().udp_lite.bad_checksum, 2);
    assert!(host.heard().is_empty());
}

/// [3828-2] Both coverages are the application's to set.
#[test]
fn udp_lite_refuses_datagrams_that_cover_less_than_demanded_and_sends_as_told() {
    let mut host = host();
    host.meet_peer();
    let app = host.app("lite");
    let lite = host.stack.udp_lite_new(app).unwrap();
    let mut udp = host.stack.udp(lite).unwrap();
    udp.bind(at("0.0.0.0:7")).unwrap();
    udp.set_demanded_coverage(12).unwrap();
    assert_eq!(udp.set_demanded_coverage(7), Err(Error::Value));
    assert_eq!(udp.set_coverage(1), Err(Error::Value));
    for (covered, taken) in [(8, 0), (11, 0), (12, 1), (18, 1)] {
        let packet = Packet::udp_lite("192.0.2.9:5", "192.0.2.2:7", b"0123456789", covered, covered as u16);
        host.input(packet.frame());
        assert_eq!(host.datagrams().len(), taken, "coverage {covered}");
    }
    host.input(Packet::udp_lite("192.0.2.9:5", "192.0.2.2:7", b"0123456789", 18, 0).frame());
    assert_eq!(host.datagrams().len(), 1, "everything is covered");
    assert_eq!(host.stack.counters().udp_lite.low_coverage, 2);
    for (coverage, field) in [(0, 0), (8, 8), (12, 12), (18, 0), (1_000, 0)] {
        let mut udp = host.stack.udp(lite).unwrap();
        udp.set_coverage(coverage).unwrap();
        udp.send_bytes_to(b"0123456789", at("192.0.2.9:5")).unwrap();
        let sent = host.sent_one();
        assert_eq!(sent.ip().protocol.0, 136);
        assert_eq!(u16::from_be_bytes([sent.payload[4], sent.payload[5]]), field, "coverage {coverage}");
    }
    let udp = host.udp("udp", 8);
    assert_eq!(host.stack.udp(udp).unwrap().set_coverage(8), Err(Error::Argument));
    assert_eq!(host.stack.udp(udp).unwrap().set_demanded_coverage(0), Err(Error::Argument));
}

/// Connected before bound, an address before any address, any before everything; an interface only if it fits.
#[test]
fn the_most_specific_control_block_gets_a_unicast_datagram() {
    let mut host = host();
    let all = unbound(&mut host, "all");
    host.stack.udp(all).unwrap().bind_all().unwrap();
    let expect = |host: &mut Host, who: &'static str| {
        host.input(from_peer("192.0.2.2:7"));
        assert_eq!(host.who_heard(), [who]);
    };
    expect(&mut host, "all");
    let new = |host: &mut Host, who| {
        let udp = unbound(host, who);
        host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
        udp
    };
    let wild = new(&mut host, "wild");
    host.stack.udp(wild).unwrap().bind(at("0.0.0.0:7")).unwrap();
    expect(&mut host, "wild");
    let specific = new(&mut host, "specific");
    host.stack.udp(specific).unwrap().bind(at("192.0.2.2:7")).unwrap();
    expect(&mut host, "specific");
    let connected = new(&mut host, "connected");
    host.stack.udp(connected).unwrap().bind(at("192.0.2.2:7")).unwrap();
    host.stack.udp(connected).unwrap().connect(at("192.0.2.9:5000")).unwrap();
    expect(&mut host, "connected");
    host.stack.udp(connected).unwrap().connect(at("192.0.2.9:5001")).unwrap();
    expect(&mut host, "specific");
    let other = host.add(&NetifConfig::ip());
    host.stack.udp(specific).unwrap().bind_netif(Some(other)).unwrap();
    expect(&mut host, "wild");
    host.stack.udp(specific).unwrap().bind_netif(None).unwrap();
    expect(&mut host, "specific");
    for gone in [specific, wild] {
        host.stack.udp_remove(gone).unwrap();
    }
    expect(&mut host, "all");
}

#[test]
fn a_control_block_that_is_not_bound_takes_nothing_and_is_bound_by_its_first_datagram() {
    let mut host = host();
    host.meet_peer();
    let udp = unbound(&mut host, "client");
    host.input(from_peer("192.0.2.2:0"));
    assert_eq!(host.sent_one().icmp().0, 3);
    let mut pcb = host.stack.udp(udp).unwrap();
    assert_eq!(pcb.local().unwrap(), at("[::]:0"));
    pcb.send_bytes_to(b"query", at("192.0.2.9:5000")).unwrap();
    let port = pcb.local().unwrap().port();
    assert!((49_152..=65_535).contains(&port));
    host.input(from_peer(&format!("192.0.2.2:{port}")));
    assert_eq!(host.who_heard(), ["client"]);
}

/// [RFC 6056 §3.3.1] Ports that are given out tell nothing of the next.
#[test]
fn ephemeral_ports_differ_between_starts_and_do_not_count() {
    let ports = |seed: u8| {
        let mut host = Host::configured(|setup| {
            setup.limits.udp = 64;
            setup.config.seed = [seed; 16];
        });
        let mut port = |_| {
            let udp = host.udp("one", 0);
            host.stack.udp(udp).unwrap().local().unwrap().port()
        };
        (0..64).map(&mut port).collect::<Vec<u16>>()
    };
    let (first, second) = (ports(1), ports(2));
    let distinct: HashSet<u16> = first.iter().copied().collect();
    assert_eq!(distinct.len(), 64);
    assert!(first.iter().all(|port| (49_152..=65_535).contains(port)));
    assert_ne!(first, second);
    let steps: HashSet<u16> = first.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.len() > 55, "the ports follow a pattern: {first:?}");
}

#[test]
fn a_port_is_bound_once_unless_all_share_it_or_the_addresses_differ() {
    let mut host = host();
    host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new(Ipv4Addr::new(10, 0, 0, 1), 24)));
    bound(&mut host, "wild", "0.0.0.0:7");
    let udp = unbound(&mut host, "second");
    for taken in ["0.0.0.0:7", "192.0.2.2:7"] {
        assert_eq!(host.stack.udp(udp).unwrap().bind(at(taken)), Err(Error::InUse), "{taken}");
    }
    assert_eq!(host.stack.udp(udp).unwrap().local().unwrap(), at("[::]:0"));
    bound(&mut host, "first address", "192.0.2.2:8");
    bound(&mut host, "second address", "10.0.0.1:8");
    assert_eq!(host.stack.udp(udp).unwrap().bind(at("0.0.0.0:8")), Err(Error::InUse));
    let app = host.app("lite");
    let lite = host.stack.udp_lite_new(app).unwrap();
    host.stack.udp(lite).unwrap().bind(at("0.0.0.0:7")).expect("ports of UDP-Lite are its own");

    let sharing = |host: &mut Host, who| {
        let udp = unbound(host, who);
        host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
        udp
    };
    let first = sharing(&mut host, "shares");
    assert_eq!(host.stack.udp(first).unwrap().bind(at("0.0.0.0:7")), Err(Error::InUse), "the other does not");
    host.stack.udp(first).unwrap().bind(at("0.0.0.0:9")).unwrap();
    let second = sharing(&mut host, "shares too");
    host.stack.udp(second).unwrap().bind(at("0.0.0.0:9")).unwrap();
    assert_eq!(host.stack.udp(udp).unwrap().bind(at("0.0.0.0:9")), Err(Error::InUse));
    host.input(from_peer("192.0.2.2:9"));
    assert_eq!(host.who_heard(), ["shares too"], "unicast goes to the one bound last");
    host.stack.udp(second).unwrap().bind(at("0.0.0.0:10")).expect("binding again moves it");
    host.input(from_peer("192.0.2.2:9"));
    assert_eq!(host.who_heard(), ["shares"]);
}

#[test]
fn binding_to_what_is_not_ours_is_a_value_error() {
    let mut host = host();
    let udp = unbound(&mut host, "server");
    let mut pcb = host.stack.udp(udp).unwrap();
    assert_eq!(pcb.bind(at("192.0.2.3:7")), Err(Error::Value));
    assert_eq!(pcb.bind(at("[::1]:7")), Err(Error::Value));
    for fine in ["192.0.2.2:7", "192.0.2.255:7", "255.255.255.255:7", "239.1.1.1:7", "0.0.0.0:7"] {
        pcb.bind(at(fine)).unwrap();
        assert_eq!(pcb.local().unwrap(), at(fine));
    }
    pcb.connect(at("192.0.2.9:5000")).unwrap();
    assert_eq!(pcb.bind(at("0.0.0.0:8")), Err(Error::IsConnected));
    assert_eq!(pcb.bind_all(), Err(Error::IsConnected));
}

#[test]
fn a_connected_control_block_hears_its_peer_only_until_it_is_disconnected() {
    let mut host = host();
    host.meet_peer();
    let udp = bound(&mut host, "client", "0.0.0.0:7");
    let mut pcb = host.stack.udp(udp).unwrap();
    assert_eq!(pcb.remote(), None);
    assert_eq!(pcb.disconnect(), Err(Error::NotConnected));
    pcb.connect(at("192.0.2.9:5000")).unwrap();
    assert_eq!((pcb.local().unwrap(), pcb.remote()), (at("192.0.2.2:7"), Some(at("192.0.2.9:5000"))));
    host.input(from_peer("192.0.2.2:7"));
    assert_eq!(host.who_heard(), ["client"]);
    host.input(Packet::udp("192.0.2.9:5001", "192.0.2.2:7", b"other port").frame());
    host.input(Packet::udp("192.0.2.8:5000", "192.0.2.2:7", b"other host").frame());
    assert!(host.heard().is_empty());
    assert!(!host.sent().is_empty(), "nobody listens to these");
    let data = host.data(b"to the peer");
    host.stack.udp(udp).unwrap().send(data).unwrap();
    assert_eq!(host.sent().last().unwrap().udp_data(), b"to the peer");
    let mut pcb = host.stack.udp(udp).unwrap();
    pcb.disconnect().unwrap();
    assert_eq!((pcb.local().unwrap(), pcb.remote()), (at("0.0.0.0:7"), None));
    host.input(Packet::udp("192.0.2.8:5001", "192.0.2.2:7", b"anybody").frame());
    assert_eq!(host.datagrams(), [b"anybody"]);
}

/// An address that the application chose stays chosen when the peer is no longer.
#[test]
fn disconnecting_leaves_the_address_that_was_bound() {
    let mut host = host();
    host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new(Ipv4Addr::new(10, 0, 0, 1), 24)));
    let first = bound(&mut host, "first", "192.0.2.2:7");
    host.stack.udp(first).unwrap().connect(at("192.0.2.9:5000")).unwrap();
    host.stack.udp(first).unwrap().connect(at("192.0.2.9:5001")).unwrap();
    bound(&mut host, "second", "10.0.0.1:7");
    host.stack.udp(first).unwrap().disconnect().unwrap();
    assert_eq!(host.stack.udp(first).unwrap().local().unwrap(), at("192.0.2.2:7"));
}

#[test]
fn connecting_names_what_is_wrong() {
    let mut host = host();
    let udp = unbound(&mut host, "client");
    let mut pcb = host.stack.udp(udp).unwrap();
    for senseless in
        ["0.0.0.0:7", "192.0.2.9:0", "[::ffff:192.0.2.9]:7", "255.255.255.255:7", "192.0.2.255:7"]
    {
        assert_eq!(pcb.connect(at(senseless)), Err(Error::Value), "{senseless}");
    }
    assert_eq!(pcb.connect(at("127.0.0.1:7")), Err(Error::Route));
    pcb.set_broadcast(true).unwrap();
    pcb.connect(at("192.0.2.255:7")).unwrap();
    pcb.connect(at("192.0.2.9:7")).unwrap();
    let port = pcb.local().unwrap().port();
    let second = unbound(&mut host, "second");
    let mut pcb = host.stack.udp(second).unwrap();
    assert_eq!(pcb.bind((OURS, port).into()), Err(Error::InUse));
    host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
    let mut pcb = host.stack.udp(second).unwrap();
    pcb.set_reuse_address(true).unwrap();
    pcb.bind((OURS, port).into()).unwrap();
    assert_eq!(pcb.connect(at("192.0.2.9:7")), Err(Error::InUse));
    pcb.connect(at("192.0.2.9:8")).unwrap();
    host.stack.netif(host.netif).unwrap().set_up(false).unwrap();
    assert_eq!(host.stack.udp(second).unwrap().connect(at("192.0.2.9:9")), Err(Error::Route));
}

#[test]
fn a_stale_handle_is_closed_and_never_another_control_block() {
    let mut host = host();
    let stale = bound(&mut host, "first", "0.0.0.0:7");
    host.stack.udp_remove(stale).unwrap();
    let fresh = bound(&mut host, "second", "0.0.0.0:7");
    assert_ne!(stale, fresh);
    assert_eq!(host.stack.udp(stale).err(), Some(Error::Closed));
    assert_eq!(host.stack.udp_remove(stale).err(), Some(Error::Closed));
    host.input(from_peer("192.0.2.2:7"));
    assert_eq!(host.who_heard(), ["second"]);
    assert_eq!(host.stack.udp(fresh).unwrap().handler().unwrap().who, "second");
    assert_eq!(host.stack.udp(fresh).unwrap().handle(), fresh);
    let _: IpAddr = host.stack.udp(fresh).unwrap().local().unwrap().ip();
}
