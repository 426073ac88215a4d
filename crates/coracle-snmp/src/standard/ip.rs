//! IP-MIB [RFC 4293], IP-FORWARD-MIB [RFC 4292], and what older managers walk instead of them [RFC 1213].

use core::net::{IpAddr, Ipv4Addr};

use coracle::{AddressState, IcmpCounters, IpCounters, Neighbour, NeighbourState, Route};

use super::address;
use crate::mib::{Column, Context, Listed, Node, Output, Scalars, Table};
use crate::oid::Oid;

/// IP: counters, addresses, neighbours; ICMP; routes.
pub const IP: &[Node<'static>] = &[
    Node::new(&[1, 3, 6, 1, 2, 1, 3, 1, 1], AT_COLUMNS, &Listed(Neighbours { old: true, translation: true })),
    Node::new(&[1, 3, 6, 1, 2, 1, 4], IP_COLUMNS, &Scalars(scalars)),
    Node::new(&[1, 3, 6, 1, 2, 1, 4, 20, 1], OLD_ADDRESS_COLUMNS, &Listed(OldAddresses)),
    Node::new(&[1, 3, 6, 1, 2, 1, 4, 21, 1], OLD_ROUTE_COLUMNS, &Listed(OldRoutes)),
    Node::new(
        &[1, 3, 6, 1, 2, 1, 4, 22, 1],
        OLD_MEDIA_COLUMNS,
        &Listed(Neighbours { old: true, translation: false }),
    ),
    Node::new(&[1, 3, 6, 1, 2, 1, 4], &[Column::counter(23)], &Scalars(zero)),
    Node::new(&[1, 3, 6, 1, 2, 1, 4, 24], &[Column::gauge(6)], &Scalars(route_count)),
    Node::new(&[1, 3, 6, 1, 2, 1, 4, 24, 7, 1], ROUTE_COLUMNS, &Listed(Routes)),
    Node::new(&[1, 3, 6, 1, 2, 1, 4], &[Column::integer(25), Column::integer(26)], &Scalars(scalars_v6)),
    Node::new(&[1, 3, 6, 1, 2, 1, 4, 31, 1, 1], SYSTEM_COLUMNS, &Listed(SystemStats)),
    Node::new(&[1, 3, 6, 1, 2, 1, 4, 34, 1], ADDRESS_COLUMNS, &Listed(Addresses)),
    Node::new(
        &[1, 3, 6, 1, 2, 1, 4, 35, 1],
        MEDIA_COLUMNS,
        &Listed(Neighbours { old: false, translation: false }),
    ),
    Node::new(&[1, 3, 6, 1, 2, 1, 5], OLD_ICMP_COLUMNS, &Scalars(old_icmp)),
    Node::new(&[1, 3, 6, 1, 2, 1, 5, 29, 1], ICMP_COLUMNS, &Listed(IcmpStats)),
];

fn zero(_cx: &Context<'_>, _id: u32, out: &mut Output<'_, '_>) {
    out.counter(0);
}

const IP_COLUMNS: &[Column] = &[
    Column::integer(1),
    Column::integer(2),
    Column::counter(3),
    Column::counter(4),
    Column::counter(5),
    Column::counter(6),
    Column::counter(7),
    Column::counter(8),
    Column::counter(9),
    Column::counter(10),
    Column::counter(11),
    Column::counter(12),
    Column::integer(13),
    Column::counter(14),
    Column::counter(15),
    Column::counter(16),
    Column::counter(17),
    Column::counter(18),
    Column::counter(19),
];

/// Packets with headers that are none.
fn header_errors(ip: &IpCounters) -> u32 {
    [ip.truncated, ip.bad_length, ip.bad_version, ip.bad_checksum, ip.bad_options, ip.source_routed]
        .iter()
        .fold(0, |sum, count| sum.wrapping_add(*count))
}

/// Packets for or from an address that cannot be.
fn address_errors(ip: &IpCounters) -> u32 {
    ip.bad_source.wrapping_add(ip.not_for_us).wrapping_add(ip.link_broadcast)
}

/// Packets that could not be sent, and for which there is no other counter.
fn out_discards(ip: &IpCounters) -> u32 {
    ip.too_big.wrapping_add(ip.queue_full)
}

