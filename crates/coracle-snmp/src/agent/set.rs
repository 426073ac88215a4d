//! SET: all or nothing [RFC 3416 §4.2.5].

use super::operate::{Body, Failed, Operation, Outcome};
use crate::mib::{Column, Lookup, MaxAccess, Node};
use crate::oid::Oid;
use crate::pdu::{Binding, Bindings, ErrorStatus, Pdu};
use crate::value::Value;

impl<'o> Operation<'o> {
    /// [3416-5]
    pub(super) fn set(&self, pdu: &Pdu<'o>, buffer: &mut [u8]) -> Outcome {
        match self.try_set(pdu, buffer) {
            // The variables are returned as they came.
            Ok(()) => Outcome::Error(ErrorStatus::NoError, 0),
            Err((status, index)) => Outcome::Error(status, index),
        }
    }

    fn try_set(&self, pdu: &Pdu<'o>, buffer: &mut [u8]) -> Result<(), Failed> {
        if pdu.bindings.encoded().len() > buffer.len() {
            return Err((ErrorStatus::TooBig, 0));
        }
        let mut oid = Oid::default();
        for (binding, position) in pdu.bindings.into_iter().zip(1..) {
            binding.name.copy_to(&mut oid);
            self.test(&oid, &binding.value).map_err(|status| (status, position))?;
        }
        let before = self.values_before(pdu, buffer, &mut oid).map_err(|status| (status, 0))?;
        for (binding, position) in pdu.bindings.into_iter().zip(1..) {
            if self.commit(&binding, &mut oid).is_err() {
                self.undo(pdu.bindings, before, position, &mut oid)?;
                return Err((ErrorStatus::CommitFailed, position));
            }
        }
        Ok(())
    }

    /// The values of all variables before anything changes, in the order of the request. They lie where the answer
    /// would, as the answer to a SET is the request.
    fn values_before<'b>(
        &self,
        pdu: &Pdu<'_>,
        buffer: &'b mut [u8],
        oid: &mut Oid,
    ) -> Result<Bindings<'b>, ErrorStatus> {
        let mut body = Body::new(buffer);
        for binding in pdu.bindings {
            binding.name.copy_to(oid);
            if let Some(missing) = self.get_one(oid, &mut body)? {
                body.put(binding.name, &missing)?;
            }
        }
        Ok(body.into_bindings())
    }

    /// In the order in which errors are to be told.
    fn test(&self, oid: &Oid, value: &Value<'_>) -> Result<(), ErrorStatus> {
        if !self.may_set(oid.arcs()) {
            return Err(ErrorStatus::NoAccess);
        }
        let Some((node, column, index)) = self.object(oid) else { return Err(ErrorStatus::NotWritable) };
        if column.access == MaxAccess::ReadOnly {
            return Err(ErrorStatus::NotWritable);
        }
        if column.syntax != value.tag() {
            return Err(ErrorStatus::WrongType);
        }
        if column.access == MaxAccess::ReadWrite && node.rows.find(&self.cx, index).is_none() {
            return Err(ErrorStatus::NoCreation);
        }
        node.rows.test(&self.cx, index, column.id, value)
    }

    fn object<'i>(&self, oid: &'i Oid) -> Option<(&'o Node<'o>, &'o Column, &'i [u32])> {
        match self.tree.lookup(oid.arcs()) {
            Lookup::Object(node, column) => Some((node, column, &oid.arcs()[node.prefix.len() + 1..])),
            Lookup::NoObject => None,
        }
    }

    fn commit(&self, binding: &Binding<'_>, oid: &mut Oid) -> Result<(), ErrorStatus> {
        binding.name.copy_to(oid);
        let (node, column, index) = self.object(oid).ok_or(ErrorStatus::CommitFailed)?;
        node.rows.commit(&self.cx, index, column.id, &binding.value)
    }

    /// Undoes what was set before the variable that failed, the last first.
    fn undo(
        &self,
        bindings: Bindings<'_>,
        before: Bindings<'_>,
        failed: i32,
        oid: &mut Oid,
    ) -> Result<(), Failed> {
        let mut complete = true;
        for position in (0..failed.unsigned_abs() as usize - 1).rev() {
            let set = bindings.into_iter().nth(position);
            let (Some(set), Some(old)) = (set, before.into_iter().nth(position)) else { continue };
            set.name.copy_to(oid);
            let Some((node, column, index)) = self.object(oid) else { continue };
            let value = Some(&old.value).filter(|value| !value.is_exception());
            complete &= node.rows.undo(&self.cx, index, column.id, value).is_ok();
        }
        if complete { Ok(()) } else { Err((ErrorStatus::UndoFailed, 0)) }
    }
}
