use core::time::Duration;
use std::vec;
use std::vec::Vec;

use coracle_wire::arp::{LEN, REPLY};
use coracle_wire::dhcpv4::MessageType::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request};
use proptest::prelude::*;

use super::*;

const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
const LAST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 103);
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;

struct TestPort {
    now: Instant,
    sent: Vec<(Ipv4Addr, u16, Vec<u8>)>,
    probed: Vec<Ipv4Addr>,
}

impl ServerPort for TestPort {
    fn now(&self) -> Instant {
        self.now
    }

    fn settings(&self) -> Ipv4Settings {
        Ipv4Settings::new(OWN, 24)
    }

    fn send(&mut self, destination: Ipv4Addr, port: u16, message: &[u8]) {
        self.sent.push((destination, port, message.to_vec()));
    }

    fn probe(&mut self, address: Ipv4Addr) {
        self.probed.push(address);
    }
}

struct Net {
    port: TestPort,
    server: Server,
    bindings: Vec<Binding>,
}

impl Net {
    fn new(config: DhcpServerConfig, clients: usize) -> Self {
        let port = TestPort { now: Instant::from_secs(1), sent: Vec::new(), probed: Vec::new() };
        Self { port, server: Server::new(config), bindings: vec![Binding::FREE; clients] }
    }

    fn plain() -> Self {
        Self::new(DhcpServerConfig { probe: false, ..DhcpServerConfig::new(FIRST, LAST) }, 8)
    }

    fn pass(&mut self, time: Duration) {
        self.port.now = self.port.now + time;
        self.server.timer(&mut self.port, &mut self.bindings);
    }

    /// Sends a client's message, and returns the answer's kind and address, if there is one.
    fn ask(
        &mut self,
        kind: MessageType,
        station: u8,
        options: &[(u8, &[u8])],
    ) -> Option<(MessageType, Ipv4Addr)> {
        self.ask_from(kind, station, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, options)
    }

    fn ask_from(
        &mut self,
        kind: MessageType,
        station: u8,
        client: Ipv4Addr,
        relay: Ipv4Addr,
        options: &[(u8, &[u8])],
    ) -> Option<(MessageType, Ipv4Addr)> {
        let station = MacAddr::new(2, 0, 0, 0, 0, station);
        let fields = DhcpFields { client, relay, ..DhcpFields::request(77, station) };
        let mut bytes = [0; 548];
        let mut writer = DhcpWriter::new(&mut bytes, &fields, kind).unwrap();
        for (code, data) in options {
            assert!(writer.option(*code, data));
        }
        writer.finish();
        let before = self.port.sent.len();
        self.server.input(&mut self.port, &mut self.bindings, &DhcpMessage::read(&bytes).unwrap());
        self.answer(before)
    }

    fn answer(&self, before: usize) -> Option<(MessageType, Ipv4Addr)> {
        assert!(self.port.sent.len() <= before + 1, "one answer to one message");
        let (_, _, bytes) = self.port.sent.get(before)?;
        let message = DhcpMessage::read(bytes).unwrap();
        assert_eq!((message.header.transaction(), message.header.operation()), (77, BOOT_REPLY));
        assert_eq!(message.server(), Some(OWN));
        Some((message.message_type().unwrap(), message.header.yours()))
    }

    /// Gives a client an address the usual way.
    fn lease(&mut self, station: u8) -> Option<Ipv4Addr> {
        let (kind, address) = self.ask(Discover, station, &[])?;
        assert_eq!(kind, Offer);
        let options = [(code::REQUESTED_ADDRESS, &address.octets()[..]), (code::SERVER_ID, &OWN.octets())];
        assert_eq!(self.ask(Request, station, &options), Some((Ack, address)));
        Some(address)
    }

    fn arp_from(&mut self, address: Ipv4Addr) {
        let mut bytes = [0; LEN];
        ArpPacket::write(&mut bytes, REPLY, (MacAddr::new(2, 0, 0, 0, 9, 9), address), (MacAddr::ZERO, OWN));
        Server::arp(self.port.now, &mut self.bindings, ArpPacket::read(&bytes).unwrap());
    }
}

fn last(octet: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, octet)
}

