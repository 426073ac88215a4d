//! TCP through the table, as packetdrill would drive it.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod tool;

use std::ffi::c_int;
use std::ptr::{null, null_mut};
use std::thread;

use coracle::wire::tcp::TcpFlags;
use tool::{ACK, ADDRESS_LEN, PEER, PORT, REMOTE, SYN, Tool, address, call, fails, segment};

/// The first sequence number of the peer.
const ISN: u32 = 1_000;
const SECOND: i64 = 1_000_000;

/// A connection that the peer opened, and the number that the stack sends next.
fn accepted(tool: &Tool) -> (c_int, u32) {
    let listener = tool.listener();
    tool.inject(&segment(SYN, (ISN, 0), &[]));
    let answer = tool.receive().unwrap();
    let next = answer.sequence().wrapping_add(1);
    tool.inject(&segment(ACK, (ISN + 1, next), &[]));
    let fd = call!(tool, accept, listener, null_mut(), null_mut());
    assert!(fd > 2);
    (fd, next)
}

/// A connection from its first packet to `free`, with calls that wait on a second thread.
#[test]
fn a_passive_open_with_calls_that_block() {
    let tool = Tool::new("");
    let listener = tool.listener();
    let mut from = address([0; 4], 0);
    let (fd, next) = thread::scope(|scope| {
        let (tool, from) = (&tool, &mut from);
        let accepting = tool.blocked(scope, move || {
            let mut len = 100;
            (call!(tool, accept, listener, (&raw mut *from).cast(), &raw mut len), len)
        });
        tool.inject(&segment(SYN, (ISN, 0), &[]));
        let answer = tool.receive().unwrap();
        assert_eq!((answer.flags(), answer.acknowledgment()), (SYN | ACK, ISN + 1));
        assert_eq!(call!(tool, usleep, 100_000), 0);
        let before = tool.now();
        let next = answer.sequence().wrapping_add(1);
        tool.inject(&segment(ACK, (ISN + 1, next), &[]));
        assert_eq!(call!(tool, usleep, 300_000), 0);
        let ((fd, len), _, at) = accepting.join().unwrap();
        assert_eq!((len, at), (ADDRESS_LEN, before), "the time at which it returned, not the present one");
        assert_eq!(tool.now(), before + 300_001);
        (fd, next)
    });
    assert!(fd > 2);
    assert_eq!((from.sin_port, from.sin_addr.s_addr), (PEER.to_be(), u32::from_ne_bytes(REMOTE)));

    // The peer's data, for a read that waits and for one that only looks.
    let (mut buffer, mut peek) = ([0_u8; 10], [0_u8; 3]);
    thread::scope(|scope| {
        let buffer = &mut buffer;
        let reading = tool.blocked(scope, || call!(tool, read, fd, buffer.as_mut_ptr().cast(), 10));
        tool.inject(&segment(ACK | TcpFlags::PSH, (ISN + 1, next), b"hello"));
        assert_eq!(reading.join().unwrap().0, 5);
    });
    assert_eq!(&buffer[..5], b"hello");
    let acknowledgment = tool.receive().unwrap();
    assert_eq!((acknowledgment.sequence(), acknowledgment.acknowledgment()), (next, ISN + 6));
    tool.inject(&segment(ACK | TcpFlags::PSH, (ISN + 6, next), b"again"));
    assert_eq!(call!(tool, recv, fd, peek.as_mut_ptr().cast(), 3, libc::MSG_PEEK), 3);
    assert_eq!(call!(tool, read, fd, buffer.as_mut_ptr().cast(), 10), 5);
    assert_eq!((&peek, &buffer[..5]), (b"aga", &b"again"[..]));
    assert_eq!(tool.receive().unwrap().acknowledgment(), ISN + 11);

    // Ours, and the end.
    assert_eq!(call!(tool, write, fd, b"data".as_ptr().cast(), 4), 4);
    let sent = tool.receive().unwrap();
    assert_eq!((sent.sequence(), sent.data(), sent.flags()), (next, &b"data"[..], ACK | TcpFlags::PSH));
    tool.inject(&segment(ACK | TcpFlags::FIN, (ISN + 11, next.wrapping_add(4)), &[]));
    assert_eq!(call!(tool, read, fd, buffer.as_mut_ptr().cast(), 10), 0);
    assert_eq!(call!(tool, shutdown, fd, libc::SHUT_WR), 0);
    assert_eq!(call!(tool, close, fd), 0);
    fails(call!(tool, close, fd), libc::EBADF);
    let end = std::iter::from_fn(|| tool.receive()).find(|packet| packet.flags().contains(TcpFlags::FIN));
    assert_eq!(end.unwrap().acknowledgment(), ISN + 12);
    // As packetdrill ends: the descriptors that are left, by the kernel; a reset of each connection; free.
    // SAFETY: the descriptor is ours, and nothing uses it after this.
    assert_eq!(unsafe { libc::close(listener) }, 0);
    tool.inject(&segment(TcpFlags::RST, (ISN + 12, 0), &[]));
}

