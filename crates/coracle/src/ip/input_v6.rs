//! IPv6 in: what is wrong with a packet, whether it is ours, what its extension headers want, and who takes it.

use coracle_buf::Pbuf;
use coracle_wire::Malformed;
use coracle_wire::ethernet::HEADER_LEN as LINK_LEN;
use coracle_wire::ipv6::extension::{
    Action, Extension, Ipv6Option, Limits, Options, ROUTING_KIND_OFFSET, Routing, Walk,
};
use coracle_wire::ipv6::{HEADER_LEN, Ipv6Header, PAYLOAD_LEN_OFFSET, next_header};

use super::packet::{Cast, Received};
use crate::address::Address;
use crate::counters::count;
use crate::engine::{Engine, Entry, LINK_GROUP};
use crate::event::Event;
use crate::icmp::Complaint;
use crate::netif::{Checksums, Medium};

/// The most bytes of headers that are made contiguous to be looked at [RFC 7112].
pub(super) const MOST_HEADERS: usize = 1_280;

/// Where the extension headers end, and what they carry.
struct Upper {
    protocol: u8,
    /// Where the number of it is said, in bytes.
    named_at: usize,
    at: usize,
}

/// Why the headers of a packet stop it.
enum Stop {
    /// Without a word.
    Drop,
    Malformed,
    /// The headers are not in one piece.
    Scattered,
    Complain(Complaint),
}

/// The frame by which the last packet came, and what was found out about it. Forgotten when anything changes that this
/// depends on.
pub(crate) struct RecentSenderV6 {
    /// The interface; no slot when there is none.
    netif: usize,
    frame: [u8; LINK_LEN + HEADER_LEN],
    checks: Checksums,
    /// All but the lengths and ports.
    info: Received,
}

impl RecentSenderV6 {
    pub(crate) const NONE: Self = Self {
        netif: usize::MAX,
        frame: [0; LINK_LEN + HEADER_LEN],
        checks: Checksums::NONE,
        info: Received::NONE,
    };
}

/// Where the payload length is in a frame.
const LEN_AT: usize = LINK_LEN + PAYLOAD_LEN_OFFSET;

impl Engine {
    /// Whether a frame has the same headers as the last one, all of which were looked at, but for the length. It is
    /// counted and noted then, and goes to its protocol.
    #[inline]
    pub(crate) fn is_familiar_v6(&mut self, netif: usize, packet: &mut Pbuf) -> bool {
        let recent = &self.recent_sender_v6;
        let (Some(interface), Some(frame)) =
            (self.netifs.at_mut(netif), packet.payload().first_chunk::<{ LINK_LEN + HEADER_LEN }>())
        else {
            return false;
        };
        let payload_len = usize::from(u16::from_be_bytes([frame[LEN_AT], frame[LEN_AT + 1]]));
        let end = LINK_LEN + HEADER_LEN + payload_len;
        let same = netif == recent.netif
            && frame[..LEN_AT] == recent.frame[..LEN_AT]
            && frame[LEN_AT + 2..] == recent.frame[LEN_AT + 2..]
            && end <= packet.len()
            && !packet.flags().intersects(LINK_GROUP)
            && !self.raw.is_wanted(recent.info.protocol);
        if !same {
            return false;
        }
        let octets = packet.len() as u64;
        // Padding goes; what it cannot be taken from is looked at more closely.
        if end < packet.len() && packet.truncate(end).is_err() {
            return false;
        }
        count!(self.counters.link.received);
        count!(interface.counters.in_octets, octets);
        count!(interface.counters.in_unicast);
        count!(self.counters.ip6.received);
        self.checks = recent.checks;
        self.current = Some(Received { total_len: (HEADER_LEN + payload_len) as u32, ..recent.info });
        self.raw.begin();
        true
    }

