//! The control block of a connection.

use core::time::Duration;

use coracle_buf::{Error, Pbuf, PbufQueue};

use super::challenge::ChallengeCount;
use super::congestion::{CongestionControl, CongestionWindow};
use super::ecn::Ecn;
use super::flow::Flow;
use super::loss::Loss;
use super::reassembly::Reassembly;
use super::rtt::Rtt;
use super::sequence::Seq;
use super::state::{Flags, TcpState};
use super::{Listener, TcpConfig};
use crate::config::Config;
use crate::event::Trouble;
use crate::netif::NetifHandle;
use crate::table::Key;
use crate::time::Instant;

/// A count of 1.024 ms steps, modulo 2³²: the time of slow timers, and the clock of timestamps.
pub(crate) type Ticks = u32;

#[inline]
pub(crate) fn ticks(now: Instant) -> Ticks {
    (now.as_micros() >> 10) as u32
}

/// A duration in ticks, rounded up so that no timer is early; at least one.
pub(crate) fn ticks_in(time: Duration) -> Ticks {
    let ticks = time.as_micros().div_ceil(1 << 10);
    u32::try_from(ticks).unwrap_or(i32::MAX as u32).clamp(1, i32::MAX as u32)
}

/// The times of keep-alive, in ticks [RFC 9293 §3.8.4].
#[derive(Clone, Copy)]
pub(crate) struct KeepAlive {
    pub(crate) idle: Ticks,
    pub(crate) interval: Ticks,
    pub(crate) count: u8,
    /// Probes sent since the peer was heard last.
    pub(crate) sent: u8,
}

impl KeepAlive {
    pub(crate) fn new(config: &TcpConfig) -> Self {
        Self {
            idle: ticks_in(config.keep_alive_idle),
            interval: ticks_in(config.keep_alive_interval),
            count: config.keep_alive_count,
            sent: 0,
        }
    }

    /// Times that an application chose: [`Error::Value`] for zeros, and for one probe, which says nothing when it is
    /// not answered [MUST-29].
    pub(crate) fn of(idle: Duration, interval: Duration, count: u8) -> Result<Self, Error> {
        if idle.is_zero() || interval.is_zero() || count < 2 {
            return Err(Error::Value);
        }
        Ok(Self { idle: ticks_in(idle), interval: ticks_in(interval), count, sent: 0 })
    }

    /// Goes by other times from now on; what was sent already counts.
    pub(crate) fn change(&mut self, times: Self) {
        *self = Self { sent: self.sent, ..times };
    }
}

/// A connection.
pub(crate) struct TcpPcb {
    pub(crate) flow: Flow,
    pub(crate) netif: Option<NetifHandle>,
    /// Where it came from, until the application has accepted it.
    pub(crate) listener: Option<Key>,
    pub(crate) state: TcpState,
    pub(crate) flags: Flags,
    pub(crate) priority: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,

    // What we send [RFC 9293 §3.3.1].
    pub(crate) una: Seq,
    pub(crate) nxt: Seq,
    pub(crate) window: u32,
    pub(crate) window_max: u32,
    pub(crate) wl1: Seq,
    pub(crate) wl2: Seq,
    /// Where the last segment that was not full ended, for Nagle.
    pub(crate) small_end: Seq,
    /// What was written and has not left.
    pub(crate) unsent: PbufQueue,
    /// Bytes written and not acknowledged.
    pub(crate) queued: u32,
    pub(crate) send_buffer: u32,
    /// Where data that we called urgent ends.
    pub(crate) urgent_sent: Seq,
    /// The largest segment that the peer takes, options not counted.
    pub(crate) peer_mss: u16,
    /// The largest segment that the application wants.
    pub(crate) mss_limit: u16,
    /// The largest segment that the path takes, options not counted.
    pub(crate) path_mss: u16,
    pub(crate) path_lowered_at: Ticks,
    /// The largest segment that leaves: what the peer takes, and what the path takes less our options.
    pub(crate) mss: u16,
    pub(crate) send_scale: u8,
    pub(crate) loss: Loss,
    pub(crate) congestion: CongestionWindow,
    pub(crate) algorithm: &'static dyn CongestionControl,
    pub(crate) rtt: Rtt,

    // What we receive.
    pub(crate) rcv_nxt: Seq,
    /// The right edge of the window that was announced; it never goes back.
    pub(crate) edge: Seq,
    /// The largest window to announce.
    pub(crate) receive_buffer: u32,
    /// Bytes received in order that the application has not said it is done with.
    pub(crate) unread: u32,
    /// Data in order that the application has not taken.
    pub(crate) inbox: Option<Pbuf>,
    pub(crate) held: Reassembly,
    /// Where the peer's data ends, once its FIN was seen.
    pub(crate) fin_at: Option<Seq>,
    /// A range that was received twice, to report [RFC 2883].
    pub(crate) duplicate: Option<(Seq, Seq)>,
    pub(crate) urgent_end: Seq,
    /// Bytes received since the last acknowledgment.
    pub(crate) unacknowledged: u32,
    /// The largest segment that came in so far.
    pub(crate) rcv_mss: u16,
    pub(crate) quick_acks: u8,
    pub(crate) receive_scale: u8,
    pub(crate) ts_recent: u32,
    pub(crate) ts_recent_at: Ticks,
    pub(crate) ts_offset: u32,
    /// What the last acknowledgment said.
    pub(crate) last_ack: Seq,
    pub(crate) ecn: Ecn,

