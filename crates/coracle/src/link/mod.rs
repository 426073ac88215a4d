//! The link layer: Ethernet frames, and ARP, which finds the stations behind IPv4 addresses.

pub(crate) mod arp;
pub(crate) mod ethernet;
pub(crate) mod neighbours;

pub(crate) use ethernet::LinkHeader;
pub use neighbours::{Neighbour, NeighbourState};
