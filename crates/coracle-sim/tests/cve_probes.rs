//! Published vulnerabilities of embedded stacks, tried on this one: each test is named after the advisory, and puts the
//! packet (or the sequence) that broke the other stack before ours.
//!
//! Each passes when nothing panics (overflow checks are on), the packet is counted and dropped or answered as the RFC
//! says, nothing leaks, and the next good packet is served.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use coracle::wire::EtherType;
use coracle::{
    Arena, Config, Counters, Error, Handler, Ipv4Settings, Kind, Layer, Limits, MacAddr, Memory,
    MemoryLimits, NetifConfig, Pbuf, Stack, Tci, Udp, UdpHandle,
};
use coracle_sim::frames::{Ipv4, arp, ethernet, icmp, udp};
use coracle_sim::repair::repair;
use coracle_sim::rig::{
    ADDRESS, CONNECTED_PORT, ECHO_PORT, MEMORY, PEER, PEER_STATION, Port, Rig, STATION, TAG, VLAN_STATION,
};

const ICMP: u8 = 1;
const UDP: u8 = 17;

/// A rig that knows the peer's station.
fn rig() -> Rig {
    let mut rig = Rig::default();
    let request = arp(1, (PEER_STATION, PEER), (MacAddr::ZERO, ADDRESS));
    assert_eq!(rig.input(rig.ethernet, &framed(EtherType::ARP, &request)).len(), 1);
    rig
}

fn framed(ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    ethernet(STATION, PEER_STATION, None, ether_type, payload)
}

fn from_peer() -> Ipv4 {
    Ipv4::new(PEER, ADDRESS)
}

/// Hands an IP packet in from the peer, checksums repaired, and returns what it led to.
fn ip(rig: &mut Rig, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut frame = framed(EtherType::IPV4, packet);
    repair(&mut frame, Port::Ethernet.link());
    rig.input(rig.ethernet, &frame)
}

fn counters(rig: &Rig) -> Counters {
    *rig.stack.counters()
}

/// The good peer is served, and every buffer is back.
fn unharmed(mut rig: Rig) {
    rig.canary();
    rig.settle();
}

const NOTHING: [Vec<u8>; 0] = [];

fn big_echo() -> Vec<u8> {
    from_peer().packet(ICMP, &icmp(8, 0, [1, 2, 0, 1], &[0x77; 64]))
}

/// uIP summed up as many bytes as the IP header promised.
#[test]
fn cve_2020_13987_total_length_beyond_the_frame() {
    let mut rig = rig();
    for (number, payload) in [(UDP, udp(40_000, ECHO_PORT, b"data")), (6, vec![0; 20])] {
        for total in [33, 49, 64, 1_500, u16::MAX] {
            let mut packet = from_peer().packet(number, &payload);
            let total = total.max(packet.len() as u16 + 1);
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            assert_eq!(ip(&mut rig, &packet), NOTHING);
        }
    }
    assert_eq!(counters(&rig).ip.bad_length, 10);
    unharmed(rig);
}

/// uIP copied a fragment behind the end of its buffer when header and offset added up to more.
#[test]
fn cve_2020_17438_fragment_with_long_header_at_the_last_offset() {
    let mut rig = rig();
    let header =
        Ipv4 { fragment_offset: 0x1fff * 8, options: vec![1; 40], more_fragments: true, ..from_peer() };
    assert_eq!(ip(&mut rig, &header.packet(ICMP, &[0; 1_400])), NOTHING);
    assert_eq!(ip(&mut rig, &Ipv4 { more_fragments: false, ..header }.packet(UDP, &[0; 8])), NOTHING);
    unharmed(rig);
}

/// `NicheStack` computed the checksum of an echo over the length in the IP header.
#[test]
fn cve_2020_35683_echo_longer_than_its_frame() {
    let mut rig = rig();
    let mut packet = big_echo();
    packet[2..4].copy_from_slice(&1_400u16.to_be_bytes());
    assert_eq!(ip(&mut rig, &packet), NOTHING);
    assert_eq!(counters(&rig).ip.bad_length, 1);
    unharmed(rig);
}

