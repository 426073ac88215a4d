//! The tree of all objects.

use core::cmp::Ordering;
use core::fmt;

use super::{Column, Context, Node, Row};
use crate::oid::Oid;

/// All objects of an agent: parts, such as [`standard`](crate::standard)'s and an application's own. The nodes of
/// each part are in the order of their identifiers; parts may interleave.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    parts: &'a [&'a [Node<'a>]],
}

/// A part of a tree is out of order: the number of the part, and of the node in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeError {
    /// Which part.
    pub part: usize,
    /// Which of its nodes.
    pub node: usize,
}

impl fmt::Display for TreeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "node {} of part {} is out of order, or has no columns", self.node, self.part)
    }
}

impl core::error::Error for TreeError {}

/// An instance that was found.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) node: &'a Node<'a>,
    pub(crate) column: u32,
    pub(crate) row: Row,
}

/// What an identifier leads to.
pub(crate) enum Lookup<'a> {
    /// No such object.
    NoObject,
    /// An object, and the index of an instance.
    Object(&'a Node<'a>, &'a Column),
}

impl<'a> Tree<'a> {
    /// A tree of these parts.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when nodes or columns are out of order.
    pub fn new(parts: &'a [&'a [Node<'a>]]) -> Result<Self, TreeError> {
        for (part, nodes) in parts.iter().enumerate() {
            for (position, node) in nodes.iter().enumerate() {
                let ordered = !node.columns.is_empty()
                    && node.columns.is_sorted_by(|one, other| one.id < other.id)
                    && (position == 0 || nodes[position - 1].ends_before(node));
                if !ordered {
                    return Err(TreeError { part, node: position });
                }
            }
        }
        Ok(Self { parts })
    }

    /// The object that an identifier names, whether or not there is such an instance.
    pub(crate) fn lookup(&self, oid: &[u32]) -> Lookup<'a> {
        for nodes in self.parts {
            let end = nodes.partition_point(|node| node.cmp_first(oid) != Ordering::Greater);
            let Some(node) = end.checked_sub(1).map(|last| &nodes[last]) else { continue };
            if let Some([id, ..]) = oid.strip_prefix(node.prefix)
                && let Some(column) = node.column(*id)
            {
                return Lookup::Object(node, column);
            }
        }
        Lookup::NoObject
    }

    /// The first instance after an identifier [3416-3]; its own identifier is put in `next`.
    pub(crate) fn next(&self, cx: &Context<'_>, after: &[u32], next: &mut Oid) -> Option<Found<'a>> {
        let mut best = None;
        let mut candidate = Oid::default();
        for nodes in self.parts {
            let end = nodes.partition_point(|node| node.cmp_first(after) != Ordering::Greater);
            for node in &nodes[end.saturating_sub(1)..] {
                if best.is_some() && node.cmp_first(next.arcs()) == Ordering::Greater {
                    break;
                }
                candidate.clear();
                let Some(found) = node.next(cx, after, &mut candidate) else { continue };
                if best.is_none() || candidate < *next {
                    core::mem::swap(next, &mut candidate);
                    best = Some(found);
                }
                break;
            }
        }
        best
    }
}

impl<'a> Node<'a> {
    /// Compares the identifier of the first column with another.
    fn cmp_first(&self, oid: &[u32]) -> Ordering {
        let first = self.columns.first().map(|column| column.id);
        self.prefix.iter().copied().chain(first).cmp(oid.iter().copied())
    }

    /// Whether all of its objects come before those of another node.
    fn ends_before(&self, other: &Self) -> bool {
        let last = self.columns.last().map(|column| column.id);
        let first = other.columns.first().map(|column| column.id);
        let own = self.prefix.iter().copied().chain(last);
        own.clone().cmp(other.prefix.iter().copied().chain(first)) == Ordering::Less
            && !other.prefix.iter().copied().chain(first).take(own.clone().count()).eq(own)
    }

    pub(crate) fn column(&self, id: u32) -> Option<&'a Column> {
        let position = self.columns.binary_search_by_key(&id, |column| column.id).ok()?;
        self.columns.get(position)
    }

    /// The first instance after an identifier, among its own.
    fn next(&'a self, cx: &Context<'_>, after: &[u32], oid: &mut Oid) -> Option<Found<'a>> {
        let (from, index): (u32, &[u32]) = match after.strip_prefix(self.prefix) {
            Some([column, index @ ..]) => (*column, index),
            Some([]) => (0, &[]),
            None if after < self.prefix => (0, &[]),
            None => return None,
        };
        let start = self.columns.partition_point(|column| column.id < from);
        for column in &self.columns[start..] {
            oid.clear();
            oid.extend(self.prefix).and_then(|()| oid.push(column.id)).ok()?;
            let after = if column.id == from { index } else { &[] };
            if let Some(row) = self.rows.next(cx, after, oid) {
                return Some(Found { node: self, column: column.id, row });
            }
        }
        None
    }
}
