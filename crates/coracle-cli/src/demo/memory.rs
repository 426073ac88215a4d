//! The demo with a second stack as the peer, where no TAP interface is to be had. Time is virtual.

mod tcp;

use super::report::{Outcome, Problem, Report};
use super::{CORACLE, LARGEST, LINUX as OTHER, PREFIX, SIZES, STATION};
use crate::Failure;
use crate::serve;
use coracle::{
    Arena, Boxed, Config, Handler, IcmpError, IcmpErrorKind, Instant, Ipv4Settings, Limits, MacAddr, Memory,
    MemoryLimits, NetifConfig, NetifHandle, Pbuf, Stack, Udp, UdpHandle,
};
use coracle_host::{Ping, PingEvent, entropy};
use coracle_sim::pcap::{LinkType, PcapWriter};
use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

const OTHER_STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);

/// Two stacks and the wire between them, which takes a tenth of a millisecond.
struct Wire {
    ends: [(Stack<Boxed>, NetifHandle); 2],
    now: Instant,
    capture: PcapWriter<BufWriter<File>>,
    frames: usize,
}

const DELAY: Duration = Duration::from_micros(100);

/// Which end of the wire: the one that serves is judged, as it is beside Linux.
const SERVER: usize = 0;
const CLIENT: usize = 1;

pub(super) fn run(pcap: &Path, report: &mut Report) -> Result<(), Failure> {
    Report::fact("wire", "in memory, time is virtual");
    Report::fact("stack A", &format!("{OTHER}, station {OTHER_STATION}"));
    Report::fact(
        "stack B",
        &format!("{CORACLE}, station {STATION}, UDP and TCP echo on port 7, a page on port 80\n"),
    );
    let mut wire = Wire::new(pcap).map_err(|error| format!("cannot write {}: {error}", pcap.display()))??;
    report.step("A pings B", || wire.ping(CLIENT));
    report.step("B pings A", || wire.ping(SERVER));
    let socket = wire.socket()?;
    report.step("UDP echo, every size", || wire.echo(&socket));
    report.step("UDP to a closed port", || wire.closed_port(&socket));
    report.step("A gets a page", || wire.page());
    report.step("A downloads", || wire.download());
    report.step("TCP echo", || wire.tcp_echo());
    report.step("TCP to a closed port", || wire.closed_tcp_port());
    report.step("memory", || wire.memory());
    wire.capture.flush()?;
    Ok(())
}

impl Wire {
    fn new(pcap: &Path) -> std::io::Result<Result<Self, Failure>> {
        let capture = PcapWriter::create(pcap, LinkType::Ethernet)?.starting_now(0);
        let ends = stack(CORACLE, STATION).and_then(|server| Ok([server, stack(OTHER, OTHER_STATION)?]));
        Ok(ends.and_then(|mut ends| {
            let (server, _) = &mut ends[SERVER];
            serve::all(server)?;
            Ok(Self { ends, now: Instant::ZERO, capture, frames: 0 })
        }))
    }

    /// Lets both talk until neither has more to say.
    fn settle(&mut self) -> Result<(), Problem> {
        loop {
            let mut quiet = true;
            for from in [SERVER, CLIENT] {
                let (stack, netif) = &mut self.ends[from];
                stack.poll(self.now);
                let frames: Vec<Pbuf> = std::iter::from_fn(|| stack.transmit(*netif)).collect();
                for frame in frames {
                    quiet = false;
                    self.frames += 1;
                    self.capture.write_parts(self.now.as_micros(), frame.segments())?;
                    let (stack, netif) = &mut self.ends[1 - from];
                    stack.input(*netif, frame, self.now + DELAY).map_err(Problem::failed)?;
                }
            }
            if quiet {
                return Ok(());
            }
            self.now = self.now + DELAY;
        }
    }

