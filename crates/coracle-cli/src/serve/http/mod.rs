//! A small HTTP/1.1 server over the raw API: what a program with a page to show needs, and no more.
//!
//! A connection is a handler with a little state machine: it reads a head, answers it piece by piece as the send buffer
//! has room, and reads the next. What came and is not looked at yet stays in the buffers that it came in, and keeps the
//! window that much smaller.

mod page;
mod request;

pub(crate) use page::PATTERN;

use super::Served;
use coracle::buf::PbufQueue;
use coracle::{Boxed, Error, Handler, Pbuf, Refused, Shutdown, Tcp};
use page::Response;
use request::{Reader, Refusal, Request};
use std::sync::Arc;
use std::time::Duration;

/// HTTP's own port [RFC 9110 §4.2.1].
pub(crate) const PORT: u16 = 80;
/// What one connection may hold of each direction.
const RECEIVE_BUFFER: u32 = 16 * 1024;
const SEND_BUFFER: u32 = 128 * 1024;
/// How often a connection is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Ticks that a client may take for the rest of a head, or between two requests.
const PATIENCE_FOR_HEAD: u32 = 10;
const PATIENCE_FOR_REQUEST: u32 = 60;
/// Ticks in which something of an answer must be acknowledged.
const PATIENCE_FOR_ACKNOWLEDGMENT: u32 = 60;
/// Ticks that a client has to see the last answer and close [RFC 9112 §9.6].
const PATIENCE_FOR_END: u32 = 2;

/// Accepts connections.
pub(super) struct Listener(pub(super) Arc<Served>);

impl Handler<Boxed> for Listener {
    fn accept(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<Boxed, Error> {
        tcp.set_receive_buffer(RECEIVE_BUFFER)?;
        tcp.set_send_buffer(SEND_BUFFER)?;
        tcp.set_nagle(false)?;
        tcp.set_poll_interval(Some(TICK))?;
        Ok(Boxed::new(Connection {
            served: Arc::clone(&self.0),
            input: PbufQueue::new(),
            reader: Reader::default(),
            state: State::Reading,
            finished: false,
            ticks: 0,
        }))
    }
}

/// One connection.
struct Connection {
    served: Arc<Served>,
    /// What came and was not looked at yet.
    input: PbufQueue,
    reader: Reader,
    state: State,
    /// The peer sends no more.
    finished: bool,
    /// Since something happened.
    ticks: u32,
}

enum State {
    /// A head is being read, or waited for.
    Reading,
    /// An answer is being written.
    Answering { response: Response, keep_alive: bool, body: u64 },
    /// The body of a request is read and forgotten: so many bytes of it are still to come.
    Skipping(u64),
    /// The last answer is written; whatever still comes is for nobody. A client that is reset while it sends may never
    /// see the answer, so it is left to close [RFC 9112 §9.6].
    Ending,
}

/// What a step of the machine came to.
enum Step {
    /// On to the next.
    Again,
    /// Nothing more can be done before something happens.
    Wait,
}

impl Connection {
    /// Moves on, as far as it goes now.
    fn go_on(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        loop {
            match self.step(tcp) {
                Ok(Step::Again) => self.ticks = 0,
                Ok(Step::Wait) => break,
                Err(_) => return,
            }
        }
        if self.finished && self.input.is_empty() && !matches!(self.state, State::Answering { .. }) {
            // What was written still leaves before our FIN.
            tcp.close().unwrap_or_default();
        }
    }

    fn step(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<Step, Error> {
        match &mut self.state {
            State::Reading => self.read(tcp),
            State::Answering { response, keep_alive, body } => {
                if !response.write(tcp)? {
                    return Ok(Step::Wait);
                }
                self.state = match (*keep_alive, *body) {
                    (false, _) => {
                        tcp.shutdown(Shutdown::Send)?;
                        State::Ending
                    }
                    (true, 0) => State::Reading,
                    (true, body) => State::Skipping(body),
                };
                Ok(Step::Again)
            }
            State::Skipping(left) => {
                let Some(data) = self.input.front() else { return Ok(Step::Wait) };
                let skipped = u64::try_from(data.len()).unwrap_or(u64::MAX).min(*left);
                *left -= skipped;
                if *left == 0 {
                    self.state = State::Reading;
                }
                self.consume(tcp, skipped as usize)?;
                Ok(Step::Again)
            }
            State::Ending => {
                let Some(data) = self.input.pop_front() else { return Ok(Step::Wait) };
                tcp.recved(data.len())?;
                Ok(Step::Again)
            }
        }
    }

    /// Reads the first of the buffers that wait.
    fn read(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<Step, Error> {
        let Some(data) = self.input.front() else { return Ok(Step::Wait) };
        let (taken, result) = self.reader.take(data.payload());
        // Of a packet in several parts, the part that is left comes next.
        self.consume(tcp, taken)?;
        if let Some(result) = result {
            self.served.requests.add(1);
            self.state = self.answer(tcp, result);
        }
        Ok(Step::Again)
    }

    fn answer(&self, tcp: &mut Tcp<'_, Boxed>, request: Result<Request, Refusal>) -> State {
        match request {
            Ok(Request { method, path, keep_alive, body }) => {
                let keep_alive = keep_alive && !(self.finished && self.input.is_empty());
                let (status, content) = page::find(&path, tcp, &self.served);
                State::Answering {
                    response: Response::new(status, content, method, keep_alive),
                    keep_alive,
                    body,
                }
            }
            Err(refusal) => {
                State::Answering { response: Response::refusal(refusal), keep_alive: false, body: 0 }
            }
        }
    }

    /// Is done with the first bytes that wait.
    fn consume(&mut self, tcp: &mut Tcp<'_, Boxed>, bytes: usize) -> Result<(), Error> {
        tcp.recved(bytes)?;
        let Some(mut data) = self.input.pop_front().filter(|data| data.len() > bytes) else { return Ok(()) };
        let kept = data.advance(bytes);
        let kept = kept.and_then(|()| self.input.push_front(data).map_err(|(error, _)| error));
        if kept.is_err() {
            // The rest of what came is lost, so nothing that follows makes sense.
            drop(tcp.abort());
        }
        kept
    }

    /// How many ticks it may stay as it is.
    fn patience(&self) -> u32 {
        match self.state {
            State::Reading if self.reader.is_idle() => PATIENCE_FOR_REQUEST,
            State::Reading | State::Skipping(_) => PATIENCE_FOR_HEAD,
            State::Answering { .. } => PATIENCE_FOR_ACKNOWLEDGMENT,
            State::Ending => PATIENCE_FOR_END,
        }
    }
}

impl Handler<Boxed> for Connection {
    fn recv(&mut self, tcp: &mut Tcp<'_, Boxed>, data: Pbuf) -> Result<(), Refused> {
        if let Err((_, data)) = self.input.push_back(data) {
            return Err(Refused(data));
        }
        self.go_on(tcp);
        Ok(())
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Boxed>, _acked: usize) {
        self.ticks = 0;
        self.go_on(tcp);
    }

    /// Tries again what there was no memory for, and gives up clients that take too long.
    fn poll(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.go_on(tcp);
        self.ticks += 1;
        if self.ticks <= self.patience() {
            return;
        }
        match self.state {
            State::Reading if !self.reader.is_idle() => {
                let refusal = Refusal(408, "Request Timeout");
                let response = Response::refusal(refusal);
                self.state = State::Answering { response, keep_alive: false, body: 0 };
                self.go_on(tcp);
            }
            State::Reading => tcp.close().unwrap_or_default(),
            _ => drop(tcp.abort()),
        }
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.finished = true;
        self.go_on(tcp);
    }
}
