//! UDP in: lengths, checksum, and who takes the datagram.

use core::net::SocketAddrV4;

use coracle_buf::Pbuf;
use coracle_wire::checksum::pseudo_v4;
use coracle_wire::icmpv4;
use coracle_wire::ipv4::protocol;
use coracle_wire::udp::{HEADER_LEN, UdpHeader, udp_length, udp_lite_coverage};

use super::{Class, Flow};
use crate::counters::{UdpCounters, count};
use crate::engine::Engine;
use crate::event::Event;
use crate::ip::sum::add_part;
use crate::ip::{Cast, PacketInfo};
use crate::netif::Checksums;
use crate::table::NONE;

impl Engine {
    #[inline]
    pub(super) fn udp_counters(&mut self, lite: bool) -> &mut UdpCounters {
        if lite { &mut self.counters.udp_lite } else { &mut self.counters.udp }
    }

    #[inline]
    pub(crate) fn udp_input(&mut self, info: &PacketInfo, mut packet: Pbuf) -> Option<Event> {
        let lite = info.protocol == protocol::UDP_LITE;
        count!(self.udp_counters(lite).received);
        let netif = info.netif.0.index as usize;
        let ip_len = usize::from(info.header_len);
        let wanted = ip_len + HEADER_LEN;
        if packet.payload().len() < wanted && packet.len() >= wanted && packet.pull_up(wanted).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        let Ok(header) = UdpHeader::read(&packet.payload()[ip_len..]) else {
            count!(self.udp_counters(lite).truncated);
            return self.drop_malformed(netif);
        };
        let (from_port, to_port, checksum) =
            (header.source_port(), header.destination_port(), header.checksum());
        let ip_payload = packet.len() - ip_len;
        // [1122-UDP-6] For UDP the datagram may be shorter than the packet; for UDP-Lite the field is a coverage.
        let covered =
            if lite { udp_lite_coverage(header, ip_payload) } else { udp_length(header, ip_payload) };
        let Ok(covered) = covered else { return self.udp_bad_length(netif, lite) };
        if !lite && covered != ip_payload && packet.truncate(ip_len + covered).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        if !self.udp_checksum_ok(info, &packet, covered, checksum) {
            count!(self.udp_counters(lite).bad_checksum);
            return self.drop_malformed(netif);
        }
        count!(self.counters.ip.delivered);
        if let Some(current) = &mut self.current {
            current.destination_port = to_port;
        }
        let flow = Flow {
            local: SocketAddrV4::new(info.destination, to_port),
            remote: SocketAddrV4::new(info.source, from_port),
            lite,
        };
        if info.cast != Cast::Unicast {
            return self.udp_input_group(info, packet, &flow, covered);
        }
        let Some(pcb) = self.udp.find(&self.hash_key, &flow, info.netif) else {
            return self.udp_unclaimed(info, &packet, lite);
        };
        if lite && !self.udp_covers(pcb, covered) {
            count!(self.counters.udp_lite.low_coverage);
            return None;
        }
        if packet.remove_header(wanted).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        count!(self.udp_counters(lite).delivered);
        Some(Event::Datagram { pcb, from: flow.remote, data: packet })
    }

    #[cold]
    fn udp_bad_length(&mut self, netif: usize, lite: bool) -> Option<Event> {
        count!(self.udp_counters(lite).bad_length);
        self.drop_malformed(netif)
    }

    /// [1122-UDP-3] A checksum that is there must be right. UDP may leave it out, UDP-Lite may not [RFC 3828 §3.1].
    #[inline]
    fn udp_checksum_ok(&self, info: &PacketInfo, packet: &Pbuf, covered: usize, checksum: u16) -> bool {
        if !self.checks.contains(Checksums::CHECK_UDP) {
            return true;
        }
        if checksum == 0 {
            return info.protocol == protocol::UDP;
        }
        let ip_len = usize::from(info.header_len);
        let len = (packet.len() - ip_len) as u16;
        let pseudo = pseudo_v4(info.source, info.destination, info.protocol, len);
        add_part(pseudo, packet, ip_len, covered).verifies()
    }

    fn udp_covers(&self, pcb: u32, covered: usize) -> bool {
        self.udp.slots.at(pcb as usize).is_some_and(|pcb| covered >= usize::from(pcb.coverage.demanded))
    }

    /// [1122-UDP-1] Nobody listens: say so to a host that wrote to us alone.
    #[cold]
    fn udp_unclaimed(&mut self, info: &PacketInfo, packet: &Pbuf, lite: bool) -> Option<Event> {
        count!(self.udp_counters(lite).no_port);
        if !self.raw.was_claimed() {
            let code = icmpv4::unreachable::PORT;
            self.icmp_send_error(info, packet, icmpv4::DESTINATION_UNREACHABLE, code, [0; 4]);
        }
        None
    }

    /// A datagram to many goes to everyone who takes it: they are chained first, since a callback may change
    /// anything, and each is looked at again when its turn comes.
    #[cold]
    fn udp_input_group(
        &mut self,
        info: &PacketInfo,
        mut packet: Pbuf,
        flow: &Flow,
        covered: usize,
    ) -> Option<Event> {
        let own = self.netifs.at(info.netif.0.index as usize)?.ipv4.address;
        let mut first = NONE;
        let mut at = self.udp.first_on_port(&self.hash_key, flow);
        while at != NONE {
            let next = self.udp.ports.next(at);
            if let Some(pcb) = self.udp.slots.at_mut(at as usize)
                && pcb.class != Class::CatchAll
                && pcb.takes_group(flow, info, own)
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
        if packet.remove_header(usize::from(info.header_len) + HEADER_LEN).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        self.group_from = flow.remote;
        self.udp_deliver_to_next(first, packet)
    }

    /// Gives the datagram that goes to many to the next who takes it.
    pub(crate) fn udp_deliver_to_next(&mut self, mut at: u32, data: Pbuf) -> Option<Event> {
        let info = self.current?;
        let own = self.netifs.get(info.netif.0)?.ipv4.address;
        let lite = info.protocol == protocol::UDP_LITE;
        let local = SocketAddrV4::new(info.destination, info.destination_port);
        let flow = Flow { local, remote: self.group_from, lite };
        while at != NONE {
            let pcb = self.udp.slots.at(at as usize)?;
            let (position, takes) = (at, pcb.takes_group(&flow, &info, own));
            at = pcb.next_taker;
            if takes {
                count!(self.udp_counters(lite).delivered);
                if at != NONE {
                    self.more = Some((at, data.clone()));
                }
                return Some(Event::Datagram { pcb: position, from: flow.remote, data });
            }
        }
        None
    }

    /// The control block that sent a datagram which an ICMP error is about.
    pub(crate) fn udp_find_sender(&self, from: SocketAddrV4, to: SocketAddrV4, lite: bool) -> Option<u32> {
        let netif = self.current.map(|info| info.netif).or_else(|| {
            let owner = self.owner_of(*from.ip())?;
            self.netif_handle(owner)
        })?;
        self.udp.find(&self.hash_key, &Flow { local: from, remote: to, lite }, netif)
    }
}
