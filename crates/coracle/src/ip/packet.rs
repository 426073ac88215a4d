//! What a callback may ask of the packet that is being delivered.

use core::net::IpAddr;

use crate::address::{Address, Endpoint};
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
    pub source: IpAddr,
    /// Where it was sent to [RFC 1122 §4.1.3.5].
    pub destination: IpAddr,
    /// The port that it came from; zero where there are no ports.
    pub source_port: u16,
    /// The port that it was sent to; zero where there are no ports.
    pub destination_port: u16,
    /// Unicast, broadcast or multicast.
    pub cast: Cast,
    /// The number of its transport protocol.
    pub protocol: u8,
    /// Its time-to-live or hop limit as it arrived.
    pub ttl: u8,
    /// Its type of service or traffic class: DSCP and ECN.
    pub tos: u8,
    /// The length of all its IP headers in bytes: 20 to 60 of IPv4; 40 and the extension headers of IPv6.
    pub header_len: u16,
    /// The length of the packet in bytes, headers included.
    pub total_len: u32,
}

/// What the engine knows of the packet that is being delivered.
#[derive(Clone, Copy)]
pub(crate) struct Received {
    pub(crate) netif: NetifHandle,
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) cast: Cast,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) header_len: u16,
    pub(crate) total_len: u32,
}

impl Received {
    /// What is said of no packet.
    pub(crate) const NONE: Self = Self {
        netif: NetifHandle(Key::NONE),
        source: Address::ANY,
        destination: Address::ANY,
        source_port: 0,
        destination_port: 0,
        cast: Cast::Unicast,
        protocol: 0,
        ttl: 0,
        tos: 0,
        header_len: 0,
        total_len: 0,
    };

    /// Where it came from, with the port.
    #[inline]
    pub(crate) fn from(&self) -> Endpoint {
        Endpoint::new(self.source, self.source_port)
    }

    /// What applications may see of it.
    pub(crate) fn info(&self) -> PacketInfo {
        PacketInfo {
            netif: self.netif,
            source: self.source.to_ip(),
            destination: self.destination.to_ip(),
            source_port: self.source_port,
            destination_port: self.destination_port,
            cast: self.cast,
            protocol: self.protocol,
            ttl: self.ttl,
            tos: self.tos,
            header_len: self.header_len,
            total_len: self.total_len,
        }
    }
}
