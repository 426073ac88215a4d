//! The bytes of a packet: copying in and out, comparing, finding.

use super::Pbuf;
use crate::Error;
use crate::segment::Seg;
use coracle_wire::checksum::{Sum, copy_and_sum};

/// What [`Pbuf::compare`] found: lwIP's result of `pbuf_memcmp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The bytes are equal.
    Equal,
    /// The first byte that differs, counted from the beginning of the compared bytes.
    DiffersAt(usize),
    /// The packet doesn't have that many bytes there.
    OutOfRange,
}

impl Pbuf {
    /// Copies bytes from `offset` on into `into`; returns how many there were: lwIP's `pbuf_copy_partial`.
    pub fn copy_to(&self, offset: usize, into: &mut [u8]) -> usize {
        let wanted = into.len();
        let (mut skip, mut rest) = (offset, into);
        for bytes in self.segments() {
            let Some(bytes) = bytes.get(skip..) else {
                skip -= bytes.len();
                continue;
            };
            skip = 0;
            if bytes.len() >= rest.len() {
                rest.copy_from_slice(&bytes[..rest.len()]);
                return wanted;
            }
            let (place, more) = rest.split_at_mut(bytes.len());
            place.copy_from_slice(bytes);
            rest = more;
        }
        wanted - rest.len()
    }

    /// Copies all bytes of `from` to the beginning of this packet: lwIP's `pbuf_copy`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if this packet is shorter, [`Error::Value`] if bytes that would be written are
    /// constant or somebody else can see them. Nothing is written then.
    pub fn copy_from(&mut self, from: &Self) -> Result<(), Error> {
        self.copy_range_from(from, from.len(), 0)
    }

    /// Copies the first `len` bytes of `from` to `offset` of this packet: lwIP's `pbuf_copy_partial_pbuf`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if either packet doesn't have them, [`Error::Value`] if bytes that would be
    /// written are constant or somebody else can see them. Nothing is written then.
    pub fn copy_range_from(&mut self, from: &Self, len: usize, offset: usize) -> Result<(), Error> {
        if len > from.len() {
            return Err(Error::Argument);
        }
        let mut pieces = from.segments();
        let mut piece: &[u8] = &[];
        self.write(offset, len, |mut bytes| {
            while !bytes.is_empty() {
                while piece.is_empty() {
                    let Some(next) = pieces.next() else { return };
                    piece = next;
                }
                let n = piece.len().min(bytes.len());
                let (now, later) = bytes.split_at_mut(n);
                now.copy_from_slice(&piece[..n]);
                (bytes, piece) = (later, &piece[n..]);
            }
        })
    }

