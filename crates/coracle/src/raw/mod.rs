//! Raw IP: control blocks that see whole packets of one protocol before the stack does.

use coracle_buf::{Arena, Error, Pbuf};
use coracle_wire::checksum::{Sum, checksum};
use coracle_wire::ipv4::{CHECKSUM_OFFSET, Ipv4Header, header_checksum_ok};
#[cfg(feature = "ipv6")]
use coracle_wire::ipv6::Ipv6Header;

use crate::address::{Address, Family};
use crate::counters::count;
use crate::engine::{Engine, Entry};
use crate::error::Rejected;
use crate::event::Event;
use crate::ip::output::Send;
#[cfg(feature = "ipv6")]
use crate::ip::sum::pseudo;
use crate::ip::{Cast, Received};
use crate::multicast::Member;
use crate::netif::NetifHandle;
use crate::table::{Index, Key, NONE, Slots};

/// A raw control block.
pub(crate) struct RawPcb {
    pub(crate) protocol: u8,
    pub(crate) local: Address,
    pub(crate) remote: Option<Address>,
    pub(crate) netif: Option<NetifHandle>,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) multicast_ttl: u8,
    pub(crate) multicast_netif: Option<NetifHandle>,
    pub(crate) multicast_loop: bool,
    pub(crate) broadcast: bool,
    /// What is sent begins with its own IP header.
    pub(crate) header_included: bool,
    /// Where in the data the stack puts a checksum over it, if anywhere.
    pub(crate) checksum_offset: Option<u16>,
}

/// What a sender says of one packet; what it leaves out is the control block's.
#[derive(Clone, Copy, Default)]
pub(crate) struct Target {
    pub(crate) destination: Option<Address>,
    pub(crate) netif: Option<NetifHandle>,
    pub(crate) source: Option<Address>,
}

/// All raw control blocks, found by protocol.
pub(crate) struct RawTable {
    pub(crate) slots: Slots<RawPcb>,
    index: Index,
    /// The control block that comes after the one that has the present packet, if it is still there.
    next: Option<Key>,
    claimed: bool,
}

impl RawTable {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let slots = Slots::new(arena, capacity)?;
        let index = Index::new(arena, capacity)?;
        Ok(Self { slots, index, next: None, claimed: false })
    }

    /// Whether any control block may want packets of a protocol.
    #[inline]
    pub(crate) fn is_wanted(&self, protocol: u8) -> bool {
        self.slots.used() != 0 && self.index.first(hash(protocol)) != NONE
    }

    /// Whether a raw control block was offered the present packet.
    #[inline]
    pub(crate) fn was_claimed(&self) -> bool {
        self.claimed
    }

    /// Forgets the packet before.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.claimed = false;
    }

    /// The first control block of a chain, from a position on, that matches.
    fn find(&self, mut at: u32, matches: impl Fn(u32, &RawPcb) -> bool) -> Option<u32> {
        while at != NONE {
            if self.slots.at(at as usize).is_some_and(|pcb| matches(at, pcb)) {
                return Some(at);
            }
            at = self.index.next(at);
        }
        None
    }
}

/// Protocols are few and not chosen by a peer: the number itself spreads them.
fn hash(protocol: u8) -> u32 {
    u32::from(protocol)
}

impl RawPcb {
    fn takes(&self, info: &Received) -> bool {
        self.protocol == info.protocol
            && self.netif.is_none_or(|netif| netif == info.netif)
            && self.local.takes(info.destination)
            && self.remote.is_none_or(|remote| remote == info.source)
    }
}

impl Engine {
    pub(crate) fn raw_new(&mut self, protocol: u8) -> Result<Key, Error> {
        let key = self.raw.slots.insert(RawPcb {
            protocol,
            local: Address::ANY,
            remote: None,
            netif: None,
            ttl: self.config.default_ttl,
            tos: 0,
            multicast_ttl: 1,
            multicast_netif: None,
            multicast_loop: false,
            broadcast: false,
            header_included: false,
            checksum_offset: None,
        })?;
        self.raw.index.insert(hash(protocol), key.index);
        Ok(key)
    }

