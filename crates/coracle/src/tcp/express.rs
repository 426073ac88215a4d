//! The short way of the segments that nearly all are: whole, plain, between two stations of one Ethernet.
//!
//! Each direction is one straight run over all three headers, which either does everything that the general way would
//! do, or leaves everything as it was for the general way to look closer. It never refuses anything itself.

use core::net::{Ipv4Addr, SocketAddrV4};

use coracle_buf::{Layer, Pbuf};
use coracle_wire::EtherType;
use coracle_wire::checksum::pseudo_v4;
use coracle_wire::ethernet::{self, EthernetHeader};
use coracle_wire::ipv4::{self, Ipv4Fields, header_checksum_ok, protocol};
use coracle_wire::tcp::{TIMESTAMPS_LEN, TcpFields, TcpFrame, TcpOptions, add_timestamps, write_timestamps};

use super::Flow;
use super::segment::Segment;
use crate::counters::count;
use crate::engine::{Engine, LINK_GROUP, small_pbuf};
use crate::event::Event;
use crate::ip::input::address_bit;
use crate::ip::sum::add_part;
use crate::netif::Medium;

impl Engine {
    /// Takes a frame from a device the short way. `Err` is the frame, untouched, for the general way.
    #[inline]
    pub(crate) fn tcp_arrival(&mut self, netif: usize, mut frame: Pbuf) -> Result<Option<Event>, Pbuf> {
        let Some(interface) = self.netifs.at_mut(netif) else { return Err(frame) };
        let bytes = frame.payload();
        let Some((headers, options)) = TcpFrame::read(bytes) else { return Err(frame) };
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
        let times = TcpOptions::read_timestamps_only(options);
        if times.is_none() && !options.is_empty() {
            return Err(frame);
        }
        let flow = Flow {
            local: SocketAddrV4::new(destination, headers.tcp.destination_port()),
            remote: SocketAddrV4::new(source, headers.tcp.source_port()),
        };
        let Some(position) = self.tcp.find(&self.hash_key, &flow) else { return Err(frame) };
        let (octets, headers_len) = (bytes.len(), TcpFrame::LEN + options.len());
        let segment = Segment::new(&headers.tcp, (octets - headers_len) as u32, headers.ip.tos());
        if frame.remove_header(headers_len).is_err() {
            return Err(frame);
        }
        count!(self.counters.link.received);
        count!(self.counters.ip.received);
        count!(self.counters.ip.delivered);
        count!(self.counters.tcp.segments_received);
        count!(interface.counters.in_octets, octets as u64);
        count!(interface.counters.in_unicast);
        let options = TcpOptions { timestamps: times, ..TcpOptions::default() };
        Ok(self.tcp_deliver(position, &segment, &options, frame))
    }

    /// Sends a segment of a connection, with timestamps or without options, the short way. `Err` is the data,
    /// untouched, for the general way.
    #[inline]
    pub(super) fn tcp_depart(
        &mut self,
        position: u32,
        fields: &TcpFields,
        tos: u8,
        times: Option<(u32, u32)>,
        data: Option<Pbuf>,
    ) -> Result<(), Option<Pbuf>> {
        let Some(pcb) = self.tcp.slots.at(position as usize) else { return Err(data) };
        let flow = &pcb.flow;
        let hop = match &self.recent_hop {
            Some(hop) if hop.plain && hop.destination == *flow.remote.ip() && pcb.netif.is_none() => hop,
            _ => return Err(data),
        };
        let Some(station) = self.neighbours.recent(hop.netif, hop.next) else { return Err(data) };
        let Some(interface) = self.netifs.at_mut(hop.netif) else { return Err(data) };
        let Medium::Ethernet(own) = interface.medium else { return Err(data) };
        let data_len = data.as_ref().map_or(0, Pbuf::len);
        let tcp_len = fields.header_len + data_len;
        let total_len = ipv4::HEADER_LEN + tcp_len;
        if total_len > usize::from(hop.mtu) || !interface.has_room() {
            return Err(data);
        }
        let (source, destination) = (*flow.local.ip(), *flow.remote.ip());
        let mut sum = fields.add_to(pseudo_v4(source, destination, protocol::TCP, tcp_len as u16));
        if let Some((value, echo)) = times {
            sum = add_timestamps(sum, value, echo);
        }
        if let Some(data) = &data {
            sum = add_part(sum, data, 0, data_len);
        }
        let headers_len = ethernet::HEADER_LEN + ipv4::HEADER_LEN + fields.header_len;
        let Ok(mut frame) = small_pbuf(&self.memory, Layer::Raw, headers_len) else { return Err(data) };
        let room = frame.payload_mut().ok().and_then(|bytes| bytes.split_first_chunk_mut());
        let Some((headers, options)) = room else { return Err(data) };
        let ip = Ipv4Fields {
            tos,
            total_len: total_len as u16,
            identification: self.identification.next(),
            dont_fragment: self.config.tcp.path_mtu_discovery,
            more_fragments: false,
            fragment_offset: 0,
            ttl: pcb.ttl,
            protocol: protocol::TCP,
            source,
            destination,
        };
        let ether_type = EtherType::IPV4.0.into();
        let ethernet = EthernetHeader { destination: station, source: own, ether_type };
        TcpFrame { ethernet, ip: ip.header(), tcp: fields.header().with_checksum(sum.finish()) }
            .write(headers);
        if let Some((value, echo)) = times
            && let Some(place) = options.first_chunk_mut::<TIMESTAMPS_LEN>()
        {
            write_timestamps(place, value, echo);
        }
        if let Some(data) = data
            && let Err((_, data)) = frame.cat(data)
        {
            return Err(Some(data));
        }
        // A new frame is in no other queue, so this cannot fail.
        let queued = interface.enqueue(frame, true);
        debug_assert!(queued.is_ok());
        count!(self.counters.ip.sent);
        count!(self.counters.link.sent);
        Ok(())
    }
}

/// Whether an address is one host's and not the host's own.
#[inline]
fn is_host(address: Ipv4Addr) -> bool {
    let first = address.to_bits() >> 24;
    (1..=223).contains(&first) && first != 127
}

/// Whether both checksums are right.
#[inline(always)]
#[allow(clippy::inline_always, reason = "called once")]
fn sums_are_right(headers: &TcpFrame, frame: &[u8]) -> bool {
    let (ip_header, segment) = frame[ethernet::HEADER_LEN..].split_at(ipv4::HEADER_LEN);
    let (source, destination) = (headers.ip.source(), headers.ip.destination());
    let pseudo = pseudo_v4(source, destination, protocol::TCP, segment.len() as u16);
    header_checksum_ok(ip_header) && pseudo.add_bytes(segment).verifies()
}
