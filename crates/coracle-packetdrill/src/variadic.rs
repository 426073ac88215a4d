//! `fcntl` and `ioctl`, whose last argument need not be there.
//!
//! Rust cannot define such functions. Under the calling conventions of Linux for these processors, integers and pointers
//! behind the `...` travel in the same registers as those before it, the fourth argument among them. So the functions of
//! the table are one jump to functions with four arguments, which find the last where a caller that gave it put it; from
//! a caller that did not they find any number, and do not use it. The jump is not Rust's, so that no compiler takes the
//! two kinds of function for one another.

use std::arch::global_asm;
use std::ffi::{c_int, c_ulong};

use crate::adapter::Adapter;
use crate::calls;

#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    () => {
        "jmp"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    () => {
        "b"
    };
}

global_asm!(
    ".pushsection .text.coracle_packetdrill, \"ax\", %progbits",
    ".balign 16",
    ".globl coracle_packetdrill_fcntl",
    ".hidden coracle_packetdrill_fcntl",
    ".type coracle_packetdrill_fcntl, %function",
    "coracle_packetdrill_fcntl:",
    concat!(jump!(), " {fcntl}"),
    ".size coracle_packetdrill_fcntl, . - coracle_packetdrill_fcntl",
    ".globl coracle_packetdrill_ioctl",
    ".hidden coracle_packetdrill_ioctl",
    ".type coracle_packetdrill_ioctl, %function",
    "coracle_packetdrill_ioctl:",
    concat!(jump!(), " {ioctl}"),
    ".size coracle_packetdrill_ioctl, . - coracle_packetdrill_ioctl",
    ".popsection",
    fcntl = sym calls::fcntl,
    ioctl = sym calls::ioctl,
);

#[expect(improper_ctypes, reason = "a pointer that is handed through; C does not look behind it")]
unsafe extern "C" {
    pub(crate) fn coracle_packetdrill_fcntl(
        adapter: Option<&Adapter>,
        fd: c_int,
        command: c_int,
        ...
    ) -> c_int;
    pub(crate) fn coracle_packetdrill_ioctl(
        adapter: Option<&Adapter>,
        fd: c_int,
        request: c_ulong,
        ...
    ) -> c_int;
}
