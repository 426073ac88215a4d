//! Round-trip time and the retransmission timeout [RFC 6298] [RFC 9293 MUST-18]. All times are microseconds.

/// What the timeout is kept between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtoLimits {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

impl RtoLimits {
    const fn clamp(self, rto: u32) -> u32 {
        // Written out: `clamp` panics on limits in the wrong order.
        let low = if rto < self.min { self.min } else { rto };
        if low > self.max { self.max } else { low }
    }
}

/// The granularity `G` of RFC 6298: what an owner's clock, or the time it polls at, may be wrong by.
const GRANULARITY: u32 = 10_000;
/// The longest round-trip time that counts, so that the scaled average fits.
const MAX_SAMPLE: u32 = 1 << 28;
/// The timeout for data if the SYN was lost [RFC 6298 §5.7].
const AFTER_LOST_SYN: u32 = 3_000_000;
/// The age of the shortest time is counted in units of 2²⁰ µs, modulo 2¹².
const AGE_SHIFT: u32 = 20;
const AGE_MASK: u16 = 0xfff;
/// For how many of these units the shortest time is believed: five minutes [RFC 8985 §6.2].
const MIN_LIFETIME: u16 = 286;

/// The estimate of a connection's round-trip time, and the timeout that follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Rtt {
    /// The smoothed time, times 8; zero before the first sample.
    smoothed8: u32,
    /// The mean deviation, times 4: just what is added to the smoothed time [RFC 6298 §2.3].
    variation4: u32,
    min: u32,
    /// The timeout, backed off.
    rto: u32,
    min_at: u16,
    backoffs: u8,
}

const _: () = assert!(size_of::<Rtt>() <= 20);

impl Rtt {
    /// [6298-1] Before any sample.
    pub(crate) const fn new(initial_rto: u32) -> Self {
        Self { smoothed8: 0, variation4: 0, min: 0, rto: initial_rto, min_at: 0, backoffs: 0 }
    }

    /// Takes a round-trip time of data that was sent once, or that timestamps tell apart [6298-4]. The back-off ends.
    ///
    /// `samples` is how many samples a flight gives, see [`samples_in_flight`]: the average then reaches as far back as
    /// with one sample for each round trip, else the variation would vanish within one [7323-12].
    pub(crate) fn sample(&mut self, rtt: u32, samples: u32, now: u32, limits: RtoLimits) {
        let rtt = rtt.clamp(1, MAX_SAMPLE);
        self.sample_min(rtt, now);
        if self.smoothed8 == 0 {
            // [6298-2]
            self.smoothed8 = rtt * 8;
            self.variation4 = rtt * 2;
        } else {
            let shift = samples.max(1).ilog2();
            let half = (1_i32 << shift) >> 1;
            let error = rtt.cast_signed().wrapping_sub((self.smoothed8 >> 3).cast_signed());
            let deviation = error.abs().wrapping_sub((self.variation4 >> 2).cast_signed());
            // The variation first, by the average as it was [6298-2].
            self.variation4 = self.variation4.saturating_add_signed((deviation + half) >> shift);
            self.smoothed8 = self.smoothed8.saturating_add_signed((error + half) >> shift).max(8);
        }
        self.reset_backoff(limits);
    }

    #[inline]
    fn sample_min(&mut self, rtt: u32, now: u32) {
        let at = (now >> AGE_SHIFT) as u16;
        let old = at.wrapping_sub(self.min_at) & AGE_MASK > MIN_LIFETIME;
        if self.min == 0 || rtt <= self.min || old {
            self.min = rtt;
            self.min_at = at;
        }
    }

    /// How long to wait for an acknowledgment.
    #[inline]
    pub(crate) const fn rto(&self) -> u32 {
        self.rto
    }

    /// [6298-7] The timer ran out: twice as long from now on.
    pub(crate) fn back_off(&mut self, limits: RtoLimits) {
        self.rto = limits.clamp(self.rto.saturating_mul(2));
        self.backoffs = self.backoffs.saturating_add(1);
    }

    /// Back to the timeout that the estimate gives; without an estimate it stays.
    #[inline]
    pub(crate) fn reset_backoff(&mut self, limits: RtoLimits) {
        if self.smoothed8 != 0 {
            // [6298-3] The least timeout is what comes on top of the average at least: an acknowledgment that the peer
            // delays must not be missed where round trips hardly vary.
            let margin = self.variation4.max(GRANULARITY).max(limits.min);
            self.rto = limits.clamp((self.smoothed8 >> 3).saturating_add(margin));
        }
        self.backoffs = 0;
    }

