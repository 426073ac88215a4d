//! Packet buffers: lwIP's pbuf.

mod chain;
mod data;
mod header;

use core::fmt;
use core::ptr::NonNull;

use crate::segment::{Seg, Segment, drop_handle};
use crate::sync::Ordering;
use crate::{Error, Kind, Memory, PbufFlags};

pub use chain::Pieces;
pub use data::Comparison;

/// A packet: a chain of segments, each a view of counted bytes.
///
/// `clone` counts instead of copying, [`slice`](Self::slice) and [`split_off`](Self::split_off) share bytes.
/// Every `Pbuf` behaves as a value of its own: a method that changes lengths or links of segments that are
/// shared gives this `Pbuf` fresh ones first (of the references pool, hence [`Error::Memory`]), so that other
/// owners don't see the change. Bytes can be written only while nobody else can see them
/// ([`is_writable`](Self::is_writable)).
///
/// One pointer in size, as is `Option<Pbuf>`; may be sent to and dropped on any thread.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// # use coracle_buf::{Arena, Kind, Layer, Memory, MemoryLimits};
/// # let memory = Memory::new(&mut Arena::heap(), MemoryLimits::SMALL)?;
/// let mut packet = memory.alloc(Layer::Transport, 4, Kind::Pool)?;
/// packet.take(b"data")?;
/// packet.add_header(2)?.copy_from_slice(b"H:");
///
/// let kept = packet.clone(); // for a retransmission; no byte is copied
/// packet.remove_header(2)?;
/// assert_eq!(packet, b"data");
/// assert_eq!(kept, b"H:data");
/// # }
/// # Ok::<(), coracle_buf::Error>(())
/// ```
#[repr(transparent)]
pub struct Pbuf(NonNull<Segment>);

// SAFETY: counts, flags and pools are atomic; every other field and all bytes are written only by a holder of
// `&mut Pbuf` whose handle is the only one, and memory outside was promised to be usable on any thread.
unsafe impl Send for Pbuf {}
// SAFETY: as above; through `&Pbuf` nothing but atomics is written.
unsafe impl Sync for Pbuf {}

