//! Sums in 32-bit words, aligned, for small processors: many of them read unaligned words byte by byte.

use zerocopy::FromBytes;

/// The register that a partial sum is kept in.
pub(super) type Word = u32;

const WORD: usize = size_of::<Word>();

/// Adds what lies before the first aligned word, then the aligned words, then what is left.
pub(super) fn add_bytes(sum: Word, bytes: &[u8]) -> Word {
    let unaligned = bytes.as_ptr().addr().wrapping_neg() % WORD;
    let (head, rest) = bytes.split_at(unaligned.min(bytes.len()));
    let (body, tail) = rest.split_at(rest.len() / WORD * WORD);
    let aligned = add_word(add_words(body), few_bytes(tail));
    // Behind an odd number of bytes, the words hold each pair of bytes in swapped places.
    let aligned = if head.len() % 2 == 0 { aligned } else { aligned.rotate_left(8) };
    add_word(add_word(sum, few_bytes(head)), aligned)
}

/// The sum of an IPv4 header without options.
#[inline]
pub(super) fn add_header(header: &[u8; 20]) -> Word {
    let (words, _) = header.as_chunks();
    words.iter().fold(0, |sum, word| add_word(sum, Word::from_ne_bytes(*word)))
}

/// Adds with the carry brought back in at the low end.
#[inline]
pub(super) const fn add_word(sum: Word, word: Word) -> Word {
    let (sum, carry) = sum.overflowing_add(word);
    sum + carry as Word
}

/// A sum in 32 bits is folded as far.
#[inline]
pub(super) const fn fold_u32(sum: Word) -> u32 {
    sum
}

/// The sum of aligned words.
#[inline]
fn add_words(body: &[u8]) -> Word {
    let mut sum: Word = 0;
    // Always there, since the caller has aligned them; what is not is no reason to stop.
    let words = <[Word]>::ref_from_bytes(body).unwrap_or_default();
    let (blocks, words) = words.as_chunks();
    for [a, b, c, d] in blocks {
        // Written out, since a compiler that saves code would make a loop of it and store the carry in between.
        let (partial, carry) = sum.carrying_add(*a, false);
        let (partial, carry) = partial.carrying_add(*b, carry);
        let (partial, carry) = partial.carrying_add(*c, carry);
        let (partial, carry) = partial.carrying_add(*d, carry);
        // The first addition had no carry to take in, so none leaves all ones and a carry behind: this does not wrap.
        sum = partial.wrapping_add(Word::from(carry));
    }
    for word in words {
        sum = add_word(sum, *word);
    }
    sum
}

/// Up to three bytes as a word that zeros complete.
#[inline]
fn few_bytes(bytes: &[u8]) -> Word {
    bytes.iter().rev().fold(0, |word: Word, byte| (word << 8) | Word::from(*byte)).to_le()
}
