//! UDP and UDP-Lite sockets.

use std::net::SocketAddr;

use coracle::{Stack, UdpHandle};

use super::constants::{MSG_PEEK, MSG_TRUNC, POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use super::endpoint::Endpoint;
use super::family::{Family, only_v6};
use super::{BUFFER, Completion, Errno, count};

/// The most bytes that a datagram over IPv4 carries.
const LONGEST: usize = 65_507;

#[derive(Clone)]
pub(super) struct Datagram {
    pub(super) handle: UdpHandle,
    pub(super) endpoint: Endpoint,
    pub(super) lite: bool,
}

impl Datagram {
    pub(super) fn new(stack: &mut Stack<Endpoint>, lite: bool) -> Result<Self, Errno> {
        let endpoint = Endpoint::default();
        endpoint.mailbox().room = BUFFER;
        let handler = endpoint.clone();
        let handle = if lite { stack.udp_lite_new(handler) } else { stack.udp_new(handler) }?;
        Ok(Self { handle, endpoint, lite })
    }

    pub(super) fn bind(
        &self,
        stack: &mut Stack<Endpoint>,
        local: SocketAddr,
        family: Family,
    ) -> Result<(), Errno> {
        let mut udp = stack.udp(self.handle)?;
        if udp.local()?.port() != 0 {
            return Err(Errno::EINVAL);
        }
        match family {
            Family::V6 { only: true } => udp.bind_v6_only(only_v6(local)?),
            _ => udp.bind(local),
        }
        .map_err(|error| match error {
            coracle::Error::Value => Errno::EADDRNOTAVAIL,
            error => error.into(),
        })
    }

    pub(super) fn connect(&self, stack: &mut Stack<Endpoint>, to: SocketAddr) -> Result<(), Errno> {
        stack.udp(self.handle)?.connect(to)?;
        self.endpoint.mailbox().peer = Some(to);
        Ok(())
    }

    /// The halves of a datagram socket cannot be shut in the stack, and Linux refuses it when there is no peer.
    pub(super) fn shutdown(&self) -> Result<(), Errno> {
        let connected = self.endpoint.mailbox().peer.is_some();
        if connected { Err(Errno::EOPNOTSUPP) } else { Err(Errno::ENOTCONN) }
    }

    pub(super) fn close(&self, stack: &mut Stack<Endpoint>) -> Result<(), Errno> {
        stack.udp_remove(self.handle)?;
        Ok(())
    }

    pub(super) fn local(&self, stack: &mut Stack<Endpoint>) -> Result<SocketAddr, Errno> {
        Ok(stack.udp(self.handle)?.local()?)
    }

    /// The length of the datagram that is read next, `FIONREAD`.
    pub(super) fn first_len(&self) -> i32 {
        self.endpoint.mailbox().datagrams.front().map_or(0, |(_, bytes)| count(bytes.len()))
    }

    /// The first datagram that came; `EAGAIN` when there is none.
    pub(super) fn receive(&self, len: usize, flags: i32) -> Result<Completion, Errno> {
        let mut mailbox = self.endpoint.mailbox();
        if let Some(error) = mailbox.error.take() {
            return Err(error);
        }
        let first = if flags & MSG_PEEK != 0 {
            mailbox.datagrams.front().cloned()
        } else {
            mailbox.datagrams.pop_front()
        };
        let (from, mut data) = first.ok_or(Errno::EAGAIN)?;
        let whole = data.len();
        data.truncate(len);
        let value = if flags & MSG_TRUNC != 0 { whole } else { data.len() };
        Ok(Completion { value: count(value), data, from: Some(from), ..Completion::default() })
    }

    pub(super) fn send(
        &self,
        stack: &mut Stack<Endpoint>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<Completion, Errno> {
        let pending = self.endpoint.mailbox().error.take();
        if let Some(error) = pending {
            return Err(error);
        }
        if data.len() > LONGEST {
            return Err(Errno::EMSGSIZE);
        }
        let peer = self.endpoint.mailbox().peer;
        let to = to.or(peer).ok_or(Errno::EDESTADDRREQ)?;
        let sent = stack.udp(self.handle)?.send_bytes_to(data, to);
        match sent {
            Ok(()) => Ok(Completion { value: count(data.len()), ..Completion::default() }),
            // The stack has one name for all values that are not legal; the length is what is left.
            Err(coracle::Error::Value) if to.port() != 0 => Err(Errno::EMSGSIZE),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn readiness(&self) -> i32 {
        let mailbox = self.endpoint.mailbox();
        let mut ready = POLLOUT | POLLWRNORM;
        if !mailbox.datagrams.is_empty() {
            ready |= POLLIN | POLLRDNORM;
        }
        if mailbox.error.is_some() {
            ready |= POLLERR;
        }
        ready
    }
}
