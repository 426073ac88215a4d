//! What applications ask, and what becomes of it.

use core::net::IpAddr;

use coracle_buf::Error;
use coracle_wire::dns::{NameBuf, kind};

use super::answer::MAX_ALIASES;
use super::cache::{Known, Records};
use super::exchange::Exchange;
use super::special::{LOCALHOST, Special, special};
use super::{Addresses, DnsError, Lookup, Outcome, Resolver};
use crate::table::Key;
use crate::time::Instant;

/// One of the questions that a query consists of: addresses of both families are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    Unused,
    /// An exchange is under way.
    Waiting(u16),
    Found,
    Failed(DnsError),
}

/// How far a query is.
enum Progress {
    Waiting,
    Over,
    /// Nothing by the present name: perhaps by the next.
    Nothing,
}

pub(super) struct Query {
    /// The name as the application wrote it.
    asked: NameBuf,
    /// No search domain is added.
    absolute: bool,
    lookup: Lookup,
    /// Which of the names that it may stand for is tried now.
    candidate: u8,
    legs: [Leg; 2],
    found: Addresses,
    /// One of the names tried exists.
    exists: bool,
    /// When the addresses of one family have waited long enough for those of the other.
    deadline: Option<Instant>,
    result: Option<Result<(), DnsError>>,
    /// Which answer its records came in, if they came in one.
    answer: Option<u32>,
}

impl Query {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.result.is_none())
    }

    fn kinds(&self) -> [Option<u16>; 2] {
        match self.lookup {
            Lookup::Addresses => [Some(kind::A), Some(kind::AAAA)],
            Lookup::Ipv4 => [Some(kind::A), None],
            Lookup::Ipv6 => [Some(kind::AAAA), None],
            Lookup::Records(kind) => [Some(kind), None],
        }
    }

    fn wants(&self, address: IpAddr) -> bool {
        match self.lookup {
            Lookup::Addresses => true,
            Lookup::Ipv4 => address.is_ipv4(),
            Lookup::Ipv6 => address.is_ipv6(),
            Lookup::Records(_) => false,
        }
    }

    fn add(&mut self, address: IpAddr) {
        let both = self.lookup == Lookup::Addresses;
        self.found.push_family(address, both);
    }

    /// Adds the addresses among the data of records; returns how many there are.
    fn add_all(&mut self, kind: u16, records: &[u8]) -> usize {
        let addresses = Records::new(records).filter_map(|data| address(kind, data));
        addresses.inspect(|&address| self.add(address)).count()
    }

    fn is_waiting_for(&self, exchange: usize) -> bool {
        self.legs.contains(&Leg::Waiting(exchange as u16))
    }
}

/// The address that the data of a record of this kind is.
fn address(kind: u16, data: &[u8]) -> Option<IpAddr> {
    match kind {
        kind::A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        // Addresses of the other family in disguise are none [RFC 4942 §2.2].
        kind::AAAA => <[u8; 16]>::try_from(data)
            .ok()
            .map(IpAddr::from)
            .filter(|address| matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_none())),
        _ => None,
    }
}

/// What is known of a name without asking anybody.
enum Local {
    Found,
    Failed(DnsError),
    /// The name must be asked about, on the link or not.
    Ask(bool),
}

impl Resolver {
    /// Begins to find out what a name stands for, whose end with a dot means that no search domain is to be added.
    /// What is known already is reported by [`next_event`](Self::next_event) like everything else.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when there can be no such name, [`Error::Memory`] when there are too many queries.
    pub(crate) fn query(&mut self, text: &str, lookup: Lookup, now: Instant) -> Result<Key, Error> {
        let literal = text.parse::<IpAddr>().ok();
        let name = match literal {
            Some(_) => NameBuf::ROOT,
            None => NameBuf::from_text(text).map_err(|_| Error::Argument)?,
        };
        let key = self.queries.insert(Query {
            asked: name,
            absolute: text.ends_with('.'),
            lookup,
            candidate: 0,
            legs: [Leg::Unused; 2],
            found: Addresses::NONE,
            exists: false,
            deadline: None,
            result: None,
            answer: None,
        })?;
        match literal {
            Some(address) => self.answer_literally(key, address),
            None => self.try_names(key, now),
        }
        Ok(key)
    }

