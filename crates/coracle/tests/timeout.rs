//! Application timers (lwIP: `sys_timeout`): none early, none lost, none twice, whatever the clock does.

mod common;
use common::*;

use std::time::Duration;

use coracle::*;

const MS: Duration = Duration::from_millis(1);

fn set(host: &mut Host, who: &'static str, after: Duration) -> TimeoutHandle {
    let app = host.app(who);
    host.stack.timeout(after, app).unwrap()
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines_and_once() {
    let mut host = host();
    for (who, after) in [("c", 30), ("a", 10), ("d", 100_000), ("b", 20)] {
        set(&mut host, who, MS * after);
    }
    assert_eq!(host.poll(), Some(host.now + MS * 10));
    host.advance(MS * 9);
    assert_eq!(host.who_heard(), [""; 0]);
    host.advance(MS * 200_000);
    assert_eq!(host.who_heard(), ["a", "b", "c", "d"]);
    assert_eq!(host.poll(), None);
}

/// [pitfalls: time] Asked at the same instant twice, a microsecond early, and long after.
#[test]
fn a_timer_is_never_early_by_a_microsecond() {
    for after in [0_u64, 1, 999, 1_023, 1_024, 1_025, 32_768, 1 << 20, 1 << 35, 1 << 45] {
        let mut host = host();
        let start = host.now;
        set(&mut host, "timer", Duration::from_micros(after));
        if after > 0 {
            host.stack.poll(start + Duration::from_micros(after - 1));
            assert_eq!(host.who_heard(), [""; 0], "early, after {after}");
        }
        host.stack.poll(start + Duration::from_micros(after));
        host.stack.poll(start + Duration::from_micros(after));
        assert_eq!(host.who_heard(), ["timer"], "after {after}");
    }
}

#[test]
fn a_period_does_not_drift_though_polls_come_late() {
    let mut host = host();
    let start = host.now;
    let app = host.app("tick").on_timeout(|timeout| timeout.again(MS * 10));
    host.stack.timeout(MS * 10, app).unwrap();
    for late in [0, 3, 9, 0, 5] {
        let next = host.poll().unwrap();
        host.now = next + MS * late;
    }
    host.poll();
    let deadlines: Vec<Duration> = host
        .heard()
        .iter()
        .map(|heard| match heard {
            Heard::Timeout { deadline, .. } => deadline.since(start),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(deadlines, [10, 20, 30, 40, 50].map(|ms| MS * ms));
}

/// [pitfalls: time] A jump ahead by a day: every timer fires, a periodic one once, and goes on from there.
#[test]
fn after_a_jump_of_a_day_nothing_is_lost_and_missed_periods_are_left_out() {
    let mut host = host();
    let app = host.app("tick").on_timeout(|timeout| timeout.again(Duration::from_secs(1)));
    host.stack.timeout(Duration::from_secs(1), app).unwrap();
    set(&mut host, "once", Duration::from_hours(5));
    host.now = host.now + Duration::from_hours(24);
    assert_eq!(host.poll(), Some(host.now + Duration::from_secs(1)));
    assert_eq!(host.who_heard(), ["tick", "once"]);
}

/// [pitfalls: time] A clock that stands still or goes back fires nothing, and loses nothing.
#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut host = host();
    set(&mut host, "timer", MS * 10);
    let due = host.now + MS * 10;
    for back in [Instant::ZERO, host.now, Instant::from_millis(3)] {
        assert_eq!(host.stack.poll(back), Some(due));
        assert_eq!(host.stack.now(), Instant::from_secs(1));
    }
    host.stack.poll(due);
    assert_eq!(host.who_heard(), ["timer"]);
    host.stack.poll(Instant::ZERO);
    set(&mut host, "later", MS);
    assert_eq!(host.stack.poll(due), Some(due + MS), "counted from the latest time that was told");
}

/// [pitfalls: time] Deadlines beyond the counter's range.
#[test]
fn a_deadline_beyond_the_end_of_time_is_no_fault() {
    let mut host = host();
    let never = set(&mut host, "never", Duration::MAX);
    set(&mut host, "soon", MS);
    host.advance(MS);
    assert_eq!(host.who_heard(), ["soon"]);
    assert_eq!(host.poll(), Some(Instant::MAX));
    assert_eq!(host.stack.untimeout(never).unwrap().unwrap().who, "never");
    assert_eq!(host.poll(), None);
}

#[test]
fn a_timer_taken_back_does_not_fire_and_its_name_finds_nothing_more() {
    let mut host = host();
    let first = set(&mut host, "first", MS);
    set(&mut host, "second", MS * 2);
    assert_eq!(host.stack.untimeout(first).unwrap().unwrap().who, "first");
    assert_eq!(host.stack.untimeout(first).err(), Some(Error::Closed));
    let third = set(&mut host, "third", MS * 3);
    assert_ne!(first, third);
    assert_eq!(host.stack.untimeout(first).err(), Some(Error::Closed));
    host.advance(MS * 3);
    assert_eq!(host.who_heard(), ["second", "third"]);
    assert_eq!(host.stack.untimeout(third).err(), Some(Error::Closed));
}

#[test]
fn a_callback_may_end_its_own_timer_another_and_set_new_ones() {
    let mut host = host();
    let other = set(&mut host, "other", MS * 2);
    let log = std::rc::Rc::clone(&host.log);
    let app = host.app("own").on_timeout(move |timeout| {
        let own = timeout.handle();
        assert!(timeout.stack().untimeout(own).unwrap().is_none(), "its handler is running");
        assert_eq!(timeout.stack().untimeout(other).unwrap().unwrap().who, "other");
        timeout.stack().timeout(MS * 5, App::new("new", &log)).unwrap();
        timeout.again(MS);
    });
    host.stack.timeout(MS, app).unwrap();
    host.advance(MS * 100);
    assert_eq!(host.who_heard(), ["own", "new"], "ended in its callback, so not again");
}

/// A timer that sets itself again without a delay leaves the owner of the stack his turn.
#[test]
fn a_period_of_zero_does_not_hold_the_stack() {
    let mut host = host();
    let app = host.app("busy").on_timeout(|timeout| timeout.again(Duration::ZERO));
    host.stack.timeout(Duration::ZERO, app).unwrap();
    for _ in 0..3 {
        let next = host.stack.poll(host.now).unwrap();
        assert_eq!(host.who_heard(), ["busy"]);
        assert!(next > host.now);
        host.now = next;
    }
}
