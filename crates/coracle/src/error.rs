//! How calls fail: [`Error`], and the shapes that hand data back.

use core::fmt;

pub use coracle_buf::Error;
use coracle_buf::Pbuf;

/// Data that the stack did not take: why, and the data itself, unchanged.
///
/// Nothing that was accepted is lost, and nothing that was refused is gone: the caller may try again later, send it
/// elsewhere, or drop it. lwIP's counterpart is that `udp_sendto` leaves the `pbuf` with its caller.
pub struct Rejected {
    /// Why the data was not taken.
    pub error: Error,
    /// The data as it was given.
    pub data: Pbuf,
}

impl Rejected {
    #[cold]
    pub(crate) fn new(error: Error, data: Pbuf) -> Self {
        Self { error, data }
    }
}

/// Drops the data and keeps the reason, so that `?` works.
impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        rejected.error
    }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rejected({:?}, {} bytes)", self.error, self.data.len())
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes not taken: {}", self.data.len(), self.error)
    }
}

impl core::error::Error for Rejected {}
