//! The addresses that are ours: one of IPv4 for each interface, any number of IPv6.

use coracle_buf::{Arena, Error};

use crate::address::Address;
use crate::engine::Engine;
#[cfg(feature = "ipv6")]
use crate::nd::Auto;
use crate::netif::NetifHandle;
use crate::random::HashKey;
#[cfg(feature = "ipv6")]
use crate::table::Slots;
use crate::table::{Index, NONE};

/// Finds the interface of each address of ours.
pub(crate) struct Addresses {
    /// Interfaces by the hash of their IPv4 address, and behind them the entries of `v6` by theirs.
    index: Index,
    /// One bit for each address in it; others may share the bit.
    bits: u64,
    #[cfg(feature = "ipv6")]
    pub(crate) v6: Slots<HostAddress>,
    #[cfg(feature = "ipv6")]
    netifs: usize,
}

/// An IPv6 address of an interface.
#[cfg(feature = "ipv6")]
#[derive(Clone, Copy)]
pub(crate) struct HostAddress {
    pub(crate) address: Address,
    pub(crate) netif: u32,
    /// The length of the prefix that is on the link.
    pub(crate) prefix_len: u8,
    pub(crate) state: AddressState,
    /// Made up for a while, so that nobody recognizes the host by it [RFC 8981].
    pub(crate) temporary: bool,
    pub(crate) auto: Auto,
}

/// What may be done with an IPv6 address [RFC 4862 §2]. lwIP: `IP6_ADDR_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressState {
    /// Not ours yet: whether somebody has it is being found out.
    Tentative,
    /// The same, but used with care meanwhile [RFC 4429].
    Optimistic,
    /// Ours.
    Preferred,
    /// Ours for what has begun; nothing new is to use it.
    Deprecated,
    /// Another host has it.
    Duplicated,
}

#[cfg(feature = "ipv6")]
impl HostAddress {
    /// Whether packets may be sent from it and are taken that come to it.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.state, AddressState::Preferred | AddressState::Deprecated | AddressState::Optimistic)
    }

    /// An address that the owner of the stack gives an interface.
    pub(crate) fn by_owner(address: Address, netif: usize, prefix_len: u8, state: AddressState) -> Self {
        Self { address, netif: netif as u32, prefix_len, state, temporary: false, auto: Auto::BY_OWNER }
    }
}

fn hash(key: &HashKey, address: Address) -> u32 {
    key.hash(address.word(key), 0)
}

fn bit(address: Address) -> u64 {
    1 << (address.low().octets()[3] % 64)
}

impl Addresses {
    pub(crate) fn new(arena: &mut Arena, netifs: usize, v6: usize) -> Result<Self, Error> {
        let v6 = if cfg!(feature = "ipv6") { v6 } else { 0 };
        Ok(Self {
            index: Index::new(arena, netifs.checked_add(v6).ok_or(Error::Memory)?)?,
            bits: 0,
            #[cfg(feature = "ipv6")]
            v6: Slots::new(arena, v6)?,
            #[cfg(feature = "ipv6")]
            netifs,
        })
    }
}

impl Engine {
    /// The zone of link-local addresses of which nothing else is said: the interface that something is bound to, else
    /// the default one [RFC 4007 §6].
    pub(crate) fn zone(&self, bound: Option<NetifHandle>) -> Option<usize> {
        bound.or(self.default_netif).map(NetifHandle::slot)
    }

    /// The interface that has an address.
    #[inline]
    pub(crate) fn owner_of(&self, address: Address) -> Option<usize> {
        // Most addresses that are not ours are told by one bit.
        if self.addresses.bits & bit(address) == 0 {
            return None;
        }
        let mut at = self.addresses.index.first(hash(&self.hash_key, address));
        while at != NONE {
            if let Some(owner) = self.owner_at(at as usize, address) {
                return Some(owner);
            }
            at = self.addresses.index.next(at);
        }
        None
    }

    #[inline]
    fn owner_at(&self, at: usize, address: Address) -> Option<usize> {
        if let Some(interface) = self.netifs.at(at) {
            return (address == interface.ipv4.address.into()).then_some(at);
        }
        #[cfg(feature = "ipv6")]
        if let Some(entry) = at.checked_sub(self.addresses.netifs).and_then(|at| self.addresses.v6.at(at)) {
            return (entry.address == address && entry.is_ours()).then_some(entry.netif as usize);
        }
        None
    }

    /// Puts an interface's IPv4 address into the index, or takes it out.
    pub(crate) fn index_v4(&mut self, netif: usize, insert: bool) {
        let Some(interface) = self.netifs.at(netif) else { return };
        if interface.has_address() && !interface.removed {
            self.index_address(netif, interface.ipv4.address.into(), insert);
        }
    }

    fn index_address(&mut self, at: usize, address: Address, insert: bool) {
        let hash = hash(&self.hash_key, address);
        if insert {
            self.addresses.index.insert(hash, at as u32);
            self.addresses.bits |= bit(address);
            return;
        }
        self.addresses.index.remove(hash, at as u32);
        let others =
            self.netifs.iter().filter(|&(key, other)| key.index as usize != at && other.has_address());
        let bits = others.fold(0, |bits, (_, other)| bits | bit(other.ipv4.address.into()));
        #[cfg(feature = "ipv6")]
        let bits = self.addresses.v6.iter().fold(bits, |bits, (_, entry)| bits | bit(entry.address));
        self.addresses.bits = bits;
    }
}

#[cfg(feature = "ipv6")]
impl Engine {
    /// The entry of an address of an interface, ours already or not.
    pub(crate) fn address_v6(&self, netif: usize, address: Address) -> Option<usize> {
        let is_it = |entry: &HostAddress| entry.netif as usize == netif && entry.address == address;
        self.addresses.v6.iter().find(|(_, entry)| is_it(entry)).map(|(key, _)| key.index as usize)
    }

    /// Gives an interface an address.
    ///
    /// [`Error::Value`] for an address that no host can have, or of another link; [`Error::InUse`] when an interface
    /// has it; [`Error::Memory`] when there is no room for it, or for the group in which it is solicited.
    pub(crate) fn add_v6(&mut self, entry: HostAddress) -> Result<usize, Error> {
        let (address, netif) = (entry.address, entry.netif as usize);
        if !address.is_one_host()
            || address.zone().is_some_and(|zone| zone != netif)
            || entry.prefix_len > 128
        {
            return Err(Error::Value);
        }
        if self.owner_of(address).is_some() || self.address_v6(netif, address).is_some() {
            return Err(Error::InUse);
        }
        let group = address.solicited_node(netif);
        self.multicast.hold(&self.hash_key, entry.netif, group, self.now)?;
        match self.addresses.v6.insert(entry) {
            Ok(key) => {
                let at = key.index as usize;
                self.index_address(self.addresses.netifs + at, address, true);
                Ok(at)
            }
            Err(error) => {
                self.multicast.release(&self.hash_key, entry.netif, group, self.now);
                Err(error)
            }
        }
    }

    /// Takes an address from its interface.
    pub(crate) fn remove_v6(&mut self, at: usize) {
        let Some(entry) = self.addresses.v6.key_at(at).and_then(|key| self.addresses.v6.remove(key)) else {
            return;
        };
        self.index_address(self.addresses.netifs + at, entry.address, false);
        let group = entry.address.solicited_node(entry.netif as usize);
        self.multicast.release(&self.hash_key, entry.netif, group, self.now);
        self.wheel.cancel(self.timers.address(at));
        self.tcp_address_gone(entry.address);
    }
}
