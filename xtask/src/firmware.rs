//! Builds the images for emulated boards, and has Linux talk to each.

use crate::process::{Failure, Program, cargo, target_directory};
use crate::size;

/// A board's package, which has an image of that name, and what it is built for.
pub(crate) const BOARDS: [(&str, &str); 3] = [
    ("mps2-an385", "thumbv7m-none-eabi"),
    ("lm3s6965evb", "thumbv7m-none-eabi"),
    ("riscv-virt", "riscv32imac-unknown-none-elf"),
];

/// Builds the images, prints what they take, and runs them.
///
/// # Errors
///
/// One could not be built, or does not do what it should.
pub(crate) fn run() -> Result<(), Failure> {
    for (package, target) in BOARDS {
        board("build", package, target).run()?;
        size::print_board(package, target)?;
    }
    cargo(["test", "--quiet", "--package", "coracle-host", "--test", "firmware", "--"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env("CORACLE_FIRMWARE", &directory().display().to_string())
        .run()
}

/// A cargo command for a board's image.
pub(crate) fn board(command: &str, package: &str, target: &str) -> Program {
    cargo([command, "--quiet", "--release", "--package", package, "--target", target, "--target-dir"])
        .args([directory()])
        .within("firmware")
}

fn directory() -> std::path::PathBuf {
    target_directory().join("firmware")
}
