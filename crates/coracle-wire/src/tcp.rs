//! Transmission control protocol [RFC 9293].

mod options;

use core::fmt;
use core::ops::{BitAnd, BitOr, BitOrAssign};

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::checksum::Sum;
use crate::malformed::prefix;

pub use options::{
    MAX_OPTIONS_LEN, MAX_WINDOW_SCALE, SackBlocks, TIMESTAMPS_LEN, TcpOptions, add_timestamps, options_len,
    write_options, write_timestamps,
};

/// Length of a header without options in bytes.
pub const HEADER_LEN: usize = size_of::<TcpHeader>();

/// Length of a header with the most options that fit, in bytes.
pub const MAX_HEADER_LEN: usize = HEADER_LEN + MAX_OPTIONS_LEN;

/// Where in the header the checksum is, in bytes.
pub const CHECKSUM_OFFSET: usize = 16;

/// The accurate ECN flag, beside the data offset [RFC 9768 §3].
const AE: u8 = 0x01;

/// The control bits of a segment.
///
/// ```
/// use coracle_wire::tcp::TcpFlags;
///
/// let flags = TcpFlags::SYN | TcpFlags::ACK;
/// assert!(flags.contains(TcpFlags::SYN) && !flags.intersects(TcpFlags::FIN | TcpFlags::RST));
/// ```
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(transparent)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// The sender's sequence numbers begin here.
    pub const SYN: Self = Self(0x02);
    /// The connection is over at once.
    pub const RST: Self = Self(0x04);
    /// Pass the data on to the application at once.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN-Echo: a congestion mark arrived [RFC 3168 §6.1].
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced: an ECN-Echo arrived [RFC 3168 §6.1].
    pub const CWR: Self = Self(0x80);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::FIN, "FIN"),
        (Self::SYN, "SYN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::ACK, "ACK"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
    ];

    /// No flag.
    #[inline]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The flags as the 14th byte of the header.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The flags of the 14th byte of a header.
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

    /// These flags less those of `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for TcpFlags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for TcpFlags {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = " | ";
            }
        }
        if self.is_empty() { f.write_str("(empty)") } else { Ok(()) }
    }
}

/// The 20 bytes that every segment begins with; options may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TcpHeader {
    source_port: U16,
    destination_port: U16,
    sequence: U32,
    acknowledgment: U32,
    offset_reserved: u8,
    flags: TcpFlags,
    window: U16,
    checksum: U16,
    urgent_pointer: U16,
}

impl TcpHeader {
    /// The header at the start of an IP payload, options included in what is checked to be there. The reserved bits are
    /// not looked at [RFC 9293 §3.1].
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 20 bytes; [`Malformed::Length`] if the data offset is below 5, or beyond the bytes at
    /// hand.
    ///
    /// ```
    /// use coracle_wire::tcp::{self, TcpFields, TcpFlags, TcpHeader};
    ///
    /// let mut bytes = [0; tcp::HEADER_LEN];
    /// let fields = TcpFields {
    ///     source_port: 40_000,
    ///     destination_port: 7,
    ///     flags: TcpFlags::SYN,
    ///     ..TcpFields::default()
    /// };
    /// tcp::write_header(&mut bytes, &fields);
    ///
    /// let header = TcpHeader::read(&bytes)?;
    /// assert_eq!((header.destination_port(), header.flags()), (7, TcpFlags::SYN));
    /// assert!(header.options(&bytes).is_empty());
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    #[inline]
    pub fn read(segment: &[u8]) -> Result<&Self, Malformed> {
        let header: &Self = prefix(segment)?;
        let header_len = header.header_len();
        if header_len < HEADER_LEN || header_len > segment.len() {
            return Err(Malformed::Length);
        }
        Ok(header)
    }

    /// Port of the sender.
    #[inline]
    pub fn source_port(&self) -> u16 {
        self.source_port.get()
    }

