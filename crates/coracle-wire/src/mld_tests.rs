use std::vec;

use etherparse::Icmpv6Slice;
use proptest::prelude::*;

use super::*;
use crate::icmpv6::{MULTICAST_LISTENER_DONE, MULTICAST_LISTENER_REPORT};
use crate::membership::record::{BLOCK_OLD_SOURCES, MODE_IS_EXCLUDE};
use crate::testing::{MOST, config};

const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const NONE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

fn assert_checksum(message: &[u8], destination: Ipv6Addr) {
    let slice = Icmpv6Slice::from_slice(message).unwrap();
    assert!(slice.is_checksum_valid(OWN.octets(), destination.octets()));
}

#[test]
fn a_report_and_a_done_of_version_1() {
    for kind in [MULTICAST_LISTENER_REPORT, MULTICAST_LISTENER_DONE] {
        let mut bytes = [0xaa; V1_LEN];
        MldMessage::write(&mut bytes, kind, GROUP, OWN, ROUTERS);
        assert_checksum(&bytes, ROUTERS);
        assert_eq!(
            (&bytes[..2], &bytes[4..8], &bytes[8..]),
            (&[kind, 0][..], &[0; 4][..], &GROUP.octets()[..])
        );
        let read = MldMessage::read(&bytes).unwrap();
        assert_eq!((read.kind(), read.group()), (kind, GROUP));
        for len in 0..V1_LEN {
            assert_eq!(MldMessage::read(&bytes[..len]), Err(Malformed::Truncated), "{len} bytes");
        }
        bytes[8] = 0x20;
        assert_eq!(MldMessage::read(&bytes), Err(Malformed::Address));
    }
}

/// [RFC 3810 §8.1]: the length tells the versions apart.
#[test]
fn queries_of_both_versions() {
    let sources = [OWN.octets(), GROUP.octets()];
    let details = QueryDetails { suppress: true, robustness: 2, interval_s: 125 };
    let cases = [
        (MldQuery { response_ms: 10_000, group: NONE, details: None, sources: &[] }, 24),
        (MldQuery { response_ms: 65_535, group: GROUP, details: None, sources: &[] }, 24),
        (MldQuery { response_ms: 1_000, group: NONE, details: Some(details), sources: &[] }, 28),
        (MldQuery { response_ms: 32_776, group: GROUP, details: Some(details), sources: &sources }, 60),
    ];
    for (query, len) in cases {
        let mut bytes = [0xaa; 64];
        assert_eq!(query.write(&mut bytes, OWN, GROUP), Ok(len));
        assert!(bytes[len..].iter().all(|byte| *byte == 0xaa));
        assert_eq!(bytes[0], 130);
        assert_checksum(&bytes[..len], GROUP);
        assert_eq!(MldQuery::read(&bytes[..len]), Ok(query));
        for room in 0..len {
            assert_eq!(query.write(&mut bytes[..room], OWN, GROUP), Err(Malformed::Truncated));
        }
    }
}

/// The bytes of RFC 3810 §5.1, filled in by hand.
#[test]
fn a_query_byte_for_byte() {
    let mut bytes = [0; 44];
    bytes[..8].copy_from_slice(&[130, 0, 0, 0, 0x90, 0x00, 0, 0]);
    bytes[8..24].copy_from_slice(&GROUP.octets());
    bytes[24..28].copy_from_slice(&[0x0b, 0x8f, 0, 1]);
    bytes[28..].copy_from_slice(&OWN.octets());
    let query = MldQuery::read(&bytes).unwrap();
    assert_eq!((query.response_ms, query.group, query.sources), (65_536, GROUP, &[OWN.octets()][..]));
    assert_eq!(query.details, Some(QueryDetails { suppress: true, robustness: 3, interval_s: 248 }));
    for len in 0..bytes.len() {
        let expected = match len {
            0..24 => Err(Malformed::Truncated),
            24 => Ok(None),
            _ => Err(Malformed::Length),
        };
        assert_eq!(MldQuery::read(&bytes[..len]).map(|query| query.details), expected, "{len} bytes");
    }
}

#[test]
fn a_query_for_what_is_no_group_is_refused() {
    let details = Some(QueryDetails { suppress: false, robustness: 2, interval_s: 125 });
    let mut bytes = [0; 44];
    for (group, sources, right) in
        [(OWN, &[][..], false), (NONE, &[OWN.octets()], false), (GROUP, &[OWN.octets()], true)]
    {
        let len = MldQuery { response_ms: 1, group, details, sources }.write(&mut bytes, OWN, GROUP).unwrap();
        let expected = (!right).then_some(Malformed::Address);
        assert_eq!(MldQuery::read(&bytes[..len]).err(), expected);
    }
}

#[test]
fn a_report_of_version_2() {
    let sources = [OWN.octets()];
    let mut bytes = [0xaa; 80];
    let mut writer = report_writer(&mut bytes);
    assert!(writer.add(MODE_IS_EXCLUDE, GROUP.octets(), [].into_iter()));
    assert!(writer.add(BLOCK_OLD_SOURCES, ROUTERS.octets(), sources.into_iter()));
    let len = finish_report(writer, OWN, ROUTERS).unwrap();
    assert_eq!(len, 8 + 20 + 36);
    assert_checksum(&bytes[..len], ROUTERS);
    assert_eq!(bytes[..2], [143, 0]);
    assert_eq!(bytes[4..12], [0, 0, 0, 2, 2, 0, 0, 0]);
    let records: vec::Vec<_> = read_report(&bytes[..len]).unwrap().collect();
    let expected = [
        Ok(MldRecord { kind: MODE_IS_EXCLUDE, group: GROUP.octets(), sources: &[] }),
        Ok(MldRecord { kind: BLOCK_OLD_SOURCES, group: ROUTERS.octets(), sources: &sources }),
    ];
    assert_eq!(records, expected);
    for len in 0..8 {
        assert_eq!(read_report(&bytes[..len]).err(), Some(Malformed::Truncated), "{len} bytes");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..MOST)) {
        let _ = MldMessage::read(&bytes);
        let _ = MldQuery::read(&bytes);
        if let Ok(records) = read_report(&bytes) {
            prop_assert!(records.count() <= bytes.len() / 20 + 1);
        }
    }
}
