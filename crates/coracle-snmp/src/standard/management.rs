//! The MIBs of SNMP itself: SNMP-FRAMEWORK-MIB [RFC 3411], SNMP-MPD-MIB [RFC 3412], SNMP-USER-BASED-SM-MIB [RFC 3414]
//! and SNMP-VIEW-BASED-ACM-MIB [RFC 3415].

use crate::agent::{Family, Grant, SecurityModel};
use crate::mib::{Column, Context, Listed, Node, Output, Table};
use crate::oid::Oid;

#[cfg(feature = "v3")]
mod usm {
    use super::{Column, Context, Oid, Output, Table};
    use crate::agent::Counter;

    /// `snmpEngine`.
    pub(super) fn engine(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
        let Some(engine) = &cx.state.engine else { return };
        match id {
            1 => out.octets(engine.id.as_bytes()),
            2 => out.integer(engine.boots().cast_signed()),
            3 => out.integer(cx.state.engine_time(cx.now).cast_signed()),
            _ => out.integer(1472),
        }
    }

    fn counter(cx: &Context<'_>, counters: &[Counter], id: u32, out: &mut Output<'_, '_>) {
        if let Some(counter) = counters.get(id as usize - 1) {
            out.counter(cx.state.counts.get(*counter));
        }
    }

    /// `snmpMPDStats`.
    pub(super) fn dispatcher(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
        let counters =
            [Counter::UnknownSecurityModels, Counter::InvalidMessages, Counter::UnknownPduHandlers];
        counter(cx, &counters, id, out);
    }

    /// The counters of contexts.
    pub(super) fn contexts(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
        counter(cx, &[Counter::UnavailableContexts, Counter::UnknownContexts], id - 3, out);
    }

    /// `usmStats`.
    pub(super) fn statistics(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
        let counters = [
            Counter::UnsupportedSecurityLevels,
            Counter::NotInTimeWindows,
            Counter::UnknownUserNames,
            Counter::UnknownEngineIds,
            Counter::WrongDigests,
            Counter::DecryptionErrors,
        ];
        counter(cx, &counters, id, out);
    }

    pub(super) const USER_COLUMNS: &[Column] = &[
        Column::octets(3),
        Column::oid(4),
        Column::oid(5),
        Column::octets(6),
        Column::octets(7),
        Column::oid(8),
        Column::octets(9),
        Column::octets(10),
        Column::octets(11),
        Column::integer(12),
        Column::integer(13),
    ];

    /// `usmUserTable`: keys are never told.
    pub(super) struct Users;

    impl Table for Users {
        fn len(&self, cx: &Context<'_>) -> usize {
            cx.state.engine.as_ref().map_or(0, |engine| engine.users.len())
        }

        fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
            let Some(engine) = &cx.state.engine else { return false };
            engine.users.get(place).is_some_and(|user| {
                index.extend_string(engine.id.as_bytes()).is_ok()
                    && index.extend_string(user.name.as_bytes()).is_ok()
            })
        }

        fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
            use crate::v3::PrivProtocol;
            let user = cx.state.engine.as_ref().and_then(|engine| engine.users.get(place));
            let Some(user) = user else { return };
            match column {
                3 => out.text(user.name),
                4 => out.oid(&[0, 0]),
                5 => {
                    let arc = user.keys.auth.map_or(1, |key| key.protocol().arc());
                    out.oid(&[1, 3, 6, 1, 6, 3, 10, 1, 1, arc]);
                }
                8 => match user.keys.privacy.map(|key| key.protocol()) {
                    None => out.oid(&[1, 3, 6, 1, 6, 3, 10, 1, 2, 1]),
                    Some(PrivProtocol::Des) => out.oid(&[1, 3, 6, 1, 6, 3, 10, 1, 2, 2]),
                    Some(PrivProtocol::Aes128) => out.oid(&[1, 3, 6, 1, 6, 3, 10, 1, 2, 4]),
                    // No standard names the others; these are the names that net-snmp and Cisco use.
                    Some(PrivProtocol::Aes192) => out.oid(&[1, 3, 6, 1, 4, 1, 14832, 1, 3]),
                    Some(PrivProtocol::Aes256) => out.oid(&[1, 3, 6, 1, 4, 1, 14832, 1, 4]),
                    Some(PrivProtocol::Aes192Reeder) => out.oid(&[1, 3, 6, 1, 4, 1, 9, 12, 6, 1, 1]),
                    Some(PrivProtocol::Aes256Reeder) => out.oid(&[1, 3, 6, 1, 4, 1, 9, 12, 6, 1, 2]),
                },
                // Read only, and active.
                12 => out.integer(5),
                13 => out.integer(1),
                _ => out.octets(&[]),
            }
        }
    }
}

