//! Pools of fixed blocks: lwIP's memp.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::arena::Region;
use crate::bitmap::Bitmap;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use crate::{Arena, Error};

/// The counters of a pool, in blocks (those of the heap: in bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStats {
    /// How many there are.
    pub capacity: usize,
    /// How many are in use now.
    pub used: usize,
    /// The most that were ever in use at one time.
    pub peak: usize,
    /// How often there was none left.
    pub failed: usize,
}

/// Counts the users of a piece of memory that frees itself after the last one.
#[derive(Debug)]
pub(crate) struct Users {
    count: AtomicUsize,
    // Never freed: it lies in static memory, or the count came near its end.
    pinned: AtomicBool,
}

impl Users {
    pub(crate) fn one(pinned: bool) -> Self {
        Self { count: AtomicUsize::new(1), pinned: AtomicBool::new(pinned) }
    }

    /// One user more, which takes memory of its own, so that the count cannot overflow by it.
    #[inline]
    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// One user more, which may be forgotten as often as one likes (`mem::forget` on a handle).
    pub(crate) fn add_handle(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) > usize::MAX / 2 {
            self.pinned.store(true, Ordering::SeqCst);
        }
    }

    /// One user less; true if that was the last one, and the memory is now the caller's to free.
    ///
    /// # Safety
    ///
    /// `users` is valid, and the caller is one of the users that are counted. It may be freed by another one
    /// from this call on (unless it returned true).
    #[inline]
    pub(crate) unsafe fn remove(users: NonNull<Self>) -> bool {
        // SAFETY: valid until the count is decremented, and not touched afterwards unless it was the last.
        let before = unsafe { (*users.as_ptr()).count.fetch_sub(1, Ordering::Release) };
        // SAFETY: as the last one, the caller has the memory for itself.
        before == 1 && unsafe { Self::last(users) }
    }

    #[cold]
    unsafe fn last(users: NonNull<Self>) -> bool {
        // SAFETY: nobody else is counted, so it cannot be freed by anybody else.
        let users = unsafe { users.as_ref() };
        // All that other users did happens before what follows.
        users.count.load(Ordering::Acquire);
        !users.pinned.load(Ordering::SeqCst)
    }
}

/// A pool of `T`s with a fixed capacity: lwIP's `LWIP_MEMPOOL_DECLARE`.
///
/// Allocating and freeing take no lock and may be done from interrupts and other threads. An allocation that
/// races with others in a pool of more blocks than a machine word has bits may fail while a block is on its
/// way back.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use coracle_buf::{Arena, Pool};
///
/// let pool = Pool::new(&mut Arena::heap(), 2)?;
/// let a = pool.alloc("a").unwrap();
/// let b = pool.alloc("b").unwrap();
/// assert_eq!(pool.alloc("c").unwrap_err(), "c"); // given back: there is no room
/// drop(a);
/// assert_eq!(*pool.alloc("d").unwrap(), "d");
/// assert_eq!(pool.stats().peak, 2);
/// # }
/// # Ok::<(), coracle_buf::Error>(())
/// ```
pub struct Pool<T> {
    core: NonNull<PoolCore<T>>,
    owns: PhantomData<T>,
}

struct PoolCore<T> {
    users: Users,
    bitmap: Bitmap,
    slots: Region,
    // Where this core itself lies, to be freed with the last user.
    own: Region,
    holds: PhantomData<T>,
}

struct Slot<T> {
    value: MaybeUninit<T>,
    core: NonNull<PoolCore<T>>,
    index: usize,
}

// SAFETY: the pool is shared by its handle and its boxes, all of whose accesses to it are atomic; values may
// be made through `&Pool` on one thread and dropped on another, hence `T: Send`.
unsafe impl<T: Send> Send for Pool<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Pool<T> {}

