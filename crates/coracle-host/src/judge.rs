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
    /// Checksums that were looked at and found right: of IP headers, UDP datagrams and ICMP messages.
    pub good_checksums: usize,
    /// What is wrong, a line for each frame.
    pub faults: Vec<String>,
}

/// The columns that tshark prints.
const FIELDS: [&str; 9] = [
    "frame.number",
    "eth.src",
    "ip.src",
    "_ws.malformed",
    "ip.checksum.status",
    "udp.checksum.status",
    "icmp.checksum.status",
    "_ws.expert.severity",
    "_ws.expert.message",
];
/// How tshark calls a checksum.
const BAD: &str = "0";
const GOOD: &str = "1";
/// From here on an expert's note is a warning or an error.
const WARNING: u32 = 0x0060_0000;

/// Has tshark judge a capture.
///
/// # Errors
/// [`NoProgram`](Error::NoProgram) when tshark is not installed; [`Io`](Error::Io) when it cannot read the capture.
pub fn judge(capture: &Path, sender: Sender) -> Result<Verdict, Error> {
    let mut command = Command::new("tshark");
    // A user's own settings change what tshark says.
    command.env("WIRESHARK_CONFIG_DIR", "/nonexistent").arg("-n").arg("-r").arg(capture);
    for option in ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE"] {
        command.args(["-o", option]);
    }
    command.args(["-T", "fields", "-E", "separator=/t"]);
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
        let [number, station, address, malformed, ip, udp, icmp, severity, message] = columns;
        self.frames += 1;
        // An ICMP error has a second IP header in it, and a second value here.
        let ours = match sender {
            Sender::Station(bytes) => station == bytes.map(|byte| format!("{byte:02x}")).join(":"),
            Sender::Address(ours) => address.split(',').next() == Some(ours.to_string().as_str()),
        };
        if !ours {
            return;
        }
        self.judged += 1;
        let mut faults = Vec::new();
        if !malformed.is_empty() {
            faults.push("malformed".to_owned());
        }
        for (name, status) in [("IP", ip), ("UDP", udp), ("ICMP", icmp)] {
            self.good_checksums += status.split(',').filter(|status| *status == GOOD).count();
            if status.split(',').any(|status| status == BAD) {
                faults.push(format!("bad {name} checksum"));
            }
        }
        let severe = |severity: &str| severity.parse().is_ok_and(|severity: u32| severity >= WARNING);
        if faults.is_empty() && severity.split(',').any(severe) {
            faults.push(message.to_owned());
        }
        if !faults.is_empty() {
            self.faults.push(format!("frame {number}: {}", faults.join(", ")));
        }
    }
}
