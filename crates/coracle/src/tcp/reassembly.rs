//! Data that arrived out of order, until what is missing before it comes [RFC 9293 §3.10.7.4], and the SACK blocks that
//! tell the peer of it (RFC 2018).
//!
//! What is held are ranges without a hole, each a queue of the packets as they came. Sequence order links the ranges, and
//! so does the order in which they changed, from which the blocks are read. A range grows at its end and shrinks at its
//! front, and two that meet are joined, in constant time each; what is taken comes out as one chain, in time linear in its
//! length. A linear search is left for data that belongs between ranges.
//!
//! Of bytes that come twice the first stay, as in IPv4 reassembly: nothing that a block has reported is overwritten.
//!
//! How much a peer can make the stack hold is bounded three ways: by the receive window, which the caller has cut the data
//! to; by the size of packets, since tiny ones are copied together, and refused when they are too many even so; and by the
//! pool of ranges, of which a connection gets no more than it leaves free for the others.

use coracle_buf::{Arena, Error, Pbuf, PbufQueue, Table};
use coracle_wire::tcp::SackBlocks;

use super::sequence::Seq;
use crate::table::NONE;

/// Packets up to this length, in bytes, are copied behind the one before them, where that has room.
const TINY: usize = 256;

/// Packets that a connection may hold, however small they are.
const FEW: u32 = 16;

/// Above these, packets must have this many bytes on average.
const AVERAGE: u32 = 256;

/// The ranges of all connections of a stack.
pub(crate) struct HeldPool {
    ranges: Table<Range>,
    first_free: u32,
    free: u32,
}

/// Bytes without a hole, in packets of which none is empty.
struct Range {
    start: Seq,
    packets: PbufQueue,
    /// The next range by sequence numbers, or the next free one.
    next: u32,
    /// The neighbours in the order of changes.
    newer: u32,
    older: u32,
}

impl Range {
    #[inline]
    fn end(&self) -> Seq {
        self.start + self.packets.bytes() as u32
    }
}

impl HeldPool {
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let count = u32::try_from(capacity).map_err(|_| Error::Memory)?;
        let ranges = arena.table(capacity, |index| Range {
            start: Seq(0),
            packets: PbufQueue::new(),
            next: if index as u32 + 1 < count { index as u32 + 1 } else { NONE },
            newer: NONE,
            older: NONE,
        })?;
        Ok(Self { ranges, first_free: if count == 0 { NONE } else { 0 }, free: count })
    }

    #[inline]
    fn get(&self, index: u32) -> Option<&Range> {
        self.ranges.get(index as usize)
    }

    #[inline]
    fn get_mut(&mut self, index: u32) -> Option<&mut Range> {
        self.ranges.get_mut(index as usize)
    }

    /// How many ranges are in use.
    pub(crate) fn used(&self) -> usize {
        self.ranges.len() - self.free as usize
    }

    /// Makes a free range one of these packets.
    fn claim(&mut self, start: Seq, packets: PbufQueue) -> Option<u32> {
        let index = self.first_free;
        let range = self.get_mut(index)?;
        let next = range.next;
        *range = Range { start, packets, next: NONE, newer: NONE, older: NONE };
        self.first_free = next;
        self.free -= 1;
        Some(index)
    }

    /// Frees a range; its packets go back to the memory.
    fn release(&mut self, index: u32) {
        let first_free = self.first_free;
        if let Some(range) = self.get_mut(index) {
            range.packets.clear();
            range.next = first_free;
            self.first_free = index;
            self.free += 1;
        }
    }
}

/// What became of data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inserted {
    /// All of it is held now.
    Stored,
    /// These bytes of it, the first such, were held before: what a D-SACK block says [RFC 2883 §4]. The others, if there
    /// are any, are held now.
    Duplicate {
        /// The first of these bytes.
        start: Seq,
        /// The one after the last.
        end: Seq,
    },
    /// Some of it, or all, is dropped for lack of memory or because the connection holds its share. The peer sends it
    /// again.
    NoMemory,
}

/// No room for a packet, which is dropped.
struct Full;

/// What one connection holds. Cleared before it is dropped, since its ranges are the pool's.
pub(crate) struct Reassembly {
    first: u32,
    last: u32,
    newest: u32,
    ranges: u32,
    packets: u32,
    bytes: u32,
}

