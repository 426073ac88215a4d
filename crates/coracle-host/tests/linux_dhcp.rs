//! DHCP against the programs that people use: dnsmasq as the server, udhcpc and dhclient as clients of ours.

mod peer;

use coracle::wire::dhcpv4::code;
use coracle::{Boxed, ConflictCheck, DhcpConfig, DhcpLease, DhcpServerConfig, DhcpState, Handler, Instant};
use coracle::{Ipv4Settings, MacAddr, NetifConfig, NetifEvent, NetifHandle, Reasons, Stack};
use coracle_host::testing::or_skip;
use coracle_host::{Namespace, Running, Tap, namespace};
use peer::{CORACLE, LINUX, PATIENCE, Peer, STATION, pattern, soon, stack, tap_namespace};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

const SECOND_STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 3);

fn nothing() -> Ipv4Addr {
    Ipv4Addr::UNSPECIFIED
}

/// A place for the files of a test's programs.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// dnsmasq on an interface, giving out addresses of a range.
fn dnsmasq(namespace: &Namespace, interface: &str, range: &str, more: &[&str]) -> Option<namespace::Running> {
    let command = namespace
        .command("dnsmasq")
        .args(["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null", "--port=0"])
        .args(["--user=root", "--pid-file=", "--leasefile-ro", "--no-ping", "--dhcp-authoritative"])
        .args(["--bind-dynamic", "--dhcp-rapid-commit"])
        .arg(format!("--interface={interface}"))
        .arg(format!("--dhcp-range={range}"))
        .args(more);
    let running = or_skip(command.timeout(Duration::from_mins(1)).start())?;
    if running.wait_for_text("DHCP, IP range", PATIENCE) {
        return Some(running);
    }
    panic!("dnsmasq did not come up: {:?}", running.stop());
}

/// A stack without an address beside the kernel.
struct Client {
    namespace: Namespace,
    host: Running<Boxed>,
    netifs: Vec<NetifHandle>,
}

/// Hears when an address came.
struct Listener(mpsc::Sender<(Instant, NetifEvent)>);

impl Handler<Boxed> for Listener {
    fn netif_changed(&mut self, stack: &mut Stack<Boxed>, event: NetifEvent) {
        let _ = self.0.send((stack.now(), event));
    }
}

impl Client {
    fn new(namespace: Namespace, taps: Vec<(Tap, MacAddr)>) -> Self {
        let mut host = stack(|_, _| {});
        let attach = |(tap, station)| host.attach(tap, NetifConfig::ethernet(station)).unwrap();
        let netifs: Vec<_> = taps.into_iter().map(attach).collect();
        for &netif in &netifs {
            host.stack().netif(netif).unwrap().set_up(true).unwrap();
        }
        Self { namespace, host: host.spawn().unwrap(), netifs }
    }

    fn stack<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Stack<Boxed>, NetifHandle) -> R + Send + 'static,
    ) -> R {
        let netif = self.netifs[0];
        self.host.call(move |host| job(host.stack(), netif)).unwrap()
    }

    fn start(&self, config: DhcpConfig) {
        for &netif in &self.netifs {
            self.stack(move |stack, _| stack.netif(netif).unwrap().dhcp_start(&config).unwrap());
        }
    }

    fn lease(&self) -> Option<DhcpLease> {
        self.stack(|stack, netif| stack.netif(netif).unwrap().dhcp_lease())
    }

    fn state(&self) -> DhcpState {
        self.stack(|stack, netif| stack.netif(netif).unwrap().dhcp_state())
    }

    /// Waits for a lease that is something.
    fn wait(&self, is: impl Fn(&DhcpLease) -> bool) -> DhcpLease {
        let mut lease = None;
        assert!(
            soon(|| {
                lease = self.lease();
                lease.as_ref().is_some_and(&is)
            }),
            "{lease:?}"
        );
        lease.unwrap()
    }

    /// Gives everything back, buffers too.
    fn stop(self) {
        for &netif in &self.netifs {
            self.stack(move |stack, _| stack.netif(netif).unwrap().dhcp_release().unwrap());
        }
        // A release may wait for the server's station.
        let unused = || self.stack(|stack, _| stack.memory().stats().is_unused());
        assert!(soon(unused), "every buffer came back: {:?}", self.stack(|stack, _| stack.memory().stats()));
        self.host.stop().unwrap();
    }
}

fn client() -> Option<Client> {
    let (namespace, tap) = tap_namespace(1500)?;
    Some(Client::new(namespace, vec![(tap, STATION)]))
}

const RANGE: &str = "192.0.2.100,192.0.2.110,255.255.255.0,2m";

