//! Why a packet cannot be read.

use core::fmt;

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Why a packet cannot be read. The stack keeps one drop counter for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Fewer bytes than the format's header needs.
    Truncated,
    /// A length field contradicts the format, another length, or the bytes at hand.
    Length,
    /// A version number other than the protocol's.
    Version,
    /// A type field that this format does not have.
    Type,
    /// An option whose length or content is impossible.
    Option,
    /// An address that cannot be meant where it stands.
    Address,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "packet shorter than its header",
            Self::Length => "contradictory length field",
            Self::Version => "wrong version number",
            Self::Type => "type field of another format",
            Self::Option => "impossible option",
            Self::Address => "impossible address",
        })
    }
}

impl core::error::Error for Malformed {}

/// The header at the start of `bytes`, whatever follows it.
#[inline]
pub(crate) fn prefix<T>(bytes: &[u8]) -> Result<&T, Malformed>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    match T::ref_from_prefix(bytes) {
        Ok((header, _)) => Ok(header),
        Err(_) => Err(Malformed::Truncated),
    }
}

/// Splits what follows an option's kind, in IPv4 as in TCP, into its data and the options behind it. The length counts
/// kind and length in, so one of 0 or 1 is as wrong as one past the end.
pub(crate) fn split_option(behind: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (&len, behind) = behind.split_first().ok_or(Malformed::Option)?;
    let data_len = usize::from(len).checked_sub(2).ok_or(Malformed::Option)?;
    behind.split_at_checked(data_len).ok_or(Malformed::Option)
}
