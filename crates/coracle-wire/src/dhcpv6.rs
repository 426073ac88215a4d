//! Dynamic host configuration protocol for IPv6 [RFC 8415]: messages of clients and servers, their options, and a writer.

use core::net::Ipv6Addr;

use crate::{MacAddr, Malformed};

#[cfg(test)]
mod tests;
mod writer;

pub use writer::{Dhcpv6Writer, Nested};

/// Length in bytes of what comes before the options.
pub const HEADER_LEN: usize = 4;

/// The UDP port of clients.
pub const CLIENT_PORT: u16 = 546;

/// The UDP port of servers and relays.
pub const SERVER_PORT: u16 = 547;

/// All servers and relays on the link.
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A lifetime that never ends [RFC 8415 §7.7].
pub const INFINITE: u32 = u32::MAX;

/// The longest DUID in bytes, its type included [RFC 8415 §11.1].
pub const MAX_DUID: usize = 130;

/// Kinds of messages [RFC 8415 §7.3].
pub mod kind {
    /// A client looks for servers.
    pub const SOLICIT: u8 = 1;
    /// A server offers.
    pub const ADVERTISE: u8 = 2;
    /// A client asks a server for what it offers.
    pub const REQUEST: u8 = 3;
    /// A client asks whether its addresses fit this link.
    pub const CONFIRM: u8 = 4;
    /// A client asks its server for more time.
    pub const RENEW: u8 = 5;
    /// A client asks any server for more time.
    pub const REBIND: u8 = 6;
    /// A server's answer to all of these.
    pub const REPLY: u8 = 7;
    /// A client gives back.
    pub const RELEASE: u8 = 8;
    /// A client found that somebody else has an address.
    pub const DECLINE: u8 = 9;
    /// A server asks a client to ask anew.
    pub const RECONFIGURE: u8 = 10;
    /// A client asks for settings alone.
    pub const INFORMATION_REQUEST: u8 = 11;
}

/// Numbers of options; RFC 8415 unless said otherwise.
pub mod code {
    /// Who the client is: a DUID.
    pub const CLIENT_ID: u16 = 1;
    /// Who the server is: a DUID.
    pub const SERVER_ID: u16 = 2;
    /// Addresses.
    pub const IA_NA: u16 = 3;
    /// One address, within [`IA_NA`].
    pub const IA_ADDRESS: u16 = 5;
    /// The options that a client wants.
    pub const REQUESTED: u16 = 6;
    /// How much a server wants to be chosen.
    pub const PREFERENCE: u16 = 7;
    /// For how many hundredths of a second the client has tried.
    pub const ELAPSED: u16 = 8;
    /// What became of it.
    pub const STATUS: u16 = 13;
    /// A reply at once instead of an advertisement is welcome, or is this.
    pub const RAPID_COMMIT: u16 = 14;
    /// DNS servers [RFC 3646].
    pub const DNS_SERVERS: u16 = 23;
    /// Domains to search names in [RFC 3646].
    pub const SEARCH: u16 = 24;
    /// Prefixes.
    pub const IA_PD: u16 = 25;
    /// One prefix, within [`IA_PD`].
    pub const IA_PREFIX: u16 = 26;
    /// When to ask for settings again.
    pub const REFRESH_TIME: u16 = 32;
    /// The longest wait between messages that look for servers.
    pub const SOL_MAX_RT: u16 = 82;
    /// The longest wait between messages that ask for settings.
    pub const INF_MAX_RT: u16 = 83;
}

/// Numbers of statuses [RFC 8415 §21.13].
pub mod status {
    /// All is well.
    pub const SUCCESS: u16 = 0;
    /// It failed, for no reason given.
    pub const UNSPECIFIED: u16 = 1;
    /// There are no addresses.
    pub const NO_ADDRESSES: u16 = 2;
    /// The server knows nothing of it.
    pub const NO_BINDING: u16 = 3;
    /// The address does not fit the link.
    pub const NOT_ON_LINK: u16 = 4;
    /// There are no prefixes.
    pub const NO_PREFIXES: u16 = 6;
}

