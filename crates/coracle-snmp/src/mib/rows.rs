//! Rows: what tables and groups of scalars are made of.

use super::{Context, Output};
use crate::oid::Oid;
use crate::pdu::ErrorStatus;
use crate::value::Value;

/// A row that was found; what the number means is up to who found it. It is used before anything changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row(pub usize);

/// The rows of a table or group.
///
/// Methods have `&self`: data that others share belongs behind atomics or locks, as with anything that is shared.
pub trait Rows: Sync {
    /// The row of an index.
    fn find(&self, cx: &Context<'_>, index: &[u32]) -> Option<Row>;

    /// The row whose index is the least of those greater than `after`, in lexicographic order [3416-3]; its index is
    /// added to `index`. No arcs at all come before every index.
    fn next(&self, cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row>;

    /// Puts the value of a column in a row; nothing when the row does not have it.
    fn read(&self, cx: &Context<'_>, row: Row, column: u32, out: &mut Output<'_, '_>);

    /// Whether the column of a row (that may not exist yet) could be set to a value; that the type is right is
    /// known. Nothing changes.
    ///
    /// # Errors
    ///
    /// Why not, such as [`ErrorStatus::WrongValue`].
    fn test(
        &self,
        cx: &Context<'_>,
        index: &[u32],
        column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        let _ = (cx, index, column, value);
        Err(ErrorStatus::NotWritable)
    }

    /// Sets a column of a row. All values of the request have passed the test.
    ///
    /// # Errors
    ///
    /// Whatever is reported as [`ErrorStatus::CommitFailed`].
    fn commit(
        &self,
        cx: &Context<'_>,
        index: &[u32],
        column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        let _ = (cx, index, column, value);
        Err(ErrorStatus::CommitFailed)
    }

    /// Undoes [`Rows::commit`] as another of the same request failed: back to the value before; `None` when there
    /// was none.
    ///
    /// # Errors
    ///
    /// Whatever is reported as [`ErrorStatus::UndoFailed`].
    fn undo(
        &self,
        cx: &Context<'_>,
        index: &[u32],
        column: u32,
        before: Option<&Value<'_>>,
    ) -> Result<(), ErrorStatus> {
        match before {
            Some(value) => self.commit(cx, index, column, value),
            None => Err(ErrorStatus::UndoFailed),
        }
    }
}

/// A group of scalars that are read by a closure, which gets the arc of the one that is asked for. lwIP's scalar
/// nodes.
///
/// ```
/// use coracle_snmp::mib::{Column, Context, Node, Output, Scalars};
///
/// const COLUMNS: &[Column] = &[Column::integer(1), Column::octets(2)];
/// let rows = Scalars(|_: &Context<'_>, id: u32, out: &mut Output<'_, '_>| match id {
///     1 => out.integer(21),
///     _ => out.text("degrees"),
/// });
/// let node = Node::new(&[1, 3, 6, 1, 4, 1, 99_999, 1], COLUMNS, &rows);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Scalars<F>(pub F);

impl<F: Fn(&Context<'_>, u32, &mut Output<'_, '_>) + Sync> Rows for Scalars<F> {
    fn find(&self, _cx: &Context<'_>, index: &[u32]) -> Option<Row> {
        scalar_find(index)
    }

    fn next(&self, _cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
        scalar_next(after, index)
    }

    fn read(&self, cx: &Context<'_>, _row: Row, column: u32, out: &mut Output<'_, '_>) {
        (self.0)(cx, column, out);
    }
}

/// A group of scalars of which some can be set.
pub trait Writable: Sync {
    /// Puts the value of a scalar.
    fn read(&self, cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>);

    /// As [`Rows::test`].
    ///
    /// # Errors
    ///
    /// Why it cannot be set.
    fn test(&self, cx: &Context<'_>, id: u32, value: &Value<'_>) -> Result<(), ErrorStatus>;

    /// As [`Rows::commit`].
    ///
    /// # Errors
    ///
    /// Why it was not set.
    fn commit(&self, cx: &Context<'_>, id: u32, value: &Value<'_>) -> Result<(), ErrorStatus>;

    /// The group as rows.
    fn rows(self) -> WritableRows<Self>
    where
        Self: Sized,
    {
        WritableRows(self)
    }
}

/// The rows of a [`Writable`] group.
#[derive(Debug, Clone, Copy)]
pub struct WritableRows<G>(pub G);

impl<G: Writable> Rows for WritableRows<G> {
    fn find(&self, _cx: &Context<'_>, index: &[u32]) -> Option<Row> {
        scalar_find(index)
    }

    fn next(&self, _cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
        scalar_next(after, index)
    }

    fn read(&self, cx: &Context<'_>, _row: Row, column: u32, out: &mut Output<'_, '_>) {
        self.0.read(cx, column, out);
    }

    fn test(
        &self,
        cx: &Context<'_>,
        _index: &[u32],
        column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        self.0.test(cx, column, value)
    }

    fn commit(
        &self,
        cx: &Context<'_>,
        _index: &[u32],
        column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        self.0.commit(cx, column, value)
    }
}

fn scalar_find(index: &[u32]) -> Option<Row> {
    (index == [0]).then_some(Row(0))
}

fn scalar_next(after: &[u32], index: &mut Oid) -> Option<Row> {
    if !after.is_empty() || index.push(0).is_err() {
        return None;
    }
    Some(Row(0))
}

/// A table over data that is somewhere in numbered places.
pub trait Table: Sync {
    /// How many places there are.
    fn len(&self, cx: &Context<'_>) -> usize;

    /// Adds the index of the row in a place; `false` when the place is empty.
    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool;

    /// Puts the value of a column of the row in a place; nothing when the row does not have it.
    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>);

    /// Whether every place is taken, and indexes rise from place to place: rows are found in logarithmic time then,
    /// otherwise in linear time.
    fn is_sorted(&self) -> bool {
        false
    }

    /// The table as rows.
    fn rows(self) -> Listed<Self>
    where
        Self: Sized,
    {
        Listed(self)
    }
}

/// The rows of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Listed<T>(pub T);

impl<T: Table> Rows for Listed<T> {
    fn find(&self, cx: &Context<'_>, index: &[u32]) -> Option<Row> {
        find(&self.0, cx, index)
    }

    fn next(&self, cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
        next(&self.0, cx, after, index)
    }

    fn read(&self, cx: &Context<'_>, row: Row, column: u32, out: &mut Output<'_, '_>) {
        self.0.read(cx, row.0, column, out);
    }
}

fn find(table: &dyn Table, cx: &Context<'_>, index: &[u32]) -> Option<Row> {
    let mut found = Oid::default();
    if table.is_sorted() {
        let place = lower_bound(table, cx, |row| row < index);
        let hit = place < table.len(cx) && table.index(cx, place, &mut found) && found.arcs() == index;
        return hit.then_some(Row(place));
    }
    (0..table.len(cx))
        .find(|place| {
            found.clear();
            table.index(cx, *place, &mut found) && found.arcs() == index
        })
        .map(Row)
}

fn next(table: &dyn Table, cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
    let place = if table.is_sorted() {
        let place = lower_bound(table, cx, |row| row <= after);
        (place < table.len(cx)).then_some(place)
    } else {
        least_after(table, cx, after)
    }?;
    table.index(cx, place, index).then_some(Row(place))
}

/// The first place of a sorted table whose index is not below.
fn lower_bound(table: &dyn Table, cx: &Context<'_>, below: impl Fn(&[u32]) -> bool) -> usize {
    let mut index = Oid::default();
    let (mut low, mut high) = (0, table.len(cx));
    while low < high {
        let middle = low + (high - low) / 2;
        index.clear();
        if table.index(cx, middle, &mut index) && below(index.arcs()) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The place with the least index after one, of all places.
fn least_after(table: &dyn Table, cx: &Context<'_>, after: &[u32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    let (mut least, mut index) = (Oid::default(), Oid::default());
    for place in 0..table.len(cx) {
        index.clear();
        if table.index(cx, place, &mut index)
            && index.arcs() > after
            && (best.is_none() || index.arcs() < least.arcs())
        {
            core::mem::swap(&mut least, &mut index);
            best = Some(place);
        }
    }
    best
}
