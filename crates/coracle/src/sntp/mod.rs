//! A client for the time of day: SNTP, the simple way to use NTP [RFC 5905 §14, RFC 4330].
//!
//! The stack has no clock that could be set. It asks, measures, and tells the owner what time it is ([`SntpTime`]); what
//! he does with it is his own business.

mod engine;

pub(crate) use engine::SntpService;

use core::net::IpAddr;
use core::time::Duration;

use coracle_buf::{Arena, Error, Table};
use coracle_wire::ntp::{HEADER_LEN, Kiss, LEAP_ALARM, NtpHeader, NtpTimestamp, PORT, mode};

use crate::random::Random;
use crate::time::Instant;

/// How the time of day is asked for. lwIP: the options `SNTP_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SntpConfig {
    /// The first question leaves after a random part of this time, so that many devices that are switched on at once do
    /// not ask at once [RFC 4330 §10]. lwIP: `SNTP_STARTUP_DELAY`.
    pub startup: Duration,
    /// How long a server has to answer. lwIP: `SNTP_RECV_TIMEOUT`.
    pub timeout: Duration,
    /// The time between two questions, when there are answers; 15 seconds at the least [RFC 4330 §10]. lwIP:
    /// `SNTP_UPDATE_DELAY`.
    pub interval: Duration,
    /// The time before all servers are asked again when none answered; it doubles each time. lwIP: `SNTP_RETRY_TIMEOUT`.
    pub retry: Duration,
    /// The longest time before they are asked again. lwIP: `SNTP_RETRY_TIMEOUT_MAX`.
    pub longest_retry: Duration,
    /// About when it is, as time since 1970, such as when the program was built: which of NTP's eras of 136 years is meant
    /// follows from it.
    pub about: Duration,
}

impl SntpConfig {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        startup: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        interval: Duration::from_hours(1),
        retry: Duration::from_secs(15),
        longest_retry: Duration::from_mins(10),
        // The start of 2026.
        about: Duration::from_hours(490_896),
    };
}

/// Servers are not asked more often [RFC 4330 §10].
const SHORTEST_INTERVAL: Duration = Duration::from_secs(15);
/// How wrong a server's clock may be by its own word, and how far from a true one: a second [RFC 4330 §5].
const ONE_SECOND: u32 = 1 << 16;

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SntpTime {
    /// The time since 1970 (UTC) at the stack's present time, half of the way to the server and back taken into account.
    pub unix: Duration,
    /// The way to the server and back; `unix` is wrong by no more than half of it, and what the server is.
    pub round_trip: Duration,
    /// Who said so.
    pub server: IpAddr,
    /// Hops from that server to a clock, 1 to 15.
    pub stratum: u8,
    /// 1 when the last minute of this day has 61 seconds, 2 when it has 59, else 0.
    pub leap: u8,
}

/// What happened to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SntpCounters {
    /// Questions sent.
    pub sent: u32,
    /// Times learned.
    pub answers: u32,
    /// Messages that are no answer to the question, or whose sender has no time to give.
    pub refused: u32,
    /// Kisses of death.
    pub kisses: u32,
    /// Questions that were not answered in time.
    pub timeouts: u32,
}

/// A server, and how well it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: IpAddr,
    pub(crate) scope: u32,
    /// A bit for each of the last eight questions: whether it was answered; the last one is the lowest. lwIP:
    /// `sntp_getreachability`.
    pub(crate) reachability: u8,
    /// It said that it must not be asked. lwIP: `sntp_getkodreceived`.
    pub(crate) kissed: bool,
    /// It is asked so many times less often than configured, as a power of two.
    slower: u8,
    /// Not to be asked before.
    not_before: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    /// Until then there is nothing to do.
    Resting(Instant),
    /// This server was asked.
    Asked {
        server: usize,
        nonce: NtpTimestamp,
        sent: Instant,
        deadline: Instant,
    },
}

/// What the owner of the socket is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send this to the server's port 123, from a port that was not used before.
    Send { address: IpAddr, scope: u32, message: [u8; HEADER_LEN] },
}

/// The client.
pub(crate) struct Sntp {
    config: SntpConfig,
    pub(crate) counters: SntpCounters,
    servers: Table<Option<Server>>,
    state: State,
    /// The server to ask next, if it may be asked.
    next: usize,
    /// Questions in a row without an answer.
    failures: u32,
    retry: Duration,
    about: Duration,
}

