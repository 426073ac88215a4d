//! Ethernet II frames, with the VLAN tag of IEEE 802.1Q.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::malformed::prefix;

/// Length of an untagged Ethernet header in bytes.
pub const HEADER_LEN: usize = size_of::<EthernetHeader>();

/// Length in bytes that one VLAN tag adds to the header.
pub const VLAN_TAG_LEN: usize = size_of::<VlanTag>();

/// A 48-bit hardware address (EUI-48), in the order in which it is sent.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff, every station on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// 00:00:00:00:00:00, which no station has: the unknown address of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// The address `a:b:c:d:e:f`.
    #[allow(clippy::many_single_char_names, reason = "the six bytes of an address have no other names")]
    pub const fn new(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) -> Self {
        Self([a, b, c, d, e, f])
    }

    /// The six bytes in one word, in any order.
    #[inline]
    #[allow(clippy::many_single_char_names, reason = "the six bytes of an address have no other names")]
    fn word(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from(u32::from_ne_bytes([a, b, c, d])) | u64::from(u16::from_ne_bytes([e, f])) << 32
    }

    /// Whether this is the broadcast address.
    #[inline]
    pub fn is_broadcast(&self) -> bool {
        *self == Self::BROADCAST
    }

    /// Whether the group bit is set: multicast, and broadcast too.
    #[inline]
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether the group bit is clear. [`MacAddr::ZERO`] counts as unicast.
    #[inline]
    pub const fn is_unicast(&self) -> bool {
        !self.is_multicast()
    }

    /// Whether the address was assigned locally and not by a manufacturer.
    #[inline]
    pub const fn is_local(&self) -> bool {
        self.0[0] & 2 != 0
    }

    /// The group address that carries an IPv4 multicast group: 01:00:5e and its low 23 bits [RFC 1112 §6.4].
    ///
    /// ```
    /// use coracle_wire::MacAddr;
    /// assert_eq!(MacAddr::multicast_v4([224, 0, 0, 251].into()).to_string(), "01:00:5e:00:00:fb");
    /// ```
    #[inline]
    pub const fn multicast_v4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address that carries an IPv6 multicast group: 33:33 and its low 32 bits [RFC 2464 §7].
    #[inline]
    pub const fn multicast_v6(group: Ipv6Addr) -> Self {
        let octets = group.octets();
        Self([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]])
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|octet| write!(f, ":{octet:02x}"))
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a hardware address: six pairs of hexadecimal digits between `:` or `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseMacAddrError;

impl fmt::Display for ParseMacAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a hardware address of the form 02:00:00:00:00:01")
    }
}

impl core::error::Error for ParseMacAddrError {}

impl FromStr for MacAddr {
    type Err = ParseMacAddrError;

    /// Reads `02:00:00:00:00:01` or `02-00-00-00-00-01`, in either case, with one kind of separator throughout.
    ///
    /// # Errors
    ///
    /// [`ParseMacAddrError`] for anything else.
    fn from_str(text: &str) -> Result<Self, ParseMacAddrError> {
        let text: &[u8; 17] = text.as_bytes().try_into().map_err(|_| ParseMacAddrError)?;
        let separator = text[2];
        if !matches!(separator, b':' | b'-') {
            return Err(ParseMacAddrError);
        }
        let mut octets = [0; 6];
        for (index, octet) in octets.iter_mut().enumerate() {
            let at = index * 3;
            if index > 0 && text[at - 1] != separator {
                return Err(ParseMacAddrError);
            }
            *octet = (hex_digit(text[at])? << 4) | hex_digit(text[at + 1])?;
        }
        Ok(Self(octets))
    }
}

fn hex_digit(digit: u8) -> Result<u8, ParseMacAddrError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(ParseMacAddrError),
    }
}

/// What a frame carries. Values up to 1,500 are not types but the length of an IEEE 802.3 frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// Address resolution protocol.
    pub const ARP: Self = Self(0x0806);
    /// An IEEE 802.1Q customer tag follows.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// An IEEE 802.1ad service tag follows.
    pub const QINQ: Self = Self(0x88a8);
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtherType({:#06x})", self.0)
    }
}

/// The 14 bytes before an Ethernet II payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct EthernetHeader {
    /// The station or group that the frame is for.
    pub destination: MacAddr,
    /// The station that sent it.
    pub source: MacAddr,
    /// What follows, in network order; [`EthernetHeader::ether_type`] in host order.
    pub ether_type: U16,
}

impl EthernetHeader {
    /// Whether another station sent the frame, to the station `own` alone.
    #[inline]
    pub fn is_between_stations(&self, own: &MacAddr) -> bool {
        let (source, own) = (self.source.word(), own.word());
        self.destination.word() == own && source != own && self.source.is_unicast()
    }

    /// The header at the start of a frame.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 14 bytes.
    #[inline]
    pub fn read(frame: &[u8]) -> Result<&Self, Malformed> {
        prefix(frame)
    }

    /// Fills in the header of a frame.
    #[inline]
    pub fn write(into: &mut [u8; HEADER_LEN], destination: MacAddr, source: MacAddr, ether_type: EtherType) {
        *into = zerocopy::transmute!(Self { destination, source, ether_type: ether_type.0.into() });
    }

    /// What the frame carries.
    #[inline]
    pub fn ether_type(&self) -> EtherType {
        EtherType(self.ether_type.get())
    }
}

/// The tag control information of a VLAN tag: priority, drop eligibility and VLAN identifier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Tci(pub u16);

impl Tci {
    /// Priority code point (3 bits), drop eligible indicator, VLAN identifier (12 bits). Surplus bits are cut off.
    ///
    /// ```
    /// use coracle_wire::ethernet::Tci;
    /// let tci = Tci::new(5, false, 100);
    /// assert_eq!((tci.pcp(), tci.dei(), tci.vid()), (5, false, 100));
    /// ```
    #[inline]
    pub const fn new(pcp: u8, dei: bool, vid: u16) -> Self {
        Self(((pcp as u16 & 7) << 13) | ((dei as u16) << 12) | (vid & 0x0fff))
    }

    /// VLAN identifier, 0 to 4,095. 0 means that the frame carries a priority only, 4,095 is reserved.
    #[inline]
    pub const fn vid(self) -> u16 {
        self.0 & 0x0fff
    }

    /// Priority code point, 0 to 7.
    #[inline]
    pub const fn pcp(self) -> u8 {
        (self.0 >> 13) as u8
    }

    /// Drop eligible indicator.
    #[inline]
    pub const fn dei(self) -> bool {
        self.0 & 0x1000 != 0
    }
}

