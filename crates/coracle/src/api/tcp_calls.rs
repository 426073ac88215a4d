//! The handlers of TCP connections and listeners, called.

use super::tcp::{Admission, Refused, Tcp, TcpHandle};
use super::{Handler, Stack};
use crate::error::Error;
use crate::table::Key;
use crate::tcp::{Flags, Report};

impl<H: Handler> Stack<H> {
    /// Calls the handler that a report is for.
    #[inline]
    pub(super) fn call_tcp(&mut self, position: u32, report: Report) {
        let Some(key) = self.engine.tcp.slots.key_at(position as usize) else { return };
        match report {
            Report::Incoming(listener) => self.call_incoming(key, listener),
            Report::Accept(listener) => self.call_accept(key, listener),
            Report::End(error) => self.call_end(key, error),
            report => self.call_connection(key, report),
        }
        self.engine.tcp_settle(position);
    }

    #[inline]
    fn call_connection(&mut self, key: Key, report: Report) {
        let position = key.index as usize;
        // A handler that a panic took is not heard of again: nothing is delivered to nobody.
        let Some(mut handler) = self.tcp_handlers[position].take() else {
            return self.tcp_unheard(key, report);
        };
        let tcp = &mut Tcp::new(self, TcpHandle(key));
        match report {
            Report::Data(data) => {
                if let Err(Refused(data)) = handler.recv(tcp, data) {
                    self.engine.tcp_refused(key, data);
                }
            }
            Report::Sent(acked) => handler.sent(tcp, acked as usize),
            Report::Connected => handler.connected(tcp),
            Report::Finished => handler.finished(tcp),
            Report::Urgent => handler.urgent(tcp),
            Report::Poll => handler.poll(tcp),
            Report::Trouble(error) => handler.trouble(tcp, error),
            Report::Incoming(_) | Report::Accept(_) | Report::End(_) => {}
        }
        if self.engine.tcp.slots.get(key).is_some() && self.tcp_handlers[position].is_none() {
            self.tcp_handlers[position] = Some(handler);
        }
    }

    /// There is no handler: what must not be lost waits for one.
    #[cold]
    fn tcp_unheard(&mut self, key: Key, report: Report) {
        let Some(report) = self.engine.service_report(key, report) else { return };
        if let Some(pcb) = self.engine.tcp.slots.get_mut(key) {
            pcb.flags.clear(Flags::HEARD);
            if let Report::Connected = report {
                pcb.flags.set(Flags::TELL_OPEN);
            }
        }
        if let Report::Data(data) = report {
            self.engine.tcp_refused(key, data);
        }
    }

    /// A SYN that the application of a listener decides upon.
    #[cold]
    fn call_incoming(&mut self, key: Key, listener: Key) {
        let decision = self
            .call_listener(listener, |handler, stack| handler.incoming(&mut Tcp::new(stack, TcpHandle(key))));
        let Ok(mut tcp) = self.tcp(TcpHandle(key)) else { return };
        let result = match decision {
            None => return self.engine.tcp_await_listener(key, Flags::TELL_SYN),
            Some(Admission::Hold) => Ok(()),
            Some(Admission::Admit) => tcp.admit(),
            Some(Admission::Refuse) => tcp.abort().map(drop),
        };
        // Without memory for the answer now, the peer's next SYN asks again.
        if result == Err(Error::Memory)
            && let Ok(mut tcp) = self.tcp(TcpHandle(key))
        {
            drop(tcp.abort());
        }
    }

    /// A connection of a listener stands.
    #[cold]
    fn call_accept(&mut self, key: Key, listener: Key) {
        let accepted = if self.engine.tcp.listeners.get(listener).is_some() {
            self.engine.tcp_leave_backlog(key.index);
            self.call_listener(listener, |handler, stack| {
                handler.accept(&mut Tcp::new(stack, TcpHandle(key)))
            })
        } else {
            // The listener was closed meanwhile.
            Some(Err(Error::Closed))
        };
        let Some(pcb) = self.engine.tcp.get_mut(key) else { return };
        match accepted {
            None => self.engine.tcp_await_listener(key, Flags::TELL_OPEN),
            Some(Ok(handler)) => {
                pcb.flags.set(Flags::HEARD);
                if !pcb.flags.has(Flags::IN_BACKLOG) {
                    pcb.listener = None;
                }
                self.tcp_handlers[key.index as usize] = Some(handler);
            }
            Some(Err(_)) => drop(self.engine.tcp_abort(key)),
        }
    }

    /// Calls the handler of a listener; `None` when there is none yet.
    fn call_listener<T>(&mut self, key: Key, call: impl FnOnce(&mut H, &mut Self) -> T) -> Option<T> {
        let position = key.index as usize;
        let mut handler = self.door_handlers[position].take()?;
        let result = call(&mut handler, self);
        if self.engine.tcp.listeners.get(key).is_some() && self.door_handlers[position].is_none() {
            self.door_handlers[position] = Some(handler);
        }
        Some(result)
    }

    /// A connection is over: its handler hears of it last, and goes.
    #[cold]
    fn call_end(&mut self, key: Key, error: Option<Error>) {
        self.engine.tcp_remove(key.index);
        let Some(mut handler) = self.tcp_handlers[key.index as usize].take() else {
            self.engine.service_report(key, Report::End(error));
            return;
        };
        match error {
            Some(error) => handler.error(self, TcpHandle(key), error),
            None => handler.closed(self, TcpHandle(key)),
        }
    }
}
