//! Initial sequence numbers and timestamps that an outsider cannot guess [RFC 6528; RFC 7323 §5.4].

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::flow::Flow;
use super::sequence::Seq;
use crate::random::Random;
use crate::time::Instant;

/// By how much a new number is above the last one of the same flow, if the clock has not moved on far enough.
const GAP: u32 = 1 << 16;

/// The secret behind them.
pub(crate) struct InitialNumbers {
    key: [u8; 16],
}

impl InitialNumbers {
    /// [6528-2, MUST-9]
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { key: key(random) }
    }

    /// [SHLD-1, 6528-1] `SipHash-2-4` over both ends, a pseudo-random function of which one half is for sequence
    /// numbers and the other for timestamps.
    fn of(&self, flow: &Flow) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        flow.feed(&mut hasher);
        hasher.finish()
    }

    /// [MUST-8, 6528-1] The first sequence number of a connection: a number of its own for each flow, plus a clock of
    /// 4 µs.
    pub(crate) fn sequence(&self, flow: &Flow, now: Instant) -> Seq {
        Seq((self.of(flow) as u32).wrapping_add((now.as_micros() >> 2) as u32))
    }

    /// The same for a flow whose last connection is hardly over: above the numbers that it used [RFC 6191 §2].
    pub(crate) fn sequence_after(&self, flow: &Flow, now: Instant, used: Seq) -> Seq {
        let first = self.sequence(flow, now);
        if first.after(used) { first } else { used + GAP }
    }

    /// [7323-11] What is added to the clock of a flow's timestamps. Always the same for one flow, so that the
    /// timestamps of its connections grow from one to the next.
    pub(crate) fn timestamp_offset(&self, flow: &Flow) -> u32 {
        (self.of(flow) >> 32) as u32
    }
}

/// A fresh key for a keyed function.
pub(super) fn key(random: &mut Random) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&random.next_u64().to_le_bytes());
    key[8..].copy_from_slice(&random.next_u64().to_le_bytes());
    key
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::address::{Address, Endpoint};

    fn flow(local: u16, remote: u16) -> Flow {
        Flow {
            local: Endpoint::new(Address::v4(core::net::Ipv4Addr::new(192, 0, 2, 1)), local),
            remote: Endpoint::new(Address::v4(core::net::Ipv4Addr::new(192, 0, 2, 2)), remote),
        }
    }

    fn numbers(seed: u8) -> InitialNumbers {
        InitialNumbers::new(&mut Random::new(&[seed; 16]))
    }

    /// [MUST-8, 6528-3] The same flow grows by one each 4 µs, also where the clock's low half wraps.
    #[test]
    fn numbers_of_one_flow_follow_the_clock() {
        let numbers = numbers(1);
        let first = numbers.sequence(&flow(1, 2), Instant::ZERO);
        for micros in [4, 4_000_000, (1 << 32) + 8, (1 << 34) + 12] {
            let later = numbers.sequence(&flow(1, 2), Instant::from_micros(micros));
            assert_eq!(later.since(first), (micros >> 2) as u32);
        }
    }

    /// [SHLD-1, 6528-3] Flows that differ in one port only have nothing in common: no difference comes twice.
    #[test]
    fn numbers_of_different_flows_are_unrelated() {
        let numbers = numbers(1);
        let of = |port| numbers.sequence(&flow(80, port), Instant::ZERO);
        let differences: HashSet<u32> = (0..1_000).map(|port| of(port + 1).since(of(port))).collect();
        assert_eq!(differences.len(), 1_000);
        let there = numbers.sequence(&flow(1, 2), Instant::ZERO);
        assert_ne!(there, numbers.sequence(&flow(2, 1), Instant::ZERO), "the two ends are not the same");
    }

    /// [MUST-9, 6528-2]
    #[test]
    fn another_secret_gives_other_numbers() {
        let (one, other) = (numbers(1), numbers(2));
        assert_ne!(one.sequence(&flow(1, 2), Instant::ZERO), other.sequence(&flow(1, 2), Instant::ZERO));
        assert_ne!(one.timestamp_offset(&flow(1, 2)), other.timestamp_offset(&flow(1, 2)));
    }

    /// [7323-11]
    #[test]
    fn timestamps_of_a_flow_keep_their_offset_and_tell_nothing_of_its_numbers() {
        let numbers = numbers(1);
        assert_eq!(numbers.timestamp_offset(&flow(1, 2)), numbers.timestamp_offset(&flow(1, 2)));
        assert_ne!(numbers.timestamp_offset(&flow(1, 2)), numbers.timestamp_offset(&flow(1, 3)));
        assert_ne!(numbers.timestamp_offset(&flow(1, 2)), numbers.sequence(&flow(1, 2), Instant::ZERO).0);
    }

    #[test]
    fn a_flow_used_again_at_once_starts_above_its_old_numbers() {
        let numbers = numbers(1);
        let now = Instant::from_secs(9);
        let first = numbers.sequence(&flow(1, 2), now);
        assert_eq!(numbers.sequence_after(&flow(1, 2), now, first - 1), first);
        assert_eq!(numbers.sequence_after(&flow(1, 2), now, first), first + GAP);
        assert_eq!(numbers.sequence_after(&flow(1, 2), now, first + 1_000_000), first + 1_000_000 + GAP);
    }
}
