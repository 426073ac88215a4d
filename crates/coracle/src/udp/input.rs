//! UDP in: lengths, checksum, and who takes the datagram.

use coracle_buf::Pbuf;
use coracle_wire::ipv4::protocol;
use coracle_wire::udp::{HEADER_LEN, UdpHeader, udp_length, udp_lite_coverage};

use super::{Class, Flow};
use crate::address::Endpoint;
use crate::counters::{UdpCounters, count};
use crate::engine::{Engine, Entry};
use crate::event::Event;
use crate::icmp::Complaint;
use crate::ip::sum::{add_part, pseudo};
use crate::ip::{Cast, Received};
use crate::multicast::{Member, Multicast};
use crate::netif::Checksums;
use crate::random::HashKey;
use crate::table::{Key, NONE};

impl Engine {
    #[inline]
    pub(super) fn udp_counters(&mut self, lite: bool) -> &mut UdpCounters {
        if lite { &mut self.counters.udp_lite } else { &mut self.counters.udp }
    }

    /// Takes the present packet, whose IP header begins `at`.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called once")]
    pub(crate) fn udp_input(&mut self, mut packet: Pbuf, at: usize) -> Option<Event> {
        let info = self.current.as_mut()?;
        let start = at + usize::from(info.header_len);
        let bytes = packet.payload().get(start..).unwrap_or_default();
        let Ok(header) = UdpHeader::read(bytes) else { return self.udp_scattered(packet, at) };
        count!(self.counters.udp.received);
        let (from_port, to_port) = (header.source_port(), header.destination_port());
        // [1122-UDP-6] The datagram may be shorter than the packet.
        let Ok(len) = udp_length(header, packet.len() - start) else { return self.udp_bad_length(false) };
        // [1122-UDP-3] A checksum that is there must be right; with IPv6 it must be there [RFC 8200 §8.1].
        let summed = header.checksum() != 0;
        if !summed && !info.destination.is_v4() && self.checks.contains(Checksums::CHECK_UDP) {
            return self.udp_bad_checksum(false);
        }
        if summed && self.checks.contains(Checksums::CHECK_UDP) {
            let sum = pseudo(info.source, info.destination, protocol::UDP, len);
            let sum = match bytes.get(..len) {
                Some(datagram) => sum.add_bytes(datagram),
                None => add_part(sum, &packet, start, len),
            };
            if !sum.verifies() {
                return self.udp_bad_checksum(false);
            }
        }
        count!(self.counters.ip_of(info.destination).delivered);
        (info.source_port, info.destination_port) = (from_port, to_port);
        if info.cast != Cast::Unicast {
            return self.udp_input_group(packet, start, len);
        }
        let found = if self.udp.all_wildcards() {
            self.udp.find_in(Class::Wildcard, &self.hash_key, &info.flow(), info.netif)
        } else {
            self.udp.find(&self.hash_key, &info.flow(), info.netif)
        };
        let Some(pcb) = found else { return self.udp_unclaimed(packet, at, false) };
        if start + len < packet.len() && packet.truncate(start + len).is_err()
            || packet.remove_header(start + HEADER_LEN).is_err()
        {
            return self.udp_no_memory();
        }
        count!(self.counters.udp.delivered);
        Some(Event::Datagram { pcb, data: packet })
    }

    /// The same for UDP-Lite, whose length field is the coverage of the checksum, which is never left out
    /// [RFC 3828 §3.1].
    pub(crate) fn udp_lite_input(&mut self, info: &Received, mut packet: Pbuf) -> Option<Event> {
        let start = usize::from(info.header_len);
        let bytes = packet.payload().get(start..).unwrap_or_default();
        let Ok(header) = UdpHeader::read(bytes) else { return self.udp_scattered(packet, 0) };
        count!(self.counters.udp_lite.received);
        let (from_port, to_port) = (header.source_port(), header.destination_port());
        let len = packet.len() - start;
        let Ok(covered) = udp_lite_coverage(header, len) else { return self.udp_bad_length(true) };
        if self.checks.contains(Checksums::CHECK_UDP) {
            let sum = pseudo(info.source, info.destination, protocol::UDP_LITE, len);
            if header.checksum() == 0 || !add_part(sum, &packet, start, covered).verifies() {
                return self.udp_bad_checksum(true);
            }
        }
        count!(self.counters.ip_of(info.destination).delivered);
        let info = &Received { source_port: from_port, destination_port: to_port, ..*info };
        self.current = Some(*info);
        if info.cast != Cast::Unicast {
            return self.udp_input_group(packet, start, covered);
        }
        let Some(pcb) = self.udp.find(&self.hash_key, &info.flow(), info.netif) else {
            return self.udp_unclaimed(packet, 0, true);
        };
        if !self.udp_covers(pcb, covered) {
            count!(self.counters.udp_lite.low_coverage);
            return None;
        }
        if packet.remove_header(start + HEADER_LEN).is_err() {
            return self.udp_no_memory();
        }
        count!(self.counters.udp_lite.delivered);
        Some(Event::Datagram { pcb, data: packet })
    }

    /// A packet whose UDP header is not in one piece, if it is there at all.
    #[cold]
    #[inline(never)]
    fn udp_scattered(&mut self, packet: Pbuf, at: usize) -> Option<Event> {
        let info = self.current?;
        let mut packet = self.hide_link(at, packet)?;
        let (netif, wanted) = (info.netif.slot(), usize::from(info.header_len) + HEADER_LEN);
        let lite = info.protocol == protocol::UDP_LITE;
        if packet.len() < wanted {
            count!(self.udp_counters(lite).received);
            count!(self.udp_counters(lite).truncated);
            return self.drop_malformed(netif);
        }
        if packet.pull_up(wanted).is_err() {
            count!(self.udp_counters(lite).received);
            return self.udp_no_memory();
        }
        self.enter(Entry::Offered, netif, packet)
    }

