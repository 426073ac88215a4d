//! The resolver, as the application sees it.

use core::net::{IpAddr, SocketAddr};

use coracle_wire::dns::{Name, NameBuf, Record, class};

use super::{Handler, Stack};
use crate::address::Address;
use crate::address::Endpoint;
use crate::dns::{Addresses, DnsCounters, DnsError, Lookup, Outcome, ServerAddress, Source};
use crate::error::Error;
use crate::netif::NetifHandle;
use crate::table::Key;

/// Names a query. Once that is over the name finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DnsQuery(Key);

impl<H: Handler> Stack<H> {
    /// Finds out what a name stands for; [`Handler::resolved`] is told, always after this call. lwIP:
    /// `dns_gethostbyname_addrtype`.
    ///
    /// The name may be an address written out. A dot at its end keeps search domains away.
    ///
    /// ```
    /// use coracle::{Handler, Lookup, Resolved, Stack};
    ///
    /// struct Visit;
    /// impl Handler for Visit {
    ///     fn resolved(&mut self, resolved: &mut Resolved<'_, Self>) {
    ///         if let Ok([first, ..]) = resolved.addresses() {
    ///             // The one to try first.
    ///             assert!(!first.is_unspecified());
    ///         }
    ///     }
    /// }
    /// # fn example(stack: &mut Stack<Visit>) -> Result<(), coracle::Error> {
    /// stack.dns_set_servers(&["192.0.2.53:53".parse().unwrap()])?;
    /// stack.dns_query("www.example", Lookup::Addresses, Visit)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when there can be no such name, [`Error::Memory`] when there are as many queries as the limits
    /// allow; the handler is dropped then.
    pub fn dns_query(&mut self, name: &str, lookup: Lookup, handler: H) -> Result<DnsQuery, Error> {
        let key = self.engine.services.dns.resolver.query(name, lookup, self.engine.now)?;
        self.dns_handlers[key.index as usize] = Some(handler);
        if self.is_dispatching() {
            self.engine.dns_act();
        } else {
            // The time is that of the last call: what waits for an answer is to wait from the next one on.
            self.engine.dns_act_soon();
        }
        Ok(DnsQuery(key))
    }

    /// Takes a query back, and returns its handler.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when it is over.
    pub fn dns_cancel(&mut self, query: DnsQuery) -> Result<Option<H>, Error> {
        if !self.engine.services.dns.resolver.cancel(query.0) {
            return Err(Error::Closed);
        }
        let handler = self.dns_handlers[query.0.index as usize].take();
        self.engine.dns_act();
        Ok(handler)
    }

    /// Calls `with` with the addresses that a name is known to have, in the order in which they should be tried:
    /// nobody is asked, and there is no callback. lwIP: `dns_gethostbyname` when it returns `ERR_OK`.
    pub fn dns_known<T>(
        &mut self,
        name: &str,
        lookup: Lookup,
        with: impl FnOnce(&[IpAddr]) -> T,
    ) -> Option<T> {
        let mut known = self.engine.services.dns.resolver.known(name, lookup, self.engine.now);
        self.engine.dns_act();
        let known = known.as_mut()?;
        self.engine.dns_sort(known.as_mut_slice());
        Some(with(known.as_slice()))
    }

    /// Replaces the servers that the owner of the stack names; they are asked before those that other protocols name.
    /// A link-local address needs its interface as scope. The port is always 53, and what is said of it has no meaning.
    /// lwIP: `dns_setserver`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an address that no server can have; then nothing is changed.
    pub fn dns_set_servers(&mut self, servers: &[SocketAddr]) -> Result<(), Error> {
        let zone = self.engine.zone(None);
        for &server in servers {
            let endpoint = Endpoint::from_socket(server, zone)?;
            if !endpoint.address.is_one_host() {
                return Err(Error::Value);
            }
        }
        let known = servers.iter().filter_map(|&server| {
            let endpoint = Endpoint::from_socket(server, zone).ok()?;
            let scope = if let SocketAddr::V6(v6) = endpoint.to_socket() { v6.scope_id() } else { 0 };
            Some(ServerAddress { ip: server.ip(), scope })
        });
        self.engine.services.dns.resolver.set_servers(Source::Owner, known);
        Ok(())
    }

