//! A stack as a process sees it: kernel's descriptors, calls that block, a clock that moves by itself.
//!
//! packetdrill's main thread runs the script and moves the clock. Calls that the script says block are made by its
//! second thread, which waits here; the main thread completes them, as soon as it can, while it moves the clock or
//! hands in a packet. So the time of completion does not depend on how the kernel schedules the two.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_int;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use coracle::Instant;
use coracle_script::sockets::{Completion, Errno, Operation, PollEntry, Sent, Sockets};
use coracle_sim::pcap::{LinkType, PcapWriter};

use crate::flags::Flags;

/// How long a packet is waited for; no timer of a connection is longer than that.
const PATIENCE: Duration = Duration::from_hours(48);
/// How often in a row the stack is run at one time.
const AT_ONE_TIME: u32 = 1_000;
/// By how much the clock moves when it is looked at.
const TICK: Duration = Duration::from_micros(1);
/// No descriptor of [`Sockets`]; unlike a negative number, `poll` does not pass it over.
const NONE: i32 = i32::MAX;

thread_local! {
    /// When the call returned that this thread had to wait for: what the clock shows it next.
    static RETURNED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What `userdata` points to: a stack and the descriptors of the one process that uses it.
pub struct Adapter {
    process: Mutex<Process>,
    /// A call that waited is done.
    done: Condvar,
    /// The thread that moves the clock, and so cannot wait for it.
    main: ThreadId,
}

impl Adapter {
    /// Makes the stack, for the thread that will move the clock.
    pub(crate) fn new(flags: Flags) -> Result<Self, String> {
        let capture = match flags.capture {
            None => None,
            Some(path) => {
                let file = File::create(&path).and_then(|file| PcapWriter::new(file, LinkType::Ip));
                Some(file.map_err(|why| format!("pcap={}: {why}", path.display()))?)
            }
        };
        let sockets =
            Sockets::new(flags.sockets).map_err(|why| format!("no such stack can be made: {why}"))?;
        let process = Process {
            sockets,
            descriptors: BTreeMap::new(),
            sent: VecDeque::new(),
            capture,
            waiting: BTreeMap::new(),
            calls: 0,
            at_one_time: 0,
        };
        Ok(Self { process: Mutex::new(process), done: Condvar::new(), main: thread::current().id() })
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        // What may panic changes nothing of a process half.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the process, and completes the calls that can be completed after it.
    fn with<T>(&self, action: impl FnOnce(&mut Process) -> T) -> T {
        let mut process = self.lock();
        let result = action(&mut process);
        self.resume(&mut process);
        result
    }

    /// Completes the calls that can be completed, and wakes those who made them.
    fn resume(&self, process: &mut Process) {
        process.resume();
        if process.waiting.values().any(|waiting| matches!(waiting, Waiting::Done(..))) {
            self.done.notify_all();
        }
    }

    /// Does something with the socket of a descriptor.
    pub(crate) fn socket<T>(
        &self,
        fd: c_int,
        action: impl FnOnce(&mut Sockets, i32) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.with(|process| {
            let socket = process.socket(fd)?;
            action(&mut process.sockets, socket)
        })
    }

    /// Makes a call about one socket, and waits for it if this thread may.
    pub(crate) fn perform(
        &self,
        fd: c_int,
        operation: impl FnOnce(i32) -> Operation,
    ) -> Result<Completion, Errno> {
        self.complete(|process| Ok(operation(process.socket(fd)?)))
    }

    /// Makes a call, and waits for it if this thread may; `EDEADLK` if it may not.
    fn complete(
        &self,
        operation: impl FnOnce(&Process) -> Result<Operation, Errno>,
    ) -> Result<Completion, Errno> {
        RETURNED.set(None);
        let mut process = self.lock();
        let mut operation = operation(&process)?;
        let result = process.sockets.attempt(&mut operation);
        self.resume(&mut process);
        if let Some(result) = result {
            return result;
        }
        if thread::current().id() == self.main {
            return Err(Errno::EDEADLK);
        }
        process.calls += 1;
        let call = process.calls;
        process.waiting.insert(call, Waiting::Blocked(operation));
        loop {
            match process.waiting.remove(&call) {
                Some(Waiting::Done(result, at)) => {
                    RETURNED.set(Some(at));
                    return result;
                }
                Some(blocked) => drop(process.waiting.insert(call, blocked)),
                None => return Err(Errno::EIO),
            }
            process = self.done.wait(process).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// `socket(2)`.
    pub(crate) fn new_socket(&self, domain: c_int, kind: c_int, protocol: c_int) -> Result<c_int, Errno> {
        self.with(|process| {
            let socket = process.sockets.socket(domain, kind, protocol)?;
            process.install(socket)
        })
    }

    /// `accept(2)`: a descriptor, and who connected.
    pub(crate) fn accept(&self, fd: c_int) -> Result<Completion, Errno> {
        let accepted = self.perform(fd, |socket| Operation::accept(socket, 0))?;
        let value = self.with(|process| process.install(accepted.value))?;
        Ok(Completion { value, ..accepted })
    }

    /// `poll(2)`; a timeout of none waits for ever.
    pub(crate) fn poll(
        &self,
        mut entries: Vec<PollEntry>,
        timeout: Option<Duration>,
    ) -> Result<Completion, Errno> {
        self.complete(|process| {
            for entry in entries.iter_mut().filter(|entry| entry.fd >= 0) {
                entry.fd = process.socket(entry.fd).unwrap_or(NONE);
            }
            Ok(Operation::poll(entries, timeout))
        })
    }

    /// `close(2)`.
    pub(crate) fn close(&self, fd: c_int) -> Result<(), Errno> {
        self.with(|process| {
            let descriptor = process.descriptors.remove(&fd).ok_or(Errno::EBADF)?;
            drop(ManuallyDrop::into_inner(descriptor.file));
            process.sockets.close(descriptor.socket)
        })
    }

    /// A packet for the stack.
    pub(crate) fn inject(&self, packet: &[u8]) {
        self.with(|process| {
            process.capture(process.sockets.now(), packet);
            process.sockets.inject(packet);
        });
    }

    /// The next packet of the stack; time runs until there is one. None: there will be none.
    pub(crate) fn receive(&self) -> Option<Sent> {
        self.with(|process| {
            let end = process.sockets.now() + PATIENCE;
            while process.sent.is_empty() && process.step(end) {}
            process.sent.pop_front()
        })
    }

    /// Moves the clock.
    pub(crate) fn sleep(&self, time: Duration) {
        self.with(|process| process.advance(process.sockets.now() + time));
    }

    /// The time: that at which a call returned if this thread waited for one, else now, which moves the clock.
    pub(crate) fn time(&self) -> Instant {
        if let Some(returned) = RETURNED.take() {
            return returned;
        }
        self.with(|process| {
            process.advance(process.sockets.now() + TICK);
            process.sockets.now()
        })
    }
}

/// What the lock guards.
struct Process {
    sockets: Sockets,
    descriptors: BTreeMap<c_int, Descriptor>,
    /// What the stack sent and nobody took.
    sent: VecDeque<Sent>,
    capture: Option<PcapWriter<File>>,
    /// The calls that other threads wait for.
    waiting: BTreeMap<u64, Waiting>,
    /// How many ever had to wait.
    calls: u64,
    /// How often the stack was run without that time moved.
    at_one_time: u32,
}

/// A descriptor of the kernel. packetdrill closes those that a script left open by itself, without a word; so they are
/// real ones, of the null device, and only [`Adapter::close`] closes them.
struct Descriptor {
    file: ManuallyDrop<File>,
    /// The socket's number in [`Sockets`].
    socket: i32,
}

enum Waiting {
    Blocked(Operation),
    Done(Result<Completion, Errno>, Instant),
}

impl Process {
    fn socket(&self, fd: c_int) -> Result<i32, Errno> {
        self.descriptors.get(&fd).map(|descriptor| descriptor.socket).ok_or(Errno::EBADF)
    }

    /// Gives a socket a descriptor of the kernel.
    fn install(&mut self, socket: i32) -> Result<c_int, Errno> {
        let Ok(file) = File::open("/dev/null") else {
            self.sockets.close(socket)?;
            return Err(Errno::EMFILE);
        };
        let fd = file.as_raw_fd();
        let descriptor = Descriptor { file: ManuallyDrop::new(file), socket };
        if let Some(stale) = self.descriptors.insert(fd, descriptor) {
            // The kernel gives out no number twice: the program closed that one itself.
            self.sockets.close(stale.socket)?;
        }
        Ok(fd)
    }

    /// Completes the calls that can be completed, and takes what the stack sent.
    fn resume(&mut self) {
        for waiting in self.waiting.values_mut() {
            if let Waiting::Blocked(operation) = waiting
                && let Some(result) = self.sockets.attempt(operation)
            {
                *waiting = Waiting::Done(result, self.sockets.now());
            }
        }
        while let Some(sent) = self.sockets.take_sent() {
            self.capture(sent.at, &sent.bytes);
            self.sent.push_back(sent);
        }
    }

    /// Lets time pass until the stack or a call that waits wants to go on, if that is until then. False: it is not.
    fn step(&mut self, to: Instant) -> bool {
        let waits = self.waiting.values().filter_map(|waiting| match waiting {
            Waiting::Blocked(operation) => operation.deadline(),
            Waiting::Done(..) => None,
        });
        let next = self.sockets.deadline().into_iter().chain(waits).min();
        let Some(next) = next.filter(|&next| next <= to) else { return false };
        let now = self.sockets.now();
        self.at_one_time = if next > now { 0 } else { self.at_one_time + 1 };
        self.sockets.advance(next.max(now));
        self.resume();
        self.at_one_time < AT_ONE_TIME
    }

    fn advance(&mut self, to: Instant) {
        while self.step(to) {}
        self.sockets.advance(to);
    }

    /// Adds a packet to the capture, if there is one and for as long as it can be written.
    fn capture(&mut self, at: Instant, packet: &[u8]) {
        if let Some(capture) = &mut self.capture
            && let Err(why) = capture.write(at.as_micros(), packet)
        {
            eprintln!("coracle-packetdrill: the capture ends here: {why}");
            self.capture = None;
        }
    }
}
