//! The options of a TCP header.

use core::slice::IterMut;

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::Sum;
use crate::malformed::split_option;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const USER_TIMEOUT: u8 = 28;

const MSS_LEN: u8 = 4;
const WINDOW_SCALE_LEN: u8 = 3;
const SACK_PERMITTED_LEN: u8 = 2;
const TIMESTAMPS_OPTION_LEN: u8 = 10;
const USER_TIMEOUT_LEN: u8 = 4;

/// The most bytes of options that a header has room for.
pub const MAX_OPTIONS_LEN: usize = 40;

/// The largest shift of a window [RFC 7323 §2.3].
pub const MAX_WINDOW_SCALE: u8 = 14;

/// Length in bytes of the timestamps option with the two NOPs before it.
pub const TIMESTAMPS_LEN: usize = size_of::<AlignedTimestamps>();

/// Nearly every segment of a connection with timestamps has these 12 bytes and no other option [RFC 7323 §A].
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AlignedTimestamps {
    head: U32,
    value: U32,
    echo: U32,
}

impl AlignedTimestamps {
    const HEAD: U32 = U32::from_bytes([NOP, NOP, TIMESTAMPS, TIMESTAMPS_OPTION_LEN]);
}

/// Ranges of sequence numbers that arrived out of order, four at most (RFC 2018).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(u32, u32); Self::MOST],
    len: u8,
}

impl SackBlocks {
    /// As many as fit into a header; three beside timestamps.
    pub const MOST: usize = 4;

    /// No block.
    #[inline]
    pub const fn new() -> Self {
        Self { blocks: [(0, 0); Self::MOST], len: 0 }
    }

    /// Adds a block behind the others: its first sequence number, and the one after its last. A fifth is left out.
    #[inline]
    pub fn push(&mut self, left: u32, right: u32) {
        if let Some(block) = self.blocks.get_mut(usize::from(self.len)) {
            *block = (left, right);
            self.len += 1;
        }
    }

    /// The blocks as pairs of left and right edge, in the order of the option.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + Clone {
        self.blocks[..usize::from(self.len).min(Self::MOST)].iter().copied()
    }

    /// How many blocks there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no block.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The options of one header, read or to be written.
///
/// ```
/// use coracle_wire::tcp::{TcpOptions, options_len, write_options};
///
/// let options = TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() };
/// let mut bytes = [0; 8];
/// assert_eq!(options_len(&options), 8);
/// assert_eq!(write_options(&mut bytes, &options), 8);
/// assert_eq!(bytes, [2, 4, 0x05, 0xb4, 1, 3, 3, 7]);
/// assert_eq!(TcpOptions::read(&bytes), options);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The most data that the sender takes in one segment, in bytes [RFC 9293 §3.7.1].
    pub mss: Option<u16>,
    /// By how many bits the windows of the sender are shifted, 14 at most [RFC 7323 §2].
    pub window_scale: Option<u8>,
    /// The sender's time, and the last that it saw of its peer [RFC 7323 §3].
    pub timestamps: Option<(u32, u32)>,
    /// Whether the sender understands blocks of what arrived out of order (RFC 2018).
    pub sack_permitted: bool,
    /// How long the sender keeps data that is not acknowledged: minutes if the upper bit is set, else seconds
    /// [RFC 5482 §3].
    pub user_timeout: Option<u16>,
    /// What arrived out of order at the sender (RFC 2018).
    pub sack: SackBlocks,
}

impl TcpOptions {
    /// Takes apart what [`TcpHeader::options`](super::TcpHeader::options) returned, in any segment and at any alignment
    /// [RFC 9293 MUST-5, MUST-64].
    ///
    /// Unknown options are passed over, and known ones whose length is not theirs too [RFC 9293 MUST-6, MUST-68]. A length
    /// of 0 or 1 or past the end leaves no way to find the next option, so there the list ends [RFC 9293 MUST-7]. Of
    /// options that come twice the last counts. A larger shift of the window than 14 is taken for 14 [RFC 7323 §2.3].
    pub fn read(options: &[u8]) -> Self {
        let mut found = Self::default();
        let mut rest = options;
        while let [kind, behind @ ..] = rest {
            rest = match *kind {
                END => break,
                NOP => behind,
                kind => {
                    let Ok((data, behind)) = split_option(behind) else { break };
                    found.take(kind, data);
                    behind
                }
            };
        }
        found
    }

    /// The timestamps, if the options are these in their usual place, after two NOPs, and nothing else [RFC 7323 §A].
    /// `None` says nothing against the options, but that they need a closer look.
    #[inline]
    pub fn read_timestamps_only(options: &[u8]) -> Option<(u32, u32)> {
        let all = AlignedTimestamps::ref_from_bytes(options).ok()?;
        (all.head == AlignedTimestamps::HEAD).then_some((all.value.get(), all.echo.get()))
    }

