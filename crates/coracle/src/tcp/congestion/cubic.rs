//! CUBIC [RFC 9438] in integers, with `HyStart++` [RFC 9406] in the first slow start.
//!
//! The window follows `W(t) = C·(t − K)³ + W_max`, in segments and seconds. Instead of `K` and the start of the epoch
//! this code keeps their sum, the time at which the curve passes `W_max`: it follows from the window at any moment, so
//! an epoch can be interrupted (nothing to send) or resumed (a reduction undone) and goes on at its place on the
//! curve.

#[cfg(test)]
mod tests;

use super::{AckSample, CongestionControl, CongestionWindow};

/// CUBIC [RFC 9438], the algorithm for fast and long paths. See [`CongestionControl`].
///
/// It leaves the first slow start early when round trips grow longer [RFC 9406].
#[derive(Clone, Copy, Debug)]
pub struct Cubic;

/// [`Cubic`], to be set as a connection's algorithm.
pub static CUBIC: Cubic = Cubic;

/// Segments that one acknowledgment may add in slow start: the first, which `HyStart++` ends [RFC 9406 §4.2], and any
/// later one [RFC 3465 §2.2].
const FIRST_LIMIT: u32 = 8;
const LIMIT: u32 = 2;

/// Reno's window grows in steps of this part of a round trip's growth: whole steps would lag by a segment.
const PARTS: u32 = 8;

/// Epochs do not get older, which is far beyond what any window needs; so times stay comparable.
const MAX_AGE: i32 = 1 << 30;

/// The note that an epoch runs: `origin` holds.
const RUNNING: u8 = 1;

/// The state of congestion avoidance, in the words of the window. In the first slow start, when the threshold is not
/// set, the words are those of [`HyStart`].
struct Curve {
    /// The window at which the curve is flat, in bytes; zero if the next epoch is to begin there.
    max: u32,
    /// When the curve passes `max`, in microseconds modulo 2³².
    origin: u32,
    /// The window that Reno would have (`W_est`), in bytes; zero at the begin of an epoch.
    reno: u32,
    /// Bytes acknowledged since `reno` last grew.
    acked: u32,
    /// `max` before the last reduction.
    prior_max: u32,
}

impl Curve {
    #[inline]
    fn load(window: &CongestionWindow) -> Self {
        if window.threshold == u32::MAX {
            return Self { max: 0, origin: 0, reno: 0, acked: 0, prior_max: 0 };
        }
        let [max, origin, reno, acked, prior_max] = window.words;
        Self { max, origin, reno, acked, prior_max }
    }

    #[inline]
    fn store(self, window: &mut CongestionWindow) {
        window.words = [self.max, self.origin, self.reno, self.acked, self.prior_max];
    }

    /// Begins or resumes an epoch: the curve is laid through the present window.
    fn begin(&mut self, window: &CongestionWindow, now: u32) {
        if self.max == 0 {
            // After slow start, or a timeout [RFC 9438 §4.8, §4.10].
            self.max = window.window;
        }
        let away = micros_from_flat(self.max.abs_diff(window.window), window.segment);
        self.origin = if self.max >= window.window { now.wrapping_add(away) } else { now.wrapping_sub(away) };
        if self.reno == 0 {
            self.reno = window.window;
            self.acked = 0;
        }
    }

    /// [9438-3] Moves Reno's window on by α segments for each window acknowledged [RFC 9438 §4.3].
    #[inline]
    fn grow_reno(&mut self, window: &CongestionWindow, acked: u32) {
        self.acked = self.acked.saturating_add(acked);
        let part = (window.window / PARTS).max(1);
        if self.acked < part {
            return;
        }
        let parts = self.acked / part;
        self.acked %= part;
        let segment = u32::from(window.segment);
        // α is 3·(1 − β)/(1 + β) until the window is what it was before the loss, then 1.
        let step = if self.reno < window.prior_window { segment * 9 / 17 } else { segment };
        self.reno = self.reno.saturating_add(step.saturating_mul(parts) / PARTS);
    }

    /// [9438-2] What the window should be a round trip from now on.
    #[inline]
    fn target(&mut self, window: &CongestionWindow, ack: &AckSample) -> u32 {
        let mut age = ack.now.wrapping_sub(self.origin).cast_signed();
        if age > MAX_AGE {
            age = MAX_AGE;
            self.origin = ack.now.wrapping_sub(MAX_AGE as u32);
        }
        let ahead = age.saturating_add_unsigned(ack.smoothed_rtt);
        let away = bytes_from_flat(ahead.unsigned_abs(), window.segment);
        let on_curve = if ahead < 0 { self.max.saturating_sub(away) } else { self.max.saturating_add(away) };
        on_curve.clamp(window.window, window.window.saturating_add(window.window / 2))
    }
}

