//! How tests treat a machine that lacks what they need.
//!
//! A test that silently passes because the machine has no `/dev/net/tun` proves nothing and hides it. So a lack fails the
//! test, and says what is missing, unless the environment has `CORACLE_ALLOW_SKIP=1`; then one line
//! `skipped: …` appears on standard error, also for passing tests, whose output the test runner hides.

use crate::error::Error;
use std::io::Write;

/// The value, or `None` when the machine lacks it and skipping is allowed.
///
/// # Panics
/// The machine lacks it and skipping is not allowed; or the error is of another kind, which no skip excuses.
///
/// ```no_run
/// use coracle_host::{Namespace, testing::or_skip};
/// let Some(namespace) = or_skip(Namespace::new()) else { return };
/// ```
#[track_caller]
pub fn or_skip<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.is_unavailable() => {
            skip(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Says that the rest of a test is skipped, and why.
///
/// # Panics
/// Skipping is not allowed.
#[track_caller]
pub fn skip(reason: &str) {
    let allowed = std::env::var_os("CORACLE_ALLOW_SKIP").is_some_and(|value| value == "1");
    assert!(allowed, "{reason} (set CORACLE_ALLOW_SKIP=1 to skip tests that this machine cannot run)");
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    // Not `eprintln!`, which the test runner captures.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}
