//! IPv4 in: what is wrong with a packet, whether it is ours, and who takes it.

use core::net::Ipv4Addr;

use coracle_buf::Pbuf;
#[cfg(feature = "ipv6")]
use coracle_wire::EtherType;
use coracle_wire::Malformed;
use coracle_wire::ethernet::HEADER_LEN;
use coracle_wire::ipv4::{self, Ipv4Header, Ipv4Option, Options, Pattern, protocol};
#[cfg(feature = "ipv6")]
use coracle_wire::ipv6::next_header;

use super::packet::{Cast, Received};
use crate::address::Address;
use crate::counters::count;
use crate::engine::{Engine, Entry, LINK_GROUP, Turn};
use crate::event::Event;
use crate::icmp::Complaint;
use crate::netif::{Checksums, Interface, Medium, NetifHandle};

/// Why a packet is not taken.
#[derive(Clone, Copy)]
pub(crate) enum Refused {
    BadChecksum,
    Memory,
    NotForUs,
    BadSource,
    LinkBroadcast,
}

/// The way by which the last frame came, and what was found out about it. Forgotten when anything changes that this
/// depends on.
pub(crate) struct RecentSender {
    /// The interface; no slot when there is none.
    netif: usize,
    pattern: Pattern,
    checks: Checksums,
    /// All but the lengths and ports.
    info: Received,
}

impl RecentSender {
    pub(crate) const NONE: Self =
        Self { netif: usize::MAX, pattern: Pattern::NONE, checks: Checksums::NONE, info: Received::NONE };
}

impl Engine {
    /// Whether a frame comes the same way as the last one, all of whose headers were looked at, as nearly all do. It is
    /// counted and noted then, and goes to its protocol.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called once")]
    pub(crate) fn is_familiar(&mut self, netif: usize, packet: &mut Pbuf) -> bool {
        let recent = &self.recent_sender;
        let (Some(interface), Some(frame)) = (self.netifs.at_mut(netif), packet.payload().first_chunk())
        else {
            return false;
        };
        let total_len = u16::from_be_bytes([frame[16], frame[17]]);
        let (_, header) = frame.split_at(HEADER_LEN);
        let same = netif == recent.netif
            && Pattern::of(frame) == recent.pattern
            && usize::from(total_len) >= ipv4::HEADER_LEN
            && HEADER_LEN + usize::from(total_len) <= packet.len()
            && header.first_chunk().is_some_and(ipv4::checksum_ok)
            && !packet.flags().intersects(LINK_GROUP)
            && !self.raw.is_wanted(recent.info.protocol);
        if !same {
            return false;
        }
        let octets = packet.len() as u64;
        let end = HEADER_LEN + usize::from(total_len);
        // Padding goes; what it cannot be taken from is looked at more closely.
        if end < packet.len() && packet.truncate(end).is_err() {
            return false;
        }
        count!(self.counters.link.received);
        count!(interface.counters.in_octets, octets);
        count!(self.counters.ip.received);
        count!(interface.counters.in_unicast);
        self.checks = recent.checks;
        self.current = Some(Received { total_len: total_len.into(), ..recent.info });
        self.raw.begin();
        true
    }

