//! Neighbour discovery for IPv6 [RFC 4861], with its options of RFC 3971, 4191, 7527 and 8106.
//!
//! Each message is read with the addresses of the packet that carries it, since what is valid depends on them. What is left to
//! the caller is the hop limit, which must be 255, the checksum, and that the packet is no fragment [4861-1] [6980-1].

mod options;
mod write;

use core::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::icmpv6::{self, Icmpv6Header};
use crate::malformed::prefix;

pub use options::{Dnssl, Names, NdOption, Options, PrefixInformation, Rdnss, RouteInformation, station};
pub use write::{AdvertisementFields, PrefixFields, Writer};

/// Hop limit of every message, sent and received, in hops: what has passed a router is not from this link.
pub const HOP_LIMIT: u8 = 255;

/// A lifetime that never ends, in seconds.
pub const INFINITE: u32 = u32::MAX;

/// How much a router wants to be the default one, or to be used for a route [RFC 4191 §2.1].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preference {
    /// Rather not.
    Low,
    /// As any other.
    #[default]
    Medium,
    /// Rather than others.
    High,
}

impl Preference {
    /// What the two bits at places 3 and 4 of a byte say; `None` for the reserved value.
    const fn of(flags: u8) -> Option<Self> {
        match flags >> 3 & 3 {
            0 => Some(Self::Medium),
            1 => Some(Self::High),
            3 => Some(Self::Low),
            _ => None,
        }
    }

    const fn flags(self) -> u8 {
        match self {
            Self::Low => 3 << 3,
            Self::Medium => 0,
            Self::High => 1 << 3,
        }
    }
}

/// A host asks for routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RouterSolicitation {
    header: Icmpv6Header,
}

/// A router says that it is there, and what hosts have to know about the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RouterAdvertisement {
    kind: u8,
    code: u8,
    checksum: U16,
    hop_limit: u8,
    flags: u8,
    lifetime: U16,
    reachable_time: U32,
    retrans_timer: U32,
}

/// Who has the target address?
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct NeighbourSolicitation {
    header: Icmpv6Header,
    target: [u8; 16],
}

/// The sender has the target address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct NeighbourAdvertisement {
    header: Icmpv6Header,
    target: [u8; 16],
}

/// A better first hop towards the destination is the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Redirect {
    header: Icmpv6Header,
    target: [u8; 16],
    destination: [u8; 16],
}

impl RouterSolicitation {
    /// The message in an ICMP payload, and its options [4861-4].
    ///
    /// # Errors
    ///
    /// [`Malformed::Type`] if it is another message, [`Malformed::Truncated`] below 8 bytes, [`Malformed::Option`] if its
    /// options do not fill it, or if it has a source link-layer address but no source.
    pub fn read(message: &[u8], source: Ipv6Addr) -> Result<(&Self, Options<'_>), Malformed> {
        let (read, options) = open::<Self>(message, icmpv6::ROUTER_SOLICITATION)?;
        if source.is_unspecified() && has_source_station(&options) {
            return Err(Malformed::Option);
        }
        Ok((read, options))
    }
}

const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

impl RouterAdvertisement {
    /// The message in an ICMP payload, and its options [4861-4].
    ///
    /// # Errors
    ///
    /// [`Malformed::Type`] if it is another message, [`Malformed::Truncated`] below 16 bytes, [`Malformed::Option`] if its
    /// options do not fill it, [`Malformed::Address`] unless the source is a link-local address.
    pub fn read(message: &[u8], source: Ipv6Addr) -> Result<(&Self, Options<'_>), Malformed> {
        let read = open::<Self>(message, icmpv6::ROUTER_ADVERTISEMENT)?;
        if source.is_unicast_link_local() { Ok(read) } else { Err(Malformed::Address) }
    }

    /// The hop limit that hosts shall send with; 0 if the router has no opinion.
    pub fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Whether addresses are to be had by DHCP.
    pub fn managed(&self) -> bool {
        self.flags & MANAGED != 0
    }

    /// Whether anything else is to be had by DHCP.
    pub fn other(&self) -> bool {
        self.flags & OTHER != 0
    }

    /// How much it wants to be the default router; the reserved value counts as [`Preference::Medium`] [RFC 4191 §2.2].
    pub fn preference(&self) -> Preference {
        Preference::of(self.flags).unwrap_or_default()
    }

    /// For how many seconds it is a default router; 0 if it is none.
    pub fn lifetime(&self) -> u16 {
        self.lifetime.get()
    }

    /// For how many milliseconds a neighbour counts as reachable after it was known to be; 0 if the router has no opinion.
    pub fn reachable_time(&self) -> u32 {
        self.reachable_time.get()
    }

    /// After how many milliseconds a solicitation is repeated; 0 if the router has no opinion.
    pub fn retrans_timer(&self) -> u32 {
        self.retrans_timer.get()
    }
}

