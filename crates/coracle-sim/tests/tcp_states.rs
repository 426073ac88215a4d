//! Every mutation of every kind of segment against a connection in each of the eleven states: no panic, well-formed
//! answers only, few of them, a good peer served afterwards, and everything back at the end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use coracle::wire::EtherType;
use coracle::wire::ipv4::protocol;
use coracle::wire::tcp::{TcpFields, TcpFlags, TcpHeader, TcpOptions};
use coracle::{Config, MemoryLimits, TcpHandle, TcpState};
use coracle_sim::frames::{Ipv4, ethernet, tcp};
use coracle_sim::mutate::tcp::{Conversation, seeds};
use coracle_sim::mutate::{Mutation, Seed};
use coracle_sim::pcap::LinkType;
use coracle_sim::repair::repair;
use coracle_sim::rig::{ADDRESS, App, ECHO_PORT, PEER, PEER_STATION, Rig, SINK_PORT, STATION};

const STATES: [TcpState; 11] = [
    TcpState::Closed,
    TcpState::Listen,
    TcpState::SynSent,
    TcpState::SynReceived,
    TcpState::Established,
    TcpState::FinWait1,
    TcpState::FinWait2,
    TcpState::CloseWait,
    TcpState::Closing,
    TcpState::LastAck,
    TcpState::TimeWait,
];

/// Close to the wrap, so that every comparison crosses it.
const PEER_ISN: u32 = 0xffff_fff8;
const PEER_PORT: u16 = 40_000;
const CLOSED_PORT: u16 = 99;
const MEMORY: MemoryLimits = MemoryLimits {
    pool_buffers: 24,
    pool_buffer_size: 1_640,
    small_buffers: 16,
    references: 32,
    heap_bytes: 16 << 10,
};

/// A stack, and the peer of a connection to it.
struct Scene {
    rig: Rig,
    conversation: Conversation,
    connection: Option<TcpHandle>,
}

impl Scene {
    /// A connection in a state; with data on its way in both directions where the state knows some.
    fn new(state: TcpState) -> Self {
        let mut rig = Rig::new(MEMORY, Config::new([7; 16]));
        rig.introduce_peers();
        let port = match state {
            TcpState::Closed => CLOSED_PORT,
            TcpState::CloseWait => SINK_PORT,
            _ => ECHO_PORT,
        };
        let conversation = Conversation {
            peer_port: PEER_PORT,
            port,
            sequence: PEER_ISN,
            acknowledgment: 0,
            timestamps: Some((0xffff_ff00, 0)),
        };
        let mut scene = Self { rig, conversation, connection: None };
        scene.reach(state);
        scene
    }

    fn reach(&mut self, state: TcpState) {
        match state {
            TcpState::Closed | TcpState::Listen => return,
            TcpState::SynSent => return self.open_actively(),
            _ => {}
        }
        self.open_half();
        if state == TcpState::SynReceived {
            return;
        }
        self.say(TcpFlags::ACK, b"");
        self.connection = self.rig.stack.tcp_connections().next();
        // Something comes before its time, and something that is answered: data of both is on the way.
        if state == TcpState::Established {
            self.say(TcpFlags::ACK, b"in order");
            self.conversation.sequence = self.conversation.sequence.wrapping_add(40);
            self.say(TcpFlags::ACK, b"out of order");
            let back = b"out of order".len() as u32 + 40;
            self.conversation.sequence = self.conversation.sequence.wrapping_sub(back);
            return;
        }
        let fin = TcpFlags::FIN | TcpFlags::ACK;
        match state {
            TcpState::CloseWait | TcpState::LastAck => self.say(fin, b""),
            _ => self.close(),
        }
        match state {
            TcpState::FinWait2 => self.acknowledge_fin(),
            TcpState::Closing => self.say(fin, b""),
            TcpState::TimeWait => {
                self.acknowledge_fin();
                self.say(fin, b"");
            }
            _ => {}
        }
    }

    fn acknowledge_fin(&mut self) {
        self.conversation.acknowledgment = self.conversation.acknowledgment.wrapping_add(1);
        self.say(TcpFlags::ACK, b"");
    }

    /// The stack asks the peer for a connection.
    fn open_actively(&mut self) {
        let stack = &mut self.rig.stack;
        let connection = stack.tcp_new(App::Sink).unwrap();
        stack.tcp(connection).unwrap().bind(([0, 0, 0, 0], 4_002).into()).unwrap();
        stack.tcp(connection).unwrap().connect((PEER, PEER_PORT).into()).unwrap();
        self.connection = Some(connection);
        self.conversation.port = 4_002;
        let sent = self.rig.drain(8);
        self.learn(&sent);
    }

