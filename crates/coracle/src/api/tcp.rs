//! TCP connections, as the application sees them.

use core::net::SocketAddr;
#[cfg(feature = "ipv6")]
use core::net::SocketAddrV6;
use core::time::Duration;

use coracle_buf::Pbuf;

use super::{Stack, TcpListenerHandle};
use crate::address::Endpoint;
use crate::config::Config;
use crate::error::{Error, Rejected};
use crate::netif::NetifHandle;
use crate::table::Key;
use crate::tcp::{
    CongestionControl, Flags, How, KeepAlive, Shutdown, TcpInfo, TcpPcb, TcpState, TcpUsage, ticks, ticks_in,
};

/// Names a TCP connection. Once that is over the name finds nothing, never another connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TcpHandle(pub(super) Key);

/// Data that a handler gives back; the stack keeps it and offers it again, before any newer.
#[derive(Debug)]
pub struct Refused(pub Pbuf);

/// What a handler decides of a SYN, if its listener asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Answered: the connection may come to stand.
    Admit,
    /// Not answered before [`Tcp::admit`] is called.
    Hold,
    /// Refused by RST.
    Refuse,
}

impl<H> Stack<H> {
    /// A new TCP control block, which is not connected. Without a handler, whatever there is to report waits until
    /// [`Tcp::set_handler`]. lwIP: `tcp_new`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when there are as many as the limits allow and none gives way to one of normal priority;
    /// the handler is dropped then.
    pub fn tcp_new(&mut self, handler: impl Into<Option<H>>) -> Result<TcpHandle, Error> {
        let handler = handler.into();
        let key = self.engine.tcp_new(handler.is_some())?;
        self.tcp_handlers[key.index as usize] = handler;
        Ok(TcpHandle(key))
    }

    /// A TCP connection, to use and to change.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is over.
    #[inline]
    pub fn tcp(&mut self, tcp: TcpHandle) -> Result<Tcp<'_, H>, Error> {
        if self.engine.tcp.get(tcp.0).is_none() {
            return Err(Error::Closed);
        }
        Ok(Tcp::new(self, tcp))
    }

    /// How much of what TCP was allotted is in use.
    pub fn tcp_usage(&self) -> TcpUsage {
        TcpUsage::of(&self.engine.tcp)
    }

    /// The connections that are not over.
    pub fn tcp_connections(&self) -> impl Iterator<Item = TcpHandle> {
        let all = self.engine.tcp.slots.iter();
        all.filter(|(_, pcb)| !pcb.flags.has(Flags::DEAD)).map(|(key, _)| TcpHandle(key))
    }
}

/// A TCP connection of a stack. All its calls are [`Error::Closed`] once it is over, within its own callback say.
///
/// What is written leaves when the callback is over, or with the next [`Stack::poll`] or [`Stack::transmit`];
/// [`Tcp::output`] sends at once.
pub struct Tcp<'a, H> {
    stack: &'a mut Stack<H>,
    handle: TcpHandle,
}

#[allow(clippy::missing_errors_doc, reason = "said once, above: what is over is `Error::Closed`")]
impl<'a, H> Tcp<'a, H> {
    #[inline]
    pub(super) fn new(stack: &'a mut Stack<H>, handle: TcpHandle) -> Self {
        Self { stack, handle }
    }

    /// The stack.
    pub fn stack(&mut self) -> &mut Stack<H> {
        self.stack
    }

    /// Its name for all other calls.
    pub fn handle(&self) -> TcpHandle {
        self.handle
    }

    /// Its handler, unless that is running.
    pub fn handler(&mut self) -> Option<&mut H> {
        self.pcb().ok()?;
        self.stack.tcp_handlers.get_mut(self.handle.0.index as usize)?.as_mut()
    }

    /// Sets its handler, which hears whatever waits to be reported; returns the one before, unless that is running.
    /// lwIP: `tcp_arg` with the callbacks.
    pub fn set_handler(&mut self, handler: H) -> Result<Option<H>, Error> {
        self.change(|pcb| pcb.flags.set(Flags::HEARD))?;
        let position = self.handle.0.index;
        let before = self.stack.tcp_handlers[position as usize].replace(handler);
        self.stack.engine.tcp.ready.add(position);
        Ok(before)
    }

    fn pcb(&self) -> Result<&TcpPcb, Error> {
        self.stack.engine.tcp.get(self.handle.0).ok_or(Error::Closed)
    }

