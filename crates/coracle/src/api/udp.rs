//! UDP and UDP-Lite control blocks, as the application sees them.

#[cfg(feature = "ipv6")]
use core::net::SocketAddrV6;
use core::net::{IpAddr, SocketAddr};

use coracle_buf::{Layer, Pbuf};

use super::{Handler, Place, Stack};
use crate::address::{Address, Endpoint};
use crate::engine::small_pbuf;
use crate::error::{Error, Rejected};
use crate::ip::{PacketInfo, Received};
use crate::netif::NetifHandle;
use crate::service::Owner;
use crate::table::Key;
use crate::udp::{Class, UdpPcb, Wishes};

/// Names a UDP control block. Once that is removed the name finds nothing, never another control block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UdpHandle(pub(super) Key);

/// What a sender says of one datagram; what is left out is the control block's own.
///
/// ```
/// let send = coracle::UdpSend { remote: "192.0.2.1:53".parse().ok(), ..Default::default() };
/// assert!(send.source.is_none());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UdpSend {
    /// Where to; else the connected peer.
    pub remote: Option<SocketAddr>,
    /// Through which interface.
    pub netif: Option<NetifHandle>,
    /// From which address of ours; from any on an interface that takes everything.
    pub source: Option<IpAddr>,
    /// From which port, not zero; for answers from a control block that takes all ports.
    pub source_port: Option<u16>,
}

impl<H: Handler> Stack<H> {
    /// A new UDP control block, which has no port yet. lwIP: `udp_new`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when there are as many as the limits allow; the handler is dropped then.
    pub fn udp_new(&mut self, handler: H) -> Result<UdpHandle, Error> {
        self.udp_new_kind(handler, false)
    }

    /// A new UDP-Lite control block [RFC 3828], whose ports are of their own.
    ///
    /// # Errors
    ///
    /// As [`Stack::udp_new`].
    pub fn udp_lite_new(&mut self, handler: H) -> Result<UdpHandle, Error> {
        self.udp_new_kind(handler, true)
    }

    fn udp_new_kind(&mut self, handler: H, lite: bool) -> Result<UdpHandle, Error> {
        let key = self.engine.udp_new(lite, Owner::Application)?;
        self.udp_handlers[key.index as usize] = Place::Here(handler);
        Ok(UdpHandle(key))
    }

    /// A UDP control block, to use and to change.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it was removed.
    #[inline]
    pub fn udp(&mut self, udp: UdpHandle) -> Result<Udp<'_, H>, Error> {
        if self.engine.udp.slots.get(udp.0).is_none() {
            return Err(Error::Closed);
        }
        Ok(Udp::new(self, udp))
    }

    /// Removes a UDP control block, and returns its handler unless it is running. lwIP: `udp_remove`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it was removed already.
    pub fn udp_remove(&mut self, udp: UdpHandle) -> Result<Option<H>, Error> {
        if self.engine.udp.slots.get(udp.0).is_none() {
            return Err(Error::Closed);
        }
        self.engine.udp_remove(udp.0);
        Ok(self.udp_handlers[udp.0.index as usize].clear())
    }
}

/// A UDP control block of a stack. All its calls are [`Error::Closed`] once it is removed, within its own callback
/// say.
pub struct Udp<'a, H> {
    pub(super) stack: &'a mut Stack<H>,
    pub(super) handle: UdpHandle,
}

#[allow(clippy::missing_errors_doc, reason = "said once, above: what is gone is `Error::Closed`")]
impl<'a, H> Udp<'a, H> {
    #[inline]
    pub(super) fn new(stack: &'a mut Stack<H>, handle: UdpHandle) -> Self {
        Self { stack, handle }
    }

    /// The stack.
    pub fn stack(&mut self) -> &mut Stack<H> {
        self.stack
    }

    /// Its name for all other calls.
    pub fn handle(&self) -> UdpHandle {
        self.handle
    }

    /// Its handler, unless that is running.
    pub fn handler(&mut self) -> Option<&mut H> {
        self.stack.engine.udp.slots.get(self.handle.0)?;
        self.stack.udp_handlers.get_mut(self.handle.0.index as usize)?.here()
    }

