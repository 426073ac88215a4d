//! HOST-RESOURCES-MIB [RFC 2790]: as much of it as a host without disks, printers and processes has.

use coracle::buf::PoolStats;

use crate::mib::{Column, Context, Listed, Node, Output, Scalars, Table};
use crate::oid::Oid;

/// How long the host is up, and its memory.
pub const HOST: &[Node<'static>] = &[
    Node::new(&[1, 3, 6, 1, 2, 1, 25, 1], &[Column::ticks(1)], &Scalars(uptime)),
    Node::new(&[1, 3, 6, 1, 2, 1, 25, 2, 3, 1], STORAGE_COLUMNS, &Listed(Storage)),
];

/// `hrSystemUptime`: by the stack's clock, which is the host's.
fn uptime(cx: &Context<'_>, _id: u32, out: &mut Output<'_, '_>) {
    out.ticks((cx.now.as_millis() / 10) as u32);
}

const STORAGE_COLUMNS: &[Column] = &[
    Column::integer(1),
    Column::oid(2),
    Column::octets(3),
    Column::integer(4),
    Column::integer(5),
    Column::integer(6),
    Column::counter(7),
];

/// The pools of a stack: their names, how long an entry is, and how they are used. The pool of the heap counts bytes.
pub(super) fn pools(cx: &Context<'_>) -> Option<[(&'static str, usize, PoolStats); 4]> {
    let memory = cx.stack?.memory();
    let stats = memory.stats();
    Some([
        ("packet buffers", memory.pool_buffer_size(), stats.pool),
        ("small buffers", 1, stats.small),
        ("buffer references", 1, stats.references),
        ("heap", 1, stats.heap),
    ])
}

/// `hrStorageTable`: the pools.
struct Storage;

impl Table for Storage {
    fn len(&self, cx: &Context<'_>) -> usize {
        if cx.stack.is_some() { 4 } else { 0 }
    }

    fn index(&self, _cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let number = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
        let Some((name, size, stats)) = pools(cx).and_then(|pools| pools.get(place).copied()) else { return };
        match column {
            1 => out.integer(number(place + 1)),
            // `hrStorageRam`
            2 => out.oid(&[1, 3, 6, 1, 2, 1, 25, 2, 1, 2]),
            3 => out.text(name),
            4 => out.integer(number(size)),
            5 => out.integer(number(stats.capacity)),
            6 => out.integer(number(stats.used)),
            _ => out.counter(stats.failed as u32),
        }
    }

    fn is_sorted(&self) -> bool {
        true
    }
}
