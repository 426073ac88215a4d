//! The forwarding database of bridges: behind which port a station is [IEEE 802.1D §7.9].
//!
//! What is learned is forgotten when the station was silent for long, and gives way to others when the table is full:
//! first what is too old, then what was learned from the newcomer's port. So a port that floods the table with made-up
//! stations mostly pushes out its own. What the owner set stays.

use core::time::Duration;

use coracle_buf::{Arena, Error};
use coracle_wire::MacAddr;

use crate::random::HashKey;
use crate::table::{Index, Key, NONE, Slots};
use crate::time::Instant;

/// How many entries are looked at for one that gives way.
const LOOKED_AT: usize = 8;

/// Ports of a bridge: one bit for each interface's slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ports(u64);

impl Ports {
    pub(crate) const NONE: Self = Self(0);

    /// The port in a slot; none for one beyond what fits.
    pub(crate) fn one(slot: usize) -> Self {
        Self(u32::try_from(slot).ok().and_then(|slot| 1_u64.checked_shl(slot)).unwrap_or(0))
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Takes the port with the lowest slot out.
    pub(crate) fn pop(&mut self) -> Option<usize> {
        let slot = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (slot < u64::BITS).then_some(slot as usize)
    }
}

struct Entry {
    mac: MacAddr,
    /// The bridge's slot.
    bridge: u8,
    ports: Ports,
    /// When it was heard last; what the owner set has no such time.
    seen: Option<Instant>,
}

/// The stations of all bridges of a stack.
pub(crate) struct Fdb {
    entries: Slots<Entry>,
    index: Index,
    /// Where the search for one that gives way goes on.
    hand: usize,
}

impl Fdb {
    pub(crate) fn new(arena: &mut Arena, stations: usize) -> Result<Self, Error> {
        Ok(Self { entries: Slots::new(arena, stations)?, index: Index::new(arena, stations)?, hand: 0 })
    }

    /// Where frames to a station go; none when it is unknown, or was silent for `lifetime`.
    pub(crate) fn find(
        &self,
        key: &HashKey,
        bridge: usize,
        mac: MacAddr,
        now: Instant,
        lifetime: Duration,
    ) -> Option<Ports> {
        let entry = self.entries.at(self.position(key, bridge, mac)?)?;
        entry.seen.is_none_or(|seen| now.since(seen) <= lifetime).then_some(entry.ports)
    }

    /// A frame from a station came in by a port.
    pub(crate) fn learn(
        &mut self,
        key: &HashKey,
        bridge: usize,
        mac: MacAddr,
        port: Ports,
        now: Instant,
        lifetime: Duration,
    ) {
        if let Some(position) = self.position(key, bridge, mac) {
            if let Some(entry) = self.entries.at_mut(position)
                && entry.seen.is_some()
            {
                (entry.ports, entry.seen) = (port, Some(now));
            }
            return;
        }
        if self.entries.used() == self.entries.capacity() {
            let Some(victim) = self.victim(port, now, lifetime) else { return };
            self.remove_at(key, victim);
        }
        // There is room now; a station that is not learned is one to which frames are flooded.
        self.insert(key, Entry { mac, bridge: bridge as u8, ports: port, seen: Some(now) })
            .unwrap_or_default();
    }

    /// Sets where frames to a station go, for good; nowhere, if there are no ports. A learned entry gives way.
    ///
    /// [`Error::Memory`] when the table is full of such entries.
    pub(crate) fn set(
        &mut self,
        key: &HashKey,
        bridge: usize,
        mac: MacAddr,
        ports: Ports,
    ) -> Result<(), Error> {
        if let Some(position) = self.position(key, bridge, mac) {
            if let Some(entry) = self.entries.at_mut(position) {
                (entry.ports, entry.seen) = (ports, None);
            }
            return Ok(());
        }
        if self.entries.used() == self.entries.capacity() {
            let learned = self.entries.iter().find(|(_, entry)| entry.seen.is_some());
            let victim = learned.map(|(key, _)| key.index as usize).ok_or(Error::Memory)?;
            self.remove_at(key, victim);
        }
        self.insert(key, Entry { mac, bridge: bridge as u8, ports, seen: None })
    }

    /// Takes out what the owner set; [`Error::Value`] when there is no such entry.
    pub(crate) fn unset(&mut self, key: &HashKey, bridge: usize, mac: MacAddr) -> Result<(), Error> {
        let position = self.position(key, bridge, mac).ok_or(Error::Value)?;
        if self.entries.at(position).is_none_or(|entry| entry.seen.is_some()) {
            return Err(Error::Value);
        }
        self.remove_at(key, position);
        Ok(())
    }

    /// Forgets what is behind a port that is none any more.
    pub(crate) fn forget_port(&mut self, key: &HashKey, port: Ports) {
        for position in 0..self.entries.capacity() {
            let Some(entry) = self.entries.at_mut(position) else { continue };
            if entry.ports.and(port).is_empty() {
                continue;
            }
            entry.ports = entry.ports.without(port);
            if entry.ports.is_empty() {
                self.remove_at(key, position);
            }
        }
    }

    /// Forgets all stations of a bridge that is gone.
    pub(crate) fn forget_bridge(&mut self, key: &HashKey, bridge: usize) {
        for position in 0..self.entries.capacity() {
            if self.entries.at(position).is_some_and(|entry| usize::from(entry.bridge) == bridge) {
                self.remove_at(key, position);
            }
        }
    }

    fn hash(key: &HashKey, bridge: usize, mac: MacAddr) -> u32 {
        let mut word = [0; 8];
        word[2..].copy_from_slice(&mac.0);
        key.hash(u64::from_be_bytes(word), bridge as u64)
    }

    fn position(&self, key: &HashKey, bridge: usize, mac: MacAddr) -> Option<usize> {
        let mut at = self.index.first(Self::hash(key, bridge, mac));
        while at != NONE {
            let entry = self.entries.at(at as usize)?;
            if entry.mac == mac && usize::from(entry.bridge) == bridge {
                return Some(at as usize);
            }
            at = self.index.next(at);
        }
        None
    }

    fn insert(&mut self, key: &HashKey, entry: Entry) -> Result<(), Error> {
        let hash = Self::hash(key, entry.bridge.into(), entry.mac);
        let position: Key = self.entries.insert(entry)?;
        self.index.insert(hash, position.index);
        Ok(())
    }

    fn remove_at(&mut self, key: &HashKey, position: usize) {
        if let Some((name, entry)) = self.entries.entry_at(position) {
            self.index.remove(Self::hash(key, entry.bridge.into(), entry.mac), name.index);
            self.entries.remove(name);
        }
    }

    /// One of the next few learned entries that gives way to a newcomer from `port`.
    fn victim(&mut self, port: Ports, now: Instant, lifetime: Duration) -> Option<usize> {
        let capacity = self.entries.capacity();
        let mut best: Option<(usize, bool, Instant)> = None;
        for _ in 0..capacity.min(LOOKED_AT) {
            let at = self.hand;
            self.hand = if at + 1 < capacity { at + 1 } else { 0 };
            let Some(entry) = self.entries.at(at) else { continue };
            let Some(seen) = entry.seen else { continue };
            if now.since(seen) > lifetime {
                return Some(at);
            }
            let other = entry.ports != port;
            if best.is_none_or(|(_, best_other, best_seen)| (other, seen) < (best_other, best_seen)) {
                best = Some((at, other, seen));
            }
        }
        best.map(|(at, ..)| at)
    }
}

#[cfg(test)]
#[path = "fdb_tests.rs"]
mod tests;
