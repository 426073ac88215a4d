//! The memory of a stack: a pool of buffers, one of small buffers, one of references, and a heap.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use crate::arena::Region;
use crate::bitmap::Bitmap;
use crate::heap::Heap;
use crate::pool::Users;
use crate::segment::{
    Block, MAX_LEN, ORIGIN_HEAP, ORIGIN_POOL, ORIGIN_REFERENCES, ORIGIN_SMALL, POOLS, READ_ONLY, Release,
    Seg, Segment, View,
};
use crate::sync::AtomicU32;
use crate::{Arena, Error, HeapBuf, Kind, Layer, Pbuf, PbufFlags, PoolStats};

/// Bytes of a block in front of its bytes.
const HEADER: usize = size_of::<Block>();

/// What buffers of the pool are aligned to: a cache line where there are large ones.
const BUFFER_ALIGN: usize = if cfg!(target_pointer_width = "64") { 64 } else { align_of::<Block>() };

/// Bytes of payload and header room in a small buffer: the headers in front of TCP and the longest of its own,
/// or an ICMP error. With 64-bit words a block of them is four cache lines.
const SMALL_BUFFER_SIZE: usize = 176;

/// Blocks in one pool, at most.
const MAX_BLOCKS: usize = i32::MAX as usize;

/// How much memory a stack has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Buffers of the pool ([`Kind::Pool`], lwIP's `PBUF_POOL_SIZE`).
    pub pool_buffers: usize,
    /// Bytes of payload and header room in one of them, more than 80 (`PBUF_POOL_BUFSIZE`).
    pub pool_buffer_size: usize,
    /// Small buffers, of 176 bytes of payload and header room each: what [`Kind::Ram`] is made of where it fits
    /// and one is free, since that costs less than a visit to the heap.
    pub small_buffers: usize,
    /// Segments that view bytes of elsewhere: slices, [`Kind::Rom`], [`Kind::Ref`], [`Kind::Custom`]
    /// (`MEMP_NUM_PBUF`).
    pub references: usize,
    /// Bytes of the heap, with its own headers ([`Kind::Ram`], `MEM_SIZE`).
    pub heap_bytes: usize,
}

impl MemoryLimits {
    /// For a small device: 16 KiB in all.
    pub const SMALL: Self = Self {
        pool_buffers: 8,
        pool_buffer_size: 640,
        small_buffers: 12,
        references: 24,
        heap_bytes: 4 * 1024,
    };
}

impl Default for MemoryLimits {
    /// For a host: 1,024 buffers that hold a full Ethernet frame each, as many small ones, and a heap of 4 MiB.
    fn default() -> Self {
        Self {
            pool_buffers: 1024,
            pool_buffer_size: 1600,
            small_buffers: 1024,
            references: 2048,
            heap_bytes: 4 << 20,
        }
    }
}

/// The counters of a [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStats {
    /// Buffers of the pool.
    pub pool: PoolStats,
    /// Small buffers.
    pub small: PoolStats,
    /// References: slices, constant, volatile and custom memory.
    pub references: PoolStats,
    /// Bytes of the heap.
    pub heap: PoolStats,
}

impl MemoryStats {
    /// Whether everything came back.
    pub fn is_unused(&self) -> bool {
        [self.pool, self.small, self.references, self.heap].iter().all(|part| part.used == 0)
    }
}

/// The memory of a stack: where packet buffers and heap bytes come from.
///
/// A cheap handle; clones name the same memory. Buffers may be allocated and freed on any thread and in
/// interrupts. Memory of the global allocator is freed when the last handle and the last buffer are gone.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use coracle_buf::{Arena, Kind, Layer, Memory, MemoryLimits};
///
/// let memory = Memory::new(&mut Arena::heap(), MemoryLimits::default())?;
/// let mut packet = memory.alloc(Layer::Transport, 5, Kind::Pool)?;
/// packet.payload_mut()?.copy_from_slice(b"hello");
/// packet.add_header(8)?.fill(0);
/// assert_eq!(packet.len(), 13);
/// drop(packet);
/// assert_eq!(memory.stats().pool.used, 0);
/// # }
/// # Ok::<(), coracle_buf::Error>(())
/// ```
pub struct Memory(NonNull<Core>);

