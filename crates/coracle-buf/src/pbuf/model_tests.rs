//! Random sequences of every operation on packets that share bytes, held against plain vectors.

use core::cell::RefCell;
use core::ptr::NonNull;
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use crate::{Arena, Comparison, Error, Kind, Layer, Memory, MemoryLimits, Pbuf, PbufQueue};

static CONSTANT: [u8; 200] = {
    let mut bytes = [0; 200];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = i as u8 ^ 0x5a;
        i += 1;
    }
    bytes
};

/// What to do; numbers are scaled to what they choose from.
#[derive(Debug, Clone)]
enum Op {
    Alloc { layer: u8, len: usize, kind: u8 },
    Clone,
    Drop,
    Write { at: u16, bytes: Vec<u8> },
    PayloadMut { byte: u8 },
    Extend { bytes: Vec<u8> },
    AddHeader { bytes: Vec<u8> },
    RemoveRestore { n: usize },
    RemoveHeader { n: usize },
    Advance { n: u16 },
    Truncate { n: u16 },
    PullUp { n: u16 },
    Cat,
    Chain,
    Dechain,
    Slice { at: u16, len: u16 },
    SplitOff { at: u16 },
    Duplicate { kind: u8 },
    Coalesce,
    IntoOwned,
    CopyFrom { len: u16, at: u16 },
    Sum { at: u16, bytes: Vec<u8> },
    Push { front: bool },
    Pop,
    Read { at: u16, len: u16 },
}

fn op() -> impl Strategy<Value = Op> {
    let some = || prop::collection::vec(any::<u8>(), 0..40);
    let (a, b) = (any::<u16>, any::<u16>);
    prop_oneof![
        4 => (0..5u8, 0..200usize, 0..5u8).prop_map(|(layer, len, kind)| Op::Alloc { layer, len, kind }),
        2 => Just(Op::Clone),
        3 => Just(Op::Drop),
        2 => (a(), some()).prop_map(|(at, bytes)| Op::Write { at, bytes }),
        1 => any::<u8>().prop_map(|byte| Op::PayloadMut { byte }),
        2 => some().prop_map(|bytes| Op::Extend { bytes }),
        3 => some().prop_map(|bytes| Op::AddHeader { bytes }),
        1 => (0..60usize).prop_map(|n| Op::RemoveRestore { n }),
        2 => (0..60usize).prop_map(|n| Op::RemoveHeader { n }),
        2 => a().prop_map(|n| Op::Advance { n }),
        2 => a().prop_map(|n| Op::Truncate { n }),
        2 => a().prop_map(|n| Op::PullUp { n }),
        3 => Just(Op::Cat),
        2 => Just(Op::Chain),
        2 => Just(Op::Dechain),
        3 => (a(), b()).prop_map(|(at, len)| Op::Slice { at, len }),
        3 => a().prop_map(|at| Op::SplitOff { at }),
        1 => (0..5u8).prop_map(|kind| Op::Duplicate { kind }),
        1 => Just(Op::Coalesce),
        1 => Just(Op::IntoOwned),
        1 => (a(), b()).prop_map(|(len, at)| Op::CopyFrom { len, at }),
        1 => (a(), some()).prop_map(|(at, bytes)| Op::Sum { at, bytes }),
        2 => any::<bool>().prop_map(|front| Op::Push { front }),
        2 => Just(Op::Pop),
        2 => (a(), b()).prop_map(|(at, len)| Op::Read { at, len }),
    ]
}

fn kind(number: u8) -> Kind {
    [Kind::Ram, Kind::Pool, Kind::Rom, Kind::Ref, Kind::Custom][usize::from(number) % 5]
}

fn layer(number: u8) -> Layer {
    [Layer::Transport, Layer::Ip, Layer::Link, Layer::RawTx, Layer::Raw][usize::from(number) % 5]
}

/// `number`, scaled to 0 ..= max.
fn scale(number: u16, max: usize) -> usize {
    usize::from(number) * (max + 1) / (usize::from(u16::MAX) + 1)
}

