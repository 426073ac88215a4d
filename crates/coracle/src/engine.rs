//! The engine: all protocol state of a stack, without callbacks, clock or threads.
//!
//! Packets and time go in; frames queue up at the interfaces, and [`Event`]s come out one at a time. Each layer adds
//! its own methods in its own folder; this file holds what they share.

use coracle_buf::{Arena, Error, Kind, Layer, Memory, Pbuf, PbufFlags, PbufQueue};
use coracle_wire::{Malformed, ethernet};

use crate::config::{Config, Limits};
use crate::counters::{Counters, count};
use crate::event::Event;
use crate::hooks::Hooks;
use crate::icmp::RateLimit;
use crate::ip::Received;
use crate::ip::addresses::Addresses;
use crate::ip::input::{RecentSender, Refused};
#[cfg(feature = "ipv6")]
use crate::ip::input_v6::RecentSenderV6;
use crate::ip::paths::Paths;
use crate::ip::reassembly::Reassembly;
use crate::ip::route::Routes;
use crate::ip::way::Hop;
use crate::link::ethernet::LinkTurn;
use crate::link::fdb::Fdb;
use crate::link::neighbours::Neighbours;
use crate::multicast::{Multicast, Room};
#[cfg(feature = "ipv6")]
use crate::nd::{DnsLists, LearnedTable};
use crate::netif::{Checksums, Interface, NetifHandle};
use crate::random::{HashKey, Identification, Random};
use crate::raw::RawTable;
use crate::service::Services;
use crate::table::{Key, Slots};
use crate::tcp::{Ports, TcpTable};
use crate::time::{Instant, Wheel};
use crate::udp::UdpTable;

/// Which timer of the wheel is whose: application timers first, then one for each neighbour, one for each
/// connection, one for TIME-WAIT, one for datagrams of which fragments are missing, one for
/// paths, those of the services.
#[derive(Clone, Copy)]
pub(crate) struct Timers {
    timeouts: usize,
    neighbours: usize,
    tcp: usize,
    #[cfg(feature = "ipv6")]
    addresses: usize,
    netifs: usize,
}

impl Timers {
    #[inline]
    pub(crate) fn neighbour(self, position: usize) -> usize {
        self.timeouts + position
    }

    #[inline]
    pub(crate) fn tcp(self, position: usize) -> usize {
        self.timeouts + self.neighbours + position
    }

    /// The one timer of all connections in TIME-WAIT.
    #[inline]
    pub(crate) fn time_wait(self) -> usize {
        self.timeouts + self.neighbours + self.tcp
    }

    /// The one timer of all that is known of paths.
    #[inline]
    pub(crate) fn paths(self) -> usize {
        self.time_wait() + 2
    }

    /// The one timer of all datagrams of which fragments are missing.
    #[inline]
    pub(crate) fn reassembly(self) -> usize {
        self.time_wait() + 1
    }

    /// The one timer of all that is due to queriers of multicast groups.
    #[inline]
    pub(crate) fn multicast(self) -> usize {
        self.paths() + 1
    }

    /// One for each IPv6 address: its examination, and its ends.
    #[cfg(feature = "ipv6")]
    pub(crate) fn address(self, position: usize) -> usize {
        self.multicast() + 1 + position
    }

    /// One for each interface: routers asked for, or advertised.
    #[cfg(feature = "ipv6")]
    pub(crate) fn nd(self, netif: usize) -> usize {
        self.address(self.addresses) + netif
    }

    /// The one timer of what routers said.
    #[cfg(feature = "ipv6")]
    pub(crate) fn learned(self) -> usize {
        self.nd(self.netifs)
    }

    /// The first timer behind those of IPv6.
    fn behind_ipv6(self) -> usize {
        #[cfg(feature = "ipv6")]
        return self.learned() + 1;
        #[cfg(not(feature = "ipv6"))]
        return self.multicast() + 1;
    }

    /// The timer of an interface that comes to its address by itself.
    #[cfg(feature = "dhcp")]
    pub(crate) fn autoconf(self, netif: usize) -> usize {
        self.behind_ipv6() + netif
    }

    /// The timer of the DHCP server.
    #[cfg(feature = "dhcp-server")]
    pub(crate) fn dhcp_server(self) -> usize {
        self.autoconf(self.netifs)
    }

