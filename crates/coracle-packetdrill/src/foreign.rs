//! What C hands over, and what it wants back: errors, buffers, addresses.

use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::{ptr, slice};

use coracle_script::sockets::Errno;
use coracle_script::sockets::constants::{AF_INET, AF_INET6};
use libc::{iovec, sockaddr, socklen_t, ssize_t};

/// The length of a `struct sockaddr_in`.
const ADDRESS_LEN: usize = 16;
/// The same of a `struct sockaddr_in6`.
const ADDRESS_V6_LEN: usize = 28;
/// Linux's `UIO_MAXIOV`.
const MOST_PIECES: usize = 1_024;

/// What a call of C returns: the value, or -1 and `errno`.
pub(crate) fn answer(result: Result<c_int, Errno>) -> c_int {
    result.unwrap_or_else(|error| {
        // SAFETY: the C library gives each thread an `errno` of its own, which is there as long as the thread is.
        unsafe { *libc::__errno_location() = error.number() };
        -1
    })
}

/// The same of calls that return a length.
pub(crate) fn length(result: Result<c_int, Errno>) -> ssize_t {
    answer(result) as ssize_t
}

/// The bytes of a buffer; `EFAULT` for none.
///
/// # Safety
///
/// `buffer` is null or `len` bytes that nobody changes as long as they are looked at.
pub(crate) unsafe fn bytes<'a>(buffer: *const u8, len: usize) -> Result<&'a [u8], Errno> {
    match (buffer.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::EFAULT),
        // SAFETY: the caller's word.
        (false, _) => Ok(unsafe { slice::from_raw_parts(buffer, len) }),
    }
}

/// Copies as much into a buffer as there is room for, and says how much; nothing into none.
///
/// # Safety
///
/// `buffer` is null or `len` bytes that may be written.
pub(crate) unsafe fn fill(buffer: *mut u8, len: usize, data: &[u8]) -> usize {
    if buffer.is_null() {
        return 0;
    }
    let len = len.min(data.len());
    // SAFETY: the caller's word for the buffer; `data` is ours, so the two do not overlap.
    unsafe { ptr::copy_nonoverlapping(data.as_ptr(), buffer, len) };
    len
}

/// The pieces of a buffer; `EINVAL` for too many, or more bytes than a length can say.
///
/// # Safety
///
/// `pieces` is null or `count` descriptions that nobody changes as long as they are looked at.
pub(crate) unsafe fn pieces<'a>(pieces: *const iovec, count: usize) -> Result<&'a [iovec], Errno> {
    if count > MOST_PIECES {
        return Err(Errno::EINVAL);
    }
    let pieces = match (pieces.is_null(), count) {
        (_, 0) => &[],
        (true, _) => return Err(Errno::EFAULT),
        // SAFETY: the caller's word.
        (false, _) => unsafe { slice::from_raw_parts(pieces, count) },
    };
    let total = pieces.iter().try_fold(0_usize, |total, piece| total.checked_add(piece.iov_len));
    if total.is_some_and(|total| isize::try_from(total).is_ok()) { Ok(pieces) } else { Err(Errno::EINVAL) }
}

/// The bytes that the pieces hold together.
pub(crate) fn total(pieces: &[iovec]) -> usize {
    pieces.iter().map(|piece| piece.iov_len).sum()
}

/// Whether a piece has a length and no memory.
pub(crate) fn has_hole(pieces: &[iovec]) -> bool {
    pieces.iter().any(|piece| piece.iov_base.is_null() && piece.iov_len > 0)
}

/// The bytes of all pieces.
///
/// # Safety
///
/// Each piece is null or as many bytes as it says.
pub(crate) unsafe fn gather(pieces: &[iovec]) -> Result<Vec<u8>, Errno> {
    let mut data = Vec::new();
    for piece in pieces {
        // SAFETY: the caller's word.
        data.extend(unsafe { bytes(piece.iov_base.cast::<u8>().cast_const(), piece.iov_len) }?);
    }
    Ok(data)
}

/// Copies bytes into the pieces, one after the other.
///
/// # Safety
///
/// Each piece is null or as many bytes as it says, which may be written.
pub(crate) unsafe fn scatter(pieces: &[iovec], mut data: &[u8]) {
    for piece in pieces {
        // SAFETY: the caller's word.
        let filled = unsafe { fill(piece.iov_base.cast(), piece.iov_len, data) };
        data = &data[filled..];
    }
}

/// The address in a `struct sockaddr_in` or `sockaddr_in6`.
///
/// # Safety
///
/// `address` is null or `len` bytes.
pub(crate) unsafe fn address(address: *const sockaddr, len: socklen_t) -> Result<SocketAddr, Errno> {
    // SAFETY: the caller's word.
    let bytes = unsafe { bytes(address.cast(), len as usize) }?;
    let (family, rest) = bytes.split_first_chunk().ok_or(Errno::EINVAL)?;
    let (port, rest) = rest.split_first_chunk().ok_or(Errno::EINVAL)?;
    let port = u16::from_be_bytes(*port);
    match c_int::from(u16::from_ne_bytes(*family)) {
        AF_INET if bytes.len() >= ADDRESS_LEN => {
            let ip: [u8; 4] = *rest.first_chunk().ok_or(Errno::EINVAL)?;
            Ok(SocketAddr::new(Ipv4Addr::from(ip).into(), port))
        }
        // Behind the port come the flow information, the address and its scope, which old programs leave out.
        AF_INET6 if bytes.len() >= ADDRESS_V6_LEN - 4 => {
            let (ip, scope) = rest[4..].split_first_chunk::<16>().ok_or(Errno::EINVAL)?;
            let scope = scope.first_chunk().map_or(0, |scope| u32::from_ne_bytes(*scope));
            Ok(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(*ip), port, 0, scope)))
        }
        AF_INET | AF_INET6 => Err(Errno::EINVAL),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Writes an address as a `struct sockaddr_in` or `sockaddr_in6`, as much of it as there is room for, and the length of all of it.
///
/// # Safety
///
/// `into` is null or as many bytes as `len` says, which may be written, as may `len`.
pub(crate) unsafe fn put_address(
    from: Option<SocketAddr>,
    into: *mut sockaddr,
    len: *mut socklen_t,
) -> Result<(), Errno> {
    if into.is_null() {
        return Ok(());
    }
    let mut bytes = Vec::with_capacity(ADDRESS_V6_LEN);
    match from {
        None => {}
        Some(SocketAddr::V4(from)) => {
            bytes.extend((AF_INET as u16).to_ne_bytes());
            bytes.extend(from.port().to_be_bytes());
            bytes.extend(from.ip().octets());
            bytes.resize(ADDRESS_LEN, 0);
        }
        Some(SocketAddr::V6(from)) => {
            bytes.extend((AF_INET6 as u16).to_ne_bytes());
            bytes.extend(from.port().to_be_bytes());
            bytes.extend(from.flowinfo().to_ne_bytes());
            bytes.extend(from.ip().octets());
            bytes.extend(from.scope_id().to_ne_bytes());
        }
    }
    // SAFETY: the caller's word.
    let room = unsafe { len.as_mut() }.ok_or(Errno::EFAULT)?;
    // SAFETY: the caller's word.
    unsafe { fill(into.cast(), *room as usize, &bytes) };
    *room = bytes.len() as socklen_t;
    Ok(())
}
