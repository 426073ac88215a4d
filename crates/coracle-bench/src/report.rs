//! Measures everything and prints it: Markdown for people, JSON for programs, an exit status for the budgets.

use std::path::PathBuf;
use std::{fs, thread};

use crate::budget::{self, Verdict};
use crate::count;
use crate::failure::Failure;
use crate::json::{self, Object};
use crate::scenario::{MEASUREMENTS, Measurement};
use crate::timing::{self, Timing};

/// What the command line asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    check: bool,
    no_time: bool,
    json: Option<PathBuf>,
    prefix: String,
}

/// One measurement's numbers.
pub(crate) struct Row {
    pub(crate) measurement: &'static Measurement,
    /// Per round; `None` without valgrind.
    pub(crate) instructions: Option<f64>,
    time: Option<Timing>,
}

impl Options {
    /// Reads the words after `report`.
    ///
    /// # Errors
    /// [`Failure::Usage`].
    pub(crate) fn parse(words: &[&str]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--check" => options.check = true,
                "--no-time" => options.no_time = true,
                "--json" => {
                    let file =
                        words.next().ok_or_else(|| Failure::Usage("--json needs a file name".into()))?;
                    options.json = Some(file.into());
                }
                prefix if !prefix.starts_with('-') && options.prefix.is_empty() => {
                    options.prefix = prefix.into();
                }
                other => return Err(Failure::Usage(format!("report does not know {other}"))),
            }
        }
        Ok(options)
    }
}

/// Does what `options` ask for.
///
/// # Errors
/// [`Failure::Broken`] if any exchange went wrong: then nothing is printed that looks like a result.
/// With `--check`, [`Failure::OverBudget`], or [`Failure::Unavailable`] if a budget could not be checked.
pub(crate) fn report(options: &Options) -> Result<(), Failure> {
    let chosen: Vec<_> =
        MEASUREMENTS.iter().filter(|measurement| measurement.name().starts_with(&options.prefix)).collect();
    if chosen.is_empty() {
        return Err(Failure::Usage(format!("no measurement begins with {}; see `list`", options.prefix)));
    }
    let mut notes = Vec::new();
    let present = available(chosen, &mut notes)?;
    let valgrind = count::valgrind_version();
    let counts = match &valgrind {
        Ok(_) => count_all(&present)?,
        Err(why) => {
            note(&mut notes, why.to_string());
            vec![None; present.len()]
        }
    };
    let mut rows: Vec<Row> = present
        .into_iter()
        .zip(counts)
        .map(|(measurement, instructions)| Row { measurement, instructions, time: None })
        .collect();
    if !options.no_time {
        for rows in rows.chunk_by_mut(|a, b| a.measurement.scenario == b.measurement.scenario) {
            time_scenario(rows)?;
        }
    }
    let verdicts = budget::judge(&rows, &options.prefix);
    print!("{}", markdown(&rows, &verdicts, &notes));
    if let Some(file) = &options.json {
        let text = to_json(&rows, &verdicts, &notes, &valgrind.unwrap_or_default());
        fs::write(file, text).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    }
    if options.check { budget::enforce(&verdicts) } else { Ok(()) }
}

/// The measurements that this machine can do. The reasons for the others go into `notes`, once each.
fn available(
    chosen: Vec<&'static Measurement>,
    notes: &mut Vec<String>,
) -> Result<Vec<&'static Measurement>, Failure> {
    let mut present = Vec::new();
    for measurement in chosen {
        match (measurement.build)() {
            Ok(_) => present.push(measurement),
            Err(Failure::Unavailable(why)) => note(notes, why),
            Err(other) => return Err(other),
        }
    }
    Ok(present)
}

fn note(notes: &mut Vec<String>, text: String) {
    if !notes.contains(&text) {
        notes.push(text);
    }
}

/// Counts with as many valgrinds at a time as there are processors: counts, unlike times, do not mind company.
fn count_all(measurements: &[&'static Measurement]) -> Result<Vec<Option<f64>>, Failure> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut counts = Vec::new();
    for batch in measurements.chunks(workers) {
        let results: Vec<Result<f64, Failure>> = thread::scope(|scope| {
            let running: Vec<_> = batch
                .iter()
                .map(|measurement| scope.spawn(|| count::instructions_per_round(measurement)))
                .collect();
            let died = || Err(Failure::Broken("a counting thread died".into()));
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died())).collect()
        });
        for result in results {
            counts.push(Some(result?));
        }
    }
    Ok(counts)
}

