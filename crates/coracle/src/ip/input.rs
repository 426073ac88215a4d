//! IPv4 in: what is wrong with a packet, whether it is ours, and who takes it.

use core::net::Ipv4Addr;

use coracle_buf::Pbuf;
use coracle_wire::ipv4::{self, Ipv4Header, Ipv4Option, Options, protocol};
use coracle_wire::{Malformed, icmpv4};

use super::packet::{Cast, PacketInfo};
use crate::counters::count;
use crate::engine::{Engine, LINK_GROUP};
use crate::event::Event;
use crate::icmp::is_one_host;
use crate::netif::{Checksums, Interface, Medium, NetifHandle};
use crate::table::NONE;

/// Why a well-formed packet is not taken.
#[derive(Clone, Copy)]
enum Refused {
    NotForUs,
    BadSource,
    LinkBroadcast,
}

impl Engine {
    /// Takes an IP packet. One that is `looped` comes from ourselves: its addresses and checksum are true.
    pub(crate) fn ipv4_input(&mut self, netif: usize, mut packet: Pbuf, looped: bool) -> Option<Event> {
        count!(self.counters.ip.received);
        if packet.payload().len() < ipv4::HEADER_LEN {
            packet = self.ipv4_pull_up(netif, packet, ipv4::HEADER_LEN)?;
        }
        let header = match Ipv4Header::read(packet.payload()) {
            Ok(header) => header,
            Err(Malformed::Truncated) if packet.payload().len() < packet.len() => {
                packet = self.ipv4_pull_up(netif, packet, ipv4::MAX_HEADER_LEN)?;
                match Ipv4Header::read(packet.payload()) {
                    Ok(header) => header,
                    Err(why) => return self.ipv4_malformed(netif, why),
                }
            }
            Err(why) => return self.ipv4_malformed(netif, why),
        };
        let (key, interface) = self.netifs.entry_at(netif)?;
        let (header_len, total_len) = (header.header_len(), header.total_len());
        self.checks = if looped { Checksums::NONE } else { interface.checksums };
        // [1122-IP-2]
        if self.checks.contains(Checksums::CHECK_IP)
            && !ipv4::header_checksum_ok(&packet.payload()[..header_len])
        {
            count!(self.counters.ip.bad_checksum);
            return self.drop_malformed(netif);
        }
        let mut info = PacketInfo {
            netif: NetifHandle(key),
            source: header.source(),
            destination: header.destination(),
            destination_port: 0,
            cast: Cast::Unicast,
            protocol: header.protocol(),
            ttl: header.ttl(),
            tos: header.tos(),
            header_len: header_len as u8,
            total_len: total_len as u16,
        };
        let fragment = header.is_fragment();
        if total_len > packet.len() {
            return self.ipv4_malformed(netif, Malformed::Length);
        }
        let link_group = packet.flags().intersects(LINK_GROUP);
        info.cast = match self.ipv4_accept(interface, &info, link_group, looped) {
            Ok(cast) => cast,
            Err(why) => return self.ipv4_refuse(netif, why),
        };
        // Padding goes; this fails only when the bytes are shared and no reference is left.
        if total_len < packet.len() && packet.truncate(total_len).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        if header_len > ipv4::HEADER_LEN && !self.ipv4_options_ok(&info, &packet) {
            return None;
        }
        if fragment {
            count!(self.counters.ip.fragments);
            return None;
        }
        self.current = Some(info);
        self.raw.begin();
        if self.raw.is_wanted(info.protocol) {
            self.raw_input(&info, packet)
        } else {
            self.ipv4_protocol(&info, packet)
        }
    }

    /// Makes the first bytes of a packet contiguous.
    #[cold]
    fn ipv4_pull_up(&mut self, netif: usize, mut packet: Pbuf, len: usize) -> Option<Pbuf> {
        if packet.len() < ipv4::HEADER_LEN {
            return self.ipv4_malformed(netif, Malformed::Truncated);
        }
        if packet.pull_up(len.min(packet.len())).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        Some(packet)
    }

    #[cold]
    fn ipv4_malformed<T>(&mut self, netif: usize, why: Malformed) -> Option<T> {
        match why {
            Malformed::Truncated => count!(self.counters.ip.truncated),
            Malformed::Version => count!(self.counters.ip.bad_version),
            _ => count!(self.counters.ip.bad_length),
        }
        self.drop_malformed(netif)
    }

    /// Whether a packet is for us [1122-IP-3] [1122-IP-15], and may come from where it says.
    #[inline]
    fn ipv4_accept(
        &self,
        interface: &Interface,
        info: &PacketInfo,
        link_group: bool,
        looped: bool,
    ) -> Result<Cast, Refused> {
        let cast = if info.destination == interface.ipv4.address && interface.has_address() {
            Cast::Unicast
        } else {
            self.ipv4_cast(info.netif, interface, info.destination).ok_or(Refused::NotForUs)?
        };
        if looped {
            return Ok(cast);
        }
        if !self.is_source(interface, info.source, cast) {
            return Err(Refused::BadSource);
        }
        // [1122-IP-16] A unicast packet in a broadcast frame is somebody's mistake or attack.
        if link_group && cast == Cast::Unicast {
            return Err(Refused::LinkBroadcast);
        }
        Ok(cast)
    }

