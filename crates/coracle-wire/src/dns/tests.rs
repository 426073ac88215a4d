use core::hash::{Hash, Hasher};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::config;

/// An answer as dnsmasq sent it: a CNAME and the addresses of its target, with pointers.
const ANSWER: &[u8] = b"\x12\x34\x85\x80\x00\x01\x00\x02\x00\x00\x00\x00\
    \x03www\x07example\x04test\x00\x00\x01\x00\x01\
    \xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x07\x04host\xc0\x10\
    \xc0\x2e\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07";

fn name(text: &str) -> NameBuf {
    NameBuf::from_text(text).unwrap()
}

/// A message with this behind the header, and these counts.
fn message(counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for count in counts {
        bytes.extend(count.to_be_bytes());
    }
    bytes.extend(rest);
    bytes
}

/// A message of one answer, whose owner is the root, with these data.
fn answer(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut rest = vec![0];
    rest.extend(kind.to_be_bytes());
    rest.extend([0, 1, 0, 0, 0, 60]);
    rest.extend((data.len() as u16).to_be_bytes());
    rest.extend(data);
    message([0, 1, 0, 0], &rest)
}

fn only_record(bytes: &[u8]) -> Record<'_> {
    Message::read(bytes).unwrap().records().next().unwrap().unwrap()
}

#[test]
fn reads_an_answer_with_an_alias() {
    let message = Message::read(ANSWER).unwrap();
    assert_eq!((message.header.id(), message.header.questions()), (0x1234, 1));
    let flags = message.header.flags();
    assert!(
        flags.contains(DnsFlags::RESPONSE.with(DnsFlags::AUTHORITATIVE).with(DnsFlags::RECURSION_AVAILABLE))
    );
    assert!(!flags.contains(DnsFlags::TRUNCATED));
    assert_eq!((flags.opcode(), flags.rcode()), (0, rcode::NO_ERROR));
    let question = message.question().unwrap().unwrap();
    assert_eq!((question.kind, question.class), (kind::A, class::IN));
    assert_eq!(question.name.to_string(), "www.example.test");
    let records: Vec<_> = message.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].section, records[0].ttl()), (Section::Answer, 60));
    assert_eq!(records[0].target().unwrap(), name("host.example.test").name());
    assert_eq!(records[1].name, name("HOST.example.TEST").name());
    assert_eq!(records[1].a().unwrap().octets(), [192, 0, 2, 7]);
    assert_eq!(records[1].aaaa(), Err(Malformed::Type));
}

#[test]
fn writes_the_answer_that_it_read() {
    let mut buffer = [0xaa; 100];
    let flags = DnsFlags::RESPONSE.with(DnsFlags::AUTHORITATIVE).with(DnsFlags(0x0180));
    let mut writer = Writer::new(&mut buffer, 0x1234, flags).unwrap();
    let (alias, host) = (name("www.example.test"), name("host.example.test"));
    writer.question(alias.name(), kind::A, class::IN).unwrap();
    let write = |data: &mut DataWriter<'_, '_>| data.name(host.name());
    writer.record(Section::Answer, alias.name(), kind::CNAME, class::IN, 60, write).unwrap();
    writer
        .record(Section::Answer, host.name(), kind::A, class::IN, 60, |data| data.bytes(&[192, 0, 2, 7]))
        .unwrap();
    assert_eq!(writer.count(), 3);
    let len = writer.finish();
    assert_eq!(&buffer[..len], ANSWER);
}

/// Every length of a message: an empty one, a cut one, a name at the buffer's end, as in CVE-2020-24383,
/// CVE-2020-13601 and CVE-2025-1673 to 1675.
#[test]
fn every_shorter_length_ends_in_an_error_and_not_in_a_panic() {
    for len in 0..ANSWER.len() {
        let Ok(message) = Message::read(&ANSWER[..len]) else {
            assert!(len < HEADER_LEN);
            continue;
        };
        let question = message.question().unwrap();
        assert_eq!(question.is_ok(), len >= 34, "{len} bytes");
        let sound = message.records().flatten().count();
        assert_eq!(sound, usize::from(len >= 53), "{len} bytes");
        assert!(len < 34 || message.records().any(|record| record.is_err()));
    }
}

