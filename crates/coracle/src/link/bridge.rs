//! Software bridges: interfaces that are one, frames going from each to where their stations are [IEEE 802.1D §7].
//!
//! A bridge is an interface of its own, with its own station and addresses, and without a device: its ports are other
//! interfaces, which have no life of their own any more. A frame that goes out by several ports is shared by them, not
//! copied. There is no spanning tree: ports must not be joined in a circle.

use coracle_buf::{Error, Pbuf};
use coracle_wire::MacAddr;
use coracle_wire::ethernet::{EthernetHeader, HEADER_LEN, VLAN_TAG_LEN};

use super::fdb::Ports;
use crate::counters::count;
use crate::engine::{Engine, Entry};
use crate::event::Event;
use crate::netif::{Interface, Medium, NetifHandle};

impl Engine {
    /// Makes an interface a port of a bridge.
    ///
    /// [`Error::Argument`] unless one is a bridge and the other an Ethernet interface that may be a port; [`Error::InUse`]
    /// for one that is a port already; [`Error::Memory`] for one beyond the first 64.
    pub(crate) fn bridge_add_port(&mut self, bridge: NetifHandle, port: NetifHandle) -> Result<(), Error> {
        let (at, slot) = (self.netif_slot(bridge)?, self.netif_slot(port)?);
        let (Some(owner), Some(interface)) = (self.netifs.at(at), self.netifs.at(slot)) else {
            return Err(Error::Closed);
        };
        let ethernet = matches!(interface.medium, Medium::Ethernet(_));
        if !owner.is_bridge || interface.is_bridge || !ethernet || interface.vlan.is_some() {
            return Err(Error::Argument);
        }
        if interface.bridge.is_some() {
            return Err(Error::InUse);
        }
        if Ports::one(slot).is_empty() {
            return Err(Error::Memory);
        }
        self.set_bridge(slot, Some(at));
        Ok(())
    }

    /// Makes a port an interface of its own again; [`Error::Value`] when it is none of this bridge.
    pub(crate) fn bridge_remove_port(&mut self, bridge: NetifHandle, port: NetifHandle) -> Result<(), Error> {
        let (at, slot) = (self.netif_slot(bridge)?, self.netif_slot(port)?);
        if self.netifs.at(slot).and_then(|interface| interface.bridge).map(usize::from) != Some(at) {
            return Err(Error::Value);
        }
        self.set_bridge(slot, None);
        Ok(())
    }

    fn set_bridge(&mut self, slot: usize, bridge: Option<usize>) {
        let Some(interface) = self.netifs.at_mut(slot) else { return };
        let before = interface.bridge;
        interface.change(|interface| interface.bridge = bridge.map(|bridge| bridge as u8));
        let port = Ports::one(slot);
        if let Some(before) = before {
            self.fdb.forget_port(&self.hash_key, port);
            if let Some(bridge) = self.netifs.at_mut(before.into()) {
                bridge.ports = bridge.ports.without(port);
            }
        }
        if let Some(bridge) = bridge.and_then(|bridge| self.netifs.at_mut(bridge)) {
            bridge.ports = bridge.ports.with(port);
        }
        self.forget_ways();
    }

    /// An interface goes, and all that it has to do with bridges.
    pub(crate) fn bridge_forget(&mut self, slot: usize) {
        let Some(interface) = self.netifs.at(slot) else { return };
        if interface.bridge.is_some() {
            self.set_bridge(slot, None);
        } else if interface.is_bridge {
            let mut ports = interface.ports;
            while let Some(port) = ports.pop() {
                self.set_bridge(port, None);
            }
            self.bridges -= 1;
            self.fdb.forget_bridge(&self.hash_key, slot);
        }
    }

    /// Sets the ports, all of this bridge, by which frames to a station leave.
    pub(crate) fn bridge_set_station(
        &mut self,
        bridge: NetifHandle,
        station: MacAddr,
        ports: &[NetifHandle],
    ) -> Result<(), Error> {
        let at = self.netif_slot(bridge)?;
        let mut to = Ports::NONE;
        for &port in ports {
            to = to.with(Ports::one(self.netif_slot(port)?));
        }
        let own = self.netifs.at(at).map_or(Ports::NONE, |bridge| bridge.ports);
        if !to.without(own).is_empty() || !station.is_unicast() {
            return Err(Error::Argument);
        }
        self.fdb.set(&self.hash_key, at, station, to)
    }

    /// Takes that back; [`Error::Value`] when it was not set.
    pub(crate) fn bridge_unset_station(
        &mut self,
        bridge: NetifHandle,
        station: MacAddr,
    ) -> Result<(), Error> {
        let at = self.netif_slot(bridge)?;
        self.fdb.unset(&self.hash_key, at, station)
    }

