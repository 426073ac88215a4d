//! The responder: who we are and what we offer, told to everybody on a link who asks [RFC 6762, RFC 6763].
//!
//! One responder is for one interface. It knows no sockets: it is told what came, and says what is to be sent.

mod records;

use core::net::IpAddr;
use core::time::Duration;

use coracle_buf::{Arena, Error, Table};
use coracle_wire::dns::{MAX_LABEL, MDNS_PORT, Message, NameBuf};

use crate::random::Random;
use crate::time::Instant;
use records::Wanted;

/// The most services that one host offers on a link.
pub(crate) const MAX_SERVICES: usize = 8;
/// Bytes of a service's texts.
pub(crate) const MAX_TEXTS: usize = 128;
/// [RFC 6762 §8.1] three questions, a quarter of a second apart, before a name is ours.
const PROBES: u8 = 3;
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// [RFC 6762 §8.3] two announcements, a second apart.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);
/// [RFC 6762 §8.1] after so many conflicts, with less than ten seconds between them, each try waits for five.
const MANY_CONFLICTS: u8 = 15;
const CONFLICT_WINDOW: Duration = Duration::from_secs(10);
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);

/// A label of a name, such as a host's or a service's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    len: u8,
    bytes: [u8; MAX_LABEL],
}

impl Label {
    /// [`Error::Argument`] when it is empty or longer than 63 bytes.
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        let mut label = Self { len: text.len() as u8, bytes: [0; MAX_LABEL] };
        let place =
            label.bytes.get_mut(..text.len()).filter(|place| !place.is_empty()).ok_or(Error::Argument)?;
        place.copy_from_slice(text.as_bytes());
        Ok(label)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The next name to try when somebody else has this one: `boat`, `boat-2`, `boat-3` [RFC 6762 §9].
    fn rename(&mut self) {
        let bytes = self.bytes();
        let digits = bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count().min(5);
        let stem = bytes.len() - digits;
        let (mut stem, number) = match bytes[..stem].split_last() {
            Some((b'-', name)) if digits > 0 && !name.is_empty() => {
                let number =
                    bytes[stem..].iter().fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
                (name.len(), number + 1)
            }
            _ => (bytes.len(), 2),
        };
        let mut text = [0; 8];
        let mut at = text.len();
        let mut left = number;
        while left > 0 {
            at -= 1;
            text[at] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        at -= 1;
        text[at] = b'-';
        let suffix = &text[at..];
        stem = stem.min(MAX_LABEL - suffix.len());
        self.bytes[stem..stem + suffix.len()].copy_from_slice(suffix);
        self.len = (stem + suffix.len()) as u8;
    }
}

/// Something that we offer.
pub(crate) struct Service {
    /// What this instance is called, such as `Boat's web page`.
    instance: Label,
    /// What it is: `_http._tcp.local`.
    kind: NameBuf,
    port: u16,
    texts: [u8; MAX_TEXTS],
    texts_len: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    /// So many probes were sent; the next one, or the first announcement, is due then.
    Probing(u8, Instant),
    Announcing(u8, Instant),
    Ours,
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Everybody,
    One(IpAddr, u16),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The names are ours. lwIP: `MDNS_PROBING_SUCCESSFUL`.
    Ours,
    /// Somebody has a name, and ours was changed. lwIP: `MDNS_PROBING_CONFLICT`.
    Renamed,
}

/// An answer to one asker alone.
struct Reply {
    to: IpAddr,
    port: u16,
    id: u16,
    /// The question, which a resolver that speaks plain DNS wants to see again.
    question: Option<(NameBuf, u16)>,
    wanted: Wanted,
}

/// The responder of one interface.
pub(crate) struct Responder {
    host: Label,
    services: Table<Option<Service>>,
    state: State,
    event: Option<Event>,
    /// Answers for everybody, and when they leave.
    pending: Wanted,
    pending_at: Option<Instant>,
    reply: Option<Reply>,
    /// When everything was told last, so that nothing is told more than once a second [RFC 6762 §6].
    told: [Option<Instant>; MAX_SERVICES + 1],
    /// A service that is to be taken back before its place is free.
    goodbye: Wanted,
    conflicts: u8,
    last_conflict: Instant,
}

impl Responder {
    /// A responder for so many services, which is off.
    pub(crate) fn new(arena: &mut Arena, services: usize) -> Result<Self, Error> {
        Ok(Self {
            host: Label::new("coracle")?,
            services: arena.table(services.min(MAX_SERVICES), |_| None)?,
            state: State::Off,
            event: None,
            pending: Wanted::NONE,
            pending_at: None,
            reply: None,
            told: [None; MAX_SERVICES + 1],
            goodbye: Wanted::NONE,
            conflicts: 0,
            last_conflict: Instant::ZERO,
        })
    }