    /// Calls a function with the handler and the control block, as a callback has them; `None` when the handler is
    /// running.
    pub fn with_handler<R>(&mut self, call: impl FnOnce(&mut H, &mut Udp<'_, H>) -> R) -> Option<R> {
        self.stack.engine.udp.slots.get(self.handle.0)?;
        let place = self.handle.0.index as usize;
        let mut handler = self.stack.udp_handlers.get_mut(place)?.start()?;
        let result = call(&mut handler, self);
        self.stack.udp_handlers[place].finish(handler);
        Some(result)
    }

    /// The packet that is being delivered. lwIP: `ip_current_*`.
    pub fn packet(&self) -> Option<PacketInfo> {
        self.stack.engine.current.as_ref().map(Received::info)
    }

    fn pcb(&self) -> Result<&UdpPcb, Error> {
        self.stack.engine.udp.slots.get(self.handle.0).ok_or(Error::Closed)
    }

    fn change(&mut self, change: impl FnOnce(&mut UdpPcb)) -> Result<(), Error> {
        self.stack.engine.udp.slots.get_mut(self.handle.0).map(change).ok_or(Error::Closed)
    }

    /// Takes datagrams to an address and a port: `[::]` for every address of ours, 0.0.0.0 for those of IPv4, port zero for a free port. An
    /// address of an interface, a group or a broadcast address limits what is taken. lwIP: `udp_bind`.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another control block has the port on an overlapping address, unless both share it
    /// ([`Udp::set_reuse_address`]), or no port is free; [`Error::Value`] for an address that is
    /// not ours; [`Error::IsConnected`].
    pub fn bind(&mut self, local: SocketAddr) -> Result<(), Error> {
        let local = self.endpoint(local)?;
        self.stack.engine.udp_bind(self.handle.0, local)
    }

    /// [`bind`](Self::bind) for IPv6 alone: `[::]` leaves the port free for IPv4. lwIP: `udp_bind` to
    /// `IP6_ADDR_ANY`, where [`bind`](Self::bind) to `[::]` is `IP_ANY_TYPE`.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Self::bind).
    #[cfg(feature = "ipv6")]
    pub fn bind_v6_only(&mut self, local: SocketAddrV6) -> Result<(), Error> {
        let local = self.endpoint(SocketAddr::V6(local))?.v6_only();
        self.stack.engine.udp_bind(self.handle.0, local)
    }

    /// Takes every datagram that no other control block takes, whatever its port: for tunnels, on interfaces that
    /// take packets to every address. [`Udp::packet`] tells where each was sent to, and [`UdpSend`] answers from
    /// there.
    ///
    /// # Errors
    ///
    /// [`Error::IsConnected`].
    pub fn bind_all(&mut self) -> Result<(), Error> {
        self.stack.engine.udp_bind_all(self.handle.0)
    }

    /// Takes and sends only through an interface, or any again. lwIP: `udp_bind_netif`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface is gone.
    pub fn bind_netif(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        let netif = self.stack.engine.netif_if_there(netif)?;
        self.change(|pcb| pcb.netif = netif)
    }

    /// Sends to this peer by default, and takes datagrams from it only. Chooses the local address and port if they
    /// are open. lwIP: `udp_connect`, which also takes the any-address.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for the any-address, port zero, or a broadcast address without permission;
    /// [`Error::Route`]; [`Error::InUse`] when another control block has the same peer and local port,
    /// or no port is free.
    pub fn connect(&mut self, remote: SocketAddr) -> Result<(), Error> {
        let remote = self.endpoint(remote)?;
        self.stack.engine.udp_connect(self.handle.0, remote)
    }

    /// Takes datagrams from everybody again, as it was bound before; the interface is let go. lwIP: `udp_disconnect`.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`].
    pub fn disconnect(&mut self) -> Result<(), Error> {
        self.stack.engine.udp_disconnect(self.handle.0)
    }

    /// Sends data to the connected peer. lwIP: `udp_send`.
    ///
    /// The headers are written in front of the data, where it lies; only data that is shared or has no room there
    /// ([`Layer::Transport`] leaves it) gets a segment for them.
    ///
    /// # Errors
    ///
    /// The data comes back with [`Error::NotConnected`]; [`Error::Value`] for a datagram longer than the interface's
    /// MTU allows, a broadcast address without permission, port zero or the any-address, or no source port for a
    /// control block that takes all ports; [`Error::Route`] for no route, or a source that is not ours;
    /// [`Error::WouldBlock`] when the device's queue is full, or too many packets wait for neighbours;
    /// [`Error::InUse`] when no local port is free; [`Error::Memory`]; [`Error::Closed`].
    #[inline]
    pub fn send(&mut self, data: Pbuf) -> Result<(), Rejected> {
        self.stack.engine.udp_send(self.handle.0, None, None, data)
    }

    /// Sends data to a peer. lwIP: `udp_sendto`.
    ///
    /// # Errors
    ///
    /// As [`Udp::send`].
    #[inline]
    pub fn send_to(&mut self, data: Pbuf, remote: SocketAddr) -> Result<(), Rejected> {
        let remote = match self.endpoint(remote) {
            Ok(remote) => remote,
            Err(error) => return Err(Rejected::new(error, data)),
        };
        self.stack.engine.udp_send(self.handle.0, Some(&remote), None, data)
    }

    /// Sends data, and says more of how. lwIP: `udp_sendto_if`, `udp_sendto_if_src`.
    ///
    /// # Errors
    ///
    /// As [`Udp::send`]; [`Error::Interface`] when the interface is gone.
    pub fn send_with(&mut self, data: Pbuf, send: &UdpSend) -> Result<(), Rejected> {
        match self.wishes(send) {
            Ok((remote, wishes)) => {
                self.stack.engine.udp_send(self.handle.0, remote.as_ref(), Some(&wishes), data)
            }
            Err(error) => Err(Rejected::new(error, data)),
        }
    }

    fn wishes(&self, send: &UdpSend) -> Result<(Option<Endpoint>, Wishes), Error> {
        let netif = self.stack.engine.netif_if_there(send.netif)?;
        let zone = self.stack.engine.zone(netif.or_else(|| self.pcb().ok()?.netif));
        let source = send.source.map(|source| Address::from_ip(source, zone)).transpose()?;
        let remote = send.remote.map(|remote| Endpoint::from_socket(remote, zone)).transpose()?;
        Ok((remote, Wishes { netif, source, source_port: send.source_port }))
    }

    #[inline]
    fn endpoint(&self, socket: SocketAddr) -> Result<Endpoint, Error> {
        let zone = match socket {
            SocketAddr::V4(_) => None,
            SocketAddr::V6(_) => self.stack.engine.zone(self.pcb()?.netif),
        };
        Endpoint::from_socket(socket, zone)
    }

    /// Copies bytes into a buffer of the stack's and sends them to a peer.
    ///
    /// # Errors
    ///
    /// As [`Udp::send`].
    pub fn send_bytes_to(&mut self, bytes: &[u8], remote: SocketAddr) -> Result<(), Error> {
        let mut data = small_pbuf(&self.stack.engine.memory, Layer::Transport, bytes.len())?;
        data.take(bytes)?;
        Ok(self.send_to(data, remote)?)
    }

    /// The local address and port; zeros where they are open.
    pub fn local(&self) -> Result<SocketAddr, Error> {
        Ok(self.pcb()?.flow.local.to_socket())
    }

    /// The connected peer.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.pcb().ok().filter(|pcb| pcb.class == Class::Connected).map(|pcb| pcb.flow.remote.to_socket())
    }

