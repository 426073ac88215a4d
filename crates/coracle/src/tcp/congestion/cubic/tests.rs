use proptest::prelude::*;

use super::*;

const MSS: u16 = 1_460;
const SEGMENT: u32 = MSS as u32;

/// RFC 9438 as it is written: in segments, seconds and floating point, with `K` and the start of the epoch.
struct Model {
    cwnd: f64,
    cwnd_prior: f64,
    w_max: f64,
    k: f64,
    epoch: Option<f64>,
    w_est: f64,
}

impl Model {
    const BETA: f64 = 0.7;
    const C: f64 = 0.4;

    /// §4.6, §4.7: a loss with the whole window on the way.
    fn congested(&mut self) {
        self.cwnd_prior = self.cwnd;
        self.w_max = if self.cwnd < self.w_max { self.cwnd * (1.0 + Self::BETA) / 2.0 } else { self.cwnd };
        self.cwnd *= Self::BETA;
        self.k = ((self.w_max - self.cwnd) / Self::C).cbrt();
        self.epoch = None;
        self.w_est = self.cwnd;
    }

    fn w_cubic(&self, t: f64) -> f64 {
        Self::C * (t - self.k).powi(3) + self.w_max
    }

    /// §4.2 to §4.5.
    fn acknowledged(&mut self, segments: f64, now: f64, rtt: f64) {
        // The stage of congestion avoidance begins with its first acknowledgment.
        let t = now - *self.epoch.get_or_insert(now);
        let alpha =
            if self.w_est < self.cwnd_prior { 3.0 * (1.0 - Self::BETA) / (1.0 + Self::BETA) } else { 1.0 };
        self.w_est += alpha * segments / self.cwnd;
        if self.w_cubic(t) < self.w_est {
            self.cwnd = self.cwnd.max(self.w_est);
        } else {
            let target = self.w_cubic(t + rtt).clamp(self.cwnd, 1.5 * self.cwnd);
            self.cwnd += segments * (target - self.cwnd) / self.cwnd;
        }
    }
}

struct Path {
    window: CongestionWindow,
    model: Model,
    /// Microseconds, counted on past 2³².
    now: u64,
    rtt: u32,
}

impl Path {
    /// A loss at a window of so many segments, which was above the one before.
    fn after_a_loss(segments: u32, rtt: u32) -> Self {
        let mut window = CongestionWindow::new(MSS, 10);
        window.window = segments * SEGMENT;
        let cwnd = f64::from(segments);
        let model = Model { cwnd, cwnd_prior: 0.0, w_max: 0.0, k: 0.0, epoch: None, w_est: 0.0 };
        // The connection's clock wraps while the curve is followed.
        let mut path = Self { window, model, now: u64::from(u32::MAX) - 3_000_000, rtt };
        path.lose();
        path
    }

    fn seconds(&self) -> f64 {
        f64::from((self.now / 1_000) as u32) / 1e3 + f64::from((self.now % 1_000) as u32) / 1e6
    }

    fn sample(&self, segments: u32) -> AckSample {
        AckSample {
            now: self.now as u32,
            acked: segments * SEGMENT,
            in_flight: self.window.window,
            rtt: Some(self.rtt),
            smoothed_rtt: self.rtt,
            min_rtt: self.rtt,
            window_limited: true,
        }
    }

    fn acknowledge(&mut self, segments: u32) {
        let sample = self.sample(segments);
        CUBIC.acknowledged(&mut self.window, &sample);
    }

    fn lose(&mut self) {
        let sample = self.sample(0);
        CUBIC.congested(&mut self.window, &sample);
        CUBIC.recovered(&mut self.window, &sample);
        self.model.congested();
    }

    /// Acknowledgments of two segments each, evenly over the round trip, for so many seconds; the largest deviation
    /// from the model, as a part of it.
    fn run(&mut self, seconds: u64) -> f64 {
        let end = self.now + seconds * 1_000_000;
        let mut worst = 0.0_f64;
        while self.now < end {
            let acks = (self.window.window / SEGMENT / 2).max(1);
            for _ in 0..acks {
                self.now += u64::from((self.rtt / acks).max(1));
                self.acknowledge(2);
                let now = self.seconds();
                self.model.acknowledged(2.0, now, f64::from(self.rtt) / 1e6);
                let ours = f64::from(self.window.window) / f64::from(SEGMENT);
                worst = worst.max((ours - self.model.cwnd).abs() / self.model.cwnd);
            }
        }
        worst
    }
}

