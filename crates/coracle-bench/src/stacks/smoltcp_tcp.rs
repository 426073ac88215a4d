//! TCP of two smoltcp interfaces. See the crate's documentation for the choices.

use std::marker::PhantomData;
use std::rc::Rc;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpAddress;

use super::smoltcp::{Host, Manner, Port, Ring, broken};
use crate::failure::Failure;
use crate::tcp::{BUFFER, CHUNK, Job, Log, MESSAGE, TURN_MICROS, TcpPair};
use crate::udp_echo::{CLIENT, CLIENT_MAC, SERVER, SERVER_MAC};

/// Frames on the wire in one direction, as many as Coracle and lwIP queue.
const SLOTS: usize = 64;
/// Longer than sockets stay in TIME-WAIT.
const TIME_WAIT: Duration = Duration::from_secs(11);
/// The buffers of connections that are only there.
const IDLE_BUFFER: usize = 1_024;
/// The first port of the client's connections.
const CLIENT_PORT: u16 = 30_000;

/// A client and a server, run in the manner `M`. The applications look at the sockets in use only, as a waker would
/// tell them.
pub(crate) struct SmoltcpTcp<M> {
    client: Host,
    server: Host,
    to_server: Ring,
    to_client: Ring,
    job: Job,
    log: Rc<Log>,
    connections: u32,
    opened: u32,
    /// The client's and the server's socket of the last connection.
    current: Option<(SocketHandle, SocketHandle)>,
    /// What the applications have seen of it.
    seen: Seen,
    transferring: bool,
    now: Instant,
    manner: PhantomData<M>,
}

#[derive(Default)]
struct Seen {
    connected: bool,
    accepted: bool,
    finished: bool,
}

impl<M: Manner> TcpPair for SmoltcpTcp<M> {
    fn new(job: Job, connections: u32, _ports: u16, log: Rc<Log>) -> Result<Self, Failure> {
        let (mut to_server, mut to_client) = (Ring::new(SLOTS), Ring::new(SLOTS));
        let client = Host::new(CLIENT_MAC, CLIENT, &mut Port::new(&mut to_client, &mut to_server));
        let server = Host::new(SERVER_MAC, SERVER, &mut Port::new(&mut to_server, &mut to_client));
        Ok(Self {
            client,
            server,
            to_server,
            to_client,
            job,
            log,
            connections,
            opened: 0,
            current: None,
            seen: Seen::default(),
            transferring: false,
            now: Instant::ZERO,
            manner: PhantomData,
        })
    }

    fn connect(&mut self, port: u16) -> Result<(), Failure> {
        self.opened += 1;
        let (client, server) = match self.current {
            Some(sockets) if self.job == Job::Close => sockets,
            _ => {
                // The last is the one that is used.
                let size = if self.opened == self.connections { BUFFER } else { IDLE_BUFFER };
                let socket = || Socket::new(buffer(size), buffer(size));
                (self.client.sockets.add(socket()), self.server.sockets.add(socket()))
            }
        };
        self.current = Some((client, server));
        self.seen = Seen::default();
        self.server.sockets.get_mut::<Socket<'_>>(server).listen(port).map_err(|error| broken(&error))?;
        let from = CLIENT_PORT + (self.opened % 20_000) as u16;
        let socket = self.client.sockets.get_mut::<Socket<'_>>(client);
        let remote = (IpAddress::Ipv4(SERVER), port);
        socket.connect(self.client.interface.context(), remote, from).map_err(|error| broken(&error))?;
        self.run_client(M::transmit);
        Ok(())
    }

    fn turn(&mut self) -> Result<bool, Failure> {
        self.now += Duration::from_micros(TURN_MICROS);
        let before = self.frames();
        while self.to_server.waiting() > 0 {
            self.run_server(M::receive);
            if self.serve()? || !M::RECEIVING_SENDS {
                self.run_server(M::transmit);
            }
        }
        while self.to_client.waiting() > 0 {
            self.run_client(M::receive);
            if self.ask()? || !M::RECEIVING_SENDS {
                self.run_client(M::transmit);
            }
        }
        Ok(self.frames() > before)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let Host { interface, sockets } = &mut self.client;
        let client = interface.poll_at(self.now, sockets);
        let Host { interface, sockets } = &mut self.server;
        let next = client.into_iter().chain(interface.poll_at(self.now, sockets)).min();
        self.now = self.now.max(next.ok_or_else(|| Failure::Broken("smoltcp: nothing is to come".into()))?);
        self.run_client(M::transmit);
        self.run_server(M::transmit);
        Ok(())
    }