impl Cubic {
    /// What a reduction changes of the curve; returns the new threshold.
    fn reduced(curve: &mut Curve, window: &CongestionWindow, in_flight: u32) -> u32 {
        curve.prior_max = curve.max;
        // [9438-5] A second loss before the old maximum is reached: somebody else wants a share.
        curve.max = if window.window < curve.max {
            (u64::from(window.window) * 17 / 20) as u32
        } else {
            window.window
        };
        curve.reno = 0;
        // [9438-1, 9438-4]
        (u64::from(in_flight) * 7 / 10) as u32
    }
}

impl CongestionControl for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    #[inline]
    fn acknowledged(&self, window: &mut CongestionWindow, ack: &AckSample) {
        if !ack.window_limited {
            if window.threshold != u32::MAX {
                // [9438-7] The curve is laid anew when the window is in use again, so the time until then does not
                // count.
                window.notes &= !RUNNING;
            }
            return;
        }
        let mut rest = ack.acked;
        if window.in_slow_start() {
            rest = if window.threshold == u32::MAX {
                HyStart::acknowledged(window, ack)
            } else {
                window.slow_start(rest, LIMIT)
            };
            if rest == 0 {
                return;
            }
        }
        let mut curve = Curve::load(window);
        if window.notes & RUNNING == 0 {
            window.notes |= RUNNING;
            curve.begin(window, ack.now);
        }
        curve.grow_reno(window, rest);
        let above = curve.target(window, ack) - window.window;
        // A part of a byte that is lost here only makes the window follow the curve a little later.
        let step = match rest.checked_mul(above) {
            Some(product) => product / window.window.max(1),
            None => (u64::from(rest) * u64::from(above) / u64::from(window.window.max(1))).min(above.into())
                as u32,
        };
        window.grow(step.min(above).max(curve.reno.saturating_sub(window.window)));
        curve.store(window);
    }

    fn congested(&self, window: &mut CongestionWindow, sample: &AckSample) {
        let mut curve = Curve::load(window);
        let threshold = Self::reduced(&mut curve, window, sample.in_flight);
        window.notes = 0;
        window.reduce(threshold);
        curve.store(window);
    }

    fn timed_out(&self, window: &mut CongestionWindow, sample: &AckSample) {
        let mut curve = Curve::load(window);
        if window.has_timed_out() {
            window.collapse(0);
            return;
        }
        let threshold = Self::reduced(&mut curve, window, sample.in_flight);
        // [9438-6] The next epoch begins at the window with which congestion avoidance does.
        curve.max = 0;
        window.notes = 0;
        window.collapse(threshold);
        curve.store(window);
    }

    /// [9438-8]
    fn undo(&self, window: &mut CongestionWindow) {
        let mut curve = Curve::load(window);
        window.restore();
        window.notes = 0;
        curve.max = curve.prior_max;
        // What it was is not known any more; it was at least what the epoch began with.
        curve.reno = window.threshold.min(window.window);
        if window.threshold == u32::MAX {
            HyStart::default().store(window);
        } else {
            curve.store(window);
        }
    }

    fn idle(&self, window: &mut CongestionWindow, idle: u32, rto: u32) {
        window.restart(idle, rto);
        if window.threshold != u32::MAX {
            // [9438-7]
            window.notes &= !RUNNING;
        }
    }
}

/// Bytes between the flat of the curve and its height `micros` before or after: `0.4·t³` segments.
#[inline]
fn bytes_from_flat(micros: u32, segment: u16) -> u32 {
    let micros = u64::from(micros.min(MAX_AGE as u32));
    // µs³/2³⁰ is at most 2⁶⁰; segments in units of 2⁻¹⁶ are 0.4·2³⁰·2¹⁶/10¹⁸ of it, which is 30,223/2³⁰.
    let cube = ((micros * micros) >> 20) * (micros >> 10);
    let segments = ((cube >> 14) * 30_223) >> 16;
    u32::try_from((segments * u64::from(segment)) >> 16).unwrap_or(u32::MAX)
}

