//! CORACLE-MIB: what no standard has a place for. Its definition for managers is `mibs/CORACLE-MIB.txt`.

use coracle::Counters;

use super::host::pools;
use crate::mib::{Column, Context, Listed, Node, Output, Scalars, Table};
use crate::oid::Oid;

/// Pools, reasons to drop, and the inside of TCP.
pub const CORACLE: &[Node<'static>] = &[
    Node::new(&[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 67, 1, 1, 1], POOL_COLUMNS, &Listed(Pools)),
    Node::new(
        &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 67, 1, 2, 1],
        &[Column::octets(2), Column::counter(3)],
        &Listed(Drops),
    ),
    Node::new(&[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 67, 1, 3], TCP_COLUMNS, &Scalars(tcp)),
];

const POOL_COLUMNS: &[Column] =
    &[Column::octets(2), Column::gauge(3), Column::gauge(4), Column::gauge(5), Column::counter(6)];

struct Pools;

impl Table for Pools {
    fn len(&self, cx: &Context<'_>) -> usize {
        if cx.stack.is_some() { 4 } else { 0 }
    }

    fn index(&self, _cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some((name, _, stats)) = pools(cx).and_then(|pools| pools.get(place).copied()) else { return };
        match column {
            2 => out.text(name),
            3 => out.gauge(stats.capacity as u32),
            4 => out.gauge(stats.used as u32),
            5 => out.gauge(stats.peak as u32),
            _ => out.counter(stats.failed as u32),
        }
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

/// A reason to drop, and its counter.
type Reason = (&'static str, fn(&Counters) -> u32);

/// The numbers of the rows are the places: new reasons come at the end.
const REASONS: &[Reason] = &[
    ("link: truncated", |counters| counters.link.truncated),
    ("link: not for us", |counters| counters.link.not_for_us),
    ("link: wrong VLAN", |counters| counters.link.wrong_vlan),
    ("link: unknown type", |counters| counters.link.unknown_type),
    ("link: down", |counters| counters.link.down),
    ("link: bad source", |counters| counters.link.bad_source),
    ("link: no memory", |counters| counters.link.memory),
    ("ARP: malformed", |counters| counters.arp.malformed),
    ("ARP: bad sender", |counters| counters.arp.bad_sender),
    ("ARP: packets given up", |counters| counters.arp.pending_dropped),
    ("IPv4: truncated", |counters| counters.ip.truncated),
    ("IPv4: bad length", |counters| counters.ip.bad_length),
    ("IPv4: bad version", |counters| counters.ip.bad_version),
    ("IPv4: bad checksum", |counters| counters.ip.bad_checksum),
    ("IPv4: bad source", |counters| counters.ip.bad_source),
    ("IPv4: bad options", |counters| counters.ip.bad_options),
    ("IPv4: source routed", |counters| counters.ip.source_routed),
    ("IPv4: not for us", |counters| counters.ip.not_for_us),
    ("IPv4: link broadcast", |counters| counters.ip.link_broadcast),
    ("IPv4: unknown protocol", |counters| counters.ip.unknown_protocol),
    ("IPv4: no route", |counters| counters.ip.no_route),
    ("IPv4: too big", |counters| counters.ip.too_big),
    ("IPv4: queue full", |counters| counters.ip.queue_full),
    ("IPv4: no memory", |counters| counters.ip.memory),
    ("IPv6: truncated", |counters| counters.ip6.truncated),
    ("IPv6: bad length", |counters| counters.ip6.bad_length),
    ("IPv6: bad source", |counters| counters.ip6.bad_source),
    ("IPv6: bad extension headers", |counters| counters.ip6.bad_options),
    ("IPv6: not for us", |counters| counters.ip6.not_for_us),
    ("IPv6: unknown protocol", |counters| counters.ip6.unknown_protocol),
    ("IPv6: no route", |counters| counters.ip6.no_route),
    ("IPv6: too big", |counters| counters.ip6.too_big),
    ("IPv6: queue full", |counters| counters.ip6.queue_full),
    ("IPv6: no memory", |counters| counters.ip6.memory),
    ("ICMP: bad checksum", |counters| counters.icmp.bad_checksum),
    ("ICMP: bad quote", |counters| counters.icmp.bad_quote),
    ("ICMP: rate limited", |counters| counters.icmp.rate_limited),
    ("UDP: truncated", |counters| counters.udp.truncated),
    ("UDP: bad length", |counters| counters.udp.bad_length),
    ("UDP: bad checksum", |counters| counters.udp.bad_checksum),
    ("UDP: no port", |counters| counters.udp.no_port),
    ("TCP: malformed", |counters| counters.tcp.malformed),
    ("TCP: bad checksum", |counters| counters.tcp.bad_checksum),
    ("TCP: out of window", |counters| counters.tcp.out_of_window),
    ("TCP: old timestamp", |counters| counters.tcp.old_timestamp),
    ("TCP: bad acknowledgment", |counters| counters.tcp.bad_acknowledgment),
    ("TCP: no port", |counters| counters.tcp.no_port),
    ("TCP: backlog full", |counters| counters.tcp.backlog_full),
    ("TCP: no memory for a SYN", |counters| counters.tcp.no_memory_for_syn),
];

struct Drops;

impl Table for Drops {
    fn len(&self, cx: &Context<'_>) -> usize {
        if cx.stack.is_some() { REASONS.len() } else { 0 }
    }

    fn index(&self, _cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let (Some(stack), Some((name, count))) = (cx.stack, REASONS.get(place)) else { return };
        if column == 2 { out.text(name) } else { out.counter(count(stack.counters())) }
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

const TCP_COLUMNS: &[Column] = &[
    Column::gauge(1),
    Column::gauge(2),
    Column::gauge(3),
    Column::gauge(4),
    Column::gauge(5),
    Column::counter(6),
    Column::counter(7),
    Column::counter(8),
    Column::counter(9),
    Column::counter(10),
    Column::counter(11),
    Column::counter(12),
    Column::counter(13),
];

fn tcp(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
    let Some(stack) = cx.stack else { return };
    let (usage, tcp) = (stack.tcp_usage(), &stack.counters().tcp);
    match id {
        1 => out.gauge(usage.connections as u32),
        2 => out.gauge(usage.listeners as u32),
        3 => out.gauge(usage.time_wait as u32),
        4 => out.gauge(usage.segments as u32),
        5 => out.gauge(usage.held as u32),
        6 => out.counter(tcp.timeouts),
        7 => out.counter(tcp.tail_probes),
        8 => out.counter(tcp.window_probes),
        9 => out.counter(tcp.keep_alives),
        10 => out.counter(tcp.out_of_order),
        11 => out.counter(tcp.cookies_sent),
        12 => out.counter(tcp.challenges_sent),
        _ => out.counter(tcp.path_mtu_lowered),
    }
}
