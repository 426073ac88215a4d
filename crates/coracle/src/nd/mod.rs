//! Neighbour discovery [RFC 4861]: who has an address, asked and answered.

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::ndp::{self, NdOption, NeighbourAdvertisement, NeighbourSolicitation, Options, Writer};
use coracle_wire::{MacAddr, Malformed, icmpv6};

use crate::address::Address;
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::Received;
use crate::netif::{Interface, NetifHandle};

/// A message with one option of a link-layer address.
const MESSAGE_LEN: usize = 24 + 8;

impl Engine {
    /// Asks for the station of an address: the group in which its holder is solicited, or, to see whether it is still
    /// there, the station that it had.
    pub(crate) fn nd_solicit(&mut self, netif: usize, target: Address, to: Option<MacAddr>) {
        let destination = if to.is_some() { target } else { target.solicited_node(netif) };
        match self.nd_try_solicit(netif, target, destination, to) {
            Ok(()) => count!(self.counters.nd.solicitations_sent),
            Err(_) => count!(self.counters.nd.send_failed),
        }
    }

    fn nd_try_solicit(
        &mut self,
        netif: usize,
        target: Address,
        destination: Address,
        to: Option<MacAddr>,
    ) -> Result<(), Error> {
        let source = self.source_v6(netif, target);
        let own = self.netifs.at(netif).and_then(Interface::mac).ok_or(Error::Interface)?;
        let mut bytes = [0; MESSAGE_LEN];
        let mut writer = Writer::neighbour_solicitation(&mut bytes, target.to_v6());
        if !source.is_unspecified() {
            writer.source_station(own);
        }
        let len = finish(writer, source, destination)?;
        self.nd_send(netif, source, destination, to, &bytes[..len])
    }

    /// Takes a message of neighbour discovery.
    pub(crate) fn nd_input(&mut self, info: &Received, kind: u8, packet: &Pbuf) {
        let message = packet.payload().get(usize::from(info.header_len)..).unwrap_or_default();
        // [4861-1] What crossed a router is not from this link.
        let valid = info.ttl == ndp::HOP_LIMIT
            && match kind {
                icmpv6::NEIGHBOUR_SOLICITATION => self.nd_solicited(info, message).is_ok(),
                _ => self.nd_advertised(info, message).is_ok(),
            };
        if !valid {
            count!(self.counters.nd.malformed);
        }
    }

    fn nd_solicited(&mut self, info: &Received, message: &[u8]) -> Result<(), Malformed> {
        let (source, destination) = (info.source.to_v6(), info.destination.to_v6());
        let (solicitation, options) = NeighbourSolicitation::read(message, source, destination)?;
        let netif = info.netif.slot();
        let target = Address::v6(solicitation.target().octets(), netif);
        let station = station_of(options);
        if self.owner_of(target) != Some(netif) {
            return Ok(());
        }
        let asked_by_somebody = !info.source.is_unspecified();
        if let Some(station) = station
            && asked_by_somebody
            && self.is_neighbour(netif, info.source)
        {
            self.learn(netif, info.source, station, true);
        }
        self.nd_advertise(info, target, asked_by_somebody);
        Ok(())
    }

    /// [4861-7] Answers a solicitation; one without a source address is answered to all.
    fn nd_advertise(&mut self, info: &Received, target: Address, solicited: bool) {
        let netif = info.netif.slot();
        let all_nodes = Address::v6(coracle_wire::ipv6::group::ALL_NODES.octets(), netif);
        let destination = if solicited { info.source } else { all_nodes };
        match self.nd_try_advertise(netif, target, destination, solicited) {
            Ok(()) => count!(self.counters.nd.advertisements_sent),
            Err(_) => count!(self.counters.nd.send_failed),
        }
    }

    fn nd_try_advertise(
        &mut self,
        netif: usize,
        target: Address,
        destination: Address,
        solicited: bool,
    ) -> Result<(), Error> {
        let own = self.netifs.at(netif).and_then(Interface::mac).ok_or(Error::Interface)?;
        let mut bytes = [0; MESSAGE_LEN];
        let mut writer = Writer::neighbour_advertisement(&mut bytes, target.to_v6(), false, solicited, true);
        writer.target_station(own);
        let len = finish(writer, target, destination)?;
        self.nd_send(netif, target, destination, None, &bytes[..len])
    }

    fn nd_advertised(&mut self, info: &Received, message: &[u8]) -> Result<(), Malformed> {
        let (advertisement, options) = NeighbourAdvertisement::read(message, info.destination.to_v6())?;
        let netif = info.netif.slot();
        let target = Address::v6(advertisement.target().octets(), netif);
        if let Some(station) = station_of(options) {
            // [4861-9] Nobody asked: no entry is made.
            self.learn(netif, target, station, false);
        }
        Ok(())
    }

    /// Sends a message from an interface: to a station if one is given, else to where its destination leads.
    fn nd_send(
        &mut self,
        netif: usize,
        source: Address,
        destination: Address,
        to: Option<MacAddr>,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let handle: NetifHandle = self.netif_handle(netif).ok_or(Error::Closed)?;
        let mut message = small_pbuf(&self.memory, Layer::Ip, bytes.len())?;
        message.take(bytes)?;
        let _ = to;
        self.route_to(destination, Some(handle))?;
        self.icmpv6_send(source, destination, message, ndp::HOP_LIMIT)
    }
}

fn finish(writer: Writer<'_>, source: Address, destination: Address) -> Result<usize, Error> {
    writer.finish(source.to_v6(), destination.to_v6()).map_err(|_| Error::Buffer)
}

/// The station that a message tells, if it can be one.
fn station_of(options: Options<'_>) -> Option<MacAddr> {
    let stations = options.filter_map(|option| match option {
        NdOption::SourceStation(data) | NdOption::TargetStation(data) => ndp::station(data),
        _ => None,
    });
    stations.filter(|station| station.is_unicast() && *station != MacAddr::ZERO).last()
}
