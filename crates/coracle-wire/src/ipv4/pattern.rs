//! What the headers of packets have in common that go the same way.

use super::HEADER_LEN;
use crate::ethernet;

/// What an untagged Ethernet header and the IPv4 header behind it say, but for what differs from packet to packet: total
/// length, identification and checksum. Two packets with the same pattern come from the same station and host, go to the
/// same ones, and are both whole or both fragments, with the same type of service, time to live and protocol.
///
/// ```
/// use coracle_wire::ipv4::Pattern;
///
/// let mut frame = [0; Pattern::LEN];
/// let pattern = Pattern::of(&frame);
/// frame[18] = 7; // the identification
/// assert!(pattern == Pattern::of(&frame));
/// frame[22] = 7; // the time to live
/// assert!(pattern != Pattern::of(&frame));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Pattern([u64; 5]);

impl Pattern {
    /// Length of both headers in bytes.
    pub const LEN: usize = ethernet::HEADER_LEN + HEADER_LEN;

    /// The pattern that no frame has in whose IP header the version is 4.
    pub const NONE: Self = Self([0; 5]);

    /// The pattern of a frame.
    #[inline]
    pub fn of(frame: &[u8; Self::LEN]) -> Self {
        // Without the total length and the identification, and without the checksum.
        const FIRST: u64 = u64::from_ne_bytes([0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff]);
        const SECOND: u64 = u64::from_ne_bytes([0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        Self([
            word::<0>(frame),
            word::<6>(frame),
            word::<14>(frame) & FIRST,
            word::<22>(frame) & SECOND,
            word::<26>(frame),
        ])
    }
}

/// Eight bytes, in any order.
#[inline]
fn word<const AT: usize>(frame: &[u8; Pattern::LEN]) -> u64 {
    const { assert!(AT + 8 <= Pattern::LEN) }
    frame.get(AT..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

impl PartialEq for Pattern {
    /// Whether both are the same, found out without a branch for each part.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(&other.0).fold(0, |all, (own, other)| all | (own ^ other));
        differences == 0
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn every_byte_counts_but_lengths_identifications_and_checksums() {
        let frame = core::array::from_fn(|at| at as u8 + 1);
        for at in 0..Pattern::LEN {
            let mut other = frame;
            other[at] ^= 0x80;
            let counts = !matches!(at, 16..=19 | 24 | 25);
            assert_eq!(Pattern::of(&frame) != Pattern::of(&other), counts, "byte {at}");
        }
    }
}
