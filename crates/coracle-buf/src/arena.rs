//! Where memory comes from: static bytes, or the global allocator.

use crate::{Error, Table};
use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// The source of all memory of a stack: tables, pools and heap are cut from it once, at the start.
///
/// Over static bytes it only ever shrinks. Over the global allocator (feature `alloc`) it has no end of its
/// own, and what it gave is freed with its last user.
#[derive(Debug)]
pub struct Arena {
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Static {
        next: NonNull<u8>,
        left: usize,
    },
    #[cfg(feature = "alloc")]
    Heap,
}

// SAFETY: a static arena is the only owner of the bytes it points at, and it has no interior mutability.
unsafe impl Send for Arena {}
// SAFETY: as above: `&Arena` reads two numbers.
unsafe impl Sync for Arena {}

/// A state of an arena to go back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark(Source);

impl Arena {
    /// An arena over bytes that are the program's for good.
    pub fn from_static(bytes: &'static mut [MaybeUninit<u8>]) -> Self {
        let left = bytes.len();
        Self { source: Source::Static { next: NonNull::from(bytes).cast(), left } }
    }

    /// An arena over the global allocator.
    #[cfg(feature = "alloc")]
    pub const fn heap() -> Self {
        Self { source: Source::Heap }
    }

    /// Bytes that are left (alignment will eat some of them); `None` over the global allocator.
    pub fn remaining(&self) -> Option<usize> {
        match self.source {
            Source::Static { left, .. } => Some(left),
            #[cfg(feature = "alloc")]
            Source::Heap => None,
        }
    }

    /// A table of `len` elements, the `i`th made by `init(i)`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if it doesn't fit; nothing of the arena is consumed then, and `init` isn't called.
    pub fn table<T>(&mut self, len: usize, init: impl FnMut(usize) -> T) -> Result<Table<T>, Error> {
        Table::new(self, len, init)
    }

    /// Memory of that layout, with every byte zero.
    pub(crate) fn reserve(&mut self, layout: Layout) -> Result<Region, Error> {
        if layout.size() == 0 {
            return Ok(Region { start: dangling(layout), layout, owned: false });
        }
        match &mut self.source {
            Source::Static { next, left } => {
                let skip = next.align_offset(layout.align());
                let used = skip.checked_add(layout.size()).ok_or(Error::Memory)?;
                if used > *left {
                    return Err(Error::Memory);
                }
                // SAFETY: `used <= left`, and `left` bytes from `next` on are this arena's alone; so both new
                // pointers stay inside them, and the zeroed bytes belong to nobody else.
                let start = unsafe {
                    let start = next.add(skip);
                    start.write_bytes(0, layout.size());
                    *next = next.add(used);
                    start
                };
                *left -= used;
                Ok(Region { start, layout, owned: false })
            }
            #[cfg(feature = "alloc")]
            Source::Heap => {
                // SAFETY: the layout's size is not zero.
                let start = unsafe { alloc::alloc::alloc_zeroed(layout) };
                let start = NonNull::new(start).ok_or(Error::Memory)?;
                Ok(Region { start, layout, owned: true })
            }
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.source)
    }

    /// Takes back everything that was reserved since `mark`.
    ///
    /// # Safety
    ///
    /// `mark` is this arena's, and nothing reserved since is in use or will be.
    pub(crate) unsafe fn rewind(&mut self, mark: Mark) {
        self.source = mark.0;
    }
}

fn dangling(layout: Layout) -> NonNull<u8> {
    NonNull::without_provenance(
        core::num::NonZeroUsize::new(layout.align()).unwrap_or(core::num::NonZeroUsize::MIN),
    )
}

/// Memory that an arena gave: freed on drop if it came from the global allocator.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    #[cfg_attr(not(feature = "alloc"), expect(dead_code, reason = "only needed to free"))]
    layout: Layout,
    owned: bool,
}

impl Region {
    #[inline]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Whether the memory goes back to the global allocator.
    pub(crate) fn owned(&self) -> bool {
        self.owned
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        #[cfg(feature = "alloc")]
        if self.owned {
            // SAFETY: `owned` says that `reserve` got this pointer from the global allocator with this
            // layout, and a region is dropped once.
            unsafe { alloc::alloc::dealloc(self.start.as_ptr(), self.layout) }
        }
    }
}

#[cfg(test)]
#[path = "arena_tests.rs"]
mod tests;
