//! Megabytes over TCP between the Linux kernel's sockets and the stack, both ways at once; every byte is compared.

mod peer;

use peer::tcp::{Event, Events, Plan, Then, accept, exchange, expect_stream, send_stream};
use peer::{Peer, soon, tap, tap_with, tun};
use rustix::net::sockopt;
use std::net::TcpStream;

const MEGABYTE: u64 = 1 << 20;
/// A sender that fills the window is no fault; nor, on a busy machine, that Linux sends something twice too soon, and
/// is told so.
const FULL: &[&str] = &["now completely full", "D-SACK"];

/// Waits for the end of an exchange on the stack's side.
fn ended(events: &Events, bytes: u64, connections: usize) {
    let (mut finished, mut closed) = (0, 0);
    while closed < connections {
        match events.next() {
            Event::Finished(count) => {
                assert_eq!(count, bytes);
                finished += 1;
            }
            Event::Closed => closed += 1,
            Event::Open | Event::Written => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(finished, connections);
}

/// Linux connects, and both send so much at the same time.
fn both_ways(peer: &Peer, port: u16, bytes: u64) {
    let (_, events) = peer.serve(port, Plan::exchange(1, bytes, 2));
    exchange(&peer.connect(port), 2, bytes, (1, bytes));
    ended(&events, bytes, 1);
}

#[test]
fn one_way_then_the_other_then_both() {
    let Some(peer) = tap("bulk_tap") else { return };
    let bytes = 8 * MEGABYTE;
    let (_, events) = peer.serve(80, Plan { expect: Some(2), keep: false, ..Plan::QUIET });
    let linux = peer.connect(80);
    send_stream(&linux, 2, bytes);
    drop(linux);
    events.until(&Event::Finished(bytes));
    events.until(&Event::Closed);
    // The stack is the one to connect.
    let listener = peer.listen();
    let plan = Plan { send: (1, bytes), then: Then::Close, ..Plan::QUIET };
    let (_, events) = peer.dial(listener.local_addr().unwrap(), plan);
    expect_stream(&accept(&listener), 1, bytes);
    events.until(&Event::Closed);
    both_ways(&peer, 82, bytes);
    peer.all_over();
    let Some(counters) = peer.finish_clean(FULL) else { return };
    assert_eq!((counters.tcp.timeouts, counters.tcp.bad_checksum, counters.tcp.memory), (0, 0, 0));
}

#[test]
fn four_connections_at_once() {
    let Some(peer) = tap("bulk_four") else { return };
    let bytes = 2 * MEGABYTE;
    let (_, events) = peer.serve(80, Plan::exchange(1, bytes, 2));
    let sockets: Vec<TcpStream> = (0..4).map(|_| peer.connect(80)).collect();
    std::thread::scope(|scope| {
        for socket in &sockets {
            scope.spawn(|| exchange(socket, 2, bytes, (1, bytes)));
        }
    });
    drop(sockets);
    ended(&events, bytes, 4);
    peer.all_over();
    peer.finish();
}

#[test]
fn whatever_linux_does_without() {
    for (name, parameter, value) in [
        ("bulk_timestamps", "tcp_timestamps", "0"),
        ("bulk_sack", "tcp_sack", "0"),
        ("bulk_scaling", "tcp_window_scaling", "0"),
        ("bulk_ecn", "tcp_ecn", "1"),
    ] {
        let host = peer::stack(|_, config| config.tcp.ecn = true);
        let Some(peer) = tap_with(name, 1500, host) else { return };
        peer.namespace.sysctl(&format!("net.ipv4.{parameter}"), value).unwrap();
        let (_, events) = peer.serve(80, Plan::QUIET);
        let linux = peer.connect(80);
        let info = peer.tcp(events.open(), |tcp| tcp.info().unwrap());
        let expected =
            (parameter != "tcp_timestamps", parameter != "tcp_sack", parameter != "tcp_window_scaling");
        assert_eq!((info.timestamps, info.sack, info.window_scale.is_some()), expected, "{name}");
        assert_eq!(info.ecn, parameter == "tcp_ecn", "{name}");
        drop(linux);
        events.until(&Event::Closed);
        // The other way round the stack offers, and Linux takes what it knows.
        let listener = peer.listen();
        let (tcp, events) = peer.dial(listener.local_addr().unwrap(), Plan::QUIET);
        let linux = accept(&listener);
        let info = peer.tcp(events.open(), |tcp| tcp.info().unwrap());
        assert_eq!((info.timestamps, info.sack, info.window_scale.is_some()), expected, "{name}");
        assert!(info.ecn, "Linux answers an offer even where it makes none: {name}");
        peer.tcp(tcp, |tcp| tcp.close().unwrap());
        drop(linux);
        both_ways(&peer, 82, MEGABYTE);
        peer.all_over();
        peer.finish();
    }
}

#[test]
fn small_and_large_frames_and_none_of_ethernet() {
    for (name, mtu, mss) in [("bulk_576", 576, 524), ("bulk_9000", 9_000, 8_948)] {
        let Some(peer) = tap_with(name, mtu, peer::stack(|_, _| {})) else { return };
        let (_, events) = peer.serve(81, Plan::QUIET);
        let linux = peer.connect(81);
        assert_eq!(
            peer.tcp(events.open(), |tcp| tcp.mss().unwrap()),
            mss,
            "without timestamps, at an MTU of {mtu}"
        );
        drop(linux);
        events.until(&Event::Closed);
        both_ways(&peer, 82, MEGABYTE);
        peer.all_over();
        peer.finish();
    }
    let Some(peer) = tun("bulk_tun") else { return };
    both_ways(&peer, 82, 2 * MEGABYTE);
    peer.all_over();
    peer.finish();
}

#[test]
fn four_megabytes_are_under_way_in_one_window() {
    const WINDOW: u64 = 4 * MEGABYTE;
    let host = peer::stack(|memory, config| {
        memory.pool_buffers = 16 * 1024;
        memory.references = 16 * 1024;
        config.tcp.window = WINDOW as u32;
        config.tcp.send_buffer = 2 * WINDOW as u32;
        config.tcp.send_queue = u16::MAX;
    });
    let Some(peer) = tap_with("bulk_window", 1500, host) else { return };
    peer.namespace.ip("link set tap0 txqueuelen 10000").unwrap();
    for (parameter, value) in [("tcp_wmem", "4096 8388608 8388608"), ("tcp_rmem", "4096 8388608 8388608")] {
        peer.namespace.sysctl(&format!("net.ipv4.{parameter}"), value).unwrap();
    }
    // The stack takes a whole window before the application reads any of it.
    let plan = Plan { read: false, expect: Some(2), keep: false, on_finish: Then::Nothing, ..Plan::QUIET };
    let (_, events) = peer.serve(80, plan);
    let linux = peer.connect(80);
    let tcp = events.open();
    std::thread::scope(|scope| {
        let linux = &linux;
        scope.spawn(move || {
            send_stream(linux, 2, 3 * WINDOW);
            linux.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let unread = || peer.tcp(tcp, |tcp| tcp.receive_queued().unwrap() as u64);
        assert!(soon(|| unread() >= WINDOW), "{} bytes of {WINDOW}", unread());
        let mut read = 0;
        while read < 3 * WINDOW {
            let all = unread();
            peer.tcp(tcp, move |tcp| tcp.recved(all as usize).unwrap());
            read += all;
        }
    });
    events.until(&Event::Finished(3 * WINDOW));
    peer.tcp(tcp, |tcp| tcp.close().unwrap());
    drop(linux);
    events.until(&Event::Closed);
    // Linux takes megabytes before its application reads any of them.
    let listener = peer.listen();
    sockopt::set_socket_recv_buffer_size(&listener, 8 << 20).unwrap();
    let plan = Plan { send: (1, 2 * WINDOW), then: Then::Close, ..Plan::QUIET };
    let (tcp, events) = peer.dial(listener.local_addr().unwrap(), plan);
    let linux = accept(&listener);
    let acknowledged = || peer.tcp(tcp, |tcp| tcp.info().unwrap().bytes_acknowledged);
    assert!(soon(|| acknowledged() > 1 << 20), "{} bytes", acknowledged());
    expect_stream(&linux, 1, 2 * WINDOW);
    drop(linux);
    events.until(&Event::Closed);
    peer.all_over();
    peer.finish();
}

#[test]
fn peers_that_do_not_read_hold_up_nobody_else() {
    const SENT: u64 = 4 * MEGABYTE;
    let Some(peer) = tap("bulk_deaf") else { return };
    // Together they take what there is of the pool, and part of the heap, for what they do not read.
    let (_, events) = peer.serve(80, Plan { send: (1, SENT), then: Then::Close, ..Plan::QUIET });
    let deaf: Vec<TcpStream> = (0..10).map(|_| peer.connect(80)).collect();
    for _ in &deaf {
        events.open();
    }
    let memory = || peer.stack(|stack| stack.memory().stats());
    assert!(soon(|| memory().heap.used > MEGABYTE as usize), "{:?}", memory());
    for port in 90..93 {
        both_ways(&peer, port, 300_000);
    }
    assert!(events.is_quiet(), "the others wait");
    // Once they read, they get everything.
    std::thread::scope(|scope| {
        for socket in &deaf {
            scope.spawn(|| expect_stream(socket, 1, SENT));
        }
    });
    drop(deaf);
    peer.all_over();
    peer.finish();
}
