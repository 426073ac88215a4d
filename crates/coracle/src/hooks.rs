//! Places where an application has a say in what the stack does with packets; lwIP: the `LWIP_HOOK_*` macros.

use core::net::IpAddr;

use coracle_buf::Pbuf;
use coracle_wire::ethernet::Tci;
use coracle_wire::{EtherType, MacAddr};

use crate::address::Address;
use crate::engine::Engine;
use crate::netif::NetifHandle;

/// What an application decides within the stack: a firewall, address translation, routes by policy, tunnels.
///
/// Every method has the stack's own behaviour as its default. A stack without hooks pays nothing for them; with hooks,
/// every packet takes the longer way in. Hooks are called in the middle of things, with nothing but their arguments: they
/// cannot call the stack.
///
/// ```
/// use coracle::{Hooks, NetifHandle, Pbuf};
///
/// /// Lets no ICMP in.
/// struct Firewall;
/// impl Hooks for Firewall {
///     fn input(&self, _netif: NetifHandle, packet: Pbuf) -> Option<Pbuf> {
///         (packet.get_at(9) != Some(1)).then_some(packet)
///     }
/// }
/// static FIREWALL: Firewall = Firewall;
/// # fn example(stack: &mut coracle::Stack<()>) {
/// stack.set_hooks(Some(&FIREWALL));
/// # }
/// ```
#[allow(unused_variables, reason = "the defaults need nothing")]
pub trait Hooks: Sync {
    /// An IP packet came in, from its header on, before anything is known of it but that it is meant for the interface's
    /// station or a group. What is not handed back is eaten. lwIP: `LWIP_HOOK_IP4_INPUT`, `LWIP_HOOK_IP6_INPUT`.
    fn input(&self, netif: NetifHandle, packet: Pbuf) -> Option<Pbuf> {
        Some(packet)
    }

    /// A frame that is neither IP nor ARP came in, without its link header. What is not handed back is eaten.
    /// lwIP: `LWIP_HOOK_UNKNOWN_ETH_PROTOCOL`.
    fn unknown_ether_type(&self, netif: NetifHandle, ether_type: EtherType, frame: Pbuf) -> Option<Pbuf> {
        Some(frame)
    }

    /// Whether a tagged frame is taken; `wanted` is the interface's VLAN, zero if it is in none.
    /// lwIP: `LWIP_HOOK_VLAN_CHECK`.
    fn vlan_check(&self, netif: NetifHandle, tci: Tci, wanted: u16) -> bool {
        tci.vid() == wanted
    }

    /// The tag of frames to a station, on an interface in a VLAN, whose own is `tci`. lwIP: `LWIP_HOOK_VLAN_SET`.
    fn vlan_set(&self, netif: NetifHandle, to: MacAddr, ether_type: EtherType, tci: Tci) -> Tci {
        tci
    }

    /// The interface by which packets to a destination leave whose sender demanded none, from an address if it chose
    /// one. The answer is remembered until routes or interfaces change, or [`Stack::forget_ways`] is called.
    /// lwIP: `LWIP_HOOK_IP4_ROUTE_SRC`, `LWIP_HOOK_IP6_ROUTE`.
    ///
    /// [`Stack::forget_ways`]: crate::Stack::forget_ways
    fn route(&self, source: Option<IpAddr>, destination: IpAddr) -> Option<NetifHandle> {
        None
    }

    /// The router by which packets to a destination go that is not on the link, remembered as long as
    /// [`route`](Self::route). lwIP: `LWIP_HOOK_ETHARP_GET_GW`, `LWIP_HOOK_ND6_GET_GW`.
    fn gateway(&self, netif: NetifHandle, destination: IpAddr) -> Option<IpAddr> {
        None
    }

    /// Whether a packet that came in on an interface may be sent on, from its IP header on. It is dropped without a word
    /// if not. lwIP: `LWIP_HOOK_IP4_CANFORWARD`.
    fn may_forward(&self, netif: NetifHandle, packet: &Pbuf) -> bool {
        true
    }
}

impl Engine {
    pub(crate) fn set_hooks(&mut self, hooks: Option<&'static dyn Hooks>) {
        self.hooks = hooks;
        for slot in 0..self.netifs.capacity() {
            if let Some(interface) = self.netifs.at_mut(slot) {
                interface.change(|interface| interface.hooked = hooks.is_some());
            }
        }
        self.forget_ways();
    }

    /// Shows an IP packet that came in to the application; the packet, unless it was eaten.
    pub(crate) fn hook_input(&self, netif: usize, packet: Pbuf) -> Option<Pbuf> {
        match (self.hooks, self.netif_handle(netif)) {
            (Some(hooks), Some(netif)) => hooks.input(netif, packet),
            _ => Some(packet),
        }
    }

    /// The interface that the application wants packets to leave by.
    pub(crate) fn hooked_route(&self, destination: Address, from: Address) -> Option<NetifHandle> {
        let source = (!from.is_unspecified()).then(|| from.to_ip());
        let netif = self.hooks?.route(source, destination.to_ip())?;
        self.netif_slot(netif).ok().map(|_| netif)
    }

    /// The router that the application wants packets to go by.
    pub(crate) fn hooked_gateway(&self, netif: NetifHandle, destination: Address) -> Option<Address> {
        let gateway = self.hooks?.gateway(netif, destination.to_ip())?;
        let gateway = Address::from_ip(gateway, Some(netif.slot())).ok()?;
        (gateway.is_one_host() && gateway.is_v4() == destination.is_v4()).then_some(gateway)
    }
}
