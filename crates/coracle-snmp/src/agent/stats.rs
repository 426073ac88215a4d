//! The agent's counters.

use core::cell::Cell;

/// What is counted: by the object of the snmp group [RFC 3418 §2, RFC 1213 §6], of the message processing and
/// user-based security models [RFC 3412 §5, RFC 3414 §5], and contexts [RFC 3413 §4].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Counter {
    /// Messages received.
    InPackets = 1,
    /// Messages sent.
    OutPackets = 2,
    /// Messages of an unknown version, or one that is off.
    InBadVersions = 3,
    /// Messages with an unknown community.
    InBadCommunityNames = 4,
    /// Messages whose community may not do what they ask.
    InBadCommunityUses = 5,
    /// Messages that are malformed.
    InAsnParseErrors = 6,
    /// Variables read.
    InTotalRequestVariables = 13,
    /// Variables set.
    InTotalSetVariables = 14,
    /// GET requests.
    InGetRequests = 15,
    /// GETNEXT requests.
    InGetNexts = 16,
    /// SET requests.
    InSetRequests = 17,
    /// Responses received.
    InGetResponses = 18,
    /// Traps received.
    InTraps = 19,
    /// Responses that say `tooBig`.
    OutTooBigs = 20,
    /// Responses that say `noSuchName`.
    OutNoSuchNames = 21,
    /// Responses that say `badValue`.
    OutBadValues = 22,
    /// Responses that say `genErr`.
    OutGenErrors = 24,
    /// Responses sent.
    OutGetResponses = 28,
    /// Traps sent.
    OutTraps = 29,
    /// Requests dropped, as not even an empty response fits.
    SilentDrops = 31,
    /// Requests for others dropped: always zero, as nothing is passed on.
    ProxyDrops = 32,
    /// Version 3: an unknown security model.
    UnknownSecurityModels = 33,
    /// Version 3: flags that contradict each other.
    InvalidMessages = 34,
    /// Version 3: a PDU that nobody takes.
    UnknownPduHandlers = 35,
    /// Version 3: another engine.
    UnknownContexts = 36,
    /// Version 3: a context that is not there now: always zero, as none ever goes.
    UnavailableContexts = 37,
    /// Version 3: less or more security than the user has.
    UnsupportedSecurityLevels = 38,
    /// Version 3: out of the time window.
    NotInTimeWindows = 39,
    /// Version 3: a user that is not there.
    UnknownUserNames = 40,
    /// Version 3: an engine that is not this one.
    UnknownEngineIds = 41,
    /// Version 3: a wrong digest.
    WrongDigests = 42,
    /// Version 3: what cannot be decrypted.
    DecryptionErrors = 43,
}

/// The counters of an agent; they wrap at 2³².
#[derive(Debug)]
pub struct Counts([Cell<u32>; 44]);

impl Default for Counts {
    fn default() -> Self {
        Self([const { Cell::new(0) }; 44])
    }
}

impl Counts {
    /// A counter's value.
    pub fn get(&self, counter: Counter) -> u32 {
        self.0[counter as usize].get()
    }

    /// The value of an object of the snmp group by its arc; `None` for one that is no counter.
    pub(crate) fn by_arc(&self, arc: u32) -> Option<u32> {
        self.0.get(arc as usize).map(Cell::get)
    }

    pub(crate) fn add(&self, counter: Counter) {
        self.add_many(counter, 1);
    }

    pub(crate) fn add_many(&self, counter: Counter, amount: u32) {
        let cell = &self.0[counter as usize];
        cell.set(cell.get().wrapping_add(amount));
    }
}
