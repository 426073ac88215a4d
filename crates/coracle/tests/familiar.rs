//! What the stack remembers of the last packet saves looks at the next one. Whatever comes of that must be what comes of
//! looking at everything.

use std::net::{Ipv4Addr, SocketAddr};
use std::vec::Vec;

use coracle::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Keeps what it hears.
#[derive(Default)]
struct Ear(Vec<(SocketAddr, Vec<u8>, PacketInfo)>);

impl Handler for Ear {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        self.0.push((from, data.payload().to_vec(), udp.packet().unwrap()));
    }
}

struct Host {
    stack: Stack<Ear>,
    netif: NetifHandle,
    udp: UdpHandle,
}

impl Host {
    fn new(last: u8) -> Self {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
        let mut stack = Stack::new(&mut arena, Limits::default(), memory, Config::new([9; 16])).unwrap();
        let settings = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, last), 24);
        let netif = stack
            .netif_add(&NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, last)).ipv4(settings))
            .unwrap();
        stack.netif(netif).unwrap().set_up(true).unwrap();
        let udp = stack.udp_new(Ear::default()).unwrap();
        stack.udp(udp).unwrap().bind("0.0.0.0:7".parse().unwrap()).unwrap();
        Self { stack, netif, udp }
    }

    /// Makes the stack forget what it remembers of the last packets.
    fn forget(&mut self) {
        self.stack.netif_set_default(None).unwrap();
    }

    fn meet(&mut self, other: Ipv4Addr) {
        let station = MacAddr::new(2, 0, 0, 0, 0, other.octets()[3]);
        self.stack.netif(self.netif).unwrap().set_neighbour(other.into(), station).unwrap();
        while self.stack.transmit(self.netif).is_some() {}
    }

    fn data(&self, bytes: &[u8]) -> Pbuf {
        let mut data = self.stack.memory().alloc(Layer::Transport, bytes.len(), Kind::Pool).unwrap();
        data.take(bytes).unwrap();
        data
    }

    fn input(&mut self, frame: &[u8]) {
        let mut received = self.stack.memory().alloc(Layer::Raw, frame.len(), Kind::Pool).unwrap();
        received.take(frame).unwrap();
        self.stack.input(self.netif, received, Instant::ZERO).unwrap();
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        self.stack.transmit(self.netif).map(|frame| frame.segments().flatten().copied().collect())
    }

    fn heard(&mut self) -> Vec<(SocketAddr, Vec<u8>, PacketInfo)> {
        std::mem::take(&mut self.stack.udp(self.udp).unwrap().handler().unwrap().0)
    }
}

/// A frame with its IP identification and checksum, which differ from one packet to the next, taken out.
fn without_identification(mut frame: Vec<u8>) -> Vec<u8> {
    assert!(wire::ipv4::header_checksum_ok(&frame[14..34]));
    frame[18..20].fill(0);
    frame[24..26].fill(0);
    frame
}

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + len) as u8).collect()
}

#[test]
fn what_leaves_is_the_same() {
    let mut host = Host::new(1);
    host.meet(SERVER);
    let to = SocketAddr::from((SERVER, 7));
    let general = UdpSend { remote: Some(to), ..UdpSend::default() };
    let (udp, netif) = (host.udp, host.netif);
    host.stack.udp(udp).unwrap().set_tos(0x28).unwrap();
    host.stack.udp(udp).unwrap().set_ttl(9).unwrap();
    for len in [0, 1, 2, 63, 64, 1471, 1472] {
        let mut frames = Vec::new();
        host.forget();
        let before = host.stack.counters().udp.sent;
        for way in 0..3 {
            let data = host.data(&message(len));
            let mut pcb = host.stack.udp(udp).unwrap();
            // The first remembers the hop, for the second; the third says more than is usual.
            if way < 2 {
                pcb.send_to(data, to).unwrap();
            } else {
                pcb.send_with(data, &general).unwrap();
            }
            frames.push(without_identification(host.sent().unwrap()));
        }
        assert_eq!(frames[0], frames[1], "{len} bytes");
        assert_eq!(frames[1], frames[2], "{len} bytes");
        assert_eq!(host.stack.counters().udp.sent, before + 3);
    }
    let counters = host.stack.netif(netif).unwrap().counters().unwrap();
    let octets: usize = [0, 1, 2, 63, 64, 1471, 1472].iter().map(|len| 3 * (len + 42)).sum();
    assert_eq!(counters.out_octets, octets as u64 + 42, "and the announcement");
}

#[test]
fn what_cannot_leave_is_refused_by_name_and_comes_back() {
    let mut host = Host::new(1);
    host.meet(SERVER);
    let to = SocketAddr::from((SERVER, 7));
    let first = host.data(b"first");
    host.stack.udp(host.udp).unwrap().send_to(first, to).unwrap();
    for (len, port, error) in [(65_508, 7, Error::Value), (4, 0, Error::Value)] {
        let data = host.data(&message(len));
        let to = SocketAddr::from((SERVER, port));
        let rejected = host.stack.udp(host.udp).unwrap().send_to(data, to).unwrap_err();
        assert_eq!(rejected.error, error);
        assert_eq!(rejected.data, &message(len)[..]);
    }
    loop {
        let data = host.data(b"more");
        match host.stack.udp(host.udp).unwrap().send_to(data, to) {
            Ok(()) => {}
            Err(rejected) => {
                assert_eq!((rejected.error, rejected.data == b"more"), (Error::WouldBlock, true));
                break;
            }
        }
    }
}

