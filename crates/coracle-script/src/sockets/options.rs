//! `getsockopt(2)` and `setsockopt(2)`.

use std::time::Duration;

use coracle::Config;

use super::constants::{
    AF_INET, AF_INET6, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_TOS, IP_TTL, IPPROTO_UDP, IPPROTO_UDPLITE,
    IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SO_ACCEPTCONN, SO_BROADCAST, SO_DOMAIN, SO_ERROR,
    SO_NO_CHECK, SO_PROTOCOL, SO_RCVBUF, SO_RCVTIMEO, SO_REUSEADDR, SO_SNDBUF, SO_SNDTIMEO, SO_TYPE,
    SOCK_DGRAM, SOL_IP, SOL_IPV6, SOL_SOCKET,
};
use super::family::Family;
use super::stream_options::congestion_name;
use super::{Errno, Kind, Sockets, count};

/// What was set and is asked for again.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) reuse_address: bool,
    pub(super) broadcast: bool,
    pub(super) no_checksum: bool,
    pub(super) receive_buffer: i32,
    pub(super) send_buffer: i32,
    pub(super) ttl: u8,
    pub(super) tos: u8,
    pub(super) multicast_ttl: u8,
    pub(super) multicast_loop: bool,
    pub(super) keep_alive: bool,
    /// The seconds of `SO_LINGER`, if it is on.
    pub(super) linger: Option<i32>,
    pub(super) no_delay: bool,
    pub(super) cork: bool,
    pub(super) mss: Option<u16>,
    pub(super) keep_idle: Duration,
    pub(super) keep_interval: Duration,
    pub(super) keep_count: u8,
    pub(super) user_timeout: Option<Duration>,
    pub(super) congestion: &'static str,
}

impl Kept {
    /// What a new socket has.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            reuse_address: false,
            broadcast: false,
            no_checksum: false,
            receive_buffer: count(super::BUFFER),
            send_buffer: count(super::BUFFER),
            ttl: config.default_ttl,
            tos: 0,
            multicast_ttl: 1,
            multicast_loop: true,
            keep_alive: false,
            linger: None,
            no_delay: !config.tcp.nagle,
            cork: false,
            mss: None,
            keep_idle: config.tcp.keep_alive_idle,
            keep_interval: config.tcp.keep_alive_interval,
            keep_count: config.tcp.keep_alive_count,
            user_timeout: None,
            congestion: congestion_name(config.tcp.congestion),
        }
    }

    /// Linux doubles the value, for its own bookkeeping.
    pub(super) fn set_receive_buffer(&mut self, value: i32) {
        self.receive_buffer = value.max(1_152).saturating_mul(2);
    }

    /// The same of what is sent.
    pub(super) fn set_send_buffer(&mut self, value: i32) {
        self.send_buffer = value.max(2_304).saturating_mul(2);
    }
}

/// Options of IPv6 that the stack has under one name with those of IPv4.
fn of_either_family(level: i32, name: i32) -> (i32, i32) {
    match (level, name) {
        (SOL_IPV6, IPV6_UNICAST_HOPS) => (SOL_IP, IP_TTL),
        (SOL_IPV6, IPV6_TCLASS) => (SOL_IP, IP_TOS),
        other => other,
    }
}

/// The integer that most options are.
pub(super) fn integer(value: &[u8]) -> Result<i32, Errno> {
    let bytes = value.first_chunk().ok_or(Errno::EINVAL)?;
    Ok(i32::from_ne_bytes(*bytes))
}

/// A `struct timeval`; zero is no limit.
fn time(value: &[u8]) -> Result<Option<Duration>, Errno> {
    let (seconds, rest) = value.split_first_chunk::<8>().ok_or(Errno::EINVAL)?;
    let micros = rest.first_chunk::<8>().ok_or(Errno::EINVAL)?;
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).map_err(|_| Errno::EDOM)?;
    let micros = u64::try_from(i64::from_ne_bytes(*micros)).ok().filter(|&micros| micros < 1_000_000);
    let time = Duration::from_secs(seconds) + Duration::from_micros(micros.ok_or(Errno::EDOM)?);
    Ok(if time.is_zero() { None } else { Some(time) })
}

fn time_bytes(time: Option<Duration>) -> Vec<u8> {
    let time = time.unwrap_or_default();
    let seconds = time.as_secs().cast_signed();
    [seconds.to_ne_bytes(), i64::from(time.subsec_micros()).to_ne_bytes()].concat()
}

