//! The Internet checksum over a part of a packet.

use coracle_buf::Pbuf;
#[cfg(feature = "ipv6")]
use coracle_wire::checksum::pseudo_v6;
use coracle_wire::checksum::{Sum, pseudo_v4};

use crate::address::Address;

/// The sum of the pseudo-header that transports count in: `len` is the length in bytes of the transport's packet.
#[inline]
pub(crate) fn pseudo(source: Address, destination: Address, protocol: u8, len: usize) -> Sum {
    #[cfg(feature = "ipv6")]
    if !destination.is_v4() {
        return pseudo_v6(source.wire_v6().into(), destination.wire_v6().into(), protocol, len as u32);
    }
    pseudo_v4(source.low(), destination.low(), protocol, len as u16)
}

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
