//! What the stack's callbacks leave for the system calls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle::{
    Error, Handler, IcmpError, Pbuf, Refused, Stack, Tcp, TcpHandle, Timeout, TimeoutHandle, Trouble, Udp,
};

use super::Errno;
use super::cork::push;

/// The handler of every control block: its descriptor's mailbox.
#[derive(Clone, Default)]
pub(super) struct Endpoint(Arc<Mutex<Mailbox>>);

/// What came for a descriptor.
#[derive(Default)]
pub(super) struct Mailbox {
    /// Datagrams that were not read yet.
    pub(super) datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Bytes that these may hold.
    pub(super) room: usize,
    /// An error that the next call reports, `SO_ERROR`.
    pub(super) error: Option<Errno>,
    /// The peer of a datagram socket; only a connected one hears of ICMP errors.
    pub(super) peer: Option<SocketAddr>,
    /// Where a connection stands.
    pub(super) phase: Phase,
    /// The application knows that it stands.
    pub(super) connect_told: bool,
    /// The bytes of a connection that were not read yet.
    pub(super) received: VecDeque<u8>,
    /// The peer closed its direction.
    pub(super) finished: bool,
    /// The peer announced urgent data.
    pub(super) urgent: bool,
    /// `SHUT_RD` and `SHUT_WR`.
    pub(super) shut_receive: bool,
    pub(super) shut_send: bool,
    /// What waits for more to be sent with it, and the timer that ends the wait.
    pub(super) corked: Vec<u8>,
    pub(super) cork_timer: Option<TimeoutHandle>,
    /// The control block of a connection.
    pub(super) tcp: Option<TcpHandle>,
    /// Connections that nobody took from a listener yet, and who made them.
    pub(super) accepted: VecDeque<(TcpHandle, Endpoint, SocketAddr)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Idle,
    Connecting,
    Connected,
    Over,
}

impl Mailbox {
    /// The connection is gone.
    pub(super) fn over(&mut self, error: Option<Errno>) {
        self.phase = Phase::Over;
        self.error = self.error.or(error);
    }
}

impl Endpoint {
    pub(super) fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        // Nothing that holds the lock can leave the mailbox half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn bytes_of(data: &Pbuf) -> Vec<u8> {
    data.segments().collect::<Vec<_>>().concat()
}

impl Handler for Endpoint {
    fn datagram(&mut self, _udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let mut mailbox = self.mailbox();
        let held: usize = mailbox.datagrams.iter().map(|(_, bytes)| bytes.len()).sum();
        if held + data.len() <= mailbox.room {
            mailbox.datagrams.push_back((from, bytes_of(&data)));
        }
    }

    fn datagram_error(&mut self, _udp: &mut Udp<'_, Self>, to: SocketAddr, error: IcmpError) {
        let mut mailbox = self.mailbox();
        if mailbox.peer == Some(to) {
            mailbox.error = Some(Errno::of_icmp(error.kind));
        }
    }

    /// The connection counts in the backlog until a call of `accept` takes it.
    fn accept(&mut self, tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        let peer = tcp.remote()?;
        tcp.backlog_delay()?;
        let connection = Self::default();
        connection.mailbox().phase = Phase::Connected;
        connection.mailbox().connect_told = true;
        connection.mailbox().tcp = Some(tcp.handle());
        self.mailbox().accepted.push_back((tcp.handle(), connection.clone(), peer));
        Ok(connection)
    }

    fn connected(&mut self, _tcp: &mut Tcp<'_, Self>) {
        self.mailbox().phase = Phase::Connected;
    }

    fn recv(&mut self, _tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        self.mailbox().received.extend(bytes_of(&data));
        Ok(())
    }

    fn finished(&mut self, _tcp: &mut Tcp<'_, Self>) {
        self.mailbox().finished = true;
    }

    fn urgent(&mut self, _tcp: &mut Tcp<'_, Self>) {
        self.mailbox().urgent = true;
    }

    /// Linux ends a connection that is being opened by an error that others survive.
    fn trouble(&mut self, tcp: &mut Tcp<'_, Self>, what: Trouble) {
        let connecting = self.mailbox().phase == Phase::Connecting;
        if let Trouble::Icmp(error) = what
            && connecting
            && tcp.abort().is_ok()
        {
            self.mailbox().over(Some(Errno::of_icmp(error)));
        }
    }

    fn error(&mut self, _stack: &mut Stack<Self>, _connection: TcpHandle, reason: Error) {
        let mut mailbox = self.mailbox();
        let error = match reason {
            Error::Reset if mailbox.phase == Phase::Connecting => Errno::ECONNREFUSED,
            // The peer had said that it sends nothing more; what broke is our direction.
            Error::Reset if mailbox.finished => Errno::EPIPE,
            Error::Route => Errno::EHOSTUNREACH,
            reason => reason.into(),
        };
        mailbox.over(Some(error));
    }

    /// What waited for more has waited long enough.
    fn timeout(&mut self, timeout: &mut Timeout<'_, Self>) {
        let connection = self.mailbox().tcp;
        self.mailbox().cork_timer = None;
        let Some(mut tcp) = connection.and_then(|handle| timeout.stack().tcp(handle).ok()) else { return };
        if push(&mut tcp, self, true).is_err() {
            self.mailbox().cork_timer = Some(timeout.handle());
            timeout.again(Duration::from_millis(200));
        }
    }

    fn closed(&mut self, _stack: &mut Stack<Self>, _connection: TcpHandle) {
        self.mailbox().over(None);
    }
}
