//! Data in: order, the window, and when it is acknowledged.

use coracle_buf::{Error, Pbuf};
use coracle_wire::tcp::TcpFlags;

use super::arrive::Verdict;
use super::conn::Conn;
use super::pcb::{TcpPcb, Ticks};
use super::reassembly::Inserted;
use super::segment::Segment;
use super::sequence::Seq;
use super::state::{Flags, TcpState};
use crate::counters::count;

/// How long data that came before its time is kept when nothing more comes, in ticks: two minutes. A peer that fell
/// silent cannot hold buffers for ever, and one that is there sends again what is missing sooner than that.
const HELD_LIFETIME: Ticks = (120 * 1_000_000) >> 10;

impl Conn<'_> {
    /// The seventh and the eighth step of RFC 9293 §3.10.7.4: the data of a segment, and its FIN.
    #[inline]
    pub(super) fn text(&mut self, segment: &Segment, mut data: Pbuf) -> Verdict {
        let verdict = self.after_acknowledgment();
        if verdict != Verdict::Live || !self.pcb.state.may_receive() {
            return verdict;
        }
        let Ok(Text { seq, len, fin }) = self.trim(segment, &mut data) else {
            // Not acknowledged, so nothing is lost.
            count!(self.counters.memory);
            return Verdict::Live;
        };
        if len > 0 && self.pcb.flags.has(Flags::NO_MORE_DATA) {
            // [RFC 9293 SHLD-3] Nobody will ever read it.
            return Verdict::Abort(Error::Aborted);
        }
        if fin && self.pcb.fin_at.is_none() {
            self.pcb.fin_at = Some(seq + len);
        }
        if seq == self.pcb.rcv_nxt {
            if len > 0 {
                self.in_order(data, len, segment.unit);
            }
        } else {
            self.out_of_order(seq, len, data);
        }
        if self.pcb.fin_at == Some(self.pcb.rcv_nxt) { self.fin() } else { Verdict::Live }
    }

    /// Cuts off what was received before, and what is beyond the window [RFC 9293 §3.10.7.4].
    #[inline]
    fn trim(&mut self, segment: &Segment, data: &mut Pbuf) -> Result<Text, Error> {
        let fin = segment.has(TcpFlags::FIN);
        let whole = Text { seq: segment.seq, len: segment.len, fin };
        let room = self.pcb.edge.since(segment.seq);
        if segment.seq == self.pcb.rcv_nxt && segment.len <= room && self.pcb.fin_at.is_none() {
            return Ok(whole);
        }
        self.trim_both_ends(whole, data)
    }

    #[cold]
    fn trim_both_ends(&mut self, mut text: Text, data: &mut Pbuf) -> Result<Text, Error> {
        if text.seq.before(self.pcb.rcv_nxt) {
            let known = self.pcb.rcv_nxt.since(text.seq).min(text.len);
            if known > 0 && self.pcb.flags.has(Flags::SACK) {
                self.pcb.duplicate = Some((text.seq, text.seq + known));
            }
            data.advance(known as usize)?;
            text.seq = self.pcb.rcv_nxt;
            text.len -= known;
            self.pcb.flags.set(Flags::ACK_NOW);
        }
        let mut end = self.pcb.edge;
        if let Some(fin_at) = self.pcb.fin_at {
            end = end.min(fin_at);
        }
        let room = if end.after(text.seq) { end.since(text.seq) } else { 0 };
        if text.len > room {
            // A FIN behind data that is cut off is not remembered.
            data.truncate(room as usize)?;
            text.len = room;
            text.fin = false;
            self.pcb.flags.set(Flags::ACK_NOW);
        }
        Ok(text)
    }

    /// Data that continues the stream, and what waited for it.
    #[inline]
    fn in_order(&mut self, data: Pbuf, len: u32, unit: u32) {
        if !self.deliver(data, len) {
            return;
        }
        let pcb = &mut *self.pcb;
        let unit = len.min(unit);
        if unit >= u32::from(pcb.rcv_mss) {
            pcb.rcv_mss = unit.min(u32::from(u16::MAX)) as u16;
        }
        if pcb.held.is_empty() {
            self.owe_acknowledgment(len);
        } else {
            self.fill_gap();
        }
    }

    /// Puts data before the application; `false` when there was no memory to, and it is not acknowledged.
    #[inline]
    fn deliver(&mut self, data: Pbuf, len: u32) -> bool {
        let pcb = &mut *self.pcb;
        match &mut pcb.inbox {
            None => pcb.inbox = Some(data),
            Some(inbox) => {
                if inbox.cat(data).is_err() {
                    count!(self.counters.memory);
                    return false;
                }
            }
        }
        pcb.rcv_nxt += len;
        pcb.unread += len;
        pcb.counters.received = pcb.counters.received.wrapping_add(len);
        true
    }

    #[cold]
    fn fill_gap(&mut self) {
        // [RFC 5681 §4.2] What fills a gap is acknowledged at once.
        self.pcb.flags.set(Flags::ACK_NOW);
        while let Some(data) = self.pcb.held.take(self.held, self.pcb.rcv_nxt) {
            let len = data.len() as u32;
            // What could not be delivered is lost, and all behind it waits for it again.
            if !self.deliver(data, len) {
                break;
            }
        }
    }

    /// What was missing never came: what waited for it goes, to be sent again by the peer, as SACK allows
    /// [RFC 2018 §8].
    #[cold]
    pub(super) fn give_up_held(&mut self) {
        let pcb = &mut *self.pcb;
        pcb.held.clear(self.held);
        if pcb.fin_at.is_some_and(|fin_at| fin_at.after(pcb.rcv_nxt)) {
            pcb.fin_at = None;
        }
    }

    /// Keeps data that comes before its time [RFC 9293 SHLD-31], and asks for what is missing at once [MAY-13].
    #[cold]
    fn out_of_order(&mut self, seq: Seq, len: u32, data: Pbuf) {
        self.pcb.flags.set(Flags::ACK_NOW);
        if len == 0 {
            return;
        }
        count!(self.counters.out_of_order);
        self.pcb.held_until = self.ticks().wrapping_add(HELD_LIFETIME);
        // The last buffers are for the segment that is missing: were they all held, it could not come in.
        let kept = if self.memory.pool_is_scarce() {
            Inserted::NoMemory
        } else {
            self.pcb.held.insert(self.held, seq, data)
        };
        match kept {
            Inserted::Stored => {}
            Inserted::Duplicate { start, end } => {
                if self.pcb.flags.has(Flags::SACK) {
                    self.pcb.duplicate = Some((start, end));
                }
            }
            Inserted::NoMemory => {
                count!(self.counters.memory);
                // A FIN after bytes that were thrown away is not known.
                if self.pcb.fin_at == Some(seq + len) {
                    self.pcb.fin_at = None;
                }
            }
        }
    }

    /// The peer's FIN, when all data before it has come.
    #[cold]
    fn fin(&mut self) -> Verdict {
        let pcb = &mut *self.pcb;
        pcb.rcv_nxt += 1;
        pcb.edge = pcb.edge.max(pcb.rcv_nxt);
        pcb.flags.set(Flags::ACK_NOW);
        // Who wants no more data need not hear that there is none.
        pcb.flags.put(Flags::TELL_FIN, !pcb.flags.has(Flags::NO_MORE_DATA));
        match pcb.state {
            TcpState::Established => pcb.state = TcpState::CloseWait,
            TcpState::FinWait1 => pcb.state = TcpState::Closing,
            TcpState::FinWait2 => return Verdict::TimeWait,
            _ => {}
        }
        Verdict::Live
    }

    /// [RFC 9293 SHLD-18, SHLD-19, MUST-58] Acknowledges every second full segment at once, and others a little later,
    /// so that data or a window may go along.
    #[inline]
    fn owe_acknowledgment(&mut self, len: u32) {
        let (now, delay) = (self.micros(), self.times.delayed_ack);
        let pcb = &mut *self.pcb;
        pcb.unacknowledged += len;
        // A peer that has used up our window waits for the acknowledgment, and for nothing else.
        let used_up = pcb.edge.since(pcb.rcv_nxt) < u32::from(pcb.rcv_mss);
        if pcb.unacknowledged >= 2 * u32::from(pcb.rcv_mss) || used_up {
            pcb.flags.set(Flags::ACK_NOW);
        } else if pcb.quick_acks > 0 {
            pcb.quick_acks -= 1;
            pcb.flags.set(Flags::ACK_NOW);
        } else if !pcb.flags.has(Flags::ACK_LATER) {
            pcb.flags.set(Flags::ACK_LATER);
            pcb.ack_at = now.wrapping_add(delay);
        }
    }
}

