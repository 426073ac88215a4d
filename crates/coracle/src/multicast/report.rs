//! What is said of groups and sources, in records of a report [RFC 3376 §4.2.12], or, to queriers of older versions, in
//! a message for each group.

use coracle_wire::membership::record;

use super::query::About;
use super::{Asked, FilterMode, Group, Multicast, Place, Source, Version, is_reported};
use crate::address::{Address, Family};
use crate::time::Instant;

/// Which sources of a group a record names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    /// Those of the filter.
    Listed,
    /// Those that came into the filter, or left it.
    Came,
    Went,
    /// Those that were asked for, and are in the filter, or not.
    AskedListed,
    AskedOthers,
}

impl Which {
    fn has(self, source: &Source) -> bool {
        match self {
            Self::Listed => source.listed,
            Self::Came => source.repeats > 0 && source.listed,
            Self::Went => source.repeats > 0 && !source.listed,
            Self::AskedListed => source.asked && source.listed,
            Self::AskedOthers => source.asked && !source.listed,
        }
    }
}

/// One record of a report.
pub(crate) struct Said {
    pub(crate) kind: u8,
    pub(crate) group: Address,
    which: Which,
    list: u32,
    /// The sources are `count` after `skip`.
    skip: usize,
    count: usize,
}

/// How far the reports about one thing have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    group: u32,
    part: u8,
    skip: usize,
}

impl Cursor {
    pub(crate) const START: Self = Self { group: 0, part: 0, skip: 0 };
}

/// What is said of one group to queriers of older versions.
pub(crate) struct Word {
    pub(crate) group: Address,
    /// That the host leaves it; else that it is a member.
    pub(crate) leaves: bool,
    pub(crate) version: Version,
    /// Where to go on.
    pub(crate) next: u32,
}

/// Bytes of the header of a report.
pub(crate) const HEADER_LEN: usize = 8;

impl Place {
    /// Bytes of its addresses.
    const fn address_len(self) -> usize {
        match self.family {
            Family::V4 => 4,
            #[cfg(feature = "ipv6")]
            Family::V6 => 16,
        }
    }
}

impl Multicast {
    /// The version in which reports are made.
    pub(crate) fn version(&self, place: Place, now: Instant) -> Version {
        self.links[place.position()].version(now)
    }

    /// Goes through the records of one report with room for `room` bytes, from a cursor on. Returns where the next
    /// report begins, and how many bytes this one has; without any records there is nothing more to say.
    pub(crate) fn fill(
        &self,
        (place, about, now): (Place, About, Instant),
        mut at: Cursor,
        room: usize,
        take: &mut dyn FnMut(&Said),
    ) -> (Cursor, usize) {
        let address_len = place.address_len();
        let record_len = 4 + address_len;
        let mut len = HEADER_LEN;
        while (at.group as usize) < self.groups.capacity() {
            let Some(mut said) = self.record(place, about, now, at) else {
                at = at.next();
                continue;
            };
            let left = room.saturating_sub(len);
            let most = left.saturating_sub(record_len) / address_len;
            if left >= record_len && said.count <= most {
                at = at.next();
            } else if len > HEADER_LEN {
                break;
            } else if left < record_len {
                // The link is too narrow for any report.
                return (at, 0);
            } else {
                said.count = most;
                // What is excluded beyond the room of one report cannot be said [RFC 3376 §4.2.16].
                let excludes = matches!(said.kind, record::MODE_IS_EXCLUDE | record::CHANGE_TO_EXCLUDE);
                at = if excludes { at.next() } else { Cursor { skip: at.skip + most, ..at } };
            }
            len += record_len + said.count * address_len;
            take(&said);
        }
        (at, if len > HEADER_LEN { len } else { 0 })
    }

    /// The sources that a record names.
    pub(crate) fn sources_of(&self, said: &Said) -> impl ExactSizeIterator<Item = Address> {
        let which = said.which;
        let sources = self.list(said.list).filter(move |source| which.has(source));
        Exactly(sources.map(|source| source.address).skip(said.skip), said.count)
    }

