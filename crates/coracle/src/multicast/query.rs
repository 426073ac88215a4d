//! What is heard from the link: queries, reports of others; and when what is to be said.

use core::time::Duration;

use coracle_wire::membership::QueryDetails;

use super::{
    Asked, Group, Link, Multicast, Place, QUERY_INTERVAL_S, ROBUSTNESS, Version, filter::FilterMode,
    is_reported,
};
use crate::address::Address;
use crate::random::{HashKey, Random};
use crate::table::NONE;
use crate::time::Instant;

/// The longest time between two reports of one change [RFC 3376 §8.11] [RFC 3810 §9.11].
const REPEAT_MS: u32 = 1_000;

/// The same for older versions [RFC 2236 §8.10] [RFC 2710 §7.10].
const OLD_REPEAT_MS: u32 = 10_000;

/// The shortest time between two answers about the same, so that queries which leave no time for an answer are not
/// multiplied.
const ANSWER_GAP: Duration = Duration::from_millis(100);

/// A query, of either protocol.
pub(crate) struct Query {
    pub(crate) version: Version,
    /// The group that is asked for; a general query asks for all.
    pub(crate) group: Option<Address>,
    /// Within how many milliseconds to answer.
    pub(crate) within_ms: u32,
    /// What only the newest version says.
    pub(crate) details: Option<QueryDetails>,
    /// Whether sources are asked for, or all of the group.
    pub(crate) has_sources: bool,
}

/// What is to be reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum About {
    /// What applications changed.
    Changes,
    /// Everything, as a general query asked for.
    General,
    /// What was asked of groups whose time to answer has come.
    Answers,
}

fn millis(time: u32) -> Duration {
    Duration::from_millis(time.into())
}

impl Link {
    /// A random time within that of a query; zero is at once [3376-2] [3810-4].
    fn time_to_answer(&self, within_ms: u32, now: Instant, random: &mut Random) -> Instant {
        let delay = random.below(within_ms.saturating_add(1));
        (now + millis(delay)).max(self.next_answer)
    }

    /// Takes over what a query of the newest version says of its querier [RFC 3376 §4.1.6] [RFC 3376 §4.1.7].
    fn learn(&mut self, details: QueryDetails) {
        self.robustness = if details.robustness == 0 { ROBUSTNESS } else { details.robustness };
        self.interval_s = if details.interval_s == 0 { QUERY_INTERVAL_S } else { details.interval_s };
    }

    /// Notes that a querier of an older version is there [RFC 3376 §7.2.1] [3810-6]. Returns whether that is news.
    fn note_older(&mut self, query: &Query, now: Instant) -> bool {
        let before = self.version(now);
        let present_s = u32::from(self.robustness) * u32::from(self.interval_s);
        let until = now + Duration::from_secs(present_s.into()) + millis(query.within_ms);
        match query.version {
            Version::First => self.first_until = until,
            Version::Second => self.second_until = until,
            Version::Third => {}
        }
        self.version(now) != before
    }
}

impl Multicast {
    fn place_of(group: &Group) -> Place {
        Place::of(group.netif, group.address)
    }

    /// Takes a query, whose sources are `sources`.
    pub(crate) fn queried(
        &mut self,
        key: &HashKey,
        place: Place,
        query: &Query,
        sources: &mut dyn Iterator<Item = Address>,
        (now, random): (Instant, &mut Random),
    ) {
        let link = &mut self.links[place.position()];
        if !link.reports {
            return;
        }
        if let Some(details) = query.details {
            link.learn(details);
        }
        if query.group.is_none() && link.note_older(query, now) {
            self.cancel(place);
        }
        let link = self.links[place.position()];
        let third = link.version(now) == Version::Third;
        match query.group {
            None if third => {
                let at = link.time_to_answer(query.within_ms, now, random);
                let link = &mut self.links[place.position()];
                link.general_at = link.general_at.min(at);
                self.wake_at(at);
            }
            None => {
                for at in 0..self.groups.capacity() {
                    if self.groups.at(at).is_some_and(|group| Self::place_of(group) == place) {
                        self.ask_old(at as u32, &link, query.within_ms, (now, random));
                    }
                }
            }
            Some(group) => {
                let Some(at) = self.find(key, place.netif, group) else { return };
                if third {
                    self.ask(at, &link, query, sources, (now, random));
                } else {
                    self.ask_old(at, &link, query.within_ms, (now, random));
                }
            }
        }
    }

