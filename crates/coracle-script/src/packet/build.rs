//! Packets for the stack.

use std::net::IpAddr;

use super::{Ends, protocol, pseudo_header, sum};
use crate::language::ast::{Ecn, Icmp, IpFields, Tcp, TcpOption, flag};

/// The time-to-live of packets whose script says none.
const TTL: u8 = 255;

fn ecn_bits(ecn: Ecn) -> u8 {
    match ecn {
        Ecn::NotEct => 0,
        Ecn::Ect1 => 1,
        Ecn::Ect0 | Ecn::Ect01 => 2,
        Ecn::Ce => 3,
    }
}

/// An IP packet around a payload whose checksum is right already.
fn ip(ends: Ends, fields: IpFields, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let tos = fields.tos.unwrap_or(0);
    let tos = fields.ecn.map_or(tos, |ecn| tos & !3 | ecn_bits(ecn));
    let ttl = fields.ttl.unwrap_or(TTL);
    match (ends.source.ip(), ends.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, tos];
            header.extend((20 + payload.len() as u16).to_be_bytes());
            header.extend([0, 0, 0, 0, ttl, protocol, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let checksum = !sum(&[&header]);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            [&header, payload].concat()
        }
        (source, destination) => {
            let label = 6 << 28 | u32::from(tos) << 20 | fields.flow_label.unwrap_or(0) & 0xf_ffff;
            let mut header = label.to_be_bytes().to_vec();
            header.extend((payload.len() as u16).to_be_bytes());
            header.extend([protocol, ttl]);
            for address in [source, destination] {
                let IpAddr::V6(address) = address else { continue };
                header.extend(address.octets());
            }
            [&header, payload].concat()
        }
    }
}

