//! The two ends of a connection, which name it [RFC 9293 §3.1].

use core::hash::Hasher;

use crate::address::Endpoint;
use crate::random::HashKey;

/// Both addresses and ports of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
}

impl Flow {
    #[inline]
    fn ports(&self) -> u64 {
        u64::from(self.local.port) << 16 | u64::from(self.remote.port)
    }

    /// Hands the flow to a keyed function.
    pub(crate) fn feed(&self, hasher: &mut impl Hasher) {
        hasher.write(self.local.address.bytes());
        hasher.write(self.remote.address.bytes());
        hasher.write_u64(self.ports());
    }

    /// Its place in a hash table.
    #[inline]
    pub(crate) fn hash(&self, key: &HashKey) -> u32 {
        key.hash(self.local.address.word(key).rotate_left(32) ^ self.remote.address.word(key), self.ports())
    }
}
