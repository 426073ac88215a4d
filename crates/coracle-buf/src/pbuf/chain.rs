//! Chains: joining, cutting, sharing, copying whole packets.

use super::Pbuf;
use crate::segment::{MAX_LEN, Seg};
use crate::{Error, Kind, Layer};

impl Pbuf {
    /// Appends `tail`, whose handle moves into this packet: lwIP's `pbuf_cat`.
    ///
    /// # Errors
    ///
    /// Gives `tail` back with [`Error::Memory`] if segments of this packet are shared and no references are
    /// left, or with [`Error::Value`] if the packet would have more than 2,147,483,647 bytes. Nothing is
    /// changed then.
    #[inline]
    pub fn cat(&mut self, tail: Self) -> Result<(), (Error, Self)> {
        let more = tail.len();
        if more > MAX_LEN.saturating_sub(self.len()) {
            return Err((Error::Value, tail));
        }
        let head = self.head();
        if head.next().is_none() && head.exclusive() {
            // SAFETY: borrowed mutably, exclusive, and the only segment; see below.
            unsafe {
                head.set_len(head.len(), head.len() + more);
                head.replace_next(Some(tail));
            }
            return Ok(());
        }
        self.cat_chain(tail)
    }

    /// `cat` behind several segments, or a shared one.
    fn cat_chain(&mut self, tail: Self) -> Result<(), (Error, Self)> {
        let more = tail.len();
        if let Err(error) = self.unshare(usize::MAX) {
            return Err((error, tail));
        }
        let mut last = self.head();
        for segment in self.chain_segments() {
            // SAFETY: borrowed mutably and exclusive since `unshare`. So `tail` cannot contain one of these
            // segments, since that would be a second handle, and no cycle comes to be.
            unsafe { segment.set_len(segment.len(), segment.total() + more) };
            last = segment;
        }
        // SAFETY: as above; the lengths include the tail's. The last segment had no successor.
        unsafe { last.replace_next(Some(tail)) };
        Ok(())
    }

    /// Appends `tail`, of which the caller keeps a handle: lwIP's `pbuf_chain`.
    ///
    /// # Errors
    ///
    /// As for [`cat`](Self::cat).
    pub fn chain(&mut self, tail: &Self) -> Result<(), Error> {
        self.cat(tail.clone()).map_err(|(error, _)| error)
    }

    /// Cuts the first segment off; returns the rest, if any: lwIP's `pbuf_dechain`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the first segment is shared and no reference is left. Nothing is changed then.
    pub fn dechain(&mut self) -> Result<Option<Self>, Error> {
        if self.head().next().is_none() {
            return Ok(None);
        }
        self.unshare(1)?;
        let head = self.head();
        // SAFETY: borrowed mutably and exclusive since `unshare`; the length doesn't grow.
        unsafe {
            head.set_len(head.len(), head.len());
            Ok(head.replace_next(None))
        }
    }

    /// A packet of `len` bytes from `offset` on, which shares the bytes. Takes one reference per segment.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the packet doesn't have them, [`Error::Memory`] if no references are left.
    #[inline]
    pub fn slice(&self, offset: usize, len: usize) -> Result<Self, Error> {
        if len > self.len() || offset > self.len() - len {
            return Err(Error::Argument);
        }
        if offset + len <= self.head().len() {
            return self.head().view(offset, len).ok_or(Error::Memory);
        }
        self.slice_chain(offset, len)
    }

