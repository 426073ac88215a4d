//! A bounded queue between threads and interrupts: lwIP's `sys_mbox`, which never blocks.
//!
//! Each slot has a *turn*, a count that says what may be done with it: at `position` it is free for the sender who takes
//! that position, at `position + 1` it is full for the receiver who takes it, and then it is free again for the position
//! one round later. A position is taken by a compare-and-swap, so that senders and receivers need no lock; a sender that
//! is interrupted between taking a position and filling it holds back those behind it, and nobody else. It is seen at
//! the latest when it has finished, which is before it wakes the receiver: no message waits unnoticed.
//!
//! *Closing*: whoever closes the box empties it afterwards, and a sender looks again after it has sent, and empties it
//! if it was closed meanwhile. One of both sees the message (a store and a load on each side, with a fence between), so
//! that none stays in a closed box.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::arena::Region;
use crate::pool::Users;
use crate::sync::{AtomicBool, AtomicUsize, Cell, Ordering, fence};
use crate::{Arena, Error, Table};

/// A bounded queue of messages between threads and interrupts. Copies of the handle are the same box.
///
/// Sending and receiving take no lock, never wait, and may be done from interrupts.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use coracle_buf::{Arena, Error, Mailbox};
///
/// let mailbox = Mailbox::new(&mut Arena::heap(), 2)?;
/// let other = mailbox.clone();
/// std::thread::spawn(move || other.send("from afar")).join().unwrap().unwrap();
/// mailbox.send("from here").unwrap();
/// assert_eq!(mailbox.send("no room"), Err((Error::WouldBlock, "no room")));
/// assert_eq!(mailbox.receive(), Some("from afar"));
/// # }
/// # Ok::<(), coracle_buf::Error>(())
/// ```
pub struct Mailbox<T> {
    core: NonNull<Core<T>>,
    owns: PhantomData<T>,
}

struct Core<T> {
    users: Users,
    /// The next position to be filled, and to be emptied. They wrap.
    tail: AtomicUsize,
    head: AtomicUsize,
    closed: AtomicBool,
    slots: Table<Slot<T>>,
    // Where this core itself lies, to be freed with the last user.
    own: Region,
}

struct Slot<T> {
    turn: AtomicUsize,
    /// Nothing for a position that its sender took and then failed to fill.
    message: Cell<Option<T>>,
}

// SAFETY: the box is shared by its handles, all of whose accesses are atomic, or to a slot whose turn it is; messages
// come in on one thread and go out on another, hence `T: Send`.
unsafe impl<T: Send> Send for Mailbox<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Mailbox<T> {}

/// A position that a sender took. Dropping it passes the slot on, filled or not.
struct Taken<'a, T> {
    slot: &'a Slot<T>,
    position: usize,
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.slot.turn.store(self.position.wrapping_add(1), Ordering::Release);
    }
}

impl<T> Mailbox<T> {
    /// A box for `capacity` messages, rounded up to a power of two, and at least two.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the arena has no room for it; nothing of the arena is consumed then.
    pub fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let capacity = capacity.max(2).checked_next_power_of_two().ok_or(Error::Memory)?;
        let mark = arena.mark();
        let slots = arena.table(capacity, |position| Slot {
            turn: AtomicUsize::new(position),
            message: Cell::new(None),
        })?;
        let own = match arena.reserve(Layout::new::<Core<T>>()) {
            Ok(own) => own,
            Err(error) => {
                drop(slots);
                // SAFETY: the one thing that was reserved since is gone.
                unsafe { arena.rewind(mark) }
                return Err(error);
            }
        };
        let core = own.start().cast::<Core<T>>();
        let users = Users::one(!own.owned());
        let (tail, head, closed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        // SAFETY: the region is one core large, aligned and unshared.
        unsafe { core.write(Core { users, tail, head, closed, slots, own }) };
        Ok(Self { core, owns: PhantomData })
    }

    fn core(&self) -> &Core<T> {
        // SAFETY: this handle is a counted user, so that the core lives; it is only ever shared.
        unsafe { self.core.as_ref() }
    }

    /// Puts a message at the end.
    ///
    /// # Errors
    ///
    /// Gives it back with [`Error::WouldBlock`] while the box is full, and [`Error::Closed`] once it is closed.
    pub fn send(&self, message: T) -> Result<(), (Error, T)> {
        self.send_as(message, |message| message)
    }

