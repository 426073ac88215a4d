//! Time as the stack sees it: a count of microseconds that its owner passes in.

mod wheel;
#[cfg(test)]
mod wheel_tests;

pub(crate) use wheel::Wheel;

use core::fmt;
use core::time::Duration;

/// A point in time: microseconds since a start that the owner of the stack chooses (boot, usually).
///
/// The stack never asks a clock: `input` and `poll` are told the time. A time that lies before one already told
/// counts as standing still. lwIP's counterpart is `sys_now`, which counts milliseconds and wraps.
///
/// ```
/// use core::time::Duration;
/// use coracle::Instant;
/// let later = Instant::from_millis(5) + Duration::from_micros(7);
/// assert_eq!(later.as_micros(), 5_007);
/// assert_eq!(later.since(Instant::from_millis(5)), Duration::from_micros(7));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The start of the count.
    pub const ZERO: Self = Self(0);
    /// The last point that can be named; a deadline here never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// A point `micros` microseconds after the start.
    #[inline]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A point `millis` milliseconds after the start; saturates at [`Instant::MAX`].
    #[inline]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A point `secs` seconds after the start; saturates at [`Instant::MAX`].
    #[inline]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the start.
    #[inline]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The time from `earlier` to this point; zero when `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Moves forward; saturates at [`Instant::MAX`].
impl core::ops::Add<Duration> for Instant {
    type Output = Self;
    #[inline]
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
