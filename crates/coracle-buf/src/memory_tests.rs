//! Tests of the memory as a whole: kinds, limits, running dry, life times, threads.

use super::*;
use crate::StaticArena;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;
use std::boxed::Box;
use std::format;
use std::vec;
use std::vec::Vec;

const LIMITS: MemoryLimits = MemoryLimits {
    pool_buffers: 4,
    pool_buffer_size: 100,
    small_buffers: 0,
    references: 4,
    heap_bytes: 4096,
};

fn memory() -> Memory {
    Memory::new(&mut Arena::heap(), LIMITS).unwrap()
}

#[track_caller]
fn assert_balanced(memory: &Memory) {
    assert!(memory.stats().is_unused(), "{memory:?}");
}

#[test]
fn a_static_memory_needs_no_allocator_and_its_buffers_outlive_the_handle() {
    static BYTES: StaticArena<16384> = StaticArena::new();
    let mut arena = BYTES.take().unwrap();
    let memory = Memory::new(&mut arena, LIMITS).unwrap();
    let mut pool = memory.alloc(Layer::Link, 200, Kind::Pool).unwrap();
    let ram = memory.alloc(Layer::Link, 200, Kind::Ram).unwrap();
    pool.take(&[7; 200]).unwrap();
    drop(memory);
    let slice = pool.slice(90, 20).unwrap();
    drop((pool, ram));
    assert_eq!(slice, &[7; 20]);
    let memory = slice.memory();
    drop(slice);
    assert_balanced(&memory);
}

#[test]
fn the_small_limits_fit_a_small_device() {
    static BYTES: StaticArena<{ 16 * 1024 + 4096 }> = StaticArena::new();
    let mut arena = BYTES.take().unwrap();
    Memory::new(&mut arena, MemoryLimits::SMALL).unwrap();
}

#[test]
fn what_does_not_fit_the_arena_consumes_nothing() {
    static BYTES: StaticArena<16384> = StaticArena::new();
    let mut arena = BYTES.take().unwrap();
    let too_large = [
        MemoryLimits { heap_bytes: 16384, ..LIMITS },
        MemoryLimits { pool_buffers: 1000, ..LIMITS },
        MemoryLimits { small_buffers: 1000, ..LIMITS },
        MemoryLimits { references: 1000, ..LIMITS },
        MemoryLimits { heap_bytes: usize::MAX, ..LIMITS },
    ];
    for limits in too_large {
        assert_eq!(Memory::new(&mut arena, limits).unwrap_err(), Error::Memory);
        assert_eq!(arena.remaining(), Some(16384));
    }
    Memory::new(&mut arena, LIMITS).unwrap();
}

#[test]
fn wrong_limits_are_refused() {
    let wrong = [
        MemoryLimits { pool_buffer_size: 80, ..LIMITS },
        MemoryLimits { pool_buffer_size: usize::MAX, ..LIMITS },
        MemoryLimits { pool_buffers: usize::MAX, ..LIMITS },
        MemoryLimits { small_buffers: usize::MAX, ..LIMITS },
        MemoryLimits { references: usize::MAX, ..LIMITS },
    ];
    for limits in wrong {
        assert_eq!(Memory::new(&mut Arena::heap(), limits).unwrap_err(), Error::Argument);
    }
}

#[test]
fn kinds_and_layers_of_new_buffers() {
    let memory = memory();
    for layer in [Layer::Transport, Layer::Ip, Layer::Link, Layer::RawTx, Layer::Raw] {
        for kind in [Kind::Ram, Kind::Pool] {
            let pbuf = memory.alloc(layer, 10, kind).unwrap();
            assert_eq!((pbuf.kind(), pbuf.len(), pbuf.segment_count()), (kind, 10, 1));
            assert_eq!(pbuf.headroom(), layer.header_room().next_multiple_of(4));
            assert_eq!(pbuf.payload().as_ptr().addr() % 4, 0);
            assert!(pbuf.is_writable() && pbuf.is_exclusive() && !pbuf.needs_copy());
            assert!(pbuf.flags().is_empty());
            assert_eq!(pbuf.netif_index(), 0);
        }
        for kind in [Kind::Rom, Kind::Ref, Kind::Custom] {
            assert_eq!(memory.alloc(layer, 10, kind).unwrap_err(), Error::Argument);
        }
    }
    assert_eq!(memory.alloc(Layer::Raw, 0, Kind::Pool).unwrap().len(), 0);
    assert_eq!(memory.alloc(Layer::Raw, 0, Kind::Ram).unwrap().len(), 0);
    assert_eq!(memory.pool_buffer_size(), 100);
    assert_balanced(&memory);
}

