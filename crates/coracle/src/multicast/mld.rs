//! MLD in and out.

use coracle_buf::{Error, Layer, Pbuf};
use coracle_wire::ipv6::extension::{Ipv6Option, Limits, Options, ROUTER_ALERT};
use coracle_wire::ipv6::{self, Ipv6Fields, group, next_header};
use coracle_wire::mld::{self, MldMessage, MldQuery};
use coracle_wire::{Malformed, icmpv6};

use super::query::{About, Query};
use super::report::{Cursor, Word};
use super::{Place, Version};
use crate::address::{Address, Family};
use crate::counters::count;
use crate::engine::{Engine, small_pbuf};
use crate::ip::Received;
use crate::time::Instant;

/// The hop-by-hop header that has routers look at the packet.
const ALERT_LEN: usize = 1 + ROUTER_ALERT.len();

/// The headers in front of a message.
pub(super) const HEADERS_LEN: usize = ipv6::HEADER_LEN + ALERT_LEN;

impl Engine {
    /// Takes a message of ICMPv6 whose checksum is right, in a packet that begins with its IP header and is in one piece.
    #[cold]
    pub(crate) fn mld_input(&mut self, info: &Received, kind: u8, packet: &Pbuf) {
        count!(self.counters.mld.received);
        let message = packet.payload().get(usize::from(info.header_len)..).unwrap_or_default();
        // [3810-3] What crossed a router, or shows no address of the link, is not from there.
        let from_here = info.source.is_link_local() && info.ttl == mld::HOP_LIMIT;
        if !from_here || !has_alert(packet.payload()) {
            count!(self.counters.mld.forged);
            return;
        }
        if message.len() < packet.len() - usize::from(info.header_len)
            || self.mld_message(info, kind, message).is_err()
        {
            count!(self.counters.mld.malformed);
        }
    }

    fn mld_message(&mut self, info: &Received, kind: u8, message: &[u8]) -> Result<(), Malformed> {
        let netif = info.netif.0.index;
        let zone = netif as usize;
        match kind {
            icmpv6::MULTICAST_LISTENER_QUERY => {
                let heard = MldQuery::read(message)?;
                count!(self.counters.mld.queries);
                let query = Query {
                    version: if heard.details.is_some() { Version::Third } else { Version::Second },
                    group: (!heard.group.is_unspecified()).then(|| Address::v6(heard.group.octets(), zone)),
                    within_ms: heard.response_ms,
                    details: heard.details,
                    has_sources: !heard.sources.is_empty(),
                };
                let place = Place { netif, family: Family::V6 };
                let mut sources = heard.sources.iter().map(|&source| Address::v6(source, zone));
                let time = (self.now, &mut self.random);
                self.multicast.queried(&self.hash_key, place, &query, &mut sources, time);
                self.multicast_run();
            }
            icmpv6::MULTICAST_LISTENER_REPORT => {
                let group = MldMessage::read(message)?.group();
                count!(self.counters.mld.reports);
                let group = Address::v6(group.octets(), zone);
                self.multicast.reported_by_another(&self.hash_key, netif, group, self.now);
            }
            // What newer hosts say to routers.
            _ => count!(self.counters.mld.ignored),
        }
        Ok(())
    }

    /// The address that reports come from: the interface's on the link, or, before that is ours, none [RFC 3590 §4]
    /// [3810-1].
    fn mld_source(&self, netif: usize) -> Option<Address> {
        let mut addresses = self.addresses.v6.iter().map(|(_, entry)| entry);
        let found = addresses
            .find(|entry| entry.netif as usize == netif && entry.address.is_link_local() && entry.is_ours());
        found.map(|entry| entry.address)
    }

    /// An address came or went: reports that had none to come from were dropped by routers, and are sent again
    /// [RFC 3590 §5].
    pub(crate) fn mld_address_changed(&mut self, netif: usize) {
        let place = Place { netif: netif as u32, family: Family::V6 };
        if self.multicast.is_nameless(place) && self.mld_source(netif).is_some() {
            self.multicast.set_nameless(place, false);
            self.multicast.announce(place, (self.now, &mut self.random));
        }
        // The group in which it is solicited came or went with it.
        self.multicast_run();
    }

