//! Connections of a stack under a sequence of segments, calls and time steps.
//!
//! The bytes are a program. The peer's segments are made relative to where the connection is, so that most of them mean
//! something: old, new, beyond the window, overlapping, with every flag and option. In between time passes, the
//! application writes, closes and aborts, and memory runs out. Whatever happens, the stack sends well-formed frames only
//! and a bounded number of them, serves a good peer, and gives everything back at the end.
#![no_main]

use std::time::Duration;

use coracle::wire::EtherType;
use coracle::wire::ipv4::protocol;
use coracle::wire::tcp::{SackBlocks, TcpFields, TcpFlags, TcpHeader, TcpOptions};
use coracle::{Config, Kind, Layer, Pbuf, Shutdown, SynCookies, TcpHandle};
use coracle_sim::frames::{Ipv4, ethernet, tcp};
use coracle_sim::rig::{ADDRESS, App, ECHO_PORT, MEMORY, PEER, PEER_STATION, Rig, SINK_PORT, STATION};
use libfuzzer_sys::fuzz_target;

/// Steps of one program, so that it ends soon.
const MOST_STEPS: usize = 96;
const PEER_PORT: u16 = 40_000;
/// Frames that one step may cause: a window of small segments.
const MOST_FRAMES: usize = 256;

fuzz_target!(|data: &[u8]| {
    let mut program = Program(data);
    let mut config = Config::new([7; 16]);
    let choices = program.byte();
    config.tcp.timestamps = choices & 1 == 0;
    config.tcp.sack = choices & 2 == 0;
    config.tcp.window_scaling = choices & 4 == 0;
    config.tcp.ecn = choices & 8 != 0;
    config.tcp.nagle = choices & 16 == 0;
    config.tcp.syn_cookies = if choices & 32 == 0 { SynCookies::WhenFull } else { SynCookies::Always };
    if choices & 64 != 0 {
        config.tcp.window = 3_000;
    }
    let mut run = Run::new(config, if choices & 128 == 0 { ECHO_PORT } else { SINK_PORT });
    for _ in 0..MOST_STEPS {
        if program.0.is_empty() {
            break;
        }
        run.step(&mut program);
    }
    run.held.clear();
    run.rig.canary();
    // The peer falls silent: what is still open is closed, and ends by itself.
    let open: Vec<TcpHandle> = run.rig.stack.tcp_connections().collect();
    for connection in open {
        if let Ok(mut tcp) = run.rig.stack.tcp(connection) {
            tcp.close().unwrap_or_default();
        }
    }
    run.rig.settle();
    let usage = run.rig.stack.tcp_usage();
    assert_eq!((usage.connections, usage.segments, usage.held, usage.time_wait), (0, 0, 0, 0), "{usage:?}");
});

/// The rest of the input.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A distance, most often a small one, of either sign.
    fn distance(&mut self) -> u32 {
        match self.byte() {
            byte @ 0..200 => 0u32.wrapping_add_signed(i32::from(byte / 8) - 8),
            200..230 => u32::from(self.word()),
            230..250 => 0u32.wrapping_sub(self.word().into()),
            _ => u32::from(self.word()) << 16 | u32::from(self.word()),
        }
    }
}

struct Run {
    rig: Rig,
    port: u16,
    /// Where the peer is in its stream, and what it has seen of ours.
    sequence: u32,
    acknowledgment: u32,
    clock: u32,
    echo: u32,
    /// Buffers that a test withholds from the stack.
    held: Vec<Pbuf>,
}

impl Run {
    fn new(config: Config, port: u16) -> Self {
        let mut rig = Rig::new(MEMORY, config);
        rig.introduce_peers();
        let (sequence, clock) = (0xffff_ff80, 0xffff_fff0);
        Self { rig, port, sequence, acknowledgment: 0, clock, echo: 0, held: Vec::new() }
    }

