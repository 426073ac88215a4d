//! What `IGMPv3` and version 2 of MLD have in common: records, and times as floating-point numbers
//! [RFC 3376] [RFC 3810].

use core::iter::FusedIterator;

use crate::Malformed;

/// Types of a [`Record`] [RFC 3376 §4.2.12].
pub mod record {
    /// The host listens to these sources.
    pub const MODE_IS_INCLUDE: u8 = 1;
    /// The host listens to all but these sources.
    pub const MODE_IS_EXCLUDE: u8 = 2;
    /// The host listens from now on to these sources.
    pub const CHANGE_TO_INCLUDE: u8 = 3;
    /// The host listens from now on to all but these sources.
    pub const CHANGE_TO_EXCLUDE: u8 = 4;
    /// The host listens to these sources too.
    pub const ALLOW_NEW_SOURCES: u8 = 5;
    /// The host no longer listens to these sources.
    pub const BLOCK_OLD_SOURCES: u8 = 6;
}

/// What the newer versions of queries say beyond the older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryDetails {
    /// Whether other routers shall leave their timers as they are.
    pub suppress: bool,
    /// How many times the querier wants a message sent that may be lost; 0 if it has no opinion. Up to 7.
    pub robustness: u8,
    /// How often the querier asks, in seconds.
    pub interval_s: u16,
}

/// The time that eight bits stand for [RFC 3376 §4.1.1]: itself below 128, a floating-point number above, up to 31,744.
///
/// ```
/// use coracle_wire::membership::decode_8;
/// assert_eq!([decode_8(0), decode_8(127), decode_8(128), decode_8(255)], [0, 127, 128, 31_744]);
/// ```
#[inline]
pub const fn decode_8(code: u8) -> u16 {
    if code < 128 {
        return code as u16;
    }
    (code as u16 & 0x0f | 0x10) << ((code >> 4 & 7) + 3)
}

/// The eight bits for the longest time that is not above this one.
///
/// ```
/// use coracle_wire::membership::{decode_8, encode_8};
/// assert_eq!((encode_8(100), decode_8(encode_8(1000))), (100, 992));
/// ```
pub const fn encode_8(time: u16) -> u8 {
    let mut exponent = 0;
    if time < 128 {
        return time as u8;
    }
    while exponent < 7 && time >> (exponent + 3) > 0x1f {
        exponent += 1;
    }
    let mantissa = time >> (exponent + 3);
    0x80 | exponent << 4 | if mantissa > 0x1f { 0x0f } else { mantissa as u8 & 0x0f }
}

/// The time that sixteen bits stand for [RFC 3810 §5.1.3]: itself below 32,768, a floating-point number above, up to
/// 8,387,584.
///
/// ```
/// use coracle_wire::membership::decode_16;
/// assert_eq!([decode_16(32_767), decode_16(0x8000), decode_16(0xffff)], [32_767, 32_768, 8_387_584]);
/// ```
#[inline]
pub const fn decode_16(code: u16) -> u32 {
    if code < 0x8000 {
        return code as u32;
    }
    (code as u32 & 0x0fff | 0x1000) << ((code >> 12 & 7) + 3)
}

/// The sixteen bits for the longest time that is not above this one.
///
/// ```
/// use coracle_wire::membership::{decode_16, encode_16};
/// assert_eq!((encode_16(10_000), decode_16(encode_16(100_001))), (10_000, 100_000));
/// ```
pub const fn encode_16(time: u32) -> u16 {
    let mut exponent = 0;
    if time < 0x8000 {
        return time as u16;
    }
    while exponent < 7 && time >> (exponent + 3) > 0x1fff {
        exponent += 1;
    }
    let mantissa = time >> (exponent + 3);
    0x8000 | exponent << 12 | if mantissa > 0x1fff { 0x0fff } else { mantissa as u16 & 0x0fff }
}

/// One group of a report, with addresses of `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a, const N: usize> {
    /// What the sources are, a number of [`mod@record`]; others are to be passed over.
    pub kind: u8,
    /// The group.
    pub group: [u8; N],
    /// Sources.
    pub sources: &'a [[u8; N]],
}

/// The records of a report, one after the other, up to the count that it says or the first that is not all there.
///
/// Each step consumes at least eight bytes.
#[derive(Debug, Clone)]
pub struct Records<'a, const N: usize> {
    rest: &'a [u8],
    left: u16,
}

impl<'a, const N: usize> Records<'a, N> {
    pub(crate) fn new(records: &'a [u8], count: u16) -> Self {
        Self { rest: records, left: count }
    }