impl Sockets {
    /// `getsockopt(2)`: the bytes of the value.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` for an option that is not known, `EBADF`.
    pub fn option(&mut self, fd: i32, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        let kind = self.kind(fd)?;
        let descriptor = self.descriptor(fd)?;
        let kept = &descriptor.settings;
        let (level, name) = of_either_family(level, name);
        let value = match (level, name) {
            (SOL_SOCKET, SO_RCVTIMEO) => return Ok(time_bytes(descriptor.receive_timeout)),
            (SOL_SOCKET, SO_SNDTIMEO) => return Ok(time_bytes(descriptor.send_timeout)),
            (SOL_SOCKET, SO_DOMAIN) if descriptor.family == Family::V4 => AF_INET,
            (SOL_SOCKET, SO_DOMAIN) => AF_INET6,
            (SOL_IPV6, IPV6_V6ONLY) => (descriptor.family == Family::V6 { only: true }).into(),
            (SOL_SOCKET, SO_REUSEADDR) => kept.reuse_address.into(),
            (SOL_SOCKET, SO_RCVBUF) => kept.receive_buffer,
            (SOL_SOCKET, SO_SNDBUF) => kept.send_buffer,
            (SOL_IP, IP_TTL) => kept.ttl.into(),
            (SOL_IP, IP_TOS) => kept.tos.into(),
            _ => match kind {
                Kind::Stream(socket) => return self.stream_option(fd, &socket, (level, name)),
                Kind::Datagram(socket) => match (level, name) {
                    (SOL_SOCKET, SO_TYPE) => SOCK_DGRAM,
                    (SOL_SOCKET, SO_PROTOCOL) => {
                        if socket.lite {
                            IPPROTO_UDPLITE
                        } else {
                            IPPROTO_UDP
                        }
                    }
                    (SOL_SOCKET, SO_ACCEPTCONN) => 0,
                    (SOL_SOCKET, SO_ERROR) => socket.endpoint.mailbox().error.take().map_or(0, Errno::number),
                    (SOL_SOCKET, SO_BROADCAST) => kept.broadcast.into(),
                    (SOL_SOCKET, SO_NO_CHECK) => kept.no_checksum.into(),
                    (SOL_IP, IP_MULTICAST_TTL) => kept.multicast_ttl.into(),
                    (SOL_IP, IP_MULTICAST_LOOP) => kept.multicast_loop.into(),
                    _ => return Err(Errno::ENOPROTOOPT),
                },
            },
        };
        Ok(value.to_ne_bytes().to_vec())
    }

    /// `setsockopt(2)`.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` for an option that is not known, `EINVAL` for a value that it cannot have, `EBADF`.
    pub fn set_option(&mut self, fd: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        let kind = self.kind(fd)?;
        let descriptor = self.descriptor_mut(fd)?;
        let (level, name) = of_either_family(level, name);
        match (level, name) {
            (SOL_IPV6, IPV6_V6ONLY) if descriptor.family != Family::V4 => {
                descriptor.family = Family::V6 { only: integer(value)? != 0 };
            }
            (SOL_SOCKET, SO_RCVTIMEO) => descriptor.receive_timeout = time(value)?,
            (SOL_SOCKET, SO_SNDTIMEO) => descriptor.send_timeout = time(value)?,
            (SOL_SOCKET, SO_TYPE | SO_PROTOCOL | SO_DOMAIN | SO_ERROR | SO_ACCEPTCONN) => {
                return Err(Errno::ENOPROTOOPT);
            }
            _ => match kind {
                Kind::Stream(socket) => self.set_stream_option(fd, &socket, (level, name), value)?,
                Kind::Datagram(socket) => {
                    let number = integer(value)?;
                    self.set_datagram_option(fd, &socket, (level, name), number)?;
                }
            },
        }
        self.settle();
        Ok(())
    }

    fn set_datagram_option(
        &mut self,
        fd: i32,
        socket: &super::Datagram,
        option: (i32, i32),
        value: i32,
    ) -> Result<(), Errno> {
        let octet = || u8::try_from(value).map_err(|_| Errno::EINVAL);
        let mut udp = self.stack.udp(socket.handle)?;
        let mut kept = self.descriptors.get(&fd).ok_or(Errno::EBADF)?.settings.clone();
        match option {
            (SOL_SOCKET, SO_REUSEADDR) => {
                kept.reuse_address = value != 0;
                udp.set_reuse_address(kept.reuse_address)?;
            }
            (SOL_SOCKET, SO_BROADCAST) => {
                kept.broadcast = value != 0;
                udp.set_broadcast(kept.broadcast)?;
            }
            (SOL_SOCKET, SO_NO_CHECK) => {
                kept.no_checksum = value != 0;
                udp.set_no_checksum(kept.no_checksum)?;
            }
            (SOL_SOCKET, SO_RCVBUF) => {
                kept.set_receive_buffer(value);
                socket.endpoint.mailbox().room = kept.receive_buffer.unsigned_abs() as usize;
            }
            (SOL_SOCKET, SO_SNDBUF) => kept.set_send_buffer(value),
            (SOL_IP, IP_TTL) => {
                kept.ttl = octet()?;
                udp.set_ttl(kept.ttl)?;
            }
            (SOL_IP, IP_TOS) => {
                kept.tos = octet()?;
                udp.set_tos(kept.tos)?;
            }
            (SOL_IP, IP_MULTICAST_TTL) => {
                kept.multicast_ttl = octet()?;
                udp.set_multicast_ttl(kept.multicast_ttl)?;
            }
            (SOL_IP, IP_MULTICAST_LOOP) => {
                kept.multicast_loop = value != 0;
                udp.set_multicast_loop(kept.multicast_loop)?;
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        self.descriptor_mut(fd)?.settings = kept;
        Ok(())
    }
}
