//! A run: stacks and applications as planned, time passing, and what is true in the end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use coracle::{
    Arena, Error, Instant, Ipv4Settings, MacAddr, Memory, MemoryLimits, NetifConfig, Stack, SynCookies,
    TcpListenerHandle,
};
use coracle_sim::impair::{Impairment, Probability};
use coracle_sim::network::{Network, SegmentId, StackId};

use crate::app::{App, End, LONG_ENOUGH, Shared, Side, Work, World, set_up};
use crate::plan::{ConnectionPlan, Dice, HostPlan, Plan};

const PORT: u16 = 7_000;

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number as u8 + 1)
}

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub digest: u64,
    pub connections: usize,
    pub accepted: usize,
    /// Both sides ended in good order.
    pub in_order: usize,
    pub bytes: u64,
    pub frames: u64,
    pub timeouts: u32,
}

struct Run {
    network: Network<App>,
    wire: SegmentId,
    stacks: Vec<StackId>,
    doors: Vec<TcpListenerHandle>,
    world: Shared,
}

fn stack(
    plan: &HostPlan,
    number: usize,
    ethernet: bool,
    world: &Shared,
) -> (Stack<App>, coracle::NetifHandle, TcpListenerHandle) {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, plan.memory).unwrap();
    let mut stack = Stack::new(&mut arena, plan.limits, memory, plan.config.clone()).unwrap();
    let medium = if ethernet {
        NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, number as u8 + 1))
    } else {
        NetifConfig::ip()
    };
    let netif = stack.netif_add(&medium.mtu(plan.mtu).ipv4(Ipv4Settings::new(address(number), 24))).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    let door = App::Door {
        host: number,
        refuse_one_in: plan.refuse_one_in,
        delay: plan.delay_acceptance,
        cookies: plan.config.tcp.syn_cookies != SynCookies::Never,
        world: world.clone(),
    };
    let door = stack.tcp_listen(SocketAddr::from(([0; 4], PORT)), plan.backlog, door).unwrap();
    let mut listener = stack.tcp_listener(door).unwrap();
    listener.set_ask(plan.ask).unwrap();
    listener.set_priority(plan.priority).unwrap();
    (stack, netif, door)
}

impl Run {
    fn new(seed: u64, plan: &Plan) -> Self {
        let world = Rc::new(RefCell::new(World {
            dice: Dice::new(seed ^ 0xABCD),
            sides: Vec::new(),
            clients: HashMap::new(),
            server_plans: HashMap::new(),
            waiting: Vec::new(),
            winding_up: false,
        }));
        let mut network = Network::new(seed);
        let wire = network.add_segment(plan.wire);
        if let Some(path) = std::env::var_os("CORACLE_TCP_CAPTURE") {
            network.capture(wire, std::fs::File::create(path).unwrap());
        }
        let (mut stacks, mut doors) = (Vec::new(), Vec::new());
        for (number, host) in plan.hosts.iter().enumerate() {
            let (stack, netif, door) = stack(host, number, plan.ethernet, &world);
            let id = network.add_stack(stack);
            network.attach(wire, id, netif);
            stacks.push(id);
            doors.push(door);
        }
        Self { network, wire, stacks, doors, world }
    }

    /// A client connects; it may find no memory.
    fn open(&mut self, plan: &ConnectionPlan, number: usize) {
        let stack = self.network.stack(self.stacks[plan.from]);
        let server = SocketAddr::from((address(plan.to), PORT));
        let mut world = self.world.borrow_mut();
        let id = world.sides.len();
        let handle = match stack.tcp_new(App::Side(id, self.world.clone())) {
            Ok(handle) => handle,
            Err(error) => return assert_eq!(error, Error::Memory),
        };
        let mut tcp = stack.tcp(handle).unwrap();
        set_up(&mut tcp, &plan.client);
        if let Err(error) = tcp.connect(server) {
            assert_eq!(error, Error::Memory);
            drop(tcp.abort().unwrap());
            return;
        }
        let ends = (tcp.local().unwrap(), server);
        let name = format!("connection {number} from stack {} to {}", plan.from, plan.to);
        world.sides.push(Side::new(name, plan.from, handle, plan.client.clone(), ends, true));
        world.clients.insert(ends, id);
        world.server_plans.insert(id, plan.server.clone());
        // Data may be written before the connection stands.
        Work { world: &mut world, id, tcp: &mut tcp }.pump();
    }

