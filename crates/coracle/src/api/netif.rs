//! Interfaces, routes and neighbours, as the application sees them.

use core::net::IpAddr;

use coracle_wire::MacAddr;
use coracle_wire::ethernet::Tci;

use super::{Handler, Stack};
use crate::address::Address;
use crate::error::Error;
use crate::ip::Route;
use crate::link::Neighbour;
use crate::link::neighbours::NeighbourState;
use crate::netif::{
    Checksums, Hostname, Interface, Ipv4Settings, Medium, NetifConfig, NetifCounters, NetifEvent,
    NetifHandle, Reasons,
};
use crate::table::Key;

/// Names a listener to changes of interfaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerHandle(Key);

/// A handler that hears of changes.
pub(crate) struct Listener<H> {
    netif: Option<NetifHandle>,
    reasons: Reasons,
    pub(super) handler: Option<H>,
}

impl<H> Listener<H> {
    /// Takes the handler out for an event that it wants to hear of.
    pub(super) fn take_for(&mut self, event: &NetifEvent) -> Option<H> {
        let wanted =
            self.netif.is_none_or(|netif| netif == event.netif) && self.reasons.intersects(event.reasons);
        if wanted { self.handler.take() } else { None }
    }
}

impl<H: Handler> Stack<H> {
    /// Adds an interface, which is down, its link up. lwIP: `netif_add`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when there are as many as the limits allow; [`Error::Argument`] for a name that is no two
    /// letters, an MTU below 68, a queue of no frames, a VLAN outside of 1 to 4,094 or on a medium without one, a
    /// station address that is no station's; [`Error::Value`] for IPv4 settings that no host can have (see
    /// [`Netif::set_ipv4`]); [`Error::InUse`] for an address that another interface has.
    pub fn netif_add(&mut self, config: &NetifConfig) -> Result<NetifHandle, Error> {
        let netif = self.engine.netif_add(config)?;
        self.settle();
        Ok(netif)
    }

    /// Removes an interface: what waits for its device is dropped, its neighbours, routes and groups are
    /// forgotten, and control blocks bound to it stay bound to nothing. lwIP: `netif_remove`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is gone already.
    pub fn netif_remove(&mut self, netif: NetifHandle) -> Result<(), Error> {
        self.engine.netif_remove(netif)?;
        self.settle();
        Ok(())
    }

