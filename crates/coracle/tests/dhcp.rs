//! Addresses that come by themselves, through the whole stack: from a DHCP server, which is a stack too, or one of the
//! host's own.
#![cfg(feature = "dhcp-server")]
#![allow(missing_docs)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::*;
use coracle::wire::dhcpv4::{BOOT_REPLY, DhcpFields, DhcpMessage, DhcpWriter, MessageType, code};
use coracle::*;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;

/// A host without an address.
fn client() -> Host {
    Host::configured(|setup| {
        setup.netif.ipv4 = Ipv4Settings::NONE;
        #[cfg(feature = "dns")]
        {
            setup.limits.dns = DnsLimits::SMALL;
        }
    })
}

fn server_config() -> DhcpServerConfig {
    DhcpServerConfig {
        router: SERVER,
        dns_servers: [SERVER, NOBODY],
        ..DhcpServerConfig::new(FIRST, Ipv4Addr::new(192, 0, 2, 109))
    }
}

fn server(config: &DhcpServerConfig) -> Host {
    let mut host = Host::configured(|setup| {
        setup.netif = NetifConfig::ethernet(SERVER_MAC).ipv4(Ipv4Settings::new(SERVER, 24));
        setup.limits.dhcp_clients = 8;
    });
    host.stack.netif(host.netif).unwrap().dhcp_server_start(config).unwrap();
    host
}

/// Quick, for tests of something else.
fn plain() -> DhcpConfig {
    DhcpConfig { conflict_check: ConflictCheck::Off, offer_window: Duration::ZERO, ..DhcpConfig::new() }
}

/// Lets two hosts on one wire live for a while.
fn live(one: &mut Host, other: &mut Host, time: Duration) {
    let end = one.now + time;
    loop {
        let mut quiet = true;
        let mut pass = |from: &mut Host, to: &mut Host| {
            for frame in from.sent_raw(from.netif) {
                quiet = false;
                to.input(frame);
            }
        };
        pass(one, other);
        pass(other, one);
        if !quiet {
            continue;
        }
        let next = [one.poll(), other.poll()].into_iter().flatten().min();
        if one.stack.transmit_pending(one.netif) + other.stack.transmit_pending(other.netif) > 0 {
            continue;
        }
        let Some(next) = next.filter(|&next| next <= end) else { break };
        (one.now, other.now) = (next, next);
    }
    (one.now, other.now) = (end, end);
    one.poll();
    other.poll();
}

fn start(host: &mut Host, config: &DhcpConfig) {
    host.stack.netif(host.netif).unwrap().dhcp_start(config).unwrap();
}

fn address(host: &mut Host) -> Ipv4Addr {
    host.stack.netif(host.netif).unwrap().ipv4().unwrap().address
}

/// A DHCP message as it left.
fn sent_message(host: &mut Host) -> (Seen, Vec<u8>) {
    let seen = host.sent().into_iter().rfind(|seen| !seen.is_arp()).expect("a message");
    let data = seen.udp_data().to_vec();
    (seen, data)
}

/// A server's answer to a message.
fn answer(request: &[u8], kind: MessageType, options: &[(u8, &[u8])]) -> Vec<u8> {
    let request = DhcpMessage::read(request).unwrap();
    let fields = DhcpFields {
        operation: BOOT_REPLY,
        yours: FIRST,
        ..DhcpFields::request(request.header.transaction(), OUR_MAC)
    };
    let mut bytes = vec![0; 600];
    let mut writer = DhcpWriter::new(&mut bytes, &fields, kind).unwrap();
    assert!(writer.number(code::SERVER_ID, SERVER.to_bits()) && writer.number(code::LEASE_TIME, 3_600));
    assert!(writer.number(code::NETMASK, 0xffff_ff00));
    for (code, data) in options {
        assert!(writer.option(*code, data));
    }
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}

fn from_server(destination: Ipv4Addr, message: &[u8]) -> Packet {
    let to = format!("{destination}:68");
    Packet::udp(&format!("{SERVER}:67"), &to, message).sent_by(SERVER_MAC)
}

