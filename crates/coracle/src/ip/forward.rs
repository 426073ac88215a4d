//! Packets to others, on interfaces that forward [RFC 1812] [RFC 8200 §3].
//!
//! Nothing is forwarded that must not leave its link or its host: what came as a broadcast of the link, what is from or to
//! a group, a loopback or a link-local address, or what is said to come from ourselves.

use coracle_buf::{Error, Pbuf};
use coracle_wire::checksum::update;
use coracle_wire::ipv4::{CHECKSUM_OFFSET, Ipv4Header};

use super::fragment_input::with_own_headers;
use super::packet::{Cast, Received};
use crate::address::Address;
use crate::counters::count;
use crate::engine::{Engine, LINK_GROUP};
use crate::icmp::Complaint;
use crate::netif::Interface;

/// Where in the header of an IPv4 packet its time-to-live is, with the protocol behind it.
const TTL_OFFSET: usize = 8;

impl Engine {
    /// Takes a packet to somebody else, which begins `at` and whose header was found to be well-formed.
    #[cold]
    #[inline(never)]
    pub(crate) fn ipv4_forward(&mut self, netif: usize, at: usize, packet: Pbuf) {
        let Some(packet) = self.hide_link(at, packet) else { return };
        let Some(info) = self.describe(netif, &packet) else { return };
        let total_len = Ipv4Header::read(packet.payload()).map_or(0, Ipv4Header::total_len);
        let info = Received { total_len: total_len as u32, ..info };
        self.forward(info, packet);
    }

    /// Whether an interface sends packets to others on.
    pub(crate) fn forwards(&self, netif: usize) -> bool {
        self.netifs.at(netif).is_some_and(|interface| interface.forwards)
    }

    /// Tells who sent a packet through us that its last router, we, cannot reach its destination [RFC 1812 §5.2.7.1].
    /// Returns whether it was a packet of somebody else's.
    pub(crate) fn complain_of_neighbour(&mut self, packet: &Pbuf) -> bool {
        let Some(netif) = usize::from(packet.netif_index()).checked_sub(1) else { return false };
        let Some(info) = self.describe(netif, packet) else { return false };
        if !self.forwards(netif) || self.owner_of(info.source).is_some() {
            return false;
        }
        self.icmp_complain(&info, packet, Complaint::NoNeighbour);
        true
    }

    /// Takes a packet to somebody else, if its interface forwards.
    pub(crate) fn forward(&mut self, info: Received, mut packet: Pbuf) {
        let netif = info.netif.slot();
        if !self.may_leave_link(netif, &info, &packet) {
            count!(self.counters.ip_of(info.destination).not_for_us);
            return;
        }
        let total_len = info.total_len as usize;
        if total_len < packet.len() && packet.truncate(total_len).is_err() {
            count!(self.counters.ip_of(info.destination).memory);
            return;
        }
        self.current = Some(info);
        let options_ok =
            info.header_len <= 20 || !info.source.is_v4() || self.ipv4_options_ok(&mut packet, 0);
        self.current = None;
        if !options_ok {
            return;
        }
        if self.hooks.is_some_and(|hooks| !hooks.may_forward(info.netif, &packet)) {
            count!(self.counters.ip_of(info.destination).not_forwarded);
            return;
        }
        if let Err(complaint) = self.forward_on(netif, &info, packet) {
            count!(self.counters.ip_of(info.destination).not_forwarded);
            let Some((complaint, packet)) = complaint else { return };
            self.icmp_complain(&info, &packet, complaint);
        }
    }

