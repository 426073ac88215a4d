//! ARP and the neighbour cache [RFC 826, RFC 1122 §2.3.2, RFC 5227].

mod common;
use common::*;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::*;
use etherparse::ArpOperation;

const SECOND: Duration = Duration::from_secs(1);
const OTHER_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 0x77);

fn to(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 9).into()
}

fn station(last: u8) -> MacAddr {
    MacAddr::new(2, 0, 0, 0, 7, last)
}

fn neighbour(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

fn state(host: &Host, address: Ipv4Addr) -> Option<(NeighbourState, Option<MacAddr>, usize)> {
    let found = host.stack.neighbours().find(|entry| entry.address == address);
    found.map(|entry| (entry.state, entry.station, entry.pending))
}

fn send(host: &mut Host, udp: UdpHandle, bytes: &[u8], last: u8) -> Result<(), Error> {
    host.stack.udp(udp).unwrap().send_bytes_to(bytes, to(last))
}

/// What left, requests apart: the data of datagrams, and where they went.
fn datagrams_sent(host: &mut Host) -> Vec<(MacAddr, Vec<u8>)> {
    let sent = host.sent();
    sent.iter().filter(|sent| !sent.is_arp()).map(|sent| (sent.to, sent.udp_data().to_vec())).collect()
}

#[test]
fn an_unknown_neighbour_is_asked_for_and_what_waits_leaves_with_the_answer() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    send(&mut host, udp, b"waits", 9).unwrap();
    let request = host.sent_one();
    assert_eq!((request.to, request.from), (MacAddr::BROADCAST, OUR_MAC));
    let arp = request.arp();
    assert_eq!(arp.operation, ArpOperation::REQUEST);
    assert_eq!((arp.sender_mac, arp.sender_ipv4), (OUR_MAC.0, OURS.octets()));
    assert_eq!((arp.target_mac, arp.target_ipv4), ([0; 6], PEER.octets()));
    assert_eq!(state(&host, PEER), Some((NeighbourState::Incomplete, None, 1)));
    assert_eq!(host.stack.netif(host.netif).unwrap().neighbour(PEER.into()), None);
    host.input(Arp::reply(PEER_MAC, PEER).frame());
    assert_eq!(datagrams_sent(&mut host), [(PEER_MAC, b"waits".to_vec())]);
    assert_eq!(state(&host, PEER), Some((NeighbourState::Reachable, Some(PEER_MAC), 0)));
    assert_eq!(host.stack.netif(host.netif).unwrap().neighbour(PEER.into()), Some(PEER_MAC));
    send(&mut host, udp, b"at once", 9).unwrap();
    assert_eq!(datagrams_sent(&mut host), [(PEER_MAC, b"at once".to_vec())]);
}

#[test]
fn a_request_for_us_is_answered_to_who_asked() {
    let mut host = host();
    host.input(Arp::request(PEER_MAC, PEER, OURS).frame());
    let reply = host.sent_one();
    assert_eq!((reply.to, reply.from), (PEER_MAC, OUR_MAC));
    let arp = reply.arp();
    assert_eq!(arp.operation, ArpOperation::REPLY);
    assert_eq!((arp.sender_mac, arp.sender_ipv4), (OUR_MAC.0, OURS.octets()));
    assert_eq!((arp.target_mac, arp.target_ipv4), (PEER_MAC.0, PEER.octets()));
    host.input(Arp::request(PEER_MAC, PEER, neighbour(3)).frame());
    host.input(Arp::request(PEER_MAC, PEER, BROADCAST).frame());
    assert!(host.sent().is_empty(), "asked for somebody else");
}

/// [RFC 5227 §2.1.1] A probe has no sender address: it is answered, and teaches nothing.
#[test]
fn a_probe_for_our_address_is_answered_and_not_learnt() {
    let mut host = host();
    host.input(Arp::request(PEER_MAC, Ipv4Addr::UNSPECIFIED, OURS).frame());
    let reply = host.sent_one();
    assert_eq!((reply.to, reply.arp().target_ipv4), (PEER_MAC, [0; 4]));
    assert_eq!(host.stack.neighbours().count(), 0);
}

