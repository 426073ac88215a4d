//! A machine without an operating system.

use coracle::{Error, Instant};

use crate::port::Port;
use crate::{Event, Wake};

/// What a board provides: with this, [`BareMetal`] is its [`Port`].
pub trait Board {
    /// The time since some start, which never runs backwards.
    fn now(&mut self) -> Instant;

    /// Fills `bytes` from a source that nobody can guess: a generator in hardware, usually.
    ///
    /// # Errors
    ///
    /// Any, when the source fails.
    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error>;

    /// Asks for an interrupt at this time, or for none. An earlier one is allowed: a timer that reaches less far fires
    /// earlier, and is set again. Called with interrupts shut out.
    fn set_alarm(&mut self, at: Option<Instant>);

    /// Stops the processor until an interrupt is pending, `wfi`. Called with interrupts shut out, which must not keep one
    /// that is pending from ending it; so it is with `wfi` on Cortex-M and on RISC-V.
    fn idle(&mut self);
}

/// The port of a machine without an operating system. It sleeps in the processor's own way and misses no interrupt: the
/// decision to sleep and the sleep itself are one step to them.
///
/// ```
/// use coracle::{Error, Instant};
/// use coracle_os::{BareMetal, Board, Event, Port, Wake};
///
/// # struct Mine { time: u64, alarm: u64 }
/// impl Board for Mine {
///     fn now(&mut self) -> Instant {
///         Instant::from_micros(self.time) // a counter in hardware
///     }
///     fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
///         // a generator in hardware
/// #       bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8); Ok(())
///     }
///     fn set_alarm(&mut self, at: Option<Instant>) {
///         // a compare register
/// #       self.alarm = at.map_or(self.time, Instant::as_micros);
///     }
///     fn idle(&mut self) {
///         // cortex_m::asm::wfi();
/// #       self.time = self.alarm;
///     }
/// }
///
/// /// The handlers of the device's and of the alarm's interrupt call `EVENT.wake()`.
/// static EVENT: Event = Event::new();
///
/// let mut port = BareMetal::new(Mine { time: 0, alarm: 0 }, &EVENT);
/// port.sleep(Some(Instant::from_millis(5)));
/// assert_eq!(port.now(), Instant::from_millis(5));
/// EVENT.wake();
/// port.sleep(Some(Instant::from_millis(9))); // returns at once
/// assert_eq!(port.now(), Instant::from_millis(5));
/// ```
#[derive(Debug)]
pub struct BareMetal<B> {
    board: B,
    event: &'static Event,
}

impl<B: Board> BareMetal<B> {
    /// The port of a board whose interrupts call `event`.
    pub fn new(board: B, event: &'static Event) -> Self {
        Self { board, event }
    }

    /// The board.
    pub fn board(&mut self) -> &mut B {
        &mut self.board
    }
}

impl<B: Board> Port for BareMetal<B> {
    type Waker = &'static Event;

    fn now(&mut self) -> Instant {
        self.board.now()
    }

    fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.board.entropy(bytes)
    }

    fn sleep(&mut self, until: Option<Instant>) {
        critical_section::with(|_| {
            // An alarm that comes from here on is pending, and ends the idling.
            self.board.set_alarm(until);
            if !self.event.take() {
                self.board.idle();
            }
        });
        // The interrupt that ended it has called by now; and everything is looked at after this.
        self.event.take();
    }

    fn waker(&self) -> &'static Event {
        self.event
    }
}

impl<B> Wake for BareMetal<B> {
    fn wake(&self) {
        self.event.wake();
    }
}
