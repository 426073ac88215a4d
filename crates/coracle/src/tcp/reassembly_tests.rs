use std::vec;
use std::vec::Vec;

use coracle_buf::{Kind, Layer, Memory, MemoryLimits};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

/// Where the streams of these tests begin: their sequence numbers wrap soon.
const START: Seq = Seq(u32::MAX - 20);

const LIMITS: MemoryLimits = MemoryLimits {
    pool_buffers: 600,
    pool_buffer_size: 400,
    small_buffers: 0,
    references: 600,
    heap_bytes: 0,
};

struct Bench {
    memory: Memory,
    pool: HeldPool,
    held: Reassembly,
}

impl Bench {
    fn new(limits: MemoryLimits, ranges: usize) -> Self {
        let memory = Memory::new(&mut Arena::heap(), limits).unwrap();
        let pool = HeldPool::new(&mut Arena::heap(), ranges).unwrap();
        Self { memory, pool, held: Reassembly::new() }
    }

    /// A packet with these bytes and no room behind them, so that none is copied behind another.
    fn packet(&self, bytes: &[u8]) -> Pbuf {
        self.memory.from_vec(bytes.to_vec()).unwrap()
    }

    fn insert(&mut self, at: u32, bytes: &[u8]) -> Inserted {
        let packet = self.packet(bytes);
        self.held.insert(&mut self.pool, START + at, packet)
    }

    /// All that goes on at `next`.
    fn take(&mut self, next: u32) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some(data) = self.held.take(&mut self.pool, START + next + taken.len() as u32) {
            assert!(!data.is_empty());
            taken.extend(data.segments().flatten());
        }
        taken
    }

    fn blocks(&self, limit: usize) -> Vec<(u32, u32)> {
        let blocks = self.held.sack_blocks(&self.pool, limit);
        blocks.iter().map(|(left, right)| (Seq(left).since(START), Seq(right).since(START))).collect()
    }

    /// Every range, by sequence numbers; whether the links and counts agree is checked on the way.
    fn ranges(&self) -> Vec<(u32, u32)> {
        let (mut ranges, mut index, mut last, mut packets) = (Vec::new(), self.held.first, NONE, 0);
        while let Some(range) = self.pool.get(index) {
            assert!(range.packets.iter().all(|packet| !packet.is_empty()));
            ranges.push((range.start.since(START), range.end().since(START)));
            packets += range.packets.len();
            (last, index) = (index, range.next);
        }
        assert_eq!((last, self.held.is_empty()), (self.held.last, ranges.is_empty()));
        assert_eq!((packets, ranges.len()), (self.held.packets as usize, self.held.ranges as usize));
        assert_eq!(self.pool.free as usize + ranges.len(), self.pool.ranges.len());
        let bytes: u32 = ranges.iter().map(|(left, right)| right - left).sum();
        assert_eq!(bytes as usize, self.held.bytes());

        let (mut changed, mut index, mut newer) = (Vec::new(), self.held.newest, NONE);
        while let Some(range) = self.pool.get(index) {
            assert_eq!(range.newer, newer);
            changed.push((range.start.since(START), range.end().since(START)));
            (newer, index) = (index, range.older);
        }
        assert_eq!(changed[..changed.len().min(4)], self.blocks(9));
        changed.sort_unstable();
        assert_eq!(changed, ranges);
        ranges
    }

    fn is_clean(&mut self) -> bool {
        self.held.clear(&mut self.pool);
        self.ranges().is_empty() && self.memory.stats().is_unused()
    }
}

#[test]
fn what_arrives_out_of_order_comes_out_in_order() {
    let mut bench = Bench::new(LIMITS, 8);
    assert_eq!(bench.insert(30, b"gh"), Inserted::Stored);
    assert_eq!(bench.insert(12, b"cd"), Inserted::Stored);
    assert_eq!(bench.insert(14, b"ef"), Inserted::Stored);
    assert_eq!(bench.ranges(), [(12, 16), (30, 32)]);
    assert_eq!(bench.take(10), b"", "two bytes are missing still");
    assert_eq!(bench.take(12), b"cdef");
    assert_eq!(bench.ranges(), [(30, 32)]);
    assert_eq!(bench.take(30), b"gh");
    assert!(bench.held.is_empty() && bench.is_clean());
}

