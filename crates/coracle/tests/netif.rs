//! Interfaces: added, changed, watched, removed (lwIP: `netif.h`).

mod common;
use common::*;

use std::net::Ipv4Addr;
use std::time::Duration;

use coracle::*;

const SECOND_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 1, 2);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn second() -> NetifConfig {
    NetifConfig::ethernet(SECOND_MAC).ipv4(Ipv4Settings::new(SECOND, 24))
}

fn listen(host: &mut Host, netif: Option<NetifHandle>, reasons: Reasons) -> ListenerHandle {
    let app = host.app("listener");
    host.stack.netif_listen(netif, reasons, app).unwrap()
}

/// The changes that were told, with the settings from before.
fn changes(host: &mut Host) -> Vec<(NetifHandle, Reasons, Ipv4Settings)> {
    let event = |heard| match heard {
        Heard::Netif { event, .. } => (event.netif, event.reasons, event.old),
        other => panic!("{other:?}"),
    };
    host.heard().into_iter().map(event).collect()
}

#[test]
fn names_and_indices_find_the_interface_and_nothing_else() {
    let mut host = host();
    let tunnel = host.stack.netif_add(&NetifConfig::ip()).unwrap();
    let loopback = host.stack.netif_add(&NetifConfig::loopback()).unwrap();
    assert_eq!([host.netif.index(), tunnel.index(), loopback.index()], [1, 2, 3]);
    assert_eq!(host.stack.netif_find("en0"), Some(host.netif));
    assert_eq!(host.stack.netif_find("tu1"), Some(tunnel));
    assert_eq!(host.stack.netif_find("lo2"), Some(loopback));
    for wrong in ["en1", "en", "", "e", "en00", "en+0", "en0 ", "en255", "en256", "en-1", "é0", "tu0", "enx"]
    {
        assert_eq!(host.stack.netif_find(wrong), None, "{wrong:?}");
    }
    assert_eq!(host.stack.netif_by_index(2), Some(tunnel));
    assert_eq!((host.stack.netif_by_index(0), host.stack.netif_by_index(4)), (None, None));
    assert_eq!(host.stack.netifs().collect::<Vec<_>>(), [host.netif, tunnel, loopback]);
    assert_eq!(host.stack.netif(tunnel).unwrap().name(), Ok(*b"tu"));
    assert_eq!(host.stack.netif(tunnel).unwrap().handle(), tunnel);
    host.stack.netif_remove(tunnel).unwrap();
    assert_eq!(host.stack.netifs().collect::<Vec<_>>(), [host.netif, loopback]);
    assert_eq!((host.stack.netif_find("tu1"), host.stack.netif_by_index(2)), (None, None));
}

