//! Commands inside a namespace: bounded in time and output, and never left behind.

use super::enter;
use crate::clock::Clock;
use crate::error::Error;
use crate::sys;
use crate::waiter::{Source, Waiter, Waker};
use core::fmt;
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A command to run in a [`Namespace`](super::Namespace).
///
/// It reads nothing (or what [`input`](Self::input) says), its output is captured, and it is ended when its time is
/// over (10 seconds unless [`timeout`](Self::timeout) says otherwise), when its [`Running`] is dropped, and when this program
/// ends in any way. What it has started itself is ended with it, unless that makes itself a daemon; so run services
/// in the foreground.
#[derive(Debug)]
pub struct Command {
    namespace: Arc<File>,
    program: OsString,
    arguments: Vec<OsString>,
    input: Vec<u8>,
    timeout: Duration,
}

/// How a command ended, and what it wrote.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// It reported success (exit code 0).
    pub success: bool,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output, the first 4 MiB of it; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// The same for standard error.
    pub stderr: String,
    /// How long it ran.
    pub elapsed: Duration,
}

/// A command that runs at this moment. Dropping it kills the command.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    waker: Waker,
    supervisor: Option<JoinHandle<Result<Output, Error>>>,
}

impl Command {
    pub(super) fn new(namespace: Arc<File>, program: &str) -> Self {
        let timeout = Duration::from_secs(10);
        Self { namespace, program: program.into(), arguments: Vec::new(), input: Vec::new(), timeout }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// What it reads from standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Ends it after this time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it to its end and wants it to report success.
    ///
    /// # Errors
    /// [`NoProgram`](Error::NoProgram), [`Timeout`](Error::Timeout), [`Failed`](Error::Failed).
    pub fn run(self) -> Result<Output, Error> {
        let command = self.to_string();
        let output = self.output()?;
        if output.success { Ok(output) } else { Err(Error::Failed { command, output: Box::new(output) }) }
    }

    /// Runs it to its end, whatever it reports.
    ///
    /// # Errors
    /// [`NoProgram`](Error::NoProgram), [`Timeout`](Error::Timeout).
    pub fn output(self) -> Result<Output, Error> {
        self.start()?.wait()
    }

    /// Starts it and goes on.
    ///
    /// # Errors
    /// [`NoProgram`](Error::NoProgram), or the system refuses to start it.
    pub fn start(self) -> Result<Running, Error> {
        let waiter = Waiter::new(Clock::start()).map_err(|error| Error::from_io("make a waiter", error))?;
        let waker = waiter.waker();
        let shared = Arc::new(Shared::default());
        let (started, start) = mpsc::channel();
        let supervisor = {
            let shared = Arc::clone(&shared);
            // One thread lives as long as the command: the kernel ends the command with the thread that started it.
            std::thread::Builder::new()
                .name("supervisor".to_owned())
                .spawn(move || {
                    let supervised = Supervised::start(&self, waiter, shared);
                    match supervised {
                        Ok(supervised) => {
                            let _ = started.send(Ok(()));
                            supervised.supervise()
                        }
                        Err(error) => {
                            let _ = started.send(Err(error));
                            Ok(Output::default())
                        }
                    }
                })
                .map_err(|error| Error::from_io("start a thread", error))?
        };
        let running = Running { shared, waker, supervisor: Some(supervisor) };
        match start.recv() {
            Ok(result) => result.map(|()| running),
            // Only a panic keeps the thread from answering; `wait` lets it go on here.
            Err(error) => running.wait().and(Err(Error::from_io("start a command", io::Error::other(error)))),
        }
    }

    fn spawn(&self) -> Result<Child, Error> {
        enter(&self.namespace)?;
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.stdin(input(&self.input).map_err(|error| Error::from_io("prepare the input", error))?);
        sys::end_with_parent(&mut command);
        command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoProgram(self.program.to_string_lossy().into_owned()),
            _ => Error::from_io(format!("start `{self}`"), error),
        })
    }
}

/// A file in memory rather than a pipe: nobody has to feed it.
fn input(bytes: &[u8]) -> io::Result<Stdio> {
    if bytes.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = File::from(rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// The command line.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.to_string_lossy())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}

/// The text for an error message: the code and what was written, each only where there is something to say.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code.filter(|code| *code != 0) {
            write!(f, " with code {code}")?;
        }
        for text in [&self.stderr, &self.stdout].map(|text| text.trim()) {
            if !text.is_empty() {
                write!(f, ": {text}")?;
            }
        }
        Ok(())
    }
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`Timeout`](Error::Timeout).
    pub fn wait(mut self) -> Result<Output, Error> {
        self.join()
    }

    /// Asks it to end (SIGTERM), which lets capture programs complete their file, kills it after a second, and gives
    /// what it wrote.
    ///
    /// # Errors
    /// [`Timeout`](Error::Timeout) if its time was over before.
    pub fn stop(mut self) -> Result<Output, Error> {
        self.ask(End::Asked);
        self.join()
    }

    /// Waits until its output (either kind) contains `text`, for example a server's word that it listens. `false` when it
    /// ended, or the time was over, without that.
    pub fn wait_for_text(&self, text: &str, timeout: Duration) -> bool {
        let give_up = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if state.text.iter().any(|seen| contains(seen, text.as_bytes())) {
                return true;
            }
            let left = give_up.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// It has not ended yet.
    pub fn is_running(&self) -> bool {
        !self.shared.lock().ended
    }

    fn ask(&self, end: End) {
        self.shared.lock().end = Some(end);
        self.waker.wake();
    }

    fn join(&mut self) -> Result<Output, Error> {
        match self.supervisor.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(Output::default()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            self.ask(End::Killed);
            let _ = supervisor.join();
        }
    }
}