    /// Slices one behind the other, each of `len` bytes but for the last, which may be shorter; all together are the
    /// packet. There are none if
    /// `len` is zero.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// # use coracle_buf::{Arena, Memory, MemoryLimits};
    /// # let memory = Memory::new(&mut Arena::heap(), MemoryLimits::SMALL)?;
    /// let packet = memory.from_static(b"packets")?;
    /// let mut pieces = packet.pieces(4);
    /// assert_eq!(pieces.next().unwrap()?, b"pack");
    /// assert_eq!(pieces.next().unwrap()?, b"ets");
    /// assert!(pieces.next().is_none());
    /// # }
    /// # Ok::<(), coracle_buf::Error>(())
    /// ```
    #[inline]
    pub fn pieces(&self, len: usize) -> Pieces<'_> {
        Pieces { at: self.head(), skip: 0, left: self.len(), len }
    }

    /// `slice` of more than the first segment.
    #[inline(never)]
    fn slice_chain(&self, offset: usize, len: usize) -> Result<Self, Error> {
        let (mut at, mut skip) = (self.head(), offset);
        while skip >= at.len() {
            let Some(next) = at.next() else { break };
            skip -= at.len();
            at = next;
        }
        let part = len.min(at.len() - skip);
        let slice = at.view(skip, part).ok_or(Error::Memory)?;
        if part < len {
            // SAFETY: the view is new, with one handle; the total length includes what is still to come.
            unsafe { slice.head().set_len(part, len) };
            append_views(&slice, at, len - part)?;
        }
        if at.as_ptr() != self.as_raw() {
            let mut slice = slice;
            slice.inherit(self);
            return Ok(slice);
        }
        Ok(slice)
    }

    /// Cuts the packet in two: this one keeps `at` bytes, the rest is returned. At most one segment's bytes
    /// are shared by both.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the packet is shorter, [`Error::Memory`] if no reference is left. Nothing is
    /// changed then.
    pub fn split_off(&mut self, at: usize) -> Result<Self, Error> {
        if at > self.len() {
            return Err(Error::Argument);
        }
        let (mut left, mut keep) = (at, 1);
        let mut cut = self.head();
        while left > cut.len() {
            let Some(next) = cut.next() else { break };
            left -= cut.len();
            cut = next;
            keep += 1;
        }
        let whole = left == cut.len() && cut.next().is_some();
        // Unless the cut is between two segments, the rest begins with a view of the one that is cut.
        let begin = if whole { None } else { Some(cut.view(left, cut.len() - left).ok_or(Error::Memory)?) };
        self.unshare(keep)?;
        let (mut last, mut left) = (self.head(), at);
        for segment in self.chain_segments().take(keep) {
            let part = left.min(segment.len());
            // SAFETY: borrowed mutably and exclusive since `unshare`; no segment becomes longer.
            unsafe { segment.set_len(part, left) };
            left -= part;
            last = segment;
        }
        // SAFETY: as above; the lengths are set.
        let following = unsafe { last.replace_next(None) };
        let mut rest = match (begin, following) {
            (Some(begin), following) => {
                let total = begin.len() + following.as_ref().map_or(0, Self::len);
                // SAFETY: the view is new, with one handle, and gets its successor here.
                unsafe {
                    begin.head().set_len(begin.len(), total);
                    begin.head().replace_next(following);
                }
                begin
            }
            (None, Some(following)) => following,
            // Between two segments there is a following one.
            (None, None) => return Err(Error::Value),
        };
        if rest.head().exclusive() {
            rest.inherit(self);
        }
        Ok(rest)
    }

    /// A copy of the packet: lwIP's `pbuf_clone`. [`Kind::Ram`] makes it contiguous.
    ///
    /// # Errors
    ///
    /// As for [`Memory::alloc`](crate::Memory::alloc).
    pub fn duplicate(&self, layer: Layer, kind: Kind) -> Result<Self, Error> {
        let mut copy = self.memory().alloc(layer, self.len(), kind)?;
        copy.copy_from(self)?;
        copy.inherit(self);
        Ok(copy)
    }

    /// Makes the packet one contiguous segment, with header room for `layer`, if it isn't one already: lwIP's
    /// `pbuf_coalesce`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the heap has no room. The packet isn't changed then.
    pub fn coalesce(&mut self, layer: Layer) -> Result<(), Error> {
        if self.head().next().is_some() {
            *self = self.duplicate(layer, Kind::Ram)?;
        }
        Ok(())
    }

    /// The packet itself, or a copy if it refers to bytes that may change ([`needs_copy`](Self::needs_copy)).
    ///
    /// # Errors
    ///
    /// Gives the packet back with [`Error::Memory`] if the heap has no room for the copy.
    pub fn into_owned(self) -> Result<Self, (Error, Self)> {
        if !self.needs_copy() {
            return Ok(self);
        }
        self.duplicate(Layer::Link, Kind::Ram).map_err(|error| (error, self))
    }

    /// Makes the first `count` segments exclusive: those from the first shared one on are replaced by fresh
    /// views.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if no references are left. Nothing is changed then.
    pub(crate) fn unshare(&mut self, count: usize) -> Result<(), Error> {
        let mut before = None;
        let mut at = self.head();
        for done in 0..count {
            if !at.exclusive() {
                let fresh = views_of(at, count - done)?;
                let old = match before {
                    // SAFETY: borrowed mutably, and reached through exclusive segments. The total lengths
                    // stay.
                    Some(before) => unsafe { Seg::replace_next(before, Some(fresh)) },
                    None => Some(core::mem::replace(self, fresh)),
                };
                drop(old);
                return Ok(());
            }
            before = Some(at);
            match at.next() {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Replaces the first segment by a fresh view.
    #[cold]
    pub(crate) fn fresh_head(&mut self) -> Result<(), Error> {
        *self = Self::view_onwards(self.head())?;
        Ok(())
    }

    /// A fresh view of the segment, followed by what follows it.
    #[cold]
    pub(crate) fn view_onwards(segment: Seg<'_>) -> Result<Self, Error> {
        views_of(segment, 1)
    }
}

/// The slices of a packet, see [`Pbuf::pieces`]. Where no references are left, an item is [`Error::Memory`].
pub struct Pieces<'a> {
    /// The segment in which the next one begins, and where.
    at: Seg<'a>,
    skip: usize,
    left: usize,
    len: usize,
}

impl Iterator for Pieces<'_> {
    type Item = Result<Pbuf, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let len = self.len.min(self.left);
        if len == 0 {
            return None;
        }
        self.left -= len;
        if len <= self.at.len() - self.skip {
            let piece = self.at.view(self.skip, len).ok_or(Error::Memory);
            self.skip += len;
            return Some(piece);
        }
        Some(self.next_of_several(len))
    }
}

