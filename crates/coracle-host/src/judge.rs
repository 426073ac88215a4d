//! An outside opinion on captures: tshark looks for malformed frames and wrong checksums.
//!
//! Only the frames of one sender are judged, since the kernel may hand frames to a device before it has completed their
//! checksums.

use crate::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// Whose frames are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The Ethernet frames of this station.
    Station([u8; 6]),
    /// The IP packets of this address, in captures without Ethernet.
    Address(Ipv4Addr),
}

/// What tshark said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Frames in the capture.
    pub frames: usize,
    /// Frames of the sender, which were judged.
    pub judged: usize,
    /// Checksums that were looked at and found right: of IP headers, UDP datagrams, TCP segments and ICMP messages.
    pub good_checksums: usize,
    /// What is wrong, a line for each frame.
    pub faults: Vec<String>,
    /// What was remarked about sequence numbers: resets, closed windows, segments out of order. Right or wrong,
    /// depending on what was to happen; where nothing was lost and nobody gave up, there is none. A line for each.
    pub remarks: Vec<String>,
}

/// The columns that tshark prints.
const FIELDS: [&str; 11] = [
    "frame.number",
    "eth.src",
    "ip.src",
    "_ws.malformed",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "icmp.checksum.status",
    "_ws.expert.severity",
    "_ws.expert.group",
    "_ws.expert.message",
];
/// How tshark calls a checksum.
const BAD: &str = "0";
const GOOD: &str = "1";
/// From here on an expert's note is a warning or an error, and from here on an error.
const WARNING: u32 = 0x0060_0000;
const ERROR: u32 = 0x0080_0000;
/// The group of notes about sequence numbers.
const SEQUENCE: &str = "33554432";
/// Between the values of a field that a frame has several of. Messages have commas in them.
const BETWEEN: char = ';';

/// Has tshark judge a capture.
///
/// # Errors
/// [`NoProgram`](Error::NoProgram) when tshark is not installed; [`Io`](Error::Io) when it cannot read the capture.
pub fn judge(capture: &Path, sender: Sender) -> Result<Verdict, Error> {
    let mut command = Command::new("tshark");
    // A user's own settings change what tshark says.
    command.env("WIRESHARK_CONFIG_DIR", "/nonexistent").arg("-n").arg("-r").arg(capture);
    for option in ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.check_checksum:TRUE"] {
        command.args(["-o", option]);
    }
    // What programs say to each other is theirs, whatever tshark takes it for by the port.
    command.args(["-d", "tcp.port==1-65535,data"]);
    command.args(["-T", "fields", "-E", "separator=/t", "-E", &format!("aggregator={BETWEEN}")]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NoProgram("tshark".to_owned()),
        _ => Error::from_io("run tshark", error),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().last().unwrap_or("no reason given").to_owned();
        return Err(Error::from_io(format!("judge {}", capture.display()), std::io::Error::other(said)));
    }
    let mut verdict = Verdict::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        verdict.add(line, sender);
    }
    Ok(verdict)
}

impl Verdict {
    fn add(&mut self, line: &str, sender: Sender) {
        let mut columns = line.split('\t');
        let columns: [&str; FIELDS.len()] = core::array::from_fn(|_| columns.next().unwrap_or_default());
        let [number, station, address, malformed, ip, udp, tcp, icmp, severities, groups, messages] = columns;
        self.frames += 1;
        // An ICMP error has a second IP header in it, and a second value here.
        let ours = match sender {
            Sender::Station(bytes) => station == bytes.map(|byte| format!("{byte:02x}")).join(":"),
            Sender::Address(ours) => address.split(BETWEEN).next() == Some(ours.to_string().as_str()),
        };
        if !ours {
            return;
        }
        self.judged += 1;
        let mut faults = Vec::new();
        if !malformed.is_empty() {
            faults.push("malformed".to_owned());
        }
        for (name, status) in [("IP", ip), ("UDP", udp), ("TCP", tcp), ("ICMP", icmp)] {
            self.good_checksums += status.split(BETWEEN).filter(|status| *status == GOOD).count();
            if status.split(BETWEEN).any(|status| status == BAD) {
                faults.push(format!("bad {name} checksum"));
            }
        }
        let notes = severities.split(BETWEEN).zip(groups.split(BETWEEN)).zip(messages.split(BETWEEN));
        for ((severity, group), message) in notes {
            let severity: u32 = severity.parse().unwrap_or_default();
            if (WARNING..ERROR).contains(&severity) && group == SEQUENCE {
                self.remarks.push(format!("frame {number}: {message}"));
            } else if severity >= WARNING && faults.is_empty() {
                faults.push(message.to_owned());
            }
        }
        if !faults.is_empty() {
            self.faults.push(format!("frame {number}: {}", faults.join(", ")));
        }
    }
}
