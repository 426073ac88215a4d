//! Source filters: those of control blocks [RFC 3678], and the interface's, which is the sum of them [RFC 3376 §3.2].

use coracle_buf::Error;

use super::{Multicast, Source, Version, is_reported};
use crate::address::Address;
use crate::random::HashKey;
use crate::table::{NONE, Slots};
use crate::time::Instant;

/// What the sources of a filter are [RFC 3678 §3].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FilterMode {
    /// Those that are listened to, and no others. Without any, nothing is.
    Include,
    /// Those that are not listened to; all others are. Without any, everything is.
    Exclude,
}

/// Whose filter it is, by the slot of the control block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Member {
    Udp(u32),
    Raw(u32),
}

/// What a control block wants changed of its filter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    Join,
    Leave,
    JoinSource(Address),
    LeaveSource(Address),
    Block(Address),
    Unblock(Address),
    Set(FilterMode, &'a [Address]),
}

/// The filter of a control block for a group on an interface.
pub(super) struct Membership {
    owner: Member,
    pub(super) netif: u32,
    group: u32,
    address: Address,
    mode: FilterMode,
    sources: u32,
    /// The next filter for the same group.
    next: u32,
}

/// Puts a source in front of a list.
fn push(sources: &mut Slots<Source>, list: u32, address: Address) -> Result<u32, Error> {
    let source = Source { address, next: list, listed: false, wanted: false, asked: false, repeats: 0 };
    sources.insert(source).map(|key| key.index)
}

impl Multicast {
    fn member_hash(key: &HashKey, owner: Member, netif: u32, address: Address) -> u32 {
        let owner = match owner {
            Member::Udp(pcb) => u64::from(pcb) << 1,
            Member::Raw(pcb) => u64::from(pcb) << 1 | 1,
        };
        key.hash(address.word(key), owner << 16 | u64::from(netif))
    }

    fn find_member(&self, key: &HashKey, owner: Member, netif: u32, address: Address) -> Option<u32> {
        let mut at = self.member_index.first(Self::member_hash(key, owner, netif, address));
        while at != NONE {
            let member = self.members.at(at as usize)?;
            if member.owner == owner && member.netif == netif && member.address == address {
                return Some(at);
            }
            at = self.member_index.next(at);
        }
        None
    }

    /// Whether a control block hears a source that sends to a group: its own filter decides; without one, it hears what
    /// the whole interface has joined, as with lwIP.
    pub(crate) fn delivers(
        &self,
        key: &HashKey,
        owner: Member,
        netif: u32,
        address: Address,
        source: Address,
    ) -> bool {
        // Whoever got here passed `contains`, and that was for the interface then.
        if self.members.used() == 0 {
            return true;
        }
        if let Some(member) =
            self.find_member(key, owner, netif, address).and_then(|at| self.members.at(at as usize))
        {
            return self.has(member.sources, source) == (member.mode == FilterMode::Include);
        }
        let group = self.find(key, netif, address).and_then(|at| self.groups.at(at as usize));
        address == super::ALL_SYSTEMS || group.is_some_and(super::Group::is_open)
    }

    fn has(&self, list: u32, address: Address) -> bool {
        self.list(list).any(|source| source.address == address)
    }

    /// The filter of a control block.
    pub(crate) fn filter_of(
        &self,
        key: &HashKey,
        owner: Member,
        netif: u32,
        address: Address,
    ) -> Option<(FilterMode, impl Iterator<Item = Address>)> {
        let member = self.members.at(self.find_member(key, owner, netif, address)? as usize)?;
        Some((member.mode, self.list(member.sources).map(|source| source.address)))
    }

