//! The Internet Protocol in both versions: in and out, addresses, routes.

pub(crate) mod addresses;
#[cfg(feature = "dns")]
mod destination;
pub(crate) mod forward;
pub(crate) mod fragment;
mod fragment_input;
#[cfg(feature = "ipv6")]
mod fragment_input_v6;
pub(crate) mod input;
#[cfg(feature = "ipv6")]
pub(crate) mod input_v6;
mod learn;
pub(crate) mod output;
pub(crate) mod packet;
pub(crate) mod paths;
pub(crate) mod reassembly;
pub(crate) mod route;
#[cfg(feature = "ipv6")]
mod select;
pub(crate) mod sum;
pub(crate) mod way;

pub use addresses::AddressState;
pub(crate) use packet::Received;
pub use packet::{Cast, PacketInfo};
pub use route::Route;