    /// [RFC 9293 MUST-4]
    fn take(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (SACK, blocks) => self.sack = read_blocks(blocks).unwrap_or(self.sack),
            (TIMESTAMPS, times) => self.timestamps = times.try_into().ok().map(pair).or(self.timestamps),
            (USER_TIMEOUT, &[a, b]) => self.user_timeout = Some(u16::from_be_bytes([a, b])),
            _ => {}
        }
    }

    /// How many blocks there is room for behind the other options, which take 24 bytes at most.
    #[inline]
    fn blocks_that_fit(&self) -> usize {
        self.sack.len().min((MAX_OPTIONS_LEN - 4 - self.len_without_blocks()) / 8)
    }

    #[inline]
    fn len_without_blocks(&self) -> usize {
        // One word each, as each is aligned with NOPs; SACK-permitted goes where the timestamps have two of these.
        let sack_permitted = self.sack_permitted && self.timestamps.is_none();
        let words = usize::from(self.mss.is_some())
            + usize::from(self.window_scale.is_some())
            + usize::from(self.user_timeout.is_some())
            + usize::from(sack_permitted);
        words * 4 + if self.timestamps.is_some() { TIMESTAMPS_LEN } else { 0 }
    }
}

/// The blocks of a SACK option; `None` if these are not one to four whole blocks.
fn read_blocks(data: &[u8]) -> Option<SackBlocks> {
    let (blocks, []) = data.as_chunks::<8>() else { return None };
    let mut read = SackBlocks::new();
    for &block in blocks {
        let (left, right) = pair(block);
        read.push(left, right);
    }
    (1..=SackBlocks::MOST).contains(&blocks.len()).then_some(read)
}

fn pair(bytes: [u8; 8]) -> (u32, u32) {
    let [first, second]: [U32; 2] = zerocopy::transmute!(bytes);
    (first.get(), second.get())
}

/// How many bytes [`write_options`] takes for these options: a multiple of 4, 40 at most.
#[inline]
pub fn options_len(options: &TcpOptions) -> usize {
    let len = options.len_without_blocks();
    match options.blocks_that_fit() {
        0 => len,
        blocks => len + 4 + blocks * 8,
    }
}

/// Fills in options, each aligned with NOPs to whole words so that no padding is left over [RFC 9293 MUST-69]. Returns
/// their length, that of [`options_len`].
///
/// The order is that of most other stacks: MSS, SACK-permitted, timestamps, window scale, user timeout, SACK. Of the
/// blocks, as many are written as there is room for behind the rest: three beside timestamps [2018-3]. If `into` is
/// shorter than `options_len`, nothing is written and 0 returned.
pub fn write_options(into: &mut [u8], options: &TcpOptions) -> usize {
    let len = options_len(options);
    let Some(into) = into.get_mut(..len) else { return 0 };
    let mut words = Words(into.as_chunks_mut().0.iter_mut());
    if let Some(mss) = options.mss {
        let [a, b] = mss.to_be_bytes();
        words.put([MSS, MSS_LEN, a, b]);
    }
    match options.timestamps {
        Some((value, echo)) => {
            let before = if options.sack_permitted { [SACK_PERMITTED, SACK_PERMITTED_LEN] } else { [NOP; 2] };
            words.put([before[0], before[1], TIMESTAMPS, TIMESTAMPS_OPTION_LEN]);
            words.put(value.to_be_bytes());
            words.put(echo.to_be_bytes());
        }
        None if options.sack_permitted => words.put([NOP, NOP, SACK_PERMITTED, SACK_PERMITTED_LEN]),
        None => {}
    }
    if let Some(shift) = options.window_scale {
        words.put([NOP, WINDOW_SCALE, WINDOW_SCALE_LEN, shift.min(MAX_WINDOW_SCALE)]);
    }
    if let Some(timeout) = options.user_timeout {
        let [a, b] = timeout.to_be_bytes();
        words.put([USER_TIMEOUT, USER_TIMEOUT_LEN, a, b]);
    }
    let blocks = options.blocks_that_fit();
    if blocks > 0 {
        words.put([NOP, NOP, SACK, (2 + blocks * 8) as u8]);
        for (left, right) in options.sack.iter().take(blocks) {
            words.put(left.to_be_bytes());
            words.put(right.to_be_bytes());
        }
    }
    len
}

/// Fills in the timestamps alone, as [`write_options`] would: the options of nearly every segment that has any.
#[inline]
pub fn write_timestamps(into: &mut [u8; TIMESTAMPS_LEN], value: u32, echo: u32) {
    let all = AlignedTimestamps { head: AlignedTimestamps::HEAD, value: value.into(), echo: echo.into() };
    *into = zerocopy::transmute!(all);
}

/// Adds what [`write_timestamps`] writes to a checksum.
#[inline]
pub fn add_timestamps(sum: Sum, value: u32, echo: u32) -> Sum {
    sum.add_u32(AlignedTimestamps::HEAD.get()).add_u32(value).add_u32(echo)
}

/// What is left to write, a word at a time.
struct Words<'a>(IterMut<'a, [u8; 4]>);

impl Words<'_> {
    #[inline]
    fn put(&mut self, word: [u8; 4]) {
        if let Some(place) = self.0.next() {
            *place = word;
        }
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
