use std::net::Ipv6Addr;

use crate::frames::{Ipv6, icmp, udp};
use crate::judge::check;
use crate::mutate::{Seed, ipv6};
use crate::pcap::LinkType;
use crate::repair::{repair, repair_ipv6};

const ONE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const TWO: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn good() -> Vec<Seed> {
    ipv6::seeds()
}

fn wrong(packet: &[u8]) -> String {
    check(packet, LinkType::Ip).unwrap_err()
}

#[test]
fn no_cut_frame_passes() {
    for seed in good() {
        for len in 0..seed.frame.len() {
            assert!(check(&seed.frame[..len], LinkType::Ethernet).is_err(), "{len} bytes of {}", seed.name);
        }
    }
}

/// Whatever a checksum covers: the addresses, and the upper layer's message.
#[test]
fn a_changed_byte_under_a_checksum_is_found() {
    for seed in good() {
        let whole = !seed.name.contains("fragment") && !seed.name.contains("unknown");
        let covered = (22..54).chain(seed.layers.last().unwrap().at.max(54)..seed.frame.len());
        for at in covered.filter(|_| whole) {
            let mut frame = seed.frame.clone();
            frame[at] ^= 0x55;
            assert!(check(&frame, LinkType::Ethernet).is_err(), "byte {at} of {}", seed.name);
        }
    }
}

#[test]
fn addresses_that_nobody_sends_are_found() {
    let echo = icmp(128, 0, [0; 4], b"");
    let from = |source| wrong(&Ipv6::new(source, TWO).packet(58, &echo));
    assert_eq!(from(ALL), "a source that is not one host");
    assert_eq!(from("::ffff:192.0.2.1".parse().unwrap()), "an IPv4 address in an IPv6 header");
    let to_none = Ipv6::new(ONE, Ipv6Addr::UNSPECIFIED).packet(58, &echo);
    assert_eq!(wrong(&to_none), "a destination that is none");
    let mut unsummed = Ipv6::new(ONE, TWO).packet(17, &udp(1, 2, b"data"));
    unsummed[46..48].fill(0);
    assert_eq!(wrong(&unsummed), "UDP without a checksum");
}

#[test]
fn errors_that_must_not_be_are_found() {
    let packet = Ipv6::new(TWO, ONE).packet(17, &udp(1, 2, &[0; 1500]));
    let header = Ipv6::new(ONE, TWO);
    let long = header.packet(58, &icmp(1, 4, [0; 4], &packet));
    assert_eq!(wrong(&long), "an ICMPv6 error that makes a packet of more than 1280 bytes");
    let inner = header.packet(58, &icmp(1, 4, [0; 4], &packet[..100]));
    let outer = header.packet(58, &icmp(1, 4, [0; 4], &inner));
    assert_eq!(wrong(&outer), "an ICMPv6 error about an ICMPv6 error");
}

#[test]
fn wrong_neighbour_discovery_is_found() {
    let solicited = |header: &Ipv6, rest, options: &[u8]| {
        let body = [&TWO.octets()[..], options].concat();
        check(&header.packet(58, &icmp(135, 0, rest, &body)), LinkType::Ip)
    };
    let header = Ipv6::new(ONE, TWO).hop_limit(255);
    let station = [1, 1, 2, 0, 0, 0, 0, 1];
    assert_eq!(solicited(&header, [0; 4], &station), Ok(()));
    let fails = |header: &Ipv6, rest, options: &[u8]| solicited(header, rest, options).unwrap_err();
    let far = header.clone().hop_limit(254);
    assert_eq!(fails(&far, [0; 4], &station), "neighbour discovery with another hop limit than 255");
    let reserved = "reserved bits of neighbour discovery that are set";
    assert_eq!(fails(&header, [1, 0, 0, 0], &station), reserved);
    let addresses = "neighbour discovery with addresses that are wrong";
    assert_eq!(fails(&Ipv6::new(ONE, ALL).hop_limit(255), [0; 4], &station), addresses);
    let group = "ff02::1:ff00:2".parse::<Ipv6Addr>().unwrap();
    let from_none = Ipv6::new(Ipv6Addr::UNSPECIFIED, group).hop_limit(255);
    assert_eq!(solicited(&from_none, [0; 4], &[]), Ok(()));
    assert_eq!(fails(&from_none, [0; 4], &station), "the link-layer address of no source");
    assert!(solicited(&header, [0; 4], &[1, 0, 2, 0, 0, 0, 0, 1]).is_err());

    let global = Ipv6::new(GLOBAL, ALL).hop_limit(255).packet(58, &icmp(134, 0, [0; 4], &[0; 8]));
    assert_eq!(wrong(&global), addresses);
}

#[test]
fn wrong_reports_of_listeners_are_found() {
    let routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
    let alert = [0, 5, 2, 0, 0, 1, 0];
    let right = Ipv6::new(ONE, routers).hop_limit(1).extension(0, &alert);
    let report = |header: &Ipv6, group: Ipv6Addr| {
        let body = [&[4, 0, 0, 0][..], &group.octets()].concat();
        check(&header.packet(58, &icmp(143, 0, [0, 0, 0, 1], &body)), LinkType::Ip)
    };
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    assert_eq!(report(&right, group), Ok(()));
    let fails = |header: &Ipv6, group| report(header, group).unwrap_err();
    assert_eq!(fails(&right.clone().hop_limit(64), group), "MLD with another hop limit than 1");
    let silent = Ipv6::new(ONE, routers).hop_limit(1);
    assert_eq!(fails(&silent, group), "MLD without hop-by-hop options");
    let other = silent.clone().extension(0, &[0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(fails(&other, group), "MLD without a router alert");
    let global = Ipv6::new(GLOBAL, routers).hop_limit(1).extension(0, &alert);
    assert_eq!(fails(&global, group), "MLD from another scope");
    assert_eq!(fails(&right, ALL), "a record of all nodes");
    assert_eq!(fails(&right, "ff01::5".parse().unwrap()), "a record of no group that is to be reported");
}

/// Repaired, a changed field is right again, behind extension headers too.
#[test]
fn checksums_are_repaired() {
    for seed in good().into_iter().filter(|seed| !seed.name.contains("fragment")) {
        let mut frame = seed.frame.clone();
        let last = frame.len() - 1;
        frame[last] ^= 0x55;
        repair(&mut frame, LinkType::Ethernet);
        assert!(frame[..last] != seed.frame[..last] || seed.name.contains("unknown"), "{}", seed.name);
        let sum_right = match check(&frame, LinkType::Ethernet) {
            Ok(()) => true,
            Err(error) => !error.contains("checksum"),
        };
        assert!(sum_right, "{}", seed.name);
    }
    repair_ipv6(&mut [0x60; 20]);
    repair_ipv6(&mut [0x60; 41]);
}
