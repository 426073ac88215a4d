//! Version 3: the user-based security model [RFC 3414 §3.2], and what is done for a user.

use core::cell::Cell;
use core::net::SocketAddr;
use core::ops::Range;

use coracle::Instant;

use super::access::{Grant, Principal, SecurityModel};
use super::operate::Operation;
use super::{Agent, Answer, At, Counter, SecurityLevel, State, answer};
use crate::ber::{Malformed, Writer, tag};
use crate::message::{Message, Version};
use crate::pdu::{Binding, ErrorStatus, Pdu, PduKind};
use crate::v3::{EngineId, Header, Keys, Scoped, Sealing, Security, User};
use crate::value::Value;

/// Where a number is kept while there is no power [RFC 3414 §2.2.2].
pub trait Storage {
    /// How often the engine has started, as was kept last; 0 if nothing ever was. lwIP: `snmpv3_get_engine_boots`.
    fn boots(&mut self) -> u32;

    /// Keeps how often it has started. lwIP: `snmpv3_set_engine_boots`.
    fn store_boots(&mut self, boots: u32);
}

/// The engine of version 3, and its users.
#[derive(Debug)]
pub struct Engine<'a> {
    /// Its name.
    pub id: EngineId,
    /// The users.
    pub users: &'a [User<'a>],
    boots: u32,
    salt: Cell<u64>,
}

/// Boots and time of an engine stay there once they are: no message is in time any more [3414-2].
const LATCHED: u32 = i32::MAX as u32;

/// How far the time of a message may be off, in seconds [3414-2].
const WINDOW: u32 = 150;

impl<'a> Engine<'a> {
    /// An engine that starts once more. `seed` is random: encryption never starts with the same numbers then, even
    /// if the storage forgets.
    pub fn start(id: EngineId, users: &'a [User<'a>], storage: &mut dyn Storage, seed: u64) -> Self {
        let boots = storage.boots().saturating_add(1).min(LATCHED);
        storage.store_boots(boots);
        Self { id, users, boots, salt: Cell::new(seed) }
    }

    /// How often it has started.
    pub fn boots(&self) -> u32 {
        self.boots
    }

    pub(crate) fn next_salt(&self) -> u64 {
        let salt = self.salt.get().wrapping_add(1);
        self.salt.set(salt);
        salt
    }

    fn user(&self, name: &[u8]) -> Option<&'a User<'a>> {
        self.users.iter().find(|user| user.name.as_bytes() == name)
    }
}

impl State<'_> {
    /// `snmpEngineTime`: for how many seconds the engine runs.
    pub fn engine_time(&self, now: Instant) -> u32 {
        self.seconds(now).min(u64::from(LATCHED)) as u32
    }
}

/// Why a message is refused: what counts it, and what the sender is told.
#[derive(Clone, Copy)]
struct Refusal {
    counter: Counter,
    /// The identifier of the counter.
    object: &'static [u32],
    /// Whether the refusal is signed.
    signed: bool,
}

const fn refusal(counter: Counter, object: &'static [u32]) -> Refusal {
    Refusal { counter, object, signed: false }
}

/// [3414-4]
const UNSUPPORTED_LEVEL: Refusal =
    refusal(Counter::UnsupportedSecurityLevels, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 1, 0]);
const NOT_IN_TIME: Refusal =
    Refusal { signed: true, ..refusal(Counter::NotInTimeWindows, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 2, 0]) };
const UNKNOWN_USER: Refusal = refusal(Counter::UnknownUserNames, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 3, 0]);
const UNKNOWN_ENGINE: Refusal = refusal(Counter::UnknownEngineIds, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 4, 0]);
const WRONG_DIGEST: Refusal = refusal(Counter::WrongDigests, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 5, 0]);
const NOT_DECRYPTED: Refusal = refusal(Counter::DecryptionErrors, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 6, 0]);
const UNKNOWN_HANDLER: Refusal = refusal(Counter::UnknownPduHandlers, &[1, 3, 6, 1, 6, 3, 11, 2, 1, 3, 0]);
const UNKNOWN_CONTEXT: Refusal = refusal(Counter::UnknownContexts, &[1, 3, 6, 1, 6, 3, 12, 1, 5, 0]);

