//! The one core crate with `unsafe` code, under the interpreter that sees undefined behaviour.

use crate::process::{Failure, nightly_cargo};

pub(super) fn run() -> Result<(), Failure> {
    nightly_cargo(["miri", "test", "--quiet", "--package", "coracle-buf", "--lib"])
        .env("MIRIFLAGS", "-Zmiri-strict-provenance")
        .run()
}
