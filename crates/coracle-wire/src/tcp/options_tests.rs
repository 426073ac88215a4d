use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::config;

fn blocks(list: &[(u32, u32)]) -> SackBlocks {
    let mut blocks = SackBlocks::new();
    for &(left, right) in list {
        blocks.push(left, right);
    }
    blocks
}

fn written(options: &TcpOptions) -> Vec<u8> {
    let mut bytes = [0xee; MAX_OPTIONS_LEN + 4];
    let len = write_options(&mut bytes, options);
    assert_eq!(len, options_len(options));
    assert!(len.is_multiple_of(4) && len <= MAX_OPTIONS_LEN);
    assert!(bytes[len..].iter().all(|&byte| byte == 0xee), "nothing is written behind the options");
    bytes[..len].to_vec()
}

/// [RFC 9293 MUST-4]
#[test]
fn each_kind() {
    let none = TcpOptions::default();
    let read = TcpOptions::read;
    assert_eq!(read(&[]), none);
    assert_eq!(read(&[1, 1, 1, 0]), none);
    assert_eq!(read(&[2, 4, 0x05, 0xb4]), TcpOptions { mss: Some(1460), ..none });
    assert_eq!(read(&[3, 3, 7]), TcpOptions { window_scale: Some(7), ..none });
    assert_eq!(read(&[4, 2]), TcpOptions { sack_permitted: true, ..none });
    assert_eq!(
        read(&[8, 10, 0, 0, 0, 1, 0xff, 0, 0, 2]),
        TcpOptions { timestamps: Some((1, 0xff00_0002)), ..none }
    );
    assert_eq!(read(&[28, 4, 0x80, 5]), TcpOptions { user_timeout: Some(0x8005), ..none });
    let sack = [5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 3];
    assert_eq!(read(&sack), TcpOptions { sack: blocks(&[(1, 2), (u32::MAX, 3)]), ..none });
}

/// The options of a SYN as Linux sends it, and of its answer without timestamps.
#[test]
fn several_at_once() {
    let syn = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0xab, 0xcd, 0xef, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let options = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        timestamps: Some((0xabcd_ef01, 0)),
        sack_permitted: true,
        ..TcpOptions::default()
    };
    assert_eq!(TcpOptions::read(&syn), options);
    assert_eq!(written(&options), syn);

    let answer = [2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7];
    let options = TcpOptions { timestamps: None, ..options };
    assert_eq!(TcpOptions::read(&answer), options);
    assert_eq!(written(&options), answer);
}

/// [RFC 9293 MUST-6, MUST-68]
#[test]
fn passes_over_what_it_does_not_know() {
    for kind in 2..=255_u8 {
        if matches!(kind, MSS | WINDOW_SCALE | SACK_PERMITTED | SACK | TIMESTAMPS | USER_TIMEOUT) {
            continue;
        }
        for len in 2..=36_u8 {
            let unknown = [&[kind, len][..], &vec![3; usize::from(len) - 2]].concat();
            let bytes = [&unknown, &[2, 4, 2, 0x18][..]].concat();
            let expected = TcpOptions { mss: Some(536), ..TcpOptions::default() };
            assert_eq!(TcpOptions::read(&bytes), expected, "kind {kind} of {len} bytes");
        }
    }
}

/// Every kind, known or not: what was read before stands, and nothing behind is read, as in CVE-2018-16524 and
/// CVE-2019-12258 [RFC 9293 MUST-7].
#[test]
fn a_length_of_zero_or_one_or_past_the_end_stops() {
    let before = TcpOptions { mss: Some(536), ..TcpOptions::default() };
    for kind in 2..=255 {
        for len in [0, 1, 8, 40, 41, 255] {
            let bytes = [2, 4, 2, 0x18, kind, len, 3, 3, 7, 4, 2];
            assert_eq!(TcpOptions::read(&bytes), before, "{kind}, {len}");
        }
        assert_eq!(TcpOptions::read(&[2, 4, 2, 0x18, kind]), before, "{kind} without a length");
    }
}

