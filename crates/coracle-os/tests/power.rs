//! How often an idle stack wakes: a day in virtual time.

mod common;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Cable, VirtualPort, Wire, core};
use coracle::{Error, Handler, Instant, NetifHandle, Pbuf, Refused, Tcp, TcpState};
use coracle_os::Core;

const DAY: Instant = Instant::from_secs(86_400);

#[derive(Debug)]
struct Quiet;

impl Handler for Quiet {
    fn accept(&mut self, _tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        Ok(Quiet)
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        tcp.recved(data.len()).unwrap();
        Ok(())
    }
}

type Node = Core<Quiet, VirtualPort, Cable>;

/// A device with a connection to another, both on one clock.
struct Pair {
    port: VirtualPort,
    nodes: [Node; 2],
    /// What each wants to do next, and how often it was woken.
    next: [Option<Instant>; 2],
    woken: [u64; 2],
}

impl Pair {
    fn connected(keep_alive: bool) -> Self {
        let (there, back) = (Wire::default(), Wire::default());
        let port = VirtualPort::default();
        let (mut client, _) = core::<Quiet, _>(port.clone(), Cable::new(1, &back, &there), 1, 2);
        let (mut server, _): (_, NetifHandle) =
            core::<Quiet, _>(port.clone(), Cable::new(2, &there, &back), 2, 2);
        let address: SocketAddr = "192.0.2.2:7".parse().unwrap();
        server.stack().tcp_listen(address, 1, Quiet).unwrap();
        let tcp = client.stack().tcp_new(Quiet).unwrap();
        let mut connection = client.stack().tcp(tcp).unwrap();
        connection.set_keep_alive(keep_alive).unwrap();
        connection.connect(address).unwrap();
        let mut pair = Self { port, nodes: [client, server], next: [Some(Instant::ZERO); 2], woken: [0; 2] };
        pair.run_to(Instant::from_secs(1));
        assert_eq!(pair.nodes[0].stack().tcp(tcp).unwrap().state(), TcpState::Established);
        pair
    }

    /// Wakes who has a frame or a deadline, until there is neither before the end.
    fn run_to(&mut self, end: Instant) {
        loop {
            let now = Instant::from_micros(self.port.micros.load(Ordering::SeqCst));
            let mut worked = false;
            for i in 0..2 {
                let netif = self.nodes[i].stack().netifs().next().unwrap();
                let frame = self.nodes[i].driver(netif).unwrap().incoming.len() > 0;
                if frame || self.next[i].is_some_and(|next| next <= now) {
                    self.next[i] = self.nodes[i].work();
                    self.woken[i] += 1;
                    worked = true;
                }
            }
            let next = self.next.into_iter().flatten().min().filter(|next| *next <= end);
            match next {
                _ if worked => {}
                Some(next) => self.port.micros.store(next.as_micros(), Ordering::SeqCst),
                None => break,
            }
        }
        self.port.micros.store(end.as_micros(), Ordering::SeqCst);
    }
}

/// Without keep-alive there is nothing to do on an idle connection, and so nothing is done: what TCP and ARP set up is over
/// after minutes.
#[test]
fn an_idle_day_with_a_connection_has_no_wake_ups() {
    let mut pair = Pair::connected(false);
    pair.run_to(Instant::from_secs(1_800));
    let settled = pair.woken;
    pair.run_to(DAY);
    assert_eq!(pair.woken, settled);
    assert_eq!(pair.next, [None, None], "no deadline at all");
}

/// With keep-alive [RFC 9293 §3.8.4] the client wakes for each probe and for its answer, the server for each probe: one every
/// two hours. Neighbours whose entries have grown old meanwhile are asked for again, which costs each a few more.
#[test]
fn an_idle_day_with_keep_alive_wakes_for_probes_only() {
    let mut pair = Pair::connected(true);
    pair.run_to(Instant::from_secs(1_800));
    let settled = pair.woken;
    pair.run_to(DAY);
    let probes = DAY.since(Instant::ZERO).as_secs() / Duration::from_hours(2).as_secs() - 1;
    let [client, server] = [0, 1].map(|i| pair.woken[i] - settled[i]);
    println!("probes: {probes}; wake-ups of the client: {client}, of the server: {server}");
    assert!((2 * probes..=10 * probes).contains(&client), "{client} wake-ups for {probes} probes");
    assert!((probes..=10 * probes).contains(&server), "{server} wake-ups for {probes} probes");
}
