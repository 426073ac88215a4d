//! The agent: it answers requests, and knows no socket.

mod access;
mod notify;
mod operate;
#[cfg(feature = "v3")]
mod secure;
mod set;
mod state;
mod stats;

use core::net::SocketAddr;

pub use access::{Access, Community, Family, Grant, READ, SecurityLevel, SecurityModel, WRITE};
use access::{Principal, community};
#[cfg(feature = "v3")]
pub use notify::RemoteUser;
pub use notify::{Credentials, InformSlot, Outlet, Target};
use operate::{Operation, Outcome};
#[cfg(feature = "v3")]
pub use secure::{Engine, Storage};
pub use state::{At, Setup, State, Text, Texts};
pub use stats::{Counter, Counts};

use crate::ber::{Reader, Writer};
use crate::message::{CommunityMessage, Message, Version};
use crate::pdu::{ErrorStatus, Pdu, PduKind};

/// What the fields of a message with a community take at most, besides the community.
const HEADER: usize = 48;

/// An SNMP agent. It needs no allocator; all that it is set up with is borrowed.
///
/// ```
/// use coracle::Instant;
/// use coracle_snmp::agent::{Community, READ};
/// use coracle_snmp::mib::{Column, Context, Node, Output, Scalars, Tree};
/// use coracle_snmp::{Agent, Setup};
///
/// let rows = Scalars(|_: &Context<'_>, _id: u32, out: &mut Output<'_, '_>| out.integer(21));
/// let columns = [Column::integer(1)];
/// let nodes = [Node::new(&[1, 3, 6, 1, 4, 1, 99_999], &columns, &rows)];
/// let parts = [&nodes[..]];
/// let communities = [Community::new("public", READ)];
/// let mut agent = Agent::new(Setup::new(Tree::new(&parts)?).communities(&communities));
///
/// let mut request = *b"\x30\x28\x02\x01\x01\x04\x06public\xa0\x1b\x02\x01\x07\x02\x01\x00\x02\x01\x00\
///                      \x30\x10\x30\x0e\x06\x0a\x2b\x06\x01\x04\x01\x86\x8d\x1f\x01\x00\x05\x00";
/// let mut buffer = [0; 484];
/// let from = "192.0.2.1:40000".parse().unwrap();
/// let answer = agent.handle(&mut request, from, Instant::ZERO, &mut buffer).expect("an answer");
/// assert!(answer.ends_with(&[0x02, 1, 21]));
/// # Ok::<(), coracle_snmp::mib::TreeError>(())
/// ```
#[derive(Debug)]
pub struct Agent<'a> {
    state: State<'a>,
    notifier: notify::Notifier<'a>,
}

impl<'a> Agent<'a> {
    /// An agent.
    pub fn new(setup: Setup<'a>) -> Self {
        Self { state: State::new(setup), notifier: notify::Notifier::default() }
    }

    /// The same agent, for users of version 3, too.
    #[cfg(feature = "v3")]
    #[must_use]
    pub fn with_engine(mut self, engine: Engine<'a>) -> Self {
        self.state.engine = Some(engine);
        self
    }

