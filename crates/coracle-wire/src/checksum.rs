//! The Internet checksum [RFC 1071]: the ones' complement of the ones' complement sum of 16-bit words.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// The register that partial sums are kept in. Sums are taken over words as memory holds them: a ones' complement sum of
/// wider words, and in the other byte order, folds to the same 16 bits with their bytes swapped [RFC 1071 §2].
#[cfg(target_pointer_width = "64")]
type Word = u64;
#[cfg(not(target_pointer_width = "64"))]
type Word = u32;

/// How many bytes are summed without a branch. Small processors have small memories: there it is one word.
#[cfg(target_pointer_width = "64")]
const BLOCK: usize = 64;
#[cfg(not(target_pointer_width = "64"))]
const BLOCK: usize = 4;

const WORD: usize = size_of::<Word>();

/// A sum that is not complete yet. Parts may come in any order, as long as each starts at an even offset of what is summed
/// ([`add_chain`](Self::add_chain) sees to that for pieces of any length). It never overflows.
///
/// ```
/// use coracle_wire::checksum::{Sum, checksum};
///
/// let sum = Sum::new().add_bytes(&[1, 2, 3, 4]).add_u16(0x0506);
/// assert_eq!(sum.finish(), checksum(&[1, 2, 3, 4, 5, 6]));
/// ```
#[derive(Clone, Copy, Default)]
pub struct Sum(Word);

impl Sum {
    /// The sum of nothing.
    #[inline]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes that start at an even offset. Behind an odd number of bytes, the last word is completed with a zero, so
    /// only the last part may have one.
    #[inline]
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        Self(add_bytes(self.0, bytes))
    }

    /// Adds a 16-bit field.
    #[inline]
    #[must_use]
    pub const fn add_u16(self, value: u16) -> Self {
        Self(add_word(self.0, value.to_be() as Word))
    }

    /// Adds a 32-bit field that starts at an even offset.
    #[inline]
    #[must_use]
    pub const fn add_u32(self, value: u32) -> Self {
        Self(add_word(self.0, value.to_be() as Word))
    }

    /// Adds what another sum has summed, which starts at `offset` of the whole: at an odd one, its bytes count in swapped
    /// places [RFC 1071 §2].
    #[inline]
    #[must_use]
    pub const fn add_sum(self, other: Self, offset: usize) -> Self {
        let other = if offset.is_multiple_of(2) { other.0 } else { other.0.rotate_left(8) };
        Self(add_word(self.0, other))
    }

    /// Adds the pieces of a chain, each of any length, the first at an even offset.
    ///
    /// ```
    /// use coracle_wire::checksum::{Sum, checksum};
    ///
    /// let pieces: [&[u8]; 3] = [&[1, 2, 3], &[4], &[5, 6, 7]];
    /// assert_eq!(Sum::new().add_chain(pieces).finish(), checksum(&[1, 2, 3, 4, 5, 6, 7]));
    /// ```
    #[inline]
    #[must_use]
    pub fn add_chain<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut sum = self;
        let mut offset = 0;
        for piece in pieces {
            sum = sum.add_sum(Self::new().add_bytes(piece), offset);
            offset ^= piece.len();
        }
        sum
    }

    /// The ones' complement sum in 16 bits. It is 0 only if everything summed was, and `0xffff` if what was summed contains
    /// its own, right checksum.
    #[inline]
    pub const fn fold(self) -> u16 {
        u16::from_be(fold(self.0))
    }

    /// The checksum: the complement of [`fold`](Self::fold).
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }

    /// The checksum, with all ones in place of 0, which UDP uses to say that there is none [1122-UDP-4].
    #[inline]
    pub const fn finish_nonzero(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    /// Whether what was summed, its checksum included, is unharmed.
    #[inline]
    pub const fn verifies(self) -> bool {
        fold(self.0) == 0xffff
    }

    /// The sum of an IPv4 header without options.
    #[inline]
    pub(crate) fn of_header(header: &[u8; 20]) -> Self {
        let (words, _) = header.as_chunks();
        let mut sum = 0;
        for word in words {
            sum = add_word(sum, Word::from(u32::from_ne_bytes(*word)));
        }
        Self(sum)
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({:#06x})", self.fold())
    }
}

impl PartialEq for Sum {
    /// Whether both fold to the same 16 bits.
    fn eq(&self, other: &Self) -> bool {
        self.fold() == other.fold()
    }
}

impl Eq for Sum {}

/// The checksum of bytes; 0 if they contain their own, right checksum.
///
/// ```
/// use coracle_wire::checksum::checksum;
/// assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
/// ```
#[inline]
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::new().add_bytes(bytes).finish()
}

/// The sum of the pseudo-header that UDP and TCP count in over IPv4: `len` is the length in bytes of transport header and
/// payload [RFC 768].
#[inline]
pub const fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: u16) -> Sum {
    Sum::new().add_u32(source.to_bits()).add_u32(destination.to_bits()).add_u16(protocol as u16).add_u16(len)
}