/// A host with a lease whose acknowledgment had these options.
fn leased_with(options: &[(u8, &[u8])]) -> Host {
    let mut host = client();
    start(&mut host, &plain());
    let (_, discover) = sent_message(&mut host);
    host.input(from_server(ALL, &answer(&discover, MessageType::Offer, options)).frame());
    let (_, request) = sent_message(&mut host);
    host.input(from_server(ALL, &answer(&request, MessageType::Ack, options)).frame());
    assert_eq!(address(&mut host), FIRST);
    host.discard_sent();
    host
}

/// From two stacks that know nothing to a datagram: less than 100 ms with the usual configuration, of which a second
/// server has 50 for a better offer; the probe of the server aside.
#[test]
fn two_stacks() {
    let (mut client, mut server) = (client(), server(&DhcpServerConfig { probe: false, ..server_config() }));
    let listener = client.app("listener");
    client.stack.netif_listen(None, Reasons::ALL, listener).unwrap();
    let start_time = client.now;
    start(&mut client, &DhcpConfig { rapid_commit: false, ..DhcpConfig::new() });
    live(&mut client, &mut server, Duration::from_millis(99));
    assert_eq!(address(&mut client), FIRST);
    let event = client.heard().into_iter().find_map(|heard| match heard {
        Heard::Netif { event, .. } if event.reasons.contains(Reasons::IPV4_ADDRESS_VALID) => Some(event),
        _ => None,
    });
    assert!(event.unwrap().reasons.contains(Reasons::DHCP_SETTINGS));

    let netif = client.stack.netif(client.netif).unwrap();
    let lease = netif.dhcp_lease().unwrap();
    assert_eq!(lease.ipv4, Ipv4Settings::new(FIRST, 24).with_gateway(SERVER));
    assert_eq!((lease.server, lease.dns_servers), (SERVER, [SERVER, NOBODY, NOBODY]));
    // Counted from the request, which came after the window for offers.
    assert_eq!(lease.expires_at, start_time + Duration::from_millis(50) + Duration::from_hours(1));
    assert_eq!((netif.dhcp_state(), netif.dhcp_supplied_address()), (DhcpState::Bound, true));

    server.udp("server", 7);
    let udp = client.udp("client", 5_000);
    let data = client.data(b"hello");
    client.stack.udp(udp).unwrap().send_to(data, (SERVER, 7).into()).unwrap();
    live(&mut client, &mut server, Duration::from_millis(10));
    assert_eq!(server.datagrams(), [b"hello"]);

    // Half of the time later the lease is extended, to its address and from it.
    live(&mut client, &mut server, Duration::from_mins(31));
    let lease = client.stack.netif(client.netif).unwrap().dhcp_lease().unwrap();
    assert_eq!(lease.expires_at, start_time + Duration::from_millis(50) + Duration::from_mins(90));
    assert_eq!(client.stack.counters().dhcp.sent, 3);

    client.stack.netif(client.netif).unwrap().dhcp_release().unwrap();
    live(&mut client, &mut server, Duration::from_secs(1));
    assert_eq!(address(&mut client), NOBODY);
    assert_eq!(server.stack.counters().dhcp.received, 4);
}

/// The same with rapid commit, a server that probes, and checks before use: all of it within the sum of the times that
/// the RFCs demand.
#[test]
fn two_stacks_that_are_careful() {
    let (mut client, mut server) = (client(), server(&server_config()));
    start(&mut client, &DhcpConfig { conflict_check: ConflictCheck::BeforeUse, ..DhcpConfig::new() });
    live(&mut client, &mut server, Duration::from_secs(1));
    assert_eq!(client.stack.netif(client.netif).unwrap().dhcp_state(), DhcpState::Checking);
    assert_eq!(address(&mut client), NOBODY);
    live(&mut client, &mut server, Duration::from_secs(7));
    assert_eq!(address(&mut client), FIRST);
}

