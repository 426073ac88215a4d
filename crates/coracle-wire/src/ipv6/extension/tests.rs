use std::vec::Vec;

use etherparse::{IpNumber, Ipv6ExtensionsSlice, Ipv6FragmentHeaderSlice};
use proptest::prelude::*;

use super::*;
use crate::testing::{MOST, config};

const LIMITS: Limits = Limits { headers: 4, options: 8 };

/// A packet of 40 bytes that nobody looks at, and these behind them.
fn packet(behind: &[u8]) -> Vec<u8> {
    [&[0xee; HEADER_LEN], behind].concat()
}

/// Number and place of the payload; or what is wrong, and where the header is named that is.
type End = Result<(u8, usize), (Malformed, usize)>;

fn walk(packet: &[u8], first: u8) -> (Vec<Extension<'_>>, End) {
    let mut walk = Walk::new(packet, first, LIMITS);
    let mut found = Vec::new();
    loop {
        match walk.step() {
            Ok(Some(extension)) => found.push(extension),
            Ok(None) => return (found, Ok((walk.next_header(), walk.at()))),
            Err(error) => {
                assert_eq!(walk.step(), Ok(None), "an error is the end");
                return (found, Err((error, walk.named_at())));
            }
        }
    }
}

/// Hop-by-hop, destination options, routing, fragment, authentication: each with what follows it.
fn all_kinds() -> Vec<u8> {
    packet(
        &[
            &[60, 0, 5, 2, 0, 0, 1, 0][..],
            &[43, 1, 1, 4, 0, 0, 0, 0, 0x3e, 4, 1, 2, 3, 4, 1, 0][..],
            &[44, 0, 4, 0, 9, 9, 9, 9][..],
            &[51, 0, 0, 0, 1, 2, 3, 4][..],
            &[17, 1, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6][..],
            b"datagram",
        ]
        .concat(),
    )
}

#[test]
fn walks_over_every_kind_in_any_order() {
    let bytes = all_kinds();
    let mut walk = Walk::new(&bytes, next_header::HOP_BY_HOP, Limits::default());
    assert_eq!((walk.next_header(), walk.named_at(), walk.at()), (0, 6, 40));

    assert_eq!(walk.step(), Ok(Some(Extension::HopByHop(&[5, 2, 0, 0, 1, 0]))));
    assert_eq!((walk.next_header(), walk.named_at(), walk.header_at(), walk.at()), (60, 40, 40, 48));
    assert_eq!(walk.step(), Ok(Some(Extension::Destination(&bytes[50..64]))));
    assert_eq!((walk.next_header(), walk.named_at(), walk.at()), (43, 48, 64));
    let routing = Routing { kind: 4, segments_left: 0, data: &[9, 9, 9, 9] };
    assert_eq!(walk.step(), Ok(Some(Extension::Routing(routing))));
    assert_eq!(bytes[walk.header_at() + ROUTING_KIND_OFFSET], 4);
    let Ok(Some(Extension::Fragment(fragment))) = walk.step() else { panic!("no fragment header") };
    assert_eq!((fragment.offset(), fragment.more(), fragment.is_atomic()), (0, false, true));
    assert_eq!(fragment.identification(), 0x0102_0304);
    assert_eq!(walk.step(), Ok(Some(Extension::Authentication)));
    assert_eq!(walk.step(), Ok(None));
    assert_eq!((walk.next_header(), walk.named_at()), (17, 80));
    assert_eq!(&bytes[walk.at()..], b"datagram");
    assert_eq!(walk.step(), Ok(None));
}

#[test]
fn a_packet_without_extension_headers_is_all_payload() {
    let bytes = packet(b"payload");
    for number in [6, 17, 58, 200, next_header::NONE, next_header::ESP] {
        assert_eq!(walk(&bytes, number), (Vec::new(), Ok((number, 40))), "{number}");
    }
}

/// [8200-1]
#[test]
fn hop_by_hop_options_come_first_or_not_at_all() {
    let bytes = packet(&[0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0]);
    // Named by the first two bytes of the header in front.
    for first in [next_header::DESTINATION_OPTIONS, next_header::HOP_BY_HOP] {
        let (found, end) = walk(&bytes, first);
        assert_eq!((found.len(), end), (1, Err((Malformed::Type, 40))), "{first}");
    }
}

