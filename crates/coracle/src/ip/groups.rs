//! The multicast groups that interfaces listen to: a keyed-hash set with use counts.

use core::net::Ipv4Addr;

use coracle_buf::{Arena, Error};

use crate::random::HashKey;
use crate::table::{Index, NONE, Slots};

struct Group {
    netif: u32,
    address: Ipv4Addr,
    users: u32,
}

/// Memberships; every interface is a member of 224.0.0.1, all systems, without an entry [RFC 1112 §4].
pub(crate) struct Groups {
    slots: Slots<Group>,
    index: Index,
}

impl Groups {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        Ok(Self { slots: Slots::new(arena, capacity)?, index: Index::new(arena, capacity)? })
    }

    fn hash(key: &HashKey, netif: u32, address: Ipv4Addr) -> u32 {
        key.hash(u64::from(address.to_bits()), u64::from(netif))
    }

    fn find(&self, key: &HashKey, netif: u32, address: Ipv4Addr) -> Option<u32> {
        let mut at = self.index.first(Self::hash(key, netif, address));
        while at != NONE {
            let group = self.slots.at(at as usize)?;
            if group.address == address && group.netif == netif {
                return Some(at);
            }
            at = self.index.next(at);
        }
        None
    }

    pub(crate) fn contains(&self, key: &HashKey, netif: u32, address: Ipv4Addr) -> bool {
        address == ALL_SYSTEMS || self.find(key, netif, address).is_some()
    }

    /// [`Error::Value`] for an address that is no group's, [`Error::Memory`] when the table is full.
    pub(crate) fn join(&mut self, key: &HashKey, netif: u32, address: Ipv4Addr) -> Result<(), Error> {
        if !address.is_multicast() {
            return Err(Error::Value);
        }
        if let Some(at) = self.find(key, netif, address) {
            let group = self.slots.at_mut(at as usize).ok_or(Error::Value)?;
            group.users = group.users.saturating_add(1);
            return Ok(());
        }
        let slot = self.slots.insert(Group { netif, address, users: 1 })?;
        self.index.insert(Self::hash(key, netif, address), slot.index);
        Ok(())
    }

    /// [`Error::Value`] for a group that was not joined.
    pub(crate) fn leave(&mut self, key: &HashKey, netif: u32, address: Ipv4Addr) -> Result<(), Error> {
        let at = self.find(key, netif, address).ok_or(Error::Value)?;
        let group = self.slots.at_mut(at as usize).ok_or(Error::Value)?;
        group.users -= 1;
        if group.users == 0 {
            self.remove(key, at);
        }
        Ok(())
    }

    /// Ends all memberships of an interface.
    pub(crate) fn forget(&mut self, key: &HashKey, netif: u32) {
        for at in 0..self.slots.capacity() {
            if self.slots.at(at).is_some_and(|group| group.netif == netif) {
                self.remove(key, at as u32);
            }
        }
    }

    fn remove(&mut self, key: &HashKey, at: u32) {
        if let Some(slot) = self.slots.key_at(at as usize)
            && let Some(group) = self.slots.remove(slot)
        {
            self.index.remove(Self::hash(key, group.netif, group.address), at);
        }
    }
}

const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
