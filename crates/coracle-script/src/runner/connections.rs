//! The conversations of a script, and which of them a packet belongs to.

use std::net::SocketAddr;

use super::connection::Connection;
use super::settings::Settings;
use crate::language::ast::{Body, Ecn, Icmp, IpFields, Packet, Quoted, Udp, flag};
use crate::packet::decode::{Decoded, DecodedBody};
use crate::packet::{Ends, build, icmp_names, protocol};

/// The peer's first port; each further connection has the next.
const PEER_PORT: u16 = 40_000;

/// All of them; the last is the current one, which lines without a name are about.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: Vec<Connection>,
    /// How many there were.
    made: u16,
    /// The port that the script's listener or datagram socket is bound to.
    local_port: Option<u16>,
}

impl Connections {
    pub(super) fn current(&self) -> Option<&Connection> {
        self.all.last()
    }

    /// A socket was bound to a port.
    pub(super) fn bound(&mut self, port: u16) {
        self.local_port = Some(port);
    }

    /// A socket was made: the next SYN need not be of a connection that there is.
    pub(super) fn new_socket(&mut self) {
        self.all.iter_mut().for_each(|connection| connection.over = true);
    }

    fn position(&self, name: Option<u32>, protocol: u8) -> Option<usize> {
        self.all
            .iter()
            .rposition(|found| found.protocol == protocol && name.is_none_or(|name| found.name == Some(name)))
    }

    fn add(&mut self, connection: Connection) -> usize {
        self.made = self.made.wrapping_add(1);
        self.all.push(connection);
        self.all.len() - 1
    }