/// 1 for a router, which forwards on an interface at least; 2 for a host.
fn forwarding(cx: &Context<'_>) -> i32 {
    let forwards =
        |place| cx.stack.and_then(|stack| stack.netif_at(place)).is_some_and(|view| view.forwarding);
    let places = cx.stack.map_or(0, |stack| stack.netif_places());
    if (0..places).any(forwards) { 1 } else { 2 }
}

fn scalars(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
    let Some(stack) = cx.stack else { return };
    let ip = &stack.counters().ip;
    match id {
        1 => out.integer(forwarding(cx)),
        2 => out.integer(i32::from(stack.config().default_ttl)),
        3 => out.counter(ip.received),
        4 => out.counter(header_errors(ip)),
        5 => out.counter(address_errors(ip)),
        6 => out.counter(ip.forwarded),
        7 => out.counter(ip.unknown_protocol),
        8 => out.counter(ip.memory),
        9 => out.counter(ip.delivered),
        10 => out.counter(ip.sent),
        11 => out.counter(out_discards(ip)),
        12 => out.counter(ip.no_route),
        13 => out.integer(60),
        14 => out.counter(ip.fragments),
        15 => out.counter(ip.reassembled),
        16 => out.counter(ip.reassembly_failed),
        17 => out.counter(ip.fragmented),
        19 => out.counter(ip.fragments_sent),
        _ => out.counter(0),
    }
}

/// `ipv6IpForwarding` and `ipv6IpDefaultHopLimit`.
fn scalars_v6(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
    let Some(stack) = cx.stack else { return };
    out.integer(if id == 25 { forwarding(cx) } else { i32::from(stack.config().default_ttl) });
}

const SYSTEM_COLUMNS: &[Column] = &[
    Column::counter(3),
    Column::counter64(4),
    Column::counter(7),
    Column::counter(8),
    Column::counter(9),
    Column::counter(10),
    Column::counter(17),
    Column::counter(18),
    Column::counter64(19),
    Column::counter(20),
    Column::counter64(21),
    Column::counter(22),
    Column::counter(25),
    Column::counter(30),
    Column::counter64(31),
    Column::ticks(46),
    Column::gauge(47),
];

/// `ipSystemStatsTable`: a row for each version of IP.
struct SystemStats;

impl Table for SystemStats {
    fn len(&self, cx: &Context<'_>) -> usize {
        if cx.stack.is_some() { 2 } else { 0 }
    }

    fn index(&self, _cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(stack) = cx.stack else { return };
        let counters = stack.counters();
        let ip = if place == 0 { &counters.ip } else { &counters.ip6 };
        match column {
            3 => out.counter(ip.received),
            4 => out.counter64(u64::from(ip.received)),
            7 => out.counter(header_errors(ip)),
            9 => out.counter(address_errors(ip)),
            10 => out.counter(ip.unknown_protocol),
            17 => out.counter(ip.memory),
            18 => out.counter(ip.delivered),
            19 => out.counter64(u64::from(ip.delivered)),
            20 | 30 => out.counter(ip.sent),
            21 | 31 => out.counter64(u64::from(ip.sent)),
            22 => out.counter(ip.no_route),
            25 => out.counter(out_discards(ip)),
            46 => out.ticks(0),
            // How often it makes sense to look, in milliseconds.
            47 => out.gauge(1000),
            _ => out.counter(0),
        }
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

const OLD_ADDRESS_COLUMNS: &[Column] =
    &[Column::address(1), Column::integer(2), Column::address(3), Column::integer(4), Column::integer(5)];

/// `ipAddrTable`.
struct OldAddresses;

impl Table for OldAddresses {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.stack.map_or(0, |stack| stack.netif_places())
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let view = cx.stack.and_then(|stack| stack.netif_at(place));
        let address = view.map(|view| view.ipv4.address).filter(|address| !address.is_unspecified());
        address.is_some_and(|address| index.extend_bytes(&address.octets()).is_ok())
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(view) = cx.stack.and_then(|stack| stack.netif_at(place)) else { return };
        match column {
            1 => out.address(view.ipv4.address),
            2 => out.integer(i32::from(view.handle.index())),
            3 => out.address(view.ipv4.netmask),
            4 => out.integer(1),
            _ => out.integer(65_535),
        }
    }
}

const ADDRESS_COLUMNS: &[Column] = &[
    Column::integer(3),
    Column::integer(4),
    Column::oid(5),
    Column::integer(6),
    Column::integer(7),
    Column::ticks(8),
    Column::ticks(9),
    Column::integer(10),
    Column::integer(11),
];

/// `ipAddressTable`.
struct Addresses;

impl Table for Addresses {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.stack.map_or(0, |stack| stack.address_places())
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let view = cx.stack.and_then(|stack| stack.address_at(place));
        view.is_some_and(|view| address::push(index, view.address))
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(view) = cx.stack.and_then(|stack| stack.address_at(place)) else { return };
        match column {
            3 => out.integer(i32::from(view.netif.index())),
            4 | 10 => out.integer(1),
            5 => out.oid(&[0, 0]),
            6 | 11 => out.integer(2),
            7 => out.integer(match view.state {
                AddressState::Preferred => 1,
                AddressState::Deprecated => 2,
                AddressState::Tentative => 6,
                AddressState::Duplicated => 7,
                AddressState::Optimistic => 8,
            }),
            _ => out.ticks(0),
        }
    }
}