/// [9438-1, 9438-2, 9438-3, 9438-5]
#[test]
fn the_window_follows_the_formulas() {
    // Long and fast, where the cube rules; short, where Reno would be faster; and in between.
    for (segments, rtt, seconds) in
        [(100, 100_000, 20), (2_000, 100_000, 30), (100, 5_000, 10), (30, 300_000, 60), (20_000, 20_000, 5)]
    {
        let mut path = Path::after_a_loss(segments, rtt);
        let worst = path.run(seconds);
        assert!(worst < 0.01, "{segments} segments, {rtt} µs: {worst}");
        // A second loss right away comes below the old maximum.
        path.lose();
        path.run(1);
        path.lose();
        let worst = path.run(seconds);
        assert!(worst < 0.01, "{segments} segments, {rtt} µs, second loss: {worst}");
    }
}

/// [9438-1, 9438-4]
#[test]
fn a_loss_leaves_seven_tenths_of_what_is_on_the_way_and_two_segments_at_least() {
    let mut path = Path::after_a_loss(100, 100_000);
    assert_eq!((path.window.window, path.window.threshold), (70 * SEGMENT, 70 * SEGMENT));
    let sample = AckSample { in_flight: 50 * SEGMENT, ..path.sample(0) };
    CUBIC.congested(&mut path.window, &sample);
    assert_eq!(path.window.threshold, 35 * SEGMENT);
    let sample = AckSample { in_flight: SEGMENT, ..path.sample(0) };
    CUBIC.congested(&mut path.window, &sample);
    assert_eq!(path.window.threshold, 2 * SEGMENT);
}

/// [9438-5]
#[test]
fn a_loss_below_the_old_maximum_gives_up_a_share() {
    let mut path = Path::after_a_loss(100, 100_000);
    let sample = path.sample(0);
    CUBIC.congested(&mut path.window, &sample);
    assert_eq!(Curve::load(&path.window).max, 70 * SEGMENT * 17 / 20);
    // Just at the old maximum nothing is given up.
    path.window.window = 70 * SEGMENT * 17 / 20;
    CUBIC.congested(&mut path.window, &sample);
    assert_eq!(Curve::load(&path.window).max, 70 * SEGMENT * 17 / 20);
}

/// [9438-3] Over a short path, where the cube hardly grows: α segments a window up to the old one, then one.
#[test]
fn it_is_never_slower_than_reno_would_be() {
    let mut path = Path::after_a_loss(100, 1_000);
    let mut windows = 0.0;
    while path.window.window < 100 * SEGMENT {
        let acks = path.window.window / SEGMENT;
        for _ in 0..acks {
            path.now += 1_000 / u64::from(acks);
            path.acknowledge(1);
        }
        windows += 1.0;
    }
    // 30 segments at 9/17 a round trip.
    assert!((50.0..=60.0).contains(&windows), "{windows}");
    let before = path.window.window;
    for _ in 0..10 * (before / SEGMENT) {
        path.acknowledge(1);
    }
    assert!((8..=11).contains(&((path.window.window - before) / SEGMENT)));
}

/// [9438-2] No more than half of the window more in a round trip, however far ahead the curve is.
#[test]
fn the_target_is_half_a_window_ahead_at_most() {
    let mut path = Path::after_a_loss(10, 100_000);
    path.run(1);
    path.now += 200_000_000;
    let before = path.window.window;
    let mut acked = 0;
    while acked < before {
        path.acknowledge(1);
        acked += SEGMENT;
    }
    let grown = path.window.window - before;
    assert!(grown >= before * 2 / 5 && grown <= before / 2 + SEGMENT, "{grown} of {before}");
}

/// [9438-7]
#[test]
fn time_without_enough_to_send_does_not_count() {
    let mut path = Path::after_a_loss(100, 100_000);
    path.run(2);
    let before = path.window.window;
    let unused = AckSample { window_limited: false, ..path.sample(2) };
    CUBIC.acknowledged(&mut path.window, &unused);
    path.now += 100_000_000;
    for _ in 0..10 {
        path.acknowledge(2);
    }
    assert!(path.window.window - before < SEGMENT, "{} {before}", path.window.window);

    path.run(1);
    let before = path.window.window;
    CUBIC.idle(&mut path.window, 100_000_000, u32::MAX);
    path.now += 100_000_000;
    for _ in 0..10 {
        path.acknowledge(2);
    }
    assert!(path.window.window - before < SEGMENT, "{} {before}", path.window.window);
}

