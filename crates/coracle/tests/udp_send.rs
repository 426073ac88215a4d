//! UDP out: every reason for which a datagram is not taken, and what comes back then; broadcast and multicast both
//! ways; tunnels.

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

fn at(endpoint: &str) -> SocketAddr {
    endpoint.parse().unwrap()
}

/// Sends, and holds what comes back against what was given.
fn refused(host: &mut Host, udp: UdpHandle, len: usize, send: &UdpSend) -> Error {
    let bytes: Vec<u8> = (0..len).map(|index| index as u8).collect();
    let data = host.data(&bytes);
    let (place, headroom) = (data.payload().as_ptr(), data.headroom());
    let used = host.memory_used();
    let rejected = host.stack.udp(udp).unwrap().send_with(data, send).expect_err("refused");
    assert_eq!(rejected.data, &bytes[..], "the data changed");
    assert_eq!((rejected.data.payload().as_ptr(), rejected.data.headroom()), (place, headroom));
    assert_eq!((rejected.data.segment_count(), host.memory_used()), (1, used));
    rejected.error
}

fn to(remote: &str) -> UdpSend {
    UdpSend { remote: Some(at(remote)), ..UdpSend::default() }
}

#[test]
fn every_refusal_names_its_reason_and_gives_the_data_back_unchanged() {
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("sender", 5_000);
    let cases = [
        (1, UdpSend::default(), Error::NotConnected),
        (1, to("192.0.2.9:0"), Error::Value),
        (1, to("0.0.0.0:7"), Error::Value),
        (1, to("[::ffff:192.0.2.9]:7"), Error::Value),
        (1, to("[2001:db8::1]:7"), Error::Value),
        (1, to("192.0.2.255:7"), Error::Value),
        (1, to("255.255.255.255:7"), Error::Value),
        (65_508, to("192.0.2.9:7"), Error::Value),
        (65_528, to("192.0.2.9:7"), Error::Value),
        (1, to("127.0.0.1:7"), Error::Route),
        (1, UdpSend { source: Some(IpAddr::V4(PEER)), ..to("192.0.2.9:7") }, Error::Route),
        (1, UdpSend { source: Some("::1".parse().unwrap()), ..to("192.0.2.9:7") }, Error::Value),
        (1, UdpSend { source_port: Some(0), ..to("192.0.2.9:7") }, Error::Value),
    ];
    for (len, send, expected) in cases {
        assert_eq!(refused(&mut host, udp, len, &send), expected, "{send:?}");
    }
    let gone = host.add(&NetifConfig::ip());
    host.stack.netif_remove(gone).unwrap();
    let through = UdpSend { netif: Some(gone), ..to("192.0.2.9:7") };
    assert_eq!(refused(&mut host, udp, 1, &through), Error::Interface);
    let down = host.stack.netif_add(&NetifConfig::ip()).unwrap();
    let through = UdpSend { netif: Some(down), ..to("192.0.2.9:7") };
    assert_eq!(refused(&mut host, udp, 1, &through), Error::Route);
    assert_eq!(host.stack.counters().udp.send_failed, 14 - 1, "counted but for wrong arguments");
    assert!(host.sent().is_empty());
    let longest = host.data(&[1; 1_472]);
    host.stack.udp(udp).unwrap().send_with(longest, &to("192.0.2.9:7")).unwrap();
    assert_eq!(host.sent_one().udp_data().len(), 1_472);
}

#[test]
fn setters_refuse_what_makes_no_sense() {
    let mut host = host();
    let gone = host.add(&NetifConfig::ip());
    host.stack.netif_remove(gone).unwrap();
    let udp = host.udp("sender", 5_000);
    let mut pcb = host.stack.udp(udp).unwrap();
    assert_eq!(pcb.set_ttl(0), Err(Error::Value));
    assert_eq!(pcb.set_multicast_ttl(0), Err(Error::Value));
    assert_eq!(pcb.set_multicast_netif(Some(gone)), Err(Error::Interface));
    assert_eq!(pcb.bind_netif(Some(gone)), Err(Error::Interface));
    pcb.bind_netif(None).unwrap();
}

