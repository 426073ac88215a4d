use std::vec;
use std::vec::Vec;

use etherparse::Icmpv6Slice;
use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice};
use proptest::prelude::*;

use super::*;
use crate::MacAddr;
use crate::ipv6::group::{ALL_NODES, ALL_ROUTERS, solicited_node};
use crate::testing::{MOST, config};

const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);

fn written(len: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, Malformed>) -> Vec<u8> {
    let mut bytes = vec![0xaa; len + 8];
    assert_eq!(write(&mut bytes), Ok(len));
    assert_eq!(bytes[len..], [0xaa; 8]);
    bytes.truncate(len);
    bytes
}

/// What another decoder makes of a message, its checksum included.
fn judged(message: &[u8], destination: Ipv6Addr) -> Icmpv6Slice<'_> {
    let slice = Icmpv6Slice::from_slice(message).unwrap();
    assert!(slice.is_checksum_valid(OWN.octets(), destination.octets()));
    slice
}

fn solicitation(target: Ipv6Addr, options: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 200];
    let mut writer = Writer::neighbour_solicitation(&mut bytes, target);
    options(&mut writer);
    let len = writer.finish(OWN, PEER).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn a_router_solicitation() {
    let bytes = written(16, |into| {
        let mut writer = Writer::router_solicitation(into);
        writer.source_station(STATION);
        writer.finish(OWN, ALL_ROUTERS)
    });
    assert_eq!(bytes[..2], [133, 0]);
    assert_eq!(bytes[4..], [0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1]);
    judged(&bytes, ALL_ROUTERS);
    let (_, mut options) = RouterSolicitation::read(&bytes, OWN).unwrap();
    let Some(NdOption::SourceStation(data)) = options.next() else { panic!("no address") };
    assert_eq!(station(data), Some(STATION));
    // [4861-4]
    assert_eq!(RouterSolicitation::read(&bytes, Ipv6Addr::UNSPECIFIED).err(), Some(Malformed::Option));
    assert!(RouterSolicitation::read(&bytes[..8], Ipv6Addr::UNSPECIFIED).is_ok());
}

