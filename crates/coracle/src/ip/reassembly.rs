//! Fragments on their way to be a datagram again, of both families [RFC 791 §3.2] [RFC 8200 §4.5].
//!
//! Fragments are kept as they came, in order, and joined without a copy when the last one is there. What a peer can make
//! the stack hold is bounded: by the number of datagrams under way and of fragments in all, of which one source has at
//! most three quarters; by the number of fragments of one datagram; and by time. When there is no room the oldest gives
//! way, that of a source which has its share before others.
//!
//! A fragment that overlaps another without being the same piece again is no mistake of a network. The datagram is
//! dropped, for IPv4 too, where other rules (first or last wins) are what makes firewalls and hosts see different
//! datagrams [RFC 1858] [RFC 3128] [5722/3128] [5722-1].

use core::time::Duration;

use coracle_buf::{Arena, Error, Pbuf, PbufQueue, Table};

use crate::address::Address;
use crate::random::HashKey;
use crate::table::{Index, Key, NONE, Slots};
use crate::time::Instant;

/// How long the rest of a datagram is waited for [1122-IP-8] [8200-7].
pub(crate) const LIFETIME: Duration = Duration::from_mins(1);

/// Fragments of one datagram: those of 65,535 bytes over links that take 576 and more. Each is looked for among the
/// others, so they are not to be many.
const MOST_PIECES: u16 = 128;

/// The longest packet, but for the fixed header of IPv6, in bytes.
const MOST_BYTES: u32 = u16::MAX as u32;

/// ECN code points [RFC 3168 §5]: not capable, and congestion experienced.
const NOT_ECT: u8 = 0;
const CE: u8 = 3;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatagramId {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) identification: u32,
    /// Zero for IPv6, whose fragments need not agree on what follows [RFC 8200 §4.5].
    pub(crate) protocol: u8,
    /// The interface's slot.
    pub(crate) netif: u8,
}

impl DatagramId {
    fn hash(&self, key: &HashKey) -> u32 {
        let rest =
            u64::from(self.identification) << 16 | u64::from(self.protocol) << 8 | u64::from(self.netif);
        key.hash(key.fold(self.source.word(key), self.destination.word(key)), rest)
    }

    fn source_hash(&self, key: &HashKey) -> u32 {
        key.hash(self.source.word(key), u64::from(self.netif))
    }
}

/// Where a fragment belongs.
#[derive(Clone, Copy)]
pub(crate) struct Fragment {
    /// Bytes of the packet in front of its data, all in its first segment.
    pub(crate) header_len: u16,
    /// How many of these do not count towards the longest packet: the fixed header of IPv6 and the fragment header.
    pub(crate) uncounted: u16,
    /// Where in the datagram its data begins, in bytes: a multiple of 8.
    pub(crate) start: u16,
    /// More of the datagram follows.
    pub(crate) more: bool,
    /// Its ECN code point.
    pub(crate) ecn: u8,
}

/// Why something is no fragment of any datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unfit {
    /// Its data is not a multiple of eight bytes although more follows [8200-8], or there is none.
    Length,
    /// The datagram would be longer than a packet may be [8200-9].
    TooLong,
}

impl Fragment {
    /// Looks at the bounds of a fragment in a packet of so many bytes.
    pub(crate) fn check(self, packet_len: usize) -> Result<(), Unfit> {
        let len = packet_len.saturating_sub(usize::from(self.header_len));
        if len == 0 || (self.more && !len.is_multiple_of(8)) {
            return Err(Unfit::Length);
        }
        if usize::from(self.counted()) + usize::from(self.start) + len > MOST_BYTES as usize {
            return Err(Unfit::TooLong);
        }
        Ok(())
    }

    fn counted(self) -> u16 {
        self.header_len.saturating_sub(self.uncounted)
    }
}

/// What became of a fragment.
pub(crate) enum Inserted {
    /// It waits for the others, or was there before.
    Held,
    /// It was the last one missing.
    Whole(Whole),
    /// It is dropped, and with it all of its datagram.
    Dropped(Dropped),
}

/// All of a datagram.
pub(crate) struct Whole {
    /// The packet of the first fragment with all other data behind its own. Its headers still say that it is a
    /// fragment.
    pub(crate) packet: Pbuf,
    /// A router marked a fragment of it [RFC 3168 §5.3].
    pub(crate) congested: bool,
}

/// Why a datagram is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dropped {
    /// Fragments overlap, contradict each other, or are more than there can be.
    Hostile,
    /// No room.
    Memory,
}