/// Treck trusted the inner length of tunnelled packets in fragments; this stack opens no tunnel.
#[test]
fn cve_2020_11896_11898_11900_ip_in_ip_with_other_lengths() {
    let mut rig = rig();
    for inner_total in [0u16, 20, 28, 1_000, u16::MAX] {
        let mut inner = from_peer().packet(UDP, &udp(40_000, ECHO_PORT, b"inner"));
        inner[2..4].copy_from_slice(&inner_total.to_be_bytes());
        let whole = ip(&mut rig, &from_peer().packet(4, &inner));
        assert_eq!(whole.len(), 1, "a protocol unreachable");
        assert_eq!(whole[0][34..36], [3, 2]);
        let first = Ipv4 { more_fragments: true, ..from_peer() };
        assert_eq!(ip(&mut rig, &first.packet(4, &inner[..24])), NOTHING);
        let last = Ipv4 { fragment_offset: 24, ..from_peer() };
        // Put together it is what it was: nobody takes IP in IP.
        let whole = ip(&mut rig, &last.packet(4, &inner[24..]));
        assert_eq!((whole.len(), &whole[0][34..36]), (1, &[3, 2][..]));
    }
    assert_eq!(counters(&rig).udp.received, 0);
    unharmed(rig);
}

/// Treck read a truncated IPv6 packet inside IPv4.
#[test]
fn cve_2020_11902_six_in_four_cut_short() {
    let mut rig = rig();
    for len in 0..40 {
        ip(&mut rig, &from_peer().packet(41, &[0x60; 40][..len]));
        rig.advance(Duration::from_secs(1));
    }
    assert_eq!(counters(&rig).ip.unknown_protocol, 40);
    unharmed(rig);
}

/// Treck's allocator added up sizes that overflowed.
#[test]
fn cve_2020_11904_sizes_near_the_largest_number() {
    let rig = rig();
    let memory = rig.stack.memory();
    for size in
        [65_535, 65_536, i32::MAX as usize, u32::MAX as usize, usize::MAX / 2, usize::MAX - 7, usize::MAX]
    {
        for layer in [Layer::Transport, Layer::Raw] {
            for kind in [Kind::Ram, Kind::Pool] {
                match memory.alloc(layer, size, kind) {
                    Ok(buffer) => assert!(size <= 65_536 && buffer.len() == size),
                    Err(error) => assert_eq!(error, Error::Memory),
                }
            }
        }
        assert!(size <= 65_536 || memory.heap_alloc(size).is_err());
    }
    unharmed(rig);
}

/// Treck subtracted header lengths from frames shorter than them.
#[test]
fn cve_2020_11906_frames_shorter_than_a_header() {
    let mut rig = rig();
    let frame = framed(EtherType::IPV4, &big_echo());
    for len in 0..14 {
        assert_eq!(rig.input(rig.ethernet, &frame[..len]), NOTHING);
    }
    assert_eq!(counters(&rig).link.truncated, 14);
    // Below 1,536 the type field is a length, which this stack does not speak.
    for length in [0, 1, 45, 46, 1_500, 1_535] {
        assert_eq!(rig.input(rig.ethernet, &framed(EtherType(length), &[0xaa; 46])), NOTHING);
    }
    assert_eq!(counters(&rig).link.unknown_type, 6);
    unharmed(rig);
}

/// Treck: a header of 60 bytes in a packet of 20.
#[test]
fn cve_2020_11909_header_longer_than_the_packet() {
    let mut rig = rig();
    for padding in [0, 40] {
        let mut packet = from_peer().packet(ICMP, &[]);
        packet.resize(20 + padding, 0);
        packet[0] = 0x4f;
        assert_eq!(ip(&mut rig, &packet), NOTHING);
    }
    unharmed(rig);
}

