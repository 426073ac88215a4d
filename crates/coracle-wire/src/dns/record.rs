//! Records: what a name has.

use core::net::{Ipv4Addr, Ipv6Addr};

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::{DnsHeader, Name, Section, chunk, kind};
use crate::Malformed;
use crate::malformed::prefix;

/// A record, as it lies in a message.
///
/// Its data is read by the method for its kind, which is [`Malformed::Type`] for any other. Data has exactly the
/// length that the record says, or is [`Malformed::Length`] [1035-3].
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where in the message it is.
    pub section: Section,
    /// Whose it is.
    pub name: Name<'a>,
    /// Its kind, one of [`kind`](mod@super::kind) or any other.
    pub kind: u16,
    /// Its class, with multicast DNS's bit to flush caches; in OPT records, how much the sender can receive.
    pub class: u16,
    ttl: u32,
    message: &'a [u8],
    /// The data begins here, and ends with `message`.
    data: usize,
}

impl<'a> Record<'a> {
    /// A record whose data is given, as a cache keeps it: without pointers.
    pub fn from_parts(name: Name<'a>, kind: u16, class: u16, ttl: u32, data: &'a [u8]) -> Self {
        Self { section: Section::Answer, name, kind, class, ttl, message: data, data: 0 }
    }

    /// How long it may be kept, in seconds. One with the highest bit set is none at all [RFC 2181 §8, 1035-5].
    #[inline]
    pub fn ttl(&self) -> u32 {
        if self.ttl >> 31 == 0 { self.ttl } else { 0 }
    }

    /// Its data as it was sent. Names in it may end in pointers to elsewhere.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        &self.message[self.data..]
    }

    fn expect(&self, kind: u16) -> Result<(), Malformed> {
        if self.kind == kind { Ok(()) } else { Err(Malformed::Type) }
    }

    fn exactly<const N: usize>(&self, kind: u16) -> Result<[u8; N], Malformed> {
        self.expect(kind)?;
        self.data().try_into().map_err(|_| Malformed::Length)
    }

    /// A name in the data, that must not go on behind it, and the place behind.
    fn name_at(&self, at: usize) -> Result<(Name<'a>, usize), Malformed> {
        Name::read(self.message, at)
    }

    /// A name that ends the data.
    fn last_name(&self, at: usize) -> Result<Name<'a>, Malformed> {
        match self.name_at(at)? {
            (name, behind) if behind == self.message.len() => Ok(name),
            _ => Err(Malformed::Length),
        }
    }

    /// The address of an A record.
    ///
    /// # Errors
    ///
    /// See [`Record`].
    pub fn a(&self) -> Result<Ipv4Addr, Malformed> {
        self.exactly(kind::A).map(|bytes: [u8; 4]| bytes.into())
    }

    /// The address of an AAAA record.
    ///
    /// # Errors
    ///
    /// See [`Record`].
    pub fn aaaa(&self) -> Result<Ipv6Addr, Malformed> {
        self.exactly(kind::AAAA).map(|bytes: [u8; 16]| bytes.into())
    }

    /// The name that a CNAME, PTR, NS or DNAME record points at.
    ///
    /// # Errors
    ///
    /// See [`Record`], and those of [`Name::read`].
    pub fn target(&self) -> Result<Name<'a>, Malformed> {
        match self.kind {
            kind::CNAME | kind::PTR | kind::NS | kind::DNAME => self.last_name(self.data),
            _ => Err(Malformed::Type),
        }
    }

    /// The data of an SRV record.
    ///
    /// # Errors
    ///
    /// See [`Record`], and those of [`Name::read`].
    pub fn srv(&self) -> Result<Srv<'a>, Malformed> {
        self.expect(kind::SRV)?;
        let numbers: &[U16; 3] = prefix(self.data())?;
        let [priority, weight, port] = numbers.map(U16::get);
        Ok(Srv { priority, weight, port, target: self.last_name(self.data + 6)? })
    }

    /// The texts of a TXT record.
    ///
    /// # Errors
    ///
    /// See [`Record`].
    pub fn txt(&self) -> Result<Texts<'a>, Malformed> {
        self.expect(kind::TXT)?;
        let mut rest = self.data();
        while let Some((&len, behind)) = rest.split_first() {
            rest = behind.get(usize::from(len)..).ok_or(Malformed::Length)?;
        }
        Ok(Texts(self.data()))
    }

    /// The data of an SOA record.
    ///
    /// # Errors
    ///
    /// See [`Record`], and those of [`Name::read`].
    pub fn soa(&self) -> Result<Soa<'a>, Malformed> {
        self.expect(kind::SOA)?;
        let (server, behind) = self.name_at(self.data)?;
        let (mailbox, behind) = self.name_at(behind)?;
        let numbers: &[u8; 20] = chunk(self.message, behind)?;
        if behind + 20 != self.message.len() {
            return Err(Malformed::Length);
        }
        let number = |at: usize| u32::from_be_bytes(*numbers[at..].first_chunk().unwrap_or(&[0; 4]));
        Ok(Soa { server, mailbox, serial: number(0), minimum: number(16) })
    }

    /// The data of an NSEC record.
    ///
    /// # Errors
    ///
    /// See [`Record`], and those of [`Name::read`].
    pub fn nsec(&self) -> Result<Nsec<'a>, Malformed> {
        self.expect(kind::NSEC)?;
        let (next, behind) = self.name_at(self.data)?;
        let bitmaps = self.message.get(behind..).ok_or(Malformed::Length)?;
        let mut rest = bitmaps;
        while let Some((&[_, len], behind)) = rest.split_first_chunk() {
            if !(1..=32).contains(&len) {
                return Err(Malformed::Length);
            }
            rest = behind.get(usize::from(len)..).ok_or(Malformed::Length)?;
        }
        if rest.is_empty() { Ok(Nsec { next, bitmaps }) } else { Err(Malformed::Length) }
    }

    /// The upper eight bits of the result that an OPT record carries, and its version.
    ///
    /// # Errors
    ///
    /// See [`Record`]; the owner of an OPT record is the root.
    pub fn opt(&self) -> Result<(u8, u8), Malformed> {
        self.expect(kind::OPT)?;
        let [rcode, version, ..] = self.ttl.to_be_bytes();
        if self.name.is_root() { Ok((rcode, version)) } else { Err(Malformed::Type) }
    }

    /// Writes the data without pointers, so that it can be kept: names in the kinds of RFC 1035 and in SRV are written
    /// out, all other data is copied. Returns its length, or `None` when there is no room for it.
    ///
    /// # Errors
    ///
    /// What the reader of the kind finds wrong.
    pub fn expand(&self, into: &mut [u8]) -> Result<Option<usize>, Malformed> {
        let mut out = Expansion { into, len: 0, full: false };
        match self.kind {
            kind::CNAME | kind::PTR | kind::NS | kind::DNAME => out.name(self.target()?),
            kind::SRV => {
                let srv = self.srv()?;
                out.bytes(&self.data()[..6]);
                out.name(srv.target);
            }
            kind::MX => {
                let preference: &[u8; 2] = chunk(self.message, self.data)?;
                out.bytes(preference);
                out.name(self.last_name(self.data + 2)?);
            }
            kind::SOA => {
                let soa = self.soa()?;
                out.name(soa.server);
                out.name(soa.mailbox);
                out.bytes(&self.data()[self.data().len() - 20..]);
            }
            kind::A => out.bytes(&self.a()?.octets()),
            kind::AAAA => out.bytes(&self.aaaa()?.octets()),
            kind::TXT => {
                self.txt()?;
                out.bytes(self.data());
            }
            _ => out.bytes(self.data()),
        }
        Ok((!out.full).then_some(out.len))
    }
}

