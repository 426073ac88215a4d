use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::{config, naive_sum};

/// A captured header: 115 bytes of UDP from 192.168.0.1 to 192.168.0.199, not to be fragmented.
const HEADER: [u8; HEADER_LEN] = [
    0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, //
    0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
];

const FIELDS: Ipv4Fields = Ipv4Fields {
    tos: 0,
    total_len: 115,
    identification: 0,
    dont_fragment: true,
    more_fragments: false,
    fragment_offset: 0,
    ttl: 64,
    protocol: protocol::UDP,
    source: Ipv4Addr::new(192, 168, 0, 1),
    destination: Ipv4Addr::new(192, 168, 0, 199),
};

/// An IGMP report, captured: with a router alert, to 224.0.0.22, a time to live of 1.
const ALERTED: [u8; 24] = [
    0x46, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x41, 0xf8, //
    0xc0, 0x00, 0x02, 0x01, 0xe0, 0x00, 0x00, 0x16, 0x94, 0x04, 0x00, 0x00,
];

fn fields_of(header: &Ipv4Header) -> Ipv4Fields {
    Ipv4Fields {
        tos: header.tos(),
        total_len: header.total_len() as u16,
        identification: header.identification(),
        dont_fragment: header.dont_fragment(),
        more_fragments: header.more_fragments(),
        fragment_offset: header.fragment_offset() as u16,
        ttl: header.ttl(),
        protocol: header.protocol(),
        source: header.source(),
        destination: header.destination(),
    }
}

#[test]
fn reads_a_header() {
    let header = Ipv4Header::read(&HEADER).unwrap();
    assert_eq!(fields_of(header), FIELDS);
    assert_eq!((header.header_len(), header.payload_len(), header.checksum()), (20, 95, 0xb861));
    assert!(!header.is_fragment());
    assert!(header.options(&HEADER).is_empty());
    assert!(header_checksum_ok(&HEADER));
}

#[test]
fn writes_a_header() {
    let mut bytes = [0xaa; HEADER_LEN];
    write_header(&mut bytes, &FIELDS);
    assert_eq!(bytes, HEADER);
}

#[test]
fn reads_and_writes_a_header_with_options() {
    let header = Ipv4Header::read(&ALERTED).unwrap();
    assert_eq!(header.header_len(), 24);
    assert!(header_checksum_ok(&ALERTED));
    let options = header.options(&ALERTED);
    assert_eq!(options, ROUTER_ALERT);
    let read: Vec<_> = Options::new(options).collect();
    assert_eq!(read, [Ok(Ipv4Option::RouterAlert(0))]);

    let mut bytes = [0xaa; 30];
    assert_eq!(write_header_with_options(&mut bytes, &fields_of(header), &ROUTER_ALERT), Ok(24));
    assert_eq!(bytes[..24], ALERTED);
    assert_eq!(bytes[24..], [0xaa; 6]);
}

#[test]
fn pads_options_with_zeros() {
    for len in 0..=40 {
        let mut bytes = [0xaa; MAX_HEADER_LEN];
        let options = vec![0xee; len];
        let written = write_header_with_options(&mut bytes, &FIELDS, &options).unwrap();
        assert_eq!(written, 20 + len.div_ceil(4) * 4);
        let header = Ipv4Header::read(&bytes).unwrap();
        assert_eq!(header.header_len(), written);
        assert!(header_checksum_ok(&bytes[..written]));
        let (kept, padding) = header.options(&bytes).split_at(len);
        assert_eq!(kept, options);
        assert!(padding.iter().all(|byte| *byte == 0));
        assert!(bytes[written..].iter().all(|byte| *byte == 0xaa));
    }
}

#[test]
fn refuses_options_that_do_not_fit() {
    let mut bytes = [0xaa; 64];
    assert_eq!(write_header_with_options(&mut bytes, &FIELDS, &[1; 41]), Err(Malformed::Option));
    for len in 0..24 {
        let into = &mut bytes[..len];
        assert_eq!(write_header_with_options(into, &FIELDS, &[1]), Err(Malformed::Truncated));
    }
    assert_eq!(bytes, [0xaa; 64]);
}

#[test]
fn a_write_cuts_the_fragment_offset_to_eights() {
    let mut bytes = [0; HEADER_LEN];
    let fields = Ipv4Fields { fragment_offset: 65_535, more_fragments: true, dont_fragment: false, ..FIELDS };
    write_header(&mut bytes, &fields);
    let header = Ipv4Header::read(&bytes).unwrap();
    assert_eq!(
        (header.fragment_offset(), header.more_fragments(), header.dont_fragment()),
        (65_528, true, false)
    );
}

