//! The demo with the Linux kernel as the peer.

mod tcp;

use super::report::{Outcome, Problem, Report, median};
use super::{CORACLE, LARGEST, LINUX, PREFIX, SIZES, STATION};
use crate::Failure;
use crate::serve;
use coracle::{Boxed, Ipv4Settings, NetifConfig, NetifHandle};
use coracle_host::{Error, Host, Namespace, Ping, PingEvent, Running, Tap, namespace};
use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

/// A private network: the kernel at one end of a TAP interface, nothing yet at the other.
pub(super) struct Network {
    namespace: Namespace,
    tap: Tap,
}

const TAP: &str = "tap0";
/// Requests of each size that Linux sends.
const PINGS: usize = 10;
/// Nothing takes longer in a network of two.
const PATIENCE: Duration = Duration::from_secs(2);

impl Network {
    pub(super) fn new() -> Result<Self, Error> {
        // Root needs no more. Anybody else becomes root of a private user namespace, as far as the system lets them; that
        // has to happen while the program has one thread.
        namespace::ensure_root()?;
        let namespace = Namespace::new()?;
        // Without IPv6 the kernel speaks only when spoken to, and the capture is short; where that cannot be set (a
        // container's /proc may be read-only) it is a little longer.
        let _ = namespace.silence();
        let tap = namespace.open_tap(TAP)?;
        namespace.ip(&format!("address add {LINUX}/{PREFIX} dev {TAP}"))?;
        tap.set_up(true).map_err(|source| Error::Io { what: format!("bring up {TAP}"), source })?;
        Ok(Self { namespace, tap })
    }
}

/// The stack at work beside the kernel.
struct Demo {
    namespace: Namespace,
    host: Running<Boxed>,
    netif: NetifHandle,
}

pub(super) fn run(network: Network, pcap: &Path, report: &mut Report) -> Result<(), Failure> {
    let Network { namespace, tap } = network;
    Report::fact("network", "a private namespace with one TAP interface; nothing outside is touched");
    Report::fact("Linux", &format!("{LINUX} on {TAP}"));
    Report::fact(
        "Coracle",
        &format!("{CORACLE}, station {STATION}, UDP and TCP echo on port 7, a page on port 80\n"),
    );
    let mut host = Host::new()?;
    let config = NetifConfig::ethernet(STATION).ipv4(Ipv4Settings::new(CORACLE, PREFIX));
    let netif = host.attach(tap, config)?;
    let file = File::create(pcap).map_err(|error| format!("cannot write {}: {error}", pcap.display()))?;
    host.capture(netif, file)?;
    host.stack().netif(netif)?.set_up(true)?;
    serve::all(host.stack())?;
    let demo = Demo { namespace, host: host.spawn()?, netif };
    report.step("arping asks for the station", || demo.arping());
    report.step("Linux pings Coracle", || demo.ping_from_linux());
    report.step("UDP echo, every size", || demo.echo());
    report.step("Linux's neighbour table", || demo.neighbour_of_linux());
    report.step("UDP to a closed port", || demo.closed_port());
    report.step("Coracle pings Linux", || demo.ping_from_coracle());
    report.step("Coracle's neighbour table", || demo.neighbour_of_coracle());
    report.step("curl gets a page", || demo.page());
    report.step("curl downloads", || demo.download());
    report.step("TCP echo", || demo.tcp_echo());
    report.step("TCP to a closed port", || demo.closed_tcp_port());
    report.step("memory", || demo.memory());
    let mut host = demo.host.stop()?;
    host.end_capture(demo.netif)?;
    Ok(())
}

impl Demo {
    fn arping(&self) -> Outcome {
        let arguments = ["-I", TAP, "-c", "1", "-w", "2", &CORACLE.to_string()];
        let output = self.namespace.command("arping").args(arguments).output()?;
        let station = STATION.to_string().to_lowercase();
        let answers = output.stdout.lines().filter(|line| line.to_lowercase().contains(&station)).count();
        if output.success && answers > 0 {
            Ok(format!("{CORACLE} is at {STATION}"))
        } else {
            Err(Problem::Failed(format!("{}{}", output.stdout.trim(), output.stderr.trim())))
        }
    }

