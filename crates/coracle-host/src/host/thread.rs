//! A host at work on a thread of its own.

use super::Host;
use crate::error::Error;
use crate::waiter::Waker;
use coracle::Handler;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;

type Job<H> = Box<dyn FnOnce(&mut Host<H>) + Send>;

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
    /// Nothing only once it was told to end.
    jobs: Option<Sender<Job<H>>>,
    waker: Waker,
    thread: Option<JoinHandle<io::Result<Host<H>>>>,
}

impl<H: Handler + Send + 'static> Host<H> {
    /// Starts to work on a thread of its own.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn spawn(self) -> Result<Running<H>, Error> {
        let waker = self.waker();
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("coracle".to_owned())
            .spawn(move || work(self, &queue))
            .map_err(|error| Error::from_io("start a thread", error))?;
        Ok(Running { jobs: Some(jobs), waker, thread: Some(thread) })
    }
}

fn work<H: Handler>(mut host: Host<H>, queue: &Receiver<Job<H>>) -> io::Result<Host<H>> {
    loop {
        loop {
            match queue.try_recv() {
                Ok(job) => job(&mut host),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(host),
            }
        }
        host.turn(None)?;
    }
}

impl<H> Running<H> {
    /// Has something done on the stack's thread, between two rounds, and waits for the result.
    ///
    /// # Errors
    /// The host has ended, because a device failed or a callback panicked.
    pub fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Host<H>) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let (done, result) = mpsc::sync_channel(1);
        self.post(move |host| {
            // Nobody waits any more when the caller's thread has panicked.
            let _ = done.send(job(host));
        });
        result.recv().map_err(|_| ended())
    }

    /// Has something done on the stack's thread, and does not wait. It is not done if the host has ended.
    pub fn post(&self, job: impl FnOnce(&mut Host<H>) + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            // A job that cannot be sent is dropped, which tells `call`.
            let _ = jobs.send(Box::new(job));
            self.waker.wake();
        }
    }

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
        self.jobs = None;
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
