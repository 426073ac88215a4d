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

/// One line of the policy table [RFC 6724 §2.1]: a prefix, its length, the label, and the precedence.
#[cfg_attr(not(feature = "dns"), allow(dead_code, reason = "nobody compares destinations"))]
struct Policy(Address, u8, u8, u8);

const fn v6(first: u16, second: u16, last: u16) -> Address {
    Address::v6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, last).octets(), 0)
}

/// The default policies, the longest prefix first.
static POLICIES: [Policy; 9] = [
    Policy(v6(0, 0, 1), 128, 0, 50),
    Policy(Address::ANY_V4, 96, 4, 35),
    Policy(v6(0, 0, 0), 96, 3, 1),
    Policy(v6(0x2001, 0, 0), 32, 5, 5),
    Policy(v6(0x2002, 0, 0), 16, 2, 30),
    Policy(v6(0x3ffe, 0, 0), 16, 12, 1),
    Policy(v6(0xfec0, 0, 0), 10, 11, 1),
    Policy(v6(0xfc00, 0, 0), 7, 13, 3),
    Policy(v6(0, 0, 0), 0, 1, 40),
];

/// The line of the table for an address; the last one fits all.
fn policy(address: Address) -> &'static Policy {
    POLICIES.iter().find(|policy| address.masked(policy.1) == policy.0).unwrap_or(&POLICIES[8])
}

/// The label of an address.
fn label(address: Address) -> u8 {
    policy(address).2
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

/// The scope of an address of either family: those of IPv4 that do not leave the link are known [RFC 6724 §3.2].
#[cfg(feature = "dns")]
fn scope_of_any(address: Address) -> u8 {
    match address.as_v4() {
        Some(v4) if v4.is_link_local() || v4.is_loopback() => 2,
        _ => scope(address),
    }
}

/// How good a destination is that is reached from a source, by the rules of §6: the same scope (2) and label (5), the
/// precedence (6), a small scope (8), and of IPv6 the bits that both have in common (9).
#[cfg(feature = "dns")]
pub(super) fn merit_of_pair(destination: Address, source: Address) -> super::destination::Merit {
    let reach = scope_of_any(destination);
    let common = if destination.is_v4() { 0 } else { source.common_prefix(destination).min(64) };
    (
        true,
        reach == scope_of_any(source),
        label(destination) == label(source),
        policy(destination).3,
        core::cmp::Reverse(reach),
        common,
    )
}
