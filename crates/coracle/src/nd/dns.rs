//! Servers and domains of the domain name system that routers advertise [RFC 8106].

use coracle_buf::{Arena, Error};

use crate::address::Address;
use crate::table::Slots;
use crate::time::Instant;

/// The longest domain that is kept, in bytes as on the wire; longer ones are passed over.
pub(crate) const LONGEST: usize = 64;

/// A server, on the interface that it was learnt on: a link-local one means nothing without [8106-4].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    pub(crate) netif: u32,
    pub(crate) address: Address,
    pub(crate) until: Instant,
}

/// A domain: labels with their lengths in front, the empty one at the end included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Domain {
    pub(crate) netif: u32,
    name: [u8; LONGEST],
    len: u8,
    pub(crate) until: Instant,
}

impl Domain {
    pub(crate) fn name(&self) -> &[u8] {
        self.name.get(..self.len.into()).unwrap_or_default()
    }
}

/// What was advertised on all interfaces.
pub(crate) struct DnsLists {
    servers: Slots<Server>,
    domains: Slots<Domain>,
}

impl DnsLists {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        Ok(Self { servers: Slots::new(arena, capacity)?, domains: Slots::new(arena, capacity)? })
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().map(|(_, server)| server)
    }

    pub(crate) fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.domains.iter().map(|(_, domain)| domain)
    }

    /// [8106-2] Enters a server, moves its end, or takes it back. Returns whether the list changed.
    ///
    /// In a full list the one that ends first gives way to one that ends later [RFC 8106 §6.3].
    pub(crate) fn server(&mut self, netif: u32, address: Address, until: Instant, now: Instant) -> bool {
        let entry = Server { netif, address, until };
        let same = |known: &Server| known.netif == netif && known.address == address;
        enter(&mut self.servers, entry, same, |server| server.until, now, |known| known.until = until)
    }

    /// The same for a domain.
    pub(crate) fn domain(&mut self, netif: u32, name: &[u8], until: Instant, now: Instant) -> bool {
        let mut bytes = [0; LONGEST];
        let Some(place) = bytes.get_mut(..name.len()) else { return false };
        place.copy_from_slice(name);
        let entry = Domain { netif, name: bytes, len: name.len() as u8, until };
        let same = |known: &Domain| known.netif == netif && known.name().eq_ignore_ascii_case(name);
        enter(&mut self.domains, entry, same, |domain| domain.until, now, |known| known.until = until)
    }

    /// Removes what has ended, and everything of an interface that went.
    pub(crate) fn retain(&mut self, fits: impl Fn(u32, Instant) -> bool) -> bool {
        let servers = retain(&mut self.servers, |server| fits(server.netif, server.until));
        let domains = retain(&mut self.domains, |domain| fits(domain.netif, domain.until));
        servers || domains
    }

    /// When the first ends.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let ends = self.servers().map(|server| server.until).chain(self.domains().map(|domain| domain.until));
        ends.min().filter(|end| *end < Instant::MAX)
    }
}

fn enter<T: Copy>(
    slots: &mut Slots<T>,
    entry: T,
    same: impl Fn(&T) -> bool,
    until: impl Fn(&T) -> Instant,
    now: Instant,
    renew: impl FnOnce(&mut T),
) -> bool {
    let ended = until(&entry) <= now;
    let found = slots.iter().find(|(_, known)| same(known)).map(|(key, _)| key);
    if let Some(key) = found {
        if ended {
            return slots.remove(key).is_some();
        }
        slots.get_mut(key).map(renew).unwrap_or_default();
        return false;
    }
    if ended {
        return false;
    }
    if slots.used() == slots.capacity() {
        let first = slots.iter().min_by_key(|(_, known)| until(known));
        let first = first.filter(|(_, known)| until(known) < until(&entry)).map(|(key, _)| key);
        let Some(first) = first else { return false };
        slots.remove(first);
    }
    slots.insert(entry).is_ok()
}

fn retain<T>(slots: &mut Slots<T>, fits: impl Fn(&T) -> bool) -> bool {
    let mut removed = false;
    for at in 0..slots.capacity() {
        if slots.at(at).is_some_and(|entry| !fits(entry))
            && let Some(key) = slots.key_at(at)
        {
            removed |= slots.remove(key).is_some();
        }
    }
    removed
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

    fn lists(capacity: usize) -> DnsLists {
        DnsLists::new(&mut Arena::heap(), capacity).unwrap()
    }

    fn server(low: u16) -> Address {
        on(0, low)
    }

    fn on(netif: usize, low: u16) -> Address {
        Address::v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, low).octets(), netif)
    }

    /// [8106-2] [8106-4]
    #[test]
    fn servers_come_and_go_on_their_interface() {
        let mut lists = lists(4);
        assert!(lists.server(0, server(1), later(10), NOW));
        assert!(!lists.server(0, server(1), later(20), NOW));
        assert!(lists.server(1, on(1, 1), Instant::MAX, NOW));
        let zones: Vec<_> = lists.servers().map(|server| server.address.zone()).collect();
        assert_eq!(zones, [Some(0), Some(1)]);
        assert_eq!(lists.next_end(), Some(later(20)));
        assert!(lists.server(0, server(1), NOW, NOW));
        assert!(!lists.server(0, server(2), NOW, NOW));
        assert_eq!((lists.servers().count(), lists.next_end()), (1, None));
        assert!(lists.retain(|netif, _| netif != 1));
        assert_eq!(lists.servers().count(), 0);
    }

    /// [8106-3]
    #[test]
    fn in_a_full_list_the_one_that_ends_first_gives_way() {
        let mut lists = lists(3);
        for low in [1, 2, 3] {
            assert!(lists.server(0, server(low), later(u64::from(low) * 10), NOW));
        }
        assert!(!lists.server(0, server(4), later(5), NOW));
        assert!(lists.server(0, server(5), later(15), NOW));
        let kept: Vec<_> = lists.servers().map(|server| server.until).collect();
        assert!(!kept.contains(&later(10)) && kept.contains(&later(15)), "{kept:?}");
        assert!(lists.retain(|_, until| until > later(15)));
        assert_eq!(lists.servers().count(), 2);
    }

    #[test]
    fn domains_are_the_same_in_either_case() {
        let mut lists = lists(3);
        assert!(lists.domain(0, b"\x07example\x00", later(10), NOW));
        assert!(!lists.domain(0, b"\x07EXAMPLE\x00", later(20), NOW));
        assert_eq!(lists.domains().next().unwrap().name(), b"\x07example\x00");
        assert!(!lists.domain(0, &[1; LONGEST + 1], later(10), NOW));
        assert_eq!(lists.domains().count(), 1);
    }
}