    #[cold]
    #[inline(never)]
    fn udp_no_memory(&mut self) -> Option<Event> {
        count!(self.counters.ip.memory);
        None
    }

    #[cold]
    #[inline(never)]
    fn udp_bad_checksum(&mut self, lite: bool) -> Option<Event> {
        count!(self.udp_counters(lite).bad_checksum);
        self.drop_malformed(self.current?.netif.slot())
    }

    #[cold]
    #[inline(never)]
    fn udp_bad_length(&mut self, lite: bool) -> Option<Event> {
        count!(self.udp_counters(lite).bad_length);
        self.drop_malformed(self.current?.netif.slot())
    }

    fn udp_covers(&self, pcb: Key, covered: usize) -> bool {
        self.udp.slots.get(pcb).is_some_and(|pcb| covered >= usize::from(pcb.coverage.demanded))
    }

    /// [1122-UDP-1] Nobody listens: say so to a host that wrote to us alone.
    #[cold]
    #[inline(never)]
    fn udp_unclaimed(&mut self, packet: Pbuf, at: usize, lite: bool) -> Option<Event> {
        let info = self.current?;
        let packet = self.hide_link(at, packet)?;
        #[cfg(feature = "dhcp")]
        if !lite && self.dhcp_wants(info.netif.slot(), info.destination_port) {
            return self.dhcp_input(&info, packet);
        }
        count!(self.udp_counters(lite).no_port);
        if !self.raw.was_claimed() {
            self.icmp_complain(&info, &packet, Complaint::NoPort);
        }
        None
    }

    /// A datagram to many goes to everyone who takes it: they are chained first, since a callback may change
    /// anything, and each is looked at again when its turn comes.
    #[cold]
    #[inline(never)]
    fn udp_input_group(&mut self, mut packet: Pbuf, start: usize, covered: usize) -> Option<Event> {
        let info = &self.current?;
        let flow = &info.flow();
        #[cfg(feature = "dhcp")]
        if !flow.lite && self.dhcp_wants(info.netif.slot(), info.destination_port) {
            let packet = self.hide_link(start - usize::from(info.header_len), packet)?;
            return self.dhcp_input(info, packet);
        }
        let own = self.netifs.at(info.netif.slot())?.ipv4.address.into();
        let mut first = NONE;
        let mut at = self.udp.first_on_port(&self.hash_key, flow);
        while at != NONE {
            let next = self.udp.ports.next(at);
            if let Some(pcb) = self.udp.slots.at_mut(at as usize)
                && pcb.class != Class::CatchAll
                && pcb.takes_group(flow, info, own)
                && hears(&self.multicast, &self.hash_key, at, info)
                && (!flow.lite || covered >= usize::from(pcb.coverage.demanded))
            {
                pcb.next_taker = first;
                first = at;
            }
            at = next;
        }
        if first == NONE {
            first = self.udp.find_catch_all(&self.hash_key, flow, info.netif);
            let Some(pcb) = self.udp.slots.at_mut(first as usize) else {
                count!(self.udp_counters(flow.lite).no_port);
                return None;
            };
            pcb.next_taker = NONE;
        }
        let end = start + covered;
        if !flow.lite && end < packet.len() && packet.truncate(end).is_err()
            || packet.remove_header(start + HEADER_LEN).is_err()
        {
            return self.udp_no_memory();
        }
        self.udp_deliver_to_next(first, packet)
    }

    /// Gives the datagram that goes to many to the next who takes it.
    pub(crate) fn udp_deliver_to_next(&mut self, mut at: u32, data: Pbuf) -> Option<Event> {
        let info = self.current?;
        let own = self.netifs.get(info.netif.0)?.ipv4.address.into();
        let flow = info.flow();
        while at != NONE {
            let (key, pcb) = self.udp.slots.entry_at(at as usize)?;
            let takes =
                pcb.takes_group(&flow, &info, own) && hears(&self.multicast, &self.hash_key, at, &info);
            at = pcb.next_taker;
            if takes {
                count!(self.udp_counters(flow.lite).delivered);
                if at != NONE {
                    self.more = Some((at, data.clone()));
                }
                return Some(Event::Datagram { pcb: key, data });
            }
        }
        None
    }

    /// The control block that sent a datagram which an ICMP error is about.
    pub(crate) fn udp_find_sender(&self, from: Endpoint, to: Endpoint, lite: bool) -> Option<u32> {
        let netif = self.current.map(|info| info.netif).or_else(|| {
            let owner = self.owner_of(from.address)?;
            self.netif_handle(owner)
        })?;
        let found = self.udp.find(&self.hash_key, &Flow { local: from, remote: to, lite }, netif);
        found.map(|key| key.index)
    }
}

/// Whether a control block listens to the source and group of a datagram to many [RFC 3376 §3.2].
fn hears(multicast: &Multicast, key: &HashKey, pcb: u32, info: &Received) -> bool {
    let (netif, owner) = (info.netif.0.index, Member::Udp(pcb));
    info.cast != Cast::Multicast || multicast.delivers(key, owner, netif, info.destination, info.source)
}

impl Received {
    /// What control blocks are matched against.
    #[inline]
    fn flow(&self) -> Flow {
        Flow {
            local: Endpoint::new(self.destination, self.destination_port),
            remote: Endpoint::new(self.source, self.source_port),
            lite: self.protocol == protocol::UDP_LITE,
        }
    }
}
