//! Which blocks of a pool are free: a bitmap in up to three levels, claimed and released without a lock.
//!
//! A set bit in a *leaf* is a free block. Pools of more than one leaf have *summaries*, whose bit says that a
//! leaf may have a free block, and *tops* over the summaries, so that the lowest free block is found with a
//! look at one word per level (262,144 blocks with 64-bit words; above that, the tops are searched in order).
//! Most claims don't even do that, as the lowest leaf with free blocks is remembered; that is only a hint,
//! which a race may make too high until the next search.
//!
//! An upper bit may be set over an empty word, and is cleared by who finds out. Whoever clears it looks at
//! the lower word again afterwards and sets it back if a block was released in between; since all accesses
//! are sequentially consistent, either this look sees the release, or the release comes later and sets the
//! bit itself. So no free block is lost. There is no ABA problem, since a word is the whole truth about its
//! blocks.

use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use crate::{Arena, Error, PoolStats, Table};

const BITS: usize = usize::BITS as usize;

#[derive(Debug)]
pub(crate) struct Bitmap {
    leaves: Table<AtomicUsize>,
    summaries: Table<AtomicUsize>,
    tops: Table<AtomicUsize>,
    capacity: usize,
    // The lowest leaf with a free block, as far as is known; always one of the leaves.
    hint: AtomicUsize,
    // One more than the highest index that was ever claimed. As the lowest free block is the one that is
    // claimed, all below it were in use at that moment, so that this is the greatest number of blocks ever in
    // use (a race may make it a little more).
    peak: AtomicUsize,
    failed: AtomicU32,
}

/// A level of `count` set bits, and at least one word.
fn level(arena: &mut Arena, count: usize) -> Result<Table<AtomicUsize>, Error> {
    arena.table(count.div_ceil(BITS).max(1), |word| {
        let bits = count - word * BITS;
        AtomicUsize::new(if bits >= BITS { usize::MAX } else { (1 << bits) - 1 })
    })
}

