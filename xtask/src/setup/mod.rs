//! Finds out what this machine lacks, says so, and installs it.

mod rust;
mod system;

use crate::process::Failure;

/// Installs what any task needs.
///
/// # Errors
///
/// Something is missing and could not be installed; with what to run by hand.
pub(crate) fn all() -> Result<(), Failure> {
    rust::install()?;
    system::install(system::ALL)?;
    println!("everything is installed");
    Ok(())
}

/// Installs what the demonstration uses. It also runs without, and says what it does instead.
pub(crate) fn for_demo() {
    if let Err(failure) = system::install(system::DEMO) {
        println!("{failure}\nThe demonstration shows less without.");
    }
}
