//! What is sent to ourselves, by the loopback interface or to an address of another one.

mod common;
use common::*;

use std::net::{Ipv4Addr, SocketAddr};

use coracle::*;

fn at(endpoint: &str) -> SocketAddr {
    endpoint.parse().unwrap()
}

fn with_loopback() -> (Host, NetifHandle) {
    let mut host = host();
    let loopback = host.add(&NetifConfig::loopback());
    (host, loopback)
}

#[test]
fn datagrams_to_ourselves_come_back_at_the_next_poll_and_nothing_leaves() {
    let (mut host, loopback) = with_loopback();
    host.udp("server", 7);
    let udp = host.udp("client", 5_000);
    for (to, source) in
        [("127.0.0.1:7", "127.0.0.1"), ("127.9.9.9:7", "127.9.9.9"), ("192.0.2.2:7", "192.0.2.2")]
    {
        host.stack.udp(udp).unwrap().send_bytes_to(b"self", at(to)).unwrap();
        assert!(host.heard().is_empty(), "calls outside of callbacks do not call back");
        assert_eq!(host.stack.next_deadline(), Some(host.now));
        host.poll();
        let Some(Heard::Datagram { from, data, packet, .. }) = host.heard().pop() else { panic!("lost") };
        assert_eq!((from, data), (at(&format!("{source}:5000")), b"self".to_vec()));
        assert_eq!(SocketAddr::from((packet.destination, 7)), at(to));
    }
    assert!(host.sent().is_empty() && host.sent_raw(loopback).is_empty());
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn without_a_loopback_interface_there_is_no_way_to_127() {
    let mut host = host();
    let udp = host.udp("client", 5_000);
    assert_eq!(host.stack.udp(udp).unwrap().send_bytes_to(b"x", at("127.0.0.1:7")), Err(Error::Route));
    let loopback = host.stack.netif_add(&NetifConfig::loopback()).unwrap();
    assert_eq!(host.stack.udp(udp).unwrap().send_bytes_to(b"x", at("127.0.0.1:7")), Err(Error::Route));
    host.stack.netif(loopback).unwrap().set_up(true).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", at("127.0.0.1:5000")).unwrap();
    host.poll();
    assert_eq!(host.datagrams(), [b"x"]);
}

/// [1122-UDP-2] A closed port of our own is told to the sender, too.
#[test]
fn a_closed_port_of_ours_is_reported_to_the_sender() {
    let (mut host, _) = with_loopback();
    let udp = host.udp("client", 5_000);
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", at("127.0.0.1:9")).unwrap();
    host.poll();
    let error =
        IcmpError { kind: IcmpErrorKind::PortUnreachable, reporter: Some(Ipv4Addr::LOCALHOST.into()) };
    let expected = Heard::DatagramError { who: "client", to: at("127.0.0.1:9"), error };
    assert_eq!(host.heard(), [expected]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn ourselves_can_be_pinged_by_a_raw_control_block() {
    let (mut host, _) = with_loopback();
    let app = host.app("pinger");
    let raw = host.stack.raw_new(1, app).unwrap();
    host.stack.raw(raw).unwrap().set_checksum_offset(Some(2)).unwrap();
    for to in [Ipv4Addr::LOCALHOST, OURS] {
        let mut ping = host.stack.memory().alloc(Layer::Ip, 12, Kind::Ram).unwrap();
        ping.take(&[8, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4]).unwrap();
        host.stack.raw(raw).unwrap().send_to(ping, to.into()).unwrap();
        host.poll();
        let types: Vec<u8> = host
            .heard()
            .iter()
            .map(|heard| match heard {
                Heard::Packet { packet, .. } => packet[20],
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(types, [8, 0], "the question and the answer");
    }
    assert!(host.sent().is_empty());
}

#[test]
fn the_longest_datagram_fits_through_loopback() {
    let (mut host, _) = with_loopback();
    host.udp("server", 7);
    let udp = host.udp("client", 5_000);
    let data = vec![3; 65_535 - 28];
    let longest = host.data(&data);
    host.stack.udp(udp).unwrap().send_to(longest, at("127.0.0.1:7")).unwrap();
    host.poll();
    assert_eq!(host.datagrams(), [data]);
    let longer = host.data(&vec![3; 65_535 - 27]);
    let rejected = host.stack.udp(udp).unwrap().send_to(longer, at("127.0.0.1:7")).unwrap_err();
    assert_eq!((rejected.error, rejected.data.len()), (Error::Value, 65_508));
}

#[test]
fn a_group_on_the_loopback_interface_hears_a_datagram_once() {
    let (mut host, loopback) = with_loopback();
    let group = Ipv4Addr::new(239, 1, 1, 1);
    host.stack.netif(loopback).unwrap().join_group(group.into()).unwrap();
    host.udp("member", 7);
    let udp = host.udp("sender", 5_000);
    host.stack.udp(udp).unwrap().set_multicast_netif(Some(loopback)).unwrap();
    for looped in [false, true] {
        host.stack.udp(udp).unwrap().set_multicast_loop(looped).unwrap();
        host.stack.udp(udp).unwrap().send_bytes_to(b"once", (group, 7).into()).unwrap();
        host.poll();
        assert_eq!(host.datagrams(), [b"once"], "with multicast loop {looped}");
    }
    assert!(host.sent_raw(loopback).is_empty());
    assert_eq!(host.memory_used(), (0, 0, 0));
}
