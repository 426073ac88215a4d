//! What goes into and comes out of [`Loss`](super::Loss).

use core::ops::BitOr;

use coracle_buf::Pbuf;
use coracle_wire::tcp::SackBlocks;

use super::RecordFlags;
use crate::tcp::congestion::{CongestionControl, CongestionWindow};
use crate::tcp::rtt::{RtoLimits, Rtt};
use crate::tcp::sequence::Seq;

/// A segment that is about to leave for the first time.
pub(crate) struct NewSegment {
    pub(crate) seq: Seq,
    /// Sequence numbers: the data's bytes, and one each for SYN and FIN.
    pub(crate) len: u32,
    /// SYN, FIN and PUSH.
    pub(crate) flags: RecordFlags,
    pub(crate) data: Option<Pbuf>,
}

/// An acknowledgment, accepted by the rules of RFC 9293 §3.10.7.4 and RFC 5961 §5.
pub(crate) struct AckInput<'a> {
    /// What it acknowledges: from `una` to `nxt`. One that is older, but acceptable, is told with `una` in its place.
    pub(crate) ack: Seq,
    /// `SND.UNA` before it.
    pub(crate) una: Seq,
    /// `SND.NXT`.
    pub(crate) nxt: Seq,
    /// Its blocks, in the host's byte order; none if SACK was not agreed on.
    pub(crate) sack: &'a SackBlocks,
    /// Whether both SYNs permitted SACK.
    pub(crate) sack_in_use: bool,
    /// Whether it is a duplicate by RFC 5681 §2: `ack` is `una`, there is unacknowledged data, and the segment had no
    /// data, no SYN, no FIN, and no other window than the last [5681-8].
    pub(crate) duplicate: bool,
    /// Whether it has ECE set, and ECN was agreed on.
    pub(crate) ece: bool,
    /// Whether new data waits that the peer's window has room for.
    pub(crate) more: bool,
    /// The time since the timestamp that it echoes was sent, in microseconds, at least as fine as
    /// [`TIMESTAMP_TICK`]; none without timestamps.
    pub(crate) echo: Option<u32>,
    /// Now, in microseconds.
    pub(crate) now: u32,
}

/// By how much [`AckInput::echo`] may be too long, at the most: one tick of the clock of timestamps.
pub(crate) const TIMESTAMP_TICK: u32 = 1 << 10;

/// What of the connection an acknowledgment or a timer changes besides.
pub(crate) struct Control<'a> {
    pub(crate) window: &'a mut CongestionWindow,
    pub(crate) algorithm: &'a dyn CongestionControl,
    pub(crate) rtt: &'a mut Rtt,
    pub(crate) rto_limits: RtoLimits,
}

/// What an acknowledgment brought.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct AckReport {
    /// Bytes of data that are acknowledged from now on; SYN and FIN not counted.
    pub(crate) acked: u32,
    pub(crate) syn_acked: bool,
    pub(crate) fin_acked: bool,
    /// Sequence numbers that are selectively acknowledged from now on.
    pub(crate) newly_sacked: u32,
    /// Sequence numbers that are taken for lost from now on.
    pub(crate) newly_lost: u32,
    /// The round-trip time that it gave, in microseconds; the estimate has it already.
    pub(crate) rtt: Option<u32>,
    /// The window was reduced: the next new segment says CWR, if ECN is in use [RFC 3168 §6.1.2].
    pub(crate) reduced: bool,
    /// A recovery, or a timeout, proved needless, and its reduction was taken back.
    pub(crate) undone: bool,
    /// The receiver told that something reached it twice [RFC 2883].
    pub(crate) duplicate: bool,
}

/// What a connection waits for in silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimerKind {
    /// The retransmission timer [RFC 6298].
    Rto,
    /// Before that, a probe of the end of the flight [RFC 8985 §7].
    Probe,
    /// What may be late or lost is now lost [RFC 8985 §6.2].
    Reorder,
}

