//! The neighbour cache: which station has which IP address, and what waits to learn it.
//!
//! An entry is *incomplete* until the first answer comes; then *reachable*; some time before its end *stale*, still
//! used, and asked again at the next use: at once with ARP (*refreshing*), with IPv6 after a while in which an upper layer
//! may show that it is there (*delay*, then *probe*). Entries of a full table give way in the order of a clock:
//! what was used since the hand came by stays for one more round, what the owner set stays for ever.

use core::net::IpAddr;

use coracle_buf::{Arena, Error, PbufQueue};
use coracle_wire::MacAddr;

use crate::address::Address;
use crate::netif::NetifHandle;
use crate::random::HashKey;
use crate::table::{Index, NONE, Slots};

/// How much the stack knows of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeighbourState {
    /// Asked for, and not answered yet.
    Incomplete,
    /// Known.
    Reachable,
    /// Known, but for so long that the next use asks again.
    Stale,
    /// Known, and being asked again. ARP only.
    Refreshing,
    /// Known and in use: soon it is asked again, unless an upper layer hears of it. IPv6 only.
    Delay,
    /// Known, and being asked again. IPv6 only.
    Probe,
    /// Set by the owner of the stack; never asked for and never replaced.
    Static,
}

/// An entry of the neighbour cache, as [`Stack::neighbours`](crate::Stack::neighbours) shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// The interface that it is behind.
    pub netif: NetifHandle,
    /// Its address.
    pub address: IpAddr,
    /// Its station; none while it is not known.
    pub station: Option<MacAddr>,
    /// How much the stack knows of it.
    pub state: NeighbourState,
    /// Packets that wait for its station.
    pub pending: usize,
}

/// An entry of the cache.
pub(crate) struct Entry {
    pub(crate) netif: u32,
    pub(crate) address: Address,
    pub(crate) mac: MacAddr,
    pub(crate) state: NeighbourState,
    /// Requests sent since it was last confirmed.
    pub(crate) attempts: u8,
    /// Whether it says that it is a router. IPv6 only.
    #[cfg(feature = "ipv6")]
    pub(crate) router: bool,
    /// Used since the clock's hand last came by.
    used: bool,
    pub(crate) pending: PbufQueue,
}

/// The neighbours of all interfaces.
pub(crate) struct Neighbours {
    slots: Slots<Entry>,
    index: Index,
    hand: usize,
    /// Whether the link header of the remembered hop holds: its station needs no confirmation, and no entry may have
    /// changed since.
    settled: bool,
    pub(crate) pending: usize,
}

impl Neighbours {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let slots = Slots::new(arena, capacity)?;
        Ok(Self { slots, index: Index::new(arena, capacity)?, hand: 0, settled: false, pending: 0 })
    }

    fn hash(key: &HashKey, netif: usize, address: Address) -> u32 {
        key.hash(address.word(key), netif as u64)
    }

    /// Whether the link header of the remembered hop holds.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// The link header of the remembered hop is right now.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// It is no longer.
    pub(crate) fn unsettle(&mut self) {
        self.settled = false;
    }

    pub(crate) fn find(&self, key: &HashKey, netif: usize, address: Address) -> Option<usize> {
        let is_it = |entry: &Entry| entry.address == address && entry.netif == netif as u32;
        let mut at = self.index.first(Self::hash(key, netif, address));
        while at != NONE {
            if self.slots.at(at as usize).is_some_and(is_it) {
                return Some(at as usize);
            }
            at = self.index.next(at);
        }
        None
    }

    #[inline]
    pub(crate) fn at(&self, position: usize) -> Option<&Entry> {
        self.slots.at(position)
    }

    pub(crate) fn at_mut(&mut self, position: usize) -> Option<&mut Entry> {
        self.settled = false;
        self.slots.at_mut(position)
    }

    /// Marks an entry as used, so that it stays, and tells its state.
    pub(crate) fn touch(&mut self, position: usize) -> Option<&Entry> {
        let entry = self.slots.at_mut(position)?;
        entry.used = true;
        Some(entry)
    }

    /// Makes an entry; the table must have room.
    pub(crate) fn insert(
        &mut self,
        key: &HashKey,
        netif: usize,
        address: Address,
        mac: MacAddr,
        state: NeighbourState,
    ) -> Result<usize, Error> {
        let pending = PbufQueue::new();
        let used = state == NeighbourState::Incomplete;
        let entry = Entry {
            netif: netif as u32,
            address,
            mac,
            state,
            attempts: 0,
            #[cfg(feature = "ipv6")]
            router: false,
            used,
            pending,
        };
        let slot = self.slots.insert(entry)?;
        self.index.insert(Self::hash(key, netif, address), slot.index);
        Ok(slot.index as usize)
    }

    /// Takes an entry out; what waited for it is the caller's.
    pub(crate) fn remove(&mut self, key: &HashKey, position: usize) -> Option<Entry> {
        self.settled = false;
        let slot = self.slots.key_at(position)?;
        let entry = self.slots.remove(slot)?;
        self.index.remove(Self::hash(key, entry.netif as usize, entry.address), position as u32);
        self.pending -= entry.pending.len();
        Some(entry)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slots.used() == self.slots.capacity()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Who gives way in a full table: the next entry under the hand that was not used since it last came by.
    pub(crate) fn victim(&mut self) -> Option<usize> {
        // So that the next packet to it says again that it is used.
        self.settled = false;
        for _ in 0..2 * self.slots.capacity() {
            self.hand = if self.hand + 1 < self.slots.capacity() { self.hand + 1 } else { 0 };
            match self.slots.at_mut(self.hand) {
                Some(entry) if entry.state == NeighbourState::Static => {}
                Some(entry) if entry.used => entry.used = false,
                _ => return Some(self.hand),
            }
        }
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().map(|(_, entry)| entry)
    }
}
