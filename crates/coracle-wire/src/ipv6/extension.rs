//! Extension headers [RFC 8200 §4]: what may lie between the fixed header and the payload.

mod options;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{HEADER_LEN, NEXT_HEADER_OFFSET, next_header};
use crate::Malformed;
use crate::malformed::prefix;

pub use options::{Action, Ipv6Option, Options, PlacedOption, ROUTER_ALERT};

/// Length of a fragment header in bytes.
pub const FRAGMENT_LEN: usize = size_of::<FragmentHeader>();

/// How much of a sender's imagination is worth the work [RFC 8504 §5.3].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most extension headers in one packet.
    pub headers: u8,
    /// The most options in one header, padding not counted.
    pub options: u8,
}

impl Default for Limits {
    /// 8 headers, and 8 options in each [RFC 8504 §5.3].
    fn default() -> Self {
        Self { headers: 8, options: 8 }
    }
}

/// One extension header of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension<'a> {
    /// Options for every router under way, without the first two bytes of the header. [`Options`] takes them apart.
    HopByHop(&'a [u8]),
    /// Options for the destination, without the first two bytes of the header. [`Options`] takes them apart.
    Destination(&'a [u8]),
    /// Routers to pass.
    Routing(Routing<'a>),
    /// This is a part of a packet, or the whole as a single part.
    Fragment(&'a FragmentHeader),
    /// A proof of who sent the packet, which nobody here verifies.
    Authentication,
}

/// A routing header [RFC 8200 §4.4].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routing<'a> {
    /// Which kind of route it is (the RFC's routing type). 0 is obsolete and as unknown as any other [5095-1].
    pub kind: u8,
    /// How many of the routers are still to be passed.
    pub segments_left: u8,
    /// What depends on the kind.
    pub data: &'a [u8],
}

/// Where in a routing header its kind is, in bytes: what an ICMP error points at [8200-5].
pub const ROUTING_KIND_OFFSET: usize = 2;

/// The eight bytes that say which part of a packet this is [RFC 8200 §4.5].
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FragmentHeader {
    /// What follows in the whole packet.
    pub next_header: u8,
    reserved: u8,
    offset_more: U16,
    identification: U32,
}

impl FragmentHeader {
    /// The header at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 8 bytes.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<&Self, Malformed> {
        prefix(bytes)
    }

    /// Fills in a header. `offset` is in bytes and counted in eights on the wire: a rest is cut off.
    ///
    /// ```
    /// use coracle_wire::ipv6::extension::{self, FragmentHeader};
    ///
    /// let mut bytes = [0; extension::FRAGMENT_LEN];
    /// FragmentHeader::write(&mut bytes, 17, 1232, true, 7);
    /// let header = FragmentHeader::read(&bytes)?;
    /// assert_eq!((header.offset(), header.more(), header.identification()), (1232, true, 7));
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    #[inline]
    pub fn write(
        into: &mut [u8; FRAGMENT_LEN],
        next_header: u8,
        offset: u16,
        more: bool,
        identification: u32,
    ) {
        *into = zerocopy::transmute!(Self {
            next_header,
            reserved: 0,
            offset_more: (offset & !7 | u16::from(more)).into(),
            identification: identification.into(),
        });
    }

    /// Where in the fragmentable part of the whole packet this one's belongs, in bytes: a multiple of 8, up to 65,528.
    #[inline]
    pub fn offset(&self) -> usize {
        usize::from(self.offset_more.get() & !7)
    }

    /// Whether this is a fragment other than the last.
    #[inline]
    pub fn more(&self) -> bool {
        self.offset_more.get() & 1 != 0
    }

    /// Whether the packet is whole although it has this header [6946-1].
    #[inline]
    pub fn is_atomic(&self) -> bool {
        self.offset_more.get() & !6 == 0
    }

    /// What the fragments of one packet have in common.
    #[inline]
    pub fn identification(&self) -> u32 {
        self.identification.get()
    }
}

/// Goes through the extension headers of a packet, one after the other, until it finds what they carry. Hop-by-hop options
/// must come first, all others come in any order and any number [8200-1] [8200-2].
///
/// Each step consumes at least eight bytes, and there are at most [`Limits::headers`] of them.
///
/// ```
/// use coracle_wire::ipv6::extension::{Extension, Limits, Walk};
///
/// let mut packet = [0; 40 + 8];
/// packet[40..].copy_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]);
/// let mut walk = Walk::new(&packet, 60, Limits::default());
/// assert!(matches!(walk.step(), Ok(Some(Extension::Destination(_)))));
/// assert_eq!(walk.step(), Ok(None));
/// assert_eq!((walk.next_header(), walk.at()), (17, 48));
/// ```
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    packet: &'a [u8],
    next_header: u8,
    named_at: usize,
    at: usize,
    header_at: usize,
    left: u8,
    ended: bool,
}

