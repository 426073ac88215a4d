//! `coracle demo`: the stack and the Linux kernel talk to each other in a private network.

mod linux;
mod memory;
mod report;

use crate::Failure;
use crate::arguments::Demo;
use coracle::MacAddr;
use coracle_host::judge::{Sender, judge};
use report::{Outcome, Problem, Report};
use std::net::Ipv4Addr;
use std::path::Path;

/// Addresses of documentation [RFC 5737], which are nobody's.
const LINUX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PREFIX: u8 = 24;
const STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);
/// Data of pings: nothing, ping's own default, and as much as an Ethernet frame takes.
const SIZES: [usize; 5] = [0, 8, 56, 1000, 1472];
/// The most data in a UDP datagram that an Ethernet frame takes.
const LARGEST: usize = 1472;

/// Runs the demo; `false` when a step of it failed.
pub(crate) fn run(options: &Demo) -> Result<bool, Failure> {
    println!("Coracle, a TCP/IP stack, meets the Linux kernel\n");
    let mut report = Report::new();
    let network = if options.in_memory {
        println!("  As asked, two Coracle stacks on an in-memory wire instead of Linux.\n");
        None
    } else {
        match linux::Network::new() {
            Ok(network) => Some(network),
            Err(error) if error.is_unavailable() => {
                println!("  {error}.");
                println!(
                    "  So here are two Coracle stacks on an in-memory wire instead. To see Linux as the peer takes"
                );
                println!("  root, or a user who may open /dev/net/tun, and the program `ip` (iproute2).\n");
                None
            }
            Err(error) => return Err(error.into()),
        }
    };
    match network {
        Some(network) => linux::run(network, &options.pcap, &mut report)?,
        None => memory::run(&options.pcap, &mut report)?,
    }
    report.step("tshark judges the capture", || verdict(&options.pcap));
    Ok(report.end(&options.pcap))
}

/// Readable bytes for the echo, no two lines alike.
fn text(size: usize) -> Vec<u8> {
    let lines =
        (0..).flat_map(|line: u64| format!("{line:9} a coracle is carried on the back\n").into_bytes());
    lines.take(size).collect()
}

fn verdict(capture: &Path) -> Outcome {
    let verdict = judge(capture, Sender::Station(STATION.0))?;
    if verdict.judged == 0 || verdict.good_checksums == 0 {
        return Err(Problem::Failed("it saw no frame of Coracle's".to_owned()));
    }
    if !verdict.faults.is_empty() {
        return Err(Problem::Failed(verdict.faults.join("; ")));
    }
    Ok(format!(
        "{} of {} frames are Coracle's: none malformed, {} checksums good, 0 bad",
        verdict.judged, verdict.frames, verdict.good_checksums
    ))
}