    fn step(&mut self, program: &mut Program<'_>) {
        match program.byte() % 16 {
            0 => self.handshake(),
            1..=3 => self.next_data(program),
            4..=8 => self.segment(program),
            9..=10 => self.pass_time(program),
            11..=12 => self.call(program),
            13 => self.connect(),
            14 => self.withhold(program),
            _ => self.held.clear(),
        }
        let sent = self.rig.drain(MOST_FRAMES);
        self.learn(&sent);
    }

    /// A SYN as it should be, and the acknowledgment that ends the handshake.
    fn handshake(&mut self) {
        let options = TcpOptions {
            mss: Some(1_460),
            window_scale: Some(2),
            sack_permitted: true,
            timestamps: Some((self.clock, 0)),
            ..TcpOptions::default()
        };
        self.send(TcpFlags::SYN, self.sequence, &options, 8_000, &[]);
        self.sequence = self.sequence.wrapping_add(1);
        self.send(TcpFlags::ACK, self.sequence, &self.times(), 8_000, &[]);
    }

    /// Data that continues the stream, or our FIN; what the stack sent is acknowledged.
    fn next_data(&mut self, program: &mut Program<'_>) {
        let how = program.byte();
        let len = usize::from(how & 63) * 23;
        let data: Vec<u8> = (0..len).map(|at| self.sequence.wrapping_add(at as u32) as u8).collect();
        let fin = if how & 0xc0 == 0xc0 { TcpFlags::FIN } else { TcpFlags::empty() };
        self.send(TcpFlags::ACK | fin, self.sequence, &self.times(), 8_000, &data);
        let span = len as u32 + u32::from(!fin.is_empty());
        self.sequence = self.sequence.wrapping_add(span);
    }

    /// Some segment.
    fn segment(&mut self, program: &mut Program<'_>) {
        let flags = TcpFlags::from_bits(program.byte());
        let sequence = self.sequence.wrapping_add(program.distance());
        let before = self.acknowledgment;
        self.acknowledgment = before.wrapping_add(program.distance());
        let what = program.byte();
        let mut options = if what & 1 == 0 { self.times() } else { TcpOptions::default() };
        if what & 2 != 0 {
            options.timestamps = Some((self.clock.wrapping_add(program.distance()), program.distance()));
        }
        if what & 4 != 0 {
            let mut sack = SackBlocks::new();
            for _ in 0..=what >> 6 {
                let left = before.wrapping_add(program.distance());
                sack.push(left, left.wrapping_add(program.distance()));
            }
            options.sack = sack;
        }
        if what & 8 != 0 {
            options.mss = Some(program.word());
            options.window_scale = Some(program.byte());
            options.sack_permitted = true;
        }
        let window = if what & 16 == 0 { 8_000 } else { program.word() };
        let len = usize::from(program.byte()) * usize::from(what >> 5);
        let data: Vec<u8> = (0..len).map(|at| sequence.wrapping_add(at as u32) as u8).collect();
        self.send(flags, sequence, &options, window, &data);
        self.acknowledgment = before;
    }

    fn times(&self) -> TcpOptions {
        TcpOptions { timestamps: Some((self.clock, self.echo)), ..TcpOptions::default() }
    }

    fn send(&mut self, flags: TcpFlags, sequence: u32, options: &TcpOptions, window: u16, data: &[u8]) {
        let fields = TcpFields {
            source_port: PEER_PORT,
            destination_port: self.port,
            sequence,
            acknowledgment: if flags.contains(TcpFlags::ACK) { self.acknowledgment } else { 0 },
            flags,
            window,
            urgent_pointer: if flags.contains(TcpFlags::URG) { window } else { 0 },
            ..TcpFields::default()
        };
        let mut segment = tcp(&fields, options, data);
        segment.truncate(1_480);
        let packet = Ipv4::new(PEER, ADDRESS).packet(protocol::TCP, &segment);
        let mut frame = ethernet(STATION, PEER_STATION, None, EtherType::IPV4, &packet);
        coracle_sim::repair::repair(&mut frame, coracle_sim::pcap::LinkType::Ethernet);
        if let Some(buffer) = self.rig.buffer(&frame, &[]) {
            let now = self.rig.now();
            drop(self.rig.stack.input(self.rig.ethernet, buffer, now));
        }
        let sent = self.rig.drain(MOST_FRAMES);
        self.learn(&sent);
    }

