//! IP out: the headers of a packet, all written at once in front of it, and where it goes from there.

use coracle_buf::{Error, Layer, Memory, Pbuf};
use coracle_wire::ipv4::{self, Ipv4Fields};
#[cfg(feature = "ipv6")]
use coracle_wire::ipv6::{self, Ipv6Fields};
use coracle_wire::udp::{self, UdpHeader};
use coracle_wire::{EtherType, MacAddr};

use super::packet::Cast;
use super::way::Hop;
use crate::address::{Address, Family};
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::error::Rejected;
use crate::link::LinkHeader;
use crate::link::resolve::Resolution;
use crate::netif::Checksums;
use crate::random::{HashKey, Identification};

/// What goes into the header of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Send {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) protocol: u8,
    /// Time-to-live or hop limit.
    pub(crate) ttl: u8,
    /// Type of service or traffic class.
    pub(crate) tos: u8,
    /// Nobody on the way may cut it.
    pub(crate) dont_fragment: bool,
    /// What the packets of one flow have in common [RFC 6437].
    #[cfg(feature = "ipv6")]
    pub(crate) flow_label: u32,
    /// The transport's header, unless the data begins with it.
    pub(crate) transport: Option<UdpHeader>,
}

impl Send {
    /// What most packets say; `marks` are the time-to-live and the type of service.
    pub(crate) fn new(source: Address, destination: Address, protocol: u8, (ttl, tos): (u8, u8)) -> Self {
        Self {
            source,
            destination,
            protocol,
            ttl,
            tos,
            dont_fragment: false,
            #[cfg(feature = "ipv6")]
            flow_label: 0,
            transport: None,
        }
    }

    /// The same as a packet of the flow between two ports: a label that nobody can guess, the same for all of them
    /// [RFC 6437 §3].
    #[inline]
    #[must_use]
    pub(crate) fn of_flow(self, key: &HashKey, ports: (u16, u16)) -> Self {
        #[cfg(feature = "ipv6")]
        if !self.destination.is_v4() {
            let ends = self.source.word(key).rotate_left(32) ^ self.destination.word(key);
            let rest = u64::from(ports.0) << 32 | u64::from(ports.1) << 16 | u64::from(self.protocol);
            return Self { flow_label: key.hash(ends, rest) & 0xf_ffff, ..self };
        }
        let _ = (key, ports);
        self
    }

    /// The bytes that IP and the transport put in front of the data.
    #[inline]
    fn headers_len(&self) -> usize {
        let ip = header_len(self.destination);
        if self.transport.is_some() { ip + TRANSPORT_LEN } else { ip }
    }
}

/// The length of the IP header of packets to an address.
#[inline]
pub(crate) fn header_len(destination: Address) -> usize {
    match destination.family() {
        Family::V4 => ipv4::HEADER_LEN,
        #[cfg(feature = "ipv6")]
        Family::V6 => ipv6::HEADER_LEN,
    }
}

/// The length of a header that a transport hands down beside the data: UDP's.
const TRANSPORT_LEN: usize = udp::HEADER_LEN;

impl Engine {
    /// Sends data behind the transport's, the IP and the link's header, where the last call of
    /// [`route_to`](Self::route_to) found that it goes. All of them are written in front of the data where it
    /// lies; only data that has no room there gets a segment before it. Without a `send` the data begins with an IP
    /// header of its own.
    #[inline(never)]
    pub(crate) fn ip_send(&mut self, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        self.ip_emit(send.copied(), data)
    }

