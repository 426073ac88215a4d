//! IPv4 out: where a packet goes, and its headers, all written at once in front of it.

use core::net::Ipv4Addr;

use coracle_buf::{Error, Layer, Memory, Pbuf};
use coracle_wire::ipv4::{CHECKSUM_OFFSET, HEADER_LEN, Ipv4Fields, write_header};
use coracle_wire::{EtherType, MacAddr, udp};

use super::packet::Cast;
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::error::Rejected;
use crate::icmp::is_one_host;
use crate::link::arp::Resolution;
use crate::netif::{Checksums, Interface, Medium, NetifHandle};
use crate::random::Identification;

/// The next step of a packet's way.
#[derive(Clone, Copy)]
pub(crate) struct Hop {
    /// For which destination, and through which interface only, if one was demanded.
    pub(crate) destination: Ipv4Addr,
    pub(crate) demanded: Option<NetifHandle>,
    pub(crate) netif: usize,
    /// The neighbour to hand it to: the destination itself, or a router.
    pub(crate) next: Ipv4Addr,
    pub(crate) cast: Cast,
    /// The destination is ourselves.
    pub(crate) local: bool,
    /// The link has no stations that would need to be known.
    pub(crate) stationless: bool,
    /// The address that packets are sent from unless the sender chooses another one; see [`Hop::has_source`].
    pub(crate) source: Ipv4Addr,
    /// To one station on a plain Ethernet, wherever the sender has no wishes of its own.
    pub(crate) plain: bool,
    /// The interface's.
    pub(crate) mtu: u16,
    /// The interface's.
    pub(crate) checksums: Checksums,
}

impl Hop {
    /// Whether there is an address to send from. A host without an address may only call to everybody on the link,
    /// to get one [RFC 1122 §3.2.1.3].
    #[inline]
    pub(crate) fn has_source(&self) -> bool {
        !self.source.is_unspecified() || self.destination == Ipv4Addr::BROADCAST
    }
}

/// What goes into the header of a packet.
pub(crate) struct Send {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    /// Routers must not cut it [RFC 1191].
    pub(crate) dont_fragment: bool,
    /// The transport's header, unless the data begins with it.
    pub(crate) transport: Option<[u8; TRANSPORT_LEN]>,
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
    /// [1122-IP-12] Finds the way to a destination; [`Error::Route`] when there is none.
    ///
    /// A `demanded` interface is the only one tried. What is sent to an address of ours comes back.
    #[inline]
    pub(crate) fn ipv4_route(
        &mut self,
        destination: Ipv4Addr,
        demanded: Option<NetifHandle>,
    ) -> Result<&Hop, Error> {
        let recent = |hop: &Hop| hop.destination == destination && hop.demanded == demanded;
        if !self.recent_hop.as_ref().is_some_and(recent) {
            self.ipv4_new_route(destination, demanded);
        }
        self.recent_hop.as_ref().ok_or(Error::Route)
    }

    #[inline(never)]
    fn ipv4_new_route(&mut self, destination: Ipv4Addr, demanded: Option<NetifHandle>) {
        self.recent_hop = self.ipv4_find_route(destination, demanded);
        if self.recent_hop.is_none() {
            count!(self.counters.ip.no_route);
        }
    }

