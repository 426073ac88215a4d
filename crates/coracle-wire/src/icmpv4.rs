//! Internet control message protocol for IPv4 [RFC 792].

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::ipv4::Ipv4Header;
use crate::malformed::prefix;

/// Length of the header in bytes, the least that any message has.
pub const HEADER_LEN: usize = size_of::<IcmpHeader>();

/// Where in the header the checksum is, in bytes.
pub const CHECKSUM_OFFSET: usize = 2;

/// Answer to an [`ECHO_REQUEST`].
pub const ECHO_REPLY: u8 = 0;
/// A datagram could not be delivered; its codes are in [`mod@unreachable`].
pub const DESTINATION_UNREACHABLE: u8 = 3;
/// Obsolete congestion signal: neither sent nor acted upon [RFC 6633].
pub const SOURCE_QUENCH: u8 = 4;
/// A better first hop is known; its codes are in [`redirect`].
pub const REDIRECT: u8 = 5;
/// Ping.
pub const ECHO_REQUEST: u8 = 8;
/// Router advertisement [RFC 1256].
pub const ROUTER_ADVERTISEMENT: u8 = 9;
/// Router solicitation [RFC 1256].
pub const ROUTER_SOLICITATION: u8 = 10;
/// A datagram was too long under way; its codes are in [`time_exceeded`].
pub const TIME_EXCEEDED: u8 = 11;
/// A header field cannot be accepted: [`IcmpHeader::pointer`] says which.
pub const PARAMETER_PROBLEM: u8 = 12;
/// Request for the time.
pub const TIMESTAMP_REQUEST: u8 = 13;
/// Answer to a [`TIMESTAMP_REQUEST`].
pub const TIMESTAMP_REPLY: u8 = 14;
/// Request for the subnet mask [RFC 950]: deprecated [RFC 6918].
pub const ADDRESS_MASK_REQUEST: u8 = 17;
/// Answer to an [`ADDRESS_MASK_REQUEST`].
pub const ADDRESS_MASK_REPLY: u8 = 18;

/// Codes of [`DESTINATION_UNREACHABLE`].
pub mod unreachable {
    /// No route to the network.
    pub const NET: u8 = 0;
    /// The host does not answer on its link.
    pub const HOST: u8 = 1;
    /// The host does not speak the transport protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nobody listens on the port.
    pub const PORT: u8 = 3;
    /// Larger than the next link's MTU, and may not be fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// The next hop of a source route cannot be reached.
    pub const SOURCE_ROUTE_FAILED: u8 = 5;
    /// The network is unknown [RFC 1122 §3.2.2.1].
    pub const NET_UNKNOWN: u8 = 6;
    /// The host is unknown.
    pub const HOST_UNKNOWN: u8 = 7;
    /// The network must not be reached from here.
    pub const NET_PROHIBITED: u8 = 9;
    /// The host must not be reached from here.
    pub const HOST_PROHIBITED: u8 = 10;
    /// The network cannot be reached with this type of service.
    pub const NET_SERVICE: u8 = 11;
    /// The host cannot be reached with this type of service.
    pub const HOST_SERVICE: u8 = 12;
    /// A filter forbids it [RFC 1812 §5.2.7.1].
    pub const PROHIBITED: u8 = 13;
}

/// Codes of [`REDIRECT`].
pub mod redirect {
    /// For the whole network.
    pub const NET: u8 = 0;
    /// For the host.
    pub const HOST: u8 = 1;
    /// For the network and type of service.
    pub const NET_SERVICE: u8 = 2;
    /// For the host and type of service.
    pub const HOST_SERVICE: u8 = 3;
}

/// Codes of [`TIME_EXCEEDED`].
pub mod time_exceeded {
    /// The time to live ran out.
    pub const TTL: u8 = 0;
    /// A fragment did not come in time.
    pub const REASSEMBLY: u8 = 1;
}

