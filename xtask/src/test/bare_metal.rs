//! Builds for processors without an operating system.

use crate::process::{Failure, cargo};

/// A target, and the features that the core crates need there.
const TARGETS: [(&str, &[&str]); 3] = [
    ("thumbv7em-none-eabihf", &[]),
    ("riscv32imac-unknown-none-elf", &[]),
    // No compare-and-swap: atomics through critical sections.
    ("thumbv6m-none-eabi", &["--features", "coracle-buf/critical-section"]),
];

const CRATES: [&str; 7] = [
    "coracle-buf",
    "coracle-wire",
    "coracle",
    "coracle-os",
    "coracle-smoltcp",
    "coracle-embassy",
    "coracle-xarxa",
];

pub(super) fn build() -> Result<(), Failure> {
    TARGETS.iter().try_for_each(|(target, features)| {
        cargo(["build", "--quiet", "--no-default-features", "--target", target])
            .args(CRATES.iter().flat_map(|name| ["--package", name]))
            .args(*features)
            .env("RUSTFLAGS", "--deny warnings")
            .run()
    })
}
