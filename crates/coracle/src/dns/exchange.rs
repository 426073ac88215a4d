//! One question at the servers, until one of them answers.

use core::time::Duration;

use coracle_wire::dns::{
    DnsFlags, Message, Name, NameBuf, PORT, Question, Section, Writer, class, kind, rcode,
};
use coracle_wire::{Malformed, dns};

use super::answer::{self, Answer, MAX_ALIASES, Says};
use super::cache::Fact;
use super::servers::ServerAddress;
use super::{DnsConfig, DnsError, Resolver};
use crate::random::Random;
use crate::time::Instant;

/// Messages that are no answer before the question goes where none can be forged [5452-5].
const MAX_MISMATCHES: u8 = 10;
/// How often everybody on the link is asked.
const LINK_ROUNDS: u8 = 3;
/// A connection takes its time: so many times that of a datagram.
const TCP_PATIENCE: u32 = 4;

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    /// To everybody on the link.
    Multicast,
}

/// What the owner of the sockets is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send so many bytes of the buffer, for this exchange, from a port that was not used before. What else was open
    /// for the exchange is closed.
    Send {
        exchange: usize,
        transport: Transport,
        /// Nobody, when everybody on the link is meant.
        to: Option<ServerAddress>,
        len: usize,
    },
    /// Close what is open for the exchange.
    Close { exchange: usize },
}

/// Who sent a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) address: ServerAddress,
    pub(crate) port: u16,
    /// It is on the link: its packet was not forwarded.
    pub(crate) on_link: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Choose the next server, and send.
    Choose,
    /// Send it once more.
    Send,
    Waiting(Instant),
    /// All servers said that they cannot: they get a little time.
    Pause(Instant),
    /// Nobody waits any more.
    Over,
}

pub(super) struct Exchange {
    /// What is asked about, written as it was sent.
    name: NameBuf,
    kind: u16,
    /// Aliases followed so far.
    aliases: u8,
    transport: Transport,
    state: State,
    server: Option<ServerAddress>,
    /// A bit for each server that was asked in this round.
    tried: u32,
    round: u8,
    id: u16,
    /// The question carries an OPT record.
    extended: bool,
    /// The answer must repeat the case of the name.
    exact: bool,
    mismatches: u8,
    /// It was not time that ran out.
    failed_at_once: bool,
    /// What became of it, should no server know.
    failure: DnsError,
}

impl Exchange {
    pub(super) fn new(name: NameBuf, kind: u16, on_link: bool) -> Self {
        Self {
            name,
            kind,
            aliases: 0,
            transport: if on_link { Transport::Multicast } else { Transport::Udp },
            state: if on_link { State::Send } else { State::Choose },
            server: None,
            tried: 0,
            round: 0,
            id: 0,
            extended: false,
            exact: false,
            mismatches: 0,
            failed_at_once: false,
            failure: DnsError::Timeout,
        }
    }

    pub(super) fn asks(&self, name: Name<'_>, kind: u16, on_link: bool) -> bool {
        self.state != State::Over
            && self.kind == kind
            && on_link == (self.transport == Transport::Multicast)
            && self.name.name() == name
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if let State::Waiting(deadline) | State::Pause(deadline) = self.state { Some(deadline) } else { None }
    }