impl Reassembly {
    pub(crate) const fn new() -> Self {
        Self { first: NONE, last: NONE, newest: NONE, ranges: 0, packets: 0, bytes: 0 }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Bytes that are held.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Takes data from `seq` on, which the caller has cut to the window: it begins after what is expected next. Parts that
    /// are held are left out.
    pub(crate) fn insert(&mut self, pool: &mut HeldPool, seq: Seq, data: Pbuf) -> Inserted {
        let end = seq + data.len() as u32;
        let mut before = self.range_before(pool, seq);
        let mut duplicate = None;
        let (mut at, mut rest) = (seq, data);
        while at != end {
            let covered = pool.get(before).map_or(at, |range| range.end().min(end));
            if covered.after(at) {
                duplicate = duplicate.or(Some((at, covered)));
                self.touch(pool, before);
                if covered == end {
                    break;
                }
                if rest.advance(covered.since(at) as usize).is_err() {
                    return Inserted::NoMemory;
                }
                at = covered;
            }
            let next = pool.get(before).map_or(self.first, |range| range.next);
            let gap_end = pool.get(next).map_or(end, |range| range.start.min(end));
            let behind = if gap_end == end {
                None
            } else {
                match rest.split_off(gap_end.since(at) as usize) {
                    Ok(behind) => Some(behind),
                    Err(_) => return Inserted::NoMemory,
                }
            };
            match self.fill(pool, before, at, rest) {
                Ok(range) => before = range,
                Err(Full) => return Inserted::NoMemory,
            }
            let Some(behind) = behind else { break };
            (at, rest) = (gap_end, behind);
        }
        duplicate.map_or(Inserted::Stored, |(start, end)| Inserted::Duplicate { start, end })
    }

    /// What goes on at `next`, up to the next hole, if it arrived. What lies before `next` is dropped.
    ///
    /// Packets that somebody else sees too may come one by one for lack of memory, so it is to be asked for until there is
    /// none. Where a packet has to be cut for it and cannot be, it is dropped, and the peer sends it again.
    pub(crate) fn take(&mut self, pool: &mut HeldPool, next: Seq) -> Option<Pbuf> {
        while pool.get(self.first)?.start.before(next) {
            self.skip_front(pool, next);
        }
        let range = pool.get_mut(self.first)?;
        if range.start != next {
            return None;
        }
        let packets = range.packets.len();
        let data = range.packets.pop_joined()?;
        let len = data.len() as u32;
        range.start += len;
        self.packets -= (packets - range.packets.len()) as u32;
        self.bytes -= len;
        self.free_if_empty(pool);
        Some(data)
    }

    /// Drops what the first packet has before `next`; all of it, where it cannot be cut.
    #[cold]
    fn skip_front(&mut self, pool: &mut HeldPool, next: Seq) {
        let Some(range) = pool.get_mut(self.first) else { return };
        let Some(mut packet) = range.packets.pop_front() else { return };
        let len = packet.len() as u32;
        let skip = next.since(range.start).min(len);
        let is_cut =
            skip < len && packet.advance(skip as usize).is_ok() && range.packets.push_front(packet).is_ok();
        let gone = if is_cut { skip } else { len };
        range.start += gone;
        self.bytes -= gone;
        self.packets -= u32::from(!is_cut);
        self.free_if_empty(pool);
    }

    /// The ranges that are held, those that changed last first, and as many as `limit` and [`SackBlocks::MOST`] allow
    /// [2018-2] [2018-3] [2018-4].
    pub(crate) fn sack_blocks(&self, pool: &HeldPool, limit: usize) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        let mut index = self.newest;
        while blocks.len() < limit.min(SackBlocks::MOST)
            && let Some(range) = pool.get(index)
        {
            blocks.push(range.start.0, range.end().0);
            index = range.older;
        }
        blocks
    }

    /// Drops everything: the connection is over, or memory is needed elsewhere, as RFC 2018 §8 allows.
    pub(crate) fn clear(&mut self, pool: &mut HeldPool) {
        while let Some(range) = pool.get(self.first) {
            let next = range.next;
            pool.release(self.first);
            self.first = next;
        }
        *self = Self::new();
    }

    /// The last range that begins at or before `seq`, or none.
    fn range_before(&self, pool: &HeldPool, seq: Seq) -> u32 {
        // New data goes behind everything, or on where the data before it went.
        for guess in [self.last, self.newest] {
            if let Some(range) = pool.get(guess)
                && range.start.at_or_before(seq)
                && pool.get(range.next).is_none_or(|next| next.start.after(seq))
            {
                return guess;
            }
        }
        let (mut before, mut index) = (NONE, self.first);
        while let Some(range) = pool.get(index)
            && range.start.at_or_before(seq)
        {
            (before, index) = (index, range.next);
        }
        before
    }