#[test]
fn a_control_block_removed_by_its_own_callback_refuses_every_call() {
    let mut host = host();
    let app = host.app("ends itself").on_datagram(|udp, from, data| {
        let handle = udp.handle();
        assert!(udp.stack().udp_remove(handle).unwrap().is_none(), "the handler is running");
        assert_eq!(udp.send(data.clone()).unwrap_err().error, Error::Closed);
        assert_eq!(udp.send_to(data, from).unwrap_err().error, Error::Closed);
        assert_eq!(udp.send_bytes_to(b"x", from), Err(Error::Closed));
        assert_eq!(udp.bind(from), Err(Error::Closed));
        assert_eq!(udp.bind_all(), Err(Error::Closed));
        assert_eq!(udp.connect(from), Err(Error::Closed));
        assert_eq!(udp.disconnect(), Err(Error::Closed));
        assert_eq!(udp.local(), Err(Error::Closed));
        assert_eq!(udp.remote(), None);
        assert!(udp.handler().is_none());
        assert_eq!(udp.set_ttl(1), Err(Error::Closed));
        assert_eq!(udp.set_tos(1), Err(Error::Closed));
        assert_eq!(udp.set_broadcast(true), Err(Error::Closed));
        assert_eq!(udp.set_reuse_address(true), Err(Error::Closed));
        assert_eq!(udp.set_no_checksum(true), Err(Error::Closed));
        assert_eq!(udp.set_multicast_ttl(1), Err(Error::Closed));
        assert_eq!(udp.set_multicast_netif(None), Err(Error::Closed));
        assert_eq!(udp.set_multicast_loop(true), Err(Error::Closed));
        assert_eq!(udp.bind_netif(None), Err(Error::Closed));
        assert_eq!(udp.set_coverage(0), Err(Error::Closed));
        assert_eq!(udp.set_demanded_coverage(0), Err(Error::Closed));
    });
    host.udp_of(app, 7);
    host.input(Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"end").frame());
    assert_eq!(host.who_heard(), ["ends itself"]);
    host.input(Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"again").frame());
    assert!(host.heard().is_empty());
}

/// [1122-IP-14] A broadcast reaches every control block on the port, and only on the interface's own network.
#[test]
fn a_broadcast_goes_to_everyone_on_the_port_and_to_nobody_else() {
    let mut host = host();
    let shares = |host: &mut Host, who, local: &str| {
        let app = host.app(who);
        let udp = host.stack.udp_new(app).unwrap();
        let mut pcb = host.stack.udp(udp).unwrap();
        pcb.set_reuse_address(true).unwrap();
        pcb.bind(at(local)).unwrap();
        udp
    };
    shares(&mut host, "any", "0.0.0.0:67");
    shares(&mut host, "own address", "192.0.2.2:67");
    shares(&mut host, "directed", "192.0.2.255:67");
    shares(&mut host, "limited", "255.255.255.255:67");
    shares(&mut host, "other port", "0.0.0.0:68");
    let peer = shares(&mut host, "its peer", "0.0.0.0:67");
    host.stack.udp(peer).unwrap().connect(at("192.0.2.9:68")).unwrap();
    let other = shares(&mut host, "another peer", "0.0.0.0:67");
    host.stack.udp(other).unwrap().connect(at("192.0.2.8:68")).unwrap();
    let heard = |host: &mut Host, to: &str| {
        host.input(Packet::udp("192.0.2.9:68", to, b"all").frame());
        let mut who = host.who_heard();
        who.sort_unstable();
        who
    };
    assert_eq!(heard(&mut host, "255.255.255.255:67"), ["any", "its peer", "limited", "own address"]);
    assert_eq!(heard(&mut host, "192.0.2.255:67"), ["any", "directed", "its peer", "own address"]);
    let info =
        |heard: &Heard| if let Heard::Datagram { packet, .. } = heard { packet.cast } else { panic!() };
    host.input(Packet::udp("192.0.2.9:68", "255.255.255.255:68", b"all").frame());
    assert_eq!(host.heard().iter().map(info).collect::<Vec<_>>(), [Cast::Broadcast]);
    host.input(Packet::udp("192.0.2.9:68", "255.255.255.255:69", b"nobody").frame());
    host.input(Packet::udp("192.0.2.9:68", "198.51.100.255:67", b"elsewhere").frame());
    assert!(host.heard().is_empty() && host.sent().is_empty());
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn a_permitted_broadcast_leaves_for_every_station() {
    let mut host = host();
    let udp = host.udp("sender", 5_000);
    let mut pcb = host.stack.udp(udp).unwrap();
    pcb.set_broadcast(true).unwrap();
    for to in ["255.255.255.255:9", "192.0.2.255:9"] {
        host.stack.udp(udp).unwrap().send_bytes_to(b"all", at(to)).unwrap();
        let sent = host.sent_one();
        assert_eq!((sent.to, sent.source()), (MacAddr::BROADCAST, OURS));
        assert_eq!(SocketAddr::from((sent.destination(), 9)), at(to));
    }
}

#[test]
fn a_group_reaches_its_members_on_the_interface_that_joined_it_only() {
    let mut host = host();
    let listener = host.udp("listener", 5_353);
    let group = format!("{GROUP}:5353");
    let datagram = Packet::udp("192.0.2.9:5353", &group, b"group").frame();
    host.input(&datagram);
    assert!(host.heard().is_empty(), "not joined");
    assert_eq!(host.stack.counters().ip.not_for_us, 1);
    let mut netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.join_group(IpAddr::V4(PEER)), Err(Error::Value));
    assert_eq!(netif.leave_group(IpAddr::V4(GROUP)), Err(Error::Value));
    netif.join_group(GROUP.into()).unwrap();
    host.input(&datagram);
    assert_eq!(host.datagrams(), [b"group"]);
    host.stack.udp(listener).unwrap().bind((GROUP, 5_353).into()).unwrap();
    host.input(&datagram);
    assert_eq!(host.datagrams(), [b"group"]);
    host.input(Packet::udp("192.0.2.9:5353", "192.0.2.2:5353", b"unicast").frame());
    assert!(host.heard().is_empty(), "bound to the group");
    host.stack.netif(host.netif).unwrap().leave_group(GROUP.into()).unwrap();
    host.input(&datagram);
    assert!(host.heard().is_empty());
    assert!(
        host.sent().iter().all(|sent| sent.is_arp() || sent.destination() != GROUP),
        "no error about a group"
    );
}

