//! A network in virtual time: the resolver on one side, servers that are functions on the other.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use coracle_wire::dns::{DnsFlags, Message, Writer, class};

use super::*;
use crate::table::Key;

/// A question that left.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) socket: u32,
    pub(super) exchange: usize,
    pub(super) transport: Transport,
    pub(super) to: Option<ServerAddress>,
    pub(super) bytes: Vec<u8>,
}

impl Sent {
    pub(super) fn id(&self) -> u16 {
        Message::read(&self.bytes).unwrap().header.id()
    }

    /// The name asked about, as it was written, and the kind.
    pub(super) fn question(&self) -> (String, u16) {
        let message = Message::read(&self.bytes).unwrap();
        let question = message.question().unwrap().unwrap();
        (question.name.to_string(), question.kind)
    }

    /// The name asked about in small letters.
    pub(super) fn name(&self) -> String {
        self.question().0.to_lowercase()
    }

    /// How many bytes the asker can receive, if it said so.
    pub(super) fn payload(&self) -> Option<u16> {
        Message::read(&self.bytes).unwrap().records().next().map(|record| record.unwrap().class)
    }

    /// The number of the server asked.
    pub(super) fn server(&self) -> u8 {
        match self.to.unwrap().ip {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => 0,
        }
    }
}

/// A message on its way to us.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) after: Duration,
    pub(super) sender: Sender,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn server(number: u8) -> ServerAddress {
    ServerAddress { ip: IpAddr::from([192, 0, 2, number]), scope: 0 }
}

pub(super) fn name(text: &str) -> NameBuf {
    NameBuf::from_text(text).unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Data of a record, and its owner.
pub(super) type Rr = (&'static str, u16, u32, Vec<u8>);

/// The record of an address.
pub(super) fn address(owner: &'static str, ttl: u32, text: &str) -> Rr {
    match ip(text) {
        IpAddr::V4(address) => (owner, kind::A, ttl, address.octets().to_vec()),
        IpAddr::V6(address) => (owner, kind::AAAA, ttl, address.octets().to_vec()),
    }
}

pub(super) fn alias(owner: &'static str, ttl: u32, target: &str) -> Rr {
    (owner, kind::CNAME, ttl, name(target).wire().to_vec())
}

pub(super) fn soa(owner: &'static str, ttl: u32, minimum: u32) -> Rr {
    let mut data = b"\x01s\x00\x01m\x00".to_vec();
    data.extend([1, 2, 3, 4, minimum].iter().flat_map(|number| number.to_be_bytes()));
    (owner, kind::SOA, ttl, data)
}

/// An answer to a question, which it repeats letter by letter.
pub(super) fn answer_bytes(sent: &Sent, rcode: u8, flags: u16, answers: &[Rr], authority: &[Rr]) -> Vec<u8> {
    let message = Message::read(&sent.bytes).unwrap();
    let question = message.question().unwrap().unwrap();
    let mut buffer = [0; 4096];
    let flags = DnsFlags(0x8180 | flags | u16::from(rcode));
    let mut writer = Writer::new(&mut buffer, message.header.id(), flags).unwrap();
    writer.question(question.name, question.kind, question.class).unwrap();
    for (section, list) in [(Section::Answer, answers), (Section::Authority, authority)] {
        for (owner, kind, ttl, data) in list {
            let write = |out: &mut coracle_wire::dns::DataWriter<'_, '_>| out.bytes(data);
            writer.record(section, name(owner).name(), *kind, class::IN, *ttl, write).unwrap();
        }
    }
    let len = writer.finish();
    buffer[..len].to_vec()
}

/// An answer from whom was asked, 20 ms later.
pub(super) fn reply(sent: &Sent, bytes: Vec<u8>) -> Reply {
    let sender = match sent.to {
        Some(address) => Sender { address, port: 53, on_link: false },
        None => Sender { address: server(77), port: 5353, on_link: true },
    };
    Reply { after: Duration::from_millis(20), sender, bytes }
}

/// Those of these records that answer the question, or that there are none.
pub(super) fn zone(sent: &Sent, records: &[Rr]) -> Reply {
    let (asked, wanted) = sent.question();
    let mut owner = asked.to_lowercase();
    let mut chain = Vec::new();
    for _ in 0..20 {
        chain.extend(records.iter().filter(|rr| rr.0 == owner && rr.1 == wanted).cloned());
        let Some(next) = records.iter().find(|rr| rr.0 == owner && rr.1 == kind::CNAME) else { break };
        chain.push(next.clone());
        owner = coracle_wire::dns::Name::from_wire(&next.3).unwrap().to_string();
    }
    let exists = records.iter().any(|rr| rr.0 == owner);
    let negative =
        if chain.iter().any(|rr| rr.1 == wanted) { Vec::new() } else { [soa("test", 60, 30)].into() };
    let code = if exists { rcode::NO_ERROR } else { rcode::NAME_ERROR };
    reply(sent, answer_bytes(sent, code, 0, &chain, &negative))
}

/// What a query came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) key: Key,
    pub(super) at: Instant,
    pub(super) result: Result<(), DnsError>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) records: Vec<Vec<u8>>,
}

