//! IPv6 through the table: addresses in and out of `sockaddr_in6`, and packets.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod tool;

use std::net::Ipv6Addr;

use libc::{sockaddr_in6, socklen_t};
use tool::{Tool, call, fails};

const LEN: socklen_t = size_of::<sockaddr_in6>() as socklen_t;
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1);
const REMOTE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

fn address(host: Ipv6Addr, port: u16) -> sockaddr_in6 {
    sockaddr_in6 {
        sin6_family: libc::AF_INET6 as u16,
        sin6_port: port.to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: host.octets() },
        sin6_scope_id: 0,
    }
}

fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let total: u32 = words.sum();
    let folded = (total & 0xffff) + (total >> 16);
    (folded + (folded >> 16)) as u16
}

/// A datagram from the peer, or to it: both ends of the pseudo-header are the same two.
fn packet(data: &[u8]) -> Vec<u8> {
    let len = 8 + data.len() as u16;
    let mut udp = [9_u16, 7, len, 0].map(u16::to_be_bytes).concat();
    udp.extend(data);
    let pseudo =
        [&REMOTE.octets()[..], &LOCAL.octets(), &u32::from(len).to_be_bytes(), &[0, 0, 0, 17]].concat();
    let checksum = !sum(&[&pseudo, &udp]);
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    let header =
        [&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[17, 64], &REMOTE.octets(), &LOCAL.octets()].concat();
    [header, udp].concat()
}

#[test]
fn datagrams_go_both_ways() {
    let tool = Tool::new("local=fd3d:fa7b:d17d::1/48");
    let fd = call!(tool, socket, libc::AF_INET6, libc::SOCK_DGRAM, 0);
    assert!(fd >= 0);
    let local = address(Ipv6Addr::UNSPECIFIED, 7);
    assert_eq!(call!(tool, bind, fd, (&raw const local).cast(), LEN), 0);
    tool.inject(&packet(b"hello"));
    let (mut buffer, mut from, mut len) = ([0_u8; 8], address(Ipv6Addr::UNSPECIFIED, 0), LEN);
    let source = (&raw mut from).cast();
    assert_eq!(call!(tool, recvfrom, fd, buffer.as_mut_ptr().cast(), 8, 0, source, &raw mut len), 5);
    assert_eq!((&buffer[..5], len, from.sin6_port), (&b"hello"[..], LEN, 9_u16.to_be()));
    assert_eq!((from.sin6_family, from.sin6_addr.s6_addr), (10, REMOTE.octets()));
    let to = (&raw const from).cast();
    assert_eq!(call!(tool, sendto, fd, buffer.as_ptr().cast(), 5, 0, to, len), 5);
    let sent = tool.receive().unwrap().bytes;
    assert_eq!((sent[0] >> 4, sent[6], &sent[8..24]), (6, 17, &LOCAL.octets()[..]));
    assert_eq!((&sent[24..40], &sent[48..]), (&REMOTE.octets()[..], &b"hello"[..]));
}

#[test]
fn short_addresses_are_invalid() {
    let tool = Tool::new("");
    let fd = call!(tool, socket, libc::AF_INET6, libc::SOCK_STREAM, 0);
    let local = address(Ipv6Addr::UNSPECIFIED, 7);
    fails(call!(tool, bind, fd, (&raw const local).cast(), LEN - 5), libc::EINVAL);
    assert_eq!(call!(tool, bind, fd, (&raw const local).cast(), LEN - 4), 0, "without a scope, as of old");
    let other = call!(tool, socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    fails(call!(tool, bind, other, (&raw const local).cast(), LEN), libc::EAFNOSUPPORT);
}
