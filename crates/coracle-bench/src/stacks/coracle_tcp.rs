//! TCP of two Coracle stacks. See the crate's documentation for the choices.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use coracle::{
    Arena, Config, Error, Handler, Instant, Ipv4Settings, Kind, Layer, Limits, MacAddr, Memory, MemoryLimits,
    NetifConfig, NetifHandle, Pbuf, Refused, Stack, Tcp, TcpHandle,
};

use crate::failure::Failure;
use crate::tcp::{BUFFER, CHUNK, FIRST_PORT, Job, Log, MESSAGE, TURN_MICROS, TcpPair};
use crate::udp_echo::{CLIENT, CLIENT_MAC, MTU, PREFIX_LENGTH, SERVER, SERVER_MAC};

/// Longer than connections stay in TIME-WAIT by default.
const TWO_MSL: Duration = Duration::from_secs(121);

/// A client and a server.
pub(crate) struct CoracleTcp {
    client: Host,
    server: Host,
    job: Job,
    log: Rc<Log>,
    current: Option<TcpHandle>,
    now: Instant,
    frames: u64,
}

/// One end: a stack and its only interface.
struct Host {
    stack: Stack<App>,
    memory: Memory,
    netif: NetifHandle,
}

/// The applications of connections.
#[derive(Clone)]
struct App {
    side: Side,
    job: Job,
    log: Rc<Log>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl App {
    /// Writes a transfer as long as there is room.
    fn fill(&self, tcp: &mut Tcp<'_, Self>) -> Result<(), Error> {
        while tcp.send_buffer()? >= CHUNK {
            tcp.write_static(self.log.next_chunk())?;
        }
        Ok(())
    }
}

impl Handler for App {
    fn accept(&mut self, _tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        self.log.accepted();
        Ok(self.clone())
    }

    fn connected(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.log.connected();
        if self.job == Job::Close {
            // What fails is noticed by the count of those that closed.
            tcp.close().unwrap_or_default();
        }
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        tcp.recved(data.len()).unwrap_or_default();
        match (self.side, self.job) {
            (Side::Server, Job::Echo) => {
                // What is refused is lost, and noticed by the client.
                drop(tcp.write(data));
            }
            (Side::Server, _) => data.segments().for_each(|piece| self.log.take(piece)),
            (Side::Client, _) => data.segments().for_each(|piece| self.log.answer(piece)),
        }
        Ok(())
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Self>, _acked: usize) {
        if self.side == Side::Client && self.job == Job::Take {
            // A transfer that ends is noticed.
            self.fill(tcp).unwrap_or_default();
        }
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
        if self.side == Side::Server {
            self.log.finished();
        }
        tcp.close().unwrap_or_default();
    }
}

impl TcpPair for CoracleTcp {
    fn new(job: Job, connections: u32, ports: u16, log: Rc<Log>) -> Result<Self, Failure> {
        let host = |mac, address| Host::new(mac, address, connections as usize).map_err(broken);
        let mut server = host(SERVER_MAC, SERVER)?;
        for port in FIRST_PORT..FIRST_PORT + ports {
            let app = App { side: Side::Server, job, log: Rc::clone(&log) };
            let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            server.stack.tcp_listen(local, 16, app).map_err(broken)?;
        }
        let client = host(CLIENT_MAC, CLIENT)?;
        Ok(Self { client, server, job, log, current: None, now: Instant::from_secs(1), frames: 0 })
    }

    fn connect(&mut self, port: u16) -> Result<(), Failure> {
        let app = App { side: Side::Client, job: self.job, log: Rc::clone(&self.log) };
        let connect = |stack: &mut Stack<App>| {
            let handle = stack.tcp_new(app)?;
            stack.tcp(handle)?.connect(SocketAddr::from((SERVER, port)))?;
            Ok(handle)
        };
        self.current = Some(connect(&mut self.client.stack).map_err(broken)?);
        Ok(())
    }

    fn turn(&mut self) -> Result<bool, Failure> {
        self.now = self.now + Duration::from_micros(TURN_MICROS);
        let carried = carry(&mut self.client, &mut self.server, self.now).map_err(broken)?
            + carry(&mut self.server, &mut self.client, self.now).map_err(broken)?;
        self.frames += carried;
        for host in [&mut self.client, &mut self.server] {
            if host.stack.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                host.stack.poll(self.now);
            }
        }
        Ok(carried > 0)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let hosts = [&mut self.client, &mut self.server];
        let next = hosts.into_iter().filter_map(|host| host.stack.next_deadline()).min();
        self.now = self.now.max(next.ok_or_else(|| Failure::Broken("Coracle: nothing is to come".into()))?);
        self.client.stack.poll(self.now);
        self.server.stack.poll(self.now);
        Ok(())
    }

    fn start_transfer(&mut self) -> Result<(), Failure> {
        let app = App { side: Side::Client, job: self.job, log: Rc::clone(&self.log) };
        self.current().and_then(|mut tcp| app.fill(&mut tcp)).map_err(broken)
    }

    fn send(&mut self, message: &[u8; MESSAGE]) -> Result<(), Failure> {
        self.current().and_then(|mut tcp| tcp.write_bytes(message)).map_err(broken)
    }

    fn end_time_wait(&mut self) -> Result<(), Failure> {
        self.now = self.now + TWO_MSL;
        self.client.stack.poll(self.now);
        self.server.stack.poll(self.now);
        Ok(())
    }

    fn frames(&self) -> u64 {
        self.frames
    }
}

impl CoracleTcp {
    #[inline]
    fn current(&mut self) -> Result<Tcp<'_, App>, Error> {
        self.current.ok_or(Error::NotConnected).and_then(|current| self.client.stack.tcp(current))
    }
}

impl Host {
    fn new(mac: [u8; 6], address: Ipv4Addr, connections: usize) -> Result<Self, Error> {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::default())?;
        let limits = Limits { tcp: connections + 8, ..Limits::default() };
        let mut config = Config::new(*b"always the same.");
        config.tcp.window = BUFFER as u32;
        config.tcp.send_buffer = BUFFER as u32;
        let mut stack = Stack::new(&mut arena, limits, memory.clone(), config)?;
        let settings = Ipv4Settings::new(address, PREFIX_LENGTH);
        let netif = stack.netif_add(&NetifConfig::ethernet(MacAddr(mac)).ipv4(settings).mtu(MTU))?;
        stack.netif(netif)?.set_up(true)?;
        Ok(Self { stack, memory, netif })
    }
}

/// Carries every frame that waits, as a driver does: a received frame lies in a buffer of the pool.
fn carry(from: &mut Host, to: &mut Host, now: Instant) -> Result<u64, Error> {
    let mut carried = 0;
    let mut failed = None;
    let memory = &to.memory;
    let frames = core::iter::from_fn(|| {
        let frame = from.stack.transmit(from.netif)?;
        carried += 1;
        received(memory, &frame).map_err(|error| failed = Some(error)).ok()
    });
    to.stack.input_all(to.netif, frames, now)?;
    failed.map_or(Ok(carried), Err)
}

#[inline]
fn received(memory: &Memory, frame: &Pbuf) -> Result<Pbuf, Error> {
    let mut received = memory.alloc(Layer::Raw, frame.len(), Kind::Pool)?;
    frame.copy_to(0, received.payload_mut()?);
    Ok(received)
}

fn broken(error: Error) -> Failure {
    Failure::Broken(format!("Coracle: {error}"))
}
