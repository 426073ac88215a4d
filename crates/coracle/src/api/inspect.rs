//! A look at all that a stack has, for management.

use core::net::{IpAddr, SocketAddr};

use coracle_buf::Memory;

use super::Stack;
use crate::config::Config;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::ip::{AddressState, Route};
use crate::link::{Neighbour, NeighbourState};
use crate::netif::{Interface, Ipv4Settings, Medium, NetifCounters, NetifHandle};
use crate::tcp::{TcpState, TcpUsage};
use crate::time::Instant;
use crate::udp::{Class, UdpPcb};

/// A look at a stack that changes nothing, whatever its handlers are.
///
/// Tables are seen by their places, of which some are empty, so that a caller may go on where it was.
///
/// ```
/// # fn example<H>(stack: &coracle::Stack<H>) {
/// let inspect = stack.inspect();
/// let open = (0..inspect.tcp_places()).filter_map(|place| inspect.tcp_at(place)).count();
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Inspect<'a>(&'a Engine);

/// An interface, as [`Inspect::netif_at`] shows it.
#[derive(Clone, Copy, Debug)]
pub struct NetifView {
    /// Its name in the stack.
    pub handle: NetifHandle,
    /// The two letters of its name.
    pub name: [u8; 2],
    /// What it is on.
    pub medium: Medium,
    /// The longest packet that it takes, in bytes.
    pub mtu: u16,
    /// Whether its owner has set it up.
    pub up: bool,
    /// Whether its link is up.
    pub link_up: bool,
    /// Whether packets to others that come in on it are sent on.
    pub forwarding: bool,
    /// Its IPv4 address.
    pub ipv4: Ipv4Settings,
    /// What went through it.
    pub counters: NetifCounters,
    /// Frames that wait for its device.
    pub queued: usize,
}

/// An address of an interface, as [`Inspect::address_at`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressView {
    /// The interface.
    pub netif: NetifHandle,
    /// The address.
    pub address: IpAddr,
    /// The length of the prefix that is on the link, in bits.
    pub prefix_len: u8,
    /// What may be done with it; those of IPv4 are preferred.
    pub state: AddressState,
}

/// A TCP connection or listener, as [`Inspect::tcp_at`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpView {
    /// This end.
    pub local: SocketAddr,
    /// The other end; of a listener, the unspecified address and port 0.
    pub remote: SocketAddr,
    /// Its state.
    pub state: TcpState,
}

/// A UDP control block, as [`Inspect::udp_at`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpView {
    /// This end.
    pub local: SocketAddr,
    /// The other end, if it is connected.
    pub remote: Option<SocketAddr>,
    /// Whether it speaks UDP-Lite.
    pub lite: bool,
}

impl<H> Stack<H> {
    /// A look at all that the stack has.
    pub fn inspect(&self) -> Inspect<'_> {
        Inspect(&self.engine)
    }
}

impl core::fmt::Debug for Inspect<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Inspect").field("now", &self.0.now).finish_non_exhaustive()
    }
}

impl<'a> Inspect<'a> {
    /// The latest time that the stack was told.
    pub fn now(&self) -> Instant {
        self.0.now
    }

