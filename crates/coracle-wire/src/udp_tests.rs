use super::*;
use crate::checksum::pseudo_v4;

/// Captured: from port 40000 of 192.0.2.1 to port 7 of 192.0.2.2.
const DATAGRAM: [u8; 13] = [0x9c, 0x40, 0x00, 0x07, 0x00, 0x0d, 0x9b, 0xb6, b'h', b'e', b'l', b'l', b'o'];

fn header(length: u16) -> UdpHeader {
    let mut bytes = [0; HEADER_LEN];
    UdpHeader::write(&mut bytes, 1, 2, length, 3);
    *UdpHeader::read(&bytes).unwrap()
}

#[test]
fn reads_a_datagram() {
    let header = UdpHeader::read(&DATAGRAM).unwrap();
    assert_eq!((header.source_port(), header.destination_port()), (40_000, 7));
    assert_eq!((header.length(), header.checksum()), (13, 0x9bb6));
    assert_eq!(udp_length(header, DATAGRAM.len()), Ok(13));
    let sum = pseudo_v4([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 17, 13).add_bytes(&DATAGRAM);
    assert!(sum.verifies());
}

#[test]
fn writes_a_datagram() {
    let mut bytes = DATAGRAM;
    bytes[..HEADER_LEN].fill(0xaa);
    let sum = pseudo_v4([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 17, 13);
    let sum = sum.add_u16(40_000).add_u16(7).add_u16(13).add_bytes(&bytes[HEADER_LEN..]);
    UdpHeader::write(bytes.first_chunk_mut().unwrap(), 40_000, 7, 13, sum.finish_nonzero());
    assert_eq!(bytes, DATAGRAM);
    assert_eq!(bytes[CHECKSUM_OFFSET..][..2], sum.finish().to_be_bytes());
}

#[test]
fn refuses_every_shorter_length() {
    for len in 0..=DATAGRAM.len() {
        let expected = (len < HEADER_LEN).then_some(Malformed::Truncated);
        assert_eq!(UdpHeader::read(&DATAGRAM[..len]).err(), expected, "{len} bytes");
    }
}

/// A length below the header's or beyond the IP payload, as in CVE-2018-16526 and CVE-2021-31345 [1122-UDP-6].
#[test]
fn a_length_lies_between_the_header_and_the_payload() {
    for available in [0, 7, 8, 9, 100, 65_515] {
        for length in [0, 1, 7, 8, 9, 99, 100, 101, 65_515, 65_516, 65_535] {
            let fits = length >= 8 && usize::from(length) <= available;
            let expected = if fits { Ok(usize::from(length)) } else { Err(Malformed::Length) };
            assert_eq!(udp_length(&header(length), available), expected, "{length} of {available}");
        }
    }
}

#[test]
fn a_trailer_is_no_part_of_the_datagram() {
    assert_eq!(udp_length(&header(8), 1472), Ok(8));
}

/// [RFC 3828 §3.1]
#[test]
fn a_coverage_of_zero_is_all() {
    assert_eq!(udp_lite_coverage(&header(0), 1472), Ok(1472));
    assert_eq!(udp_lite_coverage(&header(0), 8), Ok(8));
    assert_eq!(udp_lite_coverage(&header(0), 7), Err(Malformed::Length));
    // Beyond what the field can say.
    assert_eq!(udp_lite_coverage(&header(0), 100_000), Ok(100_000));
}

/// [RFC 3828 §3.1]
#[test]
fn a_coverage_takes_in_the_header_and_ends_in_the_payload() {
    for coverage in 1..8 {
        assert_eq!(udp_lite_coverage(&header(coverage), 100), Err(Malformed::Length));
    }
    assert_eq!(udp_lite_coverage(&header(8), 100), Ok(8));
    assert_eq!(udp_lite_coverage(&header(100), 100), Ok(100));
    assert_eq!(udp_lite_coverage(&header(101), 100), Err(Malformed::Length));
}
