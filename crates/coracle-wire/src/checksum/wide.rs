//! Sums in 64-bit words, unaligned, for processors whose memory and code are large.

/// The register that a partial sum is kept in.
pub(super) type Word = u64;

/// How many bytes are summed between two branches.
const BLOCK: usize = 256;

/// How many bytes of a block are summed in one run of carries. The runs of a block are independent of each other, so that
/// a processor that executes out of order has several in hand at once: one long run would go at one word in a cycle.
const RUN: usize = BLOCK / 4;

/// Adds blocks, then what is left by halves of a block, since a loop over words would spend more on its branches than on sums.
pub(super) fn add_bytes(sum: Word, bytes: &[u8]) -> Word {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let sum = if blocks.is_empty() { sum } else { add_blocks(sum, blocks) };
    let (sum, rest) = add_part::<128>(sum, rest);
    let (sum, rest) = add_part::<64>(sum, rest);
    let (sum, rest) = add_part::<32>(sum, rest);
    let (sum, rest) = add_part::<16>(sum, rest);
    let (sum, rest) = add_part::<8>(sum, rest);
    if rest.is_empty() { sum } else { add_word(sum, last_word(bytes, rest)) }
}

/// The sum of an IPv4 header without options.
#[inline]
pub(super) fn add_header(header: &[u8; 20]) -> Word {
    let (words, last) = header.as_chunks::<8>();
    let last = last.first_chunk().map_or(0, |last| u32::from_ne_bytes(*last));
    words.iter().fold(Word::from(last), |sum, word| add_word(sum, Word::from_ne_bytes(*word)))
}

/// Adds with the carry brought back in at the low end.
#[inline]
pub(super) const fn add_word(sum: Word, word: Word) -> Word {
    let (sum, carry) = sum.overflowing_add(word);
    sum + carry as Word
}

/// Folds a sum to 32 bits, as `fold_u16` does to 16.
#[inline]
pub(super) const fn fold_u32(sum: Word) -> u32 {
    (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32
}

/// Adds whole blocks.
#[inline]
fn add_blocks(sum: Word, blocks: &[[u8; BLOCK]]) -> Word {
    let mut sums = [sum, 0, 0, 0];
    for block in blocks {
        let (runs, _) = block.as_chunks::<RUN>();
        for (sum, run) in sums.iter_mut().zip(runs) {
            *sum = add_block(*sum, run);
        }
    }
    let [first, second, third, fourth] = sums;
    add_word(add_word(first, second), add_word(third, fourth))
}

/// Adds the next `LEN` bytes, if there are as many, and returns what is left.
#[inline]
fn add_part<const LEN: usize>(sum: Word, bytes: &[u8]) -> (Word, &[u8]) {
    match bytes.split_first_chunk::<LEN>() {
        Some((part, rest)) => (add_block(sum, part), rest),
        None => (sum, bytes),
    }
}

/// Adds a block in one run of carries.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a call for each block would cost a quarter of the block")]
fn add_block<const LEN: usize>(sum: Word, block: &[u8; LEN]) -> Word {
    let (words, _) = block.as_chunks();
    let mut sum = sum;
    let mut carry = false;
    for word in words {
        (sum, carry) = sum.carrying_add(Word::from_ne_bytes(*word), carry);
    }
    // The first addition had no carry to take in, so none leaves all ones and a carry behind: this does not wrap.
    sum.wrapping_add(Word::from(carry))
}

/// The last one to seven bytes, `rest`, as a word that zeros complete.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> Word {
    if let Some(last) = bytes.last_chunk() {
        // The last eight bytes, those shifted out that are summed already: no branch for each length.
        return Word::from_le_bytes(*last).unbounded_shr(64 - 8 * rest.len() as u32).to_le();
    }
    rest.iter().rev().fold(0, |word: Word, byte| (word << 8) | Word::from(*byte)).to_le()
}
