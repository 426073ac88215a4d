//! Every pool, table and queue run dry, in every operation: a named error, nothing leaked, nothing lost that was
//! accepted, and everything works again once there is memory.

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::buf::HeapBuf;
use coracle::*;

const ANY: &str = "0.0.0.0";

/// Everything that a memory has, in the hands of somebody else.
struct Hog {
    pool: Vec<Pbuf>,
    references: Vec<Pbuf>,
    heap: Vec<HeapBuf>,
}

impl Hog {
    /// Takes all but so many buffers, references, and blocks of 256 bytes.
    fn leaving(memory: &Memory, pool: usize, references: usize, blocks: usize) -> Self {
        let mut hog = Self {
            pool: std::iter::from_fn(|| memory.alloc(Layer::Raw, 1, Kind::Pool).ok()).collect(),
            references: std::iter::from_fn(|| memory.from_static(b"hog").ok()).collect(),
            heap: std::iter::from_fn(|| memory.heap_alloc(256).ok()).collect(),
        };
        let kept = hog.heap.len().saturating_sub(blocks);
        for size in [128, 64, 32, 16, 8, 1] {
            hog.heap.extend(std::iter::from_fn(|| memory.heap_alloc(size).ok()));
        }
        hog.heap.drain(kept..kept + blocks);
        hog.pool.drain(..pool);
        hog.references.drain(..references);
        hog
    }

    fn all(memory: &Memory) -> Self {
        Self::leaving(memory, 0, 0, 0)
    }
}

fn small() -> Host {
    Host::configured(|setup| {
        setup.memory = MemoryLimits {
            pool_buffers: 64,
            pool_buffer_size: 1_700,
            small_buffers: 0,
            references: 32,
            heap_bytes: 16 << 10,
        };
    })
}

#[test]
fn full_tables_are_memory_errors_and_serve_again_after_one_is_removed() {
    let limits = Limits {
        netifs: 2,
        udp: 2,
        raw: 2,
        neighbours: 2,
        routes: 2,
        groups: 2,
        timeouts: 2,
        listeners: 2,
        ..Limits::NONE
    };
    let mut host = Host::configured(|setup| setup.limits = limits);
    let app = |host: &Host| host.app("app");

    let new = app(&host);
    let first = host.stack.udp_new(new).unwrap();
    let new = app(&host);
    host.stack.udp_lite_new(new).unwrap();
    let (new, newer) = (app(&host), app(&host));
    assert_eq!(host.stack.udp_new(new), Err(Error::Memory));
    assert_eq!(host.stack.udp_lite_new(newer), Err(Error::Memory));
    assert_eq!(host.stack.udp_remove(first).unwrap().unwrap().who, "app");
    let new = app(&host);
    assert_ne!(host.stack.udp_new(new).unwrap(), first);

    let raws: Vec<RawHandle> = (0..2).map(|_| host.stack.raw_new(99, app(&host)).unwrap()).collect();
    let new = app(&host);
    assert_eq!(host.stack.raw_new(99, new), Err(Error::Memory));
    host.stack.raw_remove(raws[1]).unwrap();
    let new = app(&host);
    host.stack.raw_new(99, new).unwrap();

    let second = host.stack.netif_add(&NetifConfig::loopback()).unwrap();
    assert_eq!(host.stack.netif_add(&NetifConfig::ip()), Err(Error::Memory));
    host.stack.netif_remove(second).unwrap();
    host.stack.netif_add(&NetifConfig::ip()).unwrap();

    let hour = Duration::from_hours(1);
    let timers: Vec<TimeoutHandle> = (0..2).map(|_| host.stack.timeout(hour, app(&host)).unwrap()).collect();
    let new = app(&host);
    assert_eq!(host.stack.timeout(hour, new), Err(Error::Memory));
    host.stack.untimeout(timers[0]).unwrap();
    let new = app(&host);
    host.stack.timeout(hour, new).unwrap();

    let listen = |host: &mut Host| {
        let new = host.app("listener");
        host.stack.netif_listen(None, Reasons::ALL, new)
    };
    let listener = listen(&mut host).unwrap();
    listen(&mut host).unwrap();
    assert_eq!(listen(&mut host), Err(Error::Memory));
    host.stack.netif_unlisten(listener).unwrap();
    listen(&mut host).unwrap();
}

