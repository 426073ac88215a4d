//! A chained hash index: it finds positions of a table by hash, and leaves the comparison to its user.

use coracle_buf::{Arena, Error, Table};

/// The end of a chain.
pub(crate) const NONE: u32 = u32::MAX;

/// Chains of table positions. A position is in at most one chain; its user remembers the hash.
pub(crate) struct Index {
    buckets: Table<u32>,
    next: Table<u32>,
}

impl Index {
    /// An index for the positions below `positions`, with as many buckets (rounded up to a power of two).
    pub(crate) fn new(arena: &mut Arena, positions: usize) -> Result<Self, Error> {
        let buckets = positions.max(1).checked_next_power_of_two().ok_or(Error::Memory)?;
        Ok(Self { buckets: arena.table(buckets, |_| NONE)?, next: arena.table(positions, |_| NONE)? })
    }

    #[inline]
    fn bucket(&self, hash: u32) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    /// The first position in the chain of a hash, or [`NONE`]. Positions of other hashes share the chain.
    #[inline]
    pub(crate) fn first(&self, hash: u32) -> u32 {
        self.buckets[self.bucket(hash)]
    }

    /// The position after this one in its chain, or [`NONE`].
    #[inline]
    pub(crate) fn next(&self, position: u32) -> u32 {
        self.next[position as usize]
    }

    /// Puts a position at the front of its chain: the newest is found first.
    pub(crate) fn insert(&mut self, hash: u32, position: u32) {
        let bucket = self.bucket(hash);
        self.next[position as usize] = self.buckets[bucket];
        self.buckets[bucket] = position;
    }

    /// Takes a position out of the chain of the hash it was inserted with.
    pub(crate) fn remove(&mut self, hash: u32, position: u32) {
        let bucket = self.bucket(hash);
        let after = self.next[position as usize];
        if self.buckets[bucket] == position {
            self.buckets[bucket] = after;
            return;
        }
        let mut at = self.buckets[bucket];
        while at != NONE {
            if self.next[at as usize] == position {
                self.next[at as usize] = after;
                return;
            }
            at = self.next[at as usize];
        }
        debug_assert!(false, "a position is removed with the hash it was inserted with");
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn chain(index: &Index, hash: u32) -> Vec<u32> {
        let mut positions = Vec::new();
        let mut at = index.first(hash);
        while at != NONE {
            positions.push(at);
            at = index.next(at);
        }
        positions
    }

    #[test]
    fn the_newest_of_a_chain_comes_first_and_any_can_leave() {
        let mut index = Index::new(&mut Arena::heap(), 4).unwrap();
        for position in 0..4 {
            index.insert(9, position);
        }
        assert_eq!(chain(&index, 9), [3, 2, 1, 0]);
        index.remove(9, 1);
        assert_eq!(chain(&index, 9), [3, 2, 0]);
        index.remove(9, 3);
        index.remove(9, 0);
        assert_eq!(chain(&index, 9), [2]);
    }
}
