//! Application timers.

use core::time::Duration;

use super::{Handler, Stack};
use crate::error::Error;
use crate::table::Key;
use crate::time::Instant;

/// Names a timer. Once it has fired for the last time, or was taken back, the name finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimeoutHandle(pub(super) Key);

impl<H: Handler> Stack<H> {
    /// Calls the handler's [`Handler::timeout`] once, `after` the present time. lwIP: `sys_timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when all timers are in use; the handler is dropped then.
    pub fn timeout(&mut self, after: Duration, handler: H) -> Result<TimeoutHandle, Error> {
        let deadline = self.deadline_after(self.engine.now, after);
        let key = self.engine.timeout_start(deadline)?;
        self.timeout_handlers[key.index as usize] = Some(handler);
        Ok(TimeoutHandle(key))
    }

    /// Takes a timer back before it fires, and returns its handler. lwIP: `sys_untimeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it has fired already. Within its own callback the handler is in the hands of the
    /// callback: then the timer ends, and `Ok(None)` comes back.
    pub fn untimeout(&mut self, timeout: TimeoutHandle) -> Result<Option<H>, Error> {
        if self.engine.timeout_end(timeout.0) {
            Ok(self.timeout_handlers[timeout.0.index as usize].take())
        } else {
            Err(Error::Closed)
        }
    }

    /// A deadline that callbacks cannot set for the very round they run in, which would never end then.
    fn deadline_after(&self, start: Instant, after: Duration) -> Instant {
        let deadline = start + after;
        if self.is_dispatching() {
            deadline.max(self.engine.now + Duration::from_micros(1))
        } else {
            deadline
        }
    }
}

/// A timer that fires now.
pub struct Timeout<'a, H> {
    stack: &'a mut Stack<H>,
    handle: TimeoutHandle,
    deadline: Instant,
    again: Option<Instant>,
}

impl<'a, H> Timeout<'a, H> {
    pub(super) fn new(stack: &'a mut Stack<H>, handle: TimeoutHandle, deadline: Instant) -> Self {
        Self { stack, handle, deadline, again: None }
    }

    pub(super) fn take_again(&mut self) -> Option<Instant> {
        self.again.take()
    }

    /// The stack.
    pub fn stack(&mut self) -> &mut Stack<H> {
        self.stack
    }

    /// The timer's name, which stays the same when it is set again.
    pub fn handle(&self) -> TimeoutHandle {
        self.handle
    }

    /// When it was due; [`Stack::now`] says how late it is.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl<H: Handler> Timeout<'_, H> {
    /// Sets the timer again, `after` the time at which it was due, so that a period does not drift. After a delay
    /// of more than a period the missed ones are left out: it counts from now.
    pub fn again(&mut self, after: Duration) {
        let regular = self.deadline + after;
        let now = self.stack.engine.now;
        let start = if regular > now { self.deadline } else { now };
        self.again = Some(self.stack.deadline_after(start, after));
    }
}