/// A length that is not the kind's leads to the next option, and says nothing itself [RFC 9293 MUST-7].
#[test]
fn every_length_of_the_known_kinds() {
    for (kind, right) in [
        (MSS, &[4][..]),
        (WINDOW_SCALE, &[3]),
        (SACK_PERMITTED, &[2]),
        (SACK, &[10, 18, 26, 34]),
        (TIMESTAMPS, &[10]),
        (USER_TIMEOUT, &[4]),
    ] {
        for len in 2..=60_u8 {
            let mut bytes = vec![3; usize::from(len)];
            bytes[..2].copy_from_slice(&[kind, len]);
            let alone = TcpOptions::read(&bytes);
            assert_eq!(alone != TcpOptions::default(), right.contains(&len), "kind {kind} of {len} bytes");
            let other = if kind == SACK_PERMITTED { [3, 3, 9] } else { [4, 2, 1] };
            bytes.extend(other);
            let behind = TcpOptions::read(&bytes);
            assert!(behind.sack_permitted || behind.window_scale == Some(9), "kind {kind} of {len} bytes");
        }
    }
}

#[test]
fn nothing_comes_after_the_end() {
    assert_eq!(TcpOptions::read(&[1, 0, 2, 4, 5, 0xb4, 4, 2]), TcpOptions::default());
}

#[test]
fn the_last_of_two_counts() {
    let bytes = [2, 4, 0, 1, 3, 3, 1, 2, 4, 0, 2, 3, 3, 2];
    let expected = TcpOptions { mss: Some(2), window_scale: Some(2), ..TcpOptions::default() };
    assert_eq!(TcpOptions::read(&bytes), expected);
    let one = [5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let bytes = [&one[..], &[5, 10, 0, 0, 0, 3, 0, 0, 0, 4], &[5, 2]].concat();
    assert_eq!(TcpOptions::read(&bytes).sack, blocks(&[(3, 4)]));
}

/// [RFC 7323 §2.3]
#[test]
fn a_shift_is_14_at_most() {
    for shift in 0..=255 {
        assert_eq!(TcpOptions::read(&[3, 3, shift]).window_scale, Some(shift.min(14)));
        let options = TcpOptions { window_scale: Some(shift), ..TcpOptions::default() };
        assert_eq!(written(&options), [1, 3, 3, shift.min(14)]);
    }
}

/// [RFC 7323 §A]
#[test]
fn timestamps_alone_are_read_at_once() {
    let mut bytes = [0xee; TIMESTAMPS_LEN];
    write_timestamps(&mut bytes, 0x0102_0304, 0xfffe_fdfc);
    assert_eq!(bytes, [1, 1, 8, 10, 1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc]);
    assert_eq!(TcpOptions::read_timestamps_only(&bytes), Some((0x0102_0304, 0xfffe_fdfc)));
    for position in 0..4 {
        for value in 0..=255 {
            let mut other = bytes;
            other[position] = value;
            let same = other == bytes;
            assert_eq!(TcpOptions::read_timestamps_only(&other).is_some(), same, "{position}: {value}");
        }
    }
    for len in 0..bytes.len() {
        assert_eq!(TcpOptions::read_timestamps_only(&bytes[..len]), None);
    }
    assert_eq!(TcpOptions::read_timestamps_only(&[&bytes[..], &[1, 1, 4, 2]].concat()), None);
}

/// [2018-3]
#[test]
fn blocks_are_written_as_far_as_they_fit() {
    let four = [(1, 2), (3, 4), (5, 6), (7, 8)];
    let alone = TcpOptions { sack: blocks(&four), ..TcpOptions::default() };
    let bytes = written(&alone);
    assert_eq!((bytes.len(), &bytes[..8]), (36, &[1, 1, 5, 34, 0, 0, 0, 1][..]));
    assert_eq!(bytes[32..], [0, 0, 0, 8]);
    assert_eq!(TcpOptions::read(&bytes), alone);

    let stamped = TcpOptions { timestamps: Some((1, 2)), ..alone };
    let bytes = written(&stamped);
    assert_eq!((bytes.len(), &bytes[..4]), (40, &[1, 1, 8, 10][..]));
    assert_eq!(bytes[12..20], [1, 1, 5, 26, 0, 0, 0, 1]);
    assert_eq!(TcpOptions::read(&bytes).sack, blocks(&four[..3]));

    let all = TcpOptions { mss: Some(1), window_scale: Some(1), user_timeout: Some(1), ..stamped };
    assert_eq!(TcpOptions::read(&written(&all)), TcpOptions { sack: blocks(&four[..1]), ..all });
}

#[test]
fn a_fifth_block_is_left_out() {
    let four = [(1, 2), (3, 4), (5, 6), (7, 8)];
    let five = [&four[..], &[(9, 10)]].concat();
    assert_eq!(blocks(&five), blocks(&four));
    assert_eq!(blocks(&five).iter().collect::<Vec<_>>(), four);
    assert_eq!(
        (blocks(&five).len(), blocks(&[]).is_empty(), blocks(&four[..1]).is_empty()),
        (4, true, false)
    );
}

#[test]
fn nothing_is_written_where_there_is_no_room() {
    let options = TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() };
    let mut bytes = [0xee; 7];
    assert_eq!(write_options(&mut bytes, &options), 0);
    assert_eq!(bytes, [0xee; 7]);
}

