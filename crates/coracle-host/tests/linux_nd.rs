//! Neighbour discovery and the configuration of hosts beside Linux: its kernel as a neighbour and as a host, radvd as the
//! router.

mod peer;

use coracle::wire::ndp::PrefixFields;
use coracle::{AddressState, Boxed, InterfaceId, Ipv6Settings, NeighbourState, NetifConfig, NetifHandle};
use coracle::{RouterSettings, Stack};
use coracle_host::judge::{Sender, judge};
use coracle_host::testing::or_skip;
use coracle_host::{Namespace, Running, Tap, namespace};
use peer::{PATIENCE, STATION, stack};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
const OTHER_PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0);
/// Linux's address there.
const LINUX: &str = "2001:db8:1::1";
/// What takes some rounds of advertisements.
const LONG: Duration = Duration::from_secs(20);

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The kernel's end of a link with IPv6, up.
fn link() -> Option<(Namespace, Tap)> {
    let namespace = or_skip(Namespace::new())?;
    namespace.silence().unwrap();
    let tap = or_skip(namespace.open_tap("tap0"))?;
    for (name, value) in [
        ("net.ipv6.conf.all.forwarding", "1"),
        ("net.ipv6.conf.tap0.disable_ipv6", "0"),
        ("net.ipv6.conf.tap0.accept_dad", "1"),
    ] {
        namespace.sysctl(name, value).unwrap();
    }
    tap.set_up(true).unwrap();
    namespace.ip(&format!("-6 address add {LINUX}/64 dev tap0 nodad")).unwrap();
    assert!(
        wait(LONG, || linux_address(&namespace, "scope link").is_some()),
        "Linux has no link-local address"
    );
    Some((namespace, tap))
}

fn wait(patience: Duration, mut what: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// The first address of Linux's that is not tentative.
fn linux_address(namespace: &Namespace, which: &str) -> Option<Ipv6Addr> {
    let shown = namespace.ip(&format!("-6 -o address show dev tap0 {which}")).unwrap().stdout;
    let line = shown.lines().find(|line| !line.contains("tentative") && !line.contains("dadfailed"))?;
    line.split("inet6 ").nth(1)?.split('/').next()?.parse().ok()
}

/// A stack beside it that configures itself; everything is captured.
struct Side {
    namespace: Namespace,
    host: Running<Boxed>,
    netif: NetifHandle,
    capture: PathBuf,
}

impl Side {
    fn new(name: &str, (namespace, tap): (Namespace, Tap), settings: Ipv6Settings) -> Self {
        let mut host = stack(|_, _| {});
        let netif = host.attach(tap, NetifConfig::ethernet(STATION).ipv6(settings)).unwrap();
        let capture = file(&format!("{name}.pcap"));
        host.capture(netif, std::fs::File::create(&capture).unwrap()).unwrap();
        host.stack().netif(netif).unwrap().set_up(true).unwrap();
        Self { namespace, host: host.spawn().unwrap(), netif, capture }
    }

    fn stack<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Stack<Boxed>, NetifHandle) -> R + Send + 'static,
    ) -> R {
        let netif = self.netif;
        self.host.call(move |host| job(host.stack(), netif)).unwrap()
    }

    fn addresses(&self) -> Vec<(Ipv6Addr, AddressState)> {
        self.stack(|stack, netif| {
            let netif = stack.netif(netif).unwrap();
            netif.ipv6_addresses().map(|entry| (entry.address, entry.state)).collect()
        })
    }

    fn of_prefix(&self, prefix: Ipv6Addr) -> Option<(Ipv6Addr, AddressState)> {
        self.addresses().into_iter().find(|(address, _)| address.octets()[..8] == prefix.octets()[..8])
    }

    fn link_local(&self) -> Option<(Ipv6Addr, AddressState)> {
        self.addresses().into_iter().find(|(address, _)| address.is_unicast_link_local())
    }

    /// Waits for an address of a prefix that is in a state.
    fn wait_for(&self, prefix: Ipv6Addr, state: AddressState) -> Ipv6Addr {
        let there = || self.of_prefix(prefix).is_some_and(|(_, now)| now == state);
        assert!(wait(LONG, there), "{:?}", self.addresses());
        self.of_prefix(prefix).unwrap().0
    }

    fn wait_for_link_local(&self) -> Ipv6Addr {
        let there = || self.link_local().is_some_and(|(_, now)| now == AddressState::Preferred);
        assert!(wait(LONG, there), "{:?}", self.addresses());
        self.link_local().unwrap().0
    }

    fn routers(&self) -> Vec<Ipv6Addr> {
        self.stack(|stack, netif| stack.netif(netif).unwrap().ipv6_routers().collect())
    }

    fn ping(&self, address: &str, size: usize) {
        let command =
            self.namespace.command("ping").args(["-6", "-n", "-q", "-i", "0.01", "-c", "5", "-w", "10"]);
        let output = or_skip(command.args(["-s", &size.to_string(), address]).output());
        let output = output.expect("ping is part of the test machine");
        assert!(output.stdout.contains(" 5 received"), "{address}, {size}: {output:?}");
    }

    /// What tshark finds wrong with what the stack sent; all buffers are back.
    fn finish(self) {
        let mut host = self.host.stop().unwrap();
        host.end_capture(self.netif).unwrap();
        let stats = host.stack().memory().stats();
        assert!(stats.is_unused(), "every buffer came back: {stats:?}");
        let Some(verdict) = or_skip(judge(&self.capture, Sender::Station(STATION.0))) else { return };
        assert!(verdict.faults.is_empty() && verdict.judged > 0, "{}: {verdict:?}", self.capture.display());
        std::fs::remove_file(&self.capture).unwrap();
    }
}

