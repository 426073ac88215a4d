//! The stack between two Linux hosts: as a router of both families, and as a bridge.

mod peer;

use coracle::{Boxed, Ipv4Settings, MacAddr, NetifConfig, NetifHandle};
use coracle_host::testing::or_skip;
use coracle_host::{Host, Namespace, Running, Tap};
use peer::{CORACLE, STATION, stack, tap_namespace};
use std::net::Ipv4Addr;
use std::time::Duration;

const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const FAR_ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const FAR_STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 3);
/// The far link takes less.
const FAR_MTU: usize = 1_300;

/// A namespace with one interface, `tap0`.
fn far_namespace(address: &str, mtu: usize) -> Option<(Namespace, Tap)> {
    let namespace = or_skip(Namespace::new())?;
    namespace.silence().unwrap();
    let tap = or_skip(namespace.open_tap("tap0"))?;
    tap.set_mtu(mtu).unwrap();
    namespace.ip(&format!("address add {address} dev tap0")).unwrap();
    namespace.ip("link set tap0 txqueuelen 2000").unwrap();
    tap.set_up(true).unwrap();
    Some((namespace, tap))
}

fn attach(host: &mut Host<Boxed>, tap: Tap, config: NetifConfig) -> NetifHandle {
    let netif = host.attach(tap, config).unwrap();
    host.stack().netif(netif).unwrap().set_up(true).unwrap();
    netif
}

/// What ping writes.
fn ping(from: &Namespace, words: &str) -> String {
    let command = from.command("ping").args(["-n", "-i", "0.01"]).args(words.split(' '));
    command.timeout(Duration::from_secs(20)).output().expect("ping is part of the test machine").stdout
}

fn answered(from: &Namespace, words: &str) {
    let output = ping(from, words);
    assert!(output.contains(" 3 received"), "ping {words}: {output}");
}

struct Routed {
    near: Namespace,
    far: Namespace,
    router: Running<Boxed>,
}

fn routed() -> Option<Routed> {
    let (near, near_tap) = tap_namespace(1_500)?;
    let (far, far_tap) = far_namespace(&format!("{FAR}/24"), FAR_MTU)?;
    near.ip(&format!("route add default via {CORACLE}")).unwrap();
    far.ip(&format!("route add default via {FAR_ROUTER}")).unwrap();
    let mut host = stack(|_, config| {
        (config.neighbour_attempts, config.neighbour_retry) = (3, Duration::from_millis(20));
    });
    let config = NetifConfig::ethernet(STATION).ipv4(Ipv4Settings::new(CORACLE, 24)).forwarding();
    let near_netif = attach(&mut host, near_tap, config);
    let config = NetifConfig::ethernet(FAR_STATION).ipv4(Ipv4Settings::new(FAR_ROUTER, 24)).forwarding();
    let far_netif = attach(&mut host, far_tap, config);
    for (namespace, netif, side) in [(&near, near_netif, 1), (&far, far_netif, 2)] {
        namespace.sysctl("net.ipv6.conf.tap0.disable_ipv6", "0").unwrap();
        namespace.ip(&format!("address add 2001:db8:{side}::1/64 dev tap0 nodad")).unwrap();
        namespace.ip(&format!("-6 route add default via 2001:db8:{side}::2")).unwrap();
        let address = format!("2001:db8:{side}::2").parse().unwrap();
        host.stack().netif(netif).unwrap().ipv6_add(address, 64).unwrap();
    }
    Some(Routed { near, far, router: host.spawn().unwrap() })
}

impl Routed {
    fn stop(self) -> coracle::Counters {
        let mut host = self.router.stop().unwrap();
        let stats = host.stack().memory().stats();
        assert!(stats.is_unused(), "every buffer came back: {stats:?}");
        *host.stack().counters()
    }
}

#[test]
fn linux_reaches_linux_through_the_stack() {
    let Some(routed) = routed() else { return };
    for size in [0, 56, 1_272, 1_273, 1_472, 4_000, 60_000] {
        answered(&routed.near, &format!("-c 3 -w 10 -M dont -s {size} {FAR}"));
    }
    answered(&routed.far, "-c 3 -w 10 -s 1400 192.0.2.1");
    let ip = routed.stop().ip;
    assert!(ip.forwarded >= 48, "{ip:?}");
    assert!(ip.fragmented >= 12, "what is too long for the far link is cut: {ip:?}");
    assert_eq!(ip.fragments, 0, "and nothing is put together on the way: {ip:?}");
}

