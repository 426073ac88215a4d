//! TCP between two stacks: what a stack has to provide, and the loops that drive and check it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

use crate::failure::Failure;
use crate::scenario::Work;

/// Bytes of a small message.
pub(crate) const MESSAGE: usize = 64;
/// Bytes that count as one segment: what fits an MTU of 1,500 without options.
const SEGMENT: u64 = 1_460;
/// What an application writes at once in a transfer.
pub(crate) const CHUNK: usize = 16_384;
/// Send and receive buffers of the connection that is measured: what a window without scale can say.
pub(crate) const BUFFER: usize = 65_535;
/// The first of the server's ports.
pub(crate) const FIRST_PORT: u16 = 20_000;
/// Connections to one port, fewer than there are ports to come from.
const PER_PORT: u32 = 10_000;
/// Virtual time that passes while frames cross the wire both ways.
pub(crate) const TURN_MICROS: u64 = 10;

/// After so many bytes the stream of a transfer is the same again.
const PERIOD: usize = 65_536;
/// Segments before the first measured one: congestion windows have opened.
const WARM_UP_SEGMENTS: u64 = 2_000;
const WARM_UP_BYTES: u64 = WARM_UP_SEGMENTS * SEGMENT;
const WARM_UP_ROUNDS: u64 = 40;
/// Bytes of each piece that are compared after that.
const SAMPLE: usize = 32;
/// Turns without progress that are too many.
const PATIENCE: u32 = 10_000;

/// Two stacks on one Ethernet. The server has listeners from [`FIRST_PORT`] on; the client talks on the connection
/// that it opened last. Both close after their peer.
pub(crate) trait TcpPair: Sized {
    /// Sets both up, for so many connections at a time.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] where the stack is not on this machine.
    fn new(job: Job, connections: u32, ports: u16, log: Rc<Log>) -> Result<Self, Failure>;

    /// Begins to open a connection.
    ///
    /// # Errors
    /// [`Failure::Broken`] where a stack refuses something, here and below.
    fn connect(&mut self, port: u16) -> Result<(), Failure>;

    /// Carries the frames that wait, first the client's, then the server's, and lets the applications do their part;
    /// `false` if there were none.
    fn turn(&mut self) -> Result<bool, Failure>;

    /// Nothing moves: lets time pass until something may.
    fn wait(&mut self) -> Result<(), Failure>;

    /// Begins a transfer that never ends: the client writes what [`Log::next_chunk`] gives whenever there is room.
    fn start_transfer(&mut self) -> Result<(), Failure>;

    /// The client sends a message.
    fn send(&mut self, message: &[u8; MESSAGE]) -> Result<(), Failure>;

    /// Lets as much time pass as connections stay in TIME-WAIT.
    fn end_time_wait(&mut self) -> Result<(), Failure>;

    /// Frames that crossed the wire so far.
    fn frames(&self) -> u64;
}

/// What the applications do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// The server takes a transfer.
    Take,
    /// The server sends back what comes.
    Echo,
    /// The client closes as soon as the connection stands.
    Close,
}

/// What happened, shared with all callbacks.
#[derive(Debug)]
pub(crate) struct Log {
    /// Connections that the client's, and the server's, application saw open.
    connected: Cell<u64>,
    accepted: Cell<u64>,
    /// Connections that the server saw the client close.
    finished: Cell<u64>,
    /// Bytes of transfers that were written, and that arrived.
    written: Cell<u64>,
    taken: Cell<u64>,
    message: Cell<[u8; MESSAGE]>,
    /// Bytes of the message that came back.
    answered: Cell<usize>,
    wrong: Cell<u64>,
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}

/// Two periods, so that a chunk is contiguous wherever it begins.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..2 * PERIOD).map(|at| ((at % PERIOD) * 31 + (at % PERIOD) / 251) as u8).collect());

/// The bytes of a transfer from a position on.
fn pattern(position: u64, length: usize) -> &'static [u8] {
    let start = (position % PERIOD as u64) as usize;
    &PATTERN.as_slice()[start..start + length]
}

