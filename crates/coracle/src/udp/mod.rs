//! UDP [RFC 768] and UDP-Lite [RFC 3828]: control blocks, and the table that finds them.

mod control;
mod input;
mod output;

use coracle_buf::{Arena, Error};

use crate::address::{Address, Endpoint};
use crate::ip::{Cast, Received};
use crate::netif::NetifHandle;
use crate::random::HashKey;
use crate::service::Owner;
use crate::table::{Index, Key, NONE, Slots};

pub(crate) use output::Wishes;

/// How specific a control block is about what it takes. The more specific gets the datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Takes nothing yet.
    Unbound,
    /// From one peer to one address and port.
    Connected,
    /// To one address and port.
    Specific,
    /// To one port of any address.
    Wildcard,
    /// To every port of any address.
    CatchAll,
}

const CLASSES: [Class; 4] = [Class::Connected, Class::Specific, Class::Wildcard, Class::CatchAll];

/// What a datagram's addresses are matched against.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    pub(crate) lite: bool,
}

impl Flow {
    /// What all control blocks of a class have in common that take this flow.
    #[inline]
    fn mark(&self, class: Class) -> u32 {
        let port = if class == Class::CatchAll { 0 } else { self.local.port };
        u32::from(port) << 16 | u32::from(self.lite) << 8 | class as u32
    }

    /// The words that name the chain of a class in which a control block for this flow is.
    #[inline]
    fn hash(&self, key: &HashKey, class: Class) -> u32 {
        let ports = u64::from(self.local.port) | u64::from(self.lite) << 32;
        match class {
            Class::Connected => {
                let both = self.local.address.word(key).rotate_left(32) ^ self.remote.address.word(key);
                key.hash(both, ports | u64::from(self.remote.port) << 16)
            }
            Class::Specific => key.hash(self.local.address.word(key), ports | 1 << 33),
            Class::Wildcard => key.hash(0, ports | 2 << 33),
            Class::CatchAll | Class::Unbound => key.hash(0, u64::from(self.lite) | 3 << 33),
        }
    }
}

/// The coverages of a UDP-Lite control block in bytes, header included; zero is everything [RFC 3828 §3.1].
#[derive(Clone, Copy, Default)]
pub(crate) struct Coverage {
    pub(crate) sent: u16,
    pub(crate) demanded: u16,
}

/// A UDP control block.
pub(crate) struct UdpPcb {
    pub(crate) flow: Flow,
    pub(crate) class: Class,
    /// Class, port and protocol in one word, so that one look at most tells a control block from another.
    mark: u32,
    /// The address that it sends from, if it is bound to one that can be sent from.
    from: Address,
    /// The address that the application bound it to, which a connection may have made more specific.
    bound: Address,
    pub(crate) netif: Option<NetifHandle>,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) multicast_ttl: u8,
    pub(crate) multicast_netif: Option<NetifHandle>,
    pub(crate) multicast_loop: bool,
    pub(crate) broadcast: bool,
    pub(crate) reuse_address: bool,
    pub(crate) no_checksum: bool,
    pub(crate) coverage: Coverage,
    pub(crate) owner: Owner,
    /// The next taker of the datagram that is being delivered to several.
    next_taker: u32,
}

const UNBOUND: Endpoint = Endpoint::NONE;

impl UdpPcb {
    fn new(lite: bool, ttl: u8, owner: Owner) -> Self {
        Self {
            flow: Flow { local: UNBOUND, remote: UNBOUND, lite },
            class: Class::Unbound,
            mark: Class::Unbound as u32,
            from: Address::ANY,
            bound: Address::ANY,
            netif: None,
            ttl,
            tos: 0,
            multicast_ttl: 1,
            multicast_netif: None,
            multicast_loop: false,
            broadcast: false,
            reuse_address: false,
            no_checksum: false,
            coverage: Coverage::default(),
            owner,
            next_taker: NONE,
        }
    }

    #[inline]
    fn takes(&self, class: Class, flow: &Flow, netif: NetifHandle) -> bool {
        if self.mark != flow.mark(class) || self.netif.is_some_and(|bound| bound != netif) {
            return false;
        }
        match class {
            Class::Unbound => false,
            Class::Connected => {
                self.flow.local.address == flow.local.address && self.flow.remote == flow.remote
            }
            Class::Specific => self.flow.local.address == flow.local.address,
            Class::Wildcard | Class::CatchAll => self.flow.local.address.takes(flow.local.address),
        }
    }

    /// Whether a control block takes a datagram to many. One that is bound to the interface's own address hears
    /// what is broadcast there, as with lwIP. One that takes all ports comes into question when no other takes it.
    fn takes_group(&self, flow: &Flow, info: &Received, own: Address) -> bool {
        let local = self.flow.local.address;
        let address_fits = local.takes(info.destination) || (info.cast == Cast::Broadcast && local == own);
        let peer_fits = self.class != Class::Connected || self.flow.remote == flow.remote;
        (self.class == Class::CatchAll || self.flow.local.port == flow.local.port)
            && self.flow.lite == flow.lite
            && self.netif.is_none_or(|bound| bound == info.netif)
            && address_fits
            && peer_fits
    }
}

