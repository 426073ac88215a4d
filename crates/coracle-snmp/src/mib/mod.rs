//! The objects that an agent has: groups of scalars and tables, from the stack's counters or an application's data.
//!
//! A group of scalars is a table of one row whose index is `0`, so one interface serves both: [`Rows`]. Most
//! applications need only a closure ([`Scalars`]) or a [`Table`].

mod output;
mod rows;
mod tree;

pub use output::Output;
pub use rows::{Listed, Row, Rows, Scalars, Table, Writable, WritableRows};
pub(crate) use tree::{Found, Lookup};
pub use tree::{Tree, TreeError};

use crate::agent::State;
use crate::ber::tag;
use crate::pdu::Bindings;
use coracle::{Inspect, Instant};

/// What can be done with an object (`MAX-ACCESS` of its definition).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxAccess {
    /// Read.
    ReadOnly,
    /// Read and set.
    ReadWrite,
    /// Read, set, and made, with its row.
    ReadCreate,
}

/// A column of a table, or a scalar of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its arc.
    pub id: u32,
    /// The tag of its type, see [`tag`].
    pub syntax: u8,
    /// What can be done with it.
    pub access: MaxAccess,
}

impl Column {
    /// A column that can be read.
    pub const fn new(id: u32, syntax: u8) -> Self {
        Self { id, syntax, access: MaxAccess::ReadOnly }
    }

    /// A column that can be set where its row exists.
    pub const fn writable(id: u32, syntax: u8) -> Self {
        Self { id, syntax, access: MaxAccess::ReadWrite }
    }

    /// A column that can be set, and that makes rows.
    pub const fn creatable(id: u32, syntax: u8) -> Self {
        Self { id, syntax, access: MaxAccess::ReadCreate }
    }

    /// A column of numbers.
    pub const fn integer(id: u32) -> Self {
        Self::new(id, tag::INTEGER)
    }

    /// A column of bytes or text.
    pub const fn octets(id: u32) -> Self {
        Self::new(id, tag::OCTET_STRING)
    }

    /// A column of counters.
    pub const fn counter(id: u32) -> Self {
        Self::new(id, tag::COUNTER32)
    }

    /// A column of gauges, or of any `Unsigned32`.
    pub const fn gauge(id: u32) -> Self {
        Self::new(id, tag::GAUGE32)
    }

    /// A column of long counters.
    pub const fn counter64(id: u32) -> Self {
        Self::new(id, tag::COUNTER64)
    }

    /// A column of times.
    pub const fn ticks(id: u32) -> Self {
        Self::new(id, tag::TIME_TICKS)
    }

    /// A column of object identifiers.
    pub const fn oid(id: u32) -> Self {
        Self::new(id, tag::OBJECT_IDENTIFIER)
    }

    /// A column of IPv4 addresses.
    pub const fn address(id: u32) -> Self {
        Self::new(id, tag::IP_ADDRESS)
    }
}

/// A group of scalars, or a table, at its place in the tree.
///
/// The identifier of an instance is the prefix (of a table: that of its entry), the column, and the index of the row.
/// A group whose scalars lie on both sides of a table (such as `tcp`) is two nodes.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// What the identifiers of all of its objects begin with.
    pub prefix: &'a [u32],
    /// Its columns, in the order of their arcs.
    pub columns: &'a [Column],
    /// Its rows.
    pub rows: &'a dyn Rows,
}

impl<'a> Node<'a> {
    /// A node.
    pub const fn new(prefix: &'a [u32], columns: &'a [Column], rows: &'a dyn Rows) -> Self {
        Self { prefix, columns, rows }
    }
}

impl core::fmt::Debug for Node<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Node").field("prefix", &self.prefix).field("columns", &self.columns).finish()
    }
}

/// What objects are read from, besides their own data.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time.
    pub now: Instant,
    /// The stack, if the agent was told of one.
    pub stack: Option<Inspect<'a>>,
    /// The agent itself: its counters and settings.
    pub state: &'a State<'a>,
    /// All that the request sets: whether a row can be made may depend on its other columns.
    pub request: Bindings<'a>,
}

#[cfg(test)]
mod tests;