/// [ARP-4] At least the latest packet waits; the newest are kept.
#[test]
fn the_newest_packets_wait_and_the_oldest_give_way() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    for number in 0..10_u8 {
        send(&mut host, udp, &[number], 9).unwrap();
    }
    assert_eq!(state(&host, PEER).unwrap().2, 3);
    assert_eq!(host.stack.counters().arp.pending_dropped, 7);
    host.input(Arp::reply(PEER_MAC, PEER).frame());
    let data: Vec<Vec<u8>> = datagrams_sent(&mut host).into_iter().map(|(_, data)| data).collect();
    assert_eq!(data, [[7], [8], [9]]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// Packets that wait are bounded over all neighbours, and every neighbour may replace its own.
#[test]
fn the_limit_of_all_waiting_packets_holds_and_is_given_free_again() {
    let mut host = Host::configured(|setup| setup.config.pending = 4);
    let udp = host.udp("sender", 5_000);
    for last in [20, 20, 21, 22] {
        send(&mut host, udp, &[last], last).unwrap();
    }
    assert_eq!(send(&mut host, udp, b"no", 23), Err(Error::WouldBlock));
    assert_eq!(state(&host, neighbour(23)), None, "no entry for what cannot wait");
    send(&mut host, udp, b"newer", 21).unwrap();
    assert_eq!(state(&host, neighbour(21)).unwrap().2, 1);
    let mut netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.query_neighbour(neighbour(24).into()), Err(Error::WouldBlock));
    host.discard_sent();
    host.input(Arp::reply(station(20), neighbour(20)).frame());
    assert_eq!(datagrams_sent(&mut host).len(), 2);
    send(&mut host, udp, b"now", 23).unwrap();
    send(&mut host, udp, b"now", 24).unwrap();
    assert_eq!(send(&mut host, udp, b"no", 25), Err(Error::WouldBlock));
    host.stack.netif(host.netif).unwrap().set_up(false).unwrap();
    host.stack.netif(host.netif).unwrap().set_up(true).unwrap();
    for last in 30..34 {
        send(&mut host, udp, b"all free", last).unwrap();
    }
}

/// [ARP-3] At most one request a second for one neighbour, however much is sent.
#[test]
fn requests_are_limited_to_one_a_second_and_end_with_an_error() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    let mut requests = Vec::new();
    for tick in 0..45 {
        if tick < 44 {
            send(&mut host, udp, &[tick], 9).unwrap();
        }
        requests.extend(host.sent().iter().map(|_| tick));
        host.advance(Duration::from_millis(100));
    }
    assert_eq!(requests, [0, 10, 20, 30, 40]);
    assert!(host.heard().is_empty());
    host.advance(Duration::from_millis(500));
    let error = IcmpError { kind: IcmpErrorKind::HostUnreachable, reporter: None };
    let given_up = Heard::DatagramError { who: "sender", to: to(9), error };
    assert_eq!(host.heard(), [given_up.clone(), given_up.clone(), given_up], "each that waited");
    assert_eq!(error.error(), Error::Route);
    assert_eq!((host.stack.counters().arp.unresolved, state(&host, PEER)), (1, None));
    assert_eq!(host.memory_used(), (0, 0, 0));
    send(&mut host, udp, b"again", 9).unwrap();
    assert_eq!(host.sent_one().arp().target_ipv4, PEER.octets());
}

/// One call of `poll` does all that is due: also the reports of packets given up.
#[test]
fn giving_up_is_reported_in_the_poll_in_which_it_is_due() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    send(&mut host, udp, b"lost", 9).unwrap();
    for second in 1..=5 {
        host.stack.poll(host.now + SECOND * second);
    }
    assert_eq!(host.who_heard(), ["sender"]);
}

#[test]
fn an_entry_is_refreshed_by_unicast_then_by_broadcast_and_then_forgotten() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    host.meet_peer();
    host.advance(Duration::from_secs(269));
    send(&mut host, udp, b"x", 9).unwrap();
    assert_eq!(datagrams_sent(&mut host).len(), 1, "still fresh, so nobody is asked");
    assert_eq!(state(&host, PEER).unwrap().0, NeighbourState::Reachable);
    host.advance(SECOND);
    assert_eq!(state(&host, PEER).unwrap().0, NeighbourState::Stale);
    assert!(host.sent().is_empty(), "what nobody uses is not asked for");
    let mut asked = Vec::new();
    for _ in 0..5 {
        send(&mut host, udp, b"used", 9).unwrap();
        let sent = host.sent();
        assert_eq!(sent.iter().filter(|sent| !sent.is_arp()).count(), 1, "it is used meanwhile");
        asked.extend(sent.iter().filter(|sent| sent.is_arp()).map(|sent| sent.to));
        host.advance(SECOND);
        asked.extend(host.sent().iter().map(|sent| sent.to));
    }
    let unicast = [PEER_MAC; 4];
    assert_eq!((&asked[..4], &asked[4..]), (&unicast[..], &[MacAddr::BROADCAST][..]));
    assert_eq!(state(&host, PEER), None);
    send(&mut host, udp, b"asked anew", 9).unwrap();
    assert!(host.sent_one().is_arp());
}

