use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::{MOST, config};

const STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);

/// A message of a server, all zeros but for what every message has, with these options behind the cookie.
fn message(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    let fields = DhcpFields { operation: BOOT_REPLY, ..DhcpFields::request(0x0102_0304, STATION) };
    DhcpHeader::write(bytes.first_chunk_mut().unwrap(), &fields);
    bytes.extend_from_slice(options);
    bytes
}

/// The same with options in `file` and `sname` too.
fn overloaded(options: &[u8], file: &[u8], sname: &[u8]) -> Vec<u8> {
    let mut bytes = message(options);
    bytes[108..][..file.len()].copy_from_slice(file);
    bytes[44..][..sname.len()].copy_from_slice(sname);
    bytes
}

fn value(bytes: &[u8], code: u8) -> Option<Vec<u8>> {
    DhcpMessage::read(bytes).unwrap().value(code).map(Iterator::collect)
}

/// The fixed part, byte by byte [RFC 2131 §2].
#[test]
fn the_fixed_part() {
    let fields = DhcpFields {
        operation: BOOT_REPLY,
        transaction: 0x0102_0304,
        seconds: 0x0506,
        broadcast: true,
        client: [192, 0, 2, 1].into(),
        yours: [192, 0, 2, 2].into(),
        next_server: [192, 0, 2, 3].into(),
        relay: [192, 0, 2, 4].into(),
        hardware: STATION,
    };
    let mut bytes = [0xaa; HEADER_LEN];
    DhcpHeader::write(&mut bytes, &fields);
    let expected = [
        [2, 1, 6, 0, 1, 2, 3, 4, 5, 6, 0x80, 0, 192, 0, 2, 1],
        [192, 0, 2, 2, 192, 0, 2, 3, 192, 0, 2, 4, 2, 0, 0, 0],
    ];
    assert_eq!(bytes[..32], *expected.as_flattened());
    assert_eq!(bytes[32..34], [0, 1]);
    assert!(bytes[34..236].iter().all(|&byte| byte == 0));
    assert_eq!(bytes[236..], [0x63, 0x82, 0x53, 0x63]);

    let message = DhcpMessage::read(&bytes).unwrap();
    let header = message.header;
    let read = DhcpFields {
        operation: header.operation(),
        transaction: header.transaction(),
        seconds: header.seconds(),
        broadcast: header.broadcast(),
        client: header.client(),
        yours: header.yours(),
        next_server: header.next_server(),
        relay: header.relay(),
        hardware: header.hardware(),
    };
    assert_eq!(read, fields);
    assert_eq!((header.hops(), header.server_name(), header.boot_file()), (0, &[][..], &[][..]));
}

/// What a small client sends first, whole.
#[test]
fn a_discover() {
    let mut bytes = [0xee; 320];
    let fields = DhcpFields::request(0x3903_f326, STATION);
    let mut writer = DhcpWriter::new(&mut bytes, &fields, MessageType::Discover).unwrap();
    assert!(writer.option(code::CLIENT_ID, &[1, 2, 0, 0, 0, 0, 1]));
    assert!(writer.option(code::PARAMETERS, &[1, 3, 6]));
    assert!(writer.number(code::LEASE_TIME, 3600));
    assert!(writer.option(code::RAPID_COMMIT, &[]));
    assert_eq!(writer.finish(), MIN_LEN);
    let options =
        [53, 1, 1, 61, 7, 1, 2, 0, 0, 0, 0, 1, 55, 3, 1, 3, 6, 51, 4, 0, 0, 0x0e, 0x10, 80, 0, 255, 0, 0];
    assert_eq!(bytes[HEADER_LEN..][..options.len()], options);
    assert!(bytes[HEADER_LEN + options.len()..MIN_LEN].iter().all(|&byte| byte == 0));
    assert_eq!(bytes[MIN_LEN..], [0xee; 20]);
    let message = DhcpMessage::read(&bytes[..MIN_LEN]).unwrap();
    assert_eq!(message.message_type(), Some(MessageType::Discover));
    assert_eq!(message.number(code::LEASE_TIME), Some(3600));
    assert_eq!(value(&bytes, code::RAPID_COMMIT), Some(vec![]));
}

/// Cut messages, as in CVE-2018-16602 and CVE-2020-11903 [2131-1, 2131-2].
#[test]
fn refuses_every_shorter_length_but_between_options() {
    let bytes = message(&[53, 1, 2, 51, 4, 0, 0, 0, 60, 255]);
    for len in 0..bytes.len() {
        let expected = match len {
            0..HEADER_LEN => Some(Malformed::Truncated),
            // The end marker may be missing.
            240 | 243 | 249 => None,
            _ => Some(Malformed::Option),
        };
        assert_eq!(DhcpMessage::read(&bytes[..len]).err(), expected, "{len} bytes");
    }
}

