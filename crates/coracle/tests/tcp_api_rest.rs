//! Writes that announce more, windows beyond 64 KiB, and callbacks that end all other connections.

mod tcp_common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tcp_common::*;

use coracle::{CUBIC, CongestionControl, Error, NEW_RENO};

const PSH: u8 = 0x08;

/// Writes something.
type Write = fn(&mut coracle::Tcp<'_, App>);

/// [RFC 9293 MUST-60, MUST-61] The end of what was written is pushed, but not where more was announced.
#[test]
fn what_more_follows_on_is_not_pushed() {
    let mut pair = Pair::with(|config, _| config.tcp.nagle = false);
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    let tcp = pair.connect(client);
    pair.run(Duration::from_secs(1));
    assert_eq!(client_log.borrow().heard, [Heard::Connected]);
    // Length of the data and the flags of each segment that has any.
    let segments = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&segments);
    pair.fate = Some(Box::new(move |packet| {
        let header = usize::from(packet[20 + 12] >> 4) * 4;
        if packet.len() > 20 + header {
            seen.borrow_mut().push((packet.len() - 20 - header, packet[20 + 13] & PSH));
        }
        vec![Duration::ZERO]
    }));
    let writes: [(Write, u8); 4] = [
        (|tcp| tcp.write_bytes_more(b"more").unwrap(), 0),
        (|tcp| tcp.write_bytes(b"last").unwrap(), PSH),
        (|tcp| tcp.write_static_more(b"more").unwrap(), 0),
        (|tcp| tcp.write_static(b"last").unwrap(), PSH),
    ];
    for (write, push) in writes {
        write(&mut pair.client.stack.tcp(tcp).unwrap());
        pair.run(Duration::from_millis(500));
        assert_eq!(segments.borrow_mut().drain(..).collect::<Vec<_>>(), [(4, push)]);
    }
    assert_eq!(server_log.borrow().received, b"morelastmorelast");
    // Two writes at once are one segment, and the second decides.
    let mut connection = pair.client.stack.tcp(tcp).unwrap();
    connection.write_bytes_more(b"one ").unwrap();
    connection.write_bytes(b"segment").unwrap();
    pair.run(Duration::from_millis(500));
    assert_eq!(*segments.borrow(), [(11, PSH)]);
}

/// Unlike lwIP's 16-bit count, one call tells that more than 64 KiB are done with.
#[test]
fn a_large_window_opens_again_by_one_call() {
    let mut pair = Pair::with(|config, _| {
        config.tcp.window = 1 << 18;
        config.tcp.send_buffer = 1 << 20;
    });
    let (server, server_log) = App::new();
    server_log.borrow_mut().hold_window = true;
    pair.listen(server);
    let (client, client_log) = App::new();
    let bytes = pattern(400_000);
    client_log.borrow_mut().to_send.extend(&bytes);
    pair.connect(client);
    pair.run(Duration::from_secs(20));
    let held = server_log.borrow().received.len();
    assert!(((1 << 18) - 1_460..=1 << 18).contains(&held), "{held}");
    let handle = server_log.borrow().handles[0];
    let mut connection = pair.server.stack.tcp(handle).unwrap();
    assert!(connection.receive_window().unwrap() < 1_460);
    assert_eq!(connection.receive_queued().unwrap(), held);
    connection.recved(held).unwrap();
    assert_eq!(connection.receive_queued().unwrap(), 0);
    server_log.borrow_mut().hold_window = false;
    pair.run(Duration::from_secs(20));
    assert!(server_log.borrow().received == bytes);
}