    /// [`ip_send`](Self::ip_send) within the caller's code, for what is sent most.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "most of the headers is known where it is called")]
    pub(crate) fn ip_emit(&mut self, send: Option<Send>, mut data: Pbuf) -> Result<(), Rejected> {
        let own_len = send.as_ref().map_or(0, Send::headers_len);
        let total_len = own_len + data.len();
        if !self.neighbours.is_settled() {
            return self.ip_send_slowly(send, data);
        }
        let Some(hop) = &self.recent_hop else { return self.ip_send_slowly(send, data) };
        if total_len > usize::from(hop.mtu) {
            return self.ip_send_slowly(send, data);
        }
        let interface = match self.netifs.at_mut(hop.netif) {
            Some(interface) if interface.has_room() => interface,
            _ => return Err(self.ip_queue_full(data)),
        };
        if data.payload().len() != data.len() && data.needs_copy() {
            return self.ip_send_in_two(send, data);
        }
        let link_len = hop.link.len();
        let headers_len = link_len + own_len;
        match data.add_header(headers_len) {
            Ok(bytes) => {
                hop.write_headers(bytes, link_len, send, total_len, &mut self.identification);
            }
            Err(_) => return self.ip_send_in_two(send, data),
        }
        if let Err((error, frame)) = interface.enqueue(data, hop.cast == Cast::Unicast) {
            return Err(strip(error, frame, headers_len));
        }
        count!(self.counters.ip_of(hop.destination).sent);
        count!(self.counters.link.sent);
        Ok(())
    }

    /// Sends data that has no room for headers, or may change behind our back.
    #[cold]
    #[inline(never)]
    fn ip_send_in_two(&mut self, send: Option<Send>, data: Pbuf) -> Result<(), Rejected> {
        let Some(hop) = self.recent_hop else { return Err(Rejected::new(Error::Route, data)) };
        let frame = self.ip_with_headers(&hop, send.as_ref(), data)?;
        let Some(interface) = self.netifs.at_mut(hop.netif) else {
            return Err(Rejected::new(Error::Route, frame));
        };
        if let Err((error, frame)) = interface.enqueue(frame, hop.cast == Cast::Unicast) {
            return Err(strip(error, frame, hop.headers_len(send.as_ref())));
        }
        count!(self.counters.ip_of(hop.destination).sent);
        count!(self.counters.link.sent);
        Ok(())
    }

    /// Sends to a group that this host may be a member of itself, and listens to it there [RFC 1112 §6.1].
    #[cold]
    pub(crate) fn ip_send_and_loop(&mut self, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        if let Some(hop) = self.recent_hop
            && !hop.local
            && self.multicast.contains(&self.hash_key, hop.netif as u32, hop.destination)
            && let Err(rejected) = self.ip_send_to_ourselves(&hop, send, data.clone())
        {
            return Err(Rejected::new(rejected.error, data));
        }
        self.ip_send(send, data)
    }

    /// Sends to ourselves, or to a neighbour other than the last one: where its station is not known, the packet
    /// waits.
    #[cold]
    #[inline(never)]
    fn ip_send_slowly(&mut self, send: Option<Send>, data: Pbuf) -> Result<(), Rejected> {
        let Some(mut hop) = self.recent_hop else { return Err(Rejected::new(Error::Route, data)) };
        let len = send.as_ref().map_or(0, Send::headers_len) + data.len();
        let (path_mtu, mut long) = (hop.mtu, len > usize::from(hop.mtu));
        if long && !hop.local && hop.is_to_stay_whole(send.as_ref(), &data) {
            hop.mtu = self.netifs.at(hop.netif).map_or(0, |interface| interface.mtu_for(hop.destination));
            if len > usize::from(hop.mtu) {
                count!(self.counters.ip_of(hop.destination).too_big);
                return Err(Rejected::new(Error::Value, data));
            }
            // It fits the link; a router that cannot send it on tells its sender.
            long = false;
        }
        if hop.local && !long {
            return self.ip_send_to_ourselves(&hop, send.as_ref(), data);
        }
        let resolved = match hop.cast {
            Cast::Unicast if hop.stationless => Ok(Resolution::Known(MacAddr::ZERO)),
            Cast::Unicast => self.resolve(hop.netif, hop.next),
            Cast::Broadcast => Ok(Resolution::Known(MacAddr::BROADCAST)),
            Cast::Multicast => Ok(Resolution::Known(group_station(hop.destination))),
        };
        let (station, waits_at) = match resolved {
            Ok(Resolution::Known(station)) => (station, None),
            Ok(Resolution::Wait(position)) => (MacAddr::ZERO, Some(position)),
            Err(error) => return Err(Rejected::new(error, data)),
        };
        hop.link = self.link_header(hop.netif, station, ether_type(hop.next));
        if long {
            return self.ip_send_long(&hop, waits_at, send.as_ref(), data);
        }
        if let Some(position) = waits_at {
            return self.ip_let_wait(position, &hop, send.as_ref(), data);
        }
        self.recent_hop = Some(hop);
        self.neighbours.settle();
        let sent = self.ip_send(send.as_ref(), data);
        if let Some(hop) = &mut self.recent_hop {
            hop.mtu = path_mtu;
        }
        sent
    }

