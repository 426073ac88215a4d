//! Internet protocol version 4 [RFC 791].

mod options;
mod pattern;

use core::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::checksum::{Sum, update};
use crate::malformed::prefix;

pub use options::{Ipv4Option, Options, ROUTER_ALERT, Route};
pub use pattern::Pattern;

/// Length of a header without options in bytes.
pub const HEADER_LEN: usize = size_of::<Ipv4Header>();

/// Length of a header with the most options that fit, in bytes.
pub const MAX_HEADER_LEN: usize = 60;

/// Where in the header the checksum is, in bytes.
pub const CHECKSUM_OFFSET: usize = 10;

/// Numbers of the protocols that IP carries.
pub mod protocol {
    /// Internet control message protocol.
    pub const ICMP: u8 = 1;
    /// Internet group management protocol.
    pub const IGMP: u8 = 2;
    /// Transmission control protocol.
    pub const TCP: u8 = 6;
    /// User datagram protocol.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// Lightweight user datagram protocol.
    pub const UDP_LITE: u8 = 136;
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// The 20 bytes that every IPv4 packet begins with; options may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv4Header {
    version_ihl: u8,
    tos: u8,
    total_len: U16,
    identification: U16,
    flags_fragment: U16,
    ttl: u8,
    protocol: u8,
    checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

impl Ipv4Header {
    /// The header at the start of a packet, options included in what is checked to be there.
    ///
    /// `packet` may be the first piece of a chain, so whether [`total_len`](Self::total_len) lies inside what arrived is the
    /// caller's check, and so is the checksum ([`header_checksum_ok`]).
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if the header, with its options, is not all there; [`Malformed::Version`] if it is not
    /// version 4 [1122-IP-1]; [`Malformed::Length`] if the header length is below 20 or above the total length.
    ///
    /// ```
    /// use coracle_wire::ipv4::{self, Ipv4Fields, Ipv4Header, protocol};
    ///
    /// let mut bytes = [0; ipv4::HEADER_LEN];
    /// let fields = Ipv4Fields {
    ///     total_len: 28,
    ///     ttl: 64,
    ///     protocol: protocol::UDP,
    ///     source: [192, 0, 2, 1].into(),
    ///     destination: [192, 0, 2, 2].into(),
    ///     ..Ipv4Fields::default()
    /// };
    /// ipv4::write_header(&mut bytes, &fields);
    ///
    /// let header = Ipv4Header::read(&bytes)?;
    /// assert!(ipv4::header_checksum_ok(&bytes[..header.header_len()]));
    /// assert_eq!(header.destination(), fields.destination);
    /// assert_eq!(header.payload_len(), 8);
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    #[inline]
    pub fn read(packet: &[u8]) -> Result<&Self, Malformed> {
        let header: &Self = prefix(packet)?;
        // Nearly every header: version 4, and no options.
        if header.version_ihl == 0x45 && header.total_len() >= HEADER_LEN {
            return Ok(header);
        }
        header.check(packet.len())
    }

    #[cold]
    fn check(&self, available: usize) -> Result<&Self, Malformed> {
        if self.version_ihl >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let header_len = self.header_len();
        if header_len < HEADER_LEN {
            return Err(Malformed::Length);
        }
        if header_len > available {
            return Err(Malformed::Truncated);
        }
        if self.total_len() < header_len { Err(Malformed::Length) } else { Ok(self) }
    }

    /// Length of the header with its options in bytes, 20 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }

    /// Length of the packet in bytes, header included.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(self.total_len.get())
    }

    /// Length in bytes of what follows header and options.
    #[inline]
    pub fn payload_len(&self) -> usize {
        self.total_len().saturating_sub(self.header_len())
    }

    /// The options behind this header, in the packet that it was read from; empty if there are none.
    /// [`Options::new`] takes them apart.
    #[inline]
    pub fn options<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(HEADER_LEN..self.header_len()).unwrap_or_default()
    }

    /// Type of service: DSCP in the upper six bits [RFC 2474], ECN in the lower two [RFC 3168].
    #[inline]
    pub fn tos(&self) -> u8 {
        self.tos
    }

    /// What the fragments of one datagram have in common.
    #[inline]
    pub fn identification(&self) -> u16 {
        self.identification.get()
    }

    /// Whether the packet must not be fragmented.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags_fragment.get() & DONT_FRAGMENT != 0
    }

    /// Whether this is a fragment other than the last.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.flags_fragment.get() & MORE_FRAGMENTS != 0
    }

    /// Where in the whole datagram's payload this one's belongs, in bytes: a multiple of 8, up to 65,528.
    #[inline]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.flags_fragment.get() & OFFSET_MASK) * 8
    }

    /// Whether this is a part of a datagram and not the whole.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.flags_fragment.get() & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    /// Time to live, in hops.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.ttl
    }

    /// What the packet carries, a number of [`protocol`].
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The header checksum as it was sent.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Address of the sender.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        self.source.into()
    }

    /// Address of the receiver.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        self.destination.into()
    }
}

