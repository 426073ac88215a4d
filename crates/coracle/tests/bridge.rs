//! Bridges: frames from interface to interface [IEEE 802.1D §7].

mod common;
use common::*;

use std::time::Duration;

use coracle::*;

const PORTS: usize = 3;

/// A bridge with an address of its own, and three ports.
struct Bench {
    host: Host,
    ports: [NetifHandle; PORTS],
}

fn station(number: u8) -> MacAddr {
    MacAddr::new(2, 7, 0, 0, 0, number)
}

fn bench_with(change: impl FnOnce(&mut Setup)) -> Bench {
    let mut host = Host::configured(|setup| {
        setup.netif = NetifConfig::bridge(OUR_MAC).ipv4(Ipv4Settings::new(OURS, 24));
        setup.limits.stations = 16;
        change(setup);
    });
    let ports =
        [0xa, 0xb, 0xc].map(|last| host.add(&NetifConfig::ethernet(MacAddr::new(2, 8, 0, 0, 0, last))));
    for port in ports {
        host.stack.netif(host.netif).unwrap().bridge_add_port(port).unwrap();
        host.sent_raw(port);
    }
    Bench { host, ports }
}

fn bench() -> Bench {
    bench_with(|_| {})
}

/// A frame of a protocol that the stack does not speak.
fn frame(to: MacAddr, from: MacAddr, data: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &[0x88, 0xb5], data].concat()
}

impl Bench {
    /// The ports by which something leaves that came in by one, the very same bytes.
    fn cross(&mut self, port: usize, frame: &[u8]) -> Vec<usize> {
        self.host.input_on(self.ports[port], frame);
        self.left(frame)
    }

    fn left(&mut self, frame: &[u8]) -> Vec<usize> {
        let mut by = Vec::new();
        for (number, port) in self.ports.into_iter().enumerate() {
            for sent in self.host.sent_raw(port) {
                assert_eq!(sent, frame);
                by.push(number);
            }
        }
        by
    }

    fn bridge(&mut self) -> Netif<'_, App> {
        self.host.stack.netif(self.host.netif).unwrap()
    }
}

#[test]
fn frames_go_everywhere_until_the_station_is_known() {
    let mut bench = bench();
    let hello = frame(station(2), station(1), b"hello");
    assert_eq!(bench.cross(0, &hello), [1, 2]);
    let answer = frame(station(1), station(2), b"answer");
    assert_eq!(bench.cross(2, &answer), [0]);
    assert_eq!(bench.cross(0, &hello), [2]);
    // A station of the same side needs no bridge.
    assert_eq!(bench.cross(2, &frame(station(2), station(3), b"neighbour")), []);
    // A station that moves is found.
    assert_eq!(bench.cross(1, &answer), [0]);
    assert_eq!(bench.cross(0, &hello), [1]);
    assert_eq!(bench.host.memory_used(), (0, 0, 0));
}

#[test]
fn groups_go_everywhere_but_those_of_the_link_itself() {
    let mut bench = bench();
    for group in [MacAddr::BROADCAST, MacAddr::new(1, 0, 0x5e, 1, 2, 3), MacAddr::new(0x33, 0x33, 0, 0, 0, 1)]
    {
        assert_eq!(bench.cross(1, &frame(group, station(1), b"all")), [0, 2]);
    }
    for last in [0, 3, 0xf] {
        let group = MacAddr::new(1, 0x80, 0xc2, 0, 0, last);
        assert_eq!(bench.cross(1, &frame(group, station(1), b"link")), []);
    }
    assert_eq!(bench.cross(1, &frame(MacAddr::new(1, 0x80, 0xc2, 0, 0, 0x10), station(1), b"")), [0, 2]);
}

/// The same buffer waits at all ports: what is taken is one for each frame, and references.
#[test]
fn a_flooded_frame_is_shared_and_not_copied() {
    let mut bench = bench();
    let frame = frame(MacAddr::BROADCAST, station(1), &[7; 1_000]);
    bench.host.input_on(bench.ports[0], &frame);
    let (pool, references, rest) = bench.host.memory_used();
    assert_eq!((pool, rest), (1, 0));
    assert!(references <= 1, "{references}");
    let first = bench.host.stack.transmit(bench.ports[1]).unwrap();
    let second = bench.host.stack.transmit(bench.ports[2]).unwrap();
    assert_eq!(first.payload().as_ptr(), second.payload().as_ptr());
}

