//! A list of positions that wait for their turn, each at most once.

use coracle_buf::{Arena, Error, Table};

use super::NONE;

/// Marks a position that is not in the list.
const ABSENT: u32 = NONE - 1;

/// First come, first served; adding and taking cost constant time.
pub(crate) struct Worklist {
    next: Table<u32>,
    first: u32,
    last: u32,
}

impl Worklist {
    /// An empty list of positions below `positions`.
    pub(crate) fn new(arena: &mut Arena, positions: usize) -> Result<Self, Error> {
        Ok(Self { next: arena.table(positions, |_| ABSENT)?, first: NONE, last: NONE })
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Adds a position at the end, unless it is in the list already.
    #[inline]
    pub(crate) fn add(&mut self, position: u32) {
        let Some(next) = self.next.get_mut(position as usize) else { return };
        if *next != ABSENT {
            return;
        }
        *next = NONE;
        match self.next.get_mut(self.last as usize) {
            Some(last) => *last = position,
            None => self.first = position,
        }
        self.last = position;
    }

    /// Takes the first position out.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<u32> {
        let position = self.first()?;
        self.first = core::mem::replace(&mut self.next[position as usize], ABSENT);
        if self.first == NONE {
            self.last = NONE;
        }
        Some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_out_as_they_went_in_and_once() {
        let mut list = Worklist::new(&mut Arena::heap(), 4).unwrap();
        assert!(list.is_empty() && list.take().is_none());
        for position in [2, 0, 2, 3, 0] {
            list.add(position);
        }
        list.add(9);
        assert_eq!(list.first(), Some(2));
        assert_eq!([list.take(), list.take()], [Some(2), Some(0)]);
        list.add(2);
        assert_eq!([list.take(), list.take(), list.take()], [Some(3), Some(2), None]);
        list.add(1);
        assert_eq!([list.take(), list.take()], [Some(1), None]);
    }
}
