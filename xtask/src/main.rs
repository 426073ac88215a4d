//! The tasks of the Coracle workspace; `cargo xtask` lists them.

#![forbid(unsafe_code)]

mod compliance;
mod firmware;
mod process;
mod setup;
mod size;
mod test;

use std::env;
use std::process::ExitCode;

use process::Failure;

const USAGE: &str = "\
usage: cargo xtask TASK

  setup           install what the other tasks need and this machine lacks
  demo [ARG…]     set up, build the coracle program and run it
  test [STEP…]    set up and run every check, or only these steps; `test list` names them
  compliance [--check]
                  write docs/compliance.md, or check that it is up to date
  firmware        build the images for emulated boards, and have Linux talk to each
  size [N]        flash and memory of the bare-metal images, and their N (or 20) largest functions
  bench [ARG…]    measure Coracle beside smoltcp and lwIP; ARG as for `coracle-bench report`";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failure> {
    match *words {
        ["setup"] => setup::all(),
        ["demo", ref arguments @ ..] => {
            setup::for_demo();
            process::cargo(["run", "--release", "--package", "coracle-cli", "--"])
                .args(arguments)
                .run_attended()
        }
        ["test", "list"] => {
            test::list();
            Ok(())
        }
        ["test", ref steps @ ..] => test::run(steps),
        ["firmware"] => firmware::run(),
        ["size"] => size::run(20),
        ["size", count] => {
            size::run(count.parse().map_err(|_| Failure::new(format!("not a number: {count}")))?)
        }
        ["compliance"] => compliance::write(),
        ["compliance", "--check"] => compliance::check(),
        ["bench", ref arguments @ ..] => process::cargo(["run", "--release", "--package", "coracle-bench"])
            .args(["--", "report"])
            .args(arguments)
            .run(),
        _ => Err(Failure::new(USAGE)),
    }
}
