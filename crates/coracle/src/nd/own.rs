//! Our own addresses: made, examined, taken, deprecated, given up [RFC 4862 §5] [RFC 8981].

use core::time::Duration;

use super::dad::{Examination, Step};
use super::identifier::{self, InterfaceId, Origin};
use super::lifetime::Lifetimes;
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::addresses::{AddressState, HostAddress};
use crate::netif::{Interface, Medium};
use crate::time::Instant;

/// How many times another address is tried in place of one that somebody has, and how long that waits
/// [RFC 7217 §7].
const MOST_CONFLICTS: u8 = 3;
const CONFLICT_DELAY: Duration = Duration::from_secs(1);
/// The longest wait before the first message on a link, so that hosts do not speak all at once [4862-8].
const MOST_DELAY_US: u32 = 1_000_000;
/// Temporary addresses: how long they are ours and preferred, by how much the second differs, and how long before its end
/// another takes over [RFC 8981 §3.8].
const TEMPORARY_VALID: Duration = Duration::from_hours(48);
const TEMPORARY_PREFERRED: Duration = Duration::from_hours(24);
const MOST_DESYNC_S: u32 = 24 * 3_600 * 2 / 5;
const REGENERATE_AHEAD: Duration = Duration::from_secs(5);
/// Addresses of advertised prefixes on one interface, temporary ones counted in.
const MOST_ADVERTISED: usize = 16;

/// Who made an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Made {
    /// The owner of the stack.
    ByOwner,
    /// The stack, for the link.
    LinkLocal,
    /// The stack, of a prefix that a router advertised.
    OfPrefix,
}

/// What is kept for an address besides what it is.
#[derive(Clone, Copy)]
pub(crate) struct Auto {
    pub(crate) made: Made,
    pub(crate) lifetimes: Lifetimes,
    pub(super) examination: Examination,
    /// How many addresses before it turned out to be somebody else's.
    conflicts: u8,
    /// A temporary address has taken over from this one.
    succeeded: bool,
}

impl Auto {
    pub(crate) const BY_OWNER: Self = Self::new(Made::ByOwner, Lifetimes::FOREVER);

    const fn new(made: Made, lifetimes: Lifetimes) -> Self {
        Self { made, lifetimes, examination: Examination::new(0), conflicts: 0, succeeded: false }
    }
}

impl Engine {
    /// An interface can send: it gets its own addresses, and those that it has are examined (again: it may be on another
    /// link now).
    pub(crate) fn nd_up(&mut self, netif: usize) {
        let Some(interface) = self.netifs.at_mut(netif) else { return };
        if interface.medium == Medium::Loopback {
            return;
        }
        interface.nd.disabled = false;
        let auto = interface.nd.settings.auto;
        let random = &mut self.random;
        interface.nd.draw_reachable(|bound| random.below(bound));
        let delay = self.nd_delay();
        for at in 0..self.addresses.v6.capacity() {
            if self.addresses.v6.at(at).is_some_and(|entry| entry.netif as usize == netif) {
                self.address_begin(at, delay);
            }
        }
        let has_link_local = |engine: &Self| {
            let mut entries = engine.addresses.v6.iter().map(|(_, entry)| entry);
            entries.any(|entry| entry.netif as usize == netif && entry.address.is_link_local())
        };
        if auto && !has_link_local(self) {
            let prefix = [0xfe, 0x80, 0, 0, 0, 0, 0, 0];
            self.address_make(netif, prefix, Auto::new(Made::LinkLocal, Lifetimes::FOREVER), false, delay);
        }
    }

    /// It can no longer: nothing is asked any more. What was learnt holds for its time.
    pub(crate) fn nd_down(&mut self, netif: usize) {
        for at in 0..self.addresses.v6.capacity() {
            if self
                .addresses
                .v6
                .at(at)
                .is_some_and(|entry| entry.netif as usize == netif && entry.state == AddressState::Tentative)
            {
                self.wheel.cancel(self.timers.address(at));
            }
        }
        if let Some(interface) = self.netifs.at_mut(netif) {
            interface.nd.solicit_at = None;
        }
        self.nd_end_advertising(netif);
        self.wheel.cancel(self.timers.nd(netif));
    }

    /// An address is there: it is examined first, if the interface wants that [4862-1].
    pub(crate) fn address_begin(&mut self, at: usize, delay: Duration) {
        let Some(entry) = self.addresses.v6.at_mut(at) else { return };
        let netif = entry.netif as usize;
        let Some(interface) = self.netifs.at(netif) else { return };
        let settings = &interface.nd.settings;
        let checks = if interface.mac().is_some() { settings.duplicate_checks } else { 0 };
        if checks == 0 || entry.address.is_loopback() {
            return self.address_ours(at);
        }
        // A router is asked for its address too soon, and an owner's choice is no chance number [RFC 4429 §3.1].
        let optimistic = settings.optimistic && !interface.nd.is_router() && entry.auto.made != Made::ByOwner;
        entry.state = if optimistic { AddressState::Optimistic } else { AddressState::Tentative };
        entry.auto.examination = Examination::new(checks);
        if interface.is_ready() {
            self.wheel.set(self.timers.address(at), self.now + delay);
        }
        self.after_v6(netif);
    }

