//! The heap: lwIP's mem, with constant-time operations.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use rlsf::Tlsf;

use crate::arena::Region;
use crate::memory::Core;
use crate::{Arena, Error, PoolStats};

// Two-level segregated fit: size classes by power of two, each divided again. With 64-bit words one block may
// have 2 GiB; with 32-bit words 16 MiB, and the tables take 0.7 KiB.
#[cfg(target_pointer_width = "64")]
type Blocks = Tlsf<'static, u32, u16, 26, 16>;
#[cfg(not(target_pointer_width = "64"))]
type Blocks = Tlsf<'static, u32, u8, 20, 8>;

/// What every allocation is aligned to.
pub(crate) const ALIGN: usize = align_of::<usize>();

/// A heap in memory of an arena, shared by everyone under a critical section.
pub(crate) struct Heap {
    state: UnsafeCell<State>,
    // Holds the memory that `state` divides.
    _region: Region,
}

struct State {
    blocks: Blocks,
    stats: PoolStats,
}

impl Heap {
    /// A heap over `bytes` bytes, a bit of which goes into its own headers.
    pub(crate) fn new(arena: &mut Arena, bytes: usize) -> Result<Self, Error> {
        let layout = Layout::from_size_align(bytes, rlsf::GRANULARITY).map_err(|_| Error::Memory)?;
        let region = arena.reserve(layout)?;
        let mut blocks = Blocks::new();
        let memory = NonNull::slice_from_raw_parts(region.start(), bytes);
        if bytes > 0 {
            // SAFETY: the region is unshared and lives as long as `blocks`, being dropped with it.
            unsafe { blocks.insert_free_block_ptr(memory) };
        }
        let stats = PoolStats { capacity: bytes, ..PoolStats::default() };
        Ok(Self { state: UnsafeCell::new(State { blocks, stats }), _region: region })
    }

    #[inline]
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        critical_section::with(|_| {
            // SAFETY: the critical section keeps everyone else out, and none of the closures here comes back
            // to this heap, so the borrow is unique.
            work(unsafe { &mut *self.state.get() })
        })
    }

    /// `size` bytes, all of them initialised (zero, or what was freed there), aligned to [`ALIGN`].
    ///
    /// They are initialised because the region was zeroed, the allocator's headers are whole words, and
    /// whoever allocates here leaves no uninitialised byte behind.
    pub(crate) fn alloc(&self, size: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(size.max(1), ALIGN).ok();
        self.with(|state| {
            let found = layout.and_then(|layout| state.blocks.allocate(layout));
            if found.is_some() {
                state.stats.used += size;
                state.stats.peak = state.stats.peak.max(state.stats.used);
            } else {
                state.stats.failed += 1;
            }
            found
        })
    }

    /// Counts an allocation that could not even be asked for.
    pub(crate) fn refuse(&self) {
        self.with(|state| state.stats.failed += 1);
    }

    /// # Safety
    ///
    /// `start` came from `alloc` of this heap and has `size` bytes; it isn't used afterwards.
    pub(crate) unsafe fn free(&self, start: NonNull<u8>, size: usize) {
        self.with(|state| {
            state.stats.used -= size;
            // SAFETY: the caller vouches for `start`; the alignment is that of every allocation here.
            unsafe { state.blocks.deallocate(start, ALIGN) }
        });
    }

    /// Gives the end of an allocation back, in place.
    ///
    /// # Safety
    ///
    /// `start` came from `alloc` of this heap and has `old >= new` bytes; those from `new` on aren't used
    /// afterwards.
    pub(crate) unsafe fn shrink(&self, start: NonNull<u8>, old: usize, new: usize) {
        let Ok(layout) = Layout::from_size_align(new.max(1), ALIGN) else { return };
        self.with(|state| {
            // SAFETY: the caller vouches for `start`. A smaller size is always made in place.
            let same = unsafe { state.blocks.reallocate(start, layout) };
            debug_assert_eq!(same, Some(start));
            state.stats.used -= old - new;
        });
    }

    pub(crate) fn stats(&self) -> PoolStats {
        self.with(|state| state.stats)
    }
}

/// Bytes of the heap: lwIP's `mem_malloc`, always zeroed as by `mem_calloc`. Given back on drop.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// # use coracle_buf::{Arena, Memory, MemoryLimits};
/// # let memory = Memory::new(&mut Arena::heap(), MemoryLimits::SMALL)?;
/// let mut bytes = memory.heap_alloc(100)?;
/// bytes[0] = 1;
/// bytes.trim(10);
/// assert_eq!(*bytes, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/// # }
/// # Ok::<(), coracle_buf::Error>(())
/// ```
pub struct HeapBuf {
    start: NonNull<u8>,
    len: usize,
    core: NonNull<Core>,
}

// SAFETY: the bytes are owned, and the heap behind them is shared under a critical section.
unsafe impl Send for HeapBuf {}
// SAFETY: as above.
unsafe impl Sync for HeapBuf {}

impl HeapBuf {
    /// # Safety
    ///
    /// `core` is valid, and the caller is a user of it.
    pub(crate) unsafe fn new(core: NonNull<Core>, len: usize) -> Result<Self, Error> {
        // SAFETY: the caller vouches for `core`, and the count keeps it alive as long as this buffer.
        let it = unsafe { core.as_ref() };
        let start = it.heap.alloc(len).ok_or(Error::Memory)?;
        it.users.add();
        // SAFETY: `len` bytes that are this buffer's alone.
        unsafe { start.write_bytes(0, len) };
        Ok(Self { start, len, core })
    }

    /// Shortens the buffer to `len` bytes and gives the rest back: lwIP's `mem_trim`. Never grows it.
    pub fn trim(&mut self, len: usize) {
        if len < self.len {
            // SAFETY: the buffer came from this heap with its length, and what is cut off isn't used again.
            unsafe { (*self.core.as_ptr()).heap.shrink(self.start, self.len, len) }
            self.len = len;
        }
    }
}

impl Deref for HeapBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes that this buffer owns.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for HeapBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, borrowed uniquely with the buffer.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for HeapBuf {
    fn drop(&mut self) {
        // SAFETY: the buffer came from this heap with this length, and this buffer is a counted user of the
        // core.
        unsafe {
            (*self.core.as_ptr()).heap.free(self.start, self.len);
            Core::remove_user(self.core);
        }
    }
}

impl fmt::Debug for HeapBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeapBuf").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "heap_tests.rs"]
mod tests;
