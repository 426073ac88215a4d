//! IPv4 out: where a packet goes, and its headers, all written at once in front of it.

use core::net::Ipv4Addr;

use coracle_buf::{Error, Layer, Memory, Pbuf};
use coracle_wire::ipv4::{CHECKSUM_OFFSET, HEADER_LEN, Ipv4Fields, write_header};
use coracle_wire::udp::{self, UdpHeader};
use coracle_wire::{EtherType, MacAddr};

use super::packet::Cast;
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::error::Rejected;
use crate::icmp::is_one_host;
use crate::link::LinkHeader;
use crate::link::arp::Resolution;
use crate::netif::{Checksums, Interface, Medium, NetifHandle};
use crate::random::Identification;

/// The next step of a packet's way.
#[derive(Clone, Copy)]
pub(crate) struct Hop {
    /// For which destination; through which interface only, if one was demanded; and from which address, if the
    /// sender chose one.
    pub(crate) destination: Ipv4Addr,
    from: Ipv4Addr,
    pub(crate) demanded: Option<NetifHandle>,
    pub(crate) netif: usize,
    /// The neighbour to hand it to: the destination itself, or a router.
    pub(crate) next: Ipv4Addr,
    pub(crate) cast: Cast,
    /// The destination is ourselves.
    pub(crate) local: bool,
    /// The link has no stations that would need to be known.
    stationless: bool,
    /// The address that packets are sent from: the chosen one, or the interface's; see [`Hop::has_source`].
    pub(crate) source: Ipv4Addr,
    /// The interface's.
    pub(crate) mtu: u16,
    /// The interface's.
    pub(crate) checksums: Checksums,
    /// What the link puts in front of a packet, while [`Neighbours`](crate::link::neighbours::Neighbours) says that
    /// it holds.
    link: LinkHeader,
}

impl Hop {
    #[inline]
    pub(crate) fn is_for(
        &self,
        destination: Ipv4Addr,
        demanded: Option<NetifHandle>,
        from: Ipv4Addr,
    ) -> bool {
        self.destination == destination && self.from == from && self.demanded == demanded
    }

    /// Whether there is an address to send from. A host without an address may only call to everybody on the link,
    /// to get one [RFC 1122 §3.2.1.3].
    #[inline]
    pub(crate) fn has_source(&self) -> bool {
        !self.source.is_unspecified() || self.destination == Ipv4Addr::BROADCAST
    }
}

/// What goes into the header of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Send {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    /// Nobody on the way may cut it.
    pub(crate) dont_fragment: bool,
    /// The transport's header, unless the data begins with it.
    pub(crate) transport: Option<UdpHeader>,
}

impl Send {
    /// The bytes that IP and the transport put in front of the data.
    #[inline]
    fn headers_len(&self) -> usize {
        if self.transport.is_some() { HEADER_LEN + TRANSPORT_LEN } else { HEADER_LEN }
    }
}

/// The length of a header that a transport hands down beside the data: UDP's.
const TRANSPORT_LEN: usize = udp::HEADER_LEN;

impl Engine {
    /// [1122-IP-12] Finds the way to a destination; [`Error::Route`] when there is none. What is sent next goes there.
    ///
    /// A `demanded` interface is the only one tried. What is sent to an address of ours comes back.
    #[inline]
    pub(crate) fn ipv4_route(
        &mut self,
        destination: Ipv4Addr,
        demanded: Option<NetifHandle>,
    ) -> Result<&Hop, Error> {
        self.ipv4_route_from(destination, demanded, Ipv4Addr::UNSPECIFIED)
    }

    /// [`ipv4_route`](Self::ipv4_route) for packets from an address that the sender chose, unless it is unspecified.
    /// They leave by the interface that has it, if there is a way and no other is demanded; [`Error::Route`] for an
    /// address that they may not be sent from.
    #[inline]
    pub(crate) fn ipv4_route_from(
        &mut self,
        destination: Ipv4Addr,
        demanded: Option<NetifHandle>,
        from: Ipv4Addr,
    ) -> Result<&Hop, Error> {
        if !self.recent_hop.as_ref().is_some_and(|hop| hop.is_for(destination, demanded, from)) {
            self.ipv4_new_route(destination, demanded, from);
        }
        self.recent_hop.as_ref().ok_or(Error::Route)
    }

