//! net-snmp's commands against the agent, over the loopback interface.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coracle::{Arena, Config, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits, NetifConfig, Stack};
use coracle_snmp::agent::{
    Community, Credentials, Engine, InformSlot, Outlet, READ, RemoteUser, Storage, Target, WRITE,
};
use coracle_snmp::mib::Tree;
use coracle_snmp::v3::{AuthProtocol, EngineId, MasterKey, PrivProtocol, User};
use coracle_snmp::{Agent, Binding, Setup, Value, standard};

struct Boots(u32);

impl Storage for Boots {
    fn boots(&mut self) -> u32 {
        self.0
    }

    fn store_boots(&mut self, boots: u32) {
        self.0 = boots;
    }
}

const AUTH: [(&str, AuthProtocol); 6] = [
    ("MD5", AuthProtocol::Md5),
    ("SHA", AuthProtocol::Sha1),
    ("SHA-224", AuthProtocol::Sha224),
    ("SHA-256", AuthProtocol::Sha256),
    ("SHA-384", AuthProtocol::Sha384),
    ("SHA-512", AuthProtocol::Sha512),
];

const PRIV: [(&str, PrivProtocol); 4] = [
    ("DES", PrivProtocol::Des),
    ("AES", PrivProtocol::Aes128),
    ("AES-192", PrivProtocol::Aes192),
    ("AES-256", PrivProtocol::Aes256),
];

/// An agent on a port of the loopback interface, until it is dropped.
struct Running {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&socket, &stopping));
        Self { port, stop, thread: Some(thread) }
    }

    /// Runs a command with arguments before the address, and after it. A wish for an argument with spaces is `_`.
    fn run(&self, command: &str, before: &str, after: &str) -> (bool, String) {
        let words =
            |text: &str| text.split_whitespace().map(|word| word.replace('_', " ")).collect::<Vec<_>>();
        let output = Command::new(command)
            .args(["-r", "1", "-t", "5", "-On"])
            .args(words(before))
            .arg(format!("127.0.0.1:{}", self.port))
            .args(words(after))
            .env("SNMPCONFPATH", env!("CARGO_TARGET_TMPDIR"))
            .env("SNMP_PERSISTENT_DIR", env!("CARGO_TARGET_TMPDIR"))
            .env("MIBS", "")
            .output()
            .expect("net-snmp is installed");
        let mut text = output.stdout;
        if !output.status.success() {
            text.extend(output.stderr);
        }
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn get(&self, options: &str) -> String {
        self.run("snmpget", options, "1.3.6.1.2.1.1.5.0").1
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Gives a stack something to tell of.
fn set_up(stack: &mut Stack<()>) {
    let ipv4 = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24).with_gateway(Ipv4Addr::new(192, 0, 2, 1));
    let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2)).ipv4(ipv4);
    let netif = stack.netif_add(&config).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    stack.netif(netif).unwrap().ipv6_add("2001:db8::2".parse().unwrap(), 64).unwrap();
    let neighbour = Ipv4Addr::new(192, 0, 2, 1);
    stack.netif(netif).unwrap().set_neighbour(neighbour.into(), MacAddr::new(2, 0, 0, 0, 0, 1)).unwrap();
    stack.netif_add(&NetifConfig::loopback()).unwrap();
    let udp = stack.udp_new(()).unwrap();
    stack.udp(udp).unwrap().bind("0.0.0.0:161".parse().unwrap()).unwrap();
    for local in ["0.0.0.0:80", "[2001:db8::2]:443"] {
        stack.tcp_listen(local.parse().unwrap(), 4, ()).unwrap();
    }
    let tcp = stack.tcp_new(()).unwrap();
    stack.tcp(tcp).unwrap().connect("192.0.2.1:9".parse().unwrap()).unwrap();
}

