//! The functions of the table: arguments from C, a call of the [`Adapter`], results for C.
//!
//! What their callers promise is said once, at [`Interface`](crate::Interface): pointers are null, or to memory as the
//! call of the same name wants it. "The table's contract" below is that.

use std::ffi::{c_int, c_long, c_longlong, c_uint, c_ulong, c_void};
use std::net::SocketAddr;
use std::time::Duration;

use coracle_script::sockets::constants::{FIONBIO, FIONREAD, MSG_TRUNC, SIOCOUTQ};
use coracle_script::sockets::{Completion, Errno, Operation, PollEntry};
use libc::{
    iovec, loff_t, msghdr, nfds_t, pollfd, sockaddr, socklen_t, ssize_t, time_t, timeval, useconds_t,
};

use crate::adapter::Adapter;
use crate::foreign::{
    address, answer, bytes, fill, gather, has_hole, length, pieces, put_address, scatter, total,
};

/// Descriptors that one call of `poll` may be about.
const MOST_POLLED: nfds_t = 1_024;

/// The stack; none could be made when the flags were wrong.
fn stack(adapter: Option<&Adapter>) -> Result<&Adapter, Errno> {
    adapter.ok_or(Errno::EINVAL)
}

fn done(result: Result<(), Errno>) -> c_int {
    answer(result.map(|()| 0))
}

pub(crate) unsafe extern "C" fn free(adapter: *mut Adapter) {
    if !adapter.is_null() {
        // SAFETY: the table's contract: this is what `packetdrill_interface_init` made, nobody uses it any more, and
        // nobody frees it again.
        drop(unsafe { Box::from_raw(adapter) });
    }
}

