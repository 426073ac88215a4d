//! Names and the time of day: a stack asks, and another one is the server.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use coracle::wire::dns::{DnsFlags, Message, Section, Writer, class, kind};
use coracle::wire::ntp::{NtpHeader, NtpTimestamp};
use coracle::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const START: Duration = Duration::from_hours(500_000);

/// What the client's handlers heard.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Addresses(Result<Vec<IpAddr>, DnsError>),
    Texts(Vec<Vec<u8>>),
    Time(SntpTime),
}

#[derive(Default)]
struct Log {
    heard: Vec<Heard>,
    /// Questions that came over UDP and over TCP.
    asked: (usize, usize),
}

/// An application of either side.
#[derive(Clone)]
enum App {
    /// Notes what it hears.
    Client(Rc<RefCell<Log>>),
    /// Asks for another name when the first is found.
    Chain(Rc<RefCell<Log>>),
    /// Answers all questions; those over UDP about `big` cut.
    Dns(Rc<RefCell<Log>>, Vec<u8>),
    Ntp,
}

fn answer(question: &[u8], over_tcp: bool) -> Vec<u8> {
    let message = Message::read(question).unwrap();
    let asked = message.question().unwrap().unwrap();
    let text = asked.name.to_string().to_lowercase();
    let cut = text == "big.test" && !over_tcp;
    let mut flags = DnsFlags::RESPONSE.with(DnsFlags::RECURSION_AVAILABLE);
    if cut {
        flags = flags.with(DnsFlags::TRUNCATED);
    } else if text == "no.test" {
        flags = flags.with(DnsFlags(3));
    }
    let mut buffer = vec![0; 16_384];
    let mut writer = Writer::new(&mut buffer, message.header.id(), flags).unwrap();
    writer.question(asked.name, asked.kind, asked.class).unwrap();
    let mut add = |data: &[u8]| {
        let write = |out: &mut coracle::wire::dns::DataWriter<'_, '_>| out.bytes(data);
        writer.record(Section::Answer, asked.name, asked.kind, class::IN, 60, write).unwrap();
    };
    match (text.as_str(), asked.kind) {
        ("host.test", kind::A) => add(&[198, 51, 100, 7]),
        ("far.test", kind::A) => add(&[203, 0, 113, 7]),
        ("far.test" | "host.test", kind::AAAA) => {
            add(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        }
        ("big.test", kind::TXT) if over_tcp => {
            for number in 0..40 {
                add(&[&[200][..], &[number; 200]].concat());
            }
        }
        _ => {}
    }
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

impl Handler for App {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let bytes: Vec<u8> = data.segments().flatten().copied().collect();
        match self {
            Self::Dns(log, _) => {
                log.borrow_mut().asked.0 += 1;
                udp.send_bytes_to(&answer(&bytes, false), from).unwrap();
            }
            Self::Ntp => {
                let now =
                    NtpTimestamp::from_unix(START + udp.stack().now().since(Instant::ZERO)).0.to_be_bytes();
                let nonce = NtpHeader::read(&bytes).unwrap().transmit().0.to_be_bytes();
                let mut answer = [&[0x24, 2][..], &[0; 22], &nonce, &now, &now].concat();
                answer.truncate(48);
                udp.send_bytes_to(&answer, from).unwrap();
            }
            Self::Client(_) | Self::Chain(_) => panic!("the stack's datagrams are its own"),
        }
    }

    fn accept(&mut self, _tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        Ok(self.clone())
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        let Self::Dns(log, so_far) = self else { panic!("the stack's connections are its own") };
        so_far.extend(data.segments().flatten());
        tcp.recved(data.len()).unwrap();
        if let Some((len, message)) = so_far.split_first_chunk::<2>()
            && message.len() == usize::from(u16::from_be_bytes(*len))
        {
            log.borrow_mut().asked.1 += 1;
            let answer = answer(message, true);
            // In two pieces that do not end where the length does.
            let whole = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
            let (first, rest) = whole.split_at(1);
            tcp.write_bytes(first).unwrap();
            tcp.output().unwrap();
            tcp.write_bytes(rest).unwrap();
        }
        Ok(())
    }

    fn resolved(&mut self, resolved: &mut Resolved<'_, Self>) {
        let texts =
            |record: coracle::wire::dns::Record<'_>| record.txt().unwrap().flatten().copied().collect();
        let records: Vec<Vec<u8>> = resolved.records().map_or(Vec::new(), |all| all.map(texts).collect());
        let heard = if records.is_empty() {
            Heard::Addresses(resolved.addresses().map(<[IpAddr]>::to_vec))
        } else {
            Heard::Texts(records)
        };
        match self {
            Self::Client(log) => log.borrow_mut().heard.push(heard),
            Self::Chain(log) => {
                log.borrow_mut().heard.push(heard);
                let next = Self::Client(Rc::clone(log));
                // The slot of the query that is over is free already.
                resolved.stack().dns_query("far.test", Lookup::Ipv4, next).unwrap();
            }
            Self::Dns(..) | Self::Ntp => panic!("the server asks nobody"),
        }
    }

    fn time(&mut self, stack: &mut Stack<Self>, time: SntpTime) {
        let Self::Client(log) = self else { panic!("not asked") };
        log.borrow_mut().heard.push(Heard::Time(time));
        assert!(stack.sntp_enabled());
    }
}

/// Two stacks and the time.
struct World {
    client: Stack<App>,
    server: Stack<App>,
    ends: (NetifHandle, NetifHandle),
    now: Instant,
    log: Rc<RefCell<Log>>,
}

fn stack(address: Ipv4Addr, last: u8, limits: Limits) -> (Stack<App>, NetifHandle) {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).unwrap();
    let mut stack = Stack::new(&mut arena, limits, memory, Config::new([last; 16])).unwrap();
    let settings = Ipv4Settings::new(address, 24).with_gateway(SERVER);
    let netif =
        stack.netif_add(&NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, last)).ipv4(settings)).unwrap();
    stack.netif(netif).unwrap().set_up(true).unwrap();
    (stack, netif)
}

