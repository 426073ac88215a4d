//! The Linux kernel as the peer of a core whose driver is at an interface `tap0`: real traffic for adapters of drivers.

#![allow(unreachable_pub, reason = "part of several test programs")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use coracle::{
    Arena, Config, Error, Handler, Ipv4Settings, Limits, Memory, MemoryLimits, Pbuf, Refused, Stack, Tcp, Udp,
};
use coracle_host::Namespace;
use coracle_host::testing::or_skip;
use coracle_os::{Core, CoreLimits, Driver, LinkCounters, Port, Remote, ThreadWaker, Threads, seed};

const LINUX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PATIENCE: Duration = Duration::from_secs(10);
const PINGS: usize = 20;
const DATAGRAMS: usize = 200;
const STREAM: usize = 2_000_000;

/// Sends everything back, over UDP and TCP.
struct Echo;

impl Handler for Echo {
    fn accept(&mut self, _tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        Ok(Echo)
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        let len = data.len();
        tcp.write(data).map_err(|rejected| Refused(rejected.data))?;
        tcp.recved(len).unwrap_or_default();
        Ok(())
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
        tcp.close().unwrap_or_default();
    }

    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: std::net::SocketAddr, data: Pbuf) {
        drop(udp.send_to(data, from));
    }
}

/// Runs a core with the driver that `make` opens for `tap0`, and has Linux ping it and exchange datagrams and a stream with
/// it. Says what the driver did; nothing on a machine without TAP interfaces.
pub fn exchange<D: Driver>(make: impl FnOnce(ThreadWaker) -> D + Send) -> Option<LinkCounters> {
    let namespace = or_skip(Namespace::new())?;
    namespace.silence().unwrap();
    or_skip(namespace.ip("tuntap add dev tap0 mode tap"))?;
    namespace.ip(&format!("address add {LINUX}/24 dev tap0")).unwrap();
    namespace.ip("link set tap0 up").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, remote) = mpsc::channel();
    std::thread::scope(|scope| {
        let core = scope.spawn(|| namespace.run(|| serve(make, &sender, &stop)).unwrap());
        let remote: Remote<Stack<Echo>, ThreadWaker> = remote.recv_timeout(PATIENCE).unwrap();
        ping(&namespace);
        namespace.run(datagrams).unwrap();
        namespace.run(stream).unwrap();
        stop.store(true, Ordering::SeqCst);
        remote.wake();
        Some(core.join().unwrap())
    })
}

fn serve<D: Driver>(
    make: impl FnOnce(ThreadWaker) -> D,
    sender: &Sender<Remote<Stack<Echo>, ThreadWaker>>,
    stop: &AtomicBool,
) -> LinkCounters {
    let mut port = Threads::new();
    let driver = make(port.waker());
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
    let config = Config::new(seed(&mut port).unwrap());
    let stack = Stack::new(&mut arena, Limits::default(), memory, config).unwrap();
    let mut core = Core::new(&mut arena, stack, port, CoreLimits::default()).unwrap();
    let netif = core.attach(driver, |it| it.ipv4(Ipv4Settings::new(CORACLE, 24))).unwrap();
    let stack = core.stack();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    let any = (Ipv4Addr::UNSPECIFIED, 7).into();
    let udp = stack.udp_new(Echo).unwrap();
    stack.udp(udp).unwrap().bind(any).unwrap();
    stack.tcp_listen(any, 4, Echo).unwrap();
    sender.send(core.remote()).unwrap();
    core.run_until(|_| stop.load(Ordering::SeqCst));
    core.counters(netif).unwrap()
}

fn ping(namespace: &Namespace) {
    let count = PINGS.to_string();
    let words = ["-q", "-c", &count, "-i", "0.01", "-s", "1400", "-W", "5", "192.0.2.2"];
    let ping = namespace.command("ping").args(words).timeout(PATIENCE).run().unwrap();
    assert!(ping.stdout.contains(" 0% packet loss"), "{}", ping.stdout);
}

fn datagrams() {
    let socket = UdpSocket::bind((LINUX, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((CORACLE, 7)).unwrap();
    for i in 0..DATAGRAMS {
        let sent: Vec<u8> = (0..i * 7 % 1_473).map(|at| (at ^ i) as u8).collect();
        socket.send(&sent).unwrap();
        let mut got = [0; 2_000];
        let len = socket.recv(&mut got).unwrap();
        assert_eq!(got[..len], sent);
    }
}

fn stream() {
    let mut out = TcpStream::connect((CORACLE, 7)).unwrap();
    out.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut back = out.try_clone().unwrap();
    let byte = |at: usize| ((at * 31) >> 3) as u8;
    let sender = std::thread::spawn(move || {
        for start in (0..STREAM).step_by(10_000) {
            let piece: Vec<u8> = (start..start + 10_000).map(byte).collect();
            out.write_all(&piece).unwrap();
        }
        out.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    back.read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert_eq!(got.len(), STREAM);
    assert!(got.iter().enumerate().all(|(at, got)| *got == byte(at)), "every byte is as it was sent");
}
