//! Routers asked for and believed [RFC 4861 §6.3] [RFC 4191] [RFC 8106].

use core::time::Duration;

use coracle_buf::Error;
use coracle_wire::Malformed;
use coracle_wire::ipv6::MIN_MTU;
use coracle_wire::ipv6::group::ALL_ROUTERS;
use coracle_wire::ndp::{Dnssl, NdOption, Preference, PrefixInformation, Rdnss, RouterAdvertisement, Writer};

use super::learned::{Kind, Learned};
use super::lifetime::until;
use super::solicit::source_station;
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::Received;
use crate::ip::addresses::AddressState;
use crate::netif::{Interface, Reasons};

/// [4861-10]
const MOST_SOLICITATIONS: u8 = 3;
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);

impl Engine {
    /// The link-local address of an interface is ours: a host asks for routers, a router says that it is there.
    pub(super) fn nd_begin_routers(&mut self, netif: usize) {
        let now = self.now;
        // The examination of the address has waited for a random time already, if there was one [RFC 4862 §5.4.2].
        let examined =
            self.netifs.at(netif).is_some_and(|interface| interface.nd.settings.duplicate_checks > 0);
        let delay = if examined { 0 } else { self.random.below(1_000_000) };
        let Some(interface) = self.netifs.at_mut(netif) else { return };
        if !interface.is_ready() {
            return;
        }
        let nd = &mut interface.nd;
        if nd.is_router() {
            self.nd_begin_advertising(netif);
        } else if nd.believes() {
            nd.solicitations = MOST_SOLICITATIONS;
            nd.solicit_at = Some(now + Duration::from_micros(delay.into()));
        }
        self.nd_set_timer(netif);
    }

    pub(super) fn nd_set_timer(&mut self, netif: usize) {
        let timer = self.timers.nd(netif);
        match self.netifs.at(netif).and_then(|interface| interface.nd.due()) {
            Some(due) => self.wheel.set(timer, due),
            None => self.wheel.cancel(timer),
        }
    }

    /// The timer of an interface came.
    pub(crate) fn nd_timer(&mut self, netif: usize) {
        let now = self.now;
        let Some(interface) = self.netifs.at_mut(netif) else { return };
        let nd = &mut interface.nd;
        if nd.solicit_at.is_some_and(|due| due <= now) {
            nd.solicitations = nd.solicitations.saturating_sub(1);
            nd.solicit_at = (nd.solicitations > 0).then(|| now + SOLICITATION_INTERVAL);
            match self.nd_solicit_routers(netif) {
                Ok(()) => count!(self.counters.nd.router_solicitations_sent),
                Err(_) => count!(self.counters.nd.send_failed),
            }
        }
        self.nd_advertise_if_due(netif);
        self.nd_set_timer(netif);
    }

    fn nd_solicit_routers(&mut self, netif: usize) -> Result<(), Error> {
        let destination = Address::v6(ALL_ROUTERS.octets(), netif);
        let source = self.source_v6(netif, destination);
        let station = self.netifs.at(netif).and_then(Interface::mac);
        let mut bytes = [0; 16];
        let mut writer = Writer::router_solicitation(&mut bytes);
        if let Some(station) = station
            && !source.is_unspecified()
            && !self.is_optimistic(netif, source)
        {
            writer.source_station(station);
        }
        self.nd_finish_and_send(netif, source, destination, writer)
    }

    /// Whether an address may not be ours after all, so that nobody is to learn our station by it [RFC 4429 §3.2].
    fn is_optimistic(&self, netif: usize, address: Address) -> bool {
        let entry = self.address_v6(netif, address).and_then(|at| self.addresses.v6.at(at));
        entry.is_some_and(|entry| entry.state == AddressState::Optimistic)
    }

    pub(super) fn nd_router_advertised(&mut self, info: &Received, message: &[u8]) -> Result<(), Malformed> {
        let (advertisement, options) = RouterAdvertisement::read(message, info.source.to_v6())?;
        let (netif, router, now) = (info.netif.slot(), info.source, self.now);
        let Some(interface) = self.netifs.at_mut(netif) else { return Ok(()) };
        if !interface.nd.believes() {
            return Ok(());
        }
        count!(self.counters.nd.router_advertisements);
        let (nd, random) = (&mut interface.nd, &mut self.random);
        nd.solicit_at = None;
        (nd.managed, nd.other) = (advertisement.managed(), advertisement.other());
        if advertisement.hop_limit() != 0 && nd.hop_limit != advertisement.hop_limit() {
            nd.hop_limit = advertisement.hop_limit();
            self.recent_hop = None;
        }
        nd.set_times(advertisement.reachable_time(), advertisement.retrans_timer(), |bound| {
            random.below(bound)
        });
        if let Some(station) = source_station(options.clone()) {
            self.nud_heard(netif, router, station, Some(true));
        }
        let mut learned = Learned {
            netif: netif as u32,
            kind: Kind::Router,
            prefix: Address::ANY,
            prefix_len: 0,
            gateway: router,
            preference: advertisement.preference(),
            until: until(now, advertisement.lifetime().into()),
            suspect: false,
        };
        let mut changed = self.learned.learn(learned, now);
        let mut resolver_changed = false;
        for option in options {
            match option {
                NdOption::Prefix(prefix) => changed |= self.nd_prefix(netif, prefix),
                NdOption::Mtu(mtu) => self.nd_mtu(netif, mtu),
                NdOption::Route(route) => {
                    let prefix = Address::v6(route.prefix.octets(), netif);
                    if prefix.is_link_local() || prefix.is_multicast() {
                        continue;
                    }
                    learned.kind = Kind::Route;
                    learned.prefix = prefix.masked(route.prefix_len);
                    learned.prefix_len = route.prefix_len;
                    learned.preference = route.preference;
                    learned.until = until(now, route.lifetime);
                    changed |= self.learned.learn(learned, now);
                }
                NdOption::Rdnss(servers) => resolver_changed |= self.nd_servers(netif, &servers),
                NdOption::Dnssl(domains) => resolver_changed |= self.nd_domains(netif, &domains),
                _ => {}
            }
        }
        if changed {
            self.routes_changed();
        }
        if resolver_changed {
            self.resolvers_changed(netif);
        }
        self.learned_set_timer();
        self.nd_set_timer(netif);
        Ok(())
    }