    /// [6298-8] The handshake is over. If its timer ran out, and no sample has been had, nothing is known of the path
    /// but that it may be slow.
    pub(crate) fn established(&mut self, limits: RtoLimits) {
        if self.smoothed8 == 0 && self.backoffs > 0 {
            self.rto = limits.clamp(AFTER_LOST_SYN);
            self.backoffs = 0;
        }
    }

    /// How often the timeout was doubled.
    #[inline]
    pub(crate) const fn backoffs(&self) -> u8 {
        self.backoffs
    }

    /// The smoothed round-trip time; zero before the first sample.
    #[inline]
    pub(crate) const fn smoothed(&self) -> u32 {
        self.smoothed8 >> 3
    }

    /// The mean deviation.
    #[inline]
    pub(crate) const fn variation(&self) -> u32 {
        self.variation4 >> 2
    }

    /// The shortest round-trip time of the last five minutes; zero before the first sample.
    #[inline]
    pub(crate) const fn min(&self) -> u32 {
        self.min
    }
}

/// How many samples to expect from a flight of so many bytes, one for every second segment [RFC 7323 appendix G].
/// Exact within a factor of two, which is what spares a division for each acknowledgment.
#[inline]
pub(crate) fn samples_in_flight(flight: u32, segment: u16) -> u32 {
    let shift = flight.max(1).ilog2().saturating_sub(u32::from(segment).max(1).ilog2() + 1);
    1 << shift
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: RtoLimits = RtoLimits { min: 200_000, max: 60_000_000 };

    fn sampled(rtts: &[u32]) -> Rtt {
        let mut rtt = Rtt::new(1_000_000);
        for &sample in rtts {
            rtt.sample(sample, 1, 0, LIMITS);
        }
        rtt
    }

    /// [6298-1]
    #[test]
    fn it_starts_as_it_is_told() {
        let rtt = Rtt::new(1_000_000);
        assert_eq!((rtt.rto(), rtt.smoothed(), rtt.variation(), rtt.min()), (1_000_000, 0, 0, 0));
    }

    /// [6298-2, 6298-3]
    #[test]
    fn the_first_sample_is_the_average_and_half_of_it_the_variation() {
        let rtt = sampled(&[100_000]);
        assert_eq!((rtt.smoothed(), rtt.variation(), rtt.rto()), (100_000, 50_000, 300_000));
    }

    /// [6298-2] Gains of 1/8 and 1/4; the variation is computed from the average before it moves.
    #[test]
    fn later_samples_move_the_average_by_an_eighth_and_the_variation_by_a_quarter() {
        let rtt = sampled(&[100_000, 180_000]);
        assert_eq!(rtt.smoothed(), 110_000);
        assert_eq!(rtt.variation(), 50_000 + (80_000 - 50_000) / 4);
        assert_eq!(rtt.rto(), 110_000 + 4 * 57_500);
    }

    /// [6298-3]
    #[test]
    fn the_timeout_is_longer_than_the_average_by_the_least_timeout_at_least() {
        assert_eq!(sampled(&[1_000; 50]).rto(), 1_000 + LIMITS.min);
        assert_eq!(sampled(&[u32::MAX]).rto(), 60_000_000);
        let steady = sampled(&[1_000_000; 200]);
        assert_eq!(steady.rto(), 1_000_000 + LIMITS.min);
        // Limits in the wrong order are a strange wish, not a panic.
        let mut strange = Rtt::new(5);
        strange.sample(7, 1, 0, RtoLimits { min: 9, max: 3 });
        assert_eq!(strange.rto(), 3);
    }

    /// [6298-7, 6298-4] The back-off holds until a sample is had.
    #[test]
    fn each_expiry_doubles_the_timeout_until_a_new_sample() {
        let mut rtt = sampled(&[100_000]);
        for (count, expected) in [(1, 600_000), (2, 1_200_000), (3, 2_400_000)] {
            rtt.back_off(LIMITS);
            assert_eq!((rtt.backoffs(), rtt.rto()), (count, expected));
        }
        for _ in 0..300 {
            rtt.back_off(LIMITS);
        }
        assert_eq!((rtt.backoffs(), rtt.rto()), (255, 60_000_000));
        rtt.sample(100_000, 1, 0, LIMITS);
        assert_eq!((rtt.backoffs(), rtt.rto()), (0, 100_000 + LIMITS.min));
    }

    /// [6298-8]
    #[test]
    fn after_a_lost_syn_data_waits_three_seconds() {
        let mut rtt = Rtt::new(1_000_000);
        rtt.back_off(LIMITS);
        rtt.established(LIMITS);
        assert_eq!((rtt.rto(), rtt.backoffs()), (3_000_000, 0));

        let mut quick = Rtt::new(1_000_000);
        quick.established(LIMITS);
        assert_eq!(quick.rto(), 1_000_000, "no SYN was lost");

        let mut timed = Rtt::new(1_000_000);
        timed.back_off(LIMITS);
        timed.sample(50_000, 1, 0, LIMITS);
        timed.established(LIMITS);
        assert_eq!(timed.rto(), 50_000 + LIMITS.min, "a timestamp told the time of the SYN sent again");
    }

    /// [7323-12] A hundred samples a round trip do not wipe out the memory of a jitter within one.
    #[test]
    fn many_samples_a_flight_keep_the_variation() {
        let (mut one, mut many) = (sampled(&[100_000, 200_000]), sampled(&[100_000, 200_000]));
        one.sample(110_000, 1, 0, LIMITS);
        for _ in 0..64 {
            many.sample(110_000, 64, 0, LIMITS);
        }
        assert!(one.smoothed().abs_diff(many.smoothed()) < 1_000, "{one:?} {many:?}");
        assert!(one.variation().abs_diff(many.variation()) < 5_000, "{one:?} {many:?}");
    }

    /// Small steps are rounded both ways, so that many of them do not wear the estimate down.
    #[test]
    fn a_steady_jitter_stays_in_the_variation() {
        let mut rtt = sampled(&[100_000]);
        for _ in 0..5_000 {
            rtt.sample(100_000, 64, 0, LIMITS);
        }
        assert_eq!(rtt.smoothed(), 100_000);
        for _ in 0..5_000 {
            rtt.sample(150_000, 64, 0, LIMITS);
            rtt.sample(50_000, 64, 0, LIMITS);
        }
        assert!(rtt.smoothed().abs_diff(100_000) < 500 && rtt.variation().abs_diff(50_000) < 100, "{rtt:?}");
    }

    #[test]
    fn the_shortest_time_is_forgotten_after_five_minutes() {
        let mut rtt = Rtt::new(1_000_000);
        let mut now = 4_000_000_000_u32;
        rtt.sample(10_000, 1, now, LIMITS);
        for _ in 0..4 {
            now = now.wrapping_add(60_000_000);
            rtt.sample(30_000, 1, now, LIMITS);
            assert_eq!(rtt.min(), 10_000);
        }
        now = now.wrapping_add(120_000_000);
        rtt.sample(30_000, 1, now, LIMITS);
        assert_eq!(rtt.min(), 30_000);
    }

    #[test]
    fn expected_samples_are_half_the_segments_to_within_two() {
        for (flight, segment, exact) in
            [(0, 1_460, 0), (14_600, 1_460, 5), (1_000_000, 1_460, 342), (5, 0, 2)]
        {
            let samples = samples_in_flight(flight, segment);
            assert!(
                samples >= 1 && samples <= 2 * exact.max(1) && 2 * samples >= exact,
                "{flight}: {samples}"
            );
        }
    }

    proptest! {
        /// Whatever the samples, the estimate lies among them, and the timeout within its limits.
        #[test]
        fn the_estimate_lies_among_the_samples(
            samples in prop::collection::vec((1_u32..10_000_000, 0_u32..5_000), 1..60),
        ) {
            let mut rtt = Rtt::new(1_000_000);
            for &(sample, expected) in &samples {
                rtt.sample(sample, expected, 0, LIMITS);
            }
            let all = samples.iter().map(|&(sample, _)| sample);
            let (low, high) = (all.clone().min().unwrap(), all.max().unwrap());
            prop_assert!(low <= rtt.smoothed() && rtt.smoothed() <= high);
            prop_assert_eq!(rtt.min(), low);
            prop_assert!(rtt.rto() >= LIMITS.min.max(rtt.smoothed()) && rtt.rto() <= LIMITS.max);
        }
    }
}
