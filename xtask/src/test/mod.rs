//! All checks, one after the other; the tests come last, so that their summary closes the output.

mod bare_metal;
mod fuzz;
mod miri;
mod models;
mod source;
mod table;
mod tests;

use std::time::{Duration, Instant};

use crate::process::{Failure, cargo};
use crate::{compliance, firmware, setup, size};

/// One check.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<(), Failure>,
}

const fn step(name: &'static str, about: &'static str, run: fn() -> Result<(), Failure>) -> Step {
    Step { name, about, run }
}

const STEPS: &[Step] = &[
    step("format", "rustfmt finds nothing to change", source::format),
    step("lint", "clippy finds nothing", source::lint),
    step("docs", "the documentation builds without a warning", source::docs),
    step("compliance", "docs/compliance.md says what the sources say", compliance::check),
    step("no_std", "the core crates build for bare metal without an allocator", bare_metal::build),
    step("size", "the bare-metal images fit into the flash that they may have", || size::run(0)),
    step("firmware", "emulated boards answer Linux", firmware::run),
    step("miri", "no undefined behaviour in the memory crate's tests", miri::run),
    step("models", "queues and counts under every order of threads", models::run),
    step("fuzz", "every fuzz target: its corpus, then new inputs for a while", fuzz::run),
    step("budgets", "instructions counted against the budgets", budgets),
    step("doctests", "the examples in the documentation run", tests::examples),
    step("tests", "unit, integration and system tests", tests::run),
];

/// Prints the names of the steps.
pub(crate) fn list() {
    for Step { name, about, .. } in STEPS {
        println!("{name:<12}{about}");
    }
}

/// Sets up, then runs the steps of these names, or all.
///
/// # Errors
///
/// The first failure of the setup, or the names of the steps that failed: one failure doesn't keep the others from
/// running.
pub(crate) fn run(names: &[&str]) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        return Err(Failure::new(format!("no step {unknown}; see `cargo xtask test list`")));
    }
    let mut done = vec![timed("setup", "what the checks need is installed", setup::all)];
    if let Some(failure) = done[0].failure.take() {
        return Err(failure);
    }
    let chosen = |step: &&Step| names.is_empty() || names.contains(&step.name);
    let mut chosen: Vec<&Step> = STEPS.iter().filter(chosen).collect();
    let last = chosen.pop();
    done.extend(chosen.into_iter().map(|step| timed(step.name, step.about, step.run)));
    println!("\n{}", table::render(&done));
    done.extend(last.map(|step| timed(step.name, step.about, step.run)));
    let failed: Vec<&str> = done.iter().filter(|done| done.failure.is_some()).map(|done| done.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", failed.join(", ")))) }
}

/// A step that was run.
struct Done {
    name: &'static str,
    about: &'static str,
    took: Duration,
    failure: Option<Failure>,
}

fn timed(name: &'static str, about: &'static str, run: impl FnOnce() -> Result<(), Failure>) -> Done {
    println!("\n== {name}: {about}");
    let start = Instant::now();
    let failure = run().err();
    if let Some(failure) = &failure {
        println!("{failure}");
    }
    Done { name, about, took: start.elapsed(), failure }
}

fn budgets() -> Result<(), Failure> {
    cargo(["run", "--quiet", "--release", "--package", "coracle-bench"])
        .args(["--", "report", "--check", "--no-time"])
        .run()
}
