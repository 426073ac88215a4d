use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::{MOST, config};

const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff00, 0, 0, 0, 0, 0);

/// A reply with an address, a prefix, servers and a status, byte by byte.
const REPLY: &[u8] = &[
    7, 0x12, 0x34, 0x56, // reply
    0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 7, // client
    0, 2, 0, 4, 0, 2, 1, 1, // server
    0, 3, 0, 40, 0, 0, 0, 9, 0, 0, 0, 50, 0, 0, 0, 80, // IA_NA
    0, 5, 0, 24, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 100, 0, 0, 0, 200, //
    0, 25, 0, 47, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, // IA_PD
    0, 26, 0, 25, 0, 0, 0, 100, 0, 0, 0, 200, 48, 0x20, 1, 0xd, 0xb8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, //
    0, 13, 0, 2, 0, 0, // status
    0, 23, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53, // DNS
    0, 82, 0, 4, 0, 0, 0x0e, 0x10, // SOL_MAX_RT
];

#[test]
fn reads_a_reply() {
    let message = Dhcpv6Message::read(REPLY).unwrap();
    assert_eq!((message.kind, message.transaction), (kind::REPLY, 0x12_3456));
    assert_eq!(message.client_id(), Some(&duid(MacAddr::new(2, 0, 0, 0, 0, 7))[..]));
    assert_eq!(message.server_id(), Some(&[0, 2, 1, 1][..]));
    let options = message.options();
    assert_eq!((options.status(), options.number(code::SOL_MAX_RT)), (status::SUCCESS, Some(3_600)));
    assert!(options.addresses(code::DNS_SERVERS).eq(["2001:db8::53".parse::<Ipv6Addr>().unwrap()]));

    let addresses: Vec<_> = options.associations(code::IA_NA).collect();
    assert_eq!(addresses.len(), 1);
    assert_eq!((addresses[0].id, addresses[0].renew, addresses[0].rebind), (9, 50, 80));
    let leased: Vec<_> = addresses[0].options.leased_addresses().collect();
    assert_eq!((leased.len(), leased[0].address, leased[0].preferred, leased[0].valid), (1, OURS, 100, 200));

    let prefixes: Vec<_> = options.associations(code::IA_PD).collect();
    let leased: Vec<_> = prefixes[0].options.leased_prefixes().collect();
    assert_eq!((leased.len(), leased[0].prefix, leased[0].prefix_len), (1, PREFIX, 48));
    assert_eq!(prefixes[0].options.status(), status::SUCCESS);
}

