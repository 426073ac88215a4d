//! A bad wire between two interfaces, repeatable from a seed.
//!
//! Frames from interface A pass one [`Impairer`] on their way to B, frames from B another on their way to A. What
//! happens to a frame depends on the seed, the direction and how many frames came before it, so the same traffic meets the same
//! fate in every run; only where [`Rate`](coracle_sim::impair::Rate) or
//! [`limit`](Impairment::limit) are set do real arrival times play a part.
//!
//! ```no_run
//! use coracle_host::relay::{Direction, Relay};
//! use coracle_host::Tap;
//! let (a, b) = (Tap::open("tapA")?, Tap::open("tapB")?);
//! let relay = Relay::new(a, b, "loss=1%,delay=20ms".parse()?, 7).start()?;
//! std::thread::sleep(std::time::Duration::from_secs(60));
//! let statistics = relay.stop()?;
//! println!("A to B: {}", statistics.to(Direction::AToB).wire);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::clock::Clock;
use crate::device::{Device, Layer};
use crate::waiter::{Source, Waiter, Waker};
use coracle_sim::impair::{Counters, Impairer, Impairment};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From interface A to interface B.
    AToB,
    /// From interface B to interface A.
    BToA,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::AToB, Self::BToA];

    fn index(self) -> usize {
        match self {
            Self::AToB => 0,
            Self::BToA => 1,
        }
    }
}

/// What happened in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneWay {
    /// What the wire did. Frames that it delivered were handed to the interface.
    pub wire: Counters,
    /// Of those delivered, frames that the interface refused, as when it is down.
    pub refused: u64,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics([OneWay; 2]);

impl Statistics {
    /// What happened in this direction.
    pub const fn to(&self, direction: Direction) -> &OneWay {
        match direction {
            Direction::AToB => &self.0[0],
            Direction::BToA => &self.0[1],
        }
    }
}

/// A bad wire between two interfaces of one kind. See the [module's page](self).
#[derive(Debug)]
pub struct Relay<L> {
    devices: [Device<L>; 2],
    ways: [Way; 2],
    shared: Arc<Shared>,
}

/// A relay at work on a thread of its own. Dropping it ends the work.
#[derive(Debug)]
pub struct RelayHandle {
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl<L: Layer> Relay<L> {
    /// A relay that does the same in both directions, with decisions of their own for each.
    pub fn new(a: Device<L>, b: Device<L>, wire: Impairment, seed: u64) -> Self {
        Self::new_asymmetric(a, b, [wire, wire], seed)
    }

    /// A relay with a wire from A to B and another from B to A.
    pub fn new_asymmetric(a: Device<L>, b: Device<L>, wires: [Impairment; 2], seed: u64) -> Self {
        // The second direction's seed only has to differ; the impairer mixes it.
        let ways = [Way::new(wires[0], seed), Way::new(wires[1], !seed)];
        let shared =
            Shared { state: Mutex::new(State { wires, ..State::default() }), applied: Condvar::new() };
        Self { devices: [a, b], ways, shared: Arc::new(shared) }
    }

    /// Starts to work on a thread of its own.
    ///
    /// # Errors
    /// No thread or descriptor is to be had.
    pub fn start(self) -> io::Result<RelayHandle> {
        let waiter = Waiter::new(Clock::start())?;
        let (shared, waker) = (Arc::clone(&self.shared), waiter.waker());
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            // Delays are what this thread is for; the default slack of 50 microseconds would show in them.
            let _ = rustix::thread::set_current_timer_slack(core::num::NonZeroU64::new(1_000));
            let shared = Arc::clone(&self.shared);
            let result = self.run(&waiter);
            shared.lock().ended = true;
            shared.applied.notify_all();
            result
        })?;
        Ok(RelayHandle { shared, waker, thread: Some(thread) })
    }

    fn run(mut self, waiter: &Waiter) -> io::Result<()> {
        let size = self.devices[0].frame_size()?.max(self.devices[1].frame_size()?);
        let mut buffer = vec![0; size.max(MAX_FRAME)];
        let clock = waiter.clock();
        loop {
            for (way, from, to) in self.parts() {
                way.take_in(from, &mut buffer, clock)?;
                way.give_out(clock.now(), |frame| to.send(frame));
            }
            if self.exchange() {
                return Ok(());
            }
            self.sleep(waiter)?;
        }
    }

    /// Each direction with the interface it takes from and the one it gives to.
    fn parts(&mut self) -> [(&mut Way, &Device<L>, &Device<L>); 2] {
        let ([a, b], [there, back]) = (&self.devices, &mut self.ways);
        [(there, a, b), (back, b, a)]
    }

    /// Publishes statistics and takes orders; `true` to end.
    fn exchange(&mut self) -> bool {
        let mut state = self.shared.lock();
        for direction in Direction::BOTH.map(Direction::index) {
            let way = &mut self.ways[direction];
            state.statistics.0[direction] = OneWay { wire: *way.impairer.counters(), refused: way.refused };
            if state.changed {
                way.impairer.set_config(state.wires[direction]);
            }
        }
        if std::mem::take(&mut state.changed) {
            self.shared.applied.notify_all();
        }
        state.stop
    }

    fn sleep(&self, waiter: &Waiter) -> io::Result<()> {
        let [there, back] = &self.ways;
        // A frame that waits for its interface waits for the descriptor, not for a time.
        let deadline = self.ways.iter().filter_map(Way::next_deadline).min();
        let mut sources = [
            Source::readable(&self.devices[0]).writable_if(back.waiting.is_some()),
            Source::readable(&self.devices[1]).writable_if(there.waiting.is_some()),
        ];
        waiter.wait(&mut sources, deadline).map(|_| ())
    }
}

