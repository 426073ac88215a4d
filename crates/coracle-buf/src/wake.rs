//! Ending the sleep of whoever serves a stack.

use core::task::{RawWaker, RawWakerVTable, Waker};

use crate::sync::{AtomicBool, Ordering};

/// Ends the sleep of the context that serves a stack; called by other threads, and by interrupts.
///
/// A call that comes while nobody sleeps ends the next sleep at once, so that none is lost; several are merged.
pub trait Wake {
    /// Ends the present sleep, or the next one. Never blocks.
    fn wake(&self);
}

impl<W: Wake + ?Sized> Wake for &W {
    #[inline]
    fn wake(&self) {
        (**self).wake();
    }
}

/// A call that is kept until somebody asks: what a device without an operating system sleeps by.
///
/// An interrupt calls [`wake`](Wake::wake); the loop shuts interrupts out, and sleeps (`wfi`, which an interrupt ends
/// even while it is shut out) unless [`take`](Self::take) tells that there was a call.
///
/// ```
/// use coracle_buf::{Event, Wake};
/// static EVENT: Event = Event::new();
/// EVENT.wake();
/// assert!(EVENT.take());
/// assert!(!EVENT.take());
/// ```
#[derive(Debug)]
pub struct Event(AtomicBool);

impl Event {
    /// Nobody has called yet.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Nobody has called yet.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Whether somebody has called since this was last asked. What the caller did before is seen afterwards.
    #[inline]
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake for Event {
    #[inline]
    fn wake(&self) {
        // A swap, not a store: who takes the call sees what all callers did before, not only the last of them.
        self.0.swap(true, Ordering::AcqRel);
    }
}

/// The same call as a [`Waker`], for drivers of the asynchronous kind. It needs no allocator.
///
/// ```
/// use coracle_buf::{Event, waker};
/// static EVENT: Event = Event::new();
/// waker(&EVENT).wake();
/// assert!(EVENT.take());
/// ```
pub fn waker<W: Wake + Sync>(target: &'static W) -> Waker {
    // SAFETY: the data is a `&'static W`, which needs no counting, is valid for ever, and may be used from every thread
    // at once, as `W: Sync`; so cloning copies the pointer and dropping does nothing.
    unsafe { Waker::new(core::ptr::from_ref(target).cast(), Table::<W>::VTABLE) }
}

struct Table<W>(W);

impl<W: Wake + Sync + 'static> Table<W> {
    const VTABLE: &'static RawWakerVTable =
        &RawWakerVTable::new(|data| RawWaker::new(data, Self::VTABLE), Self::call, Self::call, |_| ());

    /// # Safety
    ///
    /// `data` came from [`waker`] for a `W`.
    unsafe fn call(data: *const ()) {
        // SAFETY: it is a `&'static W`.
        unsafe { &*data.cast::<W>() }.wake();
    }
}
