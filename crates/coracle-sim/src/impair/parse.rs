//! Impairments from text, for command lines and scenario files.

use super::config::{Burst, Impairment, Probability, Rate};
use core::fmt;
use core::str::FromStr;

/// Why a text is no impairment. Its message names the word and what was expected in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    word: String,
    expected: &'static str,
}

impl ParseError {
    fn new(word: &str, expected: &'static str) -> Self {
        Self { word: word.to_owned(), expected }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.word, self.expected)
    }
}

impl core::error::Error for ParseError {}

const KEYS: &str =
    "an impairment (delay, jitter, loss, burst, reorder, duplicate, corrupt, rate, mtu, limit, partition)";
const PROBABILITY: &str = "a probability from 0 to 1 (as in 2%, 0.02 or 1/50)";
const TIME: &str = "a time (as in 20ms, 1.5s or 300us)";
const BANDWIDTH: &str = "a bandwidth in bits per second (as in 10Mbit, 64kbit or 9600)";
const SIZE: &str = "a number of bytes (as in 1500, 64k or 1M)";
const COUNT: &str = "a whole number";

impl Impairment {
    /// Sets one property from text.
    ///
    /// | key | value | example |
    /// |---|---|---|
    /// | `delay`, `jitter` | time | `20ms` |
    /// | `loss`, `duplicate`, `corrupt` | probability | `1%` |
    /// | `burst` | enter/leave, then loss in the bad state (default 100%) and in the good one (default 0) | `1%/25%` |
    /// | `reorder` | probability/detour | `2%/5ms` |
    /// | `rate` | bandwidth, then the queue (default 64k) | `10Mbit/32k` |
    /// | `mtu` | bytes | `1514` |
    /// | `limit` | frames | `1000` |
    /// | `partition` | `on` or `off` | `on` |
    ///
    /// # Errors
    /// The key or the value is not of that form; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ParseError> {
        match key {
            "delay" => self.delay = time(value)?,
            "jitter" => self.jitter = time(value)?,
            "loss" => self.loss = value.parse()?,
            "duplicate" => self.duplicate = value.parse()?,
            "corrupt" => self.corrupt = value.parse()?,
            "burst" => self.burst = Some(burst(value)?),
            "reorder" => {
                let (share, detour) = value
                    .rsplit_once('/')
                    .ok_or_else(|| ParseError::new(value, "a probability and a detour (as in 2%/5ms)"))?;
                (self.reorder, self.reorder_delay) = (share.parse()?, time(detour)?);
            }
            "rate" => self.rate = Some(rate(value)?),
            "mtu" => self.mtu = Some(count(value, SIZE)?),
            "limit" => self.limit = count(value, COUNT)?,
            "partition" => {
                self.partition = match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err(ParseError::new(value, "on or off")),
                }
            }
            _ => return Err(ParseError::new(key, KEYS)),
        }
        Ok(())
    }
}

/// A list of `key=value`, separated by commas or spaces, over the default; see [`Impairment::set`].
///
/// ```
/// use coracle_sim::impair::{Impairment, Probability};
/// let wire: Impairment = "delay=20ms, loss=1%".parse()?;
/// assert_eq!((wire.delay, wire.loss), (20_000, Probability::percent(1)));
/// # Ok::<(), coracle_sim::impair::ParseError>(())
/// ```
impl FromStr for Impairment {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut wire = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let (key, value) =
                word.split_once('=').ok_or_else(|| ParseError::new(word, "of the form key=value"))?;
            wire.set(key, value)?;
        }
        Ok(wire)
    }
}

/// `2%`, `0.02` or `1/50`; above 1 is an error.
impl FromStr for Probability {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const SCALE: u64 = 1_000_000_000;
        let error = || ParseError::new(text, PROBABILITY);
        let (times, of) = if let Some((times, of)) = text.split_once('/') {
            (times.parse().map_err(|_| error())?, of.parse().map_err(|_| error())?)
        } else if let Some(percent) = text.strip_suffix('%') {
            (decimal(percent, SCALE).ok_or_else(error)?, 100 * SCALE)
        } else {
            (decimal(text, SCALE).ok_or_else(error)?, SCALE)
        };
        if of == 0 || times > of { Err(error()) } else { Ok(Self::ratio(times, of)) }
    }
}

fn burst(text: &str) -> Result<Burst, ParseError> {
    let mut words = text.split('/');
    let mut next = |default: Option<Probability>| match (words.next(), default) {
        (Some(word), _) => word.parse(),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(ParseError::new(text, "a burst (enter/leave, as in 1%/25%)")),
    };
    Ok(Burst {
        enter: next(None)?,
        leave: next(None)?,
        loss_bad: next(Some(Probability::ALWAYS))?,
        loss_good: next(Some(Probability::NEVER))?,
    })
}

fn rate(text: &str) -> Result<Rate, ParseError> {
    let (bits, queue) = match text.split_once('/') {
        Some((bits, queue)) => (bits, count(queue, SIZE)?),
        None => (text, Rate::DEFAULT_QUEUE),
    };
    let units = [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1000), ("bit", 1), ("", 1)];
    Ok(Rate { bits_per_second: scaled(bits, &units, BANDWIDTH)?, queue })
}

fn time(text: &str) -> Result<u64, ParseError> {
    scaled(text, &[("us", 1), ("µs", 1), ("ms", 1000), ("s", 1_000_000)], TIME)
}

fn count<T: TryFrom<u64>>(text: &str, expected: &'static str) -> Result<T, ParseError> {
    let number = scaled(text, &[("k", 1 << 10), ("M", 1 << 20), ("", 1)], expected)?;
    T::try_from(number).map_err(|_| ParseError::new(text, expected))
}

/// A decimal number with one of these units, the first that fits.
fn scaled(text: &str, units: &[(&str, u64)], expected: &'static str) -> Result<u64, ParseError> {
    units
        .iter()
        .find_map(|&(unit, scale)| decimal(text.strip_suffix(unit)?, scale))
        .ok_or_else(|| ParseError::new(text, expected))
}

/// `text` times `scale`, exactly, further digits cut off; `None` when it is no plain decimal number or too large.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Eighteen digits are more than any unit here can tell apart, and keep the product within 128 bits.
    let (fraction, divisor) = part.bytes().take(18).fold((0u128, 1u128), |(fraction, divisor), digit| {
        (fraction * 10 + u128::from(digit - b'0'), divisor * 10)
    });
    let part = u64::try_from(u128::from(scale) * fraction / divisor).ok()?;
    whole.checked_mul(scale)?.checked_add(part)
}