#[test]
fn full_tables_of_routes_groups_and_neighbours_are_memory_errors_too() {
    let mut host = Host::configured(|setup| {
        (setup.limits.routes, setup.limits.groups, setup.limits.neighbours) = (2, 2, 2);
    });
    let netif = host.netif;
    let route = |last: u8| Route {
        prefix: Ipv4Addr::new(198, 51, 100, last).into(),
        prefix_len: 32,
        netif,
        gateway: Some(GATEWAY.into()),
        metric: 0,
    };
    host.stack.route_add(route(1)).unwrap();
    host.stack.route_add(route(2)).unwrap();
    assert_eq!(host.stack.route_add(route(3)), Err(Error::Memory));
    host.stack.route_remove(route(1)).unwrap();
    host.stack.route_add(route(3)).unwrap();

    let group = |last: u8| IpAddr::from([239, 1, 1, last]);
    let mut interface = host.stack.netif(netif).unwrap();
    interface.join_group(group(1)).unwrap();
    interface.join_group(group(2)).unwrap();
    interface.join_group(group(2)).unwrap();
    assert_eq!(interface.join_group(group(3)), Err(Error::Memory));
    interface.leave_group(group(2)).unwrap();
    assert_eq!(interface.join_group(group(3)), Err(Error::Memory), "joined twice, left once");
    interface.leave_group(group(2)).unwrap();
    interface.join_group(group(3)).unwrap();

    let neighbour = |last: u8| Ipv4Addr::new(192, 0, 2, last);
    interface.set_neighbour(neighbour(11).into(), PEER_MAC).unwrap();
    interface.set_neighbour(neighbour(12).into(), PEER_MAC).unwrap();
    assert_eq!(interface.set_neighbour(neighbour(13).into(), PEER_MAC), Err(Error::Memory));
    assert_eq!(interface.query_neighbour(neighbour(13).into()), Err(Error::Memory));
    // The reports of the groups.
    host.discard_sent();
    let udp = host.udp("sender", 5_000);
    let data = host.data(b"data");
    let rejected = host.stack.udp(udp).unwrap().send_to(data, v4("192.0.2.13:9").into()).unwrap_err();
    assert_eq!(rejected.error, Error::Memory);
    assert_eq!(rejected.data, b"data");
    host.stack.netif(netif).unwrap().remove_neighbour(neighbour(11).into()).unwrap();
    host.stack.udp(udp).unwrap().send_to(rejected.data, v4("192.0.2.13:9").into()).unwrap();
    assert!(host.sent_one().is_arp());
}

#[test]
fn a_stack_without_any_control_block_still_answers_pings() {
    let limits = Limits { netifs: 1, neighbours: 1, ..Limits::NONE };
    let mut host = Host::configured(|setup| setup.limits = limits);
    host.meet_peer();
    host.input(Packet::ping(1, 1, b"ping").frame());
    assert_eq!(host.sent_one().icmp().0, 0);
    host.input(Packet::udp("192.0.2.9:5", "192.0.2.2:5", b"nobody").frame());
    assert_eq!(host.sent_one().icmp().0, 3);
    let app = host.app("none");
    assert_eq!(host.stack.udp_new(app), Err(Error::Memory));
}

