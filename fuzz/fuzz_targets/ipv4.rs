//! IPv4 headers and their options.
#![no_main]

use coracle_fuzz::{assert_inside, naive_sum};
use coracle_wire::ipv4::{self, Ipv4Fields, Ipv4Header, Ipv4Option, Options, Route};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    options(data);
    assert_eq!(ipv4::header_checksum_ok(data), naive_sum(data) == 0xffff);

    let Ok(header) = Ipv4Header::read(data) else { return };
    let header_len = header.header_len();
    assert!((ipv4::HEADER_LEN..=ipv4::MAX_HEADER_LEN).contains(&header_len));
    assert!(header_len <= data.len());
    assert_eq!(header_len + header.payload_len(), header.total_len());
    assert_eq!(header.is_fragment(), header.more_fragments() || header.fragment_offset() > 0);

    let option_bytes = header.options(data);
    assert_inside(data, option_bytes);
    assert_eq!(option_bytes.len(), header_len - ipv4::HEADER_LEN);
    options(option_bytes);
    write_again(header, &data[..header_len], option_bytes);
});

fn write_again(header: &Ipv4Header, bytes: &[u8], option_bytes: &[u8]) {
    let fields = Ipv4Fields {
        tos: header.tos(),
        total_len: header.total_len() as u16,
        identification: header.identification(),
        dont_fragment: header.dont_fragment(),
        more_fragments: header.more_fragments(),
        fragment_offset: header.fragment_offset() as u16,
        ttl: header.ttl(),
        protocol: header.protocol(),
        source: header.source(),
        destination: header.destination(),
    };
    let mut written = [0; ipv4::MAX_HEADER_LEN];
    let len = ipv4::write_header_with_options(&mut written, &fields, option_bytes).unwrap();
    let written = &written[..len];
    assert!(ipv4::header_checksum_ok(written));

    // The reserved flag is always written as zero, and the checksum anew.
    let mut expected = bytes.to_vec();
    let reserved = expected[6] & 0x80;
    expected[6] &= 0x7f;
    if reserved != 0 || !ipv4::header_checksum_ok(bytes) || expected[10..12] == [0xff, 0xff] {
        expected[10..12].copy_from_slice(&written[10..12]);
    }
    assert_eq!(written, expected);
}

fn options(bytes: &[u8]) {
    let mut count = 0;
    let mut ended = false;
    for option in Options::new(bytes) {
        assert!(!ended, "nothing follows the end or an error");
        count += 1;
        match option {
            Err(_) | Ok(Ipv4Option::End) => ended = true,
            Ok(Ipv4Option::Nop | Ipv4Option::RouterAlert(_)) => {}
            Ok(
                Ipv4Option::RecordRoute(Route { pointer, data })
                | Ipv4Option::LooseSourceRoute(Route { pointer, data })
                | Ipv4Option::StrictSourceRoute(Route { pointer, data }),
            ) => {
                assert!(pointer >= 4 && pointer % 4 == 0 && data.len() % 4 == 0);
                assert_inside(bytes, data);
            }
            Ok(Ipv4Option::Timestamp { pointer, overflow, flags, data }) => {
                assert!(pointer >= 5 && overflow < 16 && flags < 16 && data.len() % 4 == 0);
                assert_inside(bytes, data);
            }
            Ok(Ipv4Option::Unknown { kind, data }) => {
                assert!(kind > 1);
                assert_inside(bytes, data);
            }
        }
    }
    assert!(count <= bytes.len());
}