struct Piece {
    data: Option<Pbuf>,
    start: u16,
    /// The byte after its last one, up to 65,535.
    end: u16,
    /// The next piece of the datagram, or the next free one.
    next: u32,
}

struct Datagram {
    id: DatagramId,
    hash: u32,
    /// Which share its source's is.
    share: u32,
    deadline: Instant,
    first: u32,
    last: u32,
    pieces: u16,
    /// One bit for each ECN code point that was seen.
    ecn: u8,
    /// It is dropped, and so is whatever comes of it.
    dead: bool,
    received: u32,
    /// Bytes of the first fragment's headers that count towards the longest packet.
    headers: u16,
    /// Its length, once its last fragment is there.
    len: Option<u16>,
    older: u32,
    newer: u32,
}

/// What the sources have that share a hash.
#[derive(Clone, Copy)]
struct Share {
    datagrams: u32,
    pieces: u32,
}

/// All datagrams of which fragments are missing.
pub(crate) struct Reassembly {
    datagrams: Slots<Datagram>,
    index: Index,
    pieces: Table<Piece>,
    free_piece: u32,
    shares: Table<Share>,
    oldest: u32,
    newest: u32,
}

/// A datagram whose time is over.
pub(crate) struct Expired {
    /// The interface's slot.
    pub(crate) netif: u8,
    /// Its first fragment, from the IP header on, if that one came.
    pub(crate) first: Option<Pbuf>,
}

impl Reassembly {
    pub(crate) fn new(arena: &mut Arena, datagrams: usize, fragments: usize) -> Result<Self, Error> {
        let count = u32::try_from(fragments).map_err(|_| Error::Memory)?;
        let shares = datagrams.max(1).checked_next_power_of_two().and_then(|count| count.checked_mul(2));
        let link = |index: usize| if index as u32 + 1 < count { index as u32 + 1 } else { NONE };
        Ok(Self {
            datagrams: Slots::new(arena, datagrams)?,
            index: Index::new(arena, datagrams)?,
            pieces: arena.table(fragments, |at| Piece { data: None, start: 0, end: 0, next: link(at) })?,
            free_piece: if count == 0 { NONE } else { 0 },
            shares: arena.table(shares.ok_or(Error::Memory)?, |_| Share { datagrams: 0, pieces: 0 })?,
            oldest: NONE,
            newest: NONE,
        })
    }

    /// Takes a fragment that passed [`Fragment::check`]; `packet` ends with its data. When buffers are `scarce`, the
    /// oldest datagram gives way for each fragment.
    pub(crate) fn insert(
        &mut self,
        key: &HashKey,
        now: Instant,
        id: DatagramId,
        fragment: Fragment,
        packet: Pbuf,
        scarce: bool,
    ) -> Inserted {
        let hash = id.hash(key);
        let position = match self.find(hash, &id) {
            Some(position) => position,
            None => match self.begin(key, now, id, hash) {
                Some(position) => position,
                None => return Inserted::Dropped(Dropped::Memory),
            },
        };
        let inserted = self.insert_into(position, fragment, packet, scarce);
        match inserted {
            Inserted::Held => {}
            // What is still to come of it goes the same way [5722-1]. Identifications of IPv4 are used again too soon for
            // that.
            Inserted::Dropped(Dropped::Hostile) if !id.source.is_v4() => self.kill(position),
            Inserted::Whole(_) | Inserted::Dropped(_) => drop(self.remove(position)),
        }
        inserted
    }

