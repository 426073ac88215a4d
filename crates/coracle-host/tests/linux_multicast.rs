//! Group memberships as the Linux kernel and tshark see them: a bridge of the kernel's asks, listens to the stack's
//! reports, and lets group traffic through to whom it was reported, and to nobody else.

mod peer;

use coracle::{FilterMode, Ipv4Settings, MacAddr, NetifConfig, NetifHandle, UdpHandle};
use coracle_host::Namespace;
use coracle_host::judge::{Sender, judge};
use coracle_host::testing::or_skip;
use peer::{CORACLE, Event, LINUX, PATIENCE, Peer, STATION, soon, stack};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

const GROUP: &str = "239.1.2.3";
const GROUP_V6: &str = "ff05::1:3";
const OTHER_SOURCE: &str = "192.0.2.3";
const LINUX_V6: &str = "2001:db8::1";
const OTHER_SOURCE_V6: &str = "2001:db8::3";
const PORT: u16 = 5_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A bridge that asks every second, in the versions given, with the stack behind its only port, to which it lets through
/// only what was reported.
struct Bridge {
    peer: Peer,
    capture: PathBuf,
    udp: UdpHandle,
    events: Receiver<Event>,
}

impl Bridge {
    fn new(name: &str, igmp: u8, mld: u8) -> Option<Self> {
        let namespace = or_skip(Namespace::new())?;
        let tap = or_skip(namespace.open_tap("tap0"))?;
        let bridge = format!(
            "link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_igmp_version {igmp} \
             mcast_mld_version {mld} mcast_query_interval 100 mcast_startup_query_interval 50 \
             mcast_query_response_interval 50 mcast_membership_interval 400 mcast_last_member_interval 20"
        );
        or_skip(namespace.ip(&bridge))?;
        for words in [
            "link set tap0 master br0",
            "link set tap0 type bridge_slave mcast_flood off",
            &format!("address add {LINUX}/24 dev br0"),
            &format!("address add {OTHER_SOURCE}/24 dev br0"),
            &format!("-6 address add {LINUX_V6}/64 dev br0 nodad"),
            &format!("-6 address add {OTHER_SOURCE_V6}/64 dev br0 nodad"),
        ] {
            namespace.ip(words).unwrap();
        }
        tap.set_up(true).unwrap();
        namespace.ip("link set br0 up").unwrap();
        namespace.ip("route add 239.0.0.0/8 dev br0").unwrap();
        let config = NetifConfig::ethernet(MacAddr(STATION.0)).ipv4(Ipv4Settings::new(CORACLE, 24));
        let peer = Peer::new(name, namespace, tap, config, stack(|_, _| {}));
        let netif = peer.netif;
        peer.stack(move |stack| {
            let mut netif = stack.netif(netif).unwrap();
            netif.ipv6_add("fe80::2".parse().unwrap(), 64).unwrap();
            netif.ipv6_add("2001:db8::2".parse().unwrap(), 64).unwrap();
        });
        let (udp, events) = peer.listener();
        peer.stack(move |stack| stack.udp(udp).unwrap().bind(SocketAddr::from(([0; 8], PORT))).unwrap());
        let capture = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pcap"));
        Some(Self { peer, capture, udp, events })
    }

