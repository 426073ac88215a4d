//! An application over TCP that follows a plan, and Linux's sockets at the other end.

use super::{CORACLE, LINUX, Peer};
use coracle::{
    Boxed, Error, Handler, Pbuf, Refused, Shutdown, Stack, Tcp, TcpHandle, TcpListenerHandle, Trouble,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// Nothing takes longer on a busy machine, unless it never comes.
pub const LONG: Duration = Duration::from_secs(30);

/// The bytes repeat after this many, a prime; so nothing that is lost or comes twice goes unnoticed.
const PERIOD: usize = 65_521;
/// Streams of different numbers start at different places.
const APART: u64 = 7_919;
/// The longest run of bytes that is had at once.
const RUN: usize = 32 * 1024;

/// Up to `RUN` bytes of a stream from a position on.
pub fn stream_bytes(stream: usize, position: u64, len: usize) -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut table: Vec<u8> = (0..PERIOD).map(|_| next()).collect();
        table.extend_from_within(..RUN);
        table
    });
    let from = ((position + stream as u64 * APART) % PERIOD as u64) as usize;
    &table[from..from + len.min(RUN)]
}

/// What an application does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The stream to send, and how much of it.
    pub send: (usize, u64),
    /// The stream that is expected; every byte is compared.
    pub expect: Option<usize>,
    /// What comes is reported as [`Event::Data`].
    pub keep: bool,
    /// The window is opened again at once.
    pub read: bool,
    /// What follows when all was sent.
    pub then: Then,
    /// What follows the peer's end, when all was sent as well.
    pub on_finish: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    ShutDown,
    Close,
    Abort,
}

impl Plan {
    /// Listens, and closes when the peer does.
    pub const QUIET: Self = Self {
        send: (0, 0),
        expect: None,
        keep: true,
        read: true,
        then: Then::Nothing,
        on_finish: Then::Close,
    };

    /// Sends a stream and ends it, expects another, and closes when both have ended.
    pub const fn exchange(sends: usize, bytes: u64, expects: usize) -> Self {
        Self { send: (sends, bytes), expect: Some(expects), keep: false, then: Then::ShutDown, ..Self::QUIET }
    }
}

/// What an application heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection stands.
    Open,
    Data(Vec<u8>),
    /// A byte at this position is not the one that was expected.
    Wrong(u64),
    /// Everything was written.
    Written,
    /// The peer has ended, after so many bytes.
    Finished(u64),
    /// Urgent data ends after so many more bytes.
    Urgent(usize),
    Trouble(Trouble),
    Closed,
    Failed(Error),
}

/// A listener with a plan for its connections, or a connection.
pub struct App {
    plan: Plan,
    report: Sender<(TcpHandle, Event)>,
    sent: u64,
    received: u64,
    written: bool,
    finished: bool,
}

impl App {
    fn new(plan: Plan, report: Sender<(TcpHandle, Event)>) -> Self {
        Self { plan, report, sent: 0, received: 0, written: plan.send.1 == 0, finished: false }
    }

    fn tell(&self, connection: TcpHandle, event: Event) {
        // Nobody listens any more when the test has failed, or does not care.
        let _ = self.report.send((connection, event));
    }

    fn write(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        let (stream, bytes) = self.plan.send;
        while self.sent < bytes {
            let len = RUN.min((bytes - self.sent) as usize);
            match tcp.write_some(stream_bytes(stream, self.sent, len)) {
                Ok(count) => self.sent += count as u64,
                Err(_) => return,
            }
        }
        if !core::mem::replace(&mut self.written, true) {
            self.tell(tcp.handle(), Event::Written);
            end(tcp, self.plan.then);
            if self.finished {
                end(tcp, self.plan.on_finish);
            }
        }
    }

    fn compare(&self, stream: usize, data: &Pbuf) -> Option<u64> {
        let mut position = self.received;
        for segment in data.segments() {
            for run in segment.chunks(RUN) {
                let expected = stream_bytes(stream, position, run.len());
                if run != expected {
                    let same = run.iter().zip(expected).take_while(|(a, b)| a == b).count();
                    return Some(position + same as u64);
                }
                position += run.len() as u64;
            }
        }
        None
    }
}

fn end(tcp: &mut Tcp<'_, Boxed>, how: Then) {
    match how {
        Then::Nothing => {}
        Then::ShutDown => tcp.shutdown(Shutdown::Send).unwrap(),
        Then::Close => tcp.close().unwrap(),
        Then::Abort => drop(tcp.abort().unwrap()),
    }
}

impl Handler<Boxed> for App {
    fn accept(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<Boxed, Error> {
        let mut app = Self::new(self.plan, self.report.clone());
        app.connected(tcp);
        Ok(Boxed::new(app))
    }

    fn connected(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.tell(tcp.handle(), Event::Open);
        // What there was no memory for is tried again.
        tcp.set_poll_interval(Some(Duration::from_millis(100))).unwrap();
        if !self.written {
            self.write(tcp);
        }
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Boxed>, data: Pbuf) -> Result<(), Refused> {
        let len = data.len();
        if let Some(wrong) = self.plan.expect.and_then(|stream| self.compare(stream, &data)) {
            self.tell(tcp.handle(), Event::Wrong(wrong));
        }
        self.received += len as u64;
        if self.plan.keep {
            let mut bytes = vec![0; len];
            data.copy_to(0, &mut bytes);
            self.tell(tcp.handle(), Event::Data(bytes));
        }
        drop(data);
        if self.plan.read {
            tcp.recved(len).unwrap();
        }
        Ok(())
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Boxed>, _acked: usize) {
        if !self.written {
            self.write(tcp);
        }
    }

    fn poll(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.sent(tcp, 0);
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.tell(tcp.handle(), Event::Finished(self.received));
        self.finished = true;
        // A peer that has said all it will gets all of ours still.
        if self.written {
            end(tcp, self.plan.on_finish);
        }
    }

    fn urgent(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.tell(tcp.handle(), Event::Urgent(tcp.urgent_remaining().unwrap()));
    }

    fn trouble(&mut self, tcp: &mut Tcp<'_, Boxed>, what: Trouble) {
        self.tell(tcp.handle(), Event::Trouble(what));
    }

    fn error(&mut self, _stack: &mut Stack<Boxed>, connection: TcpHandle, reason: Error) {
        self.tell(connection, Event::Failed(reason));
    }

    fn closed(&mut self, _stack: &mut Stack<Boxed>, connection: TcpHandle) {
        self.tell(connection, Event::Closed);
    }
}

/// What the applications of a plan say.
pub struct Events(Receiver<(TcpHandle, Event)>);

impl Events {
    /// The next event, whosever.
    #[track_caller]
    pub fn next(&self) -> Event {
        self.next_of().1
    }