    /// [4861-12] Whether ways of packets change.
    fn nd_prefix(&mut self, netif: usize, option: &PrefixInformation) -> bool {
        let prefix = Address::v6(option.prefix().octets(), netif);
        let (valid, preferred, len) = (option.valid(), option.preferred(), option.prefix_len());
        if prefix.is_link_local() || prefix.is_multicast() || prefix.is_v4() {
            return false;
        }
        let mut changed = false;
        if option.on_link() && len > 0 {
            let entry = Learned {
                netif: netif as u32,
                kind: Kind::Prefix,
                prefix: prefix.masked(len),
                prefix_len: len,
                gateway: Address::ANY,
                preference: Preference::Medium,
                until: until(self.now, valid),
                suspect: false,
            };
            changed = self.learned.learn(entry, self.now);
        }
        // [4862-5]
        if option.autonomous() && len == 64 && preferred <= valid {
            let upper = option.prefix().octets().first_chunk().copied().unwrap_or_default();
            self.address_advertised(netif, upper, preferred, valid);
        }
        changed
    }

    /// [4861-11]
    fn nd_mtu(&mut self, netif: usize, mtu: u32) {
        let Some(interface) = self.netifs.at_mut(netif) else { return };
        let Ok(mtu) = u16::try_from(mtu) else { return };
        if usize::from(mtu) >= MIN_MTU && mtu <= interface.mtu && interface.nd.mtu != mtu {
            interface.nd.mtu = mtu;
            self.recent_hop = None;
        }
    }

    fn nd_servers(&mut self, netif: usize, option: &Rdnss<'_>) -> bool {
        let (until, now) = (until(self.now, option.lifetime), self.now);
        let mut changed = false;
        for server in option.servers {
            let address = Address::v6(*server, netif);
            if address.is_one_host() && !address.is_v4() {
                changed |= self.resolvers.server(netif as u32, address, until, now);
            }
        }
        changed
    }

    fn nd_domains(&mut self, netif: usize, option: &Dnssl<'_>) -> bool {
        let (until, now) = (until(self.now, option.lifetime), self.now);
        let mut changed = false;
        for name in option.names() {
            changed |= self.resolvers.domain(netif as u32, name, until, now);
        }
        changed
    }

    fn resolvers_changed(&mut self, netif: usize) {
        #[cfg(feature = "dns")]
        self.dns_learn_from_routers(netif);
        if let Some(handle) = self.netif_handle(netif)
            && let Some(interface) = self.netifs.at(netif)
        {
            let before = interface.ipv4;
            self.note_change(handle, Reasons::RESOLVERS_CHANGED, before);
        }
    }

    /// Sets the timer of what was learnt.
    pub(super) fn learned_set_timer(&mut self) {
        let next = self.learned.next_end().into_iter().chain(self.resolvers.next_end()).min();
        match next {
            Some(next) => self.wheel.set(self.timers.learned(), next),
            None => self.wheel.cancel(self.timers.learned()),
        }
    }

    /// Something that was learnt has come to its end.
    pub(crate) fn learned_timer(&mut self) {
        let now = self.now;
        if self.learned.expire(now) {
            self.routes_changed();
        }
        for netif in 0..self.netifs.capacity() {
            if self.resolvers.retain(|of, until| of as usize != netif || until > now) {
                self.resolvers_changed(netif);
            }
        }
        self.learned_set_timer();
    }

    /// The interface goes, and what was learnt on it.
    pub(crate) fn nd_forget(&mut self, netif: usize) {
        self.nd_down(netif);
        self.learned.retain(|entry| entry.netif as usize != netif);
        self.resolvers.retain(|of, _| of as usize != netif);
        self.learned_set_timer();
    }

    /// A router says that it is none any more [4861-9].
    pub(super) fn router_gone(&mut self, netif: u32, router: Address) {
        if self.learned.forget_router(netif, router) {
            self.routes_changed();
            self.learned_set_timer();
        }
    }

    /// A neighbour does not answer: if it is a router, others are tried, and in the end all in turn [RFC 4861 §6.3.6].
    pub(super) fn router_unreachable(&mut self, netif: u32, router: Address) {
        if self.learned.suspect(netif, router) {
            self.routes_changed();
        }
    }

    /// It answers.
    pub(super) fn router_reachable(&mut self, netif: u32, router: Address) {
        if self.learned.trust(netif, router) {
            self.routes_changed();
        }
    }
}