    /// Has all of a group answered for, as one report of an older version. A timer that runs out in time stays
    /// [RFC 2236 §3].
    fn ask_old(&mut self, at: u32, link: &Link, within_ms: u32, (now, random): (Instant, &mut Random)) {
        let Some(group) = self.groups.at_mut(at as usize) else { return };
        let in_time = group.answer_at <= now + millis(within_ms);
        if !group.is_listened_to() || !is_reported(group.address) || in_time {
            return;
        }
        group.asked = Asked::All;
        group.answer_at = link.time_to_answer(within_ms, now, random);
        let answer_at = group.answer_at;
        self.wake_at(answer_at);
    }

    /// Has a group answered for, or some of its sources: what is asked is added to what is due already
    /// [RFC 3376 §5.2] [3810-4].
    fn ask(
        &mut self,
        at: u32,
        link: &Link,
        query: &Query,
        sources: &mut dyn Iterator<Item = Address>,
        (now, random): (Instant, &mut Random),
    ) {
        let answer_at = link.time_to_answer(query.within_ms, now, random);
        let Some(group) = self.groups.at_mut(at as usize) else { return };
        let listened = group.is_listened_to() && is_reported(group.address);
        if !listened || link.general_at <= answer_at {
            return;
        }
        let some = query.has_sources && group.asked != Asked::All;
        group.answer_at = group.answer_at.min(answer_at);
        group.asked = if some { Asked::Sources } else { Asked::All };
        self.wake_at(answer_at);
        let mut noted = some;
        while noted && let Some(source) = sources.next() {
            noted = self.source_of(at, source).map(|source| source.asked = true).is_some();
        }
        if !noted {
            self.ask_all(at);
        }
    }

    /// Has all of a group answered for, whatever of its sources was asked.
    fn ask_all(&mut self, at: u32) {
        if let Some(group) = self.groups.at_mut(at as usize) {
            group.asked = Asked::All;
        }
        self.for_sources(at, |source| source.asked = false);
        self.tidy_sources(at);
    }

    /// Applications need the room that sources take of which nobody but queriers ever spoke.
    pub(super) fn forget_asked_sources(&mut self) {
        for at in 0..self.groups.capacity() {
            if self.groups.at(at).is_some_and(|group| group.asked == Asked::Sources) {
                self.ask_all(at as u32);
            }
        }
    }

    /// Another host of the link reported a group, as one of an older version does: the routers know what they need
    /// [RFC 2236 §3] [RFC 2710 §4].
    pub(crate) fn reported_by_another(&mut self, key: &HashKey, netif: u32, address: Address, now: Instant) {
        if self.links[Place::of(netif, address).position()].version(now) == Version::Third {
            return;
        }
        if let Some(group) = self.find(key, netif, address).and_then(|at| self.groups.at_mut(at as usize))
            && group.is_listened_to()
        {
            (group.asked, group.answer_at) = (Asked::Nothing, Instant::MAX);
            (group.repeats, group.reporter) = (0, false);
        }
    }

    /// The version of the queriers changed: what is due in the old one is not said any more [RFC 3376 §7.2.1].
    fn cancel(&mut self, place: Place) {
        let link = &mut self.links[place.position()];
        (link.general_at, link.changes_at) = (Instant::MAX, Instant::MAX);
        for at in 0..self.groups.capacity() as u32 {
            if let Some(group) =
                self.groups.at_mut(at as usize).filter(|group| Self::place_of(group) == place)
            {
                (group.asked, group.answer_at, group.repeats) = (Asked::Nothing, Instant::MAX, 0);
                self.for_sources(at, |source| (source.asked, source.repeats) = (false, 0));
                self.tidy_sources(at);
            }
        }
    }

    /// Packets can leave an interface from now on, or no longer. Whoever is there has to be told everything.
    pub(crate) fn set_reports(
        &mut self,
        key: &HashKey,
        place: Place,
        reports: bool,
        (now, random): (Instant, &mut Random),
    ) {
        self.cancel(place);
        self.links[place.position()] = Link { reports, ..Link::NEW };
        for at in 0..self.groups.capacity() as u32 {
            self.tidy(key, at);
        }
        if reports {
            self.announce(place, (now, random));
        }
    }

