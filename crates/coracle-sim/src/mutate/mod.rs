//! Valid packets, damaged in every way that a description of their fields allows.
//!
//! A [`Seed`] is one valid frame and the [`Layer`]s in it, each with the [`Table`] of its fields. From these come all
//! single [`Mutation`]s (a cut at every byte, every field at each of its edges, options added, taken out and repeated,
//! the frame sent twice), pairs of field changes, and a seeded sample of triples. Checksums are [repaired](crate::repair)
//! afterwards, so that the damage gets past the door.
//!
//! The engine knows no protocol: a new one is a list of seeds and a table, see [`protocols`] and [`ipv6`], and [`tcp`] for
//! seeds that fit a connection.
//!
//! ```
//! use coracle_sim::mutate::protocols;
//! let seed = &protocols::seeds()[0];
//! let mutants: Vec<_> = seed.singles().into_iter().map(|one| seed.apply(&[one])).collect();
//! assert!(mutants.iter().any(|frames| frames[0].len() < seed.frame.len()));
//! ```

mod engine;
mod field;
pub mod ipv6;
pub mod protocols;
pub mod tcp;

pub use engine::{Layer, Mutation, Mutations, Seed};
pub use field::{Field, OptionRules, Role, Table};

#[cfg(test)]
mod tests;
