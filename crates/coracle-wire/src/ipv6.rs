//! Internet protocol version 6 [RFC 8200].

pub mod extension;

use core::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::malformed::prefix;

/// Length of the fixed header in bytes.
pub const HEADER_LEN: usize = size_of::<Ipv6Header>();

/// The least MTU that a link may have, in bytes, so the longest packet that passes everywhere [RFC 8200 §5].
pub const MIN_MTU: usize = 1280;

/// Where in the fixed header the payload length is, in bytes.
pub const PAYLOAD_LEN_OFFSET: usize = 4;

/// Where in the fixed header the next header is named, in bytes.
pub const NEXT_HEADER_OFFSET: usize = 6;

/// Numbers of the headers that may follow, beside those of [`protocol`](crate::ipv4::protocol).
pub mod next_header {
    /// Options for every router under way; only directly behind the fixed header.
    pub const HOP_BY_HOP: u8 = 0;
    /// Routers to pass.
    pub const ROUTING: u8 = 43;
    /// A part of a packet.
    pub const FRAGMENT: u8 = 44;
    /// Encapsulating security payload [RFC 4303].
    pub const ESP: u8 = 50;
    /// Authentication [RFC 4302].
    pub const AUTHENTICATION: u8 = 51;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows.
    pub const NONE: u8 = 59;
    /// Options for the destination.
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// Groups that every host or router belongs to [RFC 4291 §2.7.1].
pub mod group {
    use core::net::Ipv6Addr;

    /// All nodes of the link, `ff02::1`.
    pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    /// All routers of the link, `ff02::2`.
    pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    /// All routers of the link that speak version 2 of MLD, `ff02::16` [RFC 3810 §11].
    pub const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

    /// The group in which the holder of an address is solicited: `ff02::1:ff00:0/104` and the low 24 bits of the address.
    ///
    /// ```
    /// use coracle_wire::ipv6::group::solicited_node;
    /// let address = "2001:db8::1:2345:6789".parse().unwrap();
    /// assert_eq!(solicited_node(address).to_string(), "ff02::1:ff45:6789");
    /// ```
    #[inline]
    pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
        let [.., a, b, c] = address.octets();
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, (b as u16) << 8 | c as u16)
    }
}

/// The 40 bytes that every IPv6 packet begins with; extension headers may follow ([`extension::Walk`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv6Header {
    version_class_flow: U32,
    payload_len: U16,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

impl Ipv6Header {
    /// The header at the start of a packet.
    ///
    /// `packet` may be the first piece of a chain, so whether [`total_len`](Self::total_len) lies inside what arrived is the
    /// caller's check.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 40 bytes; [`Malformed::Version`] if it is not version 6.
    ///
    /// ```
    /// use coracle_wire::ipv6::{self, Ipv6Fields, Ipv6Header, next_header};
    ///
    /// let mut bytes = [0; ipv6::HEADER_LEN];
    /// let fields = Ipv6Fields {
    ///     payload_len: 8,
    ///     next_header: next_header::ICMPV6,
    ///     source: "2001:db8::1".parse().unwrap(),
    ///     destination: "2001:db8::2".parse().unwrap(),
    ///     ..Ipv6Fields::default()
    /// };
    /// ipv6::write_header(&mut bytes, &fields);
    ///
    /// let header = Ipv6Header::read(&bytes)?;
    /// assert_eq!(header.destination(), fields.destination);
    /// assert_eq!((header.total_len(), header.hop_limit()), (48, 64));
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    #[inline]
    pub fn read(packet: &[u8]) -> Result<&Self, Malformed> {
        let header: &Self = prefix(packet)?;
        if header.version_class_flow.get() >> 28 == 6 { Ok(header) } else { Err(Malformed::Version) }
    }

    /// Traffic class: DSCP in the upper six bits [RFC 2474], ECN in the lower two [RFC 3168].
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (self.version_class_flow.get() >> 20) as u8
    }

    /// What the packets of one flow have in common, 20 bits [RFC 6437]; 0 if the sender marks no flows.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        self.version_class_flow.get() & FLOW_LABEL
    }

    /// Length in bytes of what follows the fixed header, extension headers counted in. 0 in a jumbogram.
    #[inline]
    pub fn payload_len(&self) -> usize {
        usize::from(self.payload_len.get())
    }

    /// Length of the packet in bytes, fixed header included.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + self.payload_len()
    }

    /// What follows: a number of [`next_header`] or of [`protocol`](crate::ipv4::protocol).
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.next_header
    }

    /// How many more routers may forward the packet.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Address of the sender.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        self.source.into()
    }

    /// Address of the receiver, or of the next router to pass.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        self.destination.into()
    }

    /// The bytes of the sender's address.
    #[inline]
    pub fn source_octets(&self) -> &[u8; 16] {
        &self.source
    }

    /// The bytes of the receiver's address.
    #[inline]
    pub fn destination_octets(&self) -> &[u8; 16] {
        &self.destination
    }
}

const FLOW_LABEL: u32 = 0x000f_ffff;

/// What a fixed header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Fields {
    /// Traffic class: DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
    /// What the packets of one flow have in common: 20 bits, a rest is cut off.
    pub flow_label: u32,
    /// Length in bytes of what follows the fixed header.
    pub payload_len: u16,
    /// What follows: a number of [`next_header`] or of [`protocol`](crate::ipv4::protocol).
    pub next_header: u8,
    /// How many routers may forward the packet.
    pub hop_limit: u8,
    /// Address of the sender.
    pub source: Ipv6Addr,
    /// Address of the receiver.
    pub destination: Ipv6Addr,
}

impl Default for Ipv6Fields {
    /// All zero but for the hop limit, which is 64.
    fn default() -> Self {
        Self {
            traffic_class: 0,
            flow_label: 0,
            payload_len: 0,
            next_header: 0,
            hop_limit: 64,
            source: Ipv6Addr::UNSPECIFIED,
            destination: Ipv6Addr::UNSPECIFIED,
        }
    }
}

impl Ipv6Fields {
    /// The header with these fields.
    #[inline]
    pub fn header(&self) -> Ipv6Header {
        let word = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & FLOW_LABEL;
        Ipv6Header {
            version_class_flow: word.into(),
            payload_len: self.payload_len.into(),
            next_header: self.next_header,
            hop_limit: self.hop_limit,
            source: self.source.octets(),
            destination: self.destination.octets(),
        }
    }
}

/// Fills in a fixed header.
#[inline]
pub fn write_header(into: &mut [u8; HEADER_LEN], fields: &Ipv6Fields) {
    *into = zerocopy::transmute!(fields.header());
}

#[cfg(test)]
mod tests;
