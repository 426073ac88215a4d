//! Interfaces that come to their IPv4 address by themselves, and the DHCP server.

#[cfg(feature = "dhcp-server")]
use core::net::Ipv4Addr;

#[cfg(feature = "dhcp-server")]
use coracle_wire::MacAddr;
use coracle_wire::dhcpv4::DhcpMessage;

use super::{Handler, Netif};
use crate::autoconf::Place;
use crate::dhcp::{DhcpConfig, DhcpLease, DhcpState};
use crate::error::Error;
use crate::netif::Ipv4Settings;

#[allow(clippy::missing_errors_doc, reason = "each is Error::Closed once the interface is gone")]
/// Addresses that come by themselves. What becomes of them is told to listeners of the interface
/// ([`Stack::netif_listen`](super::Stack::netif_listen)).
impl<H: Handler> Netif<'_, H> {
    /// Starts the DHCP client, or starts it anew. It goes on for itself from here: it finds servers, extends its lease,
    /// asks again after the link was gone, and gives the interface a link-local address while there is no server.
    /// lwIP: `dhcp_start`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] without Ethernet.
    ///
    /// ```
    /// # use coracle::*;
    /// # fn example(stack: &mut Stack<()>, netif: NetifHandle) -> Result<(), Error> {
    /// stack.netif(netif)?.set_up(true)?;
    /// stack.netif(netif)?.dhcp_start(&DhcpConfig::new())?;
    /// // A while later:
    /// if let Some(lease) = stack.netif(netif)?.dhcp_lease() {
    ///     let (address, server) = (lease.ipv4.address, lease.server);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn dhcp_start(&mut self, config: &DhcpConfig) -> Result<(), Error> {
        let (slot, station) = self.stack.engine.autoconf_begin(self.handle)?;
        self.stack.engine.autoconf_run(slot, |machines, port| machines.dhcp_start(port, station, config));
        self.stack.settle();
        Ok(())
    }

    /// Asks DHCP servers for the settings that go with an address set by hand. lwIP: `dhcp_inform`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] without Ethernet; [`Error::Value`] without an address.
    pub fn dhcp_inform(&mut self, config: &DhcpConfig) -> Result<(), Error> {
        if !self.interface()?.has_address() {
            return Err(Error::Value);
        }
        let (slot, station) = self.stack.engine.autoconf_begin(self.handle)?;
        self.stack.engine.autoconf_run(slot, |machines, port| machines.dhcp_inform(port, station, config));
        self.stack.settle();
        Ok(())
    }

    /// Asks the server to extend the lease now. Nothing happens while the client is off. lwIP: `dhcp_renew`.
    pub fn dhcp_renew(&mut self) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.autoconf_run(slot, |machines, port| machines.dhcp_renew(port));
        self.stack.settle();
        Ok(())
    }

    /// Gives the lease back and stops the client. The address is gone at once. lwIP: `dhcp_release_and_stop`.
    pub fn dhcp_release(&mut self) -> Result<(), Error> {
        self.dhcp_end(true)
    }

    /// Stops the client without telling the server; started again, it asks for the same address first.
    pub fn dhcp_stop(&mut self) -> Result<(), Error> {
        self.dhcp_end(false)
    }

    fn dhcp_end(&mut self, release: bool) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.autoconf_run(slot, |machines, port| machines.dhcp_stop(port, release));
        self.stack.settle();
        Ok(())
    }

    fn place(&self) -> Option<&Place> {
        let slot = self.stack.engine.netif_slot(self.handle).ok()?;
        self.stack.engine.autoconf.get(slot)?.as_ref()
    }

    /// What the DHCP client is about.
    pub fn dhcp_state(&self) -> DhcpState {
        self.place().map_or(DhcpState::Off, |place| place.machines.client.state())
    }

    /// The lease whose address the interface has.
    pub fn dhcp_lease(&self) -> Option<DhcpLease> {
        self.place()?.machines.client.lease().copied()
    }

    /// The server's last acknowledgment, with all of its options, as long as the lease lasts, or after
    /// [`dhcp_inform`](Self::dhcp_inform). `None` also when there was no memory to keep it.
    pub fn dhcp_message(&self) -> Option<DhcpMessage<'_>> {
        DhcpMessage::read(self.place()?.settings.as_ref()?.payload()).ok()
    }

    /// Whether the interface's address is a DHCP server's. lwIP: `dhcp_supplied_address`.
    pub fn dhcp_supplied_address(&self) -> bool {
        self.dhcp_lease().is_some()
    }

    /// Gives the interface a link-local address of its own [RFC 3927], as long as it has no lease.
    /// lwIP: `autoip_start`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] without Ethernet.
    pub fn autoip_start(&mut self) -> Result<(), Error> {
        let (slot, station) = self.stack.engine.autoconf_begin(self.handle)?;
        self.stack.engine.autoconf_run(slot, |machines, port| machines.autoip_start(port, station));
        self.stack.settle();
        Ok(())
    }

    /// Takes such an address away, unless the DHCP client wants one meanwhile. lwIP: `autoip_stop`.
    pub fn autoip_stop(&mut self) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.autoconf_run(slot, |machines, port| machines.autoip_stop(port));
        self.stack.settle();
        Ok(())
    }

    /// Whether the interface's address is a link-local one that it gave itself. lwIP: `autoip_supplied_address`.
    pub fn autoip_supplied_address(&self) -> bool {
        self.place().is_some_and(|place| place.machines.has_autoip())
    }

    /// Sets address, netmask and gateway once it is known that nobody else has the address, which takes four to seven
    /// seconds, and watches over it from then on [RFC 5227]. If somebody has it, now or later, listeners hear
    /// [`Reasons::IPV4_CONFLICT`](crate::Reasons::IPV4_CONFLICT), and the interface is without an address.
    /// lwIP: `acd_start`.
    ///
    /// # Errors
    ///
    /// Those of [`set_ipv4`](Self::set_ipv4); [`Error::Interface`] without Ethernet.
    pub fn acd_start(&mut self, settings: Ipv4Settings) -> Result<(), Error> {
        settings.check()?;
        if settings.address.is_unspecified() || settings.address.is_loopback() {
            return Err(Error::Value);
        }
        let (slot, _) = self.stack.engine.autoconf_begin(self.handle)?;
        self.stack.engine.autoconf_run(slot, |machines, port| machines.acd_start(port, settings));
        self.stack.settle();
        Ok(())
    }
}

