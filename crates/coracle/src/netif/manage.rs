//! Interfaces added, removed and changed, with all that follows from it.

use core::net::Ipv4Addr;

use coracle_buf::{Error, PbufQueue};

use super::{Interface, Ipv4Settings, Medium, NetifConfig, NetifHandle, Reasons};
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::event::Event;
use crate::ip::Route;
use crate::ip::route::Entry;
#[cfg(feature = "ipv6")]
use crate::nd::Made;

impl Engine {
    pub(crate) fn netif_add(&mut self, config: &NetifConfig) -> Result<NetifHandle, Error> {
        config.check()?;
        if self.address_taken(None, config.ipv4.address) {
            return Err(Error::InUse);
        }
        let handle = NetifHandle(self.netifs.insert(Interface::new(config))?);
        self.bridges += usize::from(config.bridge);
        let hooked = self.hooks.is_some();
        if let Some(interface) = self.netifs.get_mut(handle.0) {
            interface.change(|interface| interface.hooked = hooked);
        }
        self.index_v4(handle.slot(), true);
        #[cfg(feature = "ipv6")]
        self.netif_begin_v6(handle);
        self.note_change(handle, Reasons::ADDED, Ipv4Settings::NONE);
        self.routes_changed();
        Ok(handle)
    }

    /// Takes an interface out; its slot is free once the listeners were told.
    pub(crate) fn netif_remove(&mut self, netif: NetifHandle) -> Result<(), Error> {
        let slot = self.netif_slot(netif)?;
        self.netif_set_up(netif, false)?;
        #[cfg(feature = "dhcp")]
        self.autoconf_forget(slot);
        #[cfg(feature = "dhcp-server")]
        self.dhcp_server_stop(slot);
        self.index_v4(slot, false);
        #[cfg(feature = "ipv6")]
        self.netif_forget_v6(slot);
        if let Some(address) = self.netifs.get(netif.0).map(|interface| interface.ipv4.address) {
            self.tcp_address_gone(address.into());
        }
        self.forget_neighbours(slot, true);
        self.reassembly.forget(slot);
        self.forget_redirects_to(slot, Address::ANY);
        self.bridge_forget(slot);
        self.multicast.forget_netif(&self.hash_key, slot as u32);
        #[cfg(feature = "dns")]
        self.dns_forget_netif(slot);
        if self.default_netif == Some(netif) {
            self.default_netif = None;
        }
        if self.default_multicast_netif == Some(netif) {
            self.default_multicast_netif = None;
        }
        if let Some(interface) = self.netifs.get_mut(netif.0) {
            interface.change(|interface| interface.removed = true);
        }
        let old = self.netifs.get(netif.0).map_or(Ipv4Settings::NONE, |interface| interface.ipv4);
        self.note_change(netif, Reasons::REMOVED, old);
        self.routes_changed();
        Ok(())
    }

    pub(crate) fn netif_set_up(&mut self, netif: NetifHandle, up: bool) -> Result<(), Error> {
        self.netif_slot(netif)?;
        let interface = self.netifs.get_mut(netif.0).ok_or(Error::Closed)?;
        if interface.up == up {
            return Ok(());
        }
        interface.change(|interface| interface.up = up);
        self.after_up_or_down(netif, Reasons::STATUS_CHANGED);
        Ok(())
    }

    pub(crate) fn netif_set_link(&mut self, netif: NetifHandle, link_up: bool) -> Result<(), Error> {
        self.netif_slot(netif)?;
        let interface = self.netifs.get_mut(netif.0).ok_or(Error::Closed)?;
        if interface.link_up == link_up {
            return Ok(());
        }
        interface.change(|interface| interface.link_up = link_up);
        self.after_up_or_down(netif, Reasons::LINK_CHANGED);
        Ok(())
    }

    fn after_up_or_down(&mut self, netif: NetifHandle, reason: Reasons) {
        let Some(interface) = self.netifs.get_mut(netif.0) else { return };
        let (ready, settings) = (interface.is_ready(), interface.ipv4);
        if !ready {
            // What waits for the device would be stale when it is back.
            count!(interface.counters.out_discards, interface.queue.len() as u64);
            interface.queue.clear();
            self.forget_neighbours(netif.slot(), false);
            #[cfg(feature = "ipv6")]
            self.nd_down(netif.slot());
        }
        self.note_change(netif, reason, settings);
        self.routes_changed();
        if ready {
            #[cfg(feature = "ipv6")]
            self.nd_up(netif.slot());
            self.announce(netif);
        }
        self.groups_up_or_down(netif.slot(), ready);
        #[cfg(feature = "dhcp")]
        self.autoconf_link(netif.slot(), ready);
    }