fn serve(socket: &UdpSocket, stop: &AtomicBool) {
    let id = EngineId::of_station(8072, [2, 0, 0, 0, 0, 1]);
    let mut names = vec![];
    for (auth, _) in AUTH {
        names.push(auth.to_string());
        names.extend(PRIV.map(|(privacy, _)| format!("{auth}+{privacy}")));
    }
    let mut users = vec![User::new("nobody", READ)];
    let mut left = names.iter();
    for (_, auth) in AUTH {
        let plain = User::new(left.next().unwrap(), READ).auth(auth, "a long password", id);
        users.push(plain);
        for (_, privacy) in PRIV {
            let mut user = plain.privacy(privacy, "another password", id);
            user.name = left.next().unwrap();
            user.group = WRITE;
            users.push(user);
        }
    }
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
    let config = Config::new([7; 16]);
    let mut stack = Stack::<()>::new(&mut arena, Limits::default(), memory, config).unwrap();
    set_up(&mut stack);
    let communities = [Community::new("public", READ), Community::new("secret", WRITE)];
    let parts = standard::ALL;
    let mut setup = Setup::new(Tree::new(parts).unwrap()).communities(&communities);
    setup.name = "coracle";
    let engine = Engine::start(id, &users, &mut Boots(6), 1);
    let mut agent = Agent::new(setup).with_engine(engine);
    let start = Instant::now();
    let (mut request, mut reply) = ([0; 2000], [0; 1472]);
    while !stop.load(Ordering::Relaxed) {
        let Ok((len, from)) = socket.recv_from(&mut request) else { continue };
        stack.poll(coracle::Instant::from_micros(start.elapsed().as_micros() as u64));
        if let Some(answer) = agent.handle(&mut request[..len], from, stack.inspect(), &mut reply) {
            socket.send_to(answer, from).unwrap();
        }
    }
}

const NAME: &str = ".1.3.6.1.2.1.1.5.0 = STRING: \"coracle\"\n";

