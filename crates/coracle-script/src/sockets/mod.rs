//! A sockets layer over Coracle's public raw API, in virtual time: descriptors, Linux's results and error numbers.
//!
//! [`Sockets`] owns a stack with one interface of bare IP packets. Its user hands packets in ([`Sockets::inject`]),
//! moves the clock ([`Sockets::advance`]), and takes what was sent ([`Sockets::take_sent`]). Calls that may have to
//! wait are [`Operation`]s: an attempt that gives nothing blocks, and may be repeated after anything happened.
//!
//! ```
//! use coracle_script::sockets::{Operation, Sockets, SocketsConfig, constants::*};
//! let mut sockets = Sockets::new(SocketsConfig::default())?;
//! let fd = sockets.socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)?;
//! sockets.bind(fd, "192.168.0.1:7".parse().unwrap())?;
//! let peer = "192.0.2.1:4000".parse().unwrap();
//! let sent = sockets.attempt(&mut Operation::send(fd, vec![0; 100], 0, Some(peer))).unwrap()?;
//! assert_eq!(sent.value, 100);
//! assert_eq!(sockets.take_sent().unwrap().bytes.len(), 128);
//! // Nothing has come: this call would wait.
//! assert!(sockets.attempt(&mut Operation::receive(fd, 100, 0)).is_none());
//! # Ok::<(), coracle_script::sockets::Errno>(())
//! ```

pub mod constants;
mod cork;
mod datagram;
mod endpoint;
mod errno;
mod family;
mod info;
mod operation;
mod options;
pub(crate) mod settings;
mod stream;
mod stream_options;
#[cfg(test)]
mod tests;

pub use errno::Errno;
pub use operation::{Completion, Operation, PollEntry};
pub use settings::WrongSetting;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use constants::{
    AF_INET, AF_INET6, F_GETFL, F_SETFL, FIONBIO, FIONREAD, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
    O_NONBLOCK, O_RDWR, SIOCOUTQ, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM,
};
use coracle::{
    Arena, Config, Instant, Ipv4Settings, Kind as BufferKind, Layer, Limits, Memory, MemoryLimits,
    NetifConfig, NetifHandle, Route, Stack,
};
use datagram::Datagram;
use endpoint::Endpoint;
use family::Family;
use stream::Stream;
pub(crate) use stream_options::congestion;

/// The first descriptor that is given out; those below are a process's standard streams.
const FIRST: i32 = 3;
/// Descriptors that one process may have.
const MOST: usize = 1_024;
/// How often in a row the stack is run at one time.
const AT_ONE_TIME: u32 = 1_000;
/// Bytes that a datagram socket holds unless `SO_RCVBUF` says otherwise.
const BUFFER: usize = 212_992;

/// How the stack under the sockets is made.
#[derive(Clone, Debug)]
pub struct SocketsConfig {
    /// The IPv4 address of the one interface.
    pub address: Ipv4Addr,
    /// The length of its network's prefix.
    pub prefix: u8,
    /// The IPv6 address of the interface.
    pub address_v6: Ipv6Addr,
    /// The length of its prefix.
    pub prefix_v6: u8,
    /// Its MTU in bytes.
    pub mtu: u16,
    /// How the stack behaves.
    pub config: Config,
    /// How much of everything the stack holds.
    pub limits: Limits,
    /// Its memory.
    pub memory: MemoryLimits,
}

/// What packetdrill gives its interface: 192.168.0.1/16, `fd3d:a0b:17d6::1/48`, and an MTU of 1,500.
impl Default for SocketsConfig {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::new(192, 168, 0, 1),
            prefix: 16,
            address_v6: Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1),
            prefix_v6: 48,
            mtu: 1_500,
            config: Config::new([7; 16]),
            limits: Limits { udp: 64, neighbours: 8, groups: 8, ..Limits::HOST },
            memory: MemoryLimits::default(),
        }
    }
}

/// A length as a system call returns it.
fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

/// A packet that the stack sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// The packet, its IP header first.
    pub bytes: Vec<u8>,
}

/// A stack and the descriptors of one process.
pub struct Sockets {
    stack: Stack<Endpoint>,
    netif: NetifHandle,
    now: Instant,
    sent: VecDeque<Sent>,
    descriptors: BTreeMap<i32, Descriptor>,
    /// What a new socket has.
    settings: options::Kept,
}

/// What a descriptor names, and what was set on it.
struct Descriptor {
    kind: Kind,
    family: Family,
    nonblocking: bool,
    receive_timeout: Option<Duration>,
    send_timeout: Option<Duration>,
    settings: options::Kept,
}

#[derive(Clone)]
enum Kind {
    Datagram(Datagram),
    Stream(Stream),
}

