//! Why a measurement gave no number.

use std::fmt;
use std::process::ExitCode;

/// The reason, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line.
    Usage(String),
    /// Something that is not on this machine, and how to get it. The rest can be measured.
    Unavailable(String),
    /// The exchange was not what it should be, so that its cost means nothing.
    Broken(String),
    /// Coracle costs more than its budget.
    OverBudget(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Broken(_) | Self::OverBudget(_) => 1,
            Self::Usage(_) => 2,
            Self::Unavailable(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Unavailable(text) => f.write_str(text),
            Self::Broken(text) => write!(f, "broken: {text}"),
            Self::OverBudget(text) => write!(f, "over budget: {text}"),
        }
    }
}

impl std::error::Error for Failure {}
