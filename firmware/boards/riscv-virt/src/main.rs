//! Coracle on QEMU's RISC-V machine `virt`, with a virtio network device; it sleeps until the device or its timer has
//! something.

#![no_std]
#![no_main]

mod board;
mod virtio;

use core::panic::PanicInfo;

use coracle::{Limits, MemoryLimits, StaticArena, TcpConfig};
use coracle_firmware_app::{Setup, serve, stack};
use coracle_os::{BareMetal, Event};

static ARENA: StaticArena<{ 112 * 1024 }> = StaticArena::new();
/// Nobody calls: what ends a sleep here is looked at by the loop.
static EVENT: Event = Event::new();

const SETUP: Setup = Setup {
    memory: MemoryLimits {
        // Sixteen of them are the device's.
        pool_buffers: 40,
        pool_buffer_size: 1_536,
        small_buffers: 32,
        references: 64,
        heap_bytes: 0,
    },
    limits: Limits { netifs: 1, dhcp_clients: 1, ..Limits::SMALL },
    tcp: TcpConfig::SMALL,
    measure: board::measure,
};

#[riscv_rt::entry]
fn main() -> ! {
    stack::paint();
    if let (Some((network, slot)), Some(arena)) = (virtio::Network::find(), ARENA.take()) {
        let port = BareMetal::new(board::Machine::start(network.station(), slot), &EVENT);
        let Err(_) = serve(port, network, arena, SETUP);
    }
    stop()
}

fn stop() -> ! {
    loop {
        riscv::asm::wfi();
    }
}

/// Stops; the stack doesn't panic, whatever peers send.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    stop()
}