/// What traceroute does, hop by hop.
#[test]
fn the_stack_is_a_hop_that_traceroute_sees() {
    let Some(routed) = routed() else { return };
    let first = ping(&routed.near, &format!("-c 1 -w 5 -t 1 {FAR}"));
    assert!(first.contains(&format!("From {CORACLE}")) && first.contains("Time to live exceeded"), "{first}");
    answered(&routed.near, &format!("-c 3 -w 10 -t 2 {FAR}"));
    let nowhere = ping(&routed.near, "-c 1 -w 5 203.0.113.1");
    assert!(nowhere.contains("Destination Net Unreachable"), "{nowhere}");
    let nobody = ping(&routed.near, "-c 1 -w 5 198.51.100.77");
    assert!(nobody.contains("Destination Host Unreachable"), "{nobody}");
    routed.stop();
}

/// Linux finds out how much the way takes [RFC 1191] [RFC 8201].
#[test]
fn linux_learns_the_paths_mtu() {
    let Some(routed) = routed() else { return };
    let refused = ping(&routed.near, &format!("-c 1 -w 5 -M do -s 1400 {FAR}"));
    assert!(refused.contains("mtu = 1300"), "{refused}");
    answered(&routed.near, &format!("-c 3 -w 10 -M do -s 1272 {FAR}"));
    let learnt = routed.near.ip(&format!("route get {FAR}")).unwrap().stdout;
    assert!(learnt.contains("mtu 1300"), "{learnt}");
    routed.stop();
}

#[test]
fn ipv6_is_routed_too() {
    let Some(routed) = routed() else { return };
    for size in [0, 56, 1_252] {
        answered(&routed.near, &format!("-6 -c 3 -w 10 -s {size} 2001:db8:2::1"));
    }
    let refused = ping(&routed.near, "-6 -c 1 -w 5 -M do -s 1400 2001:db8:2::1");
    assert!(refused.contains("mtu = 1300") || refused.contains("mtu=1300"), "{refused}");
    // Linux knows now, and cuts the packets itself.
    answered(&routed.near, "-6 -c 3 -w 10 -s 20000 2001:db8:2::1");
    let first = ping(&routed.near, "-6 -c 1 -w 5 -t 1 2001:db8:2::1");
    assert!(first.contains("From 2001:db8:1::2") && first.contains("Hop limit"), "{first}");
    // The router itself answers pings in fragments.
    answered(&routed.near, "-6 -c 3 -w 10 -s 30000 2001:db8:1::2");
    let counters = routed.stop();
    assert!(counters.ip6.forwarded >= 24 && counters.ip6.fragmented >= 3, "{:?}", counters.ip6);
}

#[test]
fn two_linux_hosts_are_one_network_across_a_bridge() {
    let Some((near, near_tap)) = tap_namespace(1_500) else { return };
    let Some((far, far_tap)) = far_namespace("192.0.2.3/24", 1_500) else { return };
    let mut host = stack(|_, _| {});
    let config = NetifConfig::bridge(STATION).ipv4(Ipv4Settings::new(CORACLE, 24));
    let bridge = host.stack().netif_add(&config).unwrap();
    host.stack().netif(bridge).unwrap().set_up(true).unwrap();
    for (tap, last) in [(near_tap, 0xa), (far_tap, 0xb)] {
        let port = attach(&mut host, tap, NetifConfig::ethernet(MacAddr::new(2, 8, 0, 0, 0, last)));
        host.stack().netif(bridge).unwrap().bridge_add_port(port).unwrap();
    }
    let running = host.spawn().unwrap();
    for size in [56, 1_472, 20_000] {
        answered(&near, &format!("-c 3 -w 10 -s {size} 192.0.2.3"));
        answered(&far, &format!("-c 3 -w 10 -s {size} 192.0.2.1"));
        answered(&near, &format!("-c 3 -w 10 -s {size} {CORACLE}"));
        answered(&far, &format!("-c 3 -w 10 -s {size} {CORACLE}"));
    }
    let mut host = running.stop().unwrap();
    let counters = *host.stack().counters();
    assert_eq!(counters.icmp.echo_replies, 18, "only what was to the bridge itself");
    assert!(host.stack().memory().stats().is_unused());
}
