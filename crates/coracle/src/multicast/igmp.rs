//! IGMP in and out.

use core::net::Ipv4Addr;

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::igmp::{self, IgmpMessage, IgmpQuery};
use coracle_wire::ipv4::{self, Ipv4Fields, Ipv4Option, Options, ROUTER_ALERT, protocol};
use coracle_wire::{Malformed, checksum};

use super::query::{About, Query};
use super::report::{Cursor, Word};
use super::{Place, Version};
use crate::address::{Address, Family};
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::Received;
use crate::time::Instant;

/// The IP header with the router alert.
pub(super) const HEADERS_LEN: usize = ipv4::HEADER_LEN + ROUTER_ALERT.len();

/// The type of service of messages that keep networks running [RFC 3376 §4].
const INTERNETWORK_CONTROL: u8 = 0xc0;

impl Engine {
    /// Takes a message, which begins with its IP header.
    #[cold]
    pub(crate) fn igmp_input(&mut self, info: &Received, mut packet: Pbuf) {
        count!(self.counters.igmp.received);
        if packet.payload().len() < packet.len() && packet.pull_up(packet.len()).is_err() {
            count!(self.counters.ip.memory);
            return;
        }
        let (header_len, bytes) = (usize::from(info.header_len), packet.payload());
        let (Some(header), Some(message)) = (bytes.get(..header_len), bytes.get(header_len..)) else {
            return;
        };
        // [3376-1] What crossed a router is not from this link.
        if info.ttl != igmp::TTL {
            count!(self.counters.igmp.forged);
            return;
        }
        if checksum::checksum(message) != 0 {
            count!(self.counters.igmp.bad_checksum);
            return;
        }
        count!(self.counters.ip.delivered);
        let alert = has_alert(header);
        if self.igmp_message(info, message, alert).is_err() {
            count!(self.counters.igmp.malformed);
        }
    }

    fn igmp_message(&mut self, info: &Received, message: &[u8], alert: bool) -> Result<(), Malformed> {
        let netif = info.netif.0.index;
        let place = Place { netif, family: Family::V4 };
        match IgmpMessage::read(message)?.kind() {
            igmp::QUERY => {
                let heard = IgmpQuery::read(message)?;
                let (version, details) = match heard.version {
                    igmp::Version::V1 => (Version::First, None),
                    igmp::Version::V2 => (Version::Second, None),
                    igmp::Version::V3(details) => (Version::Third, Some(details)),
                };
                // All messages of version 3 have it; there are queriers of version 2 that leave it out.
                if details.is_some() && !alert {
                    count!(self.counters.igmp.forged);
                    return Ok(());
                }
                count!(self.counters.igmp.queries);
                let group = (!heard.group.is_unspecified()).then(|| heard.group.into());
                let has_sources = !heard.sources.is_empty();
                let within_ms = u32::from(heard.response_ds) * 100;
                let query = Query { version, group, within_ms, details, has_sources };
                let mut sources = heard.sources.iter().map(|&source| Address::v4(source.into()));
                let time = (self.now, &mut self.random);
                self.multicast.queried(&self.hash_key, place, &query, &mut sources, time);
                self.multicast_run();
            }
            igmp::REPORT_V1 | igmp::REPORT_V2 => {
                count!(self.counters.igmp.reports);
                let group = IgmpMessage::read(message)?.group();
                self.multicast.reported_by_another(&self.hash_key, netif, group.into(), self.now);
            }
            // What routers and newer hosts say to routers.
            _ => count!(self.counters.igmp.ignored),
        }
        Ok(())
    }

    pub(super) fn igmp_report(
        &mut self,
        subject: (Place, About, Instant),
        from: Cursor,
        room: usize,
        len: usize,
    ) -> Result<(), Error> {
        let netif = subject.0.netif as usize;
        let mut packet = self.igmp_packet(netif, igmp::ALL_V3_ROUTERS, len)?;
        let message = packet.payload_mut()?.get_mut(HEADERS_LEN..).ok_or(Error::Buffer)?;
        let mut writer = igmp::report_writer(message);
        self.multicast.fill(subject, from, room, &mut |said| {
            let sources = self.multicast.sources_of(said).map(|source| source.low().octets());
            let written = writer.add(said.kind, said.group.low().octets(), sources);
            debug_assert!(written, "the length was found in the same way");
        });
        igmp::finish_report(writer).map_err(|_| Error::Buffer)?;
        self.igmp_send(netif, igmp::ALL_V3_ROUTERS, packet)
    }

    pub(super) fn igmp_word(&mut self, netif: usize, word: &Word) -> Result<(), Error> {
        let group = word.group.low();
        let (kind, destination) = match (word.leaves, word.version) {
            (true, _) => (igmp::LEAVE, igmp::ALL_ROUTERS),
            (false, Version::First) => (igmp::REPORT_V1, group),
            (false, _) => (igmp::REPORT_V2, group),
        };
        let mut packet = self.igmp_packet(netif, destination, igmp::LEN)?;
        let message = packet.payload_mut()?.get_mut(HEADERS_LEN..).and_then(<[u8]>::first_chunk_mut);
        IgmpMessage::write(message.ok_or(Error::Buffer)?, kind, group);
        self.igmp_send(netif, destination, packet)
    }

    /// A packet with its IP header, and room for a message of so many bytes.
    fn igmp_packet(&mut self, netif: usize, destination: Ipv4Addr, len: usize) -> Result<Pbuf, Error> {
        let interface = self.netifs.at(netif).ok_or(Error::Interface)?;
        let total_len = HEADERS_LEN + len;
        let fields = Ipv4Fields {
            tos: INTERNETWORK_CONTROL,
            total_len: total_len as u16,
            identification: self.identification.next(),
            ttl: igmp::TTL,
            protocol: protocol::IGMP,
            // Without an address, that is what it says [RFC 3376 §4.2.13].
            source: interface.ipv4.address,
            destination,
            ..Ipv4Fields::default()
        };
        let mut packet = small_pbuf(&self.memory, Layer::Link, total_len)?;
        ipv4::write_header_with_options(packet.payload_mut()?, &fields, &ROUTER_ALERT)
            .map_err(|_| Error::Buffer)?;
        Ok(packet)
    }

    fn igmp_send(&mut self, netif: usize, destination: Ipv4Addr, packet: Pbuf) -> Result<(), Error> {
        let netif = self.netif_handle(netif);
        self.route_to(destination.into(), netif)?;
        Ok(self.ip_send(None, packet)?)
    }
}

fn has_alert(header: &[u8]) -> bool {
    let options = header.get(ipv4::HEADER_LEN..).unwrap_or_default();
    Options::new(options).any(|option| matches!(option, Ok(Ipv4Option::RouterAlert(_))))
}
