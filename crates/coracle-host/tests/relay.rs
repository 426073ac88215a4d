//! The relay between two kernels' interfaces, judged by ping.

use coracle_host::relay::{Direction, Relay, RelayHandle};
use coracle_host::testing::or_skip;
use coracle_host::{Namespace, Tap};
use coracle_sim::impair::{Impairment, Rate};
use std::collections::BTreeSet;
use std::time::Duration;

/// Two kernels that know each other's hardware address, so that only what the tests send crosses the wire.
struct Pair {
    a: Namespace,
    b: Namespace,
    relay: RelayHandle,
}

fn side(own: &str) -> Option<(Namespace, Tap)> {
    let namespace = or_skip(Namespace::new())?;
    namespace.silence().unwrap();
    let tap = or_skip(namespace.open_tap("tap0"))?;
    namespace.ip(&format!("address add {own}/24 dev tap0")).unwrap();
    tap.set_up(true).unwrap();
    Some((namespace, tap))
}

fn pair(wires: [&str; 2], seed: u64) -> Option<Pair> {
    let (a, tap_a) = side("192.0.2.1")?;
    let (b, tap_b) = side("192.0.2.2")?;
    for (namespace, peer, tap) in [(&a, "192.0.2.2", &tap_b), (&b, "192.0.2.1", &tap_a)] {
        let address = tap.hardware_address().unwrap().map(|byte| format!("{byte:02x}")).join(":");
        namespace.ip(&format!("neighbour add {peer} lladdr {address} dev tap0")).unwrap();
    }
    let wires = wires.map(|text| text.parse().unwrap());
    let relay = Relay::new_asymmetric(tap_a, tap_b, wires, seed).start().unwrap();
    Some(Pair { a, b, relay })
}

/// What ping saw: sequence numbers answered, lines of duplicates, and round-trip times in milliseconds.
#[derive(Debug, Default)]
struct Pinged {
    answered: BTreeSet<u32>,
    duplicates: usize,
    times: Vec<f64>,
    order: Vec<u32>,
}

fn ping(pair: &Pair, arguments: &str) -> Pinged {
    let command = pair.a.command("ping").args(arguments.split_whitespace()).arg("192.0.2.2");
    let output = command.timeout(Duration::from_mins(1)).output().unwrap();
    let mut pinged = Pinged::default();
    for line in
        output.stdout.lines().filter(|line| line.contains("bytes from") && !line.contains("truncated"))
    {
        let field = |key: &str| {
            let rest = &line[line.find(key).unwrap_or_else(|| panic!("{key} in {line}")) + key.len()..];
            rest.split([' ', '\n']).next().unwrap().to_owned()
        };
        let sequence = field("icmp_seq=").parse().unwrap();
        pinged.times.push(field("time=").parse().unwrap());
        pinged.order.push(sequence);
        pinged.duplicates += usize::from(line.contains("DUP!"));
        pinged.answered.insert(sequence);
    }
    pinged
}

#[test]
fn a_good_wire_loses_nothing() {
    let Some(pair) = pair(["", ""], 1) else { return };
    let pinged = ping(&pair, "-c 500 -i 0.002 -s 1000");
    assert_eq!((pinged.answered.len(), pinged.duplicates), (500, 0));
    let statistics = pair.relay.stop().unwrap();
    for direction in [Direction::AToB, Direction::BToA] {
        let way = statistics.to(direction);
        assert_eq!((way.wire.pushed, way.wire.delivered, way.refused), (500, 500, 0));
    }
}

#[test]
fn delay_shows_in_the_round_trip() {
    let Some(pair) = pair(["delay=20ms", "delay=5ms"], 1) else { return };
    let mut pinged = ping(&pair, "-c 20 -i 0.05");
    assert_eq!(pinged.times.len(), 20);
    pinged.times.sort_by(f64::total_cmp);
    assert!(pinged.times[0] >= 25.0, "{:?}", pinged.times);
    // The median bears a machine that is busy with other things.
    assert!(pinged.times[10] < 35.0, "{:?}", pinged.times);
}

