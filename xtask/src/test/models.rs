//! What threads and interrupts share, in every order in which they may run.

use crate::process::{Failure, cargo, target_directory};

/// How often a model changes from one thread to another at an unexpected moment. Faults that need more are rare, and the
/// models take minutes instead of seconds.
const PREEMPTIONS: &str = "3";

pub(super) fn run() -> Result<(), Failure> {
    // Everything is built with other atomics, so elsewhere.
    cargo(["test", "--quiet", "--no-fail-fast", "--package", "coracle-model", "--tests", "--target-dir"])
        .args([target_directory().join("loom")])
        .env("RUSTFLAGS", "--cfg loom")
        .env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS)
        .run()
}
