//! The link layer: Ethernet frames, and the cache of the stations behind IP addresses, which ARP and neighbour
//! discovery fill.

pub(crate) mod arp;
pub(crate) mod bridge;
pub(crate) mod ethernet;
pub(crate) mod fdb;
pub(crate) mod neighbours;
pub(crate) mod resolve;

pub(crate) use ethernet::LinkHeader;
pub use neighbours::{Neighbour, NeighbourState};
