//! UDP through the table, and the forms of calls that all sockets share.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod tool;

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::thread;

use libc::{iovec, msghdr, pollfd};
use tool::{ADDRESS_LEN, PEER, PORT, REMOTE, Tool, address, call, datagram, fails};

/// A socket that is bound.
fn bound(tool: &Tool) -> c_int {
    let fd = tool.socket(libc::SOCK_DGRAM);
    let local = address([0; 4], PORT);
    assert_eq!(call!(tool, bind, fd, (&raw const local).cast(), ADDRESS_LEN), 0);
    fd
}

fn piece(bytes: &mut [u8]) -> iovec {
    iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

fn message(pieces: &mut [iovec]) -> msghdr {
    msghdr {
        msg_name: null_mut(),
        msg_namelen: 0,
        msg_iov: pieces.as_mut_ptr(),
        msg_iovlen: pieces.len(),
        msg_control: null_mut(),
        msg_controllen: 40,
        msg_flags: -1,
    }
}

#[test]
fn datagrams_go_both_ways() {
    let tool = Tool::new("");
    let fd = bound(&tool);
    let (mut buffer, mut from, mut len) = ([0_u8; 8], address([0; 4], 0), ADDRESS_LEN);
    let into: *mut c_void = buffer.as_mut_ptr().cast();
    fails(call!(tool, recv, fd, into, 8, libc::MSG_DONTWAIT), libc::EAGAIN);
    thread::scope(|scope| {
        let (tool, byte) = (&tool, &mut buffer[0]);
        let reading = tool.blocked(scope, move || {
            call!(tool, recvfrom, fd, (&raw mut *byte).cast(), 1, libc::MSG_TRUNC, null_mut(), null_mut())
        });
        tool.inject(&datagram(b"123"));
        assert_eq!(reading.join().unwrap().0, 3);
    });
    assert_eq!(buffer[..2], *b"1\0");
    tool.inject(&datagram(b"hello"));
    let source = (&raw mut from).cast();
    assert_eq!(call!(tool, recvfrom, fd, buffer.as_mut_ptr().cast(), 8, 0, source, &raw mut len), 5);
    assert_eq!((&buffer[..5], len), (&b"hello"[..], ADDRESS_LEN));
    assert_eq!(
        (from.sin_family, from.sin_port, from.sin_addr.s_addr),
        (2, PEER.to_be(), u32::from_ne_bytes(REMOTE))
    );

    let data: *const c_void = b"answer".as_ptr().cast();
    fails(call!(tool, write, fd, data, 6), libc::EDESTADDRREQ);
    assert_eq!(call!(tool, sendto, fd, data, 6, 0, (&raw const from).cast(), len), 6);
    assert_eq!(call!(tool, connect, fd, (&raw const from).cast(), len), 0);
    assert_eq!(call!(tool, send, fd, data, 3, 0), 3);
    assert_eq!(call!(tool, write, fd, null(), 0), 0);
    let lengths: Vec<_> =
        std::iter::from_fn(|| tool.receive()).map(|packet| packet.bytes.len() - 28).collect();
    assert_eq!(lengths, [6, 3, 0]);
    assert_eq!(call!(tool, close, fd), 0);
}

#[test]
fn buffers_in_pieces() {
    let tool = Tool::new("");
    let fd = bound(&tool);
    let (mut first, mut second) = ([0_u8; 2], [0_u8; 4]);
    let mut pieces = [piece(&mut first), iovec { iov_base: null_mut(), iov_len: 0 }, piece(&mut second)];
    tool.inject(&datagram(b"hello"));
    assert_eq!(call!(tool, readv, fd, pieces.as_ptr(), 3), 5);
    assert_eq!((&first, &second), (b"he", b"llo\0"));

    let mut from = address([0; 4], 0);
    let mut message = message(&mut pieces);
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = 100;
    tool.inject(&datagram(b"too long"));
    tool.inject(&datagram(b"short"));
    assert_eq!(call!(tool, recvmsg, fd, &raw mut message, 0), 6);
    assert_eq!(
        (message.msg_flags, message.msg_controllen, message.msg_namelen),
        (libc::MSG_TRUNC, 0, ADDRESS_LEN)
    );
    assert_eq!((&first, &second, from.sin_port), (b"to", b"o lo", PEER.to_be()));
    assert_eq!(call!(tool, recvmsg, fd, &raw mut message, libc::MSG_TRUNC), 5);
    assert_eq!((message.msg_flags, &first), (0, b"sh"));

    assert_eq!(call!(tool, sendmsg, fd, &raw const message, 0), 6);
    message.msg_name = null_mut();
    fails(call!(tool, sendmsg, fd, &raw const message, 0), libc::EDESTADDRREQ);
    assert_eq!(call!(tool, connect, fd, (&raw const from).cast(), ADDRESS_LEN), 0);
    assert_eq!(call!(tool, writev, fd, pieces.as_ptr(), 2), 2);
    let sent: Vec<_> =
        std::iter::from_fn(|| tool.receive()).map(|packet| packet.bytes[28..].to_vec()).collect();
    assert_eq!(sent, [b"shorto".to_vec(), b"sh".to_vec()]);

    pieces[1].iov_len = 1;
    fails(call!(tool, readv, fd, pieces.as_ptr(), 3), libc::EFAULT);
    fails(call!(tool, writev, fd, pieces.as_ptr(), 3), libc::EFAULT);
    pieces[1].iov_len = usize::MAX;
    fails(call!(tool, readv, fd, pieces.as_ptr(), 3), libc::EINVAL);
    fails(call!(tool, readv, fd, pieces.as_ptr(), -1), libc::EINVAL);
    fails(call!(tool, writev, fd, null(), 3), libc::EFAULT);
    fails(call!(tool, recvmsg, fd, null_mut(), 0), libc::EFAULT);
}

#[test]
fn options_flags_and_requests() {
    let tool = Tool::new("");
    let fd = bound(&tool);
    let (socket, ttl) = (libc::SOL_SOCKET, 9_i32);
    let value: *const c_void = (&raw const ttl).cast();
    assert_eq!(call!(tool, setsockopt, fd, libc::IPPROTO_IP, libc::IP_TTL, value, 4), 0);
    fails(call!(tool, setsockopt, fd, libc::IPPROTO_IP, libc::IP_TTL, value, 3), libc::EINVAL);
    fails(call!(tool, setsockopt, fd, libc::IPPROTO_IP, libc::IP_TTL, null(), 4), libc::EFAULT);
    fails(call!(tool, setsockopt, fd, socket, 9_999, value, 4), libc::ENOPROTOOPT);
    let (mut found, mut len) = ([0xff_u8; 8], 8);
    let into: *mut c_void = found.as_mut_ptr().cast();
    assert_eq!(call!(tool, getsockopt, fd, libc::IPPROTO_IP, libc::IP_TTL, into, &raw mut len), 0);
    assert_eq!((found, len), (*b"\x09\0\0\0\xff\xff\xff\xff", 4));
    len = 1;
    found.fill(0xff);
    assert_eq!(call!(tool, getsockopt, fd, socket, libc::SO_TYPE, into, &raw mut len), 0);
    assert_eq!((&found[..2], len), (&[2, 0xff][..], 1), "as much as there is room for");
    len = u32::MAX;
    fails(call!(tool, getsockopt, fd, socket, libc::SO_TYPE, into, &raw mut len), libc::EINVAL);
    fails(call!(tool, getsockopt, fd, socket, libc::SO_TYPE, into, null_mut()), libc::EFAULT);

    // The third argument is there, or not.
    assert_eq!(call!(tool, fcntl, fd, libc::F_GETFL), libc::O_RDWR);
    assert_eq!(call!(tool, fcntl, fd, libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK), 0);
    assert_eq!(call!(tool, fcntl, fd, libc::F_GETFL), libc::O_RDWR | libc::O_NONBLOCK);
    fails(call!(tool, fcntl, fd, libc::F_GETLK), libc::EINVAL);
    fails(call!(tool, read, fd, into, 8), libc::EAGAIN);
    let mut number: c_int = 0;
    assert_eq!(call!(tool, ioctl, fd, libc::FIONBIO, &raw mut number), 0);
    assert_eq!(call!(tool, fcntl, fd, libc::F_GETFL), libc::O_RDWR);
    tool.inject(&datagram(b"hello"));
    assert_eq!((call!(tool, ioctl, fd, libc::FIONREAD, &raw mut number), number), (0, 5));
    assert_eq!((call!(tool, ioctl, fd, libc::TIOCOUTQ, &raw mut number), number), (0, 0));
    fails(call!(tool, ioctl, fd, libc::FIONREAD, null_mut::<c_int>()), libc::EFAULT);
    fails(call!(tool, ioctl, fd, libc::SIOCGIFMTU, &raw mut number), libc::ENOTTY);
    fails(call!(tool, ioctl, fd, 0x1_0000_541b_u64), libc::ENOTTY);

    let entry = |fd| pollfd { fd, events: libc::POLLIN, revents: 7 };
    let mut polled = [entry(fd), entry(-1), entry(fd + 100)];
    assert_eq!(call!(tool, poll, polled.as_mut_ptr(), 3, -1), 2);
    assert_eq!(polled.map(|entry| entry.revents), [libc::POLLIN, 0, libc::POLLNVAL]);
    assert_eq!(call!(tool, poll, null_mut(), 0, 0), 0);
    fails(call!(tool, poll, null_mut(), 1, 0), libc::EFAULT);
    fails(call!(tool, poll, polled.as_mut_ptr(), 1 << 40, 0), libc::EINVAL);
}

#[test]
fn wrong_arguments_are_errors() {
    let tool = Tool::new("");
    let fd = bound(&tool);
    fails(call!(tool, socket, libc::AF_UNIX, libc::SOCK_STREAM, 0), libc::EAFNOSUPPORT);
    fails(call!(tool, socket, libc::AF_INET, libc::SOCK_RAW, 0), libc::ESOCKTNOSUPPORT);
    let mut local = address([0; 4], PORT);
    let at = |local: &libc::sockaddr_in| (&raw const *local).cast::<libc::sockaddr>();
    fails(call!(tool, bind, fd, at(&local), ADDRESS_LEN), libc::EINVAL);
    let other = tool.socket(libc::SOCK_DGRAM);
    fails(call!(tool, bind, other, at(&local), ADDRESS_LEN), libc::EADDRINUSE);
    fails(call!(tool, bind, other, at(&local), ADDRESS_LEN - 1), libc::EINVAL);
    fails(call!(tool, bind, other, at(&local), 1), libc::EINVAL);
    fails(call!(tool, bind, other, null(), ADDRESS_LEN), libc::EFAULT);
    local.sin_family = libc::AF_INET6 as u16;
    fails(call!(tool, bind, other, at(&local), ADDRESS_LEN), libc::EINVAL);
    local.sin_family = libc::AF_UNIX as u16;
    fails(call!(tool, bind, other, at(&local), ADDRESS_LEN), libc::EAFNOSUPPORT);
    fails(call!(tool, bind, other, at(&address([10, 9, 8, 7], 1)), ADDRESS_LEN), libc::EADDRNOTAVAIL);
    fails(call!(tool, listen, fd, 1), libc::EOPNOTSUPP);
    fails(call!(tool, accept, fd, null_mut(), null_mut()), libc::EOPNOTSUPP);
    fails(call!(tool, recv, fd, null_mut(), 1, 0), libc::EFAULT);
    fails(call!(tool, recv, fd, null_mut(), 0, 0), libc::EDEADLK);
    for none in [-1, 0, 2, fd + 100] {
        fails(call!(tool, listen, none, 1), libc::EBADF);
        fails(call!(tool, recv, none, null_mut(), 0, 0), libc::EBADF);
        fails(call!(tool, fcntl, none, libc::F_GETFL), libc::EBADF);
        fails(call!(tool, close, none), libc::EBADF);
    }
    fails(call!(tool, netdev_send, null(), 40), libc::EFAULT);
    // What the library has not.
    fails(call!(tool, epoll_create, 1), libc::ENOSYS);
    fails(call!(tool, epoll_ctl, fd, 1, fd, null_mut()), libc::ENOSYS);
    fails(call!(tool, epoll_wait, fd, null_mut(), 1, 0), libc::ENOSYS);
    fails(call!(tool, pipe, null_mut()), libc::ENOSYS);
    fails(call!(tool, splice, fd, null_mut(), fd, null_mut(), 1, 0), libc::ENOSYS);
}
