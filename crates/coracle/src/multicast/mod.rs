//! Multicast group membership: which groups and sources interfaces and control blocks listen to, and what routers are
//! told of it by IGMP [RFC 3376] and MLD [RFC 3810].
//!
//! The two protocols are one machine that differs in addresses, times and formats only, so it is written once. It
//! knows no packets: joins, queries and the time go in; records of what is to be reported come out ([`report`]). The
//! glue to the engine (`igmp.rs`, `mld.rs`, `engine.rs`) reads and writes the messages.
//!
//! A version of the protocol is named by its number in IGMP: version 1 of MLD is [`Version::Second`] here, and
//! version 2 is [`Version::Third`].

mod engine;
mod filter;
mod igmp;
#[cfg(feature = "ipv6")]
mod mld;
mod query;
mod report;
#[cfg(test)]
mod tests;

use coracle_buf::{Arena, Error};

use crate::address::{Address, Family};
use crate::random::HashKey;
use crate::table::{Index, NONE, Slots};
use crate::time::Instant;

pub use filter::FilterMode;
pub(crate) use filter::{Change, Member};

/// How often a message is sent that may be lost, unless a querier says otherwise [RFC 3376 §8.1].
const ROBUSTNESS: u8 = 2;

/// How often queriers ask, in seconds, unless one says otherwise [RFC 3376 §8.2].
const QUERY_INTERVAL_S: u16 = 125;

/// Everybody on the link, who is a member without joining and of whom nothing is ever reported [RFC 1112 §4].
const ALL_SYSTEMS: Address = Address::v4(coracle_wire::igmp::ALL_SYSTEMS);

/// The versions of the protocol that a link's queriers may speak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Version {
    /// `IGMPv1`, which knows no leaving.
    First,
    /// `IGMPv2` and `MLDv1`: a report for each group, which others may spare us.
    Second,
    /// `IGMPv3` and `MLDv2`: sources too, and all groups in one report.
    Third,
}

/// A source of a group, in the state of an interface or in the filter of a control block.
struct Source {
    address: Address,
    next: u32,
    /// It is in the interface's filter. In a control block's this means nothing.
    listed: bool,
    /// It is to be in the filter that is being made.
    wanted: bool,
    /// A querier asked for it.
    asked: bool,
    /// In how many more reports its coming or going is said.
    repeats: u8,
}

/// What a querier wants to know of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Nothing,
    /// Some sources, which are marked.
    Sources,
    All,
}

/// A group on an interface.
struct Group {
    netif: u32,
    address: Address,
    /// How often it was joined for the whole interface.
    users: u32,
    /// How often the stack itself listens to it.
    own: u32,
    /// The first of the control blocks' filters.
    members: u32,
    /// The interface's filter: the sum of all of them [RFC 3376 §3.2].
    mode: FilterMode,
    sources: u32,
    /// In how many more reports the whole filter is said, as its mode changed.
    repeats: u8,
    asked: Asked,
    /// When to answer, if anything is asked.
    answer_at: Instant,
    /// We were the last to report it, so it is for us to say that we leave [RFC 2236 §6].
    reporter: bool,
}

/// What is known of the queriers on an interface, for one of the protocols, and what is due to them.
#[derive(Clone, Copy)]
struct Link {
    /// Packets can leave, and there is somebody to report to.
    reports: bool,
    robustness: u8,
    interval_s: u16,
    /// Until when queriers of the first and the second version count as present.
    first_until: Instant,
    second_until: Instant,
    /// When a general query is to be answered, if ever.
    general_at: Instant,
    /// When changes are reported again, if ever.
    changes_at: Instant,
    /// Something was reported from no address, which routers do not believe.
    #[cfg(feature = "ipv6")]
    nameless: bool,
    /// Answers closer to the last one would make a flood of a flood of queries.
    next_answer: Instant,
}

