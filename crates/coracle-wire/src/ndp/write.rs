//! Messages of neighbour discovery as they are sent.

use core::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32};

use super::options::{self, AUTONOMOUS, ON_LINK};
use super::{MANAGED, OTHER, OVERRIDE, Preference, ROUTER, RouteInformation, RouterAdvertisement, SOLICITED};
use crate::icmpv6::{self, CHECKSUM_OFFSET};
use crate::{MacAddr, Malformed};

/// What a router advertisement says, apart from its options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdvertisementFields {
    /// The hop limit that hosts shall send with; 0 without an opinion.
    pub hop_limit: u8,
    /// Whether addresses are to be had by DHCP.
    pub managed: bool,
    /// Whether anything else is to be had by DHCP.
    pub other: bool,
    /// How much the router wants to be the default one.
    pub preference: Preference,
    /// For how many seconds the router is a default router; 0 if it is none.
    pub lifetime: u16,
    /// For how many milliseconds a neighbour counts as reachable after it was known to be; 0 without an opinion.
    pub reachable_time: u32,
    /// After how many milliseconds a solicitation is repeated; 0 without an opinion.
    pub retrans_timer: u32,
}

/// What an option of a router advertisement says about a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixFields {
    /// The prefix; bits behind its length are sent as they are.
    pub prefix: Ipv6Addr,
    /// Its length in bits, at most 128.
    pub prefix_len: u8,
    /// Whether addresses with the prefix are on the link.
    pub on_link: bool,
    /// Whether hosts may make addresses of the prefix.
    pub autonomous: bool,
    /// For how many seconds all this holds; [`INFINITE`](super::INFINITE) without end.
    pub valid: u32,
    /// For how many seconds addresses made of the prefix are to be preferred.
    pub preferred: u32,
}

/// Writes a message and its options, one after the other, into an ICMP payload.
///
/// What does not fit is found at the end, so that there is one error to handle.
///
/// ```
/// use coracle_wire::ndp::{AdvertisementFields, NdOption, RouterAdvertisement, Writer};
///
/// let (source, destination) = ("fe80::1".parse().unwrap(), "ff02::1".parse().unwrap());
/// let mut bytes = [0; 64];
/// let fields = AdvertisementFields { lifetime: 1800, ..AdvertisementFields::default() };
/// let mut writer = Writer::router_advertisement(&mut bytes, &fields);
/// writer.mtu(1280);
/// let len = writer.finish(source, destination)?;
///
/// let (message, mut options) = RouterAdvertisement::read(&bytes[..len], source)?;
/// assert_eq!((message.lifetime(), options.next()), (1800, Some(NdOption::Mtu(1280))));
/// # Ok::<(), coracle_wire::Malformed>(())
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    into: &'a mut [u8],
    /// Bytes of the message, those that did not fit counted in.
    len: usize,
}

impl<'a> Writer<'a> {
    /// Begins a router solicitation.
    pub fn router_solicitation(into: &'a mut [u8]) -> Self {
        Self::begin(into, icmpv6::ROUTER_SOLICITATION, 0)
    }

    /// Begins a router advertisement.
    pub fn router_advertisement(into: &'a mut [u8], fields: &AdvertisementFields) -> Self {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(fields.managed, MANAGED) | flag(fields.other, OTHER) | fields.preference.flags();
        let mut writer = Self { into, len: 0 };
        let message: [u8; 16] = zerocopy::transmute!(RouterAdvertisement {
            kind: icmpv6::ROUTER_ADVERTISEMENT,
            code: 0,
            checksum: U16::ZERO,
            hop_limit: fields.hop_limit,
            flags,
            lifetime: fields.lifetime.into(),
            reachable_time: fields.reachable_time.into(),
            retrans_timer: fields.retrans_timer.into(),
        });
        writer.put(&message);
        writer
    }

    /// Begins a neighbour solicitation.
    pub fn neighbour_solicitation(into: &'a mut [u8], target: Ipv6Addr) -> Self {
        let mut writer = Self::begin(into, icmpv6::NEIGHBOUR_SOLICITATION, 0);
        writer.put(&target.octets());
        writer
    }

    /// Begins a neighbour advertisement: whether the sender is a router, answers a solicitation, and whether this replaces
    /// what receivers know.
    pub fn neighbour_advertisement(
        into: &'a mut [u8],
        target: Ipv6Addr,
        router: bool,
        solicited: bool,
        overrides: bool,
    ) -> Self {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(router, ROUTER) | flag(solicited, SOLICITED) | flag(overrides, OVERRIDE);
        let mut writer = Self::begin(into, icmpv6::NEIGHBOUR_ADVERTISEMENT, flags);
        writer.put(&target.octets());
        writer
    }

    /// Begins a redirect: towards `destination`, `target` is the better first hop.
    pub fn redirect(into: &'a mut [u8], target: Ipv6Addr, destination: Ipv6Addr) -> Self {
        let mut writer = Self::begin(into, icmpv6::REDIRECT, 0);
        writer.put(&target.octets());
        writer.put(&destination.octets());
        writer
    }

