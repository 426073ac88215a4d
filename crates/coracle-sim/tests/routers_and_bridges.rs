//! Twenty stacks as a chain of routers, and as hosts on a tree of bridges.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use coracle::{
    Arena, Config, Handler, IcmpError, IcmpErrorKind, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits,
    NetifConfig, NetifHandle, Pbuf, Route, Stack, Udp, UdpHandle,
};
use coracle_sim::impair::Impairment;
use coracle_sim::network::{Network, StackId};

#[derive(Debug, PartialEq)]
enum Heard {
    Data(SocketAddr, Vec<u8>),
    Error(IcmpErrorKind, Option<IpAddr>),
}

/// Notes what it hears, and answers with the same if it is a server.
struct App {
    heard: Rc<RefCell<Vec<Heard>>>,
    server: bool,
}

impl Handler for App {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let bytes = data.segments().collect::<Vec<_>>().concat();
        self.heard.borrow_mut().push(Heard::Data(from, bytes));
        if self.server {
            udp.send_to(data, from).unwrap();
        }
    }

    fn datagram_error(&mut self, _: &mut Udp<'_, Self>, _: SocketAddr, error: IcmpError) {
        self.heard.borrow_mut().push(Heard::Error(error.kind, error.reporter));
    }
}

fn stack(number: u8) -> Stack<App> {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
    let limits = Limits { netifs: 8, fragments: 64, stations: 64, neighbours: 32, ..Limits::SMALL };
    let mut config = Config::new([number + 1; 16]);
    config.path_mtu_discovery = true;
    Stack::new(&mut arena, limits, memory, config).unwrap()
}

fn station(stack: u8, port: u8) -> MacAddr {
    MacAddr::new(2, 0, 0, 0, stack, port)
}

fn add(stack: &mut Stack<App>, config: &NetifConfig) -> NetifHandle {
    let netif = stack.netif_add(config).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    netif
}

type Log = Rc<RefCell<Vec<Heard>>>;

fn listen(stack: &mut Stack<App>, port: u16, server: bool) -> (UdpHandle, Log) {
    let heard = Log::default();
    let udp = stack.udp_new(App { heard: Rc::clone(&heard), server }).unwrap();
    stack.udp(udp).unwrap().bind((Ipv4Addr::UNSPECIFIED, port).into()).unwrap();
    (udp, heard)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// Routers between two hosts, and the links between all of them, which are the networks `10.0.<link>.0/24`.
struct Chain {
    network: Network<App>,
    first: StackId,
    client: UdpHandle,
    heard: Log,
}

const STACKS: u8 = 20;
const LAST_LINK: u8 = STACKS - 2;

/// The stack on the left of a link is `.1` there, the one on the right `.2`.
fn left_of(link: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, link, 1)
}

fn right_of(link: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, link, 2)
}

fn chain(seed: u64, mtu_of: impl Fn(u8) -> u16) -> Chain {
    let mut network = Network::new(seed);
    let wires: Vec<_> = (0..=LAST_LINK)
        .map(|_| network.add_segment(Impairment { delay: 1_000, ..Impairment::default() }))
        .collect();
    let mut ends = Vec::new();
    for number in 0..STACKS {
        let mut stack = stack(number);
        let mut netifs = Vec::new();
        if number > 0 {
            let link = number - 1;
            let config = NetifConfig::ethernet(station(number, 0)).mtu(mtu_of(link)).forwarding();
            let netif = add(&mut stack, &config.ipv4(Ipv4Settings::new(right_of(link), 24)));
            let route = Route {
                prefix: Ipv4Addr::new(10, 0, 0, 0).into(),
                prefix_len: 24,
                netif,
                gateway: Some(left_of(link).into()),
                metric: 5,
            };
            if link > 0 {
                stack.route_add(route).unwrap();
            }
            netifs.push((link, netif));
        }
        if number < STACKS - 1 {
            let settings = Ipv4Settings::new(left_of(number), 24).with_gateway(right_of(number));
            let config = NetifConfig::ethernet(station(number, 1)).mtu(mtu_of(number)).forwarding();
            netifs.push((number, add(&mut stack, &config.ipv4(settings))));
        }
        let listening = match number {
            0 => Some(listen(&mut stack, 5_000, false)),
            last if last == STACKS - 1 => Some(listen(&mut stack, 7, true)),
            _ => None,
        };
        let id = network.add_stack(stack);
        for (link, netif) in netifs {
            network.attach(wires[usize::from(link)], id, netif);
        }
        ends.extend(listening.map(|(udp, heard)| (id, udp, heard)));
    }
    network.run_for(Duration::from_secs(1));
    let (first, client, heard) = ends.swap_remove(0);
    Chain { network, first, client, heard }
}

impl Chain {
    /// Sends so many bytes to the other end; what is heard within a second.
    fn ask(&mut self, ttl: u8, len: usize) -> Vec<Heard> {
        let stack = self.network.stack(self.first);
        let mut udp = stack.udp(self.client).unwrap();
        udp.set_ttl(ttl).unwrap();
        udp.send_bytes_to(&pattern(len), (right_of(LAST_LINK), 7).into()).unwrap();
        self.network.run_for(Duration::from_secs(1));
        self.heard.take()
    }

    fn finish(mut self) {
        self.network.settle(Duration::from_mins(30));
        self.network.assert_balanced();
    }
}

fn echoed(len: usize) -> Vec<Heard> {
    vec![Heard::Data((right_of(LAST_LINK), 7).into(), pattern(len))]
}

