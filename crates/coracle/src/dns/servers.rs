//! The servers to ask, and how well they do.

use core::net::IpAddr;
use core::time::Duration;

use coracle_buf::{Arena, Error, Table};

use crate::time::Instant;

/// Who named a server or a search domain. What comes first here is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The owner of the stack.
    Owner,
    /// A protocol on an interface: both by their numbers.
    Interface { netif: u8, protocol: u8 },
}

/// Where a server is. A link-local address needs its interface: 0 stands for none, others count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    pub(crate) ip: IpAddr,
    pub(crate) scope: u32,
}

/// For how many seconds a server that did not answer comes after all others; twice as long each time.
const SHORTEST_REST: u32 = 8;
/// The longest time for which a server that does not answer comes after all others.
const LONGEST_REST: u32 = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) address: ServerAddress,
    source: Source,
    /// Questions in a row that it did not answer.
    failures: u8,
    /// Until then, others are asked first.
    rests_until: Instant,
    /// It does not understand OPT records.
    pub(super) plain: bool,
    /// It changes the case of names.
    pub(super) folds_case: bool,
}

/// The servers in the order in which they are asked.
pub(super) struct Servers {
    table: Table<Option<Server>>,
}

impl Servers {
    pub(super) fn new(arena: &mut Arena, count: usize) -> Result<Self, Error> {
        Ok(Self { table: arena.table(count.min(32), |_| None)? })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Server> {
        self.table.iter().flatten()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(super) fn get_mut(&mut self, address: ServerAddress) -> Option<&mut Server> {
        self.table.iter_mut().flatten().find(|server| server.address == address)
    }

    /// Replaces all servers of a source. Those for which there is no room are left out, the last of the least
    /// important source first. Nothing happens, and nothing is forgotten, when they are the same as before.
    pub(super) fn set(&mut self, source: Source, addresses: impl Iterator<Item = ServerAddress> + Clone) {
        let old = self.iter().filter(|server| server.source == source).map(|server| server.address);
        if old.eq(addresses.clone()) {
            return;
        }
        self.retain(|other| other != source);
        let first = self.iter().take_while(|server| server.source < source).count();
        for (position, address) in (first..).zip(addresses) {
            let Some(behind) = self.table.get_mut(position..).filter(|behind| !behind.is_empty()) else {
                break;
            };
            behind.rotate_right(1);
            behind[0] = Some(Server {
                address,
                source,
                failures: 0,
                rests_until: Instant::ZERO,
                plain: false,
                folds_case: false,
            });
        }
    }

    /// Keeps the servers of those sources only.
    pub(super) fn retain(&mut self, keep: impl Fn(Source) -> bool) {
        let mut kept = 0;
        for position in 0..self.table.len() {
            if let Some(server) = self.table[position].take()
                && keep(server.source)
            {
                self.table[kept] = Some(server);
                kept += 1;
            }
        }
    }

    /// Who is asked next: the first that is not in `tried`, those that did not answer lately after the others. Returns
    /// its bit too.
    pub(super) fn choose(&self, tried: u32, now: Instant) -> Option<(ServerAddress, u32)> {
        let left = || self.iter().enumerate().filter(|(position, _)| tried >> position & 1 == 0);
        let (position, server) =
            left().find(|(_, server)| server.rests_until <= now).or_else(|| left().next())?;
        Some((server.address, 1 << position))
    }

    pub(super) fn answered(&mut self, address: ServerAddress) {
        if let Some(server) = self.get_mut(address) {
            server.failures = 0;
            server.rests_until = Instant::ZERO;
        }
    }

    pub(super) fn failed(&mut self, address: ServerAddress, now: Instant) {
        if let Some(server) = self.get_mut(address) {
            let rest = (SHORTEST_REST << server.failures.min(16)).min(LONGEST_REST);
            server.failures = server.failures.saturating_add(1);
            server.rests_until = now + Duration::from_secs(rest.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn server(last: u8) -> ServerAddress {
        ServerAddress { ip: IpAddr::from([192, 0, 2, last]), scope: 0 }
    }

    fn servers(count: usize) -> Servers {
        Servers::new(&mut Arena::heap(), count).unwrap()
    }

    fn order(servers: &Servers) -> Vec<u8> {
        servers
            .iter()
            .map(|server| match server.address.ip {
                IpAddr::V4(address) => address.octets()[3],
                IpAddr::V6(_) => 0,
            })
            .collect()
    }

    const DHCP: Source = Source::Interface { netif: 0, protocol: 0 };

    #[test]
    fn the_owners_servers_come_first_and_each_source_replaces_its_own() {
        let mut servers = servers(4);
        servers.set(DHCP, [1, 2].map(server).into_iter());
        servers.set(Source::Owner, [8, 9].map(server).into_iter());
        assert_eq!(order(&servers), [8, 9, 1, 2]);
        servers.failed(server(2), Instant::ZERO);
        servers.set(DHCP, [1, 2].map(server).into_iter());
        assert_eq!(servers.get_mut(server(2)).unwrap().failures, 1);
        servers.set(DHCP, [3, 2].map(server).into_iter());
        assert_eq!(order(&servers), [8, 9, 3, 2]);
        servers.set(Source::Owner, [7, 8, 9].map(server).into_iter());
        assert_eq!(order(&servers), [7, 8, 9, 3]);
        servers.set(DHCP, (1..200).map(server));
        assert_eq!(order(&servers), [7, 8, 9, 1]);
        servers.set(Source::Owner, core::iter::empty());
        assert_eq!(order(&servers), [1]);
        servers.set(DHCP, (1..200).map(server));
        assert_eq!(order(&servers), [1, 2, 3, 4]);
    }

    #[test]
    fn servers_that_do_not_answer_are_asked_last() {
        let mut servers = servers(3);
        servers.set(Source::Owner, [1, 2, 3].map(server).into_iter());
        servers.failed(server(1), Instant::ZERO);
        let choose = |servers: &Servers, tried, secs| servers.choose(tried, Instant::from_secs(secs));
        assert_eq!(choose(&servers, 0, 0), Some((server(2), 2)));
        assert_eq!(choose(&servers, 2, 0), Some((server(3), 4)));
        assert_eq!(choose(&servers, 6, 0), Some((server(1), 1)));
        assert_eq!(choose(&servers, 7, 0), None);
        assert_eq!(choose(&servers, 0, 8), Some((server(1), 1)));
        // Each failure doubles the rest, up to about a minute.
        for _ in 0..300 {
            servers.failed(server(1), Instant::ZERO);
        }
        assert_eq!(choose(&servers, 0, 63), Some((server(2), 2)));
        assert_eq!(choose(&servers, 0, 64), Some((server(1), 1)));
        servers.answered(server(1));
        assert_eq!(choose(&servers, 0, 0), Some((server(1), 1)));
    }

    #[test]
    fn without_servers_there_is_nobody_to_ask() {
        let mut servers = servers(0);
        servers.set(Source::Owner, [1].map(server).into_iter());
        assert!(servers.is_empty() && servers.choose(0, Instant::ZERO).is_none());
    }
}