#[test]
fn what_no_interface_can_have_is_refused_by_name() {
    let mut host = host();
    let ethernet = || NetifConfig::ethernet(SECOND_MAC);
    let settings = |address: [u8; 4], len| Ipv4Settings::new(address.into(), len);
    let mut cases = vec![
        (NetifConfig { name: *b"e1", ..ethernet() }, Error::Argument),
        (ethernet().mtu(67), Error::Argument),
        (NetifConfig { queue: 0, ..ethernet() }, Error::Argument),
        (ethernet().vlan(Tci::new(0, false, 0)), Error::Argument),
        (ethernet().vlan(Tci::new(0, false, 4_095)), Error::Argument),
        (NetifConfig::ip().vlan(Tci::new(0, false, 1)), Error::Argument),
        (NetifConfig::ethernet(MacAddr::ZERO), Error::Argument),
        (NetifConfig::ethernet(MacAddr::BROADCAST), Error::Argument),
        (ethernet().ipv4(Ipv4Settings::new(OURS, 24)), Error::InUse),
    ];
    for address in [[10, 0, 0, 0], [10, 0, 0, 255], [224, 0, 0, 1], [255; 4], [127, 0, 0, 1], [0, 0, 0, 1]] {
        cases.push((ethernet().ipv4(settings(address, 24)), Error::Value));
    }
    let holes = Ipv4Settings { netmask: [255, 0, 255, 0].into(), ..settings([10, 0, 0, 2], 24) };
    cases.push((ethernet().ipv4(holes), Error::Value));
    for gateway in
        [[224, 0, 0, 1], [255, 255, 255, 255], [127, 0, 0, 1], [0, 0, 0, 9], [10, 0, 0, 255], [10, 0, 0, 0]]
    {
        let with_gateway = settings([10, 0, 0, 2], 24).with_gateway(gateway.into());
        cases.push((ethernet().ipv4(with_gateway), Error::Value));
    }
    for (config, expected) in cases {
        assert_eq!(host.stack.netif_add(&config), Err(expected), "{config:?}");
        let settings = config.ipv4;
        let netif = host.stack.netif_add(&NetifConfig { ipv4: Ipv4Settings::NONE, ..ethernet() }).unwrap();
        if settings != Ipv4Settings::NONE {
            assert_eq!(host.stack.netif(netif).unwrap().set_ipv4(settings), Err(expected), "{settings:?}");
        }
        host.stack.netif_remove(netif).unwrap();
    }
    for len in [31, 32] {
        let netif = host.stack.netif_add(&ethernet().ipv4(settings([10, 0, 0, 0], len))).unwrap();
        host.stack.netif_remove(netif).unwrap();
    }
    let mut netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.set_mtu(67), Err(Error::Argument));
    assert_eq!(netif.set_vlan(Some(Tci::new(0, false, 4_095))), Err(Error::Argument));
    assert_eq!(netif.set_station(MacAddr::BROADCAST), Err(Error::Argument));
    assert_eq!(netif.set_station(MacAddr::ZERO), Err(Error::Argument));
    let tunnel = host.add(&NetifConfig::ip());
    let mut netif = host.stack.netif(tunnel).unwrap();
    assert_eq!(netif.set_station(OUR_MAC), Err(Error::Interface));
    assert_eq!(netif.set_vlan(None), Err(Error::Interface));
}

/// [lwip-raw-api §3.10] Each kind of change is told once, with what was before, and only to whom it concerns.
#[test]
fn listeners_hear_of_every_change_with_its_reasons_and_what_was_before() {
    let mut host = host();
    listen(&mut host, None, Reasons::ALL);
    let before = Ipv4Settings::new(OURS, 24).with_gateway(GATEWAY);
    let netif = host.netif;
    host.stack.netif(netif).unwrap().set_link_up(false).unwrap();
    assert_eq!(changes(&mut host), [(netif, Reasons::LINK_CHANGED, before)]);
    host.stack.netif(netif).unwrap().set_link_up(false).unwrap();
    host.stack.netif(netif).unwrap().set_up(true).unwrap();
    assert_eq!(changes(&mut host), [], "nothing changed");
    host.stack.netif(netif).unwrap().set_up(false).unwrap();
    assert_eq!(changes(&mut host), [(netif, Reasons::STATUS_CHANGED, before)]);

    let always = Reasons::IPV4_SETTINGS_CHANGED.union(Reasons::IPV4_ADDRESS_VALID);
    host.stack.netif(netif).unwrap().set_ipv4(before).unwrap();
    assert_eq!(changes(&mut host), [(netif, always, before)], "told though nothing changed");
    let moved = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 3), 25);
    host.stack.netif(netif).unwrap().set_ipv4(moved).unwrap();
    let all = always
        .union(Reasons::IPV4_ADDRESS_CHANGED)
        .union(Reasons::IPV4_NETMASK_CHANGED)
        .union(Reasons::IPV4_GATEWAY_CHANGED);
    assert_eq!(changes(&mut host), [(netif, all, before)]);
    host.stack.netif(netif).unwrap().set_ipv4(Ipv4Settings::NONE).unwrap();
    let cleared = changes(&mut host).remove(0);
    assert!(!cleared.1.intersects(Reasons::IPV4_ADDRESS_VALID));
    assert_eq!(cleared.2, moved);

    let added = host.stack.netif_add(&second()).unwrap();
    assert_eq!(changes(&mut host), [(added, Reasons::ADDED, Ipv4Settings::NONE)]);
    host.stack.netif_remove(added).unwrap();
    let (gone, reasons, old) = changes(&mut host).remove(0);
    assert_eq!((gone, reasons, old.address), (added, Reasons::REMOVED, SECOND));
    assert_eq!(host.stack.netif(gone).err(), Some(Error::Closed));
}

