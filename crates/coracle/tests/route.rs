//! Which way packets go: prefixes, metrics, gateways, the default interface, ours and not ours.

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr};

use coracle::*;

const SECOND_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 1, 2);

fn v(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn ip(address: &str) -> Ipv4Addr {
    address.parse().unwrap()
}

/// A second interface: 10.0.0.2/24 with a gateway.
fn two() -> (Host, NetifHandle) {
    let mut host = host();
    let settings = Ipv4Settings::new(ip("10.0.0.2"), 24).with_gateway(ip("10.0.0.1"));
    let second = host.add(&NetifConfig::ethernet(SECOND_MAC).ipv4(settings));
    (host, second)
}

fn route(prefix: &str, prefix_len: u8, netif: NetifHandle, gateway: Option<&str>, metric: u16) -> Route {
    Route {
        prefix: ip(prefix).into(),
        prefix_len,
        netif,
        gateway: gateway.map(|gateway| ip(gateway).into()),
        metric,
    }
}

#[test]
fn the_longest_prefix_wins_then_the_least_metric() {
    let (mut host, second) = two();
    let first = host.netif;
    host.stack.netif_set_default(Some(first)).unwrap();
    let routes = [
        route("172.16.0.0", 12, second, Some("10.0.0.3"), 0),
        route("172.16.0.0", 16, first, Some("192.0.2.7"), 9),
        route("172.16.0.0", 16, second, Some("10.0.0.4"), 3),
        route("172.16.5.5", 32, first, Some("192.0.2.8"), 65_535),
    ];
    for route in routes {
        host.stack.route_add(route).unwrap();
    }
    for (to, netif, next) in [
        ("172.31.255.255", second, "10.0.0.3"),
        ("172.16.0.1", second, "10.0.0.4"),
        ("172.16.5.5", first, "192.0.2.8"),
        ("172.16.5.4", second, "10.0.0.4"),
        ("172.32.0.1", first, "192.0.2.1"),
        ("8.8.8.8", first, "192.0.2.1"),
        ("192.0.2.200", first, "192.0.2.200"),
        ("10.0.0.200", second, "10.0.0.200"),
    ] {
        assert_eq!(host.stack.route(v(to)), Ok((netif, v(next))), "{to}");
    }
    let lengths: Vec<u8> = host.stack.routes().map(|route| route.prefix_len).collect();
    assert_eq!(lengths, [32, 16, 16, 12]);
    assert_eq!(host.stack.routes().nth(1), Some(routes[2]));
    host.stack.route_remove(routes[2]).unwrap();
    assert_eq!(host.stack.route(v("172.16.0.1")), Ok((first, v("192.0.2.7"))));
    assert_eq!(host.stack.route_remove(routes[2]), Err(Error::Value));
}

#[test]
fn routes_that_make_no_sense_are_refused() {
    let (mut host, second) = two();
    let add = |host: &mut Host, route| host.stack.route_add(route);
    assert_eq!(add(&mut host, route("172.16.0.0", 33, second, None, 0)), Err(Error::Argument));
    assert_eq!(add(&mut host, route("172.16.0.1", 24, second, None, 0)), Err(Error::Argument));
    add(&mut host, route("172.16.0.0", 24, second, None, 0)).unwrap();
    assert_eq!(add(&mut host, route("172.16.0.0", 24, second, Some("10.0.0.9"), 7)), Err(Error::InUse));
    let first = host.netif;
    add(&mut host, route("172.16.0.0", 24, first, None, 0)).unwrap();
    add(&mut host, route("0.0.0.0", 0, second, Some("10.0.0.9"), 0)).unwrap();
    assert_eq!(host.stack.route(v("2001:db8::1")), Err(Error::Route));
}

/// [1122-IP-12] The next hop: the neighbour itself on the local network, else the gateway of the default interface.
#[test]
fn the_default_interfaces_gateway_leads_everywhere_else() {
    let (mut host, second) = two();
    host.stack.netif_set_default(Some(second)).unwrap();
    assert_eq!(host.stack.netif_default(), Some(second));
    assert_eq!(host.stack.route(v("8.8.8.8")), Ok((second, v("10.0.0.1"))));
    host.stack.netif_set_default(Some(host.netif)).unwrap();
    assert_eq!(host.stack.route(v("8.8.8.8")), Ok((host.netif, v("192.0.2.1"))));
    host.stack.netif(host.netif).unwrap().set_ipv4(Ipv4Settings::new(OURS, 24)).unwrap();
    assert_eq!(host.stack.route(v("8.8.8.8")), Ok((second, v("10.0.0.1"))), "the only gateway left");
    host.stack.netif(second).unwrap().set_up(false).unwrap();
    assert_eq!(host.stack.route(v("8.8.8.8")), Err(Error::Route));
    assert_eq!(host.stack.counters().ip.no_route, 1);
}

/// A way that is down is no way; another one is taken until it is back. The same for packets on their way.
#[test]
fn an_interface_that_is_down_is_gone_around() {
    let (mut host, second) = two();
    host.stack.route_add(route("172.16.0.0", 24, host.netif, Some("192.0.2.7"), 0)).unwrap();
    host.stack.route_add(route("172.16.0.0", 16, second, Some("10.0.0.3"), 0)).unwrap();
    let udp = host.udp("sender", 5_000);
    let way = |host: &mut Host| {
        host.stack.udp(udp).unwrap().send_bytes_to(b"x", "172.16.0.1:9".parse().unwrap()).unwrap();
        let (first, other) = (host.sent().len(), host.sent_on(second).len());
        (first, other)
    };
    assert_eq!(way(&mut host), (1, 0));
    host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap();
    assert_eq!(way(&mut host), (0, 1));
    host.stack.netif(host.netif).unwrap().set_link_up(true).unwrap();
    host.discard_sent();
    assert_eq!(way(&mut host), (1, 0));
    host.stack.netif_remove(host.netif).unwrap();
    assert_eq!(host.stack.routes().count(), 1);
}

/// [lwip-raw-api §3.10] A control block that is bound to an interface sends by it alone.
#[test]
fn a_bound_interface_is_the_only_way() {
    let (mut host, second) = two();
    host.stack.netif_set_default(Some(host.netif)).unwrap();
    let udp = host.udp("bound", 5_000);
    host.stack.udp(udp).unwrap().bind_netif(Some(second)).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", "8.8.8.8:53".parse().unwrap()).unwrap();
    assert_eq!(host.sent_on(second)[0].arp().target_ipv4, [10, 0, 0, 1]);
    let mut pcb = host.stack.udp(udp).unwrap();
    pcb.set_broadcast(true).unwrap();
    pcb.send_bytes_to(b"x", "255.255.255.255:9".parse().unwrap()).unwrap();
    assert_eq!(host.sent_on(second)[0].source(), ip("10.0.0.2"));
    assert!(host.sent().is_empty());
    host.stack.netif(second).unwrap().set_up(false).unwrap();
    let sent = host.stack.udp(udp).unwrap().send_bytes_to(b"x", "8.8.8.8:53".parse().unwrap());
    assert_eq!(sent, Err(Error::Route));
}

/// Hosts beyond a route without gateway are on the link: they are asked for, believed and answered.
#[test]
fn neighbours_of_a_network_that_a_route_puts_on_the_link_are_resolved_and_answered() {
    let mut host = host();
    host.stack.route_add(route("172.16.0.0", 24, host.netif, None, 0)).unwrap();
    let udp = host.udp("sender", 5_000);
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", "172.16.0.9:9".parse().unwrap()).unwrap();
    assert_eq!(host.sent_one().arp().target_ipv4, [172, 16, 0, 9]);
    host.input(Arp::reply(PEER_MAC, ip("172.16.0.9")).frame());
    assert_eq!(host.sent_one().udp_data(), b"x");
    host.input(Arp::request(PEER_MAC, ip("172.16.0.10"), OURS).frame());
    assert_eq!(host.sent_one().to, PEER_MAC);
    host.input(Arp::request(PEER_MAC, ip("172.16.1.10"), OURS).frame());
    assert!(host.sent().is_empty(), "not on the link");
    host.stack.netif(host.netif).unwrap().set_neighbour(ip("172.16.0.11").into(), PEER_MAC).unwrap();
}

/// A router outside of the interface's own network answers for itself when it is asked.
#[test]
fn a_gateway_outside_of_the_network_is_believed_when_asked() {
    let settings = Ipv4Settings::new(OURS, 32).with_gateway(ip("203.0.113.1"));
    let mut host = Host::configured(|setup| setup.netif.ipv4 = settings);
    let udp = host.udp("sender", 5_000);
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", "8.8.8.8:53".parse().unwrap()).unwrap();
    assert_eq!(host.sent_one().arp().target_ipv4, [203, 0, 113, 1]);
    host.input(Arp::reply(GATEWAY_MAC, ip("203.0.113.1")).frame());
    assert_eq!(host.sent_one().to, GATEWAY_MAC);
}

#[test]
fn a_point_to_point_link_needs_no_gateway_to_lead_everywhere() {
    let mut host = host();
    let tunnel = host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new(ip("10.9.0.2"), 32)));
    host.stack.netif_set_default(Some(tunnel)).unwrap();
    let (netif, _) = host.stack.route(v("8.8.8.8")).unwrap();
    assert_eq!(netif, tunnel);
    let udp = host.udp("sender", 5_000);
    host.stack.udp(udp).unwrap().send_bytes_to(b"bare", "8.8.8.8:53".parse().unwrap()).unwrap();
    let sent = Seen::packet(&host.sent_raw(tunnel)[0]);
    assert_eq!((sent.source(), sent.udp_data()), (ip("10.9.0.2"), &b"bare"[..]));
}