impl World {
    fn new() -> Self {
        let limits = Limits { dns: DnsLimits { queries: 1, ..DnsLimits::HOST }, udp: 1, ..Limits::default() };
        let (mut client, client_end) = stack(CLIENT, 2, limits);
        let (mut server, server_end) = stack(SERVER, 53, Limits::default());
        let log = Rc::<RefCell<Log>>::default();
        let app = App::Dns(Rc::clone(&log), Vec::new());
        let dns = server.udp_new(app.clone()).unwrap();
        server.udp(dns).unwrap().bind("0.0.0.0:53".parse().unwrap()).unwrap();
        server.tcp_listen("0.0.0.0:53".parse().unwrap(), 4, app).unwrap();
        let ntp = server.udp_new(App::Ntp).unwrap();
        server.udp(ntp).unwrap().bind("0.0.0.0:123".parse().unwrap()).unwrap();
        client.dns_set_servers(&[(SERVER, 53).into()]).unwrap();
        Self { client, server, ends: (client_end, server_end), now: Instant::from_secs(1), log }
    }

    fn app(&self) -> App {
        App::Client(Rc::clone(&self.log))
    }

    fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.log.borrow_mut().heard)
    }

    /// Lets time pass, on a wire that takes a millisecond and loses everything once it is cut.
    fn run(&mut self, time: Duration, cut: bool) {
        let end = self.now + time;
        while self.now < end {
            self.client.poll(self.now);
            self.server.poll(self.now);
            let there: Vec<_> = std::iter::from_fn(|| self.client.transmit(self.ends.0)).collect();
            let back: Vec<_> = std::iter::from_fn(|| self.server.transmit(self.ends.1)).collect();
            self.now = self.now + Duration::from_millis(1);
            for frame in there.into_iter().filter(|_| !cut) {
                self.server.input(self.ends.1, frame, self.now).unwrap();
            }
            for frame in back.into_iter().filter(|_| !cut) {
                self.client.input(self.ends.0, frame, self.now).unwrap();
            }
        }
    }

    fn resolve(&mut self, name: &str, lookup: Lookup) -> Heard {
        self.client.dns_query(name, lookup, self.app()).unwrap();
        assert!(self.log.borrow().heard.is_empty(), "always after the call");
        self.run(Duration::from_secs(1), false);
        let mut heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }
}