impl Sntp {
    pub(crate) fn new(arena: &mut Arena, servers: usize, config: SntpConfig) -> Result<Self, Error> {
        let about = config.about;
        Ok(Self {
            config,
            counters: SntpCounters::default(),
            servers: arena.table(servers, |_| None)?,
            state: State::Off,
            next: 0,
            failures: 0,
            retry: Duration::ZERO,
            about,
        })
    }

    /// Begins to ask.
    pub(crate) fn start(&mut self, now: Instant, random: &mut Random) {
        if self.state == State::Off {
            let most = self.config.startup.as_millis().min(u128::from(u32::MAX - 1)) as u32;
            let delay = Duration::from_millis(random.below(most + 1).into());
            self.state = State::Resting(now + delay);
            self.retry = self.config.retry.max(SHORTEST_INTERVAL);
            self.failures = 0;
            self.next = 0;
        }
    }

    pub(crate) fn stop(&mut self) {
        self.state = State::Off;
    }

    pub(crate) fn is_on(&self) -> bool {
        self.state != State::Off
    }

    /// Sets or removes a server; [`Error::Argument`] when there is no such place. What was known about the place is
    /// forgotten.
    pub(crate) fn set_server(
        &mut self,
        place: usize,
        address: Option<(IpAddr, u32)>,
        now: Instant,
    ) -> Result<(), Error> {
        let slot = self.servers.get_mut(place).ok_or(Error::Argument)?;
        if slot.map(|server| (server.address, server.scope)) == address {
            return Ok(());
        }
        *slot = address.map(|(address, scope)| Server {
            address,
            scope,
            reachability: 0,
            kissed: false,
            slower: 0,
            not_before: Instant::ZERO,
        });
        match self.state {
            State::Asked { server, .. } if server == place => self.state = State::Resting(now),
            // Whoever waits because there was nobody to ask need not wait any more.
            State::Resting(until) if self.failures > 0 => self.state = State::Resting(until.min(now)),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn server(&self, place: usize) -> Option<&Server> {
        self.servers.get(place)?.as_ref()
    }

    /// Whether an answer is awaited.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Asked { .. })
    }

    /// When [`advance`](Self::advance) must be called at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Off => None,
            State::Resting(until) => Some(until),
            State::Asked { deadline, .. } => Some(deadline),
        }
    }

    /// Does what is due, and says what is to be sent.
    pub(crate) fn advance(&mut self, now: Instant, random: &mut Random) -> Option<Action> {
        match self.state {
            State::Asked { server, deadline, .. } if deadline <= now => {
                self.counters.timeouts = self.counters.timeouts.wrapping_add(1);
                self.failed(server, now);
            }
            _ => {}
        }
        match self.state {
            State::Resting(until) if until <= now => self.ask(now, random),
            _ => None,
        }
    }

    fn ask(&mut self, now: Instant, random: &mut Random) -> Option<Action> {
        let Some(place) = self.choose(now) else {
            self.rest_until_somebody_may_be_asked(now);
            return None;
        };
        let server = self.servers[place].as_mut()?;
        // The answer is told by nothing else, so it must not be guessed [RFC 4330 §5, RFC 9109]; and it need not be a time.
        let nonce = NtpTimestamp(random.next_u64() | 1);
        server.reachability <<= 1;
        server.not_before = now + SHORTEST_INTERVAL;
        let (address, scope) = (server.address, server.scope);
        self.state = State::Asked { server: place, nonce, sent: now, deadline: now + self.config.timeout };
        self.counters.sent = self.counters.sent.wrapping_add(1);
        let mut message = [0; HEADER_LEN];
        NtpHeader::write_request(&mut message, nonce);
        Some(Action::Send { address, scope, message })
    }

    /// The next server, from the present one on, that may be asked now.
    fn choose(&self, now: Instant) -> Option<usize> {
        let count = self.servers.len();
        let order = (0..count).map(|step| (self.next + step) % count);
        let may = |server: &Server| !server.kissed && server.not_before <= now;
        order.into_iter().find(|&place| self.servers[place].as_ref().is_some_and(may))
    }

    fn rest_until_somebody_may_be_asked(&mut self, now: Instant) {
        let usable = self.servers.iter().flatten().filter(|server| !server.kissed);
        let first = usable.map(|server| server.not_before).min();
        self.failures = self.failures.max(1);
        self.state = State::Resting(first.unwrap_or(Instant::MAX).max(now + Duration::from_secs(1)));
    }

    /// A question was not answered, or could not be sent: the next server is asked, or after all of them the first again,
    /// later and later [RFC 4330 §10].
    fn failed(&mut self, place: usize, now: Instant) {
        let usable = self.servers.iter().flatten().filter(|server| !server.kissed).count() as u32;
        self.failures = self.failures.saturating_add(1);
        self.next = (place + 1) % self.servers.len().max(1);
        self.state = if self.failures.is_multiple_of(usable.max(1)) {
            let retry = self.retry;
            self.retry = (retry * 2).min(self.config.longest_retry).max(SHORTEST_INTERVAL);
            State::Resting(now + retry)
        } else {
            State::Resting(now)
        };
    }

    /// The question could not be sent, or the server's host says that there is none.
    pub(crate) fn unreachable(&mut self, now: Instant) {
        if let State::Asked { server, .. } = self.state {
            self.failed(server, now);
        }
    }

    /// Takes a message that came to the socket of the last question.
    pub(crate) fn input(&mut self, from: IpAddr, port: u16, bytes: &[u8], now: Instant) -> Option<SntpTime> {
        let State::Asked { server: place, nonce, sent, .. } = self.state else { return None };
        let server = self.servers.get_mut(place)?.as_mut()?;
        let header = NtpHeader::read(bytes).ok().filter(|header| {
            from == server.address
                && port == PORT
                && header.mode() == mode::SERVER
                && header.originate() == nonce
        });
        let Some(header) = header else {
            self.counters.refused = self.counters.refused.wrapping_add(1);
            return None;
        };
        if let Some(kiss) = header.kiss() {
            self.counters.kisses = self.counters.kisses.wrapping_add(1);
            self.kiss(place, kiss, now);
            return None;
        }
        let Some((at_server, round_trip)) = measure(header, sent, now) else {
            self.counters.refused = self.counters.refused.wrapping_add(1);
            self.failed(place, now);
            return None;
        };
        server.reachability |= 1;
        let interval = self.config.interval.max(SHORTEST_INTERVAL) * (1 << server.slower);
        let unix = at_server.to_unix(self.about) + round_trip / 2;
        let time = SntpTime {
            unix,
            round_trip,
            server: server.address,
            stratum: header.stratum,
            leap: header.leap(),
        };
        self.about = unix;
        self.next = place;
        self.failures = 0;
        self.retry = self.config.retry.max(SHORTEST_INTERVAL);
        self.state = State::Resting(now + interval);
        self.counters.answers = self.counters.answers.wrapping_add(1);
        Some(time)
    }

    /// What a server that gives no time has to say [RFC 4330 §8].
    fn kiss(&mut self, place: usize, kiss: Kiss, now: Instant) {
        if let Some(server) = &mut self.servers[place] {
            match kiss {
                Kiss::Deny | Kiss::Restrict => server.kissed = true,
                Kiss::Rate => {
                    server.slower = (server.slower + 1).min(5);
                    let interval = self.config.interval.max(SHORTEST_INTERVAL) * (1 << server.slower);
                    server.not_before = now + interval;
                }
                Kiss::Other(_) => {}
            }
        }
        self.failed(place, now);
    }
}

/// The time when the answer left the server, and the time under way, if the answer makes sense [RFC 4330 §5].
fn measure(header: &NtpHeader, sent: Instant, now: Instant) -> Option<(NtpTimestamp, Duration)> {
    let (received, left) = (header.receive(), header.transmit());
    let whole = now.since(sent);
    let at_server = left.since(received);
    let sound = header.leap() != LEAP_ALARM
        && (1..16).contains(&header.stratum)
        && left != NtpTimestamp::ZERO
        && received != NtpTimestamp::ZERO
        && header.root_delay() < ONE_SECOND
        && header.root_dispersion() < ONE_SECOND
        && at_server >= 0;
    // Units of 2⁻³² s; a server that takes longer than the answer took is out of its mind.
    let at_server = NtpTimestamp(at_server.unsigned_abs());
    let at_server = Duration::new(at_server.seconds().into(), at_server.nanos());
    if sound { whole.checked_sub(at_server).map(|round_trip| (left, round_trip)) } else { None }
}

#[cfg(test)]
mod tests;
