//! What an application may know of a connection.

use core::time::Duration;

use super::pcb::TcpPcb;
use super::state::{Flags, TcpState};
use crate::time::Instant;

/// What there is to know of a connection; lwIP has no counterpart, sockets have `TCP_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// Its state.
    pub state: TcpState,
    /// The smoothed round-trip time; zero before it was measured [RFC 6298 §2].
    pub rtt: Duration,
    /// How much the round-trip time varies.
    pub rtt_variation: Duration,
    /// The shortest round-trip time of late; zero before it was measured.
    pub min_rtt: Duration,
    /// The retransmission timeout, backed off.
    pub rto: Duration,
    /// Retransmission timeouts in a row.
    pub backoffs: u8,
    /// The congestion window in bytes.
    pub congestion_window: u32,
    /// The slow-start threshold in bytes; `u32::MAX` before any loss.
    pub slow_start_threshold: u32,
    /// The peer's window in bytes.
    pub send_window: u32,
    /// Our window in bytes.
    pub receive_window: u32,
    /// Bytes on the way, by what is known.
    pub in_flight: u32,
    /// Segments sent and not acknowledged.
    pub unacknowledged: u32,
    /// Segments taken for lost.
    pub lost: u32,
    /// Segments selectively acknowledged.
    pub sacked: u32,
    /// Segments in flight that were sent more than once.
    pub retransmitted: u32,
    /// Bytes of data sent, not counting again what was sent again; modulo 2³².
    pub bytes_sent: u32,
    /// Bytes of data acknowledged, modulo 2³².
    pub bytes_acknowledged: u32,
    /// Bytes of data received in order, modulo 2³².
    pub bytes_received: u32,
    /// Bytes that came before their time.
    pub bytes_held: u32,
    /// Bytes a second that the window and the round-trip time amount to; zero before that was measured.
    pub rate: u64,
    /// The data of a full segment.
    pub mss: u16,
    /// What the peer takes in a segment.
    pub peer_mss: u16,
    /// What the path takes in a packet.
    pub path_mtu: u16,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// Selective acknowledgments are in use.
    pub sack: bool,
    /// Explicit congestion notification is in use.
    pub ecn: bool,
    /// The shifts of the windows that we send and receive, if windows are scaled.
    pub window_scale: Option<(u8, u8)>,
    /// Since when the peer was last heard.
    pub silent_for: Duration,
}

/// How much of what TCP was allotted is in use; the limits are those of [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpUsage {
    /// Connections, and control blocks that are to become some.
    pub connections: usize,
    /// Listeners.
    pub listeners: usize,
    /// Segments in flight.
    pub segments: usize,
    /// How many segments in flight there may be.
    pub segments_capacity: usize,
    /// Ranges of data that came before its time.
    pub held: usize,
    /// Connections in TIME-WAIT.
    pub time_wait: usize,
}

impl TcpUsage {
    pub(crate) fn of(table: &super::TcpTable) -> Self {
        Self {
            connections: table.slots.used(),
            listeners: table.listeners.used(),
            segments: table.segments.used(),
            segments_capacity: table.segments.capacity(),
            held: table.held.used(),
            time_wait: table.time_waits.len(),
        }
    }
}

impl TcpInfo {
    pub(crate) fn of(pcb: &TcpPcb, counts: super::loss::Counts, now: Instant) -> Self {
        let micros = |time: u32| Duration::from_micros(time.into());
        let smoothed = pcb.rtt.smoothed();
        let rate = u64::from(pcb.congestion.window.min(pcb.window)) * 1_000_000;
        Self {
            state: pcb.state,
            rtt: micros(smoothed),
            rtt_variation: micros(pcb.rtt.variation()),
            min_rtt: micros(pcb.rtt.min()),
            rto: micros(pcb.rtt.rto()),
            backoffs: pcb.rtt.backoffs(),
            congestion_window: pcb.congestion.window,
            slow_start_threshold: pcb.congestion.threshold,
            send_window: pcb.window,
            receive_window: pcb.edge.since(pcb.rcv_nxt),
            in_flight: pcb.loss.pipe(),
            unacknowledged: counts.segments,
            lost: counts.lost,
            sacked: counts.sacked,
            retransmitted: counts.retransmitted,
            bytes_sent: pcb.counters.sent,
            bytes_acknowledged: pcb.counters.acked,
            bytes_received: pcb.counters.received,
            bytes_held: pcb.held.bytes() as u32,
            rate: rate.checked_div(smoothed.into()).unwrap_or(0),
            mss: pcb.mss,
            peer_mss: pcb.peer_mss,
            path_mtu: pcb.path_mss.saturating_add(40),
            timestamps: pcb.flags.has(Flags::TIMESTAMPS),
            sack: pcb.flags.has(Flags::SACK),
            ecn: pcb.ecn.is_on(),
            window_scale: pcb.flags.has(Flags::SCALING).then_some((pcb.receive_scale, pcb.send_scale)),
            silent_for: micros(super::pcb::ticks(now).wrapping_sub(pcb.heard_at).saturating_mul(1_024)),
        }
    }
}