/// The packets of a range come as one, whatever joined them; what is shared, one by one when memory is short.
#[test]
fn what_goes_on_comes_as_one_chain() {
    let mut bench = Bench::new(MemoryLimits { references: 4, ..LIMITS }, 8);
    for (at, bytes) in [(14, b"cc"), (10, b"aa"), (12, b"bb")] {
        bench.insert(at, bytes);
    }
    let data = bench.held.take(&mut bench.pool, START + 10).unwrap();
    assert_eq!((data.segment_count(), data.len()), (3, 6));
    drop(data);
    let kept = [b"dd", b"ee", b"ff", b"gg"].map(|bytes| bench.packet(bytes));
    for (at, packet) in (10..).step_by(2).zip(&kept) {
        assert_eq!(bench.held.insert(&mut bench.pool, START + at, packet.clone()), Inserted::Stored);
    }
    assert_eq!(bench.held.take(&mut bench.pool, START + 10).unwrap(), b"dd");
    assert_eq!(bench.take(12), b"eeffgg");
    drop(kept);
    assert!(bench.is_clean());
}

#[test]
fn data_between_two_ranges_joins_them() {
    let mut bench = Bench::new(LIMITS, 8);
    for (at, bytes) in [(20, b"cc"), (10, b"aa"), (30, b"dd"), (18, b"bb")] {
        assert_eq!(bench.insert(at, bytes), Inserted::Stored);
    }
    assert_eq!(bench.ranges(), [(10, 12), (18, 22), (30, 32)]);
    assert_eq!(bench.insert(12, b"123456"), Inserted::Stored);
    assert_eq!(bench.ranges(), [(10, 22), (30, 32)]);
    assert_eq!(bench.insert(22, b"12345678"), Inserted::Stored);
    assert_eq!(bench.ranges(), [(10, 32)]);
    assert_eq!(bench.take(10), b"aa123456bbcc12345678dd");
    assert!(bench.is_clean());
}

/// [2018-2] [2018-3] [2018-4]
#[test]
fn the_range_that_changed_last_comes_first() {
    let mut bench = Bench::new(LIMITS, 16);
    for at in [10, 20, 30, 40, 50] {
        bench.insert(at, b"xx");
    }
    assert_eq!(bench.blocks(4), [(50, 52), (40, 42), (30, 32), (20, 22)]);
    assert_eq!(bench.blocks(3), [(50, 52), (40, 42), (30, 32)]);
    assert_eq!(bench.blocks(0), []);
    bench.insert(22, b"xx");
    assert_eq!(bench.blocks(2), [(20, 24), (50, 52)]);
    bench.insert(8, b"xx");
    assert_eq!(bench.blocks(2), [(8, 12), (20, 24)]);
    // Two become one.
    bench.insert(42, b"12345678");
    assert_eq!(bench.blocks(4), [(40, 52), (8, 12), (20, 24), (30, 32)]);
    // What came already changes nothing, but is what the peer is to hear of [RFC 2883 §4].
    let duplicate = Inserted::Duplicate { start: START + 30, end: START + 32 };
    assert_eq!(bench.insert(30, b"xx"), duplicate);
    assert_eq!(bench.blocks(2), [(30, 32), (40, 52)]);
    assert_eq!(bench.take(8).len(), 4);
    assert_eq!(bench.blocks(4), [(30, 32), (40, 52), (20, 24)]);
    assert!(bench.is_clean());
}

#[test]
fn the_bytes_that_came_first_stay() {
    let mut bench = Bench::new(LIMITS, 8);
    bench.insert(12, b"AA");
    bench.insert(16, b"BB");
    // Around both, between them, and beyond.
    let duplicate = Inserted::Duplicate { start: START + 12, end: START + 14 };
    assert_eq!(bench.insert(10, b"0123456789"), duplicate);
    assert_eq!(bench.ranges(), [(10, 20)]);
    // Inside, and over the end.
    let duplicate = |start, end| Inserted::Duplicate { start: START + start, end: START + end };
    assert_eq!(bench.insert(13, b"xxxx"), duplicate(13, 17));
    assert_eq!(bench.insert(19, b"xYZ"), duplicate(19, 20));
    assert_eq!(bench.insert(8, b"ab345"), duplicate(10, 13));
    assert_eq!(bench.take(8), b"ab01AA45BB89YZ");
    assert!(bench.is_clean());
}

