//! How deep the stack has been: what is below it is painted at the start, and looked at later.

#![allow(unsafe_code)]

use core::ptr;

const PAINT: u32 = 0xc0ac_1e5a;
/// What the painting itself may use below the place that it starts from.
const MARGIN: usize = 256;

unsafe extern "C" {
    /// The lowest word that the stack may reach.
    #[cfg_attr(target_arch = "riscv32", link_name = "__estack")]
    static mut _stack_end: u32;
    /// Just above its first word.
    static mut _stack_start: u32;
}

fn end() -> *mut u32 {
    &raw mut _stack_end
}

fn start() -> *mut u32 {
    &raw mut _stack_start
}

/// Paints what is unused of the stack. Call it once, at the beginning of `main`.
#[inline(never)]
pub fn paint() {
    let here = 0u32;
    let top = (&raw const here).addr() - MARGIN;
    let mut word = end();
    while word.addr() < top {
        // SAFETY: between the end of the stack and this function's frame, less a margin, nothing lies; the linker script
        // gives all of it to the stack. Volatile, as nobody else is to know of it.
        unsafe {
            word.write_volatile(PAINT);
            word = word.add(1);
        }
    }
}

/// The most bytes of the stack that were ever in use.
pub fn deepest() -> usize {
    let mut word = end();
    // SAFETY: the words of the stack are readable; `paint` has written the unused ones.
    while word < start() && unsafe { ptr::read_volatile(word) } == PAINT {
        // SAFETY: below the start of the stack.
        word = unsafe { word.add(1) };
    }
    start().addr() - word.addr()
}

/// Bytes that the stack may have.
pub fn size() -> usize {
    start().addr() - end().addr()
}
