//! Data out: what may leave now, cut into segments as it does.

use coracle_buf::{Error, Kind, Layer, Memory, Pbuf, PbufQueue};
use coracle_wire::tcp::TcpFlags;

use super::conn::Conn;
use super::ecn::Ecn;
use super::emit::Outgoing;
use super::loss::{NewSegment, RecordFlags};
use super::pcb::{TcpPcb, Ticks};
use super::sequence::Seq;
use super::state::{Flags, TcpState};
use crate::counters::count;
use crate::engine::Engine;
use crate::netif::NetifHandle;

/// After a failure for lack of memory the next attempt comes after this many microseconds.
const MEMORY_RETRY: u32 = 20_000;

/// The least bytes that are worth a segment when there is no memory for more.
const SCRAP: usize = 64;

/// After so many lost SYNs ECN is no longer offered: something on the way may drop those that do [RFC 3168 §6.1.1.1].
const ECN_TRIES: u8 = 2;

/// What leaves next.
#[derive(Clone, Copy)]
enum Next {
    /// What is in flight, and taken to be lost.
    Again(u32),
    /// This many new bytes, and our FIN behind them or not.
    New { len: u32, fin: bool },
    /// Nothing for now.
    Nothing,
}

/// Why sending stopped.
enum Stop {
    /// There is nothing that may leave.
    Done,
    /// The device is full.
    Device,
    /// There is no memory.
    Memory,
}

impl Engine {
    /// Sends what a connection may send, and the acknowledgment that it owes.
    pub(crate) fn tcp_output(&mut self, position: u32) {
        let stop = loop {
            match self.tcp_send_next(position) {
                Ok(()) => {}
                Err(stop) => break stop,
            }
        };
        match stop {
            Stop::Device => self.tcp.blocked.add(position),
            Stop::Memory => self.tcp_retry_later(position),
            Stop::Done => {}
        }
        if let Some(pcb) = self.tcp.slots.at_mut(position as usize)
            && !pcb.flags.has(Flags::DEAD)
        {
            if !pcb.waits_for_window() {
                pcb.flags.clear(Flags::PERSIST);
            } else if !pcb.flags.has(Flags::REXMIT_TIMER)
                && let Some(mut conn) = self.tcp_conn(position)
            {
                conn.arm_probe();
            }
        }
        self.tcp_rearm(position);
    }

    /// Sends what connections have to send.
    #[inline]
    pub(crate) fn tcp_flush(&mut self) {
        if !self.tcp.output.is_empty() {
            self.tcp_flush_all();
        }
    }

    #[inline(never)]
    fn tcp_flush_all(&mut self) {
        // What becomes due while sending waits for the next time. Some that are listed may be over already.
        let mut turns = self.tcp.slots.capacity();
        while turns > 0
            && let Some(position) = self.tcp.output.take()
        {
            turns -= 1;
            self.tcp_output(position);
        }
    }

    /// A device took everything: connections that waited for that go on. The first frame that is ready then.
    #[inline]
    pub(crate) fn tcp_refill(&mut self, netif: NetifHandle) -> Option<Pbuf> {
        if self.tcp.output.is_empty() && self.tcp.blocked.is_empty() {
            return None;
        }
        self.tcp_refill_now(netif)
    }

    #[inline(never)]
    fn tcp_refill_now(&mut self, netif: NetifHandle) -> Option<Pbuf> {
        while let Some(position) = self.tcp.blocked.take() {
            self.tcp.output.add(position);
        }
        self.tcp_flush_all();
        self.netifs.get_mut(netif.0)?.queue.pop_front()
    }

    /// Sends one segment with data, SYN or FIN, or an acknowledgment that is owed and does not go along with data.
    fn tcp_send_next(&mut self, position: u32) -> Result<(), Stop> {
        if self.tcp.slots.at(position as usize).is_some_and(|pcb| pcb.flags.has(Flags::PATH_LOWERED)) {
            self.tcp_path_age(position);
        }
        let room = self.tcp_room(position);
        let mut conn = self.tcp_conn(position).ok_or(Stop::Done)?;
        let next = conn.next();
        let outgoing = match next {
            Next::Nothing if !conn.pcb.flags.has(Flags::ACK_NOW) => return Err(Stop::Done),
            _ if room.frames == 0 => return Err(Stop::Device),
            Next::Again(record) => conn.again(record).map_err(|_| Stop::Memory)?,
            Next::New { len, fin } => {
                let len = if room.straight && !fin { conn.train(len, room.frames) } else { len };
                conn.fresh(len, fin).map_err(|_| Stop::Memory)?
            }
            Next::Nothing => conn.acknowledgment_only(),
        };
        // What does not get out is missed like what the network loses, and sent again.
        self.tcp_emit(position, outgoing).map_err(|_| Stop::Memory)?;
        let more = self
            .tcp
            .slots
            .at(position as usize)
            .is_some_and(|pcb| pcb.wants_output(pcb.loss.next_lost().is_some()));
        if matches!(next, Next::Nothing) || !more { Err(Stop::Done) } else { Ok(()) }
    }