    /// Takes a packet, which begins `at`, up to who takes it. One that is looped comes from ourselves.
    #[inline(never)]
    pub(crate) fn ipv6_input(
        &mut self,
        entry: Entry,
        netif: usize,
        packet: Pbuf,
        at: usize,
    ) -> Option<Event> {
        count!(self.counters.ip6.received);
        let plain = entry == Entry::Frame && at == LINK_LEN;
        let headers = packet.payload().first_chunk().copied().filter(|_| plain);
        let mut packet = self.hide_link(at, packet)?;
        if packet.payload().len() < packet.len().min(HEADER_LEN) && packet.pull_up(HEADER_LEN).is_err() {
            count!(self.counters.ip6.memory);
            return None;
        }
        let header = match Ipv6Header::read(packet.payload()) {
            Ok(header) => *header,
            Err(why) => return self.ipv6_malformed(netif, why),
        };
        let total_len = header.total_len();
        // A payload length of zero is a jumbogram's, for which no link here is wide enough [RFC 2675].
        let jumbo = header.payload_len() == 0 && header.next_header() == next_header::HOP_BY_HOP;
        if total_len > packet.len() || jumbo {
            return self.ipv6_malformed(netif, Malformed::Length);
        }
        if total_len < packet.len() && packet.truncate(total_len).is_err() {
            count!(self.counters.ip6.memory);
            return None;
        }
        let handle = self.netif_handle(netif)?;
        let looped = entry == Entry::Looped;
        self.checks = if looped { Checksums::NONE } else { self.netifs.at(netif)?.checksums };
        let mut info = Received {
            netif: handle,
            source: Address::v6(*header.source_octets(), netif),
            destination: Address::v6(*header.destination_octets(), netif),
            source_port: 0,
            destination_port: 0,
            cast: Cast::Unicast,
            protocol: header.next_header(),
            ttl: header.hop_limit(),
            tos: header.traffic_class(),
            header_len: HEADER_LEN as u16,
            total_len: total_len as u32,
        };
        let link_group = packet.flags().intersects(LINK_GROUP);
        let Some(cast) = self.ipv6_accept(netif, &info, link_group, looped) else {
            if self.forwards(netif) && self.owner_of(info.destination).is_none() {
                self.forward(info, packet);
            }
            return None;
        };
        info.cast = cast;
        self.current = Some(info);
        if let Some(frame) = headers
            && matches!(info.protocol, coracle_wire::ipv4::protocol::UDP | coracle_wire::ipv4::protocol::TCP)
        {
            let checks = self.checks;
            self.recent_sender_v6 = RecentSenderV6 { netif, frame, checks, info };
        }
        self.ipv6_headers(info, packet)
    }

    /// Goes through the extension headers, and on to what they carry.
    pub(super) fn ipv6_headers(&mut self, mut info: Received, mut packet: Pbuf) -> Option<Event> {
        let netif = info.netif.slot();
        let mut walked = walk(&packet, &info);
        if let Err(Stop::Scattered) = walked {
            let wanted = packet.len().min(MOST_HEADERS);
            if packet.pull_up(wanted).is_err() {
                count!(self.counters.ip6.memory);
                return None;
            }
            walked = walk(&packet, &info);
        }
        let upper = match walked {
            Ok(upper) => upper,
            Err(Stop::Drop) => {
                count!(self.counters.ip6.bad_options);
                return None;
            }
            Err(Stop::Malformed | Stop::Scattered) => {
                count!(self.counters.ip6.bad_length);
                return self.drop_malformed(netif);
            }
            Err(Stop::Complain(complaint)) => {
                count!(self.counters.ip6.bad_options);
                self.icmp_complain(&info, &packet, complaint);
                return None;
            }
        };
        info.protocol = upper.protocol;
        info.header_len = upper.at as u16;
        self.current = Some(info);
        if upper.protocol == next_header::FRAGMENT {
            return self.ipv6_fragment(info, packet, upper.at);
        }
        if upper.protocol == next_header::NONE {
            // [8200-10]
            return None;
        }
        self.raw.begin();
        if self.raw.is_wanted(info.protocol) {
            return self.raw_input(packet);
        }
        if !is_known(upper.protocol) {
            count!(self.counters.ip6.unknown_protocol);
            let complaint = Complaint::UnknownHeader { pointer: upper.named_at as u32 };
            self.icmp_complain(&info, &packet, complaint);
            return None;
        }
        self.ip_protocol(packet, 0)
    }

    #[cold]
    fn ipv6_malformed<T>(&mut self, netif: usize, why: Malformed) -> Option<T> {
        match why {
            Malformed::Truncated => count!(self.counters.ip6.truncated),
            Malformed::Version => count!(self.counters.ip6.bad_version),
            _ => count!(self.counters.ip6.bad_length),
        }
        self.drop_malformed(netif)
    }

