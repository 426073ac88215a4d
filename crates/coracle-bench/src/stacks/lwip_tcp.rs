//! TCP of two copies of the system's liblwip. See the crate's documentation for the choices.

use std::cell::{Cell, RefCell};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use coracle_lwip_peer::{Config, Error, Stack, TcpHandler, TcpSocket};

use super::lwip::{broken, carry, load};
use crate::failure::Failure;
use crate::tcp::{BUFFER, CHUNK, FIRST_PORT, Job, Log, MESSAGE, TcpPair};
use crate::udp_echo::{CLIENT, CLIENT_MAC, MTU, NETMASK, SERVER, SERVER_MAC};

/// A client and a server.
pub(crate) struct LwipTcp {
    client: Stack,
    server: Stack,
    app: Rc<Client>,
    current: RefCell<Option<Rc<TcpSocket>>>,
    frames: u64,
}

/// The client's application, of all its connections.
struct Client {
    job: Job,
    log: Rc<Log>,
    /// Bytes written and not acknowledged.
    unacknowledged: Cell<usize>,
}

/// The server's.
struct Server {
    job: Job,
    log: Rc<Log>,
}

impl Client {
    /// Writes a transfer as long as there is room.
    fn fill(&self, tcp: &TcpSocket) -> Result<(), Error> {
        while self.unacknowledged.get() + CHUNK <= BUFFER {
            tcp.write_static(self.log.next_chunk())?;
            self.unacknowledged.set(self.unacknowledged.get() + CHUNK);
        }
        Ok(())
    }
}

impl TcpHandler for Client {
    fn opened(&self, tcp: &TcpSocket) {
        self.log.connected();
        if self.job == Job::Close {
            // What fails is noticed by the count of those that closed.
            tcp.close().unwrap_or_default();
        }
    }

    fn received(&self, _tcp: &TcpSocket, data: &[u8]) {
        self.log.answer(data);
    }

    fn finished(&self, tcp: &TcpSocket) {
        tcp.close().unwrap_or_default();
    }

    fn sent(&self, tcp: &TcpSocket, bytes: usize) {
        if self.job == Job::Take {
            self.unacknowledged.set(self.unacknowledged.get() - bytes);
            // A transfer that ends is noticed.
            self.fill(tcp).unwrap_or_default();
        }
    }

    fn failed(&self, _tcp: &TcpSocket) {}
}

impl TcpHandler for Server {
    fn opened(&self, _tcp: &TcpSocket) {
        self.log.accepted();
    }

    fn received(&self, tcp: &TcpSocket, data: &[u8]) {
        match self.job {
            // What is refused is lost, and noticed by the client.
            Job::Echo => tcp.write(data).unwrap_or_default(),
            _ => self.log.take(data),
        }
    }

    fn finished(&self, tcp: &TcpSocket) {
        self.log.finished();
        tcp.close().unwrap_or_default();
    }

    fn sent(&self, _tcp: &TcpSocket, _bytes: usize) {}

    fn failed(&self, _tcp: &TcpSocket) {}
}

impl TcpPair for LwipTcp {
    fn new(job: Job, _connections: u32, ports: u16, log: Rc<Log>) -> Result<Self, Failure> {
        let stack = |hardware_address, address| {
            load(&Config { hardware_address, address, netmask: NETMASK, mtu: MTU })
        };
        let (client, server) = (stack(CLIENT_MAC, CLIENT)?, stack(SERVER_MAC, SERVER)?);
        for port in FIRST_PORT..FIRST_PORT + ports {
            let app = Rc::new(Server { job, log: Rc::clone(&log) });
            server.tcp_listen(port, app).map_err(|error| broken(&error))?;
        }
        let app = Rc::new(Client { job, log, unacknowledged: Cell::new(0) });
        Ok(Self { client, server, app, current: RefCell::default(), frames: 0 })
    }

    fn connect(&mut self, port: u16) -> Result<(), Failure> {
        let to = SocketAddrV4::new(SERVER, port);
        let socket = self.client.tcp_connect(to, self.app.clone()).map_err(|error| broken(&error))?;
        self.current.replace(Some(socket));
        Ok(())
    }

    fn turn(&mut self) -> Result<bool, Failure> {
        let carried = carry(&self.client, &self.server)? + carry(&self.server, &self.client)?;
        self.frames += carried;
        Ok(carried > 0)
    }

    /// lwIP reads the system's clock, so this waits for real.
    fn wait(&mut self) -> Result<(), Failure> {
        std::thread::sleep(Duration::from_millis(1));
        self.client.check_timeouts();
        self.server.check_timeouts();
        Ok(())
    }

    fn start_transfer(&mut self) -> Result<(), Failure> {
        self.with_current(|tcp| self.app.fill(tcp).and_then(|()| tcp.output()))
    }

    fn send(&mut self, message: &[u8; MESSAGE]) -> Result<(), Failure> {
        self.with_current(|tcp| tcp.write(message).and_then(|()| tcp.output()))
    }

    fn end_time_wait(&mut self) -> Result<(), Failure> {
        self.client.tcp_end_time_wait();
        self.server.tcp_end_time_wait();
        Ok(())
    }

    fn frames(&self) -> u64 {
        self.frames
    }
}

impl LwipTcp {
    fn with_current(&self, call: impl FnOnce(&TcpSocket) -> Result<(), Error>) -> Result<(), Failure> {
        match &*self.current.borrow() {
            Some(tcp) => call(tcp).map_err(|error| broken(&error)),
            None => Err(Failure::Broken("lwIP: no connection".into())),
        }
    }
}
