//! A connection at work: its control block and what all connections share.

use coracle_buf::Memory;
use coracle_wire::tcp::{TcpFlags, TcpOptions};

use super::challenge::ChallengeBudget;
use super::ecn::Ecn;
use super::loss::Segments;
use super::pcb::{TcpPcb, Ticks, ticks};
use super::reassembly::HeldPool;
use super::segment::Segment;
use super::sequence::time_before;
use super::state::{Flags, TcpState};
use super::{TcpConfig, Times};
use crate::counters::{TcpCounters, count};
use crate::random::Random;
use crate::time::Instant;

/// What the peer's SYN does not say of its MSS [RFC 9293 MUST-15].
pub(super) const DEFAULT_MSS: u16 = 536;
/// The smallest MSS that is believed: one that leaves no room for data would stop the connection.
const LEAST_MSS: u16 = 64;
/// The bytes of the timestamps option, padded.
pub(super) const TIMESTAMPS_LEN: u16 = 12;
/// Timestamps older than 24 days say nothing [7323-9].
const TIMESTAMPS_LIFETIME: Ticks = ((24 * 24 * 3_600 * 1_000_000_u64) >> 10) as Ticks;

/// A connection, borrowed together with what it needs.
pub(super) struct Conn<'a> {
    pub(super) pcb: &'a mut TcpPcb,
    pub(super) segments: &'a mut Segments,
    pub(super) held: &'a mut HeldPool,
    pub(super) challenges: &'a mut ChallengeBudget,
    pub(super) random: &'a mut Random,
    pub(super) times: &'a Times,
    pub(super) counters: &'a mut TcpCounters,
    pub(super) memory: &'a Memory,
    pub(super) config: &'a TcpConfig,
    pub(super) now: Instant,
}

