//! ICMPv4 headers and the datagrams that errors quote.
#![no_main]

use coracle_fuzz::assert_inside;
use coracle_wire::icmpv4::{self, IcmpHeader};
use coracle_wire::ipv4::Ipv4Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    quoted(data);
    let Ok(header) = IcmpHeader::read(data) else {
        assert!(data.len() < icmpv4::HEADER_LEN);
        return;
    };
    let mut written = [0; icmpv4::HEADER_LEN];
    icmpv4::write(&mut written, header.kind, header.code, header.rest);
    written[icmpv4::CHECKSUM_OFFSET..][..2].copy_from_slice(&header.checksum().to_be_bytes());
    assert_eq!(written, data[..icmpv4::HEADER_LEN]);
    assert_eq!(icmpv4::echo(header.identifier(), header.sequence()), header.rest);
    assert_eq!((header.mtu(), header.pointer()), (header.sequence(), header.rest[0]));
    if icmpv4::is_error(header.kind) {
        quoted(&data[icmpv4::HEADER_LEN..]);
    }
});

fn quoted(bytes: &[u8]) {
    let quoted = match icmpv4::read_quoted(bytes) {
        Ok(quoted) => quoted,
        Err(error) => {
            assert_eq!(Ipv4Header::read(bytes).err(), Some(error));
            return;
        }
    };
    assert_inside(bytes, quoted.transport);
    assert!(quoted.transport.len() <= quoted.header.payload_len());
    assert!(quoted.header.header_len() + quoted.transport.len() <= bytes.len());
    let readable = quoted.transport.len() >= 4 && quoted.header.fragment_offset() == 0;
    assert_eq!(quoted.ports().is_some(), readable);
}
