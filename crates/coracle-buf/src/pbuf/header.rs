//! Moving the ends of a packet: headers, truncation, contiguous bytes.

use core::ptr::NonNull;

use super::Pbuf;
use crate::memory::Core;
use crate::segment::{ORIGIN_HEAP, Seg};
use crate::{Error, Kind, Layer};

/// Cutting off less than this isn't worth a visit to the heap.
const WORTH_SHRINKING: usize = 128;

impl Pbuf {
    /// Exposes `n` bytes in front of the payload and returns them for writing: lwIP's `pbuf_add_header`.
    ///
    /// # Errors
    ///
    /// [`Error::Buffer`] if there is no room for them, or somebody else can see the first segment or its
    /// storage, or that is constant. Nothing is changed then.
    #[inline]
    pub fn add_header(&mut self, n: usize) -> Result<&mut [u8], Error> {
        let head = self.head();
        if !head.exclusive() || !head.unviewed() || n > head.headroom() {
            return Err(Error::Buffer);
        }
        // SAFETY: borrowed mutably, exclusive, unviewed, and the storage has `n` bytes there, which are
        // borrowed by nobody.
        Ok(unsafe { core::slice::from_raw_parts_mut(head.expose(n), n) })
    }

    /// Exposes `n` bytes in front of the payload again, as they are: lwIP's `pbuf_add_header_force`. Works on
    /// shared and constant bytes, to get back what [`remove_header`](Self::remove_header) hid.
    ///
    /// # Errors
    ///
    /// [`Error::Buffer`] if there are fewer, [`Error::Memory`] if the first segment is shared and no
    /// reference is left.
    pub fn restore_header(&mut self, n: usize) -> Result<&[u8], Error> {
        if n > self.headroom() {
            return Err(Error::Buffer);
        }
        self.unshare(1)?;
        // SAFETY: exclusive since `unshare`; the storage has `n` bytes there.
        unsafe { self.head().expose(n) };
        Ok(&self.payload()[..n])
    }

