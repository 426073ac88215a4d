//! Fragments of IPv6 in [RFC 8200 §4.5].

use coracle_buf::Pbuf;
use coracle_wire::icmpv6;
use coracle_wire::ipv4::protocol;
use coracle_wire::ipv6::extension::{Extension, FRAGMENT_LEN, FragmentHeader, Limits, Walk};
use coracle_wire::ipv6::{HEADER_LEN, NEXT_HEADER_OFFSET, PAYLOAD_LEN_OFFSET, next_header};
use coracle_wire::{Malformed, tcp, udp};

use super::fragment_input::with_own_headers;
use super::input_v6::MOST_HEADERS;
use super::packet::Received;
use super::reassembly::{DatagramId, Fragment, Unfit, Whole};
use crate::counters::count;
use crate::engine::Engine;
use crate::event::Event;
use crate::icmp::Complaint;

/// Where in a fragment header its offset is.
const OFFSET_AT: usize = 2;
/// Congestion experienced, in the second byte of the header.
const CE: u8 = 3 << 4;

/// Why the headers of a first fragment stop it.
enum Chain {
    /// Some of them are in the next fragment.
    Incomplete,
    /// They are none, or those of neighbour discovery, which is never in fragments.
    Wrong,
}

impl Engine {
    /// Takes a packet whose fragment header is `at`. What it makes whole goes on.
    #[cold]
    #[inline(never)]
    pub(crate) fn ipv6_fragment(&mut self, info: Received, mut packet: Pbuf, at: usize) -> Option<Event> {
        count!(self.counters.ip6.fragments);
        let netif = info.netif.slot();
        let header = *FragmentHeader::read(packet.payload().get(at..)?).ok()?;
        let fragment = Fragment {
            header_len: (at + FRAGMENT_LEN) as u16,
            uncounted: (HEADER_LEN + FRAGMENT_LEN) as u16,
            start: header.offset() as u16,
            more: header.more(),
            ecn: info.tos,
        };
        let mut complaint = match fragment.check(packet.len()) {
            Ok(()) => None,
            Err(Unfit::Length) => Some(Complaint::BadHeader { pointer: PAYLOAD_LEN_OFFSET as u32 }),
            Err(Unfit::TooLong) => Some(Complaint::BadHeader { pointer: (at + OFFSET_AT) as u32 }),
        };
        if complaint.is_none() && fragment.start == 0 {
            if packet.pull_up(packet.len().min(MOST_HEADERS)).is_err() {
                count!(self.counters.ip6.memory);
                return None;
            }
            match check_chain(packet.payload()) {
                Ok(()) => {}
                Err(Chain::Incomplete) => complaint = Some(Complaint::IncompleteChain),
                Err(Chain::Wrong) => {
                    count!(self.counters.ip6.reassembly_failed);
                    return self.drop_malformed(netif);
                }
            }
        }
        if let Some(complaint) = complaint {
            count!(self.counters.ip6.reassembly_failed);
            self.icmp_complain(&info, &packet, complaint);
            return self.drop_malformed(netif);
        }
        let id = DatagramId {
            source: info.source,
            destination: info.destination,
            identification: header.identification(),
            protocol: 0,
            netif: netif as u8,
        };
        let whole = self.reassemble(id, fragment, packet)?;
        self.ipv6_whole(info, whole)
    }

    /// The packet of which the present one was the last fragment: the fragment header goes, and the others are made those
    /// of a whole one.
    fn ipv6_whole(&mut self, info: Received, whole: Whole) -> Option<Event> {
        let Whole { packet, congested } = whole;
        let (at, named_at) = fragment_header(packet.payload())?;
        let Ok(mut packet) = with_own_headers(&self.memory, packet, at + FRAGMENT_LEN) else {
            count!(self.counters.ip6.memory);
            return None;
        };
        let payload_len = packet.len() - HEADER_LEN - FRAGMENT_LEN;
        let headers = packet.payload_mut().ok()?.get_mut(..at + FRAGMENT_LEN)?;
        headers[named_at] = *headers.get(at)?;
        headers[PAYLOAD_LEN_OFFSET..PAYLOAD_LEN_OFFSET + 2]
            .copy_from_slice(&(payload_len as u16).to_be_bytes());
        if congested {
            headers[1] |= CE;
        }
        let tos = headers[0] << 4 | headers[1] >> 4;
        let ttl = headers[HOP_LIMIT_OFFSET];
        headers.copy_within(..at, FRAGMENT_LEN);
        if packet.remove_header(FRAGMENT_LEN).is_err() {
            count!(self.counters.ip6.memory);
            return None;
        }
        // A fragment in a fragment is nobody's honest packet, and would be a way to go round in circles.
        if fragment_header(packet.payload()).is_some() {
            count!(self.counters.ip6.reassembly_failed);
            return self.drop_malformed(info.netif.slot());
        }
        let protocol = packet.payload()[NEXT_HEADER_OFFSET];
        let total_len = packet.len() as u32;
        let info = Received { protocol, ttl, tos, header_len: HEADER_LEN as u16, total_len, ..info };
        self.current = Some(info);
        self.ipv6_headers(info, packet)
    }
}

/// Where in the fixed header the hop limit is.
const HOP_LIMIT_OFFSET: usize = 7;

/// Where a packet's fragment header is that makes it a fragment, and where that is named.
fn fragment_header(packet: &[u8]) -> Option<(usize, usize)> {
    let mut walk = Walk::new(packet, *packet.get(NEXT_HEADER_OFFSET)?, Limits::default());
    loop {
        let named_at = walk.named_at();
        match walk.step() {
            Ok(Some(Extension::Fragment(header))) if !header.is_atomic() => {
                return Some((walk.header_at(), named_at));
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Whether a first fragment has all headers, up to the end of the transport's [7112-1].
fn check_chain(packet: &[u8]) -> Result<(), Chain> {
    let first = packet.get(NEXT_HEADER_OFFSET).copied().unwrap_or(next_header::NONE);
    let mut walk = Walk::new(packet, first, Limits::default());
    loop {
        match walk.step() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(Malformed::Truncated) => return Err(Chain::Incomplete),
            Err(_) => return Err(Chain::Wrong),
        }
    }
    let transport = packet.get(walk.at()..).unwrap_or_default();
    let needs = match walk.next_header() {
        protocol::TCP => tcp::HEADER_LEN,
        protocol::UDP | protocol::UDP_LITE => udp::HEADER_LEN,
        next_header::ICMPV6 => icmpv6::HEADER_LEN,
        _ => 0,
    };
    if transport.len() < needs {
        return Err(Chain::Incomplete);
    }
    let discovery = icmpv6::ROUTER_SOLICITATION..=icmpv6::REDIRECT;
    let discovers = transport.first().is_some_and(|kind| discovery.contains(kind));
    // [6980-1]
    if walk.next_header() == next_header::ICMPV6 && discovers { Err(Chain::Wrong) } else { Ok(()) }
}
