//! Independent lwIP stacks in one process, as the other side of a benchmark or of an interoperability test.
//!
//! lwIP keeps its state in globals, so a process that links it has exactly one stack. This crate loads the system's
//! `liblwip.so.0` (Debian and Ubuntu: package `liblwip0`) once per [`Stack`], each time from a copy under another
//! file name: the dynamic linker takes a copy for another library and gives it globals of its own.
//!
//! The library is used the way a firmware's main loop uses lwIP: no stack thread, [`Stack::input`] for a received
//! frame, callbacks from inside it, [`Stack::check_timeouts`] for the timers. What the stack transmits waits
//! in a queue that [`Stack::pop_frame`] empties.
//!
//! Two properties of Debian's build matter to whoever measures it:
//!
//! * its `PBUF_POOL` buffers cannot hold a full frame, so frames are received into `PBUF_RAM`;
//! * its heap and pools are the C library's `malloc`, assertions are on, and checksums are computed and verified in
//!   software on every packet.
//!
//! The C declarations are this crate's own. They describe lwIP 2.1 as Debian configures it for 64-bit Linux; a library
//! with another layout is noticed when the interface is added and refused with [`Error::Layout`].
//!
//! ```no_run
//! use coracle_lwip_peer::{Config, Stack};
//! use std::net::Ipv4Addr;
//!
//! let stack = Stack::new(&Config {
//!     hardware_address: [2, 0, 0, 0, 0, 1],
//!     address: Ipv4Addr::new(192, 0, 2, 1),
//!     netmask: Ipv4Addr::new(255, 255, 255, 0),
//!     mtu: 1500,
//! })?;
//! stack.udp_bind(7, |datagram| {
//!     let _ = datagram.reply();
//! })?;
//! # Ok::<(), coracle_lwip_peer::Error>(())
//! ```
// The only crate of the benchmark that needs `unsafe`: it calls C.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod error;
mod ffi;
mod library;
mod stack;
mod tcp;

pub use error::Error;
pub use stack::{Config, Datagram, Frame, Stack, UdpSocket};
pub use tcp::{TcpHandler, TcpSocket};

#[cfg(test)]
mod tests;
