//! Bytes of a connection stay where they are: from the application's buffer to the device, again if need be, and from the
//! device's buffer to the application.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use coracle::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Notes where the data of its callback lies.
#[derive(Clone)]
struct Probe(Rc<Cell<(usize, usize)>>);

impl Handler for Probe {
    fn accept(&mut self, _: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        Ok(self.clone())
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        self.0.set((data.payload().as_ptr() as usize, data.len()));
        tcp.recved(data.len()).unwrap();
        Ok(())
    }
}

fn stack(address: Ipv4Addr) -> (Stack<Probe>, NetifHandle) {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
    let mut stack = Stack::new(&mut arena, Limits::default(), memory, Config::new([1; 16])).unwrap();
    let netif = stack.netif_add(&NetifConfig::ip().ipv4(Ipv4Settings::new(address, 24))).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    (stack, netif)
}

/// A device's copy of a frame, and where its bytes are.
fn received(stack: &Stack<Probe>, frame: &Pbuf) -> (Pbuf, std::ops::Range<usize>) {
    let mut buffer = stack.memory().alloc(Layer::Raw, frame.len(), Kind::Pool).unwrap();
    buffer.copy_from(frame).unwrap();
    let start = buffer.payload().as_ptr() as usize;
    let range = start..start + frame.len();
    (buffer, range)
}

#[test]
fn no_byte_of_a_stream_is_copied() {
    let (mut client, client_netif) = stack(CLIENT);
    let (mut server, server_netif) = stack(SERVER);
    let place = Rc::new(Cell::new((0, 0)));
    let now = Instant::from_secs(1);
    server.tcp_listen(SocketAddr::from((SERVER, 80)), 1, Probe(place.clone())).unwrap();
    let tcp = client.tcp_new(Probe(Rc::default())).unwrap();
    client.tcp(tcp).unwrap().connect(SocketAddr::from((SERVER, 80))).unwrap();
    for _ in 0..2 {
        while let Some(frame) = client.transmit(client_netif) {
            let (buffer, _) = received(&server, &frame);
            server.input(server_netif, buffer, now).unwrap();
        }
        while let Some(frame) = server.transmit(server_netif) {
            let (buffer, _) = received(&client, &frame);
            client.input(client_netif, buffer, now).unwrap();
        }
    }
    assert_eq!(client.tcp(tcp).unwrap().state(), TcpState::Established);

    let mut data = client.memory().alloc(Layer::Raw, 1_000, Kind::Pool).unwrap();
    data.payload_mut().unwrap().fill(7);
    let written = data.payload().as_ptr() as usize;
    client.tcp(tcp).unwrap().write(data).unwrap();
    let first = client.transmit(client_netif).unwrap();
    let sent_from = |frame: &Pbuf| frame.segments().last().unwrap().as_ptr() as usize;
    assert_eq!(sent_from(&first), written, "it leaves from where the application put it");

    // While the device still has the first, it leaves again, from the same place.
    let mut later = now;
    let again = loop {
        later = client.poll(later).unwrap().max(later + Duration::from_micros(1));
        client.poll(later);
        if let Some(frame) = client.transmit(client_netif) {
            break frame;
        }
    };
    assert_eq!(sent_from(&again), written);

    let (buffer, range) = received(&server, &first);
    server.input(server_netif, buffer, later).unwrap();
    let (at, len) = place.get();
    assert!(
        range.contains(&at) && at + len == range.end && len == 1_000,
        "the callback sees the device's buffer"
    );
}
