//! The life of a UDP control block: made, bound, connected, disconnected, removed.

use coracle_buf::Error;

use super::{Class, UNBOUND, UdpPcb};
use crate::address::{Address, Endpoint};
use crate::engine::Engine;
use crate::ip::Cast;
use crate::multicast::Member;
use crate::service::Owner;
use crate::table::{Key, NONE};

impl Engine {
    pub(crate) fn udp_new(&mut self, lite: bool, owner: Owner) -> Result<Key, Error> {
        let applications = self.udp.slots.used() - self.udp.own;
        if owner == Owner::Application && applications >= self.udp.limit {
            return Err(Error::Memory);
        }
        let key = self.udp.slots.insert(UdpPcb::new(lite, self.config.default_ttl, owner))?;
        self.udp.own += usize::from(owner != Owner::Application);
        Ok(key)
    }

    pub(crate) fn udp_remove(&mut self, key: Key) {
        if self.udp.slots.get(key).is_some() {
            self.udp.unlink(&self.hash_key, key.index);
            self.udp_forget_taker(key.index);
            if let Some(pcb) = self.udp.slots.remove(key) {
                self.udp.own -= usize::from(pcb.owner != Owner::Application);
            }
            self.groups_forget_owner(Member::Udp(key.index));
        }
    }

    /// Takes a control block out of those that wait for the datagram which is being delivered to many.
    fn udp_forget_taker(&mut self, gone: u32) {
        let Some((first, _)) = &mut self.more else { return };
        let after = self.udp.slots.at(gone as usize).map_or(NONE, |pcb| pcb.next_taker);
        if *first == gone {
            *first = after;
            return;
        }
        let mut at = *first;
        while let Some(pcb) = self.udp.slots.at_mut(at as usize) {
            if pcb.next_taker == gone {
                pcb.next_taker = after;
                return;
            }
            at = pcb.next_taker;
        }
    }

    /// Binds to an address and a port; zero takes a free port. See `Udp::bind` for the errors.
    pub(crate) fn udp_bind(&mut self, key: Key, local: Endpoint) -> Result<(), Error> {
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        if pcb.class == Class::Connected {
            return Err(Error::IsConnected);
        }
        let (lite, reuse) = (pcb.flow.lite, pcb.reuse_address);
        self.check_local(local.address)?;
        let port = match local.port {
            0 => self.udp_free_port(local.address, lite)?,
            port if self.udp_port_taken(key, Endpoint::new(local.address, port), lite, reuse) => {
                return Err(Error::InUse);
            }
            port => port,
        };
        let class = if local.address.is_unspecified() { Class::Wildcard } else { Class::Specific };
        self.udp_change(key, |pcb| {
            pcb.class = class;
            pcb.bound = local.address;
            pcb.flow.local = Endpoint::new(local.address, port);
        });
        Ok(())
    }

    /// Takes what nobody else takes, whatever its port.
    pub(crate) fn udp_bind_all(&mut self, key: Key) -> Result<(), Error> {
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        if pcb.class == Class::Connected {
            return Err(Error::IsConnected);
        }
        self.udp_change(key, |pcb| {
            pcb.class = Class::CatchAll;
            pcb.bound = Address::ANY;
            pcb.flow.local = UNBOUND;
        });
        Ok(())
    }

    /// [`Error::Value`] for an address that is not ours to bind to: neither an interface's, nor a group or
    /// broadcast address to listen to, nor anything where everything is ours.
    fn check_local(&self, address: Address) -> Result<(), Error> {
        let known = address.is_unspecified()
            || address.is_multicast()
            || self.owner_of(address).is_some()
            || self.netifs.iter().any(|(_, interface)| {
                interface.accept_any || address.as_v4().is_some_and(|v4| interface.is_broadcast(v4))
            });
        if known { Ok(()) } else { Err(Error::Value) }
    }

