//! ICMPv6 headers, their checksum, and the packets that errors quote.
#![no_main]

use core::net::Ipv6Addr;

use coracle_fuzz::{assert_inside, naive_sum};
use coracle_wire::icmpv6::{self, Icmpv6Header};
use coracle_wire::ipv6::extension::Limits;
use coracle_wire::ipv6::{HEADER_LEN, Ipv6Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    quoted(data);
    let Ok(header) = Icmpv6Header::read(data) else {
        assert!(data.len() < icmpv6::HEADER_LEN);
        return;
    };
    let mut written = [0; icmpv6::HEADER_LEN];
    icmpv6::write(&mut written, header.kind, header.code, header.rest);
    written[icmpv6::CHECKSUM_OFFSET..][..2].copy_from_slice(&header.checksum().to_be_bytes());
    assert_eq!(written, data[..icmpv6::HEADER_LEN]);
    assert_eq!((header.mtu(), header.mtu() as u16), (header.pointer(), header.sequence()));
    checksum(data);
    if icmpv6::is_error(header.kind) {
        quoted(&data[icmpv6::HEADER_LEN..]);
    }
});

fn checksum(message: &[u8]) {
    let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456));
    let mut pseudo = [source.octets(), destination.octets()].concat();
    pseudo.extend((message.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    pseudo.extend(message);
    assert_eq!(icmpv6::checksum(source, destination, message), !naive_sum(&pseudo));
}

fn quoted(bytes: &[u8]) {
    let quoted = match icmpv6::read_quoted(bytes, Limits::default()) {
        Ok(quoted) => quoted,
        Err(error) => {
            assert_eq!(Ipv6Header::read(bytes).err(), Some(error));
            return;
        }
    };
    assert!(quoted.transport.len() + HEADER_LEN <= bytes.len());
    if !quoted.transport.is_empty() {
        assert_inside(bytes, quoted.transport);
    }
    assert_eq!(quoted.ports().is_some(), quoted.transport.len() >= 4);
}
