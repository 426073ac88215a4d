use std::format;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::checksum::pseudo_v4;
use crate::testing::config;

/// From port 40000 of 192.0.2.1 to port 7 of 192.0.2.2, with every flag but SYN, FIN and RST, and data.
const SEGMENT: [u8; 37] = [
    0x9c, 0x40, 0x00, 0x07, // ports
    0xff, 0xff, 0xff, 0xfe, // sequence
    0x01, 0x02, 0x03, 0x04, // acknowledgment
    0x80, 0xf8, 0xfa, 0xf0, // offset, flags, window
    0x12, 0xb5, 0x00, 0x05, // checksum, urgent pointer
    0x01, 0x01, 0x08, 0x0a, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, // timestamps
    b'h', b'e', b'l', b'l', b'o',
];

fn fields() -> TcpFields {
    TcpFields {
        source_port: 40_000,
        destination_port: 7,
        sequence: 0xffff_fffe,
        acknowledgment: 0x0102_0304,
        header_len: 32,
        flags: TcpFlags::PSH | TcpFlags::ACK | TcpFlags::URG | TcpFlags::ECE | TcpFlags::CWR,
        accurate_ecn: false,
        window: 64_240,
        urgent_pointer: 5,
    }
}

#[test]
fn reads_a_segment() {
    let header = TcpHeader::read(&SEGMENT).unwrap();
    assert_eq!((header.source_port(), header.destination_port()), (40_000, 7));
    assert_eq!((header.sequence(), header.acknowledgment()), (0xffff_fffe, 0x0102_0304));
    assert_eq!((header.header_len(), header.flags()), (32, fields().flags));
    assert!(!header.accurate_ecn());
    assert_eq!((header.checksum(), header.urgent_pointer()), (0x12b5, 5));
    assert_eq!(header.options(&SEGMENT), &SEGMENT[20..32]);
    let sum = pseudo_v4([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 6, 37).add_bytes(&SEGMENT);
    assert!(sum.verifies());
}

/// [RFC 9293 MUST-1]
#[test]
fn a_window_has_no_sign() {
    let header = TcpHeader::read(&SEGMENT).unwrap();
    assert_eq!(i32::from(header.window()), 64_240);
    assert_eq!(TcpFields { window: u16::MAX, ..fields() }.header().window(), 65_535);
}

#[test]
fn writes_a_segment() {
    let mut bytes = SEGMENT;
    bytes[..HEADER_LEN].fill(0xaa);
    write_header(bytes.first_chunk_mut().unwrap(), &fields());
    let sum = pseudo_v4([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 6, 37).add_bytes(&bytes);
    bytes[CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.finish().to_be_bytes());
    assert_eq!(bytes, SEGMENT);
}

#[test]
fn the_default_is_a_header_without_options() {
    let mut bytes = [0xaa; HEADER_LEN];
    write_header(&mut bytes, &TcpFields::default());
    let mut expected = [0; HEADER_LEN];
    expected[12] = 0x50;
    assert_eq!(bytes, expected);
}

#[test]
fn refuses_every_shorter_length() {
    for len in 0..=SEGMENT.len() {
        let expected = match len {
            0..20 => Some(Malformed::Truncated),
            20..32 => Some(Malformed::Length),
            _ => None,
        };
        assert_eq!(TcpHeader::read(&SEGMENT[..len]).err(), expected, "{len} bytes");
    }
}

/// A data offset below the header or beyond the segment, as in CVE-2018-16524 and CVE-2021-31400.
#[test]
fn every_data_offset() {
    for offset in 0..16_u8 {
        let mut bytes = SEGMENT;
        bytes[12] = offset << 4;
        let read = TcpHeader::read(&bytes).map(TcpHeader::header_len);
        let fits = (5..=9).contains(&offset);
        assert_eq!(read, if fits { Ok(usize::from(offset) * 4) } else { Err(Malformed::Length) });
    }
}

/// The three reserved bits are zero when sent and ignored when received; the fourth is the flag AE [RFC 9293 §3.1].
#[test]
fn reserved_bits_and_accurate_ecn() {
    for low in 0..16_u8 {
        let mut bytes = SEGMENT;
        bytes[12] |= low;
        let header = TcpHeader::read(&bytes).unwrap();
        assert_eq!((header.header_len(), header.accurate_ecn()), (32, low & 1 == 1));
    }
    for accurate_ecn in [false, true] {
        let mut bytes = [0xff; HEADER_LEN];
        write_header(&mut bytes, &TcpFields { accurate_ecn, ..fields() });
        assert_eq!(bytes[12], 0x80 | u8::from(accurate_ecn));
    }
}

#[test]
fn each_flag_has_its_bit() {
    let all = [
        (TcpFlags::FIN, 0x01),
        (TcpFlags::SYN, 0x02),
        (TcpFlags::RST, 0x04),
        (TcpFlags::PSH, 0x08),
        (TcpFlags::ACK, 0x10),
        (TcpFlags::URG, 0x20),
        (TcpFlags::ECE, 0x40),
        (TcpFlags::CWR, 0x80),
    ];
    let mut union = TcpFlags::empty();
    for (flag, bits) in all {
        assert!(!union.intersects(flag));
        union |= flag;
        assert!(union.contains(flag) && !union.without(flag).contains(flag));
        assert_eq!((flag.bits(), TcpFlags::from_bits(bits)), (bits, flag));
        assert_eq!(union & flag, flag);
    }
    assert_eq!(union.bits(), 0xff);
    assert!(!TcpFlags::SYN.contains(TcpFlags::SYN | TcpFlags::ACK));
    assert_eq!(format!("{:?} {:?}", TcpFlags::SYN | TcpFlags::ACK, TcpFlags::empty()), "SYN | ACK (empty)");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(
        (source_port, destination_port, window, urgent_pointer) in any::<(u16, u16, u16, u16)>(),
        (sequence, acknowledgment, flags, accurate_ecn) in any::<(u32, u32, u8, bool)>(),
        words in 5..=15_usize,
    ) {
        let flags = TcpFlags::from_bits(flags);
        let fields = TcpFields {
            source_port, destination_port, sequence, acknowledgment, header_len: words * 4, flags, accurate_ecn, window,
            urgent_pointer,
        };
        let mut bytes = [0xff; MAX_HEADER_LEN];
        write_header(bytes.first_chunk_mut().unwrap(), &fields);
        let header = *TcpHeader::read(&bytes).unwrap();
        prop_assert_eq!(header, fields.header());
        let summed = crate::checksum::Sum::new().add_bytes(&bytes[..HEADER_LEN]).finish();
        prop_assert_eq!(fields.add_to(crate::checksum::Sum::new()).finish(), summed);
        let read = TcpFields {
            source_port: header.source_port(),
            destination_port: header.destination_port(),
            sequence: header.sequence(),
            acknowledgment: header.acknowledgment(),
            header_len: header.header_len(),
            flags: header.flags(),
            accurate_ecn: header.accurate_ecn(),
            window: header.window(),
            urgent_pointer: header.urgent_pointer(),
        };
        prop_assert_eq!(read, fields);
        prop_assert_eq!((header.checksum(), header.options(&bytes).len()), (0, words * 4 - 20));
    }

    /// At every place in memory, since a frame begins anywhere [RFC 9293 MUST-64].
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), start in 0..8_usize) {
        let moved: Vec<u8> = [&[0; 8][..start], &bytes].concat();
        let read = TcpHeader::read(&moved[start..]);
        let len = bytes.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
        if bytes.len() < HEADER_LEN {
            prop_assert_eq!(read, Err(Malformed::Truncated));
        } else if len < HEADER_LEN || len > bytes.len() {
            prop_assert_eq!(read, Err(Malformed::Length));
        } else {
            prop_assert_eq!(read.unwrap().options(&bytes), &bytes[20..len]);
        }
    }
}