/// The engine and its counters, users, groups, rights and views.
pub const MANAGEMENT: &[Node<'static>] = &[
    #[cfg(feature = "v3")]
    Node::new(
        &[1, 3, 6, 1, 6, 3, 10, 2, 1],
        &[Column::octets(1), Column::integer(2), Column::integer(3), Column::integer(4)],
        &crate::mib::Scalars(usm::engine),
    ),
    #[cfg(feature = "v3")]
    Node::new(
        &[1, 3, 6, 1, 6, 3, 11, 2, 1],
        &[Column::counter(1), Column::counter(2), Column::counter(3)],
        &crate::mib::Scalars(usm::dispatcher),
    ),
    #[cfg(feature = "v3")]
    Node::new(
        &[1, 3, 6, 1, 6, 3, 12, 1],
        &[Column::counter(4), Column::counter(5)],
        &crate::mib::Scalars(usm::contexts),
    ),
    #[cfg(feature = "v3")]
    Node::new(
        &[1, 3, 6, 1, 6, 3, 15, 1, 1],
        &[
            Column::counter(1),
            Column::counter(2),
            Column::counter(3),
            Column::counter(4),
            Column::counter(5),
            Column::counter(6),
        ],
        &crate::mib::Scalars(usm::statistics),
    ),
    #[cfg(feature = "v3")]
    Node::new(&[1, 3, 6, 1, 6, 3, 15, 1, 2, 2, 1], usm::USER_COLUMNS, &Listed(usm::Users)),
    Node::new(&[1, 3, 6, 1, 6, 3, 16, 1, 1, 1], &[Column::octets(1)], &Listed(Contexts)),
    Node::new(
        &[1, 3, 6, 1, 6, 3, 16, 1, 2, 1],
        &[Column::octets(3), Column::integer(4), Column::integer(5)],
        &Listed(Groups),
    ),
    Node::new(&[1, 3, 6, 1, 6, 3, 16, 1, 4, 1], GRANT_COLUMNS, &Listed(Grants)),
    Node::new(&[1, 3, 6, 1, 6, 3, 16, 1, 5, 2, 1], FAMILY_COLUMNS, &Listed(Families)),
];

/// `vacmContextTable`.
struct Contexts;

impl Contexts {
    /// The usual context, and those that rules name.
    fn at<'a>(cx: &Context<'a>, place: usize) -> Option<&'a [u8]> {
        let grants = cx.state.setup.access.grants;
        let Some(place) = place.checked_sub(1) else { return Some(&[]) };
        let name = grants.get(place)?.context;
        let new = !name.is_empty() && grants[..place].iter().all(|grant| grant.context != name);
        new.then_some(name)
    }
}

impl Table for Contexts {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.state.setup.access.grants.len() + 1
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        Self::at(cx, place).is_some_and(|name| index.extend_string(name).is_ok())
    }

    fn read(&self, cx: &Context<'_>, place: usize, _column: u32, out: &mut Output<'_, '_>) {
        if let Some(name) = Self::at(cx, place) {
            out.octets(name);
        }
    }
}

/// `vacmSecurityToGroupTable`: communities, in both of their versions, and users. The agent has no other name for a
/// community than itself, which nobody is told: they are numbered.
struct Groups;

