//! Writing.

use super::tag;

/// A place in a [`Writer`]'s output: where an element will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

/// Writes encoded elements, the last one first.
///
/// What does not fit any more is left out, and so is all that follows; [`Writer::start`] tells. So only the end of a
/// message needs a check.
///
/// ```
/// use coracle_snmp::ber::{Writer, tag};
///
/// let mut buffer = [0; 16];
/// let mut writer = Writer::new(&mut buffer);
/// let end = writer.mark();
/// writer.octets(b"public");
/// writer.integer(1);
/// writer.close(tag::SEQUENCE, end);
/// let start = writer.start().expect("it fits");
/// assert_eq!(&buffer[start..], b"\x30\x0b\x02\x01\x01\x04\x06public");
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
    full: bool,
}

impl<'a> Writer<'a> {
    /// A writer that fills a buffer from its end.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        let at = buffer.len();
        Self { buffer, at, full: false }
    }

    /// A writer in front of what is in a buffer from a place on to its end.
    pub(crate) const fn before(buffer: &'a mut [u8], at: usize) -> Self {
        Self { buffer, at, full: false }
    }

    /// The end of the buffer.
    pub(crate) const fn end(&self) -> Mark {
        Mark(self.buffer.len())
    }

    /// The place before what was written last.
    pub const fn mark(&self) -> Mark {
        Mark(self.at)
    }

    /// Where in the buffer the output begins; `None` when it did not fit.
    pub const fn start(&self) -> Option<usize> {
        if self.full { None } else { Some(self.at) }
    }

    /// What was written so far.
    pub fn written(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Puts bytes in front, as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        match self.at.checked_sub(bytes.len()) {
            Some(at) if !self.full => {
                self.buffer[at..self.at].copy_from_slice(bytes);
                self.at = at;
            }
            _ => self.full = true,
        }
    }

    /// Puts the tag and length in front of all that was written since the mark.
    pub fn close(&mut self, kind: u8, end: Mark) {
        let len = end.0 - self.at;
        let bytes = (len as u32).to_be_bytes();
        match len {
            0..0x80 => self.raw(&[kind, len as u8]),
            0x80..0x100 => self.raw(&[kind, 0x81, bytes[3]]),
            0x100..0x1_0000 => self.raw(&[kind, 0x82, bytes[2], bytes[3]]),
            0x1_0000..0x100_0000 => self.raw(&[kind, 0x83, bytes[1], bytes[2], bytes[3]]),
            _ => self.full = true,
        }
    }

    /// Puts an element in front.
    pub fn element(&mut self, kind: u8, content: &[u8]) {
        let end = self.mark();
        self.raw(content);
        self.close(kind, end);
    }

    /// Puts a signed number in front.
    pub fn integer(&mut self, value: i32) {
        let bytes = value.to_be_bytes();
        let extra = if value < 0 { value.leading_ones() } else { value.leading_zeros() };
        // One bit of the sign stays.
        let skip = (extra.saturating_sub(1) / 8).min(3) as usize;
        self.element(tag::INTEGER, &bytes[skip..]);
    }

    /// Puts an unsigned number in front, under the tag of its type.
    pub fn unsigned(&mut self, kind: u8, value: u64) {
        let mut bytes = [0; 9];
        bytes[1..].copy_from_slice(&value.to_be_bytes());
        // A zero stays in front of a first bit that would be read as a sign.
        let skip = value.leading_zeros().div_ceil(8) as usize;
        self.element(kind, &bytes[skip..]);
    }

    /// Puts bytes in front.
    pub fn octets(&mut self, bytes: &[u8]) {
        self.element(tag::OCTET_STRING, bytes);
    }

    /// Puts an object identifier in front; one that has a single arc gets a zero as its second [3416-7].
    pub fn oid(&mut self, arcs: &[u32]) {
        let end = self.mark();
        if let [_, _, tail @ ..] = arcs {
            for arc in tail.iter().rev() {
                self.base128(*arc);
            }
        }
        let first = arcs.first().copied().unwrap_or(0);
        let second = arcs.get(1).copied().unwrap_or(0);
        self.base128(first.saturating_mul(40).saturating_add(second));
        self.close(tag::OBJECT_IDENTIFIER, end);
    }

    fn base128(&mut self, value: u32) {
        if value < 0x80 {
            return self.raw(&[value as u8]);
        }
        let mut bytes = [0; 5];
        let mut at = 4;
        let mut rest = value >> 7;
        bytes[4] = (value & 0x7f) as u8;
        while rest > 0 {
            at -= 1;
            bytes[at] = (rest & 0x7f) as u8 | 0x80;
            rest >>= 7;
        }
        self.raw(&bytes[at..]);
    }
}
