//! A small DHCP server [RFC 2131 §4.3]: for a device that is an access point, and for tests.
//!
//! It leases the addresses of one range, and reserved ones, for one time. What it knows of its clients is in a table
//! that its owner gives; when that is full, who left longest ago gives way.

mod bindings;
mod engine;
#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

use coracle_buf::Error;
use coracle_wire::MacAddr;
use coracle_wire::arp::ArpPacket;
use coracle_wire::dhcpv4::{
    BOOT_REPLY, BOOT_REQUEST, CLIENT_PORT, DhcpFields, DhcpMessage, DhcpWriter, MessageType, SERVER_PORT,
    code,
};

use super::DhcpOptions;
use super::lease::{after, is_host};
use super::message::MAX_LEN;
use crate::netif::Ipv4Settings;
use crate::time::Instant;

pub(crate) use bindings::{Binding, Status};
pub(crate) use engine::ServerPlace;

const SECOND: u64 = 1_000_000;
/// How long an offered address is kept for the client.
const OFFER_TIME: u64 = 30 * SECOND;
/// How long an address is left alone that somebody else was found to have.
const DECLINED_TIME: u64 = 600 * SECOND;
/// How long the answer to a probe may take.
const PROBE_TIME: u64 = 200_000;

/// What a DHCP server gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DhcpServerConfig {
    /// The first address of the range.
    pub first: Ipv4Addr,
    /// The last address of the range.
    pub last: Ipv4Addr,
    /// For how many seconds addresses are leased.
    pub lease_time: u32,
    /// The router that clients are told of; 0.0.0.0: none.
    pub router: Ipv4Addr,
    /// The DNS servers that clients are told of; 0.0.0.0 where there are no more.
    pub dns_servers: [Ipv4Addr; 2],
    /// Ask by ARP whether anybody has an address before it is offered for the first time, which takes 0.2 s.
    pub probe: bool,
    /// Lease at once to clients who ask for that [RFC 4039].
    pub rapid_commit: bool,
    /// Options that are sent besides; what is wanted in it has no meaning here.
    pub options: DhcpOptions,
}

impl DhcpServerConfig {
    /// A range of addresses, for an hour each, probed.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use coracle::DhcpServerConfig;
    ///
    /// let range = [Ipv4Addr::new(192, 0, 2, 100), Ipv4Addr::new(192, 0, 2, 199)];
    /// let config = DhcpServerConfig { lease_time: 600, ..DhcpServerConfig::new(range[0], range[1]) };
    /// assert!(config.probe);
    /// ```
    pub const fn new(first: Ipv4Addr, last: Ipv4Addr) -> Self {
        Self {
            first,
            last,
            lease_time: 3_600,
            router: Ipv4Addr::UNSPECIFIED,
            dns_servers: [Ipv4Addr::UNSPECIFIED; 2],
            probe: true,
            rapid_commit: true,
            options: DhcpOptions::NONE,
        }
    }

    /// [`Error::Value`] unless the range is one of hosts on the network of these settings.
    pub(crate) fn check(&self, own: &Ipv4Settings) -> Result<(), Error> {
        let mask = own.netmask.to_bits();
        let on_link = |address: Ipv4Addr| (address.to_bits() ^ own.address.to_bits()) & mask == 0;
        let edges = [self.first.to_bits(), self.last.to_bits()];
        let hosts = edges.iter().all(|edge| edge & !mask != 0 && edge & !mask != !mask);
        let usable = on_link(self.first) && on_link(self.last) && edges[0] <= edges[1] && hosts;
        if usable && self.lease_time > 0 && is_host(own.address) { Ok(()) } else { Err(Error::Value) }
    }
}

/// What the server needs of its interface.
pub(crate) trait ServerPort {
    fn now(&self) -> Instant;
    /// The interface's own address and network.
    fn settings(&self) -> Ipv4Settings;
    /// Sends a message from port 67.
    fn send(&mut self, destination: Ipv4Addr, port: u16, message: &[u8]);
    /// Asks all for an address, from 0.0.0.0.
    fn probe(&mut self, address: Ipv4Addr);
}

/// The server of one interface; its clients are in the table that each call is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    config: DhcpServerConfig,
}

