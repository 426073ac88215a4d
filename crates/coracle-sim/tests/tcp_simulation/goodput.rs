//! How fast data arrives over a wire of 100 Mbit/s, by its loss and delay: a table, kept to be looked at.
//!
//! What changes it by more than an eighth is to be looked at critically, and the table written anew:
//!
//! ```text
//! CORACLE_TCP_GOODPUT=write cargo test -p coracle-sim --test tcp_simulation goodput
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::{
    Arena, CUBIC, Config, CongestionControl, Error, Handler, Ipv4Settings, Limits, Memory, MemoryLimits,
    NEW_RENO, NetifConfig, Pbuf, Refused, Stack, Tcp, TcpHandle,
};
use coracle_sim::impair::{Impairment, Probability, Rate};
use coracle_sim::network::{Network, StackId};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tcp_simulation/goodput.txt");

const BITS_PER_SECOND: u64 = 100_000_000;
/// Per mille.
const LOSSES: [u64; 5] = [0, 1, 10, 30, 100];
/// Milliseconds, one way.
const DELAYS: [u64; 4] = [1, 20, 100, 300];
const SEEDS: u64 = 3;

/// Sends without end, or counts what comes.
struct Bulk {
    received: u64,
}

static ZEROS: [u8; 16_384] = [0; 16_384];

fn pump(tcp: &mut Tcp<'_, Bulk>) {
    while tcp.write_static(&ZEROS).is_ok() {}
}

impl Handler for Bulk {
    fn accept(&mut self, _: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        Ok(Self { received: 0 })
    }
    fn connected(&mut self, tcp: &mut Tcp<'_, Self>) {
        pump(tcp);
    }
    fn sent(&mut self, tcp: &mut Tcp<'_, Self>, _: usize) {
        pump(tcp);
    }
    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        self.received += data.len() as u64;
        tcp.recved(data.len()).unwrap();
        Ok(())
    }
}

fn host(
    network: &mut Network<Bulk>,
    number: u8,
    algorithm: &'static dyn CongestionControl,
) -> (StackId, coracle::NetifHandle) {
    let mut arena = Arena::heap();
    let limits = MemoryLimits {
        pool_buffers: 16_384,
        small_buffers: 16_384,
        references: 65_536,
        ..MemoryLimits::default()
    };
    let memory = Memory::new(&mut arena, limits).unwrap();
    let mut config = Config::new([number; 16]);
    // Room for the fastest and longest of these paths.
    config.tcp.window = 16 << 20;
    config.tcp.send_buffer = 16 << 20;
    config.tcp.send_queue = 4_096;
    config.tcp.congestion = algorithm;
    let limits = Limits { tcp: 4, tcp_segments: 16_384, tcp_held: 4_096, ..Limits::SMALL };
    let mut stack = Stack::new(&mut arena, limits, memory, config).unwrap();
    let settings = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, number), 24);
    let netif = stack.netif_add(&NetifConfig::ip().ipv4(settings)).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    (network.add_stack(stack), netif)
}

/// What one transfer came to, of a hundred round trips and ten seconds at least.
struct Sample {
    bits_per_second: u64,
    timeouts: u32,
}

fn transfer(seed: u64, algorithm: &'static dyn CongestionControl, loss: u64, delay: u64) -> Sample {
    let time = Duration::from_millis(100 * 2 * delay).max(Duration::from_secs(10));
    let mut network = Network::new(seed);
    // Frames are looked at in the other tests.
    network.set_judged(false);
    // The usual queue before a slow link: what is under way in the path, or 64 packets at least.
    let under_way = BITS_PER_SECOND / 8 * 2 * delay / 1_000;
    let rate = Rate { bits_per_second: BITS_PER_SECOND, queue: under_way.max(64 * 1_500) };
    let wire = network.add_segment(Impairment {
        delay: delay * 1_000,
        loss: Probability::ratio(loss, 1_000),
        rate: Some(rate),
        ..Impairment::default()
    });
    let (client, server) = (host(&mut network, 1, algorithm), host(&mut network, 2, algorithm));
    network.attach(wire, client.0, client.1);
    network.attach(wire, server.0, server.1);
    let end = SocketAddr::from(([192, 0, 2, 2], 80));
    network.stack(server.0).tcp_listen(end, 1, Bulk { received: 0 }).unwrap();
    let tcp: TcpHandle = network.stack(client.0).tcp_new(Bulk { received: 0 }).unwrap();
    network.stack(client.0).tcp(tcp).unwrap().connect(end).unwrap();
    network.run_for(time);
    let stack = network.stack(server.0);
    let accepted = stack.tcp_connections().next().expect("a connection");
    let received = stack.tcp(accepted).unwrap().info().unwrap().bytes_received;
    let timeouts = network.stack(client.0).counters().tcp.timeouts;
    Sample { bits_per_second: u64::from(received) * 8 / time.as_secs(), timeouts }
}

