//! The socket and the timer of the client for the time.

use coracle_buf::{Arena, Error, Layer, Pbuf};
use coracle_wire::ntp::{HEADER_LEN, PORT};

use super::{Action, Sntp, SntpTime};
use crate::address::{Address, Endpoint};
use crate::config::{Config, Limits};
use crate::engine::{Engine, small_pbuf};
use crate::random::Random;
use crate::service::{Owner, SNTP_TIMER};
use crate::table::Key;

/// The client, its socket, and what it learned.
pub(crate) struct SntpService {
    pub(crate) client: Sntp,
    random: Random,
    socket: Option<Key>,
    time: Option<SntpTime>,
}

impl SntpService {
    pub(crate) fn new(arena: &mut Arena, limits: &Limits, config: &Config) -> Result<Self, Error> {
        Ok(Self {
            client: Sntp::new(arena, limits.sntp_servers, config.sntp.clone())?,
            // From a stream of its own, so that the time changes none of the other numbers.
            random: Random::new(&config.seed.map(|byte| byte ^ 0x6e)),
            socket: None,
            time: None,
        })
    }

    #[inline]
    pub(crate) fn events(&self) -> usize {
        usize::from(self.time.is_some())
    }

    pub(crate) fn take_time(&mut self) -> Option<SntpTime> {
        self.time.take()
    }
}

impl Engine {
    pub(crate) fn sntp_start(&mut self) {
        let sntp = &mut self.services.sntp;
        sntp.client.start(self.now, &mut sntp.random);
        self.sntp_act();
    }

    pub(crate) fn sntp_stop(&mut self) {
        self.services.sntp.client.stop();
        self.services.sntp.time = None;
        self.sntp_act();
    }

    /// Sets or removes a server; see `Stack::sntp_set_server` for the errors.
    pub(crate) fn sntp_set_server(
        &mut self,
        place: usize,
        address: Option<(core::net::IpAddr, u32)>,
    ) -> Result<(), Error> {
        self.services.sntp.client.set_server(place, address, self.now)?;
        self.sntp_act();
        Ok(())
    }

    /// Does what is due, and sets the timer.
    pub(crate) fn sntp_act(&mut self) {
        let now = self.now;
        loop {
            let sntp = &mut self.services.sntp;
            let Some(Action::Send { address, scope, message }) = sntp.client.advance(now, &mut sntp.random)
            else {
                break;
            };
            self.sntp_close();
            if self.sntp_send(address, scope, &message).is_err() {
                self.services.sntp.client.unreachable(now);
            }
        }
        if !self.services.sntp.client.is_waiting() {
            self.sntp_close();
        }
        let timer = self.timers.service(SNTP_TIMER);
        match self.services.sntp.client.next_deadline() {
            Some(deadline) => self.wheel.set(timer, deadline),
            None => self.wheel.cancel(timer),
        }
    }

    fn sntp_close(&mut self) {
        if let Some(key) = self.services.sntp.socket.take() {
            self.udp_remove(key);
        }
    }

    fn sntp_send(
        &mut self,
        address: core::net::IpAddr,
        scope: u32,
        message: &[u8; HEADER_LEN],
    ) -> Result<(), Error> {
        let slot = (scope as usize).checked_sub(1);
        let remote = Endpoint::new(Address::from_ip(address, slot)?, PORT);
        let key = self.udp_new(false, Owner::Sntp)?;
        self.services.sntp.socket = Some(key);
        self.udp_connect(key, remote)?;
        let mut data = small_pbuf(&self.memory, Layer::Transport, message.len())?;
        data.take(message)?;
        Ok(self.udp_send(key, None, None, data)?)
    }

    /// A datagram for the client.
    pub(crate) fn sntp_datagram(&mut self, data: &Pbuf) {
        let Some(info) = self.current else { return };
        let mut message = [0; HEADER_LEN];
        let len = data.copy_to(0, &mut message);
        let from = info.source.to_ip();
        let sntp = &mut self.services.sntp;
        if let Some(time) = sntp.client.input(from, info.source_port, &message[..len], self.now) {
            sntp.time = Some(time);
        }
        self.sntp_act();
    }

    /// The question came to nothing.
    pub(crate) fn sntp_failed(&mut self) {
        self.services.sntp.client.unreachable(self.now);
        self.sntp_act();
    }
}
