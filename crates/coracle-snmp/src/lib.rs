//! SNMP for the **Coracle** TCP/IP stack: an agent that network managers accept.
//!
//! No allocator is needed, and nothing blocks.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod ber;
mod message;
mod oid;
mod pdu;
mod value;

pub use message::{Message, Version};
pub use oid::{Arcs, MAX_ARCS, Oid, OidError, OidRef};
pub use pdu::{Binding, BindingIter, Bindings, ErrorStatus, GenericTrap, Pdu, PduKind, TRAP_V1, TrapV1};
pub use value::Value;