    /// Takes a frame, whose header is in one piece, that came in by a port.
    #[cold]
    #[inline(never)]
    pub(crate) fn bridge_input(&mut self, bridge: usize, port: usize, frame: Pbuf) -> Option<Event> {
        let header = EthernetHeader::read(frame.payload()).ok()?;
        let (destination, source) = (header.destination, header.source);
        let interface = self.netifs.at(bridge)?;
        if !interface.is_ready() {
            count!(self.counters.link.down);
            return None;
        }
        let (own, ports) = (interface.mac(), interface.ports);
        if source.is_multicast() || own == Some(source) {
            count!(self.counters.link.bad_source);
            return self.drop_malformed(port);
        }
        let interface = self.netifs.at_mut(port)?;
        let group = destination.is_multicast();
        if group {
            count!(interface.counters.in_non_unicast);
        } else {
            count!(interface.counters.in_unicast);
        }
        let came_by = Ports::one(port);
        let lifetime = self.config.bridge_ageing;
        self.fdb.learn(&self.hash_key, bridge, source, came_by, self.now, lifetime);
        if own == Some(destination) {
            return self.bridge_take(bridge, frame);
        }
        if !is_link_constrained(destination) {
            let others = ports.without(came_by);
            let known = if group { None } else { self.station(bridge, destination) };
            self.bridge_send(known.map_or(others, |known| known.and(others)), &frame, !group);
        }
        if group { self.bridge_take(bridge, frame) } else { None }
    }

    /// Takes a frame to the bridge itself.
    fn bridge_take(&mut self, bridge: usize, frame: Pbuf) -> Option<Event> {
        // It was counted as it came in by the port.
        self.counters.link.received = self.counters.link.received.wrapping_sub(1);
        self.enter(Entry::Frame, bridge, frame)
    }

    /// Sends what a bridge itself has to send.
    #[cold]
    #[inline(never)]
    pub(crate) fn bridge_drain(&mut self, bridge: usize) {
        while let Some(frame) = self.netifs.at_mut(bridge).and_then(|bridge| bridge.queue.pop_front()) {
            let Ok(header) = EthernetHeader::read(frame.payload()) else { continue };
            let destination = header.destination;
            let group = destination.is_multicast();
            let ports = self.netifs.at(bridge).map_or(Ports::NONE, |bridge| bridge.ports);
            let known = if group { None } else { self.station(bridge, destination) };
            self.bridge_send(known.unwrap_or(ports), &frame, !group);
        }
    }

    /// The same for all bridges.
    #[cold]
    #[inline(never)]
    pub(crate) fn bridge_drain_all(&mut self) {
        for slot in 0..self.netifs.capacity() {
            if self
                .netifs
                .at(slot)
                .is_some_and(|interface| interface.is_bridge && !interface.queue.is_empty())
            {
                self.bridge_drain(slot);
            }
        }
    }

    /// The next frame for a port whose queue is empty.
    #[cold]
    #[inline(never)]
    pub(crate) fn bridge_refill(&mut self, port: NetifHandle) -> Option<Pbuf> {
        let bridge = self.netifs.get(port.0)?.bridge?;
        self.bridge_drain(bridge.into());
        self.netifs.get_mut(port.0)?.queue.pop_front()
    }

    fn station(&self, bridge: usize, station: MacAddr) -> Option<Ports> {
        self.fdb.find(&self.hash_key, bridge, station, self.now, self.config.bridge_ageing)
    }

    /// Queues a frame at ports; where there is no room it is lost, as with any bridge.
    fn bridge_send(&mut self, mut to: Ports, frame: &Pbuf, unicast: bool) {
        while let Some(port) = to.pop() {
            let Some(port) = self.netifs.at_mut(port) else { continue };
            if !port.is_ready() {
                continue;
            }
            if frame.len() > port.longest_frame()
                || !port.has_room()
                || port.enqueue(frame.clone(), unicast).is_err()
            {
                count!(port.counters.out_discards);
                continue;
            }
            count!(self.counters.link.sent);
        }
    }
}

impl Interface {
    /// Bytes of the longest frame that a bridge may send, a tag included.
    fn longest_frame(&self) -> usize {
        HEADER_LEN + VLAN_TAG_LEN + usize::from(self.mtu)
    }
}

/// Whether frames to a group never cross a bridge [IEEE 802.1D §7.12.6].
fn is_link_constrained(group: MacAddr) -> bool {
    matches!(group.0, [1, 0x80, 0xc2, 0, 0, last] if last < 0x10)
}
