//! The board's clock, its alarm, and its sleep.

use core::sync::atomic::{AtomicU32, Ordering};

use coracle::{Error, Instant, MacAddr};
use coracle_firmware_app::register::{Device, Register};
use coracle_firmware_app::{Guessable, Widened, micros_until};
use coracle_os::Board;

/// Lamps, buttons and counters.
#[allow(unsafe_code)]
// SAFETY: these are its registers on this board.
const FPGAIO: Device = unsafe { Device::at(0x4002_8000, 0x50) };
/// The dual timer, of which one is used.
#[allow(unsafe_code)]
// SAFETY: these are its registers on this board.
const TIMER: Device = unsafe { Device::at(0x4000_2000, 0x40) };

/// Counts up, once in so many cycles of 25 MHz as the prescaler says, and one more.
const COUNTER: Register = FPGAIO.register(0x18);
const PRESCALE: Register = FPGAIO.register(0x1c);
const CYCLES_PER_MICROSECOND: u32 = 25;

const LOAD: Register = TIMER.register(0x00);
const CONTROL: Register = TIMER.register(0x08);
const CLEAR: Register = TIMER.register(0x0c);
const ONE_SHOT: u32 = 1;
const BITS_32: u32 = 1 << 1;
const INTERRUPT: u32 = 1 << 5;
const ENABLE: u32 = 1 << 7;

/// The farthest alarm: 32 bits of cycles are 171 seconds, and the counter has to be read once in 71 minutes.
const FARTHEST: u32 = 160_000_000;

static WAKE_UPS: AtomicU32 = AtomicU32::new(0);

/// The board.
pub(crate) struct Machine {
    counter: Widened,
    seed: Guessable,
}

impl Machine {
    pub(crate) fn start(station: MacAddr) -> Self {
        PRESCALE.write(CYCLES_PER_MICROSECOND - 1);
        Self { counter: Widened::default(), seed: Guessable::new(station.0) }
    }
}

impl Board for Machine {
    fn now(&mut self) -> Instant {
        Instant::from_micros(self.counter.ticks(COUNTER.read()))
    }

    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.seed.fill(COUNTER.read(), bytes);
        Ok(())
    }

    fn set_alarm(&mut self, at: Option<Instant>) {
        let micros = micros_until(self.now(), at, FARTHEST);
        CONTROL.write(BITS_32 | ONE_SHOT);
        LOAD.write(micros * CYCLES_PER_MICROSECOND);
        CONTROL.write(BITS_32 | ONE_SHOT | INTERRUPT | ENABLE);
    }

    fn idle(&mut self) {
        cortex_m::asm::wfi();
        WAKE_UPS.store(WAKE_UPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// The alarm is over.
pub(crate) fn alarm_came() {
    CLEAR.write(1);
}

/// What the page tells.
pub(crate) fn measure() -> [(&'static str, usize); 2] {
    [("wake_ups", WAKE_UPS.load(Ordering::Relaxed) as usize), ("microseconds", COUNTER.read() as usize)]
}