#[allow(clippy::missing_errors_doc, reason = "each is Error::Closed once the interface is gone")]
/// The DHCP server.
#[cfg(feature = "dhcp-server")]
impl<H: Handler> Netif<'_, H> {
    /// Starts a DHCP server on the interface, or changes what it gives. A stack serves one interface at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a range that is not of hosts on the interface's network, or a time of zero;
    /// [`Error::Interface`] without Ethernet; [`Error::InUse`] when another interface is served;
    /// [`Error::Memory`] when the limits allow no clients.
    pub fn dhcp_server_start(&mut self, config: &crate::DhcpServerConfig) -> Result<(), Error> {
        self.stack.engine.dhcp_server_start(self.handle, config)
    }

    /// Stops the server. Who has which address is remembered until the stack ends.
    pub fn dhcp_server_stop(&mut self) -> Result<(), Error> {
        let slot = self.stack.engine.netif_slot(self.handle)?;
        self.stack.engine.dhcp_server_stop(slot);
        Ok(())
    }

    /// Keeps an address for a station, in the server's range or not.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when a client has the address; [`Error::Memory`] when every entry is in use.
    pub fn dhcp_server_reserve(&mut self, station: MacAddr, address: Ipv4Addr) -> Result<(), Error> {
        self.stack.engine.dhcp_server_reserve(station, address)
    }
}