    /// Reports all groups of an interface as if they had just been joined, a random time from now on, as many others
    /// may do at the same moment.
    pub(crate) fn announce(&mut self, place: Place, (now, random): (Instant, &mut Random)) {
        let link = self.links[place.position()];
        let mut any = false;
        for at in 0..self.groups.capacity() as u32 {
            let Some(group) = self.groups.at_mut(at as usize) else { continue };
            let told = Self::place_of(group) == place && group.is_listened_to() && is_reported(group.address);
            if !told || !link.reports {
                continue;
            }
            any = true;
            if group.mode == FilterMode::Exclude || link.version(now) < Version::Third {
                group.repeats = link.robustness;
            } else {
                self.for_sources(at, |source| source.repeats = link.robustness);
            }
        }
        if any {
            let at = now + millis(random.below(REPEAT_MS) + 1);
            let link = &mut self.links[place.position()];
            link.changes_at = link.changes_at.min(at);
            self.wake_at(at);
        }
    }

    /// Changes that wait are reported now.
    #[cfg(feature = "ipv6")]
    pub(crate) fn hasten(&mut self, place: Place, now: Instant) {
        let link = &mut self.links[place.position()];
        if link.changes_at != Instant::MAX {
            link.changes_at = link.changes_at.min(now);
            self.wake_at(now);
        }
    }

    /// What is due, if anything is. It counts as done once [`done`](Self::done) is called.
    pub(crate) fn due(&self, now: Instant) -> Option<(Place, About)> {
        if now < self.wake {
            return None;
        }
        for (position, link) in self.links.iter().enumerate() {
            let about = if link.changes_at <= now {
                About::Changes
            } else if link.general_at <= now {
                About::General
            } else {
                continue;
            };
            return Some((Place::at(position), about));
        }
        let due = self.groups.iter().find(|(_, group)| group.answer_at <= now);
        due.map(|(_, group)| (Self::place_of(group), About::Answers))
    }

    /// What was due was said.
    pub(crate) fn done(
        &mut self,
        key: &HashKey,
        place: Place,
        about: About,
        (now, random): (Instant, &mut Random),
    ) {
        let link = &mut self.links[place.position()];
        let old = link.version(now) < Version::Third;
        match about {
            About::Changes => link.changes_at = Instant::MAX,
            About::General => link.general_at = Instant::MAX,
            About::Answers => {}
        }
        if about != About::Changes {
            link.next_answer = now + ANSWER_GAP;
        }
        let mut more = false;
        for at in 0..self.groups.capacity() as u32 {
            if self.groups.at(at as usize).is_some_and(|group| Self::place_of(group) == place) {
                match about {
                    About::Changes => more |= self.changes_said(key, at, old),
                    About::Answers => self.answer_said(key, at, old, now),
                    About::General => {}
                }
            }
        }
        if more {
            let most = if old { OLD_REPEAT_MS } else { REPEAT_MS };
            self.links[place.position()].changes_at = now + millis(random.below(most) + 1);
        }
        self.find_deadline();
    }

    /// A report about changes of a group left. Returns whether another is to follow [3810-5].
    fn changes_said(&mut self, key: &HashKey, at: u32, old: bool) -> bool {
        let Some(group) = self.groups.at_mut(at as usize) else { return false };
        if old {
            // Leaving is said once.
            group.reporter |= group.repeats > 0;
            group.repeats = if group.is_listened_to() { group.repeats } else { 0 };
        }
        group.repeats = group.repeats.saturating_sub(1);
        let mut more = group.repeats > 0;
        self.for_sources(at, |source| {
            source.repeats = source.repeats.saturating_sub(1);
            more |= source.repeats > 0;
        });
        self.tidy(key, at);
        more
    }

    fn answer_said(&mut self, key: &HashKey, at: u32, old: bool, now: Instant) {
        let Some(group) = self.groups.at_mut(at as usize).filter(|group| group.answer_at <= now) else {
            return;
        };
        (group.asked, group.answer_at) = (Asked::Nothing, Instant::MAX);
        group.reporter |= old;
        self.for_sources(at, |source| source.asked = false);
        self.tidy(key, at);
    }

    /// Drops the sources of a group of which nothing is to be said any more.
    pub(super) fn tidy_sources(&mut self, at: u32) {
        let Some(group) = self.groups.at_mut(at as usize) else { return };
        let mut kept = NONE;
        let mut source = core::mem::replace(&mut group.sources, NONE);
        while let Some((name, entry)) = self.sources.entry_at_mut(source as usize) {
            let next = entry.next;
            if entry.listed || entry.asked || entry.repeats > 0 {
                entry.next = kept;
                kept = source;
            } else {
                self.sources.remove(name);
            }
            source = next;
        }
        group.sources = kept;
    }
}
