//! An interface in virtual time for the tests of the machines, and a DHCP server that answers as it is told.

use std::vec;
use std::vec::Vec;

use coracle_wire::arp::{LEN, REPLY};
use coracle_wire::dhcpv4::{BOOT_REPLY, DhcpFields, DhcpWriter, MessageType, code};

use super::*;

pub(crate) const STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 7);
pub(crate) const SECOND: u64 = 1_000_000;

/// A message that the client sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    pub(crate) fn read(&self) -> DhcpMessage<'_> {
        DhcpMessage::read(&self.bytes).unwrap()
    }

    pub(crate) fn kind(&self) -> MessageType {
        self.read().message_type().unwrap()
    }

    pub(crate) fn value(&self, code: u8) -> Option<Vec<u8>> {
        self.read().value(code).map(Iterator::collect)
    }

    pub(crate) fn transaction(&self) -> u32 {
        self.read().header.transaction()
    }
}

pub(crate) struct TestPort {
    pub(crate) now: Instant,
    random: Random,
    pub(crate) hostname: Option<Hostname>,
    pub(crate) ipv4: Ipv4Settings,
    pub(crate) sent: Vec<Sent>,
    /// When, for which address, whether to announce it.
    pub(crate) arps: Vec<(Instant, Ipv4Addr, bool)>,
    pub(crate) conflicts: usize,
    /// An address that another interface has.
    pub(crate) taken: Option<Ipv4Addr>,
}

impl Port for TestPort {
    fn now(&self) -> Instant {
        self.now
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    fn hostname(&self) -> Option<Hostname> {
        self.hostname
    }

    fn mtu(&self) -> u16 {
        1_500
    }

    fn address(&self) -> Ipv4Addr {
        self.ipv4.address
    }

    fn send(&mut self, source: Ipv4Addr, destination: Ipv4Addr, message: &[u8]) {
        self.sent.push(Sent { at: self.now, source, destination, bytes: message.to_vec() });
    }

    fn arp(&mut self, address: Ipv4Addr, announce: bool) {
        assert!(!address.is_unspecified());
        self.arps.push((self.now, address, announce));
    }

    fn set_ipv4(&mut self, settings: Ipv4Settings) -> Result<(), Error> {
        settings.check().expect("settings that a host can have");
        if self.taken == Some(settings.address) {
            return Err(Error::InUse);
        }
        self.ipv4 = settings;
        Ok(())
    }

    fn conflict(&mut self) {
        self.conflicts += 1;
    }
}

/// An interface and its machines.
pub(crate) struct Bed {
    pub(crate) port: TestPort,
    pub(crate) auto: Autoconf,
    /// How many messages servers have heard, or would have.
    heard: usize,
}

impl Bed {
    pub(crate) fn new(seed: u8) -> Self {
        let port = TestPort {
            now: Instant::from_secs(1_000),
            random: Random::new(&[seed; 16]),
            hostname: None,
            ipv4: Ipv4Settings::NONE,
            sent: Vec::new(),
            arps: Vec::new(),
            conflicts: 0,
            taken: None,
        };
        let mut bed = Self { port, auto: Autoconf::new(STATION), heard: 0 };
        bed.link(true);
        bed
    }

    pub(crate) fn start(&mut self, config: &DhcpConfig) {
        self.auto.dhcp_start(&mut self.port, STATION, config);
    }

    pub(crate) fn link(&mut self, up: bool) {
        self.auto.link_changed(&mut self.port, up);
    }

    pub(crate) fn state(&self) -> DhcpState {
        self.auto.client.state()
    }

    pub(crate) fn last(&self) -> Sent {
        self.port.sent.last().expect("a message").clone()
    }

    /// The kinds of all messages so far.
    pub(crate) fn kinds(&self) -> Vec<MessageType> {
        self.port.sent.iter().map(Sent::kind).collect()
    }

    pub(crate) fn input(&mut self, bytes: &[u8]) -> bool {
        self.auto.input(&mut self.port, &DhcpMessage::read(bytes).unwrap())
    }

    /// Another station claims an address.
    pub(crate) fn claim(&mut self, address: Ipv4Addr) {
        let mut bytes = [0; LEN];
        let station = MacAddr::new(2, 0, 0, 0, 0, 99);
        ArpPacket::write(&mut bytes, REPLY, (station, address), (STATION, address));
        self.auto.arp(&mut self.port, ArpPacket::read(&bytes).unwrap());
    }

    /// Lets time pass, with what is due at each deadline; a deadline must not stand still.
    pub(crate) fn pass(&mut self, micros: u64) {
        self.run(Instant::from_micros(self.port.now.as_micros() + micros), &mut []);
    }

