//! The two interrupts that end a sleep.

#![allow(unsafe_code)]

use coracle_os::Wake;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

use crate::{EVENT, board, ethernet};

/// The numbers of the interrupts.
#[derive(Clone, Copy)]
enum Interrupt {
    Timer = 19,
    Ethernet = 42,
}

// SAFETY: each has a number of its own, which doesn't change.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// A handler of an interrupt.
type Vector = unsafe extern "C" fn();

unsafe extern "C" {
    fn DefaultHandler();
}

const fn vectors() -> [Vector; 48] {
    let mut vectors = [DefaultHandler as Vector; 48];
    vectors[Interrupt::Timer as usize] = timer;
    vectors[Interrupt::Ethernet as usize] = frames;
    vectors
}

/// What `cortex-m-rt` puts behind the vectors of the processor.
// SAFETY: the section and the name are those that the linker script expects, with a handler for every interrupt.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 48] = vectors();

/// The alarm has come.
extern "C" fn timer() {
    board::alarm_came();
    EVENT.wake();
}

/// Frames have come.
extern "C" fn frames() {
    ethernet::quiet();
    EVENT.wake();
}

/// Lets both in.
pub(crate) fn enable() {
    // SAFETY: no critical section of ours is built on these being masked.
    unsafe {
        NVIC::unmask(Interrupt::Timer);
        NVIC::unmask(Interrupt::Ethernet);
    }
}
