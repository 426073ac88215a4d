//! The one core crate with `unsafe` code, under the interpreter that sees undefined behaviour.

use super::tests::has_nextest;
use crate::process::{Failure, nightly_cargo};

pub(super) fn run() -> Result<(), Failure> {
    // The interpreter runs the threads of a process one after the other; nextest starts a process for each test.
    let test: &[&str] = if has_nextest() {
        &["nextest", "run", "--no-fail-fast", "--status-level", "fail", "--final-status-level", "slow"]
    } else {
        &["test", "--quiet"]
    };
    nightly_cargo(["miri"])
        .args(test)
        .args(["--package", "coracle-buf", "--lib"])
        .env("MIRIFLAGS", "-Zmiri-strict-provenance")
        .run()
}