/// [RFC 1122 §3.3.4.2] Weak: any address of ours on any interface; strong: only on its own.
#[test]
fn an_address_of_another_interface_is_taken_by_a_weak_host_only() {
    for strong in [false, true] {
        let mut host = Host::configured(|setup| setup.config.strong_host = strong);
        host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new(ip("10.0.0.2"), 24)));
        host.udp("server", 7);
        host.input(Packet::udp("192.0.2.9:5", "10.0.0.2:7", b"x").frame());
        assert_eq!(host.heard().len(), usize::from(!strong));
        host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:7", b"x").frame());
        assert_eq!(host.heard().len(), 1);
    }
}

#[test]
fn accept_any_can_be_switched_and_takes_host_addresses_only() {
    let mut host = host();
    let tunnel = host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new(ip("10.0.0.2"), 24)));
    host.udp("server", 7);
    let heard = |host: &mut Host, to: &str| {
        host.input_on(tunnel, Packet::udp("172.16.0.1:5", to, b"x").packet());
        host.heard().len()
    };
    assert_eq!(heard(&mut host, "8.8.8.8:7"), 0);
    host.stack.netif(tunnel).unwrap().set_accept_any(true).unwrap();
    assert_eq!(heard(&mut host, "8.8.8.8:7"), 1);
    for no_host in ["0.0.0.0:7", "127.0.0.1:7", "240.0.0.1:7", "239.1.1.1:7"] {
        assert_eq!(heard(&mut host, no_host), 0, "{no_host}");
    }
    host.stack.netif(tunnel).unwrap().set_accept_any(false).unwrap();
    assert_eq!(heard(&mut host, "8.8.8.8:7"), 0);
}

#[test]
fn a_gateway_that_is_no_host_is_an_argument_error() {
    let mut host = host();
    let netif = host.netif;
    for gateway in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        let route = Route {
            prefix: [198, 51, 100, 0].into(),
            prefix_len: 24,
            netif,
            gateway: Some(gateway.parse().unwrap()),
            metric: 0,
        };
        assert_eq!(host.stack.route_add(route), Err(Error::Argument), "{gateway}");
    }
    assert_eq!(host.stack.routes().count(), 0);
}
