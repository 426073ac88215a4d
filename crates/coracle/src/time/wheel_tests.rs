use std::vec::Vec;

use coracle_buf::Arena;
use proptest::prelude::*;

use super::{Instant, Wheel};

fn wheel(timers: usize) -> Wheel {
    Wheel::new(&mut Arena::heap(), timers).unwrap()
}

fn us(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

#[test]
fn a_timer_is_never_early_and_due_to_the_microsecond() {
    for deadline in [1, 999, 1_024, 1_025, 32_768, 1_000_001, 3_600_000_000, 40_000_000_000_000, 1 << 62] {
        let mut wheel = wheel(1);
        wheel.set(0, us(deadline));
        assert_eq!(wheel.next_deadline(), Some(us(deadline)));
        assert_eq!(wheel.pop(us(deadline - 1)), None);
        assert_eq!(wheel.next_deadline(), Some(us(deadline)), "asking must not lose it");
        assert_eq!(wheel.pop(us(deadline)), Some(0));
        assert_eq!(wheel.pop(us(deadline)), None);
        assert_eq!(wheel.next_deadline(), None);
    }
}

#[test]
fn timers_of_one_instant_fire_in_the_order_in_which_they_were_set() {
    let mut wheel = wheel(4);
    for timer in [2, 0, 3, 1] {
        wheel.set(timer, us(5_000_000));
    }
    let fired: Vec<_> = core::iter::from_fn(|| wheel.pop(us(5_000_000))).collect();
    assert_eq!(fired, [2, 0, 3, 1]);
}

#[test]
fn a_jump_of_years_fires_everything_once() {
    let mut wheel = wheel(3);
    wheel.set(0, us(10));
    wheel.set(1, Instant::from_secs(86_400));
    wheel.set(2, Instant::from_secs(400 * 86_400));
    let late = Instant::from_secs(1_000 * 86_400);
    let fired: Vec<_> = core::iter::from_fn(|| wheel.pop(late)).collect();
    assert_eq!(fired, [0, 1, 2]);
}

#[test]
fn a_deadline_in_the_past_is_due_at_once() {
    let mut wheel = wheel(2);
    wheel.set(0, Instant::from_secs(100));
    assert_eq!(wheel.pop(Instant::from_secs(100)), Some(0));
    wheel.set(1, Instant::from_secs(1));
    assert_eq!(wheel.next_deadline(), Some(Instant::from_secs(1)));
    assert_eq!(wheel.pop(Instant::from_secs(100)), Some(1));
}

#[test]
fn the_end_of_time_never_comes() {
    let mut wheel = wheel(1);
    wheel.set(0, Instant::MAX);
    assert_eq!(wheel.pop(us(u64::MAX - 1)), None);
}

#[derive(Debug, Clone)]
enum Step {
    Set(usize, u64),
    Cancel(usize),
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let span = prop_oneof![0..3_000_u64, 0..100_000_000_u64, 0..(1_u64 << 43)];
    let step = prop_oneof![
        4 => (0..16_usize, span.clone()).prop_map(|(timer, after)| Step::Set(timer, after)),
        1 => (0..16_usize).prop_map(Step::Cancel),
        3 => span.prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    /// Held against a plain list of deadlines.
    #[test]
    fn behaves_like_a_list_of_deadlines(start in 0..(1_u64 << 52), steps in steps()) {
        let mut wheel = wheel(16);
        let mut model = [None::<u64>; 16];
        let mut now = start;
        for step in steps {
            match step {
                Step::Set(timer, after) => {
                    wheel.set(timer, us(now + after));
                    model[timer] = Some(now + after);
                }
                Step::Cancel(timer) => {
                    wheel.cancel(timer);
                    model[timer] = None;
                }
                Step::Advance(by) => {
                    now += by;
                    let mut last_granule = 0;
                    while let Some(timer) = wheel.pop(us(now)) {
                        let deadline = model[timer].take();
                        prop_assert!(deadline.is_some_and(|deadline| deadline <= now));
                        let granule = deadline.unwrap_or(0) >> 10;
                        prop_assert!(granule >= last_granule || deadline < Some(now - by));
                        last_granule = granule;
                    }
                    prop_assert!(model.iter().flatten().all(|&deadline| deadline > now));
                }
            }
            prop_assert_eq!(wheel.next_deadline(), model.iter().flatten().min().map(|&micros| us(micros)));
            for (timer, &deadline) in model.iter().enumerate() {
                prop_assert_eq!(wheel.deadline(timer), deadline.map(us));
            }
        }
    }
}
