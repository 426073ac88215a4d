//! Internet group management in all versions, and the times as floating-point numbers that it shares with MLD.
#![no_main]

use coracle_fuzz::{assert_inside, naive_sum};
use coracle_wire::igmp::{self, IgmpMessage, IgmpQuery, Version};
use coracle_wire::membership::{decode_8, decode_16, encode_8, encode_16};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some([a, b, c, d]) = data.first_chunk().copied() {
        times(a, u16::from_be_bytes([a, b]), u32::from_be_bytes([a, b, c, d]));
    }
    if let Ok(read) = IgmpMessage::read(data) {
        let mut written = [0; igmp::LEN];
        IgmpMessage::write(&mut written, read.kind(), read.group());
        assert_eq!(naive_sum(&written), 0xffff);
        assert_eq!((written[0], &written[4..]), (data[0], &data[4..igmp::LEN]));
    }
    query(data);
    report(data);
});

fn times(byte: u8, word: u16, long: u32) {
    assert_eq!((encode_8(decode_8(byte)), encode_16(decode_16(word))), (byte, word));
    assert!(decode_8(encode_8(word)) <= word && decode_16(encode_16(long)) <= long);
}

fn query(data: &[u8]) {
    let Ok(query) = IgmpQuery::read(data) else { return };
    assert!(query.group.is_multicast() || query.group.is_unspecified() && query.sources.is_empty());
    assert!(matches!(query.version, Version::V3(_)) || query.sources.is_empty());
    assert_inside(data, if query.sources.is_empty() { data } else { query.sources.as_flattened() });
    let mut written = vec![0; data.len()];
    let len = query.write(&mut written).unwrap();
    assert_eq!(naive_sum(&written[..len]), 0xffff);
    assert_eq!(IgmpQuery::read(&written[..len]), Ok(query));
}

fn report(data: &[u8]) {
    let Ok(records) = igmp::read_report(data) else { return };
    let mut written = vec![0; data.len()];
    let mut writer = igmp::report_writer(&mut written);
    let read: Vec<_> = records.map_while(Result::ok).collect();
    for record in &read {
        assert!(writer.add(record.kind, record.group, record.sources.iter().copied()));
    }
    let len = igmp::finish_report(writer).unwrap();
    assert_eq!(naive_sum(&written[..len]), 0xffff);
    let again: Vec<_> = igmp::read_report(&written[..len]).unwrap().map(Result::unwrap).collect();
    assert_eq!(again, read);
}
