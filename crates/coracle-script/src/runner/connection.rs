//! One conversation: how a script's numbers and the stack's belong together.

use crate::language::ast::{Body, Packet, Tcp, TcpOption, flag};
use crate::packet::Ends;

/// The segment size of a peer that says none [RFC 9293 MUST-15].
const DEFAULT_MSS: u16 = 536;

#[derive(Debug)]
pub(super) struct Connection {
    /// What the script calls it, if it has a name.
    pub(super) name: Option<u32>,
    pub(super) protocol: u8,
    /// From the stack to the peer.
    pub(super) ends: Ends,
    /// How far the stack's sequence numbers are above the script's; none until its SYN was seen.
    local_offset: Option<u32>,
    remote_offset: u32,
    /// Timestamps of the stack: as the script wrote them, as they were.
    timestamps: Vec<(u32, u32)>,
    /// The segment size that the peer announced.
    pub(super) peer_mss: u16,
    /// The next SYN opens another connection.
    pub(super) over: bool,
    /// The peer's SYN, as the script numbers it.
    opened_by: Option<u32>,
    /// The peer asked for a new connection between the same ends.
    again: bool,
}

impl Connection {
    pub(super) fn new(name: Option<u32>, protocol: u8, ends: Ends, remote_offset: u32) -> Self {
        Self {
            name,
            protocol,
            ends,
            local_offset: None,
            remote_offset,
            timestamps: Vec::new(),
            peer_mss: DEFAULT_MSS,
            over: false,
            opened_by: None,
            again: false,
        }
    }

    fn local_offset(&self) -> u32 {
        self.local_offset.unwrap_or(0)
    }

    /// A segment of the peer with absolute numbers.
    pub(super) fn inbound(&mut self, segment: &Tcp) -> Tcp {
        if segment.flags & flag::SYN != 0 {
            let mss = segment.options.iter().flatten().find_map(|option| match option {
                TcpOption::Mss(mss) => Some(*mss),
                _ => None,
            });
            self.peer_mss = mss.unwrap_or(DEFAULT_MSS);
            // A SYN that comes twice is not a new one.
            self.again |= self.opened_by.replace(segment.seq).is_some_and(|before| before != segment.seq);
        }
        self.over |= segment.flags & flag::RST != 0;
        let mut absolute = segment.clone();
        absolute.seq = segment.seq.wrapping_add(self.remote_offset);
        absolute.ack = segment.ack.map(|ack| ack.wrapping_add(self.local_offset()));
        for option in absolute.options.iter_mut().flatten() {
            match option {
                TcpOption::Sack(blocks) => {
                    for edge in blocks.iter_mut().flat_map(|(left, right)| [left, right]) {
                        *edge = edge.wrapping_add(self.local_offset());
                    }
                }
                TcpOption::Timestamps { echo, .. } => *echo = self.live_timestamp(*echo),
                _ => {}
            }
        }
        absolute
    }

    /// What the stack knows a timestamp by that the script wrote: one that it sent, or as far from the last as the
    /// script says.
    fn live_timestamp(&self, written: u32) -> u32 {
        let same = self.timestamps.iter().rev().find(|&&(known, _)| known == written);
        match (same, self.timestamps.last()) {
            (Some(&(_, live)), _) => live,
            (None, Some(&(last, live))) if written != 0 => live.wrapping_add(written.wrapping_sub(last)),
            _ => written,
        }
    }

    /// The sequence number of a segment that a router quotes.
    pub(super) fn quoted_seq(&self, seq: u32) -> u32 {
        seq.wrapping_add(self.local_offset())
    }

    /// The same of a segment that came from the peer and that the stack quotes.
    pub(super) fn peer_seq(&self, live: u32) -> u32 {
        live.wrapping_sub(self.remote_offset)
    }

    /// A segment of the stack with the script's numbers. Its first SYN tells where it counts from.
    pub(super) fn outbound(&mut self, segment: &Tcp, expected: Option<&Tcp>, exact_timestamps: bool) -> Tcp {
        if segment.flags & flag::SYN != 0 && (self.local_offset.is_none() || self.over || self.again) {
            let written = expected.map_or(0, |expected| expected.seq);
            self.local_offset = Some(segment.seq.wrapping_sub(written));
            self.timestamps.clear();
            self.over = false;
            self.again = false;
        }
        self.over |= segment.flags & flag::RST != 0;
        let mut relative = segment.clone();
        relative.seq = segment.seq.wrapping_sub(self.local_offset());
        relative.ack = segment.ack.map(|ack| ack.wrapping_sub(self.remote_offset));
        let written = expected.and_then(|expected| timestamp(expected.options.as_deref()?));
        for option in relative.options.iter_mut().flatten() {
            match option {
                TcpOption::Sack(blocks) => {
                    for edge in blocks.iter_mut().flat_map(|(left, right)| [left, right]) {
                        *edge = edge.wrapping_sub(self.remote_offset);
                    }
                }
                TcpOption::Timestamps { value, .. } => {
                    *value = self.written_timestamp(*value, written, exact_timestamps);
                }
                _ => {}
            }
        }
        relative
    }

    /// What the script calls a timestamp of the stack.
    fn written_timestamp(&mut self, live: u32, written: Option<u32>, exact: bool) -> u32 {
        let Some(written) = written else { return live };
        let shown = match self.timestamps.first() {
            Some(&(first, first_live)) if exact => first.wrapping_add(live.wrapping_sub(first_live)),
            _ => written,
        };
        self.timestamps.push((shown, live));
        shown
    }

    /// What a data segment of the script is that the stack sends in several: the first of them, and what is left.
    /// Linux leaves cutting to the device, and so its scripts show runs of segments as one.
    pub(super) fn cut(&self, expected: &Packet, actual: &Packet, mtu: u16) -> Option<(Packet, Packet)> {
        let (Body::Tcp(whole), Body::Tcp(first)) = (&expected.body, &actual.body) else { return None };
        let options = whole.options.as_deref().or(first.options.as_deref()).unwrap_or_default();
        let full = u32::from(self.peer_mss.min(mtu.saturating_sub(40))).checked_sub(options_len(options))?;
        if first.payload >= whole.payload || first.payload != full {
            return None;
        }
        let mut head = whole.clone();
        head.payload = full;
        // What ends the data is on its last segment only.
        head.flags &= !(flag::PSH | flag::FIN);
        let mut rest = whole.clone();
        rest.seq = whole.seq.wrapping_add(full);
        rest.payload = whole.payload - full;
        let packet = |body| Packet { body: Body::Tcp(body), ..expected.clone() };
        Some((packet(head), packet(rest)))
    }
}

fn timestamp(options: &[TcpOption]) -> Option<u32> {
    options.iter().find_map(|option| match option {
        TcpOption::Timestamps { value, .. } => Some(*value),
        _ => None,
    })
}

/// The bytes of options in a header.
fn options_len(options: &[TcpOption]) -> u32 {
    let len: usize = options
        .iter()
        .map(|option| match option {
            TcpOption::End | TcpOption::Nop => 1,
            TcpOption::SackPermitted => 2,
            TcpOption::WindowScale(_) => 3,
            TcpOption::Mss(_) | TcpOption::UserTimeout(_) => 4,
            TcpOption::Sack(blocks) => 2 + 8 * blocks.len(),
            TcpOption::Timestamps { .. } => 10,
            TcpOption::Raw(bytes) => bytes.len(),
        })
        .sum();
    len.next_multiple_of(4) as u32
}