/// What follows an [`EtherType::VLAN`] or [`EtherType::QINQ`]: the tag control information and the type of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct VlanTag {
    tci: U16,
    ether_type: U16,
}

impl VlanTag {
    /// The rest of a tag, from the bytes behind the 14 of the Ethernet header (or behind an outer tag).
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 4 bytes.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<&Self, Malformed> {
        prefix(bytes)
    }

    /// Fills in a tag behind a header whose type is [`EtherType::VLAN`] or [`EtherType::QINQ`].
    #[inline]
    pub fn write(into: &mut [u8; VLAN_TAG_LEN], tci: Tci, ether_type: EtherType) {
        *into = zerocopy::transmute!(Self { tci: tci.0.into(), ether_type: ether_type.0.into() });
    }

    /// Tag control information.
    #[inline]
    pub fn tci(&self) -> Tci {
        Tci(self.tci.get())
    }

    /// VLAN identifier, 0 to 4,095.
    #[inline]
    pub fn vid(&self) -> u16 {
        self.tci().vid()
    }

    /// Priority code point, 0 to 7.
    #[inline]
    pub fn pcp(&self) -> u8 {
        self.tci().pcp()
    }

    /// Drop eligible indicator.
    #[inline]
    pub fn dei(&self) -> bool {
        self.tci().dei()
    }

    /// What the tagged frame carries.
    #[inline]
    pub fn ether_type(&self) -> EtherType {
        EtherType(self.ether_type.get())
    }
}

#[cfg(test)]
#[path = "ethernet_tests.rs"]
mod tests;