#[test]
fn the_end_of_a_packet_is_not_walked_over() {
    let bytes = all_kinds();
    let ends = [40, 48, 64, 72, 80, 92];
    for len in 0..=bytes.len() {
        let mut walk = Walk::new(&bytes[..len], next_header::HOP_BY_HOP, Limits::default());
        let result = loop {
            match walk.step() {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        let whole = ends.iter().filter(|end| **end <= len).count();
        let at = ends[whole.saturating_sub(1)];
        assert_eq!(walk.at(), at, "{len} bytes");
        assert_eq!(result.err(), (len < 92).then_some(Malformed::Truncated), "{len} bytes");
    }
}

/// What lies behind the header of a later part is the middle of something.
#[test]
fn a_later_fragment_ends_the_walk() {
    let bytes = packet(&[60, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (found, end) = walk(&bytes, next_header::FRAGMENT);
    let [Extension::Fragment(header)] = found[..] else { panic!("{found:?}") };
    assert_eq!((header.offset(), header.more(), header.is_atomic()), (8, true, false));
    assert_eq!(end, Ok((60, 48)));
}

/// [RFC 8504 §5.3]
#[test]
fn more_headers_than_allowed_are_refused() {
    let one = [60, 0, 1, 4, 0, 0, 0, 0];
    let mut bytes = packet(&one.repeat(5));
    let (found, end) = walk(&bytes, 60);
    assert_eq!((found.len(), end), (4, Err((Malformed::Option, 64))));
    bytes[HEADER_LEN + 3 * 8] = 59;
    let (found, end) = walk(&bytes, 60);
    assert_eq!((found.len(), end), (4, Ok((59, 72))));
}

#[test]
fn a_fragment_header_cuts_its_offset_to_eights() {
    let mut bytes = [0xaa; FRAGMENT_LEN];
    FragmentHeader::write(&mut bytes, 58, 0xffff, false, 1);
    assert_eq!(bytes, [58, 0, 0xff, 0xf8, 0, 0, 0, 1]);
    // Reserved bits mean nothing.
    let header = FragmentHeader::read(&[58, 0xff, 0, 6, 0, 0, 0, 1]).unwrap();
    assert_eq!((header.is_atomic(), header.offset(), header.more()), (true, 0, false));
}

#[test]
fn an_alert_is_a_header_of_eight_bytes() {
    let behind = [&[next_header::ICMPV6][..], &ROUTER_ALERT].concat();
    let bytes = packet(&behind);
    let (found, end) = walk(&bytes, next_header::HOP_BY_HOP);
    let [Extension::HopByHop(options)] = found[..] else { panic!("{found:?}") };
    let options: Vec<_> = Options::new(options, LIMITS).map(|option| option.unwrap().option).collect();
    assert_eq!(options, [Ipv6Option::RouterAlert(0)]);
    assert_eq!(end, Ok((58, 48)));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_fragment_header_is_what_another_decoder_reads(
        (next_header, offset, more, identification) in any::<(u8, u16, bool, u32)>(),
    ) {
        let mut bytes = [0; FRAGMENT_LEN];
        FragmentHeader::write(&mut bytes, next_header, offset, more, identification);
        let other = Ipv6FragmentHeaderSlice::from_slice(&bytes).unwrap();
        prop_assert_eq!(other.next_header().0, next_header);
        prop_assert_eq!(other.fragment_offset().byte_offset(), offset & !7);
        prop_assert_eq!((other.more_fragments(), other.identification()), (more, identification));
    }

    /// Never a panic, never out of the packet, and no further than another decoder that accepts the same headers.
    #[test]
    fn any_bytes_can_be_walked_over(
        first in any::<u8>(),
        bytes in prop::collection::vec(prop_oneof![0..3_u8, 43..61_u8, any::<u8>()], 0..MOST),
    ) {
        let (found, end) = walk(&bytes, first);
        prop_assert!(found.len() <= usize::from(LIMITS.headers));
        for extension in &found {
            if let Extension::HopByHop(options) | Extension::Destination(options) = extension {
                let count = Options::new(options, LIMITS).flatten().count();
                prop_assert!(count <= usize::from(LIMITS.options));
            }
        }
        let Ok((number, at)) = end else { return Ok(()) };
        prop_assert!(at <= bytes.len().max(HEADER_LEN));
        let late = matches!(found.last(), Some(Extension::Fragment(header)) if header.offset() != 0);
        let authenticated = found.contains(&Extension::Authentication);
        if at > HEADER_LEN && !late && !authenticated
            && let Ok((_, other, rest)) = Ipv6ExtensionsSlice::from_slice(IpNumber(first), &bytes[HEADER_LEN..])
            && !other.is_ipv6_ext_header_value()
        {
            prop_assert_eq!((other.0, rest.len()), (number, bytes.len() - at));
        }
    }
}
