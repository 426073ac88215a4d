//! IPv4 packets to others [RFC 1812 §5].

mod common;
use common::*;

use std::net::Ipv4Addr;
use std::time::Duration;

use coracle::*;

const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const FAR_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 1, 7);
const OUR_FAR_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 1, 1);
const OUR_FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

struct Router {
    host: Host,
    far: NetifHandle,
}

/// 192.0.2.2/24 on one side, 198.51.100.1/24 on the other, with a neighbour known on each.
fn router_with(change: impl FnOnce(&mut Setup), far: NetifConfig) -> Router {
    let mut host = Host::configured(|setup| {
        setup.netif = NetifConfig::ethernet(OUR_MAC).ipv4(Ipv4Settings::new(OURS, 24)).forwarding();
        change(setup);
    });
    let far = host.add(&far.ipv4(Ipv4Settings::new(OUR_FAR, 24)).forwarding());
    host.meet_peer();
    let mut request = Arp::request(FAR_MAC, FAR, OUR_FAR);
    request.from = FAR_MAC;
    host.input_on(far, request.frame());
    host.sent_raw(far);
    Router { host, far }
}

fn router() -> Router {
    router_with(|_| {}, NetifConfig::ethernet(OUR_FAR_MAC))
}

impl Router {
    /// What a packet from the peer comes to on the far side.
    fn forwarded(&mut self, packet: &Packet) -> Vec<Seen> {
        self.host.input(packet.frame());
        self.host.sent_on(self.far)
    }

    /// The error that a packet from the peer is answered with, while nothing is sent on.
    fn complaint(&mut self, packet: &Packet) -> Seen {
        assert!(self.forwarded(packet).is_empty());
        self.host.sent_one()
    }
}

fn hello() -> Packet {
    Packet::udp("192.0.2.9:5000", "198.51.100.7:7", b"hello")
}

/// The same to another host.
fn hello_to(destination: [u8; 4]) -> Packet {
    Packet::udp("192.0.2.9:5000", &format!("{}:7", Ipv4Addr::from(destination)), b"hello")
        .addressed_to(OUR_MAC)
}

#[test]
fn a_packet_goes_on_with_a_hop_less() {
    let mut router = router();
    let used = router.host.memory_used();
    let sent = router.forwarded(&hello());
    let [seen] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((seen.from, seen.to), (OUR_FAR_MAC, FAR_MAC));
    assert_eq!((seen.source(), seen.destination(), seen.ip().time_to_live), (PEER, FAR, 63));
    assert_eq!(seen.udp_data(), b"hello");
    // And back.
    let back =
        Packet::udp("198.51.100.7:7", "192.0.2.9:5000", b"yes").addressed_to(OUR_FAR_MAC).sent_by(FAR_MAC);
    router.host.input_on(router.far, back.frame());
    let seen = router.host.sent_one();
    assert_eq!((seen.to, seen.udp_data()), (PEER_MAC, &b"yes"[..]));
    assert_eq!(router.host.memory_used(), used);
    let ip = router.host.stack.counters().ip;
    assert_eq!((ip.forwarded, ip.not_forwarded, ip.not_for_us), (2, 0, 0));
}

/// [pitfalls: forwarding] Checksums stay right for every time-to-live and whatever is carried.
#[test]
fn checksums_are_right_after_every_hop() {
    let mut router = router();
    for ttl in 2..=255 {
        let mut packet = hello();
        packet.header.time_to_live = ttl;
        packet.header.identification = u16::from(ttl).wrapping_mul(0x0371);
        let sent = router.forwarded(&packet);
        assert_eq!(sent[0].ip().time_to_live, ttl - 1);
        assert_eq!(sent[0].ip().identification, packet.header.identification);
    }
    for protocol in 0..=255 {
        let packet = Packet::new(PEER, FAR, protocol, vec![protocol; 33]);
        if matches!(protocol, ICMP | UDP | UDP_LITE) {
            continue;
        }
        let sent = router.forwarded(&packet);
        assert_eq!((sent[0].ip().protocol.0, &sent[0].payload), (protocol, &packet.payload));
    }
}

#[test]
fn padding_of_the_link_stays_on_it() {
    let mut router = router();
    let sent = router.forwarded(&hello().padded(13));
    assert_eq!(sent[0].udp_data(), b"hello");
}