/// Times each row of one scenario against its first.
fn time_scenario(rows: &mut [Row]) -> Result<(), Failure> {
    let Some((first, others)) = rows.split_first_mut() else { return Ok(()) };
    let mut reference = (first.measurement.build)()?;
    let nanoseconds = timing::alone(&mut *reference)?;
    first.time = Some(Timing { nanoseconds, ratio: 1.0, quartiles: [1.0; 2] });
    for row in others {
        let mut work = (row.measurement.build)()?;
        row.time = Some(timing::compare(&mut *reference, &mut *work)?);
    }
    Ok(())
}

fn markdown(rows: &[Row], verdicts: &[Verdict], notes: &[String]) -> String {
    let mut lines = Vec::new();
    for rows in rows.chunk_by(|a, b| a.measurement.scenario == b.measurement.scenario) {
        let Measurement { scenario, stack, .. } = rows[0].measurement;
        lines.push(format!("### {scenario}\n"));
        lines.push(format!("| stack | instructions | ÷ {stack} | ns | time ÷ {stack} | quartiles |"));
        lines.push("|---|---:|---:|---:|---:|---|".into());
        lines.extend(rows.iter().map(|row| table_line(row, &rows[0])));
        lines.push(String::new());
    }
    lines.extend(notes.iter().map(|note| format!("Note: {note}\n")));
    lines.extend(verdicts.iter().map(|verdict| format!("* {verdict}")));
    lines.join("\n") + "\n"
}

fn table_line(row: &Row, reference: &Row) -> String {
    let cell = |value: Option<f64>, decimals: usize| {
        value.map_or("–".into(), |value| format!("{value:.decimals$}"))
    };
    let relative = row.instructions.zip(reference.instructions).map(|(own, base)| own / base);
    let quartiles =
        row.time.map_or("–".into(), |time| format!("{:.2} … {:.2}", time.quartiles[0], time.quartiles[1]));
    format!(
        "| {} | {} | {} | {} | {} | {quartiles} |",
        row.measurement.stack,
        cell(row.instructions, 0),
        cell(relative, 2),
        cell(row.time.map(|time| time.nanoseconds), 0),
        cell(row.time.map(|time| time.ratio), 2),
    )
}

fn to_json(rows: &[Row], verdicts: &[Verdict], notes: &[String], valgrind: &str) -> String {
    let measurements: Vec<String> = rows.iter().map(row_json).collect();
    let budgets: Vec<String> = verdicts.iter().copied().map(Verdict::to_json).collect();
    let notes: Vec<String> =
        notes.iter().map(|note| Object::default().string("note", note).finish()).collect();
    let object = Object::default()
        .string("valgrind", valgrind)
        .string("architecture", std::env::consts::ARCH)
        .raw("measurements", &json::array(&measurements))
        .raw("budgets", &json::array(&budgets))
        .raw("notes", &json::array(&notes));
    object.finish() + "\n"
}

fn row_json(row: &Row) -> String {
    let mut object =
        Object::default().string("scenario", row.measurement.scenario).string("stack", row.measurement.stack);
    if let Some(instructions) = row.instructions {
        object = object.number("instructions", instructions);
    }
    if let Some(time) = row.time {
        object = object
            .number("nanoseconds", time.nanoseconds)
            .number("time_ratio", time.ratio)
            .number("time_ratio_first_quartile", time.quartiles[0])
            .number("time_ratio_third_quartile", time.quartiles[1]);
    }
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn options() {
        let options = Options::parse(&["--check", "checksum", "--json", "out.json", "--no-time"]).unwrap();
        let wanted =
            Options { check: true, no_time: true, json: Some("out.json".into()), prefix: "checksum".into() };
        assert_eq!(options, wanted);
        for wrong in [&["--json"][..], &["--fast"], &["a", "b"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
