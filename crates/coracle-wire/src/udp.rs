//! User datagram protocol [RFC 768] and UDP-Lite [RFC 3828].

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::malformed::prefix;

/// Length of the header in bytes.
pub const HEADER_LEN: usize = size_of::<UdpHeader>();

/// Where in the header the checksum is, in bytes.
pub const CHECKSUM_OFFSET: usize = 6;

/// The 8 bytes before the payload of a UDP or UDP-Lite datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct UdpHeader {
    source_port: U16,
    destination_port: U16,
    length: U16,
    checksum: U16,
}

impl UdpHeader {
    /// The header at the start of an IP payload. Its length field is judged by [`udp_length`] or [`udp_lite_coverage`].
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 8 bytes.
    #[inline]
    pub fn read(payload: &[u8]) -> Result<&Self, Malformed> {
        prefix(payload)
    }

    /// Fills in a header. `length` is that of header and payload in UDP, and the checksum coverage in UDP-Lite.
    /// `checksum` is written as it is: [`Sum::finish_nonzero`](crate::checksum::Sum::finish_nonzero) makes it.
    #[inline]
    pub fn write(
        into: &mut [u8; HEADER_LEN],
        source_port: u16,
        destination_port: u16,
        length: u16,
        checksum: u16,
    ) {
        *into = zerocopy::transmute!(Self::new(source_port, destination_port, length, checksum));
    }

    /// A header; the arguments are those of [`write`](Self::write).
    #[inline]
    pub fn new(source_port: u16, destination_port: u16, length: u16, checksum: u16) -> Self {
        Self {
            source_port: source_port.into(),
            destination_port: destination_port.into(),
            length: length.into(),
            checksum: checksum.into(),
        }
    }

    /// Writes the header, field by field.
    #[inline]
    pub fn put(self, into: &mut [u8; HEADER_LEN]) {
        *into = zerocopy::transmute!(self);
    }

    /// Port of the sender, 0 if it wants no answer.
    #[inline]
    pub fn source_port(&self) -> u16 {
        self.source_port.get()
    }

    /// Port of the receiver.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        self.destination_port.get()
    }

    /// Length of header and payload in UDP, checksum coverage in UDP-Lite, as the sender wrote it.
    #[inline]
    pub fn length(&self) -> u16 {
        self.length.get()
    }

    /// Checksum; in UDP over IPv4, 0 means that the sender made none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.checksum.get()
    }
}

/// Length in bytes of a UDP datagram with its header, once it is known to lie inside the IP payload. What the IP payload has
/// beyond it is to be trimmed [1122-UDP-6].
///
/// # Errors
///
/// [`Malformed::Length`] if the length field is below 8 or beyond the IP payload.
#[inline]
pub fn udp_length(header: &UdpHeader, ip_payload_len: usize) -> Result<usize, Malformed> {
    within(usize::from(header.length()), ip_payload_len)
}

/// How many bytes of a UDP-Lite datagram, from its header on, the checksum covers. A coverage of 0 means all of them
/// [RFC 3828 §3.1].
///
/// # Errors
///
/// [`Malformed::Length`] if the coverage is 1 to 7 or beyond the IP payload, or the IP payload is below 8 bytes.
#[inline]
pub fn udp_lite_coverage(header: &UdpHeader, ip_payload_len: usize) -> Result<usize, Malformed> {
    let coverage = match header.length() {
        0 => ip_payload_len,
        coverage => usize::from(coverage),
    };
    within(coverage, ip_payload_len)
}

#[inline]
fn within(length: usize, ip_payload_len: usize) -> Result<usize, Malformed> {
    if length < HEADER_LEN || length > ip_payload_len { Err(Malformed::Length) } else { Ok(length) }
}

#[cfg(test)]
#[path = "udp_tests.rs"]
mod tests;
