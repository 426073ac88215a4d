//! Internet addresses in indexes [RFC 4001].

use core::net::{IpAddr, SocketAddr};

use crate::oid::Oid;

/// `InetAddressType`.
pub(super) fn kind(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    }
}

/// The bytes of an address.
pub(super) fn bytes(address: &IpAddr, buffer: &mut [u8; 16]) -> usize {
    match address {
        IpAddr::V4(address) => buffer[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => *buffer = address.octets(),
    }
    if address.is_ipv4() { 4 } else { 16 }
}

/// Adds the type and the address.
pub(super) fn push(index: &mut Oid, address: IpAddr) -> bool {
    let mut buffer = [0; 16];
    let len = bytes(&address, &mut buffer);
    index.push(kind(address)).and_then(|()| index.extend_string(&buffer[..len])).is_ok()
}

/// Adds the type, the address and the port.
pub(super) fn push_socket(index: &mut Oid, socket: SocketAddr) -> bool {
    push(index, socket.ip()) && index.push(u32::from(socket.port())).is_ok()
}

/// The unspecified address of the same family.
pub(super) fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

/// Adds both ends.
pub(super) fn push_sockets(index: &mut Oid, local: SocketAddr, remote: SocketAddr) -> bool {
    push_socket(index, local) && push_socket(index, remote)
}
