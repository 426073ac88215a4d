//! The Internet checksum [RFC 1071] over blocks of typical sizes, and `memcpy` of as many bytes.

use std::hint::black_box;

use crate::failure::Failure;
use crate::scenario::Work;

/// A checksum function.
pub(crate) trait Sum: Sized {
    /// What it needs.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] where it is not on this machine.
    fn new() -> Result<Self, Failure>;

    /// The one's complement sum of the bytes as big-endian words, not complemented; `None` if it refuses.
    fn sum(&self, bytes: &[u8]) -> Option<u16>;
}

/// Aligned to a cache line, as a driver's buffer would be.
#[repr(align(64))]
struct Block<const LENGTH: usize>([u8; LENGTH]);

struct SumRun<const LENGTH: usize, S> {
    sum: S,
    block: Box<Block<LENGTH>>,
    right: u16,
}

struct CopyRun<const LENGTH: usize> {
    from: Box<Block<LENGTH>>,
    to: Box<Block<LENGTH>>,
}

/// Sums `LENGTH` bytes per round.
pub(crate) fn build<const LENGTH: usize, S: Sum + 'static>() -> Result<Box<dyn Work>, Failure> {
    let block = Box::new(pattern::<LENGTH>());
    let right = by_the_book(&block.0);
    Ok(Box::new(SumRun { sum: S::new()?, block, right }))
}

/// Copies `LENGTH` bytes per round.
#[allow(clippy::unnecessary_wraps, reason = "one of the table's functions, of which others fail")]
pub(crate) fn build_copy<const LENGTH: usize>() -> Result<Box<dyn Work>, Failure> {
    Ok(Box::new(CopyRun::<LENGTH> { from: Box::new(pattern()), to: Box::new(Block([0; LENGTH])) }))
}

impl<const LENGTH: usize, S: Sum> Work for SumRun<LENGTH, S> {
    fn rounds(&mut self, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            let sum = self.sum.sum(black_box(&self.block.0[..]));
            if sum != Some(self.right) {
                return Err(Failure::Broken(format!("checksum {sum:04x?} and not {:04x}", self.right)));
            }
        }
        Ok(())
    }
}

impl<const LENGTH: usize> Work for CopyRun<LENGTH> {
    fn rounds(&mut self, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            // A length that the compiler does not know, as in a stack, so that the C library's `memcpy` does the work.
            let from = &self.from.0[..black_box(LENGTH)];
            black_box(&mut self.to.0[..from.len()]).copy_from_slice(black_box(from));
        }
        if self.to.0 != self.from.0 && count > 0 {
            return Err(Failure::Broken("the copy differs".into()));
        }
        Ok(())
    }
}

fn pattern<const LENGTH: usize>() -> Block<LENGTH> {
    Block(std::array::from_fn(|index| (index * index / 3 + 7 * index) as u8 | 0x80))
}

/// Word by word, as RFC 1071 §1 defines it.
fn by_the_book(bytes: &[u8]) -> u16 {
    let (words, last) = bytes.as_chunks::<2>();
    let mut sum: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    sum += last.first().map_or(0, |byte| u64::from(*byte) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::{Sum, build, by_the_book};
    use crate::failure::Failure;

    struct Off;

    impl Sum for Off {
        fn new() -> Result<Self, Failure> {
            Ok(Self)
        }

        fn sum(&self, bytes: &[u8]) -> Option<u16> {
            Some(by_the_book(bytes) ^ 1)
        }
    }

    /// [RFC 1071 §3], and an odd byte counts as the high half of a word.
    #[test]
    fn the_reference_is_right() {
        assert_eq!(by_the_book(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
        assert_eq!(by_the_book(&[0x12, 0x34, 0x56]), 0x6834);
        assert_eq!(by_the_book(&[]), 0);
    }

    #[test]
    fn a_wrong_sum_has_no_speed() {
        assert!(matches!(build::<20, Off>().and_then(|mut work| work.rounds(1)), Err(Failure::Broken(_))));
    }
}
