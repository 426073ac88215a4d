//! What the images share: the board `mps2-an386`, a Cortex-M4 with a LAN9118 Ethernet controller, as QEMU emulates it.
//!
//! ```text
//! cargo build --release --target thumbv7em-none-eabihf
//! qemu-system-arm -M mps2-an386 -nographic -kernel target/thumbv7em-none-eabihf/release/udp_echo \
//!     -nic tap,ifname=tap0,script=no,downscript=no,model=lan9118,mac=02:00:00:00:00:02
//! ```

#![no_std]
#![deny(unsafe_code)]

pub mod ethernet;
mod registers;
pub mod time;

use core::panic::PanicInfo;

/// Stops; the stack doesn't panic, whatever peers send.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