impl Pbuf {
    /// The first segment.
    #[inline]
    pub(crate) fn head(&self) -> Seg<'_> {
        // SAFETY: this handle keeps the segment alive while it is borrowed; what is written meanwhile is
        // written by methods of `Seg`, whose callers borrow mutably.
        unsafe { Seg::new(self.0) }
    }

    pub(crate) fn chain_segments(&self) -> impl Iterator<Item = Seg<'_>> + Clone {
        core::iter::successors(Some(self.head()), |segment| segment.next())
    }

    /// The pointer to the last segment, without a handle.
    pub(crate) fn last_segment(&self) -> NonNull<Segment> {
        self.chain_segments().last().map_or(self.0, Seg::as_ptr)
    }

    /// The pointer to the first segment, without a handle.
    #[inline]
    pub(crate) fn as_raw(&self) -> NonNull<Segment> {
        self.0
    }

    /// Bytes in all segments: lwIP's `tot_len`.
    #[inline]
    pub fn len(&self) -> usize {
        self.head().total()
    }

    /// Whether there is no byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of segments: lwIP's `pbuf_clen`.
    pub fn segment_count(&self) -> usize {
        self.chain_segments().count()
    }

    /// The bytes, segment by segment.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        Segments { next: Some(self.head()) }
    }

    /// Where the bytes of the first segment lie. A slice has the kind of what it is a slice of.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.head().kind()
    }

    /// Bytes of storage in front of the first segment: what [`add_header`](Self::add_header) could expose.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.head().headroom()
    }

    /// Bytes of storage behind the first segment.
    #[inline]
    pub fn tailroom(&self) -> usize {
        self.head().tailroom()
    }

    /// Whether this is the only handle to each of its segments, so that lengths and links change without new
    /// segments.
    pub fn is_exclusive(&self) -> bool {
        self.chain_segments().all(Seg::exclusive)
    }

    /// Whether all bytes may be written: nobody else can see them, and they aren't constant.
    pub fn is_writable(&self) -> bool {
        self.chain_segments().all(|segment| segment.exclusive() && segment.unviewed())
    }

    /// Whether some bytes may change behind this buffer's back, so that it must be copied before it is
    /// queued: lwIP's `PBUF_NEEDS_COPY`.
    pub fn needs_copy(&self) -> bool {
        self.chain_segments().any(|segment| segment.kind() == Kind::Ref)
    }

    /// What is known about the packet.
    #[inline]
    pub fn flags(&self) -> PbufFlags {
        PbufFlags::from_bits(self.head().flags().load(Ordering::Relaxed))
    }

    /// Sets the flags, for all owners of the first segment. [`PbufFlags::CUSTOM`] stays as it is.
    #[inline]
    pub fn set_flags(&mut self, mut flags: PbufFlags) {
        let fixed = self.flags().contains(PbufFlags::CUSTOM);
        flags.remove(PbufFlags::CUSTOM);
        if fixed {
            flags.insert(PbufFlags::CUSTOM);
        }
        self.head().flags().store(flags.bits(), Ordering::Relaxed);
    }

    /// The index of the interface that received the packet; 0 for none: lwIP's `if_idx`.
    #[inline]
    pub fn netif_index(&self) -> u8 {
        self.head().if_idx().load(Ordering::Relaxed)
    }

    /// Sets the interface, for all owners of the first segment.
    #[inline]
    pub fn set_netif_index(&mut self, index: u8) {
        self.head().if_idx().store(index, Ordering::Relaxed);
    }

    /// The bytes of the first segment.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.head().bytes()
    }

    /// The bytes of the first segment, for writing.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if somebody else can see them, or they are constant.
    #[inline]
    pub fn payload_mut(&mut self) -> Result<&mut [u8], Error> {
        let head = self.head();
        if !head.exclusive() || !head.unviewed() {
            return Err(Error::Value);
        }
        // SAFETY: borrowed mutably and just checked.
        Ok(unsafe { head.bytes_mut() })
    }

    /// The memory that the first segment came from.
    pub fn memory(&self) -> Memory {
        // SAFETY: the segment is a user of its home.
        unsafe { Memory::of(self.head().home()) }
    }

    /// The handle as a pointer for C. It is one count of `Segment::refs`; take it back with
    /// [`from_raw`](Self::from_raw).
    #[inline]
    pub fn into_raw(self) -> NonNull<Segment> {
        core::mem::ManuallyDrop::new(self).0
    }

    /// Takes a handle back.
    ///
    /// # Safety
    ///
    /// `segment` came from [`into_raw`](Self::into_raw) (or is a count that C code added to `refs`), and that
    /// handle isn't used otherwise.
    #[inline]
    pub unsafe fn from_raw(segment: NonNull<Segment>) -> Self {
        Self(segment)
    }

    /// Gives the packet `from`'s flags and interface.
    pub(crate) fn inherit(&mut self, from: &Self) {
        self.set_flags(from.flags());
        self.set_netif_index(from.netif_index());
    }
}

impl Clone for Pbuf {
    /// A further handle to the same segments: lwIP's `pbuf_ref`. Never fails: beyond 65,534 handles of one
    /// segment it isn't counted any more, and never freed.
    #[inline]
    fn clone(&self) -> Self {
        self.head().share()
    }
}

impl Drop for Pbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle is this `Pbuf`'s, which isn't used after this.
        unsafe { drop_handle(self.0) }
    }
}

impl fmt::Debug for Pbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Lengths<'a>(&'a Pbuf);
        impl fmt::Debug for Lengths<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.segments().map(<[u8]>::len)).finish()
            }
        }
        f.debug_struct("Pbuf")
            .field("len", &self.len())
            .field("kind", &self.kind())
            .field("flags", &self.flags())
            .field("segments", &Lengths(self))
            .finish_non_exhaustive()
    }
}

impl PartialEq<[u8]> for Pbuf {
    /// Whether the packet's bytes are these.
    fn eq(&self, other: &[u8]) -> bool {
        self.len() == other.len() && self.compare(0, other) == Comparison::Equal
    }
}

impl PartialEq<&[u8]> for Pbuf {
    fn eq(&self, other: &&[u8]) -> bool {
        *self == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Pbuf {
    fn eq(&self, other: &[u8; N]) -> bool {
        *self == other[..]
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Pbuf {
    fn eq(&self, other: &&[u8; N]) -> bool {
        *self == other[..]
    }
}

/// The bytes of a [`Pbuf`], segment by segment; some may be empty.
#[derive(Clone)]
pub struct Segments<'a> {
    next: Option<Seg<'a>>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        self.next = segment.next();
        Some(segment.bytes())
    }
}

impl core::iter::FusedIterator for Segments<'_> {}

impl fmt::Debug for Segments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(<[u8]>::len)).finish()
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