/// What a client's message says, as far as answers need it.
#[derive(Clone, Copy)]
struct Asked {
    /// Who asks: the client identifier, or the station, folded.
    client: u64,
    transaction: u32,
    broadcast: bool,
    address: Ipv4Addr,
    relay: Ipv4Addr,
    station: MacAddr,
}

impl Server {
    pub(crate) const fn new(config: DhcpServerConfig) -> Self {
        Self { config }
    }

    /// When [`timer`](Self::timer) is to be called: when an offer waits for its probe.
    pub(crate) fn deadline(bindings: &[Binding]) -> Option<Instant> {
        bindings.iter().filter_map(Binding::probed_at).min()
    }

    /// Takes a message that came to port 67.
    pub(crate) fn input(
        &self,
        port: &mut dyn ServerPort,
        bindings: &mut [Binding],
        message: &DhcpMessage<'_>,
    ) {
        let header = message.header;
        let Some(kind) = message.message_type() else { return };
        let station = header.hardware();
        if header.operation() != BOOT_REQUEST || !station.is_unicast() || station == MacAddr::ZERO {
            return;
        }
        let asked = Asked {
            client: client_key(bindings, message),
            transaction: header.transaction(),
            broadcast: header.broadcast(),
            address: header.client(),
            relay: header.relay(),
            station,
        };
        match kind {
            MessageType::Discover => self.discover(port, bindings, &asked, message),
            MessageType::Request => self.request(port, bindings, &asked, message),
            MessageType::Decline => decline(port, bindings, &asked, message),
            MessageType::Release => release(port, bindings, &asked, message),
            MessageType::Inform => self.reply(port, &asked, MessageType::Ack, None, message),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => {}
        }
    }

    fn discover(
        &self,
        port: &mut dyn ServerPort,
        bindings: &mut [Binding],
        asked: &Asked,
        message: &DhcpMessage<'_>,
    ) {
        let wish = message.number(code::REQUESTED_ADDRESS).map(Ipv4Addr::from_bits);
        let Some(binding) = self.choose(port, bindings, asked.client, wish) else { return };
        let known = binding.status == Status::Leased;
        if matches!(binding.status, Status::Probing { .. }) {
            // It asks again while the probe is out; the answer comes when that is over.
            binding.transaction = asked.transaction;
            return;
        }
        let now = port.now();
        if self.config.rapid_commit
            && message.value(code::RAPID_COMMIT).is_some()
            && (known || !self.config.probe)
        {
            binding.lease(after(now, u64::from(self.config.lease_time) * SECOND));
            return self.reply(port, asked, MessageType::Ack, Some(binding.address), message);
        }
        if known || !self.config.probe {
            binding.offer(after(now, OFFER_TIME));
            return self.reply(port, asked, MessageType::Offer, Some(binding.address), message);
        }
        binding.probe(after(now, PROBE_TIME), asked.transaction, asked.broadcast, asked.relay, asked.station);
        port.probe(binding.address);
    }

