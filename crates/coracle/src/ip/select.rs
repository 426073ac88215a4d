//! Which of our IPv6 addresses speaks to a destination [RFC 6724 §5].

use core::net::Ipv6Addr;

use super::addresses::{AddressState, HostAddress};
use crate::address::Address;
use crate::engine::Engine;

/// How far an address reaches; the numbers are those of multicast scopes [RFC 4291 §2.7].
fn scope(address: Address) -> u8 {
    let [first, second, ..] = *address.bytes();
    match first {
        0xff => second & 0x0f,
        _ if address.is_link_local() || address.is_loopback() => 2,
        // Site-local addresses are deprecated, but are what they were [RFC 3879].
        0xfe if second & 0xc0 == 0xc0 => 5,
        _ => 14,
    }
}

/// One line of the policy table [RFC 6724 §2.1]: a prefix, its length, and the label.
struct Policy(Address, u8, u8);

const fn v6(first: u16, second: u16, last: u16) -> Address {
    Address::v6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, last).octets(), 0)
}

/// The default policies, the longest prefix first.
static POLICIES: [Policy; 9] = [
    Policy(v6(0, 0, 1), 128, 0),
    Policy(Address::ANY_V4, 96, 4),
    Policy(v6(0, 0, 0), 96, 3),
    Policy(v6(0x2001, 0, 0), 32, 5),
    Policy(v6(0x2002, 0, 0), 16, 2),
    Policy(v6(0x3ffe, 0, 0), 16, 12),
    Policy(v6(0xfec0, 0, 0), 10, 11),
    Policy(v6(0xfc00, 0, 0), 7, 13),
    Policy(v6(0, 0, 0), 0, 1),
];

/// The label of an address.
fn label(address: Address) -> u8 {
    let found = POLICIES.iter().find(|policy| address.masked(policy.1) == policy.0);
    found.map_or(1, |policy| policy.2)
}

/// What makes one source better than another for a destination: the first difference decides, the greater wins.
type Merit = (bool, (bool, i16), bool, bool, bool, bool, u32);

impl Engine {
    /// The best source for a destination reached through an interface; `::` when there is none.
    pub(crate) fn source_v6(&self, netif: usize, destination: Address) -> Address {
        let ours = || self.addresses.v6.iter().map(|(_, entry)| entry).filter(|entry| entry.is_ours());
        let here = |entry: &&HostAddress| entry.netif as usize == netif;
        let reaches = |entry: &&HostAddress| !entry.address.is_link_local() && !entry.address.is_loopback();
        let merit = |entry: &&HostAddress| merit(entry, netif, destination);
        let best = ours().filter(here).max_by_key(merit);
        // A host that has no address where the packet leaves has one elsewhere [RFC 6724 §4].
        let best = best.or_else(|| ours().filter(reaches).max_by_key(merit));
        best.map_or(Address::ANY, |entry| entry.address)
    }
}

/// The rules in their order, but for those of mobile hosts (4) and of addresses that routers gave (5.5).
fn merit(entry: &HostAddress, netif: usize, destination: Address) -> Merit {
    let (ours, theirs) = (scope(entry.address), scope(destination));
    // Rule 2: a scope that reaches the destination, and no farther than needed; else the farthest.
    let reach = if ours >= theirs { (true, -i16::from(ours)) } else { (false, i16::from(ours)) };
    let common = entry.address.common_prefix(destination).min(u32::from(entry.prefix_len));
    (
        entry.address == destination,
        reach,
        entry.state == AddressState::Preferred,
        entry.netif as usize == netif,
        label(entry.address) == label(destination),
        entry.temporary,
        common,
    )
}
