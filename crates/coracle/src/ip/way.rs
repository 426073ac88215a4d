//! The way of a packet out: through which interface, to which neighbour, from which address.

use coracle_buf::Error;
#[cfg(feature = "ipv6")]
use coracle_wire::{EtherType, MacAddr};

use super::learn::LEAST_MTU_V4;
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::Cast;
use crate::link::LinkHeader;
use crate::netif::{Checksums, Interface, Medium, NetifHandle};

/// The next step of a packet's way.
#[derive(Clone, Copy)]
pub(crate) struct Hop {
    /// For which destination; through which interface only, if one was demanded; and from which address, if the
    /// sender chose one.
    pub(crate) destination: Address,
    pub(super) from: Address,
    pub(crate) demanded: Option<NetifHandle>,
    pub(crate) netif: usize,
    /// The neighbour to hand it to: the destination itself, or a router.
    pub(crate) next: Address,
    pub(crate) cast: Cast,
    /// The destination is ourselves.
    pub(crate) local: bool,
    /// The link has no stations that would need to be known.
    pub(super) stationless: bool,
    /// The address that packets are sent from: the chosen one, or the interface's; see [`Hop::has_source`].
    pub(crate) source: Address,
    /// The interface's, or the path's, if that takes less.
    pub(crate) mtu: u16,
    /// Datagrams are not to be cut on the way, so that the path's MTU becomes known.
    pub(crate) dont_fragment: bool,
    /// The interface's.
    pub(crate) checksums: Checksums,
    /// The hop limit of packets whose sender chose none, and the one that routers want instead.
    #[cfg(feature = "ipv6")]
    pub(super) ttls: (u8, u8),
    /// What the link puts in front of a packet, while [`Neighbours`](crate::link::neighbours::Neighbours) says that
    /// it holds.
    pub(super) link: LinkHeader,
}

impl Hop {
    #[inline]
    pub(crate) fn is_for(&self, destination: Address, demanded: Option<NetifHandle>, from: Address) -> bool {
        self.destination == destination && self.from == from && self.demanded == demanded
    }

    /// Whether there is an address to send from. A host without an address may only call to everybody on the link,
    /// to get one [RFC 1122 §3.2.1.3].
    #[inline]
    pub(crate) fn has_source(&self) -> bool {
        !self.source.is_unspecified() || self.destination == Address::BROADCAST
    }
}

impl Engine {
    /// [1122-IP-12] Finds the way to a destination; [`Error::Route`] when there is none. What is sent next goes there.
    ///
    /// A `demanded` interface is the only one tried. What is sent to an address of ours comes back.
    #[inline]
    pub(crate) fn route_to(
        &mut self,
        destination: Address,
        demanded: Option<NetifHandle>,
    ) -> Result<&Hop, Error> {
        self.route_from(destination, demanded, Address::ANY)
    }

    /// [`route_to`](Self::route_to) for packets from an address that the sender chose, unless it is unspecified.
    /// They leave by the interface that has it, if there is a way and no other is demanded; [`Error::Route`] for an
    /// address that they may not be sent from.
    #[inline]
    pub(crate) fn route_from(
        &mut self,
        destination: Address,
        demanded: Option<NetifHandle>,
        from: Address,
    ) -> Result<&Hop, Error> {
        if !self.recent_hop.as_ref().is_some_and(|hop| hop.is_for(destination, demanded, from)) {
            self.new_route(destination, demanded, from);
        }
        self.recent_hop.as_ref().ok_or(Error::Route)
    }

    /// What is sent next goes to a station that the sender knows, whatever else is known of the neighbour. Whoever calls
    /// this unsettles the neighbours once it has been sent.
    #[cfg(feature = "ipv6")]
    pub(crate) fn route_to_station(&mut self, station: MacAddr) {
        if let Some(hop) = &self.recent_hop
            && !hop.local
        {
            let netif = hop.netif;
            let link = self.link_header(netif, station, EtherType::IPV6);
            if let Some(hop) = &mut self.recent_hop {
                hop.link = link;
            }
            self.neighbours.settle();
        }
    }

