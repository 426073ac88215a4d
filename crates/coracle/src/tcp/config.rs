//! How TCP behaves, as the owner of a stack decides.

use core::time::Duration;

use super::congestion::{CUBIC, CongestionControl};

/// When connections are remembered in the sequence number of the answer instead of in memory [RFC 4987 §3.6].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SynCookies {
    /// Never: what does not fit the backlog is dropped.
    Never,
    /// When the backlog or the table of connections is full.
    WhenFull,
    /// For every connection.
    Always,
}

/// How TCP behaves. What a connection may choose for itself, it inherits from here.
///
/// ```
/// use std::time::Duration;
/// let mut config = coracle::Config::new([1; 16]);
/// config.tcp.min_rto = Duration::from_millis(200);
/// config.tcp.window = 1 << 20;
/// assert_eq!(config.tcp.initial_window, 10);
/// ```
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// The receive buffer of a connection in bytes: the largest window that it announces. lwIP: `TCP_WND`.
    pub window: u32,
    /// The bytes that a connection takes from the application before they are acknowledged. lwIP: `TCP_SND_BUF`.
    pub send_buffer: u32,
    /// The packets that a connection takes from the application before they are sent. lwIP: `TCP_SND_QUEUELEN`.
    pub send_queue: u16,
    /// The largest segment in bytes, headers and options not counted; the interface's MTU may make it smaller.
    pub mss: u16,
    /// Offers windows above 65,535 bytes [RFC 7323 §2].
    pub window_scaling: bool,
    /// Offers timestamps [RFC 7323 §3].
    pub timestamps: bool,
    /// Offers selective acknowledgments [RFC 2018].
    pub sack: bool,
    /// Offers explicit congestion notification [RFC 3168].
    pub ecn: bool,
    /// The retransmission timeout before anything was measured [RFC 6298 §2.1].
    pub initial_rto: Duration,
    /// The least retransmission timeout [RFC 6298 §2.4]; by so much the timeout is longer than the round-trip time at
    /// the least, since a peer may delay its acknowledgments.
    pub min_rto: Duration,
    /// The largest retransmission timeout, 60 s or more [RFC 6298 §2.5].
    pub max_rto: Duration,
    /// Segments that may leave at first [RFC 6928].
    pub initial_window: u8,
    /// How long an acknowledgment may wait for company, below 500 ms [RFC 9293 MUST-40].
    pub delayed_ack: Duration,
    /// Segments acknowledged at once at the start of a connection, while the peer's window grows.
    pub quick_acks: u8,
    /// The maximum segment lifetime; TIME-WAIT lasts twice as long [RFC 9293 MUST-13].
    pub msl: Duration,
    /// How long a closed connection waits for the peer's FIN. lwIP: 20 s.
    pub fin_wait_2: Duration,
    /// How often a SYN is sent again before the connection fails: 7 times from 1 s on last more than three minutes
    /// [RFC 9293 MUST-23].
    pub syn_retries: u8,
    /// How often a SYN|ACK is sent again before the connection is forgotten.
    pub syn_ack_retries: u8,
    /// How often data is sent again before the connection fails (R2) [RFC 9293 MUST-20, SHLD-11]; a user timeout goes
    /// before it.
    pub retries: u8,
    /// The congestion control of new connections.
    pub congestion: &'static dyn CongestionControl,
    /// When SYN cookies are used.
    pub syn_cookies: SynCookies,
    /// How many challenge acknowledgments leave in a second at the most [RFC 5961 §7].
    pub challenge_acks_per_second: u16,
    /// How many answers to segments that no connection takes leave in a second at the most.
    pub resets_per_second: u16,
    /// Finds the path's MTU: packets must not be cut on their way [RFC 1191].
    pub path_mtu_discovery: bool,
    /// Small segments wait for acknowledgments [RFC 9293 SHLD-7].
    pub nagle: bool,
    /// How long a connection is idle before the first keep-alive probe [RFC 9293 MUST-28].
    pub keep_alive_idle: Duration,
    /// The time between keep-alive probes.
    pub keep_alive_interval: Duration,
    /// Unanswered probes after which a connection is dead.
    pub keep_alive_count: u8,
}

impl TcpConfig {
    /// Whether connections can be had with it: buffers and segments of some size, timeouts in order, acknowledgments
    /// that wait for less than half a second [RFC 9293 MUST-40].
    pub(crate) fn is_usable(&self) -> bool {
        let buffer = 1..1 << 30;
        buffer.contains(&self.window)
            && buffer.contains(&self.send_buffer)
            && self.send_queue > 0
            && self.mss >= 64
            && self.initial_window > 0
            && !self.min_rto.is_zero()
            && self.min_rto <= self.max_rto
            && !self.initial_rto.is_zero()
            && self.delayed_ack < Duration::from_millis(500)
            && self.keep_alive_count > 1
    }

    /// What suits a host: windows of 256 KiB, CUBIC, everything offered.
    pub const HOST: Self = Self {
        window: 256 * 1024,
        send_buffer: 256 * 1024,
        send_queue: 1_024,
        mss: u16::MAX,
        window_scaling: true,
        timestamps: true,
        sack: true,
        ecn: false,
        initial_rto: Duration::from_secs(1),
        min_rto: Duration::from_millis(200),
        max_rto: Duration::from_mins(2),
        initial_window: 10,
        delayed_ack: Duration::from_millis(40),
        quick_acks: 16,
        msl: Duration::from_mins(1),
        fin_wait_2: Duration::from_mins(1),
        syn_retries: 7,
        syn_ack_retries: 5,
        retries: 15,
        congestion: &CUBIC,
        syn_cookies: SynCookies::WhenFull,
        challenge_acks_per_second: 100,
        resets_per_second: 100,
        path_mtu_discovery: true,
        nagle: true,
        keep_alive_idle: Duration::from_hours(2),
        keep_alive_interval: Duration::from_secs(75),
        keep_alive_count: 9,
    };

    /// What suits a microcontroller: windows of four segments, `NewReno`, a short TIME-WAIT table.
    pub const SMALL: Self = Self {
        window: 4 * 1_460,
        send_buffer: 4 * 1_460,
        send_queue: 16,
        congestion: &super::congestion::NEW_RENO,
        ..Self::HOST
    };
}
