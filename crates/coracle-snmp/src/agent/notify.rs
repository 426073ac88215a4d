//! Notifications: traps, which nobody answers, and informs, which are sent again until somebody does [RFC 3413 §3.3].

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use coracle::Instant;

use super::state::At;
use super::{Agent, Counter};
use crate::ber::{Writer, tag};
use crate::message::{CommunityMessage, Message, Version};
use crate::oid::OidRef;
use crate::pdu::{Binding, GenericTrap, Pdu, PduKind, TRAP_V1};
use crate::value::Value;

#[cfg(feature = "v3")]
use super::SecurityLevel;
#[cfg(feature = "v3")]
use crate::v3::{EngineId, FLAG_REPORTABLE, Header, Keys, MasterKey, PrivProtocol, Sealing, Security};

/// `snmpTraps`: the standard notifications lie below.
const TRAPS: [u32; 9] = [1, 3, 6, 1, 6, 3, 1, 1, 5];
const SYS_UPTIME: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 3, 0];
const TRAP_OID: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];

/// How a target knows who sends.
#[derive(Debug, Clone, Copy)]
pub enum Credentials<'a> {
    /// Version 1, with a community: traps only.
    V1(&'a str),
    /// Version 2c, with a community.
    V2c(&'a str),
    /// Version 3, traps: a user of the agent's, at the highest level that its keys allow.
    #[cfg(feature = "v3")]
    User(&'a str),
    /// Version 3, informs: a user that the target knows.
    #[cfg(feature = "v3")]
    Remote(&'a RemoteUser<'a>),
}

/// A user at whatever engine receives informs.
#[cfg(feature = "v3")]
#[derive(Debug, Clone, Copy)]
pub struct RemoteUser<'a> {
    /// The name.
    pub name: &'a str,
    /// What signs.
    pub auth: Option<MasterKey>,
    /// What encrypts.
    pub privacy: Option<(PrivProtocol, MasterKey)>,
}

/// Who is told of events. lwIP: `snmp_trap_dst_ip_set`.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where it is; its port is usually 162.
    pub address: SocketAddr,
    /// How it knows the sender.
    pub credentials: Credentials<'a>,
    /// Informs instead of traps: how long to wait for an answer, and how often to send again.
    pub inform: Option<(Duration, u8)>,
}

/// The longest list of variables of an inform, in bytes.
const INFORM_SIZE: usize = 400;

/// A place for an inform that waits for its answer.
#[derive(Debug, Default)]
pub struct InformSlot {
    pending: Option<Pending>,
    /// An inform that is over: its number, and whether it was answered.
    finished: Option<(i32, bool)>,
}

#[derive(Debug)]
struct Pending {
    target: usize,
    id: i32,
    again: Instant,
    left: u8,
    variables: [u8; INFORM_SIZE],
    len: usize,
    #[cfg(feature = "v3")]
    peer: Peer,
    /// Reports that made it be sent again at once; there is an end to that.
    #[cfg(feature = "v3")]
    reports: u8,
}

/// What is known of the engine that receives.
#[cfg(feature = "v3")]
#[derive(Debug, Default, Clone, Copy)]
struct Peer {
    engine: Option<EngineId>,
    boots: u32,
    time: u32,
    heard: Instant,
}

/// What tells of events.
#[derive(Debug, Default)]
pub(super) struct Notifier<'a> {
    targets: &'a [Target<'a>],
    informs: &'a mut [InformSlot],
    next_id: i32,
    /// The interfaces that were up when it last looked; `None` before.
    links: Option<u64>,
}

/// Where messages are made, and who sends them.
pub struct Outlet<'o> {
    /// As long as the longest message.
    pub buffer: &'o mut [u8],
    /// Sends a message.
    pub send: &'o mut dyn FnMut(SocketAddr, &[u8]),
}

impl core::fmt::Debug for Outlet<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Outlet").finish_non_exhaustive()
    }
}