#[test]
fn the_usual_way() {
    let mut config = DhcpServerConfig {
        probe: false,
        lease_time: 1_000,
        router: OWN,
        dns_servers: [OWN, last(2)],
        ..DhcpServerConfig::new(FIRST, LAST)
    };
    config.options.send(code::DOMAIN, b"example.org").unwrap();
    let mut net = Net::new(config, 8);
    let id = [(code::CLIENT_ID, &[255, 1, 2, 3][..])];
    assert_eq!(net.ask(Discover, 1, &id), Some((Offer, FIRST)));
    let (destination, port, bytes) = net.port.sent[0].clone();
    assert_eq!((destination, port), (ALL, CLIENT_PORT));
    let offer = DhcpMessage::read(&bytes).unwrap();
    assert_eq!(offer.number(code::LEASE_TIME), Some(1_000));
    assert_eq!(offer.number(code::RENEWAL_TIME), Some(500));
    assert_eq!(offer.number(code::REBINDING_TIME), Some(875));
    assert_eq!(offer.number(code::NETMASK), Some(0xffff_ff00));
    assert_eq!(offer.address(code::ROUTERS), Some(OWN));
    assert!(offer.addresses(code::DNS_SERVERS).eq([OWN, last(2)]));
    assert!(offer.value(code::DOMAIN).unwrap().eq(*b"example.org"));
    assert!(offer.value(code::CLIENT_ID).unwrap().eq([255, 1, 2, 3]), "[RFC 6842 §3]");

    let chosen = [id[0], (code::REQUESTED_ADDRESS, &FIRST.octets()), (code::SERVER_ID, &OWN.octets())];
    assert_eq!(net.ask(Request, 1, &chosen), Some((Ack, FIRST)));
    // Renewing: to the address that the client has.
    assert_eq!(net.ask_from(Request, 1, FIRST, Ipv4Addr::UNSPECIFIED, &id), Some((Ack, FIRST)));
    assert_eq!(net.port.sent[2].0, FIRST);
    // The identifier names the client, whatever its station; another identifier is another client.
    assert_eq!(net.ask(Discover, 2, &id), Some((Offer, FIRST)));
    assert_eq!(net.ask(Discover, 1, &[(code::CLIENT_ID, &[255, 9])]), Some((Offer, last(101))));
}

#[test]
fn each_client_gets_its_own_and_the_same_again() {
    let mut net = Net::plain();
    let all: Vec<_> = (1..=4).map(|station| net.lease(station).unwrap()).collect();
    assert_eq!(all, [last(100), last(101), last(102), last(103)]);
    assert_eq!(net.lease(5), None, "there is none left");
    assert_eq!(net.lease(2), Some(last(101)));
    // Who gives back makes room, but is remembered as long as nobody needs it.
    let server = [(code::SERVER_ID, &OWN.octets()[..])];
    for station in [3, 2] {
        let address = last(99 + station);
        assert_eq!(net.ask_from(Release, station, address, Ipv4Addr::UNSPECIFIED, &server), None);
        net.pass(Duration::from_secs(1));
    }
    assert_eq!(net.lease(2), Some(last(101)));
    assert_eq!(net.lease(5), Some(last(102)), "the one given back first");
    assert_eq!(net.lease(3), None);
    // And so does time.
    net.pass(Duration::from_secs(3_601));
    assert_eq!(net.lease(3), Some(last(100)));
}

/// A table that is smaller than the range.
#[test]
fn a_full_table() {
    let mut net = Net::new(DhcpServerConfig { probe: false, ..DhcpServerConfig::new(FIRST, LAST) }, 2);
    assert_eq!(net.lease(1), Some(last(100)));
    assert_eq!(net.lease(2), Some(last(101)));
    assert_eq!(net.lease(3), None);
    net.pass(Duration::from_hours(2));
    assert_eq!(net.lease(3), Some(last(102)));
    assert_eq!(net.lease(2), Some(last(101)));
}

#[test]
fn requests_that_are_refused() {
    let mut net = Net::plain();
    net.lease(1);
    let wish = |octet: u8| Ipv4Addr::new(192, 0, 2, octet).octets();
    let reboot =
        |net: &mut Net, station, octet| net.ask(Request, station, &[(code::REQUESTED_ADDRESS, &wish(octet))]);
    let nothing = Ipv4Addr::UNSPECIFIED;
    // [RFC 2131 §4.3.2] Another's address, one outside of the range, one of another network, not one's own.
    assert_eq!(reboot(&mut net, 2, 100), Some((Nak, nothing)));
    assert_eq!(net.port.sent.last().unwrap().0, ALL);
    assert_eq!(reboot(&mut net, 2, 99), Some((Nak, nothing)));
    assert_eq!(reboot(&mut net, 1, 101), Some((Nak, nothing)));
    let elsewhere = [(code::REQUESTED_ADDRESS, &[10, 0, 0, 1][..])];
    assert_eq!(net.ask(Request, 2, &elsewhere), Some((Nak, nothing)));
    assert_eq!(net.ask_from(Request, 2, FIRST, nothing, &[]), Some((Nak, nothing)));
    // One's own, and one that nobody has, as after a restart of the server.
    assert_eq!(reboot(&mut net, 1, 100), Some((Ack, last(100))));
    assert_eq!(reboot(&mut net, 2, 102), Some((Ack, last(102))));
    // An offer that was never made.
    let chosen = [(code::REQUESTED_ADDRESS, &wish(103)[..]), (code::SERVER_ID, &OWN.octets())];
    assert_eq!(net.ask(Request, 3, &chosen), Some((Nak, nothing)));
    // Another server's offer.
    assert_eq!(net.ask(Discover, 3, &[]), Some((Offer, last(101))));
    let others = [(code::REQUESTED_ADDRESS, &wish(101)[..]), (code::SERVER_ID, &[192, 0, 2, 9])];
    assert_eq!(net.ask(Request, 3, &others), None);
    assert_eq!(net.ask(Discover, 4, &[]), Some((Offer, last(103))), "one that nobody had is better");
    assert_eq!(net.ask(Discover, 5, &[]), Some((Offer, last(101))), "it was free again");
}

