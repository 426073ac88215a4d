//! Coracle on the board `mps2-an385`, a Cortex-M3 with a LAN9118 Ethernet controller, as QEMU emulates it; it sleeps until
//! an interrupt of the controller or of its timer.

#![no_std]
#![no_main]

mod board;
mod interrupts;
mod lan9118;

use core::panic::PanicInfo;

use coracle::{Limits, MemoryLimits, StaticArena, TcpConfig};
use coracle_firmware_app::{Setup, serve, stack};
use coracle_os::{BareMetal, Event};

static ARENA: StaticArena<{ 96 * 1024 }> = StaticArena::new();
/// Called by every interrupt.
static EVENT: Event = Event::new();

const SETUP: Setup = Setup {
    memory: MemoryLimits {
        pool_buffers: 32,
        pool_buffer_size: 1_536,
        small_buffers: 32,
        references: 64,
        heap_bytes: 0,
    },
    limits: Limits { netifs: 1, dhcp_clients: 1, ..Limits::SMALL },
    tcp: TcpConfig::SMALL,
    measure: board::measure,
};

#[cortex_m_rt::entry]
fn main() -> ! {
    stack::paint();
    let (ethernet, station) = lan9118::Lan9118::start();
    let port = BareMetal::new(board::Machine::start(station), &EVENT);
    interrupts::enable();
    if let Some(arena) = ARENA.take() {
        let Err(_) = serve(port, ethernet, arena, SETUP);
    }
    stop()
}

fn stop() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}

/// Stops; the stack doesn't panic, whatever peers send.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    stop()
}