    /// One of the other services' timers, which are numbered from zero.
    pub(crate) fn service(self, number: usize) -> usize {
        self.behind_ipv6() + if cfg!(feature = "dhcp") { self.netifs + 1 } else { 0 } + number
    }

    /// How many there are.
    fn count(self) -> Option<usize> {
        let dhcp = if cfg!(feature = "dhcp") { self.netifs + 1 } else { 0 };
        let own = self.timeouts.checked_add(self.neighbours)?.checked_add(self.tcp)?;
        #[cfg(feature = "ipv6")]
        let own = own.checked_add(self.addresses)?.checked_add(self.netifs + 1)?;
        own.checked_add(4 + dhcp + Services::TIMERS)
    }
}

/// Where a packet enters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// As a frame from a device.
    Frame,
    /// As an IP packet from a device, once its link header was looked at.
    Packet,
    /// As an IP packet from ourselves: its addresses and checksum are true.
    Looped,
    /// As a frame that comes the same way as the last one, which was noted already.
    Familiar,
    /// As the present packet, which no raw control block ate.
    Offered,
}

/// Why a packet leaves the straight run.
#[derive(Clone, Copy)]
pub(crate) enum Turn {
    Link(LinkTurn),
    /// Its IP header, which begins `at`, is malformed, or not in one piece.
    Malformed {
        at: usize,
        why: Malformed,
    },
    Refused {
        at: usize,
        why: Refused,
    },
    /// It is a fragment, and its IP header begins `at`.
    Fragment {
        at: usize,
    },
    /// It is one of IPv6, which begins `at`.
    #[cfg(feature = "ipv6")]
    V6 {
        at: usize,
    },
    /// Raw control blocks want to see it first.
    Raw {
        at: usize,
    },
    /// It was counted where it was dropped.
    Dropped,
}

/// The protocol state of a stack.
pub(crate) struct Engine {
    pub(crate) memory: Memory,
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) hash_key: HashKey,
    /// The key of flow labels, which outsiders see.
    pub(crate) label_key: HashKey,
    pub(crate) identification: Identification,
    pub(crate) wheel: Wheel,
    pub(crate) timers: Timers,
    /// Application timers that are set; what they call is the layer's above.
    pub(crate) timeouts: Slots<Instant>,
    pub(crate) netifs: Slots<Interface>,
    pub(crate) addresses: Addresses,
    pub(crate) default_netif: Option<NetifHandle>,
    pub(crate) default_multicast_netif: Option<NetifHandle>,
    /// Interfaces with changes that no listener has heard of.
    pub(crate) netifs_changed: usize,
    pub(crate) routes: Routes,
    /// What routers said about where packets go.
    #[cfg(feature = "ipv6")]
    pub(crate) learned: LearnedTable,
    /// What routers said about the domain name system.
    #[cfg(feature = "ipv6")]
    pub(crate) resolvers: DnsLists,
    /// Where the last packet went; forgotten when anything changes that routes depend on.
    pub(crate) recent_hop: Option<Hop>,
    /// Where the last packet came from, likewise.
    pub(crate) recent_sender: RecentSender,
    #[cfg(feature = "ipv6")]
    pub(crate) recent_sender_v6: RecentSenderV6,
    /// Path MTUs and redirects.
    pub(crate) paths: Paths,
    /// Datagrams of which fragments are missing.
    pub(crate) reassembly: Reassembly,
    /// What the application decides.
    pub(crate) hooks: Option<&'static dyn Hooks>,
    pub(crate) multicast: Multicast,
    /// How many interfaces are bridges.
    pub(crate) bridges: usize,
    /// The stations of bridges.
    pub(crate) fdb: Fdb,
    pub(crate) neighbours: Neighbours,
    pub(crate) udp: UdpTable,
    pub(crate) raw: RawTable,
    /// Of interfaces that come to their address by themselves, by slot.
    #[cfg(feature = "dhcp")]
    pub(crate) autoconf: coracle_buf::Table<Option<crate::autoconf::Place>>,
    #[cfg(feature = "dhcp-server")]
    pub(crate) dhcp_server: crate::dhcp::server::ServerPlace,
    pub(crate) tcp: TcpTable,
    /// Ports for connections that we open.
    pub(crate) ports: Ports,
    pub(crate) services: Services,
    pub(crate) icmp_errors: RateLimit,
    /// IP packets that we sent to ourselves, marked with their interface.
    pub(crate) looped: PbufQueue,
    /// Frames that callbacks handed in, marked with their interface.
    pub(crate) deferred: PbufQueue,
    /// How many of both may still come in before the owner has a turn.
    pub(crate) turns: usize,
    /// Packets of ours that a neighbour did not ask for in time.
    pub(crate) undeliverable: PbufQueue,
    /// The checksums that are to be checked in the packet that is being delivered.
    pub(crate) checks: Checksums,
    /// The packet that is being delivered.
    pub(crate) current: Option<Received>,
    /// More takers of it.
    pub(crate) more: Option<(u32, Pbuf)>,
}

