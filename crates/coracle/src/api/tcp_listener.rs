//! TCP listeners, as the application sees them.

use core::net::SocketAddr;
use core::time::Duration;

use super::Stack;
use crate::error::Error;
use crate::table::Key;
use crate::tcp::{Flags, KeepAlive, Listener};

/// Names a TCP listener. Once that is closed the name finds nothing, never another listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TcpListenerHandle(pub(super) Key);

impl<H> Stack<H> {
    /// Takes connections to an address and a port: 0.0.0.0 for every address of ours. A connection that comes before
    /// there is a handler ([`TcpListener::set_handler`]) waits for it. lwIP: `tcp_new`, `tcp_bind` and
    /// `tcp_listen_with_backlog`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when there are as many control blocks or listeners as the limits allow; those of
    /// [`Tcp::bind`](super::Tcp::bind). The handler is dropped then.
    pub fn tcp_listen(
        &mut self,
        local: SocketAddr,
        backlog: usize,
        handler: impl Into<Option<H>>,
    ) -> Result<TcpListenerHandle, Error> {
        let handle = self.tcp_new(handler)?;
        let mut tcp = self.tcp(handle)?;
        let listening = tcp.bind(local).and_then(|()| tcp.listen(backlog));
        if listening.is_err() {
            tcp.abort()?;
        }
        listening
    }

    /// A TCP listener, to use and to change.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it was closed.
    pub fn tcp_listener(&mut self, listener: TcpListenerHandle) -> Result<TcpListener<'_, H>, Error> {
        if self.engine.tcp.listeners.get(listener.0).is_none() {
            return Err(Error::Closed);
        }
        Ok(TcpListener { stack: self, handle: listener })
    }

    /// Closes a listener, and returns its handler unless that is running. Connections that were accepted go on;
    /// those that were not are reset. lwIP: `tcp_close`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it was closed already.
    pub fn tcp_listener_close(&mut self, listener: TcpListenerHandle) -> Result<Option<H>, Error> {
        self.engine.tcp_listener_close(listener.0)?;
        let handler = self.door_handlers[listener.0.index as usize].take();
        Ok(handler)
    }
}

/// A TCP listener of a stack. All its calls are [`Error::Closed`] once it is closed.
///
/// Connections inherit its priority, time-to-live, type of service and keep-alive.
pub struct TcpListener<'a, H> {
    stack: &'a mut Stack<H>,
    handle: TcpListenerHandle,
}

#[allow(clippy::missing_errors_doc, reason = "said once, above: what is closed is `Error::Closed`")]
impl<H> TcpListener<'_, H> {
    /// Its name for all other calls.
    pub fn handle(&self) -> TcpListenerHandle {
        self.handle
    }

    /// Its handler, unless that is running.
    pub fn handler(&mut self) -> Option<&mut H> {
        self.stack.engine.tcp.listeners.get(self.handle.0)?;
        self.stack.door_handlers.get_mut(self.handle.0.index as usize)?.as_mut()
    }

    /// Sets its handler, which hears of the connections that wait; returns the one before, unless that is running.
    /// lwIP: `tcp_accept`.
    pub fn set_handler(&mut self, handler: H) -> Result<Option<H>, Error> {
        self.change(|listener| listener.heard = true)?;
        let before = self.stack.door_handlers[self.handle.0.index as usize].replace(handler);
        self.stack.engine.tcp_listener_heard(self.handle.0);
        Ok(before)
    }

    fn listener(&self) -> Result<&Listener, Error> {
        self.stack.engine.tcp.listeners.get(self.handle.0).ok_or(Error::Closed)
    }

    fn change(&mut self, change: impl FnOnce(&mut Listener)) -> Result<(), Error> {
        self.stack.engine.tcp.listeners.get_mut(self.handle.0).map(change).ok_or(Error::Closed)
    }

    /// Where it listens.
    pub fn local(&self) -> Result<SocketAddr, Error> {
        Ok(self.listener()?.local.to_socket())
    }

    /// The connections that wait, half-open or to be accepted.
    pub fn pending(&self) -> Result<usize, Error> {
        Ok(self.listener()?.pending as usize)
    }

    /// Sets how many connections may wait, at least one; those that wait already may be more. lwIP:
    /// `tcp_backlog_set`.
    pub fn set_backlog(&mut self, backlog: usize) -> Result<(), Error> {
        self.change(|listener| listener.backlog = u32::try_from(backlog).unwrap_or(u32::MAX).max(1))
    }

    /// Has `incoming` decide upon each SYN before it is answered. SYN cookies are not used then.
    pub fn set_ask(&mut self, ask: bool) -> Result<(), Error> {
        self.change(|listener| listener.ask = ask)
    }

    /// Sets the priority of its connections; see [`Tcp::set_priority`](super::Tcp::set_priority).
    ///
    /// # Errors
    ///
    /// [`Error::Value`] outside of 1 to 127.
    pub fn set_priority(&mut self, priority: u8) -> Result<(), Error> {
        if !(1..=127).contains(&priority) {
            return Err(Error::Value);
        }
        self.change(|listener| listener.priority = priority)?;
        self.stack.engine.tcp.note_priority(priority);
        Ok(())
    }

    /// Sets the time-to-live of its connections' segments.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zero.
    pub fn set_ttl(&mut self, ttl: u8) -> Result<(), Error> {
        if ttl == 0 {
            return Err(Error::Value);
        }
        self.change(|listener| listener.ttl = ttl)
    }

    /// Sets the type of service of its connections' segments.
    pub fn set_tos(&mut self, tos: u8) -> Result<(), Error> {
        self.change(|listener| listener.tos = tos & !0b11)
    }

    /// Has its connections probe silent peers.
    pub fn set_keep_alive(&mut self, on: bool) -> Result<(), Error> {
        self.change(|listener| listener.flags.put(Flags::KEEP_ALIVE, on))
    }

    /// Sets the times of its connections' keep-alive; see
    /// [`Tcp::set_keep_alive_times`](super::Tcp::set_keep_alive_times).
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zeros, and for one probe.
    pub fn set_keep_alive_times(
        &mut self,
        idle: Duration,
        interval: Duration,
        count: u8,
    ) -> Result<(), Error> {
        let times = KeepAlive::of(idle, interval, count)?;
        self.change(|listener| listener.keep_alive.change(times))
    }
}