    fn endpoint(&self, socket: SocketAddr) -> Result<Endpoint, Error> {
        Endpoint::from_socket(socket, self.stack.engine.zone(self.pcb()?.netif))
    }

    fn change(&mut self, change: impl FnOnce(&mut TcpPcb)) -> Result<(), Error> {
        self.stack.engine.tcp.get_mut(self.handle.0).map(change).ok_or(Error::Closed)
    }

    /// Notes what a call caused, to be sent and told.
    fn settle<T>(&mut self, result: T) -> T {
        self.stack.engine.tcp_settle(self.handle.0.index);
        result
    }

    /// Chooses the local address and port: `[::]` or 0.0.0.0 for the one that fits the peer, port zero for a free port.
    /// lwIP: `tcp_bind`.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when a listener, a connection or one in TIME-WAIT has them, unless both share
    /// ([`Tcp::set_reuse_address`]); [`Error::Buffer`] when no port is free; [`Error::Value`] for an address that is
    /// not ours; [`Error::IsConnected`].
    pub fn bind(&mut self, local: SocketAddr) -> Result<(), Error> {
        let local = self.endpoint(local)?;
        self.stack.engine.tcp_bind(self.handle.0, local)
    }

    /// [`bind`](Self::bind) for IPv6 alone: `[::]` leaves the port free for IPv4. lwIP: `tcp_bind` to
    /// `IP6_ADDR_ANY`, where [`bind`](Self::bind) to `[::]` is `IP_ANY_TYPE`.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Self::bind).
    #[cfg(feature = "ipv6")]
    pub fn bind_v6_only(&mut self, local: SocketAddrV6) -> Result<(), Error> {
        let local = self.endpoint(SocketAddr::V6(local))?.v6_only();
        self.stack.engine.tcp_bind(self.handle.0, local)
    }

    /// Sends and receives only through an interface, or any again. lwIP: `tcp_bind_netif`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface is gone.
    pub fn bind_netif(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        let netif = self.stack.engine.netif_if_there(netif)?;
        self.change(|pcb| pcb.netif = netif)
    }

    /// Takes connections where it is bound: the control block becomes a listener, with its handler and settings.
    /// `backlog` connections, at least one, may wait half-open or to be accepted. lwIP: `tcp_listen_with_backlog`.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when there is such a listener; [`Error::IsConnected`]; [`Error::Memory`] when there are as
    /// many listeners as the limits allow. The control block is as it was then.
    pub fn listen(&mut self, backlog: usize) -> Result<TcpListenerHandle, Error> {
        let position = self.handle.0.index as usize;
        let heard = self.pcb()?.flags.has(Flags::HEARD);
        let listener = self.stack.engine.tcp_listen(self.handle.0, backlog, heard)?;
        self.stack.door_handlers[listener.index as usize] = self.stack.tcp_handlers[position].take();
        Ok(TcpListenerHandle(listener))
    }

    /// Opens a connection; `connected` or `error` tells how that went. lwIP: `tcp_connect`.
    ///
    /// # Errors
    ///
    /// [`Error::IsConnected`]; [`Error::Value`] for port zero or an address that is not one host's; [`Error::Route`];
    /// [`Error::InUse`] when there is such a connection, or no port is free; [`Error::Memory`].
    pub fn connect(&mut self, remote: SocketAddr) -> Result<(), Error> {
        let remote = self.endpoint(remote)?;
        let connected = self.stack.engine.tcp_connect(self.handle.0, remote);
        self.settle(connected)
    }

    /// Answers a SYN that was held ([`Admission::Hold`]).
    ///
    /// # Errors
    ///
    /// [`Error::Already`] when none is held; [`Error::Memory`].
    pub fn admit(&mut self) -> Result<(), Error> {
        let admitted = self.stack.engine.tcp_admit(self.handle.0);
        self.settle(admitted)
    }

    /// Counts in the listener's backlog until [`Tcp::backlog_accepted`]; to be called while accepting. lwIP:
    /// `tcp_backlog_delayed`.
    pub fn backlog_delay(&mut self) -> Result<(), Error> {
        self.stack.engine.tcp_delay_backlog(self.handle.0)
    }

    /// No longer counts in the listener's backlog. lwIP: `tcp_backlog_accepted`.
    pub fn backlog_accepted(&mut self) -> Result<(), Error> {
        self.pcb()?;
        self.stack.engine.tcp_leave_backlog(self.handle.0.index);
        Ok(())
    }

