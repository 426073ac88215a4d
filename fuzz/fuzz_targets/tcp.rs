//! TCP headers and their options.
#![no_main]

use coracle_fuzz::assert_inside;
use coracle_wire::Malformed;
use coracle_wire::tcp::{self, SackBlocks, TcpFields, TcpHeader, TcpOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    options(data);
    let header = match TcpHeader::read(data) {
        Ok(header) => header,
        Err(Malformed::Truncated) => return assert!(data.len() < tcp::HEADER_LEN),
        Err(error) => {
            assert_eq!(error, Malformed::Length);
            return assert!(!(tcp::HEADER_LEN..=data.len()).contains(&(usize::from(data[12] >> 4) * 4)));
        }
    };
    let header_len = header.header_len();
    assert!((tcp::HEADER_LEN..=tcp::MAX_HEADER_LEN).contains(&header_len) && header_len <= data.len());
    write_again(header, &data[..tcp::HEADER_LEN]);

    let option_bytes = header.options(data);
    assert_inside(data, option_bytes);
    assert_eq!(option_bytes.len(), header_len - tcp::HEADER_LEN);
    options(option_bytes);
});

fn write_again(header: &TcpHeader, bytes: &[u8]) {
    let fields = TcpFields {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        sequence: header.sequence(),
        acknowledgment: header.acknowledgment(),
        header_len: header.header_len(),
        flags: header.flags(),
        accurate_ecn: header.accurate_ecn(),
        window: header.window(),
        urgent_pointer: header.urgent_pointer(),
    };
    let mut written = [0xff; tcp::HEADER_LEN];
    tcp::write_header(&mut written, &fields);
    written[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&header.checksum().to_be_bytes());
    // The reserved bits are always written as zero.
    let mut expected = bytes.to_vec();
    expected[12] &= 0xf1;
    assert_eq!(written, *expected);
}

fn options(bytes: &[u8]) {
    let read = TcpOptions::read(bytes);
    assert_eq!(read, slowly(bytes));
    if let Some(timestamps) = TcpOptions::read_timestamps_only(bytes) {
        assert_eq!(read, TcpOptions { timestamps: Some(timestamps), ..TcpOptions::default() });
        let mut written = [0; tcp::TIMESTAMPS_LEN];
        tcp::write_timestamps(&mut written, timestamps.0, timestamps.1);
        assert_eq!(written, bytes);
    }

    let mut written = [0xee; tcp::MAX_OPTIONS_LEN + 1];
    let len = tcp::write_options(&mut written, &read);
    assert_eq!(len, tcp::options_len(&read));
    assert!(len.is_multiple_of(4) && len <= tcp::MAX_OPTIONS_LEN);
    assert!(written[len..].iter().all(|&byte| byte == 0xee));
    let again = TcpOptions::read(&written[..len]);
    assert!(read.sack.iter().take(again.sack.len()).eq(again.sack.iter()));
    // A block is left out only where there is no room for it.
    assert!(again.sack.len() == read.sack.len() || len + 8 > tcp::MAX_OPTIONS_LEN);
    assert_eq!(TcpOptions { sack: read.sack, ..again }, read);
}

/// The options by positions instead of slices.
fn slowly(bytes: &[u8]) -> TcpOptions {
    let mut options = TcpOptions::default();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != 0 {
        if bytes[at] == 1 {
            at += 1;
            continue;
        }
        let len = bytes.get(at + 1).map_or(0, |&len| usize::from(len));
        if len < 2 || at + len > bytes.len() {
            break;
        }
        let long = |from: usize| (0..4).fold(0, |value, i| value << 8 | u32::from(bytes[at + from + i]));
        let word = |from: usize| u16::from(bytes[at + from]) << 8 | u16::from(bytes[at + from + 1]);
        match (bytes[at], len) {
            (2, 4) => options.mss = Some(word(2)),
            (3, 3) => options.window_scale = Some(bytes[at + 2].min(14)),
            (4, 2) => options.sack_permitted = true,
            (5, 10 | 18 | 26 | 34) => {
                options.sack = SackBlocks::new();
                for block in (2..len).step_by(8) {
                    options.sack.push(long(block), long(block + 4));
                }
            }
            (8, 10) => options.timestamps = Some((long(2), long(6))),
            (28, 4) => options.user_timeout = Some(word(2)),
            _ => {}
        }
        at += len;
    }
    options
}
