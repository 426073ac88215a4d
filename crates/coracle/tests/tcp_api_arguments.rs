//! What is wrong with an argument is said by name, and changes nothing.

mod tcp_common;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use coracle::*;
use tcp_common::*;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn wrong_arguments_are_named() {
    let mut pair = Pair::new();
    let (app, _) = App::new();
    let handle = pair.client.stack.tcp_new(app).unwrap();
    let mut tcp = pair.client.stack.tcp(handle).unwrap();
    let end = |text: &str| -> SocketAddr { text.parse().unwrap() };
    assert_eq!(tcp.bind(end("203.0.113.1:1")), Err(Error::Value), "not ours");
    assert_eq!(tcp.bind(end("[::1]:1")), Err(Error::Value), "a family that is not spoken");
    for nobody in ["0.0.0.0:80", "255.255.255.255:80", "224.0.0.1:80", "192.0.2.255:80", "192.0.2.2:0"] {
        assert_eq!(tcp.connect(end(nobody)), Err(Error::Value), "{nobody} [RFC 9293 MUST-46]");
    }
    assert_eq!(tcp.connect(end("203.0.113.1:80")), Err(Error::Route));
    assert_eq!(tcp.set_ttl(0), Err(Error::Value));
    assert_eq!((tcp.set_priority(0), tcp.set_priority(128)), (Err(Error::Value), Err(Error::Value)));
    assert_eq!(tcp.set_mss(63), Err(Error::Value));
    assert_eq!(
        (tcp.set_receive_buffer(0), tcp.set_send_buffer(1 << 30)),
        (Err(Error::Value), Err(Error::Value))
    );
    let second = Duration::from_secs(1);
    for (idle, interval, count) in
        [(Duration::ZERO, second, 2), (second, Duration::ZERO, 2), (second, second, 1)]
    {
        assert_eq!(tcp.set_keep_alive_times(idle, interval, count), Err(Error::Value), "[RFC 9293 MUST-29]");
    }
    assert_eq!(tcp.write_bytes(b"too early"), Err(Error::NotConnected));
    assert_eq!(tcp.write_static(b"too early"), Err(Error::NotConnected));
    assert_eq!(tcp.shutdown(Shutdown::Send), Err(Error::NotConnected));
    assert_eq!(tcp.recved(1), Err(Error::Argument));
    assert_eq!((tcp.admit(), tcp.backlog_delay()), (Err(Error::Already), Err(Error::NotConnected)));
    assert_eq!(tcp.state(), TcpState::Closed, "none of that did anything");
    tcp.close().unwrap();
    assert_eq!(tcp.close(), Err(Error::Closed));
    assert_eq!((tcp.output(), tcp.abort().map(|_| ())), (Err(Error::Closed), Err(Error::Closed)));
}

#[test]
fn one_place_has_one_listener_and_a_connection_cannot_do_what_it_did() {
    let mut pair = Pair::new();
    let (app, _) = App::new();
    pair.listen(app.clone());
    assert_eq!(pair.server.stack.tcp_listen(server_end(), 1, app.clone()), Err(Error::InUse));
    let any = SocketAddr::from(([0, 0, 0, 0], PORT));
    assert_eq!(pair.server.stack.tcp_listen(any, 1, app.clone()), Err(Error::InUse), "it overlaps");
    assert_eq!(pair.server.stack.tcp_usage().connections, 0, "nothing is left of the attempts");
    let handle = pair.connect(app);
    pair.run(SHORT);
    let mut tcp = pair.client.stack.tcp(handle).unwrap();
    assert_eq!(tcp.connect(server_end()), Err(Error::IsConnected));
    assert_eq!(tcp.bind(any), Err(Error::IsConnected));
    assert_eq!(tcp.listen(1), Err(Error::IsConnected));
    assert_eq!(tcp.set_mss(500), Err(Error::IsConnected));
    assert_eq!(tcp.set_congestion_control(&NEW_RENO), Ok(()));
}

/// What does not fit is refused whole, and comes back; the partial form takes what fits.
#[test]
fn a_write_is_taken_whole_or_not_at_all() {
    let mut pair = Pair::with(|config, _| config.tcp.send_buffer = 1_000);
    let (server, log) = App::new();
    log.borrow_mut().hold_window = true;
    pair.listen(server);
    let (client, _) = App::new();
    let handle = pair.connect(client);
    pair.run(SHORT);
    let mut tcp = pair.client.stack.tcp(handle).unwrap();
    assert_eq!(tcp.write_bytes(&[1; 1_001]), Err(Error::Memory));
    let data = tcp.stack().memory().from_static(&[2; 1_001]).unwrap();
    let Err(rejected) = tcp.write(data) else { panic!("it does not fit") };
    assert_eq!((rejected.error, rejected.data.len()), (Error::Memory, 1_001));
    assert_eq!(tcp.send_queued(), Ok(0));
    assert_eq!(tcp.write_some(&[3; 1_500]), Ok(1_000));
    assert_eq!(tcp.write_some(&[4; 1]), Err(Error::WouldBlock));
    assert_eq!(tcp.send_buffer(), Ok(0));
    pair.run(SHORT);
    assert_eq!(log.borrow().received, [3; 1_000]);
    assert_eq!(pair.client.stack.tcp(handle).unwrap().send_buffer(), Ok(1_000));
}

#[test]
fn the_poll_timer_comes_as_often_as_it_was_set() {
    let mut pair = Pair::new();
    let (server, _) = App::new();
    pair.listen(server);
    let (client, log) = App::new();
    let handle = pair.connect(client);
    pair.run(SHORT);
    pair.client.stack.tcp(handle).unwrap().set_poll_interval(Some(Duration::from_millis(500))).unwrap();
    pair.run(Duration::from_millis(2_100));
    let polls = |log: &Log| log.borrow().heard.iter().filter(|heard| **heard == Heard::Polled).count();
    assert_eq!(polls(&log), 4);
    pair.client.stack.tcp(handle).unwrap().set_poll_interval(None).unwrap();
    pair.run(Duration::from_secs(2));
    assert_eq!(polls(&log), 4);
}

/// On a host a handler that panics takes nobody with it.
#[test]
fn a_handler_that_panics_leaves_a_stack_that_serves() {
    let mut pair = Pair::new();
    let (server, log) = App::new();
    log.borrow_mut().admission = None;
    let listener = pair.listen(server);
    // It is asked without having said what it decides, and panics.
    pair.server.stack.tcp_listener(listener).unwrap().set_ask(true).unwrap();
    let (client, client_log) = App::new();
    pair.connect(client.clone());
    let panicked = catch_unwind(AssertUnwindSafe(|| pair.run(SHORT)));
    assert!(panicked.is_err());
    let (again, _) = App::new();
    let mut door = pair.server.stack.tcp_listener(listener).unwrap();
    door.set_ask(false).unwrap();
    door.set_handler(again).unwrap();
    pair.connect(client);
    pair.run(Duration::from_secs(3));
    assert!(client_log.borrow().heard.contains(&Heard::Connected));
}