pub(crate) extern "C" fn socket(
    adapter: Option<&Adapter>,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> c_int {
    answer(stack(adapter).and_then(|stack| stack.new_socket(domain, kind, protocol)))
}

pub(crate) unsafe extern "C" fn bind(
    adapter: Option<&Adapter>,
    fd: c_int,
    local: *const sockaddr,
    len: socklen_t,
) -> c_int {
    done(stack(adapter).and_then(|stack| {
        // SAFETY: the table's contract.
        let local = unsafe { address(local, len) };
        stack.socket(fd, |sockets, socket| sockets.bind(socket, local?))
    }))
}

pub(crate) extern "C" fn listen(adapter: Option<&Adapter>, fd: c_int, backlog: c_int) -> c_int {
    done(stack(adapter).and_then(|stack| stack.socket(fd, |sockets, socket| sockets.listen(socket, backlog))))
}

pub(crate) unsafe extern "C" fn accept(
    adapter: Option<&Adapter>,
    fd: c_int,
    from: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    answer(stack(adapter).and_then(|stack| {
        let accepted = stack.accept(fd)?;
        // SAFETY: the table's contract.
        unsafe { put_address(accepted.from, from, len) }?;
        Ok(accepted.value)
    }))
}

pub(crate) unsafe extern "C" fn connect(
    adapter: Option<&Adapter>,
    fd: c_int,
    to: *const sockaddr,
    len: socklen_t,
) -> c_int {
    answer(stack(adapter).and_then(|stack| {
        // SAFETY: the table's contract.
        let to = unsafe { address(to, len) }?;
        Ok(stack.perform(fd, |socket| Operation::connect(socket, to))?.value)
    }))
}

/// Receives into one buffer. No buffer is right for who throws away what comes.
///
/// # Safety
///
/// `buffer` is null or `len` bytes that may be written.
unsafe fn receive(
    adapter: Option<&Adapter>,
    fd: c_int,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
) -> Result<Completion, Errno> {
    if buffer.is_null() && len > 0 && flags & MSG_TRUNC == 0 {
        return Err(Errno::EFAULT);
    }
    let completion = stack(adapter)?.perform(fd, |socket| Operation::receive(socket, len, flags))?;
    // SAFETY: the caller's word.
    unsafe { fill(buffer.cast(), len, &completion.data) };
    Ok(completion)
}

/// Receives into pieces.
///
/// # Safety
///
/// Each piece is null or as many bytes as it says, which may be written.
unsafe fn receive_pieces(
    adapter: Option<&Adapter>,
    fd: c_int,
    pieces: &[iovec],
    flags: c_int,
) -> Result<Completion, Errno> {
    if has_hole(pieces) {
        return Err(Errno::EFAULT);
    }
    let completion =
        stack(adapter)?.perform(fd, |socket| Operation::receive(socket, total(pieces), flags))?;
    // SAFETY: the caller's word.
    unsafe { scatter(pieces, &completion.data) };
    Ok(completion)
}

pub(crate) unsafe extern "C" fn read(
    adapter: Option<&Adapter>,
    fd: c_int,
    buffer: *mut c_void,
    len: usize,
) -> ssize_t {
    // SAFETY: the table's contract.
    length(unsafe { receive(adapter, fd, buffer, len, 0) }.map(|read| read.value))
}

pub(crate) unsafe extern "C" fn readv(
    adapter: Option<&Adapter>,
    fd: c_int,
    vector: *const iovec,
    count: c_int,
) -> ssize_t {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    // SAFETY: the table's contract.
    length(unsafe { pieces(vector, count) }.and_then(|pieces| {
        // SAFETY: the table's contract.
        Ok(unsafe { receive_pieces(adapter, fd, pieces, 0) }?.value)
    }))
}

pub(crate) unsafe extern "C" fn recv(
    adapter: Option<&Adapter>,
    fd: c_int,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the table's contract.
    length(unsafe { receive(adapter, fd, buffer, len, flags) }.map(|read| read.value))
}

pub(crate) unsafe extern "C" fn recvfrom(
    adapter: Option<&Adapter>,
    fd: c_int,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the table's contract.
    length(unsafe { receive(adapter, fd, buffer, len, flags) }.and_then(|read| {
        // SAFETY: the table's contract.
        unsafe { put_address(read.from, from, from_len) }?;
        Ok(read.value)
    }))
}

pub(crate) unsafe extern "C" fn recvmsg(
    adapter: Option<&Adapter>,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    let receive = || {
        // SAFETY: the table's contract.
        let message = unsafe { message.as_mut() }.ok_or(Errno::EFAULT)?;
        // SAFETY: the table's contract.
        let pieces = unsafe { pieces(message.msg_iov, message.msg_iovlen) }?;
        // With this flag the whole length of a datagram comes back, which tells whether it was cut.
        // SAFETY: the table's contract.
        let read = unsafe { receive_pieces(adapter, fd, pieces, flags | MSG_TRUNC) }?;
        // SAFETY: the table's contract.
        unsafe { put_address(read.from, message.msg_name.cast(), &raw mut message.msg_namelen) }?;
        message.msg_controllen = 0;
        let copied = c_int::try_from(read.data.len()).unwrap_or(c_int::MAX);
        message.msg_flags = if read.value > copied { MSG_TRUNC } else { 0 };
        Ok(if flags & MSG_TRUNC != 0 { read.value } else { copied })
    };
    length(receive())
}

/// Where something is sent; without an address, to the peer.
///
/// # Safety
///
/// `to` is null or `len` bytes.
unsafe fn destination(to: *const sockaddr, len: socklen_t) -> Result<Option<SocketAddr>, Errno> {
    // SAFETY: the caller's word.
    if to.is_null() { Ok(None) } else { unsafe { address(to, len) }.map(Some) }
}

/// Sends the bytes of one buffer.
///
/// # Safety
///
/// `buffer` is null or `len` bytes; `to` is null or `to_len` bytes.
unsafe fn transmit(
    adapter: Option<&Adapter>,
    fd: c_int,
    (buffer, len): (*const c_void, usize),
    flags: c_int,
    (to, to_len): (*const sockaddr, socklen_t),
) -> Result<c_int, Errno> {
    // SAFETY: the caller's word.
    let data = unsafe { bytes(buffer.cast(), len) }?.to_vec();
    // SAFETY: the caller's word.
    let to = unsafe { destination(to, to_len) }?;
    Ok(stack(adapter)?.perform(fd, |socket| Operation::send(socket, data, flags, to))?.value)
}

pub(crate) unsafe extern "C" fn write(
    adapter: Option<&Adapter>,
    fd: c_int,
    buffer: *const c_void,
    len: usize,
) -> ssize_t {
    // SAFETY: the table's contract.
    length(unsafe { transmit(adapter, fd, (buffer, len), 0, (std::ptr::null(), 0)) })
}

pub(crate) unsafe extern "C" fn writev(
    adapter: Option<&Adapter>,
    fd: c_int,
    vector: *const iovec,
    count: c_int,
) -> ssize_t {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    // SAFETY: the table's contract, for the vector and for what it points to.
    let data = unsafe { pieces(vector, count).and_then(|pieces| gather(pieces)) };
    length(data.and_then(|data| {
        Ok(stack(adapter)?.perform(fd, |socket| Operation::send(socket, data, 0, None))?.value)
    }))
}

pub(crate) unsafe extern "C" fn send(
    adapter: Option<&Adapter>,
    fd: c_int,
    buffer: *const c_void,
    len: usize,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the table's contract.
    length(unsafe { transmit(adapter, fd, (buffer, len), flags, (std::ptr::null(), 0)) })
}

pub(crate) unsafe extern "C" fn sendto(
    adapter: Option<&Adapter>,
    fd: c_int,
    buffer: *const c_void,
    len: usize,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    // SAFETY: the table's contract.
    length(unsafe { transmit(adapter, fd, (buffer, len), flags, (to, to_len)) })
}

pub(crate) unsafe extern "C" fn sendmsg(
    adapter: Option<&Adapter>,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    let transmit = || {
        // SAFETY: the table's contract.
        let message = unsafe { message.as_ref() }.ok_or(Errno::EFAULT)?;
        // SAFETY: the table's contract, for the vector and for what it points to.
        let data = unsafe { pieces(message.msg_iov, message.msg_iovlen).and_then(|pieces| gather(pieces)) }?;
        // SAFETY: the table's contract.
        let to = unsafe { destination(message.msg_name.cast(), message.msg_namelen) }?;
        Ok(stack(adapter)?.perform(fd, |socket| Operation::send(socket, data, flags, to))?.value)
    };
    length(transmit())
}

/// `fcntl`, called with the third argument or without; see [`crate::variadic`].
pub(crate) extern "C" fn fcntl(
    adapter: Option<&Adapter>,
    fd: c_int,
    command: c_int,
    argument: c_long,
) -> c_int {
    // What is asked for takes an `int`, or nothing.
    answer(stack(adapter).and_then(|stack| {
        stack.socket(fd, |sockets, socket| sockets.fcntl(socket, command, argument as c_int))
    }))
}

/// `ioctl`, called with the third argument or without; see [`crate::variadic`].
pub(crate) unsafe extern "C" fn ioctl(
    adapter: Option<&Adapter>,
    fd: c_int,
    request: c_ulong,
    argument: *mut c_int,
) -> c_int {
    done(stack(adapter).and_then(|stack| {
        let request = c_int::try_from(request).map_err(|_| Errno::ENOTTY)?;
        let known = matches!(request, FIONBIO | FIONREAD | SIOCOUTQ);
        // SAFETY: the table's contract: these requests come with a pointer to an `int`. Others may come with anything.
        let argument = if known { unsafe { argument.as_mut() } } else { None };
        let given = argument.as_ref().map_or(0, |argument| **argument);
        let result = stack.socket(fd, |sockets, socket| match (known, &argument) {
            (true, None) => Err(Errno::EFAULT),
            _ => sockets.ioctl(socket, request, given),
        })?;
        if let Some(argument) = argument {
            *argument = result;
        }
        Ok(())
    }))
}

pub(crate) extern "C" fn close(adapter: Option<&Adapter>, fd: c_int) -> c_int {
    done(stack(adapter).and_then(|stack| stack.close(fd)))
}

pub(crate) extern "C" fn shutdown(adapter: Option<&Adapter>, fd: c_int, how: c_int) -> c_int {
    done(stack(adapter).and_then(|stack| stack.socket(fd, |sockets, socket| sockets.shutdown(socket, how))))
}

pub(crate) unsafe extern "C" fn getsockopt(
    adapter: Option<&Adapter>,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    done(stack(adapter).and_then(|stack| {
        let option = stack.socket(fd, |sockets, socket| sockets.option(socket, level, name))?;
        // SAFETY: the table's contract.
        let len = unsafe { len.as_mut() }.ok_or(Errno::EFAULT)?;
        let room = c_int::try_from(*len).map_err(|_| Errno::EINVAL)?.unsigned_abs() as usize;
        if value.is_null() && room > 0 {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the table's contract.
        *len = unsafe { fill(value.cast(), room, &option) } as socklen_t;
        Ok(())
    }))
}

pub(crate) unsafe extern "C" fn setsockopt(
    adapter: Option<&Adapter>,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    done(stack(adapter).and_then(|stack| {
        let len = c_int::try_from(len).map_err(|_| Errno::EINVAL)?.unsigned_abs() as usize;
        // SAFETY: the table's contract.
        let value = unsafe { bytes(value.cast(), len) };
        stack.socket(fd, |sockets, socket| sockets.set_option(socket, level, name, value?))
    }))
}

pub(crate) unsafe extern "C" fn poll(
    adapter: Option<&Adapter>,
    polled: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
) -> c_int {
    answer(stack(adapter).and_then(|stack| {
        if count > MOST_POLLED {
            return Err(Errno::EINVAL);
        }
        let polled = match (polled.is_null(), count) {
            (_, 0) => &mut [],
            (true, _) => return Err(Errno::EFAULT),
            // SAFETY: the table's contract.
            (false, _) => unsafe { std::slice::from_raw_parts_mut(polled, count as usize) },
        };
        let entries = polled.iter().map(|entry| PollEntry { fd: entry.fd, events: entry.events }).collect();
        let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
        let completion = stack.poll(entries, timeout)?;
        for (entry, events) in polled.iter_mut().zip(&completion.events) {
            entry.revents = *events;
        }
        Ok(completion.value)
    }))
}

pub(crate) unsafe extern "C" fn netdev_send(
    adapter: Option<&Adapter>,
    packet: *const c_void,
    len: usize,
) -> c_int {
    done(stack(adapter).and_then(|stack| {
        // SAFETY: the table's contract.
        stack.inject(unsafe { bytes(packet.cast(), len) }?);
        Ok(())
    }))
}

/// packetdrill asks again for ever when this fails, so the end of all packets is one without bytes.
pub(crate) unsafe extern "C" fn netdev_receive(
    adapter: Option<&Adapter>,
    packet: *mut c_void,
    len: *mut usize,
    time: *mut c_longlong,
) -> c_int {
    // SAFETY: the table's contract.
    let (len, time) = unsafe { (len.as_mut(), time.as_mut()) };
    let Some(len) = len else { return answer(Err(Errno::EFAULT)) };
    let sent = adapter.and_then(Adapter::receive);
    let data = sent.as_ref().map_or(&[][..], |sent| &sent.bytes);
    // SAFETY: the table's contract.
    *len = unsafe { fill(packet.cast(), *len, data) };
    if let (Some(time), Some(sent)) = (time, &sent) {
        *time = sent.at.as_micros().cast_signed();
    }
    0
}

pub(crate) extern "C" fn usleep(adapter: Option<&Adapter>, time: useconds_t) -> c_int {
    done(stack(adapter).map(|stack| stack.sleep(Duration::from_micros(time.into()))))
}

/// The time zone is as obsolete as it is in Linux.
pub(crate) unsafe extern "C" fn gettimeofday(
    adapter: Option<&Adapter>,
    time: *mut timeval,
    _zone: *mut c_void,
) -> c_int {
    done(stack(adapter).map(|stack| {
        let micros = stack.time().as_micros().cast_signed();
        // SAFETY: the table's contract.
        if let Some(time) = unsafe { time.as_mut() } {
            *time = timeval { tv_sec: (micros / 1_000_000) as time_t, tv_usec: micros % 1_000_000 };
        }
    }))
}

pub(crate) extern "C" fn epoll_create(_adapter: Option<&Adapter>, _size: c_int) -> c_int {
    answer(Err(Errno::ENOSYS))
}

pub(crate) extern "C" fn epoll_ctl(
    _adapter: Option<&Adapter>,
    _poll: c_int,
    _operation: c_int,
    _fd: c_int,
    _event: *mut c_void,
) -> c_int {
    answer(Err(Errno::ENOSYS))
}

pub(crate) extern "C" fn epoll_wait(
    _adapter: Option<&Adapter>,
    _poll: c_int,
    _events: *mut c_void,
    _most: c_int,
    _timeout: c_int,
) -> c_int {
    answer(Err(Errno::ENOSYS))
}

pub(crate) extern "C" fn pipe(_adapter: Option<&Adapter>, _ends: *mut c_int) -> c_int {
    answer(Err(Errno::ENOSYS))
}

pub(crate) extern "C" fn splice(
    _adapter: Option<&Adapter>,
    _from: c_int,
    _from_offset: *mut loff_t,
    _to: c_int,
    _to_offset: *mut loff_t,
    _len: usize,
    _flags: c_uint,
) -> c_int {
    answer(Err(Errno::ENOSYS))
}
