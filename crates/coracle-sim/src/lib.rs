//! A seeded network simulator for the Coracle TCP/IP stack.
//!
//! * [`network`]: two to a hundred stacks in virtual time, repeatable from a seed and watched at every step;
//! * [`impair`]: what a bad wire does to frames (delay, loss, reordering, duplication, corruption, a narrow link, a
//!   partition), as a deterministic machine that the simulator's wires and the host's relay share;
//! * [`pcap`]: captures that Wireshark and tshark open;
//! * [`rig`]: one stack under hostile input, with [`frames`] made by hand, damaged ones whose checksums are
//!   [repaired](repair), and a [judge] of everything that the stack sends;
//! * [`mutate`]: frames damaged in every way that a description of their fields allows.
#![forbid(unsafe_code)]

pub mod frames;
pub mod impair;
pub mod judge;
pub mod mutate;
pub mod network;
pub mod pcap;
mod random;
pub mod repair;
pub mod rig;
