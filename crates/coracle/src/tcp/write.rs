//! Data from the application: taken whole or not at all, and kept until it is acknowledged.

use coracle_buf::{Error, Kind, Layer, Pbuf, PbufQueue};

use super::pcb::TcpPcb;
use super::state::Flags;
use crate::counters::count;
use crate::engine::Engine;
use crate::error::Rejected;
use crate::table::Key;

/// How data is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Sent as soon as may be.
    Push,
    /// More is to follow soon. lwIP: `TCP_WRITE_FLAG_MORE`.
    More,
    /// Urgent [RFC 9293 MUST-30].
    Urgent,
}

impl Engine {
    /// Takes a packet to send; nothing is copied, unless its bytes may change behind our back.
    pub(crate) fn tcp_write(&mut self, key: Key, data: Pbuf, how: How) -> Result<(), Rejected> {
        let len = data.len();
        if let Err(error) = self.tcp_may_write(key, len, 1) {
            return Err(Rejected::new(error, data));
        }
        let data = match data.into_owned() {
            Ok(data) => data,
            Err((error, data)) => return Err(Rejected::new(error, data)),
        };
        let Some(pcb) = self.tcp.get_mut(key) else { return Err(Rejected::new(Error::Closed, data)) };
        if len > 0
            && let Err((error, data)) = pcb.unsent.push_back(data)
        {
            return Err(Rejected::new(error, data));
        }
        pcb.wrote(len, how);
        self.tcp.output.add(key.index);
        Ok(())
    }

    /// Copies bytes to send; all of them or none.
    pub(crate) fn tcp_write_bytes(&mut self, key: Key, bytes: &[u8], how: How) -> Result<(), Error> {
        self.tcp_may_write(key, bytes.len(), 0)?;
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        // What fits behind the last packet goes there: many small writes make few packets.
        if pcb.unsent.extend_back(bytes).is_err() {
            let buffer = self.tcp_copy_size(key);
            self.tcp_may_write(key, bytes.len(), bytes.len().div_ceil(buffer))?;
            let mut copies = PbufQueue::new();
            for piece in bytes.chunks(buffer) {
                let mut copy = self.tcp_copy(piece.len())?;
                copy.take(piece)?;
                copies.push_back(copy).map_err(|(error, _)| error)?;
            }
            self.tcp.get_mut(key).ok_or(Error::Closed)?.unsent.append(&mut copies);
        }
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        pcb.wrote(bytes.len(), how);
        self.tcp.output.add(key.index);
        Ok(())
    }

    /// Copies as many bytes as there is room and memory for.
    pub(crate) fn tcp_write_some(&mut self, key: Key, bytes: &[u8], how: How) -> Result<usize, Error> {
        self.tcp_may_write(key, 0, 0)?;
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        let room = pcb.send_room() as usize;
        let queue = usize::from(self.config.tcp.send_queue).saturating_sub(pcb.unsent.len());
        let buffer = self.tcp_copy_size(key);
        let most = bytes.len().min(room).min(queue.saturating_mul(buffer));
        let mut written = 0;
        for piece in bytes[..most].chunks(buffer) {
            let last = written + piece.len() == bytes.len();
            match self.tcp_write_bytes(key, piece, if last { how } else { How::More }) {
                Ok(()) => written += piece.len(),
                Err(_) if written > 0 => break,
                Err(Error::Memory) => return Err(Error::WouldBlock),
                Err(error) => return Err(error),
            }
        }
        if written == 0 && !bytes.is_empty() { Err(Error::WouldBlock) } else { Ok(written) }
    }

    /// A buffer for a copy. It waits for an acknowledgment, which must find a buffer to come in by: so the last buffers
    /// of the pool are not for copies.
    fn tcp_copy(&self, len: usize) -> Result<Pbuf, Error> {
        if self.memory.pool_is_scarce() {
            let copy = self.memory.alloc(Layer::Raw, len, Kind::Ram)?;
            if self.memory.can_send() { Ok(copy) } else { Err(Error::Memory) }
        } else {
            self.memory.alloc(Layer::Raw, len, Kind::Pool)
        }
    }

    /// The bytes of a buffer for copies: a segment's, if the pool's buffers are as large.
    fn tcp_copy_size(&self, key: Key) -> usize {
        let mss = self.tcp.get(key).map_or(usize::MAX, |pcb| usize::from(pcb.mss));
        self.memory.pool_buffer_size().saturating_sub(Layer::Raw.header_room()).min(mss).max(1)
    }

    /// Whether so many bytes in so many packets may be written now.
    fn tcp_may_write(&mut self, key: Key, len: usize, packets: usize) -> Result<(), Error> {
        let queue = usize::from(self.config.tcp.send_queue);
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        if !pcb.state.may_write() || pcb.flags.has(Flags::FIN_QUEUED) {
            return Err(Error::NotConnected);
        }
        // What takes the last means of sending would never leave.
        let stuck = packets > 0 && !self.memory.can_send();
        if len > pcb.send_room() as usize || pcb.unsent.len() + packets > queue || stuck {
            count!(self.counters.tcp.write_refused);
            return Err(Error::Memory);
        }
        Ok(())
    }
}

impl TcpPcb {
    fn wrote(&mut self, len: usize, how: How) {
        self.queued += len as u32;
        self.flags.put(Flags::MORE, how == How::More);
        if how == How::Urgent {
            self.urgent_sent = self.nxt + self.unsent.bytes() as u32;
        }
    }
}
