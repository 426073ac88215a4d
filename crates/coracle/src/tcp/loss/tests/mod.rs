//! The rules of loss detection, one by one, from the sender's view: what an acknowledgment says, and what may leave then.

mod network;
mod plain;
mod recovery;
mod sack;

use std::vec;
use std::vec::Vec;

use coracle_buf::{Arena, Kind, Layer, Memory, MemoryLimits, Pbuf};
use coracle_wire::tcp::SackBlocks;

use super::types::AckReport;
use super::*;
use crate::tcp::congestion::{CongestionControl, NEW_RENO};
use crate::tcp::rtt::{RtoLimits, Rtt};

pub(super) const MSS: u32 = 1_000;
pub(super) const LIMITS: RtoLimits = RtoLimits { min: 300_000, max: 60_000_000 };
/// Near the wrap, so that every test crosses it.
pub(super) const BEGIN: Seq = Seq(0_u32.wrapping_sub(4_500));

/// The first number of a segment.
pub(super) fn at(number: u32) -> Seq {
    BEGIN + number * MSS
}

/// A sender of segments of [`MSS`] bytes, numbered from 0 on, and its clock in milliseconds.
pub(super) struct Sender {
    pub(super) pool: Segments,
    pub(super) loss: Loss,
    pub(super) window: CongestionWindow,
    pub(super) rtt: Rtt,
    pub(super) algorithm: &'static dyn CongestionControl,
    memory: Memory,
    pub(super) una: Seq,
    pub(super) nxt: Seq,
    pub(super) now: u32,
    pub(super) sack: bool,
    pub(super) more: bool,
}

impl Sender {
    pub(super) fn new(sack: bool) -> Self {
        let mut arena = Arena::heap();
        Self {
            pool: Segments::new(&mut arena, 3_300).unwrap(),
            loss: Loss::new(),
            window: CongestionWindow::new(MSS as u16, 10),
            rtt: Rtt::new(1_000_000),
            algorithm: &NEW_RENO,
            memory: Memory::new(&mut arena, MemoryLimits::default()).unwrap(),
            una: BEGIN,
            nxt: BEGIN,
            now: u32::MAX - 50_000,
            sack,
            more: true,
        }
    }

    pub(super) fn data(&self, len: u32) -> Pbuf {
        self.memory.alloc(Layer::Raw, len as usize, Kind::Ram).unwrap()
    }

    pub(super) fn wait(&mut self, millis: u32) {
        self.now = self.now.wrapping_add(millis * 1_000);
    }

    pub(super) fn send_len(&mut self, len: u32) {
        let data = Some(self.data(len));
        let segment = NewSegment { seq: self.nxt, len, flags: RecordFlags::PUSH, data };
        assert!(self.loss.sent(&mut self.pool, segment, self.now).is_ok(), "a record is free");
        self.nxt += len;
    }

    pub(super) fn send(&mut self, segments: u32) {
        (0..segments).for_each(|_| self.send_len(MSS));
    }

    /// An acknowledgment of everything before segment `number`, and of the segments in `blocks`: first, and the one after
    /// the last. `echo` is how many milliseconds ago the echoed timestamp was sent.
    pub(super) fn ack_full(
        &mut self,
        number: u32,
        blocks: &[(u32, u32)],
        echo: Option<u32>,
        ece: bool,
    ) -> AckReport {
        let blocks: Vec<_> = blocks.iter().map(|&(from, to)| (at(from), at(to))).collect();
        self.ack_raw(at(number).max(self.una), &blocks, echo, ece)
    }

    pub(super) fn ack_raw(
        &mut self,
        ack: Seq,
        blocks: &[(Seq, Seq)],
        echo: Option<u32>,
        ece: bool,
    ) -> AckReport {
        let mut sack = SackBlocks::new();
        for (left, right) in blocks {
            sack.push(left.0, right.0);
        }
        let input = AckInput {
            ack,
            una: self.una,
            nxt: self.nxt,
            sack: &sack,
            sack_in_use: self.sack,
            duplicate: ack == self.una && !self.loss.is_empty(),
            ece,
            more: self.more,
            echo: echo.map(|millis| millis * 1_000),
            now: self.now,
        };
        let control = Control {
            window: &mut self.window,
            algorithm: self.algorithm,
            rtt: &mut self.rtt,
            rto_limits: LIMITS,
        };
        let report = self.loss.acknowledged(&mut self.pool, &input, control);
        self.una = ack;
        self.check();
        report
    }

    pub(super) fn ack(&mut self, number: u32, blocks: &[(u32, u32)]) -> AckReport {
        self.ack_full(number, blocks, None, false)
    }

    pub(super) fn ack_to(&mut self, ack: Seq) -> AckReport {
        self.ack_raw(ack, &[], None, false)
    }

    pub(super) fn deadline(&self) -> Option<(TimerKind, u32)> {
        self.loss
            .deadline(&self.pool, &self.rtt, MSS as u16)
            .map(|timer| (timer.kind, timer.at.wrapping_sub(self.now) / 1_000))
    }

