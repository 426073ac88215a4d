//! A host with a device of the test's own: a datagram socket that carries frames, so nothing here needs privileges.

use coracle::{
    Arena, Boxed, Config, Handler, Instant, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits, NetifConfig,
    NetifHandle, Pbuf, Stack, Timeout,
};
use coracle_host::{Host, Nic};
use coracle_sim::pcap::LinkType;
use std::io::{self, IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What the device saw of a frame: where its bytes lay, and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Received(usize, usize),
    Sent(usize, usize),
}

struct Socket {
    fd: UnixDatagram,
    link: LinkType,
    seen: Arc<Mutex<Vec<Seen>>>,
    gone: Arc<AtomicBool>,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Nic for Socket {
    fn recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match self.fd.recv(frame) {
            // How the tests make it fail.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                self.seen.lock().unwrap().push(Seen::Received(frame.as_ptr() as usize, len));
                Ok(Some(len))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<bool> {
        let frame: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        match self.fd.send(&frame) {
            Ok(len) => {
                self.seen.lock().unwrap().push(Seen::Sent(parts[0].as_ptr() as usize, len));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn mtu(&self) -> io::Result<usize> {
        if self.gone.load(Ordering::Relaxed) { Err(io::ErrorKind::NotFound.into()) } else { Ok(1400) }
    }

    fn frame_size(&self) -> io::Result<usize> {
        Ok(1418)
    }

    fn link_type(&self) -> LinkType {
        self.link
    }
}

fn socket(link: LinkType) -> (Socket, UnixDatagram, Arc<Mutex<Vec<Seen>>>) {
    let (socket, far) = UnixDatagram::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    (Socket { fd: socket, link, seen: Arc::clone(&seen), gone: Arc::default() }, far, seen)
}

fn host(memory: MemoryLimits) -> Host<Boxed> {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, memory).unwrap();
    Host::with_stack(Stack::new(&mut arena, Limits::default(), memory, Config::new([7; 16])).unwrap())
        .unwrap()
}

/// A host on bare IP with the other end of its wire.
struct Wired {
    host: Host<Boxed>,
    netif: NetifHandle,
    far: UnixDatagram,
    seen: Arc<Mutex<Vec<Seen>>>,
}

fn wired(memory: MemoryLimits) -> Wired {
    let mut host = host(memory);
    let (socket, far, seen) = socket(LinkType::Ip);
    let netif = host.attach(socket, NetifConfig::ip().ipv4(Ipv4Settings::new(CORACLE, 24))).unwrap();
    host.stack().netif(netif).unwrap().set_up(true).unwrap();
    Wired { host, netif, far, seen }
}

/// A UDP datagram without a checksum, in an IP packet.
fn datagram(port: u16, data: &[u8]) -> Vec<u8> {
    let len = (28 + data.len()) as u16;
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0];
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet.extend([OTHER.octets(), CORACLE.octets()].concat());
    let sum = coracle::wire::checksum::checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend([0x30, 0x39].iter().chain(&port.to_be_bytes()));
    packet.extend((len - 20).to_be_bytes().iter().chain(&[0, 0]));
    packet.extend(data);
    packet
}

fn echo(host: &mut Host<Boxed>, handler: Boxed) -> coracle::UdpHandle {
    let udp = host.stack().udp_new(handler).unwrap();
    host.stack().udp(udp).unwrap().bind((CORACLE, 7).into()).unwrap();
    udp
}

/// The other end's next frame, if there is one.
fn taken(far: &UnixDatagram) -> Option<Vec<u8>> {
    let mut frame = vec![0; 2000];
    let len = far.recv(&mut frame).ok()?;
    frame.truncate(len);
    Some(frame)
}

#[test]
fn nothing_is_copied_between_device_and_application() {
    let Wired { mut host, far, seen, .. } = wired(MemoryLimits::default());
    let (report, reported) = mpsc::channel();
    echo(
        &mut host,
        Boxed::datagrams(move |udp, from, data| {
            report.send((data.payload().as_ptr() as usize, data.segment_count())).unwrap();
            udp.send_to(data, from).unwrap();
        }),
    );
    far.send(&datagram(7, b"where am I?")).unwrap();
    host.work().unwrap();
    let (address, segments) = reported.try_recv().unwrap();
    let seen = seen.lock().unwrap().clone();
    let [Seen::Received(filled, 39), Seen::Sent(sent, 39)] = seen[..] else { panic!("{seen:?}") };
    assert_eq!((address, segments), (filled + 28, 1), "what the application saw is what the device filled");
    assert_eq!(sent, filled, "and the answer left from there, its headers where the question's were");
    assert_eq!(taken(&far).unwrap()[28..], *b"where am I?");
}

#[test]
fn frames_stay_in_the_device_while_there_is_no_buffer() {
    // Six datagrams for four buffers, and an application that keeps what it gets.
    let Wired { mut host, netif, far, .. } =
        wired(MemoryLimits { pool_buffers: 4, heap_bytes: 0, ..MemoryLimits::default() });
    let kept: Arc<Mutex<Vec<(SocketAddr, Pbuf)>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let udp = echo(&mut host, Boxed::datagrams(move |_, from, data| keep.lock().unwrap().push((from, data))));
    for number in 0..6_u8 {
        far.send(&datagram(7, &[number; 100])).unwrap();
    }
    // Several rounds, each of which sleeps for the millisecond after which it is tried again.
    for _ in 0..3 {
        let before = host.now();
        host.turn(None).unwrap();
        assert!(host.now().since(before) >= Duration::from_millis(1), "it does not spin");
    }
    assert_eq!(kept.lock().unwrap().len(), 4);
    let counters = host.counters(netif).unwrap();
    assert_eq!(
        (counters.received, counters.shortages),
        (4, 1),
        "one shortage, however often it was looked at"
    );
    for (from, data) in kept.lock().unwrap().drain(..) {
        host.stack().udp(udp).unwrap().send_to(data, from).unwrap();
    }
    for _ in 0..3 {
        host.work().unwrap();
    }
    kept.lock().unwrap().drain(..).for_each(|(from, data)| {
        host.stack().udp(udp).unwrap().send_to(data, from).unwrap();
    });
    host.work().unwrap();
    let answers: Vec<u8> = std::iter::from_fn(|| taken(&far)).map(|frame| frame[28]).collect();
    assert_eq!(answers, [0, 1, 2, 3, 4, 5], "none lost, none out of order");
    assert_eq!(host.stack().memory().stats().pool.used, 0);
}

#[test]
fn the_heap_serves_when_the_pool_is_used_up() {
    let Wired { mut host, netif, far, .. } =
        wired(MemoryLimits { pool_buffers: 1, ..MemoryLimits::default() });
    let kept: Arc<Mutex<Vec<Pbuf>>> = Arc::default();
    let keep = Arc::clone(&kept);
    echo(&mut host, Boxed::datagrams(move |_, _, data| keep.lock().unwrap().push(data)));
    for number in 0..6_u8 {
        far.send(&datagram(7, &[number; 100])).unwrap();
    }
    host.work().unwrap();
    assert_eq!((host.counters(netif).unwrap().received, host.counters(netif).unwrap().shortages), (6, 0));
    let stats = host.stack().memory().stats();
    assert_eq!(stats.pool.used, 1);
    let each = stats.heap.used / 5;
    assert!((1..500).contains(&each), "{each} bytes of the heap for each, and not a whole frame's");
    let kept: Vec<u8> = kept.lock().unwrap().drain(..).map(|data| data.payload()[0]).collect();
    assert_eq!(kept, [0, 1, 2, 3, 4, 5]);
    assert!(host.stack().memory().stats().is_unused());
}

#[test]
fn a_device_that_goes_while_there_is_no_buffer_is_noticed() {
    let mut host = host(MemoryLimits { pool_buffers: 0, heap_bytes: 0, ..MemoryLimits::default() });
    let (socket, _far, _) = socket(LinkType::Ip);
    let gone = Arc::clone(&socket.gone);
    host.attach(socket, NetifConfig::ip()).unwrap();
    host.work().unwrap();
    gone.store(true, Ordering::Relaxed);
    assert!(host.work().is_err());
}

#[test]
fn a_full_device_keeps_frames_in_the_stack() {
    let Wired { mut host, netif, far, .. } = wired(MemoryLimits::default());
    let udp = echo(&mut host, Boxed::datagrams(|_, _, _| {}));
    let send = |host: &mut Host<Boxed>, number: u8| {
        host.stack().udp(udp).unwrap().send_bytes_to(&[number; 900], (OTHER, 9).into())
    };
    // Until the socket and then the interface's queue of 64 are full.
    let mut sent = 0_u8;
    while send(&mut host, sent).is_ok() {
        sent += 1;
        host.work().unwrap();
    }
    assert_eq!(send(&mut host, sent), Err(coracle::Error::WouldBlock));
    assert_eq!(host.stack().transmit_pending(netif), 64);
    let counters = host.counters(netif).unwrap();
    assert_eq!(
        (counters.full, counters.refused),
        (1, 0),
        "a full device is not tried again before it has room"
    );
    // A full device does not keep the host awake.
    let until = host.now() + Duration::from_millis(20);
    assert!(host.turn(Some(until)).unwrap().by_deadline);

    let mut received = Vec::new();
    while received.len() < usize::from(sent) {
        received.extend(std::iter::from_fn(|| taken(&far)).map(|frame| frame[28]));
        host.turn(Some(Instant::ZERO)).unwrap();
    }
    assert!(received.iter().copied().eq(0..sent), "all, in order: {received:?}");
}

/// A device that always has one more frame.
struct Endless(Socket);

impl AsFd for Endless {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Nic for Endless {
    fn recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        let packet = datagram(7, b"more");
        frame[..packet.len()].copy_from_slice(&packet);
        Ok(Some(packet.len()))
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<bool> {
        self.0.send_vectored(parts)
    }

    fn mtu(&self) -> io::Result<usize> {
        self.0.mtu()
    }

    fn frame_size(&self) -> io::Result<usize> {
        self.0.frame_size()
    }

    fn link_type(&self) -> LinkType {
        self.0.link_type()
    }
}

#[test]
fn an_endless_flood_starves_neither_timers_nor_other_devices() {
    struct Tick(Sender<Instant>);
    impl Handler<Boxed> for Tick {
        fn timeout(&mut self, timeout: &mut Timeout<'_, Boxed>) {
            self.0.send(timeout.stack().now()).unwrap();
        }
    }
    let mut host = host(MemoryLimits::default());
    let flood = Endless(socket(LinkType::Ip).0);
    let flood = host.attach(flood, NetifConfig::ip().ipv4(Ipv4Settings::new(CORACLE, 24))).unwrap();
    let (quiet, far, _) = socket(LinkType::Ip);
    let quiet = host.attach(quiet, NetifConfig::ip()).unwrap();
    for netif in [flood, quiet] {
        host.stack().netif(netif).unwrap().set_up(true).unwrap();
    }
    let (tick, ticks) = mpsc::channel();
    host.stack().timeout(Duration::ZERO, Boxed::new(Tick(tick))).unwrap();
    far.send(&datagram(7, b"me too")).unwrap();
    host.work().unwrap();
    assert!(ticks.try_recv().is_ok(), "the timer that was due");
    assert_eq!(host.counters(quiet).unwrap().received, 1);
    let flooded = host.counters(flood).unwrap().received;
    assert!((1..=32).contains(&flooded), "{flooded} frames in one round");
}

#[test]
fn a_chain_of_many_parts_leaves_as_one_frame() {
    let Wired { mut host, far, .. } = wired(MemoryLimits::default());
    let udp = echo(&mut host, Boxed::datagrams(|_, _, _| {}));
    let text: &'static [u8] = b"abcdefghijklmnopqrstuvwxyz";
    for parts in [1, 2, 7, 8, 9, 26] {
        let mut chain = host.stack().memory().from_static(&text[..1]).unwrap();
        for index in 1..parts {
            let part = host.stack().memory().from_static(&text[index..=index]).unwrap();
            chain.cat(part).unwrap();
        }
        host.stack().udp(udp).unwrap().send_to(chain, (OTHER, 9).into()).unwrap();
        host.work().unwrap();
        assert_eq!(taken(&far).unwrap()[28..], text[..parts]);
    }
    assert_eq!(host.stack().memory().stats().references.used, 0);
}

#[test]
fn a_device_gets_an_interface_of_its_kind_and_mtu() {
    let Wired { mut host, netif, .. } = wired(MemoryLimits::default());
    assert_eq!(host.stack().netif(netif).unwrap().mtu(), Ok(1400));
    let wrong = [NetifConfig::loopback(), NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2))];
    for config in wrong {
        let error = host.attach(socket(LinkType::Ip).0, config).unwrap_err();
        assert!(
            matches!(error, coracle_host::Error::Stack { source: coracle::Error::Argument, .. }),
            "{error}"
        );
    }
    let taken = NetifConfig::ip().ipv4(Ipv4Settings::new(CORACLE, 24));
    let error = host.attach(socket(LinkType::Ip).0, taken).unwrap_err();
    assert!(matches!(error, coracle_host::Error::Stack { source: coracle::Error::InUse, .. }), "{error}");
    assert_eq!(host.stack().netifs().count(), 1, "nothing is left of those");
}

#[test]
fn a_detached_device_is_closed_and_its_interface_gone() {
    let Wired { mut host, netif, far, .. } = wired(MemoryLimits::default());
    assert!(host.detach(netif));
    assert!(!host.detach(netif));
    assert_eq!(host.stack().netifs().count(), 0);
    assert_eq!(host.counters(netif), None);
    assert!(far.send(b"x").is_err());
    host.work().unwrap();
}

#[test]
fn an_interface_that_the_application_removed_takes_nothing_more() {
    let Wired { mut host, netif, far, .. } = wired(MemoryLimits::default());
    host.stack().netif_remove(netif).unwrap();
    far.send(&datagram(7, b"late")).unwrap();
    host.work().unwrap();
    assert_eq!(host.counters(netif).unwrap().refused, 1);
    assert_eq!(host.stack().memory().stats().pool.used, 0);
    assert!(host.detach(netif));
}

#[test]
fn a_failing_device_is_an_error_and_the_others_go_on() {
    let Wired { mut host, netif, far, .. } = wired(MemoryLimits::default());
    let (second, second_far, _) = socket(LinkType::Ip);
    let address = Ipv4Settings::new(Ipv4Addr::new(198, 51, 100, 2), 24);
    let other = host.attach(second, NetifConfig::ip().ipv4(address)).unwrap();
    host.stack().netif(other).unwrap().set_up(true).unwrap();
    second_far.send(&[]).unwrap();
    assert!(host.work().is_err());
    assert!(host.detach(other));
    echo(&mut host, Boxed::datagrams(|udp, from, data| udp.send_to(data, from).unwrap()));
    far.send(&datagram(7, b"still there?")).unwrap();
    host.turn(Some(Instant::ZERO)).unwrap();
    assert_eq!(taken(&far).unwrap()[28..], *b"still there?");
    assert_eq!(host.counters(netif).unwrap().sent, 1);
}

/// A writer that others can look into, and that fails when told.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<(Vec<u8>, bool)>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_capture_has_both_ways_and_is_complete_when_the_host_sleeps() {
    let Wired { mut host, netif, far, .. } = wired(MemoryLimits::default());
    echo(&mut host, Boxed::datagrams(|udp, from, data| udp.send_to(data, from).unwrap()));
    let file = Shared::default();
    host.capture(netif, file.clone()).unwrap();
    far.send(&datagram(7, b"captured")).unwrap();
    host.turn(Some(Instant::ZERO)).unwrap();
    let bytes = file.0.lock().unwrap().0.clone();
    // A header of 24 bytes; 16 before each of the two packets of 36.
    assert_eq!(bytes.len(), 24 + 2 * (16 + 36));
    assert_eq!(bytes[20], 101, "packets without a link header");
    assert_eq!(bytes[40..76], datagram(7, b"captured"));
    assert_eq!(&bytes[24 + 52 + 16 + 12..][..4], CORACLE.octets(), "and the answer");
    assert_eq!(host.end_capture(netif).unwrap(), 2);
    assert_eq!(host.end_capture(netif).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_capture_that_cannot_be_written_does_not_end_the_host() {
    let Wired { mut host, netif, far, .. } = wired(MemoryLimits::default());
    echo(&mut host, Boxed::datagrams(|udp, from, data| udp.send_to(data, from).unwrap()));
    let file = Shared::default();
    host.capture(netif, file.clone()).unwrap();
    file.0.lock().unwrap().1 = true;
    for _ in 0..2 {
        far.send(&datagram(7, b"not captured")).unwrap();
        host.turn(Some(Instant::ZERO)).unwrap();
        assert!(taken(&far).is_some());
    }
    assert_eq!(host.end_capture(netif).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn work_is_done_on_the_stacks_thread_and_the_host_comes_back() {
    let Wired { host, far, .. } = wired(MemoryLimits::default());
    let running = host.spawn().unwrap();
    let here = std::thread::current().id();
    assert_ne!(running.call(|_| std::thread::current().id()).unwrap(), here);
    running.post(|host| {
        echo(host, Boxed::datagrams(|udp, from, data| udp.send_to(data, from).unwrap()));
    });
    running.call(|_| ()).unwrap();
    far.set_nonblocking(false).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    far.send(&datagram(7, b"from another thread")).unwrap();
    assert_eq!(taken(&far).unwrap()[28..], *b"from another thread");
    assert!(running.is_running());
    let mut host = running.stop().unwrap();
    assert_eq!(host.stack().counters().udp.sent, 1);

    let running = host.spawn().unwrap();
    far.send(&[]).unwrap();
    while running.is_running() {
        std::thread::yield_now();
    }
    assert!(running.call(|_| ()).is_err());
    assert!(running.stop().is_err());
}

#[test]
fn other_threads_have_handles_of_their_own() {
    let running = Host::<Boxed>::new().unwrap().spawn().unwrap();
    let (remote, own) = (running.remote(), running.remote());
    let other = std::thread::spawn(move || remote.call(|host| host.stack().netifs().count()));
    assert_eq!(other.join().unwrap(), Ok(0));
    // The stack's own thread would wait for itself.
    let refused = running.call(move |_| own.call(|_| ())).unwrap();
    assert_eq!(refused, Err(coracle::Error::InProgress));
    let remote = running.remote();
    running.stop().unwrap();
    assert_eq!(remote.call(|_| ()), Err(coracle::Error::Closed));
}

#[test]
fn what_is_posted_knows_the_time_however_long_the_sleep_was() {
    let running = Host::<Boxed>::new().unwrap().spawn().unwrap();
    let before = running.call(|host| host.now()).unwrap();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
    let told = running.call(|host| host.stack().now()).unwrap();
    assert!(told >= before + Duration::from_millis(1), "{told:?}, a millisecond after {before:?}");
}