    /// The addresses that a name is known to have, now and without asking anybody; none if that is not known.
    pub(crate) fn known(&mut self, text: &str, lookup: Lookup, now: Instant) -> Option<Addresses> {
        if matches!(lookup, Lookup::Records(_)) {
            return None;
        }
        let key = self.query(text, lookup, now).ok()?;
        let query = self.queries.get(key)?;
        let found = query.found;
        let known = query.result == Some(Ok(()));
        self.cancel(key);
        known.then_some(found)
    }

    /// Ends a query without an answer. Says whether there was one.
    pub(crate) fn cancel(&mut self, key: Key) -> bool {
        let Some(query) = self.queries.remove(key) else { return false };
        if query.result.is_some() {
            self.over -= 1;
        }
        self.end_unwanted();
        true
    }

    /// A query that is over, and what it came to.
    pub(crate) fn next_event(&mut self, now: Instant) -> Option<(Key, Outcome)> {
        while self.over > 0 {
            let (key, query) = self.queries.iter().find(|(_, query)| query.result.is_some())?;
            let result = query.result?;
            if result.is_ok()
                && let Lookup::Records(kind) = query.lookup
                && query.answer != Some(self.answers)
                && !self.copy_known(key, kind, now)
            {
                // It expired just now.
                self.over -= 1;
                if let Some(query) = self.queries.get_mut(key) {
                    query.result = None;
                }
                self.try_names(key, now);
                continue;
            }
            let query = self.queries.remove(key)?;
            self.over -= 1;
            let kind = if let Lookup::Records(kind) = query.lookup { kind } else { 0 };
            return Some((key, Outcome { result, addresses: query.found, kind }));
        }
        None
    }

    fn answer_literally(&mut self, key: Key, address: IpAddr) {
        let Some(query) = self.queries.get_mut(key) else { return };
        if query.wants(address) {
            query.add(address);
            self.end(key, Ok(()));
        } else {
            self.end(key, Err(DnsError::NoData));
        }
    }

    fn end(&mut self, key: Key, result: Result<(), DnsError>) {
        if let Some(query) = self.queries.get_mut(key)
            && query.result.is_none()
        {
            query.result = Some(result);
            self.over += 1;
        }
    }

    /// The name that a query tries as its present candidate; none when there are no more.
    fn candidate(&self, query: &Query) -> Option<NameBuf> {
        let mut number = usize::from(query.candidate);
        if query.absolute || special(query.asked.name()).is_some() {
            return (number == 0).then(|| query.asked.clone());
        }
        let dots = query.asked.name().labels().count().saturating_sub(1);
        let first = dots >= usize::from(self.config.ndots);
        if first && number == 0 {
            return Some(query.asked.clone());
        }
        number -= usize::from(first);
        match self.search_domain(number) {
            Some(domain) => {
                let mut name = query.asked.clone();
                // A name that would be too long is none: it stands for the one without the domain.
                name.push_name(domain).unwrap_or_default();
                Some(name)
            }
            None if !first && self.search_domain_count() == number => Some(query.asked.clone()),
            None => None,
        }
    }

    fn search_domain_count(&self) -> usize {
        self.search.iter().flatten().count()
    }

    /// Tries the present name of a query, and the next ones as long as nothing is known to be there.
    pub(super) fn try_names(&mut self, key: Key, now: Instant) {
        loop {
            let Some(query) = self.queries.get(key) else { return };
            let Some(name) = self.candidate(query) else {
                let error = if query.exists { DnsError::NoData } else { DnsError::NoName };
                return self.end(key, Err(error));
            };
            for (leg, kind) in query.kinds().into_iter().enumerate() {
                if let Some(kind) = kind {
                    let state = self.begin(key, &name, kind, now);
                    self.set_leg(key, leg, state);
                }
            }
            match self.progress(key, now) {
                Progress::Nothing => {}
                Progress::Over => {
                    self.counters.hits = self.counters.hits.wrapping_add(1);
                    return;
                }
                Progress::Waiting => return,
            }
        }
    }

    fn set_leg(&mut self, key: Key, leg: usize, state: Leg) {
        if let Some(query) = self.queries.get_mut(key) {
            query.legs[leg] = state;
        }
    }