    /// Lets a packet wait for the station of its neighbour.
    pub(super) fn ip_let_wait(
        &mut self,
        position: usize,
        hop: &Hop,
        send: Option<&Send>,
        data: Pbuf,
    ) -> Result<(), Rejected> {
        let packet = self.ip_with_headers(hop, send, data)?;
        if let Err((error, packet)) = self.wait_for_neighbour(position, packet) {
            return Err(strip(error, packet, hop.headers_len(send)));
        }
        count!(self.counters.ip_of(hop.destination).sent);
        Ok(())
    }

    fn ip_send_to_ourselves(&mut self, hop: &Hop, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        if self.looped.len() >= self.config.backlog {
            return Err(self.ip_queue_full(data));
        }
        // A packet to ourselves has a right checksum whatever the interface.
        let hop = Hop { link: LinkHeader::NONE, checksums: Checksums::ALL, ..*hop };
        let packet = self.ip_with_headers(&hop, send, data)?;
        if let Err((error, packet)) = self.loop_back(hop.netif, packet) {
            return Err(strip(error, packet, hop.headers_len(send)));
        }
        count!(self.counters.ip_of(hop.destination).sent);
        Ok(())
    }

    /// Puts the headers in front of data, or, where there is no room, into a segment before it. Bytes that may change
    /// behind our back are copied, as the frame is going to wait in a queue.
    #[cold]
    #[inline(never)]
    pub(super) fn ip_with_headers(
        &mut self,
        hop: &Hop,
        send: Option<&Send>,
        mut data: Pbuf,
    ) -> Result<Pbuf, Rejected> {
        let len = hop.headers_len(send);
        let total_len = len - hop.link.len() + data.len();
        let movable = data.segment_count() == 1 || !data.needs_copy();
        if !movable || data.add_header(len).is_err() {
            data = with_header_segment(&self.memory, len, data).inspect_err(|_| {
                count!(self.counters.ip_of(hop.destination).memory);
            })?;
        }
        match data.payload_mut() {
            Ok(bytes) => {
                hop.write_headers(bytes, hop.link.len(), send.copied(), total_len, &mut self.identification);
            }
            Err(error) => return Err(Rejected::new(error, data)),
        }
        Ok(data)
    }

    #[cold]
    #[inline(never)]
    fn ip_queue_full(&mut self, data: Pbuf) -> Rejected {
        let to = self.recent_hop.as_ref().map_or(Address::ANY_V4, |hop| hop.destination);
        count!(self.counters.ip_of(to).queue_full);
        Rejected::new(Error::WouldBlock, data)
    }
}

impl Hop {
    /// Bytes of the link's header.
    #[inline]
    pub(crate) fn link_len(&self) -> usize {
        self.link.len()
    }

    pub(super) fn headers_len(&self, send: Option<&Send>) -> usize {
        self.link.len() + send.map_or(0, Send::headers_len)
    }

