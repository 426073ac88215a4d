//! A network of stacks in virtual time: seeded, repeatable, and watched at every step.
//!
//! A [`Network`] holds stacks and *segments*. A segment is a piece of Ethernet (or, for interfaces without link headers,
//! a line) to which interfaces are attached; two make a wire. Each attached interface is reached through an
//! [`Impairer`](crate::impair::Impairer) of its own, so that each direction of a wire, and each receiver of a
//! broadcast, has its own fate. Frames cross by being copied into the receiver's buffers, as a network card does; when it
//! has none the frame is lost.
//!
//! Time is virtual: it jumps to whatever is due next, so that an hour costs as much as what happens in it. The same seed
//! and the same calls give the same run, frame by frame and microsecond by microsecond; [`Network::digest`] tells whether
//! two runs were the same.
//!
//! At every step the network asserts that
//!
//! * each frame that a stack sends is [well-formed](crate::judge), and none is left waiting;
//! * no stack uses more memory than it has, and each has counted exactly the frames that it was given;
//! * time goes on: deadlines do not lie in the past, and the steps at one instant are bounded.
//!
//! When something fails, in the network or in a test that uses it, the seed that repeats it is printed.
//!
//! ```
//! use coracle::{Arena, Config, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits, NetifConfig, Stack};
//! use coracle_sim::impair::Impairment;
//! use coracle_sim::network::Network;
//! use std::time::Duration;
//!
//! let mut network = Network::<()>::new(7);
//! let wire = network.add_segment(Impairment { delay: 5_000, ..Impairment::default() });
//! for number in 1..=2 {
//!     let mut arena = Arena::heap();
//!     let memory = Memory::new(&mut arena, MemoryLimits::SMALL)?;
//!     let mut stack = Stack::new(&mut arena, Limits::SMALL, memory, Config::new([number; 16]))?;
//!     let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, number));
//!     let netif = stack.netif_add(&config.ipv4(Ipv4Settings::new([192, 0, 2, number].into(), 24)))?;
//!     stack.netif(netif)?.set_up(true)?;
//!     let stack = network.add_stack(stack);
//!     network.attach(wire, stack, netif);
//! }
//! network.run_for(Duration::from_secs(1));
//! // Each has announced its address to the other.
//! assert_eq!(network.frames(), 2);
//! network.settle(Duration::from_mins(10));
//! network.assert_balanced();
//! # Ok::<(), coracle::Error>(())
//! ```

mod digest;
mod segment;
mod station;

use std::io::Write;
use std::time::Duration;

use coracle::{Handler, Instant, NetifHandle, Stack};

use crate::impair::{Counters, Impairment};
use crate::judge;
use crate::random::Random;
use digest::Digest;
use segment::{Capture, Port, Segment};
use station::Station;

/// Names a stack of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(usize);

/// Names a segment of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(usize);

/// Rounds of work at one instant, beyond which something goes round in circles.
const MOST_ROUNDS: usize = 10_000;
/// Frames that one stack may have ready at once on one interface: more than its queue, what waited for neighbours, and
/// what a large window of TCP lets out.
const MOST_FRAMES: usize = 16_384;

/// Stacks, and the segments that join them. Every method panics when a stack does what it must not, and says with
/// which seed.
pub struct Network<H> {
    seed: u64,
    random: Random,
    now: Instant,
    stations: Vec<Option<Station<H>>>,
    segments: Vec<Segment>,
    digest: Digest,
    frames: u64,
    polls: u64,
    judged: bool,
}

impl<H> Network<H> {
    /// An empty network. Everything that chance decides follows from the seed; the stacks bring seeds of their own.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            now: Instant::ZERO,
            stations: Vec::new(),
            segments: Vec::new(),
            digest: Digest::new(),
            frames: 0,
            polls: 0,
            judged: true,
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Frames that stacks have put on segments so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// How often stacks were polled so far, because something was due or had been done with them.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// A hash of every frame so far, with its time, segment and sender: runs that are the same have the same.
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// Puts frames on segments unseen: for stacks that are meant to send malformed ones.
    pub fn set_judged(&mut self, judged: bool) {
        self.judged = judged;
    }

