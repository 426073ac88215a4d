//! TCP sockets: connections and listeners.

use std::net::SocketAddr;

use coracle::{Error, Stack, Tcp, TcpHandle, TcpListenerHandle};

use super::constants::{
    MSG_OOB, MSG_PEEK, MSG_WAITALL, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM,
    POLLWRNORM, SHUT_RD, SHUT_WR,
};
use super::endpoint::{Endpoint, Phase};
use super::family::{Family, only_v6};
use super::options::Kept;
use super::{Completion, Errno, count};

#[derive(Clone)]
pub(super) struct Stream {
    pub(super) role: Role,
    pub(super) endpoint: Endpoint,
}

#[derive(Clone, Copy)]
pub(super) enum Role {
    Connection(TcpHandle),
    Listener(TcpListenerHandle),
}

/// What a call of `close` or `shutdown` leaves to the stack.
type Done = Result<(), Errno>;

impl Stream {
    pub(super) fn new(stack: &mut Stack<Endpoint>) -> Result<Self, Errno> {
        let endpoint = Endpoint::default();
        let handle = stack.tcp_new(endpoint.clone())?;
        endpoint.mailbox().tcp = Some(handle);
        Ok(Self { role: Role::Connection(handle), endpoint })
    }

    /// A connection that a listener took.
    pub(super) fn accepted(handle: TcpHandle, endpoint: Endpoint) -> Self {
        Self { role: Role::Connection(handle), endpoint }
    }