const AT_COLUMNS: &[Column] = &[Column::integer(1), Column::octets(2), Column::address(3)];
const OLD_MEDIA_COLUMNS: &[Column] =
    &[Column::integer(1), Column::octets(2), Column::address(3), Column::integer(4)];
const MEDIA_COLUMNS: &[Column] =
    &[Column::octets(4), Column::ticks(5), Column::integer(6), Column::integer(7), Column::integer(8)];

/// `ipNetToPhysicalTable`, and the old `ipNetToMediaTable` and `atTable`.
struct Neighbours {
    /// Only those of IPv4 that are known, indexed in the old way.
    old: bool,
    translation: bool,
}

impl Neighbours {
    fn at(&self, cx: &Context<'_>, place: usize) -> Option<Neighbour> {
        let neighbour = cx.stack?.neighbour_at(place)?;
        let shown = !self.old || neighbour.address.is_ipv4() && neighbour.station.is_some();
        shown.then_some(neighbour)
    }
}

impl Table for Neighbours {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.stack.map_or(0, |stack| stack.neighbour_places())
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let Some(neighbour) = self.at(cx, place) else { return false };
        if index.push(u32::from(neighbour.netif.index())).is_err() {
            return false;
        }
        match neighbour.address {
            IpAddr::V4(old) if self.old => {
                (!self.translation || index.push(1).is_ok()) && index.extend_bytes(&old.octets()).is_ok()
            }
            any => address::push(index, any),
        }
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(neighbour) = self.at(cx, place) else { return };
        let station = neighbour.station.map_or([0; 6], |station| station.0);
        let fixed = neighbour.state == NeighbourState::Static;
        match (self.old, column) {
            (true, 1) => out.integer(i32::from(neighbour.netif.index())),
            (true, 2) | (false, 4) => {
                out.octets(if neighbour.station.is_some() { &station } else { &[] });
            }
            (true, 3) => {
                if let IpAddr::V4(address) = neighbour.address {
                    out.address(address);
                }
            }
            (true, _) | (false, 6) => out.integer(if fixed { 4 } else { 3 }),
            (false, 5) => out.ticks(0),
            (false, 7) => out.integer(match neighbour.state {
                NeighbourState::Incomplete => 7,
                NeighbourState::Reachable | NeighbourState::Static => 1,
                NeighbourState::Stale => 2,
                NeighbourState::Delay => 3,
                NeighbourState::Refreshing | NeighbourState::Probe => 4,
            }),
            (false, _) => out.integer(1),
        }
    }
}

const OLD_ROUTE_COLUMNS: &[Column] = &[
    Column::address(1),
    Column::integer(2),
    Column::integer(3),
    Column::address(7),
    Column::integer(8),
    Column::integer(9),
    Column::address(11),
];

/// `ipRouteTable`.
struct OldRoutes;

impl OldRoutes {
    /// A route of IPv4, and its network. Of several to one network the best is shown: the table has room for one.
    fn at(cx: &Context<'_>, place: usize) -> Option<(Route, Ipv4Addr)> {
        let stack = cx.stack?;
        let route = stack.route_at(place)?;
        let IpAddr::V4(network) = route.prefix else { return None };
        let same = |earlier| stack.route_at(earlier).is_some_and(|earlier| earlier.prefix == route.prefix);
        (!(0..place).any(same)).then_some((route, network))
    }
}

