//! The client for the time of day, as the application sees it.

use core::net::{IpAddr, SocketAddr};

use super::{Handler, Stack};
use crate::address::Endpoint;
use crate::error::Error;
use crate::sntp::{SntpCounters, SntpTime};

/// A server of the time of day, and how well it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SntpServer {
    /// Where it is.
    pub address: IpAddr,
    /// A bit for each of the last eight questions, the last one lowest: whether it was answered. lwIP:
    /// `sntp_getreachability`.
    pub reachability: u8,
    /// It said that it must not be asked any more [RFC 4330 §8]. lwIP: `sntp_getkodreceived`.
    pub denied: bool,
}

impl<H: Handler> Stack<H> {
    /// Begins to ask the servers for the time of day, again and again; [`Handler::time`] is told the answers. lwIP:
    /// `sntp_init`.
    ///
    /// ```
    /// use coracle::{Handler, SntpTime, Stack};
    ///
    /// struct Clock;
    /// impl Handler for Clock {
    ///     fn time(&mut self, stack: &mut Stack<Self>, time: SntpTime) {
    ///         // The real-time clock of the device is set to `time.unix` here.
    ///         assert!(time.round_trip < time.unix);
    ///     }
    /// }
    /// # fn example(stack: &mut Stack<Clock>) -> Result<(), coracle::Error> {
    /// stack.sntp_set_server(0, Some("192.0.2.123:123".parse().unwrap()))?;
    /// stack.sntp_start(Clock);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Returns the handler of an earlier call.
    pub fn sntp_start(&mut self, handler: H) -> Option<H> {
        let before = self.sntp_handler.replace(handler);
        self.engine.sntp_start();
        before
    }

    /// Ends asking, and returns the handler, unless that is running. lwIP: `sntp_stop`.
    pub fn sntp_stop(&mut self) -> Option<H> {
        self.engine.sntp_stop();
        self.sntp_handler.take()
    }

    /// Whether the servers are asked. lwIP: `sntp_enabled`.
    pub fn sntp_enabled(&self) -> bool {
        self.engine.services.sntp.client.is_on()
    }

    /// Sets the server at a place, or removes it; a link-local address needs its interface as scope. The port is always
    /// 123, and what is said of it has no meaning. lwIP: `sntp_setserver`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when there are not so many places; [`Error::Value`] for an address that no server can have.
    pub fn sntp_set_server(&mut self, place: usize, server: Option<SocketAddr>) -> Result<(), Error> {
        let address = match server {
            None => None,
            Some(server) => {
                let zone = self.engine.zone(None);
                let endpoint = Endpoint::from_socket(server, zone)?;
                if !endpoint.address.is_one_host() {
                    return Err(Error::Value);
                }
                let scope = if let SocketAddr::V6(v6) = endpoint.to_socket() { v6.scope_id() } else { 0 };
                Some((server.ip(), scope))
            }
        };
        self.engine.sntp_set_server(place, address)
    }

    /// The server at a place. lwIP: `sntp_getserver`.
    pub fn sntp_server(&self, place: usize) -> Option<SntpServer> {
        self.engine.services.sntp.client.server(place).map(|server| SntpServer {
            address: server.address,
            reachability: server.reachability,
            denied: server.kissed,
        })
    }

    /// What happened so far, counted.
    pub fn sntp_counters(&self) -> SntpCounters {
        self.engine.services.sntp.client.counters
    }

    pub(super) fn call_time(&mut self, time: SntpTime) {
        let Some(mut handler) = self.sntp_handler.take() else { return };
        handler.time(self, time);
        // It may have been stopped, or given another handler.
        if self.sntp_enabled() && self.sntp_handler.is_none() {
            self.sntp_handler = Some(handler);
        }
    }
}
