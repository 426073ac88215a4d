//! Reading.

use super::tag;

/// Bytes that are no SNMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It ends before its end.
    Truncated,
    /// A length that is indefinite, or that no message has.
    Length,
    /// Another type than what belongs here.
    Tag,
    /// A number or identifier out of its range.
    Value,
    /// Bytes after the end.
    Trailing,
}

/// Walks over encoded elements.
///
/// Lengths and numbers need not be in their shortest form, as what real managers send is not always. Nesting is
/// what the caller asks for, so no message makes it deep.
///
/// ```
/// use coracle_snmp::ber::{Reader, tag};
///
/// let mut reader = Reader::new(&[0x30, 0x81, 0x03, 0x02, 0x01, 0x05]);
/// let mut inner = reader.sequence(tag::SEQUENCE)?;
/// assert_eq!(inner.integer()?, 5);
/// inner.finish()?;
/// # Ok::<(), coracle_snmp::ber::Malformed>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything is read.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The tag of what comes next.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// Takes the next element: its tag and content [3416-1].
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] when the content is not all there, [`Malformed::Length`] for an indefinite length or
    /// one beyond 2³², [`Malformed::Tag`] for tags of several bytes, of which SNMP has none.
    pub fn element(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let [kind, first, rest @ ..] = self.bytes else { return Err(Malformed::Truncated) };
        if kind & 0x1f == 0x1f {
            return Err(Malformed::Tag);
        }
        let (len, rest) = length(*first, rest)?;
        let (content, rest) = rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok((*kind, content))
    }

    /// Takes the content of the next element, which has this tag.
    ///
    /// # Errors
    ///
    /// [`Malformed::Tag`] when it has another one, and as [`Reader::element`].
    pub fn content(&mut self, expected: u8) -> Result<&'a [u8], Malformed> {
        if self.peek().is_some_and(|kind| kind != expected) {
            return Err(Malformed::Tag);
        }
        Ok(self.element()?.1)
    }

    /// Enters an element that has parts.
    ///
    /// # Errors
    ///
    /// As [`Reader::content`].
    pub fn sequence(&mut self, expected: u8) -> Result<Self, Malformed> {
        Ok(Self::new(self.content(expected)?))
    }

    /// Takes a signed number.
    ///
    /// # Errors
    ///
    /// [`Malformed::Value`] when it does not fit, and as [`Reader::content`].
    pub fn integer(&mut self) -> Result<i32, Malformed> {
        signed(self.content(tag::INTEGER)?)
    }

    /// Takes bytes.
    ///
    /// # Errors
    ///
    /// As [`Reader::content`].
    pub fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        self.content(tag::OCTET_STRING)
    }

    /// The end: nothing may follow.
    ///
    /// # Errors
    ///
    /// [`Malformed::Trailing`].
    pub const fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// A length of which the first byte is taken already: the length, and what follows it.
fn length(first: u8, rest: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    if first < 0x80 {
        return Ok((first as usize, rest));
    }
    let count = (first & 0x7f) as usize;
    if count == 0 || count == 0x7f {
        return Err(Malformed::Length);
    }
    let (bytes, rest) = rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
    let mut len = 0_u32;
    for byte in bytes {
        if len >> 24 != 0 {
            return Err(Malformed::Length);
        }
        len = len << 8 | u32::from(*byte);
    }
    Ok((usize::try_from(len).map_err(|_| Malformed::Length)?, rest))
}

/// Without the leading bytes that only repeat the sign.
fn shorten(mut content: &[u8]) -> &[u8] {
    while let [first, second, ..] = content
        && (*first == 0 && second & 0x80 == 0 || *first == 0xff && second & 0x80 != 0)
    {
        content = &content[1..];
    }
    content
}

/// The signed number that an element holds.
pub(crate) fn signed(content: &[u8]) -> Result<i32, Malformed> {
    let content = shorten(content);
    let Some(first) = content.first() else { return Err(Malformed::Value) };
    if content.len() > 4 {
        return Err(Malformed::Value);
    }
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Ok(content.iter().fold(sign, |value, byte| value << 8 | i32::from(*byte)))
}

/// The unsigned number of `size` bytes at most that an element holds. All of the bytes used is taken as unsigned even
/// where the zero before it is missing, as with some managers.
fn unsigned(content: &[u8], size: usize) -> Result<u64, Malformed> {
    let digits = if content.len() == size { content } else { shorten(content) };
    let Some(first) = digits.first() else { return Err(Malformed::Value) };
    let digits = if digits.len() > size && *first == 0 { &digits[1..] } else { digits };
    if digits.len() > size || (digits.len() < size && first & 0x80 != 0) {
        return Err(Malformed::Value);
    }
    Ok(digits.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The number of 32 bits that an element holds.
pub(crate) fn unsigned32(content: &[u8]) -> Result<u32, Malformed> {
    unsigned(content, 4).map(|value| value as u32)
}

/// The number of 64 bits that an element holds.
pub(crate) fn unsigned64(content: &[u8]) -> Result<u64, Malformed> {
    unsigned(content, 8)
}