    /// Finds the way, and sends. What cannot be sent comes back with what is wrong, if its sender is to know.
    fn forward_on(
        &mut self,
        netif: usize,
        info: &Received,
        packet: Pbuf,
    ) -> Result<(), Option<(Complaint, Pbuf)>> {
        if info.ttl <= 1 {
            return Err(Some((Complaint::TimeExceeded, packet)));
        }
        let Ok(&hop) = self.route_to(info.destination, None) else {
            return Err(Some((Complaint::NoRoute, packet)));
        };
        // A subnet's broadcast is for its own hosts to send [RFC 2644].
        if hop.local || hop.cast != Cast::Unicast {
            return Err(None);
        }
        // What is known of the rest of the way is its sender's to learn.
        let mtu = self.netifs.at(hop.netif).map_or(0, |interface| interface.mtu_for(info.destination));
        let whole =
            !info.source.is_v4() || Ipv4Header::read(packet.payload()).is_ok_and(Ipv4Header::dont_fragment);
        if whole && packet.len() > usize::from(mtu) {
            return Err(Some((Complaint::TooBig { mtu }, packet)));
        }
        if self.is_detour(netif, info, hop.netif) {
            self.icmp_complain(info, &packet, Complaint::Redirect { gateway: hop.next });
            // The complaint went another way.
            if self.route_to(info.destination, None).is_err() {
                return Err(None);
            }
        }
        let Ok(mut packet) = self.one_hop_further(info, packet) else {
            count!(self.counters.ip_of(info.destination).memory);
            return Err(None);
        };
        // Should it wait in vain for its neighbour, this says that it is not ours.
        packet.set_netif_index(netif as u8 + 1);
        match self.ip_send(None, packet) {
            Ok(()) => {
                count!(self.counters.ip_of(info.destination).forwarded);
                Ok(())
            }
            Err(_) => Err(None),
        }
    }

    /// Whether a packet that came in on an interface may go on to another link.
    fn may_leave_link(&self, netif: usize, info: &Received, packet: &Pbuf) -> bool {
        let Some(interface) = self.netifs.at(netif) else { return false };
        let stays = |address: Address| {
            !address.is_one_host() || address.is_loopback() || is_link_local(address) || is_reserved(address)
        };
        interface.forwards
            && !packet.flags().intersects(LINK_GROUP)
            && info.cast == Cast::Unicast
            && !stays(info.source)
            && !stays(info.destination)
            && self.owner_of(info.source).is_none()
    }

    /// Whether the sender of a packet could have sent it where we send it [RFC 1812 §5.2.7.2].
    fn is_detour(&self, netif: usize, info: &Received, out: usize) -> bool {
        let near =
            |interface: &Interface| info.source.as_v4().is_some_and(|source| interface.is_on_link(source));
        self.config.send_redirects && out == netif && self.netifs.at(netif).is_some_and(near)
    }

    /// Counts the time-to-live down in a packet's header.
    fn one_hop_further(&mut self, info: &Received, packet: Pbuf) -> Result<Pbuf, Error> {
        let mut packet = with_own_headers(&self.memory, packet, info.header_len.into())?;
        let header = packet.payload_mut()?;
        if !info.source.is_v4() {
            if let Some(hop_limit) = header.get_mut(HOP_LIMIT_OFFSET) {
                *hop_limit -= 1;
            }
            return Ok(packet);
        }
        // The rest of the header keeps its sum [RFC 1624].
        if let Some([ttl, protocol, high, low]) = header.get_mut(TTL_OFFSET..CHECKSUM_OFFSET + 2) {
            let old = u16::from_be_bytes([*ttl, *protocol]);
            *ttl -= 1;
            let new = u16::from_be_bytes([*ttl, *protocol]);
            [*high, *low] = update(u16::from_be_bytes([*high, *low]), old, new).to_be_bytes();
        }
        Ok(packet)
    }
}

/// Where in the header of an IPv6 packet its hop limit is.
const HOP_LIMIT_OFFSET: usize = 7;

/// Whether packets with an address stay on their link [RFC 3927 §7] [RFC 4291 §2.5.6].
fn is_link_local(address: Address) -> bool {
    match address.as_v4() {
        Some(v4) => v4.is_link_local(),
        #[cfg(feature = "ipv6")]
        None => address.zone().is_some(),
        #[cfg(not(feature = "ipv6"))]
        None => false,
    }
}

/// Whether an address is no host's yet [RFC 1112 §4].
fn is_reserved(address: Address) -> bool {
    address.as_v4().is_some_and(|v4| v4.octets()[0] >= 240)
}
