//! The language: text to [`ast`].

pub(crate) mod ast;
mod calls;
mod cursor;
mod packets;
mod script;
#[cfg(test)]
mod tests;

use std::fmt;

use ast::{Script, Setting};

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for ParseError {}

/// Reads a setting, `name=value`.
pub(crate) fn setting(line: u32, text: &str) -> Result<Setting, ParseError> {
    match text.split_once('=') {
        Some((name, value)) => Ok(Setting { line, name: name.into(), value: value.into() }),
        None => Err(ParseError { line, why: format!("expected name=value, found `{text}`") }),
    }
}

/// Reads a script.
pub(crate) fn parse(text: &str) -> Result<Script, ParseError> {
    script::parse(text)
}
