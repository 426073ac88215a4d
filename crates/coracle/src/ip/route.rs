//! Routes of both families: what follows from the interfaces' addresses and what the owner sets, longest prefix first.

use core::net::IpAddr;

use coracle_buf::{Arena, Error, Table};

use crate::address::{Address, Bits};
use crate::netif::NetifHandle;

/// A route that the owner of the stack sets.
///
/// ```no_run
/// # fn example(stack: &mut coracle::Stack<()>, netif: coracle::NetifHandle) -> Result<(), coracle::Error> {
/// use core::net::Ipv4Addr;
/// let prefix = Ipv4Addr::new(198, 51, 100, 0).into();
/// let gateway = Some(Ipv4Addr::new(192, 0, 2, 1).into());
/// stack.route_add(coracle::Route { prefix, prefix_len: 24, netif, gateway, metric: 0 })
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The network; bits behind the prefix must be zero.
    pub prefix: IpAddr,
    /// The length of the prefix in bits, 0 to 32 of IPv4, 0 to 128 of IPv6.
    pub prefix_len: u8,
    /// The interface that leads there.
    pub netif: NetifHandle,
    /// The router to hand packets to; none: the network is on the link.
    pub gateway: Option<IpAddr>,
    /// Among equal prefixes the smaller metric wins.
    pub metric: u16,
}

/// An entry as packets are matched against it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    prefix: Address,
    /// Of the address as the engine keeps it.
    prefix_len: u8,
    /// Follows from an interface's settings, or was learnt.
    derived: bool,
    metric: u16,
    pub(crate) netif: NetifHandle,
    /// Unspecified: on the link.
    pub(crate) gateway: Address,
}

impl Entry {
    /// An entry that follows from an interface's settings; `prefix_len` counts the bits of the family's addresses.
    pub(crate) fn derived(
        prefix: Address,
        prefix_len: u8,
        netif: NetifHandle,
        gateway: Address,
        metric: u16,
    ) -> Self {
        let prefix_len = prefix_len.saturating_add(prefix.family_prefix());
        Self { prefix: prefix.masked(prefix_len), prefix_len, derived: true, metric, netif, gateway }
    }

    /// [`Error::Argument`] for bits behind the prefix or a prefix longer than an address, [`Error::Value`] for a
    /// family that the stack does not speak, or a gateway of the other one.
    fn of_owner(route: &Route) -> Result<Self, Error> {
        let zone = Some(route.netif.slot());
        let prefix = Address::from_ip(route.prefix, zone)?;
        let prefix_len = route.prefix_len.saturating_add(prefix.family_prefix());
        if u32::from(prefix_len) > Bits::BITS || prefix.masked(prefix_len) != prefix {
            return Err(Error::Argument);
        }
        let gateway = match route.gateway {
            Some(gateway) => Address::from_ip(gateway, zone)?,
            None => Address::ANY,
        };
        if gateway != Address::ANY && gateway.is_v4() != prefix.is_v4() {
            return Err(Error::Value);
        }
        Ok(Self { prefix, prefix_len, derived: false, metric: route.metric, netif: route.netif, gateway })
    }

    fn route(&self) -> Route {
        Route {
            prefix: self.prefix.to_ip(),
            prefix_len: self.prefix_len - self.prefix.family_prefix(),
            netif: self.netif,
            gateway: (!self.gateway.is_unspecified()).then(|| self.gateway.to_ip()),
            metric: self.metric,
        }
    }
}

/// The routing table, sorted by length of prefix (longest first), prefix and metric.
pub(crate) struct Routes {
    entries: Table<Option<Entry>>,
    len: usize,
    statics: usize,
    statics_limit: usize,
}

impl Routes {
    /// A table for `statics` routes of the owner's and `derived` that follow from settings.
    pub(crate) fn new(arena: &mut Arena, statics: usize, derived: usize) -> Result<Self, Error> {
        let capacity = derived.checked_add(statics).ok_or(Error::Memory)?;
        Ok(Self { entries: arena.table(capacity, |_| None)?, len: 0, statics: 0, statics_limit: statics })
    }

    /// [`Error::Argument`] for bits behind the prefix, [`Error::Value`] for families that do not fit,
    /// [`Error::InUse`] for a route that is there, [`Error::Memory`] when the table is full.
    pub(crate) fn add(&mut self, route: &Route) -> Result<(), Error> {
        let entry = Entry::of_owner(route)?;
        if self.position(&entry).is_some() {
            return Err(Error::InUse);
        }
        if self.statics == self.statics_limit {
            return Err(Error::Memory);
        }
        self.statics += 1;
        self.push(entry);
        self.sort();
        Ok(())
    }

    /// [`Error::Value`] for a route that is not there.
    pub(crate) fn remove(&mut self, route: &Route) -> Result<(), Error> {
        let position = Entry::of_owner(route).ok().and_then(|entry| self.position(&entry));
        self.entries[position.ok_or(Error::Value)?] = None;
        self.statics -= 1;
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
        self.entries[..self.len].iter().flatten().filter(|entry| !entry.derived).map(Entry::route)
    }

    /// How many routes there are, those that follow from settings among them.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The route in a place.
    pub(crate) fn at(&self, place: usize) -> Option<Route> {
        self.entries[..self.len].get(place)?.as_ref().map(Entry::route)
    }

    /// The default routers of IPv6 on an interface, the best first.
    #[cfg(feature = "ipv6")]
    pub(crate) fn defaults_v6(&self, netif: NetifHandle) -> impl Iterator<Item = Address> {
        let entries = self.entries[..self.len].iter().flatten();
        let is_default = move |entry: &&Entry| entry.prefix_len == 0 && entry.netif == netif;
        entries.filter(is_default).map(|entry| entry.gateway)
    }

    /// The best entry for a destination whose interface `usable` accepts: the longest prefix, then the least metric.
    pub(crate) fn find(&self, destination: Address, usable: impl Fn(NetifHandle) -> bool) -> Option<&Entry> {
        let mut left = &self.entries[..self.len];
        // A run of entries for each length of prefix; those shorter than what tells the families apart are IPv6's.
        while let Some(length) = left.first().and_then(|entry| entry.map(|entry| entry.prefix_len))
            && length >= destination.family_prefix()
        {
            let end = left.partition_point(|entry| entry.is_some_and(|entry| entry.prefix_len == length));
            let (run, shorter) = left.split_at(end);
            left = shorter;
            let prefix = destination.masked(length);
            let first = run.partition_point(|entry| entry.is_some_and(|entry| entry.prefix < prefix));
            let same = run[first..].iter().flatten().take_while(|entry| entry.prefix == prefix);
            if let Some(entry) = same.into_iter().find(|entry| usable(entry.netif)) {
                return Some(entry);
            }
        }
        None
    }

    fn position(&self, wanted: &Entry) -> Option<usize> {
        self.entries[..self.len].iter().position(|entry| {
            entry.is_some_and(|entry| {
                !entry.derived
                    && entry.prefix == wanted.prefix
                    && entry.prefix_len == wanted.prefix_len
                    && entry.netif == wanted.netif
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
            Some(entry) => (u8::MAX - entry.prefix_len, entry.prefix, entry.metric, entry.netif.index()),
            None => (u8::MAX, Address::LAST, 0, 0),
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
    }
}