    /// Adds a segment that treats each frame like this on its way to each receiver.
    pub fn add_segment(&mut self, impairment: Impairment) -> SegmentId {
        self.segments.push(Segment::new(impairment));
        SegmentId(self.segments.len() - 1)
    }

    /// Changes how a segment treats the frames that are sent from now on.
    pub fn set_impairment(&mut self, segment: SegmentId, impairment: Impairment) {
        self.segments[segment.0].set_impairment(impairment);
    }

    /// Writes every frame that is put on a segment from now on into a pcap capture; the network panics when that
    /// fails. The capture is complete when the network is dropped.
    pub fn capture(&mut self, segment: SegmentId, into: impl Write + Send + 'static) {
        self.segments[segment.0].capture = Capture::new(into);
    }

    /// What became of the frames on a segment: for each attached interface, of those on the way to it.
    pub fn counters(&self, segment: SegmentId) -> impl Iterator<Item = (StackId, &Counters)> {
        self.segments[segment.0].ports.iter().map(|port| (port.stack, port.impairer.counters()))
    }

    /// Cuts a segment into parts: stacks reach those of their own part only. Stacks that are not named make up one
    /// more part. Frames under way still arrive.
    pub fn partition(&mut self, segment: SegmentId, parts: &[&[StackId]]) {
        for port in &mut self.segments[segment.0].ports {
            port.part = parts.iter().position(|part| part.contains(&port.stack)).map_or(0, |part| part + 1);
        }
    }

    /// Joins the parts of a segment again.
    pub fn heal(&mut self, segment: SegmentId) {
        self.partition(segment, &[]);
    }

    /// The stacks that are there.
    pub fn stacks(&self) -> impl Iterator<Item = StackId> + use<H> {
        let there: Vec<_> = self.stations.iter().map(Option::is_some).collect();
        there.into_iter().enumerate().filter(|&(_, there)| there).map(|(number, _)| StackId(number))
    }

    /// Asserts that every stack has all its buffers back.
    pub fn assert_balanced(&self) {
        for (number, station) in self.stations.iter().enumerate() {
            let Some(station) = station else { continue };
            let stats = station.stack.memory().stats();
            assert!(stats.is_unused(), "stack {number} has buffers in use: {stats:?}");
        }
    }
}

impl<H: Handler> Network<H> {
    /// Adds a stack. From now on the network drives it.
    pub fn add_stack(&mut self, stack: Stack<H>) -> StackId {
        self.stations.push(Some(Station::new(stack)));
        StackId(self.stations.len() - 1)
    }

    /// Takes a stack out, with its interfaces off their segments; frames on the way to it are lost.
    ///
    /// # Panics
    ///
    /// There is no such stack any more.
    pub fn remove_stack(&mut self, id: StackId) -> Stack<H> {
        for segment in &mut self.segments {
            segment.ports.retain(|port| port.stack != id);
        }
        self.stations[id.0].take().expect("a stack that is in the network").stack
    }

    /// A stack, to do anything with; what that leads to happens when time goes on.
    ///
    /// # Panics
    ///
    /// There is no such stack any more.
    pub fn stack(&mut self, id: StackId) -> &mut Stack<H> {
        let station = self.stations[id.0].as_mut().expect("a stack that is in the network");
        station.touched = true;
        &mut station.stack
    }

    /// Attaches an interface of a stack to a segment.
    ///
    /// # Panics
    ///
    /// There is no such stack or interface.
    pub fn attach(&mut self, segment: SegmentId, stack: StackId, netif: NetifHandle) {
        let seed = self.random.below(u64::MAX);
        let medium = self.stack(stack).netif(netif).and_then(|netif| netif.medium());
        let medium = medium.expect("an interface that is there");
        let of_bridge = self.stack(stack).netif(netif).is_ok_and(|netif| netif.bridge().is_some());
        let segment = &mut self.segments[segment.0];
        let mut port = Port::new(stack, netif, medium, segment.impairment, seed);
        port.promiscuous = of_bridge;
        segment.ports.push(port);
    }

