//! The loop, on machines and devices that misbehave.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Cable, Echo, VirtualPort, Wire, arp_request, core, is_arp_reply, stack};
use coracle::{Arena, Error, Handler, Instant, Kind, Layer, Stack, Timeout};
use coracle_os::{BareMetal, Board, Core, CoreLimits, Driver, Event, Port, Wake, seed};

fn replies(wire: &Wire) -> usize {
    core::iter::from_fn(|| wire.pop()).filter(|frame| is_arp_reply(frame)).count()
}

#[test]
fn frames_stay_in_the_device_while_there_are_no_buffers_and_none_is_lost() {
    let (incoming, outgoing) = (Wire::default(), Wire::default());
    let (mut core, netif) =
        core::<Echo, _>(VirtualPort::default(), Cable::new(1, &incoming, &outgoing), 1, 2);
    let memory = core.stack().memory().clone();
    let held: Vec<_> = core::iter::from_fn(|| memory.alloc(Layer::Raw, 1_000, Kind::Pool).ok()).collect();
    for _ in 0..5 {
        incoming.push(arp_request(1));
    }
    core.work();
    core.work();
    assert_eq!(core.counters(netif).unwrap().shortages, 2);
    assert_eq!((incoming.len(), core.counters(netif).unwrap().received), (5, 0));
    drop(held);
    core.work();
    assert_eq!((incoming.len(), replies(&outgoing)), (0, 5));
}

#[test]
fn frames_stay_in_the_stack_while_the_device_is_full_and_keep_their_order() {
    let (incoming, outgoing) = (Wire::default(), Wire::default());
    let cable = Cable::new(1, &incoming, &outgoing);
    let (mut core, netif) = core::<Echo, _>(VirtualPort::default(), cable.clone(), 1, 2);
    core.work();
    while outgoing.pop().is_some() {}
    cable.room.store(1, Ordering::SeqCst);
    let mut other = arp_request(1);
    other[28 + 3] = 10; // 192.0.2.10 asks second
    incoming.push(arp_request(1));
    incoming.push(other);
    core.work();
    assert_eq!((outgoing.len(), core.stack().transmit_pending(netif)), (1, 1));
    assert_eq!(core.counters(netif).unwrap().full, 1);
    cable.room.store(5, Ordering::SeqCst);
    core.work();
    let targets: Vec<u8> = core::iter::from_fn(|| outgoing.pop()).map(|frame| frame[41]).collect();
    assert_eq!(targets, [9, 10]);
}

