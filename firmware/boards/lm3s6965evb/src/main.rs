//! Coracle on the board `lm3s6965evb`, a Cortex-M3 with 64 KB of memory and an Ethernet controller of its own, as QEMU
//! emulates it; it sleeps until an interrupt of the controller or of a timer.

#![no_std]
#![no_main]

mod board;
mod ethernet;
mod interrupts;

use core::panic::PanicInfo;

use coracle::{Limits, MemoryLimits, StaticArena, TcpConfig};
use coracle_firmware_app::{Setup, serve, stack};
use coracle_os::{BareMetal, Event};

static ARENA: StaticArena<{ 36 * 1024 }> = StaticArena::new();
/// Called by every interrupt.
static EVENT: Event = Event::new();

const SETUP: Setup = Setup {
    memory: MemoryLimits {
        pool_buffers: 10,
        pool_buffer_size: 1_536,
        small_buffers: 16,
        references: 24,
        heap_bytes: 0,
    },
    limits: Limits {
        netifs: 1,
        udp: 1,
        tcp: 4,
        tcp_listeners: 2,
        tcp_segments: 16,
        tcp_held: 4,
        tcp_time_wait: 4,
        neighbours: 8,
        ipv6_addresses: 3,
        groups: 6,
        dhcp_clients: 1,
        ..Limits::NONE
    },
    tcp: TcpConfig::SMALL,
    measure: board::measure,
};

#[cortex_m_rt::entry]
fn main() -> ! {
    stack::paint();
    let (ethernet, station) = ethernet::Ethernet::start();
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
