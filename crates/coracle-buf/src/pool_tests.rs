//! Tests of typed pools.

use super::*;
use crate::StaticArena;
use std::format;
use std::sync::Arc;
use std::vec::Vec;

#[test]
fn a_pool_runs_dry_and_works_again() {
    let pool = Pool::new(&mut Arena::heap(), 3).unwrap();
    for round in 0..3 {
        let mut boxes: Vec<_> = (0..3).map(|i| pool.alloc(i).unwrap()).collect();
        assert_eq!(pool.alloc(9).unwrap_err(), 9);
        *boxes[1] += 10;
        assert_eq!(boxes.iter().map(|value| **value).collect::<Vec<_>>(), [0, 11, 2]);
        assert_eq!(pool.stats(), PoolStats { capacity: 3, used: 3, peak: 3, failed: round + 1 });
    }
    assert_eq!(pool.stats().used, 0);
}

#[test]
fn values_are_dropped_and_outlive_their_pool() {
    let count = Arc::new(());
    let pool = Pool::new(&mut Arena::heap(), 2).unwrap();
    let a = pool.alloc(count.clone()).unwrap();
    drop(pool.alloc(count.clone()).unwrap());
    assert_eq!(Arc::strong_count(&count), 2);
    drop(pool);
    assert_eq!(Arc::strong_count(&a), 2);
    drop(a);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn a_pool_of_nothing_and_one_too_large() {
    let pool = Pool::<u8>::new(&mut Arena::heap(), 0).unwrap();
    assert_eq!(pool.alloc(1).unwrap_err(), 1);
    assert_eq!(Pool::<u64>::new(&mut Arena::heap(), usize::MAX / 4).unwrap_err(), Error::Memory);
}

#[test]
fn a_pool_in_static_memory_consumes_nothing_if_it_does_not_fit() {
    static BYTES: StaticArena<2048> = StaticArena::new();
    let mut arena = BYTES.take().unwrap();
    assert_eq!(Pool::<[u8; 64]>::new(&mut arena, 100).unwrap_err(), Error::Memory);
    assert_eq!(arena.remaining(), Some(2048));
    let pool = Pool::<[u8; 64]>::new(&mut arena, 10).unwrap();
    let value = pool.alloc([7; 64]).unwrap();
    drop(pool);
    assert_eq!(*value, [7; 64]);
}

#[test]
fn a_panic_in_a_destructor_gives_the_block_back() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected by the test");
        }
    }
    let pool = Pool::new(&mut Arena::heap(), 1).unwrap();
    let bomb = pool.alloc(Bomb).ok().unwrap();
    assert!(std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| drop(bomb))).is_err());
    assert_eq!(pool.stats().used, 0);
}

#[test]
fn boxes_may_be_freed_on_other_threads() {
    let pool = Pool::new(&mut Arena::heap(), 10).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3usize {
            let pool = &pool;
            scope.spawn(move || {
                for i in 0..if cfg!(miri) { 20 } else { 5000 } {
                    let Ok(value) = pool.alloc((thread, i)) else { continue };
                    assert_eq!(*value, (thread, i));
                }
            });
        }
        let sent = pool.alloc((9, 9)).unwrap();
        scope.spawn(move || drop(sent));
    });
    assert_eq!(pool.stats().used, 0);
}

#[test]
fn debug_output_shows_values_and_counters() {
    let pool = Pool::new(&mut Arena::heap(), 1).unwrap();
    assert_eq!(format!("{:?}", pool.alloc(5).unwrap()), "5");
    assert!(format!("{pool:?}").contains("capacity: 1"));
}

#[test]
fn a_count_near_its_end_pins_the_memory() {
    let users = Users::one(false);
    users.count.store(usize::MAX / 2 + 1, Ordering::Relaxed);
    users.add_handle();
    users.count.store(1, Ordering::Relaxed);
    // SAFETY: one user is counted, and `users` is on the stack.
    assert!(!unsafe { Users::remove(NonNull::from(&users)) });
}