    /// The peer asks the stack for a connection, and gets an answer.
    fn open_half(&mut self) {
        let options = TcpOptions {
            mss: Some(1_460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: self.conversation.timestamps,
            ..TcpOptions::default()
        };
        let frame = self.frame(TcpFlags::SYN, &options, b"");
        let sent = self.rig.input(self.rig.ethernet, &frame);
        self.conversation.sequence = self.conversation.sequence.wrapping_add(1);
        self.learn(&sent);
    }

    /// Takes the stack's first sequence number and time from its SYN.
    fn learn(&mut self, sent: &[Vec<u8>]) {
        let segment = &sent.last().expect("a SYN")[34..];
        let header = TcpHeader::read(segment).unwrap();
        self.conversation.acknowledgment = header.sequence().wrapping_add(1);
        let theirs = TcpOptions::read(header.options(segment)).timestamps.expect("timestamps").0;
        self.conversation.timestamps = Some((0xffff_ff00, theirs));
    }

    /// The application of the stack closes.
    fn close(&mut self) {
        let connection = self.connection.expect("a connection");
        self.rig.stack.tcp(connection).unwrap().close().unwrap();
        self.rig.drain(8);
    }

    /// A segment that continues what the peer said.
    fn say(&mut self, flags: TcpFlags, data: &[u8]) {
        let options = TcpOptions { timestamps: self.conversation.timestamps, ..TcpOptions::default() };
        let frame = self.frame(flags, &options, data);
        self.rig.input(self.rig.ethernet, &frame);
        let span = data.len() as u32 + u32::from(flags.contains(TcpFlags::FIN));
        self.conversation.sequence = self.conversation.sequence.wrapping_add(span);
    }

    fn frame(&self, flags: TcpFlags, options: &TcpOptions, data: &[u8]) -> Vec<u8> {
        let fields = TcpFields {
            source_port: self.conversation.peer_port,
            destination_port: self.conversation.port,
            sequence: self.conversation.sequence,
            acknowledgment: if flags.contains(TcpFlags::ACK) { self.conversation.acknowledgment } else { 0 },
            flags,
            window: 0xfff0,
            ..TcpFields::default()
        };
        let packet = Ipv4::new(PEER, ADDRESS).packet(protocol::TCP, &tcp(&fields, options, data));
        let mut frame = ethernet(STATION, PEER_STATION, None, EtherType::IPV4, &packet);
        repair(&mut frame, LinkType::Ethernet);
        frame
    }

    fn state(&mut self) -> Option<TcpState> {
        let connection = self.connection?;
        self.rig.stack.tcp(connection).ok().map(|tcp| tcp.state())
    }

    /// Whether another peer's connection comes to stand.
    fn serves_others(&mut self) {
        let before = self.rig.stack.counters().tcp.opened;
        let mut other = Conversation { peer_port: 50_000, port: ECHO_PORT, ..Conversation::default() };
        std::mem::swap(&mut self.conversation, &mut other);
        self.open_half();
        self.say(TcpFlags::ACK, b"");
        assert_eq!(self.rig.stack.counters().tcp.opened, before + 1, "nobody else is served");
        self.conversation = other;
    }
}

/// Tries mutants of a segment against a connection in a state, each against a fresh one.
fn run(state: TcpState, seed: &Seed, mutants: impl Iterator<Item = Vec<Mutation>>, thorough: usize) -> usize {
    let mut count = 0;
    for mutations in mutants {
        count += 1;
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let mut scene = Scene::new(state);
            for frame in seed.apply(&mutations) {
                scene.rig.input(scene.rig.ethernet, &frame);
            }
            if count % thorough == 0 {
                scene.serves_others();
                scene.rig.canary();
                scene.rig.settle();
            }
        }));
        if let Err(panic) = tried {
            eprintln!("in {state:?}: {}", seed.describe(&mutations));
            resume_unwind(panic);
        }
    }
    count
}

#[test]
fn every_state_is_reached() {
    for state in STATES {
        let mut scene = Scene::new(state);
        match state {
            TcpState::Closed | TcpState::Listen => assert!(scene.state().is_none()),
            TcpState::SynReceived => assert_eq!(scene.rig.stack.counters().tcp.passive_opens, 1),
            TcpState::TimeWait => assert_eq!(scene.rig.stack.tcp_usage().time_wait, 1),
            state => assert_eq!(scene.state(), Some(state)),
        }
        scene.serves_others();
        scene.rig.canary();
        scene.rig.settle();
    }
}

/// The sequence of a peer that opened and closed is right: each valid segment alone leads nowhere bad.
#[test]
fn every_valid_segment_in_every_state() {
    for state in STATES {
        for seed in seeds(&Scene::new(state).conversation) {
            run(state, &seed, std::iter::once(Vec::new()), 1);
        }
    }
}

#[test]
fn every_single_mutation_in_every_state() {
    let mut total = 0;
    for state in STATES {
        for seed in seeds(&Scene::new(state).conversation) {
            total += run(state, &seed, seed.singles().into_iter().map(|one| vec![one]), 64);
        }
    }
    println!("{total} mutants");
    assert!(total > 30_000, "only {total} mutants");
}

/// Pairs of changes: a share of them, or all with `CORACLE_ALL_PAIRS=1`.
#[test]
fn pairs_of_mutations_in_every_state() {
    let step = if std::env::var_os("CORACLE_ALL_PAIRS").is_some() { 1 } else { 97 };
    let mut total = 0;
    for (number, state) in STATES.into_iter().enumerate() {
        for seed in seeds(&Scene::new(state).conversation) {
            let pairs = seed.pairs().skip(number).step_by(step).map(|pair| pair.to_vec());
            total += run(state, &seed, pairs, 256);
        }
    }
    println!("{total} mutants");
    assert!(total > 10_000, "only {total} mutants");
}
