//! Tests of queues.

use super::*;
use crate::{Arena, Kind, Layer, Memory, MemoryLimits};
use std::vec::Vec;

fn memory(references: usize) -> Memory {
    let limits =
        MemoryLimits { pool_buffers: 8, pool_buffer_size: 100, small_buffers: 0, references, heap_bytes: 0 };
    Memory::new(&mut Arena::heap(), limits).unwrap()
}

fn packet(memory: &Memory, byte: u8) -> Pbuf {
    let mut packet = memory.alloc(Layer::Raw, usize::from(byte), Kind::Pool).unwrap();
    packet.payload_mut().unwrap().fill(byte);
    packet
}

#[test]
fn first_in_first_out() {
    let memory = memory(0);
    let mut queue = PbufQueue::new();
    assert!(queue.pop_front().is_none() && queue.front().is_none() && queue.is_empty());
    for byte in 1..4 {
        queue.push_back(packet(&memory, byte)).unwrap();
    }
    queue.push_front(packet(&memory, 9)).unwrap();
    assert_eq!((queue.len(), queue.bytes()), (4, 1 + 2 + 3 + 9));
    assert_eq!(queue.iter().map(Pbuf::len).collect::<Vec<_>>(), [9, 1, 2, 3]);
    assert_eq!(queue.front().unwrap().len(), 9);
    assert_eq!(queue.pop_front().unwrap().len(), 9);
    assert_eq!(queue.pop_front().unwrap(), &[1]);
    queue.push_back(packet(&memory, 5)).unwrap();
    assert_eq!(core::iter::from_fn(|| queue.pop_front()).map(|p| p.len()).collect::<Vec<_>>(), [2, 3, 5]);
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
    queue.push_front(packet(&memory, 1)).unwrap();
    queue.push_back(packet(&memory, 2)).unwrap();
    assert_eq!(std::format!("{queue:?}").matches("Pbuf {").count(), 2);
    queue.clear();
    assert!(queue.is_empty());
    queue.push_back(packet(&memory, 1)).unwrap();
    drop(queue);
    assert_eq!(memory.stats().pool.used, 0);
}

#[test]
fn one_queue_goes_behind_another() {
    let memory = memory(0);
    let (mut queue, mut other) = (PbufQueue::new(), PbufQueue::new());
    queue.append(&mut other);
    assert!(queue.is_empty());
    for byte in [1, 2] {
        other.push_back(packet(&memory, byte)).unwrap();
    }
    queue.append(&mut other);
    assert_eq!((queue.len(), queue.bytes(), other.len(), other.bytes()), (2, 3, 0, 0));
    queue.append(&mut other);
    // Both go on as queues of their own.
    other.push_back(packet(&memory, 3)).unwrap();
    queue.push_back(packet(&memory, 4)).unwrap();
    queue.append(&mut other);
    queue.push_back(packet(&memory, 5)).unwrap();
    assert_eq!((queue.len(), queue.bytes()), (5, 15));
    assert_eq!(
        core::iter::from_fn(|| queue.pop_front()).map(|p| p.len()).collect::<Vec<_>>(),
        [1, 2, 4, 3, 5]
    );
    assert_eq!(memory.stats().pool.used, 0);
}

#[test]
fn packets_come_out_as_one() {
    let memory = memory(1);
    let mut queue = PbufQueue::new();
    assert!(queue.pop_joined().is_none());
    for byte in 1..5 {
        queue.push_back(packet(&memory, byte)).unwrap();
    }
    let joined = queue.pop_joined().unwrap();
    assert_eq!((joined.len(), joined.segment_count(), queue.len(), queue.bytes()), (10, 4, 0, 0));
    assert_eq!(joined, &[1, 2, 2, 3, 3, 3, 4, 4, 4, 4]);
    // A chain among them, and one alone.
    queue.push_back(packet(&memory, 1)).unwrap();
    queue.push_back(joined).unwrap();
    queue.push_back(packet(&memory, 2)).unwrap();
    let joined = queue.pop_joined().unwrap();
    assert_eq!(joined, &[1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 2, 2]);
    let mut cut = joined.slice(12, 1).unwrap();
    queue.push_back(cut.clone()).unwrap();
    assert_eq!(queue.pop_joined().unwrap(), &[2]);
    cut.cat(joined).unwrap();
    assert_eq!(cut.len(), 14);
    drop(cut);
    assert!(memory.stats().is_unused());
}

/// [`Pbuf::cat`] would refuse; here the queue keeps what does not fit, and nobody's packet changes.
#[test]
fn shared_packets_are_joined_as_far_as_references_go() {
    for references in 0..4 {
        let memory = memory(references);
        let mut queue = PbufQueue::new();
        let kept: Vec<_> = (1..5).map(|byte| packet(&memory, byte)).collect();
        for packet in &kept {
            queue.push_back(packet.clone()).unwrap();
        }
        let mut all = Vec::new();
        let mut first = None;
        while let Some(joined) = queue.pop_joined() {
            assert_eq!(joined.len(), joined.segments().map(<[u8]>::len).sum());
            first.get_or_insert(joined.segment_count());
            all.extend(joined.segments().flatten().copied());
        }
        assert_eq!(all, [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]);
        assert_eq!(first, Some(references + 1), "each packet but the last takes a reference");
        assert!(kept.iter().map(Pbuf::len).eq(1..5));
        drop(kept);
        assert!(memory.stats().is_unused());
    }
}

