//! The program as its users see it.

use coracle_host::testing::or_skip;
use coracle_host::{Error, Namespace};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const CORACLE: &str = env!("CARGO_BIN_EXE_coracle");

fn coracle(arguments: &[&str]) -> Output {
    Command::new(CORACLE).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn the_demo_succeeds_against_linux() {
    let Some(_) = or_skip(Namespace::new().and_then(|namespace| namespace.open_tap("tap0"))) else { return };
    let pcap = file("demo.pcap");
    let output = coracle(&["--pcap", pcap.to_str().unwrap()]);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for step in [
        "arping",
        "Linux pings",
        "neighbour table",
        "every size",
        "UDP to a closed port",
        "Coracle pings",
        "curl gets a page",
        "curl downloads",
        "socat",
        "TCP to a closed port",
        "tshark",
    ] {
        let line = text.lines().find(|line| line.contains(step)).unwrap_or_else(|| panic!("{step}: {text}"));
        assert!(line.contains('✓'), "{line}");
    }
    assert!(text.contains("All 13 steps succeeded"), "{text}");
    assert!(std::fs::metadata(&pcap).unwrap().len() > 100_000);
    std::fs::remove_file(pcap).unwrap();
}

#[test]
fn the_demo_runs_without_privileges() {
    let pcap = file("memory.pcap");
    let output = coracle(&["demo", "--in-memory", "--pcap", pcap.to_str().unwrap()]);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("in-memory wire") && !text.contains('✗'), "{text}");
    std::fs::remove_file(pcap).unwrap();
}