/// The same bytes with the checksum that they and the pseudo-header have.
fn sealed(ends: Ends, protocol: u8, at: usize, mut bytes: Vec<u8>) -> Vec<u8> {
    let pseudo = pseudo_header(ends.source.ip(), ends.destination.ip(), protocol, bytes.len());
    let checksum = !sum(&[&pseudo, &bytes]);
    bytes[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn tcp_options(options: &[TcpOption]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for option in options {
        match option {
            TcpOption::End => bytes.push(0),
            TcpOption::Nop => bytes.push(1),
            TcpOption::Mss(mss) => {
                bytes.extend([2, 4]);
                bytes.extend(mss.to_be_bytes());
            }
            TcpOption::WindowScale(shift) => bytes.extend([3, 3, *shift]),
            TcpOption::SackPermitted => bytes.extend([4, 2]),
            TcpOption::Sack(blocks) => {
                bytes.extend([5, 2 + 8 * blocks.len() as u8]);
                for edge in blocks.iter().flat_map(|&(left, right)| [left, right]) {
                    bytes.extend(edge.to_be_bytes());
                }
            }
            TcpOption::Timestamps { value, echo } => {
                bytes.extend([8, 10]);
                bytes.extend(value.to_be_bytes());
                bytes.extend(echo.to_be_bytes());
            }
            TcpOption::UserTimeout(timeout) => {
                bytes.extend([28, 4]);
                bytes.extend(timeout.to_be_bytes());
            }
            TcpOption::Raw(raw) => bytes.extend(raw),
        }
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    if bytes.len() > 40 { Err(format!("{} bytes of TCP options", bytes.len())) } else { Ok(bytes) }
}

/// A header of TCP with absolute numbers, without a checksum.
fn tcp_header(ends: Ends, segment: &Tcp) -> Result<Vec<u8>, String> {
    let options = tcp_options(segment.options.as_deref().unwrap_or_default())?;
    let mut bytes = Vec::new();
    bytes.extend(ends.source.port().to_be_bytes());
    bytes.extend(ends.destination.port().to_be_bytes());
    bytes.extend(segment.seq.to_be_bytes());
    bytes.extend(segment.ack.unwrap_or(0).to_be_bytes());
    let words = (20 + options.len() as u16) / 4;
    bytes.extend((words << 12 | segment.flags).to_be_bytes());
    bytes.extend(segment.window.unwrap_or(0).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(segment.urgent.unwrap_or(0).to_be_bytes());
    bytes.extend(options);
    Ok(bytes)
}

fn zeros(header: Vec<u8>, payload: u32, overhead: usize) -> Result<Vec<u8>, String> {
    let mut bytes = header;
    let len = bytes.len() + payload as usize;
    if len + overhead > 65_535 {
        return Err(format!("a packet of {} bytes", len + overhead));
    }
    bytes.resize(len, 0);
    Ok(bytes)
}

/// A segment with absolute numbers; its payload is zeros.
pub(crate) fn tcp(ends: Ends, fields: IpFields, segment: &Tcp) -> Result<Vec<u8>, String> {
    let bytes = zeros(tcp_header(ends, segment)?, segment.payload, 20)?;
    let mut sealed = sealed(ends, protocol::TCP, 16, bytes);
    sealed[16] ^= u8::from(fields.wrong_checksum);
    Ok(ip(ends, fields, protocol::TCP, &sealed))
}

fn udp_header(ends: Ends, payload: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(ends.source.port().to_be_bytes());
    bytes.extend(ends.destination.port().to_be_bytes());
    bytes.extend((payload as u16).wrapping_add(8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// A datagram of zeros.
pub(crate) fn udp(ends: Ends, fields: IpFields, payload: u32) -> Result<Vec<u8>, String> {
    let bytes = zeros(udp_header(ends, payload), payload, 20)?;
    Ok(ip(ends, fields, protocol::UDP, &sealed(ends, protocol::UDP, 6, bytes)))
}

/// An ICMP message, `quoted` behind its header of eight bytes, then zeros.
pub(crate) fn icmp(ends: Ends, fields: IpFields, message: &Icmp, quoted: &[u8]) -> Result<Vec<u8>, String> {
    let rest = match (message.mtu, message.echo) {
        (Some(mtu), _) if message.v6 => mtu.to_be_bytes(),
        (Some(mtu), _) => u32::from(u16::try_from(mtu).map_err(|_| "an MTU above 65535")?).to_be_bytes(),
        (None, Some((identifier, number))) => (u32::from(identifier) << 16 | u32::from(number)).to_be_bytes(),
        (None, None) => [0; 4],
    };
    let header = [&[message.kind, message.code.unwrap_or(0), 0, 0], &rest[..], quoted].concat();
    let mut bytes = zeros(header, message.payload, 20)?;
    if message.v6 {
        let bytes = sealed(ends, protocol::ICMPV6, 2, bytes);
        return Ok(ip(ends, fields, protocol::ICMPV6, &bytes));
    }
    let checksum = !sum(&[&bytes]);
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    Ok(ip(ends, fields, protocol::ICMP, &bytes))
}

/// The start of a segment that the stack sent, as a router quotes it: the IP header and the TCP header. The length is that
/// of the whole packet.
pub(crate) fn quoted_tcp(ends: Ends, seq: u32, payload: u32) -> Result<Vec<u8>, String> {
    let segment =
        Tcp { flags: flag::ACK, seq, payload, ack: Some(0), window: None, urgent: None, options: None };
    let whole = zeros(tcp_header(ends, &segment)?, payload, 20)?;
    let whole = ip(ends, IpFields::default(), protocol::TCP, &whole);
    Ok(whole[..ip_header_len(&whole) + 20].to_vec())
}

/// As [`quoted_tcp`], for a datagram.
pub(crate) fn quoted_udp(ends: Ends, payload: u32) -> Result<Vec<u8>, String> {
    let whole = ip(ends, IpFields::default(), protocol::UDP, &zeros(udp_header(ends, payload), payload, 20)?);
    Ok(whole[..ip_header_len(&whole) + 8].to_vec())
}

fn ip_header_len(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { 20 } else { 40 }
}
