//! Threads that wait for room in the queue.

use ::core::cell::Cell;
use ::core::sync::atomic::{AtomicUsize, Ordering, fence};
use alloc::sync::Arc;
use std::sync::{Condvar, Mutex, PoisonError};

std::thread_local! {
    /// The queue whose work this thread does at present, by its address.
    static SERVED: Cell<*const Room> = const { Cell::new(::core::ptr::null()) };
}

/// Where threads wait until there is room.
///
/// One who waits is counted before it tries again; one who makes room looks at the count afterwards. With a fence on
/// each side, one of both sees the other, so that nobody waits beside a queue that has room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Room {
    /// There is room, or there never will be.
    pub(crate) fn made(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            // Who was counted but does not sleep yet holds the lock until it does.
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.changed.notify_all();
        }
    }

    /// Tries until it succeeds, and sleeps in between until there may be room.
    pub(crate) fn wait<F, R>(&self, mut work: F, mut attempt: impl FnMut(F) -> Result<R, F>) -> R {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let result = loop {
            match attempt(work) {
                Ok(result) => break result,
                Err(back) => work = back,
            }
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(guard);
        result
    }

    pub(crate) fn serve(self: &Arc<Self>) -> Serving {
        Serving { before: SERVED.replace(Arc::as_ptr(self)) }
    }

    pub(crate) fn is_served_here(&self) -> bool {
        ::core::ptr::eq(SERVED.get(), self)
    }
}

/// This thread does the work of a queue as long as this lives.
#[derive(Debug)]
pub struct Serving {
    before: *const Room,
}

impl Drop for Serving {
    fn drop(&mut self) {
        SERVED.set(self.before);
    }
}