    // When something is due.
    /// Something is sent again, or a window probed; microseconds.
    pub(crate) rexmit_at: u32,
    pub(crate) ack_at: u32,
    pub(crate) offer_at: u32,
    /// What the state waits for, or the next keep-alive probe.
    pub(crate) long_at: Ticks,
    pub(crate) poll_at: Ticks,
    pub(crate) poll_interval: Ticks,
    /// Data that came before its time is given up, unless more comes.
    pub(crate) held_until: Ticks,
    pub(crate) heard_at: Ticks,
    /// When the oldest data that is not acknowledged first left, or was acknowledged partly.
    pub(crate) progress_at: Ticks,
    pub(crate) user_timeout: Ticks,
    pub(crate) keep_alive: KeepAlive,
    /// Window probes sent without an answer.
    pub(crate) probes: u8,

    // What is to be reported.
    pub(crate) acked: u32,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) end: Option<Error>,
    pub(crate) challenges: ChallengeCount,
    pub(crate) counters: Traffic,
}

/// What a connection costs on a small device, besides its handler and its places in the tables; it is not to grow.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<TcpPcb>() <= if cfg!(feature = "ipv6") { 464 } else { 424 });

/// What a connection counts for its own information.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u32,
    pub(crate) acked: u32,
    pub(crate) received: u32,
}

/// lwIP's `TCP_PRIO_NORMAL`.
pub(crate) const PRIORITY_NORMAL: u8 = 64;

/// The least shift by which a window of so many bytes fits 16 bits [RFC 7323 §2.3].
pub(crate) fn scale_for(window: u32) -> u8 {
    let bits = u32::BITS - (window >> 16).leading_zeros();
    bits.min(14) as u8
}

impl TcpPcb {
    /// A control block in no state yet.
    pub(crate) fn new(config: &Config, flow: Flow, priority: u8) -> Self {
        let tcp = &config.tcp;
        let mut flags = Flags::default();
        flags.put(Flags::NO_DELAY, !tcp.nagle);
        flags.put(Flags::SCALING, tcp.window_scaling);
        flags.put(Flags::TIMESTAMPS, tcp.timestamps);
        flags.put(Flags::SACK, tcp.sack);
        Self {
            flow,
            netif: None,
            listener: None,
            state: TcpState::Closed,
            flags,
            priority,
            ttl: config.default_ttl,
            tos: 0,
            una: Seq(0),
            nxt: Seq(0),
            window: 0,
            window_max: 0,
            wl1: Seq(0),
            wl2: Seq(0),
            small_end: Seq(0),
            unsent: PbufQueue::new(),
            queued: 0,
            send_buffer: tcp.send_buffer,
            urgent_sent: Seq(0),
            peer_mss: 536,
            mss_limit: tcp.mss,
            path_mss: 536,
            path_lowered_at: 0,
            mss: 536,
            send_scale: 0,
            loss: Loss::new(),
            congestion: CongestionWindow::new(536, tcp.initial_window),
            algorithm: tcp.congestion,
            rtt: Rtt::new(super::micros(tcp.initial_rto)),
            rcv_nxt: Seq(0),
            edge: Seq(0),
            receive_buffer: tcp.window,
            unread: 0,
            inbox: None,
            held: Reassembly::new(),
            fin_at: None,
            duplicate: None,
            urgent_end: Seq(0),
            unacknowledged: 0,
            rcv_mss: 536,
            quick_acks: tcp.quick_acks,
            receive_scale: scale_for(tcp.window),
            ts_recent: 0,
            ts_recent_at: 0,
            ts_offset: 0,
            last_ack: Seq(0),
            ecn: Ecn::default(),
            rexmit_at: 0,
            ack_at: 0,
            offer_at: 0,
            long_at: 0,
            poll_at: 0,
            poll_interval: 0,
            held_until: 0,
            heard_at: 0,
            progress_at: 0,
            user_timeout: 0,
            keep_alive: KeepAlive::new(tcp),
            probes: 0,
            acked: 0,
            trouble: None,
            end: None,
            challenges: ChallengeCount::default(),
            counters: Traffic::default(),
        }
    }

    /// Begins to count at an initial sequence number.
    pub(crate) fn start_at(&mut self, isn: Seq) {
        self.una = isn;
        self.nxt = isn;
        self.urgent_sent = isn;
        self.small_end = isn;
    }

    /// Takes what a listener hands down to its connections.
    pub(crate) fn inherit(&mut self, listener: &Listener) {
        self.netif = listener.netif;
        self.priority = listener.priority;
        self.ttl = listener.ttl;
        self.tos = listener.tos;
        self.keep_alive = listener.keep_alive;
        for flag in [Flags::KEEP_ALIVE, Flags::REUSE, Flags::NO_DELAY] {
            self.flags.put(flag, listener.flags.has(flag));
        }
    }

    /// The bytes up to the end of the urgent data that the application has not said it is done with.
    pub(crate) fn urgent_remaining(&self) -> u32 {
        // The peer's FIN is no byte.
        let received = self.fin_at.map_or(self.rcv_nxt, |fin| fin.min(self.rcv_nxt));
        let done = received - self.unread;
        if self.urgent_end.after(done) { self.urgent_end.since(done) } else { 0 }
    }

    /// Sets the largest window to announce, as far as the scale allows.
    pub(crate) fn set_receive_buffer(&mut self, bytes: u32) {
        if self.state == TcpState::Closed {
            self.receive_buffer = bytes;
            self.receive_scale = scale_for(bytes);
        } else {
            self.receive_buffer = bytes.min(u32::from(u16::MAX) << self.receive_scale);
        }
    }

    /// The bytes that may still be written.
    pub(crate) fn send_room(&self) -> u32 {
        self.send_buffer.saturating_sub(self.queued)
    }
}
