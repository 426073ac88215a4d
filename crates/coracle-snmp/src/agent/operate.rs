//! The operations: GET, GETNEXT, GETBULK [RFC 3416 §4.2].

use super::access::{Access, Grant};
use super::state::{At, State};
use crate::ber::{Writer, tag};
use crate::message::Version;
use crate::mib::{Context, Found, Lookup, Output, Tree};
use crate::oid::{Oid, OidRef};
use crate::pdu::{Binding, Bindings, ErrorStatus, Pdu, PduKind};
use crate::value::Value;

/// What an operation came to: variables were put in the body, or an error is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many bytes of variables are in the body.
    Values(usize),
    /// The variables of the request are returned, with this error about one of them (from 1), or all (0).
    Error(ErrorStatus, i32),
}

/// An operation that failed, and at which variable.
pub(crate) type Failed = (ErrorStatus, i32);

/// Who asks for an operation on what.
pub(crate) struct Operation<'o> {
    pub(crate) tree: &'o Tree<'o>,
    pub(crate) access: &'o Access<'o>,
    pub(crate) grant: &'o Grant<'o>,
    pub(crate) cx: Context<'o>,
    /// Version 1 has no exceptions, and no long counters.
    pub(crate) v1: bool,
}

/// The variables of an answer, from the front of a buffer.
pub(super) struct Body<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl Body<'_> {
    /// Adds a variable whose value is written by a closure. `Ok(None)`: it wrote nothing, so nothing was added.
    /// `Err`: it does not fit.
    fn add(
        &mut self,
        name: OidRef<'_>,
        value: impl FnOnce(&mut Output<'_, '_>),
        accept: impl FnOnce(u8) -> bool,
    ) -> Result<Option<u8>, ErrorStatus> {
        // Written at the end of what is free, as it is written backwards, and then moved to its place.
        let free = &mut self.buffer[self.len..];
        let mut writer = Writer::new(free);
        let end = writer.mark();
        let mut output = Output::new(&mut writer);
        value(&mut output);
        let Some(kind) = output.kind().filter(|kind| accept(*kind)) else { return Ok(None) };
        name.write(&mut writer);
        writer.close(tag::SEQUENCE, end);
        let start = writer.start().ok_or(ErrorStatus::TooBig)?;
        let len = free.len() - start;
        free.copy_within(start.., 0);
        self.len += len;
        Ok(Some(kind))
    }

    /// Adds a variable and its value.
    pub(super) fn put(&mut self, name: OidRef<'_>, value: &Value<'_>) -> Result<(), ErrorStatus> {
        self.add(name, |out| out.value(value), |_| true).map(|_| ())
    }
}

impl<'b> Body<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// The variables that were added.
    pub(super) fn into_bindings(self) -> Bindings<'b> {
        Bindings::of_encoded(&self.buffer[..self.len])
    }
}

impl<'o> Operation<'o> {
    /// An operation that is asked for in a PDU, by somebody with these rights.
    pub(crate) fn new(
        state: &'o State<'_>,
        grant: &'o Grant<'_>,
        at: At<'o>,
        pdu: &Pdu<'o>,
        version: Version,
    ) -> Self {
        Self {
            tree: &state.setup.tree,
            access: &state.setup.access,
            grant,
            cx: Context { now: at.now, stack: at.stack, state, request: pdu.bindings },
            v1: version == Version::V1,
        }
    }

    /// Runs the operation of a PDU.
    pub(crate) fn run(&self, pdu: &Pdu<'o>, buffer: &mut [u8]) -> Outcome {
        let mut body = Body::new(buffer);
        let result = match pdu.kind {
            PduKind::Get => self.get(pdu, &mut body),
            PduKind::GetNext => self.get_next(pdu, &mut body),
            PduKind::GetBulk => {
                self.get_bulk(pdu, &mut body);
                Ok(())
            }
            PduKind::Set => return self.set(pdu, body.buffer),
            _ => Err((ErrorStatus::GenErr, 0)),
        };
        match result {
            Ok(()) => Outcome::Values(body.len),
            Err((status, index)) => Outcome::Error(status, index),
        }
    }

    pub(super) fn may_set(&self, oid: &[u32]) -> bool {
        self.access.in_view(self.grant.write, oid)
    }

    fn may_read(&self, oid: &[u32]) -> bool {
        self.access.in_view(self.grant.read, oid)
    }

    /// Whether a value of this type can be told.
    fn accepts(&self, kind: u8) -> bool {
        !(self.v1 && kind == tag::COUNTER64)
    }

    /// [3416-2]
    fn get(&self, pdu: &Pdu<'_>, body: &mut Body<'_>) -> Result<(), Failed> {
        let mut oid = Oid::default();
        for (binding, position) in pdu.bindings.into_iter().zip(1..) {
            binding.name.copy_to(&mut oid);
            let readable = self.may_read(oid.arcs());
            let missing =
                if readable { self.get_one(&oid, body).map_err(whole)? } else { Some(Value::NoSuchObject) };
            match missing {
                None => {}
                Some(_) if self.v1 => return Err((ErrorStatus::NoSuchName, position)),
                Some(missing) => body.put(binding.name, &missing).map_err(whole)?,
            }
        }
        Ok(())
    }

