//! What ICMP teaches about single destinations: path MTUs [RFC 1191] [RFC 8201] and redirects [RFC 1122 §3.2.2.2].

mod common;
use common::*;

use std::net::Ipv4Addr;
use std::time::Duration;

use coracle::*;

const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 8);
const OTHER_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 8);

/// A host that sends from port 5000 to port 7 of a host far away.
fn talking(change: impl FnOnce(&mut Setup)) -> (Host, UdpHandle) {
    let mut host = Host::configured(|setup| {
        setup.limits.paths = 4;
        setup.config.path_mtu_discovery = true;
        change(setup);
    });
    host.meet(GATEWAY, GATEWAY_MAC);
    host.meet(OTHER, OTHER_MAC);
    let udp = host.udp("client", 5_000);
    (host, udp)
}

/// Sends so many bytes to a host; what left.
fn send_to(host: &mut Host, udp: UdpHandle, to: Ipv4Addr, len: usize) -> Vec<Seen> {
    let data = host.data(&vec![5; len]);
    host.stack.udp(udp).unwrap().send_to(data, (to, 7).into()).unwrap();
    host.sent()
}

fn send(host: &mut Host, udp: UdpHandle, len: usize) -> Vec<Seen> {
    send_to(host, udp, FAR, len)
}

/// The start of the packet that we would have sent, of so many bytes.
fn quote(from_port: u16, len: u16) -> Vec<u8> {
    let mut packet = Packet::udp(&format!("192.0.2.2:{from_port}"), "198.51.100.7:7", &[5; 4]).packet();
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet
}

/// The gateway says that a packet of `len` bytes was too long.
fn too_long(mtu: u16, len: u16) -> Packet {
    let [high, low] = mtu.to_be_bytes();
    from_gateway(Packet::icmp(3, 4, [0, 0, high, low], &quote(5_000, len)))
}

fn from_gateway(packet: Packet) -> Packet {
    packet.source(GATEWAY).sent_by(GATEWAY_MAC)
}

fn lens(sent: &[Seen]) -> Vec<u16> {
    sent.iter().map(|seen| seen.ip().total_len).collect()
}

/// [1191-1] Later datagrams are cut to what the path takes; those that fit are still not to be cut on the way.
#[test]
fn a_path_that_takes_less_is_remembered_for_a_while() {
    let (mut host, udp) = talking(|_| {});
    let sent = send(&mut host, udp, 1_472);
    assert_eq!((lens(&sent), sent[0].ip().dont_fragment), (vec![1_500], true));
    host.input(too_long(1_000, 1_500).frame());
    let heard = host.heard();
    assert!(matches!(
        heard[..],
        [Heard::DatagramError {
            error: IcmpError { kind: IcmpErrorKind::FragmentationNeeded { mtu: 1_000 }, .. },
            ..
        }]
    ));
    let sent = send(&mut host, udp, 1_472);
    assert_eq!(lens(&sent), [996, 524]);
    assert!(sent.iter().all(|seen| !seen.ip().dont_fragment));
    assert_eq!(assemble(&sent).udp_data(), vec![5; 1_472]);
    let sent = send(&mut host, udp, 972);
    assert_eq!((lens(&sent), sent[0].ip().dont_fragment), (vec![1_000], true));
    // Others are not concerned.
    assert_eq!(lens(&send_to(&mut host, udp, [198, 51, 100, 8].into(), 1_472)), [1_500]);
    // [1191-2] Nor is it raised by a router, nor before its time.
    host.input(too_long(1_400, 1_500).frame());
    assert_eq!(lens(&send(&mut host, udp, 1_472)), [996, 524]);
    host.advance(Duration::from_secs(598));
    host.meet(GATEWAY, GATEWAY_MAC);
    assert_eq!(lens(&send(&mut host, udp, 1_472)), [996, 524]);
    host.advance(Duration::from_secs(1));
    host.meet(GATEWAY, GATEWAY_MAC);
    assert_eq!(lens(&send(&mut host, udp, 1_472)), [1_500]);
}

/// A router from before RFC 1191 does not say how much its link takes.
#[test]
fn without_a_number_the_next_smaller_usual_mtu_is_taken() {
    let (mut host, udp) = talking(|_| {});
    for expected in [1_492, 1_006, 552] {
        let len = lens(&send(&mut host, udp, 1_472))[0];
        host.input(too_long(0, len.max(expected + 1)).frame());
        let sent = send(&mut host, udp, 2_000);
        assert_eq!(lens(&sent)[0], 20 + ((expected - 20) & !7));
    }
    // Now routers may cut.
    assert!(!send(&mut host, udp, 100)[0].ip().dont_fragment);
}

