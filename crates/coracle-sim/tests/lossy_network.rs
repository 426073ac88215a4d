//! Networks of stacks on bad wires, each run repeatable from its seed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle::{
    Arena, Config, Handler, Instant, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits, NeighbourState,
    NetifConfig, NetifHandle, Pbuf, Stack, Timeout, Udp, UdpHandle,
};
use coracle_sim::impair::{Impairment, Probability, Rate};
use coracle_sim::network::{Network, SegmentId, StackId};

const PORT: u16 = 4_000;

/// Both ends of a protocol of questions and answers: a question is its number, its length and bytes that follow from
/// both; the answer is the question with every byte inverted.
enum App {
    Server,
    /// Asks each peer in turn, again and again until the answer comes.
    Client(Client),
    /// Wakes the client of this control block up.
    Alarm(UdpHandle),
}

struct Client {
    peers: Vec<SocketAddr>,
    /// The question that is open.
    number: u32,
    questions: u32,
    tries: u32,
}

/// Time to wait for an answer.
const PATIENCE: Duration = Duration::from_millis(300);
/// An ARP packet damaged on the way can mislead a host for as long as it believes a neighbour: five minutes.
const MOST_TRIES: u32 = 4_000;

fn question(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((0..len).map(|i| (number as usize * 31 + i * 7) as u8));
    bytes
}

fn len_of(number: u32) -> usize {
    (number as usize * 977) % 1_400
}

fn bytes_of(data: &Pbuf) -> Vec<u8> {
    data.segments().collect::<Vec<_>>().concat()
}

impl Client {
    fn ask(&mut self, udp: &mut Udp<'_, App>) {
        if self.number == self.questions {
            return;
        }
        self.tries += 1;
        assert!(self.tries < MOST_TRIES, "no answer to question {}", self.number);
        let peer = self.peers[self.number as usize % self.peers.len()];
        // What cannot be sent now is sent at the next try.
        udp.send_bytes_to(&question(self.number, len_of(self.number)), peer).unwrap_or_default();
    }
}

impl Handler for App {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let bytes = bytes_of(&data);
        match self {
            Self::Server => {
                let number = u32::from_be_bytes(bytes[..4].try_into().expect("a number"));
                assert_eq!(bytes, question(number, len_of(number)), "a question that nobody asked");
                let answer: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
                udp.send_bytes_to(&answer, from).unwrap_or_default();
            }
            Self::Client(client) => {
                let asked: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
                let number = u32::from_be_bytes(asked[..4].try_into().expect("a number"));
                assert!(number <= client.number, "an answer to a question of the future");
                assert_eq!(asked, question(number, len_of(number)), "an answer that is not the server's");
                if number == client.number {
                    client.number += 1;
                    client.tries = 0;
                    client.ask(udp);
                }
            }
            Self::Alarm(_) => {}
        }
    }

    fn timeout(&mut self, timeout: &mut Timeout<'_, Self>) {
        let Self::Alarm(client) = *self else { return };
        let mut udp = timeout.stack().udp(client).expect("a client that is there");
        let Some(Self::Client(mut state)) =
            udp.handler().map(|handler| core::mem::replace(handler, Self::Server))
        else {
            return;
        };
        state.ask(&mut udp);
        let done = state.number == state.questions;
        *udp.handler().expect("its place is kept") = Self::Client(state);
        if !done {
            timeout.again(PATIENCE);
        }
    }
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number as u8 + 1)
}

fn station(number: usize) -> MacAddr {
    MacAddr::new(2, 0, 0, 0, 0, number as u8 + 1)
}

struct Host {
    id: StackId,
    netif: NetifHandle,
    client: UdpHandle,
}

const MEMORY: MemoryLimits = MemoryLimits {
    pool_buffers: 32,
    pool_buffer_size: 1_600,
    small_buffers: 16,
    references: 64,
    heap_bytes: 64 << 10,
};

