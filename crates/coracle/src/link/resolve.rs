//! The life of a neighbour's entry, and of the packets that wait for it, whichever protocol asks [RFC 1122 §2.3.2].

use coracle_buf::{Error, Pbuf};
use coracle_wire::MacAddr;

use super::neighbours::NeighbourState;
use crate::address::{Address, Family};
use crate::counters::count;
use crate::engine::Engine;
use crate::netif::Interface;

/// Where a packet for a neighbour stands.
pub(crate) enum Resolution {
    /// The station is known.
    Known(MacAddr),
    /// The packet must wait at this entry.
    Wait(usize),
}

impl Engine {
    /// Finds the station of a neighbour, and asks for it when it is not known.
    ///
    /// [`Error::WouldBlock`] when too many packets wait already, [`Error::Memory`] when no entry is to be had.
    pub(crate) fn resolve(&mut self, netif: usize, address: Address) -> Result<Resolution, Error> {
        if let Some(position) = self.neighbours.find(&self.hash_key, netif, address)
            && let Some(entry) = self.neighbours.touch(position)
        {
            match entry.state {
                NeighbourState::Reachable
                | NeighbourState::Static
                | NeighbourState::Refreshing
                | NeighbourState::Delay
                | NeighbourState::Probe => return Ok(Resolution::Known(entry.mac)),
                NeighbourState::Stale => {
                    let mac = entry.mac;
                    match address.family() {
                        Family::V4 => self.refresh(position),
                        #[cfg(feature = "ipv6")]
                        Family::V6 => self.nud_delay(position),
                    }
                    return Ok(Resolution::Known(mac));
                }
                NeighbourState::Incomplete => {
                    let own_queue_empty = entry.pending.is_empty();
                    return self.may_wait(own_queue_empty).map(|()| Resolution::Wait(position));
                }
            }
        }
        self.may_wait(true)?;
        let position = self.new_neighbour(netif, address, MacAddr::ZERO, NeighbourState::Incomplete)?;
        self.ask(position);
        Ok(Resolution::Wait(position))
    }

    /// Whether one more packet may wait: packets that wait must not hold every buffer, since the answer needs one.
    fn may_wait(&self, own_queue_empty: bool) -> Result<(), Error> {
        if own_queue_empty && self.neighbours.pending >= self.config.pending {
            Err(Error::WouldBlock)
        } else {
            Ok(())
        }
    }

    /// Lets a packet (with its link header, but for the station) wait for a neighbour. The newest are kept [ARP-4].
    pub(crate) fn wait_for_neighbour(&mut self, position: usize, frame: Pbuf) -> Result<(), (Error, Pbuf)> {
        let limit = self.config.pending_per_neighbour.max(1);
        let total_full = self.neighbours.pending >= self.config.pending;
        let Some(entry) = self.neighbours.at_mut(position) else { return Err((Error::Memory, frame)) };
        entry.pending.push_back(frame)?;
        if entry.pending.len() > limit || total_full {
            drop(entry.pending.pop_front());
            count!(self.counters.arp.pending_dropped);
        } else {
            self.neighbours.pending += 1;
        }
        Ok(())
    }

    /// Makes an entry; in a full table another gives way.
    pub(crate) fn new_neighbour(
        &mut self,
        netif: usize,
        address: Address,
        mac: MacAddr,
        state: NeighbourState,
    ) -> Result<usize, Error> {
        if self.neighbours.is_full() {
            let victim = self.neighbours.victim().ok_or(Error::Memory)?;
            count!(self.counters.arp.evicted);
            self.forget_neighbour(victim);
        }
        self.neighbours.insert(&self.hash_key, netif, address, mac, state)
    }

    /// Removes an entry, and counts what waited for it as dropped.
    pub(crate) fn forget_neighbour(&mut self, position: usize) {
        if let Some(entry) = self.neighbours.remove(&self.hash_key, position) {
            count!(self.counters.arp.pending_dropped, entry.pending.len() as u32);
            self.wheel.cancel(self.timers.neighbour(position));
        }
    }

