//! How many answers to what nobody asked for may leave: a token bucket [RFC 1812 §4.3.2.8].

use crate::time::Instant;

const MICROS: u64 = 1_000_000;

/// A token bucket. A token is a million microtokens, so that a rate is microtokens per microsecond.
pub(crate) struct RateLimit {
    microtokens: u64,
    full: u64,
    per_micro: u64,
    refilled: Instant,
}

impl RateLimit {
    /// So many a second, and so many at once after a rest.
    pub(crate) fn new(per_second: u16, burst: u16) -> Self {
        let full = u64::from(burst) * MICROS;
        Self { microtokens: full, full, per_micro: u64::from(per_second), refilled: Instant::ZERO }
    }

    /// Takes a token; false when there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.as_micros().saturating_sub(self.refilled.as_micros());
        self.refilled = now;
        self.microtokens =
            self.microtokens.saturating_add(passed.saturating_mul(self.per_micro)).min(self.full);
        let allowed = self.microtokens >= MICROS;
        if allowed {
            self.microtokens -= MICROS;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rate: u16, burst: u16) -> RateLimit {
        RateLimit::new(rate, burst)
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut limit = limit(10, 3);
        let now = Instant::from_secs(5);
        assert_eq!((0..10).filter(|_| limit.take(now)).count(), 3);
        assert!(!limit.take(Instant::from_micros(5_099_999)));
        assert!(limit.take(Instant::from_micros(5_100_000)));
        assert!(!limit.take(Instant::from_micros(5_100_000)));
    }

    #[test]
    fn a_jump_of_time_gives_one_burst_and_no_more() {
        let mut limit = limit(1_000, 5);
        assert!(limit.take(Instant::ZERO));
        assert_eq!((0..100).filter(|_| limit.take(Instant::MAX)).count(), 5);
    }

    #[test]
    fn a_rate_of_zero_silences_after_the_burst() {
        let mut limit = limit(0, 1);
        assert!(limit.take(Instant::ZERO));
        assert!(!limit.take(Instant::from_secs(1 << 40)));
    }
}
