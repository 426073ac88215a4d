//! Tests of the heap.

use crate::{Arena, Error, Kind, Layer, Memory, MemoryLimits};
use std::format;
use std::vec::Vec;

fn memory(heap_bytes: usize) -> Memory {
    let limits =
        MemoryLimits { pool_buffers: 0, pool_buffer_size: 0, small_buffers: 0, references: 0, heap_bytes };
    Memory::new(&mut Arena::heap(), limits).unwrap()
}

#[test]
fn bytes_are_zero_also_the_second_time() {
    let memory = memory(4096);
    for _ in 0..2 {
        let mut bytes = memory.heap_alloc(1000).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(0xff);
        assert_eq!(memory.stats().heap.used, 1000);
    }
    assert_eq!(memory.stats().heap.used, 0);
    assert_eq!(memory.stats().heap.peak, 1000);
}

#[test]
fn the_heap_runs_dry_and_works_again() {
    let memory = memory(4096);
    for round in 1..4 {
        let mut all = Vec::new();
        let error = loop {
            match memory.heap_alloc(100) {
                Ok(bytes) => all.push(bytes),
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::Memory);
        assert!(all.len() > 20);
        assert_eq!(memory.stats().heap.failed, round);
        assert_eq!(memory.stats().heap.used, all.len() * 100);
    }
    assert_eq!(memory.stats().heap.used, 0);
    memory.heap_alloc(3000).unwrap();
}

#[test]
fn trimming_gives_the_end_back() {
    let memory = memory(4096);
    let mut long = memory.heap_alloc(3000).unwrap();
    assert_eq!(memory.heap_alloc(2000).unwrap_err(), Error::Memory);
    long[9] = 9;
    long.trim(5000);
    assert_eq!(long.len(), 3000);
    long.trim(10);
    assert_eq!(*long, [0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(memory.stats().heap.used, 10);
    memory.heap_alloc(2000).unwrap();
    long.trim(0);
    assert!(long.is_empty());
    drop(long);
    assert_eq!(memory.stats().heap.used, 0);
}

#[test]
fn sizes_at_the_ends() {
    let memory = memory(4096);
    assert_eq!(memory.heap_alloc(0).unwrap().len(), 0);
    for len in [4097, usize::MAX / 2, usize::MAX] {
        assert_eq!(memory.heap_alloc(len).unwrap_err(), Error::Memory);
        assert_eq!(memory.alloc(Layer::Raw, len, Kind::Ram).unwrap_err(), Error::Memory);
    }
    assert_eq!(memory.stats().heap.failed, 6);
    assert_eq!(memory.stats().heap.used, 0);
}

#[test]
fn heap_bytes_outlive_their_memory() {
    let memory = memory(4096);
    let bytes = memory.heap_alloc(100).unwrap();
    drop(memory);
    assert_eq!(bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>(), 0);
    assert_eq!(format!("{bytes:?}"), "HeapBuf { len: 100, .. }");
}
