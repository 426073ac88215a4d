//! The resolver: it finds what names stand for [RFC 1034, RFC 1035].
//!
//! A *query* is what an application wants to know; an *exchange* is one question that servers are asked about, for all
//! queries that need the answer. The resolver knows no sockets: it says what is to be sent ([`Resolver::next_action`]),
//! is told what came ([`Resolver::input`]), and says which queries are over ([`Resolver::next_event`]).

mod answer;
mod cache;
mod engine;
mod exchange;
mod hosts;
mod query;
mod servers;
mod special;

pub(crate) use cache::Records;
pub(crate) use engine::Dns;
pub(crate) use exchange::{Action, Sender, Transport};
pub(crate) use servers::{ServerAddress, Source};

use core::net::IpAddr;
use core::time::Duration;

use coracle_buf::{Arena, Error, Table};
use coracle_wire::dns::{Name, NameBuf};

use crate::random::Random;
use crate::table::Slots;
use crate::time::Instant;
use cache::Cache;
use exchange::Exchange;
use hosts::Hosts;
use query::Query;
use servers::Servers;

/// The most addresses that one query finds; what else there is, is left out.
pub(crate) const MAX_ADDRESSES: usize = 8;

/// What the resolver holds. lwIP: `DNS_TABLE_SIZE`, `DNS_MAX_SERVERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsLimits {
    /// Queries at the same time; each needs about a kilobyte.
    pub queries: usize,
    /// Servers, at the most 32.
    pub servers: usize,
    /// Search domains.
    pub search: usize,
    /// Bytes of the cache. An answer takes up its name, 32 bytes and its data.
    pub cache: usize,
    /// Bytes of the host table: a name and an address take up both and two more.
    pub hosts: usize,
    /// Bytes of one answer's records; what is beyond is left out.
    pub answer: usize,
}

impl DnsLimits {
    /// No resolver.
    pub const NONE: Self = Self { queries: 0, servers: 0, search: 0, cache: 0, hosts: 0, answer: 0 };
    /// For a small device.
    pub const SMALL: Self = Self { queries: 2, servers: 2, search: 1, cache: 512, hosts: 0, answer: 256 };
    /// For a hosted program.
    pub const HOST: Self =
        Self { queries: 64, servers: 8, search: 6, cache: 65_536, hosts: 4_096, answer: 4_096 };
}

/// How the resolver behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// How long a server has to answer. It has twice as long each time that all were asked in vain.
    pub timeout: Duration,
    /// How often each server is asked. lwIP: `DNS_MAX_RETRIES`.
    pub rounds: u8,
    /// How long the addresses of one family wait for those of the other [RFC 8305 §3].
    pub patience: Duration,
    /// Names with at least so many dots are tried as they are before search domains are added.
    pub ndots: u8,
    /// The longest time for which an answer is believed. lwIP: `DNS_MAX_TTL`.
    pub longest_life: Duration,
    /// The longest time for which it is believed that there is no answer [RFC 2308 §5].
    pub longest_negative_life: Duration,
    /// How many bytes of UDP servers are told that we can receive; 0 says nothing to them [RFC 6891 §6.2.5].
    pub payload: u16,
    /// Write names in random case, which answers must repeat: more for a forger to guess.
    pub random_case: bool,
    /// Ask everybody on the link for names in `local` [RFC 6762 §5.1].
    pub multicast: bool,
}

impl DnsConfig {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        timeout: Duration::from_secs(1),
        rounds: 4,
        patience: Duration::from_millis(500),
        ndots: 1,
        longest_life: Duration::from_hours(168),
        longest_negative_life: Duration::from_mins(15),
        payload: 1232,
        random_case: true,
        multicast: true,
    };
}

/// What is asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Its addresses of both families. lwIP: `LWIP_DNS_ADDRTYPE_IPV4_IPV6` and `LWIP_DNS_ADDRTYPE_IPV6_IPV4`.
    Addresses,
    /// Its IPv4 addresses. lwIP: `LWIP_DNS_ADDRTYPE_IPV4`.
    Ipv4,
    /// Its IPv6 addresses. lwIP: `LWIP_DNS_ADDRTYPE_IPV6`.
    Ipv6,
    /// Its records of a kind, one of [`wire::dns::kind`](mod@coracle_wire::dns::kind) or any other.
    Records(u16),
}

/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsError {
    /// There is no such name.
    NoName,
    /// The name has no such records.
    NoData,
    /// No server answered in time.
    Timeout,
    /// No server was able or willing to find out.
    Server,
    /// There is no server to ask.
    NoServer,
}

impl core::fmt::Display for DnsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoName => "no such name",
            Self::NoData => "the name has no such records",
            Self::Timeout => "no server answered",
            Self::Server => "no server could find out",
            Self::NoServer => "no server to ask",
        })
    }
}

impl core::error::Error for DnsError {}

/// What happened in the resolver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsCounters {
    /// Questions sent over UDP.
    pub sent: u32,
    /// Questions asked over TCP.
    pub tcp: u32,
    /// Questions sent to everybody on the link.
    pub multicast: u32,
    /// Answers taken.
    pub answers: u32,
    /// Messages that answer nothing that was asked, or not in the way that was asked for.
    pub mismatches: u32,
    /// Messages that could not be read.
    pub malformed: u32,
    /// Questions that nobody answered in time.
    pub timeouts: u32,
    /// Queries whose records were known.
    pub hits: u32,
}

/// Addresses, the first ones found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    list: [IpAddr; MAX_ADDRESSES],
    len: u8,
}

