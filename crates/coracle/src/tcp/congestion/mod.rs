//! Congestion control: how much may be on the way [RFC 5681] [RFC 9293 MUST-19].
//!
//! An algorithm is a set of functions without state of its own; what it remembers of a connection is in the
//! connection's [`CongestionWindow`]. It says how large the window is; how lost data is found and paced out again is
//! not its business.

mod cubic;
mod new_reno;
#[cfg(test)]
mod tests;

pub use cubic::{CUBIC, Cubic};
pub use new_reno::{NEW_RENO, NewReno};

use core::fmt;

/// The largest window that can be announced, thus the largest that is of use [RFC 7323 §2.3].
const MAX_WINDOW: u32 = 1 << 30;

/// An algorithm of congestion control.
///
/// It is one value for all connections (`&'static dyn CongestionControl`): what it has to remember of one is in
/// [`CongestionWindow`], which has a few words for that. [`NEW_RENO`] and [`CUBIC`] come with the stack.
///
/// An application may bring its own; [`CongestionWindow`] has the steps that algorithms share. This one grows by a
/// quarter of a segment for each window, whatever the path:
///
/// ```
/// use coracle::{AckSample, CongestionControl, CongestionWindow};
///
/// #[derive(Debug)]
/// struct Scavenger;
///
/// impl CongestionControl for Scavenger {
///     fn name(&self) -> &'static str {
///         "scavenger"
///     }
///     fn acknowledged(&self, window: &mut CongestionWindow, ack: &AckSample) {
///         if !ack.window_limited {
///             return;
///         }
///         let rest = window.slow_start(ack.acked, 1);
///         window.words[0] += rest;
///         if window.words[0] >= window.window {
///             window.words[0] = 0;
///             window.grow(u32::from(window.segment) / 4);
///         }
///     }
///     fn congested(&self, window: &mut CongestionWindow, sample: &AckSample) {
///         window.reduce(sample.in_flight / 2);
///     }
///     fn timed_out(&self, window: &mut CongestionWindow, sample: &AckSample) {
///         window.collapse(sample.in_flight / 2);
///     }
/// }
///
/// static SCAVENGER: Scavenger = Scavenger;
/// let mut window = CongestionWindow::new(1_460, 10);
/// let ack = AckSample { acked: 1_460, in_flight: 14_600, window_limited: true, ..AckSample::default() };
/// SCAVENGER.acknowledged(&mut window, &ack);
/// assert_eq!(window.window, 11 * 1_460);
/// SCAVENGER.congested(&mut window, &ack);
/// assert_eq!((window.window, window.threshold), (7_300, 7_300));
/// ```
pub trait CongestionControl: Sync + fmt::Debug {
    /// What it is called, for reports.
    fn name(&self) -> &'static str;

    /// New data was acknowledged while no loss was being repaired, or while the repair after a timeout goes on.
    fn acknowledged(&self, window: &mut CongestionWindow, ack: &AckSample);

    /// Data was lost and is about to be sent again, or the network marked packets [RFC 3168 §6.1.2]: to set the
    /// threshold, and the window to the size that it shall have once the loss is repaired. Called once for each such
    /// repair.
    fn congested(&self, window: &mut CongestionWindow, sample: &AckSample);

    /// The retransmission timer ran out. Called at each expiry; see [`CongestionWindow::collapse`].
    fn timed_out(&self, window: &mut CongestionWindow, sample: &AckSample);

    /// Everything that was on the way when the loss was found is acknowledged now.
    fn recovered(&self, window: &mut CongestionWindow, sample: &AckSample) {
        let _ = sample;
        window.settle();
    }

    /// The last reduction was a mistake: nothing had been lost. Called at most once for each.
    fn undo(&self, window: &mut CongestionWindow) {
        window.restore();
    }

    /// Sending begins again after `idle` microseconds with nothing on the way; `rto` is the time of the
    /// retransmission timer.
    fn idle(&self, window: &mut CongestionWindow, idle: u32, rto: u32) {
        window.restart(idle, rto);
    }
}

/// What an acknowledgment tells about the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckSample {
    /// The time, in microseconds modulo 2³².
    pub now: u32,
    /// Bytes that it acknowledges for the first time.
    pub acked: u32,
    /// Bytes sent and not acknowledged before it came (the `FlightSize` of RFC 5681).
    pub in_flight: u32,
    /// The round-trip time that it gives, in microseconds.
    pub rtt: Option<u32>,
    /// The smoothed round-trip time in microseconds, zero while there is none.
    pub smoothed_rtt: u32,
    /// The shortest round-trip time of the last minutes in microseconds, zero while there is none.
    pub min_rtt: u32,
    /// Whether the congestion window was what kept more data from leaving; see [`CongestionWindow::is_limiting`].
    /// If not, its size was not put to the test, and it does not grow [RFC 7661; RFC 9438 §5.8].
    pub window_limited: bool,
}

/// What happened to the window since it last was in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    Reduced,
    TimedOut,
}

/// How much of a connection's data may be on the way.
#[derive(Clone)]
pub struct CongestionWindow {
    /// Bytes that may be on the way (`cwnd`).
    pub window: u32,
    /// Below this many bytes the window grows exponentially (`ssthresh`); [`u32::MAX`] until something is lost.
    pub threshold: u32,
    /// The window before the last reduction.
    pub prior_window: u32,
    /// The threshold before the last reduction.
    pub prior_threshold: u32,
    /// The algorithm's own; zero at first.
    pub words: [u32; 5],
    /// The most bytes of data in a segment to this peer (`SMSS`).
    pub segment: u16,
    /// The algorithm's own; zero at first.
    pub notes: u8,
    /// The phase in the two lowest bits, above them the segments of the initial window.
    marks: u8,
}