    /// An interface, to look at and to change.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is gone.
    pub fn netif(&mut self, netif: NetifHandle) -> Result<Netif<'_, H>, Error> {
        self.engine.netif_slot(netif)?;
        Ok(Netif { stack: self, handle: netif })
    }

    /// All interfaces, in the order of their indices. lwIP: `NETIF_FOREACH`.
    pub fn netifs(&self) -> impl Iterator<Item = NetifHandle> {
        self.engine.netifs.iter().filter(|(_, interface)| !interface.removed).map(|(key, _)| NetifHandle(key))
    }

    /// The interface with an index (1 to 255). lwIP: `netif_get_by_index`.
    pub fn netif_by_index(&self, index: u8) -> Option<NetifHandle> {
        self.netifs().find(|netif| netif.index() == index)
    }

    /// The interface with a name such as `en1`: two letters, and the index less one. lwIP: `netif_find`.
    pub fn netif_find(&self, name: &str) -> Option<NetifHandle> {
        let (letters, number) = name.as_bytes().split_first_chunk::<2>()?;
        let number = core::str::from_utf8(number).ok()?;
        if number.is_empty() || (number.len() > 1 && number.starts_with('0')) || number.starts_with('+') {
            return None;
        }
        let netif = self.netif_by_index(number.parse::<u8>().ok()?.checked_add(1)?)?;
        self.engine.netifs.get(netif.0).is_some_and(|interface| interface.name == *letters).then_some(netif)
    }

    /// The interface whose gateway packets take that no other route fits. lwIP: `netif_default`.
    pub fn netif_default(&self) -> Option<NetifHandle> {
        self.engine.default_netif
    }

    /// Chooses that interface. lwIP: `netif_set_default`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is gone.
    pub fn netif_set_default(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        self.engine.netif_set_default(netif)
    }

    /// Chooses the interface by which packets to groups leave whose sender chose none.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is gone.
    pub fn netif_set_default_multicast(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        if let Some(netif) = netif {
            self.engine.netif_slot(netif)?;
        }
        self.engine.default_multicast_netif = netif;
        self.engine.forget_ways();
        Ok(())
    }

    /// Calls a handler's [`Handler::netif_changed`] for changes of one interface, or of all, for any of some
    /// reasons. lwIP: `netif_add_ext_callback`, `netif_set_status_callback`, `…_link_callback`, `…_remove_callback`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when there are as many listeners as the limits allow; [`Error::Closed`] for an interface
    /// that is gone.
    pub fn netif_listen(
        &mut self,
        netif: Option<NetifHandle>,
        reasons: Reasons,
        handler: H,
    ) -> Result<ListenerHandle, Error> {
        if let Some(netif) = netif {
            self.engine.netif_slot(netif)?;
        }
        self.listeners.insert(Listener { netif, reasons, handler: Some(handler) }).map(ListenerHandle)
    }

    /// Ends a listener, and returns its handler unless it is running. lwIP: `netif_remove_ext_callback`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it was ended already.
    pub fn netif_unlisten(&mut self, listener: ListenerHandle) -> Result<Option<H>, Error> {
        self.listeners.remove(listener.0).map(|listener| listener.handler).ok_or(Error::Closed)
    }

    /// Adds a route; of all that fit a destination, the one with the longest prefix wins.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a prefix longer than 32 bits or with bits set behind it, or a gateway that is no host; [`Error::InUse`] for a route
    /// that is there already; [`Error::Memory`] when there are as many as the limits allow; [`Error::Closed`] for an
    /// interface that is gone.
    pub fn route_add(&mut self, route: Route) -> Result<(), Error> {
        self.engine.route_add(&route)
    }

    /// Removes a route; the gateway and the metric need not fit.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] when there is none with this prefix and interface.
    pub fn route_remove(&mut self, route: Route) -> Result<(), Error> {
        self.engine.route_remove(&route)
    }

    /// The routes that were added, longest prefix first.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.engine.routes.statics()
    }

    /// The interface and the neighbour by which packets to a destination leave now. lwIP: `ip_route`.
    ///
    /// # Errors
    ///
    /// [`Error::Route`] when there is no way; [`Error::Value`] for an address of a family that is not spoken.
    pub fn route(&mut self, destination: IpAddr) -> Result<(NetifHandle, IpAddr), Error> {
        let destination = Address::from_ip(destination, self.engine.zone(None))?;
        let hop = self.engine.route_to(destination, None)?;
        let (netif, next) = (hop.netif, hop.next);
        Ok((self.engine.netif_handle(netif).ok_or(Error::Route)?, next.to_ip()))
    }

    /// What is known of the neighbours. lwIP: `etharp_get_entry`.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> {
        self.engine.neighbours.iter().filter_map(|entry| {
            Some(Neighbour {
                netif: self.engine.netif_handle(entry.netif as usize)?,
                address: entry.address.to_ip(),
                station: (entry.state != NeighbourState::Incomplete).then_some(entry.mac),
                state: entry.state,
                pending: entry.pending.len(),
            })
        })
    }
}

/// An interface of a stack. All its calls are [`Error::Closed`] once it is removed.
pub struct Netif<'a, H> {
    pub(super) stack: &'a mut Stack<H>,
    pub(super) handle: NetifHandle,
}

