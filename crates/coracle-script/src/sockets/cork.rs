//! Writing to a TCP socket. The stack sends what it gets; what is to wait for more (`TCP_CORK`, `MSG_MORE`) waits here.

use std::time::Duration;

use coracle::{Error, Stack, Tcp};

use super::Errno;
use super::constants::{MSG_MORE, MSG_OOB};
use super::endpoint::{Endpoint, Phase};
use super::options::Kept;
use super::stream::Stream;

/// How long less than a segment waits at the most.
const PATIENCE: Duration = Duration::from_millis(200);

impl Stream {
    /// Takes as much as there is room for; `EAGAIN` when there is none.
    pub(super) fn send(
        &self,
        stack: &mut Stack<Endpoint>,
        data: &[u8],
        flags: i32,
        kept: &Kept,
    ) -> Result<usize, Errno> {
        let mut mailbox = self.endpoint.mailbox();
        if let Some(error) = mailbox.error.take() {
            return Err(error);
        }
        match mailbox.phase {
            Phase::Connecting => return Err(Errno::EAGAIN),
            Phase::Connected if !mailbox.shut_send => {}
            _ => return Err(Errno::EPIPE),
        }
        let held = mailbox.corked.len();
        drop(mailbox);
        if data.is_empty() {
            return Ok(0);
        }
        let mut tcp = self.tcp(stack).ok_or(Errno::EPIPE)?;
        let len = data.len().min(tcp.send_buffer()?.saturating_sub(held));
        if len == 0 {
            return Err(Errno::EAGAIN);
        }
        let more = flags & MSG_MORE != 0 || kept.cork;
        if flags & MSG_OOB != 0 {
            push(&mut tcp, &self.endpoint, true)?;
            return tcp.write_urgent(&data[..len]).map(|()| len).map_err(write_error);
        }
        if held == 0 && !more {
            return tcp.write_some(&data[..len]).map_err(write_error);
        }
        self.endpoint.mailbox().corked.extend(&data[..len]);
        match push(&mut tcp, &self.endpoint, !more) {
            // What is held is taken; there will be memory for it later.
            Ok(()) | Err(Errno::EAGAIN) => {}
            Err(error) => return Err(error),
        }
        self.wait(stack);
        Ok(len)
    }

    /// Sends what waits for more.
    pub(super) fn flush(&self, stack: &mut Stack<Endpoint>) {
        if let Some(mut tcp) = self.tcp(stack) {
            // What fails for want of memory waits on; the timer tries again.
            push(&mut tcp, &self.endpoint, true).unwrap_or_default();
        }
        self.wait(stack);
    }

    /// Has what waits sent in a while.
    fn wait(&self, stack: &mut Stack<Endpoint>) {
        let mut mailbox = self.endpoint.mailbox();
        let needed = !mailbox.corked.is_empty() && mailbox.cork_timer.is_none();
        if let Some(timer) = mailbox.cork_timer.filter(|_| mailbox.corked.is_empty()) {
            mailbox.cork_timer = None;
            drop(mailbox);
            // It may have fired already.
            drop(stack.untimeout(timer));
        } else if needed {
            drop(mailbox);
            let timer = stack.timeout(PATIENCE, self.endpoint.clone()).ok();
            self.endpoint.mailbox().cork_timer = timer;
        }
    }
}

/// Sends the whole segments of what waits, or all of it.
pub(super) fn push(tcp: &mut Tcp<'_, Endpoint>, endpoint: &Endpoint, all: bool) -> Result<(), Errno> {
    let segment = usize::from(tcp.mss()?).max(1);
    let waiting = endpoint.mailbox().corked.clone();
    let len = if all { waiting.len() } else { waiting.len() / segment * segment };
    if len == 0 {
        return Ok(());
    }
    let piece = &waiting[..len];
    let written = if all { tcp.write_bytes(piece) } else { tcp.write_bytes_more(piece) };
    written.map_err(write_error)?;
    endpoint.mailbox().corked.drain(..len);
    Ok(())
}

/// Why a connection took nothing.
fn write_error(error: Error) -> Errno {
    match error {
        Error::Memory | Error::WouldBlock => Errno::EAGAIN,
        Error::NotConnected | Error::Closed => Errno::EPIPE,
        error => error.into(),
    }
}