/// A message for an exchange's socket.
type Arriving = (usize, u32, Transport, Sender, Vec<u8>);

pub(super) struct World {
    pub(super) resolver: Resolver,
    pub(super) random: Random,
    pub(super) now: Instant,
    pub(super) sent: Vec<Sent>,
    pub(super) done: Vec<Done>,
    /// Which socket each exchange has.
    pub(super) open: BTreeMap<usize, u32>,
    sockets: u32,
    /// By when they come and by their numbers.
    under_way: BTreeMap<(Instant, u32), Arriving>,
}

impl World {
    pub(super) fn new(limits: DnsLimits, config: DnsConfig, servers: &[u8]) -> Self {
        let mut random = Random::new(&[9; 16]);
        let mut resolver = Resolver::new(&mut Arena::heap(), &limits, config, &mut random).unwrap();
        resolver.set_servers(Source::Owner, servers.iter().copied().map(server));
        Self {
            resolver,
            random,
            now: Instant::from_secs(1000),
            sent: Vec::new(),
            done: Vec::new(),
            open: BTreeMap::new(),
            sockets: 0,
            under_way: BTreeMap::new(),
        }
    }

    pub(super) fn plain(servers: &[u8]) -> Self {
        Self::new(DnsLimits::HOST, DnsConfig::DEFAULT, servers)
    }

    pub(super) fn ask(&mut self, text: &str, lookup: Lookup) -> Key {
        self.resolver.query(text, lookup, self.now).unwrap()
    }

    /// Does what the resolver wants done; the network answers each question at once with what is to come later.
    pub(super) fn act(&mut self, net: &mut dyn FnMut(&Sent) -> Vec<Reply>) {
        self.report();
        let mut buffer = [0xee; 300];
        while let Some(action) = self.resolver.next_action(self.now, &mut self.random, &mut buffer) {
            match action {
                Action::Close { exchange } => {
                    self.open.remove(&exchange);
                }
                Action::Send { exchange, transport, to, len } => {
                    self.sockets += 1;
                    self.open.insert(exchange, self.sockets);
                    let bytes = buffer[..len].to_vec();
                    let sent = Sent { at: self.now, socket: self.sockets, exchange, transport, to, bytes };
                    self.sent.push(sent.clone());
                    for reply in net(&sent) {
                        self.sockets += 1;
                        let key = (self.now + reply.after, self.sockets);
                        let message = (exchange, sent.socket, transport, reply.sender, reply.bytes);
                        self.under_way.insert(key, message);
                    }
                }
            }
            self.report();
        }
        self.report();
    }

    fn report(&mut self) {
        while let Some((key, outcome)) = self.resolver.next_event(self.now) {
            let records = if outcome.kind == 0 || outcome.result.is_err() {
                Vec::new()
            } else {
                self.resolver.records().map(<[u8]>::to_vec).collect()
            };
            let addresses = outcome.addresses.as_slice().to_vec();
            self.done.push(Done { key, at: self.now, result: outcome.result, addresses, records });
        }
    }

    /// Lets time pass until nothing more happens.
    pub(super) fn run(&mut self, net: &mut dyn FnMut(&Sent) -> Vec<Reply>) {
        self.act(net);
        for _ in 0..100_000 {
            let message = self.under_way.keys().next().map(|&(at, _)| at);
            let deadline = self.resolver.next_deadline();
            let Some(next) = message.into_iter().chain(deadline).min() else {
                assert!(self.open.is_empty(), "sockets stay open: {:?}", self.open);
                return;
            };
            self.now = self.now.max(next);
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.resolver.advance(self.now);
                assert!(self.resolver.next_deadline().is_none_or(|next| next > self.now));
            }
            if let Some(entry) = self.under_way.first_entry()
                && entry.key().0 <= self.now
            {
                let (exchange, socket, transport, sender, bytes) = entry.remove();
                if self.open.get(&exchange) == Some(&socket) {
                    self.resolver.input(exchange, transport, sender, &bytes, self.now);
                }
            }
            self.act(net);
        }
        panic!("it never ends");
    }

    /// Asks, and waits for the answer.
    pub(super) fn resolve(
        &mut self,
        text: &str,
        lookup: Lookup,
        net: &mut dyn FnMut(&Sent) -> Vec<Reply>,
    ) -> Done {
        let key = self.ask(text, lookup);
        self.run(net);
        let position = self.done.iter().position(|done| done.key == key).expect("an answer");
        self.done.remove(position)
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.resolver.advance(self.now);
    }
}
