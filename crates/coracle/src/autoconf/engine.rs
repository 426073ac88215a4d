//! The machines of all interfaces in the engine: what reaches them, what they do, and what a lease changes beside the
//! address.

use core::net::Ipv4Addr;

use coracle_buf::{Error, Kind, Layer, Memory, Pbuf};
use coracle_wire::MacAddr;
use coracle_wire::arp::{ArpPacket, REQUEST};
use coracle_wire::dhcpv4::{CLIENT_PORT, ClasslessRoute, ClasslessRoutes, DhcpMessage, SERVER_PORT, code};
use coracle_wire::ipv4::{Ipv4Header, protocol};
use coracle_wire::udp::{HEADER_LEN, UdpHeader};

use super::{Autoconf, Port};
use crate::address::Address;
use crate::counters::count;
use crate::dhcp::DhcpState;
use crate::engine::{Engine, Entry, small_pbuf};
use crate::event::Event;
use crate::ip::output::Send;
use crate::ip::sum::pseudo;
use crate::ip::{Cast, Received, Route};
use crate::netif::{Hostname, Interface, Ipv4Settings, NetifHandle, Reasons};
use crate::random::Random;
use crate::time::Instant;

/// The machines of one interface, and what a lease brought besides the address.
pub(crate) struct Place {
    pub(crate) machines: Autoconf,
    /// The last acknowledgment, to read options from.
    pub(crate) settings: Option<Pbuf>,
    /// Whether its routes and MTU are in force, and the interface's own MTU.
    in_force: bool,
    own_mtu: u16,
}

/// The interface of a machine that runs.
struct EnginePort<'a> {
    engine: &'a mut Engine,
    netif: usize,
}

impl EnginePort<'_> {
    fn interface(&self) -> Option<&Interface> {
        self.engine.netifs.at(self.netif)
    }
}

impl Port for EnginePort<'_> {
    fn now(&self) -> Instant {
        self.engine.now
    }

    fn random(&mut self) -> &mut Random {
        &mut self.engine.random
    }

    fn hostname(&self) -> Option<Hostname> {
        self.interface()?.hostname
    }

    fn mtu(&self) -> u16 {
        self.interface().map_or(0, |interface| interface.mtu)
    }

    fn address(&self) -> Ipv4Addr {
        self.interface().map_or(Ipv4Addr::UNSPECIFIED, |interface| interface.ipv4.address)
    }

    fn send(&mut self, source: Ipv4Addr, destination: Ipv4Addr, message: &[u8]) {
        self.engine.dhcp_send(self.netif, (source, CLIENT_PORT), (destination, SERVER_PORT), message);
    }

    fn arp(&mut self, address: Ipv4Addr, announce: bool) {
        self.engine.arp_ask_all(self.netif, address, announce);
    }

    fn set_ipv4(&mut self, settings: Ipv4Settings) -> Result<(), Error> {
        let netif = self.engine.netif_handle(self.netif).ok_or(Error::Closed)?;
        self.engine.netif_set_ipv4(netif, settings)
    }

    fn conflict(&mut self) {
        self.engine.note_settings(self.netif, Reasons::IPV4_CONFLICT);
    }
}

impl Engine {
    /// Lets the machines of an interface do something, if there are any: then what follows from it.
    pub(crate) fn autoconf_run<R>(
        &mut self,
        netif: usize,
        run: impl FnOnce(&mut Autoconf, &mut dyn Port) -> R,
    ) -> Option<R> {
        let mut place = self.autoconf.get_mut(netif)?.take()?;
        let result = run(&mut place.machines, &mut EnginePort { engine: self, netif });
        self.autoconf_settle(netif, place);
        Some(result)
    }

    /// The machines of an interface of Ethernet, made at the first call; [`Error::Interface`] without Ethernet.
    pub(crate) fn autoconf_begin(&mut self, netif: NetifHandle) -> Result<(usize, MacAddr), Error> {
        let slot = self.netif_slot(netif)?;
        let interface = self.netifs.get(netif.0).ok_or(Error::Closed)?;
        let station = interface.mac().ok_or(Error::Interface)?;
        let ready = interface.is_ready();
        let place = self.autoconf.get_mut(slot).ok_or(Error::Memory)?;
        if place.is_none() {
            let machines = Autoconf::new(station);
            *place = Some(Place { machines, settings: None, in_force: false, own_mtu: 0 });
            self.autoconf_link(slot, ready);
        }
        Ok((slot, station))
    }