#[test]
fn a_buffer_is_as_new_when_it_is_used_again() {
    let memory = memory();
    for _ in 0..3 {
        let mut pbuf = memory.alloc(Layer::Raw, 250, Kind::Pool).unwrap();
        assert!(pbuf.flags().is_empty() && pbuf.netif_index() == 0);
        assert_eq!(pbuf.segments().map(<[u8]>::len).collect::<Vec<_>>(), [100, 100, 50]);
        pbuf.set_flags(PbufFlags::PUSH);
        pbuf.set_netif_index(3);
        let slice = pbuf.slice(10, 200).unwrap();
        let again = pbuf.clone();
        drop(pbuf);
        drop(again);
        drop(slice);
        let single = memory.alloc(Layer::Raw, 5, Kind::Pool).unwrap();
        assert_eq!((single.segment_count(), single.len()), (1, 5));
        assert!(single.is_writable());
    }
    assert_balanced(&memory);
}

#[test]
fn the_pool_runs_dry_and_works_again() {
    let memory = memory();
    for round in 1..4 {
        let all: Vec<_> = (0..4).map(|_| memory.alloc(Layer::Raw, 1, Kind::Pool).unwrap()).collect();
        assert_eq!(memory.alloc(Layer::Raw, 1, Kind::Pool).unwrap_err(), Error::Memory);
        drop(all);
        // A chain that doesn't fit gives back what it got.
        let one = memory.alloc(Layer::Raw, 1, Kind::Pool).unwrap();
        assert_eq!(memory.alloc(Layer::Raw, 301, Kind::Pool).unwrap_err(), Error::Memory);
        assert_eq!(memory.stats().pool.used, 1);
        assert_eq!(memory.alloc(Layer::Raw, 300, Kind::Pool).unwrap().segment_count(), 3);
        drop(one);
        for len in [401, 381, usize::MAX - 10, usize::MAX] {
            assert_eq!(memory.alloc(Layer::Link, len, Kind::Pool).unwrap_err(), Error::Memory);
        }
        assert_eq!(memory.alloc(Layer::Link, 380, Kind::Pool).unwrap().len(), 380);
        assert_eq!(memory.stats().pool, PoolStats { capacity: 4, used: 0, peak: 4, failed: 6 * round });
    }
}

#[test]
fn what_is_small_comes_from_small_buffers_while_there_are_any() {
    let memory = Memory::new(&mut Arena::heap(), MemoryLimits { small_buffers: 2, ..LIMITS }).unwrap();
    let heap = || memory.stats().heap.used;
    // The headers in front of TCP, and the longest of its own.
    let mut first = memory.alloc(Layer::Ip, 60, Kind::Ram).unwrap();
    let longest = SMALL_BUFFER_SIZE - Layer::Transport.payload_offset();
    let second = memory.alloc(Layer::Transport, longest, Kind::Ram).unwrap();
    assert_eq!((first.kind(), second.kind(), second.tailroom()), (Kind::Ram, Kind::Ram, 0));
    assert_eq!((memory.stats().small.used, memory.stats().pool.used, heap()), (2, 0, 0));
    // Then from the heap, as does what is longer.
    let third = memory.alloc(Layer::Ip, 60, Kind::Ram).unwrap();
    assert!(heap() > 0);
    drop(third);
    drop(second);
    assert_eq!(heap(), 0);
    let longer = memory.alloc(Layer::Transport, longest + 1, Kind::Ram).unwrap();
    assert!(heap() > 0 && longer.len() == longest + 1);
    assert_eq!(memory.stats().small, PoolStats { capacity: 2, used: 1, peak: 2, failed: 1 });
    // A slice keeps the buffer, and nothing of one goes to the heap.
    first.take(&[7; 60]).unwrap();
    let slice = first.slice(10, 5).unwrap();
    first.truncate(8).unwrap();
    drop(first);
    assert_eq!(memory.stats().small.used, 1);
    assert_eq!(slice, &[7; 5]);
    drop((slice, longer));
    assert_balanced(&memory);
    let again = memory.alloc(Layer::Raw, SMALL_BUFFER_SIZE, Kind::Ram).unwrap();
    assert_eq!((again.len(), again.headroom(), again.flags()), (SMALL_BUFFER_SIZE, 0, PbufFlags::empty()));
    drop(memory);
    assert!(again.is_writable());
}

