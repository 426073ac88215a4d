//! Where an application has a say in the middle of the stack.

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use coracle::*;

const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 8);
const OTHER_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 8);

/// What was asked, and the answers.
#[derive(Default)]
struct Wishes {
    eats: Option<u8>,
    eaten: usize,
    seen: usize,
    unknown: Vec<(u16, Vec<u8>)>,
    any_vlan: bool,
    tag: Option<Tci>,
    route: Option<NetifHandle>,
    gateway: Option<IpAddr>,
    forbids: bool,
}

#[derive(Default)]
struct Test(Mutex<Wishes>);

impl Hooks for Test {
    fn input(&self, _netif: NetifHandle, packet: Pbuf) -> Option<Pbuf> {
        let mut wishes = self.0.lock().unwrap();
        wishes.seen += 1;
        let eaten = wishes.eats.is_some() && packet.get_at(9) == wishes.eats;
        wishes.eaten += usize::from(eaten);
        (!eaten).then_some(packet)
    }

    fn unknown_ether_type(&self, _netif: NetifHandle, ether_type: EtherType, frame: Pbuf) -> Option<Pbuf> {
        self.0.lock().unwrap().unknown.push((ether_type.0, bytes_of(&frame)));
        None
    }

    fn vlan_check(&self, _netif: NetifHandle, tci: Tci, wanted: u16) -> bool {
        self.0.lock().unwrap().any_vlan || tci.vid() == wanted
    }

    fn vlan_set(&self, _netif: NetifHandle, _to: MacAddr, _ether_type: EtherType, tci: Tci) -> Tci {
        self.0.lock().unwrap().tag.unwrap_or(tci)
    }

    fn route(&self, _source: Option<IpAddr>, destination: IpAddr) -> Option<NetifHandle> {
        self.0.lock().unwrap().route.filter(|_| destination != IpAddr::V4(PEER))
    }

    fn gateway(&self, _netif: NetifHandle, _destination: IpAddr) -> Option<IpAddr> {
        self.0.lock().unwrap().gateway
    }

    fn may_forward(&self, _netif: NetifHandle, _packet: &Pbuf) -> bool {
        !self.0.lock().unwrap().forbids
    }
}

/// A host with hooks, and what they do.
fn hooked(change: impl FnOnce(&mut Setup)) -> (Host, &'static Test) {
    let mut host = Host::configured(change);
    let hooks: &'static Test = Box::leak(Box::default());
    host.stack.set_hooks(Some(hooks));
    (host, hooks)
}

fn hello() -> Packet {
    Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"hello")
}

#[test]
fn what_a_hook_eats_goes_no_further() {
    let (mut host, hooks) = hooked(|_| {});
    host.meet_peer();
    host.udp("server", 7);
    host.input(hello().frame());
    host.input(hello().frame());
    assert_eq!(host.datagrams().len(), 2);
    hooks.0.lock().unwrap().eats = Some(UDP);
    host.input(hello().frame());
    assert!(host.heard().is_empty());
    host.input(Packet::ping(1, 1, b"x").frame());
    let wishes = hooks.0.lock().unwrap();
    assert_eq!(
        (wishes.seen, wishes.eaten),
        (4, 1),
        "every packet is looked at, also when it is like the last one"
    );
    assert_eq!(host.sent().len(), 1);
    assert_eq!(host.memory_used(), (0, 0, 0));
    host.stack.set_hooks(None);
    host.input(hello().frame());
    assert_eq!(host.datagrams().len(), 1);
}

#[test]
fn packets_without_link_headers_are_shown_too() {
    let (mut host, hooks) = hooked(|_| {});
    let line = host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new([10, 0, 0, 1].into(), 24)));
    host.udp("server", 7);
    let packet = Packet::udp("10.0.0.2:5000", "10.0.0.1:7", b"hello");
    host.input_on(line, packet.packet());
    assert_eq!((host.datagrams().len(), hooks.0.lock().unwrap().seen), (1, 1));
    hooks.0.lock().unwrap().eats = Some(UDP);
    host.input_on(line, packet.packet());
    assert!(host.heard().is_empty());
}

#[test]
fn other_protocols_of_the_link_can_be_taken() {
    let (mut host, hooks) = hooked(|_| {});
    host.input([&OUR_MAC.0[..], &PEER_MAC.0, &[0x88, 0xb5], b"raw"].concat());
    assert_eq!(hooks.0.lock().unwrap().unknown, [(0x88b5, b"raw".to_vec())]);
    assert_eq!(host.stack.counters().link.unknown_type, 0);
}

#[test]
fn tags_are_checked_and_set_as_the_application_likes() {
    let (mut host, hooks) = hooked(|setup| setup.netif = setup.netif.clone().vlan(Tci::new(0, false, 5)));
    host.udp("server", 7);
    host.input(hello().in_vlan(6, 0).frame());
    assert!(host.heard().is_empty());
    hooks.0.lock().unwrap().any_vlan = true;
    host.input(hello().in_vlan(6, 0).frame());
    assert_eq!(host.datagrams().len(), 1);
    hooks.0.lock().unwrap().tag = Some(Tci::new(3, false, 9));
    host.input(Packet::ping(1, 1, b"x").in_vlan(5, 0).frame());
    assert_eq!(host.sent_one().vlan, Some((9, 3)), "a request for the neighbour");
}

#[test]
fn ways_are_chosen_by_the_application() {
    let (mut host, hooks) = hooked(|_| {});
    host.meet(GATEWAY, GATEWAY_MAC);
    host.meet(OTHER, OTHER_MAC);
    let line = host.add(
        &NetifConfig::ip()
            .ipv4(Ipv4Settings::new([10, 0, 0, 1].into(), 24).with_gateway([10, 0, 0, 2].into())),
    );
    let udp = host.udp("client", 5_000);
    let far = (Ipv4Addr::new(198, 51, 100, 7), 7).into();
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", far).unwrap();
    assert_eq!(host.sent_one().to, GATEWAY_MAC);
    hooks.0.lock().unwrap().gateway = Some(OTHER.into());
    host.stack.forget_ways();
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", far).unwrap();
    assert_eq!(host.sent_one().to, OTHER_MAC);
    hooks.0.lock().unwrap().gateway = Some("2001:db8::1".parse().unwrap());
    hooks.0.lock().unwrap().route = Some(line);
    host.stack.forget_ways();
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", far).unwrap();
    assert_eq!(host.sent_raw(line).len(), 1);
    host.stack.netif_remove(line).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"x", far).unwrap();
    assert_eq!(host.sent_one().to, GATEWAY_MAC, "an interface that is gone");
}

#[test]
fn forwarding_can_be_forbidden() {
    let (mut host, hooks) = hooked(|setup| setup.netif = setup.netif.clone().forwarding());
    host.meet(GATEWAY, GATEWAY_MAC);
    let through = Packet::udp("192.0.2.9:5000", "198.51.100.7:7", b"x").addressed_to(OUR_MAC);
    host.input(through.frame());
    assert!(host.sent().iter().any(|seen| seen.to == GATEWAY_MAC));
    hooks.0.lock().unwrap().forbids = true;
    host.input(through.frame());
    assert!(host.sent().is_empty());
    assert_eq!(host.stack.counters().ip.not_forwarded, 1);
}