    /// The interface can send now, or no longer.
    pub(crate) fn autoconf_link(&mut self, netif: usize, ready: bool) {
        self.autoconf_run(netif, |machines, port| machines.link_changed(port, ready));
    }

    /// The owner sets an address: nobody else does from now on.
    pub(crate) fn autoconf_give_way(&mut self, netif: usize) {
        self.autoconf_run(netif, |machines, port| machines.give_way(port));
    }

    /// The interface is gone.
    pub(crate) fn autoconf_forget(&mut self, netif: usize) {
        if let Some(place) = self.autoconf.get_mut(netif) {
            *place = None;
            self.wheel.cancel(self.timers.autoconf(netif));
        }
    }

    pub(crate) fn autoconf_timer(&mut self, netif: usize) {
        self.autoconf_run(netif, |machines, port| machines.timer(port));
    }

    /// Shows an ARP packet to whoever looks after addresses here, unless this station sent it itself.
    pub(crate) fn watch_addresses(&mut self, netif: usize, packet: &Pbuf) {
        let Ok(&arp) = ArpPacket::read(packet.payload()) else { return };
        if self.netifs.at(netif).and_then(Interface::mac) == Some(arp.sender_mac) {
            return;
        }
        self.autoconf_run(netif, |machines, port| machines.arp(port, &arp));
        #[cfg(feature = "dhcp-server")]
        self.dhcp_server_arp(netif, &arp);
    }

    /// Puts the machines back, sets their timer, and lets settings come and go with the lease.
    fn autoconf_settle(&mut self, netif: usize, mut place: Place) {
        let client = &place.machines.client;
        let leased = client.lease().is_some();
        if place.in_force && !leased {
            self.lease_out_of_force(netif, &mut place);
        } else if leased && !place.in_force {
            self.lease_in_force(netif, &mut place);
        }
        if matches!(place.machines.client.state(), DhcpState::Off | DhcpState::Init | DhcpState::Selecting)
            && !leased
        {
            place.settings = None;
        }
        #[cfg(feature = "dns")]
        self.dns_learn_from_lease(netif, place.machines.client.lease());
        let timer = self.timers.autoconf(netif);
        match place.machines.deadline() {
            Some(deadline) => self.wheel.set(timer, deadline),
            None => self.wheel.cancel(timer),
        }
        if let Some(slot) = self.autoconf.get_mut(netif) {
            *slot = Some(place);
        }
    }

    /// The routes [RFC 3442] and the MTU that came with a lease.
    fn lease_in_force(&mut self, netif: usize, place: &mut Place) {
        place.in_force = true;
        let mtu = place.machines.client.lease().and_then(|lease| lease.mtu);
        if let Some(interface) = self.netifs.at_mut(netif) {
            place.own_mtu = interface.mtu;
            interface.mtu = mtu.map_or(interface.mtu, |mtu| mtu.min(interface.mtu));
        }
        self.lease_routes(netif, place, Self::route_add);
        #[cfg(feature = "dns")]
        {
            let servers =
                place.machines.client.lease().map_or([Ipv4Addr::UNSPECIFIED; 3], |lease| lease.dns_servers);
            let bytes = place.settings.as_ref().map_or(&[][..], Pbuf::payload);
            self.dhcp_tell_resolver(netif, &servers, DhcpMessage::read(bytes).ok().as_ref());
        }
        self.note_settings(netif, Reasons::DHCP_SETTINGS);
    }

    fn lease_out_of_force(&mut self, netif: usize, place: &mut Place) {
        place.in_force = false;
        if let Some(interface) = self.netifs.at_mut(netif) {
            interface.mtu = place.own_mtu;
        }
        self.lease_routes(netif, place, Self::route_remove);
        #[cfg(feature = "dns")]
        self.dhcp_tell_resolver(netif, &[], None);
        self.note_settings(netif, Reasons::DHCP_SETTINGS);
    }

