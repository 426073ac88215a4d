use std::net::SocketAddr;

use super::decode::{Decoded, DecodedBody, decode};
use super::{Ends, build};
use crate::language::ast::{Ecn, Icmp, IpFields, Tcp, TcpOption, flag};

fn ends(v6: bool) -> Ends {
    let (source, destination) =
        if v6 { ("[2001:db8::1]:7", "[2001:db8::2]:8") } else { ("192.0.2.1:7", "192.0.2.2:8") };
    Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn segment() -> Tcp {
    Tcp {
        flags: flag::ACK | flag::PSH | flag::URG | flag::AE,
        seq: 0xffff_fff0,
        payload: 33,
        ack: Some(77),
        window: Some(1_234),
        urgent: Some(9),
        options: Some(vec![
            TcpOption::Nop,
            TcpOption::Nop,
            TcpOption::Timestamps { value: 1, echo: 2 },
            TcpOption::Nop,
            TcpOption::Nop,
            TcpOption::Sack(vec![(5, 6), (7, 8)]),
            TcpOption::Raw(vec![253, 4, 1, 2]),
        ]),
    }
}

#[test]
fn what_is_built_reads_back() {
    let fields = IpFields { ecn: Some(Ecn::Ect0), tos: Some(0x28), ttl: Some(9), ..IpFields::default() };
    for v6 in [false, true] {
        let decoded = decode(&build::tcp(ends(v6), fields, &segment()).unwrap()).unwrap();
        let body = DecodedBody::Tcp(segment());
        assert_eq!(
            decoded,
            Decoded { ends: ends(v6), tos: 0x2a, ttl: 9, flow_label: 0, dont_fragment: v6, body }
        );
        let decoded = decode(&build::udp(ends(v6), fields, 11).unwrap()).unwrap();
        assert_eq!(decoded.body, DecodedBody::Udp { payload: 11 });
        let kind = if v6 { 128 } else { 8 };
        let echo = Icmp { v6, kind, code: None, mtu: None, echo: Some((1, 2)), payload: 3, quoted: None };
        let decoded = decode(&build::icmp(ends(v6), fields, &echo, &[]).unwrap()).unwrap();
        let body = DecodedBody::Icmp { v6, kind, code: 0, rest: [0, 1, 0, 2], payload: vec![0; 3] };
        assert_eq!(decoded.body, body);
    }
}

/// Every byte counts: there is none that may change unseen.
#[test]
fn a_changed_byte_is_seen() {
    let packet = build::tcp(ends(false), IpFields::default(), &segment()).unwrap();
    let whole = decode(&packet).unwrap();
    for at in 0..packet.len() {
        let mut changed = packet.clone();
        changed[at] ^= 0x10;
        assert_ne!(decode(&changed).ok(), Some(whole.clone()), "byte {at}");
    }
    for len in 0..packet.len() {
        assert!(decode(&packet[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn what_cannot_be_built() {
    let with = |options| Tcp { options: Some(options), ..segment() };
    let many = with(vec![TcpOption::Timestamps { value: 0, echo: 0 }; 5]);
    assert!(build::tcp(ends(false), IpFields::default(), &many).is_err());
    let long = Tcp { payload: 65_516, options: None, ..segment() };
    assert!(build::tcp(ends(false), IpFields::default(), &long).is_err());
    let icmp =
        Icmp { v6: false, kind: 3, code: Some(4), mtu: Some(70_000), echo: None, payload: 0, quoted: None };
    assert!(build::icmp(ends(false), IpFields::default(), &icmp, &[]).is_err());
}

#[test]
fn a_payload_that_is_not_zero_is_no_payload_of_a_script() {
    let mut packet = build::udp(ends(false), IpFields::default(), 4).unwrap();
    packet[30] = 1;
    // No checksum, so that only the payload is wrong [RFC 768].
    packet[26..28].copy_from_slice(&[0, 0]);
    assert_eq!(decode(&packet), Err("byte 2 of the payload is 0x01, not zero".into()));
    let source: SocketAddr = "192.0.2.1:7".parse().unwrap();
    packet[30] = 0;
    assert_eq!(decode(&packet).unwrap().ends.source, source);
}
