//! Packets as bytes: made from what a script says, read back, held against what it expects.

pub(crate) mod build;
pub(crate) mod compare;
pub(crate) mod decode;
pub(crate) mod icmp_names;
pub(crate) mod show;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
}

/// Whom a packet is from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

impl Ends {
    pub(crate) fn swapped(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }
}

/// The ones' complement sum of 16-bit words, not complemented [RFC 1071]. Slow and plain, as it judges the stack's.
pub(crate) fn sum(parts: &[&[u8]]) -> u16 {
    let mut total = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            total += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            total = (total & 0xffff) + (total >> 16);
        }
    }
    total as u16
}

/// The bytes that a transport checksum covers besides its packet [RFC 9293 §3.1; RFC 8200 §8.1].
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}