    /// An address is about to be examined: switches that listen to reports let nobody's answer through before they heard
    /// ours [4862-2].
    pub(crate) fn mld_hasten(&mut self, netif: usize) {
        self.multicast.hasten(Place { netif: netif as u32, family: Family::V6 }, self.now);
        self.multicast_run();
    }

    pub(super) fn mld_report(
        &mut self,
        subject: (Place, About, Instant),
        from: Cursor,
        room: usize,
        len: usize,
    ) -> Result<(), Error> {
        let netif = subject.0.netif as usize;
        let destination = Address::v6(group::ALL_MLDV2_ROUTERS.octets(), netif);
        let (mut packet, source) = self.mld_packet(netif, destination, len)?;
        let message = packet.payload_mut()?.get_mut(HEADERS_LEN..).ok_or(Error::Buffer)?;
        let mut writer = mld::report_writer(message);
        self.multicast.fill(subject, from, room, &mut |said| {
            let sources = self.multicast.sources_of(said).map(Address::wire_v6);
            let written = writer.add(said.kind, said.group.wire_v6(), sources);
            debug_assert!(written, "the length was found in the same way");
        });
        mld::finish_report(writer, source.to_v6(), destination.to_v6()).map_err(|_| Error::Buffer)?;
        self.mld_send(netif, destination, packet)
    }

    pub(super) fn mld_word(&mut self, netif: usize, word: &Word) -> Result<(), Error> {
        let all_routers = Address::v6(group::ALL_ROUTERS.octets(), netif);
        let (kind, destination) = if word.leaves {
            (icmpv6::MULTICAST_LISTENER_DONE, all_routers)
        } else {
            (icmpv6::MULTICAST_LISTENER_REPORT, word.group)
        };
        let (mut packet, source) = self.mld_packet(netif, destination, mld::V1_LEN)?;
        let message = packet.payload_mut()?.get_mut(HEADERS_LEN..).and_then(<[u8]>::first_chunk_mut);
        let message = message.ok_or(Error::Buffer)?;
        MldMessage::write(message, kind, word.group.to_v6(), source.to_v6(), destination.to_v6());
        self.mld_send(netif, destination, packet)
    }

    /// A packet with its headers, and room for a message of so many bytes; and the address that it comes from.
    fn mld_packet(
        &mut self,
        netif: usize,
        destination: Address,
        len: usize,
    ) -> Result<(Pbuf, Address), Error> {
        let place = Place { netif: netif as u32, family: Family::V6 };
        let source = self.mld_source(netif);
        if source.is_none() {
            self.multicast.set_nameless(place, true);
        }
        let source = source.unwrap_or(Address::ANY);
        let fields = Ipv6Fields {
            payload_len: (ALERT_LEN + len) as u16,
            next_header: next_header::HOP_BY_HOP,
            hop_limit: mld::HOP_LIMIT,
            source: source.to_v6(),
            destination: destination.to_v6(),
            ..Ipv6Fields::default()
        };
        let mut packet = small_pbuf(&self.memory, Layer::Link, HEADERS_LEN + len)?;
        let (header, behind) = packet.payload_mut()?.split_first_chunk_mut().ok_or(Error::Buffer)?;
        ipv6::write_header(header, &fields);
        let (protocol, behind) = behind.split_first_mut().ok_or(Error::Buffer)?;
        *protocol = next_header::ICMPV6;
        *behind.first_chunk_mut().ok_or(Error::Buffer)? = ROUTER_ALERT;
        Ok((packet, source))
    }

    fn mld_send(&mut self, netif: usize, destination: Address, packet: Pbuf) -> Result<(), Error> {
        let netif = self.netif_handle(netif);
        self.route_to(destination, netif)?;
        self.ip_send(None, packet)?;
        count!(self.counters.icmp6.sent);
        Ok(())
    }
}

/// Whether a packet begins with a header that has routers look at it.
fn has_alert(packet: &[u8]) -> bool {
    let Some((header, behind)) = packet.split_first_chunk::<{ ipv6::HEADER_LEN }>() else { return false };
    let [_, words, ..] = *behind else { return false };
    let options = behind.get(2..(usize::from(words) + 1) * 8).unwrap_or_default();
    header[ipv6::NEXT_HEADER_OFFSET] == next_header::HOP_BY_HOP
        && Options::new(options, Limits::default())
            .any(|placed| matches!(placed, Ok(placed) if placed.option == Ipv6Option::RouterAlert(0)))
}
