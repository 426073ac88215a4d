//! A segment that arrives, as far as its header says.

use coracle_wire::tcp::{TcpFlags, TcpHeader};

use super::sequence::Seq;

/// The header of a segment, in the terms of RFC 9293 §3.3.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: TcpFlags,
    /// As it was sent, not scaled [RFC 9293 MUST-1].
    pub(crate) window: u32,
    pub(crate) urgent: u16,
    /// Bytes of data.
    pub(crate) len: u32,
    /// Of those, what came in one segment at most, where several were gathered.
    pub(crate) unit: u32,
    /// The type of service of its packet, with the bits of ECN.
    pub(crate) tos: u8,
}

impl Segment {
    #[inline]
    pub(crate) fn new(header: &TcpHeader, len: u32, tos: u8) -> Self {
        Self {
            seq: Seq(header.sequence()),
            ack: Seq(header.acknowledgment()),
            flags: header.flags(),
            window: u32::from(header.window()),
            urgent: header.urgent_pointer(),
            len,
            unit: len,
            tos,
        }
    }

    #[inline]
    pub(crate) fn has(&self, flag: TcpFlags) -> bool {
        self.flags.intersects(flag)
    }

    /// The sequence numbers that it takes, SYN and FIN among them.
    #[inline]
    pub(crate) fn span(&self) -> u32 {
        self.len + u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN))
    }

    /// The sequence number after it.
    #[inline]
    pub(crate) fn end(&self) -> Seq {
        self.seq + self.span()
    }
}
