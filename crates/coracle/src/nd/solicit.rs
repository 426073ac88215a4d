//! Who has an address: solicitations and advertisements of neighbours [RFC 4861 §7.2].

use coracle_buf::Error;
use coracle_wire::ipv6::group::ALL_NODES;
use coracle_wire::ndp::{self, NdOption, NeighbourAdvertisement, NeighbourSolicitation, Options, Writer};
use coracle_wire::{MacAddr, Malformed};

use super::nud::Claim;
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::Received;
use crate::ip::addresses::AddressState;
use crate::netif::Interface;

/// A message with one option of eight bytes.
const MESSAGE_LEN: usize = 24 + 8;

impl Engine {
    /// Asks for the station of an address: the group in which its holder is solicited, or, to see whether it is still
    /// there, itself.
    pub(crate) fn nd_solicit(&mut self, netif: usize, target: Address, probe: bool) {
        let destination = if probe { target } else { target.solicited_node(netif) };
        let source = self.source_v6(netif, target);
        // Without an address of our own nobody could answer.
        let sent = if source.is_unspecified() {
            Err(Error::Route)
        } else {
            self.nd_try_solicit(netif, source, target, destination)
        };
        self.count_solicitation(sent);
    }

    fn count_solicitation(&mut self, sent: Result<(), Error>) {
        match sent {
            Ok(()) => count!(self.counters.nd.solicitations_sent),
            Err(_) => count!(self.counters.nd.send_failed),
        }
    }

    fn nd_try_solicit(
        &mut self,
        netif: usize,
        source: Address,
        target: Address,
        destination: Address,
    ) -> Result<(), Error> {
        let own = self.netifs.at(netif).and_then(Interface::mac).ok_or(Error::Interface)?;
        let mut bytes = [0; MESSAGE_LEN];
        let mut writer = Writer::neighbour_solicitation(&mut bytes, target.to_v6());
        writer.source_station(own);
        self.nd_finish_and_send(netif, source, destination, writer)?;
        Ok(())
    }

    /// Asks whether anybody has an address that is to be ours [RFC 4862 §5.4.2] [RFC 7527 §4.1].
    pub(super) fn nd_examine(&mut self, netif: usize, target: Address, nonce: [u8; 6]) -> Result<(), Error> {
        let mut bytes = [0; MESSAGE_LEN];
        let mut writer = Writer::neighbour_solicitation(&mut bytes, target.to_v6());
        writer.nonce(nonce);
        let sent = self.nd_finish_and_send(netif, Address::ANY, target.solicited_node(netif), writer);
        self.count_solicitation(sent);
        sent
    }

    pub(super) fn nd_solicited(&mut self, info: &Received, message: &[u8]) -> Result<(), Malformed> {
        let (source, destination) = (info.source.to_v6(), info.destination.to_v6());
        let (solicitation, options) = NeighbourSolicitation::read(message, source, destination)?;
        let netif = info.netif.slot();
        let target = Address::v6(solicitation.target().octets(), netif);
        let (station, nonce) = (source_station(options.clone()), nonce_of(options));
        let Some(at) = self.address_v6(netif, target) else { return Ok(()) };
        let Some(entry) = self.addresses.v6.at(at) else { return Ok(()) };
        let examined = info.source.is_unspecified();
        match entry.state {
            // [4862-3] Whoever asks for its station is not answered; whoever examines it as we do has it as little.
            AddressState::Tentative | AddressState::Optimistic if examined => {
                if entry.auto.examination.is_conflict(nonce) {
                    self.address_conflict(at);
                }
                return Ok(());
            }
            AddressState::Tentative | AddressState::Duplicated => return Ok(()),
            AddressState::Optimistic | AddressState::Preferred | AddressState::Deprecated => {}
        }
        if let Some(station) = station
            && !examined
            && self.is_neighbour(netif, info.source)
        {
            self.nud_heard(netif, info.source, station, None);
        }
        self.nd_advertise(info, target, station);
        Ok(())
    }

    /// [4861-7] Answers a solicitation, at the station that it came from if it says one. One without a source address is
    /// answered to all.
    fn nd_advertise(&mut self, info: &Received, target: Address, station: Option<MacAddr>) {
        let netif = info.netif.slot();
        let solicited = !info.source.is_unspecified();
        let all_nodes = Address::v6(ALL_NODES.octets(), netif);
        let destination = if solicited { info.source } else { all_nodes };
        match self.nd_try_advertise(netif, target, destination, station) {
            Ok(()) => count!(self.counters.nd.advertisements_sent),
            Err(_) => count!(self.counters.nd.send_failed),
        }
    }

    fn nd_try_advertise(
        &mut self,
        netif: usize,
        target: Address,
        destination: Address,
        station: Option<MacAddr>,
    ) -> Result<(), Error> {
        let own = self.netifs.at(netif).and_then(Interface::mac).ok_or(Error::Interface)?;
        let router = self.netifs.at(netif).is_some_and(|interface| interface.nd.is_router());
        // Whether it is ours alone is not certain yet [RFC 4429 §3.3].
        let state = self.address_v6(netif, target).and_then(|at| self.addresses.v6.at(at));
        let overrides = state.is_none_or(|entry| entry.state != AddressState::Optimistic);
        let solicited = !destination.is_multicast();
        let mut bytes = [0; MESSAGE_LEN];
        let mut writer =
            Writer::neighbour_advertisement(&mut bytes, target.to_v6(), router, solicited, overrides);
        writer.target_station(own);
        self.nd_finish_and_send_to(station, netif, target, destination, writer)
    }

    pub(super) fn nd_advertised(&mut self, info: &Received, message: &[u8]) -> Result<(), Malformed> {
        let (advertisement, options) = NeighbourAdvertisement::read(message, info.destination.to_v6())?;
        let netif = info.netif.slot();
        let target = Address::v6(advertisement.target().octets(), netif);
        if let Some(at) = self.address_v6(netif, target) {
            // [4862-3] Somebody has it.
            self.address_claimed(at);
            return Ok(());
        }
        let claim = Claim {
            station: target_station(options),
            router: advertisement.router(),
            solicited: advertisement.solicited(),
            overrides: advertisement.overrides(),
        };
        self.nud_advertised(netif, target, claim);
        Ok(())
    }
}

/// The station that a message tells, if it can be one.
fn checked(data: &[u8]) -> Option<MacAddr> {
    ndp::station(data).filter(|station| station.is_unicast() && *station != MacAddr::ZERO)
}

/// The station of who sent a message.
pub(super) fn source_station(mut options: Options<'_>) -> Option<MacAddr> {
    options.find_map(|option| match option {
        NdOption::SourceStation(data) => checked(data),
        _ => None,
    })
}

/// The station of the target.
pub(super) fn target_station(mut options: Options<'_>) -> Option<MacAddr> {
    options.find_map(|option| match option {
        NdOption::TargetStation(data) => checked(data),
        _ => None,
    })
}

fn nonce_of(mut options: Options<'_>) -> Option<&[u8]> {
    options.find_map(|option| match option {
        NdOption::Nonce(nonce) => Some(nonce),
        _ => None,
    })
}
