//! Tables: slices whose length is chosen at run time and never changes.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

use crate::arena::Region;
use crate::{Arena, Error};

/// A fixed number of elements in memory of an [`Arena`]: what `Box<[T]>` is to the global allocator.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use coracle_buf::Arena;
///
/// let mut squares = Arena::heap().table(4, |i| i * i)?;
/// squares[0] = 7;
/// assert_eq!(*squares, [7, 1, 4, 9]);
/// # }
/// # Ok::<(), coracle_buf::Error>(())
/// ```
pub struct Table<T> {
    start: NonNull<T>,
    len: usize,
    // Keeps the memory; empty tables have none.
    _region: Option<Region>,
    owns: PhantomData<T>,
}

// SAFETY: a table owns its elements, as a box of a slice does.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T> Table<T> {
    /// A table without elements.
    pub const fn empty() -> Self {
        Self { start: NonNull::dangling(), len: 0, _region: None, owns: PhantomData }
    }

    pub(crate) fn new(
        arena: &mut Arena,
        len: usize,
        mut init: impl FnMut(usize) -> T,
    ) -> Result<Self, Error> {
        let layout = Layout::array::<T>(len).map_err(|_| Error::Memory)?;
        let region = arena.reserve(layout)?;
        let start = region.start().cast::<T>();
        // The length grows with the elements, so that a panic of `init` drops exactly those that exist.
        let mut table = Self { start, len: 0, _region: Some(region), owns: PhantomData };
        for i in 0..len {
            let value = init(i);
            // SAFETY: the region is aligned and large enough for `len` elements and unshared; `i < len`.
            unsafe { start.add(i).write(value) };
            table.len = i + 1;
        }
        Ok(table)
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `start` points at `len` initialised elements that this table owns (or dangles, aligned,
        // with length 0), and `&self` keeps them from being changed or freed.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Table<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes the borrow unique.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the elements are initialised and owned, and nobody uses them after the table. The memory
        // goes with `region`, which drops after this.
        unsafe { ptr::drop_in_place::<[T]>(&raw mut **self) }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T> IntoIterator for &'a Table<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut Table<T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}