/// [2131-1]
#[test]
fn refuses_other_cookies_and_hardware() {
    for (at, expected) in
        [(1, Malformed::Type), (2, Malformed::Length), (236, Malformed::Type), (239, Malformed::Type)]
    {
        let mut bytes = message(&[53, 1, 2, 255]);
        bytes[at] ^= 0x40;
        assert_eq!(DhcpMessage::read(&bytes).err(), Some(expected), "byte {at}");
    }
}

#[test]
fn message_types() {
    for number in 0..=255 {
        let bytes = message(&[53, 1, number, 255]);
        let kind = DhcpMessage::read(&bytes).unwrap().message_type();
        assert_eq!(kind.map(|kind| kind as u8), (1..=8).contains(&number).then_some(number));
    }
    let without = |options: &[u8]| DhcpMessage::read(&message(options)).unwrap().message_type();
    assert_eq!(without(&[255]), None);
    assert_eq!(without(&[53, 2, 1, 1, 255]), None, "not one byte");
    assert_eq!(without(&[53, 1, 2, 53, 1, 5, 255]), None, "twice, which makes two bytes");
}

/// [2131-2] Pads, the end, and nothing behind it.
#[test]
fn options_end_at_the_end() {
    let bytes = message(&[0, 0, 53, 1, 5, 0, 12, 1, b'a', 255, 54, 200, 1]);
    let message = DhcpMessage::read(&bytes).unwrap();
    assert_eq!(message.options().collect::<Vec<_>>(), [(53, &[5][..]), (12, &b"a"[..])]);
    assert_eq!(message.server(), None);
}

/// [2131-2] Options in `file`, in `sname`, in both, in neither, whatever the overload option says that means nothing.
#[test]
fn options_in_other_fields() {
    for overload in 0..=5 {
        let bytes = overloaded(&[52, 1, overload, 255], &[12, 1, b'f', 255], &[15, 1, b's', 255]);
        let used = |bit: u8| overload <= 3 && overload & bit != 0;
        assert_eq!(value(&bytes, code::HOSTNAME), used(1).then(|| b"f".to_vec()), "{overload}");
        assert_eq!(value(&bytes, code::DOMAIN), used(2).then(|| b"s".to_vec()), "{overload}");
    }
    // The fields are no room for more room.
    let bytes = overloaded(&[52, 1, 1, 255], &[52, 1, 3, 255], &[15, 1, b's', 255]);
    assert_eq!(value(&bytes, code::DOMAIN), None);
    // Without an end marker, and full to the last byte.
    let mut file = [7; 128];
    (file[0], file[1]) = (12, 126);
    let bytes = overloaded(&[52, 1, 3], &file, &[15, 1, b's']);
    assert_eq!(value(&bytes, code::HOSTNAME), Some(vec![7; 126]));
    assert_eq!(value(&bytes, code::DOMAIN), Some(b"s".to_vec()));
    // Past the end of the field, although more of the message follows; as in CVE-2019-12257.
    for (file, sname) in [(&[12, 127][..], &[][..]), (&[], &[12, 63]), (&[255], &[12, 200])] {
        let bytes = overloaded(&[52, 1, 3, 255, 0, 0], file, sname);
        assert_eq!(DhcpMessage::read(&bytes).err(), Some(Malformed::Option));
    }
}

/// RFC 3396 §7: pieces are joined in the order of the fields, wherever they are cut.
#[test]
fn long_options_are_joined() {
    let bytes = overloaded(
        &[12, 2, b'a', b'b', 52, 1, 3, 12, 1, b'c', 255],
        &[12, 1, b'd', 255],
        &[12, 2, b'e', b'f'],
    );
    assert_eq!(value(&bytes, code::HOSTNAME), Some(b"abcdef".to_vec()));
    let message = DhcpMessage::read(&bytes).unwrap();
    let hostname = message.value(code::HOSTNAME).unwrap();
    assert_eq!((hostname.len(), hostname.contiguous()), (6, None));
    let mut room = [0; 8];
    assert_eq!(hostname.copy_to(&mut room), Some(&b"abcdef"[..]));
    assert_eq!(hostname.copy_to(&mut room[..5]), None);
    // A number cut in two is a number.
    let bytes = self::message(&[51, 1, 0, 51, 3, 1, 2, 3, 255]);
    assert_eq!(DhcpMessage::read(&bytes).unwrap().number(code::LEASE_TIME), Some(0x0001_0203));
}