/// The sum of RFC 1071, one byte at a time.
fn plain_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for (i, byte) in bytes.iter().enumerate() {
        sum += u64::from(*byte) << if i % 2 == 0 { 8 } else { 0 };
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

struct Model {
    memory: Memory,
    packets: Vec<(Pbuf, Vec<u8>)>,
    queue: PbufQueue,
    queued: VecDeque<Vec<u8>>,
}

impl Model {
    fn new() -> Self {
        let limits = MemoryLimits {
            pool_buffers: 12,
            pool_buffer_size: 96,
            small_buffers: 4,
            references: 20,
            heap_bytes: 4096,
        };
        Self {
            memory: Memory::new(&mut Arena::heap(), limits).unwrap(),
            packets: Vec::new(),
            queue: PbufQueue::new(),
            queued: VecDeque::new(),
        }
    }

    fn alloc(&mut self, layer: Layer, len: usize, kind: Kind) {
        let bytes: Vec<u8> = CONSTANT.iter().cycle().skip(len % 7).take(len).copied().collect();
        let memory = &self.memory;
        let made = match kind {
            Kind::Ram | Kind::Pool => memory.alloc(layer, len, kind).map(|mut pbuf| {
                pbuf.take(&bytes).unwrap();
                pbuf
            }),
            Kind::Rom => return self.push(memory.from_static(&CONSTANT[..len]), CONSTANT[..len].to_vec()),
            Kind::Ref => {
                // SAFETY: a static, which nobody writes.
                let made = unsafe { memory.from_volatile(CONSTANT.as_ptr(), len) };
                return self.push(made, CONSTANT[..len].to_vec());
            }
            Kind::Custom if len.is_multiple_of(2) => {
                memory.from_vec(bytes.clone()).map_err(|(error, back)| {
                    assert_eq!(back, bytes);
                    error
                })
            }
            Kind::Custom => memory.from_static_mut(leak(&bytes), came_back, len).map_err(|(error, back)| {
                assert_eq!(back, bytes);
                came_back(back, len);
                error
            }),
        };
        self.push(made, bytes);
    }

    fn push(&mut self, made: Result<Pbuf, Error>, bytes: Vec<u8>) {
        match made {
            Ok(pbuf) => self.packets.push((pbuf, bytes)),
            Err(error) => assert_eq!(error, Error::Memory),
        }
    }

    #[allow(clippy::too_many_lines)] // one arm per operation
    fn run(&mut self, op: Op, which: usize, other: usize) {
        if let Op::Alloc { layer: l, len, kind: k } = op {
            return self.alloc(layer(l), len, kind(k));
        }
        if self.packets.is_empty() {
            return;
        }
        let count = self.packets.len();
        let (mut pbuf, mut bytes) = self.packets.swap_remove(which % count);
        let mut more = None;
        match op {
            Op::Alloc { .. } => {}
            Op::Drop => return,
            Op::Clone => more = Some((pbuf.clone(), bytes.clone())),
            Op::Write { at, bytes: new } => {
                let at = scale(at, bytes.len());
                let fits = at + new.len() <= bytes.len();
                match pbuf.take_at(at, &new) {
                    Ok(()) => bytes[at..at + new.len()].copy_from_slice(&new),
                    Err(error) => assert_eq!(error, if fits { Error::Value } else { Error::Argument }),
                }
            }
            Op::PayloadMut { byte } => {
                if let Ok(payload) = pbuf.payload_mut() {
                    payload.fill(byte);
                    let len = payload.len();
                    bytes[..len].fill(byte);
                }
            }
            Op::Extend { bytes: new } => match pbuf.extend_from_slice(&new) {
                Ok(()) => bytes.extend(new),
                Err(error) => assert_eq!(error, Error::Buffer),
            },
            Op::AddHeader { bytes: new } => match pbuf.add_header(new.len()) {
                Ok(header) => {
                    header.copy_from_slice(&new);
                    bytes.splice(0..0, new);
                }
                Err(error) => assert_eq!(error, Error::Buffer),
            },
            Op::RemoveRestore { n } => {
                if pbuf.remove_header(n).is_ok() {
                    // The first segment is this packet's own now, so it needs no reference.
                    assert_eq!(pbuf.restore_header(n).unwrap(), &bytes[..n]);
                }
            }
            Op::RemoveHeader { n } => {
                let there = pbuf.payload().len();
                match pbuf.remove_header(n) {
                    Ok(()) => drop(bytes.drain(..n)),
                    Err(error) => assert_eq!(error, if n > there { Error::Argument } else { Error::Memory }),
                }
            }
            Op::Advance { n } => {
                let n = scale(n, bytes.len() + 1);
                match pbuf.advance(n) {
                    Ok(()) => drop(bytes.drain(..n)),
                    Err(error) => {
                        assert_eq!(error, if n > bytes.len() { Error::Argument } else { Error::Memory });
                    }
                }
            }
            Op::Truncate { n } => {
                let n = scale(n, bytes.len() + 1);
                match pbuf.truncate(n) {
                    Ok(()) => bytes.truncate(n),
                    Err(error) => {
                        assert_eq!(error, if n > bytes.len() { Error::Argument } else { Error::Memory });
                    }
                }
            }
            Op::PullUp { n } => {
                let n = scale(n, bytes.len() + 1);
                match pbuf.pull_up(n) {
                    Ok(()) => assert!(pbuf.payload().len() >= n),
                    Err(error) => {
                        assert_eq!(error, if n > bytes.len() { Error::Argument } else { Error::Memory });
                    }
                }
            }
            Op::Cat if count > 1 => {
                let (tail, tail_bytes) = self.packets.swap_remove(other % (count - 1));
                match pbuf.cat(tail) {
                    Ok(()) => bytes.extend(tail_bytes),
                    Err((error, tail)) => {
                        assert_eq!(error, Error::Memory);
                        more = Some((tail, tail_bytes));
                    }
                }
            }
            Op::Cat => {
                let itself = pbuf.clone();
                match pbuf.cat(itself) {
                    Ok(()) => bytes = bytes.repeat(2),
                    Err((error, _)) => assert_eq!(error, Error::Memory),
                }
            }
            Op::Chain => {
                if let Some((tail, tail_bytes)) = self.packets.get(other % count) {
                    match pbuf.chain(tail) {
                        Ok(()) => bytes.extend(tail_bytes),
                        Err(error) => assert_eq!(error, Error::Memory),
                    }
                }
            }
            Op::Dechain => match pbuf.dechain() {
                Ok(rest) => {
                    assert_eq!(pbuf.segment_count(), 1);
                    let later = bytes.split_off(pbuf.len());
                    assert!(rest.is_some() || later.is_empty());
                    more = rest.map(|rest| (rest, later));
                }
                Err(error) => assert_eq!(error, Error::Memory),
            },
            Op::Slice { at, len } => {
                let at = scale(at, bytes.len() + 1);
                let len = scale(len, bytes.len() + 1);
                match pbuf.slice(at, len) {
                    Ok(slice) => more = Some((slice, bytes[at..at + len].to_vec())),
                    Err(Error::Memory) => assert!(at + len <= bytes.len()),
                    Err(error) => assert!(error == Error::Argument && at + len > bytes.len()),
                }
            }
            Op::SplitOff { at } => {
                let at = scale(at, bytes.len() + 1);
                match pbuf.split_off(at) {
                    Ok(rest) => more = Some((rest, bytes.split_off(at))),
                    Err(error) => {
                        assert_eq!(error, if at > bytes.len() { Error::Argument } else { Error::Memory });
                    }
                }
            }
            Op::Duplicate { kind: k } => match pbuf.duplicate(layer(k), kind(k)) {
                Ok(copy) => {
                    assert!(copy.is_writable());
                    more = Some((copy, bytes.clone()));
                }
                Err(error) => assert_eq!(error, if k < 2 { Error::Memory } else { Error::Argument }),
            },
            Op::Coalesce => match pbuf.coalesce(Layer::Link) {
                Ok(()) => assert_eq!(pbuf.segment_count(), 1),
                Err(error) => assert_eq!(error, Error::Memory),
            },
            Op::IntoOwned => {
                pbuf = pbuf.into_owned().unwrap_or_else(|(error, back)| {
                    assert_eq!(error, Error::Memory);
                    back
                });
            }
            Op::CopyFrom { len, at } => {
                if let Some((from, from_bytes)) = self.packets.get(other % count) {
                    let (len, at) = (scale(len, from_bytes.len() + 1), scale(at, bytes.len()));
                    let fits = len <= from_bytes.len() && at + len <= bytes.len();
                    match pbuf.copy_range_from(from, len, at) {
                        Ok(()) => bytes[at..at + len].copy_from_slice(&from_bytes[..len]),
                        Err(error) => assert_eq!(error, if fits { Error::Value } else { Error::Argument }),
                    }
                }
            }
            Op::Sum { at, bytes: new } => {
                let at = scale(at, bytes.len());
                if let Ok(sum) = pbuf.take_and_checksum(at, &new) {
                    bytes[at..at + new.len()].copy_from_slice(&new);
                    assert_eq!(sum, plain_sum(&new));
                }
            }
            Op::Push { front } => {
                let pushed = if front { self.queue.push_front(pbuf) } else { self.queue.push_back(pbuf) };
                match pushed {
                    Ok(()) if front => self.queued.push_front(bytes),
                    Ok(()) => self.queued.push_back(bytes),
                    Err((error, back)) => {
                        assert_eq!(error, Error::Memory);
                        self.packets.push((back, bytes));
                    }
                }
                return;
            }
            Op::Pop => more = self.queue.pop_front().map(|first| (first, self.queued.pop_front().unwrap())),
            Op::Read { at, len } => read(&pbuf, &bytes, scale(at, bytes.len()), scale(len, bytes.len())),
        }
        self.packets.push((pbuf, bytes));
        self.packets.extend(more);
    }

    fn check(&self) {
        for (pbuf, bytes) in &self.packets {
            check(pbuf, bytes);
        }
        assert_eq!(self.queue.len(), self.queued.len());
        assert_eq!(self.queue.bytes(), self.queued.iter().map(Vec::len).sum());
        assert!(self.queue.iter().zip(&self.queued).all(|(pbuf, bytes)| *pbuf == bytes[..]));
        assert_eq!(self.queue.iter().count(), self.queued.len());
    }
}

std::thread_local! {
    /// Leaked buffers, which a test frees at its end.
    static LEAKED: RefCell<Vec<(NonNull<[u8]>, bool)>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that is the program's for good, as far as a `Memory` knows.
fn leak(bytes: &[u8]) -> &'static mut [u8] {
    let buffer = NonNull::from(Box::leak(bytes.to_vec().into_boxed_slice()));
    LEAKED.with_borrow_mut(|all| all.push((buffer, false)));
    // SAFETY: just leaked, and freed when nobody uses it any more.
    unsafe { &mut *buffer.as_ptr() }
}

/// Notes that the buffer came back.
fn came_back(buffer: &'static mut [u8], len: usize) {
    assert_eq!(buffer.len(), len);
    let at = buffer.as_ptr();
    LEAKED.with_borrow_mut(|all| {
        let known = all.iter_mut().find(|(known, _)| known.as_ptr().cast::<u8>().cast_const() == at);
        let (_, back) = known.expect("a buffer that was leaked");
        assert!(!core::mem::replace(back, true), "came back twice");
    });
}

/// Frees the leaked buffers, all of which came back.
fn free_leaked() {
    for (buffer, back) in LEAKED.take() {
        assert!(back);
        // SAFETY: leaked from a box, came back, and is used by nobody any more.
        drop(unsafe { Box::from_raw(buffer.as_ptr()) });
    }
}

/// What holds of every packet.
fn check(pbuf: &Pbuf, bytes: &[u8]) {
    assert_eq!(pbuf.segments().collect::<Vec<_>>().concat(), bytes);
    assert_eq!((pbuf.len(), pbuf.is_empty()), (bytes.len(), bytes.is_empty()));
    let mut after = pbuf.len();
    for segment in pbuf.chain_segments() {
        assert_eq!(segment.total(), after);
        after -= segment.len();
        assert!(segment.headroom() < 1 << 20 && segment.tailroom() < 1 << 20);
    }
    assert_eq!(after, 0);
}

/// Everything that reads.
fn read(pbuf: &Pbuf, bytes: &[u8], at: usize, len: usize) {
    let there = bytes.get(at..at + len);
    let mut into = vec![0; len];
    let n = pbuf.copy_to(at, &mut into);
    assert_eq!(n, len.min(bytes.len() - at));
    assert_eq!(into[..n], bytes[at..at + n]);
    let mut scratch = vec![0; len];
    assert_eq!(pbuf.contiguous(at, len, &mut scratch), there);
    assert_eq!(pbuf.get_at(at), bytes.get(at).copied());
    let place = pbuf.skip(at);
    assert_eq!(place.map(|(i, offset)| pbuf.segments().nth(i).unwrap()[offset]), bytes.get(at).copied());
    let Some(there) = there else {
        assert_eq!(pbuf.compare(at, &into), Comparison::OutOfRange);
        return;
    };
    assert_eq!(pbuf.compare(at, there), Comparison::Equal);
    if len > 0 {
        into[len / 2] ^= 0x80;
        assert_eq!(pbuf.compare(at, &into), Comparison::DiffersAt(len / 2));
        let found = bytes.windows(len).position(|window| window == there);
        assert_eq!(pbuf.find(there, 0), found);
        assert_eq!(pbuf.find(there, at), Some(at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 1500 },
        failure_persistence: None,
        max_shrink_iters: if cfg!(miri) { 0 } else { 4096 },
        ..ProptestConfig::default()
    })]

    #[test]
    fn packets_behave_like_vectors(ops in prop::collection::vec((op(), any::<u8>(), any::<u8>()), 1..if cfg!(miri) { 60 } else { 150 })) {
        let mut model = Model::new();
        for (op, which, other) in ops {
            model.run(op, usize::from(which), usize::from(other));
            model.check();
        }
        let memory = model.memory.clone();
        drop(model);
        free_leaked();
        let stats = memory.stats();
        prop_assert_eq!((stats.pool.used, stats.references.used, stats.heap.used), (0, 0, 0));
    }
}
