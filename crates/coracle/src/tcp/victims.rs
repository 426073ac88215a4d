//! Who gives way when there is no control block left.

use coracle_buf::Error;

use super::pcb::ticks;
use super::state::{Flags, TcpState};
use crate::counters::count;
use crate::engine::Engine;

impl Engine {
    /// Makes room for one more connection of a priority; `false` when nobody gives way.
    ///
    /// In lwIP's order: one that merely waits for its last acknowledgment, one that closes from both sides, then
    /// the longest idle one of the lowest priority that is strictly lower. Those in TIME-WAIT are in a table of
    /// their own.
    pub(super) fn tcp_make_room(&mut self, priority: u8) -> bool {
        if self.tcp.living < self.tcp.most && self.tcp.slots.used() < self.tcp.slots.capacity() {
            return true;
        }
        // Those that are over keep their slots until their handlers have heard of it.
        if self.tcp.most == 0 || self.tcp.slots.used() >= self.tcp.slots.capacity() {
            return false;
        }
        match self.tcp_victim(priority) {
            Some((position, tell_peer)) => {
                count!(self.counters.tcp.sacrificed);
                if tell_peer {
                    self.tcp_reset_peer(position);
                }
                self.tcp_end(position, Some(Error::Aborted));
                true
            }
            None => false,
        }
    }

    /// The connection that gives way, and whether its peer is told.
    fn tcp_victim(&self, priority: u8) -> Option<(u32, bool)> {
        let now = ticks(self.now);
        let longest_idle_in = |state: TcpState| {
            let all =
                self.tcp.slots.iter().filter(|(_, pcb)| pcb.state == state && pcb.flags.has(Flags::CLOSED));
            all.max_by_key(|(_, pcb)| now.wrapping_sub(pcb.heard_at)).map(|(key, _)| (key.index, false))
        };
        let lower = || {
            if self.tcp.least_priority >= priority {
                return None;
            }
            let all = self.tcp.slots.iter().filter(|(_, pcb)| {
                pcb.priority < priority && pcb.state != TcpState::Closed && !pcb.flags.has(Flags::DEAD)
            });
            let worst = all.min_by_key(|(_, pcb)| (pcb.priority, u32::MAX - now.wrapping_sub(pcb.heard_at)));
            worst.map(|(key, _)| (key.index, true))
        };
        longest_idle_in(TcpState::LastAck).or_else(|| longest_idle_in(TcpState::Closing)).or_else(lower)
    }
}
