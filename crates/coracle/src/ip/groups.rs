//! The multicast groups that interfaces listen to: a keyed-hash set with use counts.

use coracle_buf::{Arena, Error};

use crate::address::Address;
use crate::random::HashKey;
use crate::table::{Index, NONE, Slots};

struct Group {
    netif: u32,
    address: Address,
    /// How often applications joined it.
    users: u32,
    /// How often the stack itself listens to it.
    own: u32,
}

/// Memberships; every interface is a member of 224.0.0.1, all systems, without an entry [RFC 1112 §4].
pub(crate) struct Groups {
    slots: Slots<Group>,
    index: Index,
    /// How many applications may join, and have joined.
    limit: usize,
    joined: usize,
}

impl Groups {
    /// Room for so many groups of applications, and so many that the stack itself listens to.
    pub(crate) fn new(arena: &mut Arena, limit: usize, own: usize) -> Result<Self, Error> {
        let capacity = limit.checked_add(own).ok_or(Error::Memory)?;
        let (slots, index) = (Slots::new(arena, capacity)?, Index::new(arena, capacity)?);
        Ok(Self { slots, index, limit, joined: 0 })
    }

    fn hash(key: &HashKey, netif: u32, address: Address) -> u32 {
        key.hash(address.word(key), u64::from(netif))
    }

    fn find(&self, key: &HashKey, netif: u32, address: Address) -> Option<u32> {
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

    pub(crate) fn contains(&self, key: &HashKey, netif: u32, address: Address) -> bool {
        address == ALL_SYSTEMS || self.find(key, netif, address).is_some()
    }

    /// [`Error::Value`] for an address that is no group's, [`Error::Memory`] when the table is full.
    pub(crate) fn join(&mut self, key: &HashKey, netif: u32, address: Address) -> Result<(), Error> {
        if !address.is_multicast() {
            return Err(Error::Value);
        }
        let full = self.joined == self.limit;
        let group = self.entry(key, netif, address, full)?;
        let first = group.users == 0;
        group.users = group.users.saturating_add(1);
        self.joined += usize::from(first);
        Ok(())
    }

    /// Listens to a group on behalf of the stack itself; [`Error::Memory`] when the table is full.
    #[cfg(feature = "ipv6")]
    pub(crate) fn hold(&mut self, key: &HashKey, netif: u32, address: Address) -> Result<(), Error> {
        let group = self.entry(key, netif, address, false)?;
        group.own = group.own.saturating_add(1);
        Ok(())
    }

    /// The stack itself listens no more, once for each time that it began to.
    #[cfg(feature = "ipv6")]
    pub(crate) fn release(&mut self, key: &HashKey, netif: u32, address: Address) {
        if let Some(at) = self.find(key, netif, address)
            && let Some(group) = self.slots.at_mut(at as usize)
        {
            group.own = group.own.saturating_sub(1);
            if group.users == 0 && group.own == 0 {
                self.remove(key, at);
            }
        }
    }

    /// The entry of a group, made if need be; [`Error::Memory`] when it is not there and `full` or the table is.
    fn entry(
        &mut self,
        key: &HashKey,
        netif: u32,
        address: Address,
        full: bool,
    ) -> Result<&mut Group, Error> {
        let at = match self.find(key, netif, address) {
            Some(at) => {
                if full && self.slots.at(at as usize).is_some_and(|group| group.users == 0) {
                    return Err(Error::Memory);
                }
                at
            }
            None if full => return Err(Error::Memory),
            None => {
                let slot = self.slots.insert(Group { netif, address, users: 0, own: 0 })?;
                self.index.insert(Self::hash(key, netif, address), slot.index);
                slot.index
            }
        };
        self.slots.at_mut(at as usize).ok_or(Error::Memory)
    }

    /// [`Error::Value`] for a group that was not joined.
    pub(crate) fn leave(&mut self, key: &HashKey, netif: u32, address: Address) -> Result<(), Error> {
        let at = self.find(key, netif, address).ok_or(Error::Value)?;
        let group = self.slots.at_mut(at as usize).ok_or(Error::Value)?;
        group.users = group.users.checked_sub(1).ok_or(Error::Value)?;
        let (last, unused) = (group.users == 0, group.users == 0 && group.own == 0);
        self.joined -= usize::from(last);
        if unused {
            self.remove(key, at);
        }
        Ok(())
    }

    /// Ends all memberships of an interface.
    pub(crate) fn forget(&mut self, key: &HashKey, netif: u32) {
        for at in 0..self.slots.capacity() {
            if let Some(group) = self.slots.at(at).filter(|group| group.netif == netif) {
                self.joined -= usize::from(group.users > 0);
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

const ALL_SYSTEMS: Address = Address::v4(core::net::Ipv4Addr::new(224, 0, 0, 1));