    fn udp<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut coracle::Udp<'_, coracle::Boxed>, NetifHandle) -> R + Send + 'static,
    ) -> R {
        let (udp, netif) = (self.udp, self.peer.netif);
        self.peer.stack(move |stack| job(&mut stack.udp(udp).unwrap(), netif))
    }

    /// What the bridge knows of a group on the stack's port.
    fn known(&self, group: &str) -> Vec<String> {
        let output = self.peer.namespace.command("bridge").args(["-d", "mdb", "show", "dev", "br0"]).output();
        let output = output.expect("bridge is part of the test machine").stdout;
        let about = |line: &&str| line.contains("port tap0") && line.contains(&format!("grp {group} "));
        output.lines().filter(about).map(str::to_owned).collect()
    }

    fn soon_known(&self, group: &str, what: impl Fn(&[String]) -> bool) {
        assert!(soon(|| what(&self.known(group))), "{group}: {:?}", self.known(group));
    }

    /// Linux sends to a group.
    fn send(&self, from: &str, group: &str, data: &'static [u8]) {
        let (from, to) = (SocketAddr::new(ip(from), 0), SocketAddr::new(ip(group), PORT));
        self.peer.namespace.run(move || UdpSocket::bind(from).unwrap().send_to(data, to).unwrap()).unwrap();
    }

    fn hears(&self, expected: &[u8]) {
        match self.events.recv_timeout(PATIENCE) {
            Ok(Event::Data(_, data)) => assert_eq!(data, expected),
            other => {
                let counters = self.peer.stack(|stack| *stack.counters());
                panic!("{other:?} instead of {expected:?}: {counters:?}");
            }
        }
    }

    /// Stops the stack. tshark finds nothing wrong with what it sent, and these lines in it for a filter and fields.
    fn finish(self, questions: &[(&str, &str)]) -> Option<(coracle::Counters, Vec<Vec<String>>)> {
        let Self { peer, capture, .. } = self;
        let counters = peer.stop();
        let verdict = or_skip(judge(&capture, Sender::Station(STATION.0)))?;
        assert!(verdict.faults.is_empty(), "{}: {:?}", capture.display(), verdict.faults);
        let ask = |(filter, fields): &(&str, &str)| {
            let filter = format!("eth.src == 02:00:00:00:00:02 && ({filter})");
            let mut tshark = Command::new("tshark");
            tshark.env("WIRESHARK_CONFIG_DIR", "/nonexistent").arg("-n").arg("-r").arg(&capture);
            tshark.args(["-Y", &filter, "-T", "fields"]);
            for field in fields.split(' ') {
                tshark.args(["-e", field]);
            }
            let output = tshark.output().expect("tshark was there a moment ago");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
        };
        let answers = questions.iter().map(ask).collect();
        std::fs::remove_file(&capture).unwrap();
        Some((counters, answers))
    }
}

/// The joins of a control block are known to the bridge with their sources, outlive its patience because queries are
/// answered, let exactly that traffic through, and end when they are left [3810-4] [3810-5].
#[test]
fn the_bridge_knows_groups_and_sources_in_the_newest_versions() {
    let Some(bridge) = Bridge::new("multicast_newest", 3, 2) else { return };
    for (group, from, other) in [(GROUP, "192.0.2.1", OTHER_SOURCE), (GROUP_V6, LINUX_V6, OTHER_SOURCE_V6)] {
        let (address, source) = (ip(group), ip(from));
        bridge.send(from, group, b"nobody listens");
        // It may be on its way still, and the join must not overtake it.
        std::thread::sleep(Duration::from_millis(50));
        bridge.udp(move |udp, netif| udp.join_source(address, source, Some(netif)).unwrap());
        let of_source = format!("src {from} ");
        bridge.soon_known(group, |lines| lines.iter().any(|line| line.contains(&of_source)));
        bridge.send(other, group, b"another source");
        bridge.send(from, group, b"the source");
        bridge.hears(b"the source");
        bridge.udp(move |udp, netif| {
            udp.set_filter(address, Some(netif), FilterMode::Exclude, &[source]).unwrap();
        });
        bridge.soon_known(group, |lines| lines.iter().any(|line| line.contains("filter_mode exclude")));
        bridge.send(from, group, b"the source, blocked");
        bridge.send(other, group, b"every other");
        bridge.hears(b"every other");
        // Memberships end after four seconds unless queries are answered.
        std::thread::sleep(Duration::from_secs(6));
        assert!(!bridge.known(group).is_empty(), "{group} is forgotten");
        bridge.send(other, group, b"every other, later");
        bridge.hears(b"every other, later");
        bridge.udp(move |udp, netif| udp.leave(address, Some(netif)).unwrap());
        bridge.soon_known(group, <[String]>::is_empty);
    }
    // The group in which the stack's own addresses are solicited.
    assert!(!bridge.known("ff02::1:ff00:2").is_empty());
    let asked = [
        ("igmp", "ip.dst ip.ttl ip.opt.type igmp.version igmp.checksum.status"),
        ("icmpv6.type == 143", "ipv6.src ipv6.dst ipv6.hlim ipv6.opt.router_alert icmpv6.checksum.status"),
        ("igmp.record_type == 5", "igmp.maddr igmp.saddr"),
        ("_ws.expert.severity >= 0x600000 || _ws.malformed", "frame.number"),
    ];
    let Some((counters, answers)) = bridge.finish(&asked) else { return };
    let [igmp, mld, allowed, wrong] = &answers[..] else { panic!("{answers:?}") };
    assert!(igmp.len() > 8 && igmp.iter().all(|line| line == "224.0.0.22\t1\t148\t3\t1"), "{igmp:?}");
    let rest = "ff02::16\t1\t0\t1";
    // The first report may leave before the address of the link is ours.
    let is_good = |line: &&String| [format!("fe80::2\t{rest}"), format!("::\t{rest}")].contains(line);
    assert!(mld.len() > 8 && mld.iter().all(|line| is_good(&line)), "{mld:?}");
    assert_eq!(allowed[0], "239.1.2.3\t192.0.2.1");
    assert_eq!(wrong, &Vec::<String>::new());
    assert!(counters.igmp.queries > 8 && counters.mld.queries > 8, "{counters:?}");
    assert_eq!((counters.igmp.forged, counters.igmp.malformed, counters.mld.malformed), (0, 0, 0));
}