    fn read(&self) -> Option<(Record<'a, N>, &'a [u8])> {
        let (&[kind, auxiliary, a, b], behind) = self.rest.split_first_chunk()?;
        let (group, behind) = behind.split_first_chunk()?;
        let (sources, behind) = split_sources(behind, u16::from_be_bytes([a, b]))?;
        // Nobody has ever said what auxiliary data means; it is counted in words of four bytes.
        let rest = behind.get(usize::from(auxiliary) * 4..)?;
        Some((Record { kind, group: *group, sources }, rest))
    }
}

impl<'a, const N: usize> Iterator for Records<'a, N> {
    type Item = Result<Record<'a, N>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let Some((record, rest)) = self.read() else {
            self.left = 0;
            return Some(Err(Malformed::Length));
        };
        self.rest = rest;
        Some(Ok(record))
    }
}

impl<const N: usize> FusedIterator for Records<'_, N> {}

/// Puts records into a report, one after the other, as many as fit.
#[derive(Debug)]
pub struct RecordWriter<'a, const N: usize> {
    into: &'a mut [u8],
    len: usize,
    count: u16,
}

impl<'a, const N: usize> RecordWriter<'a, N> {
    /// Begins behind the eight bytes of a report's header.
    pub(crate) fn new(into: &'a mut [u8]) -> Self {
        Self { into, len: REPORT_LEN, count: 0 }
    }

    /// How many bytes a record takes.
    pub const fn record_len(sources: usize) -> usize {
        4 + N + N * sources
    }

    /// Adds a record. Returns whether there was room for it; nothing is written if not.
    pub fn add(&mut self, kind: u8, group: [u8; N], sources: impl ExactSizeIterator<Item = [u8; N]>) -> bool {
        let Ok(source_count) = u16::try_from(sources.len()) else { return false };
        let end = self.len.saturating_add(Self::record_len(source_count.into()));
        let Some(record) = self.into.get_mut(self.len..end) else { return false };
        let [a, b] = source_count.to_be_bytes();
        let head = [kind, 0, a, b].into_iter().chain(group).chain(sources.flatten());
        for (into, byte) in record.iter_mut().zip(head) {
            *into = byte;
        }
        self.len = end;
        self.count += 1;
        true
    }

    /// How many records there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Length of the report so far, in bytes.
    #[allow(clippy::len_without_is_empty, reason = "a report is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts the report's header in front, with a checksum of zero, and returns the report.
    pub(crate) fn close(self, kind: u8) -> Result<&'a mut [u8], Malformed> {
        let report = self.into.get_mut(..self.len).ok_or(Malformed::Truncated)?;
        let [a, b] = self.count.to_be_bytes();
        *report.first_chunk_mut().ok_or(Malformed::Truncated)? = [kind, 0, 0, 0, 0, 0, a, b];
        Ok(report)
    }
}

/// Length of a report's header in bytes, in both protocols.
pub(crate) const REPORT_LEN: usize = 8;

/// Length in bytes of what a query of the newer versions has beyond the older ones, sources left out.
pub(crate) const DETAILS_LEN: usize = 4;

const SUPPRESS: u8 = 8;
const ROBUSTNESS: u8 = 7;

/// The details of a query and its sources, which have to be all there [3376-1].
pub(crate) fn read_details<const N: usize>(behind: &[u8]) -> Result<(QueryDetails, &[[u8; N]]), Malformed> {
    let (&[flags, interval, a, b], behind) = behind.split_first_chunk().ok_or(Malformed::Length)?;
    let (sources, _) = split_sources(behind, u16::from_be_bytes([a, b])).ok_or(Malformed::Length)?;
    let details = QueryDetails {
        suppress: flags & SUPPRESS != 0,
        robustness: flags & ROBUSTNESS,
        interval_s: decode_8(interval),
    };
    Ok((details, sources))
}

/// Fills in the details of a query and its sources; returns their length.
pub(crate) fn write_details<const N: usize>(
    into: &mut [u8],
    details: QueryDetails,
    sources: &[[u8; N]],
) -> Result<usize, Malformed> {
    let len = DETAILS_LEN + N * sources.len();
    let [a, b] = u16::try_from(sources.len()).map_err(|_| Malformed::Length)?.to_be_bytes();
    // A robustness that has no place is said to be none [RFC 3376 §4.1.6].
    let robustness = if details.robustness > ROBUSTNESS { 0 } else { details.robustness };
    let flags = robustness | if details.suppress { SUPPRESS } else { 0 };
    let (head, behind) = into.split_first_chunk_mut().ok_or(Malformed::Truncated)?;
    let behind = behind.get_mut(..N * sources.len()).ok_or(Malformed::Truncated)?;
    *head = [flags, encode_8(details.interval_s), a, b];
    behind.copy_from_slice(sources.as_flattened());
    Ok(len)
}

fn split_sources<const N: usize>(behind: &[u8], count: u16) -> Option<(&[[u8; N]], &[u8])> {
    let (sources, behind) = behind.split_at_checked(usize::from(count) * N)?;
    Some((sources.as_chunks().0, behind))
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
