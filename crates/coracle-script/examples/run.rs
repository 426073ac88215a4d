//! Runs scripts and prints what happened: `cargo run -p coracle-script --example run -- [--set name=value] file.pkt …`.
//! `--quiet` leaves out what happened in those that passed.

use std::process::ExitCode;

use coracle_script::{Outcome, Report, Script};

fn main() -> ExitCode {
    let (mut passed, mut failed, mut unsupported) = (0, 0, 0);
    let (mut settings, mut quiet) = (Vec::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quiet" => quiet = true,
            "--set" => settings.extend(arguments.next()),
            file => match run(file, &settings) {
                Ok(report) => {
                    let count = match &report.result {
                        Ok(()) => &mut passed,
                        Err(failure) if failure.outcome == Outcome::Unsupported => &mut unsupported,
                        Err(_) => &mut failed,
                    };
                    *count += 1;
                    show(file, &report, quiet);
                }
                Err(why) => {
                    println!("{file}: {why}");
                    unsupported += 1;
                }
            },
        }
    }
    println!("{passed} passed, {failed} failed, {unsupported} unsupported");
    if failed + unsupported == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(file: &str, settings: &[String]) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let mut script = Script::parse(&text).map_err(|error| error.to_string())?;
    for setting in settings {
        script.set(setting).map_err(|error| error.to_string())?;
    }
    Ok(script.run())
}

fn show(file: &str, report: &Report, quiet: bool) {
    if quiet && report.result.is_ok() {
        return;
    }
    println!("{file}");
    for line in &report.trace {
        println!("  {line}");
    }
    for note in &report.notes {
        println!("  note: {note}");
    }
    match &report.result {
        Ok(()) => println!("  passed"),
        Err(failure) if failure.outcome == Outcome::Unsupported => println!("  unsupported: {failure}"),
        Err(failure) => println!("  FAILED: {failure}"),
    }
}