// SAFETY: what is behind the handle is shared by atomic accesses and under critical sections only.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// What handles and buffers share.
pub(crate) struct Core {
    pub(crate) users: Users,
    // Of buffers of the pool and small ones, by the origin of their blocks.
    pools: [Buffers; POOLS],
    free_references: Bitmap,
    references: Region,
    pub(crate) heap: Heap,
    // Where this core itself lies, to be freed with the last user.
    own: Region,
}

/// Blocks of one size, each followed by its bytes.
struct Buffers {
    free: Bitmap,
    blocks: Region,
    stride: usize,
    // Bytes of one.
    size: usize,
}

impl Memory {
    /// Cuts the pools and the heap out of the arena.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if they don't fit, [`Error::Argument`] if a buffer of the pool is too small for the
    /// headers of [`Layer::Transport`] and a byte, or a number exceeds 2,147,483,647. Nothing of the arena is
    /// consumed then.
    pub fn new(arena: &mut Arena, limits: MemoryLimits) -> Result<Self, Error> {
        let largest_offset = Layer::Transport.payload_offset();
        if limits.pool_buffers > 0 && limits.pool_buffer_size <= largest_offset {
            return Err(Error::Argument);
        }
        let most = limits.pool_buffers.max(limits.small_buffers).max(limits.references);
        if most > MAX_BLOCKS || limits.pool_buffer_size > MAX_LEN {
            return Err(Error::Argument);
        }
        let mark = arena.mark();
        let made = Core::build(arena, limits, limits.pool_buffer_size.max(largest_offset)).map(Self);
        if made.is_err() {
            // SAFETY: all that `build` reserved was dropped with its error.
            unsafe { arena.rewind(mark) }
        }
        made
    }

    #[inline]
    fn core(&self) -> &Core {
        // SAFETY: this handle is a counted user, so that the core lives; it is only ever shared.
        unsafe { self.0.as_ref() }
    }

    /// Further handle of the memory of a core.
    ///
    /// # Safety
    ///
    /// The caller is, or keeps alive, a user of the core.
    pub(crate) unsafe fn of(core: NonNull<Core>) -> Self {
        // SAFETY: the caller vouches for the core.
        unsafe { core.as_ref() }.users.add_handle();
        Self(core)
    }

    /// A buffer of `len` bytes, with room for the headers of `layer` in front: lwIP's `pbuf_alloc`.
    ///
    /// [`Kind::Ram`] is one contiguous segment: a small buffer where it fits and one is free, else of the heap.
    /// [`Kind::Pool`] is as many buffers of the pool as it takes; the header room is in the first. The bytes are
    /// what was there before, so fill them.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the pool or the heap is exhausted, [`Error::Argument`] for the other kinds.
    #[inline]
    pub fn alloc(&self, layer: Layer, len: usize, kind: Kind) -> Result<Pbuf, Error> {
        match kind {
            Kind::Pool => {
                let (core, offset) = (self.core(), layer.payload_offset());
                let room = core.pool().size - offset;
                let pbuf = if len <= room {
                    core.buffer::<ORIGIN_POOL>(offset, len)
                } else {
                    core.chain(offset, len)
                };
                pbuf.ok_or(Error::Memory)
            }
            Kind::Ram => {
                let (core, offset) = (self.core(), layer.payload_offset());
                if len <= SMALL_BUFFER_SIZE - offset
                    && let Some(pbuf) = core.buffer::<ORIGIN_SMALL>(offset, len)
                {
                    return Ok(pbuf);
                }
                core.heap_block(offset, len)
            }
            Kind::Rom | Kind::Ref | Kind::Custom => Err(Error::Argument),
        }
    }

