//! Device registers.

#![allow(unsafe_code)]

use core::ptr;

/// A 32-bit register.
#[derive(Clone, Copy, Debug)]
pub struct Register(usize);

/// The registers of a device.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    base: usize,
    bytes: usize,
}

impl Device {
    /// The registers in `bytes` bytes from `base` on.
    ///
    /// # Safety
    ///
    /// There are device registers of 32 bits throughout, which may be read and written at any time as far as Rust is
    /// concerned: they hold no memory of Rust's, and the device does not reach into memory by itself.
    pub const unsafe fn at(base: usize, bytes: usize) -> Self {
        assert!(base.is_multiple_of(4));
        Self { base, bytes }
    }

    /// The register at an offset; only for constants, so that a wrong one doesn't compile.
    pub const fn register(self, offset: usize) -> Register {
        assert!(offset < self.bytes && offset.is_multiple_of(4));
        Register(self.base + offset)
    }
}

impl Register {
    /// Reads it.
    #[inline]
    pub fn read(self) -> u32 {
        // SAFETY: the device's owner has vouched for its registers, and this is the aligned address of one.
        unsafe { ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    /// Writes it.
    #[inline]
    pub fn write(self, value: u32) {
        // SAFETY: as for `read`.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}
