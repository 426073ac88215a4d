//! The resolver's sockets: each question has a control block of its own, with a port of its own [RFC 5452 §9.2].

use core::net::IpAddr;
#[cfg(feature = "dhcp")]
use core::net::Ipv4Addr;

use coracle_buf::{Arena, Error, Layer, Pbuf, Table};
#[cfg(feature = "ipv6")]
use coracle_wire::dns::Name;
use coracle_wire::dns::{MDNS_GROUP_V4, MDNS_PORT, PORT};

use super::{Action, Outcome, Resolver, Sender, ServerAddress, Source, Transport};
use crate::address::{Address, Endpoint};
use crate::config::{Config, Limits};
use crate::engine::{Engine, small_pbuf};
use crate::event::Event;
use crate::ip::Received;
use crate::netif::{Medium, NetifHandle};
use crate::random::Random;
use crate::service::{DNS_TIMER, Owner};
use crate::table::Key;
use crate::tcp::{How, Report};
use crate::udp::Wishes;

/// The longest question: a header, a name with kind and class, an OPT record.
const LONGEST_QUESTION: usize = 300;
/// The longest message whose pieces are put together on the stack.
const LONGEST_IN_PIECES: usize = 1_500;

/// The protocols that name servers, in the order in which these are asked, behind the owner's own.
#[cfg(feature = "dhcp")]
const LEASE: u8 = 1;
#[cfg(feature = "ipv6")]
const ROUTERS: u8 = 2;
/// Servers taken of those that routers advertise on one interface.
#[cfg(feature = "ipv6")]
const MOST_ADVERTISED: usize = 8;

/// What an exchange has open.
enum Socket {
    Closed,
    Udp(Key),
    Tcp(Connection),
}

struct Connection {
    key: Key,
    /// The question, until the connection stands.
    question: Option<Pbuf>,
    /// What came of the answer.
    answer: Option<Pbuf>,
}

/// The resolver, and what it has open.
pub(crate) struct Dns {
    pub(crate) resolver: Resolver,
    random: Random,
    sockets: Table<Socket>,
    /// What the query that is being reported came to.
    pub(crate) outcome: Option<Outcome>,
}

impl Dns {
    pub(crate) fn new(arena: &mut Arena, limits: &Limits, config: &Config) -> Result<Self, Error> {
        // From a stream of its own, so that names change none of the other numbers.
        let mut random = Random::new(&config.seed.map(|byte| byte ^ 0x5c));
        let resolver = Resolver::new(arena, &limits.dns, config.dns.clone(), &mut random)?;
        let sockets = arena.table(limits.dns.queries.saturating_mul(2), |_| Socket::Closed)?;
        Ok(Self { resolver, random, sockets, outcome: None })
    }

    /// How many queries are over and not reported.
    #[inline]
    pub(crate) fn events(&self) -> usize {
        self.resolver.over
    }
}

impl Engine {
    /// Does what the resolver wants done, and sets its timer.
    pub(crate) fn dns_act(&mut self) {
        let mut buffer = [0; LONGEST_QUESTION];
        loop {
            let (now, dns) = (self.now, &mut self.services.dns);
            match dns.resolver.next_action(now, &mut dns.random, &mut buffer) {
                None => break,
                Some(Action::Close { exchange }) => self.dns_close(exchange),
                Some(Action::Send { exchange, transport, to, len }) => {
                    self.dns_close(exchange);
                    if self.dns_send(exchange, transport, to, &buffer[..len]).is_err() {
                        self.dns_close(exchange);
                        self.services.dns.resolver.failed(exchange, now);
                    }
                }
            }
        }
        let timer = self.timers.service(DNS_TIMER);
        match self.services.dns.resolver.next_deadline() {
            Some(deadline) => self.wheel.set(timer, deadline),
            None => self.wheel.cancel(timer),
        }
    }

    /// Has [`dns_act`](Self::dns_act) called as soon as the stack is told the time.
    pub(crate) fn dns_act_soon(&mut self) {
        self.wheel.set(self.timers.service(DNS_TIMER), self.now);
    }

    pub(crate) fn dns_timer(&mut self) {
        self.services.dns.resolver.advance(self.now);
        self.dns_act();
    }