    /// The binding of a client, with the address that it has, had, wants, or one that nobody has.
    fn choose<'a>(
        &self,
        port: &mut dyn ServerPort,
        bindings: &'a mut [Binding],
        client: u64,
        wish: Option<Ipv4Addr>,
    ) -> Option<&'a mut Binding> {
        let now = port.now();
        if let Some(position) = bindings::find(bindings, client) {
            return bindings.get_mut(position);
        }
        let address = self.free_address(port, bindings, wish)?;
        // Who had it last is forgotten; else whoever left longest ago.
        let old = bindings.iter().position(|binding| binding.address == address);
        let position = old.or_else(|| bindings::replaceable(bindings, now))?;
        bindings[position] = Binding::new(client, address);
        Some(&mut bindings[position])
    }

    /// An address of the range that nobody has: the one that is wished for, one that nobody had, or the one that was
    /// given up first.
    fn free_address(
        &self,
        port: &mut dyn ServerPort,
        bindings: &[Binding],
        wish: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let now = port.now();
        let own = port.settings().address;
        let (first, last) = (self.config.first.to_bits(), self.config.last.to_bits());
        let holder = |address: u32| bindings.iter().find(|binding| binding.address.to_bits() == address);
        let wish = wish.map(Ipv4Addr::to_bits).filter(|&wish| {
            (first..=last).contains(&wish) && holder(wish).is_none_or(|binding| binding.is_over(now))
        });
        let untouched =
            || (first..=last).find(|&address| holder(address).is_none() && address != own.to_bits());
        let over = || {
            let old = bindings.iter().filter(|binding| binding.is_over(now));
            old.filter(|binding| (first..=last).contains(&binding.address.to_bits()))
                .min_by_key(|binding| binding.until)
                .map(|binding| binding.address.to_bits())
        };
        wish.filter(|&wish| wish != own.to_bits()).or_else(untouched).or_else(over).map(Ipv4Addr::from_bits)
    }

    fn request(
        &self,
        port: &mut dyn ServerPort,
        bindings: &mut [Binding],
        asked: &Asked,
        message: &DhcpMessage<'_>,
    ) {
        let own = port.settings();
        let now = port.now();
        let ours = bindings::find(bindings, asked.client);
        if message.server().is_some_and(|chosen| chosen != own.address) {
            // It took another server's offer.
            if let Some(position) = ours.filter(|&position| bindings[position].is_offer()) {
                bindings[position].end(now);
            }
            return;
        }
        let wish = message.number(code::REQUESTED_ADDRESS).map_or(asked.address, Ipv4Addr::from_bits);
        let right = match ours {
            Some(position) => bindings[position].address == wish && !bindings[position].is_declined(),
            // Nobody knows it, because this server started anew, say; then what it has is good if nobody else has it.
            None => {
                message.server().is_none()
                    && self.free_address(port, bindings, Some(wish)) == Some(wish)
                    && self.choose(port, bindings, asked.client, Some(wish)).is_some()
            }
        };
        if !right {
            return self.reply(port, asked, MessageType::Nak, None, message);
        }
        if let Some(position) = bindings::find(bindings, asked.client) {
            bindings[position].lease(after(now, u64::from(self.config.lease_time) * SECOND));
            self.reply(port, asked, MessageType::Ack, Some(wish), message);
        }
    }

    /// The time of a probe may be over: nobody has the address, and it is offered.
    pub(crate) fn timer(&self, port: &mut dyn ServerPort, bindings: &mut [Binding]) {
        let now = port.now();
        for binding in bindings {
            let Status::Probing { broadcast, relay, station } = binding.status else { continue };
            if binding.until <= now {
                binding.offer(after(now, OFFER_TIME));
                let asked = Asked {
                    client: binding.client,
                    transaction: binding.transaction,
                    broadcast,
                    address: Ipv4Addr::UNSPECIFIED,
                    relay,
                    station,
                };
                self.write(port, &asked, MessageType::Offer, Some(binding.address), |_| true);
            }
        }
    }

    /// Shows an ARP packet. Whoever has an address that is being probed keeps it, and the client gets another one, when
    /// it asks again.
    pub(crate) fn arp(now: Instant, bindings: &mut [Binding], packet: &ArpPacket) {
        let sender = packet.sender_ip();
        let probed = |binding: &&mut Binding| binding.probed_at().is_some() && binding.address == sender;
        if let Some(binding) = bindings.iter_mut().find(probed) {
            binding.decline(after(now, DECLINED_TIME));
        }
    }

    fn reply(
        &self,
        port: &mut dyn ServerPort,
        asked: &Asked,
        kind: MessageType,
        yours: Option<Ipv4Addr>,
        message: &DhcpMessage<'_>,
    ) {
        let rapid = kind == MessageType::Ack && message.message_type() == Some(MessageType::Discover);
        self.write(port, asked, kind, yours, |writer| {
            // [RFC 6842 §3] What names the client comes back.
            let mut room = [0; 64];
            let id = message.value(code::CLIENT_ID);
            let id = id.as_ref().and_then(|id| id.copy_to(&mut room));
            let echoed = id.is_none_or(|id| writer.option(code::CLIENT_ID, id));
            echoed && (!rapid || writer.option(code::RAPID_COMMIT, &[]))
        });
    }

    fn write(
        &self,
        port: &mut dyn ServerPort,
        asked: &Asked,
        kind: MessageType,
        yours: Option<Ipv4Addr>,
        more: impl FnOnce(&mut DhcpWriter<'_>) -> bool,
    ) {
        let own = port.settings();
        let mut bytes = [0; MAX_LEN];
        let fields = DhcpFields {
            operation: BOOT_REPLY,
            broadcast: asked.broadcast,
            client: if kind == MessageType::Nak { Ipv4Addr::UNSPECIFIED } else { asked.address },
            yours: yours.unwrap_or(Ipv4Addr::UNSPECIFIED),
            relay: asked.relay,
            ..DhcpFields::request(asked.transaction, asked.station)
        };
        let Ok(mut writer) = DhcpWriter::new(&mut bytes, &fields, kind) else { return };
        let mut fits = writer.number(code::SERVER_ID, own.address.to_bits());
        if yours.is_some() {
            let time = self.config.lease_time;
            fits &= writer.number(code::LEASE_TIME, time);
            fits &= writer.number(code::RENEWAL_TIME, time / 2);
            fits &= writer.number(code::REBINDING_TIME, time - time / 8);
        }
        if kind != MessageType::Nak {
            fits &= self.settings(&own, &mut writer);
        }
        fits &= more(&mut writer);
        debug_assert!(fits, "the options are bounded");
        let len = writer.finish();
        let (destination, to_port) = if !asked.relay.is_unspecified() {
            (asked.relay, SERVER_PORT)
        } else if kind == MessageType::Nak || !is_host(asked.address) {
            (Ipv4Addr::BROADCAST, CLIENT_PORT)
        } else {
            (asked.address, CLIENT_PORT)
        };
        port.send(destination, to_port, &bytes[..len]);
    }

    fn settings(&self, own: &Ipv4Settings, writer: &mut DhcpWriter<'_>) -> bool {
        let mut fits = writer.number(code::NETMASK, own.netmask.to_bits());
        if !self.config.router.is_unspecified() {
            fits &= writer.number(code::ROUTERS, self.config.router.to_bits());
        }
        let mut servers = [0; 8];
        let mut len = 0;
        for server in self.config.dns_servers.into_iter().filter(|server| !server.is_unspecified()) {
            servers[len..len + 4].copy_from_slice(&server.octets());
            len += 4;
        }
        if len > 0 {
            fits &= writer.option(code::DNS_SERVERS, &servers[..len]);
        }
        self.config.options.sent().fold(fits, |fits, (code, data)| fits & writer.option(code, data))
    }
}