    /// What happened so far, counted.
    pub fn counters(&self) -> &'a Counters {
        &self.0.counters
    }

    /// The memory that the stack takes its buffers from.
    pub fn memory(&self) -> &'a Memory {
        &self.0.memory
    }

    /// How the stack is configured.
    pub fn config(&self) -> &'a Config {
        &self.0.config
    }

    /// How many interfaces there may be.
    pub fn netif_places(&self) -> usize {
        self.0.netifs.capacity()
    }

    /// The interface in a place; its index is the place and one.
    pub fn netif_at(&self, place: usize) -> Option<NetifView> {
        let (key, interface) = self.0.netifs.entry_at(place).filter(|(_, interface)| !interface.removed)?;
        let Interface { name, medium, mtu, up, link_up, forwards: forwarding, ipv4, counters, .. } =
            *interface;
        let handle = NetifHandle(key);
        Some(NetifView {
            handle,
            name,
            medium,
            mtu,
            up,
            link_up,
            forwarding,
            ipv4,
            counters,
            queued: interface.queue.len(),
        })
    }

    /// How many addresses there may be: one of IPv4 for each interface, and those of IPv6 behind them.
    pub fn address_places(&self) -> usize {
        #[cfg(feature = "ipv6")]
        return self.0.netifs.capacity() + self.0.addresses.v6.capacity();
        #[cfg(not(feature = "ipv6"))]
        self.0.netifs.capacity()
    }

    /// The address in a place.
    pub fn address_at(&self, place: usize) -> Option<AddressView> {
        #[cfg(feature = "ipv6")]
        if let Some(place) = place.checked_sub(self.0.netifs.capacity()) {
            let entry = self.0.addresses.v6.at(place)?;
            return Some(AddressView {
                netif: self.0.netif_handle(entry.netif as usize)?,
                address: entry.address.to_ip(),
                prefix_len: entry.prefix_len,
                state: entry.state,
            });
        }
        let view = self.netif_at(place).filter(|view| !view.ipv4.address.is_unspecified())?;
        Some(AddressView {
            netif: view.handle,
            address: view.ipv4.address.into(),
            prefix_len: view.ipv4.prefix_len(),
            state: AddressState::Preferred,
        })
    }

    /// How many neighbours there may be.
    pub fn neighbour_places(&self) -> usize {
        self.0.neighbours.capacity()
    }

    /// The neighbour in a place.
    pub fn neighbour_at(&self, place: usize) -> Option<Neighbour> {
        let entry = self.0.neighbours.at(place)?;
        Some(Neighbour {
            netif: self.0.netif_handle(entry.netif as usize)?,
            address: entry.address.to_ip(),
            station: (entry.state != NeighbourState::Incomplete).then_some(entry.mac),
            state: entry.state,
            pending: entry.pending.len(),
        })
    }

    /// How many routes there are.
    pub fn route_places(&self) -> usize {
        self.0.routes.len()
    }

    /// The route in a place: those that follow from addresses, too.
    pub fn route_at(&self, place: usize) -> Option<Route> {
        self.0.routes.at(place)
    }

    /// How many TCP connections, listeners and connections in TIME-WAIT there may be.
    pub fn tcp_places(&self) -> usize {
        let tcp = &self.0.tcp;
        tcp.slots.capacity() + tcp.listeners.capacity() + tcp.time_waits.capacity()
    }

    /// The connection or listener in a place.
    pub fn tcp_at(&self, place: usize) -> Option<TcpView> {
        let tcp = &self.0.tcp;
        if let Some(pcb) = tcp.slots.at(place) {
            let (local, remote) = (pcb.flow.local.to_socket(), pcb.flow.remote.to_socket());
            return (pcb.state != TcpState::Closed).then_some(TcpView { local, remote, state: pcb.state });
        }
        let place = place.checked_sub(tcp.slots.capacity())?;
        if let Some(listener) = tcp.listeners.at(place) {
            let local = listener.local.to_socket();
            let nobody = match local {
                SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
                SocketAddr::V6(_) => SocketAddr::from(([0_u16; 8], 0)),
            };
            return Some(TcpView { local, remote: nobody, state: TcpState::Listen });
        }
        let flow = tcp.time_waits.flow_at(&self.0.hash_key, place.checked_sub(tcp.listeners.capacity())?)?;
        let (local, remote) = (flow.local.to_socket(), flow.remote.to_socket());
        Some(TcpView { local, remote, state: TcpState::TimeWait })
    }

    /// How much of what TCP was allotted is in use.
    pub fn tcp_usage(&self) -> TcpUsage {
        TcpUsage::of(&self.0.tcp)
    }

    /// How many TCP connections there may be.
    pub fn tcp_limit(&self) -> usize {
        self.0.tcp.slots.capacity()
    }

    /// How many UDP control blocks there may be.
    pub fn udp_places(&self) -> usize {
        self.0.udp.slots.capacity()
    }

    /// The UDP control block in a place, if it takes anything.
    pub fn udp_at(&self, place: usize) -> Option<UdpView> {
        let UdpPcb { flow, class, .. } = self.0.udp.slots.at(place)?;
        let remote = (*class == Class::Connected).then(|| flow.remote.to_socket());
        let bound = *class != Class::Unbound;
        bound.then(|| UdpView { local: flow.local.to_socket(), remote, lite: flow.lite })
    }
}
