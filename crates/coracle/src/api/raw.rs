//! Raw control blocks, as the application sees them.

use core::net::IpAddr;

use coracle_buf::Pbuf;

use super::{Handler, Stack};
use crate::address::Address;
use crate::error::{Error, Rejected};
use crate::ip::{PacketInfo, Received};
use crate::netif::NetifHandle;
use crate::raw::{RawPcb, Target};
use crate::table::Key;

/// Names a raw control block. Once that is removed the name finds nothing, never another control block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RawHandle(pub(super) Key);

/// What a sender says of one packet; what is left out is the control block's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawSend {
    /// Where to; else the connected peer.
    pub destination: Option<IpAddr>,
    /// Through which interface.
    pub netif: Option<NetifHandle>,
    /// From which address of ours.
    pub source: Option<IpAddr>,
}

impl<H: Handler> Stack<H> {
    /// A new raw control block for a protocol number. It takes such packets at once. lwIP: `raw_new`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when there are as many as the limits allow; the handler is dropped then.
    pub fn raw_new(&mut self, protocol: u8, handler: H) -> Result<RawHandle, Error> {
        let key = self.engine.raw_new(protocol)?;
        self.raw_handlers[key.index as usize] = Some(handler);
        Ok(RawHandle(key))
    }

    /// A raw control block, to use and to change.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it was removed.
    pub fn raw(&mut self, raw: RawHandle) -> Result<Raw<'_, H>, Error> {
        if self.engine.raw.slots.get(raw.0).is_none() {
            return Err(Error::Closed);
        }
        Ok(Raw::new(self, raw))
    }

    /// Removes a raw control block, and returns its handler unless it is running. lwIP: `raw_remove`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it was removed already.
    pub fn raw_remove(&mut self, raw: RawHandle) -> Result<Option<H>, Error> {
        if self.engine.raw.slots.get(raw.0).is_none() {
            return Err(Error::Closed);
        }
        self.engine.raw_remove(raw.0);
        Ok(self.raw_handlers[raw.0.index as usize].take())
    }
}

/// A raw control block of a stack. All its calls are [`Error::Closed`] once it is removed.
pub struct Raw<'a, H> {
    pub(super) stack: &'a mut Stack<H>,
    pub(super) handle: RawHandle,
}

#[allow(clippy::missing_errors_doc, reason = "said once, above: what is gone is `Error::Closed`")]
impl<'a, H> Raw<'a, H> {
    pub(super) fn new(stack: &'a mut Stack<H>, handle: RawHandle) -> Self {
        Self { stack, handle }
    }

    /// The stack.
    pub fn stack(&mut self) -> &mut Stack<H> {
        self.stack
    }

    /// Its name for all other calls.
    pub fn handle(&self) -> RawHandle {
        self.handle
    }

    /// Its handler, unless that is running.
    pub fn handler(&mut self) -> Option<&mut H> {
        self.stack.engine.raw.slots.get(self.handle.0)?;
        self.stack.raw_handlers.get_mut(self.handle.0.index as usize)?.as_mut()
    }

    /// The packet that is being delivered. lwIP: `ip_current_*`.
    pub fn packet(&self) -> Option<PacketInfo> {
        self.stack.engine.current.as_ref().map(Received::info)
    }

    fn address(&self, address: IpAddr) -> Result<Address, Error> {
        let netif = self.stack.engine.raw.slots.get(self.handle.0).and_then(|pcb| pcb.netif);
        Address::from_ip(address, self.stack.engine.zone(netif))
    }

    fn change(&mut self, change: impl FnOnce(&mut RawPcb)) -> Result<(), Error> {
        self.stack.engine.raw.slots.get_mut(self.handle.0).map(change).ok_or(Error::Closed)
    }

    /// Takes packets to one address of ours only; 0.0.0.0: to any. lwIP: `raw_bind`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an address that is not ours.
    pub fn bind(&mut self, local: IpAddr) -> Result<(), Error> {
        let local = self.address(local)?;
        let known =
            local.is_unspecified() || local.is_multicast() || self.stack.engine.owner_of(local).is_some();
        if !known {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.local = local)
    }

    /// Takes and sends only through an interface, or any again. lwIP: `raw_bind_netif`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface is gone.
    pub fn bind_netif(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        let netif = self.stack.engine.netif_if_there(netif)?;
        self.change(|pcb| pcb.netif = netif)
    }

    /// Sends to this peer by default, and takes packets from it only. lwIP: `raw_connect`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for the any-address.
    pub fn connect(&mut self, remote: IpAddr) -> Result<(), Error> {
        let remote = self.address(remote)?;
        if remote.is_unspecified() {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.remote = Some(remote))
    }

