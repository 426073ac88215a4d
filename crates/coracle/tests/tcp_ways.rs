//! Segments take a quick way where nothing about them is out of the ordinary. What comes of a segment is the same by
//! either way: two servers, alike in all, get the same frames, one of them in pieces, which no quick way takes.

mod tcp_common;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::wire::checksum::{Sum, pseudo_v4};
use coracle::*;
use tcp_common::{App, Log, PORT, pattern};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Where the headers of IP and of TCP begin, and where TCP's options end.
const IP: usize = 14;
const TCP: usize = IP + 20;
const DATA: usize = TCP + 32;

struct Host {
    stack: Stack<App>,
    netif: NetifHandle,
}

impl Host {
    fn new(address: Ipv4Addr, seed: u8) -> Self {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
        let mut config = Config::new([seed; 16]);
        config.tcp.challenge_acks_per_second = 10_000;
        config.tcp.resets_per_second = 10_000;
        let mut stack = Stack::new(&mut arena, Limits::SMALL, memory, config).unwrap();
        let station = MacAddr::new(2, 0, 0, 0, 0, address.octets()[3]);
        let settings = Ipv4Settings::new(address, 24);
        let netif = stack.netif_add(&NetifConfig::ethernet(station).ipv4(settings)).unwrap();
        stack.netif(netif).unwrap().set_up(true).unwrap();
        Self { stack, netif }
    }

    /// Takes a frame, cut in two behind `at` bytes.
    fn receive(&mut self, bytes: &[u8], at: usize, now: Instant) {
        let memory = self.stack.memory();
        let piece = |bytes: &[u8]| {
            let mut piece = memory.alloc(Layer::Raw, bytes.len(), Kind::Pool).unwrap();
            piece.take(bytes).unwrap();
            piece
        };
        let (first, rest) = bytes.split_at(at.min(bytes.len()));
        let mut frame = piece(first);
        if !rest.is_empty() {
            frame.cat(piece(rest)).unwrap();
        }
        self.stack.input(self.netif, frame, now).unwrap();
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        let bytes = |frame: Pbuf| {
            let mut bytes = vec![0; frame.len()];
            frame.copy_to(0, &mut bytes);
            bytes
        };
        std::iter::from_fn(|| self.stack.transmit(self.netif)).map(bytes).collect()
    }
}

/// A client, and two servers that both take themselves for its peer.
struct Twins {
    client: Host,
    whole: (Host, Log),
    pieces: (Host, Log),
    now: Instant,
    cut: usize,
}

impl Twins {
    fn new() -> Self {
        let server = || {
            let mut host = Host::new(SERVER, 2);
            let (app, log) = App::new();
            host.stack.tcp_listen(SocketAddr::from((SERVER, PORT)), 4, app).unwrap();
            (host, log)
        };
        let now = Instant::from_secs(1);
        Self { client: Host::new(CLIENT, 1), whole: server(), pieces: server(), now, cut: 0 }
    }

    /// Gives a frame to both servers, and compares them; what they answer.
    fn serve(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.now = self.now + Duration::from_millis(1);
        // Within the headers of IP and TCP, its options, or the data.
        self.cut = (self.cut + 1) % 7;
        let cut = [14, 20, 40, 55, 60, 66, 70][self.cut];
        self.whole.0.receive(frame, usize::MAX, self.now);
        self.pieces.0.receive(frame, cut, self.now);
        let answers = self.whole.0.sent();
        assert_eq!(answers, self.pieces.0.sent(), "{frame:02x?} cut at {cut}");
        let (whole, pieces) = (&self.whole, &self.pieces);
        assert_eq!(whole.0.stack.counters(), pieces.0.stack.counters(), "{frame:02x?} cut at {cut}");
        assert_eq!(whole.1.borrow().heard, pieces.1.borrow().heard, "{frame:02x?} cut at {cut}");
        assert!(whole.1.borrow().received == pieces.1.borrow().received);
        answers
    }

    /// Carries frames until there are none; those of the client's that had data.
    fn run(&mut self) -> Vec<Vec<u8>> {
        let mut with_data = Vec::new();
        loop {
            let frames = self.client.sent();
            if frames.is_empty() {
                return with_data;
            }
            for frame in frames {
                for answer in self.serve(&frame) {
                    self.client.receive(&answer, usize::MAX, self.now);
                }
                if frame.len() > DATA {
                    with_data.push(frame);
                }
            }
        }
    }
}

/// Makes the checksums of a frame right again.
fn seal(frame: &mut [u8]) {
    frame[IP + 10..IP + 12].fill(0);
    let sum = Sum::new().add_bytes(&frame[IP..TCP]).finish();
    frame[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    frame[TCP + 16..TCP + 18].fill(0);
    let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&frame[at..at + 4]).unwrap());
    let pseudo = pseudo_v4(address(IP + 12), address(IP + 16), 6, (frame.len() - TCP) as u16);
    let sum = pseudo.add_bytes(&frame[TCP..]).finish();
    frame[TCP + 16..TCP + 18].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn a_transfer_is_the_same_in_one_piece_and_in_two() {
    let mut twins = Twins::new();
    let (app, log) = App::new();
    let bytes = pattern(50_000);
    log.borrow_mut().to_send.extend(&bytes);
    let tcp = twins.client.stack.tcp_new(app).unwrap();
    twins.client.stack.tcp(tcp).unwrap().connect(SocketAddr::from((SERVER, PORT))).unwrap();
    twins.run();
    assert!(twins.pieces.1.borrow().received == bytes);
    twins.client.stack.tcp(tcp).unwrap().close().unwrap();
    twins.run();
    assert_eq!(twins.whole.0.stack.counters().tcp.malformed, 0);
    assert_eq!(twins.pieces.1.borrow().heard.last(), Some(&tcp_common::Heard::Closed));
}

/// Every bit of every header, with checksums that are wrong then and with right ones; and what comes after that.
#[test]
fn a_strange_segment_is_the_same_in_one_piece_and_in_two() {
    for bit in 0..8 * DATA {
        for sealed in [false, true] {
            let mut twins = Twins::new();
            twins.cut = bit;
            let (app, _) = App::new();
            let tcp = twins.client.stack.tcp_new(app).unwrap();
            twins.client.stack.tcp(tcp).unwrap().connect(SocketAddr::from((SERVER, PORT))).unwrap();
            twins.run();
            twins.client.stack.tcp(tcp).unwrap().write_bytes(b"some data").unwrap();
            let frame = twins.client.sent().pop().expect("a frame with data");
            assert_eq!(frame.len(), DATA + 9);
            let mut strange = frame.clone();
            strange[bit / 8] ^= 0x80 >> (bit % 8);
            if sealed {
                seal(&mut strange);
            }
            for frame in [&strange, &frame, &strange] {
                twins.serve(frame);
            }
        }
    }
}
