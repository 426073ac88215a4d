//! Bulk TCP between Linux and the stack over TAP, beside Linux and Linux over veth, in turns of one run.
//!
//! ```sh
//! cargo run --release -p coracle-host --example tcp_rate    # as root; 256 MiB each way, in 5 turns
//! ```
//!
//! The kernel's two ends hand each other segments of up to 64 KiB without checksums; a TAP gets every 1,448 bytes in a frame
//! of its own, whose checksum is made, through a system call of its own.

use coracle::{
    Arena, Boxed, Config, Error, Handler, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits, NetifConfig,
    Pbuf, Refused, Stack, Tcp,
};
use coracle_host::{Host, Namespace};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

const LINUX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const SOURCE: u16 = 1;
const SINK: u16 = 2;
const BYTES: usize = 256 << 20;
const TURNS: usize = 5;
static DATA: [u8; 16 << 10] = [0x5A; 16 << 10];

type Failure = Box<dyn std::error::Error>;

/// Takes everything, or sends so much.
struct Peer {
    left: usize,
}

impl Peer {
    fn send(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        while self.left > 0 {
            let piece = &DATA[..self.left.min(DATA.len())];
            if tcp.write_static(piece).is_err() {
                return;
            }
            self.left -= piece.len();
            if self.left == 0 {
                tcp.close().unwrap_or_default();
            }
        }
    }
}

impl Handler<Boxed> for Peer {
    fn accept(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<Boxed, Error> {
        let mut connection = Self { left: self.left };
        connection.send(tcp);
        Ok(Boxed::new(connection))
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Boxed>, _acked: usize) {
        self.send(tcp);
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Boxed>, data: Pbuf) -> Result<(), Refused> {
        tcp.recved(data.len()).unwrap_or_default();
        Ok(())
    }
}

/// The stack behind a TAP of the namespace.
fn start(namespace: &Namespace) -> Result<coracle_host::Running<Boxed>, Failure> {
    let tap = namespace.open_tap("tap0")?;
    namespace.ip(&format!("address add {LINUX}/24 dev tap0"))?;
    tap.set_up(true)?;
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits { pool_buffers: 8 * 1024, ..MemoryLimits::default() })?;
    let mut config = Config::new([7; 16]);
    config.tcp.window = 1 << 20;
    config.tcp.send_buffer = 1 << 20;
    let mut host = Host::with_stack(Stack::new(&mut arena, Limits::default(), memory, config)?)?;
    let station = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2));
    let netif = host.attach(tap, station.ipv4(Ipv4Settings::new(CORACLE, 24)))?;
    host.stack().netif(netif)?.set_up(true)?;
    host.stack().tcp_listen((CORACLE, SOURCE).into(), 4, Boxed::new(Peer { left: BYTES }))?;
    host.stack().tcp_listen((CORACLE, SINK).into(), 4, Boxed::new(Peer { left: 0 }))?;
    Ok(host.spawn()?)
}

/// Linux as both, in place of the stack: the far end of a veth.
fn serve(namespace: &Namespace) -> Result<(), Failure> {
    for port in [SOURCE, SINK] {
        let listener = namespace.run(|| TcpListener::bind((CORACLE, port)))??;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes ends its own turn alone.
                let _ = if port == SOURCE { write(&stream) } else { read(&stream).map(drop) };
            }
        });
    }
    Ok(())
}

fn write(mut stream: &TcpStream) -> std::io::Result<()> {
    for _ in 0..BYTES / DATA.len() {
        stream.write_all(&DATA)?;
    }
    stream.shutdown(std::net::Shutdown::Write)
}

fn read(mut stream: &TcpStream) -> std::io::Result<usize> {
    let (mut buffer, mut total) = (vec![0; 256 << 10], 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(total),
            len => total += len,
        }
    }
}

/// Mebibytes a second from a source, or into a sink, as Linux's client sees it.
fn measure(namespace: &Namespace, port: u16) -> Result<f64, Failure> {
    let to: SocketAddr = (CORACLE, port).into();
    let stream = namespace.run(|| TcpStream::connect(to))??;
    let start = Instant::now();
    if port == SOURCE {
        let len = read(&stream)?;
        assert_eq!(len, BYTES, "all of it came");
    } else {
        write(&stream)?;
        // The peer ends when it has seen our end, and so everything before that.
        read(&stream)?;
    }
    Ok(f64::from((BYTES >> 20) as u32) / start.elapsed().as_secs_f64())
}

/// Two namespaces joined by a veth.
fn veth() -> Result<(Namespace, Namespace), Failure> {
    let (near, far) = (Namespace::new()?, Namespace::new()?);
    near.ip(&format!("link add veth0 type veth peer name veth1 netns {}", far.path().display()))?;
    for (namespace, address, name) in [(&near, LINUX, "veth0"), (&far, CORACLE, "veth1")] {
        namespace.ip(&format!("address add {address}/24 dev {name}"))?;
        namespace.ip(&format!("link set {name} up"))?;
    }
    serve(&far)?;
    Ok((near, far))
}

fn main() -> Result<(), Failure> {
    let tap = Namespace::new()?;
    let host = start(&tap)?;
    let (veth, _far) = veth()?;
    println!("MiB/s, the middle of {TURNS} turns of {} MiB each", BYTES >> 20);
    for (name, port) in [("to Linux", SOURCE), ("from Linux", SINK)] {
        let mut rates = [(); 2].map(|()| Vec::new());
        for _ in 0..TURNS {
            for (namespace, rates) in [&tap, &veth].into_iter().zip(&mut rates) {
                rates.push(measure(namespace, port)?);
            }
        }
        let [tap, veth] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[TURNS / 2]
        });
        println!("{name:<11} Coracle over TAP {tap:6.0}   Linux over veth {veth:6.0} ({:.2} ×)", veth / tap);
    }
    let counters = host.call(|host| host.stack().counters().tcp)?;
    println!("sent again: {} segments, {} timeouts", counters.retransmitted, counters.timeouts);
    Ok(())
}