    /// Replaces the servers that something on an interface named; such protocols are numbered by themselves.
    pub(crate) fn dns_learn(
        &mut self,
        netif: usize,
        protocol: u8,
        servers: impl Iterator<Item = IpAddr> + Clone,
    ) {
        let scope = netif as u32 + 1;
        let source = Source::Interface { netif: netif as u8, protocol };
        let servers = servers.map(|ip| ServerAddress { ip, scope });
        self.services.dns.resolver.set_servers(source, servers);
    }

    /// The servers of a lease are asked while it lasts.
    #[cfg(feature = "dhcp")]
    pub(crate) fn dns_learn_from_lease(&mut self, netif: usize, lease: Option<&crate::dhcp::DhcpLease>) {
        let servers = lease.map_or([Ipv4Addr::UNSPECIFIED; 3], |lease| lease.dns_servers);
        let named = servers.into_iter().filter(|server| !server.is_unspecified());
        self.dns_learn(netif, LEASE, named.map(IpAddr::V4));
    }

    /// The servers and search domains that routers advertise [RFC 8106].
    #[cfg(feature = "ipv6")]
    pub(crate) fn dns_learn_from_routers(&mut self, netif: usize) {
        let scope = netif as u32 + 1;
        let source = Source::Interface { netif: netif as u8, protocol: ROUTERS };
        let resolver = &mut self.services.dns.resolver;
        let here = self.resolvers.servers().filter(|server| server.netif as usize == netif);
        let mut list = [None; MOST_ADVERTISED];
        for (place, server) in list.iter_mut().zip(here) {
            *place = Some(ServerAddress { ip: server.address.to_ip(), scope });
        }
        resolver.set_servers(source, list.into_iter().flatten());
        resolver.forget_search(source);
        for domain in self.resolvers.domains().filter(|domain| domain.netif as usize == netif) {
            if let Ok(name) = Name::from_wire(domain.name()) {
                resolver.add_search(source, name);
            }
        }
    }

    /// An interface is gone, and what was said there counts no more.
    pub(crate) fn dns_forget_netif(&mut self, netif: usize) {
        self.services.dns.resolver.forget_netif(netif as u8);
    }

    /// An exchange's question came to nothing.
    pub(crate) fn dns_failed(&mut self, exchange: usize) {
        self.services.dns.resolver.failed(exchange, self.now);
        self.dns_act();
    }

    /// A query that is over; its addresses are in the order in which they should be tried.
    pub(crate) fn dns_next_event(&mut self) -> Option<Event> {
        if self.services.dns.events() == 0 {
            return None;
        }
        let event = self.services.dns.resolver.next_event(self.now);
        self.dns_act();
        let (query, mut outcome) = event?;
        self.dns_sort(outcome.addresses.as_mut_slice());
        // Kept aside: events are small.
        self.services.dns.outcome = Some(outcome);
        Some(Event::Resolved { query })
    }