/// [3810-6] An older querier is answered in its version, and told when a group is left.
#[test]
fn the_bridge_knows_groups_in_older_versions() {
    let Some(bridge) = Bridge::new("multicast_older", 2, 1) else { return };
    // It asks for the first time when it comes up.
    assert!(soon(|| {
        let counters = bridge.peer.stack(|stack| *stack.counters());
        counters.igmp.queries > 0 && counters.mld.queries > 0
    }));
    for (group, from) in [(GROUP, "192.0.2.1"), (GROUP_V6, LINUX_V6)] {
        let address = ip(group);
        bridge.udp(move |udp, netif| udp.join(address, Some(netif)).unwrap());
        bridge.soon_known(group, |lines| !lines.is_empty());
        std::thread::sleep(Duration::from_secs(6));
        assert!(!bridge.known(group).is_empty(), "{group} is forgotten");
        bridge.send(from, group, b"to all");
        bridge.hears(b"to all");
        bridge.udp(move |udp, netif| udp.leave(address, Some(netif)).unwrap());
        bridge.soon_known(group, <[String]>::is_empty);
    }
    let asked = [
        (
            "igmp.type == 0x16 || igmp.type == 0x17",
            "igmp.type ip.dst ip.ttl ip.opt.type igmp.checksum.status",
        ),
        ("icmpv6.type == 131 || icmpv6.type == 132", "icmpv6.type ipv6.dst ipv6.hlim icmpv6.checksum.status"),
        ("_ws.expert.severity >= 0x600000 || _ws.malformed", "frame.number"),
    ];
    let Some((counters, answers)) = bridge.finish(&asked) else { return };
    let [igmp, mld, wrong] = &answers[..] else { panic!("{answers:?}") };
    assert!(igmp.contains(&"0x16\t239.1.2.3\t1\t148\t1".into()), "{igmp:?}");
    assert!(igmp.contains(&"0x17\t224.0.0.2\t1\t148\t1".into()), "{igmp:?}");
    assert!(
        mld.contains(&format!("131\t{GROUP_V6}\t1\t1")) && mld.contains(&"132\tff02::2\t1\t1".into()),
        "{mld:?}"
    );
    assert_eq!(wrong, &Vec::<String>::new());
    assert_eq!((counters.igmp.leaves_sent, counters.mld.leaves_sent), (1, 1));
}