    /// Puts data into the gap behind the range `before`; returns the range that it is part of then.
    fn fill(&mut self, pool: &mut HeldPool, before: u32, at: Seq, data: Pbuf) -> Result<u32, Full> {
        let end = at + data.len() as u32;
        let next = pool.get(before).map_or(self.first, |range| range.next);
        let joins_next = pool.get(next).is_some_and(|range| range.start == end);
        let index = match pool.get_mut(before) {
            Some(range) if range.end() == at => {
                self.append(range, data)?;
                if joins_next {
                    self.join(pool, before, next);
                }
                before
            }
            _ if joins_next => {
                self.prepend(pool, next, at, data)?;
                next
            }
            _ => self.begin(pool, before, at, data)?,
        };
        self.bytes += end.since(at);
        self.touch(pool, index);
        Ok(index)
    }

    /// Puts data behind a range.
    #[inline]
    fn append(&mut self, range: &mut Range, data: Pbuf) -> Result<(), Full> {
        let is_tiny = data.len() <= TINY && data.payload().len() == data.len();
        if is_tiny && range.packets.extend_back(data.payload()).is_ok() {
            return Ok(());
        }
        self.admit()?;
        range.packets.push_back(data).map_err(|_| Full)?;
        self.packets += 1;
        Ok(())
    }

    /// Puts data before a range.
    fn prepend(&mut self, pool: &mut HeldPool, index: u32, at: Seq, data: Pbuf) -> Result<(), Full> {
        self.admit()?;
        let range = pool.get_mut(index).ok_or(Full)?;
        range.packets.push_front(data).map_err(|_| Full)?;
        range.start = at;
        self.packets += 1;
        Ok(())
    }

    /// Begins a range behind `before`.
    fn begin(&mut self, pool: &mut HeldPool, before: u32, at: Seq, data: Pbuf) -> Result<u32, Full> {
        self.admit()?;
        if self.ranges >= pool.free {
            return Err(Full);
        }
        let mut packets = PbufQueue::new();
        packets.push_back(data).map_err(|_| Full)?;
        let index = pool.claim(at, packets).ok_or(Full)?;
        let next = match pool.get_mut(before) {
            Some(range) => core::mem::replace(&mut range.next, index),
            None => core::mem::replace(&mut self.first, index),
        };
        if let Some(range) = pool.get_mut(index) {
            range.next = next;
        }
        if next == NONE {
            self.last = index;
        }
        self.link_newest(pool, index);
        self.ranges += 1;
        self.packets += 1;
        Ok(index)
    }

    /// Whether a connection with so many packets may hold a further one.
    #[inline]
    fn admit(&self) -> Result<(), Full> {
        if self.packets < FEW + self.bytes / AVERAGE { Ok(()) } else { Err(Full) }
    }

    /// Moves the packets of the range behind `index` over to that one.
    fn join(&mut self, pool: &mut HeldPool, index: u32, next: u32) {
        self.unlink(pool, next);
        let Some(joined) = pool.get_mut(next) else { return };
        let (mut packets, behind) = (core::mem::take(&mut joined.packets), joined.next);
        pool.release(next);
        self.ranges -= 1;
        if let Some(range) = pool.get_mut(index) {
            range.packets.append(&mut packets);
            range.next = behind;
        }
        if self.last == next {
            self.last = index;
        }
    }

    /// Frees the first range if all of it was taken.
    fn free_if_empty(&mut self, pool: &mut HeldPool) {
        let index = self.first;
        if pool.get(index).is_none_or(|range| !range.packets.is_empty()) {
            return;
        }
        self.unlink(pool, index);
        self.first = pool.get(index).map_or(NONE, |range| range.next);
        if self.first == NONE {
            self.last = NONE;
        }
        pool.release(index);
        self.ranges -= 1;
    }

    /// Makes a range the one that changed last.
    #[inline]
    fn touch(&mut self, pool: &mut HeldPool, index: u32) {
        if self.newest != index {
            self.unlink(pool, index);
            self.link_newest(pool, index);
        }
    }

    fn link_newest(&mut self, pool: &mut HeldPool, index: u32) {
        if let Some(range) = pool.get_mut(self.newest) {
            range.newer = index;
        }
        if let Some(range) = pool.get_mut(index) {
            (range.newer, range.older) = (NONE, self.newest);
        }
        self.newest = index;
    }

    /// Takes a range out of the order of changes.
    fn unlink(&mut self, pool: &mut HeldPool, index: u32) {
        let Some(&Range { newer, older, .. }) = pool.get(index) else { return };
        match pool.get_mut(newer) {
            Some(range) => range.older = older,
            None => self.newest = older,
        }
        if let Some(range) = pool.get_mut(older) {
            range.newer = newer;
        }
    }
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
