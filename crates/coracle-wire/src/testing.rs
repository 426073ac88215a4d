//! What the tests of several formats share.

use proptest::test_runner::Config;

/// Few cases under an interpreter, and no file of failures, which it cannot write.
pub(crate) fn config() -> Config {
    Config { cases: if cfg!(miri) { 4 } else { 512 }, failure_persistence: None, ..Config::default() }
}

/// The most bytes that a property is tried with.
pub(crate) const MOST: usize = if cfg!(miri) { 150 } else { 2000 };

/// The ones' complement sum of 16-bit words, one after the other [RFC 1071 §1]: the model of all sums.
pub(crate) fn naive_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
