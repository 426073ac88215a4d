//! The raw API: a thin generic layer that turns what the engine reports into callbacks.

#[cfg(feature = "dhcp")]
mod autoconf;
#[cfg(feature = "dns")]
mod dns;
mod handler;
mod inspect;
mod multicast;
mod netif;
#[cfg(feature = "ipv6")]
mod netif_v6;
mod raw;
#[cfg(feature = "sntp")]
mod sntp;
mod stack;
mod tcp;
mod tcp_calls;
mod tcp_listener;
mod timeout;
mod udp;

#[cfg(feature = "dns")]
pub use dns::{DnsQuery, Resolved};
#[cfg(feature = "alloc")]
pub use handler::Boxed;
pub use handler::Handler;
pub use inspect::{AddressView, Inspect, NetifView, TcpView, UdpView};
pub use netif::{ListenerHandle, Netif};
#[cfg(feature = "ipv6")]
pub use netif_v6::{Ipv6Address, Ipv6Advertised};
pub use raw::{Raw, RawHandle, RawSend};
#[cfg(feature = "sntp")]
pub use sntp::SntpServer;
pub use stack::Stack;
pub use tcp::{Admission, Refused, Tcp, TcpHandle};
pub use tcp_listener::{TcpListener, TcpListenerHandle};
pub use timeout::{Timeout, TimeoutHandle};
pub use udp::{Udp, UdpHandle, UdpSend};

/// Where the handler of a control block is.
enum Place<H> {
    /// There is no control block.
    Empty,
    Here(H),
    /// It is being called.
    Away,
}

impl<H> Place<H> {
    /// Takes the handler out to call it.
    #[inline]
    fn start(&mut self) -> Option<H> {
        match core::mem::replace(self, Self::Away) {
            Self::Here(handler) => Some(handler),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Puts it back after the call, unless the control block was removed meanwhile, whatever is there now.
    #[inline]
    fn finish(&mut self, handler: H) {
        if let Self::Away = self {
            *self = Self::Here(handler);
        }
    }

    /// The control block goes; returns its handler, unless that is running.
    fn clear(&mut self) -> Option<H> {
        match core::mem::replace(self, Self::Empty) {
            Self::Here(handler) => Some(handler),
            Self::Empty | Self::Away => None,
        }
    }

    fn here(&mut self) -> Option<&mut H> {
        match self {
            Self::Here(handler) => Some(handler),
            Self::Empty | Self::Away => None,
        }
    }
}