#[test]
fn a_listener_hears_only_of_its_interface_and_its_reasons_until_it_ends() {
    let mut host = host();
    let other = host.add(&second());
    let listener = listen(&mut host, Some(other), Reasons::LINK_CHANGED);
    host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap();
    host.stack.netif(other).unwrap().set_up(false).unwrap();
    assert_eq!(changes(&mut host), []);
    host.stack.netif(other).unwrap().set_link_up(false).unwrap();
    assert_eq!(changes(&mut host).len(), 1);
    assert_eq!(host.stack.netif_unlisten(listener).unwrap().unwrap().who, "listener");
    assert_eq!(host.stack.netif_unlisten(listener).err(), Some(Error::Closed));
    host.stack.netif(other).unwrap().set_link_up(true).unwrap();
    assert_eq!(changes(&mut host), []);
    host.stack.netif_remove(other).unwrap();
    let app = host.app("late");
    assert_eq!(host.stack.netif_listen(Some(other), Reasons::ALL, app), Err(Error::Closed));
}

#[test]
fn changes_that_a_callback_makes_are_told_after_it_as_one() {
    let mut host = host();
    let netif = host.netif;
    listen(&mut host, None, Reasons::ALL);
    let app = host.app("changer").on_datagram(move |udp, _, _| {
        let stack = udp.stack();
        stack.netif(netif).unwrap().set_link_up(false).unwrap();
        stack.netif(netif).unwrap().set_up(false).unwrap();
    });
    host.udp_of(app, 7);
    host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"x").frame());
    let heard = host.heard();
    assert_eq!(heard[0].who(), "changer");
    let Heard::Netif { event, .. } = heard[1] else { panic!("{heard:?}") };
    assert_eq!(event.reasons, Reasons::LINK_CHANGED.union(Reasons::STATUS_CHANGED));
    assert_eq!(heard.len(), 2);
}

/// [pitfalls: drivers] Down and up again: what waited is dropped, nothing comes in meanwhile, then all works.
#[test]
fn an_interface_that_is_down_neither_takes_nor_sends_and_serves_when_it_is_up_again() {
    for link in [false, true] {
        let mut host = host();
        host.meet_peer();
        let udp = host.udp("server", 7);
        host.stack.udp(udp).unwrap().send_bytes_to(b"queued", (PEER, 9).into()).unwrap();
        let set = |host: &mut Host, up: bool| {
            let mut netif = host.stack.netif(host.netif).unwrap();
            if link { netif.set_link_up(up) } else { netif.set_up(up) }.unwrap();
        };
        set(&mut host, false);
        assert_eq!(host.stack.transmit_pending(host.netif), 0);
        assert_eq!(host.stack.netif(host.netif).unwrap().counters().unwrap().out_discards, 1);
        assert_eq!((host.stack.netif(host.netif).unwrap().is_up(), host.memory_used()), (link, (0, 0, 0)));
        host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"lost").frame());
        host.input(Arp::request(PEER_MAC, PEER, OURS).frame());
        assert!(host.heard().is_empty() && host.sent().is_empty());
        assert_eq!(host.stack.counters().link.down, 2);
        let sent = host.stack.udp(udp).unwrap().send_bytes_to(b"x", (PEER, 9).into());
        assert_eq!(sent, Err(Error::Route));
        set(&mut host, true);
        assert!(host.sent_one().is_arp(), "the address is announced");
        host.meet_peer();
        host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"taken").frame());
        assert_eq!(host.datagrams(), [b"taken"]);
    }
}

