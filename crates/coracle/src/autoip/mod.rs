//! Link-local IPv4 addresses that a host gives itself [RFC 3927]; lwIP: AUTOIP.

#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

use coracle_wire::MacAddr;
use coracle_wire::arp::ArpPacket;

use crate::acd::{Acd, Due, Sight};
use crate::netif::Ipv4Settings;
use crate::random::Random;
use crate::time::Instant;

/// Addresses from 169.254.1.0 to 169.254.254.255 are given out [3927-1].
const FIRST: u32 = 0xa9fe_0100;
const COUNT: u32 = 254 << 8;

/// An interface that gives itself an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AutoIp {
    acd: Acd,
    station: MacAddr,
    /// How many addresses were tried before this one.
    attempt: u16,
    /// Whether the address is ours.
    in_use: bool,
}

impl AutoIp {
    /// One that is off.
    pub(crate) const fn new(station: MacAddr) -> Self {
        Self { acd: Acd::OFF, station, attempt: 0, in_use: false }
    }

    /// Begins with the address that was ours last, or the first one [3927-2].
    pub(crate) fn start(&mut self, now: Instant, random: &mut Random) {
        self.in_use = false;
        self.acd.start(self.candidate(), now, random);
    }

    /// Lets go of the address. Which one it was is remembered.
    pub(crate) fn stop(&mut self) {
        self.in_use = false;
        self.acd.stop();
    }

    /// Whether it is at work.
    pub(crate) fn is_on(&self) -> bool {
        self.acd.address().is_some()
    }

    /// The address, once it is ours.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.acd.address().filter(|_| self.in_use)
    }

    /// The settings that go with the address: its whole network is on the link, and there is no gateway
    /// [3927-4, 3927-5].
    pub(crate) fn settings(&self) -> Ipv4Settings {
        self.address().map_or(Ipv4Settings::NONE, |address| Ipv4Settings::new(address, 16))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.acd.deadline()
    }

    /// The deadline may have come: what is to be sent, and for which address.
    pub(crate) fn timer(&mut self, now: Instant, random: &mut Random) -> (Due, Ipv4Addr) {
        let address = self.acd.address().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let due = self.acd.timer(now, random);
        self.in_use |= due == Due::Claim;
        (due, address)
    }

    /// Looks at an ARP packet that another station sent. When the address is lost, the next one is tried.
    pub(crate) fn arp(&mut self, packet: &ArpPacket, now: Instant, random: &mut Random) -> Sight {
        let sight = self.acd.arp(packet, now);
        if sight == Sight::Lost {
            self.skip(now, random);
        }
        sight
    }

    /// Goes on to the next address.
    pub(crate) fn skip(&mut self, now: Instant, random: &mut Random) {
        self.attempt = self.attempt.wrapping_add(1);
        self.start(now, random);
    }

    /// The address to try: evenly spread, the same for a station each time, and another at each attempt [3927-1].
    fn candidate(&self) -> Ipv4Addr {
        let mut seed = [0; 8];
        seed[..2].copy_from_slice(&self.attempt.to_be_bytes());
        seed[2..].copy_from_slice(&self.station.0);
        // Two rounds of multiplying and folding make every bit depend on every bit.
        let mix = |value: u64| {
            let product = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            product ^ product >> 32
        };
        let spread = ((mix(mix(u64::from_be_bytes(seed))) & 0xffff_ffff) * u64::from(COUNT)) >> 32;
        Ipv4Addr::from_bits(FIRST + spread as u32)
    }
}
