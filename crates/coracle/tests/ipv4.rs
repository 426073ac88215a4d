//! IPv4 in and out [RFC 791, RFC 1122 §3.2.1].

mod common;
use common::*;

use std::collections::HashSet;
use std::net::Ipv4Addr;

use coracle::*;

fn listening() -> Host {
    let mut host = host();
    host.meet_peer();
    host.udp("server", 7);
    host
}

fn hello() -> Packet {
    Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"hello")
}

/// Whether a frame is taken; what is not taken is not answered either.
fn taken(host: &mut Host, frame: impl AsRef<[u8]>) -> bool {
    host.input(frame);
    assert!(host.sent().is_empty(), "an answer");
    !host.heard().is_empty()
}

fn made_right(header: &mut etherparse::Ipv4Header) {
    header.header_checksum = header.calc_header_checksum();
}

/// [1122-IP-1] Any version but 4 is dropped in silence.
#[test]
fn other_versions_are_dropped_in_silence() {
    let mut host = listening();
    for version in (0..16).filter(|&version| version != 4) {
        let mut frame = hello().frame();
        frame[14] = version << 4 | 5;
        assert!(!taken(&mut host, frame));
    }
    assert_eq!(host.stack.counters().ip.bad_version, 15);
    let counters = host.stack.netif(host.netif).unwrap().counters().unwrap();
    assert_eq!(counters.in_errors, 15);
}

/// [1122-IP-2] A wrong header checksum is dropped in silence, whichever bit is wrong.
#[test]
fn a_header_with_any_bit_wrong_is_dropped_in_silence() {
    let mut host = listening();
    let frame = hello().frame();
    for bit in 8..160 {
        let mut wrong = frame.clone();
        wrong[14 + bit / 8] ^= 1 << (bit % 8);
        assert!(!taken(&mut host, wrong), "bit {bit}");
    }
    let ip = host.stack.counters().ip;
    assert_eq!(ip.bad_checksum + ip.bad_length, 152);
    let trusting = Checksums::ALL.without(Checksums::CHECK_IP);
    host.stack.netif(host.netif).unwrap().set_checksums(trusting).unwrap();
    assert!(taken(&mut host, hello().with_header(|header| header.header_checksum ^= 1).frame()));
}

/// [1122-IP-3] What is addressed to somebody else is dropped in silence; [1122-IP-15] nothing is forwarded.
#[test]
fn packets_for_others_are_dropped_in_silence_and_not_forwarded() {
    let mut host = listening();
    for other in ["192.0.2.3", "198.51.100.1", "10.0.0.1", "239.9.9.9", "127.0.0.1", "0.0.0.0", "192.0.2.0"] {
        assert!(!taken(&mut host, hello().destination(other.parse().unwrap()).frame()), "{other}");
    }
    assert_eq!(host.stack.counters().ip.not_for_us, 7);
}

/// [1122-IP-4] [1122-UDP-8] Sources that no single host can have on this wire.
#[test]
fn impossible_sources_are_dropped_in_silence() {
    let mut host = listening();
    for source in [
        "0.0.0.0",
        "0.0.0.1",
        "127.0.0.1",
        "127.255.255.255",
        "192.0.2.2",
        "192.0.2.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        let packet = Packet::udp(&format!("{source}:5000"), "192.0.2.2:7", b"x");
        assert!(!taken(&mut host, packet.frame()), "{source}");
    }
    assert_eq!(host.stack.counters().ip.bad_source, 10);
    let asking = Packet::udp("0.0.0.0:68", "255.255.255.255:7", b"who am I?");
    assert!(taken(&mut host, asking.frame()), "a host without an address may ask everybody");
}

/// [1122-IP-6] 127.0.0.0/8 never leaves the host, and does not come in.
#[test]
fn loopback_addresses_stay_in_the_host() {
    let mut host = listening();
    host.add(&NetifConfig::loopback());
    assert!(!taken(&mut host, hello().destination(Ipv4Addr::LOCALHOST).frame()));
    assert!(!taken(&mut host, hello().source(Ipv4Addr::LOCALHOST).frame()));
    let udp = host.udp("sender", 5_000);
    host.stack.udp(udp).unwrap().send_bytes_to(b"inside", (Ipv4Addr::new(127, 3, 3, 3), 7).into()).unwrap();
    host.poll();
    assert_eq!(host.datagrams(), [b"inside"]);
    let data = host.data(b"x");
    let send = UdpSend {
        remote: Some((PEER, 9).into()),
        source: Some(Ipv4Addr::LOCALHOST.into()),
        ..UdpSend::default()
    };
    assert_eq!(host.stack.udp(udp).unwrap().send_with(data, &send).unwrap_err().error, Error::Route);
    assert!(host.sent().is_empty());
}

