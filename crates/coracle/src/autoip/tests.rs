use std::collections::HashSet;
use std::vec;
use std::vec::Vec;

use coracle_wire::arp::{LEN, REPLY};

use super::*;

fn claim(address: Ipv4Addr) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let station = MacAddr::new(2, 0, 0, 0, 9, 9);
    ArpPacket::write(&mut bytes, REPLY, (station, address), (MacAddr::ZERO, address));
    bytes
}

/// Runs until the address is ours, and returns it with what was sent.
fn run(autoip: &mut AutoIp, random: &mut Random) -> (Ipv4Addr, Vec<Due>) {
    let mut sent = Vec::new();
    while let Some(deadline) = autoip.deadline() {
        let (due, _) = autoip.timer(deadline, random);
        sent.push(due);
        if let Some(address) = autoip.address() {
            return (address, sent);
        }
    }
    panic!("no address");
}

/// [3927-1] Evenly spread over the range, and the same each time.
#[test]
fn candidates_are_spread_and_repeat() {
    let mut buckets = vec![0; 254];
    let mut all = HashSet::new();
    for number in 0..25_400_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let autoip = AutoIp::new(MacAddr::new(2, 0, 0, a, b, c));
        let address = autoip.candidate();
        assert_eq!(AutoIp::new(MacAddr::new(2, 0, 0, a, b, c)).candidate(), address);
        let [first, second, third, _] = address.octets();
        assert_eq!((first, second), (169, 254));
        buckets[usize::from(third) - 1] += 1;
        all.insert(address);
    }
    assert!(buckets.iter().all(|&count| (50..170).contains(&count)), "{buckets:?}");
    // Drawing that many from 65,024 evenly leaves about 21,000 different ones.
    assert!(all.len() > 20_000, "{}", all.len());
}

/// [3927-2]
#[test]
fn probes_before_use() {
    let mut random = Random::new(&[2; 16]);
    let mut autoip = AutoIp::new(MacAddr::new(2, 0, 0, 0, 0, 1));
    assert!(!autoip.is_on() && autoip.deadline().is_none());
    autoip.start(Instant::ZERO, &mut random);
    assert!(autoip.is_on() && autoip.settings() == Ipv4Settings::NONE);
    let (address, sent) = run(&mut autoip, &mut random);
    assert_eq!(sent, [Due::Probe, Due::Probe, Due::Probe, Due::Claim]);
    assert_eq!(autoip.settings(), Ipv4Settings::new(address, 16));
    // The next time it is the same.
    autoip.stop();
    assert_eq!((autoip.is_on(), autoip.address()), (false, None));
    autoip.start(Instant::from_secs(60), &mut random);
    assert_eq!(run(&mut autoip, &mut random).0, address);
}

/// [3927-2] A conflict leads to another address; after ten it goes slowly, but goes on.
#[test]
fn conflicts_lead_to_other_addresses() {
    let mut random = Random::new(&[2; 16]);
    let mut autoip = AutoIp::new(MacAddr::new(2, 0, 0, 0, 0, 1));
    let mut now = Instant::ZERO;
    autoip.start(now, &mut random);
    let mut tried = HashSet::new();
    for attempt in 0..14 {
        let wait = autoip.deadline().unwrap().since(now);
        assert_eq!(wait.as_secs() >= 60, attempt >= 10, "{attempt}: {wait:?}");
        now = autoip.deadline().unwrap();
        let (due, address) = autoip.timer(now, &mut random);
        assert_eq!(due, Due::Probe);
        assert!(tried.insert(address));
        let bytes = claim(address);
        assert_eq!(autoip.arp(ArpPacket::read(&bytes).unwrap(), now, &mut random), Sight::Lost);
    }
    let (address, _) = run(&mut autoip, &mut random);
    assert!(!tried.contains(&address));
}

/// A neighbour that insists gets the address, and ours is another.
#[test]
fn an_address_in_use_is_defended_once() {
    let mut random = Random::new(&[2; 16]);
    let mut autoip = AutoIp::new(MacAddr::new(2, 0, 0, 0, 0, 1));
    autoip.start(Instant::ZERO, &mut random);
    let (address, _) = run(&mut autoip, &mut random);
    let bytes = claim(address);
    let packet = ArpPacket::read(&bytes).unwrap();
    let now = Instant::from_secs(100);
    assert_eq!(autoip.arp(packet, now, &mut random), Sight::Defend);
    assert_eq!(autoip.address(), Some(address));
    assert_eq!(autoip.arp(packet, now, &mut random), Sight::Lost);
    assert_eq!(autoip.address(), None);
    assert_ne!(run(&mut autoip, &mut random).0, address);
}
