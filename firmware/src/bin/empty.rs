//! An image that does nothing: what every image needs, to be subtracted from the others.

#![no_std]
#![no_main]

use coracle_firmware as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