#[test]
fn what_cannot_be_true_is_not_believed() {
    let (mut host, udp) = talking(|_| {});
    send(&mut host, udp, 1_472);
    let [high, low] = 1_000_u16.to_be_bytes();
    let rest = [0, 0, high, low];
    let mut foreign = quote(5_000, 1_500);
    foreign[12..16].copy_from_slice(&[192, 0, 2, 3]);
    let lies = [
        too_long(1_000, 900),
        too_long(1_000, 1_000),
        too_long(1_500, 1_500),
        too_long(1_600, 1_700),
        from_gateway(Packet::icmp(3, 4, rest, &quote(5_001, 1_500))),
        from_gateway(Packet::icmp(3, 4, rest, &foreign)),
        from_gateway(Packet::icmp(3, 4, rest, &quote(5_000, 1_500)[..23])),
        from_gateway(Packet::icmp(3, 4, rest, &[])),
    ];
    for lie in &lies {
        host.input(lie.frame());
        assert_eq!(lens(&send(&mut host, udp, 1_472)), [1_500], "{lie:?}");
    }
    // Crumbs are not made.
    host.input(too_long(68, 1_500).frame());
    assert_eq!(lens(&send(&mut host, udp, 1_472)), [548, 548, 444]);
}

#[test]
fn unless_asked_for_routers_may_cut() {
    let (mut host, udp) = talking(|setup| setup.config.path_mtu_discovery = false);
    assert!(!send(&mut host, udp, 1_472)[0].ip().dont_fragment);
    assert!(!send(&mut host, udp, 10)[0].ip().dont_fragment);
}

/// Nor does it change anything that the datagram had to wait for its router.
#[test]
fn what_is_cut_here_may_be_cut_on_the_way_too() {
    let mut host = Host::configured(|setup| setup.config.path_mtu_discovery = true);
    let udp = host.udp("client", 5_000);
    assert!(send(&mut host, udp, 2_000)[0].is_arp());
    host.input(Arp::reply(GATEWAY_MAC, GATEWAY).frame());
    let sent = host.sent();
    assert_eq!(assemble(&sent).udp_data(), vec![5; 2_000]);
    assert!(sent.iter().all(|seen| !seen.ip().dont_fragment));
}

#[test]
fn many_paths_need_no_more_room_than_there_is() {
    let (mut host, udp) = talking(|_| {});
    for last in 0..50 {
        let mut body = quote(5_000, 1_500);
        body[19] = last;
        host.input(from_gateway(Packet::icmp(3, 4, [0, 0, 4, 0], &body)).frame());
    }
    let short = (0..50).filter(|&last| send_to(&mut host, udp, [198, 51, 100, last].into(), 1_472).len() > 1);
    assert_eq!(short.count(), 4);
}

fn redirect_to(gateway: Ipv4Addr) -> Packet {
    from_gateway(Packet::icmp(5, 1, gateway.octets(), &quote(5_000, 100)))
}

/// [1122-ICMP-9] [1122-IP-12]
#[test]
fn a_redirect_of_the_router_in_use_is_followed() {
    let (mut host, udp) = talking(|_| {});
    assert_eq!(send(&mut host, udp, 10)[0].to, GATEWAY_MAC);
    host.input(redirect_to(OTHER).frame());
    assert_eq!(send(&mut host, udp, 10)[0].to, OTHER_MAC);
    assert_eq!(send_to(&mut host, udp, [198, 51, 100, 8].into(), 10)[0].to, GATEWAY_MAC, "for one host only");
    assert_eq!(host.stack.counters().icmp.redirects, 1);
    host.advance(Duration::from_secs(599));
    host.meet(GATEWAY, GATEWAY_MAC);
    assert_eq!(send(&mut host, udp, 10)[0].to, GATEWAY_MAC, "it was long ago");
}

#[test]
fn other_redirects_change_nothing() {
    let (mut host, udp) = talking(|_| {});
    let near =
        Packet::icmp(5, 1, OTHER.octets(), &Packet::udp("192.0.2.2:5000", "192.0.2.9:7", &[5; 4]).packet());
    let not_ours = Packet::icmp(
        5,
        1,
        OTHER.octets(),
        &Packet::udp("192.0.2.3:5000", "198.51.100.7:7", &[5; 4]).packet(),
    );
    let wrong = [
        redirect_to(OTHER).source(OTHER).sent_by(OTHER_MAC),
        redirect_to(OTHER).source(FAR),
        redirect_to(FAR),
        redirect_to(OURS),
        redirect_to(BROADCAST),
        redirect_to([224, 0, 0, 1].into()),
        redirect_to([0, 0, 0, 0].into()),
        redirect_to(OTHER).addressed_to(MacAddr::BROADCAST),
        from_gateway(Packet::icmp(5, 9, OTHER.octets(), &quote(5_000, 100))),
        from_gateway(Packet::icmp(5, 1, OTHER.octets(), &quote(5_000, 100)[..10])),
        from_gateway(near),
        from_gateway(not_ours),
    ];
    for packet in &wrong {
        host.input(packet.frame());
        assert_eq!(send(&mut host, udp, 10)[0].to, GATEWAY_MAC, "{packet:?}");
    }
    assert_eq!(host.stack.counters().icmp.redirects, 0);
}

