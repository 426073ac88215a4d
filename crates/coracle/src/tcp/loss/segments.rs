//! The pool of records of what is in flight, one for all connections, and the lists that a connection makes of them.

use coracle_buf::{Arena, Error, Pbuf, Table};

use super::{NewSegment, later};
use crate::table::NONE;
use crate::tcp::sequence::Seq;

/// What a record carries, and what became of it. The lower bits are those of a TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct RecordFlags(u8);

impl RecordFlags {
    pub(crate) const FIN: Self = Self(0x01);
    pub(crate) const SYN: Self = Self(0x02);
    pub(crate) const PUSH: Self = Self(0x08);
    /// The receiver says that it has it, though not all before it [RFC 2018].
    pub(crate) const SACKED: Self = Self(0x40);
    /// Taken for lost, and waiting to be sent again.
    pub(crate) const LOST: Self = Self(0x80);

    #[inline]
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The neighbours in a list.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) next: u32,
    pub(super) previous: u32,
}

const ALONE: Link = Link { next: NONE, previous: NONE };

/// Which of a record's two links a list is made of.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// All records, in the order of their sequence numbers.
    Sequence = 0,
    /// Records in flight in the order of their last transmission, or lost ones in the order in which they go out again.
    /// In a record that was selectively acknowledged the link tells how far the run reaches that it is in.
    Turn = 1,
}

/// A piece of the stream that was sent and not acknowledged: what one segment carried, or a few of them.
pub(crate) struct Record {
    /// The bytes; none if there is only a SYN or a FIN.
    pub(crate) data: Option<Pbuf>,
    /// The first sequence number.
    pub(crate) seq: Seq,
    /// How many sequence numbers; SYN and FIN count.
    pub(crate) len: u32,
    /// When it was sent last, in microseconds.
    pub(super) sent_at: u32,
    pub(super) links: [Link; 2],
    pub(crate) flags: RecordFlags,
    /// How often it was sent.
    pub(crate) transmissions: u8,
}

#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Record>() <= 48);

impl Record {
    /// The sequence number after its last.
    #[inline]
    pub(crate) fn end(&self) -> Seq {
        self.seq + self.len
    }

    #[inline]
    pub(super) fn is(&self, flags: RecordFlags) -> bool {
        self.flags.intersects(flags)
    }

    #[inline]
    pub(super) fn link(&self, by: By) -> Link {
        self.links[by as usize]
    }
}

/// Records for all connections. A connection's are in circular lists, so that one number, its first, finds both ends.
pub(crate) struct Segments {
    records: Table<Record>,
    first_free: u32,
    used: u32,
}

impl Segments {
    /// Room for `capacity` records.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the arena has not got it.
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> Result<Self, Error> {
        let capacity = u32::try_from(capacity).map_err(|_| Error::Memory)?;
        let records = arena.table(capacity as usize, |index| Record {
            data: None,
            seq: Seq(0),
            len: 0,
            sent_at: 0,
            links: [
                Link { next: if index as u32 + 1 < capacity { index as u32 + 1 } else { NONE }, ..ALONE },
                ALONE,
            ],
            flags: RecordFlags::default(),
            transmissions: 0,
        })?;
        Ok(Self { records, first_free: if capacity == 0 { NONE } else { 0 }, used: 0 })
    }

