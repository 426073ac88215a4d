//! Names that the owner of the stack gives: no server is asked about them. lwIP: the local host list.

use core::net::IpAddr;

use coracle_buf::{Arena, Error, Table};
use coracle_wire::dns::Name;

/// Entries in a row: the name, the length of the address, the address.
pub(crate) struct Hosts {
    bytes: Table<u8>,
    used: usize,
}

/// Iterator over entries, with the place of each.
struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Name<'a>, IpAddr, usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let (name, behind) = Name::read(self.bytes, start).ok()?;
        let len = usize::from(*self.bytes.get(behind)?);
        let octets = self.bytes.get(behind + 1..behind + 1 + len)?;
        let address = match octets.first_chunk::<16>() {
            Some(&octets) => IpAddr::from(octets),
            None => IpAddr::from(*octets.first_chunk::<4>()?),
        };
        self.at = behind + 1 + len;
        Some((name, address, start, self.at))
    }
}

impl Hosts {
    pub(crate) fn new(arena: &mut Arena, bytes: usize) -> Result<Self, Error> {
        Ok(Self { bytes: arena.table(bytes, |_| 0)?, used: 0 })
    }

    fn entries(&self) -> Entries<'_> {
        Entries { bytes: &self.bytes[..self.used], at: 0 }
    }

    /// All names and addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Name<'_>, IpAddr)> {
        self.entries().map(|(name, address, ..)| (name, address))
    }

    /// The addresses of a name.
    pub(crate) fn find(&self, name: Name<'_>) -> impl Iterator<Item = IpAddr> {
        self.iter().filter(move |(owner, _)| *owner == name).map(|(_, address)| address)
    }

    /// Adds an address of a name; [`Error::Memory`] when there is no room.
    pub(crate) fn add(&mut self, name: Name<'_>, address: IpAddr) -> Result<(), Error> {
        if self.find(name).any(|known| known == address) {
            return Ok(());
        }
        let (octets, len) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped().octets(), 4),
            IpAddr::V6(address) => (address.octets(), 16),
        };
        let needed = name.wire_len() + 1 + len;
        let place = self.bytes.get_mut(self.used..self.used + needed).ok_or(Error::Memory)?;
        let mut at = 0;
        for label in name.labels() {
            place[at] = label.len() as u8;
            place[at + 1..][..label.len()].copy_from_slice(label);
            at += 1 + label.len();
        }
        place[at] = 0;
        place[at + 1] = len as u8;
        place[at + 2..].copy_from_slice(&octets[16 - len..]);
        self.used += needed;
        Ok(())
    }

    /// Removes the entries of a name (of all, without) with an address (with any, without); returns how many.
    pub(crate) fn remove(&mut self, name: Option<Name<'_>>, address: Option<IpAddr>) -> usize {
        let mut removed = 0;
        let mut from = 0;
        loop {
            let mut entries = Entries { bytes: &self.bytes[..self.used], at: from };
            let found = entries.find(|&(owner, known, ..)| {
                name.is_none_or(|name| name == owner) && address.is_none_or(|address| address == known)
            });
            let Some((_, _, start, end)) = found else { return removed };
            self.bytes.copy_within(end..self.used, start);
            self.used -= end - start;
            from = start;
            removed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use coracle_wire::dns::NameBuf;

    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::from_text(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn names_come_and_go() {
        let mut hosts = Hosts::new(&mut Arena::heap(), 80).unwrap();
        let (one, two) = (name("one.test"), name("two.test"));
        hosts.add(one.name(), ip("192.0.2.1")).unwrap();
        hosts.add(two.name(), ip("192.0.2.2")).unwrap();
        hosts.add(one.name(), ip("2001:db8::1")).unwrap();
        hosts.add(one.name(), ip("2001:db8::1")).unwrap();
        assert_eq!(hosts.iter().count(), 3);
        let found: Vec<_> = hosts.find(name("ONE.test").name()).collect();
        assert_eq!(found, [ip("192.0.2.1"), ip("2001:db8::1")]);
        assert_eq!(hosts.add(name("no.room.for.this").name(), ip("2001:db8::2")), Err(Error::Memory));
        assert_eq!(hosts.remove(Some(one.name()), Some(ip("192.0.2.1"))), 1);
        assert_eq!(hosts.remove(None, Some(ip("192.0.2.9"))), 0);
        assert_eq!(
            hosts.iter().map(|(_, address)| address).collect::<Vec<_>>(),
            [ip("192.0.2.2"), ip("2001:db8::1")]
        );
        assert_eq!(hosts.remove(None, None), 2);
        hosts.add(name("now.there.is.room").name(), ip("2001:db8::2")).unwrap();
    }
}