/// [lwip-raw-api §3.10] Control blocks bound to the old address are bound to the new one.
#[test]
fn control_blocks_follow_the_address_of_their_interface() {
    let mut host = host();
    let app = host.app("bound");
    let bound = host.stack.udp_new(app).unwrap();
    host.stack.udp(bound).unwrap().bind((OURS, 7).into()).unwrap();
    let connected = host.udp("connected", 8);
    host.stack.udp(connected).unwrap().connect((PEER, 9).into()).unwrap();
    let app = host.app("raw").on_packet(|_, _| None);
    let raw = host.stack.raw_new(200, app).unwrap();
    host.stack.raw(raw).unwrap().bind(OURS.into()).unwrap();
    let new = Ipv4Addr::new(192, 0, 2, 77);
    host.stack.netif(host.netif).unwrap().set_ipv4(Ipv4Settings::new(new, 24)).unwrap();
    assert_eq!(host.stack.udp(bound).unwrap().local().unwrap(), (new, 7).into());
    assert_eq!(host.stack.udp(connected).unwrap().local().unwrap(), (new, 8).into());
    host.input(Packet::udp("192.0.2.9:5", "192.0.2.77:7", b"x").frame());
    host.input(Packet::udp("192.0.2.9:9", "192.0.2.77:8", b"x").frame());
    host.input(Packet::new(PEER, new, 200, vec![1]).frame());
    assert_eq!(host.who_heard(), ["bound", "connected", "raw"]);
    host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"to the old one").frame());
    assert!(host.heard().is_empty());
}

#[test]
fn a_removed_interface_takes_its_routes_groups_and_neighbours_along_and_its_handle_finds_nothing() {
    let mut host = host();
    let other = host.add(&second());
    host.stack.netif_set_default(Some(other)).unwrap();
    let route =
        Route { prefix: [172, 16, 0, 0].into(), prefix_len: 12, netif: other, gateway: None, metric: 0 };
    host.stack.route_add(route).unwrap();
    let mut netif = host.stack.netif(other).unwrap();
    netif.join_group([239, 1, 1, 1].into()).unwrap();
    netif.query_neighbour(Ipv4Addr::new(10, 0, 0, 9).into()).unwrap();
    let udp = host.udp("bound to it", 7);
    host.stack.udp(udp).unwrap().bind_netif(Some(other)).unwrap();
    host.stack.netif_remove(other).unwrap();
    assert_eq!(host.stack.netif_default(), None);
    assert_eq!((host.stack.routes().count(), host.stack.neighbours().count()), (0, 0));
    assert_eq!(host.stack.netif_remove(other), Err(Error::Closed));
    assert_eq!(host.stack.netif_set_default(Some(other)), Err(Error::Closed));
    assert_eq!(host.stack.netif_set_default_multicast(Some(other)), Err(Error::Closed));
    assert_eq!(host.stack.route_add(route), Err(Error::Closed));
    assert!(host.stack.transmit(other).is_none());
    assert_eq!(host.stack.transmit_pending(other), 0);
    let frame = host.frame(b"late");
    let rejected = host.stack.input(other, frame, host.now).unwrap_err();
    assert_eq!((rejected.error, bytes_of(&rejected.data)), (Error::Closed, b"late".to_vec()));
    drop(rejected);

    let again = host.add(&second());
    assert_eq!(again.index(), other.index(), "the slot is used again");
    assert_ne!(again, other);
    assert_eq!(host.stack.netif(other).err(), Some(Error::Closed));
    host.input_on(again, Packet::udp("10.0.0.9:5", "10.0.0.2:7", b"x").addressed_to(SECOND_MAC).frame());
    assert!(host.heard().is_empty(), "bound to what is gone, not to what came after it");
    let group = Packet::udp("10.0.0.9:5", "239.1.1.1:7", b"x");
    host.input_on(again, group.frame());
    assert_eq!(host.stack.counters().ip.not_for_us, 1);
    host.advance(Duration::from_secs(30));
    host.sent_raw(again);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// [IEEE 802.1Q] Only frames of the interface's VLAN come in; what leaves has its tag and priority.
#[test]
fn an_interface_in_a_vlan_takes_and_sends_its_tag_only() {
    let mut host = Host::configured(|setup| setup.netif.vlan = Some(Tci::new(5, false, 100)));
    host.udp("server", 7);
    let datagram = Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"x");
    host.input(datagram.clone().in_vlan(100, 0).frame());
    assert_eq!(host.datagrams().len(), 1);
    for (wrong, count) in
        [(datagram.clone(), 1), (datagram.clone().in_vlan(101, 0), 2), (datagram.clone().in_vlan(0, 5), 3)]
    {
        host.input(wrong.frame());
        assert!(host.heard().is_empty());
        assert_eq!(host.stack.counters().link.wrong_vlan, count);
    }
    for len in 14..18 {
        host.input(&datagram.clone().in_vlan(100, 0).frame()[..len]);
    }
    assert_eq!(host.stack.counters().link.truncated, 4);
    let bytes = datagram.clone().in_vlan(100, 0).frame();
    for piece in [1, 14, 15, 17, 18] {
        let mut pieces = bytes.chunks(piece).map(|piece| host.frame(piece));
        let mut frame = pieces.next().unwrap();
        pieces.for_each(|piece| frame.cat(piece).unwrap());
        host.stack.input(host.netif, frame, host.now).unwrap();
        assert_eq!(host.datagrams().len(), 1, "in pieces of {piece}");
    }
    host.stack.netif(host.netif).unwrap().announce().unwrap();
    let sent = host.sent_one();
    assert_eq!((sent.vlan, sent.is_arp()), (Some((100, 5)), true));
    host.stack.netif(host.netif).unwrap().set_vlan(None).unwrap();
    assert_eq!(host.stack.netif(host.netif).unwrap().vlan(), Ok(None));
    host.input(datagram.clone().frame());
    host.input(datagram.clone().in_vlan(0, 7).frame());
    assert_eq!(host.datagrams().len(), 2, "untagged, and tagged for its priority only");
    host.input(datagram.in_vlan(100, 0).frame());
    assert!(host.heard().is_empty());
}

