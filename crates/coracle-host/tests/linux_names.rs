//! Names and the time of day from the servers that people use: dnsmasq, unbound, avahi, chrony.

mod peer;

use coracle::wire::dns::kind;
use coracle::{Boxed, DnsError, Handler, Lookup, Resolved, SntpTime, Stack};
use coracle_host::namespace::Running;
use coracle_host::testing::or_skip;
use peer::{LINUX, PATIENCE, Peer, tap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

/// What a query came to: the addresses, or the data of the records.
type Answer = (Result<Vec<IpAddr>, DnsError>, Vec<Vec<u8>>);

struct Asker(mpsc::Sender<Answer>);

impl Handler<Boxed> for Asker {
    fn resolved(&mut self, resolved: &mut Resolved<'_, Boxed>) {
        let records =
            resolved.records().map_or(Vec::new(), |all| all.map(|record| record.data().to_vec()).collect());
        let _ = self.0.send((resolved.addresses().map(<[IpAddr]>::to_vec), records));
    }
}

struct Clock(mpsc::Sender<SntpTime>);

impl Handler<Boxed> for Clock {
    fn time(&mut self, _stack: &mut Stack<Boxed>, time: SntpTime) {
        let _ = self.0.send(time);
    }
}

fn resolve(peer: &Peer, name: &'static str, lookup: Lookup) -> Answer {
    let (report, answers) = mpsc::channel();
    peer.stack(move |stack| stack.dns_query(name, lookup, Boxed::new(Asker(report))).map(drop)).unwrap();
    answers.recv_timeout(4 * PATIENCE).unwrap_or_else(|_| panic!("{name} {lookup:?} ended"))
}

fn addresses(peer: &Peer, name: &'static str, lookup: Lookup) -> Result<Vec<String>, DnsError> {
    resolve(peer, name, lookup).0.map(|list| list.iter().map(IpAddr::to_string).collect())
}

/// A place for the files of a test's programs, with this in it.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A program that serves once it has written this text.
fn serving(peer: &Peer, program: &str, arguments: &[&str], ready: &str) -> Option<Running> {
    let command = peer.namespace.command(program).args(arguments).timeout(Duration::from_mins(1));
    let running = or_skip(command.start())?;
    if running.wait_for_text(ready, PATIENCE) {
        return Some(running);
    }
    panic!("{program} did not come up: {:?}", running.stop());
}

const LONG: &str = "a-text-of-nearly-two-hundred-bytes-so-that-a-dozen-of-them-fill-more-than-a-datagram-may-carry-\
    and-the-answer-must-come-by-another-way-which-is-a-connection-of-its-own";

fn dnsmasq(peer: &Peer) -> Option<Running> {
    let mut arguments: Vec<String> = [
        "--keep-in-foreground",
        "--log-facility=-",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file=",
        "--interface=tap0",
        "--bind-interfaces",
        "--local-ttl=60",
        "--host-record=host.example.test,198.51.100.7,2001:db8::7",
        "--cname=www.example.test,host.example.test",
        "--srv-host=_http._tcp.example.test,host.example.test,8080,1,2",
        "--local=/test/",
    ]
    .map(String::from)
    .into();
    arguments.extend((0..12).map(|number| format!("--txt-record=big.example.test,{number:02}-{LONG}")));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    serving(peer, "dnsmasq", &arguments, "started")
}

#[test]
fn dnsmasq_tells_addresses_aliases_services_and_long_texts() {
    let Some(peer) = tap("names_dnsmasq") else { return };
    let Some(server) = dnsmasq(&peer) else { return };
    peer.stack(|stack| {
        stack.dns_set_servers(&[(LINUX, 53).into()]).unwrap();
        stack.dns_set_search(&["example.test"]).unwrap();
    });
    let host = Ok(vec!["198.51.100.7".to_owned()]);
    assert_eq!(addresses(&peer, "host.example.test", Lookup::Ipv4), host);
    assert_eq!(addresses(&peer, "www", Lookup::Ipv4), host);
    assert_eq!(addresses(&peer, "host", Lookup::Addresses).map(|list| list.len()), Ok(2));
    assert_eq!(addresses(&peer, "nobody.test", Lookup::Addresses), Err(DnsError::NoName));
    let (_, srv) = resolve(&peer, "_http._tcp.example.test", Lookup::Records(kind::SRV));
    assert_eq!(srv[0][..7], [0, 1, 0, 2, 0x1f, 0x90, 4]);
    let (_, pointer) = resolve(&peer, "7.100.51.198.in-addr.arpa", Lookup::Records(kind::PTR));
    assert_eq!(pointer[0], b"\x04host\x07example\x04test\x00");
    // Cut at 1,232 bytes, and asked for over TCP.
    let (_, texts) = resolve(&peer, "big.example.test", Lookup::Records(kind::TXT));
    assert_eq!(texts.len(), 12);
    let counters = peer.stack(|stack| stack.dns_counters());
    assert_eq!((counters.tcp, counters.malformed, counters.timeouts), (1, 0, 0));
    let before = counters.sent;
    assert_eq!(addresses(&peer, "host.example.test", Lookup::Ipv4), host);
    assert_eq!(peer.stack(|stack| stack.dns_counters().sent), before, "remembered");
    server.stop().unwrap();
    peer.finish();
}

#[test]
fn unbound_answers_in_the_case_in_which_it_was_asked() {
    let Some(peer) = tap("names_unbound") else { return };
    let texts = (0..12).fold(String::new(), |all, number| {
        all + &format!("local-data: 'big.example.test. TXT \"{number:02}-{LONG}\"'\n")
    });
    let config = format!(
        "server:\n interface: {LINUX}\n access-control: 0.0.0.0/0 allow\n do-daemonize: no\n username: \"\"\n \
         chroot: \"\"\n pidfile: \"\"\n use-syslog: no\n verbosity: 1\n module-config: \"iterator\"\n \
         local-zone: \"example.test.\" static\n \
         local-data: \"host.example.test. 60 A 198.51.100.7\"\n \
         local-data: \"host.example.test. 60 AAAA 2001:db8::7\"\n {texts}remote-control:\n control-enable: no\n"
    );
    let config = file("names_unbound.conf", &config);
    let Some(server) = serving(&peer, "unbound", &["-d", "-c", config.to_str().unwrap()], "start of service")
    else {
        return;
    };
    peer.stack(|stack| stack.dns_set_servers(&[(LINUX, 53).into()]).unwrap());
    assert_eq!(addresses(&peer, "Host.Example.Test", Lookup::Ipv4), Ok(vec!["198.51.100.7".to_owned()]));
    assert_eq!(addresses(&peer, "host.example.test", Lookup::Ipv6), Ok(vec!["2001:db8::7".to_owned()]));
    assert_eq!(addresses(&peer, "no.example.test", Lookup::Ipv4), Err(DnsError::NoName));
    assert_eq!(resolve(&peer, "big.example.test", Lookup::Records(kind::TXT)).1.len(), 12);
    let counters = peer.stack(|stack| stack.dns_counters());
    assert_eq!((counters.tcp, counters.malformed, counters.mismatches), (1, 0, 0));
    // A silent server in front of it costs a second once.
    peer.namespace.ip("address add 192.0.2.99/24 dev tap0").unwrap();
    let silent = peer.namespace.run(|| std::net::UdpSocket::bind("192.0.2.99:53")).unwrap().unwrap();
    let first = silent.local_addr().unwrap();
    peer.stack(move |stack| {
        stack.dns_forget();
        stack.dns_set_servers(&[first, (LINUX, 53).into()]).unwrap();
    });
    let start = std::time::Instant::now();
    assert_eq!(addresses(&peer, "host.example.test", Lookup::Ipv4).map(|list| list.len()), Ok(1));
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    let start = std::time::Instant::now();
    assert_eq!(addresses(&peer, "host.example.test", Lookup::Ipv6).map(|list| list.len()), Ok(1));
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    server.stop().unwrap();
    std::fs::remove_file(config).unwrap();
    peer.finish();
}

#[test]
fn avahi_answers_for_its_name_on_the_link() {
    let Some(peer) = tap("names_avahi") else { return };
    let config = file(
        "names_avahi.conf",
        "[server]\nhost-name=boat\nallow-interfaces=tap0\nenable-dbus=no\nuse-ipv6=no\n[wide-area]\n\
         enable-wide-area=no\n[publish]\npublish-aaaa-on-ipv4=no\n",
    );
    // It writes below /run, which must be its own.
    let command = format!(
        "mount -t tmpfs tmpfs /run && exec avahi-daemon -f {} --no-drop-root --no-chroot --no-proc-title",
        config.display()
    );
    peer.namespace.ip("route add 224.0.0.0/4 dev tap0").unwrap();
    let running = peer.namespace.command("unshare").args(["-m", "sh", "-c", &command]);
    let Some(server) = or_skip(running.timeout(Duration::from_mins(1)).start()) else { return };
    if !server.wait_for_text("Server startup complete", PATIENCE) {
        let output = server.stop();
        assert!(format!("{output:?}").contains("not found"), "avahi did not come up: {output:?}");
        return;
    }
    assert_eq!(addresses(&peer, "boat.local", Lookup::Ipv4), Ok(vec![LINUX.to_string()]));
    assert_eq!(addresses(&peer, "ship.local", Lookup::Ipv4), Err(DnsError::NoName));
    server.stop().unwrap();
    std::fs::remove_file(config).unwrap();
    peer.finish();
}

#[test]
fn chrony_tells_the_time() {
    let Some(peer) = tap("names_chrony") else { return };
    let pid = file("names_chrony.pid", "");
    std::fs::remove_file(&pid).unwrap();
    let text = format!("local stratum 8\nallow all\ncmdport 0\npidfile {}\n", pid.display());
    let config = file("names_chrony.conf", &text);
    let Some(server) =
        serving(&peer, "chronyd", &["-d", "-x", "-u", "root", "-f", config.to_str().unwrap()], "starting")
    else {
        return;
    };
    let (report, times) = mpsc::channel();
    peer.stack(move |stack| {
        stack.sntp_set_server(0, Some((LINUX, 123).into())).unwrap();
        stack.sntp_start(Boxed::new(Clock(report)));
    });
    let Ok(time) = times.recv_timeout(4 * PATIENCE) else { panic!("no time: {:?}", server.stop()) };
    let truth = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert!(time.unix.abs_diff(truth) < Duration::from_millis(200), "{time:?} at {truth:?}");
    assert_eq!((time.server, time.stratum), (LINUX.into(), 8));
    peer.stack(Stack::sntp_stop);
    server.stop().unwrap();
    std::fs::remove_file(config).unwrap();
    peer.finish();
}
