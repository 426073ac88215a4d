//! A running stack under a sequence of frames, calls and time steps.
//!
//! The bytes are a program: frames made from valid ones by changing bytes, or frames as they are; buffers cut into
//! segments; time; a device that takes nothing for a while; sends; interfaces going down and changing; memory that runs
//! out. Whatever happens, the stack sends well-formed frames only, does a bounded amount of work, serves a good peer
//! afterwards, and gives every buffer back.
#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use coracle::{Config, Error, Ipv4Settings, Kind, Layer, NetifHandle, Pbuf, UdpSend};
use coracle_sim::mutate::{Seed, protocols};
use coracle_sim::repair::repair;
use coracle_sim::rig::{MEMORY, PEER, Rig};
use libfuzzer_sys::fuzz_target;

static SEEDS: LazyLock<Vec<Seed>> = LazyLock::new(protocols::seeds);

/// Steps of one program, so that it ends soon.
const MOST_STEPS: usize = 64;

fuzz_target!(|data: &[u8]| {
    let mut program = Program(data);
    let mut config = Config::new([7; 16]);
    config.strong_host = program.flag();
    config.broadcast_echo = program.flag();
    let mut run = Run { rig: Rig::new(MEMORY, config), held: Vec::new() };
    for _ in 0..MOST_STEPS {
        if program.0.is_empty() {
            break;
        }
        run.step(&mut program);
    }
    run.held.clear();
    run.rig.restore();
    run.rig.canary();
    run.rig.settle();
});

/// The rest of the input.
struct Program<'a>(&'a [u8]);

impl<'a> Program<'a> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    fn address(&mut self) -> [u8; 4] {
        match self.byte() {
            0 => PEER,
            1 => [192, 0, 2, self.byte()],
            2 => [255; 4],
            3 => [127, 0, 0, 1],
            4 => [239, 1, 2, 3],
            _ => [self.byte(), self.byte(), self.byte(), self.byte()],
        }
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

struct Run {
    rig: Rig,
    /// Buffers that a test withholds from the stack.
    held: Vec<Pbuf>,
}

impl Run {
    fn step(&mut self, program: &mut Program<'_>) {
        match program.byte() % 16 {
            0..=6 => self.mutant(program),
            7..=8 => self.plain(program),
            9 => self.pass_time(program),
            10 => self.several_at_once(program),
            11 => self.send(program),
            12 => self.send_raw(program),
            13 => self.change_interface(program),
            14 => self.withhold(program),
            _ => self.held.clear(),
        }
        self.rig.drain(64);
    }

    fn netif(&self, number: u8) -> NetifHandle {
        self.rig.netifs()[usize::from(number) % 4]
    }

