//! Network interfaces: what the owner says of one, and what a stack keeps of it.

mod change;
mod config;
mod interface;
mod manage;
#[cfg(feature = "ipv6")]
mod manage_v6;

pub use change::{NetifEvent, Reasons};
pub use config::{Checksums, Hostname, Ipv4Settings, Medium, NetifConfig};
pub(crate) use interface::Interface;
pub use interface::NetifCounters;

use crate::table::Key;

/// Names an interface of a stack. Once the interface is removed, the name finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NetifHandle(pub(crate) Key);

impl NetifHandle {
    /// The interface's index, from 1 to 255, as in `if_nametoindex` and lwIP's `netif_get_index`.
    pub const fn index(self) -> u8 {
        self.0.index as u8 + 1
    }

    /// Its slot.
    #[inline]
    pub(crate) const fn slot(self) -> usize {
        self.0.index as usize
    }
}
