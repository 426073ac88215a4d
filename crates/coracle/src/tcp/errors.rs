//! What ICMP says of segments that we sent [RFC 9293 §3.9.2.2], if it is believed.

use core::net::SocketAddrV4;

use coracle_buf::Error;

use super::Flow;
use super::sequence::Seq;
use super::state::TcpState;
use crate::counters::count;
use crate::engine::Engine;
use crate::event::{Event, IcmpErrorKind};

/// The smallest MTU that is believed [RFC 1191 §3].
const LEAST_MTU: u16 = 68;
/// The bytes of IP and TCP headers without options.
const HEADERS: u16 = 40;

impl Engine {
    /// Takes an error about a segment with these ends; `sequence` is the segment's number, if it was quoted.
    pub(crate) fn tcp_icmp_error(
        &mut self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        sequence: Option<u32>,
        kind: IcmpErrorKind,
    ) -> Option<Event> {
        let position = self.tcp.find(&self.hash_key, &Flow { local, remote });
        let pcb = position.and_then(|position| self.tcp.slots.at_mut(position as usize));
        let (Some(position), Some(pcb)) = (position, pcb) else {
            count!(self.counters.icmp.unclaimed);
            return None;
        };
        // [RFC 5927 §4.1] Who quotes what is not on the way guesses.
        if !sequence.is_some_and(|sequence| Seq(sequence).between(pcb.una, pcb.nxt)) {
            count!(self.counters.icmp.bad_quote);
            return None;
        }
        count!(self.counters.icmp.errors_reported);
        let opening = matches!(pcb.state, TcpState::SynSent | TcpState::SynReceived);
        match kind {
            IcmpErrorKind::FragmentationNeeded { mtu } => self.tcp_path_mtu(position, mtu),
            // [RFC 9293 SHLD-26] [RFC 5461 §4] They end what is being opened; what stands is not so easily ended.
            IcmpErrorKind::ProtocolUnreachable | IcmpErrorKind::PortUnreachable if opening => {
                self.tcp_end(position, Some(Error::Reset));
            }
            _ => {
                // [RFC 9293 SHLD-25, MUST-56]
                pcb.soft_error = Some(kind);
                self.tcp.ready.add(position);
            }
        }
        self.tcp_next_report()
    }

    /// The path takes less than was thought [RFC 1191 §6.4]; what was too long is sent again, in smaller segments.
    fn tcp_path_mtu(&mut self, position: u32, mtu: u16) {
        if !self.config.tcp.path_mtu_discovery {
            return;
        }
        let Some(mut conn) = self.tcp_conn(position) else { return };
        // A router that does not say [RFC 1191 §5]: the next smaller of the usual ones.
        let mtu = if mtu == 0 { next_smaller(conn.pcb.path_mss.saturating_add(HEADERS)) } else { mtu };
        let path_mss = mtu.max(LEAST_MTU) - HEADERS;
        if path_mss >= conn.pcb.path_mss {
            return;
        }
        conn.pcb.path_mss = path_mss;
        conn.settle_mss();
        let pcb = &mut *conn.pcb;
        pcb.congestion.set_segment(pcb.mss);
        pcb.loss.mtu_lowered(conn.segments, pcb.mss);
        count!(self.counters.tcp.path_mtu_lowered);
        self.tcp.output.add(position);
    }
}

/// The plateaus of RFC 1191 §7.1.
fn next_smaller(mtu: u16) -> u16 {
    const PLATEAUS: [u16; 9] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296];
    PLATEAUS.into_iter().find(|&plateau| plateau < mtu).unwrap_or(LEAST_MTU)
}