    /// When the oldest datagram is given up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.datagrams.at(self.oldest as usize).map(|datagram| datagram.deadline)
    }

    /// The oldest datagram, if its time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Expired> {
        if self.next_deadline()? > now {
            return None;
        }
        let position = self.oldest;
        let datagram = self.datagrams.at(position as usize)?;
        let (netif, first) = (datagram.id.netif, datagram.first);
        let first = self.pieces.get_mut(first as usize).filter(|piece| piece.start == 0);
        let first = first.and_then(|piece| piece.data.take());
        self.remove(position);
        Some(Expired { netif, first })
    }

    /// Drops what came in on an interface.
    pub(crate) fn forget(&mut self, netif: usize) {
        let mut at = self.oldest;
        while let Some(datagram) = self.datagrams.at(at as usize) {
            let newer = datagram.newer;
            if usize::from(datagram.id.netif) == netif {
                self.remove(at);
            }
            at = newer;
        }
    }

    fn find(&self, hash: u32, id: &DatagramId) -> Option<u32> {
        let mut at = self.index.first(hash);
        while at != NONE {
            if self.datagrams.at(at as usize).is_some_and(|datagram| datagram.id == *id) {
                return Some(at);
            }
            at = self.index.next(at);
        }
        None
    }

    /// Begins a datagram; in a full table another gives way.
    fn begin(&mut self, key: &HashKey, now: Instant, id: DatagramId, hash: u32) -> Option<u32> {
        let share = id.source_hash(key) & (self.shares.len() as u32 - 1);
        if self.shares[share as usize].datagrams >= part(self.datagrams.capacity()) {
            self.remove_oldest_but(NONE, Some(share))?;
        } else if self.datagrams.used() == self.datagrams.capacity() {
            self.remove(self.oldest)?;
        }
        let older = self.newest;
        let datagram = Datagram {
            id,
            hash,
            share,
            deadline: now + LIFETIME,
            first: NONE,
            last: NONE,
            pieces: 0,
            ecn: 0,
            dead: false,
            received: 0,
            headers: 0,
            len: None,
            older,
            newer: NONE,
        };
        let position = self.datagrams.insert(datagram).ok()?.index;
        match self.datagrams.at_mut(older as usize) {
            Some(older) => older.newer = position,
            None => self.oldest = position,
        }
        self.newest = position;
        self.index.insert(hash, position);
        self.shares[share as usize].datagrams += 1;
        Some(position)
    }

    fn insert_into(&mut self, position: u32, fragment: Fragment, packet: Pbuf, scarce: bool) -> Inserted {
        let Some(datagram) = self.datagrams.at(position as usize) else {
            return Inserted::Dropped(Dropped::Memory);
        };
        if datagram.dead {
            return Inserted::Dropped(Dropped::Hostile);
        }
        let len = packet.len() - usize::from(fragment.header_len);
        let (start, end) = (fragment.start, fragment.start + len as u16);
        let after = match self.place(datagram, start, end, fragment.more) {
            Place::Behind(after) => after,
            Place::Same => return Inserted::Held,
            Place::Wrong => return Inserted::Dropped(Dropped::Hostile),
        };
        let Some(index) = self.make_room(position, scarce) else {
            return Inserted::Dropped(Dropped::Memory);
        };
        let mut data = packet;
        // The first one keeps its headers, which are those of the whole.
        if start > 0 && data.advance(fragment.header_len.into()).is_err() {
            return Inserted::Dropped(Dropped::Memory);
        }
        self.link(position, index, after, Piece { data: Some(data), start, end, next: NONE });
        let Some(datagram) = self.datagrams.at_mut(position as usize) else {
            return Inserted::Dropped(Dropped::Memory);
        };
        datagram.ecn |= 1 << (fragment.ecn & 3);
        datagram.received += len as u32;
        if start == 0 {
            datagram.headers = fragment.counted();
        }
        if !fragment.more {
            datagram.len = Some(end);
        }
        if datagram.len.is_some_and(|len| u32::from(len) == datagram.received) {
            self.join(position)
        } else {
            Inserted::Held
        }
    }

    /// Where a piece goes among the others of its datagram.
    fn place(&self, datagram: &Datagram, start: u16, end: u16, more: bool) -> Place {
        let beyond = match datagram.len {
            // A second end, or something behind the end.
            Some(len) => end > len || (!more && end != len),
            None => !more && self.pieces.get(datagram.last as usize).is_some_and(|last| last.end > end),
        };
        if beyond || datagram.pieces >= MOST_PIECES {
            return Place::Wrong;
        }
        // Nearly always they come in order.
        let mut after = NONE;
        let mut at = datagram.first;
        if let Some(last) = self.pieces.get(datagram.last as usize)
            && last.end <= start
        {
            return Place::Behind(datagram.last);
        }
        while let Some(piece) = self.pieces.get(at as usize) {
            if piece.start >= end {
                break;
            }
            if piece.end > start {
                let same = piece.start == start && piece.end == end;
                return if same { Place::Same } else { Place::Wrong };
            }
            (after, at) = (at, piece.next);
        }
        Place::Behind(after)
    }

    /// A free piece for a datagram, for which others may have to give way.
    fn make_room(&mut self, position: u32, scarce: bool) -> Option<u32> {
        let share = self.datagrams.at(position as usize)?.share;
        while self.shares[share as usize].pieces >= part(self.pieces.len()) {
            self.remove_oldest_but(position, Some(share))?;
        }
        if scarce {
            self.remove_oldest_but(position, None)?;
        }
        while self.free_piece == NONE {
            self.remove_oldest_but(position, None)?;
        }
        Some(self.free_piece)
    }

    /// Drops the oldest datagram but one, of one share if that is given. None when there is no other.
    #[cold]
    fn remove_oldest_but(&mut self, position: u32, share: Option<u32>) -> Option<()> {
        let mut at = self.oldest;
        while let Some(datagram) = self.datagrams.at(at as usize) {
            if at != position && share.is_none_or(|share| share == datagram.share) {
                return self.remove(at);
            }
            at = datagram.newer;
        }
        None
    }

    /// Puts a piece into a free slot, and behind another of its datagram.
    fn link(&mut self, position: u32, index: u32, after: u32, piece: Piece) {
        let Some(datagram) = self.datagrams.at_mut(position as usize) else { return };
        let Some(slot) = self.pieces.get_mut(index as usize) else { return };
        self.free_piece = slot.next;
        *slot = piece;
        let next = match self.pieces.get_mut(after as usize) {
            Some(before) => core::mem::replace(&mut before.next, index),
            None => core::mem::replace(&mut datagram.first, index),
        };
        if let Some(slot) = self.pieces.get_mut(index as usize) {
            slot.next = next;
        }
        if next == NONE {
            datagram.last = index;
        }
        datagram.pieces += 1;
        self.shares[datagram.share as usize].pieces += 1;
    }

    /// Makes one packet of all pieces, which leave no hole.
    fn join(&mut self, position: u32) -> Inserted {
        let Some(datagram) = self.datagrams.at(position as usize) else {
            return Inserted::Dropped(Dropped::Memory);
        };
        // The first may have longer headers than those before whose bounds were looked at. And only a sender that takes
        // part can have been marked [RFC 3168 §5.3].
        let congested = datagram.ecn & (1 << CE) != 0;
        let too_long = datagram.received + u32::from(datagram.headers) > MOST_BYTES;
        if too_long || (congested && datagram.ecn & (1 << NOT_ECT) != 0) {
            return Inserted::Dropped(Dropped::Hostile);
        }
        let mut pieces = PbufQueue::new();
        let mut at = datagram.first;
        while let Some(piece) = self.pieces.get_mut(at as usize) {
            if let Some(data) = piece.data.take()
                && pieces.push_back(data).is_err()
            {
                return Inserted::Dropped(Dropped::Memory);
            }
            at = piece.next;
        }
        match pieces.pop_joined() {
            Some(packet) if pieces.is_empty() => Inserted::Whole(Whole { packet, congested }),
            _ => Inserted::Dropped(Dropped::Memory),
        }
    }

    /// Drops what there is of a datagram, and remembers to drop the rest.
    fn kill(&mut self, position: u32) {
        self.free_pieces(position);
        if let Some(datagram) = self.datagrams.at_mut(position as usize) {
            datagram.dead = true;
        }
    }

    fn remove(&mut self, position: u32) -> Option<()> {
        self.free_pieces(position);
        let key: Key = self.datagrams.key_at(position as usize)?;
        let datagram = self.datagrams.remove(key)?;
        self.index.remove(datagram.hash, position);
        self.shares[datagram.share as usize].datagrams -= 1;
        match self.datagrams.at_mut(datagram.older as usize) {
            Some(older) => older.newer = datagram.newer,
            None => self.oldest = datagram.newer,
        }
        match self.datagrams.at_mut(datagram.newer as usize) {
            Some(newer) => newer.older = datagram.older,
            None => self.newest = datagram.older,
        }
        Some(())
    }

    fn free_pieces(&mut self, position: u32) {
        let Some(datagram) = self.datagrams.at_mut(position as usize) else { return };
        let mut at = core::mem::replace(&mut datagram.first, NONE);
        datagram.last = NONE;
        self.shares[datagram.share as usize].pieces -= u32::from(core::mem::take(&mut datagram.pieces));
        while let Some(piece) = self.pieces.get_mut(at as usize) {
            piece.data = None;
            let next = core::mem::replace(&mut piece.next, self.free_piece);
            self.free_piece = at;
            at = next;
        }
    }
}

enum Place {
    /// Behind this piece, or in front of all.
    Behind(u32),
    /// It is there already.
    Same,
    /// It cannot be a piece of this datagram.
    Wrong,
}

/// How much of a table one source may have: three quarters, and one at least.
fn part(capacity: usize) -> u32 {
    ((capacity - capacity / 4).max(1)) as u32
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