/// A message of a client or a server whose every option, nested ones too, lies within what holds it.
///
/// ```
/// use coracle_wire::dhcpv6::{Dhcpv6Message, Dhcpv6Writer, code, kind};
///
/// let mut bytes = [0; 64];
/// let mut writer = Dhcpv6Writer::new(&mut bytes, kind::SOLICIT, 0x12_3456)?;
/// assert!(writer.option(code::ELAPSED, &[0, 0]) && writer.option(code::RAPID_COMMIT, &[]));
/// let len = writer.finish();
///
/// let message = Dhcpv6Message::read(&bytes[..len])?;
/// assert_eq!((message.kind, message.transaction), (kind::SOLICIT, 0x12_3456));
/// assert!(message.options().value(code::RAPID_COMMIT).is_some());
/// # Ok::<(), coracle_wire::Malformed>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dhcpv6Message<'a> {
    /// One of [`kind`]; relays' messages, which look otherwise, are not read.
    pub kind: u8,
    /// Names the exchange, in 24 bits.
    pub transaction: u32,
    options: &'a [u8],
}

impl<'a> Dhcpv6Message<'a> {
    /// The message that a datagram carries [8415-1].
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 4 bytes; [`Malformed::Type`] for a kind that no client or server sends;
    /// [`Malformed::Option`] for an option that is cut, or too short for what it holds.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let [kind, a, b, c, options @ ..] = bytes else { return Err(Malformed::Truncated) };
        if !(kind::SOLICIT..=kind::INFORMATION_REQUEST).contains(kind) {
            return Err(Malformed::Type);
        }
        check(options)?;
        Ok(Self { kind: *kind, transaction: u32::from_be_bytes([0, *a, *b, *c]), options })
    }

    /// The options of the message itself.
    pub const fn options(&self) -> Options<'a> {
        Options(self.options)
    }

    /// The client's DUID: 3 to 130 bytes, `None` otherwise (CVE-2025-55086 was about longer ones).
    pub fn client_id(&self) -> Option<&'a [u8]> {
        self.duid(code::CLIENT_ID)
    }

    /// The server's DUID, likewise.
    pub fn server_id(&self) -> Option<&'a [u8]> {
        self.duid(code::SERVER_ID)
    }

    fn duid(&self, code: u16) -> Option<&'a [u8]> {
        self.options().value(code).filter(|duid| (3..=MAX_DUID).contains(&duid.len()))
    }
}

/// Options in the order in which they come, as pairs of number and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// The bytes of the first option with a number.
    pub fn value(&self, wanted: u16) -> Option<&'a [u8]> {
        self.clone().find(|&(code, _)| code == wanted).map(|(_, data)| data)
    }

    /// The number of 32 bits that an option is.
    pub fn number(&self, code: u16) -> Option<u32> {
        self.value(code)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// What became of what these options are about; without an option that says so, all is well [RFC 8415 §21.13].
    pub fn status(&self) -> u16 {
        match self.value(code::STATUS) {
            Some([a, b, ..]) => u16::from_be_bytes([*a, *b]),
            _ => status::SUCCESS,
        }
    }

    /// The addresses that an option lists; none if these are not whole.
    pub fn addresses(&self, code: u16) -> impl Iterator<Item = Ipv6Addr> + use<'a> {
        let whole = self.value(code).map(<[u8]>::as_chunks::<16>).filter(|(_, rest)| rest.is_empty());
        whole.map_or(&[][..], |(addresses, _)| addresses).iter().map(|&address| address.into())
    }

    /// The associations of one kind: [`code::IA_NA`] or [`code::IA_PD`].
    pub fn associations(&self, wanted: u16) -> impl Iterator<Item = Association<'a>> + use<'a> {
        self.clone().filter(move |&(code, _)| code == wanted).filter_map(|(_, data)| Association::read(data))
    }

    /// The addresses within an association.
    pub fn leased_addresses(&self) -> impl Iterator<Item = LeasedAddress<'a>> + use<'a> {
        self.clone()
            .filter(|&(code, _)| code == code::IA_ADDRESS)
            .filter_map(|(_, data)| LeasedAddress::read(data))
    }

    /// The prefixes within an association. One of more than 128 bits is left out.
    pub fn leased_prefixes(&self) -> impl Iterator<Item = LeasedPrefix<'a>> + use<'a> {
        self.clone()
            .filter(|&(code, _)| code == code::IA_PREFIX)
            .filter_map(|(_, data)| LeasedPrefix::read(data))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (code, data, rest) = split(self.0).ok()??;
        self.0 = rest;
        Some((code, data))
    }
}

/// Addresses or prefixes that are extended together (`IA_NA`, `IA_PD`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association<'a> {
    /// Which of the client's it is.
    pub id: u32,
    /// When to renew (T1), in seconds; 0 leaves it to the client.
    pub renew: u32,
    /// When to ask any server (T2), likewise.
    pub rebind: u32,
    /// The addresses or prefixes, and a status.
    pub options: Options<'a>,
}

