//! Ping between the Linux kernel and the stack, both ways.

mod peer;

use coracle::Error;
use coracle_host::{Ping, PingEvent};
use peer::{CORACLE, LINUX, PATIENCE, Peer, pattern, tap, tap_with, tun};
use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use std::net::UdpSocket;

/// The edges: nothing, odd, no timestamp in it and just one, ping's default and its neighbours, a full frame.
const SIZES: [usize; 11] = [0, 1, 2, 7, 8, 55, 56, 57, 1000, 1471, 1472];

#[test]
fn linux_pings_the_stack_with_its_own_tool() {
    let Some(peer) = tap("linux_pings") else { return };
    let mut sent = 0;
    for size in SIZES.into_iter().chain((0..1472).step_by(97)) {
        sent += peer.ping(5, size);
    }
    let Some((counters, verdict)) = peer.finish() else { return };
    assert_eq!((counters.icmp.echo_replies, counters.icmp.bad_checksum), (sent as u32, 0));
    assert_eq!(verdict.good_checksums, 2 * sent, "of the IP header and of the message");
}

/// An ICMP socket of the kernel's, which fills in identifier and checksum and checks those of answers.
fn icmp_socket(peer: &Peer) -> UdpSocket {
    peer.namespace.sysctl("net.ipv4.ping_group_range", "0 0").unwrap();
    let open = || socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP));
    let socket = UdpSocket::from(peer.namespace.run(open).unwrap().unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((CORACLE, 0)).unwrap();
    socket
}

fn echo_request(sequence: usize, size: usize) -> Vec<u8> {
    let mut request = vec![8, 0, 0, 0, 0, 0, 0, 0];
    request[6..8].copy_from_slice(&(sequence as u16).to_be_bytes());
    request.extend(pattern(sequence, size));
    request
}

fn every_size_comes_back(peer: &Peer, sizes: impl Iterator<Item = usize>) {
    let socket = icmp_socket(peer);
    let mut answer = vec![0; 70_000];
    for (sequence, size) in sizes.enumerate() {
        let request = echo_request(sequence, size);
        socket.send(&request).unwrap();
        let len = socket.recv(&mut answer).unwrap();
        assert_eq!((len, answer[0]), (request.len(), 0), "an echo reply of {size} bytes");
        assert_eq!(answer[6..len], request[6..], "sequence number and data of {size} bytes");
    }
}

#[test]
fn every_size_of_ping_comes_back_unchanged() {
    let Some(peer) = tap("every_ping") else { return };
    every_size_comes_back(&peer, 0..=1472);
    let Some((counters, _)) = peer.finish() else { return };
    assert_eq!(counters.icmp.echo_replies, 1473);
}

#[test]
fn frames_longer_than_a_pool_buffer_come_and_go() {
    // At this MTU a frame is read into one piece of the heap.
    let Some(peer) = tap_with("jumbo", 9000, peer::stack(|_, _| {})) else { return };
    let mtu = peer.stack({
        let netif = peer.netif;
        move |stack| stack.netif(netif).unwrap().mtu().unwrap()
    });
    assert_eq!(mtu, 9000, "the device's");
    every_size_comes_back(&peer, (0..=8972).step_by(299).chain([8971, 8972]));
    stack_pings_linux(&peer, [0, 56, 1473, 8972]);
    peer.finish();
}

#[test]
fn pings_without_ethernet() {
    let Some(peer) = tun("tun_ping") else { return };
    peer.ping(10, 56);
    every_size_comes_back(&peer, (0..=1472).step_by(31).chain([1471, 1472]));
    stack_pings_linux(&peer, [0, 1, 56, 1472]);
    let Some((_, verdict)) = peer.finish() else { return };
    assert!(verdict.judged > 60);
}

/// Around the boundaries of two, three and many fragments, up to the longest ping that there is.
fn long_sizes() -> impl Iterator<Item = usize> {
    let edges = [1_473, 1_480, 2_951, 2_952, 2_953, 32_767, 32_768, 65_500, 65_506, 65_507];
    (1_473..65_507).step_by(1_999).chain(edges)
}

