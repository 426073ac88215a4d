//! Static bytes to make an arena of.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;

use crate::Arena;
use crate::sync::{AtomicBool, Ordering};

/// Bytes of a `static` that an [`Arena`] is made of: memory for a stack without an allocator.
///
/// ```
/// use coracle_buf::{Memory, MemoryLimits, StaticArena};
///
/// static BYTES: StaticArena<65536> = StaticArena::new();
///
/// let mut arena = BYTES.take().expect("taken once");
/// let memory = Memory::new(&mut arena, MemoryLimits::SMALL)?;
/// assert!(BYTES.take().is_none());
/// # Ok::<(), coracle_buf::Error>(())
/// ```
#[repr(C, align(16))]
pub struct StaticArena<const N: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; N]>,
    taken: AtomicBool,
}

// SAFETY: the bytes are reached only through `take`, which hands them out once.
unsafe impl<const N: usize> Sync for StaticArena<N> {}

impl<const N: usize> StaticArena<N> {
    /// `N` bytes, not yet taken.
    #[allow(clippy::new_without_default)] // only ever useful as the initial value of a static
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([MaybeUninit::uninit(); N]), taken: AtomicBool::new(false) }
    }

    /// The arena over these bytes; `None` from the second call on.
    pub fn take(&'static self) -> Option<Arena> {
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the swap lets one caller through in the life of the program, `self` lives as long, and
        // nothing else reads or writes the bytes, so the borrow is unique.
        let bytes = unsafe { &mut *self.bytes.get() };
        Some(Arena::from_static(bytes))
    }
}

impl<const N: usize> fmt::Debug for StaticArena<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticArena").field("bytes", &N).finish_non_exhaustive()
    }
}