    /// Changes the filter of a control block. See `Udp::join` and those after it for the errors; nothing is changed then.
    pub(crate) fn change_filter(
        &mut self,
        key: &HashKey,
        (owner, netif, address): (Member, u32, Address),
        change: Change<'_>,
        now: Instant,
    ) -> Result<(), Error> {
        if !address.is_multicast() {
            return Err(Error::Value);
        }
        let found = self.find_member(key, owner, netif, address);
        let there =
            found.and_then(|at| self.members.at(at as usize)).map(|member| (member.mode, member.sources));
        check(address, change)?;
        let listed = |source| there.is_some_and(|(_, list)| self.has(list, source));
        match (change, there.map(|(mode, _)| mode)) {
            (Change::Join, Some(_)) => return Err(Error::InUse),
            (Change::Join, None) => {
                self.add_member(key, owner, netif, address, FilterMode::Exclude)?;
            }
            (Change::Set(FilterMode::Include, []), None) => return Ok(()),
            (Change::Leave | Change::Set(FilterMode::Include, []), Some(_)) => {
                self.drop_member(key, found, now);
                return Ok(());
            }
            (Change::Set(mode, sources), _) => {
                let list = self.make_list(sources)?;
                let member = match found {
                    Some(at) => Ok(at),
                    None => self.add_member(key, owner, netif, address, mode),
                };
                self.put_list(member, mode, list)?;
            }
            (Change::JoinSource(source), None) => {
                let at = self.add_member(key, owner, netif, address, FilterMode::Include)?;
                if let Err(error) = self.add_source(at, source) {
                    self.drop_member(key, Some(at), now);
                    return Err(error);
                }
            }
            (Change::JoinSource(source), Some(FilterMode::Include))
            | (Change::Block(source), Some(FilterMode::Exclude)) => {
                if listed(source) {
                    return Err(Error::InUse);
                }
                self.add_source(found.ok_or(Error::Value)?, source)?;
            }
            (Change::LeaveSource(source), Some(FilterMode::Include))
            | (Change::Unblock(source), Some(FilterMode::Exclude)) => {
                if !listed(source) {
                    return Err(Error::Value);
                }
                self.drop_source(key, found.ok_or(Error::Value)?, source, now);
            }
            // The filter is of the other kind [RFC 3678 §4.1.3].
            (_, Some(_)) => return Err(Error::Argument),
            (_, None) => return Err(Error::Value),
        }
        self.member_changed(key, netif, address, now);
        Ok(())
    }

    fn member_changed(&mut self, key: &HashKey, netif: u32, address: Address, now: Instant) {
        if let Some(at) = self.find(key, netif, address) {
            self.merge(at, now);
            self.tidy(key, at);
        }
    }

    /// Gives a filter, if there is one, another list of sources; else the list back.
    fn put_list(&mut self, member: Result<u32, Error>, mode: FilterMode, list: u32) -> Result<(), Error> {
        let entry = member.and_then(|at| self.members.at_mut(at as usize).ok_or(Error::Memory));
        let entry = entry.map(|entry| {
            entry.mode = mode;
            core::mem::replace(&mut entry.sources, list)
        });
        self.free_sources(*entry.as_ref().unwrap_or(&list));
        entry.map(drop)
    }

    fn make_list(&mut self, addresses: &[Address]) -> Result<u32, Error> {
        let mut list = NONE;
        for &address in addresses {
            if self.has(list, address) {
                continue;
            }
            match push(&mut self.sources, list, address).or_else(|_| self.push_for_application(list, address))
            {
                Ok(longer) => list = longer,
                Err(error) => {
                    self.free_sources(list);
                    return Err(error);
                }
            }
        }
        Ok(list)
    }

    /// The same when the table is full: what queriers ask for gives way.
    fn push_for_application(&mut self, list: u32, address: Address) -> Result<u32, Error> {
        self.forget_asked_sources();
        push(&mut self.sources, list, address)
    }

    fn add_source(&mut self, member: u32, address: Address) -> Result<(), Error> {
        let list = self.members.at(member as usize).ok_or(Error::Value)?.sources;
        let longer =
            push(&mut self.sources, list, address).or_else(|_| self.push_for_application(list, address))?;
        if let Some(member) = self.members.at_mut(member as usize) {
            member.sources = longer;
        }
        Ok(())
    }

    /// Takes a source out of a filter; one that includes none is no membership any more.
    fn drop_source(&mut self, key: &HashKey, at: u32, address: Address, now: Instant) {
        let Some(member) = self.members.at_mut(at as usize) else { return };
        let (mode, mut source) = (member.mode, core::mem::replace(&mut member.sources, NONE));
        let mut kept = NONE;
        while let Some((name, entry)) = self.sources.entry_at_mut(source as usize) {
            let next = entry.next;
            if entry.address == address {
                self.sources.remove(name);
            } else {
                entry.next = kept;
                kept = source;
            }
            source = next;
        }
        if let Some(member) = self.members.at_mut(at as usize) {
            member.sources = kept;
        }
        if kept == NONE && mode == FilterMode::Include {
            self.drop_member(key, Some(at), now);
        }
    }