/// [2131-3] A server may send its offer to the address that it offers, before that is ours.
#[test]
fn answers_to_an_address_that_is_not_ours_yet() {
    let mut host = client();
    start(&mut host, &plain());
    let (seen, discover) = sent_message(&mut host);
    assert_eq!((seen.source(), seen.destination()), (NOBODY, ALL));
    let offer = from_server(FIRST, &answer(&discover, MessageType::Offer, &[])).addressed_to(OUR_MAC);
    // Only the message itself gets through, and only whole.
    host.input(offer.clone().with_payload(|payload| payload[3] = 67).frame());
    host.input(offer.clone().fragment(0, true).frame());
    host.input(offer.clone().with_payload(|payload| payload[7] ^= 1).frame());
    host.input(offer.clone().addressed_to(PEER_MAC).frame());
    assert_eq!(host.sent().len(), 0);
    host.input(offer.frame());
    let (seen, request) = sent_message(&mut host);
    assert_eq!((seen.source(), seen.destination()), (NOBODY, ALL));
    host.input(from_server(FIRST, &answer(&request, MessageType::Ack, &[])).addressed_to(OUR_MAC).frame());
    assert_eq!(address(&mut host), FIRST);
}

/// Without a client nobody takes what comes to its port, with one nobody else.
#[test]
fn whose_the_port_is() {
    let mut host = Host::configured(|_| ());
    let app = host.udp("app", 68);
    host.stack.udp(app).unwrap().set_broadcast(true).unwrap();
    host.input(Packet::udp("192.0.2.1:67", "192.0.2.255:68", b"for the app").frame());
    assert_eq!(host.datagrams(), [b"for the app"]);
    let mut other = client();
    other.input(from_server(FIRST, b"for nobody").addressed_to(OUR_MAC).frame());
    assert_eq!(other.stack.counters().ip.not_for_us, 1);
    start(&mut other, &plain());
    other.input(from_server(ALL, b"no message").frame());
    assert_eq!(other.stack.counters().dhcp.malformed, 1);
    other.input(Packet::udp("192.0.2.1:6767", "255.255.255.255:68", &[0; 300]).frame());
    let discover = sent_message(&mut other).1;
    let offer = answer(&discover, MessageType::Offer, &[]);
    other.input(Packet::udp("192.0.2.1:6767", "255.255.255.255:68", &offer).frame());
    assert_eq!((other.stack.counters().dhcp.ignored, other.sent().len()), (1, 0));
}

/// Options beyond those that the client uses can be read, as long as the lease lasts.
#[test]
fn options_can_be_read() {
    let mut host = leased_with(&[(code::DOMAIN, b"example.org"), (150, &[1, 2, 3])]);
    let netif = host.stack.netif(host.netif).unwrap();
    let message = netif.dhcp_message().unwrap();
    assert!(message.value(code::DOMAIN).unwrap().eq(*b"example.org"));
    assert!(message.value(150).unwrap().eq([1, 2, 3]));
    let before = host.memory_used();
    host.stack.netif(host.netif).unwrap().dhcp_stop().unwrap();
    assert!(host.stack.netif(host.netif).unwrap().dhcp_message().is_none());
    assert!(host.memory_used() < before);
}

