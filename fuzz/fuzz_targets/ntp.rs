//! Messages of the network time protocol.
#![no_main]

use std::time::Duration;

use coracle_wire::Malformed;
use coracle_wire::ntp::{self, NtpHeader, NtpTimestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let header = match NtpHeader::read(data) {
        Ok(header) => header,
        Err(Malformed::Truncated) => return assert!(data.len() < ntp::HEADER_LEN),
        Err(error) => {
            assert_eq!(error, Malformed::Version);
            return assert!(!(1..=4).contains(&(data[0] >> 3 & 7)));
        }
    };
    assert_eq!(header.kiss().is_some(), data[1] == 0);
    let pivot = Duration::from_secs(header.receive().0 >> 29);
    let time = header.transmit().to_unix(pivot);
    let again = NtpTimestamp::from_unix(time);
    assert_eq!(again.seconds(), header.transmit().seconds());
    assert_eq!(again.nanos(), header.transmit().nanos());
});
