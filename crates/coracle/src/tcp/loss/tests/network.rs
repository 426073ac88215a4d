//! A random network between the sender and a small receiver: whatever it loses, delays, doubles or swaps, all data gets
//! through, and at no time does more leave than may.

use std::collections::BinaryHeap;

use core::cmp::Reverse;

use proptest::prelude::*;

use super::*;
use crate::tcp::congestion::CUBIC;

#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    sack: bool,
    timestamps: bool,
    cubic: bool,
    delayed_acks: bool,
    /// Thousandths of segments lost, of acknowledgments lost, of segments doubled, of segments late.
    lost: u32,
    acks_lost: u32,
    doubled: u32,
    late: u32,
    /// Whether the receiver forgets what is out of order now and then.
    reneges: bool,
    /// Segments in a record.
    long: u32,
    records: usize,
    total: u32,
    begin: u32,
    clock: u32,
}

fn plan() -> impl Strategy<Value = Plan> {
    let rates = (0..300_u32, 0..300_u32, 0..100_u32, prop_oneof![Just(0), 0..400_u32]);
    let ways = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1));
    let sizes = (prop_oneof![1..4_u32, 4..44_u32], 4..120_usize, 1..200_000_u32);
    (any::<u64>(), rates, ways, sizes, any::<u32>(), any::<u32>()).prop_map(
        |(seed, (lost, acks_lost, doubled, late), ways, (long, records, total), begin, clock)| {
            let (sack, timestamps, cubic, delayed_acks, reneges) = ways;
            let (lost, acks_lost) =
                if seed % 3 == 0 { (lost / 10, acks_lost / 10) } else { (lost, acks_lost) };
            Plan {
                seed,
                sack,
                timestamps,
                cubic,
                delayed_acks,
                lost,
                acks_lost,
                doubled,
                late,
                reneges,
                long,
                records,
                total,
                begin,
                clock,
            }
        },
    )
}

/// What is on the wire: numbers count from the begin of the stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Packet {
    Segment {
        from: u32,
        to: u32,
        stamp: u64,
    },
    Ack {
        ack: u32,
        blocks: Vec<(u32, u32)>,
        echo: u64,
    },
    /// Not on the wire: the receiver delays an answer no longer.
    Delay,
}

/// What has arrived, and in what order.
#[derive(Default)]
struct Receiver {
    next: u32,
    /// Pieces beyond that, the most recently changed first.
    pieces: Vec<(u32, u32)>,
    /// The timestamp to echo [RFC 7323 §4.3].
    stamp: u64,
    answered: u32,
    unanswered: u32,
}

impl Receiver {
    /// Takes a segment. Returns the answer, unless that is delayed.
    fn take(&mut self, from: u32, to: u32, stamp: u64, plan: &Plan) -> Option<Packet> {
        let mut blocks = Vec::new();
        let known = |piece: &&(u32, u32)| piece.0 <= from && to <= piece.1;
        let in_order = from <= self.next && to > self.next && self.pieces.is_empty();
        if from <= self.answered && stamp >= self.stamp {
            self.stamp = stamp;
        }
        if to <= self.next {
            blocks.push((from, to));
        } else if let Some(&piece) = self.pieces.iter().find(known) {
            blocks.extend([(from, to), piece]);
        } else {
            self.join(from, to);
        }
        self.unanswered += 1;
        if in_order && plan.delayed_acks && self.unanswered < 2 {
            return None;
        }
        Some(self.answer(blocks, plan))
    }

    fn join(&mut self, from: u32, to: u32) {
        let (mut from, mut to) = (from.max(self.next), to);
        self.pieces.retain(|piece| {
            let apart = piece.1 < from || piece.0 > to;
            if !apart {
                (from, to) = (from.min(piece.0), to.max(piece.1));
            }
            apart
        });
        if from == self.next {
            self.next = to;
        } else {
            self.pieces.insert(0, (from, to));
        }
    }

    fn answer(&mut self, mut blocks: Vec<(u32, u32)>, plan: &Plan) -> Packet {
        (self.answered, self.unanswered) = (self.next, 0);
        blocks.extend(&self.pieces);
        blocks.truncate(if plan.sack { 4 - usize::from(plan.timestamps) } else { 0 });
        Packet::Ack { ack: self.next, blocks, echo: self.stamp }
    }
}

struct Simulation {
    plan: Plan,
    pool: Segments,
    loss: Loss,
    window: CongestionWindow,
    rtt: Rtt,
    memory: Memory,
    una: u32,
    nxt: u32,
    /// Microseconds since the begin.
    now: u64,
    steps: u32,
    wire: BinaryHeap<Reverse<(u64, u32, Packet)>>,
    receiver: Receiver,
    random: u64,
}

