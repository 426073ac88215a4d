//! Checks of the source as text.

use crate::firmware::{BOARDS, board};
use crate::process::{Failure, cargo};
use crate::size::firmware;

/// Folders with workspaces of their own.
const APART: [&str; 2] = ["fuzz", "firmware"];

pub(super) fn format() -> Result<(), Failure> {
    cargo(["fmt", "--all", "--check"]).run()?;
    APART.iter().try_for_each(|folder| cargo(["fmt", "--all", "--check"]).within(folder).run())
}

pub(super) fn lint() -> Result<(), Failure> {
    cargo(["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]).run()?;
    firmware("clippy").args(["--", "--deny", "warnings"]).run()?;
    BOARDS.iter().try_for_each(|(package, target)| {
        board("clippy", package, target).args(["--", "--deny", "warnings"]).run()
    })
}

pub(super) fn docs() -> Result<(), Failure> {
    cargo(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings").run()
}