    /// Copies `bytes` behind the packet, into the storage that its last segment does not use, where
    /// [`cat`](Self::cat) would add a segment.
    ///
    /// # Errors
    ///
    /// [`Error::Buffer`] if there is no room for them, or somebody else can see a segment or the storage of the
    /// last one, or that is constant. Nothing is changed then.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: borrowed mutably.
        unsafe { self.head().extend(bytes) }
    }

    /// Hides the first `n` bytes, all of which are in the first segment: lwIP's `pbuf_remove_header`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the first segment has fewer, [`Error::Memory`] if it is shared and no reference
    /// is left. Nothing is changed then.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "one of the few things that every layer does to every packet")]
    pub fn remove_header(&mut self, n: usize) -> Result<(), Error> {
        let Some(len) = self.head().len().checked_sub(n) else { return Err(Error::Argument) };
        if !self.head().exclusive() {
            self.unshare(1)?;
        }
        // SAFETY: borrowed mutably and exclusive; `n` bytes are there, and `len` are left.
        unsafe { self.head().hide(n, len) };
        Ok(())
    }

    /// Drops the first `n` bytes, and the segments that they leave empty: lwIP's `pbuf_free_header`. The last
    /// segment stays.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are fewer, [`Error::Memory`] if the segment that is cut is shared and no
    /// reference is left. Nothing is changed then.
    pub fn advance(&mut self, n: usize) -> Result<(), Error> {
        if n < self.head().len() {
            return self.remove_header(n);
        }
        if n > self.len() {
            return Err(Error::Argument);
        }
        let (mut left, mut exclusive) = (n, true);
        let mut target = self.head();
        loop {
            exclusive &= target.exclusive();
            match target.next() {
                Some(next) if left >= target.len() => {
                    left -= target.len();
                    target = next;
                }
                _ => break,
            }
        }
        if left == 0 || exclusive {
            *self = target.share();
            if left > 0 {
                // SAFETY: borrowed mutably; the segments in front were exclusive and went with their handle
                // to this one, which was exclusive too, and has `left` bytes.
                unsafe { self.head().hide(left, self.head().len() - left) }
            }
            return Ok(());
        }
        let cut = Self::view_onwards(target)?;
        // SAFETY: the view is new, with one handle.
        unsafe { cut.head().hide(left, cut.head().len() - left) };
        *self = cut;
        Ok(())
    }

    /// Cuts the packet off behind `len` bytes: lwIP's `pbuf_realloc`. Surplus segments are dropped; the end
    /// of a heap block goes back to the heap.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the packet is shorter, [`Error::Memory`] if a segment that stays is shared and
    /// no reference is left. Nothing is changed then.
    #[inline]
    pub fn truncate(&mut self, len: usize) -> Result<(), Error> {
        let head = self.head();
        if head.next().is_some() || !head.exclusive() || len > head.len() {
            return self.truncate_slow(len);
        }
        // SAFETY: borrowed mutably and exclusive; the segment was no shorter.
        unsafe { head.set_len(len, len) };
        if head.origin() == ORIGIN_HEAP {
            shrink(head);
        }
        Ok(())
    }

    #[inline(never)]
    fn truncate_slow(&mut self, len: usize) -> Result<(), Error> {
        if len >= self.len() {
            return if len == self.len() { Ok(()) } else { Err(Error::Argument) };
        }
        let (mut left, mut keep) = (len, 1);
        for segment in self.chain_segments() {
            if left <= segment.len() {
                break;
            }
            left -= segment.len();
            keep += 1;
        }
        self.unshare(keep)?;
        let (mut last, mut left) = (self.head(), len);
        for segment in self.chain_segments().take(keep) {
            let part = left.min(segment.len());
            // SAFETY: borrowed mutably and exclusive since `unshare`; no segment becomes longer.
            unsafe { segment.set_len(part, left) };
            left -= part;
            last = segment;
        }
        // SAFETY: as above; the lengths are set. What follows is dropped.
        drop(unsafe { last.replace_next(None) });
        if last.origin() == ORIGIN_HEAP {
            shrink(last);
        }
        Ok(())
    }

    /// Makes sure that the first `n` bytes are contiguous, in the first segment. Allocates and copies only if
    /// they aren't.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the packet is shorter, [`Error::Memory`] if neither the heap nor the pool has
    /// room for them. The packet isn't changed then.
    #[inline]
    pub fn pull_up(&mut self, n: usize) -> Result<(), Error> {
        if n <= self.head().len() { Ok(()) } else { self.gather(n) }
    }

    #[cold]
    fn gather(&mut self, n: usize) -> Result<(), Error> {
        if n > self.len() {
            return Err(Error::Argument);
        }
        let memory = self.memory();
        let mut front = memory.alloc(Layer::Ip, n, Kind::Ram).or_else(|error| {
            let room = memory.pool_buffer_size() - Layer::Ip.payload_offset();
            if n <= room { memory.alloc(Layer::Ip, n, Kind::Pool) } else { Err(error) }
        })?;
        self.copy_to(0, front.payload_mut()?);
        front.inherit(self);
        let total = self.len();
        self.advance(n)?;
        if total > n {
            let rest = core::mem::replace(self, front);
            // SAFETY: the new front is one segment with one handle; its length and the rest's were one
            // packet's.
            unsafe {
                self.head().set_len(n, total);
                self.head().replace_next(Some(rest));
            }
        } else {
            *self = front;
        }
        Ok(())
    }
}

/// Gives the storage behind a segment back to the heap, if nobody else views it. The segment's block is the
/// heap's, and the segment exclusive.
#[cold]
fn shrink(segment: Seg<'_>) {
    let block: NonNull<_> = segment.block();
    debug_assert_eq!(block, segment.storage());
    if segment.unviewed() && segment.tailroom() >= WORTH_SHRINKING {
        // SAFETY: the block is the heap's, the segment exclusive, and the only view of the storage.
        unsafe { Core::shrink_heap_block(block, segment.headroom() + segment.len()) }
    }
}
