//! Calls that may have to wait.

use std::net::SocketAddr;
use std::time::Duration;

use coracle::Instant;

use super::constants::{MSG_DONTWAIT, MSG_ERRQUEUE, POLLERR, POLLHUP, POLLNVAL, SOCK_NONBLOCK};
use super::{Errno, Kind, Sockets, count};

/// What a call returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The value: a descriptor, a count, zero.
    pub value: i32,
    /// The bytes that were read.
    pub data: Vec<u8>,
    /// Whom they are from, or who connected.
    pub from: Option<SocketAddr>,
    /// What `poll` found: `revents` of each entry.
    pub events: Vec<i16>,
}

/// One entry of `poll(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollEntry {
    /// A descriptor; a negative one is passed over.
    pub fd: i32,
    /// What is asked for.
    pub events: i16,
}

/// A call that may block; attempted until it completes.
#[derive(Clone, Debug)]
pub struct Operation {
    what: What,
    /// When it gives up.
    deadline: Option<Instant>,
    begun: bool,
}

#[derive(Clone, Debug)]
enum What {
    Accept { fd: i32, flags: i32 },
    Connect { fd: i32, to: SocketAddr, begun: bool },
    Receive { fd: i32, len: usize, flags: i32 },
    Send { fd: i32, data: Vec<u8>, done: usize, flags: i32, to: Option<SocketAddr> },
    Poll { entries: Vec<PollEntry>, timeout: Option<Duration> },
}

impl Operation {
    fn new(what: What) -> Self {
        Self { what, deadline: None, begun: false }
    }

    /// `accept(2)` and `accept4(2)`: `SOCK_NONBLOCK`, or no flags.
    pub fn accept(fd: i32, flags: i32) -> Self {
        Self::new(What::Accept { fd, flags })
    }

    /// `connect(2)`.
    pub fn connect(fd: i32, to: SocketAddr) -> Self {
        Self::new(What::Connect { fd, to, begun: false })
    }

    /// `read(2)`, `recv(2)` and their kin: at most `len` bytes.
    pub fn receive(fd: i32, len: usize, flags: i32) -> Self {
        Self::new(What::Receive { fd, len, flags })
    }

    /// `write(2)`, `send(2)` and their kin.
    pub fn send(fd: i32, data: Vec<u8>, flags: i32, to: Option<SocketAddr>) -> Self {
        Self::new(What::Send { fd, data, done: 0, flags, to })
    }

    /// `poll(2)`; a timeout of none waits for ever.
    pub fn poll(entries: Vec<PollEntry>, timeout: Option<Duration>) -> Self {
        Self::new(What::Poll { entries, timeout })
    }

    /// When it gives up, if it does.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Sockets {
    /// Tries to complete a call; none: it has to wait.
    pub fn attempt(&mut self, operation: &mut Operation) -> Option<Result<Completion, Errno>> {
        if !operation.begun {
            operation.begun = true;
            operation.deadline = self.patience(&operation.what).map(|patience| self.now() + patience);
        }
        let done = match &mut operation.what {
            What::Accept { fd, flags } => {
                let result = self.try_accept(*fd, *flags);
                self.unless_blocking(*fd, 0, result)
            }
            What::Connect { fd, to, begun } => {
                let result = self.try_connect(*fd, *to, begun);
                self.unless_blocking(*fd, 0, result)
            }
            What::Receive { fd, len, flags } => {
                let result = self.try_receive(*fd, *len, *flags);
                self.unless_blocking(*fd, *flags, result)
            }
            What::Send { fd, data, done, flags, to } => {
                let result = self.try_send(*fd, data, done, *flags, *to);
                self.unless_blocking(*fd, *flags, result)
            }
            What::Poll { entries, .. } => self.try_poll(entries).map(Ok),
        };
        self.settle();
        let late = operation.deadline.is_some_and(|deadline| deadline <= self.now());
        if done.is_none() && late { Some(self.gave_up(&operation.what)) } else { done }
    }

    /// How long a call waits at the most.
    fn patience(&self, what: &What) -> Option<Duration> {
        match what {
            What::Receive { fd, .. } | What::Accept { fd, .. } => self.descriptor(*fd).ok()?.receive_timeout,
            What::Connect { fd, .. } | What::Send { fd, .. } => self.descriptor(*fd).ok()?.send_timeout,
            What::Poll { timeout, .. } => *timeout,
        }
    }

    #[allow(clippy::unused_self, reason = "the place for what a late call still has to say")]
    fn gave_up(&self, what: &What) -> Result<Completion, Errno> {
        match what {
            What::Poll { entries, .. } => {
                Ok(Completion { events: vec![0; entries.len()], ..Completion::default() })
            }
            What::Connect { .. } => Err(Errno::EINPROGRESS),
            What::Send { done, .. } if *done > 0 => {
                Ok(Completion { value: count(*done), ..Completion::default() })
            }
            What::Accept { .. } | What::Receive { .. } | What::Send { .. } => Err(Errno::EAGAIN),
        }
    }

