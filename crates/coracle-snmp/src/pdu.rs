//! Protocol data units: what a message asks or tells.

use core::net::Ipv4Addr;

use crate::ber::{Malformed, Mark, Reader, Writer, tag, unsigned32};
use crate::oid::OidRef;
use crate::value::Value;

/// What a PDU is for [RFC 3416 §3]; the number is its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PduKind {
    /// Asks for values.
    Get = 0xa0,
    /// Asks for the values that follow.
    GetNext = 0xa1,
    /// Answers.
    Response = 0xa2,
    /// Sets values, all or none.
    Set = 0xa3,
    /// Asks for many values that follow; not in version 1.
    GetBulk = 0xa5,
    /// Tells of an event, and wants an answer; not in version 1.
    Inform = 0xa6,
    /// Tells of an event.
    Trap = 0xa7,
    /// Tells a version 3 peer what is wrong with its message.
    Report = 0xa8,
}

impl PduKind {
    fn of_tag(kind: u8) -> Option<Self> {
        Some(match kind {
            0xa0 => Self::Get,
            0xa1 => Self::GetNext,
            0xa2 => Self::Response,
            0xa3 => Self::Set,
            0xa5 => Self::GetBulk,
            0xa6 => Self::Inform,
            0xa7 => Self::Trap,
            0xa8 => Self::Report,
            _ => return None,
        })
    }

    /// Whether an answer to it is expected [RFC 3411 §2.8].
    pub const fn is_confirmed(self) -> bool {
        matches!(self, Self::Get | Self::GetNext | Self::Set | Self::GetBulk | Self::Inform)
    }
}

/// What went wrong [RFC 3416 §3]; the number is what a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorStatus {
    /// Nothing.
    NoError = 0,
    /// The answer does not fit a message.
    TooBig = 1,
    /// Version 1: no such variable, or it may not be accessed.
    NoSuchName = 2,
    /// Version 1: a value of a wrong type, length or range.
    BadValue = 3,
    /// Version 1: it cannot be written.
    ReadOnly = 4,
    /// Something else.
    GenErr = 5,
    /// It may not be accessed.
    NoAccess = 6,
    /// Another type than the variable's.
    WrongType = 7,
    /// A length that the variable does not take.
    WrongLength = 8,
    /// An encoding that does not agree with the type.
    WrongEncoding = 9,
    /// A value that the variable never takes.
    WrongValue = 10,
    /// There is no such variable, and it cannot be made.
    NoCreation = 11,
    /// A value that the variable does not take now.
    InconsistentValue = 12,
    /// No memory, or the like.
    ResourceUnavailable = 13,
    /// Setting it failed, and all is as before.
    CommitFailed = 14,
    /// Setting it failed, and not all is as before.
    UndoFailed = 15,
    /// Who asks may not.
    AuthorizationError = 16,
    /// The variable cannot be written at all.
    NotWritable = 17,
    /// There is no such variable, and it cannot be made now.
    InconsistentName = 18,
}

impl ErrorStatus {
    /// The error that a message carries as a number.
    pub fn of_number(number: i32) -> Option<Self> {
        const ALL: [ErrorStatus; 19] = [
            ErrorStatus::NoError,
            ErrorStatus::TooBig,
            ErrorStatus::NoSuchName,
            ErrorStatus::BadValue,
            ErrorStatus::ReadOnly,
            ErrorStatus::GenErr,
            ErrorStatus::NoAccess,
            ErrorStatus::WrongType,
            ErrorStatus::WrongLength,
            ErrorStatus::WrongEncoding,
            ErrorStatus::WrongValue,
            ErrorStatus::NoCreation,
            ErrorStatus::InconsistentValue,
            ErrorStatus::ResourceUnavailable,
            ErrorStatus::CommitFailed,
            ErrorStatus::UndoFailed,
            ErrorStatus::AuthorizationError,
            ErrorStatus::NotWritable,
            ErrorStatus::InconsistentName,
        ];
        ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The same in the words of version 1 [RFC 3584 §4.4].
    #[must_use]
    pub const fn for_v1(self) -> Self {
        match self {
            Self::WrongValue
            | Self::WrongEncoding
            | Self::WrongType
            | Self::WrongLength
            | Self::InconsistentValue => Self::BadValue,
            Self::NoAccess
            | Self::NotWritable
            | Self::NoCreation
            | Self::InconsistentName
            | Self::AuthorizationError => Self::NoSuchName,
            Self::ResourceUnavailable | Self::CommitFailed | Self::UndoFailed => Self::GenErr,
            other => other,
        }
    }
}

/// A PDU of any kind but the trap of version 1.
#[derive(Debug, Clone, Copy)]
pub struct Pdu<'a> {
    /// What it is for.
    pub kind: PduKind,
    /// Ties an answer to its question.
    pub request_id: i32,
    /// The error status; in GETBULK, how many variables do not repeat.
    pub status: i32,
    /// Which variable the error is about, from 1; in GETBULK, how often the others repeat.
    pub index: i32,
    /// The variables.
    pub bindings: Bindings<'a>,
}

