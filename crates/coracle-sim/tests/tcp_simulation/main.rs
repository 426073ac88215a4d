//! TCP between stacks on bad wires: whatever the wire, the memory and the applications do, every byte that is
//! received is the one that was sent, and every connection comes to an end.
//!
//! A run of the tests takes the first seeds only. All of them, or one that failed, with a capture of its frames:
//!
//! ```text
//! CORACLE_TCP_SEEDS=0..10000 cargo test --release -p coracle-sim --test tcp_simulation seeds
//! CORACLE_TCP_SEEDS=17 CORACLE_TCP_CAPTURE=17.pcap cargo test -p coracle-sim --test tcp_simulation seeds
//! ```

#![allow(unreachable_pub, reason = "the parts of one test")]

mod app;
mod goodput;
mod plan;
mod run;

use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use run::{Outcome, run};

/// What a usual run of the tests takes.
const SHARE: Range<u64> = 0..2_000;

fn seeds() -> Range<u64> {
    let Ok(chosen) = std::env::var("CORACLE_TCP_SEEDS") else { return SHARE };
    let number = |text: &str| text.parse::<u64>().expect("CORACLE_TCP_SEEDS is a number or FIRST..END");
    match chosen.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&chosen)..number(&chosen) + 1,
    }
}

#[test]
fn seeds_of_transfers_on_bad_wires() {
    let seeds = seeds();
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let all = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    match catch_unwind(|| run(seed)) {
                        Ok(outcome) => all.lock().unwrap().push(outcome),
                        Err(why) => {
                            let words = why.downcast_ref::<&str>().copied();
                            let why = why
                                .downcast_ref::<String>()
                                .map(String::as_str)
                                .or(words)
                                .unwrap_or_default();
                            println!("seed {seed}: {why}");
                            failed.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    let sum = |of: fn(&Outcome) -> u64| all.lock().unwrap().iter().map(of).sum::<u64>();
    let (opened, accepted) = (sum(|run| run.connections as u64), sum(|run| run.accepted as u64));
    let in_order = sum(|run| run.in_order as u64);
    println!(
        "{} seeds: {opened} connections, {accepted} accepted, {in_order} ended in good order, {} bytes, {} frames, \
         {} timeouts",
        seeds.end - seeds.start,
        sum(|run| run.bytes),
        sum(|run| run.frames),
        sum(|run| run.timeouts.into())
    );
    if let Some(first) = failed.first() {
        panic!(
            "{} of {} seeds failed: {failed:?}; the first again:\n\
             CORACLE_TCP_SEEDS={first} cargo test -p coracle-sim --test tcp_simulation seeds",
            failed.len(),
            seeds.end - seeds.start
        );
    }
    // The plans are such that most connections come to stand, and many end well.
    if seeds.end - seeds.start >= 500 {
        assert!(accepted * 10 > opened * 5, "{accepted} of {opened} connections were accepted");
        assert!(in_order * 10 > opened, "{in_order} of {opened} connections ended in good order");
    }
}

#[test]
fn a_seed_repeats_its_run() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}
