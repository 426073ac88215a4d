//! Segments out: headers, options, checksums.

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::checksum::Sum;
use coracle_wire::ipv4::protocol;
use coracle_wire::tcp::{
    CHECKSUM_OFFSET, HEADER_LEN, MAX_OPTIONS_LEN, SackBlocks, TcpFields, TcpFlags, TcpOptions, options_len,
    write_header, write_options, write_timestamps,
};

use super::flow::Flow;
use super::pcb::ticks;
use super::pmtu::headers;
use super::sequence::Seq;
use super::state::Flags;
use crate::address::{Address, Endpoint};
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::output::Send;
use crate::ip::sum::pseudo;
use crate::ip::way::Hop;
use crate::netif::Checksums;

/// The bytes of the timestamps option, padded.
const TIMESTAMPS_LEN: usize = coracle_wire::tcp::TIMESTAMPS_LEN;

/// The bytes of the option for one block of selectively acknowledged data, padded; each further block takes 8.
const BLOCK_LEN: usize = 12;

/// The room that there is for segments.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Frames that the device takes.
    pub(super) frames: usize,
    /// The way to the peer is known up to the next station, so that several segments may leave at once.
    pub(super) straight: bool,
}

impl Room {
    const ONE: Self = Self { frames: 1, straight: false };
}

/// A segment that is to leave.
pub(super) struct Outgoing {
    pub(super) seq: Seq,
    pub(super) flags: TcpFlags,
    /// Of more than a full segment if it is a train ([`Conn::train`](super::conn::Conn::train)).
    pub(super) data: Option<Pbuf>,
    /// Its data was never sent before.
    pub(super) fresh: bool,
}

/// A TCP header with its options.
struct Header {
    bytes: [u8; HEADER_LEN + MAX_OPTIONS_LEN],
    len: usize,
}

impl Engine {
    /// What the device takes of a connection's segments. Where there is no way to the peer, there is no device to wait
    /// for either.
    #[inline]
    pub(super) fn tcp_room(&mut self, position: u32) -> Room {
        let Some(pcb) = self.tcp.slots.at(position as usize) else { return Room::ONE };
        let (remote, netif, path) = (pcb.flow.remote.address, pcb.netif, pcb.path_mss);
        match self.route_to(remote, netif) {
            Ok(&Hop { local: true, .. }) => {
                Room { frames: self.config.backlog.saturating_sub(self.looped.len()), straight: false }
            }
            Ok(&Hop { netif, checksums, mtu, .. }) => Room {
                frames: self.netifs.at(netif).map_or(1, crate::netif::Interface::room),
                straight: self.neighbours.is_settled()
                    && checksums.contains(Checksums::GENERATE_TCP)
                    && mtu >= path.saturating_add(headers(remote)),
            },
            Err(_) => Room::ONE,
        }
    }

    /// Sends a segment of a connection: with it go the acknowledgment and the window of now.
    pub(super) fn tcp_emit(&mut self, position: u32, outgoing: Outgoing) -> Result<(), Error> {
        let now = ticks(self.now);
        let pcb = self.tcp.slots.at_mut(position as usize).ok_or(Error::Closed)?;
        let Outgoing { seq, mut flags, data, fresh } = outgoing;
        let syn = flags.contains(TcpFlags::SYN);
        let window = if syn { pcb.receive_buffer.min(u32::from(u16::MAX)) as u16 } else { pcb.announce() };
        let mut urgent = 0;
        // What asks for a window, or whether the peer lives, has an old sequence number, and nothing urgent by that.
        if pcb.urgent_sent.after(seq) && pcb.urgent_sent.after(pcb.una) && !syn {
            // [RFC 9293 MUST-30] Each segment tells of the end, however far it is [MUST-31].
            flags |= TcpFlags::URG;
            urgent = pcb.urgent_sent.since(seq).min(u32::from(u16::MAX)) as u16;
        }
        let mut ecn_bits = 0;
        if pcb.ecn.is_on() && !syn {
            // [3168-1] What is sent again is not marked.
            let (marks, bits) =
                if fresh && data.is_some() { pcb.ecn.new_data() } else { (pcb.ecn.flags(), 0) };
            flags |= marks;
            ecn_bits = bits;
        }
        let acknowledges = flags.contains(TcpFlags::ACK);
        let mut fields = TcpFields {
            source_port: pcb.flow.local.port,
            destination_port: pcb.flow.remote.port,
            sequence: seq.0,
            acknowledgment: if acknowledges { pcb.rcv_nxt.0 } else { 0 },
            header_len: HEADER_LEN,
            flags,
            accurate_ecn: false,
            window,
            urgent_pointer: urgent,
        };
        // A segment that is full has no room for blocks [RFC 9293 MUST-16]: an acknowledgment of its own has them.
        let plain = pcb.held.is_empty() && pcb.duplicate.is_none();
        let full = !plain
            && usize::from(pcb.path_mss) < data.as_ref().map_or(0, Pbuf::len) + TIMESTAMPS_LEN + BLOCK_LEN;
        let tos = pcb.tos | ecn_bits;
        if syn {
            let header = Header::with_options(fields, &pcb.syn_options(now, acknowledges));
            self.tcp_send_of(position, tos, &header, data)?;
        } else if plain || full {
            let times = (now.wrapping_add(pcb.ts_offset), pcb.ts_recent);
            let times = pcb.flags.has(Flags::TIMESTAMPS).then_some(times);
            fields.header_len += if times.is_some() { TIMESTAMPS_LEN } else { 0 };
            if let Some(train) = data.as_ref().filter(|data| data.len() > usize::from(pcb.mss)) {
                self.tcp_depart_train(position, &fields, tos, times, train)?;
            } else if let Err(data) = self.tcp_depart(position, &fields, tos, times, data) {
                self.tcp_send_of(position, tos, &Header::plain(fields, times), data)?;
            }
        } else {
            let room = usize::from(pcb.path_mss).saturating_sub(data.as_ref().map_or(0, Pbuf::len));
            let options = pcb.selective_options(now, &self.tcp.held, room);
            self.tcp_send_of(position, tos, &Header::with_options(fields, &options), data)?;
        }
        if acknowledges
            && (plain || !full)
            && let Some(pcb) = self.tcp.slots.at_mut(position as usize)
        {
            pcb.flags.clear(Flags::ACK_NOW.union(Flags::ACK_LATER));
            pcb.unacknowledged = 0;
            pcb.last_ack = pcb.rcv_nxt;
            pcb.duplicate = None;
        }
        Ok(())
    }

