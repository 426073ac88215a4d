//! The atomics of this crate: the machine's, or those of the model checker `loom` (`--cfg loom`), which tries the orders in
//! which threads may run.

use core::fmt;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering, fence,
};
#[cfg(not(loom))]
pub(crate) use portable_atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering, fence};

/// A value that those reach who agree on whose turn it is.
pub(crate) struct Cell<T>(
    #[cfg(not(loom))] core::cell::UnsafeCell<T>,
    #[cfg(loom)] loom::cell::UnsafeCell<T>,
);

#[cfg(not(loom))]
impl<T> Cell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// Nobody else reads or writes the value during the call.
    #[inline]
    pub(crate) unsafe fn with<R>(&self, access: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller has the value for itself.
        access(unsafe { &mut *self.0.get() })
    }
}

#[cfg(loom)]
impl<T> Cell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// Nobody else reads or writes the value during the call; the model says so if somebody does.
    pub(crate) unsafe fn with<R>(&self, access: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller has the value for itself.
        self.0.with_mut(|value| access(unsafe { &mut *value }))
    }
}

impl<T> fmt::Debug for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell")
    }
}
