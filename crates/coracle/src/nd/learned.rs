//! What routers say about where packets go: default routers, what is on the link, routes, redirects.

use coracle_buf::{Arena, Error};
use coracle_wire::ndp::Preference;

use crate::address::Address;
use crate::ip::route::Entry;
use crate::netif::NetifHandle;
use crate::table::Slots;
use crate::time::Instant;

/// What a router said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// That it is a default router.
    Router,
    /// That a prefix is on the link.
    Prefix,
    /// That a prefix can be reached by way of it [RFC 4191].
    Route,
    /// That a destination has a better first hop.
    Redirect,
}

/// The number of kinds, each of which has its share of the table: no flood of one pushes out the others.
const KINDS: usize = 4;

/// One line of what was learnt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Learned {
    pub(crate) netif: u32,
    pub(crate) kind: Kind,
    pub(crate) prefix: Address,
    pub(crate) prefix_len: u8,
    /// To whom packets are handed; unspecified on the link.
    pub(crate) gateway: Address,
    pub(crate) preference: Preference,
    pub(crate) until: Instant,
    /// The gateway did not answer.
    pub(crate) suspect: bool,
}

impl Learned {
    /// The route that it means. Routers that do not answer come last, then the preference decides.
    pub(crate) fn route(&self, netif: NetifHandle, default: bool) -> Entry {
        let preference = match self.preference {
            Preference::High => 0,
            Preference::Medium => 2,
            Preference::Low => 4,
        };
        let metric = if self.suspect { 8 } else { 0 } + preference + u16::from(!default);
        let gateway = if self.gateway.is_unspecified() { Address::ANY } else { self.gateway };
        Entry::derived(self.prefix, self.prefix_len, netif, gateway, metric)
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_place = self.netif == other.netif && self.kind == other.kind;
        let same_prefix = self.prefix == other.prefix && self.prefix_len == other.prefix_len;
        // A destination has one better first hop; a prefix may have several routers.
        same_place && same_prefix && (self.kind == Kind::Redirect || self.gateway == other.gateway)
    }
}

/// What was learnt on all interfaces.
pub(crate) struct LearnedTable {
    slots: Slots<Learned>,
}

impl LearnedTable {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        Ok(Self { slots: Slots::new(arena, capacity)? })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Learned> {
        self.slots.iter().map(|(_, entry)| entry)
    }

    /// Enters what was said, or takes it back when it ends by `now`. Returns whether ways of packets change.
    ///
    /// When there is no room, the redirect or route that would end first gives way to another of its kind; routers and
    /// prefixes that came first stay, so that nobody can push them out.
    pub(crate) fn learn(&mut self, entry: Learned, now: Instant) -> bool {
        let found = self.slots.iter().find(|(_, known)| known.is_same(&entry)).map(|(key, _)| key);
        let Some(key) = found else { return entry.until > now && self.insert(entry) };
        if entry.until <= now {
            return self.slots.remove(key).is_some();
        }
        let Some(known) = self.slots.get_mut(key) else { return false };
        let changed = known.preference != entry.preference || known.gateway != entry.gateway;
        *known = Learned { suspect: known.suspect && !changed, ..entry };
        changed
    }

    fn insert(&mut self, entry: Learned) -> bool {
        let share = (self.slots.capacity() / KINDS).max(1);
        if self.iter().filter(|known| known.kind == entry.kind).count() >= share {
            if matches!(entry.kind, Kind::Router | Kind::Prefix) {
                return false;
            }
            let same = self.slots.iter().filter(|(_, known)| known.kind == entry.kind);
            let first = same.min_by_key(|(_, known)| known.until).map(|(key, _)| key);
            first.and_then(|key| self.slots.remove(key));
        }
        self.slots.insert(entry).is_ok()
    }

    /// Removes whatever does not fit. Returns whether there was anything.
    pub(crate) fn retain(&mut self, fits: impl Fn(&Learned) -> bool) -> bool {
        let mut removed = false;
        for at in 0..self.slots.capacity() {
            if self.slots.at(at).is_some_and(|entry| !fits(entry))
                && let Some(key) = self.slots.key_at(at)
            {
                removed |= self.slots.remove(key).is_some();
            }
        }
        removed
    }

