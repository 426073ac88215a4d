//! Listeners: who gets in, who waits, who gives way.

mod tcp_common;

use std::time::Duration;

use coracle::{Admission, Error, SynCookies, TcpState};
use tcp_common::*;

const SHORT: Duration = Duration::from_millis(50);

fn states(pair: &mut Pair) -> Vec<TcpState> {
    let handles: Vec<_> = pair.server.stack.tcp_connections().collect();
    handles.into_iter().map(|handle| pair.server.stack.tcp(handle).unwrap().state()).collect()
}

/// lwIP's backlog: half-open connections and those not yet accepted count; what does not fit gets no answer.
#[test]
fn a_full_backlog_answers_nobody_until_there_is_room() {
    let mut pair = Pair::with(|config, _| config.tcp.syn_cookies = SynCookies::Never);
    let (server, log) = App::new();
    log.borrow_mut().delay_backlog = true;
    let listener = pair.server.stack.tcp_listen(server_end(), 2, server).unwrap();
    let (client, _) = App::new();
    for _ in 0..3 {
        pair.connect(client.clone());
    }
    pair.run(SHORT);
    assert_eq!(states(&mut pair), [TcpState::Established; 2]);
    assert_eq!(pair.server.stack.tcp_listener(listener).unwrap().pending(), Ok(2));
    assert!(pair.server.stack.counters().tcp.backlog_full > 0);
    let first = log.borrow().handles[0];
    pair.server.stack.tcp(first).unwrap().backlog_accepted().unwrap();
    pair.run(Duration::from_secs(2));
    assert_eq!(states(&mut pair).len(), 3, "the SYN that came again found room");
}

/// An application may decide upon a SYN before it is answered: later, or by RST.
#[test]
fn an_application_decides_who_is_answered() {
    let mut pair = Pair::new();
    let (server, log) = App::new();
    log.borrow_mut().admission = Some(Admission::Hold);
    let listener = pair.listen(server);
    pair.server.stack.tcp_listener(listener).unwrap().set_ask(true).unwrap();
    let (client, client_log) = App::new();
    pair.connect(client.clone());
    pair.run(SHORT);
    assert_eq!(log.borrow().heard, [Heard::Asked]);
    assert!(client_log.borrow().heard.is_empty(), "no answer yet");
    let held = log.borrow().handles[0];
    pair.server.stack.tcp(held).unwrap().admit().unwrap();
    assert_eq!(pair.server.stack.tcp(held).unwrap().admit(), Err(Error::Already));
    pair.run(SHORT);
    assert_eq!(client_log.borrow().heard, [Heard::Connected]);
    assert_eq!(log.borrow().heard, [Heard::Asked, Heard::Accepted]);

    log.borrow_mut().admission = Some(Admission::Refuse);
    pair.connect(client.clone());
    pair.run(SHORT);
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Error(Error::Reset)));

    log.borrow_mut().admission = Some(Admission::Admit);
    pair.connect(client);
    pair.run(SHORT);
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Connected));
}

/// Who is not accepted is reset, and so is who waits when the listener closes.
#[test]
fn who_is_not_accepted_is_reset() {
    let mut pair = Pair::new();
    let (server, log) = App::new();
    log.borrow_mut().accept_nobody = true;
    let listener = pair.listen(server);
    let (client, client_log) = App::new();
    pair.connect(client.clone());
    pair.run(SHORT);
    assert_eq!(client_log.borrow().heard, [Heard::Connected, Heard::Error(Error::Reset)]);

    log.borrow_mut().admission = Some(Admission::Hold);
    pair.server.stack.tcp_listener(listener).unwrap().set_ask(true).unwrap();
    pair.connect(client);
    pair.run(SHORT);
    pair.server.stack.tcp_listener_close(listener).unwrap();
    pair.run(SHORT);
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Error(Error::Reset)));
    assert_eq!(pair.server.stack.tcp_usage().connections, 0);
}

