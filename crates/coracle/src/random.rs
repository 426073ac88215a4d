//! Numbers that an outsider cannot guess: everything is a keyed function of the seed that the owner gives.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

/// A source of unpredictable numbers: `SipHash-2-4` over a counter, keyed by the seed.
///
/// `SipHash` is a pseudo-random function: outputs seen by a peer tell nothing of the others. Two stacks with the same
/// seed make the same numbers, which is what makes a simulation repeatable.
pub(crate) struct Random {
    key: [u8; 16],
    counter: u64,
}

impl Random {
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Self { key: *seed, counter: 0 }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(self.counter);
        hasher.finish()
    }

    /// A number below `bound`, which is not zero; the bias is below 2⁻³² for bounds of 32 bits.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u32
    }
}

/// The key of the hash tables, so that a peer cannot aim many packets at one bucket.
pub(crate) struct HashKey(u64, u64);

impl HashKey {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self(random.next_u64(), random.next_u64())
    }

    /// Mixes two words by one wide multiplication whose halves are folded together.
    #[inline]
    pub(crate) fn fold(&self, first: u64, second: u64) -> u64 {
        let product = u128::from(first ^ self.0) * u128::from(second ^ self.1);
        product as u64 ^ (product >> 64) as u64
    }

    /// The same as a place in a table.
    #[inline]
    pub(crate) fn hash(&self, first: u64, second: u64) -> u32 {
        let folded = self.fold(first, second);
        (folded ^ folded >> 32) as u32
    }
}

/// IPv4 identifications: a keyed permutation of a counter, so that none repeats within 65,536 datagrams and none
/// tells the next [RFC 6864 §4.3, RFC 7739].
pub(crate) struct Identification {
    counter: u16,
    keys: [u16; 4],
}

impl Identification {
    pub(crate) fn new(random: &mut Random) -> Self {
        let keys = random.next_u64();
        let [first, second, third, fourth] = core::array::from_fn(|at| (keys >> (16 * at)) as u16);
        Self { counter: 0, keys: [first, second | 1, third | 1, fourth] }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u16 {
        self.counter = self.counter.wrapping_add(1);
        let [first, second, third, fourth] = self.keys;
        // Each step can be undone (a sum, a product with an odd number, a shift folded in), so the whole is a
        // permutation.
        let mut mixed = self.counter.wrapping_add(first).wrapping_mul(second);
        mixed ^= mixed >> 7;
        mixed = mixed.wrapping_mul(third);
        mixed ^= mixed >> 9;
        mixed.wrapping_mul(0x6255) ^ fourth
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::vec;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let mut first = Random::new(&[1; 16]);
        let mut again = Random::new(&[1; 16]);
        let mut other = Random::new(&[2; 16]);
        let numbers: [u64; 4] = core::array::from_fn(|_| first.next_u64());
        assert_eq!(numbers, core::array::from_fn(|_| again.next_u64()));
        assert_ne!(numbers, core::array::from_fn(|_| other.next_u64()));
    }

    #[test]
    fn numbers_below_a_bound_reach_all_of_it() {
        let mut random = Random::new(&[7; 16]);
        let seen: HashSet<u32> = (0..1_000).map(|_| random.below(10)).collect();
        assert_eq!(seen.len(), 10);
        assert!(seen.iter().all(|&number| number < 10));
    }

    /// [RFC 6864 §4.3] none repeats within a datagram's lifetime, and [RFC 7739 §3] none is the last one plus one.
    #[test]
    fn identifications_do_not_repeat_and_do_not_count() {
        let mut identification = Identification::new(&mut Random::new(&[3; 16]));
        let mut seen = vec![false; 65_536];
        let mut steps = HashSet::new();
        let mut last = 0_u16;
        for _ in 0..65_536 {
            let id = identification.next();
            assert!(!core::mem::replace(&mut seen[id as usize], true));
            steps.insert(id.wrapping_sub(last));
            last = id;
        }
        assert!(steps.len() > 20_000, "only {} different steps", steps.len());
    }

    #[test]
    fn hashes_of_close_keys_spread_over_the_buckets() {
        let key = HashKey::new(&mut Random::new(&[5; 16]));
        let mut buckets = [0_u32; 256];
        for port in 0..25_600_u64 {
            buckets[key.hash(0x0a00_0001, port) as usize % 256] += 1;
        }
        assert!(buckets.iter().all(|&count| count < 200), "{buckets:?}");
    }
}