    /// Makes a connection the current one.
    fn select(&mut self, at: usize) -> &mut Connection {
        self.all[at..].rotate_left(1);
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    /// The bytes of a packet for the stack.
    pub(super) fn inbound(&mut self, packet: &Packet, settings: &Settings) -> Result<Vec<u8>, String> {
        let connection = self.for_inbound(packet, settings);
        let ends = connection.ends.swapped();
        match &packet.body {
            Body::Tcp(segment) => build::tcp(ends, packet.ip, &connection.inbound(segment)),
            Body::Udp(Udp { payload }) => build::udp(ends, packet.ip, *payload),
            Body::Icmp(icmp) => {
                let quoted = match icmp.quoted {
                    _ if !icmp_names::quotes(icmp.v6, icmp.kind) => Vec::new(),
                    Some(Quoted::Udp { payload }) => build::quoted_udp(connection.ends, payload)?,
                    None if connection.protocol == protocol::UDP => build::quoted_udp(connection.ends, 0)?,
                    Some(Quoted::Tcp { seq, payload }) => {
                        build::quoted_tcp(connection.ends, connection.quoted_seq(seq), payload)?
                    }
                    None => build::quoted_tcp(connection.ends, connection.quoted_seq(0), 0)?,
                };
                build::icmp(ends, packet.ip, icmp, &quoted)
            }
        }
    }

    fn for_inbound(&mut self, packet: &Packet, settings: &Settings) -> &mut Connection {
        let protocol = match &packet.body {
            Body::Tcp(_) => protocol::TCP,
            Body::Udp(_) | Body::Icmp(Icmp { quoted: Some(Quoted::Udp { .. }), .. }) => protocol::UDP,
            Body::Icmp(_) => self.current().map_or(protocol::TCP, |current| current.protocol),
        };
        let opens = match &packet.body {
            Body::Tcp(segment) => segment.flags & (flag::SYN | flag::ACK) == flag::SYN,
            _ => false,
        };
        let found = self.position(packet.connection, protocol);
        let at = found.filter(|&at| !(opens && self.all[at].over)).unwrap_or_else(|| {
            let local = self.local_port.unwrap_or(settings.bind_port);
            let address = settings.destination.unwrap_or_else(|| settings.local());
            let ends = Ends {
                source: SocketAddr::new(address, local),
                destination: SocketAddr::new(settings.remote(), PEER_PORT + self.made),
            };
            self.add(Connection::new(packet.connection, protocol, ends, settings.remote_isn))
        });
        self.select(at)
    }

    /// A packet of the stack as the script would write it, which expects `expected`.
    pub(super) fn outbound(&mut self, actual: &Decoded, expected: &Packet, settings: &Settings) -> Packet {
        let ip = ip_fields(actual, &expected.ip);
        match &actual.body {
            DecodedBody::Tcp(segment) => {
                let name = self.belongs(actual.ends, protocol::TCP, expected, settings);
                let expected = match &expected.body {
                    Body::Tcp(expected) => Some(expected),
                    _ => None,
                };
                let last = self.all.len() - 1;
                let segment = self.all[last].outbound(segment, expected, settings.exact_timestamps);
                Packet { ip, connection: name, body: Body::Tcp(segment) }
            }
            DecodedBody::Udp { payload } => {
                let name = self.belongs(actual.ends, protocol::UDP, expected, settings);
                Packet { ip, connection: name, body: Body::Udp(Udp { payload: *payload }) }
            }
            DecodedBody::Icmp { v6, kind, code, rest, payload } => {
                let icmp = Icmp {
                    v6: *v6,
                    kind: *kind,
                    code: Some(*code),
                    mtu: None,
                    echo: None,
                    payload: payload.len() as u32,
                    quoted: None,
                };
                let body = Body::Icmp(self.describe_icmp(icmp, *rest, payload));
                Packet { ip, connection: expected.connection, body }
            }
        }
    }

    /// A packet of the stack that nothing is expected of.
    pub(super) fn show(&mut self, actual: &Decoded, settings: &Settings) -> String {
        let anything =
            Packet { ip: IpFields::default(), connection: None, body: Body::Udp(Udp { payload: 0 }) };
        self.outbound(actual, &anything, settings).to_string()
    }

    /// Finds the connection of a packet of the stack, or begins it, and makes it the current one. The name is the one
    /// that is expected, unless it belongs to another connection.
    fn belongs(&mut self, ends: Ends, protocol: u8, expected: &Packet, settings: &Settings) -> Option<u32> {
        let known = self.all.iter().rposition(|found| found.protocol == protocol && found.ends == ends);
        let meant = self.position(expected.connection, protocol);
        let Some(at) = known else {
            let at = self.add(Connection::new(expected.connection, protocol, ends, settings.remote_isn));
            self.select(at);
            return expected.connection;
        };
        let name = if meant == known { expected.connection } else { Some(self.all[at].name.unwrap_or(0)) };
        self.select(at);
        name
    }

    fn describe_icmp(&self, mut icmp: Icmp, rest: [u8; 4], payload: &[u8]) -> Icmp {
        let rest = u32::from_be_bytes(rest);
        if !icmp_names::quotes(icmp.v6, icmp.kind) {
            icmp.echo = Some(((rest >> 16) as u16, rest as u16));
            return icmp;
        }
        icmp.mtu = (rest != 0).then_some(rest);
        // Some of the quoted packet is there, some is not: its own header says how long it was.
        icmp.payload = 0;
        icmp.quoted = self.quoted(payload);
        icmp
    }

    /// The packet of the peer that the stack quotes.
    fn quoted(&self, bytes: &[u8]) -> Option<Quoted> {
        let u16_at =
            |at: usize| Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
        let (header, payload, kind) = if bytes.first()? >> 4 == 4 {
            let header = usize::from(bytes[0] & 15) * 4;
            (header, u16_at(2)?.checked_sub(header)?, *bytes.get(9)?)
        } else {
            (40, u16_at(4)?, *bytes.get(6)?)
        };
        let transport = bytes.get(header..header + 8)?;
        match kind {
            protocol::UDP => Some(Quoted::Udp { payload: payload.checked_sub(8)? as u32 }),
            protocol::TCP => {
                let live = u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]);
                let header = bytes.get(header + 12).map_or(20, |offset| usize::from(offset >> 4) * 4);
                let seq = self.current().map_or(live, |current| current.peer_seq(live));
                Some(Quoted::Tcp { seq, payload: payload.checked_sub(header)? as u32 })
            }
            _ => None,
        }
    }
}

/// The fields that the script asks for, as they are.
fn ip_fields(actual: &Decoded, expected: &IpFields) -> IpFields {
    let ecn = [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce][usize::from(actual.tos & 3)];
    IpFields {
        ecn: expected.ecn.map(|_| ecn),
        tos: expected.tos.map(|_| actual.tos),
        ttl: expected.ttl.map(|_| actual.ttl),
        flow_label: expected.flow_label.map(|_| actual.flow_label),
        dont_fragment: expected.dont_fragment.map(|_| actual.dont_fragment),
        wrong_checksum: false,
    }
}