#[test]
fn a_silent_station_is_forgotten() {
    let mut bench = bench();
    bench.cross(2, &frame(MacAddr::BROADCAST, station(2), b"here"));
    let hello = frame(station(2), station(1), b"hello");
    assert_eq!(bench.cross(0, &hello), [2]);
    bench.host.advance(Duration::from_secs(301));
    assert_eq!(bench.cross(0, &hello), [1, 2]);
}

#[test]
fn the_bridge_answers_for_itself() {
    let mut bench = bench();
    let who_has = Arp::request(PEER_MAC, PEER, OURS).frame();
    bench.host.input_on(bench.ports[1], &who_has);
    let sent = bench.host.sent_on(bench.ports[1]);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].to, sent[0].from), (PEER_MAC, OUR_MAC));
    assert_eq!(bench.left(&who_has), [0, 2], "and others hear the question");
    for _ in 0..3 {
        bench.host.input_on(bench.ports[1], Packet::ping(1, 2, b"data").frame());
        assert_eq!(bench.host.sent_on(bench.ports[1])[0].icmp().0, 0);
        assert!(bench.left(&[]).is_empty(), "what is to the bridge is nobody else's");
    }
    // What it sends itself goes where the station is, and everywhere when that is unknown.
    let udp = bench.host.udp("client", 5);
    let data = bench.host.data(b"hello");
    bench.host.stack.udp(udp).unwrap().send_to(data, "192.0.2.9:9".parse().unwrap()).unwrap();
    assert_eq!(bench.host.sent_on(bench.ports[1]).len(), 1);
    let data = bench.host.data(b"hello");
    bench.host.stack.udp(udp).unwrap().send_to(data, "192.0.2.77:9".parse().unwrap()).unwrap();
    for port in bench.ports {
        assert!(bench.host.sent_on(port)[0].is_arp());
    }
}

#[test]
fn stations_that_the_owner_set_stay_where_they_are() {
    let mut bench = bench_with(|setup| setup.limits.netifs = 5);
    let [first, _, third] = bench.ports;
    bench.bridge().bridge_set_station(station(9), &[first, third]).unwrap();
    bench.bridge().bridge_set_station(station(8), &[]).unwrap();
    bench.cross(1, &frame(MacAddr::BROADCAST, station(9), b"liar"));
    let hello = frame(station(9), station(1), b"hello");
    assert_eq!(bench.cross(1, &hello), [0, 2]);
    assert_eq!(bench.cross(0, &hello), [2], "never back to where it came from");
    assert_eq!(bench.cross(0, &frame(station(8), station(1), b"filtered")), []);
    bench.bridge().bridge_unset_station(station(9)).unwrap();
    assert_eq!(bench.cross(0, &hello), [1, 2]);
    assert_eq!(bench.bridge().bridge_unset_station(station(9)), Err(Error::Value));
    let stranger = bench.host.add(&NetifConfig::ethernet(station(0x77)));
    assert_eq!(bench.bridge().bridge_set_station(station(9), &[stranger]), Err(Error::Argument));
    assert_eq!(bench.bridge().bridge_set_station(MacAddr::BROADCAST, &[first]), Err(Error::Argument));
}

#[test]
fn what_cannot_be_a_port_is_refused() {
    let mut bench = bench_with(|setup| setup.limits.netifs = 9);
    let [first, ..] = bench.ports;
    assert_eq!(bench.bridge().bridge_add_port(first), Err(Error::InUse));
    let line = bench.host.add(&NetifConfig::ip());
    assert_eq!(bench.bridge().bridge_add_port(line), Err(Error::Argument));
    let other = bench.host.add(&NetifConfig::bridge(station(0x55)));
    assert_eq!(bench.bridge().bridge_add_port(other), Err(Error::Argument));
    let itself = bench.host.netif;
    assert_eq!(bench.bridge().bridge_add_port(itself), Err(Error::Argument));
    let plain = bench.host.add(&NetifConfig::ethernet(station(0x56)));
    assert_eq!(bench.host.stack.netif(plain).unwrap().bridge_add_port(line), Err(Error::Argument));
    assert_eq!(bench.host.stack.netif(other).unwrap().bridge_remove_port(first), Err(Error::Value));
}

