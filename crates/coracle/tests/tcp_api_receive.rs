//! What the receiving side of the TCP API promises: order, refused data, the window, the end of the stream.

mod tcp_common;

use std::time::Duration;

use tcp_common::*;

use coracle::{Shutdown, SynCookies};

/// [RFC 9293 SHLD-31] What came behind a gap is delivered as soon as that is filled, and nothing of it is sent again.
#[test]
fn one_lost_segment_is_all_that_is_sent_again() {
    let mut pair = Pair::new();
    let mut large = 0;
    pair.fate = Some(Box::new(move |frame| {
        large += u32::from(frame.len() > 1_000);
        if large == 3 && frame.len() > 1_000 { vec![] } else { vec![Duration::ZERO] }
    }));
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    let bytes = pattern(14_000);
    client_log.borrow_mut().to_send.extend(&bytes);
    pair.connect(client);
    pair.run(Duration::from_secs(1));
    assert!(server_log.borrow().received == bytes);
    let counters = pair.client.stack.counters().tcp;
    assert_eq!((counters.retransmitted, counters.timeouts), (1, 0));
}

/// What a peer sent before it closed is offered until it is taken, though the connection itself is over: the peer
/// knows of our FIN, and is gone.
#[test]
fn refused_data_outlives_the_connection() {
    let mut pair = Pair::new();
    let (server, server_log) = App::new();
    server_log.borrow_mut().refuse = 20;
    server_log.borrow_mut().close_on_finish = false;
    server_log.borrow_mut().to_send.extend(b"bye");
    pair.listen(server);
    let (client, client_log) = App::new();
    client_log.borrow_mut().to_send.extend(b"hello");
    let tcp = pair.connect(client);
    pair.run(Duration::from_millis(20));
    pair.client.stack.tcp(tcp).unwrap().shutdown(Shutdown::Send).unwrap();
    pair.run(Duration::from_millis(20));
    let accepted = server_log.borrow().handles[0];
    pair.server.stack.tcp(accepted).unwrap().shutdown(Shutdown::Send).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Closed));
    let expected = [Heard::Accepted, Heard::Sent(3), Heard::Data(5), Heard::Finished, Heard::Closed];
    assert_eq!(server_log.borrow().heard, expected);
    assert_eq!((memory_used(&pair.client.stack), memory_used(&pair.server.stack)), (0, 0));
}

/// The last acknowledgment tells of data, too.
#[test]
fn all_that_is_acknowledged_is_reported_even_at_the_end() {
    let mut pair = Pair::new();
    let (server, server_log) = App::new();
    server_log.borrow_mut().to_send.extend(pattern(100));
    server_log.borrow_mut().close_when_sent = true;
    pair.listen(server);
    let (client, _) = App::new();
    pair.connect(client);
    pair.run(Duration::from_secs(1));
    let heard = server_log.borrow().heard.clone();
    let sent: usize = heard.iter().map(|heard| if let Heard::Sent(count) = heard { *count } else { 0 }).sum();
    assert_eq!((sent, heard.last()), (100, Some(&Heard::Closed)));
}

/// [RFC 4987 §3.6] A connection made of a cookie never sent its SYN from memory; that is not data.
#[test]
fn the_syn_of_a_cookie_is_not_reported_as_sent() {
    let mut pair = Pair::with(|config, _| config.tcp.syn_cookies = SynCookies::Always);
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    client_log.borrow_mut().to_send.extend(b"hello");
    pair.connect(client);
    pair.run(Duration::from_secs(1));
    assert_eq!(server_log.borrow().heard, [Heard::Accepted, Heard::Data(5)]);
    let accepted = server_log.borrow().handles[0];
    let info = pair.server.stack.tcp(accepted).unwrap().info().unwrap();
    assert_eq!(info.bytes_acknowledged, 0);
}

/// A connection that is over but for refused data ends when the application wants that no more.
#[test]
fn closing_ends_the_wait_of_refused_data_though_the_peer_is_gone() {
    for which in [Shutdown::Both, Shutdown::Receive] {
        let mut pair = Pair::new();
        let (server, server_log) = App::new();
        server_log.borrow_mut().refuse = 1_000;
        pair.listen(server);
        let (client, client_log) = App::new();
        client_log.borrow_mut().to_send.extend(b"hello");
        client_log.borrow_mut().close_when_sent = true;
        pair.connect(client);
        pair.run(Duration::from_millis(20));
        let accepted = server_log.borrow().handles[0];
        pair.server.stack.tcp(accepted).unwrap().shutdown(Shutdown::Send).unwrap();
        pair.run(Duration::from_millis(100));
        assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Closed));
        pair.server.stack.tcp(accepted).unwrap().shutdown(which).unwrap();
        pair.run(Duration::from_millis(100));
        assert_eq!(server_log.borrow().heard, [Heard::Accepted, Heard::Closed]);
        assert_eq!(memory_used(&pair.server.stack), 0);
    }
}

/// [RFC 9293 MUST-33] The FIN that comes with the last urgent byte is not counted for one.
#[test]
fn the_last_byte_may_be_urgent() {
    let mut pair = Pair::new();
    let (server, server_log) = App::new();
    server_log.borrow_mut().refuse = 1_000;
    pair.listen(server);
    let (client, _) = App::new();
    let tcp = pair.connect(client);
    pair.run(Duration::from_millis(10));
    let mut connection = pair.client.stack.tcp(tcp).unwrap();
    connection.write_urgent(b"!").unwrap();
    connection.close().unwrap();
    pair.run(Duration::from_millis(10));
    let accepted = server_log.borrow().handles[0];
    assert_eq!(pair.server.stack.tcp(accepted).unwrap().urgent_remaining(), Ok(1));
    assert!(server_log.borrow().heard.contains(&Heard::Urgent));
}