/// [9438-6] After a timeout the curve begins flat where slow start ends.
#[test]
fn after_a_timeout_the_curve_begins_at_the_end_of_slow_start() {
    let mut path = Path::after_a_loss(100, 100_000);
    let sample = path.sample(0);
    CUBIC.timed_out(&mut path.window, &sample);
    assert_eq!((path.window.window, path.window.threshold), (SEGMENT, 49 * SEGMENT));
    let sample = path.sample(0);
    CUBIC.recovered(&mut path.window, &sample);
    while path.window.in_slow_start() {
        path.now += 1_000;
        path.acknowledge(2);
    }
    path.acknowledge(2);
    let curve = Curve::load(&path.window);
    assert!(curve.max.abs_diff(49 * SEGMENT) < SEGMENT);
    assert!((path.now as u32).wrapping_sub(curve.origin) < 100_000);
}

/// [9438-8] As if the loss had not been: it goes on at the same place of the curve.
#[test]
fn an_undone_loss_does_not_move_the_curve() {
    for before in [1, 4, 8] {
        let mut path = Path::after_a_loss(400, 100_000);
        path.run(before);
        let sample = path.sample(0);
        CUBIC.congested(&mut path.window, &sample);
        CUBIC.recovered(&mut path.window, &sample);
        path.acknowledge(2);
        CUBIC.undo(&mut path.window);
        let worst = path.run(4);
        assert!(worst < 0.02, "after {before} s: {worst}");
    }
}

/// Whole rounds of acknowledgments of one segment each, all with the same round-trip time.
fn rounds(window: &mut CongestionWindow, count: u32, rtt: u32) {
    for _ in 0..count {
        let flight = window.window;
        for _ in 0..flight / SEGMENT {
            let sample = AckSample {
                acked: SEGMENT,
                in_flight: flight,
                rtt: Some(rtt),
                smoothed_rtt: rtt,
                min_rtt: rtt,
                window_limited: true,
                now: 0,
            };
            CUBIC.acknowledged(window, &sample);
        }
    }
}

/// [9406-1]
#[test]
fn the_first_slow_start_doubles_while_round_trips_stay_short() {
    let mut window = CongestionWindow::new(MSS, 10);
    rounds(&mut window, 5, 50_000);
    assert_eq!((window.window, window.threshold), (320 * SEGMENT, u32::MAX));
}

/// [9406-1] An eighth of 80 ms more is the sign; then a quarter of the growth for five rounds.
#[test]
fn longer_round_trips_slow_the_growth_down_and_end_slow_start() {
    let mut window = CongestionWindow::new(MSS, 10);
    rounds(&mut window, 3, 80_000);
    let before = window.window;
    rounds(&mut window, 1, 89_000);
    assert_eq!(window.window, 2 * before, "nine milliseconds are less than an eighth");
    let before = window.window;
    rounds(&mut window, 1, 99_000 + 2_000);
    assert!(HyStart::load(&window).slow_rounds == 1);
    let slowed = window.window - before;
    assert!(slowed < before / 3, "{slowed} of {before}");
    let mut count = 0;
    while window.threshold == u32::MAX {
        rounds(&mut window, 1, 101_000);
        count += 1;
    }
    assert_eq!(count, 5);
    assert!(window.window >= window.threshold);
    // Congestion avoidance, with the curve flat where slow start ended.
    let curve = Curve::load(&window);
    assert_eq!(curve.max, window.threshold);
}

/// [9406-1] A few long round trips are not enough.
#[test]
fn fewer_than_eight_samples_say_nothing() {
    let mut window = CongestionWindow::new(MSS, 20);
    rounds(&mut window, 2, 80_000);
    let sample =
        AckSample { acked: SEGMENT, in_flight: window.window, window_limited: true, ..AckSample::default() };
    for _ in 0..7 {
        CUBIC.acknowledged(&mut window, &AckSample { rtt: Some(200_000), ..sample });
    }
    for _ in 0..20 {
        CUBIC.acknowledged(&mut window, &sample);
    }
    assert_eq!(HyStart::load(&window).slow_rounds, 0);
    CUBIC.acknowledged(&mut window, &AckSample { rtt: Some(200_000), ..sample });
    assert_eq!(HyStart::load(&window).slow_rounds, 1);
}

/// [9406-1] It is the shortest round trip of a round that counts.
#[test]
fn one_short_round_trip_among_long_ones_is_no_queue() {
    let mut window = CongestionWindow::new(MSS, 20);
    rounds(&mut window, 2, 80_000);
    let sample =
        AckSample { acked: 0, in_flight: window.window, window_limited: true, ..AckSample::default() };
    // A new round begins with the first of them.
    CUBIC.acknowledged(&mut window, &AckSample { acked: 100 * SEGMENT, rtt: Some(200_000), ..sample });
    for rtt in [200_000, 80_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000] {
        CUBIC.acknowledged(&mut window, &AckSample { rtt: Some(rtt), ..sample });
    }
    assert_eq!(HyStart::load(&window).slow_rounds, 0);
}

