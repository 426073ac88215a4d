//! Internet control message protocol for IPv6 [RFC 4443]. Neighbour discovery and membership of groups have
//! modules of their own.

use core::net::Ipv6Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::checksum::{Sum, pseudo_v6};
use crate::ipv6::extension::{Extension, Limits, Walk};
use crate::ipv6::{self, Ipv6Header, next_header};
use crate::malformed::prefix;

/// Length in bytes of the header, and of the word behind it that most messages have: the least of all messages known here.
pub const HEADER_LEN: usize = size_of::<Icmpv6Header>();

/// Where in the header the checksum is, in bytes.
pub const CHECKSUM_OFFSET: usize = 2;

/// A packet could not be delivered; its codes are in [`mod@unreachable`].
pub const DESTINATION_UNREACHABLE: u8 = 1;
/// A packet is larger than the next link's MTU: [`Icmpv6Header::mtu`].
pub const PACKET_TOO_BIG: u8 = 2;
/// A packet was too long under way; its codes are in [`time_exceeded`].
pub const TIME_EXCEEDED: u8 = 3;
/// A header field cannot be accepted: [`Icmpv6Header::pointer`] says which; its codes are in [`parameter_problem`].
pub const PARAMETER_PROBLEM: u8 = 4;
/// Ping.
pub const ECHO_REQUEST: u8 = 128;
/// Answer to an [`ECHO_REQUEST`].
pub const ECHO_REPLY: u8 = 129;
/// A router asks who is in which group [RFC 2710] [RFC 3810].
pub const MULTICAST_LISTENER_QUERY: u8 = 130;
/// Version 1 of the answer to a [`MULTICAST_LISTENER_QUERY`].
pub const MULTICAST_LISTENER_REPORT: u8 = 131;
/// Version 1 of leaving a group.
pub const MULTICAST_LISTENER_DONE: u8 = 132;
/// A host asks for routers [RFC 4861 §4.1].
pub const ROUTER_SOLICITATION: u8 = 133;
/// A router says that it is there [RFC 4861 §4.2].
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Who has the target address? [RFC 4861 §4.3]
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// The sender has it [RFC 4861 §4.4].
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// A better first hop is known [RFC 4861 §4.5].
pub const REDIRECT: u8 = 137;
/// Which groups a host listens to, version 2 [RFC 3810 §5.2].
pub const MULTICAST_LISTENER_REPORT_V2: u8 = 143;

/// Codes of [`DESTINATION_UNREACHABLE`].
pub mod unreachable {
    /// No route to the destination.
    pub const NO_ROUTE: u8 = 0;
    /// A filter forbids it.
    pub const PROHIBITED: u8 = 1;
    /// The source address does not reach as far as the destination's.
    pub const BEYOND_SCOPE: u8 = 2;
    /// The host does not answer on its link.
    pub const ADDRESS: u8 = 3;
    /// Nobody listens on the port.
    pub const PORT: u8 = 4;
    /// A filter forbids the source address.
    pub const SOURCE_POLICY: u8 = 5;
    /// The route is one that rejects.
    pub const REJECT_ROUTE: u8 = 6;
}

/// Codes of [`TIME_EXCEEDED`].
pub mod time_exceeded {
    /// The hop limit ran out.
    pub const HOP_LIMIT: u8 = 0;
    /// A fragment did not come in time.
    pub const REASSEMBLY: u8 = 1;
}

/// Codes of [`PARAMETER_PROBLEM`].
pub mod parameter_problem {
    /// A header field is wrong.
    pub const HEADER_FIELD: u8 = 0;
    /// The next header is not known.
    pub const NEXT_HEADER: u8 = 1;
    /// An option is not known.
    pub const OPTION: u8 = 2;
    /// The first fragment does not hold all headers [RFC 7112].
    pub const INCOMPLETE_CHAIN: u8 = 3;
}

/// Whether messages of this kind report an error: those below 128 [4443-2].
#[inline]
pub const fn is_error(kind: u8) -> bool {
    kind < 128
}

/// Whether no error may be sent about a message of this kind: an error, or a redirect [4443-4].
#[inline]
pub const fn provokes_no_error(kind: u8) -> bool {
    is_error(kind) || kind == REDIRECT
}

/// The 8 bytes that every known message begins with. What the last four mean depends on the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Icmpv6Header {
    /// Kind of message (the RFC's type field), such as [`ECHO_REQUEST`].
    pub kind: u8,
    /// Refines the kind.
    pub code: u8,
    checksum: U16,
    /// Bytes 4 to 7, whose meaning depends on the kind.
    pub rest: [u8; 4],
}