    /// Sends the SYN of a connection, or the answer to one.
    pub(super) fn tcp_send_syn(&mut self, position: u32) -> Result<(), Error> {
        let mut conn = self.tcp_conn(position).ok_or(Error::Closed)?;
        let (now, pcb) = (conn.micros(), &mut *conn.pcb);
        let syn = NewSegment { seq: pcb.una, len: 1, flags: RecordFlags::SYN, data: None };
        pcb.loss.sent(conn.segments, syn, now).map_err(|_| Error::Memory)?;
        pcb.nxt = pcb.una + 1;
        pcb.progress_at = super::pcb::ticks(conn.now);
        conn.arm_retransmission();
        let outgoing = conn.syn();
        // Like any segment, one that does not get out is sent again in time.
        let sent = self.tcp_emit(position, outgoing);
        self.tcp_rearm(position);
        match sent {
            Err(Error::Route) => sent,
            _ => Ok(()),
        }
    }

    /// There was no memory: if nothing else wakes the connection up, a timer does.
    #[cold]
    fn tcp_retry_later(&mut self, position: u32) {
        count!(self.counters.tcp.memory);
        if let Some(conn) = self.tcp_conn(position)
            && !conn.pcb.flags.has(Flags::REXMIT.union(Flags::NO_MEMORY))
        {
            // Seldom and seldomer, up to every twenty seconds.
            conn.pcb.rexmit_at = conn.micros().wrapping_add(MEMORY_RETRY << conn.pcb.probes.min(10));
            conn.pcb.flags.clear(Flags::REXMIT_TIMER);
            conn.pcb.flags.set(Flags::NO_MEMORY);
        }
    }
}

