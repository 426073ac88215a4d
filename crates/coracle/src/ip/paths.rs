//! What was learnt of single paths: how long packets to them may be [RFC 1191] [RFC 8201], and by which router of
//! the link those of IPv4 go [RFC 1122 §3.3.1.2]. All of it is forgotten after a while, as ways change.

use core::time::Duration;

use coracle_buf::{Arena, Error};

use crate::address::Address;
use crate::random::HashKey;
use crate::table::{Index, NONE, Slots};
use crate::time::Instant;

/// How long something is believed: ten minutes [RFC 1191 §6.3] [1191-2], less a second, so that a connection that tries a
/// longer packet after that time is not told the old length again.
pub(crate) const LIFETIME: Duration = Duration::from_secs(599);

#[derive(Clone, Copy)]
struct Destination {
    address: Address,
    /// Bytes of the longest packet that gets there, and until when that is believed.
    mtu: Option<(u16, Instant)>,
    /// The interface's slot and the router on it.
    gateway: Option<(u8, Address, Instant)>,
}

/// The table of paths of which anything is known but their route.
pub(crate) struct Paths {
    entries: Slots<Destination>,
    index: Index,
    /// Which one gives way next.
    hand: u32,
}

impl Paths {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        Ok(Self { entries: Slots::new(arena, capacity)?, index: Index::new(arena, capacity)?, hand: 0 })
    }

    /// Bytes of the longest packet that gets there, if less than elsewhere.
    pub(crate) fn mtu(&self, key: &HashKey, address: Address) -> Option<u16> {
        self.find(key, address)?.mtu.map(|(mtu, _)| mtu)
    }

    /// The router by which packets from an interface go there.
    pub(crate) fn gateway(&self, key: &HashKey, address: Address, netif: usize) -> Option<Address> {
        let (slot, gateway, _) = self.find(key, address)?.gateway?;
        (usize::from(slot) == netif).then_some(gateway)
    }

    /// Remembers that packets to a destination may have `mtu` bytes.
    pub(crate) fn set_mtu(&mut self, key: &HashKey, address: Address, mtu: u16, now: Instant) {
        if let Some(entry) = self.find_or_begin(key, address) {
            entry.mtu = Some((mtu, now + LIFETIME));
        }
    }

    /// Remembers the router of a destination.
    pub(crate) fn set_gateway(
        &mut self,
        key: &HashKey,
        address: Address,
        netif: usize,
        gateway: Address,
        now: Instant,
    ) {
        if let Some(entry) = self.find_or_begin(key, address) {
            entry.gateway = Some((netif as u8, gateway, now + LIFETIME));
        }
    }

    /// When the next thing is forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let ends = |entry: &Destination| {
            let (mtu, gateway) = (entry.mtu.map(|(_, end)| end), entry.gateway.map(|(_, _, end)| end));
            mtu.into_iter().chain(gateway).min()
        };
        self.entries.iter().filter_map(|(_, entry)| ends(entry)).min()
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&mut self, key: &HashKey, now: Instant) {
        self.retain(key, |entry| {
            entry.mtu = entry.mtu.filter(|&(_, end)| end > now);
            entry.gateway = entry.gateway.filter(|&(_, _, end)| end > now);
        });
    }

    /// Forgets a router that does not answer, or of an interface that is gone, if `address` is unspecified; returns whether
    /// there was one.
    pub(crate) fn forget_gateway(&mut self, key: &HashKey, netif: usize, address: Address) -> bool {
        let mut found = false;
        self.retain(key, |entry| {
            let is_it = |(slot, gateway, _): (u8, Address, Instant)| {
                usize::from(slot) == netif && (address.is_unspecified() || gateway == address)
            };
            if entry.gateway.is_some_and(is_it) {
                found = true;
                entry.gateway = None;
            }
        });
        found
    }

    fn hash(key: &HashKey, address: Address) -> u32 {
        key.hash(address.word(key), 0)
    }

    fn position(&self, key: &HashKey, address: Address) -> Option<u32> {
        let mut at = self.index.first(Self::hash(key, address));
        while at != NONE {
            if self.entries.at(at as usize)?.address == address {
                return Some(at);
            }
            at = self.index.next(at);
        }
        None
    }

    fn find(&self, key: &HashKey, address: Address) -> Option<&Destination> {
        self.entries.at(self.position(key, address)? as usize)
    }

    fn find_or_begin(&mut self, key: &HashKey, address: Address) -> Option<&mut Destination> {
        if let Some(position) = self.position(key, address) {
            return self.entries.at_mut(position as usize);
        }
        if self.entries.used() == self.entries.capacity() {
            let victim = self.hand;
            self.hand = if victim as usize + 1 < self.entries.capacity() { victim + 1 } else { 0 };
            self.remove(key, victim);
        }
        let position = self.entries.insert(Destination { address, mtu: None, gateway: None }).ok()?.index;
        self.index.insert(Self::hash(key, address), position);
        self.entries.at_mut(position as usize)
    }

    fn remove(&mut self, key: &HashKey, position: u32) {
        if let Some((name, entry)) = self.entries.entry_at(position as usize) {
            self.index.remove(Self::hash(key, entry.address), position);
            self.entries.remove(name);
        }
    }

    /// Changes every entry, and drops those that say nothing any more.
    fn retain(&mut self, key: &HashKey, mut change: impl FnMut(&mut Destination)) {
        for position in 0..self.entries.capacity() {
            let Some(entry) = self.entries.at_mut(position) else { continue };
            change(entry);
            if entry.mtu.is_none() && entry.gateway.is_none() {
                self.remove(key, position as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn host(last: u8) -> Address {
        Address::v4([198, 51, 100, last].into())
    }

    #[test]
    fn what_is_learnt_is_forgotten_in_time_each_on_its_own() {
        let key = &HashKey::new(&mut Random::new(&[1; 16]));
        let mut table = Paths::new(&mut Arena::heap(), 4).unwrap();
        table.set_mtu(key, host(1), 1_400, Instant::from_secs(1));
        table.set_gateway(key, host(1), 2, host(254), Instant::from_secs(2));
        assert_eq!(table.next_deadline(), Some(Instant::from_secs(600)));
        table.expire(key, Instant::from_millis(599_999));
        assert_eq!(table.mtu(key, host(1)), Some(1_400));
        table.expire(key, Instant::from_secs(600));
        assert_eq!(table.mtu(key, host(1)), None);
        assert_eq!(table.gateway(key, host(1), 2), Some(host(254)));
        assert_eq!(table.gateway(key, host(1), 1), None, "another interface's");
        table.expire(key, Instant::from_secs(601));
        assert_eq!((table.next_deadline(), table.entries.used()), (None, 0));
    }

    #[test]
    fn a_full_table_takes_the_new_and_forgets_an_old_one() {
        let key = &HashKey::new(&mut Random::new(&[1; 16]));
        let mut table = Paths::new(&mut Arena::heap(), 3).unwrap();
        for last in 0..100 {
            table.set_mtu(key, host(last), 600 + u16::from(last), Instant::ZERO);
            assert_eq!(table.mtu(key, host(last)), Some(600 + u16::from(last)));
        }
        assert_eq!((0..100).filter(|&last| table.mtu(key, host(last)).is_some()).count(), 3);
        let mut none = Paths::new(&mut Arena::heap(), 0).unwrap();
        none.set_mtu(key, host(1), 600, Instant::ZERO);
        assert_eq!(none.mtu(key, host(1)), None);
    }

    #[test]
    fn a_router_that_is_gone_leads_nowhere() {
        let key = &HashKey::new(&mut Random::new(&[1; 16]));
        let mut table = Paths::new(&mut Arena::heap(), 4).unwrap();
        table.set_gateway(key, host(1), 0, host(254), Instant::ZERO);
        table.set_gateway(key, host(2), 0, host(253), Instant::ZERO);
        table.set_gateway(key, host(3), 1, host(253), Instant::ZERO);
        assert!(!table.forget_gateway(key, 1, host(254)));
        assert!(table.forget_gateway(key, 0, host(254)));
        assert_eq!(table.gateway(key, host(1), 0), None);
        assert_eq!(table.gateway(key, host(2), 0), Some(host(253)));
        assert!(table.forget_gateway(key, 0, Address::ANY));
        assert_eq!((table.gateway(key, host(2), 0), table.gateway(key, host(3), 1)), (None, Some(host(253))));
    }
}