impl Agent<'_> {
    /// A message of version 3.
    pub(super) fn secured(
        &mut self,
        request: &mut [u8],
        from: SocketAddr,
        at: At<'_>,
        buffer: &mut [u8],
    ) -> Option<Range<usize>> {
        let Ok((header, security)) = parse(request) else {
            self.state.counts.add(Counter::InAsnParseErrors);
            return None;
        };
        if !header.is_reportable() && self.inform_answered_v3(from, &header, &security, request, at.now) {
            return None;
        }
        let counts = &self.state.counts;
        let engine = self.state.engine.as_ref()?;
        if header.model != SecurityModel::Usm as i32 {
            counts.add(Counter::UnknownSecurityModels);
            return None;
        }
        let Some(level) = header.level() else {
            counts.add(Counter::InvalidMessages);
            return None;
        };
        let encrypted = level == SecurityLevel::AuthPriv;
        let (sender, refused) = match self.authenticate(engine, &security, level, request, at.now) {
            Ok(user) => (Some(user), None),
            Err((user, refusal)) => (user, Some(refusal)),
        };
        let sealing = Sealing {
            header: Header {
                id: header.id,
                max_size: i32::try_from(buffer.len()).unwrap_or(i32::MAX),
                flags: 0,
                model: header.model,
            },
            engine: engine.id.as_bytes(),
            boots: engine.boots,
            time: self.state.engine_time(at.now),
            user: request.get(security.user.clone())?,
            keys: &Keys::default(),
            salt: engine.next_salt(),
        };
        let scoped = match refused {
            None => security.scoped(request, encrypted).map_err(|_| NOT_DECRYPTED),
            Some(refused) => Err(refused),
        };
        let checked = scoped.and_then(|scoped| self.check(engine, &scoped).map(|()| scoped));
        match (checked, sender) {
            (Ok(scoped), Some(sender)) => {
                let limit = (header.max_size.unsigned_abs() as usize).min(buffer.len());
                let keys = sender.keys.at(level)?;
                let sealing = Sealing { keys: &keys, ..sealing };
                let reply = buffer.get_mut(..limit)?;
                self.serve(&Request { scoped, level, user: sender }, &sealing, at, reply)
            }
            (Err(refused), sender) => {
                counts.add(refused.counter);
                if matches!(refused.counter, Counter::WrongDigests | Counter::UnknownUserNames) {
                    self.state.authentication_failed.set(true);
                }
                if !header.is_reportable() {
                    return None;
                }
                let auth = sender.filter(|_| refused.signed).and_then(|sender| sender.keys.auth);
                let keys = Keys { auth, privacy: None };
                let scoped = if encrypted { None } else { security.scoped(request, false).ok() };
                let id = scoped.map_or(0, |scoped| scoped.pdu.request_id);
                let count = counts.get(refused.counter);
                report(&Sealing { keys: &keys, ..sealing }, &refused, count, id, buffer)
            }
            (Ok(_), None) => None,
        }
    }

    /// Who sent a message, if it is in time, and decrypts it. A refusal may be signed for the sender.
    fn authenticate<'u>(
        &self,
        engine: &Engine<'u>,
        security: &Security,
        level: SecurityLevel,
        request: &mut [u8],
        now: Instant,
    ) -> Result<&'u User<'u>, (Option<&'u User<'u>>, Refusal)> {
        let part = |place: &Range<usize>| request.get(place.clone()).unwrap_or(&[]);
        if part(&security.engine) != engine.id.as_bytes() {
            // [3414-1]
            return Err((None, UNKNOWN_ENGINE));
        }
        let Some(user) = engine.user(part(&security.user)) else { return Err((None, UNKNOWN_USER)) };
        let Some(keys) = user.keys.at(level) else { return Err((None, UNSUPPORTED_LEVEL)) };
        if let Some(auth) = &keys.auth {
            if !security.is_signed(request, auth) {
                return Err((None, WRONG_DIGEST));
            }
            let time = self.state.engine_time(now);
            let in_time = engine.boots != LATCHED
                && security.boots == engine.boots
                && security.time.abs_diff(time) <= WINDOW;
            if !in_time {
                return Err((Some(user), NOT_IN_TIME));
            }
        }
        if let Some(privacy) = &keys.privacy
            && !security.decrypt(request, privacy)
        {
            return Err((None, NOT_DECRYPTED));
        }
        Ok(user)
    }

    /// Whether a PDU is for this agent, and its context exists.
    fn check(&self, engine: &Engine<'_>, scoped: &Scoped<'_>) -> Result<(), Refusal> {
        if scoped.engine != engine.id.as_bytes() {
            return Err(UNKNOWN_HANDLER);
        }
        let grants = self.state.setup.access.grants;
        if !scoped.context.is_empty() && !grants.iter().any(|grant| grant.context == scoped.context) {
            return Err(UNKNOWN_CONTEXT);
        }
        match scoped.pdu.kind {
            PduKind::Get | PduKind::GetNext | PduKind::GetBulk | PduKind::Set => Ok(()),
            _ => Err(UNKNOWN_HANDLER),
        }
    }

    fn serve(
        &self,
        request: &Request<'_>,
        sealing: &Sealing<'_>,
        at: At<'_>,
        buffer: &mut [u8],
    ) -> Option<Range<usize>> {
        let (scoped, pdu) = (&request.scoped, &request.scoped.pdu);
        let principal = Principal {
            group: request.user.group,
            model: SecurityModel::Usm,
            level: request.level,
            context: scoped.context,
        };
        // Two names, and the tags, lengths and numbers around them.
        let room = sealing.room() + scoped.engine.len() + scoped.context.len() + 48;
        let limit = buffer.len().checked_sub(8)?;
        let body = buffer.get_mut(room..limit)?;
        let answer = match self.state.setup.access.grant(&principal) {
            Some(grant) => self.operate(grant, pdu, at, body)?,
            None => refused(pdu, body)?,
        };
        let end = room + answer.len;
        let mut writer = Writer::before(buffer.get_mut(..end)?, room);
        let mark = writer.end();
        let numbers = (pdu.request_id, answer.status as i32, answer.index);
        Pdu::close(&mut writer, mark, PduKind::Response, numbers);
        writer.octets(scoped.context);
        writer.octets(scoped.engine);
        writer.close(tag::SEQUENCE, mark);
        let start = writer.start()?;
        sealing.close(buffer, start, end)
    }

    fn operate(&self, grant: &Grant<'_>, pdu: &Pdu<'_>, at: At<'_>, body: &mut [u8]) -> Option<Answer> {
        answer(&Operation::new(&self.state, grant, at, pdu, Version::V3), pdu, body)
    }
}

