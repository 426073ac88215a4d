//! The machine's clock, its alarm, and its sleep.
//!
//! No interrupt is ever taken: `wfi` ends when one is pending that is enabled by itself, even while all are shut out. So
//! there is no handler, and nothing that one could share with the loop.

use core::sync::atomic::{AtomicU32, Ordering};

use coracle::{Error, Instant, MacAddr};
use coracle_firmware_app::Guessable;
use coracle_firmware_app::register::{Device, Register};
use coracle_os::Board;

/// The timer of the processor.
#[allow(unsafe_code)]
// SAFETY: these are its registers on this machine.
const CLINT: Device = unsafe { Device::at(0x0200_0000, 0xc000) };
/// The controller of the devices' interrupts.
#[allow(unsafe_code)]
// SAFETY: these are its registers on this machine.
const PLIC: Device = unsafe { Device::at(0x0c00_0000, 0x20_0008) };

/// Counts at 10 MHz, in two halves; and when its interrupt comes.
const TIME_LOW: Register = CLINT.register(0xbff8);
const TIME_HIGH: Register = CLINT.register(0xbffc);
const COMPARE_LOW: Register = CLINT.register(0x4000);
const COMPARE_HIGH: Register = CLINT.register(0x4004);
const TICKS_PER_MICROSECOND: u64 = 10;

/// The priorities of the interrupts of the eight places for virtio devices, which are 1 to 8.
const PRIORITIES: [Register; 8] = [
    PLIC.register(0x04),
    PLIC.register(0x08),
    PLIC.register(0x0c),
    PLIC.register(0x10),
    PLIC.register(0x14),
    PLIC.register(0x18),
    PLIC.register(0x1c),
    PLIC.register(0x20),
];
const ENABLED: Register = PLIC.register(0x2000);
const THRESHOLD: Register = PLIC.register(0x20_0000);
/// Reading takes an interrupt, and writing says that it is dealt with.
const CLAIM: Register = PLIC.register(0x20_0004);

static WAKE_UPS: AtomicU32 = AtomicU32::new(0);

/// The machine.
pub(crate) struct Machine {
    seed: Guessable,
    /// The interrupt that is being dealt with, or 0.
    claimed: u32,
}

impl Machine {
    /// Lets the interrupt of a virtio device and the timer's end a sleep.
    pub(crate) fn start(station: MacAddr, slot: usize) -> Self {
        if let Some(priority) = PRIORITIES.get(slot) {
            priority.write(1);
        }
        THRESHOLD.write(0);
        ENABLED.write(1 << (slot + 1));
        #[allow(unsafe_code)]
        // SAFETY: all interrupts are shut out for good, so that none is taken by these.
        unsafe {
            riscv::register::mie::set_mtimer();
            riscv::register::mie::set_mext();
        }
        Self { seed: Guessable::new(station.0), claimed: 0 }
    }
}

fn ticks() -> u64 {
    loop {
        let high = TIME_HIGH.read();
        let low = TIME_LOW.read();
        if TIME_HIGH.read() == high {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

impl Board for Machine {
    fn now(&mut self) -> Instant {
        Instant::from_micros(ticks() / TICKS_PER_MICROSECOND)
    }

    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.seed.fill(TIME_LOW.read(), bytes);
        Ok(())
    }

    fn set_alarm(&mut self, at: Option<Instant>) {
        let at = at.map_or(u64::MAX, |at| at.as_micros().saturating_mul(TICKS_PER_MICROSECOND));
        // In between it lies far away.
        COMPARE_HIGH.write(u32::MAX);
        COMPARE_LOW.write(at as u32);
        COMPARE_HIGH.write((at >> 32) as u32);
    }

    fn idle(&mut self) {
        if self.claimed != 0 {
            // The driver has looked at the device meanwhile. If there is more since, it is pending at once.
            CLAIM.write(self.claimed);
        }
        riscv::asm::wfi();
        self.claimed = CLAIM.read();
        WAKE_UPS.store(WAKE_UPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// What the page tells.
pub(crate) fn measure() -> [(&'static str, usize); 2] {
    let micros = ticks() / TICKS_PER_MICROSECOND;
    [("wake_ups", WAKE_UPS.load(Ordering::Relaxed) as usize), ("microseconds", micros as usize)]
}