#[test]
fn writes_the_same() {
    let mut bytes = [0xee; 256];
    let mut writer = Dhcpv6Writer::new(&mut bytes, kind::REPLY, 0xff12_3456).unwrap();
    assert!(writer.option(code::CLIENT_ID, &duid(MacAddr::new(2, 0, 0, 0, 0, 7))));
    assert!(writer.option(code::SERVER_ID, &[0, 2, 1, 1]));
    let association = writer.begin(code::IA_NA, &[0, 0, 0, 9, 0, 0, 0, 50, 0, 0, 0, 80]).unwrap();
    assert!(writer.option(code::IA_ADDRESS, &[&OURS.octets()[..], &[0, 0, 0, 100, 0, 0, 0, 200]].concat()));
    writer.end(association);
    let association = writer.begin(code::IA_PD, &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let prefix = [&[0, 0, 0, 100, 0, 0, 0, 200, 48][..], &PREFIX.octets()].concat();
    assert!(writer.option(code::IA_PREFIX, &prefix) && writer.option(code::STATUS, &[0, 0]));
    writer.end(association);
    assert!(writer.option(code::DNS_SERVERS, &"2001:db8::53".parse::<Ipv6Addr>().unwrap().octets()));
    assert!(writer.option(code::SOL_MAX_RT, &[0, 0, 0x0e, 0x10]));
    let len = writer.finish();
    assert_eq!(bytes[..len], *REPLY);
    assert_eq!(bytes[len], 0xee);
}

/// [8415-1] Cut anywhere but between options it is none, as in CVE-2020-11905.
#[test]
fn refuses_what_is_cut() {
    let mut at = HEADER_LEN;
    let mut ends = vec![at];
    while at < REPLY.len() {
        at += 4 + usize::from(u16::from_be_bytes([REPLY[at + 2], REPLY[at + 3]]));
        ends.push(at);
    }
    for len in 0..REPLY.len() {
        let expected = match len {
            0..HEADER_LEN => Some(Malformed::Truncated),
            len if ends.contains(&len) => None,
            _ => Some(Malformed::Option),
        };
        assert_eq!(Dhcpv6Message::read(&REPLY[..len]).err(), expected, "{len} bytes");
    }
}

/// [8415-1] Lengths within, and fields that are too short for what holds them.
#[test]
fn refuses_wrong_lengths_within() {
    let message = |options: &[u8]| [&[7, 0, 0, 1], options].concat();
    for options in [
        &[0, 3, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[0, 25, 0, 0],
        &[0, 3, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0],
        &[0, 3, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 2, 0],
        &[0, 3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0],
    ] {
        assert_eq!(Dhcpv6Message::read(&message(options)).err(), Some(Malformed::Option), "{options:?}");
    }
    for kind in [0, 12, 13, 255] {
        assert_eq!(Dhcpv6Message::read(&[kind, 0, 0, 0]).err(), Some(Malformed::Type));
    }
}

/// Values that contradict themselves are passed over [RFC 8415 §21.4, §21.6, §21.22].
#[test]
fn passes_over_contradictions() {
    let with = |at: usize, value: u8| {
        let mut bytes = REPLY.to_vec();
        bytes[at] = value;
        bytes
    };
    let addresses = |bytes: &[u8]| {
        let options = Dhcpv6Message::read(bytes).unwrap().options();
        options.associations(code::IA_NA).flat_map(|it| it.options.leased_addresses()).count()
    };
    let prefixes = |bytes: &[u8]| {
        let options = Dhcpv6Message::read(bytes).unwrap().options();
        options.associations(code::IA_PD).flat_map(|it| it.options.leased_prefixes()).count()
    };
    assert_eq!((addresses(REPLY), prefixes(REPLY)), (1, 1));
    assert_eq!(addresses(&with(37, 81)), 0, "T1 behind T2");
    assert_eq!(addresses(&with(37, 0)), 1, "T1 is left to the client");
    assert_eq!(addresses(&with(65, 201)), 0, "preferred longer than valid");
    let len = REPLY.windows(2).position(|pair| pair == [200, 48]).unwrap() + 1;
    assert_eq!(prefixes(&with(len, 128)), 1);
    assert_eq!(prefixes(&with(len, 129)), 0, "too long a prefix");
}

/// CVE-2025-55086: DUIDs that are too short and too long.
#[test]
fn duids_have_bounds() {
    for len in [0, 2, 3, 130, 131, 1_000] {
        let mut bytes = vec![0; 1_100];
        let mut writer = Dhcpv6Writer::new(&mut bytes, kind::REPLY, 1).unwrap();
        assert!(writer.option(code::SERVER_ID, &vec![7; len]));
        let end = writer.finish();
        let found = Dhcpv6Message::read(&bytes[..end]).unwrap().server_id().map(<[u8]>::len);
        assert_eq!(found, (3..=130).contains(&len).then_some(len));
    }
}

#[test]
fn a_writer_never_overruns() {
    for room in 0..40 {
        let mut bytes = vec![0xee; room + 4];
        let Ok(mut writer) = Dhcpv6Writer::new(&mut bytes[..room], kind::SOLICIT, 1) else {
            assert!(room < 4);
            continue;
        };
        let nested = writer.begin(code::IA_NA, &[0; 12]);
        assert_eq!(nested.is_some(), room >= 20);
        let inner = writer.option(code::STATUS, &[0, 1]);
        if let Some(nested) = nested {
            assert_eq!(inner, room >= 26);
            writer.end(nested);
        }
        let len = writer.finish();
        assert!(len <= room && Dhcpv6Message::read(&bytes[..len]).is_ok());
        assert_eq!(bytes[room..], [0xee; 4]);
    }
}

proptest! {
    #![proptest_config(config())]

    /// Any bytes: no reader panics, and everything comes to an end.
    #[test]
    fn readers_take_anything(mut bytes in prop::collection::vec(any::<u8>(), 0..MOST), like in any::<bool>()) {
        if like {
            // Small numbers and lengths are likelier to fit.
            for byte in bytes.iter_mut().skip(4) {
                *byte &= 0x1f;
            }
            for high in bytes.iter_mut().skip(4).step_by(2) {
                *high = 0;
            }
            if let Some(kind) = bytes.first_mut() {
                *kind = 7;
            }
        }
        if let Ok(message) = Dhcpv6Message::read(&bytes) {
            let options = message.options();
            let total: usize = options.clone().map(|(_, data)| 4 + data.len()).sum();
            prop_assert_eq!(total, bytes.len() - 4);
            let _ = (message.client_id(), message.server_id(), options.status());
            for code in 0..100 {
                let _ = (options.addresses(code).count(), options.number(code));
            }
            for kind in [code::IA_NA, code::IA_PD] {
                for association in options.associations(kind) {
                    for address in association.options.leased_addresses() {
                        prop_assert!(address.preferred <= address.valid);
                    }
                    for prefix in association.options.leased_prefixes() {
                        prop_assert!(prefix.prefix_len <= 128);
                    }
                }
            }
        }
    }
}
