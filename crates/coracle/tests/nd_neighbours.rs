//! Neighbours found, used and given up [RFC 4861 §7].
#![cfg(feature = "ipv6")]

mod common;
mod nd_common;

use std::net::Ipv6Addr;
use std::time::Duration;

use coracle::wire::ipv6::group;
use coracle::wire::ndp::Writer;
use coracle::*;
use nd_common::*;

use common::{Heard, Host, OUR_MAC};

const SECOND: Duration = Duration::from_secs(1);

/// A host with its link-local address, which has sent a datagram to `OTHER` on the link; its own address.
fn asking() -> (Host, UdpHandle, Ipv6Addr) {
    let mut host = settled();
    host.advance(Duration::from_secs(20));
    seen(&mut host);
    let own = link_local(&mut host);
    let app = host.app("sender");
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().bind("[::]:5000".parse().unwrap()).unwrap();
    send(&mut host, udp);
    (host, udp, own)
}

fn to_other(host: &Host) -> std::net::SocketAddr {
    std::net::SocketAddrV6::new(OTHER, 9, 0, u32::from(host.netif.index())).into()
}

fn send(host: &mut Host, udp: UdpHandle) {
    let to = to_other(host);
    host.stack.udp(udp).unwrap().send_bytes_to(b"data", to).unwrap();
}

fn state(host: &mut Host) -> Option<NeighbourState> {
    neighbour(host, OTHER).map(|(state, _)| state)
}

/// The stations that datagrams left for; solicitations are thrown away.
fn datagrams_to(host: &mut Host) -> Vec<MacAddr> {
    let frames = host.sent_raw(host.netif);
    let data = frames.iter().filter(|frame| message(frame).is_none());
    data.map(|frame| MacAddr(frame[..6].try_into().unwrap())).collect()
}

/// Reachable, by an answer.
fn known() -> (Host, UdpHandle, Ipv6Addr) {
    let (mut host, udp, own) = asking();
    answer(&mut host, OTHER_MAC, OTHER, own, (false, true, true));
    assert_eq!(datagrams_to(&mut host), [OTHER_MAC]);
    assert_eq!(state(&mut host), Some(NeighbourState::Reachable));
    (host, udp, own)
}

