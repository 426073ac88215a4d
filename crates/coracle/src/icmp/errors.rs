//! ICMP errors out: about whom, how often, and how much of the packet they quote.

use coracle_buf::{Layer, Pbuf};
use coracle_wire::ipv4::{HEADER_LEN, Ipv4Header, protocol};
use coracle_wire::{checksum, icmpv4};

use super::input::is_one_host;
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::output::Send;
use crate::ip::{Cast, PacketInfo};

/// An error is as long as 576 bytes at the most [RFC 1812 §4.3.2.3], of which this many are quoted.
const MAX_QUOTE: usize = 576 - HEADER_LEN - icmpv4::HEADER_LEN;

impl Engine {
    /// Sends an error about a packet, which begins with its IP header, unless that is forbidden [1122-ICMP-3] [1122-ICMP-4] or there were too many.
    #[cold]
    pub(crate) fn icmp_send_error(
        &mut self,
        info: &PacketInfo,
        packet: &Pbuf,
        kind: u8,
        code: u8,
        rest: [u8; 4],
    ) {
        let answerable = info.cast == Cast::Unicast
            && is_one_host(info.source)
            && !is_later_fragment(packet)
            && !is_icmp_error(info, packet);
        if !answerable {
            return;
        }
        if !self.icmp_errors.take(self.now) {
            count!(self.counters.icmp.rate_limited);
            return;
        }
        match self.icmp_build_and_send(info, packet, kind, code, rest) {
            Some(()) => count!(self.counters.icmp.sent),
            None => count!(self.counters.icmp.send_failed),
        }
    }

    fn icmp_build_and_send(
        &mut self,
        info: &PacketInfo,
        packet: &Pbuf,
        kind: u8,
        code: u8,
        rest: [u8; 4],
    ) -> Option<()> {
        let quote = packet.len().min(MAX_QUOTE);
        let mut message = small_pbuf(&self.memory, Layer::Ip, icmpv4::HEADER_LEN + quote).ok()?;
        let bytes = message.payload_mut().ok()?;
        icmpv4::write(bytes.first_chunk_mut()?, kind, code, rest);
        packet.copy_to(0, &mut bytes[icmpv4::HEADER_LEN..]);
        let sum = checksum::checksum(bytes).to_be_bytes();
        bytes[icmpv4::CHECKSUM_OFFSET..icmpv4::CHECKSUM_OFFSET + 2].copy_from_slice(&sum);
        self.ipv4_route(info.source, None).ok()?;
        let send = Send {
            source: info.destination,
            destination: info.source,
            protocol: protocol::ICMP,
            ttl: self.config.default_ttl,
            // Errors are network control traffic [RFC 1812 §4.3.2.5].
            tos: 0xc0,
            dont_fragment: false,
            transport: None,
        };
        self.ipv4_send(Some(&send), message).ok()
    }
}

/// Whether a packet is a fragment other than the first.
fn is_later_fragment(packet: &Pbuf) -> bool {
    Ipv4Header::read(packet.payload()).is_ok_and(|header| header.fragment_offset() != 0)
}

/// Whether a packet is an ICMP error itself, or ICMP so short that it might be.
fn is_icmp_error(info: &PacketInfo, packet: &Pbuf) -> bool {
    info.protocol == protocol::ICMP && packet.get_at(info.header_len.into()).is_none_or(icmpv4::is_error)
}
