//! Routes: one table for what follows from the interfaces' addresses and what the owner sets, longest prefix first.

use core::net::Ipv4Addr;

use coracle_buf::{Arena, Error, Table};

use crate::netif::NetifHandle;

/// A route that the owner of the stack sets.
///
/// ```no_run
/// # fn example(stack: &mut coracle::Stack<()>, netif: coracle::NetifHandle) -> Result<(), coracle::Error> {
/// use core::net::Ipv4Addr;
/// let gateway = Some(Ipv4Addr::new(192, 0, 2, 1));
/// stack.route_add(coracle::Route { prefix: Ipv4Addr::new(198, 51, 100, 0), prefix_len: 24, netif, gateway, metric: 0 })
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The network; bits behind the prefix must be zero.
    pub prefix: Ipv4Addr,
    /// The length of the prefix in bits, 0 to 32.
    pub prefix_len: u8,
    /// The interface that leads there.
    pub netif: NetifHandle,
    /// The router to hand packets to; none: the network is on the link.
    pub gateway: Option<Ipv4Addr>,
    /// Among equal prefixes the smaller metric wins.
    pub metric: u16,
}

/// An entry as packets are matched against it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    prefix: u32,
    prefix_len: u8,
    /// Follows from an interface's settings.
    derived: bool,
    metric: u16,
    pub(crate) netif: NetifHandle,
    /// Unspecified: on the link.
    pub(crate) gateway: Ipv4Addr,
}

impl Entry {
    pub(crate) fn derived(
        prefix: Ipv4Addr,
        prefix_len: u8,
        netif: NetifHandle,
        gateway: Ipv4Addr,
        metric: u16,
    ) -> Self {
        let prefix = prefix.to_bits() & mask(prefix_len);
        Self { prefix, prefix_len, derived: true, metric, netif, gateway }
    }
}

const fn mask(prefix_len: u8) -> u32 {
    if prefix_len == 0 { 0 } else { u32::MAX << (32 - prefix_len) }
}

/// The routing table, sorted by length of prefix (longest first), prefix and metric.
pub(crate) struct Routes {
    entries: Table<Option<Entry>>,
    len: usize,
    statics: usize,
    statics_limit: usize,
    /// For each length of prefix, the end of its run of entries. The run of a length begins where the run of the
    /// next longer one ends.
    run_ends: [u16; 33],
    /// The lengths that occur: bit 0 is 32, so that the lowest bit is the longest prefix.
    lengths: u64,
}

impl Routes {
    /// A table for `statics` routes of the owner's and up to two of each interface's own.
    pub(crate) fn new(arena: &mut Arena, statics: usize, netifs: usize) -> Result<Self, Error> {
        let capacity = netifs.checked_mul(2).and_then(|own| own.checked_add(statics)).ok_or(Error::Memory)?;
        if capacity > u16::MAX as usize {
            return Err(Error::Memory);
        }
        Ok(Self {
            entries: arena.table(capacity, |_| None)?,
            len: 0,
            statics: 0,
            statics_limit: statics,
            run_ends: [0; 33],
            lengths: 0,
        })
    }