#[test]
fn what_the_owner_stores_with_an_interface_is_there_again() {
    let mut host = host();
    let mut netif = host.stack.netif(host.netif).unwrap();
    assert_eq!((netif.client_data(), netif.hostname()), (0, None));
    netif.set_client_data(42).unwrap();
    let name = Hostname::new("boat-7").unwrap();
    netif.set_hostname(Some(name)).unwrap();
    assert_eq!((netif.client_data(), netif.hostname()), (42, Some(name)));
    for wrong in ["", "a b", "\u{e9}", &"x".repeat(64)] {
        assert_eq!(Hostname::new(wrong), Err(Error::Argument), "{wrong:?}");
    }
    assert_eq!(Hostname::new(&"x".repeat(63)).unwrap().as_str().len(), 63);
    assert_eq!(netif.medium(), Ok(Medium::Ethernet(OUR_MAC)));
    assert_eq!((netif.mtu(), netif.checksums()), (Ok(1_500), Ok(Checksums::ALL)));
}

#[test]
fn every_call_on_an_interface_removed_within_a_callback_is_closed() {
    let mut host = host();
    let netif = host.netif;
    let app = host.app("remover").on_datagram(move |udp, _, _| {
        udp.stack().netif_remove(netif).unwrap();
        assert_eq!(udp.stack().netif(netif).err(), Some(Error::Closed));
        assert_eq!(udp.stack().netif_remove(netif), Err(Error::Closed));
        assert_eq!(udp.stack().netifs().count(), 0);
        assert_eq!(udp.send_bytes_to(b"x", (PEER, 9).into()), Err(Error::Route));
    });
    host.udp_of(app, 7);
    listen(&mut host, None, Reasons::ALL);
    host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"x").frame());
    assert_eq!(host.who_heard(), ["remover", "listener"]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn a_device_that_is_pushed_to_keeps_the_order_and_what_it_refuses() {
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("sender", 5_000);
    for number in 0..5_u8 {
        host.stack.udp(udp).unwrap().send_bytes_to(&[number], (PEER, 9).into()).unwrap();
    }
    let mut seen = Vec::new();
    let taken = host.stack.transmit_with(host.netif, |frame| {
        if seen.len() == 2 {
            return Err(frame);
        }
        seen.push(Seen::frame(&bytes_of(&frame)).udp_data()[0]);
        Ok(())
    });
    assert_eq!((taken, host.stack.transmit_pending(host.netif)), (2, 3));
    seen.extend(host.sent().iter().map(|sent| sent.udp_data()[0]));
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    let counters = host.stack.netif(host.netif).unwrap().counters().unwrap();
    assert_eq!(counters.out_unicast, 1 + 5);
}
