//! Internet group management protocol: version 1 [RFC 1112], 2 [RFC 2236] and 3 [RFC 3376].
//!
//! What is left to the caller is the time to live, which must be 1, the router alert, and the checksum, which covers the
//! whole payload [3376-1].

use core::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::checksum::checksum;
use crate::malformed::prefix;
use crate::membership::{
    DETAILS_LEN, QueryDetails, REPORT_LEN, Record, RecordWriter, Records, decode_8, encode_8, read_details,
    write_details,
};

/// Length in bytes of all messages but those of version 3.
pub const LEN: usize = size_of::<IgmpMessage>();

/// Length in bytes of a query of version 3 without sources.
pub const QUERY_V3_LEN: usize = LEN + DETAILS_LEN;

/// Where in a message the checksum is, in bytes.
pub const CHECKSUM_OFFSET: usize = 2;

/// Time to live of every message, in hops.
pub const TTL: u8 = 1;

/// A router asks who is in which group.
pub const QUERY: u8 = 0x11;
/// Version 1 of the answer to a [`QUERY`].
pub const REPORT_V1: u8 = 0x12;
/// Version 2 of the answer to a [`QUERY`].
pub const REPORT_V2: u8 = 0x16;
/// Version 2 of leaving a group.
pub const LEAVE: u8 = 0x17;
/// Version 3 of the answer to a [`QUERY`], and of joining and leaving.
pub const REPORT_V3: u8 = 0x22;

/// All systems of the link: where general queries go.
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// All routers of the link: where version 2 says that it leaves.
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// All routers of the link that speak version 3: where its reports go.
pub const ALL_V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// What all messages begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct IgmpMessage {
    kind: u8,
    response: u8,
    checksum: U16,
    group: [u8; 4],
}

impl IgmpMessage {
    /// A report or leave of version 1 or 2 in an IP payload; whatever follows is passed over. The group is the caller's to
    /// judge: in a report of version 3, there is none at this place.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 8 bytes.
    #[inline]
    pub fn read(message: &[u8]) -> Result<&Self, Malformed> {
        prefix(message)
    }

    /// Fills in a report ([`REPORT_V1`], [`REPORT_V2`]) or [`LEAVE`] about a group, checksum included.
    ///
    /// ```
    /// use coracle_wire::checksum::checksum;
    /// use coracle_wire::igmp::{self, IgmpMessage};
    ///
    /// let mut bytes = [0; igmp::LEN];
    /// IgmpMessage::write(&mut bytes, igmp::REPORT_V2, [224, 0, 0, 251].into());
    /// assert_eq!(bytes, [0x16, 0, 0x09, 0x04, 224, 0, 0, 251]);
    /// assert_eq!(checksum(&bytes), 0);
    /// ```
    pub fn write(into: &mut [u8; LEN], kind: u8, group: Ipv4Addr) {
        *into = Self::bytes(kind, 0, group);
        put_checksum(into);
    }

    /// Kind of message (the RFC's type field), such as [`QUERY`].
    #[inline]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The group that it is about.
    #[inline]
    pub fn group(&self) -> Ipv4Addr {
        self.group.into()
    }

    fn bytes(kind: u8, response: u8, group: Ipv4Addr) -> [u8; LEN] {
        zerocopy::transmute!(Self { kind, response, checksum: U16::ZERO, group: group.octets() })
    }
}

/// Which version of a query it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The first, always a general query to be answered within ten seconds.
    V1,
    /// The second, which may ask for a group.
    V2,
    /// The third, which may ask for sources.
    V3(QueryDetails),
}

/// How long a query of version 1 may wait for an answer, in tenths of seconds [RFC 3376 §7.2.1].
const V1_RESPONSE: u16 = 100;

/// A query of any version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgmpQuery<'a> {
    /// Within how many tenths of a second to answer.
    pub response_ds: u16,
    /// The group that is asked for; unspecified in a general query.
    pub group: Ipv4Addr,
    /// The version, and what only version 3 says.
    pub version: Version,
    /// The sources that are asked for; empty if all are, and before version 3.
    pub sources: &'a [[u8; 4]],
}

