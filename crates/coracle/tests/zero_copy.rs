//! Nobody copies a payload: not on its way in, not on its way out.

mod common;
use common::*;

use std::cell::Cell;
use std::rc::Rc;

use coracle::*;

/// Where a buffer's first byte lies.
fn address(pbuf: &Pbuf) -> usize {
    pbuf.payload().as_ptr() as usize
}

/// A driver's own receive buffer; `free` counts that it came back.
fn driver_buffer(host: &Host, frame: &[u8], free: fn(&'static mut [u8], usize), returned: usize) -> Pbuf {
    let bytes: &'static mut [u8] = Box::leak(frame.to_vec().into_boxed_slice());
    host.stack.memory().from_static_mut(bytes, free, returned).map_err(|(error, _)| error).unwrap()
}

/// Echoes every datagram, and tells where its data lay.
fn echo(host: &mut Host, port: u16) -> Rc<Cell<usize>> {
    let seen = Rc::new(Cell::new(0));
    let note = Rc::clone(&seen);
    let app = host.app("echo").on_datagram(move |udp, from, data| {
        note.set(address(&data));
        udp.send_to(data, from).expect("the echo is sent");
    });
    host.udp_of(app, port);
    seen
}

#[test]
fn the_datagram_callback_gets_the_bytes_where_the_driver_put_them_and_the_echo_leaves_from_there() {
    let mut host = host();
    host.meet_peer();
    let seen = echo(&mut host, 7);
    for len in [0, 1, 64, 1_472] {
        let data = vec![0x5a; len];
        let frame = host.frame(&Packet::udp("192.0.2.9:5000", "192.0.2.2:7", &data).frame());
        let filled = address(&frame);
        let before = host.stack.memory().stats();
        host.stack.input(host.netif, frame, host.now).unwrap();
        assert_eq!(seen.get(), filled + 42, "the payload moved on its way in");
        let reply = host.stack.transmit(host.netif).expect("an echo");
        assert_eq!(address(&reply), filled, "the echo leaves from another place");
        assert_eq!(reply.segment_count(), 1);
        let after = host.stack.memory().stats();
        assert_eq!(
            (after.pool.peak, after.small.peak, after.references.used, after.heap.peak),
            (before.pool.peak, before.small.peak, before.references.used, before.heap.peak)
        );
        assert_eq!(Seen::frame(reply.payload()).udp_data(), data);
    }
}

#[test]
fn a_drivers_own_buffer_is_echoed_in_place_and_comes_back_after_it_was_sent() {
    static RETURNED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    fn free(bytes: &'static mut [u8], context: usize) {
        assert_eq!(context, 77);
        RETURNED.store(bytes.as_ptr() as usize, std::sync::atomic::Ordering::Relaxed);
    }
    let mut host = host();
    host.meet_peer();
    let seen = echo(&mut host, 7);
    let bytes = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"dma").frame();
    let frame = driver_buffer(&host, &bytes, free, 77);
    let filled = address(&frame);
    host.stack.input(host.netif, frame, host.now).unwrap();
    let reply = host.stack.transmit(host.netif).expect("an echo");
    assert_eq!((seen.get(), address(&reply)), (filled + 42, filled));
    assert_eq!(RETURNED.load(std::sync::atomic::Ordering::Relaxed), 0, "given back while in use");
    drop(reply);
    assert_eq!(RETURNED.load(std::sync::atomic::Ordering::Relaxed), filled);
}

#[test]
fn a_ping_is_answered_in_the_buffer_it_came_in() {
    let mut host = host();
    host.meet_peer();
    let frame = host.frame(&Packet::ping(1, 2, &[7; 1_472]).frame());
    let filled = address(&frame);
    host.stack.input(host.netif, frame, host.now).unwrap();
    let reply = host.stack.transmit(host.netif).expect("an echo reply");
    assert_eq!((address(&reply), reply.segment_count()), (filled, 1));
}