impl Default for Log {
    fn default() -> Self {
        let zero = || Cell::new(0);
        let (connected, accepted, finished) = (zero(), zero(), zero());
        let (written, taken, wrong) = (zero(), zero(), zero());
        let (message, answered) = (Cell::new([0; MESSAGE]), Cell::new(MESSAGE));
        Self { connected, accepted, finished, written, taken, message, answered, wrong }
    }
}

impl Log {
    /// The client's connection stands.
    pub(crate) fn connected(&self) {
        add(&self.connected, 1);
    }

    /// The server's connection stands.
    pub(crate) fn accepted(&self) {
        add(&self.accepted, 1);
    }

    /// The server saw the client close.
    pub(crate) fn finished(&self) {
        add(&self.finished, 1);
    }

    /// What the client writes next.
    #[inline]
    pub(crate) fn next_chunk(&self) -> &'static [u8] {
        let chunk = pattern(self.written.get(), CHUNK);
        add(&self.written, CHUNK as u64);
        chunk
    }

    /// The server got a piece of a transfer. All of it is compared at the start; later enough to notice what is out
    /// of place, as it is the stacks that are to be measured, and they have checked their sums.
    #[inline]
    pub(crate) fn take(&self, piece: &[u8]) {
        let compared =
            if self.taken.get() < WARM_UP_BYTES { piece } else { &piece[..piece.len().min(SAMPLE)] };
        if compared != pattern(self.taken.get(), compared.len()) {
            add(&self.wrong, 1);
        }
        add(&self.taken, piece.len() as u64);
    }

    /// The client got a piece of its message back.
    #[inline]
    pub(crate) fn answer(&self, piece: &[u8]) {
        let from = self.answered.get();
        if self.message.get().get(from..from + piece.len()) != Some(piece) {
            add(&self.wrong, 1);
        }
        self.answered.set(from + piece.len());
    }
}

/// A pair, its log, and whether they get on.
struct Run<P> {
    pair: P,
    log: Rc<Log>,
    /// Rounds, or bytes, to be reached.
    goal: u64,
}

impl<P: TcpPair> Run<P> {
    fn new(job: Job, connections: u32) -> Result<Self, Failure> {
        let log = Rc::new(Log::default());
        let ports = connections.div_ceil(PER_PORT) as u16;
        let pair = P::new(job, connections, ports, Rc::clone(&log))?;
        let mut run = Self { pair, log, goal: 0 };
        for number in 0..connections {
            run.open(number)?;
        }
        Ok(run)
    }

    /// Opens a connection; both sides have seen it.
    fn open(&mut self, number: u32) -> Result<(), Failure> {
        let goal = self.log.accepted.get() + 1;
        self.pair.connect(FIRST_PORT + (number / PER_PORT) as u16)?;
        self.until(|log| (log.connected.get().min(log.accepted.get()), goal))
    }

    /// Carries frames until a count has reached a goal.
    #[inline]
    fn until(&mut self, state: impl Fn(&Log) -> (u64, u64)) -> Result<(), Failure> {
        let (mut last, mut idle) = (0, 0);
        loop {
            let (count, goal) = state(&self.log);
            if self.log.wrong.get() > 0 {
                return Err(Failure::Broken("wrong bytes arrived".into()));
            }
            if count >= goal {
                return Ok(());
            }
            idle = if count == last { idle + 1 } else { 0 };
            last = count;
            if idle > PATIENCE {
                return Err(Failure::Broken(format!("stuck at {count} of {goal}: {:?}", self.log)));
            }
            if !self.pair.turn()? {
                self.pair.wait()?;
            }
        }
    }

    /// Carries frames until there are none.
    fn settle(&mut self) -> Result<(), Failure> {
        while self.pair.turn()? {}
        Ok(())
    }
}

/// A transfer from client to server.
struct Transfer<P>(Run<P>);