impl<'a> IgmpQuery<'a> {
    /// The query in an IP payload [RFC 3376 §7.1]: version 1 in 8 bytes without a time, version 2 in 8 bytes, version 3 in
    /// 12 and more.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 8 bytes, [`Malformed::Length`] if it has 9 to 11 or not all the sources that it counts
    /// [3376-1], [`Malformed::Address`] if it asks for a group that is none, or for sources of no group.
    ///
    /// ```
    /// use coracle_wire::igmp::{IgmpQuery, Version};
    ///
    /// let query = IgmpQuery::read(&[0x11, 100, 0xee, 0x9b, 0, 0, 0, 0])?;
    /// assert_eq!((query.response_ds, query.version), (100, Version::V2));
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let head: &IgmpMessage = prefix(message)?;
        let group = head.group();
        let query = match (message.get(LEN..).unwrap_or_default(), head.response) {
            // Version 1 does not look at the group.
            ([], 0) => Self {
                response_ds: V1_RESPONSE,
                group: Ipv4Addr::UNSPECIFIED,
                version: Version::V1,
                sources: &[],
            },
            ([], response) => {
                Self { response_ds: response.into(), group, version: Version::V2, sources: &[] }
            }
            (behind, response) => {
                let (details, sources) = read_details(behind)?;
                Self { response_ds: decode_8(response), group, version: Version::V3(details), sources }
            }
        };
        let general = query.group.is_unspecified() && query.sources.is_empty();
        if general || group.is_multicast() { Ok(query) } else { Err(Malformed::Address) }
    }

    /// Fills in a query, checksum included. Returns its length in bytes. Times that have no exact code are rounded down, and
    /// those that do not fit are the longest that do; version 1 has none.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if it does not fit into `into`, [`Malformed::Length`] if it has more than 65,535 sources.
    pub fn write(&self, into: &mut [u8]) -> Result<usize, Malformed> {
        let (head, behind) = into.split_first_chunk_mut().ok_or(Malformed::Truncated)?;
        let (response, behind_len) = match self.version {
            Version::V1 => (0, 0),
            Version::V2 => (u8::try_from(self.response_ds).unwrap_or(u8::MAX), 0),
            Version::V3(details) => {
                (encode_8(self.response_ds), write_details(behind, details, self.sources)?)
            }
        };
        *head = IgmpMessage::bytes(QUERY, response, self.group);
        let len = LEN + behind_len;
        put_checksum(into.get_mut(..len).ok_or(Malformed::Truncated)?);
        Ok(len)
    }
}

/// A group of a report of version 3.
pub type IgmpRecord<'a> = Record<'a, 4>;

/// Puts groups into a report of version 3.
///
/// ```
/// use coracle_wire::igmp;
/// use coracle_wire::membership::record::CHANGE_TO_EXCLUDE;
///
/// let mut bytes = [0; 16];
/// let mut writer = igmp::report_writer(&mut bytes);
/// assert!(writer.add(CHANGE_TO_EXCLUDE, [224, 0, 0, 251], [].into_iter()));
/// let len = igmp::finish_report(writer)?;
///
/// let record = igmp::read_report(&bytes[..len])?.next().unwrap()?;
/// assert_eq!((record.kind, record.group), (CHANGE_TO_EXCLUDE, [224, 0, 0, 251]));
/// # Ok::<(), coracle_wire::Malformed>(())
/// ```
pub fn report_writer(into: &mut [u8]) -> RecordWriter<'_, 4> {
    RecordWriter::new(into)
}

/// Completes a report of version 3, checksum included. Returns its length in bytes.
///
/// # Errors
///
/// [`Malformed::Truncated`] if there is no room for its header.
pub fn finish_report(writer: RecordWriter<'_, 4>) -> Result<usize, Malformed> {
    let report = writer.close(REPORT_V3)?;
    put_checksum(report);
    Ok(report.len())
}

/// The groups of a report of version 3 in an IP payload.
///
/// # Errors
///
/// [`Malformed::Truncated`] below 8 bytes.
pub fn read_report(message: &[u8]) -> Result<Records<'_, 4>, Malformed> {
    let (&[.., a, b], records) = message.split_first_chunk::<REPORT_LEN>().ok_or(Malformed::Truncated)?;
    Ok(Records::new(records, u16::from_be_bytes([a, b])))
}

/// Puts the checksum of a message in that had none.
fn put_checksum(message: &mut [u8]) {
    let sum = checksum(message);
    if let Some(field) = message.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
#[path = "igmp_tests.rs"]
mod tests;
