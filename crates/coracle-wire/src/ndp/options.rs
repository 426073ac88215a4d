//! The options of neighbour discovery.

use core::iter::FusedIterator;
use core::net::Ipv6Addr;

use zerocopy::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Preference;
use crate::{MacAddr, Malformed};

pub(super) const SOURCE_STATION: u8 = 1;
pub(super) const TARGET_STATION: u8 = 2;
pub(super) const PREFIX: u8 = 3;
pub(super) const REDIRECTED: u8 = 4;
pub(super) const MTU: u8 = 5;
pub(super) const NONCE: u8 = 14;
pub(super) const ROUTE: u8 = 24;
pub(super) const RDNSS: u8 = 25;
pub(super) const DNSSL: u8 = 31;

/// One option of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NdOption<'a> {
    /// The link-layer address of the sender, padded: [`station`] of it on Ethernet.
    SourceStation(&'a [u8]),
    /// The link-layer address of the target, padded: [`station`] of it on Ethernet.
    TargetStation(&'a [u8]),
    /// What is on the link, and what hosts may make addresses of.
    Prefix(&'a PrefixInformation),
    /// The start of the packet that was redirected, perhaps with padding behind it.
    Redirected(&'a [u8]),
    /// MTU of the link in bytes.
    Mtu(u32),
    /// A random number that shows which solicitation is one's own [RFC 3971 §5.3.2] [RFC 7527].
    Nonce(&'a [u8]),
    /// What can be reached by way of the router.
    Route(RouteInformation),
    /// Servers of the domain name system.
    Rdnss(Rdnss<'a>),
    /// Domains in which short names are looked up.
    Dnssl(Dnssl<'a>),
    /// An option that is passed over: of an unknown kind, or of a known one but with a length or content that is wrong.
    Ignored {
        /// Its type.
        kind: u8,
        /// What it holds, without type and length.
        data: &'a [u8],
    },
}

/// The Ethernet address that a link-layer address option holds.
#[inline]
pub fn station(data: &[u8]) -> Option<MacAddr> {
    data.try_into().ok().map(MacAddr)
}

/// What is on the link, and what hosts may make addresses of [RFC 4861 §4.6.2].
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct PrefixInformation {
    prefix_len: u8,
    flags: u8,
    valid: U32,
    preferred: U32,
    reserved: U32,
    prefix: [u8; 16],
}

pub(super) const ON_LINK: u8 = 0x80;
pub(super) const AUTONOMOUS: u8 = 0x40;

impl PrefixInformation {
    /// Length of the prefix in bits, at most 128.
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Whether addresses with the prefix are on the link.
    pub fn on_link(&self) -> bool {
        self.flags & ON_LINK != 0
    }

    /// Whether hosts may make addresses of the prefix.
    pub fn autonomous(&self) -> bool {
        self.flags & AUTONOMOUS != 0
    }

    /// For how many seconds all this holds; [`INFINITE`](super::INFINITE) without end.
    pub fn valid(&self) -> u32 {
        self.valid.get()
    }

    /// For how many seconds addresses made of the prefix are to be preferred.
    pub fn preferred(&self) -> u32 {
        self.preferred.get()
    }

    /// The prefix, with whatever the sender put behind its bits.
    pub fn prefix(&self) -> Ipv6Addr {
        self.prefix.into()
    }
}

/// What can be reached by way of the router [RFC 4191 §2.3].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInformation {
    /// The prefix of what can be reached.
    pub prefix: Ipv6Addr,
    /// Its length in bits, at most 128.
    pub prefix_len: u8,
    /// Whether to rather take this route than that of another router.
    pub preference: Preference,
    /// For how many seconds; 0 ends the route.
    pub lifetime: u32,
}

/// Servers of the domain name system [RFC 8106 §5.1].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rdnss<'a> {
    /// For how many seconds they may be used; 0 ends it.
    pub lifetime: u32,
    /// Their addresses: at least one.
    pub servers: &'a [[u8; 16]],
}

/// Domains in which short names are looked up [RFC 8106 §5.2].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dnssl<'a> {
    /// For how many seconds they may be used; 0 ends it.
    pub lifetime: u32,
    names: &'a [u8],
}

impl<'a> Dnssl<'a> {
    /// The domains: at least one.
    pub fn names(&self) -> Names<'a> {
        Names { rest: self.names }
    }
}

/// The names of a [`Dnssl`], one after the other, each as labels with their lengths in front, the empty one at the end
/// included [RFC 1035 §3.1].
#[derive(Debug, Clone)]
pub struct Names<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (name, rest) = self.rest.split_at_checked(name_len(self.rest)?)?;
        self.rest = rest;
        Some(name)
    }
}

