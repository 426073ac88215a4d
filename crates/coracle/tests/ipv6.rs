//! IPv6 between two stacks: echo, datagrams, errors, and what is wrong with packets. Every frame is judged by an
//! independent decoder.
#![cfg(feature = "ipv6")]

mod common;
use common::{App, Heard, Host, OUR_MAC, PEER_MAC, Setup, bytes_of};

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use coracle::*;
use etherparse::{IpNumber, NetSlice, SlicedPacket, TransportSlice};

const OURS: &str = "2001:db8::2";
const THEIRS: &str = "2001:db8::9";

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn host_with(mac: MacAddr, addresses: &[&str], seed: u8) -> Host {
    let mut setup = Setup { netif: NetifConfig::ethernet(mac), ..Setup::default() };
    setup.limits.ipv6_addresses = 8;
    setup.config.seed = [seed; 16];
    let mut host = setup.host();
    for address in addresses {
        host.stack.netif(host.netif).unwrap().ipv6_add(ip(address), 64).unwrap();
    }
    host.poll();
    host.discard_sent();
    host.heard();
    host
}

fn pair() -> (Host, Host) {
    let ours = host_with(OUR_MAC, &[OURS, "fe80::2"], 7);
    (ours, host_with(PEER_MAC, &[THEIRS, "fe80::9"], 9))
}

/// Holds a frame against an independent decoder: lengths, and the checksum of what it carries.
fn judge(frame: &[u8]) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv6(net)) = &packet.net else { panic!("{frame:02x?}") };
    let header = net.header().to_header();
    assert_eq!(usize::from(header.payload_length) + 54, frame.len());
    match packet.transport.as_ref().unwrap() {
        TransportSlice::Udp(udp) => {
            let sum = udp.to_header().calc_checksum_ipv6(&header, udp.payload()).unwrap();
            assert_eq!(sum, udp.checksum());
        }
        TransportSlice::Tcp(tcp) => {
            assert_eq!(tcp.to_header().calc_checksum_ipv6(&header, tcp.payload()).unwrap(), tcp.checksum());
        }
        TransportSlice::Icmpv6(icmp) => {
            assert!(icmp.is_checksum_valid(header.source, header.destination));
        }
        TransportSlice::Icmpv4(_) | TransportSlice::Igmp(_) => panic!("a protocol of IPv4 in IPv6"),
    }
}

/// Carries frames both ways until there are none; all of them.
fn carry(first: &mut Host, second: &mut Host) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let before = frames.len();
        for frame in first.sent_raw(first.netif) {
            judge(&frame);
            second.input(&frame);
            frames.push(frame);
        }
        for frame in second.sent_raw(second.netif) {
            judge(&frame);
            first.input(&frame);
            frames.push(frame);
        }
        if frames.len() == before {
            return frames;
        }
    }
}

fn bound(host: &mut Host, who: &'static str, local: &str) -> UdpHandle {
    let app = host.app(who);
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().bind(at(local)).unwrap();
    udp
}

fn echo(host: &mut Host, local: &str) -> UdpHandle {
    let app = host.app("echo").on_datagram(|udp, from, data| udp.send_to(data, from).unwrap());
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().bind(at(local)).unwrap();
    udp
}

#[test]
fn datagrams_of_every_size_go_there_and_back() {
    let (mut client, mut server) = pair();
    echo(&mut server, "[::]:7");
    let udp = bound(&mut client, "client", "[::]:5000");
    for len in (0..1_452).step_by(61).chain([1_452]) {
        let bytes = vec![len as u8; len];
        client.stack.udp(udp).unwrap().send_bytes_to(&bytes, at("[2001:db8::9]:7")).unwrap();
        carry(&mut client, &mut server);
        assert_eq!(client.datagrams(), [bytes]);
    }
    assert_eq!(client.stack.counters().nd.solicitations_sent, 1);
    assert_eq!(server.stack.counters().nd.solicitations_sent, 0, "a solicitation told who asked");
    assert_eq!((client.memory_used(), server.memory_used()), ((0, 0, 0), (0, 0, 0)));
}

