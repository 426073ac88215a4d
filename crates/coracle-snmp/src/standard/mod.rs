//! The objects that every agent has, ready to be parts of a [`Tree`](crate::mib::Tree).
//!
//! An image pays for those that it names. What is read from a stack is there when the agent is told of one.

mod address;
mod enterprise;
mod host;
mod interfaces;
mod ip;
mod management;
mod system;
mod transport;

pub use enterprise::CORACLE;
pub use host::HOST;
pub use interfaces::INTERFACES;
pub use ip::IP;
pub use management::MANAGEMENT;
pub use system::SYSTEM;
pub use transport::{TCP, UDP};

use crate::mib::Node;

/// What [`sysObjectID`](crate::Setup::object_id) is unless set: a place that net-snmp gives away for experiments.
/// A product has its own enterprise number.
pub const ENTERPRISE: &[u32] = &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 67];

/// Every part.
pub const ALL: &[&[Node<'static>]] = &[SYSTEM, INTERFACES, IP, TCP, UDP, HOST, CORACLE, MANAGEMENT];

#[cfg(test)]
mod tests;
