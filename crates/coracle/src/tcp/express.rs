//! The quick way of the segments that nearly all are: with timestamps or no option, of a connection that there is.
//!
//! Each direction is one straight run, which either does everything that the general way would do, or leaves everything
//! as it was for the general way to look closer. It never refuses anything itself.

use coracle_buf::{Layer, Pbuf};
use coracle_wire::ipv4::protocol;
use coracle_wire::tcp::{
    HEADER_LEN, TIMESTAMPS_LEN, TcpFields, TcpHeader, TcpOptions, add_timestamps, write_timestamps,
};

use super::Flow;
use super::segment::Segment;
use crate::address::{Address, Endpoint};
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::event::Event;
use crate::ip::Cast;
use crate::ip::output::{Send, header_len};
use crate::ip::sum::{add_part, pseudo};
use crate::netif::Checksums;

impl Engine {
    /// Takes the present packet, whose IP header begins `at`, the quick way. `Err` is the packet, untouched, for the
    /// general way.
    #[inline]
    pub(crate) fn tcp_arrival(&mut self, mut packet: Pbuf, at: usize) -> Result<Option<Event>, Pbuf> {
        let Some(info) = &self.current else { return Err(packet) };
        let start = at + usize::from(info.header_len);
        let bytes = packet.payload().get(start..).unwrap_or_default();
        let Ok(header) = TcpHeader::read(bytes) else { return Err(packet) };
        let options = bytes.get(HEADER_LEN..header.header_len()).unwrap_or_default();
        let times = TcpOptions::read_timestamps_only(options);
        let whole = start + bytes.len() == packet.len();
        if !whole || info.cast != Cast::Unicast || (times.is_none() && !options.is_empty()) {
            return Err(packet);
        }
        let sum = pseudo(info.source, info.destination, protocol::TCP, bytes.len());
        if self.checks.contains(Checksums::CHECK_TCP) && !sum.add_bytes(bytes).verifies() {
            return Err(packet);
        }
        let flow = Flow {
            local: Endpoint::new(info.destination, header.destination_port()),
            remote: Endpoint::new(info.source, header.source_port()),
        };
        let Some(position) = self.tcp.find(&self.hash_key, &flow) else { return Err(packet) };
        let header_len = header.header_len();
        let segment = Segment::new(header, (bytes.len() - header_len) as u32, info.tos);
        if packet.remove_header(start + header_len).is_err() {
            return Err(packet);
        }
        count!(self.counters.ip_of(info.destination).delivered);
        count!(self.counters.tcp.segments_received);
        let options = TcpOptions { timestamps: times, ..TcpOptions::default() };
        let report = self.tcp_deliver(position, &segment, &options, packet);
        Ok(report.map(|(pcb, report)| Event::Tcp { pcb, report }))
    }

    /// Sends a segment of a connection, with timestamps or without options, the quick way. `Err` is the data,
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
            Some(hop) if hop.is_for(flow.remote.address, pcb.netif, Address::ANY) => hop,
            _ => return Err(data),
        };
        let data_len = data.as_ref().map_or(0, Pbuf::len);
        let tcp_len = fields.header_len + data_len;
        let total_len = header_len(flow.remote.address) + tcp_len;
        let settled = self.neighbours.is_settled() && hop.checksums.contains(Checksums::GENERATE_TCP);
        let Some(interface) = self.netifs.at_mut(hop.netif) else { return Err(data) };
        if !settled || total_len > usize::from(hop.mtu) || !interface.has_room() {
            return Err(data);
        }
        let (source, destination) = (flow.local.address, flow.remote.address);
        let mut sum = fields.add_to(pseudo(source, destination, protocol::TCP, tcp_len));
        if let Some((value, echo)) = times {
            sum = add_timestamps(sum, value, echo);
        }
        if let Some(data) = &data {
            sum = add_part(sum, data, 0, data_len);
        }
        let send = Send::new(source, destination, protocol::TCP, (pcb.ttl, tos));
        let send = send.of_flow(&self.label_key, (flow.local.port, flow.remote.port));
        let send = Send { dont_fragment: self.config.tcp.path_mtu_discovery, ..send };
        let own_headers = hop.link_len() + total_len - tcp_len;
        let Ok(mut frame) = small_pbuf(&self.memory, Layer::Raw, own_headers + fields.header_len) else {
            return Err(data);
        };
        let Ok(bytes) = frame.payload_mut() else { return Err(data) };
        hop.write_headers(bytes, hop.link_len(), Some(send), total_len, &mut self.identification);
        let tcp = bytes.get_mut(own_headers..).and_then(|tcp| tcp.split_first_chunk_mut());
        let Some((header, options)) = tcp else { return Err(data) };
        fields.header().with_checksum(sum.finish()).put(header);
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
        let queued = interface.enqueue(frame, hop.cast == Cast::Unicast);
        debug_assert!(queued.is_ok());
        count!(self.counters.ip_of(destination).sent);
        count!(self.counters.link.sent);
        Ok(())
    }
}