impl Pieces<'_> {
    /// A slice that does not end, or does not begin, in the present segment.
    #[inline(never)]
    fn next_of_several(&mut self, len: usize) -> Result<Pbuf, Error> {
        while self.skip == self.at.len() {
            (self.at, self.skip) = (self.at.next().ok_or(Error::Argument)?, 0);
        }
        let (begin, from, part) = (self.at, self.skip, len.min(self.at.len() - self.skip));
        let mut rest = len - part;
        self.skip += part;
        while rest > 0 {
            self.at = self.at.next().ok_or(Error::Argument)?;
            self.skip = rest.min(self.at.len());
            rest -= self.skip;
        }
        let piece = begin.view(from, part).ok_or(Error::Memory)?;
        if part < len {
            // SAFETY: the view is new, with one handle; the total length includes what is still to come.
            unsafe { piece.head().set_len(part, len) };
            append_views(&piece, begin, len - part)?;
        }
        Ok(piece)
    }
}

impl core::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pieces").field("left", &self.left).field("len", &self.len).finish_non_exhaustive()
    }
}

/// Fresh views of up to `count` segments from `at` on, followed by what follows them.
#[cold]
fn views_of(at: Seg<'_>, count: usize) -> Result<Pbuf, Error> {
    let first = at.view(0, at.len()).ok_or(Error::Memory)?;
    // SAFETY: the view is new, with one handle; the total length includes what is still to come.
    unsafe { first.head().set_len(at.len(), at.total()) };
    let (mut at, mut last) = (at, first.as_raw());
    for _ in 1..count {
        let Some(next) = at.next() else { return Ok(first) };
        at = next;
        let view = at.view(0, at.len()).ok_or(Error::Memory)?;
        let new = view.as_raw();
        // SAFETY: as above; the views are kept alive by `first`, which nobody else has.
        unsafe {
            view.head().set_len(at.len(), at.total());
            Seg::new(last).replace_next(Some(view));
        }
        last = new;
    }
    // SAFETY: as above.
    unsafe { Seg::new(last).replace_next(at.next().map(Seg::share)) };
    Ok(first)
}

/// Appends views of `left` bytes from the segment behind `at` on to the new segment `first`.
fn append_views(first: &Pbuf, mut at: Seg<'_>, mut left: usize) -> Result<(), Error> {
    let mut last = first.as_raw();
    while left > 0 {
        at = at.next().ok_or(Error::Argument)?;
        let part = left.min(at.len());
        let view = at.view(0, part).ok_or(Error::Memory)?;
        let new = view.as_raw();
        // SAFETY: the views are new, with one handle each, and kept alive by `first`, which nobody else has.
        unsafe {
            view.head().set_len(part, left);
            Seg::new(last).replace_next(Some(view));
        }
        last = new;
        left -= part;
    }
    Ok(())
}