    /// Waits until the timer runs out, and lets it.
    pub(super) fn time_out(&mut self, kind: TimerKind) -> TimerAction {
        let timer = self.loss.deadline(&self.pool, &self.rtt, MSS as u16).expect("something is due");
        assert_eq!(timer.kind, kind);
        self.now = timer.at;
        self.run_timer(kind)
    }

    /// Waits for the retransmission timer, and lets no probe go before.
    pub(super) fn time_out_rto(&mut self) -> TimerAction {
        self.now = self.loss.armed_at.wrapping_add(self.rtt.rto());
        self.run_timer(TimerKind::Rto)
    }

    pub(super) fn run_timer(&mut self, kind: TimerKind) -> TimerAction {
        let control = Control {
            window: &mut self.window,
            algorithm: self.algorithm,
            rtt: &mut self.rtt,
            rto_limits: LIMITS,
        };
        let action = self.loss.timed_out(&mut self.pool, kind, control, self.now, self.nxt);
        self.check();
        action
    }

    /// Sends again what is lost, as far as it may. Returns the numbers of the segments.
    pub(super) fn resend(&mut self) -> Vec<u32> {
        let mut sent = Vec::new();
        while let Some(id) = self.loss.next_lost() {
            if self.loss.allowance(&self.window) < self.pool.record(id).len {
                break;
            }
            sent.push(self.pool.record(id).seq.since(BEGIN) / MSS);
            self.loss.sent_again(&mut self.pool, id, self.now);
            self.check();
        }
        sent
    }

    /// Segments of new data that may leave.
    pub(super) fn room(&self) -> u32 {
        self.loss.allowance(&self.window) / MSS
    }

    /// The numbers of the segments that have a flag.
    pub(super) fn flagged(&self, flag: RecordFlags) -> Vec<u32> {
        let mut found = Vec::new();
        let mut id = self.loss.first;
        while id != NONE {
            let record = self.pool.record(id);
            if record.flags.intersects(flag) {
                found.push(record.seq.since(BEGIN) / MSS);
            }
            id = self.loss.after(&self.pool, id);
        }
        found
    }

    pub(super) fn check(&self) {
        check(&self.loss, &self.pool, self.una, self.nxt);
    }
}

/// A sender that has measured a round trip of 100 ms and has a window of 20 segments, with `segments` in flight since now;
/// their numbers begin with 10.
pub(super) fn measured_with(sack: bool, segments: u32) -> Sender {
    let mut sender = Sender::new(sack);
    sender.send(10);
    sender.wait(100);
    for number in 1..=10 {
        sender.ack(number, &[]);
    }
    sender.send(segments);
    sender
}

/// Checks that the lists hold what they should, and that the counts are those of the lists.
pub(super) fn check(loss: &Loss, pool: &Segments, una: Seq, nxt: Seq) {
    let list = |by: By, first: u32| {
        let mut ids = Vec::new();
        let mut id = first;
        while id != NONE {
            ids.push(id);
            assert_eq!(pool.previous(by, pool.next(by, id)), id, "the list goes both ways");
            id = pool.next(by, id);
            if id == first {
                break;
            }
        }
        ids
    };
    let (mut seq, mut pipe, mut sacked) = (None, 0, 0_usize);
    let (mut flying, mut lost) = (0, 0);
    let records = list(By::Sequence, loss.first);
    let mut run = None;
    for &id in &records {
        let record = pool.record(id);
        assert_eq!(*seq.get_or_insert(record.seq), record.seq, "no gap");
        seq = Some(record.end());
        assert!(record.len > 0);
        let kinds = (record.is(RecordFlags::SACKED), record.is(RecordFlags::LOST));
        match kinds {
            (true, lost) => {
                assert!(!lost);
                sacked += 1;
                let begin = *run.get_or_insert(id);
                let next = loss.after(pool, id);
                if next == NONE || !pool.record(next).is(RecordFlags::SACKED) {
                    assert_eq!(pool.next(By::Turn, begin), id, "the first of a run knows the last");
                    assert_eq!(pool.previous(By::Turn, id), begin, "the last of a run knows the first");
                    run = None;
                }
            }
            (false, true) => lost += 1,
            (false, false) => {
                flying += 1;
                pipe += record.len;
            }
        }
    }
    assert_eq!(pipe, loss.pipe);
    if loss.flags.any(Flags::SACK) {
        assert_eq!(sacked, usize::from(loss.sacked));
    }
    let (in_flight, waiting) = (list(By::Turn, loss.oldest), list(By::Turn, loss.lost));
    assert_eq!((in_flight.len(), waiting.len()), (flying, lost));
    assert!(waiting.iter().all(|&id| pool.record(id).is(RecordFlags::LOST)));
    assert!(in_flight.iter().all(|&id| !pool.record(id).is(RecordFlags::LOST.with(RecordFlags::SACKED))));
    if let Some(&first) = records.first() {
        assert!(una.between(pool.record(first).seq, pool.record(first).end()), "it begins at the left edge");
        assert_eq!(seq, Some(nxt));
    } else {
        assert_eq!(una, nxt);
    }
}
