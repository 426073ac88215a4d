use super::*;
use crate::frames::{Ipv4, arp, ethernet, icmp, tcp, udp, udp_lite};
use coracle::MacAddr;
use coracle::wire::EtherType;
use coracle::wire::tcp::{SackBlocks, TcpFields, TcpFlags, TcpOptions};

const ONE: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const TWO: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);

fn segment() -> TcpFields {
    TcpFields {
        source_port: 1,
        destination_port: 2,
        acknowledgment: 3,
        flags: TcpFlags::ACK,
        ..TcpFields::default()
    }
}

fn on_syn() -> TcpOptions {
    TcpOptions {
        mss: Some(1_460),
        window_scale: Some(14),
        sack_permitted: true,
        timestamps: Some((1, 2)),
        user_timeout: Some(5),
        ..TcpOptions::default()
    }
}

fn good_frames() -> Vec<Vec<u8>> {
    let ipv4 = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2]);
    let quoted = ipv4.packet(17, &udp(1, 2, b"quoted"));
    let packets = [
        ipv4.packet(1, &icmp(8, 0, [1, 2, 3, 4], b"data")),
        ipv4.packet(1, &icmp(3, 3, [0; 4], &quoted)),
        ipv4.packet(17, &udp(1, 2, b"data!")),
        ipv4.packet(136, &udp_lite(1, 2, 0, b"data!")),
        ipv4.packet(6, &tcp(&segment(), &TcpOptions::default(), b"data!")),
        ipv4.packet(
            6,
            &tcp(&TcpFields { flags: TcpFlags::SYN, acknowledgment: 0, ..segment() }, &on_syn(), b""),
        ),
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

#[test]
fn segments_that_contradict_themselves_are_found() {
    let ipv4 = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2]);
    let none = TcpOptions::default();
    let check = |fields: &TcpFields, options: &TcpOptions| {
        check(&ipv4.packet(6, &tcp(fields, options, b"")), LinkType::Ip).unwrap_err()
    };
    let with = |flags| TcpFields { flags, ..segment() };
    let (syn, rst, ack) = (TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK);
    assert_eq!(check(&with(syn | ack | TcpFlags::FIN), &none), "a SYN that ends the connection too");
    assert_eq!(check(&with(syn | ack | rst), &none), "a SYN that ends the connection too");
    assert_eq!(check(&with(TcpFlags::FIN), &none), "a segment of a connection without ACK");
    assert_eq!(check(&with(syn), &none), "an acknowledgment number without ACK");
    let urgent = TcpFields { urgent_pointer: 1, ..segment() };
    assert_eq!(check(&urgent, &none), "an urgent pointer without URG");

    let mss = TcpOptions { mss: Some(536), ..none };
    assert_eq!(check(&segment(), &mss), "an MSS option without SYN");
    let scale = TcpOptions { window_scale: Some(1), ..none };
    assert_eq!(check(&segment(), &scale), "a window scale without SYN, or above 14");
    let permitted = TcpOptions { sack_permitted: true, ..none };
    assert_eq!(check(&segment(), &permitted), "SACK permitted without SYN");
    let mut sack = SackBlocks::new();
    sack.push(1, 2);
    assert_eq!(check(&with(syn | ack), &TcpOptions { sack, ..none }), "SACK where nothing is acknowledged");

    let mut reserved = ipv4.packet(6, &tcp(&segment(), &none, b""));
    reserved[32] |= 0x08;
    crate::repair::repair_ipv4(&mut reserved);
    assert_eq!(super::check(&reserved, LinkType::Ip).unwrap_err(), "reserved bits of TCP that are set");
}