/// [1035-1] labels of 64 to 191 bytes are no labels, as in CVE-2020-15795.
#[test]
fn label_types_other_than_the_two_are_refused() {
    for first in 0x40..0xc0 {
        let bytes = [vec![first], vec![b'x'; 200], vec![0]].concat();
        assert_eq!(Name::read(&bytes, 0).map(|_| ()), Err(Malformed::Type), "{first:#x}");
    }
}

/// [1035-1] names without an end, as in CVE-2020-17440, CVE-2020-27736, CVE-2020-17467 and CVE-2020-25107, and labels
/// longer than the message, as in CVE-2020-24335 and CVE-2024-38373.
#[test]
fn names_without_an_end_are_refused() {
    assert_eq!(Name::read(b"\x03www", 0).map(|_| ()), Err(Malformed::Truncated));
    assert_eq!(Name::read(b"\x3fwww\x00", 0).map(|_| ()), Err(Malformed::Truncated));
    assert_eq!(Name::read(b"", 0).map(|_| ()), Err(Malformed::Truncated));
    assert_eq!(Name::read(b"\x00", 7).map(|_| ()), Err(Malformed::Truncated));
}

/// [1035-1] as in CVE-2020-25111, CVE-2016-20009 and CVE-2025-5688: longer than any name may be, written out or by way
/// of pointers.
#[test]
fn names_above_255_bytes_are_refused() {
    let labels = |count: usize| [[vec![63], vec![b'a'; 63]].concat().repeat(count)].concat();
    let most = [labels(3), vec![61], vec![b'a'; 61], vec![0]].concat();
    let (longest, behind) = Name::read(&most, 0).unwrap();
    assert_eq!((longest.wire_len(), behind), (MAX_NAME, MAX_NAME));
    assert_eq!(NameBuf::new(longest).wire(), most);
    let more = [labels(3), vec![62], vec![b'a'; 62], vec![0]].concat();
    assert_eq!(Name::read(&more, 0).map(|_| ()), Err(Malformed::Length));

    // Two hundred bytes, and from there to the two hundred before them.
    let first = [labels(3), vec![0]].concat();
    let again = [first.clone(), labels(1), vec![0xc0, 0]].concat();
    assert_eq!(Name::read(&again, first.len()).map(|_| ()), Err(Malformed::Length));
}

/// [1035-2] forward, to itself, in a circle of two, past the end, into the header, at the last byte; as in
/// CVE-2020-24338, CVE-2020-24339, CVE-2020-27009, CVE-2020-27738 and CVE-2020-25767.
#[test]
fn pointers_go_back_or_nowhere() {
    assert_eq!(Name::read(b"\xc0\x02\x01a\x00", 0).map(|_| ()), Err(Malformed::Option));
    assert_eq!(Name::read(b"\xc0\x00", 0).map(|_| ()), Err(Malformed::Option));
    assert_eq!(Name::read(b"\xc0\x02\xc0\x00", 2).map(|_| ()), Err(Malformed::Option));
    assert_eq!(Name::read(b"\x01a\xc0\x00", 0).map(|_| ()), Err(Malformed::Option));
    assert_eq!(Name::read(b"\x01a\xff\xff", 0).map(|_| ()), Err(Malformed::Option));
    assert_eq!(Name::read(b"\x01a\xc0", 0).map(|_| ()), Err(Malformed::Truncated));
    // The middle of a label that comes back to the pointer.
    assert_eq!(Name::read(b"\x01a\x01b\xc0\x02", 2).map(|_| ()), Err(Malformed::Option));
}

/// [1035-2] a circle of many hops, and a chain that goes back honestly but for ever.
#[test]
fn chains_of_pointers_have_an_end() {
    let mut chain = vec![0, 0];
    for hop in 0..1000_u16 {
        chain.extend((0xc000 | (hop * 2)).to_be_bytes());
    }
    let hops = |count: usize| Name::read(&chain, count * 2);
    assert!(hops(127).unwrap().0.is_root());
    assert_eq!(hops(128).map(|_| ()), Err(Malformed::Option));
    assert_eq!(hops(1000).map(|_| ()), Err(Malformed::Option));
}

