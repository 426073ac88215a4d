use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::config;

type Items<'a> = Vec<Result<Ipv4Option<'a>, Malformed>>;

fn all(bytes: &[u8]) -> Items<'_> {
    Options::new(bytes).collect()
}

#[test]
fn each_kind() {
    let entries = [192, 0, 2, 1, 192, 0, 2, 2];
    let route = Route { pointer: 4, data: &entries };
    let with = |head: &[u8]| [head, &entries].concat();
    assert_eq!(all(&with(&[7, 11, 4])), [Ok(Ipv4Option::RecordRoute(route))]);
    assert_eq!(all(&with(&[131, 11, 4])), [Ok(Ipv4Option::LooseSourceRoute(route))]);
    assert_eq!(all(&with(&[137, 11, 4])), [Ok(Ipv4Option::StrictSourceRoute(route))]);
    let timestamp = Ipv4Option::Timestamp { pointer: 13, overflow: 15, flags: 1, data: &entries };
    assert_eq!(all(&with(&[68, 12, 13, 0xf1])), [Ok(timestamp)]);
    assert_eq!(all(&[148, 4, 0x12, 0x34]), [Ok(Ipv4Option::RouterAlert(0x1234))]);
    assert_eq!(all(&[1, 1]), [Ok(Ipv4Option::Nop); 2]);
    assert_eq!(all(&[]), []);
}

/// [1122-IP-11]
#[test]
fn passes_over_what_it_does_not_know() {
    let bytes = [130, 4, 0xaa, 0xbb, 200, 2, 1, 0, 7, 7];
    let expected = [
        Ok(Ipv4Option::Unknown { kind: 130, data: &[0xaa, 0xbb] }),
        Ok(Ipv4Option::Unknown { kind: 200, data: &[] }),
        Ok(Ipv4Option::Nop),
        Ok(Ipv4Option::End),
    ];
    assert_eq!(all(&bytes), expected);
}

/// Lengths of 0 and 1 would stand still, others would read on in the payload, as in CVE-2019-12256 [1122-IP-11].
#[test]
fn a_length_of_zero_or_one_or_past_the_end_stops() {
    for kind in 2..=255 {
        for len in [0, 1, 5, 40, 255] {
            assert_eq!(
                all(&[1, kind, len, 4, 0]),
                [Ok(Ipv4Option::Nop), Err(Malformed::Option)],
                "{kind}, {len}"
            );
        }
        assert_eq!(all(&[kind]), [Err(Malformed::Option)], "{kind} without a length");
    }
}

#[test]
fn every_length_of_the_known_kinds() {
    for (kind, head, entry) in [(7, 3, 4), (131, 3, 4), (137, 3, 4), (68, 4, 4), (148, 4, 64)] {
        for len in 2..=40 {
            let mut bytes = vec![0; len];
            bytes[..2].copy_from_slice(&[kind, len as u8]);
            if len > 2 {
                bytes[2] = if kind == 68 { 5 } else { 4 };
            }
            let legal = len >= head && (len - head) % entry == 0;
            assert_eq!(all(&bytes)[0].is_ok(), legal, "kind {kind} of {len} bytes");
            assert_eq!(all(&bytes).len(), 1);
        }
    }
}

/// A pointer into the option's head or between two addresses, as in CVE-2019-12256; one beyond the option means that it is
/// full.
#[test]
fn every_pointer() {
    for pointer in 0..=255_u8 {
        let bytes = [131, 7, pointer, 192, 0, 2, 1];
        assert_eq!(all(&bytes)[0].is_ok(), pointer >= 4 && pointer.is_multiple_of(4), "{pointer}");
        let bytes = [68, 8, pointer, 0, 0, 0, 0, 0];
        assert_eq!(all(&bytes)[0].is_ok(), pointer >= 5 && pointer % 4 == 1, "{pointer}");
    }
}

#[test]
fn nothing_comes_after_the_end() {
    for bytes in [&[0, 1, 1][..], &[7, 0, 1][..]] {
        let mut options = Options::new(bytes);
        assert!(options.next().is_some());
        assert_eq!(options.next(), None);
        assert_eq!(options.next(), None);
    }
}

#[test]
fn knows_source_routes() {
    let chosen = |bytes: &[u8]| Options::new(bytes).flatten().any(|option| option.is_source_route());
    assert!(chosen(&[1, 131, 3, 4]));
    assert!(chosen(&[137, 3, 4, 0]));
    assert!(!chosen(&[7, 3, 4, 1, 148, 4, 0, 0]));
}

proptest! {
    #![proptest_config(config())]

    /// Mostly kinds that are known and lengths that are short, so that many lists go on for a while.
    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(
        prop_oneof![0..12_u8, prop::sample::select(vec![68, 131, 137, 148_u8]), any::<u8>()], 0..=40,
    )) {
        let items = all(&bytes);
        prop_assert!(items.len() <= bytes.len());
        let consumed: usize = items.iter().map(|item| match item {
            Ok(Ipv4Option::End | Ipv4Option::Nop) | Err(_) => 1,
            Ok(Ipv4Option::RecordRoute(route)
                | Ipv4Option::LooseSourceRoute(route)
                | Ipv4Option::StrictSourceRoute(route)) => 3 + route.data.len(),
            Ok(Ipv4Option::Timestamp { data, .. }) => 4 + data.len(),
            Ok(Ipv4Option::RouterAlert(_)) => 4,
            Ok(Ipv4Option::Unknown { data, .. }) => 2 + data.len(),
        }).sum();
        prop_assert!(consumed <= bytes.len());
        let ended = matches!(items.last(), Some(Err(_) | Ok(Ipv4Option::End)));
        prop_assert_eq!(ended || consumed == bytes.len(), true);
    }
}