    /// The same with servers, who answer a millisecond after each message.
    pub(crate) fn pass_with(&mut self, micros: u64, servers: &mut [Server]) {
        self.run(Instant::from_micros(self.port.now.as_micros() + micros), servers);
    }

    fn run(&mut self, until: Instant, servers: &mut [Server]) {
        let mut still = 0;
        loop {
            while self.heard < self.port.sent.len() {
                let request = self.port.sent[self.heard].clone();
                self.heard += 1;
                let answers: Vec<_> =
                    servers.iter_mut().filter_map(|server| server.answer(&request)).collect();
                if !answers.is_empty() {
                    self.port.now = Instant::from_micros(self.port.now.as_micros() + 1_000);
                }
                for answer in answers {
                    self.input(&answer);
                }
            }
            let Some(deadline) = self.auto.deadline().filter(|&deadline| deadline <= until) else { break };
            still = if deadline > self.port.now { 0 } else { still + 1 };
            assert!(still < 4, "time stands still at {deadline:?} in {:?}", self.state());
            self.port.now = self.port.now.max(deadline);
            self.auto.timer(&mut self.port);
        }
        self.port.now = self.port.now.max(until);
    }
}

impl Autoconf {
    /// Whether anything is at work.
    pub(crate) fn is_on(&self) -> bool {
        self.client.state() != DhcpState::Off || self.autoip_wanted || self.acd.address().is_some()
    }
}

/// A server with one address to give.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) id: Ipv4Addr,
    pub(crate) address: Ipv4Addr,
    pub(crate) lease: u32,
    /// Further options of offers and acknowledgments.
    pub(crate) options: Vec<(u8, Vec<u8>)>,
    pub(crate) silent: bool,
    /// Offers, and never acknowledges.
    pub(crate) only_offers: bool,
    pub(crate) refuses: bool,
    pub(crate) rapid: bool,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            id: Ipv4Addr::new(192, 0, 2, 1),
            address: Ipv4Addr::new(192, 0, 2, 50),
            lease: 3_600,
            options: vec![
                (code::NETMASK, vec![255, 255, 255, 0]),
                (code::ROUTERS, vec![192, 0, 2, 1]),
                (code::DNS_SERVERS, vec![192, 0, 2, 1]),
            ],
            silent: false,
            only_offers: false,
            refuses: false,
            rapid: false,
        }
    }

    fn answer(&mut self, request: &Sent) -> Option<Vec<u8>> {
        let message = request.read();
        let for_us = message.server().is_none_or(|server| server == self.id);
        let reached = request.destination == Ipv4Addr::BROADCAST || request.destination == self.id;
        if self.silent || !reached {
            return None;
        }
        let rapid = self.rapid && message.value(code::RAPID_COMMIT).is_some();
        match message.message_type()? {
            MessageType::Discover if rapid => Some(self.reply(request, MessageType::Ack)),
            MessageType::Discover => Some(self.reply(request, MessageType::Offer)),
            MessageType::Request if !for_us || self.only_offers => None,
            MessageType::Request => {
                let asked = message.number(code::REQUESTED_ADDRESS).map(Ipv4Addr::from_bits);
                let right = asked.unwrap_or(message.header.client()) == self.address;
                let kind = if right && !self.refuses { MessageType::Ack } else { MessageType::Nak };
                Some(self.reply(request, kind))
            }
            MessageType::Inform => Some(self.reply(request, MessageType::Ack)),
            _ => None,
        }
    }

    /// An answer to a message.
    pub(crate) fn reply(&self, request: &Sent, kind: MessageType) -> Vec<u8> {
        let asked = request.read();
        let inform = asked.message_type() == Some(MessageType::Inform);
        let gives = kind != MessageType::Nak && !inform;
        let fields = DhcpFields {
            operation: BOOT_REPLY,
            yours: if gives { self.address } else { Ipv4Addr::UNSPECIFIED },
            ..DhcpFields::request(asked.header.transaction(), asked.header.hardware())
        };
        let mut bytes = vec![0; 1_200];
        let mut writer = DhcpWriter::new(&mut bytes, &fields, kind).unwrap();
        assert!(writer.number(code::SERVER_ID, self.id.to_bits()));
        if gives {
            assert!(writer.number(code::LEASE_TIME, self.lease));
        }
        if kind != MessageType::Nak {
            for (code, data) in &self.options {
                assert!(writer.option(*code, data));
            }
        }
        if self.rapid && kind == MessageType::Ack && asked.message_type() == Some(MessageType::Discover) {
            assert!(writer.option(code::RAPID_COMMIT, &[]));
        }
        if let Some(id) = request.value(code::CLIENT_ID) {
            assert!(writer.option(code::CLIENT_ID, &id));
        }
        let len = writer.finish();
        bytes.truncate(len);
        bytes
    }
}