    /// Takes a packet up to its protocol, and notes what it says; returns where its header begins. One that is looped
    /// comes from ourselves: its addresses and checksum are true.
    #[inline(never)]
    pub(crate) fn ipv4_input(
        &mut self,
        entry: Entry,
        netif: usize,
        packet: &mut Pbuf,
    ) -> Result<usize, Turn> {
        let Some((key, interface)) = self.netifs.entry_at_mut(netif) else { return Err(Turn::Dropped) };
        let mut at = 0;
        let mut link_group = false;
        if entry == Entry::Frame {
            count!(self.counters.link.received);
            at = interface.take_frame(packet).map_err(Turn::Link)?;
        } else {
            link_group = packet.flags().intersects(LINK_GROUP);
        }
        let bytes = packet.payload().get(at..).unwrap_or_default();
        #[cfg(feature = "ipv6")]
        if is_v6(entry, packet.payload(), at) {
            return Err(Turn::V6 { at });
        }
        let header = Ipv4Header::read(bytes).map_err(|why| Turn::Malformed { at, why })?;
        let (header_len, total_len) = (header.header_len(), header.total_len());
        if at + total_len > packet.len() {
            return Err(Turn::Malformed { at, why: Malformed::Length });
        }
        count!(self.counters.ip.received);
        let looped = entry == Entry::Looped;
        self.checks = if looped { Checksums::NONE } else { interface.checksums };
        // [1122-IP-2]
        let check = self.checks.contains(Checksums::CHECK_IP);
        if check && !ipv4::header_checksum_ok(&bytes[..header_len]) {
            return Err(Turn::Refused { at, why: Refused::BadChecksum });
        }
        let (source, destination) = (header.source(), header.destination());
        let netif_handle = NetifHandle(key);
        let info = Received {
            netif: netif_handle,
            source: source.into(),
            destination: destination.into(),
            source_port: 0,
            destination_port: 0,
            cast: self
                .ipv4_accept(netif_handle, source, destination, link_group, looped)
                .map_err(|why| Turn::Refused { at, why })?,
            protocol: header.protocol(),
            ttl: header.ttl(),
            tos: header.tos(),
            header_len: header_len as u16,
            total_len: total_len as u32,
        };
        let fragment = header.is_fragment();
        self.current = Some(info);
        if header_len > ipv4::HEADER_LEN && !self.ipv4_options_ok(packet, at) {
            return Err(Turn::Dropped);
        }
        if fragment {
            return Err(Turn::Fragment { at });
        }
        if entry == Entry::Frame && at == HEADER_LEN && header_len == ipv4::HEADER_LEN && check {
            self.remember_sender(netif, packet, info);
        }
        // Padding goes; this fails only when the bytes are shared and no reference is left.
        if at + total_len < packet.len() && packet.truncate(at + total_len).is_err() {
            return Err(Turn::Refused { at, why: Refused::Memory });
        }
        self.raw.begin();
        if self.raw.is_wanted(info.protocol) {
            return Err(Turn::Raw { at });
        }
        Ok(at)
    }

    fn remember_sender(&mut self, netif: usize, packet: &Pbuf, info: Received) {
        if let Some(frame) = packet.payload().first_chunk() {
            let (pattern, checks) = (Pattern::of(frame), self.checks);
            self.recent_sender = RecentSender { netif, pattern, checks, info };
        }
    }

    /// Makes the header of a packet contiguous; none when it is malformed.
    pub(crate) fn ipv4_pull_up(
        &mut self,
        netif: usize,
        mut packet: Pbuf,
        mut why: Malformed,
    ) -> Option<Pbuf> {
        for len in [ipv4::HEADER_LEN, ipv4::MAX_HEADER_LEN] {
            let scattered = packet.payload().len() < packet.len().min(len);
            if why != Malformed::Truncated || packet.len() < ipv4::HEADER_LEN || !scattered {
                continue;
            }
            if packet.pull_up(len.min(packet.len())).is_err() {
                count!(self.counters.ip.received);
                count!(self.counters.ip.memory);
                return None;
            }
            match Ipv4Header::read(packet.payload()) {
                Ok(_) => return Some(packet),
                Err(now) => why = now,
            }
        }
        self.ipv4_malformed(netif, why)
    }

    fn ipv4_malformed<T>(&mut self, netif: usize, why: Malformed) -> Option<T> {
        count!(self.counters.ip.received);
        match why {
            Malformed::Truncated => count!(self.counters.ip.truncated),
            Malformed::Version => count!(self.counters.ip.bad_version),
            _ => count!(self.counters.ip.bad_length),
        }
        self.drop_malformed(netif)
    }

    /// Whether a packet is for us [1122-IP-3] [1122-IP-15], and may come from where it says.
    fn ipv4_accept(
        &self,
        netif: NetifHandle,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        link_group: bool,
        looped: bool,
    ) -> Result<Cast, Refused> {
        let interface = self.netifs.get(netif.0).ok_or(Refused::NotForUs)?;
        let cast = if destination == interface.ipv4.address && interface.has_address() {
            Cast::Unicast
        } else {
            self.ipv4_cast(netif, interface, destination).ok_or(Refused::NotForUs)?
        };
        if looped {
            return Ok(cast);
        }
        if !self.is_source(interface, source, cast) {
            return Err(Refused::BadSource);
        }
        // [1122-IP-16] A unicast packet in a broadcast frame is somebody's mistake or attack.
        if link_group && cast == Cast::Unicast {
            return Err(Refused::LinkBroadcast);
        }
        Ok(cast)
    }

