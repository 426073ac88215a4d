//! Tests of the bitmap: every size class, and threads.

use super::*;
use std::collections::BTreeSet;
use std::vec::Vec;

fn sizes() -> Vec<usize> {
    let mut sizes = std::vec![1, 2, BITS - 1, BITS, BITS + 1, BITS * 5 + 3];
    if !cfg!(miri) {
        // Two and three levels, and several tops.
        sizes.extend([BITS * BITS, BITS * BITS + 1, BITS * BITS * 3 + 77, BITS * BITS * BITS + BITS + 1]);
    }
    sizes
}

#[test]
fn every_block_is_claimed_once_lowest_first() {
    for size in sizes() {
        let bitmap = Bitmap::new(&mut Arena::heap(), size).unwrap();
        for i in 0..size {
            assert_eq!(bitmap.claim(), Some(i));
        }
        assert_eq!(bitmap.claim(), None);
        assert_eq!(bitmap.claim(), None);
        assert_eq!(bitmap.stats(), PoolStats { capacity: size, used: size, peak: size, failed: 2 });
        for i in [0, size / 3, size / 2, size - 1] {
            // SAFETY: claimed above, and claimed again below.
            unsafe { bitmap.release(i) };
            assert_eq!(bitmap.claim(), Some(i), "of {size}");
            assert_eq!(bitmap.claim(), None);
        }
        for i in (0..size).rev() {
            // SAFETY: all are claimed.
            unsafe { bitmap.release(i) };
        }
        assert_eq!(bitmap.claim(), Some(0));
        assert_eq!(bitmap.stats(), PoolStats { capacity: size, used: 1, peak: size, failed: 6 });
    }
}

#[test]
fn an_empty_bitmap_has_nothing() {
    let bitmap = Bitmap::new(&mut Arena::heap(), 0).unwrap();
    assert_eq!(bitmap.claim(), None);
    assert_eq!(bitmap.stats(), PoolStats { failed: 1, ..PoolStats::default() });
}

#[test]
fn the_peak_is_the_most_that_were_in_use() {
    let bitmap = Bitmap::new(&mut Arena::heap(), 300).unwrap();
    for _ in 0..200 {
        bitmap.claim().unwrap();
    }
    for i in 0..199 {
        // SAFETY: claimed above.
        unsafe { bitmap.release(i) };
    }
    for i in 0..150 {
        assert_eq!(bitmap.claim(), Some(i));
    }
    let stats = bitmap.stats();
    assert_eq!((stats.used, stats.peak), (151, 200));
}

#[test]
fn random_claims_and_releases_match_a_set() {
    let mut random = 1u64;
    for size in sizes() {
        let bitmap = Bitmap::new(&mut Arena::heap(), size).unwrap();
        let (mut free, mut used): (BTreeSet<usize>, Vec<usize>) = ((0..size).collect(), Vec::new());
        for step in 0..if cfg!(miri) { 300 } else { 20_000 } {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Fill up and drain in waves.
            if (random >> 33) % 4 < if step / 1000 % 2 == 0 { 3 } else { 1 } {
                assert_eq!(bitmap.claim(), free.pop_first().inspect(|i| used.push(*i)));
            } else if !used.is_empty() {
                let i = used.swap_remove((random >> 40) as usize % used.len());
                // SAFETY: it was claimed, and is no longer listed.
                unsafe { bitmap.release(i) };
                free.insert(i);
            }
        }
        assert_eq!(bitmap.stats().used, used.len());
    }
}

#[test]
fn threads_never_share_a_block_and_lose_none() {
    let size = BITS + 5;
    let bitmap = Bitmap::new(&mut Arena::heap(), size).unwrap();
    let owners: Vec<AtomicUsize> = (0..size).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 1..4 {
            let (bitmap, owners) = (&bitmap, &owners);
            scope.spawn(move || {
                let mut mine = Vec::new();
                for round in 0..if cfg!(miri) { 60 } else { 50_000 } {
                    // Together the threads want more than there is.
                    if mine.len() < size / 2
                        && round % 7 != 0
                        && let Some(i) = bitmap.claim()
                    {
                        assert_eq!(owners[i].swap(thread, Ordering::Relaxed), 0);
                        mine.push(i);
                        continue;
                    }
                    for i in mine.drain(..mine.len() / 2) {
                        assert_eq!(owners[i].swap(0, Ordering::Relaxed), thread);
                        // SAFETY: claimed above and drained here.
                        unsafe { bitmap.release(i) };
                    }
                }
                for i in mine {
                    owners[i].store(0, Ordering::Relaxed);
                    // SAFETY: as above.
                    unsafe { bitmap.release(i) };
                }
            });
        }
    });
    assert_eq!(bitmap.stats().used, 0);
    let all: BTreeSet<_> = core::iter::from_fn(|| bitmap.claim()).collect();
    assert_eq!(all.len(), size);
}

#[test]
fn it_is_known_how_many_are_free_at_least() {
    for size in sizes() {
        let bitmap = Bitmap::new(&mut Arena::heap(), size).unwrap();
        for claimed in 0..size.min(2 * BITS) {
            let free = size - claimed;
            let known = [0, free / 2, free, free + 1].map(|wanted| bitmap.has_free_at_least(wanted));
            assert_eq!(known, [true, true, true, false], "{free} of {size}");
            assert_eq!(bitmap.claim(), Some(claimed));
        }
    }
}
