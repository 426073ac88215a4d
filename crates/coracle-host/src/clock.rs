//! The time that the stack is given.

use std::time::{Duration, Instant};

/// Microseconds since a start of its own, never running backwards. Copies share the start, so threads agree on the time.
///
/// ```
/// let clock = coracle_host::Clock::start();
/// let (before, copy) = (clock.now(), clock);
/// assert!(copy.now() >= before);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that reads 0 at this moment.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time, in microseconds. The count lasts for half a million years.
    #[inline]
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// How long it is until `deadline` (microseconds on this clock); nothing when it has passed.
    #[inline]
    pub fn until(&self, deadline: u64) -> Duration {
        // By the nanosecond: cutting off the part of a microsecond would wake sleepers too early.
        Duration::from_micros(deadline).saturating_sub(self.start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_and_now_agree() {
        let clock = Clock::start();
        let now = clock.now();
        assert_eq!(clock.until(now), Duration::ZERO);
        assert!(clock.until(now + 1_000_000) <= Duration::from_secs(1));
        assert!(clock.until(now + 1_000_000_000) > Duration::from_mins(15));
        assert!(clock.until(u64::MAX) > Duration::from_secs(1 << 40));
    }
}