#[allow(clippy::missing_errors_doc, reason = "said once, above: what is gone is `Error::Closed`")]
impl<H: Handler> Netif<'_, H> {
    /// Between two calls nothing else can touch the stack, so the interface is where it was.
    pub(super) fn interface(&self) -> Result<&Interface, Error> {
        self.stack.engine.netifs.get(self.handle.0).ok_or(Error::Closed)
    }

    fn change(&mut self, change: impl FnOnce(&mut Interface)) -> Result<(), Error> {
        self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.forget_ways();
        self.stack
            .engine
            .netifs
            .get_mut(self.handle.0)
            .map(|interface| interface.change(change))
            .ok_or(Error::Closed)
    }

    /// The stack.
    pub fn stack(&mut self) -> &mut Stack<H> {
        self.stack
    }

    /// Its name for all other calls.
    pub fn handle(&self) -> NetifHandle {
        self.handle
    }

    /// The two letters of its name; the index less one follows them in [`Stack::netif_find`].
    pub fn name(&self) -> Result<[u8; 2], Error> {
        Ok(self.interface()?.name)
    }

    /// Whether it was set up.
    pub fn is_up(&self) -> bool {
        self.interface().is_ok_and(|interface| interface.up)
    }

    /// Whether its link is up.
    pub fn is_link_up(&self) -> bool {
        self.interface().is_ok_and(|interface| interface.link_up)
    }

    /// Sets it up or down. Up: the address is announced. Down: what waits for the device is dropped, neighbours are
    /// forgotten. lwIP: `netif_set_up`, `netif_set_down`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the interface is gone, here and below.
    pub fn set_up(&mut self, up: bool) -> Result<(), Error> {
        self.stack.engine.netif_set_up(self.handle, up)?;
        self.stack.settle();
        Ok(())
    }

    /// The driver tells that the link went up or down. lwIP: `netif_set_link_up`, `netif_set_link_down`.
    pub fn set_link_up(&mut self, up: bool) -> Result<(), Error> {
        self.stack.engine.netif_set_link(self.handle, up)?;
        self.stack.settle();
        Ok(())
    }

    /// Address, netmask and gateway.
    pub fn ipv4(&self) -> Result<Ipv4Settings, Error> {
        Ok(self.interface()?.ipv4)
    }

    /// Changes address, netmask and gateway. Control blocks bound to the old address are bound to the new one, the
    /// new one is announced, and neighbours are asked for again. lwIP: `netif_set_addr`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a netmask with holes, an address that is no host's (multicast, broadcast, the
    /// network's own, 127.0.0.0/8 except on the loopback interface) or such a gateway; [`Error::InUse`] when
    /// another interface has the address.
    pub fn set_ipv4(&mut self, settings: Ipv4Settings) -> Result<(), Error> {
        self.stack.engine.netif_set_ipv4_by_hand(self.handle, settings)?;
        self.stack.settle();
        Ok(())
    }

    /// What its frames look like.
    pub fn medium(&self) -> Result<Medium, Error> {
        Ok(self.interface()?.medium)
    }

    /// Gives an Ethernet interface another station address, and announces it.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an address that is no station's; [`Error::Interface`] without Ethernet.
    pub fn set_station(&mut self, address: MacAddr) -> Result<(), Error> {
        if !address.is_unicast() || address == MacAddr::ZERO {
            return Err(Error::Argument);
        }
        if self.interface()?.mac().is_none() {
            return Err(Error::Interface);
        }
        self.change(|interface| interface.medium = Medium::Ethernet(address))?;
        if self.interface()?.is_ready() {
            // Without an address there is nothing to announce; a full queue has counted it.
            self.announce().unwrap_or_default();
        }
        Ok(())
    }

    /// The longest IP packet in bytes.
    pub fn mtu(&self) -> Result<u16, Error> {
        Ok(self.interface()?.mtu)
    }

    /// Changes the MTU.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] below 68 [RFC 791 §3.2].
    pub fn set_mtu(&mut self, mtu: u16) -> Result<(), Error> {
        if mtu < 68 {
            return Err(Error::Argument);
        }
        self.change(|interface| interface.mtu = mtu)
    }

    /// The checksums that the stack makes and checks.
    pub fn checksums(&self) -> Result<Checksums, Error> {
        Ok(self.interface()?.checksums)
    }

    /// Changes them. lwIP: `NETIF_SET_CHECKSUM_CTRL`.
    pub fn set_checksums(&mut self, checksums: Checksums) -> Result<(), Error> {
        self.change(|interface| interface.checksums = checksums)
    }

    /// The VLAN tag of its frames.
    pub fn vlan(&self) -> Result<Option<Tci>, Error> {
        Ok(self.interface()?.vlan)
    }

    /// Changes the VLAN tag. In another VLAN the neighbours are asked for again. lwIP: `LWIP_HOOK_VLAN_SET` and
    /// `…_CHECK`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a VLAN outside of 1 to 4,094; [`Error::Interface`] without Ethernet.
    pub fn set_vlan(&mut self, vlan: Option<Tci>) -> Result<(), Error> {
        if vlan.is_some_and(|tci| !(1..=4_094).contains(&tci.vid())) {
            return Err(Error::Argument);
        }
        if self.interface()?.mac().is_none() {
            return Err(Error::Interface);
        }
        let slot = self.stack.engine.netif_slot(self.handle)?;
        if vlan.map(Tci::vid) != self.interface()?.vlan.map(Tci::vid) {
            // Others are there, and what waits has the old tag.
            self.stack.engine.forget_neighbours(slot, false);
        }
        self.change(|interface| interface.vlan = vlan)
    }

    /// The name that the host tells others here.
    pub fn hostname(&self) -> Option<Hostname> {
        self.interface().ok()?.hostname
    }

    /// Changes that name. lwIP: `netif_set_hostname`.
    pub fn set_hostname(&mut self, hostname: Option<Hostname>) -> Result<(), Error> {
        self.change(|interface| interface.hostname = hostname)
    }

    /// Takes packets to every unicast address as ours, or no longer.
    pub fn set_accept_any(&mut self, accept_any: bool) -> Result<(), Error> {
        self.change(|interface| interface.accept_any = accept_any)
    }

    /// Sends packets to others that come in on their way, or no longer [1122-IP-15]. What may not leave its link is not
    /// sent on. With [`Config::strong_host`](crate::Config::strong_host), packets to the addresses of other interfaces
    /// are dropped even so. lwIP: `IP_FORWARD`.
    pub fn set_forwarding(&mut self, forwarding: bool) -> Result<(), Error> {
        self.change(|interface| interface.forwards = forwarding)
    }

    /// Makes another interface, on Ethernet and outside of VLANs, a port of this one, which is a bridge. From then on what
    /// comes in there is the bridge's; the port's own addresses are heard no more. Ports must not be joined in a circle:
    /// there is no spanning tree. The device of a port must take frames to all stations. lwIP: `bridgeif_add_port`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless this is a bridge and the other may be a port; [`Error::InUse`] for a port of a bridge;
    /// [`Error::Memory`] for an interface whose index is above 64; [`Error::Closed`] for one that is gone.
    pub fn bridge_add_port(&mut self, port: NetifHandle) -> Result<(), Error> {
        self.stack.engine.bridge_add_port(self.handle, port)
    }

    /// The bridge that it is a port of.
    pub fn bridge(&self) -> Option<NetifHandle> {
        let slot = self.interface().ok()?.bridge?;
        self.stack.engine.netif_handle(slot.into())
    }

    /// Makes a port an interface of its own again.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for one that is no port of this bridge; [`Error::Closed`] for one that is gone.
    pub fn bridge_remove_port(&mut self, port: NetifHandle) -> Result<(), Error> {
        self.stack.engine.bridge_remove_port(self.handle, port)
    }

    /// Sets, for good, the ports by which frames to a station leave; without any they are dropped. lwIP:
    /// `bridgeif_fdb_add`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for interfaces that are no ports of this bridge, or the address of a group; [`Error::Memory`]
    /// when the table is full of such entries; [`Error::Closed`] for interfaces that are gone.
    pub fn bridge_set_station(&mut self, station: MacAddr, ports: &[NetifHandle]) -> Result<(), Error> {
        self.stack.engine.bridge_set_station(self.handle, station, ports)
    }

    /// Takes that back. lwIP: `bridgeif_fdb_remove`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] when it was not set.
    pub fn bridge_unset_station(&mut self, station: MacAddr) -> Result<(), Error> {
        self.stack.engine.bridge_unset_station(self.handle, station)
    }

    /// What the application keeps with the interface: a number that the stack only stores. lwIP: `client_data`,
    /// `state`.
    pub fn client_data(&self) -> usize {
        self.interface().map_or(0, |interface| interface.client_data)
    }

    /// Stores such a number.
    pub fn set_client_data(&mut self, data: usize) -> Result<(), Error> {
        self.change(|interface| interface.client_data = data)
    }

    /// What went through it.
    pub fn counters(&self) -> Result<NetifCounters, Error> {
        Ok(self.interface()?.counters)
    }

    /// Joins a multicast group: datagrams to it are taken here, and routers are told. Joins are counted. Every control
    /// block hears the group that it is bound for, unless it chose sources itself ([`Udp::join`](crate::Udp::join)).
    /// lwIP: `igmp_joingroup_netif`, `mld6_joingroup_netif`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an address that is no group's; [`Error::Memory`] when there are as many groups as the
    /// limits allow.
    pub fn join_group(&mut self, group: IpAddr) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.group_join(slot, Address::from_ip(group, Some(slot))?)
    }

    /// Leaves a group as often as it was joined. lwIP: `igmp_leavegroup_netif`, `mld6_leavegroup_netif`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a group that was not joined.
    pub fn leave_group(&mut self, group: IpAddr) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.group_leave(slot, Address::from_ip(group, Some(slot))?)
    }

    /// The groups that it listens to, whoever joined them: for a device that lets through only what it is told to.
    /// lwIP: `netif_set_igmp_mac_filter`, `netif_set_mld_mac_filter`.
    pub fn groups(&self) -> impl Iterator<Item = IpAddr> {
        self.stack.engine.multicast.of_netif(self.handle.0.index).map(Address::to_ip)
    }

    /// Announces the address to all neighbours. lwIP: `etharp_gratuitous`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] without an address or without Ethernet; [`Error::WouldBlock`] when the interface is down or
    /// its queue full; [`Error::Memory`].
    pub fn announce(&mut self) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.arp_announce(slot)
    }

    /// The station of a neighbour, if it is known. lwIP: `etharp_find_addr`.
    pub fn neighbour(&mut self, address: IpAddr) -> Option<MacAddr> {
        let slot = self.stack.engine.netif_slot(self.handle).ok()?;
        let engine = &mut self.stack.engine;
        let address = Address::from_ip(address, Some(slot)).ok()?;
        let position = engine.neighbours.find(&engine.hash_key, slot, address)?;
        let entry = engine.neighbours.at(position)?;
        (entry.state != NeighbourState::Incomplete).then_some(entry.mac)
    }

    /// Asks for a neighbour. lwIP: `etharp_query` without a packet.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when no entry is to be had; [`Error::WouldBlock`] when too much waits already;
    /// [`Error::Interface`] without Ethernet.
    pub fn query_neighbour(&mut self, address: IpAddr) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        if self.interface()?.mac().is_none() {
            return Err(Error::Interface);
        }
        self.stack.engine.resolve(slot, Address::from_ip(address, Some(slot))?).map(drop)
    }

    /// Sets the station of a neighbour for good. lwIP: `etharp_add_static_entry`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an address that is not on the link or a station that is none; [`Error::Memory`] when
    /// every entry is set for good.
    pub fn set_neighbour(&mut self, address: IpAddr, station: MacAddr) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.neighbour_set_static(slot, Address::from_ip(address, Some(slot))?, station)
    }

    /// Removes a neighbour that was set for good. lwIP: `etharp_remove_static_entry`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] when there is none.
    pub fn remove_neighbour(&mut self, address: IpAddr) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.neighbour_remove_static(slot, Address::from_ip(address, Some(slot))?)
    }
}
