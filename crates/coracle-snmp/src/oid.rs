//! Object identifiers.

use core::cmp::Ordering;
use core::fmt;

use crate::ber::{Malformed, Writer, tag};

/// How many arcs an identifier has at most [RFC 3416 §4.1].
pub const MAX_ARCS: usize = 128;

/// An object identifier of up to 128 arcs, kept in place. lwIP's `snmp_obj_id`.
///
/// ```
/// use coracle_snmp::Oid;
///
/// let mut oid = Oid::new(&[1, 3, 6, 1, 2, 1, 1])?;
/// oid.push(5)?;
/// oid.push(0)?;
/// assert_eq!(oid.arcs(), [1, 3, 6, 1, 2, 1, 1, 5, 0]);
/// assert_eq!("1.3.6.1.2.1.1.5.0".parse::<Oid>()?, oid);
/// # Ok::<(), coracle_snmp::OidError>(())
/// ```
#[derive(Clone)]
pub struct Oid {
    arcs: [u32; MAX_ARCS],
    len: u8,
}

/// Not an object identifier: too many arcs, or something else than numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OidError;

impl fmt::Display for OidError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not an object identifier")
    }
}

impl core::error::Error for OidError {}

impl Default for Oid {
    fn default() -> Self {
        Self { arcs: [0; MAX_ARCS], len: 0 }
    }
}

impl Oid {
    /// An identifier of these arcs.
    ///
    /// # Errors
    ///
    /// [`OidError`] for more than [`MAX_ARCS`].
    pub fn new(arcs: &[u32]) -> Result<Self, OidError> {
        let mut oid = Self::default();
        oid.extend(arcs)?;
        Ok(oid)
    }

    /// The arcs.
    #[inline]
    pub fn arcs(&self) -> &[u32] {
        &self.arcs[..self.len as usize]
    }

    /// Forgets all arcs.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Forgets all arcs but the first few.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len.min(MAX_ARCS) as u8);
    }

    /// Adds an arc.
    ///
    /// # Errors
    ///
    /// [`OidError`] when there are [`MAX_ARCS`] already.
    pub fn push(&mut self, arc: u32) -> Result<(), OidError> {
        self.extend(&[arc])
    }

    /// Adds arcs.
    ///
    /// # Errors
    ///
    /// [`OidError`] when that would make more than [`MAX_ARCS`]; the identifier is as before.
    pub fn extend(&mut self, arcs: &[u32]) -> Result<(), OidError> {
        let old = self.len as usize;
        let place = self.arcs.get_mut(old..old + arcs.len()).ok_or(OidError)?;
        place.copy_from_slice(arcs);
        self.len += arcs.len() as u8;
        Ok(())
    }

    /// Adds an arc for each byte, as an index of fixed length has it [RFC 2578 §7.7].
    ///
    /// # Errors
    ///
    /// As [`Oid::extend`].
    pub fn extend_bytes(&mut self, bytes: &[u8]) -> Result<(), OidError> {
        let old = self.len as usize;
        let place = self.arcs.get_mut(old..old + bytes.len()).ok_or(OidError)?;
        for (arc, byte) in place.iter_mut().zip(bytes) {
            *arc = u32::from(*byte);
        }
        self.len += bytes.len() as u8;
        Ok(())
    }

    /// Adds the number of bytes and an arc for each, as an index of variable length has it [RFC 2578 §7.7].
    ///
    /// # Errors
    ///
    /// As [`Oid::extend`].
    pub fn extend_string(&mut self, bytes: &[u8]) -> Result<(), OidError> {
        if self.len as usize + 1 + bytes.len() > MAX_ARCS {
            return Err(OidError);
        }
        self.push(bytes.len() as u32)?;
        self.extend_bytes(bytes)
    }
}

impl PartialEq for Oid {
    fn eq(&self, other: &Self) -> bool {
        self.arcs() == other.arcs()
    }
}

impl Eq for Oid {}

