use super::*;
use crate::{OidRef, Value};
use proptest::prelude::*;
use rasn::types::ObjectIdentifier;
use std::vec::Vec;

fn written(value: &Value<'_>) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = Writer::new(&mut buffer);
    value.write(&mut writer);
    writer.written().to_vec()
}

fn read(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let value = Value::read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// [3416-1]
#[test]
fn lengths_need_not_be_short_but_must_be_there() {
    assert_eq!(read(&[2, 1, 5]), Ok(Value::Integer(5)));
    assert_eq!(read(&[2, 0x81, 1, 5]), Ok(Value::Integer(5)));
    assert_eq!(read(&[2, 0x84, 0, 0, 0, 1, 5]), Ok(Value::Integer(5)));
    assert_eq!(read(&[2, 0x86, 0, 0, 0, 0, 0, 1, 5]), Ok(Value::Integer(5)));
    assert_eq!(read(&[4, 0x80, 5, 0, 0]), Err(Malformed::Length));
    assert_eq!(read(&[4, 0xff, 1]), Err(Malformed::Length));
    assert_eq!(read(&[4, 0x85, 1, 0, 0, 0, 0]), Err(Malformed::Length));
    assert_eq!(read(&[4, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(Malformed::Truncated));
    assert_eq!(read(&[4, 0x82, 1]), Err(Malformed::Truncated));
    assert_eq!(read(&[0x1f, 0x81, 0]), Err(Malformed::Tag));
    assert_eq!((read(&[]), read(&[4])), (Err(Malformed::Truncated), Err(Malformed::Truncated)));
    assert_eq!(read(&[5, 0, 0]), Err(Malformed::Trailing));
}

/// [3416-1]
#[test]
fn numbers_need_not_be_short_but_must_fit() {
    assert_eq!(read(&[2, 5, 0, 0, 0, 0, 5]), Ok(Value::Integer(5)));
    assert_eq!(read(&[2, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb]), Ok(Value::Integer(-5)));
    assert_eq!(read(&[2, 5, 0, 0x80, 0, 0, 0]), Err(Malformed::Value));
    assert_eq!(read(&[2, 0]), Err(Malformed::Value));
    assert_eq!(read(&[0x41, 5, 0, 0xff, 0xff, 0xff, 0xff]), Ok(Value::Counter32(u32::MAX)));
    assert_eq!(read(&[0x41, 4, 0xff, 0xff, 0xff, 0xfe]), Ok(Value::Counter32(u32::MAX - 1)));
    assert_eq!(read(&[0x41, 5, 1, 0, 0, 0, 0]), Err(Malformed::Value));
    assert_eq!(read(&[0x42, 1, 0xff]), Err(Malformed::Value));
    assert_eq!(read(&[0x43, 0]), Err(Malformed::Value));
    assert_eq!(
        read(&[0x46, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        Ok(Value::Counter64(u64::MAX))
    );
    assert_eq!(read(&[0x46, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Malformed::Value));
    assert_eq!(read(&[0x40, 3, 1, 2, 3]), Err(Malformed::Value));
    assert_eq!(read(&[5, 1, 0]), Err(Malformed::Value));
    assert_eq!(read(&[0x45, 1, 0]), Err(Malformed::Tag));
}

#[test]
fn a_writer_that_is_full_stays_so() {
    let mut buffer = [0; 4];
    let mut writer = Writer::new(&mut buffer);
    writer.octets(b"abc");
    assert_eq!(writer.start(), None);
    writer.raw(b"x");
    assert_eq!(writer.start(), None);
    let mut writer = Writer::new(&mut buffer);
    writer.octets(b"ab");
    assert_eq!((writer.start(), writer.written()), (Some(0), &b"\x04\x02ab"[..]));
}

#[test]
fn lengths_of_every_size_are_written() {
    for len in [0, 1, 127, 128, 255, 256, 1000, 65_535, 65_536] {
        let content = std::vec![7; len];
        let mut buffer = std::vec![0; len + 8];
        let mut writer = Writer::new(&mut buffer);
        writer.octets(&content);
        assert!(
            writer.written() == rasn::ber::encode(&rasn::types::OctetString::from(content.clone())).unwrap()
        );
        assert!(read(writer.written()) == Ok(Value::Octets(&content)));
    }
}

proptest! {
    #[test]
    fn signed_numbers_are_those_of_another_codec(value: i32, shift in 0..32) {
        let value = value >> shift;
        let ours = written(&Value::Integer(value));
        prop_assert_eq!(&ours, &rasn::ber::encode(&value).unwrap());
        prop_assert_eq!(read(&ours), Ok(Value::Integer(value)));
    }

    #[test]
    fn unsigned_numbers_are_those_of_another_codec(value: u64, shift in 0..64) {
        use rasn_smi::v1::Counter as Counter32;
        use rasn_smi::v2::{ApplicationSyntax, Counter64, ObjectSyntax};
        let value = value >> shift;
        let ours = written(&Value::Counter64(value));
        let theirs = ObjectSyntax::ApplicationWide(ApplicationSyntax::BigCounter(Counter64(value)));
        prop_assert_eq!(&ours, &rasn::ber::encode(&theirs).unwrap());
        prop_assert_eq!(read(&ours), Ok(Value::Counter64(value)));
        let short = value as u32;
        let ours = written(&Value::Counter32(short));
        let theirs = ObjectSyntax::ApplicationWide(ApplicationSyntax::Counter(Counter32(short)));
        prop_assert_eq!(&ours, &rasn::ber::encode(&theirs).unwrap());
        prop_assert_eq!(read(&ours), Ok(Value::Counter32(short)));
    }

    #[test]
    fn identifiers_are_those_of_another_codec(
        first in 0_u32..3, second in 0_u32..40, tail in proptest::collection::vec(any::<u32>(), 0..126)
    ) {
        let mut arcs = std::vec![first, second];
        arcs.extend(tail);
        let ours = written(&Value::Oid(OidRef::new(&arcs)));
        prop_assert_eq!(&ours, &rasn::ber::encode(&ObjectIdentifier::new_unchecked(arcs.clone().into())).unwrap());
        prop_assert_eq!(read(&ours), Ok(Value::Oid(OidRef::new(&arcs))));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = read(&bytes) {
            // What was read is written in the shortest form, and read as the same.
            let again = written(&value);
            prop_assert!(again.len() <= bytes.len() + 2);
            prop_assert_eq!(read(&again), Ok(value));
        }
    }
}
