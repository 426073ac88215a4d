//! Addresses from a server: the DHCP client for IPv4 [RFC 2131].
//!
//! The client is a state machine that knows no interface and no clock: what it needs of these is a [`Port`]. It is told
//! of messages, of the time, of the link and of ARP packets, and acts through the port.
//!
//! [`Port`]: crate::autoconf::Port

mod client;
mod config;
mod lease;
mod message;
#[cfg(feature = "dhcp-server")]
pub(crate) mod server;
#[cfg(test)]
mod tests;

pub(crate) use client::Client;
pub use client::DhcpState;
pub use config::{ClientId, ConflictCheck, DhcpConfig, DhcpOptions};
pub use lease::DhcpLease;
#[cfg(feature = "dns")]
pub(crate) use lease::dns_servers;
#[cfg(feature = "dhcp-server")]
pub use server::DhcpServerConfig;