impl<'a> Walk<'a> {
    /// Begins behind the fixed header of a packet, or of as many of its first bytes as there are in one piece.
    /// `next_header` is what the fixed header names.
    #[inline]
    pub fn new(packet: &'a [u8], next_header: u8, limits: Limits) -> Self {
        Self {
            packet,
            next_header,
            named_at: NEXT_HEADER_OFFSET,
            at: HEADER_LEN,
            header_at: 0,
            left: limits.headers,
            ended: false,
        }
    }

    /// The next extension header. `None` at the payload, at what cannot be looked through (ESP, and all but the first part
    /// of a packet), and where there is nothing more.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if the header is not all there; [`Malformed::Type`] if hop-by-hop options come later than
    /// first [8200-1]; [`Malformed::Option`] if there are more headers than allowed. The walk is at its end then, and
    /// [`named_at`](Self::named_at) says where the offending header is named.
    pub fn step(&mut self) -> Result<Option<Extension<'a>>, Malformed> {
        if self.ended || !is_extension(self.next_header) {
            return Ok(None);
        }
        // Whatever goes wrong ends the walk.
        self.ended = true;
        if self.next_header == next_header::HOP_BY_HOP && self.at != HEADER_LEN {
            return Err(Malformed::Type);
        }
        self.left = self.left.checked_sub(1).ok_or(Malformed::Option)?;
        let bytes = self.packet.get(self.at..).ok_or(Malformed::Truncated)?;
        let (extension, following, len) = read_one(self.next_header, bytes)?;
        self.header_at = self.at;
        self.named_at = self.at;
        self.next_header = following;
        self.at += len;
        self.ended = matches!(extension, Extension::Fragment(header) if header.offset() != 0);
        Ok(Some(extension))
    }

    /// The kind of what comes next, or of the payload once [`step`](Self::step) has returned `None`. Behind all but the first
    /// part of a packet, it is what the part that is missing begins with.
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.next_header
    }

    /// Where in the packet [`next_header`](Self::next_header) is said, in bytes: what an ICMP error points at.
    #[inline]
    pub fn named_at(&self) -> usize {
        self.named_at
    }

    /// Where in the packet that begins what comes next, in bytes.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Where in the packet the header begins that [`step`](Self::step) returned last, in bytes.
    #[inline]
    pub fn header_at(&self) -> usize {
        self.header_at
    }
}

/// Whether this number is that of a header that a walk looks through.
#[inline]
pub const fn is_extension(number: u8) -> bool {
    matches!(
        number,
        next_header::HOP_BY_HOP
            | next_header::ROUTING
            | next_header::FRAGMENT
            | next_header::AUTHENTICATION
            | next_header::DESTINATION_OPTIONS
    )
}

/// A header, what follows it, and its length.
fn read_one(number: u8, bytes: &[u8]) -> Result<(Extension<'_>, u8, usize), Malformed> {
    if number == next_header::FRAGMENT {
        let header = FragmentHeader::read(bytes)?;
        return Ok((Extension::Fragment(header), header.next_header, FRAGMENT_LEN));
    }
    let [following, len, ..] = *bytes else { return Err(Malformed::Truncated) };
    let len = match number {
        // Counted in words of four bytes, two of which are left out [RFC 4302 §2.2].
        next_header::AUTHENTICATION => (usize::from(len) + 2) * 4,
        // Counted in words of eight bytes, the first of which is left out.
        _ => (usize::from(len) + 1) * 8,
    };
    let body = bytes.get(2..len).ok_or(Malformed::Truncated)?;
    let extension = match number {
        next_header::HOP_BY_HOP => Extension::HopByHop(body),
        next_header::DESTINATION_OPTIONS => Extension::Destination(body),
        next_header::ROUTING => {
            let [kind, segments_left, ref data @ ..] = *body else { return Err(Malformed::Truncated) };
            Extension::Routing(Routing { kind, segments_left, data })
        }
        _ => Extension::Authentication,
    };
    Ok((extension, following, len))
}

#[cfg(test)]
mod tests;