/// Treck read past short ICMP messages, and let anyone set its netmask and its clock.
#[test]
fn cve_2020_11910_11911_short_errors_and_unasked_replies() {
    let mut rig = rig();
    let quoted = Ipv4::new(ADDRESS, PEER).packet(UDP, &udp(CONNECTED_PORT, 4_000, b""));
    for kind in [3, 4, 5, 11, 12] {
        let whole = icmp(kind, 0, [0; 4], &quoted);
        for len in 0..whole.len() {
            assert_eq!(ip(&mut rig, &from_peer().packet(ICMP, &whole[..len])), NOTHING);
        }
    }
    let before = rig.stack.netif(rig.ethernet).unwrap().ipv4().unwrap();
    let now = rig.stack.now();
    for (kind, data) in [(18, &[255, 255, 0, 0][..]), (14, &[0xff; 12]), (13, &[0; 12]), (17, &[0; 4])] {
        assert_eq!(ip(&mut rig, &from_peer().packet(ICMP, &icmp(kind, 0, [0; 4], data))), NOTHING);
    }
    assert_eq!(rig.stack.netif(rig.ethernet).unwrap().ipv4().unwrap(), before);
    assert_eq!(rig.stack.now(), now);
    unharmed(rig);
}

/// Treck read ARP packets that were too short, or of other address lengths.
#[test]
fn cve_2020_11914_short_arp_and_other_address_lengths() {
    let mut rig = rig();
    let request = arp(1, (PEER_STATION, PEER), (MacAddr::ZERO, ADDRESS));
    for len in 0..28 {
        assert_eq!(rig.input(rig.ethernet, &framed(EtherType::ARP, &request[..len])), NOTHING);
    }
    for (at, value) in [(4, 0), (4, 5), (4, 7), (4, 255), (5, 0), (5, 3), (5, 16), (5, 255)] {
        let mut request = request.clone();
        request[at] = value;
        assert_eq!(rig.input(rig.ethernet, &framed(EtherType::ARP, &request)), NOTHING);
    }
    assert_eq!(counters(&rig).arp.malformed, 36);
    unharmed(rig);
}

/// FreeRTOS+TCP read ARP packets that were cut.
#[test]
fn cve_2018_16600_arp_cut_at_every_byte() {
    let mut rig = rig();
    let whole = framed(EtherType::ARP, &arp(2, (PEER_STATION, PEER), (STATION, ADDRESS)));
    for len in 0..whole.len() {
        assert_eq!(rig.input(rig.ethernet, &whole[..len]), NOTHING);
    }
    unharmed(rig);
}

/// `VxWorks` overflowed its stack when it answered packets with malformed source routes by an ICMP error.
#[test]
fn cve_2019_12256_source_routes_that_provoke_an_error() {
    let mut rig = rig();
    let routes: &[&[u8]] = &[
        &[0x83, 3, 4],
        &[0x83, 7, 0, 192, 0, 2, 9],
        &[0x83, 7, 255, 192, 0, 2, 9],
        &[0x89, 39, 4, 192, 0, 2, 9],
        &[0x89, 40, 4],
        &[0x83, 0, 4],
        &[0x89, 1, 4],
        &[0x83, 7, 4, 192, 0, 2, 9, 0x89, 7, 4, 192, 0, 2, 9],
        &[0x89, 11, 4, 192, 0, 2, 9, 192, 0, 2, 10, 0x89, 11, 8, 192, 0, 2, 9, 192, 0, 2, 10],
    ];
    for route in routes {
        // To a port that is closed, so that an error is due if the packet gets through.
        let header = Ipv4 { options: route.to_vec(), ..from_peer() };
        for sent in ip(&mut rig, &header.packet(UDP, &udp(40_000, 1_234, b"data"))) {
            // A parameter problem at most, and to the sender, never by the route.
            assert_eq!((sent[34], &sent[30..34]), (12, &PEER[..]));
        }
    }
    assert_eq!(counters(&rig).udp.received, 0);
    unharmed(rig);
}

/// `VxWorks` took an address from a RARP reply that it had not asked for.
#[test]
fn cve_2019_12262_unasked_reverse_arp() {
    let mut rig = rig();
    let before = rig.stack.netif(rig.ethernet).unwrap().ipv4().unwrap();
    let mut reply = arp(4, (PEER_STATION, PEER), (STATION, [10, 0, 0, 1]));
    assert_eq!(rig.input(rig.ethernet, &framed(EtherType(0x8035), &reply)), NOTHING);
    // The same under ARP's own type.
    reply[6..8].copy_from_slice(&4u16.to_be_bytes());
    assert_eq!(rig.input(rig.ethernet, &framed(EtherType::ARP, &reply)), NOTHING);
    assert_eq!(rig.stack.netif(rig.ethernet).unwrap().ipv4().unwrap(), before);
    assert_eq!(counters(&rig).link.unknown_type, 1);
    unharmed(rig);
}

