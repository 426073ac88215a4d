//! Address resolution protocol for IPv4 over Ethernet [RFC 826].

use core::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::malformed::prefix;
use crate::{EtherType, MacAddr, Malformed};

/// Length of an ARP packet for IPv4 over Ethernet in bytes; a frame may be padded behind it.
pub const LEN: usize = size_of::<ArpPacket>();

/// Operation: who has the target address?
pub const REQUEST: u16 = 1;

/// Operation: the sender has it.
pub const REPLY: u16 = 2;

/// Hardware type of Ethernet [RFC 826].
const ETHERNET: u16 = 1;

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ArpPacket {
    hardware_type: U16,
    protocol_type: U16,
    hardware_len: u8,
    protocol_len: u8,
    operation: U16,
    /// Hardware address of the sender.
    pub sender_mac: MacAddr,
    sender_ip: [u8; 4],
    /// Hardware address of the target; without meaning in a request.
    pub target_mac: MacAddr,
    target_ip: [u8; 4],
}

impl ArpPacket {
    /// The packet at the start of a frame's payload. Both types, both lengths and the size are checked [ARP-1];
    /// the operation and the addresses are the caller's to judge.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 28 bytes, [`Malformed::Type`] unless it speaks of IPv4 over Ethernet,
    /// [`Malformed::Length`] unless the addresses have 6 and 4 bytes.
    ///
    /// ```
    /// use coracle_wire::{MacAddr, arp::{self, ArpPacket}};
    ///
    /// let mut bytes = [0; arp::LEN];
    /// let sender = (MacAddr::new(2, 0, 0, 0, 0, 1), [192, 0, 2, 1].into());
    /// ArpPacket::write(&mut bytes, arp::REQUEST, sender, (MacAddr::ZERO, [192, 0, 2, 2].into()));
    ///
    /// let packet = ArpPacket::read(&bytes)?;
    /// assert_eq!((packet.sender_mac, packet.sender_ip()), sender);
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<&Self, Malformed> {
        let packet: &Self = prefix(bytes)?;
        if packet.hardware_type != ETHERNET || packet.protocol_type != EtherType::IPV4.0 {
            return Err(Malformed::Type);
        }
        if packet.hardware_len != 6 || packet.protocol_len != 4 {
            return Err(Malformed::Length);
        }
        Ok(packet)
    }

    /// Fills in a packet.
    #[inline]
    pub fn write(
        into: &mut [u8; LEN],
        operation: u16,
        sender: (MacAddr, Ipv4Addr),
        target: (MacAddr, Ipv4Addr),
    ) {
        *into = zerocopy::transmute!(Self {
            hardware_type: ETHERNET.into(),
            protocol_type: EtherType::IPV4.0.into(),
            hardware_len: 6,
            protocol_len: 4,
            operation: operation.into(),
            sender_mac: sender.0,
            sender_ip: sender.1.octets(),
            target_mac: target.0,
            target_ip: target.1.octets(),
        });
    }

    /// [`REQUEST`], [`REPLY`], or a value that is neither.
    #[inline]
    pub fn operation(&self) -> u16 {
        self.operation.get()
    }

    /// Protocol address of the sender; 0.0.0.0 in a probe [RFC 5227 §2.1.1].
    #[inline]
    pub fn sender_ip(&self) -> Ipv4Addr {
        self.sender_ip.into()
    }

    /// Protocol address of the target.
    #[inline]
    pub fn target_ip(&self) -> Ipv4Addr {
        self.target_ip.into()
    }
}

#[cfg(test)]
#[path = "arp_tests.rs"]
mod tests;