    /// To whom a packet is, if to us, and if it may come from where it says; counted where it is dropped.
    fn ipv6_accept(&mut self, netif: usize, info: &Received, link_group: bool, looped: bool) -> Option<Cast> {
        let interface = self.netifs.at(netif)?;
        let loopback = interface.medium == Medium::Loopback;
        let accept_any = interface.accept_any;
        let (source, destination) = (info.source, info.destination);
        // An address that means IPv4 is nobody's on this wire [RFC 4291 §2.5.5.2] [RFC 4942 §2.2].
        let source_ok = !source.is_v4()
            && !source.is_multicast()
            && source != Address::ANY_V6
            && (looped || loopback || !(source.is_loopback() || self.owner_of(source).is_some()));
        if !source_ok || destination.is_v4() {
            count!(self.counters.ip6.bad_source);
            return self.drop_malformed(netif);
        }
        let cast = if destination.is_multicast() {
            // [RFC 4291 §2.7] Scopes that never leave an interface, and the reserved one.
            let scope_ok = looped || loopback || destination.bytes()[1] & 0x0f > 1;
            let member = self.multicast.contains(&self.hash_key, netif as u32, destination);
            (member && scope_ok).then_some(Cast::Multicast)
        } else {
            let owner = self.owner_of(destination);
            let here = owner.is_some_and(|owner| owner == netif || !self.config.strong_host || loopback);
            let own = here && (looped || loopback || !destination.is_loopback());
            (own || (accept_any && destination.is_one_host())).then_some(Cast::Unicast)
        };
        if cast.is_none() && !self.forwards(netif) {
            count!(self.counters.ip6.not_for_us);
        }
        if cast == Some(Cast::Unicast) && link_group {
            count!(self.counters.ip6.link_broadcast);
            return None;
        }
        cast
    }
}

/// Goes through the extension headers of a packet.
fn walk(packet: &Pbuf, info: &Received) -> Result<Upper, Stop> {
    let bytes = packet.payload();
    let limits = Limits::default();
    let mut walk = Walk::new(bytes, info.protocol, limits);
    loop {
        let named_at = walk.named_at() as u32;
        match walk.step() {
            Ok(Some(Extension::HopByHop(options) | Extension::Destination(options))) => {
                check_options(options, limits, walk.header_at(), info.cast)?;
            }
            Ok(Some(Extension::Routing(Routing { segments_left: 0, .. }))) => {}
            // [8200-5]
            Ok(Some(Extension::Routing(_))) => {
                let pointer = (walk.header_at() + ROUTING_KIND_OFFSET) as u32;
                return Err(Stop::Complain(Complaint::BadHeader { pointer }));
            }
            // [6946-1] A packet in one fragment is whole.
            Ok(Some(Extension::Fragment(fragment))) if fragment.is_atomic() => {}
            Ok(Some(Extension::Fragment(_))) => {
                let at = walk.header_at();
                return Ok(Upper { protocol: next_header::FRAGMENT, named_at: named_at as usize, at });
            }
            Ok(None) => {
                let (protocol, named_at, at) = (walk.next_header(), walk.named_at(), walk.at());
                return Ok(Upper { protocol, named_at, at });
            }
            Err(Malformed::Truncated) if bytes.len() < packet.len().min(MOST_HEADERS) => {
                return Err(Stop::Scattered);
            }
            // Nobody here can tell whether the proof is right; hop-by-hop options are nowhere but first [8200-1].
            Ok(Some(Extension::Authentication)) | Err(Malformed::Type) => {
                return Err(Stop::Complain(Complaint::UnknownHeader { pointer: named_at }));
            }
            Err(Malformed::Option) => return Err(Stop::Drop),
            Err(_) => return Err(Stop::Malformed),
        }
    }
}

/// Looks through the options of a header, which begins `at` [8200-4].
fn check_options(options: &[u8], limits: Limits, at: usize, cast: Cast) -> Result<(), Stop> {
    for option in Options::new(options, limits) {
        let Ok(placed) = option else { return Err(Stop::Drop) };
        let kind = match placed.option {
            Ipv6Option::RouterAlert(_) => continue,
            // The length says already that it is none [RFC 2675 §3].
            Ipv6Option::Jumbo(_) => {
                let pointer = (at + placed.at) as u32;
                return Err(Stop::Complain(Complaint::BadHeader { pointer }));
            }
            Ipv6Option::Unknown { kind, .. } => kind,
        };
        let complain = Stop::Complain(Complaint::UnknownOption { pointer: (at + placed.at) as u32 });
        match Action::of(kind) {
            Action::Skip => {}
            Action::Report => return Err(complain),
            Action::ReportUnicast if cast == Cast::Unicast => return Err(complain),
            Action::Discard | Action::ReportUnicast => return Err(Stop::Drop),
        }
    }
    Ok(())
}

/// Whether the stack itself takes what extension headers carry.
fn is_known(protocol: u8) -> bool {
    use coracle_wire::ipv4::protocol::{TCP, UDP, UDP_LITE};
    matches!(protocol, TCP | UDP | UDP_LITE | next_header::ICMPV6)
}
