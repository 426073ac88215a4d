//! The two tables of the stack: slots with generations, and a keyed-hash index over them.

mod index;
mod slots;

pub(crate) use index::{Index, NONE};
pub(crate) use slots::{Key, Slots};
