//! What a wire is to do to the frames that cross it.

use core::fmt;

/// A probability, as a whole number of 2⁻³² parts, so that decisions are the same on every machine.
///
/// Both ends are exact: [`NEVER`](Self::NEVER) never happens, [`ALWAYS`](Self::ALWAYS) always does.
///
/// ```
/// use coracle_sim::impair::Probability;
/// assert_eq!(Probability::ratio(1, 100), Probability::percent(1));
/// assert_eq!("0.5%".parse(), Ok(Probability::ratio(5, 1000)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u64);

impl Probability {
    const ONE: u64 = 1 << 32;

    /// It does not happen. The default.
    pub const NEVER: Self = Self(0);
    /// It happens each time.
    pub const ALWAYS: Self = Self(Self::ONE);

    /// `times` out of `of`, rounded to the nearest 2⁻³². More than all, and anything out of nothing, is
    /// [`ALWAYS`](Self::ALWAYS); nothing out of anything is [`NEVER`](Self::NEVER).
    pub const fn ratio(times: u64, of: u64) -> Self {
        if times == 0 {
            Self::NEVER
        } else if times >= of {
            Self::ALWAYS
        } else {
            // 128 bits hold any u64 times 2^32.
            Self((((times as u128) * (Self::ONE as u128) + (of as u128) / 2) / (of as u128)) as u64)
        }
    }

    /// `n` percent; 100 and above is [`ALWAYS`](Self::ALWAYS).
    pub const fn percent(n: u64) -> Self {
        Self::ratio(n, 100)
    }

    /// Whether it happens for this random word.
    #[inline]
    pub(super) fn happens(self, word: u32) -> bool {
        u64::from(word) < self.0
    }

    /// The probability in parts per million, rounded to the nearest.
    pub const fn parts_per_million(self) -> u64 {
        (self.0 * 1_000_000 + Self::ONE / 2) / Self::ONE
    }
}

/// As percent with up to four decimals: `0.25%`.
impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millionths = self.parts_per_million();
        let (whole, part) = (millionths / 10_000, millionths % 10_000);
        if part == 0 {
            write!(f, "{whole}%")
        } else {
            let digits = format!("{part:04}");
            write!(f, "{whole}.{}%", digits.trim_end_matches('0'))
        }
    }
}

/// Loss that comes in bursts: the Gilbert–Elliott model. The wire is in a good or a bad state, may change state before
/// each frame, and loses frames with the probability of the state it is in.
///
/// It starts in the good state. A mean burst is 1 / `leave` frames long, and the share of time spent in the bad state is
/// `enter` / (`enter` + `leave`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// From good to bad.
    pub enter: Probability,
    /// From bad to good.
    pub leave: Probability,
    /// Loss in the good state.
    pub loss_good: Probability,
    /// Loss in the bad state.
    pub loss_bad: Probability,
}

/// A link of limited bandwidth with a queue before it; what does not fit into the queue is dropped (tail drop).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits per second. 0 lets nothing through: every frame is dropped as if the queue were full.
    pub bits_per_second: u64,
    /// Bytes that may wait, the frame under transmission counted with what is left of it. A frame that finds the link
    /// idle is always taken.
    pub queue: u64,
}

impl Rate {
    /// A queue that serves for most tests: 64 KiB.
    pub const DEFAULT_QUEUE: u64 = 64 * 1024;

    /// A link of this many bits per second with the default queue.
    pub const fn new(bits_per_second: u64) -> Self {
        Self { bits_per_second, queue: Self::DEFAULT_QUEUE }
    }
}

/// What one direction of a wire does to frames. The default is a perfect wire: no delay, nothing lost.
///
/// A frame meets the fields in this order: `partition`, `mtu`, `loss` and `burst`, `duplicate`, `limit` and `rate`,
/// `corrupt`, then `delay`, `jitter` and `reorder`. Both copies of a duplicated frame pass everything that follows.
///
/// It can be read from text, see [`FromStr`](core::str::FromStr): `"delay=20ms,jitter=2ms,loss=1%,rate=10Mbit"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impairment {
    /// Time on the wire, in microseconds.
    pub delay: u64,
    /// Further time, in microseconds: for each frame a value from 0 to this, each equally likely. A wire is
    /// first-in-first-out, so jitter alone never changes the order; a frame that would overtake waits.
    pub jitter: u64,
    /// Each frame is lost with this probability, independently of others.
    pub loss: Probability,
    /// Loss in bursts, beside `loss`.
    pub burst: Option<Burst>,
    /// With this probability a frame takes a detour of `reorder_delay`, and frames behind it may pass.
    pub reorder: Probability,
    /// Length of the detour, in microseconds.
    pub reorder_delay: u64,
    /// With this probability a frame arrives twice.
    pub duplicate: Probability,
    /// With this probability one bit of a frame is inverted; every bit is equally likely.
    pub corrupt: Probability,
    /// Limited bandwidth.
    pub rate: Option<Rate>,
    /// Frames longer than this many bytes (as handed over, so with their link header) are dropped.
    pub mtu: Option<usize>,
    /// The wire is cut: whatever is pushed is dropped. Frames already on their way still arrive.
    pub partition: bool,
    /// Frames that may be under way at once; more are dropped and counted as dropped by the queue.
    pub limit: usize,
}

impl Impairment {
    /// The default of [`limit`](Self::limit).
    pub const DEFAULT_LIMIT: usize = 10_000;
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            delay: 0,
            jitter: 0,
            loss: Probability::NEVER,
            burst: None,
            reorder: Probability::NEVER,
            reorder_delay: 0,
            duplicate: Probability::NEVER,
            corrupt: Probability::NEVER,
            rate: None,
            mtu: None,
            partition: false,
            limit: Self::DEFAULT_LIMIT,
        }
    }
}
