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

/// IPv4 identifications: none repeats within 32,768 datagrams, and those that were seen tell little of the next
/// [RFC 6864 §4.3] [RFC 7739 §5] [6864-2].
///
/// A counter goes through a keyed permutation of 15 bits: a Feistel network whose round functions are keyed
/// multiplications. After one round of the counter the keys are drawn anew from a pseudo-random function, and the sixteenth
/// bit changes, so that the last numbers under the old keys and the first under the new ones differ.
pub(crate) struct Identification {
    counter: u16,
    keys: [u32; 4],
    random: Random,
}

impl Identification {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random.next_u64().to_ne_bytes());
        // The keys are drawn with the first number.
        Self { counter: u16::MAX, keys: [0; 4], random: Random::new(&key) }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u16 {
        self.counter = self.counter.wrapping_add(1);
        if self.counter.trailing_zeros() >= 15 {
            self.draw_keys();
        }
        let [first, second, third, fourth] = self.keys;
        // The upper bits of a product depend on all bits of both factors. Each step changes one half by the other, and can
        // be undone.
        let mix = |half: u32, key: u32| (half ^ key).wrapping_mul(key | 1) >> 24;
        let (mut high, mut low) = (u32::from(self.counter) >> 8 & 0x7f, u32::from(self.counter) & 0xff);
        high ^= mix(low, first) & 0x7f;
        low ^= mix(high, second);
        high ^= mix(low, third) & 0x7f;
        low ^= mix(high, fourth);
        high ^= mix(low, first.rotate_left(16)) & 0x7f;
        low ^= mix(high, second.rotate_left(16));
        self.counter & 0x8000 | (high << 8 | low) as u16
    }

    #[cold]
    #[inline(never)]
    fn draw_keys(&mut self) {
        let (a, b) = (self.random.next_u64(), self.random.next_u64());
        self.keys = [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32];
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

    /// [6864-2] None repeats within 32,768 datagrams, wherever one begins to count, also where keys change.
    #[test]
    fn identifications_repeat_late() {
        let mut identification = Identification::new(&mut Random::new(&[3; 16]));
        let ids: std::vec::Vec<_> = (0..200_000).map(|_| identification.next()).collect();
        let mut last = vec![None; 65_536];
        for (at, &id) in ids.iter().enumerate() {
            let before = last[id as usize].replace(at);
            assert!(before.is_none_or(|before| at - before > 32_768), "{id} at {at}, after {before:?}");
        }
        let second = &ids[65_536..131_072];
        assert!(
            ids[..65_536].iter().zip(second).filter(|(one, other)| one == other).count() < 100,
            "new keys"
        );
    }

    /// Changing one bit of the counter changes each bit of the number nearly half of the time, within the permutation.
    #[test]
    fn identifications_close_in_time_are_not_alike() {
        let mut flips = [0_u32; 15];
        for seed in 0..64 {
            let mut identification = Identification::new(&mut Random::new(&[seed; 16]));
            for _ in 0..100 {
                let (one, other) = (identification.next(), identification.next());
                (0..15).for_each(|bit| flips[bit] += u32::from((one ^ other) >> bit & 1));
            }
        }
        assert!(flips.iter().all(|&count| (2_500..3_900).contains(&count)), "{flips:?} of 6,400");
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
