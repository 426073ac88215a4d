//! Runs scripts and prints what happened: `cargo run -p coracle-script --example run -- file.pkt …`.

use std::process::ExitCode;

use coracle_script::{Outcome, Report, Script};

fn main() -> ExitCode {
    let mut failed = 0;
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: run file.pkt …");
        return ExitCode::from(2);
    }
    for file in files {
        let report = match std::fs::read_to_string(&file) {
            Ok(text) => Script::parse(&text).map(|script| script.run()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match report {
            Ok(report) => failed += u32::from(!show(&file, &report)),
            Err(why) => {
                println!("{file}: {why}");
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a report; true: the script ran to its end.
fn show(file: &str, report: &Report) -> bool {
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
    report.result.is_ok()
}