    pub(crate) fn raw_remove(&mut self, key: Key) {
        if let Some(pcb) = self.raw.slots.remove(key) {
            self.raw.index.remove(hash(pcb.protocol), key.index);
            self.groups_forget_owner(Member::Raw(key.index));
        }
    }

    /// Offers a packet to the raw control blocks of its protocol.
    #[cold]
    #[inline(never)]
    pub(crate) fn raw_input(&mut self, packet: Pbuf) -> Option<Event> {
        let info = &self.current?;
        let first = self.raw_taker(self.raw.index.first(hash(info.protocol)), info);
        self.raw_offer(info, packet, first)
    }

    /// A control block handed a packet back: offer it to the next one, or let the stack have it.
    pub(crate) fn raw_returned(&mut self, packet: Option<Pbuf>) -> Option<Event> {
        let Some(packet) = packet else {
            count!(self.counters.raw.eaten);
            return None;
        };
        let info = self.current?;
        // The application had the packet in its hands: look again at what the stack relies on.
        let intact = packet.len() == info.total_len as usize
            && match info.destination.family() {
                Family::V4 => Ipv4Header::read(packet.payload()).is_ok_and(|header| {
                    header.header_len() == usize::from(info.header_len) && header.protocol() == info.protocol
                }),
                // Extension headers are not gone through again: what they lead to reads its own header with care.
                #[cfg(feature = "ipv6")]
                Family::V6 => {
                    Ipv6Header::read(packet.payload()).is_ok_and(|header| header.total_len() == packet.len())
                }
            };
        if !intact {
            count!(self.counters.raw.eaten);
            return None;
        }
        let next = self.raw.next.take().filter(|&key| self.raw.slots.get(key).is_some()).map(|key| key.index);
        self.raw_offer(&info, packet, next)
    }

    #[cold]
    fn raw_offer(&mut self, info: &Received, packet: Pbuf, pcb: Option<u32>) -> Option<Event> {
        let Some(pcb) = pcb else {
            return self.enter(Entry::Offered, info.netif.slot(), packet);
        };
        let next = self.raw_taker(self.raw.index.next(pcb), info);
        self.raw.next = next.and_then(|next| self.raw.slots.key_at(next as usize));
        self.raw.claimed = true;
        count!(self.counters.raw.offered);
        Some(Event::Packet { pcb, packet })
    }

    /// The first control block of a chain, from a position on, that takes a packet, and listens to its source if it went
    /// to a group [RFC 3376 §3.2].
    fn raw_taker(&self, at: u32, info: &Received) -> Option<u32> {
        self.raw.find(at, |at, pcb| {
            let (netif, owner) = (info.netif.0.index, Member::Raw(at));
            let hears =
                || self.multicast.delivers(&self.hash_key, owner, netif, info.destination, info.source);
            pcb.takes(info) && (info.cast != Cast::Multicast || hears())
        })
    }

    /// An interface's address changed: what was bound to the old one is bound to the new one.
    pub(crate) fn raw_rebind(&mut self, old: Address, new: Address) {
        for position in 0..self.raw.slots.capacity() {
            if let Some(pcb) = self.raw.slots.at_mut(position)
                && pcb.local == old
            {
                pcb.local = new;
            }
        }
    }

    /// The control block that sent a packet which an ICMP error is about.
    pub(crate) fn raw_find_sender(&self, protocol: u8, source: Address, destination: Address) -> Option<u32> {
        self.raw.find(self.raw.index.first(hash(protocol)), |_, pcb| {
            pcb.protocol == protocol
                && pcb.local.takes(source)
                && pcb.remote.is_none_or(|remote| remote == destination)
        })
    }

    /// Sends data, or a packet with its own header, from a control block.
    pub(crate) fn raw_send(&mut self, key: Key, target: &Target, data: Pbuf) -> Result<(), Rejected> {
        let sent = self.raw_try_send(key, target, data);
        match sent {
            Ok(()) => count!(self.counters.raw.sent),
            Err(_) => count!(self.counters.raw.send_failed),
        }
        sent
    }