/// Nucleus answered an echo by the source route in it, to a third party.
#[test]
fn cve_2021_31344_echo_with_a_source_route() {
    let mut rig = rig();
    for kind in [0x83, 0x89] {
        let options = vec![kind, 7, 4, 192, 0, 2, 77, 0];
        let packet = Ipv4 { options, ..from_peer() }.packet(ICMP, &icmp(8, 0, [1, 2, 0, 1], b"data"));
        assert_eq!(ip(&mut rig, &packet), NOTHING);
    }
    assert_eq!(counters(&rig).ip.source_routed, 2);
    unharmed(rig);
}

/// Nucleus did not check the length of UDP against what had come.
#[test]
fn cve_2021_31345_udp_length_of_its_own() {
    let mut rig = rig();
    for length in [0u16, 1, 7, 13, 100, 1_480, u16::MAX] {
        let mut datagram = udp(40_000, ECHO_PORT, b"data");
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        assert_eq!(ip(&mut rig, &from_peer().packet(UDP, &datagram)), NOTHING);
    }
    assert_eq!(counters(&rig).udp.bad_length, 7);
    unharmed(rig);
}

/// Nucleus did not check the length of an ICMP payload.
#[test]
fn cve_2021_31346_icmp_payload_shorter_than_the_packet_says() {
    let mut rig = rig();
    let whole = big_echo();
    for len in 20..whole.len() {
        assert_eq!(ip(&mut rig, &whole[..len]), NOTHING);
    }
    unharmed(rig);
}

/// FreeRTOS+TCP: the UDP length differs from the payload's, on a name service port.
#[test]
fn cve_2018_16525_udp_length_beyond_the_payload() {
    let mut rig = rig();
    for port in [53, 137, 5_355, ECHO_PORT] {
        let mut datagram = udp(5_355, port, &[0; 12]);
        datagram[4..6].copy_from_slice(&300u16.to_be_bytes());
        assert_eq!(ip(&mut rig, &from_peer().packet(UDP, &datagram)), NOTHING);
    }
    assert_eq!(counters(&rig).udp.bad_length, 4);
    unharmed(rig);
}

/// FreeRTOS+TCP: options moved the payload, and a header longer than the packet made a length wrap.
#[test]
fn cve_2018_16526_16601_options_and_a_header_length_beyond_the_total() {
    let mut rig = rig();
    for ihl in 0..16u8 {
        for total in [0u16, 19, 20, 21, 24, 59, 60] {
            let mut packet = from_peer().packet(UDP, &[1; 40]);
            packet[0] = 0x40 | ihl;
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            ip(&mut rig, &packet);
        }
    }
    rig.advance(Duration::from_secs(1));
    let header = Ipv4 { options: vec![1; 40], ..from_peer() };
    assert_eq!(ip(&mut rig, &header.packet(UDP, &udp(40_000, ECHO_PORT, b"data"))).len(), 1);
    unharmed(rig);
}

/// FreeRTOS+TCP: an echo that is cut.
#[test]
fn cve_2018_16527_echo_shorter_than_its_header() {
    let mut rig = rig();
    let echo = icmp(8, 0, [1, 2, 0, 1], b"");
    for len in 0..8 {
        assert_eq!(ip(&mut rig, &from_peer().packet(ICMP, &echo[..len])), NOTHING);
    }
    assert_eq!(counters(&rig).icmp.truncated, 8);
    unharmed(rig);
}

/// Zephyr took packets from the wire whose source was itself.
#[test]
fn cve_2023_7060_loopback_and_own_addresses_as_a_source() {
    let mut rig = rig();
    let sources = [[127, 0, 0, 1], [127, 255, 255, 254], ADDRESS, [198, 51, 100, 1], [203, 0, 113, 1]];
    for source in sources {
        let header = Ipv4::new(source, ADDRESS);
        assert_eq!(ip(&mut rig, &header.packet(UDP, &udp(40_000, ECHO_PORT, b"data"))), NOTHING);
        assert_eq!(ip(&mut rig, &header.packet(ICMP, &icmp(8, 0, [0; 4], b""))), NOTHING);
    }
    for destination in [[127, 0, 0, 1], [127, 1, 2, 3]] {
        let header = Ipv4::new(PEER, destination);
        assert_eq!(ip(&mut rig, &header.packet(UDP, &udp(40_000, ECHO_PORT, b"data"))), NOTHING);
    }
    assert_eq!(counters(&rig).ip.bad_source, 10);
    assert_eq!(counters(&rig).udp.received, 0);
    unharmed(rig);
}