#[test]
fn pings_in_fragments_come_back_unchanged() {
    let Some(peer) = tap("fragments") else { return };
    peer.ping(3, 65_507);
    every_size_comes_back(&peer, long_sizes());
    let count = long_sizes().count() as u32 + 3;
    let Some((counters, _)) = peer.finish() else { return };
    assert_eq!((counters.icmp.echo_replies, counters.ip.reassembled), (count, count));
    assert_eq!((counters.ip.fragmented, counters.ip.reassembly_failed), (count, 0));
}

#[test]
fn the_stack_pings_linux_in_fragments() {
    let Some(peer) = tap("stack_fragments") else { return };
    stack_pings_linux(&peer, long_sizes());
    let count = long_sizes().count() as u32;
    let Some((counters, _)) = peer.finish() else { return };
    assert_eq!((counters.ip.fragmented, counters.ip.reassembled), (count, count));
}

/// Sends a request of each size from the stack, one after the other; each is answered with its own data.
fn stack_pings_linux(peer: &Peer, sizes: impl IntoIterator<Item = usize>) {
    let ping = peer.stack(|stack| Ping::open(stack, LINUX, 0x1234)).unwrap();
    let sender = ping.sender();
    for (number, wanted) in (0..).zip(sizes) {
        peer.stack(move |stack| sender.send(stack, number, wanted)).unwrap();
        let event = ping.events().recv_timeout(PATIENCE).unwrap();
        let PingEvent::Reply { sequence, size, intact, ttl, .. } = event else { panic!("{event:?}") };
        assert_eq!((sequence, size, intact, ttl), (number, wanted, true, 64));
    }
    peer.stack(move |stack| sender.close(stack)).unwrap();
    assert!(ping.events().recv().is_err(), "nobody reports any more");
    assert_eq!(peer.stack(move |stack| sender.send(stack, 0, 0)), Err(Error::Closed));
}

#[test]
fn the_stack_pings_linux_with_every_size() {
    let Some(peer) = tap("stack_pings") else { return };
    stack_pings_linux(&peer, 0..=1472);
    let Some((counters, verdict)) = peer.finish() else { return };
    assert_eq!((counters.raw.sent, counters.raw.eaten, counters.raw.send_failed), (1473, 1473, 0));
    assert_eq!(verdict.good_checksums, 2 * 1473);
}

#[test]
fn the_stack_refuses_to_send_more_than_a_packet_holds() {
    let Some(peer) = tap("too_big") else { return };
    let ping = peer.stack(|stack| Ping::open(stack, LINUX, 1)).unwrap();
    let sender = ping.sender();
    for size in [65_508, 65_509, 100_000] {
        assert_eq!(peer.stack(move |stack| sender.send(stack, 0, size)), Err(Error::Value), "{size} bytes");
    }
    assert_eq!(peer.stack(|stack| stack.counters().ip.too_big), 3);
    peer.stack(move |stack| sender.send(stack, 1, 1472)).unwrap();
    assert!(ping.events().recv_timeout(PATIENCE).is_ok(), "the service goes on");
    peer.finish();
}

#[test]
fn nobody_answers_for_a_host_that_is_not_there() {
    // Three requests for the station, 20 milliseconds apart; then the packet is reported as undeliverable.
    let host = peer::stack(|_, config| {
        config.neighbour_attempts = 3;
        config.neighbour_retry = std::time::Duration::from_millis(20);
    });
    let Some(peer) = tap_with("nobody", 1500, host) else { return };
    let ping = peer.stack(|stack| Ping::open(stack, "192.0.2.77".parse().unwrap(), 1)).unwrap();
    let sender = ping.sender();
    peer.stack(move |stack| sender.send(stack, 0, 56)).unwrap();
    let event = ping.events().recv_timeout(PATIENCE).unwrap();
    let PingEvent::Failed { error, .. } = event else { panic!("{event:?}") };
    assert_eq!((error.kind, error.reporter), (coracle::IcmpErrorKind::HostUnreachable, None));
    peer.ping(1, 56);
    peer.finish();
}