    /// A buffer with a copy of `bytes`: [`alloc`](Self::alloc) and [`Pbuf::take`] at once.
    ///
    /// # Errors
    ///
    /// As for [`alloc`](Self::alloc).
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// # use coracle_buf::{Arena, Kind, Layer, Memory, MemoryLimits};
    /// # let memory = Memory::new(&mut Arena::heap(), MemoryLimits::SMALL)?;
    /// assert_eq!(memory.alloc_copy(Layer::Transport, b"hello", Kind::Pool)?, b"hello");
    /// # }
    /// # Ok::<(), coracle_buf::Error>(())
    /// ```
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a driver's only call for a frame, of a known kind")]
    pub fn alloc_copy(&self, layer: Layer, bytes: &[u8], kind: Kind) -> Result<Pbuf, Error> {
        let mut pbuf = self.alloc(layer, bytes.len(), kind)?;
        if pbuf.payload().len() == bytes.len() {
            // SAFETY: the buffer is new, so that nobody else has it, and its only segment has all the bytes.
            unsafe { pbuf.head().bytes_mut() }.copy_from_slice(bytes);
        } else {
            pbuf.take(bytes)?;
        }
        Ok(pbuf)
    }

    /// A buffer that refers to constant bytes: lwIP's `PBUF_ROM`. They are never written.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if there is no reference left, [`Error::Argument`] above 2,147,483,647 bytes.
    pub fn from_static(&self, bytes: &'static [u8]) -> Result<Pbuf, Error> {
        let base = NonNull::from(bytes).cast();
        // SAFETY: the bytes are there for good, and read-only.
        unsafe { self.core().outside(base, bytes.len(), Kind::Rom, READ_ONLY, Release::Nothing) }
    }

    /// A buffer that refers to bytes whose contents may change when the caller gets control back: lwIP's
    /// `PBUF_REF`. They are never written, and have to be copied before they are queued
    /// ([`Pbuf::needs_copy`], [`Pbuf::into_owned`]).
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if there is no reference left, [`Error::Argument`] for null and above 2,147,483,647
    /// bytes.
    ///
    /// # Safety
    ///
    /// `len` bytes from `bytes` on are readable and initialised as long as a buffer refers to them, and
    /// aren't written while a slice of them that such a buffer gave is borrowed.
    pub unsafe fn from_volatile(&self, bytes: *const u8, len: usize) -> Result<Pbuf, Error> {
        let base = NonNull::new(bytes.cast_mut()).ok_or(Error::Argument)?;
        // SAFETY: the caller vouches for the bytes; nobody writes them here.
        unsafe { self.core().outside(base, len, Kind::Ref, READ_ONLY, Release::Nothing) }
    }

