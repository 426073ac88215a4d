//! net-snmp in a namespace, and the agent on a stack at the other end of a TAP interface: IPv4 and IPv6.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use coracle::{Ipv4Settings, MacAddr, NetifConfig, TcpState};
use coracle_host::testing::or_skip;
use coracle_host::{Host, Namespace, Running};
use coracle_snmp::agent::{Agent, Community, Engine, READ, Storage, WRITE};
use coracle_snmp::mib::Tree;
use coracle_snmp::v3::{AuthProtocol, EngineId, PrivProtocol, User};
use coracle_snmp::{AGENT_PORT, Setup, SnmpAgent, standard};

const LINUX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const CORACLE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

struct Boots(u32);

impl Storage for Boots {
    fn boots(&mut self) -> u32 {
        self.0
    }

    fn store_boots(&mut self, boots: u32) {
        self.0 = boots;
    }
}

/// It stays as long as the test does.
fn agent() -> SnmpAgent<'static> {
    let id = EngineId::of_station(8072, [2, 0, 0, 0, 0, 2]);
    let user = User::new("admin", WRITE).auth(AuthProtocol::Sha256, "a long password", id).privacy(
        PrivProtocol::Aes128,
        "another password",
        id,
    );
    let communities = vec![Community::new("public", READ), Community::new("secret", WRITE)].leak();
    let setup = Setup::new(Tree::new(standard::ALL).unwrap()).communities(communities);
    let engine = Engine::start(id, vec![user].leak(), &mut Boots(0), 1);
    SnmpAgent::new(Agent::new(setup).with_engine(engine), vec![0; 1472].leak(), vec![0; 1472].leak())
}

struct Peer {
    namespace: Namespace,
    host: Running<SnmpAgent<'static>>,
}

impl Peer {
    fn new() -> Option<Self> {
        let namespace = or_skip(Namespace::new())?;
        let tap = or_skip(namespace.open_tap("tap0"))?;
        namespace.ip(&format!("address add {LINUX}/24 dev tap0")).unwrap();
        // Without waiting for the end of duplicate address detection.
        namespace.ip("address add 2001:db8::1/64 dev tap0 nodad").unwrap();
        tap.set_up(true).unwrap();
        let mut host = Host::new().unwrap();
        let config =
            NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2)).ipv4(Ipv4Settings::new(CORACLE, 24));
        let netif = host.attach(tap, config).unwrap();
        let stack = host.stack();
        stack.netif_set_default(Some(netif)).unwrap();
        stack.netif(netif).unwrap().set_up(true).unwrap();
        stack.netif(netif).unwrap().ipv6_add(CORACLE_V6, 64).unwrap();
        let udp = stack.udp_new(agent()).unwrap();
        // Of both families.
        stack.udp(udp).unwrap().bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, AGENT_PORT))).unwrap();
        Some(Self { namespace, host: host.spawn().unwrap() })
    }

    fn snmp(&self, program: &str, options: &[&str], agent: &str, names: &str) -> String {
        let command = self.namespace.command(program).args(["-r", "3", "-t", "2", "-On", "-Oqv"]);
        let output = command.args(options).arg(agent).args(names.split_whitespace()).output().unwrap();
        if output.success { output.stdout } else { output.stderr }
    }
}

#[test]
fn managers_of_both_families_and_all_versions() {
    let Some(peer) = Peer::new() else { return };
    let v3 = |level| {
        let mut options = vec!["-v3", "-u", "admin", "-a", "SHA-256", "-A", "a long password", "-l", level];
        options.extend(["-x", "AES", "-X", "another password"]);
        options
    };
    for agent in ["udp:192.0.2.2", "udp6:[2001:db8::2]"] {
        for options in
            [vec!["-v1", "-c", "public"], vec!["-v2c", "-c", "public"], v3("authNoPriv"), v3("authPriv")]
        {
            let descr = peer.snmp("snmpget", &options, agent, "1.3.6.1.2.1.1.1.0");
            assert_eq!(descr, "\"Coracle\"\n", "{agent} {options:?}");
        }
        let bulk = peer.snmp("snmpbulkwalk", &["-v2c", "-c", "public", "-Cr50"], agent, ".1");
        assert!(bulk.lines().count() > 300, "{agent}: {bulk}");
        let bulk = peer.snmp("snmpbulkwalk", &v3("authPriv"), agent, ".1");
        assert!(bulk.lines().count() > 300, "{agent}: {bulk}");
    }
    // Its own address, as the stack has it.
    let prefix = "1.3.6.1.2.1.4.34.1.3.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.2";
    assert_eq!(peer.snmp("snmpget", &["-v2c", "-c", "public"], "192.0.2.2", prefix), "1\n");
}

#[test]
fn an_interface_is_set_down_after_the_answer() {
    let Some(peer) = Peer::new() else { return };
    let status = "1.3.6.1.2.1.2.2.1.7.1";
    let public = ["-v2c", "-c", "public"];
    assert_eq!(peer.snmp("snmpget", &public, "192.0.2.2", status), "1\n");
    let refused = peer.snmp("snmpset", &public, "192.0.2.2", &format!("{status} i 2"));
    assert!(refused.contains("noAccess"), "{refused}");
    let wrong = peer.snmp("snmpset", &["-v2c", "-c", "secret"], "192.0.2.2", &format!("{status} i 3"));
    assert!(wrong.contains("wrongValue"), "{wrong}");
    assert!(peer.host.call(|host| host.stack().inspect().netif_at(0).unwrap().up).unwrap());
    // The answer may be lost with the interface, so only what happened is looked at.
    peer.snmp("snmpset", &["-v2c", "-c", "secret"], "192.0.2.2", &format!("{status} i 2"));
    assert!(!peer.host.call(|host| host.stack().inspect().netif_at(0).unwrap().up).unwrap());
}

#[test]
fn the_tables_are_those_of_the_stack() {
    let Some(peer) = Peer::new() else { return };
    let expected = peer
        .host
        .call(|host| {
            let stack = host.stack();
            stack.tcp_listen(SocketAddr::from((CORACLE, 80)), 2, agent()).unwrap();
            let tcp = stack.tcp_new(agent()).unwrap();
            stack.tcp(tcp).unwrap().connect(SocketAddr::from(([192, 0, 2, 9], 9))).unwrap();
            let inspect = stack.inspect();
            let views: Vec<_> = (0..inspect.tcp_places()).filter_map(|place| inspect.tcp_at(place)).collect();
            assert_eq!(views.iter().filter(|view| view.state == TcpState::SynSent).count(), 1);
            views.len()
        })
        .unwrap();
    let public = ["-v2c", "-c", "public"];
    let states = peer.snmp("snmpwalk", &public, "192.0.2.2", "1.3.6.1.2.1.6.13.1.1");
    assert_eq!(states.lines().count(), expected, "{states}");
    let mut states: Vec<_> = states.lines().collect();
    states.sort_unstable();
    assert_eq!(states, ["2", "3"], "a listener, and a connection that was asked for");
    // sysUpTime runs.
    let uptime = || -> u64 {
        let ticks = peer.namespace.command("snmpget").args(["-v2c", "-c", "public", "-Oqvt", "192.0.2.2"]);
        ticks.arg("1.3.6.1.2.1.1.3.0").output().unwrap().stdout.trim().parse().unwrap()
    };
    let before = uptime();
    while uptime() == before {}
}
