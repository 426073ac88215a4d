//! A stack beside the Linux kernel in a namespace of its own, for the tests that follow.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

pub mod bad_wire;
pub mod tcp;

use coracle::{
    Arena, Boxed, Config, Handler, IcmpError, Instant, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits,
    NetifConfig, NetifHandle, Pbuf, Stack, Udp,
};
use coracle_host::judge::{Sender, Verdict, judge};
use coracle_host::testing::or_skip;
use coracle_host::{Host, Layer, Namespace, Nic, Running};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

pub const LINUX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const CORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);
/// Nothing between two neighbours takes longer, unless it never comes.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The kernel on one side, a stack with UDP echo on port 7 on the other, everything between them captured.
pub struct Peer {
    pub namespace: Namespace,
    pub host: Running<Boxed>,
    pub netif: NetifHandle,
    sender: Sender,
    capture: PathBuf,
}

/// A stack of the default size, with something about it changed.
pub fn stack(change: impl FnOnce(&mut MemoryLimits, &mut Config)) -> Host<Boxed> {
    let (mut memory, mut config) = (MemoryLimits::default(), Config::new([7; 16]));
    change(&mut memory, &mut config);
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, memory).unwrap();
    Host::with_stack(Stack::new(&mut arena, Limits::default(), memory, config).unwrap()).unwrap()
}

/// The kernel's end is up, at an MTU.
pub fn tap_namespace(mtu: usize) -> Option<(Namespace, coracle_host::Tap)> {
    let namespace = or_skip(Namespace::new())?;
    namespace.silence().unwrap();
    let tap = or_skip(namespace.open_tap("tap0"))?;
    prepare(&namespace, &tap, mtu);
    Some((namespace, tap))
}

fn prepare<L: Layer>(namespace: &Namespace, device: &coracle_host::Device<L>, mtu: usize) {
    let name = device.name();
    device.set_mtu(mtu).unwrap();
    namespace.ip(&format!("address add {LINUX}/24 dev {name}")).unwrap();
    namespace.ip(&format!("link set {name} txqueuelen 2000")).unwrap();
    device.set_up(true).unwrap();
}

/// Over Ethernet.
pub fn tap(name: &str) -> Option<Peer> {
    tap_with(name, 1500, stack(|_, _| {}))
}

pub fn tap_with(name: &str, mtu: usize, host: Host<Boxed>) -> Option<Peer> {
    let (namespace, tap) = tap_namespace(mtu)?;
    Some(Peer::new(name, namespace, tap, NetifConfig::ethernet(STATION), host))
}

/// Over bare IP.
pub fn tun(name: &str) -> Option<Peer> {
    let namespace = or_skip(Namespace::new())?;
    namespace.silence().unwrap();
    let tun = or_skip(namespace.open_tun("tun0"))?;
    prepare(&namespace, &tun, 1500);
    Some(Peer::new(name, namespace, tun, NetifConfig::ip(), stack(|_, _| {})))
}

impl Peer {
    pub fn new(
        name: &str,
        namespace: Namespace,
        nic: impl Nic + 'static,
        config: NetifConfig,
        mut host: Host<Boxed>,
    ) -> Self {
        let sender = match config.medium {
            coracle::Medium::Ethernet(station) => Sender::Station(station.0),
            _ => Sender::Address(CORACLE),
        };
        let netif = host.attach(nic, config.ipv4(Ipv4Settings::new(CORACLE, 24))).unwrap();
        let capture = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pcap"));
        host.capture(netif, std::fs::File::create(&capture).unwrap()).unwrap();
        host.stack().netif(netif).unwrap().set_up(true).unwrap();
        let echo = Boxed::datagrams(|udp, from, data| udp.send_to(data, from).unwrap());
        let echo = host.stack().udp_new(echo).unwrap();
        host.stack().udp(echo).unwrap().bind((Ipv4Addr::UNSPECIFIED, 7).into()).unwrap();
        Self { namespace, host: host.spawn().unwrap(), netif, sender, capture }
    }

