//! Fragments in: what one says of itself, and the way on of the datagram that it makes whole.

use coracle_buf::{Error, Layer, Memory, Pbuf};
use coracle_wire::checksum::checksum;
use coracle_wire::ipv4::{CHECKSUM_OFFSET, Ipv4Header, protocol};

use super::packet::{Cast, Received};
use super::reassembly::{DatagramId, Dropped, Fragment, Inserted, Whole};
#[cfg(feature = "ipv6")]
use crate::address::Address;
use crate::counters::count;
use crate::engine::{Engine, Entry, small_pbuf};
use crate::event::Event;
use crate::icmp::Complaint;

/// The fewest bytes of TCP's header that the first fragment has: those up to its flags [RFC 1858 §3].
const TCP_FLAGS_END: usize = 16;

/// Where in the header of an IPv4 packet its length and its place among fragments are.
const TOTAL_LEN_OFFSET: usize = 2;
const FLAGS_OFFSET: usize = 6;
const TOS_OFFSET: usize = 1;
/// Congestion experienced [RFC 3168 §5].
const CE: u8 = 3;

impl Engine {
    /// Takes the present packet, which begins `at` and is a fragment [1122-IP-7]. What it makes whole goes on.
    #[cold]
    #[inline(never)]
    pub(crate) fn ipv4_fragment(&mut self, at: usize, packet: Pbuf) -> Option<Event> {
        count!(self.counters.ip.fragments);
        let info = self.current?;
        let mut packet = self.hide_link(at, packet)?;
        let total_len = info.total_len as usize;
        if total_len < packet.len() && packet.truncate(total_len).is_err() {
            count!(self.counters.ip.memory);
            return None;
        }
        let header = Ipv4Header::read(packet.payload()).ok()?;
        let fragment = Fragment {
            header_len: info.header_len,
            uncounted: 0,
            start: header.fragment_offset() as u16,
            more: header.more_fragments(),
            ecn: info.tos,
        };
        let id = DatagramId {
            source: info.source,
            destination: info.destination,
            identification: header.identification().into(),
            protocol: info.protocol,
            netif: info.netif.0.index as u8,
        };
        if fragment.check(packet.len()).is_err() || is_trick(&info, fragment) {
            count!(self.counters.ip.reassembly_failed);
            return self.drop_malformed(info.netif.slot());
        }
        let whole = self.reassemble(id, fragment, packet)?;
        self.ipv4_whole(info, whole)
    }

    /// Puts a fragment to the others; returns the datagram when it is whole.
    pub(super) fn reassemble(&mut self, id: DatagramId, fragment: Fragment, packet: Pbuf) -> Option<Whole> {
        let before = self.reassembly.next_deadline();
        let scarce = self.memory.pool_is_scarce();
        let inserted = self.reassembly.insert(&self.hash_key, self.now, id, fragment, packet, scarce);
        if self.reassembly.next_deadline() != before {
            self.set_reassembly_timer();
        }
        let counters = self.counters.ip_of(id.source);
        match inserted {
            Inserted::Held => None,
            Inserted::Whole(whole) => {
                count!(counters.reassembled);
                Some(whole)
            }
            Inserted::Dropped(Dropped::Hostile) => {
                count!(counters.reassembly_failed);
                self.drop_malformed(id.netif.into())
            }
            Inserted::Dropped(Dropped::Memory) => {
                count!(counters.reassembly_failed);
                count!(counters.memory);
                None
            }
        }
    }

