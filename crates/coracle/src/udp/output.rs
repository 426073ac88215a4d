//! UDP out: addresses, permissions, checksum.

use core::net::{Ipv4Addr, SocketAddrV4};

use coracle_buf::{Error, Pbuf};
use coracle_wire::checksum::pseudo_v4;
use coracle_wire::ipv4::protocol;
use coracle_wire::udp::{HEADER_LEN, UdpHeader};

use super::Class;
use crate::counters::count;
use crate::engine::Engine;
use crate::error::Rejected;
use crate::ip::Cast;
use crate::ip::output::{Hop, Send};
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

/// What was decided about a datagram.
struct Prepared {
    hop: Hop,
    send: Send,
    header: [u8; HEADER_LEN],
    multicast_loop: bool,
}

impl Engine {
    /// Sends a datagram; the data comes back with the error when it is not taken.
    #[inline]
    pub(crate) fn udp_send(&mut self, key: Key, to: &Addressing, data: Pbuf) -> Result<(), Rejected> {
        let lite = self.udp.slots.get(key).is_some_and(|pcb| pcb.flow.lite);
        let sent = match self.udp_prepare(key, to, &data) {
            Ok(prepared) if prepared.multicast_loop => {
                self.ipv4_send_and_loop(&prepared.hop, Some(&prepared.send), &prepared.header, data)
            }
            Ok(prepared) => self.ipv4_send(&prepared.hop, Some(&prepared.send), &prepared.header, data),
            Err(error) => Err(Rejected::new(error, data)),
        };
        match sent {
            Ok(()) => count!(self.udp_counters(lite).sent),
            Err(_) => count!(self.udp_counters(lite).send_failed),
        }
        sent
    }

    #[inline]
    fn udp_prepare(&mut self, key: Key, to: &Addressing, data: &Pbuf) -> Result<Prepared, Error> {
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        let remote = match to.remote {
            Some(remote) => remote,
            None if pcb.class == Class::Connected => pcb.flow.remote,
            None => return Err(Error::NotConnected),
        };
        if remote.port() == 0
            || remote.ip().is_unspecified()
            || data.len() > usize::from(u16::MAX) - HEADER_LEN
        {
            return Err(Error::Value);
        }
        if pcb.class == Class::Unbound && to.source_port.is_none() {
            self.udp_bind(key, super::UNBOUND)?;
        }
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        let multicast = remote.ip().is_multicast();
        let bound = Some(*pcb.flow.local.ip()).filter(|local| !local.is_unspecified() && !is_group(*local));
        let demanded = to.netif.or(pcb.netif).or(if multicast { pcb.multicast_netif } else { None });
        let source = to.source.or(bound);
        let source_port = to.source_port.unwrap_or(pcb.flow.local.port());
        let (lite, tos, multicast_loop) = (pcb.flow.lite, pcb.tos, multicast && pcb.multicast_loop);
        let ttl = if multicast { pcb.multicast_ttl } else { pcb.ttl };
        let (broadcast, no_checksum) = (pcb.broadcast, pcb.no_checksum);
        let coverage = pcb.coverage.sent;
        if source_port == 0 {
            return Err(Error::Value);
        }
        // Packets from an address of ours leave by its interface, if there is a way.
        let owner = match (demanded, source) {
            (None, Some(source)) => self.owner_of(source).and_then(|owner| self.netif_handle(owner)),
            _ => demanded,
        };
        let hop = self.ipv4_route(*remote.ip(), owner)?;
        if hop.cast == Cast::Broadcast && !broadcast {
            return Err(Error::Value);
        }
        let source = match source {
            Some(source) => self.ipv4_own_source(&hop, source)?,
            None => hop.source.ok_or(Error::Route)?,
        };
        let protocol = if lite { protocol::UDP_LITE } else { protocol::UDP };
        let send = Send { source, destination: *remote.ip(), protocol, ttl, tos };
        let checksum = hop.checksums.contains(Checksums::GENERATE_UDP) && !no_checksum;
        let header = header(&send, (source_port, remote.port()), data, lite.then_some(coverage), checksum);
        Ok(Prepared { hop, send, header, multicast_loop })
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
        let mut left = usize::from(covered) - HEADER_LEN;
        let first = data.payload();
        let sum = if first.len() >= left {
            sum.add_bytes(&first[..left])
        } else {
            sum.add_chain(data.segments().map(|segment| {
                let piece = &segment[..segment.len().min(left)];
                left -= piece.len();
                piece
            }))
        };
        header[6..].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
    }
    header
}
