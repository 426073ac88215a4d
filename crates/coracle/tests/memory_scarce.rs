//! A walk through everything that takes buffers, with every small amount of memory left: each step succeeds or says
//! that memory is short, and afterwards all of it is back and the same walk succeeds.

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

struct Walker {
    host: Host,
    sender: UdpHandle,
    lite: UdpHandle,
    raw: RawHandle,
}

impl Walker {
    fn new() -> Self {
        let mut host = Host::configured(|setup| {
            setup.memory = MemoryLimits {
                pool_buffers: 64,
                pool_buffer_size: 1_700,
                small_buffers: 0,
                references: 16,
                heap_bytes: 32 << 10,
            };
            setup.config.icmp_error_burst = 10_000;
        });
        host.add(&NetifConfig::loopback());
        host.stack.netif(host.netif).unwrap().set_neighbour(PEER.into(), PEER_MAC).unwrap();
        host.stack.netif(host.netif).unwrap().join_group(GROUP.into()).unwrap();
        let echo = |host: &Host| {
            host.app("echo").on_datagram(|udp, from, data| {
                if let Err(rejected) = udp.send_to(data, from) {
                    assert!(matches!(rejected.error, Error::Memory | Error::WouldBlock));
                }
            })
        };
        for _ in 0..3 {
            let app = echo(&host);
            let udp = host.stack.udp_new(app).unwrap();
            let mut udp = host.stack.udp(udp).unwrap();
            udp.set_reuse_address(true).unwrap();
            udp.bind(v4("0.0.0.0:7").into()).unwrap();
        }
        let sender = host.udp("sender", 5_000);
        let mut udp = host.stack.udp(sender).unwrap();
        udp.set_broadcast(true).unwrap();
        udp.set_multicast_loop(true).unwrap();
        let app = host.app("lite");
        let lite = host.stack.udp_lite_new(app).unwrap();
        let app = host.app("raw").on_packet(|_, packet| Some(packet));
        let raw = host.stack.raw_new(1, app).unwrap();
        Self { host, sender, lite, raw }
    }

    /// What drivers hand in, taken from the pool while it is full.
    fn frames(&self) -> Vec<Pbuf> {
        let udp = |to: &str, data: &[u8]| Packet::udp("192.0.2.9:5000", to, data).frame();
        let whole = [
            udp("192.0.2.2:7", b"echo"),
            udp("192.0.2.2:99", b"nobody"),
            udp("192.0.2.255:7", b"broadcast to three"),
            udp("239.1.2.3:7", b"group of three"),
            Packet::ping(1, 1, &[3; 200]).frame(),
            Packet::new(PEER, OURS, 200, b"no protocol".to_vec()).frame(),
            Packet::udp("192.0.2.9:5000", "192.0.2.2:7", b"bad option").options(&[131, 1, 0, 0]).frame(),
            Arp::request(PEER_MAC, PEER, OURS).frame(),
            Arp::reply(GATEWAY_MAC, GATEWAY).frame(),
            udp("192.0.2.2:7", b"padded"),
        ];
        let mut frames: Vec<Pbuf> = whole.iter().map(|bytes| self.host.frame(bytes)).collect();
        for bytes in &whole {
            let mut frame = self.host.frame(&bytes[..10]);
            frame.cat(self.host.frame(&bytes[10..30])).unwrap();
            frame.cat(self.host.frame(&bytes[30..])).unwrap();
            frames.push(frame);
        }
        frames
    }