#[test]
fn values_of_the_wrong_length_are_none() {
    let bytes = message(&[51, 3, 0, 0, 1, 54, 5, 1, 2, 3, 4, 5, 3, 6, 1, 2, 3, 4, 5, 6, 6, 0, 26, 1, 5, 255]);
    let message = DhcpMessage::read(&bytes).unwrap();
    assert_eq!(message.number(code::LEASE_TIME), None);
    assert_eq!(message.server(), None);
    assert_eq!(message.address(code::ROUTERS), None);
    assert_eq!(message.addresses(code::DNS_SERVERS).count(), 0);
    assert_eq!(message.value(code::MTU).and_then(Value::short), None);
    assert_eq!(message.addresses(code::NTP_SERVERS).count(), 0);
}

#[test]
fn lists_of_addresses() {
    let bytes = message(&[6, 4, 192, 0, 2, 1, 6, 4, 192, 0, 2, 2, 255]);
    let message = DhcpMessage::read(&bytes).unwrap();
    let expected = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
    assert!(message.addresses(code::DNS_SERVERS).eq(expected));
    assert_eq!(message.address(code::DNS_SERVERS), Some(expected[0]));
}

/// [RFC 3442] The encodings of its own table, a default route, and lists that are cut.
#[test]
fn classless_routes() {
    let routes = |bytes: &[u8]| {
        let message = message(&[&[121, bytes.len() as u8], bytes, &[255]].concat());
        let message = DhcpMessage::read(&message).unwrap();
        let list = message.value(code::CLASSLESS_ROUTES).map(ClasslessRoutes::new).unwrap();
        list.map(|route| (route.destination.octets(), route.prefix_len, route.router.octets()))
            .collect::<Vec<_>>()
    };
    let router = [10, 0, 0, 1];
    assert_eq!(routes(&[0, 10, 0, 0, 1]), [([0; 4], 0, router)]);
    assert_eq!(routes(&[8, 10, 10, 0, 0, 1]), [([10, 0, 0, 0], 8, router)]);
    assert_eq!(routes(&[25, 10, 27, 129, 255, 10, 0, 0, 1]), [([10, 27, 129, 128], 25, router)]);
    assert_eq!(routes(&[32, 10, 229, 0, 128, 0, 0, 0, 0]), [([10, 229, 0, 128], 32, [0; 4])]);
    let both = [16, 172, 16, 10, 0, 0, 1, 24, 10, 17, 0, 10, 0, 0, 1];
    assert_eq!(routes(&both), [([172, 16, 0, 0], 16, router), ([10, 17, 0, 0], 24, router)]);
    for len in 7..both.len() {
        assert_eq!(routes(&both[..len]).len(), 1, "{len} bytes");
    }
    assert_eq!(routes(&[33, 1, 2, 3, 4, 5, 10, 0, 0, 1]), []);
}

fn names(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    Names::new(bytes).map(|name| name.labels().map(<[u8]>::to_vec).collect()).collect()
}

/// The example of [RFC 3397 §3]: two names, the second one's end compressed.
#[test]
fn a_search_list() {
    let list = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
    let name = |first: &[u8]| vec![first.to_vec(), b"apple".to_vec(), b"com".to_vec()];
    assert_eq!(names(list), [name(b"eng"), name(b"marketing")]);
}

