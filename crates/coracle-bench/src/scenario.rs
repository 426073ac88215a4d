//! The table of everything that can be measured.

use crate::checksum;
use crate::failure::Failure;
use crate::stacks::coracle::{self, CoraclePair};
use crate::stacks::coracle_tcp::CoracleTcp;
use crate::stacks::harness::Harness;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
use crate::stacks::lwip::{self, LwipPair};
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
use crate::stacks::lwip_tcp::LwipTcp;
use crate::stacks::smoltcp::{self, Poll, SmoltcpPair, Steps};
use crate::stacks::smoltcp_tcp::SmoltcpTcp;
use crate::tcp::{bulk, bulk_beside, open_close, ping_pong};
use crate::udp_echo::{build, build_1000, build_1000_spread};

/// Something that can be done any number of times, checking its own result.
pub(crate) trait Work {
    /// Does it `count` times.
    ///
    /// # Errors
    /// [`Failure::Broken`] as soon as a result is wrong.
    fn rounds(&mut self, count: u64) -> Result<(), Failure>;
}

/// One cell of the report: a scenario done by one stack.
pub(crate) struct Measurement {
    pub(crate) scenario: &'static str,
    pub(crate) stack: &'static str,
    /// How many times as many rounds are counted as elsewhere, where one round is not like the next.
    pub(crate) weight: u64,
    /// Sets it up and warms it up.
    pub(crate) build: fn() -> Result<Box<dyn Work>, Failure>,
}

impl Measurement {
    /// `scenario/stack`, as the command line takes it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.scenario, self.stack)
    }
}

/// The measurement of this name.
pub(crate) fn find(name: &str) -> Option<&'static Measurement> {
    MEASUREMENTS.iter().find(|measurement| measurement.name() == name)
}

const fn row(
    scenario: &'static str,
    stack: &'static str,
    build: fn() -> Result<Box<dyn Work>, Failure>,
) -> Measurement {
    Measurement { scenario, stack, weight: 1, build }
}

/// A transfer: a round ends in the middle of things.
const fn stream(
    scenario: &'static str,
    stack: &'static str,
    build: fn() -> Result<Box<dyn Work>, Failure>,
) -> Measurement {
    Measurement { weight: 10, ..row(scenario, stack, build) }
}

/// All measurements, those of one scenario next to each other; the first of a scenario is what the others are compared with.
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    row("udp-echo-64", "coracle", build::<CoraclePair>),
    row("udp-echo-64", "smoltcp", build::<SmoltcpPair<Poll>>),
    row("udp-echo-64", "smoltcp-steps", build::<SmoltcpPair<Steps>>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("udp-echo-64", "lwip", build::<LwipPair>),
    row("udp-echo-64", "harness", build::<Harness>),
    row("udp-echo-64-1000", "coracle", build_1000::<CoraclePair>),
    row("udp-echo-64-1000", "smoltcp", build_1000::<SmoltcpPair<Poll>>),
    row("udp-echo-64-1000", "smoltcp-steps", build_1000::<SmoltcpPair<Steps>>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("udp-echo-64-1000", "lwip", build_1000::<LwipPair>),
    row("udp-echo-64-1000-spread", "coracle", build_1000_spread::<CoraclePair>),
    row("udp-echo-64-1000-spread", "smoltcp", build_1000_spread::<SmoltcpPair<Poll>>),
    row("udp-echo-64-1000-spread", "smoltcp-steps", build_1000_spread::<SmoltcpPair<Steps>>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("udp-echo-64-1000-spread", "lwip", build_1000_spread::<LwipPair>),
    stream("tcp-bulk", "coracle", bulk::<CoracleTcp>),
    stream("tcp-bulk", "smoltcp", bulk::<SmoltcpTcp<Poll>>),
    stream("tcp-bulk", "smoltcp-steps", bulk::<SmoltcpTcp<Steps>>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    stream("tcp-bulk", "lwip", bulk::<LwipTcp>),
    stream("tcp-bulk-beside-1000", "coracle", bulk_beside::<CoracleTcp, 1_000>),
    stream("tcp-bulk-beside-1000", "smoltcp", bulk_beside::<SmoltcpTcp<Poll>, 1_000>),
    stream("tcp-bulk-beside-1000", "smoltcp-steps", bulk_beside::<SmoltcpTcp<Steps>, 1_000>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    stream("tcp-bulk-beside-1000", "lwip", bulk_beside::<LwipTcp, 1_000>),
    stream("tcp-bulk-beside-100000", "coracle", bulk_beside::<CoracleTcp, 100_000>),
    row("tcp-ping-pong-64", "coracle", ping_pong::<CoracleTcp>),
    row("tcp-ping-pong-64", "smoltcp", ping_pong::<SmoltcpTcp<Poll>>),
    row("tcp-ping-pong-64", "smoltcp-steps", ping_pong::<SmoltcpTcp<Steps>>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("tcp-ping-pong-64", "lwip", ping_pong::<LwipTcp>),
    row("tcp-open-close", "coracle", open_close::<CoracleTcp>),
    row("tcp-open-close", "smoltcp", open_close::<SmoltcpTcp<Poll>>),
    row("tcp-open-close", "smoltcp-steps", open_close::<SmoltcpTcp<Steps>>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("tcp-open-close", "lwip", open_close::<LwipTcp>),
    row("checksum-1460", "coracle", checksum::build::<1460, coracle::Checksum>),
    row("checksum-1460", "smoltcp", checksum::build::<1460, smoltcp::Checksum>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("checksum-1460", "lwip", checksum::build::<1460, lwip::Checksum>),
    row("checksum-1460", "memcpy", checksum::build_copy::<1460>),
    row("checksum-72", "coracle", checksum::build::<72, coracle::Checksum>),
    row("checksum-72", "smoltcp", checksum::build::<72, smoltcp::Checksum>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("checksum-72", "lwip", checksum::build::<72, lwip::Checksum>),
    row("checksum-72", "memcpy", checksum::build_copy::<72>),
    row("checksum-20", "coracle", checksum::build::<20, coracle::Checksum>),
    row("checksum-20", "smoltcp", checksum::build::<20, smoltcp::Checksum>),
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    row("checksum-20", "lwip", checksum::build::<20, lwip::Checksum>),
    row("checksum-20", "memcpy", checksum::build_copy::<20>),
];

#[cfg(test)]
mod tests {
    use super::{MEASUREMENTS, find};
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_found() {
        let names: HashSet<String> = MEASUREMENTS.iter().map(super::Measurement::name).collect();
        assert_eq!(names.len(), MEASUREMENTS.len());
        assert!(names.iter().all(|name| find(name).is_some_and(|found| found.name() == *name)));
        assert!(find("udp-echo-64").is_none());
    }

    /// Every measurement does its rounds without a complaint; one that this machine cannot do says so.
    #[test]
    fn every_measurement_runs() {
        for measurement in MEASUREMENTS {
            match (measurement.build)() {
                Ok(mut work) => {
                    assert_eq!(work.rounds(1010), Ok(()), "{}", measurement.name());
                }
                Err(crate::Failure::Unavailable(why)) => eprintln!("{} skipped: {why}", measurement.name()),
                Err(failure) => panic!("{}: {failure}", measurement.name()),
            }
        }
    }
}
