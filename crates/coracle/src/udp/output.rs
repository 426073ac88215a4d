//! UDP out: addresses, permissions, checksum.

use coracle_buf::{Error, Pbuf};
use coracle_wire::ipv4::protocol;
use coracle_wire::udp::{HEADER_LEN, UdpHeader};

use super::Class;
use crate::address::{Address, Endpoint};
use crate::counters::count;
use crate::engine::Engine;
use crate::error::Rejected;
use crate::ip::Cast;
use crate::ip::sum::{add_part, pseudo};
use crate::ip::{output::Send, way::Hop};
use crate::netif::{Checksums, NetifHandle};
use crate::table::Key;

/// What a sender says of one datagram beside its destination; what it leaves out is the control block's.
#[derive(Clone, Copy)]
pub(crate) struct Wishes {
    pub(crate) netif: Option<NetifHandle>,
    pub(crate) source: Option<Address>,
    pub(crate) source_port: Option<u16>,
}

impl Engine {
    /// Sends a datagram to a peer, or to the one that the control block is connected to; the data comes back with the
    /// error when it is not taken.
    #[inline(never)]
    pub(crate) fn udp_send(
        &mut self,
        key: Key,
        to: Option<&Endpoint>,
        wishes: Option<&Wishes>,
        data: Pbuf,
    ) -> Result<(), Rejected> {
        let Some(pcb) = self.udp.slots.get(key) else { return Err(Rejected::new(Error::Closed, data)) };
        let remote = match to {
            Some(remote) => remote,
            None if pcb.class == Class::Connected => &pcb.flow.remote,
            None => return Err(self.udp_refuse(key, Error::NotConnected, data)),
        };
        let (destination, ports) = (remote.address, (pcb.flow.local.port, remote.port));
        if wishes.is_some() || pcb.flow.lite || destination.is_multicast() {
            return self.udp_send_specially(key, *remote, wishes, data);
        }
        let hop = match &self.recent_hop {
            Some(hop) if hop.is_for(destination, pcb.netif, pcb.from) && hop.is_plain(ports) => hop,
            _ => return self.udp_send_specially(key, *remote, wishes, data),
        };
        let (source, checksum) = (hop.source, hop.checksums.contains(Checksums::GENERATE_UDP));
        let transport = header(source, destination, ports, checksum && !pcb.no_checksum, &data);
        let send = Send::new(source, destination, protocol::UDP, (pcb.ttl, pcb.tos));
        let dont_fragment = hop.dont_fragment;
        let send = Send { dont_fragment, transport: Some(transport), ..send.of_flow(&self.label_key, ports) };
        match self.ip_emit(Some(send), data) {
            Ok(()) => {
                count!(self.counters.udp.sent);
                Ok(())
            }
            Err(Rejected { error, data }) => Err(self.udp_refuse(key, error, data)),
        }
    }

