//! Tests of packet buffers, each function on its own.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::{Arena, Layer, MemoryLimits};

const LIMITS: MemoryLimits =
    MemoryLimits { pool_buffers: 8, pool_buffer_size: 100, references: 16, heap_bytes: 8192 };

fn memory() -> Memory {
    Memory::new(&mut Arena::heap(), LIMITS).unwrap()
}

#[track_caller]
fn assert_balanced(memory: &Memory) {
    let stats = memory.stats();
    assert_eq!((stats.pool.used, stats.references.used, stats.heap.used), (0, 0, 0));
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + 1) as u8).collect()
}

/// A packet of pool buffers with these bytes.
fn packet(memory: &Memory, len: usize) -> Pbuf {
    let mut packet = memory.alloc(Layer::Raw, len, Kind::Pool).unwrap();
    packet.take(&bytes(len)).unwrap();
    packet
}

#[test]
fn headers_are_added_and_removed_in_place() {
    let memory = memory();
    for kind in [Kind::Ram, Kind::Pool] {
        let mut pbuf = memory.alloc(Layer::Transport, 10, kind).unwrap();
        pbuf.take(&bytes(10)).unwrap();
        let at = pbuf.payload().as_ptr();
        pbuf.add_header(20).unwrap().fill(1);
        pbuf.add_header(60).unwrap().fill(2);
        assert_eq!((pbuf.len(), pbuf.headroom()), (90, 0));
        assert_eq!(pbuf.add_header(1), Err(Error::Buffer));
        assert_eq!(pbuf.remove_header(91), Err(Error::Argument));
        pbuf.remove_header(80).unwrap();
        assert_eq!(pbuf.payload().as_ptr(), at);
        assert_eq!(pbuf, &bytes(10)[..]);
    }
    assert_balanced(&memory);
}

#[test]
fn a_chain_of_pool_buffers_holds_everything() {
    let memory = memory();
    let pbuf = packet(&memory, 250);
    assert_eq!((pbuf.len(), pbuf.segment_count()), (250, 3));
    assert_eq!(pbuf.segments().map(<[u8]>::len).collect::<Vec<_>>(), vec![100, 100, 50]);
    assert_eq!(pbuf, &bytes(250)[..]);
    drop(pbuf);
    assert_balanced(&memory);
}