#[test]
fn the_same_seed_loses_the_same_frames() {
    let lossy = ["loss=20%", "loss=10%"];
    let run = |seed| {
        let pair = pair(lossy, seed)?;
        let answered = ping(&pair, "-c 400 -i 0.002 -W 1").answered;
        let statistics = pair.relay.stop().unwrap();
        let there = statistics.to(Direction::AToB).wire;
        let back = statistics.to(Direction::BToA).wire;
        assert_eq!((there.pushed, back.pushed), (400, there.delivered));
        assert_eq!(answered.len() as u64, back.delivered);
        Some((answered, there.lost, back.lost))
    };
    let Some(first) = run(7) else { return };
    assert_eq!(run(7).unwrap(), first);
    assert_ne!(run(8).unwrap().0, first.0);
    // 400 × 20 % = 80 ± 8, five deviations to either side; the seed is fixed.
    assert!((40..=120).contains(&first.1), "{} lost", first.1);
}

#[test]
fn duplicates_and_corruption_reach_the_kernel() {
    let Some(pair) = pair(["duplicate=100%", ""], 1) else { return };
    let pinged = ping(&pair, "-c 20 -i 0.01");
    // Ping ends with the first answer to its last question, so the last duplicate may not be seen.
    assert!((19..=20).contains(&pinged.duplicates), "{pinged:?}");

    pair.relay.set(Direction::AToB, "corrupt=100%".parse().unwrap());
    let pinged = ping(&pair, "-c 50 -i 0.002 -W 1");
    let statistics = pair.relay.stop().unwrap();
    assert_eq!(statistics.to(Direction::AToB).wire.corrupted, 50);
    // What slips through has its wrong bit where nobody looks: 6 of 98 bytes are the sender's hardware address.
    assert!(pinged.answered.len() < 20, "{pinged:?}");
}

#[test]
fn reordering_reaches_the_kernel() {
    let Some(pair) = pair(["reorder=20%/30ms", ""], 3) else { return };
    let pinged = ping(&pair, "-c 200 -i 0.002");
    assert_eq!(pinged.answered.len(), 200);
    assert!(!pinged.order.is_sorted());
    assert!(pair.relay.stop().unwrap().to(Direction::AToB).wire.reordered >= 20);
}

#[test]
fn a_wire_is_cut_and_mended() {
    let Some(pair) = pair(["", ""], 1) else { return };
    assert_eq!(ping(&pair, "-c 5 -i 0.01").answered.len(), 5);
    pair.relay.set(Direction::AToB, Impairment { partition: true, ..Impairment::default() });
    assert_eq!(ping(&pair, "-c 5 -i 0.01 -W 1").answered.len(), 0);
    pair.relay.set(Direction::AToB, Impairment::default());
    assert_eq!(ping(&pair, "-c 5 -i 0.01").answered.len(), 5);
    let statistics = pair.relay.stop().unwrap();
    assert_eq!(statistics.to(Direction::AToB).wire.partitioned, 5);
}

#[test]
fn a_narrow_wire_queues_and_drops() {
    // 1,042 bytes take 41.7 ms at 200 kbit/s, and there is room for four frames. Ping sends every 10 ms, as fast as it can
    // without answers.
    let rate = Rate { bits_per_second: 200_000, queue: 4_200 };
    let Some(pair) = pair(["", ""], 1) else { return };
    pair.relay.set(Direction::AToB, Impairment { rate: Some(rate), ..Impairment::default() });
    let pinged = ping(&pair, "-c 100 -i 0.002 -s 1000 -W 1");
    let wire = pair.relay.stop().unwrap().to(Direction::AToB).wire;
    assert_eq!((wire.pushed, wire.delivered), (100, pinged.answered.len() as u64));
    assert_eq!(wire.queue_drops + wire.delivered, 100);
    assert!(wire.queue_drops >= 20, "{wire}");
    let longest = pinged.times.iter().copied().fold(0.0, f64::max);
    assert!((120.0..300.0).contains(&longest), "four frames of 41.7 ms, saw {longest} ms");
}

#[test]
fn a_relay_outlives_an_interface_that_is_down_but_not_one_that_is_gone() {
    let Some(pair) = pair(["", ""], 1) else { return };
    pair.b.ip("link set tap0 down").unwrap();
    assert_eq!(ping(&pair, "-c 3 -i 0.01 -W 1").answered.len(), 0);
    assert_eq!(pair.relay.statistics().to(Direction::AToB).refused, 3);
    assert!(pair.relay.is_running());
    pair.a.ip("link delete tap0").unwrap();
    let start = std::time::Instant::now();
    while pair.relay.is_running() && start.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    pair.relay.set(Direction::AToB, Impairment::default());
    assert!(pair.relay.stop().is_err());
}