    fn add_member(
        &mut self,
        key: &HashKey,
        owner: Member,
        netif: u32,
        address: Address,
        mode: FilterMode,
    ) -> Result<u32, Error> {
        if self.members.used() == self.members.capacity() {
            return Err(Error::Memory);
        }
        let group = self.entry(key, netif, address, true)?;
        let Some(entry) = self.groups.at_mut(group as usize) else { return Err(Error::Memory) };
        self.joined += usize::from(!entry.is_counted());
        let next = entry.members;
        let member = Membership { owner, netif, group, address, mode, sources: NONE, next };
        let at = self.members.insert(member)?.index;
        entry.members = at;
        self.member_index.insert(Self::member_hash(key, owner, netif, address), at);
        Ok(at)
    }

    /// Ends a membership, and sees what follows from it.
    fn drop_member(&mut self, key: &HashKey, at: Option<u32>, now: Instant) {
        let Some(at) = at else { return };
        let group = self.members.at(at as usize).map(|member| (member.netif, member.address));
        self.remove_member(key, at);
        if let Some((netif, address)) = group {
            self.member_changed(key, netif, address, now);
        }
    }

    /// Takes a membership out of everything but the interface's filter.
    pub(super) fn remove_member(&mut self, key: &HashKey, at: u32) {
        let Some(member) = self.members.key_at(at as usize).and_then(|slot| self.members.remove(slot)) else {
            return;
        };
        self.member_index.remove(Self::member_hash(key, member.owner, member.netif, member.address), at);
        self.free_sources(member.sources);
        let Some(group) = self.groups.at_mut(member.group as usize) else { return };
        if group.members == at {
            group.members = member.next;
        } else {
            let mut before = group.members;
            while let Some(other) = self.members.at_mut(before as usize) {
                if other.next == at {
                    other.next = member.next;
                    break;
                }
                before = other.next;
            }
        }
        self.joined -= usize::from(!group.is_counted());
    }

    /// A control block goes, and its memberships with it. Returns whether it had any.
    pub(crate) fn forget_owner(&mut self, key: &HashKey, owner: Member, now: Instant) -> bool {
        let mut any = false;
        if self.members.used() > 0 {
            for at in 0..self.members.capacity() {
                if self.members.at(at).is_some_and(|member| member.owner == owner) {
                    self.drop_member(key, Some(at as u32), now);
                    any = true;
                }
            }
        }
        any
    }

    /// Makes the interface's filter for a group anew from all that listen to it, and notes what is to be reported
    /// [RFC 3376 §3.2] [RFC 3376 §5.1].
    pub(super) fn merge(&mut self, at: u32, now: Instant) {
        let Some(group) = self.groups.at(at as usize) else { return };
        let (open, before) = (group.is_open(), group.mode);
        let excludes =
            open || self.members_of(group.members).any(|member| member.mode == FilterMode::Exclude);
        let mut mode = if excludes { FilterMode::Exclude } else { FilterMode::Include };
        // The filter of the whole interface excludes nobody, so nobody is excluded.
        if !open && !self.mark_wanted(at, mode) {
            // There is no room to say which sources; all of them will do, since each control block's filter decides
            // what it hears.
            mode = FilterMode::Exclude;
            self.for_sources(at, |source| source.wanted = false);
        }
        self.note_difference(at, before, mode, now);
    }

    fn members_of(&self, mut at: u32) -> impl Iterator<Item = &Membership> {
        core::iter::from_fn(move || {
            let member = self.members.at(at as usize)?;
            at = member.next;
            Some(member)
        })
    }

