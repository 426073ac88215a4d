//! A stack with an application that writes down what it hears, for the tests of this folder.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file takes what it needs")]

pub mod frames;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use coracle::*;
pub use frames::*;

pub const OUR_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);
pub const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const PEER_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 9);
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const GATEWAY_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
pub const BROADCAST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 255);

/// What a callback was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Datagram { who: &'static str, from: SocketAddr, data: Vec<u8>, packet: PacketInfo },
    DatagramError { who: &'static str, to: SocketAddr, error: IcmpError },
    Packet { who: &'static str, packet: Vec<u8> },
    PacketError { who: &'static str, to: IpAddr, error: IcmpError },
    Timeout { who: &'static str, deadline: Instant, now: Instant },
    Netif { who: &'static str, event: NetifEvent },
}

impl Heard {
    pub fn who(&self) -> &'static str {
        match self {
            Self::Datagram { who, .. }
            | Self::DatagramError { who, .. }
            | Self::Packet { who, .. }
            | Self::PacketError { who, .. }
            | Self::Timeout { who, .. }
            | Self::Netif { who, .. } => who,
        }
    }
}

pub type Log = Rc<RefCell<Vec<Heard>>>;
type OnDatagram = Box<dyn FnMut(&mut Udp<'_, App>, SocketAddr, Pbuf)>;
type OnDatagramError = Box<dyn FnMut(&mut Udp<'_, App>, SocketAddr, IcmpError)>;
type OnPacket = Box<dyn FnMut(&mut Raw<'_, App>, Pbuf) -> Option<Pbuf>>;
type OnTimeout = Box<dyn FnMut(&mut Timeout<'_, App>)>;
type OnNetif = Box<dyn FnMut(&mut Stack<App>, NetifEvent)>;

/// An application that notes every call, and does what the test says besides.
pub struct App {
    pub who: &'static str,
    log: Log,
    datagram: Option<OnDatagram>,
    datagram_error: Option<OnDatagramError>,
    packet: Option<OnPacket>,
    timeout: Option<OnTimeout>,
    netif: Option<OnNetif>,
}

impl App {
    pub fn new(who: &'static str, log: &Log) -> Self {
        let log = Rc::clone(log);
        Self { who, log, datagram: None, datagram_error: None, packet: None, timeout: None, netif: None }
    }

    pub fn on_datagram(mut self, on: impl FnMut(&mut Udp<'_, Self>, SocketAddr, Pbuf) + 'static) -> Self {
        self.datagram = Some(Box::new(on));
        self
    }

    pub fn on_datagram_error(
        mut self,
        on: impl FnMut(&mut Udp<'_, Self>, SocketAddr, IcmpError) + 'static,
    ) -> Self {
        self.datagram_error = Some(Box::new(on));
        self
    }

    pub fn on_packet(mut self, on: impl FnMut(&mut Raw<'_, Self>, Pbuf) -> Option<Pbuf> + 'static) -> Self {
        self.packet = Some(Box::new(on));
        self
    }

    pub fn on_timeout(mut self, on: impl FnMut(&mut Timeout<'_, Self>) + 'static) -> Self {
        self.timeout = Some(Box::new(on));
        self
    }

    pub fn on_netif(mut self, on: impl FnMut(&mut Stack<Self>, NetifEvent) + 'static) -> Self {
        self.netif = Some(Box::new(on));
        self
    }

    fn note(&self, heard: Heard) {
        self.log.borrow_mut().push(heard);
    }
}

/// The bytes of a buffer, whatever its segments.
pub fn bytes_of(pbuf: &Pbuf) -> Vec<u8> {
    pbuf.segments().flatten().copied().collect()
}

impl Handler for App {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let packet = udp.packet().expect("a datagram comes in a packet");
        self.note(Heard::Datagram { who: self.who, from, data: bytes_of(&data), packet });
        if let Some(on) = &mut self.datagram {
            on(udp, from, data);
        }
    }

    fn datagram_error(&mut self, udp: &mut Udp<'_, Self>, to: SocketAddr, error: IcmpError) {
        self.note(Heard::DatagramError { who: self.who, to, error });
        if let Some(on) = &mut self.datagram_error {
            on(udp, to, error);
        }
    }

    fn packet(&mut self, raw: &mut Raw<'_, Self>, packet: Pbuf) -> Option<Pbuf> {
        self.note(Heard::Packet { who: self.who, packet: bytes_of(&packet) });
        match &mut self.packet {
            Some(on) => on(raw, packet),
            None => Some(packet),
        }
    }

    fn packet_error(&mut self, _raw: &mut Raw<'_, Self>, to: IpAddr, error: IcmpError) {
        self.note(Heard::PacketError { who: self.who, to, error });
    }

    fn timeout(&mut self, timeout: &mut Timeout<'_, Self>) {
        let (deadline, now) = (timeout.deadline(), timeout.stack().now());
        self.note(Heard::Timeout { who: self.who, deadline, now });
        if let Some(on) = &mut self.timeout {
            on(timeout);
        }
    }

    fn netif_changed(&mut self, stack: &mut Stack<Self>, event: NetifEvent) {
        self.note(Heard::Netif { who: self.who, event });
        if let Some(on) = &mut self.netif {
            on(stack, event);
        }
    }
}

/// What a host under test is made of.
pub struct Setup {
    pub limits: Limits,
    pub memory: MemoryLimits,
    pub config: Config,
    pub netif: NetifConfig,
}

impl Default for Setup {
    fn default() -> Self {
        let settings = Ipv4Settings::new(OURS, 24).with_gateway(GATEWAY);
        Self {
            limits: Limits {
                netifs: 4,
                udp: 16,
                raw: 8,
                neighbours: 16,
                routes: 8,
                groups: 8,
                memberships: 8,
                group_sources: 32,
                reassemblies: 8,
                fragments: 96,
                timeouts: 8,
                listeners: 4,
                ..Limits::NONE
            },
            memory: MemoryLimits {
                pool_buffers: 256,
                pool_buffer_size: 1_700,
                small_buffers: 32,
                references: 256,
                heap_bytes: 256 << 10,
            },
            config: Config::new([7; 16]),
            netif: NetifConfig::ethernet(OUR_MAC).ipv4(settings),
        }
    }
}

impl Setup {
    pub fn host(self) -> Host {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, self.memory).expect("memory of a host");
        let mut stack = Stack::new(&mut arena, self.limits, memory, self.config).expect("a stack");
        let netif = stack.netif_add(&self.netif).expect("an interface");
        stack.netif(netif).unwrap().set_up(true).unwrap();
        let mut host = Host { stack, netif, log: Log::default(), now: Instant::from_secs(1) };
        host.poll();
        host.discard_sent();
        host
    }
}

/// A stack with one interface that is up, and what its application heard.
pub struct Host {
    pub stack: Stack<App>,
    pub netif: NetifHandle,
    pub log: Log,
    pub now: Instant,
}

/// 192.0.2.2/24 on Ethernet, with a gateway.
pub fn host() -> Host {
    Setup::default().host()
}

impl Host {
    /// The same with the default limits of memory, and this configuration.
    pub fn configured(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        setup.host()
    }

    pub fn app(&self, who: &'static str) -> App {
        App::new(who, &self.log)
    }

    /// What was heard since this was last asked.
    pub fn heard(&mut self) -> Vec<Heard> {
        self.log.take()
    }

    /// Who was called, in order, since this was last asked.
    pub fn who_heard(&mut self) -> Vec<&'static str> {
        self.heard().iter().map(Heard::who).collect()
    }

    /// The data of the datagrams that were heard.
    pub fn datagrams(&mut self) -> Vec<Vec<u8>> {
        let data = |heard| if let Heard::Datagram { data, .. } = heard { Some(data) } else { None };
        self.heard().into_iter().filter_map(data).collect()
    }

    /// A control block named `who`, bound to a port of any address.
    pub fn udp(&mut self, who: &'static str, port: u16) -> UdpHandle {
        let app = self.app(who);
        self.udp_of(app, port)
    }

    pub fn udp_of(&mut self, app: App, port: u16) -> UdpHandle {
        let udp = self.stack.udp_new(app).expect("a free control block");
        self.stack.udp(udp).unwrap().bind((Ipv4Addr::UNSPECIFIED, port).into()).expect("a free port");
        udp
    }

    /// A buffer as a driver hands it in: the frame, and no room before it.
    pub fn frame(&self, bytes: &[u8]) -> Pbuf {
        let mut frame = self.stack.memory().alloc(Layer::Raw, bytes.len(), Kind::Pool).expect("a buffer");
        frame.take(bytes).unwrap();
        frame
    }

    /// Data of an application.
    pub fn data(&self, bytes: &[u8]) -> Pbuf {
        let mut data = self.stack.memory().alloc(Layer::Transport, bytes.len(), Kind::Ram).expect("a buffer");
        data.take(bytes).unwrap();
        data
    }

    pub fn input(&mut self, frame: impl AsRef<[u8]>) {
        self.input_on(self.netif, frame);
    }

    pub fn input_on(&mut self, netif: NetifHandle, frame: impl AsRef<[u8]>) {
        let frame = self.frame(frame.as_ref());
        self.stack.input(netif, frame, self.now).expect("the interface is there");
    }

    /// Runs what is due until nothing is; the next deadline.
    pub fn poll(&mut self) -> Option<Instant> {
        for _ in 0..1_000 {
            match self.stack.poll(self.now) {
                Some(deadline) if deadline <= self.now => {}
                later => return later,
            }
        }
        panic!("polling never ends");
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.poll().filter(|&deadline| deadline <= end) {
            self.now = deadline;
        }
        self.now = end;
        self.poll();
    }

    /// The frames that left since this was last asked, judged well-formed by an independent decoder.
    pub fn sent(&mut self) -> Vec<Seen> {
        self.sent_on(self.netif)
    }

    pub fn sent_on(&mut self, netif: NetifHandle) -> Vec<Seen> {
        self.sent_raw(netif).iter().map(|frame| Seen::frame(frame)).collect()
    }

    /// The one frame that left.
    pub fn sent_one(&mut self) -> Seen {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub fn sent_raw(&mut self, netif: NetifHandle) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.stack.transmit(netif)).map(|frame| bytes_of(&frame)).collect()
    }

    pub fn discard_sent(&mut self) {
        while self.stack.transmit(self.netif).is_some() {}
    }

    /// Lets a neighbour ask for us, so that we know it.
    pub fn meet(&mut self, address: Ipv4Addr, station: MacAddr) {
        self.input(Arp::request(station, address, OURS).frame());
        assert_eq!(self.sent_one().arp().operation, etherparse::ArpOperation::REPLY);
    }

    pub fn meet_peer(&mut self) {
        self.meet(PEER, PEER_MAC);
    }

    /// Another interface, up, with what it announced thrown away.
    pub fn add(&mut self, config: &NetifConfig) -> NetifHandle {
        let netif = self.stack.netif_add(config).expect("room for an interface");
        self.stack.netif(netif).unwrap().set_up(true).unwrap();
        self.sent_raw(netif);
        netif
    }

    /// How much is in use of the pool, of the references, and of what small packets are made of.
    pub fn memory_used(&self) -> (usize, usize, usize) {
        let stats = self.stack.memory().stats();
        (stats.pool.used, stats.references.used, stats.small.used + stats.heap.used)
    }
}
