use std::vec::Vec;

use super::*;
use crate::checksum::checksum;
use crate::ipv4::{self, Ipv4Fields, protocol};

/// A captured echo request: identifier 0x1234, sequence 1, sixteen bytes.
const PING: [u8; 24] = [
    0x08, 0x00, 0xad, 0x8a, 0x12, 0x34, 0x00, 0x01, //
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
];

/// An IP packet with these options and this payload.
fn datagram(options: &[u8], fragment_offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = [0; ipv4::MAX_HEADER_LEN];
    let fields = Ipv4Fields {
        total_len: (ipv4::HEADER_LEN + options.len() + payload.len()) as u16,
        fragment_offset,
        protocol: protocol::UDP,
        ..Ipv4Fields::default()
    };
    let len = ipv4::write_header_with_options(&mut packet, &fields, options).unwrap();
    [&packet[..len], payload].concat()
}

#[test]
fn reads_an_echo_request() {
    let header = IcmpHeader::read(&PING).unwrap();
    assert_eq!((header.kind, header.code, header.checksum()), (ECHO_REQUEST, 0, 0xad8a));
    assert_eq!((header.identifier(), header.sequence()), (0x1234, 1));
    assert_eq!(checksum(&PING), 0);
}

#[test]
fn writes_an_echo_request() {
    let mut bytes = PING;
    bytes[..HEADER_LEN].fill(0xaa);
    write(bytes.first_chunk_mut().unwrap(), ECHO_REQUEST, 0, echo(0x1234, 1));
    let sum = checksum(&bytes);
    bytes[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(bytes, PING);
}

#[test]
fn reads_the_fields_of_errors() {
    let bytes = [3, 4, 0, 0, 0, 0, 0x05, 0xdc];
    assert_eq!(IcmpHeader::read(&bytes).unwrap().mtu(), 1500);
    let bytes = [12, 0, 0, 0, 20, 0, 0, 0];
    assert_eq!(IcmpHeader::read(&bytes).unwrap().pointer(), 20);
}

/// A cut message, as in CVE-2018-16527 and CVE-2020-11910.
#[test]
fn refuses_every_shorter_length() {
    for len in 0..=PING.len() {
        let expected = (len < HEADER_LEN).then_some(Malformed::Truncated);
        assert_eq!(IcmpHeader::read(&PING[..len]).err(), expected, "{len} bytes");
    }
}

/// [1122-ICMP-3]
#[test]
fn knows_errors_from_queries() {
    let errors: Vec<u8> = (0..=255).filter(|kind| is_error(*kind)).collect();
    assert_eq!(errors, [3, 4, 5, 11, 12]);
}

#[test]
fn quotes_a_datagram() {
    let whole = datagram(&[], 0, &[0, 7, 0xc0, 0, 0, 13, 0, 0, b'h', b'e', b'l', b'l', b'o']);
    let quoted = read_quoted(&whole[..28]).unwrap();
    assert_eq!(quoted.header.total_len(), 33);
    assert_eq!(quoted.transport, &whole[20..28]);
    assert_eq!(quoted.ports(), Some((7, 49152)));

    // What lies behind the datagram, such as an extension [RFC 4884], is no part of it.
    let trailed = [&whole[..], &[0xee; 20]].concat();
    assert_eq!(read_quoted(&trailed).unwrap().transport, &whole[20..]);
}

#[test]
fn quotes_a_datagram_with_options() {
    let whole = datagram(&[1; 40], 0, &[0x12, 0x34, 0x56, 0x78]);
    let quoted = read_quoted(&whole).unwrap();
    assert_eq!(quoted.transport, [0x12, 0x34, 0x56, 0x78]);
    assert_eq!(quoted.ports(), Some((0x1234, 0x5678)));
}

#[test]
fn a_late_fragment_has_no_ports() {
    let whole = datagram(&[], 8, &[0; 8]);
    let quoted = read_quoted(&whole).unwrap();
    assert_eq!((quoted.transport.len(), quoted.ports()), (8, None));
}

/// Every length of a quotation: what the peer left out is never read.
#[test]
fn quotes_every_shorter_length() {
    let whole = datagram(&[1, 1, 1, 0], 0, &[9; 8]);
    for len in 0..=whole.len() {
        match read_quoted(&whole[..len]) {
            Ok(quoted) => {
                assert_eq!(quoted.transport, &whole[24..len]);
                assert_eq!(quoted.ports().is_some(), len >= 28);
            }
            Err(error) => assert_eq!((error, len < 24), (Malformed::Truncated, true), "{len} bytes"),
        }
    }
}

#[test]
fn refuses_to_quote_what_is_not_ipv4() {
    let mut bytes = datagram(&[], 0, &[0; 8]);
    bytes[0] = 0x65;
    assert_eq!(read_quoted(&bytes), Err(Malformed::Version));
    bytes[0] = 0x44;
    assert_eq!(read_quoted(&bytes), Err(Malformed::Length));
    bytes[0] = 0x4f;
    assert_eq!(read_quoted(&bytes), Err(Malformed::Truncated));
    // Quoted as shorter than its own header: never a length below zero.
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&[0, 19]);
    assert_eq!(read_quoted(&bytes), Err(Malformed::Length));
}