/// What changes between two datagrams is seen by the second: a neighbour, the interface, the control block.
#[test]
fn nothing_stale_is_used() {
    let mut host = Host::new(1);
    host.meet(SERVER);
    let to = SocketAddr::from((SERVER, 7));
    let send = |host: &mut Host| {
        let data = host.data(b"x");
        let sent = host.stack.udp(host.udp).unwrap().send_to(data, to);
        sent.map(|()| host.sent()).map_err(|rejected| rejected.error)
    };
    for _ in 0..2 {
        assert_eq!(send(&mut host).unwrap().unwrap()[..6], [2, 0, 0, 0, 0, 2]);
    }
    let moved = MacAddr::new(2, 0, 0, 0, 0, 77);
    host.stack.netif(host.netif).unwrap().set_neighbour(SERVER.into(), moved).unwrap();
    assert_eq!(send(&mut host).unwrap().unwrap()[..6], moved.0);
    let own = MacAddr::new(2, 0, 0, 0, 0, 99);
    host.stack.netif(host.netif).unwrap().set_station(own).unwrap();
    while host.sent().is_some() {}
    assert_eq!(send(&mut host).unwrap().unwrap()[6..12], own.0);
    host.stack.netif(host.netif).unwrap().set_checksums(Checksums::NONE).unwrap();
    assert_eq!(send(&mut host).unwrap().unwrap()[40..42], [0, 0], "the device's to make");
    host.stack.netif(host.netif).unwrap().set_checksums(Checksums::ALL).unwrap();
    host.stack.udp(host.udp).unwrap().set_no_checksum(true).unwrap();
    assert_eq!(send(&mut host).unwrap().unwrap()[40..42], [0, 0]);
    host.stack.udp(host.udp).unwrap().set_no_checksum(false).unwrap();
    host.stack.netif(host.netif).unwrap().set_mtu(68).unwrap();
    let data = host.data(&message(41));
    host.stack.udp(host.udp).unwrap().send_to(data, to).unwrap();
    let fragments: Vec<_> = std::iter::from_fn(|| host.sent()).map(|frame| frame.len()).collect();
    assert_eq!(fragments, [14 + 68, 14 + 21]);
    host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap();
    assert_eq!(send(&mut host), Err(Error::Route));
}

#[test]
fn what_arrives_is_the_same() {
    let mut client = Host::new(1);
    client.meet(SERVER);
    let (mut familiar, mut forgetful) = (Host::new(2), Host::new(2));
    for len in [0, 1, 2, 63, 64, 1472] {
        let data = client.data(&message(len));
        client.stack.udp(client.udp).unwrap().send_to(data, SocketAddr::from((SERVER, 7))).unwrap();
        let frame = client.sent().unwrap();
        let mut hear = |frame: &[u8], what: &str| {
            familiar.input(frame);
            forgetful.forget();
            forgetful.input(frame);
            let heard = familiar.heard();
            assert_eq!(heard, forgetful.heard(), "{what} of {len}");
            assert_eq!(familiar.sent().is_some(), forgetful.sent().is_some(), "{what} of {len}");
            heard
        };
        // Every byte of the headers counts, also after a frame that differs in nothing else.
        for position in 0..42 {
            for flip in [0x01, 0x10, 0x80] {
                let heard = hear(&frame, "all");
                assert_eq!((heard[0].0, &heard[0].1), (SocketAddr::from((CLIENT, 7)), &message(len)));
                let mut other = frame.clone();
                other[position] ^= flip;
                hear(&other, &format!("byte {position} ^ {flip:#04x}"));
            }
        }
        let padded = [&frame[..], &[0xee; 20]].concat();
        assert_eq!(hear(&padded, "padding")[0].1, message(len));
        for len in [0, 13, 14, 33, 34, 41, frame.len() - 1] {
            hear(&frame[..len.min(frame.len())], &format!("{len} bytes"));
        }
        assert_eq!(familiar.stack.counters(), forgetful.stack.counters(), "{len} bytes");
        let counters = |host: &mut Host| host.stack.netif(host.netif).unwrap().counters().unwrap();
        assert_eq!(counters(&mut familiar), counters(&mut forgetful));
    }
}

/// What changes between two frames is seen by the second.
#[test]
fn nothing_stale_is_believed() {
    type Change = fn(&mut Host);
    let mut client = Host::new(1);
    client.meet(SERVER);
    let data = client.data(b"again");
    client.stack.udp(client.udp).unwrap().send_to(data, SocketAddr::from((SERVER, 7))).unwrap();
    let frame = client.sent().unwrap();
    let changes: [(&str, Change); 5] = [
        ("link down", |host| host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap()),
        ("another station", |host| {
            host.stack.netif(host.netif).unwrap().set_station(MacAddr::new(2, 0, 0, 0, 0, 3)).unwrap();
        }),
        ("another address", |host| {
            let settings = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 3), 24);
            host.stack.netif(host.netif).unwrap().set_ipv4(settings).unwrap();
        }),
        ("the peer's address is ours now", |host| {
            let settings = Ipv4Settings::new(CLIENT, 24);
            let other = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 9)).ipv4(settings);
            host.stack.netif_add(&other).unwrap();
        }),
        ("the interface is down", |host| host.stack.netif(host.netif).unwrap().set_up(false).unwrap()),
    ];
    for (name, change) in changes {
        let mut host = Host::new(2);
        for _ in 0..2 {
            host.input(&frame);
            assert_eq!(host.heard().len(), 1);
        }
        change(&mut host);
        host.input(&frame);
        assert!(host.heard().is_empty(), "{name}");
    }
}
