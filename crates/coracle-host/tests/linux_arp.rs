//! Neighbours: Linux's table and the stack's, and what changes of addresses and interfaces do to them.

mod peer;

use coracle::{Ipv4Settings, MacAddr, NeighbourState};
use peer::{CORACLE, LINUX, Peer, STATION, soon, stack, tap, tap_with};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Linux's entry for an address.
fn linux_entry(peer: &Peer, address: Ipv4Addr) -> String {
    peer.namespace.ip(&format!("neighbour show {address} dev tap0")).unwrap().stdout.trim().to_owned()
}

/// The stack's entry for Linux.
fn our_entry(peer: &Peer) -> Option<(MacAddr, NeighbourState)> {
    peer.stack(|stack| {
        let neighbour = stack.neighbours().find(|neighbour| neighbour.address == LINUX)?;
        Some((neighbour.station?, neighbour.state))
    })
}

/// Whether the stack's echo answers, within five seconds a try.
fn echo_works(peer: &Peer) -> bool {
    let socket = peer.socket(7);
    socket.send(b"there?").unwrap();
    socket.recv(&mut [0; 8]).is_ok_and(|len| len == 6)
}

#[test]
fn each_side_knows_the_other() {
    let Some(peer) = tap("arp") else { return };
    let linux = linux_station(&peer);
    assert!(echo_works(&peer));
    let entry = linux_entry(&peer, CORACLE);
    assert!(entry.contains(&STATION.to_string()) && entry.contains("REACHABLE"), "{entry}");
    assert_eq!(our_entry(&peer), Some((linux, NeighbourState::Reachable)), "learned from Linux's question");
    let counters = peer.stack(|stack| stack.counters().arp);
    assert_eq!((counters.replies_sent, counters.requests_sent), (1, 0), "so there was nothing to ask");
    peer.finish();
}

fn linux_station(peer: &Peer) -> MacAddr {
    let output = peer.namespace.ip("-o link show dev tap0").unwrap().stdout;
    let text = output.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    MacAddr(bytes.try_into().unwrap())
}

#[test]
fn arping_is_answered() {
    let Some(peer) = tap("arping") else { return };
    let command = peer.namespace.command("arping").args(["-I", "tap0", "-c", "1", "-w", "5", "192.0.2.2"]);
    let output = coracle_host::testing::or_skip(command.run()).expect("arping is part of the test machine");
    assert!(output.stdout.to_lowercase().contains(&STATION.to_string().to_lowercase()), "{}", output.stdout);
    // Nobody else's address is answered for.
    let command = peer.namespace.command("arping").args(["-I", "tap0", "-c", "1", "-w", "1", "192.0.2.3"]);
    assert!(!command.output().unwrap().success);
    assert_eq!(peer.stack(|stack| stack.counters().arp.replies_sent), 1);
    // There was no checksum for tshark to see in this capture.
    assert!(echo_works(&peer));
    peer.finish();
}

#[test]
fn our_entry_is_refreshed_while_it_is_used() {
    // Believed for 300 milliseconds, and asked for again in the last 200 of them.
    let host = stack(|_, config| {
        config.neighbour_lifetime = Duration::from_millis(300);
        config.neighbour_refresh = Duration::from_millis(200);
    });
    let Some(peer) = tap_with("arp_refresh", 1500, host) else { return };
    assert!(echo_works(&peer));
    assert_eq!(peer.stack(|stack| stack.counters().arp.requests_sent), 0);
    assert!(soon(|| our_entry(&peer).is_some_and(|(_, state)| state == NeighbourState::Stale)));
    assert!(echo_works(&peer), "a stale entry serves while it is asked for");
    assert!(soon(|| our_entry(&peer).is_some_and(|(_, state)| state == NeighbourState::Reachable)));
    assert!(peer.stack(|stack| stack.counters().arp.requests_sent) >= 1);
    // Without use it goes.
    assert!(soon(|| our_entry(&peer).is_none()));
    peer.finish();
}