    /// Sends a request for an entry and sets the time of the next [ARP-3]: at most one in each retry interval.
    pub(crate) fn ask(&mut self, position: usize) {
        let Some(entry) = self.neighbours.at_mut(position) else { return };
        entry.attempts = entry.attempts.saturating_add(1);
        let (netif, address) = (entry.netif as usize, entry.address);
        // The first requests of a refresh go to the station itself: nobody else needs to hear [RFC 1122 §2.3.2.1].
        let unicast =
            entry.state == NeighbourState::Refreshing && entry.attempts < self.config.neighbour_attempts;
        let to = if unicast { entry.mac } else { MacAddr::BROADCAST };
        #[cfg(feature = "ipv6")]
        let probe = entry.state == NeighbourState::Probe;
        let retry = match address.family() {
            Family::V4 => {
                self.arp_request(netif, address.low(), to);
                self.config.neighbour_retry
            }
            #[cfg(feature = "ipv6")]
            Family::V6 => {
                self.nd_solicit(netif, address, probe);
                self.nd_retry(netif)
            }
        };
        self.wheel.set(self.timers.neighbour(position), self.now + retry);
    }

    fn refresh(&mut self, position: usize) {
        if let Some(entry) = self.neighbours.at_mut(position) {
            entry.state = NeighbourState::Refreshing;
            entry.attempts = 0;
            self.ask(position);
        }
    }

    /// The timer of an entry came.
    pub(crate) fn neighbour_timer(&mut self, position: usize) {
        let Some(entry) = self.neighbours.at_mut(position) else { return };
        #[cfg(feature = "ipv6")]
        if !entry.address.is_v4() {
            return self.nud_timer(position);
        }
        match entry.state {
            NeighbourState::Reachable => {
                entry.state = NeighbourState::Stale;
                self.wheel.set(self.timers.neighbour(position), self.now + self.config.neighbour_refresh);
            }
            NeighbourState::Incomplete | NeighbourState::Refreshing
                if entry.attempts < self.config.neighbour_attempts =>
            {
                self.ask(position);
            }
            NeighbourState::Static | NeighbourState::Delay | NeighbourState::Probe => {}
            NeighbourState::Stale => self.forget_neighbour(position),
            NeighbourState::Incomplete | NeighbourState::Refreshing => self.give_up(position),
        }
    }

    /// A neighbour does not answer: tell those whose packets waited.
    pub(crate) fn give_up(&mut self, position: usize) {
        let Some(mut entry) = self.neighbours.remove(&self.hash_key, position) else { return };
        count!(self.counters.arp.unresolved);
        self.forget_redirects_to(entry.netif as usize, entry.address);
        while let Some(mut frame) = entry.pending.pop_front() {
            count!(self.counters.arp.pending_dropped);
            let link = self.netifs.at(entry.netif as usize).map_or(0, Interface::link_header_len);
            if frame.remove_header(link).is_ok() {
                self.note_undeliverable(frame);
            }
        }
    }

    /// Whether an address can be a neighbour's: on the link, and one host's.
    pub(crate) fn is_neighbour(&self, netif: usize, address: Address) -> bool {
        let Some(interface) = self.netifs.at(netif) else { return false };
        let (broadcast, own_net) = match address.as_v4() {
            Some(v4) => (interface.is_broadcast(v4), interface.is_on_link(v4)),
            #[cfg(feature = "ipv6")]
            None => (false, address.zone() == Some(netif)),
            #[cfg(not(feature = "ipv6"))]
            None => (false, false),
        };
        address.is_one_host()
            && !address.is_loopback()
            && !broadcast
            && (own_net || self.is_routed_on_link(netif, address))
    }

    /// Whether a route says that an address is on the link of an interface.
    fn is_routed_on_link(&self, netif: usize, address: Address) -> bool {
        let handle = self.netif_handle(netif);
        let route = self.routes.find(address, |netif| Some(netif) == handle);
        route.is_some_and(|route| route.gateway.is_unspecified())
    }