    /// A buffer of bytes that come back by `free(bytes, context)` after their last use, such as a driver's
    /// DMA buffer: lwIP's `pbuf_alloced_custom`. `free` may be called on any thread that drops a `Pbuf`. It
    /// must not deallocate the bytes, as no function may while a reference to them is its argument;
    /// [`from_raw_buffer`](Self::from_raw_buffer) is for that.
    ///
    /// # Errors
    ///
    /// The bytes, with [`Error::Memory`] if there is no reference left, or [`Error::Argument`] above
    /// 2,147,483,647 bytes. `free` isn't called then.
    pub fn from_static_mut(
        &self,
        buffer: &'static mut [u8],
        free: fn(&'static mut [u8], usize),
        context: usize,
    ) -> Result<Pbuf, (Error, &'static mut [u8])> {
        let len = buffer.len();
        let base = NonNull::from(buffer);
        // SAFETY: the bytes are there for good, and this buffer's alone until `free` gets them back.
        let made = unsafe {
            self.core().outside(base.cast(), len, Kind::Custom, 0, Release::Static { free, context })
        };
        // SAFETY: on an error nobody has the bytes, so that the borrow can be given back.
        made.map_err(|error| (error, unsafe { &mut *base.as_ptr() }))
    }

    /// A buffer of bytes that come back by `free(base, len, context)` after their last use:
    /// [`from_static_mut`] for C and for memory that isn't a slice.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if there is no reference left, [`Error::Argument`] above 2,147,483,647 bytes. `free`
    /// isn't called then.
    ///
    /// # Safety
    ///
    /// Until `free` is called, `len` bytes from `base` on are initialised, writable, and used by nobody else.
    /// `free` may be called with these arguments once, on any thread.
    ///
    /// [`from_static_mut`]: Self::from_static_mut
    pub unsafe fn from_raw_buffer(
        &self,
        base: NonNull<u8>,
        len: usize,
        free: unsafe fn(NonNull<u8>, usize, *mut ()),
        context: *mut (),
    ) -> Result<Pbuf, Error> {
        // SAFETY: the caller vouches for the bytes and the function.
        unsafe { self.core().outside(base, len, Kind::Custom, 0, Release::Raw { free, context }) }
    }

    /// A buffer of a vector's bytes, without a copy.
    ///
    /// # Errors
    ///
    /// The vector, with [`Error::Memory`] if there is no reference left, or [`Error::Argument`] above
    /// 2,147,483,647 bytes.
    #[cfg(feature = "alloc")]
    pub fn from_vec(&self, bytes: alloc::vec::Vec<u8>) -> Result<Pbuf, (Error, alloc::vec::Vec<u8>)> {
        let mut bytes = core::mem::ManuallyDrop::new(bytes);
        let (len, capacity) = (bytes.len(), bytes.capacity());
        // SAFETY: the pointer of a vector is never null. It may access all of the capacity, as the release
        // will.
        let base = unsafe { NonNull::new_unchecked(bytes.as_mut_ptr()) };
        // SAFETY: the vector doesn't free its bytes any more, so they are this buffer's until the release
        // takes the vector's parts together again.
        let made = unsafe { self.core().outside(base, len, Kind::Custom, 0, Release::Vec { capacity }) };
        made.map_err(|error| (error, core::mem::ManuallyDrop::into_inner(bytes)))
    }

    /// `len` zero bytes of the heap: lwIP's `mem_malloc` and `mem_calloc`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the heap has no piece of that size left.
    pub fn heap_alloc(&self, len: usize) -> Result<HeapBuf, Error> {
        // SAFETY: this handle is a user of the core.
        unsafe { HeapBuf::new(self.0, len) }
    }

    /// The counters of the pools and the heap.
    pub fn stats(&self) -> MemoryStats {
        let core = self.core();
        MemoryStats {
            pool: core.pool().free.stats(),
            small: core.pools[usize::from(ORIGIN_SMALL)].free.stats(),
            references: core.free_references.stats(),
            heap: core.heap.stats(),
        }
    }

    /// Whether few buffers of the pool are left, less than a quarter: they are for what comes in, not for what could
    /// wait. Costs more the fewer there are.
    pub fn pool_is_scarce(&self) -> bool {
        let free = &self.core().pool().free;
        !free.has_free_at_least(free.capacity().div_ceil(4))
    }

    /// Whether there is a reference and a buffer for headers: what it takes to send a piece of something longer.
    pub fn can_send(&self) -> bool {
        let core = self.core();
        let headers = || {
            core.pools.iter().any(|pool| pool.free.has_free())
                || self.alloc(Layer::Transport, 0, Kind::Ram).is_ok()
        };
        core.free_references.has_free() && headers()
    }

    /// Whether there are references and small buffers for headers left to send so many pieces of something longer.
    #[inline]
    pub fn can_send_pieces(&self, count: usize) -> bool {
        let core = self.core();
        // One more, to cut the pieces off by.
        core.free_references.has_free_at_least(count + 1)
            && core.pools[usize::from(ORIGIN_SMALL)].free.has_free_at_least(count)
    }

    /// Bytes of payload and header room in one buffer of the pool.
    pub fn pool_buffer_size(&self) -> usize {
        self.core().pool().size
    }
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        // SAFETY: this handle is a user of the core.
        unsafe { Self::of(self.0) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this handle is a counted user, and gone after this.
        unsafe { Core::remove_user(self.0) }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.stats()).finish()
    }
}

