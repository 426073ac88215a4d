//! `TCP_INFO`: what Linux tells of a connection, as far as the stack knows it.

use coracle::{TcpInfo, TcpState};

use super::{Errno, Kind, Sockets};

/// A field of `struct tcp_info`: its name, its bytes, and its value where there is one.
pub(super) struct Field {
    name: &'static str,
    width: u8,
    value: Option<u64>,
}

/// Linux's number of a state.
fn state(state: TcpState) -> u64 {
    match state {
        TcpState::Established => 1,
        TcpState::SynSent => 2,
        TcpState::SynReceived => 3,
        TcpState::FinWait1 => 4,
        TcpState::FinWait2 => 5,
        TcpState::TimeWait => 6,
        TcpState::Closed => 7,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Listen => 10,
        TcpState::Closing => 11,
    }
}

/// The fields, in Linux's order.
fn fields(info: &TcpInfo) -> Vec<Field> {
    let mss = u64::from(info.mss.max(1));
    let scales = info.window_scale.map_or((0, 0), |(send, receive)| (send, receive));
    let options = u64::from(info.timestamps)
        | u64::from(info.sack) << 1
        | u64::from(info.window_scale.is_some()) << 2
        | u64::from(info.ecn) << 3;
    let threshold = match info.slow_start_threshold {
        u32::MAX => 0x7fff_ffff,
        bytes => u64::from(bytes) / mss,
    };
    let micros = |time: std::time::Duration| time.as_micros() as u64;
    let known = |name, width, value: u64| Field { name, width, value: Some(value) };
    let unknown = |name, width| Field { name, width, value: None };
    vec![
        known("tcpi_state", 1, state(info.state)),
        unknown("tcpi_ca_state", 1),
        known("tcpi_retransmits", 1, info.backoffs.into()),
        unknown("tcpi_probes", 1),
        known("tcpi_backoff", 1, info.backoffs.into()),
        known("tcpi_options", 1, options),
        // The scale of what is sent is that of the peer's window.
        known("tcpi_wscale", 1, u64::from(scales.0 | scales.1 << 4)),
        unknown("tcpi_flags", 1),
        known("tcpi_rto", 4, micros(info.rto)),
        unknown("tcpi_ato", 4),
        known("tcpi_snd_mss", 4, info.mss.into()),
        unknown("tcpi_rcv_mss", 4),
        known("tcpi_unacked", 4, info.unacknowledged.into()),
        known("tcpi_sacked", 4, info.sacked.into()),
        known("tcpi_lost", 4, info.lost.into()),
        known("tcpi_retrans", 4, info.retransmitted.into()),
        unknown("tcpi_fackets", 4),
        unknown("tcpi_last_data_sent", 4),
        unknown("tcpi_last_ack_sent", 4),
        unknown("tcpi_last_data_recv", 4),
        unknown("tcpi_last_ack_recv", 4),
        known("tcpi_pmtu", 4, info.path_mtu.into()),
        unknown("tcpi_rcv_ssthresh", 4),
        known("tcpi_rtt", 4, micros(info.rtt)),
        known("tcpi_rttvar", 4, micros(info.rtt_variation)),
        known("tcpi_snd_ssthresh", 4, threshold),
        known("tcpi_snd_cwnd", 4, u64::from(info.congestion_window) / mss),
        unknown("tcpi_advmss", 4),
        unknown("tcpi_reordering", 4),
        unknown("tcpi_rcv_rtt", 4),
        unknown("tcpi_rcv_space", 4),
        unknown("tcpi_total_retrans", 4),
        unknown("tcpi_pacing_rate", 8),
        unknown("tcpi_max_pacing_rate", 8),
        known("tcpi_bytes_acked", 8, info.bytes_acknowledged.into()),
        known("tcpi_bytes_received", 8, info.bytes_received.into()),
        unknown("tcpi_segs_out", 4),
        unknown("tcpi_segs_in", 4),
        unknown("tcpi_notsent_bytes", 4),
        known("tcpi_min_rtt", 4, micros(info.min_rtt)),
        unknown("tcpi_data_segs_in", 4),
        unknown("tcpi_data_segs_out", 4),
        unknown("tcpi_delivery_rate", 8),
        unknown("tcpi_busy_time", 8),
        unknown("tcpi_rwnd_limited", 8),
        unknown("tcpi_sndbuf_limited", 8),
        unknown("tcpi_delivered", 4),
        unknown("tcpi_delivered_ce", 4),
        known("tcpi_bytes_sent", 8, info.bytes_sent.into()),
        unknown("tcpi_bytes_retrans", 8),
        unknown("tcpi_dsack_dups", 4),
        unknown("tcpi_reord_seen", 4),
        unknown("tcpi_rcv_ooopack", 4),
        known("tcpi_snd_wnd", 4, info.send_window.into()),
    ]
}

/// The structure as Linux lays it out; what is not known is zero.
pub(super) fn bytes(fields: &[Field]) -> Vec<u8> {
    let value = |field: &Field| {
        let value = field.value.unwrap_or(0);
        match field.width {
            1 => vec![value as u8],
            4 => (value as u32).to_ne_bytes().to_vec(),
            _ => value.to_ne_bytes().to_vec(),
        }
    };
    fields.iter().flat_map(value).collect()
}

impl Sockets {
    /// The fields of `TCP_INFO`.
    pub(super) fn tcp_info(&mut self, fd: i32) -> Result<Vec<Field>, Errno> {
        let Kind::Stream(socket) = self.kind(fd)? else { return Err(Errno::ENOPROTOOPT) };
        match socket.tcp(&mut self.stack) {
            Some(tcp) => Ok(fields(&tcp.info()?)),
            // The control block is gone, or a listener.
            None => Ok(Vec::new()),
        }
    }

    /// One field of `TCP_INFO` by its name, such as `tcpi_snd_cwnd`; none when the stack does not know it. Windows are
    /// in segments, times in microseconds, as in Linux.
    ///
    /// # Errors
    ///
    /// `EBADF`; `ENOPROTOOPT` for what is no stream.
    pub fn tcp_info_field(&mut self, fd: i32, name: &str) -> Result<Option<u64>, Errno> {
        let fields = self.tcp_info(fd)?;
        Ok(fields.iter().find(|field| field.name == name).and_then(|field| field.value))
    }
}
