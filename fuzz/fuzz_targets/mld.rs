//! Multicast listener discovery in both versions.
#![no_main]

use core::net::Ipv6Addr;

use coracle_fuzz::assert_inside;
use coracle_wire::icmpv6::checksum;
use coracle_wire::mld::{self, MldMessage, MldQuery};
use libfuzzer_sys::fuzz_target;

const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DESTINATION: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = MldMessage::read(data) {
        assert!(read.group().is_multicast());
        let mut written = [0; mld::V1_LEN];
        MldMessage::write(&mut written, read.kind(), read.group(), SOURCE, DESTINATION);
        assert_eq!((written[0], &written[8..]), (data[0], &data[8..mld::V1_LEN]));
    }
    query(data);
    report(data);
});

fn query(data: &[u8]) {
    let Ok(query) = MldQuery::read(data) else { return };
    assert!(query.group.is_multicast() || query.group.is_unspecified() && query.sources.is_empty());
    assert!(query.details.is_some() || query.sources.is_empty());
    assert_inside(data, if query.sources.is_empty() { data } else { query.sources.as_flattened() });
    let mut written = vec![0; data.len()];
    let len = query.write(&mut written, SOURCE, DESTINATION).unwrap();
    assert_eq!(checksum(SOURCE, DESTINATION, &written[..len]), 0);
    assert_eq!(MldQuery::read(&written[..len]), Ok(query), "every code is that of the time it stands for");
}

fn report(data: &[u8]) {
    let Ok(records) = mld::read_report(data) else { return };
    let mut written = vec![0; data.len()];
    let mut writer = mld::report_writer(&mut written);
    let read: Vec<_> = records.map_while(Result::ok).collect();
    for record in &read {
        assert!(writer.add(record.kind, record.group, record.sources.iter().copied()));
    }
    let len = mld::finish_report(writer, SOURCE, DESTINATION).unwrap();
    assert_eq!(checksum(SOURCE, DESTINATION, &written[..len]), 0);
    let again: Vec<_> = mld::read_report(&written[..len]).unwrap().map(Result::unwrap).collect();
    assert_eq!(again, read);
}