    /// Sends a packet, all of it or nothing. It leaves from where it lies, and is kept until it is acknowledged;
    /// only bytes that may change behind our back are copied. lwIP: `tcp_write` without `TCP_WRITE_FLAG_COPY`.
    ///
    /// # Errors
    ///
    /// The data comes back with [`Error::Memory`] when it does not fit the send buffer or queue, or there is no
    /// memory: try again after the next `sent`; [`Error::NotConnected`] when the state allows no sending, or its
    /// direction is shut down; [`Error::Closed`].
    pub fn write(&mut self, data: Pbuf) -> Result<(), Rejected> {
        self.stack.engine.tcp_write(self.handle.0, data, How::Push)
    }

    /// As [`Tcp::write`], and more is to follow soon: the last segment is not marked as pushed. lwIP:
    /// `TCP_WRITE_FLAG_MORE`.
    ///
    /// # Errors
    ///
    /// As [`Tcp::write`].
    pub fn write_more(&mut self, data: Pbuf) -> Result<(), Rejected> {
        self.stack.engine.tcp_write(self.handle.0, data, How::More)
    }

    /// Sends constant bytes from where they lie, all or none.
    ///
    /// # Errors
    ///
    /// As [`Tcp::write`].
    pub fn write_static(&mut self, bytes: &'static [u8]) -> Result<(), Error> {
        let data = self.stack.engine.memory.from_static(bytes)?;
        Ok(self.write(data)?)
    }

    /// As [`Tcp::write_static`], and more is to follow soon.
    ///
    /// # Errors
    ///
    /// As [`Tcp::write`].
    pub fn write_static_more(&mut self, bytes: &'static [u8]) -> Result<(), Error> {
        let data = self.stack.engine.memory.from_static(bytes)?;
        Ok(self.write_more(data)?)
    }

