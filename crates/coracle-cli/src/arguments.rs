//! The command line.

use coracle::{Ipv4Settings, MacAddr};
use coracle_sim::impair::Impairment;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: coracle [demo] [--pcap FILE] [--in-memory]
       coracle up    --tap NAME | --tun NAME  --address A/B | --dhcp [--gateway G] [--mac M] [--pcap FILE]
                     [--snmp COMMUNITY] [--snmp-write COMMUNITY] [--snmp-trap HOST]
       coracle ping HOST --tap NAME | --tun NAME  --address A/B | --dhcp [--gateway G] [--count N] [--size BYTES]
       coracle dhcp  --tap NAME [--mac M] [--pcap FILE]
       coracle resolve NAME --tap NAME | --tun NAME  --address A/B | --dhcp [--server S] [--kind K]
       coracle relay --a TAP --b TAP [--seed N] [--loss 1%] [--delay 20ms] ...
       coracle snmp get|next|walk|set HOST[:PORT] NUMBER ... [-c COMMUNITY] [-v 1|2c]
       coracle snmp trapd [--port N]
       coracle --help";

pub(crate) const HELP: &str = "\
coracle: a TCP/IP stack against the Linux kernel

usage: coracle [demo] [--pcap FILE] [--in-memory]
       coracle up    --tap NAME | --tun NAME  --address A/B | --dhcp [--gateway G] [--mac M] [--pcap FILE]
                     [--snmp COMMUNITY] [--snmp-write COMMUNITY] [--snmp-trap HOST]
       coracle ping HOST --tap NAME | --tun NAME  --address A/B | --dhcp [--gateway G] [--count N] [--size BYTES]
       coracle dhcp  --tap NAME [--mac M] [--pcap FILE]
       coracle resolve NAME --tap NAME | --tun NAME  --address A/B | --dhcp [--server S] [--kind K]
       coracle relay --a TAP --b TAP [--seed N] [--loss 1%] [--delay 20ms] ...
       coracle snmp get|next|walk|set HOST[:PORT] NUMBER ... [-c COMMUNITY] [-v 1|2c]
       coracle snmp trapd [--port N]

demo   Makes a private network namespace with a TAP interface, brings the stack up in it, lets Linux's own tools talk to
       it, and says what happened. Nothing outside is touched. Leaves a capture, coracle-demo.pcap unless --pcap says
       otherwise. Where no TAP is to be had, or with --in-memory, two stacks talk to each other.

up     Brings the stack up on a TAP or TUN interface and serves until Ctrl-C: answers ping, echo on port 7 (UDP and
       TCP), and HTTP on port 80 (a page at /, N bytes at /bytes/N).
         --address 192.0.2.2/24   the stack's own address and the length of its network's prefix
         --dhcp                   both from a DHCP server; until there is one, a link-local address (TAP only)
         --gateway 192.0.2.1      where everything else goes
         --mac 02:00:00:00:00:02  the stack's station address; else it is made from the IP address, or with --dhcp from the name
                                  of the interface
         --pcap FILE              capture what goes in and out
         --snmp COMMUNITY         an SNMP agent, which this community may read
         --snmp-write COMMUNITY   ... and this one may set
         --snmp-trap 192.0.2.1    who is told of its start, of links and of wrong communities

ping   Pings a host from the stack.
         --count 4, --size 56, --interval 1s

resolve  Finds out what a name stands for: its addresses, or records of another kind.
         --server 192.0.2.53      who is asked; else the servers that come with --dhcp, or the gateway
         --kind txt               a, aaaa, ns, cname, soa, ptr, mx, txt, srv or a number

dhcp   Gets an address from a DHCP server, says what came with it, and gives it back.

relay  A bad wire between two TAP interfaces, repeatable from --seed, until Ctrl-C. Both ways suffer:
         --loss 1%  --burst 1%/25%  --delay 20ms  --jitter 2ms  --reorder 2%/5ms  --duplicate 1%  --corrupt 0.1%
         --rate 10Mbit/64k  --mtu 1514  --limit 1000  --partition on