/// [RFC 3442] Routes, and the MTU, come and go with the lease.
#[test]
fn routes_and_mtu_come_and_go() {
    let routes = [24, 198, 51, 100, 192, 0, 2, 7, 0, 192, 0, 2, 9];
    let mut host = leased_with(&[(code::CLASSLESS_ROUTES, &routes), (code::MTU, &[0x04, 0xb0])]);
    let netif = host.stack.netif(host.netif).unwrap();
    assert_eq!((netif.mtu(), netif.ipv4().unwrap().gateway), (Ok(1_200), Ipv4Addr::new(192, 0, 2, 9)));
    let udp = host.udp("app", 5_000);
    let next_hop = |host: &mut Host, to: [u8; 4]| {
        let data = host.data(b"x");
        let sent = host.stack.udp(udp).unwrap().send_to(data, (Ipv4Addr::from(to), 7).into());
        sent.ok()?;
        Some(host.sent_one().arp().target_ipv4)
    };
    assert_eq!(next_hop(&mut host, [198, 51, 100, 1]), Some([192, 0, 2, 7]));
    assert_eq!(next_hop(&mut host, [203, 0, 113, 1]), Some([192, 0, 2, 9]));
    host.stack.netif(host.netif).unwrap().dhcp_stop().unwrap();
    assert_eq!(host.stack.netif(host.netif).unwrap().mtu(), Ok(1_500));
    assert_eq!(next_hop(&mut host, [198, 51, 100, 1]), None);
    // Routes that no host can have are counted, and the others hold.
    let wrong = [24, 198, 51, 100, 255, 255, 255, 255, 24, 198, 51, 101, 192, 0, 2, 7];
    let mut host = leased_with(&[(code::CLASSLESS_ROUTES, &wrong)]);
    assert_eq!(host.stack.counters().dhcp.routes_refused, 1);
    host.udp("app", 5_000);
    assert_eq!(next_hop(&mut host, [198, 51, 101, 1]), Some([192, 0, 2, 7]));
}

/// [5227-2, 2131-8] Somebody else turns out to have the address: it is declined, and the listener hears of it.
#[test]
fn a_conflict() {
    let mut host = client();
    start(&mut host, &DhcpConfig { offer_window: Duration::ZERO, ..DhcpConfig::new() });
    let (_, discover) = sent_message(&mut host);
    host.input(from_server(ALL, &answer(&discover, MessageType::Offer, &[])).frame());
    let (_, request) = sent_message(&mut host);
    host.input(from_server(ALL, &answer(&request, MessageType::Ack, &[])).frame());
    host.discard_sent();
    host.advance(Duration::from_secs(1));
    let probe = host.sent_one();
    assert_eq!(probe.arp().sender_ipv4, [0; 4]);
    assert_eq!(probe.arp().target_ipv4, FIRST.octets());
    // Our own probe, come back from a hub, is no conflict.
    host.input(Arp::request(OUR_MAC, NOBODY, FIRST).frame());
    assert_eq!(address(&mut host), FIRST);
    host.input(Arp::reply(PEER_MAC, FIRST).frame());
    assert_eq!(address(&mut host), NOBODY);
    let (seen, decline) = sent_message(&mut host);
    assert_eq!((seen.source(), seen.destination()), (NOBODY, ALL));
    assert_eq!(DhcpMessage::read(&decline).unwrap().message_type(), Some(MessageType::Decline));
}

/// [3927-2, 3927-3] A link-local address: probed, and all ARP about it goes to all.
#[test]
fn a_link_local_address() {
    let mut host = client();
    host.stack.netif(host.netif).unwrap().autoip_start().unwrap();
    host.advance(Duration::from_secs(8));
    let own = address(&mut host);
    assert!(own.is_link_local());
    assert!(host.stack.netif(host.netif).unwrap().autoip_supplied_address());
    let sent = host.sent_raw(host.netif);
    assert!(sent.len() >= 4 && sent.iter().all(|frame| frame[..6] == [0xff; 6]));
    let peer = Ipv4Addr::new(169, 254, 9, 9);
    host.input(Arp::request(PEER_MAC, peer, own).frame());
    let reply = host.sent_raw(host.netif).remove(0);
    assert_eq!(reply[..6], [0xff; 6]);
    assert_eq!(Seen::frame(&reply).arp().target_ipv4, peer.octets());
    host.stack.netif(host.netif).unwrap().autoip_stop().unwrap();
    assert_eq!(address(&mut host), NOBODY);
}

