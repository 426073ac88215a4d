//! Trains: full segments that leave one behind the other. Their headers are made once, and differ in few places; one
//! record has them all.

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::checksum::Sum;
use coracle_wire::ipv4::{self, protocol};
use coracle_wire::tcp::{
    CHECKSUM_OFFSET, HEADER_LEN, TIMESTAMPS_LEN, TcpFields, TcpFlags, add_timestamps, write_timestamps,
};

use super::conn::Conn;
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::Cast;
use crate::ip::output::{Send, header_len};
use crate::ip::sum::{add_part, pseudo};
use crate::ip::way::Hop;
use crate::netif::Checksums;
use crate::random::Identification;

/// The longest train. It takes as many references and buffers for headers at once.
const MOST_SEGMENTS: usize = 44;

/// The most bytes of headers in front of the data: link, IP, TCP with timestamps.
const MOST_HEADERS: usize = 18 + 40 + HEADER_LEN + TIMESTAMPS_LEN;

/// Where the sequence number and the flags are in TCP's header.
const SEQUENCE: usize = 4;
const FLAGS: usize = 13;

impl Conn<'_> {
    /// How many bytes leave at once, if a segment of `len` bytes may: that many, or all full segments that may leave,
    /// as long as each looks like the first.
    #[inline]
    pub(super) fn train(&self, len: u32, frames: usize) -> u32 {
        let pcb = &*self.pcb;
        let mss = u32::from(pcb.mss);
        let bytes = (pcb.unsent.bytes() as u32).min(pcb.usable()).min(pcb.loss.allowance(&pcb.congestion));
        // After a silence the first segment finds out what the window is now.
        if len != mss || bytes < 2 * mss || pcb.loss.is_empty() {
            return len;
        }
        let count = ((bytes / mss) as usize).min(frames).min(MOST_SEGMENTS);
        let plain = pcb.held.is_empty()
            && pcb.duplicate.is_none()
            && !pcb.urgent_sent.after(pcb.una)
            && !pcb.ecn.has_to_tell()
            && pcb.loss.is_calm();
        if plain && self.memory.can_send_pieces(count) { count as u32 * mss } else { len }
    }
}

/// The headers of all segments of a train that are as long as its first.
struct Template {
    bytes: [u8; MOST_HEADERS],
    /// Where TCP's begins.
    tcp_at: usize,
    len: usize,
    /// Of pseudo-header and TCP header, without the sequence number and PSH.
    sum: Sum,
    /// Each packet has a number of its own, as those of IPv4 have.
    numbered: bool,
    ip_checksum: bool,
}

impl Engine {
    /// Sends a train, whose first segment has these fields. The way to the peer is known.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] and others when it ends too soon: what did not leave is missed like what the network loses.
    pub(super) fn tcp_depart_train(
        &mut self,
        position: u32,
        fields: &TcpFields,
        tos: u8,
        times: Option<(u32, u32)>,
        data: &Pbuf,
    ) -> Result<(), Error> {
        let pcb = self.tcp.slots.at(position as usize).ok_or(Error::Closed)?;
        let mss = usize::from(pcb.mss);
        let hop = self.recent_hop.as_ref().ok_or(Error::Route)?;
        let interface = self.netifs.at_mut(hop.netif).ok_or(Error::Route)?;
        let flow = pcb.flow;
        let send = Send::new(flow.local.address, flow.remote.address, protocol::TCP, (pcb.ttl, tos));
        let send = send.of_flow(&self.label_key, (flow.local.port, flow.remote.port));
        let send = Send { dont_fragment: self.config.tcp.path_mtu_discovery, ..send };
        let numbers = &mut self.identification;
        let mut template = Template::new(hop, send, fields, times, mss, numbers).ok_or(Error::Value)?;
        let push = fields.flags.contains(TcpFlags::PSH);
        let (mut left, mut seq) = (data.len(), fields.sequence);
        for piece in data.pieces(mss) {
            let piece = piece?;
            let len = piece.len();
            left -= len;
            if len < mss {
                // The last one, when there was no memory to cut the train where it should end.
                template = Template::new(hop, send, fields, times, len, numbers).ok_or(Error::Value)?;
            }
            let mut frame = small_pbuf(&self.memory, Layer::Raw, template.len)?;
            let headers = frame.payload_mut()?;
            template.write(headers, seq, numbers.next(), push && left == 0, &piece).ok_or(Error::Buffer)?;
            frame.cat(piece).map_err(|(error, _)| error)?;
            interface.enqueue(frame, hop.cast == Cast::Unicast).map_err(|(error, _)| error)?;
            count!(self.counters.ip_of(send.destination).sent);
            count!(self.counters.link.sent);
            seq = seq.wrapping_add(len as u32);
        }
        Ok(())
    }
}

impl Template {
    /// For segments with `mss` bytes of data.
    fn new(
        hop: &Hop,
        send: Send,
        fields: &TcpFields,
        times: Option<(u32, u32)>,
        mss: usize,
        identification: &mut Identification,
    ) -> Option<Self> {
        let (link_len, tcp_len) = (hop.link_len(), fields.header_len + mss);
        let ip_len = header_len(send.destination);
        let tcp_at = link_len + ip_len;
        let mut bytes = [0; MOST_HEADERS];
        hop.write_headers(&mut bytes, link_len, Some(send), ip_len + tcp_len, identification);
        let fields = TcpFields { sequence: 0, flags: fields.flags.without(TcpFlags::PSH), ..*fields };
        let mut sum = fields.add_to(pseudo(send.source, send.destination, protocol::TCP, tcp_len));
        let (header, options) = bytes.get_mut(tcp_at..)?.split_first_chunk_mut()?;
        fields.header().put(header);
        if let Some((value, echo)) = times {
            write_timestamps(options.first_chunk_mut()?, value, echo);
            sum = add_timestamps(sum, value, echo);
        }
        let numbered = send.destination.is_v4();
        let ip_checksum = hop.checksums.contains(Checksums::GENERATE_IP);
        Some(Self { bytes, tcp_at, len: tcp_at + fields.header_len, sum, numbered, ip_checksum })
    }

    /// Writes the headers in front of a piece of the data.
    #[inline]
    fn write(&self, into: &mut [u8], seq: u32, id: u16, push: bool, piece: &Pbuf) -> Option<()> {
        into.copy_from_slice(self.bytes.get(..into.len())?);
        let (ip, tcp) = into.split_at_mut_checked(self.tcp_at)?;
        if self.numbered {
            let ip = ip.last_chunk_mut()?;
            ipv4::renumber(ip, id);
            if !self.ip_checksum {
                ip[ipv4::CHECKSUM_OFFSET..ipv4::CHECKSUM_OFFSET + 2].fill(0);
            }
        }
        let tcp: &mut [u8; HEADER_LEN] = tcp.first_chunk_mut()?;
        let mut sum = add_part(self.sum.add_u32(seq), piece, 0, piece.len());
        if push {
            tcp[FLAGS] |= TcpFlags::PSH.bits();
            sum = sum.add_u16(TcpFlags::PSH.bits().into());
        }
        tcp[SEQUENCE..SEQUENCE + 4].copy_from_slice(&seq.to_be_bytes());
        tcp[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum.finish().to_be_bytes());
        Some(())
    }
}