    fn ping(&mut self, from: usize) -> Outcome {
        let to = if from == CLIENT { CORACLE } else { OTHER };
        let ping = Ping::open(&mut self.ends[from].0, to, 7).map_err(Problem::failed)?;
        for (sequence, size) in (0..).zip(SIZES) {
            ping.sender().send(&mut self.ends[from].0, sequence, size).map_err(Problem::failed)?;
            self.settle()?;
            match ping.events().try_recv() {
                Ok(PingEvent::Reply { sequence: number, size: len, intact: true, .. })
                    if (number, len) == (sequence, size) => {}
                other => return Err(Problem::Failed(format!("{size} bytes: {other:?}"))),
            }
        }
        ping.sender().close(&mut self.ends[from].0).map_err(Problem::failed)?;
        Ok(format!("{0} of {0} answered, sizes {SIZES:?}", SIZES.len()))
    }

    fn socket(&mut self) -> Result<Socket, coracle::Error> {
        let (report, events) = mpsc::channel();
        let (stack, _) = &mut self.ends[CLIENT];
        let handle = stack.udp_new(Boxed::new(Client(report)))?;
        stack.udp(handle)?.bind((OTHER, 0).into())?;
        Ok(Socket { handle, events })
    }

    fn send(&mut self, socket: &Socket, data: &[u8], port: u16) -> Result<Event, Problem> {
        let (stack, _) = &mut self.ends[CLIENT];
        let sent =
            stack.udp(socket.handle).and_then(|mut udp| udp.send_bytes_to(data, (CORACLE, port).into()));
        sent.map_err(Problem::failed)?;
        self.settle()?;
        socket.events.try_recv().map_err(|_| Problem::Failed(format!("no answer to {} bytes", data.len())))
    }

    fn echo(&mut self, socket: &Socket) -> Outcome {
        for size in 0..=LARGEST {
            let data: Vec<u8> = (0..size).map(|index| (index * 7 + size) as u8).collect();
            if self.send(socket, &data, 7)? != Event::Data(data) {
                return Err(Problem::Failed(format!("{size} bytes came back otherwise")));
            }
        }
        Ok(format!("{} datagrams of 0 to {LARGEST} bytes came back unchanged", LARGEST + 1))
    }

    fn closed_port(&mut self, socket: &Socket) -> Outcome {
        match self.send(socket, b"anybody?", 9)? {
            Event::Refused(IcmpErrorKind::PortUnreachable) => {
                Ok("the client's datagram_error callback is told: PortUnreachable".to_owned())
            }
            other => Err(Problem::Failed(format!("expected a refusal, found {other:?}"))),
        }
    }

    fn memory(&self) -> Outcome {
        let used: Vec<usize> = (self.ends.iter().map(|(stack, _)| stack.memory().stats()))
            .map(|stats| stats.pool.used + stats.small.used + stats.heap.used + stats.references.used)
            .collect();
        match used.as_slice() {
            [0, 0] => Ok(format!("{} frames; every buffer of both stacks came back", self.frames)),
            used => Err(Problem::Failed(format!("{used:?} buffers and bytes did not come back"))),
        }
    }
}

fn stack(address: std::net::Ipv4Addr, station: MacAddr) -> Result<(Stack<Boxed>, NetifHandle), Failure> {
    let mut seed = [0; 16];
    seed.copy_from_slice(&entropy()?[..16]);
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default())?;
    let mut stack = Stack::new(&mut arena, Limits::default(), memory, Config::new(seed))?;
    let config = NetifConfig::ethernet(station).ipv4(Ipv4Settings::new(address, PREFIX));
    let netif = stack.netif_add(&config)?;
    stack.netif(netif)?.set_up(true)?;
    Ok((stack, netif))
}

/// A client's control block, and what it heard.
struct Socket {
    handle: UdpHandle,
    events: Receiver<Event>,
}

#[derive(Debug, PartialEq)]
enum Event {
    Data(Vec<u8>),
    Refused(IcmpErrorKind),
}

struct Client(Sender<Event>);

impl Handler<Boxed> for Client {
    fn datagram(&mut self, _udp: &mut Udp<'_, Boxed>, _from: SocketAddr, data: Pbuf) {
        let mut bytes = vec![0; data.len()];
        data.copy_to(0, &mut bytes);
        // Nobody listens any more once the socket is dropped.
        let _ = self.0.send(Event::Data(bytes));
    }

    fn datagram_error(&mut self, _udp: &mut Udp<'_, Boxed>, _to: SocketAddr, error: IcmpError) {
        let _ = self.0.send(Event::Refused(error.kind));
    }
}