/// Any options, each there or not.
fn any_options() -> impl Strategy<Value = TcpOptions> {
    let syn = any::<(Option<u16>, Option<u8>, bool)>();
    let rest = any::<(Option<(u32, u32)>, Option<u16>)>();
    let sack = prop::collection::vec(any::<(u32, u32)>(), 0..=5);
    (syn, rest, sack).prop_map(|(syn, rest, sack)| TcpOptions {
        mss: syn.0,
        window_scale: syn.1.map(|shift| shift % 15),
        sack_permitted: syn.2,
        timestamps: rest.0,
        user_timeout: rest.1,
        sack: blocks(&sack),
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(options in any_options()) {
        let bytes = written(&options);
        let read = TcpOptions::read(&bytes);
        let fits = (MAX_OPTIONS_LEN - options.len_without_blocks() - 4) / 8;
        let sack: Vec<_> = options.sack.iter().take(fits).collect();
        prop_assert_eq!(read, TcpOptions { sack: blocks(&sack), ..options });
        // NOPs align the options; no zero ends the list before its end [RFC 9293 MUST-69].
        prop_assert_eq!(TcpOptions::read(&[&bytes[..], &[28, 4, 0, 9]].concat()).user_timeout, Some(9));
        let alone = TcpOptions { timestamps: options.timestamps, ..TcpOptions::default() };
        let timestamps = TcpOptions::read_timestamps_only(&bytes);
        prop_assert_eq!(timestamps, options.timestamps.filter(|_| options == alone));
    }

    /// Mostly kinds that are known and lengths that are short, so that many lists go on for a while; at every place in
    /// memory [RFC 9293 MUST-64].
    #[test]
    fn any_bytes_are_read(
        bytes in prop::collection::vec(prop_oneof![0..12_u8, Just(28_u8), any::<u8>()], 0..=60),
        start in 0..4_usize,
    ) {
        let read = TcpOptions::read(bytes.get(start..).unwrap_or_default());
        prop_assert!(read.window_scale.unwrap_or(0) <= 14);
        prop_assert!(read.sack.len() <= 4);
        if let Some(timestamps) = TcpOptions::read_timestamps_only(&bytes) {
            prop_assert_eq!(TcpOptions::read(&bytes).timestamps, Some(timestamps));
        }
        // The same options behind a NOP, and so at another place.
        let moved = [&[1], bytes.get(start..).unwrap_or_default()].concat();
        prop_assert_eq!(TcpOptions::read(&moved), read);
    }
}