/// No connection is lost between listening and setting the handler, nor is its data.
#[test]
fn connections_wait_for_a_handler() {
    let mut pair = Pair::new();
    let listener = pair.server.stack.tcp_listen(server_end(), 4, None).unwrap();
    let (client, client_log) = App::new();
    client_log.borrow_mut().to_send.extend(b"early");
    pair.connect(client);
    pair.run(SHORT);
    let (server, log) = App::new();
    pair.server.stack.tcp_listener(listener).unwrap().set_handler(server).unwrap();
    pair.run(SHORT);
    assert_eq!(log.borrow().heard, [Heard::Accepted, Heard::Data(5)]);
    assert_eq!(log.borrow().received, b"early");
}

#[test]
fn connections_inherit_what_their_listener_was_given() {
    let mut pair = Pair::new();
    let (server, log) = App::new();
    let listener = pair.listen(server);
    let mut door = pair.server.stack.tcp_listener(listener).unwrap();
    door.set_priority(90).unwrap();
    door.set_ttl(9).unwrap();
    door.set_keep_alive(true).unwrap();
    door.set_keep_alive_times(Duration::from_secs(3), Duration::from_secs(1), 2).unwrap();
    let (client, _) = App::new();
    pair.connect(client);
    pair.run(SHORT);
    let connection = log.borrow().handles[0];
    assert_eq!(pair.server.stack.tcp(connection).unwrap().priority(), Ok(90));
    let ttls = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = ttls.clone();
    pair.fate = Some(Box::new(move |packet| {
        if packet[12..16] == SERVER.octets() {
            seen.borrow_mut().push(packet[8]);
        }
        vec![Duration::ZERO]
    }));
    pair.run(Duration::from_secs(4));
    assert_eq!(*ttls.borrow(), [9], "one keep-alive probe, with the listener's time-to-live");
}

/// lwIP's order of sacrifice: a strictly lower priority gives way to a higher one, an equal one never.
#[test]
fn the_lowest_priority_gives_way_to_a_higher_one() {
    let mut pair = Pair::with(|config, limits| {
        config.tcp.syn_cookies = SynCookies::Never;
        limits.tcp = 2;
    });
    let (server, log) = App::new();
    let listener = pair.server.stack.tcp_listen(server_end(), 8, server).unwrap();
    let (client, client_log) = App::new();
    let clients: Vec<_> = (0..2).map(|_| pair.connect(client.clone())).collect();
    pair.run(SHORT);
    let (low, high) = (log.borrow().handles[0], log.borrow().handles[1]);
    pair.server.stack.tcp(low).unwrap().set_priority(10).unwrap();
    pair.server.stack.tcp(high).unwrap().set_priority(100).unwrap();
    // The listener's connections are of normal priority: lower than one, higher than the other.
    pair.client.stack.tcp(clients[1]).unwrap().abort().unwrap();
    pair.run(SHORT);
    pair.connect(client.clone());
    pair.run(SHORT);
    assert_eq!(pair.server.stack.counters().tcp.sacrificed, 0, "there was room");
    pair.server.stack.tcp_listener(listener).unwrap().set_priority(64).unwrap();
    pair.client.stack.tcp(clients[0]).unwrap().set_reuse_address(true).unwrap();
    let heard = log.borrow().heard.len();
    let spare = pair.server.stack.tcp_new(None).unwrap();
    pair.run(SHORT);
    assert_eq!(pair.server.stack.counters().tcp.sacrificed, 1);
    assert_eq!(log.borrow().heard[heard..], [Heard::Error(Error::Aborted)]);
    assert!(pair.server.stack.tcp(low).is_err(), "the lowest was it");
    assert_eq!(client_log.borrow().heard.last(), Some(&Heard::Error(Error::Reset)), "its peer was told");
    assert_eq!(pair.server.stack.tcp_new(None), Err(Error::Memory), "an equal one does not give way");
    pair.server.stack.tcp(spare).unwrap().close().unwrap();
}
