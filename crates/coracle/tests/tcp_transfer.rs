//! Data over TCP between two stacks: every byte arrives, once, in order, whatever the wire does.

mod tcp_common;

use std::time::Duration;

use tcp_common::*;

use coracle::TcpState;

#[test]
fn a_connection_opens_carries_data_both_ways_and_closes() {
    let mut pair = Pair::new();
    let (server, server_log) = App::new();
    server_log.borrow_mut().echo = true;
    pair.listen(server);
    let (client, client_log) = App::new();
    client_log.borrow_mut().to_send.extend(b"hello, world");
    let tcp = pair.connect(client);
    pair.run(Duration::from_secs(1));
    assert_eq!(client_log.borrow().received, b"hello, world");
    assert_eq!(server_log.borrow().received, b"hello, world");
    assert_eq!(client_log.borrow().heard, [Heard::Connected, Heard::Sent(12), Heard::Data(12)]);
    assert_eq!(pair.client.stack.tcp(tcp).unwrap().state(), TcpState::Established);
    pair.client.stack.tcp(tcp).unwrap().close().unwrap();
    pair.run(Duration::from_secs(1));
    assert!(pair.client.stack.tcp(tcp).is_err());
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Closed));
    let server_heard = &server_log.borrow().heard;
    assert_eq!(server_heard[..2], [Heard::Accepted, Heard::Data(12)]);
    assert_eq!(server_heard.last(), Some(&Heard::Closed));
    assert!(server_heard.contains(&Heard::Finished));
    assert_eq!((memory_used(&pair.client.stack), memory_used(&pair.server.stack)), (0, 0));
}

fn transfer(len: usize, loss_one_in: u64, jitter_ms: u64, seed: u64) {
    let mut pair = Pair::new();
    let mut dice = Dice(seed);
    pair.fate = Some(Box::new(move |_| {
        if loss_one_in > 0 && dice.one_in(loss_one_in) {
            return vec![];
        }
        let later = if jitter_ms > 0 { dice.next() % jitter_ms } else { 0 };
        vec![Duration::from_millis(later)]
    }));
    let (server, server_log) = App::new();
    server_log.borrow_mut().echo = true;
    pair.listen(server);
    let (client, client_log) = App::new();
    let bytes = pattern(len);
    client_log.borrow_mut().to_send.extend(&bytes);
    let tcp = pair.connect(client);
    pair.run(Duration::from_mins(10));
    assert_eq!(server_log.borrow().received.len(), len, "seed {seed}");
    assert!(server_log.borrow().received == bytes, "seed {seed}");
    assert!(client_log.borrow().received == bytes, "seed {seed}");
    pair.client.stack.tcp(tcp).unwrap().close().unwrap();
    pair.run(Duration::from_mins(10));
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Closed), "seed {seed}");
    assert_eq!((memory_used(&pair.client.stack), memory_used(&pair.server.stack)), (0, 0), "seed {seed}");
}

#[test]
fn transfers_of_many_sizes() {
    for len in [0, 1, 1_447, 1_448, 1_449, 65_535, 65_536, 1 << 20] {
        transfer(len, 0, 0, 1);
    }
}

#[test]
fn transfers_through_loss_and_reordering() {
    for seed in 1..20 {
        transfer(100_000, 20, 0, seed);
        transfer(100_000, 0, 8, seed);
        transfer(50_000, 8, 8, seed);
    }
}