impl Sockets {
    /// Makes a stack, its interface up, everything beyond its network reached through it.
    ///
    /// # Errors
    ///
    /// `ENOMEM` and the like when the limits do not fit the memory, `EINVAL` for settings that no interface can have.
    pub fn new(config: SocketsConfig) -> Result<Self, Errno> {
        let settings = options::Kept::new(&config.config);
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, config.memory)?;
        let mut stack = Stack::new(&mut arena, config.limits, memory, config.config)?;
        let ipv4 = Ipv4Settings::new(config.address, config.prefix);
        let netif = stack.netif_add(&NetifConfig::ip().ipv4(ipv4).mtu(config.mtu))?;
        stack.netif(netif)?.set_up(true)?;
        stack.netif(netif)?.ipv6_add(config.address_v6, config.prefix_v6)?;
        let everything = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        for prefix in everything {
            stack.route_add(Route { prefix, prefix_len: 0, netif, gateway: None, metric: 0 })?;
        }
        let now = Instant::from_secs(1_000);
        let mut sockets =
            Self { stack, netif, now, sent: VecDeque::new(), descriptors: BTreeMap::new(), settings };
        sockets.settle();
        Ok(sockets)
    }

    /// The time of the stack.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When the stack wants to be run next.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.stack.next_deadline()
    }

    /// Moves the clock, and runs every timer that is due until then at its time. Time never runs backwards.
    pub fn advance(&mut self, to: Instant) {
        let mut again = 0;
        while let Some(next) = self.stack.next_deadline()
            && next <= to
            && again < AT_ONE_TIME
        {
            // A stack that wants to be run at the same time again has more to do now, but not for ever.
            again = if next > self.now { 0 } else { again + 1 };
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = self.now.max(to);
        self.settle();
    }

    /// Runs the stack until it has sent a packet that nobody took, at the latest until a time.
    pub fn advance_until_sent(&mut self, to: Instant) {
        while self.sent.is_empty() {
            match self.stack.next_deadline().filter(|&next| next <= to) {
                Some(next) => self.advance(next.max(self.now)),
                None => return self.advance(to),
            }
        }
    }

    /// Hands a packet to the interface. What the stack refuses is lost, as on a wire.
    pub fn inject(&mut self, packet: &[u8]) {
        let buffer = self.stack.memory().alloc(Layer::Raw, packet.len(), BufferKind::Pool);
        if let Ok(mut buffer) = buffer
            && buffer.take(packet).is_ok()
        {
            drop(self.stack.input(self.netif, buffer, self.now));
        }
        self.settle();
    }

    /// The packet that the stack sent first of those that were not taken yet.
    pub fn take_sent(&mut self) -> Option<Sent> {
        self.sent.pop_front()
    }

    /// The packets that were sent and not taken.
    pub fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter()
    }

    /// Lets the stack do what is due, and takes what it has to send.
    fn settle(&mut self) {
        self.stack.poll(self.now);
        while let Some(frame) = self.stack.transmit(self.netif) {
            self.sent.push_back(Sent { at: self.now, bytes: endpoint::bytes_of(&frame) });
        }
    }

    fn descriptor(&self, fd: i32) -> Result<&Descriptor, Errno> {
        self.descriptors.get(&fd).ok_or(Errno::EBADF)
    }

    fn descriptor_mut(&mut self, fd: i32) -> Result<&mut Descriptor, Errno> {
        self.descriptors.get_mut(&fd).ok_or(Errno::EBADF)
    }

    fn kind(&self, fd: i32) -> Result<Kind, Errno> {
        Ok(self.descriptor(fd)?.kind.clone())
    }

    /// Gives out the lowest descriptor that is free.
    fn install(
        &mut self,
        kind: Kind,
        family: Family,
        nonblocking: bool,
        settings: options::Kept,
    ) -> Result<i32, Errno> {
        if self.descriptors.len() >= MOST {
            return Err(Errno::EMFILE);
        }
        let taken =
            self.descriptors.keys().zip(FIRST..).take_while(|&(&fd, position)| fd == position).count();
        let fd = FIRST + count(taken);
        let descriptor =
            Descriptor { kind, family, nonblocking, receive_timeout: None, send_timeout: None, settings };
        self.descriptors.insert(fd, descriptor);
        Ok(fd)
    }

    /// `socket(2)`.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT` for what the stack does not speak; `ENOBUFS`; `EMFILE`.
    pub fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        let family = match domain {
            AF_INET => Family::V4,
            AF_INET6 => Family::V6 { only: false },
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let nonblocking = kind & SOCK_NONBLOCK != 0;
        let made = match (kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol) {
            (SOCK_DGRAM, 0 | IPPROTO_UDP) => Kind::Datagram(Datagram::new(&mut self.stack, false)?),
            (SOCK_DGRAM, IPPROTO_UDPLITE) => Kind::Datagram(Datagram::new(&mut self.stack, true)?),
            (SOCK_STREAM, 0 | IPPROTO_TCP) => Kind::Stream(Stream::new(&mut self.stack)?),
            (SOCK_DGRAM | SOCK_STREAM, _) => return Err(Errno::EPROTONOSUPPORT),
            _ => return Err(Errno::ESOCKTNOSUPPORT),
        };
        self.install(made, family, nonblocking, self.settings.clone())
    }

    /// `bind(2)`.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EADDRNOTAVAIL` for an address that is not ours, `EINVAL` when it is bound already, `EBADF`.
    pub fn bind(&mut self, fd: i32, local: SocketAddr) -> Result<(), Errno> {
        let family = self.descriptor(fd)?.family;
        let local = family.inward(local)?;
        match self.kind(fd)? {
            Kind::Datagram(socket) => socket.bind(&mut self.stack, local, family),
            Kind::Stream(socket) => socket.bind(&mut self.stack, local, family),
        }
    }

    /// `listen(2)`.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for what is no stream; `EADDRINUSE`; `EBADF`.
    pub fn listen(&mut self, fd: i32, backlog: i32) -> Result<(), Errno> {
        match self.kind(fd)? {
            Kind::Datagram(_) => Err(Errno::EOPNOTSUPP),
            Kind::Stream(mut socket) => {
                let family = self.descriptor(fd)?.family;
                socket.listen(&mut self.stack, backlog, family)?;
                self.descriptor_mut(fd)?.kind = Kind::Stream(socket);
                Ok(())
            }
        }
    }

    /// `shutdown(2)`: `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `ENOTCONN`, `EBADF`.
    pub fn shutdown(&mut self, fd: i32, how: i32) -> Result<(), Errno> {
        if !(0..=2).contains(&how) {
            return Err(Errno::EINVAL);
        }
        let shut = match self.kind(fd)? {
            Kind::Datagram(socket) => socket.shutdown(),
            Kind::Stream(socket) => socket.shutdown(&mut self.stack, how),
        };
        self.settle();
        shut
    }

    /// `close(2)`.
    ///
    /// # Errors
    ///
    /// `EBADF`.
    pub fn close(&mut self, fd: i32) -> Result<(), Errno> {
        let descriptor = self.descriptors.remove(&fd).ok_or(Errno::EBADF)?;
        match descriptor.kind {
            Kind::Datagram(socket) => socket.close(&mut self.stack)?,
            Kind::Stream(socket) => socket.close(&mut self.stack, &descriptor.settings)?,
        }
        self.settle();
        Ok(())
    }

    /// `getsockname(2)`.
    ///
    /// # Errors
    ///
    /// `EBADF`.
    pub fn local(&mut self, fd: i32) -> Result<SocketAddr, Errno> {
        let local = match self.kind(fd)? {
            Kind::Datagram(socket) => socket.local(&mut self.stack),
            Kind::Stream(socket) => socket.local(&mut self.stack),
        };
        Ok(self.descriptor(fd)?.family.outward(local?))
    }

    /// `fcntl(2)`: `F_GETFL` and `F_SETFL`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for another command, `EBADF`.
    pub fn fcntl(&mut self, fd: i32, command: i32, argument: i32) -> Result<i32, Errno> {
        let descriptor = self.descriptor_mut(fd)?;
        match command {
            F_GETFL => Ok(O_RDWR | if descriptor.nonblocking { O_NONBLOCK } else { 0 }),
            F_SETFL => {
                descriptor.nonblocking = argument & O_NONBLOCK != 0;
                Ok(0)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// `ioctl(2)`: `FIONREAD`, `SIOCOUTQ` and `FIONBIO`. Returns what Linux would store through the pointer; `argument`
    /// is what it would read.
    ///
    /// # Errors
    ///
    /// `ENOTTY` for another request, `EBADF`.
    pub fn ioctl(&mut self, fd: i32, request: i32, argument: i32) -> Result<i32, Errno> {
        let kind = self.kind(fd)?;
        match (request, kind) {
            (FIONBIO, _) => {
                self.descriptor_mut(fd)?.nonblocking = argument != 0;
                Ok(argument)
            }
            (FIONREAD, Kind::Datagram(socket)) => Ok(socket.first_len()),
            (FIONREAD, Kind::Stream(socket)) => socket.readable(),
            (SIOCOUTQ, Kind::Datagram(_)) => Ok(0),
            (SIOCOUTQ, Kind::Stream(socket)) => socket.unacknowledged(&mut self.stack),
            _ => Err(Errno::ENOTTY),
        }
    }
}