    /// The timer of an address came.
    pub(crate) fn address_timer(&mut self, at: usize) {
        let Some(entry) = self.addresses.v6.at_mut(at) else { return };
        if !matches!(entry.state, AddressState::Tentative | AddressState::Optimistic) {
            return self.address_age(at);
        }
        let (netif, address) = (entry.netif as usize, entry.address);
        let before = entry.auto.examination;
        match entry.auto.examination.step(self.random.next_u64()) {
            Step::Ours => self.address_ours(at),
            Step::Ask(nonce) => {
                // [4862-2]
                self.mld_hasten(netif);
                if self.nd_examine(netif, address, nonce).is_err()
                    && let Some(entry) = self.addresses.v6.at_mut(at)
                {
                    // What was not asked cannot be answered.
                    entry.auto.examination = before;
                }
                self.wheel.set(self.timers.address(at), self.now + self.nd_retry(netif));
            }
        }
    }

    /// Nobody else has it.
    fn address_ours(&mut self, at: usize) {
        let Some(entry) = self.addresses.v6.at_mut(at) else { return };
        entry.state = AddressState::Preferred;
        let (netif, link_local) = (entry.netif as usize, entry.address.is_link_local());
        self.after_v6(netif);
        self.address_age(at);
        if link_local {
            self.nd_begin_routers(netif);
        }
    }

    /// Sees what has come to its end, and when something ends next.
    fn address_age(&mut self, at: usize) {
        let now = self.now;
        let Some(entry) = self.addresses.v6.at_mut(at) else { return };
        let lifetimes = entry.auto.lifetimes;
        let (netif, before) = (entry.netif as usize, entry.state);
        if lifetimes.valid <= now {
            self.remove_v6(at);
            return self.after_v6(netif);
        }
        let preferred = lifetimes.preferred > now;
        if let AddressState::Preferred | AddressState::Deprecated = before {
            entry.state = if preferred { AddressState::Preferred } else { AddressState::Deprecated };
        }
        let changed = entry.state != before;
        let hand_over = entry.temporary && !entry.auto.succeeded && preferred;
        let mut next = lifetimes.next_change(now);
        if hand_over {
            if lifetimes.ends_by_its_cap_within(now, REGENERATE_AHEAD) {
                entry.auto.succeeded = true;
                let prefix = prefix_of(entry.address);
                self.address_succeed(netif, prefix);
            } else {
                next = next.min(lifetimes.cap_less(REGENERATE_AHEAD));
            }
        }
        if changed {
            self.after_v6(netif);
        }
        if next < Instant::MAX {
            self.wheel.set(self.timers.address(at), next);
        } else {
            self.wheel.cancel(self.timers.address(at));
        }
    }

    /// Another temporary address, for as long as the stable one of its prefix lives.
    fn address_succeed(&mut self, netif: usize, prefix: [u8; 8]) {
        let is_stable = |entry: &HostAddress| {
            !entry.temporary && entry.netif as usize == netif && prefix_of(entry.address) == prefix
        };
        let stable = self.addresses.v6.iter().find(|(_, entry)| is_stable(entry));
        if let Some(lifetimes) = stable.map(|(_, entry)| entry.auto.lifetimes) {
            self.address_temporary(netif, prefix, lifetimes);
        }
    }

    /// Makes a temporary address [RFC 8981 §3.4].
    fn address_temporary(&mut self, netif: usize, prefix: [u8; 8], lifetimes: Lifetimes) {
        let desync = Duration::from_secs(self.random.below(MOST_DESYNC_S).into());
        let preferred = self.now + TEMPORARY_PREFERRED.saturating_sub(desync);
        let lifetimes = lifetimes.capped(preferred, self.now + TEMPORARY_VALID);
        self.address_make(netif, prefix, Auto::new(Made::OfPrefix, lifetimes), true, Duration::ZERO);
    }