    #[cold]
    fn ipv4_refuse<T>(&mut self, netif: usize, why: Refused) -> Option<T> {
        match why {
            Refused::NotForUs => count!(self.counters.ip.not_for_us),
            Refused::LinkBroadcast => count!(self.counters.ip.link_broadcast),
            Refused::BadSource => {
                count!(self.counters.ip.bad_source);
                return self.drop_malformed(netif);
            }
        }
        None
    }

    /// Whether an address that is not the interface's is ours there, and of what kind [1122-IP-14].
    fn ipv4_cast(&self, netif: NetifHandle, interface: &Interface, address: Ipv4Addr) -> Option<Cast> {
        if interface.is_broadcast(address) {
            return Some(Cast::Broadcast);
        }
        if address.is_multicast() {
            let member = self.groups.contains(&self.hash_key, netif.0.index, address);
            return member.then_some(Cast::Multicast);
        }
        let loopback = interface.medium == Medium::Loopback;
        let ours = if address.is_loopback() {
            loopback
        } else {
            (interface.accept_any && is_one_host(address))
                || ((loopback || !self.config.strong_host) && self.owner_of(address).is_some())
        };
        ours.then_some(Cast::Unicast)
    }

    /// The interface that has an address.
    #[inline]
    pub(crate) fn owner_of(&self, address: Ipv4Addr) -> Option<usize> {
        // Most addresses that are not ours are told by one bit.
        if self.address_bits & address_bit(address) == 0 {
            return None;
        }
        let mut at = self.addresses.first(self.hash_key.hash(u64::from(address.to_bits()), 0));
        while at != NONE {
            if self.netifs.at(at as usize).is_some_and(|interface| interface.ipv4.address == address) {
                return Some(at as usize);
            }
            at = self.addresses.next(at);
        }
        None
    }

    /// [1122-IP-4] [1122-UDP-8] Whether an address can be a source on the wire: one host's, not ours, not a loopback address.
    /// A host that asks for its address has none yet, and asks everybody.
    #[inline]
    pub(crate) fn is_source(&self, interface: &Interface, source: Ipv4Addr, cast: Cast) -> bool {
        let first = source.octets()[0];
        if first == 0 {
            return source.is_unspecified() && cast != Cast::Unicast;
        }
        first < 224
            && (first != 127 || interface.medium == Medium::Loopback)
            && source != interface.broadcast
            && (interface.medium == Medium::Loopback || self.owner_of(source).is_none())
    }

    /// Looks through the options: source routes are refused [RFC 7126 §4.3], malformed ones answered [RFC 792].
    #[cold]
    fn ipv4_options_ok(&mut self, info: &PacketInfo, packet: &Pbuf) -> bool {
        let Some(options) = packet.payload().get(ipv4::HEADER_LEN..info.header_len as usize) else {
            return false;
        };
        let mut at = ipv4::HEADER_LEN;
        for option in Options::new(options) {
            match option {
                Err(_) => {
                    count!(self.counters.ip.bad_options);
                    self.icmp_send_error(info, packet, icmpv4::PARAMETER_PROBLEM, 0, [at as u8, 0, 0, 0]);
                    return false;
                }
                Ok(option) if option.is_source_route() => {
                    count!(self.counters.ip.source_routed);
                    return false;
                }
                Ok(Ipv4Option::End) => break,
                Ok(Ipv4Option::Nop) => at += 1,
                // A well-formed option says its length in its second byte.
                Ok(_) => at += options.get(at - ipv4::HEADER_LEN + 1).map_or(1, |&len| len as usize),
            }
        }
        true
    }

    /// Hands a packet to its protocol, after the raw control blocks.
    #[inline]
    pub(crate) fn ipv4_protocol(&mut self, info: &PacketInfo, packet: Pbuf) -> Option<Event> {
        match info.protocol {
            protocol::UDP | protocol::UDP_LITE => self.udp_input(info, packet),
            protocol::TCP => self.tcp_input(info, packet),
            protocol::ICMP => self.icmp_input(info, packet),
            _ => {
                if !self.raw.was_claimed() {
                    count!(self.counters.ip.unknown_protocol);
                    let code = icmpv4::unreachable::PROTOCOL;
                    self.icmp_send_error(info, &packet, icmpv4::DESTINATION_UNREACHABLE, code, [0; 4]);
                }
                None
            }
        }
    }
}

/// The bit that an address of ours sets in `Engine::address_bits`.
#[inline]
pub(crate) fn address_bit(address: Ipv4Addr) -> u64 {
    1 << (address.to_bits() % 64)
}
