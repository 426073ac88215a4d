//! UDP and UDP-Lite headers and their length fields.
#![no_main]

use coracle_wire::udp::{self, UdpHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(header) = UdpHeader::read(data) else {
        assert!(data.len() < udp::HEADER_LEN);
        return;
    };
    let mut written = [0; udp::HEADER_LEN];
    UdpHeader::write(
        &mut written,
        header.source_port(),
        header.destination_port(),
        header.length(),
        header.checksum(),
    );
    assert_eq!(written, data[..udp::HEADER_LEN]);

    let length = usize::from(header.length());
    // The IP payload as it came, cut short, and with a trailer.
    for available in [data.len(), data.len() - 1, 0, 7, 8, length, length + 1, usize::MAX] {
        let fits = (udp::HEADER_LEN..=available).contains(&length);
        assert_eq!(udp::udp_length(header, available).ok(), fits.then_some(length));

        let coverage = if length == 0 { available } else { length };
        let fits = (udp::HEADER_LEN..=available).contains(&coverage);
        assert_eq!(udp::udp_lite_coverage(header, available).ok(), fits.then_some(coverage));
    }
});