    fn begin(&mut self, key: Key, name: &NameBuf, kind: u16, now: Instant) -> Leg {
        let mut name = name.clone();
        match self.find_locally(key, &mut name, kind, now) {
            Local::Found => Leg::Found,
            Local::Failed(error) => Leg::Failed(error),
            Local::Ask(on_link) => self.ask(&name, kind, on_link),
        }
    }

    /// What is special about a name, what the owner said, what is remembered. The name becomes the one that it is known
    /// to be an alias of.
    fn find_locally(&mut self, key: Key, name: &mut NameBuf, kind: u16, now: Instant) -> Local {
        let special = special(name.name());
        match special {
            Some(Special::Localhost) => {
                let found = self.add_addresses(key, kind, |_| LOCALHOST.into_iter().collect_addresses());
                return if found { Local::Found } else { Local::Failed(DnsError::NoData) };
            }
            Some(Special::Nowhere) => return Local::Failed(DnsError::NoName),
            Some(Special::Link) if !self.config.multicast => return Local::Failed(DnsError::NoName),
            Some(Special::Link) | None => {}
        }
        if self.hosts.find(name.name()).next().is_some() {
            let found = self
                .add_addresses(key, kind, |resolver| resolver.hosts.find(name.name()).collect_addresses());
            return if found { Local::Found } else { Local::Failed(DnsError::NoData) };
        }
        for _ in 0..MAX_ALIASES {
            match self.cache.find(name.name(), kind, now) {
                None => return Local::Ask(special == Some(Special::Link)),
                Some(Known::Alias(target)) => *name = NameBuf::new(target),
                Some(Known::NoData) => return Local::Failed(DnsError::NoData),
                Some(Known::NoName) => return Local::Failed(DnsError::NoName),
                Some(Known::Records(records)) => {
                    let Some(query) = self.queries.get_mut(key) else { break };
                    let empty = query.add_all(kind, records) == 0;
                    if empty && !matches!(query.lookup, Lookup::Records(_)) {
                        return Local::Failed(DnsError::NoData);
                    }
                    return Local::Found;
                }
            }
        }
        Local::Failed(DnsError::Server)
    }

    /// Adds those addresses that are of a kind; says whether there are any.
    fn add_addresses(&mut self, key: Key, kind: u16, list: impl FnOnce(&Self) -> Addresses) -> bool {
        let list = list(self);
        let Some(query) = self.queries.get_mut(key) else { return false };
        let of_kind = |address: &&IpAddr| match kind {
            kind::A => address.is_ipv4(),
            kind::AAAA => address.is_ipv6(),
            _ => false,
        };
        let mut any = false;
        for &address in list.as_slice().iter().filter(of_kind) {
            query.add(address);
            any = true;
        }
        any
    }

    /// Joins the exchange that asks this already [5452-3], or begins one.
    fn ask(&mut self, name: &NameBuf, kind: u16, on_link: bool) -> Leg {
        if !on_link && self.servers.is_empty() {
            return Leg::Failed(DnsError::NoServer);
        }
        let same = |exchange: &Exchange| exchange.asks(name.name(), kind, on_link);
        if let Some(position) = self.exchanges.iter().position(|place| place.as_ref().is_some_and(same)) {
            return Leg::Waiting(position as u16);
        }
        // There are two for each query, so one is free, or over and to be replaced.
        let free = |place: &Option<Exchange>| place.as_ref().is_none_or(Exchange::is_over);
        let Some(position) = self.exchanges.iter().position(free) else {
            return Leg::Failed(DnsError::Server);
        };
        self.exchanges[position] = Some(Exchange::new(name.clone(), kind, on_link));
        Leg::Waiting(position as u16)
    }

