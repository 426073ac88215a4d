//! Whether two runs were the same, in one number.

use coracle::Instant;

/// A hash of frames in their order: FNV-1a of 64 bits, eight bytes at a time. It tells runs apart, and keeps no secret.
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn value(&self) -> u64 {
        self.0
    }

    pub(super) fn add(&mut self, time: Instant, segment: usize, sender: usize, frame: &[u8]) {
        for word in [time.as_micros(), segment as u64, sender as u64, frame.len() as u64] {
            self.word(word);
        }
        for chunk in frame.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
}
