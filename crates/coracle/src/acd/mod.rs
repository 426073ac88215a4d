//! Detection of IPv4 address conflicts [RFC 5227]: one address is probed, claimed, announced and defended.
//!
//! The machine knows no interface. Whoever owns it sends what it says is due, and shows it every ARP packet that
//! comes in.

#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;
use core::time::Duration;

use coracle_wire::arp::ArpPacket;

use crate::random::Random;
use crate::time::Instant;

/// The longest wait before the first probe [RFC 5227 §1.1].
const PROBE_WAIT: Duration = Duration::from_secs(1);
const PROBES: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
/// How much longer the wait between probes may be: up to two seconds (`PROBE_MAX`).
const PROBE_SPREAD: Duration = Duration::from_secs(1);
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// So many conflicts in a row are no accident; from then on there is one attempt in each interval.
const MAX_CONFLICTS: u8 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_mins(1);
/// Two conflicts within this time, and the address is given up.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// What became due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Nothing,
    /// A probe is to be sent: a request for the address from 0.0.0.0.
    Probe,
    /// Nobody has the address: it is ours from now on, and the first announcement is to be sent.
    Claim,
    /// An announcement is to be sent: a request for the address from itself.
    Announce,
}

/// What an ARP packet means for the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sight {
    Harmless,
    /// Somebody claims it; an announcement is to be sent in its defence.
    Defend,
    /// Somebody else has it, or it cannot be defended: it is not ours, and this machine is off.
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Off,
    /// So many probes were sent.
    Probing(u8),
    /// So many announcements were sent.
    Announcing(u8),
    Watching,
}

/// The state of one address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acd {
    address: Ipv4Addr,
    phase: Phase,
    deadline: Option<Instant>,
    conflicts: u8,
    defended: Option<Instant>,
}

impl Acd {
    pub(crate) const OFF: Self = Self {
        address: Ipv4Addr::UNSPECIFIED,
        phase: Phase::Off,
        deadline: None,
        conflicts: 0,
        defended: None,
    };

    /// Begins with an address: three probes after a random wait [5227-1]. After ten conflicts in a row there is a
    /// minute between attempts [5227-5].
    pub(crate) fn start(&mut self, address: Ipv4Addr, now: Instant, random: &mut Random) {
        let limit = if self.conflicts < MAX_CONFLICTS { Duration::ZERO } else { RATE_LIMIT_INTERVAL };
        self.address = address;
        self.phase = Phase::Probing(0);
        self.defended = None;
        self.deadline = Some(after_up_to(now + limit, PROBE_WAIT, random));
    }

    /// Watches over an address that is in use, and announced by whoever set it.
    pub(crate) fn watch(&mut self, address: Ipv4Addr) {
        *self = Self { address, phase: Phase::Watching, ..Self::OFF };
    }

    /// Lets go of the address; how many conflicts there were is remembered.
    pub(crate) fn stop(&mut self) {
        *self = Self { conflicts: self.conflicts, ..Self::OFF };
    }

    /// When [`timer`](Self::timer) is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The address that is looked after.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        (self.phase != Phase::Off).then_some(self.address)
    }

    /// The deadline may have come.
    pub(crate) fn timer(&mut self, now: Instant, random: &mut Random) -> Due {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Due::Nothing;
        }
        match self.phase {
            Phase::Probing(sent) if sent < PROBES => {
                self.phase = Phase::Probing(sent + 1);
                self.deadline = Some(if sent + 1 == PROBES {
                    now + ANNOUNCE_WAIT
                } else {
                    after_up_to(now + PROBE_MIN, PROBE_SPREAD, random)
                });
                Due::Probe
            }
            Phase::Probing(_) => {
                self.conflicts = 0;
                self.phase = Phase::Announcing(1);
                self.deadline = Some(now + ANNOUNCE_INTERVAL);
                Due::Claim
            }
            // [5227-3]
            Phase::Announcing(sent) if sent < ANNOUNCEMENTS => {
                self.phase =
                    if sent + 1 == ANNOUNCEMENTS { Phase::Watching } else { Phase::Announcing(sent + 1) };
                self.deadline = (self.phase != Phase::Watching).then_some(now + ANNOUNCE_INTERVAL);
                Due::Announce
            }
            Phase::Announcing(_) | Phase::Watching | Phase::Off => {
                self.deadline = None;
                Due::Nothing
            }
        }
    }

    /// Looks at an ARP packet that another station sent.
    pub(crate) fn arp(&mut self, packet: &ArpPacket, now: Instant) -> Sight {
        let claimed = packet.sender_ip() == self.address;
        match self.phase {
            Phase::Off => Sight::Harmless,
            Phase::Probing(_) => {
                // [5227-2] Somebody has it, or is about to find out whether anybody has.
                let probed = packet.sender_ip().is_unspecified() && packet.target_ip() == self.address;
                if claimed || probed { self.lose() } else { Sight::Harmless }
            }
            Phase::Announcing(_) | Phase::Watching if !claimed => Sight::Harmless,
            // [5227-4]
            Phase::Announcing(_) | Phase::Watching => match self.defended {
                Some(last) if now.since(last) < DEFEND_INTERVAL => self.lose(),
                _ => {
                    self.defended = Some(now);
                    Sight::Defend
                }
            },
        }
    }

    fn lose(&mut self) -> Sight {
        self.conflicts = self.conflicts.saturating_add(1);
        self.stop();
        Sight::Lost
    }
}

/// A random point between `start` and `limit` later.
pub(crate) fn after_up_to(start: Instant, limit: Duration, random: &mut Random) -> Instant {
    let micros = (limit.as_secs() as u32).saturating_mul(1_000_000);
    Instant::from_micros(start.as_micros().saturating_add(u64::from(random.below(micros.max(1)))))
}
