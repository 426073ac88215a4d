//! What an application wants to hear of.

use core::net::{IpAddr, SocketAddr};

use coracle_buf::Pbuf;

#[cfg(feature = "dns")]
use super::Resolved;
use super::{Admission, Raw, Refused, Stack, Tcp, TcpHandle, Timeout, Udp};
use crate::error::Error;
use crate::event::{IcmpError, Trouble};
use crate::netif::NetifEvent;
#[cfg(feature = "sntp")]
use crate::sntp::SntpTime;

/// The callbacks of an application. Every one has a default; implement those that you register for.
///
/// `H` is the one handler type of the stack: a struct, an enum of several applications, or, with `alloc`,
/// [`Boxed`]. A control block owns its handler, which is lwIP's `arg` and callback functions in one. While a
/// callback runs, its handler is out of its place: the callback has `&mut` to it *and* to the whole stack, and may
/// send, bind, remove any control block (its own included), or make new ones. Handlers are moved out and back for
/// each callback, so keep large ones behind a reference or a `Box`.
///
/// Callbacks never nest. What a callback causes (a packet to ourselves, a change of an interface) is delivered
/// after it returns, before the outermost call into the stack does, or at the next `poll`.
///
/// ```
/// use core::net::SocketAddr;
/// use coracle::{Handler, Pbuf, Udp};
///
/// struct Echo;
/// impl Handler for Echo {
///     fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
///         // The answer leaves from the buffer in which the question came. What cannot be sent is dropped.
///         drop(udp.send_to(data, from));
///     }
/// }
/// ```
pub trait Handler<H = Self> {
    /// A datagram came; `data` is the buffer that the driver filled. lwIP: `udp_recv_fn`. The packet's destination,
    /// interface and time-to-live are in [`Udp::packet`].
    fn datagram(&mut self, udp: &mut Udp<'_, H>, from: SocketAddr, data: Pbuf) {
        let _ = (udp, from, data);
    }

    /// A datagram to `to` could not be delivered, says an ICMP error [RFC 1122 §4.1.3.3]. It may be forged: take it
    /// as a hint.
    fn datagram_error(&mut self, udp: &mut Udp<'_, H>, to: SocketAddr, error: IcmpError) {
        let _ = (udp, to, error);
    }

    /// A packet came, its IP header in front; its length is that of the packet. Returning it passes it on,
    /// unchanged, to others and to the stack; `None` eats it. lwIP: `raw_recv_fn`.
    fn packet(&mut self, raw: &mut Raw<'_, H>, packet: Pbuf) -> Option<Pbuf> {
        let _ = raw;
        Some(packet)
    }

    /// A packet to `to` could not be delivered, says an ICMP error.
    fn packet_error(&mut self, raw: &mut Raw<'_, H>, to: IpAddr, error: IcmpError) {
        let _ = (raw, to, error);
    }

    /// A peer asks for a connection: whether it is answered. Only a listener that asks is called
    /// ([`TcpListener::set_ask`](super::TcpListener::set_ask)).
    fn incoming(&mut self, tcp: &mut Tcp<'_, H>) -> Admission {
        let _ = tcp;
        Admission::Admit
    }

    /// A connection of a listener stands: its handler, or why there is none, and it is reset. lwIP: the callback of
    /// `tcp_accept`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the connection from being accepted; by default nobody accepts.
    fn accept(&mut self, tcp: &mut Tcp<'_, H>) -> Result<H, Error> {
        let _ = tcp;
        Err(Error::Aborted)
    }

    /// The connection that was asked for stands. lwIP: the callback of `tcp_connect`.
    fn connected(&mut self, tcp: &mut Tcp<'_, H>) {
        let _ = tcp;
    }

