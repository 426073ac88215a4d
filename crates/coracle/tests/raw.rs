//! Raw IP: control blocks that see packets before the stack does (lwIP: `raw.h`).

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr};

use coracle::*;

fn raw(host: &mut Host, protocol: u8, who: &'static str, eats: bool) -> RawHandle {
    let app = host.app(who).on_packet(move |_, packet| if eats { None } else { Some(packet) });
    host.stack.raw_new(protocol, app).unwrap()
}

fn data(host: &Host, bytes: &[u8]) -> Pbuf {
    let mut data = host.stack.memory().alloc(Layer::Ip, bytes.len(), Kind::Ram).unwrap();
    data.take(bytes).unwrap();
    data
}

#[test]
fn a_packet_comes_with_its_header_and_is_eaten_or_passed_on() {
    let mut host = host();
    host.meet_peer();
    let first = raw(&mut host, 17, "first", false);
    let second = raw(&mut host, 17, "second", false);
    host.udp("udp", 7);
    let packet = Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"x").padded(4);
    host.input(packet.frame());
    let heard = host.heard();
    assert_eq!(heard.len(), 3, "both raw ones, then UDP: {heard:?}");
    let Heard::Packet { packet: seen, .. } = &heard[0] else { panic!("{heard:?}") };
    assert_eq!(seen, &packet.packet()[..29], "as long as the packet says");
    let eater = raw(&mut host, 17, "eater", true);
    host.stack.raw_remove(first).unwrap();
    host.stack.raw_remove(second).unwrap();
    host.input(packet.frame());
    assert_eq!(host.who_heard(), ["eater"]);
    host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:99", b"closed").frame());
    assert!(host.sent().is_empty(), "eaten, so not unreachable");
    assert!(host.stack.raw_remove(eater).unwrap().is_some());
    assert_eq!(host.stack.raw_remove(eater).err(), Some(Error::Closed));
    assert_eq!(host.stack.raw(eater).err(), Some(Error::Closed));
    assert_eq!(host.stack.counters().raw.eaten, 2);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [lwip-raw-api §3.11] Address, peer and interface limit what is taken; a protocol that is heard is no stranger.
#[test]
fn a_control_block_takes_what_its_bindings_say() {
    let mut host = host();
    host.meet_peer();
    let tunnel = host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new([10, 0, 0, 2].into(), 24)));
    let handle = raw(&mut host, 200, "raw", false);
    let packet = |source: Ipv4Addr| Packet::new(source, OURS, 200, vec![1, 2, 3]).frame();
    let taken = |host: &mut Host, source| {
        host.input(packet(source));
        host.who_heard().len()
    };
    assert_eq!(taken(&mut host, PEER), 1);
    assert!(host.sent().is_empty(), "no protocol unreachable");
    host.stack.raw(handle).unwrap().connect(PEER.into()).unwrap();
    assert_eq!(taken(&mut host, PEER), 1);
    assert_eq!(taken(&mut host, Ipv4Addr::new(192, 0, 2, 8)), 0);
    host.stack.raw(handle).unwrap().disconnect().unwrap();
    assert_eq!(host.stack.raw(handle).unwrap().disconnect(), Err(Error::NotConnected));
    host.stack.raw(handle).unwrap().bind_netif(Some(tunnel)).unwrap();
    assert_eq!(taken(&mut host, PEER), 0);
    host.stack.raw(handle).unwrap().bind_netif(None).unwrap();
    host.stack.raw(handle).unwrap().bind([10, 0, 0, 2].into()).unwrap();
    assert_eq!(taken(&mut host, PEER), 0);
    host.stack.raw(handle).unwrap().bind(OURS.into()).unwrap();
    assert_eq!(taken(&mut host, PEER), 1);
    assert_eq!(host.stack.raw(handle).unwrap().bind(PEER.into()), Err(Error::Value));
    assert_eq!(host.stack.raw(handle).unwrap().connect(Ipv4Addr::UNSPECIFIED.into()), Err(Error::Value));
}

#[test]
fn packets_are_sent_with_a_header_of_ours_and_the_checksum_that_was_asked_for() {
    let mut host = host();
    host.meet_peer();
    let handle = raw(&mut host, 1, "raw", false);
    let ping = data(&host, &[8, 0, 0xff, 0xff, 0, 7, 0, 1, 1, 2, 3]);
    let mut pcb = host.stack.raw(handle).unwrap();
    pcb.set_checksum_offset(Some(2)).unwrap();
    pcb.set_ttl(9).unwrap();
    pcb.set_tos(0x20).unwrap();
    pcb.send_to(ping, PEER.into()).unwrap();
    let sent = host.sent_one();
    assert_eq!((sent.icmp().0, sent.icmp().3), (8, &[1, 2, 3][..]));
    assert_eq!((sent.ip().time_to_live, sent.tos(), sent.source()), (9, 0x20, OURS));
}

