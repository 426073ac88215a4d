//! `docs/compliance.md`: what the standards ask, where the code does it, and which tests show it.

mod page;
mod requirements;
mod sources;

use std::fs;

use crate::process::{Failure, root};

const PAGE: &str = "docs/compliance.md";

/// Writes the page.
///
/// # Errors
///
/// A source or the page could not be read or written; a tag names no requirement.
pub(crate) fn write() -> Result<(), Failure> {
    let page = make()?;
    fs::write(root().join(PAGE), page).map_err(|error| Failure::new(format!("{PAGE}: {error}")))
}

/// Checks that the page is what [`write()`] would write.
///
/// # Errors
///
/// As for [`write()`]; the page is another.
pub(crate) fn check() -> Result<(), Failure> {
    let made = make()?;
    if fs::read_to_string(root().join(PAGE)).is_ok_and(|page| page == made) {
        return Ok(());
    }
    Err(Failure::new(format!("{PAGE} is not up to date: run `cargo xtask compliance`")))
}

fn make() -> Result<String, Failure> {
    let chapters = requirements::parse(include_str!("../../requirements.txt"))?;
    let citations = sources::citations(&root().join("crates"))?;
    page::render(&chapters, &citations)
}