    /// Takes an interface off its segment; frames on the way to it are lost.
    pub fn detach(&mut self, stack: StackId, netif: NetifHandle) {
        for segment in &mut self.segments {
            segment.ports.retain(|port| (port.stack, port.netif) != (stack, netif));
        }
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass until then.
    pub fn run_until(&mut self, end: Instant) {
        self.run_instant();
        while let Some(next) = self.next_deadline().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.run_instant();
        }
        self.now = self.now.max(end);
    }

    /// Runs until nothing is under way and no stack waits for anything, and returns the time; panics when that takes
    /// longer than `limit`.
    ///
    /// # Panics
    ///
    /// Something still goes on after that time.
    pub fn settle(&mut self, limit: Duration) -> Instant {
        let end = self.now + limit;
        self.run_instant();
        while let Some(next) = self.next_deadline() {
            assert!(next <= end, "after {limit:?} something is still due at {next:?}");
            self.now = self.now.max(next);
            self.run_instant();
        }
        self.now
    }

    /// When something happens next; `None` when nothing does any more.
    pub fn next_deadline(&self) -> Option<Instant> {
        let frames = self.segments.iter().filter_map(Segment::next_deadline).map(Instant::from_micros);
        let stacks = self
            .stations
            .iter()
            .flatten()
            .filter_map(|station| if station.touched { Some(self.now) } else { station.deadline });
        frames.chain(stacks).min()
    }

    /// Everything that happens at this instant, one thing causing another.
    fn run_instant(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let busy = self.deliver() | self.poll();
            if !busy {
                return;
            }
        }
        panic!("{MOST_ROUNDS} rounds of work at one instant, and no end of it");
    }

    /// Hands over the frames that are due, one for each interface.
    fn deliver(&mut self) -> bool {
        let mut busy = false;
        for segment in &mut self.segments {
            for port in &mut segment.ports {
                let Some(frame) = port.impairer.pop_due(self.now.as_micros()) else { continue };
                busy = true;
                if let Some(station) = &mut self.stations[port.stack.0] {
                    station.receive(port.netif, &frame, self.now);
                }
            }
        }
        busy
    }

    /// Polls the stacks that are due or got something, and takes what they send.
    fn poll(&mut self) -> bool {
        let mut busy = false;
        for number in 0..self.stations.len() {
            let Some(station) = &mut self.stations[number] else { continue };
            if !station.touched && station.deadline.is_none_or(|deadline| deadline > self.now) {
                continue;
            }
            busy = true;
            self.polls += 1;
            station.poll(self.now);
            self.transmit(StackId(number));
            if let Some(station) = &mut self.stations[number] {
                station.check(self.now);
            }
        }
        busy
    }

    /// Puts what a stack has to send on its segments.
    fn transmit(&mut self, stack: StackId) {
        let Some(station) = &mut self.stations[stack.0] else { return };
        for (number, segment) in self.segments.iter_mut().enumerate() {
            for sender in 0..segment.ports.len() {
                let Port { stack: owner, netif, .. } = segment.ports[sender];
                if owner != stack {
                    continue;
                }
                let mut count = 0;
                while let Some(frame) = station.stack.transmit(netif) {
                    count += 1;
                    assert!(count < MOST_FRAMES, "a stack sends without end");
                    let bytes = frame.segments().collect::<Vec<_>>().concat();
                    if self.judged
                        && let Err(why) = judge::check(&bytes, segment.ports[sender].link())
                    {
                        panic!("stack {} sent {why}: {bytes:02x?}", stack.0);
                    }
                    self.frames += 1;
                    self.digest.add(self.now, number, sender, &bytes);
                    segment.send(self.now, sender, &bytes);
                }
            }
        }
    }
}

impl<H> Drop for Network<H> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation with seed {} failed at {:?}", self.seed, self.now);
        }
    }
}

#[cfg(test)]
mod tests;
