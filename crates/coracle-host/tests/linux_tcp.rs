//! TCP between the Linux kernel's sockets and the stack: how connections come to be and how they end.

mod peer;

use coracle::{Error, Shutdown, TcpState};
use peer::tcp::{Event, LONG, Plan, Then, accept, exchange, expect_stream, send_stream};
use peer::{LINUX, Peer, soon, tap, tap_with};
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const RESET: &str = "Connection reset (RST)";
/// Linux asks for the window by sending again what it sent last, which the stack says it has.
const CLOSED_WINDOW: &[&str] = &["Zero Window", "now completely full", "D-SACK"];

#[test]
fn linux_connects_and_either_side_closes_first() {
    let Some(peer) = tap("tcp_closes") else { return };
    let (_, events) = peer.serve(80, Plan::QUIET);
    let mut linux = peer.connect(80);
    let tcp = events.open();
    let (local, remote) = peer.tcp(tcp, |tcp| (tcp.local().unwrap(), tcp.remote().unwrap()));
    assert_eq!((local, remote), (linux.peer_addr().unwrap(), linux.local_addr().unwrap()));
    linux.write_all(b"hello").unwrap();
    assert_eq!(events.next(), Event::Data(b"hello".to_vec()));
    peer.tcp(tcp, |tcp| tcp.write_bytes(b"good morning").unwrap());
    let mut answer = [0; 12];
    linux.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"good morning");
    drop(linux);
    assert_eq!((events.next(), events.next()), (Event::Finished(5), Event::Closed));

    let mut linux = peer.connect(80);
    let tcp = events.open();
    peer.tcp(tcp, |tcp| {
        tcp.write_bytes(b"and good bye").unwrap();
        tcp.close().unwrap();
        assert_eq!(tcp.state(), TcpState::FinWait1);
    });
    let mut all = Vec::new();
    linux.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"and good bye");
    drop(linux);
    events.until(&Event::Closed);
    peer.all_over();
    let Some(counters) = peer.finish_clean(&[]) else { return };
    assert_eq!((counters.tcp.passive_opens, counters.tcp.time_waits), (2, 1), "whoever closes first waits");
}

#[test]
fn the_stack_connects_and_either_side_closes_first() {
    let Some(peer) = tap("tcp_dials") else { return };
    let listener = peer.listen();
    let to = listener.local_addr().unwrap();
    for linux_first in [true, false] {
        let (tcp, events) = peer.dial(to, Plan::QUIET);
        let mut linux = accept(&listener);
        assert_eq!(events.open(), tcp);
        assert_eq!(linux.peer_addr().unwrap(), peer.tcp(tcp, |tcp| tcp.local().unwrap()));
        peer.tcp(tcp, |tcp| tcp.write_static(b"question").unwrap());
        let mut question = [0; 8];
        linux.read_exact(&mut question).unwrap();
        linux.write_all(b"answer").unwrap();
        assert_eq!(events.next(), Event::Data(b"answer".to_vec()));
        if linux_first {
            linux.shutdown(std::net::Shutdown::Write).unwrap();
            events.until(&Event::Finished(6));
        } else {
            peer.tcp(tcp, |tcp| tcp.close().unwrap());
        }
        assert_eq!(linux.read(&mut question).unwrap(), 0);
        drop(linux);
        events.until(&Event::Closed);
    }
    peer.all_over();
    let Some(counters) = peer.finish_clean(&[]) else { return };
    assert_eq!((counters.tcp.active_opens, counters.tcp.opened, counters.tcp.retransmitted), (2, 2, 0));
}