/// What of a segment's data is new and fits.
#[derive(Clone, Copy)]
struct Text {
    seq: Seq,
    len: u32,
    fin: bool,
}

impl TcpPcb {
    /// The window for the header of a segment that leaves now [RFC 9293 §3.8.6.2.2]. Its right edge moves on only
    /// by a worthwhile step [MUST-39], and never back [SHLD-14]: what a scale cannot express is rounded up,
    /// until a unit and a segment are lent that way.
    #[inline]
    pub(super) fn announce(&mut self) -> u16 {
        let edge = self.edge_wanted();
        if edge.since(self.rcv_nxt) >= self.edge.since(self.rcv_nxt).saturating_add(self.worthwhile()) {
            self.edge = edge;
        }
        let window = self.edge.since(self.rcv_nxt);
        let scale = u32::from(self.receive_scale);
        // What is rounded up is lent: bytes that come one by one must not be lent a unit each, without end.
        let unit = 1 << scale;
        let lent_enough = self.edge.after(edge + unit + u32::from(self.rcv_mss));
        let field = window.saturating_add(if lent_enough { 0 } else { unit - 1 }) >> scale;
        let field = field.min(u32::from(u16::MAX));
        self.edge = self.edge.max(self.rcv_nxt + (field << scale));
        field as u16
    }

    /// The right edge that the buffer has room for and that a header can express.
    #[inline]
    fn edge_wanted(&self) -> Seq {
        let room = self.receive_buffer.saturating_sub(self.unread);
        self.rcv_nxt + room.min(u32::from(u16::MAX) << self.receive_scale)
    }

    /// The step by which the right edge moves on: a segment, or half a small buffer.
    #[inline]
    fn worthwhile(&self) -> u32 {
        u32::from(self.rcv_mss).min(self.receive_buffer / 2).max(1)
    }

    /// The application is done with data; whether the peer should hear of the larger window at once.
    pub(super) fn reopen(&mut self, len: u32) -> bool {
        self.unread = self.unread.saturating_sub(len);
        let wanted = self.edge_wanted();
        // As in lwIP: four segments, or a quarter of a small buffer.
        let step = (4 * u32::from(self.rcv_mss)).min(self.receive_buffer / 4).max(self.worthwhile());
        wanted.after(self.edge) && wanted.since(self.edge) >= step
    }
}