    fn start_transfer(&mut self) -> Result<(), Failure> {
        self.transferring = true;
        self.ask()?;
        self.run_client(M::transmit);
        Ok(())
    }

    fn send(&mut self, message: &[u8; MESSAGE]) -> Result<(), Failure> {
        let Some((client, _)) = self.current else { return Ok(()) };
        let socket = self.client.sockets.get_mut::<Socket<'_>>(client);
        socket.send_slice(message).map_err(|error| broken(&error))?;
        self.run_client(M::transmit);
        Ok(())
    }

    fn end_time_wait(&mut self) -> Result<(), Failure> {
        self.now += TIME_WAIT;
        self.run_client(M::transmit);
        self.run_server(M::transmit);
        Ok(())
    }

    fn frames(&self) -> u64 {
        self.to_server.carried() + self.to_client.carried()
    }
}

impl<M: Manner> SmoltcpTcp<M> {
    fn run_client(&mut self, run: fn(&mut Host, &mut Port<'_>, Instant)) {
        run(&mut self.client, &mut Port::new(&mut self.to_client, &mut self.to_server), self.now);
    }

    fn run_server(&mut self, run: fn(&mut Host, &mut Port<'_>, Instant)) {
        run(&mut self.server, &mut Port::new(&mut self.to_server, &mut self.to_client), self.now);
    }

    /// The server's application: true if the stack has something to do now.
    fn serve(&mut self) -> Result<bool, Failure> {
        let Some((_, server)) = self.current else { return Ok(false) };
        let socket = self.server.sockets.get_mut::<Socket<'_>>(server);
        let state = socket.state();
        if !self.seen.accepted && matches!(state, State::Established | State::CloseWait) {
            self.seen.accepted = true;
            self.log.accepted();
        }
        let mut busy = false;
        while socket.can_recv() {
            busy = true;
            if self.job == Job::Echo {
                let mut bytes = [0; MESSAGE];
                let length = socket.recv_slice(&mut bytes).map_err(|error| broken(&error))?;
                socket.send_slice(&bytes[..length]).map_err(|error| broken(&error))?;
            } else {
                let log = &self.log;
                let take = |bytes: &mut [u8]| {
                    // As much as the log compares at once.
                    let length = bytes.len().min(CHUNK);
                    log.take(&bytes[..length]);
                    (length, ())
                };
                socket.recv(take).map_err(|error| broken(&error))?;
            }
        }
        if !self.seen.finished && state == State::CloseWait {
            self.seen.finished = true;
            self.log.finished();
            socket.close();
            busy = true;
        }
        Ok(busy)
    }

    /// The client's application: true if the stack has something to do now.
    fn ask(&mut self) -> Result<bool, Failure> {
        let Some((client, _)) = self.current else { return Ok(false) };
        let socket = self.client.sockets.get_mut::<Socket<'_>>(client);
        let mut busy = false;
        if !self.seen.connected && socket.state() == State::Established {
            self.seen.connected = true;
            self.log.connected();
            if self.job == Job::Close {
                socket.close();
                busy = true;
            }
        }
        while socket.can_recv() {
            let log = &self.log;
            let answer = |bytes: &mut [u8]| {
                log.answer(bytes);
                (bytes.len(), ())
            };
            socket.recv(answer).map_err(|error| broken(&error))?;
        }
        while self.transferring && socket.send_capacity() - socket.send_queue() >= CHUNK {
            socket.send_slice(self.log.next_chunk()).map_err(|error| broken(&error))?;
            busy = true;
        }
        Ok(busy)
    }
}

fn buffer(size: usize) -> SocketBuffer<'static> {
    SocketBuffer::new(vec![0; size])
}