    pub(crate) fn ipv4_refuse<T>(&mut self, netif: usize, why: Refused) -> Option<T> {
        match why {
            Refused::BadChecksum => {
                count!(self.counters.ip.bad_checksum);
                return self.drop_malformed(netif);
            }
            Refused::Memory => count!(self.counters.ip.memory),
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
            let member = self.multicast.contains(&self.hash_key, netif.0.index, address.into());
            return member.then_some(Cast::Multicast);
        }
        let loopback = interface.medium == Medium::Loopback;
        let ours = if address.is_loopback() {
            loopback
        } else {
            (interface.accept_any && Address::v4(address).is_one_host())
                || ((loopback || !self.config.strong_host) && self.owner_of(address.into()).is_some())
        };
        ours.then_some(Cast::Unicast)
    }

    /// [1122-IP-4] [1122-UDP-8] [RFC 9293 MUST-63] Whether an address can be a source on the wire: one host's, not
    /// ours, not a loopback address.
    /// A host that asks for its address has none yet, and asks everybody.
    #[inline]
    pub(crate) fn is_source(&self, interface: &Interface, source: Ipv4Addr, cast: Cast) -> bool {
        let first = source.octets()[0];
        if !(1..224).contains(&first) {
            return source.is_unspecified() && cast != Cast::Unicast;
        }
        (first != 127 || interface.medium == Medium::Loopback)
            && source != interface.broadcast
            && (interface.medium == Medium::Loopback || self.owner_of(source.into()).is_none())
    }

    /// Looks through the options: source routes are refused [RFC 7126 §4.3], malformed ones answered [RFC 792].
    #[cold]
    #[inline(never)]
    pub(super) fn ipv4_options_ok(&mut self, packet: &mut Pbuf, at: usize) -> bool {
        let Some(info) = self.current else { return false };
        let end = at + usize::from(info.header_len);
        let Some(options) = packet.payload().get(at + ipv4::HEADER_LEN..end) else { return false };
        let mut pointer = ipv4::HEADER_LEN;
        for option in Options::new(options) {
            match option {
                Err(_) => {
                    count!(self.counters.ip.bad_options);
                    // The message quotes the packet, without what the link put before it.
                    if packet.remove_header(at).is_ok() {
                        let complaint = Complaint::BadHeader { pointer: pointer as u32 };
                        self.icmp_complain(&info, packet, complaint);
                    }
                    return false;
                }
                Ok(option) if option.is_source_route() => {
                    count!(self.counters.ip.source_routed);
                    return false;
                }
                Ok(Ipv4Option::End) => break,
                Ok(Ipv4Option::Nop) => pointer += 1,
                // A well-formed option says its length in its second byte.
                Ok(_) => {
                    pointer += options.get(pointer - ipv4::HEADER_LEN + 1).map_or(1, |&len| len as usize);
                }
            }
        }
        true
    }

    /// Hands the present packet to its protocol, after the raw control blocks.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called once")]
    pub(crate) fn ip_protocol(&mut self, packet: Pbuf, at: usize) -> Option<Event> {
        match self.current.as_ref()?.protocol {
            protocol::UDP => self.udp_input(packet, at),
            protocol::TCP => match self.tcp_arrival(packet, at) {
                Ok(event) => event,
                Err(packet) => self.ip_other_protocol(packet, at),
            },
            _ => self.ip_other_protocol(packet, at),
        }
    }

    #[cold]
    #[inline(never)]
    fn ip_other_protocol(&mut self, packet: Pbuf, at: usize) -> Option<Event> {
        let info = self.current?;
        let packet = self.hide_link(at, packet)?;
        match info.protocol {
            protocol::TCP => return self.tcp_input(&info, packet),
            protocol::ICMP if info.destination.is_v4() => return self.icmp_input(&info, packet),
            #[cfg(feature = "ipv6")]
            next_header::ICMPV6 if !info.destination.is_v4() => return self.icmpv6_input(&info, packet),
            protocol::UDP_LITE => return self.udp_lite_input(&info, packet),
            protocol::IGMP if info.destination.is_v4() => {
                self.igmp_input(&info, packet);
                return None;
            }
            _ => {}
        }
        if !self.raw.was_claimed() {
            count!(self.counters.ip_of(info.destination).unknown_protocol);
            self.icmp_complain(&info, &packet, Complaint::NoProtocol);
        }
        None
    }
}

/// Whether what came is a packet of IPv6: the link says so, or, where it says nothing, the packet itself.
#[cfg(feature = "ipv6")]
#[inline]
fn is_v6(entry: Entry, bytes: &[u8], at: usize) -> bool {
    match (entry, at) {
        (Entry::Frame, HEADER_LEN) => bytes.get(12..14) == Some(&EtherType::IPV6.0.to_be_bytes()),
        (Entry::Frame | Entry::Looped, 0) => bytes.first().is_some_and(|first| first >> 4 == 6),
        _ => false,
    }
}