    fn udp_port_taken(&self, own: Key, local: Endpoint, lite: bool, reuse: bool) -> bool {
        self.udp.on_port(&self.hash_key, local.port, lite).any(|(position, other)| {
            let overlap = other.flow.local.address.overlaps(local.address);
            position != own.index && overlap && !(reuse && other.reuse_address)
        })
    }

    /// A free port of the ephemeral range, from a random one on [RFC 6056 §3.3.1]; [`Error::InUse`] when all are
    /// taken, as in lwIP.
    fn udp_free_port(&mut self, address: Address, lite: bool) -> Result<u16, Error> {
        let (first, last) = self.config.ephemeral_ports;
        let count = u32::from(last - first) + 1;
        let start = self.random.below(count);
        (0..count)
            .map(|step| first + ((start + step) % count) as u16)
            .find(|&port| {
                let mut others = self.udp.on_port(&self.hash_key, port, lite);
                others.all(|(_, other)| !other.flow.local.address.overlaps(address))
            })
            .ok_or(Error::InUse)
    }

    /// Sets the peer: datagrams go there by default, and are taken from there only.
    pub(crate) fn udp_connect(&mut self, key: Key, remote: Endpoint) -> Result<(), Error> {
        if remote.address.is_unspecified() || remote.port == 0 {
            return Err(Error::Value);
        }
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        let (mut local, netif, lite) = (pcb.flow.local, pcb.netif, pcb.flow.lite);
        if !local.address.speaks_to(remote.address) {
            return Err(Error::Value);
        }
        let hop = *self.route_to(remote.address, netif)?;
        let broadcast = self.udp.slots.get(key).is_some_and(|pcb| pcb.broadcast);
        if hop.cast == Cast::Broadcast && !broadcast {
            return Err(Error::Value);
        }
        if local.address.is_unspecified() {
            if !hop.has_source() {
                return Err(Error::Route);
            }
            local.address = hop.source;
        }
        if local.port == 0 {
            local.port = self.udp_free_port(local.address, lite)?;
        }
        let same = |other: &UdpPcb| {
            other.class == Class::Connected && other.flow.local == local && other.flow.remote == remote
        };
        let taken = {
            let mut others = self.udp.on_port(&self.hash_key, local.port, lite);
            others.any(|(position, other)| position != key.index && same(other))
        };
        if taken {
            return Err(Error::InUse);
        }
        self.udp_change(key, |pcb| {
            pcb.class = Class::Connected;
            pcb.flow.local = local;
            pcb.flow.remote = remote;
        });
        Ok(())
    }

    /// Ends a connection; the port stays bound, to the address that it was bound to before. The interface is let go,
    /// as in lwIP.
    pub(crate) fn udp_disconnect(&mut self, key: Key) -> Result<(), Error> {
        let pcb = self.udp.slots.get(key).ok_or(Error::Closed)?;
        if pcb.class != Class::Connected {
            return Err(Error::NotConnected);
        }
        self.udp_change(key, |pcb| {
            pcb.class = if pcb.bound.is_unspecified() { Class::Wildcard } else { Class::Specific };
            pcb.flow.local.address = pcb.bound;
            pcb.flow.remote = UNBOUND;
            pcb.netif = None;
        });
        Ok(())
    }

    /// Changes what decides where a control block is found.
    fn udp_change(&mut self, key: Key, change: impl FnOnce(&mut UdpPcb)) {
        self.udp.unlink(&self.hash_key, key.index);
        if let Some(pcb) = self.udp.slots.get_mut(key) {
            change(pcb);
        }
        self.udp.link(&self.hash_key, key.index);
    }

    /// An interface's address changed: what was bound to the old one is bound to the new one.
    pub(crate) fn udp_rebind(&mut self, old: Address, new: Address) {
        for position in 0..self.udp.slots.capacity() {
            if let Some(key) = self.udp.slots.key_at(position)
                && self.udp.slots.at(position).is_some_and(|pcb| pcb.flow.local.address == old)
            {
                self.udp_change(key, |pcb| {
                    pcb.flow.local.address = new;
                    if pcb.bound == old {
                        pcb.bound = new;
                    }
                });
            }
        }
    }
}
