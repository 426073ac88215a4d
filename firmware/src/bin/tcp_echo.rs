//! TCP echo on port 7 of 192.0.2.2/24, with ARP and ping; no allocator, and all memory in one static.

#![no_std]
#![no_main]

use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use coracle::{
    Config, Error, Handler, Ipv4Settings, Limits, Memory, MemoryLimits, NetifConfig, Pbuf, Refused, Stack,
    StaticArena, Tcp, TcpConfig,
};
use coracle_firmware::ethernet::Ethernet;
use coracle_firmware::time;

static ARENA: StaticArena<{ 28 * 1024 }> = StaticArena::new();

const MEMORY: MemoryLimits = MemoryLimits {
    pool_buffers: 8,
    pool_buffer_size: 1_536,
    small_buffers: 16,
    references: 16,
    heap_bytes: 0,
};

const LIMITS: Limits = Limits {
    netifs: 1,
    tcp: 4,
    tcp_listeners: 1,
    tcp_segments: 16,
    tcp_held: 4,
    tcp_time_wait: 4,
    neighbours: 8,
    ..Limits::NONE
};

/// However much comes in, what is due and what goes out have their turn.
const FRAMES_AT_A_TIME: usize = 8;

/// The listener's handler, and that of each connection.
struct Echo;

impl Handler for Echo {
    fn accept(&mut self, _tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        Ok(Echo)
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        let len = data.len();
        // It leaves from where it came in. What there is no room for yet is offered again.
        tcp.write(data).map_err(|rejected| Refused(rejected.data))?;
        // The connection may be over; then there is no window.
        tcp.recved(len).unwrap_or_default();
        Ok(())
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Err(_) = serve();
    loop {
        cortex_m::asm::wfi();
    }
}

fn serve() -> Result<Infallible, Error> {
    let (mut ethernet, station) = Ethernet::start();
    let mut arena = ARENA.take().ok_or(Error::Memory)?;
    let memory = Memory::new(&mut arena, MEMORY)?;
    // The emulated board has no source of entropy; a product takes the seed from its own.
    let config = Config { tcp: TcpConfig::SMALL, ..Config::new([7; 16]) };
    let mut stack = Stack::new(&mut arena, LIMITS, memory, config)?;
    let settings = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24);
    let netif = stack.netif_add(&NetifConfig::ethernet(station).ipv4(settings))?;
    stack.netif(netif)?.set_up(true)?;
    stack.tcp_listen(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 7)), 2, Echo)?;
    loop {
        let now = time::now();
        for _ in 0..FRAMES_AT_A_TIME {
            let Some(frame) = ethernet.receive(stack.memory()) else { break };
            // The interface stays, and no callback is running: nothing comes back.
            drop(stack.input(netif, frame, now));
        }
        stack.poll(now);
        stack.transmit_with(netif, |frame| ethernet.send(frame));
    }
}
