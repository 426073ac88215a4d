//! Two stacks on a wire without stations, and an application that sends and receives, for the tests of TCP.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file takes what it needs")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use coracle::*;

pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const PORT: u16 = 80;

pub fn server_end() -> SocketAddr {
    (SERVER, PORT).into()
}

/// What an application heard of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Asked,
    Accepted,
    Connected,
    Data(usize),
    Finished,
    Sent(usize),
    Polled,
    Urgent,
    Trouble(Trouble),
    Error(Error),
    Closed,
}

#[derive(Default)]
pub struct Record {
    pub heard: Vec<Heard>,
    pub received: Vec<u8>,
    pub handles: Vec<TcpHandle>,
    /// What is still to be written.
    pub to_send: VecDeque<u8>,
    /// Refuse data so many times.
    pub refuse: usize,
    /// Do not open the window.
    pub hold_window: bool,
    pub close_when_sent: bool,
    pub close_on_finish: bool,
    pub echo: bool,
    /// What is decided of a SYN; none: the listener is not to ask.
    pub admission: Option<Admission>,
    pub accept_nobody: bool,
    pub delay_backlog: bool,
    /// When this is heard, whatever it says exactly, all other connections of the stack are aborted.
    pub strikes_at: Option<Heard>,
}

pub type Log = Rc<RefCell<Record>>;

/// An application of one connection, or of a listener whose connections share its log.
#[derive(Clone)]
pub struct App(pub Log);

impl App {
    pub fn new() -> (Self, Log) {
        let log = Log::default();
        log.borrow_mut().close_on_finish = true;
        (Self(log.clone()), log)
    }

    fn note(&self, heard: Heard) {
        self.0.borrow_mut().heard.push(heard);
    }

    /// Aborts all others, if what was just heard says so.
    fn strike(&self, stack: &mut Stack<Self>, own: TcpHandle) {
        let due = {
            let record = self.0.borrow();
            let kind = |heard: &Heard| core::mem::discriminant(heard);
            record.strikes_at.is_some()
                && record.strikes_at.as_ref().map(kind) == record.heard.last().map(kind)
        };
        if due {
            let others: Vec<_> = stack.tcp_connections().filter(|&other| other != own).collect();
            for other in others {
                stack.tcp(other).unwrap().abort().unwrap();
            }
        }
    }

    fn strike_by(&self, tcp: &mut Tcp<'_, Self>) {
        let own = tcp.handle();
        self.strike(tcp.stack(), own);
    }

    /// Writes what there is room for.
    pub fn pump(&self, tcp: &mut Tcp<'_, Self>) {
        let mut record = self.0.borrow_mut();
        while !record.to_send.is_empty() {
            let bytes: Vec<u8> = record.to_send.iter().take(4_000).copied().collect();
            match tcp.write_some(&bytes) {
                Ok(count) => drop(record.to_send.drain(..count)),
                Err(_) => return,
            }
        }
        if record.close_when_sent {
            record.close_when_sent = false;
            drop(record);
            tcp.close().unwrap();
        }
    }
}

impl Handler for App {
    fn incoming(&mut self, tcp: &mut Tcp<'_, Self>) -> Admission {
        self.note(Heard::Asked);
        self.0.borrow_mut().handles.push(tcp.handle());
        self.0.borrow().admission.expect("only who wants to be asked is")
    }

    fn accept(&mut self, tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        self.note(Heard::Accepted);
        self.strike_by(tcp);
        if self.0.borrow().accept_nobody {
            return Err(Error::Aborted);
        }
        if self.0.borrow().delay_backlog {
            tcp.backlog_delay().unwrap();
        }
        self.0.borrow_mut().handles.push(tcp.handle());
        self.pump(tcp);
        Ok(self.clone())
    }

    fn connected(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.note(Heard::Connected);
        self.strike_by(tcp);
        self.pump(tcp);
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        {
            let mut record = self.0.borrow_mut();
            if record.refuse > 0 {
                record.refuse -= 1;
                return Err(Refused(data));
            }
            let mut bytes = vec![0; data.len()];
            data.copy_to(0, &mut bytes);
            record.heard.push(Heard::Data(bytes.len()));
            if record.echo {
                record.to_send.extend(&bytes);
            }
            record.received.extend(bytes);
            if !record.hold_window {
                tcp.recved(data.len()).unwrap();
            }
        }
        self.strike_by(tcp);
        self.pump(tcp);
        Ok(())
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.note(Heard::Finished);
        self.strike_by(tcp);
        if self.0.borrow().close_on_finish {
            tcp.close().unwrap();
        }
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Self>, acked: usize) {
        self.note(Heard::Sent(acked));
        self.strike_by(tcp);
        self.pump(tcp);
    }

    fn poll(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.note(Heard::Polled);
        self.strike_by(tcp);
    }

    fn urgent(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.note(Heard::Urgent);
        self.strike_by(tcp);
    }

    fn trouble(&mut self, _: &mut Tcp<'_, Self>, what: Trouble) {
        self.note(Heard::Trouble(what));
    }

    fn error(&mut self, stack: &mut Stack<Self>, own: TcpHandle, reason: Error) {
        self.note(Heard::Error(reason));
        self.strike(stack, own);
    }

    fn closed(&mut self, stack: &mut Stack<Self>, own: TcpHandle) {
        self.note(Heard::Closed);
        self.strike(stack, own);
    }
}

pub struct Host {
    pub stack: Stack<App>,
    pub netif: NetifHandle,
}