    /// What it knows.
    pub fn state(&self) -> &State<'a> {
        &self.state
    }

    /// Takes a message; returns the answer, which is put in the buffer. The size of the buffer is the largest answer
    /// that there can be: 484 bytes at least, or some requests are not answered at all [RFC 3417 §3].
    ///
    /// The message is changed where it is decrypted.
    pub fn handle<'b, 's>(
        &mut self,
        request: &mut [u8],
        from: SocketAddr,
        at: impl Into<At<'s>>,
        buffer: &'b mut [u8],
    ) -> Option<&'b [u8]> {
        let at = at.into();
        if self.state.started.get().is_none() {
            self.state.started.set(Some(at.now));
        }
        self.state.counts.add(Counter::InPackets);
        let Ok(message) = Message::open(request) else {
            self.state.counts.add(Counter::InAsnParseErrors);
            return None;
        };
        let (v1, v2c) = (self.state.setup.v1, self.state.setup.v2c);
        let range = match message.version {
            0 if v1 => self.with_community(Version::V1, message.body, from, at, buffer),
            1 if v2c => self.with_community(Version::V2c, message.body, from, at, buffer),
            #[cfg(feature = "v3")]
            3 if self.state.engine.is_some() => self.secured(request, from, at, buffer),
            _ => {
                self.state.counts.add(Counter::InBadVersions);
                None
            }
        }?;
        self.state.counts.add(Counter::OutPackets);
        buffer.get(range)
    }

    /// A message of version 1 or 2c [3416-8].
    fn with_community(
        &mut self,
        version: Version,
        body: Reader<'_>,
        from: SocketAddr,
        at: At<'_>,
        buffer: &mut [u8],
    ) -> Option<core::ops::Range<usize>> {
        let Ok(CommunityMessage { community: name, pdu }) = CommunityMessage::read(body) else {
            self.state.counts.add(Counter::InAsnParseErrors);
            return None;
        };
        if pdu.kind == PduKind::Response {
            if !self.inform_answered(from, &CommunityMessage { community: name, pdu }) {
                self.state.counts.add(Counter::UnknownPduHandlers);
            }
            return None;
        }
        let state = &self.state;
        let Some(community) = community(state.setup.communities, name, from) else {
            state.counts.add(Counter::InBadCommunityNames);
            state.authentication_failed.set(true);
            return None;
        };
        let allowed = match pdu.kind {
            PduKind::Get | PduKind::GetNext | PduKind::Set => true,
            PduKind::GetBulk => version == Version::V2c,
            _ => false,
        };
        if !allowed {
            state.counts.add(Counter::UnknownPduHandlers);
            return None;
        }
        let principal = Principal {
            group: community.group,
            model: SecurityModel::of(version),
            level: SecurityLevel::NoAuthNoPriv,
            context: community.context,
        };
        let Some(grant) = state.setup.access.grant(&principal) else {
            state.counts.add(Counter::InBadCommunityUses);
            return None;
        };
        if pdu.kind == PduKind::Set && grant.write.is_none() {
            state.counts.add(Counter::InBadCommunityUses);
        }
        let operation = Operation::new(state, grant, at, &pdu, version);
        let room = HEADER + name.len();
        let answer = answer(&operation, &pdu, buffer.get_mut(room..)?)?;
        let end = room + answer.len;
        let mut writer = Writer::before(buffer.get_mut(..end)?, room);
        let mark = writer.end();
        Pdu::close(
            &mut writer,
            mark,
            PduKind::Response,
            (pdu.request_id, answer.status as i32, answer.index),
        );
        Message::close(&mut writer, mark, version, name);
        Some(writer.start()?..end)
    }
}

/// The variables of an answer: how long, and the error.
pub(crate) struct Answer {
    pub(crate) len: usize,
    pub(crate) status: ErrorStatus,
    pub(crate) index: i32,
}

/// Runs an operation, and puts the variables of its answer in a body; `None` when not even those that say that it is
/// too big fit [3416-6].
pub(crate) fn answer<'o>(operation: &Operation<'o>, pdu: &Pdu<'o>, body: &mut [u8]) -> Option<Answer> {
    let counts = &operation.cx.state.counts;
    count_request(counts, pdu);
    let (mut status, index) = match operation.run(pdu, body) {
        Outcome::Values(len) => {
            let total = Counter::InTotalRequestVariables;
            counts.add_many(total, pdu.bindings.into_iter().count() as u32);
            counts.add(Counter::OutGetResponses);
            return Some(Answer { len, status: ErrorStatus::NoError, index: 0 });
        }
        Outcome::Error(ErrorStatus::NoError, _) => {
            counts.add_many(Counter::InTotalSetVariables, pdu.bindings.into_iter().count() as u32);
            (ErrorStatus::NoError, 0)
        }
        Outcome::Error(status, index) => (status, index),
    };
    if operation.v1 {
        status = status.for_v1();
    }
    // The variables come back as they were; of version 2 on, there are none if the answer was too big.
    let variables = match status {
        ErrorStatus::TooBig if !operation.v1 => &[],
        _ => pdu.bindings.encoded(),
    };
    let Some(place) = body.get_mut(..variables.len()) else {
        counts.add(Counter::SilentDrops);
        return None;
    };
    place.copy_from_slice(variables);
    match status {
        ErrorStatus::TooBig => counts.add(Counter::OutTooBigs),
        ErrorStatus::NoSuchName => counts.add(Counter::OutNoSuchNames),
        ErrorStatus::BadValue => counts.add(Counter::OutBadValues),
        ErrorStatus::GenErr => counts.add(Counter::OutGenErrors),
        _ => {}
    }
    counts.add(Counter::OutGetResponses);
    Some(Answer { len: variables.len(), status, index })
}

fn count_request(counts: &Counts, pdu: &Pdu<'_>) {
    match pdu.kind {
        PduKind::Get => counts.add(Counter::InGetRequests),
        PduKind::GetNext => counts.add(Counter::InGetNexts),
        PduKind::Set => counts.add(Counter::InSetRequests),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
