//! UDP between the Linux kernel and the stack.

mod peer;

use coracle::{Error, IcmpErrorKind, Kind, Layer};
use peer::{CORACLE, Event, LINUX, PATIENCE, Peer, pattern, tap, tun};
use std::io;
use std::net::{SocketAddr, UdpSocket};

fn echo_of(peer: &Peer, sizes: impl Iterator<Item = usize>) {
    let socket = peer.socket(7);
    let mut answer = vec![0; 65_536];
    for (number, size) in sizes.enumerate() {
        let data = pattern(number, size);
        socket.send(&data).unwrap();
        let len = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[..len], data, "{size} bytes");
    }
}

#[test]
fn datagrams_of_every_size_come_back_unchanged() {
    let Some(peer) = tap("udp_every_size") else { return };
    echo_of(&peer, 0..=1472);
    let Some((counters, verdict)) = peer.finish() else { return };
    assert_eq!((counters.udp.delivered, counters.udp.sent), (1473, 1473));
    assert_eq!(verdict.good_checksums, 2 * 1473, "of the IP header and of the datagram");
}

#[test]
fn datagrams_without_ethernet_come_back_unchanged() {
    let Some(peer) = tun("udp_tun") else { return };
    echo_of(&peer, 0..=1472);
    peer.finish();
}

#[test]
fn longer_datagrams_go_in_fragments_and_the_longest_is_known() {
    let Some(peer) = tap("udp_too_big") else { return };
    echo_of(&peer, [1_473, 1_500, 2_953, 8_000, 65_507].into_iter());
    let socket = peer.socket(7);
    let (udp, events) = peer.listener();
    let to: SocketAddr = socket.local_addr().unwrap();
    let send = move |stack: &mut coracle::Stack<coracle::Boxed>, size: usize| {
        let data = stack.memory().alloc(Layer::Transport, size, Kind::Ram)?;
        stack.udp(udp)?.send_to(data, to).map_err(Error::from)
    };
    for size in [65_508, 80_000] {
        assert_eq!(peer.stack(move |stack| send(stack, size)), Err(Error::Value), "{size} bytes");
    }
    assert_eq!(events.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
    echo_of(&peer, [1472].into_iter());
    peer.finish();
}

#[test]
fn linux_is_told_of_a_closed_port() {
    let Some(peer) = tap("udp_closed") else { return };
    for size in [0, 1, 8, 500, 1472] {
        let socket = peer.socket(9);
        socket.send(&pattern(0, size)).unwrap();
        let error = socket.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{size} bytes");
    }
    let Some((counters, _)) = peer.finish() else { return };
    assert_eq!((counters.udp.no_port, counters.icmp.sent), (5, 5));
}

#[test]
fn the_stack_is_told_of_linuxs_closed_port() {
    let Some(peer) = tap("udp_refused") else { return };
    let (udp, events) = peer.listener();
    let to: SocketAddr = (LINUX, 9).into();
    for size in [0, 1, 600, 1472] {
        let data = pattern(0, size);
        peer.stack(move |stack| stack.udp(udp).unwrap().send_bytes_to(&data, to)).unwrap();
        let event = events.recv_timeout(PATIENCE).unwrap();
        let Event::Error(about, error) = event else { panic!("{event:?}") };
        assert_eq!(
            (about, error.kind, error.reporter),
            (to, IcmpErrorKind::PortUnreachable, Some(LINUX.into()))
        );
        assert_eq!(error.error(), Error::Reset);
    }
    peer.finish();
}

#[test]
fn a_connected_control_block_talks_to_a_server_of_linuxs() {
    let Some(peer) = tap("udp_client") else { return };
    let server = peer.namespace.run(|| UdpSocket::bind((LINUX, 0))).unwrap().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let (udp, events) = peer.listener();
    let to = server.local_addr().unwrap();
    peer.stack(move |stack| stack.udp(udp).unwrap().connect(to)).unwrap();
    for size in (0..=1472).step_by(64) {
        let data = pattern(size, size);
        let copy = data.clone();
        peer.stack(move |stack| {
            let mut packet = stack.memory().alloc(Layer::Transport, copy.len(), Kind::Pool).unwrap();
            packet.take(&copy).unwrap();
            stack.udp(udp).unwrap().send(packet)
        })
        .unwrap();
        let mut buffer = [0; 2000];
        let (len, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from.ip()), (&data[..], CORACLE.into()));
        server.send_to(&buffer[..len], from).unwrap();
        assert_eq!(events.recv_timeout(PATIENCE).unwrap(), Event::Data(to, data));
    }
    // A stranger's datagram to a connected control block is for nobody.
    let stranger = peer.namespace.run(|| UdpSocket::bind((LINUX, 0))).unwrap().unwrap();
    let local = peer.stack(move |stack| stack.udp(udp).unwrap().local()).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger.connect(local).unwrap();
    stranger.send(b"hello").unwrap();
    assert_eq!(stranger.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(events.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
    peer.finish();
}

#[test]
fn a_hundred_thousand_datagrams_there_and_back_and_none_lost() {
    const COUNT: usize = 100_000;
    /// Under way at once: fewer than the interface and the kernel's queues hold, so that nothing may be lost.
    const WINDOW: usize = 32;
    let Some(peer) = tap("udp_many") else { return };
    let socket = peer.socket(7);
    let datagram = |number: usize| {
        let mut data = pattern(number, 64 + number % 32);
        data[..8].copy_from_slice(&(number as u64).to_be_bytes());
        data
    };
    let mut answer = vec![0; 65_536];
    let (mut sent, mut received) = (0, 0);
    while received < COUNT {
        // The first goes alone: what the kernel keeps for an unknown neighbour leaves in no certain order.
        let window = if received == 0 { 1 } else { WINDOW };
        while sent < COUNT && sent - received < window {
            socket.send(&datagram(sent)).unwrap();
            sent += 1;
        }
        let len = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[..len], datagram(received), "in order, and unchanged");
        received += 1;
    }
    let Some((counters, verdict)) = peer.finish() else { return };
    assert_eq!((counters.udp.delivered, counters.udp.sent, counters.udp.send_failed), (100_000, 100_000, 0));
    assert!(verdict.judged >= COUNT && verdict.good_checksums >= 2 * COUNT, "{verdict:?}");
}
