use std::vec;
use std::vec::Vec;

use proptest::collection::vec as bytes_of;
use proptest::prelude::*;

use super::*;
use crate::testing::{MOST, config, naive_sum};

/// Words at which carries and the two zeros of ones' complement go wrong.
const EDGES: [u16; 10] = [0, 1, 2, 0x00ff, 0xff00, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];

fn wide(initial: u16, bytes: &[u8]) -> u16 {
    let sum = wide::add_bytes(wide::Word::from(initial.to_be()), bytes);
    u16::from_be(fold_u16(wide::fold_u32(sum)))
}

fn narrow(initial: u16, bytes: &[u8]) -> u16 {
    let sum = narrow::add_bytes(narrow::Word::from(initial.to_be()), bytes);
    u16::from_be(fold_u16(narrow::fold_u32(sum)))
}

fn model(initial: u16, bytes: &[u8]) -> u16 {
    naive_sum(&[&initial.to_be_bytes(), bytes].concat())
}

#[test]
fn known_sums() {
    // The example of [RFC 1071 §3].
    assert_eq!(Sum::new().add_bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).fold(), 0xddf2);
    // A captured IPv4 header, its checksum 0xb861 taken out and left in.
    let header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
    assert_eq!(checksum(&header), 0xb861);
    let complete = Sum::new().add_bytes(&header).add_u16(0xb861);
    assert_eq!(complete.finish(), 0);
    assert!(complete.verifies());
    assert!(!complete.add_u16(1).verifies());
}

#[test]
fn nothing_and_zeros_sum_to_zero_and_do_not_verify() {
    assert_eq!(Sum::new().fold(), 0);
    assert_eq!(Sum::new().add_bytes(&[]).finish(), 0xffff);
    assert_eq!(checksum(&[0; 200]), 0xffff);
    assert!(!Sum::new().add_bytes(&[0; 200]).verifies());
}

#[test]
fn every_length_at_every_alignment() {
    let bytes: Vec<u8> = (0..600_u32).map(|index| (index * 197 + 13) as u8).collect();
    let lengths = if cfg!(miri) { 120..152 } else { 0..500 };
    for len in lengths {
        for start in 0..9 {
            let bytes = &bytes[start..start + len];
            let expected = naive_sum(bytes);
            assert_eq!(wide(0, bytes), expected, "{len} bytes from {start}");
            assert_eq!(narrow(0, bytes), expected, "{len} bytes from {start}");
            assert_eq!(Sum::new().add_bytes(bytes).fold(), expected, "{len} bytes from {start}");
        }
    }
}

#[test]
fn carries_never_get_lost() {
    // All ones leave a carry at each word, and a sum that starts with all ones has no room for it.
    let ones = [0xff; 400];
    let step = if cfg!(miri) { 67 } else { 1 };
    for len in (0..ones.len()).step_by(step) {
        let bytes = &ones[..len];
        for initial in EDGES {
            assert_eq!(wide(initial, bytes), model(initial, bytes), "{len} bytes and {initial:#x}");
            assert_eq!(narrow(initial, bytes), model(initial, bytes), "{len} bytes and {initial:#x}");
        }
        // Each part is a zero of ones' complement, and so is the sum, at an odd offset as well.
        let sum = Sum(Word::MAX).add_bytes(&ones[..len & !1]).add_u16(0xffff).add_u32(u32::MAX);
        assert!(sum.add_sum(sum, 1).add_sum(sum, 2).verifies());
    }
}

#[test]
fn a_udp_checksum_of_zero_goes_out_as_ones() {
    // [1122-UDP-4]
    assert_eq!(Sum::new().add_u16(0xffff).finish(), 0);
    assert_eq!(Sum::new().add_u16(0xffff).finish_nonzero(), 0xffff);
    assert_eq!(Sum::new().add_u16(0x1234).finish_nonzero(), !0x1234);
    assert_eq!(Sum::new().finish_nonzero(), 0xffff);
}

#[test]
fn sums_are_equal_when_they_fold_alike() {
    assert_eq!(Sum::new().add_u32(0x0001_0002), Sum::new().add_u16(3));
    assert_ne!(Sum::new(), Sum::new().add_u16(0xffff));
    assert_eq!(std::format!("{:?}", Sum::new().add_u16(0xabc)), "Sum(0x0abc)");
}

#[test]
fn pseudo_headers() {
    let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(203, 0, 113, 255));
    let bytes = [192, 0, 2, 1, 203, 0, 113, 255, 0, 17, 0x12, 0x34];
    assert_eq!(pseudo_v4(source, destination, 17, 0x1234).fold(), naive_sum(&bytes));

    let (source, destination) = ("2001:db8::1".parse::<Ipv6Addr>(), "ff02::1:ff00:42".parse::<Ipv6Addr>());
    let (source, destination) = (source.unwrap(), destination.unwrap());
    let tail = [0, 1, 0x23, 0x45, 0, 0, 0, 58];
    let bytes = [&source.octets()[..], &destination.octets(), &tail].concat();
    assert_eq!(pseudo_v6(source, destination, 58, 0x12345).fold(), naive_sum(&bytes));
}

