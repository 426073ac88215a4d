//! `NewReno`: one segment more for each round trip, half of the flight after a loss [RFC 5681; RFC 3465; RFC 6582].

use super::{AckSample, CongestionControl, CongestionWindow};

/// The standard algorithm of TCP [RFC 5681], with growth counted in bytes [RFC 3465] and the window rules of
/// RFC 6582. See [`CongestionControl`].
#[derive(Clone, Copy, Debug)]
pub struct NewReno;

/// [`NewReno`], to be set as a connection's algorithm.
pub static NEW_RENO: NewReno = NewReno;

/// Segments that one acknowledgment may add in slow start [RFC 3465 §2.2].
const LIMIT: u32 = 2;
/// The word that counts bytes acknowledged since the window last grew in congestion avoidance.
const ACKED: usize = 0;

impl CongestionControl for NewReno {
    fn name(&self) -> &'static str {
        "newreno"
    }

    #[inline]
    fn acknowledged(&self, window: &mut CongestionWindow, ack: &AckSample) {
        if !ack.window_limited {
            return;
        }
        // [5681-2]
        let rest = window.slow_start(ack.acked, LIMIT);
        if rest == 0 {
            return;
        }
        // [5681-3] one segment for a window of acknowledged bytes [RFC 3465 §2.1]; what a stretched acknowledgment
        // has beyond two windows is not saved up.
        let acked = window.words[ACKED].saturating_add(rest);
        window.words[ACKED] = if acked >= window.window {
            let left = (acked - window.window).min(window.window);
            window.grow(u32::from(window.segment));
            left
        } else {
            acked
        };
    }

    fn congested(&self, window: &mut CongestionWindow, sample: &AckSample) {
        // [5681-4]
        window.words[ACKED] = 0;
        window.reduce(sample.in_flight / 2);
    }

    fn timed_out(&self, window: &mut CongestionWindow, sample: &AckSample) {
        // [5681-5]
        window.words[ACKED] = 0;
        window.collapse(sample.in_flight / 2);
    }
}