impl Link {
    const NEW: Self = Self {
        reports: false,
        robustness: ROBUSTNESS,
        interval_s: QUERY_INTERVAL_S,
        first_until: Instant::ZERO,
        second_until: Instant::ZERO,
        general_at: Instant::MAX,
        changes_at: Instant::MAX,
        #[cfg(feature = "ipv6")]
        nameless: false,
        next_answer: Instant::ZERO,
    };

    /// The version that its queriers understand [RFC 3376 §7.2.1] [3810-6].
    fn version(&self, now: Instant) -> Version {
        if now < self.first_until {
            Version::First
        } else if now < self.second_until {
            Version::Second
        } else {
            Version::Third
        }
    }
}

/// One protocol on one interface.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) netif: u32,
    pub(crate) family: Family,
}

/// How many protocols there are.
const FAMILIES: usize = if cfg!(feature = "ipv6") { 2 } else { 1 };

impl Place {
    pub(crate) const fn of(netif: u32, address: Address) -> Self {
        Self { netif, family: address.family() }
    }

    const fn at(position: usize) -> Self {
        #[cfg(feature = "ipv6")]
        let family = if position % FAMILIES == 1 { Family::V6 } else { Family::V4 };
        #[cfg(not(feature = "ipv6"))]
        let family = Family::V4;
        Self { netif: (position / FAMILIES) as u32, family }
    }

    const fn position(self) -> usize {
        let which = match self.family {
            Family::V4 => 0,
            #[cfg(feature = "ipv6")]
            Family::V6 => 1,
        };
        self.netif as usize * FAMILIES + which
    }
}

/// How much there is room for.
pub(crate) struct Room {
    pub(crate) netifs: usize,
    /// Groups that applications listen to, and those that the stack itself does.
    pub(crate) groups: usize,
    pub(crate) own: usize,
    /// Filters of control blocks.
    pub(crate) memberships: usize,
    /// Sources in all filters.
    pub(crate) sources: usize,
}

/// Memberships of all interfaces and control blocks.
pub(crate) struct Multicast {
    groups: Slots<Group>,
    index: Index,
    members: Slots<filter::Membership>,
    member_index: Index,
    sources: Slots<Source>,
    links: coracle_buf::Table<Link>,
    /// How many groups applications may listen to, and do.
    limit: usize,
    joined: usize,
    /// No deadline is before this.
    wake: Instant,
}

impl Multicast {
    pub(crate) fn new(arena: &mut Arena, room: &Room) -> Result<Self, Error> {
        let groups = room.groups.checked_add(room.own).ok_or(Error::Memory)?;
        Ok(Self {
            groups: Slots::new(arena, groups)?,
            index: Index::new(arena, groups)?,
            members: Slots::new(arena, room.memberships)?,
            member_index: Index::new(arena, room.memberships)?,
            sources: Slots::new(arena, room.sources)?,
            links: arena.table(room.netifs * FAMILIES, |_| Link::NEW)?,
            limit: room.groups,
            joined: 0,
            wake: Instant::MAX,
        })
    }

    fn hash(key: &HashKey, netif: u32, address: Address) -> u32 {
        key.hash(address.word(key), u64::from(netif))
    }

    fn find(&self, key: &HashKey, netif: u32, address: Address) -> Option<u32> {
        let mut at = self.index.first(Self::hash(key, netif, address));
        while at != NONE {
            let group = self.groups.at(at as usize)?;
            if group.address == address && group.netif == netif {
                return Some(at);
            }
            at = self.index.next(at);
        }
        None
    }

    /// Whether an interface takes packets to a group; whose they are is seen later.
    pub(crate) fn contains(&self, key: &HashKey, netif: u32, address: Address) -> bool {
        if address == ALL_SYSTEMS {
            return true;
        }
        let group = self.find(key, netif, address).and_then(|at| self.groups.at(at as usize));
        group.is_some_and(Group::is_listened_to)
    }