    /// Answers a segment that belongs to no connection, or to one that does not want it [RFC 9293 §3.10.7.1].
    pub(super) fn tcp_send_reset(
        &mut self,
        flow: &Flow,
        seq: Seq,
        ack: Option<Seq>,
        times: Option<(u32, u32)>,
    ) {
        let flags = if ack.is_some() { TcpFlags::RST | TcpFlags::ACK } else { TcpFlags::RST };
        let fields = TcpFields {
            source_port: flow.local.port,
            destination_port: flow.remote.port,
            sequence: seq.0,
            acknowledgment: ack.unwrap_or_default().0,
            flags,
            ..TcpFields::default()
        };
        let header = Header::plain(fields, times);
        match self.tcp_send(flow, None, (self.config.default_ttl, 0), &header, None) {
            Ok(()) => count!(self.counters.tcp.resets_sent),
            Err(_) => count!(self.counters.tcp.send_failed),
        }
    }

    /// Sends a segment without a connection, with an acknowledgment: for TIME-WAIT.
    pub(super) fn tcp_send_bare(
        &mut self,
        flow: &Flow,
        fields: TcpFields,
        options: &TcpOptions,
        marks: (u8, u8),
    ) {
        let header = Header::with_options(fields, options);
        if self.tcp_send(flow, None, marks, &header, None).is_err() {
            count!(self.counters.tcp.send_failed);
        }
    }

    /// Sends a segment of a connection the general way.
    #[inline(never)]
    fn tcp_send_of(
        &mut self,
        position: u32,
        tos: u8,
        header: &Header,
        data: Option<Pbuf>,
    ) -> Result<(), Error> {
        let pcb = self.tcp.slots.at(position as usize).ok_or(Error::Closed)?;
        let (flow, ttl, netif) = (pcb.flow, pcb.ttl, pcb.netif);
        self.tcp_send(&flow, netif, (ttl, tos), header, data)
    }

