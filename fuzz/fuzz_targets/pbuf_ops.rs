//! Sequences of operations on packets that share bytes, held against plain vectors.
//!
//! The pools are small, so that every operation also meets the lack of memory: it fails with an ordinary error then, and
//! leaves what it was given as it was. At the end every buffer is back.
#![no_main]

use std::collections::VecDeque;

use coracle::Error;
use coracle::buf::{Arena, Comparison, Kind, Layer, Memory, MemoryLimits, Pbuf, PbufQueue};
use libfuzzer_sys::fuzz_target;

static CONSTANT: [u8; 256] = [0xc5; 256];

const LIMITS: MemoryLimits = MemoryLimits {
    pool_buffers: 12,
    pool_buffer_size: 96,
    small_buffers: 4,
    references: 20,
    heap_bytes: 4_096,
};

/// Operations of one input, and packets at one time.
const MOST_STEPS: usize = 300;
const MOST_PACKETS: usize = 40;

fuzz_target!(|data: &[u8]| {
    let memory = Memory::new(&mut Arena::heap(), LIMITS).expect("the heap of the host");
    let mut program = Program(data);
    let mut model = Model {
        memory: memory.clone(),
        packets: Vec::new(),
        queue: PbufQueue::new(),
        queued: VecDeque::new(),
    };
    for _ in 0..MOST_STEPS {
        if program.0.is_empty() {
            break;
        }
        model.step(&mut program);
        model.check();
    }
    drop(model);
    assert!(memory.stats().is_unused());
});

/// The rest of the input.
struct Program<'a>(&'a [u8]);

impl<'a> Program<'a> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    /// A number from 0 to `max`.
    fn up_to(&mut self, max: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()])) % (max + 1)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte() % 64).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    fn layer(&mut self) -> Layer {
        [Layer::Transport, Layer::Ip, Layer::Link, Layer::RawTx, Layer::Raw][usize::from(self.byte() % 5)]
    }
}

struct Model {
    memory: Memory,
    packets: Vec<(Pbuf, Vec<u8>)>,
    queue: PbufQueue,
    queued: VecDeque<Vec<u8>>,
}

impl Model {
    fn step(&mut self, program: &mut Program<'_>) {
        let op = program.byte() % 20;
        if op < 2 || self.packets.is_empty() {
            if self.packets.len() < MOST_PACKETS {
                self.allocate(program);
            }
            return;
        }
        let which = usize::from(program.byte()) % self.packets.len();
        let (packet, bytes) = self.packets.swap_remove(which);
        match op {
            2 => drop(packet),
            3 => self.share(program, packet, bytes),
            4..=7 => self.change_bytes(op, program, packet, bytes),
            8..=11 => self.change_ends(op, program, packet, bytes),
            12..=14 => self.join(op, program, packet, bytes),
            15..=16 => self.cut(op, program, packet, bytes),
            17 => self.gather(program, packet, bytes),
            18 => self.enqueue(program, packet, bytes),
            _ => self.read(program, packet, bytes),
        }
    }

