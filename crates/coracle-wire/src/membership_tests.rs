use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::record::{ALLOW_NEW_SOURCES, CHANGE_TO_EXCLUDE};
use super::*;
use crate::testing::{MOST, config};

/// [3376-2]: values worked out by hand, mantissa with a one in front, shifted by exponent and 3.
#[test]
fn times_of_eight_bits() {
    let cases =
        [(0, 0), (1, 1), (127, 127), (0x80, 128), (0x81, 136), (0x8f, 248), (0x90, 256), (0xff, 31_744)];
    for (code, time) in cases {
        assert_eq!((decode_8(code), encode_8(time)), (time, code));
    }
}

/// [3376-2] as MLD has it.
#[test]
fn times_of_sixteen_bits() {
    let cases = [
        (0, 0),
        (10_000, 10_000),
        (0x7fff, 32_767),
        (0x8000, 32_768),
        (0x8001, 32_776),
        (0x9000, 65_536),
        (0xffff, 8_387_584),
    ];
    for (code, time) in cases {
        assert_eq!((decode_16(code), encode_16(time)), (time, code));
    }
}

#[test]
fn every_code_stands_for_a_longer_time_than_the_one_before() {
    for code in 0..u8::MAX {
        assert!(decode_8(code) < decode_8(code + 1));
    }
    for code in 0..u16::MAX {
        assert!(decode_16(code) < decode_16(code + 1));
    }
}

#[test]
fn times_are_rounded_down_and_the_longest_is_the_limit() {
    for time in 0..=u16::MAX {
        let code = encode_8(time);
        assert!(decode_8(code) <= time);
        assert!(code == u8::MAX || decode_8(code + 1) > time);
    }
    for time in (0..10_000_000).step_by(7).chain([u32::MAX]) {
        let code = encode_16(time);
        assert!(decode_16(code) <= time);
        assert!(code == u16::MAX || decode_16(code + 1) > time);
    }
}

fn all<const N: usize>(bytes: &[u8], count: u16) -> Vec<Result<Record<'_, N>, Malformed>> {
    Records::new(bytes, count).collect()
}

#[test]
fn records_with_sources_and_auxiliary_data() {
    let bytes = [
        &[5, 0, 0, 2, 232, 1, 1, 1, 192, 0, 2, 1, 192, 0, 2, 2][..],
        &[4, 1, 0, 0, 239, 1, 1, 1, 9, 9, 9, 9],
        &[77, 0, 0, 0, 239, 1, 1, 2],
    ]
    .concat();
    let sources = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let expected = [
        Ok(Record { kind: ALLOW_NEW_SOURCES, group: [232, 1, 1, 1], sources: &sources }),
        Ok(Record { kind: CHANGE_TO_EXCLUDE, group: [239, 1, 1, 1], sources: &[] }),
        Ok(Record { kind: 77, group: [239, 1, 1, 2], sources: &[] }),
    ];
    assert_eq!(all(&bytes, 3), expected);
    assert_eq!(all(&bytes, 2), expected[..2]);
    assert_eq!(all::<4>(&bytes, 0), []);
    // Counted, but not there.
    assert_eq!(all::<4>(&bytes, 4).last(), Some(&Err(Malformed::Length)));
    for len in 0..bytes.len() {
        let whole = [16, 28, 36].iter().filter(|end| **end <= len).count();
        let found = all(&bytes[..len], u16::MAX);
        assert_eq!(found[..whole], expected[..whole], "{len} bytes");
        assert_eq!(found[whole..], [Err(Malformed::Length)], "{len} bytes");
    }
}

/// [3376-1]: a count that the bytes do not bear out, as in CVE-2019-12265.
#[test]
fn more_sources_than_there_are() {
    for count in [2, 3, 0x4000, 0xffff_u16] {
        let [a, b] = count.to_be_bytes();
        let bytes = [6, 0, a, b, 232, 1, 1, 1, 192, 0, 2, 1];
        assert_eq!(all::<4>(&bytes, 1), [Err(Malformed::Length)]);
        assert_eq!(read_details::<4>(&[2, 125, a, b, 192, 0, 2, 1]), Err(Malformed::Length));
    }
    let (details, sources) = read_details::<4>(&[0xfa, 125, 0, 1, 192, 0, 2, 1, 7]).unwrap();
    assert_eq!(details, QueryDetails { suppress: true, robustness: 2, interval_s: 125 });
    assert_eq!(sources, [[192, 0, 2, 1]]);
}

#[test]
fn as_many_records_as_fit() {
    let mut bytes = [0xaa; 48];
    let mut writer = RecordWriter::<4>::new(&mut bytes);
    assert!(writer.add(1, [224, 0, 0, 5], [[10, 0, 0, 1]; 2].into_iter()));
    assert!(!writer.add(2, [224, 0, 0, 6], [[10, 0, 0, 1]; 5].into_iter()));
    assert!(writer.add(2, [224, 0, 0, 6], [[10, 0, 0, 1]; 4].into_iter()));
    assert_eq!((writer.count(), writer.len()), (2, 48));
    assert!(!writer.add(2, [224, 0, 0, 7], [].into_iter()));
    let report = writer.close(0x22).unwrap();
    assert_eq!(report[..12], [0x22, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 2]);
    assert_eq!(all::<4>(&report[8..], 2).len(), 2);

    assert_eq!(RecordWriter::<16>::new(&mut [0; 7]).close(1).err(), Some(Malformed::Truncated));
    let many = vec![[0; 4]; 65_536];
    assert!(!RecordWriter::new(&mut vec![0; 300_000]).add(1, [0; 4], many.into_iter()));
}

/// [RFC 3376 §4.1.6]
#[test]
fn a_robustness_above_seven_is_none() {
    let mut bytes = [0xff; 4];
    let details = QueryDetails { suppress: false, robustness: 8, interval_s: 40_000 };
    assert_eq!(write_details::<4>(&mut bytes, details, &[]), Ok(4));
    assert_eq!(bytes, [0, 0xff, 0, 0]);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_can_be_taken_apart(
        bytes in prop::collection::vec(prop_oneof![0..3_u8, any::<u8>()], 0..MOST),
        count in any::<u16>(),
    ) {
        prop_assert!(all::<4>(&bytes, count).len() <= bytes.len() / 8 + 1);
        prop_assert!(all::<16>(&bytes, count).len() <= bytes.len() / 20 + 1);
        let _ = read_details::<16>(&bytes);
    }
}
