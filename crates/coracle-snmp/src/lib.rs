//! SNMP for the **Coracle** TCP/IP stack: an agent that network managers accept.
//!
//! No allocator is needed, and nothing blocks.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod agent;
pub mod ber;
mod glue;
mod message;
pub mod mib;
mod oid;
mod pdu;
pub mod standard;
#[cfg(feature = "v3")]
pub mod v3;
mod value;

pub use agent::{Agent, Setup, State};
pub use glue::{AGENT_PORT, SnmpAgent, TRAP_PORT};
pub use message::{CommunityMessage, Message, Version};
pub use oid::{Arcs, MAX_ARCS, Oid, OidError, OidRef};
pub use pdu::{Binding, BindingIter, Bindings, ErrorStatus, GenericTrap, Pdu, PduKind, TRAP_V1, TrapV1};
pub use value::Value;