impl Engine {
    /// [`Error::Memory`] when the arena is too small, [`Error::Argument`] for limits or a configuration that no
    /// stack can have.
    pub(crate) fn new(
        arena: &mut Arena,
        limits: &Limits,
        memory: Memory,
        config: Config,
    ) -> Result<Self, Error> {
        let (first, last) = config.ephemeral_ports;
        let usable = config.tcp.is_usable() && config.pending > 0 && config.default_ttl > 0;
        if limits.netifs > 255 || first == 0 || first > last || !usable {
            return Err(Error::Argument);
        }
        let mut random = Random::new(&config.seed);
        let hash_key = HashKey::new(&mut random);
        // From a stream of its own, so that IPv6 changes none of the other numbers.
        let label_key = HashKey::new(&mut Random::new(&config.seed.map(|byte| byte ^ 0x36)));
        let identification = Identification::new(&mut random);
        let ports = Ports::new(&mut random);
        let tcp = TcpTable::new(arena, limits, &config, &mut random)?;
        let timers = Timers {
            timeouts: limits.timeouts,
            neighbours: limits.neighbours,
            tcp: tcp.slots.capacity(),
            #[cfg(feature = "ipv6")]
            addresses: limits.ipv6_addresses,
            netifs: limits.netifs,
        };
        let room = Room {
            netifs: limits.netifs,
            groups: limits.groups,
            own: limits.own_groups(),
            memberships: limits.memberships,
            sources: limits.group_sources,
        };
        Ok(Self {
            memory,
            counters: Counters::default(),
            now: Instant::ZERO,
            random,
            hash_key,
            label_key,
            identification,
            wheel: Wheel::new(arena, timers.count().ok_or(Error::Memory)?)?,
            timers,
            timeouts: Slots::new(arena, limits.timeouts)?,
            netifs: Slots::new(arena, limits.netifs)?,
            addresses: Addresses::new(arena, limits.netifs, limits.ipv6_addresses)?,
            default_netif: None,
            default_multicast_netif: None,
            netifs_changed: 0,
            routes: Routes::new(arena, limits.routes, limits.derived_routes())?,
            #[cfg(feature = "ipv6")]
            learned: LearnedTable::new(arena, limits.learned_routes)?,
            #[cfg(feature = "ipv6")]
            resolvers: DnsLists::new(arena, limits.advertised_resolvers)?,
            recent_hop: None,
            recent_sender: RecentSender::NONE,
            #[cfg(feature = "ipv6")]
            recent_sender_v6: RecentSenderV6::NONE,
            paths: Paths::new(arena, limits.paths)?,
            reassembly: Reassembly::new(arena, limits.reassemblies, limits.fragments)?,
            hooks: None,
            multicast: Multicast::new(arena, &room)?,
            bridges: 0,
            fdb: Fdb::new(arena, limits.stations)?,
            neighbours: Neighbours::new(arena, limits.neighbours)?,
            udp: UdpTable::new(arena, limits.udp, Services::udp(limits))?,
            raw: RawTable::new(arena, limits.raw)?,
            #[cfg(feature = "dhcp")]
            autoconf: arena.table(limits.netifs, |_| None)?,
            #[cfg(feature = "dhcp-server")]
            dhcp_server: crate::dhcp::server::ServerPlace::new(arena, limits.dhcp_clients)?,
            tcp,
            ports,
            services: Services::new(arena, limits, &config)?,
            icmp_errors: RateLimit::new(config.icmp_errors_per_second, config.icmp_error_burst),
            looped: PbufQueue::new(),
            deferred: PbufQueue::new(),
            turns: 0,
            undeliverable: PbufQueue::new(),
            checks: Checksums::NONE,
            current: None,
            more: None,
            config,
        })
    }