    /// Something done with the stack, on its thread.
    pub fn stack<R: Send + 'static>(&self, job: impl FnOnce(&mut Stack<Boxed>) -> R + Send + 'static) -> R {
        self.host.call(|host| job(host.stack())).unwrap()
    }

    pub fn now(&self) -> Instant {
        self.host.call(|host| host.now()).unwrap()
    }

    /// A socket of the kernel's, connected to a port of the stack's.
    pub fn socket(&self, port: u16) -> UdpSocket {
        let socket = self.namespace.run(|| UdpSocket::bind((LINUX, 0))).unwrap().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect((CORACLE, port)).unwrap();
        socket
    }

    /// Linux's ping gets `count` answers; how often it asked for that.
    pub fn ping(&self, count: usize, size: usize) -> usize {
        self.ping_at(CORACLE, count, size)
    }

    /// As [`ping`](Self::ping), to another address.
    pub fn ping_at(&self, address: Ipv4Addr, count: usize, size: usize) -> usize {
        // With a deadline, ping waits for the answers, on a busy machine too, and may ask once more in the meantime.
        let (sent, answered) = self.run_ping(&format!("-c {count} -s {size} -w 10 {address}"));
        assert_eq!(answered, count, "answers to pings of {size} bytes");
        sent
    }

    /// How many of `count` requests were answered within a second, when none should be.
    pub fn ping_in_vain(&self, count: usize, size: usize) -> usize {
        let (sent, answered) = self.run_ping(&format!("-c {count} -s {size} -W 1 {CORACLE}"));
        assert_eq!(sent, count);
        answered
    }

    fn run_ping(&self, words: &str) -> (usize, usize) {
        let command = self.namespace.command("ping").args(["-n", "-q", "-i", "0.002"]);
        let output = or_skip(command.args(words.split(' ')).timeout(Duration::from_secs(20)).output());
        let output = output.expect("ping is part of the test machine").stdout;
        let number = |before: &str| {
            let (start, _) = output.split_once(before).expect("ping's summary");
            start.rsplit([' ', '\n']).next().unwrap().parse().unwrap()
        };
        (number(" packets transmitted"), number(" received"))
    }

    /// A UDP control block whose events are sent to the test.
    pub fn listener(&self) -> (coracle::UdpHandle, mpsc::Receiver<Event>) {
        let (report, events) = mpsc::channel();
        let handle = self.stack(|stack| stack.udp_new(Boxed::new(Listener(report)))).unwrap();
        (handle, events)
    }

    /// Stops the stack; all buffers are back, and tshark finds nothing wrong with what the stack sent.
    pub fn finish(self) -> Option<(coracle::Counters, Verdict)> {
        self.finish_if(|_| true)
    }

    /// As [`finish`](Self::finish), for a conversation in which nothing was lost and nobody gave up: tshark has
    /// nothing to remark either, but what the test says is as it should be.
    pub fn finish_clean(self, expected: &[&str]) -> Option<coracle::Counters> {
        let as_expected = |remark: &String| expected.iter().any(|expected| remark.contains(expected));
        self.finish_if(|verdict| verdict.remarks.iter().all(as_expected)).map(|(counters, _)| counters)
    }

    /// The capture stays when something is wrong with it.
    fn finish_if(self, is_good: impl FnOnce(&Verdict) -> bool) -> Option<(coracle::Counters, Verdict)> {
        let (capture, sender) = (self.capture.clone(), self.sender);
        let counters = self.stop();
        let verdict = or_skip(judge(&capture, sender))?;
        let seen = (verdict.faults.iter().take(10), verdict.remarks.iter().take(10));
        assert!(verdict.faults.is_empty() && is_good(&verdict), "{}: {seen:?}", capture.display());
        assert!(verdict.judged > 0 && verdict.good_checksums > 0, "{verdict:?}");
        std::fs::remove_file(&capture).unwrap();
        Some((counters, verdict))
    }

    /// Stops the stack; all buffers are back.
    pub fn stop(self) -> coracle::Counters {
        let mut host = self.host.stop().unwrap();
        host.end_capture(self.netif).unwrap();
        let stats = host.stack().memory().stats();
        assert!(stats.is_unused(), "every buffer came back: {stats:?}");
        *host.stack().counters()
    }
}

/// What a [`Peer::listener`] heard.
#[derive(Debug, PartialEq)]
pub enum Event {
    Data(SocketAddr, Vec<u8>),
    Error(SocketAddr, IcmpError),
}

struct Listener(mpsc::Sender<Event>);

impl Handler<Boxed> for Listener {
    fn datagram(&mut self, _udp: &mut Udp<'_, Boxed>, from: SocketAddr, data: Pbuf) {
        let mut bytes = vec![0; data.len()];
        data.copy_to(0, &mut bytes);
        let _ = self.0.send(Event::Data(from, bytes));
    }

    fn datagram_error(&mut self, _udp: &mut Udp<'_, Boxed>, to: SocketAddr, error: IcmpError) {
        let _ = self.0.send(Event::Error(to, error));
    }
}

/// Bytes that differ from those of other numbers and sizes.
pub fn pattern(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|index| (index * 7 + number * 13 + size) as u8).collect()
}

/// Waits until something is so, up to five seconds.
pub fn soon(mut what: impl FnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    while start.elapsed() < PATIENCE {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}
