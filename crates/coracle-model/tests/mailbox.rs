//! The mailbox: nothing lost, nothing twice, in order, and nobody sleeps over a message.

#![cfg(loom)]

use coracle_buf::{Arena, Error, Event, Mailbox, Wake};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

fn mailbox<T>(capacity: usize) -> Mailbox<T> {
    Mailbox::new(&mut Arena::heap(), capacity).unwrap()
}

/// Sends until there is room.
fn send(mailbox: &Mailbox<u32>, mut message: u32) {
    while let Err((error, back)) = mailbox.send(message) {
        assert_eq!(error, Error::WouldBlock);
        message = back;
        thread::yield_now();
    }
}

#[test]
fn two_senders_and_a_receiver() {
    loom::model(|| {
        let mailbox = mailbox(2);
        let senders: Vec<_> = [10, 20]
            .into_iter()
            .map(|first| {
                let mailbox = mailbox.clone();
                thread::spawn(move || mailbox.send(first).unwrap())
            })
            .collect();
        let mut got = Vec::new();
        got.extend(mailbox.receive());
        for sender in senders {
            sender.join().unwrap();
        }
        got.extend(core::iter::from_fn(|| mailbox.receive()));
        got.sort_unstable();
        assert_eq!(got, [10, 20]);
    });
}

#[test]
fn a_sender_who_finds_the_box_full_keeps_its_message() {
    loom::model(|| {
        let mailbox = mailbox(2);
        mailbox.send(1).unwrap();
        mailbox.send(2).unwrap();
        let other = mailbox.clone();
        let sender = thread::spawn(move || send(&other, 3));
        assert_eq!(mailbox.receive(), Some(1));
        assert_eq!(mailbox.receive(), Some(2));
        sender.join().unwrap();
        assert_eq!(mailbox.receive(), Some(3));
        assert_eq!(mailbox.receive(), None);
    });
}

#[test]
fn messages_of_one_sender_keep_their_order() {
    loom::model(|| {
        let mailbox = mailbox(2);
        let other = mailbox.clone();
        let sender = thread::spawn(move || {
            for message in 0..3 {
                send(&other, message);
            }
        });
        for expected in 0..3 {
            let got = loop {
                match mailbox.receive() {
                    Some(got) => break got,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(got, expected);
        }
        sender.join().unwrap();
    });
}

/// How a port sleeps: it asks the event while nobody can come in between, and sleeps unless there was a call. The lock is
/// to a thread what shutting out interrupts is to a processor.
#[derive(Default)]
struct Port {
    event: Event,
    lock: Mutex<()>,
    sleeper: Condvar,
}

impl Port {
    fn sleep(&self) {
        let guard = self.lock.lock().unwrap();
        if !self.event.take() {
            drop(self.sleeper.wait(guard).unwrap());
        }
    }
}

impl Wake for Port {
    fn wake(&self) {
        self.event.wake();
        drop(self.lock.lock().unwrap());
        self.sleeper.notify_one();
    }
}

/// Sent, then called; asked, then looked. If the receiver slept over a message, the model would never end, and loom would
/// say so.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let mailbox = mailbox(2);
        let port = Arc::new(Port::default());
        let senders: Vec<_> = (0..2)
            .map(|message| {
                let (mailbox, port) = (mailbox.clone(), Arc::clone(&port));
                thread::spawn(move || {
                    mailbox.send(message).unwrap();
                    port.wake();
                })
            })
            .collect();
        let mut got = 0;
        loop {
            while mailbox.receive().is_some() {
                got += 1;
            }
            if got == 2 {
                break;
            }
            port.sleep();
        }
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// Whoever sends to a box that is being closed gets the message back, or it is dropped; none stays in the box.
#[test]
fn nothing_stays_in_a_closed_box() {
    loom::model(|| {
        let mailbox = mailbox(2);
        let token = Arc::new(());
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (mailbox, token) = (mailbox.clone(), Arc::clone(&token));
                thread::spawn(move || drop(mailbox.send(token)))
            })
            .collect();
        mailbox.close();
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

#[test]
fn the_last_handle_frees_the_box() {
    loom::model(|| {
        let mailbox = mailbox(2);
        let token = Arc::new(());
        let (other, carried) = (mailbox.clone(), Arc::clone(&token));
        let sender = thread::spawn(move || other.send(carried).unwrap());
        drop(mailbox.receive());
        drop(mailbox);
        sender.join().unwrap();
        assert_eq!(Arc::strong_count(&token), 1);
    });
}
