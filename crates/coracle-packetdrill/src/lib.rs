//! A shared library that [packetdrill](https://github.com/google/packetdrill) loads to test the Coracle stack instead
//! of the kernel's.
//!
//! packetdrill plays a script through a table of functions: the calls of an application, the packets of a peer, the
//! clock. The one exported function, [`packetdrill_interface_init`], fills that table. All of it runs in virtual time. How
//! to use it is in the crate's README.
//!
//! The work is done by [`coracle_script::sockets`]; this crate is the boundary to C, and what packetdrill's two threads
//! need: one runs the script and with it the clock, the other makes the calls that the script says block.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod adapter;
mod calls;
mod flags;
mod foreign;
mod interface;
mod variadic;

use std::ffi::{CStr, c_char};
use std::ptr;

pub use adapter::Adapter;
pub use interface::Interface;

use flags::Flags;

/// Fills packetdrill's table. `flags` are the text of `--so_flags`, or null.
///
/// The table has no way to say no. Flags that are wrong are told on standard error, and `userdata` stays null: every
/// call then fails with `EINVAL`, the first being the one for the time, upon which packetdrill gives up.
///
/// # Safety
///
/// `flags` is null or a text with a zero byte at its end, `table` is room for an [`Interface`]. The table's functions
/// are called as those of [`Interface`] say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, table: *mut Interface) {
    let text = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: the caller's word; it is read before this function returns.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    let adapter = Flags::parse(&text).and_then(Adapter::new);
    let userdata = match adapter {
        Ok(adapter) => Box::into_raw(Box::new(adapter)),
        Err(why) => {
            eprintln!("coracle-packetdrill: {why}");
            ptr::null_mut()
        }
    };
    // SAFETY: the caller's word; what was there before is not looked at.
    unsafe { table.write(interface::table(userdata)) };
}