impl Table for OldRoutes {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.stack.map_or(0, |stack| stack.route_places())
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        Self::at(cx, place).is_some_and(|(_, network)| index.extend_bytes(&network.octets()).is_ok())
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some((route, network)) = Self::at(cx, place) else { return };
        match column {
            1 => out.address(network),
            2 => out.integer(i32::from(route.netif.index())),
            3 => out.integer(i32::from(route.metric)),
            7 => out.address(match route.gateway {
                Some(IpAddr::V4(gateway)) => gateway,
                _ => Ipv4Addr::UNSPECIFIED,
            }),
            8 => out.integer(route_type(&route)),
            9 => out.integer(2),
            _ => {
                let bits = u32::MAX.checked_shl(32 - u32::from(route.prefix_len.min(32))).unwrap_or(0);
                out.address(Ipv4Addr::from_bits(bits));
            }
        }
    }
}

/// On the link, or behind a router.
fn route_type(route: &Route) -> i32 {
    if route.gateway.is_some() { 4 } else { 3 }
}

const ROUTE_COLUMNS: &[Column] = &[
    Column::integer(7),
    Column::integer(8),
    Column::integer(9),
    Column::gauge(10),
    Column::gauge(11),
    Column::integer(12),
    Column::integer(13),
    Column::integer(14),
    Column::integer(15),
    Column::integer(16),
    Column::integer(17),
];

/// `inetCidrRouteTable`.
struct Routes;

impl Table for Routes {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.stack.map_or(0, |stack| stack.route_places())
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let Some(route) = cx.stack.and_then(|stack| stack.route_at(place)) else { return false };
        let unspecified = address::unspecified(route.prefix);
        // The policy is the interface: routes that differ in nothing else are told apart by it.
        let policy = [0, 0, u32::from(route.netif.index())];
        address::push(index, route.prefix)
            && index.push(u32::from(route.prefix_len)).is_ok()
            && index.push(policy.len() as u32).and_then(|()| index.extend(&policy)).is_ok()
            && address::push(index, route.gateway.unwrap_or(unspecified))
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(route) = cx.stack.and_then(|stack| stack.route_at(place)) else { return };
        match column {
            7 => out.integer(i32::from(route.netif.index())),
            8 => out.integer(route_type(&route)),
            9 => out.integer(if route.gateway.is_some() { 3 } else { 2 }),
            10 | 11 => out.gauge(0),
            12 => out.integer(i32::from(route.metric)),
            17 => out.integer(1),
            _ => out.integer(-1),
        }
    }
}

fn route_count(cx: &Context<'_>, _id: u32, out: &mut Output<'_, '_>) {
    if let Some(stack) = cx.stack {
        out.gauge(stack.route_places() as u32);
    }
}

const OLD_ICMP_COLUMNS: &[Column] = &[
    Column::counter(1),
    Column::counter(2),
    Column::counter(8),
    Column::counter(14),
    Column::counter(15),
    Column::counter(22),
];

/// Messages that are none.
fn icmp_errors(icmp: &IcmpCounters) -> u32 {
    icmp.truncated.wrapping_add(icmp.bad_checksum).wrapping_add(icmp.bad_quote)
}

/// The icmp group as far as the stack counts: echo requests answered stand for those received, and replies sent.
fn old_icmp(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
    let Some(stack) = cx.stack else { return };
    let icmp = &stack.counters().icmp;
    match id {
        1 => out.counter(icmp.received),
        2 => out.counter(icmp_errors(icmp)),
        14 => out.counter(icmp.sent),
        15 => out.counter(icmp.send_failed),
        _ => out.counter(icmp.echo_replies),
    }
}

const ICMP_COLUMNS: &[Column] =
    &[Column::counter(2), Column::counter(3), Column::counter(4), Column::counter(5)];

/// `icmpStatsTable`: a row for each version of IP.
struct IcmpStats;

impl Table for IcmpStats {
    fn len(&self, cx: &Context<'_>) -> usize {
        if cx.stack.is_some() { 2 } else { 0 }
    }

    fn index(&self, _cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(stack) = cx.stack else { return };
        let counters = stack.counters();
        let icmp = if place == 0 { &counters.icmp } else { &counters.icmp6 };
        out.counter(match column {
            2 => icmp.received,
            3 => icmp_errors(icmp),
            4 => icmp.sent,
            _ => icmp.send_failed,
        });
    }

    fn is_sorted(&self) -> bool {
        true
    }
}