    /// The groups that an interface listens to, those of the stack itself included.
    pub(crate) fn of_netif(&self, netif: u32) -> impl Iterator<Item = Address> {
        let here = move |group: &&Group| group.netif == netif && group.is_listened_to();
        self.groups.iter().map(|(_, group)| group).filter(here).map(|group| group.address)
    }

    /// The entry of a group, made if need be; groups that were left and are only reported as such make room.
    /// [`Error::Memory`] when there is none, or an application would get more than the limit.
    fn entry(
        &mut self,
        key: &HashKey,
        netif: u32,
        address: Address,
        application: bool,
    ) -> Result<u32, Error> {
        let found = self.find(key, netif, address);
        let counted = found.and_then(|at| self.groups.at(at as usize)).is_some_and(Group::is_counted);
        if application && !counted && self.joined == self.limit {
            return Err(Error::Memory);
        }
        if let Some(at) = found {
            return Ok(at);
        }
        if self.groups.used() == self.groups.capacity() {
            self.forget_one_left(key);
        }
        let slot = self.groups.insert(Group {
            netif,
            address,
            users: 0,
            own: 0,
            members: NONE,
            mode: FilterMode::Include,
            sources: NONE,
            repeats: 0,
            asked: Asked::Nothing,
            answer_at: Instant::MAX,
            reporter: false,
        })?;
        self.index.insert(Self::hash(key, netif, address), slot.index);
        Ok(slot.index)
    }

    fn forget_one_left(&mut self, key: &HashKey) {
        let left = self.groups.iter().find(|(_, group)| !group.is_listened_to()).map(|(key, _)| key.index);
        if let Some(at) = left {
            self.remove(key, at);
        }
    }

    /// Joins a group for a whole interface. [`Error::Value`] for an address that is no group's, [`Error::Memory`]
    /// when the table is full.
    pub(crate) fn join(
        &mut self,
        key: &HashKey,
        netif: u32,
        address: Address,
        now: Instant,
    ) -> Result<(), Error> {
        if !address.is_multicast() {
            return Err(Error::Value);
        }
        let at = self.entry(key, netif, address, true)?;
        self.change_group(key, at, now, |group| group.users = group.users.saturating_add(1));
        Ok(())
    }

    /// [`Error::Value`] for a group that was not joined.
    pub(crate) fn leave(
        &mut self,
        key: &HashKey,
        netif: u32,
        address: Address,
        now: Instant,
    ) -> Result<(), Error> {
        let at = self.find(key, netif, address).ok_or(Error::Value)?;
        let users = self.groups.at(at as usize).map_or(0, |group| group.users);
        let users = users.checked_sub(1).ok_or(Error::Value)?;
        self.change_group(key, at, now, |group| group.users = users);
        Ok(())
    }

    /// Listens to a group on behalf of the stack itself; [`Error::Memory`] when the table is full.
    #[cfg(feature = "ipv6")]
    pub(crate) fn hold(
        &mut self,
        key: &HashKey,
        netif: u32,
        address: Address,
        now: Instant,
    ) -> Result<(), Error> {
        let at = self.entry(key, netif, address, false)?;
        self.change_group(key, at, now, |group| group.own = group.own.saturating_add(1));
        Ok(())
    }

    /// The stack itself listens no more, once for each time that it began to.
    #[cfg(feature = "ipv6")]
    pub(crate) fn release(&mut self, key: &HashKey, netif: u32, address: Address, now: Instant) {
        if let Some(at) = self.find(key, netif, address) {
            self.change_group(key, at, now, |group| group.own = group.own.saturating_sub(1));
        }
    }

    /// Changes who listens to a group, and sees what follows from it.
    fn change_group(&mut self, key: &HashKey, at: u32, now: Instant, change: impl FnOnce(&mut Group)) {
        let Some(group) = self.groups.at_mut(at as usize) else { return };
        let before = group.is_counted();
        change(group);
        let after = group.is_counted();
        match (before, after) {
            (false, true) => self.joined += 1,
            (true, false) => self.joined -= 1,
            _ => {}
        }
        self.merge(at, now);
        self.tidy(key, at);
    }