    /// Data came, in order. The window opens again by [`Tcp::recved`], now or later. lwIP: the callback of `tcp_recv`.
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the data back: the stack keeps it and offers it again, before any newer. By default data is
    /// dropped, and the window opened.
    fn recv(&mut self, tcp: &mut Tcp<'_, H>, data: Pbuf) -> Result<(), Refused> {
        // The connection may be over; then there is no window.
        tcp.recved(data.len()).unwrap_or_default();
        Ok(())
    }

    /// The peer closed its direction: no more data comes. lwIP: the callback of `tcp_recv`, without data. By default
    /// the connection is closed.
    fn finished(&mut self, tcp: &mut Tcp<'_, H>) {
        tcp.close().unwrap_or_default();
    }

    /// This many bytes of what was written are acknowledged. lwIP: the callback of `tcp_sent`.
    fn sent(&mut self, tcp: &mut Tcp<'_, H>, acked: usize) {
        let _ = (tcp, acked);
    }

    /// The time set by [`Tcp::set_poll_interval`] is over, once more. lwIP: the callback of `tcp_poll`.
    fn poll(&mut self, tcp: &mut Tcp<'_, H>) {
        let _ = tcp;
    }

    /// More of the data is urgent, see [`Tcp::urgent_remaining`] [RFC 9293 MUST-32].
    fn urgent(&mut self, tcp: &mut Tcp<'_, H>) {
        let _ = tcp;
    }

    /// Something is wrong on the way to the peer, or it does not answer; the connection lives on
    /// [RFC 9293 MUST-47].
    fn trouble(&mut self, tcp: &mut Tcp<'_, H>, what: Trouble) {
        let _ = (tcp, what);
    }

    /// The connection is over by an error [RFC 9293 MUST-12]: [`Error::Reset`] by the peer, [`Error::Timeout`],
    /// [`Error::Aborted`] as it gave way to another, or its address is gone, [`Error::Memory`] when for minutes there
    /// was none to send with. lwIP: the callback of `tcp_err`.
    fn error(&mut self, stack: &mut Stack<H>, connection: TcpHandle, reason: Error) {
        let _ = (stack, connection, reason);
    }

    /// The connection is over in good order, both sides having closed.
    fn closed(&mut self, stack: &mut Stack<H>, connection: TcpHandle) {
        let _ = (stack, connection);
    }

    /// The time set with [`Stack::timeout`] came. Unless it calls [`Timeout::again`], the handler is dropped
    /// afterwards. lwIP: `sys_timeout_handler`.
    fn timeout(&mut self, timeout: &mut Timeout<'_, H>) {
        let _ = timeout;
    }

    /// An interface changed; see [`Stack::netif_listen`]. lwIP: the status, link, remove and extended callbacks.
    fn netif_changed(&mut self, stack: &mut Stack<H>, event: NetifEvent) {
        let _ = (stack, event);
    }

    /// A query of the resolver is over ([`Stack::dns_query`]); the handler is dropped afterwards. lwIP:
    /// `dns_found_callback`.
    #[cfg(feature = "dns")]
    fn resolved(&mut self, resolved: &mut Resolved<'_, H>) {
        let _ = resolved;
    }

    /// A server told what time it is ([`Stack::sntp_start`]). lwIP: `SNTP_SET_SYSTEM_TIME_US`.
    #[cfg(feature = "sntp")]
    fn time(&mut self, stack: &mut Stack<H>, time: SntpTime) {
        let _ = (stack, time);
    }
}

/// A stack that calls nobody: it answers pings and counts.
impl Handler for () {}

#[cfg(feature = "alloc")]
pub use boxed::Boxed;

#[cfg(feature = "alloc")]
mod boxed {
    use alloc::boxed::Box;
    use core::net::{IpAddr, SocketAddr};

    use coracle_buf::Pbuf;

    #[cfg(feature = "dns")]
    use super::Resolved;
    #[cfg(feature = "sntp")]
    use super::SntpTime;
    use super::{
        Admission, Error, Handler, IcmpError, NetifEvent, Raw, Refused, Stack, Tcp, TcpHandle, Timeout,
        Trouble, Udp,
    };