#[test]
fn a_flood_does_not_starve_timers_posts_or_output() {
    struct Tick(Arc<AtomicU64>);
    impl Handler for Tick {
        fn timeout(&mut self, _timeout: &mut Timeout<'_, Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (incoming, outgoing) = (Wire::default(), Wire::default());
    let port = VirtualPort::default();
    let (mut core, _) = core::<Tick, _>(port.clone(), Cable::new(1, &incoming, &outgoing), 1, 2);
    (0..100).for_each(|_| incoming.push(arp_request(1)));
    let ticks = Arc::new(AtomicU64::new(0));
    core.work();
    core.stack().timeout(core::time::Duration::from_millis(1), Tick(Arc::clone(&ticks))).unwrap();
    port.micros.store(2_000, Ordering::SeqCst);
    core.remote().try_post(|_| ()).unwrap();
    assert_eq!(core.work(), Some(Instant::from_micros(2_000)), "the device has more");
    assert_eq!(ticks.load(Ordering::SeqCst), 1);
    assert_eq!(incoming.len(), 100 - 2 * CoreLimits::SMALL.frames_at_a_time);
    assert!(replies(&outgoing) >= CoreLimits::SMALL.frames_at_a_time);
}

#[test]
fn the_link_goes_down_and_up() {
    let (incoming, outgoing) = (Wire::default(), Wire::default());
    let cable = Cable::new(1, &incoming, &outgoing);
    let (mut core, netif) = core::<Echo, _>(VirtualPort::default(), cable.clone(), 1, 2);
    core.work();
    assert!(core.stack().netif(netif).unwrap().is_link_up());
    cable.link_up.store(false, Ordering::SeqCst);
    core.work();
    assert!(!core.stack().netif(netif).unwrap().is_link_up());
    cable.link_up.store(true, Ordering::SeqCst);
    incoming.push(arp_request(1));
    core.work();
    assert!(core.stack().netif(netif).unwrap().is_link_up());
    assert_eq!(replies(&outgoing), 1);
}

#[test]
fn a_device_that_fails_does_not_stop_the_others() {
    struct Broken;
    impl Driver for Broken {
        fn properties(&self) -> coracle_os::Properties {
            coracle_os::Properties::ip()
        }
        fn receive(&mut self, _memory: &coracle::Memory) -> Result<Option<coracle::Pbuf>, Error> {
            Err(Error::Interface)
        }
        fn transmit(&mut self, frame: coracle::Pbuf) -> Result<(), coracle::Pbuf> {
            Err(frame)
        }
    }
    let (incoming, outgoing) = (Wire::default(), Wire::default());
    let mut arena = Arena::heap();
    let stack = stack::<Echo>(&mut arena);
    let limits = CoreLimits { drivers: 2, ..CoreLimits::SMALL };
    let mut core: Core<Echo, _, Box<dyn Driver>> =
        Core::new(&mut arena, stack, VirtualPort::default(), limits).unwrap();
    let broken = core.attach(Box::new(Broken), |config| config).unwrap();
    let address = coracle::Ipv4Settings::new([192, 0, 2, 1].into(), 24);
    let good = core.attach(Box::new(Cable::new(1, &incoming, &outgoing)), |it| it.ipv4(address)).unwrap();
    assert_eq!(core.attach(Box::new(Broken), |config| config).err(), Some(Error::Memory));
    for netif in [broken, good] {
        core.stack().netif(netif).unwrap().set_up(true).unwrap();
    }
    incoming.push(arp_request(1));
    assert!(core.work().is_none_or(|next| next > Instant::ZERO), "no busy loop");
    assert_eq!(replies(&outgoing), 1);
    assert_eq!(core.counters(broken).unwrap().failures, 1);
    assert_eq!(core.counters(good).unwrap().received, 1);
}

#[test]
fn a_limit_of_no_frames_is_refused() {
    let mut arena = Arena::heap();
    let stack = stack::<Echo>(&mut arena);
    let limits = CoreLimits { frames_at_a_time: 0, ..CoreLimits::SMALL };
    let core = Core::<_, _, Cable>::new(&mut arena, stack, VirtualPort::default(), limits);
    assert_eq!(core.err(), Some(Error::Argument));
}

/// Whatever the clock does, frames and posts are served, and nothing loops.
#[test]
fn a_clock_that_stands_still_or_runs_backwards_stops_nothing_but_time() {
    let (incoming, outgoing) = (Wire::default(), Wire::default());
    let port = VirtualPort::default();
    let (mut core, _) = core::<Echo, _>(port.clone(), Cable::new(1, &incoming, &outgoing), 1, 2);
    let mut latest = Instant::ZERO;
    for micros in [10_000_000, 10_000_000, 10_000_000, 3, 3, u64::MAX / 2, 5] {
        port.micros.store(micros, Ordering::SeqCst);
        incoming.push(arp_request(1));
        core.remote().try_post(|_| ()).unwrap();
        let next = core.work();
        latest = latest.max(Instant::from_micros(micros));
        assert_eq!(core.stack().now(), latest, "time never goes back");
        assert!(next.is_none_or(|next| next > core.stack().now()), "no busy loop");
        assert_eq!((incoming.len(), replies(&outgoing)), (0, 1));
    }
}

#[test]
fn entropy_that_is_none_makes_no_seed() {
    type Draw = fn(u8) -> Result<[u8; 16], Error>;
    struct Source(Draw, u8);
    impl Port for Source {
        type Waker = &'static Event;
        fn now(&mut self) -> Instant {
            Instant::ZERO
        }
        fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            self.1 += 1;
            bytes.copy_from_slice(&(self.0)(self.1)?);
            Ok(())
        }
        fn sleep(&mut self, _until: Option<Instant>) {}
        fn waker(&self) -> &'static Event {
            static EVENT: Event = Event::new();
            &EVENT
        }
    }
    assert_eq!(
        seed(&mut Source(|call| Ok(core::array::from_fn(|i| i as u8 * 7 + call)), 0)).map(drop),
        Ok(())
    );
    let bad: [Draw; 5] = [
        |_| Ok([0; 16]),
        |_| Ok([0xff; 16]),
        // A generator that was never started gives the same each time.
        |_| Ok(core::array::from_fn(|i| i as u8)),
        // One that counts.
        |call| Ok([call; 16]),
        // One that sticks after a while.
        |call| Ok(core::array::from_fn(|i| if i < 11 { i as u8 + call } else { 0 })),
    ];
    for source in bad {
        assert_eq!(seed(&mut Source(source, 0)), Err(Error::Value), "{:?}", source(1));
    }
    assert_eq!(seed(&mut Source(|_| Err(Error::Timeout), 0)), Err(Error::Timeout));
}

/// An interrupt between the last look and the sleep ends the sleep.
#[test]
fn bare_metal_misses_no_interrupt() {
    static EVENT: Event = Event::new();
    #[derive(Default)]
    struct Machine {
        alarm: Option<Instant>,
        idled: u32,
        interrupt_before_idling: bool,
    }
    impl Board for Machine {
        fn now(&mut self) -> Instant {
            Instant::ZERO
        }
        fn entropy(&mut self, _bytes: &mut [u8]) -> Result<(), Error> {
            Ok(())
        }
        fn set_alarm(&mut self, at: Option<Instant>) {
            self.alarm = at;
            if self.interrupt_before_idling {
                EVENT.wake();
            }
        }
        fn idle(&mut self) {
            self.idled += 1;
            // The interrupt that ends it is served after it.
            EVENT.wake();
        }
    }
    let mut port = BareMetal::new(Machine::default(), &EVENT);
    port.sleep(Some(Instant::from_millis(1)));
    assert_eq!((port.board().idled, port.board().alarm), (1, Some(Instant::from_millis(1))));
    port.sleep(None);
    assert_eq!((port.board().idled, port.board().alarm), (2, None), "the first call ended one sleep only");
    port.waker().wake();
    port.sleep(None);
    port.board().interrupt_before_idling = true;
    port.sleep(None);
    assert_eq!(port.board().idled, 2);
}

/// A stack in a core is as movable to another thread as its handlers are.
#[test]
fn a_core_may_move_to_a_thread() {
    let cable = Cable::new(1, &Wire::default(), &Wire::default());
    let (core, _) = core::<Echo, _>(VirtualPort::default(), cable, 1, 2);
    let netifs = std::thread::spawn(move || {
        let mut core = core;
        let stack: &mut Stack<Echo> = core.stack();
        stack.netifs().count()
    });
    assert_eq!(netifs.join().unwrap(), 1);
}