impl<'a> Agent<'a> {
    /// The same agent, telling these targets of events. There may be as many informs without an answer as there are
    /// slots.
    #[must_use]
    pub fn with_targets(mut self, targets: &'a [Target<'a>], informs: &'a mut [InformSlot]) -> Self {
        self.notifier = Notifier { targets, informs, next_id: 1, links: None };
        self
    }

    /// Tells all targets of an event by the identifier of its notification. Returns the number of the first inform
    /// that was sent, if any; the others follow. lwIP: `snmp_send_trap`, `snmp_send_inform`.
    pub fn notify<'s>(
        &mut self,
        event: &[u32],
        variables: &[Binding<'_>],
        at: impl Into<At<'s>>,
        outlet: &mut Outlet<'_>,
    ) -> Option<i32> {
        self.notify_at(event, variables, at.into(), outlet)
    }

    /// Tells all targets of one of the standard events. lwIP: `snmp_send_trap_generic`, `snmp_coldstart_trap`.
    pub fn notify_generic<'s>(
        &mut self,
        event: GenericTrap,
        variables: &[Binding<'_>],
        at: impl Into<At<'s>>,
        outlet: &mut Outlet<'_>,
    ) -> Option<i32> {
        let mut oid = [0; TRAPS.len() + 1];
        oid[..TRAPS.len()].copy_from_slice(&TRAPS);
        oid[TRAPS.len()] = event as u32 + 1;
        self.notify_at(&oid, variables, at.into(), outlet)
    }

    fn notify_at(
        &mut self,
        event: &[u32],
        variables: &[Binding<'_>],
        at: At<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Option<i32> {
        if self.state.started.get().is_none() {
            self.state.started.set(Some(at.now));
        }
        let mut first = None;
        for number in 0..self.notifier.targets.len() {
            let target = self.notifier.targets[number];
            match target.inform {
                Some(_) => {
                    let id = self.inform(number, event, variables, at, outlet);
                    first = first.or(id);
                }
                None => self.trap(&target, event, variables, at, outlet),
            }
        }
        first
    }

    fn trap(
        &mut self,
        target: &Target<'_>,
        event: &[u32],
        variables: &[Binding<'_>],
        at: At<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let uptime = self.state.uptime(at.now);
        let id = self.notifier.take_id();
        let Outlet { buffer, send } = outlet;
        let range = match target.credentials {
            Credentials::V1(community) => {
                let mut writer = Writer::new(buffer);
                let end = writer.mark();
                write_v1(
                    &mut writer,
                    event,
                    variables,
                    (uptime, own_address(at)),
                    self.state.setup.object_id,
                );
                Message::close(&mut writer, end, Version::V1, community.as_bytes());
                writer.start().map(|start| start..buffer.len())
            }
            Credentials::V2c(community) => {
                let mut writer = Writer::new(buffer);
                let end = writer.mark();
                write_variables(&mut writer, event, variables, uptime);
                Pdu::close(&mut writer, end, PduKind::Trap, (id, 0, 0));
                Message::close(&mut writer, end, Version::V2c, community.as_bytes());
                writer.start().map(|start| start..buffer.len())
            }
            #[cfg(feature = "v3")]
            Credentials::User(name) => self.trap_v3(name, id, event, variables, at.now, buffer),
            #[cfg(feature = "v3")]
            Credentials::Remote(_) => None,
        };
        if let Some(message) = range.and_then(|range| buffer.get(range)) {
            send(target.address, message);
            self.state.counts.add(Counter::OutTraps);
            self.state.counts.add(Counter::OutPackets);
        }
    }

    #[cfg(feature = "v3")]
    fn trap_v3(
        &self,
        name: &str,
        id: i32,
        event: &[u32],
        variables: &[Binding<'_>],
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<core::ops::Range<usize>> {
        let engine = self.state.engine.as_ref()?;
        let user = engine.users.iter().find(|user| user.name == name)?;
        let end = buffer.len().checked_sub(8)?;
        let mut writer = Writer::new(&mut buffer[..end]);
        let mark = writer.mark();
        write_variables(&mut writer, event, variables, self.state.uptime(now));
        Pdu::close(&mut writer, mark, PduKind::Trap, (id, 0, 0));
        writer.octets(&[]);
        writer.octets(engine.id.as_bytes());
        writer.close(tag::SEQUENCE, mark);
        let start = writer.start()?;
        let sealing = Sealing {
            header: Header { id, max_size: 1472, flags: 0, model: 3 },
            engine: engine.id.as_bytes(),
            boots: engine.boots(),
            time: self.state.engine_time(now),
            user: user.name.as_bytes(),
            keys: &user.keys,
            salt: engine.next_salt(),
        };
        sealing.close(buffer, start, end)
    }

    fn inform(
        &mut self,
        target: usize,
        event: &[u32],
        variables: &[Binding<'_>],
        at: At<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Option<i32> {
        let (_, retries) = self.notifier.targets.get(target)?.inform?;
        let uptime = self.state.uptime(at.now);
        let place = self.notifier.informs.iter().position(InformSlot::is_free)?;
        let mut encoded = [0; INFORM_SIZE];
        let mut writer = Writer::new(&mut encoded);
        write_variables(&mut writer, event, variables, uptime);
        let start = writer.start()?;
        let id = self.notifier.take_id();
        encoded.copy_within(start.., 0);
        self.notifier.informs[place].pending = Some(Pending {
            target,
            id,
            again: at.now,
            left: retries,
            variables: encoded,
            len: INFORM_SIZE - start,
            #[cfg(feature = "v3")]
            peer: Peer::default(),
            #[cfg(feature = "v3")]
            reports: 0,
        });
        self.send_inform(place, at.now, outlet);
        Some(id)
    }

    /// Sends an inform, for the first time or again.
    fn send_inform(&mut self, place: usize, now: Instant, outlet: &mut Outlet<'_>) {
        let Some(pending) = self.notifier.informs.get_mut(place).and_then(|slot| slot.pending.as_mut())
        else {
            return;
        };
        let Some(target) = self.notifier.targets.get(pending.target) else { return };
        let wait = target.inform.map_or(Duration::from_secs(1), |(wait, _)| wait);
        pending.again = now + wait;
        let Outlet { buffer, send } = outlet;
        let range = match target.credentials {
            Credentials::V1(community) | Credentials::V2c(community) => {
                let mut writer = Writer::new(buffer);
                let end = writer.mark();
                writer.raw(&pending.variables[..pending.len]);
                Pdu::close(&mut writer, end, PduKind::Inform, (pending.id, 0, 0));
                Message::close(&mut writer, end, Version::V2c, community.as_bytes());
                writer.start().map(|start| start..buffer.len())
            }
            #[cfg(feature = "v3")]
            Credentials::Remote(user) => {
                let salt = self.state.engine.as_ref().map_or(0, super::Engine::next_salt);
                pending.seal(user, now, salt, buffer)
            }
            #[cfg(feature = "v3")]
            Credentials::User(_) => None,
        };
        if let Some(message) = range.and_then(|range| buffer.get(range)) {
            send(target.address, message);
            self.state.counts.add(Counter::OutPackets);
        }
    }

    /// Does what is due: sends informs again, tells of links that went up or down, and of wrong communities and
    /// passwords. Returns when it wants to be called next, at the latest; links are looked at whenever it is.
    pub fn poll<'s>(&mut self, at: impl Into<At<'s>>, outlet: &mut Outlet<'_>) -> Option<Instant> {
        let at = at.into();
        if self.state.authentication_failed.replace(false) && self.state.authentication_traps.get() {
            self.notify_generic(GenericTrap::AuthenticationFailure, &[], at, outlet);
        }
        self.watch_links(at, outlet);
        for place in 0..self.notifier.informs.len() {
            let slot = &mut self.notifier.informs[place];
            match &mut slot.pending {
                Some(pending) if pending.again <= at.now && pending.left > 0 => {
                    pending.left -= 1;
                    self.send_inform(place, at.now, outlet);
                }
                Some(pending) if pending.again <= at.now => {
                    slot.finished = Some((pending.id, false));
                    slot.pending = None;
                }
                _ => {}
            }
        }
        self.notifier
            .informs
            .iter()
            .filter_map(|slot| slot.pending.as_ref())
            .map(|pending| pending.again)
            .min()
    }

    /// An inform that is over: its number, and whether it was answered. lwIP: `snmp_set_inform_callback`.
    pub fn take_inform_result(&mut self) -> Option<(i32, bool)> {
        self.notifier.informs.iter_mut().find_map(|slot| slot.finished.take())
    }

    /// Tells of interfaces that went up or down since the last time [RFC 2863 §4].
    fn watch_links(&mut self, at: At<'_>, outlet: &mut Outlet<'_>) {
        let Some(stack) = at.stack else { return };
        let mut links = 0;
        for place in 0..stack.netif_places().min(64) {
            let up = stack.netif_at(place).is_some_and(|view| view.up && view.link_up);
            links |= u64::from(up) << place;
        }
        let before = self.notifier.links.replace(links).unwrap_or(links);
        for place in (0..64).filter(|place| (links ^ before) >> place & 1 != 0) {
            let Some(view) = stack.netif_at(place) else { continue };
            self.state.note_link_change(place, at.now);
            let up = links >> place & 1 != 0;
            let event = if up { GenericTrap::LinkUp } else { GenericTrap::LinkDown };
            let index = u32::from(view.handle.index());
            let state = |up| Value::Integer(if up { 1 } else { 2 });
            let name = |column| [1, 3, 6, 1, 2, 1, 2, 2, 1, column, index];
            let names = [name(1), name(7), name(8)];
            let variables = [
                Binding::new(&names[0], Value::Integer(index.cast_signed())),
                Binding::new(&names[1], state(view.up)),
                Binding::new(&names[2], state(up)),
            ];
            self.notify_generic(event, &variables, at, outlet);
        }
    }

    /// The answer to an inform of version 2c; whether it was one.
    pub(super) fn inform_answered(&mut self, from: SocketAddr, message: &CommunityMessage<'_>) -> bool {
        let targets = self.notifier.targets;
        let is_it = |pending: &Pending| {
            let target = targets.get(pending.target);
            pending.id == message.pdu.request_id
                && target.is_some_and(|target| {
                    target.address == from
                        && matches!(target.credentials, Credentials::V2c(name) | Credentials::V1(name)
                            if name.as_bytes() == message.community)
                })
        };
        self.notifier.finish(is_it)
    }

    /// A message of version 3 from another engine: the answer to an inform, or a report about it. Whether it was one;
    /// the inform may be due to be sent again at once.
    #[cfg(feature = "v3")]
    pub(super) fn inform_answered_v3(
        &mut self,
        from: SocketAddr,
        header: &Header,
        security: &Security,
        message: &mut [u8],
        now: Instant,
    ) -> bool {
        let targets = self.notifier.targets;
        let waiting = |slot: &&mut InformSlot| {
            slot.pending.as_ref().is_some_and(|pending| {
                pending.id == header.id
                    && targets.get(pending.target).is_some_and(|target| target.address == from)
            })
        };
        let Some(slot) = self.notifier.informs.iter_mut().find(waiting) else { return false };
        let Some(pending) = &mut slot.pending else { return false };
        let credentials = targets.get(pending.target).map(|target| target.credentials);
        let Some(Credentials::Remote(user)) = credentials else { return false };
        let Some(engine) = message.get(security.engine.clone()).and_then(EngineId::new) else { return false };
        let level = header.level().unwrap_or(SecurityLevel::NoAuthNoPriv);
        let keys = user.keys(engine);
        if level >= SecurityLevel::AuthNoPriv {
            let signed = keys.auth.is_some_and(|key| security.is_signed(message, &key));
            if !signed {
                return false;
            }
        }
        let encrypted = level == SecurityLevel::AuthPriv;
        if encrypted && !keys.privacy.is_some_and(|key| security.decrypt(message, &key)) {
            return false;
        }
        let Ok(scoped) = security.scoped(message, encrypted) else { return false };
        match scoped.pdu.kind {
            PduKind::Response if level == keys.level() && scoped.pdu.request_id == pending.id => {
                slot.finished = Some((pending.id, true));
                slot.pending = None;
                true
            }
            // What another engine is called and how late it is there; each is told once, or somebody plays with us.
            PduKind::Report if pending.reports < 2 => {
                pending.reports += 1;
                let known = pending.peer.engine == Some(engine) && level == SecurityLevel::NoAuthNoPriv;
                if !known {
                    pending.peer =
                        Peer { engine: Some(engine), boots: security.boots, time: security.time, heard: now };
                    pending.again = now;
                    pending.left = pending.left.saturating_add(1);
                }
                true
            }
            _ => false,
        }
    }
}

impl InformSlot {
    fn is_free(&self) -> bool {
        self.pending.is_none() && self.finished.is_none()
    }
}

impl Notifier<'_> {
    fn take_id(&mut self) -> i32 {
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(1);
        id
    }

    fn finish(&mut self, is_it: impl Fn(&Pending) -> bool) -> bool {
        for slot in self.informs.iter_mut() {
            if let Some(pending) = slot.pending.as_ref().filter(|pending| is_it(pending)) {
                slot.finished = Some((pending.id, true));
                slot.pending = None;
                return true;
            }
        }
        false
    }
}

#[cfg(feature = "v3")]
impl RemoteUser<'_> {
    fn keys(&self, engine: EngineId) -> Keys {
        Keys {
            auth: self.auth.map(|key| key.auth(engine)),
            privacy: self.privacy.map(|(protocol, key)| key.privacy(protocol, engine)),
        }
    }
}

#[cfg(feature = "v3")]
impl Pending {
    /// The message for the engine that receives; as long as that is unknown, one that asks for it [RFC 3414 §4].
    fn seal(
        &self,
        user: &RemoteUser<'_>,
        now: Instant,
        salt: u64,
        buffer: &mut [u8],
    ) -> Option<core::ops::Range<usize>> {
        let end = buffer.len().checked_sub(8)?;
        let mut writer = Writer::new(&mut buffer[..end]);
        let mark = writer.mark();
        let engine = self.peer.engine;
        let id = engine.as_ref().map_or(&[][..], EngineId::as_bytes);
        if engine.is_some() {
            writer.raw(&self.variables[..self.len]);
        }
        Pdu::close(&mut writer, mark, PduKind::Inform, (self.id, 0, 0));
        writer.octets(&[]);
        writer.octets(id);
        writer.close(tag::SEQUENCE, mark);
        let start = writer.start()?;
        let keys = engine.map_or_else(Keys::default, |engine| user.keys(engine));
        let passed = now.since(self.peer.heard).as_secs();
        let sealing = Sealing {
            header: Header { id: self.id, max_size: 1472, flags: FLAG_REPORTABLE, model: 3 },
            engine: id,
            boots: self.peer.boots,
            time: if engine.is_some() { self.peer.time.saturating_add(passed as u32) } else { 0 },
            user: if engine.is_some() { user.name.as_bytes() } else { &[] },
            keys: &keys,
            salt,
        };
        sealing.close(buffer, start, end)
    }
}

/// The address that a trap of version 1 claims to be from: the first of the stack's.
fn own_address(at: At<'_>) -> Ipv4Addr {
    let Some(stack) = at.stack else { return Ipv4Addr::UNSPECIFIED };
    let addresses = (0..stack.address_places()).filter_map(|place| stack.address_at(place));
    let own = addresses.map(|view| view.address).find_map(|address| match address {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    });
    own.unwrap_or(Ipv4Addr::UNSPECIFIED)
}

/// Puts in front: the time, the event, and what it is about.
fn write_variables(writer: &mut Writer<'_>, event: &[u32], variables: &[Binding<'_>], uptime: u32) {
    for variable in variables.iter().rev() {
        variable.write(writer);
    }
    Binding::new(TRAP_OID, Value::Oid(OidRef::new(event))).write(writer);
    Binding::new(SYS_UPTIME, Value::TimeTicks(uptime)).write(writer);
}

/// Puts in front a trap of version 1 that means the same [RFC 3584 §3.2].
fn write_v1(
    writer: &mut Writer<'_>,
    event: &[u32],
    variables: &[Binding<'_>],
    (uptime, from): (u32, Ipv4Addr),
    own: &[u32],
) {
    let end = writer.mark();
    for variable in variables.iter().rev().filter(|variable| variable.value.tag() != tag::COUNTER64) {
        variable.write(writer);
    }
    writer.close(tag::SEQUENCE, end);
    let last = event.last().copied().unwrap_or(0);
    let generic = event.strip_prefix(&TRAPS[..]).filter(|rest| rest.len() == 1 && (1..=5).contains(&last));
    let (generic, specific, enterprise) = match (generic, event) {
        (Some(_), _) => (last - 1, 0, own),
        (None, [enterprise @ .., 0, _] | [enterprise @ .., _]) => {
            (GenericTrap::EnterpriseSpecific as u32, last, enterprise)
        }
        (None, []) => (GenericTrap::EnterpriseSpecific as u32, 0, own),
    };
    writer.unsigned(tag::TIME_TICKS, u64::from(uptime));
    writer.integer(specific.cast_signed());
    writer.integer(generic.cast_signed());
    writer.element(tag::IP_ADDRESS, &from.octets());
    writer.oid(enterprise);
    writer.close(TRAP_V1, end);
}