pub fn memory_used(stack: &Stack<App>) -> usize {
    let stats = stack.memory().stats();
    stats.pool.used + stats.references.used + stats.small.used + stats.heap.used
}

impl Host {
    pub fn new(address: Ipv4Addr, seed: u8, setup: impl FnOnce(&mut Config, &mut Limits)) -> Self {
        Self::on(&NetifConfig::ip(), address, seed, setup)
    }

    pub fn on(
        netif: &NetifConfig,
        address: Ipv4Addr,
        seed: u8,
        setup: impl FnOnce(&mut Config, &mut Limits),
    ) -> Self {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
        let mut config = Config::new([seed; 16]);
        let mut limits = Limits::HOST;
        setup(&mut config, &mut limits);
        let mut stack = Stack::new(&mut arena, limits, memory, config).unwrap();
        let netif = stack.netif_add(&netif.clone().ipv4(Ipv4Settings::new(address, 24))).unwrap();
        stack.netif(netif).unwrap().set_up(true).unwrap();
        Self { stack, netif }
    }
}

/// Decides what becomes of a frame: how many copies, and how much later.
pub type Fate = Box<dyn FnMut(&[u8]) -> Vec<Duration>>;

/// A client and a server, and the wire between them.
pub struct Pair {
    pub client: Host,
    pub server: Host,
    pub now: Instant,
    pub delay: Duration,
    pub fate: Option<Fate>,
    on_wire: Vec<(Instant, bool, Vec<u8>)>,
    pub carried: usize,
    /// Frames that arrive at the same time are handed over together.
    pub together: bool,
}

impl Pair {
    pub fn new() -> Self {
        Self::with(|_, _| {})
    }

    pub fn with(setup: impl Fn(&mut Config, &mut Limits)) -> Self {
        Self {
            client: Host::new(CLIENT, 1, &setup),
            server: Host::new(SERVER, 2, &setup),
            now: Instant::from_secs(1),
            delay: Duration::from_millis(1),
            fate: None,
            on_wire: Vec::new(),
            carried: 0,
            together: false,
        }
    }

    /// The same on Ethernet, where frames are handed over together.
    pub fn of_batches(setup: impl Fn(&mut Config, &mut Limits)) -> Self {
        let host = |address, seed| {
            let netif = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, seed));
            Host::on(&netif, address, seed, &setup)
        };
        Self { client: host(CLIENT, 1), server: host(SERVER, 2), together: true, ..Self::with(&setup) }
    }

    pub fn listen(&mut self, app: App) -> TcpListenerHandle {
        self.server.stack.tcp_listen(server_end(), 16, app).unwrap()
    }

    pub fn connect(&mut self, app: App) -> TcpHandle {
        self.client.stack.poll(self.now);
        let tcp = self.client.stack.tcp_new(app).unwrap();
        self.client.stack.tcp(tcp).unwrap().connect(server_end()).unwrap();
        tcp
    }

    fn collect(&mut self) {
        for from_client in [true, false] {
            let host = if from_client { &mut self.client } else { &mut self.server };
            while let Some(frame) = host.stack.transmit(host.netif) {
                let mut bytes = vec![0; frame.len()];
                frame.copy_to(0, &mut bytes);
                let fates = match &mut self.fate {
                    Some(fate) => fate(&bytes),
                    None => vec![Duration::ZERO],
                };
                for later in fates {
                    self.on_wire.push((self.now + self.delay + later, from_client, bytes.clone()));
                }
            }
        }
    }

    /// Frames on the wire.
    pub fn on_wire(&self) -> usize {
        self.on_wire.len()
    }

    /// Flips a bit at the end of one of them.
    pub fn damage(&mut self, frame: usize) {
        *self.on_wire[frame].2.last_mut().unwrap() ^= 1;
    }

    fn hand_over_together(&mut self, due: &[(Instant, bool, Vec<u8>)]) {
        for batch in due.chunk_by(|one, next| one.1 == next.1) {
            let host = if batch[0].1 { &mut self.server } else { &mut self.client };
            let memory = host.stack.memory().clone();
            let frames = batch.iter().map(|(.., bytes)| {
                memory.alloc_copy(Layer::Raw, bytes, Kind::Pool).expect("there are enough buffers")
            });
            host.stack.input_all(host.netif, frames, self.now).unwrap();
            self.carried += batch.len();
        }
        self.collect();
    }

    /// Does what is due until nothing is any more, or the time is over.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let wake = [self.client.stack.poll(self.now), self.server.stack.poll(self.now)];
            self.collect();
            let arrival = self.on_wire.iter().map(|&(at, ..)| at).min();
            let again = [self.client.stack.next_deadline(), self.server.stack.next_deadline()];
            let next = wake.into_iter().chain(again).flatten().chain(arrival).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            let mut due: Vec<_> = Vec::new();
            let now = self.now;
            self.on_wire.retain(|entry| {
                let is_due = entry.0 <= now;
                if is_due {
                    due.push(entry.clone());
                }
                !is_due
            });
            due.sort_by_key(|&(at, ..)| at);
            if self.together {
                self.hand_over_together(&due);
                due.clear();
            }
            for (_, from_client, bytes) in due {
                let host = if from_client { &mut self.server } else { &mut self.client };
                let mut frame = host.stack.memory().alloc(Layer::Raw, bytes.len(), Kind::Pool).unwrap();
                frame.take(&bytes).unwrap();
                host.stack.input(host.netif, frame, self.now).unwrap();
                self.carried += 1;
                self.collect();
            }
        }
        self.now = self.now.max(end);
    }
}

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// A cheap generator for tests.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }
}
