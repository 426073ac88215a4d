//! What a callback may ask of the packet that is being delivered.

use core::net::Ipv4Addr;

use crate::netif::NetifHandle;
use crate::table::Key;

/// To whom a packet was addressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cast {
    /// To one host.
    #[default]
    Unicast,
    /// To every host of a network.
    Broadcast,
    /// To the members of a group.
    Multicast,
}

/// The packet that is being delivered; lwIP: the `ip_current_*` macros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketInfo {
    /// The interface that it came in on.
    pub netif: NetifHandle,
    /// Where it came from.
    pub source: Ipv4Addr,
    /// Where it was sent to [RFC 1122 §4.1.3.5].
    pub destination: Ipv4Addr,
    /// The port that it came from; zero where there are no ports.
    pub source_port: u16,
    /// The port that it was sent to; zero where there are no ports.
    pub destination_port: u16,
    /// Unicast, broadcast or multicast.
    pub cast: Cast,
    /// Its protocol number.
    pub protocol: u8,
    /// Its time-to-live as it arrived.
    pub ttl: u8,
    /// Its type of service: DSCP and ECN.
    pub tos: u8,
    /// The length of its IP header in bytes, 20 to 60.
    pub header_len: u8,
    /// The length of the packet in bytes, header included.
    pub total_len: u16,
}

impl PacketInfo {
    /// What is said of no packet.
    pub(crate) const NONE: Self = Self {
        netif: NetifHandle(Key::NONE),
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::UNSPECIFIED,
        source_port: 0,
        destination_port: 0,
        cast: Cast::Unicast,
        protocol: 0,
        ttl: 0,
        tos: 0,
        header_len: 0,
        total_len: 0,
    };
}