/// Every field and every option of a router, as another decoder reads them.
#[test]
fn a_router_advertisement() {
    let fields = AdvertisementFields {
        hop_limit: 64,
        managed: true,
        other: false,
        preference: Preference::High,
        lifetime: 1800,
        reachable_time: 30_000,
        retrans_timer: 1000,
    };
    let prefix = PrefixFields {
        prefix: "2001:db8:1::".parse().unwrap(),
        prefix_len: 64,
        on_link: true,
        autonomous: true,
        valid: INFINITE,
        preferred: 14_400,
    };
    let route = RouteInformation {
        prefix: "2001:db8:2::".parse().unwrap(),
        prefix_len: 48,
        preference: Preference::Low,
        lifetime: 600,
    };
    let servers = [GLOBAL.octets(), PEER.octets()];
    let names = b"\x07example\x00\x03sub\x07example\x04test\x00";
    let bytes = written(16 + 8 + 8 + 32 + 16 + 40 + 40, |into| {
        let mut writer = Writer::router_advertisement(into, &fields);
        writer.source_station(STATION);
        writer.mtu(1400);
        writer.prefix(&prefix);
        writer.route(&route);
        writer.rdnss(300, &servers);
        writer.dnssl(301, names);
        writer.finish(OWN, ALL_NODES)
    });

    let slice = judged(&bytes, ALL_NODES);
    let Ok(Icmpv6PayloadSlice::RouterAdvertisement(other)) = slice.payload_slice() else {
        panic!("another message")
    };
    assert_eq!((other.reachable_time(), other.retrans_timer()), (30_000, 1000));
    let options: Vec<_> = other.options_iterator().map(Result::unwrap).collect();
    let [NdpOptionSlice::SourceLinkLayerAddress(station), NdpOptionSlice::Mtu(mtu), prefix_option, ..] =
        &options[..]
    else {
        panic!("{options:?}")
    };
    assert_eq!((station.link_layer_address(), mtu.mtu()), (&STATION.0[..], 1400));
    let NdpOptionSlice::PrefixInformation(other) = prefix_option else { panic!("{prefix_option:?}") };
    let other = other.prefix_information();
    assert_eq!(
        (other.prefix_length, other.on_link, other.autonomous_address_configuration),
        (64, true, true)
    );
    assert_eq!((other.valid_lifetime, other.preferred_lifetime), (INFINITE, 14_400));
    assert_eq!(Ipv6Addr::from(other.prefix), prefix.prefix);
    assert_eq!(options.len(), 6);

    let (read, options) = RouterAdvertisement::read(&bytes, OWN).unwrap();
    assert_eq!((read.hop_limit(), read.lifetime()), (64, 1800));
    assert_eq!((read.managed(), read.other(), read.preference()), (true, false, Preference::High));
    assert_eq!((read.reachable_time(), read.retrans_timer()), (30_000, 1000));
    let options: Vec<_> = options.collect();
    let [
        NdOption::SourceStation(_),
        NdOption::Mtu(1400),
        NdOption::Prefix(read),
        NdOption::Route(found),
        NdOption::Rdnss(rdnss),
        NdOption::Dnssl(dnssl),
    ] = options[..]
    else {
        panic!("{options:?}")
    };
    assert_eq!((read.prefix(), read.prefix_len()), (prefix.prefix, 64));
    assert_eq!((read.on_link(), read.autonomous()), (true, true));
    assert_eq!((read.valid(), read.preferred()), (INFINITE, 14_400));
    assert_eq!(found, route);
    assert_eq!((rdnss.lifetime, rdnss.servers), (300, &servers[..]));
    let found: Vec<_> = dnssl.names().collect();
    assert_eq!((dnssl.lifetime, found.concat()), (301, names.to_vec()));
    assert_eq!(found[0], b"\x07example\x00");
}

/// [4861-4]
#[test]
fn a_router_advertises_from_its_link_local_address() {
    let mut bytes = [0; 16];
    let writer = Writer::router_advertisement(&mut bytes, &AdvertisementFields::default());
    writer.finish(OWN, ALL_NODES).unwrap();
    assert!(RouterAdvertisement::read(&bytes, OWN).is_ok());
    for source in [GLOBAL, Ipv6Addr::UNSPECIFIED, ALL_NODES] {
        assert_eq!(RouterAdvertisement::read(&bytes, source).err(), Some(Malformed::Address));
    }
}