#[test]
fn what_came_otherwise_meanwhile_is_left_out() {
    let mut bench = Bench::new(LIMITS, 8);
    bench.insert(10, b"0123");
    bench.insert(14, b"4567");
    bench.insert(20, b"xx");
    bench.insert(30, b"yy");
    // The stream has gone on to the middle of the second packet.
    assert_eq!(bench.take(15), b"567");
    assert_eq!(bench.ranges(), [(20, 22), (30, 32)]);
    // And beyond a whole range.
    assert_eq!(bench.take(30), b"yy");
    assert!(bench.held.is_empty() && bench.is_clean());
}

#[test]
fn a_packet_that_somebody_else_sees_is_cut_for_us_alone() {
    let mut bench = Bench::new(LIMITS, 8);
    let (first, second) = (bench.packet(b"0123"), bench.packet(b"x234567y"));
    bench.held.insert(&mut bench.pool, START + 10, first.clone());
    bench.held.insert(&mut bench.pool, START + 11, second.clone());
    bench.insert(20, b"end");
    assert_eq!(bench.take(11), b"1234567y");
    assert_eq!(first, b"0123");
    assert_eq!(second, b"x234567y");
}

/// Packets of one byte each: they lie in the buffer of the first, not in hundreds of them.
#[test]
fn tiny_packets_are_copied_together() {
    let mut bench = Bench::new(LIMITS, 8);
    let stream: Vec<u8> = (0..300_u32).map(|i| i as u8).collect();
    for (i, &byte) in stream.iter().enumerate() {
        let mut packet = bench.memory.alloc(Layer::Transport, 1, Kind::Pool).unwrap();
        packet.take(&[byte]).unwrap();
        assert_eq!(bench.held.insert(&mut bench.pool, START + 10 + i as u32, packet), Inserted::Stored);
    }
    assert_eq!(bench.memory.stats().pool.used, 1);
    assert_eq!(bench.take(10), stream);
    assert!(bench.is_clean());
}

/// Where they cannot be copied, tiny packets are held up to a number; large ones as far as the window goes.
#[test]
fn too_many_small_packets_are_refused() {
    let mut bench = Bench::new(LIMITS, 8);
    let mut count = 0;
    while bench.insert(10 + count, b"x") == Inserted::Stored {
        count += 1;
    }
    assert_eq!((count, bench.ranges()), (FEW, vec![(10, 10 + count)]));
    bench.held.clear(&mut bench.pool);
    for i in 0..500 {
        assert_eq!(bench.insert(10 + i * AVERAGE, &[7; AVERAGE as usize]), Inserted::Stored);
    }
    assert_eq!(bench.held.bytes(), 500 * AVERAGE as usize);
    assert!(bench.is_clean());
}

#[test]
fn a_connection_leaves_ranges_for_the_others() {
    let mut bench = Bench::new(LIMITS, 8);
    for i in 0..4 {
        assert_eq!(bench.insert(10 + i * 10, b"x"), Inserted::Stored);
    }
    assert_eq!(bench.insert(90, b"x"), Inserted::NoMemory);
    assert_eq!(bench.insert(11, b"x"), Inserted::Stored, "that needs no range");
    let mut other = Reassembly::new();
    let mut insert = |at, packet| other.insert(&mut bench.pool, START + at, packet);
    let byte = || bench.memory.from_static(b"x").unwrap();
    assert_eq!(
        [10, 20, 30].map(|at| insert(at, byte())),
        [Inserted::Stored, Inserted::Stored, Inserted::NoMemory]
    );
    other.clear(&mut bench.pool);
    assert_eq!(bench.insert(90, b"x"), Inserted::NoMemory);
    assert_eq!(bench.take(10), b"xx");
    assert_eq!(bench.insert(90, b"x"), Inserted::Stored);
    assert!(bench.is_clean());
}

#[test]
fn no_range_and_no_byte_are_no_errors() {
    let mut bench = Bench::new(LIMITS, 0);
    assert_eq!(bench.insert(10, b"x"), Inserted::NoMemory);
    assert_eq!(bench.insert(10, b""), Inserted::Stored);
    assert_eq!((bench.take(10), bench.blocks(4)), (vec![], vec![]));
    assert!(bench.is_clean());
}

