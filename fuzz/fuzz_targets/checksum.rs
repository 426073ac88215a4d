//! The checksum against a sum of one 16-bit word after the other.
#![no_main]

use coracle_fuzz::naive_sum;
use coracle_wire::checksum::{self, Sum};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [start, cuts @ .., a, b, c, d] = data.first_chunk::<8>().copied().unwrap_or_default();
    let all = data.get(8..).unwrap_or_default();
    // Any alignment, and any length up to the input's.
    let bytes = all.get(usize::from(start % 16)..).unwrap_or_default();
    let expected = naive_sum(bytes);

    assert_eq!(Sum::new().add_bytes(bytes).fold(), expected);
    assert_eq!(checksum::checksum(bytes), !expected);
    chain(bytes, cuts, expected);
    copy(bytes, expected);
    changed(bytes, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
});

/// The same bytes in pieces, some of them empty or of odd length.
fn chain(bytes: &[u8], cuts: [u8; 3], expected: u16) {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    let mut sum = Sum::new();
    for cut in cuts {
        let (piece, behind) = rest.split_at(usize::from(cut).min(rest.len()));
        sum = sum.add_sum(Sum::new().add_bytes(piece), bytes.len() - rest.len());
        pieces.push(piece);
        rest = behind;
    }
    sum = sum.add_sum(Sum::new().add_bytes(rest), bytes.len() - rest.len());
    pieces.push(rest);
    assert_eq!(sum.fold(), expected);
    assert_eq!(Sum::new().add_chain(pieces).fold(), expected);
}

fn copy(bytes: &[u8], expected: u16) {
    let mut copy = vec![0; bytes.len() + 1];
    assert_eq!(checksum::copy_and_sum(&mut copy, bytes).fold(), expected);
    assert_eq!(&copy[..bytes.len()], bytes);
    assert_eq!(copy[bytes.len()], 0);
}

/// A field changes, and the checksum with it.
fn changed(bytes: &[u8], at: u16, new: u16) {
    let mut bytes = bytes.to_vec();
    let at = usize::from(at) & !1;
    let Some(field) = bytes.get(at..at + 2) else { return };
    let old = u16::from_be_bytes([field[0], field[1]]);
    let before = checksum::checksum(&bytes);
    bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
    let after = checksum::checksum(&bytes);
    if before != 0xffff && after != 0xffff {
        assert_eq!(checksum::update(before, old, new), after);
        let (old, new) = (u32::from(old), u32::from(new));
        assert_eq!(checksum::update_u32(before, old << 16 | 0x1234, new << 16 | 0x1234), after);
    }
}
