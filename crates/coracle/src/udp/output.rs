//! UDP out: addresses, permissions, checksum.

use core::net::{Ipv4Addr, SocketAddrV4};

use coracle_buf::{Error, Pbuf};
use coracle_wire::checksum::pseudo_v4;
use coracle_wire::ipv4::protocol;
use coracle_wire::udp::{HEADER_LEN, UdpHeader};

use super::{Class, UdpPcb};
use crate::counters::count;
use crate::engine::Engine;
use crate::error::Rejected;
use crate::ip::Cast;
use crate::ip::output::Send;
use crate::ip::sum::add_part;
use crate::netif::{Checksums, NetifHandle};
use crate::table::Key;

/// What a sender says of one datagram; what it leaves out is the control block's.
#[derive(Clone, Copy, Default)]
pub(crate) struct Addressing {
    pub(crate) remote: Option<SocketAddrV4>,
    pub(crate) netif: Option<NetifHandle>,
    pub(crate) source: Option<Ipv4Addr>,
    pub(crate) source_port: Option<u16>,
}

impl Engine {
    /// Sends a datagram to a peer; the data comes back with the error when it is not taken.
    #[inline]
    pub(crate) fn udp_send_to(&mut self, key: Key, remote: SocketAddrV4, data: Pbuf) -> Result<(), Rejected> {
        match self.udp_depart(key, remote, data) {
            Ok(()) => Ok(()),
            Err(data) => {
                let to = Addressing { remote: Some(remote), ..Addressing::default() };
                self.udp_send(key, &to, data)
            }
        }
    }

    /// Sends a datagram; the data comes back with the error when it is not taken.
    #[inline(never)]
    pub(crate) fn udp_send(&mut self, key: Key, to: &Addressing, data: Pbuf) -> Result<(), Rejected> {
        let lite = self.udp.slots.get(key).is_some_and(|pcb| pcb.flow.lite);
        let sent = self.udp_try_send(key, to, data);
        match sent {
            Ok(()) => count!(self.udp_counters(lite).sent),
            Err(_) => count!(self.udp_counters(lite).send_failed),
        }
        sent
    }

    #[inline]
    fn udp_try_send(&mut self, key: Key, to: &Addressing, data: Pbuf) -> Result<(), Rejected> {
        let Some(pcb) = self.udp.slots.get(key) else { return Err(Rejected::new(Error::Closed, data)) };
        let remote = match to.remote {
            Some(remote) => remote,
            None if pcb.class == Class::Connected => pcb.flow.remote,
            None => return Err(Rejected::new(Error::NotConnected, data)),
        };
        let too_long = data.len() > usize::from(u16::MAX) - HEADER_LEN;
        if remote.port() == 0 || remote.ip().is_unspecified() || too_long {
            return Err(Rejected::new(Error::Value, data));
        }
        if pcb.class == Class::Unbound && to.source_port.is_none() {
            return self.udp_bind_and_send(key, to, data);
        }
        let multicast = remote.ip().is_multicast();
        let demanded = to.netif.or(pcb.netif).or(if multicast { pcb.multicast_netif } else { None });
        let source = to.source.or(pcb.source());
        // Packets from an address of ours leave by its interface, if there is a way.
        let owner = match (demanded, source) {
            (None, Some(source)) => self.owner_of(source).and_then(|owner| self.netif_handle(owner)),
            _ => demanded,
        };
        let hop = match self.ipv4_route(*remote.ip(), owner) {
            Ok(hop) => *hop,
            Err(error) => return Err(Rejected::new(error, data)),
        };
        let checked = match source {
            Some(source) => self.ipv4_own_source(&hop, source),
            None if hop.has_source() => Ok(()),
            None => Err(Error::Route),
        };
        if let Err(error) = checked {
            return Err(Rejected::new(error, data));
        }
        let Some(pcb) = self.udp.slots.get(key) else { return Err(Rejected::new(Error::Closed, data)) };
        let source_port = to.source_port.unwrap_or(pcb.flow.local.port());
        if source_port == 0 || (hop.cast == Cast::Broadcast && !pcb.broadcast) {
            return Err(Rejected::new(Error::Value, data));
        }
        let mut send = Send {
            source: source.unwrap_or(hop.source),
            destination: *remote.ip(),
            protocol: if pcb.flow.lite { protocol::UDP_LITE } else { protocol::UDP },
            ttl: if multicast { pcb.multicast_ttl } else { pcb.ttl },
            tos: pcb.tos,
            dont_fragment: false,
            transport: None,
        };
        let coverage = pcb.flow.lite.then_some(pcb.coverage.sent);
        let checksum = hop.checksums.contains(Checksums::GENERATE_UDP) && !pcb.no_checksum;
        let looped = multicast && pcb.multicast_loop;
        send.transport = Some(header(&send, (source_port, remote.port()), &data, coverage, checksum));
        if looped {
            self.ipv4_send_and_loop(&hop, Some(&send), data)
        } else {
            self.ipv4_send(&hop, Some(&send), data)
        }
    }

    /// Takes a free port first [RFC 6056].
    #[cold]
    fn udp_bind_and_send(&mut self, key: Key, to: &Addressing, data: Pbuf) -> Result<(), Rejected> {
        match self.udp_bind(key, super::UNBOUND) {
            Ok(()) => self.udp_try_send(key, to, data),
            Err(error) => Err(Rejected::new(error, data)),
        }
    }
}

impl UdpPcb {
    /// The address that it is bound to, if that can be sent from.
    #[inline]
    fn source(&self) -> Option<Ipv4Addr> {
        let local = *self.flow.local.ip();
        (!local.is_unspecified() && !is_group(local)).then_some(local)
    }
}

fn is_group(address: Ipv4Addr) -> bool {
    address.is_multicast() || address == Ipv4Addr::BROADCAST
}

/// The header of a datagram, with the checksum over what it covers [1122-UDP-4]. For UDP-Lite the length field is
/// the coverage, and the checksum is never left out [RFC 3828 §3.1].
#[inline]
fn header(
    send: &Send,
    ports: (u16, u16),
    data: &Pbuf,
    lite: Option<u16>,
    checksum: bool,
) -> [u8; HEADER_LEN] {
    let len = (HEADER_LEN + data.len()) as u16;
    let field = match lite {
        // A coverage beyond the datagram means all of it.
        Some(coverage) if coverage < len => coverage,
        Some(_) => 0,
        None => len,
    };
    let mut header = [0; HEADER_LEN];
    UdpHeader::write(&mut header, ports.0, ports.1, field, 0);
    if checksum || lite.is_some() {
        let covered = if field == 0 { len } else { field };
        let sum = pseudo_v4(send.source, send.destination, send.protocol, len).add_bytes(&header);
        let sum = add_part(sum, data, 0, usize::from(covered) - HEADER_LEN);
        header[6..].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    }
    header
}
