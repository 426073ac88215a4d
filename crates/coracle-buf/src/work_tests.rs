use std::boxed::Box;
use std::sync::Arc;

use super::*;

#[test]
fn functions_closures_and_boxes_are_work() {
    fn double(number: &mut u32) {
        *number *= 2;
    }
    let mut number = 1;
    let boxed: Box<dyn FnOnce(&mut u32) + Send> = Box::new(|number| *number += 3);
    for work in [Work::new(double), Work::new(|number: &mut u32| *number += 40), Work::new(boxed)] {
        work.run(&mut number);
    }
    assert_eq!(number, 45);
}

#[test]
fn what_is_carried_along_is_dropped_once_run_or_not() {
    let shared = Arc::new(());
    let make = |large: bool| {
        let carried = Arc::clone(&shared);
        if large {
            let ballast = [1u8; 2 * WORK_BYTES];
            Work::new(move |sum: &mut usize| {
                *sum += ballast.iter().map(|byte| usize::from(*byte)).sum::<usize>();
                drop(carried);
            })
        } else {
            Work::new(move |sum: &mut usize| {
                *sum += 1;
                drop(carried);
            })
        }
    };
    let mut sum = 0;
    make(false).run(&mut sum);
    make(true).run(&mut sum);
    assert_eq!(sum, 1 + 2 * WORK_BYTES);
    drop((make(false), make(true)));
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_closure_that_fills_the_room_to_the_last_byte_fits() {
    let bytes: [u8; WORK_BYTES] = core::array::from_fn(|i| i as u8);
    let mut out = [0; WORK_BYTES];
    Work::new(move |out: &mut [u8; WORK_BYTES]| *out = bytes).run(&mut out);
    assert_eq!(out, bytes);
}

#[test]
fn a_panic_in_work_drops_it_once() {
    let shared = Arc::new(());
    let carried = Arc::clone(&shared);
    let work = Work::new(move |(): &mut ()| {
        assert_eq!(Arc::strong_count(&carried), 0, "on purpose");
    });
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.run(&mut ())));
    assert!(result.is_err());
    assert_eq!(Arc::strong_count(&shared), 1);
}