    /// Begins to claim a name. lwIP: `mdns_resp_add_netif`, `mdns_resp_rename_netif`.
    pub(crate) fn start(&mut self, host: Label, now: Instant, random: &mut Random) {
        self.host = host;
        self.probe(now, random);
    }

    /// Claims everything anew, as after a link was down or an address changed. lwIP: `mdns_resp_restart`.
    pub(crate) fn restart(&mut self, now: Instant, random: &mut Random) {
        if self.state != State::Off {
            self.probe(now, random);
        }
    }

    /// Says goodbye: the records are taken back [RFC 6762 §10.1]. lwIP: `mdns_resp_remove_netif`.
    pub(crate) fn stop(&mut self) {
        if matches!(self.state, State::Ours | State::Announcing(..)) {
            self.goodbye = self.everything();
        }
        self.state = State::Off;
        self.pending = Wanted::NONE;
        self.pending_at = None;
        self.reply = None;
    }

    /// The host's name as it is now.
    pub(crate) fn host(&self) -> &[u8] {
        self.host.bytes()
    }

    /// Offers a service of a kind such as `_http._tcp`. lwIP: `mdns_resp_add_service`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for what is no kind, or texts of wrong lengths; [`Error::Memory`] when there are too many.
    pub(crate) fn add_service(
        &mut self,
        instance: Label,
        kind: &str,
        port: u16,
        texts: &[&str],
        now: Instant,
        random: &mut Random,
    ) -> Result<usize, Error> {
        let mut name = NameBuf::from_text(kind).map_err(|_| Error::Argument)?;
        name.push(b"local").map_err(|_| Error::Argument)?;
        let mut service = Service { instance, kind: name, port, texts: [0; MAX_TEXTS], texts_len: 0 };
        for text in texts {
            let at = usize::from(service.texts_len);
            let len = u8::try_from(text.len()).map_err(|_| Error::Argument)?;
            let place = service.texts.get_mut(at..=at + text.len()).ok_or(Error::Argument)?;
            place[0] = len;
            place[1..].copy_from_slice(text.as_bytes());
            service.texts_len += 1 + len;
        }
        service.name().ok_or(Error::Argument)?;
        let slot = self.services.iter().position(Option::is_none).ok_or(Error::Memory)?;
        self.services[slot] = Some(service);
        self.told[slot + 1] = None;
        self.restart(now, random);
        Ok(slot)
    }

    /// Takes a service back, with a goodbye that is still to be sent. lwIP: `mdns_resp_del_service`.
    pub(crate) fn remove_service(&mut self, slot: usize) -> Result<(), Error> {
        let there = self.services.get(slot).is_some_and(Option::is_some);
        if !there {
            return Err(Error::Closed);
        }
        if matches!(self.state, State::Ours | State::Announcing(..)) {
            self.goodbye.services[slot] = Wanted::SERVICE;
        } else {
            self.services[slot] = None;
        }
        Ok(())
    }

    pub(crate) fn take_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    fn probe(&mut self, now: Instant, random: &mut Random) {
        // [RFC 6762 §8.1] Many devices may be switched on at once.
        let delay = Duration::from_millis(random.below(250).into());
        self.state = State::Probing(0, now + delay);
        self.pending = Wanted::NONE;
        self.pending_at = None;
    }