    /// The datagram of which the present packet was the last fragment: its header is made that of a whole one.
    fn ipv4_whole(&mut self, mut info: Received, whole: Whole) -> Option<Event> {
        let header_len = Ipv4Header::read(whole.packet.payload()).ok()?.header_len();
        let Ok(mut packet) = with_own_headers(&self.memory, whole.packet, header_len) else {
            count!(self.counters.ip.memory);
            return None;
        };
        let total_len = packet.len();
        let header = packet.payload_mut().ok()?.get_mut(..header_len)?;
        header[TOTAL_LEN_OFFSET..TOTAL_LEN_OFFSET + 2].copy_from_slice(&(total_len as u16).to_be_bytes());
        header[FLAGS_OFFSET..FLAGS_OFFSET + 2].fill(0);
        if whole.congested {
            header[TOS_OFFSET] |= CE;
        }
        header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
        let sum = checksum(header).to_be_bytes();
        header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum);
        let header = Ipv4Header::read(header).ok()?;
        info = Received {
            ttl: header.ttl(),
            tos: header.tos(),
            header_len: header_len as u16,
            total_len: total_len as u32,
            ..info
        };
        self.current = Some(info);
        self.raw.begin();
        if self.raw.is_wanted(info.protocol) {
            return self.raw_input(packet);
        }
        self.enter(Entry::Offered, info.netif.slot(), packet)
    }

    /// What was not whole in time is given up; who sent it hears of that if its first fragment came [1122-IP-8]
    /// [8200-7].
    pub(crate) fn reassembly_timer(&mut self) {
        while let Some(expired) = self.reassembly.expire(self.now) {
            let netif = expired.netif.into();
            let described = expired.first.and_then(|first| Some((self.describe(netif, &first)?, first)));
            match described {
                Some((info, first)) => {
                    count!(self.counters.ip_of(info.source).reassembly_failed);
                    self.icmp_complain(&info, &first, Complaint::ReassemblyTime);
                }
                None => count!(self.counters.ip.reassembly_failed),
            }
        }
        self.set_reassembly_timer();
    }

    fn set_reassembly_timer(&mut self) {
        let timer = self.timers.reassembly();
        match self.reassembly.next_deadline() {
            Some(deadline) => self.wheel.set(timer, deadline),
            None => self.wheel.cancel(timer),
        }
    }

    /// What the headers of a packet say that came in on an interface some time ago.
    pub(super) fn describe(&self, netif: usize, packet: &Pbuf) -> Option<Received> {
        let interface = self.netifs.at(netif)?;
        let mut info = Received { netif: self.netif_handle(netif)?, ..Received::NONE };
        info.total_len = packet.len() as u32;
        #[cfg(feature = "ipv6")]
        if packet.payload().first().is_some_and(|first| first >> 4 == 6) {
            let header = coracle_wire::ipv6::Ipv6Header::read(packet.payload()).ok()?;
            info.source = Address::v6(*header.source_octets(), netif);
            info.destination = Address::v6(*header.destination_octets(), netif);
            (info.ttl, info.tos) = (header.hop_limit(), header.traffic_class());
            info.protocol = header.next_header();
            info.header_len = coracle_wire::ipv6::HEADER_LEN as u16;
            info.cast = if info.destination.is_multicast() { Cast::Multicast } else { Cast::Unicast };
            return Some(info);
        }
        let header = Ipv4Header::read(packet.payload()).ok()?;
        info.source = header.source().into();
        info.destination = header.destination().into();
        (info.ttl, info.tos, info.protocol) = (header.ttl(), header.tos(), header.protocol());
        info.header_len = header.header_len() as u16;
        info.cast = match header.destination() {
            group if group.is_multicast() => Cast::Multicast,
            all if interface.is_broadcast(all) => Cast::Broadcast,
            _ => Cast::Unicast,
        };
        Some(info)
    }
}

/// [5722/3128] Whether a fragment leaves so little of TCP's header to the first one, or is so little of it, that whoever
/// looks at first fragments alone is deceived [RFC 1858 §3] [RFC 3128].
fn is_trick(info: &Received, fragment: Fragment) -> bool {
    let len = info.total_len as usize - usize::from(info.header_len);
    info.protocol == protocol::TCP
        && match fragment.start {
            0 => fragment.more && len < TCP_FLAGS_END,
            start => usize::from(start) < TCP_FLAGS_END,
        }
}

/// Makes the headers of a packet ours alone, to be written to.
pub(super) fn with_own_headers(memory: &Memory, mut packet: Pbuf, len: usize) -> Result<Pbuf, Error> {
    if packet.payload_mut().is_ok() {
        return Ok(packet);
    }
    let mut head = small_pbuf(memory, Layer::Link, len)?;
    packet.copy_to(0, head.payload_mut()?);
    head.set_flags(packet.flags());
    packet.advance(len)?;
    head.cat(packet).map_err(|(error, _)| error)?;
    Ok(head)
}