/// [1122-IP-10] TTL 0 and 1 are taken; what is sent has 64 unless set.
#[test]
fn a_packet_at_the_end_of_its_way_is_taken() {
    for ttl in [0, 1] {
        let mut host = listening();
        let last = hello().with_header(|header| {
            header.time_to_live = ttl;
            made_right(header);
        });
        assert!(taken(&mut host, last.frame()), "TTL {ttl}");
    }
}

/// [1122-IP-11] Well-formed options are passed over, also unknown ones.
#[test]
fn options_that_are_well_formed_are_passed_over() {
    let mut host = listening();
    let lists: [&[u8]; 6] = [
        &[0; 4],
        &[1; 40],
        &[0x94, 4, 0, 0],
        &[0x44, 4, 5, 0],
        &[7, 7, 4, 0, 0, 0, 0, 0],
        &[0x9e, 3, 1, 1, 0xde, 4, 2, 2],
    ];
    for options in lists {
        assert!(taken(&mut host, hello().options(options).frame()), "{options:?}");
    }
    let mut behind_end = hello().options(&[0, 0x44, 1, 9]);
    behind_end.as_is = false;
    assert!(taken(&mut host, behind_end.frame()), "nothing counts behind the end of the list");
}

/// [pitfalls: IP] Header length and total length against the bytes that really came.
#[test]
fn lengths_that_contradict_each_other_or_the_bytes_are_dropped() {
    let mut host = listening();
    let whole = hello().frame();
    for len in 0..whole.len() {
        assert!(!taken(&mut host, &whole[..len]), "{len} bytes");
    }
    for words in 0..=15 {
        let mut frame = whole.clone();
        frame[14] = 0x40 | words;
        let header = &mut frame[14..];
        header[10..12].fill(0);
        let end = (usize::from(words) * 4).clamp(12, header.len());
        let checksum = internet_checksum(&[&header[..end]]).to_be_bytes();
        header[10..12].copy_from_slice(&checksum);
        host.input(frame);
        assert_eq!(host.heard().len(), usize::from(words == 5), "{words} words of header");
        // A longer header has options, which are malformed, and may be answered as such.
        assert!(host.sent().iter().all(|sent| words > 5 && sent.icmp().0 == 12));
    }
    for total in (0..28).chain([34, 1_500, u16::MAX]) {
        let wrong = hello().with_header(|header| {
            header.total_len = total;
            made_right(header);
        });
        assert!(!taken(&mut host, wrong.frame()), "total length {total}");
    }
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [pitfalls: IP] Padding after short frames is dropped.
#[test]
fn padding_behind_the_packet_is_cut_off() {
    let mut host = listening();
    for padding in [1, 17, 1_400] {
        host.input(hello().padded(padding).frame());
        assert_eq!(host.datagrams(), [b"hello"]);
    }
}

#[test]
fn parts_of_a_datagram_are_not_delivered() {
    let mut host = listening();
    for (offset, more) in [(0, true), (8, true), (8, false), (65_528, false)] {
        assert!(!taken(&mut host, hello().fragment(offset, more).frame()), "offset {offset}");
    }
    let ip = host.stack.counters().ip;
    assert_eq!((ip.fragments, ip.reassembly_failed), (4, 3), "only one can be a last one");
    let whole = hello().with_header(|header| {
        header.dont_fragment = true;
        made_right(header);
    });
    assert!(taken(&mut host, whole.frame()), "no fragment");
}

/// [1122-IP-16] A unicast packet in a broadcast or multicast frame is not taken.
#[test]
fn the_link_must_have_meant_us_too() {
    let mut host = listening();
    assert!(!taken(&mut host, hello().addressed_to(MacAddr::BROADCAST).frame()));
    assert!(!taken(&mut host, hello().addressed_to(MacAddr::new(1, 0, 0x5e, 0, 0, 1)).frame()));
    assert_eq!(host.stack.counters().ip.link_broadcast, 2);
    assert!(!taken(&mut host, hello().addressed_to(MacAddr::new(2, 0, 0, 0, 0, 3)).frame()));
    assert_eq!(host.stack.counters().link.not_for_us, 1);
    assert!(!taken(&mut host, hello().sent_by(MacAddr::BROADCAST).frame()));
    assert!(!taken(&mut host, hello().sent_by(OUR_MAC).frame()), "a frame of ours that came back");
    assert_eq!(host.stack.counters().link.bad_source, 2);
}

/// [pitfalls: drivers] Frames of 0, 1, 13, 14 and 15 bytes, of every type, in one piece and in pieces of a byte.
#[test]
fn tiny_frames_and_unknown_types_are_counted_drops() {
    let mut host = listening();
    let whole = hello().frame();
    for len in [0, 1, 13] {
        assert!(!taken(&mut host, &whole[..len]));
    }
    assert_eq!(host.stack.counters().link.truncated, 3);
    for len in [14, 15, 33] {
        assert!(!taken(&mut host, &whole[..len]));
    }
    assert_eq!(host.stack.counters().ip.truncated, 3);
    for ether_type in [0, 46, 1_500, 0x0801, 0x86dc, 0x88cc, 0x9100, 0xffff_u16] {
        let mut frame = whole.clone();
        frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
        assert!(!taken(&mut host, frame));
    }
    assert_eq!(host.stack.counters().link.unknown_type, 8);
    let counters = host.stack.netif(host.netif).unwrap().counters().unwrap();
    assert_eq!((counters.in_errors, counters.in_unknown_protocols), (6, 8));
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [6864-2] Identifications do not repeat while 60,000 datagrams pass, and do not count up.
#[test]
fn identifications_do_not_repeat_and_do_not_count() {
    let mut host = listening();
    let udp = host.udp("sender", 5_000);
    let mut seen = HashSet::new();
    let mut last = 0;
    let mut steps = HashSet::new();
    for _ in 0..60_000 {
        host.stack.udp(udp).unwrap().send_bytes_to(b"", (PEER, 9).into()).unwrap();
        let frame = host.stack.transmit(host.netif).unwrap();
        let id = u16::from_be_bytes([frame.payload()[18], frame.payload()[19]]);
        assert!(seen.insert(id), "{id} twice");
        steps.insert(id.wrapping_sub(last));
        last = id;
    }
    assert!(steps.len() > 10_000);
}

/// [pitfalls: drivers] A frame longer than the MTU is taken if it holds what it says.
#[test]
fn a_frame_beyond_the_mtu_is_taken_and_none_is_sent() {
    let mut host = listening();
    host.stack.netif(host.netif).unwrap().set_mtu(576).unwrap();
    let long = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", &[1; 1_600]);
    assert!(taken(&mut host, long.frame()));
    let udp = host.udp("sender", 5_000);
    let mut pcb = host.stack.udp(udp).unwrap();
    pcb.send_bytes_to(&[1; 548], (PEER, 9).into()).unwrap();
    assert_eq!(host.sent_one().ip().total_len, 576);
    host.stack.udp(udp).unwrap().send_bytes_to(&[1; 549], (PEER, 9).into()).unwrap();
    let lens: Vec<_> = host.sent().iter().map(|seen| seen.ip().total_len).collect();
    assert_eq!(lens, [572, 25]);
    host.stack.netif(host.netif).unwrap().set_mtu(1_500).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(&[1; 1_472], (PEER, 9).into()).unwrap();
    assert_eq!(host.sent_one().ip().total_len, 1_500);
}

/// [1122-IP-6] A host without an address may only call to everybody.
#[test]
fn without_an_address_only_the_limited_broadcast_can_be_sent_to() {
    let mut host = Host::configured(|setup| setup.netif = NetifConfig::ethernet(OUR_MAC));
    let udp = host.udp("dhcp", 68);
    let mut pcb = host.stack.udp(udp).unwrap();
    pcb.set_broadcast(true).unwrap();
    pcb.send_bytes_to(b"discover", "255.255.255.255:67".parse().unwrap()).unwrap();
    assert_eq!(pcb.send_bytes_to(b"x", (PEER, 9).into()), Err(Error::Route));
    assert_eq!(pcb.send_bytes_to(b"x", "239.1.1.1:9".parse().unwrap()), Err(Error::Route));
    let sent = host.sent_one();
    assert_eq!((sent.source(), sent.to), (Ipv4Addr::UNSPECIFIED, MacAddr::BROADCAST));
    let offer = Packet::udp("192.0.2.1:67", "255.255.255.255:68", b"offer");
    host.input(offer.frame());
    assert_eq!(host.datagrams(), [b"offer"]);
}
