//! What the head of a script chooses: the stack, the addresses, how exact times must be.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{Failure, Outcome};
use crate::language::ast::{Script, Setting};
use crate::sockets::SocketsConfig;

/// What a script runs with; the defaults are packetdrill's.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) sockets: SocketsConfig,
    pub(super) remote: Ipv4Addr,
    /// The port of `bind(fd, ..., ...)`.
    pub(super) bind_port: u16,
    /// The port of `connect(fd, ..., ...)`.
    pub(super) connect_port: u16,
    /// By how many microseconds times may be wrong, and by which part of the time since the event before, in
    /// thousandths; the larger counts.
    pub(super) tolerance: u64,
    pub(super) tolerance_permille: u64,
    /// What is added to the sequence numbers that a script gives the peer.
    pub(super) remote_isn: u32,
    /// Packets that no line of the script expects are a failure at its end.
    pub(super) strict_end: bool,
    /// Timestamps must advance as the script's do, instead of being taken as they come.
    pub(super) exact_timestamps: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sockets: SocketsConfig::default(),
            remote: Ipv4Addr::new(192, 0, 2, 1),
            bind_port: 8_080,
            connect_port: 8_080,
            tolerance: 4_000,
            tolerance_permille: 125,
            remote_isn: 0,
            strict_end: true,
            exact_timestamps: false,
        }
    }
}

fn wrong(setting: &Setting, what: &str) -> Failure {
    Failure::new(setting.line, format!("{}={} is {what}", setting.name, setting.value))
}

fn parsed<T: std::str::FromStr>(setting: &Setting) -> Result<T, Failure> {
    setting.value.parse().map_err(|_| wrong(setting, "no value that it can have"))
}

/// `on` and `off`, `1` and `0`.
pub(super) fn switch(setting: &Setting) -> Result<bool, Failure> {
    match setting.value.as_str() {
        "on" | "1" => Ok(true),
        "off" | "0" => Ok(false),
        _ => Err(wrong(setting, "neither on nor off")),
    }
}

/// `200ms`, `1s`, `40us`.
pub(super) fn duration(setting: &Setting) -> Result<Duration, Failure> {
    let number = |unit: &str| setting.value.strip_suffix(unit)?.parse().ok();
    let micros = number("us").map(Duration::from_micros);
    micros
        .or_else(|| number("ms").map(Duration::from_millis))
        .or_else(|| number("s").map(Duration::from_secs))
        .ok_or_else(|| wrong(setting, "no time such as 200ms"))
}

impl Settings {
    /// The settings of a script; what it asks for that means nothing here is noted.
    pub(super) fn of(script: &Script, notes: &mut Vec<String>) -> Result<Self, Failure> {
        let mut settings = Self::default();
        for option in &script.options {
            if !settings.option(option)? {
                notes.push(format!("line {}: --{} has no meaning here", option.line, option.name));
            }
        }
        for (line, command) in &script.commands {
            if !settings.command(command) {
                notes.push(format!("line {line}: the command `{command}` was not run"));
            }
        }
        for directive in &script.directives {
            settings.directive(directive)?;
        }
        Ok(settings)
    }

    /// An option of packetdrill.
    fn option(&mut self, option: &Setting) -> Result<bool, Failure> {
        match option.name.as_str() {
            "tolerance_usecs" => self.tolerance = parsed(option)?,
            "local_ip" => self.sockets.address = Self::address(option)?,
            "remote_ip" => {
                let plain = option.value.split('/').next().unwrap_or_default().to_owned();
                self.remote = Self::address(&Setting { value: plain, ..option.clone() })?;
            }
            "bind_port" => self.bind_port = parsed(option)?,
            "connect_port" => self.connect_port = parsed(option)?,
            "mtu" => self.sockets.mtu = parsed(option)?,
            "tcp_ts_tick_usecs" => self.exact_timestamps = parsed::<u64>(option)? != 0,
            "ip_version" if option.value != "ipv4" => return Err(Self::no_ipv6(option.line)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn address(setting: &Setting) -> Result<Ipv4Addr, Failure> {
        match parsed(setting)? {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(_) => Err(Self::no_ipv6(setting.line)),
        }
    }

    /// What is said of everything that needs IPv6.
    pub(super) fn no_ipv6(line: u32) -> Failure {
        Failure {
            outcome: Outcome::Unsupported,
            ..Failure::new(line, "the stack does not speak IPv6".into())
        }
    }

    /// A setting of our own.
    fn directive(&mut self, directive: &Setting) -> Result<(), Failure> {
        match directive.name.as_str() {
            "tolerance" => {
                self.tolerance = duration(directive)?.as_micros() as u64;
                self.tolerance_permille = 0;
            }
            "mtu" => self.sockets.mtu = parsed(directive)?,
            "remote_isn" => self.remote_isn = parsed(directive)?,
            "seed" => self.sockets.config.seed = [parsed(directive)?; 16],
            "end" => {
                self.strict_end = match directive.value.as_str() {
                    "strict" => true,
                    "lenient" => false,
                    _ => return Err(wrong(directive, "neither strict nor lenient")),
                };
            }
            "broadcast_echo" => self.sockets.config.broadcast_echo = switch(directive)?,
            "icmp_errors_per_second" => self.sockets.config.icmp_errors_per_second = parsed(directive)?,
            "icmp_error_burst" => self.sockets.config.icmp_error_burst = parsed(directive)?,
            "ttl" => self.sockets.config.default_ttl = parsed(directive)?,
            _ => return Err(wrong(directive, "no setting")),
        }
        Ok(())
    }

    /// The settings of a kernel that a shell command makes; false: it makes none that is known here.
    fn command(&mut self, command: &str) -> bool {
        let mut understood = false;
        for word in command.split([' ', '\n', ';', '"', '\'']) {
            let Some((name, value)) = word.split_once('=') else { continue };
            let name = name.trim_start_matches("/proc/sys/").replace('/', ".");
            understood |= self.kernel_setting(&name, value);
        }
        understood
    }

    fn kernel_setting(&mut self, name: &str, value: &str) -> bool {
        match (name, value.parse()) {
            ("net.ipv4.ip_default_ttl", Ok(ttl)) => self.sockets.config.default_ttl = ttl,
            _ => return false,
        }
        true
    }
}