#[test]
fn data_that_cannot_be_cut_for_lack_of_memory_is_dropped() {
    let mut bench = Bench::new(MemoryLimits { references: 2, ..LIMITS }, 8);
    let whole = bench.packet(b"0123456789");
    bench.insert(14, b"x");
    // Its first half is cut off, the second is behind what there is.
    assert_eq!(bench.held.insert(&mut bench.pool, START + 10, whole), Inserted::NoMemory);
    assert_eq!(bench.ranges(), [(14, 15)]);
    assert!(bench.is_clean());

    let whole = bench.packet(b"0123456789");
    assert_eq!(bench.held.insert(&mut bench.pool, START + 10, whole.clone()), Inserted::Stored);
    let _last = bench.packet(b"takes the last reference");
    assert_eq!(bench.take(12), b"");
    assert_eq!(bench.ranges(), []);
}

/// A connection without losses pays 24 bytes; what out-of-order data costs is the pool's.
#[test]
fn a_connection_that_holds_nothing_costs_little() {
    assert_eq!(size_of::<Reassembly>(), 24);
    assert!(size_of::<Range>() <= 4 * size_of::<usize>() + 16);
}

/// Bytes of the receive window in the properties: as many as one step reaches.
const WINDOW: usize = 2_500;

/// How the bytes of a segment lie.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// In a buffer with room behind them.
    Pool,
    /// In constant memory.
    Constant,
    /// In two segments.
    Chain,
    /// In a buffer that somebody else sees.
    Shared,
}

#[derive(Clone, Debug)]
enum Step {
    /// Data so far behind what is expected next.
    Insert {
        ahead: u32,
        len: usize,
        shape: Shape,
    },
    /// Data that is expected next, and then what goes on behind it.
    InOrder {
        len: u32,
    },
    Clear,
}

/// A step; so many packets are large for a tiny one.
fn any_step(large: u32) -> impl Strategy<Value = Step> {
    let shape = prop_oneof![
        3 => Just(Shape::Pool), 2 => Just(Shape::Constant), 1 => Just(Shape::Chain), 1 => Just(Shape::Shared)
    ];
    let len = prop_oneof![1 => 1..12_usize, large => 150..400_usize];
    let insert = (1..2_000_u32, len, shape);
    prop_oneof![
        20 => insert.prop_map(|(ahead, len, shape)| Step::Insert { ahead, len, shape }),
        2 => (1..300_u32).prop_map(|len| Step::InOrder { len }),
        1 => Just(Step::Clear),
    ]
}

/// One byte of the window.
#[derive(Clone, Copy, Default)]
struct Byte {
    value: Option<u8>,
    /// In which step it was last heard of.
    step: usize,
}

/// A plain array of bytes that does the same.
struct Model {
    /// The window, from `next` on.
    bytes: Vec<Byte>,
    next: u32,
    step: usize,
    /// Whether everything had room so far.
    exact: bool,
}

impl Model {
    fn ranges(&self) -> Vec<(u32, u32)> {
        let (mut ranges, mut at) = (Vec::new(), self.next);
        for run in self.bytes.chunk_by(|a, b| a.value.is_some() == b.value.is_some()) {
            let end = at + run.len() as u32;
            if run[0].value.is_some() {
                ranges.push((at, end));
            }
            at = end;
        }
        ranges
    }

    fn window(&mut self, left: u32, right: u32) -> &mut [Byte] {
        &mut self.bytes[(left - self.next) as usize..(right - self.next) as usize]
    }

    /// The ranges, those that changed last first.
    fn changed(&mut self) -> Vec<(u32, u32)> {
        let mut ranges = self.ranges();
        ranges.sort_by_cached_key(|&(left, right)| {
            core::cmp::Reverse(self.window(left, right).iter().map(|byte| byte.step).max())
        });
        ranges
    }

    fn insert(&mut self, bench: &Bench, at: u32, bytes: &[u8], outcome: Inserted) {
        self.step += 1;
        let step = self.step;
        let is_dry = outcome == Inserted::NoMemory;
        let kept = bench.ranges();
        let is_kept = |at: u32| kept.iter().any(|&(left, right)| (left..right).contains(&at));
        let window = self.window(at, at + bytes.len() as u32);
        let mut expected = Inserted::Stored;
        if let Some(first) = window.iter().position(|byte| byte.value.is_some()) {
            let run = window[first..].iter().take_while(|byte| byte.value.is_some()).count();
            let start = START + at + first as u32;
            expected = Inserted::Duplicate { start, end: start + run as u32 };
        }
        for ((at, &value), byte) in (at..).zip(bytes).zip(window) {
            // For lack of memory a part may be missing.
            if byte.value.is_none() && (!is_dry || is_kept(at)) {
                byte.value = Some(value);
            }
            byte.step = step;
        }
        if !is_dry {
            assert_eq!(outcome, expected);
        } else if self.exact {
            assert!(bench.held.packets >= FEW, "there is room for a few packets");
            self.exact = false;
        }
        self.check(bench);
    }