    /// Its control block, while that lives.
    pub(super) fn tcp<'a>(&self, stack: &'a mut Stack<Endpoint>) -> Option<Tcp<'a, Endpoint>> {
        match self.role {
            Role::Connection(handle) => stack.tcp(handle).ok(),
            Role::Listener(_) => None,
        }
    }

    pub(super) fn bind(&self, stack: &mut Stack<Endpoint>, local: SocketAddr, family: Family) -> Done {
        let mut tcp = self.tcp(stack).ok_or(Errno::EINVAL)?;
        if tcp.local()?.port() != 0 {
            return Err(Errno::EINVAL);
        }
        match family {
            Family::V6 { only: true } => tcp.bind_v6_only(only_v6(local)?),
            _ => tcp.bind(local),
        }
        .map_err(|error| match error {
            Error::Value => Errno::EADDRNOTAVAIL,
            Error::IsConnected => Errno::EINVAL,
            error => error.into(),
        })
    }

    /// Makes it a listener, or changes the backlog of one.
    pub(super) fn listen(&mut self, stack: &mut Stack<Endpoint>, backlog: i32, family: Family) -> Done {
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        match self.role {
            Role::Connection(handle) => {
                let mut tcp = stack.tcp(handle).map_err(|_| Errno::EINVAL)?;
                if tcp.local()?.port() == 0 {
                    tcp.bind(family.any())?;
                }
                let listening = tcp.listen(backlog).map_err(|error| match error {
                    Error::IsConnected => Errno::EINVAL,
                    error => error.into(),
                });
                self.role = Role::Listener(listening?);
            }
            Role::Listener(handle) => stack.tcp_listener(handle)?.set_backlog(backlog)?,
        }
        Ok(())
    }

    /// The first connection that nobody took yet, and who made it.
    pub(super) fn accept(&self, stack: &mut Stack<Endpoint>) -> Result<(Self, SocketAddr), Errno> {
        let Role::Listener(_) = self.role else { return Err(Errno::EINVAL) };
        let first = self.endpoint.mailbox().accepted.pop_front();
        let (handle, endpoint, peer) = first.ok_or(Errno::EAGAIN)?;
        // One that ended meanwhile is taken as well: its error is the next call's.
        if let Ok(mut tcp) = stack.tcp(handle) {
            tcp.backlog_accepted()?;
        }
        Ok((Self::accepted(handle, endpoint), peer))
    }

    /// Starts to connect; `EINPROGRESS` when that has begun.
    pub(super) fn connect(&mut self, stack: &mut Stack<Endpoint>, to: SocketAddr) -> Done {
        let Role::Connection(handle) = self.role else { return Err(Errno::EISCONN) };
        let mut mailbox = self.endpoint.mailbox();
        if let Some(error) = mailbox.error.take() {
            return Err(error);
        }
        match mailbox.phase {
            Phase::Connecting => return Err(Errno::EALREADY),
            Phase::Connected if !mailbox.connect_told => {
                mailbox.connect_told = true;
                return Ok(());
            }
            Phase::Connected => return Err(Errno::EISCONN),
            Phase::Idle => mailbox.phase = Phase::Connecting,
            Phase::Over => return Err(Errno::EINVAL),
        }
        drop(mailbox);
        let connecting = stack.tcp(handle).and_then(|mut tcp| tcp.connect(to));
        if let Err(error) = connecting {
            self.endpoint.mailbox().phase = Phase::Idle;
            return Err(match error {
                Error::Value | Error::InUse => Errno::EADDRNOTAVAIL,
                error => error.into(),
            });
        }
        Err(Errno::EINPROGRESS)
    }

    /// How connecting went; `EAGAIN` while it goes on.
    pub(super) fn connect_outcome(&self) -> Done {
        let mut mailbox = self.endpoint.mailbox();
        if let Some(error) = mailbox.error.take() {
            return Err(error);
        }
        match mailbox.phase {
            Phase::Connecting => Err(Errno::EAGAIN),
            Phase::Connected => {
                mailbox.connect_told = true;
                Ok(())
            }
            Phase::Idle | Phase::Over => Err(Errno::ECONNABORTED),
        }
    }

    pub(super) fn receive(
        &self,
        stack: &mut Stack<Endpoint>,
        len: usize,
        flags: i32,
    ) -> Result<Completion, Errno> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::EINVAL);
        }
        let mut mailbox = self.endpoint.mailbox();
        if matches!(self.role, Role::Listener(_)) || mailbox.phase == Phase::Idle {
            return Err(Errno::ENOTCONN);
        }
        let ended = mailbox.finished || mailbox.shut_receive || mailbox.phase == Phase::Over;
        let enough = if flags & MSG_WAITALL != 0 && !ended { len } else { 1 };
        if mailbox.received.len() < enough.min(len) || (mailbox.received.is_empty() && len > 0) {
            if let Some(error) = mailbox.error.take() {
                return Err(error);
            }
            return if ended { Ok(Completion::default()) } else { Err(Errno::EAGAIN) };
        }
        let len = len.min(mailbox.received.len());
        let data: Vec<u8> = if flags & MSG_PEEK != 0 {
            mailbox.received.iter().copied().take(len).collect()
        } else {
            mailbox.received.drain(..len).collect()
        };
        drop(mailbox);
        if flags & MSG_PEEK == 0
            && let Some(mut tcp) = self.tcp(stack)
        {
            tcp.recved(len)?;
        }
        Ok(Completion { value: count(len), data, ..Completion::default() })
    }

    pub(super) fn shutdown(&self, stack: &mut Stack<Endpoint>, how: i32) -> Done {
        let mut mailbox = self.endpoint.mailbox();
        if matches!(self.role, Role::Listener(_)) || matches!(mailbox.phase, Phase::Idle | Phase::Over) {
            return Err(Errno::ENOTCONN);
        }
        // Linux goes on to take what comes after SHUT_RD, so the stack hears nothing of it.
        mailbox.shut_receive |= how != SHUT_WR;
        if how == SHUT_RD || mailbox.shut_send {
            return Ok(());
        }
        mailbox.shut_send = true;
        let connecting = mailbox.phase == Phase::Connecting;
        drop(mailbox);
        self.flush(stack);
        let Some(mut tcp) = self.tcp(stack) else { return Err(Errno::ENOTCONN) };
        if connecting {
            tcp.abort()?;
            self.endpoint.mailbox().over(Some(Errno::ECONNRESET));
            return Ok(());
        }
        Ok(tcp.shutdown(coracle::Shutdown::Send)?)
    }

    /// Lets the connection go. What was not read resets it; so does a linger time of zero.
    pub(super) fn close(&self, stack: &mut Stack<Endpoint>, kept: &Kept) -> Done {
        match self.role {
            Role::Listener(handle) => {
                stack.tcp_listener_close(handle)?;
                let waiting = std::mem::take(&mut self.endpoint.mailbox().accepted);
                for (handle, ..) in waiting {
                    if let Ok(mut tcp) = stack.tcp(handle) {
                        tcp.abort()?;
                    }
                }
            }
            Role::Connection(handle) => {
                self.flush(stack);
                if let Ok(mut tcp) = stack.tcp(handle) {
                    if kept.linger == Some(0) {
                        tcp.abort()?;
                    } else {
                        tcp.close()?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn local(&self, stack: &mut Stack<Endpoint>) -> Result<SocketAddr, Errno> {
        Ok(match self.role {
            Role::Connection(handle) => stack.tcp(handle).map_err(|_| Errno::EINVAL)?.local()?,
            Role::Listener(handle) => stack.tcp_listener(handle)?.local()?,
        })
    }

    /// The bytes that can be read, `FIONREAD`. Linux counts one more for a FIN that was not reached only before 4.4.
    pub(super) fn readable(&self) -> Result<i32, Errno> {
        match self.role {
            Role::Listener(_) => Err(Errno::EINVAL),
            Role::Connection(_) => Ok(count(self.endpoint.mailbox().received.len())),
        }
    }

    /// The bytes that were written and are not acknowledged, `SIOCOUTQ`.
    pub(super) fn unacknowledged(&self, stack: &mut Stack<Endpoint>) -> Result<i32, Errno> {
        match self.role {
            Role::Listener(_) => Err(Errno::EINVAL),
            Role::Connection(_) => Ok(match self.tcp(stack) {
                Some(tcp) => count(tcp.send_queued()? + self.endpoint.mailbox().corked.len()),
                None => 0,
            }),
        }
    }

    pub(super) fn readiness(&self, stack: &mut Stack<Endpoint>) -> i32 {
        let room = self.tcp(stack).and_then(|tcp| tcp.send_buffer().ok()).unwrap_or(0);
        let mailbox = self.endpoint.mailbox();
        if let Role::Listener(_) = self.role {
            return if mailbox.accepted.is_empty() { 0 } else { POLLIN | POLLRDNORM };
        }
        let over = mailbox.phase == Phase::Over;
        let mut ready = 0;
        if mailbox.finished || mailbox.shut_receive || over {
            ready |= POLLIN | POLLRDNORM | POLLRDHUP;
        }
        if !mailbox.received.is_empty() {
            ready |= POLLIN | POLLRDNORM;
        }
        if mailbox.urgent {
            ready |= POLLPRI;
        }
        if (mailbox.phase == Phase::Connected && room > 0) || mailbox.shut_send || over {
            ready |= POLLOUT | POLLWRNORM;
        }
        if mailbox.error.is_some() {
            ready |= POLLERR;
        }
        let both = (mailbox.finished || mailbox.shut_receive) && mailbox.shut_send;
        // A socket that never was connected is hung up as well.
        if both || over || mailbox.phase == Phase::Idle {
            ready |= POLLHUP;
        }
        if mailbox.phase == Phase::Idle { ready | POLLOUT | POLLWRNORM } else { ready }
    }
}
