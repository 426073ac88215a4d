//! What each board does, whatever it is made of: it gets an address by DHCP, and makes itself one of IPv6; it answers pings, sends back what comes to port 7 over UDP and TCP, and
//! serves a page at port 80 that tells what it takes of stack and memory. Between events the processor sleeps.
//!
//! No operating system, no allocator.

#![no_std]
#![deny(unsafe_code)]

mod application;
mod page;
pub mod register;
pub mod stack;

pub use application::{Measure, Setup, serve};

use coracle::Instant;

/// A counter in hardware of up to 32 bits, made into a time that does not wrap. It has to be read once before each wrap.
#[derive(Debug, Default)]
pub struct Widened {
    last: u32,
    ticks: u64,
}

impl Widened {
    /// All ticks so far, given what the counter reads now.
    pub fn ticks(&mut self, counter: u32) -> u64 {
        self.ticks += u64::from(counter.wrapping_sub(self.last));
        self.last = counter;
        self.ticks
    }
}

/// How long it is from `now` to `at` in microseconds; at the most `limit`, and at least one.
pub fn micros_until(now: Instant, at: Option<Instant>, limit: u32) -> u32 {
    let micros = at.map_or(u64::from(limit), |at| at.as_micros().saturating_sub(now.as_micros()));
    micros.clamp(1, u64::from(limit)) as u32
}

/// Bytes for a seed from things that differ a little between starts: a station address and a counter.
///
/// The emulated boards have no source of entropy, and an outsider can guess these. A product takes its seed from the
/// generator that its chip has.
#[derive(Debug)]
pub struct Guessable {
    state: u32,
}

impl Guessable {
    /// Starts from a station address.
    pub fn new(station: [u8; 6]) -> Self {
        let state = station.iter().fold(1, |state: u32, byte| state.rotate_left(5) ^ u32::from(*byte));
        Self { state }
    }

    /// Fills `bytes`, with what a counter reads now mixed in.
    pub fn fill(&mut self, counter: u32, bytes: &mut [u8]) {
        self.state = self.state.wrapping_add(counter).max(1);
        for byte in bytes {
            // Marsaglia's xorshift.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            *byte = (self.state >> 8) as u8;
        }
    }
}
