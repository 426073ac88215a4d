//! Checksums of what IPv6 carries.

use coracle::wire::checksum::{Sum, pseudo_v6};
use coracle::wire::ipv4::protocol;
use coracle::wire::ipv6::HEADER_LEN;
use coracle::wire::ipv6::extension::{Extension, Limits, Walk};

use super::{put, word};

/// Makes the checksum of what an IPv6 packet carries right, unless it is a fragment other than the first.
pub fn repair_ipv6(packet: &mut [u8]) {
    if packet.len() < HEADER_LEN {
        return;
    }
    let end = (HEADER_LEN + usize::from(u16::from_be_bytes([packet[4], packet[5]]))).min(packet.len());
    let packet = &mut packet[..end];
    let mut walk = Walk::new(packet, packet[6], Limits { headers: 255, options: 255 });
    let mut first = true;
    while let Ok(Some(extension)) = walk.step() {
        first = !matches!(extension, Extension::Fragment(fragment) if fragment.offset() != 0);
    }
    let (number, at) = (walk.next_header(), walk.at().min(end));
    let address = |at: usize| <[u8; 16]>::try_from(&packet[at..at + 16]).unwrap_or_default().into();
    let (source, destination) = (address(8), address(24));
    let payload = &mut packet[at..];
    let pseudo = |len: usize| pseudo_v6(source, destination, number, len as u32);
    match number {
        _ if !first => {}
        protocol::ICMPV6 if payload.len() >= 4 => fill(payload, 2, pseudo(payload.len()), payload.len()),
        protocol::TCP if payload.len() >= 18 => fill(payload, 16, pseudo(payload.len()), payload.len()),
        protocol::UDP | protocol::UDP_LITE if payload.len() >= 8 => {
            let covered = usize::from(word(payload, 4).unwrap_or_default());
            let covered = if (8..=payload.len()).contains(&covered) { covered } else { payload.len() };
            let len = if number == protocol::UDP { covered } else { payload.len() };
            fill(payload, 6, pseudo(len), covered);
            if word(payload, 6) == Some(0) {
                put(payload, 6, 0xffff);
            }
        }
        _ => {}
    }
}

/// Puts the checksum over the first bytes of a payload at a place in it.
fn fill(payload: &mut [u8], at: usize, pseudo: Sum, covered: usize) {
    put(payload, at, 0);
    let sum = pseudo.add_bytes(&payload[..covered]).finish();
    put(payload, at, sum);
}
