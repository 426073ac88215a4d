//! Builds for processors without an operating system.

use crate::process::{Failure, cargo};

/// A target, and the features that the core crates need there.
const TARGETS: [(&str, &[&str]); 3] = [
    ("thumbv7em-none-eabihf", &[]),
    ("riscv32imac-unknown-none-elf", &[]),
    // No compare-and-swap: atomics through critical sections.
    ("thumbv6m-none-eabi", &["--features", "coracle-buf/critical-section"]),
];

const CRATES: [&str; 8] = [
    "--package",
    "coracle-buf",
    "--package",
    "coracle-wire",
    "--package",
    "coracle",
    "--package",
    "coracle-os",
];

pub(super) fn build() -> Result<(), Failure> {
    TARGETS.iter().try_for_each(|(target, features)| {
        cargo(["build", "--quiet", "--no-default-features", "--target", target])
            .args(CRATES)
            .args(*features)
            .env("RUSTFLAGS", "--deny warnings")
            .run()
    })
}
