//! A seeded network simulator for the Coracle TCP/IP stack.
//!
//! * [`impair`]: what a bad wire does to frames (delay, loss, reordering, duplication, corruption, a narrow link, a
//!   partition), as a deterministic machine that the simulator's wires and the host's relay share;
//! * [`pcap`]: captures that Wireshark and tshark open.
#![forbid(unsafe_code)]

pub mod impair;
pub mod pcap;
