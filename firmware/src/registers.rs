//! Device registers of the board: the one file with `unsafe` code.

#![allow(unsafe_code)]

use core::ptr;

/// A 32-bit register.
#[derive(Clone, Copy)]
pub(crate) struct Register(usize);

/// The registers of a device of the board.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    base: usize,
    bytes: usize,
}

/// The LAN9118 Ethernet controller.
pub(crate) const LAN9118: Device = Device { base: 0x4020_0000, bytes: 0x100 };
/// Lamps, buttons and counters.
pub(crate) const FPGAIO: Device = Device { base: 0x4002_8000, bytes: 0x50 };

impl Device {
    /// The register at an offset; only for constants, so that a wrong one doesn't compile.
    pub(crate) const fn register(self, offset: usize) -> Register {
        assert!(offset < self.bytes && offset.is_multiple_of(4));
        Register(self.base + offset)
    }
}

impl Register {
    #[inline]
    pub(crate) fn read(self) -> u32 {
        // SAFETY: `Device::register` made this the aligned address of a register of one of the two devices above, which
        // hold no memory of Rust's and allow every access of 32 bits.
        unsafe { ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    #[inline]
    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for `read`; neither device reaches into memory by itself.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}
