//! Segments and blocks: the memory behind a [`Pbuf`].
//!
//! A *segment* is a view of bytes, what lwIP calls a pbuf. A *block* is what is allocated: a segment, and the
//! description of a *storage*, counted bytes. A pool or heap buffer is one block followed by its bytes, and
//! its segment views them. A slice is a block of the references pool whose segment views the storage of
//! another block, always the one that describes the bytes, never a view of a view. Constant, volatile and
//! custom memory is described by the storage of a references block.
//!
//! Two counts decide over life. `Segment::refs` counts the handles to a segment: `Pbuf`s, and the segment
//! before it in a chain. `Block::views` counts the segments that view a storage. Dropping the last handle
//! drops one view; dropping the last view gives the storage's block back. A block whose segment only views
//! another storage goes back with its segment.
//!
//! What keeps this sound: a segment's fields are written by a holder of `&mut Pbuf` who reaches it through
//! segments that have one handle each (*exclusive*), so that nobody else can read them; the fields that may
//! be written while shared are atomic. Bytes are written if, in addition, nobody else views the storage
//! (*writable*). Counts are decremented with release and found to be one with acquire ordering, so that what
//! others did comes before what the last one does.

use crate::memory::Core;
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, Ordering, fence};
use crate::{Error, Kind, Pbuf, PbufFlags};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// The greatest length of a buffer; half of what a length holds, so that adding headers never overflows one.
pub(crate) const MAX_LEN: usize = i32::MAX as usize;

/// A count that is never decremented again: that many handles were alive or forgotten, and the segment is
/// leaked.
const FOREVER: u16 = u16::MAX;

/// The bit of `Block::views` for bytes that nobody may write.
pub(crate) const READ_ONLY: u32 = 1 << 31;

/// The header of one segment of a packet buffer, as C sees it: lwIP's `struct pbuf`, with wider lengths.
///
/// Rust code uses [`Pbuf`]. C code gets the pointer from [`Pbuf::into_raw`] and may read all the public
/// fields, and write `flags` and `if_idx`.
#[repr(C)]
pub struct Segment {
    /// The next segment of the chain, or null.
    pub next: *mut Segment,
    /// The first byte of this segment.
    pub payload: *mut u8,
    /// Bytes of this and all following segments.
    pub tot_len: u32,
    /// Bytes of this segment.
    pub len: u32,
    /// The low byte of lwIP's `type_internal`.
    pub kind: u8,
    /// lwIP's `PBUF_FLAG_*`, see [`PbufFlags`].
    pub flags: AtomicU8,
    /// Handles to this segment: C pointers, `Pbuf`s, the segment before it.
    pub refs: AtomicU16,
    /// The index of the interface that received the packet.
    pub if_idx: AtomicU8,
    /// Whether some queue uses `link`.
    pub(crate) queued: AtomicU8,
    /// Where the block came from.
    pub(crate) origin: u8,
    reserved: u8,
    /// The block that describes the bytes.
    pub(crate) storage: NonNull<Block>,
    /// The next packet of the queue.
    pub(crate) link: Option<Pbuf>,
}

/// The block is a buffer of the pool.
pub(crate) const ORIGIN_POOL: u8 = 0;
/// The block is a small buffer.
pub(crate) const ORIGIN_SMALL: u8 = 1;
/// How many origins are pools of buffers: these come first.
pub(crate) const POOLS: usize = 2;
/// The block is one of the references pool, and there is a [`View`] around it.
pub(crate) const ORIGIN_REFERENCES: u8 = 2;
/// The block is the heap's.
pub(crate) const ORIGIN_HEAP: u8 = 3;

/// What is allocated: a segment and a storage. For pool and heap buffers the bytes follow.
#[repr(C)]
pub(crate) struct Block {
    pub(crate) segment: Segment,
    /// The memory to which the block goes back.
    pub(crate) home: NonNull<Core>,
    /// The first byte of the storage.
    pub(crate) base: NonNull<u8>,
    /// Segments that view the storage, and [`READ_ONLY`]. Cannot overflow: every view is a block.
    pub(crate) views: AtomicU32,
    /// Bytes of the storage.
    pub(crate) capacity: u32,
    /// The number of the block in its pool.
    pub(crate) index: u32,
    /// Bytes of the block, if it is the heap's.
    pub(crate) heap_size: u32,
}

