//! What RFC 9293 asks of the interface to the application and to IP.

mod tcp_common;

use std::net::Ipv4Addr;
use std::time::Duration;

use coracle::wire::checksum::checksum;
use coracle::{Ipv4Settings, Kind, Layer, NetifConfig, TcpState, Trouble};
use tcp_common::*;

/// [RFC 9293 MUST-44, MUST-45] A host with several addresses speaks from the one that fits the way, to the end.
#[test]
fn the_source_address_fits_the_way_and_stays() {
    let mut pair = Pair::new();
    let other = NetifConfig::ip().ipv4(Ipv4Settings::new(Ipv4Addr::new(198, 51, 100, 1), 24));
    let other = pair.client.stack.netif_add(&other).unwrap();
    pair.client.stack.netif(other).unwrap().set_up(true).unwrap();
    let (client, _) = App::new();
    for (remote, source) in [("198.51.100.9:80", "198.51.100.1"), ("192.0.2.9:80", "192.0.2.1")] {
        let tcp = pair.client.stack.tcp_new(client.clone()).unwrap();
        let mut tcp = pair.client.stack.tcp(tcp).unwrap();
        tcp.connect(remote.parse().unwrap()).unwrap();
        assert_eq!(tcp.local().unwrap().ip().to_string(), source);
        tcp.abort().unwrap();
    }
}

/// [RFC 9293 SHLD-9, SHLD-10, MUST-47] After three timeouts the application hears that there is no answer; the
/// connection lives on.
#[test]
fn silence_is_reported_before_it_ends_the_connection() {
    let mut pair = Pair::new();
    let (server, _) = App::new();
    pair.listen(server);
    let (client, log) = App::new();
    let tcp = pair.connect(client);
    pair.run(Duration::from_secs(1));
    pair.fate = Some(Box::new(|_| vec![]));
    pair.client.stack.tcp(tcp).unwrap().write_bytes(b"nobody hears this").unwrap();
    let timeouts = |pair: &Pair| pair.client.stack.counters().tcp.timeouts;
    while timeouts(&pair) < 2 {
        pair.run(Duration::from_millis(10));
    }
    assert!(!log.borrow().heard.contains(&Heard::Trouble(Trouble::Unanswered)), "not after two");
    while timeouts(&pair) < 3 {
        pair.run(Duration::from_millis(10));
    }
    assert!(log.borrow().heard.contains(&Heard::Trouble(Trouble::Unanswered)), "after three");
    assert_eq!(pair.client.stack.tcp(tcp).unwrap().state(), TcpState::Established);
}

/// [RFC 9293 MUST-50] Options of IP that TCP does not understand are no reason not to understand the segment.
#[test]
fn options_of_ip_are_passed_over() {
    let mut pair = Pair::new();
    let (server, _) = App::new();
    pair.listen(server);
    let (client, _) = App::new();
    pair.connect(client);
    let syn = pair.client.stack.transmit(pair.client.netif).unwrap();
    let mut bytes = vec![0; syn.len()];
    syn.copy_to(0, &mut bytes);
    // Three fillers and the end of options, in a header one word longer.
    bytes.splice(20..20, [1, 1, 1, 0]);
    bytes[0] = 0x46;
    let len = (bytes.len() as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&len);
    bytes[10..12].fill(0);
    let sum = checksum(&bytes[..24]).to_be_bytes();
    bytes[10..12].copy_from_slice(&sum);
    let mut frame = pair.server.stack.memory().alloc(Layer::Raw, bytes.len(), Kind::Pool).unwrap();
    frame.take(&bytes).unwrap();
    let now = pair.now;
    pair.server.stack.input(pair.server.netif, frame, now).unwrap();
    assert_eq!(pair.server.stack.counters().tcp.passive_opens, 1);
    assert!(pair.server.stack.transmit(pair.server.netif).is_some(), "SYN and ACK");
}

/// lwIP: connections from an address that is no longer ours are over; listeners go along to the new one.
#[test]
fn connections_end_with_their_address_and_listeners_move() {
    let mut pair = Pair::new();
    let (server, log) = App::new();
    let listener = pair.listen(server);
    let (client, client_log) = App::new();
    pair.connect(client);
    pair.run(Duration::from_millis(50));
    let moved = Ipv4Addr::new(192, 0, 2, 7);
    let netif = pair.server.netif;
    pair.server.stack.netif(netif).unwrap().set_ipv4(Ipv4Settings::new(moved, 24)).unwrap();
    pair.run(Duration::from_millis(50));
    assert_eq!(log.borrow().heard, [Heard::Accepted, Heard::Error(coracle::Error::Aborted)]);
    let local = pair.server.stack.tcp_listener(listener).unwrap().local().unwrap();
    assert_eq!(local, (moved, PORT).into());

    pair.client.stack.netif_remove(pair.client.netif).unwrap();
    pair.client.stack.poll(pair.now);
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Error(coracle::Error::Aborted)));
    assert_eq!(pair.client.stack.tcp_usage().connections, 0);
    assert_eq!((memory_used(&pair.client.stack), memory_used(&pair.server.stack)), (0, 0));
}
