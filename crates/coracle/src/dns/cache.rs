//! What was learned, for as long as it may be believed, in a ring of bytes: what is new takes the place of the oldest.

use core::hash::{Hash, Hasher};

use coracle_buf::{Arena, Error, Table};
use coracle_wire::dns::{Name, kind};
use siphasher::sip::SipHasher24;

use crate::random::Random;
use crate::table::{Index, NONE};
use crate::time::Instant;

/// Bytes of the ring for each entry, on average.
const BYTES_PER_ENTRY: usize = 64;
/// Stands for all kinds: the name does not exist.
const EVERY_KIND: u16 = 0;

/// What the cache knows about a name and a kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// Its records, see [`Records`].
    Records(&'a [u8]),
    /// It is another name for this one.
    Alias(Name<'a>),
    /// The name has no such record.
    NoData,
    /// There is no such name.
    NoName,
}

/// What there is to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact<'a> {
    /// Records, or the name that this one is an alias of, without pointers, each behind its length in two bytes.
    Records(&'a [u8]),
    NoData,
    NoName,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Replaced; its bytes come back when it is the oldest.
    Dead,
    Records,
    Negative,
}

#[derive(Clone, Copy)]
struct Entry {
    expires: Instant,
    hash: u32,
    /// Where its name begins in the ring; the data follows.
    at: u32,
    data_len: u16,
    kind: u16,
    name_len: u8,
    state: State,
}

impl Entry {
    const NONE: Self = Self {
        expires: Instant::ZERO,
        hash: 0,
        at: 0,
        data_len: 0,
        kind: 0,
        name_len: 0,
        state: State::Dead,
    };

    fn end(&self) -> usize {
        self.at as usize + usize::from(self.name_len) + usize::from(self.data_len)
    }
}

/// The cache.
pub(crate) struct Cache {
    bytes: Table<u8>,
    /// A ring too: the oldest is `first`, and there are `used`.
    entries: Table<Entry>,
    index: Index,
    first: usize,
    used: usize,
    /// Where the next bytes go.
    head: usize,
    key: [u8; 16],
}

impl Cache {
    pub(crate) fn new(arena: &mut Arena, bytes: usize, random: &mut Random) -> Result<Self, Error> {
        let entries = bytes / BYTES_PER_ENTRY;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random.next_u64().to_le_bytes());
        key[8..].copy_from_slice(&random.next_u64().to_le_bytes());
        Ok(Self {
            bytes: arena.table(bytes, |_| 0)?,
            entries: arena.table(entries, |_| Entry::NONE)?,
            index: Index::new(arena, entries)?,
            first: 0,
            used: 0,
            head: 0,
            key,
        })
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        while self.used > 0 {
            self.drop_oldest();
        }
    }

    /// What is known about a name's records of a kind.
    pub(crate) fn find(&self, name: Name<'_>, wanted: u16, now: Instant) -> Option<Known<'_>> {
        let mut alias = None;
        let mut at = self.index.first(self.hash(name));
        while at != NONE {
            let entry = &self.entries[at as usize];
            at = self.index.next(at);
            if entry.expires < now || !matches!(entry.kind, EVERY_KIND | kind::CNAME) && entry.kind != wanted
            {
                continue;
            }
            let Some(owner) = self.name(entry).filter(|&owner| owner == name) else { continue };
            debug_assert!(!owner.is_root() || name.is_root());
            match (entry.state, entry.kind) {
                (State::Dead, _) => {}
                (State::Negative, EVERY_KIND) => return Some(Known::NoName),
                (State::Negative, kind) => {
                    if kind == wanted {
                        return Some(Known::NoData);
                    }
                }
                (State::Records, kind) if kind == wanted => return Some(Known::Records(self.data(entry))),
                (State::Records, _) => {
                    alias = Records::new(self.data(entry)).next().and_then(|data| Name::from_wire(data).ok());
                }
            }
        }
        alias.map(Known::Alias)
    }

    /// Learns something about a name: it replaces what was known. What is too large to keep is not.
    pub(crate) fn learn(
        &mut self,
        name: Name<'_>,
        kind: u16,
        fact: Fact<'_>,
        expires: Instant,
        now: Instant,
    ) {
        let (kind, state, data) = match fact {
            Fact::Records(data) => (kind, State::Records, data),
            Fact::NoData => (kind, State::Negative, &[][..]),
            Fact::NoName => (EVERY_KIND, State::Negative, &[][..]),
        };
        let hash = self.hash(name);
        self.forget(name, kind, hash);
        let name_len = name.wire_len();
        let len = name_len + data.len();
        // Large things shall not drive everything else out.
        if len > self.bytes.len() / 4 || data.len() > usize::from(u16::MAX) || self.entries.is_empty() {
            return;
        }
        let at = self.make_room(len, now);
        let mut place = at;
        for label in name.labels() {
            self.bytes[place] = label.len() as u8;
            self.bytes[place + 1..][..label.len()].copy_from_slice(label);
            place += 1 + label.len();
        }
        self.bytes[place] = 0;
        self.bytes[place + 1..][..data.len()].copy_from_slice(data);
        let position = (self.first + self.used) % self.entries.len();
        self.entries[position] = Entry {
            expires,
            hash,
            at: at as u32,
            data_len: data.len() as u16,
            kind,
            name_len: name_len as u8,
            state,
        };
        self.used += 1;
        self.index.insert(hash, position as u32);
    }

    /// Room for so many bytes in one piece, which are a quarter of all at the most, and for an entry.
    fn make_room(&mut self, len: usize, now: Instant) -> usize {
        loop {
            let oldest = self.entries[self.first];
            if self.used > 0 && (oldest.state == State::Dead || oldest.expires < now) {
                self.drop_oldest();
                continue;
            }
            if self.used == 0 {
                self.head = 0;
            }
            let tail = if self.used == 0 { self.bytes.len() } else { oldest.at as usize };
            let wrapped = self.used == 0 || self.head <= tail;
            let at = if wrapped {
                (len <= tail - self.head).then_some(self.head)
            } else if len <= self.bytes.len() - self.head {
                Some(self.head)
            } else {
                (len <= tail).then_some(0)
            };
            match at {
                Some(at) if self.used < self.entries.len() => {
                    self.head = at + len;
                    return at;
                }
                _ => self.drop_oldest(),
            }
        }
    }

    fn drop_oldest(&mut self) {
        let entry = self.entries[self.first];
        if entry.state != State::Dead {
            self.index.remove(entry.hash, self.first as u32);
        }
        debug_assert!(entry.end() <= self.bytes.len());
        self.first = (self.first + 1) % self.entries.len();
        self.used -= 1;
    }

    fn forget(&mut self, name: Name<'_>, kind: u16, hash: u32) {
        let mut at = self.index.first(hash);
        while at != NONE {
            let entry = self.entries[at as usize];
            let next = self.index.next(at);
            // Who exists now is no longer nobody, and who does not exist has nothing.
            let replaced = entry.kind == kind || entry.kind == EVERY_KIND || kind == EVERY_KIND;
            if replaced && entry.hash == hash && self.name(&entry).is_some_and(|owner| owner == name) {
                self.index.remove(hash, at);
                self.entries[at as usize].state = State::Dead;
            }
            at = next;
        }
    }

    fn name(&self, entry: &Entry) -> Option<Name<'_>> {
        let start = entry.at as usize;
        Name::from_wire(&self.bytes[start..start + usize::from(entry.name_len)]).ok()
    }

    fn data(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.at as usize + usize::from(entry.name_len)..entry.end()]
    }

    fn hash(&self, name: Name<'_>) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        name.hash(&mut hasher);
        hasher.finish() as u32
    }
}

/// The data of records, each behind its length in two bytes.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, behind) = self.0.split_first_chunk()?;
        let (data, rest) = behind.split_at_checked(usize::from(u16::from_be_bytes(len)))?;
        self.0 = rest;
        Some(data)
    }
}

#[cfg(test)]
mod tests;