// Blocks of the heap leave their bytes behind as somebody's payload, so that there must be no padding, which
// is uninitialised.
#[cfg(not(loom))]
const _: () = {
    let pointer = size_of::<usize>();
    assert!(core::mem::offset_of!(Segment, tot_len) == 2 * pointer);
    assert!(core::mem::offset_of!(Segment, refs) == 2 * pointer + 10);
    assert!(size_of::<Segment>() == 4 * pointer + 16 && size_of::<Block>() == 6 * pointer + 32);
};

/// A block of the references pool.
#[repr(C)]
pub(crate) struct View {
    pub(crate) block: Block,
    /// What to do with the storage's bytes after the last view of them.
    pub(crate) release: Release,
}

/// How memory outside goes back to its owner.
#[derive(Clone, Copy)]
pub(crate) enum Release {
    Nothing,
    Raw {
        free: unsafe fn(NonNull<u8>, usize, *mut ()),
        context: *mut (),
    },
    Static {
        free: fn(&'static mut [u8], usize),
        context: usize,
    },
    #[cfg(feature = "alloc")]
    Vec {
        capacity: usize,
    },
}

impl Release {
    /// # Safety
    ///
    /// The bytes are those with which this release was stored, and nobody uses them any more.
    unsafe fn run(self, base: NonNull<u8>, len: usize) {
        match self {
            Self::Nothing => {}
            // SAFETY: who stored the function promised that it may be called so, once.
            Self::Raw { free, context } => unsafe { free(base, len, context) },
            Self::Static { free, context } => {
                // SAFETY: the bytes came from a `&'static mut [u8]` of this length that was given up.
                free(unsafe { core::slice::from_raw_parts_mut(base.as_ptr(), len) }, context);
            }
            #[cfg(feature = "alloc")]
            Self::Vec { capacity } => {
                // SAFETY: these are the parts of a vector that was taken apart.
                drop(unsafe { alloc::vec::Vec::from_raw_parts(base.as_ptr(), len, capacity) });
            }
        }
    }
}

impl Segment {
    /// The header of a new segment of `len` bytes with one handle and no successor.
    #[inline]
    pub(crate) fn new(
        kind: Kind,
        flags: PbufFlags,
        origin: u8,
        storage: NonNull<Block>,
        payload: *mut u8,
        len: u32,
    ) -> Self {
        Self {
            next: ptr::null_mut(),
            payload,
            tot_len: len,
            len,
            kind: kind.byte(),
            flags: AtomicU8::new(flags.bits()),
            refs: AtomicU16::new(1),
            if_idx: AtomicU8::new(0),
            queued: AtomicU8::new(0),
            origin,
            reserved: 0,
            storage,
            link: None,
        }
    }
}

impl Block {
    /// Makes a free buffer of a pool into a segment of `len` bytes from `offset` on, with one handle.
    ///
    /// What isn't written here is as it has to be in a free buffer: no successor, no queue, one view of its
    /// own storage.
    ///
    /// # Safety
    ///
    /// `block` is a free buffer of the pool of that origin that the caller claimed, with that many bytes.
    #[inline]
    pub(crate) unsafe fn renew<const ORIGIN: u8>(block: NonNull<Self>, offset: usize, len: usize) -> Pbuf {
        // SAFETY: the caller has the block for itself, and its bytes follow it.
        unsafe {
            let segment = &raw mut (*block.as_ptr()).segment;
            debug_assert!((*segment).next.is_null() && (*segment).link.is_none());
            debug_assert!(
                (*segment).storage == block && (*block.as_ptr()).views.load(Ordering::Relaxed) == 1
            );
            (*segment).payload = block.as_ptr().cast::<u8>().add(size_of::<Self>() + offset);
            (*segment).tot_len = len as u32;
            (*segment).len = len as u32;
            (*segment).kind = if ORIGIN == ORIGIN_SMALL { Kind::Ram.byte() } else { Kind::Pool.byte() };
            (*segment).flags = AtomicU8::new(0);
            (*segment).refs = AtomicU16::new(1);
            (*segment).if_idx = AtomicU8::new(0);
            (*segment).queued = AtomicU8::new(0);
            (*segment).origin = ORIGIN;
            (*segment).reserved = 0;
            Pbuf::from_raw(block.cast())
        }
    }
}

/// A segment that is kept alive by a borrowed `Pbuf`, so that it can be looked at.
#[derive(Clone, Copy)]
pub(crate) struct Seg<'a> {
    at: NonNull<Segment>,
    borrows: PhantomData<&'a Pbuf>,
}

