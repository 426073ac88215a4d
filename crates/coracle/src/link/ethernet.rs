//! Frames in and out: Ethernet II with an optional 802.1Q tag.

use coracle_buf::{Pbuf, PbufFlags};
use coracle_wire::ethernet::{EthernetHeader, HEADER_LEN, Tci, VLAN_TAG_LEN, VlanTag};
use coracle_wire::{EtherType, MacAddr};

use crate::counters::count;
use crate::engine::{Engine, Entry, LINK_GROUP};
use crate::event::Event;
use crate::netif::{Interface, Medium};

/// Why a frame needs a closer look.
#[derive(Clone, Copy)]
pub(crate) enum LinkTurn {
    /// The interface is down.
    Down,
    /// The first segment is shorter than the header.
    Short,
    /// It is not from one station to us alone, is tagged or should be, or carries something else than IPv4.
    Other,
}

impl Interface {
    /// Looks at the link header of a frame to us alone; returns its length.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called once")]
    pub(crate) fn take_frame(&mut self, frame: &mut Pbuf) -> Result<usize, LinkTurn> {
        if !self.ready {
            return Err(LinkTurn::Down);
        }
        count!(self.counters.in_octets, frame.len() as u64);
        // What another stack in this program noted in the very buffer says nothing of this frame.
        let mut marks = frame.flags();
        if marks.intersects(LINK_GROUP) {
            marks.remove(LINK_GROUP);
            frame.set_flags(marks);
        }
        let mut header_len = 0;
        if !self.plain {
            return Err(LinkTurn::Other);
        }
        if let Medium::Ethernet(own) = &self.medium {
            let Ok(header) = EthernetHeader::read(frame.payload()) else { return Err(LinkTurn::Short) };
            let ether_type = header.ether_type();
            let ours =
                ether_type == EtherType::IPV4 || (cfg!(feature = "ipv6") && ether_type == EtherType::IPV6);
            if !ours || !header.is_between_stations(own) {
                return Err(LinkTurn::Other);
            }
            header_len = HEADER_LEN;
        }
        count!(self.counters.in_unicast);
        Ok(header_len)
    }
}

impl Engine {
    /// Takes a frame whose header is out of the ordinary.
    pub(crate) fn link_turn_off(&mut self, why: LinkTurn, netif: usize, mut frame: Pbuf) -> Option<Event> {
        let interface = self.netifs.at_mut(netif)?;
        if let LinkTurn::Down = why {
            count!(interface.counters.in_discards);
            count!(self.counters.link.down);
            return None;
        }
        if interface.mac().is_none() {
            count!(interface.counters.in_unicast);
            let packet = self.hook_input(netif, frame)?;
            return self.enter(Entry::Packet, netif, packet);
        }
        if frame.len() < HEADER_LEN {
            count!(self.counters.link.truncated);
            return self.drop_malformed(netif);
        }
        if frame.pull_up(HEADER_LEN).is_err() {
            count!(self.counters.link.memory);
            return None;
        }
        if let Some(bridge) = interface.bridge {
            return self.bridge_input(bridge.into(), netif, frame);
        }
        let header = EthernetHeader::read(frame.payload()).ok()?;
        let (destination, source, mut ether_type) = (header.destination, header.source, header.ether_type());
        if source.is_multicast() || interface.mac() == Some(source) {
            count!(self.counters.link.bad_source);
            return self.drop_malformed(netif);
        }
        if interface.mac() == Some(destination) {
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
        frame = self.hide_link(header_len, frame)?;
        match ether_type {
            EtherType::IPV4 => {
                let packet = self.hook_input(netif, frame)?;
                self.enter(Entry::Packet, netif, packet)
            }
            #[cfg(feature = "ipv6")]
            EtherType::IPV6 => {
                let packet = self.hook_input(netif, frame)?;
                self.ipv6_input(Entry::Packet, netif, packet, 0)
            }
            EtherType::ARP => {
                self.arp_input(netif, frame);
                None
            }
            _ => {
                if let (Some(hooks), Some(netif)) = (self.hooks, self.netif_handle(netif)) {
                    hooks.unknown_ether_type(netif, ether_type, frame)?;
                }
                count!(self.counters.link.unknown_type);
                let interface = self.netifs.at_mut(netif)?;
                count!(interface.counters.in_unknown_protocols);
                None
            }
        }
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
        let taken = match (self.hooks, self.netif_handle(netif)) {
            (Some(hooks), Some(netif)) => hooks.vlan_check(netif, tag.tci(), wanted),
            _ => tag.vid() == wanted,
        };
        if !taken {
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

/// What a link puts in front of a packet: nothing, or an Ethernet header with or without a tag.
#[derive(Clone, Copy)]
pub(crate) struct LinkHeader {
    bytes: [u8; HEADER_LEN + VLAN_TAG_LEN],
    len: u8,
}

impl LinkHeader {
    pub(crate) const NONE: Self = Self { bytes: [0; HEADER_LEN + VLAN_TAG_LEN], len: 0 };

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Writes it into the first bytes of a frame.
    #[inline]
    pub(crate) fn write(&self, frame: &mut [u8]) {
        if let (Some(into), Some(from)) = (frame.get_mut(..self.len()), self.bytes.get(..self.len())) {
            into.copy_from_slice(from);
        }
    }

    /// Writes it, `len` bytes, in front of an IP header that is not written yet; returns the bytes for that.
    #[inline]
    pub(crate) fn write_before_packet<'a>(&self, frame: &'a mut [u8], len: usize) -> Option<&'a mut [u8]> {
        // As many bytes as the longest has, a number that the compiler knows; the packet writes over what was too much.
        *frame.first_chunk_mut()? = self.bytes;
        frame.get_mut(len..)
    }
}

impl Engine {
    /// The header of a frame to a station, with the tag that the application wants.
    pub(crate) fn link_header(&self, netif: usize, to: MacAddr, ether_type: EtherType) -> LinkHeader {
        let Some(interface) = self.netifs.at(netif) else { return LinkHeader::NONE };
        let mut tci = interface.vlan;
        if let (Some(hooks), Some(own), Some(netif)) = (self.hooks, tci, self.netif_handle(netif)) {
            tci = Some(hooks.vlan_set(netif, to, ether_type, own));
        }
        interface.link_header(to, ether_type, tci)
    }
}

impl Interface {
    /// The header of a frame to a station, with this tag, if the interface's frames have any.
    pub(crate) fn link_header(
        &self,
        destination: MacAddr,
        ether_type: EtherType,
        tci: Option<Tci>,
    ) -> LinkHeader {
        let mut link = LinkHeader { len: self.link_header_len() as u8, ..LinkHeader::NONE };
        let (header, tag) = link.bytes.split_at_mut(HEADER_LEN);
        if let (Some(source), Some(header)) = (self.mac(), header.first_chunk_mut()) {
            let outer = if self.vlan.is_some() { EtherType::VLAN } else { ether_type };
            EthernetHeader::write(header, destination, source, outer);
        }
        if let (Some(tci), Some(tag)) = (tci, tag.first_chunk_mut()) {
            VlanTag::write(tag, tci, ether_type);
        }
        link
    }
}
