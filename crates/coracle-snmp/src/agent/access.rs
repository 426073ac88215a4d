//! Who may do what: communities, and the view-based access control model [RFC 3415].

use core::net::{IpAddr, SocketAddr};

use crate::message::Version;
use crate::oid::MAX_ARCS;

/// How well a message is protected [RFC 3411 §3.4.3]; the number is that of the MIBs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SecurityLevel {
    /// Not at all.
    NoAuthNoPriv = 1,
    /// Signed.
    AuthNoPriv = 2,
    /// Signed and encrypted.
    AuthPriv = 3,
}

/// How the sender of a message is known [RFC 3411 §3.4.2]; the number is that of the MIBs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SecurityModel {
    /// Any; in rules only.
    Any = 0,
    /// By its community, in version 1.
    V1 = 1,
    /// By its community, in version 2c.
    V2c = 2,
    /// As a user [RFC 3414].
    Usm = 3,
}

impl SecurityModel {
    /// The model that a version has.
    pub const fn of(version: Version) -> Self {
        match version {
            Version::V1 => Self::V1,
            Version::V2c => Self::V2c,
            Version::V3 => Self::Usm,
        }
    }
}

/// The group that may read everything, in [`Access::BASIC`].
pub const READ: &str = "read";
/// The group that may read and set everything, in [`Access::BASIC`].
pub const WRITE: &str = "write";

/// A community: a password that everybody on the way can read [RFC 3584 §5].
#[derive(Debug, Clone, Copy)]
pub struct Community<'a> {
    /// The community as it is in messages.
    pub name: &'a [u8],
    /// The group whose rights it has.
    pub group: &'a str,
    /// The addresses that may use it: those that share this many leading bits; `None` for all.
    pub source: Option<(IpAddr, u8)>,
    /// The context that it stands for; empty for the usual one.
    pub context: &'a [u8],
}

impl<'a> Community<'a> {
    /// A community of a group, for any source.
    pub const fn new(name: &'a str, group: &'a str) -> Self {
        Self { name: name.as_bytes(), group, source: None, context: &[] }
    }

    /// The same, for sources that share the leading bits of an address.
    #[must_use]
    pub const fn from(mut self, address: IpAddr, bits: u8) -> Self {
        self.source = Some((address, bits));
        self
    }

    fn admits(&self, from: IpAddr) -> bool {
        let Some((network, bits)) = self.source else { return true };
        match (network, from.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(from)) => {
                let shift = 32_u32.saturating_sub(u32::from(bits));
                (network.to_bits() ^ from.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(from)) => {
                let shift = 128_u32.saturating_sub(u32::from(bits));
                (network.to_bits() ^ from.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What a group may do [RFC 3415 §2.4]: a row of `vacmAccessTable`.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// The group.
    pub group: &'a str,
    /// The context, or what its name begins with.
    pub context: &'a [u8],
    /// Whether the context is all of the name.
    pub exact: bool,
    /// How the sender is known.
    pub model: SecurityModel,
    /// The least level.
    pub level: SecurityLevel,
    /// The view that may be read; `None` for none, here and below.
    pub read: Option<&'a str>,
    /// The view that may be set.
    pub write: Option<&'a str>,
    /// The view that notifications may tell of.
    pub notify: Option<&'a str>,
}

impl<'a> Grant<'a> {
    /// A right of a group to read a view.
    pub const fn read(group: &'a str, model: SecurityModel, level: SecurityLevel, view: &'a str) -> Self {
        Self {
            group,
            context: &[],
            exact: true,
            model,
            level,
            read: Some(view),
            write: None,
            notify: Some(view),
        }
    }

    /// A right of a group to read and set a view.
    pub const fn write(group: &'a str, model: SecurityModel, level: SecurityLevel, view: &'a str) -> Self {
        let mut grant = Self::read(group, model, level, view);
        grant.write = Some(view);
        grant
    }
}

/// A subtree that belongs to a view, or does not [RFC 3415 §2.5]: a row of `vacmViewTreeFamilyTable`.
#[derive(Debug, Clone, Copy)]
pub struct Family<'a> {
    /// The view.
    pub view: &'a str,
    /// The subtree.
    pub subtree: &'a [u32],
    /// A bit for each arc, from the highest: whether it must be the same. What is missing is one.
    pub mask: &'a [u8],
    /// Whether the subtree is in the view.
    pub included: bool,
}

impl<'a> Family<'a> {
    /// A subtree that is in a view.
    pub const fn included(view: &'a str, subtree: &'a [u32]) -> Self {
        Self { view, subtree, mask: &[], included: true }
    }

    /// A subtree that is not.
    pub const fn excluded(view: &'a str, subtree: &'a [u32]) -> Self {
        Self { view, subtree, mask: &[], included: false }
    }

    /// Whether the first arcs of an identifier are the subtree's, as far as both go.
    fn agrees(&self, oid: &[u32]) -> bool {
        self.subtree.iter().zip(oid).enumerate().all(|(position, (own, arc))| {
            let byte = self.mask.get(position / 8).copied().unwrap_or(0xff);
            own == arc || byte & (0x80 >> (position % 8)) == 0
        })
    }
}

/// Rights and views.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// What groups may do.
    pub grants: &'a [Grant<'a>],
    /// What views consist of.
    pub families: &'a [Family<'a>],
}

