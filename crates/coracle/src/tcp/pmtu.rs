//! The path's MTU: what ICMP says of it, what silence says of it, and when that is forgotten [RFC 1191].

use coracle_wire::tcp::HEADER_LEN;

use super::conn::Conn;
use super::pcb::{Ticks, ticks};
use super::state::Flags;
use crate::address::Address;
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::output::header_len;

/// The smallest MTU that is believed [RFC 1191 §3] [RFC 8201 §4].
fn least_mtu(remote: Address) -> u16 {
    if remote.is_v4() { 68 } else { 1_280 }
}

/// The bytes of IP and TCP headers without options.
pub(super) fn headers(remote: Address) -> u16 {
    (header_len(remote) + HEADER_LEN) as u16
}

/// After this time a larger MTU is tried again, in ticks: ten minutes [RFC 1191 §6.3].
const AGE: Ticks = ((600 * 1_000_000_u64) >> 10) as Ticks;
/// What gets through nearly everywhere [RFC 4821 §7.7].
const SAFE_MTU: u16 = 1_024;

impl Engine {
    /// A router says that the path takes less than was thought [RFC 1191 §6.4]; what was too long is sent again, in
    /// smaller segments.
    pub(super) fn tcp_path_mtu(&mut self, position: u32, mtu: u16) {
        if !self.config.tcp.path_mtu_discovery {
            return;
        }
        let Some(mut conn) = self.tcp_conn(position) else { return };
        // A router that does not say [RFC 1191 §5]: the next smaller of the usual ones.
        let mtu = if mtu == 0 {
            next_smaller(conn.pcb.path_mss.saturating_add(headers(conn.pcb.flow.remote.address)))
        } else {
            mtu
        };
        if conn.lower_path(mtu) {
            conn.pcb.flags.set(Flags::PATH_LOWERED);
            conn.pcb.path_lowered_at = ticks(conn.now);
            self.tcp.output.add(position);
        }
    }

    /// Tries the MTU of the interface again, when what a router said of the path is old: the path may have changed.
    #[cold]
    pub(super) fn tcp_path_age(&mut self, position: u32) {
        let now = ticks(self.now);
        let Some(pcb) = self.tcp.slots.at(position as usize) else { return };
        if now.wrapping_sub(pcb.path_lowered_at) < AGE {
            return;
        }
        let (remote, netif) = (pcb.flow.remote, pcb.netif);
        let Ok((path_mss, _)) = self.tcp_path(remote, netif) else { return };
        if let Some(mut conn) = self.tcp_conn(position) {
            conn.pcb.flags.clear(Flags::PATH_LOWERED);
            conn.pcb.path_mss = path_mss;
            conn.settle_mss();
            conn.pcb.congestion.set_segment(conn.pcb.mss);
        }
    }
}

impl Conn<'_> {
    /// Large segments vanish, and no router says why: perhaps one drops them without a word [RFC 2923 §2.1]
    /// [RFC 4821 §7.7]. Smaller ones may get through.
    #[cold]
    pub(super) fn suspect_black_hole(&mut self) {
        let large = self.pcb.loss.first().is_some_and(|first| self.segments.record(first).len > 512);
        if large && self.config.path_mtu_discovery {
            let mtu = self.pcb.path_mss.saturating_add(headers(self.pcb.flow.remote.address));
            self.lower_path(if mtu > SAFE_MTU { SAFE_MTU } else { 576 });
        }
    }

    /// Makes segments fit a path that takes less than was thought.
    fn lower_path(&mut self, mtu: u16) -> bool {
        let remote = self.pcb.flow.remote.address;
        let path_mss = mtu.max(least_mtu(remote)) - headers(remote);
        if path_mss >= self.pcb.path_mss {
            return false;
        }
        self.pcb.path_mss = path_mss;
        self.settle_mss();
        let pcb = &mut *self.pcb;
        pcb.congestion.set_segment(pcb.mss);
        pcb.loss.mtu_lowered(self.segments, pcb.mss);
        count!(self.counters.path_mtu_lowered);
        true
    }
}

/// The plateaus of RFC 1191 §7.1.
fn next_smaller(mtu: u16) -> u16 {
    const PLATEAUS: [u16; 9] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296];
    PLATEAUS.into_iter().find(|&plateau| plateau < mtu).unwrap_or(68)
}
