//! Sleeping until there is something to do.

use crate::clock::Clock;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Sleeps until a descriptor is ready, a deadline has come, or a [`Waker`] calls.
///
/// It is `poll(2)`: a stack has few interfaces, so handing all of them over each time is cheaper than keeping a set in
/// the kernel up to date as the wish to write comes and goes.
///
/// ```
/// use coracle_host::{Clock, Waiter};
/// let waiter = Waiter::new(Clock::start())?;
/// let waker = waiter.waker();
/// std::thread::spawn(move || waker.wake());
/// assert!(waiter.wait(&mut [], None)?.by_waker);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Waiter {
    clock: Clock,
    wake: Arc<OwnedFd>,
}

/// Ends a [`Waiter`]'s sleep from any thread. Calls while nobody sleeps are kept, and merged into one.
#[derive(Clone, Debug)]
pub struct Waker {
    wake: Arc<OwnedFd>,
}

/// A descriptor, what it is watched for, and what was found.
#[derive(Debug)]
pub struct Source<'fd> {
    fd: BorrowedFd<'fd>,
    interest: PollFlags,
    found: PollFlags,
}

/// Why a sleep ended. Both may be false: a descriptor was ready, or a signal came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woke {
    /// A [`Waker`] called.
    pub by_waker: bool,
    /// The deadline has come.
    pub by_deadline: bool,
}

impl Waiter {
    /// As many sources need no memory to wait for.
    const INLINE: usize = 7;

    /// A waiter whose deadlines are times on this clock.
    ///
    /// # Errors
    /// Too many descriptors are open.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { clock, wake: Arc::new(wake) })
    }

    /// The clock that deadlines are times on.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A handle with which other threads end the sleep.
    pub fn waker(&self) -> Waker {
        Waker { wake: Arc::clone(&self.wake) }
    }

    /// Sleeps until one of the sources is ready, `deadline` (microseconds on the waiter's clock) has come, or a waker calls; a
    /// deadline in the past only looks. What was found is in the sources.
    ///
    /// The kernel may wake up to 50 microseconds late, the usual slack of its timers, and never early.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    pub fn wait(&self, sources: &mut [Source<'_>], deadline: Option<u64>) -> io::Result<Woke> {
        let own = PollFd::new(&*self.wake, PollFlags::IN);
        if sources.len() <= Self::INLINE {
            let mut entries: [PollFd<'_>; Self::INLINE + 1] = core::array::from_fn(|_| own.clone());
            self.wait_with(&mut entries[..=sources.len()], sources, deadline)
        } else {
            let mut entries = vec![own; sources.len() + 1];
            self.wait_with(&mut entries, sources, deadline)
        }
    }

    /// The first entry is the waker's; the others are filled from the sources.
    fn wait_with<'entry, 'source: 'entry>(
        &self,
        entries: &mut [PollFd<'entry>],
        sources: &mut [Source<'source>],
        deadline: Option<u64>,
    ) -> io::Result<Woke> {
        for (entry, source) in entries[1..].iter_mut().zip(sources.iter()) {
            *entry = PollFd::from_borrowed_fd(source.fd, source.interest);
        }
        let timeout = deadline.map(|deadline| self.clock.until(deadline));
        // A time that the kernel cannot hold is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(entries, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for (entry, source) in entries[1..].iter().zip(sources.iter_mut()) {
            source.found = entry.revents();
        }
        let by_waker = entries[0].revents().contains(PollFlags::IN) && self.take_calls()?;
        Ok(Woke { by_waker, by_deadline: deadline.is_some_and(|deadline| self.clock.now() >= deadline) })
    }

    fn take_calls(&self) -> io::Result<bool> {
        match rustix::io::read(&*self.wake, &mut [0u8; 8]) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Waker {
    /// Ends the present sleep, or the next one.
    pub fn wake(&self) {
        // The write can fail only when the counter is full, and then the sleeper is called already.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl coracle_os::Wake for Waker {
    fn wake(&self) {
        Self::wake(self);
    }
}

impl<'fd> Source<'fd> {
    /// Watches for something to read.
    pub fn readable<Fd: AsFd>(fd: &'fd Fd) -> Self {
        Self { fd: fd.as_fd(), interest: PollFlags::IN, found: PollFlags::empty() }
    }

    /// Watches for room to write as well, when `pending` output waits for it.
    #[must_use]
    pub fn writable_if(mut self, pending: bool) -> Self {
        self.interest.set(PollFlags::OUT, pending);
        self
    }

    /// Stops watching for something to read, unless `wanted`.
    #[must_use]
    pub fn readable_if(mut self, wanted: bool) -> Self {
        self.interest.set(PollFlags::IN, wanted);
        self
    }

    /// There is something to read, be it an error or the end.
    pub fn is_readable(&self) -> bool {
        self.found.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }

    /// There is room to write, or an error to be had from trying.
    pub fn is_writable(&self) -> bool {
        self.found.intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::NVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_deadline_is_not_early() {
        let waiter = Waiter::new(Clock::start()).unwrap();
        for wait in [0, 1, 999, 5_000] {
            let deadline = waiter.clock().now() + wait;
            while !waiter.wait(&mut [], Some(deadline)).unwrap().by_deadline {}
            assert!(waiter.clock().now() >= deadline);
        }
    }

    #[test]
    fn a_call_before_the_sleep_ends_it_once() {
        let waiter = Waiter::new(Clock::start()).unwrap();
        waiter.waker().wake();
        waiter.waker().wake();
        assert!(waiter.wait(&mut [], None).unwrap().by_waker);
        assert!(!waiter.wait(&mut [], Some(0)).unwrap().by_waker);
    }

    #[test]
    fn sources_say_what_was_found() {
        let waiter = Waiter::new(Clock::start()).unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        let mut sources = [Source::readable(&b)];
        assert!(waiter.wait(&mut sources, Some(0)).unwrap().by_deadline);
        assert!(!sources[0].is_readable() && !sources[0].is_writable());

        let mut sources = [Source::readable(&b).writable_if(true)];
        assert_eq!(waiter.wait(&mut sources, None).unwrap(), Woke::default());
        assert!(!sources[0].is_readable() && sources[0].is_writable());

        a.write_all(b"x").unwrap();
        let mut sources = [Source::readable(&a), Source::readable(&b)];
        waiter.wait(&mut sources, None).unwrap();
        assert!(!sources[0].is_readable() && sources[1].is_readable());

        let mut sources = [Source::readable(&b).readable_if(false)];
        waiter.wait(&mut sources, Some(0)).unwrap();
        assert!(!sources[0].is_readable());
    }

    #[test]
    fn many_sources_work_as_few_do() {
        let waiter = Waiter::new(Clock::start()).unwrap();
        let pairs: Vec<_> = (0..20).map(|_| UnixStream::pair().unwrap()).collect();
        (&pairs[19].0).write_all(b"x").unwrap();
        (&pairs[3].0).write_all(b"x").unwrap();
        let mut sources: Vec<_> = pairs.iter().map(|(_, b)| Source::readable(b)).collect();
        waiter.wait(&mut sources, None).unwrap();
        let ready: Vec<usize> = (0..20).filter(|n| sources[*n].is_readable()).collect();
        assert_eq!(ready, [3, 19]);
    }

    #[test]
    fn a_lost_peer_is_readable() {
        let waiter = Waiter::new(Clock::start()).unwrap();
        let (a, b) = UnixStream::pair().unwrap();
        drop(a);
        let mut sources = [Source::readable(&b).readable_if(false)];
        waiter.wait(&mut sources, None).unwrap();
        assert!(sources[0].is_readable());
    }
}