    /// Marks the sources of the new filter; false when there is no room for them.
    fn mark_wanted(&mut self, at: u32, mode: FilterMode) -> bool {
        let Some(first) = self.groups.at(at as usize).map(|group| group.members) else { return true };
        let mut member = first;
        while let Some(entry) = self.members.at(member as usize) {
            let (next, mut source, this) = (entry.next, entry.sources, entry.mode);
            while let Some(entry) = self.sources.at(source as usize) {
                let (address, following) = (entry.address, entry.next);
                if this == mode && self.is_wanted(first, mode, address) && !self.want(at, address) {
                    return false;
                }
                source = following;
            }
            // What all exclude is in the list of the first that excludes anything.
            if this == FilterMode::Exclude && mode == FilterMode::Exclude {
                break;
            }
            member = next;
        }
        true
    }

    /// Whether a source is in the sum of all filters: of those that include, whatever one includes; else what all that
    /// exclude have in common, but nothing that one includes.
    fn is_wanted(&self, first: u32, mode: FilterMode, address: Address) -> bool {
        mode == FilterMode::Include
            || self
                .members_of(first)
                .all(|member| self.has(member.sources, address) == (member.mode == FilterMode::Exclude))
    }

    fn want(&mut self, at: u32, address: Address) -> bool {
        let Some(source) = self.source_of(at, address) else { return false };
        source.wanted = true;
        true
    }

    /// The entry of a source in the state of a group, made if need be and there is room.
    pub(super) fn source_of(&mut self, at: u32, address: Address) -> Option<&mut Source> {
        let list = self.groups.at(at as usize)?.sources;
        let mut position = list;
        while let Some(source) = self.sources.at(position as usize) {
            if source.address == address {
                return self.sources.at_mut(position as usize);
            }
            position = source.next;
        }
        let longer = push(&mut self.sources, list, address).ok()?;
        self.groups.at_mut(at as usize)?.sources = longer;
        self.sources.at_mut(longer as usize)
    }

    /// Does something to each source of a group.
    pub(super) fn for_sources(&mut self, at: u32, mut change: impl FnMut(&mut Source)) {
        let mut position = self.groups.at(at as usize).map_or(NONE, |group| group.sources);
        while let Some(source) = self.sources.at_mut(position as usize) {
            change(source);
            position = source.next;
        }
    }

    /// Takes the new filter over, and notes what of it is news [RFC 3376 §5.1].
    fn note_difference(&mut self, at: u32, before: FilterMode, mode: FilterMode, now: Instant) {
        let Some(group) = self.groups.at_mut(at as usize) else { return };
        let (place, reported) = (super::Place::of(group.netif, group.address), is_reported(group.address));
        let link = self.links[place.position()];
        group.mode = mode;
        let (mut listed_before, mut listed_now, mut changed) = (false, false, before != mode);
        let repeats = if link.reports && reported { link.robustness } else { 0 };
        self.for_sources(at, |source| {
            listed_before |= source.listed;
            listed_now |= source.wanted;
            if source.listed != source.wanted {
                changed = true;
                // A change of the mode says the whole list anyway.
                source.repeats = if before == mode { repeats } else { 0 };
            } else if before != mode {
                source.repeats = 0;
            }
            source.listed = core::mem::take(&mut source.wanted);
        });
        let was_in = before == FilterMode::Exclude || listed_before;
        let is_in = mode == FilterMode::Exclude || listed_now;
        // Older versions know only whether somebody listens.
        let old = link.version(now) < Version::Third;
        let news = if old { was_in != is_in } else { before != mode };
        if old {
            changed = news;
            self.for_sources(at, |source| source.repeats = 0);
        }
        let Some(group) = self.groups.at_mut(at as usize) else { return };
        if news {
            group.repeats = repeats;
        }
        if changed && repeats > 0 {
            self.links[place.position()].changes_at = now;
            self.wake_at(now);
        }
    }
}

/// [`Error::Value`] for sources that no host of the group's family can be.
fn check(group: Address, change: Change<'_>) -> Result<(), Error> {
    let one;
    let sources = match change {
        Change::Join | Change::Leave => &[][..],
        Change::JoinSource(source)
        | Change::LeaveSource(source)
        | Change::Block(source)
        | Change::Unblock(source) => {
            one = [source];
            &one[..]
        }
        Change::Set(_, sources) => sources,
    };
    let fits = |source: &Address| source.is_one_host() && source.is_v4() == group.is_v4();
    if sources.iter().all(fits) { Ok(()) } else { Err(Error::Value) }
}