impl Conn<'_> {
    /// Decides what leaves next: what is lost before what is new, whatever became of the window since
    /// [RFC 9293 SHLD-16, MAY-7].
    #[inline]
    fn next(&mut self) -> Next {
        let pcb = &*self.pcb;
        if let Some(record) = pcb.loss.next_lost() {
            let len = self.segments.record(record).len;
            let allowance = pcb.loss.allowance(&pcb.congestion);
            let enough = allowance >= len.min(u32::from(pcb.mss)) || pcb.loss.pipe() == 0;
            return if enough { Next::Again(record) } else { Next::Nothing };
        }
        let unsent = pcb.unsent.bytes() as u32;
        let fin_due = pcb.flags.has(Flags::FIN_QUEUED) && !pcb.flags.has(Flags::FIN_SENT);
        if (unsent == 0 && !fin_due) || !pcb.state.may_send() {
            return Next::Nothing;
        }
        self.next_new(unsent, fin_due)
    }

    /// How much new data leaves next [RFC 9293 §3.8.6.2.1] [MUST-38].
    #[inline]
    fn next_new(&self, unsent: u32, fin_due: bool) -> Next {
        let pcb = &*self.pcb;
        let (usable, mss) = (pcb.usable(), u32::from(pcb.mss));
        if usable == 0 {
            return Next::Nothing;
        }
        let len = unsent.min(usable).min(mss);
        let last = len == unsent;
        let idle = pcb.una == pcb.nxt;
        let allowed = pcb.loss.allowance(&pcb.congestion);
        if allowed < len && !(idle && pcb.loss.is_empty()) {
            return Next::Nothing;
        }
        // [SHLD-7] Nagle's rule as Minshall put it: of segments that are not full, one may be on the way. So the end of
        // a large write does not wait, and many small writes still join.
        let none_small = !pcb.small_end.after(pcb.una);
        let worth = len == mss
            || (last
                && (fin_due
                    || none_small
                    || pcb.flags.has(Flags::NO_DELAY)
                    || pcb.urgent_sent.after(pcb.nxt)))
            || (len > 0 && len >= pcb.window_max / 2);
        if worth { Next::New { len, fin: last && fin_due && usable > len } } else { Next::Nothing }
    }

    /// New data becomes a segment in flight.
    pub(super) fn fresh(&mut self, mut len: u32, mut fin: bool) -> Result<Outgoing, Error> {
        let now = self.micros();
        let pcb = &mut *self.pcb;
        if self.segments.is_full() {
            return Err(Error::Memory);
        }
        if pcb.loss.is_empty() {
            pcb.after_idle(super::pcb::ticks(self.now));
        }
        let data = if len > 0 { Some(cut(&mut pcb.unsent, len as usize, self.memory)?) } else { None };
        if let Some(data) = &data
            && (data.len() as u32) < len
        {
            // For lack of memory a shorter segment has to do, with which the stream does not end.
            len = data.len() as u32;
            fin = false;
        }
        let mut flags = RecordFlags::default();
        // [RFC 9293 MUST-61, MUST-60] What empties the queue is pushed, unless more is to follow soon.
        if pcb.unsent.is_empty() && !pcb.flags.has(Flags::MORE) && len > 0 {
            flags = flags.with(RecordFlags::PUSH);
        }
        if fin {
            flags = flags.with(RecordFlags::FIN);
        }
        let seq = pcb.nxt;
        let span = len + u32::from(fin);
        let copy = data.clone();
        let sent = pcb.loss.sent(self.segments, NewSegment { seq, len: span, flags, data }, now);
        debug_assert!(sent.is_ok(), "there was a free record");
        pcb.nxt += span;
        pcb.probes = 0;
        if len < u32::from(pcb.mss) {
            pcb.small_end = pcb.nxt;
        }
        pcb.flags.put(Flags::FIN_SENT, fin || pcb.flags.has(Flags::FIN_SENT));
        pcb.counters.sent = pcb.counters.sent.wrapping_add(len);
        // What is new moves the timer to a later time only, but for a second segment: the probe of a single one waits
        // for the peer's delayed acknowledgment, too [8985-7].
        if !pcb.flags.has(Flags::REXMIT) || seq.since(pcb.una) <= u32::from(pcb.mss) {
            self.arm_retransmission();
        }
        let mss = u32::from(self.pcb.mss);
        count!(self.counters.segments_sent, if len <= mss { 1 } else { len.div_ceil(mss) });
        Ok(Outgoing { fresh: true, ..outgoing(seq, flags, copy) })
    }

    /// A segment in flight is sent again; one that no longer fits the path is cut first.
    #[cold]
    pub(super) fn again(&mut self, record: u32) -> Result<Outgoing, Error> {
        let now = self.micros();
        let pcb = &mut *self.pcb;
        let mss = u32::from(pcb.mss);
        let (seq, flags, data) = {
            let sent = self.segments.record(record);
            let too_long = sent.data.as_ref().is_some_and(|data| data.len() as u32 > mss);
            let cut = !too_long || self.segments.split(record, mss).is_ok();
            let sent = self.segments.record(record);
            match &sent.data {
                // Without memory to cut it by, a copy of its first bytes goes.
                Some(data) if !cut => {
                    let flags = sent.flags.without(RecordFlags::FIN.with(RecordFlags::PUSH));
                    (
                        sent.seq,
                        flags,
                        Some(copy_of_front(data, mss as usize, self.memory).ok_or(Error::Memory)?),
                    )
                }
                data => (sent.seq, sent.flags, data.clone()),
            }
        };
        pcb.loss.sent_again(self.segments, record, now);
        count!(self.counters.retransmitted);
        self.arm_retransmission();
        if flags.intersects(RecordFlags::SYN) { Ok(self.syn()) } else { Ok(outgoing(seq, flags, data)) }
    }

    /// The segment that opens the connection, or answers the one that does.
    fn syn(&self) -> Outgoing {
        let more = if self.pcb.state == TcpState::SynReceived {
            TcpFlags::ACK | self.pcb.ecn.answer()
        } else if self.config.ecn && self.pcb.rtt.backoffs() < ECN_TRIES {
            Ecn::offer()
        } else {
            TcpFlags::empty()
        };
        Outgoing { seq: self.pcb.una, flags: TcpFlags::SYN | more, data: None, fresh: true }
    }

    /// A segment with an acknowledgment and nothing else; before the connection stands, our SYN again.
    fn acknowledgment_only(&self) -> Outgoing {
        if self.pcb.state == TcpState::SynReceived && self.pcb.una != self.pcb.nxt {
            return self.syn();
        }
        Outgoing { seq: self.pcb.nxt, flags: TcpFlags::ACK, data: None, fresh: false }
    }

    /// A byte, or an old sequence number, that asks the peer for its window [RFC 9293 MUST-36].
    pub(super) fn probe(&self) -> Outgoing {
        Outgoing { seq: self.pcb.una - 1, flags: TcpFlags::ACK, data: None, fresh: false }
    }

    /// [RFC 9293 SHLD-29, SHLD-30] The first probe after a retransmission timeout, each next one later.
    pub(super) fn arm_probe(&mut self) {
        let now = self.micros();
        let most = self.times.rto.max;
        let pcb = &mut *self.pcb;
        let delay = pcb.rtt.rto().checked_shl(u32::from(pcb.probes.min(16))).unwrap_or(most).min(most);
        pcb.rexmit_at = now.wrapping_add(delay);
        pcb.flags.clear(Flags::REXMIT_TIMER);
        pcb.flags.set(Flags::PERSIST);
    }
}