/// [RFC 1112 §6.1, §6.4] TTL 1 unless set, the group's own station address, the chosen interface.
#[test]
fn multicast_leaves_with_its_own_ttl_by_the_chosen_interface() {
    let mut host = host();
    let second = host.add(
        &NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 1, 2))
            .ipv4(Ipv4Settings::new(Ipv4Addr::new(10, 0, 0, 2), 24)),
    );
    let udp = host.udp("sender", 5_000);
    host.stack.udp(udp).unwrap().send_bytes_to(b"one", (GROUP, 9).into()).unwrap();
    let sent = host.sent_one();
    assert_eq!((sent.ip().time_to_live, sent.to), (1, MacAddr::new(1, 0, 0x5e, 1, 2, 3)));
    let mut pcb = host.stack.udp(udp).unwrap();
    pcb.set_multicast_ttl(9).unwrap();
    pcb.set_multicast_netif(Some(second)).unwrap();
    pcb.send_bytes_to(b"two", (GROUP, 9).into()).unwrap();
    assert!(host.sent().is_empty());
    let sent = host.sent_on(second).remove(0);
    assert_eq!((sent.ip().time_to_live, sent.source()), (9, Ipv4Addr::new(10, 0, 0, 2)));
    host.stack.udp(udp).unwrap().set_multicast_netif(None).unwrap();
    host.stack.netif_set_default_multicast(Some(second)).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"three", (GROUP, 9).into()).unwrap();
    assert_eq!(host.sent_on(second).len(), 1);
    let through = UdpSend { netif: Some(host.netif), remote: Some((GROUP, 9).into()), ..UdpSend::default() };
    let data = host.data(b"four");
    host.stack.udp(udp).unwrap().send_with(data, &through).unwrap();
    assert_eq!(host.sent_one().source(), OURS);
}

#[test]
fn multicast_comes_back_to_members_of_this_host_when_asked_for_and_once() {
    let mut host = host();
    host.udp("member", 9);
    let udp = host.udp("sender", 5_000);
    host.stack.netif(host.netif).unwrap().join_group(GROUP.into()).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"out", (GROUP, 9).into()).unwrap();
    host.poll();
    assert!(host.heard().is_empty());
    host.discard_sent();
    host.stack.udp(udp).unwrap().set_multicast_loop(true).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"both", (GROUP, 9).into()).unwrap();
    host.poll();
    assert_eq!(host.datagrams(), [b"both"]);
    assert_eq!(host.sent_one().udp_data(), b"both");
    host.stack.netif(host.netif).unwrap().leave_group(GROUP.into()).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"no member", (GROUP, 9).into()).unwrap();
    host.poll();
    assert!(host.heard().is_empty());
    assert_eq!(host.memory_used().0, 0);
}

