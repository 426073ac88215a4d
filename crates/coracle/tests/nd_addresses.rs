//! Addresses that an interface makes for itself: examined, taken, renewed, given up [RFC 4862] [RFC 7217] [RFC 8981].
#![cfg(feature = "ipv6")]

mod common;
mod nd_common;

use std::time::Duration;

use coracle::wire::ipv6::group;
use coracle::wire::ndp::{INFINITE, Writer};
use coracle::*;
use nd_common::*;

use common::{Heard, OUR_MAC};

const SECOND: Duration = Duration::from_secs(1);

/// [4862-1] [4862-3] [4862-8] [4861-10]: asked once, after a wait of up to a second, from no address; ours a second later;
/// then routers are asked for, three times.
#[test]
fn an_interface_that_comes_up_has_a_link_local_address_soon() {
    let mut host = host();
    let own = link_local(&mut host);
    assert_eq!(addresses(&mut host), [(own, AddressState::Tentative)]);
    assert!(seen(&mut host).is_empty());
    host.advance(SECOND);
    let sent = seen(&mut host);
    let [probe] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((probe.kind, probe.target, probe.source), (135, Some(own), ip("::")));
    assert_eq!(probe.destination, group::solicited_node(own));
    assert!(probe.has_option(14) && !probe.has_option(1), "a nonce [RFC 7527], and no station");

    host.advance(SECOND);
    assert_eq!(addresses(&mut host), [(own, AddressState::Preferred)]);
    host.advance(Duration::from_secs(20));
    let sent = seen(&mut host);
    assert_eq!(sent.len(), 3, "{sent:?}");
    for solicitation in &sent {
        assert_eq!((solicitation.kind, solicitation.source), (133, own));
        assert_eq!(solicitation.destination, group::ALL_ROUTERS);
        assert_eq!(solicitation.options, [[&[1, 1][..], &OUR_MAC.0].concat()]);
    }
    assert_eq!(host.stack.next_deadline(), None, "nothing more to do");
}

/// [4862-2]: a switch that looks into MLD lets the answer through.
#[test]
fn the_group_of_an_address_is_joined_before_it_is_examined() {
    let mut host = host();
    let own = link_local(&mut host);
    host.advance(SECOND);
    let frames = host.sent_raw(host.netif);
    let group = group::solicited_node(own).octets();
    let reported = frames
        .iter()
        .position(|frame| message(frame).is_none() && frame.windows(16).any(|bytes| bytes == group));
    let asked = frames.iter().position(|frame| message(frame).is_some_and(|message| message.kind == 135));
    let (Some(reported), Some(asked)) = (reported, asked) else { panic!("{frames:02x?}") };
    assert!(reported < asked, "{frames:02x?}");
}

#[test]
fn an_interface_whose_owner_decides_sends_nothing() {
    let mut host = host_with(Ipv6Settings::MANUAL, |_| {});
    host.advance(Duration::from_secs(10));
    assert!(addresses(&mut host).is_empty() && seen(&mut host).is_empty());
    host.stack.netif(host.netif).unwrap().ipv6_add(ip("fe80::77"), 64).unwrap();
    assert_eq!(addresses(&mut host), [(ip("fe80::77"), AddressState::Preferred)]);
    // Whatever routers say.
    usual_router(&mut host);
    host.advance(SECOND);
    assert_eq!((addresses(&mut host).len(), way(&mut host, FAR)), (1, None));
}

/// [7217-1]: opaque, the same at each start with the same secret, another for each prefix.
#[test]
fn identifiers_are_stable_and_tell_nothing() {
    let with_secret = |secret, seed| {
        let mut host = host_with(Ipv6Settings::AUTO, |setup| {
            setup.config.seed = [seed; 16];
            setup.config.address_secret = secret;
        });
        host.advance(2 * SECOND);
        usual_router(&mut host);
        host.advance(3 * SECOND);
        (link_local(&mut host).octets(), of_prefix(&mut host, PREFIX).unwrap().0.octets())
    };
    let (link, global) = with_secret(Some([1; 16]), 1);
    assert_ne!(link[8..], global[8..]);
    assert_ne!(link[8..], ip("fe80::ff:fe00:2").octets()[8..]);
    assert_eq!((link, global), with_secret(Some([1; 16]), 2));
    assert_ne!((link, global), with_secret(Some([2; 16]), 1));
    assert_ne!(with_secret(None, 1), with_secret(None, 2));
}

