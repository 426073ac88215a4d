//! The error type of the whole stack.

use core::fmt;

/// Why a call failed: the one error type of the stack, lwIP's `err_t`.
///
/// The discriminants are lwIP's numbers, so that a C caller sees what it knows.
///
/// ```
/// use coracle_buf::Error;
///
/// assert_eq!(Error::Memory.code(), -1);
/// assert_eq!(Error::from_code(-16), Some(Error::Argument));
/// assert_eq!(Error::from_code(0), None); // ERR_OK is no error
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i8)]
pub enum Error {
    /// A pool, the heap or a table is exhausted; works again when something was given back (`ERR_MEM`).
    Memory = -1,
    /// The buffer cannot take this: no room for a header, or its bytes are shared or read-only (`ERR_BUF`).
    Buffer = -2,
    /// Nothing came in time (`ERR_TIMEOUT`).
    Timeout = -3,
    /// No route or no interface leads to the destination (`ERR_RTE`).
    Route = -4,
    /// The operation has started and will finish later (`ERR_INPROGRESS`).
    InProgress = -5,
    /// A value that is not legal here (`ERR_VAL`).
    Value = -6,
    /// The call would have to wait (`ERR_WOULDBLOCK`).
    WouldBlock = -7,
    /// The address is in use (`ERR_USE`).
    InUse = -8,
    /// The operation is already under way (`ERR_ALREADY`).
    Already = -9,
    /// The connection is already established (`ERR_ISCONN`).
    IsConnected = -10,
    /// There is no connection (`ERR_CONN`).
    NotConnected = -11,
    /// The interface failed or is down (`ERR_IF`).
    Interface = -12,
    /// The connection was aborted on this side (`ERR_ABRT`).
    Aborted = -13,
    /// The peer reset the connection (`ERR_RST`).
    Reset = -14,
    /// The connection or its handle is gone (`ERR_CLSD`).
    Closed = -15,
    /// A wrong argument: out of range, wrong kind, wrong state (`ERR_ARG`).
    Argument = -16,
}

impl Error {
    /// lwIP's number, -1 to -16.
    #[inline]
    pub const fn code(self) -> i8 {
        self as i8
    }

    /// The error with lwIP's number `code`; `None` for 0 (`ERR_OK`) and for numbers that lwIP doesn't define.
    pub const fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            -1 => Self::Memory,
            -2 => Self::Buffer,
            -3 => Self::Timeout,
            -4 => Self::Route,
            -5 => Self::InProgress,
            -6 => Self::Value,
            -7 => Self::WouldBlock,
            -8 => Self::InUse,
            -9 => Self::Already,
            -10 => Self::IsConnected,
            -11 => Self::NotConnected,
            -12 => Self::Interface,
            -13 => Self::Aborted,
            -14 => Self::Reset,
            -15 => Self::Closed,
            -16 => Self::Argument,
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "out of memory",
            Self::Buffer => "buffer has no room or is shared",
            Self::Timeout => "timed out",
            Self::Route => "no route to the destination",
            Self::InProgress => "in progress",
            Self::Value => "illegal value",
            Self::WouldBlock => "would block",
            Self::InUse => "address in use",
            Self::Already => "already under way",
            Self::IsConnected => "already connected",
            Self::NotConnected => "not connected",
            Self::Interface => "interface is down or failed",
            Self::Aborted => "connection aborted",
            Self::Reset => "connection reset by the peer",
            Self::Closed => "closed",
            Self::Argument => "wrong argument",
        })
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn codes_are_those_of_lwip_and_come_back() {
        for code in -16..=-1 {
            let error = Error::from_code(code).unwrap();
            assert_eq!(error.code(), code);
            assert!(!error.to_string().is_empty());
        }
        for code in [0, 1, -17, i8::MIN, i8::MAX] {
            assert_eq!(Error::from_code(code), None);
        }
    }
}
