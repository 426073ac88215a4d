//! Names: labels in a row, the end of which may lie elsewhere in the message.

use core::fmt::{self, Write};
use core::hash::{Hash, Hasher};

use super::chunk;
use crate::Malformed;

/// The longest label in bytes [1035-1].
pub const MAX_LABEL: usize = 63;
/// The longest name in bytes, with the length of each label and the zero at the end [1035-1].
pub const MAX_NAME: usize = 255;
/// Jumps that a name may take: as many as it may have labels [1035-2].
const MAX_JUMPS: usize = 127;
/// The two bits that say what follows a label's first byte.
const POINTER: u8 = 0xc0;

/// A name in a message, checked: its labels can be walked without fear.
///
/// Names are equal whatever the case of their letters [RFC 4343, 1035-5]; see [`same_case`](Self::same_case).
#[derive(Clone, Copy)]
pub struct Name<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Name<'a> {
    /// The name of everything.
    pub const ROOT: Self = Self { message: &[0], at: 0 };

    /// The name at a place of a message, and the place behind it.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] when it has no end, [`Malformed::Length`] when it is longer than 255 bytes,
    /// [`Malformed::Type`] for labels of unknown types, and [`Malformed::Option`] for pointers that do not point back
    /// to before the labels they continue, or too many of them [1035-1] [1035-2].
    pub fn read(message: &'a [u8], at: usize) -> Result<(Self, usize), Malformed> {
        let mut place = at;
        // Where the labels that are being read began: a pointer goes to before them, so that no walk is endless.
        let mut start = at;
        let mut behind = None;
        let mut jumps = 0;
        let mut len = 1;
        loop {
            let [first] = *chunk(message, place)?;
            match first {
                0 => return Ok((Self { message, at }, behind.unwrap_or(place + 1))),
                1..0x40 => {
                    len += usize::from(first) + 1;
                    if len > MAX_NAME {
                        return Err(Malformed::Length);
                    }
                    place += usize::from(first) + 1;
                }
                POINTER.. => {
                    let target = pointer(*chunk(message, place)?);
                    behind.get_or_insert(place + 2);
                    jumps += 1;
                    if target >= start || jumps > MAX_JUMPS {
                        return Err(Malformed::Option);
                    }
                    (place, start) = (target, target);
                }
                _ => return Err(Malformed::Type),
            }
        }
    }

    /// The name that these bytes are, all of them and nothing else: labels without pointers, then a zero.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), and [`Malformed::Length`] for bytes behind the name.
    pub fn from_wire(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match Self::read(bytes, 0)? {
            // Pointers point back, and there is nothing before the first byte.
            (name, behind) if behind == bytes.len() => Ok(name),
            _ => Err(Malformed::Length),
        }
    }

    /// The labels, from the host's to the one below the root.
    #[inline]
    pub fn labels(&self) -> Labels<'a> {
        Labels { message: self.message, at: self.at }
    }

    /// Length in bytes without compression, 1 to 255.
    pub fn wire_len(&self) -> usize {
        self.labels().fold(1, |len, label| len + label.len() + 1)
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.labels().next().is_none()
    }

    /// Whether both are the same, letter by letter, in the same case.
    pub fn same_case(&self, other: &Name<'_>) -> bool {
        self.labels().eq(other.labels())
    }

    /// Whether this name is `zone` or below it.
    pub fn is_within(&self, zone: &Name<'_>) -> bool {
        let (own, other) = (self.labels().count(), zone.labels().count());
        own >= other && equal(self.labels().skip(own - other), zone.labels())
    }

    /// The name above this one; that above the root is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let mut labels = self.labels();
        if labels.next().is_none() {
            return *self;
        }
        Self { message: self.message, at: labels.at }
    }
}

/// Where the two bytes of a pointer point.
#[inline]
fn pointer([high, low]: [u8; 2]) -> usize {
    usize::from(u16::from_be_bytes([high & !POINTER, low]))
}

fn equal<'a, 'b>(
    mut first: impl Iterator<Item = &'a [u8]>,
    mut second: impl Iterator<Item = &'b [u8]>,
) -> bool {
    loop {
        match (first.next(), second.next()) {
            (None, None) => return true,
            (Some(first), Some(second)) if first.eq_ignore_ascii_case(second) => {}
            _ => return false,
        }
    }
}

