//! Runs scripts in packetdrill's language against the Coracle stack, in virtual time.
//!
//! A script says, with times, what an application calls, what a peer sends, and what the stack must send. The stack
//! runs inside the process, on a clock that the runner moves, so a script of minutes takes milliseconds and gives the
//! same result each time. What of the language is understood is in the crate's README.
//!
//! ```
//! let script = coracle_script::Script::parse(
//!     "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3
//!     +0 bind(3, ..., ...) = 0
//!     +0 < udp (100)
//!     +0 recvfrom(3, ..., 1000, 0, ..., ...) = 100
//!     +0 sendto(3, ..., 200, 0, ..., ...) = 200
//!     +0 > udp (200)",
//! )?;
//! assert_eq!(script.run().result, Ok(()));
//! # Ok::<(), coracle_script::ParseError>(())
//! ```

#![forbid(unsafe_code)]

mod language;
mod packet;
mod runner;
pub mod sockets;

pub use language::ParseError;
pub use runner::{Failure, Outcome, Report};

/// A script that was read.
#[derive(Clone, Debug)]
pub struct Script(language::ast::Script);

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// Where and why the text is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        language::parse(text).map(Self)
    }

    /// Runs it on a stack of its own.
    pub fn run(&self) -> Report {
        runner::run(&self.0)
    }
}
