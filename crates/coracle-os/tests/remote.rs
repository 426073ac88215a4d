//! Work from other threads.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Cable, Echo, VirtualPort, Wire, arp_request, core, is_arp_reply};
use coracle::{Error, Instant, Kind, Layer, Stack};
use coracle_os::{Core, NotPosted, Remote, ThreadWaker, Threads};

type Rig = Core<Echo, VirtualPort, Cable>;

fn rig(posts: usize) -> Rig {
    core(VirtualPort::default(), Cable::new(1, &Wire::default(), &Wire::default()), 1, posts).0
}

const fn is_shareable<T: Send + Sync + Clone>() {}
const _: () = is_shareable::<Remote<Stack<Echo>, ThreadWaker>>();

#[test]
fn work_is_done_in_the_order_in_which_it_was_posted() {
    let mut core = rig(4);
    let remote = core.remote();
    let (sender, done) = std::sync::mpsc::channel();
    for i in 0..4 {
        let sender = sender.clone();
        remote.try_post(move |stack| sender.send((i, stack.netifs().count())).unwrap()).unwrap();
    }
    assert!(done.try_recv().is_err(), "nothing happens before the core's turn");
    core.work();
    assert_eq!(done.try_iter().collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn a_full_queue_gives_the_work_back_and_takes_it_later() {
    let mut core = rig(2);
    let remote = core.remote();
    let done = Arc::new(AtomicUsize::new(0));
    let work = |by| {
        let done = Arc::clone(&done);
        move |_: &mut Stack<Echo>| {
            done.fetch_add(by, Ordering::SeqCst);
        }
    };
    remote.try_post(work(1)).unwrap();
    remote.try_post(work(10)).unwrap();
    let NotPosted { error, work: back } = remote.try_post(work(100)).unwrap_err();
    assert_eq!(error, Error::WouldBlock);
    core.work();
    assert_eq!(done.load(Ordering::SeqCst), 11);
    remote.try_post(back).unwrap();
    core.work();
    assert_eq!(done.load(Ordering::SeqCst), 111);
}

/// Posts work that posts itself again.
fn again(remote: &Remote<Stack<Echo>, VirtualPort>, count: Arc<AtomicUsize>) {
    let next = remote.clone();
    let work = move |_: &mut Stack<Echo>| {
        count.fetch_add(1, Ordering::SeqCst);
        again(&next, count);
    };
    remote.try_post(work).unwrap();
}

#[test]
fn work_posted_by_work_has_its_turn_in_the_next_round() {
    let mut core = rig(2);
    let count = Arc::new(AtomicUsize::new(0));
    again(&core.remote(), Arc::clone(&count));
    let now = core.stack().now();
    assert_eq!(core.work(), Some(now), "there is more to do at once");
    // However often work posts work, frames and timers have their turn after as much as the queue holds.
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_post_ends_the_sleep() {
    let port = VirtualPort::default();
    let (mut core, _) =
        core::<Echo, _>(port.clone(), Cable::new(1, &Wire::default(), &Wire::default()), 1, 4);
    core.turn();
    core.turn();
    core.remote().try_post(|_| ()).unwrap();
    assert!(port.called.load(Ordering::SeqCst));
}

#[test]
fn work_sees_the_present_time() {
    let port = VirtualPort::default();
    let (mut core, _) =
        core::<Echo, _>(port.clone(), Cable::new(1, &Wire::default(), &Wire::default()), 1, 4);
    core.work();
    port.micros.store(5_000_000, Ordering::SeqCst);
    let (sender, done) = std::sync::mpsc::channel();
    core.remote().try_post(move |stack| sender.send(stack.now()).unwrap()).unwrap();
    core.work();
    assert_eq!(done.try_recv(), Ok(Instant::from_secs(5)));
}

#[test]
fn frames_can_be_handed_in_from_elsewhere() {
    let (incoming, outgoing) = (Wire::default(), Wire::default());
    let (mut core, netif) =
        core::<Echo, _>(VirtualPort::default(), Cable::new(1, &incoming, &outgoing), 1, 2);
    let (remote, memory) = (core.remote(), core.stack().memory().clone());
    let thread = std::thread::spawn(move || {
        let bytes = arp_request(1);
        let frame = || {
            let mut frame = memory.alloc(Layer::Raw, bytes.len(), Kind::Pool).unwrap();
            frame.payload_mut().unwrap().copy_from_slice(&bytes);
            frame
        };
        remote.input(netif, frame()).unwrap();
        remote.input(netif, frame()).unwrap();
        let rejected = remote.input(netif, frame()).unwrap_err();
        assert_eq!((rejected.error, rejected.data.len()), (Error::WouldBlock, bytes.len()));
    });
    thread.join().unwrap();
    core.work();
    let replies = core::iter::from_fn(|| outgoing.pop()).filter(|frame| is_arp_reply(frame)).count();
    assert_eq!(replies, 2);
    assert_eq!(core.stack().memory().stats().pool.used, 0);
}

#[test]
fn a_frame_for_an_interface_that_is_gone_is_dropped() {
    let mut core = rig(2);
    let netif = core.stack().netifs().next().unwrap();
    let frame = core.stack().memory().alloc(Layer::Raw, 60, Kind::Pool).unwrap();
    core.remote().input(netif, frame).unwrap();
    core.detach(netif).unwrap();
    core.work();
    assert_eq!(core.stack().memory().stats().pool.used, 0);
    assert_eq!(core.detach(netif).err(), Some(Error::Closed));
}

#[test]
fn freeing_elsewhere_wakes_a_core_that_is_short() {
    let port = VirtualPort::default();
    let incoming = Wire::default();
    let (mut core, netif) = core::<Echo, _>(port.clone(), Cable::new(1, &incoming, &Wire::default()), 1, 2);
    core.work();
    let memory = core.stack().memory().clone();
    let mut held: Vec<_> = core::iter::from_fn(|| memory.alloc(Layer::Raw, 1_000, Kind::Pool).ok()).collect();
    incoming.push(arp_request(1));
    let now = core.stack().now();
    let retry = core.work().unwrap();
    assert!(retry > now && retry <= now + core::time::Duration::from_millis(1));
    assert_eq!((incoming.len(), core.counters(netif).unwrap().shortages), (1, 1));
    let remote = core.remote();
    let buffer = held.pop().unwrap();
    std::thread::spawn(move || remote.free(buffer)).join().unwrap();
    assert!(port.called.load(Ordering::SeqCst));
    core.work();
    assert_eq!(incoming.len(), 0);
}

#[test]
fn what_was_posted_to_a_core_that_ends_is_dropped_and_later_posts_come_back() {
    let core = rig(4);
    let remote = core.remote();
    let token = Arc::new(());
    let carried = Arc::clone(&token);
    remote.try_post(move |_| drop(carried)).unwrap();
    drop(core);
    assert_eq!(Arc::strong_count(&token), 1);
    assert_eq!(remote.try_post(|_| ()).unwrap_err().error, Error::Closed);
    assert_eq!(remote.post(|_| ()).unwrap_err().error, Error::Closed);
    assert_eq!(remote.post_with(|_| (), || panic!("does not wait")).unwrap_err().error, Error::Closed);
    assert_eq!(remote.call(|_| ()), Err(Error::Closed));
}

#[test]
fn who_waits_for_a_core_that_ends_is_told() {
    let core = rig(2);
    let (remote, full) = (core.remote(), core.remote());
    let call = std::thread::spawn(move || remote.call(|_| 1));
    let (first, second) = (full.clone(), full.clone());
    // However these race with the end: what has not been done comes back or is dropped, and nobody waits for ever.
    let posts = std::thread::spawn(move || (first.post(|_| ()).is_ok(), first.post(|_| ()).is_ok()));
    let other = std::thread::spawn(move || second.post(|_| ()).is_ok());
    drop(core);
    assert_eq!(call.join().unwrap(), Err(Error::Closed));
    posts.join().unwrap();
    other.join().unwrap();
    assert_eq!(full.try_post(|_| ()).unwrap_err().error, Error::Closed);
}

#[test]
fn waiting_calls_from_the_core_itself_are_refused() {
    let mut core = rig(2);
    let (remote, other) = (core.remote(), core.remote());
    let (sender, done) = std::sync::mpsc::channel();
    remote
        .try_post(move |_| {
            let call = other.call(|_| ());
            other.post(|_| ()).unwrap();
            other.post(|_| ()).unwrap();
            let post = other.post(|_| ()).unwrap_err().error;
            sender.send((call, post)).unwrap();
        })
        .unwrap();
    core.work();
    assert_eq!(done.try_recv(), Ok((Err(Error::InProgress), Error::InProgress)));
}

#[test]
fn threads_post_and_call_while_the_core_sleeps_and_works() {
    const THREADS: usize = 3;
    const EACH: usize = 500;
    let cable = Cable::new(1, &Wire::default(), &Wire::default());
    let (mut core, _) = core::<Echo, _>(Threads::new(), cable, 1, 4);
    let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (remote, count) = (core.remote(), Arc::clone(&count));
            std::thread::spawn(move || {
                for i in 0..EACH {
                    let count = Arc::clone(&count);
                    let work = move |_: &mut Stack<Echo>| count.fetch_add(1, Ordering::SeqCst);
                    if i % 10 == 0 {
                        remote.call(work).unwrap();
                    } else {
                        remote
                            .post(move |stack| {
                                work(stack);
                            })
                            .unwrap();
                    }
                }
            })
        })
        .collect();
    let ending = {
        let (remote, stop) = (core.remote(), Arc::clone(&stop));
        std::thread::spawn(move || {
            for thread in threads {
                thread.join().unwrap();
            }
            remote.post(move |_| stop.store(true, Ordering::SeqCst)).unwrap();
        })
    };
    // Nothing else ends a sleep here: a lost wake-up would hang this test.
    core.run_until(|_| stop.load(Ordering::SeqCst));
    ending.join().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), THREADS * EACH);
}

#[test]
fn a_panic_of_posted_work_leaves_the_core_and_its_queue_usable() {
    let mut core = rig(2);
    let remote = core.remote();
    remote.try_post(|_| panic!("on purpose")).unwrap();
    remote.try_post(|_| ()).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| core.work()));
    assert!(result.is_err());
    core.work();
    // Neither is this thread still taken for the core's.
    let caller = std::thread::spawn(move || remote.call(|_| 7));
    while !caller.is_finished() {
        core.work();
    }
    assert_eq!(caller.join().unwrap(), Ok(7));
}