impl Access<'static> {
    /// The group [`READ`] reads everything, the group [`WRITE`] sets everything, too. Users of version 3 must sign.
    pub const BASIC: Self = Self {
        grants: &[
            Grant::read(READ, SecurityModel::V1, SecurityLevel::NoAuthNoPriv, "all"),
            Grant::read(READ, SecurityModel::V2c, SecurityLevel::NoAuthNoPriv, "all"),
            Grant::read(READ, SecurityModel::Usm, SecurityLevel::AuthNoPriv, "all"),
            Grant::write(WRITE, SecurityModel::V1, SecurityLevel::NoAuthNoPriv, "all"),
            Grant::write(WRITE, SecurityModel::V2c, SecurityLevel::NoAuthNoPriv, "all"),
            Grant::write(WRITE, SecurityModel::Usm, SecurityLevel::AuthNoPriv, "all"),
        ],
        families: &[Family::included("all", &[1])],
    };
}

/// Who asks, as it turned out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Principal<'a> {
    pub(crate) group: &'a str,
    pub(crate) model: SecurityModel,
    pub(crate) level: SecurityLevel,
    pub(crate) context: &'a [u8],
}

impl<'a> Access<'a> {
    /// What a principal may do: the best of the rules that apply [RFC 3415 §2.4].
    pub(crate) fn grant(&self, who: &Principal<'_>) -> Option<&'a Grant<'a>> {
        let applies = |grant: &&Grant<'_>| {
            grant.group == who.group
                && (grant.model == who.model || grant.model == SecurityModel::Any)
                && grant.level <= who.level
                && (grant.context == who.context || !grant.exact && who.context.starts_with(grant.context))
        };
        let rank = |grant: &&Grant<'_>| {
            let whole = grant.context == who.context;
            (grant.model != SecurityModel::Any, whole, grant.context.len(), grant.level)
        };
        self.grants.iter().filter(applies).max_by_key(rank)
    }

    /// Whether a view has an identifier: the longest family decides, and of those the greatest [RFC 3415 §3.2].
    pub(crate) fn in_view(&self, view: Option<&str>, oid: &[u32]) -> bool {
        let Some(view) = view else { return false };
        self.families
            .iter()
            .filter(|family| family.view == view && family.subtree.len() <= oid.len() && family.agrees(oid))
            .max_by_key(|family| (family.subtree.len(), family.subtree))
            .is_some_and(|family| family.included)
    }

    /// Whether a view has all or nothing of what lies under an identifier.
    pub(crate) fn is_uniform(&self, view: Option<&str>, oid: &[u32]) -> bool {
        let inside = |family: &Family<'_>| family.subtree.len() > oid.len() && family.agrees(oid);
        !self.families.iter().any(|family| Some(family.view) == view && inside(family))
    }
}

/// The community of a message from an address.
pub(crate) fn community<'a>(
    communities: &'a [Community<'a>],
    name: &[u8],
    from: SocketAddr,
) -> Option<&'a Community<'a>> {
    communities.iter().find(|community| community.name == name && community.admits(from.ip()))
}

const _: () = assert!(MAX_ARCS.is_multiple_of(8), "masks are whole bytes");

#[cfg(test)]
mod tests;