impl TcpPcb {
    /// Whether a window keeps what was written from leaving: nothing else would wake us up then.
    #[inline]
    fn waits_for_window(&self) -> bool {
        self.loss.is_empty()
            && (!self.unsent.is_empty()
                || self.flags.has(Flags::FIN_QUEUED) && !self.flags.has(Flags::FIN_SENT))
            && self.state.may_send()
    }

    /// Whether there is data that the peer's window has room for.
    #[inline]
    pub(super) fn has_more_to_send(&self) -> bool {
        !self.unsent.is_empty() && self.usable() > 0
    }

    /// The sequence numbers that the peer's window has room for; none if it shrank [RFC 9293 SHLD-15, MUST-34]. That
    /// one ends in a probe as any closed window does [MUST-35].
    #[inline]
    pub(super) fn usable(&self) -> u32 {
        let edge = self.una + self.window;
        if edge.after(self.nxt) { edge.since(self.nxt) } else { 0 }
    }

    /// Nothing was in flight, and something is going to be. After a long silence little is known of the network
    /// [RFC 5681 §4.1].
    fn after_idle(&mut self, now: Ticks) {
        let idle = now.wrapping_sub(self.heard_at).min(1 << 20) << 10;
        if idle > self.rtt.rto() {
            self.algorithm.idle(&mut self.congestion, idle, self.rtt.rto());
        }
        self.progress_at = now;
    }

    /// Whether there is something to send, or to try to.
    #[inline]
    pub(super) fn wants_output(&self, lost: bool) -> bool {
        self.flags.has(Flags::ACK_NOW)
            || !self.unsent.is_empty()
            || lost
            || (self.flags.has(Flags::FIN_QUEUED) && !self.flags.has(Flags::FIN_SENT))
    }
}

/// What goes into the header for what a segment in flight carries.
#[inline]
fn outgoing(seq: Seq, flags: RecordFlags, data: Option<Pbuf>) -> Outgoing {
    let mut header = TcpFlags::ACK;
    if flags.intersects(RecordFlags::PUSH) {
        header |= TcpFlags::PSH;
    }
    if flags.intersects(RecordFlags::FIN) {
        header |= TcpFlags::FIN;
    }
    Outgoing { seq, flags: header, data, fresh: false }
}

/// Takes up to so many bytes from the front of a queue, without copying them [RFC 9293 SHLD-28].
#[inline]
fn cut(queue: &mut PbufQueue, len: usize, memory: &Memory) -> Result<Pbuf, Error> {
    match queue.split_front(len) {
        Some(data) => Ok(data),
        None => cut_joined(queue, len, memory),
    }
}

/// The same, of packets of any shape.
fn cut_joined(queue: &mut PbufQueue, len: usize, memory: &Memory) -> Result<Pbuf, Error> {
    let mut data = queue.pop_front().ok_or(Error::Value)?;
    if data.len() > len {
        let Ok(rest) = data.split_off(len) else {
            return copy_front(queue, data, len, memory);
        };
        put_back(queue, rest);
        return Ok(data);
    }
    while data.len() < len {
        let Some(mut next) = queue.pop_front() else { break };
        let missing = len - data.len();
        if next.len() > missing {
            let Ok(rest) = next.split_off(missing) else {
                put_back(queue, next);
                break;
            };
            put_back(queue, rest);
        }
        if let Err((_, next)) = data.cat(next) {
            put_back(queue, next);
            break;
        }
    }
    Ok(data)
}

/// Without a reference to cut a packet by, its first bytes are copied after all, fewer if need be: what is queued
/// would never leave else, and never free what it holds.
#[cold]
fn copy_front(queue: &mut PbufQueue, mut data: Pbuf, len: usize, memory: &Memory) -> Result<Pbuf, Error> {
    let copied = copy_of_front(&data, len, memory).filter(|copy| data.advance(copy.len()).is_ok());
    put_back(queue, data);
    copied.ok_or(Error::Memory)
}

/// A copy of the first bytes of a packet, at least of some.
fn copy_of_front(data: &Pbuf, len: usize, memory: &Memory) -> Option<Pbuf> {
    [len, len.min(SCRAP)].into_iter().find_map(|len| {
        let mut copy = memory.alloc(Layer::Raw, len, Kind::Ram).ok()?;
        data.copy_to(0, copy.payload_mut().ok()?);
        Some(copy)
    })
}

/// What was taken from the front of a queue goes back there: it is in no other queue, so that this cannot fail.
fn put_back(queue: &mut PbufQueue, data: Pbuf) {
    let put = queue.push_front(data);
    debug_assert!(put.is_ok(), "a packet goes back where it came from");
}