#[test]
fn an_arena_that_is_too_small_is_an_error_at_the_start_and_one_that_fits_serves() {
    static TOO_SMALL: StaticArena<24_000> = StaticArena::new();
    static ENOUGH: StaticArena<44_000> = StaticArena::new();
    let make = |arena: &'static StaticArena<24_000>| {
        let mut arena = arena.take().unwrap();
        let memory = Memory::new(&mut arena, MemoryLimits::SMALL)?;
        let limits = Limits { udp: 1_000, ..Limits::SMALL };
        Stack::<()>::new(&mut arena, limits, memory, Config::new([1; 16])).map(drop)
    };
    assert_eq!(make(&TOO_SMALL), Err(Error::Memory));
    let mut arena = ENOUGH.take().unwrap();
    let memory = Memory::new(&mut arena, MemoryLimits::SMALL).unwrap();
    let mut stack = Stack::<()>::new(&mut arena, Limits::SMALL, memory, Config::new([1; 16])).unwrap();
    let netif = stack.netif_add(&NetifConfig::ethernet(OUR_MAC).ipv4(Ipv4Settings::new(OURS, 24))).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    assert!(stack.transmit(netif).is_some_and(|frame| Seen::frame(&bytes_of(&frame)).is_arp()));
}

#[test]
fn no_stack_is_made_of_a_senseless_configuration() {
    let make = |limits: Limits, change: fn(&mut Config)| {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::SMALL)?;
        let mut config = Config::new([1; 16]);
        change(&mut config);
        Stack::<()>::new(&mut arena, limits, memory, config).map(drop)
    };
    assert_eq!(make(Limits::SMALL, |_| {}), Ok(()));
    assert_eq!(make(Limits { netifs: 256, ..Limits::SMALL }, |_| {}), Err(Error::Argument));
    assert_eq!(make(Limits { netifs: 255, ..Limits::SMALL }, |_| {}), Ok(()));
    assert_eq!(make(Limits::SMALL, |config| config.default_ttl = 0), Err(Error::Argument));
    assert_eq!(make(Limits::SMALL, |config| config.ephemeral_ports = (0, 9)), Err(Error::Argument));
    assert_eq!(make(Limits::SMALL, |config| config.ephemeral_ports = (9, 8)), Err(Error::Argument));
}

#[test]
fn a_datagram_of_bytes_needs_the_heap_then_the_pool_and_without_both_is_a_memory_error() {
    let mut host = small();
    host.meet_peer();
    let udp = host.udp("sender", 5_000);
    let to = v4("192.0.2.9:9").into();
    let hog = Hog::leaving(host.stack.memory(), 1, 0, 0);
    host.stack.udp(udp).unwrap().send_bytes_to(b"from the pool", to).unwrap();
    assert_eq!(host.stack.udp(udp).unwrap().send_bytes_to(b"from nowhere", to), Err(Error::Memory));
    assert_eq!(host.sent_one().udp_data(), b"from the pool");
    drop(hog);
    host.stack.udp(udp).unwrap().send_bytes_to(b"from the heap", to).unwrap();
    assert_eq!(host.sent_one().udp_data(), b"from the heap");
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// A ping, and an echo of the application's, live on the buffer that came; so they work when nothing else does.
#[test]
fn echoes_need_no_memory_at_all() {
    let mut host = small();
    host.meet_peer();
    let app = host.app("echo").on_datagram(|udp, from, data| udp.send_to(data, from).unwrap());
    host.udp_of(app, 7);
    let frames = [
        host.frame(&Packet::ping(1, 1, &[1; 500]).frame()),
        host.frame(&Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"hello").frame()),
    ];
    let _hog = Hog::all(host.stack.memory());
    for frame in frames {
        host.stack.input(host.netif, frame, host.now).unwrap();
    }
    let sent = host.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].icmp().0, 0);
    assert_eq!(sent[1].udp_data(), b"hello");
}

