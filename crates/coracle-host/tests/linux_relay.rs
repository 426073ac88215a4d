//! A bad wire between Linux and the stack: what a lossy network does to UDP, repeatable from a seed.

mod peer;

use coracle_host::relay::{Direction, Statistics};
use peer::bad_wire::{self, Network};
use peer::{CORACLE, LINUX, pattern, stack};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

fn network(name: &str, wire: &str, seed: u64) -> Option<Network> {
    bad_wire::network(name, wire, seed, stack(|_, _| {}))
}

fn socket(network: &Network, timeout: Duration) -> UdpSocket {
    let socket = network.linux.run(|| UdpSocket::bind((LINUX, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(timeout)).unwrap();
    socket.connect((CORACLE, 7)).unwrap();
    socket
}

#[test]
fn an_application_that_tries_again_gets_everything_through() {
    let wire = "loss=10%,delay=1ms,jitter=2ms,duplicate=10%,reorder=10%/4ms,corrupt=5%";
    let Some(network) = network("relay_retry", wire, 7) else { return };
    let socket = socket(&network, Duration::from_millis(15));
    let mut buffer = [0; 2000];
    let mut tries = 0;
    let datagram = |number: usize| {
        let mut data = pattern(number, 8 + number * 4);
        data[..8].copy_from_slice(&number.to_be_bytes());
        data
    };
    let mut missing: BTreeSet<usize> = (0..300).collect();
    while !missing.is_empty() {
        // Ten at a time, so that there is an order to be lost.
        let batch: Vec<usize> = missing.iter().copied().take(10).collect();
        for number in batch {
            tries += 1;
            socket.send(&datagram(number)).unwrap();
        }
        assert!(tries < 3_000, "{} are missing after {tries} tries", missing.len());
        while let Ok(len) = socket.recv(&mut buffer) {
            let number = usize::from_be_bytes(buffer[..8].try_into().unwrap());
            assert_eq!(buffer[..len], datagram(number), "nothing damaged gets through");
            missing.remove(&number);
        }
    }
    let statistics = network.relay.stop().unwrap();
    for direction in [Direction::AToB, Direction::BToA] {
        let wire = statistics.to(direction).wire;
        assert!(wire.lost > 10 && wire.duplicated > 10 && wire.reordered > 5 && wire.corrupted > 5, "{wire}");
    }
    assert!(tries > 330, "{tries} tries, with every fifth question or answer lost");
    let counters = network.peer.stack(|stack| *stack.counters());
    let noticed = counters.ip.bad_checksum
        + counters.udp.bad_checksum
        + counters.ip.bad_version
        + counters.ip.bad_length
        + counters.ip.not_for_us
        + counters.link.not_for_us;
    assert!(noticed > 0, "{counters:?}");
    // What the stack sent was right when it sent it.
    network.peer.finish();
}

#[test]
fn the_same_seed_has_the_same_fate_for_every_datagram() {
    let run = |name: &str, seed| -> Option<(BTreeSet<u32>, Statistics)> {
        const COUNT: u32 = 300;
        let network = network(name, "loss=15%,duplicate=5%", seed)?;
        let socket = socket(&network, Duration::from_millis(300));
        let mut buffer = [0; 64];
        let mut answered = BTreeSet::new();
        for number in 0..COUNT {
            socket.send(&number.to_be_bytes()).unwrap();
            // Bursts of ten, so that no queue overflows.
            if number % 10 == 9 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        while let Ok(len) = socket.recv(&mut buffer) {
            answered.insert(u32::from_be_bytes(buffer[..len].try_into().unwrap()));
        }
        let statistics = network.relay.stop().unwrap();
        let (there, back) = (statistics.to(Direction::AToB).wire, statistics.to(Direction::BToA).wire);
        assert_eq!(there.pushed, COUNT.into());
        // The stack's announcement of itself, before the relay's statistics began to matter, is the one frame more.
        assert!(back.pushed >= there.delivered, "{there}; {back}");
        network.peer.finish();
        Some((answered, statistics))
    };
    let Some(first) = run("relay_same_a", 7) else { return };
    let second = run("relay_same_b", 7).unwrap();
    assert_eq!(first, second);
    assert!((180..260).contains(&first.0.len()), "{} of 300 answered", first.0.len());
    assert_ne!(run("relay_other", 8).unwrap().0, first.0);
}