/// When something is due, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LossTimer {
    pub(crate) at: u32,
    pub(crate) kind: TimerKind,
}

/// What to do after a timer ran out. In any case: send what may leave, and set the timer anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimerAction {
    /// Nothing was due after all, or nothing was lost.
    Nothing,
    /// Something is lost: [`Loss::next_lost`](super::Loss::next_lost) says what. `attempts` is how often the first
    /// record was sent so far, for the limits R1 and R2 of RFC 9293 §3.8.3. The next new segment says CWR, if ECN is in
    /// use [RFC 3168 §6.1.2].
    SendLost { attempts: u8 },
    /// A probe goes out: one segment of new data if there is any and the peer's window has room, else
    /// [`Loss::last`](super::Loss::last), or the last segment of it, again. [`Loss::allowance`](super::Loss::allowance)
    /// lets it.
    Probe,
}

/// Segments in flight, by what is known of them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) segments: u32,
    pub(crate) lost: u32,
    pub(crate) sacked: u32,
    pub(crate) retransmitted: u32,
}

/// The last segment known to be delivered, by the time of its sending [RFC 8985 §5.2].
#[derive(Clone, Copy)]
pub(super) struct Rack {
    pub(super) sent_at: u32,
    pub(super) end: Seq,
    /// Its round-trip time.
    pub(super) rtt: u32,
}

/// What the sender is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// The network marked packets, none are lost: the window shrinks [RFC 3168].
    Reduced,
    /// Fast recovery [RFC 5681 §3.2, RFC 6675].
    Recovery,
    /// What was in flight when the retransmission timer ran out is being repaired.
    Timeout,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// SACK is in use.
    pub(super) const SACK: Self = Self(1);
    /// Segments were seen to overtake each other.
    pub(super) const REORDERED: Self = Self(1 << 1);
    /// The next segment to leave is a probe.
    pub(super) const PROBE_DUE: Self = Self(1 << 2);
    /// A probe was sent, and what it probes is not acknowledged.
    pub(super) const PROBE_OUT: Self = Self(1 << 3);
    /// That probe was a retransmission.
    pub(super) const PROBE_AGAIN: Self = Self(1 << 4);
    /// The reordering window was widened in this round.
    pub(super) const ROUND: Self = Self(1 << 5);
    /// The last reduction may prove needless.
    pub(super) const UNDO: Self = Self(1 << 6);
    /// One segment goes, whatever the window says.
    pub(super) const FORCED: Self = Self(1 << 7);
    /// The window was full when the last segment left.
    pub(super) const LIMITED: Self = Self(1 << 8);
    /// A timeout may be false: the first acknowledgment after it decides how to go on [RFC 5682].
    pub(super) const FRTO_FIRST: Self = Self(1 << 9);
    /// New data went out after it; the next acknowledgment tells.
    pub(super) const FRTO_NEW: Self = Self(1 << 10);
    /// Duplicates of what was repaired last may still come [RFC 6582 §4].
    pub(super) const GUARD: Self = Self(1 << 11);

    /// So much is selectively acknowledged that what came before is lost.
    pub(super) const MANY: Self = Self(1 << 12);

    /// What an acknowledgment in order may change besides.
    pub(super) const ON_ACK: Self = Self(Self::PROBE_DUE.0 | Self::PROBE_OUT.0);
    pub(super) const PROBE: Self = Self(Self::PROBE_DUE.0 | Self::PROBE_OUT.0 | Self::PROBE_AGAIN.0);
    pub(super) const FRTO: Self = Self(Self::FRTO_FIRST.0 | Self::FRTO_NEW.0);

    #[inline]
    pub(super) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(super) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[inline]
    pub(super) const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    #[inline]
    pub(super) const fn set(&mut self, other: Self, on: bool) {
        if on { self.insert(other) } else { self.remove(other) }
    }
}

impl BitOr for Flags {
    type Output = Self;
    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
