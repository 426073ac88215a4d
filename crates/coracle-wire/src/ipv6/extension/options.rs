//! The options of a hop-by-hop or destination options header.

use core::iter::FusedIterator;

use super::Limits;
use crate::Malformed;

const PAD1: u8 = 0;
const PADN: u8 = 1;
const ALERT: u8 = 5;
const JUMBO: u8 = 0xc2;

/// The most bytes of padding that an alignment to eight bytes can need [RFC 8504 §5.3].
const MOST_PADDING: usize = 7;

/// A hop-by-hop options header that has every router look at the packet [RFC 2711], as MLD sends it: `[next header, then
/// these]`.
pub const ROUTER_ALERT: [u8; 7] = [0, ALERT, 2, 0, 0, PADN, 0];

/// What to do with a packet whose option nobody knows: the top two bits of the option's kind [8200-4].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Pass over the option.
    Skip,
    /// Drop the packet.
    Discard,
    /// Drop the packet and send a parameter problem with code 2, even if it went to a group.
    Report,
    /// Drop the packet and send a parameter problem with code 2, unless it went to a group.
    ReportUnicast,
}

impl Action {
    /// What the top two bits of an option's kind say.
    #[inline]
    pub const fn of(kind: u8) -> Self {
        match kind >> 6 {
            0 => Self::Skip,
            1 => Self::Discard,
            2 => Self::Report,
            _ => Self::ReportUnicast,
        }
    }
}

/// One option of a header, padding left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Option<'a> {
    /// Every router shall look at the packet; 0 is MLD [RFC 2711 §2.1].
    RouterAlert(u16),
    /// The packet's real payload length in bytes [RFC 2675 §2].
    Jumbo(u32),
    /// Any other: [`Action::of`] its kind says what to do.
    Unknown {
        /// Its type.
        kind: u8,
        /// What it holds, without type and length.
        data: &'a [u8],
    },
}

/// An option, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedOption<'a> {
    /// Where the option begins, in bytes from the start of the header: what an ICMP error points at.
    pub at: usize,
    /// The option.
    pub option: Ipv6Option<'a>,
}

/// The options of a header, one after the other, up to the first that cannot be read.
///
/// More options than the limit allows, and more padding in a row than any alignment needs, are an error, since nobody sends
/// them but to make work.
///
/// ```
/// use coracle_wire::ipv6::extension::{Ipv6Option, Limits, Options};
///
/// let mut options = Options::new(&[5, 2, 0, 0, 1, 0], Limits::default());
/// assert_eq!(options.next().unwrap()?.option, Ipv6Option::RouterAlert(0));
/// assert_eq!(options.next(), None);
/// # Ok::<(), coracle_wire::Malformed>(())
/// ```
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
    len: usize,
    left: u8,
}

impl<'a> Options<'a> {
    /// Takes apart what [`Extension::HopByHop`](super::Extension::HopByHop) or
    /// [`Extension::Destination`](super::Extension::Destination) holds.
    #[inline]
    pub fn new(options: &'a [u8], limits: Limits) -> Self {
        Self { rest: options, len: options.len(), left: limits.options }
    }

    /// Passes over padding, and returns what follows it.
    fn unpadded(&self) -> Result<&'a [u8], Malformed> {
        let mut rest = self.rest;
        while let [PAD1 | PADN, behind @ ..] = rest {
            rest = if rest.first() == Some(&PAD1) { behind } else { split(behind)?.1 };
            if self.rest.len() - rest.len() > MOST_PADDING {
                return Err(Malformed::Option);
            }
        }
        Ok(rest)
    }

    fn read(&mut self, rest: &'a [u8]) -> Result<Option<PlacedOption<'a>>, Malformed> {
        let Some((&kind, behind)) = rest.split_first() else { return Ok(None) };
        // The header's first two bytes are not among the options.
        let at = 2 + self.len - rest.len();
        self.left = self.left.checked_sub(1).ok_or(Malformed::Option)?;
        let (data, behind) = split(behind)?;
        let option = match (kind, data) {
            (ALERT, &[a, b]) => Ipv6Option::RouterAlert(u16::from_be_bytes([a, b])),
            (JUMBO, &[a, b, c, d]) => Ipv6Option::Jumbo(u32::from_be_bytes([a, b, c, d])),
            (ALERT | JUMBO, _) => return Err(Malformed::Option),
            _ => Ipv6Option::Unknown { kind, data },
        };
        self.rest = behind;
        Ok(Some(PlacedOption { at, option }))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<PlacedOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = match self.unpadded() {
            Ok(rest) => self.read(rest),
            Err(error) => Err(error),
        };
        if !matches!(read, Ok(Some(_))) {
            self.rest = &[];
        }
        read.transpose()
    }
}

impl FusedIterator for Options<'_> {}

/// Splits what follows an option's kind into its data and the options behind it.
fn split(behind: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (&len, behind) = behind.split_first().ok_or(Malformed::Option)?;
    behind.split_at_checked(len.into()).ok_or(Malformed::Option)
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