    /// What the stack said is what the peer acknowledges next.
    fn learn(&mut self, sent: &[Vec<u8>]) {
        for frame in sent {
            let Some(segment) = frame.get(34..).filter(|_| frame[23] == protocol::TCP) else { continue };
            let Ok(header) = TcpHeader::read(segment) else { continue };
            let data = segment.len() - header.header_len();
            let flags = header.flags();
            let ends = u32::from(flags.contains(TcpFlags::SYN)) + u32::from(flags.contains(TcpFlags::FIN));
            self.acknowledgment = header.sequence().wrapping_add(data as u32 + ends);
            self.port = header.source_port();
            if let Some((theirs, _)) = TcpOptions::read(header.options(segment)).timestamps {
                self.echo = theirs;
            }
        }
    }

    fn pass_time(&mut self, program: &mut Program<'_>) {
        let by = match program.byte() {
            byte @ 0..150 => Duration::from_millis(u64::from(byte)),
            byte @ 150..240 => Duration::from_millis(u64::from(byte - 149) * 100),
            byte => Duration::from_secs(u64::from(byte - 239) * 60),
        };
        self.clock = self.clock.wrapping_add(by.as_millis() as u32);
        let sent = self.rig.advance(by);
        self.learn(&sent);
    }

    /// The application does something with some connection.
    fn call(&mut self, program: &mut Program<'_>) {
        let which = program.byte();
        let connections: Vec<TcpHandle> = self.rig.stack.tcp_connections().collect();
        let Some(&connection) = connections.get(usize::from(which) % connections.len().max(1)) else {
            return;
        };
        let what = program.byte();
        let bytes = [what; 1_200];
        let Ok(mut tcp) = self.rig.stack.tcp(connection) else { return };
        let amount = usize::from(program.byte()) * 5;
        // What is not possible now is an ordinary error.
        match what % 10 {
            0 => tcp.write_bytes(&bytes[..amount.min(1_200)]).unwrap_or_default(),
            1 => tcp.write_some(&bytes).map_or((), |_| ()),
            2 => tcp.write_static(b"constant bytes of an application").unwrap_or_default(),
            3 => tcp.write_urgent(&bytes[..1]).unwrap_or_default(),
            4 => tcp.close().unwrap_or_default(),
            5 => drop(tcp.abort().unwrap_or_default()),
            6 => tcp
                .shutdown(if amount & 1 == 0 { Shutdown::Send } else { Shutdown::Receive })
                .unwrap_or_default(),
            7 => tcp.set_keep_alive(true).unwrap_or_default(),
            8 => tcp.set_user_timeout(Some(Duration::from_millis(amount as u64))).unwrap_or_default(),
            _ => tcp.set_nagle(amount & 1 == 0).unwrap_or_default(),
        }
        self.rig.stack.tcp(connection).and_then(|mut tcp| tcp.output()).unwrap_or_default();
    }

    fn connect(&mut self) {
        let stack = &mut self.rig.stack;
        let Ok(connection) = stack.tcp_new(App::Echo) else { return };
        let Ok(mut tcp) = stack.tcp(connection) else { return };
        if tcp.connect((PEER, PEER_PORT).into()).is_err() {
            tcp.abort().unwrap_or_default();
        }
    }

    /// Takes buffers away for a while.
    fn withhold(&mut self, program: &mut Program<'_>) {
        let kind = if program.byte() & 1 == 0 { Kind::Pool } else { Kind::Ram };
        for _ in 0..program.byte() % 64 {
            let Ok(buffer) = self.rig.stack.memory().alloc(Layer::Raw, 64, kind) else { return };
            self.held.push(buffer);
        }
    }
}