/// Whether messages of this kind report an error, so that none may be sent about them [1122-ICMP-3].
#[inline]
pub const fn is_error(kind: u8) -> bool {
    matches!(kind, DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
}

/// The 8 bytes that every message begins with. What the last four mean depends on the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct IcmpHeader {
    /// Kind of message (the RFC's type field), such as [`ECHO_REQUEST`].
    pub kind: u8,
    /// Refines the kind.
    pub code: u8,
    checksum: U16,
    /// Bytes 4 to 7, whose meaning depends on the kind.
    pub rest: [u8; 4],
}

impl IcmpHeader {
    /// The header at the start of an IP payload. The checksum covers the whole payload and is the caller's check.
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

    /// Identifier of an echo or timestamp message.
    #[inline]
    pub fn identifier(&self) -> u16 {
        u16::from_be_bytes([self.rest[0], self.rest[1]])
    }

    /// Sequence number of an echo or timestamp message.
    #[inline]
    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.rest[2], self.rest[3]])
    }

    /// MTU of the next hop in [`unreachable::FRAGMENTATION_NEEDED`]; 0 from a router older than RFC 1191.
    #[inline]
    pub fn mtu(&self) -> u16 {
        self.sequence()
    }

    /// Which byte of the quoted datagram a [`PARAMETER_PROBLEM`] is about.
    #[inline]
    pub fn pointer(&self) -> u8 {
        self.rest[0]
    }
}

/// The last four bytes of the header of an echo or timestamp message.
///
/// ```
/// use coracle_wire::{checksum::checksum, icmpv4::{self, IcmpHeader}};
///
/// let mut ping = [0; 12];
/// ping[8..].copy_from_slice(b"ping");
/// icmpv4::write(ping.first_chunk_mut().unwrap(), icmpv4::ECHO_REQUEST, 0, icmpv4::echo(7, 1));
/// let sum = checksum(&ping);
/// ping[icmpv4::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());
///
/// let header = IcmpHeader::read(&ping)?;
/// assert_eq!((header.kind, header.identifier(), header.sequence()), (icmpv4::ECHO_REQUEST, 7, 1));
/// assert_eq!(checksum(&ping), 0);
/// # Ok::<(), coracle_wire::Malformed>(())
/// ```
#[inline]
pub const fn echo(identifier: u16, sequence: u16) -> [u8; 4] {
    let [a, b] = identifier.to_be_bytes();
    let [c, d] = sequence.to_be_bytes();
    [a, b, c, d]
}

/// Fills in a header, with a checksum of zero: the caller puts the sum over the whole message at [`CHECKSUM_OFFSET`].
#[inline]
pub fn write(into: &mut [u8; HEADER_LEN], kind: u8, code: u8, rest: [u8; 4]) {
    *into = zerocopy::transmute!(IcmpHeader { kind, code, checksum: U16::ZERO, rest });
}

/// The start of the datagram that an error message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// Its IP header.
    pub header: &'a Ipv4Header,
    /// What the message has of its payload. Eight bytes hold the ports, but a peer may send fewer, or a mere fragment.
    pub transport: &'a [u8],
}

impl Quoted<'_> {
    /// Source and destination port, if the quoted bytes begin a datagram of a protocol that starts with both.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        if self.header.fragment_offset() != 0 {
            return None;
        }
        let [a, b, c, d] = *self.transport.first_chunk()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }
}

/// The datagram quoted in an error message, from the bytes behind the message's own header. It is known by its header alone:
/// what it quotes in turn is not looked at.
///
/// # Errors
///
/// Those of [`Ipv4Header::read`]. A total length beyond the quoted bytes is none, since messages quote the start only.
#[inline]
pub fn read_quoted(bytes: &[u8]) -> Result<Quoted<'_>, Malformed> {
    let header = Ipv4Header::read(bytes)?;
    let end = header.total_len().min(bytes.len());
    let transport = bytes.get(header.header_len()..end).ok_or(Malformed::Truncated)?;
    Ok(Quoted { header, transport })
}

#[cfg(test)]
#[path = "icmpv4_tests.rs"]
mod tests;