#[test]
fn identifiers_as_the_owner_wants_them() {
    let with = |interface_id| {
        let mut host = host_with(Ipv6Settings { interface_id, ..Ipv6Settings::AUTO }, |_| {});
        link_local(&mut host)
    };
    assert_eq!(with(InterfaceId::Eui64), ip("fe80::ff:fe00:2"));
    assert_eq!(with(InterfaceId::Fixed(0x42)), ip("fe80::42"));
}

/// [4862-3]: another host asks for the same address, or says that it has it.
#[test]
fn an_address_that_somebody_has_is_not_taken() {
    for claimed in [false, true] {
        let mut host = host();
        host.advance(SECOND);
        let first = link_local(&mut host);
        if claimed {
            answer(&mut host, OTHER_MAC, first, group::ALL_NODES, (false, false, true));
        } else {
            let to = group::solicited_node(first);
            say(&mut host, OTHER_MAC, ip("::"), to, |into| Writer::neighbour_solicitation(into, first));
        }
        assert_eq!(host.stack.counters().nd.duplicates, 1);
        let second = link_local(&mut host);
        assert_ne!(first, second, "another one is tried [RFC 7217 §6]");
        assert_eq!(addresses(&mut host), [(second, AddressState::Tentative)]);
        seen(&mut host);
        host.advance(3 * SECOND);
        assert_eq!(addresses(&mut host), [(second, AddressState::Preferred)]);
        assert_eq!(seen(&mut host)[0].target, Some(second));
    }
}

/// [RFC 7217 §6]: three others, then no more.
#[test]
fn after_some_conflicts_it_is_left_to_the_owner() {
    let mut host = host();
    for turn in 0..10 {
        host.advance(Duration::from_millis(1_100));
        let own = link_local(&mut host);
        answer(&mut host, OTHER_MAC, own, group::ALL_NODES, (false, false, true));
        let state = addresses(&mut host)[0].1;
        assert_eq!(state == AddressState::Duplicated, turn >= 3, "{turn}");
    }
    assert_eq!(host.stack.counters().nd.duplicates, 4);
    host.advance(Duration::from_secs(10));
    assert!(host.heard().iter().all(|heard| !matches!(heard, Heard::Datagram { .. })));
}

/// [4862-4]
#[test]
fn a_hardware_address_that_somebody_has_ends_it() {
    let settings = Ipv6Settings { interface_id: InterfaceId::Eui64, ..Ipv6Settings::AUTO };
    let mut host = host_with(settings, |_| {});
    host.advance(SECOND);
    let own = link_local(&mut host);
    answer(&mut host, OTHER_MAC, own, group::ALL_NODES, (false, false, true));
    assert_eq!(addresses(&mut host), [(own, AddressState::Duplicated)]);
    seen(&mut host);
    usual_router(&mut host);
    host.advance(Duration::from_mins(1));
    assert!(seen(&mut host).is_empty());
    assert_eq!(addresses(&mut host).len(), 1);
}

/// [RFC 7527 §4.2]: a link that gives frames back makes no conflict; without a nonce it would.
#[test]
fn our_own_question_given_back_is_no_conflict() {
    let mut host = host();
    host.advance(SECOND);
    let frames = sent(&mut host);
    let [mut own] = <[Vec<u8>; 1]>::try_from(frames).unwrap();
    host.input(&own);
    assert_eq!(host.stack.counters().nd.duplicates, 0);
    own[6..12].copy_from_slice(&OTHER_MAC.0);
    host.input(&own);
    assert_eq!(host.stack.counters().nd.duplicates, 0);
    host.advance(SECOND);
    assert_eq!(addresses(&mut host)[0].1, AddressState::Preferred);
}