/// [4861-6] [4861-7]: three times, a second apart, to the group of the one who is sought; then whoever sent hears of it.
#[test]
fn a_neighbour_that_does_not_answer() {
    let (mut host, _, own) = asking();
    assert_eq!(state(&mut host), Some(NeighbourState::Incomplete));
    let mut sent = seen(&mut host);
    for _ in 0..2 {
        host.advance(Duration::from_millis(990));
        assert!(seen(&mut host).is_empty());
        host.advance(Duration::from_millis(10));
        sent.extend(seen(&mut host));
    }
    assert_eq!(sent.len(), 3);
    for solicitation in &sent {
        assert_eq!((solicitation.kind, solicitation.target, solicitation.source), (135, Some(OTHER), own));
        assert_eq!(solicitation.destination, group::solicited_node(OTHER));
        assert_eq!(solicitation.to_station, MacAddr::multicast_v6(group::solicited_node(OTHER)));
        assert!(solicitation.has_option(1));
    }
    host.advance(SECOND);
    assert_eq!(state(&mut host), None);
    assert!(seen(&mut host).is_empty());
    let heard = host.heard();
    let unreachable = |heard: &Heard| {
        matches!(heard, Heard::DatagramError { error: IcmpError { kind, .. }, .. }
            if *kind == IcmpErrorKind::HostUnreachable)
    };
    assert!(heard.iter().any(unreachable), "{heard:?}");
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [4861-8], row by row: what an advertisement does to an entry, by what the entry is.
#[test]
fn each_advertisement_to_each_entry() {
    use NeighbourState::{Incomplete, Reachable, Stale};
    let new = MacAddr::new(2, 0, 0, 0, 0, 0x33);
    // Whether it was answered before; station told; solicited, override; then state and station.
    let cases = [
        (false, Some(new), (true, true), (Reachable, Some(new))),
        (false, Some(new), (true, false), (Reachable, Some(new))),
        (false, Some(new), (false, true), (Stale, Some(new))),
        (false, Some(new), (false, false), (Stale, Some(new))),
        (false, None, (true, true), (Incomplete, None)),
        (true, Some(OTHER_MAC), (true, false), (Reachable, Some(OTHER_MAC))),
        (true, Some(OTHER_MAC), (false, true), (Reachable, Some(OTHER_MAC))),
        (true, Some(new), (true, false), (Stale, Some(OTHER_MAC))),
        (true, Some(new), (false, false), (Stale, Some(OTHER_MAC))),
        (true, Some(new), (true, true), (Reachable, Some(new))),
        (true, Some(new), (false, true), (Stale, Some(new))),
        (true, None, (true, false), (Reachable, Some(OTHER_MAC))),
        (true, None, (false, true), (Reachable, Some(OTHER_MAC))),
    ];
    for case @ (answered, station, (solicited, overrides), expected) in cases {
        let (mut host, _, own) = if answered { known() } else { asking() };
        let to = if solicited { own } else { group::ALL_NODES };
        say(&mut host, OTHER_MAC, OTHER, to, |into| {
            let mut writer = Writer::neighbour_advertisement(into, OTHER, false, solicited, overrides);
            if let Some(station) = station {
                writer.target_station(station);
            }
            writer
        });
        assert_eq!(neighbour(&mut host, OTHER), Some(expected), "{case:?}");
    }
}

/// [4861-8] [own-ND]: nobody is entered by saying so.
#[test]
fn an_advertisement_that_nobody_asked_for_enters_nobody() {
    let mut host = settled();
    let own = link_local(&mut host);
    for to in [own, group::ALL_NODES] {
        answer(&mut host, OTHER_MAC, OTHER, to, (false, to == own, true));
        assert_eq!(neighbour(&mut host, OTHER), None);
    }
}

/// [4861-6]: after half a minute stale, still used, and after five seconds of use asked, itself, three times.
#[test]
fn a_neighbour_that_goes_away() {
    let (mut host, udp, own) = known();
    // The time differs by up to a half.
    host.advance(Duration::from_secs(15));
    assert_eq!(state(&mut host), Some(NeighbourState::Reachable));
    host.advance(Duration::from_secs(30));
    assert_eq!(state(&mut host), Some(NeighbourState::Stale));
    assert!(seen(&mut host).is_empty());
    send(&mut host, udp);
    assert_eq!(datagrams_to(&mut host), [OTHER_MAC]);
    assert_eq!(state(&mut host), Some(NeighbourState::Delay));
    host.advance(Duration::from_millis(4_900));
    assert!(seen(&mut host).is_empty());
    host.advance(Duration::from_millis(200));
    assert_eq!(state(&mut host), Some(NeighbourState::Probe));
    host.advance(2 * SECOND);
    let sent = seen(&mut host);
    assert_eq!(sent.len(), 3);
    for solicitation in &sent {
        assert_eq!((solicitation.destination, solicitation.to_station), (OTHER, OTHER_MAC));
        assert_eq!((solicitation.source, solicitation.target), (own, Some(OTHER)));
    }
    send(&mut host, udp);
    assert_eq!(datagrams_to(&mut host), [OTHER_MAC], "used until it is given up");
    host.advance(SECOND);
    assert_eq!(state(&mut host), None);
}

/// [4861-6]: an answer to the probe, and the timer begins anew.
#[test]
fn a_neighbour_that_is_still_there() {
    let (mut host, udp, own) = known();
    host.advance(Duration::from_secs(46));
    send(&mut host, udp);
    host.advance(Duration::from_secs(6));
    assert_eq!(state(&mut host), Some(NeighbourState::Probe));
    answer(&mut host, OTHER_MAC, OTHER, own, (false, true, false));
    assert_eq!(state(&mut host), Some(NeighbourState::Reachable));
    host.advance(Duration::from_secs(14));
    assert_eq!(state(&mut host), Some(NeighbourState::Reachable));
}

/// Entries that nobody uses stay, and cost no frame.
#[test]
fn a_stale_entry_asks_for_nothing() {
    let (mut host, _, _) = known();
    datagrams_to(&mut host);
    host.advance(Duration::from_hours(24));
    assert_eq!(state(&mut host), Some(NeighbourState::Stale));
    assert!(seen(&mut host).is_empty());
}

/// [RFC 4861 §7.2.3]: who asks is known then, but as stale; a new station replaces the old one.
#[test]
fn whoever_asks_is_known() {
    let mut host = settled();
    let own = link_local(&mut host);
    let ask = |host: &mut Host, mac| {
        say(host, mac, OTHER, group::solicited_node(own), |into| {
            let mut writer = Writer::neighbour_solicitation(into, own);
            writer.source_station(mac);
            writer
        });
    };
    ask(&mut host, OTHER_MAC);
    assert_eq!(neighbour(&mut host, OTHER), Some((NeighbourState::Stale, Some(OTHER_MAC))));
    let sent = seen(&mut host);
    let [answer_sent] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((answer_sent.kind, answer_sent.flags), (136, 0x60), "solicited, override, no router");
    assert_eq!((answer_sent.destination, answer_sent.to_station), (OTHER, OTHER_MAC));
    assert_eq!(answer_sent.options, [[&[2, 1][..], &OUR_MAC.0].concat()]);
    answer(&mut host, OTHER_MAC, OTHER, own, (false, true, true));
    assert_eq!(state(&mut host), Some(NeighbourState::Reachable));
    ask(&mut host, OTHER_MAC);
    assert_eq!(state(&mut host), Some(NeighbourState::Reachable));
    let moved = MacAddr::new(2, 0, 0, 0, 0, 0x44);
    ask(&mut host, moved);
    assert_eq!(neighbour(&mut host, OTHER), Some((NeighbourState::Stale, Some(moved))));
}

/// A question that arrives while we ask brings what waits on its way.
#[test]
fn what_waits_leaves_when_the_neighbour_asks_us() {
    let (mut host, _, own) = asking();
    say(&mut host, OTHER_MAC, OTHER, group::solicited_node(own), |into| {
        let mut writer = Writer::neighbour_solicitation(into, own);
        writer.source_station(OTHER_MAC);
        writer
    });
    assert!(datagrams_to(&mut host).contains(&OTHER_MAC));
}

/// [own-ND]: a flood of questions pushes out nobody.
#[test]
fn a_flood_of_questions_pushes_nobody_out() {
    let (mut host, udp, own) = known();
    for low in 0x100..0x400_u16 {
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, low);
        let mac = MacAddr::new(2, 0, 0, 1, (low >> 8) as u8, low as u8);
        say(&mut host, mac, source, group::solicited_node(own), |into| {
            let mut writer = Writer::neighbour_solicitation(into, own);
            writer.source_station(mac);
            writer
        });
        host.sent_raw(host.netif);
    }
    assert_eq!(state(&mut host), Some(NeighbourState::Reachable));
    send(&mut host, udp);
    assert_eq!(datagrams_to(&mut host), [OTHER_MAC]);
    assert!(host.stack.neighbours().count() <= 16);
}

