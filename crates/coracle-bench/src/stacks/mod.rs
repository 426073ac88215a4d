//! One file per stack.

pub(crate) mod coracle;
pub(crate) mod harness;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) mod lwip;
pub(crate) mod smoltcp;
