//! The two ends of a connection, which name it [RFC 9293 §3.1].

use core::net::SocketAddrV4;

use crate::random::HashKey;

/// Both addresses and ports of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    pub(crate) local: SocketAddrV4,
    pub(crate) remote: SocketAddrV4,
}

impl Flow {
    /// The flow as two words, for keyed functions.
    #[inline]
    pub(crate) fn words(&self) -> (u64, u64) {
        let addresses = u64::from(self.local.ip().to_bits()) << 32 | u64::from(self.remote.ip().to_bits());
        let ports = u64::from(self.local.port()) << 16 | u64::from(self.remote.port());
        (addresses, ports)
    }

    /// Its place in a hash table.
    #[inline]
    pub(crate) fn hash(&self, key: &HashKey) -> u32 {
        let (addresses, ports) = self.words();
        key.hash(addresses, ports)
    }
}
