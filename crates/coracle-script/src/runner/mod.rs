//! Runs a script: events in order, in virtual time, until one is not as it must be.

mod assertions;
mod calls;
mod connection;
mod connections;
mod settings;
mod values;

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use assertions::Objection;
use calls::Started;
use connections::Connections;
use coracle::Instant;
use settings::Settings;

use crate::language::ast::{Action, Body, Call, Event, Packet, Script, When, flag};
use crate::packet::{compare, decode};
use crate::sockets::{Operation, Sockets};

/// How long the stack is watched for a packet that may come at any time, or late, before it counts as missing.
const PATIENCE: u64 = 3_600_000_000;
/// How often in a row the stack may ask to be run at the same time.
const AT_ONE_TIME: u32 = 10;

/// Why a script did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line, from 1.
    pub line: u32,
    /// What was expected and what was there instead.
    pub why: String,
    /// What it says of the stack.
    pub outcome: Outcome,
}

/// Whether a failure is the stack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stack did not do what the script says.
    Failed,
    /// The script needs something that neither the stack nor the runner has.
    Unsupported,
}

impl Failure {
    fn new(line: u32, why: String) -> Self {
        Self { line, why, outcome: Outcome::Failed }
    }

    fn unsupported(line: u32, why: String) -> Self {
        Self { line, why, outcome: Outcome::Unsupported }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for Failure {}

/// What came of a script.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every packet and call, as a script writes them, with the time in seconds.
    pub trace: Vec<String>,
    /// What the script asks for that means nothing here.
    pub notes: Vec<String>,
    /// Whether everything was as the script says.
    pub result: Result<(), Failure>,
}

/// A call that blocks.
struct Pending {
    line: u32,
    call: Call,
    operation: Operation,
    /// When it must return, and by how much it may be wrong.
    end: u64,
    tolerance: u64,
}

struct Runner {
    settings: Settings,
    sockets: Sockets,
    connections: Connections,
    start: Instant,
    /// The time of the event before.
    last: u64,
    pending: Vec<Pending>,
    trace: Vec<String>,
    notes: Vec<String>,
    /// The descriptor that assertions are about: the one made last.
    subject: i32,
}

/// Runs a whole script.
pub(crate) fn run(script: &Script) -> Report {
    let mut notes = Vec::new();
    let settings = match Settings::of(script, &mut notes) {
        Ok(settings) => settings,
        Err(failure) => return Report { trace: Vec::new(), notes, result: Err(failure) },
    };
    let sockets = match Sockets::new(settings.sockets.clone()) {
        Ok(sockets) => sockets,
        Err(error) => {
            let failure = Failure::new(1, format!("the stack cannot be made: {error}"));
            return Report { trace: Vec::new(), notes, result: Err(failure) };
        }
    };
    let start = sockets.now();
    let mut runner = Runner {
        settings,
        sockets,
        connections: Connections::default(),
        start,
        last: 0,
        pending: Vec::new(),
        trace: Vec::new(),
        notes,
        subject: -1,
    };
    let result = runner.all(&script.events);
    Report { trace: runner.trace, notes: runner.notes, result }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl Runner {
    fn all(&mut self, events: &[Event]) -> Result<(), Failure> {
        for event in events {
            self.event(event)?;
            self.last = self.time();
        }
        let line = events.last().map_or(1, |event| event.line);
        self.end(line)
    }

    /// Microseconds since the script's start.
    fn time(&self) -> u64 {
        self.micros(self.sockets.now())
    }

    fn micros(&self, at: Instant) -> u64 {
        at.since(self.start).as_micros() as u64
    }

    fn instant(&self, micros: u64) -> Instant {
        self.start + Duration::from_micros(micros)
    }

    fn say(&mut self, at: u64, what: impl fmt::Display) {
        self.trace.push(format!("{} {what}", seconds(at)));
    }

    /// By how much something that must happen at a time may be early or late.
    fn tolerance(&self, expected: u64) -> u64 {
        let part = expected.saturating_sub(self.last) / 1_000 * self.settings.tolerance_permille;
        self.settings.tolerance.max(part)
    }

    fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let (first, last) = match event.when {
            When::Absolute(at) => (at, at),
            When::Relative(after) => (self.time() + after, self.time() + after),
            When::AbsoluteRange(first, last) => (first, last),
            When::RelativeRange(first, last) => (self.time() + first, self.time() + last),
            When::Any => (0, self.time() + PATIENCE),
        };
        if let Action::Outbound(expected) = &event.action {
            return self.outbound(event.line, expected, first, last);
        }
        self.run_to(event.line, first, false)?;
        match &event.action {
            Action::Inbound(packet) => self.inbound(event.line, packet),
            Action::Call(call) => self.call(event.line, event.when, call),
            Action::Command(command) => {
                self.notes.push(format!("line {}: the command `{command}` was not run", event.line));
                Ok(())
            }
            Action::Code(block) => self.assertions(event.line, block),
            Action::Outbound(_) => Ok(()),
        }
    }

    /// Runs the stack up to a time, or until it has sent something; what blocks is tried again whenever anything
    /// may have changed.
    fn run_to(&mut self, line: u32, to: u64, until_sent: bool) -> Result<(), Failure> {
        let to = self.instant(to);
        let mut at_one_time = 0;
        loop {
            self.resume()?;
            if until_sent && self.sockets.sent().next().is_some() {
                return Ok(());
            }
            let now = self.sockets.now();
            let waits = self.pending.iter().filter_map(|pending| pending.operation.deadline());
            let next = self.sockets.deadline().into_iter().chain(waits).min();
            match next.filter(|&next| next <= to) {
                Some(next) if next > now => {
                    at_one_time = 0;
                    self.sockets.advance(next);
                }
                Some(_) if at_one_time > AT_ONE_TIME => {
                    return Err(Failure::new(line, "the stack asks to be run at one time for ever".into()));
                }
                Some(_) => {
                    at_one_time += 1;
                    self.sockets.advance(now);
                }
                None => {
                    self.sockets.advance(to);
                    return self.resume();
                }
            }
        }
    }

    /// Looks at assertions about the connection of the descriptor that was made last.
    fn assertions(&mut self, line: u32, block: &str) -> Result<(), Failure> {
        let (sockets, subject) = (RefCell::new(&mut self.sockets), self.subject);
        let value = |name: &str| {
            let field = sockets.borrow_mut().tcp_info_field(subject, name);
            field.ok().flatten().map(|value| f64::from(u32::try_from(value).unwrap_or(u32::MAX)))
        };
        assertions::check(block, &value).map_err(|objection| match objection {
            Objection::False(why) => Failure::new(line, why),
            Objection::Unknown(why) => Failure::unsupported(line, why),
        })
    }

    fn inbound(&mut self, line: u32, packet: &Packet) -> Result<(), Failure> {
        let bytes =
            self.connections.inbound(packet, &self.settings).map_err(|why| Failure::new(line, why))?;
        self.say(self.time(), format_args!("< {packet}"));
        self.sockets.inject(&bytes);
        self.resume()
    }

    fn outbound(&mut self, line: u32, expected: &Packet, first: u64, last: u64) -> Result<(), Failure> {
        let tolerance = self.tolerance(first);
        let mut expected = expected.clone();
        loop {
            self.run_to(line, last + tolerance, true)?;
            let Some(sent) = self.sockets.take_sent() else {
                return Err(self.missing(line, &expected, last));
            };
            let at = self.micros(sent.at);
            let actual = decode::decode(&sent.bytes)
                .map_err(|why| Failure::new(line, format!("the stack sent {why}: {:02x?}", sent.bytes)))?;
            let mut actual = self.connections.outbound(&actual, &expected, &self.settings);
            self.say(at, format_args!("> {actual}"));
            if self.settings.any_push {
                copy_push(&mut actual, &expected);
            }
            let mut wrong = compare::differences(&expected, &actual);
            let mut rest = None;
            if !wrong.is_empty()
                && let Some(connection) = self.connections.current()
                && let Some((head, tail)) = connection.cut(&expected, &actual, self.settings.sockets.mtu)
            {
                if self.settings.any_push {
                    copy_push(&mut actual, &head);
                }
                wrong = compare::differences(&head, &actual);
                rest = Some(tail);
            }
            if at + tolerance < first || at > last + tolerance {
                wrong.push("time");
            }
            if !wrong.is_empty() {
                let when = if first == last { seconds(first) } else { range(first, last) };
                let why = format!(
                    "the packet differs: {}\n    expected  {when} > {expected}\n    actual    {} > {actual}",
                    wrong.join(", "),
                    seconds(at),
                );
                return Err(Failure::new(line, why));
            }
            match rest {
                Some(rest) => expected = rest,
                None => return Ok(()),
            }
        }
    }

    /// Says that a packet did not come, and what comes instead later.
    fn missing(&mut self, line: u32, expected: &Packet, last: u64) -> Failure {
        let now = self.time();
        let later = match self.run_to(line, now + PATIENCE, true) {
            Ok(()) => self.sockets.take_sent(),
            Err(failure) => return failure,
        };
        let instead = match later {
            None => "nothing more".to_owned(),
            Some(sent) => {
                let at = seconds(self.micros(sent.at));
                match decode::decode(&sent.bytes) {
                    Ok(actual) => {
                        format!("{at} > {}", self.connections.outbound(&actual, expected, &self.settings))
                    }
                    Err(why) => format!("{at} > {why}"),
                }
            }
        };
        let expected = format!("{} > {expected}", seconds(last));
        let why = format!("the packet did not come\n    expected  {expected}\n    actual    {instead}");
        Failure::new(line, why)
    }

    fn call(&mut self, line: u32, when: When, call: &Call) -> Result<(), Failure> {
        let now = self.time();
        let started = self.perform(line, call)?;
        let end = call.end.map(|end| match when {
            When::Relative(after) => now - after.min(now) + end,
            _ => end,
        });
        match (started, end) {
            (Started::Done(result), None) => self.check_result(line, call, &result),
            (Started::Done(result), Some(end)) => {
                self.check_end(line, call, end, self.tolerance(end))?;
                self.check_result(line, call, &result)
            }
            (Started::Blocked(_), None) => Err(Failure::new(
                line,
                format!("{} blocks, and the script does not say until when", call.name),
            )),
            (Started::Blocked(operation), Some(end)) => {
                let tolerance = self.tolerance(end);
                self.say(now, format_args!("{}(...) blocks", call.name));
                self.pending.push(Pending { line, call: call.clone(), operation, end, tolerance });
                Ok(())
            }
        }
    }

    /// Tries again what blocks.
    fn resume(&mut self) -> Result<(), Failure> {
        let mut at = 0;
        while let Some(pending) = self.pending.get_mut(at) {
            if let Some(result) = self.sockets.attempt(&mut pending.operation) {
                let Pending { line, call, end, tolerance, .. } = self.pending.remove(at);
                self.check_end(line, &call, end, tolerance)?;
                self.check_result(line, &call, &result)?;
            } else if self.micros(self.sockets.now()) > self.pending[at].end + self.pending[at].tolerance {
                let Pending { line, call, end, .. } = self.pending.remove(at);
                let why = format!("{} should have returned at {}", call.name, seconds(end));
                return Err(Failure::new(line, format!("{why}, and blocks at {}", seconds(self.time()))));
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    fn check_end(&self, line: u32, call: &Call, end: u64, tolerance: u64) -> Result<(), Failure> {
        let now = self.time();
        if now.abs_diff(end) <= tolerance {
            return Ok(());
        }
        let why =
            format!("{} should return at {}, and returned at {}", call.name, seconds(end), seconds(now));
        Err(Failure::new(line, why))
    }

    /// What blocks must return, and nothing may be left that no line expects.
    fn end(&mut self, line: u32) -> Result<(), Failure> {
        while let Some(last) = self.pending.iter().map(|pending| pending.end + pending.tolerance).max() {
            self.run_to(line, last + 1, false)?;
        }
        let Some(sent) = self.sockets.take_sent().filter(|_| self.settings.strict_end) else { return Ok(()) };
        let at = seconds(self.micros(sent.at));
        let shown = match decode::decode(&sent.bytes) {
            Ok(actual) => self.connections.show(&actual, &self.settings),
            Err(why) => why,
        };
        let why =
            format!("a packet that no line expects\n    expected  the end\n    actual    {at} > {shown}");
        Err(Failure::new(line, why))
    }
}

/// Gives a segment the PSH flag that is expected of it.
fn copy_push(actual: &mut Packet, expected: &Packet) {
    if let (Body::Tcp(actual), Body::Tcp(expected)) = (&mut actual.body, &expected.body) {
        actual.flags = actual.flags & !flag::PSH | expected.flags & flag::PSH;
    }
}

fn range(first: u64, last: u64) -> String {
    format!("{}~{}", seconds(first), seconds(last))
}
