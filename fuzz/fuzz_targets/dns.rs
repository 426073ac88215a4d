//! Messages of the domain name system.
#![no_main]

use coracle_fuzz::assert_inside;
use coracle_wire::dns::{DnsFlags, MAX_NAME, Message, Name, NameBuf, Record, Section, Writer, kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    names(data);
    let Ok(message) = Message::read(data) else { return assert!(data.len() < 12) };
    let mut buffer = vec![0; 2 * data.len() + 4096];
    let mut writer = Writer::new(&mut buffer, message.header.id(), DnsFlags::RESPONSE).unwrap();
    for question in message.questions().map_while(Result::ok) {
        writer.question(question.name, question.kind, question.class).unwrap_or_default();
    }
    let mut expected = Vec::new();
    for record in message.records().map_while(Result::ok) {
        assert_inside(data, record.data());
        let mut out = [0; 1024];
        let Ok(Some(len)) = record.expand(&mut out) else { continue };
        let (name, ttl) = (record.name, record.ttl());
        let written = writer.record(Section::Additional, name, record.kind, record.class, ttl, |data| {
            data.bytes(&out[..len])
        });
        if written.is_ok() {
            expected.push((NameBuf::new(name), record.kind, record.class, ttl, out[..len].to_vec()));
        }
        typed(&record);
    }
    let len = writer.finish();
    let again = Message::read(&buffer[..len]).unwrap();
    let mut records = again.records();
    for (name, kind, class, ttl, data) in expected {
        let record = records.next().unwrap().unwrap();
        assert!(record.name.same_case(&name.name()));
        assert_eq!((record.kind, record.class, record.ttl(), record.data()), (kind, class, ttl, &*data));
    }
    assert!(records.next().is_none());
});

fn typed(record: &Record<'_>) {
    assert!(record.kind == kind::A || record.a().is_err());
    assert!(record.kind == kind::AAAA || record.aaaa().is_err());
    if let Ok(target) = record.target() {
        assert!(target.wire_len() <= MAX_NAME);
    }
    if let Ok(texts) = record.txt() {
        assert!(texts.map(|text| text.len() + 1).sum::<usize>() == record.data().len());
    }
    if let Ok(nsec) = record.nsec() {
        assert!((0..=u16::MAX).step_by(97).filter(|&kind| nsec.has(kind)).count() <= 700);
    }
    let _ = (record.srv(), record.soa(), record.opt());
}

/// A name anywhere: written out, as text, and read again.
fn names(data: &[u8]) {
    let at = data.first().map_or(0, |&first| usize::from(first) % data.len());
    let Ok((name, behind)) = Name::read(data, at) else { return };
    assert!(behind > at && behind <= data.len());
    let copy = NameBuf::new(name);
    assert_eq!(copy.wire().len(), name.wire_len());
    assert!(name.wire_len() <= MAX_NAME && copy.name().same_case(&name));
    let text = name.to_string();
    assert_eq!(NameBuf::from_text(&text).unwrap().wire(), copy.wire());
    assert!(name.is_within(&name.parent()));
}
