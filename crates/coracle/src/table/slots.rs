//! A fixed number of slots, each named by its position and by how often it was filled.

use core::num::NonZeroU32;

use coracle_buf::{Arena, Error, Table};

use super::NONE;

/// A name for what was put into a slot. Once that is gone the name finds nothing, whatever the slot holds later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) index: u32,
    // Never zero, so that a key or none takes no more room than a key.
    generation: NonZeroU32,
}

impl Key {
    /// The name of nothing.
    pub(crate) const NONE: Self = Self { index: NONE, generation: NonZeroU32::MIN };
}

struct Slot<T> {
    generation: NonZeroU32,
    next_free: u32,
    value: Option<T>,
}

/// Values in slots: inserting, finding and removing take constant time.
pub(crate) struct Slots<T> {
    table: Table<Slot<T>>,
    first_free: u32,
    used: u32,
}

impl<T> Slots<T> {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let capacity = u32::try_from(capacity).map_err(|_| Error::Memory)?;
        let table = arena.table(capacity as usize, |index| Slot {
            generation: NonZeroU32::MIN,
            next_free: if index as u32 + 1 < capacity { index as u32 + 1 } else { NONE },
            value: None,
        })?;
        Ok(Self { table, first_free: if capacity == 0 { NONE } else { 0 }, used: 0 })
    }

    /// How many slots there are.
    pub(crate) fn capacity(&self) -> usize {
        self.table.len()
    }

    /// How many slots are filled.
    pub(crate) fn used(&self) -> usize {
        self.used as usize
    }

    /// Fills a slot; [`Error::Memory`] when none is free.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, Error> {
        let index = self.first_free;
        let slot = self.table.get_mut(index as usize).ok_or(Error::Memory)?;
        self.first_free = slot.next_free;
        self.used += 1;
        slot.value = Some(value);
        Ok(Key { index, generation: slot.generation })
    }

    /// Empties a slot, and ends its name.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.table.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        slot.next_free = self.first_free;
        self.first_free = key.index;
        self.used -= 1;
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.table.get(key.index as usize)?;
        if slot.generation == key.generation { slot.value.as_ref() } else { None }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.table.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    /// What is in the slot at a position, whatever its generation.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> Option<&T> {
        self.table.get(index)?.value.as_ref()
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        self.table.get_mut(index)?.value.as_mut()
    }

    /// What is in the slot at a position, with its present name.
    #[inline]
    pub(crate) fn entry_at(&self, index: usize) -> Option<(Key, &T)> {
        let slot = self.table.get(index)?;
        slot.value.as_ref().map(|value| (Key { index: index as u32, generation: slot.generation }, value))
    }

    /// What is in the slot at a position, with its present name.
    #[inline]
    pub(crate) fn entry_at_mut(&mut self, index: usize) -> Option<(Key, &mut T)> {
        let slot = self.table.get_mut(index)?;
        let key = Key { index: index as u32, generation: slot.generation };
        slot.value.as_mut().map(|value| (key, value))
    }

    /// The present name of what is in the slot at a position.
    #[inline]
    pub(crate) fn key_at(&self, index: usize) -> Option<Key> {
        let slot = self.table.get(index)?;
        slot.value.as_ref().map(|_| Key { index: index as u32, generation: slot.generation })
    }

    /// Everything, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.table.iter().enumerate().filter_map(|(index, slot)| {
            let key = Key { index: index as u32, generation: slot.generation };
            slot.value.as_ref().map(|value| (key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_refuses_and_serves_again_after_a_removal() {
        let mut slots = Slots::new(&mut Arena::heap(), 2).unwrap();
        let first = slots.insert('a').unwrap();
        slots.insert('b').unwrap();
        assert_eq!(slots.insert('c'), Err(Error::Memory));
        assert_eq!(slots.remove(first), Some('a'));
        let third = slots.insert('c').unwrap();
        assert_eq!(slots.get(third), Some(&'c'));
        assert_eq!(slots.used(), 2);
    }

    #[test]
    fn a_stale_key_never_finds_the_slots_next_value() {
        let mut slots = Slots::new(&mut Arena::heap(), 1).unwrap();
        let stale = slots.insert(1).unwrap();
        slots.remove(stale);
        let fresh = slots.insert(2).unwrap();
        assert_eq!(stale.index, fresh.index);
        assert_eq!(slots.get(stale), None);
        assert_eq!(slots.get_mut(stale), None);
        assert_eq!(slots.remove(stale), None);
        assert_eq!(slots.get(fresh), Some(&2));
    }

    #[test]
    fn a_table_of_no_slots_is_an_error_to_fill_and_nothing_else() {
        let mut slots = Slots::new(&mut Arena::heap(), 0).unwrap();
        assert_eq!(slots.insert(1), Err(Error::Memory));
        assert_eq!(slots.iter().count(), 0);
    }
}