impl Core {
    fn build(arena: &mut Arena, limits: MemoryLimits, buffer_size: usize) -> Result<NonNull<Self>, Error> {
        let own = arena.reserve(Layout::new::<Self>())?;
        let pool = Buffers::new(arena, limits.pool_buffers, buffer_size)?;
        let small = Buffers::new(arena, limits.small_buffers, SMALL_BUFFER_SIZE)?;
        let free_references = Bitmap::new(arena, limits.references)?;
        let layout = Layout::array::<View>(limits.references).map_err(|_| Error::Memory)?;
        let references = arena.reserve(layout)?;
        let heap = Heap::new(arena, limits.heap_bytes)?;
        let core = own.start().cast::<Self>();
        // SAFETY: nobody but this function has the blocks.
        unsafe {
            pool.write_blocks(Kind::Pool, ORIGIN_POOL, core);
            small.write_blocks(Kind::Ram, ORIGIN_SMALL, core);
        }
        for index in 0..limits.references {
            // SAFETY: the region holds `references` views, aligned and unshared.
            unsafe {
                let view = references.start().cast::<View>().add(index);
                let (block, base) = (view.cast::<Block>(), view.cast::<u8>());
                let segment =
                    Segment::new(Kind::Ref, PbufFlags::empty(), ORIGIN_REFERENCES, block, base.as_ptr(), 0);
                let block = Block::new(segment, core, base, 0, index as u32);
                view.write(View { block, release: Release::Nothing });
            }
        }
        let users = Users::one(!own.owned());
        // SAFETY: the region is one core large, aligned and unshared.
        unsafe {
            core.write(Self { users, pools: [pool, small], free_references, references, heap, own });
        }
        Ok(core)
    }

    /// One user less; with the last one the memory goes.
    ///
    /// # Safety
    ///
    /// The caller is a counted user of the core, and isn't after this call.
    #[inline]
    pub(crate) unsafe fn remove_user(core: NonNull<Self>) {
        // SAFETY: the caller vouches for the core; when its last user is gone, nobody else can reach it.
        unsafe {
            let users = NonNull::new_unchecked(&raw mut (*core.as_ptr()).users);
            if Users::remove(users) {
                Self::destroy(core);
            }
        }
    }

    /// # Safety
    ///
    /// There is no user left.
    #[cold]
    unsafe fn destroy(core: NonNull<Self>) {
        // SAFETY: nobody uses the core any more, so it may be moved out; its own memory goes last.
        let Self { own, pools, free_references, references, heap, .. } = unsafe { core.read() };
        drop((pools, free_references, references, heap));
        drop(own);
    }

    #[inline]
    fn pool(&self) -> &Buffers {
        &self.pools[usize::from(ORIGIN_POOL)]
    }

    /// A buffer of one of the pools, with `len` bytes from `offset` on.
    #[inline]
    fn buffer<const ORIGIN: u8>(&self, offset: usize, len: usize) -> Option<Pbuf> {
        match self.pools[usize::from(ORIGIN)].free.claim_hinted() {
            // SAFETY: the index was just claimed.
            Some(index) => Some(unsafe { self.claimed::<ORIGIN>(index, offset, len) }),
            None => self.searched::<ORIGIN>(offset, len),
        }
    }

    #[cold]
    #[inline(never)]
    fn searched<const ORIGIN: u8>(&self, offset: usize, len: usize) -> Option<Pbuf> {
        let free = &self.pools[usize::from(ORIGIN)].free;
        if ORIGIN == ORIGIN_SMALL && free.capacity() == 0 {
            // Nobody missed what was not wanted.
            return None;
        }
        let index = free.search()?;
        // SAFETY: the index was just claimed.
        Some(unsafe { self.claimed::<ORIGIN>(index, offset, len) })
    }

    /// # Safety
    ///
    /// The caller claimed buffer `index` of this pool, and `offset + len` bytes fit.
    #[inline]
    unsafe fn claimed<const ORIGIN: u8>(&self, index: usize, offset: usize, len: usize) -> Pbuf {
        let pool = &self.pools[usize::from(ORIGIN)];
        debug_assert!(offset + len <= pool.size);
        self.users.add();
        // SAFETY: the index is below the number of buffers, and the claim makes this one the caller's alone.
        unsafe { Block::renew::<ORIGIN>(pool.block(index), offset, len) }
    }