/// Each callback may end every other connection, those in line for their own callbacks too.
#[test]
fn any_callback_aborts_all_other_connections() {
    let occasions = [
        Heard::Accepted,
        Heard::Connected,
        Heard::Data(0),
        Heard::Sent(0),
        Heard::Urgent,
        Heard::Polled,
        Heard::Finished,
        Heard::Error(Error::Reset),
        Heard::Closed,
    ];
    for occasion in occasions {
        for on_server in [true, false] {
            let mut pair = Pair::new();
            let (server, server_log) = App::new();
            server_log.borrow_mut().echo = true;
            pair.listen(server);
            let (client, client_log) = App::new();
            let log = if on_server { &server_log } else { &client_log };
            log.borrow_mut().strikes_at = Some(occasion.clone());
            let handles: Vec<_> = (0..5).map(|_| pair.connect(client.clone())).collect();
            client_log.borrow_mut().to_send.extend(pattern(20_000));
            pair.run(Duration::from_millis(40));
            for &handle in &handles {
                let Ok(mut tcp) = pair.client.stack.tcp(handle) else { continue };
                tcp.set_poll_interval(Some(Duration::from_millis(50))).unwrap();
                tcp.write_urgent(b"!").unwrap();
            }
            for handle in server_log.borrow().handles.clone() {
                if let Ok(mut tcp) = pair.server.stack.tcp(handle) {
                    tcp.set_poll_interval(Some(Duration::from_millis(50))).unwrap();
                    tcp.write_urgent(b"?").unwrap();
                }
            }
            pair.run(Duration::from_millis(400));
            let heard = |heard: &Heard| core::mem::discriminant(heard) == core::mem::discriminant(&occasion);
            // Those that are left close one after the other, or are aborted by their peer.
            for (number, &handle) in handles.iter().enumerate() {
                let Ok(mut tcp) = pair.client.stack.tcp(handle) else { continue };
                if number % 2 == 0 {
                    tcp.close().unwrap();
                } else {
                    drop(tcp.abort());
                }
                pair.run(Duration::from_millis(20));
            }
            pair.run(Duration::from_mins(5));
            // Only one side accepts or connects; the client ends the connections, and hears of no other end.
            let on_other_side = match occasion {
                Heard::Accepted | Heard::Finished | Heard::Error(_) => !on_server,
                Heard::Connected => on_server,
                _ => false,
            };
            let happened = log.borrow().heard.iter().any(heard);
            assert!(happened || on_other_side, "{occasion:?}, on the server: {on_server}");
            for host in [&pair.client, &pair.server] {
                assert_eq!(memory_used(&host.stack), 0, "{occasion:?}");
                assert_eq!(host.stack.tcp_usage().connections, 0, "{occasion:?}");
                assert_eq!(host.stack.tcp_usage().segments, 0, "{occasion:?}");
            }
        }
    }
}

/// [RFC 9293 MAY-18] The algorithm may change at any time: the window stays, and grows on by the other's rules.
#[test]
fn the_congestion_control_of_a_connection_that_stands_changes() {
    let mut pair = Pair::new();
    pair.delay = Duration::from_millis(20);
    let mut dice = Dice(7);
    pair.fate = Some(Box::new(move |_| if dice.one_in(150) { vec![] } else { vec![Duration::ZERO] }));
    let (server, server_log) = App::new();
    pair.listen(server);
    let (client, client_log) = App::new();
    let bytes = pattern(2_000_000);
    client_log.borrow_mut().to_send.extend(&bytes);
    let tcp = pair.connect(client);
    let algorithms: [&'static dyn CongestionControl; 2] = [&NEW_RENO, &CUBIC];
    for algorithm in algorithms.into_iter().cycle().take(30) {
        pair.run(Duration::from_millis(70));
        let mut connection = pair.client.stack.tcp(tcp).unwrap();
        let before = connection.info().unwrap();
        connection.set_congestion_control(algorithm).unwrap();
        let after = connection.info().unwrap();
        assert_eq!(before.congestion_window, after.congestion_window);
        assert_eq!(before.slow_start_threshold, after.slow_start_threshold);
    }
    assert!(pair.client.stack.tcp(tcp).unwrap().info().unwrap().slow_start_threshold < u32::MAX);
    pair.run(Duration::from_mins(2));
    assert!(server_log.borrow().received == bytes);
}