    /// How far a query is, now that one of its legs changed.
    fn progress(&mut self, key: Key, now: Instant) -> Progress {
        let patience = self.config.patience;
        let Some(query) = self.queries.get_mut(key) else { return Progress::Over };
        let found = query.legs.contains(&Leg::Found);
        if query.legs.iter().any(|leg| matches!(leg, Leg::Waiting(_))) {
            if found && query.deadline.is_none() {
                query.deadline = Some(now + patience);
            }
            return Progress::Waiting;
        }
        if found {
            self.end(key, Ok(()));
            return Progress::Over;
        }
        let mut hard = None;
        for leg in query.legs {
            match leg {
                Leg::Failed(DnsError::NoData) => query.exists = true,
                Leg::Failed(DnsError::NoName) | Leg::Unused | Leg::Waiting(_) | Leg::Found => {}
                Leg::Failed(error) => hard = Some(error),
            }
        }
        if let Some(error) = hard {
            self.end(key, Err(error));
            return Progress::Over;
        }
        query.candidate = query.candidate.saturating_add(1);
        Progress::Nothing
    }

    /// An exchange is over: everybody who waits for it goes on. The records of an answer are in the resolver.
    pub(super) fn complete(
        &mut self,
        exchange: usize,
        kind: u16,
        result: Result<(), DnsError>,
        now: Instant,
    ) {
        if let Some(one) = &mut self.exchanges[exchange] {
            one.close();
        }
        for position in 0..self.queries.capacity() {
            let answers = self.answers;
            let Some((key, query)) = self.queries.entry_at_mut(position) else { continue };
            if !query.is_waiting_for(exchange) {
                continue;
            }
            let mut state = result.map_or_else(Leg::Failed, |()| Leg::Found);
            if result.is_ok() && !matches!(query.lookup, Lookup::Records(_)) {
                let records = &self.records[..self.records_len];
                if query.add_all(kind, records) == 0 {
                    state = Leg::Failed(DnsError::NoData);
                }
            }
            query.answer = result.is_ok().then_some(answers);
            for leg in &mut query.legs {
                if *leg == Leg::Waiting(exchange as u16) {
                    *leg = state;
                }
            }
            if let Progress::Nothing = self.progress(key, now) {
                self.try_names(key, now);
            }
        }
    }

    /// Everybody who waits for one exchange waits for another.
    pub(super) fn move_waiting(&mut self, from: usize, to: usize) {
        for position in 0..self.queries.capacity() {
            let Some(query) = self.queries.at_mut(position) else { continue };
            for leg in &mut query.legs {
                if *leg == Leg::Waiting(from as u16) {
                    *leg = Leg::Waiting(to as u16);
                }
            }
        }
    }

    /// Addresses of one family that have waited long enough for those of the other are all there is.
    pub(super) fn end_patience(&mut self, now: Instant) {
        for position in 0..self.queries.capacity() {
            let Some((key, query)) = self.queries.entry_at_mut(position) else { continue };
            if query.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            query.deadline = None;
            for leg in &mut query.legs {
                if let Leg::Waiting(_) = leg {
                    *leg = Leg::Failed(DnsError::Timeout);
                }
            }
            self.progress(key, now);
        }
        self.end_unwanted();
    }

    /// Ends exchanges that nobody waits for.
    fn end_unwanted(&mut self) {
        for position in 0..self.exchanges.len() {
            let wanted = self.queries.iter().any(|(_, query)| query.is_waiting_for(position));
            if !wanted && let Some(exchange) = &mut self.exchanges[position] {
                exchange.close();
            }
        }
    }

    /// Copies the records that the cache has for a query to where its handler reads them.
    fn copy_known(&mut self, key: Key, kind: u16, now: Instant) -> bool {
        let Some(mut current) = self.queries.get(key).and_then(|query| self.candidate(query)) else {
            return false;
        };
        for _ in 0..MAX_ALIASES {
            match self.cache.find(current.name(), kind, now) {
                Some(Known::Alias(target)) => current = NameBuf::new(target),
                Some(Known::Records(records)) => {
                    let Some(place) = self.records.get_mut(..records.len()) else { return false };
                    place.copy_from_slice(records);
                    self.records_len = records.len();
                    self.answers = self.answers.wrapping_add(1);
                    return true;
                }
                _ => return false,
            }
        }
        false
    }
}

/// Collects the first addresses of an iterator.
trait CollectAddresses {
    fn collect_addresses(self) -> Addresses;
}

impl<I: Iterator<Item = IpAddr>> CollectAddresses for I {
    fn collect_addresses(self) -> Addresses {
        let mut list = Addresses::NONE;
        self.for_each(|address| list.push(address));
        list
    }
}
