//! The tests proper.

use std::env;

use crate::process::{Failure, cargo};

/// All tests but the examples in the documentation.
///
/// nextest runs them if it is installed: it gives one total at the end. But it hides what passing tests say, so not
/// where tests may be skipped, which they tell in a line each.
pub(super) fn run() -> Result<(), Failure> {
    let may_skip = env::var_os("CORACLE_ALLOW_SKIP").is_some();
    if !may_skip && has_nextest() {
        cargo(["nextest", "run", "--cargo-quiet", "--workspace", "--no-fail-fast"])
            .args(["--status-level", "slow", "--final-status-level", "slow"])
            .run()
    } else {
        cargo(["test", "--quiet", "--workspace", "--no-fail-fast", "--all-targets"]).run()
    }
}

/// Whether nextest is installed.
pub(super) fn has_nextest() -> bool {
    cargo(["nextest", "--version"]).succeeds()
}

/// The examples in the documentation.
pub(super) fn examples() -> Result<(), Failure> {
    cargo(["test", "--quiet", "--workspace", "--doc"]).run()
}