/// Datagrams of a tunnel: to any address and port, answered from there.
#[test]
fn a_tunnel_takes_every_datagram_and_answers_from_where_it_was_sent_to() {
    let settings = Ipv4Settings::new(Ipv4Addr::new(10, 0, 0, 1), 24);
    let mut host = host();
    let tunnel = host.add(&NetifConfig::ip().ipv4(settings).accept_any());
    let route = Route {
        prefix: Ipv4Addr::new(172, 16, 0, 0).into(),
        prefix_len: 12,
        netif: tunnel,
        gateway: None,
        metric: 0,
    };
    host.stack.route_add(route).unwrap();
    let app = host.app("proxy").on_datagram(move |udp, from, data| {
        let packet = udp.packet().unwrap();
        if packet.cast != Cast::Unicast {
            return;
        }
        let send = UdpSend {
            remote: Some(from),
            netif: Some(packet.netif),
            source: Some(packet.destination),
            source_port: Some(packet.destination_port),
        };
        udp.send_with(data, &send).unwrap();
    });
    let proxy = host.stack.udp_new(app).unwrap();
    host.stack.udp(proxy).unwrap().bind_all().unwrap();
    for to in ["203.0.113.7:443", "8.8.8.8:53", "10.0.0.1:1"] {
        host.input_on(tunnel, Packet::udp("172.16.5.5:1234", to, b"question").packet());
        let frames = host.sent_raw(tunnel);
        assert_eq!(frames.len(), 1);
        let answer = Seen::packet(&frames[0]);
        let (header, data) = answer.udp();
        assert_eq!((answer.source(), header.source_port), (*v4(to).ip(), v4(to).port()));
        assert_eq!((answer.destination(), header.destination_port), (Ipv4Addr::new(172, 16, 5, 5), 1234));
        assert_eq!(data, b"question");
    }
    let data = host.data(b"from nowhere");
    let sent = host.stack.udp(proxy).unwrap().send_with(data, &to("172.16.5.5:9"));
    assert_eq!(sent.unwrap_err().error, Error::Value, "a control block of all ports must say which");
    for senseless in ["255.255.255.255", "239.1.1.1", "0.0.0.0"] {
        let send = UdpSend { source: senseless.parse().ok(), source_port: Some(9), ..to("172.16.5.5:9") };
        assert_eq!(refused(&mut host, proxy, 1, &send), Error::Route, "from {senseless}");
    }
    host.input(Packet::udp("192.0.2.9:68", "192.0.2.255:67", b"broadcast").frame());
    assert_eq!(host.who_heard().len(), 4, "also a broadcast that nobody else takes");
}

/// [1122-UDP-7] [1122-IP-5] A source is one of ours; the interface that has it carries the datagram.
#[test]
fn the_source_address_is_the_chosen_one_the_bound_one_or_the_interfaces() {
    let mut host = host();
    let second_mac = MacAddr::new(2, 0, 0, 0, 1, 2);
    let second =
        host.add(&NetifConfig::ethernet(second_mac).ipv4(Ipv4Settings::new(Ipv4Addr::new(10, 0, 0, 2), 24)));
    host.meet_peer();
    host.stack.netif(second).unwrap().set_neighbour(Ipv4Addr::new(10, 0, 0, 9).into(), PEER_MAC).unwrap();
    let udp = host.udp("any", 5_000);
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", at("10.0.0.9:9")).unwrap();
    assert_eq!(host.sent_on(second)[0].source(), Ipv4Addr::new(10, 0, 0, 2));
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", at("192.0.2.9:9")).unwrap();
    assert_eq!(host.sent_one().source(), OURS);
    let app = host.app("bound");
    let bound = host.stack.udp_new(app).unwrap();
    host.stack.udp(bound).unwrap().bind(at("192.0.2.2:5001")).unwrap();
    host.stack.udp(bound).unwrap().send_bytes_to(b"x", at("192.0.2.9:9")).unwrap();
    assert_eq!(host.sent_one().source(), OURS);
    // lwIP: the bound address is not that of the interface which leads there.
    let far = UdpSend { netif: Some(second), ..to("192.0.2.9:9") };
    assert_eq!(refused(&mut host, bound, 3, &far), Error::Route);
}

#[test]
fn an_answer_to_a_broadcast_is_no_broadcast_frame_for_a_stack_that_gets_the_very_buffer() {
    let mut client = Host::configured(|setup| {
        setup.netif = NetifConfig::ethernet(PEER_MAC).ipv4(Ipv4Settings::new(PEER, 24));
    });
    let mut server = host();
    let app = server.app("server").on_datagram(|udp, from, data| udp.send_to(data, from).unwrap());
    server.udp_of(app, 67);
    server.meet_peer();
    let udp = client.udp("client", 68);
    client.stack.udp(udp).unwrap().set_broadcast(true).unwrap();
    client.stack.udp(udp).unwrap().send_bytes_to(b"discover", at("255.255.255.255:67")).unwrap();
    let question = client.stack.transmit(client.netif).unwrap();
    server.stack.input(server.netif, question, server.now).unwrap();
    let answer = server.stack.transmit(server.netif).unwrap();
    client.stack.input(client.netif, answer, client.now).unwrap();
    assert_eq!(client.datagrams(), [b"discover"]);
    client.advance(Duration::from_secs(1));
}