    #[cold]
    #[inline(never)]
    fn new_route(&mut self, destination: Address, demanded: Option<NetifHandle>, from: Address) {
        self.neighbours.unsettle();
        let owner = match demanded {
            None => self.hooked_route(destination, from).or_else(|| {
                let owner = if from.is_unspecified() { None } else { self.owner_of(from) };
                owner.and_then(|owner| self.netif_handle(owner))
            }),
            _ => demanded,
        };
        self.recent_hop = self.find_route(destination, owner);
        let Some(mut hop) = self.recent_hop else {
            count!(self.counters.ip_of(destination).no_route);
            return;
        };
        hop.demanded = demanded;
        if !from.is_unspecified() {
            (hop.from, hop.source) = (from, from);
            if self.check_source(&hop, from).is_err() {
                self.recent_hop = None;
                return;
            }
        }
        self.recent_hop = Some(hop);
    }

    pub(crate) fn find_route(&self, destination: Address, demanded: Option<NetifHandle>) -> Option<Hop> {
        if let Some(owner) = self.local_netif(destination) {
            return self.hop(owner, destination, destination, Cast::Unicast, true);
        }
        if destination.is_loopback() || destination.is_unspecified() {
            // [1122-IP-6] Never outside of the host.
            return None;
        }
        if destination == Address::BROADCAST {
            let netif = self.broadcast_netif(demanded)?;
            return self.hop(netif, destination, destination, Cast::Broadcast, false);
        }
        // A zone leaves no choice [RFC 4007 §9].
        #[cfg(feature = "ipv6")]
        let demanded = match destination.zone() {
            Some(zone) => {
                let zone = self.netif_handle(zone)?;
                if demanded.is_some_and(|demanded| demanded != zone) {
                    return None;
                }
                Some(zone)
            }
            None => demanded,
        };
        let ready = |netif: NetifHandle| self.netifs.get(netif.0).is_some_and(Interface::is_ready);
        if destination.is_multicast() {
            let netif = demanded.or(self.default_multicast_netif).filter(|&netif| ready(netif));
            let netif = netif.or_else(|| self.routes.find(destination, ready).map(|entry| entry.netif));
            let netif = netif.or_else(|| self.broadcast_netif(None))?;
            return self.hop(netif, destination, destination, Cast::Multicast, false);
        }
        #[cfg(feature = "ipv6")]
        if destination.zone().is_some() {
            let netif = demanded.filter(|&netif| ready(netif))?;
            return self.hop(netif, destination, destination, Cast::Unicast, false);
        }
        let usable = |netif: NetifHandle| demanded.is_none_or(|demanded| demanded == netif) && ready(netif);
        let entry = self.routes.find(destination, usable)?;
        let interface = self.netifs.get(entry.netif.0)?;
        let slot = entry.netif.slot();
        let on_link = entry.gateway.is_unspecified();
        if on_link && destination.as_v4().is_some_and(|destination| interface.is_broadcast(destination)) {
            return self.hop(entry.netif, destination, destination, Cast::Broadcast, false);
        }
        // A redirect may have named another router of the same link [1122-IP-12].
        let redirected = || self.paths.gateway(&self.hash_key, destination, slot);
        let next = if on_link { destination } else { redirected().unwrap_or(entry.gateway) };
        let next = if on_link { next } else { self.hooked_gateway(entry.netif, destination).unwrap_or(next) };
        self.hop(entry.netif, destination, next, Cast::Unicast, false)
    }