    /// When [`next_message`](Self::next_message) has something to send.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.reply.is_some() || !self.goodbye.is_nothing() {
            return Some(Instant::ZERO);
        }
        let state = match self.state {
            State::Probing(_, at) | State::Announcing(_, at) => Some(at),
            State::Off | State::Ours => None,
        };
        state.into_iter().chain(self.pending_at).min()
    }

    /// Writes what is to be sent now; to be called until there is nothing.
    pub(crate) fn next_message(
        &mut self,
        addresses: &[IpAddr],
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(To, usize)> {
        if !self.goodbye.is_nothing() {
            let gone = core::mem::replace(&mut self.goodbye, Wanted::NONE);
            let len = self.write_answers(buffer, &gone, addresses, true);
            for (slot, _) in gone.services.iter().enumerate().filter(|(_, records)| **records != 0) {
                if self.state != State::Off {
                    self.services[slot] = None;
                }
            }
            return Some((To::Everybody, len));
        }
        if let Some(reply) = self.reply.take() {
            let len = self.write_reply(buffer, &reply, addresses);
            return Some((To::One(reply.to, reply.port), len));
        }
        match self.state {
            State::Probing(PROBES, at) if at <= now => {
                self.state = State::Announcing(0, now);
                self.event = Some(Event::Ours);
                self.conflicts = 0;
                self.next_message(addresses, now, buffer)
            }
            State::Probing(sent, at) if at <= now => {
                self.state = State::Probing(sent + 1, now + PROBE_INTERVAL);
                Some((To::Everybody, self.write_probe(buffer, addresses)))
            }
            State::Announcing(sent, at) if at <= now => {
                let sent = sent + 1;
                self.state = if sent < ANNOUNCEMENTS {
                    State::Announcing(sent, now + ANNOUNCE_INTERVAL)
                } else {
                    State::Ours
                };
                let all = self.everything();
                self.note_told(&all, now);
                Some((To::Everybody, self.write_answers(buffer, &all, addresses, false)))
            }
            _ if self.pending_at.is_some_and(|at| at <= now) => {
                self.pending_at = None;
                let pending = core::mem::replace(&mut self.pending, Wanted::NONE);
                self.note_told(&pending, now);
                Some((To::Everybody, self.write_answers(buffer, &pending, addresses, false)))
            }
            _ => None,
        }
    }

    fn note_told(&mut self, told: &Wanted, now: Instant) {
        if told.host != 0 {
            self.told[0] = Some(now);
        }
        for (slot, _) in told.services.iter().enumerate().filter(|(_, records)| **records != 0) {
            self.told[slot + 1] = Some(now);
        }
    }

    /// Takes a message that came to port 5353 from somebody on the link.
    pub(crate) fn input(
        &mut self,
        from: (IpAddr, u16),
        bytes: &[u8],
        addresses: &[IpAddr],
        now: Instant,
        random: &mut Random,
    ) {
        let Ok(message) = Message::read(bytes) else { return };
        let flags = message.header.flags();
        // [RFC 6762 §18.3, §18.11] Other operations and results are passed over.
        if flags.opcode() != 0 || flags.rcode() != 0 || self.state == State::Off {
            return;
        }
        if !flags.contains(coracle_wire::dns::DnsFlags::RESPONSE) {
            return self.take_query(from, &message, addresses, now, random);
        }
        // [RFC 6762 §11] Whoever answers does so from that port.
        if from.1 == MDNS_PORT && self.contradicts(&message, addresses) {
            self.conflict(now, random);
        }
    }

    fn take_query(
        &mut self,
        from: (IpAddr, u16),
        message: &Message<'_>,
        addresses: &[IpAddr],
        now: Instant,
        random: &mut Random,
    ) {
        if let State::Probing(..) = self.state {
            // [RFC 6762 §8.2] Two ask for one name: the greater data win, the other waits for a second.
            if self.loses_to(message, addresses) {
                self.state = State::Probing(0, now + Duration::from_secs(1));
            }
            return;
        }
        let (mut wanted, alone) = self.wanted_by(message, addresses);
        self.suppress_known(&mut wanted, message, addresses);
        if wanted.is_nothing() {
            return;
        }
        let legacy = from.1 != MDNS_PORT;
        if legacy || alone {
            let question = message.question().and_then(Result::ok).filter(|_| legacy);
            let question = question.map(|question| (NameBuf::new(question.name), question.kind));
            let id = if legacy { message.header.id() } else { 0 };
            self.reply = Some(Reply { to: from.0, port: from.1, id, question, wanted });
            return;
        }
        self.answer_everybody(&wanted, message, now, random);
    }

    /// Answers are collected for a little while, and sent once a second at the most [RFC 6762 §6, §6.4].
    fn answer_everybody(
        &mut self,
        wanted: &Wanted,
        message: &Message<'_>,
        now: Instant,
        random: &mut Random,
    ) {
        let more_to_come = message.header.flags().contains(coracle_wire::dns::DnsFlags::TRUNCATED);
        let wait = if more_to_come {
            400 + random.below(100)
        } else if wanted.is_shared() {
            20 + random.below(100)
        } else {
            0
        };
        let mut at = now + Duration::from_millis(wait.into());
        let places = core::iter::once(wanted.host).chain(wanted.services);
        for (records, told) in places.zip(self.told) {
            if let Some(told) = told.filter(|_| records != 0) {
                at = at.max(told + Duration::from_secs(1));
            }
        }
        self.pending.add(wanted);
        self.pending_at = Some(self.pending_at.map_or(at, |before| before.min(at)));
    }

    /// Somebody else has one of our names [RFC 6762 §9].
    fn conflict(&mut self, now: Instant, random: &mut Random) {
        if now.since(self.last_conflict) > CONFLICT_WINDOW {
            self.conflicts = 0;
        }
        self.last_conflict = now;
        self.conflicts = self.conflicts.saturating_add(1);
        if let State::Probing(..) = self.state {
            self.event = Some(Event::Renamed);
        }
        self.probe(now, random);
        if self.conflicts >= MANY_CONFLICTS {
            self.state = State::Probing(0, now + CONFLICT_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests;
