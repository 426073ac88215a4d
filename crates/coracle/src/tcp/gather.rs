//! Frames that come in together: segments of one connection that follow on each other, and say the same but for their
//! data, become one. All work but the look at their headers and checksums is done once for all of them.

use core::ops::ControlFlow;

use coracle_buf::{Pbuf, PbufQueue};
use coracle_wire::ethernet;
use coracle_wire::ipv4::protocol;
use coracle_wire::tcp::{TcpFlags, TcpHeader, TcpOptions};

use super::Flow;
use super::report::Cause;
use super::segment::Segment;
use crate::address::Endpoint;
use crate::counters::count;
use crate::engine::{Engine, Entry};
use crate::event::Event;
use crate::ip::Cast;
use crate::ip::sum::pseudo;
use crate::netif::Checksums;

/// The most bytes that become one segment.
const MOST_BYTES: u32 = 1 << 16;

/// A segment in the making.
pub(crate) struct Gathered {
    position: u32,
    flow: Flow,
    segment: Segment,
    times: Option<(u32, u32)>,
    data: PbufQueue,
}

impl Gathered {
    /// Whether a segment goes on where this one ends, and says nothing else but what its data is.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "for every segment")]
    fn goes_on(&self, flow: &Flow, segment: &Segment, times: Option<(u32, u32)>) -> bool {
        self.segment.end() == segment.seq
            && self.segment.ack == segment.ack
            && self.segment.window == segment.window
            && self.times == times
            && self.flow == *flow
            && self.segment.len + segment.len <= MOST_BYTES
    }
}

impl Engine {
    /// Takes one of several frames: adds it to `gathered`, which [`input_gathered`](Self::input_gathered) takes before
    /// any callback runs; or takes both, and breaks off with what there is to report.
    pub(crate) fn input_one_of(
        &mut self,
        netif: usize,
        mut frame: Pbuf,
        gathered: &mut Option<Gathered>,
    ) -> ControlFlow<Option<Event>> {
        if !self.is_any_familiar(netif, &mut frame) {
            self.input_gathered(gathered);
            return ControlFlow::Break(self.enter(Entry::Frame, netif, frame));
        }
        match self.tcp_gather(frame, gathered) {
            Ok(()) => ControlFlow::Continue(()),
            Err(frame) => {
                self.input_gathered(gathered);
                ControlFlow::Break(self.enter(Entry::Familiar, netif, frame))
            }
        }
    }

    /// Takes what was gathered. What there is to report waits in line.
    pub(crate) fn input_gathered(&mut self, gathered: &mut Option<Gathered>) {
        let Some(Gathered { position, flow, mut segment, times, mut data }) = gathered.take() else { return };
        let options = TcpOptions { timestamps: times, ..TcpOptions::default() };
        // All at once, unless buffers are shared and references are short.
        while let Some(data) = data.pop_joined() {
            segment.len = data.len() as u32;
            let Some(mut conn) = self.tcp_conn(position) else { return };
            let verdict = conn.arrives(segment, &options, data);
            self.tcp_conclude(position, verdict, Some(&Cause::new(flow, &segment)));
            self.tcp_rearm(position);
            segment.seq = segment.end();
        }
    }

    /// Adds the segment of a frame to those before it, or begins with it. The frame comes back untouched if it does not
    /// carry data as nearly all do.
    #[inline]
    fn tcp_gather(&mut self, mut frame: Pbuf, gathered: &mut Option<Gathered>) -> Result<(), Pbuf> {
        let Some(info) = &self.current else { return Err(frame) };
        let at = ethernet::HEADER_LEN + usize::from(info.header_len);
        let bytes = frame.payload().get(at..).unwrap_or_default();
        let Ok(header) = TcpHeader::read(bytes) else { return Err(frame) };
        let header_len = header.header_len();
        let options = header.options(bytes);
        let times = TcpOptions::read_timestamps_only(options);
        let len = bytes.len() - header_len;
        let plain = info.protocol == protocol::TCP
            && info.cast == Cast::Unicast
            && header.flags().without(TcpFlags::PSH) == TcpFlags::ACK
            && len > 0
            && (times.is_some() || options.is_empty())
            && at + bytes.len() == frame.len();
        if !plain {
            return Err(frame);
        }
        let sum = pseudo(info.source, info.destination, protocol::TCP, bytes.len());
        if self.checks.contains(Checksums::CHECK_TCP) && !sum.add_bytes(bytes).verifies() {
            return Err(frame);
        }
        let segment = Segment::new(header, len as u32, info.tos);
        let flow = Flow {
            local: Endpoint::new(info.destination, header.destination_port()),
            remote: Endpoint::new(info.source, header.source_port()),
        };
        if let Some(gathered) = gathered
            && gathered.goes_on(&flow, &segment, times)
        {
            if frame.remove_header(at + header_len).is_err() {
                return Err(frame);
            }
            if self.tcp_gather_data(&flow, &mut gathered.data, frame) {
                gathered.segment.len += segment.len;
                gathered.segment.unit = gathered.segment.unit.max(segment.unit);
            }
            return Ok(());
        }
        self.input_gathered(gathered);
        let Some(position) = self.tcp.find(&self.hash_key, &flow) else { return Err(frame) };
        if frame.remove_header(at + header_len).is_err() {
            return Err(frame);
        }
        let mut data = PbufQueue::new();
        if self.tcp_gather_data(&flow, &mut data, frame) {
            *gathered = Some(Gathered { position, flow, segment, times, data });
        }
        Ok(())
    }

    /// Keeps the data of a frame. One that somebody else keeps in a queue, when no reference is left, is lost.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "for every segment")]
    fn tcp_gather_data(&mut self, flow: &Flow, data: &mut PbufQueue, piece: Pbuf) -> bool {
        count!(self.counters.ip_of(flow.local.address).delivered);
        count!(self.counters.tcp.segments_received);
        let kept = data.push_back(piece).is_ok();
        if !kept {
            count!(self.counters.tcp.memory);
        }
        kept
    }
}
