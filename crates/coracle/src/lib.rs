//! **Coracle**, a light TCP/IP stack with the raw (native, callback) API of lwIP.
//!
//! An application is a set of callbacks ([`Handler`]) that the stack ([`Stack`]) invokes in one execution context.
//! No operating system, no allocator and no thread is needed; nothing ever blocks. The owner of the stack hands in
//! frames and the time, and pulls frames out.
//!
//! ```
//! use core::net::{Ipv4Addr, SocketAddr};
//! use coracle::*;
//!
//! struct Echo;
//! impl Handler for Echo {
//!     fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
//!         drop(udp.send_to(data, from));
//!     }
//! }
//!
//! let mut arena = Arena::heap();
//! let memory = Memory::new(&mut arena, MemoryLimits::default())?;
//! let mut stack = Stack::new(&mut arena, Limits::default(), memory, Config::new([7; 16]))?;
//! let address = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24);
//! let netif = stack.netif_add(&NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2)).ipv4(address))?;
//! stack.netif(netif)?.set_up(true)?;
//! let echo = stack.udp_new(Echo)?;
//! stack.udp(echo)?.bind("0.0.0.0:7".parse().unwrap())?;
//!
//! // The owner's loop: what came in, what is due, what goes out.
//! let now = Instant::from_millis(1);
//! // stack.input(netif, frame, now)?;
//! let wake_at = stack.poll(now);
//! while let Some(frame) = stack.transmit(netif) {
//!     assert_eq!(frame.len(), 42);
//! }
//! assert_eq!(wake_at, None);
//! # Ok::<(), Error>(())
//! ```
//!
//! A packet's way through the stack is the order of the folders: `link`, `ip`, then `icmp`, `udp` or `raw`, then
//! `api`. The engine (`engine.rs`) is all protocol state without callbacks; the layer in `api` turns its events into
//! calls.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "dhcp")]
mod acd;
mod address;
mod api;
#[cfg(feature = "dhcp")]
mod autoconf;
#[cfg(feature = "dhcp")]
mod autoip;
mod config;
mod counters;
#[cfg(feature = "dhcp")]
mod dhcp;
#[cfg(feature = "dns")]
mod dns;
mod engine;
mod error;
mod event;
mod hooks;
mod icmp;
mod ip;
mod link;
#[cfg(test)]
mod mdns;
mod multicast;
#[cfg(feature = "ipv6")]
mod nd;
mod netif;
mod random;
mod raw;
mod service;
#[cfg(feature = "sntp")]
mod sntp;
mod table;
mod tcp;
mod time;
mod udp;

#[cfg(feature = "alloc")]
pub use api::Boxed;
#[cfg(feature = "sntp")]
pub use api::SntpServer;
pub use api::{
    AddressView, Admission, Handler, Inspect, ListenerHandle, Netif, NetifView, Raw, RawHandle, RawSend,
    Refused, Stack, Tcp, TcpHandle, TcpListener, TcpListenerHandle, TcpView, Timeout, TimeoutHandle, Udp,
    UdpHandle, UdpSend, UdpView,
};
#[cfg(feature = "dns")]
pub use api::{DnsQuery, Resolved};
#[cfg(feature = "ipv6")]
pub use api::{Ipv6Address, Ipv6Advertised};
pub use config::{Config, Limits};
pub use coracle_buf as buf;
pub use coracle_buf::{Arena, Kind, Layer, Memory, MemoryLimits, Pbuf, PbufFlags, StaticArena};
pub use coracle_wire as wire;
pub use coracle_wire::ethernet::Tci;
pub use coracle_wire::{EtherType, MacAddr};
pub use counters::{
    ArpCounters, Counters, DhcpCounters, GroupCounters, IcmpCounters, IpCounters, LinkCounters, NdCounters,
    RawCounters, TcpCounters, UdpCounters,
};
#[cfg(feature = "dhcp-server")]
pub use dhcp::DhcpServerConfig;
#[cfg(feature = "dhcp")]
pub use dhcp::{ClientId, ConflictCheck, DhcpConfig, DhcpLease, DhcpOptions, DhcpState};
#[cfg(feature = "dns")]
pub use dns::{DnsConfig, DnsCounters, DnsError, DnsLimits, Lookup};
pub use error::{Error, Rejected};
pub use event::{IcmpError, IcmpErrorKind, Trouble};
pub use hooks::Hooks;
pub use ip::AddressState;
pub use ip::{Cast, PacketInfo, Route};
pub use link::{Neighbour, NeighbourState};
pub use multicast::FilterMode;
#[cfg(feature = "ipv6")]
pub use nd::{InterfaceId, Ipv6Settings, RouterSettings};
pub use netif::{
    Checksums, Hostname, Ipv4Settings, Medium, NetifConfig, NetifCounters, NetifEvent, NetifHandle, Reasons,
};
#[cfg(feature = "sntp")]
pub use sntp::{SntpConfig, SntpCounters, SntpTime};
pub use tcp::{
    AckSample, CUBIC, CongestionControl, CongestionWindow, Cubic, NEW_RENO, NewReno, Shutdown, SynCookies,
    TcpConfig, TcpInfo, TcpState, TcpUsage,
};
pub use time::Instant;