    fn ping_from_linux(&self) -> Outcome {
        let mut answered = 0;
        for size in SIZES {
            let (count, size) = (PINGS.to_string(), size.to_string());
            // With a deadline, ping waits for the answers, on a busy machine too.
            let arguments = ["-n", "-q", "-c", &count, "-i", "0.01", "-w", "5", "-s", &size];
            let output = self.namespace.command("ping").args(arguments).arg(CORACLE.to_string()).output()?;
            if !output.stdout.contains(&format!(" {PINGS} received")) {
                return Err(Problem::Failed(format!("{size} bytes: {}", output.stdout.trim())));
            }
            answered += PINGS;
        }
        Ok(format!("{answered} of {answered} answered, sizes {SIZES:?}"))
    }

    fn neighbour_of_linux(&self) -> Outcome {
        let output = self.namespace.ip(&format!("neighbour show dev {TAP}"))?;
        let entry = output.stdout.trim();
        if entry.contains(&STATION.to_string()) && entry.contains("REACHABLE") {
            Ok(entry.to_owned())
        } else {
            Err(Problem::Failed(format!("expected {STATION} to be REACHABLE, found `{entry}`")))
        }
    }

    /// A socket of the kernel's.
    fn socket(&self, port: u16) -> Result<UdpSocket, Problem> {
        let socket = self.namespace.run(|| UdpSocket::bind((LINUX, 0)))??;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect((CORACLE, port))?;
        Ok(socket)
    }

    fn echo(&self) -> Outcome {
        let socket = self.socket(7)?;
        let mut times = Vec::with_capacity(LARGEST + 1);
        let mut answer = [0; LARGEST + 1];
        for size in 0..=LARGEST {
            let data: Vec<u8> = (0..size).map(|index| (index * 7 + size) as u8).collect();
            let start = Instant::now();
            socket.send(&data)?;
            let len = socket.recv(&mut answer)?;
            times.push(start.elapsed());
            if answer[..len] != data[..] {
                return Err(Problem::Failed(format!("{size} bytes came back as {len} others")));
            }
        }
        let count = times.len();
        Ok(format!(
            "{count} datagrams of 0 to {LARGEST} bytes came back unchanged, median {}",
            median(&mut times)
        ))
    }

    fn closed_port(&self) -> Outcome {
        let socket = self.socket(9)?;
        socket.send(b"anybody?")?;
        match socket.recv(&mut [0; 8]) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Ok(format!("Linux's client is told: {}", io::Error::from(error.kind())))
            }
            other => Err(Problem::Failed(format!("expected a refusal, found {other:?}"))),
        }
    }

    fn ping_from_coracle(&self) -> Outcome {
        let open = |host: &mut Host<Boxed>| Ping::open(host.stack(), LINUX, 7);
        let ping = self.host.call(open)?.map_err(Problem::failed)?;
        let mut times = Vec::new();
        for (sequence, size) in (0..).zip(SIZES.into_iter().cycle().take(SIZES.len() * PINGS)) {
            let sender = ping.sender();
            let send = move |host: &mut Host<Boxed>| {
                let now = host.now();
                sender.send(host.stack(), sequence, size).map(|()| now)
            };
            let sent = self.host.call(send)?.map_err(Problem::failed)?;
            match ping.events().recv_timeout(PATIENCE) {
                Ok(PingEvent::Reply { sequence: number, size: len, intact: true, at, .. })
                    if number == sequence && len == size =>
                {
                    times.push(at.since(sent));
                }
                other => return Err(Problem::Failed(format!("{size} bytes: {other:?}"))),
            }
        }
        let count = times.len();
        Ok(format!("{count} of {count} answered through a raw control block, median {}", median(&mut times)))
    }

    fn neighbour_of_coracle(&self) -> Outcome {
        let neighbours = |host: &mut Host<Boxed>| host.stack().neighbours().collect::<Vec<_>>();
        match self.host.call(neighbours)?.as_slice() {
            [one] if one.address == LINUX => {
                let station =
                    one.station.map_or_else(|| "no station".to_owned(), |station| station.to_string());
                Ok(format!("{} is at {station}, {:?}", one.address, one.state))
            }
            other => Err(Problem::Failed(format!("expected {LINUX} alone, found {other:?}"))),
        }
    }

    fn memory(&self) -> Outcome {
        let stats = self.host.call(|host| host.stack().memory().stats())?;
        let counters = self.host.call({
            let netif = self.netif;
            move |host| host.counters(netif).unwrap_or_default()
        })?;
        let text = format!(
            "{} frames in, {} out; {} of {} buffers in use, {} at the most",
            counters.received, counters.sent, stats.pool.used, stats.pool.capacity, stats.pool.peak
        );
        if stats.is_unused() { Ok(text) } else { Err(Problem::Failed(format!("{text}; {stats:?}"))) }
    }
}