    /// [`Error::Argument`] for bits behind the prefix, [`Error::InUse`] for a route that is there, [`Error::Memory`]
    /// when the table is full.
    pub(crate) fn add(&mut self, route: &Route) -> Result<(), Error> {
        if route.prefix_len > 32 || route.prefix.to_bits() & !mask(route.prefix_len) != 0 {
            return Err(Error::Argument);
        }
        if self.position(route).is_some() {
            return Err(Error::InUse);
        }
        if self.statics == self.statics_limit {
            return Err(Error::Memory);
        }
        self.statics += 1;
        self.push(Entry {
            prefix: route.prefix.to_bits(),
            prefix_len: route.prefix_len,
            derived: false,
            metric: route.metric,
            netif: route.netif,
            gateway: route.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED),
        });
        self.sort();
        Ok(())
    }

    /// [`Error::Value`] for a route that is not there.
    pub(crate) fn remove(&mut self, route: &Route) -> Result<(), Error> {
        let position = self.position(route).ok_or(Error::Value)?;
        self.statics -= 1;
        self.entries[position] = None;
        self.sort();
        Ok(())
    }

    /// Replaces what follows from the interfaces' settings. Static routes of interfaces that are no more go too.
    pub(crate) fn rebuild(
        &mut self,
        derived: impl Iterator<Item = Entry>,
        exists: impl Fn(NetifHandle) -> bool,
    ) {
        for entry in &mut self.entries[..self.len] {
            if entry.is_some_and(|entry| entry.derived || !exists(entry.netif)) {
                *entry = None;
            }
        }
        self.sort();
        self.statics = self.len;
        derived.for_each(|entry| self.push(entry));
        self.sort();
    }

    /// The routes that the owner set.
    pub(crate) fn statics(&self) -> impl Iterator<Item = Route> {
        self.entries[..self.len].iter().flatten().filter(|entry| !entry.derived).map(|entry| Route {
            prefix: Ipv4Addr::from_bits(entry.prefix),
            prefix_len: entry.prefix_len,
            netif: entry.netif,
            gateway: (!entry.gateway.is_unspecified()).then_some(entry.gateway),
            metric: entry.metric,
        })
    }

    /// The best entry for a destination whose interface `usable` accepts: the longest prefix, then the least metric.
    pub(crate) fn find(&self, destination: Ipv4Addr, usable: impl Fn(NetifHandle) -> bool) -> Option<&Entry> {
        let mut lengths = self.lengths;
        while lengths != 0 {
            let length = 32 - lengths.trailing_zeros() as u8;
            lengths &= lengths - 1;
            let start = self.run_ends.get(length as usize + 1).map_or(0, |&end| end as usize);
            let run = &self.entries[start..self.run_ends[length as usize] as usize];
            let prefix = destination.to_bits() & mask(length);
            let first = run.partition_point(|entry| entry.is_some_and(|entry| entry.prefix < prefix));
            let same = run[first..].iter().flatten().take_while(|entry| entry.prefix == prefix);
            if let Some(entry) = same.into_iter().find(|entry| usable(entry.netif)) {
                return Some(entry);
            }
        }
        None
    }

    fn position(&self, route: &Route) -> Option<usize> {
        self.entries[..self.len].iter().position(|entry| {
            entry.is_some_and(|entry| {
                !entry.derived
                    && entry.prefix == route.prefix.to_bits()
                    && entry.prefix_len == route.prefix_len
                    && entry.netif == route.netif
            })
        })
    }

    fn push(&mut self, entry: Entry) {
        if let Some(slot) = self.entries.get_mut(self.len) {
            *slot = Some(entry);
            self.len += 1;
        }
    }

    /// Restores the order: holes last.
    fn sort(&mut self) {
        let order = |entry: &Option<Entry>| match entry {
            Some(entry) => (32 - entry.prefix_len, entry.prefix, entry.metric, entry.netif.index()),
            None => (u8::MAX, 0, 0, 0),
        };
        // By insertion: routes change rarely, and the general sort would be the largest function of a small image.
        for unsorted in 1..self.len {
            let mut at = unsorted;
            while at > 0 && order(&self.entries[at - 1]) > order(&self.entries[at]) {
                self.entries.swap(at - 1, at);
                at -= 1;
            }
        }
        self.len = self.entries.partition_point(Option::is_some);
        self.lengths = 0;
        for length in (0..=32).rev() {
            let longer = |entry: &Option<Entry>| entry.is_some_and(|entry| entry.prefix_len >= length);
            self.run_ends[length as usize] = self.entries[..self.len].partition_point(longer) as u16;
        }
        for entry in self.entries[..self.len].iter().flatten() {
            self.lengths |= 1 << (32 - entry.prefix_len);
        }
    }
}