#[test]
fn without_small_buffers_none_is_missed() {
    let memory = memory();
    assert_eq!(memory.alloc(Layer::Raw, 1, Kind::Ram).unwrap().kind(), Kind::Ram);
    assert_eq!(memory.stats().small, PoolStats::default());
}

#[test]
fn references_run_dry_in_every_operation() {
    let memory = Memory::new(&mut Arena::heap(), MemoryLimits { references: 1, ..LIMITS }).unwrap();
    let mut pbuf = memory.alloc(Layer::Raw, 250, Kind::Pool).unwrap();
    pbuf.take(&[1; 250]).unwrap();
    let held = memory.from_static(b"x").unwrap();
    let other = pbuf.clone();
    assert_eq!(memory.from_static(b"x").unwrap_err(), Error::Memory);
    assert_eq!(memory.from_vec(vec![1, 2]).unwrap_err(), (Error::Memory, vec![1, 2]));
    // SAFETY: a static.
    assert_eq!(unsafe { memory.from_volatile(b"x".as_ptr(), 1) }.unwrap_err(), Error::Memory);
    assert_eq!(pbuf.slice(0, 1).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.split_off(50).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.split_off(100).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.remove_header(1).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.restore_header(0).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.advance(150).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.truncate(249).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.dechain().unwrap_err(), Error::Memory);
    assert_eq!(pbuf.chain(&held).unwrap_err(), Error::Memory);
    let (error, held) = pbuf.cat(held).unwrap_err();
    assert_eq!(error, Error::Memory);
    assert_eq!(pbuf, &[1; 250]);
    assert_eq!(pbuf.segment_count(), 3);
    // Where no reference is needed, it goes on.
    pbuf.advance(100).unwrap();
    drop(held);
    // One reference isn't enough for two segments: nothing changes, and it comes back.
    assert_eq!(pbuf.slice(50, 100).unwrap_err(), Error::Memory);
    assert_eq!(pbuf.truncate(140).unwrap_err(), Error::Memory);
    assert_eq!(memory.stats().references.used, 0);
    drop(other);
    pbuf.truncate(140).unwrap();
    assert_eq!(pbuf, &[1; 140]);
    drop(pbuf);
    assert_balanced(&memory);
}

#[test]
fn the_heap_runs_dry_in_every_operation() {
    let memory = memory();
    let hog = memory.heap_alloc(3800).unwrap();
    assert_eq!(memory.alloc(Layer::Raw, 500, Kind::Ram).unwrap_err(), Error::Memory);
    let mut chain = memory.alloc(Layer::Raw, 350, Kind::Pool).unwrap();
    chain.take(&[3; 350]).unwrap();
    assert_eq!(chain.duplicate(Layer::Raw, Kind::Ram).unwrap_err(), Error::Memory);
    assert_eq!(chain.duplicate(Layer::Raw, Kind::Pool).unwrap_err(), Error::Memory);
    assert_eq!(chain.coalesce(Layer::Raw).unwrap_err(), Error::Memory);
    assert_eq!(chain.pull_up(300).unwrap_err(), Error::Memory);
    assert_eq!((chain.segment_count(), chain.len()), (4, 350));
    drop(hog);
    chain.pull_up(300).unwrap();
    assert_eq!(chain.payload(), &[3; 300]);
    chain.coalesce(Layer::Raw).unwrap();
    assert_eq!(chain.payload(), &[3; 350]);
    drop(chain);
    assert_balanced(&memory);
}