    /// Several buffers of the pool.
    #[cold]
    fn chain(&self, offset: usize, len: usize) -> Option<Pbuf> {
        let pool = self.pool();
        let most = pool.free.capacity().saturating_mul(pool.size).min(MAX_LEN);
        if len > most - offset.min(most) {
            pool.free.refused();
            return None;
        }
        let mut left = len - (pool.size - offset);
        let chain = self.buffer::<ORIGIN_POOL>(offset, pool.size - offset)?;
        // SAFETY: the buffer is new, so that `chain` has it exclusively.
        unsafe { chain.head().set_len(pool.size - offset, len) };
        let mut last = chain.as_raw();
        while left > 0 {
            let part = left.min(pool.size);
            let next = self.buffer::<ORIGIN_POOL>(0, part)?;
            let at = next.as_raw();
            // SAFETY: all segments are new, so that `chain` and `next` have them exclusively. The total
            // lengths of those before include what is still to come.
            unsafe {
                next.head().set_len(part, left);
                Seg::new(last).replace_next(Some(next));
            }
            last = at;
            left -= part;
        }
        Some(chain)
    }

    /// A block of the heap, with `len` bytes behind `offset`.
    fn heap_block(&self, offset: usize, len: usize) -> Result<Pbuf, Error> {
        if len > MAX_LEN - HEADER - offset {
            self.heap.refuse();
            return Err(Error::Memory);
        }
        let size = HEADER + offset + len;
        let block = self.heap.alloc(size).ok_or(Error::Memory)?.cast::<Block>();
        self.users.add();
        // SAFETY: the heap gave `size` initialised bytes, aligned for a block, to this caller alone.
        unsafe {
            let base = block.cast::<u8>().add(HEADER);
            let payload = base.as_ptr().add(offset);
            let segment =
                Segment::new(Kind::Ram, PbufFlags::empty(), ORIGIN_HEAP, block, payload, len as u32);
            let mut it = Block::new(segment, NonNull::from(self), base, (offset + len) as u32, 0);
            it.heap_size = size as u32;
            block.write(it);
            Ok(Pbuf::from_raw(block.cast()))
        }
    }

    /// A block for a segment that views bytes of elsewhere. The caller writes the segment.
    #[inline]
    pub(crate) fn reference(&self) -> Option<NonNull<View>> {
        let index = self.free_references.claim()?;
        self.users.add();
        // SAFETY: the index is below the number of references, all of which were written when the pool was
        // made.
        Some(unsafe { self.references.start().cast::<View>().add(index) })
    }

    /// A segment over memory outside.
    ///
    /// # Safety
    ///
    /// `len` bytes from `base` on are readable until `release` was run, and nobody writes them; without
    /// [`READ_ONLY`] in `access`, they are nobody else's until then.
    unsafe fn outside(
        &self,
        base: NonNull<u8>,
        len: usize,
        kind: Kind,
        access: u32,
        release: Release,
    ) -> Result<Pbuf, Error> {
        if len > MAX_LEN {
            return Err(Error::Argument);
        }
        let view = self.reference().ok_or(Error::Memory)?;
        let flags = if kind == Kind::Custom { PbufFlags::CUSTOM } else { PbufFlags::empty() };
        let block = view.cast::<Block>();
        let segment = Segment::new(kind, flags, ORIGIN_REFERENCES, block, base.as_ptr(), len as u32);
        // SAFETY: the view was just claimed, so it is this caller's alone.
        unsafe {
            let it = view.as_ptr();
            (&raw mut (*it).block.segment).write(segment);
            (*it).block.base = base;
            (*it).block.capacity = len as u32;
            (*it).block.views = AtomicU32::new(1 | access);
            (*it).release = release;
            Ok(Pbuf::from_raw(view.cast()))
        }
    }

