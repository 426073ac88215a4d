//! An SNMP agent at 192.0.2.2/24 with all standard objects; no allocator, and all memory in one static and on the stack.
//! With the feature `snmp-v3`, for users, too.

#![no_std]
#![no_main]

use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use coracle::{Config, Error, Ipv4Settings, Limits, Memory, MemoryLimits, NetifConfig, Stack, StaticArena};
use coracle_firmware::ethernet::Ethernet;
use coracle_firmware::time;
use coracle_snmp::agent::{Agent, Community, READ};
use coracle_snmp::mib::Tree;
use coracle_snmp::{AGENT_PORT, Setup, SnmpAgent, standard};

static ARENA: StaticArena<{ 14 * 1024 }> = StaticArena::new();

const MEMORY: MemoryLimits =
    MemoryLimits { pool_buffers: 6, pool_buffer_size: 1_536, small_buffers: 4, references: 4, heap_bytes: 0 };

const LIMITS: Limits = Limits { netifs: 1, udp: 1, neighbours: 8, ..Limits::NONE };

/// However much comes in, what is due and what goes out have their turn.
const FRAMES_AT_A_TIME: usize = 8;

#[cortex_m_rt::entry]
fn main() -> ! {
    let Err(_) = serve();
    loop {
        cortex_m::asm::wfi();
    }
}

#[cfg(feature = "snmp-v3")]
mod secure {
    use coracle_snmp::agent::Storage;

    /// The emulated board keeps nothing while it is off; a product does.
    pub(super) struct Forgetful;

    impl Storage for Forgetful {
        fn boots(&mut self) -> u32 {
            0
        }

        fn store_boots(&mut self, _boots: u32) {}
    }
}

fn serve() -> Result<Infallible, Error> {
    let (mut ethernet, station) = Ethernet::start();
    let mut arena = ARENA.take().ok_or(Error::Memory)?;
    let memory = Memory::new(&mut arena, MEMORY)?;
    let communities = [Community::new("public", READ)];
    let tree = Tree::new(standard::ALL).map_err(|_| Error::Argument)?;
    let agent = Agent::new(Setup::new(tree).communities(&communities));
    #[cfg(feature = "snmp-v3")]
    let id = coracle_snmp::v3::EngineId::of_station(8072, station.0);
    #[cfg(feature = "snmp-v3")]
    let users = {
        use coracle_snmp::v3::{AuthProtocol, PrivProtocol, User};
        [User::new("admin", READ).auth(AuthProtocol::Sha256, "a long password", id).privacy(
            PrivProtocol::Aes128,
            "another password",
            id,
        )]
    };
    #[cfg(feature = "snmp-v3")]
    let agent = agent.with_engine(coracle_snmp::agent::Engine::start(id, &users, &mut secure::Forgetful, 1));
    let (mut request, mut reply) = ([0; 1472], [0; 1472]);
    // The emulated board has no source of entropy; a product takes the seed from its own.
    let mut stack = Stack::new(&mut arena, LIMITS, memory, Config::new([7; 16]))?;
    let settings = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24);
    let netif = stack.netif_add(&NetifConfig::ethernet(station).ipv4(settings))?;
    stack.netif(netif)?.set_up(true)?;
    let udp = stack.udp_new(SnmpAgent::new(agent, &mut request, &mut reply))?;
    stack.udp(udp)?.bind(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, AGENT_PORT)))?;
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