impl NeighbourSolicitation {
    /// The message in an ICMP payload, and its options [4861-2].
    ///
    /// # Errors
    ///
    /// [`Malformed::Type`] if it is another message, [`Malformed::Truncated`] below 24 bytes, [`Malformed::Option`] if its
    /// options do not fill it, or if it has a source link-layer address but no source, [`Malformed::Address`] if the target is
    /// a group, or if it has no source and goes elsewhere than to the group of a solicited node.
    ///
    /// ```
    /// use coracle_wire::MacAddr;
    /// use coracle_wire::ipv6::group::solicited_node;
    /// use coracle_wire::ndp::{NeighbourSolicitation, Writer};
    ///
    /// let (source, target) = ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap());
    /// let destination = solicited_node(target);
    /// let mut bytes = [0; 32];
    /// let mut writer = Writer::neighbour_solicitation(&mut bytes, target);
    /// writer.source_station(MacAddr::new(2, 0, 0, 0, 0, 1));
    /// assert_eq!(writer.finish(source, destination)?, 32);
    ///
    /// let (message, mut options) = NeighbourSolicitation::read(&bytes, source, destination)?;
    /// assert_eq!((message.target(), options.next().is_some()), (target, true));
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    pub fn read(
        message: &[u8],
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Result<(&Self, Options<'_>), Malformed> {
        let (read, options) = open::<Self>(message, icmpv6::NEIGHBOUR_SOLICITATION)?;
        if read.target().is_multicast() {
            return Err(Malformed::Address);
        }
        if source.is_unspecified() {
            if !is_solicited_node(destination) {
                return Err(Malformed::Address);
            }
            if has_source_station(&options) {
                return Err(Malformed::Option);
            }
        }
        Ok((read, options))
    }

    /// The address that is asked for.
    #[inline]
    pub fn target(&self) -> Ipv6Addr {
        self.target.into()
    }
}

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

impl NeighbourAdvertisement {
    /// The message in an ICMP payload, and its options [4861-3].
    ///
    /// # Errors
    ///
    /// [`Malformed::Type`] if it is another message, [`Malformed::Truncated`] below 24 bytes, [`Malformed::Option`] if its
    /// options do not fill it, [`Malformed::Address`] if the target is a group, or if it says that it was solicited and goes to
    /// a group.
    pub fn read(message: &[u8], destination: Ipv6Addr) -> Result<(&Self, Options<'_>), Malformed> {
        let (read, options) = open::<Self>(message, icmpv6::NEIGHBOUR_ADVERTISEMENT)?;
        if read.target().is_multicast() || destination.is_multicast() && read.solicited() {
            return Err(Malformed::Address);
        }
        Ok((read, options))
    }

    /// The address that the sender has.
    #[inline]
    pub fn target(&self) -> Ipv6Addr {
        self.target.into()
    }

    /// Whether the sender is a router.
    #[inline]
    pub fn router(&self) -> bool {
        self.header.rest[0] & ROUTER != 0
    }

    /// Whether it answers a solicitation of the receiver.
    #[inline]
    pub fn solicited(&self) -> bool {
        self.header.rest[0] & SOLICITED != 0
    }

    /// Whether it replaces a link-layer address that the receiver knows.
    #[inline]
    pub fn overrides(&self) -> bool {
        self.header.rest[0] & OVERRIDE != 0
    }
}

impl Redirect {
    /// The message in an ICMP payload, and its options [RFC 4861 §8.1]. That the source is the present first hop is left to
    /// the caller [4861-13].
    ///
    /// # Errors
    ///
    /// [`Malformed::Type`] if it is another message, [`Malformed::Truncated`] below 40 bytes, [`Malformed::Option`] if its
    /// options do not fill it, [`Malformed::Address`] unless the source is a link-local address, the destination is not a
    /// group, and the target is the destination or a link-local address.
    pub fn read(message: &[u8], source: Ipv6Addr) -> Result<(&Self, Options<'_>), Malformed> {
        let (read, options) = open::<Self>(message, icmpv6::REDIRECT)?;
        let target_right = read.target().is_unicast_link_local() || read.target == read.destination;
        if source.is_unicast_link_local() && !read.destination().is_multicast() && target_right {
            Ok((read, options))
        } else {
            Err(Malformed::Address)
        }
    }

    /// The better first hop; the destination itself if that is on the link.
    pub fn target(&self) -> Ipv6Addr {
        self.target.into()
    }

    /// The destination that is redirected.
    pub fn destination(&self) -> Ipv6Addr {
        self.destination.into()
    }
}

/// A message of this kind with code 0, and its options, all of which are there [4861-1].
fn open<T>(message: &[u8], kind: u8) -> Result<(&T, Options<'_>), Malformed>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    let read = prefix(message)?;
    match message {
        [first, 0, ..] if *first == kind => {}
        _ => return Err(Malformed::Type),
    }
    let options = Options::new(message.get(size_of::<T>()..).ok_or(Malformed::Truncated)?);
    options.check()?;
    Ok((read, options))
}

fn has_source_station(options: &Options<'_>) -> bool {
    options.clone().any(|option| matches!(option, NdOption::SourceStation(_)))
}

/// Whether a group is that of a solicited node.
fn is_solicited_node(group: Ipv6Addr) -> bool {
    matches!(group.segments(), [0xff02, 0, 0, 0, 0, 1, 0xff00..=0xffff, _])
}

#[cfg(test)]
mod tests;
