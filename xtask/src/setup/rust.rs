//! Compilers, their targets and components, and cargo's additional commands.

use crate::process::{Failure, cargo, find_program, program};

/// What the core crates are built for without a standard library.
const TARGETS: &[&str] =
    &["thumbv7em-none-eabihf", "thumbv7m-none-eabi", "riscv32imac-unknown-none-elf", "thumbv6m-none-eabi"];

/// What the nightly compiler needs for Miri.
const NIGHTLY_COMPONENTS: &[&str] = &["miri", "rust-src"];

/// Installs what is missing.
///
/// # Errors
///
/// It could not be installed.
pub(crate) fn install() -> Result<(), Failure> {
    if find_program("rustup").is_none() {
        return Err(Failure::new("rustup is missing; see https://rustup.rs"));
    }
    add("component", &["clippy", "rustfmt"], &[])?;
    add("target", TARGETS, &[])?;
    let toolchains = program("rustup").args(["toolchain", "list"]).read()?;
    if toolchains.lines().any(is_nightly) {
        add("component", NIGHTLY_COMPONENTS, &["--toolchain", "nightly"])?;
    } else {
        println!("missing: a nightly compiler (Miri and fuzzing)");
        let components: Vec<&str> =
            NIGHTLY_COMPONENTS.iter().flat_map(|component| ["--component", component]).collect();
        program("rustup")
            .args(["toolchain", "install", "nightly", "--profile", "minimal"])
            .args(components)
            .run()?;
    }
    if !cargo(["fuzz", "--version"]).succeeds() {
        println!("missing: cargo-fuzz (fuzzing)");
        cargo(["install", "--locked", "--quiet", "cargo-fuzz"]).run()?;
    }
    Ok(())
}

/// Adds components or targets to a toolchain.
fn add(kind: &str, wanted: &[&str], toolchain: &[&str]) -> Result<(), Failure> {
    let installed = program("rustup").args([kind, "list", "--installed"]).args(toolchain).read()?;
    let missing = missing(&installed, wanted);
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing: {kind} {}", missing.join(", "));
    program("rustup").args([kind, "add"]).args(toolchain).args(missing).run()
}

/// Those of `wanted` that no line of rustup's list names; it adds the host's name to most.
fn missing<'a>(installed: &str, wanted: &[&'a str]) -> Vec<&'a str> {
    let listed = |name: &str| {
        installed
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .any(|rest| rest.is_empty() || rest.starts_with('-') || rest.starts_with(char::is_whitespace))
    };
    wanted.iter().copied().filter(|name| !listed(name)).collect()
}

/// Whether a line of `rustup toolchain list` names the nightly compiler, rather than that of one day.
fn is_nightly(line: &str) -> bool {
    line.strip_prefix("nightly-").is_some_and(|rest| !rest.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{is_nightly, missing};

    #[test]
    fn components_go_by_name_with_or_without_host() {
        let installed = "miri-x86_64-unknown-linux-gnu\nrust-src\nrust-std-x86_64-unknown-linux-gnu\n";
        assert_eq!(missing(installed, &["miri", "rust-src"]), [""; 0]);
        assert_eq!(missing(installed, &["clippy", "rust-src", "rust-st"]), ["clippy", "rust-st"]);
    }

    #[test]
    fn a_nightly_of_one_day_is_not_the_nightly() {
        assert!(is_nightly("nightly-x86_64-unknown-linux-gnu"));
        assert!(is_nightly("nightly-x86_64-unknown-linux-gnu (default)"));
        assert!(!is_nightly("nightly-2026-05-19-x86_64-unknown-linux-gnu"));
        assert!(!is_nightly("stable-x86_64-unknown-linux-gnu"));
    }
}
