//! Messages of version 1 and 2c: a version, a community, and a PDU [RFC 1157 §4, RFC 1901 §3].

use crate::ber::{Malformed, Mark, Reader, Writer, tag};

/// The versions of SNMP; the number is what a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Version {
    /// Version 1 [RFC 1157].
    V1 = 0,
    /// Version 2 with communities [RFC 1901].
    V2c = 1,
    /// Version 3 [RFC 3412].
    V3 = 3,
}

/// A message, of which the version is read.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The number of its version.
    pub version: i32,
    /// What follows.
    pub body: Reader<'a>,
}

impl<'a> Message<'a> {
    /// Opens a message.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when it is no SNMP of any version.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(bytes);
        let mut body = outer.sequence(tag::SEQUENCE)?;
        outer.finish()?;
        Ok(Self { version: body.integer()?, body })
    }

    /// Puts the header of a message with a community in front of its PDU, which was written since the mark.
    pub fn close(writer: &mut Writer<'_>, end: Mark, version: Version, community: &[u8]) {
        writer.octets(community);
        writer.integer(version as i32);
        writer.close(tag::SEQUENCE, end);
    }
}