/// Where data is written out.
struct Expansion<'a> {
    into: &'a mut [u8],
    len: usize,
    full: bool,
}

impl Expansion<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        match self.into.get_mut(self.len..self.len + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.full = true,
        }
    }

    fn name(&mut self, name: Name<'_>) {
        for label in name.labels() {
            self.bytes(&[label.len() as u8]);
            self.bytes(label);
        }
        self.bytes(&[0]);
    }
}

/// Where a service is [RFC 2782].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Srv<'a> {
    /// Lower ones are tried first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host.
    pub target: Name<'a>,
}

/// The start of a zone, as far as resolvers care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soa<'a> {
    /// The zone's first server.
    pub server: Name<'a>,
    /// The mailbox of who is responsible, as a name.
    pub mailbox: Name<'a>,
    /// The zone's version.
    pub serial: u32,
    /// The lifetime of negative answers in seconds, together with the record's own [RFC 2308 §4].
    pub minimum: u32,
}

/// Iterator over the texts of a TXT record, each up to 255 bytes.
#[derive(Debug, Clone)]
pub struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, behind) = self.0.split_first()?;
        let (text, rest) = behind.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(text)
    }
}

/// Which kinds of records a name has.
#[derive(Debug, Clone, Copy)]
pub struct Nsec<'a> {
    /// The next name of the zone; in multicast DNS, the record's owner.
    pub next: Name<'a>,
    bitmaps: &'a [u8],
}

impl Nsec<'_> {
    /// Whether the name has records of this kind.
    pub fn has(&self, kind: u16) -> bool {
        let [window, bit] = kind.to_be_bytes();
        let mut rest = self.bitmaps;
        while let Some((&[number, len], behind)) = rest.split_first_chunk() {
            let Some((bitmap, behind)) = behind.split_at_checked(usize::from(len)) else { break };
            if number == window {
                return bitmap.get(usize::from(bit / 8)).is_some_and(|byte| byte << (bit % 8) & 0x80 != 0);
            }
            rest = behind;
        }
        false
    }
}

/// What stands between a record's name and its data.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RecordHead {
    kind: U16,
    class: U16,
    ttl: U32,
    data_len: U16,
}

/// Iterator over the records of a message, section by section.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    left: [u16; 3],
}

impl<'a> Records<'a> {
    /// Records from a place on; none when there is no such place.
    pub(super) fn new(header: &DnsHeader, bytes: &'a [u8], at: Option<usize>) -> Self {
        let left =
            [Section::Answer, Section::Authority, Section::Additional].map(|part| header.records(part));
        Self { bytes, at: at.unwrap_or(0), left: if at.is_some() { left } else { [0; 3] } }
    }

    fn read(&mut self, section: Section) -> Result<Record<'a>, Malformed> {
        let (name, behind) = Name::read(self.bytes, self.at)?;
        let head: &RecordHead = prefix(self.bytes.get(behind..).unwrap_or_default())?;
        let data = behind + size_of::<RecordHead>();
        let end = data + usize::from(head.data_len.get());
        let message = self.bytes.get(..end).ok_or(Malformed::Length)?;
        self.at = end;
        Ok(Record {
            section,
            name,
            kind: head.kind.get(),
            class: head.class.get(),
            ttl: head.ttl.get(),
            message,
            data,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let [answers, authorities, additionals] = &mut self.left;
        let (section, left) = if *answers > 0 {
            (Section::Answer, answers)
        } else if *authorities > 0 {
            (Section::Authority, authorities)
        } else {
            (Section::Additional, additionals)
        };
        *left = left.checked_sub(1)?;
        let record = self.read(section);
        if record.is_err() {
            self.left = [0; 3];
        }
        Some(record)
    }
}
