//! The short way of the datagrams that nearly all are: whole, plain, between two stations of one Ethernet.
//!
//! Each direction is one straight run over all three headers, which either does everything that the general way would
//! do, or leaves everything as it was for the general way to look closer. It never refuses anything itself.

use core::net::{Ipv4Addr, SocketAddrV4};

use coracle_buf::Pbuf;
use coracle_wire::EtherType;
use coracle_wire::checksum::pseudo_v4;
use coracle_wire::ethernet::{self, EthernetHeader};
use coracle_wire::ipv4::{self, Ipv4Fields, header_checksum_ok, protocol};
use coracle_wire::udp::{HEADER_LEN, UdpFrame, UdpHeader};

use super::{Class, Flow, UdpPcb};
use crate::counters::count;
use crate::engine::{Engine, LINK_GROUP};
use crate::ip::input::address_bit;
use crate::ip::{Cast, PacketInfo};
use crate::netif::{Medium, NetifHandle};
use crate::table::Key;

/// A datagram that arrived, and the control block that takes it.
pub(crate) struct Arrival {
    pub(crate) pcb: Key,
    pub(crate) from: SocketAddrV4,
    pub(crate) data: Pbuf,
}

impl Engine {
    /// Takes a frame from a device the short way. `Err` is the frame, untouched, for the general way.
    #[inline]
    pub(crate) fn udp_arrival(&mut self, netif: usize, mut frame: Pbuf) -> Result<Arrival, Pbuf> {
        let Some((key, interface)) = self.netifs.entry_at_mut(netif) else { return Err(frame) };
        let bytes = frame.payload();
        let Some(headers) = UdpFrame::read(bytes) else { return Err(frame) };
        let (source, destination) = (headers.ip.source(), headers.ip.destination());
        let Medium::Ethernet(own) = interface.medium else { return Err(frame) };
        let expected = headers.ethernet.destination == own
            && headers.ethernet.source.is_unicast()
            && headers.ethernet.source != own
            && bytes.len() == frame.len()
            && !frame.flags().intersects(LINK_GROUP)
            && destination == interface.ipv4.address
            && interface.plain
            && self.raw.slots.used() == 0
            && is_host(source)
            && source != interface.broadcast
            && self.address_bits & address_bit(source) == 0;
        if !expected || !sums_are_right(headers, bytes) {
            return Err(frame);
        }
        let netif_handle = NetifHandle(key);
        let flow = Flow {
            local: SocketAddrV4::new(destination, headers.udp.destination_port()),
            remote: SocketAddrV4::new(source, headers.udp.source_port()),
            lite: false,
        };
        let info = PacketInfo {
            netif: netif_handle,
            source,
            destination,
            destination_port: flow.local.port(),
            cast: Cast::Unicast,
            protocol: protocol::UDP,
            ttl: headers.ip.ttl(),
            tos: headers.ip.tos(),
            header_len: ipv4::HEADER_LEN as u8,
            total_len: (bytes.len() - ethernet::HEADER_LEN) as u16,
        };
        let octets = bytes.len() as u64;
        let Some(pcb) = self.udp.find_quickly(&self.hash_key, &flow, netif_handle) else { return Err(frame) };
        let Some(pcb) = self.udp.slots.key_at(pcb as usize) else { return Err(frame) };
        if frame.remove_header(UdpFrame::LEN).is_err() {
            return Err(frame);
        }
        self.current = Some(info);
        count!(self.counters.link.received);
        count!(self.counters.ip.received);
        count!(self.counters.ip.delivered);
        count!(self.counters.udp.received);
        count!(self.counters.udp.delivered);
        count!(interface.counters.in_octets, octets);
        count!(interface.counters.in_unicast);
        Ok(Arrival { pcb, from: flow.remote, data: frame })
    }

    /// Sends a datagram the short way. `Err` is the data, untouched, for the general way.
    #[inline]
    pub(super) fn udp_depart(&mut self, key: Key, remote: SocketAddrV4, mut data: Pbuf) -> Result<(), Pbuf> {
        let Some(pcb) = self.udp.slots.get(key) else { return Err(data) };
        let hop = match &self.recent_hop {
            Some(hop) if hop.plain && hop.destination == *remote.ip() => hop,
            _ => return Err(data),
        };
        let Some(station) = self.neighbours.recent(hop.netif, hop.next) else { return Err(data) };
        let Some(interface) = self.netifs.at_mut(hop.netif) else { return Err(data) };
        let Medium::Ethernet(own) = interface.medium else { return Err(data) };
        let udp_len = HEADER_LEN + data.len();
        let total_len = ipv4::HEADER_LEN + udp_len;
        let expected = pcb.is_plain()
            && remote.port() != 0
            && total_len <= usize::from(hop.mtu)
            && interface.has_room()
            && data.payload().len() == data.len();
        if !expected {
            return Err(data);
        }
        let (source, destination) = (hop.source, *remote.ip());
        let (from_port, to_port) = (pcb.flow.local.port(), remote.port());
        let checksum = pseudo_v4(source, destination, protocol::UDP, udp_len as u16)
            .add_u16(from_port)
            .add_u16(to_port)
            .add_u16(udp_len as u16)
            .add_bytes(data.payload())
            .finish_nonzero();
        match data.add_header(UdpFrame::LEN).map(|headers| headers.first_chunk_mut()) {
            Ok(Some(headers)) => {
                let ether_type = EtherType::IPV4.0.into();
                let fields = Ipv4Fields {
                    tos: pcb.tos,
                    total_len: total_len as u16,
                    identification: self.identification.next(),
                    dont_fragment: false,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: pcb.ttl,
                    protocol: protocol::UDP,
                    source,
                    destination,
                };
                let frame = UdpFrame {
                    ethernet: EthernetHeader { destination: station, source: own, ether_type },
                    ip: fields.header(),
                    udp: UdpHeader::new(from_port, to_port, udp_len as u16, checksum),
                };
                frame.write(headers);
            }
            _ => return Err(data),
        }
        if let Err((_, mut frame)) = interface.enqueue(data, true) {
            // The headers are in the first segment, so this cannot fail.
            let stripped = frame.remove_header(UdpFrame::LEN);
            debug_assert!(stripped.is_ok());
            return Err(frame);
        }
        count!(self.counters.udp.sent);
        count!(self.counters.ip.sent);
        count!(self.counters.link.sent);
        Ok(())
    }
}

impl UdpPcb {
    /// Whether nothing about its datagrams is out of the ordinary.
    #[inline]
    fn is_plain(&self) -> bool {
        self.class == Class::Wildcard && !self.flow.lite && self.netif.is_none() && !self.no_checksum
    }
}

/// Whether an address is one host's and not the host's own.
#[inline]
fn is_host(address: Ipv4Addr) -> bool {
    let first = address.to_bits() >> 24;
    (1..=223).contains(&first) && first != 127
}

/// Whether both checksums are there and right.
#[inline(always)]
#[allow(clippy::inline_always, reason = "called once")]
fn sums_are_right(headers: &UdpFrame, frame: &[u8]) -> bool {
    let (ip_header, datagram) = frame[ethernet::HEADER_LEN..].split_at(ipv4::HEADER_LEN);
    let pseudo =
        pseudo_v4(headers.ip.source(), headers.ip.destination(), protocol::UDP, headers.udp.length());
    headers.udp.checksum() != 0 && header_checksum_ok(ip_header) && pseudo.add_bytes(datagram).verifies()
}