/// Whether the checksum of a header without options is right [1122-IP-2].
#[inline]
pub fn checksum_ok(header: &[u8; HEADER_LEN]) -> bool {
    Sum::of_header(header).verifies()
}

/// Whether the checksum of a header is right [1122-IP-2]. `header` is the header with its options and nothing else.
#[inline]
pub fn header_checksum_ok(header: &[u8]) -> bool {
    // Nearly every header has no options, and a length known to the compiler needs no loop.
    match <&[u8; HEADER_LEN]>::try_from(header) {
        Ok(header) => checksum_ok(header),
        Err(_) => Sum::new().add_bytes(header).verifies(),
    }
}

/// What a header says, apart from the lengths and the checksum that [`write_header`] knows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Fields {
    /// Type of service: DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Length of the packet in bytes, header included.
    pub total_len: u16,
    /// What the fragments of one datagram have in common.
    pub identification: u16,
    /// Whether the packet must not be fragmented.
    pub dont_fragment: bool,
    /// Whether this is a fragment other than the last.
    pub more_fragments: bool,
    /// Where in the whole datagram's payload this one's belongs, in bytes. Counted in eights on the wire: a rest is cut off.
    pub fragment_offset: u16,
    /// Time to live, in hops.
    pub ttl: u8,
    /// What the packet carries, a number of [`protocol`].
    pub protocol: u8,
    /// Address of the sender.
    pub source: Ipv4Addr,
    /// Address of the receiver.
    pub destination: Ipv4Addr,
}

impl Default for Ipv4Fields {
    /// All zero but for the time to live, which is 64.
    fn default() -> Self {
        Self {
            tos: 0,
            total_len: 0,
            identification: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: 0,
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::UNSPECIFIED,
        }
    }
}

impl Ipv4Fields {
    /// The header with these fields, without options, checksum included.
    #[inline]
    pub fn header(&self) -> Ipv4Header {
        self.header_with(5, Sum::new())
    }

    /// The header with these fields, `words` 32-bit words long, and a checksum that counts the options in as `options`.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "half of the fields are known where it is called")]
    fn header_with(&self, words: u8, options: Sum) -> Ipv4Header {
        let version_ihl = 0x40 | words;
        let mut flags_fragment = self.fragment_offset / 8;
        if self.dont_fragment {
            flags_fragment |= DONT_FRAGMENT;
        }
        if self.more_fragments {
            flags_fragment |= MORE_FRAGMENTS;
        }
        // Summed from the values, since reading back bytes just stored in smaller pieces stalls most processors.
        let sum = options
            .add_u16(u16::from_be_bytes([version_ihl, self.tos]))
            .add_u16(self.total_len)
            .add_u16(self.identification)
            .add_u16(flags_fragment)
            .add_u16(u16::from_be_bytes([self.ttl, self.protocol]))
            .add_u32(self.source.to_bits())
            .add_u32(self.destination.to_bits());
        Ipv4Header {
            version_ihl,
            tos: self.tos,
            total_len: self.total_len.into(),
            identification: self.identification.into(),
            flags_fragment: flags_fragment.into(),
            ttl: self.ttl,
            protocol: self.protocol,
            checksum: sum.finish().into(),
            source: self.source.octets(),
            destination: self.destination.octets(),
        }
    }
}

/// Fills in a header without options, checksum included.
#[inline]
pub fn write_header(into: &mut [u8; HEADER_LEN], fields: &Ipv4Fields) {
    *into = zerocopy::transmute!(fields.header());
}

/// Gives a header another identification, and brings its checksum up to date.
#[inline]
pub fn renumber(header: &mut [u8; HEADER_LEN], identification: u16) {
    let header: &mut Ipv4Header = zerocopy::transmute_mut!(header);
    header.checksum = update(header.checksum.get(), header.identification.get(), identification).into();
    header.identification = identification.into();
}

/// Fills in a header with options, padded with zeros to a multiple of four bytes, checksum included. Returns its length.
/// The total length in `fields` counts the padded options in.
///
/// # Errors
///
/// [`Malformed::Option`] if there are more than 40 bytes of options, [`Malformed::Truncated`] if the header does not fit
/// into `into`. Nothing is written then.
pub fn write_header_with_options(
    into: &mut [u8],
    fields: &Ipv4Fields,
    options: &[u8],
) -> Result<usize, Malformed> {
    let padded_len = options.len().next_multiple_of(4);
    let header_len = HEADER_LEN + padded_len;
    if header_len > MAX_HEADER_LEN {
        return Err(Malformed::Option);
    }
    let header = into.get_mut(..header_len).ok_or(Malformed::Truncated)?;
    let (fixed, rest) = header.split_first_chunk_mut::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
    let sum = Sum::new().add_bytes(options);
    *fixed = zerocopy::transmute!(fields.header_with((header_len / 4) as u8, sum));
    let (copied, padding) = rest.split_at_mut(options.len());
    copied.copy_from_slice(options);
    padding.fill(0);
    Ok(header_len)
}

#[cfg(test)]
mod tests;
