//! The Internet checksum over a part of a packet.

use coracle_buf::Pbuf;
use coracle_wire::checksum::Sum;

/// Adds `len` bytes of a packet to a sum, from `offset` on, which lies in the first segment. Where there are fewer,
/// those that there are.
#[inline]
pub(crate) fn add_part(sum: Sum, packet: &Pbuf, offset: usize, len: usize) -> Sum {
    let first = packet.payload().get(offset..).unwrap_or_default();
    if let Some(part) = first.get(..len) {
        return sum.add_bytes(part);
    }
    let (mut skip, mut left) = (offset, len);
    sum.add_chain(packet.segments().map(|segment| {
        let piece = segment.get(skip..).unwrap_or_default();
        skip = 0;
        let piece = &piece[..piece.len().min(left)];
        left -= piece.len();
        piece
    }))
}