impl Conn<'_> {
    #[inline]
    pub(super) fn ticks(&self) -> Ticks {
        ticks(self.now)
    }

    /// The time in microseconds, modulo 2³².
    #[inline]
    pub(super) fn micros(&self) -> u32 {
        self.now.as_micros() as u32
    }

    /// Owes the peer an acknowledgment that says where we are, unless there were many of late [RFC 5961 §7].
    #[cold]
    pub(super) fn challenge(&mut self) {
        if self.challenges.take(&mut self.pcb.challenges, self.random, self.now) {
            count!(self.counters.challenges_sent);
            self.pcb.flags.set(Flags::ACK_NOW);
        } else {
            count!(self.counters.challenges_limited);
        }
    }

    /// Takes what the peer's SYN says: its sequence number and options. No other segment's options change what is
    /// agreed here [7323-3] [2018-1].
    pub(super) fn learn_peer(&mut self, segment: &Segment, options: &TcpOptions) {
        let now = self.ticks();
        let pcb = &mut *self.pcb;
        pcb.rcv_nxt = segment.seq + 1;
        // What our SYN announces, or announced: its window is never scaled.
        pcb.edge = pcb.rcv_nxt + pcb.receive_buffer.min(u32::from(u16::MAX));
        pcb.last_ack = pcb.rcv_nxt;
        pcb.urgent_end = pcb.rcv_nxt;
        // [RFC 9293 MUST-14]
        pcb.peer_mss = options.mss.unwrap_or(DEFAULT_MSS).max(LEAST_MSS);
        match options.window_scale {
            Some(scale) if pcb.flags.has(Flags::SCALING) => pcb.send_scale = scale,
            // [7323-1] Both sides scale or neither does.
            _ => {
                pcb.flags.clear(Flags::SCALING);
                pcb.receive_scale = 0;
            }
        }
        match options.timestamps {
            Some((value, _)) if pcb.flags.has(Flags::TIMESTAMPS) => {
                pcb.ts_recent = value;
                pcb.ts_recent_at = now;
            }
            _ => pcb.flags.clear(Flags::TIMESTAMPS),
        }
        if !options.sack_permitted {
            pcb.flags.clear(Flags::SACK);
        }
        if self.config.ecn {
            let flags = segment.flags;
            let answers = flags.contains(TcpFlags::ACK);
            self.pcb.ecn = if answers { Ecn::answered(flags) } else { Ecn::offered(flags) };
        }
        self.settle_mss();
    }

    /// The largest segment that may leave [RFC 9293 MUST-16]: what peer and path take, less the options of every
    /// segment [7323-13].
    pub(super) fn settle_mss(&mut self) {
        let pcb = &mut *self.pcb;
        let options = if pcb.flags.has(Flags::TIMESTAMPS) { TIMESTAMPS_LEN } else { 0 };
        pcb.mss = pcb.peer_mss.min(pcb.path_mss).min(pcb.mss_limit).max(LEAST_MSS) - options;
    }

    /// [RFC 7323 §5.3] Whether a segment's timestamp is there, and not older than the latest.
    #[inline]
    pub(super) fn timestamp_ok(&self, options: &TcpOptions) -> bool {
        let Some((value, _)) = options.timestamps else { return false };
        let older = time_before(value, self.pcb.ts_recent);
        !older || self.ticks().wrapping_sub(self.pcb.ts_recent_at) > TIMESTAMPS_LIFETIME
    }

    /// [RFC 7323 §4.3] The timestamp to echo is that of the segment which the last acknowledgment waited for.
    #[inline]
    pub(super) fn remember_timestamp(&mut self, segment: &Segment, options: &TcpOptions) {
        if let Some((value, _)) = options.timestamps
            && self.pcb.flags.has(Flags::TIMESTAMPS)
            && segment.seq.at_or_before(self.pcb.last_ack)
        {
            self.pcb.ts_recent = value;
            self.pcb.ts_recent_at = self.ticks();
        }
    }

    /// What a timestamp that the peer sends back says of the round-trip time, in microseconds.
    #[inline]
    pub(super) fn echoed(&self, options: &TcpOptions) -> Option<u32> {
        let (_, echo) = options.timestamps.filter(|_| self.pcb.flags.has(Flags::TIMESTAMPS))?;
        let age = self.timestamp().wrapping_sub(echo);
        (echo != 0 && age < 1 << 20).then_some(age << 10)
    }

    /// Our clock as the peer sees it: it ticks about each millisecond [7323-10].
    #[inline]
    pub(super) fn timestamp(&self) -> u32 {
        self.ticks().wrapping_add(self.pcb.ts_offset)
    }

    /// Remembers what came twice, to say so with the next acknowledgment [RFC 2883 §4].
    #[cold]
    pub(super) fn note_duplicate(&mut self, segment: &Segment) {
        let pcb = &mut *self.pcb;
        let end = (segment.seq + segment.len).min(pcb.rcv_nxt);
        if pcb.flags.has(Flags::SACK) && segment.seq.before(end) {
            pcb.duplicate = Some((segment.seq, end));
        }
    }

    /// [RFC 9293 MUST-62] The pointer leads to the byte after the urgent data.
    #[cold]
    pub(super) fn urgent_arrives(&mut self, segment: &Segment) {
        let pcb = &mut *self.pcb;
        let end = segment.seq + u32::from(segment.urgent);
        if pcb.state.may_receive() && end.after(pcb.urgent_end) && end.after(pcb.rcv_nxt) {
            pcb.urgent_end = end;
            // [RFC 9293 MUST-32] Told when more data becomes urgent.
            pcb.flags.set(Flags::TELL_URGENT.union(Flags::URGENT));
        }
    }

    /// Watches a silent peer, if the application wants that.
    pub(super) fn restart_keep_alive(&mut self) {
        let pcb = &mut *self.pcb;
        if matches!(pcb.state, TcpState::Established | TcpState::CloseWait) {
            pcb.flags.put(Flags::LONG, pcb.flags.has(Flags::KEEP_ALIVE));
            pcb.long_at = ticks(self.now).wrapping_add(pcb.keep_alive.idle);
        }
    }

    /// Limits how long a closed connection waits for a peer that does not close.
    pub(super) fn start_fin_wait_2(&mut self) {
        let pcb = &mut *self.pcb;
        pcb.flags.put(Flags::LONG, pcb.flags.has(Flags::CLOSED));
        pcb.long_at = ticks(self.now).wrapping_add(self.times.fin_wait_2);
    }
}
