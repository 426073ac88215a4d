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

    /// Makes a setting such as `window=65536`, as a `// coracle:` comment does; those of the script itself go before it.
    ///
    /// ```
    /// let mut script = coracle_script::Script::parse("0 < icmp echo_request\n+0 > [ttl 9] icmp echo_reply")?;
    /// script.set("ttl=9")?;
    /// assert_eq!(script.run().result, Ok(()));
    /// # Ok::<(), coracle_script::ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it is not of the form `name=value`; a name that is not known is a failure of the run.
    pub fn set(&mut self, setting: &str) -> Result<(), ParseError> {
        let directives = &mut self.0.directives;
        let position = directives.iter().take_while(|directive| directive.line == 0).count();
        directives.insert(position, language::setting(0, setting)?);
        Ok(())
    }

    /// Runs it on a stack of its own.
    pub fn run(&self) -> Report {
        runner::run(&self.0)
    }
}
