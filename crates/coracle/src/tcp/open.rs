//! Connections that we open: control blocks made, bound, connected [RFC 9293 §3.10.1].

use coracle_buf::Error;

use super::pcb::{PRIORITY_NORMAL, TcpPcb};
use super::sequence::Seq;
use super::state::{Flags, TcpState};
use super::{Flow, TcpTable};
use crate::address::{Address, Endpoint};
use crate::counters::count;
use crate::engine::Engine;
use crate::random::HashKey;
use crate::table::Key;

const NOWHERE: Endpoint = Endpoint::NONE;

impl Engine {
    /// A control block that is not connected.
    pub(crate) fn tcp_new(&mut self, heard: bool) -> Result<Key, Error> {
        if !self.tcp_make_room(PRIORITY_NORMAL) {
            return Err(Error::Memory);
        }
        let mut pcb = TcpPcb::new(&self.config, Flow { local: NOWHERE, remote: NOWHERE }, PRIORITY_NORMAL);
        pcb.flags.put(Flags::HEARD, heard);
        let key = self.tcp.insert(pcb)?;
        self.tcp.least_priority = self.tcp.least_priority.min(PRIORITY_NORMAL);
        Ok(key)
    }

    /// Chooses the local address and port [MUST-43]; port zero takes a free one. See `Tcp::bind` for the errors.
    pub(crate) fn tcp_bind(&mut self, key: Key, local: Endpoint) -> Result<(), Error> {
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        if pcb.state != TcpState::Closed {
            return Err(Error::IsConnected);
        }
        let reuse = pcb.flags.has(Flags::REUSE);
        let address = local.address;
        let any = self.netifs.iter().any(|(_, interface)| interface.accept_any) && address.is_one_host();
        if !(address.is_unspecified() || any || self.owner_of(address).is_some()) {
            return Err(Error::Value);
        }
        let port = match local.port {
            0 => self.tcp_free_port(key, address)?,
            port if self.tcp.port_taken(key, Endpoint::new(address, port), reuse) => {
                return Err(Error::InUse);
            }
            port => port,
        };
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        pcb.flow.local = Endpoint::new(address, port);
        pcb.flags.set(Flags::BOUND);
        Ok(())
    }

    /// A free port for any peer [RFC 6056 §3.3.1].
    fn tcp_free_port(&mut self, key: Key, address: Address) -> Result<u16, Error> {
        let (nobody, range) = ((address, Address::ANY, 0), self.config.ephemeral_ports);
        let free = |port| !self.tcp.port_taken(key, Endpoint::new(address, port), false);
        self.ports.choose(&mut self.random, nobody, range, free).ok_or(Error::Buffer)
    }

    /// Opens a connection; the SYN leaves at once. See `Tcp::connect` for the errors.
    pub(crate) fn tcp_connect(&mut self, key: Key, remote: Endpoint) -> Result<(), Error> {
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        if pcb.state != TcpState::Closed {
            return Err(Error::IsConnected);
        }
        // [RFC 9293 MUST-46]
        if remote.port == 0 || !remote.address.is_one_host() {
            return Err(Error::Value);
        }
        let (mut flow, netif) = (pcb.flow, pcb.netif);
        if !flow.local.address.speaks_to(remote.address) {
            return Err(Error::Value);
        }
        flow.remote = remote;
        let (path_mss, source) = self.tcp_path(remote, netif)?;
        if flow.local.address.is_unspecified() {
            // [RFC 9293 MUST-44, MUST-45] Chosen once.
            flow.local.address = source;
        }
        if flow.local.port == 0 {
            flow.local.port = self.tcp_port_for(&flow)?;
        } else if !self.tcp.is_free(&self.hash_key, &flow) {
            return Err(Error::InUse);
        }
        let isn = self.tcp_isn(&flow);
        let ts_offset = self.tcp.numbers.timestamp_offset(&flow);
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        pcb.flow = flow;
        pcb.path_mss = path_mss;
        pcb.ts_offset = ts_offset;
        pcb.start_at(isn);
        pcb.state = TcpState::SynSent;
        self.tcp.index(&self.hash_key, key.index);
        count!(self.counters.tcp.active_opens);
        let sent = self.tcp_send_syn(key.index);
        if sent.is_err() {
            // As if nothing had been tried.
            self.tcp.unindex(&self.hash_key, key.index);
            if let Some(conn) = self.tcp_conn(key.index) {
                conn.pcb.state = TcpState::Closed;
                conn.pcb.flow.remote = NOWHERE;
                conn.pcb.flags.clear(Flags::REXMIT_TIMER);
                conn.pcb.loss.clear(conn.segments);
            }
        }
        sent
    }

    /// A port from which a peer can be reached [RFC 6056 §3.3.4]: one may serve connections to several peers.
    fn tcp_port_for(&mut self, flow: &Flow) -> Result<u16, Error> {
        let ends = (flow.local.address, flow.remote.address, flow.remote.port);
        let free = |port| {
            let flow = Flow { local: Endpoint::new(flow.local.address, port), ..*flow };
            let listened = self.tcp.listeners.iter().any(|(_, listener)| listener.local.port == port);
            !listened && self.tcp.is_free(&self.hash_key, &flow)
        };
        let range = self.config.ephemeral_ports;
        self.ports.choose(&mut self.random, ends, range, free).ok_or(Error::InUse)
    }

    /// The initial sequence number of a connection [RFC 9293 MUST-8, SHLD-1].
    pub(super) fn tcp_isn(&self, flow: &Flow) -> Seq {
        self.tcp.numbers.sequence(flow, self.now)
    }
}

impl TcpTable {
    /// Whether a local address and port are another's: a listener's, a connection's, or in TIME-WAIT. Who binds looks
    /// through all of them; it happens once in a server's life.
    fn port_taken(&self, own: Key, local: Endpoint, reuse: bool) -> bool {
        let overlaps = |other: Endpoint| other.port == local.port && other.address.overlaps(local.address);
        let shared = |flags: Flags| reuse && flags.has(Flags::REUSE);
        self.listeners.iter().any(|(_, door)| overlaps(door.local) && !shared(door.flags))
            || self.slots.iter().any(|(key, pcb)| {
                key != own && pcb.flow.local.port != 0 && overlaps(pcb.flow.local) && !shared(pcb.flags)
            })
            || (!reuse && self.time_waits.iter().any(|waiting| overlaps(waiting.flow.local)))
    }

    /// Whether no connection has both ends, not even one that is over but for old segments.
    fn is_free(&self, key: &HashKey, flow: &Flow) -> bool {
        self.find(key, flow).is_none() && self.time_waits.find(key, flow).is_none()
    }
}