    /// Ends all memberships of an interface; nobody is there any more to be told.
    pub(crate) fn forget_netif(&mut self, key: &HashKey, netif: u32) {
        for at in 0..self.members.capacity() {
            if self.members.at(at).is_some_and(|member| member.netif == netif) {
                self.remove_member(key, at as u32);
            }
        }
        for at in 0..self.groups.capacity() {
            if let Some(group) = self.groups.at(at).filter(|group| group.netif == netif) {
                self.joined -= usize::from(group.is_counted());
                self.remove(key, at as u32);
            }
        }
        for family in 0..FAMILIES {
            self.links[netif as usize * FAMILIES + family] = Link::NEW;
        }
    }

    /// Drops sources that nothing is to be said of any more, and the group if it was left and nothing is to be said of it.
    fn tidy(&mut self, key: &HashKey, at: u32) {
        self.tidy_sources(at);
        let Some(group) = self.groups.at(at as usize) else { return };
        if !group.is_listened_to() && group.repeats == 0 && group.sources == NONE {
            self.remove(key, at);
        }
    }

    fn remove(&mut self, key: &HashKey, at: u32) {
        if let Some(slot) = self.groups.key_at(at as usize)
            && let Some(group) = self.groups.remove(slot)
        {
            self.index.remove(Self::hash(key, group.netif, group.address), at);
            self.free_sources(group.sources);
        }
    }

    /// Gives a list of sources back.
    fn free_sources(&mut self, mut at: u32) {
        while let Some((name, source)) = self.sources.entry_at(at as usize) {
            at = source.next;
            self.sources.remove(name);
        }
    }

    /// The sources of a list.
    fn list(&self, mut at: u32) -> impl Iterator<Item = &Source> {
        core::iter::from_fn(move || {
            let source = self.sources.at(at as usize)?;
            at = source.next;
            Some(source)
        })
    }

    /// Whether reports of an interface had no address to come from.
    #[cfg(feature = "ipv6")]
    fn is_nameless(&self, place: Place) -> bool {
        self.links[place.position()].nameless
    }

    #[cfg(feature = "ipv6")]
    fn set_nameless(&mut self, place: Place, nameless: bool) {
        self.links[place.position()].nameless = nameless;
    }

    /// Something is due then.
    fn wake_at(&mut self, at: Instant) {
        self.wake = self.wake.min(at);
    }

    /// When something is due, if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.wake != Instant::MAX).then_some(self.wake)
    }

    /// Finds the earliest deadline, after some were met.
    pub(crate) fn find_deadline(&mut self) {
        let links = self.links.iter().map(|link| link.general_at.min(link.changes_at));
        let groups = self.groups.iter().map(|(_, group)| group.answer_at);
        self.wake = links.chain(groups).min().unwrap_or(Instant::MAX);
    }
}

impl Group {
    /// Whether anybody listens to it, on whose behalf ever.
    fn is_listened_to(&self) -> bool {
        self.own > 0 || self.is_counted()
    }

    /// Whether applications do.
    fn is_counted(&self) -> bool {
        self.users > 0 || self.members != NONE
    }

    /// Whether the whole interface does, so that control blocks hear it that did not ask for it.
    fn is_open(&self) -> bool {
        self.users > 0 || self.own > 0
    }
}

/// Whether routers are told about a group: never about all systems or all nodes of the link, nor about scopes that do not
/// leave the interface [RFC 3376 §5] [3810-2].
fn is_reported(address: Address) -> bool {
    #[cfg(feature = "ipv6")]
    if !address.is_v4() {
        let all_nodes = coracle_wire::ipv6::group::ALL_NODES.octets();
        return address.bytes()[1] & 0x0f > 1 && address.wire_v6() != all_nodes;
    }
    address != ALL_SYSTEMS
}