#[test]
fn a_packet_with_a_header_of_its_own_is_sent_as_it_is_but_for_the_checksum() {
    let mut host = host();
    host.meet_peer();
    let handle = raw(&mut host, 255, "raw", false);
    host.stack.raw(handle).unwrap().set_header_included(true).unwrap();
    let own = Packet::new(OURS, PEER, 47, vec![9; 20]).with_header(|header| {
        header.identification = 0x1234;
        header.time_to_live = 77;
        header.header_checksum = 0;
    });
    let packet = data(&host, &own.packet());
    host.stack.raw(handle).unwrap().send_to(packet, PEER.into()).unwrap();
    let sent = host.sent_one();
    assert_eq!((sent.ip().identification, sent.ip().time_to_live, sent.ip().protocol.0), (0x1234, 77, 47));
    assert_eq!(sent.payload, [9; 20]);
    let good = own.packet();
    let mut wrong_length = good.clone();
    wrong_length.push(0);
    let mut no_ttl = good.clone();
    no_ttl[8] = 0;
    for (bytes, expected) in [
        (&good[..19], Error::Value),
        (&wrong_length, Error::Value),
        (&no_ttl, Error::Value),
        (&Packet::new(PEER, OURS, 47, vec![]).packet(), Error::Route),
    ] {
        let packet = data(&host, bytes);
        let rejected = host.stack.raw(handle).unwrap().send_to(packet, PEER.into()).unwrap_err();
        assert_eq!(rejected.error, expected);
        assert_eq!(rejected.data.len(), bytes.len());
    }
}

#[test]
fn every_refusal_names_its_reason_and_gives_the_data_back() {
    let mut host = host();
    host.meet_peer();
    let gone = host.add(&NetifConfig::ip());
    host.stack.netif_remove(gone).unwrap();
    let handle = raw(&mut host, 200, "raw", false);
    let to = |address: &str| RawSend { destination: address.parse().ok(), ..RawSend::default() };
    let cases = [
        (1, RawSend::default(), Error::NotConnected),
        (1, to("2001:db8::1"), Error::Route),
        (1, to("192.0.2.255"), Error::Value),
        (1, to("127.0.0.1"), Error::Route),
        (65_516, to("192.0.2.9"), Error::Value),
        (1, RawSend { netif: Some(gone), ..to("192.0.2.9") }, Error::Interface),
        (1, RawSend { source: Some(IpAddr::V4(PEER)), ..to("192.0.2.9") }, Error::Route),
    ];
    for (len, send, expected) in cases {
        let bytes = vec![5; len];
        let packet = data(&host, &bytes);
        let place = packet.payload().as_ptr();
        let rejected = host.stack.raw(handle).unwrap().send_with(packet, &send).unwrap_err();
        assert_eq!(rejected.error, expected, "{send:?}");
        assert_eq!(rejected.data, &bytes[..]);
        assert_eq!((rejected.data.payload().as_ptr(), rejected.data.segment_count()), (place, 1));
    }
    let mut pcb = host.stack.raw(handle).unwrap();
    assert_eq!((pcb.set_ttl(0), pcb.set_multicast_ttl(0)), (Err(Error::Value), Err(Error::Value)));
    assert_eq!(pcb.bind_netif(Some(gone)), Err(Error::Interface));
    assert_eq!(pcb.set_multicast_netif(Some(gone)), Err(Error::Interface));
    assert!(host.sent().is_empty());
    let longest = data(&host, &[5; 1_480]);
    host.stack.raw(handle).unwrap().send_to(longest, PEER.into()).unwrap();
    assert_eq!(host.sent_one().payload.len(), 1_480);
}

/// A callback that hands back something else than the packet has eaten it.
#[test]
fn a_packet_that_comes_back_changed_goes_no_further() {
    let mut host = host();
    let app = host.app("cutter").on_packet(|_, mut packet| {
        packet.truncate(10).unwrap();
        Some(packet)
    });
    host.stack.raw_new(17, app).unwrap();
    host.udp("udp", 7);
    host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"x").frame());
    assert_eq!(host.who_heard(), ["cutter"]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}