/// [4862-3]: nobody is answered in the name of an address that is not ours yet, and nothing to it is taken.
#[test]
fn a_tentative_address_is_silent() {
    let mut host = host();
    host.advance(SECOND);
    let own = link_local(&mut host);
    seen(&mut host);
    say(&mut host, OTHER_MAC, OTHER, group::solicited_node(own), |into| {
        let mut writer = Writer::neighbour_solicitation(into, own);
        writer.source_station(OTHER_MAC);
        writer
    });
    assert!(seen(&mut host).is_empty());
    let ping = [128, 0, 0, 0, 0, 1, 0, 1];
    host.input(packet((OTHER_MAC, OUR_MAC), (OTHER, own), (58, 64), &ping));
    assert_eq!(host.stack.counters().ip6.not_for_us, 1);
    assert_eq!(neighbour(&mut host, OTHER), None);
}

/// A host that claims an address which is ours already is counted, and does not get it.
#[test]
fn a_late_claim_takes_nothing() {
    let mut host = settled();
    let own = link_local(&mut host);
    say(&mut host, OTHER_MAC, OTHER, group::ALL_NODES, |into| {
        Writer::neighbour_advertisement(into, own, false, false, true)
    });
    assert_eq!(host.stack.counters().nd.conflicts, 1);
    assert_eq!(addresses(&mut host), [(own, AddressState::Preferred)]);
    // Who examines it hears that it is ours.
    let to = group::solicited_node(own);
    say(&mut host, OTHER_MAC, ip("::"), to, |into| Writer::neighbour_solicitation(into, own));
    let sent = seen(&mut host);
    let [defence] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((defence.kind, defence.flags, defence.target), (136, 0x20, Some(own)));
    assert_eq!(defence.destination, group::ALL_NODES);
}

/// [RFC 4429]: used at once, but without telling anybody's neighbour cache.
#[test]
fn an_optimistic_address_is_used_with_care() {
    let settings = Ipv6Settings { optimistic: true, ..Ipv6Settings::AUTO };
    let mut host = host_with(settings, |_| {});
    let own = link_local(&mut host);
    assert_eq!(addresses(&mut host), [(own, AddressState::Optimistic)]);
    say(&mut host, OTHER_MAC, OTHER, group::solicited_node(own), |into| {
        let mut writer = Writer::neighbour_solicitation(into, own);
        writer.source_station(OTHER_MAC);
        writer
    });
    let sent = seen(&mut host);
    let [answer] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((answer.kind, answer.flags), (136, 0x40), "solicited, and overrides nothing");
    host.advance(2 * SECOND);
    assert_eq!(addresses(&mut host), [(own, AddressState::Preferred)]);
}

/// [4862-5] [4861-12]: which prefixes make addresses.
#[test]
fn addresses_are_made_of_prefixes_that_are_right() {
    let mut host = settled();
    advertise(&mut host, (ROUTER_MAC, ROUTER), &lifetime(1_800), |writer| {
        writer.prefix(&prefix(ip("2001:db8:1::"), 100, 200));
        writer.prefix(&prefix(ip("2001:db8:2::"), 201, 200));
        writer.prefix(&wire::ndp::PrefixFields { prefix_len: 63, ..prefix(ip("2001:db8:3::"), 100, 200) });
        writer.prefix(&wire::ndp::PrefixFields { autonomous: false, ..prefix(ip("2001:db8:4::"), 100, 200) });
        writer.prefix(&prefix(ip("fe80::"), 100, 200));
        writer.prefix(&prefix(ip("ff05::"), 100, 200));
        writer.prefix(&prefix(ip("2001:db8:5::"), 0, 0));
        writer.prefix(&wire::ndp::PrefixFields { on_link: false, ..prefix(ip("2001:db8:6::"), 0, 200) });
    });
    host.advance(3 * SECOND);
    let (link, first) = (link_local(&mut host), of_prefix(&mut host, ip("2001:db8:1::")).unwrap());
    let sixth = of_prefix(&mut host, ip("2001:db8:6::")).unwrap();
    assert_eq!((first.1, sixth.1), (AddressState::Preferred, AddressState::Deprecated));
    assert_eq!(addresses(&mut host), [first, sixth, (link, AddressState::Preferred)]);
    // On the link is what says so, whatever addresses are made of it.
    assert_eq!(way(&mut host, ip("2001:db8:1::77")), Some(ip("2001:db8:1::77")));
    assert_eq!(way(&mut host, ip("2001:db8:2::77")), Some(ip("2001:db8:2::77")));
    assert_eq!(way(&mut host, ip("2001:db8:4::77")), Some(ip("2001:db8:4::77")));
    assert_eq!(way(&mut host, ip("2001:db8:5::77")), Some(ROUTER));
    assert_eq!(way(&mut host, ip("2001:db8:6::77")), Some(ROUTER));
}