impl Addresses {
    pub(crate) const NONE: Self =
        Self { list: [IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED); MAX_ADDRESSES], len: 0 };

    pub(crate) fn push(&mut self, address: IpAddr) {
        if let Some(place) = self.list.get_mut(usize::from(self.len)) {
            *place = address;
            self.len += 1;
        }
    }

    pub(crate) fn as_slice(&self) -> &[IpAddr] {
        &self.list[..usize::from(self.len)]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [IpAddr] {
        &mut self.list[..usize::from(self.len)]
    }

    /// Room for the other family is left when both are wanted: half of it belongs to each.
    fn push_family(&mut self, address: IpAddr, both: bool) {
        let of_family = self.as_slice().iter().filter(|known| known.is_ipv4() == address.is_ipv4()).count();
        if !both || of_family < MAX_ADDRESSES / 2 {
            self.push(address);
        }
    }
}

/// What a query came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: Result<(), DnsError>,
    /// What was found by a query for addresses.
    pub(crate) addresses: Addresses,
    /// The kind of the records found by any other; they are in [`Resolver::records`].
    pub(crate) kind: u16,
}

/// The resolver.
pub(crate) struct Resolver {
    config: DnsConfig,
    pub(crate) counters: DnsCounters,
    queries: Slots<Query>,
    exchanges: Table<Option<Exchange>>,
    servers: Servers,
    /// Domains to add to names, with who named them.
    search: Table<Option<(Source, NameBuf)>>,
    pub(crate) hosts: Hosts,
    cache: Cache,
    /// The records of the last answer.
    records: Table<u8>,
    records_len: usize,
    /// The last name of the last answer's chain of aliases.
    last_name: NameBuf,
    /// Counts what was put there, so that it is known whether it still is.
    answers: u32,
    /// Queries that are over and not yet reported.
    pub(crate) over: usize,
}

impl Resolver {
    pub(crate) fn new(
        arena: &mut Arena,
        limits: &DnsLimits,
        config: DnsConfig,
        random: &mut Random,
    ) -> Result<Self, Error> {
        let exchanges = limits.queries.checked_mul(2).ok_or(Error::Memory)?;
        Ok(Self {
            config,
            counters: DnsCounters::default(),
            queries: Slots::new(arena, limits.queries)?,
            exchanges: arena.table(exchanges, |_| None)?,
            servers: Servers::new(arena, limits.servers)?,
            search: arena.table(limits.search, |_| None)?,
            hosts: Hosts::new(arena, limits.hosts)?,
            cache: Cache::new(arena, limits.cache, random)?,
            records: arena.table(limits.answer, |_| 0)?,
            records_len: 0,
            last_name: NameBuf::ROOT,
            answers: 0,
            over: 0,
        })
    }

    /// Replaces the servers that a source named.
    pub(crate) fn set_servers(
        &mut self,
        source: Source,
        servers: impl Iterator<Item = ServerAddress> + Clone,
    ) {
        self.servers.set(source, servers);
        // Bits stand for places in the table, which are others now.
        for exchange in self.exchanges.iter_mut().flatten() {
            exchange.forget_tried();
        }
    }

    /// Forgets the servers and search domains that were named on an interface.
    pub(crate) fn forget_netif(&mut self, gone: u8) {
        let its = |source: Source| matches!(source, Source::Interface { netif, .. } if netif == gone);
        self.servers.retain(|source| !its(source));
        for place in &mut self.search {
            if place.as_ref().is_some_and(|(source, _)| its(*source)) {
                *place = None;
            }
        }
        for exchange in self.exchanges.iter_mut().flatten() {
            exchange.forget_tried();
        }
    }

    /// The servers, in the order in which they are asked.
    pub(crate) fn servers(&self) -> impl Iterator<Item = ServerAddress> {
        self.servers.iter().map(|server| server.address)
    }

    /// Forgets the search domains that a source named.
    pub(crate) fn forget_search(&mut self, source: Source) {
        for place in &mut self.search {
            if place.as_ref().is_some_and(|(owner, _)| *owner == source) {
                *place = None;
            }
        }
    }

    /// Adds a search domain behind those of its source; it is left out when there is no room.
    pub(crate) fn add_search(&mut self, source: Source, domain: Name<'_>) {
        if let Some(place) = self.search.iter_mut().find(|place| place.is_none()) {
            *place = Some((source, NameBuf::new(domain)));
        }
    }

    /// The search domain at a place, of those that there are, in the order of their sources.
    fn search_domain(&self, number: usize) -> Option<Name<'_>> {
        let mut domains = self.search.iter().flatten();
        let owners = domains.clone().filter(|(source, _)| *source == Source::Owner);
        let others = domains.clone().filter(|(source, _)| *source != Source::Owner);
        debug_assert!(number < 256 || domains.next().is_none());
        owners.chain(others).nth(number).map(|(_, name)| name.name())
    }

    /// Forgets all answers, as after a change of networks.
    pub(crate) fn forget_answers(&mut self) {
        self.cache.clear();
    }

    /// When [`advance`](Self::advance) must be called at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let exchanges = self.exchanges.iter().flatten().filter_map(Exchange::deadline);
        let queries = self.queries.iter().filter_map(|(_, query)| query.deadline());
        exchanges.chain(queries).min()
    }

    /// The data of the records that the last query reported found.
    pub(crate) fn records(&self) -> Records<'_> {
        Records::new(&self.records[..self.records_len])
    }
}

#[cfg(test)]
mod tests;
