//! A link for tests of neighbour discovery: messages of its routers and hosts made here, what stacks send judged by an
//! independent decoder.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file takes what it needs")]

use std::net::Ipv6Addr;
use std::rc::Rc;
use std::time::Duration;

use coracle::wire::ipv6::{self, Ipv6Fields, group};
use coracle::wire::ndp::{AdvertisementFields, Preference, PrefixFields, Writer};
use coracle::*;
use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice, NdpOptionsIterator};
use etherparse::{Icmpv6Slice, NetSlice, SlicedPacket, TransportSlice};

use crate::common::{Host, OUR_MAC, Setup};

pub const ROUTER_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
pub const OTHER_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 3);
pub const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3);
pub const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
pub const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

pub fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A host whose interface is up, with nothing of what it has sent thrown away.
pub fn host_with(ipv6: Ipv6Settings, change: impl FnOnce(&mut Setup)) -> Host {
    let mut setup = Setup { netif: NetifConfig::ethernet(OUR_MAC).ipv6(ipv6), ..Setup::default() };
    setup.limits.ipv6_addresses = 12;
    setup.limits.learned_routes = 16;
    setup.limits.advertised_resolvers = 3;
    change(&mut setup);
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, setup.memory).unwrap();
    let mut stack = Stack::new(&mut arena, setup.limits, memory, setup.config).unwrap();
    let netif = stack.netif_add(&setup.netif).unwrap();
    let mut host = Host { stack, netif, log: Rc::default(), now: Instant::from_secs(1) };
    host.poll();
    host.stack.netif(netif).unwrap().set_up(true).unwrap();
    host.poll();
    host
}

pub fn host() -> Host {
    host_with(Ipv6Settings::AUTO, |_| {})
}

/// One that has its link-local address and has asked for routers once.
pub fn settled() -> Host {
    let mut host = host();
    host.advance(Duration::from_millis(2_500));
    seen(&mut host);
    host
}

/// A message of neighbour discovery that a stack sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub to_station: MacAddr,
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub kind: u8,
    pub flags: u8,
    /// Of a neighbour message or redirect.
    pub target: Option<Ipv6Addr>,
    pub options: Vec<Vec<u8>>,
}

impl Message {
    pub fn has_option(&self, kind: u8) -> bool {
        self.options.iter().any(|option| option[0] == kind)
    }
}

/// What the host has sent since this was last asked; everything has to be neighbour discovery, or a report of groups,
/// which is left out.
pub fn seen(host: &mut Host) -> Vec<Message> {
    sent(host).iter().map(|frame| message(frame).expect("neighbour discovery")).collect()
}

/// The frames that the host has sent since this was last asked, but for reports of groups.
pub fn sent(host: &mut Host) -> Vec<Vec<u8>> {
    let mut frames = host.sent_raw(host.netif);
    frames.retain(|frame| !is_report(frame));
    frames
}

/// Whether a frame is a report of multicast groups: with a hop-by-hop header, type 143.
fn is_report(frame: &[u8]) -> bool {
    (frame.get(20), frame.get(62)) == (Some(&0), Some(&143))
}

/// Takes a frame apart as another decoder does; `None` if it is not of neighbour discovery.
pub fn message(frame: &[u8]) -> Option<Message> {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv6(net)) = &packet.net else { return None };
    let header = net.header();
    let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else { return None };
    assert!(icmp.is_checksum_valid(header.source(), header.destination()));
    if !(133..=137).contains(&icmp.type_u8()) {
        return None;
    }
    assert_eq!((header.hop_limit(), icmp.code_u8()), (255, 0));
    let (target, options) = contents(icmp);
    let options = NdpOptionsIterator::from_slice(options).map(|option| option.unwrap().as_bytes().to_vec());
    Some(Message {
        to_station: MacAddr(frame[..6].try_into().unwrap()),
        source: header.source_addr(),
        destination: header.destination_addr(),
        kind: icmp.type_u8(),
        flags: icmp.slice()[4],
        target,
        options: options.collect(),
    })
}

fn contents<'a>(icmp: &Icmpv6Slice<'a>) -> (Option<Ipv6Addr>, &'a [u8]) {
    match icmp.payload_slice().unwrap() {
        Icmpv6PayloadSlice::RouterSolicitation(message) => (None, message.options()),
        Icmpv6PayloadSlice::RouterAdvertisement(message) => (None, message.options()),
        Icmpv6PayloadSlice::NeighborSolicitation(message) => {
            (Some(message.target_address()), message.options())
        }
        Icmpv6PayloadSlice::NeighborAdvertisement(message) => {
            (Some(message.target_address()), message.options())
        }
        Icmpv6PayloadSlice::Redirect(message) => (Some(message.target_address()), message.options()),
        other => panic!("{other:?}"),
    }
}

/// Whether an advertisement says what prefix it is about, as another decoder reads it.
pub fn prefix_option(option: &[u8]) -> Option<(Ipv6Addr, u8)> {
    let mut options = NdpOptionsIterator::from_slice(option);
    match options.next() {
        Some(Ok(NdpOptionSlice::PrefixInformation(prefix))) => {
            Some((prefix.prefix().into(), prefix.prefix_length()))
        }
        _ => None,
    }
}