/// A host that asks so many questions of the next hosts, and answers all.
fn host(network: &mut Network<App>, segment: SegmentId, number: usize, count: usize, questions: u32) -> Host {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MEMORY).unwrap();
    let limits = Limits { neighbours: count, ..Limits::SMALL };
    let seed = (network.seed() * 1_000 + number as u64).to_le_bytes();
    let config = Config::new([seed, seed].concat().try_into().unwrap());
    let mut stack = Stack::new(&mut arena, limits, memory, config).unwrap();
    let settings = Ipv4Settings::new(address(number), 24);
    let netif = stack.netif_add(&NetifConfig::ethernet(station(number)).ipv4(settings)).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    let server = stack.udp_new(App::Server).unwrap();
    stack.udp(server).unwrap().bind(SocketAddr::from(([0; 4], PORT))).unwrap();
    let peers =
        (1..count.min(4)).map(|step| SocketAddr::from((address((number + step) % count), PORT))).collect();
    let client = stack.udp_new(App::Client(Client { peers, number: 0, questions, tries: 0 })).unwrap();
    stack.udp(client).unwrap().bind(SocketAddr::from(([0; 4], PORT + 1))).unwrap();
    // Hosts do not all start at once.
    stack.timeout(Duration::from_millis(1 + number as u64), App::Alarm(client)).unwrap();
    let id = network.add_stack(stack);
    network.attach(segment, id, netif);
    Host { id, netif, client }
}

fn network(
    seed: u64,
    impairment: Impairment,
    count: usize,
    questions: u32,
) -> (Network<App>, SegmentId, Vec<Host>) {
    let mut network = Network::new(seed);
    let segment = network.add_segment(impairment);
    let hosts = (0..count).map(|number| host(&mut network, segment, number, count, questions)).collect();
    (network, segment, hosts)
}

fn answered(network: &mut Network<App>, host: &Host) -> u32 {
    match network.stack(host.id).udp(host.client).unwrap().handler() {
        Some(App::Client(client)) => client.number,
        _ => panic!("the client is gone"),
    }
}

fn assert_all_answered(network: &mut Network<App>, hosts: &[Host], questions: u32) {
    for (number, host) in hosts.iter().enumerate() {
        assert_eq!(answered(network, host), questions, "host {number}");
    }
}

/// What a host believes of its neighbours is true.
fn assert_neighbours_true(network: &mut Network<App>, hosts: &[Host]) {
    let stations: BTreeMap<core::net::IpAddr, _> =
        (0..hosts.len()).map(|number| (address(number).into(), station(number))).collect();
    for host in hosts {
        for neighbour in network.stack(host.id).neighbours() {
            if neighbour.state != NeighbourState::Incomplete {
                assert_eq!(neighbour.station, stations.get(&neighbour.address).copied());
            }
        }
    }
}

/// Waits until nothing goes on any more, and counts the buffers.
fn finish(mut network: Network<App>) -> u64 {
    network.settle(Duration::from_hours(1));
    network.assert_balanced();
    network.digest()
}

/// What a seed makes of a wire: up to a fifth lost, a tenth twice, a third out of order, some with a bit inverted.
fn bad_wire(seed: u64) -> Impairment {
    let mix = |factor: u64, bound: u64| (seed.wrapping_mul(factor) >> 7) % bound;
    Impairment {
        delay: mix(0x9E37_79B9, 20_000),
        jitter: mix(0x85EB_CA6B, 10_000),
        loss: Probability::percent(mix(0xC2B2_AE35, 21)),
        duplicate: Probability::percent(mix(0x27D4_EB2F, 11)),
        reorder: Probability::percent(mix(0x1656_67B1, 34)),
        reorder_delay: 15_000,
        corrupt: Probability::percent(mix(0xD3A2_646C, 6)),
        rate: seed.is_multiple_of(3).then(|| Rate::new(2_000_000)),
        ..Impairment::default()
    }
}

#[test]
fn a_thousand_seeds_of_a_lossy_network() {
    for seed in 0..1_000 {
        let count = 2 + seed as usize % 9;
        let impairment = bad_wire(seed);
        let (mut network, _, hosts) = network(seed, impairment, count, 6);
        network.run_for(Duration::from_mins(20));
        assert_all_answered(&mut network, &hosts, 6);
        // A corrupted ARP packet can teach anything, as ARP has no checksum.
        if impairment.corrupt == Probability::NEVER {
            assert_neighbours_true(&mut network, &hosts);
        }
        finish(network);
    }
}