    /// Something changed that the ways of packets depend on.
    pub(crate) fn forget_ways(&mut self) {
        self.recent_hop = None;
        self.recent_sender = RecentSender::NONE;
        #[cfg(feature = "ipv6")]
        {
            self.recent_sender_v6 = RecentSenderV6::NONE;
        }
    }

    /// Moves time on; it never goes back.
    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Takes a frame from the device of an interface.
    #[inline]
    pub(crate) fn input(&mut self, netif: usize, frame: Pbuf) -> Option<Event> {
        self.enter(Entry::Frame, netif, frame)
    }

    /// Takes a packet on its way in, up to who takes it: one straight run over all layers, as nearly all packets go.
    /// What is out of the ordinary leaves the run for a closer look, and may come back behind the place where it left.
    #[inline(never)]
    pub(crate) fn enter(&mut self, entry: Entry, netif: usize, mut packet: Pbuf) -> Option<Event> {
        // Where the IP header is. Headers stay where they are until somebody takes the packet.
        let mut at = 0;
        if entry == Entry::Familiar || (entry == Entry::Frame && self.is_any_familiar(netif, &mut packet)) {
            at = ethernet::HEADER_LEN;
        } else if entry != Entry::Offered {
            at = match self.ipv4_input(entry, netif, &mut packet) {
                Ok(at) => at,
                Err(turn) => return self.turn_off(turn, entry, netif, packet),
            };
        }
        self.ip_protocol(packet, at)
    }

    /// Whether a frame of either family comes the same way as the last one.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "every frame")]
    pub(crate) fn is_any_familiar(&mut self, netif: usize, packet: &mut Pbuf) -> bool {
        #[cfg(feature = "ipv6")]
        return self.is_familiar(netif, packet) || self.is_familiar_v6(netif, packet);
        #[cfg(not(feature = "ipv6"))]
        self.is_familiar(netif, packet)
    }

    /// Takes a packet that is out of the ordinary.
    #[cold]
    #[inline(never)]
    fn turn_off(&mut self, turn: Turn, entry: Entry, netif: usize, mut packet: Pbuf) -> Option<Event> {
        match turn {
            Turn::Link(why) => self.link_turn_off(why, netif, packet),
            Turn::Malformed { at, why } => {
                packet = self.hide_link(at, packet)?;
                packet = self.ipv4_pull_up(netif, packet, why)?;
                self.enter(if entry == Entry::Looped { entry } else { Entry::Packet }, netif, packet)
            }
            #[cfg(feature = "ipv6")]
            Turn::V6 { at } => self.ipv6_input(entry, netif, packet, at),
            Turn::Refused { at, why: Refused::NotForUs } => self.take_or_forward(netif, at, packet),
            Turn::Refused { why, .. } => self.ipv4_refuse(netif, why),
            Turn::Fragment { at } => self.ipv4_fragment(at, packet),
            Turn::Raw { at } => {
                packet = self.hide_link(at, packet)?;
                self.raw_input(packet)
            }
            Turn::Dropped => None,
        }
    }

    /// Takes a packet that is addressed to somebody else: to a client of DHCP that is about to get its address, or to a
    /// host that we are a router for.
    fn take_or_forward(&mut self, netif: usize, at: usize, packet: Pbuf) -> Option<Event> {
        #[cfg(feature = "dhcp")]
        let packet = match self.dhcp_not_for_us(netif, at, packet) {
            Ok(event) => return event,
            Err(packet) => packet,
        };
        if self.forwards(netif) {
            self.ipv4_forward(netif, at, packet);
            return None;
        }
        self.ipv4_refuse(netif, Refused::NotForUs)
    }

    /// Makes a packet begin with its IP header.
    pub(crate) fn hide_link(&mut self, at: usize, mut packet: Pbuf) -> Option<Pbuf> {
        if packet.remove_header(at).is_err() {
            count!(self.counters.link.memory);
            return None;
        }
        Some(packet)
    }