#[test]
fn closed_ports_refuse_both_ways() {
    let Some(peer) = tap("tcp_refused") else { return };
    for port in [9, 80, 65_535] {
        let connect = || TcpStream::connect_timeout(&(peer::CORACLE, port).into(), LONG);
        let error = peer.namespace.run(connect).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "port {port}");
        let (_, events) = peer.dial((LINUX, port).into(), Plan::QUIET);
        assert_eq!(events.next(), Event::Failed(Error::Reset), "port {port}");
    }
    let Some(counters) = peer.finish_clean(&[RESET]) else { return };
    assert_eq!((counters.tcp.no_port, counters.tcp.resets_sent), (3, 3));
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    const BYTES: u64 = 1_000_000;
    let Some(peer) = tap("tcp_half_close") else { return };
    // Linux has said all it will, and gets a stream afterwards.
    let plan = Plan { on_finish: Then::Nothing, ..Plan::QUIET };
    let (_, events) = peer.serve(80, plan);
    let mut linux = peer.connect(80);
    let tcp = events.open();
    linux.write_all(b"all").unwrap();
    linux.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(events.data(), (b"all".to_vec(), Event::Finished(3)));
    assert_eq!(peer.tcp(tcp, |tcp| tcp.state()), TcpState::CloseWait);
    for _ in 0..10 {
        peer.tcp(tcp, |tcp| tcp.write_bytes(b"more and ").unwrap());
        linux.read_exact(&mut [0; 9]).unwrap();
    }
    peer.tcp(tcp, |tcp| tcp.close().unwrap());
    assert_eq!(linux.read(&mut [0; 9]).unwrap(), 0);
    events.until(&Event::Closed);

    // The stack has said all it will, and gets a stream afterwards.
    let plan = Plan { expect: Some(3), keep: false, ..Plan::QUIET };
    let (_, events) = peer.serve(81, plan);
    let mut linux = peer.connect(81);
    let tcp = events.open();
    peer.tcp(tcp, |tcp| {
        tcp.write_bytes(b"all").unwrap();
        tcp.shutdown(Shutdown::Send).unwrap();
        assert_eq!(tcp.write_bytes(b"more"), Err(Error::NotConnected));
    });
    let mut all = Vec::new();
    linux.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"all");
    assert!(soon(|| peer.tcp(tcp, |tcp| tcp.state()) == TcpState::FinWait2));
    send_stream(&linux, 3, BYTES);
    drop(linux);
    assert_eq!((events.next(), events.next()), (Event::Finished(BYTES), Event::Closed));
    peer.all_over();
    peer.finish_clean(&[]);
}