    /// Tells the neighbours where we are; without an address or ARP there is nothing to tell, and what could not be
    /// sent is counted.
    fn announce(&mut self, netif: NetifHandle) {
        self.arp_announce(netif.slot()).unwrap_or_default();
    }

    /// The same as [`netif_set_ipv4`](Self::netif_set_ipv4) by the owner, whose word counts from then on.
    pub(crate) fn netif_set_ipv4_by_hand(
        &mut self,
        netif: NetifHandle,
        settings: Ipv4Settings,
    ) -> Result<(), Error> {
        self.netif_set_ipv4(netif, settings)?;
        #[cfg(feature = "dhcp")]
        self.autoconf_give_way(netif.slot());
        Ok(())
    }

    /// Changes address, netmask and gateway. What was bound to the old address is bound to the new one.
    pub(crate) fn netif_set_ipv4(&mut self, netif: NetifHandle, settings: Ipv4Settings) -> Result<(), Error> {
        settings.check()?;
        let slot = self.netif_slot(netif)?;
        if self.address_taken(Some(slot), settings.address) {
            return Err(Error::InUse);
        }
        let interface = self.netifs.get(netif.0).ok_or(Error::Closed)?;
        let own_loopback = interface.medium == Medium::Loopback;
        if settings.address.is_loopback() != own_loopback && !settings.address.is_unspecified() {
            return Err(Error::Value);
        }
        let old = interface.ipv4;
        self.index_v4(slot, false);
        if let Some(interface) = self.netifs.get_mut(netif.0) {
            interface.set_ipv4(settings);
        }
        self.index_v4(slot, true);
        self.note_change(netif, reasons(&old, &settings), old);
        self.routes_changed();
        // What waits when the address goes may still leave: a message that gives a lease back, say.
        let gone = settings.address.is_unspecified();
        if !gone && (old.address != settings.address || old.netmask != settings.netmask) {
            self.forget_neighbours(slot, false);
        }
        if old.address != settings.address {
            self.tcp_address_gone(old.address.into());
            if !old.address.is_unspecified() && !settings.address.is_unspecified() {
                let (old, new) = (old.address.into(), settings.address.into());
                self.tcp_listeners_rebind(old, new);
                self.udp_rebind(old, new);
                self.raw_rebind(old, new);
            }
            if self.netifs.get(netif.0).is_some_and(Interface::is_ready) {
                self.announce(netif);
            }
        }
        Ok(())
    }

    pub(crate) fn netif_set_default(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        if let Some(netif) = netif {
            self.netif_slot(netif)?;
        }
        self.default_netif = netif;
        self.routes_changed();
        Ok(())
    }

    pub(crate) fn route_add(&mut self, route: &Route) -> Result<(), Error> {
        self.netif_slot(route.netif)?;
        if let Some(gateway) = route.gateway {
            let gateway = Address::from_ip(gateway, Some(route.netif.slot()))?;
            if !gateway.is_one_host() || gateway.is_loopback() {
                return Err(Error::Argument);
            }
        }
        self.forget_ways();
        self.routes.add(route)
    }

    pub(crate) fn route_remove(&mut self, route: &Route) -> Result<(), Error> {
        self.forget_ways();
        self.routes.remove(route)
    }

