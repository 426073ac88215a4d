use std::sync::Arc;
use std::vec::Vec;

use super::*;
use crate::StaticArena;

fn mailbox<T>(capacity: usize) -> Mailbox<T> {
    Mailbox::new(&mut Arena::heap(), capacity).unwrap()
}

#[test]
fn messages_come_out_in_the_order_in_which_they_went_in_round_after_round() {
    let mailbox = mailbox(3);
    assert_eq!(mailbox.capacity(), 4);
    for round in 0..10 {
        assert!(mailbox.is_empty());
        for i in 0..4 {
            mailbox.send(round * 4 + i).unwrap();
        }
        assert_eq!(mailbox.send(99), Err((Error::WouldBlock, 99)));
        for i in 0..4 {
            assert!(!mailbox.is_empty());
            assert_eq!(mailbox.receive(), Some(round * 4 + i));
        }
        assert_eq!(mailbox.receive(), None);
    }
}

#[test]
fn positions_may_wrap() {
    let mailbox = mailbox(4);
    let start = usize::MAX - 2;
    for (offset, slot) in (0..4).map(|offset| (offset, start.wrapping_add(offset))) {
        let core = mailbox.core();
        core.slot(slot).turn.store(slot, Ordering::Relaxed);
        assert_eq!(slot.wrapping_sub(start), offset);
    }
    mailbox.core().head.store(start, Ordering::Relaxed);
    mailbox.core().tail.store(start, Ordering::Relaxed);
    for i in 0..20 {
        mailbox.send(i).unwrap();
        mailbox.send(i + 100).unwrap();
        assert_eq!((mailbox.receive(), mailbox.receive()), (Some(i), Some(i + 100)));
    }
}

#[test]
fn a_closed_box_is_empty_and_takes_nothing() {
    let mailbox = mailbox(4);
    let shared = Arc::new(());
    mailbox.send(Arc::clone(&shared)).unwrap();
    mailbox.send(Arc::clone(&shared)).unwrap();
    mailbox.close();
    assert!(mailbox.is_closed());
    assert_eq!(Arc::strong_count(&shared), 1);
    let (error, message) = mailbox.send(Arc::clone(&shared)).unwrap_err();
    assert_eq!(error, Error::Closed);
    assert!(Arc::ptr_eq(&message, &shared));
    assert_eq!(mailbox.receive(), None);
}

#[test]
fn what_nobody_received_goes_with_the_last_handle() {
    let shared = Arc::new(());
    let one = mailbox(4);
    let other = one.clone();
    one.send(Arc::clone(&shared)).unwrap();
    drop(one);
    other.send(Arc::clone(&shared)).unwrap();
    assert_eq!(Arc::strong_count(&shared), 3);
    drop(other);
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_sender_that_panics_holds_nobody_back() {
    let mailbox = mailbox(2);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        mailbox.send_as((), |()| -> i32 { panic!("on purpose") })
    }));
    assert!(result.is_err());
    mailbox.send(7).unwrap();
    assert_eq!(mailbox.receive(), Some(7));
    assert_eq!(mailbox.receive(), None);
}

#[test]
fn an_interrupted_sender_holds_back_those_behind_it_until_it_is_done() {
    let mailbox = mailbox(4);
    // The "interrupt" sends in the middle of another sender's work, and the receiver looks.
    mailbox
        .send_as(1, |one| {
            mailbox.send(2).unwrap();
            assert_eq!(mailbox.receive(), None);
            one
        })
        .unwrap();
    assert_eq!((mailbox.receive(), mailbox.receive()), (Some(1), Some(2)));
}

#[test]
fn it_fits_into_static_memory_or_takes_none() {
    static BYTES: StaticArena<1024> = StaticArena::new();
    let mut arena = BYTES.take().unwrap();
    let before = arena.remaining();
    assert_eq!(Mailbox::<[u8; 100]>::new(&mut arena, 16).unwrap_err(), Error::Memory);
    assert_eq!(arena.remaining(), before);
    let mailbox = Mailbox::<u32>::new(&mut arena, 16).unwrap();
    mailbox.send(5).unwrap();
    assert_eq!(mailbox.receive(), Some(5));
}

#[test]
fn several_senders_lose_nothing_and_keep_their_order() {
    let count = if cfg!(miri) { 20 } else { 2_000 };
    let mailbox = mailbox(8);
    let senders: Vec<_> = (0..3usize)
        .map(|sender| {
            let mailbox = mailbox.clone();
            std::thread::spawn(move || {
                for i in 0..count {
                    let mut message = (sender, i);
                    while let Err((_, back)) = mailbox.send(message) {
                        message = back;
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; 3];
    while next != [count; 3] {
        match mailbox.receive() {
            Some((sender, i)) => {
                assert_eq!(next[sender], i);
                next[sender] += 1;
            }
            None => std::thread::yield_now(),
        }
    }
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(mailbox.receive(), None);
}
