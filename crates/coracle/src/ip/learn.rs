//! What ICMP teaches about paths: path MTUs and redirects, from those who can know.

use core::net::Ipv4Addr;

use super::packet::{Cast, Received};
use crate::address::Address;
use crate::engine::Engine;

/// The smallest MTU of an IPv4 path that an error makes us believe: below, routers may cut [RFC 1191 §3] [1191-1]. Who
/// forges errors shall not make us send crumbs.
pub(super) const LEAST_MTU_V4: u16 = 552;
/// The smallest of an IPv6 path: one that says less lies [8201-1].
const LEAST_MTU_V6: u16 = 1_280;

impl Engine {
    /// A router says that a packet of ours with `len` bytes was too long for a link that takes `mtu`, zero if it does not
    /// say. That the packet is ours is the caller's to know.
    #[cold]
    pub(crate) fn learn_path_mtu(&mut self, destination: Address, len: usize, mtu: u16) {
        let mtu = match mtu {
            0 => next_smaller(len),
            mtu => mtu,
        };
        // What fits cannot have been too long [RFC 5927 §7].
        let least = if destination.is_v4() { LEAST_MTU_V4 } else { LEAST_MTU_V6 };
        if len <= usize::from(mtu) || (mtu < least && !destination.is_v4()) {
            return;
        }
        let mtu = mtu.max(least);
        let Ok(hop) = self.route_to(destination, None) else { return };
        if hop.local || mtu >= hop.mtu {
            return;
        }
        self.paths.set_mtu(&self.hash_key, destination, mtu, self.now);
        self.set_paths_timer();
        self.forget_ways();
    }

    /// [1122-ICMP-9] A router says that another one on the same link is nearer to a destination. Believed only of who is
    /// the way there now, and of a neighbour that is neither us nor nobody.
    #[cold]
    pub(crate) fn learn_redirect(
        &mut self,
        info: &Received,
        destination: Ipv4Addr,
        gateway: Ipv4Addr,
    ) -> bool {
        let netif = info.netif.slot();
        let Some(interface) = self.netifs.at(netif) else { return false };
        let near = interface.is_on_link(gateway) && !interface.is_broadcast(gateway);
        if !self.config.accept_redirects || interface.forwards || !near || info.cast != Cast::Unicast {
            return false;
        }
        let (to, gateway) = (Address::v4(destination), Address::v4(gateway));
        if self.owner_of(gateway).is_some() || !to.is_one_host() {
            return false;
        }
        let Ok(hop) = self.route_to(to, None) else { return false };
        let from_first_hop = hop.netif == netif && hop.next == info.source && hop.next != to;
        if !from_first_hop || hop.local || hop.cast != Cast::Unicast {
            return false;
        }
        self.paths.set_gateway(&self.hash_key, to, netif, gateway, self.now);
        self.set_paths_timer();
        self.forget_ways();
        true
    }

    /// A neighbour does not answer: nothing goes by it that a redirect sent there.
    #[cold]
    pub(crate) fn forget_redirects_to(&mut self, netif: usize, gateway: Address) {
        if self.paths.forget_gateway(&self.hash_key, netif, gateway) {
            self.forget_ways();
        }
    }

    pub(crate) fn paths_timer(&mut self) {
        self.paths.expire(&self.hash_key, self.now);
        self.forget_ways();
        self.set_paths_timer();
    }

    fn set_paths_timer(&mut self) {
        let timer = self.timers.paths();
        match self.paths.next_deadline() {
            Some(deadline) => self.wheel.set(timer, deadline),
            None => self.wheel.cancel(timer),
        }
    }
}

/// The plateaus of RFC 1191 §7.1.
fn next_smaller(len: usize) -> u16 {
    const PLATEAUS: [u16; 8] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508];
    PLATEAUS.into_iter().find(|&plateau| usize::from(plateau) < len).unwrap_or(LEAST_MTU_V4)
}
