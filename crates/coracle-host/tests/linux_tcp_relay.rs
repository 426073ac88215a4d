//! TCP over a bad wire between the Linux kernel's sockets and the stack: both ways at once, every byte compared.

mod peer;

use coracle_host::relay::Direction;
use peer::bad_wire::network;
use peer::stack;
use peer::tcp::{Event, Plan, connect_from, exchange};
use std::time::{Duration, Instant};

/// So many bytes each way, on as many connections at once; how long that took.
fn transfer(name: &str, wire: &str, bytes: u64, connections: usize) -> Option<Duration> {
    let network = network(name, wire, 7, stack(|_, _| {}))?;
    let (_, events) = network.peer.serve(80, Plan::exchange(1, bytes, 2));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| exchange(&connect_from(&network.linux, 80), 2, bytes, (1, bytes)));
        }
    });
    let took = start.elapsed();
    let (mut finished, mut closed) = (0, 0);
    while closed < connections {
        match events.next() {
            Event::Finished(count) => {
                assert_eq!(count, bytes);
                finished += 1;
            }
            Event::Closed => closed += 1,
            Event::Open | Event::Written | Event::Trouble(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(finished, connections);
    network.peer.all_over();
    let statistics = network.relay.stop().unwrap();
    for direction in [Direction::AToB, Direction::BToA] {
        let wire = statistics.to(direction).wire;
        let suffered = wire.dropped() + wire.duplicated + wire.reordered + wire.corrupted;
        assert!(suffered > 5, "{wire}");
    }
    // What the stack sent was right when it sent it.
    network.peer.finish();
    Some(took)
}

#[test]
fn loss_alone() {
    transfer("relay_loss", "loss=2%", 1_000_000, 2);
}

#[test]
fn much_loss() {
    transfer("relay_much_loss", "loss=15%", 150_000, 2);
}

#[test]
fn loss_in_bursts_on_a_long_way() {
    transfer("relay_bursts", "burst=1%/30%,delay=10ms,jitter=2ms", 500_000, 2);
}

#[test]
fn segments_out_of_order_and_twice() {
    transfer("relay_order", "delay=2ms,jitter=1ms,reorder=10%/3ms,duplicate=5%", 1_000_000, 2);
}

#[test]
fn wrong_bits() {
    transfer("relay_bits", "corrupt=2%", 500_000, 2);
}

#[test]
fn everything_at_once() {
    let wire = "loss=3%,delay=5ms,jitter=5ms,reorder=5%/8ms,duplicate=3%,corrupt=1%";
    transfer("relay_all", wire, 300_000, 3);
}

#[test]
fn a_narrow_way_with_a_short_queue() {
    // Two megabit a second and ten frames in line: what does not fit is lost, and both ends find the rate.
    let Some(took) = transfer("relay_narrow", "rate=2Mbit/16k,limit=10,delay=5ms", 250_000, 1) else {
        return;
    };
    assert!(took > Duration::from_millis(800), "a second's worth at the least: {took:?}");
}

#[test]
fn the_way_is_gone_for_a_while() {
    const BYTES: u64 = 400_000;
    const WHOLE: &str = "rate=20Mbit/64k,delay=2ms";
    let Some(network) = network("relay_gone", WHOLE, 7, stack(|_, _| {})) else { return };
    let (_, events) = network.peer.serve(80, Plan::exchange(1, BYTES, 2));
    std::thread::scope(|scope| {
        scope.spawn(|| exchange(&connect_from(&network.linux, 80), 2, BYTES, (1, BYTES)));
        events.open();
        std::thread::sleep(Duration::from_millis(50));
        for (wire, time) in [(format!("{WHOLE},partition=on"), 900), (WHOLE.to_owned(), 0)] {
            for direction in [Direction::AToB, Direction::BToA] {
                network.relay.set(direction, wire.parse().unwrap());
            }
            std::thread::sleep(Duration::from_millis(time));
        }
    });
    events.until(&Event::Finished(BYTES));
    events.until(&Event::Closed);
    let counters = network.peer.stack(|stack| stack.counters().tcp);
    assert!(counters.timeouts > 0, "it was noticed");
    network.relay.stop().unwrap();
    network.peer.all_over();
    network.peer.finish();
}