    /// Updates an entry from whatever packet; makes one only when the packet was meant for us [ARP-2] and no other
    /// has to give way, so that a flood of requests pushes out nobody whom we talk to.
    pub(crate) fn learn(&mut self, netif: usize, address: Address, mac: MacAddr, for_us: bool) {
        match self.neighbours.find(&self.hash_key, netif, address) {
            Some(position) => self.confirm(position, mac),
            None if for_us && !self.neighbours.is_full() => {
                if let Ok(position) = self.new_neighbour(netif, address, mac, NeighbourState::Reachable) {
                    self.confirm(position, mac);
                }
            }
            None => {}
        }
    }

    fn confirm(&mut self, position: usize, mac: MacAddr) {
        let Some(entry) = self.neighbours.at_mut(position) else { return };
        if entry.state == NeighbourState::Static {
            return;
        }
        entry.mac = mac;
        entry.state = NeighbourState::Reachable;
        entry.attempts = 0;
        let netif = entry.netif as usize;
        let fresh = self.config.neighbour_lifetime.saturating_sub(self.config.neighbour_refresh);
        self.wheel.set(self.timers.neighbour(position), self.now + fresh);
        self.send_pending(netif, position, mac);
    }

    /// Sends what waited for a neighbour. It was accepted, so it may exceed the limit of the device's queue.
    pub(crate) fn send_pending(&mut self, netif: usize, position: usize, mac: MacAddr) {
        while let Some(mut frame) =
            self.neighbours.at_mut(position).and_then(|entry| entry.pending.pop_front())
        {
            self.neighbours.pending -= 1;
            let Some(interface) = self.netifs.at_mut(netif) else { return };
            let sent = match frame.payload_mut() {
                Ok(bytes) => {
                    bytes[..6].copy_from_slice(&mac.0);
                    if frame.len() > interface.link_header_len() + usize::from(interface.mtu) {
                        if self.send_long_pending(netif, mac, frame).is_err() {
                            count!(self.counters.arp.pending_dropped);
                        }
                        continue;
                    }
                    interface.enqueue(frame, true).is_ok()
                }
                Err(_) => false,
            };
            if sent {
                count!(self.counters.link.sent);
            } else {
                count!(self.counters.arp.pending_dropped);
            }
        }
    }

    /// Sets an entry for good; lwIP: `etharp_add_static_entry`.
    pub(crate) fn neighbour_set_static(
        &mut self,
        netif: usize,
        address: Address,
        mac: MacAddr,
    ) -> Result<(), Error> {
        if !mac.is_unicast() || mac == MacAddr::ZERO || !self.is_neighbour(netif, address) {
            return Err(Error::Value);
        }
        let position = match self.neighbours.find(&self.hash_key, netif, address) {
            Some(position) => position,
            None => self.new_neighbour(netif, address, mac, NeighbourState::Static)?,
        };
        if let Some(entry) = self.neighbours.at_mut(position) {
            entry.state = NeighbourState::Static;
            entry.mac = mac;
        }
        self.wheel.cancel(self.timers.neighbour(position));
        self.send_pending(netif, position, mac);
        Ok(())
    }

    /// Removes an entry that was set for good; [`Error::Value`] when there is none.
    pub(crate) fn neighbour_remove_static(&mut self, netif: usize, address: Address) -> Result<(), Error> {
        let position = self.neighbours.find(&self.hash_key, netif, address).ok_or(Error::Value)?;
        let is_static =
            self.neighbours.at(position).is_some_and(|entry| entry.state == NeighbourState::Static);
        if !is_static {
            return Err(Error::Value);
        }
        self.forget_neighbour(position);
        Ok(())
    }

    /// Forgets the neighbours of an interface that went down or changed its address; those set for good stay
    /// unless the interface is gone.
    pub(crate) fn forget_neighbours(&mut self, netif: usize, statics_too: bool) {
        for position in 0..self.neighbours.capacity() {
            let matches = self.neighbours.at(position).is_some_and(|entry| {
                entry.netif as usize == netif && (statics_too || entry.state != NeighbourState::Static)
            });
            if matches {
                self.forget_neighbour(position);
            }
        }
    }
}