#[test]
fn linux_hears_of_a_new_address_and_a_new_station() {
    let Some(peer) = tap("arp_change") else { return };
    // Linux does not replace an entry within a second unless told.
    peer.namespace.sysctl("net.ipv4.neigh.tap0.locktime", "0").unwrap();
    let (netif, new) = (peer.netif, Ipv4Addr::new(192, 0, 2, 3));
    assert!(echo_works(&peer));

    let station = MacAddr::new(2, 0, 0, 0, 0, 0x22);
    peer.stack(move |stack| stack.netif(netif).unwrap().set_station(station)).unwrap();
    assert!(
        soon(|| linux_entry(&peer, CORACLE).contains(&station.to_string())),
        "from the announcement alone"
    );
    peer.ping(3, 56);
    peer.stack(move |stack| stack.netif(netif).unwrap().set_station(STATION)).unwrap();

    peer.stack(move |stack| stack.netif(netif).unwrap().set_ipv4(Ipv4Settings::new(new, 24))).unwrap();
    peer.ping_at(new, 3, 56);
    assert_eq!(peer.ping_in_vain(1, 56), 0, "the old address is nobody's");
    assert!(linux_entry(&peer, new).contains(&STATION.to_string()));
    peer.finish();
}

#[test]
fn the_stack_hears_of_linuxs_new_station() {
    let Some(peer) = tap("arp_linux_change") else { return };
    assert!(echo_works(&peer));
    let old = our_entry(&peer).unwrap().0;
    peer.namespace.ip("link set tap0 down").unwrap();
    peer.namespace.ip("link set tap0 address 02:00:00:00:00:99").unwrap();
    peer.namespace.ip("link set tap0 up").unwrap();
    // The kernel forgets its neighbours when an interface goes down, so it asks, and the stack learns from the question.
    peer.ping(3, 56);
    let new = our_entry(&peer).unwrap().0;
    assert_ne!(new, old);
    assert_eq!(new, MacAddr::new(2, 0, 0, 0, 0, 0x99));
    // To tshark, one address at two stations is a fault.
    peer.stop();
}

#[test]
fn service_resumes_when_linuxs_side_comes_back() {
    let Some(peer) = tap("linux_down") else { return };
    let (udp, _events) = peer.listener();
    assert!(echo_works(&peer));
    peer.namespace.ip("link set tap0 down").unwrap();
    for _ in 0..3 {
        peer.stack(move |stack| stack.udp(udp).unwrap().send_bytes_to(b"lost", (LINUX, 9).into())).unwrap();
    }
    let netif = peer.netif;
    let refused = || peer.host.call(move |host| host.counters(netif).unwrap().refused).unwrap();
    assert!(soon(|| refused() == 3), "the device refuses; counted");
    peer.namespace.ip("link set tap0 up").unwrap();
    assert!(echo_works(&peer));
    peer.finish();
}

#[test]
fn service_resumes_when_our_side_comes_back() {
    let Some(peer) = tap("our_down") else { return };
    let netif = peer.netif;
    assert!(echo_works(&peer));
    peer.stack(move |stack| stack.netif(netif).unwrap().set_up(false)).unwrap();
    assert_eq!(peer.ping_in_vain(2, 56), 0);
    assert!(peer.stack(|stack| stack.counters().link.down) >= 2);
    assert_eq!(our_entry(&peer), None, "neighbours are forgotten");
    let no_way = peer.stack(|stack| stack.route(LINUX.into()));
    assert_eq!(no_way, Err(coracle::Error::Route));
    peer.stack(move |stack| stack.netif(netif).unwrap().set_up(true)).unwrap();
    peer.ping(2, 56);
    // The link instead of the interface.
    peer.stack(move |stack| stack.netif(netif).unwrap().set_link_up(false)).unwrap();
    assert_eq!(peer.ping_in_vain(1, 56), 0);
    peer.stack(move |stack| stack.netif(netif).unwrap().set_link_up(true)).unwrap();
    assert!(echo_works(&peer));
    peer.finish();
}

#[test]
fn a_removed_device_ends_the_host_with_an_error() {
    let Some(peer) = tap("removed") else { return };
    assert!(echo_works(&peer));
    peer.namespace.ip("link delete tap0").unwrap();
    assert!(soon(|| !peer.host.is_running()));
    assert!(peer.host.call(|host| host.now()).is_err());
    assert!(peer.host.stop().is_err());
}
