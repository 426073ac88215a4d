//! The application: echo and a page.

use core::convert::Infallible;
use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use coracle::{
    Arena, Config, DhcpConfig, Error, Handler, Ipv6Settings, Limits, Memory, MemoryLimits, Pbuf, Refused,
    Stack, Tcp, TcpConfig, Udp,
};
use coracle_os::{Core, CoreLimits, Driver, Port, seed};

use crate::page;

/// What the board measures about itself, by name, for the page.
pub type Measure = fn() -> [(&'static str, usize); 2];

/// How large everything is.
#[derive(Debug)]
pub struct Setup {
    /// Buffers.
    pub memory: MemoryLimits,
    /// Tables.
    pub limits: Limits,
    /// How TCP behaves.
    pub tcp: TcpConfig,
    /// What else the page tells.
    pub measure: Measure,
}

/// The address that every board is given by hand, besides those that it makes itself and gets from a DHCP server.
const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// Serves until something fails at the start.
///
/// # Errors
///
/// The seed, or an arena that is too small.
pub fn serve<P: Port, D: Driver>(
    mut port: P,
    driver: D,
    mut arena: Arena,
    setup: Setup,
) -> Result<Infallible, Error> {
    let config = Config { tcp: setup.tcp, ..Config::new(seed(&mut port)?) };
    let memory = Memory::new(&mut arena, setup.memory)?;
    let stack = Stack::new(&mut arena, setup.limits, memory, config)?;
    let mut core = Core::new(&mut arena, stack, port, CoreLimits::SMALL)?;
    let handle = core.attach(driver, |config| config)?;
    let stack = core.stack();
    let mut netif = stack.netif(handle)?;
    netif.set_up(true)?;
    netif.ipv6_configure(Ipv6Settings::AUTO)?;
    netif.ipv6_add(ADDRESS, 64)?;
    netif.dhcp_start(&DhcpConfig::new())?;
    let udp = stack.udp_new(App::Echo(0))?;
    stack.udp(udp)?.bind(any(7))?;
    stack.tcp_listen(any(7), 2, App::Echo(0))?;
    stack.tcp_listen(any(80), 2, App::Page(setup.measure))?;
    loop {
        core.turn();
    }
}

/// Every address of both families.
fn any(port: u16) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))
}

/// The handlers of listeners, of their connections, and of the datagrams.
enum App {
    /// Sends back; with so many bytes that the peer has not acknowledged yet.
    Echo(usize),
    /// Answers with the page.
    Page(Measure),
    /// Has answered.
    Done,
}

impl Handler for App {
    fn accept(&mut self, _tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        Ok(match self {
            Self::Page(measure) => Self::Page(*measure),
            Self::Echo(_) | Self::Done => Self::Echo(0),
        })
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        let len = data.len();
        match self {
            // It leaves from where it came in. What there is no room for yet is offered again. The window opens when it
            // has arrived, so that a connection never holds more buffers than its window.
            Self::Echo(owed) => {
                tcp.write(data).map_err(|rejected| Refused(rejected.data))?;
                *owed += len;
            }
            // Whatever is asked for, there is one page.
            Self::Page(measure) => {
                if page::send(tcp, *measure).is_err() {
                    return Err(Refused(data));
                }
                *self = Self::Done;
                done_with(tcp, len);
                // Over already, when it has failed meanwhile.
                tcp.close().unwrap_or_default();
            }
            Self::Done => done_with(tcp, len),
        }
        Ok(())
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Self>, acked: usize) {
        if let Self::Echo(owed) = self {
            let arrived = acked.min(*owed);
            *owed -= arrived;
            done_with(tcp, arrived);
        }
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
        if let Self::Echo(owed) = self {
            // What is on its way back is still sent.
            done_with(tcp, core::mem::take(owed));
        }
        tcp.close().unwrap_or_default();
    }

    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        // What cannot be sent is dropped, as any network may drop it.
        drop(udp.send_to(data, from));
    }
}

/// The window opens by so much.
fn done_with(tcp: &mut Tcp<'_, App>, bytes: usize) {
    // The connection may be over; then there is none.
    tcp.recved(bytes).unwrap_or_default();
}