    /// Puts a message at the end that is made of `value`, once there is room for it.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), with the value.
    pub fn send_as<V>(&self, value: V, make: impl FnOnce(V) -> T) -> Result<(), (Error, V)> {
        let core = self.core();
        if core.closed.load(Ordering::Relaxed) {
            return Err((Error::Closed, value));
        }
        let Some(taken) = core.take_free() else { return Err((Error::WouldBlock, value)) };
        let message = make(value);
        // SAFETY: the position is this sender's, so the slot is until it is passed on.
        unsafe { taken.slot.message.with(|slot| *slot = Some(message)) };
        drop(taken);
        // Either the one who closes the box finds the message, or it is found closed here.
        fence(Ordering::SeqCst);
        if core.closed.load(Ordering::Relaxed) {
            core.clear();
        }
        Ok(())
    }

    /// Takes the oldest message out.
    pub fn receive(&self) -> Option<T> {
        self.core().receive()
    }

    /// Whether nothing is to be had.
    pub fn is_empty(&self) -> bool {
        let core = self.core();
        let head = core.head.load(Ordering::Relaxed);
        core.slot(head).turn.load(Ordering::Acquire) != head.wrapping_add(1)
    }

    /// Lets nothing in any more, and drops what is there. What comes in at the same moment is dropped as well.
    pub fn close(&self) {
        let core = self.core();
        core.closed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        core.clear();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.core().closed.load(Ordering::Relaxed)
    }

    /// How many messages it holds at the most.
    pub fn capacity(&self) -> usize {
        self.core().slots.len()
    }
}

impl<T> Core<T> {
    #[inline]
    fn slot(&self, position: usize) -> &Slot<T> {
        // There is a power of two of slots.
        &self.slots[position & (self.slots.len() - 1)]
    }

    /// Takes the next position to be filled; `None` while the box is full.
    fn take_free(&self) -> Option<Taken<'_, T>> {
        let mut position = self.tail.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(position);
            let ahead = slot.turn.load(Ordering::Acquire).wrapping_sub(position).cast_signed();
            if ahead < 0 {
                return None;
            }
            position = if ahead > 0 {
                // Another sender was faster.
                self.tail.load(Ordering::Relaxed)
            } else {
                match advance(&self.tail, position) {
                    Ok(()) => return Some(Taken { slot, position }),
                    Err(now) => now,
                }
            };
        }
    }

    fn receive(&self) -> Option<T> {
        let mut position = self.head.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(position);
            let full = position.wrapping_add(1);
            let ahead = slot.turn.load(Ordering::Acquire).wrapping_sub(full).cast_signed();
            if ahead < 0 {
                return None;
            }
            position = if ahead > 0 {
                self.head.load(Ordering::Relaxed)
            } else {
                match advance(&self.head, position) {
                    Ok(()) => {
                        // SAFETY: the position is this receiver's, so the slot is until it is passed on.
                        let message = unsafe { slot.message.with(Option::take) };
                        slot.turn.store(position.wrapping_add(self.slots.len()), Ordering::Release);
                        if message.is_some() {
                            return message;
                        }
                        full
                    }
                    Err(now) => now,
                }
            };
        }
    }

    fn clear(&self) {
        while self.receive().is_some() {}
    }
}

/// Moves a count of positions on, unless somebody else has.
fn advance(count: &AtomicUsize, position: usize) -> Result<(), usize> {
    let next = position.wrapping_add(1);
    count.compare_exchange_weak(position, next, Ordering::Relaxed, Ordering::Relaxed).map(drop)
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        self.core().users.add_handle();
        Self { core: self.core, owns: PhantomData }
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        // SAFETY: this handle is a counted user, and gone after this. When it was the last one, nobody else can reach
        // the core, so it is moved out, and its memory goes last. A core in static memory stays for good; what is in it
        // was let in by somebody who knew that nobody would receive it.
        unsafe {
            let users = NonNull::new_unchecked(&raw mut (*self.core.as_ptr()).users);
            if Users::remove(users) {
                let Core { own, slots, .. } = self.core.read();
                drop(slots);
                drop(own);
            }
        }
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "mailbox_tests.rs"]
mod tests;
