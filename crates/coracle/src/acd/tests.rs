use std::vec::Vec;

use coracle_wire::MacAddr;
use coracle_wire::arp::{LEN, REPLY, REQUEST};

use super::*;

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 8);
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn packet(operation: u16, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let station = MacAddr::new(2, 0, 0, 0, 0, 9);
    ArpPacket::write(&mut bytes, operation, (station, sender), (MacAddr::ZERO, target));
    bytes
}

/// Runs a machine until nothing is due any more, and tells what was due when, in microseconds.
fn run(acd: &mut Acd, random: &mut Random) -> Vec<(u64, Due)> {
    let mut all = Vec::new();
    while let Some(deadline) = acd.deadline() {
        assert_eq!(acd.timer(Instant::from_micros(deadline.as_micros() - 1), random), Due::Nothing);
        all.push((deadline.as_micros(), acd.timer(deadline, random)));
        assert!(all.len() < 20);
    }
    all
}

fn started(now: Instant) -> Acd {
    let mut acd = Acd::OFF;
    acd.start(OURS, now, &mut Random::new(&[1; 16]));
    acd
}

/// A machine that has claimed its address; when it did.
fn claimed() -> (Acd, Instant) {
    let mut random = Random::new(&[1; 16]);
    let mut acd = started(Instant::ZERO);
    while let Some(deadline) = acd.deadline() {
        if acd.timer(deadline, &mut random) == Due::Claim {
            return (acd, deadline);
        }
    }
    panic!("never claimed");
}

/// [5227-1, 5227-3] Three probes 1 to 2 s apart after up to 1 s; 2 s later the claim, and 2 s later the announcement
/// again.
#[test]
fn probes_claims_and_announces() {
    let mut first_waits = Vec::new();
    for seed in 0..50 {
        let mut random = Random::new(&[seed; 16]);
        let mut acd = Acd::OFF;
        acd.start(OURS, Instant::from_secs(100), &mut random);
        let all = run(&mut acd, &mut random);
        let dues: Vec<Due> = all.iter().map(|&(_, due)| due).collect();
        assert_eq!(dues, [Due::Probe, Due::Probe, Due::Probe, Due::Claim, Due::Announce]);
        let waits: Vec<u64> = [100_000_000]
            .iter()
            .chain(all.iter().map(|(at, _)| at))
            .copied()
            .collect::<Vec<_>>()
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect();
        assert!(waits[0] < 1_000_000);
        assert!(waits[1..3].iter().all(|wait| (1_000_000..2_000_000).contains(wait)), "{waits:?}");
        assert_eq!(waits[3..], [2_000_000, 2_000_000]);
        assert_eq!((acd.address(), acd.deadline()), (Some(OURS), None));
        first_waits.push(waits[0]);
    }
    assert!(first_waits.iter().any(|&wait| wait < 300_000) && first_waits.iter().any(|&wait| wait > 700_000));
}

/// [5227-2] Any packet from the address, and another's probe for it; not a question for it from somewhere else.
#[test]
fn what_is_a_conflict_while_probing() {
    for (operation, sender, target, expected) in [
        (REPLY, OURS, OTHER, Sight::Lost),
        (REQUEST, OURS, OTHER, Sight::Lost),
        (REQUEST, OURS, OURS, Sight::Lost),
        (REQUEST, NOBODY, OURS, Sight::Lost),
        (REQUEST, NOBODY, OTHER, Sight::Harmless),
        (REQUEST, OTHER, OURS, Sight::Harmless),
        (REPLY, OTHER, OURS, Sight::Harmless),
    ] {
        let mut acd = started(Instant::ZERO);
        let bytes = packet(operation, sender, target);
        assert_eq!(acd.arp(ArpPacket::read(&bytes).unwrap(), Instant::ZERO), expected);
        assert_eq!(acd.address().is_none(), expected == Sight::Lost);
        assert_eq!(acd.deadline().is_none(), expected == Sight::Lost);
    }
}

/// [5227-4] One defence in ten seconds; the second conflict within these ends it. Others' probes are no conflict: they
/// are answered.
#[test]
fn defends_once_in_ten_seconds() {
    let (mut acd, now) = claimed();
    let probe = packet(REQUEST, NOBODY, OURS);
    assert_eq!(acd.arp(ArpPacket::read(&probe).unwrap(), now), Sight::Harmless);
    let bytes = packet(REPLY, OURS, OTHER);
    let claim = ArpPacket::read(&bytes).unwrap();
    let after = |secs| now + Duration::from_secs(secs);
    assert_eq!(acd.arp(claim, after(1)), Sight::Defend);
    assert_eq!(acd.arp(claim, after(11)), Sight::Defend);
    assert_eq!(acd.arp(claim, after(20)), Sight::Lost);
    assert_eq!(acd.arp(claim, after(21)), Sight::Harmless, "it is off");
}

/// [5227-5] After ten conflicts there is a minute between attempts; success makes good again.
#[test]
fn conflicts_in_a_row_slow_down() {
    let mut random = Random::new(&[1; 16]);
    let mut acd = Acd::OFF;
    let bytes = packet(REPLY, OURS, OTHER);
    let claim = ArpPacket::read(&bytes).unwrap();
    let start = Instant::from_secs(1);
    for attempt in 0..12 {
        acd.start(OURS, start, &mut random);
        let wait = acd.deadline().unwrap().since(start);
        assert_eq!(wait >= RATE_LIMIT_INTERVAL, attempt >= 10, "attempt {attempt}: {wait:?}");
        assert!(wait < RATE_LIMIT_INTERVAL + PROBE_WAIT);
        assert_eq!(acd.arp(claim, start), Sight::Lost);
    }
    acd.start(OURS, start, &mut random);
    run(&mut acd, &mut random);
    acd.start(OURS, start, &mut random);
    assert!(acd.deadline().unwrap().since(start) < PROBE_WAIT);
}

#[test]
fn an_address_that_is_in_use_is_watched() {
    let mut acd = Acd::OFF;
    acd.watch(OURS);
    assert_eq!((acd.address(), acd.deadline()), (Some(OURS), None));
    let bytes = packet(REQUEST, OURS, OTHER);
    assert_eq!(acd.arp(ArpPacket::read(&bytes).unwrap(), Instant::ZERO), Sight::Defend);
    acd.stop();
    assert_eq!(acd.address(), None);
}