    /// The time-to-live of unicast datagrams.
    pub fn ttl(&self) -> Result<u8, Error> {
        Ok(self.pcb()?.ttl)
    }

    /// The type of service.
    pub fn tos(&self) -> Result<u8, Error> {
        Ok(self.pcb()?.tos)
    }

    /// Sets the time-to-live of unicast datagrams.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zero [1122-IP-10]; [`Error::Closed`], here and below.
    pub fn set_ttl(&mut self, ttl: u8) -> Result<(), Error> {
        if ttl == 0 {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.ttl = ttl)
    }

    /// Sets the type of service: DSCP and ECN [RFC 2474].
    pub fn set_tos(&mut self, tos: u8) -> Result<(), Error> {
        self.change(|pcb| pcb.tos = tos)
    }

    /// Permits sending to broadcast addresses. lwIP: `SOF_BROADCAST`.
    pub fn set_broadcast(&mut self, permitted: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.broadcast = permitted)
    }

    /// Shares its port with others that do so too; unicast datagrams go to the one bound last. lwIP:
    /// `SOF_REUSEADDR`.
    pub fn set_reuse_address(&mut self, reuse: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.reuse_address = reuse)
    }

    /// Leaves the checksum out of what UDP sends over IPv4 [RFC 768]; UDP-Lite never does. lwIP: `UDP_FLAGS_NOCHKSUM`.
    pub fn set_no_checksum(&mut self, without: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.no_checksum = without)
    }

    /// Sets the time-to-live of datagrams to groups: 1, the link, unless set [RFC 1112 §6.1].
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zero, as nothing leaves then.
    pub fn set_multicast_ttl(&mut self, ttl: u8) -> Result<(), Error> {
        if ttl == 0 {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.multicast_ttl = ttl)
    }

    /// Chooses the interface by which datagrams to groups leave.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when it is gone.
    pub fn set_multicast_netif(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        let netif = self.stack.engine.netif_if_there(netif)?;
        self.change(|pcb| pcb.multicast_netif = netif)
    }

    /// Delivers what it sends to a group to this host's own members, too. lwIP: `UDP_FLAGS_MULTICAST_LOOP`.
    pub fn set_multicast_loop(&mut self, on: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.multicast_loop = on)
    }

    /// Sets how many bytes of a UDP-Lite datagram the checksum covers, its header of 8 included; zero: all. lwIP:
    /// `chksum_len_tx`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for 1 to 7 [RFC 3828 §3.1]; [`Error::Argument`] for UDP.
    pub fn set_coverage(&mut self, bytes: u16) -> Result<(), Error> {
        self.check_coverage(bytes)?;
        self.change(|pcb| pcb.coverage.sent = bytes)
    }

    /// Sets the least coverage of UDP-Lite datagrams that are taken; zero: any. lwIP: `chksum_len_rx`.
    ///
    /// # Errors
    ///
    /// As [`Udp::set_coverage`].
    pub fn set_demanded_coverage(&mut self, bytes: u16) -> Result<(), Error> {
        self.check_coverage(bytes)?;
        self.change(|pcb| pcb.coverage.demanded = bytes)
    }

    fn check_coverage(&self, bytes: u16) -> Result<(), Error> {
        match (self.pcb()?.flow.lite, bytes) {
            (false, _) => Err(Error::Argument),
            (true, 1..8) => Err(Error::Value),
            (true, _) => Ok(()),
        }
    }
}
