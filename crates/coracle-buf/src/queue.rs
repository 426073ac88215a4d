//! Queues of packets, linked through the packets themselves.

use core::fmt;
use core::ptr::NonNull;

use crate::segment::{MAX_LEN, Seg, Segment};
use crate::sync::Ordering;
use crate::{Error, Pbuf};

/// A queue of packets: first in, first out, without memory of its own.
///
/// A packet that other handles share can be in one queue as it is; if it is in one already, pushing it gives
/// it a fresh first segment.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// # use coracle_buf::{Arena, Memory, MemoryLimits, PbufQueue};
/// # let memory = Memory::new(&mut Arena::heap(), MemoryLimits::SMALL)?;
/// let mut queue = PbufQueue::new();
/// queue.push_back(memory.from_static(b"one")?).unwrap();
/// queue.push_back(memory.from_static(b"second")?).unwrap();
/// assert_eq!((queue.len(), queue.bytes()), (2, 9));
/// assert_eq!(queue.pop_front().unwrap(), b"one");
/// # }
/// # Ok::<(), coracle_buf::Error>(())
/// ```
#[derive(Default)]
pub struct PbufQueue {
    first: Option<Pbuf>,
    packets: usize,
    // Dangling while the queue is empty.
    last: Option<NonNull<Segment>>,
    bytes: usize,
}

// SAFETY: the queue owns its packets, which may be sent; `last` is one of them.
unsafe impl Send for PbufQueue {}
// SAFETY: as above; through `&PbufQueue` nothing is written.
unsafe impl Sync for PbufQueue {}

impl PbufQueue {
    /// An empty queue.
    #[inline]
    pub const fn new() -> Self {
        Self { first: None, last: None, packets: 0, bytes: 0 }
    }

    /// Number of packets.
    #[inline]
    pub fn len(&self) -> usize {
        self.packets
    }

    /// Bytes of all packets.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is no packet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The oldest packet.
    #[inline]
    pub fn front(&self) -> Option<&Pbuf> {
        self.first.as_ref()
    }

    /// Puts a packet at the end.
    ///
    /// # Errors
    ///
    /// Gives it back with [`Error::Memory`] if it is in another queue already, and no reference is left for a
    /// segment of its own.
    #[inline]
    pub fn push_back(&mut self, packet: Pbuf) -> Result<(), (Error, Pbuf)> {
        let packet = claim_link(packet)?;
        self.packets += 1;
        self.bytes += packet.len();
        let at = packet.as_raw();
        match self.last {
            // SAFETY: `last` is a packet of this queue, which claimed its link; so only this queue reads and
            // writes it, under `&mut self` here. It is empty: nothing is dropped.
            Some(last) => unsafe { (&raw mut (*last.as_ptr()).link).write(Some(packet)) },
            // SAFETY: the queue is empty, so that nothing is dropped.
            None => unsafe { (&raw mut self.first).write(Some(packet)) },
        }
        self.last = Some(at);
        Ok(())
    }

    /// Puts a packet at the front.
    ///
    /// # Errors
    ///
    /// As for [`push_back`](Self::push_back).
    pub fn push_front(&mut self, packet: Pbuf) -> Result<(), (Error, Pbuf)> {
        let packet = claim_link(packet)?;
        self.packets += 1;
        self.bytes += packet.len();
        let at = packet.as_raw();
        // SAFETY: the link of `packet` was just claimed, and is empty.
        unsafe { (&raw mut (*at.as_ptr()).link).write(self.first.take()) };
        self.last = self.last.or(Some(at));
        self.first = Some(packet);
        Ok(())
    }

    /// Moves all packets of `other` behind those of this queue, in constant time.
    pub fn append(&mut self, other: &mut Self) {
        let Some(first) = other.first.take() else { return };
        match self.last {
            // SAFETY: as in `push_back`: the link is this queue's, and empty.
            Some(last) => unsafe { (&raw mut (*last.as_ptr()).link).write(Some(first)) },
            None => self.first = Some(first),
        }
        self.last = other.last.take();
        self.packets += core::mem::take(&mut other.packets);
        self.bytes += core::mem::take(&mut other.bytes);
    }

    /// Copies `bytes` behind the newest packet, see [`Pbuf::extend_from_slice`].
    ///
    /// # Errors
    ///
    /// [`Error::Buffer`] as there, and if the queue is empty. Nothing is changed then.
    pub fn extend_back(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let last = self.last.ok_or(Error::Buffer)?;
        // SAFETY: the queue has a handle to its last packet, and is borrowed mutably.
        unsafe { Seg::new(last).extend(bytes)? };
        self.bytes += bytes.len();
        Ok(())
    }