#[test]
fn a_connection_is_opened_or_refused() {
    let tool = Tool::new("");
    for refused in [false, true] {
        let fd = tool.socket(libc::SOCK_STREAM);
        let local = address([0; 4], PORT);
        assert_eq!(call!(tool, bind, fd, (&raw const local).cast(), ADDRESS_LEN), 0);
        let to = address(REMOTE, PEER);
        thread::scope(|scope| {
            let connecting =
                tool.blocked(scope, || call!(tool, connect, fd, (&raw const to).cast(), ADDRESS_LEN));
            let syn = tool.receive().unwrap();
            assert_eq!((syn.flags(), syn.source_port()), (SYN, PORT));
            // MSS, SACK permitted, timestamps, NOP, window scale: the order that the public scripts expect.
            assert_eq!(syn.options(), [2, 4, 8, 1, 3]);
            assert_eq!(call!(tool, usleep, 50_000), 0);
            let before = tool.now();
            let flags = if refused { TcpFlags::RST | ACK } else { SYN | ACK };
            tool.inject(&segment(flags, (ISN, syn.sequence().wrapping_add(1)), &[]));
            let (value, error, at) = connecting.join().unwrap();
            assert_eq!(at, before);
            if refused {
                assert_eq!((value, error), (-1, Some(libc::ECONNREFUSED)));
            } else {
                assert_eq!(value, 0);
                assert_eq!(tool.receive().unwrap().flags(), ACK);
            }
        });
        // A linger time of zero resets the connection at once.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let value = (&raw const linger).cast();
        assert_eq!(call!(tool, setsockopt, fd, libc::SOL_SOCKET, libc::SO_LINGER, value, 8), 0);
        assert_eq!(call!(tool, close, fd), 0);
        if !refused {
            assert!(tool.receive().unwrap().flags().contains(TcpFlags::RST));
        }
        assert!(tool.receive().is_none());
    }
}

/// What is sent while the clock is moved bears its own time; waiting for a packet moves the clock to it.
#[test]
fn timers_run_in_virtual_time() {
    let tool = Tool::new("initial_rto=1s,syn_retries=3");
    let fd = tool.socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    let to = address(REMOTE, PEER);
    fails(call!(tool, connect, fd, (&raw const to).cast(), ADDRESS_LEN), libc::EINPROGRESS);
    fails(call!(tool, connect, fd, (&raw const to).cast(), ADDRESS_LEN), libc::EALREADY);
    let first = tool.receive().unwrap();
    let start = first.at;
    assert_eq!(call!(tool, usleep, 3_500_000), 0);
    let now = tool.now();
    assert_eq!(now - start, 3_500_001);
    for after in [1, 3] {
        let again = tool.receive().unwrap();
        assert_eq!((again.at - start, again.sequence()), (after * SECOND, first.sequence()));
    }
    assert_eq!(tool.now(), now + 1);
    assert_eq!(tool.receive().unwrap().at - start, 7 * SECOND);
    assert!(tool.now() > start + 7 * SECOND);
    // Nothing more will come, but for the end of the attempt.
    assert!(tool.receive().is_none());
    let (mut error, mut len) = (0, 4);
    let value = (&raw mut error).cast();
    assert_eq!(call!(tool, getsockopt, fd, libc::SOL_SOCKET, libc::SO_ERROR, value, &raw mut len), 0);
    assert_eq!((error, len), (libc::ETIMEDOUT, 4));
}