#[test]
fn ports_come_and_go() {
    let mut bench = bench();
    let [first, second, third] = bench.ports;
    bench.cross(1, &frame(MacAddr::BROADCAST, station(2), b"here"));
    bench.bridge().bridge_remove_port(second).unwrap();
    let hello = frame(station(2), station(1), b"hello");
    assert_eq!(bench.cross(0, &hello), [2], "the station is unknown again, and the port none");
    bench.host.stack.netif_remove(third).unwrap();
    assert_eq!(bench.cross(0, &hello), []);
    bench.bridge().bridge_add_port(second).unwrap();
    assert_eq!(bench.cross(0, &hello), [1]);
    let bridge = bench.host.netif;
    bench.host.stack.netif_remove(bridge).unwrap();
    assert_eq!(bench.cross(0, &hello), []);
    // The ports are interfaces of their own again.
    let settings = Ipv4Settings::new(OURS, 24);
    bench.host.stack.netif(first).unwrap().set_ipv4(settings).unwrap();
    bench.host.sent_raw(first);
    bench.host.input_on(first, Arp::request(PEER_MAC, PEER, OURS).frame());
    assert_eq!(bench.host.sent_on(first).len(), 1);
}

#[test]
fn a_bridge_or_port_that_is_down_passes_nothing() {
    let mut bench = bench();
    let hello = frame(station(2), station(1), b"hello");
    bench.bridge().set_up(false).unwrap();
    assert_eq!(bench.cross(0, &hello), []);
    bench.bridge().set_up(true).unwrap();
    bench.host.poll();
    for port in bench.ports {
        bench.host.sent_raw(port);
    }
    bench.host.stack.netif(bench.ports[1]).unwrap().set_link_up(false).unwrap();
    assert_eq!(bench.cross(0, &hello), [2]);
    assert_eq!(bench.cross(1, &hello), []);
}

#[test]
fn what_does_not_fit_a_port_is_lost_there_and_counted() {
    let mut bench = bench();
    bench.host.stack.netif(bench.ports[1]).unwrap().set_mtu(576).unwrap();
    assert_eq!(bench.cross(0, &frame(station(2), station(1), &[1; 1_000])), [2]);
    let counters = bench.host.stack.netif(bench.ports[1]).unwrap().counters().unwrap();
    assert_eq!(counters.out_discards, 1);
    for _ in 0..100 {
        bench.host.input_on(bench.ports[0], frame(station(2), station(1), b"flood"));
    }
    assert_eq!(bench.host.sent_raw(bench.ports[2]).len(), 64);
    assert_eq!(bench.host.sent_raw(bench.ports[1]).len(), 64);
    assert_eq!(bench.host.memory_used(), (0, 0, 0));
}

/// Impossible sources teach nothing.
#[test]
fn frames_from_groups_or_from_ourselves_are_dropped() {
    let mut bench = bench();
    for source in [MacAddr::BROADCAST, MacAddr::new(1, 0, 0x5e, 0, 0, 1), OUR_MAC] {
        assert_eq!(bench.cross(0, &frame(station(2), source, b"")), []);
    }
    assert_eq!(bench.host.stack.counters().link.bad_source, 3);
}

#[test]
fn runts_and_scattered_frames_do_no_harm() {
    let mut bench = bench();
    for len in 0..14 {
        assert_eq!(bench.cross(0, &vec![2; len]), []);
    }
    let bytes = frame(station(2), station(1), b"scattered");
    let mut scattered = bench.host.frame(&bytes[..5]);
    scattered.cat(bench.host.frame(&bytes[5..])).unwrap();
    bench.host.stack.input(bench.ports[0], scattered, bench.host.now).unwrap();
    assert_eq!(bench.left(&bytes), [1, 2]);
}

/// Tagged frames are none of the bridge's business.
#[test]
fn tags_pass_unchanged() {
    let mut bench = bench();
    let tagged = [&station(2).0[..], &station(1).0, &[0x81, 0, 0x20, 5, 8, 0], &[1; 1_500]].concat();
    assert_eq!(bench.cross(0, &tagged), [1, 2]);
}
