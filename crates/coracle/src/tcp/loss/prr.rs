//! Proportional rate reduction: how fast data leaves while the window shrinks [RFC 9937, which replaces RFC 6937].

use super::Loss;
use crate::tcp::congestion::CongestionWindow;

impl Loss {
    /// Starts to count, with so many bytes in flight.
    pub(super) fn begin_pacing(&mut self, flight: u32) {
        (self.delivered, self.out, self.flight) = (0, 0, flight.max(1));
    }

    /// Sets the window to what may be in flight after so many bytes were delivered. `safe` says that the left edge moved
    /// and nothing more was found lost.
    pub(super) fn pace(&mut self, delivered: u32, safe: bool, window: &mut CongestionWindow) {
        if delivered == 0 {
            return;
        }
        self.delivered = self.delivered.saturating_add(delivered);
        let (segment, target) = (u32::from(window.segment), window.threshold);
        let flight = self.in_flight(window.segment);
        let room = if flight > target {
            let share = u64::from(self.delivered) * u64::from(target);
            (share.div_ceil(u64::from(self.flight)) as u32).saturating_sub(self.out)
        } else {
            let conserved = self.delivered.saturating_sub(self.out).max(delivered);
            let conserved = if safe { conserved + segment } else { conserved };
            conserved.min(target - flight)
        };
        // The first retransmission goes out at once.
        let room = if self.out == 0 { room.max(segment) } else { room };
        window.window = flight.saturating_add(room);
    }
}
