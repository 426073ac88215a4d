use super::*;
use crate::frames::{Ipv4, arp, ethernet, icmp, udp, udp_lite};
use coracle::MacAddr;
use coracle::wire::EtherType;

const ONE: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const TWO: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);

fn good_frames() -> Vec<Vec<u8>> {
    let ipv4 = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2]);
    let quoted = ipv4.packet(17, &udp(1, 2, b"quoted"));
    let packets = [
        ipv4.packet(1, &icmp(8, 0, [1, 2, 3, 4], b"data")),
        ipv4.packet(1, &icmp(3, 3, [0; 4], &quoted)),
        ipv4.packet(17, &udp(1, 2, b"data!")),
        ipv4.packet(136, &udp_lite(1, 2, 0, b"data!")),
    ];
    let mut frames: Vec<_> =
        packets.iter().map(|packet| ethernet(ONE, TWO, None, EtherType::IPV4, packet)).collect();
    let request = arp(1, (TWO, [192, 0, 2, 2]), (MacAddr::ZERO, [192, 0, 2, 1]));
    frames.push(ethernet(MacAddr::BROADCAST, TWO, None, EtherType::ARP, &request));
    frames
}

#[test]
fn good_frames_pass_and_no_cut_one_does() {
    for frame in good_frames() {
        assert_eq!(check(&frame, LinkType::Ethernet), Ok(()), "{frame:02x?}");
        for len in 0..frame.len() {
            assert!(check(&frame[..len], LinkType::Ethernet).is_err(), "{len} bytes of {frame:02x?}");
        }
    }
}

#[test]
fn a_changed_byte_behind_the_link_header_is_found() {
    for frame in good_frames() {
        let is_arp = frame[13] == 6;
        for at in 14..frame.len() {
            let mut frame = frame.clone();
            frame[at] ^= 0x55;
            let harmless = is_arp && (28..42).contains(&at);
            assert_eq!(check(&frame, LinkType::Ethernet).is_ok(), harmless, "byte {at} of {frame:02x?}");
        }
    }
}

#[test]
fn an_error_about_an_error_is_found() {
    let ipv4 = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2]);
    let inner = ipv4.packet(1, &icmp(3, 3, [0; 4], &ipv4.packet(17, &udp(1, 2, b""))));
    let outer = ipv4.packet(1, &icmp(3, 1, [0; 4], &inner));
    assert_eq!(check(&outer, LinkType::Ip).unwrap_err(), "an ICMP error about an ICMP error");
}