/// What the first slow start has noted is nothing to the curve that comes after it.
#[test]
fn the_curve_begins_afresh_after_the_first_slow_start() {
    let now = 3_000_000_000;
    for reduce in [Cubic::congested as fn(&Cubic, &mut CongestionWindow, &AckSample), Cubic::timed_out] {
        let mut window = CongestionWindow::new(MSS, 20);
        let sample = AckSample {
            now,
            acked: SEGMENT,
            in_flight: window.window,
            window_limited: true,
            ..AckSample::default()
        };
        for _ in 0..7 {
            CUBIC.acknowledged(&mut window, &AckSample { rtt: Some(50_000), ..sample });
        }
        reduce(&CUBIC, &mut window, &sample);
        CUBIC.recovered(&mut window, &sample);
        while window.in_slow_start() {
            CUBIC.acknowledged(&mut window, &sample);
        }
        CUBIC.acknowledged(&mut window, &sample);
        let away = now.abs_diff(Curve::load(&window).origin);
        assert!(away < 5_000_000, "{away}");
    }
}

/// The same where slow start ends by itself, in a round with an odd number of samples.
#[test]
fn the_curve_begins_afresh_when_slow_start_ends() {
    let mut window = CongestionWindow::new(MSS, 20);
    rounds(&mut window, 2, 80_000);
    rounds(&mut window, 1, 120_000);
    let now = 3_000_000_000;
    while window.threshold == u32::MAX {
        let flight = window.window;
        for _ in 0..flight / SEGMENT {
            let rtt = (HyStart::load(&window).samples < 7).then_some(120_000);
            let sample = AckSample {
                now,
                acked: SEGMENT,
                in_flight: flight,
                rtt,
                window_limited: true,
                ..AckSample::default()
            };
            CUBIC.acknowledged(&mut window, &sample);
        }
    }
    assert!(now.abs_diff(Curve::load(&window).origin) < 5_000_000);
}

/// [9406-1] The longer time was another flow's burst.
#[test]
fn shorter_round_trips_again_let_it_grow_on() {
    let mut window = CongestionWindow::new(MSS, 10);
    rounds(&mut window, 3, 80_000);
    rounds(&mut window, 1, 120_000);
    assert_eq!(HyStart::load(&window).slow_rounds, 1);
    rounds(&mut window, 2, 80_000);
    assert_eq!(HyStart::load(&window).slow_rounds, 0);
    let before = window.window;
    rounds(&mut window, 1, 80_000);
    assert_eq!(window.window, 2 * before);
}

/// [9406-1] Eight segments at most for one acknowledgment.
#[test]
fn one_acknowledgment_of_very_much_adds_eight_segments() {
    let mut window = CongestionWindow::new(MSS, 40);
    let sample = AckSample {
        acked: 40 * SEGMENT,
        in_flight: 40 * SEGMENT,
        window_limited: true,
        ..AckSample::default()
    };
    CUBIC.acknowledged(&mut window, &sample);
    assert_eq!(window.window, 48 * SEGMENT);
}

#[test]
fn cube_roots_are_exact_at_the_edges() {
    for root in [0_u64, 1, 2, 3, 1_000, 1_357, 2_097_151, 2_642_245] {
        let cube = root * root * root;
        assert_eq!(u64::from(cube_root(cube)), root);
        if cube > 0 {
            assert_eq!(u64::from(cube_root(cube - 1)), root - 1);
        }
    }
    assert_eq!(cube_root(u64::MAX), 2_642_245);
}

proptest! {
    #[test]
    fn the_curve_is_the_cube(micros in 300_000_u32..1 << 30, segment in 64_u16..9_000) {
        let exact = 0.4 * (f64::from(micros) / 1e6).powi(3) * f64::from(segment);
        let ours = f64::from(bytes_from_flat(micros, segment));
        if exact < 4.2e9 {
            prop_assert!((ours - exact).abs() <= exact * 0.01 + 1.0, "{ours} {exact}");
        } else {
            prop_assert!(ours > 4.2e9);
        }
    }

    #[test]
    fn the_time_is_the_inverse_of_the_curve(bytes in 64_u32..u32::MAX, segment in 64_u16..9_000) {
        let exact = (f64::from(bytes) / f64::from(segment) / 0.4).cbrt() * 1e6;
        let ours = f64::from(micros_from_flat(bytes, segment));
        prop_assert!((ours - exact.min(f64::from(MAX_AGE))).abs() <= exact * 0.01, "{ours} {exact}");
    }
}