/// [5227-1] An address by hand that is checked first.
#[test]
fn an_address_by_hand_that_is_taken() {
    let mut host = client();
    let listener = host.app("listener");
    host.stack.netif_listen(None, Reasons::IPV4_CONFLICT, listener).unwrap();
    let wish = Ipv4Settings::new(OURS, 24);
    host.stack.netif(host.netif).unwrap().acd_start(wish).unwrap();
    host.advance(Duration::from_secs(1));
    host.input(Arp::reply(PEER_MAC, OURS).frame());
    assert_eq!((host.who_heard(), address(&mut host)), (vec!["listener"], NOBODY));
    host.stack.netif(host.netif).unwrap().acd_start(wish).unwrap();
    host.advance(Duration::from_secs(10));
    assert_eq!(host.stack.netif(host.netif).unwrap().ipv4(), Ok(wish));
    assert_eq!(host.who_heard(), Vec::<&str>::new());
}

/// The owner's word counts, and interfaces come and go.
#[test]
fn owners_interfere() {
    let mut host = leased_with(&[(code::MTU, &[0x04, 0xb0])]);
    let by_hand = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 200), 24);
    host.stack.netif(host.netif).unwrap().set_ipv4(by_hand).unwrap();
    let netif = host.stack.netif(host.netif).unwrap();
    assert_eq!((netif.dhcp_state(), netif.mtu(), netif.ipv4()), (DhcpState::Off, Ok(1_500), Ok(by_hand)));
    host.advance(Duration::from_hours(2));
    assert_eq!(address(&mut host), by_hand.address);

    let mut host = leased_with(&[]);
    host.stack.netif(host.netif).unwrap().set_up(false).unwrap();
    host.advance(Duration::from_mins(59));
    assert_eq!(address(&mut host), FIRST);
    host.advance(Duration::from_mins(1));
    assert_eq!(address(&mut host), NOBODY);
    host.stack.netif(host.netif).unwrap().set_up(true).unwrap();
    let (_, message) = sent_message(&mut host);
    assert_eq!(DhcpMessage::read(&message).unwrap().message_type(), Some(MessageType::Discover));
    host.stack.netif_remove(host.netif).unwrap();
    assert_eq!(host.poll(), None);
    let again = host.stack.netif_add(&NetifConfig::ethernet(OUR_MAC)).unwrap();
    assert_eq!(host.stack.netif(again).unwrap().dhcp_state(), DhcpState::Off);
}

#[test]
fn what_cannot_be_started() {
    let mut host = client();
    let tunnel = host.add(&NetifConfig::ip());
    let mut netif = host.stack.netif(tunnel).unwrap();
    assert_eq!(netif.dhcp_start(&DhcpConfig::new()), Err(Error::Interface));
    assert_eq!(netif.autoip_start(), Err(Error::Interface));
    assert_eq!(netif.acd_start(Ipv4Settings::new(OURS, 24)), Err(Error::Interface));
    assert_eq!(netif.dhcp_server_start(&server_config()), Err(Error::Interface));
    let mut netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.dhcp_inform(&DhcpConfig::new()), Err(Error::Value));
    assert_eq!(netif.acd_start(Ipv4Settings::NONE), Err(Error::Value));
    assert_eq!(netif.dhcp_server_start(&server_config()), Err(Error::Value), "no address, no network");
    // Nothing was started, so all of these do nothing.
    assert_eq!((netif.dhcp_renew(), netif.dhcp_stop(), netif.autoip_stop()), (Ok(()), Ok(()), Ok(())));
    assert_eq!((netif.dhcp_state(), netif.dhcp_supplied_address()), (DhcpState::Off, false));
    let mut host = Host::configured(|setup| setup.limits.dhcp_clients = 0);
    let mut netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.dhcp_server_start(&server_config()), Err(Error::Memory));
}