#[test]
fn names_become_addresses_and_are_remembered() {
    let mut world = World::new();
    let found = world.resolve("host.test", Lookup::Ipv4);
    assert_eq!(found, Heard::Addresses(Ok(vec!["198.51.100.7".parse().unwrap()])));
    let again = world.resolve("HOST.test.", Lookup::Ipv4);
    assert_eq!(again, found);
    assert_eq!(world.log.borrow().asked, (1, 0));
    let known = world.client.dns_known("host.test", Lookup::Ipv4, <[IpAddr]>::to_vec);
    assert_eq!(known, Some(vec!["198.51.100.7".parse().unwrap()]));
    assert_eq!(world.resolve("no.test", Lookup::Addresses), Heard::Addresses(Err(DnsError::NoName)));
    assert_eq!(
        world.resolve("192.0.2.9", Lookup::Addresses),
        Heard::Addresses(Ok(vec![[192, 0, 2, 9].into()]))
    );
    world.client.dns_forget();
    assert_eq!(world.client.dns_known("host.test", Lookup::Ipv4, <[IpAddr]>::len), None);
}

/// [RFC 6724 §6] rule 1: without an IPv6 address, what can be reached comes first.
#[test]
fn addresses_that_can_be_reached_come_first() {
    let mut world = World::new();
    let Heard::Addresses(Ok(found)) = world.resolve("far.test", Lookup::Addresses) else { panic!() };
    let expected: [IpAddr; 2] = ["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    assert_eq!(found, expected);
}

/// [1035-4] [RFC 7766 §5] the answer comes in pieces, behind its length.
#[test]
fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
    let mut world = World::new();
    let Heard::Texts(texts) = world.resolve("big.test", Lookup::Records(kind::TXT)) else { panic!() };
    // As many as there is room for in the answer.
    assert_eq!(texts.len(), 20);
    assert!(texts.iter().enumerate().all(|(number, text)| *text == [number as u8; 200]));
    assert_eq!(world.log.borrow().asked, (1, 1));
    assert_eq!(world.client.tcp_connections().count(), 0);
}

#[test]
fn a_server_that_takes_no_connections_does_not_hold_the_query_for_ever() {
    let mut other = World::new();
    // No listener at all: the connection is refused.
    other.server = stack(SERVER, 53, Limits::default()).0;
    let app = App::Dns(Rc::clone(&other.log), Vec::new());
    let udp = other.server.udp_new(app).unwrap();
    other.server.udp(udp).unwrap().bind("0.0.0.0:53".parse().unwrap()).unwrap();
    other.client.dns_query("big.test", Lookup::Records(kind::TXT), other.app()).unwrap();
    other.run(Duration::from_mins(1), false);
    assert!(matches!(other.heard()[..], [Heard::Addresses(Err(_))]));
}

#[test]
fn a_closed_port_is_noticed_at_once_and_silence_in_time() {
    let mut world = World::new();
    world.client.dns_set_servers(&[(Ipv4Addr::new(192, 0, 2, 53), 53).into()]).unwrap();
    world.server = stack(SERVER, 53, Limits::default()).0;
    world.client.dns_query("host.test", Lookup::Ipv4, world.app()).unwrap();
    world.run(Duration::from_secs(5), false);
    assert_eq!(world.heard().len(), 1);
    world.client.dns_query("host.test", Lookup::Ipv4, world.app()).unwrap();
    world.run(Duration::from_secs(16), true);
    assert_eq!(world.heard(), [Heard::Addresses(Err(DnsError::Timeout))]);
}

#[test]
fn a_handler_may_ask_again_and_queries_can_be_taken_back() {
    let mut world = World::new();
    world.client.dns_query("host.test", Lookup::Ipv4, App::Chain(Rc::clone(&world.log))).unwrap();
    assert_eq!(world.client.dns_query("far.test", Lookup::Ipv4, world.app()), Err(Error::Memory));
    world.run(Duration::from_secs(1), false);
    assert_eq!(world.heard().len(), 2);
    let query = world.client.dns_query("no.test", Lookup::Ipv4, world.app()).unwrap();
    assert!(world.client.dns_cancel(query).unwrap().is_some());
    assert_eq!(world.client.dns_cancel(query).err(), Some(Error::Closed));
    world.run(Duration::from_secs(1), false);
    assert!(world.heard().is_empty());
    assert_eq!(world.client.dns_query("a..b", Lookup::Ipv4, world.app()), Err(Error::Argument));
    // The application's control blocks are its own, whatever the resolver has open.
    world.client.dns_query("far.test", Lookup::Addresses, world.app()).unwrap();
    world.client.udp_new(world.app()).unwrap();
    assert_eq!(world.client.udp_new(world.app()).err(), Some(Error::Memory));
}