    /// Puts a segment together and hands it to IP, with the type of service of now as it is
    /// [RFC 9293 SHLD-21, SHLD-22].
    fn tcp_send(
        &mut self,
        flow: &Flow,
        netif: Option<crate::netif::NetifHandle>,
        (ttl, tos): (u8, u8),
        header: &Header,
        data: Option<Pbuf>,
    ) -> Result<(), Error> {
        let checksums = self.route_to(flow.remote.address, netif)?.checksums;
        let mut segment = small_pbuf(&self.memory, Layer::Ip, header.len)?;
        let sum = checksums.contains(Checksums::GENERATE_TCP).then(|| {
            let len = header.len + data.as_ref().map_or(0, Pbuf::len);
            let sum = pseudo(flow.local.address, flow.remote.address, protocol::TCP, len);
            checksum(sum.add_bytes(&header.bytes[..header.len]), data.as_ref())
        });
        let bytes = segment.payload_mut()?;
        bytes[..header.len].copy_from_slice(&header.bytes[..header.len]);
        // [RFC 9293 MUST-2]
        if let Some(sum) = sum {
            bytes[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
        }
        if let Some(data) = data
            && let Err((error, _)) = segment.cat(data)
        {
            return Err(error);
        }
        let send = Send::new(flow.local.address, flow.remote.address, protocol::TCP, (ttl, tos));
        let send = send.of_flow(&self.label_key, (flow.local.port, flow.remote.port));
        let send = Send { dont_fragment: self.config.tcp.path_mtu_discovery, ..send };
        self.ip_send(Some(&send), segment)?;
        Ok(())
    }

    /// The bytes of a segment that fit the way to a peer, options not counted; and the address to speak from.
    pub(super) fn tcp_path(
        &mut self,
        remote: Endpoint,
        netif: Option<crate::netif::NetifHandle>,
    ) -> Result<(u16, Address), Error> {
        let most = self.config.tcp.mss;
        let hop = self.route_to(remote.address, netif)?;
        if hop.cast != crate::ip::Cast::Unicast {
            return Err(Error::Value);
        }
        if !hop.has_source() {
            return Err(Error::Route);
        }
        Ok((hop.mtu.saturating_sub(headers(remote.address)).min(most), hop.source))
    }
}

impl Header {
    #[inline]
    fn plain(mut fields: TcpFields, timestamps: Option<(u32, u32)>) -> Self {
        let mut header = Self { bytes: [0; HEADER_LEN + MAX_OPTIONS_LEN], len: HEADER_LEN };
        let (first, options) = header.bytes.split_at_mut(HEADER_LEN);
        if let Some((value, echo)) = timestamps
            && let Some(place) = options.first_chunk_mut::<TIMESTAMPS_LEN>()
        {
            write_timestamps(place, value, echo);
            header.len += TIMESTAMPS_LEN;
        }
        fields.header_len = header.len;
        if let Some(place) = first.first_chunk_mut() {
            write_header(place, &fields);
        }
        header
    }

    #[cold]
    fn with_options(fields: TcpFields, options: &TcpOptions) -> Self {
        let mut header = Self { bytes: [0; HEADER_LEN + MAX_OPTIONS_LEN], len: HEADER_LEN };
        header.len += options_len(options);
        let (first, rest) = header.bytes.split_at_mut(HEADER_LEN);
        write_options(rest, options);
        if let Some(place) = first.first_chunk_mut() {
            write_header(place, &TcpFields { header_len: header.len, ..fields });
        }
        header
    }
}

impl super::pcb::TcpPcb {
    /// What our SYN offers; in an answer, only what the peer offered, too. The segment size is always told
    /// [RFC 9293 SHLD-5, MAY-3], is told here alone [MUST-65], and is what the link takes in one piece
    /// [MUST-67, SHLD-6].
    fn syn_options(&self, now: u32, answer: bool) -> TcpOptions {
        // [7323-6]
        let echo = if answer { self.ts_recent } else { 0 };
        let times = (now.wrapping_add(self.ts_offset), echo);
        TcpOptions {
            mss: Some(self.path_mss.min(self.mss_limit)),
            window_scale: self.flags.has(Flags::SCALING).then_some(self.receive_scale),
            timestamps: self.flags.has(Flags::TIMESTAMPS).then_some(times),
            sack_permitted: self.flags.has(Flags::SACK),
            ..TcpOptions::default()
        }
    }

    /// What an acknowledgment says of data that came before its time, or twice [RFC 2018 §4] [RFC 2883 §4].
    #[cold]
    fn selective_options(&self, now: u32, held: &super::reassembly::HeldPool, room: usize) -> TcpOptions {
        let timestamps = self.flags.has(Flags::TIMESTAMPS);
        let mut sack = SackBlocks::new();
        if self.flags.has(Flags::SACK) {
            if let Some((start, end)) = self.duplicate {
                sack.push(start.0, end.0);
            }
            let times = if timestamps { TIMESTAMPS_LEN } else { 0 };
            let blocks = room.saturating_sub(times + BLOCK_LEN - 8) / 8;
            let room = (SackBlocks::MOST - usize::from(timestamps)).min(blocks).saturating_sub(sack.len());
            for (left, right) in self.held.sack_blocks(held, room).iter() {
                sack.push(left, right);
            }
        }
        let times = (now.wrapping_add(self.ts_offset), self.ts_recent);
        TcpOptions { timestamps: timestamps.then_some(times), sack, ..TcpOptions::default() }
    }
}

/// The checksum over header and data.
#[inline]
fn checksum(sum: Sum, data: Option<&Pbuf>) -> u16 {
    match data {
        Some(data) => crate::ip::sum::add_part(sum, data, 0, data.len()).finish(),
        None => sum.finish(),
    }
}