/// Without memory nothing is lost for good: what could not be sent is sent again.
#[test]
fn memory_runs_out() {
    let mut host = client();
    let mut held = Vec::new();
    while let Ok(buffer) = host.stack.memory().alloc(Layer::Raw, 16_000, Kind::Ram) {
        held.push(buffer);
    }
    while let Ok(buffer) = host.stack.memory().alloc(Layer::Raw, 64, Kind::Ram) {
        held.push(buffer);
    }
    while let Ok(buffer) = host.stack.memory().alloc(Layer::Raw, 64, Kind::Pool) {
        held.push(buffer);
    }
    start(&mut host, &plain());
    assert_eq!((host.stack.counters().dhcp.send_failed, host.sent().len()), (1, 0));
    held.clear();
    host.advance(Duration::from_secs(6));
    assert_eq!(host.sent().len(), 1);
    // An acknowledgment that cannot be kept is good all the same.
    let mut host = client();
    start(&mut host, &plain());
    let (_, discover) = sent_message(&mut host);
    host.input(from_server(ALL, &answer(&discover, MessageType::Offer, &[])).frame());
    let (_, request) = sent_message(&mut host);
    let ack = host.frame(&from_server(ALL, &answer(&request, MessageType::Ack, &[])).frame());
    while let Ok(buffer) = host.stack.memory().alloc(Layer::Raw, 256, Kind::Ram) {
        held.push(buffer);
    }
    host.stack.input(host.netif, ack, host.now).unwrap();
    assert_eq!(address(&mut host), FIRST);
    assert!(host.stack.netif(host.netif).unwrap().dhcp_message().is_none());
}

/// The message that gives the lease back leaves even if the server's station has to be asked for first.
#[test]
fn a_release_waits_for_the_server() {
    let mut host = leased_with(&[]);
    host.stack.netif(host.netif).unwrap().dhcp_release().unwrap();
    assert_eq!(address(&mut host), NOBODY);
    assert_eq!(host.sent_one().arp().target_ipv4, SERVER.octets());
    host.input(Arp::reply(SERVER_MAC, SERVER).frame());
    let (seen, release) = sent_message(&mut host);
    assert_eq!((seen.source(), seen.destination()), (FIRST, SERVER));
    assert_eq!(DhcpMessage::read(&release).unwrap().message_type(), Some(MessageType::Release));
}

/// [3927-4, 3927-5] A link-local address is a neighbour's, also for a host with another address and a gateway.
#[test]
fn link_local_addresses_are_never_behind_the_gateway() {
    let mut host = host();
    let udp = host.udp("app", 5_000);
    let data = host.data(b"x");
    let peer = Ipv4Addr::new(169, 254, 9, 9);
    host.stack.udp(udp).unwrap().send_to(data, (peer, 7).into()).unwrap();
    assert_eq!(host.sent_one().arp().target_ipv4, peer.octets());
    host.input(Arp::reply(PEER_MAC, peer).frame());
    assert_eq!(host.sent_one().destination(), peer);
}

/// The resolver knows the name servers and the search domains of a lease, as long as it lasts.
#[cfg(feature = "dns")]
#[test]
fn the_resolver_learns() {
    let servers = |host: &Host| host.stack.dns_servers().collect::<Vec<_>>();
    let mut host =
        leased_with(&[(code::DNS_SERVERS, &[192, 0, 2, 53, 192, 0, 2, 54]), (code::DOMAIN, b"example.org")]);
    assert_eq!(servers(&host), [Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::new(192, 0, 2, 54)]);
    let asker = host.app("asker");
    host.stack.dns_query("boat", Lookup::Ipv4, asker).unwrap();
    host.poll();
    host.input(Arp::reply(PEER_MAC, Ipv4Addr::new(192, 0, 2, 53)).frame());
    let (_, question) = sent_message(&mut host);
    let name = b"\x04boat\x07example\x03org\0";
    assert!(question.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)));
    host.stack.netif(host.netif).unwrap().dhcp_stop().unwrap();
    assert_eq!(servers(&host), Vec::<Ipv4Addr>::new());
    // A search list replaces the domain.
    let mut host =
        leased_with(&[(code::SEARCH, b"\x01a\0\x01b\xc0\0"), (code::DNS_SERVERS, &[192, 0, 2, 53])]);
    let asker = host.app("asker");
    host.stack.dns_query("boat", Lookup::Ipv4, asker).unwrap();
    host.poll();
    host.input(Arp::reply(PEER_MAC, Ipv4Addr::new(192, 0, 2, 53)).frame());
    let (_, question) = sent_message(&mut host);
    let name = b"\x04boat\x01a\0";
    assert!(question.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)));
}
