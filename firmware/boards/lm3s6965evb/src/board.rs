//! The board's clock, its alarm, and its sleep.

use core::sync::atomic::{AtomicU32, Ordering};

use coracle::{Error, Instant, MacAddr};
use coracle_firmware_app::register::{Device, Register};
use coracle_firmware_app::{Guessable, micros_until};
use coracle_os::Board;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SCB, SYST};

/// Clocks of the devices.
#[allow(unsafe_code)]
// SAFETY: these are its registers on this chip.
pub(crate) const SYSTEM: Device = unsafe { Device::at(0x400f_e000, 0x200) };
/// The first general-purpose timer.
#[allow(unsafe_code)]
// SAFETY: these are its registers on this chip.
const TIMER: Device = unsafe { Device::at(0x4003_0000, 0x50) };

const TIMERS_ON: Register = SYSTEM.register(0x104);
const TIMER_0: u32 = 1 << 16;

const CONFIG: Register = TIMER.register(0x00);
const MODE: Register = TIMER.register(0x04);
const CONTROL: Register = TIMER.register(0x0c);
const MASK: Register = TIMER.register(0x18);
const CLEAR: Register = TIMER.register(0x24);
const LOAD: Register = TIMER.register(0x28);
const BITS_32: u32 = 0;
const ONE_SHOT: u32 = 1;
const ENABLE: u32 = 1;
const TIMEOUT: u32 = 1;

/// The processor's clock as it is after a reset, 12.5 MHz: the cycles of two microseconds.
const CYCLES_OF_TWO_MICROSECONDS: u32 = 25;
/// The processor's own timer counts down 24 bits of cycles, which are 1.3 seconds; its interrupt counts the rounds. There is
/// no other counter that can be read here, so that this one wakes the board in between.
const ROUND: u32 = 1 << 24;
/// The farthest alarm: 32 bits of cycles are 343 seconds.
const FARTHEST: u32 = 300_000_000;

static ROUNDS: AtomicU32 = AtomicU32::new(0);
static WAKE_UPS: AtomicU32 = AtomicU32::new(0);

/// The board.
pub(crate) struct Machine {
    seed: Guessable,
}

impl Machine {
    pub(crate) fn start(station: MacAddr) -> Self {
        if let Some(Peripherals { mut SYST, .. }) = Peripherals::take() {
            SYST.set_clock_source(SystClkSource::Core);
            SYST.set_reload(ROUND - 1);
            SYST.clear_current();
            SYST.enable_counter();
            SYST.enable_interrupt();
        }
        TIMERS_ON.write(TIMERS_ON.read() | TIMER_0);
        CONFIG.write(BITS_32);
        MODE.write(ONE_SHOT);
        MASK.write(TIMEOUT);
        Self { seed: Guessable::new(station.0) }
    }
}

/// Cycles since the start.
fn cycles() -> u64 {
    critical_section::with(|_| {
        let mut rounds = ROUNDS.load(Ordering::Relaxed);
        let mut left = SYST::get_current();
        if SCB::is_pendst_pending() {
            // A round is over whose interrupt is still shut out.
            rounds = rounds.wrapping_add(1);
            left = SYST::get_current();
        }
        u64::from(rounds) * u64::from(ROUND) + u64::from(ROUND - 1 - left)
    })
}

impl Board for Machine {
    fn now(&mut self) -> Instant {
        Instant::from_micros(cycles() * 2 / u64::from(CYCLES_OF_TWO_MICROSECONDS))
    }

    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.seed.fill(SYST::get_current(), bytes);
        Ok(())
    }

    fn set_alarm(&mut self, at: Option<Instant>) {
        let micros = micros_until(self.now(), at, FARTHEST);
        CONTROL.write(0);
        LOAD.write(micros / 2 * CYCLES_OF_TWO_MICROSECONDS + CYCLES_OF_TWO_MICROSECONDS);
        CONTROL.write(ENABLE);
    }

    fn idle(&mut self) {
        cortex_m::asm::wfi();
        WAKE_UPS.store(WAKE_UPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// A round of the processor's timer is over.
#[cortex_m_rt::exception]
fn SysTick() {
    ROUNDS.store(ROUNDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The alarm is over.
pub(crate) fn alarm_came() {
    CLEAR.write(TIMEOUT);
}

/// What the page tells.
pub(crate) fn measure() -> [(&'static str, usize); 2] {
    let micros = cycles() * 2 / u64::from(CYCLES_OF_TWO_MICROSECONDS);
    [("wake_ups", WAKE_UPS.load(Ordering::Relaxed) as usize), ("microseconds", micros as usize)]
}
