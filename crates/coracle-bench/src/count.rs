//! Instructions per round, by callgrind.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, process};

use crate::failure::Failure;
use crate::scenario::Measurement;

/// Counts of rounds whose difference is measured. Apart by 1,000, so that a walk over 1,000 sockets is a whole one.
pub(crate) const ROUNDS: [u64; 2] = [100, 1100];

/// The version of the valgrind that is installed.
///
/// # Errors
/// [`Failure::Unavailable`] if there is none.
pub(crate) fn valgrind_version() -> Result<String, Failure> {
    let advice = "instructions are not counted: valgrind cannot be run; Debian and Ubuntu have it: apt-get install valgrind";
    let output = Command::new("valgrind").arg("--version").stderr(Stdio::null()).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .ok_or_else(|| Failure::Unavailable(advice.into()))
}

/// Instructions that one round of `measurement` takes.
///
/// # Errors
/// [`Failure::Broken`] if the run under valgrind fails, with what it said.
pub(crate) fn instructions_per_round(measurement: &Measurement) -> Result<f64, Failure> {
    let [few, many] = ROUNDS.map(|rounds| rounds * measurement.weight);
    let (less, more) = (total(measurement, few)?, total(measurement, many)?);
    Ok((more as f64 - less as f64) / (many - few) as f64)
}

/// Instructions of a whole run of this program.
fn total(measurement: &Measurement, rounds: u64) -> Result<u64, Failure> {
    let name = measurement.name();
    let broken = |why: String| Failure::Broken(format!("{name} under callgrind: {why}"));
    let program = env::current_exe().map_err(|error| broken(error.to_string()))?;
    let profile = Profile::new(&name);
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", profile.0.display()))
        .arg(program)
        .args(["run", &name, &rounds.to_string()])
        .output()
        .map_err(|error| broken(error.to_string()))?;
    if !output.status.success() {
        return Err(broken(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())));
    }
    let text = fs::read_to_string(&profile.0).map_err(|error| broken(error.to_string()))?;
    parse_total(&text).ok_or_else(|| broken("no total in its output".into()))
}

/// The `totals:` of a callgrind profile of one event.
fn parse_total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// Callgrind's output file, removed when dropped.
struct Profile(PathBuf);

impl Profile {
    fn new(name: &str) -> Self {
        Self(env::temp_dir().join(format!(
            "coracle-bench-{}-{}.callgrind",
            process::id(),
            name.replace('/', "-")
        )))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // Nothing is lost if the file stays behind in the temporary directory.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::parse_total;

    #[test]
    fn totals_are_found() {
        let profile = "# callgrind format\nevents: Ir\nsummary: 5\n\nfn=(1) main\n0 1\n\ntotals: 123456\n";
        assert_eq!(parse_total(profile), Some(123_456));
        assert_eq!(parse_total("events: Ir Dr\ntotals: 1 2\n"), None);
        assert_eq!(parse_total(""), None);
    }
}
