//! Threads of an operating system.

use alloc::sync::Arc;
use std::sync::{Condvar, Mutex, PoisonError};

use coracle::{Error, Instant};

use crate::Wake;
use crate::port::Port;

/// The port for a thread of an operating system: the standard library's clock, the system's entropy, and sleep that any
/// thread can end.
///
/// ```
/// use coracle_os::{Port, Threads, Wake};
/// let mut port = Threads::new();
/// let waker = port.waker();
/// let other = std::thread::spawn(move || waker.wake());
/// port.sleep(None);
/// other.join().unwrap();
/// ```
#[derive(Debug)]
pub struct Threads {
    start: std::time::Instant,
    sleeper: Arc<Sleeper>,
}

#[derive(Debug, Default)]
struct Sleeper {
    called: Mutex<bool>,
    changed: Condvar,
}

/// Ends the sleep of a [`Threads`]; also a [`Waker`](::core::task::Waker) for asynchronous drivers.
#[derive(Clone, Debug)]
pub struct ThreadWaker(Arc<Sleeper>);

impl Threads {
    /// The time starts now.
    pub fn new() -> Self {
        Self { start: std::time::Instant::now(), sleeper: Arc::default() }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl Port for Threads {
    type Waker = ThreadWaker;

    fn now(&mut self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(bytes).map_err(|_| Error::Value)
    }

    fn sleep(&mut self, until: Option<Instant>) {
        let until = until
            .and_then(|until| self.start.checked_add(core::time::Duration::from_micros(until.as_micros())));
        let mut called = self.sleeper.called.lock().unwrap_or_else(PoisonError::into_inner);
        while !*called {
            called = match until.map(|until| until.saturating_duration_since(std::time::Instant::now())) {
                None => self.sleeper.changed.wait(called).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    self.sleeper.changed.wait_timeout(called, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *called = false;
    }

    fn waker(&self) -> ThreadWaker {
        ThreadWaker(Arc::clone(&self.sleeper))
    }
}

impl Sleeper {
    fn call(&self) {
        *self.called.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

impl Wake for ThreadWaker {
    fn wake(&self) {
        self.0.call();
    }
}

impl alloc::task::Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.call();
    }
}

impl From<ThreadWaker> for core::task::Waker {
    fn from(waker: ThreadWaker) -> Self {
        waker.0.into()
    }
}
