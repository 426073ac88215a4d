//! IF-MIB [RFC 2863]: interfaces.

use coracle::{Instant, Medium, NetifView};

use crate::agent::State;
use crate::ber::tag;
use crate::mib::{Column, Context, Listed, Node, Output, Row, Rows, Scalars, Table};
use crate::oid::Oid;
use crate::pdu::ErrorStatus;
use crate::value::Value;

/// The tables of interfaces: `ifTable`, `ifXTable` with long counters, and `ifStackTable`.
pub const INTERFACES: &[Node<'static>] = &[
    Node::new(&[1, 3, 6, 1, 2, 1, 2], &[Column::integer(1)], &Scalars(number)),
    Node::new(&[1, 3, 6, 1, 2, 1, 2, 2, 1], IF_COLUMNS, &Interfaces),
    Node::new(&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1], IFX_COLUMNS, &Listed(Extension)),
    Node::new(&[1, 3, 6, 1, 2, 1, 31, 1, 2, 1], &[Column::integer(3)], &Listed(Layers)),
    Node::new(&[1, 3, 6, 1, 2, 1, 31, 1], &[Column::ticks(5), Column::ticks(6)], &Scalars(last_change)),
];

fn number(cx: &Context<'_>, _id: u32, out: &mut Output<'_, '_>) {
    if let Some(stack) = cx.stack {
        let there = |place: &usize| stack.netif_at(*place).is_some();
        out.integer(i32::try_from((0..stack.netif_places()).filter(there).count()).unwrap_or(i32::MAX));
    }
}

/// Tables do not change by themselves; what moves is in the rows.
fn last_change(_cx: &Context<'_>, _id: u32, out: &mut Output<'_, '_>) {
    out.ticks(0);
}

const IF_COLUMNS: &[Column] = &[
    Column::integer(1),
    Column::octets(2),
    Column::integer(3),
    Column::integer(4),
    Column::gauge(5),
    Column::octets(6),
    Column::writable(7, tag::INTEGER),
    Column::integer(8),
    Column::ticks(9),
    Column::counter(10),
    Column::counter(11),
    Column::counter(12),
    Column::counter(13),
    Column::counter(14),
    Column::counter(15),
    Column::counter(16),
    Column::counter(17),
    Column::counter(18),
    Column::counter(19),
    Column::counter(20),
    Column::gauge(21),
    Column::oid(22),
];

/// The interface with an index.
fn view(cx: &Context<'_>, place: usize) -> Option<NetifView> {
    cx.stack?.netif_at(place)
}

/// Interfaces by their index, which is the place and one: sorted, but with gaps.
fn find(cx: &Context<'_>, index: &[u32]) -> Option<Row> {
    let [index] = index else { return None };
    let place = (*index as usize).checked_sub(1)?;
    view(cx, place).map(|_| Row(place))
}

fn next(cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
    let first = after.first().map_or(0, |index| *index as usize);
    let place = (first..cx.stack?.netif_places()).find(|place| view(cx, *place).is_some())?;
    index.push(place as u32 + 1).ok()?;
    Some(Row(place))
}

/// The name of an interface: two letters and a number, as lwIP has it.
pub(super) fn name<'b>(view: &NetifView, buffer: &'b mut [u8; 5]) -> &'b [u8] {
    let number = view.handle.index() - 1;
    buffer[..2].copy_from_slice(&view.name);
    let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit);
    let skip = if number >= 100 {
        0
    } else if number >= 10 {
        1
    } else {
        2
    };
    let len = 5 - skip;
    buffer[2..len].copy_from_slice(&digits[skip..]);
    &buffer[..len]
}

/// `ifType` [IANAifType-MIB].
fn kind(medium: Medium) -> i32 {
    match medium {
        Medium::Ethernet(_) => 6,
        Medium::Ip => 23,
        Medium::Loopback => 24,
    }
}

struct Interfaces;

impl Rows for Interfaces {
    fn find(&self, cx: &Context<'_>, index: &[u32]) -> Option<Row> {
        find(cx, index)
    }

    fn next(&self, cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
        next(cx, after, index)
    }

