//! `coracle relay`: a bad wire between two TAP interfaces, until Ctrl-C.

use crate::Failure;
use crate::arguments::Relay as Options;
use crate::stop::Stop;
use crate::up::Line;
use coracle_host::relay::{Direction, Statistics};
use coracle_host::{Clock, Relay, Tap, Waiter};

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (a, b) = (Tap::open(&options.a)?, Tap::open(&options.b)?);
    let waiter = Waiter::new(Clock::start())?;
    let stop = Stop::on_signal(waiter.waker())?;
    let relay = Relay::new(a, b, options.wire, options.seed).start()?;
    println!("relaying between {} and {}, seed {}; Ctrl-C ends", options.a, options.b, options.seed);
    let mut line = Line::new();
    while !stop.is_asked() && relay.is_running() {
        let seconds = waiter.clock().now() / 1_000_000;
        line.show(&format!("{seconds} s: {}", text(&relay.statistics())));
        waiter.wait(&mut [], Some((seconds + 1) * 1_000_000))?;
    }
    line.end();
    let statistics = relay.stop()?;
    for (direction, from, to) in
        [(Direction::AToB, &options.a, &options.b), (Direction::BToA, &options.b, &options.a)]
    {
        println!("{from} to {to}: {}", statistics.to(direction).wire);
    }
    Ok(())
}

fn text(statistics: &Statistics) -> String {
    let [there, back] = [Direction::AToB, Direction::BToA].map(|direction| statistics.to(direction).wire);
    format!("A to B {there}; B to A {back}")
}