    /// # Safety
    ///
    /// The block is of one of its home's `pools`, by its origin, and nobody uses it any more.
    #[inline]
    pub(crate) unsafe fn free_buffer(block: NonNull<Block>) {
        // SAFETY: the block is the caller's until it is released, and counts as a user of its home until
        // after that.
        unsafe {
            let it = block.as_ptr();
            let (core, index, origin) = ((*it).home, (*it).index, (*it).segment.origin);
            debug_assert!(usize::from(origin) < POOLS);
            let pools = &raw const (*core.as_ptr()).pools;
            (*pools.cast::<Buffers>().add(usize::from(origin))).free.release(index as usize);
            Self::remove_user(core);
        }
    }

    /// # Safety
    ///
    /// The block is one of its home's references that nobody uses any more.
    #[inline]
    pub(crate) unsafe fn free_reference(block: NonNull<Block>) {
        // SAFETY: as for buffers.
        unsafe {
            let (core, index) = ((*block.as_ptr()).home, (*block.as_ptr()).index);
            (*core.as_ptr()).free_references.release(index as usize);
            Self::remove_user(core);
        }
    }

    /// # Safety
    ///
    /// The block is one of its home's heap that nobody uses any more.
    #[cold]
    pub(crate) unsafe fn free_heap_block(block: NonNull<Block>) {
        // SAFETY: as for buffers; the block came from this heap with this size.
        unsafe {
            let (core, size) = ((*block.as_ptr()).home, (*block.as_ptr()).heap_size);
            (*core.as_ptr()).heap.free(block.cast(), size as usize);
            Self::remove_user(core);
        }
    }

    /// Gives the end of a heap block's storage back to the heap, down to `capacity` bytes.
    ///
    /// # Safety
    ///
    /// The block is one of its home's heap, the caller has its only segment exclusively, and that is inside
    /// these bytes.
    pub(crate) unsafe fn shrink_heap_block(block: NonNull<Block>, capacity: usize) {
        // SAFETY: the caller has the block for itself, and its home lives; what is cut off is behind the
        // segment.
        unsafe {
            let it = block.as_ptr();
            let (old, new) = ((*it).heap_size, HEADER + capacity);
            (*it).capacity = capacity as u32;
            (*it).heap_size = new as u32;
            (*(*it).home.as_ptr()).heap.shrink(block.cast(), old as usize, new);
        }
    }
}

impl Buffers {
    fn new(arena: &mut Arena, capacity: usize, size: usize) -> Result<Self, Error> {
        let stride = (HEADER + size).next_multiple_of(BUFFER_ALIGN);
        let bytes = stride.checked_mul(capacity).ok_or(Error::Memory)?;
        let free = Bitmap::new(arena, capacity)?;
        let layout = Layout::from_size_align(bytes, BUFFER_ALIGN).map_err(|_| Error::Memory)?;
        Ok(Self { free, blocks: arena.reserve(layout)?, stride, size })
    }

    /// # Safety
    ///
    /// `index` is below the capacity.
    #[inline]
    unsafe fn block(&self, index: usize) -> NonNull<Block> {
        // SAFETY: the region has that many strides, each of them aligned.
        unsafe { self.blocks.start().add(index * self.stride).cast() }
    }

    /// Makes all blocks what free ones are.
    ///
    /// # Safety
    ///
    /// Nobody uses a block.
    unsafe fn write_blocks(&self, kind: Kind, origin: u8, core: NonNull<Core>) {
        for index in 0..self.free.capacity() {
            // SAFETY: the block is the caller's, and large enough for its bytes.
            unsafe {
                let block = self.block(index);
                let base = block.cast::<u8>().add(HEADER);
                let segment = Segment::new(kind, PbufFlags::empty(), origin, block, base.as_ptr(), 0);
                block.write(Block::new(segment, core, base, self.size as u32, index as u32));
            }
        }
    }
}

impl Block {
    fn new(segment: Segment, home: NonNull<Core>, base: NonNull<u8>, capacity: u32, index: u32) -> Self {
        Self { segment, home, base, views: AtomicU32::new(1), capacity, index, heap_size: 0 }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
