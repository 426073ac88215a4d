//! What a router says and hears [RFC 4861 §6.2].

use coracle_buf::Error;
use coracle_wire::Malformed;
use coracle_wire::ipv6::group::{ALL_NODES, ALL_ROUTERS};
use coracle_wire::ndp::{AdvertisementFields, RouterSolicitation, Writer};

use super::advertiser::{RouterSettings, Schedule};
use super::interface::Ipv6Settings;
use super::solicit::source_station;
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::Received;
use crate::netif::Interface;

/// For how many advertisements a server of the domain name system may be used [RFC 8106 §5.1].
const DNS_INTERVALS: u32 = 3;

/// The longest advertisement: its own 16 bytes, a station, an MTU, two prefixes, two servers.
const LONGEST: usize = 16 + 8 + 8 + 2 * 32 + 8 + 2 * 16;

impl Engine {
    /// A host asks for routers.
    pub(super) fn nd_routers_solicited(&mut self, info: &Received, message: &[u8]) -> Result<(), Malformed> {
        let (_, options) = RouterSolicitation::read(message, info.source.to_v6())?;
        let (netif, now) = (info.netif.slot(), self.now);
        let Some(interface) = self.netifs.at_mut(netif) else { return Ok(()) };
        // [4861-5]
        let (Some(schedule), random) = (&mut interface.nd.schedule, &mut self.random) else { return Ok(()) };
        schedule.solicited(now, |bound| random.below(bound));
        if let Some(station) = source_station(options)
            && self.is_neighbour(netif, info.source)
        {
            self.nud_heard(netif, info.source, station, Some(false));
        }
        self.nd_set_timer(netif);
        Ok(())
    }

    pub(super) fn nd_advertise_if_due(&mut self, netif: usize) {
        let now = self.now;
        let Some(interface) = self.netifs.at_mut(netif) else { return };
        let (Some(settings), Some(schedule)) = (interface.nd.settings.router, &mut interface.nd.schedule)
        else {
            return;
        };
        if schedule.due > now {
            return;
        }
        let random = &mut self.random;
        schedule.sent(now, settings.max_interval_s, |bound| random.below(bound));
        match self.nd_advertise_router(netif, settings, settings.fields.lifetime) {
            Ok(()) => count!(self.counters.nd.router_advertisements_sent),
            Err(_) => count!(self.counters.nd.send_failed),
        }
    }

    /// See `Netif::ipv6_configure` for the error.
    pub(crate) fn nd_configure(&mut self, netif: usize, settings: Ipv6Settings) -> Result<(), Error> {
        if !settings.is_valid() {
            return Err(Error::Argument);
        }
        let Some(interface) = self.netifs.at_mut(netif) else { return Err(Error::Closed) };
        let (before, ready) = (interface.nd.settings, interface.is_ready());
        interface.nd.settings = settings;
        interface.nd.solicit_at = None;
        self.nd_end_advertising(netif);
        self.nd_set_timer(netif);
        if settings.router.is_some() && self.learned.retain(|entry| entry.netif as usize != netif) {
            // A router finds its ways by other means than a host.
            self.routes_changed();
            self.learned_set_timer();
        }
        if let Some(router) = before.router
            && settings.router.is_none()
            && ready
        {
            self.nd_retire_router(netif, router);
        }
        if ready && settings != before {
            self.nd_up(netif);
        }
        Ok(())
    }

    /// The router speaks from now on, and listens to those who ask for routers.
    pub(super) fn nd_begin_advertising(&mut self, netif: usize) {
        let Some(interface) = self.netifs.at_mut(netif) else { return };
        let first = interface.nd.schedule.is_none();
        interface.nd.schedule = Some(Schedule::new(self.now));
        let group = Address::v6(ALL_ROUTERS.octets(), netif);
        if first && self.group_hold(netif, group).is_err() {
            count!(self.counters.nd.addresses_refused);
        }
    }

    pub(super) fn nd_end_advertising(&mut self, netif: usize) {
        let schedule = self.netifs.at_mut(netif).and_then(|interface| interface.nd.schedule.take());
        if schedule.is_some() {
            let group = Address::v6(ALL_ROUTERS.octets(), netif);
            self.group_release(netif, group);
        }
    }

    /// Says that this router is none any more [RFC 4861 §6.2.5].
    fn nd_retire_router(&mut self, netif: usize, settings: &RouterSettings) {
        match self.nd_advertise_router(netif, settings, 0) {
            Ok(()) => count!(self.counters.nd.router_advertisements_sent),
            Err(_) => count!(self.counters.nd.send_failed),
        }
    }

    fn nd_advertise_router(
        &mut self,
        netif: usize,
        settings: &RouterSettings,
        lifetime: u16,
    ) -> Result<(), Error> {
        let source = self.link_local_of(netif).ok_or(Error::Route)?;
        let station = self.netifs.at(netif).and_then(Interface::mac);
        let mut bytes = [0; LONGEST];
        let fields = AdvertisementFields { lifetime, ..settings.fields };
        let mut writer = Writer::router_advertisement(&mut bytes, &fields);
        if let Some(station) = station {
            writer.source_station(station);
        }
        if settings.mtu != 0 {
            writer.mtu(settings.mtu);
        }
        for prefix in settings.prefixes.iter().flatten() {
            writer.prefix(prefix);
        }
        let mut servers = [[0; 16]; 2];
        let mut count = 0;
        for (server, place) in settings.servers.iter().flatten().zip(&mut servers) {
            *place = server.octets();
            count += 1;
        }
        if count > 0 {
            writer.rdnss(u32::from(settings.max_interval_s) * DNS_INTERVALS, &servers[..count]);
        }
        let all = Address::v6(ALL_NODES.octets(), netif);
        self.nd_finish_and_send(netif, source, all, writer)
    }

    /// The link-local address of an interface, once it is ours.
    fn link_local_of(&self, netif: usize) -> Option<Address> {
        let mut entries = self.addresses.v6.iter().map(|(_, entry)| entry);
        let own = entries
            .find(|entry| entry.netif as usize == netif && entry.is_ours() && entry.address.is_link_local());
        own.map(|entry| entry.address)
    }
}