/// Somebody else has the address that a client was given.
fn decline(port: &mut dyn ServerPort, bindings: &mut [Binding], asked: &Asked, message: &DhcpMessage<'_>) {
    let address = message.number(code::REQUESTED_ADDRESS).map(Ipv4Addr::from_bits);
    let for_us = message.server() == Some(port.settings().address);
    if let Some(position) = bindings::find(bindings, asked.client).filter(|_| for_us)
        && Some(bindings[position].address) == address
    {
        bindings[position].decline(after(port.now(), DECLINED_TIME));
    }
}

/// A client gives its address back; it gets the same again as long as nobody else needs it.
fn release(port: &mut dyn ServerPort, bindings: &mut [Binding], asked: &Asked, message: &DhcpMessage<'_>) {
    let for_us = message.server() == Some(port.settings().address);
    if let Some(position) = bindings::find(bindings, asked.client).filter(|_| for_us)
        && bindings[position].address == asked.address
    {
        bindings[position].end(port.now());
    }
}

/// Who a client is: its identifier, else its station [RFC 2131 §4.2], folded into one number (FNV-1a). Addresses are
/// reserved for stations, whatever these call themselves.
fn client_key(bindings: &[Binding], message: &DhcpMessage<'_>) -> u64 {
    let station = station_key(message.header.hardware());
    if bindings::find(bindings, station).is_some_and(|position| bindings[position].is_reserved()) {
        return station;
    }
    match message.value(code::CLIENT_ID).filter(|id| !id.is_empty()) {
        Some(id) => fold(id),
        None => station,
    }
}

/// The same for a station without an identifier.
pub(crate) fn station_key(station: MacAddr) -> u64 {
    fold(station.0.into_iter())
}

fn fold(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