    /// Copies bytes and sends them, all or none. lwIP: `TCP_WRITE_FLAG_COPY`.
    ///
    /// # Errors
    ///
    /// As [`Tcp::write`].
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stack.engine.tcp_write_bytes(self.handle.0, bytes, How::Push)
    }

    /// As [`Tcp::write_bytes`], and more is to follow soon.
    ///
    /// # Errors
    ///
    /// As [`Tcp::write`].
    pub fn write_bytes_more(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stack.engine.tcp_write_bytes(self.handle.0, bytes, How::More)
    }

    /// Copies as many bytes as there is room for, and sends them; returns how many.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] when there is room for none; [`Error::NotConnected`]; [`Error::Closed`].
    pub fn write_some(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.stack.engine.tcp_write_some(self.handle.0, bytes, How::Push)
    }

    /// Copies bytes and sends them, all or none; everything up to their end is urgent [RFC 9293 MUST-30]. New
    /// protocols should not rely on that [RFC 6093].
    ///
    /// # Errors
    ///
    /// As [`Tcp::write`].
    pub fn write_urgent(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stack.engine.tcp_write_bytes(self.handle.0, bytes, How::Urgent)
    }

    /// Sends what may leave, now. lwIP: `tcp_output`.
    pub fn output(&mut self) -> Result<(), Error> {
        self.pcb()?;
        self.stack.engine.tcp_output(self.handle.0.index);
        Ok(())
    }

    /// The application is done with so many bytes of received data: the window opens again. lwIP: `tcp_recved`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for more than was received.
    pub fn recved(&mut self, bytes: usize) -> Result<(), Error> {
        self.stack.engine.tcp_recved(self.handle.0, bytes)
    }

    /// Closes the connection: what was written is still sent, then our FIN; nothing more is received. The handler
    /// stays until the connection is over: `closed` or `error` is the last it hears. A connection that nobody has
    /// answered, or with received data that the application has not said it is done with ([`Tcp::recved`]), ends at
    /// once, the latter by RST [RFC 9293 SHLD-3], and its handler is dropped unheard. lwIP: `tcp_close`.
    pub fn close(&mut self) -> Result<(), Error> {
        let over = self.stack.engine.tcp_close(self.handle.0)?;
        if over {
            self.stack.tcp_handlers[self.handle.0.index as usize] = None;
        }
        self.settle(Ok(()))
    }

    /// Shuts one direction down, or both, which is to close. lwIP: `tcp_shutdown`.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] when the state does not allow it.
    pub fn shutdown(&mut self, which: Shutdown) -> Result<(), Error> {
        if which == Shutdown::Both {
            return self.close();
        }
        let shut = self.stack.engine.tcp_shutdown(self.handle.0, which);
        self.settle(shut)
    }

    /// Ends the connection at once by RST, and returns its handler unless that is running; it hears nothing more.
    /// lwIP: `tcp_abort`, which calls the error callback.
    pub fn abort(&mut self) -> Result<Option<H>, Error> {
        self.stack.engine.tcp_abort(self.handle.0)?;
        Ok(self.stack.tcp_handlers[self.handle.0.index as usize].take())
    }

    /// Its state.
    pub fn state(&self) -> TcpState {
        self.pcb().map_or(TcpState::Closed, |pcb| pcb.state)
    }

    /// The local address and port; zeros where they are open.
    pub fn local(&self) -> Result<SocketAddr, Error> {
        Ok(self.pcb()?.flow.local.to_socket())
    }

    /// The peer; zeros while there is none.
    pub fn remote(&self) -> Result<SocketAddr, Error> {
        Ok(self.pcb()?.flow.remote.to_socket())
    }

    /// The listener that it came from, until it is accepted.
    pub fn listener(&self) -> Option<TcpListenerHandle> {
        self.pcb().ok()?.listener.map(TcpListenerHandle)
    }

    /// The data of a full segment, in bytes. lwIP: `tcp_mss`.
    pub fn mss(&self) -> Result<u16, Error> {
        Ok(self.pcb()?.mss)
    }

    /// The bytes that may be written now. lwIP: `tcp_sndbuf`.
    pub fn send_buffer(&self) -> Result<usize, Error> {
        Ok(self.pcb()?.send_room() as usize)
    }

    /// The packets that were written and have not left. lwIP: `tcp_sndqueuelen`.
    pub fn send_queue_len(&self) -> Result<usize, Error> {
        Ok(self.pcb()?.unsent.len())
    }

    /// The bytes that were written and are not acknowledged.
    pub fn send_queued(&self) -> Result<usize, Error> {
        Ok(self.pcb()?.queued as usize)
    }

    /// The window that the peer was told last, in bytes, less what came since.
    pub fn receive_window(&self) -> Result<usize, Error> {
        self.pcb().map(|pcb| pcb.edge.since(pcb.rcv_nxt) as usize)
    }

    /// The bytes received in order that the application has not said it is done with.
    pub fn receive_queued(&self) -> Result<usize, Error> {
        Ok(self.pcb()?.unread as usize)
    }

    /// The bytes up to the end of urgent data that the application has not said it is done with
    /// [RFC 9293 MUST-33].
    pub fn urgent_remaining(&self) -> Result<usize, Error> {
        Ok(self.pcb()?.urgent_remaining() as usize)
    }

    /// What there is to know of it.
    pub fn info(&self) -> Result<TcpInfo, Error> {
        let pcb = self.pcb()?;
        let counts = pcb.loss.counts(&self.stack.engine.tcp.segments, pcb.mss);
        Ok(TcpInfo::of(pcb, counts, self.stack.engine.now))
    }

    /// Whether small segments wait for acknowledgments.
    pub fn nagle(&self) -> Result<bool, Error> {
        Ok(!self.pcb()?.flags.has(Flags::NO_DELAY))
    }

    /// Has small segments wait for acknowledgments, or not [RFC 9293 MUST-17]. lwIP: `tcp_nagle_enable`,
    /// `tcp_nagle_disable`.
    pub fn set_nagle(&mut self, on: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.flags.put(Flags::NO_DELAY, !on))?;
        self.settle(Ok(()))
    }

    /// Probes a silent peer, or not [RFC 9293 MUST-24]. lwIP: `SOF_KEEPALIVE`.
    pub fn set_keep_alive(&mut self, on: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.flags.put(Flags::KEEP_ALIVE, on))?;
        self.stack.engine.tcp_keep_alive_changed(self.handle.0);
        Ok(())
    }

    /// Sets when a silent peer is probed first, how often then, and how many probes without an answer end the
    /// connection [RFC 9293 MUST-27]. lwIP: `keep_idle`, `keep_intvl`, `keep_cnt`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zeros, and for one probe: one without an answer says nothing [RFC 9293 MUST-29].
    pub fn set_keep_alive_times(
        &mut self,
        idle: Duration,
        interval: Duration,
        count: u8,
    ) -> Result<(), Error> {
        let times = KeepAlive::of(idle, interval, count)?;
        self.change(|pcb| pcb.keep_alive.change(times))?;
        self.stack.engine.tcp_keep_alive_changed(self.handle.0);
        Ok(())
    }

    /// Sets how long data may go without acknowledgment before the connection ends [RFC 9293 MUST-21, RFC 5482];
    /// `None`: as long as it is sent again.
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.change(|pcb| pcb.user_timeout = timeout.map_or(0, ticks_in))
    }

    /// Sets how often `poll` is called; `None`: never. lwIP: `tcp_poll`, in half seconds.
    pub fn set_poll_interval(&mut self, interval: Option<Duration>) -> Result<(), Error> {
        let now = ticks(self.stack.engine.now);
        self.change(|pcb| {
            pcb.poll_interval = interval.map_or(0, ticks_in);
            pcb.poll_at = now.wrapping_add(pcb.poll_interval);
        })?;
        self.stack.engine.tcp_rearm(self.handle.0.index);
        Ok(())
    }

    /// Its priority.
    pub fn priority(&self) -> Result<u8, Error> {
        Ok(self.pcb()?.priority)
    }

    /// Sets its priority: when there is no control block left, a connection of a strictly lower one gives way.
    /// lwIP: `tcp_setprio`, 1 to 127, of which 64 is normal.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] outside of 1 to 127.
    pub fn set_priority(&mut self, priority: u8) -> Result<(), Error> {
        if !(1..=127).contains(&priority) {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.priority = priority)?;
        self.stack.engine.tcp.note_priority(priority);
        Ok(())
    }

    /// Sets the time-to-live of its segments [RFC 9293 MUST-49].
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zero.
    pub fn set_ttl(&mut self, ttl: u8) -> Result<(), Error> {
        if ttl == 0 {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.ttl = ttl)
    }

    /// Sets the type of service of its segments [RFC 9293 MUST-48]; its two bits of ECN are the stack's.
    pub fn set_tos(&mut self, tos: u8) -> Result<(), Error> {
        self.change(|pcb| pcb.tos = tos & !0b11)
    }

    /// Shares its local address and port with others that do so too. lwIP: `SOF_REUSEADDR`.
    pub fn set_reuse_address(&mut self, reuse: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.flags.put(Flags::REUSE, reuse))
    }

    /// Sets the largest segment to be announced and sent, before it connects.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] below 64; [`Error::IsConnected`].
    pub fn set_mss(&mut self, mss: u16) -> Result<(), Error> {
        if mss < 64 {
            return Err(Error::Value);
        }
        self.before_connecting(|pcb| pcb.mss_limit = mss)
    }

    /// Sets the largest window that is announced, in bytes; once connected it may only grow as far as the scale
    /// allows that was agreed upon, and never shrinks what was announced.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zero, or 2³⁰ and more.
    pub fn set_receive_buffer(&mut self, bytes: u32) -> Result<(), Error> {
        if bytes == 0 || bytes >= 1 << 30 {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.set_receive_buffer(bytes))?;
        self.settle(Ok(()))
    }

    /// Sets how many bytes may be written before they are acknowledged.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zero, or 2³⁰ and more.
    pub fn set_send_buffer(&mut self, bytes: u32) -> Result<(), Error> {
        if bytes == 0 || bytes >= 1 << 30 {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.send_buffer = bytes)
    }

    /// Chooses the congestion control [RFC 9293 MAY-18]. A connection that stands keeps its window and threshold; what
    /// the former algorithm noted besides is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn set_congestion_control(&mut self, algorithm: &'static dyn CongestionControl) -> Result<(), Error> {
        self.change(|pcb| {
            pcb.algorithm = algorithm;
            pcb.congestion.hand_over();
        })
    }

    fn before_connecting(&mut self, change: impl FnOnce(&mut TcpPcb)) -> Result<(), Error> {
        if self.pcb()?.state != TcpState::Closed {
            return Err(Error::IsConnected);
        }
        self.change(change)
    }

    /// Sets a word that the connection keeps for the application besides its handler. lwIP: `tcp_ext_arg_set`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a number not below [`Limits::tcp_ext_args`](crate::Limits).
    pub fn set_ext_arg(&mut self, number: usize, value: usize) -> Result<(), Error> {
        *self.stack.engine.tcp.ext_arg(self.handle.0, number)? = value;
        Ok(())
    }

    /// A word that the application keeps with the connection; zero before it is set. lwIP: `tcp_ext_arg_get`.
    ///
    /// # Errors
    ///
    /// As [`Tcp::set_ext_arg`].
    pub fn ext_arg(&mut self, number: usize) -> Result<usize, Error> {
        self.stack.engine.tcp.ext_arg(self.handle.0, number).copied()
    }

    /// What the stack was made with.
    pub fn config(&self) -> &Config {
        &self.stack.engine.config
    }
}