    fn allocate(&mut self, program: &mut Program<'_>) {
        let layer = program.layer();
        let len = program.up_to(250);
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7) as u8 ^ len as u8).collect();
        let made = match program.byte() % 4 {
            0 => self.memory.alloc(layer, len, Kind::Ram),
            1 => self.memory.alloc(layer, len, Kind::Pool),
            2 => {
                let made = self.memory.from_static(&CONSTANT[..len]);
                return self.keep(made, CONSTANT[..len].to_vec());
            }
            _ => self.memory.from_vec(bytes.clone()).map_err(|(error, back)| {
                assert_eq!(back, bytes);
                error
            }),
        };
        let made = made.map(|mut packet| {
            packet.take(&bytes).expect("a fresh buffer is writable");
            packet
        });
        self.keep(made, bytes);
    }

    fn keep(&mut self, made: Result<Pbuf, Error>, bytes: Vec<u8>) {
        match made {
            Ok(packet) => self.packets.push((packet, bytes)),
            Err(error) => assert_eq!(error, Error::Memory),
        }
    }

    fn put(&mut self, packet: Pbuf, bytes: Vec<u8>) {
        self.packets.push((packet, bytes));
    }

    fn share(&mut self, program: &mut Program<'_>, packet: Pbuf, bytes: Vec<u8>) {
        let at = program.up_to(bytes.len() + 1);
        let len = program.up_to(bytes.len() + 1);
        if program.byte() & 1 == 0 {
            self.put(packet.clone(), bytes.clone());
        } else {
            match packet.slice(at, len) {
                Ok(slice) => self.put(slice, bytes[at..at + len].to_vec()),
                Err(Error::Memory) => assert!(at + len <= bytes.len()),
                Err(error) => assert!(error == Error::Argument && at + len > bytes.len()),
            }
        }
        self.put(packet, bytes);
    }

    fn change_bytes(&mut self, op: u8, program: &mut Program<'_>, mut packet: Pbuf, mut bytes: Vec<u8>) {
        let at = program.up_to(bytes.len() + 1);
        let new = program.bytes();
        let fits = at + new.len() <= bytes.len();
        let result = match op {
            4 => packet.take_at(at, new),
            5 => packet.take_and_checksum(at, new).map(drop),
            6 => match packet.payload_mut() {
                Ok(payload) => {
                    payload.fill(at as u8);
                    let len = payload.len();
                    bytes[..len].fill(at as u8);
                    return self.put(packet, bytes);
                }
                Err(_) => return self.put(packet, bytes),
            },
            _ => {
                let Some((from, other)) = self.packets.first() else { return self.put(packet, bytes) };
                let len = new.len().min(other.len());
                let result = packet.copy_range_from(from, len, at);
                if result.is_ok() {
                    bytes[at..at + len].copy_from_slice(&other[..len]);
                } else {
                    assert_eq!(
                        result,
                        Err(if at + len <= bytes.len() { Error::Value } else { Error::Argument })
                    );
                }
                return self.put(packet, bytes);
            }
        };
        match result {
            Ok(()) => bytes[at..at + new.len()].copy_from_slice(new),
            Err(error) => assert_eq!(error, if fits { Error::Value } else { Error::Argument }),
        }
        self.put(packet, bytes);
    }

    /// Headers and lengths.
    fn change_ends(&mut self, op: u8, program: &mut Program<'_>, mut packet: Pbuf, mut bytes: Vec<u8>) {
        let n = program.up_to(bytes.len() + 1);
        match op {
            8 => {
                let new = program.bytes();
                match packet.add_header(new.len()) {
                    Ok(header) => {
                        header.copy_from_slice(new);
                        bytes.splice(0..0, new.iter().copied());
                    }
                    Err(error) => assert_eq!(error, Error::Buffer),
                }
            }
            9 => {
                let there = packet.payload().len();
                match packet.remove_header(n) {
                    Ok(()) => drop(bytes.drain(..n)),
                    Err(error) => assert_eq!(error, if n > there { Error::Argument } else { Error::Memory }),
                }
            }
            10 => match packet.truncate(n) {
                Ok(()) => bytes.truncate(n),
                Err(error) => {
                    assert_eq!(error, if n > bytes.len() { Error::Argument } else { Error::Memory })
                }
            },
            _ => match packet.advance(n) {
                Ok(()) => drop(bytes.drain(..n)),
                Err(error) => {
                    assert_eq!(error, if n > bytes.len() { Error::Argument } else { Error::Memory })
                }
            },
        }
        self.put(packet, bytes);
    }

    fn join(&mut self, op: u8, program: &mut Program<'_>, mut packet: Pbuf, mut bytes: Vec<u8>) {
        let other = usize::from(program.byte());
        match op {
            12 if !self.packets.is_empty() => {
                let (tail, tail_bytes) = self.packets.swap_remove(other % self.packets.len());
                match packet.cat(tail) {
                    Ok(()) => bytes.extend(tail_bytes),
                    Err((error, tail)) => {
                        assert_eq!(error, Error::Memory);
                        self.put(tail, tail_bytes);
                    }
                }
            }
            13 if !self.packets.is_empty() => {
                let (tail, tail_bytes) = &self.packets[other % self.packets.len()];
                match packet.chain(tail) {
                    Ok(()) => bytes.extend(tail_bytes),
                    Err(error) => assert_eq!(error, Error::Memory),
                }
            }
            _ => match packet.dechain() {
                Ok(rest) => {
                    assert_eq!(packet.segment_count(), 1);
                    let later = bytes.split_off(packet.len());
                    assert!(rest.is_some() || later.is_empty());
                    if let Some(rest) = rest {
                        self.put(rest, later);
                    }
                }
                Err(error) => assert_eq!(error, Error::Memory),
            },
        }
        // What shares itself again and again would grow without end.
        if bytes.len() < 4_096 {
            self.put(packet, bytes);
        }
    }

    fn cut(&mut self, op: u8, program: &mut Program<'_>, mut packet: Pbuf, mut bytes: Vec<u8>) {
        let at = program.up_to(bytes.len() + 1);
        if op == 15 {
            match packet.split_off(at) {
                Ok(rest) => {
                    let later = bytes.split_off(at);
                    self.put(rest, later);
                }
                Err(error) => {
                    assert_eq!(error, if at > bytes.len() { Error::Argument } else { Error::Memory })
                }
            }
        } else {
            match packet.pull_up(at) {
                Ok(()) => assert!(packet.payload().len() >= at),
                Err(error) => {
                    assert_eq!(error, if at > bytes.len() { Error::Argument } else { Error::Memory })
                }
            }
        }
        self.put(packet, bytes);
    }

    /// Copies into memory of one's own.
    fn gather(&mut self, program: &mut Program<'_>, mut packet: Pbuf, bytes: Vec<u8>) {
        let layer = program.layer();
        match program.byte() % 3 {
            0 => match packet.duplicate(layer, Kind::Pool) {
                Ok(copy) => {
                    assert!(copy.is_writable());
                    self.put(copy, bytes.clone());
                }
                Err(error) => assert_eq!(error, Error::Memory),
            },
            1 => match packet.coalesce(layer) {
                Ok(()) => assert_eq!(packet.segment_count(), 1),
                Err(error) => assert_eq!(error, Error::Memory),
            },
            _ => {
                packet = packet.into_owned().unwrap_or_else(|(error, back)| {
                    assert_eq!(error, Error::Memory);
                    back
                });
            }
        }
        self.put(packet, bytes);
    }

    fn enqueue(&mut self, program: &mut Program<'_>, packet: Pbuf, bytes: Vec<u8>) {
        let how = program.byte();
        let pushed = if how & 1 == 0 { self.queue.push_back(packet) } else { self.queue.push_front(packet) };
        match pushed {
            Ok(()) if how & 1 == 0 => self.queued.push_back(bytes),
            Ok(()) => self.queued.push_front(bytes),
            Err((error, packet)) => {
                assert_eq!(error, Error::Memory);
                self.put(packet, bytes);
            }
        }
        if how & 2 != 0
            && let Some(first) = self.queue.pop_front()
        {
            let bytes = self.queued.pop_front().expect("as many as in the queue");
            self.put(first, bytes);
        }
        if how & 0xf0 == 0xf0 {
            self.queue.clear();
            self.queued.clear();
        }
    }

    fn read(&mut self, program: &mut Program<'_>, packet: Pbuf, bytes: Vec<u8>) {
        let at = program.up_to(bytes.len());
        let len = program.up_to(bytes.len() + 1);
        let there = bytes.get(at..at + len);
        let mut into = vec![0; len];
        let copied = packet.copy_to(at, &mut into);
        assert_eq!(copied, len.min(bytes.len() - at));
        assert_eq!(into[..copied], bytes[at..at + copied]);
        let mut scratch = vec![0; len];
        assert_eq!(packet.contiguous(at, len, &mut scratch), there);
        assert_eq!(packet.get_at(at), bytes.get(at).copied());
        match there {
            Some(part) => {
                assert_eq!(packet.compare(at, part), Comparison::Equal);
                if len > 0 {
                    let first = bytes.windows(len).position(|window| window == part);
                    assert_eq!(packet.find(part, 0), first);
                }
            }
            None => assert_eq!(packet.compare(at, &into), Comparison::OutOfRange),
        }
        self.put(packet, bytes);
    }

    fn check(&self) {
        for (packet, bytes) in &self.packets {
            assert_eq!(packet.len(), bytes.len());
            assert_eq!(packet.segments().map(<[u8]>::len).sum::<usize>(), bytes.len());
            let mut rest = &bytes[..];
            for segment in packet.segments() {
                let (part, later) = rest.split_at(segment.len());
                assert_eq!(segment, part);
                rest = later;
            }
        }
        assert_eq!(self.queue.len(), self.queued.len());
        assert!(self.queue.iter().zip(&self.queued).all(|(packet, bytes)| *packet == bytes[..]));
    }
}