#[test]
fn a_call_that_waits_gives_up_at_its_time() {
    let tool = Tool::new("");
    let (fd, _) = accepted(&tool);
    let limit = libc::timeval { tv_sec: 2, tv_usec: 0 };
    let value = (&raw const limit).cast();
    assert_eq!(call!(tool, setsockopt, fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, 16), 0);
    thread::scope(|scope| {
        let before = tool.now();
        let reading = tool.blocked(scope, || {
            let mut byte = 0_u8;
            call!(tool, recv, fd, (&raw mut byte).cast(), 1, 0)
        });
        assert_eq!(call!(tool, usleep, 5_000_000), 0);
        assert_eq!(reading.join().unwrap(), (-1, Some(libc::EAGAIN), before + 2 * SECOND));
    });
    // A poll as well; with no time to wait the main thread may ask.
    let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 7 };
    assert_eq!((call!(tool, poll, &raw mut polled, 1, 0), polled.revents), (0, 0));
    fails(call!(tool, poll, &raw mut polled, 1, 10), libc::EDEADLK);
    thread::scope(|scope| {
        let before = tool.now();
        let polling = tool.blocked(scope, || {
            let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 7 };
            (call!(tool, poll, &raw mut polled, 1, 1_500), polled.revents)
        });
        assert_eq!(call!(tool, usleep, 2_000_000), 0);
        let (value, _, at) = polling.join().unwrap();
        assert_eq!((value, at), ((0, 0), before + 1_500_000));
    });
}

/// A write that is larger than the buffer goes on as the peer acknowledges.
#[test]
fn a_write_waits_for_room() {
    let tool = Tool::new("profile=small,send_buffer=3000,initial_window=2,nagle=off");
    let (fd, next) = accepted(&tool);
    let data = vec![7_u8; 5_000];
    thread::scope(|scope| {
        let writing = tool.blocked(scope, || call!(tool, write, fd, data.as_ptr().cast(), data.len()));
        let mut received = 0;
        // Two segments of the peer's size leave at first.
        for _ in 0..2 {
            received += tool.receive().unwrap().data().len() as u32;
        }
        assert_eq!(received, 2_000);
        while received < 5_000 {
            tool.inject(&segment(ACK, (ISN + 1, next.wrapping_add(received)), &[]));
            let sent = tool.receive().unwrap();
            assert_eq!(sent.sequence(), next.wrapping_add(received));
            received += sent.data().len() as u32;
        }
        assert_eq!(writing.join().unwrap().0, 5_000);
    });
}

#[test]
fn the_main_thread_never_waits() {
    let tool = Tool::new("");
    let listener = tool.listener();
    fails(call!(tool, accept, listener, null_mut(), null_mut()), libc::EDEADLK);
    let fd = tool.socket(libc::SOCK_STREAM);
    let to = address(REMOTE, PEER);
    fails(call!(tool, connect, fd, (&raw const to).cast(), ADDRESS_LEN), libc::EDEADLK);
}

#[test]
fn what_is_not_a_connection() {
    let tool = Tool::new("");
    let (fd, _) = accepted(&tool);
    let mut byte = 0_u8;
    let buffer = (&raw mut byte).cast();
    let none = tool.socket(libc::SOCK_STREAM);
    fails(call!(tool, read, none, buffer, 1), libc::ENOTCONN);
    fails(call!(tool, write, none, buffer, 1), libc::EPIPE);
    fails(call!(tool, shutdown, none, libc::SHUT_WR), libc::ENOTCONN);
    fails(call!(tool, accept, fd, null_mut(), null_mut()), libc::EINVAL);
    // A reset is told once.
    let (mut number, flags) = (0, TcpFlags::RST);
    tool.inject(&segment(flags, (ISN + 1, 0), &[]));
    fails(call!(tool, read, fd, buffer, 1), libc::ECONNRESET);
    assert_eq!(call!(tool, read, fd, buffer, 1), 0);
    assert_eq!(call!(tool, ioctl, fd, libc::FIONREAD, &raw mut number), 0);
    fails(call!(tool, write, fd, null(), 1), libc::EFAULT);
    fails(call!(tool, write, fd, buffer, 1), libc::EPIPE);
}