    /// Makes the routes that follow from the interfaces' settings anew: the network of each, and each gateway. The
    /// default interface's gateway comes first; without a gateway, a link to one other end leads everywhere.
    pub(crate) fn routes_changed(&mut self) {
        self.forget_ways();
        let default = self.default_netif;
        let netifs = &self.netifs;
        let derived =
            netifs.iter().filter(|(_, interface)| !interface.removed).flat_map(|(key, interface)| {
                let netif = NetifHandle(key);
                let metric = u16::from(default != Some(netif));
                let settings = interface.ipv4;
                let length = settings.prefix_len();
                let on_link = interface
                    .has_address()
                    .then(|| Entry::derived(settings.address.into(), length, netif, Address::ANY_V4, metric));
                let leads_everywhere = interface.medium == Medium::Ip && default == Some(netif);
                let gateway = (!settings.gateway.is_unspecified() || leads_everywhere)
                    .then(|| Entry::derived(Address::ANY_V4, 0, netif, settings.gateway.into(), metric));
                // [3927-5] Link-local addresses are never behind a router [3927-4], whatever the own one is.
                let beside = (interface.has_address() && matches!(interface.medium, Medium::Ethernet(_)))
                    .then(|| Entry::derived(LINK_LOCAL.into(), 16, netif, Address::ANY_V4, metric));
                on_link.into_iter().chain(gateway).chain(beside.filter(|_| !settings.address.is_link_local()))
            });
        #[cfg(feature = "ipv6")]
        let derived = derived.chain(self.addresses.v6.iter().filter_map(|(_, entry)| {
            let key = netifs.key_at(entry.netif as usize)?;
            let netif = NetifHandle(key);
            let metric = u16::from(default != Some(netif));
            // Of what routers advertise, they say themselves whether it is on the link [RFC 5942 §4].
            let says = entry.auto.made == Made::ByOwner;
            let on_link = says && !entry.address.is_link_local() && entry.prefix_len < 128;
            on_link.then(|| Entry::derived(entry.address, entry.prefix_len, netif, Address::ANY, metric))
        }));
        #[cfg(feature = "ipv6")]
        let derived = derived.chain(self.learned.iter().filter_map(|entry| {
            let netif = NetifHandle(netifs.key_at(entry.netif as usize)?);
            Some(entry.route(netif, default == Some(netif)))
        }));
        self.routes.rebuild(derived, |netif| netifs.get(netif.0).is_some_and(|interface| !interface.removed));
    }

    /// Whether another interface has an address already.
    fn address_taken(&self, own: Option<usize>, address: Ipv4Addr) -> bool {
        !address.is_unspecified() && self.owner_of(address.into()).is_some_and(|owner| Some(owner) != own)
    }

    pub(crate) fn note_change(&mut self, netif: NetifHandle, reasons: Reasons, before: Ipv4Settings) {
        if let Some(interface) = self.netifs.get_mut(netif.0) {
            if interface.change.reasons == Reasons::NONE {
                self.netifs_changed += 1;
            }
            interface.change.note(reasons, before);
        }
    }

    /// The next interface whose changes were not told yet.
    pub(crate) fn next_netif_change(&mut self) -> Option<Event> {
        let changed = |interface: &Interface| interface.change.reasons != Reasons::NONE;
        let netif = self.netifs.iter().find(|(_, interface)| changed(interface)).map(|(key, _)| key.index);
        if netif.is_none() {
            self.netifs_changed = 0;
        }
        netif.map(|netif| Event::Netif { netif })
    }

    /// The changes of an interface, which count as told from now on; a removed one leaves its slot.
    pub(crate) fn take_netif_change(&mut self, slot: usize) -> Option<super::NetifEvent> {
        let netif = self.netif_handle(slot)?;
        let interface = self.netifs.at_mut(slot)?;
        let change = core::mem::take(&mut interface.change);
        let removed = interface.removed;
        self.netifs_changed = self.netifs_changed.saturating_sub(1);
        if removed {
            // Packets that wait name the slot only, which another interface may get now.
            forget_packets(&mut self.looped, slot);
            forget_packets(&mut self.deferred, slot);
            self.netifs.remove(netif.0);
        }
        Some(super::NetifEvent { netif, reasons: change.reasons, old: change.old })
    }
}

/// The network of link-local addresses [RFC 3927 §2.1].
const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 0);

/// Drops the packets of an interface from a queue.
fn forget_packets(queue: &mut PbufQueue, slot: usize) {
    for _ in 0..queue.len() {
        if let Some(packet) = queue.pop_front()
            && usize::from(packet.netif_index()) != slot + 1
        {
            // It came out of this queue, so there is room for it.
            let kept = queue.push_back(packet);
            debug_assert!(kept.is_ok());
        }
    }
}

fn reasons(old: &Ipv4Settings, new: &Ipv4Settings) -> Reasons {
    let mut reasons = Reasons::IPV4_SETTINGS_CHANGED;
    if old.address != new.address {
        reasons = reasons.union(Reasons::IPV4_ADDRESS_CHANGED);
    }
    if old.netmask != new.netmask {
        reasons = reasons.union(Reasons::IPV4_NETMASK_CHANGED);
    }
    if old.gateway != new.gateway {
        reasons = reasons.union(Reasons::IPV4_GATEWAY_CHANGED);
    }
    if !new.address.is_unspecified() {
        reasons = reasons.union(Reasons::IPV4_ADDRESS_VALID);
    }
    reasons
}