/// A request whose sender is known.
struct Request<'r> {
    scoped: Scoped<'r>,
    level: SecurityLevel,
    user: &'r User<'r>,
}

fn parse(request: &[u8]) -> Result<(Header, Security), Malformed> {
    let mut message = Message::open(request)?;
    let header = Header::read(&mut message.body)?;
    let encrypted = header.level() == Some(SecurityLevel::AuthPriv);
    Ok((header, Security::read(request, message.body, encrypted)?))
}

/// The answer to who has no rights at all [RFC 3413 §3.2].
fn refused(pdu: &Pdu<'_>, body: &mut [u8]) -> Option<Answer> {
    let variables = pdu.bindings.encoded();
    body.get_mut(..variables.len())?.copy_from_slice(variables);
    Some(Answer { len: variables.len(), status: ErrorStatus::AuthorizationError, index: 0 })
}

/// Tells the sender of a message why it is refused [RFC 3412 §7.1].
fn report(
    sealing: &Sealing<'_>,
    refusal: &Refusal,
    count: u32,
    request_id: i32,
    buffer: &mut [u8],
) -> Option<Range<usize>> {
    let end = buffer.len().checked_sub(8)?;
    let mut writer = Writer::new(buffer.get_mut(..end)?);
    let mark = writer.mark();
    Binding::new(refusal.object, Value::Counter32(count)).write(&mut writer);
    Pdu::close(&mut writer, mark, PduKind::Report, (request_id, 0, 0));
    writer.octets(&[]);
    writer.octets(sealing.engine);
    writer.close(tag::SEQUENCE, mark);
    let start = writer.start()?;
    sealing.close(buffer, start, end)
}

#[cfg(test)]
mod tests;