/// [RFC 4007] A link-local peer is named with its zone, and answers carry it.
#[test]
fn a_link_local_peer_has_a_zone() {
    let (mut client, mut server) = pair();
    echo(&mut server, "[::]:7");
    let udp = bound(&mut client, "client", "[::]:5000");
    let zone = u32::from(client.netif.index());
    let peer = SocketAddr::V6(std::net::SocketAddrV6::new(ip("fe80::9"), 7, 0, zone));
    let refused = client.stack.udp(udp).unwrap().send_bytes_to(b"x", at("[fe80::9]:7"));
    assert_eq!(refused, Err(Error::Value), "no zone is named, and there is no default interface");
    client.stack.udp(udp).unwrap().send_bytes_to(b"zoned", peer).unwrap();
    carry(&mut client, &mut server);
    let heard = client.heard();
    let [Heard::Datagram { from, packet, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((*from, packet.destination), (peer, IpAddr::V6(ip("fe80::2"))));
    client.stack.netif_set_default(Some(client.netif)).unwrap();
    client.stack.udp(udp).unwrap().send_bytes_to(b"by default", at("[fe80::9]:7")).unwrap();
    carry(&mut client, &mut server);
    assert_eq!(client.datagrams(), [b"by default"]);
}

/// Listening to `[::]` is listening to both families, unless IPv6 alone is asked for.
#[test]
fn any_address_is_any_family() {
    let (mut client, mut server) = pair();
    let settings = |last| Ipv4Settings::new([192, 0, 2, last].into(), 24);
    client.stack.netif(client.netif).unwrap().set_ipv4(settings(2)).unwrap();
    server.stack.netif(server.netif).unwrap().set_ipv4(settings(9)).unwrap();
    client.discard_sent();
    server.discard_sent();
    let both = echo(&mut server, "[::]:7");
    let taken = |server: &mut Host, local: &str| {
        let app = server.app("other");
        let udp = server.stack.udp_new(app).unwrap();
        let bound = server.stack.udp(udp).unwrap().bind(at(local));
        server.stack.udp_remove(udp).unwrap();
        bound
    };
    for local in ["0.0.0.0:7", "[::]:7", "192.0.2.9:7", "[2001:db8::9]:7"] {
        assert_eq!(taken(&mut server, local), Err(Error::InUse), "{local}");
    }
    let udp = bound(&mut client, "client", "[::]:5000");
    for to in ["192.0.2.9:7", "[2001:db8::9]:7"] {
        client.stack.udp(udp).unwrap().send_bytes_to(b"both", at(to)).unwrap();
        for _ in 0..4 {
            client.sent_raw(client.netif).iter().for_each(|frame| server.input(frame));
            server.sent_raw(server.netif).iter().for_each(|frame| client.input(frame));
        }
        assert_eq!(client.datagrams(), [b"both"], "{to}");
    }
    server.stack.udp_remove(both).unwrap();
    server.heard();
    let app = server.app("v6");
    let alone = server.stack.udp_new(app).unwrap();
    let any = std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 7, 0, 0);
    server.stack.udp(alone).unwrap().bind_v6_only(any).unwrap();
    assert_eq!(server.stack.udp(alone).unwrap().local().unwrap(), at("[::]:7"));
    assert_eq!(taken(&mut server, "0.0.0.0:7"), Ok(()));
    assert_eq!(taken(&mut server, "[::]:7"), Err(Error::InUse));
    bound(&mut server, "v4", "0.0.0.0:7");
    for (to, who) in [("192.0.2.9:7", "v4"), ("[2001:db8::9]:7", "v6")] {
        client.stack.udp(udp).unwrap().send_bytes_to(b"one", at(to)).unwrap();
        client.sent_raw(client.netif).iter().for_each(|frame| server.input(frame));
        assert_eq!(server.who_heard(), [who], "{to}");
    }
}

/// A frame from the peer: fixed header, then whatever follows, its checksum where a protocol has one made right.
fn frame(next: u8, source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let mut frame = [OUR_MAC.0, PEER_MAC.0].concat();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([next, 64]);
    frame.extend(ip(source).octets());
    frame.extend(ip(destination).octets());
    frame.extend(payload);
    frame
}

fn sum(source: &str, destination: &str, protocol: u8, data: &[u8]) -> [u8; 2] {
    let len = (data.len() as u32).to_be_bytes();
    let pseudo = [&ip(source).octets()[..], &ip(destination).octets(), &len, &[0, 0, 0, protocol]].concat();
    common::internet_checksum(&[&pseudo, data]).to_be_bytes()
}

fn udp(source: &str, destination: &str, port: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = [5_000_u16, port, 8 + data.len() as u16, 0].map(u16::to_be_bytes).concat();
    bytes.extend(data);
    let sum = sum(source, destination, 17, &bytes);
    bytes[6..8].copy_from_slice(&sum);
    bytes
}

fn ping(source: &str, destination: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![128, 0, 0, 0, 0, 7, 0, 1];
    bytes.extend(data);
    let sum = sum(source, destination, 58, &bytes);
    bytes[2..4].copy_from_slice(&sum);
    bytes
}

/// A host that knows the peer's station.
fn listening() -> Host {
    let (mut host, mut peer) = pair();
    bound(&mut host, "listener", "[::]:7");
    let hello = bound(&mut peer, "hello", "[::]:5000");
    peer.stack.udp(hello).unwrap().send_bytes_to(b"hello", at("[2001:db8::2]:7")).unwrap();
    carry(&mut host, &mut peer);
    assert_eq!(host.datagrams(), [b"hello"]);
    host
}

fn icmp_of(frame: &[u8]) -> (u8, u8, Vec<u8>) {
    judge(frame);
    assert_eq!(frame[20], 58);
    (frame[54], frame[55], frame[58..].to_vec())
}

fn one(host: &mut Host) -> Vec<u8> {
    let mut sent = host.sent_raw(host.netif);
    assert_eq!(sent.len(), 1, "{sent:02x?}");
    sent.remove(0)
}

/// [RFC 4443 §4.2] Echo: from the address that was asked, the data unchanged.
#[test]
fn echo_requests_of_every_size_are_answered() {
    let mut host = listening();
    for len in (0..=1_452_usize).step_by(33) {
        let data: Vec<u8> = (0..len).map(|at: usize| at as u8).collect();
        host.input(frame(58, THEIRS, OURS, &ping(THEIRS, OURS, &data)));
        let reply = one(&mut host);
        let (kind, code, rest) = icmp_of(&reply);
        assert_eq!((kind, code, &rest[..4], &rest[4..]), (129, 0, &[0, 7, 0, 1][..], &data[..]));
        assert_eq!((&reply[22..38], &reply[38..54]), (&ip(OURS).octets()[..], &ip(THEIRS).octets()[..]));
    }
    let mut wrong = frame(58, THEIRS, OURS, &ping(THEIRS, OURS, b"x"));
    wrong[56] ^= 1;
    host.input(wrong);
    assert!(host.sent_raw(host.netif).is_empty());
    assert_eq!(host.stack.counters().icmp6.bad_checksum, 1);
}

/// [RFC 4443 §3.1] A closed port is told, with as much of the packet as fits 1,280 bytes [4443-3].
#[test]
fn a_closed_port_is_told_and_the_sender_hears_of_it() {
    let mut host = listening();
    let datagram = udp(THEIRS, OURS, 9, &[7; 1_400]);
    host.input(frame(17, THEIRS, OURS, &datagram));
    let error = one(&mut host);
    let (kind, code, rest) = icmp_of(&error);
    assert_eq!((kind, code, error.len()), (1, 4, 14 + 1_280));
    assert_eq!(rest[4..], frame(17, THEIRS, OURS, &datagram)[14..][..rest.len() - 4]);
    let (mut client, mut server) = pair();
    let sender = bound(&mut client, "client", "[::]:5000");
    client.stack.udp(sender).unwrap().send_bytes_to(b"x", at("[2001:db8::9]:9")).unwrap();
    carry(&mut client, &mut server);
    let error = IcmpError { kind: IcmpErrorKind::PortUnreachable, reporter: Some(ip(THEIRS).into()) };
    let to = at("[2001:db8::9]:9");
    assert_eq!(client.heard(), [Heard::DatagramError { who: "client", to, error }]);
    let nobody = at("[2001:db8::66]:9");
    client.stack.udp(sender).unwrap().send_bytes_to(b"x", nobody).unwrap();
    for _ in 0..10 {
        carry(&mut client, &mut server);
        client.advance(Duration::from_secs(1));
        server.advance(Duration::from_secs(1));
    }
    let error = IcmpError { kind: IcmpErrorKind::HostUnreachable, reporter: None };
    assert_eq!(client.heard(), [Heard::DatagramError { who: "client", to: nobody, error }]);
}

/// Options in a header of eight bytes: one of this kind, and padding.
fn options(next: u8, kind: u8) -> Vec<u8> {
    vec![next, 0, kind, 2, 0, 0, 1, 0]
}

/// The first next header, what follows the fixed header, the error that is told, and whether the datagram arrives.
type Case = (u8, Vec<u8>, Option<(u8, u8, u32)>, bool);

/// [8200-1] [8200-2] [8200-3] [8200-4] [8200-5] [6946-1] Extension headers: passed over, refused with a pointer, or dropped.
#[test]
fn extension_headers_are_gone_through() {
    let inner = udp(THEIRS, OURS, 7, b"behind");
    let behind = |headers: &[u8]| [headers, &inner].concat();
    let two = [options(60, 0x1e), options(17, 0x1e)].concat();
    let cases: Vec<Case> = vec![
        (0, behind(&options(17, 0x1e)), None, true),
        (60, behind(&two), None, true),
        (43, behind(&[17, 0, 4, 0, 0, 0, 0, 0]), None, true),
        (44, behind(&[17, 0, 0, 0, 0, 0, 0, 9]), None, true),
        (60, behind(&options(17, 0x5e)), None, false),
        (60, behind(&options(17, 0x9e)), Some((4, 2, 42)), false),
        (0, behind(&options(17, 0xde)), Some((4, 2, 42)), false),
        (43, behind(&[17, 0, 0, 1, 0, 0, 0, 0]), Some((4, 0, 42)), false),
        (60, behind(&[options(0, 0x1e), options(17, 0x1e)].concat()), Some((4, 1, 40)), false),
        (51, behind(&[17, 0, 0, 0, 0, 0, 0, 0]), Some((4, 1, 6)), false),
        (200, inner.clone(), Some((4, 1, 6)), false),
        (60, behind(&options(201, 0x1e)), Some((4, 1, 40)), false),
        (59, inner.clone(), None, false),
        (60, vec![17, 9, 1, 0], None, false),
    ];
    for (next, payload, complaint, delivered) in cases {
        let mut host = listening();
        host.input(frame(next, THEIRS, OURS, &payload));
        assert_eq!(!host.datagrams().is_empty(), delivered, "{next} {payload:02x?}");
        let sent = host.sent_raw(host.netif);
        let told = sent.first().map(|frame| {
            let (kind, code, rest) = icmp_of(frame);
            (kind, code, u32::from_be_bytes(rest[..4].try_into().unwrap()))
        });
        assert_eq!(told, complaint, "{next} {payload:02x?}");
        assert_eq!(host.memory_used(), (0, 0, 0));
    }
}

/// The same packet in pieces of a byte is the same packet.
#[test]
fn headers_in_pieces_are_put_together() {
    let mut host = listening();
    let payload = [options(17, 0x1e), udp(THEIRS, OURS, 7, b"scattered")].concat();
    let bytes = frame(60, THEIRS, OURS, &payload);
    let mut pieces: Option<Pbuf> = None;
    for byte in &bytes {
        let piece = host.frame(&[*byte]);
        match &mut pieces {
            Some(first) => first.cat(piece).unwrap(),
            None => pieces = Some(piece),
        }
    }
    let now = host.now;
    host.stack.input(host.netif, pieces.unwrap(), now).unwrap();
    assert_eq!(host.datagrams(), [b"scattered"]);
}

/// [RFC 4291 §2.7] [RFC 4291 §2.5.5.2] Addresses that cannot be on a wire.
#[test]
fn impossible_addresses_are_dropped_in_silence() {
    let cases = [
        ("ff02::1", OURS),
        ("::1", OURS),
        (OURS, OURS),
        ("::ffff:192.0.2.9", OURS),
        (THEIRS, "::ffff:192.0.2.2"),
        (THEIRS, "::1"),
        (THEIRS, "2001:db8::3"),
        (THEIRS, "ff01::1"),
        (THEIRS, "ff02::1:ff00:3"),
        (THEIRS, "::"),
    ];
    for (source, destination) in cases {
        let mut host = listening();
        host.input(frame(17, source, destination, &udp(source, destination, 7, b"no")));
        host.input(frame(58, source, destination, &ping(source, destination, b"no")));
        assert!(host.datagrams().is_empty(), "{source} {destination}");
        assert!(host.sent_raw(host.netif).is_empty(), "{source} {destination}");
        let counters = host.stack.counters().ip6;
        assert_eq!(counters.bad_source + counters.not_for_us, 2, "{source} {destination}");
    }
}

/// Lengths that lie, versions that are not, and a checksum that UDP may not leave out here [RFC 8200 §8.1].
#[test]
fn malformed_packets_are_counted_drops() {
    let good = frame(17, THEIRS, OURS, &udp(THEIRS, OURS, 7, b"data"));
    let mut long = good.clone();
    long[19] += 1;
    let mut version = good.clone();
    version[14] = 0x40;
    let mut unsummed = good.clone();
    unsummed[60..62].fill(0);
    let mut host = listening();
    for bad in [&long[..], &version, &unsummed, &good[..40]] {
        host.input(bad);
        assert!(host.datagrams().is_empty(), "{bad:02x?}");
    }
    let counters = host.stack.counters();
    assert_eq!((counters.ip6.bad_length, counters.ip6.bad_version, counters.ip6.truncated), (1, 1, 1));
    assert_eq!(counters.udp.bad_checksum, 1);
    let padded = [&good[..], &[0; 9]].concat();
    host.input(padded);
    assert_eq!(host.datagrams(), [b"data"]);
}

/// [RFC 6724 §5] The source fits the destination's scope, then its prefix.
#[test]
fn sources_fit_destinations() {
    let mut host = host_with(OUR_MAC, &["fe80::2", "2001:db8::2", "2001:db8:1::2", "fd00::2"], 7);
    let udp = bound(&mut host, "sender", "[::]:5000");
    let netif = host.netif;
    for prefix in ["2001:db8:1:7::", "fd00:0:0:7::", "2400::"] {
        let route = Route { prefix: ip(prefix).into(), prefix_len: 64, netif, gateway: None, metric: 0 };
        host.stack.route_add(route).unwrap();
    }
    let zone = u32::from(netif.index());
    for (to, expected) in [
        ("fe80::9", "fe80::2"),
        ("2001:db8::9", "2001:db8::2"),
        ("2001:db8:1::9", "2001:db8:1::2"),
        ("2001:db8:1:7::9", "2001:db8:1::2"),
        ("fd00:0:0:7::9", "fd00::2"),
        ("ff02::5", "fe80::2"),
    ] {
        let to = SocketAddr::V6(std::net::SocketAddrV6::new(ip(to), 9, 0, zone));
        host.stack.netif(netif).unwrap();
        if !ip(&to.ip().to_string()).is_multicast() {
            host.stack.netif(netif).unwrap().set_neighbour(to.ip(), PEER_MAC).unwrap();
        }
        host.stack.udp(udp).unwrap().send_bytes_to(b"x", to).unwrap();
        let frame = one(&mut host);
        assert_eq!(frame[22..38], ip(expected).octets(), "{to}");
    }
}

/// [RFC 6437 §3] A flow's packets carry one label, another flow's another; nobody can tell the next.
#[test]
fn flows_have_labels() {
    let (mut client, mut server) = pair();
    let label = |frame: &[u8]| u32::from_be_bytes(frame[14..18].try_into().unwrap()) & 0xf_ffff;
    let mut labels = std::collections::HashSet::new();
    for port in 5_000..5_020_u16 {
        let udp = bound(&mut client, "sender", &format!("[::]:{port}"));
        let mut own = std::collections::HashSet::new();
        for _ in 0..3 {
            client.stack.udp(udp).unwrap().send_bytes_to(b"x", at("[2001:db8::9]:9")).unwrap();
            let frames = carry(&mut client, &mut server);
            let ours = frames.iter().filter(|frame| frame[20] == 17);
            own.extend(ours.map(|frame| label(frame)));
        }
        assert_eq!(own.len(), 1);
        labels.extend(own);
        client.stack.udp_remove(udp).unwrap();
    }
    assert_eq!(labels.len(), 20);
}

/// What is sent to an address of ours comes back, without a wire.
#[test]
fn the_host_reaches_itself() {
    let mut host = host_with(OUR_MAC, &[OURS], 7);
    let lo = host.stack.netif_add(&NetifConfig::loopback()).unwrap();
    host.stack.netif(lo).unwrap().set_up(true).unwrap();
    echo(&mut host, "[::]:7");
    let udp = bound(&mut host, "client", "[::]:5000");
    for to in ["[2001:db8::2]:7", "[::1]:7"] {
        host.stack.udp(udp).unwrap().send_bytes_to(b"self", at(to)).unwrap();
        host.poll();
        let who: Vec<_> = host.heard().iter().map(Heard::who).filter(|who| *who != "netif").collect();
        assert_eq!(who, ["echo", "client"], "{to}");
        assert!(host.sent_raw(host.netif).is_empty());
    }
    assert_eq!(host.stack.netif(lo).unwrap().ipv6_addresses().count(), 1);
}

/// A raw control block sends and takes ICMP for IPv6; the stack makes the checksum with the pseudo-header
/// [RFC 3542 §3.1].
#[test]
fn raw_pings_are_answered() {
    let (mut client, mut server) = pair();
    let app = App::new("raw", &client.log)
        .on_packet(|_, packet| (packet.get_at(40) != Some(129)).then_some(packet));
    let raw = client.stack.raw_new(IpNumber::IPV6_ICMP.0, app).unwrap();
    let mut pcb = client.stack.raw(raw).unwrap();
    pcb.set_checksum_offset(Some(2)).unwrap();
    let request = client.data(&[128, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3]);
    client.stack.raw(raw).unwrap().send_to(request, ip(THEIRS).into()).unwrap();
    let frames = carry(&mut client, &mut server);
    assert!(frames.iter().any(|frame| frame[20] == 58 && frame[54] == 129));
    let heard = client.heard();
    let replies =
        heard.iter().filter(|heard| matches!(heard, Heard::Packet { packet, .. } if packet[40] == 129));
    assert_eq!(replies.count(), 1);
}

/// Addresses come and go; what cannot be an address is refused.
#[test]
fn addresses_are_added_and_removed() {
    let mut host = host_with(OUR_MAC, &[OURS], 7);
    let netif = host.netif;
    let mut interface = host.stack.netif(netif).unwrap();
    for (address, len, expected) in [
        (OURS, 64, Error::InUse),
        ("ff02::1", 64, Error::Value),
        ("::", 64, Error::Value),
        ("::ffff:192.0.2.1", 64, Error::Value),
        ("2001:db8::7", 129, Error::Value),
    ] {
        assert_eq!(interface.ipv6_add(ip(address), len), Err(expected), "{address}");
    }
    assert_eq!(interface.ipv6_remove(ip(THEIRS)), Err(Error::Value));
    for last in 10..17_u16 {
        interface.ipv6_add(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), 64).unwrap();
    }
    assert_eq!(interface.ipv6_add(ip("2001:db8::20"), 64), Err(Error::Memory));
    interface.ipv6_remove(ip(OURS)).unwrap();
    assert_eq!(interface.ipv6_addresses().count(), 7);
    host.input(frame(58, THEIRS, OURS, &ping(THEIRS, OURS, b"gone")));
    assert_eq!(host.stack.counters().ip6.not_for_us, 1);
    host.stack.netif_remove(netif).unwrap();
    host.poll();
    assert_eq!(host.memory_used(), (0, 0, 0));
    assert!(bytes_of(&host.data(b"")).is_empty());
}
