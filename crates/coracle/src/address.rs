//! Network addresses as the engine keeps them: both families in one type, so that tables and flows are written once.
//!
//! An IPv4 address is kept as its IPv4-mapped form `::ffff:a.b.c.d`; packets that carry such an address on an IPv6
//! wire are refused [RFC 4291 §2.5.5.2], so the two never meet. The pseudo-header sum over mapped addresses is that over
//! the IPv4 addresses: the two extra `ffff` are a zero in one's complement.
//!
//! A link-local IPv6 address means nothing without its zone [RFC 4007]. It carries the zone, the interface's index,
//! in its third and fourth byte, which are zero on the wire, for as long as it is in the engine. So equal addresses
//! are equal hosts, and no table needs a zone beside them.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(feature = "ipv6")]
use core::net::{Ipv6Addr, SocketAddrV6};

use coracle_buf::Error;

use crate::random::HashKey;

/// Bytes of an address: those of the larger family that the stack speaks.
#[cfg(feature = "ipv6")]
const LEN: usize = 16;
#[cfg(not(feature = "ipv6"))]
const LEN: usize = 4;

/// An address as a number, whose upper bits are the prefix.
#[cfg(feature = "ipv6")]
pub(crate) type Bits = u128;
#[cfg(not(feature = "ipv6"))]
pub(crate) type Bits = u32;

/// The address of a host or a group, of either family, with its zone if it needs one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(align(2))]
pub(crate) struct Address([u8; LEN]);

/// The upper twelve bytes of an address, and what they are in one of IPv4.
#[cfg(feature = "ipv6")]
const MAPPED_MASK: u128 = (u128::MAX << 32).to_be();
#[cfg(feature = "ipv6")]
const MAPPED: u128 = (0xffff_u128 << 32).to_be();

/// Which packets something is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    #[cfg(feature = "ipv6")]
    V6,
}

#[cfg_attr(not(feature = "ipv6"), allow(clippy::unused_self, reason = "there is but one family"))]
impl Address {
    /// No address of either family; to listen at: every address of both.
    pub(crate) const ANY: Self = Self([0; LEN]);
    /// The greatest.
    pub(crate) const LAST: Self = Self([0xff; LEN]);
    /// `::`, to listen at every address of IPv6 alone. On a wire it would be `0:ffff::`, which is nobody's.
    #[cfg(feature = "ipv6")]
    pub(crate) const ANY_V6: Self = Self([0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    /// `::1`.
    #[cfg(feature = "ipv6")]
    pub(crate) const LOCALHOST: Self = Self(Ipv6Addr::LOCALHOST.octets());
    /// 0.0.0.0.
    pub(crate) const ANY_V4: Self = Self::v4(Ipv4Addr::UNSPECIFIED);
    /// 255.255.255.255.
    pub(crate) const BROADCAST: Self = Self::v4(Ipv4Addr::BROADCAST);

    #[inline]
    pub(crate) const fn v4(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        #[cfg(feature = "ipv6")]
        return Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]);
        #[cfg(not(feature = "ipv6"))]
        return Self([a, b, c, d]);
    }

    /// An IPv6 address as it is on the wire, seen on the interface with this slot.
    #[cfg(feature = "ipv6")]
    #[inline]
    pub(crate) const fn v6(address: [u8; 16], netif: usize) -> Self {
        let mut bytes = address;
        if Self(address).is_link_local() {
            let zone = (netif as u16 + 1).to_be_bytes();
            (bytes[2], bytes[3]) = (zone[0], zone[1]);
        }
        Self(bytes)
    }

    /// The bytes of the address on an IPv6 wire.
    #[cfg(feature = "ipv6")]
    #[inline]
    pub(crate) const fn wire_v6(self) -> [u8; 16] {
        let mut bytes = self.0;
        if self.is_link_local() {
            (bytes[2], bytes[3]) = (0, 0);
        }
        bytes
    }

    /// The last four bytes: the address, when it is one of IPv4.
    #[inline]
    pub(crate) const fn low(self) -> Ipv4Addr {
        let [.., a, b, c, d] = self.0;
        Ipv4Addr::new(a, b, c, d)
    }

    #[inline]
    pub(crate) const fn family(self) -> Family {
        #[cfg(feature = "ipv6")]
        if !self.is_v4() {
            return Family::V6;
        }
        Family::V4
    }

    #[inline]
    pub(crate) const fn is_v4(self) -> bool {
        // As numbers: byte by byte it would be the dearest question of the stack.
        #[cfg(feature = "ipv6")]
        return u128::from_ne_bytes(self.0) & MAPPED_MASK == MAPPED;
        #[cfg(not(feature = "ipv6"))]
        return true;
    }

    /// The address, when it is one of IPv4.
    #[inline]
    pub(crate) const fn as_v4(self) -> Option<Ipv4Addr> {
        if self.is_v4() { Some(self.low()) } else { None }
    }