/// The sum of the pseudo-header that upper layers count in over IPv6: `len` is the length in bytes of the upper-layer packet
/// [RFC 8200 §8.1].
#[inline]
pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, len: u32) -> Sum {
    Sum::new()
        .add_bytes(&source.octets())
        .add_bytes(&destination.octets())
        .add_u32(len)
        .add_u16(u16::from(next_header))
}

/// The checksum after one 16-bit field of what it covers changed from `old` to `new` [RFC 1624 §3, eqn. 3].
///
/// The same as a sum over everything, as long as what is covered is not all zero before or after: an IP header or a
/// pseudo-header never is. UDP's checksum of 0 is no checksum and must not be updated, and an update that gives 0 goes out as
/// `0xffff`.
///
/// ```
/// use coracle_wire::checksum::{checksum, update};
///
/// let before = checksum(&[0x45, 0x00, 0x40, 0x11]);
/// let after = checksum(&[0x45, 0x00, 0x3f, 0x11]);
/// assert_eq!(update(before, 0x4011, 0x3f11), after);
/// ```
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = !checksum as u32 + !old as u32 + new as u32;
    !fold_u32(sum)
}

/// The checksum after a 32-bit field at an even offset changed from `old` to `new`: as [`update`], for an address.
#[inline]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    Sum::new().add_u16(!checksum).add_u32(!old).add_u32(new).finish()
}

/// Copies and sums in one pass: as many bytes as the shorter of both has. The sum is that of the copied bytes, the first at an
/// even offset.
///
/// ```
/// use coracle_wire::checksum::{checksum, copy_and_sum};
///
/// let mut packet = [0; 5];
/// assert_eq!(copy_and_sum(&mut packet, b"hello").finish(), checksum(b"hello"));
/// assert_eq!(&packet, b"hello");
/// ```
pub fn copy_and_sum(into: &mut [u8], from: &[u8]) -> Sum {
    let len = into.len().min(from.len());
    let (into_blocks, into_tail) = into[..len].as_chunks_mut::<BLOCK>();
    let (from_blocks, from_tail) = from[..len].as_chunks::<BLOCK>();
    let mut sum = 0;
    for (into, from) in into_blocks.iter_mut().zip(from_blocks) {
        *into = *from;
        sum = add_block(sum, from);
    }
    into_tail.copy_from_slice(from_tail);
    Sum(add_bytes(sum, from_tail))
}

fn add_bytes(sum: Word, bytes: &[u8]) -> Word {
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    let mut sum = sum;
    for block in blocks {
        sum = add_block(sum, block);
    }
    add_tail(sum, tail)
}

/// Adds what is left behind the blocks.
#[cfg(target_pointer_width = "64")]
#[inline]
fn add_tail(sum: Word, tail: &[u8]) -> Word {
    let (mut sum, mut tail) = (sum, tail);
    if let Some((block, rest)) = tail.split_first_chunk::<32>() {
        (sum, tail) = (add_block(sum, block), rest);
    }
    if let Some((block, rest)) = tail.split_first_chunk::<16>() {
        (sum, tail) = (add_block(sum, block), rest);
    }
    if let Some((block, rest)) = tail.split_first_chunk::<8>() {
        (sum, tail) = (add_block(sum, block), rest);
    }
    let mut last = 0;
    if let Some((word, rest)) = tail.split_first_chunk() {
        (last, tail) = (Word::from(u32::from_ne_bytes(*word)), rest);
    }
    add_word(sum, last + last_bytes(tail))
}

#[cfg(not(target_pointer_width = "64"))]
#[inline]
fn add_tail(sum: Word, tail: &[u8]) -> Word {
    add_word(sum, last_bytes(tail))
}

/// The sum of up to three bytes.
#[inline]
fn last_bytes(tail: &[u8]) -> Word {
    let word = |a, b| Word::from(u16::from_ne_bytes([a, b]));
    match *tail {
        [a] => word(a, 0),
        [a, b] => word(a, b),
        [a, b, c] => word(a, b) + word(c, 0),
        _ => 0,
    }
}

/// Adds a block in one run of carries.
#[inline]
fn add_block<const LEN: usize>(sum: Word, block: &[u8; LEN]) -> Word {
    let (words, _) = block.as_chunks::<WORD>();
    let mut sum = sum;
    let mut carry = false;
    for word in words {
        (sum, carry) = sum.carrying_add(Word::from_ne_bytes(*word), carry);
    }
    // The first addition had no carry to take in, so none leaves all ones and a carry behind: this does not wrap.
    sum.wrapping_add(Word::from(carry))
}

/// Adds with the carry brought back in at the low end.
#[inline]
const fn add_word(sum: Word, word: Word) -> Word {
    let (sum, carry) = sum.overflowing_add(word);
    sum + carry as Word
}

/// Folds a sum to 16 bits, in the byte order of memory: the upper half of a number plus the same with its halves swapped is
/// the sum of the halves with the carry brought back in.
#[cfg(target_pointer_width = "64")]
#[inline]
const fn fold(sum: Word) -> u16 {
    fold_u32((sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32)
}

#[cfg(not(target_pointer_width = "64"))]
#[inline]
const fn fold(sum: Word) -> u16 {
    fold_u32(sum)
}

#[inline]
const fn fold_u32(sum: u32) -> u16 {
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}