#[test]
fn missing_tools_are_named_and_the_rest_runs() {
    let Some(_) = or_skip(Namespace::new().and_then(|namespace| namespace.open_tap("tap0"))) else { return };
    // `ip` alone is on the path.
    let bin = file("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let ip = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].iter().find(|path| PathBuf::from(path).exists());
    let link = bin.join("ip");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(ip.unwrap(), &link).unwrap();
    let pcap = file("tools.pcap");
    let output = Command::new(CORACLE).arg("--pcap").arg(&pcap).env("PATH", &bin).output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for package in ["iputils-arping", "iputils-ping", "install curl", "install socat", "install tshark"] {
        assert!(text.contains(package), "{package}: {text}");
    }
    assert!(text.contains("All 7 steps succeeded, 6 SKIPPED"), "{text}");
    std::fs::remove_file(pcap).unwrap();
}

#[test]
fn a_failure_shows_in_the_exit_status() {
    let output = coracle(&["demo", "--in-memory", "--pcap", "/no/such/directory/x.pcap"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("/no/such/directory/x.pcap"), "{}", text(&output));
    let output = coracle(&["sail"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("sail") && text(&output).contains("usage"), "{}", text(&output));
    let output = coracle(&["up", "--tap", "a/b", "--address", "192.0.2.2/24"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("a/b"), "{}", text(&output));
}

/// A namespace with a TAP that stays, as an administrator would make it.
fn with_tap(name: &str) -> Option<Namespace> {
    let namespace = or_skip(Namespace::new())?;
    or_skip(namespace.open_tap("probe"))?;
    namespace.silence().unwrap();
    namespace.ip(&format!("tuntap add dev {name} mode tap")).unwrap();
    namespace.ip(&format!("address add 192.0.2.1/24 dev {name}")).unwrap();
    namespace.ip(&format!("link set {name} up")).unwrap();
    Some(namespace)
}

fn run(namespace: &Namespace, words: &str) -> coracle_host::namespace::Command {
    namespace.command(CORACLE).args(words.split_whitespace()).timeout(Duration::from_secs(30))
}

#[test]
fn up_serves_until_it_is_asked_to_end() {
    let Some(namespace) = with_tap("tap0") else { return };
    let pcap = file("up.pcap");
    let words = format!("up --tap tap0 --address 192.0.2.2/24 --gateway 192.0.2.1 --pcap {}", pcap.display());
    let up = run(&namespace, &words).start().unwrap();
    assert!(up.wait_for_text("answering", Duration::from_secs(10)));
    let ping = namespace.command("ping").args(["-c", "3", "-i", "0.01", "-W", "5", "192.0.2.2"]);
    or_skip(ping.run()).expect("ping is part of the test machine");
    let socket = namespace.run(|| std::net::UdpSocket::bind("192.0.2.1:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(b"hello", "192.0.2.2:7").unwrap();
    assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 5);
    let curl = namespace.command("curl").args(["-sS", "-m", "5", "-d", "a body", "http://192.0.2.2/"]);
    let page = or_skip(curl.output()).expect("curl is part of the test machine").stdout;
    assert!(page.contains("405 Method Not Allowed"), "{page}");
    assert!(
        up.wait_for_text("3 pings answered, 1 datagrams answered, 1 pages served", Duration::from_secs(5)),
        "a line each second"
    );
    let output = up.stop().unwrap();
    assert!(output.success, "{output:?}");
    assert!(output.stdout.contains("frames in") && output.stdout.contains("up.pcap"), "{output:?}");
    assert!(std::fs::metadata(&pcap).unwrap().len() > 500);
    std::fs::remove_file(pcap).unwrap();
}

#[test]
fn the_program_pings_linux() {
    let Some(namespace) = with_tap("tap0") else { return };
    let place = "--tap tap0 --address 192.0.2.2/24";
    let output =
        run(&namespace, &format!("ping 192.0.2.1 {place} --count 5 --size 1472 --interval 10ms")).run();
    let output = output.unwrap();
    assert!(output.stdout.contains("5 of 5 answered"), "{output:?}");
    assert_eq!(output.stdout.matches("1472 bytes, number").count(), 5, "{output:?}");
    // Longer than the MTU: in fragments both ways.
    let output = run(&namespace, &format!("ping 192.0.2.1 {place} --count 2 --size 8000")).output().unwrap();
    assert!(output.success && output.stdout.contains("2 of 2 answered"), "{output:?}");
    let output = run(&namespace, &format!("ping 192.0.2.9 {place} --count 1")).output().unwrap();
    assert!(!output.success && output.stdout.contains("0 of 1 answered"), "{output:?}");
}

#[test]
fn the_relay_carries_frames_between_two_interfaces() {
    // One kernel at both ends, which would deliver to itself; so the stack is asked for through the wire by its station.
    let Some(namespace) = with_tap("tap0") else { return };
    let relay = run(&namespace, "relay --a tap0 --b tap1 --seed 7 --delay 1ms").start().unwrap();
    assert!(relay.wait_for_text("relaying between tap0 and tap1", Duration::from_secs(10)));
    namespace.ip("link set tap1 up").unwrap();
    match namespace.command("arping").args(["-I", "tap0", "-c", "1", "-w", "1", "192.0.2.9"]).output() {
        Ok(output) => assert!(!output.success, "nobody is there: {output:?}"),
        Err(error) => panic!("{error}: arping is part of the test machine"),
    }
    assert!(relay.wait_for_text("A to B 1 in, 1 delivered", Duration::from_secs(5)));
    let output = relay.stop().unwrap();
    assert!(output.success && output.stdout.contains("tap1 to tap0: 0 in"), "{output:?}");
}

#[test]
fn an_interface_that_somebody_has_is_named() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    let Some(_tap) = or_skip(namespace.open_tap("tap0")) else { return };
    let output = run(&namespace, "up --tap tap0 --address 192.0.2.2/24").output().unwrap();
    assert!(
        !output.success && output.stderr.contains(&Error::Busy("tap0".to_owned()).to_string()),
        "{output:?}"
    );
}

#[test]
fn managers_accept_the_agent() {
    let Some(namespace) = with_tap("tap0") else { return };
    let trapd = run(&namespace, "snmp trapd").start().unwrap();
    assert!(trapd.wait_for_text("listening on port 162", Duration::from_secs(10)));
    let options = "--snmp public --snmp-write secret --snmp-trap 192.0.2.1";
    let up = run(&namespace, &format!("up --tap tap0 --address 192.0.2.2/24 {options}")).start().unwrap();
    assert!(up.wait_for_text("Ctrl-C ends", Duration::from_secs(10)));
    // The start is told: coldStart.
    assert!(trapd.wait_for_text("1.3.6.1.6.3.1.1.4.1.0 = 1.3.6.1.6.3.1.1.5.1", Duration::from_secs(10)));

    let ours = |words: &str| run(&namespace, &format!("snmp {words}")).output().unwrap();
    let name = ours("get 192.0.2.2 1.3.6.1.2.1.1.5.0");
    assert_eq!((name.success, name.stdout.as_str()), (true, "1.3.6.1.2.1.1.5.0 = \"coracle\"\n"));
    let set = ours("set 192.0.2.2 1.3.6.1.2.1.1.5.0 s boat -c secret");
    assert_eq!((set.success, set.stdout.as_str()), (true, "1.3.6.1.2.1.1.5.0 = \"boat\"\n"));
    let refused = ours("set 192.0.2.2 1.3.6.1.2.1.1.5.0 s ship");
    assert!(!refused.success && refused.stderr.contains("NoAccess: 1.3.6.1.2.1.1.5.0"), "{refused:?}");
    let walk = ours("walk 192.0.2.2 1.3.6.1.2.1.1");
    assert!(walk.success && walk.stdout.lines().count() > 15, "{walk:?}");

    let theirs = |program: &str, words: &str| {
        let command = namespace.command(program).args(["-v2c", "-c", "public", "-On", "-Oqv", "192.0.2.2"]);
        or_skip(command.args(words.split_whitespace()).output())
            .expect("net-snmp is part of the test machine")
    };
    assert_eq!(theirs("snmpget", "1.3.6.1.2.1.1.5.0").stdout, "\"boat\"\n");
    let tree = theirs("snmpwalk", ".1");
    assert!(tree.success && tree.stdout.lines().count() > 300, "{tree:?}");
    // What Linux sent into the interface, the stack received: the question counts already, and the answer does not.
    let agree = (0..5).any(|_| {
        let octets = theirs("snmpget", "1.3.6.1.2.1.31.1.1.1.6.1").stdout;
        let linux = namespace.ip("-s -j link show tap0").unwrap().stdout;
        // "tx":{"bytes":N,
        let linux = linux.split_once("\"tx\":{\"bytes\":").unwrap().1;
        let linux: u64 = linux.split(',').next().unwrap().parse().unwrap();
        let octets: u64 = octets.trim().parse().unwrap();
        octets > 10_000 && octets == linux
    });
    assert!(agree, "the counters of both sides are the same");
    // A wrong community is told of.
    let wrong = run(&namespace, "snmp get 192.0.2.2 1.3.6.1.2.1.1.5.0 -c guess").output().unwrap();
    assert!(!wrong.success && wrong.stderr.contains("no answer"), "{wrong:?}");
    assert!(trapd.wait_for_text("1.3.6.1.6.3.1.1.4.1.0 = 1.3.6.1.6.3.1.1.5.5", Duration::from_secs(10)));
    drop(trapd.stop());
    assert!(up.stop().unwrap().success);
}

#[test]
fn the_program_gets_an_address() {
    let Some(namespace) = with_tap("tap0") else { return };
    let range = "192.0.2.100,192.0.2.100,255.255.255.0,5m";
    let server = namespace
        .command("dnsmasq")
        .args(["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null", "--port=0"])
        .args(["--user=root", "--pid-file=", "--leasefile-ro", "--no-ping", "--interface=tap0"])
        .args(["--bind-dynamic", "--dhcp-range", range, "--domain=example.org"])
        .timeout(Duration::from_secs(30))
        .start();
    let Some(server) = or_skip(server) else { return };
    assert!(server.wait_for_text("DHCP, IP range", Duration::from_secs(5)));
    let output = run(&namespace, "dhcp --tap tap0").run().unwrap();
    for line in
        ["192.0.2.100/24 from DHCP server 192.0.2.1, for 3", "routers: 192.0.2.1", "domain: example.org"]
    {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }
    assert!(server.wait_for_text("DHCPRELEASE", Duration::from_secs(5)));
    let output = run(&namespace, "ping 192.0.2.1 --tap tap0 --dhcp --count 1").run().unwrap();
    assert!(output.stdout.contains("pinging 192.0.2.1 from 192.0.2.100"), "{output:?}");
    server.stop().unwrap();
}

#[test]
fn the_program_resolves_names() {
    let Some(namespace) = with_tap("tap0") else { return };
    let server = namespace
        .command("dnsmasq")
        .args([
            "--keep-in-foreground",
            "--log-facility=-",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
        ])
        .args(["--user=root", "--pid-file=", "--interface=tap0", "--bind-dynamic", "--local=/test/"])
        .args(["--host-record=host.example.test,198.51.100.7", "--txt-record=host.example.test,hello"]);
    let Some(server) = or_skip(server.timeout(Duration::from_secs(30)).start()) else { return };
    assert!(server.wait_for_text("started", Duration::from_secs(5)));
    let place = "--tap tap0 --address 192.0.2.2/24 --server 192.0.2.1";
    let output = run(&namespace, &format!("resolve host.example.test {place}")).run().unwrap();
    assert!(output.stdout.contains("198.51.100.7\nfound in "), "{output:?}");
    let output = run(&namespace, &format!("resolve host.example.test {place} --kind txt")).run().unwrap();
    assert!(output.stdout.contains("\"hello\"\nfound in "), "{output:?}");
    let output = run(&namespace, &format!("resolve nobody.test {place}")).output().unwrap();
    assert!(output.stdout.contains("nobody.test: no such name"), "{output:?}");
    server.stop().unwrap();
}