#[test]
fn an_answer_to_a_refresh_makes_the_entry_fresh_and_an_unused_one_expires_in_silence() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    host.meet_peer();
    host.advance(Duration::from_secs(275));
    send(&mut host, udp, b"use", 9).unwrap();
    assert_eq!(host.sent().len(), 2);
    host.input(Arp::reply(PEER_MAC, PEER).frame());
    assert_eq!(state(&host, PEER).unwrap().0, NeighbourState::Reachable);
    host.advance(Duration::from_secs(269));
    assert_eq!(state(&host, PEER).unwrap().0, NeighbourState::Reachable);
    host.advance(Duration::from_secs(31));
    assert_eq!(state(&host, PEER), None, "[ARP-3] older than its lifetime");
    assert!(host.sent().is_empty() && host.heard().is_empty());
    assert_eq!(host.poll(), None, "an empty cache asks for no time");
}

/// [ARP-2] Any valid packet updates an entry; only one that is meant for us makes one.
#[test]
fn a_packet_not_for_us_updates_an_entry_and_makes_none() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    host.input(Arp::gratuitous(PEER_MAC, PEER).frame());
    host.input(Arp::request(PEER_MAC, PEER, neighbour(3)).frame());
    assert_eq!(host.stack.neighbours().count(), 0);
    host.meet_peer();
    send(&mut host, udp, b"old", 9).unwrap();
    host.input(Arp::gratuitous(OTHER_MAC, PEER).frame());
    send(&mut host, udp, b"new", 9).unwrap();
    let sent = datagrams_sent(&mut host);
    assert_eq!(sent, [(PEER_MAC, b"old".to_vec()), (OTHER_MAC, b"new".to_vec())]);
}

/// [pitfalls: neighbours] Gratuitous ARP cannot fill the table, nor can requests push out whom we talk to.
#[test]
fn a_flood_of_announcements_and_requests_leaves_the_table_to_those_in_use() {
    let mut host = Host::configured(|setup| setup.limits.neighbours = 4);
    let udp = host.udp("sender", 5_000);
    for last in 10..250 {
        host.input(Arp::gratuitous(station(last), neighbour(last)).frame());
    }
    assert_eq!(host.stack.neighbours().count(), 0);
    host.meet_peer();
    send(&mut host, udp, b"talk", 9).unwrap();
    host.discard_sent();
    for last in 10..250 {
        host.input(Arp::request(station(last), neighbour(last), OURS).frame());
        assert_eq!(host.sent_one().to, station(last), "each is answered");
        host.input(Arp::reply(station(last), neighbour(last)).frame());
    }
    assert!(host.stack.neighbours().count() <= 4);
    send(&mut host, udp, b"talk", 9).unwrap();
    assert_eq!(datagrams_sent(&mut host).len(), 1, "the peer was pushed out");
}

#[test]
fn a_full_table_gives_the_place_of_who_was_not_used_lately() {
    let mut host = Host::configured(|setup| setup.limits.neighbours = 4);
    let udp = host.udp("sender", 5_000);
    host.stack.netif(host.netif).unwrap().set_neighbour(neighbour(50).into(), station(50)).unwrap();
    for last in [10, 11, 12] {
        host.meet(neighbour(last), station(last));
    }
    for round in 0..20 {
        for last in [10, 11] {
            send(&mut host, udp, b"used", last).unwrap();
        }
        send(&mut host, udp, b"new", 100 + round).unwrap();
        assert!(host.stack.neighbours().count() <= 4);
    }
    assert!(host.stack.counters().arp.evicted >= 19);
    let known = |last: u8| state(&host, neighbour(last)).is_some_and(|(_, station, _)| station.is_some());
    assert!(known(50), "what the owner set stays");
    assert!(!known(12), "what was never used goes first");
}

