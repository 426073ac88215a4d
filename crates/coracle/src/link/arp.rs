//! ARP packets: requests, replies, announcements [RFC 826, RFC 1122 §2.3.2].

use core::net::Ipv4Addr;

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::arp::{ArpPacket, LEN, REPLY, REQUEST};
use coracle_wire::{EtherType, MacAddr};

use crate::counters::count;
use crate::engine::{Engine, small_pbuf};

impl Engine {
    /// An ARP packet came.
    pub(crate) fn arp_input(&mut self, netif: usize, mut packet: Pbuf) {
        count!(self.counters.arp.received);
        if packet.len() >= LEN && packet.pull_up(LEN).is_err() {
            count!(self.counters.link.memory);
            return;
        }
        // [ARP-1] Types, lengths and size.
        let Ok(arp) = ArpPacket::read(packet.payload()) else {
            count!(self.counters.arp.malformed);
            return self.drop_malformed(netif).unwrap_or_default();
        };
        let (mac, sender, target, operation) =
            (arp.sender_mac, arp.sender_ip(), arp.target_ip(), arp.operation());
        #[cfg(feature = "dhcp")]
        self.watch_addresses(netif, &packet);
        let Some(interface) = self.netifs.at(netif) else { return };
        let for_us = interface.has_address() && target == interface.ipv4.address;
        if interface.has_address() && sender == interface.ipv4.address {
            count!(self.counters.arp.conflicts);
            return;
        }
        // A probe asks without having an address yet: it is answered, and teaches nothing [RFC 5227 §2.1.1].
        let probe = sender.is_unspecified();
        let station = mac.is_unicast() && mac != MacAddr::ZERO && interface.mac() != Some(mac);
        // Whom we asked may be anywhere: a router outside of our network, say.
        let asked = |engine: &Self| engine.neighbours.find(&engine.hash_key, netif, sender.into()).is_some();
        let believable = station && (probe || self.is_neighbour(netif, sender.into()) || asked(self));
        if !believable {
            count!(self.counters.arp.bad_sender);
            return;
        }
        if !probe {
            self.learn(netif, sender.into(), mac, for_us);
        }
        if for_us && operation == REQUEST {
            self.arp_reply(netif, mac, sender);
        }
    }

    fn arp_reply(&mut self, netif: usize, to: MacAddr, ip: Ipv4Addr) {
        if self.arp_send(netif, REPLY, None, (to, ip), to).is_ok() {
            count!(self.counters.arp.replies_sent);
        }
    }

    /// Asks for a neighbour; lwIP: `etharp_request`.
    pub(crate) fn arp_request(&mut self, netif: usize, address: Ipv4Addr, to: MacAddr) {
        if self.arp_send(netif, REQUEST, None, (MacAddr::ZERO, address), to).is_ok() {
            count!(self.counters.arp.requests_sent);
        }
    }

    /// Tells everybody our address: a request for it from it [RFC 5227 §2.3]; lwIP: `etharp_gratuitous`.
    pub(crate) fn arp_announce(&mut self, netif: usize) -> Result<(), Error> {
        let interface = self.netifs.at(netif).ok_or(Error::Closed)?;
        if !interface.has_address() || interface.mac().is_none() {
            return Err(Error::Value);
        }
        let address = interface.ipv4.address;
        self.arp_send(netif, REQUEST, Some(address), (MacAddr::ZERO, address), MacAddr::BROADCAST)?;
        count!(self.counters.arp.announcements_sent);
        Ok(())
    }

    pub(crate) fn arp_send(
        &mut self,
        netif: usize,
        operation: u16,
        sender: Option<Ipv4Addr>,
        target: (MacAddr, Ipv4Addr),
        to: MacAddr,
    ) -> Result<(), Error> {
        let sent = self.arp_try_send(netif, operation, sender, target, to);
        match sent {
            Ok(()) => count!(self.counters.link.sent),
            Err(_) => count!(self.counters.arp.send_failed),
        }
        sent
    }

    fn arp_try_send(
        &mut self,
        netif: usize,
        operation: u16,
        sender: Option<Ipv4Addr>,
        target: (MacAddr, Ipv4Addr),
        to: MacAddr,
    ) -> Result<(), Error> {
        let mut frame = small_pbuf(&self.memory, Layer::Link, LEN)?;
        let own = self.netifs.at(netif).ok_or(Error::Closed)?.ipv4.address;
        let sender = sender.unwrap_or(own);
        // [3927-3] Everybody hears of link-local addresses, so that conflicts come to light.
        let to = if sender.is_link_local() { MacAddr::BROADCAST } else { to };
        let link = self.link_header(netif, to, EtherType::ARP);
        let interface = self.netifs.at_mut(netif).ok_or(Error::Closed)?;
        let mac = interface.mac().ok_or(Error::Interface)?;
        if !interface.is_ready() || !interface.has_room() {
            return Err(Error::WouldBlock);
        }
        let body = frame.payload_mut()?.first_chunk_mut::<LEN>().ok_or(Error::Buffer)?;
        ArpPacket::write(body, operation, (mac, sender), target);
        link.write(frame.add_header(link.len())?);
        interface.enqueue(frame, to.is_unicast()).map_err(|(error, _)| error)
    }
}