    /// Any handler, behind a pointer: the handler type of a stack with applications of many types.
    ///
    /// ```
    /// use coracle::{Boxed, Handler, Timeout};
    ///
    /// struct Tick(u32);
    /// impl Handler<Boxed> for Tick {
    ///     fn timeout(&mut self, _timeout: &mut Timeout<'_, Boxed>) {
    ///         self.0 += 1;
    ///     }
    /// }
    /// let any = Boxed::new(Tick(0));
    /// ```
    pub struct Boxed(Box<dyn Handler<Boxed> + Send>);

    impl Boxed {
        /// Puts a handler behind a pointer.
        pub fn new(handler: impl Handler<Self> + Send + 'static) -> Self {
            Self(Box::new(handler))
        }

        /// A handler of datagrams from a closure.
        pub fn datagrams(on: impl FnMut(&mut Udp<'_, Self>, SocketAddr, Pbuf) + Send + 'static) -> Self {
            struct Datagrams<F>(F);
            impl<F: FnMut(&mut Udp<'_, Boxed>, SocketAddr, Pbuf)> Handler<Boxed> for Datagrams<F> {
                fn datagram(&mut self, udp: &mut Udp<'_, Boxed>, from: SocketAddr, data: Pbuf) {
                    (self.0)(udp, from, data);
                }
            }
            Self::new(Datagrams(on))
        }
    }

    impl Handler for Boxed {
        fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
            self.0.datagram(udp, from, data);
        }

        fn datagram_error(&mut self, udp: &mut Udp<'_, Self>, to: SocketAddr, error: IcmpError) {
            self.0.datagram_error(udp, to, error);
        }

        fn packet(&mut self, raw: &mut Raw<'_, Self>, packet: Pbuf) -> Option<Pbuf> {
            self.0.packet(raw, packet)
        }

        fn packet_error(&mut self, raw: &mut Raw<'_, Self>, to: IpAddr, error: IcmpError) {
            self.0.packet_error(raw, to, error);
        }

        fn incoming(&mut self, tcp: &mut Tcp<'_, Self>) -> Admission {
            self.0.incoming(tcp)
        }

        fn accept(&mut self, tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
            self.0.accept(tcp)
        }

        fn connected(&mut self, tcp: &mut Tcp<'_, Self>) {
            self.0.connected(tcp);
        }

        fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
            self.0.recv(tcp, data)
        }

        fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
            self.0.finished(tcp);
        }

        fn sent(&mut self, tcp: &mut Tcp<'_, Self>, acked: usize) {
            self.0.sent(tcp, acked);
        }

        fn poll(&mut self, tcp: &mut Tcp<'_, Self>) {
            self.0.poll(tcp);
        }

        fn urgent(&mut self, tcp: &mut Tcp<'_, Self>) {
            self.0.urgent(tcp);
        }

        fn trouble(&mut self, tcp: &mut Tcp<'_, Self>, what: Trouble) {
            self.0.trouble(tcp, what);
        }

        fn error(&mut self, stack: &mut Stack<Self>, connection: TcpHandle, reason: Error) {
            self.0.error(stack, connection, reason);
        }

        fn closed(&mut self, stack: &mut Stack<Self>, connection: TcpHandle) {
            self.0.closed(stack, connection);
        }

        fn timeout(&mut self, timeout: &mut Timeout<'_, Self>) {
            self.0.timeout(timeout);
        }

        fn netif_changed(&mut self, stack: &mut Stack<Self>, event: NetifEvent) {
            self.0.netif_changed(stack, event);
        }

        #[cfg(feature = "dns")]
        fn resolved(&mut self, resolved: &mut Resolved<'_, Self>) {
            self.0.resolved(resolved);
        }

        #[cfg(feature = "sntp")]
        fn time(&mut self, stack: &mut Stack<Self>, time: SntpTime) {
            self.0.time(stack, time);
        }
    }
}
