//! Every mutation of every seed against a running stack: no panic, well-formed frames only, a bounded answer, a good peer
//! served after each batch, and every buffer back.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::time::Duration;

use coracle_sim::mutate::{Mutation, Seed, protocols};
use coracle_sim::pcap::{LinkType, PcapWriter};
use coracle_sim::rig::Rig;

/// Mutants between two looks at whether good peers are served.
const BATCH: usize = 512;

/// Runs mutants of one seed; returns how many, and what some of them led to, for another decoder.
fn run(rig: &mut Rig, seed: &Seed, mutants: impl Iterator<Item = Vec<Mutation>>) -> (usize, Vec<Vec<u8>>) {
    rig.introduce_peers();
    let mut count = 0usize;
    let mut sample = Vec::new();
    for mutations in mutants {
        let frames = seed.apply(&mutations);
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let mut sent = Vec::new();
            for frame in &frames {
                sent.extend(rig.input(rig.netif(seed.port), frame));
            }
            sent
        }));
        let sent = tried.unwrap_or_else(|panic| {
            eprintln!("mutant {}: {:02x?}", seed.describe(&mutations), frames[0]);
            resume_unwind(panic)
        });
        count += 1;
        if count.is_multiple_of(97) && seed.link() == LinkType::Ethernet {
            sample.extend(sent);
        }
        if count.is_multiple_of(BATCH) {
            rig.canary();
            // The rate of errors recovers, and neighbours that do not exist are given up.
            rig.advance(Duration::from_secs(7));
            rig.introduce_peers();
        }
    }
    rig.canary();
    rig.settle();
    (count, sample)
}

#[test]
fn every_single_mutation() {
    let mut total = 0;
    for seed in protocols::seeds() {
        let mut rig = Rig::default();
        total += run(&mut rig, &seed, seed.singles().into_iter().map(|one| vec![one])).0;
    }
    println!("{total} mutants");
    assert!(total > 10_000, "only {total} mutants");
}

/// Pairs of changes; what the stack answers is sampled for tshark, where that is installed.
#[test]
fn every_pair_of_field_changes() {
    let mut total = 0;
    let mut capture = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for seed in protocols::seeds() {
        let mut rig = Rig::default();
        let (count, sample) = run(&mut rig, &seed, seed.pairs().map(|pair| pair.to_vec()));
        total += count;
        for frame in sample.iter().take(200) {
            capture.write(total as u64, frame).unwrap();
        }
    }
    println!("{total} mutants");
    assert!(total > 100_000, "only {total} mutants");
    tshark_finds_nothing_wrong(&capture.into_inner().unwrap());
}

#[test]
fn a_sample_of_three_changes_at_once() {
    for (number, seed) in protocols::seeds().iter().enumerate() {
        let mut rig = Rig::default();
        run(&mut rig, seed, seed.triples(1_000, number as u64).map(|three| three.to_vec()));
    }
}

/// Every seed after every other: what one leaves behind does not trip the next.
#[test]
fn every_order_of_two_messages() {
    let seeds = protocols::seeds();
    let mut rig = Rig::default();
    for first in &seeds {
        rig.introduce_peers();
        for second in &seeds {
            rig.input(rig.netif(first.port), &first.frame);
            rig.input(rig.netif(second.port), &second.frame);
        }
        rig.canary();
        rig.advance(Duration::from_secs(7));
    }
    rig.settle();
}

/// A frame whose checksum is wrong is dropped without a word, or the repair of checksums would prove nothing.
#[test]
fn a_wrong_checksum_is_never_answered() {
    let mut controls = 0;
    for seed in protocols::seeds() {
        for frame in seed.controls() {
            let mut rig = Rig::default();
            let before = *rig.stack.counters();
            assert_eq!(rig.input(rig.netif(seed.port), &frame), Vec::<Vec<u8>>::new(), "{}", seed.name);
            let after = rig.stack.counters();
            let delivered = |counters: &coracle::Counters| {
                (counters.udp.delivered, counters.udp_lite.delivered, counters.icmp.errors_reported)
            };
            assert_eq!(delivered(after), delivered(&before), "{}", seed.name);
            controls += 1;
        }
    }
    assert!(controls > 40, "only {controls} controls");
}

/// The seeds themselves are what they are meant to be: those that deserve an answer get one.
#[test]
fn valid_requests_are_answered() {
    let answered = [
        "ARP request",
        "ARP probe",
        "echo with a recorded route",
        "echo request",
        "echo request without data",
        "UDP with timestamps",
        "an unknown protocol",
        "UDP to the echo server",
        "UDP without data",
        "UDP without a checksum",
        "UDP to a closed port",
        "UDP-Lite, part of it covered",
        "UDP-Lite, all covered",
        "tagged ARP request",
        "tagged echo",
        "tagged UDP",
        "UDP without a link header",
        "ICMPv6 echo request",
        "ICMPv6 echo request to all nodes",
        "UDP over IPv6",
        "UDP over IPv6 to a closed port",
        "all extension headers",
        "an unknown next header",
        "neighbour solicitation",
        "neighbour solicitation to one",
        "duplicate address detection",
        // The group in which the address is solicited that it makes.
        "router advertisement v6",
    ];
    for seed in protocols::seeds() {
        let mut rig = Rig::default();
        rig.introduce_peers();
        let sent = rig.input(rig.netif(seed.port), &seed.frame);
        assert_eq!(sent.len(), usize::from(answered.contains(&seed.name)), "{}", seed.name);
    }
}

/// The seeds of neighbour discovery are believed, so that what is made of them is looked at closely.
#[test]
fn a_router_of_the_seeds_is_believed() {
    use coracle_sim::mutate::ipv6;
    let mut rig = Rig::default();
    for seed in ipv6::seeds() {
        rig.input(rig.ethernet, &seed.frame);
        if seed.name == "router advertisement v6" {
            rig.advance(Duration::from_secs(3));
        }
    }
    let counters = rig.stack.counters().nd;
    assert_eq!((counters.router_advertisements, counters.redirects, counters.malformed), (1, 1, 0));
    let netif = rig.stack.netif(rig.ethernet).unwrap();
    assert_eq!(netif.ipv6_addresses().count(), 3, "link-local, stable and temporary");
    assert_eq!(netif.ipv6_routers().collect::<Vec<_>>(), [ipv6::PEER]);
    assert_eq!((netif.ipv6_dns_servers().count(), netif.ipv6_search_domains().count()), (1, 1));
}

fn tshark_finds_nothing_wrong(capture: &[u8]) {
    let path = std::env::temp_dir().join(format!("coracle-mutations-{}.pcap", std::process::id()));
    std::fs::write(&path, capture).unwrap();
    // What an ICMP error quotes is as malformed as what it is about.
    let wrong = "(_ws.malformed && !(icmp.type == 3 || icmp.type == 11 || icmp.type == 12)) || \
                 ip.checksum.status == Bad || udp.checksum.status == Bad || icmp.checksum.status == Bad";
    let output = Command::new("tshark")
        .args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"])
        .arg("-r")
        .arg(&path)
        .args(["-Y", wrong])
        .output();
    std::fs::remove_file(&path).unwrap();
    let Ok(output) = output else {
        eprintln!("tshark is not installed, so etherparse alone has judged");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