#[test]
fn wishes_are_met() {
    let mut net = Net::plain();
    assert_eq!(
        net.ask(Discover, 1, &[(code::REQUESTED_ADDRESS, &[192, 0, 2, 102])]),
        Some((Offer, last(102)))
    );
    assert_eq!(
        net.ask(Discover, 2, &[(code::REQUESTED_ADDRESS, &[192, 0, 2, 102])]),
        Some((Offer, last(100)))
    );
    assert_eq!(net.ask(Discover, 3, &[(code::REQUESTED_ADDRESS, &[10, 0, 0, 1])]), Some((Offer, last(101))));
    let rapid = [(code::RAPID_COMMIT, &[][..])];
    assert_eq!(net.ask(Discover, 4, &rapid), Some((Ack, last(103))));
    let (_, _, bytes) = net.port.sent.last().unwrap();
    assert!(DhcpMessage::read(bytes).unwrap().value(code::RAPID_COMMIT).is_some(), "RFC 4039 §3.1");
    let mut net = Net::new(
        DhcpServerConfig { probe: false, rapid_commit: false, ..DhcpServerConfig::new(FIRST, LAST) },
        8,
    );
    assert_eq!(net.ask(Discover, 4, &rapid), Some((Offer, last(100))));
    assert_eq!(
        net.ask_from(Inform, 9, last(9), Ipv4Addr::UNSPECIFIED, &[]),
        Some((Ack, Ipv4Addr::UNSPECIFIED)),
        "[RFC 2131 §4.3.5]"
    );
    let (destination, _, bytes) = net.port.sent.last().unwrap();
    assert_eq!((*destination, DhcpMessage::read(bytes).unwrap().number(code::LEASE_TIME)), (last(9), None));
}

/// A probe before the first offer; who has the address keeps it, and the client gets the next one.
#[test]
fn addresses_are_probed() {
    let mut net = Net::new(DhcpServerConfig::new(FIRST, LAST), 8);
    assert_eq!(net.ask(Discover, 1, &[]), None);
    assert_eq!(net.port.probed, [FIRST]);
    assert_eq!(net.ask(Discover, 1, &[]), None, "it asks again");
    assert_eq!(net.port.probed, [FIRST]);
    let deadline = Server::deadline(&net.bindings).unwrap();
    assert_eq!(deadline.since(net.port.now), Duration::from_millis(200));
    net.pass(Duration::from_millis(199));
    assert_eq!(net.port.sent.len(), 0);
    net.pass(Duration::from_millis(1));
    assert_eq!(net.answer(0), Some((Offer, FIRST)));
    assert_eq!(Server::deadline(&net.bindings), None);

    assert_eq!(net.ask(Discover, 2, &[]), None);
    net.arp_from(last(101));
    net.pass(Duration::from_secs(1));
    assert_eq!(net.port.sent.len(), 1, "no offer");
    assert_eq!(net.ask(Discover, 2, &[]), None);
    assert_eq!(net.port.probed, [FIRST, last(101), last(102)]);
    net.pass(Duration::from_secs(1));
    assert_eq!(net.answer(1), Some((Offer, last(102))));
    // What a client had already needs no probe.
    let options = [(code::REQUESTED_ADDRESS, &last(102).octets()[..]), (code::SERVER_ID, &OWN.octets())];
    assert_eq!(net.ask(Request, 2, &options), Some((Ack, last(102))));
    assert_eq!(net.ask(Discover, 2, &[]), Some((Offer, last(102))));
    // After a while the other one may be free again.
    net.pass(Duration::from_secs(601));
    net.ask(Discover, 3, &[]);
    net.ask(Discover, 4, &[]);
    net.ask(Discover, 5, &[]);
    assert_eq!(net.port.probed[3..], [last(103), FIRST, last(101)], "whatever was free first");
}

