//! The IPv6 addresses of interfaces.

use core::net::Ipv6Addr;

use super::{Handler, Netif};
use crate::address::Address;
use crate::error::Error;
use crate::ip::addresses::{AddressState, HostAddress};
use crate::nd::{Domain, Ipv6Settings};
use crate::time::Instant;

/// An IPv6 address of an interface, as [`Netif::ipv6_addresses`] shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6Address {
    /// The address.
    pub address: Ipv6Addr,
    /// The length of the prefix that is on the link, in bits.
    pub prefix_len: u8,
    /// What may be done with it.
    pub state: AddressState,
    /// Made up for a while, so that nobody recognizes the host by it.
    pub temporary: bool,
    /// When it is no longer to be preferred, and when it is no longer the interface's; [`Instant::MAX`]: never.
    pub ends: (Instant, Instant),
}

/// What routers say on an interface, as [`Netif::ipv6_advertised`] shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6Advertised {
    /// The hop limit of packets, or 0.
    pub hop_limit: u8,
    /// The longest packet on the link in bytes, or 0.
    pub mtu: u16,
    /// Whether addresses are to be had by DHCP.
    pub managed: bool,
    /// Whether anything else is to be had by DHCP.
    pub other: bool,
}

impl<H: Handler> Netif<'_, H> {
    /// Gives the interface an address, whose prefix is on the link; it is its own at once unless
    /// [`Ipv6Settings::duplicate_checks`] says that others are asked first. lwIP: `netif_add_ip6_address`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an address that no host can have; [`Error::InUse`] when an interface has it;
    /// [`Error::Memory`] when there are as many addresses or groups as the limits allow.
    pub fn ipv6_add(&mut self, address: Ipv6Addr, prefix_len: u8) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        let address = Address::from_ip(address.into(), Some(slot))?;
        let entry = HostAddress::by_owner(address, slot, prefix_len, AddressState::Tentative);
        self.stack.engine.netif_add_v6(entry)?;
        self.stack.settle();
        Ok(())
    }

    /// Takes an address from the interface; connections from it end. lwIP: `netif_ip6_addr_set_state` to invalid.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an address that it has not.
    pub fn ipv6_remove(&mut self, address: Ipv6Addr) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        let address = Address::from_ip(address.into(), Some(slot))?;
        self.stack.engine.netif_remove_v6(slot, address)?;
        self.stack.settle();
        Ok(())
    }

    /// Its addresses.
    pub fn ipv6_addresses(&self) -> impl Iterator<Item = Ipv6Address> {
        let slot = self.handle.slot();
        let there = self.stack.engine.netif_slot(self.handle).is_ok();
        let entries = self.stack.engine.addresses.v6.iter().map(|(_, entry)| entry);
        entries.filter(move |entry| there && entry.netif as usize == slot).map(|entry| Ipv6Address {
            address: entry.address.to_v6(),
            prefix_len: entry.prefix_len,
            state: entry.state,
            temporary: entry.temporary,
            ends: (entry.auto.lifetimes.preferred, entry.auto.lifetimes.valid),
        })
    }

    /// Changes how the interface gets its addresses. What it has, it keeps; what it is to make, it makes when it is up, at
    /// once if it is. A router that is none any more says so.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for what no router may say.
    pub fn ipv6_configure(&mut self, settings: Ipv6Settings) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.nd_configure(slot, settings)?;
        self.stack.settle();
        Ok(())
    }

    /// What routers say.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the interface is removed.
    pub fn ipv6_advertised(&self) -> Result<Ipv6Advertised, Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        let nd = &self.stack.engine.netifs.at(slot).ok_or(Error::Closed)?.nd;
        let (hop_limit, mtu, managed, other) = (nd.hop_limit, nd.mtu, nd.managed, nd.other);
        Ok(Ipv6Advertised { hop_limit, mtu, managed, other })
    }

    /// The default routers, the best first [RFC 4861 §6.3.6].
    pub fn ipv6_routers(&self) -> impl Iterator<Item = Ipv6Addr> {
        let (engine, slot) = (&self.stack.engine, self.handle.slot());
        let there = engine.netif_slot(self.handle).is_ok();
        let routers = engine.routes.defaults_v6(self.handle);
        routers.filter(move |router| there && router.zone() == Some(slot)).map(Address::to_v6)
    }

    /// Servers of the domain name system that routers advertise [RFC 8106]. A link-local one is reached on this interface.
    /// lwIP: `dns_getserver`, as far as `LWIP_ND6_RDNSS_MAX_DNS_SERVERS` fills it.
    pub fn ipv6_dns_servers(&self) -> impl Iterator<Item = Ipv6Addr> {
        let slot = self.handle.slot();
        let there = self.stack.engine.netif_slot(self.handle).is_ok();
        let servers = self.stack.engine.resolvers.servers();
        servers
            .filter(move |server| there && server.netif as usize == slot)
            .map(|server| server.address.to_v6())
    }

    /// Domains in which short names are looked up, as routers advertise them: labels with their lengths in front, the empty
    /// one at the end included.
    pub fn ipv6_search_domains(&self) -> impl Iterator<Item = &[u8]> {
        let slot = self.handle.slot();
        let there = self.stack.engine.netif_slot(self.handle).is_ok();
        let domains = self.stack.engine.resolvers.domains();
        domains.filter(move |domain| there && domain.netif as usize == slot).map(Domain::name)
    }
}