    /// Sends a datagram whose way is not the last one's, or whose sender wants something special.
    #[cold]
    #[inline(never)]
    fn udp_send_specially(
        &mut self,
        key: Key,
        remote: Endpoint,
        wishes: Option<&Wishes>,
        data: Pbuf,
    ) -> Result<(), Rejected> {
        let (send, looped) = match self.udp_prepare(key, remote, wishes, &data) {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.udp_refuse(key, error, data)),
        };
        let lite = send.protocol == protocol::UDP_LITE;
        let sent =
            if looped { self.ip_send_and_loop(Some(&send), data) } else { self.ip_send(Some(&send), data) };
        match sent {
            Ok(()) => {
                count!(self.udp_counters(lite).sent);
                Ok(())
            }
            Err(Rejected { error, data }) => Err(self.udp_refuse(key, error, data)),
        }
    }

    /// Finds the way, and a local port where there is none yet. Returns what goes into the headers, and whether the
    /// datagram may come back to members of its group here.
    fn udp_prepare(
        &mut self,
        key: Key,
        remote: Endpoint,
        wishes: Option<&Wishes>,
        data: &Pbuf,
    ) -> Result<(Send, bool), Error> {
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        let (destination, to_port) = (remote.address, remote.port);
        if to_port == 0 || destination.is_unspecified() || data.len() > MAX_LEN {
            return Err(Error::Value);
        }
        let multicast = destination.is_multicast();
        let wished = wishes.and_then(|wishes| wishes.source);
        if !wished.unwrap_or(pcb.flow.local.address).speaks_to(destination) {
            return Err(Error::Value);
        }
        let mut demanded = pcb.netif;
        let mut from = pcb.from;
        let mut nameless = false;
        if let Some(wishes) = wishes {
            demanded = wishes.netif.or(demanded);
            from = wishes.source.unwrap_or(from);
            // Only who asks everybody for an address may have none.
            nameless = wishes.source.is_some_and(Address::is_unspecified);
            if nameless && destination != Address::BROADCAST {
                return Err(Error::Route);
            }
        }
        if multicast {
            demanded = demanded.or(pcb.multicast_netif);
        }
        match (wishes.and_then(|wishes| wishes.source_port), pcb.flow.local.port) {
            // [RFC 6056]
            (None, 0) if pcb.class == Class::Unbound => self.udp_bind(key, super::UNBOUND)?,
            // A control block that takes all ports has to be told from which to send.
            (None | Some(0), 0) | (Some(0), _) => return Err(Error::Value),
            _ => {}
        }
        let hop = match self.route_from(destination, demanded, from) {
            Ok(hop) if hop.has_source() => *hop,
            _ => return Err(Error::Route),
        };
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        if hop.cast == Cast::Broadcast && !pcb.broadcast {
            return Err(Error::Value);
        }
        let local_port = pcb.flow.local.port;
        let ports = (wishes.and_then(|wishes| wishes.source_port).unwrap_or(local_port), to_port);
        let source = if nameless { Address::ANY } else { hop.source };
        let (protocol, transport) = if pcb.flow.lite {
            (protocol::UDP_LITE, lite_header(source, destination, ports, pcb.coverage.sent, data))
        } else {
            let checksum = hop.checksums.contains(Checksums::GENERATE_UDP) && !pcb.no_checksum;
            (protocol::UDP, header(source, destination, ports, checksum, data))
        };
        let ttl = if multicast { pcb.multicast_ttl } else { pcb.ttl };
        let transport = Some(transport);
        let send = Send::new(source, destination, protocol, (ttl, pcb.tos));
        let dont_fragment = hop.dont_fragment;
        let send = Send { dont_fragment, transport, ..send.of_flow(&self.label_key, ports) };
        Ok((send, multicast && pcb.multicast_loop))
    }

    #[cold]
    #[inline(never)]
    fn udp_refuse(&mut self, key: Key, error: Error, data: Pbuf) -> Rejected {
        let lite = self.udp.slots.get(key).is_some_and(|pcb| pcb.flow.lite);
        count!(self.udp_counters(lite).send_failed);
        Rejected::new(error, data)
    }
}

impl Hop {
    /// Whether datagrams may go there from one port to another, nothing being special about them.
    #[inline]
    fn is_plain(&self, (from_port, to_port): (u16, u16)) -> bool {
        self.cast == Cast::Unicast && !self.source.is_unspecified() && from_port != 0 && to_port != 0
    }
}

/// The most data that a datagram has room for.
const MAX_LEN: usize = u16::MAX as usize - HEADER_LEN;

/// The header of a datagram, with the checksum over everything [1122-UDP-4].
#[inline(always)]
#[allow(clippy::inline_always, reason = "called once for what is sent most")]
fn header(
    source: Address,
    destination: Address,
    (from_port, to_port): (u16, u16),
    checksum: bool,
    data: &Pbuf,
) -> UdpHeader {
    let len = (HEADER_LEN + data.len()) as u16;
    let mut sum = 0;
    if checksum {
        let begun = pseudo(source, destination, protocol::UDP, len.into());
        sum = add_part(begun.add_u16s([from_port, to_port, len]), data, 0, data.len()).finish_nonzero();
    }
    UdpHeader::new(from_port, to_port, len, sum)
}

/// The header of a UDP-Lite datagram: the length field is the coverage, and the checksum over that is never left out
/// [RFC 3828 §3.1].
#[cold]
#[inline(never)]
fn lite_header(
    source: Address,
    destination: Address,
    (from_port, to_port): (u16, u16),
    coverage: u16,
    data: &Pbuf,
) -> UdpHeader {
    let len = (HEADER_LEN + data.len()) as u16;
    // A coverage beyond the datagram means all of it.
    let field = if coverage < len { coverage } else { 0 };
    let covered = if field == 0 { len } else { field };
    let sum =
        pseudo(source, destination, protocol::UDP_LITE, len.into()).add_u16s([from_port, to_port, field]);
    let sum = add_part(sum, data, 0, usize::from(covered) - HEADER_LEN);
    UdpHeader::new(from_port, to_port, field, sum.finish_nonzero())
}
