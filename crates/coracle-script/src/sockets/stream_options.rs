//! The options of TCP sockets.

use std::time::Duration;

use coracle::{CUBIC, CongestionControl, NEW_RENO};

use super::constants::{
    IP_TOS, IP_TTL, IPPROTO_TCP, SO_ACCEPTCONN, SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_PROTOCOL, SO_RCVBUF,
    SO_REUSEADDR, SO_SNDBUF, SO_TYPE, SOCK_STREAM, SOL_IP, SOL_SOCKET, SOL_TCP, TCP_CONGESTION, TCP_CORK,
    TCP_INFO, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_MAXSEG, TCP_NODELAY, TCP_USER_TIMEOUT,
};
use super::options::{Kept, integer};
use super::stream::{Role, Stream};
use super::{Errno, Sockets, info};

/// The congestion control with a name of Linux.
pub(crate) fn congestion(name: &str) -> Option<&'static dyn CongestionControl> {
    match name {
        "reno" => Some(&NEW_RENO),
        "cubic" => Some(&CUBIC),
        _ => None,
    }
}

/// The name of Linux for a congestion control.
pub(super) fn congestion_name(control: &dyn CongestionControl) -> &'static str {
    if control.name() == CUBIC.name() { "cubic" } else { "reno" }
}

impl Sockets {
    pub(super) fn stream_option(
        &mut self,
        fd: i32,
        socket: &Stream,
        option: (i32, i32),
    ) -> Result<Vec<u8>, Errno> {
        let kept = self.descriptor(fd)?.settings.clone();
        let whole = |number: u128| i32::try_from(number).unwrap_or(i32::MAX);
        let value = match option {
            (SOL_SOCKET, SO_TYPE) => SOCK_STREAM,
            (SOL_SOCKET, SO_PROTOCOL) => IPPROTO_TCP,
            (SOL_SOCKET, SO_ACCEPTCONN) => matches!(socket.role, Role::Listener(_)).into(),
            (SOL_SOCKET, SO_ERROR) => socket.endpoint.mailbox().error.take().map_or(0, Errno::number),
            (SOL_SOCKET, SO_KEEPALIVE) => kept.keep_alive.into(),
            (SOL_SOCKET, SO_LINGER) => {
                let time = kept.linger.unwrap_or(0);
                return Ok([i32::from(kept.linger.is_some()).to_ne_bytes(), time.to_ne_bytes()].concat());
            }
            (SOL_TCP, TCP_NODELAY) => kept.no_delay.into(),
            (SOL_TCP, TCP_CORK) => kept.cork.into(),
            (SOL_TCP, TCP_MAXSEG) => match socket.tcp(&mut self.stack) {
                Some(tcp) => tcp.mss()?.into(),
                None => kept.mss.unwrap_or(536).into(),
            },
            (SOL_TCP, TCP_KEEPIDLE) => whole(kept.keep_idle.as_secs().into()),
            (SOL_TCP, TCP_KEEPINTVL) => whole(kept.keep_interval.as_secs().into()),
            (SOL_TCP, TCP_KEEPCNT) => kept.keep_count.into(),
            (SOL_TCP, TCP_USER_TIMEOUT) => whole(kept.user_timeout.map_or(0, |time| time.as_millis())),
            (SOL_TCP, TCP_CONGESTION) => {
                let mut name = kept.congestion.as_bytes().to_vec();
                name.resize(16, 0);
                return Ok(name);
            }
            (SOL_TCP, TCP_INFO) => return Ok(info::bytes(&self.tcp_info(fd)?)),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(value.to_ne_bytes().to_vec())
    }

    pub(super) fn set_stream_option(
        &mut self,
        fd: i32,
        socket: &Stream,
        option: (i32, i32),
        bytes: &[u8],
    ) -> Result<(), Errno> {
        let mut kept = self.descriptor(fd)?.settings.clone();
        match option {
            (SOL_SOCKET, SO_LINGER) => {
                let (on, time) = (integer(bytes)?, integer(bytes.get(4..).unwrap_or_default())?);
                kept.linger = (on != 0).then_some(time);
            }
            (SOL_TCP, TCP_CONGESTION) => {
                let name = String::from_utf8_lossy(bytes);
                let control = congestion(name.trim_end_matches('\0')).ok_or(Errno::ENOENT)?;
                kept.congestion = congestion_name(control);
                if let Some(mut tcp) = socket.tcp(&mut self.stack) {
                    tcp.set_congestion_control(control)?;
                }
            }
            _ => {
                keep(&mut kept, option, integer(bytes)?)?;
                self.apply(socket, &kept, option)?;
            }
        }
        self.descriptor_mut(fd)?.settings = kept;
        Ok(())
    }

    /// Tells the stack of an option that was set.
    fn apply(&mut self, socket: &Stream, kept: &Kept, option: (i32, i32)) -> Result<(), Errno> {
        if let Role::Listener(handle) = socket.role {
            let mut listener = self.stack.tcp_listener(handle)?;
            return Ok(match option {
                (SOL_SOCKET, SO_KEEPALIVE) => listener.set_keep_alive(kept.keep_alive),
                (SOL_TCP, TCP_KEEPIDLE | TCP_KEEPINTVL | TCP_KEEPCNT) => {
                    listener.set_keep_alive_times(kept.keep_idle, kept.keep_interval, kept.keep_count)
                }
                (SOL_IP, IP_TTL) => listener.set_ttl(kept.ttl),
                (SOL_IP, IP_TOS) => listener.set_tos(kept.tos),
                // What is left is set on each connection when it is accepted.
                _ => Ok(()),
            }?);
        }
        if option == (SOL_TCP, TCP_CORK) && !kept.cork {
            socket.flush(&mut self.stack);
        }
        let Some(mut tcp) = socket.tcp(&mut self.stack) else { return Ok(()) };
        Ok(match option {
            (SOL_SOCKET, SO_REUSEADDR) => tcp.set_reuse_address(kept.reuse_address),
            (SOL_SOCKET, SO_KEEPALIVE) => tcp.set_keep_alive(kept.keep_alive),
            // The doubled value is for bookkeeping; the window is half of it.
            (SOL_SOCKET, SO_RCVBUF) => tcp.set_receive_buffer(kept.receive_buffer.unsigned_abs() / 2),
            (SOL_SOCKET, SO_SNDBUF) => tcp.set_send_buffer(kept.send_buffer.unsigned_abs()),
            (SOL_TCP, TCP_NODELAY) => tcp.set_nagle(!kept.no_delay),
            (SOL_TCP, TCP_MAXSEG) => tcp.set_mss(kept.mss.unwrap_or(536)),
            (SOL_TCP, TCP_KEEPIDLE | TCP_KEEPINTVL | TCP_KEEPCNT) => {
                tcp.set_keep_alive_times(kept.keep_idle, kept.keep_interval, kept.keep_count)
            }
            (SOL_TCP, TCP_USER_TIMEOUT) => tcp.set_user_timeout(kept.user_timeout),
            (SOL_IP, IP_TTL) => tcp.set_ttl(kept.ttl),
            (SOL_IP, IP_TOS) => tcp.set_tos(kept.tos),
            _ => Ok(()),
        }?)
    }

    /// Sets on a connection what its listener's socket had and its listener does not hand on.
    pub(super) fn inherit(&mut self, socket: &Stream, kept: &Kept) -> Result<(), Errno> {
        for option in [(SOL_TCP, TCP_NODELAY), (SOL_TCP, TCP_USER_TIMEOUT)] {
            self.apply(socket, kept, option)?;
        }
        Ok(())
    }
}

/// Notes the value of an option.
fn keep(kept: &mut Kept, option: (i32, i32), value: i32) -> Result<(), Errno> {
    let on = value != 0;
    let seconds = || match value {
        1..=32_767 => Ok(Duration::from_secs(value.unsigned_abs().into())),
        _ => Err(Errno::EINVAL),
    };
    match option {
        (SOL_SOCKET, SO_REUSEADDR) => kept.reuse_address = on,
        (SOL_SOCKET, SO_KEEPALIVE) => kept.keep_alive = on,
        (SOL_SOCKET, SO_RCVBUF) => kept.set_receive_buffer(value),
        (SOL_SOCKET, SO_SNDBUF) => kept.set_send_buffer(value),
        (SOL_TCP, TCP_NODELAY) => kept.no_delay = on,
        (SOL_TCP, TCP_CORK) => kept.cork = on,
        (SOL_TCP, TCP_MAXSEG) => match u16::try_from(value) {
            Ok(mss @ 88..=32_767) => kept.mss = Some(mss),
            _ => return Err(Errno::EINVAL),
        },
        (SOL_TCP, TCP_KEEPIDLE) => kept.keep_idle = seconds()?,
        (SOL_TCP, TCP_KEEPINTVL) => kept.keep_interval = seconds()?,
        (SOL_TCP, TCP_KEEPCNT) => match u8::try_from(value) {
            Ok(probes @ 1..=127) => kept.keep_count = probes,
            _ => return Err(Errno::EINVAL),
        },
        (SOL_TCP, TCP_USER_TIMEOUT) => {
            let millis = u64::try_from(value).map_err(|_| Errno::EINVAL)?;
            kept.user_timeout = on.then(|| Duration::from_millis(millis));
        }
        (SOL_IP, IP_TTL) => kept.ttl = u8::try_from(value).map_err(|_| Errno::EINVAL)?,
        (SOL_IP, IP_TOS) => kept.tos = u8::try_from(value).map_err(|_| Errno::EINVAL)?,
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(())
}
