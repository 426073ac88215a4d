//! Packet formats of the Coracle TCP/IP stack: typed views over bytes, and the Internet checksum.
//!
//! One module per protocol, and the same shape in each:
//!
//! * a `#[repr(C)]` header type whose `read` checks what can be checked from the bytes at hand and returns a reference into
//!   them, so nothing is copied and no input panics;
//! * a `write` that fills a header in place, in a fixed-size array, so that it cannot fail;
//! * accessors in host byte order.
//!
//! Readers see the first contiguous bytes of a packet. Whatever needs the whole packet (its length against the bytes that
//! arrived, the checksum over a chain of buffers) is the caller's check, and the functions for it are here:
//! [`checksum::Sum`], [`udp::udp_length`], [`ipv4::Ipv4Header::total_len`].
//!
//! ```
//! use coracle_wire::ethernet::{self, EtherType, EthernetHeader, MacAddr};
//!
//! let mut frame = [0; 60];
//! let source = MacAddr::new(2, 0, 0, 0, 0, 1);
//! EthernetHeader::write(frame.first_chunk_mut().unwrap(), MacAddr::BROADCAST, source, EtherType::ARP);
//!
//! let header = EthernetHeader::read(&frame)?;
//! assert_eq!(header.source, source);
//! assert_eq!(header.ether_type(), EtherType::ARP);
//! assert!(EthernetHeader::read(&frame[..ethernet::HEADER_LEN - 1]).is_err());
//! # Ok::<(), coracle_wire::Malformed>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod arp;
pub mod checksum;
pub mod dhcpv4;
pub mod dhcpv6;
pub mod dns;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod membership;
pub mod mld;
pub mod ndp;
pub mod ntp;
pub mod tcp;
pub mod udp;

mod malformed;
#[cfg(test)]
mod testing;

pub use ethernet::{EtherType, MacAddr};
pub use malformed::Malformed;