    /// Decides upon SYNs that wait.
    fn decide(&mut self) {
        let waiting = core::mem::take(&mut self.world.borrow_mut().waiting);
        for (host, handle) in waiting {
            let admit = !self.world.borrow_mut().dice.one_in(3);
            if let Ok(mut tcp) = self.network.stack(self.stacks[host]).tcp(handle) {
                match tcp.admit() {
                    Ok(()) => {}
                    Err(error) => assert_eq!(error, Error::Memory),
                }
                if !admit {
                    drop(tcp.abort());
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.world.borrow().sides.iter().all(|side| side.end.is_some())
    }

    /// Lets the time pass in which connections open, the wire is cut and mended, and SYNs wait for decisions.
    fn live(&mut self, plan: &Plan) {
        let mut starts: Vec<_> = plan.connections.iter().enumerate().collect();
        starts.sort_by_key(|(_, connection)| core::cmp::Reverse(connection.start));
        let mut cut = plan.cut;
        let mut mend = None;
        while self.network.now() < Instant::ZERO + plan.end {
            if starts.is_empty() && cut.is_none() && mend.is_none() && self.is_over() {
                break;
            }
            let step = self.world.borrow_mut().dice.scale(1, 2_000);
            self.network.run_for(Duration::from_millis(step));
            let now = Duration::from_micros(self.network.now().as_micros());
            while let Some(&(number, next)) = starts.last().filter(|(_, next)| next.start <= now) {
                starts.pop();
                self.open(next, number);
            }
            if let Some((_, time)) = cut.take_if(|(at, _)| *at <= now) {
                let apart: Vec<_> = self.stacks.chunks(1).collect();
                self.network.partition(self.wire, &apart);
                mend = Some(now + time);
            }
            if mend.take_if(|at| *at <= now).is_some() {
                self.network.heal(self.wire);
            }
            self.decide();
        }
    }

    /// On a wire that loses little, with memory for everything, nobody gives up.
    fn check_errors(&self, plan: &Plan) {
        let wire = &plan.wire;
        let fair = wire.loss <= Probability::percent(5) && wire.corrupt <= Probability::percent(5);
        let roomy = plan.hosts.iter().all(|host| host.memory == MemoryLimits::default());
        if !fair || !roomy || wire.burst.is_some() || plan.cut.is_some() {
            return;
        }
        for side in &self.world.borrow().sides {
            let by_wish = side.plan.user_timeout.is_some() || side.plan.keep_alive || side.closed;
            let gave_up = matches!(side.end, Some(End::Error(Error::Timeout | Error::Memory)));
            // A full backlog may keep a connection from opening for as long as it is asked for.
            assert!(!gave_up || by_wish || !side.opened, "{}: {:?}", side.name, side.end);
        }
    }

    /// The wire is good again, and everybody is asked to come to an end.
    fn wind_up(&mut self, plan: &Plan) {
        self.network.heal(self.wire);
        let Impairment { delay, rate, .. } = plan.wire;
        self.network.set_impairment(self.wire, Impairment { delay, rate, ..Impairment::default() });
        self.world.borrow_mut().winding_up = true;
        for (&id, &door) in self.stacks.iter().zip(&self.doors) {
            drop(self.network.stack(id).tcp_listener_close(door).unwrap());
        }
        let count = self.world.borrow().sides.len();
        for id in 0..count {
            let world = &mut *self.world.borrow_mut();
            let Side { host, handle, end, .. } = world.sides[id];
            if end.is_none()
                && let Ok(mut tcp) = self.network.stack(self.stacks[host]).tcp(handle)
            {
                Work { world, id, tcp: &mut tcp }.wind_up();
            }
        }
        self.network.run_for(LONG_ENOUGH);
        self.check_all_over();
        self.network.settle(Duration::from_millis(1));
    }

    fn check_all_over(&mut self) {
        for &id in &self.stacks {
            let stack = self.network.stack(id);
            let left: Vec<_> = stack.tcp_connections().collect();
            let left: Vec<_> = left.iter().map(|&left| stack.tcp(left).unwrap().info()).collect();
            let stats = stack.memory().stats();
            assert!(left.is_empty(), "a connection is left: {left:?}, {:?}, {stats:?}", stack.tcp_usage());
        }
    }

    fn check_end(&mut self) {
        let world = self.world.borrow();
        for side in &world.sides {
            assert!(side.end.is_some(), "{}: it never ended", side.name);
            if side.end == Some(End::Closed) {
                assert!(
                    side.closed || side.shut && (side.finished || side.deaf),
                    "{}: closed by nobody",
                    side.name
                );
                assert_eq!(side.acked, side.written, "{}: not all acknowledged", side.name);
            }
        }
        for side in world.sides.iter().filter(|side| !side.ghost) {
            let Some(peer) = side.peer.map(|peer| &world.sides[peer]) else { continue };
            if side.end == Some(End::Closed)
                && peer.end == side.end
                && (side.finished || !side.closed && !side.deaf)
            {
                assert_eq!(side.received, peer.written, "{}: not everything came", side.name);
            }
        }
        self.network.assert_balanced();
        // Time passes by leaps: nothing wakes up without need. Data that is refused is offered a hundred times a
        // second, and want of memory is looked after fifty times.
        let seconds = self.network.now().as_micros() / 1_000_000;
        let connections = world.sides.len() as u64;
        let most = 1_000 + 20 * self.network.frames() + connections * (10_000 + 10 * seconds);
        assert!(self.network.polls() < most, "{} polls in {seconds} s", self.network.polls());
    }

    fn outcome(&mut self) -> Outcome {
        let timeouts = self.stacks.iter().map(|&id| self.network.stack(id).counters().tcp.timeouts).sum();
        let world = self.world.borrow();
        let in_order = |side: &&Side| {
            let peer = side.peer.map(|peer| &world.sides[peer]);
            !side.ghost && side.end == Some(End::Closed) && peer.is_some_and(|peer| peer.end == side.end)
        };
        Outcome {
            digest: self.network.digest(),
            connections: world.clients.len(),
            accepted: world.sides.len() - world.clients.len(),
            in_order: world.sides.iter().filter(in_order).count() / 2,
            bytes: world.sides.iter().map(|side| side.received).sum(),
            frames: self.network.frames(),
            timeouts,
        }
    }
}

/// Runs a seed; panics when anything is not as it must be.
pub fn run(seed: u64) -> Outcome {
    let plan = Plan::of(seed);
    let mut run = Run::new(seed, &plan);
    run.live(&plan);
    run.check_errors(&plan);
    run.wind_up(&plan);
    run.check_end();
    run.outcome()
}
