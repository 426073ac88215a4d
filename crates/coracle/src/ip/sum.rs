//! The Internet checksum over a part of a packet.

use coracle_buf::Pbuf;
use coracle_wire::checksum::Sum;

/// Adds `len` bytes of a packet to a sum, from `offset` on, which lies in the first segment. Where there are fewer,
/// those that there are.
#[inline(always)]
#[allow(clippy::inline_always, reason = "nearly always one call of the sum")]
pub(crate) fn add_part(sum: Sum, packet: &Pbuf, offset: usize, len: usize) -> Sum {
    match packet.payload().get(offset..).and_then(|first| first.get(..len)) {
        Some(part) => sum.add_bytes(part),
        None => add_chain(sum, packet, offset, len),
    }
}

#[cold]
#[inline(never)]
fn add_chain(sum: Sum, packet: &Pbuf, offset: usize, len: usize) -> Sum {
    let (mut skip, mut left) = (offset, len);
    sum.add_chain(packet.segments().map(|segment| {
        let piece = segment.get(skip..).unwrap_or_default();
        skip = 0;
        let piece = &piece[..piece.len().min(left)];
        left -= piece.len();
        piece
    }))
}
