//! The Internet Protocol: IPv4 in and out, routes, multicast groups.

pub(crate) mod groups;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod packet;
pub(crate) mod route;
pub(crate) mod sum;

pub use packet::{Cast, PacketInfo};
pub use route::Route;
