use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::config;

const LIMITS: Limits = Limits { headers: 8, options: 3 };

type Items<'a> = Vec<Result<(usize, Ipv6Option<'a>), Malformed>>;

fn all(bytes: &[u8]) -> Items<'_> {
    Options::new(bytes, LIMITS).map(|item| item.map(|PlacedOption { at, option }| (at, option))).collect()
}

#[test]
fn each_kind() {
    let bytes = [1, 0, 5, 2, 0x12, 0x34, 0, 0, 0xc2, 4, 0, 1, 0, 0, 0x3e, 1, 9];
    let expected = [
        Ok((4, Ipv6Option::RouterAlert(0x1234))),
        Ok((10, Ipv6Option::Jumbo(65_536))),
        Ok((16, Ipv6Option::Unknown { kind: 0x3e, data: &[9] })),
    ];
    assert_eq!(all(&bytes), expected);
    assert_eq!(all(&[]), []);
    assert_eq!(all(&[0; 6]), []);
    assert_eq!(all(&[1, 4, 0, 0, 0, 0]), []);
}

/// [8200-4]
#[test]
fn the_top_bits_of_a_kind_say_what_to_do() {
    let actions = [0x3e, 0x7e, 0xbe, 0xfe].map(Action::of);
    assert_eq!(actions, [Action::Skip, Action::Discard, Action::Report, Action::ReportUnicast]);
}

#[test]
fn a_length_past_the_end_stops() {
    for kind in 1..=255 {
        assert_eq!(all(&[0, kind]), [Err(Malformed::Option)], "{kind} without a length");
        assert_eq!(all(&[kind, 5, 0, 0, 0, 0]), [Err(Malformed::Option)], "{kind}");
    }
}

#[test]
fn every_length_of_the_known_kinds() {
    for (kind, right) in [(5, 2), (0xc2, 4)] {
        for len in 0..20 {
            let mut bytes = vec![0; len + 2];
            bytes[..2].copy_from_slice(&[kind, len as u8]);
            assert_eq!(all(&bytes)[0].is_ok(), len == right, "{kind}, {len}");
        }
    }
}

/// [RFC 8504 §5.3]: as many as allowed, and no more padding than an alignment to eight bytes takes.
#[test]
fn more_options_or_padding_than_allowed_are_refused() {
    let option = Ipv6Option::Unknown { kind: 0x3e, data: &[] };
    let four = [0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e, 0];
    let expected = [Ok((2, option)), Ok((4, option)), Ok((6, option)), Err(Malformed::Option)];
    assert_eq!(all(&four), expected);
    assert_eq!(all(&four[..6]), expected[..3]);

    for (padding, right) in [(&[0; 7][..], true), (&[0; 8], false), (&[1, 5, 0, 0, 0, 0, 0], true)] {
        let last = [padding, &[0x3e, 0]].concat();
        let expected = if right { Ok((2 + padding.len(), option)) } else { Err(Malformed::Option) };
        assert_eq!(all(&last), [expected], "{padding:?}");
        let first = [&[0x3e, 0], padding].concat();
        assert_eq!(all(&first).len(), if right { 1 } else { 2 }, "{padding:?}");
    }
    assert_eq!(all(&[1, 6, 0, 0, 0, 0, 0, 0]), [Err(Malformed::Option)]);
    assert_eq!(all(&[1, 4, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0]), [Err(Malformed::Option)]);
    // Each option may have its own.
    assert_eq!(all(&[0, 0, 0, 0, 0x3e, 0, 0, 0, 0, 0]), [Ok((6, option))]);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_can_be_taken_apart(bytes in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..300)) {
        let items = all(&bytes);
        prop_assert!(items.len() <= usize::from(LIMITS.options) + 1);
        let mut end = 2;
        for item in items {
            let Ok((at, option)) = item else { break };
            prop_assert!(at >= end);
            let len = match option {
                Ipv6Option::RouterAlert(_) => 4,
                Ipv6Option::Jumbo(_) => 6,
                Ipv6Option::Unknown { data, .. } => data.len() + 2,
            };
            end = at + len;
            prop_assert!(end <= bytes.len() + 2);
        }
    }
}
