//! The counts of packet buffers and of the pools they come from.

#![cfg(loom)]

use coracle_buf::{Arena, Kind, Layer, Memory, MemoryLimits, Pool};
use loom::thread;

fn memory(pool_buffers: usize, references: usize) -> Memory {
    let limits =
        MemoryLimits { pool_buffers, pool_buffer_size: 128, small_buffers: 0, references, heap_bytes: 0 };
    Memory::new(&mut Arena::heap(), limits).unwrap()
}

fn used(memory: &Memory) -> (usize, usize) {
    let stats = memory.stats();
    (stats.pool.used, stats.references.used)
}

#[test]
fn a_buffer_goes_back_after_its_last_handle_wherever_that_is() {
    loom::model(|| {
        let memory = memory(1, 0);
        let packet = memory.alloc(Layer::Raw, 8, Kind::Pool).unwrap();
        let other = packet.clone();
        let thread = thread::spawn(move || drop(other));
        drop(packet);
        thread.join().unwrap();
        assert_eq!(used(&memory), (0, 0));
        memory.alloc(Layer::Raw, 8, Kind::Pool).unwrap();
    });
}

#[test]
fn what_was_written_is_seen_by_who_gets_the_buffer_next() {
    loom::model(|| {
        let memory = memory(1, 0);
        let mut packet = memory.alloc(Layer::Raw, 1, Kind::Pool).unwrap();
        let other = memory.clone();
        let thread = thread::spawn(move || {
            let mut next = loop {
                match other.alloc(Layer::Raw, 1, Kind::Pool) {
                    Ok(next) => break next,
                    Err(_) => thread::yield_now(),
                }
            };
            next.payload_mut().unwrap()[0] = 2;
        });
        packet.payload_mut().unwrap()[0] = 1;
        drop(packet);
        thread.join().unwrap();
        assert_eq!(used(&memory), (0, 0));
    });
}

#[test]
fn views_on_several_threads_free_the_storage_once() {
    loom::model(|| {
        let memory = memory(1, 2);
        let packet = memory.alloc(Layer::Raw, 8, Kind::Pool).unwrap();
        let views: Vec<_> = (0..2).map(|i| packet.slice(i, 4).unwrap()).collect();
        let threads: Vec<_> = views.into_iter().map(|view| thread::spawn(move || drop(view))).collect();
        drop(packet);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(used(&memory), (0, 0));
    });
}

#[test]
fn who_is_alone_with_a_buffer_may_write_it() {
    loom::model(|| {
        let memory = memory(1, 1);
        let mut packet = memory.alloc(Layer::Raw, 8, Kind::Pool).unwrap();
        let view = packet.slice(0, 4).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(view.segments().flatten().copied().collect::<Vec<_>>(), [0; 4]);
        });
        // Either the reader still looks, and writing is refused, or it has finished.
        if let Ok(bytes) = packet.payload_mut() {
            bytes.fill(7);
        }
        reader.join().unwrap();
    });
}

#[test]
fn two_who_want_the_last_buffer() {
    loom::model(|| {
        let memory = memory(1, 0);
        let other = memory.clone();
        let thread = thread::spawn(move || other.alloc(Layer::Raw, 8, Kind::Pool).is_ok());
        let mine = memory.alloc(Layer::Raw, 8, Kind::Pool);
        let others = thread.join().unwrap();
        assert!(mine.is_ok() || others);
        drop(mine);
        assert_eq!(used(&memory), (0, 0));
    });
}

#[test]
fn a_pool_of_boxes() {
    loom::model(|| {
        let pool = Pool::new(&mut Arena::heap(), 2).unwrap();
        let boxed = pool.alloc(vec![1]).unwrap();
        let thread = thread::spawn(move || drop(boxed));
        let mine = pool.alloc(vec![2]).unwrap();
        assert_eq!(*mine, [2]);
        thread.join().unwrap();
        drop(mine);
        assert_eq!(pool.stats().used, 0);
    });
}

#[test]
fn the_last_user_frees_the_memory() {
    loom::model(|| {
        let memory = memory(1, 0);
        let packet = memory.alloc(Layer::Raw, 8, Kind::Pool).unwrap();
        let thread = thread::spawn(move || drop(packet));
        drop(memory);
        thread.join().unwrap();
    });
}