    fn ipv4_find_route(&self, destination: Ipv4Addr, demanded: Option<NetifHandle>) -> Option<Hop> {
        let hop = |netif: NetifHandle, next, cast, local| {
            let interface = self.netifs.get(netif.0)?;
            let source = if local { destination } else { self.ipv4_source(interface, destination) };
            let to_station = cast == Cast::Unicast && !local && !source.is_unspecified();
            Some(Hop {
                destination,
                demanded,
                netif: netif.0.index as usize,
                next,
                cast,
                // The loopback interface has no device: whatever goes there comes back.
                local: local || interface.medium == Medium::Loopback,
                stationless: !matches!(interface.medium, Medium::Ethernet(_)),
                source,
                plain: to_station && interface.plain && demanded.is_none(),
                mtu: interface.mtu,
                checksums: interface.checksums,
            })
        };
        if let Some(owner) = self.local_netif(destination) {
            return hop(owner, destination, Cast::Unicast, true);
        }
        if destination.is_loopback() {
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

    /// Sends data behind the transport's, the IP and the link's header. All of them are written in front of the data where it lies; only data that has no room there gets a segment before it.
    /// Without a `send` the data begins with an IP header of its own.
    #[inline]
    pub(crate) fn ipv4_send(&mut self, hop: &Hop, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        let own_len = send.map_or(0, Send::headers_len);
        if own_len + data.len() > usize::from(hop.mtu) {
            count!(self.counters.ip.too_big);
            return Err(Rejected::new(Error::Value, data));
        }
        let station = match hop.cast {
            _ if hop.local => None,
            Cast::Unicast if hop.stationless => Some(MacAddr::ZERO),
            Cast::Unicast => self.neighbours.recent(hop.netif, hop.next),
            Cast::Broadcast => Some(MacAddr::BROADCAST),
            Cast::Multicast => Some(MacAddr::multicast_v4(hop.destination)),
        };
        match station {
            Some(station) => self.ipv4_send_to(station, hop, send, data),
            None => self.ipv4_send_slowly(hop, send, data),
        }
    }

    /// Sends to a group that this host may be a member of itself, and listens to it there [RFC 1112 §6.1].
    #[cold]
    pub(crate) fn ipv4_send_and_loop(
        &mut self,
        hop: &Hop,
        send: Option<&Send>,
        data: Pbuf,
    ) -> Result<(), Rejected> {
        if !hop.local && self.groups.contains(&self.hash_key, hop.netif as u32, hop.destination) {
            let local = Hop { local: true, ..*hop };
            if let Err(rejected) = self.ipv4_send(&local, send, data.clone()) {
                return Err(Rejected::new(rejected.error, data));
            }
        }
        self.ipv4_send(hop, send, data)
    }

    /// Sends by the device, to a station on its link.
    #[inline(never)]
    fn ipv4_send_to(
        &mut self,
        station: MacAddr,
        hop: &Hop,
        send: Option<&Send>,
        data: Pbuf,
    ) -> Result<(), Rejected> {
        let Some(interface) = self.netifs.at_mut(hop.netif) else {
            return Err(Rejected::new(Error::Route, data));
        };
        if !interface.has_room() {
            count!(self.counters.ip.queue_full);
            return Err(Rejected::new(Error::WouldBlock, data));
        }
        let link = Some((&*interface, station));
        let frame = match with_headers(&self.memory, &mut self.identification, link, send, data) {
            Ok(frame) => frame,
            Err(rejected) => return Err(self.ipv4_out_of_memory(rejected)),
        };
        if let Err((error, frame)) = interface.enqueue(frame, hop.cast == Cast::Unicast) {
            return Err(strip(error, frame, interface.link_header_len(), send));
        }
        count!(self.counters.ip.sent);
        count!(self.counters.link.sent);
        Ok(())
    }

    /// Sends to ourselves, or to a neighbour other than the last one: where its station is not known, the packet
    /// waits.
    #[cold]
    fn ipv4_send_slowly(&mut self, hop: &Hop, send: Option<&Send>, data: Pbuf) -> Result<(), Rejected> {
        let waits_at = if hop.local {
            if self.looped.len() >= self.config.backlog {
                count!(self.counters.ip.queue_full);
                return Err(Rejected::new(Error::WouldBlock, data));
            }
            None
        } else {
            match self.resolve(hop.netif, hop.next) {
                Ok(Resolution::Known(station)) => {
                    return self.ipv4_send_to(station, hop, send, data);
                }
                Ok(Resolution::Wait(position)) => Some(position),
                Err(error) => return Err(Rejected::new(error, data)),
            }
        };
        let interface = self.netifs.at(hop.netif);
        let link = interface.filter(|_| !hop.local).map(|interface| (interface, MacAddr::ZERO));
        let link_len = link.map_or(0, |(interface, _)| interface.link_header_len());
        let packet = match with_headers(&self.memory, &mut self.identification, link, send, data) {
            Ok(packet) => packet,
            Err(rejected) => return Err(self.ipv4_out_of_memory(rejected)),
        };
        let kept = match waits_at {
            Some(position) => self.wait_for_neighbour(position, packet),
            None => self.loop_back(hop.netif, packet),
        };
        if let Err((error, packet)) = kept {
            return Err(strip(error, packet, link_len, send));
        }
        count!(self.counters.ip.sent);
        Ok(())
    }

    #[cold]
    fn ipv4_out_of_memory(&mut self, rejected: Rejected) -> Rejected {
        count!(self.counters.ip.memory);
        rejected
    }
}

/// Puts the headers of the link, of IP and of the transport in front of data. A packet without a `link` goes to
/// ourselves, and has a right checksum whatever the interface.
#[inline]
fn with_headers(
    memory: &Memory,
    identification: &mut Identification,
    link: Option<(&Interface, MacAddr)>,
    send: Option<&Send>,
    mut data: Pbuf,
) -> Result<Pbuf, Rejected> {
    let link_len = link.map_or(0, |(interface, _)| interface.link_header_len());
    let own_len = send.map_or(0, Send::headers_len);
    let headers_len = link_len + own_len;
    let total_len = own_len + data.len();
    let chained = data.payload().len() != data.len();
    if (chained && data.needs_copy()) || data.add_header(headers_len).is_err() {
        data = with_header_segment(memory, data)?;
        if let Err(error) = data.add_header(headers_len) {
            return Err(Rejected::new(error, data));
        }
    }
    let (link_header, own_headers) = match data.payload_mut() {
        Ok(bytes) => bytes[..headers_len].split_at_mut(link_len),
        Err(error) => return Err(Rejected::new(error, data)),
    };
    if let Some(send) = send
        && let Some((ip_header, transport_header)) = own_headers.split_first_chunk_mut::<HEADER_LEN>()
    {
        if let (Some(transport), Some(header)) = (&send.transport, transport_header.first_chunk_mut()) {
            *header = *transport;
        }
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
        if link.is_some_and(|(interface, _)| !interface.checksums.contains(Checksums::GENERATE_IP)) {
            ip_header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
        }
    }
    if let Some((interface, station)) = link {
        interface.write_link_header(link_header, station, EtherType::IPV4);
    }
    Ok(data)
}

/// Puts a segment for headers before data that has no room for them: shared or read-only bytes. Bytes that may
/// change behind our back are copied, as the frame is going to wait in a queue.
#[cold]
fn with_header_segment(memory: &Memory, data: Pbuf) -> Result<Pbuf, Rejected> {
    let data = data.into_owned().map_err(|(error, data)| Rejected::new(error, data))?;
    let mut head = match small_pbuf(memory, Layer::Ip, TRANSPORT_LEN) {
        Ok(head) => head,
        Err(error) => return Err(Rejected::new(error, data)),
    };
    if head.remove_header(TRANSPORT_LEN).is_err() {
        return Err(Rejected::new(Error::Buffer, data));
    }
    match head.cat(data) {
        Ok(()) => Ok(head),
        Err((error, data)) => Err(Rejected::new(error, data)),
    }
}

/// Gives data back that was not taken, without the headers that were put before it.
#[cold]
fn strip(error: Error, mut frame: Pbuf, link_len: usize, send: Option<&Send>) -> Rejected {
    let own_len = send.map_or(0, Send::headers_len);
    // The headers are in the first segment, so this cannot fail.
    let stripped = frame.remove_header(link_len + own_len);
    debug_assert!(stripped.is_ok());
    Rejected::new(error, frame)
}