/// From the start to the address in less than 100 ms, with the check for conflicts in the background and the window for
/// better offers; with all that dnsmasq tells.
#[test]
fn a_lease_from_dnsmasq() {
    let Some(client) = client() else { return };
    let options = ["--dhcp-option=option:dns-server,192.0.2.1,192.0.2.3", "--domain=example.org"];
    let more =
        ["--dhcp-option=option:mtu,1400", "--dhcp-option=121,198.51.100.0/24,192.0.2.7,0.0.0.0/0,192.0.2.1"];
    let Some(server) = dnsmasq(&client.namespace, "tap0", RANGE, &[&options[..], &more].concat()) else {
        return;
    };
    let (report, changes) = mpsc::channel();
    client.stack(|stack, _| stack.netif_listen(None, Reasons::ALL, Boxed::new(Listener(report))).unwrap());
    let mut best = Duration::MAX;
    for rapid_commit in [false, true, false] {
        let started = client.stack(move |stack, netif| {
            stack.netif(netif).unwrap().dhcp_release().unwrap();
            stack
                .netif(netif)
                .unwrap()
                .dhcp_start(&DhcpConfig { rapid_commit, ..DhcpConfig::new() })
                .unwrap();
            stack.now()
        });
        let came = |change: &(Instant, NetifEvent)| change.1.reasons.contains(Reasons::IPV4_ADDRESS_VALID);
        let (when, _) =
            std::iter::from_fn(|| changes.recv_timeout(PATIENCE).ok()).find(came).expect("an address");
        best = best.min(when.since(started));
        println!("address after {:?}, rapid commit {rapid_commit}", when.since(started));
    }
    assert!(best < Duration::from_millis(100), "{best:?}");

    let lease = client.lease().unwrap();
    assert!((100..=110).contains(&lease.ipv4.address.octets()[3]));
    assert_eq!((lease.ipv4.prefix_len(), lease.ipv4.gateway, lease.server), (24, LINUX, LINUX));
    assert_eq!(lease.dns_servers, [LINUX, Ipv4Addr::new(192, 0, 2, 3), nothing()]);
    assert_eq!(client.stack(|stack, netif| stack.netif(netif).unwrap().mtu()), Ok(1_400));
    let domain: Vec<u8> = client.stack(|stack, netif| {
        let netif = stack.netif(netif).unwrap();
        netif.dhcp_message().and_then(|message| message.value(code::DOMAIN)).map(Iterator::collect).unwrap()
    });
    assert_eq!(domain, b"example.org");
    assert_eq!(client.stack(|stack, _| stack.routes().count()), 1, "the one beside the gateway");

    // Linux finds the stack at its new address.
    let echo = Boxed::datagrams(|udp, from, data| udp.send_to(data, from).unwrap());
    client.stack(|stack, _| {
        let echo = stack.udp_new(echo).unwrap();
        stack.udp(echo).unwrap().bind((Ipv4Addr::UNSPECIFIED, 7).into()).unwrap();
    });
    let socket = client.namespace.run(|| UdpSocket::bind((LINUX, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((lease.ipv4.address, 7)).unwrap();
    socket.send(&pattern(1, 900)).unwrap();
    assert_eq!(socket.recv(&mut [0; 1_500]).unwrap(), 900);

    client.stop();
    assert!(server.wait_for_text("DHCPRELEASE", PATIENCE));
    server.stop().unwrap();
}

/// Extended at T1; without the server asked of all at T2; and once there is another server with other addresses, a refusal
/// and an address of these.
#[test]
fn renewed_rebound_and_refused() {
    let Some(client) = client() else { return };
    let short = ["--dhcp-option=option:T1,3", "--dhcp-option=option:T2,5"];
    let Some(server) = dnsmasq(&client.namespace, "tap0", RANGE, &short) else { return };
    client.start(DhcpConfig { conflict_check: ConflictCheck::Off, ..DhcpConfig::new() });
    let first = client.wait(|_| true);
    assert_eq!(first.rebind_at.since(first.renew_at), Duration::from_secs(2));
    let renewed = client.wait(|lease| lease.expires_at > first.expires_at);
    assert_eq!(renewed.ipv4, first.ipv4);
    server.stop().unwrap();
    assert!(
        soon(|| client.state() == DhcpState::Renewing) && soon(|| client.state() == DhcpState::Rebinding)
    );
    assert_eq!(client.lease().map(|lease| lease.ipv4), Some(first.ipv4), "it lasts two minutes");

    let other = "192.0.2.200,192.0.2.210,255.255.255.0,2m";
    let Some(server) = dnsmasq(&client.namespace, "tap0", other, &[]) else { return };
    // A minute passes between two requests to extend a lease; a link that comes back asks at once.
    client.stack(|stack, netif| {
        stack.netif(netif).unwrap().set_link_up(false).unwrap();
        stack.netif(netif).unwrap().set_link_up(true).unwrap();
    });
    let moved = client.wait(|lease| lease.ipv4 != first.ipv4);
    assert!((200..=210).contains(&moved.ipv4.address.octets()[3]), "{moved:?}");
    assert!(server.wait_for_text("DHCPNAK", PATIENCE));
    client.stop();
    server.stop().unwrap();
}

/// Somebody claims the address while it is checked in the background: dnsmasq hears of it, and gives another one.
#[test]
fn a_conflict_is_declined() {
    let Some(client) = client() else { return };
    let Some(server) = dnsmasq(&client.namespace, "tap0", RANGE, &[]) else { return };
    client.start(DhcpConfig::new());
    let first = client.wait(|_| true).ipv4.address;
    // Linux turns out to have it.
    client.namespace.ip(&format!("address add {first}/32 dev tap0")).unwrap();
    let arping =
        client.namespace.command("arping").args(["-U", "-c", "1", "-I", "tap0"]).arg(first.to_string());
    or_skip(arping.output()).expect("arping is part of the test machine");
    assert!(server.wait_for_text("DHCPDECLINE", PATIENCE), "the probes find it");
    let start = std::time::Instant::now();
    while client.lease().is_none() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() > Duration::from_secs(9), "ten seconds after a conflict");
    assert_ne!(client.lease().unwrap().ipv4.address, first);
    client.stop();
    server.stop().unwrap();
}

/// Two interfaces, two servers, two leases.
#[test]
fn two_interfaces() {
    let Some((namespace, first)) = tap_namespace(1500) else { return };
    let Some(second) = or_skip(namespace.open_tap("tap1")) else { return };
    namespace.ip("address add 198.51.100.1/24 dev tap1").unwrap();
    second.set_up(true).unwrap();
    let client = Client::new(namespace, vec![(first, STATION), (second, SECOND_STATION)]);
    let Some(one) = dnsmasq(&client.namespace, "tap0", RANGE, &[]) else { return };
    let range = "198.51.100.100,198.51.100.110,255.255.255.0,2m";
    let Some(two) = dnsmasq(&client.namespace, "tap1", range, &[]) else { return };
    client.start(DhcpConfig::new());
    client.wait(|lease| lease.server == LINUX);
    let other = client.netifs[1];
    let lease = || client.stack(move |stack, _| stack.netif(other).unwrap().dhcp_lease());
    assert!(soon(|| lease().is_some_and(|lease| lease.server == Ipv4Addr::new(198, 51, 100, 1))));
    client.stop();
    one.stop().unwrap();
    two.stop().unwrap();
}

/// Our server, and clients that people use.
fn served(name: &str) -> Option<Peer> {
    let (namespace, tap) = tap_namespace(1500)?;
    namespace.ip("address flush dev tap0").unwrap();
    let peer = Peer::new(name, namespace, tap, NetifConfig::ethernet(STATION), stack(|_, _| {}));
    let netif = peer.netif;
    peer.stack(move |stack| {
        let range = [Ipv4Addr::new(192, 0, 2, 100), Ipv4Addr::new(192, 0, 2, 110)];
        let config = DhcpServerConfig {
            router: CORACLE,
            dns_servers: [CORACLE, Ipv4Addr::UNSPECIFIED],
            lease_time: 600,
            ..DhcpServerConfig::new(range[0], range[1])
        };
        let mut netif = stack.netif(netif).unwrap();
        assert_eq!(netif.ipv4(), Ok(Ipv4Settings::new(CORACLE, 24)));
        netif.dhcp_server_start(&config).unwrap();
    });
    Some(peer)
}

/// Writes a script that clients run when they have a lease.
fn script(name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = file(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn udhcpc_gets_a_lease() {
    let Some(peer) = served("udhcpc") else { return };
    let text = "[ \"$1\" = bound ] && echo lease $ip/$mask via $router dns $dns for $lease";
    let script = script("udhcpc.sh", &format!("{text}; exit 0"));
    let command = peer.namespace.command("udhcpc").args(["-i", "tap0", "-n", "-q", "-f", "-s"]).arg(&script);
    let output =
        or_skip(command.timeout(Duration::from_secs(30)).run()).expect("udhcpc is part of the test machine");
    let expected = "lease 192.0.2.100/24 via 192.0.2.2 dns 192.0.2.2 for 600";
    assert!(output.stdout.contains(expected), "{} {}", output.stdout, output.stderr);
    peer.finish();
}

#[test]
fn dhclient_gets_a_lease() {
    let Some(peer) = served("dhclient") else { return };
    let text =
        "[ \"$reason\" = BOUND ] && echo lease $new_ip_address via $new_routers for $new_dhcp_lease_time";
    let script = script("dhclient.sh", &format!("{text}; exit 0"));
    let leases = file("dhclient.leases");
    std::fs::write(&leases, "").unwrap();
    let command = peer.namespace.command("dhclient").args(["-1", "-d", "-v", "-cf", "/dev/null", "-sf"]);
    let command =
        command.arg(&script).arg("-lf").arg(&leases).arg("-pf").arg(file("dhclient.pid")).arg("tap0");
    let Some(running) = or_skip(command.timeout(Duration::from_secs(30)).start()) else { return };
    let bound = running.wait_for_text("bound to 192.0.2.100", PATIENCE + PATIENCE);
    let output = running.stop().unwrap();
    assert!(bound, "{output:?}");
    assert!(output.stdout.contains("lease 192.0.2.100 via 192.0.2.2 for 600"), "{}", output.stdout);
    peer.finish();
}
