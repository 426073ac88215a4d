//! Who has which address.

use core::net::Ipv4Addr;

use coracle_buf::Error;
use coracle_wire::MacAddr;

use crate::time::Instant;

/// What is with an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// The entry is empty.
    Free,
    /// It will be offered unless somebody answers the probe.
    Probing { broadcast: bool, relay: Ipv4Addr, station: MacAddr },
    /// It was offered.
    Offered,
    /// It is, or was, leased.
    Leased,
    /// Somebody else was found to have it.
    Declined,
}

/// One address and the client that it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(super) client: u64,
    pub(super) address: Ipv4Addr,
    pub(super) status: Status,
    /// The end of the status.
    pub(super) until: Instant,
    /// The exchange that an offer waits in.
    pub(super) transaction: u32,
}

impl Binding {
    pub(crate) const FREE: Self = Self {
        client: 0,
        address: Ipv4Addr::UNSPECIFIED,
        status: Status::Free,
        until: Instant::ZERO,
        transaction: 0,
    };

    /// A client and its address, which counts as over until it is offered.
    pub(super) const fn new(client: u64, address: Ipv4Addr) -> Self {
        Self { client, address, status: Status::Offered, ..Self::FREE }
    }

    /// A binding for good.
    pub(crate) const fn reserved(client: u64, address: Ipv4Addr) -> Self {
        Self { client, address, status: Status::Leased, until: Instant::MAX, transaction: 0 }
    }

    pub(super) fn probed_at(&self) -> Option<Instant> {
        matches!(self.status, Status::Probing { .. }).then_some(self.until)
    }

    pub(super) fn is_offer(&self) -> bool {
        matches!(self.status, Status::Offered | Status::Probing { .. })
    }

    pub(super) fn is_declined(&self) -> bool {
        self.status == Status::Declined
    }

    /// Whether the address may be given to somebody else.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.until == Instant::MAX
    }

    /// Keeps the address for the client, to which it was leased before, maybe.
    pub(super) fn offer(&mut self, until: Instant) {
        if self.status != Status::Leased {
            self.status = Status::Offered;
        }
        self.until = self.until.max(until);
    }

    pub(super) fn probe(
        &mut self,
        until: Instant,
        transaction: u32,
        broadcast: bool,
        relay: Ipv4Addr,
        station: MacAddr,
    ) {
        self.status = Status::Probing { broadcast, relay, station };
        self.until = until;
        self.transaction = transaction;
    }

    /// Leases the address; a reserved one is so for ever.
    pub(super) fn lease(&mut self, until: Instant) {
        self.status = Status::Leased;
        self.until = self.until.max(until);
    }

    /// The client does not need it any more; a reserved one stays.
    pub(super) fn end(&mut self, now: Instant) {
        if !self.is_reserved() {
            self.status = Status::Leased;
            self.until = now;
        }
    }

    /// Nobody is given it for a while; the client gets another one.
    pub(super) fn decline(&mut self, until: Instant) {
        if self.is_reserved() {
            return;
        }
        self.status = Status::Declined;
        self.until = until;
        self.client = 0;
    }
}

/// Keeps an address for a station for good; [`Error::Memory`] when every entry is in use, [`Error::InUse`] when a
/// client has the address.
pub(super) fn reserve(bindings: &mut [Binding], reserved: Binding, now: Instant) -> Result<(), Error> {
    let taken = |binding: &Binding| {
        binding.address == reserved.address && binding.client != reserved.client && !binding.is_over(now)
    };
    if bindings.iter().any(taken) {
        return Err(Error::InUse);
    }
    let same = bindings
        .iter()
        .position(|binding| binding.client == reserved.client || binding.address == reserved.address);
    let position = same.or_else(|| replaceable(bindings, now)).ok_or(Error::Memory)?;
    bindings[position] = reserved;
    Ok(())
}

/// The entry of a client.
pub(super) fn find(bindings: &[Binding], client: u64) -> Option<usize> {
    bindings.iter().position(|binding| {
        binding.client == client && !matches!(binding.status, Status::Free | Status::Declined)
    })
}

/// An entry for somebody new: an empty one, or that of whoever left longest ago.
pub(super) fn replaceable(bindings: &[Binding], now: Instant) -> Option<usize> {
    let over = bindings.iter().enumerate().filter(|(_, binding)| binding.is_over(now));
    over.min_by_key(|(_, binding)| binding.until).map(|(position, _)| position)
}