    pub(super) fn close(&mut self) {
        self.state = State::Over;
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub(super) fn forget_tried(&mut self) {
        self.tried = 0;
    }

    /// Writes the question into a buffer, and waits for the answer.
    fn write(
        &mut self,
        config: &DnsConfig,
        folds_case: bool,
        now: Instant,
        random: &mut Random,
        buffer: &mut [u8],
    ) -> Result<usize, Malformed> {
        self.id = random.next_u64() as u16;
        self.mismatches = 0;
        let random_case = config.random_case && !folds_case && self.transport != Transport::Multicast;
        self.exact = random_case && self.transport == Transport::Udp;
        if random_case {
            randomise_case(&mut self.name, random);
        } else if self.transport != Transport::Multicast {
            self.name.rewrite_letters(|letter| letter.to_ascii_lowercase());
        }
        let mut time = config.timeout * (1 << self.round.min(8));
        let mut flags = DnsFlags::RECURSION_DESIRED;
        match self.transport {
            Transport::Udp => {}
            Transport::Tcp => time *= TCP_PATIENCE,
            Transport::Multicast => flags = DnsFlags::QUERY,
        }
        self.state = State::Waiting(now + time);
        let mut writer = Writer::new(buffer, self.id, flags)?;
        writer.question(self.name.name(), self.kind, class::IN)?;
        if self.extended {
            writer.opt(config.payload)?;
        }
        Ok(writer.finish())
    }

    /// Whether a message is from whom was asked, about what was asked [5452-1].
    fn judge(&self, sender: Sender, message: &Message<'_>) -> Match {
        let from_whom_was_asked = match self.transport {
            Transport::Multicast => sender.on_link && sender.port == dns::MDNS_PORT,
            _ => Some(sender.address) == self.server && sender.port == PORT,
        };
        let header = message.header;
        let flags = header.flags();
        if !from_whom_was_asked
            || header.id() != self.id
            || !flags.contains(DnsFlags::RESPONSE)
            || flags.opcode() != 0
        {
            return Match::No;
        }
        match message.question() {
            Some(Ok(question)) if self.is_mine(&question) => {
                if self.exact && !question.name.same_case(&self.name.name()) {
                    Match::OtherCase
                } else {
                    Match::Yes
                }
            }
            // A server that understood nothing need not repeat anything.
            None if header.questions() == 0
                && (self.transport == Transport::Multicast
                    || self.extended && flags.rcode() == rcode::FORMAT_ERROR) =>
            {
                Match::Yes
            }
            _ => Match::No,
        }
    }

    fn is_mine(&self, question: &Question<'_>) -> bool {
        question.kind == self.kind && question.class == class::IN && question.name == self.name.name()
    }
}

/// Whether a message is an answer.
#[derive(PartialEq, Eq)]
enum Match {
    Yes,
    /// But the name has letters in another case than the question.
    OtherCase,
    No,
}

/// Who is asked next.
enum Choice {
    Server,
    /// Nobody yet.
    Pause,
    Nobody,
}

/// What follows from a message.
enum Verdict {
    Ignore,
    /// The same server again, over TCP.
    Tcp,
    /// The same server again, without an OPT record.
    Plain,
    NextServer,
    Answer(Answer),
}

/// Writes each letter of a name large or small.
fn randomise_case(name: &mut NameBuf, random: &mut Random) {
    let (mut bits, mut left) = (0, 0);
    name.rewrite_letters(|letter| {
        if left == 0 {
            (bits, left) = (random.next_u64(), 64);
        }
        let upper = bits & 1 != 0;
        (bits, left) = (bits >> 1, left - 1);
        if upper { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    });
}

impl Resolver {
    /// What is to be done next; it writes a message into `buffer`, which has room for 300 bytes. To be called until there
    /// is nothing to do, after everything else.
    pub(crate) fn next_action(
        &mut self,
        now: Instant,
        random: &mut Random,
        buffer: &mut [u8],
    ) -> Option<Action> {
        let mut position = 0;
        while position < self.exchanges.len() {
            match self.exchanges[position].as_ref().map(|exchange| exchange.state) {
                None | Some(State::Waiting(_) | State::Pause(_)) => position += 1,
                Some(State::Over) => {
                    self.exchanges[position] = None;
                    return Some(Action::Close { exchange: position });
                }
                Some(State::Send) => return self.send(position, now, random, buffer),
                Some(State::Choose) => match self.choose(position, now) {
                    Choice::Server => return self.send(position, now, random, buffer),
                    Choice::Pause => {}
                    // The queries that waited may have begun others, anywhere.
                    Choice::Nobody => position = 0,
                },
            }
        }
        None
    }

    /// Chooses the next server of an exchange; without one, the exchange is over.
    fn choose(&mut self, position: usize, now: Instant) -> Choice {
        let Some(exchange) = &mut self.exchanges[position] else { return Choice::Nobody };
        let mut choice = self.servers.choose(exchange.tried, now);
        if choice.is_none() && exchange.tried != 0 {
            exchange.tried = 0;
            exchange.round += 1;
            // Servers that answer, but do not know, will hardly know later.
            let rounds = if exchange.failure == DnsError::Timeout { self.config.rounds } else { 2 };
            if exchange.round < rounds {
                if exchange.failed_at_once {
                    exchange.state = State::Pause(now + self.config.timeout);
                    return Choice::Pause;
                }
                choice = self.servers.choose(0, now);
            }
        }
        if let Some((server, bit)) = choice {
            exchange.server = Some(server);
            exchange.tried |= bit;
            exchange.transport = Transport::Udp;
            return Choice::Server;
        }
        let failure = if self.servers.is_empty() { DnsError::NoServer } else { exchange.failure };
        let kind = exchange.kind;
        self.complete(position, kind, Err(failure), now);
        Choice::Nobody
    }

    fn send(
        &mut self,
        position: usize,
        now: Instant,
        random: &mut Random,
        buffer: &mut [u8],
    ) -> Option<Action> {
        let exchange = self.exchanges[position].as_mut()?;
        let server = exchange.server.and_then(|address| self.servers.get_mut(address).copied());
        exchange.extended = exchange.transport != Transport::Multicast
            && self.config.payload > 0
            && server.is_none_or(|server| !server.plain);
        let folds_case = server.is_some_and(|server| server.folds_case);
        let Ok(len) = exchange.write(&self.config, folds_case, now, random, buffer) else {
            debug_assert!(false, "there is room for a question");
            return None;
        };
        let count = match exchange.transport {
            Transport::Udp => &mut self.counters.sent,
            Transport::Tcp => &mut self.counters.tcp,
            Transport::Multicast => &mut self.counters.multicast,
        };
        *count = count.wrapping_add(1);
        Some(Action::Send { exchange: position, transport: exchange.transport, to: exchange.server, len })
    }

    /// What is due by now is late.
    pub(crate) fn advance(&mut self, now: Instant) {
        for position in 0..self.exchanges.len() {
            let Some(exchange) = &mut self.exchanges[position] else { continue };
            match exchange.state {
                State::Waiting(deadline) if deadline <= now => {
                    self.counters.timeouts = self.counters.timeouts.wrapping_add(1);
                    exchange.failed_at_once = false;
                    self.give_up(position, now);
                }
                State::Pause(deadline) if deadline <= now => exchange.state = State::Choose,
                _ => {}
            }
        }
        self.end_patience(now);
    }

    /// A question could not be sent, its connection failed, or its server's host says that there is none.
    pub(crate) fn failed(&mut self, exchange: usize, now: Instant) {
        let Some(Some(one)) = self.exchanges.get_mut(exchange) else { return };
        if let State::Waiting(_) = one.state {
            one.failed_at_once = true;
            self.give_up(exchange, now);
        }
    }

    fn give_up(&mut self, position: usize, now: Instant) {
        let Some(exchange) = &mut self.exchanges[position] else { return };
        if exchange.transport != Transport::Multicast {
            if let Some(server) = exchange.server {
                self.servers.failed(server, now);
            }
            exchange.state = State::Choose;
            return;
        }
        exchange.round += 1;
        if exchange.round < LINK_ROUNDS {
            exchange.state = State::Send;
            return;
        }
        let kind = exchange.kind;
        self.complete(position, kind, Err(DnsError::NoName), now);
    }

    /// Takes a message that came for an exchange.
    pub(crate) fn input(
        &mut self,
        exchange: usize,
        transport: Transport,
        sender: Sender,
        bytes: &[u8],
        now: Instant,
    ) {
        let Some(one) = self.exchanges.get(exchange).and_then(Option::as_ref) else { return };
        if one.transport != transport || !matches!(one.state, State::Waiting(_)) {
            return;
        }
        let Ok(message) = Message::read(bytes) else {
            self.counters.malformed = self.counters.malformed.wrapping_add(1);
            return;
        };
        let verdict = self.verdict(exchange, sender, &message);
        let Some(one) = &mut self.exchanges[exchange] else { return };
        match verdict {
            Verdict::Ignore => {}
            Verdict::Tcp => {
                one.transport = Transport::Tcp;
                one.state = State::Send;
            }
            Verdict::Plain => {
                if let Some(server) = one.server.and_then(|address| self.servers.get_mut(address)) {
                    server.plain = true;
                }
                one.state = State::Send;
            }
            Verdict::NextServer => {
                one.failure = DnsError::Server;
                one.failed_at_once = true;
                one.state = State::Choose;
            }
            Verdict::Answer(answer) => {
                if let Some(server) = one.server {
                    self.servers.answered(server);
                }
                self.counters.answers = self.counters.answers.wrapping_add(1);
                self.take_answer(exchange, &answer, now);
            }
        }
    }

    fn verdict(&mut self, position: usize, sender: Sender, message: &Message<'_>) -> Verdict {
        let Some(exchange) = &mut self.exchanges[position] else { return Verdict::Ignore };
        match exchange.judge(sender, message) {
            Match::Yes => {}
            // Perhaps a forger, perhaps a server that does not know better. Over TCP that makes no difference.
            Match::OtherCase => {
                self.counters.mismatches = self.counters.mismatches.wrapping_add(1);
                return Verdict::Tcp;
            }
            Match::No => {
                self.counters.mismatches = self.counters.mismatches.wrapping_add(1);
                exchange.mismatches = exchange.mismatches.saturating_add(1);
                let suspicious =
                    exchange.mismatches >= MAX_MISMATCHES && exchange.transport == Transport::Udp;
                return if suspicious { Verdict::Tcp } else { Verdict::Ignore };
            }
        }
        if exchange.transport == Transport::Multicast {
            return self.link_verdict(position, message);
        }
        if exchange.transport == Transport::Tcp
            && let Some(Ok(question)) = message.question()
            && !question.name.same_case(&exchange.name.name())
            && let Some(server) = exchange.server.and_then(|address| self.servers.get_mut(address))
        {
            server.folds_case = true;
        }
        let flags = message.header.flags();
        match flags.rcode() {
            rcode::NO_ERROR | rcode::NAME_ERROR => {}
            rcode::FORMAT_ERROR | rcode::NOT_IMPLEMENTED if exchange.extended => return Verdict::Plain,
            _ => return Verdict::NextServer,
        }
        if exchange.extended && is_bad_version(message) {
            return Verdict::Plain;
        }
        if flags.contains(DnsFlags::TRUNCATED) && exchange.transport == Transport::Udp {
            return Verdict::Tcp;
        }
        self.read(position, message).unwrap_or(Verdict::NextServer)
    }

    /// Of what comes from the link, only records of the name are of use, or its owner's word that there are none
    /// [RFC 6762 §6.1].
    fn link_verdict(&mut self, position: usize, message: &Message<'_>) -> Verdict {
        let Some(exchange) = &self.exchanges[position] else { return Verdict::Ignore };
        let denied = message.records().map_while(Result::ok).any(|record| {
            record.name == exchange.name.name()
                && record.section != Section::Authority
                && record.nsec().is_ok_and(|nsec| nsec.next == record.name && !nsec.has(exchange.kind))
        });
        match self.read(position, message) {
            Some(Verdict::Answer(answer)) if matches!(answer.says, Says::Records(_)) => {
                Verdict::Answer(answer)
            }
            Some(_) if denied => Verdict::Answer(Answer { says: Says::NoData, lifetime: None, aliases: 0 }),
            _ => Verdict::Ignore,
        }
    }

    fn read(&mut self, position: usize, message: &Message<'_>) -> Option<Verdict> {
        // Nobody may rely any more on what was there before.
        self.answers = self.answers.wrapping_add(1);
        self.records_len = 0;
        let exchange = self.exchanges[position].as_ref()?;
        match answer::read(
            message,
            exchange.name.name(),
            exchange.kind,
            &mut self.records,
            &mut self.last_name,
        ) {
            Ok(Answer { says: Says::NotResponsible, .. }) => Some(Verdict::NextServer),
            Ok(answer) => Some(Verdict::Answer(answer)),
            Err(_) => {
                self.counters.malformed = self.counters.malformed.wrapping_add(1);
                None
            }
        }
    }

    fn take_answer(&mut self, position: usize, answer: &Answer, now: Instant) {
        let Some(exchange) = &mut self.exchanges[position] else { return };
        let kind = exchange.kind;
        exchange.aliases = exchange.aliases.saturating_add(answer.aliases);
        let (fact, result, most) = match answer.says {
            Says::Records(len) => {
                self.records_len = len;
                (Some(Fact::Records(&self.records[..len])), Ok(()), self.config.longest_life)
            }
            Says::Alias => return self.follow(position, answer.lifetime, now),
            Says::NoData => (Some(Fact::NoData), Err(DnsError::NoData), self.config.longest_negative_life),
            Says::NoName => (Some(Fact::NoName), Err(DnsError::NoName), self.config.longest_negative_life),
            Says::TooManyAliases | Says::NotResponsible => (None, Err(DnsError::Server), Duration::ZERO),
        };
        if let (Some(fact), Some(seconds)) = (fact, answer.lifetime) {
            let expires = now + answer::lifetime(seconds, most);
            self.cache.learn(exchange.name.name(), kind, fact, expires, now);
        }
        self.complete(position, kind, result, now);
    }

    /// The name is another for one that must be asked about by itself, the last one of the answer.
    fn follow(&mut self, position: usize, lifetime: Option<u32>, now: Instant) {
        let Some(exchange) = &mut self.exchanges[position] else { return };
        let kind = exchange.kind;
        if exchange.aliases > MAX_ALIASES {
            return self.complete(position, kind, Err(DnsError::Server), now);
        }
        let mut data = [0; 2 + dns::MAX_NAME];
        let target = self.last_name.wire();
        let len = target.len();
        data[1] = len as u8;
        data[2..2 + len].copy_from_slice(target);
        let expires = now + answer::lifetime(lifetime.unwrap_or(0), self.config.longest_life);
        self.cache.learn(exchange.name.name(), kind::CNAME, Fact::Records(&data[..2 + len]), expires, now);
        exchange.state = State::Over;
        let same = |place: &Option<Exchange>| {
            place.as_ref().is_some_and(|other| other.asks(self.last_name.name(), kind, false))
        };
        if let Some(other) = self.exchanges.iter().position(same) {
            self.move_waiting(position, other);
        } else if let Some(exchange) = &mut self.exchanges[position] {
            exchange.name.clone_from(&self.last_name);
            exchange.tried = 0;
            exchange.state = State::Choose;
        }
    }
}

/// Whether a server does not know our version of OPT records [RFC 6891 §6.1.3].
fn is_bad_version(message: &Message<'_>) -> bool {
    let upper = |record: dns::Record<'_>| record.opt().map_or(0, |(upper, _)| upper);
    message.records().map_while(Result::ok).any(|record| record.kind == kind::OPT && upper(record) != 0)
}
