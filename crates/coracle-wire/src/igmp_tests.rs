use std::vec::Vec;

use etherparse::IgmpSlice;
use etherparse::igmp::ReportGroupRecordType;
use proptest::prelude::*;

use super::*;
use crate::membership::record::{ALLOW_NEW_SOURCES, CHANGE_TO_INCLUDE};
use crate::testing::{MOST, config};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const DETAILS: QueryDetails = QueryDetails { suppress: false, robustness: 2, interval_s: 125 };

fn judged(message: &[u8]) -> IgmpSlice<'_> {
    let slice = IgmpSlice::from_slice(message).unwrap();
    assert!(slice.is_checksum_valid());
    slice
}

#[test]
fn messages_about_one_group() {
    for kind in [REPORT_V1, REPORT_V2, LEAVE] {
        let mut bytes = [0xaa; LEN];
        IgmpMessage::write(&mut bytes, kind, GROUP);
        let group = match judged(&bytes) {
            IgmpSlice::MembershipReportV1(other) if kind == REPORT_V1 => other.group_address(),
            IgmpSlice::MembershipReportV2(other) if kind == REPORT_V2 => other.group_address(),
            IgmpSlice::LeaveGroup(other) if kind == LEAVE => other.group_address(),
            other => panic!("{other:?}"),
        };
        assert_eq!(Ipv4Addr::from(group.octets), GROUP);
        let read = IgmpMessage::read(&bytes).unwrap();
        assert_eq!((read.kind(), read.group()), (kind, GROUP));
        for len in 0..LEN {
            assert_eq!(IgmpMessage::read(&bytes[..len]), Err(Malformed::Truncated), "{len} bytes");
        }
    }
}

/// [RFC 3376 §7.1]: length and time tell the versions apart.
#[test]
fn queries_of_all_versions() {
    let sources = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let query = |response_ds, group, version| IgmpQuery { response_ds, group, version, sources: &[] };
    let with_sources = IgmpQuery { sources: &sources, ..query(128, GROUP, Version::V3(DETAILS)) };
    let cases = [
        (query(100, NONE, Version::V1), 8),
        (query(100, NONE, Version::V2), 8),
        (query(255, GROUP, Version::V2), 8),
        (query(0, NONE, Version::V3(DETAILS)), 12),
        (query(31_744, GROUP, Version::V3(DETAILS)), 12),
        (with_sources, 20),
    ];
    for (query, len) in cases {
        let mut bytes = [0xaa; 24];
        assert_eq!(query.write(&mut bytes), Ok(len));
        assert!(bytes[len..].iter().all(|byte| *byte == 0xaa));
        assert_eq!(IgmpQuery::read(&bytes[..len]), Ok(query));
        match judged(&bytes[..len]) {
            IgmpSlice::MembershipQuery(other) => {
                assert_eq!(Ipv4Addr::from(other.group_address().octets), query.group);
                assert_eq!(other.max_response_time() == 0, query.version == Version::V1);
            }
            IgmpSlice::MembershipQueryWithSources(other) => {
                assert_eq!(Ipv4Addr::from(other.group_address().octets), query.group);
                assert_eq!(other.max_response_code().as_10th_secs(), query.response_ds);
                assert_eq!((other.qrv().value(), other.s_flag(), other.qqic()), (2, false, 125));
                assert_eq!(other.source_addresses().collect::<Vec<_>>(), query.sources);
            }
            other => panic!("{other:?}"),
        }
        for room in 0..len {
            assert_eq!(query.write(&mut bytes[..room]), Err(Malformed::Truncated));
        }
    }
    let mut bytes = [0; LEN];
    query(1000, GROUP, Version::V2).write(&mut bytes).unwrap();
    assert_eq!(bytes[1], 255);
}

/// [3376-1]
#[test]
fn a_query_whose_sources_are_not_there_is_refused() {
    let mut bytes = [0x11, 1, 0, 0, 239, 1, 2, 3, 2, 125, 0, 2, 192, 0, 2, 1, 192, 0, 2, 2];
    for len in 0..=bytes.len() {
        let expected = match len {
            0..8 => Some(Malformed::Truncated),
            8 | 20 => None,
            _ => Some(Malformed::Length),
        };
        assert_eq!(IgmpQuery::read(&bytes[..len]).err(), expected, "{len} bytes");
    }
    bytes[10] = 0x40;
    assert_eq!(IgmpQuery::read(&bytes), Err(Malformed::Length));
}

