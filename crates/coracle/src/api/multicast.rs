//! Memberships of control blocks in multicast groups, with filters of sources: the calls of RFC 3678 on [`Udp`] and
//! [`Raw`]. All of them are the same for both, so they are written once.

use core::net::IpAddr;

use super::{Handler, Raw, Stack, Udp};
use crate::address::Address;
use crate::error::Error;
use crate::multicast::{Change, FilterMode, Member};
use crate::netif::NetifHandle;

/// A change of a filter, with addresses as applications write them.
enum Wish {
    Join,
    Leave,
    JoinSource(IpAddr),
    LeaveSource(IpAddr),
    Block(IpAddr),
    Unblock(IpAddr),
}

/// The most sources of one call.
const MOST_SOURCES: usize = 64;

/// Which control block, and to which interfaces it is bound, if to any.
struct Subject {
    owner: Member,
    bound: Option<NetifHandle>,
}

impl<H> Stack<H> {
    /// The group with its zone, and its interface.
    fn group(
        &mut self,
        subject: &Subject,
        group: IpAddr,
        netif: Option<NetifHandle>,
    ) -> Result<(Address, usize), Error> {
        let engine = &mut self.engine;
        let zone = engine.zone(netif.or(subject.bound));
        let plain = Address::from_ip(group, zone)?;
        if !plain.is_multicast() {
            return Err(Error::Value);
        }
        let netif = engine.group_netif(plain, netif, subject.bound)?;
        Ok((Address::from_ip(group, Some(netif))?, netif))
    }

    fn change_filter(
        &mut self,
        subject: &Subject,
        group: IpAddr,
        netif: Option<NetifHandle>,
        wish: &Wish,
    ) -> Result<(), Error> {
        let (group, netif) = self.group(subject, group, netif)?;
        let plain = |source: IpAddr| Address::from_ip(source, Some(netif));
        let change = match *wish {
            Wish::Join => Change::Join,
            Wish::Leave => Change::Leave,
            Wish::JoinSource(source) => Change::JoinSource(plain(source)?),
            Wish::LeaveSource(source) => Change::LeaveSource(plain(source)?),
            Wish::Block(source) => Change::Block(plain(source)?),
            Wish::Unblock(source) => Change::Unblock(plain(source)?),
        };
        self.engine.group_change(subject.owner, netif, group, change)
    }

    fn set_filter(
        &mut self,
        subject: &Subject,
        group: IpAddr,
        netif: Option<NetifHandle>,
        (mode, sources): (FilterMode, &[IpAddr]),
    ) -> Result<(), Error> {
        let (group, netif) = self.group(subject, group, netif)?;
        let mut addresses = [Address::ANY; MOST_SOURCES];
        let into = addresses.get_mut(..sources.len()).ok_or(Error::Memory)?;
        for (into, &source) in into.iter_mut().zip(sources) {
            *into = Address::from_ip(source, Some(netif))?;
        }
        self.engine.group_change(subject.owner, netif, group, Change::Set(mode, into))
    }

    fn filter(
        &mut self,
        subject: &Subject,
        group: IpAddr,
        netif: Option<NetifHandle>,
        sources: &mut [IpAddr],
    ) -> Result<(FilterMode, usize), Error> {
        let (group, netif) = self.group(subject, group, netif)?;
        let engine = &self.engine;
        let found = engine.multicast.filter_of(&engine.hash_key, subject.owner, netif as u32, group);
        let (mode, listed) = found.ok_or(Error::Value)?;
        let mut count = 0;
        for source in listed {
            if let Some(into) = sources.get_mut(count) {
                *into = source.to_ip();
            }
            count += 1;
        }
        Ok((mode, count))
    }
}

