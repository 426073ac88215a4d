//! Messages written option by option.

use super::{DhcpFields, DhcpHeader, HEADER_LEN, MIN_LEN, MessageType, code};
use crate::Malformed;

/// A message that is being written. It never goes past its buffer, and there is always room for the end marker.
#[derive(Debug)]
pub struct DhcpWriter<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> DhcpWriter<'a> {
    /// Begins a message with its fixed part and its type, which comes first so that nobody has to look for it.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] when there is not even room for these: 244 bytes.
    pub fn new(bytes: &'a mut [u8], fields: &DhcpFields, kind: MessageType) -> Result<Self, Malformed> {
        let head = bytes.first_chunk_mut::<HEADER_LEN>().ok_or(Malformed::Truncated)?;
        DhcpHeader::write(head, fields);
        let mut writer = Self { bytes, len: HEADER_LEN };
        if writer.option(code::MESSAGE_TYPE, &[kind as u8]) { Ok(writer) } else { Err(Malformed::Truncated) }
    }

    /// Adds an option; one of more than 255 bytes goes in several pieces (RFC 3396 §4). Returns whether there was room;
    /// if not, nothing was added.
    #[must_use]
    pub fn option(&mut self, code: u8, data: &[u8]) -> bool {
        let pieces = data.len().div_ceil(255).max(1);
        let needed = data.len() + 2 * pieces;
        // One byte is kept for the end marker.
        let Some(mut into) = self.bytes.get_mut(self.len..).filter(|room| room.len() > needed) else {
            return false;
        };
        let mut rest = data;
        for _ in 0..pieces {
            let (piece, behind) = rest.split_at(rest.len().min(255));
            let (place, free) = into.split_at_mut(2 + piece.len());
            place[0] = code;
            place[1] = piece.len() as u8;
            place[2..].copy_from_slice(piece);
            (rest, into) = (behind, free);
        }
        self.len += needed;
        true
    }

    /// Adds an option that is a number of 32 bits, or an address.
    #[must_use]
    pub fn number(&mut self, code: u8, number: u32) -> bool {
        self.option(code, &number.to_be_bytes())
    }

    /// Ends the message and returns its length: 300 bytes at least, as far as there is room.
    pub fn finish(self) -> usize {
        if let Some(end) = self.bytes.get_mut(self.len) {
            *end = code::END;
        }
        let behind = self.len + 1;
        let len = behind.max(MIN_LEN.min(self.bytes.len()));
        if let Some(padding) = self.bytes.get_mut(behind..len) {
            padding.fill(code::PAD);
        }
        len
    }
}
