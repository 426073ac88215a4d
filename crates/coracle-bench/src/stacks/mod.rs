//! One file per stack, and one for its TCP.

pub(crate) mod coracle;
pub(crate) mod coracle_tcp;
pub(crate) mod harness;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) mod lwip;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) mod lwip_tcp;
pub(crate) mod smoltcp;
pub(crate) mod smoltcp_tcp;
