//! How many challenge acknowledgments leave [RFC 5961 §7].
//!
//! Each connection has its own small allowance. One for the whole stack stands behind them, and how large it is in any
//! second is random: whoever fills it up from one connection learns nothing of another by counting what is left
//! (CVE-2016-5696).

use crate::random::Random;
use crate::time::Instant;

/// What one connection may send in the period: the example of RFC 5961 §7.
const PER_CONNECTION: u8 = 10;
const PERIOD: u32 = 5_000_000;
const SECOND: u64 = 1_000_000;

/// What a connection has sent of late.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ChallengeCount {
    /// When the period ends, in microseconds modulo 2³².
    until: u32,
    count: u8,
}

impl ChallengeCount {
    fn take(&mut self, now: u32) -> bool {
        let left = self.until.wrapping_sub(now);
        if self.count == 0 || left == 0 || left > PERIOD {
            // It begins with the first.
            *self = Self { until: now.wrapping_add(PERIOD), count: 0 };
        }
        let allowed = self.count < PER_CONNECTION;
        if allowed {
            self.count += 1;
        }
        allowed
    }
}

/// What all connections together may still send in this second.
#[derive(Debug)]
pub(crate) struct ChallengeBudget {
    per_second: u32,
    left: u32,
    until: Instant,
}

impl ChallengeBudget {
    /// So many in a second, in the mean; none if that is zero.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, left: 0, until: Instant::ZERO }
    }

    /// [5961-4] Whether one more may leave, from this connection.
    pub(crate) fn take(&mut self, own: &mut ChallengeCount, random: &mut Random, now: Instant) -> bool {
        if !own.take(now.as_micros() as u32) {
            return false;
        }
        self.take_unowned(random, now)
    }

    /// The same for a segment whose connection keeps no count, as in TIME-WAIT.
    pub(crate) fn take_unowned(&mut self, random: &mut Random, now: Instant) -> bool {
        if now >= self.until {
            self.until = Instant::from_micros(now.as_micros().saturating_add(SECOND));
            // From half of the mean to one and a half.
            let half = self.per_second.div_ceil(2);
            self.left = half.saturating_add(random.below(self.per_second.saturating_add(1)));
        }
        let allowed = self.left > 0;
        self.left -= u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// [5961-4]
    #[test]
    fn a_connection_sends_ten_in_five_seconds() {
        let (mut budget, mut random) = (ChallengeBudget::new(1_000), Random::new(&[1; 16]));
        let (mut own, mut other) = (ChallengeCount::default(), ChallengeCount::default());
        // The connection's clock wraps in between.
        let start = u64::from(u32::MAX) - 1_000_000;
        let mut count = |own: &mut ChallengeCount, after: u64| {
            let now = Instant::from_micros(start + after);
            (0..100).filter(|_| budget.take(own, &mut random, now)).count()
        };
        assert_eq!(count(&mut own, 0), 10);
        assert_eq!(count(&mut own, 4_999_999), 0);
        assert_eq!(count(&mut other, 4_999_999), 10, "another connection's allowance is its own");
        assert_eq!(count(&mut own, 5_000_000), 10);
        // So long that the clock went around.
        assert_eq!(count(&mut own, 5_000_000 + (1 << 32) - 1), 10);
    }

    /// [5961-4] An attacker who uses up the rest cannot tell how much of it others used.
    #[test]
    fn what_all_may_send_in_a_second_is_random_around_the_mean() {
        let (mut budget, mut random) = (ChallengeBudget::new(100), Random::new(&[1; 16]));
        let mut sums = HashSet::new();
        let mut total = 0;
        for second in 0..500 {
            let now = Instant::from_secs(second);
            let sum = (0..1_000).filter(|_| budget.take_unowned(&mut random, now)).count();
            assert!((50..=150).contains(&sum), "{sum}");
            sums.insert(sum);
            total += sum;
        }
        assert!(sums.len() > 80, "only {} different sums", sums.len());
        assert!((95 * 500..105 * 500).contains(&total), "{total}");
    }

    #[test]
    fn none_in_a_second_is_none() {
        let mut budget = ChallengeBudget::new(0);
        assert!(!budget.take_unowned(&mut Random::new(&[1; 16]), Instant::from_secs(3)));
    }
}