/// Zephyr handed `ICMPv4` messages to `ICMPv6` code when their type was one of `ICMPv6`'s.
#[test]
fn cve_2025_12899_icmpv6_types_in_icmpv4() {
    let mut rig = rig();
    for kind in 128..=255 {
        assert_eq!(ip(&mut rig, &from_peer().packet(ICMP, &icmp(kind, 0, [0; 4], &[0; 24]))), NOTHING);
    }
    assert_eq!(counters(&rig).icmp.unhandled, 128);
    // ICMPv6 over IPv4 is a protocol that nobody takes.
    assert_eq!(ip(&mut rig, &from_peer().packet(58, &icmp(128, 0, [0; 4], &[0; 8])))[0][34..36], [3, 2]);
    unharmed(rig);
}

/// Zephyr sent to a neighbour whose link address it did not have.
#[test]
fn cve_2026_19577_a_neighbour_without_a_station() {
    let mut rig = rig();
    for round in 0..3 {
        let remote = SocketAddr::from(([192, 0, 2, 50], 9));
        rig.stack.udp(rig.echo).unwrap().send_bytes_to(b"to nobody yet", remote).unwrap();
        let sent = rig.drain(8);
        // One request, and no datagram: the station is not known.
        assert!(sent.iter().all(|frame| frame[12..14] == [8, 6]) && sent.len() <= usize::from(round == 0));
    }
    assert!(rig.stack.neighbours().any(|neighbour| neighbour.station.is_none() && neighbour.pending == 3));
    // The answer has a station that is none.
    for station in [MacAddr::ZERO, MacAddr::BROADCAST, MacAddr::new(1, 0, 0x5e, 0, 0, 1)] {
        let answer = arp(2, (station, [192, 0, 2, 50]), (STATION, ADDRESS));
        assert_eq!(rig.input(rig.ethernet, &framed(EtherType::ARP, &answer)), NOTHING);
    }
    unharmed(rig);
}

/// Zephyr read the tag of frames that end within it.
#[test]
fn cve_2026_19673_tagged_frames_of_14_to_17_bytes() {
    let mut rig = rig();
    let tagged = ethernet(VLAN_STATION, PEER_STATION, Some(TAG), EtherType::IPV4, &big_echo());
    let priority = ethernet(STATION, PEER_STATION, Some(Tci::new(7, false, 0)), EtherType::IPV4, &big_echo());
    for len in 14..18 {
        assert_eq!(rig.input(rig.vlan, &tagged[..len]), NOTHING);
        assert_eq!(rig.input(rig.ethernet, &priority[..len]), NOTHING);
    }
    assert_eq!(counters(&rig).link.truncated, 8);
    assert_eq!(rig.input(rig.ethernet, &priority).len(), 1, "a tag with a priority only is taken");
    unharmed(rig);
}

/// Linux spent its time on many tiny fragments out of order.
#[test]
fn cve_2018_5391_many_tiny_fragments() {
    let mut rig = rig();
    for step in (0..2_000u32).rev() {
        let offset = (step * 4_099 % 8_000) as u16 * 8;
        let header = Ipv4 { fragment_offset: offset, more_fragments: true, ..from_peer() };
        assert_eq!(ip(&mut rig, &header.packet(UDP, &[0; 8])), NOTHING);
    }
    assert_eq!(counters(&rig).ip.fragments, 2_000);
    unharmed(rig);
}

