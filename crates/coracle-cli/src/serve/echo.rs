//! Echo [RFC 862]: what comes goes back, in the buffers that it came in.

use super::Served;
use coracle::buf::PbufQueue;
use coracle::{Boxed, Error, Handler, Pbuf, Refused, Tcp};
use std::sync::Arc;
use std::time::Duration;

/// What one connection may hold of each direction: buffers of the pool are few.
const BUFFER: u32 = 64 * 1024;
/// How often a connection that lacked memory tries again.
const RETRY: Duration = Duration::from_millis(100);

/// Sends each datagram back to where it came from.
pub(super) fn datagrams(served: &Arc<Served>) -> Boxed {
    let served = Arc::clone(served);
    Boxed::datagrams(move |udp, from, data| {
        // What cannot be sent is dropped, and counted by the stack.
        if udp.send_to(data, from).is_ok() {
            served.datagrams.add(1);
        }
    })
}

/// Accepts connections.
pub(super) struct Listener(pub(super) Arc<Served>);

impl Handler<Boxed> for Listener {
    fn accept(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<Boxed, Error> {
        tcp.set_receive_buffer(BUFFER)?;
        tcp.set_send_buffer(BUFFER)?;
        // Answers are as short as the questions.
        tcp.set_nagle(false)?;
        let served = Arc::clone(&self.0);
        Ok(Boxed::new(Connection { served, waiting: PbufQueue::new(), finished: false }))
    }
}

/// One connection.
struct Connection {
    served: Arc<Served>,
    /// What came and does not fit the send buffer yet. The window opens only as this empties, so a peer that sends
    /// without reading is held up by the protocol.
    waiting: PbufQueue,
    /// The peer sends no more.
    finished: bool,
}

impl Connection {
    /// Moves on, as far as it goes now.
    fn go_on(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        if self.send_back(tcp).is_err() {
            // Without memory now; if nothing is under way whose acknowledgment calls `sent`, the timer calls.
            tcp.set_poll_interval(Some(RETRY)).unwrap_or_default();
        } else if self.finished && self.waiting.is_empty() {
            // What was written still leaves before our FIN.
            tcp.close().unwrap_or_default();
        }
    }

    fn send_back(&mut self, tcp: &mut Tcp<'_, Boxed>) -> Result<(), Error> {
        while let Some(mut data) = self.waiting.pop_front() {
            let room = tcp.send_buffer()?;
            if room == 0 {
                return self.put_back(tcp, data);
            }
            if data.len() > room {
                match data.split_off(room) {
                    Ok(rest) => self.put_back(tcp, rest)?,
                    Err(error) => return self.put_back(tcp, data).and(Err(error)),
                }
            }
            let len = data.len();
            if let Err(rejected) = tcp.write(data) {
                return self.put_back(tcp, rejected.data).and(Err(rejected.error));
            }
            tcp.recved(len)?;
            self.served.bytes.add(len);
        }
        Ok(())
    }

    /// Keeps data for later. Without memory even for that the stream would have a hole, so the connection ends.
    fn put_back(&mut self, tcp: &mut Tcp<'_, Boxed>, data: Pbuf) -> Result<(), Error> {
        self.waiting.push_front(data).map_err(|(error, _)| {
            drop(tcp.abort());
            error
        })
    }
}

impl Handler<Boxed> for Connection {
    fn recv(&mut self, tcp: &mut Tcp<'_, Boxed>, data: Pbuf) -> Result<(), Refused> {
        if let Err((_, data)) = self.waiting.push_back(data) {
            return Err(Refused(data));
        }
        self.go_on(tcp);
        Ok(())
    }

    fn sent(&mut self, tcp: &mut Tcp<'_, Boxed>, _acked: usize) {
        self.go_on(tcp);
    }

    fn poll(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        tcp.set_poll_interval(None).unwrap_or_default();
        self.go_on(tcp);
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Boxed>) {
        self.finished = true;
        self.go_on(tcp);
    }
}
