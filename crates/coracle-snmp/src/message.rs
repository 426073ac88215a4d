//! Messages of version 1 and 2c: a version, a community, and a PDU [RFC 1157 §4, RFC 1901 §3].

use crate::ber::{Malformed, Mark, Reader, Writer, tag};
use crate::pdu::{Binding, Pdu, PduKind};

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

/// A message of version 1 or 2c.
#[derive(Debug, Clone, Copy)]
pub struct CommunityMessage<'a> {
    /// Who sends it.
    pub community: &'a [u8],
    /// What it says.
    pub pdu: Pdu<'a>,
}

impl<'a> CommunityMessage<'a> {
    /// Takes a message apart, of which the version was read.
    ///
    /// # Errors
    ///
    /// [`Malformed`], whatever is wrong with it.
    pub fn read(mut body: Reader<'a>) -> Result<Self, Malformed> {
        let community = body.octets()?;
        let pdu = Pdu::read(&mut body)?;
        body.finish()?;
        Ok(Self { community, pdu })
    }

    /// Makes a message at the end of a buffer; `None` when it does not fit. `numbers` are the request's, the error
    /// status and the error index.
    ///
    /// ```
    /// use coracle_snmp::{Binding, CommunityMessage, PduKind, Value, Version};
    ///
    /// let mut buffer = [0; 64];
    /// let name = Binding::new(&[1, 3, 6, 1, 2, 1, 1, 3, 0], Value::Null);
    /// let message =
    ///     CommunityMessage::write(&mut buffer, Version::V2c, b"public", PduKind::Get, (7, 0, 0), &[name]);
    /// assert_eq!(message.map(<[u8]>::len), Some(40));
    /// ```
    pub fn write<'b>(
        buffer: &'b mut [u8],
        version: Version,
        community: &[u8],
        kind: PduKind,
        numbers: (i32, i32, i32),
        bindings: &[Binding<'_>],
    ) -> Option<&'b [u8]> {
        let mut writer = Writer::new(buffer);
        let end = writer.mark();
        for binding in bindings.iter().rev() {
            binding.write(&mut writer);
        }
        Pdu::close(&mut writer, end, kind, numbers);
        Message::close(&mut writer, end, version, community);
        let start = writer.start()?;
        buffer.get(start..)
    }
}
