//! Error numbers, as Linux has them.

use std::fmt;

use coracle::{Error, IcmpErrorKind};

/// Why a system call failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! numbers {
    ($($name:ident $number:literal,)*) => {
        #[allow(missing_docs, reason = "the names of errno(3)")]
        impl Errno {
            $(pub const $name: Self = Self($number);)*
        }
        const NAMES: &[(&str, i32)] = &[$((stringify!($name), $number),)*];
    };
}

numbers! {
    EPERM 1, ENOENT 2, EINTR 4, EIO 5, EBADF 9, EAGAIN 11, ENOMEM 12, EACCES 13, EFAULT 14, EBUSY 16, EEXIST 17,
    EINVAL 22, EMFILE 24, ENOTTY 25, EPIPE 32, EDOM 33, EDEADLK 35, ENOSYS 38, ENODATA 61, EPROTO 71,
    ENOTSOCK 88, EDESTADDRREQ 89, EMSGSIZE 90, EPROTOTYPE 91, ENOPROTOOPT 92, EPROTONOSUPPORT 93,
    ESOCKTNOSUPPORT 94, EOPNOTSUPP 95, EAFNOSUPPORT 97, EADDRINUSE 98, EADDRNOTAVAIL 99, ENETDOWN 100,
    ENETUNREACH 101, ENETRESET 102, ECONNABORTED 103, ECONNRESET 104, ENOBUFS 105, EISCONN 106, ENOTCONN 107,
    ESHUTDOWN 108, ETIMEDOUT 110, ECONNREFUSED 111, EHOSTDOWN 112, EHOSTUNREACH 113, EALREADY 114,
    EINPROGRESS 115,
}

impl Errno {
    /// The number.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The error with a name such as `EPIPE`; `EWOULDBLOCK` is `EAGAIN`.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "EWOULDBLOCK" { "EAGAIN" } else { name };
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, number)| Self(number))
    }

    /// What Linux tells the owner of a connection of an ICMP error.
    pub(super) fn of_icmp(kind: IcmpErrorKind) -> Self {
        match kind {
            IcmpErrorKind::NetUnreachable => Self::ENETUNREACH,
            IcmpErrorKind::ProtocolUnreachable => Self::ENOPROTOOPT,
            IcmpErrorKind::PortUnreachable => Self::ECONNREFUSED,
            IcmpErrorKind::FragmentationNeeded { .. } => Self::EMSGSIZE,
            IcmpErrorKind::SourceRouteFailed => Self::EOPNOTSUPP,
            IcmpErrorKind::ParameterProblem { .. } => Self::EPROTO,
            IcmpErrorKind::HostUnreachable
            | IcmpErrorKind::TimeExceeded
            | IcmpErrorKind::ReassemblyTimeExceeded => Self::EHOSTUNREACH,
        }
    }
}

/// The number that a call of Linux would give for an error of the stack.
impl From<Error> for Errno {
    fn from(error: Error) -> Self {
        match error {
            Error::Memory | Error::Buffer => Self::ENOBUFS,
            Error::Timeout => Self::ETIMEDOUT,
            Error::Route => Self::ENETUNREACH,
            Error::InProgress => Self::EINPROGRESS,
            Error::Value | Error::Argument => Self::EINVAL,
            Error::WouldBlock => Self::EAGAIN,
            Error::InUse => Self::EADDRINUSE,
            Error::Already => Self::EALREADY,
            Error::IsConnected => Self::EISCONN,
            Error::NotConnected => Self::ENOTCONN,
            Error::Interface => Self::ENETDOWN,
            Error::Aborted => Self::ECONNABORTED,
            Error::Reset => Self::ECONNRESET,
            Error::Closed => Self::EPIPE,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|&&(_, number)| number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Errno {}
