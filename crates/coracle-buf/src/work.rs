//! A closure in a place of fixed size: work that goes from one context to another without an allocator.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// Bytes of what a closure may carry along in a [`Work`]: a packet, the name of a control block and an address of IPv6.
pub const WORK_BYTES: usize = 48;

#[repr(align(8))]
struct Room(#[expect(dead_code, reason = "reached by pointers")] [MaybeUninit<u8>; WORK_BYTES]);

/// Something to be done with an `A`, once, wherever that is.
///
/// It has a fixed size. What a closure carries along may have up to [`WORK_BYTES`]; beyond that it is put into a box
/// with the feature `alloc`, and does not compile without.
///
/// ```
/// let by = 5;
/// let work = coracle_buf::Work::new(move |number: &mut i32| *number += by);
/// let mut number = 2;
/// work.run(&mut number);
/// assert_eq!(number, 7);
/// ```
pub struct Work<A> {
    room: Room,
    /// Takes the closure out of the room and calls it, or only drops it.
    finish: unsafe fn(*mut u8, Option<&mut A>),
    of: PhantomData<fn(&mut A)>,
}

// SAFETY: the only thing in it is a closure, which `new` asks to be `Send`.
unsafe impl<A> Send for Work<A> {}

impl<A: 'static> Work<A> {
    /// Work that is a closure or a function.
    pub fn new<F: FnOnce(&mut A) + Send + 'static>(work: F) -> Self {
        #[cfg(not(feature = "alloc"))]
        {
            const { assert!(fits::<F>(), "the closure carries too much along to be posted without an allocator") }
            // SAFETY: it fits.
            unsafe { Self::inline(work) }
        }
        #[cfg(feature = "alloc")]
        if fits::<F>() {
            // SAFETY: it fits.
            unsafe { Self::inline(work) }
        } else {
            let boxed: alloc::boxed::Box<dyn FnOnce(&mut A) + Send> = alloc::boxed::Box::new(work);
            const { assert!(fits::<alloc::boxed::Box<dyn FnOnce(&mut A) + Send>>()) }
            // SAFETY: two pointers fit.
            unsafe { Self::inline(boxed) }
        }
    }

    /// # Safety
    ///
    /// The closure fits.
    unsafe fn inline<F: FnOnce(&mut A) + Send + 'static>(work: F) -> Self {
        let mut room = Room([MaybeUninit::uninit(); WORK_BYTES]);
        // SAFETY: the room is large enough, as the caller says, and aligned for whatever fits.
        unsafe { (&raw mut room).cast::<F>().write(work) };
        Self { room, finish: finish::<A, F>, of: PhantomData }
    }

    /// Does it.
    pub fn run(self, with: &mut A) {
        let mut work = core::mem::ManuallyDrop::new(self);
        let finish = work.finish;
        // SAFETY: the closure is there since `new`, and as nothing drops `work` it is taken out once.
        unsafe { finish((&raw mut work.room).cast(), Some(with)) }
    }
}

impl<A> Drop for Work<A> {
    fn drop(&mut self) {
        // SAFETY: the closure is there since `new`; `run`, which takes it out, leaves nothing to drop.
        unsafe { (self.finish)((&raw mut self.room).cast(), None) }
    }
}

impl<A> fmt::Debug for Work<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= WORK_BYTES && align_of::<F>() <= align_of::<Room>()
}

/// # Safety
///
/// There is an `F` in the room, which is gone afterwards.
unsafe fn finish<A, F: FnOnce(&mut A)>(room: *mut u8, with: Option<&mut A>) {
    // SAFETY: the caller gives it away.
    let work = unsafe { room.cast::<F>().read() };
    if let Some(with) = with {
        work(with);
    }
}

#[cfg(all(test, not(loom)))]
#[path = "work_tests.rs"]
mod tests;
