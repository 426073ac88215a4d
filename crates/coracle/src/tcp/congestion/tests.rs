use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const MSS: u32 = 1_460;

fn ack(acked: u32, in_flight: u32) -> AckSample {
    AckSample { acked, in_flight, window_limited: true, ..AckSample::default() }
}

fn at_threshold(segments: u32) -> CongestionWindow {
    let mut window = CongestionWindow::new(MSS as u16, 10);
    window.window = segments * MSS;
    window.threshold = window.window;
    window
}

/// [5681-1] as RFC 6928 §2 has it.
#[test]
fn the_initial_window_is_ten_segments_or_as_many_bytes() {
    for (segment, expected) in [(1_460, 14_600), (536, 5_360), (2_000, 14_600), (8_960, 17_920), (0, 10)] {
        assert_eq!(CongestionWindow::new(segment, 10).window, expected, "{segment}");
    }
    assert_eq!(CongestionWindow::new(1_460, 1).window, 2_920 / 2);
    assert_eq!(CongestionWindow::new(1_460, 0).window, 1_460);
    assert_eq!(CongestionWindow::new(1_460, 255).window, 63 * 1_460);
}

#[test]
fn a_change_of_the_segments_makes_the_first_window_anew_and_keeps_a_later_one() {
    let mut window = CongestionWindow::new(536, 10);
    window.set_segment(1_460);
    assert_eq!(window.window, 14_600);
    window.grow(1);
    window.set_segment(536);
    assert_eq!(window.window, 14_601);
    window.collapse(0);
    window.set_segment(1_460);
    assert_eq!((window.window, window.threshold), (1_460, 2_920));
}

#[test]
fn the_window_is_put_to_the_test_by_half_in_slow_start_and_by_all_later() {
    let window = CongestionWindow::new(1_460, 10);
    assert!(window.is_limiting(7_300) && !window.is_limiting(7_299));
    let window = at_threshold(10);
    assert!(window.is_limiting(9 * MSS + 1) && !window.is_limiting(9 * MSS));
}

/// [5681-2] with the limits of RFC 3465.
#[test]
fn slow_start_adds_what_was_acknowledged_up_to_two_segments() {
    let mut window = CongestionWindow::new(1_460, 10);
    for (acked, grown) in [(100, 100), (MSS, MSS), (2 * MSS, 2 * MSS), (10 * MSS, 2 * MSS)] {
        let before = window.window;
        NEW_RENO.acknowledged(&mut window, &ack(acked, before));
        assert_eq!(window.window - before, grown);
    }
}

/// [5681-3]
#[test]
fn congestion_avoidance_adds_one_segment_for_each_window() {
    let mut window = at_threshold(10);
    for _ in 0..9 {
        NEW_RENO.acknowledged(&mut window, &ack(MSS, 10 * MSS));
        assert_eq!(window.window, 10 * MSS);
    }
    NEW_RENO.acknowledged(&mut window, &ack(MSS, 10 * MSS));
    assert_eq!(window.window, 11 * MSS);
    for _ in 0..10 {
        NEW_RENO.acknowledged(&mut window, &ack(MSS, 11 * MSS));
        assert_eq!(window.window, 11 * MSS);
    }
    NEW_RENO.acknowledged(&mut window, &ack(1_000 * MSS, 11 * MSS));
    assert_eq!(window.window, 12 * MSS, "one segment for one acknowledgment");
    for _ in 0..2 {
        NEW_RENO.acknowledged(&mut window, &ack(MSS, 12 * MSS));
        assert_eq!(window.window, 13 * MSS, "what is left over is one window at the most");
    }
    let mut window = at_threshold(10);
    NEW_RENO.acknowledged(&mut window, &ack(10 * MSS, 10 * MSS));
    assert_eq!(window.window, 11 * MSS, "the limits of slow start are its own");
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    for algorithm in [&NEW_RENO as &dyn CongestionControl, &CUBIC] {
        for mut window in [CongestionWindow::new(1_460, 10), at_threshold(10)] {
            let before = window.window;
            for _ in 0..100 {
                let unused = AckSample { window_limited: false, ..ack(MSS, MSS) };
                algorithm.acknowledged(&mut window, &unused);
            }
            assert_eq!(window.window, before, "{algorithm:?}");
        }
    }
}

/// [5681-4]
#[test]
fn a_loss_halves_what_is_on_the_way() {
    let mut window = CongestionWindow::new(1_460, 10);
    window.window = 40 * MSS;
    NEW_RENO.congested(&mut window, &ack(0, 30 * MSS));
    assert_eq!((window.window, window.threshold), (15 * MSS, 15 * MSS));
    NEW_RENO.recovered(&mut window, &ack(MSS, 15 * MSS));
    assert_eq!(window.window, 15 * MSS);
    NEW_RENO.congested(&mut window, &ack(0, MSS));
    assert_eq!((window.window, window.threshold), (2 * MSS, 2 * MSS));
}