impl<P: TcpPair> Work for Transfer<P> {
    fn rounds(&mut self, count: u64) -> Result<(), Failure> {
        let run = &mut self.0;
        // What arrived beyond the last goal counts towards this one.
        run.goal += count * SEGMENT;
        let goal = run.goal;
        run.until(|log| (log.taken.get(), goal))
    }
}

/// A transfer; so many other connections stand idle.
fn transfer<P: TcpPair + 'static>(idle: u32) -> Result<Box<dyn Work>, Failure> {
    let mut run = Run::<P>::new(Job::Take, idle + 1)?;
    run.settle()?;
    run.pair.start_transfer()?;
    let mut work = Transfer(run);
    work.rounds(WARM_UP_SEGMENTS)?;
    Ok(Box::new(work))
}

/// A transfer on the only connection.
pub(crate) fn bulk<P: TcpPair + 'static>() -> Result<Box<dyn Work>, Failure> {
    transfer::<P>(0)
}

/// A transfer beside `IDLE` idle connections.
pub(crate) fn bulk_beside<P: TcpPair + 'static, const IDLE: u32>() -> Result<Box<dyn Work>, Failure> {
    transfer::<P>(IDLE)
}

/// Messages there and back.
struct PingPong<P>(Run<P>);

impl<P: TcpPair> PingPong<P> {
    #[inline]
    fn exchange(&mut self) -> Result<(), Failure> {
        let run = &mut self.0;
        run.goal += 1;
        let mut message = [37; MESSAGE];
        message[8..16].copy_from_slice(&run.goal.to_le_bytes());
        run.log.message.set(message);
        run.log.answered.set(0);
        run.pair.send(&message)?;
        run.until(|log| (log.answered.get() as u64, MESSAGE as u64))
    }
}

impl<P: TcpPair> Work for PingPong<P> {
    fn rounds(&mut self, count: u64) -> Result<(), Failure> {
        let frames = self.0.pair.frames();
        for _ in 0..count {
            self.exchange()?;
        }
        let moved = self.0.pair.frames() - frames;
        // Acknowledgments travel with the messages, but for a few that waited too long.
        if moved > 2 * count + count / 20 + 1 {
            return Err(Failure::Broken(format!("{count} rounds moved {moved} frames")));
        }
        Ok(())
    }
}

/// A message of 64 bytes there and back on the only connection.
pub(crate) fn ping_pong<P: TcpPair + 'static>() -> Result<Box<dyn Work>, Failure> {
    let mut run = Run::<P>::new(Job::Echo, 1)?;
    run.settle()?;
    let mut work = PingPong(run);
    // A stack may acknowledge everything at once at the start of a connection.
    for _ in 0..WARM_UP_ROUNDS {
        work.exchange()?;
        work.0.settle()?;
    }
    Ok(Box::new(work))
}

/// Connections that open and close.
struct Cycle<P>(Run<P>);

impl<P: TcpPair> Work for Cycle<P> {
    fn rounds(&mut self, count: u64) -> Result<(), Failure> {
        let run = &mut self.0;
        for _ in 0..count {
            run.goal += 1;
            let goal = run.goal;
            run.pair.connect(FIRST_PORT)?;
            run.until(|log| (log.accepted.get().min(log.finished.get()), goal))?;
            run.settle()?;
            run.pair.end_time_wait()?;
        }
        if run.log.connected.get() != run.goal {
            return Err(Failure::Broken(format!("{:?}", run.log)));
        }
        Ok(())
    }
}

/// Connect, accept, close on both sides, and the end of TIME-WAIT.
pub(crate) fn open_close<P: TcpPair + 'static>() -> Result<Box<dyn Work>, Failure> {
    let log = Rc::new(Log::default());
    let pair = P::new(Job::Close, 1, 1, Rc::clone(&log))?;
    let mut work = Cycle(Run { pair, log, goal: 0 });
    work.rounds(WARM_UP_ROUNDS)?;
    Ok(Box::new(work))
}
