//! Sequence numbers, and the times of a connection: both count modulo 2³² [RFC 9293 §3.4].

use core::ops::{Add, AddAssign, Sub};

/// A sequence number. It is compared by distance: of two numbers less than 2³¹ apart, one is before the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    #[inline]
    pub(crate) const fn before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    #[inline]
    pub(crate) const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    #[inline]
    pub(crate) const fn at_or_before(self, other: Self) -> bool {
        !other.before(self)
    }

    #[inline]
    pub(crate) const fn at_or_after(self, other: Self) -> bool {
        !self.before(other)
    }

    /// Whether it lies from `first` on and before `end`.
    #[inline]
    pub(crate) const fn between(self, first: Self, end: Self) -> bool {
        self.0.wrapping_sub(first.0) < end.0.wrapping_sub(first.0)
    }

    /// How many numbers lie from `earlier` to this one; of two in the wrong order a huge number.
    #[inline]
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    #[inline]
    pub(crate) const fn max(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    #[inline]
    pub(crate) const fn min(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for Seq {
    type Output = Self;
    #[inline]
    fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for Seq {
    #[inline]
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for Seq {
    type Output = Self;
    #[inline]
    fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }
}

impl Sub for Seq {
    type Output = i32;
    /// The distance from the other number to this one.
    #[inline]
    fn sub(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// Whether a time of a connection, in microseconds modulo 2³², lies before another.
#[inline]
pub(crate) const fn time_before(time: u32, other: u32) -> bool {
    time.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let last = Seq(u32::MAX);
        let first = last + 1;
        assert_eq!(first, Seq(0));
        assert!(last.before(first) && first.after(last));
        assert!(last.at_or_before(last) && last.at_or_after(last));
        assert_eq!(first - last, 1);
        assert_eq!(last - first, -1);
        assert_eq!(first.since(last), 1);
        assert_eq!(last.max(first), first);
        assert_eq!(last.min(first), last);
        assert!(time_before(u32::MAX, 3) && !time_before(3, u32::MAX));
    }

    #[test]
    fn a_range_holds_its_first_and_not_its_end() {
        let (first, end) = (Seq(u32::MAX - 1), Seq(2));
        assert!(first.between(first, end) && Seq(1).between(first, end));
        assert!(!end.between(first, end) && !(first - 1).between(first, end));
        assert!(!first.between(first, first), "an empty range holds nothing");
    }
}
