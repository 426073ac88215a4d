//! Packets of the stack, read by a decoder that shares no code with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Ends, protocol, pseudo_header, sum};
use crate::language::ast::{Tcp, TcpOption, flag};

/// A packet of the stack, its numbers absolute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    /// The ports are zero where there are none.
    pub(crate) ends: Ends,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) flow_label: u32,
    /// The packet may not be cut on its way; IPv6's never may.
    pub(crate) dont_fragment: bool,
    pub(crate) body: DecodedBody,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DecodedBody {
    Tcp(Tcp),
    Udp { payload: u32 },
    Icmp { v6: bool, kind: u8, code: u8, rest: [u8; 4], payload: Vec<u8> },
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn need(bytes: &[u8], len: usize, what: &str) -> Result<(), String> {
    if bytes.len() < len { Err(format!("a {what} of {} bytes", bytes.len())) } else { Ok(()) }
}

struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    tos: u8,
    ttl: u8,
    flow_label: u32,
    dont_fragment: bool,
    protocol: u8,
    payload: &'a [u8],
}

fn ipv4(bytes: &[u8]) -> Result<Ip<'_>, String> {
    need(bytes, 20, "IPv4 header")?;
    let header = usize::from(bytes[0] & 15) * 4;
    if header < 20 || header > bytes.len() {
        return Err(format!("an IPv4 header of {header} bytes"));
    }
    if usize::from(u16_at(bytes, 2)) != bytes.len() {
        return Err(format!("an IPv4 length of {} in {} bytes", u16_at(bytes, 2), bytes.len()));
    }
    if sum(&[&bytes[..header]]) != 0xffff {
        return Err("a wrong IPv4 checksum".into());
    }
    if u16_at(bytes, 6) & 0x3fff != 0 {
        return Err("a fragment".into());
    }
    let address = |at: usize| IpAddr::V4(Ipv4Addr::from(u32_at(bytes, at)));
    Ok(Ip {
        source: address(12),
        destination: address(16),
        tos: bytes[1],
        ttl: bytes[8],
        flow_label: 0,
        dont_fragment: bytes[6] & 0x40 != 0,
        protocol: bytes[9],
        payload: &bytes[header..],
    })
}

fn ipv6(bytes: &[u8]) -> Result<Ip<'_>, String> {
    need(bytes, 40, "IPv6 header")?;
    if usize::from(u16_at(bytes, 4)) != bytes.len() - 40 {
        return Err(format!("an IPv6 length of {} in {} bytes", u16_at(bytes, 4), bytes.len()));
    }
    let address = |at: usize| {
        let octets: [u8; 16] = bytes[at..at + 16].try_into().unwrap_or_default();
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let first = u32_at(bytes, 0);
    Ok(Ip {
        source: address(8),
        destination: address(24),
        tos: (first >> 20) as u8,
        ttl: bytes[7],
        flow_label: first & 0xf_ffff,
        dont_fragment: true,
        protocol: bytes[6],
        payload: &bytes[40..],
    })
}