/// [4862-7]: deprecated, then gone.
#[test]
fn addresses_end_in_their_time() {
    let mut host = settled();
    advertise(&mut host, (ROUTER_MAC, ROUTER), &lifetime(1_800), |writer| {
        writer.prefix(&prefix(PREFIX, 100, 200));
    });
    host.advance(99 * SECOND);
    assert_eq!(of_prefix(&mut host, PREFIX).unwrap().1, AddressState::Preferred);
    host.advance(2 * SECOND);
    assert_eq!(of_prefix(&mut host, PREFIX).unwrap().1, AddressState::Deprecated);
    host.advance(98 * SECOND);
    assert!(of_prefix(&mut host, PREFIX).is_some());
    host.advance(2 * SECOND);
    assert_eq!(of_prefix(&mut host, PREFIX), None);
    assert_eq!(way(&mut host, ip("2001:db8:1::77")), Some(ROUTER), "no longer on the link either");
}

/// [4862-6]: a forged end comes in two hours at the earliest; a renewal revives.
#[test]
fn no_advertisement_ends_an_address_at_once() {
    let mut host = settled();
    usual_router(&mut host);
    host.advance(3 * SECOND);
    let before = host.now;
    let forged = |host: &mut common::Host| {
        advertise(host, (OTHER_MAC, OTHER), &lifetime(0), |writer| writer.prefix(&prefix(PREFIX, 0, 0)));
    };
    forged(&mut host);
    let mut netif = host.stack.netif(host.netif).unwrap();
    let address = netif.ipv6_addresses().find(|entry| !entry.address.is_unicast_link_local()).unwrap();
    assert_eq!(address.state, AddressState::Deprecated);
    assert_eq!(address.ends.1.since(before), Duration::from_hours(2));
    let _ = &mut netif;
    host.advance(Duration::from_hours(1));
    forged(&mut host);
    host.advance(Duration::from_secs(3_599));
    assert!(of_prefix(&mut host, PREFIX).is_some());
    usual_router(&mut host);
    assert_eq!(of_prefix(&mut host, PREFIX).unwrap().1, AddressState::Preferred);
    host.advance(Duration::from_hours(3));
    assert!(of_prefix(&mut host, PREFIX).is_some());
}