snmp   An SNMP manager over the kernel's sockets; names are numbers, such as 1.3.6.1.2.1.1.5.0. To set, each is followed
       by a type and a value, as in `snmp set 192.0.2.2 1.3.6.1.2.1.1.5.0 s name`: i number, u unsigned, s text, a address,
       o name. trapd prints the traps and informs that come, and answers informs.
         -c public  -v 2c  --port 162";

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Demo(Demo),
    Up(Up),
    Dhcp(Up),
    Ping(Ping),
    Resolve(Resolve),
    Relay(Relay),
    Snmp(Snmp),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Demo {
    pub(crate) pcap: PathBuf,
    pub(crate) in_memory: bool,
}

impl Default for Demo {
    fn default() -> Self {
        Self { pcap: "coracle-demo.pcap".into(), in_memory: false }
    }
}

/// The kernel's interface that the stack's is joined with.
#[derive(Debug, PartialEq)]
pub(crate) enum Interface {
    Tap(String),
    Tun(String),
}

/// Where and how the stack is on the network.
#[derive(Debug, PartialEq)]
pub(crate) struct Up {
    pub(crate) interface: Interface,
    /// None: from a DHCP server.
    pub(crate) ipv4: Option<Ipv4Settings>,
    pub(crate) station: MacAddr,
    pub(crate) pcap: Option<PathBuf>,
    pub(crate) agent: SnmpAgent,
}

/// The SNMP agent that `up` serves: without communities, none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SnmpAgent {
    pub(crate) read: Option<String>,
    pub(crate) write: Option<String>,
    pub(crate) trap: Option<Ipv4Addr>,
}

/// What an SNMP manager does.
#[derive(Debug, PartialEq)]
pub(crate) struct Snmp {
    /// get, next, walk, set or trapd.
    pub(crate) what: String,
    /// The agent, and what it is asked for.
    pub(crate) words: Vec<String>,
    pub(crate) community: String,
    pub(crate) v1: bool,
    pub(crate) port: u16,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Ping {
    pub(crate) up: Up,
    pub(crate) host: Ipv4Addr,
    pub(crate) count: u16,
    pub(crate) size: usize,
    pub(crate) interval: Duration,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Resolve {
    pub(crate) up: Up,
    pub(crate) name: String,
    pub(crate) server: Option<IpAddr>,
    pub(crate) kind: Option<String>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Relay {
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) seed: u64,
    pub(crate) wire: Impairment,
}

/// Options of `up` and `ping`, as far as they were given.
#[derive(Default)]
struct Place {
    interface: Option<Interface>,
    address: Option<Ipv4Settings>,
    gateway: Option<Ipv4Addr>,
    dhcp: bool,
    station: Option<MacAddr>,
    pcap: Option<PathBuf>,
    agent: SnmpAgent,
}

type Result<T> = core::result::Result<T, lexopt::Error>;

pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut arguments = arguments.into_iter().peekable();
    let named = arguments.next_if(|argument| !argument.to_string_lossy().starts_with('-'));
    let mut parser = lexopt::Parser::from_args(arguments);
    match named.as_ref().map(|name| name.to_string_lossy()).as_deref() {
        None | Some("demo") => parse_demo(&mut parser),
        Some("up") => parse_up(&mut parser),
        Some("ping") => parse_ping(&mut parser),
        Some("dhcp") => parse_dhcp(&mut parser),
        Some("resolve") => parse_resolve(&mut parser),
        Some("relay") => parse_relay(&mut parser),
        Some("snmp") => parse_snmp(&mut parser),
        Some("help") => Ok(Command::Help),
        Some(other) => Err(format!("there is no command `{other}`").into()),
    }
}

fn parse_demo(parser: &mut lexopt::Parser) -> Result<Command> {
    let mut demo = Demo::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("in-memory") => demo.in_memory = true,
            Long("pcap") => demo.pcap = parser.value()?.into(),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Demo(demo))
}