#[test]
fn the_owner_names_hosts_servers_and_domains() {
    let mut world = World::new();
    world.client.dns_add_host("printer", "192.0.2.77".parse().unwrap()).unwrap();
    assert_eq!(world.resolve("printer", Lookup::Ipv4), Heard::Addresses(Ok(vec![[192, 0, 2, 77].into()])));
    let hosts: Vec<_> = world.client.dns_hosts().map(|(name, _)| name.to_string()).collect();
    assert_eq!(hosts, ["printer"]);
    assert_eq!(world.client.dns_remove_host(Some("printer"), None), 1);
    world.client.dns_set_search(&["test"]).unwrap();
    assert_eq!(world.resolve("host", Lookup::Ipv4), Heard::Addresses(Ok(vec![[198, 51, 100, 7].into()])));
    assert_eq!(world.client.dns_set_search(&["a..b"]), Err(Error::Argument));
    assert_eq!(world.client.dns_set_servers(&["224.0.0.1:53".parse().unwrap()]), Err(Error::Value));
    world.client.dns_set_servers(&[]).unwrap();
    assert_eq!(world.client.dns_servers().count(), 0);
    world.client.dns_forget();
    assert_eq!(world.resolve("host.test", Lookup::Ipv4), Heard::Addresses(Err(DnsError::NoServer)));
    // A server of an interface goes with it.
    world.client.dns_set_netif_servers(world.ends.0, &[SERVER.into()]).unwrap();
    assert!(matches!(world.resolve("host.test", Lookup::Ipv4), Heard::Addresses(Ok(_))));
    world.client.netif_remove(world.ends.0).unwrap();
    assert_eq!(world.client.dns_servers().count(), 0);
}

#[test]
fn the_time_of_day_is_learned() {
    let mut world = World::new();
    world.client.sntp_set_server(0, Some((SERVER, 123).into())).unwrap();
    assert!(world.client.sntp_start(world.app()).is_none());
    world.run(Duration::from_secs(6), false);
    let heard = world.heard();
    let [Heard::Time(time)] = heard[..] else { panic!("{heard:?}") };
    assert_eq!(time.round_trip, Duration::from_millis(4), "the first packet waits for the station's address");
    let expected = START + world.now.since(Instant::ZERO);
    assert!(expected.checked_sub(time.unix).unwrap() < Duration::from_secs(6));
    let server = world.client.sntp_server(0).unwrap();
    assert_eq!((server.address, server.reachability, server.denied), (SERVER.into(), 1, false));
    assert_eq!((world.client.sntp_counters().sent, world.client.sntp_counters().answers), (1, 1));
    assert!(world.client.sntp_stop().is_some() && !world.client.sntp_enabled());
    assert_eq!(world.client.poll(world.now).filter(|&at| at < world.now + Duration::from_mins(1)), None);
}

/// [RFC 8106] servers and domains that routers advertise, and those of a lease, are asked.
#[cfg(feature = "dhcp-server")]
#[test]
fn the_servers_of_a_lease_are_asked_while_it_lasts() {
    let mut world = World::new();
    world.client.dns_set_servers(&[]).unwrap();
    let settings = DhcpServerConfig {
        dns_servers: [SERVER, Ipv4Addr::UNSPECIFIED],
        ..DhcpServerConfig::new(Ipv4Addr::new(192, 0, 2, 100), Ipv4Addr::new(192, 0, 2, 110))
    };
    let (ours, theirs) = world.ends;
    world.client.netif(ours).unwrap().set_ipv4(Ipv4Settings::NONE).unwrap();
    world.server.netif(theirs).unwrap().dhcp_server_start(&settings).unwrap();
    world.client.netif(ours).unwrap().dhcp_start(&DhcpConfig::new()).unwrap();
    world.run(Duration::from_secs(15), false);
    assert_eq!(world.client.dns_servers().collect::<Vec<_>>(), [IpAddr::from(SERVER)]);
    assert!(matches!(world.resolve("host.test", Lookup::Ipv4), Heard::Addresses(Ok(_))));
    world.client.netif(ours).unwrap().dhcp_release().unwrap();
    assert_eq!(world.client.dns_servers().count(), 0);
}