    /// Takes the oldest packet out.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Pbuf> {
        let packet = self.first.take()?;
        // SAFETY: the packet's link is this queue's, see `push_back`.
        self.first = unsafe { (*packet.as_raw().as_ptr()).link.take() };
        if self.first.is_none() {
            self.last = None;
        }
        // The link is empty again, and free for another queue that sees this.
        packet.head().queued().store(0, Ordering::Release);
        self.packets -= 1;
        self.bytes -= packet.len();
        Some(packet)
    }

    /// Takes the first `len` bytes of the oldest packet out, which keeps its place with the rest; both share the
    /// buffer. `None` unless its first segment has more bytes than that, nobody else sees that segment, and a
    /// reference is left: [`pop_front`](Self::pop_front) and [`Pbuf::split_off`] have no such conditions.
    #[inline]
    pub fn split_front(&mut self, len: usize) -> Option<Pbuf> {
        let first = self.first.as_mut()?;
        if len >= first.head().len() || !first.head().exclusive() {
            return None;
        }
        let part = first.slice(0, len).ok()?;
        // Cannot fail: the segment is long enough and exclusive, so it stays where its link is.
        first.remove_header(len).ok()?;
        self.bytes -= len;
        Some(part)
    }

    /// Takes the packets out as one, in time that is linear in the number of their segments, where one
    /// [`Pbuf::cat`] after the other walks over the front again and again.
    ///
    /// Behind a packet with shared segments the joining ends if no references are left, or when the packet would
    /// have more than 2,147,483,647 bytes; the packets behind stay in the queue then.
    pub fn pop_joined(&mut self) -> Option<Pbuf> {
        let mut joined = self.pop_front()?;
        if self.is_empty() || joined.unshare(usize::MAX).is_err() {
            return Some(joined);
        }
        let (mut last, mut total) = (joined.last_segment(), joined.len());
        // Segments from here on are shared, and their total lengths are right as they are.
        let mut shared = None;
        while self.front().is_some_and(|next| next.len() <= MAX_LEN - total) {
            let Some(mut packet) = self.pop_front() else { break };
            total += packet.len();
            let alone = packet.head().next().is_none() && packet.head().exclusive();
            let is_ours = alone || packet.unshare(usize::MAX).is_ok();
            let start = packet.as_raw();
            let end = if alone { start } else { packet.last_segment() };
            // SAFETY: `joined` has the segment, which is exclusive, as are those before it; it is the last one.
            // The total lengths are set below.
            unsafe { Seg::new(last).replace_next(Some(packet)) };
            if !is_ours {
                shared = Some(start);
                break;
            }
            last = end;
        }
        let mut rest = total;
        for segment in joined.chain_segments().take_while(|segment| Some(segment.as_ptr()) != shared) {
            // SAFETY: `joined` is borrowed mutably, and the segment exclusive; its own length stays.
            unsafe { segment.set_len(segment.len(), rest) };
            rest -= segment.len();
        }
        Some(joined)
    }

    /// Drops all packets.
    pub fn clear(&mut self) {
        while self.pop_front().is_some() {}
    }

    /// The packets, oldest first.
    pub fn iter(&self) -> Iter<'_> {
        Iter { next: self.first.as_ref() }
    }
}

/// Makes the link of the packet's first segment the caller's; that of a fresh one if another queue has it.
#[inline]
fn claim_link(mut packet: Pbuf) -> Result<Pbuf, (Error, Pbuf)> {
    let head = packet.head();
    if head.exclusive() {
        // A queue would have a handle of its own.
        head.queued().store(1, Ordering::Relaxed);
        return Ok(packet);
    }
    if head.queued().compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
        return Ok(packet);
    }
    match packet.fresh_head() {
        Ok(()) => {
            packet.head().queued().store(1, Ordering::Relaxed);
            Ok(packet)
        }
        Err(error) => Err((error, packet)),
    }
}

impl Drop for PbufQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for PbufQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a PbufQueue {
    type Item = &'a Pbuf;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The packets of a [`PbufQueue`], oldest first.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    next: Option<&'a Pbuf>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Pbuf;

    #[inline]
    fn next(&mut self) -> Option<&'a Pbuf> {
        let packet = self.next?;
        // SAFETY: the link of a queued packet is its queue's, which is borrowed for `'a` and so neither
        // written nor dropped.
        self.next = unsafe { (*packet.as_raw().as_ptr()).link.as_ref() };
        Some(packet)
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