    /// Adds one variable; if it has no value, nothing is added, and what stands in its place is returned.
    pub(super) fn get_one(
        &self,
        oid: &Oid,
        body: &mut Body<'_>,
    ) -> Result<Option<Value<'static>>, ErrorStatus> {
        let arcs = oid.arcs();
        let Lookup::Object(node, column) = self.tree.lookup(arcs) else {
            return Ok(Some(Value::NoSuchObject));
        };
        let index = &arcs[node.prefix.len() + 1..];
        let Some(row) = node.rows.find(&self.cx, index) else { return Ok(Some(Value::NoSuchInstance)) };
        let found = Found { node, column: column.id, row };
        let name = OidRef::new(arcs);
        let kind = body.add(name, |out| self.read(&found, out), |kind| self.accepts(kind))?;
        Ok(if kind.is_some() { None } else { Some(Value::NoSuchInstance) })
    }

    fn read(&self, found: &Found<'_>, out: &mut Output<'_, '_>) {
        found.node.rows.read(&self.cx, found.row, found.column, out);
    }

    /// [3416-3]
    fn get_next(&self, pdu: &Pdu<'_>, body: &mut Body<'_>) -> Result<(), Failed> {
        for (binding, position) in pdu.bindings.into_iter().zip(1..) {
            if self.next_one(binding.name, body).map_err(whole)? {
                continue;
            }
            if self.v1 {
                return Err((ErrorStatus::NoSuchName, position));
            }
            body.put(binding.name, &Value::EndOfMibView).map_err(whole)?;
        }
        Ok(())
    }

    /// Adds the variable that follows; `false` when none does.
    fn next_one(&self, name: OidRef<'_>, body: &mut Body<'_>) -> Result<bool, ErrorStatus> {
        let mut after = name.to_oid();
        let mut next = Oid::default();
        while let Some(found) = self.tree.next(&self.cx, after.arcs(), &mut next) {
            let readable = self.may_read(next.arcs());
            if readable {
                let name = OidRef::new(next.arcs());
                let kind = body.add(name, |out| self.read(&found, out), |kind| self.accepts(kind))?;
                if kind.is_some() {
                    return Ok(true);
                }
            }
            core::mem::swap(&mut after, &mut next);
            let object = found.node.prefix.len() + 1;
            if !readable && self.access.is_uniform(self.grant.read, &after.arcs()[..object]) {
                // None of this object's instances is in the view, so they need not be looked at.
                after.truncate(object);
                after.push(u32::MAX).map_err(|_| ErrorStatus::GenErr)?;
            }
        }
        Ok(false)
    }

    /// [3416-4]
    fn get_bulk(&self, pdu: &Pdu<'_>, body: &mut Body<'_>) {
        let once = usize::try_from(pdu.status).unwrap_or(0);
        let times = usize::try_from(pdu.index).unwrap_or(0);
        for binding in pdu.bindings.into_iter().take(once) {
            if self.bulk_one(binding.name, body).is_err() {
                return;
            }
        }
        if pdu.bindings.into_iter().nth(once).is_none() {
            return;
        }
        let mut previous = None;
        for _ in 0..times {
            let start = body.len;
            let more = match previous {
                None => self.bulk_row(pdu.bindings.into_iter().skip(once), body),
                Some(place) => self.bulk_again(place, body),
            };
            match more {
                Ok(true) => previous = Some(start),
                // It is full, or everything has ended.
                Ok(false) | Err(_) => break,
            }
        }
    }

    /// Adds what follows a variable, or that nothing does; whether something does.
    fn bulk_one(&self, name: OidRef<'_>, body: &mut Body<'_>) -> Result<bool, ErrorStatus> {
        let more = self.next_one(name, body)?;
        if !more {
            body.put(name, &Value::EndOfMibView)?;
        }
        Ok(more)
    }

    fn bulk_row<'n>(
        &self,
        names: impl Iterator<Item = Binding<'n>>,
        body: &mut Body<'_>,
    ) -> Result<bool, ErrorStatus> {
        let mut more = false;
        for binding in names {
            more |= self.bulk_one(binding.name, body)?;
        }
        Ok(more)
    }

    /// The next repetition: it begins where the one before, at a place in the body, ended.
    fn bulk_again(&self, mut place: usize, body: &mut Body<'_>) -> Result<bool, ErrorStatus> {
        let end = body.len;
        let mut more = false;
        let mut name = Oid::default();
        while place < end {
            let mut reader = crate::ber::Reader::new(&body.buffer[place..end]);
            let before = Binding::read(&mut reader).map_err(|_| ErrorStatus::GenErr)?;
            before.name.copy_to(&mut name);
            place = end - reader.rest().len();
            more |= self.bulk_one(OidRef::new(name.arcs()), body)?;
        }
        Ok(more)
    }
}

/// An error about the whole request, unless it is about a variable.
fn whole(status: ErrorStatus) -> Failed {
    (status, 0)
}
