//! What can go wrong between this program and the host.

use core::fmt;
use std::io;
use std::time::Duration;

use crate::namespace::Output;

/// Why the host did not give what was asked for. [`is_unavailable`](Self::is_unavailable) tells a machine that
/// lacks something from a mistake.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The host has it, but this user may not use it.
    NoPermission {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no `/dev/net/tun`, or no driver behind it.
    NoTunDevice(io::Error),
    /// The kernel has no network or user namespaces, or no more of them.
    NoNamespaces(io::Error),
    /// A program is not installed.
    NoProgram(String),
    /// Not a name for an interface: 1 to 15 bytes without `/`, `:` and white space.
    InvalidName(String),
    /// Another program has this interface open.
    Busy(String),
    /// An interface of that name exists and is of another kind.
    OtherKind(String),
    /// A command was ended because it ran too long. What it had written is in the output.
    Timeout {
        /// The command line.
        command: String,
        /// The time it had.
        after: Duration,
        /// What it had written.
        output: Box<Output>,
    },
    /// A command reported failure.
    Failed {
        /// The command line.
        command: String,
        /// How it ended and what it wrote.
        output: Box<Output>,
    },
    /// The stack refused.
    Stack {
        /// What was asked of it.
        what: String,
        /// Its answer.
        source: coracle::Error,
    },
    /// Anything else.
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// This machine or this user lacks something, so the caller should do without, or skip and say so.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::NoPermission { .. } | Self::NoTunDevice(_) | Self::NoNamespaces(_) | Self::NoProgram(_)
        )
    }

    pub(crate) fn from_stack(what: impl Into<String>, source: coracle::Error) -> Self {
        Self::Stack { what: what.into(), source }
    }

    /// Sorts a system error into permission or anything else.
    pub(crate) fn from_io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (what, source) = (what.into(), source.into());
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NoPermission { what, source },
            _ => Self::Io { what, source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermission { what, source } => write!(f, "no permission to {what}: {source}"),
            Self::NoTunDevice(source) => write!(f, "no TUN/TAP device (/dev/net/tun): {source}"),
            Self::NoNamespaces(source) => write!(f, "the kernel gives no namespace: {source}"),
            Self::NoProgram(name) => write!(f, "the program `{name}` is not installed"),
            Self::InvalidName(name) => write!(f, "`{name}` is not a name for an interface"),
            Self::Busy(name) => write!(f, "another program has the interface `{name}` open"),
            Self::OtherKind(name) => write!(f, "an interface `{name}` exists and is of another kind"),
            Self::Timeout { command, after, output } => {
                write!(f, "`{command}` was ended after {after:?}{output}")
            }
            Self::Failed { command, output } => write!(f, "`{command}` failed{output}"),
            Self::Stack { what, source } => write!(f, "the stack refuses to {what}: {source}"),
            Self::Io { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoPermission { source, .. }
            | Self::NoTunDevice(source)
            | Self::NoNamespaces(source)
            | Self::Io { source, .. } => Some(source),
            Self::Stack { source, .. } => Some(source),
            _ => None,
        }
    }
}
