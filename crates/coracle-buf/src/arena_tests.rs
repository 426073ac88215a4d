//! Tests of arenas and tables.

use super::*;
use crate::StaticArena;
use std::rc::Rc;

#[test]
fn a_static_arena_is_taken_once_and_shrinks() {
    static BYTES: StaticArena<1024> = StaticArena::new();
    let mut arena = BYTES.take().unwrap();
    assert!(BYTES.take().is_none());
    assert_eq!(arena.remaining(), Some(1024));
    let mut bytes = arena.table(3, |i| i as u8).unwrap();
    let words = arena.table(4, |i| i as u64).unwrap();
    assert_eq!(*words, [0, 1, 2, 3]);
    assert_eq!(words.as_ptr().addr() % align_of::<u64>(), 0);
    bytes[2] = 9;
    assert_eq!(*bytes, [0, 1, 9]);
    assert!(arena.remaining().unwrap() <= 1024 - 3 - 32);
}

#[test]
fn what_does_not_fit_is_an_error_and_consumes_nothing() {
    static BYTES: StaticArena<64> = StaticArena::new();
    let mut arena = BYTES.take().unwrap();
    for len in [65, usize::MAX / 8, usize::MAX] {
        assert_eq!(arena.table(len, |_| -> u64 { unreachable!() }).unwrap_err(), Error::Memory);
    }
    assert_eq!(arena.remaining(), Some(64));
    let all = arena.table(64, |i| i as u8).unwrap();
    assert_eq!(all.len(), 64);
    assert_eq!(arena.table(1, |_| 0u8).unwrap_err(), Error::Memory);
    assert_eq!(arena.table(9, |_| ()).unwrap().len(), 9);
    assert!(arena.table(0, |_| 0u64).unwrap().is_empty());
}

#[cfg(feature = "alloc")]
#[test]
fn the_heap_has_no_end_but_refuses_the_impossible() {
    let mut arena = Arena::heap();
    assert_eq!(arena.remaining(), None);
    assert_eq!(arena.table(usize::MAX, |_| 0u64).unwrap_err(), Error::Memory);
    assert_eq!(arena.table(1000, |i| i).unwrap().iter().sum::<usize>(), 499_500);
}

#[cfg(feature = "alloc")]
#[test]
fn tables_drop_their_elements_once() {
    let count = Rc::new(());
    let mut table = Arena::heap().table(5, |_| Some(count.clone())).unwrap();
    assert_eq!(Rc::strong_count(&count), 6);
    table[1] = None;
    assert_eq!(Rc::strong_count(&count), 5);
    for element in &mut table {
        *element = Some(count.clone());
    }
    assert_eq!((&table).into_iter().count(), 5);
    drop(table);
    assert_eq!(Rc::strong_count(&count), 1);
}

#[cfg(feature = "alloc")]
#[test]
fn a_panic_while_a_table_is_made_drops_what_was_made() {
    let count = Rc::new(());
    let made = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        Arena::heap().table(5, |i| {
            assert!(i < 3, "expected by the test");
            count.clone()
        })
    }));
    assert!(made.is_err());
    assert_eq!(Rc::strong_count(&count), 1);
}

#[test]
fn an_empty_table_is_the_default() {
    let table = Table::<u32>::default();
    assert!(table.is_empty());
    assert_eq!(std::format!("{table:?}"), "[]");
}