impl Groups {
    fn at<'a>(cx: &Context<'a>, place: usize) -> Option<(SecurityModel, Name<'a>, &'a str)> {
        let communities = cx.state.setup.communities;
        if let Some(community) = communities.get(place / 2).filter(|_| place < 2 * communities.len()) {
            let model = if place.is_multiple_of(2) { SecurityModel::V1 } else { SecurityModel::V2c };
            return Some((model, Name::Number(place as u32 / 2 + 1), community.group));
        }
        #[cfg(feature = "v3")]
        if let Some(engine) = &cx.state.engine {
            let user = engine.users.get(place - 2 * communities.len())?;
            return Some((SecurityModel::Usm, Name::Text(user.name), user.group));
        }
        None
    }
}

/// A security name.
enum Name<'a> {
    Number(u32),
    #[cfg(feature = "v3")]
    Text(&'a str),
    #[cfg(not(feature = "v3"))]
    #[allow(dead_code, reason = "there are no users")]
    Text(&'a str),
}

impl Table for Groups {
    fn len(&self, cx: &Context<'_>) -> usize {
        #[cfg(feature = "v3")]
        let users = cx.state.engine.as_ref().map_or(0, |engine| engine.users.len());
        #[cfg(not(feature = "v3"))]
        let users = 0;
        2 * cx.state.setup.communities.len() + users
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let Some((model, name, _)) = Self::at(cx, place) else { return false };
        if index.push(model as u32).is_err() {
            return false;
        }
        match name {
            Name::Text(name) => index.extend_string(name.as_bytes()).is_ok(),
            Name::Number(number) => {
                let digit = |divisor: u32| b'0' + (number / divisor % 10) as u8;
                index.extend_string(&[b'c', digit(100), digit(10), digit(1)]).is_ok()
            }
        }
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some((_, _, group)) = Self::at(cx, place) else { return };
        match column {
            3 => out.text(group),
            4 => out.integer(5),
            _ => out.integer(1),
        }
    }
}

const GRANT_COLUMNS: &[Column] = &[
    Column::integer(4),
    Column::octets(5),
    Column::octets(6),
    Column::octets(7),
    Column::integer(8),
    Column::integer(9),
];

/// `vacmAccessTable`.
struct Grants;

impl Grants {
    fn at<'a>(cx: &Context<'a>, place: usize) -> Option<&'a Grant<'a>> {
        cx.state.setup.access.grants.get(place)
    }
}

impl Table for Grants {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.state.setup.access.grants.len()
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        Self::at(cx, place).is_some_and(|grant| {
            index.extend_string(grant.group.as_bytes()).is_ok()
                && index.extend_string(grant.context).is_ok()
                && index.extend(&[grant.model as u32, grant.level as u32]).is_ok()
        })
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(grant) = Self::at(cx, place) else { return };
        match column {
            4 => out.integer(if grant.exact { 1 } else { 2 }),
            5 => out.text(grant.read.unwrap_or("")),
            6 => out.text(grant.write.unwrap_or("")),
            7 => out.text(grant.notify.unwrap_or("")),
            8 => out.integer(5),
            _ => out.integer(1),
        }
    }
}

const FAMILY_COLUMNS: &[Column] =
    &[Column::octets(3), Column::integer(4), Column::integer(5), Column::integer(6)];

/// `vacmViewTreeFamilyTable`.
struct Families;

impl Families {
    fn at<'a>(cx: &Context<'a>, place: usize) -> Option<&'a Family<'a>> {
        cx.state.setup.access.families.get(place)
    }
}

impl Table for Families {
    fn len(&self, cx: &Context<'_>) -> usize {
        cx.state.setup.access.families.len()
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        Self::at(cx, place).is_some_and(|family| {
            index.extend_string(family.view.as_bytes()).is_ok()
                && index.push(family.subtree.len() as u32).is_ok()
                && index.extend(family.subtree).is_ok()
        })
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(family) = Self::at(cx, place) else { return };
        match column {
            3 => out.octets(family.mask),
            4 => out.integer(if family.included { 1 } else { 2 }),
            5 => out.integer(5),
            _ => out.integer(1),
        }
    }
}