/// All UDP control blocks: in the chain of their class, by which unicast datagrams find them in one look; and, if
/// they have one, in the chain of their local port.
pub(crate) struct UdpTable {
    pub(crate) slots: Slots<UdpPcb>,
    flows: Index,
    ports: Index,
    /// How many there are of each class, so that empty classes cost nothing.
    population: [u32; CLASSES.len()],
    /// How many the applications may have, and how many there are that are not theirs.
    limit: usize,
    own: usize,
}

impl UdpTable {
    /// Room for so many control blocks of applications, and so many of the stack itself.
    pub(crate) fn new(arena: &mut Arena, limit: usize, own: usize) -> Result<Self, Error> {
        let capacity = limit.checked_add(own).ok_or(Error::Memory)?;
        let slots = Slots::new(arena, capacity)?;
        let (flows, ports) = (Index::new(arena, capacity)?, Index::new(arena, capacity)?);
        Ok(Self { slots, flows, ports, population: [0; CLASSES.len()], limit, own: 0 })
    }

    fn port_hash(key: &HashKey, port: u16, lite: bool) -> u32 {
        key.hash(u64::from(port), u64::from(lite))
    }

    /// The control block for a unicast datagram: connected before bound, an address before any address, the
    /// newest first.
    #[inline(never)]
    pub(crate) fn find(&self, key: &HashKey, flow: &Flow, netif: NetifHandle) -> Option<Key> {
        let [connected, specific, wildcard, catch_all] = self.population;
        // Written out, so that the compiler knows each class.
        if connected > 0
            && let Some(pcb) = self.find_in(Class::Connected, key, flow, netif)
        {
            return Some(pcb);
        }
        if specific > 0
            && let Some(pcb) = self.find_in(Class::Specific, key, flow, netif)
        {
            return Some(pcb);
        }
        if wildcard > 0
            && let Some(pcb) = self.find_in(Class::Wildcard, key, flow, netif)
        {
            return Some(pcb);
        }
        if catch_all > 0 { self.find_in(Class::CatchAll, key, flow, netif) } else { None }
    }

    /// Whether all control blocks are bound to a port only.
    #[inline]
    fn all_wildcards(&self) -> bool {
        matches!(self.population, [0, 0, _, 0])
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "what differs between the classes is decided by the compiler")]
    fn find_in(&self, class: Class, key: &HashKey, flow: &Flow, netif: NetifHandle) -> Option<Key> {
        let mut at = self.flows.first(flow.hash(key, class));
        while at != NONE {
            match self.slots.entry_at(at as usize) {
                Some((key, pcb)) if pcb.takes(class, flow, netif) => return Some(key),
                _ => at = self.flows.next(at),
            }
        }
        None
    }

    /// The control block that takes all ports, for a datagram to many that no other takes.
    fn find_catch_all(&self, key: &HashKey, flow: &Flow, netif: NetifHandle) -> u32 {
        let mut at = self.flows.first(flow.hash(key, Class::CatchAll));
        while at != NONE {
            if self.slots.at(at as usize).is_some_and(|pcb| pcb.takes(Class::CatchAll, flow, netif)) {
                return at;
            }
            at = self.flows.next(at);
        }
        NONE
    }

    /// The start of the chain in which those with a flow's local port are, among others.
    fn first_on_port(&self, key: &HashKey, flow: &Flow) -> u32 {
        self.ports.first(Self::port_hash(key, flow.local.port, flow.lite))
    }

    /// Those with a local port, of whatever class.
    fn on_port(&self, key: &HashKey, port: u16, lite: bool) -> impl Iterator<Item = (u32, &UdpPcb)> {
        let mut at = self.ports.first(Self::port_hash(key, port, lite));
        core::iter::from_fn(move || {
            while at != NONE {
                let (position, pcb) = (at, self.slots.at(at as usize));
                at = self.ports.next(at);
                if let Some(pcb) = pcb.filter(|pcb| pcb.flow.local.port == port && pcb.flow.lite == lite) {
                    return Some((position, pcb));
                }
            }
            None
        })
    }

    /// Puts a control block into the chains that its class and flow say.
    fn link(&mut self, key: &HashKey, position: u32) {
        let Some(pcb) = self.slots.at_mut(position as usize) else { return };
        let (flow, class) = (pcb.flow, pcb.class);
        let local = flow.local.address;
        let group = local.is_multicast() || local.is_broadcast() || local.is_unspecified();
        pcb.from = if group { Address::ANY } else { local };
        pcb.mark = flow.mark(class);
        if let Some(at) = CLASSES.iter().position(|&other| other == class) {
            self.population[at] += 1;
            self.flows.insert(flow.hash(key, class), position);
            self.ports.insert(Self::port_hash(key, flow.local.port, flow.lite), position);
        }
    }

    /// Takes a control block out of its chains, before its class or flow changes.
    fn unlink(&mut self, key: &HashKey, position: u32) {
        let Some(pcb) = self.slots.at(position as usize) else { return };
        let (flow, class) = (pcb.flow, pcb.class);
        if let Some(at) = CLASSES.iter().position(|&other| other == class) {
            self.population[at] -= 1;
            self.flows.remove(flow.hash(key, class), position);
            self.ports.remove(Self::port_hash(key, flow.local.port, flow.lite), position);
        }
    }
}
