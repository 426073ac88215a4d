//! Ports for connections that we open [RFC 6056].

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::isn::key;
use crate::address::Address;
use crate::random::Random;

const COUNTERS: usize = 32;
/// A step is at most this, so that the ports of one counter cannot be counted from outside.
const MAX_STEP: u32 = 4;

/// Double-hash port selection [RFC 6056 §3.3.4] with random steps [RFC 6056 §3.3.5].
///
/// Where the ports to one destination begin is a keyed function of it, and so is which counter moves them on. Ports to
/// one destination come back late, though nobody at another one can tell them.
pub(crate) struct Ports {
    key: [u8; 16],
    counters: [u16; COUNTERS],
}

impl Ports {
    pub(crate) fn new(random: &mut Random) -> Self {
        let key = key(random);
        Self { key, counters: core::array::from_fn(|_| random.next_u64() as u16) }
    }

    /// [6056-1] A port of the range (first and last included) for a connection from a local address to a remote end;
    /// both unspecified for a port that is merely bound. None if `free` likes none.
    pub(crate) fn choose(
        &mut self,
        random: &mut Random,
        (local, remote, remote_port): (Address, Address, u16),
        (first, last): (u16, u16),
        mut free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(local.bytes());
        hasher.write(remote.bytes());
        hasher.write_u64(u64::from(remote_port));
        let hash = hasher.finish();
        let counter = &mut self.counters[(hash >> 32) as usize % COUNTERS];
        let step = 1 + random.below(MAX_STEP);
        *counter = counter.wrapping_add(step as u16);
        let count = u32::from(last.saturating_sub(first)) + 1;
        let start = (hash as u32 % count) + u32::from(*counter) % count;
        let passed = (0..count).find(|&passed| free(first + ((start + passed) % count) as u16))?;
        // The next search begins behind those that were not free.
        *counter = counter.wrapping_add(passed as u16);
        Some(first + ((start + passed) % count) as u16)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::vec::Vec;

    use super::*;

    const RANGE: (u16, u16) = (49_152, 65_535);
    const LOCAL: Address = Address::v4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    fn to(host: u8) -> (Address, Address, u16) {
        (LOCAL, Address::v4(core::net::Ipv4Addr::new(198, 51, 100, host)), 80)
    }

    fn ports(seed: u8) -> (Ports, Random) {
        let mut random = Random::new(&[seed; 16]);
        (Ports::new(&mut random), random)
    }

    /// [6056-1] To one destination no port comes again for thousands of connections, and none is the last plus one
    /// each time.
    #[test]
    fn ports_to_one_destination_come_back_late_and_cannot_be_counted() {
        let (mut ports, mut random) = ports(1);
        let chosen: Vec<u16> =
            (0..4_000).map(|_| ports.choose(&mut random, to(1), RANGE, |_| true).unwrap()).collect();
        assert!(chosen.iter().all(|&port| port >= RANGE.0));
        assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), 4_000);
        let steps: HashSet<u16> = chosen.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert!(steps.len() >= 4, "{steps:?}");
    }

    /// [6056-1] What one destination sees tells nothing of the ports to another.
    #[test]
    fn destinations_begin_at_unrelated_ports() {
        let (mut ports, mut random) = ports(1);
        let starts: HashSet<u16> =
            (0..200).map(|host| ports.choose(&mut random, to(host), RANGE, |_| true).unwrap() / 64).collect();
        assert!(starts.len() > 100, "only {} of 256 places", starts.len());
    }

    #[test]
    fn another_secret_gives_other_ports() {
        let ((mut one, mut first), (mut other, mut second)) = (ports(1), ports(2));
        let sequence = |ports: &mut Ports, random: &mut Random| -> Vec<u16> {
            (0..8).map(|_| ports.choose(random, to(1), RANGE, |_| true).unwrap()).collect()
        };
        assert_ne!(sequence(&mut one, &mut first), sequence(&mut other, &mut second));
    }

    #[test]
    fn the_only_free_port_is_found_and_none_is_none() {
        let (mut ports, mut random) = ports(1);
        for wanted in [RANGE.0, 60_000, RANGE.1] {
            assert_eq!(ports.choose(&mut random, to(1), RANGE, |port| port == wanted), Some(wanted));
        }
        let mut asked = HashSet::new();
        assert_eq!(ports.choose(&mut random, to(1), RANGE, |port| !asked.insert(port)), None);
        assert_eq!(asked.len(), 16_384, "each was asked for once");
        assert_eq!(ports.choose(&mut random, to(1), (7, 7), |_| true), Some(7));
        assert_eq!(ports.choose(&mut random, to(1), (1, u16::MAX), |port| port == 1), Some(1));
    }
}
