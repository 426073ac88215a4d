//! Which of the addresses of a host should be tried first [RFC 6724 §6].

use core::net::IpAddr;

use crate::address::Address;
use crate::engine::Engine;

/// What makes one destination better than another: the first difference decides, the greater wins. Equals stay in the
/// order in which they were given (rule 10).
pub(crate) type Merit = (bool, bool, bool, u8, core::cmp::Reverse<u8>, u32);

impl Engine {
    /// How good a destination is; interfaces that are not up, and hosts that cannot be reached, are worst (rule 1).
    pub(crate) fn destination_merit(&self, destination: IpAddr) -> Merit {
        let worst = (false, false, false, 0, core::cmp::Reverse(u8::MAX), 0);
        let Ok(address) = Address::from_ip(destination, None) else { return worst };
        let hop = self.find_route(address, None);
        match hop.map(|hop| hop.source).filter(|source| !source.is_unspecified()) {
            None => worst,
            #[cfg(feature = "ipv6")]
            Some(source) => super::select::merit_of_pair(address, source),
            #[cfg(not(feature = "ipv6"))]
            Some(_) => (true, true, true, 0, core::cmp::Reverse(0), 0),
        }
    }
}
