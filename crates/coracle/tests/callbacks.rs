//! What a callback may do: remove itself, others or all, make new ones, call back into the stack, and panic.

mod common;
use common::*;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use coracle::*;

fn to_port(port: u16) -> Packet {
    Packet::udp("192.0.2.9:5000", &format!("192.0.2.2:{port}"), b"call")
}

/// Three control blocks that share a port; the first to be called removes what `remove` says.
fn sharing(remove: impl Fn(usize, usize) -> bool + Copy + 'static) -> (Host, Vec<UdpHandle>) {
    let mut host = host();
    let handles = Rc::new(RefCell::new(Vec::new()));
    for (number, who) in ["a", "b", "c"].into_iter().enumerate() {
        let all = Rc::clone(&handles);
        let app = host.app(who).on_datagram(move |udp, _, _| {
            let all: Vec<UdpHandle> = all.borrow().clone();
            for (other, &handle) in all.iter().enumerate() {
                if remove(number, other) {
                    udp.stack().udp_remove(handle).ok();
                }
            }
        });
        let udp = host.stack.udp_new(app).unwrap();
        host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
        host.stack.udp(udp).unwrap().bind("0.0.0.0:67".parse().unwrap()).unwrap();
        handles.borrow_mut().push(udp);
    }
    let handles = handles.borrow().clone();
    (host, handles)
}

fn broadcast(host: &mut Host) -> Vec<&'static str> {
    host.input(Packet::udp("192.0.2.9:68", "255.255.255.255:67", b"all").frame());
    let mut who = host.who_heard();
    who.sort_unstable();
    assert_eq!(host.memory_used(), (0, 0, 0));
    who
}

#[test]
fn takers_of_a_broadcast_may_remove_themselves_each_other_and_all() {
    let (mut host, _) = sharing(|own, other| own == other);
    assert_eq!(broadcast(&mut host), ["a", "b", "c"]);
    assert_eq!(broadcast(&mut host), [""; 0]);

    let (mut host, _) = sharing(|own, other| own != other);
    assert_eq!(broadcast(&mut host).len(), 1, "whoever is first removes the others");
    assert_eq!(broadcast(&mut host).len(), 1);

    let (mut host, _) = sharing(|_, _| true);
    assert_eq!(broadcast(&mut host).len(), 1);
    assert_eq!(broadcast(&mut host), [""; 0]);

    let (mut host, _) = sharing(|_, other| other == 1);
    let heard = broadcast(&mut host);
    assert!(heard.contains(&"a") && heard.contains(&"c"));
    assert_eq!(broadcast(&mut host), ["a", "c"]);
}

/// A new control block in the place of a removed one does not get what was the removed one's.
#[test]
fn a_control_block_made_within_a_callback_does_not_hear_the_datagram_that_is_being_delivered() {
    let (mut host, handles) = sharing(|_, _| false);
    let log = Rc::clone(&host.log);
    let app = host.app("replacer").on_datagram(move |udp, _, _| {
        let stack = udp.stack();
        for &handle in &handles {
            if stack.udp_remove(handle).is_ok() {
                let fresh = stack.udp_new(App::new("fresh", &log)).unwrap();
                stack.udp(fresh).unwrap().set_reuse_address(true).unwrap();
                stack.udp(fresh).unwrap().bind("0.0.0.0:67".parse().unwrap()).unwrap();
            }
        }
    });
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
    host.stack.udp(udp).unwrap().bind("0.0.0.0:67".parse().unwrap()).unwrap();
    let heard = broadcast(&mut host);
    assert!(!heard.contains(&"fresh"), "{heard:?}");
    assert!(broadcast(&mut host).contains(&"fresh"));
}

#[test]
fn the_last_taker_removed_keeps_nothing_else_from_happening() {
    let (mut host, _) = sharing(|own, other| own != other);
    host.add(&NetifConfig::loopback());
    host.udp("looped", 9);
    let app = host.app("sender").on_datagram(|udp, _, _| {
        udp.send_bytes_to(b"x", "127.0.0.1:9".parse().unwrap()).unwrap();
    });
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
    host.stack.udp(udp).unwrap().bind("0.0.0.0:67".parse().unwrap()).unwrap();
    host.input(Packet::udp("192.0.2.9:68", "255.255.255.255:67", b"all").frame());
    let heard = host.who_heard();
    assert!(heard.contains(&"looped"), "delivered before the call returns: {heard:?}");
}

