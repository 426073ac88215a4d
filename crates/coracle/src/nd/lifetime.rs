//! For how long an address is ours, and for how long it is to be preferred [RFC 4862 §5.5].

use core::time::Duration;

use coracle_wire::ndp::INFINITE;

use crate::time::Instant;

/// Below this, an advertisement must not shorten what is left of an address's life: else whoever forges one takes it away
/// [4862-6].
const LEAST_LEFT: Duration = Duration::from_hours(2);

/// When something ends that lasts so many seconds from now on.
pub(crate) fn until(now: Instant, seconds: u32) -> Instant {
    if seconds == INFINITE { Instant::MAX } else { now + Duration::from_secs(seconds.into()) }
}

/// When an address is no longer to be preferred, and when it is no longer ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    pub(crate) preferred: Instant,
    pub(crate) valid: Instant,
    /// What no advertisement can move them beyond: the ends of a temporary address [RFC 8981 §3.4].
    caps: (Instant, Instant),
}

impl Lifetimes {
    /// Without end.
    pub(crate) const FOREVER: Self =
        Self { preferred: Instant::MAX, valid: Instant::MAX, caps: (Instant::MAX, Instant::MAX) };

    /// What an advertisement says of an address that is new.
    pub(crate) fn new(now: Instant, preferred: u32, valid: u32) -> Self {
        Self { preferred: until(now, preferred), valid: until(now, valid), ..Self::FOREVER }
    }

    /// The same, but with ends of their own.
    pub(crate) fn capped(self, preferred: Instant, valid: Instant) -> Self {
        Self {
            preferred: self.preferred.min(preferred),
            valid: self.valid.min(valid),
            caps: (preferred, valid),
        }
    }

    /// What an advertisement says of an address that is there [4862-6].
    pub(crate) fn renew(&mut self, now: Instant, preferred: u32, valid: u32) {
        let said = until(now, valid);
        self.preferred = until(now, preferred).min(self.caps.0);
        if said > now + LEAST_LEFT || said > self.valid {
            self.valid = said.min(self.caps.1);
        } else if self.valid > now + LEAST_LEFT {
            self.valid = now + LEAST_LEFT;
        }
    }

    /// Whether it is time for another temporary address to take over, so long before this one is no longer preferred
    /// [RFC 8981 §3.4].
    pub(crate) fn ends_by_its_cap_within(&self, now: Instant, ahead: Duration) -> bool {
        self.caps.0 <= now + ahead
    }

    /// So long before that end.
    pub(crate) fn cap_less(&self, ahead: Duration) -> Instant {
        let ahead = u64::try_from(ahead.as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(self.caps.0.as_micros().saturating_sub(ahead))
    }

    /// When something about the address changes next.
    pub(crate) fn next_change(&self, now: Instant) -> Instant {
        if self.preferred > now { self.preferred.min(self.valid) } else { self.valid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(100_000);

    fn after(seconds: u64) -> Instant {
        NOW + Duration::from_secs(seconds)
    }

    /// [4862-6], case by case as RFC 4862 §5.5.3 e) lists them.
    #[test]
    fn the_two_hour_rule() {
        // What is left, what is said, what is left then; in seconds.
        let cases: [(u32, u32, u32); 10] = [
            (600, 7_201, 7_201),
            (600, 601, 601),
            (600, 600, 600),
            (600, 10, 600),
            (7_200, 0, 7_200),
            (7_201, 0, 7_200),
            (86_400, 7_200, 7_200),
            (86_400, 10, 7_200),
            (86_400, 7_201, 7_201),
            (7_300, 100_000, 100_000),
        ];
        for (left, said, expected) in cases {
            let mut lifetimes = Lifetimes::new(NOW, 0, left);
            lifetimes.renew(NOW, said / 2, said);
            assert_eq!(lifetimes.valid, after(expected.into()), "{left} left, {said} said");
            assert_eq!(lifetimes.preferred, after((said / 2).into()));
        }
    }

    #[test]
    fn what_never_ends_is_shortened_to_two_hours_at_the_most() {
        let mut lifetimes = Lifetimes::new(NOW, INFINITE, INFINITE);
        assert_eq!((lifetimes.preferred, lifetimes.valid), (Instant::MAX, Instant::MAX));
        lifetimes.renew(NOW, 0, 0);
        assert_eq!((lifetimes.preferred, lifetimes.valid), (NOW, after(7_200)));
        lifetimes.renew(NOW, INFINITE, INFINITE);
        assert_eq!(lifetimes.valid, Instant::MAX);
    }

    /// [RFC 8981 §3.4]
    #[test]
    fn a_temporary_address_ends_by_itself() {
        let mut lifetimes = Lifetimes::new(NOW, INFINITE, INFINITE).capped(after(100), after(200));
        lifetimes.renew(after(50), INFINITE, INFINITE);
        assert_eq!((lifetimes.preferred, lifetimes.valid), (after(100), after(200)));
        assert!(!lifetimes.ends_by_its_cap_within(after(50), Duration::from_secs(49)));
        assert!(lifetimes.ends_by_its_cap_within(after(50), Duration::from_secs(50)));
        assert!(!Lifetimes::new(NOW, 10, 10).ends_by_its_cap_within(NOW, Duration::from_secs(100)));
    }

    #[test]
    fn changes_come_in_turn() {
        let lifetimes = Lifetimes::new(NOW, 10, 20);
        assert_eq!(lifetimes.next_change(NOW), after(10));
        assert_eq!(lifetimes.next_change(after(10)), after(20));
        assert_eq!(Lifetimes::new(NOW, 30, 20).next_change(NOW), after(20));
        assert_eq!(Lifetimes::FOREVER.next_change(NOW), Instant::MAX);
    }
}
