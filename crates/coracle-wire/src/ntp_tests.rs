use proptest::prelude::*;

use super::*;
use crate::testing::config;

/// A server's answer as chrony sent it.
const ANSWER: [u8; 48] = [
    0x24, 0x08, 0x06, 0xe7, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x7f, 0x7f, 0x01, 0x01, //
    0xec, 0x8e, 0x4a, 0x10, 0x80, 0x00, 0x00, 0x00, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, //
    0xec, 0x8e, 0x4a, 0x1f, 0x40, 0x00, 0x00, 0x00, 0xec, 0x8e, 0x4a, 0x1f, 0x40, 0x01, 0x00, 0x00,
];

#[test]
fn reads_an_answer() {
    let header = NtpHeader::read(&ANSWER).unwrap();
    assert_eq!((header.leap(), header.version(), header.mode(), header.stratum), (0, 4, mode::SERVER, 8));
    assert_eq!((header.poll, header.precision), (6, -25));
    assert_eq!((header.root_delay(), header.root_dispersion()), (0, 5));
    assert_eq!(header.reference_time(), NtpTimestamp(0xec8e_4a10_8000_0000));
    assert_eq!(header.originate(), NtpTimestamp(0x1234_5678_9abc_def0));
    assert_eq!(header.receive(), NtpTimestamp(0xec8e_4a1f_4000_0000));
    assert_eq!(header.transmit(), NtpTimestamp(0xec8e_4a1f_4001_0000));
    assert_eq!(header.kiss(), None);
}

#[test]
fn refuses_every_shorter_length_and_other_versions() {
    for len in 0..HEADER_LEN {
        assert_eq!(NtpHeader::read(&ANSWER[..len]), Err(Malformed::Truncated));
    }
    for version in [0, 5, 6, 7] {
        let mut bytes = ANSWER;
        bytes[0] = version << 3 | mode::SERVER;
        assert_eq!(NtpHeader::read(&bytes), Err(Malformed::Version));
    }
}

/// [RFC 4330 §8]
#[test]
fn knows_the_kisses_of_death() {
    let kisses = [
        (b"DENY", Kiss::Deny),
        (b"RSTR", Kiss::Restrict),
        (b"RATE", Kiss::Rate),
        (b"STEP", Kiss::Other(*b"STEP")),
    ];
    for (code, kiss) in kisses {
        let mut bytes = ANSWER;
        bytes[1] = 0;
        bytes[12..16].copy_from_slice(code);
        assert_eq!(NtpHeader::read(&bytes).unwrap().kiss(), Some(kiss));
    }
}

/// [RFC 5905 §6] the first era ended in 2036, and which one a time is in follows from about when it is.
#[test]
fn eras_follow_from_about_when_it_is() {
    let built = Duration::from_secs(1_760_000_000);
    let last = NtpTimestamp(0xffff_ffff_8000_0000);
    assert_eq!(last.to_unix(built), Duration::new(2_085_978_495, 500_000_000));
    assert_eq!(NtpTimestamp::ZERO.to_unix(built), Duration::from_secs(2_085_978_496));
    // Seen from 2112, the same timestamps are those of the second era.
    let late = Duration::from_hours(1_250_000);
    assert_eq!(last.to_unix(late), Duration::new(2_085_978_495 + (1 << 32), 500_000_000));
    // There is nothing before 1970.
    let early = NtpTimestamp(u64::from(2_208_988_799_u32) << 32);
    assert_eq!(early.to_unix(Duration::ZERO), Duration::from_secs((1 << 32) - 1));
}

#[test]
fn differences_do_not_care_for_eras() {
    let (before, after) = (NtpTimestamp(u64::MAX - (1 << 31)), NtpTimestamp(1 << 31));
    assert_eq!(after.since(before), (1 << 32) + 1);
    assert_eq!(before.since(after), -(1 << 32) - 1);
}

proptest! {
    #![proptest_config(config())]

    /// There and back, near the pivot: the same nanosecond.
    #[test]
    fn times_survive(secs in (1_u64 << 31)..(1 << 33), nanos in 0..1_000_000_000_u32, off in -2_000_000_000_i64..2_000_000_000) {
        let time = Duration::new(secs, nanos);
        let pivot = Duration::from_secs(secs.saturating_add_signed(off));
        prop_assert_eq!(NtpTimestamp::from_unix(time).to_unix(pivot), time);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), pivot in any::<u64>()) {
        if let Ok(header) = NtpHeader::read(&bytes) {
            let _ = (header.kiss(), header.transmit().to_unix(Duration::from_secs(pivot)));
        }
    }
}
