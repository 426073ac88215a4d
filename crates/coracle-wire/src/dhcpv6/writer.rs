//! Messages written option by option.

use super::HEADER_LEN;
use crate::Malformed;

/// A message that is being written. It never goes past its buffer.
#[derive(Debug)]
pub struct Dhcpv6Writer<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

/// An option that is being written and will hold others; [`Dhcpv6Writer::end`] ends it.
#[derive(Debug)]
#[must_use]
pub struct Nested(usize);

impl<'a> Dhcpv6Writer<'a> {
    /// Begins a message; of the transaction the lower 24 bits count.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 4 bytes.
    pub fn new(bytes: &'a mut [u8], kind: u8, transaction: u32) -> Result<Self, Malformed> {
        let head = bytes.first_chunk_mut::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        *head = transaction.to_be_bytes();
        head[0] = kind;
        Ok(Self { bytes, len: HEADER_LEN })
    }

    /// Adds an option. Returns whether there was room; if not, nothing was added.
    #[must_use]
    pub fn option(&mut self, code: u16, data: &[u8]) -> bool {
        let end = self.len + 4 + data.len();
        let (Some(place), Ok(len)) = (self.bytes.get_mut(self.len..end), u16::try_from(data.len())) else {
            return false;
        };
        place[..2].copy_from_slice(&code.to_be_bytes());
        place[2..4].copy_from_slice(&len.to_be_bytes());
        place[4..].copy_from_slice(data);
        self.len = end;
        true
    }

    /// Begins an option that holds others behind its own fields; what is added until its end is within it.
    #[must_use]
    pub fn begin(&mut self, code: u16, fields: &[u8]) -> Option<Nested> {
        let start = self.len;
        self.option(code, fields).then_some(Nested(start))
    }

    /// Ends such an option.
    #[allow(clippy::needless_pass_by_value, reason = "it ends once")]
    pub fn end(&mut self, nested: Nested) {
        let len = (self.len - nested.0 - 4) as u16;
        if let Some(place) = self.bytes.get_mut(nested.0 + 2..nested.0 + 4) {
            place.copy_from_slice(&len.to_be_bytes());
        }
    }

    /// Ends the message and returns its length.
    pub fn finish(self) -> usize {
        self.len
    }
}
