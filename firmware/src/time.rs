//! The board's clock.

use coracle::Instant;

use crate::registers::{FPGAIO, Register};

/// Counts hundredths of a second.
const CLK100HZ: Register = FPGAIO.register(0x14);

/// The time since the board was switched on; goes on for 497 days.
pub fn now() -> Instant {
    Instant::from_millis(u64::from(CLK100HZ.read()) * 10)
}