    /// A valid frame with some bytes changed, cut or extended.
    fn mutated(program: &mut Program<'_>) -> (&'static Seed, Vec<u8>) {
        let seed = &SEEDS[usize::from(program.byte()) % SEEDS.len()];
        let mut frame = seed.frame.clone();
        let how = program.byte();
        for _ in 0..how & 7 {
            let at = usize::from(program.byte());
            let value = program.byte();
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        if how & 8 != 0 {
            frame.truncate(program.byte().into());
        }
        if how & 16 != 0 {
            let more = usize::from(program.byte()) * 8;
            frame.resize(frame.len() + more, 0x5a);
        }
        if how & 32 == 0 {
            repair(&mut frame, seed.link());
        }
        (seed, frame)
    }

    fn pieces(program: &mut Program<'_>) -> Vec<usize> {
        let how = program.byte();
        (0..how & 3).map(|_| usize::from(program.byte() & 0x3f)).collect()
    }

    fn mutant(&mut self, program: &mut Program<'_>) {
        let (seed, frame) = Self::mutated(program);
        let pieces = Self::pieces(program);
        self.rig.input_in_pieces(self.rig.netif(seed.port), &frame, &pieces);
    }

    fn plain(&mut self, program: &mut Program<'_>) {
        let netif = self.netif(program.byte());
        let len = usize::from(program.word()) % 1_700;
        let mut frame = program.bytes(len).to_vec();
        if program.flag() {
            repair(&mut frame, self.rig.link(netif));
        }
        let pieces = Self::pieces(program);
        self.rig.input_in_pieces(netif, &frame, &pieces);
    }

    fn pass_time(&mut self, program: &mut Program<'_>) {
        let by = match program.byte() % 4 {
            0 => Duration::ZERO,
            1 => Duration::from_micros(program.word().into()),
            2 => Duration::from_millis(program.word().into()),
            _ => Duration::from_secs(program.word().into()),
        };
        self.rig.advance(by);
    }

    /// Frames while the device takes nothing: its queue fills up.
    fn several_at_once(&mut self, program: &mut Program<'_>) {
        let (seed, frame) = Self::mutated(program);
        let netif = self.rig.netif(seed.port);
        for _ in 0..program.byte() % 48 {
            let Some(buffer) = self.rig.buffer(&frame, &[]) else { break };
            let now = self.rig.now();
            drop(self.rig.stack.input(netif, buffer, now));
        }
        self.rig.drain(128);
    }

    fn send(&mut self, program: &mut Program<'_>) {
        let udp = [self.rig.echo, self.rig.echo_lite, self.rig.connected][usize::from(program.byte() % 3)];
        let to = SocketAddr::from((program.address(), program.word()));
        let how = program.byte();
        let kind = if how & 1 == 0 { Kind::Ram } else { Kind::Pool };
        let len = usize::from(program.word()) % 2_000;
        let Ok(mut data) = self.rig.stack.memory().alloc(Layer::Transport, len, kind) else { return };
        data.take(&vec![how; len]).expect("a fresh buffer");
        if how & 2 != 0 {
            self.held.push(data.clone());
        }
        let netif = (how & 4 != 0).then(|| self.netif(how >> 5));
        let mut socket = self.rig.stack.udp(udp).expect("a control block of the rig");
        socket.set_broadcast(how & 8 != 0).expect("a control block of the rig");
        let send = UdpSend { remote: Some(to), netif, source: None, source_port: None };
        if let Err(rejected) = socket.send_with(data, &send) {
            assert_eq!(rejected.data.len(), len, "refused data comes back as it was: {:?}", rejected.error);
            assert_ne!(rejected.error, Error::Closed);
        }
    }

    fn send_raw(&mut self, program: &mut Program<'_>) {
        let raw = self.rig.raw;
        let to = program.address();
        let included = program.flag();
        let len = usize::from(program.byte());
        let bytes = program.bytes(len).to_vec();
        let Ok(mut data) = self.rig.stack.memory().alloc(Layer::Ip, bytes.len(), Kind::Ram) else { return };
        data.take(&bytes).expect("a fresh buffer");
        let mut raw = self.rig.stack.raw(raw).expect("a control block of the rig");
        // A header that the application writes itself is its own affair, and not for the judge.
        raw.set_header_included(included).expect("a control block of the rig");
        drop(raw.send_to(data, to.into_addr()));
        raw.set_header_included(false).expect("a control block of the rig");
        if included {
            self.discard();
        }
    }

    /// Takes frames from the devices without judging them.
    fn discard(&mut self) {
        for netif in self.rig.netifs() {
            while self.rig.stack.transmit(netif).is_some() {}
        }
    }

    fn change_interface(&mut self, program: &mut Program<'_>) {
        let number = program.byte();
        let handle = self.netif(number);
        let what = program.byte();
        let value = program.word();
        let address = program.address();
        let mut netif = self.rig.stack.netif(handle).expect("an interface of the rig");
        let result = match what % 6 {
            0 => netif.set_up(value & 1 != 0),
            1 => netif.set_link_up(value & 1 != 0),
            2 => netif.set_mtu(value),
            3 => netif.join_group(address.into_addr()),
            4 => netif.query_neighbour(address.into()),
            // Only the Ethernet interface gets its own address back at the end.
            _ if number % 4 == 0 => netif.set_ipv4(Ipv4Settings::new(address.into(), value as u8 % 33)),
            _ => Ok(()),
        };
        assert_ne!(result, Err(Error::Closed));
    }

    fn withhold(&mut self, program: &mut Program<'_>) {
        let len = usize::from(program.word());
        let kind = if program.flag() { Kind::Ram } else { Kind::Pool };
        while self.held.len() < 128 {
            match self.rig.stack.memory().alloc(Layer::Raw, len, kind) {
                Ok(buffer) => self.held.push(buffer),
                Err(error) => {
                    assert_eq!(error, Error::Memory);
                    break;
                }
            }
        }
    }
}

trait IntoAddr {
    fn into_addr(self) -> std::net::IpAddr;
}

impl IntoAddr for [u8; 4] {
    fn into_addr(self) -> std::net::IpAddr {
        std::net::Ipv4Addr::from(self).into()
    }
}