    /// Copies `bytes` to the beginning of the packet: lwIP's `pbuf_take`.
    ///
    /// # Errors
    ///
    /// As for [`take_at`](Self::take_at).
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.take_at(0, bytes)
    }

    /// Copies `bytes` to `offset`: lwIP's `pbuf_take_at`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the packet isn't that long, [`Error::Value`] if bytes that would be written are
    /// constant or somebody else can see them. Nothing is written then.
    pub fn take_at(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut left = bytes;
        self.write(offset, bytes.len(), |into| {
            let (now, later) = left.split_at(into.len());
            into.copy_from_slice(now);
            left = later;
        })
    }

    /// Copies `bytes` to `offset` and sums them up in the same pass: lwIP's `pbuf_fill_chksum`.
    ///
    /// The result is the folded Internet checksum sum of `bytes` as if they started at an even offset, not
    /// complemented: add it to other sums with [`Sum::add_u16`].
    ///
    /// # Errors
    ///
    /// As for [`take_at`](Self::take_at).
    pub fn take_and_checksum(&mut self, offset: usize, bytes: &[u8]) -> Result<u16, Error> {
        let (mut left, mut sum) = (bytes, Sum::new());
        self.write(offset, bytes.len(), |into| {
            let (now, later) = left.split_at(into.len());
            sum = sum.add_sum(copy_and_sum(into, now), bytes.len() - left.len());
            left = later;
        })?;
        Ok(sum.fold())
    }

    /// Hands the `len` bytes from `offset` on to `put`, in pieces.
    fn write(&mut self, offset: usize, len: usize, mut put: impl FnMut(&mut [u8])) -> Result<(), Error> {
        if len > self.len() || offset > self.len() - len {
            return Err(Error::Argument);
        }
        if len == 0 {
            return Ok(());
        }
        if self.touched(offset, len).any(|(segment, writable, _)| !writable || !segment.unviewed()) {
            return Err(Error::Value);
        }
        for (segment, _, range) in self.touched(offset, len) {
            // SAFETY: borrowed mutably, reached through exclusive segments, exclusive and unviewed, as just
            // checked; one segment's bytes at a time.
            let bytes = unsafe { segment.bytes_mut() };
            put(&mut bytes[range]);
        }
        Ok(())
    }

    /// The segments that hold the `len` bytes from `offset` on, each with whether it is reached through
    /// exclusive segments and is exclusive, and with the range of its bytes.
    fn touched(
        &self,
        offset: usize,
        len: usize,
    ) -> impl Iterator<Item = (Seg<'_>, bool, core::ops::Range<usize>)> {
        let (mut skip, mut left, mut exclusive) = (offset, len, true);
        self.chain_segments().filter_map(move |segment| {
            exclusive &= segment.exclusive();
            if left == 0 || skip >= segment.len() {
                skip -= skip.min(segment.len());
                return None;
            }
            let range = skip..segment.len().min(skip + left);
            left -= range.len();
            skip = 0;
            Some((segment, exclusive, range))
        })
    }

    /// The `len` bytes from `offset` on: in place if they are contiguous, else copied to `scratch`: lwIP's
    /// `pbuf_get_contiguous`. `None` if the packet doesn't have them, or `scratch` is too short for the copy.
    pub fn contiguous<'a>(&'a self, offset: usize, len: usize, scratch: &'a mut [u8]) -> Option<&'a [u8]> {
        if len > self.len() || offset > self.len() - len {
            return None;
        }
        let mut skip = offset;
        for bytes in self.segments() {
            if skip <= bytes.len() && len <= bytes.len() - skip {
                return Some(&bytes[skip..skip + len]);
            }
            if skip < bytes.len() {
                break;
            }
            skip -= bytes.len();
        }
        let scratch = scratch.get_mut(..len)?;
        self.copy_to(offset, scratch);
        Some(scratch)
    }

    /// The byte at `offset`, if the packet is that long: lwIP's `pbuf_try_get_at`.
    pub fn get_at(&self, offset: usize) -> Option<u8> {
        let mut skip = offset;
        for bytes in self.segments() {
            match bytes.get(skip) {
                Some(byte) => return Some(*byte),
                None => skip -= bytes.len(),
            }
        }
        None
    }

    /// Sets the byte at `offset`: lwIP's `pbuf_put_at`.
    ///
    /// # Errors
    ///
    /// As for [`take_at`](Self::take_at).
    pub fn put_at(&mut self, offset: usize, byte: u8) -> Result<(), Error> {
        self.take_at(offset, &[byte])
    }

    /// Compares the bytes from `offset` on with `with`: lwIP's `pbuf_memcmp`.
    pub fn compare(&self, offset: usize, with: &[u8]) -> Comparison {
        if with.len() > self.len() || offset > self.len() - with.len() {
            return Comparison::OutOfRange;
        }
        let (mut skip, mut done) = (offset, 0);
        for bytes in self.segments() {
            let Some(bytes) = bytes.get(skip..) else {
                skip -= bytes.len();
                continue;
            };
            skip = 0;
            let left = &with[done..];
            let n = bytes.len().min(left.len());
            if bytes[..n] != left[..n] {
                let same = bytes.iter().zip(left).take_while(|(a, b)| a == b).count();
                return Comparison::DiffersAt(done + same);
            }
            done += n;
        }
        Comparison::Equal
    }

    /// The offset, from `from` on, at which `pattern` is found first: lwIP's `pbuf_memfind`. An empty pattern
    /// is found at `from`, if the packet is that long.
    pub fn find(&self, pattern: &[u8], from: usize) -> Option<usize> {
        let last = self.len().checked_sub(pattern.len())?;
        let Some(first) = pattern.first() else { return (from <= last).then_some(from) };
        let mut start = 0;
        for bytes in self.segments() {
            let skip = from.saturating_sub(start).min(bytes.len());
            for (i, byte) in bytes.iter().enumerate().skip(skip) {
                if byte == first && self.compare(start + i, pattern) == Comparison::Equal {
                    return Some(start + i);
                }
            }
            start += bytes.len();
        }
        None
    }

    /// The number of the segment that holds the byte at `offset`, and its offset in there: lwIP's
    /// `pbuf_skip`. `None` if the packet isn't that long.
    pub fn skip(&self, offset: usize) -> Option<(usize, usize)> {
        let mut skip = offset;
        for (i, bytes) in self.segments().enumerate() {
            if skip < bytes.len() {
                return Some((i, skip));
            }
            skip -= bytes.len();
        }
        None
    }
}