    fn check(&mut self, bench: &Bench) {
        assert_eq!(bench.ranges(), self.ranges());
        if self.exact {
            let changed = self.changed();
            assert_eq!(bench.blocks(4), changed[..changed.len().min(4)]);
        }
    }

    fn in_order(&mut self, bench: &mut Bench, len: u32) {
        self.advance(len as usize);
        let held: Vec<u8> = self.bytes.iter().map_while(|byte| byte.value).collect();
        let taken = bench.take(self.next);
        if taken.is_empty() && !self.exact {
            // A packet that somebody else sees could not be cut, and is lost.
            let kept = bench.ranges();
            for (at, byte) in (self.next..).zip(&mut self.bytes[..held.len()]) {
                if !kept.iter().any(|&(left, right)| (left..right).contains(&at)) {
                    byte.value = None;
                }
            }
        } else {
            assert_eq!(taken, held);
            self.advance(taken.len());
        }
        self.check(bench);
    }

    fn advance(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.bytes.resize(WINDOW, Byte::default());
        self.next += len as u32;
    }
}

/// A packet with these bytes, and perhaps a second handle to it; `None` when the memory is dry.
fn shaped(bench: &Bench, bytes: &[u8], shape: Shape) -> Option<(Pbuf, Option<Pbuf>)> {
    let copied = |bytes: &[u8]| {
        let mut packet = bench.memory.alloc(Layer::Transport, bytes.len(), Kind::Pool).ok()?;
        packet.take(bytes).unwrap();
        Some(packet)
    };
    let constant = |bytes: &[u8]| bench.memory.from_vec(bytes.to_vec()).ok();
    match shape {
        Shape::Pool => Some((copied(bytes)?, None)),
        Shape::Constant => Some((constant(bytes)?, None)),
        Shape::Chain => {
            let mut packet = copied(&bytes[..bytes.len() / 2])?;
            packet.cat(constant(&bytes[bytes.len() / 2..])?).unwrap();
            Some((packet, None))
        }
        Shape::Shared => {
            let packet = copied(bytes)?;
            Some((packet.clone(), Some(packet)))
        }
    }
}

/// Runs the steps against both; `exact` if there is memory for everything.
fn run(limits: MemoryLimits, ranges: usize, steps: Vec<Step>, exact: bool) {
    let mut bench = Bench::new(limits, ranges);
    let mut model = Model { bytes: vec![Byte::default(); WINDOW], next: 0, step: 0, exact };
    let mut others = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Insert { ahead, len, shape } => {
                let at = model.next + ahead;
                // Other bytes each time, so that it shows which came first.
                let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + number * 31) as u8).collect();
                let Some((packet, other)) = shaped(&bench, &bytes, shape) else { continue };
                let outcome = bench.held.insert(&mut bench.pool, START + at, packet);
                if let Some(other) = &other {
                    assert_eq!(*other, bytes[..], "what others see does not change");
                }
                others.extend(other);
                model.insert(&bench, at, &bytes, outcome);
            }
            Step::InOrder { len } => model.in_order(&mut bench, len),
            Step::Clear => {
                bench.held.clear(&mut bench.pool);
                model.bytes.fill(Byte::default());
                others.clear();
                assert!(bench.memory.stats().is_unused());
            }
        }
    }
    drop(others);
    assert!(bench.is_clean());
}

fn config() -> Config {
    Config { cases: if cfg!(miri) { 4 } else { 512 }, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_stream_out_is_the_stream_in(steps in prop::collection::vec(any_step(3), 1..40)) {
        run(LIMITS, 256, steps, true);
    }

    #[test]
    fn the_lack_of_memory_loses_data_and_nothing_else(
        steps in prop::collection::vec(any_step(1), 1..40),
        (pool_buffers, references, ranges) in (2..20_usize, 0..12_usize, 0..12_usize),
    ) {
        run(MemoryLimits { pool_buffers, references, ..LIMITS }, ranges, steps, false);
    }
}