impl<'a> Seg<'a> {
    /// # Safety
    ///
    /// For `'a`, `at` is a live segment, and no field of it or of those behind it is written but through the
    /// methods below.
    #[inline]
    pub(crate) unsafe fn new(at: NonNull<Segment>) -> Self {
        Self { at, borrows: PhantomData }
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> NonNull<Segment> {
        self.at
    }

    #[inline]
    fn get(self) -> *mut Segment {
        self.at.as_ptr()
    }

    #[inline]
    pub(crate) fn next(self) -> Option<Self> {
        // SAFETY: the segment lives; a successor lives as long, since this segment is a handle to it.
        unsafe { NonNull::new((*self.get()).next).map(|at| Self::new(at)) }
    }

    #[inline]
    pub(crate) fn payload(self) -> *mut u8 {
        // SAFETY: the segment lives.
        unsafe { (*self.get()).payload }
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        // SAFETY: the segment lives.
        unsafe { (*self.get()).len as usize }
    }

    #[inline]
    pub(crate) fn total(self) -> usize {
        // SAFETY: the segment lives.
        unsafe { (*self.get()).tot_len as usize }
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        // SAFETY: the segment lives.
        Kind::from_byte(unsafe { (*self.get()).kind })
    }

    #[inline]
    pub(crate) fn origin(self) -> u8 {
        // SAFETY: the segment lives.
        unsafe { (*self.get()).origin }
    }

    #[inline]
    pub(crate) fn flags(self) -> &'a AtomicU8 {
        // SAFETY: the segment lives for `'a`, and this field is only ever accessed atomically.
        unsafe { &(*self.get()).flags }
    }