impl<'a> Association<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (fields, options) = data.split_first_chunk::<12>()?;
        let [id, renew, rebind] = words(fields);
        // Times that contradict each other make the whole invalid [RFC 8415 §21.4].
        let sane = renew == 0 || rebind == 0 || renew <= rebind;
        sane.then_some(Self { id, renew, rebind, options: Options(options) })
    }
}

/// An address for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedAddress<'a> {
    /// The address.
    pub address: Ipv6Addr,
    /// For how many seconds new connections may use it.
    pub preferred: u32,
    /// For how many seconds it is valid.
    pub valid: u32,
    /// A status.
    pub options: Options<'a>,
}

impl<'a> LeasedAddress<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (address, rest) = data.split_first_chunk::<16>()?;
        let (times, options) = rest.split_first_chunk::<8>()?;
        let [preferred, valid] = words(times);
        // [RFC 8415 §21.6] Such an address is discarded.
        (preferred <= valid).then_some(Self {
            address: (*address).into(),
            preferred,
            valid,
            options: Options(options),
        })
    }
}

/// A prefix for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedPrefix<'a> {
    /// The prefix; bits behind it are as the server wrote them.
    pub prefix: Ipv6Addr,
    /// Its length in bits, 0 to 128.
    pub prefix_len: u8,
    /// For how many seconds new addresses may be made from it.
    pub preferred: u32,
    /// For how many seconds it is valid.
    pub valid: u32,
    /// A status.
    pub options: Options<'a>,
}

impl<'a> LeasedPrefix<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (times, rest) = data.split_first_chunk::<8>()?;
        let (&prefix_len, rest) = rest.split_first()?;
        let (prefix, options) = rest.split_first_chunk::<16>()?;
        let [preferred, valid] = words(times);
        // [RFC 8415 §21.22] Such a prefix is discarded.
        (preferred <= valid && prefix_len <= 128).then_some(Self {
            prefix: (*prefix).into(),
            prefix_len,
            preferred,
            valid,
            options: Options(options),
        })
    }
}

/// A DUID made from a station address (DUID-LL), which is the same in DHCP for IPv4 [RFC 4361 §6.1].
///
/// ```
/// use coracle_wire::{MacAddr, dhcpv6};
/// assert_eq!(dhcpv6::duid(MacAddr::new(2, 0, 0, 0, 0, 7)), [0, 3, 0, 1, 2, 0, 0, 0, 0, 7]);
/// ```
pub const fn duid(station: MacAddr) -> [u8; 10] {
    let MacAddr(bytes) = station;
    [0, 3, 0, 1, bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]]
}

fn words<const N: usize, const M: usize>(bytes: &[u8; N]) -> [u32; M] {
    let (words, _) = bytes.as_chunks::<4>();
    core::array::from_fn(|at| words.get(at).map_or(0, |&word| u32::from_be_bytes(word)))
}

/// Number, data and what follows of the next option; `None` behind the last.
#[allow(clippy::type_complexity)]
fn split(bytes: &[u8]) -> Result<Option<(u16, &[u8], &[u8])>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let [a, b, c, d, rest @ ..] = bytes else { return Err(Malformed::Option) };
    let len = usize::from(u16::from_be_bytes([*c, *d]));
    let (data, rest) = rest.split_at_checked(len).ok_or(Malformed::Option)?;
    Ok(Some((u16::from_be_bytes([*a, *b]), data, rest)))
}

/// Whether each option ends where it should, and so do those within.
fn check(options: &[u8]) -> Result<(), Malformed> {
    check_level(
        options,
        |code| match code {
            code::IA_NA | code::IA_PD => Some(12),
            _ => None,
        },
        |inner| {
            check_level(
                inner,
                |code| match code {
                    code::IA_ADDRESS => Some(24),
                    code::IA_PREFIX => Some(25),
                    _ => None,
                },
                |innermost| check_level(innermost, |_| None, |_| Ok(())),
            )
        },
    )
}

/// One level of [`check`]: `fields` says how many bytes come before the options within an option that has some.
fn check_level(
    mut options: &[u8],
    fields: impl Fn(u16) -> Option<usize>,
    within: impl Fn(&[u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while let Some((code, data, rest)) = split(options)? {
        if let Some(fields) = fields(code) {
            within(data.get(fields..).ok_or(Malformed::Option)?)?;
        }
        options = rest;
    }
    Ok(())
}