    /// Every address of a family.
    #[inline]
    pub(crate) const fn any_of(family: Family) -> Self {
        match family {
            Family::V4 => Self::ANY_V4,
            #[cfg(feature = "ipv6")]
            Family::V6 => Self::ANY_V6,
        }
    }

    /// `::` or 0.0.0.0.
    #[inline]
    pub(crate) fn is_unspecified(self) -> bool {
        #[cfg(feature = "ipv6")]
        if self == Self::ANY_V6 {
            return true;
        }
        self == Self::ANY_V4 || self == Self::ANY
    }

    /// Whether who is bound here takes packets to a host's or group's address.
    #[inline]
    pub(crate) fn takes(self, destination: Self) -> bool {
        self == destination || self == Self::ANY || self == Self::any_of(destination.family())
    }

    /// Whether who is bound here can send to an address: they are of one family, or any will do.
    pub(crate) fn speaks_to(self, destination: Self) -> bool {
        self == Self::ANY || self.family() == destination.family()
    }

    /// Whether a packet could be for two who are bound at these addresses.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.takes(other) || other.takes(self)
    }

    #[inline]
    pub(crate) const fn is_multicast(self) -> bool {
        match self.family() {
            Family::V4 => self.low().is_multicast(),
            #[cfg(feature = "ipv6")]
            Family::V6 => self.0[0] == 0xff,
        }
    }

    #[inline]
    pub(crate) fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    #[inline]
    pub(crate) fn is_loopback(self) -> bool {
        match self.family() {
            Family::V4 => self.low().is_loopback(),
            #[cfg(feature = "ipv6")]
            Family::V6 => self.0 == Ipv6Addr::LOCALHOST.octets(),
        }
    }

    /// Whether it may be one host's, so that an answer may be sent to it.
    #[inline]
    pub(crate) fn is_one_host(self) -> bool {
        match self.family() {
            Family::V4 => {
                let first = self.low().octets()[0];
                first != 0 && first < 224
            }
            #[cfg(feature = "ipv6")]
            Family::V6 => self.0[0] != 0xff && !self.is_unspecified(),
        }
    }

    /// Whether it is unique within one link only, and so carries a zone: `fe80::/10`, and groups of interface-local and
    /// link-local scope.
    #[cfg(feature = "ipv6")]
    #[inline]
    pub(crate) const fn is_link_local(self) -> bool {
        let [first, second, ..] = self.0;
        match first {
            0xfe => second & 0xc0 == 0x80,
            0xff => matches!(second & 0x0f, 1 | 2),
            _ => false,
        }
    }

    /// The group in which the holder of an address is solicited on an interface [RFC 4291 §2.7.1].
    #[cfg(feature = "ipv6")]
    pub(crate) fn solicited_node(self, netif: usize) -> Self {
        Self::v6(coracle_wire::ipv6::group::solicited_node(self.to_v6()).octets(), netif)
    }

    /// The slot of the interface whose zone it carries.
    #[cfg(feature = "ipv6")]
    #[inline]
    pub(crate) fn zone(self) -> Option<usize> {
        if !self.is_link_local() {
            return None;
        }
        usize::from(u16::from_be_bytes([self.0[2], self.0[3]])).checked_sub(1)
    }

    /// The bytes, zone and all.
    #[inline]
    pub(crate) const fn bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// The bits that all addresses of its family have in common.
    #[inline]
    pub(crate) const fn family_prefix(self) -> u8 {
        if self.is_v4() { (Bits::BITS - 32) as u8 } else { 0 }
    }

    /// The same prefix, followed by zeros.
    pub(crate) const fn masked(self, prefix_len: u8) -> Self {
        let behind = if (prefix_len as u32) < Bits::BITS { Bits::MAX >> prefix_len } else { 0 };
        let mask = !behind;
        Self((Bits::from_be_bytes(self.0) & mask).to_be_bytes())
    }

    /// How many leading bits two addresses have in common.
    #[cfg(feature = "ipv6")]
    pub(crate) const fn common_prefix(self, other: Self) -> u32 {
        (Bits::from_be_bytes(self.0) ^ Bits::from_be_bytes(other.0)).leading_zeros()
    }

    /// The address as one word for a keyed function: itself, if it is one of IPv4.
    #[inline]
    pub(crate) fn word(self, key: &HashKey) -> u64 {
        #[cfg(feature = "ipv6")]
        if !self.is_v4() {
            let (high, low) = self.halves();
            return key.fold(high, low);
        }
        let _ = key;
        u64::from(self.low().to_bits())
    }

    /// The two halves of an IPv6 address.
    #[cfg(feature = "ipv6")]
    #[inline]
    pub(crate) const fn halves(self) -> (u64, u64) {
        let bits = u128::from_ne_bytes(self.0);
        ((bits >> 64) as u64, bits as u64)
    }

    /// The IPv6 address without its zone.
    #[cfg(feature = "ipv6")]
    pub(crate) const fn to_v6(self) -> Ipv6Addr {
        if matches!(self, Self::ANY_V6) {
            Ipv6Addr::UNSPECIFIED
        } else {
            Ipv6Addr::from_octets(self.wire_v6())
        }
    }

    /// The address without its zone.
    pub(crate) const fn to_ip(self) -> IpAddr {
        #[cfg(feature = "ipv6")]
        if !self.is_v4() {
            return IpAddr::V6(self.to_v6());
        }
        IpAddr::V4(self.low())
    }

    /// An address of which the application says nothing about the zone: `netif` is it, where one is needed.
    ///
    /// [`Error::Value`] for an address of a family that the stack does not speak, for an IPv4-mapped one, and for a
    /// link-local one without an interface.
    pub(crate) fn from_ip(address: IpAddr, netif: Option<usize>) -> Result<Self, Error> {
        match address {
            IpAddr::V4(address) => Ok(Self::v4(address)),
            #[cfg(feature = "ipv6")]
            IpAddr::V6(address) => {
                let plain = Self(address.octets());
                let zone_ok = netif.is_some_and(|netif| netif < 255) || !plain.is_link_local();
                if plain.is_v4() || !zone_ok {
                    return Err(Error::Value);
                }
                Ok(Self::v6(address.octets(), netif.unwrap_or(0)))
            }
            #[cfg(not(feature = "ipv6"))]
            IpAddr::V6(_) => {
                let _ = netif;
                Err(Error::Value)
            }
        }
    }
}