/// The inverse: how long before or after the flat the curve is so many bytes away from it, in microseconds.
fn micros_from_flat(bytes: u32, segment: u16) -> u32 {
    // In milliseconds, the cube is 2.5·10⁹·segments: less than 2⁶⁴, and its root less than 2²².
    let cube = u64::from(bytes) * 2_500_000_000 / u64::from(segment.max(1));
    (cube_root(cube) * 1_000).min(MAX_AGE as u32)
}

/// The largest integer whose cube is not above the number.
fn cube_root(number: u64) -> u32 {
    let mut root = 0_u64;
    for bit in (0..22).rev() {
        let more = root | 1 << bit;
        if (more * more).checked_mul(more).is_some_and(|cube| cube <= number) {
            root = more;
        }
    }
    root as u32
}

/// [9406-1] `HyStart++` [RFC 9406]: round trips that become longer say that a queue builds up, before it overflows.
///
/// A round is as many acknowledged bytes as were on the way when it began. The words and notes of the window are its
/// state as long as the threshold is not set.
#[derive(Default)]
struct HyStart {
    /// Bytes to be acknowledged until the round ends.
    left: u32,
    /// The shortest round trip of the round before, zero if none.
    last_min: u32,
    /// The shortest one of this round, zero if none.
    min: u32,
    /// The shortest one when growth was slowed down.
    baseline: u32,
    samples: u8,
    /// Rounds of slowed-down growth, the present one included; zero in plain slow start.
    slow_rounds: u8,
}

/// Samples that make a round's shortest round trip worth anything.
const SAMPLES: u8 = 8;
/// Rounds of slowed-down growth after which slow start ends.
const SLOW_ROUNDS: u8 = 5;
/// By how much growth is slowed down.
const SLOW_DIVISOR: u32 = 4;
/// How much longer a round trip must be, in microseconds: an eighth, but within these.
const MIN_INCREASE: u32 = 4_000;
const MAX_INCREASE: u32 = 16_000;

impl HyStart {
    #[inline]
    fn load(window: &CongestionWindow) -> Self {
        let [left, last_min, min, baseline, _] = window.words;
        Self { left, last_min, min, baseline, samples: window.notes & 15, slow_rounds: window.notes >> 4 }
    }

    #[inline]
    fn store(self, window: &mut CongestionWindow) {
        window.words = [self.left, self.last_min, self.min, self.baseline, 0];
        window.notes = self.samples | self.slow_rounds << 4;
    }

    /// Grows the window; returns the acknowledged bytes that are left, if slow start is over.
    #[inline]
    fn acknowledged(window: &mut CongestionWindow, ack: &AckSample) -> u32 {
        let mut state = Self::load(window);
        if state.round(ack) {
            window.threshold = window.window;
            window.prior_window = window.window;
            window.words = [0; 5];
            window.notes = 0;
            return ack.acked;
        }
        state.judge();
        let step = ack.acked.min(FIRST_LIMIT * u32::from(window.segment));
        window.grow(if state.slow_rounds > 0 { step / SLOW_DIVISOR } else { step });
        state.store(window);
        0
    }

    /// Counts the acknowledgment in; true at the end of the last round of slowed-down growth.
    #[inline]
    fn round(&mut self, ack: &AckSample) -> bool {
        if self.left <= ack.acked {
            self.left = ack.in_flight.max(1);
            self.last_min = self.min;
            self.min = 0;
            self.samples = 0;
            if self.slow_rounds > 0 {
                self.slow_rounds += 1;
                if self.slow_rounds > SLOW_ROUNDS {
                    return true;
                }
            }
        } else {
            self.left -= ack.acked;
        }
        if let Some(rtt) = ack.rtt {
            self.min = if self.min == 0 { rtt.max(1) } else { self.min.min(rtt.max(1)) };
            self.samples = (self.samples + 1).min(SAMPLES);
        }
        false
    }

    /// Slows growth down when this round's trips are longer, and lets it go again when they were not after all.
    #[inline]
    fn judge(&mut self) {
        if self.samples < SAMPLES {
            return;
        }
        if self.slow_rounds > 0 {
            if self.min < self.baseline {
                self.slow_rounds = 0;
            }
        } else if self.last_min != 0 {
            let increase = (self.last_min / 8).clamp(MIN_INCREASE, MAX_INCREASE);
            if self.min >= self.last_min.saturating_add(increase) {
                self.baseline = self.min;
                self.slow_rounds = 1;
            }
        }
    }
}