impl Icmpv6Header {
    /// The header at the start of an IP payload. The checksum covers the whole payload and a pseudo-header, and is the
    /// caller's check: [`checksum`].
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 8 bytes.
    #[inline]
    pub fn read(payload: &[u8]) -> Result<&Self, Malformed> {
        prefix(payload)
    }

    /// The checksum as it was sent.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Identifier of an echo message.
    #[inline]
    pub fn identifier(&self) -> u16 {
        u16::from_be_bytes([self.rest[0], self.rest[1]])
    }

    /// Sequence number of an echo message.
    #[inline]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.rest[2], self.rest[3]])
    }

    /// MTU of the next hop in a [`PACKET_TOO_BIG`], in bytes.
    #[inline]
    pub fn mtu(&self) -> u32 {
        u32::from_be_bytes(self.rest)
    }

    /// Which byte of the quoted packet a [`PARAMETER_PROBLEM`] is about; it may lie beyond what is quoted.
    #[inline]
    pub fn pointer(&self) -> u32 {
        u32::from_be_bytes(self.rest)
    }
}

/// Fills in a header, with a checksum of zero: the caller puts the [`checksum`] of the whole message at [`CHECKSUM_OFFSET`].
/// For `rest` of an echo message see [`icmpv4::echo`](crate::icmpv4::echo).
#[inline]
pub fn write(into: &mut [u8; HEADER_LEN], kind: u8, code: u8, rest: [u8; 4]) {
    *into = zerocopy::transmute!(Icmpv6Header { kind, code, checksum: U16::ZERO, rest });
}

/// The checksum of a message in one piece, its checksum field counted as it is: 0 if that is right [4443-1].
///
/// ```
/// use coracle_wire::icmpv6::{self, checksum};
///
/// let (source, destination) = ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap());
/// let mut ping = [0; 8];
/// icmpv6::write(&mut ping, icmpv6::ECHO_REQUEST, 0, [0, 7, 0, 1]);
/// let sum = checksum(source, destination, &ping);
/// ping[icmpv6::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());
/// assert_eq!(checksum(source, destination, &ping), 0);
/// ```
#[inline]
pub fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    pseudo(source, destination, message.len() as u32).add_bytes(message).finish()
}

/// The sum of the pseudo-header of a message of `len` bytes.
#[inline]
pub fn pseudo(source: Ipv6Addr, destination: Ipv6Addr, len: u32) -> Sum {
    pseudo_v6(source, destination, next_header::ICMPV6, len)
}

/// The start of the packet that an error message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// Its IP header.
    pub header: &'a Ipv6Header,
    /// What it carries behind extension headers, as far as they are quoted: a number of
    /// [`protocol`](crate::ipv4::protocol).
    pub protocol: u8,
    /// What the message has of that. Empty in a fragment other than the first, and if the extension headers are cut.
    pub transport: &'a [u8],
}

impl Quoted<'_> {
    /// Source and destination port, if the quoted bytes reach to those of a protocol that starts with both.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        let [a, b, c, d] = *self.transport.first_chunk()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }
}

/// The packet quoted in an error message, from the bytes behind the message's own header. It is known by its headers alone:
/// what it quotes in turn is not looked at.
///
/// # Errors
///
/// Those of [`Ipv6Header::read`]. A payload length beyond the quoted bytes is none, and neither are extension headers that
/// are cut, since messages quote the start only.
pub fn read_quoted(bytes: &[u8], limits: Limits) -> Result<Quoted<'_>, Malformed> {
    let header = Ipv6Header::read(bytes)?;
    // In a jumbogram the length is elsewhere; what is quoted is shorter anyway.
    let end = if header.payload_len() == 0 { bytes.len() } else { header.total_len().min(bytes.len()) };
    let packet = bytes.get(..end).ok_or(Malformed::Truncated)?;
    let mut walk = Walk::new(packet, header.next_header(), limits);
    let mut is_first = true;
    let reached = loop {
        match walk.step() {
            Ok(Some(Extension::Fragment(fragment))) => is_first = fragment.offset() == 0,
            Ok(Some(_)) => {}
            end => break end.is_ok(),
        }
    };
    let transport = if reached && is_first { packet.get(walk.at()..) } else { None };
    Ok(Quoted { header, protocol: walk.next_header(), transport: transport.unwrap_or_default() })
}

/// The most bytes of an offending packet that an error may quote, in bytes, so that it is no longer than the least MTU
/// [4443-3].
pub const MAX_QUOTED: usize = ipv6::MIN_MTU - ipv6::HEADER_LEN - HEADER_LEN;

#[cfg(test)]
#[path = "icmpv6_tests.rs"]
mod tests;
