//! Neighbour discovery [RFC 4861] and the configuration of hosts by themselves [RFC 4862].
//!
//! What needs no engine is in modules of its own: [`dad`] (whether an address is somebody else's), [`lifetime`] (for how
//! long it is ours), [`identifier`] (its lower half), [`learned`] and [`dns`] (what routers said), [`advertiser`] (when a
//! router speaks). The others join these with the engine: [`solicit`] (who has an address), [`nud`] (whether neighbours are
//! still there), [`own`] (our addresses), [`host`] and [`router`], [`redirect`].

mod advertiser;
mod dad;
mod dns;
mod host;
mod identifier;
mod interface;
mod learned;
mod lifetime;
mod nud;
mod own;
mod redirect;
mod router;
mod solicit;

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::ipv6::Ipv6Header;
use coracle_wire::ipv6::extension::{Extension, Limits, Walk};
use coracle_wire::ndp::{HOP_LIMIT, Writer};
use coracle_wire::{MacAddr, icmpv6};

use crate::address::Address;
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::Received;
use crate::netif::{Interface, NetifHandle};

pub use advertiser::RouterSettings;
pub(crate) use dns::{DnsLists, Domain};
pub use identifier::InterfaceId;
pub use interface::Ipv6Settings;
pub(crate) use interface::Nd;
pub(crate) use learned::LearnedTable;
pub(crate) use own::{Auto, Made};

impl Engine {
    /// Takes a message of neighbour discovery.
    pub(crate) fn nd_input(&mut self, info: &Received, kind: u8, packet: &Pbuf) {
        let message = packet.payload().get(usize::from(info.header_len)..).unwrap_or_default();
        // [4861-1] What crossed a router is not from this link.
        let valid = info.ttl == HOP_LIMIT
            && !has_fragment_header(packet.payload())
            && match kind {
                icmpv6::ROUTER_SOLICITATION => self.nd_routers_solicited(info, message).is_ok(),
                icmpv6::ROUTER_ADVERTISEMENT => self.nd_router_advertised(info, message).is_ok(),
                icmpv6::NEIGHBOUR_SOLICITATION => self.nd_solicited(info, message).is_ok(),
                icmpv6::NEIGHBOUR_ADVERTISEMENT => self.nd_advertised(info, message).is_ok(),
                _ => self.nd_redirected(info, message).is_ok(),
            };
        if !valid {
            count!(self.counters.nd.malformed);
        }
    }

    /// A timer of an address, of an interface, or of what was learnt came.
    pub(crate) fn ipv6_timer(&mut self, timer: usize) {
        if timer < self.timers.nd(0) {
            self.address_timer(timer - self.timers.address(0));
        } else if timer < self.timers.learned() {
            self.nd_timer(timer - self.timers.nd(0));
        } else {
            self.learned_timer();
        }
    }

    /// Completes a message, and sends it from an interface to where its destination leads.
    fn nd_finish_and_send(
        &mut self,
        netif: usize,
        source: Address,
        destination: Address,
        writer: Writer<'_>,
    ) -> Result<(), Error> {
        self.nd_finish_and_send_to(None, netif, source, destination, writer)
    }

    /// The same, to a station if one is given: what answers a message needs no entry, so that nobody has to give way for
    /// it.
    fn nd_finish_and_send_to(
        &mut self,
        station: Option<MacAddr>,
        netif: usize,
        source: Address,
        destination: Address,
        writer: Writer<'_>,
    ) -> Result<(), Error> {
        let handle: NetifHandle = self.netif_handle(netif).ok_or(Error::Closed)?;
        if !self.netifs.at(netif).is_some_and(Interface::is_ready) {
            return Err(Error::Interface);
        }
        let bytes = writer.into_message(source.to_v6(), destination.to_v6()).map_err(|_| Error::Buffer)?;
        let mut message = small_pbuf(&self.memory, Layer::Ip, bytes.len())?;
        message.take(bytes)?;
        self.route_to(destination, Some(handle))?;
        if let Some(station) = station {
            self.route_to_station(station);
        }
        let sent = self.icmpv6_send(source, destination, message, HOP_LIMIT);
        if station.is_some() {
            self.neighbours.unsettle();
        }
        sent
    }
}

/// Whether a packet says that it is a fragment, even if it is the only one [6980-1].
fn has_fragment_header(packet: &[u8]) -> bool {
    let Ok(header) = Ipv6Header::read(packet) else { return false };
    let mut walk = Walk::new(packet, header.next_header(), Limits::default());
    while let Ok(Some(extension)) = walk.step() {
        if matches!(extension, Extension::Fragment(_)) {
            return true;
        }
    }
    false
}
