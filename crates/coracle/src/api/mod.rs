//! The raw API: a thin generic layer that turns what the engine reports into callbacks.

mod handler;
mod netif;
mod raw;
mod stack;
mod tcp;
mod tcp_calls;
mod tcp_listener;
mod timeout;
mod udp;

#[cfg(feature = "alloc")]
pub use handler::Boxed;
pub use handler::Handler;
pub use netif::{ListenerHandle, Netif};
pub use raw::{Raw, RawHandle, RawSend};
pub use stack::Stack;
pub use tcp::{Admission, Refused, Tcp, TcpHandle};
pub use tcp_listener::{TcpListener, TcpListenerHandle};
pub use timeout::{Timeout, TimeoutHandle};
pub use udp::{Udp, UdpHandle, UdpSend};

use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::error::Error;

/// [`Error::Value`] for an address of a family that the stack does not speak.
#[inline]
fn ipv4(address: IpAddr) -> Result<Ipv4Addr, Error> {
    match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Error::Value),
    }
}

#[inline]
fn endpoint_v4(endpoint: SocketAddr) -> Result<SocketAddrV4, Error> {
    match endpoint {
        SocketAddr::V4(endpoint) => Ok(endpoint),
        SocketAddr::V6(_) => Err(Error::Value),
    }
}