impl PartialOrd for Oid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Lexicographic, the order of GETNEXT.
impl Ord for Oid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.arcs().cmp(other.arcs())
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, arc) in self.arcs().iter().enumerate() {
            if position > 0 {
                formatter.write_str(".")?;
            }
            write!(formatter, "{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl core::str::FromStr for Oid {
    type Err = OidError;

    fn from_str(text: &str) -> Result<Self, OidError> {
        let mut oid = Self::default();
        for arc in text.strip_prefix('.').unwrap_or(text).split('.') {
            oid.push(arc.parse().map_err(|_| OidError)?)?;
        }
        Ok(oid)
    }
}

/// An object identifier somewhere else: in a message, or in the program.
#[derive(Clone, Copy)]
pub struct OidRef<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    /// The content of a checked element.
    Encoded(&'a [u8]),
    Arcs(&'a [u32]),
}

impl<'a> OidRef<'a> {
    /// An identifier of these arcs.
    pub const fn new(arcs: &'a [u32]) -> Self {
        Self(Source::Arcs(arcs))
    }

    /// The identifier that is the content of an element [3416-7]. No content at all is 0.0, as some managers mean it.
    ///
    /// # Errors
    ///
    /// [`Malformed::Value`] for an arc of 2³² or more, or more than [`MAX_ARCS`]; [`Malformed::Truncated`] for an
    /// arc without its end.
    pub fn decode(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut count = 1;
        let mut value = 0_u32;
        for byte in content {
            if value >> 25 != 0 {
                return Err(Malformed::Value);
            }
            value = value << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                value = 0;
                count += 1;
            }
        }
        if content.last().is_some_and(|byte| byte & 0x80 != 0) {
            return Err(Malformed::Truncated);
        }
        if count > MAX_ARCS {
            return Err(Malformed::Value);
        }
        Ok(Self(Source::Encoded(content)))
    }

    /// The arcs, one after the other.
    pub fn arcs(self) -> Arcs<'a> {
        match self.0 {
            Source::Encoded([]) => Arcs { source: Source::Arcs(&[0, 0]), second: None, started: true },
            source => Arcs { source, second: None, started: matches!(source, Source::Arcs(_)) },
        }
    }

    /// Copies the arcs to a place where they can be searched; the place keeps the first [`MAX_ARCS`].
    pub fn copy_to(self, oid: &mut Oid) {
        oid.clear();
        for arc in self.arcs() {
            if oid.push(arc).is_err() {
                return;
            }
        }
    }

    /// The arcs, kept in place.
    pub fn to_oid(self) -> Oid {
        let mut oid = Oid::default();
        self.copy_to(&mut oid);
        oid
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        match self.0 {
            Source::Encoded(content) => writer.element(tag::OBJECT_IDENTIFIER, content),
            Source::Arcs(arcs) => writer.oid(arcs),
        }
    }
}

impl PartialEq for OidRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.arcs().eq(other.arcs())
    }
}

impl Eq for OidRef<'_> {}

impl fmt::Debug for OidRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_oid(), formatter)
    }
}

/// The arcs of an [`OidRef`].
#[derive(Debug, Clone)]
pub struct Arcs<'a> {
    source: Source<'a>,
    /// The first number stands for two arcs; this is the other one.
    second: Option<u32>,
    started: bool,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoded(bytes) => fmt::Debug::fmt(bytes, formatter),
            Self::Arcs(arcs) => fmt::Debug::fmt(arcs, formatter),
        }
    }
}

impl Iterator for Arcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if let Some(second) = self.second.take() {
            return Some(second);
        }
        let value = match &mut self.source {
            Source::Arcs(arcs) => {
                let (first, rest) = arcs.split_first()?;
                *arcs = rest;
                *first
            }
            Source::Encoded(content) => {
                let end = content.iter().position(|byte| byte & 0x80 == 0)?;
                let (bytes, rest) = content.split_at(end + 1);
                *content = rest;
                bytes.iter().fold(0, |value, byte| value << 7 | u32::from(byte & 0x7f))
            }
        };
        if self.started {
            return Some(value);
        }
        self.started = true;
        let first = (value / 40).min(2);
        self.second = Some(value - first * 40);
        Some(first)
    }
}

#[cfg(test)]
mod tests;