    /// Port of the receiver.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        self.destination_port.get()
    }

    /// Sequence number of the first byte of data, or of the SYN if there is one.
    #[inline]
    pub fn sequence(&self) -> u32 {
        self.sequence.get()
    }

    /// The sequence number that the sender expects next; it counts if [`TcpFlags::ACK`] is set.
    #[inline]
    pub fn acknowledgment(&self) -> u32 {
        self.acknowledgment.get()
    }

    /// Sets the checksum, once it is known.
    #[inline]
    #[must_use]
    pub fn with_checksum(mut self, checksum: u16) -> Self {
        self.checksum = checksum.into();
        self
    }

    /// Writes the header.
    #[inline]
    pub fn put(self, into: &mut [u8; HEADER_LEN]) {
        *into = zerocopy::transmute!(self);
    }

    /// Length of the header with its options in bytes, 20 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.offset_reserved >> 4) * 4
    }

    /// The options behind this header, in the segment that it was read from; empty if there are none.
    /// [`TcpOptions::read`] takes them apart.
    #[inline]
    pub fn options<'a>(&self, segment: &'a [u8]) -> &'a [u8] {
        segment.get(HEADER_LEN..self.header_len()).unwrap_or_default()
    }

    /// The control bits.
    #[inline]
    pub fn flags(&self) -> TcpFlags {
        self.flags
    }

    /// Whether the accurate ECN flag (AE, once the nonce sum) is set [RFC 9768 §3].
    #[inline]
    pub fn accurate_ecn(&self) -> bool {
        self.offset_reserved & AE != 0
    }

    /// How much more the sender takes, in bytes, before scaling; a number without a sign [RFC 9293 MUST-1].
    #[inline]
    pub fn window(&self) -> u16 {
        self.window.get()
    }

    /// Checksum over pseudo-header and segment.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Where the urgent data ends, counted from the sequence number; it counts if [`TcpFlags::URG`] is set.
    #[inline]
    pub fn urgent_pointer(&self) -> u16 {
        self.urgent_pointer.get()
    }
}

/// What a header says, apart from the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFields {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Sequence number of the first byte of data, or of the SYN if there is one.
    pub sequence: u32,
    /// The sequence number expected next, 0 without [`TcpFlags::ACK`].
    pub acknowledgment: u32,
    /// Length of the header with its options in bytes: 20 to 60, a multiple of 4.
    pub header_len: usize,
    /// The control bits.
    pub flags: TcpFlags,
    /// Whether the accurate ECN flag is set.
    pub accurate_ecn: bool,
    /// How much more is taken, in bytes, scaled already.
    pub window: u16,
    /// Where the urgent data ends, counted from the sequence number; 0 without [`TcpFlags::URG`].
    pub urgent_pointer: u16,
}

impl Default for TcpFields {
    /// All zero but for the length of the header, which is 20.
    fn default() -> Self {
        Self {
            source_port: 0,
            destination_port: 0,
            sequence: 0,
            acknowledgment: 0,
            header_len: HEADER_LEN,
            flags: TcpFlags::empty(),
            accurate_ecn: false,
            window: 0,
            urgent_pointer: 0,
        }
    }
}

impl TcpFields {
    /// The header with these fields, the reserved bits and the checksum zero.
    #[inline]
    pub fn header(&self) -> TcpHeader {
        TcpHeader {
            source_port: self.source_port.into(),
            destination_port: self.destination_port.into(),
            sequence: self.sequence.into(),
            acknowledgment: self.acknowledgment.into(),
            offset_reserved: self.offset_reserved(),
            flags: self.flags,
            window: self.window.into(),
            checksum: U16::ZERO,
            urgent_pointer: self.urgent_pointer.into(),
        }
    }

    /// The sum of the header's words, to be had before it is written. The checksum counts as zero.
    #[inline]
    pub fn add_to(&self, sum: Sum) -> Sum {
        sum.add_u16(self.source_port)
            .add_u16(self.destination_port)
            .add_u32(self.sequence)
            .add_u32(self.acknowledgment)
            .add_u16(u16::from_be_bytes([self.offset_reserved(), self.flags.bits()]))
            .add_u16(self.window)
            .add_u16(self.urgent_pointer)
    }

    /// A fourth of the length in the upper half of the byte, one flag in the lower.
    #[inline]
    fn offset_reserved(&self) -> u8 {
        debug_assert!(self.header_len >= HEADER_LEN && self.header_len <= MAX_HEADER_LEN);
        debug_assert!(self.header_len.is_multiple_of(4));
        ((self.header_len << 2) as u8 & 0xf0) | (u8::from(self.accurate_ecn) * AE)
    }
}

/// Fills in a header, its checksum zero until it is known.
#[inline]
pub fn write_header(into: &mut [u8; HEADER_LEN], fields: &TcpFields) {
    *into = zerocopy::transmute!(fields.header());
}

#[cfg(test)]
mod tests;
