//! What can go wrong between here and the C library.

use std::fmt;

/// Why an operation on the loaded lwIP failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// `liblwip.so.0` is not on this machine, or the dynamic linker refused it. The text is the linker's.
    NotFound(String),
    /// The library was found, but a private copy of it could not be made.
    Copy(String),
    /// The library does not export this function.
    MissingSymbol(&'static str),
    /// The library's `struct netif` is laid out in another way than this crate declares it.
    Layout,
    /// lwIP had no memory for a buffer or a control block.
    Memory,
    /// A frame or datagram is longer than lwIP's 16-bit lengths.
    TooLong,
    /// The stack was called for input from inside one of its own callbacks.
    Busy,
    /// lwIP returned this `err_t`.
    Lwip(i8),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(why) => write!(f, "liblwip.so.0 cannot be loaded: {why}"),
            Self::Copy(why) => write!(f, "no private copy of liblwip.so.0 could be made: {why}"),
            Self::MissingSymbol(name) => write!(f, "liblwip.so.0 does not export {name}"),
            Self::Layout => {
                f.write_str("liblwip.so.0 was built with another layout of struct netif than Debian's 2.1")
            }
            Self::Memory => f.write_str("lwIP is out of memory"),
            Self::TooLong => f.write_str("longer than lwIP's 16-bit lengths"),
            Self::Busy => f.write_str("input from inside a callback of the same stack"),
            Self::Lwip(code) => write!(f, "lwIP returned err_t {code}"),
        }
    }
}

impl std::error::Error for Error {}