macro_rules! memberships {
    ($block:ident, $table:ident, $owner:ident, $data:literal) => {
        impl<H: Handler> $block<'_, H> {
            fn subject(&self) -> Result<Subject, Error> {
                let pcb = self.stack.engine.$table.slots.get(self.handle.0).ok_or(Error::Closed)?;
                let bound = pcb.netif.or(pcb.multicast_netif);
                Ok(Subject { owner: Member::$owner(self.handle.0.index), bound })
            }

            fn wish(
                &mut self,
                group: IpAddr,
                netif: Option<NetifHandle>,
                wish: &Wish,
            ) -> Result<(), Error> {
                let subject = self.subject()?;
                self.stack.change_filter(&subject, group, netif, wish)
            }

            #[doc = concat!("Joins a multicast group on an interface, for this control block: ", $data)]
            /// to it are taken from every source, and routers are told. Without an interface, it is the one that the
            /// control block is bound to, or sends to groups by, or the one that leads to the group. lwIP:
            /// `igmp_joingroup`, `mld6_joingroup`.
            ///
            #[doc = concat!("A control block that joined a group hears only what its own filter lets through of it; ", $data)]
            /// to groups that it did not join it hears as the whole interface does ([`Netif::join_group`]).
            ///
            /// ```
            /// # use coracle::*;
            /// # let mut arena = Arena::heap();
            /// # let memory = Memory::new(&mut arena, MemoryLimits::default())?;
            /// # let mut stack = Stack::<()>::new(&mut arena, Limits::default(), memory, Config::new([7; 16]))?;
            /// # let netif = stack.netif_add(&NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2)))?;
            /// let udp = stack.udp_new(())?;
            /// let mut udp = stack.udp(udp)?;
            /// udp.join([239, 1, 2, 3].into(), Some(netif))?;
            /// udp.block_source([239, 1, 2, 3].into(), [192, 0, 2, 66].into(), Some(netif))?;
            /// udp.leave([239, 1, 2, 3].into(), Some(netif))?;
            /// # Ok::<(), Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`Error::InUse`] when it is a member already; [`Error::Value`] for an address that is no group's;
            /// [`Error::Memory`] when there are as many groups or memberships as the limits allow;
            /// [`Error::Interface`] when the interface is gone; [`Error::Route`] when none leads to the group;
            /// [`Error::Closed`].
            ///
            /// [`Netif::join_group`]: crate::Netif::join_group
            pub fn join(&mut self, group: IpAddr, netif: Option<NetifHandle>) -> Result<(), Error> {
                self.wish(group, netif, &Wish::Join)
            }

            /// Leaves a group, with whatever filter. lwIP: `igmp_leavegroup`, `mld6_leavegroup`.
            ///
            /// # Errors
            ///
            #[doc = concat!("[`Error::Value`] when it is no member; else as [`", stringify!($block), "::join`].")]
            pub fn leave(&mut self, group: IpAddr, netif: Option<NetifHandle>) -> Result<(), Error> {
                self.wish(group, netif, &Wish::Leave)
            }

            #[doc = concat!("Takes ", $data, " from one more source to a group, and from no others than those")]
            /// that were joined so [RFC 3678 §4.1.1].
            ///
            /// # Errors
            ///
            /// [`Error::InUse`] when it takes them already; [`Error::Argument`] when it joined the group with every
            /// source; [`Error::Value`] for a source that is no host's; [`Error::Memory`] when there are as many
            #[doc = concat!("sources as the limits allow; else as [`", stringify!($block), "::join`].")]
            pub fn join_source(
                &mut self,
                group: IpAddr,
                source: IpAddr,
                netif: Option<NetifHandle>,
            ) -> Result<(), Error> {
                self.wish(group, netif, &Wish::JoinSource(source))
            }

            /// Takes nothing from a source any more that was joined; after the last one the group is left.
            ///
            /// # Errors
            ///
            /// [`Error::Value`] for a source that was not joined, [`Error::Argument`] when the group was joined with
            #[doc = concat!("every source; else as [`", stringify!($block), "::join`].")]
            pub fn leave_source(
                &mut self,
                group: IpAddr,
                source: IpAddr,
                netif: Option<NetifHandle>,
            ) -> Result<(), Error> {
                self.wish(group, netif, &Wish::LeaveSource(source))
            }

            /// Takes nothing from a source to a group that was joined with every source [RFC 3678 §4.1.1].
            ///
            /// # Errors
            ///
            /// [`Error::InUse`] when it is blocked already; [`Error::Value`] without a membership;
            /// [`Error::Argument`] when it joined sources; [`Error::Memory`] when there are as many sources as the
            #[doc = concat!("limits allow; else as [`", stringify!($block), "::join`].")]
            pub fn block_source(
                &mut self,
                group: IpAddr,
                source: IpAddr,
                netif: Option<NetifHandle>,
            ) -> Result<(), Error> {
                self.wish(group, netif, &Wish::Block(source))
            }

            /// Takes what a source sends again that was blocked.
            ///
            /// # Errors
            ///
            /// [`Error::Value`] for a source that is not blocked, [`Error::Argument`] when it joined sources; else as
            #[doc = concat!("[`", stringify!($block), "::join`].")]
            pub fn unblock_source(
                &mut self,
                group: IpAddr,
                source: IpAddr,
                netif: Option<NetifHandle>,
            ) -> Result<(), Error> {
                self.wish(group, netif, &Wish::Unblock(source))
            }

            /// Sets the whole filter for a group at once, whatever it was [RFC 3678 §4.2]; to include no source is to
            /// leave the group.
            ///
            /// # Errors
            ///
            /// [`Error::Memory`] for more than 64 sources, or more than there is room for, beside those of the old
            #[doc = concat!("filter; else as [`", stringify!($block), "::join`].")]
            pub fn set_filter(
                &mut self,
                group: IpAddr,
                netif: Option<NetifHandle>,
                mode: FilterMode,
                sources: &[IpAddr],
            ) -> Result<(), Error> {
                let subject = self.subject()?;
                self.stack.set_filter(&subject, group, netif, (mode, sources))
            }

            /// The filter for a group: writes as many of its sources as there is room for, and says how many there
            /// are.
            ///
            /// # Errors
            ///
            #[doc = concat!("[`Error::Value`] when it is no member; else as [`", stringify!($block), "::join`].")]
            pub fn filter(
                &mut self,
                group: IpAddr,
                netif: Option<NetifHandle>,
                sources: &mut [IpAddr],
            ) -> Result<(FilterMode, usize), Error> {
                let subject = self.subject()?;
                self.stack.filter(&subject, group, netif, sources)
            }
        }
    };
}

memberships!(Udp, udp, Udp, "datagrams");
memberships!(Raw, raw, Raw, "packets");