#[test]
fn fragments() {
    // Flags and offset as sent; whether it is a fragment, more follow, and where it belongs.
    let cases = [
        (0x0000, (false, false, 0)),
        (0x4000, (false, false, 0)),
        (0x8000, (false, false, 0)),
        (0x2000, (true, true, 0)),
        (0x0001, (true, false, 8)),
        (0x3fff, (true, true, 65_528)),
    ];
    for (bits, expected) in cases {
        let mut bytes = HEADER;
        bytes[6..8].copy_from_slice(&u16::to_be_bytes(bits));
        let header = Ipv4Header::read(&bytes).unwrap();
        assert_eq!(
            (header.is_fragment(), header.more_fragments(), header.fragment_offset()),
            expected,
            "{bits:#x}"
        );
        assert_eq!(header.dont_fragment(), bits & 0x4000 != 0);
    }
}

#[test]
fn refuses_every_shorter_length() {
    for whole in [&HEADER[..], &ALERTED[..]] {
        for len in 0..=whole.len() {
            let expected = (len < whole.len()).then_some(Malformed::Truncated);
            assert_eq!(Ipv4Header::read(&whole[..len]).err(), expected, "{len} bytes");
        }
    }
}

/// [1122-IP-1]
#[test]
fn refuses_other_versions() {
    for version in (0..16).filter(|version| *version != 4) {
        let mut bytes = HEADER;
        bytes[0] = version << 4 | 5;
        assert_eq!(Ipv4Header::read(&bytes), Err(Malformed::Version));
    }
}

/// A header length below the least, beyond the bytes, or beyond the total length, as in CVE-2020-11909 (IHL 15, total 20) and
/// CVE-2018-16601.
#[test]
fn every_header_length_against_every_total_length() {
    for words in 0..16_usize {
        for total in [0, 1, 19, 20, 21, 23, 24, 59, 60, 65_535] {
            for available in [20, 24, 59, 60, 100] {
                let mut bytes = [1; 100];
                bytes[0] = 0x40 | words as u8;
                bytes[2..4].copy_from_slice(&u16::to_be_bytes(total));
                let expected = if words < 5 {
                    Err(Malformed::Length)
                } else if words * 4 > available {
                    Err(Malformed::Truncated)
                } else if usize::from(total) < words * 4 {
                    Err(Malformed::Length)
                } else {
                    Ok((words * 4, usize::from(total) - words * 4))
                };
                let lens = |header: &Ipv4Header| (header.header_len(), header.payload_len());
                assert_eq!(Ipv4Header::read(&bytes[..available]).map(lens), expected);
            }
        }
    }
}

#[test]
fn options_of_another_packet_are_never_out_of_bounds() {
    let header = *Ipv4Header::read(&ALERTED).unwrap();
    for len in 0..24 {
        assert!(header.options(&ALERTED[..len]).is_empty());
    }
}

/// Each bit of a header counts [1122-IP-2].
#[test]
fn the_checksum_notices_each_flipped_bit() {
    for whole in [&HEADER[..], &ALERTED[..]] {
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!header_checksum_ok(&bytes), "bit {bit}");
        }
    }
    assert!(!header_checksum_ok(&[]));
    assert!(!header_checksum_ok(&[0; HEADER_LEN]));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(
        (tos, ttl, protocol) in any::<(u8, u8, u8)>(),
        (total_len, identification, offset) in (60_u16.., any::<u16>(), 0..0x2000_u16),
        (dont_fragment, more_fragments) in any::<(bool, bool)>(),
        (source, destination) in any::<(Ipv4Addr, Ipv4Addr)>(),
        options in prop::collection::vec(any::<u8>(), 0..=40),
    ) {
        let fields = Ipv4Fields {
            tos, total_len, identification, dont_fragment, more_fragments,
            fragment_offset: offset * 8, ttl, protocol, source, destination,
        };
        let mut bytes = [0; MAX_HEADER_LEN];
        let len = write_header_with_options(&mut bytes, &fields, &options).unwrap();
        let header = Ipv4Header::read(&bytes).unwrap();
        prop_assert_eq!(fields_of(header), fields);
        prop_assert_eq!(&header.options(&bytes)[..options.len()], &options[..]);
        prop_assert_eq!(naive_sum(&bytes[..len]), 0xffff);

        let mut short = [0; HEADER_LEN];
        write_header(&mut short, &fields);
        prop_assert_eq!(fields_of(Ipv4Header::read(&short).unwrap()), fields);
        prop_assert_eq!(naive_sum(&short), 0xffff);
    }
}
