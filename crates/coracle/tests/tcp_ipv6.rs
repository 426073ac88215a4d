//! TCP over IPv6: the same transfers as over IPv4, over Ethernet, from every kind of address.
#![cfg(feature = "ipv6")]

mod tcp_common;
use tcp_common::{App, Log};

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use coracle::*;

struct End {
    stack: Stack<App>,
    netif: NetifHandle,
}

fn end(last: u16, mtu: u16) -> End {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
    let limits = Limits { ipv6_addresses: 4, ..Limits::default() };
    let mut stack = Stack::new(&mut arena, limits, memory, Config::new([last as u8; 16])).unwrap();
    let netif = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, last as u8)).mtu(mtu);
    let netif = stack.netif_add(&netif).unwrap();
    let mut interface = stack.netif(netif).unwrap();
    interface.set_up(true).unwrap();
    interface.ipv6_add(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), 64).unwrap();
    interface.ipv6_add(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last), 64).unwrap();
    End { stack, netif }
}

/// Carries frames both ways for so long, dropping each one that `lose` says.
fn run(ends: &mut [End; 2], from: Instant, time: Duration, mut lose: impl FnMut() -> bool) -> Instant {
    let mut now = from;
    let end = from + time;
    while now < end {
        for side in 0..2 {
            let [first, second] = &mut *ends;
            let (sender, receiver) = if side == 0 { (first, second) } else { (second, first) };
            sender.stack.poll(now);
            while let Some(frame) = sender.stack.transmit(sender.netif) {
                let bytes: Vec<u8> = frame.segments().flatten().copied().collect();
                assert!(bytes.len() <= 14 + 1_500);
                drop(frame);
                if !lose() {
                    let mut copy =
                        receiver.stack.memory().alloc(Layer::Raw, bytes.len(), Kind::Pool).unwrap();
                    copy.take(&bytes).unwrap();
                    receiver.stack.input(receiver.netif, copy, now).unwrap();
                }
            }
        }
        now = now + Duration::from_millis(1);
    }
    now
}

fn transfer(remote: Ipv6Addr, mtu: u16, lossy: bool) -> Vec<u8> {
    let mut ends = [end(1, mtu), end(2, 1_500)];
    let (server, heard): (App, Log) = App::new();
    ends[1].stack.tcp_listen("[::]:80".parse().unwrap(), 4, server).unwrap();
    let (client, log) = App::new();
    log.borrow_mut().to_send.extend((0..200_000_u32).map(|at| (at * 7 + at / 256) as u8));
    log.borrow_mut().close_when_sent = true;
    let zone = u32::from(ends[0].netif.index());
    let to = SocketAddr::V6(SocketAddrV6::new(remote, 80, 0, zone));
    let tcp = ends[0].stack.tcp_new(client).unwrap();
    ends[0].stack.tcp(tcp).unwrap().connect(to).unwrap();
    let mut count = 0_u32;
    let lose = move || {
        count += 1;
        lossy && count.is_multiple_of(17)
    };
    run(&mut ends, Instant::from_secs(1), Duration::from_secs(20), lose);
    assert!(log.borrow().to_send.is_empty());
    heard.borrow().received.clone()
}

fn sent() -> Vec<u8> {
    (0..200_000_u32).map(|at| (at * 7 + at / 256) as u8).collect()
}

#[test]
fn streams_arrive_whole_between_global_addresses() {
    assert!(transfer(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2), 1_500, false) == sent());
}

#[test]
fn streams_arrive_whole_between_link_local_addresses() {
    assert!(transfer(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2), 1_500, false) == sent());
}

#[test]
fn streams_arrive_whole_through_loss_and_a_narrow_link() {
    assert!(transfer(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2), 1_280, true) == sent());
}

/// [4861-14]: while a connection gets answers, its neighbour is not asked whether it is there.
#[test]
fn a_connection_shows_that_its_neighbour_is_there() {
    let mut ends = [end(1, 1_500), end(2, 1_500)];
    let (server, heard): (App, Log) = App::new();
    ends[1].stack.tcp_listen("[::]:80".parse().unwrap(), 4, server).unwrap();
    let (client, _log) = App::new();
    let mut now = run(&mut ends, Instant::from_secs(1), Duration::from_millis(1), || false);
    let tcp = ends[0].stack.tcp_new(client).unwrap();
    let to = SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2), 80));
    ends[0].stack.tcp(tcp).unwrap().connect(to).unwrap();
    let mut delays = 0;
    for turn in 0..150 {
        now = run(&mut ends, now, Duration::from_secs(1), || false);
        ends[0].stack.tcp(tcp).unwrap().write_bytes(&[turn]).unwrap();
        let waits = ends[0].stack.neighbours().any(|neighbour| neighbour.state == NeighbourState::Delay);
        delays += u32::from(waits);
    }
    run(&mut ends, now, Duration::from_secs(1), || false);
    assert_eq!(heard.borrow().received, (0..150).collect::<Vec<u8>>());
    assert!(delays >= 10, "it was in doubt in between");
    let asked = ends.each_ref().map(|end| end.stack.counters().nd.solicitations_sent);
    assert_eq!(asked, [1, 0]);
}