    #[cold]
    #[inline(never)]
    fn ipv4_new_route(&mut self, destination: Ipv4Addr, demanded: Option<NetifHandle>, from: Ipv4Addr) {
        self.neighbours.unsettle();
        let owner = match demanded {
            None if !from.is_unspecified() => self.owner_of(from).and_then(|owner| self.netif_handle(owner)),
            _ => demanded,
        };
        self.recent_hop = self.ipv4_find_route(destination, owner);
        let Some(mut hop) = self.recent_hop else {
            count!(self.counters.ip.no_route);
            return;
        };
        hop.demanded = demanded;
        if !from.is_unspecified() {
            (hop.from, hop.source) = (from, from);
            if self.ipv4_own_source(&hop, from).is_err() {
                self.recent_hop = None;
                return;
            }
        }
        self.recent_hop = Some(hop);
    }

    fn ipv4_find_route(&self, destination: Ipv4Addr, demanded: Option<NetifHandle>) -> Option<Hop> {
        let hop = |netif: NetifHandle, next, cast, local| {
            let interface = self.netifs.get(netif.0)?;
            let source = if local { destination } else { self.ipv4_source(interface, destination) };
            Some(Hop {
                destination,
                from: Ipv4Addr::UNSPECIFIED,
                demanded,
                netif: netif.0.index as usize,
                next,
                cast,
                // The loopback interface has no device: whatever goes there comes back.
                local: local || interface.medium == Medium::Loopback,
                stationless: !matches!(interface.medium, Medium::Ethernet(_)),
                source,
                mtu: interface.mtu,
                checksums: interface.checksums,
                link: LinkHeader::NONE,
            })
        };
        if let Some(owner) = self.local_netif(destination) {
            return hop(owner, destination, Cast::Unicast, true);
        }
        if destination.is_loopback() || destination.is_unspecified() {
            // [1122-IP-6] Never outside of the host.
            return None;
        }
        if destination == Ipv4Addr::BROADCAST {
            return hop(self.broadcast_netif(demanded)?, destination, Cast::Broadcast, false);
        }
        let ready = |netif: NetifHandle| self.netifs.get(netif.0).is_some_and(Interface::is_ready);
        if destination.is_multicast() {
            let netif = demanded.or(self.default_multicast_netif).filter(|&netif| ready(netif));
            let netif = netif.or_else(|| self.routes.find(destination, ready).map(|entry| entry.netif));
            return hop(netif.or_else(|| self.broadcast_netif(None))?, destination, Cast::Multicast, false);
        }
        let usable = |netif: NetifHandle| demanded.is_none_or(|demanded| demanded == netif) && ready(netif);
        let entry = self.routes.find(destination, usable)?;
        let interface = self.netifs.get(entry.netif.0)?;
        let on_link = entry.gateway.is_unspecified();
        if on_link && interface.is_broadcast(destination) {
            return hop(entry.netif, destination, Cast::Broadcast, false);
        }
        hop(entry.netif, if on_link { destination } else { entry.gateway }, Cast::Unicast, false)
    }

    /// The interface through which a packet to an address of ours comes back.
    fn local_netif(&self, destination: Ipv4Addr) -> Option<NetifHandle> {
        let owner = match self.owner_of(destination) {
            Some(owner) => Some(owner),
            None if destination.is_loopback() => {
                let loopback =
                    |interface: &Interface| interface.medium == Medium::Loopback && interface.is_ready();
                self.netifs
                    .iter()
                    .find(|(_, interface)| loopback(interface))
                    .map(|(key, _)| key.index as usize)
            }
            None => None,
        };
        let owner = owner.filter(|&owner| self.netifs.at(owner).is_some_and(|interface| interface.up))?;
        self.netif_handle(owner)
    }

    /// Where a packet to everybody goes: the demanded interface, else the default one, else the first that can.
    fn broadcast_netif(&self, demanded: Option<NetifHandle>) -> Option<NetifHandle> {
        let can = |netif: NetifHandle| {
            self.netifs
                .get(netif.0)
                .is_some_and(|interface| interface.is_ready() && interface.medium != Medium::Loopback)
        };
        match demanded {
            Some(demanded) => Some(demanded).filter(|&netif| can(netif)),
            None => self
                .default_netif
                .filter(|&netif| can(netif))
                .or_else(|| self.netifs.iter().map(|(key, _)| NetifHandle(key)).find(|&netif| can(netif))),
        }
    }

