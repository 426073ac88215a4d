use std::vec::Vec;

use etherparse::{Icmpv6Slice, Icmpv6Type};
use proptest::prelude::*;

use super::*;
use crate::icmpv4::echo;
use crate::ipv6::Ipv6Fields;
use crate::testing::{MOST, config};

const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DESTINATION: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// An echo request: identifier 0x1234, sequence 1, eight bytes.
const PING: [u8; 16] =
    [0x80, 0x00, 0x64, 0x6b, 0x12, 0x34, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07];

/// An IP packet with this payload.
fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; ipv6::HEADER_LEN];
    let fields = Ipv6Fields { payload_len: payload.len() as u16, next_header, ..Ipv6Fields::default() };
    ipv6::write_header(&mut header, &fields);
    [&header[..], payload].concat()
}

fn quoted(bytes: &[u8]) -> Result<Quoted<'_>, Malformed> {
    read_quoted(bytes, Limits::default())
}

#[test]
fn reads_an_echo_request() {
    let header = Icmpv6Header::read(&PING).unwrap();
    assert_eq!((header.kind, header.code, header.checksum()), (ECHO_REQUEST, 0, 0x646b));
    assert_eq!((header.identifier(), header.sequence()), (0x1234, 1));
    assert_eq!(checksum(SOURCE, DESTINATION, &PING), 0);
}

/// [4443-1]: as another implementation sums it, pseudo-header included.
#[test]
fn writes_an_echo_request() {
    let mut bytes = PING;
    bytes[..HEADER_LEN].fill(0xaa);
    write(bytes.first_chunk_mut().unwrap(), ECHO_REQUEST, 0, echo(0x1234, 1));
    let sum = checksum(SOURCE, DESTINATION, &bytes);
    bytes[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(bytes, PING);

    let other = Icmpv6Slice::from_slice(&bytes).unwrap();
    assert!(other.is_checksum_valid(SOURCE.octets(), DESTINATION.octets()));
    let Icmpv6Type::EchoRequest(other) = other.icmp_type() else { panic!("no echo request") };
    assert_eq!((other.id, other.seq), (0x1234, 1));
}

#[test]
fn reads_the_fields_of_errors() {
    let bytes = [2, 0, 0, 0, 0, 1, 0x05, 0xdc];
    assert_eq!(Icmpv6Header::read(&bytes).unwrap().mtu(), 0x105dc);
    let bytes = [4, 0, 0, 0, 0, 0, 0, 40];
    assert_eq!(Icmpv6Header::read(&bytes).unwrap().pointer(), 40);
}

#[test]
fn refuses_every_shorter_length() {
    for len in 0..=PING.len() {
        let expected = (len < HEADER_LEN).then_some(Malformed::Truncated);
        assert_eq!(Icmpv6Header::read(&PING[..len]).err(), expected, "{len} bytes");
    }
}

/// [4443-2] [4443-4]
#[test]
fn knows_errors_from_the_rest() {
    let silent: Vec<u8> = (100..=255).filter(|kind| provokes_no_error(*kind)).collect();
    assert_eq!(silent, (100..=127).chain([REDIRECT]).collect::<Vec<u8>>());
    assert!(is_error(PARAMETER_PROBLEM) && is_error(127) && !is_error(ECHO_REQUEST) && !is_error(REDIRECT));
}

/// [4443-3]
#[test]
fn the_longest_error_fits_the_least_mtu() {
    assert_eq!(MAX_QUOTED, 1280 - 40 - 8);
}

#[test]
fn quotes_a_packet() {
    let whole = packet(17, &[0, 7, 0xc0, 0, 0, 13, 0, 0, b'h', b'e', b'l', b'l', b'o']);
    let short = quoted(&whole[..48]).unwrap();
    assert_eq!((short.header.total_len(), short.protocol), (53, 17));
    assert_eq!(short.transport, &whole[40..48]);
    assert_eq!(short.ports(), Some((7, 49152)));

    // What lies behind the packet is no part of it.
    let trailed = [&whole[..], &[0xee; 20]].concat();
    assert_eq!(quoted(&trailed).unwrap().transport, &whole[40..]);
}

#[test]
fn quotes_what_lies_behind_extension_headers() {
    let options = [60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0];
    let first = [6, 0, 0, 1, 0, 0, 0, 9];
    let whole = packet(0, &[&options[..], &first, &[0x12, 0x34, 0x56, 0x78]].concat());
    let found = quoted(&whole).unwrap();
    assert_eq!((found.protocol, found.ports()), (6, Some((0x1234, 0x5678))));

    let late = [6, 0, 0, 9, 0, 0, 0, 9];
    let whole = packet(0, &[&options[..], &late, &[0x12, 0x34, 0x56, 0x78]].concat());
    let found = quoted(&whole).unwrap();
    assert_eq!((found.protocol, found.transport, found.ports()), (6, &[][..], None));
}

/// Every length of a quotation: what the peer left out is never read.
#[test]
fn quotes_every_shorter_length() {
    let whole = packet(60, &[17, 0, 1, 4, 0, 0, 0, 0, 0, 7, 0, 9, 0, 8, 0, 0]);
    for len in 0..=whole.len() {
        match quoted(&whole[..len]) {
            Ok(found) => {
                assert_eq!(found.transport, whole[..len].get(48..).unwrap_or_default());
                assert_eq!(found.protocol, if len < 48 { 60 } else { 17 });
                assert_eq!(found.ports().is_some(), len >= 52);
            }
            Err(error) => assert_eq!((error, len < 40), (Malformed::Truncated, true), "{len} bytes"),
        }
    }
}

#[test]
fn refuses_to_quote_what_is_not_ipv6() {
    let mut bytes = packet(17, &[0; 8]);
    bytes[0] = 0x45;
    assert_eq!(quoted(&bytes), Err(Malformed::Version));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_can_be_quoted(bytes in prop::collection::vec(any::<u8>(), 0..MOST), number in any::<u8>()) {
        let _ = quoted(&bytes);
        let whole = packet(number, &bytes);
        let found = quoted(&whole).unwrap();
        prop_assert!(found.transport.len() <= bytes.len());
    }

    #[test]
    fn the_checksum_notices_each_change(
        bytes in prop::collection::vec(any::<u8>(), 8..100),
        (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut bytes = bytes;
        bytes[CHECKSUM_OFFSET..][..2].fill(0);
        let sum = checksum(source, destination, &bytes);
        bytes[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());
        prop_assert_eq!(checksum(source, destination, &bytes), 0);
        let other = Icmpv6Slice::from_slice(&bytes).unwrap();
        prop_assert!(other.is_checksum_valid(source.octets(), destination.octets()));
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert_ne!(checksum(source, destination, &bytes), 0);
    }
}
