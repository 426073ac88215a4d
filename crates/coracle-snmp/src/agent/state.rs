//! What an agent is set up with, and what it knows.

use core::cell::Cell;

use coracle::{Inspect, Instant};

use super::access::{Access, Community};
use super::stats::Counts;
use crate::mib::Tree;

/// When a message comes, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The time.
    pub now: Instant,
    /// The stack that objects are read from, if there is one.
    pub stack: Option<Inspect<'a>>,
}

impl From<Instant> for At<'_> {
    fn from(now: Instant) -> Self {
        Self { now, stack: None }
    }
}

impl<'a> From<Inspect<'a>> for At<'a> {
    fn from(stack: Inspect<'a>) -> Self {
        Self { now: stack.now(), stack: Some(stack) }
    }
}

/// Text that can be set: up to 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl Text {
    /// The most bytes.
    pub const CAPACITY: usize = 64;

    /// A text; what is longer than 64 bytes is cut.
    pub const fn new(text: &str) -> Self {
        let source = text.as_bytes();
        let mut bytes = [0; Self::CAPACITY];
        let mut len = 0;
        while len < source.len() && len < Self::CAPACITY {
            bytes[len] = source[len];
            len += 1;
        }
        Self { bytes, len: len as u8 }
    }

    /// A text of these bytes; `None` when they are too many.
    pub fn of_bytes(source: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::CAPACITY];
        bytes.get_mut(..source.len())?.copy_from_slice(source);
        Some(Self { bytes, len: source.len() as u8 })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

/// The texts of the system group that can be set [RFC 3418 §2].
#[derive(Debug)]
pub struct Texts {
    /// `sysContact`: who looks after it.
    pub contact: Cell<Text>,
    /// `sysName`: its name.
    pub name: Cell<Text>,
    /// `sysLocation`: where it is.
    pub location: Cell<Text>,
}

/// What an agent is set up with.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// All objects.
    pub tree: Tree<'a>,
    /// The communities of versions 1 and 2c; without any, only version 3 is answered.
    pub communities: &'a [Community<'a>],
    /// Rights and views.
    pub access: Access<'a>,
    /// Whether version 1 is answered.
    pub v1: bool,
    /// Whether version 2c is answered.
    pub v2c: bool,
    /// `sysDescr`: what it is. lwIP: `snmp_mib2_set_sysdescr`.
    pub description: &'a str,
    /// `sysObjectID`: which product it is. lwIP: `snmp_set_device_enterprise_oid`.
    pub object_id: &'a [u32],
    /// `sysServices`: the sum of 2^(layer − 1) of all layers that it serves; 72 for a host.
    pub services: u8,
    /// `sysContact` at the start.
    pub contact: &'a str,
    /// `sysName` at the start.
    pub name: &'a str,
    /// `sysLocation` at the start.
    pub location: &'a str,
}

impl<'a> Setup<'a> {
    /// An agent for these objects that answers nobody yet: there are no communities, and no users.
    pub const fn new(tree: Tree<'a>) -> Self {
        Self {
            tree,
            communities: &[],
            access: Access::BASIC,
            v1: true,
            v2c: true,
            description: "Coracle",
            object_id: crate::standard::ENTERPRISE,
            services: 72,
            contact: "",
            name: "",
            location: "",
        }
    }

    /// The same with communities.
    #[must_use]
    pub const fn communities(mut self, communities: &'a [Community<'a>]) -> Self {
        self.communities = communities;
        self
    }
}

/// What an agent knows: objects are read from it, and setting some of them changes it.
#[derive(Debug)]
pub struct State<'a> {
    /// What it is set up with.
    pub setup: Setup<'a>,
    /// The counters.
    pub counts: Counts,
    /// Texts that can be set.
    pub texts: Texts,
    /// `snmpEnableAuthenTraps`: whether wrong communities and passwords are told. lwIP: `snmp_set_auth_traps_enabled`.
    pub authentication_traps: Cell<bool>,
    /// `snmpSetSerialNo`: a lock by agreement among managers.
    pub(crate) serial: Cell<i32>,
    pub(crate) started: Cell<Option<Instant>>,
    /// Somebody used a wrong community or password, and nobody was told yet.
    pub(crate) authentication_failed: Cell<bool>,
    /// Interfaces that are to be set up and down: a bit for each.
    pub(crate) wanted_links: Cell<(u64, u64)>,
    /// When the first interfaces last went up or down.
    pub(crate) link_changes: [Cell<u32>; 8],
    /// The engine of version 3.
    #[cfg(feature = "v3")]
    pub engine: Option<super::secure::Engine<'a>>,
}

impl<'a> State<'a> {
    pub(crate) fn new(setup: Setup<'a>) -> Self {
        Self {
            counts: Counts::default(),
            texts: Texts {
                contact: Cell::new(Text::new(setup.contact)),
                name: Cell::new(Text::new(setup.name)),
                location: Cell::new(Text::new(setup.location)),
            },
            authentication_traps: Cell::new(false),
            serial: Cell::new(0),
            started: Cell::new(None),
            authentication_failed: Cell::new(false),
            wanted_links: Cell::new((0, 0)),
            link_changes: [const { Cell::new(0) }; 8],
            #[cfg(feature = "v3")]
            engine: None,
            setup,
        }
    }

    /// How long the agent runs, in seconds.
    #[cfg(feature = "v3")]
    pub(crate) fn seconds(&self, now: Instant) -> u64 {
        let started = self.started.get().unwrap_or(now);
        now.since(started).as_secs()
    }

    /// `sysUpTime`: hundredths of a second since the agent was first called; wraps after 497 days.
    pub fn uptime(&self, now: Instant) -> u32 {
        let started = self.started.get().unwrap_or(now);
        (now.as_millis().saturating_sub(started.as_millis()) / 10) as u32
    }
}
