//! What neighbour discovery keeps for an interface, and what its owner decides about it.

use core::time::Duration;

use super::advertiser::{RouterSettings, Schedule};
use super::identifier::InterfaceId;
use crate::time::Instant;

/// How an interface gets its IPv6 addresses, and what it is on its link.
///
/// ```
/// use coracle::{InterfaceId, Ipv6Settings, MacAddr, NetifConfig};
/// let settings = Ipv6Settings { temporary: true, ..Ipv6Settings::AUTO };
/// let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 1)).ipv6(settings);
/// assert_eq!(config.ipv6.interface_id, InterfaceId::Stable);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Settings {
    /// The interface makes itself a link-local address as soon as it is up, asks for routers, believes what they say, and
    /// makes itself addresses of their prefixes [RFC 4862]. lwIP: `netif_create_ip6_linklocal_address` and
    /// `netif_set_ip6_autoconfig_enabled`.
    pub auto: bool,
    /// How the lower half of its addresses is made.
    pub interface_id: InterfaceId,
    /// It makes itself addresses beside these that live for a day, and prefers them [RFC 8981].
    pub temporary: bool,
    /// How often it asks whether another host has an address, before it takes it [RFC 4862 §5.1: 1]; 0: it does not ask.
    pub duplicate_checks: u8,
    /// It uses addresses with care while it still asks [RFC 4429].
    pub optimistic: bool,
    /// It is a router on its link, and says this; its addresses are the owner's business then, but for the link-local one.
    pub router: Option<&'static RouterSettings>,
}

impl Ipv6Settings {
    /// Everything is the owner's business: the interface has the addresses that it is given, from the start.
    pub const MANUAL: Self = Self {
        auto: false,
        interface_id: InterfaceId::Stable,
        temporary: false,
        duplicate_checks: 0,
        optimistic: false,
        router: None,
    };
    /// The interface configures itself, as a host.
    pub const AUTO: Self = Self { auto: true, duplicate_checks: 1, ..Self::MANUAL };

    /// Whether a router may say what it is to say.
    pub(crate) fn is_valid(&self) -> bool {
        self.router.is_none_or(RouterSettings::is_valid)
    }

    /// An interface that configures itself as far as a router does, and advertises itself.
    pub const fn router(settings: &'static RouterSettings) -> Self {
        Self { router: Some(settings), ..Self::AUTO }
    }
}

/// [`Ipv6Settings::MANUAL`].
impl Default for Ipv6Settings {
    fn default() -> Self {
        Self::MANUAL
    }
}

/// How long a neighbour counts as reachable, about, and how long a solicitation waits, when no router says
/// [RFC 4861 §10].
const REACHABLE_MS: u32 = 30_000;
const RETRANS: Duration = Duration::from_secs(1);
/// No router makes us repeat solicitations faster than this, or believe in neighbours for longer.
const LEAST_RETRANS_MS: u32 = 100;
const MOST_MS: u32 = 3_600_000;

/// What is kept for an interface.
pub(crate) struct Nd {
    pub(crate) settings: Ipv6Settings,
    /// Of packets that leave, when a router says so; else 0.
    pub(crate) hop_limit: u8,
    /// Of the link, when a router says so and it is less than the interface's; else 0.
    pub(crate) mtu: u16,
    reachable_base_ms: u32,
    pub(crate) reachable: Duration,
    pub(crate) retrans: Duration,
    /// Router solicitations that are still to be sent.
    pub(super) solicitations: u8,
    /// When the next of these is due.
    pub(super) solicit_at: Option<Instant>,
    /// When the next advertisement of ours is due.
    pub(super) schedule: Option<Schedule>,
    /// Another host has our hardware address, it seems [4862-4].
    pub(super) disabled: bool,
    /// Whether routers say that addresses, or anything else, are to be had by DHCP.
    pub(crate) managed: bool,
    pub(crate) other: bool,
}

impl Nd {
    pub(crate) fn new(settings: Ipv6Settings) -> Self {
        Self {
            settings,
            hop_limit: 0,
            mtu: 0,
            reachable_base_ms: REACHABLE_MS,
            reachable: Duration::from_millis(REACHABLE_MS.into()),
            retrans: RETRANS,
            solicitations: 0,
            solicit_at: None,
            schedule: None,
            disabled: false,
            managed: false,
            other: false,
        }
    }

    /// Whether it advertises itself as a router.
    pub(crate) fn is_router(&self) -> bool {
        self.settings.router.is_some()
    }

    /// Whether it believes what routers say.
    pub(super) fn believes(&self) -> bool {
        self.settings.auto && !self.is_router() && !self.disabled
    }

    /// [4861-11] Takes the times that a router says; zeros say nothing. `below` draws a number below its argument.
    pub(super) fn set_times(&mut self, reachable_ms: u32, retrans_ms: u32, below: impl FnOnce(u32) -> u32) {
        if reachable_ms != 0 && reachable_ms.min(MOST_MS) != self.reachable_base_ms {
            self.reachable_base_ms = reachable_ms.min(MOST_MS);
            self.draw_reachable(below);
        }
        if retrans_ms != 0 {
            self.retrans = Duration::from_millis(retrans_ms.clamp(LEAST_RETRANS_MS, MOST_MS).into());
        }
    }

    /// The time differs by up to a half, so that hosts do not ask all at once [RFC 4861 §6.3.2].
    pub(super) fn draw_reachable(&mut self, below: impl FnOnce(u32) -> u32) {
        let base = self.reachable_base_ms;
        self.reachable = Duration::from_millis((base / 2 + below(base + 1)).into());
    }

    /// When something is to be sent.
    pub(super) fn due(&self) -> Option<Instant> {
        let schedule = self.schedule.map(|schedule| schedule.due);
        self.solicit_at.into_iter().chain(schedule).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [4861-11]
    #[test]
    fn times_of_routers_are_taken_within_reason() {
        let mut nd = Nd::new(Ipv6Settings::AUTO);
        nd.set_times(0, 0, |_| unreachable!());
        assert_eq!((nd.reachable, nd.retrans), (Duration::from_secs(30), Duration::from_secs(1)));
        nd.set_times(10_000, 2_000, |bound| bound - 1);
        assert_eq!((nd.reachable, nd.retrans), (Duration::from_secs(15), Duration::from_secs(2)));
        nd.set_times(10_000, 1, |_| unreachable!());
        assert_eq!(nd.retrans, Duration::from_millis(100));
        nd.set_times(u32::MAX, u32::MAX, |_| 0);
        assert_eq!((nd.reachable, nd.retrans), (Duration::from_mins(30), Duration::from_hours(1)));
    }
}
