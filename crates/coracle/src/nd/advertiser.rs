//! When a router advertises [RFC 4861 §6.2].

use core::net::Ipv6Addr;
use core::time::Duration;

use coracle_wire::ndp::{AdvertisementFields, PrefixFields};

use crate::time::Instant;

/// Advertisements that come quickly at the beginning, and how far apart they are at the most.
const INITIAL: u8 = 3;
const INITIAL_INTERVAL: Duration = Duration::from_secs(16);
/// The least time between two advertisements to all.
const LEAST_BETWEEN: Duration = Duration::from_secs(3);
/// How long an answer to a solicitation waits at the most, so that routers do not all speak at once.
const ANSWER_DELAY_US: u32 = 500_000;

/// What a router says about its link [RFC 4861 §6.2.1].
///
/// ```
/// use coracle::RouterSettings;
/// let settings = RouterSettings { max_interval_s: 60, ..RouterSettings::DEFAULT };
/// assert!(settings.is_valid());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterSettings {
    /// The longest time between two advertisements in seconds, 4 to 1,800; the shortest is a third of it.
    pub max_interval_s: u16,
    /// Everything but the options.
    pub fields: AdvertisementFields,
    /// The MTU that hosts shall use, in bytes; 0: nothing is said.
    pub mtu: u32,
    /// Prefixes of the link.
    pub prefixes: [Option<PrefixFields>; 2],
    /// Servers of the domain name system.
    pub servers: [Option<Ipv6Addr>; 2],
}

impl RouterSettings {
    /// The intervals and lifetimes of RFC 4861 §6.2.1, and nothing else.
    pub const DEFAULT: Self = Self {
        max_interval_s: 600,
        fields: AdvertisementFields {
            hop_limit: 64,
            managed: false,
            other: false,
            preference: coracle_wire::ndp::Preference::Medium,
            lifetime: 1_800,
            reachable_time: 0,
            retrans_timer: 0,
        },
        mtu: 0,
        prefixes: [None; 2],
        servers: [None; 2],
    };

    /// Whether interval and lifetime are within the bounds of RFC 4861 §6.2.1, and prefixes have a length.
    pub fn is_valid(&self) -> bool {
        let lifetime = self.fields.lifetime;
        let lifetime_right = lifetime == 0 || (self.max_interval_s..=9_000).contains(&lifetime);
        let prefix_right =
            |prefix: &PrefixFields| prefix.prefix_len <= 128 && prefix.preferred <= prefix.valid;
        (4..=1_800).contains(&self.max_interval_s)
            && lifetime_right
            && self.prefixes.iter().flatten().all(prefix_right)
    }
}

/// When the next advertisement is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) due: Instant,
    last: Option<Instant>,
    initial: u8,
}

impl Schedule {
    /// The first advertisement is due at once.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { due: now, last: None, initial: INITIAL }
    }

    /// One was sent; `below` draws a number below its argument.
    pub(crate) fn sent(&mut self, now: Instant, max_interval_s: u16, below: impl FnOnce(u32) -> u32) {
        let longest = Duration::from_secs(max_interval_s.into());
        let shortest = (longest / 3).max(LEAST_BETWEEN);
        let spread_ms = longest.saturating_sub(shortest).as_millis() as u32;
        let mut wait = shortest + Duration::from_millis(below(spread_ms + 1).into());
        self.initial = self.initial.saturating_sub(1);
        if self.initial > 0 {
            wait = wait.min(INITIAL_INTERVAL);
        }
        self.last = Some(now);
        self.due = now + wait;
    }

    /// A host asks: the answer goes to all, soon, but not sooner after the one before than is allowed.
    pub(crate) fn solicited(&mut self, now: Instant, below: impl FnOnce(u32) -> u32) {
        let soon = now + Duration::from_micros(below(ANSWER_DELAY_US).into());
        let allowed = self.last.map_or(soon, |last| soon.max(last + LEAST_BETWEEN));
        self.due = self.due.min(allowed);
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const NOW: Instant = Instant::from_secs(100);

    #[test]
    fn the_first_ones_come_quickly_and_the_others_in_their_interval() {
        let mut schedule = Schedule::new(NOW);
        assert_eq!(schedule.due, NOW);
        let mut waits = Vec::new();
        for turn in 0..6 {
            let now = schedule.due;
            schedule.sent(now, 600, |bound| if turn % 2 == 0 { bound - 1 } else { 0 });
            waits.push(schedule.due.since(now).as_secs());
        }
        assert_eq!(waits, [16, 16, 600, 200, 600, 200]);
        schedule.sent(NOW, 4, |_| 0);
        assert_eq!(schedule.due.since(NOW), Duration::from_secs(3));
    }

    #[test]
    fn answers_come_soon_but_not_too_often() {
        let mut schedule = Schedule::new(NOW);
        schedule.sent(NOW, 600, |_| 0);
        schedule.solicited(NOW + Duration::from_secs(1), |_| 400_000);
        assert_eq!(schedule.due, NOW + Duration::from_secs(3));
        schedule.sent(schedule.due, 600, |_| 0);
        let later = NOW + Duration::from_secs(10);
        schedule.solicited(later, |_| 400_000);
        assert_eq!(schedule.due, later + Duration::from_millis(400));
        // What is due sooner stays.
        schedule.solicited(later, |_| 499_000);
        assert_eq!(schedule.due, later + Duration::from_millis(400));
    }

    #[test]
    fn settings_are_within_their_bounds() {
        let good = RouterSettings::DEFAULT;
        assert!(good.is_valid());
        let with = |max_interval_s, lifetime| {
            let fields = AdvertisementFields { lifetime, ..good.fields };
            RouterSettings { max_interval_s, fields, ..good }.is_valid()
        };
        assert!(with(4, 4) && with(1_800, 9_000) && with(600, 0));
        assert!(!with(3, 1_800) && !with(1_801, 9_000) && !with(600, 599) && !with(600, 9_001));
        let prefix = PrefixFields {
            prefix: Ipv6Addr::UNSPECIFIED,
            prefix_len: 129,
            on_link: true,
            autonomous: true,
            valid: 10,
            preferred: 10,
        };
        let of = |prefix| RouterSettings { prefixes: [Some(prefix), None], ..good }.is_valid();
        assert!(!of(prefix));
        assert!(of(PrefixFields { prefix_len: 64, ..prefix }));
        assert!(!of(PrefixFields { prefix_len: 64, preferred: 11, ..prefix }));
    }
}