impl Bitmap {
    /// `capacity` blocks, all free.
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let leaves = level(arena, capacity)?;
        let summaries = if leaves.len() > 1 { level(arena, leaves.len())? } else { Table::empty() };
        let tops = if summaries.len() > 1 { level(arena, summaries.len())? } else { Table::empty() };
        let (hint, peak, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU32::new(0));
        Ok(Self { leaves, summaries, tops, capacity, hint, peak, failed })
    }

    /// The lowest free block, which is in use from now on; `None` (and counted) if there is none.
    #[inline]
    pub(crate) fn claim(&self) -> Option<usize> {
        self.claim_hinted().or_else(|| self.search())
    }

    /// `claim` where the hint is right and nobody else is faster; `None` leaves the rest to
    /// [`search`](Self::search).
    #[inline]
    pub(crate) fn claim_hinted(&self) -> Option<usize> {
        let leaf = self.hint.load(Ordering::Relaxed);
        // SAFETY: there is a leaf 0, and whoever changes the hint makes it another one that exists.
        let word = unsafe { self.leaves.get_unchecked(leaf) };
        let free = word.load(Ordering::SeqCst);
        let rest = free & free.wrapping_sub(1);
        if free == 0 || word.compare_exchange(free, rest, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return None;
        }
        let index = leaf * BITS + free.trailing_zeros() as usize;
        if index >= self.peak.load(Ordering::Relaxed) {
            self.raise_peak(index + 1);
        }
        Some(index)
    }

    /// The lowest free block where the hint is wrong or somebody else was faster; `None` (and counted) if
    /// there is none.
    #[cold]
    #[inline(never)]
    pub(crate) fn search(&self) -> Option<usize> {
        loop {
            let leaf = if self.summaries.is_empty() { 0 } else { self.candidate()? };
            let word = &self.leaves[leaf];
            let mut free = word.load(Ordering::SeqCst);
            while free != 0 {
                let rest = free & (free - 1);
                match word.compare_exchange_weak(free, rest, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => {
                        self.hint.store(leaf, Ordering::Relaxed);
                        let index = leaf * BITS + free.trailing_zeros() as usize;
                        self.raise_peak(index + 1);
                        return Some(index);
                    }
                    Err(now) => free = now,
                }
            }
            if self.summaries.is_empty() {
                return self.exhausted();
            }
            self.emptied(leaf);
        }
    }

    /// Gives a claimed block back. Its user's accesses to the block happen before those of the next one.
    ///
    /// # Safety
    ///
    /// `index` came from `claim` and was not given back since.
    #[inline]
    pub(crate) unsafe fn release(&self, index: usize) {
        let leaf = index / BITS;
        debug_assert!(index < self.capacity);
        // SAFETY: the index came from `claim`, so that there is such a leaf.
        let word = unsafe { self.leaves.get_unchecked(leaf) };
        // The bit is clear, so adding it sets it (and is one instruction where an or with its old value is
        // not).
        let before = word.fetch_add(1 << (index % BITS), Ordering::SeqCst);
        debug_assert!(before & (1 << (index % BITS)) == 0, "block given back twice");
        if before == 0 {
            self.refilled(leaf);
        }
    }

    /// A leaf that may have a free block: the lowest one.
    fn candidate(&self) -> Option<usize> {
        let mut at = if self.tops.is_empty() { 0 } else { self.candidate_summary()? };
        loop {
            let bits = self.summaries[at].load(Ordering::SeqCst);
            if bits != 0 {
                return Some(at * BITS + bits.trailing_zeros() as usize);
            }
            if self.tops.is_empty() {
                return self.exhausted();
            }
            clear_above(&self.tops, at, &self.summaries[at]);
            at = self.candidate_summary()?;
        }
    }

    fn candidate_summary(&self) -> Option<usize> {
        for (i, top) in self.tops.iter().enumerate() {
            let bits = top.load(Ordering::SeqCst);
            if bits != 0 {
                return Some(i * BITS + bits.trailing_zeros() as usize);
            }
        }
        self.exhausted()
    }

    /// The leaf was seen without a free block.
    fn emptied(&self, leaf: usize) {
        if clear_above(&self.summaries, leaf, &self.leaves[leaf]) && !self.tops.is_empty() {
            let summary = leaf / BITS;
            clear_above(&self.tops, summary, &self.summaries[summary]);
        }
    }

    /// The leaf had no free block, and has one now.
    #[cold]
    #[inline(never)]
    fn refilled(&self, leaf: usize) {
        if self.summaries.is_empty() {
            return;
        }
        let summary = leaf / BITS;
        self.summaries[summary].fetch_or(1 << (leaf % BITS), Ordering::SeqCst);
        if !self.tops.is_empty() {
            self.tops[summary / BITS].fetch_or(1 << (summary % BITS), Ordering::SeqCst);
        }
        self.hint.fetch_min(leaf, Ordering::Relaxed);
    }

    #[cold]
    fn exhausted(&self) -> Option<usize> {
        self.failed.fetch_add(1, Ordering::Relaxed);
        None
    }

    #[cold]
    #[inline(never)]
    fn raise_peak(&self, to: usize) {
        self.peak.fetch_max(to, Ordering::Relaxed);
    }

    /// Counts an allocation that failed without a claim.
    #[cold]
    pub(crate) fn refused(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a slot is free, or was a moment ago.
    pub(crate) fn has_free(&self) -> bool {
        let hinted = self.leaves.get(self.hint.load(Ordering::Relaxed));
        let any = |leaf: &AtomicUsize| leaf.load(Ordering::Relaxed) != 0;
        hinted.is_some_and(any) || self.leaves.iter().any(any)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether so many blocks are free. Looks no further than where it knows, so that plenty is soon found.
    pub(crate) fn has_free_at_least(&self, wanted: usize) -> bool {
        let mut found = 0;
        self.leaves.iter().rev().any(|leaf| {
            found += leaf.load(Ordering::Relaxed).count_ones() as usize;
            found >= wanted
        })
    }

    /// The counters. `used` is exact when nobody claims or releases at the same time.
    pub(crate) fn stats(&self) -> PoolStats {
        let free: usize =
            self.leaves.iter().map(|leaf| leaf.load(Ordering::SeqCst).count_ones() as usize).sum();
        PoolStats {
            capacity: self.capacity,
            used: self.capacity - free,
            peak: self.peak.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed) as usize,
        }
    }
}

/// Clears the bit of word `below` (the `at`th of its level) if that is zero, also if a release comes in
/// between. Whether the upper word became zero.
fn clear_above(above: &[AtomicUsize], at: usize, below: &AtomicUsize) -> bool {
    let (word, bit) = (&above[at / BITS], 1 << (at % BITS));
    let before = word.fetch_and(!bit, Ordering::SeqCst);
    if below.load(Ordering::SeqCst) != 0 {
        word.fetch_or(bit, Ordering::SeqCst);
        return false;
    }
    before & !bit == 0
}

#[cfg(test)]
#[path = "bitmap_tests.rs"]
mod tests;
