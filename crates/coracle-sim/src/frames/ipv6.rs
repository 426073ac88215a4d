//! IPv6 packets made by hand.

use std::net::Ipv6Addr;

use coracle::wire::ipv6::{self, Ipv6Fields};

use crate::repair::repair_ipv6;

/// What goes into an IPv6 header, and into those behind it.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// Where the packet comes from.
    pub source: Ipv6Addr,
    /// Where it goes.
    pub destination: Ipv6Addr,
    /// How many routers may forward it.
    pub hop_limit: u8,
    /// Extension headers: the number of each, and its bytes behind the first, which names what follows.
    pub extensions: Vec<(u8, Vec<u8>)>,
}

impl Ipv6 {
    /// A header without extension headers, with a hop limit of 64.
    pub fn new(source: impl Into<Ipv6Addr>, destination: impl Into<Ipv6Addr>) -> Self {
        Self { source: source.into(), destination: destination.into(), hop_limit: 64, extensions: Vec::new() }
    }

    /// The same with this hop limit.
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// The same with one more extension header: its number, and its bytes behind the first.
    #[must_use]
    pub fn extension(mut self, number: u8, behind: &[u8]) -> Self {
        self.extensions.push((number, behind.to_vec()));
        self
    }

    /// The packet with this payload, whose checksum is made right.
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let numbers: Vec<_> = self.extensions.iter().map(|(number, _)| *number).chain([protocol]).collect();
        let mut behind = Vec::new();
        for ((_, bytes), next) in self.extensions.iter().zip(&numbers[1..]) {
            behind.push(*next);
            behind.extend(bytes);
        }
        behind.extend(payload);
        let fields = Ipv6Fields {
            payload_len: behind.len() as u16,
            next_header: numbers[0],
            hop_limit: self.hop_limit,
            source: self.source,
            destination: self.destination,
            ..Ipv6Fields::default()
        };
        let mut header = [0; ipv6::HEADER_LEN];
        ipv6::write_header(&mut header, &fields);
        let mut packet = [&header[..], &behind].concat();
        repair_ipv6(&mut packet);
        packet
    }
}
