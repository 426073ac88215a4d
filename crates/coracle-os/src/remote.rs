//! Reaching the core from other threads and from interrupts.

use ::core::fmt;

use coracle::buf::{Mailbox, Work};
use coracle::{Arena, Error, Handler, NetifHandle, Pbuf, Rejected, Stack};

use crate::Wake;
#[cfg(feature = "std")]
use crate::waiting::Room;

/// A context that a stack belongs to, as posted work sees it: the stack itself, or something around it.
pub trait Owner {
    /// The stack's handlers.
    type Handler: Handler;

    /// The stack.
    fn stack(&mut self) -> &mut Stack<Self::Handler>;
}

impl<H: Handler> Owner for Stack<H> {
    type Handler = H;

    fn stack(&mut self) -> &mut Self {
        self
    }
}

/// Work that was not taken: why, and the work itself.
pub struct NotPosted<F> {
    /// [`Error::WouldBlock`] while the queue is full, [`Error::Closed`] once the core has ended; and
    /// [`Error::InProgress`] for a call that would wait for the very context it comes from.
    pub error: Error,
    /// The work as it was given.
    pub work: F,
}

/// Drops the work and keeps the reason, so that `?` works.
impl<F> From<NotPosted<F>> for Error {
    fn from(refused: NotPosted<F>) -> Self {
        refused.error
    }
}

impl<F> fmt::Debug for NotPosted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotPosted").field("error", &self.error).finish_non_exhaustive()
    }
}

/// The core's end of the queue: work that was posted, to be done with a `C`. When it is dropped the queue is closed, and
/// what was posted and not done is dropped.
pub struct Inbox<C> {
    queue: Mailbox<Work<C>>,
    #[cfg(feature = "std")]
    room: alloc::sync::Arc<Room>,
}

impl<C: 'static> Inbox<C> {
    /// A queue for as much work, rounded up to a power of two, and at least two.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the arena has no room for it.
    pub fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        Ok(Self {
            queue: Mailbox::new(arena, capacity)?,
            #[cfg(feature = "std")]
            room: alloc::sync::Arc::default(),
        })
    }

    /// A handle that posts work; `waker` ends the sleep of who does it.
    pub fn remote<W: Wake>(&self, waker: W) -> Remote<C, W> {
        Remote {
            queue: self.queue.clone(),
            waker,
            #[cfg(feature = "std")]
            room: alloc::sync::Arc::clone(&self.room),
        }
    }

    /// The next work to be done.
    pub fn next(&self) -> Option<Work<C>> {
        let work = self.queue.receive();
        #[cfg(feature = "std")]
        if work.is_some() {
            self.room.made();
        }
        work
    }

    /// Whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How much work it holds at the most.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// From now on, and until what comes back is dropped, this thread is the one that does the work: calls from it that
    /// would wait for themselves are refused.
    #[cfg(feature = "std")]
    pub fn serve(&self) -> crate::waiting::Serving {
        self.room.serve()
    }
}

impl<C> fmt::Debug for Inbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl<C> Drop for Inbox<C> {
    fn drop(&mut self) {
        self.queue.close();
        #[cfg(feature = "std")]
        self.room.made();
    }
}

/// A handle to the core, for other threads and for interrupts: lwIP's `tcpip_callback` and its kin.
///
/// Work is a closure or a function that gets the core's context (`&mut Stack`, usually), and is done there between other
/// things, in the order in which it was posted. No lock is held meanwhile. The queue is bounded; when it is full the work
/// comes back.
///
/// | lwIP | here | waits |
/// |---|---|---|
/// | `tcpip_try_callback`, `tcpip_callbackmsg_trycallback`, `…_fromisr` | [`try_post`](Self::try_post) | never: also for interrupts |
/// | `tcpip_callback` | `post` (`std`), [`post_with`](Self::post_with) | while the queue is full |
/// | `tcpip_callback_wait` | `call` (`std`) | until the work is done |
/// | `tcpip_inpkt`, `tcpip_input` | [`input`](Self::input) | never |
/// | `pbuf_free_callback`, `mem_free_callback` | [`free`](Self::free) | never |
///
/// It is `Send`, `Sync` and `Clone`.
///
/// ```
/// use coracle::{Arena, Config, Limits, Memory, MemoryLimits, Stack};
/// use coracle_os::{Core, CoreLimits, Driver, Threads};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static END: AtomicBool = AtomicBool::new(false);
/// # let mut arena = Arena::heap();
/// # let memory = Memory::new(&mut arena, MemoryLimits::default())?;
/// # let stack = Stack::<()>::new(&mut arena, Limits::default(), memory, Config::new([7; 16]))?;
/// let mut core = Core::<(), _, Box<dyn Driver>>::new(&mut arena, stack, Threads::new(), CoreLimits::default())?;
/// let remote = core.remote();
/// let other = std::thread::spawn(move || {
///     let interfaces = remote.call(|stack| stack.netifs().count());
///     assert_eq!(interfaces, Ok(0));
///     END.store(true, Ordering::Relaxed);
///     remote.wake();
/// });
/// core.run_until(|_| END.load(Ordering::Relaxed));
/// other.join().unwrap();
/// # Ok::<(), coracle::Error>(())
/// ```
pub struct Remote<C, W> {
    queue: Mailbox<Work<C>>,
    waker: W,
    #[cfg(feature = "std")]
    room: alloc::sync::Arc<Room>,
}