    /// Takes packets from everybody again. lwIP: `raw_disconnect`.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`].
    pub fn disconnect(&mut self) -> Result<(), Error> {
        if self.remote().is_none() {
            return Err(Error::NotConnected);
        }
        self.change(|pcb| pcb.remote = None)
    }

    /// Sends to the connected peer. lwIP: `raw_send`.
    ///
    /// # Errors
    ///
    /// The packet comes back with [`Error::NotConnected`]; [`Error::Value`] for one longer than the interface's MTU,
    /// a malformed header of its own, a broadcast address without permission, or a checksum that lies outside of
    /// it; [`Error::Route`] for no route, or a source that is not ours; [`Error::WouldBlock`] when the device's queue
    /// is full, or too many packets wait for neighbours; [`Error::Memory`]; [`Error::Closed`].
    pub fn send(&mut self, data: Pbuf) -> Result<(), Rejected> {
        self.stack.engine.raw_send(self.handle.0, &Target::default(), data)
    }

    /// Sends to a peer. lwIP: `raw_sendto`.
    ///
    /// # Errors
    ///
    /// As [`Raw::send`].
    pub fn send_to(&mut self, data: Pbuf, destination: IpAddr) -> Result<(), Rejected> {
        self.send_with(data, &RawSend { destination: Some(destination), ..RawSend::default() })
    }

    /// Sends, and says more of how. lwIP: `raw_sendto_if_src`.
    ///
    /// # Errors
    ///
    /// As [`Raw::send`]; [`Error::Interface`] when the interface is gone.
    pub fn send_with(&mut self, data: Pbuf, send: &RawSend) -> Result<(), Rejected> {
        match self.target(send) {
            Ok(target) => self.stack.engine.raw_send(self.handle.0, &target, data),
            Err(error) => Err(Rejected::new(error, data)),
        }
    }

    fn target(&self, send: &RawSend) -> Result<Target, Error> {
        let netif = self.stack.engine.netif_if_there(send.netif)?;
        let address = |address| match netif {
            Some(netif) => Address::from_ip(address, Some(netif.slot())),
            None => self.address(address),
        };
        let destination = send.destination.map(address).transpose()?;
        Ok(Target { destination, netif, source: send.source.map(address).transpose()? })
    }

    /// The address that it is bound to; 0.0.0.0: any.
    pub fn local(&self) -> Result<IpAddr, Error> {
        self.stack.engine.raw.slots.get(self.handle.0).map(|pcb| pcb.local.to_ip()).ok_or(Error::Closed)
    }

    /// The connected peer.
    pub fn remote(&self) -> Option<IpAddr> {
        self.stack.engine.raw.slots.get(self.handle.0)?.remote.map(Address::to_ip)
    }

    /// Sets the time-to-live of unicast packets.
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

    /// Sets the type of service: DSCP and ECN.
    pub fn set_tos(&mut self, tos: u8) -> Result<(), Error> {
        self.change(|pcb| pcb.tos = tos)
    }

    /// Permits sending to broadcast addresses.
    pub fn set_broadcast(&mut self, permitted: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.broadcast = permitted)
    }

    /// What is sent begins with an IP header of its own: its checksum is put right, all else is sent as it is. The
    /// source must be an address of ours. lwIP: `RAW_FLAGS_HDRINCL`.
    pub fn set_header_included(&mut self, included: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.header_included = included)
    }

    /// Puts the Internet checksum over the data into it, at this offset in bytes; none: the application does. lwIP:
    /// `chksum_offset`.
    pub fn set_checksum_offset(&mut self, offset: Option<u16>) -> Result<(), Error> {
        self.change(|pcb| pcb.checksum_offset = offset)
    }

    /// Sets the time-to-live of packets to groups: 1 unless set.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for zero.
    pub fn set_multicast_ttl(&mut self, ttl: u8) -> Result<(), Error> {
        if ttl == 0 {
            return Err(Error::Value);
        }
        self.change(|pcb| pcb.multicast_ttl = ttl)
    }

    /// Chooses the interface by which packets to groups leave.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when it is gone.
    pub fn set_multicast_netif(&mut self, netif: Option<NetifHandle>) -> Result<(), Error> {
        let netif = self.stack.engine.netif_if_there(netif)?;
        self.change(|pcb| pcb.multicast_netif = netif)
    }

    /// Delivers what it sends to a group to this host's own members, too. lwIP: `RAW_FLAGS_MULTICAST_LOOP`.
    pub fn set_multicast_loop(&mut self, on: bool) -> Result<(), Error> {
        self.change(|pcb| pcb.multicast_loop = on)
    }
}
