//! Settings of a stack by name, as texts have them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use coracle::{SynCookies, TcpConfig};

use super::{SocketsConfig, congestion};

/// Why a setting could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongSetting {
    /// No setting has the name.
    Unknown,
    /// The value is none that it can have; it should be this.
    Value(&'static str),
}

/// What it is, to be said after `name=value is`.
impl fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no setting"),
            Self::Value(wrong) => f.write_str(wrong),
        }
    }
}

impl std::error::Error for WrongSetting {}

pub(crate) fn parsed<T: FromStr>(value: &str) -> Result<T, WrongSetting> {
    value.parse().map_err(|_| WrongSetting::Value("no value that it can have"))
}

/// `on` and `off`, `1` and `0`.
fn switch(value: &str) -> Result<bool, WrongSetting> {
    match value {
        "on" | "1" => Ok(true),
        "off" | "0" => Ok(false),
        _ => Err(WrongSetting::Value("neither on nor off")),
    }
}

/// `200ms`, `1s`, `40us`.
pub(crate) fn duration(value: &str) -> Result<Duration, WrongSetting> {
    let number = |unit: &str| value.strip_suffix(unit)?.parse().ok();
    let micros = number("us").map(Duration::from_micros);
    micros
        .or_else(|| number("ms").map(Duration::from_millis))
        .or_else(|| number("s").map(Duration::from_secs))
        .ok_or(WrongSetting::Value("no time such as 200ms"))
}

impl SocketsConfig {
    /// Makes a setting by its name, such as `min_rto` or `profile`. The names are in the crate's README.
    ///
    /// ```
    /// use coracle_script::sockets::SocketsConfig;
    /// let mut config = SocketsConfig::default();
    /// config.set("min_rto", "1s")?;
    /// assert_eq!(config.config.tcp.min_rto.as_secs(), 1);
    /// assert_eq!(config.set("sack", "maybe").unwrap_err().to_string(), "neither on nor off");
    /// # Ok::<(), coracle_script::sockets::WrongSetting>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no such setting, or it cannot have the value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), WrongSetting> {
        let config = &mut self.config;
        match name {
            "mtu" => self.mtu = parsed(value)?,
            "seed" => config.seed = [parsed(value)?; 16],
            "profile" => match value {
                "host" => config.tcp = TcpConfig::HOST,
                "small" => config.tcp = TcpConfig::SMALL,
                "linux" => self.linux(),
                _ => return Err(WrongSetting::Value("neither host, small nor linux")),
            },
            "broadcast_echo" => config.broadcast_echo = switch(value)?,
            "icmp_errors_per_second" => config.icmp_errors_per_second = parsed(value)?,
            "icmp_error_burst" => config.icmp_error_burst = parsed(value)?,
            "ttl" => config.default_ttl = parsed(value)?,
            "tcp" => self.limits.tcp = parsed(value)?,
            "tcp_segments" => self.limits.tcp_segments = parsed(value)?,
            "tcp_held" => self.limits.tcp_held = parsed(value)?,
            "tcp_time_wait" => self.limits.tcp_time_wait = parsed(value)?,
            _ => return set_tcp(&mut config.tcp, name, value),
        }
        Ok(())
    }

    /// What the public collection of Linux sets before each of its scripts.
    pub(crate) fn linux(&mut self) {
        self.config.tcp.window = 15 << 20;
        self.config.tcp.syn_retries = 5;
    }
}

/// A setting of [`TcpConfig`], by its name.
fn set_tcp(tcp: &mut TcpConfig, name: &str, value: &str) -> Result<(), WrongSetting> {
    match name {
        "window" => tcp.window = parsed(value)?,
        "send_buffer" => tcp.send_buffer = parsed(value)?,
        "send_queue" => tcp.send_queue = parsed(value)?,
        "mss" => tcp.mss = parsed(value)?,
        "window_scaling" => tcp.window_scaling = switch(value)?,
        "timestamps" => tcp.timestamps = switch(value)?,
        "sack" => tcp.sack = switch(value)?,
        "ecn" => tcp.ecn = switch(value)?,
        "initial_rto" => tcp.initial_rto = duration(value)?,
        "min_rto" => tcp.min_rto = duration(value)?,
        "max_rto" => tcp.max_rto = duration(value)?,
        "initial_window" => tcp.initial_window = parsed(value)?,
        "delayed_ack" => tcp.delayed_ack = duration(value)?,
        "quick_acks" => tcp.quick_acks = parsed(value)?,
        "msl" => tcp.msl = duration(value)?,
        "fin_wait_2" => tcp.fin_wait_2 = duration(value)?,
        "syn_retries" => tcp.syn_retries = parsed(value)?,
        "syn_ack_retries" => tcp.syn_ack_retries = parsed(value)?,
        "retries" => tcp.retries = parsed(value)?,
        "challenge_acks_per_second" => tcp.challenge_acks_per_second = parsed(value)?,
        "resets_per_second" => tcp.resets_per_second = parsed(value)?,
        "path_mtu_discovery" => tcp.path_mtu_discovery = switch(value)?,
        "nagle" => tcp.nagle = switch(value)?,
        "keep_alive_idle" => tcp.keep_alive_idle = duration(value)?,
        "keep_alive_interval" => tcp.keep_alive_interval = duration(value)?,
        "keep_alive_count" => tcp.keep_alive_count = parsed(value)?,
        "congestion" => {
            tcp.congestion = congestion(value).ok_or(WrongSetting::Value("neither reno nor cubic"))?;
        }
        "syn_cookies" => {
            tcp.syn_cookies = match value {
                "never" => SynCookies::Never,
                "when_full" => SynCookies::WhenFull,
                "always" => SynCookies::Always,
                _ => return Err(WrongSetting::Value("neither never, when_full nor always")),
            };
        }
        _ => return Err(WrongSetting::Unknown),
    }
    Ok(())
}
