//! Multicast listener discovery: version 1 [RFC 2710] and version 2 [RFC 3810].
//!
//! Messages are those of ICMP. What is left to the caller is the hop limit, which must be 1, the router alert, and the checksum
//! [3810-3].

use core::net::Ipv6Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::icmpv6::{self, CHECKSUM_OFFSET};
use crate::malformed::prefix;
use crate::membership::{
    DETAILS_LEN, QueryDetails, REPORT_LEN, Record, RecordWriter, Records, decode_16, encode_16, read_details,
    write_details,
};

/// Length in bytes of all messages of version 1.
pub const V1_LEN: usize = size_of::<MldMessage>();

/// Length in bytes of a query of version 2 without sources.
pub const QUERY_LEN: usize = V1_LEN + DETAILS_LEN;

/// Hop limit of every message, in hops.
pub const HOP_LIMIT: u8 = 1;

/// What all messages of version 1 and every query begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct MldMessage {
    kind: u8,
    code: u8,
    checksum: U16,
    response: U16,
    reserved: U16,
    group: [u8; 16],
}

impl MldMessage {
    /// A report or done of version 1 in an ICMP payload; whatever follows is passed over.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 24 bytes, [`Malformed::Address`] unless it is about a group.
    pub fn read(message: &[u8]) -> Result<&Self, Malformed> {
        let read: &Self = prefix(message)?;
        if read.group().is_multicast() { Ok(read) } else { Err(Malformed::Address) }
    }

    /// Fills in a report ([`MULTICAST_LISTENER_REPORT`](icmpv6::MULTICAST_LISTENER_REPORT)) or a done
    /// ([`MULTICAST_LISTENER_DONE`](icmpv6::MULTICAST_LISTENER_DONE)) about a group, checksum included.
    ///
    /// ```
    /// use coracle_wire::icmpv6::MULTICAST_LISTENER_REPORT;
    /// use coracle_wire::mld::{self, MldMessage};
    ///
    /// let (source, group) = ("fe80::1".parse().unwrap(), "ff02::fb".parse().unwrap());
    /// let mut bytes = [0; mld::V1_LEN];
    /// MldMessage::write(&mut bytes, MULTICAST_LISTENER_REPORT, group, source, group);
    /// assert_eq!(MldMessage::read(&bytes)?.group(), group);
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    pub fn write(
        into: &mut [u8; V1_LEN],
        kind: u8,
        group: Ipv6Addr,
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) {
        *into = Self::bytes(kind, 0, group);
        put_checksum(into, source, destination);
    }

    /// Kind of message, a number of [`icmpv6`].
    #[inline]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The group that it is about.
    #[inline]
    pub fn group(&self) -> Ipv6Addr {
        self.group.into()
    }

    fn bytes(kind: u8, response: u16, group: Ipv6Addr) -> [u8; V1_LEN] {
        zerocopy::transmute!(Self {
            kind,
            code: 0,
            checksum: U16::ZERO,
            response: response.into(),
            reserved: U16::ZERO,
            group: group.octets(),
        })
    }
}

/// A query of either version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MldQuery<'a> {
    /// Within how many milliseconds to answer.
    pub response_ms: u32,
    /// The group that is asked for; unspecified in a general query.
    pub group: Ipv6Addr,
    /// What only version 2 says; `None` in version 1.
    pub details: Option<QueryDetails>,
    /// The sources that are asked for; empty if all are, and in version 1.
    pub sources: &'a [[u8; 16]],
}