#[test]
fn calls_back_into_the_stack_do_not_nest() {
    let mut host = host();
    let netif = host.netif;
    let inner = to_port(8).frame();
    let log = Rc::clone(&host.log);
    let app = host.app("outer").on_datagram(move |udp, _, _| {
        let calls = log.borrow().len();
        let stack = udp.stack();
        let mut frame = stack.memory().alloc(Layer::Raw, inner.len(), Kind::Pool).unwrap();
        frame.take(&inner).unwrap();
        stack.input(netif, frame, Instant::from_secs(99)).unwrap();
        assert!(stack.poll(Instant::from_secs(99)).is_some(), "something is to be done");
        stack.netif(netif).unwrap().set_link_up(false).unwrap();
        stack.netif(netif).unwrap().set_link_up(true).unwrap();
        assert_eq!(log.borrow().len(), calls, "a callback ran within a callback");
        assert_eq!(stack.now(), Instant::from_secs(1), "time stands still within a callback");
    });
    host.udp_of(app, 7);
    host.udp("inner", 8);
    host.input(to_port(7).frame());
    assert_eq!(host.who_heard(), ["outer", "inner"]);
}

/// One frame handed to two interfaces, as a bridge does, comes in on each.
#[test]
fn a_frame_shared_between_two_interfaces_comes_in_on_both() {
    let mut host = host();
    let tunnel = host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new([10, 0, 0, 1].into(), 24)));
    let second = host.add(&NetifConfig::ip().ipv4(Ipv4Settings::new([10, 0, 1, 1].into(), 24)));
    let packet = Packet::udp("172.16.0.1:5", "10.0.0.1:8", b"both").packet();
    let app = host.app("bridge").on_datagram(move |udp, _, _| {
        let stack = udp.stack();
        let mut frame = stack.memory().alloc(Layer::Raw, packet.len(), Kind::Pool).unwrap();
        frame.take(&packet).unwrap();
        stack.input(tunnel, frame.clone(), Instant::ZERO).unwrap();
        stack.input(second, frame, Instant::ZERO).unwrap();
    });
    host.udp_of(app, 7);
    host.udp("inner", 8);
    host.input(to_port(7).frame());
    let netif = |heard: &Heard| match heard {
        Heard::Datagram { packet, .. } => packet.netif,
        other => panic!("{other:?}"),
    };
    let netifs: Vec<NetifHandle> = host.heard().iter().map(netif).collect();
    assert_eq!(netifs, [host.netif, tunnel, second]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// Two control blocks that answer each other for ever leave the owner of the stack his turn.
#[test]
fn an_endless_conversation_with_ourselves_comes_back_to_the_owner() {
    let mut host = host();
    host.add(&NetifConfig::loopback());
    for port in [7, 8] {
        let app = host.app("echo").on_datagram(|udp, from, data| udp.send_to(data, from).unwrap());
        host.udp_of(app, port);
    }
    let first = host.udp("first", 9);
    let send = UdpSend { remote: "127.0.0.1:7".parse().ok(), source_port: Some(8), ..UdpSend::default() };
    let data = host.data(b"for ever");
    host.stack.udp(first).unwrap().send_with(data, &send).unwrap();
    let tick = host.app("tick");
    host.stack.timeout(Duration::ZERO, tick).unwrap();
    for round in 1..=3 {
        assert_eq!(host.stack.poll(host.now), Some(host.now), "there is more to do");
        let heard = host.who_heard();
        assert!((1..=65).contains(&heard.len()), "{} in round {round}", heard.len());
        assert_eq!(heard.contains(&"tick"), round == 1, "the timer waits for its turn");
    }
}

#[test]
fn a_callback_may_make_timers_control_blocks_and_listeners() {
    let mut host = host();
    let log = Rc::clone(&host.log);
    let app = host.app("maker").on_datagram(move |udp, _, _| {
        let stack = udp.stack();
        stack.timeout(Duration::from_secs(1), App::new("timer", &log)).unwrap();
        let new = stack.udp_new(App::new("made", &log)).unwrap();
        stack.udp(new).unwrap().bind("0.0.0.0:8".parse().unwrap()).unwrap();
        stack.raw_new(200, App::new("raw", &log)).unwrap();
        stack.netif_listen(None, Reasons::ALL, App::new("listener", &log)).unwrap();
    });
    let maker = host.udp_of(app, 7);
    host.input(to_port(7).frame());
    host.stack.udp_remove(maker).unwrap();
    host.input(to_port(8).frame());
    host.input(Packet::new(PEER, OURS, 200, vec![1]).frame());
    host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap();
    host.advance(Duration::from_secs(1));
    assert_eq!(host.who_heard(), ["maker", "made", "raw", "listener", "timer"]);
}

/// [pitfalls: callbacks] A callback panics (hosts only): who catches that has a stack that serves on.
#[test]
fn after_a_panic_in_a_callback_the_stack_serves_on_and_nothing_is_leaked() {
    let mut host = host();
    host.meet_peer();
    let app = host.app("panics").on_datagram(|_, _, _| panic!("on purpose"));
    let broken = host.udp_of(app, 7);
    host.udp("well", 8);
    let frame = host.frame(&to_port(7).frame());
    let (netif, now) = (host.netif, host.now);
    let stack = &mut host.stack;
    assert!(catch_unwind(AssertUnwindSafe(|| stack.input(netif, frame, now))).is_err());
    assert_eq!((host.who_heard(), host.memory_used()), (vec!["panics"], (0, 0, 0)));
    host.input(to_port(8).frame());
    host.input(to_port(7).frame());
    assert_eq!(host.who_heard(), ["well"], "the handler that panicked is gone");
    host.input(Packet::ping(1, 1, b"").frame());
    assert_eq!(host.sent_one().icmp().0, 0);
    assert!(host.stack.udp_remove(broken).unwrap().is_none());
    host.udp("its successor", 7);
    host.input(to_port(7).frame());
    assert_eq!(host.who_heard(), ["its successor"]);
}

/// What was to go to further takers of a broadcast is dropped with the panic, not delivered as part of the next.
#[test]
fn after_a_panic_the_rest_of_a_broadcast_is_not_delivered_as_something_else() {
    let mut host = host();
    for who in ["a", "b"] {
        let app = host.app(who).on_datagram(|_, _, _| panic!("on purpose"));
        let udp = host.stack.udp_new(app).unwrap();
        host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
        host.stack.udp(udp).unwrap().bind("0.0.0.0:67".parse().unwrap()).unwrap();
    }
    let frame = host.frame(&Packet::udp("192.0.2.9:68", "255.255.255.255:67", b"all").frame());
    let (netif, now) = (host.netif, host.now);
    let stack = &mut host.stack;
    assert!(catch_unwind(AssertUnwindSafe(|| stack.input(netif, frame, now))).is_err());
    assert_eq!(host.memory_used(), (0, 0, 0), "the datagram is still held");
    assert_eq!(host.heard().len(), 1);
    host.poll();
    assert!(host.heard().is_empty());
}

#[test]
fn timers_whose_callbacks_panic_do_not_use_up_the_table() {
    let mut host = Host::configured(|setup| setup.limits.timeouts = 2);
    for _ in 0..5 {
        let app = host.app("panics").on_timeout(|_| panic!("on purpose"));
        let timer = host.stack.timeout(Duration::from_secs(1), app).expect("a free timer");
        host.now = host.now + Duration::from_secs(1);
        let (stack, now) = (&mut host.stack, host.now);
        assert!(catch_unwind(AssertUnwindSafe(|| stack.poll(now))).is_err());
        assert_eq!(host.stack.untimeout(timer).err(), Some(Error::Closed));
    }
    let app = host.app("fires");
    host.stack.timeout(Duration::from_secs(1), app).unwrap();
    host.heard();
    host.advance(Duration::from_secs(1));
    assert_eq!(host.who_heard(), ["fires"]);
}

/// The owner gets its turn: at the next poll the change that is still to be told is told.
#[test]
fn a_listener_that_changes_its_interface_at_every_call_does_not_hold_the_stack_for_ever() {
    let mut host = Host::configured(|setup| setup.config.backlog = 5);
    let app = host.app("listener").on_netif(|stack, event| {
        let mut netif = stack.netif(event.netif).unwrap();
        let link_up = netif.is_link_up();
        netif.set_link_up(!link_up).unwrap();
    });
    host.stack.netif_listen(None, Reasons::LINK_CHANGED, app).unwrap();
    let netif = host.netif;
    host.stack.netif(netif).unwrap().set_link_up(false).unwrap();
    assert_eq!(host.who_heard().len(), 5);
    let now = host.stack.now();
    assert_eq!(host.stack.next_deadline(), Some(now));
    host.stack.poll(now);
    assert_eq!(host.who_heard().len(), 5);
}

#[test]
fn a_frame_for_an_interface_that_is_removed_does_not_come_in_on_the_next_one_in_its_slot() {
    let mut host = host();
    let config = NetifConfig::ip().ipv4(Ipv4Settings::new([198, 51, 100, 1].into(), 24));
    let tunnel = host.add(&config);
    let packet = Packet::udp("198.51.100.9:5000", "198.51.100.1:8", b"late").packet();
    let outer = host.app("outer").on_datagram(move |udp, _, _| {
        let stack = udp.stack();
        let mut data = stack.memory().alloc(Layer::Raw, packet.len(), Kind::Ram).unwrap();
        data.take(&packet).unwrap();
        stack.input(tunnel, data, Instant::ZERO).unwrap();
        stack.netif_remove(tunnel).unwrap();
    });
    host.udp_of(outer, 7);
    host.udp("inner", 8);
    let replacing = host.app("replacing").on_netif(move |stack, _| {
        let again = stack.netif_add(&config).unwrap();
        assert_eq!(again.index(), tunnel.index());
        stack.netif(again).unwrap().set_up(true).unwrap();
    });
    host.stack.netif_listen(Some(tunnel), Reasons::REMOVED, replacing).unwrap();
    host.input(to_port(7).frame());
    host.poll();
    assert_eq!(host.who_heard(), ["outer", "replacing"]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}
