//! IPv6 addresses of interfaces, added and removed, with all that follows from it.

use core::time::Duration;

use coracle_buf::Error;
use coracle_wire::ipv6::group::ALL_NODES;

use super::{Interface, Ipv4Settings, Medium, NetifHandle, Reasons};
use crate::address::Address;
use crate::engine::Engine;
use crate::ip::addresses::{AddressState, HostAddress};

impl Engine {
    /// What every interface that can carry IPv6 has: its host listens to all nodes of the link; the loopback
    /// interface is `::1`. A table that is too small for that leaves the interface without IPv6.
    pub(super) fn netif_begin_v6(&mut self, netif: NetifHandle) {
        let slot = netif.slot();
        let all_nodes = Address::v6(ALL_NODES.octets(), slot);
        let listens = self.multicast.hold(&self.hash_key, slot as u32, all_nodes, self.now).is_ok();
        let loopback = self.netifs.at(slot).is_some_and(|interface| interface.medium == Medium::Loopback);
        if listens && loopback && self.owner_of(Address::LOCALHOST).is_none() {
            let entry = HostAddress::by_owner(Address::LOCALHOST, slot, 128, AddressState::Preferred);
            self.add_v6(entry).map(drop).unwrap_or_default();
        }
    }

    /// The interface goes, and its addresses with it.
    pub(super) fn netif_forget_v6(&mut self, slot: usize) {
        for at in 0..self.addresses.v6.capacity() {
            if self.addresses.v6.at(at).is_some_and(|entry| entry.netif as usize == slot) {
                self.remove_v6(at);
            }
        }
        self.nd_forget(slot);
    }

    /// See `Netif::ipv6_add` for the errors.
    pub(crate) fn netif_add_v6(&mut self, entry: HostAddress) -> Result<usize, Error> {
        let at = self.add_v6(entry)?;
        self.address_begin(at, Duration::ZERO);
        Ok(at)
    }

    /// [`Error::Value`] for an address that the interface has not.
    pub(crate) fn netif_remove_v6(&mut self, slot: usize, address: Address) -> Result<(), Error> {
        let at = self.address_v6(slot, address).ok_or(Error::Value)?;
        self.remove_v6(at);
        self.after_v6(slot);
        Ok(())
    }

    /// An address came, went, or changed its state.
    pub(crate) fn after_v6(&mut self, slot: usize) {
        let Some(netif) = self.netif_handle(slot) else { return };
        let before = self.netifs.at(slot).map_or(Ipv4Settings::NONE, |interface: &Interface| interface.ipv4);
        self.note_change(netif, Reasons::IPV6_ADDRESSES_CHANGED, before);
        self.routes_changed();
        self.mld_address_changed(slot);
    }
}