    /// Replaces the servers that the owner names for one interface, through which alone they are asked, after those of
    /// [`Stack::dns_set_servers`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the interface is gone; [`Error::Value`] for an address that no server can have.
    pub fn dns_set_netif_servers(&mut self, netif: NetifHandle, servers: &[IpAddr]) -> Result<(), Error> {
        let slot = self.engine.netif_slot(netif)?;
        for &server in servers {
            if !Address::from_ip(server, Some(slot))?.is_one_host() {
                return Err(Error::Value);
            }
        }
        self.engine.dns_learn(slot, 0, servers.iter().copied());
        Ok(())
    }

    /// The servers, in the order in which they are asked. lwIP: `dns_getserver`.
    pub fn dns_servers(&self) -> impl Iterator<Item = IpAddr> {
        self.engine.services.dns.resolver.servers().map(|server| server.ip)
    }

    /// Replaces the domains that names are looked for in; those for which there is no room are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for what is no name; then nothing is changed.
    pub fn dns_set_search(&mut self, domains: &[&str]) -> Result<(), Error> {
        for domain in domains {
            NameBuf::from_text(domain).map_err(|_| Error::Argument)?;
        }
        self.engine.services.dns.resolver.forget_search(Source::Owner);
        for domain in domains {
            let name = NameBuf::from_text(domain).map_err(|_| Error::Argument)?;
            self.engine.services.dns.resolver.add_search(Source::Owner, name.name());
        }
        Ok(())
    }

    /// Adds an address of a name to the host table, which is looked at before any server is asked. lwIP:
    /// `dns_local_addhost`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for what is no name, [`Error::Memory`] when the table is full.
    pub fn dns_add_host(&mut self, name: &str, address: IpAddr) -> Result<(), Error> {
        let name = NameBuf::from_text(name).map_err(|_| Error::Argument)?;
        self.engine.services.dns.resolver.hosts.add(name.name(), address)
    }

    /// Removes entries of the host table: those of a name (of all, without one) with an address (with any, without).
    /// Returns how many. lwIP: `dns_local_removehost`.
    pub fn dns_remove_host(&mut self, name: Option<&str>, address: Option<IpAddr>) -> usize {
        let name = match name.map(NameBuf::from_text) {
            Some(Err(_)) => return 0,
            Some(Ok(name)) => Some(name),
            None => None,
        };
        self.engine.services.dns.resolver.hosts.remove(name.as_ref().map(NameBuf::name), address)
    }

    /// The host table. lwIP: `dns_local_iterate`.
    pub fn dns_hosts(&self) -> impl Iterator<Item = (Name<'_>, IpAddr)> {
        self.engine.services.dns.resolver.hosts.iter()
    }

    /// Forgets all answers, as after a change of networks.
    pub fn dns_forget(&mut self) {
        self.engine.services.dns.resolver.forget_answers();
    }

    /// What happened so far, counted.
    pub fn dns_counters(&self) -> DnsCounters {
        self.engine.services.dns.resolver.counters
    }

    pub(super) fn call_resolved(&mut self, query: Key, outcome: &Outcome) {
        let Some(mut handler) = self.dns_handlers[query.index as usize].take() else { return };
        let &Outcome { result, addresses, kind } = outcome;
        handler.resolved(&mut Resolved { stack: self, query: DnsQuery(query), result, addresses, kind });
    }
}

/// A query that is over.
pub struct Resolved<'a, H> {
    stack: &'a mut Stack<H>,
    query: DnsQuery,
    result: Result<(), DnsError>,
    addresses: Addresses,
    /// Of the records; zero for addresses.
    kind: u16,
}

impl<H> Resolved<'_, H> {
    /// The stack.
    pub fn stack(&mut self) -> &mut Stack<H> {
        self.stack
    }

    /// Which query it was.
    pub fn query(&self) -> DnsQuery {
        self.query
    }

    /// The addresses found, in the order in which they should be tried [RFC 6724 §6]; none for a query of other
    /// records.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub fn addresses(&self) -> Result<&[IpAddr], DnsError> {
        self.result.map(|()| self.addresses.as_slice())
    }

    /// The records found by [`Lookup::Records`], without pointers in their data, whose name is always the root. They
    /// are gone when the application begins another query.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub fn records(&self) -> Result<impl Iterator<Item = Record<'_>>, DnsError> {
        self.result?;
        let kind = self.kind;
        let data = self.stack.engine.services.dns.resolver.records();
        let all = data.map(move |data| Record::from_parts(Name::ROOT, kind, class::IN, 0, data));
        Ok(all.take(if kind == 0 { 0 } else { usize::MAX }))
    }
}