/// [1122-IP-15]
#[test]
fn nothing_is_forwarded_unless_asked_for() {
    let mut router = router();
    router.host.stack.netif(router.host.netif).unwrap().set_forwarding(false).unwrap();
    assert!(router.forwarded(&hello()).is_empty());
    assert_eq!(router.host.stack.counters().ip.not_for_us, 1);
    router.host.stack.netif(router.host.netif).unwrap().set_forwarding(true).unwrap();
    assert_eq!(router.forwarded(&hello()).len(), 1);
}

/// [pitfalls: forwarding] [RFC 1812 §5.3] [RFC 3927 §7]
#[test]
fn what_must_stay_on_its_link_is_not_forwarded() {
    let mut router = router();
    let wrong = [
        hello().addressed_to(MacAddr::BROADCAST),
        hello().addressed_to(MacAddr::new(1, 0, 0x5e, 0, 0, 1)),
        hello().destination([239, 9, 9, 9].into()),
        hello().destination([127, 0, 0, 1].into()),
        hello().destination([169, 254, 1, 1].into()),
        hello().destination([240, 0, 0, 1].into()),
        hello().destination([0, 0, 0, 1].into()),
        hello().source([127, 0, 0, 1].into()),
        hello().source([169, 254, 1, 1].into()),
        hello().source([224, 0, 0, 1].into()),
        hello().source([255, 255, 255, 255].into()),
        hello().source([0, 0, 0, 0].into()),
        hello().source(OUR_FAR),
        hello().source(OURS),
    ];
    for packet in &wrong {
        assert!(router.forwarded(packet).is_empty(), "{packet:?}");
        assert!(router.host.sent().is_empty(), "{packet:?}");
    }
    // [RFC 2644] The broadcast address of the other side.
    assert!(router.forwarded(&hello().destination([198, 51, 100, 255].into())).is_empty());
    assert!(router.host.sent().is_empty());
    assert_eq!(router.host.stack.counters().ip.forwarded, 0);
    assert_eq!(router.host.memory_used(), (0, 0, 0));
}

#[test]
fn a_source_route_is_not_followed() {
    let mut router = router();
    let routed = hello().options(&[131, 7, 4, 198, 51, 100, 7, 0]);
    assert!(router.forwarded(&routed).is_empty());
    assert!(router.host.sent().is_empty(), "no answer either");
    let noted = hello().options(&[148, 4, 0, 0]);
    assert_eq!(router.forwarded(&noted)[0].ip().options.as_slice(), [148, 4, 0, 0]);
}

#[test]
fn the_last_hop_is_told() {
    let mut router = router();
    for ttl in [0, 1] {
        let mut packet = hello();
        packet.header.time_to_live = ttl;
        let error = router.complaint(&packet);
        let (kind, code, _, quote) = error.icmp();
        assert_eq!((kind, code), (11, 0));
        assert_eq!((error.source(), error.destination(), error.to), (OURS, PEER, PEER_MAC));
        assert_eq!(quote, &packet.packet()[..]);
    }
}

#[test]
fn where_no_way_leads_the_sender_is_told() {
    let mut router = router();
    let error = router.complaint(&hello_to([203, 0, 113, 1]));
    assert_eq!(error.icmp().0, 3);
    assert_eq!(error.icmp().1, 0, "net unreachable");
    assert_eq!(error.source(), OURS);
    let route = Route {
        prefix: [203, 0, 113, 0].into(),
        prefix_len: 24,
        netif: router.far,
        gateway: Some(FAR.into()),
        metric: 0,
    };
    router.host.stack.route_add(route).unwrap();
    assert_eq!(router.forwarded(&hello_to([203, 0, 113, 1]))[0].to, FAR_MAC);
}

#[test]
fn a_neighbour_that_does_not_answer_is_reported() {
    let mut router = router();
    let packet = hello_to([198, 51, 100, 77]);
    let sent = router.forwarded(&packet);
    assert!(sent[0].is_arp());
    router.host.advance(Duration::from_secs(10));
    let sent = router.host.sent();
    let error = sent.iter().find(|seen| !seen.is_arp()).expect("an error");
    let (kind, code, _, quote) = error.icmp();
    assert_eq!((kind, code, error.destination()), (3, 1, PEER));
    assert_eq!(quote[20..], packet.packet()[20..]);
    router.host.sent_raw(router.far);
    assert_eq!(router.host.memory_used(), (0, 0, 0));
}