/// Reads until the connection is reset.
fn reset(mut linux: &TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match linux.read(&mut buffer) {
            Ok(0) => panic!("an end in good order"),
            Ok(_) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn data_that_nobody_reads_resets_the_connection() {
    let Some(peer) = tap("tcp_unread") else { return };
    let plan = Plan { read: false, ..Plan::QUIET };
    let (_, events) = peer.serve(80, plan);
    // The stack closes with data unread.
    let mut linux = peer.connect(80);
    let tcp = events.open();
    linux.write_all(b"unread").unwrap();
    assert_eq!(events.next(), Event::Data(b"unread".to_vec()));
    peer.tcp(tcp, |tcp| tcp.close().unwrap());
    reset(&linux);
    // Linux closes with data unread.
    let linux = peer.connect(80);
    let tcp = events.open();
    peer.tcp(tcp, |tcp| tcp.write_bytes(b"unread").unwrap());
    assert!(soon(|| linux.peek(&mut [0; 8]).is_ok_and(|len| len == 6)));
    drop(linux);
    assert_eq!(events.next(), Event::Failed(Error::Reset));
    // Data comes after the stack has closed.
    let mut linux = peer.connect(80);
    let tcp = events.open();
    peer.tcp(tcp, |tcp| tcp.close().unwrap());
    assert_eq!(linux.read(&mut [0; 8]).unwrap(), 0);
    linux.write_all(b"too late").unwrap();
    assert_eq!(events.next(), Event::Failed(Error::Aborted));
    assert!(soon(|| linux.write_all(b"and later").is_err()));
    peer.all_over();
    peer.finish_clean(&[RESET]);
}

#[test]
fn either_side_aborts() {
    let Some(peer) = tap("tcp_aborts") else { return };
    let (_, events) = peer.serve(80, Plan::QUIET);
    for after_fin in [false, true] {
        let linux = peer.connect(80);
        let tcp = events.open();
        peer.tcp(tcp, move |tcp| {
            tcp.write_bytes(b"some data").unwrap();
            if after_fin {
                tcp.shutdown(Shutdown::Send).unwrap();
            }
            tcp.output().unwrap();
            drop(tcp.abort().unwrap());
        });
        if after_fin {
            // The data and the end came in good order before; what Linux sends now meets nobody.
            assert!(soon(|| (&linux).write_all(b"hello?").is_err()));
        } else {
            reset(&linux);
        }

        let linux = peer.connect(80);
        let _tcp = events.open();
        if after_fin {
            linux.shutdown(std::net::Shutdown::Write).unwrap();
        }
        sockopt::set_socket_linger(&linux, Some(Duration::ZERO)).unwrap();
        drop(linux);
        if after_fin {
            assert_eq!(events.next(), Event::Finished(0));
            // The stack closes upon the FIN, and the reset comes before or after the acknowledgment of that.
            let last = events.next();
            assert!(matches!(last, Event::Closed | Event::Failed(Error::Reset)), "{last:?}");
        } else {
            assert_eq!(events.next(), Event::Failed(Error::Reset));
        }
    }
    peer.all_over();
    peer.finish_clean(&[RESET]);
}

#[test]
fn both_close_at_once() {
    let Some(peer) = tap("tcp_simultaneous") else { return };
    let (_, events) = peer.serve(80, Plan { on_finish: Then::Nothing, ..Plan::QUIET });
    for _ in 0..100 {
        let linux = peer.connect(80);
        let tcp = events.open();
        std::thread::scope(|scope| {
            scope.spawn(|| linux.shutdown(std::net::Shutdown::Write).unwrap());
            peer.tcp(tcp, |tcp| tcp.close().unwrap());
        });
        assert_eq!((&linux).read(&mut [0; 8]).unwrap(), 0, "each sees the other's end");
        // The stack hears of Linux's end only if that came first.
        while events.next() != Event::Closed {}
    }
    peer.all_over();
    peer.finish_clean(&[]);
}

#[test]
fn a_thousand_short_connections() {
    const COUNT: usize = 1_000;
    let Some(peer) = tap("tcp_many") else { return };
    let (_, events) = peer.serve(80, Plan::exchange(1, 300, 2));
    let connections = || {
        for _ in 0..COUNT / 2 {
            exchange(&peer.connect(80), 2, 200, (1, 300));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(connections);
        scope.spawn(connections);
    });
    let (mut finished, mut closed) = (0, 0);
    while closed < COUNT {
        match events.next() {
            Event::Finished(200) => finished += 1,
            Event::Closed => closed += 1,
            Event::Open | Event::Written => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(finished, COUNT);
    // And from the stack to Linux.
    let listener = peer.listen();
    let to = listener.local_addr().unwrap();
    for _ in 0..COUNT / 5 {
        let (_, events) = peer.dial(to, Plan::exchange(3, 100, 4));
        exchange(&accept(&listener), 4, 150, (3, 100));
        events.until(&Event::Finished(150));
        events.until(&Event::Closed);
    }
    peer.all_over();
    let Some(counters) = peer.finish_clean(&[]) else { return };
    assert_eq!(counters.tcp.opened as usize, COUNT + COUNT / 5);
    assert_eq!((counters.tcp.resets_sent, counters.tcp.backlog_full, counters.tcp.sacrificed), (0, 0, 0));
}

#[test]
fn silent_peers_are_probed_and_answer() {
    let Some(peer) = tap("tcp_keep_alive") else { return };
    let (_, events) = peer.serve(80, Plan::QUIET);
    let mut linux = peer.connect(80);
    let tcp = events.open();
    // Linux probes each second from the first on, and gives up after two without an answer.
    sockopt::set_tcp_keepidle(&linux, Duration::from_secs(1)).unwrap();
    sockopt::set_tcp_keepintvl(&linux, Duration::from_secs(1)).unwrap();
    sockopt::set_tcp_keepcnt(&linux, 2).unwrap();
    sockopt::set_socket_keepalive(&linux, true).unwrap();
    let before = peer.stack(|stack| stack.counters().tcp.segments_received);
    let received = || peer.stack(|stack| stack.counters().tcp.segments_received);
    assert!(soon(|| received() >= before + 3), "three probes");
    linux.write_all(b"still here").unwrap();
    assert_eq!(events.next(), Event::Data(b"still here".to_vec()));
    sockopt::set_socket_keepalive(&linux, false).unwrap();

    // The stack probes as well, more often.
    peer.tcp(tcp, |tcp| {
        tcp.set_keep_alive_times(Duration::from_millis(200), Duration::from_millis(100), 2).unwrap();
        tcp.set_keep_alive(true).unwrap();
    });
    let probes = || peer.stack(|stack| stack.counters().tcp.keep_alives);
    assert!(soon(|| probes() >= 3), "more than would be left unanswered");
    assert!(events.is_quiet());
    // Until nobody answers any more.
    peer.namespace.ip("link set tap0 down").unwrap();
    assert_eq!(events.next(), Event::Failed(Error::Timeout));
    peer.all_over();
    peer.finish_clean(&[RESET]);
}

#[test]
fn urgent_bytes_both_ways() {
    let Some(peer) = tap("tcp_urgent") else { return };
    let (_, events) = peer.serve(80, Plan::QUIET);
    let mut linux = peer.connect(80);
    linux.set_nodelay(true).unwrap();
    let tcp = events.open();
    linux.write_all(b"before").unwrap();
    assert_eq!(events.next(), Event::Data(b"before".to_vec()));
    send(&linux, b"urgent!", SendFlags::OOB).unwrap();
    assert_eq!(events.next(), Event::Urgent(7), "the urgent byte is the last of them");
    assert_eq!(events.next(), Event::Data(b"urgent!".to_vec()), "and in line, where it was sent");
    linux.write_all(b"after").unwrap();
    assert_eq!(events.next(), Event::Data(b"after".to_vec()));
    assert_eq!(peer.tcp(tcp, |tcp| tcp.urgent_remaining().unwrap()), 0);

    peer.tcp(tcp, |tcp| {
        tcp.write_bytes(b"before").unwrap();
        tcp.write_urgent(b"urgent!").unwrap();
    });
    let mut byte = [0];
    assert!(soon(|| recv(&linux, &mut byte, RecvFlags::OOB).is_ok_and(|(len, _)| len == 1)));
    assert_eq!(&byte, b"!");
    peer.tcp(tcp, |tcp| {
        tcp.write_bytes(b"after").unwrap();
        tcp.close().unwrap();
    });
    let mut rest = Vec::new();
    linux.read_to_end(&mut rest).unwrap();
    // Linux takes the one urgent byte out of line.
    assert_eq!(rest, b"beforeurgentafter");
    drop(linux);
    events.until(&Event::Closed);
    peer.all_over();
    peer.finish_clean(&[]);
}

#[test]
fn windows_that_nobody_opens_hold_the_sender_up_and_nothing_is_lost() {
    const BYTES: u64 = 3_000_000;
    let Some(peer) = tap("tcp_closed_windows") else { return };
    // The stack does not read.
    let plan = Plan { read: false, expect: Some(1), keep: false, on_finish: Then::Nothing, ..Plan::QUIET };
    let (_, events) = peer.serve(80, plan);
    let linux = peer.connect(80);
    let tcp = events.open();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            send_stream(&linux, 1, BYTES);
            linux.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let held =
            |peer: &Peer| peer.tcp(tcp, |tcp| (tcp.receive_window().unwrap(), tcp.receive_queued().unwrap()));
        let full = |peer: &Peer| soon(|| held(peer).0 == 0);
        assert!(full(&peer), "{:?}", held(&peer));
        std::thread::sleep(Duration::from_millis(500));
        assert!(held(&peer).1 >= 256 * 1024 && events.is_quiet(), "{:?}", held(&peer));
        // Now it reads, in odd pieces.
        let mut read = 0;
        while read < BYTES {
            read += peer.tcp(tcp, |tcp| {
                let piece = tcp.receive_queued().unwrap().min(31_337);
                tcp.recved(piece).unwrap();
                piece as u64
            });
        }
    });
    events.until(&Event::Finished(BYTES));
    peer.tcp(tcp, |tcp| tcp.close().unwrap());
    drop(linux);
    events.until(&Event::Closed);

    // Linux does not read.
    let (_, events) = peer.serve(81, Plan { then: Then::Close, send: (2, BYTES), ..Plan::QUIET });
    let linux = peer.connect(81);
    sockopt::set_socket_recv_buffer_size(&linux, 100_000).unwrap();
    let tcp = events.open();
    let stuck = |peer: &Peer| peer.tcp(tcp, |tcp| tcp.info().unwrap().send_window) == 0;
    assert!(soon(|| stuck(&peer)), "{:?}", peer.tcp(tcp, |tcp| tcp.info().unwrap()));
    assert!(soon(|| peer.stack(|stack| stack.counters().tcp.window_probes) >= 2), "and is asked");
    expect_stream(&linux, 2, BYTES);
    drop(linux);
    events.until(&Event::Closed);
    peer.all_over();
    peer.finish_clean(CLOSED_WINDOW);
}

#[test]
fn a_peer_that_is_not_there_is_given_up() {
    let host = peer::stack(|_, config| {
        config.neighbour_attempts = 2;
        config.neighbour_retry = Duration::from_millis(20);
        config.tcp.initial_rto = Duration::from_millis(50);
        config.tcp.syn_retries = 3;
    });
    let Some(peer) = tap_with("tcp_nobody", 1500, host) else { return };
    let (_, events) = peer.dial("192.0.2.77:80".parse().unwrap(), Plan::QUIET);
    loop {
        match events.next() {
            Event::Trouble(_) => {}
            last => break assert_eq!(last, Event::Failed(Error::Timeout)),
        }
    }
    // There was no checksum for tshark to see in this capture.
    peer.ping(1, 56);
    peer.finish_clean(&[]);
}
