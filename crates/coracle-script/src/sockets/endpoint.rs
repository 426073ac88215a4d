//! What the stack's callbacks leave for the system calls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle::{Handler, IcmpError, Pbuf, Udp};

use super::Errno;

/// The handler of every control block: its descriptor's mailbox.
#[derive(Clone, Default)]
pub(super) struct Endpoint(Arc<Mutex<Mailbox>>);

/// What came for a descriptor.
#[derive(Default)]
pub(super) struct Mailbox {
    /// Datagrams that were not read yet.
    pub(super) datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Bytes that these may hold.
    pub(super) room: usize,
    /// An error that the next call reports, `SO_ERROR`.
    pub(super) error: Option<Errno>,
    /// The peer of a datagram socket; only a connected one hears of ICMP errors.
    pub(super) peer: Option<SocketAddr>,
}

impl Endpoint {
    pub(super) fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        // Nothing that holds the lock can leave the mailbox half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn bytes_of(data: &Pbuf) -> Vec<u8> {
    data.segments().collect::<Vec<_>>().concat()
}

impl Handler for Endpoint {
    fn datagram(&mut self, _udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let mut mailbox = self.mailbox();
        let held: usize = mailbox.datagrams.iter().map(|(_, bytes)| bytes.len()).sum();
        if held + data.len() <= mailbox.room {
            mailbox.datagrams.push_back((from, bytes_of(&data)));
        }
    }

    fn datagram_error(&mut self, _udp: &mut Udp<'_, Self>, to: SocketAddr, error: IcmpError) {
        let mut mailbox = self.mailbox();
        if mailbox.peer == Some(to) {
            mailbox.error = Some(Errno::of_icmp(error.kind));
        }
    }
}