    /// Writes the headers into the first bytes of a frame, whose packet has `total_len` bytes.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "every packet that leaves goes through here")]
    pub(crate) fn write_headers(
        &self,
        frame: &mut [u8],
        link_len: usize,
        send: Option<Send>,
        total_len: usize,
        identification: &mut Identification,
    ) {
        let Some(send) = send else { return self.link.write(frame) };
        let Some(own_headers) = self.link.write_before_packet(frame, link_len) else { return };
        #[cfg(feature = "ipv6")]
        if !send.destination.is_v4() {
            return write_v6(own_headers, &send, total_len, self.ttls);
        }
        let Some((ip_header, rest)) = own_headers.split_first_chunk_mut::<{ ipv4::HEADER_LEN }>() else {
            return;
        };
        let fields = Ipv4Fields {
            tos: send.tos,
            total_len: total_len as u16,
            identification: identification.next(),
            dont_fragment: send.dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
            ttl: send.ttl,
            protocol: send.protocol,
            source: send.source.low(),
            destination: send.destination.low(),
        };
        ipv4::write_header(ip_header, &fields);
        if !self.checksums.contains(Checksums::GENERATE_IP) {
            ip_header[ipv4::CHECKSUM_OFFSET..ipv4::CHECKSUM_OFFSET + 2].fill(0);
        }
        if let (Some(transport), Some(header)) = (send.transport, rest.first_chunk_mut()) {
            transport.put(header);
        }
    }
}

/// Writes the headers of an IPv6 packet of `total_len` bytes.
#[cfg(feature = "ipv6")]
#[inline]
fn write_v6(own_headers: &mut [u8], send: &Send, total_len: usize, (default, wanted): (u8, u8)) {
    let Some((ip_header, rest)) = own_headers.split_first_chunk_mut() else { return };
    let fields = Ipv6Fields {
        traffic_class: send.tos,
        flow_label: send.flow_label,
        payload_len: (total_len - ipv6::HEADER_LEN) as u16,
        next_header: send.protocol,
        hop_limit: if send.ttl == default { wanted } else { send.ttl },
        source: send.source.wire_v6().into(),
        destination: send.destination.wire_v6().into(),
    };
    ipv6::write_header(ip_header, &fields);
    if let (Some(transport), Some(header)) = (send.transport, rest.first_chunk_mut()) {
        transport.put(header);
    }
}

/// The type of frames that carry packets to an address.
pub(super) fn ether_type(next: Address) -> EtherType {
    match next.family() {
        Family::V4 => EtherType::IPV4,
        #[cfg(feature = "ipv6")]
        Family::V6 => EtherType::IPV6,
    }
}

/// The stations that listen to a group [RFC 1112 §6.4] [RFC 2464 §7].
fn group_station(group: Address) -> MacAddr {
    match group.family() {
        Family::V4 => MacAddr::multicast_v4(group.low()),
        #[cfg(feature = "ipv6")]
        Family::V6 => MacAddr::multicast_v6(group.to_v6()),
    }
}

/// Puts a segment of `len` bytes before data.
fn with_header_segment(memory: &Memory, len: usize, data: Pbuf) -> Result<Pbuf, Rejected> {
    let data = data.into_owned().map_err(|(error, data)| Rejected::new(error, data))?;
    let mut head = match small_pbuf(memory, Layer::Raw, len) {
        Ok(head) => head,
        Err(error) => return Err(Rejected::new(error, data)),
    };
    match head.cat(data) {
        Ok(()) => Ok(head),
        Err((error, data)) => Err(Rejected::new(error, data)),
    }
}

/// Gives data back that was not taken, without the headers that were put before it.
#[cold]
pub(super) fn strip(error: Error, mut frame: Pbuf, headers_len: usize) -> Rejected {
    // The headers are in the first segment, so this cannot fail.
    let stripped = frame.remove_header(headers_len);
    debug_assert!(stripped.is_ok());
    Rejected::new(error, frame)
}
