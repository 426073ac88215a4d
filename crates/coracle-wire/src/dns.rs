//! Messages of the domain name system [RFC 1035], also as multicast DNS writes them [RFC 6762].
//!
//! Three parts: names ([`Name`] where they lie in a message, [`NameBuf`] for keeping), records as they come
//! ([`Message`]), and a [`Writer`] into a buffer of fixed size.
//!
//! ```
//! use coracle_wire::dns::{DnsFlags, Message, NameBuf, Section, Writer, class, kind};
//!
//! let name = NameBuf::from_text("host.example")?;
//! let mut buffer = [0; 512];
//! let mut writer = Writer::new(&mut buffer, 7, DnsFlags::RESPONSE)?;
//! writer.question(name.name(), kind::A, class::IN)?;
//! writer.record(Section::Answer, name.name(), kind::A, class::IN, 300, |data| data.bytes(&[192, 0, 2, 1]))?;
//! let len = writer.finish();
//!
//! let message = Message::read(&buffer[..len])?;
//! let question = message.question().expect("one question")?;
//! assert_eq!(question.name, name.name());
//! let answer = message.records().next().expect("one record")?;
//! assert_eq!(answer.a()?.octets(), [192, 0, 2, 1]);
//! # Ok::<(), coracle_wire::Malformed>(())
//! ```

mod name;
mod record;
mod writer;

pub use name::{Labels, MAX_LABEL, MAX_NAME, Name, NameBuf};
pub use record::{Nsec, Record, Records, Soa, Srv, Texts};
pub use writer::{DataWriter, Writer};

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::malformed::prefix;

/// Length of the header in bytes.
pub const HEADER_LEN: usize = size_of::<DnsHeader>();
/// The port of servers, over UDP and TCP.
pub const PORT: u16 = 53;
/// The port of multicast DNS [RFC 6762 §3].
pub const MDNS_PORT: u16 = 5353;
/// The group of multicast DNS over IPv4.
pub const MDNS_GROUP_V4: core::net::Ipv4Addr = core::net::Ipv4Addr::new(224, 0, 0, 251);
/// The group of multicast DNS over IPv6.
pub const MDNS_GROUP_V6: core::net::Ipv6Addr = core::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// Kinds of records (the RFC's types).
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A server of the zone.
    pub const NS: u16 = 2;
    /// The name that this one is an alias of.
    pub const CNAME: u16 = 5;
    /// The start of a zone, with the lifetime of negative answers [RFC 2308].
    pub const SOA: u16 = 6;
    /// A pointer to a name: of an address, or of an instance of a service.
    pub const PTR: u16 = 12;
    /// A server of mail.
    pub const MX: u16 = 15;
    /// Texts.
    pub const TXT: u16 = 16;
    /// An IPv6 address [RFC 3596].
    pub const AAAA: u16 = 28;
    /// Where a service is [RFC 2782].
    pub const SRV: u16 = 33;
    /// Another name for all names below [RFC 6672].
    pub const DNAME: u16 = 39;
    /// What the sender of the message can do [RFC 6891].
    pub const OPT: u16 = 41;
    /// Which kinds of records a name has [RFC 4034 §4, RFC 6762 §6.1].
    pub const NSEC: u16 = 47;
    /// In questions: all kinds.
    pub const ANY: u16 = 255;
}

/// Classes of records.
pub mod class {
    /// The Internet.
    pub const IN: u16 = 1;
    /// In questions: any.
    pub const ANY: u16 = 255;
    /// In questions of multicast DNS: answer to me alone, please [RFC 6762 §5.4].
    pub const UNICAST_RESPONSE: u16 = 0x8000;
    /// In records of multicast DNS: forget what you knew of this name and kind [RFC 6762 §10.2].
    pub const CACHE_FLUSH: u16 = 0x8000;
}

/// Codes of results.
pub mod rcode {
    /// No error.
    pub const NO_ERROR: u8 = 0;
    /// The server did not understand the query.
    pub const FORMAT_ERROR: u8 = 1;
    /// The server failed.
    pub const SERVER_FAILURE: u8 = 2;
    /// There is no such name.
    pub const NAME_ERROR: u8 = 3;
    /// The server cannot do this.
    pub const NOT_IMPLEMENTED: u8 = 4;
    /// The server does not want to.
    pub const REFUSED: u8 = 5;
}

/// The flags of a message, its operation and its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DnsFlags(pub u16);