#[test]
fn a_query_for_what_is_no_group_is_refused() {
    assert_eq!(IgmpQuery::read(&[0x11, 1, 0, 0, 192, 0, 2, 1]), Err(Malformed::Address));
    assert_eq!(IgmpQuery::read(&[0x11, 1, 0, 0, 0, 0, 0, 0, 2, 5, 0, 0]).err(), None);
    let of_no_group = [0x11, 1, 0, 0, 0, 0, 0, 0, 2, 5, 0, 1, 192, 0, 2, 1];
    assert_eq!(IgmpQuery::read(&of_no_group), Err(Malformed::Address));
    // Version 1 has no such field.
    let first = IgmpQuery::read(&[0x11, 0, 0, 0, 192, 0, 2, 1]).unwrap();
    assert_eq!((first.version, first.group, first.response_ds), (Version::V1, NONE, 100));
}

#[test]
fn a_report_of_version_3() {
    let sources = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let mut bytes = [0xaa; 40];
    let mut writer = report_writer(&mut bytes);
    assert!(writer.add(CHANGE_TO_INCLUDE, GROUP.octets(), [].into_iter()));
    assert!(writer.add(ALLOW_NEW_SOURCES, GROUP.octets(), sources.into_iter()));
    let len = finish_report(writer).unwrap();
    assert_eq!(len, 8 + 8 + 16);

    let IgmpSlice::MembershipReportV3(other) = judged(&bytes[..len]) else { panic!("another message") };
    let others: Vec<_> = other.group_records().map(Result::unwrap).collect();
    assert_eq!(others.len(), 2);
    assert_eq!(others[0].record_type(), ReportGroupRecordType::CHANGE_TO_INCLUDE_MODE);
    assert_eq!(others[1].record_type(), ReportGroupRecordType::ALLOW_NEW_SOURCES);
    assert_eq!(others[1].multicast_address(), GROUP.octets());
    assert_eq!(others[1].source_addresses().collect::<Vec<_>>(), sources);

    let records: Vec<_> = read_report(&bytes[..len]).unwrap().collect();
    let expected = [
        Ok(IgmpRecord { kind: CHANGE_TO_INCLUDE, group: GROUP.octets(), sources: &[] }),
        Ok(IgmpRecord { kind: ALLOW_NEW_SOURCES, group: GROUP.octets(), sources: &sources }),
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
        let _ = IgmpMessage::read(&bytes);
        let _ = IgmpQuery::read(&bytes);
        if let Ok(records) = read_report(&bytes) {
            prop_assert!(records.count() <= bytes.len() / 8 + 1);
        }
    }

    #[test]
    fn a_report_is_what_another_decoder_reads(
        groups in prop::collection::vec((1..=6_u8, any::<[u8; 4]>(), prop::collection::vec(any::<[u8; 4]>(), 0..5)), 0..8),
    ) {
        let mut bytes = [0; 400];
        let mut writer = report_writer(&mut bytes);
        for (kind, group, sources) in &groups {
            prop_assert!(writer.add(*kind, *group, sources.iter().copied()));
        }
        let len = finish_report(writer).unwrap();
        let IgmpSlice::MembershipReportV3(other) = judged(&bytes[..len]) else { panic!("another message") };
        let others: Vec<_> = other.group_records().map(Result::unwrap).collect();
        prop_assert_eq!(others.len(), groups.len());
        let own = read_report(&bytes[..len]).unwrap().map(Result::unwrap);
        for ((own, other), (kind, group, sources)) in own.zip(others).zip(groups) {
            prop_assert_eq!((own.kind, own.group, own.sources), (kind, group, &sources[..]));
            prop_assert_eq!(other.slice()[0], kind);
            prop_assert_eq!(other.multicast_address(), group);
            prop_assert_eq!(other.source_addresses().collect::<Vec<_>>(), sources);
        }
    }
}