/// A line of the table.
struct Cell {
    control: &'static str,
    loss: u64,
    delay: u64,
    kilobits_per_second: u64,
    timeouts: u32,
}

impl Cell {
    fn measure(algorithm: &'static dyn CongestionControl, loss: u64, delay: u64) -> Self {
        let seeds = if loss == 0 { 1 } else { SEEDS };
        let samples: Vec<_> = (0..seeds).map(|seed| transfer(seed, algorithm, loss, delay)).collect();
        let sum: u64 = samples.iter().map(|sample| sample.bits_per_second).sum();
        let timeouts = samples.iter().map(|sample| sample.timeouts).sum();
        Self { control: algorithm.name(), loss, delay, kilobits_per_second: sum / seeds / 1_000, timeouts }
    }

    fn render(&self) -> String {
        let Self { control, loss, delay, kilobits_per_second, timeouts } = self;
        let loss = format!("{}.{} %", loss / 10, loss % 10);
        format!("{control:<8} {loss:>7} {delay:>5} ms {kilobits_per_second:>7} kbit/s {timeouts:>4}")
    }
}

/// Goodput and timeouts in a line of the kept table.
fn numbers_of(line: &str) -> Option<(u64, u32)> {
    let mut words = line.split_whitespace().rev();
    let timeouts = words.next()?.parse().ok()?;
    Some((words.nth(1)?.parse().ok()?, timeouts))
}

fn measure_all() -> Vec<Cell> {
    let algorithms: [&'static dyn CongestionControl; 2] = [&CUBIC, &NEW_RENO];
    let cells: Vec<_> = algorithms
        .into_iter()
        .flat_map(|algorithm| LOSSES.map(|loss| DELAYS.map(|delay| (algorithm, loss, delay))))
        .flatten()
        .collect();
    let half = |odd: usize| {
        let cells = cells.iter().enumerate().filter(move |(number, _)| number % 2 == odd);
        cells.map(|(_, &(algorithm, loss, delay))| Cell::measure(algorithm, loss, delay)).collect::<Vec<_>>()
    };
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        (half(0), odd.join().expect("no panic"))
    });
    even.into_iter().zip(odd).flat_map(|(even, odd)| [even, odd]).collect()
}

/// Whether a number is another within an eighth, or this much.
fn is_near(number: u64, other: u64, slack: u64) -> bool {
    number.abs_diff(other) <= other / 8 + slack
}

#[test]
fn goodput_is_what_it_was_found_to_be() {
    let cells = measure_all();
    let table: String = cells.iter().map(|cell| cell.render() + "\n").collect();
    if std::env::var_os("CORACLE_TCP_GOODPUT").is_some_and(|value| value == "write") {
        std::fs::write(TABLE, &table).expect("a table that can be written");
    }
    let kept = std::fs::read_to_string(TABLE).expect("a table that is kept");
    assert_eq!(kept.lines().count(), cells.len());
    for (cell, line) in cells.iter().zip(kept.lines()) {
        let (kilobits, timeouts) = numbers_of(line).expect("numbers");
        let near = is_near(cell.kilobits_per_second, kilobits, 50)
            && is_near(cell.timeouts.into(), timeouts.into(), 5);
        assert!(near, "it was\n{line}\nand is\n{}", cell.render());
    }
}