/// [ARP-1] Types, lengths and the minimum size are checked; padding after a short frame is no matter.
#[test]
fn malformed_arp_is_dropped_and_counted_for_every_length_and_field() {
    let mut host = host();
    let request = Arp::request(PEER_MAC, PEER, OURS);
    let whole = request.packet();
    for len in 0..28 {
        host.input(request.frame_of(&whole[..len]));
    }
    for (at, byte) in [(1, 6), (0, 1), (2, 9), (3, 6), (4, 0), (4, 5), (4, 255), (5, 0), (5, 16), (5, 255)] {
        let mut wrong = whole.clone();
        wrong[at] = byte;
        host.input(request.frame_of(&wrong));
    }
    assert!(host.sent().is_empty());
    assert_eq!((host.stack.counters().arp.malformed, host.stack.neighbours().count()), (38, 0));
    for operation in [0, 3, 8, 9, u16::MAX] {
        let mut odd = request.clone();
        odd.operation = operation;
        host.input(odd.frame());
    }
    assert!(host.sent().is_empty(), "only a request is answered");
    let padded = [&whole[..], &[0; 18]].concat();
    host.input(request.frame_of(&padded));
    assert_eq!(host.sent_one().to, PEER_MAC);
}

/// [pitfalls: neighbours] A sender that is multicast, broadcast, off-link, loopback, ours, or has no station.
#[test]
fn senders_that_cannot_be_are_neither_learnt_nor_answered() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    host.meet_peer();
    let senders = [
        (MacAddr::BROADCAST, PEER),
        (MacAddr::new(1, 0, 0x5e, 0, 0, 1), PEER),
        (MacAddr::ZERO, PEER),
        (OUR_MAC, PEER),
        (OTHER_MAC, Ipv4Addr::new(198, 51, 100, 9)),
        (OTHER_MAC, BROADCAST),
        (OTHER_MAC, Ipv4Addr::BROADCAST),
        (OTHER_MAC, Ipv4Addr::new(224, 0, 0, 1)),
        (OTHER_MAC, Ipv4Addr::LOCALHOST),
    ];
    for (station, sender) in senders {
        for operation in [1, 2] {
            let mut arp = Arp::request(station, sender, OURS);
            arp.operation = operation;
            arp.from = PEER_MAC;
            host.input(arp.frame());
            assert!(host.sent().is_empty(), "answered {station:?} {sender}");
        }
    }
    assert_eq!(host.stack.counters().arp.bad_sender, 18);
    assert_eq!(host.stack.neighbours().count(), 1);
    send(&mut host, udp, b"where it was", 9).unwrap();
    assert_eq!(datagrams_sent(&mut host)[0].0, PEER_MAC);
}

/// [5227-4] Somebody else claims our address: it is counted, and neither learnt nor answered.
#[test]
fn a_conflict_is_counted_and_our_address_is_not_learnt() {
    let mut host = host();
    host.input(Arp::gratuitous(OTHER_MAC, OURS).frame());
    host.input(Arp::reply(OTHER_MAC, OURS).frame());
    assert!(host.sent().is_empty());
    assert_eq!((host.stack.counters().arp.conflicts, host.stack.neighbours().count()), (2, 0));
}

#[test]
fn an_entry_that_the_owner_set_is_never_asked_for_changed_or_forgotten() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    send(&mut host, udp, b"waits", 9).unwrap();
    host.discard_sent();
    let mut netif = host.stack.netif(host.netif).unwrap();
    netif.set_neighbour(PEER.into(), PEER_MAC).unwrap();
    assert_eq!(datagrams_sent(&mut host), [(PEER_MAC, b"waits".to_vec())]);
    host.input(Arp::reply(OTHER_MAC, PEER).frame());
    host.advance(Duration::from_hours(24));
    send(&mut host, udp, b"static", 9).unwrap();
    assert_eq!(datagrams_sent(&mut host), [(PEER_MAC, b"static".to_vec())]);
    let mut netif = host.stack.netif(host.netif).unwrap();
    netif.set_neighbour(PEER.into(), OTHER_MAC).unwrap();
    send(&mut host, udp, b"moved", 9).unwrap();
    assert_eq!(datagrams_sent(&mut host), [(OTHER_MAC, b"moved".to_vec())]);
    let mut netif = host.stack.netif(host.netif).unwrap();
    netif.remove_neighbour(PEER.into()).unwrap();
    assert_eq!(netif.remove_neighbour(PEER.into()), Err(Error::Value));
    send(&mut host, udp, b"unknown", 9).unwrap();
    assert!(host.sent_one().is_arp());
    let mut netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.remove_neighbour(PEER.into()), Err(Error::Value), "it was not set");
    for (address, mac) in [
        (Ipv4Addr::new(198, 51, 100, 1), PEER_MAC),
        (BROADCAST, PEER_MAC),
        (PEER, MacAddr::ZERO),
        (PEER, MacAddr::BROADCAST),
    ] {
        assert_eq!(netif.set_neighbour(address.into(), mac), Err(Error::Value), "{address} {mac:?}");
    }
}