/// Reads a packet.
///
/// # Errors
///
/// What is wrong with it: lengths, checksums, payload that is not zeros.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let ip = match bytes.first().map(|first| first >> 4) {
        Some(4) => ipv4(bytes)?,
        Some(6) => ipv6(bytes)?,
        _ => return Err("neither IPv4 nor IPv6".into()),
    };
    let transport_sums = |name: &str| {
        let pseudo = pseudo_header(ip.source, ip.destination, ip.protocol, ip.payload.len());
        if sum(&[&pseudo, ip.payload]) == 0xffff { Ok(()) } else { Err(format!("a wrong {name} checksum")) }
    };
    let mut ports = (0, 0);
    let body = match ip.protocol {
        protocol::TCP => {
            let segment = tcp(ip.payload)?;
            transport_sums("TCP")?;
            ports = (u16_at(ip.payload, 0), u16_at(ip.payload, 2));
            DecodedBody::Tcp(segment)
        }
        protocol::UDP => {
            need(ip.payload, 8, "UDP header")?;
            if usize::from(u16_at(ip.payload, 4)) != ip.payload.len() {
                return Err("a wrong UDP length".into());
            }
            if u16_at(ip.payload, 6) != 0 || ip.source.is_ipv6() {
                transport_sums("UDP")?;
            }
            all_zero(&ip.payload[8..])?;
            ports = (u16_at(ip.payload, 0), u16_at(ip.payload, 2));
            DecodedBody::Udp { payload: ip.payload.len() as u32 - 8 }
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let v6 = ip.protocol == protocol::ICMPV6;
            need(ip.payload, 8, "ICMP header")?;
            if v6 {
                transport_sums("ICMPv6")?;
            } else if sum(&[ip.payload]) != 0xffff {
                return Err("a wrong ICMP checksum".into());
            }
            DecodedBody::Icmp {
                v6,
                kind: ip.payload[0],
                code: ip.payload[1],
                rest: u32_at(ip.payload, 4).to_be_bytes(),
                payload: ip.payload[8..].to_vec(),
            }
        }
        other => return Err(format!("protocol {other}")),
    };
    let ends = Ends {
        source: SocketAddr::new(ip.source, ports.0),
        destination: SocketAddr::new(ip.destination, ports.1),
    };
    let Ip { tos, ttl, flow_label, dont_fragment, .. } = ip;
    Ok(Decoded { ends, tos, ttl, flow_label, dont_fragment, body })
}

/// Scripts write zeros only, so anything else came from where it should not.
fn all_zero(payload: &[u8]) -> Result<(), String> {
    match payload.iter().position(|&byte| byte != 0) {
        None => Ok(()),
        Some(at) => Err(format!("byte {at} of the payload is {:#04x}, not zero", payload[at])),
    }
}

fn tcp(bytes: &[u8]) -> Result<Tcp, String> {
    need(bytes, 20, "TCP header")?;
    let header = usize::from(bytes[12] >> 4) * 4;
    if header < 20 || header > bytes.len() {
        return Err(format!("a TCP header of {header} bytes"));
    }
    if bytes[12] & 0x0e != 0 {
        return Err("reserved bits set in the TCP header".into());
    }
    let flags = u16_at(bytes, 12) & 0x1ff;
    let options = tcp_options(&bytes[20..header])?;
    all_zero(&bytes[header..])?;
    let ack = u32_at(bytes, 8);
    let urgent = u16_at(bytes, 18);
    if flags & flag::ACK == 0 && ack != 0 {
        return Err("an acknowledgement number without its flag".into());
    }
    if flags & flag::URG == 0 && urgent != 0 {
        return Err("an urgent pointer without its flag".into());
    }
    Ok(Tcp {
        flags,
        seq: u32_at(bytes, 4),
        payload: (bytes.len() - header) as u32,
        ack: (flags & flag::ACK != 0).then_some(ack),
        window: Some(u16_at(bytes, 14)),
        urgent: (flags & flag::URG != 0).then_some(urgent),
        options: Some(options),
    })
}

fn tcp_options(mut bytes: &[u8]) -> Result<Vec<TcpOption>, String> {
    let mut options = Vec::new();
    while let Some(&kind) = bytes.first() {
        if kind < 2 {
            options.push(if kind == 1 { TcpOption::Nop } else { TcpOption::End });
            bytes = &bytes[1..];
            continue;
        }
        let len = bytes.get(1).map_or(0, |&len| usize::from(len));
        if len < 2 || len > bytes.len() {
            return Err(format!("TCP option {kind} of {len} bytes"));
        }
        let (option, rest) = bytes.split_at(len);
        options.push(match (kind, len) {
            (2, 4) => TcpOption::Mss(u16_at(option, 2)),
            (3, 3) => TcpOption::WindowScale(option[2]),
            (4, 2) => TcpOption::SackPermitted,
            (5, 10 | 18 | 26 | 34) => {
                let blocks = option[2..].chunks(8).map(|block| (u32_at(block, 0), u32_at(block, 4)));
                TcpOption::Sack(blocks.collect())
            }
            (8, 10) => TcpOption::Timestamps { value: u32_at(option, 2), echo: u32_at(option, 6) },
            (28, 4) => TcpOption::UserTimeout(u16_at(option, 2)),
            _ => TcpOption::Raw(option.to_vec()),
        });
        bytes = rest;
    }
    Ok(options)
}
