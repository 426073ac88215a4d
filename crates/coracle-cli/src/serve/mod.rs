//! What the stack serves: UDP and TCP echo on port 7, a page on port 80, and an SNMP agent on port 161.

mod echo;
pub(crate) mod http;
pub(crate) mod snmp;

use coracle::{Boxed, Error, Stack};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Echo [RFC 862].
const ECHO: u16 = 7;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 64;

/// What was served so far, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// Datagrams sent back.
    pub(crate) datagrams: Count,
    /// Bytes sent back over TCP.
    pub(crate) bytes: Count,
    /// HTTP requests answered, by whatever status.
    pub(crate) requests: Count,
}

/// Counts on the stack's thread, and is read on any.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves all of it, at every address of the stack.
pub(crate) fn all(stack: &mut Stack<Boxed>) -> Result<Arc<Served>, Error> {
    let served = Arc::new(Served::default());
    let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let udp = stack.udp_new(echo::datagrams(&served))?;
    stack.udp(udp)?.bind(at(ECHO))?;
    stack.tcp_listen(at(ECHO), BACKLOG, Boxed::new(echo::Listener(Arc::clone(&served))))?;
    stack.tcp_listen(at(http::PORT), BACKLOG, Boxed::new(http::Listener(Arc::clone(&served))))?;
    Ok(served)
}