/// [1035-5] [RFC 4343]
#[test]
fn names_are_equal_in_any_case_and_letters_only() {
    let (lower, mixed) = (name("host.example"), name("HoSt.ExAmPlE"));
    assert_eq!(lower, mixed);
    assert!(!lower.name().same_case(&mixed.name()) && lower.name().same_case(&lower.name()));
    assert_ne!(name("host@"), name("host`"));
    assert_ne!(name("a.b"), name("a\\.b"));
    assert_ne!(name("a.b"), name("a.b.c"));
    let hash = |name: &NameBuf| {
        let mut hasher = std::hash::DefaultHasher::new();
        name.name().hash(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash(&lower), hash(&mixed));
    assert_ne!(hash(&name("a.b")), hash(&name("ab")));
}

#[test]
fn knows_what_is_within_a_zone() {
    let host = name("a.b.Example");
    for (zone, within) in [("example", true), ("B.example", true), ("a.b.example", true), (".", true)] {
        assert_eq!(host.name().is_within(&name(zone).name()), within, "{zone}");
    }
    for zone in ["x.a.b.example", "ample", "b.example.a", "test"] {
        assert!(!host.name().is_within(&name(zone).name()), "{zone}");
    }
}

#[test]
fn text_becomes_a_name_and_text_again() {
    for text in [
        "host.example",
        "a",
        "xn--bcher-kva.example",
        "a\\.b.c",
        "a\\\\b",
        "\\000\\255.x",
        "_http._tcp.local",
    ] {
        assert_eq!(name(text).to_string(), text);
    }
    assert_eq!(name("host.example.").to_string(), "host.example");
    assert_eq!(name(".").to_string(), ".");
    assert_eq!(name("My\\032Printer._ipp._tcp.local"), name("My Printer._ipp._tcp.local"));
    let (label, longer) = ("a".repeat(63), "a".repeat(64));
    assert_eq!(name(&label).wire().len(), 65);
    for wrong in ["", "..", ".a", "a..b", &longer, &[&label; 4].map(String::as_str).join(".")] {
        assert_eq!(NameBuf::from_text(wrong).err(), Some(Malformed::Length), "{wrong:?}");
    }
    for wrong in ["a\\", "a\\2", "a\\25x", "a\\256"] {
        assert_eq!(NameBuf::from_text(wrong).err(), Some(Malformed::Option), "{wrong:?}");
    }
}

#[test]
fn a_name_that_has_no_room_for_more_stays_as_it_is() {
    let mut long = name(&[&"a".repeat(63); 3].map(String::as_str).join("."));
    let before = long.clone();
    assert_eq!(long.push(&[b'b'; 62]), Err(Malformed::Length));
    assert_eq!(long.push_name(name(&(String::from("c.") + &"b".repeat(60))).name()), Err(Malformed::Length));
    assert_eq!(long.push(b""), Err(Malformed::Length));
    assert_eq!(long.wire(), before.wire());
    long.push(&[b'b'; 61]).unwrap();
    assert_eq!(long.wire().len(), MAX_NAME);
    assert_eq!(long.name().parent().labels().count(), 3);
}

#[test]
fn letters_are_rewritten_and_nothing_else() {
    let mut mixed = name("ab1-c.x_y");
    mixed.rewrite_letters(|letter| letter.to_ascii_uppercase());
    assert_eq!(mixed.to_string(), "AB1-C.X_Y");
    mixed.rewrite_letters(|_| b'q');
    assert_eq!(mixed.to_string(), "AB1-C.X_Y");
}

/// [1035-3] as in CVE-2020-24336, CVE-2020-25108, CVE-2020-25928 and CVE-2020-11901: data longer than the message, or
/// of another length than its kind has.
#[test]
fn data_of_a_wrong_length_is_refused() {
    let good = answer(kind::A, &[192, 0, 2, 1]);
    let record = Message::read(&good).unwrap().records().next().unwrap().unwrap();
    assert_eq!(record.a().unwrap().octets(), [192, 0, 2, 1]);
    let mut long = good.clone();
    long[22] = 200;
    let mut records = Message::read(&long).unwrap().records();
    assert_eq!(records.next().unwrap().err(), Some(Malformed::Length));
    assert!(records.next().is_none());
    for len in [0, 3, 5, 16] {
        assert_eq!(only_record(&answer(kind::A, &vec![1; len])).a(), Err(Malformed::Length), "{len}");
    }
    for len in [0, 4, 15, 17] {
        assert_eq!(only_record(&answer(kind::AAAA, &vec![1; len])).aaaa(), Err(Malformed::Length));
    }
    // A name that ends before its data, or goes on behind: the next record is not looked at.
    for data in [&b"\x01a\x00\x00"[..], b"\x01a", b"\x05a\x00"] {
        let mut bytes = answer(kind::CNAME, data);
        bytes.extend([0; 20]);
        let record = only_record(&bytes);
        assert!(record.target().is_err(), "{data:?}");
        assert!(record.expand(&mut [0; 300]).is_err());
    }
    assert!(only_record(&answer(kind::SRV, &[0; 5])).srv().is_err());
    assert!(only_record(&answer(kind::SRV, &[0; 8])).srv().is_err());
    assert!(only_record(&answer(kind::SOA, &[0; 21])).soa().is_err());
    assert!(only_record(&answer(kind::TXT, b"\x03ab")).txt().is_err());
    assert!(only_record(&answer(kind::NSEC, b"\x00\x00\x00")).nsec().is_err());
    assert!(only_record(&answer(kind::NSEC, b"\x00\x00\x02\x01")).nsec().is_err());
    assert!(only_record(&answer(kind::NSEC, &[&b"\x00\x00\x21"[..], &[1; 33]].concat())).nsec().is_err());
}

/// [1035-3] counts that promise more than there is, as in CVE-2020-24334, CVE-2020-24340, CVE-2020-25109,
/// CVE-2020-27737 and CVE-2020-25927.
#[test]
fn counts_are_promises_and_no_more() {
    let mut bytes = answer(kind::A, &[192, 0, 2, 1]);
    bytes[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
    let records: Vec<_> = Message::read(&bytes).unwrap().records().collect();
    assert_eq!((records.len(), records[0].is_ok(), records[1].is_err()), (2, true, true));
    bytes[4..6].copy_from_slice(&u16::MAX.to_be_bytes());
    let message = Message::read(&bytes).unwrap();
    assert!(message.questions().any(|question| question.is_err()));
    assert!(message.question().is_none() && message.records().next().is_none());
}

#[test]
fn reads_every_kind_of_data() {
    let srv = answer(kind::SRV, b"\x00\x01\x00\x02\x1f\x90\x01h\x00");
    let host = name("h");
    let expected = Srv { priority: 1, weight: 2, port: 8080, target: host.name() };
    assert_eq!(only_record(&srv).srv().unwrap(), expected);
    let txt = answer(kind::TXT, b"\x03a=b\x00\x01c");
    assert_eq!(only_record(&txt).txt().unwrap().collect::<Vec<_>>(), [&b"a=b"[..], b"", b"c"]);
    let mut data = b"\x01s\x00\x01m\x00".to_vec();
    data.extend((1..=5_u32).flat_map(u32::to_be_bytes));
    let soa = answer(kind::SOA, &data);
    let soa = only_record(&soa).soa().unwrap();
    assert_eq!((soa.serial, soa.minimum, soa.server), (1, 5, name("s").name()));
    assert_eq!(soa.mailbox, name("m").name());
    let nsec = answer(kind::NSEC, b"\x01h\x00\x00\x05\x40\x00\x00\x00\x40\x01\x01\x80");
    let nsec = only_record(&nsec).nsec().unwrap();
    let has: Vec<u16> = (0..=700).filter(|&kind| nsec.has(kind)).collect();
    assert_eq!((has, nsec.next), (vec![1, 33, 256], host.name()));
}

/// [RFC 2181 §8] [1035-5]
#[test]
fn a_ttl_with_the_highest_bit_is_zero() {
    let mut bytes = answer(kind::A, &[1; 4]);
    bytes[17..21].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(only_record(&bytes).ttl(), 0x7fff_ffff);
    bytes[17] = 0x80;
    assert_eq!(only_record(&bytes).ttl(), 0);
}

#[test]
fn data_is_written_out_without_pointers() {
    let mut bytes =
        b"\x00\x00\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x04host\x04test\x00\x00\x21\x00\x01".to_vec();
    bytes.extend(b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x05\x00\x09\x00\x01\x00\x02\x00\x03\xc0\x11\x00");
    assert!(Message::read(&bytes).unwrap().records().next().unwrap().unwrap().srv().is_err());
    let at = bytes.len() - 10;
    bytes[at] = 8;
    bytes.pop();
    bytes.extend(b"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x05\x00\x06\x00\x0a\x01m\xc0\x11");
    let mut out = [0; 40];
    let records: Vec<_> = Message::read(&bytes).unwrap().records().map(Result::unwrap).collect();
    assert_eq!(records[0].expand(&mut out), Ok(Some(12)));
    assert_eq!(&out[..12], b"\x00\x01\x00\x02\x00\x03\x04test\x00");
    let kept = Record::from_parts(records[0].name, kind::SRV, class::IN, 5, &out[..12]);
    assert_eq!(kept.srv().unwrap(), records[0].srv().unwrap());
    assert_eq!(records[1].expand(&mut out), Ok(Some(10)));
    assert_eq!(&out[..10], b"\x00\x0a\x01m\x04test\x00");
    assert_eq!(records[0].expand(&mut out[..11]), Ok(None));
}

/// [RFC 6891 §6.1.2]
#[test]
fn writes_and_reads_what_a_client_can_receive() {
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer, 1, DnsFlags::RECURSION_DESIRED).unwrap();
    writer.question(name("a.test").name(), kind::AAAA, class::IN).unwrap();
    writer.opt(1232).unwrap();
    let len = writer.finish();
    assert_eq!(&buffer[24..len], b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
    let record = Message::read(&buffer[..len]).unwrap().records().next().unwrap().unwrap();
    assert_eq!((record.section, record.opt(), record.class), (Section::Additional, Ok((0, 0)), 1232));
}

#[test]
fn what_does_not_fit_leaves_the_message_whole() {
    let (host, other) = (name("host.local"), name("other.local"));
    let address = |data: &mut DataWriter<'_, '_>| data.bytes(&[192, 0, 2, 1]);
    let mut whole = [0; 100];
    let mut writer = Writer::new(&mut whole, 0, DnsFlags::RESPONSE).unwrap();
    writer.record(Section::Answer, host.name(), kind::A, class::IN, 120, address).unwrap();
    let first = writer.written();
    writer.record(Section::Additional, other.name(), kind::A, class::IN, 120, address).unwrap();
    let len = writer.finish();
    for room in 0..len {
        let mut buffer = vec![0xee; room];
        let Ok(mut writer) = Writer::new(&mut buffer, 0, DnsFlags::RESPONSE) else {
            assert!(room < HEADER_LEN);
            continue;
        };
        let one = writer.record(Section::Answer, host.name(), kind::A, class::IN, 120, address);
        let two = writer.record(Section::Additional, other.name(), kind::A, class::IN, 120, address);
        assert_eq!((one.is_ok(), two.is_ok()), (room >= first, false), "{room} bytes");
        let written = writer.finish();
        let message = Message::read(&buffer[..written]).unwrap();
        assert!(message.records().all(|record| record.unwrap().a().is_ok()));
        assert_eq!(message.records().count(), usize::from(room >= first));
    }
}

#[test]
fn sections_come_in_their_order() {
    let mut buffer = [0; 100];
    let mut writer = Writer::new(&mut buffer, 0, DnsFlags::RESPONSE).unwrap();
    writer.record(Section::Authority, Name::ROOT, kind::A, class::IN, 1, |data| data.bytes(&[1; 4])).unwrap();
    let late = writer.record(Section::Answer, Name::ROOT, kind::A, class::IN, 1, |_| Ok(()));
    assert_eq!(late, Err(Malformed::Type));
    assert_eq!(writer.question(Name::ROOT, kind::A, class::IN), Err(Malformed::Type));
}

#[test]
fn writes_which_kinds_a_name_has() {
    let mut buffer = [0; 100];
    let host = name("h.local");
    let mut writer = Writer::new(&mut buffer, 0, DnsFlags::RESPONSE).unwrap();
    let kinds = [kind::A, kind::AAAA, kind::SRV];
    let write = |data: &mut DataWriter<'_, '_>| data.nsec(host.name(), &kinds);
    writer.record(Section::Answer, host.name(), kind::NSEC, class::IN, 120, write).unwrap();
    let len = writer.finish();
    let record = only_record(&buffer[..len]);
    let nsec = record.nsec().unwrap();
    assert_eq!(nsec.next, host.name());
    assert_eq!((0..1000).filter(|&kind| nsec.has(kind)).collect::<Vec<_>>(), kinds);
}

/// Reads whatever there is to read.
fn read_all(bytes: &[u8]) -> usize {
    let Ok(message) = Message::read(bytes) else { return 0 };
    let mut seen = message.questions().map_while(Result::ok).map(|question| question.name.wire_len()).sum();
    for record in message.records().map_while(Result::ok) {
        assert!(record.name.wire_len() <= MAX_NAME);
        seen += record.name.labels().map(<[u8]>::len).sum::<usize>();
        let typed = [
            record.a().is_ok(),
            record.aaaa().is_ok(),
            record.target().is_ok_and(|target| target.wire_len() <= MAX_NAME),
            record.srv().is_ok(),
            record.txt().is_ok_and(|texts| texts.count() < 70_000),
            record.soa().is_ok(),
            record.nsec().is_ok_and(|nsec| nsec.has(1) || !nsec.has(1)),
            record.opt().is_ok(),
        ];
        assert!(typed.iter().filter(|&&ok| ok).count() <= 1);
        let mut out = [0; 600];
        if let Ok(Some(len)) = record.expand(&mut out) {
            let kept = Record::from_parts(record.name, record.kind, record.class, 0, &out[..len]);
            assert_eq!(record.target().is_ok(), kept.target().is_ok());
            assert_eq!(record.srv().is_ok(), kept.srv().is_ok());
        }
    }
    seen
}

fn names() -> impl Strategy<Value = NameBuf> {
    let label = prop_oneof![
        4 => proptest::sample::select(vec![&b"a"[..], b"B", b"local", b"Local", b"_tcp", b"x y"]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 1..64),
    ];
    proptest::collection::vec(label, 0..6).prop_map(|labels| {
        let mut name = NameBuf::ROOT;
        for label in labels {
            name.push(&label).unwrap_or_default();
        }
        name
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    /// Pointers and short labels everywhere: more walks, more circles.
    #[test]
    fn no_tangle_of_pointers_panics(
        counts in any::<[u8; 4]>(),
        rest in proptest::collection::vec(prop_oneof![Just(0xc0), 0..20_u8, any::<u8>()], 0..400),
    ) {
        read_all(&message(counts.map(|count| u16::from(count % 8)), &rest));
    }

    #[test]
    fn a_good_message_with_bytes_changed_does_not_panic(changes in proptest::collection::vec((0..ANSWER.len(), any::<u8>()), 1..5)) {
        let mut bytes = ANSWER.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        read_all(&bytes);
    }

    /// Whatever names are written, with pointers, are read again.
    #[test]
    fn names_survive_compression(list in proptest::collection::vec(names(), 1..40)) {
        let mut buffer = vec![0; 20_000];
        let mut writer = Writer::new(&mut buffer, 9, DnsFlags::RESPONSE).unwrap();
        for one in &list {
            let write = |data: &mut DataWriter<'_, '_>| data.name(one.name());
            writer.record(Section::Answer, one.name(), kind::PTR, class::IN, 1, write).unwrap();
        }
        let len = writer.finish();
        let plain: usize = list.iter().map(|name| name.wire().len() * 2 + 10).sum();
        prop_assert!(len <= HEADER_LEN + plain);
        let message = Message::read(&buffer[..len]).unwrap();
        let mut count = 0;
        for (record, one) in message.records().zip(&list) {
            let record = record.unwrap();
            prop_assert!(record.name.same_case(&one.name()) && record.target().unwrap().same_case(&one.name()));
            count += 1;
        }
        prop_assert_eq!(count, list.len());
    }

    #[test]
    fn names_survive_as_text(one in names()) {
        let again = NameBuf::from_text(&one.to_string()).unwrap();
        prop_assert_eq!(again.wire(), one.wire());
    }
}