impl<T> Pool<T> {
    /// A pool of `capacity` blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the arena has no room for it; nothing of the arena is consumed then.
    pub fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let mark = arena.mark();
        let made = Self::build(arena, capacity);
        if made.is_err() {
            // SAFETY: all that `build` reserved was dropped with its error.
            unsafe { arena.rewind(mark) }
        }
        made
    }

    fn build(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        // The largest part first: what doesn't fit is found out before anything else is made.
        let slots = arena.reserve(Layout::array::<Slot<T>>(capacity).map_err(|_| Error::Memory)?)?;
        let bitmap = Bitmap::new(arena, capacity)?;
        let own = arena.reserve(Layout::new::<PoolCore<T>>())?;
        let core = own.start().cast::<PoolCore<T>>();
        let first = slots.start().cast::<Slot<T>>();
        for index in 0..capacity {
            // SAFETY: the region holds `capacity` slots, aligned and unshared.
            unsafe { first.add(index).write(Slot { value: MaybeUninit::uninit(), core, index }) };
        }
        let users = Users::one(!own.owned());
        // SAFETY: the region is one core large, aligned and unshared.
        unsafe { core.write(PoolCore { users, bitmap, slots, own, holds: PhantomData }) };
        Ok(Self { core, owns: PhantomData })
    }

    fn core(&self) -> &PoolCore<T> {
        // SAFETY: this handle is a counted user, so that the core lives; it is only ever shared.
        unsafe { self.core.as_ref() }
    }

    /// Puts `value` into a free block.
    ///
    /// # Errors
    ///
    /// Gives `value` back if there is none; this is counted in [`PoolStats::failed`].
    #[inline]
    pub fn alloc(&self, value: T) -> Result<PoolBox<T>, T> {
        let core = self.core();
        let Some(index) = core.bitmap.claim() else { return Err(value) };
        core.users.add();
        // SAFETY: the index is below the capacity, and the claim makes the slot this caller's alone.
        let slot = unsafe {
            let slot = core.slots.start().cast::<Slot<T>>().add(index);
            (&raw mut (*slot.as_ptr()).value).cast::<T>().write(value);
            slot
        };
        Ok(PoolBox { slot, owns: PhantomData })
    }

    /// The counters.
    pub fn stats(&self) -> PoolStats {
        self.core().bitmap.stats()
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        // SAFETY: this handle is a counted user, and gone after this.
        unsafe { remove_user(self.core) }
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.stats()).finish()
    }
}

/// # Safety
///
/// The caller is a counted user of the core, and isn't after this call.
unsafe fn remove_user<T>(core: NonNull<PoolCore<T>>) {
    // SAFETY: the caller vouches for the core; when its last user is gone, nobody else can reach it, so it is
    // dropped in place, and then its memory.
    unsafe {
        let users = NonNull::new_unchecked(&raw mut (*core.as_ptr()).users);
        if Users::remove(users) {
            let PoolCore { own, bitmap, slots, .. } = core.read();
            drop((bitmap, slots));
            drop(own);
        }
    }
}

/// A value in a block of a [`Pool`], which goes back when this is dropped. Keeps the pool's memory alive.
pub struct PoolBox<T> {
    slot: NonNull<Slot<T>>,
    owns: PhantomData<T>,
}

// SAFETY: the box owns its value; the pool is reached with atomic accesses only.
unsafe impl<T: Send> Send for PoolBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for PoolBox<T> {}

impl<T> Deref for PoolBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot is this box's and initialised since `alloc`.
        unsafe { (*self.slot.as_ptr()).value.assume_init_ref() }
    }
}

impl<T> DerefMut for PoolBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and borrowed uniquely with the box.
        unsafe { (*self.slot.as_ptr()).value.assume_init_mut() }
    }
}

impl<T> Drop for PoolBox<T> {
    fn drop(&mut self) {
        /// Gives the slot back, also when the value's destructor panics.
        struct GiveBack<T>(NonNull<Slot<T>>);
        impl<T> Drop for GiveBack<T> {
            fn drop(&mut self) {
                // SAFETY: the slot was this box's; its core lives until the user that the box was is removed.
                unsafe {
                    let (core, index) = ((*self.0.as_ptr()).core, (*self.0.as_ptr()).index);
                    (*core.as_ptr()).bitmap.release(index);
                    remove_user(core);
                }
            }
        }
        let slot = GiveBack(self.slot);
        // SAFETY: the value is initialised, owned, and not used after this.
        unsafe { (*slot.0.as_ptr()).value.assume_init_drop() }
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
