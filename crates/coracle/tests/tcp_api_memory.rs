//! TCP when memory runs dry: nothing is lost, and service goes on as soon as there is some.

mod tcp_common;

use std::time::Duration;

use tcp_common::*;

use coracle::{Error, Kind, Layer, Pbuf};

fn packet(pair: &Pair, bytes: &[u8]) -> Pbuf {
    let mut data = pair.client.stack.memory().alloc(Layer::Transport, bytes.len(), Kind::Ram).unwrap();
    data.take(bytes).unwrap();
    data
}

fn all_references(pair: &Pair) -> Vec<Pbuf> {
    let memory = pair.client.stack.memory();
    core::iter::from_fn(|| memory.from_static(b"taken").ok()).collect()
}

/// Without a reference no packet can be cut without copying: segments are shorter, or copies, but the stream is
/// whole.
#[test]
fn packets_are_sent_whole_when_no_reference_is_left() {
    let mut pair = Pair::new();
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    let tcp = pair.connect(client);
    pair.run(Duration::from_millis(10));
    let bytes = pattern(20_000);
    for piece in bytes.chunks(1_000) {
        let data = packet(&pair, piece);
        pair.client.stack.tcp(tcp).unwrap().write(data).unwrap();
    }
    let taken = all_references(&pair);
    pair.run(Duration::from_secs(10));
    assert!(server_log.borrow().received == bytes);
    assert_eq!(pair.client.stack.counters().tcp.retransmitted, 0);
    pair.client.stack.tcp(tcp).unwrap().close().unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Closed));
    drop(taken);
    assert_eq!((memory_used(&pair.client.stack), memory_used(&pair.server.stack)), (0, 0));
}

/// What would take the last means of sending is not taken.
#[test]
fn without_a_reference_no_packet_is_taken() {
    let mut pair = Pair::new();
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, _) = App::new();
    let tcp = pair.connect(client);
    pair.run(Duration::from_millis(10));
    let data = packet(&pair, b"hello");
    let taken = all_references(&pair);
    let rejected = pair.client.stack.tcp(tcp).unwrap().write(data).unwrap_err();
    assert_eq!((rejected.error, rejected.data.len()), (Error::Memory, 5));
    assert_eq!(pair.client.stack.tcp(tcp).unwrap().write_static(b"hello"), Err(Error::Memory));
    drop(taken);
    pair.client.stack.tcp(tcp).unwrap().write(rejected.data).unwrap();
    pair.run(Duration::from_millis(10));
    assert_eq!(server_log.borrow().received, b"hello");
}

/// A connection that never gets the memory to send what it has ends at last, so that it does not hold that for good.
#[test]
fn want_of_memory_for_minutes_ends_a_connection() {
    let mut pair = Pair::new();
    let (server, _) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    let tcp = pair.connect(client);
    pair.run(Duration::from_millis(10));
    let data = packet(&pair, &pattern(5_000));
    pair.client.stack.tcp(tcp).unwrap().write(data).unwrap();
    let memory = pair.client.stack.memory().clone();
    let mut taken = all_references(&pair);
    for (len, kind) in
        [(100, Kind::Ram), (50_000, Kind::Ram), (1_000, Kind::Ram), (50, Kind::Ram), (1, Kind::Pool)]
    {
        taken.extend(core::iter::from_fn(|| memory.alloc(Layer::Raw, len, kind).ok()));
    }
    let before = pair.now;
    while client_log.borrow().heard.last() == Some(&Heard::Connected) {
        pair.run(Duration::from_secs(1));
        assert!(pair.now.since(before) < Duration::from_mins(10));
    }
    assert_eq!(client_log.borrow().heard[1..], [Heard::Error(Error::Memory)]);
    assert!(pair.now.since(before) > Duration::from_mins(5));
    drop(taken);
    assert_eq!(memory_used(&pair.client.stack), 0);
}