    fn raw_try_send(&mut self, key: Key, target: &Target, mut data: Pbuf) -> Result<(), Rejected> {
        match self.raw_prepare(key, target, &mut data) {
            Ok((Cast::Multicast, send)) if self.raw_loops(key) => self.ip_send_and_loop(send.as_ref(), data),
            Ok((_, send)) => self.ip_send(send.as_ref(), data),
            Err(error) => Err(Rejected::new(error, data)),
        }
    }

    fn raw_loops(&self, key: Key) -> bool {
        self.raw.slots.get(key).is_some_and(|pcb| pcb.multicast_loop)
    }

    /// What a packet of a control block needs to be sent: its way, and its header unless it has one of its own.
    fn raw_prepare(
        &mut self,
        key: Key,
        target: &Target,
        data: &mut Pbuf,
    ) -> Result<(Cast, Option<Send>), Error> {
        let pcb = self.raw.slots.get(key).ok_or(Error::Closed)?;
        let included = if pcb.header_included { Some(own_header(data)?) } else { None };
        let destination =
            target.destination.or(pcb.remote).or(included.map(|(_, to)| to)).ok_or(Error::NotConnected)?;
        let multicast = destination.is_multicast();
        let demanded = target.netif.or(pcb.netif).or(if multicast { pcb.multicast_netif } else { None });
        let ttl = if multicast { pcb.multicast_ttl } else { pcb.ttl };
        let (broadcast, checksum_offset) = (pcb.broadcast, pcb.checksum_offset);
        let bound = Some(pcb.local).filter(|local| !local.is_unspecified());
        let mut send = Send::new(Address::ANY, destination, pcb.protocol, (ttl, pcb.tos));
        let hop = *self.route_to(destination, demanded)?;
        if hop.cast == Cast::Broadcast && !broadcast {
            return Err(Error::Value);
        }
        if let Some((source, _)) = included {
            self.check_source(&hop, source)?;
            return Ok((hop.cast, None));
        }
        send.source = match target.source.or(bound) {
            Some(source) => {
                self.check_source(&hop, source)?;
                source
            }
            None if hop.has_source() => hop.source,
            None => return Err(Error::Route),
        };
        send.dont_fragment = hop.dont_fragment;
        if let Some(offset) = checksum_offset {
            put_checksum(data, offset.into(), &send)?;
        }
        Ok((hop.cast, Some(send)))
    }
}

/// The source and destination of a packet with a header of its own, which must be well-formed and as long as the
/// packet; its checksum is put right.
fn own_header(packet: &mut Pbuf) -> Result<(Address, Address), Error> {
    #[cfg(feature = "ipv6")]
    if let Ok(header) = Ipv6Header::read(packet.payload()) {
        if header.total_len() != packet.len() || header.hop_limit() == 0 {
            return Err(Error::Value);
        }
        // The zone is that of the interface by which it will leave; only what reaches farther has none.
        let (source, destination) = (header.source().into(), header.destination().into());
        return Ok((Address::from_ip(source, None)?, Address::from_ip(destination, None)?));
    }
    let header = Ipv4Header::read(packet.payload()).map_err(|_| Error::Value)?;
    if header.total_len() != packet.len() || header.ttl() == 0 {
        return Err(Error::Value);
    }
    let (len, addresses) = (header.header_len(), (header.source().into(), header.destination().into()));
    if !header_checksum_ok(&packet.payload()[..len]) {
        packet.take_at(CHECKSUM_OFFSET, &[0, 0])?;
        let checksum = checksum(&packet.payload()[..len]);
        packet.take_at(CHECKSUM_OFFSET, &checksum.to_be_bytes())?;
    }
    Ok(addresses)
}

/// Writes the Internet checksum over all of the data into it; with IPv6, over the pseudo-header too, as every protocol
/// has it there [RFC 8200 §8.1] [RFC 3542 §3.1].
fn put_checksum(data: &mut Pbuf, offset: usize, send: &Send) -> Result<(), Error> {
    data.take_at(offset, &[0, 0])?;
    let begun = match send.destination.family() {
        Family::V4 => Sum::new(),
        #[cfg(feature = "ipv6")]
        Family::V6 => pseudo(send.source, send.destination, send.protocol, data.len()),
    };
    let checksum = begun.add_chain(data.segments()).finish();
    data.take_at(offset, &checksum.to_be_bytes())
}