/// lwIP's ZEP interface built frames longer than its buffer: nothing longer than the MTU is sent here.
#[test]
fn cve_2020_22284_nothing_longer_than_the_mtu_is_sent() {
    let mut rig = rig();
    let remote = SocketAddr::from((PEER, 9));
    for mtu in [68, 100, 576, 1_500] {
        rig.stack.netif(rig.ethernet).unwrap().set_mtu(mtu).unwrap();
        for len in [usize::from(mtu) - 28, usize::from(mtu) - 27, usize::from(mtu), 3_000] {
            rig.stack.udp(rig.echo).unwrap().send_bytes_to(&vec![1; len], remote).unwrap();
            let frames = rig.drain(64);
            assert!(frames.iter().all(|frame| frame.len() <= usize::from(mtu) + 14));
            assert_eq!(frames.len() == 1, len + 28 <= usize::from(mtu));
            // Whatever is cut arrives whole: each byte of the datagram, its header's too, once.
            assert_eq!(frames.iter().map(|frame| frame.len() - 34).sum::<usize>(), len + 8);
        }
    }
    rig.restore();
    unharmed(rig);
}

/// lwIP looked at an ARP packet in the first of two buffers only.
#[test]
fn lwip_2026_arp_split_over_buffers() {
    let frame = framed(EtherType::ARP, &arp(1, (PEER_STATION, PEER), (MacAddr::ZERO, ADDRESS)));
    for first in 0..frame.len() {
        for second in [0, 1, 6, 14] {
            let mut rig = Rig::default();
            let sent = rig.input_in_pieces(rig.ethernet, &frame, &[first, second]);
            assert_eq!(sent.len(), 1, "split at {first} and {second} on");
            unharmed(rig);
        }
    }
}

/// The same for packets above: every header in every pair of buffers.
#[test]
fn lwip_2026_packets_split_over_buffers() {
    for payload in [icmp(8, 0, [1, 2, 0, 1], b"data"), udp(40_000, ECHO_PORT, b"data")] {
        let number = if payload[0] == 8 { ICMP } else { UDP };
        let header = Ipv4 { options: vec![1; 7], ..from_peer() };
        let frame = framed(EtherType::IPV4, &header.packet(number, &payload));
        for first in 0..=frame.len() {
            let mut rig = rig();
            assert_eq!(rig.input_in_pieces(rig.ethernet, &frame, &[first]).len(), 1, "split at {first}");
            unharmed(rig);
        }
    }
}

/// lwIP stood still for good once all receive buffers were used up.
#[test]
fn lwip_2026_all_receive_buffers_used_up_and_freed_again() {
    for kind in [Kind::Pool, Kind::Ram] {
        let mut rig = rig();
        let frame = framed(EtherType::IPV4, &from_peer().packet(UDP, &udp(40_000, ECHO_PORT, b"data")));
        let received = rig.buffer(&frame, &[]).unwrap();
        let mut held = Vec::new();
        while let Ok(buffer) = rig.stack.memory().alloc(Layer::Raw, 64, kind) {
            held.push(buffer);
        }
        let now = rig.now();
        rig.stack.input(rig.ethernet, received, now).unwrap();
        rig.drain(8);
        let remote = SocketAddr::from((PEER, 9));
        let starved = rig.stack.udp(rig.echo).unwrap().send_bytes_to(b"data", remote);
        assert!(matches!(starved, Ok(()) | Err(Error::Memory)));
        rig.advance(Duration::from_secs(10));
        drop(held);
        unharmed(rig);
    }
}

/// An error about an error, or about a packet that might be one, is never sent [1122-ICMP-3].
#[test]
fn errors_are_not_answered_by_errors_whatever_is_wrong_with_them() {
    let mut rig = rig();
    let quoted = Ipv4::new(ADDRESS, PEER).packet(UDP, &udp(CONNECTED_PORT, 4_000, b"data"));
    let header = Ipv4 { options: vec![0x9e, 0, 1, 1], ..from_peer() };
    for kind in [3, 4, 5, 11, 12] {
        assert_eq!(ip(&mut rig, &header.packet(ICMP, &icmp(kind, 0, [0; 4], &quoted))), NOTHING);
    }
    assert_eq!(ip(&mut rig, &header.packet(ICMP, &[])), NOTHING);
    assert_eq!(ip(&mut rig, &header.packet(ICMP, &icmp(8, 0, [0; 4], b"data"))).len(), 1);
    assert_eq!(counters(&rig).ip.bad_options, 7);
    unharmed(rig);
}

