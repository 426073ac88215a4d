//! Frames that are handed over together: what arrives is the same, for less, and with fewer acknowledgments.

mod tcp_common;

use std::time::Duration;

use tcp_common::*;

use coracle::{Error, Kind, Layer};

fn connected(pair: &mut Pair, bytes: &[u8]) -> (Log, Log) {
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    client_log.borrow_mut().to_send.extend(bytes);
    client_log.borrow_mut().close_when_sent = true;
    pair.connect(client);
    (client_log, server_log)
}

/// [RFC 9293 MUST-59] All segments of a batch are taken before any is acknowledged, and the application has them at once.
#[test]
fn segments_of_a_batch_become_one_and_get_one_acknowledgment() {
    let transfer = |mut pair: Pair| {
        let bytes = pattern(200_000);
        let (_, server_log) = connected(&mut pair, &bytes);
        pair.run(Duration::from_mins(1));
        assert!(server_log.borrow().received == bytes);
        assert_eq!((memory_used(&pair.client.stack), memory_used(&pair.server.stack)), (0, 0));
        let heard = server_log.borrow();
        let pieces = heard.heard.iter().filter(|heard| matches!(heard, Heard::Data(_))).count();
        let most = heard.heard.iter().map(|heard| if let Heard::Data(len) = heard { *len } else { 0 }).max();
        let sent = pair.server.stack.counters().ip.sent;
        assert_eq!(pair.client.stack.counters().tcp.retransmitted, 0);
        (pieces, most.unwrap(), sent)
    };
    let (pieces, most, answers) = transfer(Pair::of_batches(|_, _| {}));
    let (pieces_alone, most_alone, answers_alone) = transfer(Pair::new());
    assert!(most > 8 * 1_448 && most_alone <= 1_460, "{most} {most_alone}");
    assert!(pieces * 5 < pieces_alone, "{pieces} {pieces_alone}");
    assert!(answers * 3 < answers_alone, "{answers} {answers_alone}");
}

/// Whatever of a batch is lost, late or doubled.
#[test]
fn batches_through_loss_and_reordering() {
    for seed in 1..30 {
        let mut pair = Pair::of_batches(|config, _| config.tcp.timestamps = seed % 3 > 0);
        let mut dice = Dice(seed);
        pair.fate = Some(Box::new(move |_| {
            // Frames arrive in steps of two milliseconds, so that many arrive together.
            let later = |dice: &mut Dice| Duration::from_millis(if dice.one_in(6) { 2 } else { 0 });
            match dice.next() % 30 {
                0 => vec![],
                1 => vec![later(&mut dice), later(&mut dice)],
                _ => vec![later(&mut dice)],
            }
        }));
        let bytes = pattern(150_000);
        let (client_log, server_log) = connected(&mut pair, &bytes);
        server_log.borrow_mut().refuse = (seed % 4) as usize;
        pair.run(Duration::from_mins(20));
        assert!(server_log.borrow().received == bytes, "seed {seed}");
        assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Closed), "seed {seed}");
        assert_eq!((memory_used(&pair.client.stack), memory_used(&pair.server.stack)), (0, 0), "seed {seed}");
    }
}

/// A segment whose checksum is wrong does not spoil those around it.
#[test]
fn a_damaged_segment_of_a_batch_is_dropped_alone() {
    let mut pair = Pair::of_batches(|_, _| {});
    let bytes = pattern(60_000);
    let (_, server_log) = connected(&mut pair, &bytes);
    for _ in 0..1_000 {
        pair.run(Duration::from_micros(100));
        if pair.on_wire() > 6 {
            break;
        }
    }
    // The data of the fourth frame under way.
    pair.damage(3);
    pair.run(Duration::from_mins(1));
    assert!(server_log.borrow().received == bytes);
    assert_eq!(pair.server.stack.counters().tcp.bad_checksum, 1);
    assert_eq!(pair.client.stack.counters().tcp.retransmitted, 1);
}

#[test]
fn frames_for_an_interface_that_is_gone_come_to_nothing() {
    let mut pair = Pair::of_batches(|_, _| {});
    let host = &mut pair.server;
    let memory = host.stack.memory().clone();
    let frame = || memory.alloc(Layer::Raw, 60, Kind::Pool).unwrap();
    host.stack.netif_remove(host.netif).unwrap();
    assert_eq!(host.stack.input_all(host.netif, [frame(), frame()], pair.now), Err(Error::Closed));
    assert_eq!(memory_used(&host.stack), 0);
}
