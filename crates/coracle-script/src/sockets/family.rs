//! What a socket's family makes of addresses: the stack has one kind of control block for both, Linux has two kinds of
//! socket, one of which shows addresses of IPv4 as mapped ones [RFC 3493 §3.7].

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::Errno;

/// The family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`: of both unless it is to be of IPv6 alone, `IPV6_V6ONLY`.
    V6 { only: bool },
}

impl Family {
    /// An address that the application names, as the stack has it.
    pub(super) fn inward(self, address: SocketAddr) -> Result<SocketAddr, Errno> {
        let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
        match (self, address, plain) {
            (Self::V4, SocketAddr::V6(_), _) => Err(Errno::EAFNOSUPPORT),
            (Self::V6 { only: true }, _, SocketAddr::V4(_)) => Err(Errno::ENETUNREACH),
            (Self::V6 { .. }, _, SocketAddr::V4(_)) => Ok(plain),
            // As it is, since its zone counts.
            (Self::V4, SocketAddr::V4(_), _) | (Self::V6 { .. }, _, SocketAddr::V6(_)) => Ok(address),
        }
    }

    /// An address of the stack's, as the application sees it.
    pub(super) fn outward(self, address: SocketAddr) -> SocketAddr {
        match (self, address) {
            (Self::V4, SocketAddr::V6(address)) => {
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())
            }
            (Self::V6 { only }, SocketAddr::V4(address)) => {
                let nowhere = address.ip().is_unspecified() && !only;
                let mapped = if nowhere { Ipv6Addr::UNSPECIFIED } else { address.ip().to_ipv6_mapped() };
                SocketAddr::new(mapped.into(), address.port())
            }
            _ => address,
        }
    }

    /// The address that stands for all.
    pub(super) fn any(self) -> SocketAddr {
        match self {
            Self::V4 => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            Self::V6 { .. } => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        }
    }
}

/// An address that is known to be one of IPv6.
pub(super) fn only_v6(address: SocketAddr) -> Result<SocketAddrV6, Errno> {
    match address {
        SocketAddr::V6(address) => Ok(address),
        SocketAddr::V4(_) => Err(Errno::EINVAL),
    }
}