    fn lease_routes(
        &mut self,
        netif: usize,
        place: &Place,
        change: fn(&mut Self, &Route) -> Result<(), Error>,
    ) {
        self.forget_ways();
        let Some(handle) = self.netif_handle(netif) else { return };
        let bytes = place.settings.as_ref().map_or(&[][..], Pbuf::payload);
        let Ok(message) = DhcpMessage::read(bytes) else { return };
        let Some(value) = message.value(code::CLASSLESS_ROUTES) else { return };
        for ClasslessRoute { destination, prefix_len, router } in ClasslessRoutes::new(value) {
            if prefix_len == 0 {
                // The gateway, which is among the interface's own settings.
                continue;
            }
            let gateway = Some(router.into()).filter(|_| !router.is_unspecified());
            let route = Route { prefix: destination.into(), prefix_len, netif: handle, gateway, metric: 0 };
            if change(self, &route).is_err() {
                count!(self.counters.dhcp.routes_refused);
            }
        }
    }

    /// Tells listeners that settings came, changed or went.
    fn note_settings(&mut self, netif: usize, reason: Reasons) {
        if let Some(handle) = self.netif_handle(netif) {
            let settings = self.netifs.at(netif).map_or(Ipv4Settings::NONE, |interface| interface.ipv4);
            self.note_change(handle, reason, settings);
        }
    }

    /// Whether anybody here waits for datagrams to a port: one of DHCP's. Then they go to nobody else.
    pub(crate) fn dhcp_wants(&self, netif: usize, to_port: u16) -> bool {
        match to_port {
            CLIENT_PORT => {
                let place = self.autoconf.get(netif).and_then(Option::as_ref);
                place.is_some_and(|place| place.machines.client.state() != DhcpState::Off)
            }
            #[cfg(feature = "dhcp-server")]
            SERVER_PORT => self.dhcp_server.is_on(netif),
            _ => false,
        }
    }

    /// Takes the message in a packet of which [`dhcp_wants`](Self::dhcp_wants) said so, and whose lengths and checksum
    /// are right.
    #[inline(never)]
    pub(crate) fn dhcp_input(&mut self, info: &Received, mut packet: Pbuf) -> Option<Event> {
        let netif = info.netif.slot();
        count!(self.counters.dhcp.received);
        if packet.payload().len() < packet.len() && packet.pull_up(packet.len()).is_err() {
            count!(self.counters.dhcp.memory);
            return None;
        }
        let datagram = packet.payload().get(usize::from(info.header_len)..)?;
        let len = UdpHeader::read(datagram).ok()?.length();
        let bytes = datagram.get(HEADER_LEN..usize::from(len))?;
        let Ok(message) = DhcpMessage::read(bytes) else {
            count!(self.counters.dhcp.malformed);
            return self.drop_malformed(netif);
        };
        #[cfg(feature = "dhcp-server")]
        if info.destination_port == SERVER_PORT {
            self.dhcp_server_input(netif, &message);
            return None;
        }
        if info.source_port != SERVER_PORT {
            count!(self.counters.dhcp.ignored);
            return None;
        }
        let kept = keep(&self.memory, bytes);
        let mut place = self.autoconf.get_mut(netif).and_then(Option::take)?;
        if place.machines.input(&mut EnginePort { engine: self, netif }, &message) {
            // Those of the message before give way.
            if place.in_force {
                self.lease_out_of_force(netif, &mut place);
            }
            place.settings = kept;
            if place.machines.client.state() == DhcpState::Informed {
                #[cfg(feature = "dns")]
                self.dhcp_tell_resolver(netif, &crate::dhcp::dns_servers(&message), Some(&message));
                self.note_settings(netif, Reasons::DHCP_SETTINGS);
            }
        }
        self.autoconf_settle(netif, place);
        None
    }