/// smoltcp took ARP from another network, and panicked on empty packets.
#[test]
fn smoltcp_arp_from_a_foreign_network_and_empty_packets() {
    let mut rig = rig();
    let known = rig.stack.neighbours().count();
    for sender in [[10, 0, 0, 1], [192, 0, 3, 2], [224, 0, 0, 1], [255; 4], [127, 0, 0, 1], [192, 0, 2, 255]]
    {
        let request = arp(1, (PEER_STATION, sender), (MacAddr::ZERO, ADDRESS));
        assert_eq!(rig.input(rig.ethernet, &framed(EtherType::ARP, &request)), NOTHING);
    }
    assert_eq!(rig.stack.neighbours().count(), known);
    for netif in rig.netifs() {
        assert_eq!(rig.input(netif, &[]), NOTHING);
    }
    assert_eq!(rig.input(rig.ethernet, &framed(EtherType::IPV4, &[])), NOTHING);
    assert_eq!(ip(&mut rig, &from_peer().packet(UDP, &[])), NOTHING);
    unharmed(rig);
}

/// What a callback of the Zephyr probes does to the control blocks around it.
#[derive(Clone, Copy)]
enum Act {
    RemoveItself,
    RemoveOther(UdpHandle),
    RemoveBothAndMakeNew(UdpHandle),
    LeaveTheGroup,
    Nothing,
}

std::thread_local! {
    /// Datagrams that came to those that do nothing, and to those that act.
    static CALLS: Cell<[u32; 2]> = const { Cell::new([0; 2]) };
}

impl Handler for Act {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let mut calls = CALLS.get();
        calls[usize::from(!matches!(self, Self::Nothing))] += 1;
        CALLS.set(calls);
        let own = udp.handle();
        match *self {
            Self::Nothing => {}
            Self::RemoveItself => {
                udp.stack().udp_remove(own).map(drop).unwrap();
                let refused = udp.send_to(data, from).unwrap_err();
                assert_eq!(refused.error, Error::Closed);
                return;
            }
            Self::RemoveOther(other) => {
                // It may be gone by now.
                udp.stack().udp_remove(other).map(drop).unwrap_or_default();
            }
            Self::RemoveBothAndMakeNew(other) => {
                let stack = udp.stack();
                for gone in [other, own] {
                    stack.udp_remove(gone).map(drop).unwrap_or_default();
                }
                // They take the freed slots.
                for _ in 0..2 {
                    let new = stack.udp_new(Self::Nothing).unwrap();
                    stack.udp(new).unwrap().bind(SocketAddr::from(([0; 4], 7_000))).unwrap_or_default();
                }
            }
            Self::LeaveTheGroup => {
                let netif = udp.packet().unwrap().netif;
                // Another member may have removed it.
                udp.stack().netif_remove(netif).unwrap_or_default();
            }
        }
        drop(data);
    }
}

