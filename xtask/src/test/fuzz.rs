//! Every fuzz target for a short while.

use std::fs;

use crate::process::{Failure, Program, nightly_cargo, target_directory};

/// How long each target looks for new inputs.
const SECONDS: u32 = 15;

pub(super) fn run() -> Result<(), Failure> {
    fuzz(&["build"]).run()?;
    let targets = fuzz(&["list"]).read()?;
    targets.lines().try_for_each(run_target)
}

fn run_target(target: &str) -> Result<(), Failure> {
    // What is found goes there, so that the stored corpus changes only when somebody means it to.
    let found = target_directory().join("fuzz-corpus").join(target);
    fs::create_dir_all(&found).map_err(|error| Failure::new(format!("{}: {error}", found.display())))?;
    let program = fuzz(&["run", target]).args([found.as_os_str()]).args([
        &format!("corpus/{target}"),
        "--",
        &format!("-max_total_time={SECONDS}"),
        "-timeout=10",
    ]);
    println!("$ {program}");
    let [_, log] = program.read_both()?;
    let summary = log.lines().rev().find(|line| line.starts_with("Done "));
    println!("{target}: {}", summary.unwrap_or("ended without a summary"));
    Ok(())
}

fn fuzz(arguments: &[&str]) -> Program {
    nightly_cargo(["fuzz"]).args(arguments).within("fuzz")
}
