//! What fuzzing has found, each in a test of its own.

use std::net::SocketAddr;

use coracle::{Kind, Layer, UdpSend};
use coracle_sim::rig::Rig;

/// The loopback interface has no device: what is sent to a group through it comes back, and waits for nobody.
#[test]
fn a_group_behind_the_loopback_interface_is_heard_and_nothing_waits_for_a_device() {
    let mut rig = Rig::default();
    let group = [239, 9, 9, 9];
    rig.stack.netif(rig.loopback).unwrap().join_group(std::net::Ipv4Addr::from(group).into()).unwrap();
    let data = rig.stack.memory().alloc(Layer::Transport, 10, Kind::Ram).unwrap();
    let remote = Some(SocketAddr::from((group, 9)));
    let send = UdpSend { remote, netif: Some(rig.loopback), ..UdpSend::default() };
    let mut socket = rig.stack.udp(rig.connected).unwrap();
    socket.set_multicast_loop(true).unwrap();
    socket.send_with(data, &send).unwrap();
    assert_eq!(rig.stack.transmit_pending(rig.loopback), 0);
    let before = rig.stack.counters().udp.delivered;
    rig.stack.poll(rig.now());
    assert_eq!(rig.stack.counters().udp.delivered - before, 2, "once to each of the two members");
    rig.settle();
}