/// Zephyr went on with list entries that a callback had freed, and with packets that were sent within a reply.
#[test]
fn cve_2026_10634_to_10640_callbacks_that_free_what_is_iterated() {
    let broadcast = Ipv4::new(PEER, [192, 0, 2, 255]).packet(UDP, &udp(40_000, 9, b"data"));
    let frame = ethernet(MacAddr::BROADCAST, PEER_STATION, None, EtherType::IPV4, &broadcast);
    let acts: [fn(UdpHandle) -> Act; 4] =
        [|_| Act::RemoveItself, Act::RemoveOther, Act::RemoveBothAndMakeNew, |_| Act::LeaveTheGroup];
    let mut made_new = false;
    for act in acts {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MEMORY).unwrap();
        let limits = Limits { udp: 6, ..Limits::SMALL };
        let mut stack = Stack::new(&mut arena, limits, memory, Config::new([3; 16])).unwrap();
        let config = NetifConfig::ethernet(STATION).ipv4(Ipv4Settings::new(ADDRESS.into(), 24));
        let netif = stack.netif_add(&config).unwrap();
        stack.netif(netif).unwrap().set_up(true).unwrap();
        let members: Vec<_> = (0..4)
            .map(|_| {
                let member = stack.udp_new(Act::Nothing).unwrap();
                stack.udp(member).unwrap().set_reuse_address(true).unwrap();
                stack.udp(member).unwrap().bind(SocketAddr::from(([0; 4], 9))).unwrap();
                member
            })
            .collect();
        for (number, &member) in members.iter().enumerate() {
            *stack.udp(member).unwrap().handler().unwrap() = act(members[(number + 1) % 4]);
        }
        for _ in 0..2 {
            let mut buffer = stack.memory().alloc(Layer::Raw, frame.len(), Kind::Pool).unwrap();
            buffer.take(&frame).unwrap();
            // Once the interface is removed the frame comes back.
            stack.input(netif, buffer, coracle::Instant::from_secs(1)).map_err(drop).unwrap_or_default();
        }
        // Those made by a callback have their own handlers, not those of whose places they took.
        let acted = CALLS.get();
        let packet = from_peer().packet(UDP, &udp(40_000, 7_000, b"data"));
        let mut buffer = stack.memory().alloc(Layer::Raw, packet.len() + 14, Kind::Pool).unwrap();
        buffer.take(&framed(EtherType::IPV4, &packet)).unwrap();
        let before = stack.counters().udp.delivered;
        stack.input(netif, buffer, coracle::Instant::from_secs(1)).map_err(drop).unwrap_or_default();
        let delivered = stack.counters().udp.delivered - before;
        assert_eq!(CALLS.get(), [acted[0] + delivered, acted[1]]);
        made_new |= delivered > 0;
        // An error may still wait for the peer's station, which nobody tells.
        let mut now = coracle::Instant::from_secs(2);
        while let Some(next) = stack.poll(now) {
            now = next;
            while stack.transmit(netif).is_some() {}
        }
        while stack.transmit(netif).is_some() {}
        assert!(stack.memory().stats().is_unused());
    }
    assert!(made_new);
}

/// The device takes nothing while replies are due: they are dropped and counted, and service goes on afterwards.
#[test]
fn cve_2026_10636_replies_while_the_device_is_full() {
    let mut rig = rig();
    let frame = framed(EtherType::IPV4, &big_echo());
    let now = rig.now();
    let mut unsent = 0;
    while counters(&rig).icmp.send_failed == 0 {
        let Some(buffer) = rig.buffer(&frame, &[]) else { break };
        rig.stack.input(rig.ethernet, buffer, now).unwrap();
        unsent += 1;
        assert!(unsent < 1_000);
    }
    assert!(unsent > 10);
    rig.drain(128);
    unharmed(rig);
}

/// Reassembled echoes near 65,535 bytes overflowed picoTCP; here the largest packet of all is handed in at once.
#[test]
fn cve_2023_30463_an_echo_of_65535_bytes() {
    let memory = MemoryLimits { pool_buffers: 128, heap_bytes: 256 << 10, ..MEMORY };
    let mut rig = Rig::new(memory, Config::new([7; 16]));
    let packet = Ipv4::new([203, 0, 113, 2], [203, 0, 113, 1])
        .packet(ICMP, &icmp(8, 0, [1, 2, 0, 1], &vec![0x3c; 65_535 - 28]));
    let (frame, now) = (rig.buffer(&packet, &[]).unwrap(), rig.now());
    rig.stack.input(rig.tunnel, frame, now).unwrap();
    let fragments = rig.drain(64);
    assert_eq!(fragments.iter().map(|packet| packet.len() - 20).sum::<usize>(), 65_515);
    assert!(fragments.iter().all(|packet| packet.len() <= 1_500));
    rig.stack.netif(rig.tunnel).unwrap().set_mtu(u16::MAX).unwrap();
    let sent = rig.input(rig.tunnel, &packet);
    assert_eq!((sent.len(), sent[0].len(), sent[0][20]), (1, 65_535, 0));
    unharmed(rig);
}

/// A transport header cut before anybody looks at its ports, as picoTCP's filter did.
#[test]
fn cve_2023_35846_transport_header_cut() {
    let mut rig = rig();
    for number in [UDP, 136] {
        for len in 0..8 {
            let datagram = udp(40_000, ECHO_PORT, b"");
            assert_eq!(ip(&mut rig, &from_peer().packet(number, &datagram[..len])), NOTHING);
        }
    }
    assert_eq!((counters(&rig).udp.truncated, counters(&rig).udp_lite.truncated), (8, 8));
    unharmed(rig);
}