/// What traceroute does: every router on the way tells of itself, and the last hop is the other end.
#[test]
fn eighteen_routers_are_eighteen_hops() {
    let mut chain = chain(1, |_| 1_500);
    assert_eq!(chain.ask(64, 100), echoed(100));
    for hop in 1..=LAST_LINK {
        let router = right_of(hop - 1);
        assert_eq!(chain.ask(hop, 100), [Heard::Error(IcmpErrorKind::TimeExceeded, Some(router.into()))]);
    }
    assert_eq!(chain.ask(LAST_LINK + 1, 100), echoed(100));
    for len in [0, 1_472, 1_473, 9_000, 40_000] {
        assert_eq!(chain.ask(64, len), echoed(len));
    }
    chain.finish();
}

/// Links that take less and less: each router that cannot send on says so, and what is longer arrives in fragments.
#[test]
fn the_paths_mtu_is_found_step_by_step() {
    let mtu_of = |link: u8| 1_500 - u16::from(link / 4) * 200;
    let mut chain = chain(2, mtu_of);
    // Everybody knows its neighbours.
    assert_eq!(chain.ask(64, 100), echoed(100));
    for (len, told) in [(1_400, 1_300), (1_272, 1_100), (1_072, 900), (872, 700)] {
        let heard = chain.ask(64, len);
        let [Heard::Error(IcmpErrorKind::FragmentationNeeded { mtu }, _)] = heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(mtu, told, "what fits as far as is known leaves whole");
    }
    assert_eq!(chain.ask(64, 672), echoed(672));
    assert_eq!(chain.ask(64, 1_400), echoed(1_400));
    assert_eq!(chain.ask(64, 20_000), echoed(20_000));
    chain.finish();
}

/// The same seed, the same run.
#[test]
fn a_chain_of_routers_is_repeatable() {
    let digest = |seed| {
        let mut chain = chain(seed, |link| 1_500 - u16::from(link) * 20);
        chain.ask(64, 5_000);
        chain.ask(64, 5_000);
        chain.network.digest()
    };
    assert_eq!(digest(7), digest(7));
}

/// Four bridges in a row with four hosts each, all of them on one network.
#[test]
fn sixteen_hosts_on_four_bridges_reach_each_other() {
    const BRIDGES: u8 = 4;
    const HOSTS: u8 = 4;
    let mut network = Network::new(3);
    let wire =
        |network: &mut Network<App>| network.add_segment(Impairment { delay: 100, ..Impairment::default() });
    let address = |bridge: u8, host: u8| Ipv4Addr::new(192, 0, 2, 10 * (bridge + 1) + host);
    let between: Vec<_> = (1..BRIDGES).map(|_| wire(&mut network)).collect();
    let mut hosts = Vec::new();
    for number in 0..BRIDGES {
        let mut stack = stack(100 + number);
        let own = Ipv4Settings::new(address(number, 9), 24);
        let bridge = add(&mut stack, &NetifConfig::bridge(station(number, 0xf0)).ipv4(own));
        let mut segments = Vec::new();
        for host in 0..HOSTS {
            let segment = wire(&mut network);
            segments.push(segment);
            let mut stack = self::stack(number * HOSTS + host);
            let config = NetifConfig::ethernet(station(0x80 + number, host));
            let netif = add(&mut stack, &config.ipv4(Ipv4Settings::new(address(number, host), 24)));
            let (_, served) = listen(&mut stack, 7, true);
            let (udp, heard) = listen(&mut stack, 5_000, false);
            let id = network.add_stack(stack);
            network.attach(segment, id, netif);
            hosts.push((id, udp, heard, served, address(number, host)));
        }
        if number > 0 {
            segments.push(between[usize::from(number) - 1]);
        }
        segments.extend(between.get(usize::from(number)));
        let mut ports = Vec::new();
        for at in 0..segments.len() as u8 {
            let port = add(&mut stack, &NetifConfig::ethernet(station(number, at)));
            stack.netif(bridge).unwrap().bridge_add_port(port).unwrap();
            ports.push(port);
        }
        let id = network.add_stack(stack);
        for (port, segment) in ports.into_iter().zip(segments) {
            network.attach(segment, id, port);
        }
    }
    network.run_for(Duration::from_secs(1));
    for from in 0..hosts.len() {
        for to in 0..hosts.len() {
            if from == to {
                continue;
            }
            let remote = (hosts[to].4, 7).into();
            let mut udp = network.stack(hosts[from].0).udp(hosts[from].1).unwrap();
            udp.send_bytes_to(&pattern(3_000), remote).unwrap();
            network.run_for(Duration::from_millis(100));
            assert_eq!(hosts[from].2.take(), [Heard::Data(remote, pattern(3_000))]);
        }
    }
    let asked: Vec<_> = hosts.iter().map(|host| host.3.borrow().len()).collect();
    assert_eq!(asked, [15; 16], "each was asked once by each other, and nothing came twice");
    // All stations are known now: a question and its answer of three fragments each cross their own way only.
    let before = network.frames();
    let remote = (hosts[15].4, 7).into();
    network.stack(hosts[0].0).udp(hosts[0].1).unwrap().send_bytes_to(&pattern(3_000), remote).unwrap();
    network.run_for(Duration::from_millis(100));
    assert_eq!(network.frames() - before, 2 * 3 * 5, "five links one way");
    // A bridge is a host as well.
    let bridge = (address(2, 9), 7).into();
    network.stack(hosts[0].0).udp(hosts[0].1).unwrap().send_bytes_to(b"anybody?", bridge).unwrap();
    network.run_for(Duration::from_secs(1));
    let heard = hosts[0].2.take();
    let refused = Heard::Error(IcmpErrorKind::PortUnreachable, Some(address(2, 9).into()));
    assert!(heard.contains(&refused), "{heard:?}");
    network.settle(Duration::from_mins(30));
    network.assert_balanced();
}