#[test]
fn declined_addresses_are_left_alone() {
    let mut net = Net::plain();
    let address = net.lease(1).unwrap();
    let options = [(code::REQUESTED_ADDRESS, &address.octets()[..]), (code::SERVER_ID, &OWN.octets())];
    assert_eq!(net.ask(Decline, 2, &options), None);
    assert_eq!(net.lease(1), Some(address), "that was somebody else's decline");
    assert_eq!(net.ask(Decline, 1, &options), None);
    assert_eq!(net.lease(1), Some(last(101)));
    let wish = [(code::REQUESTED_ADDRESS, &address.octets()[..])];
    assert_eq!(net.ask(Discover, 2, &wish), Some((Offer, last(102))));
}

#[test]
fn reserved_addresses() {
    let mut net = Net::plain();
    let station = MacAddr::new(2, 0, 0, 0, 0, 7);
    net.bindings[0] = Binding::reserved(station_key(station), last(101));
    assert_eq!((net.lease(1), net.lease(2)), (Some(last(100)), Some(last(102))));
    assert_eq!(net.lease(7), Some(last(101)));
    assert_eq!(net.ask(Discover, 7, &[(code::CLIENT_ID, &[255, 1])]), Some((Offer, last(101))));
    net.pass(Duration::from_hours(100_000));
    let wish = [(code::REQUESTED_ADDRESS, &last(101).octets()[..])];
    assert_eq!(net.ask(Discover, 3, &wish), Some((Offer, last(103))));
    let server = [(code::SERVER_ID, &OWN.octets()[..])];
    net.ask_from(Release, 7, last(101), Ipv4Addr::UNSPECIFIED, &server);
    assert_eq!(net.ask(Discover, 4, &wish), Some((Offer, last(100))));
    assert_eq!(net.lease(7), Some(last(101)));
}

/// [RFC 2131 §4.1] Through a relay everything goes back to it.
#[test]
fn relays() {
    let mut net = Net::plain();
    let relay = last(5);
    net.ask_from(Discover, 1, Ipv4Addr::UNSPECIFIED, relay, &[]);
    let (destination, port, bytes) = net.port.sent.last().unwrap();
    assert_eq!((*destination, *port), (relay, SERVER_PORT));
    assert_eq!(DhcpMessage::read(bytes).unwrap().header.relay(), relay);
}

#[test]
fn ranges_are_checked() {
    let own = Ipv4Settings::new(OWN, 24);
    let check = |first: u8, last_octet: u8| DhcpServerConfig::new(last(first), last(last_octet)).check(&own);
    assert_eq!(check(100, 200), Ok(()));
    assert_eq!(check(100, 100), Ok(()));
    for (first, last) in [(200, 100), (0, 100), (100, 255)] {
        assert_eq!(check(first, last), Err(Error::Value));
    }
    let elsewhere = DhcpServerConfig::new(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9));
    assert_eq!(elsewhere.check(&own), Err(Error::Value));
    let config = DhcpServerConfig::new(FIRST, LAST);
    assert_eq!(config.check(&Ipv4Settings::NONE), Err(Error::Value));
    assert_eq!(DhcpServerConfig { lease_time: 0, ..config }.check(&own), Err(Error::Value));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever clients send: no address has two owners at a time, and none outside of the range is given.
    #[test]
    fn no_address_has_two_owners(
        steps in prop::collection::vec((1..9_u8, 1..6_u8, 98..106_u8, any::<bool>(), 0..2_000_u64), 0..80),
        probe in any::<bool>(),
    ) {
        let mut net = Net::new(DhcpServerConfig { probe, ..DhcpServerConfig::new(FIRST, LAST) }, 6);
        let mut owners: Vec<(Ipv4Addr, u8, Instant)> = Vec::new();
        for (kind, station, octet, named, seconds) in steps {
            let kind = MessageType::new(kind).unwrap();
            let address = last(octet);
            let wish = address.octets();
            let mut options = vec![(code::REQUESTED_ADDRESS, &wish[..])];
            if named {
                options.push((code::SERVER_ID, &[192, 0, 2, 1]));
            }
            let client = if kind == Release { address } else { Ipv4Addr::UNSPECIFIED };
            let answer = net.ask_from(kind, station, client, Ipv4Addr::UNSPECIFIED, &options);
            let gone = matches!(kind, Release | Decline) && named;
            owners.retain(|&(owned, owner, _)| !(gone && owner == station && owned == address));
            if let Some((Ack, given)) = answer.filter(|&(_, given)| !given.is_unspecified()) {
                prop_assert!((FIRST..=LAST).contains(&given));
                let now = net.port.now;
                let other = owners.iter().any(|&(owned, owner, until)| owned == given && owner != station && until > now);
                prop_assert!(!other, "{given} given twice");
                owners.push((given, station, now + Duration::from_hours(1)));
            }
            net.pass(Duration::from_secs(seconds));
        }
    }
}