/// [RFC 4191 §2.2]: the reserved preference of a router is the medium one.
#[test]
fn each_preference() {
    let mut bytes = [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let cases = [
        (0x00, Preference::Medium),
        (0x08, Preference::High),
        (0x10, Preference::Medium),
        (0x18, Preference::Low),
    ];
    for (flags, expected) in cases {
        bytes[5] = flags;
        assert_eq!(RouterAdvertisement::read(&bytes, OWN).unwrap().0.preference(), expected);
    }
    assert!(Preference::Low < Preference::Medium && Preference::Medium < Preference::High);
}

/// The example of a solicitation with a nonce [RFC 7527].
#[test]
fn a_neighbour_solicitation() {
    let group = solicited_node(PEER);
    let bytes = written(32, |into| {
        let mut writer = Writer::neighbour_solicitation(into, PEER);
        writer.nonce([1, 2, 3, 4, 5, 6]);
        writer.finish(OWN, group)
    });
    assert_eq!(bytes[24..], [14, 1, 1, 2, 3, 4, 5, 6]);
    let slice = judged(&bytes, group);
    let Ok(Icmpv6PayloadSlice::NeighborSolicitation(other)) = slice.payload_slice() else {
        panic!("another message")
    };
    assert_eq!(other.target_address(), PEER);
    let (read, options) = NeighbourSolicitation::read(&bytes, OWN, group).unwrap();
    assert_eq!(read.target(), PEER);
    assert_eq!(options.collect::<Vec<_>>(), [NdOption::Nonce(&[1, 2, 3, 4, 5, 6])]);
}

/// [4861-2]
#[test]
fn what_a_neighbour_solicitation_must_not_say() {
    let none = Ipv6Addr::UNSPECIFIED;
    let group = solicited_node(PEER);
    let with = solicitation(PEER, |writer| writer.source_station(STATION));
    let without = solicitation(PEER, |_| {});
    let read =
        |bytes: &[u8], source, destination| NeighbourSolicitation::read(bytes, source, destination).map(drop);
    assert_eq!(read(&with, OWN, PEER), Ok(()));
    assert_eq!(read(&without, none, group), Ok(()));
    assert_eq!(read(&with, none, group), Err(Malformed::Option));
    for destination in [PEER, ALL_NODES, "ff02::2:ff00:2".parse().unwrap()] {
        assert_eq!(read(&without, none, destination), Err(Malformed::Address));
    }
    assert_eq!(read(&solicitation(ALL_NODES, |_| {}), OWN, PEER), Err(Malformed::Address));
}

#[test]
fn a_neighbour_advertisement() {
    for flags in 0..8 {
        let (router, solicited, overrides) = (flags & 4 != 0, flags & 2 != 0, flags & 1 != 0);
        let bytes = written(32, |into| {
            let mut writer = Writer::neighbour_advertisement(into, OWN, router, solicited, overrides);
            writer.target_station(STATION);
            writer.finish(OWN, PEER)
        });
        assert_eq!(bytes[4], flags << 5);
        let slice = judged(&bytes, PEER);
        let Ok(Icmpv6PayloadSlice::NeighborAdvertisement(other)) = slice.payload_slice() else {
            panic!("another message")
        };
        assert_eq!(other.target_address(), OWN);
        let (read, mut options) = NeighbourAdvertisement::read(&bytes, PEER).unwrap();
        assert_eq!((read.router(), read.solicited(), read.overrides()), (router, solicited, overrides));
        assert_eq!((read.target(), options.next()), (OWN, Some(NdOption::TargetStation(&STATION.0))));
        // [4861-3]
        let expected = solicited.then_some(Malformed::Address);
        assert_eq!(NeighbourAdvertisement::read(&bytes, ALL_NODES).err(), expected);
    }
    let mut bytes = [0; 24];
    Writer::neighbour_advertisement(&mut bytes, ALL_NODES, false, false, false).finish(OWN, PEER).unwrap();
    assert_eq!(NeighbourAdvertisement::read(&bytes, PEER).err(), Some(Malformed::Address));
}

#[test]
fn a_redirect() {
    let packet = [0x60, 1, 2, 3, 4, 5, 6, 7, 8];
    let bytes = written(40 + 8 + 24, |into| {
        let mut writer = Writer::redirect(into, PEER, GLOBAL);
        writer.target_station(STATION);
        writer.redirected(&packet);
        writer.finish(OWN, GLOBAL)
    });
    let slice = judged(&bytes, GLOBAL);
    let Ok(Icmpv6PayloadSlice::Redirect(other)) = slice.payload_slice() else { panic!("another message") };
    assert_eq!((other.target_address(), other.destination_address()), (PEER, GLOBAL));
    let (read, options) = Redirect::read(&bytes, OWN).unwrap();
    assert_eq!((read.target(), read.destination()), (PEER, GLOBAL));
    let padded = [&packet[..], &[0; 7]].concat();
    let expected = [NdOption::TargetStation(&STATION.0), NdOption::Redirected(&padded)];
    assert_eq!(options.collect::<Vec<_>>(), expected);
}

/// [RFC 4861 §8.1] [4861-13]
#[test]
fn what_a_redirect_must_not_say() {
    let other: Ipv6Addr = "2001:db8::3".parse().unwrap();
    let mut bytes = [0; 40];
    let mut check = |target, destination, source| {
        Writer::redirect(&mut bytes, target, destination).finish(OWN, GLOBAL).unwrap();
        Redirect::read(&bytes, source).map(drop)
    };
    assert_eq!(check(GLOBAL, GLOBAL, OWN), Ok(()));
    assert_eq!(check(PEER, GLOBAL, OWN), Ok(()));
    assert_eq!(check(other, GLOBAL, OWN), Err(Malformed::Address));
    assert_eq!(check(PEER, ALL_NODES, OWN), Err(Malformed::Address));
    assert_eq!(check(ALL_NODES, ALL_NODES, OWN), Err(Malformed::Address));
    assert_eq!(check(PEER, GLOBAL, GLOBAL), Err(Malformed::Address));
}

/// A redirect is never longer than the least MTU, IPv6 header included [RFC 4861 §8.2].
#[test]
fn a_redirect_quotes_as_much_as_fits() {
    for len in [0, 1, 1176, 1177, 1184, 1185, 1191, 1192, 1193, 1500, 9000] {
        let packet = vec![0x11; len];
        let mut bytes = vec![0; 1300];
        let mut writer = Writer::redirect(&mut bytes, PEER, GLOBAL);
        writer.redirected(&packet);
        let written = writer.finish(OWN, GLOBAL).unwrap();
        assert_eq!(written, 48 + len.min(1192).next_multiple_of(8), "{len}");
        assert!(written + 40 <= 1280);
    }
}

/// Every reader with each kind: only its own is accepted, and only with code 0 [4861-1].
#[test]
fn another_message_is_refused() {
    for kind in 0..=255_u8 {
        for code in [0, 1, 255] {
            let mut bytes = [0; 40];
            bytes[..2].copy_from_slice(&[kind, code]);
            bytes[8..10].copy_from_slice(&[0xfe, 0x80]);
            bytes[24..26].copy_from_slice(&[0xfe, 0x80]);
            let right = |expected| (kind, code) == (expected, 0);
            // The fields of longer messages are no options of shorter ones.
            let alone = [kind, code, 0, 0, 0, 0, 0, 0];
            assert_eq!(RouterSolicitation::read(&alone, OWN).is_ok(), right(133));
            assert_eq!(RouterAdvertisement::read(&bytes[..16], OWN).is_ok(), right(134));
            assert_eq!(NeighbourSolicitation::read(&bytes[..24], OWN, PEER).is_ok(), right(135));
            assert_eq!(NeighbourAdvertisement::read(&bytes[..24], PEER).is_ok(), right(136));
            assert_eq!(Redirect::read(&bytes, OWN).is_ok(), right(137));
        }
    }
}

/// [4861-1]: cut anywhere, a message is short or its last option is.
#[test]
fn refuses_every_shorter_length() {
    let whole = solicitation(PEER, |writer| {
        writer.source_station(STATION);
        writer.nonce([7; 6]);
    });
    for len in 0..=whole.len() {
        let expected = match len {
            0..24 => Some(Malformed::Truncated),
            24 | 32 | 40 => None,
            _ => Some(Malformed::Option),
        };
        assert_eq!(NeighbourSolicitation::read(&whole[..len], OWN, PEER).err(), expected, "{len} bytes");
    }
}

/// [4861-1]: an option of length 0 would stand still.
#[test]
fn refuses_an_option_of_length_zero_or_past_the_end() {
    for (lens, expected) in
        [([1, 1], true), ([0, 1], false), ([1, 0], false), ([2, 0], true), ([1, 2], false)]
    {
        for kind in [1, 2, 3, 5, 200] {
            let mut bytes = [0; 24];
            bytes[0] = 133;
            bytes[8..10].copy_from_slice(&[kind, lens[0]]);
            bytes[16..18].copy_from_slice(&[kind, lens[1]]);
            let read = RouterSolicitation::read(&bytes, OWN);
            assert_eq!(read.err(), (!expected).then_some(Malformed::Option), "{kind}, {lens:?}");
        }
    }
}

/// The options of a router advertisement with these bytes behind it.
fn options_of(options: &[u8]) -> Vec<u8> {
    [&[134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], options].concat()
}

/// [4862-5] [8106-1]: what has a wrong length or content is passed over, and what follows it counts.
#[test]
fn options_of_a_wrong_form_are_ignored() {
    let rest = |kind: u8, len: u8, data: &[u8]| {
        let mut option = vec![kind, len];
        option.extend(data);
        option.resize(usize::from(len) * 8, 0);
        option
    };
    let lifetime = [0, 0, 0, 0, 0, 9];
    let name = |name: &[u8]| [&lifetime[..], name].concat();
    let wrong = [
        rest(3, 3, &[]),
        rest(3, 5, &[]),
        rest(3, 4, &[129]),
        rest(5, 2, &[]),
        // A prefix that needs more bytes than there are, and one of more than 128 bits; a reserved preference.
        rest(24, 1, &[1]),
        rest(24, 2, &[65]),
        rest(24, 3, &[129]),
        rest(24, 4, &[64]),
        rest(24, 2, &[64, 0x10]),
        rest(25, 1, &lifetime),
        rest(25, 2, &lifetime),
        rest(25, 4, &lifetime),
        rest(31, 1, &lifetime),
        rest(31, 2, &lifetime),
        rest(31, 2, &name(b"\x08example")),
        rest(31, 2, &name(b"\x40xample\x00")),
        rest(31, 2, &name(b"\xc0\x0c\x00")),
        rest(31, 3, &name(b"\x01a\x00\x00\x01b\x00")),
        rest(31, 4, &name(b"\x01a\x00")),
        rest(200, 2, &[]),
    ];
    for option in wrong {
        let bytes = options_of(&[&option[..], &[5, 1, 0, 0, 0, 0, 5, 0]].concat());
        let (_, options) = RouterAdvertisement::read(&bytes, OWN).unwrap();
        let options: Vec<_> = options.collect();
        let expected = NdOption::Ignored { kind: option[0], data: &option[2..] };
        assert_eq!(options, [expected, NdOption::Mtu(1280)], "{option:?}");
    }
    let right = [
        rest(24, 1, &[0]),
        rest(24, 2, &[0]),
        rest(24, 2, &[64]),
        rest(24, 3, &[128]),
        rest(25, 3, &lifetime),
        rest(31, 2, &name(b"\x01a\x00")),
        rest(31, 3, &name(b"\x07example\x00")),
    ];
    for option in right {
        let bytes = options_of(&option);
        let (_, mut options) = RouterAdvertisement::read(&bytes, OWN).unwrap();
        assert!(!matches!(options.next(), Some(NdOption::Ignored { .. }) | None), "{option:?}");
    }
}

/// A name of 255 bytes is the longest [RFC 1035 §3.1].
#[test]
fn a_name_has_up_to_255_bytes() {
    for (last, right) in [(61, true), (62, false)] {
        let mut names = Vec::new();
        for len in [63, 63, 63, last] {
            names.push(len);
            names.resize(names.len() + usize::from(len), b'a');
        }
        names.push(0);
        let mut bytes = vec![0; 400];
        let mut writer = Writer::router_advertisement(&mut bytes, &AdvertisementFields::default());
        writer.dnssl(1, &names);
        let len = writer.finish(OWN, ALL_NODES).unwrap();
        let (_, mut options) = RouterAdvertisement::read(&bytes[..len], OWN).unwrap();
        assert_eq!(matches!(options.next(), Some(NdOption::Dnssl(_))), right, "{}", names.len());
    }
}

#[test]
fn only_six_bytes_are_a_station() {
    assert_eq!(station(&STATION.0), Some(STATION));
    assert_eq!(station(&[0; 14]), None);
}

#[test]
fn what_does_not_fit_is_an_error() {
    for room in 0..40 {
        let mut bytes = vec![0xaa; room];
        let mut writer = Writer::redirect(&mut bytes, PEER, GLOBAL);
        writer.target_station(STATION);
        assert_eq!(writer.finish(OWN, GLOBAL), Err(Malformed::Truncated), "{room}");
    }
    let mut bytes = vec![0; 4000];
    for (count, expected) in [(127, Ok(16 + 2040)), (128, Err(Malformed::Option))] {
        let mut writer = Writer::router_advertisement(&mut bytes, &AdvertisementFields::default());
        writer.rdnss(1, &vec![[0; 16]; count]);
        writer.mtu(0);
        assert_eq!(writer.finish(OWN, ALL_NODES), expected.map(|len: usize| len + 8));
    }
}

proptest! {
    #![proptest_config(config())]

    /// Never a panic, and every option lies inside the message.
    #[test]
    fn any_bytes_can_be_read(
        kind in 133..=137_u8,
        bytes in prop::collection::vec(prop_oneof![0..4_u8, 20..32_u8, any::<u8>()], 0..MOST),
        (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(),
    ) {
        let message = [&[kind, 0, 0, 0], &bytes[..]].concat();
        let link = Ipv6Addr::from_bits(source.to_bits() >> 10 | OWN.to_bits());
        let options = match kind {
            133 => RouterSolicitation::read(&message, link).map(|read| read.1),
            134 => RouterAdvertisement::read(&message, link).map(|read| read.1),
            135 => NeighbourSolicitation::read(&message, source, destination).map(|read| read.1),
            136 => NeighbourAdvertisement::read(&message, destination).map(|read| read.1),
            _ => Redirect::read(&message, link).map(|read| read.1),
        };
        for option in options.into_iter().flatten() {
            if let NdOption::Dnssl(dnssl) = option {
                prop_assert!(dnssl.names().count() > 0);
            }
        }
    }

    #[test]
    fn options_are_split_as_another_decoder_does(
        options in prop::collection::vec((any::<u8>(), 1..6_u8, any::<u8>()), 0..10),
    ) {
        let mut bytes = options_of(&[]);
        for (kind, len, fill) in options {
            bytes.extend([kind, len]);
            bytes.resize(bytes.len() + usize::from(len) * 8 - 2, fill);
        }
        let (_, own) = RouterAdvertisement::read(&bytes, OWN).unwrap();
        let others = etherparse::icmpv6::NdpOptionsIterator::from_slice(&bytes[16..]);
        for (own, other) in own.zip(others.map_while(Result::ok)) {
            match (own, other) {
                (NdOption::SourceStation(data), NdpOptionSlice::SourceLinkLayerAddress(other)) => {
                    prop_assert_eq!(data, other.link_layer_address());
                }
                (NdOption::TargetStation(data), NdpOptionSlice::TargetLinkLayerAddress(other)) => {
                    prop_assert_eq!(data, other.link_layer_address());
                }
                (NdOption::Mtu(mtu), NdpOptionSlice::Mtu(other)) => prop_assert_eq!(mtu, other.mtu()),
                (NdOption::Prefix(prefix), NdpOptionSlice::PrefixInformation(other)) => {
                    prop_assert_eq!(prefix.prefix().octets(), other.prefix());
                    prop_assert_eq!(prefix.valid(), other.valid_lifetime());
                }
                (NdOption::Redirected(data), NdpOptionSlice::RedirectedHeader(other)) => {
                    prop_assert_eq!(data, other.redirected_packet());
                }
                (NdOption::Ignored { kind, .. }, other) => prop_assert_eq!(kind, other.option_type().0),
                (_, NdpOptionSlice::Unknown(_)) => {}
                (own, other) => prop_assert!(false, "{own:?} is {other:?}"),
            }
        }
    }
}