#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<CongestionWindow>() <= 40);

impl CongestionWindow {
    /// The window of a connection that begins, of `initial_segments` segments (1 to 63), or of as many bytes as that
    /// number of segments of 1,460 bytes has, but at least two segments [5681-1, RFC 6928 §2].
    pub fn new(segment: u16, initial_segments: u8) -> Self {
        let segment = segment.max(1);
        let mut made = Self {
            window: 0,
            threshold: u32::MAX,
            prior_window: 0,
            prior_threshold: u32::MAX,
            words: [0; 5],
            segment,
            notes: 0,
            marks: initial_segments.clamp(1, 63) << 2 | Phase::Open as u8,
        };
        made.window = made.initial_window();
        made
    }

    /// The window that a connection begins with, in bytes [RFC 6928 §2].
    pub fn initial_window(&self) -> u32 {
        let (segment, segments) = (u32::from(self.segment), u32::from(self.marks >> 2));
        (segments * segment).min((2 * segment).max(segments * 1_460))
    }

    /// Another algorithm goes on from here: what the former one noted is forgotten.
    pub(crate) fn hand_over(&mut self) {
        self.words = [0; 5];
        self.notes = 0;
    }

    /// Tells the size of segments, when that changes. A window still as it was at the start is made anew; another
    /// one keeps its bytes, since smaller packets give no right to more, and holds one segment at the least.
    pub fn set_segment(&mut self, segment: u16) {
        let untouched = self.window == self.initial_window() && self.threshold == u32::MAX;
        self.segment = segment.max(1);
        let least = u32::from(self.segment);
        self.window = if untouched { self.initial_window() } else { self.window.max(least) };
        self.threshold = self.threshold.max(2 * least);
    }

    /// Whether the window grows exponentially.
    #[inline]
    pub fn in_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    /// Whether so many bytes on the way put the window to the test: all of it but a part of a segment, or half of it
    /// in slow start, which is to be ready before the data is.
    #[inline]
    pub fn is_limiting(&self, in_flight: u32) -> bool {
        if self.in_slow_start() {
            in_flight >= self.window / 2
        } else {
            in_flight.saturating_add(u32::from(self.segment)) > self.window
        }
    }

    /// Adds bytes to the window.
    #[inline]
    pub fn grow(&mut self, bytes: u32) {
        self.window = self.window.saturating_add(bytes).min(MAX_WINDOW.max(self.window));
    }

    /// Slow start: the window grows by what was acknowledged, up to the threshold, but by at most `limit` segments for
    /// one acknowledgment [RFC 3465 §2.2], and by one after a timeout, when it may tell of data that arrived long ago
    /// [RFC 3465 §2.3]. Returns the acknowledged bytes that are left when the threshold is reached.
    #[inline]
    pub fn slow_start(&mut self, acked: u32, limit: u32) -> u32 {
        let Some(room) = self.threshold.checked_sub(self.window).filter(|&room| room > 0) else {
            return acked;
        };
        let limit = if self.phase() == Phase::TimedOut { 1 } else { limit };
        let step = acked.min(limit * u32::from(self.segment));
        self.grow(step.min(room));
        step.saturating_sub(room)
    }

    /// Reduces the window after a loss or a mark: both it and the threshold become `threshold`, but no less than two
    /// segments [RFC 5681 §3.1]; a window that is smaller stays. What they were is remembered.
    pub fn reduce(&mut self, threshold: u32) {
        self.remember();
        self.set_phase(Phase::Reduced);
        self.threshold = threshold.max(2 * u32::from(self.segment));
        self.window = self.window.min(self.threshold);
    }

    /// After a timeout: the window becomes one segment, and the threshold as for [`reduce`](Self::reduce). If the
    /// same data times out again, the threshold stays [RFC 5681 §3.1].
    pub fn collapse(&mut self, threshold: u32) {
        if self.phase() != Phase::TimedOut {
            self.remember();
            self.set_phase(Phase::TimedOut);
            self.threshold = threshold.max(2 * u32::from(self.segment));
        }
        self.window = u32::from(self.segment);
    }

    /// Whether the loss that the retransmission timer found is still being repaired.
    pub fn has_timed_out(&self) -> bool {
        self.phase() == Phase::TimedOut
    }

    /// The loss is repaired: the window is what it was reduced to; after a timeout it goes on growing from where it
    /// is [RFC 6582 §3.2 step 3; RFC 6937 §3].
    pub fn settle(&mut self) {
        if self.phase() == Phase::Reduced {
            self.window = self.threshold;
        }
        self.set_phase(Phase::Open);
    }

    /// Takes the last reduction back [RFC 4015; RFC 5682].
    pub fn restore(&mut self) {
        self.window = self.window.max(self.prior_window);
        self.threshold = self.threshold.max(self.prior_threshold);
        self.set_phase(Phase::Open);
    }

    /// After an idle time longer than the retransmission timer the window is no larger than at the start, because
    /// nothing is known of the path any more [5681-10].
    pub fn restart(&mut self, idle: u32, rto: u32) {
        if idle > rto {
            self.window = self.window.min(self.initial_window());
        }
    }

    fn remember(&mut self) {
        self.prior_window = self.window;
        self.prior_threshold = self.threshold;
    }

    #[inline]
    fn phase(&self) -> Phase {
        match self.marks & 3 {
            0 => Phase::Open,
            1 => Phase::Reduced,
            _ => Phase::TimedOut,
        }
    }

    #[inline]
    fn set_phase(&mut self, phase: Phase) {
        self.marks = self.marks & !3 | phase as u8;
    }
}

impl fmt::Debug for CongestionWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CongestionWindow")
            .field("window", &self.window)
            .field("threshold", &self.threshold)
            .field("segment", &self.segment)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