fn parse_up(parser: &mut lexopt::Parser) -> Result<Command> {
    let mut place = Place::default();
    while let Some(word) = next_word(parser)? {
        match word {
            Word::Option(name) if name == "help" => return Ok(Command::Help),
            Word::Option(name) => place.take(&name, parser)?,
            Word::Value => return Err(unexpected(parser)),
        }
    }
    place.complete().map(Command::Up)
}

fn parse_ping(parser: &mut lexopt::Parser) -> Result<Command> {
    let mut place = Place::default();
    let (mut host, mut count, mut size, mut interval) = (None, 4, 56, Duration::from_secs(1));
    while let Some(word) = next_word(parser)? {
        match word {
            Word::Value if host.is_none() => host = Some(parser.value()?.parse()?),
            Word::Value => return Err(unexpected(parser)),
            Word::Option(name) => match name.as_str() {
                "help" => return Ok(Command::Help),
                "count" => count = parser.value()?.parse()?,
                "size" => size = parser.value()?.parse()?,
                "interval" => interval = parser.value()?.parse_with(time)?,
                name => place.take(name, parser)?,
            },
        }
    }
    let host = host.ok_or("which host? as in `coracle ping 192.0.2.1 ...`")?;
    Ok(Command::Ping(Ping { up: place.complete()?, host, count, size, interval }))
}

fn parse_snmp(parser: &mut lexopt::Parser) -> Result<Command> {
    let (mut words, mut community, mut v1, mut port) = (vec![], "public".to_owned(), false, 162);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('c') => community = parser.value()?.string()?,
            Short('v') => match parser.value()?.string()?.as_str() {
                "1" => v1 = true,
                "2c" => v1 = false,
                other => return Err(format!("version {other} is not spoken here: 1 or 2c").into()),
            },
            Long("port") => port = parser.value()?.parse()?,
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let mut words = words.into_iter();
    let what = words.next().ok_or("what? get, next, walk, set or trapd")?;
    let words: Vec<String> = words.collect();
    let least = match what.as_str() {
        "get" | "next" | "walk" => 2,
        "set" if words.len() % 3 == 1 => 4,
        "set" => return Err("each name is set with a type and a value".into()),
        "trapd" => 0,
        other => return Err(format!("there is no `snmp {other}`: get, next, walk, set or trapd").into()),
    };
    if words.len() < least {
        return Err(format!("`snmp {what}` wants an agent and names").into());
    }
    Ok(Command::Snmp(Snmp { what, words, community, v1, port }))
}

fn parse_dhcp(parser: &mut lexopt::Parser) -> Result<Command> {
    let mut place = Place { dhcp: true, ..Place::default() };
    while let Some(word) = next_word(parser)? {
        match word {
            Word::Option(name) if name == "help" => return Ok(Command::Help),
            Word::Option(name) => place.take(&name, parser)?,
            Word::Value => return Err(unexpected(parser)),
        }
    }
    place.complete().map(Command::Dhcp)
}

fn parse_resolve(parser: &mut lexopt::Parser) -> Result<Command> {
    let mut place = Place::default();
    let (mut name, mut server, mut kind) = (None, None, None);
    while let Some(word) = next_word(parser)? {
        match word {
            Word::Value if name.is_none() => name = Some(parser.value()?.string()?),
            Word::Value => return Err(unexpected(parser)),
            Word::Option(option) => match option.as_str() {
                "help" => return Ok(Command::Help),
                "server" => server = Some(parser.value()?.parse()?),
                "kind" => kind = Some(parser.value()?.string()?),
                option => place.take(option, parser)?,
            },
        }
    }
    let name = name.ok_or("which name? as in `coracle resolve host.example ...`")?;
    Ok(Command::Resolve(Resolve { up: place.complete()?, name, server, kind }))
}

