//! Checksums made right again, so that a damaged frame gets past the checksum and its damage is looked at.

mod ipv6;

use coracle::wire::checksum::{Sum, pseudo_v4};
use coracle::wire::ethernet::{EtherType, HEADER_LEN, VLAN_TAG_LEN};
use coracle::wire::ipv4::protocol;

use crate::pcap::LinkType;

pub use ipv6::repair_ipv6;

/// Makes every checksum of a frame right, as far as the frame goes: IPv4, ICMP, IGMP, TCP, UDP and UDP-Lite, behind VLAN
/// tags too, and those that IPv6 carries behind extension headers.
///
/// A frame whose lengths contradict each other gets the checksum that a receiver would look for, over the bytes that
/// are there. A UDP checksum of zero (none) stays, and so does what lies beyond a packet's end.
pub fn repair(frame: &mut [u8], link: LinkType) {
    let start = match link {
        LinkType::Ip => 0,
        LinkType::Ethernet => match ip_start(frame) {
            Some(start) => start,
            None => return,
        },
    };
    match frame.get_mut(start..) {
        Some(packet) if packet.first().is_some_and(|first| first >> 4 == 6) => repair_ipv6(packet),
        Some(packet) => repair_ipv4(packet),
        None => {}
    }
}

fn ip_start(frame: &[u8]) -> Option<usize> {
    let mut at = HEADER_LEN;
    loop {
        match EtherType(word(frame, at - 2)?) {
            EtherType::VLAN | EtherType::QINQ => at += VLAN_TAG_LEN,
            EtherType::IPV4 | EtherType::IPV6 => return Some(at),
            _ => return None,
        }
    }
}

/// Makes the checksums of an IPv4 packet right.
pub fn repair_ipv4(packet: &mut [u8]) {
    if packet.len() < 20 {
        return;
    }
    let header_len = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len());
    put(packet, 10, 0);
    let sum = Sum::new().add_bytes(&packet[..header_len]).finish();
    put(packet, 10, sum);
    let total_len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let first_fragment = [packet[6] & 0x1f, packet[7]] == [0, 0];
    let end = total_len.clamp(header_len, packet.len());
    let number = packet[9];
    let address = |at: usize| <[u8; 4]>::try_from(&packet[at..at + 4]).unwrap_or_default().into();
    let (source, destination) = (address(12), address(16));
    let payload = &mut packet[header_len..end];
    let len = payload.len() as u16;
    match number {
        _ if !first_fragment => {}
        protocol::ICMP | protocol::IGMP if payload.len() >= 4 => {
            put(payload, 2, 0);
            let sum = Sum::new().add_bytes(payload).finish();
            put(payload, 2, sum);
        }
        protocol::TCP if payload.len() >= 18 => {
            put(payload, 16, 0);
            let sum = pseudo_v4(source, destination, number, len).add_bytes(payload).finish();
            put(payload, 16, sum);
        }
        protocol::UDP if payload.len() >= 8 && payload[6..8] != [0, 0] => {
            let covered = u16::from_be_bytes([payload[4], payload[5]]);
            let covered = if (8..=len).contains(&covered) { covered } else { len };
            put(payload, 6, 0);
            let sum = pseudo_v4(source, destination, number, covered).add_bytes(&payload[..covered.into()]);
            put(payload, 6, sum.finish_nonzero());
        }
        protocol::UDP_LITE if payload.len() >= 8 => {
            let covered = u16::from_be_bytes([payload[4], payload[5]]);
            let covered = if (8..=len).contains(&covered) { covered } else { len };
            put(payload, 6, 0);
            let sum = pseudo_v4(source, destination, number, len).add_bytes(&payload[..covered.into()]);
            put(payload, 6, sum.finish_nonzero());
        }
        _ => {}
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
