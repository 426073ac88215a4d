//! What happened, in plain words.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a step found, or why it did not.
pub(super) type Outcome = Result<String, Problem>;

pub(super) enum Problem {
    /// The machine lacks something; the step was not run.
    Skipped(String),
    /// The step was run and did not succeed.
    Failed(String),
}

impl Problem {
    pub(super) fn failed(why: impl std::fmt::Display) -> Self {
        Self::Failed(why.to_string())
    }
}

impl From<coracle_host::Error> for Problem {
    fn from(error: coracle_host::Error) -> Self {
        match error {
            coracle_host::Error::NoProgram(name) => {
                let package = match name.as_str() {
                    "ping" | "arping" => format!("iputils-{name}"),
                    "ip" => "iproute2".to_owned(),
                    name => name.to_owned(),
                };
                Self::Skipped(format!("{name} is not installed; `apt-get install {package}` brings it"))
            }
            error => Self::failed(error),
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

/// Prints steps as they happen and counts them.
pub(super) struct Report {
    start: Instant,
    colours: bool,
    succeeded: usize,
    skipped: usize,
    failed: usize,
}

impl Report {
    pub(super) fn new() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { start: Instant::now(), colours, succeeded: 0, skipped: 0, failed: 0 }
    }

    /// A fact that needs no proof.
    pub(super) fn fact(name: &str, text: &str) {
        println!("  {name:<10}{text}");
    }

    pub(super) fn step(&mut self, name: &str, run: impl FnOnce() -> Outcome) {
        let (count, mark, colour, text) = match run() {
            Ok(text) => (&mut self.succeeded, '✓', 32, text),
            Err(Problem::Skipped(text)) => (&mut self.skipped, '-', 33, format!("SKIPPED: {text}")),
            Err(Problem::Failed(text)) => (&mut self.failed, '✗', 31, format!("FAILED: {text}")),
        };
        *count += 1;
        let mark = if self.colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_string() };
        println!("  {mark} {name:<32} {text}");
        // Whoever reads through a pipe wants to see it go on; one that is gone ends nothing.
        let _ = std::io::stdout().flush();
    }

    /// Sums up; `false` when a step failed.
    pub(super) fn end(&self, capture: &Path) -> bool {
        println!("\n  The conversation is in {}; Wireshark opens it.", capture.display());
        let ran = self.succeeded + self.failed;
        let seconds = self.start.elapsed().as_secs_f64();
        let skipped = match self.skipped {
            0 => String::new(),
            count => format!(", {count} SKIPPED"),
        };
        match self.failed {
            0 => println!("  All {ran} steps succeeded{skipped}, in {seconds:.1} s."),
            failed => println!("  {failed} of {ran} steps FAILED{skipped}, in {seconds:.1} s."),
        }
        self.failed == 0
    }
}

/// The middle of some times, in words; nothing for none.
pub(super) fn median(times: &mut [Duration]) -> String {
    times.sort_unstable();
    times.get(times.len() / 2).map_or_else(String::new, |time| format!("{:.0} µs", time.as_secs_f64() * 1e6))
}