#[test]
fn constant_bytes_are_never_written() {
    static BYTES: [u8; 4] = *b"rom!";
    let memory = memory();
    let mut rom = memory.from_static(&BYTES).unwrap();
    assert_eq!((rom.kind(), rom.payload().as_ptr(), rom.needs_copy()), (Kind::Rom, BYTES.as_ptr(), false));
    assert!(!rom.is_writable());
    assert_eq!(rom.payload_mut().unwrap_err(), Error::Value);
    assert_eq!(rom.take(b"x").unwrap_err(), Error::Value);
    assert_eq!(rom.put_at(0, 1).unwrap_err(), Error::Value);
    rom.remove_header(2).unwrap();
    assert_eq!(rom.add_header(2).unwrap_err(), Error::Buffer);
    assert_eq!(rom.restore_header(2).unwrap(), b"ro");
    assert_eq!(rom.restore_header(1).unwrap_err(), Error::Buffer);
    drop(rom);
    let mut header = memory.alloc(Layer::Link, 2, Kind::Ram).unwrap();
    header.take(b"H:").unwrap();
    header.cat(memory.from_static(&BYTES).unwrap()).unwrap();
    assert_eq!(header, b"H:rom!");
    assert_eq!(header.take_at(1, b"xy").unwrap_err(), Error::Value);
    assert_eq!(header, b"H:rom!");
}

#[test]
fn volatile_bytes_are_copied_when_asked() {
    let memory = memory();
    let mut bytes = Box::new(*b"abcd");
    // SAFETY: the bytes outlive the buffers, and are written between their uses.
    let pbuf = unsafe { memory.from_volatile((&raw const *bytes).cast(), 4) }.unwrap();
    // SAFETY: null is refused.
    assert_eq!(unsafe { memory.from_volatile(core::ptr::null(), 4) }.unwrap_err(), Error::Argument);
    assert!(pbuf.needs_copy() && pbuf.slice(1, 2).unwrap().needs_copy());
    let owned = pbuf.into_owned().unwrap();
    bytes[0] = b'x';
    assert_eq!(owned, b"abcd");
    assert!(!owned.needs_copy());
    let (at, owned) = (owned.as_raw(), owned.into_owned().unwrap());
    assert_eq!(owned.as_raw(), at);
    drop(owned);
    // Without memory for the copy the packet comes back.
    let hogs: Vec<_> = core::iter::from_fn(|| memory.heap_alloc(60).ok()).collect();
    // SAFETY: as above.
    let pbuf = unsafe { memory.from_volatile((&raw const *bytes).cast(), 4) }.unwrap();
    let (error, pbuf) = pbuf.into_owned().unwrap_err();
    assert_eq!((error, pbuf.payload()), (Error::Memory, &b"xbcd"[..]));
    drop((pbuf, hogs));
    assert_balanced(&memory);
}

#[test]
fn a_drivers_buffer_comes_back_after_the_last_view() {
    static BACK: AtomicUsize = AtomicUsize::new(0);
    fn back(buffer: &'static mut [u8], context: usize) {
        assert_eq!(buffer, [1, 2, 3, 4]);
        BACK.fetch_add(context, Relaxed);
    }
    let memory = memory();
    let bytes = NonNull::from(Box::leak(Box::new([1, 2, 3, 0])));
    // SAFETY: leaked; freed at the end, when nobody uses the bytes any more.
    let buffer: &'static mut [u8] = unsafe { &mut *bytes.as_ptr() };
    let at = buffer.as_ptr();
    let mut pbuf = memory.from_static_mut(buffer, back, 5).unwrap();
    assert_eq!(pbuf.payload().as_ptr(), at);
    assert!(pbuf.flags().contains(PbufFlags::CUSTOM) && pbuf.kind() == Kind::Custom);
    pbuf.set_flags(PbufFlags::PUSH);
    assert_eq!(pbuf.flags(), PbufFlags::PUSH | PbufFlags::CUSTOM);
    pbuf.put_at(3, 4).unwrap();
    let slice = pbuf.slice(1, 2).unwrap();
    assert_eq!(pbuf.put_at(0, 9).unwrap_err(), Error::Value);
    drop(pbuf);
    assert_eq!((BACK.load(Relaxed), slice.payload()), (0, &[2, 3][..]));
    drop(memory);
    drop(slice);
    assert_eq!(BACK.load(Relaxed), 5);
    // SAFETY: leaked above.
    drop(unsafe { Box::from_raw(bytes.as_ptr()) });
}