impl Simulation {
    fn new(plan: Plan) -> Self {
        let mut arena = Arena::heap();
        Self {
            pool: Segments::new(&mut arena, plan.records).unwrap(),
            loss: Loss::new(),
            window: CongestionWindow::new(MSS as u16, 10),
            rtt: Rtt::new(1_000_000),
            memory: Memory::new(&mut arena, MemoryLimits::default()).unwrap(),
            una: 0,
            nxt: 0,
            now: 0,
            steps: 0,
            wire: BinaryHeap::new(),
            receiver: Receiver::default(),
            random: plan.seed | 1,
            plan,
        }
    }

    /// The sender's clock begins anywhere.
    fn clock(&self) -> u32 {
        (self.now as u32).wrapping_add(self.plan.clock)
    }

    fn seq(&self, number: u32) -> Seq {
        Seq(self.plan.begin) + number
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.below(1_000) < thousandths
    }

    fn below(&mut self, end: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 20) % u64::from(end)) as u32
    }

    fn put(&mut self, packet: &Packet, lost: u32) {
        if self.chance(lost) {
            return;
        }
        let copies = 1 + u32::from(self.chance(self.plan.doubled));
        for _ in 0..copies {
            let extra = if self.chance(self.plan.late) { self.below(60_000) } else { 0 };
            self.steps += 1;
            self.wire.push(Reverse((self.now + 20_000 + u64::from(extra), self.steps, packet.clone())));
        }
    }

    fn transmit(&mut self, id: u32) {
        let record = self.pool.record(id);
        let from = record.seq.since(Seq(self.plan.begin));
        let data = record.data.as_ref().expect("only data is sent");
        assert_eq!(data.len(), record.len as usize);
        assert_eq!(data.get_at(0), Some((from / 7) as u8), "the bytes are those of the numbers");
        let to = from + record.len;
        for from in (from..to).step_by(MSS as usize) {
            let segment = Packet::Segment { from, to: to.min(from + MSS), stamp: self.now };
            self.put(&segment, self.plan.lost);
        }
    }

    fn send_new(&mut self, len: u32) -> bool {
        let bytes: Vec<u8> = (self.nxt..self.nxt + len).map(|number| (number / 7) as u8).collect();
        let mut data = self.memory.alloc(Layer::Raw, len as usize, Kind::Ram).unwrap();
        data.take(&bytes).unwrap();
        let segment = NewSegment { seq: self.seq(self.nxt), len, flags: RecordFlags::PUSH, data: Some(data) };
        let now = self.clock();
        if self.loss.sent(&mut self.pool, segment, now).is_err() {
            return false;
        }
        self.nxt += len;
        let id = self.loss.last(&self.pool).unwrap();
        self.transmit(id);
        true
    }

    fn send_again(&mut self, id: u32) {
        self.transmit(id);
        let now = self.clock();
        self.loss.sent_again(&mut self.pool, id, now);
    }

    /// Sends what may leave, as a connection does.
    fn output(&mut self) {
        while let Some(id) = self.loss.next_lost() {
            let allowance = self.loss.allowance(&self.window);
            let forced = self.loss.flags.any(Flags::FORCED);
            if self.pool.record(id).len > MSS && self.pool.record(id).len > allowance {
                let _ = self.pool.split(id, MSS);
            }
            if self.pool.record(id).len > allowance && !forced {
                break;
            }
            self.send_again(id);
            self.check(forced);
        }
        loop {
            let len = (self.plan.total - self.nxt).min(self.plan.long * MSS);
            let allowance = self.loss.allowance(&self.window);
            let len = if len > allowance { len.min(MSS) } else { len };
            let probe = self.loss.flags.any(Flags::PROBE_DUE | Flags::FORCED);
            if len == 0
                || len > allowance
                || (self.loss.next_lost().is_some() && !probe)
                || !self.send_new(len)
            {
                break;
            }
            self.check(probe);
        }
        if self.loss.flags.any(Flags::PROBE_DUE) {
            let id = self.loss.last(&self.pool).unwrap();
            self.send_again(id);
            self.check(true);
        }
    }

    fn acknowledge(&mut self, ack: u32, blocks: &[(u32, u32)], echo: u64) {
        let mut sack = SackBlocks::new();
        for &(left, right) in blocks {
            sack.push(self.seq(left).0, self.seq(right).0);
        }
        let input = AckInput {
            ack: self.seq(ack.max(self.una)),
            una: self.seq(self.una),
            nxt: self.seq(self.nxt),
            sack: &sack,
            sack_in_use: self.plan.sack,
            duplicate: ack == self.una && self.nxt > self.una,
            ece: false,
            more: self.nxt < self.plan.total,
            // A clock of milliseconds.
            echo: self.plan.timestamps.then(|| (self.now / 1_000 - echo / 1_000) as u32 * 1_000),
            now: self.clock(),
        };
        let control = Control {
            window: &mut self.window,
            algorithm: if self.plan.cubic { &CUBIC } else { &NEW_RENO },
            rtt: &mut self.rtt,
            rto_limits: LIMITS,
        };
        let report = self.loss.acknowledged(&mut self.pool, &input, control);
        assert_eq!(report.acked, ack.saturating_sub(self.una));
        self.una = self.una.max(ack);
    }

    /// `over` says that one segment left beyond the window.
    fn check(&self, over: bool) {
        check(&self.loss, &self.pool, self.seq(self.una), self.seq(self.nxt));
        assert!(self.window.window >= MSS && self.window.threshold >= 2 * MSS);
        // What is left over of recovery may be in flight beyond the window, but then nothing leaves.
        let flight = self.loss.in_flight(MSS as u16);
        assert!(over || flight <= self.window.window, "{flight} of {}", self.window.window);
        let counted = if self.plan.sack { 0 } else { u32::from(self.loss.sacked) * MSS };
        assert!(over || self.loss.pipe() <= self.window.window + counted);
    }

    fn step(&mut self) {
        let packet_at = self.wire.peek().map(|Reverse((at, ..))| *at);
        let timer = self.loss.deadline(&self.pool, &self.rtt, MSS as u16);
        let timer_at = timer.map(|timer| {
            self.now.saturating_add_signed(i64::from(timer.at.wrapping_sub(self.clock()).cast_signed()))
        });
        match (packet_at, timer.zip(timer_at)) {
            (Some(at), timer) if timer.is_none_or(|(_, due)| at <= due) => {
                self.now = self.now.max(at);
                let Some(Reverse((.., packet))) = self.wire.pop() else { return };
                self.arrive(packet);
            }
            (_, Some((timer, at))) => {
                self.now = self.now.max(at);
                let (now, nxt) = (self.clock(), self.seq(self.nxt));
                let control = Control {
                    window: &mut self.window,
                    algorithm: if self.plan.cubic { &CUBIC } else { &NEW_RENO },
                    rtt: &mut self.rtt,
                    rto_limits: LIMITS,
                };
                self.loss.timed_out(&mut self.pool, timer.kind, control, now, nxt);
            }
            _ => panic!("nothing is due, and not all is through"),
        }
        check(&self.loss, &self.pool, self.seq(self.una), self.seq(self.nxt));
    }

    fn arrive(&mut self, packet: Packet) {
        match packet {
            Packet::Segment { from, to, stamp } => {
                if self.plan.reneges && self.chance(20) {
                    self.receiver.pieces.clear();
                }
                if let Some(answer) = self.receiver.take(from, to, stamp, &self.plan) {
                    self.put(&answer, self.plan.acks_lost);
                } else {
                    self.steps += 1;
                    self.wire.push(Reverse((self.now + 40_000, self.steps, Packet::Delay)));
                }
            }
            Packet::Delay if self.receiver.unanswered > 0 => {
                let answer = self.receiver.answer(Vec::new(), &self.plan);
                self.put(&answer, self.plan.acks_lost);
            }
            Packet::Delay => {}
            Packet::Ack { ack, blocks, echo } => self.acknowledge(ack, &blocks, echo),
        }
    }

    fn run(&mut self) {
        self.output();
        let mut rounds = 0;
        while self.una < self.plan.total {
            self.step();
            self.output();
            rounds += 1;
            assert!(rounds < 100_000, "it comes to an end");
        }
        assert_eq!(self.receiver.next, self.plan.total);
        assert!(self.loss.is_empty() && self.loss.pipe() == 0);
        assert_eq!((self.pool.used(), self.memory.stats().heap.used), (0, 0));
        assert!(self.loss.deadline(&self.pool, &self.rtt, MSS as u16).is_none());
        assert!(self.now < 7_200_000_000, "backed off for hours");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// [6675-3] [2018-6]
    #[test]
    fn all_data_gets_through_any_network(plan in plan()) {
        Simulation::new(plan).run();
    }
}