/// [5681-5], and the threshold is held while the same data times out again.
#[test]
fn a_timeout_leaves_one_segment_and_the_threshold_stays_at_the_next_one() {
    for algorithm in [&NEW_RENO as &dyn CongestionControl, &CUBIC] {
        let mut window = at_threshold(40);
        algorithm.timed_out(&mut window, &ack(0, 40 * MSS));
        assert_eq!(window.window, MSS);
        let threshold = window.threshold;
        assert!((20 * MSS..=28 * MSS).contains(&threshold), "{algorithm:?} {threshold}");
        algorithm.timed_out(&mut window, &ack(0, MSS));
        assert_eq!((window.window, window.threshold), (MSS, threshold));
        // [RFC 3465 §2.3] One segment at most for an acknowledgment until the loss is repaired.
        algorithm.acknowledged(&mut window, &ack(8 * MSS, MSS));
        assert_eq!(window.window, 2 * MSS);
        algorithm.recovered(&mut window, &ack(MSS, MSS));
        assert_eq!(window.window, 2 * MSS, "it goes on in slow start");
        algorithm.acknowledged(&mut window, &ack(8 * MSS, MSS));
        assert_eq!(window.window, 4 * MSS);
    }
}

#[test]
fn a_mistaken_reduction_is_taken_back() {
    for algorithm in [&NEW_RENO as &dyn CongestionControl, &CUBIC] {
        for fresh in [CongestionWindow::new(1_460, 10), at_threshold(40)] {
            let mut window = fresh.clone();
            algorithm.congested(&mut window, &ack(0, fresh.window));
            assert!(window.window < fresh.window);
            algorithm.undo(&mut window);
            assert_eq!((window.window, window.threshold), (fresh.window, fresh.threshold), "{algorithm:?}");
            algorithm.timed_out(&mut window, &ack(0, fresh.window));
            algorithm.timed_out(&mut window, &ack(0, fresh.window));
            algorithm.undo(&mut window);
            assert_eq!((window.window, window.threshold), (fresh.window, fresh.threshold), "{algorithm:?}");
        }
    }
}

/// [5681-10]
#[test]
fn after_a_long_rest_the_window_is_no_larger_than_at_the_start() {
    for algorithm in [&NEW_RENO as &dyn CongestionControl, &CUBIC] {
        let mut window = at_threshold(40);
        algorithm.idle(&mut window, 200_000, 200_000);
        assert_eq!(window.window, 40 * MSS);
        algorithm.idle(&mut window, 200_001, 200_000);
        assert_eq!((window.window, window.threshold), (10 * MSS, 40 * MSS));
        window.window = 3 * MSS;
        algorithm.idle(&mut window, u32::MAX, 200_000);
        assert_eq!(window.window, 3 * MSS);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acknowledged(u32, u32, u32, bool),
    Congested,
    TimedOut,
    Recovered,
    Undo,
    Idle(u32),
    Segment(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let acknowledged = (1_u32..3_000_000, 0_u32..2_000_000_000, 0_u32..90_000_000, any::<bool>())
        .prop_map(|(acked, passed, rtt, limited)| Step::Acknowledged(acked, passed, rtt, limited));
    let step = prop_oneof![
        12 => acknowledged,
        1 => Just(Step::Congested),
        1 => Just(Step::TimedOut),
        1 => Just(Step::Recovered),
        1 => Just(Step::Undo),
        1 => any::<u32>().prop_map(Step::Idle),
        1 => any::<u16>().prop_map(Step::Segment),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever happens: at least one segment may leave, and never more than any peer can announce.
    #[test]
    fn the_window_stays_between_a_segment_and_the_largest(steps in steps(), start in 1_u32..1 << 30) {
        for algorithm in [&NEW_RENO as &dyn CongestionControl, &CUBIC] {
            let mut window = CongestionWindow::new(1_460, 10);
            window.window = start.max(MSS);
            let mut now = 0_u32;
            for &step in &steps {
                let sample = ack(0, window.window);
                match step {
                    Step::Acknowledged(acked, passed, rtt, window_limited) => {
                        now = now.wrapping_add(passed);
                        let rtt_sample = Some(rtt);
                        let in_flight = window.window;
                        algorithm.acknowledged(&mut window, &AckSample {
                            now, acked, in_flight, rtt: rtt_sample, smoothed_rtt: rtt, min_rtt: rtt, window_limited,
                        });
                    }
                    Step::Congested => algorithm.congested(&mut window, &sample),
                    Step::TimedOut => algorithm.timed_out(&mut window, &sample),
                    Step::Recovered => algorithm.recovered(&mut window, &sample),
                    Step::Undo => algorithm.undo(&mut window),
                    Step::Idle(idle) => algorithm.idle(&mut window, idle, 1_000_000),
                    Step::Segment(segment) => window.set_segment(segment),
                }
                prop_assert!(window.window >= u32::from(window.segment), "{window:?}");
                prop_assert!(window.window <= MAX_WINDOW, "{window:?}");
                prop_assert!(window.threshold >= 2 * u32::from(window.segment), "{window:?}");
            }
        }
    }
}
