//! What changed about an interface, as its listeners hear of it.

use super::{Ipv4Settings, NetifHandle};

/// Why a listener is called: one bit for each reason, several at once possible. The bits are lwIP's `LWIP_NSC_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Reasons(u16);

impl Reasons {
    /// No reason.
    pub const NONE: Self = Self(0);
    /// The interface was added.
    pub const ADDED: Self = Self(0x01);
    /// The interface is gone; its handle finds nothing any more.
    pub const REMOVED: Self = Self(0x02);
    /// The link went up or down.
    pub const LINK_CHANGED: Self = Self(0x04);
    /// The interface was set up or down.
    pub const STATUS_CHANGED: Self = Self(0x08);
    /// The IPv4 address changed.
    pub const IPV4_ADDRESS_CHANGED: Self = Self(0x10);
    /// The gateway changed.
    pub const IPV4_GATEWAY_CHANGED: Self = Self(0x20);
    /// The netmask changed.
    pub const IPV4_NETMASK_CHANGED: Self = Self(0x40);
    /// Address, netmask or gateway were set, changed or not.
    pub const IPV4_SETTINGS_CHANGED: Self = Self(0x80);
    /// An IPv6 address came, went, or changed its state.
    pub const IPV6_ADDRESSES_CHANGED: Self = Self(0x200);
    /// Routers advertise other servers or domains of the domain name system.
    pub const RESOLVERS_CHANGED: Self = Self(0x800);
    /// An address was set that packets can be sent from, changed or not.
    pub const IPV4_ADDRESS_VALID: Self = Self(0x400);
    /// Somebody else has the IPv4 address that the interface has, or was to have [RFC 5227].
    pub const IPV4_CONFLICT: Self = Self(0x2000);
    /// What a DHCP server tells beside the address came, changed or went.
    pub const DHCP_SETTINGS: Self = Self(0x4000);
    /// Every reason there is.
    pub const ALL: Self = Self(u16::MAX);

    /// Whether every reason of `other` is among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any reason of `other` is among these.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These reasons and those.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The reasons that are in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The bits, as in lwIP's `netif_nsc_reason_t`.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// A change of an interface. Changes that follow each other before listeners can be called are told as one, with
/// the settings from before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetifEvent {
    /// The interface. After [`Reasons::REMOVED`] the handle finds nothing.
    pub netif: NetifHandle,
    /// What changed.
    pub reasons: Reasons,
    /// The settings before the change.
    pub old: Ipv4Settings,
}

/// Changes that no listener has heard of yet.
#[derive(Clone, Copy, Default)]
pub(crate) struct PendingChange {
    pub(crate) reasons: Reasons,
    pub(crate) old: Ipv4Settings,
}

impl PendingChange {
    /// Notes a change; `before` are the settings that it replaced.
    pub(crate) fn note(&mut self, reasons: Reasons, before: Ipv4Settings) {
        if self.reasons == Reasons::NONE {
            self.old = before;
        }
        self.reasons = self.reasons.union(reasons);
    }
}