    pub(super) fn hop(
        &self,
        netif: NetifHandle,
        destination: Address,
        next: Address,
        cast: Cast,
        local: bool,
    ) -> Option<Hop> {
        let interface = self.netifs.get(netif.0)?;
        let source = if local { destination } else { self.source_for(netif.slot(), interface, destination) };
        let known = self.paths.mtu(&self.hash_key, destination);
        let mtu = interface.mtu_for(destination);
        Some(Hop {
            destination,
            from: Address::ANY,
            demanded: None,
            netif: netif.slot(),
            next,
            cast,
            // The loopback interface has no device: whatever goes there comes back.
            local: local || interface.medium == Medium::Loopback,
            stationless: !matches!(interface.medium, Medium::Ethernet(_)),
            source,
            // What comes back crosses no link.
            mtu: if local { u16::MAX } else { known.map_or(mtu, |known| known.min(mtu)) },
            dont_fragment: self.config.path_mtu_discovery && known.is_none_or(|known| known > LEAST_MTU_V4),
            checksums: interface.checksums,
            #[cfg(feature = "ipv6")]
            ttls: self.hop_limits(interface),
            link: LinkHeader::NONE,
        })
    }

    /// [4861-11] Whoever chooses the default itself gets what routers want, which is the same for him.
    #[cfg(feature = "ipv6")]
    fn hop_limits(&self, interface: &Interface) -> (u8, u8) {
        let (default, said) = (self.config.default_ttl, interface.nd.hop_limit);
        // What neighbour discovery and MLD send has a meaning of its own.
        let special = matches!(default, 1 | 255);
        (default, if said == 0 || special { default } else { said })
    }

    /// The interface through which a packet to an address of ours comes back.
    fn local_netif(&self, destination: Address) -> Option<NetifHandle> {
        let owner = match self.owner_of(destination) {
            Some(owner) => Some(owner),
            None if destination.is_loopback() => {
                let loopback =
                    |interface: &Interface| interface.medium == Medium::Loopback && interface.is_ready();
                self.netifs
                    .iter()
                    .find(|(_, interface)| loopback(interface))
                    .map(|(key, _)| key.index as usize)
            }
            None => None,
        };
        let owner = owner.filter(|&owner| self.netifs.at(owner).is_some_and(|interface| interface.up))?;
        self.netif_handle(owner)
    }

    /// Where a packet to everybody goes: the demanded interface, else the default one, else the first that can.
    fn broadcast_netif(&self, demanded: Option<NetifHandle>) -> Option<NetifHandle> {
        let can = |netif: NetifHandle| {
            self.netifs
                .get(netif.0)
                .is_some_and(|interface| interface.is_ready() && interface.medium != Medium::Loopback)
        };
        match demanded {
            Some(demanded) => Some(demanded).filter(|&netif| can(netif)),
            None => self
                .default_netif
                .filter(|&netif| can(netif))
                .or_else(|| self.netifs.iter().map(|(key, _)| NetifHandle(key)).find(|&netif| can(netif))),
        }
    }

    /// The source address of packets that leave by an interface and whose sender chose none [1122-IP-5].
    fn source_for(&self, netif: usize, interface: &Interface, destination: Address) -> Address {
        #[cfg(feature = "ipv6")]
        if !destination.is_v4() {
            return self.source_v6(netif, destination);
        }
        let _ = netif;
        if interface.has_address() || destination == Address::BROADCAST {
            return interface.ipv4.address.into();
        }
        let mut others = self.netifs.iter().map(|(_, other)| other.ipv4.address);
        others
            .find(|address| !address.is_unspecified() && !address.is_loopback())
            .map_or(Address::ANY, Address::v4)
    }

    /// Checks a source address that the sender chose: [`Error::Route`] unless it is ours [1122-IP-5], or everything
    /// is on the interface; or when it is of the other family.
    pub(crate) fn check_source(&self, hop: &Hop, source: Address) -> Result<(), Error> {
        let accept_any =
            self.netifs.at(hop.netif).is_some_and(|interface| interface.accept_any) && source.is_one_host();
        let asking = source.is_unspecified() && hop.destination == Address::BROADCAST;
        let ours =
            accept_any || asking || self.owner_of(source).is_some() || (source.is_loopback() && hop.local);
        let fits = source.is_v4() == hop.destination.is_v4() || asking;
        if ours && fits { Ok(()) } else { Err(Error::Route) }
    }
}