#[test]
fn without_memory_shared_data_comes_back_unchanged_and_is_sent_later() {
    let mut host = small();
    host.meet_peer();
    let udp = host.udp("sender", 5_000);
    let to: SocketAddr = v4("192.0.2.9:9").into();
    let data = host.data(b"shared");
    let kept = data.clone();
    let hog = Hog::all(host.stack.memory());
    let rejected = host.stack.udp(udp).unwrap().send_to(data, to).unwrap_err();
    assert_eq!(rejected.error, Error::Memory);
    assert_eq!(rejected.data, b"shared");
    assert_eq!(rejected.data.payload().as_ptr(), kept.payload().as_ptr());
    assert!(host.sent().is_empty());
    assert_eq!(host.stack.counters().ip.memory, 1);
    drop(hog);
    host.stack.udp(udp).unwrap().send_to(rejected.data, to).unwrap();
    assert_eq!(host.sent_one().udp_data(), b"shared");
    drop(kept);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn an_arp_request_that_finds_no_memory_is_counted_and_asked_again() {
    let mut host = small();
    let udp = host.udp("sender", 5_000);
    let data = host.data(b"waits");
    let hog = Hog::all(host.stack.memory());
    host.stack.udp(udp).unwrap().send_to(data, v4("192.0.2.9:9").into()).unwrap();
    assert!(host.sent().is_empty());
    assert_eq!(host.stack.counters().arp.send_failed, 1);
    assert_eq!(host.stack.netif(host.netif).unwrap().announce(), Err(Error::Memory));
    drop(hog);
    host.advance(Duration::from_secs(1));
    assert_eq!(host.sent_one().arp().target_ipv4, PEER.octets());
    host.input(Arp::reply(PEER_MAC, PEER).frame());
    assert_eq!(host.sent_one().udp_data(), b"waits");
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn an_icmp_error_that_finds_no_memory_is_counted_and_the_next_one_is_sent() {
    let mut host = small();
    host.meet_peer();
    let closed = Packet::udp("192.0.2.9:5000", "192.0.2.2:99", b"closed").frame();
    let frame = host.frame(&closed);
    let hog = Hog::all(host.stack.memory());
    host.stack.input(host.netif, frame, host.now).unwrap();
    assert!(host.sent().is_empty());
    assert_eq!(host.stack.counters().icmp.send_failed, 1);
    drop(hog);
    host.input(closed);
    assert_eq!(host.sent_one().icmp().0, 3);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// A driver may keep a handle of what it hands in, for a capture say; then taking headers off needs a reference.
#[test]
fn frames_that_the_driver_shares_need_references_and_their_lack_is_counted_as_lack_of_memory() {
    let mut host = small();
    host.meet_peer();
    host.udp("listener", 7);
    let packets = [
        Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"exact"),
        Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"padded").padded(10),
    ];
    for packet in packets {
        let frame = host.frame(&packet.frame());
        let kept = frame.clone();
        let before = *host.stack.counters();
        let hog = Hog::all(host.stack.memory());
        host.stack.input(host.netif, frame.clone(), host.now).unwrap();
        assert!(host.heard().is_empty());
        let after = host.stack.counters();
        let lacks = (after.link.memory + after.ip.memory) - (before.link.memory + before.ip.memory);
        assert_eq!(lacks, 1);
        drop(hog);
        host.stack.input(host.netif, frame, host.now).unwrap();
        assert_eq!(host.datagrams().len(), 1);
        assert_eq!(kept, &packet.frame()[..], "the driver's view changed");
    }
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// The headers in one segment, and data that somebody else holds, too, in the next.
#[test]
fn a_padded_packet_that_cannot_be_cut_for_lack_of_memory_is_not_called_malformed() {
    let mut host = small();
    host.udp("listener", 7);
    let bytes = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"padded").padded(10).frame();
    let mut frame = host.frame(&bytes[..42]);
    let data = host.frame(&bytes[42..]);
    let kept = data.clone();
    frame.cat(data).unwrap();
    let hog = Hog::all(host.stack.memory());
    host.stack.input(host.netif, frame, host.now).unwrap();
    assert!(host.heard().is_empty());
    let counters = host.stack.counters();
    assert_eq!((counters.ip.memory, counters.ip.bad_length), (1, 0));
    assert_eq!(host.stack.netif(host.netif).unwrap().counters().unwrap().in_errors, 0);
    drop((hog, kept));
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn headers_that_cannot_be_brought_together_are_counted_and_later_frames_are_taken() {
    let mut host = small();
    host.udp("listener", 7);
    let bytes = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"scattered").frame();
    let scattered = |host: &Host, piece: usize| {
        let mut pieces = bytes.chunks(piece).map(|piece| host.frame(piece));
        let mut frame = pieces.next().unwrap();
        pieces.for_each(|piece| frame.cat(piece).unwrap());
        frame
    };
    for piece in 1..=50 {
        let frame = scattered(&host, piece);
        host.stack.input(host.netif, frame, host.now).unwrap();
        assert_eq!(host.datagrams(), [b"scattered"], "in pieces of {piece}");
        if piece < 42 {
            let frame = scattered(&host, piece);
            let before = *host.stack.counters();
            let hog = Hog::all(host.stack.memory());
            host.stack.input(host.netif, frame, host.now).unwrap();
            let after = host.stack.counters();
            let failed = after.link.memory + after.ip.memory - before.link.memory - before.ip.memory;
            assert_eq!((host.datagrams().len(), failed), (0, 1), "in pieces of {piece}");
            drop(hog);
        }
    }
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn a_full_device_gives_the_data_back_as_it_was_and_takes_it_when_it_has_room() {
    let mut host = Host::configured(|setup| setup.netif.queue = 2);
    host.meet_peer();
    let udp = host.udp("sender", 5_000);
    let to: SocketAddr = v4("192.0.2.9:9").into();
    for _ in 0..2 {
        host.stack.udp(udp).unwrap().send_bytes_to(b"first", to).unwrap();
    }
    let data = host.data(b"third");
    let (place, room) = (data.payload().as_ptr(), data.headroom());
    let mut rejected = host.stack.udp(udp).unwrap().send_to(data, to).unwrap_err();
    for _ in 0..10 {
        assert_eq!(rejected.error, Error::WouldBlock);
        assert_eq!((rejected.data.payload().as_ptr(), rejected.data.headroom()), (place, room));
        assert_eq!((rejected.data.len(), rejected.data.segment_count()), (5, 1));
        rejected = host.stack.udp(udp).unwrap().send_to(rejected.data, to).unwrap_err();
    }
    assert_eq!(host.stack.counters().ip.queue_full, 11);
    assert!(host.stack.transmit(host.netif).is_some());
    host.stack.udp(udp).unwrap().send_to(rejected.data, to).unwrap();
    let sent = host.sent();
    assert_eq!(sent.iter().map(Seen::udp_data).collect::<Vec<_>>(), [b"first", b"third"]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// Also data that somebody else holds, which would need a segment for its headers.
#[test]
fn a_full_way_back_into_the_stack_gives_data_back_as_it_was() {
    let mut host = Host::configured(|setup| setup.config.backlog = 3);
    host.add(&NetifConfig::loopback());
    let udp = host.udp("self", 5_000);
    let to: SocketAddr = v4("127.0.0.1:5000").into();
    for _ in 0..3 {
        host.stack.udp(udp).unwrap().send_bytes_to(b"looped", to).unwrap();
    }
    for shared in [false, true] {
        let mut data = host.data(b"fourth");
        let kept = shared.then(|| data.clone());
        let before = host.memory_used();
        for _ in 0..5 {
            let rejected = host.stack.udp(udp).unwrap().send_to(data, to).unwrap_err();
            assert_eq!(rejected.error, Error::WouldBlock);
            assert_eq!(rejected.data, b"fourth");
            assert_eq!((rejected.data.segment_count(), host.memory_used()), (1, before));
            data = rejected.data;
        }
        drop(kept);
    }
    host.poll();
    assert_eq!(host.datagrams().len(), 3);
    host.stack.udp(udp).unwrap().send_bytes_to(b"looped", to).unwrap();
    host.poll();
    assert_eq!(host.datagrams(), [b"looped"]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn frames_handed_in_by_a_callback_beyond_the_backlog_come_back() {
    let mut host = Host::configured(|setup| setup.config.backlog = 3);
    let inner = Packet::udp("192.0.2.9:5000", "192.0.2.2:8", b"inner").frame();
    let netif = host.netif;
    let app = host.app("outer").on_datagram(move |udp, _, _| {
        let stack = udp.stack();
        for turn in 0..5 {
            let mut frame = stack.memory().alloc(Layer::Raw, inner.len(), Kind::Pool).unwrap();
            frame.take(&inner).unwrap();
            let taken = stack.input(netif, frame, Instant::ZERO);
            match taken {
                Ok(()) => assert!(turn < 3),
                Err(rejected) => {
                    assert!(turn >= 3);
                    assert_eq!(rejected.error, Error::WouldBlock);
                    assert_eq!(rejected.data, &inner[..]);
                }
            }
        }
    });
    host.udp_of(app, 7);
    host.udp("inner", 8);
    host.input(Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"outer").frame());
    assert_eq!(host.who_heard(), ["outer", "inner", "inner", "inner"]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn no_free_port_is_an_error_and_a_removed_control_block_frees_its_port() {
    let mut host = Host::configured(|setup| setup.config.ephemeral_ports = (50_000, 50_002));
    let mut bound = Vec::new();
    for _ in 0..3 {
        bound.push(host.udp("one", 0));
    }
    let app = host.app("late");
    let late = host.stack.udp_new(app).unwrap();
    let to: SocketAddr = v4("192.0.2.9:9").into();
    let mut udp = host.stack.udp(late).unwrap();
    assert_eq!(udp.bind(format!("{ANY}:0").parse().unwrap()), Err(Error::InUse));
    assert_eq!(udp.connect(to), Err(Error::InUse));
    assert_eq!(udp.send_bytes_to(b"data", to), Err(Error::InUse));
    let freed = host.stack.udp(bound[1]).unwrap().local().unwrap();
    host.stack.udp_remove(bound[1]).unwrap();
    host.stack.udp(late).unwrap().bind(format!("{ANY}:0").parse().unwrap()).unwrap();
    assert_eq!(host.stack.udp(late).unwrap().local().unwrap(), freed);
}

/// [design: memory] Packets that wait for neighbours leave buffers for the answers that they wait for.
#[test]
fn packets_that_wait_for_an_answer_cannot_hold_the_pool_from_which_it_must_be_received() {
    let mut host = Host::configured(|setup| {
        setup.memory.pool_buffers = 8;
        setup.memory.heap_bytes = 0;
        setup.config.pending = 4;
    });
    let udp = host.udp("sender", 5_000);
    let mut waiting = 0;
    for last in 20..40 {
        let Ok(mut data) = host.stack.memory().alloc(Layer::Transport, 4, Kind::Pool) else { break };
        data.take(b"data").unwrap();
        let to = SocketAddr::from(([192, 0, 2, last], 9));
        match host.stack.udp(udp).unwrap().send_to(data, to) {
            Ok(()) => waiting += 1,
            Err(rejected) => assert!(matches!(rejected.error, Error::WouldBlock | Error::Memory)),
        }
        host.sent();
    }
    assert_eq!(waiting, 4);
    let (station, first) = (MacAddr::new(2, 0, 0, 0, 0, 20), Ipv4Addr::new(192, 0, 2, 20));
    host.input(Arp::reply(station, first).frame());
    assert_eq!(host.sent_one().udp_data(), b"data");
}