impl FusedIterator for Names<'_> {}

/// Length of the name at the start, which has a label and ends in an empty one; `None` if there is none.
fn name_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 if at == 0 || at > 254 => return None,
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            _ => return None,
        }
    }
}

/// The options of a message, one after the other. All of them are there: that was checked when the message was read.
///
/// Each step consumes at least eight bytes.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    pub(super) fn new(options: &'a [u8]) -> Self {
        Self { rest: options }
    }

    /// Whether every option has a length, and all together fill the message [4861-1].
    pub(super) fn check(&self) -> Result<(), Malformed> {
        let mut rest = self.rest;
        while !rest.is_empty() {
            rest = split(rest).ok_or(Malformed::Option)?.2;
        }
        Ok(())
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = NdOption<'a>;

    fn next(&mut self) -> Option<NdOption<'a>> {
        let (kind, data, rest) = split(self.rest)?;
        self.rest = rest;
        Some(interpret(kind, data).unwrap_or(NdOption::Ignored { kind, data }))
    }
}

impl FusedIterator for Options<'_> {}

/// Kind and data of the first option, and those behind it. The length counts in eights, kind and length included.
fn split(options: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [kind, len @ 1..=255, ..] = *options else { return None };
    let (option, rest) = options.split_at_checked(usize::from(len) * 8)?;
    Some((kind, option.get(2..)?, rest))
}

fn interpret(kind: u8, data: &[u8]) -> Option<NdOption<'_>> {
    Some(match kind {
        SOURCE_STATION => NdOption::SourceStation(data),
        TARGET_STATION => NdOption::TargetStation(data),
        PREFIX => {
            let prefix = PrefixInformation::ref_from_bytes(data).ok()?;
            (prefix.prefix_len <= 128).then_some(NdOption::Prefix(prefix))?
        }
        REDIRECTED => NdOption::Redirected(data.get(6..)?),
        MTU => match *data {
            [_, _, a, b, c, d] => NdOption::Mtu(u32::from_be_bytes([a, b, c, d])),
            _ => return None,
        },
        NONCE => NdOption::Nonce(data),
        ROUTE => NdOption::Route(route(data)?),
        RDNSS => NdOption::Rdnss(rdnss(data)?),
        DNSSL => NdOption::Dnssl(dnssl(data)?),
        _ => return None,
    })
}

/// Prefixes that do not fill their option are completed with zeros; the reserved preference is ignored [RFC 4191 §2.3].
fn route(data: &[u8]) -> Option<RouteInformation> {
    let (&[prefix_len, flags, a, b, c, d], given) = data.split_first_chunk()?;
    let fits = given.len() <= 16 && usize::from(prefix_len).div_ceil(64) * 8 <= given.len();
    if !fits {
        return None;
    }
    let mut prefix = [0; 16];
    prefix.get_mut(..given.len())?.copy_from_slice(given);
    let lifetime = u32::from_be_bytes([a, b, c, d]);
    Some(RouteInformation { prefix: prefix.into(), prefix_len, preference: Preference::of(flags)?, lifetime })
}

/// [8106-1]
fn rdnss(data: &[u8]) -> Option<Rdnss<'_>> {
    let (&[_, _, a, b, c, d], addresses) = data.split_first_chunk()?;
    match addresses.as_chunks() {
        ([], _) => None,
        (servers, []) => Some(Rdnss { lifetime: u32::from_be_bytes([a, b, c, d]), servers }),
        _ => None,
    }
}

/// [8106-1]
fn dnssl(data: &[u8]) -> Option<Dnssl<'_>> {
    let (&[_, _, a, b, c, d], names) = data.split_first_chunk()?;
    let mut each = Names { rest: names };
    each.next()?;
    each.by_ref().for_each(drop);
    let padded = each.rest.len() < 8 && each.rest.iter().all(|byte| *byte == 0);
    padded.then_some(Dnssl { lifetime: u32::from_be_bytes([a, b, c, d]), names })
}