#[test]
fn raw_buffers_and_vectors_come_back() {
    unsafe fn back(base: NonNull<u8>, len: usize, context: *mut ()) {
        // SAFETY: the context is the counter below, and the base a leaked box of that length.
        unsafe {
            (*context.cast::<AtomicUsize>()).fetch_add(len, Relaxed);
            drop(Box::from_raw(core::ptr::slice_from_raw_parts_mut(base.as_ptr(), len)));
        }
    }
    let memory = Memory::new(&mut Arena::heap(), MemoryLimits { references: 1, ..LIMITS }).unwrap();
    let count = AtomicUsize::new(0);
    let base = NonNull::from(Box::leak(Box::new([9u8; 10]))).cast();
    // SAFETY: leaked above, `back` frees it.
    let raw = unsafe { memory.from_raw_buffer(base, 10, back, (&raw const count).cast_mut().cast()) };
    let mut raw = raw.unwrap();
    // SAFETY: refused for want of a reference.
    let refused = unsafe { memory.from_raw_buffer(base, 10, back, core::ptr::null_mut()) };
    assert_eq!(refused.unwrap_err(), Error::Memory);
    let (error, vector) = memory.from_vec(vec![1; 3]).unwrap_err();
    assert_eq!((error, vector.len()), (Error::Memory, 3));
    assert_eq!(raw.payload_mut().unwrap(), [9; 10]);
    drop(raw);
    assert_eq!(count.load(Relaxed), 10);
    let mut bytes = Vec::with_capacity(100);
    bytes.extend([1, 2, 3]);
    let at = bytes.as_ptr();
    let mut pbuf = memory.from_vec(bytes).unwrap();
    assert_eq!((pbuf.payload().as_ptr(), pbuf.tailroom()), (at, 0));
    pbuf.take(b"xyz").unwrap();
    assert_eq!(pbuf, b"xyz");
    drop(pbuf);
    assert_eq!(memory.from_vec(Vec::new()).unwrap().len(), 0);
    assert_balanced(&memory);
}

#[test]
fn many_memories_come_and_go() {
    for i in 0..if cfg!(miri) { 6 } else { 2000 } {
        let limits = MemoryLimits { small_buffers: i % 3, ..LIMITS };
        let memory = Memory::new(&mut Arena::heap(), limits).unwrap();
        let pbuf = memory.alloc(Layer::Raw, 1, if i % 2 == 0 { Kind::Pool } else { Kind::Ram }).unwrap();
        let slice = pbuf.slice(0, 1).unwrap();
        drop(memory);
        drop(pbuf);
        drop(slice);
    }
}

#[test]
fn threads_allocate_share_slice_and_free() {
    let limits = MemoryLimits {
        pool_buffers: 70,
        pool_buffer_size: 128,
        small_buffers: 70,
        references: 70,
        heap_bytes: 16384,
    };
    let memory = Memory::new(&mut Arena::heap(), limits).unwrap();
    let shared = memory.alloc(Layer::Transport, 200, Kind::Pool).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            let (memory, mut shared) = (memory.clone(), shared.clone());
            scope.spawn(move || {
                for i in 0..if cfg!(miri) { 15 } else { 5000 } {
                    let kind = if i % 2 == 0 { Kind::Pool } else { Kind::Ram };
                    let Ok(mut pbuf) = memory.alloc(Layer::Transport, 100, kind) else { continue };
                    pbuf.take(&[thread; 100]).unwrap();
                    let kept = pbuf.clone();
                    let Ok(slice) = shared.slice(10, 150) else { continue };
                    drop(pbuf.cat(slice));
                    let (tx, rx) = std::sync::mpsc::channel();
                    let sent = kept.clone();
                    tx.send(sent).unwrap();
                    assert!(kept == [thread; 100]);
                    let mut received = rx.recv().unwrap();
                    if received.remove_header(3).is_ok() {
                        assert!(received == [thread; 97]);
                    }
                    shared = shared.clone();
                }
            });
        }
    });
    drop(shared);
    assert_balanced(&memory);
}

#[test]
fn the_last_user_on_another_thread_frees_the_memory() {
    let memory = memory();
    let mut pbuf = memory.alloc(Layer::Raw, 10, Kind::Pool).unwrap();
    pbuf.take(&[4; 10]).unwrap();
    let other = pbuf.clone();
    drop(memory);
    let thread = std::thread::spawn(move || assert_eq!(other, &[4; 10]));
    assert_eq!(pbuf, &[4; 10]);
    drop(pbuf);
    thread.join().unwrap();
}

#[test]
fn debug_output_shows_counters() {
    assert!(format!("{:?}", memory()).contains("MemoryStats"));
}
