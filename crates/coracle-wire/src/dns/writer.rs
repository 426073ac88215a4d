//! Messages written into a buffer of fixed size, with names compressed.

use zerocopy::IntoBytes;

use super::{DnsFlags, DnsHeader, HEADER_LEN, Name, Section};
use crate::Malformed;

/// Places in the message whose names later ones may end in. With more names the message grows, and stays right.
const REMEMBERED: usize = 32;

/// Writes a message from its front to its end.
///
/// What does not fit is [`Malformed::Length`], and leaves the message as it was before: what is written so far can be
/// sent, and the rest in another.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
    header: DnsHeader,
    section: usize,
    names: [u16; REMEMBERED],
    remembered: usize,
}

impl<'a> Writer<'a> {
    /// Begins a message without questions and records.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] when the buffer has no room for a header.
    pub fn new(buffer: &'a mut [u8], id: u16, flags: DnsFlags) -> Result<Self, Malformed> {
        if buffer.len() < HEADER_LEN {
            return Err(Malformed::Length);
        }
        let header = DnsHeader { id: id.into(), flags: flags.0.into(), counts: Default::default() };
        Ok(Self { buffer, len: HEADER_LEN, header, section: 0, names: [0; REMEMBERED], remembered: 0 })
    }

    /// Adds a question. Questions come before records.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] when it does not fit, [`Malformed::Type`] behind records.
    pub fn question(&mut self, name: Name<'_>, kind: u16, class: u16) -> Result<(), Malformed> {
        self.all_or_nothing(0, |writer| {
            writer.name(name)?;
            writer.bytes(&kind.to_be_bytes())?;
            writer.bytes(&class.to_be_bytes())
        })
    }

    /// Adds a record, whose data `data` writes. Sections come in their order.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] when it does not fit, [`Malformed::Type`] behind records of a later section, and what
    /// `data` returns.
    pub fn record(
        &mut self,
        section: Section,
        name: Name<'_>,
        kind: u16,
        class: u16,
        ttl: u32,
        data: impl FnOnce(&mut DataWriter<'_, 'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.all_or_nothing(section as usize, |writer| {
            writer.record_head(name, kind, class, ttl)?;
            let start = writer.len;
            data(&mut DataWriter(writer))?;
            let len = u16::try_from(writer.len - start).map_err(|_| Malformed::Length)?;
            writer.buffer[start - 2..start].copy_from_slice(&len.to_be_bytes());
            Ok(())
        })
    }

    /// The OPT record of a query: how many bytes of UDP the sender can receive [RFC 6891 §6.1.2].
    ///
    /// # Errors
    ///
    /// Those of [`record`](Self::record).
    pub fn opt(&mut self, payload: u16) -> Result<(), Malformed> {
        self.record(Section::Additional, Name::ROOT, super::kind::OPT, payload, 0, |_| Ok(()))
    }

    /// Sets flags besides those that the message began with.
    pub fn set_flags(&mut self, flags: DnsFlags) {
        self.header.flags = (self.header.flags.get() | flags.0).into();
    }

    /// How many questions or records were written in all.
    pub fn count(&self) -> usize {
        self.header.counts.iter().map(|count| usize::from(count.get())).sum()
    }

    /// Length of the message so far, in bytes.
    pub fn written(&self) -> usize {
        self.len
    }

    /// Writes the header, and returns the length of the message in bytes.
    pub fn finish(self) -> usize {
        self.buffer[..HEADER_LEN].copy_from_slice(self.header.as_bytes());
        self.len
    }

    fn record_head(&mut self, name: Name<'_>, kind: u16, class: u16, ttl: u32) -> Result<(), Malformed> {
        self.name(name)?;
        self.bytes(&kind.to_be_bytes())?;
        self.bytes(&class.to_be_bytes())?;
        self.bytes(&ttl.to_be_bytes())?;
        self.bytes(&[0, 0])
    }

    fn all_or_nothing(
        &mut self,
        section: usize,
        write: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if section < self.section {
            return Err(Malformed::Type);
        }
        let (len, remembered) = (self.len, self.remembered);
        let count = self.header.counts[section].get().checked_add(1).ok_or(Malformed::Length)?;
        if let Err(error) = write(self) {
            (self.len, self.remembered) = (len, remembered);
            return Err(error);
        }
        self.section = section;
        self.header.counts[section] = count.into();
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let end = self.len + bytes.len();
        self.buffer.get_mut(self.len..end).ok_or(Malformed::Length)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Writes a name up to where an earlier one goes on in the same way, case included.
    fn name(&mut self, name: Name<'_>) -> Result<(), Malformed> {
        let mut rest = name;
        while let Some(label) = rest.labels().next() {
            if let Some(earlier) = self.find(&rest) {
                return self.bytes(&(0xc000 | earlier).to_be_bytes());
            }
            self.remember();
            self.bytes(&[label.len() as u8])?;
            self.bytes(label)?;
            rest = rest.parent();
        }
        self.bytes(&[0])
    }

    fn find(&self, name: &Name<'_>) -> Option<u16> {
        let written = &self.buffer[..self.len];
        // A name that is being written has no end yet, and so is none.
        self.names[..self.remembered].iter().copied().find(|&at| {
            Name::read(written, usize::from(at)).is_ok_and(|(earlier, _)| earlier.same_case(name))
        })
    }

    fn remember(&mut self) {
        if self.len < 0x4000
            && let Some(place) = self.names.get_mut(self.remembered)
        {
            *place = self.len as u16;
            self.remembered += 1;
        }
    }
}

/// Writes the data of a record.
#[derive(Debug)]
pub struct DataWriter<'w, 'a>(&'w mut Writer<'a>);

impl DataWriter<'_, '_> {
    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] when they do not fit.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.0.bytes(bytes)
    }

    /// Adds a name that may be compressed, as those of RFC 1035's kinds may everywhere and all in multicast DNS.
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] when it does not fit.
    pub fn name(&mut self, name: Name<'_>) -> Result<(), Malformed> {
        self.0.name(name)
    }

    /// Adds the data of an NSEC record of multicast DNS: the owner itself, and the kinds below 256 that it has
    /// [RFC 6762 §6.1].
    ///
    /// # Errors
    ///
    /// [`Malformed::Length`] when it does not fit.
    pub fn nsec(&mut self, owner: Name<'_>, kinds: &[u16]) -> Result<(), Malformed> {
        let mut bitmap = [0_u8; 32];
        let mut len = 0;
        for &kind in kinds {
            if let Some(byte) = bitmap.get_mut(usize::from(kind / 8)) {
                *byte |= 0x80 >> (kind % 8);
                len = len.max(usize::from(kind / 8) + 1);
            }
        }
        self.name(owner)?;
        if len == 0 {
            return Ok(());
        }
        self.bytes(&[0, len as u8])?;
        self.bytes(&bitmap[..len])
    }
}