/// [RFC 8981 §3.4] [RFC 8981 §3.5]: beside the stable one, preferred to it, and replaced before it ends.
#[test]
fn temporary_addresses_come_and_go() {
    let mut host = host_with(Ipv6Settings { temporary: true, ..Ipv6Settings::AUTO }, |_| {});
    host.advance(3 * SECOND);
    let advertised = |host: &mut common::Host| {
        advertise(host, (ROUTER_MAC, ROUTER), &lifetime(9_000), |writer| {
            writer.prefix(&prefix(PREFIX, INFINITE, INFINITE));
        });
    };
    advertised(&mut host);
    host.advance(3 * SECOND);
    let temporary = |host: &mut common::Host| {
        let netif = host.stack.netif(host.netif).unwrap();
        let all = netif.ipv6_addresses().filter(|entry| entry.temporary);
        all.map(|entry| (entry.address, entry.state)).collect::<Vec<_>>()
    };
    let first = temporary(&mut host);
    let [(address, AddressState::Preferred)] = first[..] else { panic!("{first:?}") };
    assert_eq!(source_towards(&mut host, FAR), address, "it is the one to speak from");
    let mut known = vec![address];
    let mut most = 0;
    for _ in 0..60 {
        advertised(&mut host);
        host.advance(Duration::from_hours(2));
        let now = temporary(&mut host);
        assert!(now.iter().any(|(_, state)| *state == AddressState::Preferred), "{now:?}");
        most = most.max(now.len());
        known.extend(now.iter().map(|(address, _)| *address));
    }
    known.sort_unstable();
    known.dedup();
    // Five days; each is preferred for 14 to 24 hours and ours for 48.
    assert!((5..=10).contains(&known.len()), "{} addresses", known.len());
    assert!((2..=4).contains(&most), "{most} at once");
    assert_eq!(addresses(&mut host).iter().filter(|(address, _)| *address == known[0]).count(), 0);
}

/// A link that comes back may be another: every address is examined again.
#[test]
fn addresses_are_examined_again_when_the_link_comes_back() {
    let mut host = settled();
    usual_router(&mut host);
    host.advance(3 * SECOND);
    seen(&mut host);
    let before = addresses(&mut host);
    assert!(before.iter().all(|(_, state)| *state == AddressState::Preferred));
    host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap();
    host.advance(SECOND);
    host.stack.netif(host.netif).unwrap().set_link_up(true).unwrap();
    assert!(addresses(&mut host).iter().all(|(_, state)| *state == AddressState::Tentative));
    host.advance(3 * SECOND);
    assert_eq!(addresses(&mut host), before);
    let probes: Vec<_> = seen(&mut host).into_iter().filter(|message| message.kind == 135).collect();
    assert_eq!(probes.len(), 2);
}

/// An address that the owner gives is examined too, where others are.
#[test]
fn the_owners_addresses_are_examined() {
    let mut host = settled();
    host.stack.netif(host.netif).unwrap().ipv6_add(ip("2001:db8:7::1"), 64).unwrap();
    assert_eq!(of_prefix(&mut host, ip("2001:db8:7::")).unwrap().1, AddressState::Tentative);
    host.advance(2 * SECOND);
    assert_eq!(of_prefix(&mut host, ip("2001:db8:7::")).unwrap().1, AddressState::Preferred);
    host.stack.netif(host.netif).unwrap().ipv6_remove(ip("2001:db8:7::1")).unwrap();
    host.stack.netif(host.netif).unwrap().ipv6_add(ip("2001:db8:7::1"), 64).unwrap();
    host.advance(Duration::from_millis(100));
    answer(&mut host, OTHER_MAC, ip("2001:db8:7::1"), group::ALL_NODES, (false, false, true));
    assert_eq!(of_prefix(&mut host, ip("2001:db8:7::")).unwrap().1, AddressState::Duplicated);
}

/// A flood of prefixes makes no more addresses than there is room for, and takes nobody's.
#[test]
fn a_flood_of_prefixes_is_bounded() {
    let mut host = settled();
    usual_router(&mut host);
    host.advance(3 * SECOND);
    let own = of_prefix(&mut host, PREFIX).unwrap();
    for low in 0..2_000_u16 {
        advertise(&mut host, (OTHER_MAC, OTHER), &lifetime(0), |writer| {
            let flood = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x7000, low, 0, 0, 0, 0);
            writer.prefix(&prefix(flood, 1_000, 1_000));
        });
    }
    host.advance(3 * SECOND);
    assert!(addresses(&mut host).len() <= 12);
    assert_eq!(of_prefix(&mut host, PREFIX), Some(own));
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
}