#[test]
fn communities_get_set_and_walk() {
    let agent = Running::start();
    assert_eq!(agent.get("-v1 -c public"), NAME);
    assert_eq!(agent.get("-v2c -c public"), NAME);
    assert!(agent.get("-v2c -c guess").contains("Timeout"));
    let set =
        |community: &str| agent.run("snmpset", &format!("-v2c -c {community}"), "1.3.6.1.2.1.1.6.0 s Here");
    assert!(set("public").1.contains("noAccess"));
    assert_eq!(set("secret"), (true, ".1.3.6.1.2.1.1.6.0 = STRING: \"Here\"\n".to_string()));
    let bad = agent.run("snmpset", "-v2c -c secret", "1.3.6.1.2.1.1.6.0 s There 1.3.6.1.2.1.1.7.0 i 3");
    assert!(bad.1.contains("notWritable"), "{}", bad.1);
    let bad = agent.run("snmpset", "-v1 -c secret", "1.3.6.1.2.1.1.6.0 i 7");
    assert!(bad.1.contains("badValue"), "{}", bad.1);
    let (ok, walk) = agent.run("snmpwalk", "-v2c -c public", "1.3.6.1.2.1.1");
    assert!(ok && walk.contains(".1.3.6.1.2.1.1.6.0 = STRING: \"Here\"\n"), "{walk}");
    let strip = |text: String| {
        text.lines()
            .filter(|line| !line.contains("Timeticks") && !line.contains(".11."))
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    let (_, walk) = agent.run("snmpwalk", "-v2c -c public", ".1");
    for options in ["-v2c -c public -Cr50", "-v2c -c public -Cr3", "-v2c -c public -Cr1 -Cn0"] {
        let (ok, bulk) = agent.run("snmpbulkwalk", options, ".1");
        assert!(ok);
        assert_eq!(strip(bulk), strip(walk.clone()));
    }
    let (_, walk) = agent.run("snmpwalk", "-v1 -c public", "1.3.6.1.2.1.1");
    assert!(walk.contains(NAME));
}

#[test]
fn users_in_every_algorithm() {
    let agent = Running::start();
    for (auth, _) in AUTH {
        let signed =
            |user: &str, more: &str| agent.get(&format!("-v3 -u {user} -a {auth} -A a_long_password {more}"));
        assert_eq!(signed(auth, "-l authNoPriv"), NAME, "{auth}");
        for (privacy, _) in PRIV {
            let user = format!("{auth}+{privacy}");
            let with = |password: &str| signed(&user, &format!("-l authPriv -x {privacy} -X {password}"));
            assert_eq!(with("another_password"), NAME, "{user}");
            let wrong = with("a_wrong_password");
            assert!(!wrong.contains("coracle"), "{user}: {wrong}");
        }
    }
}

#[test]
fn wrong_users_are_told_why() {
    let agent = Running::start();
    let output = |options: &str| agent.get(&format!("-v3 {options}"));
    assert!(output("-u stranger -l noAuthNoPriv").contains("Unknown user name"));
    assert!(output("-u SHA -l authNoPriv -a SHA -A a_wrong_password").contains("Authentication failure"));
    assert!(output("-u nobody -l authNoPriv -a SHA -A a_wrong_password").contains("security level"));
    // Users without a signature have no rights.
    assert!(output("-u nobody -l noAuthNoPriv").contains("authorizationError"));
    let other = output("-u nobody -l noAuthNoPriv -n elsewhere");
    assert!(other.contains("Bad context"), "{other}");
    // The wrong engine time is corrected by a report.
    assert!(output("-u nobody -l noAuthNoPriv -Z 1,1").contains("authorizationError"));
}

/// The tables as net-snmp prints them, by the standard's own definitions where it brings them.
#[test]
fn tables_of_a_stack() {
    let agent = Running::start();
    let (ok, walk) = agent.run("snmpbulkwalk", "-v2c -c public -Cr50", ".1");
    assert!(ok, "{walk}");
    for line in [
        ".1.3.6.1.2.1.2.1.0 = INTEGER: 2",
        ".1.3.6.1.2.1.2.2.1.2.1 = STRING: \"en0\"",
        ".1.3.6.1.2.1.2.2.1.3.2 = INTEGER: 24",
        ".1.3.6.1.2.1.2.2.1.6.1 = Hex-STRING: 02 00 00 00 00 02 ",
        ".1.3.6.1.2.1.2.2.1.8.1 = INTEGER: 1",
        ".1.3.6.1.2.1.31.1.1.1.6.1 = Counter64: 0",
        ".1.3.6.1.2.1.4.20.1.2.192.0.2.2 = INTEGER: 1",
        ".1.3.6.1.2.1.4.34.1.3.1.4.192.0.2.2 = INTEGER: 1",
        ".1.3.6.1.2.1.4.34.1.3.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.2 = INTEGER: 1",
        ".1.3.6.1.2.1.4.35.1.4.1.1.4.192.0.2.1 = Hex-STRING: 02 00 00 00 00 01 ",
        ".1.3.6.1.2.1.4.21.1.7.0.0.0.0 = IpAddress: 192.0.2.1",
        ".1.3.6.1.2.1.4.21.1.11.192.0.2.0 = IpAddress: 255.255.255.0",
        ".1.3.6.1.2.1.6.13.1.1.0.0.0.0.80.0.0.0.0.0 = INTEGER: 2",
        ".1.3.6.1.2.1.6.20.1.4.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.2.443 = Gauge32: 0",
        ".1.3.6.1.2.1.7.5.1.2.0.0.0.0.161 = INTEGER: 161",
        ".1.3.6.1.2.1.25.2.3.1.3.4 = STRING: \"heap\"",
        ".1.3.6.1.4.1.8072.9999.9999.67.1.2.1.2.1 = STRING: \"link: truncated\"",
        ".1.3.6.1.4.1.8072.9999.9999.67.1.3.2.0 = Gauge32: 2",
        ".1.3.6.1.6.3.10.2.1.2.0 = INTEGER: 7",
        ".1.3.6.1.6.3.15.1.2.2.1.13.11.128.0.31.136.3.2.0.0.0.0.1.3.83.72.65 = INTEGER: 1",
        ".1.3.6.1.6.3.16.1.2.1.3.2.4.99.48.48.49 = STRING: \"read\"",
        ".1.3.6.1.6.3.16.1.5.2.1.4.3.97.108.108.1.1 = INTEGER: 1",
    ] {
        assert!(walk.lines().any(|other| other == line), "{line} in\n{walk}");
    }
    // A connection that was asked for.
    assert!(walk.contains(".1.3.6.1.2.1.6.19.1.7.1.4.192.0.2.2."), "{walk}");
}

/// The module file for managers: `snmptranslate` and `snmpwalk` load it without a warning. What it imports is of the
/// standards; here stand-ins of it suffice.
#[test]
fn the_module_file_is_understood() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mibs");
    std::fs::create_dir_all(&folder).unwrap();
    let stand_ins = [
        ("SNMPv2-SMI", "enterprises OBJECT IDENTIFIER ::= { iso 3 6 1 4 1 }"),
        (
            "SNMPv2-TC",
            "DisplayString ::= TEXTUAL-CONVENTION DISPLAY-HINT \"255a\" STATUS current \
                       DESCRIPTION \"Text.\" SYNTAX OCTET STRING (SIZE (0..255))",
        ),
        ("SNMPv2-CONF", ""),
    ];
    for (name, text) in stand_ins {
        let text = format!("{name} DEFINITIONS ::= BEGIN\n{text}\nEND\n");
        std::fs::write(folder.join(format!("{name}.txt")), text).unwrap();
    }
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/mibs");
    let path = format!("{}:{own}", folder.display());
    let translate = |name: &str| {
        let output = Command::new("snmptranslate")
            .args(["-Pew", "-M", &path, "-m", "CORACLE-MIB", "-On", name])
            .env("SNMPCONFPATH", env!("CARGO_TARGET_TMPDIR"))
            .env("SNMP_PERSISTENT_DIR", env!("CARGO_TARGET_TMPDIR"))
            .output()
            .expect("net-snmp is installed");
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let base = ".1.3.6.1.4.1.8072.9999.9999.67.1";
    assert_eq!(translate("CORACLE-MIB::coraclePoolFailed.4"), format!("{base}.1.1.6.4\n"));
    assert_eq!(translate("CORACLE-MIB::coracleDropCount.40"), format!("{base}.2.1.3.40\n"));
    assert_eq!(translate("CORACLE-MIB::coracleTcpPathMtuLowered.0"), format!("{base}.3.13.0\n"));

    let agent = Running::start();
    let options = format!("-v2c -c public -Pew -M {path} -m CORACLE-MIB -Os");
    let (ok, walk) = agent.run("snmpwalk", &options, "CORACLE-MIB::coracleMIB");
    assert!(ok, "{walk}");
    assert!(walk.contains("coraclePoolName.1 = STRING: packet buffers\n"), "{walk}");
    assert!(walk.contains("coracleDropReason.41 = STRING: UDP: no port\n"), "{walk}");
    assert!(walk.contains("coracleTcpListeners.0 = Gauge32: 2\n"), "{walk}");
    assert_eq!(walk.lines().count(), 4 * 5 + 2 * 49 + 13);
    let (ok, table) = agent.run("snmptable", &options, "CORACLE-MIB::coraclePoolTable");
    assert!(ok && table.contains("packet buffers"), "{table}");
    for line in table.lines().filter(|line| !line.is_empty()) {
        assert!(!line.contains('?'), "{table}");
    }
}

/// net-snmp's receiver, until it is dropped.
struct Receiver {
    child: std::process::Child,
    port: u16,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Receiver {
    fn start() -> Self {
        use std::io::BufRead;
        // A port that was free a moment ago.
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trapd-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("trapd.conf");
        let sender = "-e 0x80001f8803020000000001";
        let text = format!(
            "authCommunity log public\n\
             createUser {sender} SHA+AES SHA a\\ long\\ password AES another\\ password\n\
             createUser {sender} SHA-256 SHA-256 a\\ long\\ password\n\
             createUser here SHA-512 \"a long password\" AES-256 \"another password\"\n\
             authUser log SHA+AES priv\nauthUser log SHA-256 auth\nauthUser log here priv\n"
        );
        let text = text.replace("a\\ long\\ password", "\"a long password\"");
        let text = text.replace("another\\ password", "\"another password\"");
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new("snmptrapd")
            .args(["-f", "-Lo", "-n", "-C", "-On", "-F", "%P|%v|%w|%q\\n%V|\\n", "-c"])
            .arg(&file)
            .arg(format!("udp:127.0.0.1:{port}"))
            .env("SNMP_PERSISTENT_DIR", &folder)
            .env("SNMPCONFPATH", &folder)
            .env("MIBS", "")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("net-snmp is installed");
        let (sender, lines) = std::sync::mpsc::channel();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { break };
                drop(sender.send(line));
            }
        });
        let receiver = Self { child, port, lines };
        assert!(receiver.wait_for("NET-SNMP version"));
        receiver
    }

    fn wait_for(&self, text: &str) -> bool {
        let end = Instant::now() + Duration::from_secs(10);
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line.contains(text) {
                return true;
            }
        }
        false
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn traps_and_informs_arrive() {
    let receiver = Receiver::start();
    let id = EngineId::of_station(8072, [2, 0, 0, 0, 0, 1]);
    let password = "a long password";
    let users = [
        User::new("SHA+AES", READ).auth(AuthProtocol::Sha1, password, id).privacy(
            PrivProtocol::Aes128,
            "another password",
            id,
        ),
        User::new("SHA-256", READ).auth(AuthProtocol::Sha256, password, id),
    ];
    let master = |password: &str| MasterKey::new(AuthProtocol::Sha512, password.as_bytes());
    let remote = RemoteUser {
        name: "here",
        auth: Some(master(password)),
        privacy: Some((PrivProtocol::Aes256, master("another password"))),
    };
    let wrong = RemoteUser { auth: Some(master("a wrong password")), ..remote };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], receiver.port));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let inform = Some((Duration::from_millis(300), 2));
    let to = |credentials, inform| Target { address, credentials, inform };
    let targets = [
        to(Credentials::V1("public"), None),
        to(Credentials::V2c("public"), None),
        to(Credentials::User("SHA+AES"), None),
        to(Credentials::User("SHA-256"), None),
        to(Credentials::V2c("public"), inform),
        to(Credentials::Remote(&remote), inform),
        to(Credentials::Remote(&wrong), inform),
        Target { address: silent.local_addr().unwrap(), credentials: Credentials::V2c("public"), inform },
    ];
    let mut slots: [InformSlot; 4] = Default::default();
    let parts = standard::ALL;
    let mut agent = Agent::new(Setup::new(Tree::new(parts).unwrap()))
        .with_engine(Engine::start(id, &users, &mut Boots(1), 1))
        .with_targets(&targets, &mut slots);

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let start = Instant::now();
    let now = || coracle::Instant::from_micros(start.elapsed().as_micros() as u64);
    let mut buffer = [0; 1472];
    let mut send = |to, message: &[u8]| {
        socket.send_to(message, to).unwrap();
    };
    let variables = [Binding::new(&[1, 3, 6, 1, 4, 1, 99_999, 1], Value::Integer(-129))];
    let mut outlet = Outlet { buffer: &mut buffer, send: &mut send };
    let first = agent.notify(&[1, 3, 6, 1, 4, 1, 99_999, 0, 17], &variables, now(), &mut outlet).unwrap();
    let mut results = vec![];
    let mut request = [0; 2000];
    while results.len() < 4 && start.elapsed() < Duration::from_secs(10) {
        if let Ok((len, from)) = socket.recv_from(&mut request) {
            assert_eq!(agent.handle(&mut request[..len], from, now(), &mut [0; 1472]), None);
        }
        agent.poll(now(), &mut Outlet { buffer: &mut buffer, send: &mut send });
        results.extend(std::iter::from_fn(|| agent.take_inform_result()));
    }
    results.sort_unstable();
    assert_eq!(results, [(first, true), (first + 1, true), (first + 2, false), (first + 3, false)]);
    // The first message and two more came to who never answers.
    silent.set_nonblocking(true).unwrap();
    assert_eq!(std::iter::from_fn(|| silent.recv_from(&mut request).ok()).count(), 3);

    let mut heard = vec![];
    while let Ok(line) = receiver.lines.recv_timeout(Duration::from_secs(1)) {
        heard.push(line);
    }
    let count = |text: &str| heard.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("TRAP, SNMP v1, community public"), 1, "{heard:#?}");
    assert_eq!(count("TRAP2, SNMP v2c, community public"), 1, "{heard:#?}");
    assert_eq!(count("INFORM, SNMP v2c, community public"), 1, "{heard:#?}");
    assert_eq!(count("TRAP2, SNMP v3, user SHA+AES"), 1, "{heard:#?}");
    assert_eq!(count("TRAP2, SNMP v3, user SHA-256"), 1, "{heard:#?}");
    assert_eq!(count("INFORM, SNMP v3, user here"), 1, "{heard:#?}");
    assert_eq!(count(".1.3.6.1.4.1.99999.1 = INTEGER: -129"), 6, "{heard:#?}");
    assert_eq!(count(".1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.4.1.99999.0.17"), 5, "{heard:#?}");
    assert_eq!(count("|6|.17"), 1, "{heard:#?}");
}
