//! Two stacks in one program, which share nothing but the wire between them.

mod common;
use common::*;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::*;

fn pair() -> (Host, Host) {
    let peer = Host::configured(|setup| {
        setup.netif = NetifConfig::ethernet(PEER_MAC).ipv4(Ipv4Settings::new(PEER, 24));
        setup.config.seed = [9; 16];
    });
    (host(), peer)
}

/// Carries frames both ways until there are none, each as the very buffer that the sender filled.
fn carry(first: &mut Host, second: &mut Host) -> usize {
    let mut frames = 0;
    loop {
        let before = frames;
        while let Some(frame) = first.stack.transmit(first.netif) {
            Seen::frame(&bytes_of(&frame));
            second.stack.input(second.netif, frame, second.now).unwrap();
            frames += 1;
        }
        while let Some(frame) = second.stack.transmit(second.netif) {
            Seen::frame(&bytes_of(&frame));
            first.stack.input(first.netif, frame, first.now).unwrap();
            frames += 1;
        }
        if frames == before {
            return frames;
        }
    }
}

#[test]
fn two_stacks_resolve_each_other_and_echo_datagrams_of_every_size() {
    let (mut client, mut server) = pair();
    let app = server.app("echo").on_datagram(|udp, from, data| udp.send_to(data, from).unwrap());
    server.udp_of(app, 7);
    let udp = client.udp("client", 5_000);
    for len in (0..1_472).step_by(61).chain([1_472]) {
        let bytes = vec![len as u8; len];
        client.stack.udp(udp).unwrap().send_bytes_to(&bytes, (PEER, 7).into()).unwrap();
        carry(&mut client, &mut server);
        assert_eq!(client.datagrams(), [bytes]);
    }
    assert_eq!(client.stack.counters().arp.requests_sent, 1);
    assert_eq!(server.stack.counters().arp.requests_sent, 0, "a request told who asked");
    assert_eq!((client.memory_used(), server.memory_used()), ((0, 0, 0), (0, 0, 0)));
}

#[test]
fn a_closed_port_and_a_vanished_host_are_told_to_the_sender() {
    let (mut client, mut server) = pair();
    let udp = client.udp("client", 5_000);
    client.stack.udp(udp).unwrap().send_bytes_to(b"x", (PEER, 9).into()).unwrap();
    carry(&mut client, &mut server);
    let to: SocketAddr = (PEER, 9).into();
    let error = IcmpError { kind: IcmpErrorKind::PortUnreachable, reporter: Some(PEER.into()) };
    assert_eq!(client.heard(), [Heard::DatagramError { who: "client", to, error }]);
    let nobody: SocketAddr = (Ipv4Addr::new(192, 0, 2, 66), 9).into();
    client.stack.udp(udp).unwrap().send_bytes_to(b"x", nobody).unwrap();
    for _ in 0..10 {
        carry(&mut client, &mut server);
        client.advance(Duration::from_secs(1));
        server.advance(Duration::from_secs(1));
    }
    let error = IcmpError { kind: IcmpErrorKind::HostUnreachable, reporter: None };
    assert_eq!(client.heard(), [Heard::DatagramError { who: "client", to: nobody, error }]);
}

#[test]
fn a_hundred_thousand_datagrams_go_there_and_back_and_none_is_lost() {
    let (mut client, mut server) = pair();
    let app = server.app("echo").on_datagram(|udp, from, data| udp.send_to(data, from).unwrap());
    server.udp_of(app, 7);
    let udp = client.udp("client", 5_000);
    client.stack.udp(udp).unwrap().connect((PEER, 7).into()).unwrap();
    let mut back = 0_u32;
    for number in 0..100_000_u32 {
        let data = client.data(&number.to_be_bytes());
        client.stack.udp(udp).unwrap().send(data).unwrap();
        if number % 32 == 31 {
            carry(&mut client, &mut server);
            server.log.borrow_mut().clear();
            for data in client.datagrams() {
                assert_eq!(data, back.to_be_bytes());
                back += 1;
            }
        } else if number == 0 {
            carry(&mut client, &mut server);
        }
    }
    assert_eq!(back, 100_000);
    assert_eq!((client.memory_used(), server.memory_used()), ((0, 0, 0), (0, 0, 0)));
}

#[test]
fn stacks_with_the_same_seed_do_the_same_and_a_stack_can_move_to_another_thread() {
    let run = || {
        let (mut client, mut server) = pair();
        let udp = client.udp("client", 0);
        client.stack.udp(udp).unwrap().send_bytes_to(b"x", (PEER, 9).into()).unwrap();
        carry(&mut client, &mut server);
        client.stack.udp(udp).unwrap().send_bytes_to(b"y", (PEER, 9).into()).unwrap();
        client.sent_raw(client.netif)
    };
    assert_eq!(run(), run());
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::SMALL).unwrap();
    let mut stack = Stack::<()>::new(&mut arena, Limits::SMALL, memory, Config::new([1; 16])).unwrap();
    let deadline = std::thread::spawn(move || stack.poll(Instant::ZERO)).join().unwrap();
    assert_eq!(deadline, None);
}