    /// Makes an address of a prefix.
    fn address_make(&mut self, netif: usize, prefix: [u8; 8], auto: Auto, temporary: bool, delay: Duration) {
        let Some(interface) = self.netifs.at(netif) else { return };
        let identifier = match (temporary, interface.nd.settings.interface_id, interface.mac()) {
            (true, ..) => self.random_identifier(),
            (_, InterfaceId::Fixed(identifier), _) => identifier.to_be_bytes(),
            (_, InterfaceId::Eui64, Some(mac)) => identifier::eui64(mac),
            (_, InterfaceId::Stable | InterfaceId::Eui64, _) => {
                let [a, b] = interface.name;
                let origin = Origin {
                    secret: self.config.address_secret.as_ref().unwrap_or(&self.config.seed),
                    prefix,
                    netif: [netif as u8, a, b],
                    conflicts: auto.conflicts,
                };
                origin.stable()
            }
        };
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&prefix);
        octets[8..].copy_from_slice(&identifier);
        let entry = HostAddress {
            address: Address::v6(octets, netif),
            netif: netif as u32,
            prefix_len: 64,
            state: AddressState::Tentative,
            temporary,
            auto,
        };
        match self.add_v6(entry) {
            Ok(at) => self.address_begin(at, delay),
            Err(_) => count!(self.counters.nd.addresses_refused),
        }
    }

    fn random_identifier(&mut self) -> [u8; 8] {
        loop {
            let identifier = self.random.next_u64();
            if !identifier::is_reserved(identifier) {
                return identifier.to_be_bytes();
            }
        }
    }

    /// Somebody says that an address is his [4862-3]. What is ours already stays ours.
    pub(super) fn address_claimed(&mut self, at: usize) {
        let examined =
            |entry: &HostAddress| matches!(entry.state, AddressState::Tentative | AddressState::Optimistic);
        if self.addresses.v6.at(at).is_some_and(examined) {
            self.address_conflict(at);
        } else {
            count!(self.counters.nd.conflicts);
        }
    }

    /// Another host has an address, or is about to take it [RFC 4862 §5.4.5].
    pub(super) fn address_conflict(&mut self, at: usize) {
        count!(self.counters.nd.duplicates);
        self.wheel.cancel(self.timers.address(at));
        let Some(entry) = self.addresses.v6.at_mut(at) else { return };
        entry.state = AddressState::Duplicated;
        let entry = *entry;
        let netif = entry.netif as usize;
        self.after_v6(netif);
        let Some(interface) = self.netifs.at_mut(netif) else { return };
        let of_hardware =
            interface.nd.settings.interface_id == InterfaceId::Eui64 && interface.mac().is_some();
        let another = entry.temporary || interface.nd.settings.interface_id == InterfaceId::Stable;
        if entry.auto.made == Made::LinkLocal && of_hardware {
            // [4862-4] Whoever has the same hardware address must not be disturbed.
            interface.nd.disabled = true;
            return;
        }
        if entry.auto.made == Made::ByOwner || !another || entry.auto.conflicts >= MOST_CONFLICTS {
            return;
        }
        self.remove_v6(at);
        let auto = Auto { conflicts: entry.auto.conflicts + 1, ..entry.auto };
        self.address_make(netif, prefix_of(entry.address), auto, entry.temporary, CONFLICT_DELAY);
        self.after_v6(netif);
    }

    /// A router says that hosts may make addresses of a prefix, and for how long [RFC 4862 §5.5.3].
    pub(super) fn address_advertised(&mut self, netif: usize, prefix: [u8; 8], preferred: u32, valid: u32) {
        let now = self.now;
        let (mut stable, mut temporary, mut count) = (false, false, 0);
        for at in 0..self.addresses.v6.capacity() {
            let Some(entry) = self.addresses.v6.at_mut(at) else { continue };
            if entry.netif as usize != netif || entry.auto.made != Made::OfPrefix {
                continue;
            }
            count += 1;
            if prefix_of(entry.address) != prefix {
                continue;
            }
            stable |= !entry.temporary;
            temporary |= entry.temporary;
            entry.auto.lifetimes.renew(now, preferred, valid);
            if entry.is_ours() {
                self.address_age(at);
            }
        }
        if valid == 0 || count >= MOST_ADVERTISED {
            return;
        }
        let lifetimes = Lifetimes::new(now, preferred, valid);
        if !stable {
            let delay = self.nd_delay();
            self.address_make(netif, prefix, Auto::new(Made::OfPrefix, lifetimes), false, delay);
        }
        let wants =
            self.netifs.at(netif).is_some_and(|interface: &Interface| interface.nd.settings.temporary);
        if wants && !temporary && preferred > 0 && count + 1 < MOST_ADVERTISED {
            self.address_temporary(netif, prefix, lifetimes);
        }
    }

    /// A wait before what many hosts do at once, as an advertisement reaches all of them [4862-8].
    fn nd_delay(&mut self) -> Duration {
        Duration::from_micros(self.random.below(MOST_DELAY_US).into())
    }

    /// How long a solicitation waits for its answer.
    pub(crate) fn nd_retry(&self, netif: usize) -> Duration {
        self.netifs.at(netif).map_or(Duration::from_secs(1), |interface| interface.nd.retrans)
    }
}

/// The upper half of an address, as it is on the wire.
fn prefix_of(address: Address) -> [u8; 8] {
    address.wire_v6().first_chunk().copied().unwrap_or_default()
}