fn parse_relay(parser: &mut lexopt::Parser) -> Result<Command> {
    let (mut a, mut b, mut seed, mut wire) = (None, None, 1, Impairment::default());
    while let Some(word) = next_word(parser)? {
        let Word::Option(name) = word else { return Err(unexpected(parser)) };
        match name.as_str() {
            "help" => return Ok(Command::Help),
            "a" => a = Some(parser.value()?.string()?),
            "b" => b = Some(parser.value()?.string()?),
            "seed" => seed = parser.value()?.parse()?,
            key => {
                let value = parser.value()?.string()?;
                wire.set(key, &value).map_err(|error| format!("--{key} {value}: {error}"))?;
            }
        }
    }
    match (a, b) {
        (Some(a), Some(b)) => Ok(Command::Relay(Relay { a, b, seed, wire })),
        _ => Err("a relay wants two interfaces, --a and --b".into()),
    }
}

/// What comes next on the command line.
enum Word {
    /// The name of an option; its value, if it has one, is still with the parser.
    Option(String),
    /// Something without dashes, which is still with the parser.
    Value,
}

fn next_word(parser: &mut lexopt::Parser) -> Result<Option<Word>> {
    if parser
        .try_raw_args()
        .is_some_and(|raw| raw.peek().is_some_and(|word| !word.to_string_lossy().starts_with('-')))
    {
        return Ok(Some(Word::Value));
    }
    match parser.next()? {
        None => Ok(None),
        Some(Short('h')) => Ok(Some(Word::Option("help".to_owned()))),
        Some(Long(name)) => Ok(Some(Word::Option(name.to_owned()))),
        Some(other) => Err(other.unexpected()),
    }
}

fn unexpected(parser: &mut lexopt::Parser) -> lexopt::Error {
    match parser.value() {
        Ok(value) => lexopt::Error::UnexpectedArgument(value),
        Err(error) => error,
    }
}

impl Place {
    fn take(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<()> {
        match name {
            "tap" => self.interface = Some(Interface::Tap(parser.value()?.string()?)),
            "tun" => self.interface = Some(Interface::Tun(parser.value()?.string()?)),
            "address" => self.address = Some(parser.value()?.parse_with(address)?),
            "gateway" => self.gateway = Some(parser.value()?.parse()?),
            "dhcp" => self.dhcp = true,
            "mac" => self.station = Some(parser.value()?.parse_with(station)?),
            "pcap" => self.pcap = Some(parser.value()?.into()),
            "snmp" => self.agent.read = Some(parser.value()?.string()?),
            "snmp-write" => self.agent.write = Some(parser.value()?.string()?),
            "snmp-trap" => self.agent.trap = Some(parser.value()?.parse()?),
            _ => return Err(format!("there is no option --{name} here").into()),
        }
        Ok(())
    }

    fn complete(self) -> Result<Up> {
        let interface = self.interface.ok_or("which interface? --tap NAME or --tun NAME")?;
        let ipv4 = match (self.address, self.dhcp, &interface) {
            (Some(_), true, _) => return Err("either --address or --dhcp".into()),
            (None, true, Interface::Tun(_)) => return Err("DHCP wants Ethernet: --tap NAME".into()),
            (None, true, Interface::Tap(_)) if self.gateway.is_some() => {
                return Err("the DHCP server says which gateway".into());
            }
            (None, true, Interface::Tap(_)) => None,
            (None, false, _) => {
                return Err("which address of its own? as in --address 192.0.2.2/24, or --dhcp".into());
            }
            (Some(address), false, _) => {
                Some(self.gateway.map_or(address, |gateway| address.with_gateway(gateway)))
            }
        };
        // The same at each start, so that neighbours need not learn anew; the first byte says that it is a local matter.
        let [a, b, c, d] = match (&interface, ipv4) {
            (_, Some(ipv4)) => ipv4.address.octets(),
            (Interface::Tap(name) | Interface::Tun(name), None) => {
                let mixed =
                    name.bytes().fold(5_381_u32, |mixed, byte| mixed.wrapping_mul(33) ^ u32::from(byte));
                mixed.to_be_bytes()
            }
        };
        let station = self.station.unwrap_or(MacAddr::new(2, 0, a, b, c, d));
        Ok(Up { interface, ipv4, station, pcap: self.pcap, agent: self.agent })
    }
}

fn address(text: &str) -> core::result::Result<Ipv4Settings, String> {
    let wrong = || format!("`{text}` is not an address with a prefix, such as 192.0.2.2/24");
    let (address, len) = text.split_once('/').ok_or_else(wrong)?;
    match (address.parse(), len.parse()) {
        (Ok(address), Ok(len @ 1..=32)) => Ok(Ipv4Settings::new(address, len)),
        _ => Err(wrong()),
    }
}

fn station(text: &str) -> core::result::Result<MacAddr, String> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| (byte.len() == 2).then(|| u8::from_str_radix(byte, 16).ok()).flatten())
        .collect();
    bytes
        .and_then(|bytes| <[u8; 6]>::try_from(bytes).ok())
        .map(MacAddr)
        .ok_or_else(|| format!("`{text}` is not a station address, such as 02:00:00:00:00:02"))
}

