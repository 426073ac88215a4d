//! The options of an IPv4 header.

use core::iter::FusedIterator;

use crate::Malformed;
use crate::malformed::split_option;

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ALERT: u8 = 148;

/// The router alert option as it is sent: every router shall look at the packet [RFC 2113].
pub const ROUTER_ALERT: [u8; 4] = [ALERT, 4, 0, 0];

/// One option of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv4Option<'a> {
    /// End of the list; what follows is padding.
    End,
    /// No operation: fills up to a boundary.
    Nop,
    /// The routers under way enter their addresses.
    RecordRoute(Route<'a>),
    /// The packet goes by these addresses, and others in between.
    LooseSourceRoute(Route<'a>),
    /// The packet goes by these addresses and no other.
    StrictSourceRoute(Route<'a>),
    /// The routers under way enter the time.
    Timestamp {
        /// Where the next entry goes, counted from 1 at the option's first byte: at least 5, and beyond the option's
        /// length if it is full.
        pointer: u8,
        /// How many routers found no room.
        overflow: u8,
        /// Which kind of entry is wanted.
        flags: u8,
        /// The entries, of four bytes each.
        data: &'a [u8],
    },
    /// Every router shall look at the packet [RFC 2113].
    RouterAlert(u16),
    /// An option that is passed over [1122-IP-11].
    Unknown {
        /// Its type.
        kind: u8,
        /// What it holds, without type and length.
        data: &'a [u8],
    },
}

impl Ipv4Option<'_> {
    /// Whether the sender chose the packet's way: such a packet is not answered.
    pub fn is_source_route(&self) -> bool {
        matches!(self, Self::LooseSourceRoute(_) | Self::StrictSourceRoute(_))
    }
}

/// The addresses of a route option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// Where the next address is or goes, counted from 1 at the option's first byte: a multiple of 4, beyond the option's
    /// length if the route is full or at its end.
    pub pointer: u8,
    /// The addresses, of four bytes each.
    pub data: &'a [u8],
}

/// The options of a header, one after the other, up to the end of the list or the first that cannot be read.
///
/// Each step consumes at least one byte, so the number of items is at most that of the bytes.
///
/// ```
/// use coracle_wire::ipv4::{Ipv4Option, Options};
///
/// let mut options = Options::new(&[1, 148, 4, 0, 0, 0, 9, 9]);
/// assert_eq!(options.next(), Some(Ok(Ipv4Option::Nop)));
/// assert_eq!(options.next(), Some(Ok(Ipv4Option::RouterAlert(0))));
/// assert_eq!(options.next(), Some(Ok(Ipv4Option::End)));
/// assert_eq!(options.next(), None);
/// ```
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// Takes apart what [`Ipv4Header::options`](super::Ipv4Header::options) returned.
    #[inline]
    pub fn new(options: &'a [u8]) -> Self {
        Self { rest: options }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Ipv4Option<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, behind) = self.rest.split_first()?;
        // Whatever ends the list leaves nothing to go on with.
        self.rest = &[];
        Some(match kind {
            END => Ok(Ipv4Option::End),
            NOP => {
                self.rest = behind;
                Ok(Ipv4Option::Nop)
            }
            kind => split_option(behind).and_then(|(data, rest)| {
                let option = interpret(kind, data)?;
                self.rest = rest;
                Ok(option)
            }),
        })
    }
}

impl FusedIterator for Options<'_> {}

fn interpret(kind: u8, data: &[u8]) -> Result<Ipv4Option<'_>, Malformed> {
    Ok(match kind {
        RECORD_ROUTE => Ipv4Option::RecordRoute(route(data)?),
        LOOSE_SOURCE_ROUTE => Ipv4Option::LooseSourceRoute(route(data)?),
        STRICT_SOURCE_ROUTE => Ipv4Option::StrictSourceRoute(route(data)?),
        TIMESTAMP => timestamp(data)?,
        ALERT => match *data {
            [a, b] => Ipv4Option::RouterAlert(u16::from_be_bytes([a, b])),
            _ => return Err(Malformed::Option),
        },
        kind => Ipv4Option::Unknown { kind, data },
    })
}

/// [RFC 791 §3.1]: the smallest legal pointer is 4, and each address takes four bytes.
fn route(data: &[u8]) -> Result<Route<'_>, Malformed> {
    match *data {
        [pointer, ref data @ ..]
            if pointer >= 4 && pointer.is_multiple_of(4) && data.len().is_multiple_of(4) =>
        {
            Ok(Route { pointer, data })
        }
        _ => Err(Malformed::Option),
    }
}

/// [RFC 791 §3.1]: the smallest legal pointer is 5, and each entry takes four or eight bytes.
fn timestamp(data: &[u8]) -> Result<Ipv4Option<'_>, Malformed> {
    match *data {
        [pointer, counters, ref data @ ..]
            if pointer >= 5 && pointer % 4 == 1 && data.len().is_multiple_of(4) =>
        {
            Ok(Ipv4Option::Timestamp { pointer, overflow: counters >> 4, flags: counters & 0x0f, data })
        }
        _ => Err(Malformed::Option),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
