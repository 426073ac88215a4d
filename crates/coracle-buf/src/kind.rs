//! How a packet buffer is made: layers, kinds and flags.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// Room for a link header: Ethernet with one VLAN tag.
const LINK: usize = 14 + 4;
/// Room for an IP header: the larger one, of IPv6.
const IP: usize = 40;
/// Room for a transport header: TCP without options.
const TRANSPORT: usize = 20;

/// Which headers will be put in front of a buffer's payload: lwIP's `pbuf_layer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The payload of TCP or UDP: room for transport, IP and link headers (`PBUF_TRANSPORT`).
    Transport,
    /// The payload of IP: room for IP and link headers (`PBUF_IP`).
    Ip,
    /// The payload of a frame: room for a link header (`PBUF_LINK`).
    Link,
    /// A complete frame to be sent: room for the encapsulation that a driver may add, which is none
    /// (`PBUF_RAW_TX`).
    RawTx,
    /// A complete frame that was received: no room (`PBUF_RAW`).
    Raw,
}

impl Layer {
    /// Bytes of header room in front of the payload.
    ///
    /// ```
    /// assert_eq!(coracle_buf::Layer::Ip.header_room(), 14 + 4 + 40);
    /// ```
    #[inline]
    pub const fn header_room(self) -> usize {
        match self {
            Self::Transport => LINK + IP + TRANSPORT,
            Self::Ip => LINK + IP,
            Self::Link => LINK,
            Self::RawTx | Self::Raw => 0,
        }
    }

    /// Where the payload starts in a new buffer: behind the header room, aligned to four bytes.
    #[inline]
    pub(crate) const fn payload_offset(self) -> usize {
        self.header_room().next_multiple_of(4)
    }
}

/// Where a buffer's bytes lie: lwIP's `pbuf_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One block of the heap (`PBUF_RAM`).
    Ram,
    /// Constant memory outside (`PBUF_ROM`).
    Rom,
    /// Memory outside that may change, so that it is to be copied when queued (`PBUF_REF`).
    Ref,
    /// Buffers of the pool, chained if one isn't enough (`PBUF_POOL`).
    Pool,
    /// Memory outside that is given back through a function, such as a driver's (`pbuf_custom`).
    Custom,
}

impl Kind {
    /// The low byte of lwIP's `type_internal`.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Ram => 0x80,
            Self::Rom => 0x01,
            Self::Ref => 0x41,
            Self::Pool => 0x82,
            Self::Custom => 0x03,
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Self {
        match byte {
            0x80 => Self::Ram,
            0x01 => Self::Rom,
            0x41 => Self::Ref,
            0x82 => Self::Pool,
            _ => Self::Custom,
        }
    }
}

/// What is known about a packet: lwIP's `PBUF_FLAG_*` bits.
///
/// ```
/// use coracle_buf::PbufFlags;
///
/// let mut flags = PbufFlags::PUSH | PbufFlags::LINK_BROADCAST;
/// flags.remove(PbufFlags::PUSH);
/// assert!(flags.contains(PbufFlags::LINK_BROADCAST) && !flags.contains(PbufFlags::PUSH));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct PbufFlags(u8);

impl PbufFlags {
    /// Pass the data on to the application at once (`PBUF_FLAG_PUSH`).
    pub const PUSH: Self = Self(0x01);
    /// The bytes are a user's, who gets them back through a function (`PBUF_FLAG_IS_CUSTOM`). Set by the
    /// buffer itself.
    pub const CUSTOM: Self = Self(0x02);
    /// A multicast packet that loops back to its sender (`PBUF_FLAG_MCASTLOOP`).
    pub const MULTICAST_LOOP: Self = Self(0x04);
    /// Received as a link-level broadcast (`PBUF_FLAG_LLBCAST`).
    pub const LINK_BROADCAST: Self = Self(0x08);
    /// Received as a link-level multicast (`PBUF_FLAG_LLMCAST`).
    pub const LINK_MULTICAST: Self = Self(0x10);
    /// Carries a TCP FIN (`PBUF_FLAG_TCP_FIN`).
    pub const TCP_FIN: Self = Self(0x20);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::PUSH, "PUSH"),
        (Self::CUSTOM, "CUSTOM"),
        (Self::MULTICAST_LOOP, "MULTICAST_LOOP"),
        (Self::LINK_BROADCAST, "LINK_BROADCAST"),
        (Self::LINK_MULTICAST, "LINK_MULTICAST"),
        (Self::TCP_FIN, "TCP_FIN"),
    ];

    /// No flag.
    #[inline]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The flags as lwIP's bits.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The flags of lwIP's bits.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether no flag is set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all flags of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The flags of both.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Sets the flags of `other`.
    #[inline]
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clears the flags of `other`.
    #[inline]
    pub const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

impl BitOr for PbufFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for PbufFlags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.insert(other);
    }
}

impl fmt::Debug for PbufFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        f.write_str("PbufFlags(")?;
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                f.write_str(if left == self.0 { "" } else { " | " })?;
                f.write_str(name)?;
                left &= !flag.0;
            }
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn header_room_fits_the_headers_and_payloads_are_aligned() {
        assert_eq!(Layer::Transport.header_room(), 18 + 40 + 20);
        assert_eq!(Layer::Link.header_room(), 18);
        assert_eq!(Layer::RawTx.header_room() + Layer::Raw.header_room(), 0);
        for layer in [Layer::Transport, Layer::Ip, Layer::Link, Layer::RawTx, Layer::Raw] {
            assert!(layer.payload_offset() >= layer.header_room());
            assert_eq!(layer.payload_offset() % 4, 0);
        }
    }

    #[test]
    fn kinds_survive_their_byte() {
        for kind in [Kind::Ram, Kind::Rom, Kind::Ref, Kind::Pool, Kind::Custom] {
            assert_eq!(Kind::from_byte(kind.byte()), kind);
        }
    }

    #[test]
    fn flags_are_a_set() {
        let mut flags = PbufFlags::empty();
        assert!(flags.is_empty());
        flags |= PbufFlags::PUSH | PbufFlags::TCP_FIN;
        assert_eq!(flags.bits(), 0x21);
        assert_eq!(PbufFlags::from_bits(0x21), flags);
        assert!(flags.contains(PbufFlags::PUSH));
        assert!(!flags.contains(PbufFlags::PUSH | PbufFlags::CUSTOM));
        assert!(flags.intersects(PbufFlags::PUSH | PbufFlags::CUSTOM));
        assert_eq!(format!("{flags:?}"), "PbufFlags(PUSH | TCP_FIN)");
        flags.remove(PbufFlags::PUSH);
        assert_eq!(flags, PbufFlags::TCP_FIN);
    }
}
