use super::*;
use crate::{Message, Version};
use std::vec::Vec;

/// `snmpget -v2c -c public 127.0.0.1 1.3.6.1.2.1.1.5.0`, as net-snmp sends it.
const GET: &[u8] =
    b"\x30\x29\x02\x01\x01\x04\x06public\xa0\x1c\x02\x04\x5b\x43\x36\x2f\x02\x01\x00\x02\x01\x00\
\x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x05\x00\x05\x00";

#[test]
fn a_request_of_net_snmp_is_read_and_written_back() {
    let mut message = Message::open(GET).unwrap();
    assert_eq!(message.version, Version::V2c as i32);
    assert_eq!(message.body.octets().unwrap(), b"public");
    let pdu = Pdu::read(&mut message.body).unwrap();
    assert_eq!((pdu.kind, pdu.request_id), (PduKind::Get, 0x5b43_362f));
    let bindings: Vec<_> = pdu.bindings.into_iter().collect();
    assert_eq!(bindings, [Binding::new(&[1, 3, 6, 1, 2, 1, 1, 5, 0], Value::Null)]);

    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer);
    let end = writer.mark();
    bindings[0].write(&mut writer);
    Pdu::close(&mut writer, end, pdu.kind, (pdu.request_id, 0, 0));
    Message::close(&mut writer, end, Version::V2c, b"public");
    assert_eq!(writer.written(), GET);
}

/// [3416-1]
#[test]
fn a_message_that_is_cut_anywhere_is_refused() {
    let parse = |bytes: &[u8]| {
        let mut message = Message::open(bytes)?;
        message.body.octets()?;
        let pdu = Pdu::read(&mut message.body)?;
        message.body.finish()?;
        Ok::<_, Malformed>(pdu.bindings.into_iter().count())
    };
    assert_eq!(parse(GET), Ok(1));
    for len in 0..GET.len() {
        assert!(parse(&GET[..len]).is_err(), "{len}");
    }
    let mut longer = GET.to_vec();
    longer.push(0);
    assert_eq!(parse(&longer), Err(Malformed::Trailing));
    // A list that claims more than the PDU has.
    let mut inside = GET.to_vec();
    inside[28] += 1;
    assert_eq!(parse(&inside), Err(Malformed::Truncated));
}

#[test]
fn a_trap_of_version_1_is_read() {
    let bytes = b"\xa4\x1b\x06\x05\x2b\x06\x01\x04\x01\x40\x04\xc0\x00\x02\x01\x02\x01\x06\x02\x01\x11\x43\x02\x01\x00\x30\x02\x30\x00";
    assert_eq!(TrapV1::read(&mut Reader::new(bytes)).unwrap_err(), Malformed::Truncated);
    let bytes = b"\xa4\x19\x06\x05\x2b\x06\x01\x04\x01\x40\x04\xc0\x00\x02\x01\x02\x01\x06\x02\x01\x11\x43\x02\x01\x00\x30\x00";
    let trap = TrapV1::read(&mut Reader::new(bytes)).unwrap();
    assert_eq!(trap.enterprise, OidRef::new(&[1, 3, 6, 1, 4, 1]));
    assert_eq!(
        (trap.agent, trap.generic, trap.specific, trap.uptime),
        (Ipv4Addr::new(192, 0, 2, 1), 6, 17, 256)
    );
}

/// [RFC 3584 §4.4]
#[test]
fn errors_in_the_words_of_version_1() {
    assert_eq!(ErrorStatus::WrongLength.for_v1(), ErrorStatus::BadValue);
    assert_eq!(ErrorStatus::NotWritable.for_v1(), ErrorStatus::NoSuchName);
    assert_eq!(ErrorStatus::CommitFailed.for_v1(), ErrorStatus::GenErr);
    assert_eq!(ErrorStatus::TooBig.for_v1(), ErrorStatus::TooBig);
    for number in 0..19 {
        assert_eq!(ErrorStatus::of_number(number).unwrap() as i32, number);
    }
    assert_eq!((ErrorStatus::of_number(19), ErrorStatus::of_number(-1)), (None, None));
}