/// Cut labels and pointers of every wrong kind, as in CVE-2020-7461, end the list; whatever the bytes, it ends.
#[test]
fn wrong_names_end_the_list() {
    let good = b"\x01a\x00".as_slice();
    let long = [&[63; 64][..]; 4].concat();
    for wrong in [
        &b""[..],
        b"\x01",
        b"\x01a",
        b"\x05ab",
        b"\xc0",
        b"\xc0\x03",     // itself
        b"\xc0\x05\x00", // forwards
        b"\xff\xff",
        b"\x40a\x00", // label types that nobody uses
        b"\x80a\x00",
        b"\x01b\xc0\x03", // back into itself
        b"\x01b\xc0\x05",
        &long, // 256 bytes without its end
        &[&long[..], &[0]].concat(),
    ] {
        assert_eq!(names(&[good, wrong].concat()), [vec![b"a".to_vec()]], "{wrong:?}");
    }
    // 255 bytes are the most.
    let most = [&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat();
    assert_eq!((most.len(), names(&most).len()), (255, 1));
}

#[test]
fn names_are_written_as_labels() {
    let mut room = [0xee; 20];
    assert_eq!(write_name(&mut room, "boat.example.org"), Some(18));
    assert_eq!(room[..19], *b"\x04boat\x07example\x03org\x00\xee");
    assert_eq!(names(&room[..18]), [[&b"boat"[..], b"example", b"org"]]);
    assert_eq!(write_name(&mut room, "boat."), Some(6));
    for wrong in ["", ".", "a..b", ".a", "too.long.for.the.room.that.is"] {
        assert_eq!(write_name(&mut room, wrong), None, "{wrong}");
    }
    let label = core::str::from_utf8(&[b'a'; 64]).unwrap();
    let mut room = [0; 300];
    assert_eq!(write_name(&mut room, label), None);
    assert_eq!(write_name(&mut room, &label[1..]), Some(65));
    let long = [&label[1..]; 4].join(".");
    assert_eq!(write_name(&mut room, &long[..253]), Some(255));
    assert_eq!(write_name(&mut room, &long[..254]), None);
}

/// RFC 3396 §4
#[test]
fn long_options_are_written_in_pieces() {
    for len in [0, 1, 254, 255, 256, 510, 511, 600] {
        let data: Vec<u8> = (0..=255).cycle().take(len).collect();
        let mut room = [0; 1200];
        let fields = DhcpFields::request(1, STATION);
        let mut writer = DhcpWriter::new(&mut room, &fields, MessageType::Ack).unwrap();
        assert!(writer.option(code::VENDOR, &data));
        let end = writer.finish();
        assert_eq!(value(&room[..end], code::VENDOR), Some(data));
    }
}

/// Whatever room there is, what does not fit is left out whole, and the end marker is there.
#[test]
fn a_writer_never_overruns() {
    let fields = DhcpFields::request(1, STATION);
    for room in 0..600 {
        let mut bytes = vec![0xee; room + 8];
        let Ok(mut writer) = DhcpWriter::new(&mut bytes[..room], &fields, MessageType::Ack) else {
            assert!(room < HEADER_LEN + 4);
            continue;
        };
        let long = writer.option(code::VENDOR, &[7; 260]);
        let short = writer.option(code::HOSTNAME, b"boat");
        assert_eq!(long, room >= HEADER_LEN + 4 + 264);
        assert_eq!(short, room >= HEADER_LEN + 4 + 6 + if long { 264 } else { 0 });
        let len = writer.finish();
        assert!(len <= room && len >= room.min(MIN_LEN));
        assert_eq!(bytes[room..], [0xee; 8]);
        let message = DhcpMessage::read(&bytes[..len]).unwrap();
        assert_eq!(message.options().count(), 1 + usize::from(short) + if long { 2 } else { 0 });
    }
}

proptest! {
    #![proptest_config(config())]

    /// Any bytes: no reader panics, and everything comes to an end.
    #[test]
    fn readers_take_anything(mut bytes in prop::collection::vec(any::<u8>(), 0..MOST), like in any::<bool>()) {
        if like && bytes.len() > 240 {
            bytes[1..3].copy_from_slice(&[1, 6]);
            bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
        }
        if let Ok(message) = DhcpMessage::read(&bytes) {
            let _ = (message.message_type(), message.server(), message.options().count());
            for code in 0..=255 {
                let _ = (message.addresses(code).count(), message.number(code));
                if let Some(value) = message.value(code) {
                    prop_assert_eq!(value.len(), value.clone().count());
                    prop_assert!(ClasslessRoutes::new(value.clone()).count() <= value.len());
                    let mut room = [0; MOST];
                    prop_assert!(Names::new(value.copy_to(&mut room).unwrap()).count() <= value.len());
                }
            }
        }
        for name in Names::new(&bytes) {
            let labels: usize = name.labels().map(|label| label.len() + 1).sum();
            prop_assert!(labels < 255);
        }
    }

    /// What is written is read.
    #[test]
    fn options_come_back(options in prop::collection::vec((1..255_u8, prop::collection::vec(any::<u8>(), 0..300)), 0..8)) {
        let mut bytes = [0; 4096];
        let fields = DhcpFields::request(9, STATION);
        let mut writer = DhcpWriter::new(&mut bytes, &fields, MessageType::Offer).unwrap();
        let options: Vec<_> =
            options.into_iter().filter(|&(code, _)| code != code::OVERLOAD && code != code::MESSAGE_TYPE).collect();
        for (code, data) in &options {
            prop_assert!(writer.option(*code, data));
        }
        let len = writer.finish();
        for (code, _) in &options {
            let all: Vec<u8> =
                options.iter().filter(|(other, _)| other == code).flat_map(|(_, data)| data.clone()).collect();
            prop_assert_eq!(value(&bytes[..len], *code), Some(all));
        }
    }
}