    /// What else there is to report: takers of the present datagram, packets on their way back in, packets given up,
    /// changed interfaces. Timers are due only while polling.
    #[inline]
    pub(crate) fn next_event(&mut self, polling: bool) -> Option<Event> {
        if let Some((pcb, data)) = self.more.take()
            && let Some(event) = self.udp_deliver_to_next(pcb, data)
        {
            return Some(event);
        }
        self.current = None;
        if self.is_idle() && !polling { None } else { self.next_rare_event(polling) }
    }

    /// Whether [`next_event`](Self::next_event) has anything to look at but timers; if not, no packet is being
    /// delivered any more.
    #[inline]
    pub(crate) fn has_more(&mut self) -> bool {
        let more = self.more.is_some() || !self.is_idle();
        if !more {
            self.current = None;
        }
        more
    }

    /// Whether something waits to be told that is not a connection's.
    #[inline]
    pub(crate) fn has_others_waiting(&self) -> bool {
        self.more.is_some() || !self.is_quiet()
    }

    #[inline]
    fn is_idle(&self) -> bool {
        self.is_quiet() && self.tcp.ready.is_empty()
    }

    #[inline]
    fn is_quiet(&self) -> bool {
        self.looped.is_empty()
            && self.deferred.is_empty()
            && self.undeliverable.is_empty()
            && self.netifs_changed | self.services.events() == 0
    }

    #[cold]
    fn next_rare_event(&mut self, polling: bool) -> Option<Event> {
        // Everything in turns, so that callbacks which send packets around in circles, or change interfaces at each
        // change, cannot starve the owner.
        if self.netifs_changed > 0 && self.turns > 0 {
            self.turns -= 1;
            if let Some(event) = self.next_netif_change() {
                return Some(event);
            }
        }
        if let Some(event) = self.next_undeliverable() {
            return Some(event);
        }
        if self.turns > 0
            && self.services.events() > 0
            && let Some(event) = self.next_service_event()
        {
            self.turns -= 1;
            return Some(event);
        }
        if self.turns > 0
            && let Some((pcb, report)) = self.tcp_next_report()
        {
            self.turns -= 1;
            return Some(Event::Tcp { pcb, report });
        }
        while self.turns > 0 {
            self.turns -= 1;
            let event = if let Some(packet) = self.looped.pop_front() {
                let netif = packet.netif_index().saturating_sub(1);
                self.enter(Entry::Looped, netif as usize, packet)
            } else {
                let Some(frame) = self.deferred.pop_front() else { break };
                let netif = frame.netif_index().saturating_sub(1);
                self.input(netif as usize, frame)
            };
            if event.is_some() {
                return event;
            }
            self.current = None;
        }
        if polling { self.next_timer() } else { None }
    }

    fn next_undeliverable(&mut self) -> Option<Event> {
        while let Some(packet) = self.undeliverable.pop_front() {
            if let Some(event) = self.report_unreachable(&packet) {
                return Some(event);
            }
        }
        None
    }

    fn next_timer(&mut self) -> Option<Event> {
        while let Some(timer) = self.wheel.pop(self.now) {
            if timer < self.timers.timeouts {
                return Some(Event::Timeout { timer: timer as u32 });
            }
            if timer < self.timers.tcp(0) {
                self.neighbour_timer(timer - self.timers.timeouts);
            } else if timer < self.timers.time_wait() {
                self.tcp_timer((timer - self.timers.tcp(0)) as u32);
            } else if timer == self.timers.time_wait() {
                self.tcp_time_wait_timer();
            } else {
                self.service_timer(timer);
                if let Some(event) = self.next_service_event() {
                    return Some(event);
                }
            }
            let report = |(pcb, report)| Event::Tcp { pcb, report };
            if let Some(event) = self.next_undeliverable().or_else(|| self.tcp_next_report().map(report)) {
                return Some(event);
            }
        }
        None
    }

