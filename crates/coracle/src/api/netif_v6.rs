//! The IPv6 addresses of interfaces.

use core::net::Ipv6Addr;

use super::{Handler, Netif};
use crate::address::Address;
use crate::error::Error;
use crate::ip::addresses::{AddressState, HostAddress};

/// An IPv6 address of an interface, as [`Netif::ipv6_addresses`] shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6Address {
    /// The address.
    pub address: Ipv6Addr,
    /// The length of the prefix that is on the link, in bits.
    pub prefix_len: u8,
    /// What may be done with it.
    pub state: AddressState,
}

impl<H: Handler> Netif<'_, H> {
    /// Gives the interface an address, whose prefix is on the link. lwIP: `netif_add_ip6_address`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an address that no host can have; [`Error::InUse`] when an interface has it;
    /// [`Error::Memory`] when there are as many addresses or groups as the limits allow.
    pub fn ipv6_add(&mut self, address: Ipv6Addr, prefix_len: u8) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        let address = Address::from_ip(address.into(), Some(slot))?;
        let state = AddressState::Preferred;
        self.stack.engine.netif_add_v6(HostAddress {
            address,
            netif: slot as u32,
            prefix_len,
            state,
            temporary: false,
        })?;
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
        })
    }
}