#[test]
fn a_tagged_frame_is_echoed_in_place_too() {
    let tag = Tci::new(3, false, 100);
    let mut host = Host::configured(|setup| setup.netif = setup.netif.clone().vlan(tag));
    host.stack.netif(host.netif).unwrap().set_neighbour(PEER.into(), PEER_MAC).unwrap();
    let seen = echo(&mut host, 7);
    let packet = Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"tagged").in_vlan(100, 0);
    let frame = host.frame(&packet.frame());
    let filled = address(&frame);
    host.stack.input(host.netif, frame, host.now).unwrap();
    let reply = host.stack.transmit(host.netif).expect("an echo");
    assert_eq!((seen.get(), address(&reply)), (filled + 46, filled));
    assert_eq!(Seen::frame(reply.payload()).vlan, Some((100, 3)));
}

/// Constant bytes (lwIP: `PBUF_ROM`) leave from where they are; only headers get a segment of their own.
#[test]
fn constant_data_is_sent_from_where_it_lies() {
    static PAGE: [u8; 600] = [b'p'; 600];
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("server", 80);
    let data = host.stack.memory().from_static(&PAGE).unwrap();
    host.stack.udp(udp).unwrap().send_to(data, v4("192.0.2.9:5000").into()).unwrap();
    let frame = host.stack.transmit(host.netif).expect("a frame");
    let segments: Vec<(usize, usize)> =
        frame.segments().map(|segment| (segment.as_ptr() as usize, segment.len())).collect();
    assert_eq!(segments.len(), 2);
    assert_eq!(segments[0].1, 42, "the headers, in one piece");
    assert_eq!(segments[1], (PAGE.as_ptr() as usize, 600));
    assert_eq!(Seen::frame(&bytes_of(&frame)).udp_data(), PAGE);
    drop(frame);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// Data of which the application keeps a handle, for a retransmission say, is not copied and not changed.
#[test]
fn data_that_the_sender_keeps_is_sent_without_a_copy_and_stays_as_it_is() {
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("sender", 80);
    let data = host.data(b"kept for a retransmission");
    let kept = data.clone();
    host.stack.udp(udp).unwrap().send_to(data, v4("192.0.2.9:5000").into()).unwrap();
    let frame = host.stack.transmit(host.netif).expect("a frame");
    let last = frame.segments().last().unwrap();
    assert_eq!(last.as_ptr(), kept.payload().as_ptr());
    assert_eq!(kept, b"kept for a retransmission");
    // The second transmission is the same but for the identification and its checksum.
    host.stack.udp(udp).unwrap().send_to(kept, v4("192.0.2.9:5000").into()).unwrap();
    assert_eq!(host.sent_one().udp_data(), b"kept for a retransmission");
}

#[test]
fn data_with_header_room_is_sent_as_one_segment_from_its_place() {
    let mut host = host();
    host.meet_peer();
    let udp = host.udp("sender", 80);
    let data = host.data(b"in place");
    let place = address(&data);
    host.stack.udp(udp).unwrap().send_to(data, v4("192.0.2.9:5000").into()).unwrap();
    let frame = host.stack.transmit(host.netif).expect("a frame");
    assert_eq!((frame.segment_count(), address(&frame)), (1, place - 42));
}

/// A datagram to a group goes to each member as the same bytes.
#[test]
fn every_taker_of_a_broadcast_sees_the_same_bytes() {
    let mut host = host();
    let seen = Rc::new(Cell::new((0, 0)));
    for _ in 0..3 {
        let note = Rc::clone(&seen);
        let app = host.app("one").on_datagram(move |_, _, data| {
            let (first, calls) = note.get();
            assert!(calls == 0 || first == address(&data), "a taker got a copy");
            note.set((address(&data), calls + 1));
        });
        let udp = host.stack.udp_new(app).unwrap();
        let mut udp = host.stack.udp(udp).unwrap();
        udp.set_reuse_address(true).unwrap();
        udp.bind(v4("0.0.0.0:67").into()).unwrap();
    }
    let frame = host.frame(&Packet::udp("192.0.2.9:68", "255.255.255.255:67", b"all").frame());
    let filled = address(&frame);
    host.stack.input(host.netif, frame, host.now).unwrap();
    assert_eq!(seen.get(), (filled + 42, 3));
    assert_eq!(host.memory_used(), (0, 0, 0));
}
