//! Whether neighbours are still there [RFC 4861 §7.3]. The entries are those that ARP has too.

use core::time::Duration;

use coracle_wire::MacAddr;

use crate::address::Address;
use crate::engine::Engine;
use crate::link::NeighbourState;
use crate::tcp::ticks;

/// How long an upper layer has, to show that a neighbour is there, before it is asked [RFC 4861 §10].
const DELAY_FIRST_PROBE: Duration = Duration::from_secs(5);
/// Solicitations before a neighbour counts as gone, to the group and to itself alike.
const MAX_SOLICITATIONS: u8 = 3;

/// What an advertisement says of its sender.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) station: Option<MacAddr>,
    pub(super) router: bool,
    pub(super) solicited: bool,
    pub(super) overrides: bool,
}

impl Engine {
    /// A stale entry is used: for a while nothing is done about it [4861-6].
    pub(crate) fn nud_delay(&mut self, position: usize) {
        if let Some(entry) = self.neighbours.at_mut(position) {
            entry.state = NeighbourState::Delay;
            self.wheel.set(self.timers.neighbour(position), self.now + DELAY_FIRST_PROBE);
        }
    }

    /// The timer of an entry came [4861-6].
    pub(crate) fn nud_timer(&mut self, position: usize) {
        let Some(entry) = self.neighbours.at_mut(position) else { return };
        match entry.state {
            NeighbourState::Reachable => entry.state = NeighbourState::Stale,
            NeighbourState::Delay => self.nud_delay_over(position),
            NeighbourState::Incomplete | NeighbourState::Probe if entry.attempts < MAX_SOLICITATIONS => {
                self.ask(position);
            }
            NeighbourState::Incomplete | NeighbourState::Probe => {
                let (netif, address) = (entry.netif, entry.address);
                self.give_up(position);
                self.router_unreachable(netif, address);
            }
            NeighbourState::Stale | NeighbourState::Static | NeighbourState::Refreshing => {}
        }
    }

    fn nud_delay_over(&mut self, position: usize) {
        let Some(entry) = self.neighbours.at(position) else { return };
        if self.tcp_heard_through(entry.netif as usize, entry.address) {
            return self.nud_reachable(position);
        }
        if let Some(entry) = self.neighbours.at_mut(position) {
            entry.state = NeighbourState::Probe;
            entry.attempts = 0;
            self.ask(position);
        }
    }

    /// [4861-14] Whether a connection got an answer by way of a neighbour while its entry waited. This is asked for when it
    /// matters, so that no segment pays for it.
    fn tcp_heard_through(&self, netif: usize, neighbour: Address) -> bool {
        let now = ticks(self.now);
        let waited = (DELAY_FIRST_PROBE.as_micros() >> 10) as u32;
        let handle = self.netif_handle(netif);
        self.tcp.slots.iter().any(|(_, pcb)| {
            let remote = pcb.flow.remote.address;
            let heard = pcb.state.is_synchronized() && now.wrapping_sub(pcb.heard_at) <= waited;
            heard
                && !remote.is_v4()
                && (remote == neighbour
                    || self
                        .routes
                        .find(remote, |netif| Some(netif) == handle)
                        .is_some_and(|route| route.gateway == neighbour))
        })
    }

    /// The neighbour is there: it was asked and has answered, or an upper layer heard of it.
    fn nud_reachable(&mut self, position: usize) {
        let Some(entry) = self.neighbours.at_mut(position) else { return };
        entry.state = NeighbourState::Reachable;
        entry.attempts = 0;
        let (netif, address) = (entry.netif, entry.address);
        let reachable = self.netifs.at(netif as usize).map_or(Duration::ZERO, |netif| netif.nd.reachable);
        self.wheel.set(self.timers.neighbour(position), self.now + reachable);
        self.router_reachable(netif, address);
    }

    /// Its station is known, but nobody has said that packets reach it.
    fn nud_stale(&mut self, position: usize) {
        if let Some(entry) = self.neighbours.at_mut(position) {
            entry.state = NeighbourState::Stale;
            entry.attempts = 0;
            self.wheel.cancel(self.timers.neighbour(position));
        }
    }

    /// An advertisement came [4861-8]: the table of RFC 4861 §7.2.5. Nobody is entered who was not asked for.
    pub(super) fn nud_advertised(&mut self, netif: usize, target: Address, claim: Claim) {
        let Some(position) = self.neighbours.find(&self.hash_key, netif, target) else { return };
        let Some(entry) = self.neighbours.at_mut(position) else { return };
        if entry.state == NeighbourState::Static {
            return;
        }
        let was_router = entry.router;
        let incomplete = entry.state == NeighbourState::Incomplete;
        let differs = claim.station.is_some_and(|station| station != entry.mac);
        if incomplete {
            let Some(station) = claim.station else { return };
            entry.mac = station;
        } else if differs && !claim.overrides {
            if entry.state == NeighbourState::Reachable {
                self.nud_stale(position);
            }
            return;
        } else if let Some(station) = claim.station {
            entry.mac = station;
        }
        entry.router = claim.router;
        let mac = entry.mac;
        if claim.solicited {
            self.nud_reachable(position);
        } else if incomplete || differs {
            self.nud_stale(position);
        }
        if incomplete {
            self.send_pending(netif, position, mac);
        }
        if was_router && !claim.router {
            self.router_gone(netif as u32, target);
        }
    }

    /// Whoever sent a message told its station, or another's: what is known is replaced, and nobody gives way for it
    /// [own-ND]. What a
    /// message says of who is a router counts too.
    pub(super) fn nud_heard(&mut self, netif: usize, address: Address, mac: MacAddr, router: Option<bool>) {
        let found = self.neighbours.find(&self.hash_key, netif, address);
        let position = match found {
            Some(position) => position,
            None if self.neighbours.is_full() => return,
            None => match self.new_neighbour(netif, address, mac, NeighbourState::Stale) {
                Ok(position) => position,
                Err(_) => return,
            },
        };
        let Some(entry) = self.neighbours.at_mut(position) else { return };
        if let Some(router) = router {
            entry.router = router;
        }
        let incomplete = entry.state == NeighbourState::Incomplete;
        if entry.state == NeighbourState::Static || entry.mac == mac && !incomplete {
            return;
        }
        entry.mac = mac;
        self.nud_stale(position);
        self.send_pending(netif, position, mac);
    }
}