    /// Whether no record is free.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.first_free == NONE
    }

    /// How many records there are.
    pub(crate) fn capacity(&self) -> usize {
        self.records.len()
    }

    /// How many are in use.
    pub(crate) fn used(&self) -> usize {
        self.used as usize
    }

    /// A record in use.
    #[inline]
    pub(crate) fn record(&self, id: u32) -> &Record {
        &self.records[id as usize]
    }

    #[inline]
    pub(super) fn record_mut(&mut self, id: u32) -> &mut Record {
        &mut self.records[id as usize]
    }

    /// Cuts a record in two behind its first `at` sequence numbers, for segments that have become smaller. Both parts
    /// are what it was: in flight or lost. Returns the second.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `at` is not within the record, [`Error::Memory`] if no record is free, or the data cannot
    /// be cut. Nothing is changed then.
    pub(crate) fn split(&mut self, id: u32, at: u32) -> Result<u32, Error> {
        let record = self.record(id);
        let syn = u32::from(record.is(RecordFlags::SYN));
        if at == 0 || at >= record.len || at < syn || record.is(RecordFlags::SACKED) {
            return Err(Error::Argument);
        }
        let second = self.take().ok_or(Error::Memory)?;
        let record = self.record_mut(id);
        let cut = match &mut record.data {
            Some(data) if data.len() > (at - syn) as usize => data.split_off((at - syn) as usize).map(Some),
            _ => Ok(None),
        };
        let data = match cut {
            Ok(data) => data,
            Err(error) => {
                self.release(second);
                return Err(error);
            }
        };
        let (seq, len, flags) = (record.seq + at, record.len - at, record.flags.without(RecordFlags::SYN));
        let (sent_at, transmissions) = (record.sent_at, record.transmissions);
        record.len = at;
        record.flags = record.flags.without(RecordFlags::FIN.with(RecordFlags::PUSH));
        let made = self.record_mut(second);
        (made.data, made.seq, made.len) = (data, seq, len);
        (made.flags, made.sent_at, made.transmissions) = (flags, sent_at, transmissions);
        let after = self.next(By::Sequence, id);
        self.insert_before(By::Sequence, after, second);
        let after = self.next(By::Turn, id);
        self.insert_before(By::Turn, after, second);
        Ok(second)
    }

    /// A free record, from now on in use and in no list.
    pub(super) fn take(&mut self) -> Option<u32> {
        let id = self.first_free;
        let record = self.records.get(id as usize)?;
        self.first_free = record.link(By::Sequence).next;
        self.used += 1;
        Some(id)
    }

    /// Puts a new record behind the last of both lists, in flight, which was sent at `floor` or as late as the last one.
    ///
    /// # Errors
    ///
    /// The segment, if no record is free.
    #[inline]
    pub(super) fn append(
        &mut self,
        first: &mut u32,
        oldest: &mut u32,
        segment: NewSegment,
        floor: u32,
    ) -> Result<(), NewSegment> {
        let id = self.first_free;
        if id as usize >= self.records.len() {
            return Err(segment);
        }
        if *first == NONE && *oldest == NONE {
            (*first, *oldest) = (id, id);
            self.fill(id, segment, floor, [Link { next: id, previous: id }; 2]);
            return Ok(());
        }
        if *first != *oldest {
            self.append_slowly(first, oldest, segment, floor);
            return Ok(());
        }
        // As a rule both lists have the same ends.
        let head = self.record_mut(*first);
        let [before, earlier] = &mut head.links;
        let (last, newest) = (before.previous, earlier.previous);
        (before.previous, earlier.previous) = (id, id);
        let tail = self.record_mut(newest);
        tail.links[By::Turn as usize].next = id;
        let sent_at = later(floor, tail.sent_at);
        if last == newest {
            tail.links[By::Sequence as usize].next = id;
        } else {
            self.set_next(By::Sequence, last, id);
        }
        let links = [Link { next: *first, previous: last }, Link { next: *oldest, previous: newest }];
        self.fill(id, segment, sent_at, links);
        Ok(())
    }

    #[inline(never)]
    fn append_slowly(&mut self, first: &mut u32, oldest: &mut u32, segment: NewSegment, floor: u32) {
        let id = self.first_free;
        let mut sent_at = floor;
        if *oldest != NONE {
            sent_at = later(floor, self.record(self.previous(By::Turn, *oldest)).sent_at);
        }
        self.fill(id, segment, sent_at, [ALONE; 2]);
        self.push(By::Sequence, first, id);
        self.push(By::Turn, oldest, id);
    }

    /// Takes the first free record into use.
    #[inline]
    fn fill(&mut self, id: u32, segment: NewSegment, sent_at: u32, links: [Link; 2]) {
        let NewSegment { seq, len, flags, data } = segment;
        let record = self.record_mut(id);
        let next_free = record.link(By::Sequence).next;
        (record.data, record.seq, record.len, record.sent_at) = (data, seq, len, sent_at);
        (record.links, record.flags, record.transmissions) = (links, flags, 1);
        self.first_free = next_free;
        self.used += 1;
    }

    /// Gives `count` records back, the first of both lists up to `last`, which follow on each other in both. Their data
    /// is dropped already.
    #[inline]
    pub(super) fn release_front(&mut self, first: &mut u32, oldest: &mut u32, last: u32, count: u32) {
        let begin = *first;
        let [sequence, turn] = self.record(last).links;
        let [before, earlier] = self.record(begin).links.map(|link| link.previous);
        self.set_next(By::Sequence, last, self.first_free);
        self.first_free = begin;
        self.used -= count;
        *first = NONE;
        if before != last {
            *first = sequence.next;
            self.set_next(By::Sequence, before, sequence.next);
            self.set_previous(By::Sequence, sequence.next, before);
        }
        *oldest = NONE;
        if earlier != last {
            *oldest = turn.next;
            self.set_next(By::Turn, earlier, turn.next);
            self.set_previous(By::Turn, turn.next, earlier);
        }
    }

    /// Gives a record back that is in no list, and drops its data.
    #[inline]
    pub(super) fn release(&mut self, id: u32) {
        let next = self.first_free;
        let record = self.record_mut(id);
        record.data = None;
        record.links[By::Sequence as usize].next = next;
        self.first_free = id;
        self.used -= 1;
    }

    #[inline]
    pub(super) fn next(&self, by: By, id: u32) -> u32 {
        self.record(id).link(by).next
    }

    #[inline]
    pub(super) fn previous(&self, by: By, id: u32) -> u32 {
        self.record(id).link(by).previous
    }

    #[inline]
    pub(super) fn set_next(&mut self, by: By, id: u32, next: u32) {
        self.record_mut(id).links[by as usize].next = next;
    }

    #[inline]
    pub(super) fn set_previous(&mut self, by: By, id: u32, previous: u32) {
        self.record_mut(id).links[by as usize].previous = previous;
    }

    /// Puts a record behind the last of a list.
    #[inline]
    pub(super) fn push(&mut self, by: By, first: &mut u32, id: u32) {
        if *first == NONE {
            self.record_mut(id).links[by as usize] = Link { next: id, previous: id };
            *first = id;
        } else {
            self.insert_before(by, *first, id);
        }
    }

    /// Puts a record in front of one that is in a list; in front of the first is behind the last.
    #[inline]
    pub(super) fn insert_before(&mut self, by: By, at: u32, id: u32) {
        let previous = self.previous(by, at);
        self.record_mut(id).links[by as usize] = Link { next: at, previous };
        self.set_next(by, previous, id);
        self.set_previous(by, at, id);
    }

    /// Takes a record out of a list.
    #[inline]
    pub(super) fn unlink(&mut self, by: By, first: &mut u32, id: u32) {
        let Link { next, previous } = self.record(id).link(by);
        if next == id {
            *first = NONE;
            return;
        }
        self.set_next(by, previous, next);
        self.set_previous(by, next, previous);
        if *first == id {
            *first = next;
        }
    }
}