/// No interface has longer frames, whatever MTU it is given while the relay runs.
const MAX_FRAME: usize = 65_535 + 18;
/// Frames taken from one side before the other gets its turn.
const BATCH: usize = 64;
/// Buffers kept for further frames.
const SPARE: usize = 256;

/// One direction.
#[derive(Debug)]
struct Way {
    impairer: Impairer<Vec<u8>>,
    /// A frame that is due, but for which the interface has no room yet.
    waiting: Option<Vec<u8>>,
    refused: u64,
    spare: Vec<Vec<u8>>,
}

impl Way {
    fn new(wire: Impairment, seed: u64) -> Self {
        Self { impairer: Impairer::new(wire, seed), waiting: None, refused: 0, spare: Vec::new() }
    }

    fn take_in<L: Layer>(&mut self, from: &Device<L>, buffer: &mut [u8], clock: Clock) -> io::Result<()> {
        for _ in 0..BATCH {
            let Some(len) = from.recv(buffer)? else { break };
            let mut frame = self.spare.pop().unwrap_or_default();
            frame.extend_from_slice(&buffer[..len]);
            self.impairer.push(clock.now(), frame);
        }
        Ok(())
    }

    /// Hands on what is due to `send`, which takes a frame (`true`), has no room for it, or refuses it.
    fn give_out(&mut self, now: u64, mut send: impl FnMut(&[u8]) -> io::Result<bool>) {
        while let Some(mut frame) = self.waiting.take().or_else(|| self.impairer.pop_due(now)) {
            match send(&frame) {
                Ok(true) => {}
                Ok(false) => {
                    self.waiting = Some(frame);
                    return;
                }
                Err(_) => self.refused += 1,
            }
            if self.spare.len() < SPARE {
                frame.clear();
                self.spare.push(frame);
            }
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        if self.waiting.is_some() { None } else { self.impairer.next_deadline() }
    }
}

impl RelayHandle {
    /// What happened so far.
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().statistics
    }

    /// Changes what one direction does to frames that come from now on; cutting and mending the wire, for example. It is in
    /// force when the call returns.
    pub fn set(&self, direction: Direction, wire: Impairment) {
        let mut state = self.shared.lock();
        state.wires[direction.index()] = wire;
        state.changed = true;
        self.waker.wake();
        while state.changed && !state.ended {
            state = self.shared.applied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether it still works; it ends by itself when an interface is removed.
    pub fn is_running(&self) -> bool {
        !self.shared.lock().ended
    }

    /// Ends the work and says what happened. Frames still on the wire are dropped.
    ///
    /// # Errors
    /// The relay had ended by itself, because an interface failed or was removed.
    pub fn stop(mut self) -> io::Result<Statistics> {
        match self.end() {
            Some(Ok(result)) => result.map(|()| self.statistics()),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(self.statistics()),
        }
    }

    fn end(&mut self) -> Option<std::thread::Result<io::Result<()>>> {
        let thread = self.thread.take()?;
        self.shared.lock().stop = true;
        self.waker.wake();
        Some(thread.join())
    }
}

impl Drop for RelayHandle {
    fn drop(&mut self) {
        // The result is for those who ask with `stop`.
        let _ = self.end();
    }
}

/// What the thread and the handle both see.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A change has been taken over, or the thread has ended.
    applied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    statistics: Statistics,
    wires: [Impairment; 2],
    changed: bool,
    stop: bool,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_room_waits_and_keeps_its_place() {
        let mut way = Way::new(Impairment { delay: 10, ..Impairment::default() }, 1);
        for n in 0..3 {
            way.impairer.push(0, vec![n]);
        }
        let mut sent = Vec::new();
        let mut send = |room: usize, now, way: &mut Way| {
            let mut left = room;
            way.give_out(now, |frame| {
                let taken = left > 0;
                if taken {
                    left -= 1;
                    sent.push(frame[0]);
                }
                Ok(taken)
            });
        };
        send(3, 9, &mut way);
        assert_eq!(way.next_deadline(), Some(10));
        send(1, 10, &mut way);
        assert_eq!(way.next_deadline(), None, "it waits for the interface, not for a time");
        assert!(way.waiting.is_some());
        send(0, 11, &mut way);
        send(5, 12, &mut way);
        assert!(way.waiting.is_none());
        assert_eq!(sent, [0, 1, 2]);
        assert_eq!(way.refused, 0);
    }

    #[test]
    fn a_refused_frame_is_counted_and_the_next_goes_on() {
        let mut way = Way::new(Impairment::default(), 1);
        way.impairer.push(0, vec![0]);
        way.impairer.push(0, vec![1]);
        let mut sent = Vec::new();
        way.give_out(0, |frame| {
            sent.push(frame[0]);
            if frame[0] == 0 { Err(io::ErrorKind::NetworkDown.into()) } else { Ok(true) }
        });
        assert_eq!((sent, way.refused, way.spare.len()), (vec![0, 1], 1, 2));
        assert!(way.spare.iter().all(Vec::is_empty), "buffers come back empty");
    }
}
