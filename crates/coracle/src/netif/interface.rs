//! The state of one interface.

use core::net::Ipv4Addr;

use coracle_buf::{Error, Pbuf, PbufQueue};
use coracle_wire::MacAddr;
use coracle_wire::ethernet::{self, Tci};

use super::change::PendingChange;
use super::{Checksums, Hostname, Ipv4Settings, Medium, NetifConfig};
use crate::address::Address;
use crate::counters::count;
use crate::link::fdb::Ports;
#[cfg(feature = "ipv6")]
use crate::nd::Nd;

/// What went through an interface; the names are those of the interfaces MIB [RFC 2863].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetifCounters {
    /// Bytes of frames received.
    pub in_octets: u64,
    /// Unicast frames received.
    pub in_unicast: u64,
    /// Broadcast and multicast frames received.
    pub in_non_unicast: u64,
    /// Frames received and dropped although nothing was wrong with them: interface down, or no memory.
    pub in_discards: u64,
    /// Frames received and dropped as malformed.
    pub in_errors: u64,
    /// Frames of a type that nobody takes.
    pub in_unknown_protocols: u64,
    /// Bytes of frames queued for the device.
    pub out_octets: u64,
    /// Unicast frames queued.
    pub out_unicast: u64,
    /// Broadcast and multicast frames queued.
    pub out_non_unicast: u64,
    /// Frames dropped on their way out: the interface went down with frames in its queue.
    pub out_discards: u64,
}

/// An interface of a stack.
pub(crate) struct Interface {
    pub(crate) medium: Medium,
    pub(crate) name: [u8; 2],
    pub(crate) mtu: u16,
    pub(crate) up: bool,
    pub(crate) link_up: bool,
    pub(crate) accept_any: bool,
    pub(crate) group_reports: bool,
    /// Packets to others that come in are sent on.
    pub(crate) forwards: bool,
    /// Gone for its owner; the slot is kept until the listeners were told.
    pub(crate) removed: bool,
    pub(crate) checksums: Checksums,
    /// Whether packets can go through it. It follows from the fields before.
    pub(crate) ready: bool,
    /// Frames need no closer look than at their addresses and type. It follows from the fields after.
    pub(crate) plain: bool,
    pub(crate) vlan: Option<Tci>,
    /// The application looks at what comes in.
    pub(crate) hooked: bool,
    /// The slot of the bridge that it is a port of.
    pub(crate) bridge: Option<u8>,
    /// It is a bridge, and these are its ports.
    pub(crate) is_bridge: bool,
    pub(crate) ports: Ports,
    pub(crate) ipv4: Ipv4Settings,
    /// The network's broadcast address, or the limited one where it has none of its own.
    pub(crate) broadcast: Ipv4Addr,
    pub(crate) hostname: Option<Hostname>,
    #[cfg(feature = "ipv6")]
    pub(crate) nd: Nd,
    /// The application's own.
    pub(crate) client_data: usize,
    pub(crate) queue: PbufQueue,
    pub(crate) queue_limit: usize,
    pub(crate) counters: NetifCounters,
    pub(crate) change: PendingChange,
}

impl Interface {
    /// An interface that is down, with its link up.
    pub(crate) fn new(config: &NetifConfig) -> Self {
        let mut interface = Self {
            medium: config.medium,
            name: config.name,
            mtu: config.mtu,
            up: false,
            link_up: true,
            accept_any: config.accept_any,
            group_reports: config.group_reports,
            forwards: config.forwarding,
            removed: false,
            checksums: config.checksums,
            ready: false,
            plain: config.vlan.is_none(),
            vlan: config.vlan,
            hooked: false,
            bridge: None,
            is_bridge: config.bridge,
            ports: Ports::NONE,
            ipv4: Ipv4Settings::NONE,
            broadcast: Ipv4Addr::BROADCAST,
            hostname: config.hostname,
            #[cfg(feature = "ipv6")]
            nd: Nd::new(config.ipv6),
            client_data: 0,
            queue: PbufQueue::new(),
            queue_limit: config.queue,
            counters: NetifCounters::default(),
            change: PendingChange::default(),
        };
        interface.set_ipv4(config.ipv4);
        interface
    }

    /// Changes anything but the address.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        self.ready = self.up && self.link_up && !self.removed;
        self.plain = self.vlan.is_none() && self.bridge.is_none() && !self.hooked;
    }

    pub(crate) fn set_ipv4(&mut self, settings: Ipv4Settings) {
        self.ipv4 = settings;
        let own_broadcast = self.has_address() && settings.prefix_len() < 31;
        self.broadcast = if own_broadcast {
            Ipv4Addr::from_bits(settings.address.to_bits() | !settings.netmask.to_bits())
        } else {
            Ipv4Addr::BROADCAST
        };
    }

    /// The longest packet to a destination; routers may say that it is shorter on this link [RFC 4861 §4.6.4].
    #[inline]
    pub(crate) fn mtu_for(&self, destination: Address) -> u16 {
        #[cfg(feature = "ipv6")]
        if self.nd.mtu != 0 && !destination.is_v4() {
            return self.mtu.min(self.nd.mtu);
        }
        let _ = destination;
        self.mtu
    }

    /// Whether packets can go through it.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    #[inline]
    pub(crate) fn has_address(&self) -> bool {
        !self.ipv4.address.is_unspecified()
    }

    /// Whether an address is on the network of this interface's own.
    #[inline]
    pub(crate) fn is_on_link(&self, address: Ipv4Addr) -> bool {
        let difference = address.to_bits() ^ self.ipv4.address.to_bits();
        self.has_address() && difference & self.ipv4.netmask.to_bits() == 0
    }

    #[inline]
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address == self.broadcast || address == Ipv4Addr::BROADCAST
    }

    /// The bytes that the link puts in front of a packet.
    #[inline]
    pub(crate) fn link_header_len(&self) -> usize {
        match (self.medium, self.vlan) {
            (Medium::Ethernet(_), None) => ethernet::HEADER_LEN,
            (Medium::Ethernet(_), Some(_)) => ethernet::HEADER_LEN + ethernet::VLAN_TAG_LEN,
            (Medium::Ip | Medium::Loopback, _) => 0,
        }
    }

    #[inline]
    pub(crate) fn mac(&self) -> Option<MacAddr> {
        match self.medium {
            Medium::Ethernet(address) => Some(address),
            Medium::Ip | Medium::Loopback => None,
        }
    }

    /// Whether the device's queue takes one more frame.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < self.queue_limit
    }

    /// How many more frames it takes.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.queue_limit.saturating_sub(self.queue.len())
    }

    /// Queues a frame for the device.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "every packet that leaves goes through here")]
    pub(crate) fn enqueue(&mut self, frame: Pbuf, unicast: bool) -> Result<(), (Error, Pbuf)> {
        let octets = frame.len() as u64;
        self.queue.push_back(frame)?;
        count!(self.counters.out_octets, octets);
        if unicast {
            count!(self.counters.out_unicast);
        } else {
            count!(self.counters.out_non_unicast);
        }
        Ok(())
    }
}