    /// Removes what has ended.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        self.retain(|entry| entry.until > now)
    }

    /// Removes all that leads through a router which is none any more [4861-9].
    pub(crate) fn forget_router(&mut self, netif: u32, router: Address) -> bool {
        self.retain(|entry| entry.netif != netif || entry.gateway != router)
    }

    /// A gateway does not answer. Returns whether ways of packets change: once all routers are suspect, those before this
    /// one have another chance, so that all are tried in turn.
    pub(crate) fn suspect(&mut self, netif: u32, gateway: Address) -> bool {
        let is_gateway = |entry: &Learned| entry.netif == netif && entry.gateway == gateway;
        if !self.iter().any(is_gateway) {
            return false;
        }
        let others = |entry: &Learned| entry.kind == Kind::Router && !is_gateway(entry);
        let none_left = self.iter().filter(|entry| others(entry)).all(|entry| entry.suspect);
        self.mark(is_gateway, true);
        if none_left {
            self.mark(others, false);
        }
        // What led there by a redirect is found out anew.
        self.retain(|entry| !(entry.kind == Kind::Redirect && is_gateway(entry)));
        true
    }

    /// It answers. Returns whether ways of packets change.
    pub(crate) fn trust(&mut self, netif: u32, gateway: Address) -> bool {
        let is_suspect = |entry: &Learned| entry.suspect && entry.netif == netif && entry.gateway == gateway;
        let any = self.iter().any(is_suspect);
        if any {
            self.mark(is_suspect, false);
        }
        any
    }

    fn mark(&mut self, which: impl Fn(&Learned) -> bool, suspect: bool) {
        for at in 0..self.slots.capacity() {
            if let Some(entry) = self.slots.at_mut(at)
                && which(entry)
            {
                entry.suspect = suspect;
            }
        }
    }

    /// When the first ends.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.iter().map(|entry| entry.until).min().filter(|end| *end < Instant::MAX)
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;
    use std::vec::Vec;

    use super::*;

    const NOW: Instant = Instant::from_secs(1_000);

    fn later(seconds: u64) -> Instant {
        Instant::from_secs(1_000 + seconds)
    }

    fn address(low: u16) -> Address {
        Address::v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, low).octets(), 0)
    }

    fn router(low: u16, seconds: u64) -> Learned {
        Learned {
            netif: 0,
            kind: Kind::Router,
            prefix: Address::ANY,
            prefix_len: 0,
            gateway: address(low),
            preference: Preference::Medium,
            until: later(seconds),
            suspect: false,
        }
    }

    fn redirect(destination: u16, gateway: u16, seconds: u64) -> Learned {
        let prefix = Address::v6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, destination).octets(), 0);
        Learned { kind: Kind::Redirect, prefix, prefix_len: 128, ..router(gateway, seconds) }
    }

    fn table(capacity: usize) -> LearnedTable {
        let mut arena = Arena::heap();
        LearnedTable::new(&mut arena, capacity).unwrap()
    }

    #[test]
    fn what_is_said_again_is_known_already() {
        let mut table = table(8);
        assert!(table.learn(router(1, 10), NOW));
        assert!(!table.learn(router(1, 20), NOW));
        assert_eq!(table.next_end(), Some(later(20)));
        assert!(table.learn(Learned { preference: Preference::High, ..router(1, 20) }, NOW));
        assert!(table.learn(router(2, 30), NOW));
        assert_eq!(table.iter().count(), 2);
    }

    /// [4861-5] [4861-12]
    #[test]
    fn a_lifetime_of_zero_takes_back() {
        let mut table = table(8);
        assert!(!table.learn(router(1, 0), NOW));
        assert!(table.learn(router(1, 10), NOW));
        assert!(table.learn(router(1, 0), NOW));
        assert_eq!(table.iter().count(), 0);
    }

    #[test]
    fn each_ends_in_its_time() {
        let mut table = table(8);
        table.learn(router(1, 10), NOW);
        table.learn(Learned { until: Instant::MAX, ..router(2, 0) }, NOW);
        assert!(!table.expire(later(9)));
        assert!(table.expire(later(10)));
        assert_eq!((table.iter().count(), table.next_end()), (1, None));
    }

    /// [4861-9]
    #[test]
    fn a_router_that_is_none_takes_its_routes_along() {
        let mut table = table(8);
        table.learn(router(1, 10), NOW);
        table.learn(router(2, 10), NOW);
        table.learn(redirect(7, 1, 10), NOW);
        assert!(table.forget_router(0, address(1)));
        assert!(!table.forget_router(0, address(1)));
        assert_eq!(table.iter().map(|entry| entry.gateway).collect::<Vec<_>>(), [address(2)]);
    }

    #[test]
    fn a_destination_has_one_better_first_hop() {
        let mut table = table(8);
        assert!(table.learn(redirect(7, 1, 10), NOW));
        assert!(table.learn(redirect(7, 2, 10), NOW));
        assert_eq!(table.iter().map(|entry| entry.gateway).collect::<Vec<_>>(), [address(2)]);
    }

    /// A flood of one kind leaves the others room, and routers that came first stay.
    #[test]
    fn each_kind_has_its_share() {
        let mut table = table(8);
        for low in 1..10 {
            assert_eq!(table.learn(router(low, 100 + u64::from(low)), NOW), low <= 2);
            assert!(table.learn(redirect(low, 1, 10 + u64::from(low)), NOW));
        }
        let ends: Vec<_> = table.iter().map(|entry| entry.until).collect();
        assert_eq!(ends.len(), 4);
        for expected in [later(101), later(102), later(18), later(19)] {
            assert!(ends.contains(&expected), "{expected:?} of {ends:?}");
        }
    }

    /// [RFC 4861 §6.3.6]
    #[test]
    fn routers_that_do_not_answer_are_tried_in_turn() {
        let mut table = table(12);
        for low in [1, 2, 3] {
            table.learn(router(low, 10), NOW);
        }
        let suspects = |table: &LearnedTable| table.iter().map(|entry| entry.suspect).collect::<Vec<_>>();
        assert!(!table.suspect(0, address(9)) && !table.suspect(1, address(1)));
        assert!(table.suspect(0, address(1)));
        assert_eq!(suspects(&table), [true, false, false]);
        assert!(table.suspect(0, address(2)));
        assert_eq!(suspects(&table), [true, true, false]);
        assert!(table.suspect(0, address(3)));
        assert_eq!(suspects(&table), [false, false, true]);
        // Said again, it is no less suspect; an answer clears it.
        assert!(!table.learn(router(3, 20), NOW));
        assert_eq!(suspects(&table), [false, false, true]);
        assert!(table.trust(0, address(3)) && !table.trust(0, address(3)));
        assert_eq!(suspects(&table), [false; 3]);
    }
}
