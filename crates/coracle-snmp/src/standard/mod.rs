//! The objects that every agent has, ready to be parts of a [`Tree`](crate::mib::Tree).

use crate::mib::Node;

mod system;

pub use system::SYSTEM;

/// What [`sysObjectID`](crate::Setup::object_id) is unless set: a place that net-snmp gives away for experiments.
/// A product has its own enterprise number.
pub const ENTERPRISE: &[u32] = &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999];

/// Every part.
pub const ALL: &[&[Node<'static>]] = &[SYSTEM];