    /// What is to be said of a group in one part of two, if anything.
    fn record(&self, place: Place, about: About, now: Instant, at: Cursor) -> Option<Said> {
        let group = self.groups.at(at.group as usize)?;
        if Self::place(group) != place || !is_reported(group.address) {
            return None;
        }
        let (kind, which) = match (about, at.part) {
            (About::General, 0) => self.current(group)?,
            (About::Answers, 0) if group.answer_at <= now => match group.asked {
                Asked::Nothing => return None,
                Asked::All => self.current(group)?,
                // [RFC 3376 §5.2] What of that would come through.
                Asked::Sources => match group.mode {
                    FilterMode::Include => (record::MODE_IS_INCLUDE, Which::AskedListed),
                    FilterMode::Exclude => (record::MODE_IS_INCLUDE, Which::AskedOthers),
                },
            },
            (About::Changes, part) => change(group, part)?,
            _ => return None,
        };
        let count = self.list(group.sources).filter(|source| which.has(source)).count() - at.skip;
        let empty = count == 0;
        let says_mode =
            matches!(kind, record::CHANGE_TO_INCLUDE | record::CHANGE_TO_EXCLUDE | record::MODE_IS_EXCLUDE);
        if empty && (!says_mode || at.skip > 0) {
            return None;
        }
        Some(Said { kind, group: group.address, which, list: group.sources, skip: at.skip, count })
    }

    fn place(group: &Group) -> Place {
        Place::of(group.netif, group.address)
    }

    /// The state of a group that the interface listens to.
    #[allow(clippy::unused_self, reason = "it reads as the other questions do")]
    fn current(&self, group: &Group) -> Option<(u8, Which)> {
        let kind = match group.mode {
            FilterMode::Include => record::MODE_IS_INCLUDE,
            FilterMode::Exclude => record::MODE_IS_EXCLUDE,
        };
        group.is_listened_to().then_some((kind, Which::Listed))
    }

    /// What is said of the next group, from a slot on, to queriers of older versions.
    pub(crate) fn word(&self, (place, about, now): (Place, About, Instant), from: u32) -> Option<Word> {
        let version = self.version(place, now);
        for at in from..self.groups.capacity() as u32 {
            let Some(group) = self.groups.at(at as usize) else { continue };
            let due = match about {
                About::Changes => group.repeats > 0,
                About::Answers => group.answer_at <= now && group.asked != Asked::Nothing,
                About::General => false,
            };
            let leaves = !group.is_listened_to();
            // The first version knows no leaving, and the second leaves it to who reported last [RFC 2236 §3].
            let said = !leaves || (version == Version::Second && group.reporter);
            if due && said && Self::place(group) == place && is_reported(group.address) {
                return Some(Word { group: group.address, leaves, version, next: at + 1 });
            }
        }
        None
    }
}

/// What changed in a group: its mode, or, in two parts, sources that are heard from now on, and those that no longer are.
fn change(group: &Group, part: u8) -> Option<(u8, Which)> {
    let includes = group.mode == FilterMode::Include;
    match (part, group.repeats > 0) {
        (0, true) if includes => Some((record::CHANGE_TO_INCLUDE, Which::Listed)),
        (0, true) => Some((record::CHANGE_TO_EXCLUDE, Which::Listed)),
        (0, false) => Some((record::ALLOW_NEW_SOURCES, if includes { Which::Came } else { Which::Went })),
        (1, false) => Some((record::BLOCK_OLD_SOURCES, if includes { Which::Went } else { Which::Came })),
        _ => None,
    }
}

impl Cursor {
    /// Behind a record.
    fn next(self) -> Self {
        match self.part {
            0 => Self { part: 1, skip: 0, ..self },
            _ => Self { group: self.group + 1, part: 0, skip: 0 },
        }
    }
}

/// An iterator of which so many are taken, as many as there are at least.
struct Exactly<I>(I, usize);

impl<I: Iterator> Iterator for Exactly<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.1 = self.1.checked_sub(1)?;
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.1, Some(self.1))
    }
}

impl<I: Iterator> ExactSizeIterator for Exactly<I> {}
