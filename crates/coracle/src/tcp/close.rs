//! Connections closed, shut down and aborted [RFC 9293 §3.6].

use coracle_buf::Error;

use super::state::{Flags, TcpState};
use crate::address::Address;
use crate::engine::Engine;
use crate::table::Key;

/// Which direction of a connection is shut down. lwIP: the arguments of `tcp_shutdown`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// No more data is wanted; what comes resets the connection.
    Receive,
    /// No more data will be written; the peer hears so.
    Send,
    /// Both: the connection is closed.
    Both,
}

impl Engine {
    /// Closes both directions; nothing is read any more [RFC 9293 MAY-1]. `Ok(true)`: nothing more will be reported.
    pub(crate) fn tcp_close(&mut self, key: Key) -> Result<bool, Error> {
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        match pcb.state {
            TcpState::Closed | TcpState::SynSent => {
                self.tcp_forget(key.index);
                return Ok(true);
            }
            // Nobody decided to answer the peer yet.
            TcpState::SynReceived if pcb.flags.has(Flags::HELD) => {
                self.tcp_abort(key)?;
                return Ok(true);
            }
            _ => {}
        }
        // [RFC 9293 SHLD-3] [RFC 2525 §2.17] What nobody reads any more was not delivered, and the peer must know.
        let unread = pcb.unread > 0 || pcb.inbox.is_some();
        if unread && pcb.state != TcpState::TimeWait {
            self.tcp_abort(key)?;
            return Ok(true);
        }
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        // Where the peer is gone already, it is all the same to it.
        pcb.inbox = None;
        pcb.flags.clear(Flags::REFUSED.union(Flags::TELL_FIN));
        pcb.flags.set(Flags::CLOSED.union(Flags::NO_MORE_DATA));
        if pcb.state == TcpState::FinWait2
            && let Some(mut conn) = self.tcp_conn(key.index)
        {
            conn.start_fin_wait_2();
            self.tcp_rearm(key.index);
        }
        self.tcp_finish(key);
        Ok(false)
    }

    /// Shuts directions down; see `Tcp::shutdown`.
    pub(crate) fn tcp_shutdown(&mut self, key: Key, which: Shutdown) -> Result<(), Error> {
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        if !pcb.state.is_synchronized() && pcb.state != TcpState::SynReceived {
            return Err(Error::NotConnected);
        }
        if which == Shutdown::Receive {
            pcb.flags.set(Flags::NO_MORE_DATA);
            pcb.flags.clear(Flags::REFUSED.union(Flags::TELL_FIN));
            if let Some(inbox) = pcb.inbox.take() {
                pcb.unread = pcb.unread.saturating_sub(inbox.len() as u32);
            }
            return Ok(());
        }
        let may_send =
            matches!(pcb.state, TcpState::SynReceived | TcpState::Established | TcpState::CloseWait);
        if !may_send {
            return Err(Error::NotConnected);
        }
        self.tcp_finish(key);
        Ok(())
    }

    /// Our FIN follows what was written.
    fn tcp_finish(&mut self, key: Key) {
        let Some(pcb) = self.tcp.get_mut(key) else { return };
        match pcb.state {
            TcpState::Established => pcb.state = TcpState::FinWait1,
            TcpState::CloseWait => pcb.state = TcpState::LastAck,
            // [RFC 9293 §3.10.4] Once the connection stands.
            TcpState::SynReceived => {}
            _ => return,
        }
        pcb.flags.set(Flags::FIN_QUEUED);
        pcb.flags.clear(Flags::MORE);
        self.tcp_output(key.index);
    }

    /// Ends a connection at once; the peer is told by RST, its application here is not told.
    pub(crate) fn tcp_abort(&mut self, key: Key) -> Result<(), Error> {
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        if pcb.state != TcpState::TimeWait {
            self.tcp_reset_peer(key.index);
        }
        self.tcp_forget(key.index);
        Ok(())
    }

    /// The application is done with received data.
    pub(crate) fn tcp_recved(&mut self, key: Key, len: usize) -> Result<(), Error> {
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        let waiting = pcb.inbox.as_ref().map_or(0, |inbox| inbox.len() as u32);
        let len = u32::try_from(len).map_err(|_| Error::Argument)?;
        // What it has not been given yet it cannot be done with.
        if len > pcb.unread.saturating_sub(waiting) {
            return Err(Error::Argument);
        }
        if pcb.reopen(len) && pcb.state.may_receive() {
            pcb.flags.set(Flags::ACK_NOW);
            self.tcp.output.add(key.index);
        }
        Ok(())
    }

    /// An address is no longer ours: connections from it are over. lwIP: `tcp_netif_ip_addr_changed`.
    pub(crate) fn tcp_address_gone(&mut self, address: Address) {
        if address.is_unspecified() {
            return;
        }
        for position in 0..self.tcp.slots.capacity() {
            let Some(pcb) = self.tcp.slots.at(position) else { continue };
            let (from_it, connected) = (pcb.flow.local.address == address, pcb.flags.has(Flags::INDEXED));
            if from_it && connected {
                self.tcp_end(position as u32, Some(Error::Aborted));
            }
        }
    }

    /// What listens at an address that was replaced listens at the new one.
    pub(crate) fn tcp_listeners_rebind(&mut self, from: Address, to: Address) {
        for position in 0..self.tcp.listeners.capacity() {
            self.tcp.rebind_listener(&self.hash_key, position as u32, from, to);
        }
    }
}