impl From<Ipv4Addr> for Address {
    #[inline]
    fn from(address: Ipv4Addr) -> Self {
        Self::v4(address)
    }
}

/// An address and a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) port: u16,
}

impl Endpoint {
    /// Nowhere, or anywhere.
    pub(crate) const NONE: Self = Self::new(Address::ANY, 0);

    #[inline]
    pub(crate) const fn new(address: Address, port: u16) -> Self {
        Self { address, port }
    }

    /// The same, of IPv6 alone where it is every address.
    #[cfg(feature = "ipv6")]
    pub(crate) fn v6_only(self) -> Self {
        if self.address == Address::ANY { Self::new(Address::ANY_V6, self.port) } else { self }
    }

    /// The endpoint as applications see it: the scope of an IPv6 address is the interface's index.
    #[inline]
    pub(crate) fn to_socket(self) -> SocketAddr {
        #[cfg(feature = "ipv6")]
        if !self.address.is_v4() {
            let scope = self.address.zone().map_or(0, |netif| netif as u32 + 1);
            let address = self.address.to_v6();
            return SocketAddr::V6(SocketAddrV6::new(address, self.port, 0, scope));
        }
        SocketAddr::new(IpAddr::V4(self.address.low()), self.port)
    }

    /// The endpoint that an application names; `netif` stands in for a scope that it left out.
    ///
    /// See [`Address::from_ip`] for the errors.
    #[inline]
    pub(crate) fn from_socket(socket: SocketAddr, netif: Option<usize>) -> Result<Self, Error> {
        let netif = match socket {
            SocketAddr::V6(socket) => (socket.scope_id() as usize).checked_sub(1).or(netif),
            SocketAddr::V4(_) => None,
        };
        Ok(Self::new(Address::from_ip(socket.ip(), netif)?, socket.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_come_back_as_they_were() {
        for text in ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::", "::1", "ff05::2"] {
            let Ok(address) = Address::from_ip(ip(text), None) else {
                assert!(!cfg!(feature = "ipv6") && ip(text).is_ipv6(), "{text}");
                continue;
            };
            assert_eq!(address.to_ip(), ip(text));
            assert_eq!(address.is_v4(), ip(text).is_ipv4());
            assert_eq!(address.is_unspecified(), ip(text).is_unspecified());
            assert_eq!(address.is_multicast(), ip(text).is_multicast());
            assert_eq!(address.is_loopback(), ip(text).is_loopback());
        }
    }

    #[cfg(feature = "ipv6")]
    #[test]
    fn link_local_addresses_need_a_zone_and_carry_it() {
        for text in ["fe80::1", "febf::1", "ff02::1", "ff01::1", "ff12::5"] {
            assert_eq!(Address::from_ip(ip(text), None), Err(Error::Value), "{text}");
            let first = Address::from_ip(ip(text), Some(0)).unwrap();
            let second = Address::from_ip(ip(text), Some(1)).unwrap();
            assert_ne!(first, second);
            assert_eq!((first.zone(), second.zone()), (Some(0), Some(1)));
            assert_eq!((first.to_ip(), second.to_ip()), (ip(text), ip(text)));
            let socket = Endpoint::new(second, 9).to_socket();
            assert!(matches!(socket, SocketAddr::V6(socket) if socket.scope_id() == 2), "{socket}");
            assert_eq!(Endpoint::from_socket(socket, None), Ok(Endpoint::new(second, 9)));
        }
    }

    #[cfg(feature = "ipv6")]
    #[test]
    fn mapped_addresses_are_refused() {
        assert_eq!(Address::from_ip(ip("::ffff:192.0.2.1"), None), Err(Error::Value));
    }
}