/// A frame with a packet of IPv6.
pub fn packet(
    (from_mac, to_mac): (MacAddr, MacAddr),
    (source, destination): (Ipv6Addr, Ipv6Addr),
    (next_header, hop_limit): (u8, u8),
    payload: &[u8],
) -> Vec<u8> {
    let mut header = [0; ipv6::HEADER_LEN];
    let fields = Ipv6Fields {
        payload_len: payload.len() as u16,
        next_header,
        hop_limit,
        source,
        destination,
        ..Ipv6Fields::default()
    };
    ipv6::write_header(&mut header, &fields);
    let to = if destination.is_multicast() { MacAddr::multicast_v6(destination) } else { to_mac };
    [&to.0[..], &from_mac.0, &[0x86, 0xdd], &header, payload].concat()
}

/// Lets the host hear a message of neighbour discovery.
pub fn say(
    host: &mut Host,
    from_mac: MacAddr,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    write: impl FnOnce(&mut [u8]) -> Writer<'_>,
) {
    let mut bytes = vec![0; 1_200];
    let len = write(&mut bytes).finish(source, destination).unwrap();
    host.input(packet((from_mac, OUR_MAC), (source, destination), (58, 255), &bytes[..len]));
}

/// A router advertisement with these options, to all.
pub fn advertise(
    host: &mut Host,
    (mac, router): (MacAddr, Ipv6Addr),
    fields: &AdvertisementFields,
    options: impl FnOnce(&mut Writer<'_>),
) {
    say(host, mac, router, group::ALL_NODES, |into| {
        let mut writer = Writer::router_advertisement(into, fields);
        writer.source_station(mac);
        options(&mut writer);
        writer
    });
}

/// What a router says of itself alone.
pub fn lifetime(lifetime: u16) -> AdvertisementFields {
    AdvertisementFields { lifetime, ..AdvertisementFields::default() }
}

pub fn preferred(lifetime: u16, preference: Preference) -> AdvertisementFields {
    AdvertisementFields { lifetime, preference, ..AdvertisementFields::default() }
}

pub fn prefix(prefix: Ipv6Addr, preferred: u32, valid: u32) -> PrefixFields {
    PrefixFields { prefix, prefix_len: 64, on_link: true, autonomous: true, valid, preferred }
}

/// The router of the link, with a prefix.
pub fn usual_router(host: &mut Host) {
    advertise(host, (ROUTER_MAC, ROUTER), &lifetime(1_800), |writer| {
        writer.prefix(&prefix(PREFIX, 14_400, 86_400));
    });
}

/// An answer to a solicitation for `target`.
pub fn answer(host: &mut Host, mac: MacAddr, target: Ipv6Addr, to: Ipv6Addr, flags: (bool, bool, bool)) {
    say(host, mac, target, to, |into| {
        let mut writer = Writer::neighbour_advertisement(into, target, flags.0, flags.1, flags.2);
        writer.target_station(mac);
        writer
    });
}

/// Its addresses and their states, link-local ones last.
pub fn addresses(host: &mut Host) -> Vec<(Ipv6Addr, AddressState)> {
    let netif = host.stack.netif(host.netif).unwrap();
    let mut addresses: Vec<_> =
        netif.ipv6_addresses().map(|address| (address.address, address.state)).collect();
    addresses.sort_by_key(|(address, _)| *address);
    addresses
}

pub fn link_local(host: &mut Host) -> Ipv6Addr {
    let all = addresses(host);
    all.iter().find(|(address, _)| address.is_unicast_link_local()).expect("a link-local address").0
}

/// The address of a prefix.
pub fn of_prefix(host: &mut Host, prefix: Ipv6Addr) -> Option<(Ipv6Addr, AddressState)> {
    addresses(host).into_iter().find(|(address, _)| address.octets()[..8] == prefix.octets()[..8])
}

/// The neighbour by which packets to a destination leave.
pub fn way(host: &mut Host, destination: Ipv6Addr) -> Option<Ipv6Addr> {
    match host.stack.route(destination.into()) {
        Ok((_, std::net::IpAddr::V6(next))) => Some(next),
        _ => None,
    }
}

pub fn neighbour(host: &mut Host, address: Ipv6Addr) -> Option<(NeighbourState, Option<MacAddr>)> {
    let found = host.stack.neighbours().find(|entry| entry.address == address)?;
    Some((found.state, found.station))
}

/// The source of a datagram to somebody whose first hop is known.
pub fn source_towards(host: &mut Host, destination: Ipv6Addr) -> Ipv6Addr {
    host.sent_raw(host.netif);
    let app = host.app("sender");
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"data", (destination, 9).into()).unwrap();
    host.stack.udp_remove(udp).unwrap();
    let frames = host.sent_raw(host.netif);
    let packet = SlicedPacket::from_ethernet(&frames[0]).unwrap();
    let Some(NetSlice::Ipv6(net)) = &packet.net else { panic!("{frames:?}") };
    net.header().source_addr()
}