/// What the supervisor and the holder of [`Running`] both see.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    text: [Vec<u8>; 2],
    ended: bool,
    end: Option<End>,
}

/// How the holder wants it to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    Killed,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The command as its thread sees it.
struct Supervised {
    command: String,
    child: Child,
    group: Pid,
    exit: OwnedFd,
    /// Standard output and error, until they end.
    pipes: [Option<OwnedFd>; 2],
    waiter: Waiter,
    shared: Arc<Shared>,
    deadline: u64,
    timeout: Duration,
}

impl Supervised {
    /// Each stream is kept up to here.
    const KEEP: usize = 4 << 20;
    /// From asking to killing, in microseconds.
    const GRACE: u64 = 1_000_000;

    fn start(command: &Command, waiter: Waiter, shared: Arc<Shared>) -> Result<Self, Error> {
        let mut child = command.spawn()?;
        let group = Pid::from_child(&child);
        let pipes = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        let prepared = pidfd_open(group, PidfdFlags::empty()).and_then(|exit| {
            pipes.iter().flatten().try_for_each(|pipe| rustix::io::ioctl_fionbio(pipe, true))?;
            Ok(exit)
        });
        let exit = prepared.map_err(|error| {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
            Error::from_io(format!("watch `{command}`"), error)
        })?;
        let timeout = command.timeout;
        let deadline = waiter.clock().now().saturating_add(timeout.as_micros() as u64);
        let command = command.to_string();
        Ok(Self { command, child, group, exit, pipes, waiter, shared, deadline, timeout })
    }

    fn supervise(mut self) -> Result<Output, Error> {
        let watched = self.watch();
        // The group goes before its leader is reaped, so that its number cannot have been given to others.
        let _ = kill_process_group(self.group, Signal::KILL);
        let status = self.child.wait();
        self.read();
        let elapsed = Duration::from_micros(self.waiter.clock().now());
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.changed.notify_all();
        let [stdout, stderr] = std::mem::take(&mut state.text);
        let asked = state.end.is_some();
        drop(state);
        let what = || format!("wait for `{}`", self.command);
        let timed_out = watched.map_err(|error| Error::from_io(what(), error))?;
        let status = status.map_err(|error| Error::from_io(what(), error))?;
        let output = output(status, &stdout, &stderr, elapsed);
        if timed_out && !asked {
            Err(Error::Timeout { command: self.command, after: self.timeout, output: Box::new(output) })
        } else {
            Ok(output)
        }
    }

    /// Until it has ended, or its time is over (`true`).
    fn watch(&mut self) -> io::Result<bool> {
        let mut asked = false;
        loop {
            let mut sources: Vec<Source<'_>> = self.pipes.iter().flatten().map(Source::readable).collect();
            sources.push(Source::readable(&self.exit));
            let woke = self.waiter.wait(&mut sources, Some(self.deadline))?;
            let exited = sources.last().is_some_and(Source::is_readable);
            drop(sources);
            self.read();
            if exited || woke.by_deadline {
                return Ok(!exited);
            }
            match self.shared.lock().end {
                Some(End::Killed) => return Ok(false),
                Some(End::Asked) if !asked => {
                    asked = true;
                    let _ = kill_process_group(self.group, Signal::TERM);
                    self.deadline = self.deadline.min(self.waiter.clock().now() + Self::GRACE);
                }
                _ => {}
            }
        }
    }

    /// Takes what the pipes hold.
    fn read(&mut self) {
        let mut state = self.shared.lock();
        for (pipe, text) in self.pipes.iter_mut().zip(&mut state.text) {
            if pipe.as_ref().is_some_and(|fd| read_pipe(fd.as_fd(), text, Self::KEEP)) {
                *pipe = None;
            }
        }
        self.shared.changed.notify_all();
    }
}

/// Reads what there is; `true` at the end. What is beyond `keep` is let go, so that the writer is never held up.
fn read_pipe(pipe: impl AsFd, text: &mut Vec<u8>, keep: usize) -> bool {
    let mut block = [0u8; 16 << 10];
    // As much as a pipe holds; then the caller gets to look at its deadline, however fast the writer is.
    for _ in 0..64 {
        match rustix::io::read(&pipe, &mut block) {
            Ok(0) => return true,
            Ok(len) => text.extend_from_slice(&block[..len.min(keep.saturating_sub(text.len()))]),
            Err(Errno::AGAIN) => return false,
            Err(Errno::INTR) => {}
            Err(_) => return true,
        }
    }
    false
}

fn output(status: ExitStatus, stdout: &[u8], stderr: &[u8], elapsed: Duration) -> Output {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Output {
        success: status.success(),
        code: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
        elapsed,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