/// [RFC 5227 §2.3] When an interface comes up, gets another address or another station, it says so.
#[test]
fn announcements_are_made_and_can_be_asked_for() {
    let mut host = host();
    let announced = |host: &mut Host| {
        let sent = host.sent_one();
        assert_eq!(sent.to, MacAddr::BROADCAST);
        let arp = sent.arp();
        assert_eq!((arp.operation, arp.sender_ipv4), (ArpOperation::REQUEST, arp.target_ipv4));
        (MacAddr(arp.sender_mac), Ipv4Addr::from(arp.sender_ipv4))
    };
    host.stack.netif(host.netif).unwrap().announce().unwrap();
    assert_eq!(announced(&mut host), (OUR_MAC, OURS));
    host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap();
    assert_eq!(host.stack.netif(host.netif).unwrap().announce(), Err(Error::WouldBlock));
    host.stack.netif(host.netif).unwrap().set_link_up(true).unwrap();
    assert_eq!(announced(&mut host), (OUR_MAC, OURS));
    let new = Ipv4Settings::new(neighbour(3), 24);
    host.stack.netif(host.netif).unwrap().set_ipv4(new).unwrap();
    assert_eq!(announced(&mut host), (OUR_MAC, neighbour(3)));
    host.stack.netif(host.netif).unwrap().set_station(OTHER_MAC).unwrap();
    assert_eq!(announced(&mut host), (OTHER_MAC, neighbour(3)));
    host.stack.netif(host.netif).unwrap().set_ipv4(Ipv4Settings::NONE).unwrap();
    assert_eq!(host.stack.netif(host.netif).unwrap().announce(), Err(Error::Value));
    let tunnel = host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new(Ipv4Addr::new(10, 0, 0, 1), 24)));
    assert_eq!(host.stack.netif(tunnel).unwrap().announce(), Err(Error::Value));
    assert_eq!(host.stack.netif(tunnel).unwrap().query_neighbour(PEER.into()), Err(Error::Interface));
    assert!(host.sent().is_empty());
}

#[test]
fn neighbours_are_forgotten_when_the_link_the_address_or_the_interface_goes() {
    let changes: [fn(&mut Host); 4] = [
        |host| host.stack.netif(host.netif).unwrap().set_up(false).unwrap(),
        |host| host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap(),
        |host| {
            let new = Ipv4Settings::new(neighbour(3), 24);
            host.stack.netif(host.netif).unwrap().set_ipv4(new).unwrap();
        },
        |host| {
            host.stack.netif(host.netif).unwrap().set_vlan(Some(Tci::new(0, false, 5))).unwrap();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut host = host();
        let udp = host.udp("sender", 5_000);
        host.meet_peer();
        host.stack.netif(host.netif).unwrap().set_neighbour(neighbour(8).into(), station(8)).unwrap();
        send(&mut host, udp, b"waits", 33).unwrap();
        change(&mut host);
        host.discard_sent();
        let left: Vec<std::net::IpAddr> = host.stack.neighbours().map(|entry| entry.address).collect();
        assert_eq!(left, [neighbour(8)], "change {number}");
        assert_eq!(host.memory_used(), (0, 0, 0), "change {number}");
        host.advance(Duration::from_secs(20));
        assert!(host.sent().is_empty(), "nobody is asked for any more after change {number}");
    }
    let mut host = host();
    host.stack.netif(host.netif).unwrap().set_neighbour(neighbour(8).into(), station(8)).unwrap();
    host.stack.netif_remove(host.netif).unwrap();
    assert_eq!(host.stack.neighbours().count(), 0);
}
