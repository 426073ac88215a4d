//! The server in the engine: one for a stack, on one of its interfaces.

use core::net::Ipv4Addr;

use coracle_buf::{Arena, Error, Table};
use coracle_wire::MacAddr;
use coracle_wire::arp::ArpPacket;
use coracle_wire::dhcpv4::{DhcpMessage, SERVER_PORT};

use super::{Binding, DhcpServerConfig, Server, ServerPort, bindings, station_key};
use crate::engine::Engine;
use crate::netif::{Ipv4Settings, NetifHandle};
use crate::time::Instant;

/// The server, if there is one, and its clients.
pub(crate) struct ServerPlace {
    running: Option<(usize, Server)>,
    bindings: Table<Binding>,
}

impl ServerPlace {
    pub(crate) fn new(arena: &mut Arena, clients: usize) -> Result<Self, Error> {
        Ok(Self { running: None, bindings: arena.table(clients, |_| Binding::FREE)? })
    }

    /// Whether it serves an interface.
    pub(crate) fn is_on(&self, netif: usize) -> bool {
        self.running.is_some_and(|(served, _)| served == netif)
    }
}

/// The interface of the server.
struct EnginePort<'a> {
    engine: &'a mut Engine,
    netif: usize,
}

impl ServerPort for EnginePort<'_> {
    fn now(&self) -> Instant {
        self.engine.now
    }

    fn settings(&self) -> Ipv4Settings {
        self.engine.netifs.at(self.netif).map_or(Ipv4Settings::NONE, |interface| interface.ipv4)
    }

    fn send(&mut self, destination: Ipv4Addr, port: u16, message: &[u8]) {
        let own = self.settings().address;
        self.engine.dhcp_send(self.netif, (own, SERVER_PORT), (destination, port), message);
    }

    fn probe(&mut self, address: Ipv4Addr) {
        self.engine.arp_ask_all(self.netif, address, false);
    }
}

impl Engine {
    /// See `Netif::dhcp_server_start` for the errors.
    pub(crate) fn dhcp_server_start(
        &mut self,
        netif: NetifHandle,
        config: &DhcpServerConfig,
    ) -> Result<(), Error> {
        let slot = self.netif_slot(netif)?;
        let interface = self.netifs.get(netif.0).ok_or(Error::Closed)?;
        interface.mac().ok_or(Error::Interface)?;
        config.check(&interface.ipv4)?;
        if self.dhcp_server.bindings.is_empty() {
            return Err(Error::Memory);
        }
        if self.dhcp_server.running.is_some_and(|(served, _)| served != slot) {
            return Err(Error::InUse);
        }
        self.dhcp_server.running = Some((slot, Server::new(*config)));
        Ok(())
    }

    /// Stops the server of an interface; who has which address is remembered.
    pub(crate) fn dhcp_server_stop(&mut self, netif: usize) {
        if self.dhcp_server.is_on(netif) {
            self.dhcp_server.running = None;
            self.wheel.cancel(self.timers.dhcp_server());
        }
    }

    pub(crate) fn dhcp_server_reserve(&mut self, station: MacAddr, address: Ipv4Addr) -> Result<(), Error> {
        let binding = Binding::reserved(station_key(station), address);
        bindings::reserve(&mut self.dhcp_server.bindings, binding, self.now)
    }

    pub(crate) fn dhcp_server_input(&mut self, netif: usize, message: &DhcpMessage<'_>) {
        self.dhcp_server_run(netif, |server, port, bindings| server.input(port, bindings, message));
    }

    pub(crate) fn dhcp_server_timer(&mut self) {
        if let Some((netif, _)) = self.dhcp_server.running {
            self.dhcp_server_run(netif, |server, port, bindings| server.timer(port, bindings));
        }
    }

    pub(crate) fn dhcp_server_arp(&mut self, netif: usize, packet: &ArpPacket) {
        self.dhcp_server_run(netif, |_, port, bindings| Server::arp(port.now(), bindings, packet));
    }

    fn dhcp_server_run(
        &mut self,
        netif: usize,
        run: impl FnOnce(&Server, &mut dyn ServerPort, &mut [Binding]),
    ) {
        let Some((_, server)) = self.dhcp_server.running.filter(|&(served, _)| served == netif) else {
            return;
        };
        let mut bindings = core::mem::take(&mut self.dhcp_server.bindings);
        run(&server, &mut EnginePort { engine: self, netif }, &mut bindings);
        let deadline = Server::deadline(&bindings);
        self.dhcp_server.bindings = bindings;
        let timer = self.timers.dhcp_server();
        match deadline {
            Some(deadline) => self.wheel.set(timer, deadline),
            None => self.wheel.cancel(timer),
        }
    }
}