    #[inline]
    pub(crate) fn if_idx(self) -> &'a AtomicU8 {
        // SAFETY: as for `flags`.
        unsafe { &(*self.get()).if_idx }
    }

    #[inline]
    pub(crate) fn queued(self) -> &'a AtomicU8 {
        // SAFETY: as for `flags`.
        unsafe { &(*self.get()).queued }
    }

    #[inline]
    fn refs(self) -> &'a AtomicU16 {
        // SAFETY: as for `flags`.
        unsafe { &(*self.get()).refs }
    }

    #[inline]
    pub(crate) fn storage(self) -> NonNull<Block> {
        // SAFETY: the segment lives.
        unsafe { (*self.get()).storage }
    }

    /// The block that the segment is part of.
    #[inline]
    pub(crate) fn block(self) -> NonNull<Block> {
        self.at.cast()
    }

    #[inline]
    pub(crate) fn home(self) -> NonNull<Core> {
        // SAFETY: every segment is the first field of a block, and the pointer to it may access all of that.
        unsafe { (*self.block().as_ptr()).home }
    }

    #[inline]
    fn views(self) -> &'a AtomicU32 {
        // SAFETY: a segment keeps its storage alive, and this field is only ever accessed atomically while it
        // is.
        unsafe { &(*self.storage().as_ptr()).views }
    }

    /// Whether there is one handle to this segment. If that is the borrowed `Pbuf`, or an exclusive segment
    /// before this one, nobody else can reach it.
    #[inline]
    pub(crate) fn exclusive(self) -> bool {
        self.refs().load(Ordering::Acquire) == 1
    }

    /// Whether, if the segment is exclusive, its bytes may be written: nobody else views them, and they
    /// aren't constant.
    #[inline]
    pub(crate) fn unviewed(self) -> bool {
        self.views().load(Ordering::Acquire) == 1
    }

    #[inline]
    pub(crate) fn headroom(self) -> usize {
        // SAFETY: the storage lives, and its description is constant.
        let base = unsafe { (*self.storage().as_ptr()).base };
        self.payload().addr().wrapping_sub(base.as_ptr().addr())
    }

    #[inline]
    pub(crate) fn tailroom(self) -> usize {
        // SAFETY: the storage lives, and its description is constant but for a writer of the segment.
        let capacity = unsafe { (*self.storage().as_ptr()).capacity };
        (capacity as usize).wrapping_sub(self.headroom() + self.len())
    }

    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        // SAFETY: the segment views `len` initialised bytes of its storage, which lives for `'a`, and which
        // nobody writes while there is another handle or view than the writer's own.
        unsafe { core::slice::from_raw_parts(self.payload(), self.len()) }
    }

    /// The bytes, for writing.
    ///
    /// # Safety
    ///
    /// The caller borrows the `Pbuf` mutably for `'a`, the segment is reached through exclusive segments, is
    /// itself exclusive and unviewed, and these bytes aren't borrowed otherwise.
    #[inline]
    pub(crate) unsafe fn bytes_mut(self) -> &'a mut [u8] {
        // SAFETY: as in `bytes`; the caller vouches for uniqueness.
        unsafe { core::slice::from_raw_parts_mut(self.payload(), self.len()) }
    }

    /// Sets the lengths.
    ///
    /// # Safety
    ///
    /// The caller has the segment exclusively; `len` bytes from the payload on are in the storage; no borrow
    /// of bytes beyond them is left.
    #[inline]
    pub(crate) unsafe fn set_len(self, len: usize, total: usize) {
        // SAFETY: exclusive, so that nobody reads these fields.
        unsafe {
            (*self.get()).len = len as u32;
            (*self.get()).tot_len = total as u32;
        }
    }

    /// Moves the start of the segment forward by `n` bytes, to `len` bytes.
    ///
    /// # Safety
    ///
    /// The caller has the segment exclusively, and it had `n + len` bytes.
    #[inline]
    pub(crate) unsafe fn hide(self, n: usize, len: usize) {
        // SAFETY: exclusive, so that nobody reads these fields; the new payload is inside the old one, or
        // just behind it.
        unsafe {
            (*self.get()).payload = self.payload().add(n);
            (*self.get()).len = len as u32;
            (*self.get()).tot_len -= n as u32;
        }
    }

    /// Moves the start of the segment back by `n` bytes.
    ///
    /// # Safety
    ///
    /// The caller has the segment exclusively, and `n <= headroom`.
    #[inline]
    pub(crate) unsafe fn expose(self, n: usize) -> *mut u8 {
        // SAFETY: exclusive, so that nobody reads these fields; the storage begins at least `n` bytes before
        // the payload.
        unsafe {
            let start = self.payload().sub(n);
            (*self.get()).payload = start;
            let len = (*self.get()).len + n as u32;
            (*self.get()).tot_len += n as u32;
            (*self.get()).len = len;
            start
        }
    }

    /// Appends `bytes` to the last segment of the chain that begins here; nothing is changed where
    /// [`Error::Buffer`] says that there is no room, or that somebody else can see a segment or the storage.
    ///
    /// # Safety
    ///
    /// The caller has this segment as if it borrowed its `Pbuf` mutably.
    pub(crate) unsafe fn extend(self, bytes: &[u8]) -> Result<(), Error> {
        let segments = core::iter::successors(Some(self), |segment| segment.next());
        let mut last = self;
        for segment in segments.clone() {
            if !segment.exclusive() {
                return Err(Error::Buffer);
            }
            last = segment;
        }
        if !last.unviewed() || bytes.len() > last.tailroom().min(MAX_LEN - self.total()) {
            return Err(Error::Buffer);
        }
        // SAFETY: all segments are exclusive, and the storage, which nobody else views, has that many bytes
        // behind the last one; so `bytes` are elsewhere. They are written before the length takes them in.
        unsafe {
            let end = last.payload().add(last.len());
            ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len());
            for segment in segments {
                let more = if segment.at == last.at { bytes.len() } else { 0 };
                segment.set_len(segment.len() + more, segment.total() + bytes.len());
            }
        }
        Ok(())
    }

    /// Makes `next` the successor; returns the former one with its handle.
    ///
    /// # Safety
    ///
    /// The caller has the segment exclusively, and sets the total lengths right.
    pub(crate) unsafe fn replace_next(self, next: Option<Pbuf>) -> Option<Pbuf> {
        let next = next.map_or(ptr::null_mut(), |pbuf| pbuf.into_raw().as_ptr());
        // SAFETY: exclusive, so that nobody reads this field; it is a handle of its own, which moves in and
        // out here.
        unsafe {
            let before = ptr::replace(&raw mut (*self.get()).next, next);
            NonNull::new(before).map(|at| Pbuf::from_raw(at))
        }
    }

    /// A further handle to this segment.
    #[inline]
    pub(crate) fn share(self) -> Pbuf {
        let refs = self.refs();
        let mut now = refs.load(Ordering::Relaxed);
        while now != FOREVER {
            match refs.compare_exchange_weak(now, now + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        // SAFETY: the handle was just counted, or handles to this segment aren't counted any more.
        unsafe { Pbuf::from_raw(self.at) }
    }

    /// A new segment that views `len` bytes of this one from `offset` on, with its flags; `None` if no
    /// reference is left.
    pub(crate) fn view(self, offset: usize, len: usize) -> Option<Pbuf> {
        debug_assert!(offset + len <= self.len());
        // SAFETY: a segment keeps its home alive.
        let view = unsafe { self.home().as_ref() }.reference()?;
        self.views().fetch_add(1, Ordering::Relaxed);
        // SAFETY: the view was just claimed, so it is this caller's alone, and it gets one handle here. What
        // isn't written is as it has to be in a free one: no successor, no queue. The payload has at least
        // `offset` bytes.
        unsafe {
            let segment = &raw mut (*view.as_ptr()).block.segment;
            debug_assert!((*segment).next.is_null() && (*segment).link.is_none());
            (*segment).payload = self.payload().add(offset);
            (*segment).tot_len = len as u32;
            (*segment).len = len as u32;
            (*segment).kind = (*self.get()).kind;
            (*segment).flags = AtomicU8::new(self.flags().load(Ordering::Relaxed));
            (*segment).refs = AtomicU16::new(1);
            (*segment).if_idx = AtomicU8::new(self.if_idx().load(Ordering::Relaxed));
            (*segment).queued = AtomicU8::new(0);
            (*segment).storage = self.storage();
            Some(Pbuf::from_raw(view.cast()))
        }
    }
}

/// Drops a handle, and with the last one the segment and its handle to the next one.
///
/// # Safety
///
/// The handle is the caller's, and gone after this.
#[inline]
pub(crate) unsafe fn drop_handle(at: NonNull<Segment>) {
    // SAFETY: the handle keeps the segment alive. If it is the last one to a buffer of a pool that nobody
    // else views and that has no successor, then that is all there is to free. (The segment of such a buffer
    // views its own storage.)
    unsafe {
        let segment = at.as_ptr();
        if (*segment).refs.load(Ordering::Acquire) != 1 {
            drop_shared(at);
        } else if usize::from((*segment).origin) < POOLS
            && (*segment).next.is_null()
            && (*at.cast::<Block>().as_ptr()).views.load(Ordering::Acquire) == 1
        {
            Core::free_buffer(at.cast());
        } else {
            drop_last(at);
        }
    }
}

/// Drops the last handle to a segment, and then the segment's handle to the next one, and so on.
///
/// # Safety
///
/// The handle is the caller's, and the only one.
#[inline(never)]
unsafe fn drop_last(mut at: NonNull<Segment>) {
    loop {
        // SAFETY: with its last handle the segment is the caller's until it is freed, and so is its handle to
        // the next one.
        unsafe {
            // Buffers of the pool are handed out with the null that they come back with.
            let next = ptr::replace(&raw mut (*at.as_ptr()).next, ptr::null_mut());
            free(at);
            match NonNull::new(next) {
                Some(next) if count_down(next) => at = next,
                _ => return,
            }
        }
    }
}

/// Drops one of several handles, or the last one, if the others went meanwhile.
///
/// # Safety
///
/// The handle is the caller's, and gone after this.
#[inline(never)]
unsafe fn drop_shared(at: NonNull<Segment>) {
    // SAFETY: the handle is the caller's, and counted down here.
    unsafe {
        if count_down(at) {
            drop_last(at);
        }
    }
}

/// Counts a handle down, unless it is the last one; true if it is.
///
/// # Safety
///
/// The handle is the caller's. It is gone unless this returns true.
#[inline]
unsafe fn count_down(at: NonNull<Segment>) -> bool {
    // SAFETY: the handle keeps the segment alive until the decrement, after which it isn't touched.
    let mut now = unsafe { (*at.as_ptr()).refs.load(Ordering::Acquire) };
    loop {
        match now {
            FOREVER => return false,
            1 => return true,
            _ => {}
        }
        // SAFETY: as above.
        let counted = unsafe {
            (*at.as_ptr()).refs.compare_exchange_weak(now, now - 1, Ordering::Release, Ordering::Acquire)
        };
        match counted {
            Ok(_) => return false,
            Err(other) => now = other,
        }
    }
}

/// Frees a segment without handles.
///
/// # Safety
///
/// The caller had the last handle, and doesn't use the segment any more.
#[inline]
unsafe fn free(at: NonNull<Segment>) {
    let own = at.cast::<Block>();
    // SAFETY: nobody else has the segment, whose storage lives until the view of it is dropped here.
    unsafe {
        let storage = (*at.as_ptr()).storage;
        if drop_view(storage) {
            give_back(storage);
        }
        if storage != own {
            Core::free_reference(own);
        }
    }
}

/// Drops a view; true if it was the last one.
///
/// # Safety
///
/// The view is the caller's.
#[inline]
unsafe fn drop_view(storage: NonNull<Block>) -> bool {
    // SAFETY: the view keeps the block alive, which isn't touched after the decrement unless that was the
    // last.
    unsafe {
        if (*storage.as_ptr()).views.load(Ordering::Acquire) & !READ_ONLY == 1 {
            return true;
        }
        if (*storage.as_ptr()).views.fetch_sub(1, Ordering::Release) & !READ_ONLY != 1 {
            return false;
        }
        fence(Ordering::Acquire);
        // Blocks of the pool are handed out with the one view that they will have.
        (*storage.as_ptr()).views.store(1, Ordering::Relaxed);
    }
    true
}

/// Gives back a block whose storage nobody views.
///
/// # Safety
///
/// The block is the caller's, and no longer after this.
unsafe fn give_back(block: NonNull<Block>) {
    // SAFETY: the caller has the block for itself; its origin says what it is part of.
    unsafe {
        match (*block.as_ptr()).segment.origin {
            ORIGIN_POOL | ORIGIN_SMALL => Core::free_buffer(block),
            ORIGIN_HEAP => Core::free_heap_block(block),
            _ => give_back_outside(block),
        }
    }
}

/// # Safety
///
/// As for `give_back`; the block is one of the references pool.
#[cold]
unsafe fn give_back_outside(block: NonNull<Block>) {
    // SAFETY: the block is the first field of a view, and `release` fits the storage. The function is called
    // last, so that nothing is left undone if it panics.
    unsafe {
        let (base, len) = ((*block.as_ptr()).base, (*block.as_ptr()).capacity as usize);
        let release = (*block.cast::<View>().as_ptr()).release;
        Core::free_reference(block);
        release.run(base, len);
    }
}
