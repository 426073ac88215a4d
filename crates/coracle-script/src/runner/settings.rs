//! What the head of a script chooses: the stack, the addresses, how exact times must be.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use coracle::{SynCookies, TcpConfig};

use super::Failure;
use crate::language::ast::{Script, Setting};
use crate::sockets::{SocketsConfig, congestion, settings};

/// packetdrill's `--ip_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
    /// Sockets of IPv6, packets of IPv4.
    Mapped,
}

/// What a script runs with; the defaults are packetdrill's.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) sockets: SocketsConfig,
    /// Which packets there are, and which sockets.
    pub(super) version: Version,
    /// The peer's address, if not packetdrill's.
    remote: Option<IpAddr>,
    /// Where the peer's packets go, if not to the stack's address.
    pub(super) destination: Option<IpAddr>,
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
    /// The PSH flag is not looked at.
    pub(super) any_push: bool,
    /// Timestamps must advance as the script's do, instead of being taken as they come.
    pub(super) exact_timestamps: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sockets: SocketsConfig::default(),
            version: Version::V4,
            remote: None,
            destination: None,
            bind_port: 8_080,
            connect_port: 8_080,
            tolerance: 4_000,
            tolerance_permille: 125,
            remote_isn: 0,
            strict_end: true,
            any_push: false,
            exact_timestamps: false,
        }
    }
}

fn wrong(setting: &Setting, what: impl fmt::Display) -> Failure {
    Failure::new(setting.line, format!("{}={} is {what}", setting.name, setting.value))
}

fn parsed<T: std::str::FromStr>(setting: &Setting) -> Result<T, Failure> {
    settings::parsed(&setting.value).map_err(|what| wrong(setting, what))
}

/// Linux's numbers for SYN cookies.
fn cookies(number: u32) -> SynCookies {
    match number {
        0 => SynCookies::Never,
        1 => SynCookies::WhenFull,
        _ => SynCookies::Always,
    }
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
            "local_ip" => match Self::address(option)? {
                IpAddr::V4(address) => self.sockets.address = address,
                IpAddr::V6(address) => self.sockets.address_v6 = address,
            },
            "remote_ip" => {
                let plain = option.value.split('/').next().unwrap_or_default().to_owned();
                self.remote = Some(Self::address(&Setting { value: plain, ..option.clone() })?);
            }
            "bind_port" => self.bind_port = parsed(option)?,
            "connect_port" => self.connect_port = parsed(option)?,
            "mtu" => self.sockets.mtu = parsed(option)?,
            "tcp_ts_tick_usecs" => self.exact_timestamps = parsed::<u64>(option)? != 0,
            "ip_version" => {
                self.version = match option.value.as_str() {
                    "ipv4" => Version::V4,
                    "ipv6" => Version::V6,
                    "ipv4-mapped-ipv6" => Version::Mapped,
                    _ => return Err(wrong(option, "neither ipv4, ipv6 nor ipv4-mapped-ipv6")),
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn address(setting: &Setting) -> Result<IpAddr, Failure> {
        parsed(setting)
    }

    /// The stack's address.
    pub(super) fn local(&self) -> IpAddr {
        match self.version {
            Version::V4 | Version::Mapped => self.sockets.address.into(),
            Version::V6 => self.sockets.address_v6.into(),
        }
    }

    /// The peer's address.
    pub(super) fn remote(&self) -> IpAddr {
        self.remote.unwrap_or(match self.version {
            Version::V4 | Version::Mapped => Ipv4Addr::new(192, 0, 2, 1).into(),
            Version::V6 => Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1).into(),
        })
    }

    /// A setting of our own.
    fn directive(&mut self, directive: &Setting) -> Result<(), Failure> {
        match directive.name.as_str() {
            "tolerance" => {
                self.tolerance = settings::duration(&directive.value)
                    .map_err(|what| wrong(directive, what))?
                    .as_micros() as u64;
                self.tolerance_permille = 0;
            }
            "destination" => self.destination = Some(parsed(directive)?),
            "remote_isn" => self.remote_isn = parsed(directive)?,
            "end" => {
                self.strict_end = match directive.value.as_str() {
                    "strict" => true,
                    "lenient" => false,
                    _ => return Err(wrong(directive, "neither strict nor lenient")),
                };
            }
            "push" => {
                self.any_push = match directive.value.as_str() {
                    "exact" => false,
                    "any" => true,
                    _ => return Err(wrong(directive, "neither exact nor any")),
                };
            }
            name => {
                let set = self.sockets.set(name, &directive.value);
                set.map_err(|what| wrong(directive, what))?;
            }
        }
        Ok(())
    }

    /// The settings of a kernel that a shell command makes; false: it makes none that is known here.
    fn command(&mut self, command: &str) -> bool {
        let mut understood = command.contains("defaults.sh");
        if understood {
            self.sockets.linux();
        }
        for word in command.split([' ', '\n', ';', '"', '\'']) {
            let Some((name, value)) = word.split_once('=') else { continue };
            let name = name.trim_start_matches("/proc/sys/").replace('/', ".");
            understood |= self.kernel_setting(&name, value);
        }
        understood
    }

    fn kernel_setting(&mut self, name: &str, value: &str) -> bool {
        let Ok(number) = value.parse::<u32>() else {
            let Some(control) = congestion(value).filter(|_| name == "net.ipv4.tcp_congestion_control")
            else {
                return false;
            };
            self.tcp().congestion = control;
            return true;
        };
        let (on, small) = (number != 0, u8::try_from(number).unwrap_or(u8::MAX));
        let seconds = Duration::from_secs(number.into());
        match name {
            "net.ipv4.ip_default_ttl" => self.sockets.config.default_ttl = small,
            "net.ipv4.tcp_sack" => self.tcp().sack = on,
            "net.ipv4.tcp_timestamps" => self.tcp().timestamps = on,
            "net.ipv4.tcp_window_scaling" => self.tcp().window_scaling = on,
            "net.ipv4.tcp_ecn" => self.tcp().ecn = number == 1,
            "net.ipv4.tcp_syn_retries" => self.tcp().syn_retries = small,
            "net.ipv4.tcp_synack_retries" => self.tcp().syn_ack_retries = small,
            "net.ipv4.tcp_retries2" => self.tcp().retries = small,
            "net.ipv4.tcp_fin_timeout" => self.tcp().fin_wait_2 = seconds,
            "net.ipv4.tcp_keepalive_time" => self.tcp().keep_alive_idle = seconds,
            "net.ipv4.tcp_keepalive_intvl" => self.tcp().keep_alive_interval = seconds,
            "net.ipv4.tcp_keepalive_probes" => self.tcp().keep_alive_count = small,
            "net.ipv4.tcp_challenge_ack_limit" => {
                self.tcp().challenge_acks_per_second = number.try_into().unwrap_or(u16::MAX);
            }
            "net.ipv4.tcp_syncookies" => self.tcp().syn_cookies = cookies(number),
            "net.ipv4.ip_no_pmtu_disc" => self.tcp().path_mtu_discovery = !on,
            _ => return false,
        }
        true
    }

    fn tcp(&mut self) -> &mut TcpConfig {
        &mut self.sockets.config.tcp
    }
}