#[test]
fn a_seed_repeats_its_run_bit_for_bit() {
    let run = |seed| {
        let (mut network, _, _) = network(seed, bad_wire(seed), 5, 10);
        network.run_for(Duration::from_mins(1));
        finish(network)
    };
    for seed in [11, 12, 13] {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(11), run(12));
}

#[test]
fn a_partition_stops_service_and_its_end_brings_it_back() {
    let wire = Impairment { delay: 1_000, ..Impairment::default() };
    let (mut network, segment, hosts) = network(5, wire, 6, 2_000);
    network.run_for(Duration::from_millis(200));
    let ids: Vec<_> = hosts.iter().map(|host| host.id).collect();
    let before = answered(&mut network, &hosts[0]);
    assert!(before > 10);
    // Each host asks the three behind it, so that with parts of one nobody is answered.
    let alone: Vec<&[StackId]> = ids.chunks(1).collect();
    network.partition(segment, &alone);
    network.run_for(Duration::from_secs(20));
    for host in &hosts {
        assert!(answered(&mut network, host) <= before + 10);
    }
    network.heal(segment);
    network.run_for(Duration::from_mins(1));
    assert_all_answered(&mut network, &hosts, 2_000);
    assert_neighbours_true(&mut network, &hosts);
    finish(network);
}

#[test]
fn an_interface_that_goes_down_and_a_host_that_is_replaced() {
    let wire = Impairment { delay: 1_000, ..Impairment::default() };
    let (mut network, segment, mut hosts) = network(6, wire, 4, 3_000);
    network.run_for(Duration::from_millis(100));
    let Host { id, netif, .. } = hosts[1];
    network.stack(id).netif(netif).unwrap().set_up(false).unwrap();
    network.run_for(Duration::from_secs(8));
    network.stack(id).netif(netif).unwrap().set_up(true).unwrap();
    network.run_for(Duration::from_millis(100));
    let gone = network.remove_stack(hosts[2].id);
    drop(gone);
    network.run_for(Duration::from_secs(8));
    hosts[2] = host(&mut network, segment, 2, 4, 3_000);
    network.run_for(Duration::from_mins(2));
    assert_all_answered(&mut network, &hosts, 3_000);
    finish(network);
}

#[test]
fn a_hundred_stacks_on_one_segment() {
    let wire = Impairment { delay: 500, jitter: 500, loss: Probability::percent(2), ..Impairment::default() };
    let (mut network, _, hosts) = network(100, wire, 100, 20);
    network.run_for(Duration::from_mins(1));
    assert_all_answered(&mut network, &hosts, 20);
    assert_neighbours_true(&mut network, &hosts);
    finish(network);
}

/// One host sends far more than the other has buffers for; a third one is served all the same, and nothing leaks.
#[test]
fn a_flood_starves_nobody_for_good() {
    const BURST: usize = 60;
    let wire = Impairment { delay: 200, ..Impairment::default() };
    let (mut network, _, hosts) = network(9, wire, 3, 50);
    network.run_for(Duration::from_millis(5));
    let garbage = question(7, len_of(7));
    for _ in 0..500 {
        let stack = network.stack(hosts[0].id);
        let mut client = stack.udp(hosts[0].client).unwrap();
        for _ in 0..BURST {
            client.send_bytes_to(&garbage, SocketAddr::from((address(1), 9_999))).unwrap_or_default();
        }
        network.run_for(Duration::from_millis(1));
    }
    let errors = network.stack(hosts[1].id).counters().icmp;
    assert!(errors.rate_limited > 1_000 && errors.sent < 200, "{errors:?}");
    network.run_for(Duration::from_mins(1));
    assert_all_answered(&mut network, &hosts, 50);
    assert!(network.now() > Instant::from_secs(60));
    finish(network);
}