#[test]
fn copies_as_much_as_fits() {
    let from = [1, 2, 3, 4, 5];
    let mut into = [9; 8];
    assert_eq!(copy_and_sum(&mut into, &from).fold(), naive_sum(&from));
    assert_eq!(into, [1, 2, 3, 4, 5, 9, 9, 9]);
    let mut into = [9; 3];
    assert_eq!(copy_and_sum(&mut into, &from).fold(), naive_sum(&from[..3]));
    assert_eq!(into, [1, 2, 3]);
    assert_eq!(copy_and_sum(&mut [], &from), Sum::new());
    assert_eq!(copy_and_sum(&mut into, &[]), Sum::new());
}

#[test]
fn copies_beyond_what_is_cached_at_a_time() {
    let from: Vec<u8> = (0..2 * CACHED + 77).map(|index| (index * 31) as u8).collect();
    for len in [CACHED - 1, CACHED, CACHED + 1, from.len()] {
        let mut into = vec![0; len];
        assert_eq!(copy_and_sum(&mut into, &from).fold(), naive_sum(&from[..len]));
        assert_eq!(into, from[..len]);
    }
}

/// A field of three words, of which the middle one changes: the update against a sum over everything, for each combination
/// of edge values, both zeros among them [RFC 1624 §4].
#[test]
fn updates_agree_with_sums_over_everything_at_the_edges() {
    let mut checked = 0;
    for first in EDGES {
        for old in EDGES {
            for new in EDGES {
                let before = Sum::new().add_u16(first).add_u16(old);
                let after = Sum::new().add_u16(first).add_u16(new);
                if before.fold() == 0 || after.fold() == 0 {
                    continue;
                }
                assert_eq!(
                    update(before.finish(), old, new),
                    after.finish(),
                    "{first:#x}: {old:#x} to {new:#x}"
                );
                checked += 1;
            }
        }
    }
    // All but those whose first word and old or new one are zero.
    assert_eq!(checked, 1000 - 19);
}

#[test]
fn the_example_of_rfc_1624() {
    // [RFC 1624 §4]: equation 2 of RFC 1141 gives 0xffff here, equation 3 gives 0.
    assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes(bytes in bytes_of(any::<u8>(), 0..MOST), start in 0..16_usize, initial: u16) {
        let bytes = bytes.get(start..).unwrap_or_default();
        prop_assert_eq!(wide(initial, bytes), model(initial, bytes));
        prop_assert_eq!(narrow(initial, bytes), model(initial, bytes));
        prop_assert_eq!(Sum::new().add_u16(initial).add_bytes(bytes).fold(), model(initial, bytes));
        prop_assert_eq!(checksum(bytes), !naive_sum(bytes));
    }

    /// [1071-1] Pieces at odd offsets add up.
    #[test]
    fn any_chain(pieces in bytes_of(bytes_of(any::<u8>(), 0..40), 0..12)) {
        let whole = pieces.concat();
        let sum = Sum::new().add_chain(pieces.iter().map(Vec::as_slice));
        prop_assert_eq!(sum.fold(), naive_sum(&whole));

        // The same, summed one by one in whatever order.
        let mut sum = Sum::new();
        let mut end = whole.len();
        for piece in pieces.iter().rev() {
            end -= piece.len();
            sum = sum.add_sum(Sum::new().add_bytes(piece), end);
        }
        prop_assert_eq!(sum.fold(), naive_sum(&whole));
    }

    #[test]
    fn any_copy(from in bytes_of(any::<u8>(), 0..MOST)) {
        let mut into = vec![0; from.len()];
        prop_assert_eq!(copy_and_sum(&mut into, &from).fold(), naive_sum(&from));
        prop_assert_eq!(into, from);
    }

    #[test]
    fn any_update(words in bytes_of(any::<u16>(), 2..20), at: prop::sample::Index, new: u32) {
        let sum = |words: &[u16]| words.iter().fold(Sum::new(), |sum, word| sum.add_u16(*word));
        let before = sum(&words);
        let mut changed = words.clone();
        let at = at.index(words.len() - 1);
        changed[at] = new as u16;
        prop_assume!(before.fold() != 0 && sum(&changed).fold() != 0);
        prop_assert_eq!(update(before.finish(), words[at], new as u16), sum(&changed).finish());

        changed[at] = (new >> 16) as u16;
        changed[at + 1] = new as u16;
        prop_assume!(sum(&changed).fold() != 0);
        let old = u32::from(words[at]) << 16 | u32::from(words[at + 1]);
        prop_assert_eq!(update_u32(before.finish(), old, new), sum(&changed).finish());
    }
}

#[test]
fn a_header_is_summed_like_any_bytes() {
    for start in EDGES {
        let header = core::array::from_fn(|at| (start.wrapping_mul(at as u16 + 1) >> (at % 8)) as u8);
        let expected = model(0, &header);
        assert_eq!(u16::from_be(fold_u16(wide::fold_u32(wide::add_header(&header)))), expected);
        assert_eq!(u16::from_be(fold_u16(narrow::fold_u32(narrow::add_header(&header)))), expected);
    }
}

#[test]
fn fields_added_at_once_are_fields_added() {
    let sum = Sum::new().add_u16(EDGES[6]).add_u16(EDGES[9]).add_u16(EDGES[3]);
    assert_eq!(Sum::new().add_u16s([EDGES[6], EDGES[9], EDGES[3]]), sum);
    assert_eq!(Sum::new().add_u16s([0xffff; 8]).fold(), 0xffff);
}
