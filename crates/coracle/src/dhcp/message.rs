//! What the client writes.

use core::net::Ipv4Addr;

use coracle_wire::MacAddr;
use coracle_wire::dhcpv4::{DhcpFields, DhcpWriter, MIN_MAX_MESSAGE, MessageType, code, write_name};

use super::ClientId;
use super::client::{Client, State};
use crate::autoconf::Port;

/// Room for the longest message: what every server and relay takes.
pub(crate) const MAX_LEN: usize = MIN_MAX_MESSAGE as usize - 28;

/// What the client asks for; classless routes before routers, as they replace them [RFC 3442].
const PARAMETERS: [u8; 9] = [
    code::NETMASK,
    code::CLASSLESS_ROUTES,
    code::ROUTERS,
    code::DNS_SERVERS,
    code::DOMAIN,
    code::SEARCH,
    code::MTU,
    code::BROADCAST,
    code::NTP_SERVERS,
];

impl Client {
    /// Writes and sends a message.
    pub(super) fn send(&self, port: &mut dyn Port, kind: MessageType) {
        let mut bytes = [0; MAX_LEN];
        let Ok(writer) = DhcpWriter::new(&mut bytes, &self.fields(port, kind), kind) else { return };
        let len = self.options(port, kind, writer);
        let own = self.lease.filter(|_| self.in_use).map(|lease| (lease.ipv4.address, lease.server));
        let (source, destination) = match (kind, self.state, own) {
            (MessageType::Release, _, Some(both)) | (MessageType::Request, State::Renewing, Some(both)) => {
                both
            }
            (MessageType::Request, State::Rebinding, Some((own, _))) => (own, Ipv4Addr::BROADCAST),
            (MessageType::Inform, ..) => (port.address(), Ipv4Addr::BROADCAST),
            _ => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
        };
        port.send(source, destination, &bytes[..len]);
    }

    fn fields(&self, port: &mut dyn Port, kind: MessageType) -> DhcpFields {
        let extends = matches!(self.state, State::Renewing | State::Rebinding);
        let own = self.lease.filter(|_| self.in_use).map(|lease| lease.ipv4.address);
        let client = match kind {
            MessageType::Inform => Some(port.address()),
            MessageType::Release => own,
            // [2131-4, 2131-5]
            MessageType::Request if extends => own,
            _ => None,
        };
        let elapsed = port.now().as_micros().saturating_sub(self.began.as_micros());
        DhcpFields {
            // A second is no more than a hint for relays; 2²⁰ µs are near enough.
            seconds: (elapsed >> 20).min(0xffff) as u16,
            broadcast: self.config.broadcast && client.is_none(),
            client: client.unwrap_or(Ipv4Addr::UNSPECIFIED),
            ..DhcpFields::request(self.transaction, self.station)
        }
    }

    /// Writes the options; what finds no room is left out. Returns the length of the message.
    fn options(&self, port: &mut dyn Port, kind: MessageType, mut writer: DhcpWriter<'_>) -> usize {
        let mut id = [0; ID_LEN];
        let mut fits = true;
        if let Some(id) = client_id(self.config.client_id, self.station, &mut id) {
            fits &= writer.option(code::CLIENT_ID, id);
        }
        let (address, server) = self.named(kind);
        if let Some(address) = address {
            fits &= writer.number(code::REQUESTED_ADDRESS, address.to_bits());
        }
        if let Some(server) = server {
            fits &= writer.number(code::SERVER_ID, server.to_bits());
        }
        if matches!(kind, MessageType::Discover | MessageType::Request | MessageType::Inform) {
            fits &= self.wishes(port, kind, &mut writer);
        }
        debug_assert!(fits, "the options are bounded");
        writer.finish()
    }

    /// The address and the server that a message names [2131-4, 2131-5].
    fn named(&self, kind: MessageType) -> (Option<Ipv4Addr>, Option<Ipv4Addr>) {
        let offered = self.offer.map(|offer| (offer.ipv4.address, offer.server));
        let leased = self.lease.map(|lease| (lease.ipv4.address, lease.server));
        match (kind, self.state) {
            (MessageType::Discover, _) | (MessageType::Request, State::Rebooting) => (self.wanted(), None),
            (MessageType::Request, State::Requesting) => (offered.map(|it| it.0), offered.map(|it| it.1)),
            (MessageType::Decline, _) => (leased.map(|it| it.0), leased.map(|it| it.1)),
            (MessageType::Release, _) => (None, leased.map(|it| it.1)),
            _ => (None, None),
        }
    }

    /// What the client would like to have and to be known by.
    fn wishes(&self, port: &mut dyn Port, kind: MessageType, writer: &mut DhcpWriter<'_>) -> bool {
        let mut parameters = [0; PARAMETERS.len() + super::DhcpOptions::MAX_WANTED];
        let mut count = 0;
        for (place, code) in
            parameters.iter_mut().zip(PARAMETERS.into_iter().chain(self.config.options.wanted()))
        {
            *place = code;
            count += 1;
        }
        let mut fits = writer.option(code::PARAMETERS, &parameters[..count]);
        let largest = port.mtu().clamp(MIN_MAX_MESSAGE, 1_500);
        fits &= writer.option(code::MAX_MESSAGE, &largest.to_be_bytes());
        if let Some(name) = port.hostname() {
            fits &= write_hostname(name.as_str(), writer);
        }
        if kind == MessageType::Discover && self.config.rapid_commit {
            fits &= writer.option(code::RAPID_COMMIT, &[]);
        }
        if kind == MessageType::Discover && self.config.autoip_after > 0 {
            // [RFC 2563 §2.2] The client can configure itself.
            fits &= writer.option(code::AUTO_CONFIGURE, &[1]);
        }
        self.config.options.sent().fold(fits, |fits, (code, data)| fits & writer.option(code, data))
    }
}

/// A full name goes in option 81 alone, and the server is asked to tell DNS [RFC 4702 §3.1]; a mere name in option 12.
fn write_hostname(name: &str, writer: &mut DhcpWriter<'_>) -> bool {
    const SERVER_UPDATES: u8 = 1;
    const ENCODED: u8 = 4;
    if !name.contains('.') {
        return writer.option(code::HOSTNAME, name.as_bytes());
    }
    let mut data = [0; 3 + 65];
    data[0] = SERVER_UPDATES | ENCODED;
    match write_name(&mut data[3..], name) {
        Some(len) => writer.option(code::FQDN, &data[..3 + len]),
        // Dots in the wrong places make no name.
        None => true,
    }
}

/// Hardware type of Ethernet.
const ETHERNET: u8 = 1;

/// Length of the longest client identifier.
pub(crate) const ID_LEN: usize = 15;

/// The client identifier, in the room that is given.
pub(crate) fn client_id(kind: ClientId, station: MacAddr, into: &mut [u8; ID_LEN]) -> Option<&[u8]> {
    match kind {
        ClientId::None => None,
        ClientId::Station => {
            into[0] = ETHERNET;
            into[1..7].copy_from_slice(&station.0);
            Some(&into[..7])
        }
        // [RFC 4361 §6.1] 255, the interface by the end of its address, a DUID-LL of Ethernet.
        ClientId::Duid => {
            into[0] = 255;
            into[1..5].copy_from_slice(&station.0[2..]);
            into[5..9].copy_from_slice(&[0, 3, 0, ETHERNET]);
            into[9..].copy_from_slice(&station.0);
            Some(into)
        }
    }
}