fn time(text: &str) -> core::result::Result<Duration, String> {
    let mut wire = Impairment::default();
    wire.set("delay", text).map_err(|error| error.to_string())?;
    Ok(Duration::from_micros(wire.delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> core::result::Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_the_demo() {
        assert_eq!(parsed(""), Ok(Command::Demo(Demo::default())));
        let demo = Demo { pcap: "x.pcap".into(), in_memory: true };
        assert_eq!(parsed("--pcap x.pcap --in-memory"), Ok(Command::Demo(demo)));
        assert_eq!(parsed("demo"), Ok(Command::Demo(Demo::default())));
    }

    #[test]
    fn a_place_on_the_network() {
        let line = "up --tap tap0 --address 192.0.2.2/24 --gateway 192.0.2.1 --pcap=f";
        let Ok(Command::Up(up)) = parsed(line) else { panic!("{:?}", parsed(line)) };
        assert_eq!(up.interface, Interface::Tap("tap0".to_owned()));
        let ipv4 = up.ipv4.unwrap();
        assert_eq!((ipv4.prefix_len(), ipv4.gateway), (24, Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!((up.station, up.pcap), (MacAddr::new(2, 0, 192, 0, 2, 2), Some("f".into())));
        let line = "up --tun t --address 10.0.0.1/30 --mac 02:00:00:00:00:0a";
        let Ok(Command::Up(up)) = parsed(line) else { panic!("{:?}", parsed(line)) };
        assert_eq!(
            (up.interface, up.station),
            (Interface::Tun("t".to_owned()), MacAddr::new(2, 0, 0, 0, 0, 10))
        );
    }

    #[test]
    fn a_ping_and_a_relay() {
        let line = "ping 192.0.2.1 --tap t --address 192.0.2.2/24 --count 9 --size 0 --interval 10ms";
        let Ok(Command::Ping(ping)) = parsed(line) else { panic!("{:?}", parsed(line)) };
        assert_eq!((ping.count, ping.size, ping.interval), (9, 0, Duration::from_millis(10)));
        assert_eq!(ping.host, Ipv4Addr::new(192, 0, 2, 1));
        let line = "relay --a x --b y --seed 7 --loss 1% --delay 20ms";
        let Ok(Command::Relay(relay)) = parsed(line) else { panic!("{:?}", parsed(line)) };
        assert_eq!((relay.a.as_str(), relay.b.as_str(), relay.seed, relay.wire.delay), ("x", "y", 7, 20_000));
        assert_eq!(relay.wire.loss.to_string(), "1%");
    }

    #[test]
    fn managers_and_agents() {
        let line = "snmp set 192.0.2.2:1161 1.3.6.1 i -7 -c secret -v 1";
        let Ok(Command::Snmp(snmp)) = parsed("snmp get 192.0.2.2 1.3.6.1 1.3.7") else { panic!() };
        assert_eq!((snmp.what.as_str(), snmp.words.len(), snmp.v1), ("get", 3, false));
        assert!(parsed(line).is_err(), "a value with a dash follows `--`");
        let line = "snmp set -c secret -v 1 -- 192.0.2.2:1161 1.3.6.1 i -7";
        let Ok(Command::Snmp(snmp)) = parsed(line) else { panic!("{:?}", parsed(line)) };
        assert_eq!((snmp.community.as_str(), snmp.v1, snmp.words[3].as_str()), ("secret", true, "-7"));
        let line = "up --tap t --address 10.0.0.1/30 --snmp public --snmp-write secret --snmp-trap 10.0.0.2";
        let Ok(Command::Up(up)) = parsed(line) else { panic!("{:?}", parsed(line)) };
        assert_eq!(up.agent.write.as_deref(), Some("secret"));
    }

    #[test]
    fn a_name_to_resolve() {
        let line = "resolve host.test --tap t --address 192.0.2.2/24 --server 192.0.2.53 --kind txt";
        let Ok(Command::Resolve(resolve)) = parsed(line) else { panic!("{:?}", parsed(line)) };
        assert_eq!((resolve.name.as_str(), resolve.kind.as_deref()), ("host.test", Some("txt")));
        assert_eq!(resolve.server, Some("192.0.2.53".parse().unwrap()));
    }

    #[test]
    fn help_from_everywhere() {
        for line in ["--help", "-h", "help", "demo -h", "up --help", "ping -h", "relay --tap --help"] {
            let expected = if line.contains("--tap") { Err(()) } else { Ok(Command::Help) };
            assert_eq!(parsed(line).map_err(|_| ()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, word) in [
            ("dmo", "dmo"),
            ("demo x", "x"),
            ("--pcap", "pcap"),
            ("up --address 192.0.2.2/24", "--tap"),
            ("up --tap t", "--address"),
            ("up --tap t --address 192.0.2.2", "192.0.2.2"),
            ("up --tap t --address 192.0.2.2/33", "/33"),
            ("up --tap t --address 192.0.2.2/24 --mac 2:0:0:0:0:2", "2:0:0:0:0:2"),
            ("up --tap t --address 192.0.2.2/24 --colour red", "colour"),
            ("up --tap t --address 192.0.2.2/24 more", "more"),
            ("ping --tap t --address 192.0.2.2/24", "host"),
            ("ping x --tap t --address 192.0.2.2/24", "x"),
            ("snmp", "walk"),
            ("snmp fetch x 1.3", "fetch"),
            ("snmp get x", "names"),
            ("snmp set x 1.3 i", "type"),
            ("snmp get x 1.3 -v 3", "3"),
            ("resolve --tap t --address 192.0.2.2/24", "name"),
            ("resolve x --tap t --address 192.0.2.2/24 --server y", "y"),
            ("relay --a x", "--b"),
            ("relay --a x --b y --loss 300%", "300%"),
            ("relay --a x --b y --los 1%", "los"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn an_address_from_a_server() {
        let Ok(Command::Up(up)) = parsed("up --tap tap0 --dhcp") else { panic!("up") };
        assert_eq!(up.ipv4, None);
        assert_eq!(parsed("dhcp --tap tap0"), Ok(Command::Dhcp(up)));
        let Ok(Command::Up(other)) = parsed("up --tap tap1 --dhcp") else { panic!("up") };
        assert_ne!(other.station, MacAddr::new(2, 0, 0, 0, 0, 0));
        for wrong in ["--address 192.0.2.2/24", "--gateway 192.0.2.1"] {
            assert!(parsed(&format!("up --tap tap0 --dhcp {wrong}")).is_err());
        }
        assert!(parsed("up --tun tun0 --dhcp").unwrap_err().contains("Ethernet"));
    }
}
