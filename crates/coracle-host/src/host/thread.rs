//! A host at work on a thread of its own.

use super::Host;
use crate::error::Error;
use crate::waiter::Waker;
use coracle::{Arena, Handler, Stack};
use coracle_os::{Inbox, Owner, Remote};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Jobs that were posted and are not done yet; who posts more waits.
const JOBS: usize = 256;

/// A host at work on a thread of its own: the one thread that the stack belongs to. Other threads have it do things there:
/// lwIP's `tcpip_callback`. Dropping it ends the work.
///
/// ```
/// let host = coracle_host::Host::<coracle::Boxed>::new()?.spawn()?;
/// assert_eq!(host.call(|host| host.stack().netifs().count())?, 0);
/// let host = host.stop()?;
/// # Ok::<(), coracle_host::Error>(())
/// ```
#[derive(Debug)]
pub struct Running<H> {
    remote: Remote<Host<H>, Waker>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    /// Nothing only once it was told to end.
    thread: Option<JoinHandle<io::Result<Host<H>>>>,
}

impl<H: Handler> Owner for Host<H> {
    type Handler = H;

    fn stack(&mut self) -> &mut Stack<H> {
        &mut self.stack
    }
}

impl<H: Handler + Send + 'static> Host<H> {
    /// Starts to work on a thread of its own.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn spawn(self) -> Result<Running<H>, Error> {
        let inbox =
            Inbox::new(&mut Arena::heap(), JOBS).map_err(|error| Error::from_stack("make a queue", error))?;
        let (waker, stop) = (self.waker(), Arc::new(AtomicBool::new(false)));
        let remote = inbox.remote(waker.clone());
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("coracle".to_owned())
            .spawn(move || work(self, &inbox, &told))
            .map_err(|error| Error::from_io("start a thread", error))?;
        Ok(Running { remote, waker, stop, thread: Some(thread) })
    }
}

fn work<H: Handler + 'static>(
    mut host: Host<H>,
    inbox: &Inbox<Host<H>>,
    stop: &AtomicBool,
) -> io::Result<Host<H>> {
    let _serving = inbox.serve();
    loop {
        // What was posted before it was told to end is still done.
        let last = stop.load(Ordering::SeqCst);
        for number in 0..inbox.capacity() {
            let Some(job) = inbox.next() else { break };
            if number == 0 {
                // Jobs know the present time, however long the sleep was.
                let now = host.now();
                host.stack.poll(now);
            }
            job.run(&mut host);
        }
        if last && inbox.is_empty() {
            return Ok(host);
        }
        host.turn(None)?;
    }
}

impl<H: 'static> Running<H> {
    /// Has something done on the stack's thread, between two rounds, and waits for the result.
    ///
    /// # Errors
    /// The host has ended, because a device failed or a callback panicked; or this is its own thread, which would wait
    /// for itself.
    pub fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Host<H>) -> R + Send + 'static,
    ) -> Result<R, Error> {
        self.remote.call(job).map_err(|error| match error {
            coracle::Error::Closed => ended(),
            error => Error::from_stack("wait for the stack's thread", error),
        })
    }

    /// Has something done on the stack's thread, and does not wait, unless very much was posted that is not done yet. It
    /// is not done if the host has ended.
    pub fn post(&self, job: impl FnOnce(&mut Host<H>) + Send + 'static) {
        // A job that cannot be posted is dropped.
        let _ = self.remote.post(job);
    }

    /// A handle of its own for another thread, with which it has things done on this one, and hands in frames.
    pub fn remote(&self) -> Remote<Host<H>, Waker> {
        self.remote.clone()
    }
}

impl<H> Running<H> {
    /// Whether it still works.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the work and gives the host back.
    ///
    /// # Errors
    /// A device has failed before.
    pub fn stop(mut self) -> Result<Host<H>, Error> {
        match self.end() {
            Some(Ok(host)) => host.map_err(|error| Error::from_io("go on without a device", error)),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(ended()),
        }
    }

    fn end(&mut self) -> Option<std::thread::Result<io::Result<Host<H>>>> {
        self.stop.store(true, Ordering::SeqCst);
        self.waker.wake();
        self.thread.take().map(JoinHandle::join)
    }
}

impl<H> Drop for Running<H> {
    fn drop(&mut self) {
        // The result is for those who ask with `stop`.
        let _ = self.end();
    }
}

fn ended() -> Error {
    Error::from_io("reach the stack's thread", io::Error::other("it has ended"))
}
