//! The glue to the engine: who joins, when timers run out, and which messages that makes.

use coracle_buf::Error;

use super::query::About;
use super::report::{Cursor, HEADER_LEN};
use super::{Change, Member, Place, Version};
use crate::address::{Address, Family};
use crate::counters::{GroupCounters, count};
use crate::engine::Engine;
use crate::netif::{Interface, Medium, NetifHandle};

/// The protocols that an interface speaks.
const FAMILIES: &[Family] = &[
    Family::V4,
    #[cfg(feature = "ipv6")]
    Family::V6,
];

impl Engine {
    /// Joins a group for a whole interface. See `Netif::join_group` for the errors.
    pub(crate) fn group_join(&mut self, netif: usize, group: Address) -> Result<(), Error> {
        self.multicast.join(&self.hash_key, netif as u32, group, self.now)?;
        self.multicast_run();
        Ok(())
    }

    /// See `Netif::leave_group` for the errors.
    pub(crate) fn group_leave(&mut self, netif: usize, group: Address) -> Result<(), Error> {
        self.multicast.leave(&self.hash_key, netif as u32, group, self.now)?;
        self.multicast_run();
        Ok(())
    }

    /// Listens to a group on behalf of the stack itself; [`Error::Memory`] when the table is full.
    #[cfg(feature = "ipv6")]
    pub(crate) fn group_hold(&mut self, netif: usize, group: Address) -> Result<(), Error> {
        self.multicast.hold(&self.hash_key, netif as u32, group, self.now)?;
        self.multicast_run();
        Ok(())
    }

    /// Listens to it no more.
    #[cfg(feature = "ipv6")]
    pub(crate) fn group_release(&mut self, netif: usize, group: Address) {
        self.multicast.release(&self.hash_key, netif as u32, group, self.now);
        self.multicast_run();
    }

    /// The interface on which a control block listens to a group: the one that it names, else the one that it is bound
    /// to, else the one by which packets to the group would leave [RFC 3678 §5.1].
    pub(crate) fn group_netif(
        &mut self,
        group: Address,
        named: Option<NetifHandle>,
        bound: Option<NetifHandle>,
    ) -> Result<usize, Error> {
        match self.netif_if_there(named)?.or(bound) {
            Some(netif) => self.netif_slot(netif).map_err(|_| Error::Interface),
            None => Ok(self.route_to(group, None)?.netif),
        }
    }

    /// Changes what a control block listens to. See `Udp::join` and those after it for the errors.
    pub(crate) fn group_change(
        &mut self,
        owner: Member,
        netif: usize,
        group: Address,
        change: Change<'_>,
    ) -> Result<(), Error> {
        let place = (owner, netif as u32, group);
        self.multicast.change_filter(&self.hash_key, place, change, self.now)?;
        self.multicast_run();
        Ok(())
    }

    /// A control block goes, and what it listened to with it.
    pub(crate) fn groups_forget_owner(&mut self, owner: Member) {
        if self.multicast.forget_owner(&self.hash_key, owner, self.now) {
            self.multicast_run();
        }
    }

    /// An interface came up or went down.
    pub(crate) fn groups_up_or_down(&mut self, netif: usize, ready: bool) {
        // The loopback interface leads to nobody who could be told.
        let wanted = |at: &Interface| at.group_reports && at.medium != Medium::Loopback;
        let reports = ready && self.netifs.at(netif).is_some_and(wanted);
        for &family in FAMILIES {
            let place = Place { netif: netif as u32, family };
            self.multicast.set_reports(&self.hash_key, place, reports, (self.now, &mut self.random));
        }
        self.multicast_run();
    }

    /// Says what is due, and sets the timer for what is due next.
    pub(crate) fn multicast_run(&mut self) {
        while let Some((place, about)) = self.multicast.due(self.now) {
            if self.multicast.version(place, self.now) == Version::Third {
                self.group_reports(place, about);
            } else {
                self.group_words(place, about);
            }
            self.multicast.done(&self.hash_key, place, about, (self.now, &mut self.random));
        }
        self.multicast.find_deadline();
        let timer = self.timers.multicast();
        match self.multicast.deadline() {
            Some(deadline) => self.wheel.set(timer, deadline),
            None => self.wheel.cancel(timer),
        }
    }

    pub(super) fn group_counters(&mut self, family: Family) -> &mut GroupCounters {
        match family {
            Family::V4 => &mut self.counters.igmp,
            #[cfg(feature = "ipv6")]
            Family::V6 => &mut self.counters.mld,
        }
    }

    /// Sends as many reports of the newest version as it takes.
    fn group_reports(&mut self, place: Place, about: About) {
        let subject = (place, about, self.now);
        let Some(interface) = self.netifs.at(place.netif as usize) else { return };
        let room = usize::from(interface.mtu).saturating_sub(match place.family {
            Family::V4 => super::igmp::HEADERS_LEN,
            #[cfg(feature = "ipv6")]
            Family::V6 => super::mld::HEADERS_LEN,
        });
        let mut at = Cursor::START;
        loop {
            let (next, len) = self.multicast.fill(subject, at, room, &mut |_| {});
            if len <= HEADER_LEN {
                return;
            }
            let sent = match place.family {
                Family::V4 => self.igmp_report(subject, at, room, len),
                #[cfg(feature = "ipv6")]
                Family::V6 => self.mld_report(subject, at, room, len),
            };
            match sent {
                Ok(()) => count!(self.group_counters(place.family).reports_sent),
                // It is as good as lost on the way, for which there are repeats.
                Err(_) => count!(self.group_counters(place.family).send_failed),
            }
            at = next;
        }
    }

    /// Sends a message of an older version for each group.
    fn group_words(&mut self, place: Place, about: About) {
        let mut from = 0;
        while let Some(word) = self.multicast.word((place, about, self.now), from) {
            from = word.next;
            let sent = match place.family {
                Family::V4 => self.igmp_word(place.netif as usize, &word),
                #[cfg(feature = "ipv6")]
                Family::V6 => self.mld_word(place.netif as usize, &word),
            };
            let counters = self.group_counters(place.family);
            match sent {
                Ok(()) if word.leaves => count!(counters.leaves_sent),
                Ok(()) => count!(counters.reports_sent),
                Err(_) => count!(counters.send_failed),
            }
        }
    }
}