    /// Something of the stack's own services is due. What listeners are to hear of it, they hear at once.
    fn service_timer(&mut self, timer: usize) {
        if timer == self.timers.reassembly() {
            return self.reassembly_timer();
        }
        if timer == self.timers.paths() {
            return self.paths_timer();
        }
        if timer == self.timers.multicast() {
            return self.multicast_run();
        }
        #[cfg(feature = "ipv6")]
        if timer <= self.timers.learned() {
            return self.ipv6_timer(timer);
        }
        #[cfg(feature = "dhcp")]
        if timer < self.timers.autoconf(self.timers.netifs) {
            return self.autoconf_timer(timer - self.timers.autoconf(0));
        }
        #[cfg(feature = "dhcp-server")]
        if timer == self.timers.dhcp_server() {
            return self.dhcp_server_timer();
        }
        self.services_timer(timer - self.timers.service(0));
    }

    /// Lets an IP packet to ourselves come back in on an interface; the caller has seen that there is room.
    pub(crate) fn loop_back(&mut self, netif: usize, mut packet: Pbuf) -> Result<(), (Error, Pbuf)> {
        packet.set_netif_index(netif as u8 + 1);
        self.looped.push_back(packet)
    }

    /// Keeps a frame that a callback hands in until the callback is over.
    pub(crate) fn defer(&mut self, netif: usize, mut frame: Pbuf) -> Result<(), (Error, Pbuf)> {
        if self.deferred.len() >= self.config.backlog {
            return Err((Error::WouldBlock, frame));
        }
        // The note of the interface must be this frame's own: a frame may be handed to several.
        if let Err(error) = frame.remove_header(0) {
            return Err((error, frame));
        }
        frame.set_netif_index(netif as u8 + 1);
        self.deferred.push_back(frame)
    }

    /// The same, for one of several, which is dropped when there are too many.
    pub(crate) fn defer_or_drop(&mut self, netif: NetifHandle, frame: Pbuf) {
        let Ok(slot) = self.netif_slot(netif) else { return };
        if self.defer(slot, frame).is_err()
            && let Some(interface) = self.netifs.at_mut(slot)
        {
            count!(interface.counters.in_discards);
        }
    }

    /// When `poll` wants to be called next: now while anything waits, else at the first timer.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        let idle = self.is_idle() && self.tcp.output.is_empty();
        if idle { self.wheel.next_deadline() } else { Some(self.now) }
    }

    /// The slot of an interface that is still there.
    #[inline]
    pub(crate) fn netif_slot(&self, netif: NetifHandle) -> Result<usize, Error> {
        match self.netifs.get(netif.0) {
            Some(interface) if !interface.removed => Ok(netif.slot()),
            _ => Err(Error::Closed),
        }
    }

    /// An interface to bind to, if any is given: [`Error::Interface`] when it is gone.
    pub(crate) fn netif_if_there(&self, netif: Option<NetifHandle>) -> Result<Option<NetifHandle>, Error> {
        match netif {
            Some(given) => self.netif_slot(given).map(|_| netif).map_err(|_| Error::Interface),
            None => Ok(None),
        }
    }

    /// The handle of what is in a slot.
    #[inline]
    pub(crate) fn netif_handle(&self, slot: usize) -> Option<NetifHandle> {
        self.netifs.key_at(slot).map(NetifHandle)
    }

    /// Starts an application timer.
    pub(crate) fn timeout_start(&mut self, deadline: Instant) -> Result<Key, Error> {
        let key = self.timeouts.insert(deadline)?;
        self.wheel.set(key.index as usize, deadline);
        Ok(key)
    }

    /// Ends an application timer.
    pub(crate) fn timeout_end(&mut self, key: Key) -> bool {
        let there = self.timeouts.remove(key).is_some();
        if there {
            self.wheel.cancel(key.index as usize);
        }
        there
    }
}

/// A buffer for a small packet of our own: from the heap, or from the pool when that is full.
pub(crate) fn small_pbuf(memory: &Memory, layer: Layer, len: usize) -> Result<Pbuf, Error> {
    memory.alloc(layer, len, Kind::Ram).or_else(|_| {
        let pbuf = memory.alloc(layer, len, Kind::Pool)?;
        if pbuf.payload().len() == len { Ok(pbuf) } else { Err(Error::Memory) }
    })
}

/// Marks of the link layer that say that a frame was not sent to us alone.
pub(crate) const LINK_GROUP: PbufFlags = PbufFlags::LINK_BROADCAST.union(PbufFlags::LINK_MULTICAST);