    #[track_caller]
    pub fn next_of(&self) -> (TcpHandle, Event) {
        self.0.recv_timeout(LONG).expect("the application hears something")
    }

    /// The connection that has come to stand.
    #[track_caller]
    pub fn open(&self) -> TcpHandle {
        let (connection, event) = self.next_of();
        assert_eq!(event, Event::Open);
        connection
    }

    /// Waits for an event; what else comes before it must not be an end or damage.
    #[track_caller]
    pub fn until(&self, wanted: &Event) {
        loop {
            let event = self.next();
            if event == *wanted {
                return;
            }
            let bad = matches!(event, Event::Wrong(_) | Event::Failed(_) | Event::Closed);
            assert!(!bad, "{event:?} came before {wanted:?}");
        }
    }

    /// All data until an event other than that.
    #[track_caller]
    pub fn data(&self) -> (Vec<u8>, Event) {
        let mut data = Vec::new();
        loop {
            match self.next() {
                Event::Data(bytes) => data.extend(bytes),
                other => return (data, other),
            }
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

impl Peer {
    /// Has an application listen on a port.
    pub fn serve(&self, port: u16, plan: Plan) -> (TcpListenerHandle, Events) {
        let (report, events) = mpsc::channel();
        let listener = self.stack(move |stack| {
            stack.tcp_listen((CORACLE, port).into(), 128, Boxed::new(App::new(plan, report)))
        });
        (listener.unwrap(), Events(events))
    }

    /// Has an application connect.
    pub fn dial(&self, to: SocketAddr, plan: Plan) -> (TcpHandle, Events) {
        let (report, events) = mpsc::channel();
        let tcp = self.stack(move |stack| {
            let tcp = stack.tcp_new(Boxed::new(App::new(plan, report)))?;
            stack.tcp(tcp)?.connect(to)?;
            Ok::<_, Error>(tcp)
        });
        (tcp.unwrap(), Events(events))
    }

    /// Something done with a connection.
    pub fn tcp<R: Send + 'static>(
        &self,
        tcp: TcpHandle,
        job: impl FnOnce(&mut Tcp<'_, Boxed>) -> R + Send + 'static,
    ) -> R {
        self.stack(move |stack| job(&mut stack.tcp(tcp).unwrap()))
    }

    /// A socket of the kernel's, connected to a port of the stack's.
    pub fn connect(&self, port: u16) -> TcpStream {
        connect_from(&self.namespace, port)
    }

    /// A socket of the kernel's that listens.
    pub fn listen(&self) -> TcpListener {
        self.namespace.run(|| TcpListener::bind((LINUX, 0))).unwrap().unwrap()
    }

    /// No connection is left, and nothing that connections hold.
    #[track_caller]
    pub fn all_over(&self) {
        assert!(
            super::soon(|| self.stack(|stack| stack.tcp_connections().count()) == 0),
            "every connection ended"
        );
    }
}

pub fn connect_from(namespace: &coracle_host::Namespace, port: u16) -> TcpStream {
    let connect = || TcpStream::connect_timeout(&(CORACLE, port).into(), LONG);
    let stream = namespace.run(connect).unwrap().unwrap();
    patient(stream)
}

/// The next connection of a listening socket of the kernel's.
pub fn accept(listener: &TcpListener) -> TcpStream {
    let give_up = Instant::now() + LONG;
    listener.set_nonblocking(true).unwrap();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return patient(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(Instant::now() < give_up, "nobody connects");
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// Sends a stream from one of the kernel's sockets.
pub fn send_stream(mut socket: &TcpStream, stream: usize, bytes: u64) {
    let mut sent = 0;
    while sent < bytes {
        let run = stream_bytes(stream, sent, RUN.min((bytes - sent) as usize));
        socket.write_all(run).unwrap();
        sent += run.len() as u64;
    }
}

/// Takes a stream from one of the kernel's sockets, to its end, and compares every byte.
pub fn expect_stream(mut socket: &TcpStream, stream: usize, bytes: u64) {
    let mut buffer = vec![0; RUN];
    let mut received = 0;
    loop {
        let len = socket.read(&mut buffer).unwrap();
        if len == 0 {
            assert_eq!(received, bytes, "the whole stream");
            return;
        }
        assert!(
            buffer[..len] == *stream_bytes(stream, received, len),
            "wrong within {len} bytes from {received} on"
        );
        received += len as u64;
    }
}

/// Sends one stream and takes another at the same time, as [`Plan::exchange`] does, and closes.
pub fn exchange(socket: &TcpStream, sends: usize, bytes: u64, expects: (usize, u64)) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            send_stream(socket, sends, bytes);
            socket.shutdown(std::net::Shutdown::Write).unwrap();
        });
        expect_stream(socket, expects.0, expects.1);
    });
}
