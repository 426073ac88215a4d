//! The Internet checksum [RFC 1071]: the ones' complement of the ones' complement sum of 16-bit words.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

// Both are compiled for tests, so that a large machine tests what a small one runs.
#[cfg(any(test, not(target_pointer_width = "64")))]
mod narrow;
#[cfg(any(test, target_pointer_width = "64"))]
mod wide;

#[cfg(not(target_pointer_width = "64"))]
use narrow::{Word, add_bytes, add_header, add_word, fold_u32};
#[cfg(target_pointer_width = "64")]
use wide::{Word, add_bytes, add_header, add_word, fold_u32};

/// How many bytes are copied before they are summed, in bytes: an even number that stays in any first-level cache.
const CACHED: usize = 4096;

/// A sum that is not complete yet, over words as memory holds them: a ones' complement sum of wider words, and in the other
/// byte order, folds to the same 16 bits with their bytes swapped [RFC 1071 §2].
///
/// Parts may come in any order, as long as each starts at an even offset of what is summed
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

    /// Adds 16-bit fields, eight at most, in one step.
    #[inline]
    #[must_use]
    pub const fn add_u16s<const N: usize>(self, values: [u16; N]) -> Self {
        const { assert!(N <= 8) }
        // Too few for a carry out of the upper half.
        let (mut sum, mut at) = (0, 0);
        while at < N {
            sum += values[at].to_be() as u32;
            at += 1;
        }
        Self(add_word(self.0, sum as Word))
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
        u16::from_be(fold_u16(fold_u32(self.0)))
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
        self.fold() == 0xffff
    }

    /// The sum of an IPv4 header without options.
    #[inline]
    pub(crate) fn of_header(header: &[u8; 20]) -> Self {
        Self(add_header(header))
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
    !fold_u16(sum)
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
    let (into, from) = (&mut into[..len], &from[..len]);
    let mut sum = 0;
    for (into, from) in into.chunks_mut(CACHED).zip(from.chunks(CACHED)) {
        into.copy_from_slice(from);
        sum = add_bytes(sum, from);
    }
    Sum(sum)
}

/// Folds to 16 bits: the upper half of a number plus the same with its halves swapped is the sum of the halves with the carry
/// brought back in.
#[inline]
const fn fold_u16(sum: u32) -> u16 {
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