/// radvd with these settings of its interface.
fn radvd(namespace: &Namespace, name: &str, settings: &str) -> Option<namespace::Running> {
    let config = file(&format!("{name}.conf"));
    let text = format!(
        "interface tap0 {{ AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; {settings} }};\n"
    );
    std::fs::write(&config, text).unwrap();
    let pid = file(&format!("{name}.pid"));
    let command = namespace.command("radvd").args(["-n", "-m", "stderr", "-d", "1", "-C"]);
    let command = command.arg(&config).arg("-p").arg(&pid);
    or_skip(command.timeout(Duration::from_mins(2)).start())
}

const USUAL: &str = "AdvLinkMTU 1400; AdvCurHopLimit 63; AdvDefaultPreference high;
    prefix 2001:db8:1::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 7200; AdvPreferredLifetime 3600; };
    route 2001:db8:aaaa::/48 { AdvRouteLifetime 600; };
    RDNSS 2001:db8:1::53 fe80::53 { AdvRDNSSLifetime 600; };
    DNSSL example.test { AdvDNSSLLifetime 600; };";

/// Addresses, routers, names, the link's MTU; and packets of every size to and from.
#[test]
fn radvd_configures_us() {
    let Some(link) = link() else { return };
    let Some(_router) = radvd(&link.0, "nd_radvd", USUAL) else { return };
    let router = linux_address(&link.0, "scope link").unwrap();
    let side = Side::new("nd_radvd", link, Ipv6Settings { temporary: true, ..Ipv6Settings::AUTO });
    let link_local = side.wait_for_link_local();
    let global = side.wait_for(PREFIX, AddressState::Preferred);
    assert_eq!(side.routers(), [router]);
    let (servers, domains, said, far) = side.stack(|stack, netif| {
        let netif = stack.netif(netif).unwrap();
        let servers: Vec<_> = netif.ipv6_dns_servers().collect();
        let domains: Vec<_> = netif.ipv6_search_domains().map(<[u8]>::to_vec).collect();
        let said = netif.ipv6_advertised().unwrap();
        (servers, domains, said, stack.route(ip("2001:db8:aaaa::1").into()).unwrap().1)
    });
    assert_eq!(servers, [ip("2001:db8:1::53"), ip("fe80::53")]);
    assert_eq!(domains, [b"\x07example\x04test\x00"]);
    assert_eq!((said.mtu, said.hop_limit, said.managed), (1_400, 63, false));
    assert_eq!(far, std::net::IpAddr::V6(router));
    assert_eq!(side.addresses().len(), 3, "one of them temporary: {:?}", side.addresses());
    assert_ne!(global.octets()[8..], link_local.octets()[8..]);
    for size in [0, 56, 1_352] {
        side.ping(&global.to_string(), size);
        side.ping(&format!("{link_local}%tap0"), size);
    }
    let shown = side.namespace.ip(&format!("-6 neighbour show {global} dev tap0")).unwrap().stdout;
    assert!(shown.contains(&STATION.to_string()) && shown.contains("REACHABLE"), "{shown}");
    side.finish();
}

/// A router that goes says so; another prefix takes the place of one that is withdrawn.
#[test]
fn a_router_goes_and_a_network_is_renumbered() {
    let Some(link) = link() else { return };
    let Some(router) = radvd(&link.0, "nd_renumber", USUAL) else { return };
    let side = Side::new("nd_renumber", link, Ipv6Settings::AUTO);
    let old = side.wait_for(PREFIX, AddressState::Preferred);
    assert_eq!(side.routers().len(), 1);
    let shared = router.stop();
    assert!(wait(LONG, || side.routers().is_empty()), "{:?}: {shared:?}", side.routers());

    let renumbered = "prefix 2001:db8:2::/64 { AdvOnLink on; AdvAutonomous on; };
        prefix 2001:db8:1::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 60; AdvPreferredLifetime 0; };";
    let Some(_router) = radvd(&side.namespace, "nd_renumber", renumbered) else { return };
    let new = side.wait_for(OTHER_PREFIX, AddressState::Preferred);
    assert_eq!(side.wait_for(PREFIX, AddressState::Deprecated), old, "for two hours [4862-6]");
    assert_ne!(old.octets()[8..], new.octets()[8..]);
    // What is new goes by the new address; what comes to the old one is answered.
    side.namespace.ip("-6 address add 2001:db8:2::1/64 dev tap0 nodad").unwrap();
    side.ping(&old.to_string(), 56);
    side.ping(&new.to_string(), 56);
    side.finish();
}

