//! IPv6 headers, extension headers and their options.
#![no_main]

use coracle_fuzz::assert_inside;
use coracle_wire::ipv6::extension::{
    Action, Extension, FRAGMENT_LEN, FragmentHeader, Ipv6Option, Limits, Options, Walk, is_extension,
};
use coracle_wire::ipv6::{self, Ipv6Fields, Ipv6Header};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { headers: 6, options: 8 };

fuzz_target!(|data: &[u8]| {
    options(data, data);
    let Ok(header) = Ipv6Header::read(data) else { return };
    let fields = Ipv6Fields {
        traffic_class: header.traffic_class(),
        flow_label: header.flow_label(),
        payload_len: header.payload_len() as u16,
        next_header: header.next_header(),
        hop_limit: header.hop_limit(),
        source: header.source(),
        destination: header.destination(),
    };
    let mut written = [0; ipv6::HEADER_LEN];
    ipv6::write_header(&mut written, &fields);
    assert_eq!(written, data[..ipv6::HEADER_LEN]);
    walk(data, header.next_header());
});

fn walk(packet: &[u8], first: u8) {
    let mut walk = Walk::new(packet, first, LIMITS);
    let mut count = 0;
    loop {
        let at = walk.at();
        assert_eq!(packet[walk.named_at()], walk.next_header());
        match walk.step() {
            Ok(Some(extension)) => {
                count += 1;
                assert_eq!(walk.header_at(), at);
                assert!(walk.at() >= at + 8 && walk.at() <= packet.len());
                look_at(extension, packet, at);
            }
            Ok(None) => break,
            Err(_) => {
                assert_eq!(walk.step(), Ok(None), "nothing follows an error");
                return;
            }
        }
    }
    assert!(count <= LIMITS.headers);
    assert!(walk.at() <= packet.len());
}

fn look_at(extension: Extension<'_>, packet: &[u8], at: usize) {
    match extension {
        Extension::HopByHop(bytes) | Extension::Destination(bytes) => {
            assert!(bytes.as_ptr() == packet[at + 2..].as_ptr());
            options(bytes, packet);
        }
        Extension::Routing(routing) => assert_inside(packet, routing.data),
        Extension::Fragment(header) => {
            let mut written = [0; FRAGMENT_LEN];
            let offset = header.offset() as u16;
            FragmentHeader::write(
                &mut written,
                header.next_header,
                offset,
                header.more(),
                header.identification(),
            );
            let mut expected = packet[at..at + FRAGMENT_LEN].to_vec();
            // What is reserved is always written as zero.
            expected[1] = 0;
            expected[3] &= !6;
            assert_eq!(written, expected[..]);
            assert_eq!(header.is_atomic(), offset == 0 && !header.more());
        }
        Extension::Authentication => assert!(is_extension(51)),
    }
}

fn options(bytes: &[u8], whole: &[u8]) {
    let mut count = 0;
    let mut end = 2;
    for option in Options::new(bytes, LIMITS) {
        let Ok(placed) = option else { return };
        count += 1;
        assert!(placed.at >= end && placed.at - end <= 7, "padding as long as an alignment needs");
        let kind = bytes[placed.at - 2];
        let len = match placed.option {
            Ipv6Option::RouterAlert(_) => 2,
            Ipv6Option::Jumbo(_) => 4,
            Ipv6Option::Unknown { kind: read, data } => {
                assert_inside(whole, data);
                assert_eq!((read, Action::of(read)), (kind, Action::of(kind)));
                data.len()
            }
        };
        end = placed.at + 2 + len;
        assert!(end <= bytes.len() + 2);
    }
    assert!(count <= LIMITS.options);
}