/// [RFC 1191 §4] [RFC 1812 §4.3.3.3] A smaller link ahead.
#[test]
fn what_is_too_long_for_the_next_link_is_cut_or_refused() {
    let mut router = router_with(|_| {}, NetifConfig::ethernet(OUR_FAR_MAC).mtu(576));
    let data = vec![5; 1_400];
    let mut packet = Packet::udp("192.0.2.9:5000", "198.51.100.7:7", &data);
    packet.header.identification = 77;
    packet.header.time_to_live = 9;
    let sent = router.forwarded(&packet);
    assert_eq!(sent.len(), 3);
    let whole = assemble(&sent);
    assert_eq!((whole.udp_data(), whole.ip().identification, whole.ip().time_to_live), (&data[..], 77, 8));
    packet.header.dont_fragment = true;
    let error = router.complaint(&packet);
    let (kind, code, rest, _) = error.icmp();
    assert_eq!((kind, code, rest), (3, 4, [0, 0, 2, 64]));
    assert_eq!(router.host.memory_used(), (0, 0, 0));
}

/// A router does not put fragments together [RFC 1812 §4.2.2.7].
#[test]
fn fragments_go_on_as_they_are() {
    let mut router = router();
    for fragment in Packet::udp("192.0.2.9:5000", "198.51.100.7:7", &[3; 4_000]).fragments(1_480) {
        let sent = router.forwarded(&fragment);
        assert_eq!(sent[0].payload, fragment.payload);
        assert_eq!(sent[0].ip().fragment_offset, fragment.header.fragment_offset);
    }
    assert_eq!(router.host.stack.counters().ip.fragments, 0);
}

/// [RFC 1812 §5.2.7.2] The sender could have sent it there itself: it is told, and the packet goes on all the same.
#[test]
fn a_host_is_told_of_a_shorter_way() {
    for send_redirects in [true, false] {
        let mut router = router_with(
            |setup| setup.config.send_redirects = send_redirects,
            NetifConfig::ethernet(OUR_FAR_MAC),
        );
        router.host.meet(GATEWAY, GATEWAY_MAC);
        let route = Route {
            prefix: [203, 0, 113, 0].into(),
            prefix_len: 24,
            netif: router.host.netif,
            gateway: Some(GATEWAY.into()),
            metric: 0,
        };
        router.host.stack.route_add(route).unwrap();
        let packet = hello_to([203, 0, 113, 1]);
        router.host.input(packet.frame());
        let sent = router.host.sent();
        assert_eq!(sent.len(), 1 + usize::from(send_redirects));
        let (redirects, forwarded) = sent.split_at(usize::from(send_redirects));
        assert_eq!((forwarded[0].to, forwarded[0].ip().time_to_live), (GATEWAY_MAC, 63));
        for redirect in redirects {
            let (kind, code, rest, _) = redirect.icmp();
            assert_eq!((kind, code, rest), (5, 1, GATEWAY.octets()));
            assert_eq!((redirect.source(), redirect.destination()), (OURS, PEER));
        }
        // Who is not on the link could not use it.
        let stranger = Packet::udp("192.88.99.1:5000", "203.0.113.1:7", b"hello").addressed_to(OUR_MAC);
        router.host.input(stranger.frame());
        assert_eq!(router.host.sent().len(), 1);
    }
}

/// A packet to our address on the other side is ours (a router is known by all of its addresses).
#[test]
fn the_routers_other_address_is_its_own() {
    let mut router = router();
    router.host.udp("server", 7);
    router.host.input(hello_to(OUR_FAR.octets()).frame());
    assert_eq!(router.host.datagrams(), [b"hello"]);
}

#[test]
fn errors_about_forwarded_packets_are_limited() {
    let mut router = router_with(
        |setup| (setup.config.icmp_errors_per_second, setup.config.icmp_error_burst) = (0, 3),
        NetifConfig::ethernet(OUR_FAR_MAC),
    );
    for _ in 0..10 {
        router.host.input(hello_to([203, 0, 113, 1]).frame());
    }
    assert_eq!(router.host.sent().len(), 3);
    assert_eq!(router.host.stack.counters().ip.not_forwarded, 10);
}
