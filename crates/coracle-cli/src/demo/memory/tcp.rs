//! A second stack as the client of what the first serves over TCP.

use super::{CLIENT, CORACLE, Outcome, Problem, Wire};
use crate::demo::text;
use crate::serve::http;
use coracle::{Boxed, Error, Handler, Pbuf, Refused, Shutdown, Stack, Tcp, TcpHandle};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

const DOWNLOAD: usize = 1_000_000;
const ECHOED: usize = 200_000;
/// Virtual time that a conversation may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Wire {
    pub(super) fn page(&mut self) -> Outcome {
        let answer = self.converse(http::PORT, get("/"))?;
        let answer = String::from_utf8_lossy(&answer);
        if !answer.starts_with("HTTP/1.1 200 OK") || !answer.contains("This page comes from Coracle") {
            return Err(Problem::Failed(format!("it said {answer}")));
        }
        Ok(format!("\"This page comes from Coracle\", {} bytes with their head", answer.len()))
    }

    pub(super) fn download(&mut self) -> Outcome {
        let start = self.now;
        let answer = self.converse(http::PORT, get(&format!("/bytes/{DOWNLOAD}")))?;
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or_default() + 4;
        let as_sent = answer[head..].iter().eq(http::PATTERN.iter().cycle().take(DOWNLOAD));
        if !as_sent {
            return Err(Problem::Failed(format!("{} bytes, not those that were sent", answer.len())));
        }
        let time = self.now.since(start).as_millis();
        Ok(format!("{DOWNLOAD} bytes, every one compared, in {time} ms of virtual time"))
    }

    pub(super) fn tcp_echo(&mut self) -> Outcome {
        let sent = text(ECHOED);
        if self.converse(7, sent.clone())? != sent {
            return Err(Problem::Failed("something else came back".to_owned()));
        }
        Ok(format!("{ECHOED} bytes came back unchanged, then both closed"))
    }

    pub(super) fn closed_tcp_port(&mut self) -> Outcome {
        match self.connect(9, b"anybody?".to_vec())?.as_slice() {
            [Event::Failed(Error::Reset)] => {
                Ok("the client's error callback is told: connection reset".to_owned())
            }
            other => Err(Problem::Failed(format!("expected a refusal, found {other:?}"))),
        }
    }

    /// Connects, says something and no more, and gives everything that the server answers until it closes too.
    fn converse(&mut self, port: u16, words: Vec<u8>) -> Result<Vec<u8>, Problem> {
        let mut answer = Vec::new();
        for event in self.connect(port, words)? {
            match event {
                Event::Data(data) => answer.extend(data),
                Event::Finished => return Ok(answer),
                Event::Failed(error) => return Err(Problem::failed(error)),
            }
        }
        Err(Problem::Failed(format!("no end after {} bytes", answer.len())))
    }

    fn connect(&mut self, port: u16, words: Vec<u8>) -> Result<Vec<Event>, Problem> {
        let (report, events) = mpsc::channel();
        let (stack, _) = &mut self.ends[CLIENT];
        let client = Boxed::new(Client { words, written: 0, report });
        let tcp = stack.tcp_new(client).map_err(Problem::failed)?;
        stack.tcp(tcp).and_then(|mut tcp| tcp.connect((CORACLE, port).into())).map_err(Problem::failed)?;
        let give_up = self.now + PATIENCE;
        let mut heard = Vec::new();
        loop {
            self.settle()?;
            heard.extend(events.try_iter());
            if matches!(heard.last(), Some(Event::Finished | Event::Failed(_))) {
                // Both ends may still have an acknowledgment on the way.
                self.settle()?;
                return Ok(heard);
            }
            let next = self.ends.iter_mut().filter_map(|(stack, _)| stack.next_deadline()).min();
            match next.filter(|next| *next <= give_up) {
                Some(next) => self.now = self.now.max(next),
                None => return Ok(heard),
            }
        }
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {CORACLE}\r\nConnection: close\r\n\r\n").into_bytes()
}

#[derive(Debug)]
enum Event {
    Data(Vec<u8>),
    Finished,
    Failed(Error),
}

/// Says its words, closes its direction, and listens.
struct Client {
    words: Vec<u8>,
    written: usize,
    report: Sender<Event>,
}

impl Client {
    fn speak(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        while self.written < self.words.len() {
            match tcp.write_some(&self.words[self.written..]) {
                Ok(count) => self.written += count,
                // There is room again when something was acknowledged.
                Err(_) => return,
            }
        }
        // Once is enough.
        tcp.shutdown(Shutdown::Send).unwrap_or_default();
    }

    /// Nobody listens any more when the step has failed.
    fn tell(&self, event: Event) {
        let _ = self.report.send(event);
    }
}

impl Handler<Boxed> for Client {
    fn connected(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.speak(tcp);
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Boxed>, _acked: usize) {
        self.speak(tcp);
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Boxed>, data: Pbuf) -> Result<(), Refused> {
        let mut bytes = vec![0; data.len()];
        data.copy_to(0, &mut bytes);
        tcp.recved(data.len()).unwrap_or_default();
        self.tell(Event::Data(bytes));
        Ok(())
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        tcp.close().unwrap_or_default();
        self.tell(Event::Finished);
    }

    fn error(&mut self, _stack: &mut Stack<Boxed>, _connection: TcpHandle, reason: Error) {
        self.tell(Event::Failed(reason));
    }
}
