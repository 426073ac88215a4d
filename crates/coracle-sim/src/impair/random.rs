//! The random words behind each decision.

use rand_core::Rng;
use rand_pcg::Pcg64;

/// The words that one frame uses up, always all of them; see the module's page on repeatability.
#[derive(Clone, Copy)]
pub(super) struct Draws {
    pub(super) loss: u32,
    pub(super) burst_change: u32,
    pub(super) burst_loss: u32,
    pub(super) duplicate: u32,
    pub(super) copies: [CopyDraws; 2],
}

/// The words for the frame itself, and for the copy that duplication may add.
#[derive(Clone, Copy)]
pub(super) struct CopyDraws {
    pub(super) corrupt: u32,
    pub(super) corrupt_place: u32,
    pub(super) reorder: u32,
    pub(super) jitter: u32,
}

/// A stream of random words that is fixed by its seed for ever.
#[derive(Clone, Debug)]
pub(super) struct Random(Pcg64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give related streams, so each of PCG's four start words is a mixed one.
        let mut mixer = seed;
        let mut wide = || (u128::from(split_mix(&mut mixer)) << 64) | u128::from(split_mix(&mut mixer));
        let state = wide();
        Self(Pcg64::new(state, wide()))
    }

    #[inline]
    pub(super) fn draw(&mut self) -> Draws {
        let (loss, burst_change) = self.pair();
        let (burst_loss, duplicate) = self.pair();
        let copies = core::array::from_fn(|_| {
            let (corrupt, corrupt_place) = self.pair();
            let (reorder, jitter) = self.pair();
            CopyDraws { corrupt, corrupt_place, reorder, jitter }
        });
        Draws { loss, burst_change, burst_loss, duplicate, copies }
    }

    #[inline]
    fn pair(&mut self) -> (u32, u32) {
        let word = self.0.next_u64();
        (word as u32, (word >> 32) as u32)
    }
}

/// `SplitMix64`, the usual way to stretch one seed word into several.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number from 0 to `bound - 1` for this random word, each as likely as 32 bits allow; 0 when `bound` is 0.
#[inline]
pub(super) fn below(word: u32, bound: u64) -> u64 {
    ((u128::from(word) * u128::from(bound)) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first values of the published PCG-64 demonstration (state 42, stream 54).
    #[test]
    fn generator_matches_its_published_vectors() {
        let mut pcg = Pcg64::new(42, 54);
        let expected = [0x86b1_da1d_7206_2b68, 0x1304_aa46_c985_3d39, 0xa367_0e9e_0dd5_0358];
        assert_eq!(expected.map(|_| pcg.next_u64()), expected);
    }

    /// `SplitMix64` from state 1234567, as published with the algorithm.
    #[test]
    fn seed_mixer_matches_its_published_vectors() {
        let mut state = 1_234_567;
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected.map(|_| split_mix(&mut state)), expected);
    }

    #[test]
    fn below_reaches_both_ends_and_nothing_beyond() {
        assert_eq!(below(0, 10), 0);
        assert_eq!(below(u32::MAX, 10), 9);
        assert_eq!(below(u32::MAX, 0), 0);
        assert_eq!(below(1 << 31, 1000), 500);
    }
}