impl DnsFlags {
    /// A standard query that wants no recursion, as multicast DNS asks.
    pub const QUERY: Self = Self(0);
    /// An answer.
    pub const RESPONSE: Self = Self(0x8000);
    /// The answer of who owns the name.
    pub const AUTHORITATIVE: Self = Self(0x0400);
    /// The message was cut.
    pub const TRUNCATED: Self = Self(0x0200);
    /// The server shall ask others.
    pub const RECURSION_DESIRED: Self = Self(0x0100);
    /// The server asks others.
    pub const RECURSION_AVAILABLE: Self = Self(0x0080);

    /// Whether all of these flags are set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and those.
    #[must_use]
    #[inline]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// The operation: 0 is a standard query, the only one that this crate's users need.
    #[inline]
    pub const fn opcode(self) -> u8 {
        (self.0 >> 11) as u8 & 15
    }

    /// The result, one of [`rcode`], without the upper bits that an OPT record may add.
    #[inline]
    pub const fn rcode(self) -> u8 {
        self.0 as u8 & 15
    }
}

/// The 12 bytes that every message begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DnsHeader {
    id: U16,
    flags: U16,
    counts: [U16; 4],
}

impl DnsHeader {
    /// The header at the start of a message.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 12 bytes.
    #[inline]
    pub fn read(message: &[u8]) -> Result<&Self, Malformed> {
        prefix(message)
    }

    /// What tells the answers to one query from those to others.
    #[inline]
    pub fn id(&self) -> u16 {
        self.id.get()
    }

    /// Flags, operation and result.
    #[inline]
    pub fn flags(&self) -> DnsFlags {
        DnsFlags(self.flags.get())
    }

    /// How many questions the message says it has.
    #[inline]
    pub fn questions(&self) -> u16 {
        self.counts[0].get()
    }

    /// How many records the message says a section has.
    #[inline]
    pub fn records(&self, section: Section) -> u16 {
        self.counts[section as usize].get()
    }
}

/// The sections of a message that hold records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What was asked for. In queries of multicast DNS: answers that are known already.
    Answer = 1,
    /// Who is responsible. In queries of multicast DNS: what the sender is about to claim.
    Authority = 2,
    /// What else may be of use.
    Additional = 3,
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// What is asked about.
    pub name: Name<'a>,
    /// The kind of record, one of [`mod@kind`] or any other.
    pub kind: u16,
    /// The class with multicast DNS's bit for an answer by unicast, see [`class`].
    pub class: u16,
}

/// A message: a header, and behind it what its readers check on their way.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The header.
    pub header: &'a DnsHeader,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// A message over the bytes of a datagram, or of what follows the length in a TCP stream.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 12 bytes. Counts that promise more than there is are found by the readers.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self { header: DnsHeader::read(bytes)?, bytes })
    }

    /// All bytes of the message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The questions; after one that is malformed there is none.
    pub fn questions(&self) -> Questions<'a> {
        Questions { bytes: self.bytes, at: HEADER_LEN, left: self.header.questions() }
    }

    /// The question, if there is exactly one.
    pub fn question(&self) -> Option<Result<Question<'a>, Malformed>> {
        if self.header.questions() == 1 { self.questions().next() } else { None }
    }

    /// The records of all sections in their order; after one that is malformed there is none [1035-3].
    pub fn records(&self) -> Records<'a> {
        let mut questions = self.questions();
        let sound = questions.by_ref().all(|question| question.is_ok());
        Records::new(self.header, self.bytes, sound.then_some(questions.at))
    }
}

/// Iterator over the questions of a message.
#[derive(Debug, Clone)]
pub struct Questions<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u16,
}

impl<'a> Iterator for Questions<'a> {
    type Item = Result<Question<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let question = read_question(self.bytes, &mut self.at);
        if question.is_err() {
            self.left = 0;
        }
        Some(question)
    }
}

fn read_question<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Question<'a>, Malformed> {
    let (name, behind) = Name::read(bytes, *at)?;
    let [a, b, c, d] = *chunk(bytes, behind)?;
    *at = behind + 4;
    Ok(Question { name, kind: u16::from_be_bytes([a, b]), class: u16::from_be_bytes([c, d]) })
}

/// So many bytes at a place of a message.
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Result<&[u8; N], Malformed> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Malformed::Truncated)
}

#[cfg(test)]
mod tests;