/// Packets that wait are few, and the newest [4861-7].
#[test]
fn few_packets_wait() {
    let (mut host, udp, own) = asking();
    for _ in 0..10 {
        send(&mut host, udp);
    }
    seen(&mut host);
    answer(&mut host, OTHER_MAC, OTHER, own, (false, true, true));
    assert_eq!(datagrams_to(&mut host), [OTHER_MAC; 3]);
}

/// [4861-1]: each of the rules, broken alone.
#[test]
fn messages_that_break_the_rules_are_dropped() {
    let mut host = settled();
    let own = link_local(&mut host);
    let group = group::solicited_node(own);
    let mut bytes = [0; 32];
    let mut writer = Writer::neighbour_solicitation(&mut bytes, own);
    writer.source_station(OTHER_MAC);
    writer.finish(OTHER, group).unwrap();
    let frame =
        |bytes: &[u8], hop_limit| packet((OTHER_MAC, OUR_MAC), (OTHER, group), (58, hop_limit), bytes);
    host.input(frame(&bytes, 254));
    let mut wrong_sum = bytes;
    wrong_sum[2] ^= 1;
    host.input(frame(&wrong_sum, 255));
    // Code 1, and an option of length 0; sums made right by the sum of what changed.
    let summed = |mut bytes: [u8; 32], at: usize, value: u8| {
        bytes[at] = value;
        bytes[2..4].fill(0);
        let sum = wire::icmpv6::checksum(OTHER, group, &bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    };
    host.input(frame(&summed(bytes, 1, 1), 255));
    host.input(frame(&summed(bytes, 25, 0), 255));
    host.input(frame(&summed(bytes, 25, 2), 255));
    assert!(seen(&mut host).is_empty());
    assert_eq!(neighbour(&mut host, OTHER), None);
    let counters = host.stack.counters();
    assert_eq!((counters.nd.malformed, counters.icmp6.bad_checksum), (4, 1));
    host.input(frame(&bytes, 255));
    assert_eq!(seen(&mut host).len(), 1);
}

/// [6980-1]: neither in fragments nor in a single one.
#[test]
fn messages_in_fragments_are_dropped() {
    let mut host = settled();
    let own = link_local(&mut host);
    let group = group::solicited_node(own);
    let mut bytes = [0; 32];
    let mut writer = Writer::neighbour_solicitation(&mut bytes, own);
    writer.source_station(OTHER_MAC);
    writer.finish(OTHER, group).unwrap();
    let part = |offset: u8, more: u8, id: u8, data: &[u8]| {
        let payload = [&[58, 0, 0, offset | more, 0, 0, 0, id][..], data].concat();
        packet((OTHER_MAC, OUR_MAC), (OTHER, group), (44, 255), &payload)
    };
    host.input(part(0, 0, 1, &bytes));
    host.input(part(0, 1, 2, &bytes[..16]));
    host.input(part(16, 0, 2, &bytes[16..]));
    assert!(seen(&mut host).is_empty());
    assert_eq!(neighbour(&mut host, OTHER), None);
    let counters = host.stack.counters();
    assert_eq!((counters.nd.malformed, counters.ip6.reassembled), (1, 0));
}

/// A neighbour that the owner sets is never asked, and nobody replaces it.
#[test]
fn what_the_owner_set_stays() {
    let mut host = settled();
    let own = link_local(&mut host);
    host.stack.netif(host.netif).unwrap().set_neighbour(OTHER.into(), OTHER_MAC).unwrap();
    answer(&mut host, ROUTER_MAC, OTHER, own, (false, true, true));
    host.advance(Duration::from_hours(1));
    assert_eq!(neighbour(&mut host, OTHER), Some((NeighbourState::Static, Some(OTHER_MAC))));
}