/// Iterator over the labels of a name.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        // The name was checked, so each jump goes back, and none is missing its second byte.
        while *self.message.get(self.at)? >= POINTER {
            self.at = pointer(*chunk(self.message, self.at).ok()?);
        }
        let len = usize::from(self.message[self.at]);
        if len == 0 {
            return None;
        }
        let label = self.message.get(self.at + 1..self.at + 1 + len)?;
        self.at += 1 + len;
        Some(label)
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        equal(self.labels(), other.labels())
    }
}

impl Eq for Name<'_> {}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for label in self.labels() {
            state.write_u8(label.len() as u8);
            for byte in label {
                state.write_u8(byte.to_ascii_lowercase());
            }
        }
    }
}

/// Labels and dots, without one at the end; a dot alone is the root. Dots and backslashes within labels stand behind
/// a backslash, and bytes that cannot be printed are `\DDD` [RFC 4343 §2.1].
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_char('.');
        }
        for (position, label) in self.labels().enumerate() {
            if position > 0 {
                f.write_char('.')?;
            }
            for &byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", byte as char)?,
                    b'!'..=b'~' => f.write_char(byte as char)?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name of its own: the longest that there can be fits.
#[derive(Clone)]
pub struct NameBuf {
    len: u8,
    bytes: [u8; MAX_NAME],
}

impl NameBuf {
    /// The name of everything.
    pub const ROOT: Self = Self { len: 1, bytes: [0; MAX_NAME] };

    /// A copy of a name, without compression.
    pub fn new(name: Name<'_>) -> Self {
        let mut buf = Self::ROOT;
        for label in name.labels() {
            buf.push(label).unwrap_or_default();
        }
        buf
    }

    /// A name as people write it: labels and dots. A dot at the end changes nothing; a backslash takes the next
    /// character, or the number of three digits behind it, for a byte of the label.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] for a label that is empty or above 63 bytes, and for a name above 255; and
    /// [`Malformed::Option`] for a backslash that means nothing.
    pub fn from_text(text: &str) -> Result<Self, Malformed> {
        let mut buf = Self::ROOT;
        if text == "." {
            return Ok(buf);
        }
        let mut label = [0; MAX_LABEL];
        let mut len = 0;
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'.' {
                buf.push(label.get(..len).ok_or(Malformed::Length)?)?;
                len = 0;
                continue;
            }
            let byte = if byte == b'\\' { escaped(&mut bytes).ok_or(Malformed::Option)? } else { byte };
            *label.get_mut(len).ok_or(Malformed::Length)? = byte;
            len += 1;
        }
        if len > 0 {
            buf.push(&label[..len])?;
        }
        if buf.len == 1 { Err(Malformed::Length) } else { Ok(buf) }
    }

    /// Adds a label at the end, below the root.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] for a label that is empty or too long, or when the name has no room for it; then nothing
    /// is changed.
    pub fn push(&mut self, label: &[u8]) -> Result<(), Malformed> {
        let at = usize::from(self.len) - 1;
        let behind = at + 1 + label.len();
        if label.is_empty() || label.len() > MAX_LABEL || behind >= MAX_NAME {
            return Err(Malformed::Length);
        }
        self.bytes[at] = label.len() as u8;
        self.bytes[at + 1..behind].copy_from_slice(label);
        self.bytes[behind] = 0;
        self.len = behind as u8 + 1;
        Ok(())
    }

    /// Adds all labels of another name.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] when they do not fit; then nothing is changed.
    pub fn push_name(&mut self, name: Name<'_>) -> Result<(), Malformed> {
        let len = self.len;
        for label in name.labels() {
            if let Err(error) = self.push(label) {
                self.len = len;
                self.bytes[usize::from(len) - 1] = 0;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The name.
    #[inline]
    pub fn name(&self) -> Name<'_> {
        Name { message: self.wire(), at: 0 }
    }

    /// The name's bytes: labels behind their lengths, then a zero.
    #[inline]
    pub fn wire(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Changes letters, and nothing else: `change` is given each letter of each label, and returns how it is written.
    pub fn rewrite_letters(&mut self, mut change: impl FnMut(u8) -> u8) {
        let mut at = 0;
        while self.bytes[at] != 0 {
            let end = at + 1 + usize::from(self.bytes[at]);
            for byte in &mut self.bytes[at + 1..end] {
                if byte.is_ascii_alphabetic() {
                    let written = change(*byte);
                    if written.eq_ignore_ascii_case(byte) {
                        *byte = written;
                    }
                }
            }
            at = end;
        }
    }
}

/// The byte behind a backslash.
fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).ok()
}

impl PartialEq for NameBuf {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for NameBuf {}

impl fmt::Display for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name(), f)
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name(), f)
    }
}
