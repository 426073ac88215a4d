//! What several fuzz targets check.

/// Asserts that `part` lies inside `whole`: a reader hands out what it was given and nothing else.
#[track_caller]
pub fn assert_inside(whole: &[u8], part: &[u8]) {
    let (whole, part) = (whole.as_ptr_range(), part.as_ptr_range());
    assert!(whole.start <= part.start && part.end <= whole.end);
}

/// The ones' complement sum of 16-bit words, one after the other [RFC 1071]: the model that the fast sum is held against.
pub fn naive_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