#[test]
fn who_forwards_or_was_told_not_to_follows_no_redirect() {
    let (mut host, udp) = talking(|setup| setup.config.accept_redirects = false);
    host.input(redirect_to(OTHER).frame());
    assert_eq!(send(&mut host, udp, 10)[0].to, GATEWAY_MAC);
    let (mut host, udp) = talking(|_| {});
    host.stack.netif(host.netif).unwrap().set_forwarding(true).unwrap();
    host.input(redirect_to(OTHER).frame());
    assert_eq!(send(&mut host, udp, 10)[0].to, GATEWAY_MAC);
}

/// A router that does not answer is left again [1122-IP-13].
#[test]
fn a_dead_router_is_not_followed_for_long() {
    let (mut host, udp) = talking(|_| {});
    host.input(redirect_to([192, 0, 2, 77].into()).frame());
    assert!(send(&mut host, udp, 10)[0].is_arp());
    host.advance(Duration::from_secs(10));
    host.discard_sent();
    assert_eq!(send(&mut host, udp, 10)[0].to, GATEWAY_MAC);
}

#[cfg(feature = "ipv6")]
mod v6 {
    use super::*;
    use std::net::{IpAddr, Ipv6Addr};

    const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

    /// A message that says that a datagram of ours with `len` bytes was too big, or the answer to a ping.
    fn too_big(mtu: u32, len: u16, next: u8, from_port: u16) -> Vec<u8> {
        let header = |next: u8, len: u16, source: Ipv6Addr, destination: Ipv6Addr| {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(len.to_be_bytes());
            header.extend([next, 64]);
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        };
        let mut quoted = header(next, len - 40, OURS, PEER);
        quoted.extend(if next == 58 { [129, 0] } else { from_port.to_be_bytes() });
        quoted.extend([0, 7, 0, 0, 0, 0]);
        let mut message = vec![2, 0, 0, 0];
        message.extend(mtu.to_be_bytes());
        message.extend(quoted);
        let pseudo_len = (message.len() as u32).to_be_bytes();
        let sum = internet_checksum(&[&PEER.octets(), &OURS.octets(), &pseudo_len, &[0, 0, 0, 58], &message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = [&OUR_MAC.0[..], &PEER_MAC.0, &[0x86, 0xdd]].concat();
        frame.extend(header(58, message.len() as u16, PEER, OURS));
        frame.extend(message);
        frame
    }

    fn talking() -> (Host, UdpHandle) {
        let mut host = Host::configured(|setup| {
            setup.limits.paths = 4;
            setup.limits.ipv6_addresses = 4;
        });
        let mut netif = host.stack.netif(host.netif).unwrap();
        netif.ipv6_add(OURS, 64).unwrap();
        netif.set_neighbour(IpAddr::V6(PEER), PEER_MAC).unwrap();
        let app = host.app("client");
        let udp = host.stack.udp_new(app).unwrap();
        host.stack.udp(udp).unwrap().bind((Ipv6Addr::UNSPECIFIED, 5_000).into()).unwrap();
        host.poll();
        host.discard_sent();
        (host, udp)
    }

    fn lens(host: &mut Host, udp: UdpHandle) -> Vec<usize> {
        let data = host.data(&[5; 1_452]);
        host.stack.udp(udp).unwrap().send_to(data, (PEER, 7).into()).unwrap();
        host.sent_raw(host.netif).iter().map(|frame| frame.len() - 14).collect()
    }

    /// [8201-1]
    #[test]
    fn a_path_that_takes_less_is_remembered_for_a_while() {
        let (mut host, udp) = talking();
        assert_eq!(lens(&mut host, udp), [1_500]);
        host.input(too_big(1_400, 1_500, 17, 5_000));
        assert_eq!(lens(&mut host, udp), [1_400, 156]);
        host.input(too_big(1_280, 1_400, 17, 5_000));
        assert_eq!(lens(&mut host, udp), [1_280, 276]);
        host.input(too_big(1_500, 1_600, 17, 5_000));
        assert_eq!(lens(&mut host, udp), [1_280, 276]);
        host.advance(Duration::from_secs(599));
        host.discard_sent();
        assert_eq!(lens(&mut host, udp), [1_500]);
    }

    /// [8201-1] Never below 1,280, and never for a packet that would have fitted.
    #[test]
    fn what_cannot_be_true_is_not_believed() {
        let (mut host, udp) = talking();
        for lie in [
            too_big(1_279, 1_500, 17, 5_000),
            too_big(68, 1_500, 17, 5_000),
            too_big(1_400, 1_400, 17, 5_000),
            too_big(1_400, 100, 17, 5_000),
        ] {
            host.input(lie);
            assert_eq!(lens(&mut host, udp), [1_500]);
        }
        // Of answers to pings nobody keeps a record.
        host.input(too_big(1_300, 1_400, 58, 0));
        assert_eq!(lens(&mut host, udp)[0], 1_296);
    }
}