    /// Puts addresses into the order in which they should be tried [RFC 6724 §6]; equals stay as the server sent them.
    pub(crate) fn dns_sort(&self, addresses: &mut [IpAddr]) {
        for end in 1..addresses.len() {
            let mut at = end;
            while at > 0 && self.destination_merit(addresses[at]) > self.destination_merit(addresses[at - 1])
            {
                addresses.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    fn dns_close(&mut self, exchange: usize) {
        let Some(place) = self.services.dns.sockets.get_mut(exchange) else { return };
        match core::mem::replace(place, Socket::Closed) {
            Socket::Closed => {}
            Socket::Udp(key) => self.udp_remove(key),
            // One answer is all that was wanted: the connection is over, and need not linger.
            Socket::Tcp(connection) => self.tcp_abort(connection.key).unwrap_or_default(),
        }
    }

    fn dns_send(
        &mut self,
        exchange: usize,
        transport: Transport,
        to: Option<ServerAddress>,
        message: &[u8],
    ) -> Result<(), Error> {
        match (transport, to) {
            (Transport::Udp, Some(server)) => self.dns_send_udp(exchange, server, message),
            (Transport::Tcp, Some(server)) => self.dns_send_tcp(exchange, server, message),
            _ => self.dns_send_multicast(exchange, message),
        }
    }

    /// Where a server is, and the interface that alone leads there, if there is one.
    fn dns_remote(&self, server: ServerAddress) -> Result<(Endpoint, Option<NetifHandle>), Error> {
        let slot = (server.scope as usize).checked_sub(1);
        let netif = slot.and_then(|slot| self.netif_handle(slot));
        if slot.is_some() && netif.is_none() {
            return Err(Error::Interface);
        }
        Ok((Endpoint::new(Address::from_ip(server.ip, slot)?, PORT), netif))
    }

    fn dns_open_udp(&mut self, exchange: usize) -> Result<Key, Error> {
        let key = self.udp_new(false, Owner::Dns(exchange as u16))?;
        self.services.dns.sockets[exchange] = Socket::Udp(key);
        Ok(key)
    }

    fn dns_send_udp(&mut self, exchange: usize, server: ServerAddress, message: &[u8]) -> Result<(), Error> {
        let (remote, netif) = self.dns_remote(server)?;
        let key = self.dns_open_udp(exchange)?;
        if let Some(pcb) = self.udp.slots.get_mut(key) {
            pcb.netif = netif;
        }
        self.udp_connect(key, remote)?;
        let mut data = small_pbuf(&self.memory, Layer::Transport, message.len())?;
        data.take(message)?;
        Ok(self.udp_send(key, None, None, data)?)
    }

    fn dns_send_tcp(&mut self, exchange: usize, server: ServerAddress, message: &[u8]) -> Result<(), Error> {
        let (remote, netif) = self.dns_remote(server)?;
        let mut question = small_pbuf(&self.memory, Layer::Transport, 2 + message.len())?;
        question.take(&(message.len() as u16).to_be_bytes())?;
        question.take_at(2, message)?;
        let key = self.tcp_new(true)?;
        let connection = Connection { key, question: Some(question), answer: None };
        self.services.dns.sockets[exchange] = Socket::Tcp(connection);
        if let Some(pcb) = self.tcp.get_mut(key) {
            pcb.netif = netif;
        }
        let connected = self.tcp_connect(key, remote);
        self.tcp_settle(key.index);
        connected
    }

    /// Asks everybody on the link of each interface, from a port that is not 5353: the answer comes to us alone
    /// [RFC 6762 §5.1, §6.7].
    fn dns_send_multicast(&mut self, exchange: usize, message: &[u8]) -> Result<(), Error> {
        let key = self.dns_open_udp(exchange)?;
        if let Some(pcb) = self.udp.slots.get_mut(key) {
            // [RFC 6762 §11]
            pcb.multicast_ttl = 255;
        }
        self.udp_bind(key, Endpoint::NONE)?;
        let mut result = Err(Error::Route);
        for slot in 0..self.netifs.capacity() {
            let Some(netif) = self.netif_handle(slot) else { continue };
            let ready = self
                .netifs
                .at(slot)
                .is_some_and(|interface| interface.is_ready() && interface.medium != Medium::Loopback);
            if !ready {
                continue;
            }
            let groups = [
                Some(Address::v4(MDNS_GROUP_V4)),
                #[cfg(feature = "ipv6")]
                Some(Address::v6(coracle_wire::dns::MDNS_GROUP_V6.octets(), slot)),
            ];
            for group in groups.into_iter().flatten() {
                let mut data = small_pbuf(&self.memory, Layer::Transport, message.len())?;
                data.take(message)?;
                let wishes = Wishes { netif: Some(netif), source: None, source_port: None };
                let to = Endpoint::new(group, MDNS_PORT);
                if self.udp_send(key, Some(&to), Some(&wishes), data).is_ok() {
                    result = Ok(());
                }
            }
        }
        result
    }

    /// A datagram for an exchange.
    pub(crate) fn dns_datagram(&mut self, exchange: usize, mut data: Pbuf) {
        let Some(info) = self.current else { return };
        let Some(transport) = self.dns_transport(exchange) else { return };
        let sender = Sender {
            address: self.dns_server_at(exchange, &info),
            port: info.source_port,
            on_link: self.is_on_link(&info),
        };
        let len = data.len();
        let mut scratch = [0; LONGEST_IN_PIECES];
        if len > data.payload().len() && len > scratch.len() && data.coalesce(Layer::Raw).is_err() {
            return;
        }
        let Some(bytes) = data.contiguous(0, len, &mut scratch) else { return };
        self.services.dns.resolver.input(exchange, transport, sender, bytes, self.now);
        self.dns_act();
    }

    /// How an exchange's datagrams travel.
    fn dns_transport(&self, exchange: usize) -> Option<Transport> {
        let Socket::Udp(key) = self.services.dns.sockets.get(exchange)? else { return None };
        let connected = self.udp.slots.get(*key)?.class == crate::udp::Class::Connected;
        Some(if connected { Transport::Udp } else { Transport::Multicast })
    }

    /// The sender of a packet as the resolver knows servers: with an interface if that is how it is known.
    fn dns_server_at(&self, exchange: usize, info: &Received) -> ServerAddress {
        let bound = match self.services.dns.sockets.get(exchange) {
            Some(Socket::Udp(key)) => self.udp.slots.get(*key).and_then(|pcb| pcb.netif),
            _ => None,
        };
        let scope = bound.map_or(0, |netif| netif.0.index + 1);
        ServerAddress { ip: info.source.to_ip(), scope }
    }

    /// Whether the sender of a packet is on the link that it came from.
    fn is_on_link(&self, info: &Received) -> bool {
        #[cfg(feature = "ipv6")]
        if info.source.zone().is_some() {
            return true;
        }
        let route = self.routes.find(info.source, |netif| netif == info.netif);
        route.is_some_and(|entry| entry.gateway.is_unspecified())
    }

    /// What a connection has to report, if it is one of the resolver's.
    pub(crate) fn dns_report(&mut self, key: Key, report: Report) -> Option<Report> {
        let is_it = |socket: &Socket| matches!(socket, Socket::Tcp(connection) if connection.key == key);
        let Some(exchange) = self.services.dns.sockets.iter().position(is_it) else { return Some(report) };
        match report {
            Report::Connected => self.dns_ask_connected(exchange, key),
            Report::Data(data) => self.dns_stream(exchange, key, data),
            Report::Finished => self.dns_failed(exchange),
            Report::End(_) => {
                self.services.dns.sockets[exchange] = Socket::Closed;
                self.dns_failed(exchange);
            }
            Report::Incoming(_)
            | Report::Accept(_)
            | Report::Sent(_)
            | Report::Urgent
            | Report::Poll
            | Report::Trouble(_) => {}
        }
        None
    }

    fn dns_ask_connected(&mut self, exchange: usize, key: Key) {
        let Socket::Tcp(connection) = &mut self.services.dns.sockets[exchange] else { return };
        let Some(question) = connection.question.take() else { return };
        if self.tcp_write(key, question, How::Push).is_err() {
            self.dns_failed(exchange);
        }
    }

    /// More of an answer, which comes behind its length [RFC 7766 §8].
    fn dns_stream(&mut self, exchange: usize, key: Key, data: Pbuf) {
        self.tcp_recved(key, data.len()).unwrap_or_default();
        let Socket::Tcp(connection) = &mut self.services.dns.sockets[exchange] else { return };
        let mut answer = match connection.answer.take() {
            None => data,
            Some(mut answer) => {
                if answer.cat(data).is_err() {
                    return self.dns_failed(exchange);
                }
                answer
            }
        };
        let (Some(high), Some(low)) = (answer.get_at(0), answer.get_at(1)) else {
            connection.answer = Some(answer);
            return;
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if answer.len() < 2 + len {
            connection.answer = Some(answer);
            return;
        }
        if answer.payload().len() < 2 + len && answer.coalesce(Layer::Raw).is_err() {
            return self.dns_failed(exchange);
        }
        let Some(pcb) = self.tcp.get(key) else { return };
        let scope = pcb.netif.map_or(0, |netif| netif.0.index + 1);
        let address = ServerAddress { ip: pcb.flow.remote.address.to_ip(), scope };
        let sender = Sender { address, port: PORT, on_link: false };
        let bytes = answer.payload().get(2..2 + len).unwrap_or_default();
        self.services.dns.resolver.input(exchange, Transport::Tcp, sender, bytes, self.now);
        // What does not answer the question shall not be waited behind.
        self.services.dns.resolver.failed(exchange, self.now);
        self.dns_act();
    }
}
