//! What Coracle may cost, and whether it keeps to that.

use std::fmt;

use crate::failure::Failure;
use crate::json::Object;
use crate::report::Row;

/// The stack that has budgets.
const SUBJECT: &str = "coracle";

/// Instructions per round.
#[derive(Debug, Clone, Copy)]
enum Limit {
    AtMost(f64),
    /// At most this many times what another scenario takes.
    Times(f64, &'static str),
}

/// What no change may exceed. The goals are 1,400 instructions for an echo and 2,000 for a segment of a transfer; the
/// limits go down with what is reached.
const BUDGETS: [(&str, Limit); 9] = [
    ("udp-echo-64", Limit::AtMost(2_650.0)),
    ("udp-echo-64-1000", Limit::Times(1.05, "udp-echo-64")),
    ("udp-echo-64-1000-spread", Limit::Times(1.05, "udp-echo-64")),
    ("tcp-bulk", Limit::AtMost(2_150.0)),
    ("tcp-bulk-beside-1000", Limit::Times(1.1, "tcp-bulk")),
    ("tcp-bulk-beside-100000", Limit::Times(1.1, "tcp-bulk")),
    ("tcp-ping-pong-64", Limit::AtMost(9_000.0)),
    ("tcp-open-close", Limit::AtMost(26_800.0)),
    ("checksum-1460", Limit::AtMost(350.0)),
];

/// One budget and what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    scenario: &'static str,
    /// `None` if it was not measured.
    measured: Option<f64>,
    /// `None` if it depends on what was not measured.
    limit: Option<f64>,
}

/// Looks at every budget whose scenario begins with `prefix`.
pub(crate) fn judge(rows: &[Row], prefix: &str) -> Vec<Verdict> {
    let measured = |scenario: &str| {
        let of_subject =
            |row: &&Row| row.measurement.scenario == scenario && row.measurement.stack == SUBJECT;
        rows.iter().find(of_subject).and_then(|row| row.instructions)
    };
    judge_by(measured, prefix)
}

fn judge_by(measured: impl Fn(&str) -> Option<f64>, prefix: &str) -> Vec<Verdict> {
    BUDGETS
        .iter()
        .filter(|(scenario, _)| scenario.starts_with(prefix))
        .map(|&(scenario, limit)| {
            let limit = match limit {
                Limit::AtMost(limit) => Some(limit),
                Limit::Times(factor, other) => measured(other).map(|base| factor * base),
            };
            Verdict { scenario, measured: measured(scenario), limit }
        })
        .collect()
}

/// Turns verdicts into success or failure.
///
/// # Errors
/// [`Failure::OverBudget`] if any is exceeded, else [`Failure::Unavailable`] if any could not be judged.
pub(crate) fn enforce(verdicts: &[Verdict]) -> Result<(), Failure> {
    let of = |wanted: Option<bool>| -> Vec<String> {
        verdicts.iter().filter(|verdict| verdict.kept() == wanted).map(ToString::to_string).collect()
    };
    let (exceeded, unknown) = (of(Some(false)), of(None));
    if !exceeded.is_empty() {
        return Err(Failure::OverBudget(exceeded.join("; ")));
    }
    if !unknown.is_empty() {
        return Err(Failure::Unavailable(unknown.join("; ")));
    }
    Ok(())
}

impl Verdict {
    fn kept(&self) -> Option<bool> {
        self.measured.zip(self.limit).map(|(measured, limit)| measured <= limit)
    }

    pub(crate) fn to_json(self) -> String {
        let mut object = Object::default().string("scenario", self.scenario);
        if let Some(limit) = self.limit {
            object = object.number("limit", limit);
        }
        if let Some(measured) = self.measured {
            object = object.number("measured", measured);
        }
        if let Some(kept) = self.kept() {
            object = object.boolean("kept", kept);
        }
        object.finish()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scenario = self.scenario;
        match (self.measured, self.limit) {
            (Some(measured), Some(limit)) => {
                let verdict = if measured <= limit { "kept" } else { "EXCEEDED" };
                write!(f, "budget {scenario}: {measured:.0} instructions of {limit:.0}, {verdict}")
            }
            _ => write!(f, "budget {scenario}: {SUBJECT} was not measured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{enforce, judge_by};
    use crate::failure::Failure;

    fn check(one: f64, thousand: f64, checksum: f64, prefix: &str) -> Result<(), Failure> {
        let measured = |scenario: &str| match scenario {
            "udp-echo-64" => Some(one),
            "checksum-1460" => Some(checksum),
            tcp if tcp.starts_with("tcp-") => Some(1.0),
            _ => Some(thousand),
        };
        enforce(&judge_by(measured, prefix))
    }

    #[test]
    fn budgets_are_enforced() {
        assert_eq!(check(2650.0, 2780.0, 350.0, ""), Ok(()));
        assert!(matches!(check(2651.0, 2651.0, 350.0, ""), Err(Failure::OverBudget(_))));
        assert!(matches!(check(1000.0, 1051.0, 350.0, ""), Err(Failure::OverBudget(_))));
        assert!(matches!(check(1000.0, 1000.0, 351.0, ""), Err(Failure::OverBudget(_))));
        assert_eq!(check(9999.0, 9999.0, 350.0, "checksum"), Ok(()), "others were not asked for");
    }

    #[test]
    fn what_was_not_measured_is_not_kept() {
        assert!(matches!(enforce(&judge_by(|_| None, "")), Err(Failure::Unavailable(_))));
        let only_one = |scenario: &str| (scenario != "udp-echo-64").then_some(1.0);
        assert!(matches!(enforce(&judge_by(only_one, "udp-echo-64-1000")), Err(Failure::Unavailable(_))));
    }
}