    fn read(&self, cx: &Context<'_>, row: Row, column: u32, out: &mut Output<'_, '_>) {
        let Some(view) = view(cx, row.0) else { return };
        let counters = &view.counters;
        let up_down = |up| if up { 1 } else { 2 };
        match column {
            1 => out.integer(i32::from(view.handle.index())),
            2 => out.octets(name(&view, &mut [0; 5])),
            3 => out.integer(kind(view.medium)),
            4 => out.integer(i32::from(view.mtu)),
            // The speed is not known here.
            5 | 19 | 20 => put_number(column, 0, out),
            6 => match view.medium {
                Medium::Ethernet(station) => out.octets(&station.0),
                _ => out.octets(&[]),
            },
            7 => out.integer(up_down(view.up)),
            8 => out.integer(match (view.up, view.link_up) {
                (true, true) => 1,
                // [RFC 2863 §3.1.13]: what is set up, but has no link, is down.
                _ => 2,
            }),
            9 => out.ticks(cx.state.link_change(row.0)),
            10 => out.counter(counters.in_octets as u32),
            11 => out.counter(counters.in_unicast as u32),
            12 => out.counter(counters.in_non_unicast as u32),
            13 => out.counter(counters.in_discards as u32),
            14 => out.counter(counters.in_errors as u32),
            15 => out.counter(counters.in_unknown_protocols as u32),
            16 => out.counter(counters.out_octets as u32),
            17 => out.counter(counters.out_unicast as u32),
            18 => out.counter(counters.out_non_unicast as u32),
            21 => out.gauge(view.queued as u32),
            _ => out.oid(&[0, 0]),
        }
    }

    fn test(
        &self,
        _cx: &Context<'_>,
        _index: &[u32],
        _column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        if matches!(value, Value::Integer(1 | 2)) { Ok(()) } else { Err(ErrorStatus::WrongValue) }
    }

    /// `ifAdminStatus`: done by the owner of the stack, after the answer.
    fn commit(
        &self,
        cx: &Context<'_>,
        index: &[u32],
        _column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        let row = find(cx, index).ok_or(ErrorStatus::CommitFailed)?;
        cx.state.want_link(row.0, *value == Value::Integer(1));
        Ok(())
    }
}

fn put_number(column: u32, value: u32, out: &mut Output<'_, '_>) {
    if column == 5 { out.gauge(value) } else { out.counter(value) }
}

impl State<'_> {
    /// Remembers that an interface is to be set up or down; one request sets few of them.
    fn want_link(&self, place: usize, up: bool) {
        let bit = 1_u64 << (place % 64);
        let (mut set, mut clear) = self.wanted_links.get();
        set &= !bit;
        clear &= !bit;
        if up {
            set |= bit;
        } else {
            clear |= bit;
        }
        self.wanted_links.set((set, clear));
    }

    /// When an interface last went up or down, as `sysUpTime` then was.
    fn link_change(&self, place: usize) -> u32 {
        self.link_changes.get(place).map_or(0, core::cell::Cell::get)
    }

    /// Remembers that an interface went up or down.
    pub(crate) fn note_link_change(&self, place: usize, now: Instant) {
        if let Some(cell) = self.link_changes.get(place) {
            cell.set(self.uptime(now));
        }
    }
}

const IFX_COLUMNS: &[Column] = &[
    Column::octets(1),
    Column::counter(2),
    Column::counter(3),
    Column::counter(4),
    Column::counter(5),
    Column::counter64(6),
    Column::counter64(7),
    Column::counter64(8),
    Column::counter64(9),
    Column::counter64(10),
    Column::counter64(11),
    Column::counter64(12),
    Column::counter64(13),
    Column::integer(14),
    Column::gauge(15),
    Column::integer(16),
    Column::integer(17),
    Column::octets(18),
    Column::ticks(19),
];

/// `ifXTable`. The stack counts broadcasts and multicasts as one: they are shown as multicasts.
struct Extension;

impl Table for Extension {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.stack.map_or(0, |stack| stack.netif_places())
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        view(cx, place).is_some() && index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(view) = view(cx, place) else { return };
        let counters = &view.counters;
        match column {
            1 => out.octets(name(&view, &mut [0; 5])),
            2 => out.counter(counters.in_non_unicast as u32),
            4 => out.counter(counters.out_non_unicast as u32),
            3 | 5 => out.counter(0),
            6 => out.counter64(counters.in_octets),
            7 => out.counter64(counters.in_unicast),
            8 => out.counter64(counters.in_non_unicast),
            10 => out.counter64(counters.out_octets),
            11 => out.counter64(counters.out_unicast),
            12 => out.counter64(counters.out_non_unicast),
            9 | 13 => out.counter64(0),
            // Traps of the link are told for all interfaces but the one within the host.
            14 => out.integer(if view.medium == Medium::Loopback { 2 } else { 1 }),
            15 => out.gauge(0),
            16 => out.truth(false),
            17 => out.truth(matches!(view.medium, Medium::Ethernet(_))),
            18 => out.octets(&[]),
            _ => out.ticks(0),
        }
    }
}

/// `ifStackTable`: no interface is on top of another.
struct Layers;

impl Table for Layers {
    fn len(&self, cx: &Context<'_>) -> usize {
        2 * cx.stack.map_or(0, |stack| stack.netif_places())
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let number = (place / 2) as u32 + 1;
        let pair = if place.is_multiple_of(2) { [0, number] } else { [number, 0] };
        view(cx, place / 2).is_some() && index.extend(&pair).is_ok()
    }

    fn read(&self, _cx: &Context<'_>, _place: usize, _column: u32, out: &mut Output<'_, '_>) {
        out.integer(1);
    }
}