    /// `EAGAIN` is for those who do not want to wait.
    fn unless_blocking<T>(&self, fd: i32, flags: i32, result: Result<T, Errno>) -> Option<Result<T, Errno>> {
        let waits = flags & (MSG_DONTWAIT | MSG_ERRQUEUE) == 0
            && self.descriptor(fd).is_ok_and(|found| !found.nonblocking);
        if waits && matches!(result, Err(Errno::EAGAIN)) { None } else { Some(result) }
    }

    fn try_accept(&mut self, fd: i32, flags: i32) -> Result<Completion, Errno> {
        let Kind::Stream(socket) = self.kind(fd)? else { return Err(Errno::EOPNOTSUPP) };
        let (connection, peer) = socket.accept(&mut self.stack)?;
        let listener = self.descriptor(fd)?;
        let (settings, family) = (listener.settings.clone(), listener.family);
        self.inherit(&connection, &settings)?;
        let value = self.install(Kind::Stream(connection), family, flags & SOCK_NONBLOCK != 0, settings)?;
        Ok(Completion { value, from: Some(family.outward(peer)), ..Completion::default() })
    }

    fn try_connect(&mut self, fd: i32, to: SocketAddr, begun: &mut bool) -> Result<Completion, Errno> {
        let to = self.descriptor(fd)?.family.inward(to)?;
        match self.kind(fd)? {
            Kind::Datagram(socket) => socket.connect(&mut self.stack, to)?,
            Kind::Stream(socket) if *begun => socket.connect_outcome()?,
            Kind::Stream(mut socket) => {
                let started = socket.connect(&mut self.stack, to);
                *begun = true;
                match started {
                    // Who waits asks again, until it is known how it went.
                    Err(Errno::EINPROGRESS) if !self.descriptor(fd)?.nonblocking => {
                        return Err(Errno::EAGAIN);
                    }
                    started => started?,
                }
            }
        }
        Ok(Completion::default())
    }

    fn try_receive(&mut self, fd: i32, len: usize, flags: i32) -> Result<Completion, Errno> {
        // Nothing is ever in the queue of errors, for which nobody waits.
        if flags & MSG_ERRQUEUE != 0 {
            return self.kind(fd).and(Err(Errno::EAGAIN));
        }
        let family = self.descriptor(fd)?.family;
        let received = match self.kind(fd)? {
            Kind::Datagram(socket) => socket.receive(len, flags)?,
            Kind::Stream(socket) => socket.receive(&mut self.stack, len, flags)?,
        };
        Ok(Completion { from: received.from.map(|from| family.outward(from)), ..received })
    }

    fn try_send(
        &mut self,
        fd: i32,
        data: &[u8],
        done: &mut usize,
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<Completion, Errno> {
        let descriptor = self.descriptor(fd)?;
        let settings = descriptor.settings.clone();
        let waits = flags & MSG_DONTWAIT == 0 && !descriptor.nonblocking;
        let socket = match descriptor.kind.clone() {
            Kind::Datagram(socket) => {
                let to = to.map(|to| descriptor.family.inward(to)).transpose()?;
                return socket.send(&mut self.stack, data, to);
            }
            Kind::Stream(socket) => socket,
        };
        while *done < data.len() || data.is_empty() {
            // What was taken counts; an error is the next call's.
            if *done > 0 && socket.endpoint.mailbox().error.is_some() {
                break;
            }
            match socket.send(&mut self.stack, &data[*done..], flags, &settings) {
                Ok(_) if data.is_empty() => break,
                Ok(written) => *done += written,
                Err(Errno::EAGAIN) if *done > 0 && !waits => break,
                Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                Err(_) if *done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Completion { value: count(*done), ..Completion::default() })
    }

    fn try_poll(&mut self, entries: &[PollEntry]) -> Option<Completion> {
        let events: Vec<i16> = entries.iter().map(|entry| self.ready(*entry)).collect();
        let value = count(events.iter().filter(|&&events| events != 0).count());
        (value > 0).then(|| Completion { value, events, ..Completion::default() })
    }

    fn ready(&mut self, entry: PollEntry) -> i16 {
        if entry.fd < 0 {
            return 0;
        }
        let ready = match self.kind(entry.fd) {
            Err(_) => return POLLNVAL as i16,
            Ok(Kind::Datagram(socket)) => socket.readiness(),
            Ok(Kind::Stream(socket)) => socket.readiness(&mut self.stack),
        };
        // These two are told whether they were asked for or not.
        ready as i16 & (entry.events | (POLLERR | POLLHUP) as i16)
    }
}