/// [4862-3]: whoever has an address first keeps it.
#[test]
fn linux_has_the_address_already() {
    let Some(link) = link() else { return };
    link.0.ip("-6 address add fe80::42/64 dev tap0 nodad").unwrap();
    let settings = Ipv6Settings { interface_id: InterfaceId::Fixed(0x42), ..Ipv6Settings::AUTO };
    let side = Side::new("nd_conflict", link, settings);
    assert!(wait(PATIENCE, || side.link_local() == Some((ip("fe80::42"), AddressState::Duplicated))));
    assert_eq!(side.stack(|stack, _| stack.counters().nd.duplicates), 1);
    side.finish();
}

/// The other way round: Linux does not take an address of ours.
#[test]
fn linux_does_not_take_our_address() {
    let Some(link) = link() else { return };
    let settings = Ipv6Settings { interface_id: InterfaceId::Fixed(0x42), ..Ipv6Settings::AUTO };
    let side = Side::new("nd_defence", link, settings);
    assert_eq!(side.wait_for_link_local(), ip("fe80::42"));
    side.namespace.ip("-6 address add fe80::42/64 dev tap0").unwrap();
    let failed = || side.namespace.ip("-6 -o address show dev tap0").unwrap().stdout.contains("dadfailed");
    assert!(wait(PATIENCE, failed));
    side.ping("fe80::42%tap0", 56);
    side.finish();
}

/// Reachable, stale, asked again: and lost when Linux's end is gone.
#[test]
fn linux_as_a_neighbour() {
    let Some(link) = link() else { return };
    let linux = linux_address(&link.0, "scope link").unwrap();
    let Some(_router) = radvd(&link.0, "nd_neighbour", "AdvReachableTime 1000; AdvRetransTimer 200;") else {
        return;
    };
    let side = Side::new("nd_neighbour", link, Ipv6Settings::AUTO);
    let own = side.wait_for_link_local();
    assert!(wait(LONG, || side.routers() == [linux]));
    side.ping(&format!("{own}%tap0"), 56);
    let state = || {
        side.stack(move |stack, _| {
            stack.neighbours().find(|entry| entry.address == linux).map(|entry| entry.state)
        })
    };
    // The answers to the pings were a use, so it is asked for after five seconds.
    assert!(wait(LONG, || state() == Some(NeighbourState::Stale)), "{:?}", state());
    let use_it = || {
        side.stack(move |stack, netif| {
            let udp = stack.udp_new(Boxed::datagrams(|_, _, _| {})).unwrap();
            let to = std::net::SocketAddrV6::new(linux, 9, 0, u32::from(netif.index()));
            let sent = stack.udp(udp).unwrap().send_bytes_to(b"used", to.into());
            stack.udp_remove(udp).unwrap();
            sent
        })
    };
    use_it().unwrap();
    assert_eq!(state(), Some(NeighbourState::Delay));
    assert!(wait(LONG, || state() == Some(NeighbourState::Reachable)), "{:?}", state());
    side.namespace.sysctl("net.ipv6.conf.tap0.disable_ipv6", "1").unwrap();
    assert!(wait(LONG, || state() == Some(NeighbourState::Stale)));
    use_it().unwrap();
    assert!(wait(LONG, || state().is_none()), "{:?}", state());
    side.finish();
}

static OUR_ROUTER: RouterSettings = RouterSettings {
    max_interval_s: 4,
    mtu: 1_400,
    prefixes: [
        Some(PrefixFields {
            prefix: OTHER_PREFIX,
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid: 7_200,
            preferred: 3_600,
        }),
        None,
    ],
    ..RouterSettings::DEFAULT
};

/// Linux as a host of a router of ours.
#[test]
fn we_configure_linux() {
    let Some(link) = link() else { return };
    link.0.sysctl("net.ipv6.conf.tap0.accept_ra", "2").unwrap();
    let side = Side::new("nd_router", link, Ipv6Settings::router(&OUR_ROUTER));
    let router = side.wait_for_link_local();
    let configured = || {
        let route = side.namespace.ip("-6 route show default dev tap0").unwrap().stdout;
        let address = side.namespace.ip("-6 -o address show dev tap0 scope global dynamic").unwrap().stdout;
        route.contains(&format!("via {router}"))
            && address.contains("2001:db8:2:")
            && !address.contains("tentative")
    };
    assert!(wait(LONG, configured), "{:?}", side.namespace.ip("-6 route").unwrap());
    let mtu = side.namespace.ip("-6 route show default dev tap0").unwrap().stdout;
    assert!(mtu.contains("mtu 1400") || mtu.contains("proto ra"), "{mtu}");
    side.stack(|stack, netif| stack.netif(netif).unwrap().ipv6_configure(Ipv6Settings::AUTO).unwrap());
    let gone = || !side.namespace.ip("-6 route show default dev tap0").unwrap().stdout.contains("via");
    assert!(wait(PATIENCE, gone));
    side.finish();
}