#[test]
fn bytes_go_behind_the_newest_packet_where_there_is_room() {
    let memory = memory(1);
    let mut queue = PbufQueue::new();
    assert_eq!(queue.extend_back(b"no packet"), Err(Error::Buffer));
    queue.push_back(packet(&memory, 1)).unwrap();
    queue.push_back(packet(&memory, 2)).unwrap();
    queue.extend_back(b"three").unwrap();
    assert_eq!((queue.len(), queue.bytes()), (2, 8));
    assert_eq!(queue.extend_back(&[0; 94]), Err(Error::Buffer));
    queue.extend_back(&[9; 93]).unwrap();
    assert_eq!(queue.pop_front().unwrap(), &[1]);
    let last = queue.pop_front().unwrap();
    assert_eq!((last.len(), &last.payload()[..8]), (100, &b"\x02\x02three\x09"[..]));
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn a_shared_packet_is_in_one_queue_as_it_is() {
    let memory = memory(0);
    let (mut queue, kept) = (PbufQueue::new(), packet(&memory, 3));
    queue.push_back(kept.clone()).unwrap();
    // Out and in again.
    let popped = queue.pop_front().unwrap();
    queue.push_back(popped).unwrap();
    assert_eq!(memory.stats().references, crate::PoolStats::default());
    assert_eq!(queue.front().unwrap().payload().as_ptr(), kept.payload().as_ptr());
}

#[test]
fn a_packet_in_two_queues_gets_a_fresh_segment_or_comes_back() {
    let memory = memory(1);
    let (mut one, mut two) = (PbufQueue::new(), PbufQueue::new());
    let kept = packet(&memory, 7);
    one.push_back(kept.clone()).unwrap();
    two.push_back(kept.clone()).unwrap();
    assert_eq!(memory.stats().references.used, 1);
    let (error, back) = one.push_back(kept.clone()).unwrap_err();
    assert_eq!((error, back.as_raw()), (Error::Memory, kept.as_raw()));
    let (error, _) = two.push_front(kept.clone()).unwrap_err();
    assert_eq!(error, Error::Memory);
    assert_eq!((one.len(), two.len()), (1, 1));
    assert!(one.pop_front().unwrap() == [7; 7] && two.pop_front().unwrap() == [7; 7]);
    // The link is free again.
    two.push_back(kept.clone()).unwrap();
    assert_eq!(memory.stats().references.used, 0);
    drop((kept, two, back));
    assert_eq!(memory.stats().pool.used, 0);
}

#[test]
fn long_queues_are_dropped_without_recursion() {
    let limits = MemoryLimits {
        pool_buffers: if cfg!(miri) { 50 } else { 100_000 },
        pool_buffer_size: 81,
        small_buffers: 0,
        references: 0,
        heap_bytes: 0,
    };
    let memory = Memory::new(&mut Arena::heap(), limits).unwrap();
    let mut queue = PbufQueue::new();
    while let Ok(packet) = memory.alloc(Layer::Raw, 1, Kind::Pool) {
        queue.push_back(packet).unwrap();
    }
    assert_eq!(queue.len(), limits.pool_buffers);
    drop(queue);
    assert_eq!(memory.stats().pool.used, 0);
}

#[test]
fn queues_on_two_threads_may_hold_the_same_packet() {
    let memory = memory(8);
    let kept = packet(&memory, 4);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let kept = kept.clone();
            scope.spawn(move || {
                let mut queue = PbufQueue::new();
                for _ in 0..if cfg!(miri) { 20 } else { 10_000 } {
                    queue.push_back(kept.clone()).unwrap();
                    assert_eq!(queue.pop_front().unwrap(), &[4; 4]);
                }
            });
        }
    });
    drop(kept);
    assert_eq!((memory.stats().pool.used, memory.stats().references.used), (0, 0));
}

#[test]
fn the_front_of_the_oldest_packet_leaves_without_it() {
    let memory = memory(2);
    let mut queue = PbufQueue::new();
    assert!(queue.split_front(0).is_none());
    queue.push_back(packet(&memory, 9)).unwrap();
    queue.push_back(packet(&memory, 5)).unwrap();
    let part = queue.split_front(4).unwrap();
    assert_eq!((part.len(), queue.len(), queue.bytes()), (4, 2, 10));
    assert_eq!(part, &[9; 4]);
    assert!(queue.split_front(5).is_none(), "all that is left is no part");
    assert_eq!(queue.split_front(4).unwrap(), &[9; 4]);
    let held = [queue.split_front(0).unwrap(), part];
    assert!(queue.split_front(0).is_none(), "no reference is left");
    drop(held);
    let shared = queue.front().unwrap().clone();
    assert!(queue.split_front(0).is_none(), "somebody else sees the packet");
    drop(shared);
    assert_eq!(queue.pop_front().unwrap(), &[9]);
    assert_eq!(queue.pop_front().unwrap(), &[5; 5]);
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
}
