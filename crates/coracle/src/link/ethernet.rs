//! Frames in and out: Ethernet II with an optional 802.1Q tag.

use coracle_buf::{Pbuf, PbufFlags};
use coracle_wire::ethernet::{EthernetHeader, HEADER_LEN, Tci, VLAN_TAG_LEN, VlanTag};
use coracle_wire::{EtherType, MacAddr};

use crate::counters::count;
use crate::engine::Engine;
use crate::event::Event;
use crate::netif::Interface;

impl Engine {
    /// Takes a frame from a device.
    #[inline]
    pub(crate) fn ethernet_input(&mut self, netif: usize, own: MacAddr, mut frame: Pbuf) -> Option<Event> {
        let Ok(header) = EthernetHeader::read(frame.payload()) else {
            return self.ethernet_input_scattered(netif, own, frame);
        };
        let (destination, source, mut ether_type) = (header.destination, header.source, header.ether_type());
        if source.is_multicast() || source == own {
            count!(self.counters.link.bad_source);
            return self.drop_malformed(netif);
        }
        let interface = self.netifs.at_mut(netif)?;
        if destination == own {
            count!(interface.counters.in_unicast);
        } else if destination.is_multicast() {
            count!(interface.counters.in_non_unicast);
            let broadcast = destination.is_broadcast();
            let mark = if broadcast { PbufFlags::LINK_BROADCAST } else { PbufFlags::LINK_MULTICAST };
            frame.set_flags(frame.flags().union(mark));
        } else {
            count!(self.counters.link.not_for_us);
            return None;
        }
        let mut header_len = HEADER_LEN;
        if ether_type == EtherType::VLAN || interface.vlan.is_some() {
            (ether_type, header_len) = self.strip_tag(netif, &mut frame, ether_type)?;
        }
        if frame.remove_header(header_len).is_err() {
            count!(self.counters.link.memory);
            return None;
        }
        match ether_type {
            EtherType::IPV4 => self.ipv4_input(netif, frame, false),
            EtherType::ARP => {
                self.arp_input(netif, frame);
                None
            }
            _ => {
                count!(self.counters.link.unknown_type);
                let interface = self.netifs.at_mut(netif)?;
                count!(interface.counters.in_unknown_protocols);
                None
            }
        }
    }

    /// A frame whose first segment is shorter than the header, which is rare: bring the header together.
    #[cold]
    fn ethernet_input_scattered(&mut self, netif: usize, own: MacAddr, mut frame: Pbuf) -> Option<Event> {
        if frame.len() < HEADER_LEN {
            count!(self.counters.link.truncated);
            return self.drop_malformed(netif);
        }
        if frame.pull_up(HEADER_LEN).is_err() {
            count!(self.counters.link.memory);
            return None;
        }
        self.ethernet_input(netif, own, frame)
    }

    /// The type and the length of a header with a tag, when the tag is the one that the interface wants.
    ///
    /// An interface outside of all VLANs takes untagged frames and those that only carry a priority [IEEE 802.1Q].
    #[cold]
    fn strip_tag(
        &mut self,
        netif: usize,
        frame: &mut Pbuf,
        ether_type: EtherType,
    ) -> Option<(EtherType, usize)> {
        let wanted = self.netifs.at(netif)?.vlan.map_or(0, Tci::vid);
        if ether_type != EtherType::VLAN {
            count!(self.counters.link.wrong_vlan);
            return None;
        }
        if frame.len() < HEADER_LEN + VLAN_TAG_LEN {
            count!(self.counters.link.truncated);
            return self.drop_malformed(netif);
        }
        if frame.pull_up(HEADER_LEN + VLAN_TAG_LEN).is_err() {
            count!(self.counters.link.memory);
            return None;
        }
        let tag = VlanTag::read(&frame.payload()[HEADER_LEN..]).ok()?;
        if tag.vid() != wanted {
            count!(self.counters.link.wrong_vlan);
            return None;
        }
        Some((tag.ether_type(), HEADER_LEN + VLAN_TAG_LEN))
    }

    /// Counts a malformed frame or packet against its interface.
    #[cold]
    pub(crate) fn drop_malformed<T>(&mut self, netif: usize) -> Option<T> {
        if let Some(interface) = self.netifs.at_mut(netif) {
            count!(interface.counters.in_errors);
        }
        None
    }
}

impl Interface {
    /// Writes the link's header into the first bytes of a frame, which are as many as `link_header_len` says.
    #[inline]
    pub(crate) fn write_link_header(&self, into: &mut [u8], destination: MacAddr, ether_type: EtherType) {
        let Some(source) = self.mac() else { return };
        let Some((header, rest)) = into.split_first_chunk_mut::<HEADER_LEN>() else { return };
        match (self.vlan, rest.first_chunk_mut::<VLAN_TAG_LEN>()) {
            (Some(tci), Some(tag)) => {
                EthernetHeader::write(header, destination, source, EtherType::VLAN);
                VlanTag::write(tag, tci, ether_type);
            }
            _ => EthernetHeader::write(header, destination, source, ether_type),
        }
    }
}