impl<C: 'static, W: Wake> Remote<C, W> {
    /// Has something done on the core, and does not wait. May be called from interrupts.
    ///
    /// # Errors
    ///
    /// The work comes back with [`Error::WouldBlock`] while the queue is full, and [`Error::Closed`] once the core has
    /// ended.
    #[inline]
    pub fn try_post<F: FnOnce(&mut C) + Send + 'static>(&self, work: F) -> Result<(), NotPosted<F>> {
        match self.queue.send_as(work, Work::new) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err((error, work)) => Err(NotPosted { error, work }),
        }
    }

    /// Has something done on the core, and calls `pause` as long as the queue is full: a yield or a short sleep of the
    /// operating system at hand. Not for interrupts, nor for the core itself.
    ///
    /// # Errors
    ///
    /// The work comes back with [`Error::Closed`] once the core has ended.
    pub fn post_with<F: FnOnce(&mut C) + Send + 'static>(
        &self,
        mut work: F,
        mut pause: impl FnMut(),
    ) -> Result<(), NotPosted<F>> {
        loop {
            match self.try_post(work) {
                Err(NotPosted { error: Error::WouldBlock, work: back }) => work = back,
                result => return result,
            }
            pause();
        }
    }

    /// Frees a buffer, and has the core look again if it was short of buffers. Dropping it frees it as well, in any
    /// context; only nobody is told.
    pub fn free(&self, buffer: Pbuf) {
        drop(buffer);
        self.waker.wake();
    }

    /// Ends the sleep of the core.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

impl<C: Owner + 'static, W: Wake> Remote<C, W> {
    /// Hands in a frame that was received for an interface, as [`Stack::input`] takes it. May be called from interrupts.
    ///
    /// # Errors
    ///
    /// The frame comes back with [`Error::WouldBlock`] while the queue is full, and [`Error::Closed`] once the core has
    /// ended. When the interface is gone by the time that the core takes it, it is dropped.
    pub fn input(&self, netif: NetifHandle, frame: Pbuf) -> Result<(), Rejected> {
        let make = |frame| {
            Work::new(move |owner: &mut C| {
                let stack = owner.stack();
                let now = stack.now();
                drop(stack.input(netif, frame, now));
            })
        };
        match self.queue.send_as(frame, make) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err((error, data)) => Err(Rejected { error, data }),
        }
    }
}

#[cfg(feature = "std")]
impl<C: 'static, W: Wake> Remote<C, W> {
    /// Has something done on the core, and waits as long as the queue is full.
    ///
    /// # Errors
    ///
    /// The work comes back with [`Error::Closed`] once the core has ended, and with [`Error::InProgress`] when the queue is
    /// full and this is the core's own thread, which would wait for itself.
    pub fn post<F: FnOnce(&mut C) + Send + 'static>(&self, work: F) -> Result<(), NotPosted<F>> {
        match self.try_post(work) {
            Err(NotPosted { error: Error::WouldBlock, work }) if self.room.is_served_here() => {
                Err(NotPosted { error: Error::InProgress, work })
            }
            Err(NotPosted { error: Error::WouldBlock, work }) => {
                self.room.wait(work, |work| match self.try_post(work) {
                    Err(NotPosted { error: Error::WouldBlock, work }) => Err(work),
                    result => Ok(result),
                })
            }
            result => result,
        }
    }

    /// Has something done on the core, and waits for its result. lwIP: `tcpip_callback_wait`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the core has ended, or its callback panicked; [`Error::InProgress`] on the core's own
    /// thread, which would wait for itself.
    pub fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut C) -> R + Send + 'static,
    ) -> Result<R, Error> {
        if self.room.is_served_here() {
            return Err(Error::InProgress);
        }
        let (done, result) = std::sync::mpsc::sync_channel(1);
        self.post(move |context| {
            // Nobody waits any more when the caller's thread has panicked.
            let _ = done.send(work(context));
        })?;
        result.recv().map_err(|_| Error::Closed)
    }
}

impl<C, W: Clone> Clone for Remote<C, W> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            waker: self.waker.clone(),
            #[cfg(feature = "std")]
            room: alloc::sync::Arc::clone(&self.room),
        }
    }
}

impl<C, W> fmt::Debug for Remote<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("queue", &self.queue).finish_non_exhaustive()
    }
}
