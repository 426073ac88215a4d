//! The tables of the stack: slots with generations, a keyed-hash index over them, lists of those that wait.

mod index;
mod slots;
mod worklist;

pub(crate) use index::{Index, NONE};
pub(crate) use slots::{Key, Slots};
pub(crate) use worklist::Worklist;
