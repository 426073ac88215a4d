//! What ICMP says of segments that we sent [RFC 9293 §3.9.2.2], if it is believed.

use coracle_buf::Error;

use super::Flow;
use super::sequence::Seq;
use super::state::TcpState;
use crate::address::Endpoint;
use crate::counters::count;
use crate::engine::Engine;
use crate::event::{Event, IcmpErrorKind, Trouble};

impl Engine {
    /// Takes an error about a segment with these ends [RFC 9293 MUST-54]; `sequence` is the segment's number, if it was
    /// quoted.
    pub(crate) fn tcp_icmp_error(
        &mut self,
        local: Endpoint,
        remote: Endpoint,
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
            IcmpErrorKind::FragmentationNeeded { mtu } => {
                self.tcp_path_mtu(position, mtu);
                if mtu > 0 && self.config.tcp.path_mtu_discovery {
                    // Others who send there need not find out themselves.
                    self.learn_path_mtu(remote.address, usize::MAX, mtu);
                }
            }
            // [RFC 9293 SHLD-26] [RFC 5461 §4] They end what is being opened; what stands is not so easily ended.
            IcmpErrorKind::ProtocolUnreachable | IcmpErrorKind::PortUnreachable if opening => {
                self.tcp_end(position, Some(Error::Reset));
            }
            _ => {
                // [RFC 9293 SHLD-25, MUST-56]
                pcb.trouble = Some(Trouble::Icmp(kind));
                self.tcp.ready.add(position);
            }
        }
        self.tcp_next_report().map(|(pcb, report)| Event::Tcp { pcb, report })
    }
}