    /// Takes a packet to an address that is not ours: a DHCP server may have sent it to the address that it offers
    /// [2131-3].
    #[cold]
    pub(crate) fn dhcp_not_for_us(
        &mut self,
        netif: usize,
        at: usize,
        packet: Pbuf,
    ) -> Result<Option<Event>, Pbuf> {
        if !self.dhcp_wants(netif, CLIENT_PORT) {
            return Err(packet);
        }
        let Some(info) = self.unaddressed_info(netif, at, &packet) else { return Err(packet) };
        self.current = Some(info);
        let Some(packet) = self.hide_link(at, packet) else { return Ok(None) };
        Ok(self.enter(Entry::Offered, netif, packet))
    }

    /// What is known of a packet whose IP header was checked but for its destination, if it is one for DHCP clients. It
    /// counts as one to everybody.
    fn unaddressed_info(&self, netif: usize, at: usize, packet: &Pbuf) -> Option<Received> {
        let bytes = packet.payload().get(at..)?;
        let header = Ipv4Header::read(bytes).ok()?;
        let transport = UdpHeader::read(bytes.get(header.header_len()..)?).ok()?;
        let for_clients = header.protocol() == protocol::UDP
            && !header.is_fragment()
            && transport.destination_port() == CLIENT_PORT
            && !header.destination().is_multicast();
        for_clients.then_some(Received {
            netif: self.netif_handle(netif)?,
            source: header.source().into(),
            destination: header.destination().into(),
            cast: Cast::Broadcast,
            protocol: protocol::UDP,
            ttl: header.ttl(),
            tos: header.tos(),
            header_len: header.header_len() as u16,
            total_len: header.total_len() as u32,
            ..Received::NONE
        })
    }

    /// Sends a message; what cannot be sent is counted, and will be sent again.
    pub(crate) fn dhcp_send(
        &mut self,
        netif: usize,
        from: (Ipv4Addr, u16),
        to: (Ipv4Addr, u16),
        message: &[u8],
    ) {
        match self.dhcp_try_send(netif, from, to, message) {
            Ok(()) => count!(self.counters.dhcp.sent),
            Err(_) => count!(self.counters.dhcp.send_failed),
        }
    }

    fn dhcp_try_send(
        &mut self,
        netif: usize,
        (from, from_port): (Ipv4Addr, u16),
        (to, to_port): (Ipv4Addr, u16),
        message: &[u8],
    ) -> Result<(), Error> {
        let mut data = small_pbuf(&self.memory, Layer::Transport, message.len())?;
        data.payload_mut()?.copy_from_slice(message);
        let source = if from.is_unspecified() { Address::ANY } else { from.into() };
        let destination = Address::v4(to);
        let ttl = self.config.default_ttl;
        let netif = self.netif_handle(netif).ok_or(Error::Closed)?;
        self.route_from(destination, Some(netif), source)?;
        let len = (HEADER_LEN + message.len()) as u16;
        let sum = pseudo(source, destination, protocol::UDP, len.into()).add_u16s([from_port, to_port, len]);
        let sum = sum.add_bytes(message).finish_nonzero();
        let send = Send::new(source, destination, protocol::UDP, (ttl, 0));
        let transport = Some(UdpHeader::new(from_port, to_port, len, sum));
        self.ip_send(Some(&Send { transport, ..send }), data).map_err(|rejected| rejected.error)
    }

    /// Asks all for an address, from it or from 0.0.0.0 [RFC 5227 §2.1.1, §2.3].
    pub(crate) fn arp_ask_all(&mut self, netif: usize, address: Ipv4Addr, announce: bool) {
        let sender = if announce { address } else { Ipv4Addr::UNSPECIFIED };
        let target = (MacAddr::ZERO, address);
        if self.arp_send(netif, REQUEST, Some(sender), target, MacAddr::BROADCAST).is_ok() && announce {
            count!(self.counters.arp.announcements_sent);
        }
    }
}

/// Keeps a message to read options from; without memory for it the lease is as good without.
fn keep(memory: &Memory, message: &[u8]) -> Option<Pbuf> {
    let mut kept = memory.alloc(Layer::Raw, message.len(), Kind::Ram).ok()?;
    kept.payload_mut().ok()?.copy_from_slice(message);
    Some(kept)
}