    /// The source address of packets that leave by an interface and whose sender chose none [1122-IP-5].
    fn ipv4_source(&self, interface: &Interface, destination: Ipv4Addr) -> Ipv4Addr {
        if interface.has_address() || destination == Ipv4Addr::BROADCAST {
            return interface.ipv4.address;
        }
        let mut others = self.netifs.iter().map(|(_, other)| other.ipv4.address);
        others
            .find(|address| !address.is_unspecified() && !address.is_loopback())
            .unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// Checks a source address that the sender chose: [`Error::Route`] unless it is ours [1122-IP-5], or everything
    /// is on the interface.
    pub(crate) fn ipv4_own_source(&self, hop: &Hop, source: Ipv4Addr) -> Result<(), Error> {
        let accept_any =
            self.netifs.at(hop.netif).is_some_and(|interface| interface.accept_any) && is_one_host(source);
        let asking = source.is_unspecified() && hop.destination == Ipv4Addr::BROADCAST;
        let ours =
            accept_any || asking || self.owner_of(source).is_some() || (source.is_loopback() && hop.local);
        if ours { Ok(()) } else { Err(Error::Route) }
    }

    /// Sends data behind the transport's, the IP and the link's header, where the last call of
    /// [`ipv4_route`](Self::ipv4_route) found that it goes. All of them are written in front of the data where it
    /// lies; only data that has no room there gets a segment before it. Without a `send` the data begins with an IP
    /// header of its own.
    #[inline(never)]
    pub(crate) fn ipv4_send(&mut self, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        self.ipv4_emit(send.copied(), data)
    }

    /// [`ipv4_send`](Self::ipv4_send) within the caller's code, for what is sent most.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "most of the headers is known where it is called")]
    pub(crate) fn ipv4_emit(&mut self, send: Option<Send>, mut data: Pbuf) -> Result<(), Rejected> {
        let own_len = send.as_ref().map_or(0, Send::headers_len);
        let total_len = own_len + data.len();
        if !self.neighbours.is_settled() {
            return self.ipv4_send_slowly(send, data);
        }
        let Some(hop) = &self.recent_hop else { return self.ipv4_send_slowly(send, data) };
        if total_len > usize::from(hop.mtu) {
            return self.ipv4_send_slowly(send, data);
        }
        let interface = match self.netifs.at_mut(hop.netif) {
            Some(interface) if interface.has_room() => interface,
            _ => return Err(self.ipv4_queue_full(data)),
        };
        if data.payload().len() != data.len() && data.needs_copy() {
            return self.ipv4_send_in_two(send, data);
        }
        let link_len = hop.link.len();
        let headers_len = link_len + own_len;
        match data.add_header(headers_len) {
            Ok(bytes) => {
                hop.write_headers(bytes, link_len, send, total_len, &mut self.identification);
            }
            Err(_) => return self.ipv4_send_in_two(send, data),
        }
        if let Err((error, frame)) = interface.enqueue(data, hop.cast == Cast::Unicast) {
            return Err(strip(error, frame, headers_len));
        }
        count!(self.counters.ip.sent);
        count!(self.counters.link.sent);
        Ok(())
    }

    /// Sends data that has no room for headers, or may change behind our back.
    #[cold]
    #[inline(never)]
    fn ipv4_send_in_two(&mut self, send: Option<Send>, data: Pbuf) -> Result<(), Rejected> {
        let Some(hop) = self.recent_hop else { return Err(Rejected::new(Error::Route, data)) };
        let frame = self.ipv4_with_headers(&hop, send.as_ref(), data)?;
        let Some(interface) = self.netifs.at_mut(hop.netif) else {
            return Err(Rejected::new(Error::Route, frame));
        };
        if let Err((error, frame)) = interface.enqueue(frame, hop.cast == Cast::Unicast) {
            return Err(strip(error, frame, hop.headers_len(send.as_ref())));
        }
        count!(self.counters.ip.sent);
        count!(self.counters.link.sent);
        Ok(())
    }

    /// Sends to a group that this host may be a member of itself, and listens to it there [RFC 1112 §6.1].
    #[cold]
    pub(crate) fn ipv4_send_and_loop(&mut self, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        if let Some(hop) = self.recent_hop
            && !hop.local
            && self.groups.contains(&self.hash_key, hop.netif as u32, hop.destination)
            && let Err(rejected) = self.ipv4_send_to_ourselves(&hop, send, data.clone())
        {
            return Err(Rejected::new(rejected.error, data));
        }
        self.ipv4_send(send, data)
    }

    /// Sends to ourselves, or to a neighbour other than the last one: where its station is not known, the packet
    /// waits.
    #[cold]
    #[inline(never)]
    fn ipv4_send_slowly(&mut self, send: Option<Send>, data: Pbuf) -> Result<(), Rejected> {
        let Some(mut hop) = self.recent_hop else { return Err(Rejected::new(Error::Route, data)) };
        if send.as_ref().map_or(0, Send::headers_len) + data.len() > usize::from(hop.mtu) {
            count!(self.counters.ip.too_big);
            return Err(Rejected::new(Error::Value, data));
        }
        if hop.local {
            return self.ipv4_send_to_ourselves(&hop, send.as_ref(), data);
        }
        let resolved = match hop.cast {
            Cast::Unicast if hop.stationless => Ok(Resolution::Known(MacAddr::ZERO)),
            Cast::Unicast => self.resolve(hop.netif, hop.next),
            Cast::Broadcast => Ok(Resolution::Known(MacAddr::BROADCAST)),
            Cast::Multicast => Ok(Resolution::Known(MacAddr::multicast_v4(hop.destination))),
        };
        let (station, waits_at) = match resolved {
            Ok(Resolution::Known(station)) => (station, None),
            Ok(Resolution::Wait(position)) => (MacAddr::ZERO, Some(position)),
            Err(error) => return Err(Rejected::new(error, data)),
        };
        let Some(interface) = self.netifs.at(hop.netif) else {
            return Err(Rejected::new(Error::Route, data));
        };
        hop.link = interface.link_header(station, EtherType::IPV4);
        if let Some(position) = waits_at {
            return self.ipv4_let_wait(position, &hop, send.as_ref(), data);
        }
        self.recent_hop = Some(hop);
        self.neighbours.settle();
        self.ipv4_send(send.as_ref(), data)
    }

    /// Lets a packet wait for the station of its neighbour.
    fn ipv4_let_wait(
        &mut self,
        position: usize,
        hop: &Hop,
        send: Option<&Send>,
        data: Pbuf,
    ) -> Result<(), Rejected> {
        let packet = self.ipv4_with_headers(hop, send, data)?;
        if let Err((error, packet)) = self.wait_for_neighbour(position, packet) {
            return Err(strip(error, packet, hop.headers_len(send)));
        }
        count!(self.counters.ip.sent);
        Ok(())
    }

    fn ipv4_send_to_ourselves(&mut self, hop: &Hop, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        if self.looped.len() >= self.config.backlog {
            return Err(self.ipv4_queue_full(data));
        }
        // A packet to ourselves has a right checksum whatever the interface.
        let hop = Hop { link: LinkHeader::NONE, checksums: Checksums::ALL, ..*hop };
        let packet = self.ipv4_with_headers(&hop, send, data)?;
        if let Err((error, packet)) = self.loop_back(hop.netif, packet) {
            return Err(strip(error, packet, hop.headers_len(send)));
        }
        count!(self.counters.ip.sent);
        Ok(())
    }

    /// Puts the headers in front of data, or, where there is no room, into a segment before it. Bytes that may change
    /// behind our back are copied, as the frame is going to wait in a queue.
    #[cold]
    #[inline(never)]
    fn ipv4_with_headers(
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
                count!(self.counters.ip.memory);
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
    fn ipv4_queue_full(&mut self, data: Pbuf) -> Rejected {
        count!(self.counters.ip.queue_full);
        Rejected::new(Error::WouldBlock, data)
    }
}

impl Hop {
    /// Bytes of the link's header.
    #[inline]
    pub(crate) fn link_len(&self) -> usize {
        self.link.len()
    }

    fn headers_len(&self, send: Option<&Send>) -> usize {
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
        let Some((ip_header, rest)) = own_headers.split_first_chunk_mut::<HEADER_LEN>() else { return };
        let fields = Ipv4Fields {
            tos: send.tos,
            total_len: total_len as u16,
            identification: identification.next(),
            dont_fragment: send.dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
            ttl: send.ttl,
            protocol: send.protocol,
            source: send.source,
            destination: send.destination,
        };
        write_header(ip_header, &fields);
        if !self.checksums.contains(Checksums::GENERATE_IP) {
            ip_header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
        }
        if let (Some(transport), Some(header)) = (send.transport, rest.first_chunk_mut()) {
            transport.put(header);
        }
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
fn strip(error: Error, mut frame: Pbuf, headers_len: usize) -> Rejected {
    // The headers are in the first segment, so this cannot fail.
    let stripped = frame.remove_header(headers_len);
    debug_assert!(stripped.is_ok());
    Rejected::new(error, frame)
}