impl<'a> MldQuery<'a> {
    /// The query in an ICMP payload [RFC 3810 §8.1]: version 1 in 24 bytes, version 2 in 28 and more.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 24 bytes, [`Malformed::Length`] if it has 25 to 27 or not all the sources that it
    /// counts, [`Malformed::Address`] if it asks for a group that is none, or for sources of no group.
    ///
    /// ```
    /// use coracle_wire::membership::QueryDetails;
    /// use coracle_wire::mld::{self, MldQuery};
    ///
    /// let (source, all) = ("fe80::1".parse().unwrap(), "ff02::1".parse().unwrap());
    /// let mut bytes = [0; mld::QUERY_LEN];
    /// let query = MldQuery {
    ///     response_ms: 10_000,
    ///     group: "::".parse().unwrap(),
    ///     details: Some(QueryDetails { suppress: false, robustness: 2, interval_s: 125 }),
    ///     sources: &[],
    /// };
    /// let len = query.write(&mut bytes, source, all)?;
    /// assert_eq!(MldQuery::read(&bytes[..len])?, query);
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let head: &MldMessage = prefix(message)?;
        let (group, response) = (head.group(), head.response.get());
        let behind = message.get(V1_LEN..).unwrap_or_default();
        let query = if behind.is_empty() {
            Self { response_ms: response.into(), group, details: None, sources: &[] }
        } else {
            let (details, sources) = read_details(behind)?;
            Self { response_ms: decode_16(response), group, details: Some(details), sources }
        };
        let general = group.is_unspecified() && query.sources.is_empty();
        if general || group.is_multicast() { Ok(query) } else { Err(Malformed::Address) }
    }

    /// Fills in a query, checksum included. Returns its length in bytes. Times that have no exact code are rounded down.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if it does not fit into `into`, [`Malformed::Length`] if it has more than 65,535 sources.
    pub fn write(
        &self,
        into: &mut [u8],
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Result<usize, Malformed> {
        let response = match self.details {
            None => u16::try_from(self.response_ms).unwrap_or(u16::MAX),
            Some(_) => encode_16(self.response_ms),
        };
        let (head, behind) = into.split_first_chunk_mut().ok_or(Malformed::Truncated)?;
        let mut len = V1_LEN;
        if let Some(details) = self.details {
            len += write_details(behind, details, self.sources)?;
        }
        *head = MldMessage::bytes(icmpv6::MULTICAST_LISTENER_QUERY, response, self.group);
        put_checksum(into.get_mut(..len).ok_or(Malformed::Truncated)?, source, destination);
        Ok(len)
    }
}

/// A group of a report of version 2.
pub type MldRecord<'a> = Record<'a, 16>;

/// Puts groups into a report of version 2.
///
/// ```
/// use coracle_wire::membership::record::CHANGE_TO_EXCLUDE;
/// use coracle_wire::mld;
///
/// let (source, routers) = ("fe80::1".parse().unwrap(), "ff02::16".parse().unwrap());
/// let group: std::net::Ipv6Addr = "ff02::fb".parse().unwrap();
/// let mut bytes = [0; 28];
/// let mut writer = mld::report_writer(&mut bytes);
/// assert!(writer.add(CHANGE_TO_EXCLUDE, group.octets(), [].into_iter()));
/// let len = mld::finish_report(writer, source, routers)?;
///
/// let record = mld::read_report(&bytes[..len])?.next().unwrap()?;
/// assert_eq!((record.kind, record.group.into()), (CHANGE_TO_EXCLUDE, group));
/// # Ok::<(), coracle_wire::Malformed>(())
/// ```
pub fn report_writer(into: &mut [u8]) -> RecordWriter<'_, 16> {
    RecordWriter::new(into)
}

/// Completes a report of version 2, checksum included. Returns its length in bytes.
///
/// # Errors
///
/// [`Malformed::Truncated`] if there is no room for its header.
pub fn finish_report(
    writer: RecordWriter<'_, 16>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> Result<usize, Malformed> {
    let report = writer.close(icmpv6::MULTICAST_LISTENER_REPORT_V2)?;
    put_checksum(report, source, destination);
    Ok(report.len())
}

/// The groups of a report of version 2 in an ICMP payload.
///
/// # Errors
///
/// [`Malformed::Truncated`] below 8 bytes.
pub fn read_report(message: &[u8]) -> Result<Records<'_, 16>, Malformed> {
    let (&[.., a, b], records) = message.split_first_chunk::<REPORT_LEN>().ok_or(Malformed::Truncated)?;
    Ok(Records::new(records, u16::from_be_bytes([a, b])))
}

/// Puts the checksum of a message in that had none.
fn put_checksum(message: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) {
    let sum = icmpv6::checksum(source, destination, message);
    if let Some(field) = message.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
#[path = "mld_tests.rs"]
mod tests;