    fn begin(into: &'a mut [u8], kind: u8, flags: u8) -> Self {
        let mut writer = Self { into, len: 0 };
        writer.put(&[kind, 0, 0, 0, flags, 0, 0, 0]);
        writer
    }

    /// Adds the Ethernet address of the sender.
    pub fn source_station(&mut self, station: MacAddr) {
        self.option(options::SOURCE_STATION, &[&station.0]);
    }

    /// Adds the Ethernet address of the target.
    pub fn target_station(&mut self, station: MacAddr) {
        self.option(options::TARGET_STATION, &[&station.0]);
    }

    /// Adds what is to be known about a prefix.
    pub fn prefix(&mut self, fields: &PrefixFields) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(fields.on_link, ON_LINK) | flag(fields.autonomous, AUTONOMOUS);
        let times = [fields.valid, fields.preferred, 0].map(U32::new);
        let times: [u8; 12] = zerocopy::transmute!(times);
        self.option(options::PREFIX, &[&[fields.prefix_len, flags], &times, &fields.prefix.octets()]);
    }

    /// Adds the start of the packet that is redirected, padded with zeros: as much as makes a message that fits the least
    /// MTU with an IPv6 header in front.
    pub fn redirected(&mut self, packet: &[u8]) {
        let room = icmpv6::MAX_QUOTED + icmpv6::HEADER_LEN;
        let room = (room & !7).saturating_sub(self.len + 8);
        let quoted = packet.get(..room).unwrap_or(packet);
        self.option(options::REDIRECTED, &[&[0; 6], quoted]);
    }

    /// Adds the MTU of the link in bytes.
    pub fn mtu(&mut self, mtu: u32) {
        self.option(options::MTU, &[&[0; 2], &mtu.to_be_bytes()]);
    }

    /// Adds the random number that shows which solicitation is one's own.
    pub fn nonce(&mut self, nonce: [u8; 6]) {
        self.option(options::NONCE, &[&nonce]);
    }

    /// Adds what can be reached by way of the router, in as few bytes as hold the prefix.
    pub fn route(&mut self, route: &RouteInformation) {
        let octets = route.prefix.octets();
        let prefix = match route.prefix_len {
            0 => &[],
            1..=64 => &octets[..8],
            _ => &octets[..],
        };
        let head = [route.prefix_len, route.preference.flags()];
        self.option(options::ROUTE, &[&head, &route.lifetime.to_be_bytes(), prefix]);
    }

    /// Adds servers of the domain name system, up to 127, and for how many seconds they may be used.
    pub fn rdnss(&mut self, lifetime: u32, servers: &[[u8; 16]]) {
        self.option(options::RDNSS, &[&[0; 2], &lifetime.to_be_bytes(), servers.as_flattened()]);
    }

    /// Adds domains in which short names are looked up, and for how many seconds. `names` are labels with their lengths in
    /// front, each name with an empty one at the end [RFC 1035 §3.1], all together up to 2,032 bytes.
    pub fn dnssl(&mut self, lifetime: u32, names: &[u8]) {
        self.option(options::DNSSL, &[&[0; 2], &lifetime.to_be_bytes(), names]);
    }

    /// Puts the checksum in. Returns the length of the message in bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if the message does not fit, [`Malformed::Option`] if an option is longer than can be said.
    pub fn finish(self, source: Ipv6Addr, destination: Ipv6Addr) -> Result<usize, Malformed> {
        self.into_message(source, destination).map(<[u8]>::len)
    }

    /// Puts the checksum in. Returns the message.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish).
    pub fn into_message(self, source: Ipv6Addr, destination: Ipv6Addr) -> Result<&'a [u8], Malformed> {
        if self.len == TOO_LONG {
            return Err(Malformed::Option);
        }
        let message = self.into.get_mut(..self.len).ok_or(Malformed::Truncated)?;
        let sum = icmpv6::checksum(source, destination, message);
        let at = CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2;
        message.get_mut(at).ok_or(Malformed::Truncated)?.copy_from_slice(&sum.to_be_bytes());
        Ok(message)
    }

    /// Adds an option, padded with zeros to eights.
    fn option(&mut self, kind: u8, parts: &[&[u8]]) {
        let len: usize = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
        let Ok(eights) = u8::try_from(len.div_ceil(8)) else {
            self.len = TOO_LONG;
            return;
        };
        self.put(&[kind, eights]);
        for part in parts {
            self.put(part);
        }
        self.put([0; 7].get(..len.next_multiple_of(8) - len).unwrap_or_default());
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(into) = self.into.get_mut(self.len..end) {
            into.copy_from_slice(bytes);
        }
        self.len = end;
    }
}

/// The length of a message with an option that cannot be written; it stays that, since sums saturate.
const TOO_LONG: usize = usize::MAX;