    /// Every operation that takes memory; returns how each of those ended that say.
    fn walk(&mut self, frames: Vec<Pbuf>) -> Vec<Result<(), Error>> {
        let mut results = Vec::new();
        let netif = self.host.netif;
        for frame in frames {
            let kept = frame.clone();
            self.host.stack.input(netif, frame, self.host.now).unwrap();
            drop(kept);
            self.host.sent();
        }
        let stack = &mut self.host.stack;
        let destinations = ["192.0.2.9:9", "192.0.2.77:9", "198.51.100.1:9", "192.0.2.255:9", "239.1.2.3:7"];
        for to in destinations.into_iter().chain(["127.0.0.1:7", "192.0.2.2:99"]) {
            let to: SocketAddr = v4(to).into();
            results.push(stack.udp(self.sender).unwrap().send_bytes_to(b"bytes", to));
            results.push(stack.udp(self.lite).unwrap().send_bytes_to(b"lite", to).or_else(|error| {
                // The UDP-Lite control block may not broadcast.
                if error == Error::Value { Ok(()) } else { Err(error) }
            }));
            for kind in [Kind::Ram, Kind::Pool, Kind::Rom] {
                let data = match kind {
                    Kind::Rom => stack.memory().from_static(b"constant"),
                    kind => stack.memory().alloc(Layer::Raw, 100, kind),
                };
                results.push(data.and_then(|data| {
                    let kept = data.clone();
                    let len = data.len();
                    let sent = stack.udp(self.sender).unwrap().send_to(data, to);
                    drop(kept);
                    sent.map_err(|rejected| {
                        assert_eq!((rejected.data.len(), rejected.data.segment_count()), (len, 1));
                        rejected.error
                    })
                }));
            }
        }
        let ping = stack.memory().alloc(Layer::Ip, 8, Kind::Ram);
        results.push(ping.and_then(|mut ping| {
            ping.take(&[8, 0, 0xf7, 0xff, 0, 0, 0, 0]).unwrap();
            Ok(stack.raw(self.raw).unwrap().send_to(ping, IpAddr::V4(PEER))?)
        }));
        results.push(stack.netif(netif).unwrap().announce());
        results.push(stack.netif(netif).unwrap().query_neighbour(Ipv4Addr::new(192, 0, 2, 78).into()));
        results
    }

    /// Lets everything that waits end.
    fn finish(&mut self) {
        self.host.sent();
        self.host.advance(Duration::from_secs(30));
        self.host.sent();
        self.host.heard();
    }
}

type Hog = (Vec<Pbuf>, Vec<Pbuf>, Vec<coracle::buf::HeapBuf>);

/// Takes all memory but so many buffers, references, and blocks of the heap.
fn hog(memory: &Memory, pool: usize, references: usize, blocks: usize) -> Hog {
    let mut buffers: Vec<Pbuf> =
        std::iter::from_fn(|| memory.alloc(Layer::Raw, 1, Kind::Pool).ok()).collect();
    let mut views: Vec<Pbuf> = std::iter::from_fn(|| memory.from_static(b"hog").ok()).collect();
    let mut heap: Vec<_> = std::iter::from_fn(|| memory.heap_alloc(200).ok()).collect();
    buffers.drain(..pool);
    views.drain(..references);
    let small: Vec<_> = std::iter::from_fn(|| memory.heap_alloc(1).ok()).collect();
    heap.drain(..blocks);
    heap.extend(small);
    (buffers, views, heap)
}

#[test]
fn with_any_little_memory_every_operation_ends_in_order_and_all_of_it_comes_back() {
    let mut failures = 0;
    for pool in 0..4 {
        for references in 0..4 {
            for blocks in [0, 1, 2, 5] {
                let mut walker = Walker::new();
                let frames = walker.frames();
                let hog = hog(walker.host.stack.memory(), pool, references, blocks);
                for result in walker.walk(frames) {
                    assert!(matches!(result, Ok(()) | Err(Error::Memory)), "{result:?}");
                    failures += usize::from(result.is_err());
                }
                walker.finish();
                drop(hog);
                let left = (pool, references, blocks);
                assert_eq!(walker.host.memory_used(), (0, 0, 0), "leaked, with {left:?} left");

                let frames = walker.frames();
                let results = walker.walk(frames);
                assert!(results.iter().all(Result::is_ok), "after {left:?} were left: {results:?}");
                let heard = walker.host.heard();
                let datagrams = heard.iter().filter(|heard| matches!(heard, Heard::Datagram { .. })).count();
                assert!(datagrams >= 2 * 3 * 2, "{datagrams} datagrams after memory was back");
                walker.finish();
                assert_eq!(walker.host.memory_used(), (0, 0, 0), "leaked after {left:?} were left");
            }
        }
    }
    assert!(failures > 500, "memory was not scarce: {failures} failures");
}