impl<'a> Pdu<'a> {
    /// Takes a PDU out of a message. All of it is checked, so what it holds can be relied on.
    ///
    /// # Errors
    ///
    /// [`Malformed`], whatever is wrong with it.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let kind = reader.peek().and_then(PduKind::of_tag).ok_or(Malformed::Tag)?;
        let mut inner = reader.sequence(kind as u8)?;
        let (request_id, status, index) = (inner.integer()?, inner.integer()?, inner.integer()?);
        let bindings = Bindings::read(&mut inner)?;
        inner.finish()?;
        Ok(Self { kind, request_id, status, index, bindings })
    }

    /// Puts the fields before the variables in front of a message, of which the variables were written since the mark.
    pub fn close(writer: &mut Writer<'_>, end: Mark, kind: PduKind, numbers: (i32, i32, i32)) {
        writer.close(tag::SEQUENCE, end);
        let (request_id, status, index) = numbers;
        writer.integer(index);
        writer.integer(status);
        writer.integer(request_id);
        writer.close(kind as u8, end);
    }
}

/// The generic traps of version 1 [RFC 1157 §4.1.6]; the number is what a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum GenericTrap {
    /// It started, and its configuration may be another.
    ColdStart = 0,
    /// It started with the same configuration.
    WarmStart = 1,
    /// An interface went down.
    LinkDown = 2,
    /// An interface came up.
    LinkUp = 3,
    /// Somebody used a wrong community or password.
    AuthenticationFailure = 4,
    /// Another event.
    EnterpriseSpecific = 6,
}

/// The tag of a trap of version 1.
pub const TRAP_V1: u8 = 0xa4;

/// A trap of version 1 [RFC 1157 §4.1.6].
#[derive(Debug, Clone, Copy)]
pub struct TrapV1<'a> {
    /// Who defined the event.
    pub enterprise: OidRef<'a>,
    /// The address of the sender.
    pub agent: Ipv4Addr,
    /// Which event, see [`GenericTrap`].
    pub generic: i32,
    /// Which event of the enterprise's.
    pub specific: i32,
    /// `sysUpTime` of the sender.
    pub uptime: u32,
    /// The variables.
    pub bindings: Bindings<'a>,
}

impl<'a> TrapV1<'a> {
    /// Takes a trap out of a message.
    ///
    /// # Errors
    ///
    /// [`Malformed`], whatever is wrong with it.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut inner = reader.sequence(TRAP_V1)?;
        let enterprise = OidRef::decode(inner.content(tag::OBJECT_IDENTIFIER)?)?;
        let Value::IpAddress(agent) = Value::read(&mut inner)? else { return Err(Malformed::Tag) };
        let (generic, specific) = (inner.integer()?, inner.integer()?);
        let uptime = unsigned32(inner.content(tag::TIME_TICKS)?)?;
        let bindings = Bindings::read(&mut inner)?;
        inner.finish()?;
        Ok(Self { enterprise, agent, generic, specific, uptime, bindings })
    }
}

/// A variable and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The name.
    pub name: OidRef<'a>,
    /// The value.
    pub value: Value<'a>,
}

impl<'a> Binding<'a> {
    /// A variable and its value.
    pub const fn new(name: &'a [u32], value: Value<'a>) -> Self {
        Self { name: OidRef::new(name), value }
    }

    /// Puts the binding in front of a message.
    pub fn write(&self, writer: &mut Writer<'_>) {
        let end = writer.mark();
        self.value.write(writer);
        self.name.write(writer);
        writer.close(tag::SEQUENCE, end);
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut inner = reader.sequence(tag::SEQUENCE)?;
        let name = OidRef::decode(inner.content(tag::OBJECT_IDENTIFIER)?)?;
        let value = Value::read(&mut inner)?;
        inner.finish()?;
        Ok(Self { name, value })
    }
}

/// The variables of a message, which were checked.
#[derive(Debug, Clone, Copy)]
pub struct Bindings<'a> {
    reader: Reader<'a>,
}

impl<'a> Bindings<'a> {
    /// No variables.
    pub const EMPTY: Self = Self { reader: Reader::new(&[]) };

    /// Takes a list of variables out of a message.
    ///
    /// # Errors
    ///
    /// [`Malformed`], whatever is wrong with any of them.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let list = reader.sequence(tag::SEQUENCE)?;
        let mut walk = list;
        while !walk.is_empty() {
            Binding::read(&mut walk)?;
        }
        Ok(Self { reader: list })
    }

    /// The list as it is encoded.
    pub(crate) const fn encoded(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// A list that was encoded here.
    pub(crate) const fn of_encoded(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes) }
    }
}

impl<'a> IntoIterator for Bindings<'a> {
    type Item = Binding<'a>;
    type IntoIter = BindingIter<'a>;

    fn into_iter(self) -> BindingIter<'a> {
        BindingIter { reader: self.reader }
    }
}

/// The variables of [`Bindings`].
#[derive(Debug, Clone)]
pub struct BindingIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for BindingIter<'a> {
    type Item = Binding<'a>;

    fn next(&mut self) -> Option<Binding<'a>> {
        Binding::read(&mut self.reader).ok()
    }
}

#[cfg(test)]
mod tests;
